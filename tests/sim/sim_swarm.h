/* Swarm: what kind of cluster, limits, network, load and faults a seed gets.
 *
 * Swarm testing (Groce et al., 2012): leaving features out at random finds more than always having
 * all of them, so every kind of fault is off in a part of the seeds, and limits become hostile one
 * by one. Everything is drawn from one stream before the run begins.
 */
#ifndef TESTS_SIM_SIM_SWARM_H
#define TESTS_SIM_SIM_SWARM_H

#include "tests/sim/sim_random.h"

#include <stddef.h>

#define SIM_FOUNDERS_MAX 5u
#define SIM_NODES_MAX    8u /* spares included */
#define SIM_ROUTERS_MAX  2u
#define SIM_SHARDS_MAX   2u
#define SIM_PARTITIONS   8u
#define SIM_CLIENTS_MAX  16u
#define SIM_ZONES_MAX    5u

/* Kinds of faults. X(NAME, weight in the schedule, shortest and longest duration in ms) */
#define SIM_FAULTS(X)                                                                              \
    X(CRASH, 10, 50, 4000)     /* a process is killed at any I/O call, its disk's cache stays */   \
    X(POWER, 12, 50, 4000)     /* a machine loses power: what was not synced is lost or torn */    \
    X(POWER_ALL, 2, 50, 2000)  /* all machines at once */                                          \
    X(STOP, 4, 50, 3000)       /* a process is asked to end: it drains first */                    \
    X(PAUSE, 6, 100, 5000)     /* a process stands still */                                        \
    X(PARTITION, 8, 200, 6000) /* some nodes and the rest do not hear each other */                \
    X(ONE_WAY, 8, 200, 6000)   /* messages from one node to another do not arrive */               \
    X(ISOLATE_LEADER, 12, 200,                                                                     \
      4000)               /* the node with most leaders hears no other, some routers reach it */   \
    X(LINK_DROP, 8, 1, 1) /* one link breaks; what was in flight is lost */                        \
    X(ROUTER_CRASH, 4, 10, 1000) /* a router process is killed and started again */                \
    X(CLIENT_DROP, 4, 1, 1)      /* connections of clients break: replies get lost */              \
    X(READ_FAIL, 3, 50, 2000)    /* reads of a disk fail now and then */                           \
    X(WRITE_FAIL, 3, 50, 2000)   /* writes of a disk fail now and then */                          \
    X(SYNC_FAIL, 3, 50, 2000)    /* syncs of a disk fail now and then: the process ends */         \
    X(DISK_FULL, 4, 200, 4000)   /* a disk has no more space */                                    \
    X(DISK_SLOW, 6, 100, 4000)   /* syncs of a disk take long */                                   \
    X(BIT_FLIP, 5, 1, 1)         /* a synced bit of the victim's disk changes */                   \
    X(WALL_JUMP, 4, 1, 1)        /* a machine's wall clock jumps */                                \
    X(MISROUTE, 5, 200, 4000)    /* Raft messages for and from another life of a replica */        \
    /* It waits until a leader appends a configuration that somebody is not in any more: these two \
     * and the rest do not hear each other. Not drawn with the others: see cuts. */                \
    X(CUT_CHANGE, 0, 1500, 5000)

enum sim_fault_kind {
#define X(name, weight, low, high) SIM_FAULT_##name,
    SIM_FAULTS(X)
#undef X
        SIM_FAULT_KINDS
};

/* What an admin changes the ring map for. X(NAME, weight) */
#define SIM_CHANGES(X)                                                                             \
    X(KEY, 6)     /* a data key, or the epoch alone */                                             \
    X(JOIN, 6)    /* a spare node is installed, or those who are joining are taken in */           \
    X(LEAVE, 3)   /* a node hands over what it has */                                              \
    X(REMOVE, 3)  /* the victim is taken for dead, and removed by force */                         \
    X(REPLACE, 3) /* the same, and a spare node takes its place */                                 \
    X(WIPE, 2)    /* the victim's disk is lost, and a new node takes its place */                  \
    X(WEIGHT, 3)                                                                                   \
    X(REPLICAS, 3) /* N */                                                                         \
    X(PAUSE, 3)    /* a plan stands still, or goes on */                                           \
    X(ABORT, 2)    /* back to what the groups have */                                              \
    X(ZONE, 3)     /* a node is in another zone */

enum sim_change {
#define X(name, weight) SIM_CHANGE_##name,
    SIM_CHANGES(X)
#undef X
        SIM_CHANGE_KINDS
};

