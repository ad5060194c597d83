#include "router/scan.h"

#include "router/glob.h"
#include "router/router_internal.h"

#include <assert.h>
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

struct scan *scan_new(struct router *router, uint64_t cursor, uint64_t wanted,
                      const struct wire_bytes *pattern)
{
    size_t size = sizeof(struct scan) + (pattern ? pattern->size : 0);
    struct scan *scan = slab_take(&router->slab, size);

    assert(cursor >> WIRE_SCAN_BITS < router->lane_count);
    if (!scan)
        return NULL;
    *scan = (struct scan){.block_size = size,
                          .until_ms = router->now_ms + SCAN_MS_MAX,
                          .wanted = wanted < UINT32_MAX ? wanted : UINT32_MAX,
                          .partition = (uint32_t)(cursor >> WIRE_SCAN_BITS),
                          .position = cursor & ((UINT64_C(1) << WIRE_SCAN_BITS) - 1),
                          .width = 1,
                          .matches = pattern != NULL};
    scan->keys_end = &scan->keys;
    if (pattern && pattern->size > 0) {
        scan->pattern_size = pattern->size;
        memcpy(scan->pattern, pattern->data, pattern->size);
    }
    return scan;
}

static void keys_free(struct router *router, struct scan_keys *keys)
{
    while (keys) {
        struct scan_keys *next = keys->next;

        slab_give(&router->slab, keys, keys->block_size);
        keys = next;
    }
}

void scan_free(struct router *router, struct scan *scan)
{
    keys_free(router, scan->keys);
    for (uint32_t i = 0; i < SCAN_WAVE_MAX; i++)
        keys_free(router, scan->parts[i].keys);
    slab_give(&router->slab, scan, scan->block_size);
}

static bool scan_gives(const struct scan *scan, const struct wire_bytes *key)
{
    if (scan->none || !key->data)
        return false;
    return !scan->matches || glob_match(scan->pattern, scan->pattern_size, (const char *)key->data,
                                        key->size, GLOB_EXACT);
}

/* The keys that match, as they stand in the reply. False on no memory. */
static bool scan_encode(struct router *router, struct scan *scan, struct scan_part *part,
                        const struct wire_result *result)
{
    struct buffer *scratch = &router->scratch;
    struct scan_keys *keys;
    uint32_t count = 0;

    buffer_clear(scratch, CLIENT_SCRATCH_KEPT);
    for (uint32_t i = 1; i < result->value_count; i++)
        if (scan_gives(scan, &result->values[i])) {
            resp_put_bulk(scratch, result->values[i].data, result->values[i].size);
            count++;
        }
    if (count == 0)
        return true;
    keys = scratch->failed ? NULL : slab_take(&router->slab, sizeof *keys + scratch->size);
    if (!keys)
        return false;
    *keys = (struct scan_keys){
        .block_size = sizeof *keys + scratch->size, .count = count, .size = scratch->size};
    memcpy(keys->bytes, scratch->data, scratch->size);
    part->keys = keys;
    scan->held += keys->size;
    return true;
}

bool scan_take(struct router *router, struct scan *scan, uint16_t partition,
               const struct wire_result *result)
{
    struct scan_part *part = &scan->parts[partition - scan->partition];

    assert(partition >= scan->partition && partition - scan->partition < scan->width);
    assert(!part->answered);
    if (!result->values || result->value_count == 0 ||
        !scan_cursor_parse(&result->values[0], &part->next) || part->next >> WIRE_SCAN_BITS != 0 ||
        !scan_encode(router, scan, part, result))
        return false;
    part->seen = result->value_count - 1;
    part->answered = true;
    return true;
}

/* Takes over what the wave gave up to the first part that is not at its end. False: it failed. */
static bool scan_collect(struct scan *scan, bool *partial)
{
    uint32_t first = scan->partition;
    bool good = true;

    *partial = false;
    for (uint32_t i = 0; i < scan->width && good && !*partial; i++) {
        struct scan_part *part = &scan->parts[i];

        good = part->answered;
        if (!good)
            break;
        if (part->keys)
            *scan->keys_end = part->keys;
        while (*scan->keys_end)
            scan->keys_end = &(*scan->keys_end)->next;
        part->keys = NULL;
        scan->seen += part->seen;
        scan->moved = true;
        *partial = part->next != 0;
        scan->partition = first + i + (*partial ? 0 : 1);
        scan->position = part->next;
        scan->done += !*partial;
    }
    return good;
}

/* Twice as many partitions as all so far, but no more than look needed. */
static uint32_t next_width(const struct router *router, const struct scan *scan, bool partial)
{
    uint64_t width = partial ? 1 : 2 * (uint64_t)scan->done, needed = width;

    if (scan->seen > 0)
        needed = (scan->wanted - scan->seen) * scan->done / scan->seen + 1;
    width = needed < width ? needed : width;
    width = width < SCAN_WAVE_MAX ? width : SCAN_WAVE_MAX;
    if (width > router->lane_count - scan->partition)
        width = router->lane_count - scan->partition;
    return (uint32_t)width;
}

/* What lies behind the place that the call has come to is thrown away. */
static void scan_clear_wave(struct router *router, struct scan *scan)
{
    for (uint32_t i = 0; i < scan->width; i++) {
        struct scan_part *part = &scan->parts[i];

        if (part->keys)
            scan->held -= part->keys->size;
        keys_free(router, part->keys);
        *part = (struct scan_part){0};
    }
}

int scan_step(struct router *router, struct scan *scan)
{
    bool partial, good = scan_collect(scan, &partial);

    scan_clear_wave(router, scan);
    if (!good)
        return scan->moved ? SCAN_E_DONE : SCAN_E_FAILED;
    if (scan->partition == router->lane_count || scan->seen >= scan->wanted ||
        router->now_ms >= scan->until_ms || scan->done >= SCAN_PARTITIONS_MAX ||
        scan->held >= SCAN_SIZE_MAX)
        return SCAN_E_DONE;
    scan->width = next_width(router, scan, partial);
    return SCAN_E_MORE;
}

void scan_reply(const struct router *router, const struct scan *scan, struct buffer *out)
{
    uint64_t cursor = 0;
    uint32_t count = 0;
    char text[24];

    if (scan && scan->partition < router->lane_count)
        cursor = scan_cursor(scan->partition, scan->position);
    for (const struct scan_keys *keys = scan ? scan->keys : NULL; keys; keys = keys->next)
        count += keys->count;
    resp_put_array(out, 2);
    resp_put_bulk(out, text, (size_t)snprintf(text, sizeof text, "%" PRIu64, cursor));
    resp_put_array(out, count);
    for (const struct scan_keys *keys = scan ? scan->keys : NULL; keys; keys = keys->next)
        buffer_append(out, keys->bytes, keys->size);
}
