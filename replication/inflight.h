/* Inflight: the request ids that a leader is working on, each with the host's operation.
 *
 * The volatile half of replication/sessions.h: a retry of an operation that waits in the key queue
 * or for its commit must find it here and not be evaluated a second time.
 *
 * Open addressing, at most half full, grown by doubling. Sequence 0 marks an empty place and is no
 * id. Limits: none of its own, the shard bounds its operations. Owner: one shard thread.
 */
#ifndef REPLICATION_INFLIGHT_H
#define REPLICATION_INFLIGHT_H

#include <stddef.h>
#include <stdint.h>

enum inflight_e { INFLIGHT_E_OK, INFLIGHT_E_ABSENT, INFLIGHT_E_PRESENT };

struct inflight_id {
    uint64_t session;
    uint64_t sequence; /* 0: empty place */
    void *operation;
};

struct inflight {
    struct inflight_id *ids;
    uint32_t capacity; /* power of two, or 0 */
    uint32_t count;
};

void inflight_init(struct inflight *inflight); /* allocates nothing */
void inflight_deinit(struct inflight *inflight);
/* 0, INFLIGHT_E_PRESENT (its operation is replaced) or -ENOMEM. */
int inflight_add(struct inflight *inflight, uint64_t session, uint64_t sequence, void *operation);
/* 0 or INFLIGHT_E_ABSENT. */
int inflight_remove(struct inflight *inflight, uint64_t session, uint64_t sequence);
/* 0 with *operation, or INFLIGHT_E_ABSENT. */
int inflight_find(const struct inflight *inflight, uint64_t session, uint64_t sequence,
                  void **operation);
void inflight_clear(struct inflight *inflight); /* keeps the memory */
void inflight_check(const struct inflight *inflight);

#endif
