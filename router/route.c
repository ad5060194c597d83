#include "router/route.h"

#include "router/router_internal.h"

/* So many hints are followed at once before a pause: two members may each name the other. */
#define ROUTE_FOLLOWS_MAX 3u
#define ROUTE_STALLS_MAX  16u

static uint16_t route_from(const struct router *router, struct lane *lane, uint32_t from)
{
    const uint16_t *row = ringmap_row(&router->map, lane->partition);
    uint32_t count = router->map.replica_count;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = (from + i) % count;

        if (pool_up(&router->pool, row[place])) {
            lane->place = (uint8_t)place;
            return row[place];
        }
    }
    return 0;
}

uint16_t route_first(const struct router *router, struct lane *lane)
{
    if (pool_up(&router->pool, lane->leader))
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
    if (lane->next == LANE_NEXT_HINT && pool_up(&router->pool, lane->hint)) {
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
