#include "ring/assign.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ring/mix.h"

#define NONE UINT32_MAX
#define FAR  INT32_MAX

/* Of a pair (row, member): one new pair outweighs what all others can cost together. */
#define COST_FIRST 0
#define COST_LATER 1
#define COST_NEW   65536

/* Nodes of the network, numbered in this order: the rows; `slots` for each row, which stand for the
 * zones of that row; the members; the terminal. With few zones slot z of a row is zone z. With
 * many, where a row has at most one member of a zone, slot i is the zone of its i-th cell, and a
 * zone that has no cell in the row is passed through on the way from the row to a member without a
 * node. Cost of the pair (row, member): 0 if it was there before, else 1. Invariant: no residual
 * arc has a negative cost after prices (cost + price[from] - price[to]). */
struct flow {
    const struct assign *assign;
    uint32_t slots;
    bool many_zones;
    uint32_t first_slot, first_member, terminal, nodes;
    uint32_t *zone_of; /* member -> zone */
    uint32_t *held;    /* member -> rows it is in */
    int64_t balance;   /* what members must take at least or hold, beyond rows * width: what the
                          terminal supplies, or demands when it is negative */
    uint32_t *order;   /* the cells, shuffled, so that members give up pairs all over the table */
    uint32_t *list;    /* cells by member, as of the last search */
    uint32_t *list_first;
    int32_t *price;
    int32_t *distance;
    uint32_t *level; /* NONE: not on any shortest path, or tried in vain */
    uint32_t *cursor;
    uint32_t *queue; /* of the search; then the path of the walk */
};

struct arc {
    uint32_t to;
    int32_t cost;
};

static uint16_t *row_cells(const struct flow *flow, uint32_t row)
{
    return flow->assign->cells + (size_t)row * flow->assign->width;
}

static bool row_has(const struct flow *flow, uint32_t row, uint32_t member)
{
    const uint16_t *cells = row_cells(flow, row);

    for (uint32_t i = 0; i < flow->assign->width; i++) {
        if (cells[i] == member)
            return true;
    }
    return false;
}

static int32_t pair_cost(const struct flow *flow, uint32_t row, uint32_t member)
{
    const uint16_t *before = flow->assign->before + (size_t)row * flow->assign->before_width;

    for (uint32_t i = 0; i < flow->assign->before_width; i++) {
        if (before[i] == member)
            return i > 0 ? COST_LATER : COST_FIRST;
    }
    return COST_NEW;
}

static uint32_t row_in_zone(const struct flow *flow, uint32_t row, uint32_t zone)
{
    const uint16_t *cells = row_cells(flow, row);
    uint32_t count = 0;

    for (uint32_t i = 0; i < flow->assign->width; i++)
        count += cells[i] != ASSIGN_NONE && flow->zone_of[cells[i]] == zone;
    return count;
}

/* Places of a row that are neither taken nor owed to a zone below its bound. */
static uint32_t row_supply(const struct flow *flow, uint32_t row)
{
    const struct assign *assign = flow->assign;
    uint32_t used = 0;

    for (uint32_t i = 0; i < assign->width; i++)
        used += row_cells(flow, row)[i] != ASSIGN_NONE;
    for (uint32_t zone = 0; !flow->many_zones && zone < assign->zones; zone++) {
        uint32_t count = row_in_zone(flow, row, zone);

        used += count < assign->zone_low[zone] ? assign->zone_low[zone] - count : 0;
    }
    assert(used <= assign->width);
    return assign->width - used;
}

static uint32_t slot_zone(const struct flow *flow, uint32_t row, uint32_t slot)
{
    uint16_t member;

    if (!flow->many_zones)
        return slot;
    member = row_cells(flow, row)[slot];
    return member == ASSIGN_NONE ? NONE : flow->zone_of[member];
}

static uint32_t slot_node(const struct flow *flow, uint32_t row, uint32_t slot)
{
    return flow->first_slot + row * flow->slots + slot;
}

/* The slot of a member that is in the row. */
static uint32_t member_slot(const struct flow *flow, uint32_t row, uint32_t member)
{
    const uint16_t *cells = row_cells(flow, row);
    uint32_t i = 0;

    if (!flow->many_zones)
        return flow->zone_of[member];
    while (cells[i] != member)
        i++;
    return i;
}

