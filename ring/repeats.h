/* Repeats: which of many alike messages are told to a log.
 *
 * Alike are those of one host, whatever the port, for one reason: who dials again and again comes
 * from another port each time. What stands in brackets behind a reason is no part of it. The first
 * is told, the next no sooner than REPEATS_MS after it, with how many there were in between. When
 * more kinds come than there is room for, the one that was told longest ago is forgotten.
 * Plain state, no clock, no memory of its own. Owner: whoever locks it.
 */
#ifndef RING_REPEATS_H
#define RING_REPEATS_H

#include <stdbool.h>
#include <stdint.h>

#define REPEATS_MS        10000u
#define REPEATS_KINDS_MAX 32u
#define REPEATS_KIND_SIZE 128u

struct repeats {
    struct repeats_kind {
        char name[REPEATS_KIND_SIZE]; /* "": free */
        uint64_t told_ms;
        uint32_t more; /* since then */
    } kinds[REPEATS_KINDS_MAX];
};

/* Whether this one is to be told; *more: how many like it were not, since the last that was. */
bool repeats_tell(struct repeats *repeats, const char *address, const char *reason, uint64_t now_ms,
                  uint32_t *more);

#endif
