#include "router/scan.h"

#include "router/glob.h"
#include "router/router_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool scan_cursor_parse(const struct wire_bytes *text, uint64_t *cursor)
{
    uint64_t value = 0;

    if (text->size == 0)
        return false;
    for (size_t i = 0; i < text->size; i++) {
        uint64_t digit = (uint64_t)text->data[i] - '0';

        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *cursor = value;
    return true;
}

struct scan *scan_new(struct router *router, uint32_t partition, const struct wire_bytes *pattern)
{
    size_t size = sizeof(struct scan) + (pattern ? pattern->size : 0);
    struct scan *scan = slab_take(&router->slab, size);

    if (!scan)
        return NULL;
    *scan = (struct scan){.block_size = size, .partition = partition, .matches = pattern != NULL};
    if (pattern && pattern->size > 0) {
        scan->pattern_size = pattern->size;
        memcpy(scan->pattern, pattern->data, pattern->size);
    }
    return scan;
}

void scan_free(struct router *router, struct scan *scan)
{
    slab_give(&router->slab, scan, scan->block_size);
}

static bool scan_gives(const struct scan *scan, const struct wire_bytes *key)
{
    if (scan->none || !key->data)
        return false;
    return !scan->matches || glob_match(scan->pattern, scan->pattern_size, (const char *)key->data,
                                        key->size, GLOB_EXACT);
}

static uint64_t scan_next(const struct router *router, const struct scan *scan,
                          const struct wire_result *result)
{
    uint64_t position = 0;

    if (!result || result->value_count == 0 || !scan_cursor_parse(&result->values[0], &position) ||
        position >> WIRE_SCAN_BITS != 0)
        position = 0;
    if (result && position != 0)
        return scan_cursor(scan->partition, position);
    if (!result || scan->partition + 1 >= router->lane_count)
        return 0;
    return scan_cursor(scan->partition + 1, 0);
}

void scan_reply(const struct router *router, const struct scan *scan,
                const struct wire_result *result, struct buffer *out)
{
    uint32_t count = 0;
    char text[24];
    int size = snprintf(text, sizeof text, "%" PRIu64, scan_next(router, scan, result));

    for (uint32_t i = 1; result && i < result->value_count; i++)
        count += scan_gives(scan, &result->values[i]) ? 1 : 0;
    resp_put_array(out, 2);
    resp_put_bulk(out, text, (size_t)size);
    resp_put_array(out, count);
    for (uint32_t i = 1; result && i < result->value_count; i++)
        if (scan_gives(scan, &result->values[i]))
            resp_put_bulk(out, result->values[i].data, result->values[i].size);
}
