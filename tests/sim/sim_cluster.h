/* Sim cluster: the processes of a whole cluster in one thread - nodes with their shards, disk and
 * clock, routers, and the network between them. The cores are the production's; what is here is
 * what node_loop and server_uv do for them in a process: rounds, jobs, timers, links.
 *
 * Model of a process. Events wait in an inbox until the thread's round begins, a random moment
 * after the first of them (so what arrives together is batched at random); a round steps all of
 * them and then flushes. I/O jobs are run when their simulated time has passed: WRITE jobs take
 * sync_us with a tail, or long on a slow disk. A paused process does nothing; what arrives waits.
 * A process that is killed dies within any one I/O call: the jobs that were in flight are run
 * against a disk that stops working after a few calls (see sim_disk.h). A machine's power loss is
 * that, and then the disk forgets. CPU time is not modelled.
 */
#ifndef TESTS_SIM_SIM_CLUSTER_H
#define TESTS_SIM_SIM_CLUSTER_H

#include "replication/budget.h"
#include "replication/node.h"
#include "replication/node_counters.h"
#include "replication/node_gossip.h"
#include "replication/owners.h"
#include "replication/raft.h"
#include "replication/shard.h"
#include "router/router.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_admin.h"
#include "tests/sim/sim_ask.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_copy.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_drain.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_tickets.h"

#define SIM_LINKS_MAX 64u

enum sim_process { SIM_DOWN, SIM_UP, SIM_PAUSED };
enum sim_end { SIM_END_KILL, SIM_END_POWER, SIM_END_CLEAN };

struct sim_inbox_item {
    struct sim_inbox_item *next;
    uint8_t kind; /* of the core's events */
    struct shard_address from;
    uint16_t shards;
    uint64_t epoch;
    struct sim_message *message;
    bool behind_hello; /* it came by a link whose HELLO was not heard yet */
    struct store_job *job;
    int job_result;
    uint32_t job_us;
    uint64_t client; /* routers */
    uint8_t *bytes;  /* REDEEM: struct tickets_command */
    size_t size;
};

struct sim_inbox {
    struct sim_inbox_item *first;
    struct sim_inbox_item **end;
    bool round_due;
};

struct sim_node;

struct sim_job {
    struct store_job *job;
    uint64_t number;
    uint32_t us; /* it takes */
};

struct sim_shard {
    struct sim_node *node;
    struct shard *shard;
    struct sim_inbox inbox;
    uint64_t tick_at_us;  /* of the newest timer */
    struct sim_job *jobs; /* started and not run */
    size_t job_count, job_capacity;
    uint64_t job_last;
    uint64_t installed_seen; /* of its stats, */
    uint64_t kept_seen;
    uint64_t relocated_seen; /* as shard_stats() counts */
    uint64_t flushes_seen;   /* of its store's, */
    uint64_t faults_seen;    /* those of its scrub too */
    uint64_t scrubs_due;     /* the end: passes that must be over; 0: not known yet */
    bool drained;
    bool fits; /* its folder is its own, and it is open */
};

/* The link that was dialled to one endpoint, */
struct sim_dialled {
    uint64_t link; /* 0: it is not up */
    bool told;     /* to the cores as up: the other end has let this node in */
    uint16_t as;   /* the member that it was told of as; 0: a stranger */
    struct node_counters_link counters;
};

/* and one that was dialled from elsewhere. */
struct sim_accepted {
    uint64_t link;
    uint8_t endpoint;
    struct node_counters_link counters;
};

struct sim_node {
    struct sim_cluster *cluster;
    uint8_t endpoint; /* and number, from 1; what member it is, its own map says */
    uint8_t public_key[RINGMAP_KEY_SIZE];
    char address[RINGMAP_ADDRESS_SIZE];
    uint8_t state; /* enum sim_process */
    uint64_t life; /* counts starts and ends: events of another life are void */
    struct sim_disk *disk;
    struct sim_clock clock;
    struct node *node;
    struct node_gossip *gossip;                   /* NULL: the seed has none */
    struct node_counters counters, counters_kept; /* and those on the disk */
    struct sim_inbox inbox;                       /* the control plane's */
    uint64_t node_tick_at_us;
    struct sim_shard shards[SIM_SHARDS_MAX];
    struct owners owners; /* of their folders */
    struct budget budget; /* of their snapshots */
    bool serving;         /* shards are open */
    struct vault vault;
    struct sim_dialled dialled[SIM_ENDPOINTS_MAX];
    struct sim_accepted accepted[SIM_LINKS_MAX];
    size_t accepted_count;
    uint32_t hellos; /* in the inbox */
    uint64_t started_us;
    uint64_t map_us;     /* when it took its newest map; 0: before it was started */
    uint64_t removed_us; /* since when its map says that it is none any more; 0: it does not */
    uint32_t slow_ppm;   /* of the disk: chance that a write takes up to slow_us */
    uint64_t slow_us;
    uint8_t dying; /* enum sim_end: how it ends when its disk stops working */
    bool draining;
    bool rotten; /* its disk has had flipped bits */
    bool lost;   /* one of its shards cannot be mended */
    /* Who runs it: */
    bool spare;             /* nobody has installed it yet */
    bool scrapped;          /* its disk was wiped: it never comes back */
    bool left;              /* it ended because it had been removed */
    uint64_t away_until_us; /* nobody starts it before */
};

