#include "ring/next_map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t max(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static size_t places(const struct ringmap *map)
{
    return (size_t)map->partition_count * map->replica_count;
}

static bool is_removed(const struct ringmap *map, uint16_t id)
{
    const struct ringmap_member *member = ringmap_member(map, id);

    return !member || member->state == RINGMAP_STATE_REMOVED;
}

/* --- commit -------------------------------------------------------------------------------- */

/* Who comes or leaves needs a way too, and be it one without steps. */
static bool moves_anything(const struct ringmap *now, const struct ringmap *wanted)
{
    if (now->replica_count != wanted->replica_count ||
        memcmp(now->replicas, wanted->replicas, places(now) * sizeof *now->replicas) != 0 ||
        now->meta_voter_count != wanted->meta_voter_count ||
        memcmp(now->meta_voters, wanted->meta_voters, sizeof now->meta_voters) != 0)
        return true;
    for (uint32_t i = 0; i < wanted->member_count; i++)
        if (wanted->members[i].state != now->members[i].state &&
            wanted->members[i].state != RINGMAP_STATE_REMOVED)
            return true;
    return false;
}

/* Rows of `from` without members that `next` holds for removed. */
static uint16_t *table_of(const struct ringmap *next, const struct ringmap *from, uint32_t width)
{
    uint16_t *table = calloc((size_t)from->partition_count * width, sizeof *table);

    for (uint32_t p = 0; table && p < from->partition_count; p++) {
        const uint16_t *row = ringmap_row(from, (uint16_t)p);
        uint32_t count = 0;

        for (uint32_t i = 0; i < ringmap_row_count(from, row); i++)
            if (!is_removed(next, row[i]))
                table[(size_t)p * width + count++] = row[i];
        assert(count > 0);
    }
    return table;
}

int next_map_commit(const struct ringmap *now, const struct ringmap *wanted, struct ringmap *next)
{
    uint32_t width = max(now->replica_count, wanted->replica_count);
    struct ringmap map;
    int r;

    assert(!ringmap_moving(now) && !ringmap_moving(wanted) && wanted->epoch == now->epoch + 1);
    assert(now->partition_count == wanted->partition_count);
    r = ringmap_copy(&map, wanted);
    if (r == 0 && moves_anything(now, wanted)) {
        free(map.replicas);
        map.replica_count = width;
        map.replicas = table_of(wanted, now, width);
        map.target = table_of(wanted, wanted, width);
        if (!map.replicas || !map.target) {
            ringmap_deinit(&map);
            return -ENOMEM;
        }
    }
    if (r == 0)
        *next = map;
    return r;
}

/* --- abort --------------------------------------------------------------------------------- */

static bool can_stay(const struct ringmap *now, const struct next_map_held *held, uint32_t copies)
{
    if (held->voter_count != copies)
        return false;
    for (uint32_t i = 0; i < copies; i++)
        if (is_removed(now, held->voters[i]))
            return false;
    return true;
}

/* The member comes to the front if it is there. */
static bool put_first(uint16_t *row, uint32_t count, uint16_t member)
{
    for (uint32_t i = 0; i < count; i++) {
        if (row[i] != member)
            continue;
        row[i] = row[0];
        row[0] = member;
        return true;
    }
    return false;
}

/* A row of so many copies; false: there is none. */
static bool abort_row(const struct ringmap *now, uint32_t partition,
                      const struct next_map_held *held, uint32_t copies, uint16_t *row)
{
    const uint16_t *from = ringmap_row(now, (uint16_t)partition);
    const uint16_t *to = ringmap_wanted(now, (uint16_t)partition);
    const uint16_t *source = NULL;

    memset(row, 0, now->replica_count * sizeof *row);
    if (can_stay(now, held, copies)) {
        memcpy(row, held->voters, copies * sizeof *row);
        if (!put_first(row, copies, from[0]))
            put_first(row, copies, to[0]);
        return true;
    }
    if (ringmap_row_count(now, from) == copies)
        source = from;
    else if (ringmap_row_count(now, to) == copies)
        source = to;
    if (source)
        memcpy(row, source, copies * sizeof *row);
    return source != NULL;
}

static bool abort_rows(const struct ringmap *now, const struct next_map_held *held, uint32_t copies,
                       uint16_t *table)
{
    for (uint32_t p = 0; p < now->partition_count; p++)
        if (!abort_row(now, p, &held[p], copies, table + (size_t)p * now->replica_count))
            return false;
    return true;
}

int next_map_abort(const struct ringmap *now, const struct next_map_held *held,
                   struct ringmap *next)
{
    uint32_t before = 0;
    struct ringmap map;
    int r;

    if (!ringmap_moving(now))
        return NEXT_MAP_E_SETTLED;
    r = ringmap_copy(&map, now);
    if (r < 0)
        return r;
    map.epoch++;
    for (uint32_t i = 0; i < map.member_count; i++)
        if (map.members[i].state == RINGMAP_STATE_LEAVING)
            map.members[i].state = RINGMAP_STATE_ACTIVE;
    /* Removed members have left rows shorter than they were. */
    for (uint32_t p = 0; p < now->partition_count; p++)
        before = max(before, ringmap_row_count(now, ringmap_row(now, (uint16_t)p)));
    if (!abort_rows(now, held, before, map.target)) {
        bool there_is = abort_rows(now, held, ringmap_copies(now), map.target);

        assert(there_is);
        (void)there_is;
    }
    *next = map;
    return 0;
}
