#include "placement_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#define ROUNDING 1e-5

struct ringmap model_cluster(uint32_t members, uint32_t partitions, uint32_t replicas)
{
    struct ringmap map;

    cr_assert_eq(ringmap_init(&map, members, partitions, replicas), 0);
    for (uint32_t i = 0; i < members; i++) {
        map.members[i].id = (uint16_t)(i + 1);
        map.members[i].state = RINGMAP_STATE_ACTIVE;
        map.members[i].weight = RINGMAP_WEIGHT_DEFAULT;
    }
    return map;
}

void model_zone(struct ringmap *map, uint32_t slot, uint32_t zone)
{
    memset(map->members[slot].zone, 0, RINGMAP_ZONE_SIZE);
    snprintf(map->members[slot].zone, RINGMAP_ZONE_SIZE, "zone-%u", zone);
}

static uint32_t any_partitions(struct dice *dice, uint32_t most)
{
    uint32_t partitions = 8;

    while (partitions < most && dice_below(dice, 4) > 0)
        partitions *= 2;
    return partitions;
}

struct ringmap model_any(struct dice *dice, uint32_t members, uint32_t partitions)
{
    struct ringmap map =
        model_cluster(1 + (uint32_t)dice_below(dice, members), any_partitions(dice, partitions),
                      1 + (uint32_t)dice_below(dice, RINGMAP_REPLICAS_MAX));
    uint32_t zones = 1 + (uint32_t)dice_below(dice, 12);
    unsigned spread = (unsigned)dice_below(dice, 2) * (1 + (unsigned)dice_below(dice, 10));

    for (uint32_t i = 0; i < map.member_count; i++) {
        model_zone(&map, i, (uint32_t)dice_below(dice, zones));
        map.members[i].weight = 100 + (uint32_t)dice_number(dice, spread);
        if (i > 0 && dice_below(dice, 20) == 0)
            map.members[i].state = RINGMAP_STATE_LEAVING;
    }
    return map;
}

static void change_one(struct dice *dice, struct ringmap *map)
{
    uint32_t slot = (uint32_t)dice_below(dice, map->member_count);

    switch (dice_below(dice, 5)) {
    case 0:
        map->members[slot].state = RINGMAP_STATE_LEAVING;
        break;
    case 1:
        map->members[slot].state = RINGMAP_STATE_REMOVED;
        break;
    case 2:
        map->members[slot].state = RINGMAP_STATE_ACTIVE;
        break;
    case 3:
        map->members[slot].weight = 1 + (uint32_t)dice_number(dice, 9);
        break;
    default:
        model_zone(map, slot, (uint32_t)dice_below(dice, 8));
        break;
    }
}

struct ringmap model_changed(struct dice *dice, const struct ringmap *from)
{
    uint32_t joining = dice_below(dice, 2) ? (uint32_t)dice_below(dice, 4) : 0;
    uint32_t replicas = dice_below(dice, 4) ? from->replica_count
                                            : 1 + (uint32_t)dice_below(dice, RINGMAP_REPLICAS_MAX);
    struct ringmap map =
        model_cluster(from->member_count + joining, from->partition_count, replicas);

    memcpy(map.members, from->members, from->member_count * sizeof *map.members);
    for (uint32_t i = from->member_count; i < map.member_count; i++)
        model_zone(&map, i, (uint32_t)dice_below(dice, 8));
    for (uint64_t i = dice_below(dice, 4); i > 0; i--)
        change_one(dice, &map);
    if (model_copies(&map) == 0)
        map.members[0].state = RINGMAP_STATE_ACTIVE;
    return map;
}

static bool active(const struct ringmap *map, uint32_t slot)
{
    return map->members[slot].state == RINGMAP_STATE_ACTIVE;
}

uint32_t model_copies(const struct ringmap *map)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < map->member_count; i++)
        count += active(map, i);
    return count < map->replica_count ? count : map->replica_count;
}

static bool first_of_zone(const struct ringmap *map, uint32_t slot)
{
    for (uint32_t i = 0; i < slot; i++) {
        if (active(map, i) && strcmp(map->members[i].zone, map->members[slot].zone) == 0)
            return false;
    }
    return active(map, slot);
}

static uint32_t zone_members(const struct ringmap *map, const char *zone)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < map->member_count; i++)
        count += active(map, i) && strcmp(map->members[i].zone, zone) == 0;
    return count;
}

static uint32_t places_at(const struct ringmap *map, uint32_t level)
{
    uint32_t places = 0;

    for (uint32_t i = 0; i < map->member_count; i++) {
        uint32_t members = first_of_zone(map, i) ? zone_members(map, map->members[i].zone) : 0;

        places += members < level ? members : level;
    }
    return places;
}