/* What a node still has to send. */
static bool is_source(const struct flow *flow, uint32_t node)
{
    uint32_t slot = node - flow->first_slot;

    if (node < flow->first_slot)
        return row_supply(flow, node) > 0;
    if (node < flow->first_member)
        return !flow->many_zones && row_in_zone(flow, slot / flow->slots, slot % flow->slots) <
                                        flow->assign->zone_low[slot % flow->slots];
    return node == flow->terminal && flow->balance > 0;
}

static bool is_sink(const struct flow *flow, uint32_t node)
{
    if (node == flow->terminal)
        return flow->balance < 0;
    return node >= flow->first_member && flow->held[node - flow->first_member] <
                                             flow->assign->member_low[node - flow->first_member];
}

/* Whether a walk or a search has use for an arc that is open: checked first, as it is cheap. */
static inline bool wanted(const struct flow *flow, bool walking, uint32_t from, struct arc arc)
{
    int32_t priced = arc.cost + flow->price[from] - flow->price[arc.to];

    if (walking)
        return priced == 0 && flow->level[arc.to] == flow->level[from] + 1;
    return flow->distance[from] + priced < flow->distance[arc.to];
}

/* A pair that the row may take up: of the zone, or, with NONE, of one that has no slot in it. */
static bool may_join(const struct flow *flow, uint32_t row, uint32_t zone, uint32_t member)
{
    if (zone == NONE ? row_in_zone(flow, row, flow->zone_of[member]) > 0
                     : flow->zone_of[member] != zone)
        return false;
    return !row_has(flow, row, member);
}

/* Arcs to members: first the pairs of before, then all others. *cursor stays on the arc that is
 * returned. */
static inline struct arc next_member(const struct flow *flow, bool walking, uint32_t from,
                                     uint32_t row, uint32_t zone, uint32_t *cursor)
{
    const struct assign *assign = flow->assign;
    const uint16_t *before = assign->before + (size_t)row * assign->before_width;
    const uint16_t *allowed =
        assign->allowed ? assign->allowed + (size_t)row * assign->allowed_width : NULL;
    uint32_t first = zone == NONE ? 0 : assign->zone_first[zone];
    uint32_t end = zone == NONE ? assign->members : assign->zone_first[zone + 1];
    uint32_t count = allowed ? assign->allowed_width : end - first;

    for (; *cursor < assign->before_width; ++*cursor) {
        struct arc arc = {flow->first_member + before[*cursor],
                          *cursor > 0 ? COST_LATER : COST_FIRST};

        if (before[*cursor] != ASSIGN_NONE && wanted(flow, walking, from, arc) &&
            may_join(flow, row, zone, before[*cursor]))
            return arc;
    }
    for (; *cursor < assign->before_width + count; ++*cursor) {
        uint32_t at = *cursor - assign->before_width;
        uint32_t member = allowed ? allowed[at] : first + at;
        struct arc arc = {flow->first_member + member, COST_NEW};

        if (wanted(flow, walking, from, arc) && may_join(flow, row, zone, member) &&
            pair_cost(flow, row, member) == COST_NEW)
            return arc;
    }
    return (struct arc){NONE, 0};
}

static inline struct arc next_of_row(const struct flow *flow, bool walking, uint32_t row,
                                     uint32_t *cursor)
{
    if (flow->many_zones)
        return next_member(flow, walking, row, row, NONE, cursor);
    for (; *cursor < flow->slots; ++*cursor) {
        struct arc arc = {slot_node(flow, row, *cursor), 0};
        uint32_t count;

        if (!wanted(flow, walking, row, arc))
            continue;
        count = row_in_zone(flow, row, *cursor);
        if (count >= flow->assign->zone_low[*cursor] && count < flow->assign->zone_high[*cursor])
            return arc;
    }
    return (struct arc){NONE, 0};
}

