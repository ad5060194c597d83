/* Shard source: one snapshot on its way to a peer. shard_snapshot.c begins and ends it and takes
 * the answers; shard_piece.c reads and sends.
 *
 * A piece is put together where it will be sent from: room for its records is made in the body of
 * the message, a job reads them into it, and what the body lacks still is filled in. Nothing is
 * copied on the way.
 *
 * Included by these two only.
 */
#ifndef REPLICATION_SHARD_SOURCE_H
#define REPLICATION_SHARD_SOURCE_H

#include "replication/shard_internal.h"
#include "storage/store_gather.h"

#define SHARD_PIECES_MAX      4u /* on their way, a source */
#define SHARD_PIECE_ITEMS_MAX 256u

struct shard_piece {
    uint64_t from, next;
};

struct shard_source {
    struct shard_source *next;
    struct replica *replica;
    struct raft_replica to;
    uint64_t index; /* A */
    uint32_t term;
    uint32_t log_term;
    uint8_t *state;
    size_t state_size;
    uint64_t acked; /* the target has all before */
    uint64_t at;    /* where the next piece begins */
    bool walked;    /* the last piece is on its way */
    bool ended;     /* in no list any more; the job is still out */
    bool failed;    /* the next duty gives it up */
    struct shard_piece pieces[SHARD_PIECES_MAX];
    uint32_t piece_count;
    /* The piece that is being put together: */
    bool reading; /* the job is out */
    struct shard_piece built;
    struct wire_buffer body;
    struct wire_snapshot_space space; /* in it */
    size_t size_max;                  /* of its records, as they count until they are known */
    struct store_gather gather;
    struct store_gather_item places[SHARD_PIECE_ITEMS_MAX];
    struct keydir_item items[SHARD_PIECE_ITEMS_MAX];
    uint64_t waited_ms; /* for the target, since it took something */
    uint64_t patience_ms;
    uint64_t duty_ms; /* the newest */
    uint64_t sent_ms;
    uint64_t retry_ms; /* pieces are waited for so long; grows as long as the link is there */
    uint64_t pause_ms;
};

void shard_source_free(struct shard_source *source);
/* Still what the core thinks is under way? */
bool shard_source_current(const struct shard_source *source);

/* The next piece; source->failed when there is no memory for it. */
void shard_piece_begin(struct shard *shard, struct shard_source *source);

#endif
