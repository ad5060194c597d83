/* Scan: SCAN's cursors, its way over partitions, and its reply.
 *
 * A cursor is a place in the key space, no state of this router: the partition, and in it a
 * position by the keys' digests, which means the same on every replica. So it survives changes of
 * leaders and restarts of routers, and is good for as long as the ring has as many partitions,
 * which is for ever.
 *
 * A call goes over partitions in waves: a wave asks some neighbours at once, each from its
 * beginning, but for the first, which is asked from the cursor. Its answers count up to the first
 * that is not at its partition's end; what others gave behind that place is thrown away, for the
 * cursor is one place. Waves follow each other until COUNT keys were seen or a bound is met. The
 * first is one partition, and each next one is as wide as all before it twice over, but no wider
 * than the keys seen so far let expect to be needed: a database that is almost empty is gone
 * through in few waves, a full one with nothing thrown away.
 *
 * A part that fails ends the call before it; only when nothing came before it the call fails.
 *
 * Limits: SCAN_WAVE_MAX parts at once; a wave is begun only within SCAN_MS_MAX of the call's
 * beginning, before SCAN_PARTITIONS_MAX partitions and SCAN_SIZE_MAX bytes. Owner: its request. */
#ifndef ROUTER_SCAN_H
#define ROUTER_SCAN_H

#include "ring/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCAN_WAVE_MAX       64u
#define SCAN_PARTITIONS_MAX 1024u
#define SCAN_SIZE_MAX       (1u << 20)
#define SCAN_MS_MAX         20u

struct buffer;
struct router;

/* Keys that one part gave and that match, encoded for the reply; a slab block. */
struct scan_keys {
    struct scan_keys *next;
    size_t block_size;
    uint32_t count;
    size_t size;
    uint8_t bytes[];
};

struct scan_part {
    bool answered;
    uint64_t next; /* position in the partition; 0: its end */
    uint32_t seen; /* keys, matching or not */
    struct scan_keys *keys;
};

/* One call; a slab block. */
struct scan {
    size_t block_size;
    size_t held;       /* bytes of all keys */
    uint64_t until_ms; /* no wave begins then or later */
    uint64_t wanted;   /* COUNT */
    uint64_t seen;
    uint32_t partition; /* where the wave begins, or the call has come to; lane_count: the end */
    uint64_t position;  /* in it */
    uint32_t width;     /* parts of the wave */
    uint32_t done;      /* partitions gone through */
    bool moved;         /* the call has come further than its cursor */
    bool none;          /* no key is of the type asked for */
    bool matches;       /* there is a pattern */
    struct scan_part parts[SCAN_WAVE_MAX];
    struct scan_keys *keys, **keys_end; /* of the reply */
    size_t pattern_size;
    char pattern[];
};

enum scan_e {
    SCAN_E_DONE,
    SCAN_E_MORE,   /* a wave of `width` parts from (partition, position) on is to be asked */
    SCAN_E_FAILED, /* the first part of all has failed */
};

/* partition < 2^12, position < 2^48; 0 is the beginning and the end. */
static inline uint64_t scan_cursor(uint32_t partition, uint64_t position)
{
    return (uint64_t)partition << WIRE_SCAN_BITS | position;
}
/* Decimal, as strtoull() has it but for blanks. */
bool scan_cursor_parse(const struct wire_bytes *text, uint64_t *cursor);
/* The cursor's partition exists. pattern: NULL for none. The first wave is to be asked. NULL on no
 * memory. */
struct scan *scan_new(struct router *router, uint64_t cursor, uint64_t wanted,
                      const struct wire_bytes *pattern);
void scan_free(struct router *router, struct scan *scan);
/* Takes a part's answer. False: it is none, or there is no memory: the part has failed. */
bool scan_take(struct router *router, struct scan *scan, uint16_t partition,
               const struct wire_result *result);
/* The wave has come back. Returns an enum scan_e. */
int scan_step(struct router *router, struct scan *scan);
/* [cursor, keys]; NULL: the scan is over. */
void scan_reply(const struct router *router, const struct scan *scan, struct buffer *out);

#endif