static inline struct arc next_of_slot(const struct flow *flow, bool walking, uint32_t node,
                                      uint32_t *cursor)
{
    uint32_t row = (node - flow->first_slot) / flow->slots;
    uint32_t zone = slot_zone(flow, row, (node - flow->first_slot) % flow->slots);
    uint32_t at;
    struct arc arc = {row, 0};

    if (*cursor == 0) {
        if (wanted(flow, walking, node, arc) &&
            row_in_zone(flow, row, zone) > flow->assign->zone_low[zone])
            return arc;
        ++*cursor;
    }
    at = *cursor - 1;
    arc = next_member(flow, walking, node, row, zone, &at);
    *cursor = at + 1;
    return arc;
}

static inline struct arc next_of_member(const struct flow *flow, bool walking, uint32_t node,
                                        uint32_t *cursor)
{
    uint32_t member = node - flow->first_member;
    uint32_t count = flow->list_first[member + 1] - flow->list_first[member];

    if (*cursor == 0) {
        struct arc arc = {flow->terminal, 0};

        if (wanted(flow, walking, node, arc) &&
            flow->held[member] >= flow->assign->member_low[member] &&
            flow->held[member] < flow->assign->member_high[member])
            return arc;
        ++*cursor;
    }
    for (; *cursor <= count; ++*cursor) {
        uint32_t cell = flow->list[flow->list_first[member] + *cursor - 1];
        uint32_t row = cell / flow->assign->width;
        struct arc arc;

        if (flow->assign->cells[cell] != member)
            continue;
        arc = (struct arc){slot_node(flow, row, member_slot(flow, row, member)),
                           -pair_cost(flow, row, member)};
        if (wanted(flow, walking, node, arc))
            return arc;
    }
    return (struct arc){NONE, 0};
}

static inline struct arc next_of_terminal(const struct flow *flow, bool walking, uint32_t *cursor)
{
    for (; *cursor < flow->assign->members; ++*cursor) {
        struct arc arc = {flow->first_member + *cursor, 0};

        if (flow->held[*cursor] > flow->assign->member_low[*cursor] &&
            wanted(flow, walking, flow->terminal, arc))
            return arc;
    }
    return (struct arc){NONE, 0};
}

/* The next open arc from *cursor on that is wanted; to: NONE when there is none. */
static inline struct arc next_arc(const struct flow *flow, bool walking, uint32_t node,
                                  uint32_t *cursor)
{
    if (node < flow->first_slot)
        return next_of_row(flow, walking, node, cursor);
    if (node < flow->first_member)
        return next_of_slot(flow, walking, node, cursor);
    if (node < flow->terminal)
        return next_of_member(flow, walking, node, cursor);
    return next_of_terminal(flow, walking, cursor);
}

/* Shortest paths */

static void list_cells(struct flow *flow)
{
    uint32_t cells = flow->assign->rows * flow->assign->width;

    flow->list_first[0] = 0;
    for (uint32_t i = 0; i < flow->assign->members; i++)
        flow->list_first[i + 1] = flow->list_first[i] + flow->held[i];
    for (uint32_t i = 0; i < cells; i++) {
        uint16_t member = flow->assign->cells[flow->order[i]];

        if (member != ASSIGN_NONE)
            flow->list[--flow->list_first[member + 1]] = flow->order[i];
    }
    for (uint32_t i = 0; i < flow->assign->members; i++)
        flow->list_first[i + 1] = flow->list_first[i] + flow->held[i];
}

static uint32_t search_begin(struct flow *flow)
{
    uint32_t tail = 0;

    list_cells(flow);
    for (uint32_t node = 0; node < flow->nodes; node++) {
        bool source = is_source(flow, node);

        flow->distance[node] = source ? 0 : FAR;
        flow->level[node] = source ? 0 : NONE;
        flow->cursor[node] = 0;
        if (source)
            flow->queue[tail++] = node;
    }
    return tail;
}

/* Takes the nodes at the next greater distance into the queue; returns that, or FAR. */
static int32_t search_farther(struct flow *flow, int32_t distance, uint32_t *tail)
{
    int32_t next = FAR;

    for (uint32_t node = 0; node < flow->nodes; node++) {
        if (flow->distance[node] > distance && flow->distance[node] < next)
            next = flow->distance[node];
    }
    for (uint32_t node = 0; next < FAR && node < flow->nodes; node++) {
        if (flow->distance[node] == next)
            flow->queue[(*tail)++] = node;
    }
    return next;
}

