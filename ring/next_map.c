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

/* Rows of `from` without members that `next` holds for removed. A group that is on its way, and of
 * which all that it came from is removed, comes from where it goes to. */
static uint16_t *table_of(const struct ringmap *next, const struct ringmap *from, uint32_t width)
{
    uint16_t *table = calloc((size_t)from->partition_count * width, sizeof *table);

    for (uint32_t p = 0; table && p < from->partition_count; p++) {
        const uint16_t *row = ringmap_row(from, (uint16_t)p);
        uint32_t count = 0;

        for (uint32_t i = 0; i < ringmap_row_count(from, row); i++)
            if (!is_removed(next, row[i]))
                table[(size_t)p * width + count++] = row[i];
        if (count == 0) {
            assert(ringmap_moving(from));
            memcpy(&table[(size_t)p * width], ringmap_row(next, (uint16_t)p),
                   next->replica_count * sizeof *table);
        }
    }
    return table;
}

int next_map_commit(const struct ringmap *now, const struct ringmap *wanted, struct ringmap *next)
{
    uint32_t width = max(now->replica_count, wanted->replica_count);
    struct ringmap map;
    int r;

    assert(!ringmap_moving(wanted) && wanted->epoch == now->epoch + 1);
    assert(now->partition_count == wanted->partition_count);
    r = ringmap_copy(&map, wanted);
    if (r == 0 && (ringmap_moving(now) || moves_anything(now, wanted))) {
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

/* --- what the groups have ------------------------------------------------------------------ */

/* Of a group, or the meta group behind them. What names somebody who holds nothing by this map came
 * to be by a later one, and is of no use to this one. */
static const struct next_map_held *known(const struct ringmap *now,
                                         const struct next_map_held *held, uint32_t group)
{
    static const struct next_map_held nothing = {.voter_count = 0};

    for (uint32_t i = 0; i < held[group].voter_count; i++) {
        const struct ringmap_member *member = ringmap_member(now, held[group].voters[i]);

        if (!member || member->state == RINGMAP_STATE_JOINING)
            return &nothing;
    }
    return &held[group];
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

/* Who leads where it comes from, or else where it goes to, is first. */
static void put_leader_first(const struct ringmap *now, uint32_t partition, uint16_t *row,
                             uint32_t count)
{
    if (!put_first(row, count, ringmap_row(now, (uint16_t)partition)[0]))
        put_first(row, count, ringmap_wanted(now, (uint16_t)partition)[0]);
}

static uint32_t count_removed(const struct ringmap *map, const struct next_map_held *held)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < held->voter_count; i++)
        count += is_removed(map, held->voters[i]);
    return count;
}

static void from_row(const struct ringmap *now, uint32_t partition,
                     const struct next_map_held *held, uint16_t *row)
{
    const uint16_t *before = ringmap_row(now, (uint16_t)partition);
    uint32_t count = 0;

    for (uint32_t i = 0; i < held->voter_count; i++)
        if (!is_removed(now, held->voters[i]))
            row[count++] = held->voters[i];
    if (count == 0) {
        count = ringmap_row_count(now, before);
        memcpy(row, before, count * sizeof *row);
    }
    put_leader_first(now, partition, row, count);
}

/* Voters of the meta group: those that it has, without who was removed. */
static void set_voters(struct ringmap *map, const struct next_map_held *held)
{
    uint32_t count = held->voter_count - count_removed(map, held);

    if (count == 0 || count > RINGMAP_META_VOTERS_MAX)
        return;
    memset(map->meta_voters, 0, sizeof map->meta_voters);
    map->meta_voter_count = 0;
    for (uint32_t i = 0; i < map->member_count; i++)
        for (uint32_t k = 0; k < held->voter_count; k++)
            if (held->voters[k] == map->members[i].id && !is_removed(map, held->voters[k]))
                map->meta_voters[map->meta_voter_count++] = held->voters[k];
}

int next_map_from(const struct ringmap *now, const struct next_map_held *held, struct ringmap *from)
{
    uint32_t width = now->replica_count;
    struct ringmap map;
    uint16_t *rows, *target;
    int r = ringmap_copy(&map, now);

    assert(ringmap_moving(now));
    if (r < 0)
        return r;
    for (uint32_t p = 0; p < now->partition_count; p++)
        width = max(width, known(now, held, p)->voter_count);
    rows = calloc((size_t)now->partition_count * width, sizeof *rows);
    target = calloc((size_t)now->partition_count * width, sizeof *target);
    for (uint32_t p = 0; rows && target && p < now->partition_count; p++) {
        from_row(now, p, known(now, held, p), rows + (size_t)p * width);
        memcpy(target + (size_t)p * width, ringmap_wanted(now, (uint16_t)p),
               now->replica_count * sizeof *target);
    }
    free(map.replicas);
    free(map.target);
    map.replicas = rows;
    map.target = target;
    map.replica_count = width;
    if (!rows || !target) {
        ringmap_deinit(&map);
        return -ENOMEM;
    }
    set_voters(&map, known(now, held, now->partition_count));
    *from = map;
    return 0;
}

/* --- abort --------------------------------------------------------------------------------- */

/* A row of so many copies; false: there is none. */
static bool abort_row(const struct ringmap *now, uint32_t partition,
                      const struct next_map_held *held, uint32_t copies, uint16_t *row)
{
    const uint16_t *from = ringmap_row(now, (uint16_t)partition);
    const uint16_t *to = ringmap_wanted(now, (uint16_t)partition);
    const uint16_t *source = NULL;

    memset(row, 0, now->replica_count * sizeof *row);
    if (held->voter_count == copies && count_removed(now, held) == 0) {
        memcpy(row, held->voters, copies * sizeof *row);
        put_leader_first(now, partition, row, copies);
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
        if (!abort_row(now, p, known(now, held, p), copies, table + (size_t)p * now->replica_count))
            return false;
    return true;
}

/* N as it was, when the plan changes it. There is no way back from where all have come to already,
 * nor to members that were removed: those have left rows shorter, which is no wish for fewer. */
static uint32_t copies_before(const struct ringmap *now, const struct next_map_held *held)
{
    uint32_t wanted = ringmap_copies(now), before = 0, told = 0, there = 0;

    for (uint32_t p = 0; p < now->partition_count; p++) {
        const struct next_map_held *group = known(now, held, p);

        if (count_removed(now, group) > 0)
            return wanted;
        before = max(before, ringmap_row_count(now, ringmap_row(now, (uint16_t)p)));
        told += group->voter_count > 0;
        there += group->voter_count == wanted;
    }
    return told > 0 && there == told ? wanted : before;
}

int next_map_abort(const struct ringmap *now, const struct next_map_held *held,
                   struct ringmap *next)
{
    const struct next_map_held *meta = known(now, held, now->partition_count);
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
    if (!abort_rows(now, held, copies_before(now, held), map.target)) {
        bool there_is = abort_rows(now, held, ringmap_copies(now), map.target);

        assert(there_is);
        (void)there_is;
    }
    /* Whoever of the wanted voters is yet to come may never be there. */
    if (count_removed(now, meta) == 0)
        set_voters(&map, meta);
    *next = map;
    return 0;
}
