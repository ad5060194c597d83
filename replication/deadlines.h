/* Deadlines: the soonest deadlines among a partition's keys, as far as its leader knows them.
 *
 * The keydir says only that a key expires, not when; that is in its record. So a leader walks the
 * keys that expire once, when it begins to lead, notes each deadline here, and from then on that of
 * every write. Only the soonest ones are kept: beyond the horizon nothing is known, and when that
 * has come the host walks again. With few keys that expire there is one walk and no more reads than
 * keys; with many, each walk finds the next DEADLINES_MAX / 2 at least.
 *
 * What is taken out is a hint: the key may have gone, or have another deadline. The host looks.
 *
 * Invariant: every key of a deadline below the horizon was noted. Limits: DEADLINES_MAX; without
 * memory the horizon falls. Owner: one shard thread, leaders only.
 */
#ifndef REPLICATION_DEADLINES_H
#define REPLICATION_DEADLINES_H

#include "storage/keydir.h"

#include <stdbool.h>
#include <stdint.h>

#define DEADLINES_MAX 1024u

struct deadline {
    uint64_t ms; /* Unix */
    struct keydir_digest digest;
};

struct deadlines {
    struct deadline *items; /* a heap, the soonest first */
    uint32_t count, capacity;
    uint64_t horizon_ms; /* deadlines from here on may be unknown; UINT64_MAX: all are known */
};

void deadlines_init(struct deadlines *deadlines); /* nothing is known; allocates nothing */
void deadlines_deinit(struct deadlines *deadlines);
/* Nothing is known any more. */
void deadlines_clear(struct deadlines *deadlines);
/* A walk begins: whatever it and later writes note is all there is. */
void deadlines_cover(struct deadlines *deadlines);
/* Of deadlines from ms on some may be unknown. */
void deadlines_limit(struct deadlines *deadlines, uint64_t ms);
void deadlines_note(struct deadlines *deadlines, uint64_t ms, const struct keydir_digest *digest);
/* Takes the soonest out if it is not after now_ms. */
bool deadlines_take(struct deadlines *deadlines, uint64_t now_ms, struct keydir_digest *digest);
void deadlines_check(const struct deadlines *deadlines);

#endif