void model_zone_bounds(const struct ringmap *map, const char *zone, uint32_t *low, uint32_t *high)
{
    uint32_t members = zone_members(map, zone);
    uint32_t level = 1;

    while (places_at(map, level) < model_copies(map))
        level++;
    *low = members < level - 1 ? members : level - 1;
    *high = members < level ? members : level;
}

/* What members of a zone hold at a level of fill, capped at Q each. */
static double zone_fill(const struct ringmap *map, const char *zone, double level)
{
    double sum = 0;

    for (uint32_t i = 0; i < map->member_count; i++) {
        if (active(map, i) && strcmp(map->members[i].zone, zone) == 0)
            sum += fmin(map->partition_count, level * map->members[i].weight);
    }
    return sum;
}

static double zone_fill_bounded(const struct ringmap *map, const char *zone, double level)
{
    uint32_t low, high;

    model_zone_bounds(map, zone, &low, &high);
    return fmax((double)low * map->partition_count,
                fmin((double)high * map->partition_count, zone_fill(map, zone, level)));
}

double *model_ideals(const struct ringmap *map)
{
    double *ideals = calloc(map->member_count, sizeof *ideals);
    double low = 0;
    double high = 5000;

    cr_assert_not_null(ideals);
    for (unsigned step = 0; step < 100; step++) {
        double level = (low + high) / 2;
        double sum = 0;

        for (uint32_t i = 0; i < map->member_count; i++)
            sum += first_of_zone(map, i) ? zone_fill_bounded(map, map->members[i].zone, level) : 0;
        *(sum < (double)map->partition_count * model_copies(map) ? &low : &high) = level;
    }
    for (uint32_t i = 0; i < map->member_count; i++) {
        double wanted = zone_fill_bounded(map, map->members[i].zone, high);
        double zone_low = 0;
        double zone_high = 5000;

        for (unsigned step = 0; active(map, i) && step < 100; step++) {
            double level = (zone_low + zone_high) / 2;

            *(zone_fill(map, map->members[i].zone, level) < wanted ? &zone_low : &zone_high) =
                level;
        }
        if (active(map, i))
            ideals[i] = fmin(map->partition_count, zone_high * map->members[i].weight);
    }
    return ideals;
}

double *model_lead_ideals(const struct ringmap *map)
{
    double *ideals = calloc(map->member_count, sizeof *ideals);
    double weights = 0;

    cr_assert_not_null(ideals);
    for (uint32_t i = 0; i < map->member_count; i++)
        weights += active(map, i) ? map->members[i].weight : 0;
    for (uint32_t i = 0; i < map->member_count; i++)
        ideals[i] = active(map, i) ? map->partition_count * map->members[i].weight / weights : 0;
    return ideals;
}

static uint32_t slot_of(const struct ringmap *map, uint16_t id)
{
    return (uint32_t)(ringmap_member(map, id) - map->members);
}

uint32_t *model_held(const struct ringmap *map)
{
    uint32_t *held = calloc(map->member_count, sizeof *held);

    cr_assert_not_null(held);
    for (uint32_t p = 0; p < map->partition_count; p++) {
        for (uint32_t i = 0; i < model_copies(map); i++)
            held[slot_of(map, ringmap_row(map, (uint16_t)p)[i])]++;
    }
    return held;
}

uint32_t *model_led(const struct ringmap *map)
{
    uint32_t *led = calloc(map->member_count, sizeof *led);

    cr_assert_not_null(led);
    for (uint32_t p = 0; p < map->partition_count; p++)
        led[slot_of(map, ringmap_row(map, (uint16_t)p)[0])]++;
    return led;
}

uint32_t model_in_zone(const struct ringmap *map, uint32_t partition, const char *zone)
{
    const uint16_t *row = ringmap_row(map, (uint16_t)partition);
    uint32_t in_zone = 0;

    for (uint32_t i = 0; i < model_copies(map); i++)
        in_zone += strcmp(ringmap_member(map, row[i])->zone, zone) == 0;
    return in_zone;
}

static void expect_rows_valid(const struct ringmap *map)
{
    uint32_t copies = model_copies(map);

    for (uint32_t p = 0; p < map->partition_count; p++) {
        const uint16_t *row = ringmap_row(map, (uint16_t)p);

        for (uint32_t i = 0; i < map->replica_count; i++) {
            cr_assert_eq(row[i] == 0, i >= copies, "free places are the last");
            if (row[i] == 0)
                continue;
            cr_assert_leq(row[i], map->member_count);
            cr_assert_eq(map->members[row[i] - 1].state, RINGMAP_STATE_ACTIVE);
            for (uint32_t j = 0; j < i; j++)
                cr_assert_neq(row[i], row[j]);
            cr_assert(i < 2 || row[i] > row[i - 1], "followers by ascending id");
        }
    }
}

