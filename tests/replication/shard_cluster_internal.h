/* Shard cluster, inside: what shard_cluster*.c share.
 *
 *   shard_cluster.c       life, time, operations
 *   shard_cluster_post.c  messages on their way
 *   shard_cluster_map.c   the ring map, and what becomes of it
 */
#ifndef TESTS_REPLICATION_SHARD_CLUSTER_INTERNAL_H
#define TESTS_REPLICATION_SHARD_CLUSTER_INTERNAL_H

#include "replication/raft.h"
#include "shard_cluster.h"
#include "storage/filename.h"

/* Bodies are borrowed from the sender until its next step, so they are copied and passed on after
 * its effects have been read. */
struct cluster_parcel {
    struct cluster_parcel *next;
    uint64_t due_ms;
    int to;
    struct shard_event event;
    struct link_message message;
    uint8_t body[];
};

/* shard_cluster.c */
/* Whatever chance does in a cluster is of one sequence. */
uint64_t cluster_random(struct cluster *cluster);
void cluster_deliver(struct cluster *cluster, int node, struct shard_event *event);
/* Until no message and no job is on its way. */
void cluster_settle(struct cluster *cluster);
void cluster_open(struct cluster *cluster, int node, bool found);
#define CLUSTER_FILES_MAX 96
struct cluster_files {
    char paths[CLUSTER_FILES_MAX][FILENAME_PATH_SIZE];
    size_t count;
};
/* Of the node's only shard. */
void cluster_files(struct cluster *cluster, int node, struct cluster_files *files);

/* shard_cluster_post.c */
void cluster_post(struct cluster *cluster, int from, const struct shard_send *send);
/* The caller frees it; NULL: there is none that is due. */
struct cluster_parcel *cluster_parcel_next(struct cluster *cluster);
void cluster_parcels_free(void);

/* shard_cluster_map.c */
void cluster_map_begin(struct cluster *cluster);
void cluster_map_end(struct cluster *cluster);

#endif
