/* Shard relocate: undecided entries that would hold up the journal are appended again.
 *
 * A segment goes only when no group needs it as log. The entries of a group that has lost its
 * majority are needed for as long as that lasts; so when they lie in a segment that is to go, all
 * undecided ones of the group are appended again, as they are, in one batch: see
 * docs/decisions/0033. One group at a time. Part of the host, like shard_internal.h.
 */
#ifndef REPLICATION_SHARD_RELOCATE_H
#define REPLICATION_SHARD_RELOCATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/store.h"

struct replica;
struct shard;
struct shard_read;

/* The undecided end of a group's log on its way from an old segment to the newest. */
struct shard_relocation {
    struct replica *replica; /* NULL: there is none */
    uint64_t first, last;
    uint32_t last_term;
    store_location location; /* of the first */
    uint8_t *bytes;
    uint32_t size;
    uint32_t reads_left;
    bool failed;
};

/* Begins that, or does it, if the replica's undecided entries hold up a journal whose log may take
 * so many bytes. */
void shard_relocate(struct shard *shard, struct replica *replica, uint64_t log_size_max);
/* A read of it has ended. bytes: NULL when it failed. */
void shard_relocate_read(struct shard *shard, const struct shard_read *read, const uint8_t *bytes,
                         size_t size);

#endif
