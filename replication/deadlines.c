#include "replication/deadlines.h"

#include <assert.h>
#include <stdlib.h>

#define CAPACITY_MIN 16u

void deadlines_init(struct deadlines *deadlines)
{
    *deadlines = (struct deadlines){0};
}

void deadlines_deinit(struct deadlines *deadlines)
{
    free(deadlines->items);
    deadlines_init(deadlines);
}

void deadlines_clear(struct deadlines *deadlines)
{
    deadlines->count = 0;
    deadlines->horizon_ms = 0;
}

void deadlines_cover(struct deadlines *deadlines)
{
    deadlines->horizon_ms = UINT64_MAX;
}

void deadlines_limit(struct deadlines *deadlines, uint64_t ms)
{
    if (ms < deadlines->horizon_ms)
        deadlines->horizon_ms = ms;
}

static int deadline_compare(const void *left, const void *right)
{
    const struct deadline *a = left, *b = right;

    return (a->ms > b->ms) - (a->ms < b->ms);
}

/* The later half is forgotten. What is sorted is a heap. */
static void forget_late(struct deadlines *deadlines)
{
    qsort(deadlines->items, deadlines->count, sizeof *deadlines->items, deadline_compare);
    deadlines->count /= 2;
    deadlines_limit(deadlines, deadlines->items[deadlines->count].ms);
}

static bool make_room(struct deadlines *deadlines)
{
    uint32_t capacity = deadlines->capacity ? 2 * deadlines->capacity : CAPACITY_MIN;
    struct deadline *grown;

    if (deadlines->count < deadlines->capacity)
        return true;
    if (deadlines->capacity == DEADLINES_MAX) {
        forget_late(deadlines);
        return true;
    }
    grown = realloc(deadlines->items, capacity * sizeof *grown);
    if (!grown)
        return false;
    deadlines->items = grown;
    deadlines->capacity = capacity;
    return true;
}

void deadlines_note(struct deadlines *deadlines, uint64_t ms, const struct keydir_digest *digest)
{
    struct deadline *items;
    uint32_t at;

    if (ms >= deadlines->horizon_ms)
        return;
    if (!make_room(deadlines)) {
        deadlines_limit(deadlines, ms);
        return;
    }
    if (ms >= deadlines->horizon_ms) /* making room has lowered it */
        return;
    items = deadlines->items;
    for (at = deadlines->count++; at > 0 && items[(at - 1) / 2].ms > ms; at = (at - 1) / 2)
        items[at] = items[(at - 1) / 2];
    items[at] = (struct deadline){.ms = ms, .digest = *digest};
}

bool deadlines_take(struct deadlines *deadlines, uint64_t now_ms, struct keydir_digest *digest)
{
    struct deadline *items = deadlines->items;
    struct deadline last;
    uint32_t at = 0;

    if (deadlines->count == 0 || items[0].ms > now_ms)
        return false;
    *digest = items[0].digest;
    last = items[--deadlines->count];
    for (uint32_t child; (child = 2 * at + 1) < deadlines->count; at = child) {
        if (child + 1 < deadlines->count && items[child + 1].ms < items[child].ms)
            child++;
        if (items[child].ms >= last.ms)
            break;
        items[at] = items[child];
    }
    items[at] = last;
    return true;
}

void deadlines_check(const struct deadlines *deadlines)
{
    assert(deadlines->count <= deadlines->capacity && deadlines->capacity <= DEADLINES_MAX);
    for (uint32_t i = 1; i < deadlines->count; i++)
        assert(deadlines->items[(i - 1) / 2].ms <= deadlines->items[i].ms);
}