uint32_t model_moves(const struct ringmap *before, const struct ringmap *after)
{
    uint32_t moves = 0;

    for (uint32_t p = 0; p < after->partition_count; p++) {
        for (uint32_t i = 0; i < model_copies(after); i++)
            moves += !ringmap_holds(before, (uint16_t)p, ringmap_row(after, (uint16_t)p)[i]);
    }
    return moves;
}

/* Minimum-cost flow by successive shortest paths (Bellman and Ford with a queue) over arcs that
 * are all stored. A lower bound is a part of an arc that is paid for generously. */
#define REWARD 100000

struct model_arc {
    uint32_t to, next;
    int32_t room, cost;
};

struct model_flow {
    struct model_arc *arcs;
    uint32_t arc_count, arcs_max;
    uint32_t *first;
    int64_t *distance;
    uint32_t *by; /* arc by which a node was reached */
    bool *queued;
    uint32_t *queue;
    uint32_t nodes;
};

static void flow_arc(struct model_flow *flow, uint32_t from, uint32_t to, uint32_t room,
                     int32_t cost)
{
    cr_assert_leq(flow->arc_count + 2, flow->arcs_max);
    flow->arcs[flow->arc_count] = (struct model_arc){to, flow->first[from], (int32_t)room, cost};
    flow->first[from] = flow->arc_count++;
    flow->arcs[flow->arc_count] = (struct model_arc){from, flow->first[to], 0, -cost};
    flow->first[to] = flow->arc_count++;
}

static void flow_bounded(struct model_flow *flow, uint32_t from, uint32_t to, uint32_t low,
                         uint32_t high)
{
    flow_arc(flow, from, to, low, -REWARD);
    flow_arc(flow, from, to, high - low, 0);
}

/* One unit from node 0 to node 1 along a cheapest path; its cost, or INT64_MAX. */
static int64_t flow_send(struct model_flow *flow)
{
    uint32_t head = 0, tail = 0;

    for (uint32_t i = 0; i < flow->nodes; i++)
        flow->distance[i] = INT64_MAX;
    flow->distance[0] = 0;
    flow->queue[tail++] = 0;
    while (head != tail) {
        uint32_t node = flow->queue[head];

        head = (head + 1) % (flow->nodes + 1);
        flow->queued[node] = false;
        for (uint32_t a = flow->first[node]; a != UINT32_MAX; a = flow->arcs[a].next) {
            struct model_arc *arc = &flow->arcs[a];

            if (arc->room == 0 || flow->distance[node] + arc->cost >= flow->distance[arc->to])
                continue;
            flow->distance[arc->to] = flow->distance[node] + arc->cost;
            flow->by[arc->to] = a;
            if (!flow->queued[arc->to]) {
                flow->queued[arc->to] = true;
                flow->queue[tail] = arc->to;
                tail = (tail + 1) % (flow->nodes + 1);
            }
        }
    }
    for (uint32_t at = 1; flow->distance[1] < INT64_MAX && at != 0;) {
        flow->arcs[flow->by[at]].room--;
        flow->arcs[flow->by[at] ^ 1].room++;
        at = flow->arcs[flow->by[at] ^ 1].to;
    }
    return flow->distance[1];
}

/* Nodes: source, terminal, members, rows, and for each row its zones, by the zone's first slot. */
static void flow_build(struct model_flow *flow, const struct ringmap *before,
                       const struct ringmap *after, const double *ideals)
{
    uint32_t members = after->member_count;

    for (uint32_t i = 0; i < members; i++) {
        uint32_t low = (uint32_t)fmax(0, ceil(ideals[i] - 1 - ROUNDING));
        uint32_t high = (uint32_t)fmin(after->partition_count, floor(ideals[i] + 1 + ROUNDING));

        if (active(after, i))
            flow_bounded(flow, 2 + i, 1, low, high);
    }
    for (uint32_t p = 0; p < after->partition_count; p++) {
        uint32_t row = 2 + members + p * (members + 1);

        flow_arc(flow, 0, row, model_copies(after), 0);
        for (uint32_t i = 0; i < members; i++) {
            uint32_t zone = 0, low, high;

            if (!active(after, i))
                continue;
            while (strcmp(after->members[zone].zone, after->members[i].zone) != 0 ||
                   !active(after, zone))
                zone++;
            model_zone_bounds(after, after->members[i].zone, &low, &high);
            if (zone == i)
                flow_bounded(flow, row, row + 1 + zone, low, high);
            flow_arc(flow, row + 1 + zone, 2 + i, 1,
                     !ringmap_holds(before, (uint16_t)p, after->members[i].id));
        }
    }
}

