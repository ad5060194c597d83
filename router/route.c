#include "router/route.h"

#include "router/router_internal.h"

/* So many hints are followed at once before a pause: two members may each name the other. */
#define ROUTE_FOLLOWS_MAX 3u
#define ROUTE_STALLS_MAX  16u

/* Places of a partition: of its wanted row, then, while the map moves, of the row it comes from. */
static uint32_t route_place_count(const struct ringmap *map)
{
    return map->replica_count * (map->target ? 2u : 1u);
}

/* The member in that place; 0: it is free. */
static uint16_t route_place(const struct ringmap *map, uint16_t partition, uint32_t place)
{
    if (place < map->replica_count)
        return ringmap_wanted(map, partition)[place];
    return ringmap_row(map, partition)[place - map->replica_count];
}

bool route_answers(const struct router *router, uint16_t member)
{
    return pool_answers(&router->pool, member, router->now_ms, router->options.attempt_ms);
}

/* Someone who serves, another with each stall. */
static uint16_t route_anyone(const struct router *router, const struct lane *lane)
{
    const struct ringmap *map = &router->map;

    for (uint32_t i = 0; i < map->member_count; i++) {
        const struct ringmap_member *member =
            &map->members[(lane->partition + lane->stalls + i) % map->member_count];

        if (ringmap_takes_part(member->state) && pool_up(&router->pool, member->id))
            return member->id;
    }
    return 0;
}

static uint16_t route_from(const struct router *router, struct lane *lane, uint32_t from)
{
    uint32_t count = route_place_count(&router->map);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = (from + i) % count;
        uint16_t member = route_place(&router->map, lane->partition, place);

        if (route_answers(router, member)) {
            lane->place = (uint8_t)place;
            return member;
        }
    }
    return route_anyone(router, lane);
}

bool route_exists(const struct router *router, uint16_t partition)
{
    uint32_t count = route_place_count(&router->map);

    for (uint32_t place = 0; place < count; place++)
        if (pool_up(&router->pool, route_place(&router->map, partition, place)))
            return true;
    return false;
}

uint16_t route_first(const struct router *router, struct lane *lane)
{
    if (route_answers(router, lane->leader))
        return lane->leader;
    return route_from(router, lane, lane->place);
}

uint16_t route_next(const struct router *router, struct lane *lane)
{
    return route_from(router, lane, lane->place + 1u);
}

/* Doubles with each stall in a row, with jitter so that lanes do not come in step. */
static uint64_t route_pause(struct router *router, struct lane *lane)
{
    uint64_t pause = (uint64_t)router->options.retry_ms_min << lane->stalls;

    if (pause > router->options.retry_ms_max)
        pause = router->options.retry_ms_max;
    if (lane->stalls < ROUTE_STALLS_MAX)
        lane->stalls++;
    return pause / 2 + router_random(router) % (pause / 2 + 1);
}

uint64_t route_after_stall(struct router *router, struct lane *lane)
{
    uint16_t before = lane->target;

    if (lane->next == LANE_NEXT_AGAIN && pool_up(&router->pool, before))
        return 0;
    if (lane->next == LANE_NEXT_HINT && route_answers(router, lane->hint)) {
        lane->target = lane->hint;
        if (lane->hint != before && lane->follows < ROUTE_FOLLOWS_MAX) {
            lane->follows++;
            return 0;
        }
        return route_pause(router, lane);
    }
    if (lane->next > LANE_NEXT_AGAIN || !pool_up(&router->pool, before))
        lane->target = route_next(router, lane);
    return route_pause(router, lane);
}
