/* Shard cluster: three shards in one process whose messages arrive at once and in order, for tests
 * of the host itself. The simulator does the unkind things. */
#ifndef TESTS_REPLICATION_SHARD_CLUSTER_H
#define TESTS_REPLICATION_SHARD_CLUSTER_H

#include "replication/shard.h"
#include "ring/wire.h"
#include "ring/wire_load.h"
#include "storage/vfs.h"

#define CLUSTER_NODES      3
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
    struct vfs *disks[CLUSTER_NODES];
    struct shard *shards[CLUSTER_NODES];
    struct ringmap map;
    struct shard_options options;
    struct shard_effects effects;
    uint64_t now_ms;
    int64_t skew_ms[CLUSTER_NODES]; /* of the node's wall clock, which is else at CLUSTER_EPOCH_MS +
                                       now_ms */
    uint64_t random;
    bool cut[CLUSTER_NODES]; /* no message goes in or out */
    bool drained[CLUSTER_NODES];
    struct cluster_result results[CLUSTER_RESULTS];
    size_t result_count;
    char scanned[CLUSTER_SCANNED][24]; /* keys in the newest array of more than one value */
    uint32_t scanned_count;
    uint32_t next_id;
    bool retry;         /* operations say so */
    uint32_t budget_ms; /* of operations; 0: 2000 */
    uint64_t sequences[CLUSTER_PARTITIONS];
    uint32_t epochs[CLUSTER_PARTITIONS];
    /* What was sent to the nodes' control planes: the ring map's epoch as each node's own shard
     * told it last, and the newest answer to a change of it. */
    uint64_t told[CLUSTER_NODES];
    struct wire_map_reply reply;
    uint32_t reply_count;
    uint64_t told_tickets[CLUSTER_NODES]; /* the same of the tickets, */
    struct wire_map_reply tickets_reply;
    size_t tickets_given; /* and bytes of them that were given to who asked */
    uint32_t compressing; /* more nodes that compress what they lead, by bits; the first does */
    /* Read jobs of this node wait while it says so; and what is done behind each step of jobs. */
    bool (*holds)(struct cluster *cluster, int node);
    void (*stepped)(struct cluster *cluster, int node);
    uint32_t sync_us[CLUSTER_NODES]; /* that a write of the journal is said to take */
    /* The newest answers to TOP and DRAIN. */
    struct wire_top top;
    uint32_t top_keys;
    char top_key[64]; /* that was asked for most */
    uint32_t drain_leaders;
    struct store_job *held[16];
    size_t held_count;
    int held_node;
};

void cluster_start(struct cluster *cluster);
/* With data keys; borrowed until cluster_stop(). */
void cluster_start_sealed(struct cluster *cluster, const struct vault *vault);
/* With fewer replicas than nodes. */
void cluster_start_replicas(struct cluster *cluster, uint32_t replicas, const struct vault *vault);
void cluster_stop(struct cluster *cluster);
/* Power off: jobs that are under way are not run. */
void cluster_kill(struct cluster *cluster, int node);
void cluster_restart(struct cluster *cluster, int node);
/* Time passes for one node alone. */
void cluster_tick(struct cluster *cluster, int node);
/* Lets time pass and messages and jobs run. */
void cluster_run(struct cluster *cluster, uint64_t ms);
/* Member index (0 …) that leads the partition, -1 when there is none. */
int cluster_leader(const struct cluster *cluster, uint16_t partition);
void cluster_await_leaders(struct cluster *cluster);
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

/* Tells a node that a replica is to be there. */
void cluster_host(struct cluster *cluster, int node, uint16_t partition, uint64_t life);
/* Tells it that the replica is to go. */
void cluster_destroy(struct cluster *cluster, int node, uint16_t partition, uint64_t life);
/* Has the partition's leader propose a configuration. */
void cluster_configure(struct cluster *cluster, uint16_t partition,
                       const struct raft_config *config);

/* A message to a node's shard from a member, or from an admin when that is 0. An answer is there on
 * return. */
void cluster_ask(struct cluster *cluster, int node, uint16_t member, uint8_t type,
                 const struct wire_buffer *body);

/* Started, and every partition has a leader. */
void cluster_begin(struct cluster *cluster);
const struct cluster_result *cluster_set(struct cluster *cluster, const char *key,
                                         const char *value);
/* The value of the key is this; NULL: there is none. */
void cluster_expect(struct cluster *cluster, const char *key, const char *value);

#endif