/* What a seed brings together. X(NAME, of 18 seeds) */
#define SIM_FOCI(X)                                                                                \
    X(NONE, 5)       /* whatever was drawn */                                                      \
    X(OLD_LEADER, 1) /* a leader that is cut off, and routers that keep to it */                   \
    X(SIDES, 1)      /* the same, and who only asks stays with it while the others write */        \
    X(RECYCLING, 2)  /* small segments that are soon gone, logs that part and meet again */        \
    X(LIVES, 1)      /* replicas that lag, and messages of other lives that claim they do not */   \
    X(UNSENT, 1)     /* writes that wait at a leader, are read there, and go with it */            \
    X(MOVING, 2)     /* snapshots from a slow disk, while flush moves what they read */            \
    X(CLOCKS, 2)     /* clocks that jump and leaders that change, while values go */               \
    X(PACKING, 1)    /* values of many kinds, so that dictionaries come and go */                  \
    X(MEMBERS, 2)    /* many changes of members, while leaders are cut off */

enum sim_focus {
#define X(name, share) SIM_FOCUS_##name,
    SIM_FOCI(X)
#undef X
};

struct sim_swarm {
    /* Cluster. */
    uint32_t nodes;  /* that found it, and */
    uint32_t spares; /* with empty disks, that may join */
    uint32_t replicas, shards, routers;
    uint32_t replicas_min; /* N may be changed, to no less than this */
    /* Hosts' limits, see shard_options and router_options. */
    uint32_t segment_size, batch_size_max, queue_size_max, memory_size_max, zero_ahead_size;
    uint32_t install_size;
    uint32_t cache_size, compress_level, train_samples, train_again_ms, train_sealed, encrypt;
    uint64_t journal_size_max;
    uint32_t operations_max, sessions_max, session_window_max;
    size_t operations_size_max;
    uint32_t append_entries_max, append_size_max, inflight_size_max, inflight_messages_max;
    uint32_t retain_entries_min;
    uint64_t log_size_max, snapshot_rate, scrub_rate, scrub_every_ms;
    uint32_t log_ms_max;
    uint32_t lane_operations_max, client_commands_max, attempt_ms, deadline_ms;
    uint32_t router_operations_max;
    size_t lane_size_max;
    /* Network: one way, µs; chances in a million messages. */
    uint32_t delay_us, delay_us_max;
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm;
    uint32_t wake_us_max; /* how long an event waits until its thread's round begins */
    uint32_t sync_us, sync_us_max, read_us;
    uint32_t nowait_again_ppm;
    int32_t clock_rate_ppm_max;
    /* Load. */
    uint32_t clients, pipeline_max, think_us, keys, tags, value_size_max;
    uint32_t readers;      /* percent of the clients that only read, and as many that only probe;
                            * of those that only ask, when there are sides */
    bool sides;            /* half of the clients only ask, through router 0; the others do all,
                            * through router 1 */
    uint8_t loyal;         /* then: the router that keeps to a leader that is cut off */
    uint32_t key_ops_max;  /* a key is put aside after that many */
    uint32_t key_risk_max; /* or after that many unknown outcomes */
    uint32_t weights[12];  /* by enum judge_kind */
    bool scans;            /* a client goes over all keys with SCAN */
    uint32_t give_up_ms;   /* a client closes its connection after waiting that long */
    /* Faults. */
    uint32_t run_ms;
    uint32_t fault_every_ms;        /* mean; 0: none */
    uint32_t fault_mask;            /* which kinds */
    uint32_t overlap_max;           /* faults at once */
    uint32_t victim;                /* whose disk may rot; a node's number */
    uint32_t misroute_ppm;          /* how many Raft messages MISROUTE repeats for another life */
    uint32_t kept_ppm;              /* and behind how many there comes one that once began a life */
    uint32_t cuts;                  /* entries of CUT_CHANGE */
    uint8_t focus;                  /* enum sim_focus */
    uint32_t change_ms;             /* mean time between changes of the ring map; 0: none */
    uint32_t change_mask;           /* which kinds; those of members only where there are spares */
    uint32_t zones;                 /* 0: nodes have none; else so many, the first without a name */
    uint8_t zone_of[SIM_NODES_MAX]; /* that a node begins in; by number, from 0 */
    uint32_t drain_ms;   /* mean time until another node is drained, or none; 0: never any */
    uint32_t tickets_ms; /* mean time between commands about tickets; 0: there are none */
    uint32_t gossip;     /* the nodes gossip; it takes no part in what is checked else */
    uint32_t copies;     /* old copies of disks are started, where nodes gossip */
};

void sim_swarm_draw(struct sim_swarm *swarm, struct sim_random *random);
const char *sim_fault_name(enum sim_fault_kind kind);
const char *sim_focus_name(uint8_t focus);
const char *sim_change_name(uint8_t change);

#endif
