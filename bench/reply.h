/* Reply: finds the end of one RESP reply and what it says, without copying.
 *
 * Enough of RESP2 for a load generator: simple strings, errors, integers, bulk strings, nil, and
 * arrays of them. Nothing is kept between calls: an incomplete reply is looked at again when more
 * has arrived.
 */
#ifndef BENCH_REPLY_H
#define BENCH_REPLY_H

#include <stddef.h>
#include <stdint.h>

enum reply_kind { REPLY_OK, REPLY_NIL, REPLY_ERROR };

struct reply {
    uint8_t kind;     /* enum reply_kind */
    const char *text; /* ERROR: its prefix, the first word; borrowed */
    size_t text_size;
};

/* Returns the bytes of the reply at the start, 0 when some are missing, -1 when it is no RESP. */
int64_t reply_parse(const char *bytes, size_t size, struct reply *reply);

#endif