static struct model_flow flow_make(uint32_t nodes)
{
    struct model_flow flow = {.arcs_max = 16 * nodes, .nodes = nodes};

    flow.arcs = calloc(flow.arcs_max, sizeof *flow.arcs);
    flow.first = malloc(nodes * sizeof *flow.first);
    flow.distance = calloc(nodes, sizeof *flow.distance);
    flow.by = calloc(nodes, sizeof *flow.by);
    flow.queued = calloc(nodes, sizeof *flow.queued);
    flow.queue = calloc(nodes + 1, sizeof *flow.queue);
    memset(flow.first, 0xff, nodes * sizeof *flow.first);
    return flow;
}

static void flow_free(struct model_flow *flow)
{
    free(flow->arcs);
    free(flow->first);
    free(flow->distance);
    free(flow->by);
    free(flow->queued);
    free(flow->queue);
}

uint32_t model_moves_least(const struct ringmap *before, const struct ringmap *after)
{
    struct model_flow flow =
        flow_make(2 + after->member_count + after->partition_count * (after->member_count + 1));
    double *ideals = model_ideals(after);
    int64_t cost = 0;

    flow_build(&flow, before, after, ideals);
    for (uint32_t unit = 0; unit < after->partition_count * model_copies(after); unit++) {
        int64_t one = flow_send(&flow);

        cr_assert_lt(one, INT64_MAX);
        cost += one;
    }
    free(ideals);
    flow_free(&flow);
    /* All rewards taken, which are multiples of REWARD, it is a rest below REWARD. */
    return (uint32_t)(((cost % REWARD) + REWARD) % REWARD);
}

/* Whether the rows have leaders such that everybody leads within `slack` of the ideal. */
static bool can_lead_within(const struct ringmap *map, const double *ideals, double slack)
{
    struct model_flow flow = flow_make(2 + map->member_count + map->partition_count);
    int64_t owed = 0, cost = 0, one = 0;
    uint32_t sent = 0;

    for (uint32_t i = 0; i < map->member_count; i++) {
        uint32_t low = (uint32_t)fmax(0, ceil(ideals[i] - slack - ROUNDING));

        flow_bounded(&flow, 2 + i, 1, low, (uint32_t)floor(ideals[i] + slack + ROUNDING));
        owed += low;
    }
    for (uint32_t p = 0; p < map->partition_count; p++) {
        flow_arc(&flow, 0, 2 + map->member_count + p, 1, 0);
        for (uint32_t i = 0; i < model_copies(map); i++)
            flow_arc(&flow, 2 + map->member_count + p,
                     2 + slot_of(map, ringmap_row(map, (uint16_t)p)[i]), 1, 0);
    }
    for (; sent < map->partition_count && one < INT64_MAX; sent += one < INT64_MAX) {
        one = flow_send(&flow);
        cost += one < INT64_MAX ? one : 0;
    }
    flow_free(&flow);
    return sent == map->partition_count && cost == -owed * REWARD;
}

void model_expect_placed(const struct ringmap *map, uint64_t seed)
{
    double *ideals = model_ideals(map);
    double *lead_ideals = model_lead_ideals(map);
    uint32_t *held, *led;
    double lead_off = 0;

    expect_rows_valid(map);
    held = model_held(map);
    led = model_led(map);
    for (uint32_t i = 0; i < map->member_count; i++) {
        cr_assert_leq(fabs(held[i] - ideals[i]), 1 + ROUNDING, "seed %lu member %u holds %u of %f",
                      (unsigned long)seed, i + 1, held[i], ideals[i]);
        lead_off = fmax(lead_off, fabs(led[i] - lead_ideals[i]));
    }
    cr_assert(lead_off <= 1 + ROUNDING ||
                  !can_lead_within(map, lead_ideals, ceil(lead_off - ROUNDING) - 1),
              "seed %lu: leaders are off by %f and need not be", (unsigned long)seed, lead_off);
    for (uint32_t i = 0; i < map->member_count; i++) {
        uint32_t low, high;

        if (!first_of_zone(map, i))
            continue;
        model_zone_bounds(map, map->members[i].zone, &low, &high);
        for (uint32_t p = 0; p < map->partition_count; p++) {
            uint32_t in_zone = model_in_zone(map, p, map->members[i].zone);

            cr_assert(in_zone >= low && in_zone <= high,
                      "seed %lu partition %u: %u in %s, %u to %u", (unsigned long)seed, p, in_zone,
                      map->members[i].zone, low, high);
        }
    }
    free(ideals);
    free(lead_ideals);
    free(held);
    free(led);
}
