/* Shard cluster: three shards in one process whose messages arrive at once and in order, for tests
 * of the host itself; more can join. The simulator does the unkind things, but for those that a
 * test asks for. */
#ifndef TESTS_REPLICATION_SHARD_CLUSTER_H
#define TESTS_REPLICATION_SHARD_CLUSTER_H

#include "replication/budget.h"
#include "replication/shard.h"
#include "ring/wire.h"
#include "ring/wire_load.h"
#include "storage/vfs.h"

#define CLUSTER_NODES      3 /* that found it */
#define CLUSTER_NODES_MAX  6
#define CLUSTER_PARTITIONS 8
#define CLUSTER_RESULTS    512
#define CLUSTER_EPOCH_MS   UINT64_C(1700000000000)

struct cluster_result {
    uint32_t id;
    uint8_t status;
    bool is_int;
    bool is_nil;
    int64_t integer;
    char bytes[64];
    size_t size;
};

#define CLUSTER_SCANNED 600

struct cluster {
    struct vfs *disks[CLUSTER_NODES_MAX];
    struct shard *shards[CLUSTER_NODES_MAX];
    struct budget budgets[CLUSTER_NODES_MAX];
    struct ringmap map;    /* the genesis */
    struct ringmap newest; /* rows of CLUSTER_NODES_MAX places; changed by cluster_map_*() */
    int nodes;             /* that there are now */
    const struct cluster_disks *media;
    bool dying[CLUSTER_NODES_MAX]; /* its disk is cut: it may end by itself */
    bool deaf[CLUSTER_NODES_MAX];  /* hears of no newer map */
    uint32_t loss, twice, late;    /* messages between nodes, of a thousand */
    uint32_t garbled;              /* that come again with other bytes, too */
    uint32_t way_ms;               /* how long the others take */
    struct shard_options options;
    struct shard_effects effects;
    uint64_t now_ms;
    int opened;          /* what shard_open() has to answer */
    uint64_t opening_ms; /* how long it takes to open a shard: its clock stands still meanwhile */
    int64_t skew_ms[CLUSTER_NODES_MAX]; /* of the node's wall clock, which is else at
                                       CLUSTER_EPOCH_MS + now_ms */
    uint64_t random;
    bool cut[CLUSTER_NODES_MAX]; /* no message goes in or out */
    bool drained[CLUSTER_NODES_MAX];
    struct cluster_result results[CLUSTER_RESULTS];
    size_t result_count;
    char scanned[CLUSTER_SCANNED][24]; /* keys in the newest array of more than one value */
    uint32_t scanned_count;
    uint32_t next_id;
    bool retry;         /* operations say so */
    uint32_t budget_ms; /* of operations; 0: 2000 */
    uint64_t session;   /* of operations; 0: 5 */
    uint64_t sequences[CLUSTER_PARTITIONS];
    uint32_t epochs[CLUSTER_PARTITIONS];
    /* What was sent to the nodes' control planes: the ring map's epoch as each node's own shard
     * told it last, and the newest answer to a change of it. */
    uint64_t told[CLUSTER_NODES_MAX];
    struct wire_map_reply reply;
    uint32_t reply_count;
    uint64_t told_tickets[CLUSTER_NODES_MAX]; /* the same of the tickets, */
    struct wire_map_reply tickets_reply;
    size_t tickets_given;                   /* and bytes of them that were given to who asked */
    uint64_t moved[CLUSTER_PARTITIONS + 1]; /* epoch for which a leader said so; last: meta group */
    struct wire_moves_head moves_head;      /* of the newest answer */
    struct wire_move moves[CLUSTER_PARTITIONS + 1];
    uint32_t move_count;
    uint32_t compressing;  /* more nodes that compress what they lead, by bits; the first does */
    bool holds_background; /* not read jobs but those */
    /* Read jobs of this node wait while it says so; and what is done behind each step of jobs. */
    bool (*holds)(struct cluster *cluster, int node);
    void (*stepped)(struct cluster *cluster, int node);
    uint32_t sync_us[CLUSTER_NODES_MAX]; /* that a write of the journal is said to take */
    /* The newest answers to TOP and DRAIN. */
    struct wire_top top;
    uint32_t top_keys;
    char top_key[64]; /* that was asked for most */
    uint32_t drain_leaders;
    uint32_t led[CLUSTER_PARTITIONS]; /* by the newest LEADERS: in which term; 0: not */
    uint32_t statuses;                /* SHARD_STATUS_REPLYs that were sent, whoever to, */
    uint32_t snapshot_pieces;         /* and SNAPSHOTs */
    struct store_job *held[16];
    size_t held_count;
    int held_node;
};

/* Where the nodes' disks are from. */
struct cluster_disks {
    struct vfs *(*make)(uint64_t seed);
    struct vfs *(*unmake)(struct vfs *disk); /* NULL */
};