/* Relaxes what leaves a node; those at the distance of the search itself go into the queue. */
static void search_from(struct flow *flow, uint32_t node, uint32_t *tail)
{
    int32_t distance = flow->distance[node];
    struct arc arc;

    for (uint32_t cursor = 0; (arc = next_arc(flow, false, node, &cursor)).to != NONE; cursor++) {
        int32_t to = distance + arc.cost + flow->price[node] - flow->price[arc.to];

        assert(to >= distance);
        flow->distance[arc.to] = to;
        flow->level[arc.to] = flow->level[node] + 1;
        if (to == distance)
            flow->queue[(*tail)++] = arc.to;
    }
}

/* Dijkstra over prices, by distances: they are few. Then prices rise so that the shortest paths to
 * sinks cost nothing, and levels are left for the walks along them. Whether a sink was met. */
static bool search(struct flow *flow)
{
    uint32_t tail = search_begin(flow);
    uint32_t head = 0;
    int32_t distance = 0;
    bool met = false;

    while (distance < FAR && !met) {
        for (; head < tail; head++) {
            if (is_sink(flow, flow->queue[head]))
                met = true;
            else
                search_from(flow, flow->queue[head], &tail);
        }
        if (!met)
            distance = search_farther(flow, distance, &tail);
    }
    for (uint32_t node = 0; met && node < flow->nodes; node++) {
        if (flow->distance[node] > distance)
            flow->level[node] = NONE;
        flow->price[node] += flow->distance[node] < distance ? flow->distance[node] : distance;
    }
    return met;
}

/* Changes */

static void change_held(struct flow *flow, uint32_t member, bool more)
{
    uint32_t low = flow->assign->member_low[member];
    uint32_t *held = &flow->held[member];

    if (more)
        flow->balance += *held >= low;
    else
        flow->balance -= *held > low;
    *held += more ? 1 : UINT32_MAX;
}

static uint32_t drop(struct flow *flow, uint32_t row, uint32_t member)
{
    uint16_t *cells = row_cells(flow, row);
    uint32_t i = 0;

    while (cells[i] != member)
        i++;
    cells[i] = ASSIGN_NONE;
    change_held(flow, member, false);
    return i;
}

static void put(struct flow *flow, uint32_t row, uint32_t place, uint32_t member)
{
    uint16_t *cells = row_cells(flow, row);

    for (uint32_t i = 0; place == NONE; i++) {
        assert(i < flow->assign->width);
        if (cells[i] == ASSIGN_NONE)
            place = i;
    }
    assert(cells[place] == ASSIGN_NONE);
    cells[place] = (uint16_t)member;
    change_held(flow, member, true);
}

/* One unit along the path in the queue: a step from a member to a slot drops the pair, one from a
 * row or a slot to a member adds it, in the place that became free. */
static void send(struct flow *flow, uint32_t length)
{
    uint32_t free_place = NONE;
    uint32_t free_zone = NONE;

    for (uint32_t i = 0; i + 1 < length; i++) {
        uint32_t node = flow->queue[i];
        uint32_t to = flow->queue[i + 1];

        if (node >= flow->first_member && node < flow->terminal && to < flow->first_member) {
            free_zone = flow->zone_of[node - flow->first_member];
            free_place =
                drop(flow, (to - flow->first_slot) / flow->slots, node - flow->first_member);
        } else if (node < flow->first_member && to >= flow->first_member) {
            uint32_t row = node < flow->first_slot ? node : (node - flow->first_slot) / flow->slots;
            uint32_t member = to - flow->first_member;

            put(flow, row, free_place, member);
            if (flow->many_zones && flow->zone_of[member] != free_zone) {
                uint32_t slot = slot_node(flow, row, member_slot(flow, row, member));

                flow->price[slot] = flow->price[row]; /* another zone: another node */
                flow->level[slot] = NONE;
            }
            free_place = NONE;
            free_zone = NONE;
        }
    }
}

