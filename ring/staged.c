#include "ring/staged.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ring/voters.h"

const char *staged_op_name(uint8_t op)
{
    static const char *const names[] = {
#define STAGED_OP(name, word) word,
        STAGED_OP_TABLE(STAGED_OP)
#undef STAGED_OP
    };

    assert(op < STAGED_OP_COUNT);
    return names[op];
}

static bool moves_member(uint8_t op)
{
    return op == STAGED_JOIN || op == STAGED_LEAVE || op == STAGED_REMOVE;
}

/* Whether the later of the two says again, or otherwise, what the earlier said. */
static bool replaces(const struct staged_change *later, const struct staged_change *earlier)
{
    return later->member == earlier->member &&
           (later->op == earlier->op || (moves_member(later->op) && moves_member(earlier->op)));
}

static bool zone_valid(const char *zone)
{
    size_t size = strnlen(zone, RINGMAP_ZONE_SIZE);

    for (size_t i = 0; i < size; i++) {
        if (zone[i] < ' ' || zone[i] > '~')
            return false;
    }
    for (size_t i = size; i < RINGMAP_ZONE_SIZE; i++) {
        if (zone[i] != 0)
            return false;
    }
    return size < RINGMAP_ZONE_SIZE;
}

/* What can be said without a map. */
static bool change_valid(const struct staged_change *change)
{
    if (change->op >= STAGED_OP_COUNT || !zone_valid(change->zone))
        return false;
    if ((change->member == 0) != (change->op == STAGED_REPLICAS))
        return false;
    if (change->op != STAGED_ZONE && change->zone[0] != 0)
        return false;
    if (change->op == STAGED_REPLICAS)
        return change->value >= 1 && change->value <= RINGMAP_REPLICAS_MAX;
    return (change->value != 0) == (change->op == STAGED_WEIGHT);
}

/* 0, or why the change does not fit the map. */
static int change_fits(const struct staged_change *change, const struct ringmap *map)
{
    const struct ringmap_member *member = ringmap_member(map, change->member);
    bool fits;

    if (change->op == STAGED_REPLICAS)
        return STAGED_E_OK;
    if (!member)
        return STAGED_E_NO_MEMBER;
    if (change->op == STAGED_JOIN)
        fits = member->state == RINGMAP_STATE_JOINING;
    else if (change->op == STAGED_LEAVE)
        fits = member->state == RINGMAP_STATE_ACTIVE;
    else
        fits = member->state != RINGMAP_STATE_REMOVED;
    return fits ? STAGED_E_OK : STAGED_E_STATE;
}

static void take_out(struct staged *staged, uint32_t index)
{
    staged->count--;
    memmove(&staged->changes[index], &staged->changes[index + 1],
            (staged->count - index) * sizeof *staged->changes);
}

static void apply_state(struct ringmap_member *member, uint8_t op)
{
    if (op == STAGED_JOIN)
        member->state = RINGMAP_STATE_ACTIVE;
    else if (op == STAGED_LEAVE)
        member->state = RINGMAP_STATE_LEAVING;
    else
        member->state = RINGMAP_STATE_REMOVED;
}

/* members: those of the map, or copies. */
static void apply(const struct staged *staged, const struct ringmap *map,
                  struct ringmap_member *members)
{
    for (uint32_t i = 0; i < staged->count; i++) {
        const struct staged_change *change = &staged->changes[i];
        struct ringmap_member *member;

        if (change->op == STAGED_REPLICAS)
            continue;
        member = &members[ringmap_member(map, change->member) - map->members];
        if (moves_member(change->op))
            apply_state(member, change->op);
        else if (change->op == STAGED_WEIGHT)
            member->weight = change->value;
        else
            memcpy(member->zone, change->zone, sizeof member->zone);
    }
}

/* Whether anybody would be active. */
static bool anybody_active(const struct staged *staged, const struct ringmap *map)
{
    for (uint32_t i = 0; i < map->member_count; i++) {
        bool active = map->members[i].state == RINGMAP_STATE_ACTIVE;

        for (uint32_t k = 0; k < staged->count; k++) {
            if (staged->changes[k].member == map->members[i].id &&
                moves_member(staged->changes[k].op))
                active = staged->changes[k].op == STAGED_JOIN;
        }
        if (active)
            return true;
    }
    return false;
}

int staged_add(struct staged *staged, const struct ringmap *now, const struct staged_change *change)
{
    struct staged with = *staged;
    int r;

    if (!change_valid(change))
        return STAGED_E_VALUE;
    r = change_fits(change, now);
    if (r != 0)
        return r;
    for (uint32_t i = with.count; i-- > 0;) {
        if (replaces(change, &with.changes[i]))
            take_out(&with, i);
    }
    if (with.count == STAGED_MAX)
        return STAGED_E_FULL;
    with.changes[with.count++] = *change;
    if (!anybody_active(&with, now))
        return STAGED_E_NOBODY;
    *staged = with;
    return STAGED_E_OK;
}

static uint32_t wanted_replicas(const struct staged *staged, const struct ringmap *now)
{
    for (uint32_t i = 0; i < staged->count; i++) {
        if (staged->changes[i].op == STAGED_REPLICAS)
            return staged->changes[i].value;
    }
    return ringmap_copies(now);
}

int staged_wanted(const struct staged *staged, const struct ringmap *now, const bool *alive,
                  struct ringmap *wanted, struct placement_cost *cost)
{
    uint32_t replicas = wanted_replicas(staged, now);
    struct ringmap map;
    uint16_t *rows;
    int r = ringmap_copy(&map, now);

    if (r < 0)
        return r;
    rows = calloc((size_t)now->partition_count * replicas, sizeof *rows);
    if (!rows) {
        ringmap_deinit(&map);
        return -ENOMEM;
    }
    free(map.target);
    map.target = NULL;
    free(map.replicas);
    map.replicas = rows;
    map.replica_count = replicas;
    map.epoch = now->epoch + 1;
    apply(staged, now, map.members);
    r = placement_change(now, &map, cost);
    if (r == PLACEMENT_E_OK)
        r = voters_choose(&map, alive);
    else if (r == PLACEMENT_E_NO_MEMBERS)
        r = STAGED_E_NOBODY;
    if (r != 0) {
        ringmap_deinit(&map);
        return r;
    }
    *wanted = map;
    return 0;
}
