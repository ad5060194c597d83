/* Budget: the bytes of snapshots that a node may send, among its shards.
 *
 * People allow a node so many bytes a second. Its shards do not see what the others have to send:
 * each asks for what it could send at once, gives back what it did not need, and asks again. What
 * time brings is divided evenly among those that ask, but for what one has no room for: that goes
 * to the others. So one that asks alone gets all, each of two that want more than there is gets
 * half, and one that wants little gets that (max-min fairness: Bertsekas and Gallager, Data
 * Networks, 1992, 6.5.2). Room is an even part of what may be saved up; a shard that is busy with
 * something else finds there what has come in meanwhile.
 *
 * A shard that has not asked for BUDGET_ASKING_MS does not count any more, and what was kept for it
 * is the others'.
 *
 * Invariant: what is given between two moments and not given back is at most what the time between
 * them brings, and what may be saved up: BUDGET_SAVED_MS of the rate. Limits: BUDGET_PARTS_MAX
 * shards.
 *
 * No I/O, no clock, no lock. Owner: the host of a node's shards.
 */
#ifndef REPLICATION_BUDGET_H
#define REPLICATION_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define BUDGET_PARTS_MAX 256u
#define BUDGET_SAVED_MS  200u
#define BUDGET_ASKING_MS 250u

struct budget_part {
    uint64_t saved; /* bytes */
    uint64_t asked_ms;
    bool asking;
};

struct budget {
    uint64_t rate;   /* bytes a second, as was said last */
    uint64_t now_ms; /* of the newest event */
    uint64_t spare;  /* bytes that are nobody's yet */
    uint32_t part_count;
    struct budget_part parts[BUDGET_PARTS_MAX];
};

/* A shard asks, or gives back, or both. */
struct budget_event {
    uint64_t now_ms; /* may be behind that of another shard's */
    uint64_t rate;   /* bytes a second, all shards: as it knows it */
    uint64_t wanted; /* bytes */
    uint64_t left;   /* bytes of what it was given that it gives back */
    uint16_t part;   /* its number */
};

void budget_init(struct budget *budget, uint16_t part_count, uint64_t now_ms);
/* Returns how many bytes it may send, of those that it wants. */
uint64_t budget_take(struct budget *budget, const struct budget_event *event);
void budget_check(const struct budget *budget);

#endif