/* Sends one unit from the source along levels; false: no path is left. */
static bool walk(struct flow *flow, uint32_t source)
{
    uint32_t length = 1;

    flow->queue[0] = source;
    while (length > 0) {
        uint32_t node = flow->queue[length - 1];
        struct arc arc;

        if (is_sink(flow, node)) {
            send(flow, length);
            return true;
        }
        arc = next_arc(flow, true, node, &flow->cursor[node]);
        if (arc.to == NONE) {
            flow->level[node] = NONE;
            length--;
        } else {
            flow->queue[length++] = arc.to;
        }
    }
    return false;
}

static void flow_free(struct flow *flow)
{
    free(flow->zone_of);
    free(flow->held);
    free(flow->order);
    free(flow->list);
    free(flow->list_first);
    free(flow->price);
    free(flow->distance);
    free(flow->level);
    free(flow->cursor);
    free(flow->queue);
}

/* Fisher and Yates; the numbers are SplitMix64's (Steele, Lea, Flood, 2014). */
static void shuffle_cells(struct flow *flow)
{
    uint32_t cells = flow->assign->rows * flow->assign->width;
    uint64_t state = flow->assign->members;

    for (uint32_t i = 0; i < cells; i++) {
        uint32_t j = (uint32_t)(((mix_next(&state) >> 32) * (i + 1)) >> 32);

        flow->order[i] = flow->order[j];
        flow->order[j] = i;
    }
}

static int flow_init(struct flow *flow, const struct assign *assign)
{
    bool many = assign->zones > ASSIGN_WIDTH_MAX;
    uint32_t slots = many ? assign->width : assign->zones;

    *flow = (struct flow){.assign = assign, .slots = slots, .many_zones = many};
    flow->first_slot = assign->rows;
    flow->first_member = flow->first_slot + assign->rows * slots;
    flow->terminal = flow->first_member + assign->members;
    flow->nodes = flow->terminal + 1;
    flow->zone_of = calloc(assign->members, sizeof *flow->zone_of);
    flow->held = calloc(assign->members, sizeof *flow->held);
    flow->order = calloc((size_t)assign->rows * assign->width, sizeof *flow->order);
    flow->list = calloc((size_t)assign->rows * assign->width, sizeof *flow->list);
    flow->list_first = calloc((size_t)assign->members + 1, sizeof *flow->list_first);
    flow->price = calloc(flow->nodes, sizeof *flow->price);
    flow->distance = calloc(flow->nodes, sizeof *flow->distance);
    flow->level = calloc(flow->nodes, sizeof *flow->level);
    flow->cursor = calloc(flow->nodes, sizeof *flow->cursor);
    flow->queue = calloc(flow->nodes, sizeof *flow->queue);
    if (!flow->zone_of || !flow->held || !flow->order || !flow->list || !flow->list_first ||
        !flow->price || !flow->distance || !flow->level || !flow->cursor || !flow->queue)
        return -ENOMEM;
    for (uint32_t zone = 0; zone < assign->zones; zone++) {
        assert(!many || (assign->zone_low[zone] == 0 && assign->zone_high[zone] == 1));
        for (uint32_t i = assign->zone_first[zone]; i < assign->zone_first[zone + 1]; i++)
            flow->zone_of[i] = zone;
    }
    shuffle_cells(flow);
    memset(assign->cells, 0xff, (size_t)assign->rows * assign->width * sizeof *assign->cells);
    flow->balance = -(int64_t)assign->rows * assign->width;
    for (uint32_t i = 0; i < assign->members; i++)
        flow->balance += assign->member_low[i];
    return 0;
}

static bool all_sent(const struct flow *flow)
{
    for (uint32_t node = 0; node < flow->nodes; node++) {
        if (is_source(flow, node))
            return false;
    }
    return true;
}

int assign_solve(const struct assign *assign)
{
    struct flow flow;
    int r = flow_init(&flow, assign);

    assert(assign->width >= 1 && assign->width <= ASSIGN_WIDTH_MAX);
    while (r == 0 && !all_sent(&flow)) {
        if (!search(&flow))
            r = ASSIGN_E_INFEASIBLE;
        for (uint32_t node = 0; r == 0 && node < flow.nodes; node++) {
            while (flow.level[node] == 0 && is_source(&flow, node) && walk(&flow, node))
                ;
        }
    }
    flow_free(&flow);
    return r;
}
