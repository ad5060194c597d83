/* Raft log window: index -> {term, size, location} of the entries that are still kept as log.
 *
 * The entries themselves lie in the journal; this is only how they are found. 16 B an entry in a
 * ring that doubles. Invariant: entries first … last are all there; prev_term is the term of
 * first - 1, 0 when it is not known any more. A location is RAFT_LOG_LOCATION_NONE until the host
 * has placed the entry.
 */
#ifndef REPLICATION_RAFT_LOG_H
#define REPLICATION_RAFT_LOG_H

#include <stddef.h>
#include <stdint.h>

#define RAFT_LOG_LOCATION_NONE UINT64_MAX

struct raft_log_entry {
    uint64_t location;
    uint32_t term;
    uint32_t size;
};

struct raft_log {
    struct raft_log_entry *entries; /* capacity slots, a power of two */
    uint32_t capacity;
    uint64_t first; /* index of the oldest kept; last + 1 when empty */
    uint64_t last;
    uint64_t size; /* bytes of the entries that are kept */
    uint32_t prev_term;
};

void raft_log_init(struct raft_log *log);
void raft_log_deinit(struct raft_log *log);
int raft_log_reserve(struct raft_log *log, uint32_t count); /* 0 or -ENOMEM */
/* Room must have been reserved. index = last + 1. */
void raft_log_append(struct raft_log *log, uint32_t term, uint32_t size, uint64_t location);
void raft_log_truncate(struct raft_log *log, uint64_t index); /* drops >= index */
void raft_log_retain(struct raft_log *log, uint64_t first);   /* drops < first */
void raft_log_reset(struct raft_log *log, uint64_t first, uint32_t prev_term);
/* NULL when the index is not in the window. */
struct raft_log_entry *raft_log_at(const struct raft_log *log, uint64_t index);
/* Term of an index in first-1 … last; 0 when not known. */
uint32_t raft_log_term(const struct raft_log *log, uint64_t index);
void raft_log_place(struct raft_log *log, uint64_t index, uint64_t location);
void raft_log_check(const struct raft_log *log);

#endif