void cluster_start(struct cluster *cluster);
/* With data keys; borrowed until cluster_stop(). */
void cluster_start_sealed(struct cluster *cluster, const struct vault *vault);
/* With fewer replicas than nodes. */
void cluster_start_replicas(struct cluster *cluster, uint32_t replicas, const struct vault *vault);
void cluster_start_on(struct cluster *cluster, uint32_t replicas, const struct vault *vault,
                      const struct cluster_disks *media);
void cluster_stop(struct cluster *cluster);
/* Power off: jobs that are under way are not run. */
void cluster_kill(struct cluster *cluster, int node);
void cluster_restart(struct cluster *cluster, int node);
/* The founders, one after the other, with what the options say now; and waits for leaders. */
void cluster_restart_all(struct cluster *cluster);
/* Time passes for one node alone. */
void cluster_tick(struct cluster *cluster, int node);
/* Lets time pass and messages and jobs run. */
void cluster_run(struct cluster *cluster, uint64_t ms);
/* Member index (0 …) that leads the partition, -1 when there is none. */
int cluster_leader(const struct cluster *cluster, uint16_t partition);
void cluster_await_leaders(struct cluster *cluster);
/* The leader of the meta group, when there is one. */
int cluster_await_meta(struct cluster *cluster);
/* Snapshots that the node has installed since it was started. */
uint64_t cluster_installed(const struct cluster *cluster, int node);
uint16_t cluster_partition(const struct cluster *cluster, const char *key);
/* Sends one operation to a node's shard; returns its id. Writes get the next sequence. */
uint32_t cluster_send(struct cluster *cluster, int node, uint8_t operation, uint8_t flags,
                      const char *const *args, uint32_t arg_count);
/* The same with a request id of the caller's. */
uint32_t cluster_resend(struct cluster *cluster, int node, uint8_t operation, uint8_t flags,
                        const char *const *args, uint32_t arg_count, uint64_t sequence);
/* The same for reads that name a partition and no key. */
uint32_t cluster_send_at(struct cluster *cluster, int node, uint16_t partition, uint8_t operation,
                         const char *const *args, uint32_t arg_count);
const struct cluster_result *cluster_do_at(struct cluster *cluster, uint16_t partition,
                                           uint8_t operation, const char *const *args,
                                           uint32_t arg_count);
/* NULL while it is unanswered. */
const struct cluster_result *cluster_result(const struct cluster *cluster, uint32_t id);
/* To the leader, and runs until it is answered. */
const struct cluster_result *cluster_do(struct cluster *cluster, uint8_t operation, uint8_t flags,
                                        const char *const *args, uint32_t arg_count);

/* --- the ring map. Each call but the last changes `newest`; the last gives it the next epoch and
 * tells all that are up and not deaf. */

/* One node more, which is told of and up at once, and ACTIVE when `active`, else JOINING. Its
 * index.
 */
int cluster_map_join(struct cluster *cluster, bool active);
void cluster_map_state(struct cluster *cluster, int node, uint8_t state);
/* The partition is to go to those nodes; begins a plan. */
void cluster_map_want(struct cluster *cluster, uint16_t partition, const int *nodes,
                      uint32_t count);
void cluster_map_meta(struct cluster *cluster, const int *nodes, uint32_t count);
/* The wanted rows are those that are there. */
void cluster_map_finish(struct cluster *cluster);
void cluster_map_tell(struct cluster *cluster);
/* One node alone. */
void cluster_map_tell_node(struct cluster *cluster, int node);

/* A message as if another node had sent it, at once. */
void cluster_inject(struct cluster *cluster, int from, int to, uint8_t type, uint16_t partition,
                    const struct wire_buffer *body);
/* Asks the node how far it is: moves_head and moves. */
void cluster_moves(struct cluster *cluster, int node);
/* So many ms pass at most; true when all nodes that are up have the partition as the newest map
 * wants it: those who are wanted, and nobody else. */
bool cluster_await_moved(struct cluster *cluster, uint16_t partition, uint64_t ms);

/* A message to a node's shard from a member, or from an admin when that is 0. An answer is there on
 * return. */
void cluster_ask(struct cluster *cluster, int node, uint16_t member, uint8_t type,
                 const struct wire_buffer *body);
/* The node is to lead nothing, until it is restarted or told otherwise. */
void cluster_drain(struct cluster *cluster, int node, bool drained);

/* Started, and every partition has a leader. */
void cluster_begin(struct cluster *cluster);
const struct cluster_result *cluster_set(struct cluster *cluster, const char *key,
                                         const char *value);
/* So many keys of the partition that begin so. */
void cluster_set_of(struct cluster *cluster, uint16_t partition, const char *prefix, int count,
                    const char *value);
/* The value of the key is this; NULL: there is none. */
void cluster_expect(struct cluster *cluster, const char *key, const char *value);
/* How many files of that node's shard hold that text. */
uint32_t cluster_files_with(struct cluster *cluster, int node, const char *text);

#endif
