/* Scan: SCAN's cursors and replies.
 *
 * A cursor is a place in the key space, no state of this router: the partition, and in it a
 * position by the keys' digests, which means the same on every replica. So it survives changes of
 * leaders and restarts of routers, and is good for as long as the ring has as many partitions,
 * which is for ever. One call asks one partition; a call may give few keys, or none, and yet not be
 * the last. */
#ifndef ROUTER_SCAN_H
#define ROUTER_SCAN_H

#include "ring/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct request;
struct router;

/* What the reply depends on; one slab block. */
struct scan {
    size_t block_size;
    uint32_t partition;
    bool none;    /* no key is of the type asked for */
    bool matches; /* there is a pattern */
    size_t pattern_size;
    char pattern[];
};

/* partition < 2^12, position < 2^48; 0 is the beginning and the end. */
static inline uint64_t scan_cursor(uint32_t partition, uint64_t position)
{
    return (uint64_t)partition << WIRE_SCAN_BITS | position;
}
/* Decimal, as strtoull() has it but for blanks. */
bool scan_cursor_parse(const struct wire_bytes *text, uint64_t *cursor);
/* pattern: NULL for none. NULL on no memory. */
struct scan *scan_new(struct router *router, uint32_t partition, const struct wire_bytes *pattern);
void scan_free(struct router *router, struct scan *scan);
/* [cursor, keys]; result NULL: the scan is over, and scan is not looked at. */
void scan_reply(const struct router *router, const struct scan *scan,
                const struct wire_result *result, struct buffer *out);

#endif