struct sim_router {
    struct sim_cluster *cluster;
    uint8_t number;
    uint8_t endpoint;
    uint8_t state;
    uint64_t life;
    struct router *router;
    struct sim_clock clock;
    struct sim_inbox inbox;
    uint64_t tick_at_us;
    uint64_t epoch;             /* of the newest map whose members it has dialled */
    struct client_bytes *bytes; /* on their way from and to clients */
};

/* What the checkers and the workload get told; all set by main before the start. */
struct sim_observer {
    void *context;
    void (*on_round)(void *context, struct sim_node *node, struct sim_shard *shard);
    void (*on_send)(void *context, struct sim_node *node, const struct shard_send *send);
    /* Operations have come by that link. */
    void (*on_ops)(void *context, struct sim_node *node, const struct link_message *message,
                   uint64_t link);
    void (*on_open)(void *context, struct sim_node *node);
    /* Its control plane goes by another map, and it has no shards. */
    void (*on_map)(void *context, const struct sim_node *node);
    void (*on_router_start)(void *context, struct sim_router *router);
    void (*on_router_stop)(void *context, struct sim_router *router);
    void (*on_client_bytes)(void *context, struct sim_router *router, uint64_t client,
                            const uint8_t *bytes, size_t size, bool close);
    /* A node lets somebody in; an admin is told that a command is done. */
    void (*on_enter)(void *context, const struct sim_node *node, uint32_t ticket,
                     const uint8_t *key);
    void (*on_tickets)(void *context, const struct tickets_command *command,
                       const struct tickets_reply *reply);
};

struct sim_cluster {
    struct sim *sim;
    struct sim_net *net;
    struct ringmap map; /* genesis */
    uint8_t hash[RINGMAP_HASH_SIZE];
    uint8_t *blob; /* genesis */
    size_t blob_size;
    struct sim_node nodes[SIM_NODES_MAX]; /* [i] is number and endpoint i + 1 */
    uint32_t node_count;
    uint8_t endpoints[SIM_NODES_MAX + 1]; /* of each member that any committed map names; else 0 */
    struct sim_router routers[SIM_ROUTERS_MAX];
    uint32_t router_count;
    struct sim_observer observer;
    uint64_t client_last;
    bool healing; /* faults have ended: a process that ends by itself is a failure */
    struct sim_admin admin;
    struct sim_ask ask;
    struct sim_drain drain;
    struct sim_copy copy;
    struct sim_tickets tickets;
};

/* sim_cluster.c */
void sim_cluster_init(struct sim_cluster *cluster, struct sim *sim,
                      const struct sim_observer *observer);
void sim_cluster_deinit(struct sim_cluster *cluster);
/* Starts everything and founds the cluster; the faults may already be at work. */
void sim_cluster_start(struct sim_cluster *cluster);
bool sim_cluster_founded(const struct sim_cluster *cluster);
struct sim_node *sim_cluster_node(struct sim_cluster *cluster, uint8_t number);
/* What a zone of that number is called. */
void sim_cluster_zone(uint8_t number, char zone[RINGMAP_ZONE_SIZE]);
/* A committed map is known somewhere: notes which node each member is. */
void sim_cluster_meet(struct sim_cluster *cluster, const struct ringmap *map);
/* NULL: no map that anybody has seen names it. */
struct sim_node *sim_cluster_member(struct sim_cluster *cluster, uint16_t member);
/* Which endpoint the map's member is, and the other way round; 0: the map names none. */
uint8_t sim_cluster_endpoint_in(const struct ringmap *map, uint16_t member);
uint16_t sim_cluster_member_in(const struct ringmap *map, uint8_t endpoint);

/* sim_node.c */
/* What the node of that number is known by. */
void sim_node_identity(uint8_t number, uint8_t public_key[RINGMAP_KEY_SIZE],
                       char address[RINGMAP_ADDRESS_SIZE]);
