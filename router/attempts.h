/* Attempts: from the id on the wire to the operation it was an attempt of.
 *
 * Ids count up and are not used again before 2^32 others, so an answer that comes late is never
 * taken for another operation's. Slot = id & mask: neighbours in time are neighbours in memory.
 * Limits: grows to twice what is outstanding. Owner: one router. */
#ifndef ROUTER_ATTEMPTS_H
#define ROUTER_ATTEMPTS_H

#include <stddef.h>
#include <stdint.h>

struct op;

struct attempts_slot {
    struct op *op; /* NULL: free */
    uint32_t id;
};

struct attempts {
    struct attempts_slot *slots;
    uint32_t mask;
    uint32_t count;
    uint32_t id_last;
};

int attempts_init(struct attempts *attempts); /* 0 or -ENOMEM */
void attempts_deinit(struct attempts *attempts);
/* A new id for op; 0 on no memory. */
uint32_t attempts_add(struct attempts *attempts, struct op *op);
/* NULL when the id is not outstanding. */
struct op *attempts_find(const struct attempts *attempts, uint32_t id);
void attempts_remove(struct attempts *attempts, uint32_t id);

#endif