void sim_node_init(struct sim_node *node, struct sim_cluster *cluster, uint8_t number);
void sim_node_deinit(struct sim_node *node);
void sim_node_start(struct sim_node *node);
void sim_node_end(struct sim_node *node, enum sim_end how);
void sim_node_drain(struct sim_node *node);
void sim_node_pause(struct sim_node *node, bool paused);
/* A new key of a limited ticket wants to come in. */
void sim_node_redeem(struct sim_node *node, const struct tickets_command *command);
/* For sim_shard.c. */
void sim_node_wake(struct sim_node *node, struct sim_inbox *inbox, sim_run run, void *context);
/* Into the control plane's inbox, whose round will come. The caller fills in the rest. */
struct sim_inbox_item *sim_node_push(struct sim_node *node, uint8_t kind);
bool sim_node_lives(const struct sim_node *node, uint64_t life);
/* Ends the process when its last I/O call has been made. Returns true then. */
bool sim_node_halted(struct sim_node *node);
void sim_node_fatal(struct sim_node *node, const char *what, int error);
/* Gossip tells that the member holds a ring map of that epoch. */
void sim_node_heard(struct sim_node *node, uint16_t member, uint64_t epoch);

/* The newest committed map it has, else the one it was prepared with; NULL: neither. Borrowed. */
const struct ringmap *sim_node_map(const struct sim_node *node);

/* sim_links.c */
/* What the network tells the process. */
struct sim_net_handler sim_links_handler(struct sim_node *node);
/* The process has ended. */
void sim_links_clear(struct sim_node *node);
/* The map says of some whose links are up that they are members, or none any more. */
void sim_links_follow(struct sim_node *node);
/* True when it was a HELLO, which a paused process has not heard before, or came behind one. */
bool sim_links_takes(struct sim_node *node, struct sim_inbox_item *item);
/* The own counter has risen. */
void sim_links_tell(struct sim_node *node);
/* All that are up hear each other. */
bool sim_links_converged(const struct sim_cluster *cluster, char *why, size_t size);
/* Which member of its map the endpoint is; member 0 and the link: a stranger, or removed. */
struct shard_address sim_node_peer(const struct sim_node *node, uint8_t endpoint, uint64_t link);
void sim_node_send(struct sim_node *node, const struct shard_send *send);

/* sim_node_keys.c */
/* Takes the data keys of the node's map. False: the cluster is encrypted, and it has none. */
bool sim_node_take_keys(struct sim_node *node);
/* It is joining an encrypted cluster: it has no data key yet, hence no shards. */
bool sim_node_awaits_key(const struct sim_node *node);
/* node_options.wrap, context: the node: opens its own box and makes one of what is in it. */
int sim_node_wrap(void *context, uint8_t key_id, const uint8_t public_key[RINGMAP_KEY_SIZE],
                  uint8_t box[RINGMAP_BOX_SIZE]);

/* sim_gossip.c */
void sim_gossip_open(struct sim_node *node);
void sim_gossip_close(struct sim_node *node);
void sim_gossip_map(struct sim_node *node);
/* True when it was a message of gossip. */
bool sim_gossip_takes(struct sim_node *node, const struct sim_inbox_item *item);
void sim_gossip_leave(struct sim_node *node);
/* All that are up hold each other alive. */
bool sim_gossip_converged(const struct sim_cluster *cluster, char *why, size_t size);

/* sim_shard.c: the data plane's rounds, jobs and timers. */
/* Not without a data key where there are some. */
void sim_shards_open(struct sim_node *node, bool found);
/* All that fit were opened, or closed, in order: their folders say so. 0 or -errno. */
int sim_shards_raise(struct sim_node *node);
void sim_shard_wake(struct sim_shard *shard);
/* Runs what was in flight, in a random order, and gives it back. */
void sim_shard_finish(struct sim_shard *shard);

/* sim_router.c */
void sim_router_init(struct sim_router *router, struct sim_cluster *cluster, uint8_t number);
void sim_router_deinit(struct sim_router *router);
void sim_router_start(struct sim_router *router);
void sim_router_end(struct sim_router *router);
/* A client's connection: open, bytes, close. They arrive after a delay, in order. */
uint64_t sim_router_client_open(struct sim_router *router);
void sim_router_client_send(struct sim_router *router, uint64_t client, const void *bytes,
                            size_t size);
void sim_router_client_close(struct sim_router *router, uint64_t client);

/* sim_inbox.c: shared by the hosts. */
void sim_inbox_init(struct sim_inbox *inbox);
void sim_inbox_clear(struct sim_inbox *inbox);
struct sim_inbox_item *sim_inbox_push(struct sim_inbox *inbox, uint8_t kind);
struct sim_inbox_item *sim_inbox_take(struct sim_inbox *inbox); /* NULL: empty */
void sim_inbox_item_free(struct sim_inbox_item *item);

/* The earliest time at which a clock of the cluster can show the deadline that a leader gives now,
 * or later. Where clocks jump, it may be at once. */
uint64_t sim_cluster_goes_from(const struct sim_cluster *cluster, uint64_t ms);

#endif
