#include "ring/placement.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Tries at an exchange, for each replica of the map: enough that rows look drawn at random. */
#define PLACEMENT_MIX_TRIES 8u
#define PLACEMENT_NOWHERE   UINT32_MAX

/* One active member. The ideal is the fraction ideal / unit of replicas. */
struct place_member {
    uint16_t id;
    uint32_t weight;
    uint32_t zone;
    int64_t ideal;
    int64_t quota; /* replicas it gets */
};

struct place_zone {
    const char *name; /* borrowed from the map */
    int64_t ideal;
    int64_t quota;
    int64_t low; /* what its members can hold at least and at most within their bounds */
    int64_t high;
};

/* Members are numbered by their index here, in the order of zones, then ids. */
struct placement {
    struct ringmap *map;
    int64_t partitions;
    int64_t copies; /* R */
    int64_t unit;   /* denominator of ideals */
    struct place_member *members;
    uint32_t member_count;
    struct place_zone *zones;
    uint32_t zone_count;
    uint32_t *cells;     /* partitions rows of copies member indexes; first: the leader */
    uint32_t *led;       /* member -> partitions it leads */
    uint32_t *came_row;  /* search for leaders: the row by which a member was reached */
    uint32_t *came_from; /* and from which member */
    uint32_t *queue;     /* members to visit */
    uint32_t *first_row; /* member -> first of the rows it leads */
    uint32_t *next_row;  /* row -> next row of the same leader */
};

static uint32_t *row_of(struct placement *placement, uint32_t partition)
{
    return placement->cells + (size_t)partition * (size_t)placement->copies;
}

/* Ideals */

static uint32_t zone_find(struct placement *placement, const char *name)
{
    uint32_t i = 0;

    while (i < placement->zone_count && strcmp(placement->zones[i].name, name) != 0)
        i++;
    if (i == placement->zone_count)
        placement->zones[placement->zone_count++].name = name;
    return i;
}

static int member_compare(const void *left, const void *right)
{
    const struct place_member *a = left;
    const struct place_member *b = right;

    if (a->zone != b->zone)
        return a->zone < b->zone ? -1 : 1;
    return a->id < b->id ? -1 : 1;
}

static void collect(struct placement *placement)
{
    const struct ringmap *map = placement->map;

    for (uint32_t i = 0; i < map->member_count; i++) {
        const struct ringmap_member *member = &map->members[i];

        if (member->state != RINGMAP_STATE_ACTIVE)
            continue;
        assert(member->weight > 0);
        placement->members[placement->member_count++] = (struct place_member){
            .id = member->id,
            .weight = member->weight,
            .zone = zone_find(placement, member->zone),
        };
    }
    qsort(placement->members, placement->member_count, sizeof *placement->members, member_compare);
}

/* Shares Q * R by weight. Who is due Q or more gets Q and leaves the sharing, until nobody is.
 * The largest product, partitions * copies * weight, is under 2^47; ideals are under 2^55. */
static void share_ideals(struct placement *placement)
{
    int64_t copies = placement->copies;
    int64_t weights = 0;
    bool changed = true;

    for (uint32_t i = 0; i < placement->member_count; i++)
        weights += placement->members[i].weight;
    while (changed) {
        int64_t copies_before = copies;
        int64_t weights_before = weights;

        changed = false;
        for (uint32_t i = 0; i < placement->member_count; i++) {
            struct place_member *member = &placement->members[i];

            if (member->ideal >= 0 && copies_before * member->weight >= weights_before) {
                member->ideal = -1; /* capped; the number follows when the unit is known */
                copies--;
                weights -= member->weight;
                changed = true;
            }
        }
    }
    assert(copies >= 0);
    placement->unit = weights > 0 ? weights : 1;
    for (uint32_t i = 0; i < placement->member_count; i++) {
        struct place_member *member = &placement->members[i];

        member->ideal = member->ideal < 0 ? placement->partitions * placement->unit
                                          : placement->partitions * copies * member->weight;
    }
}

/* A member's quota must stay within one partition of its ideal. */
static int64_t quota_low(const struct placement *placement, const struct place_member *member)
{
    int64_t up = (member->ideal + placement->unit - 1) / placement->unit;

    return up > 0 ? up - 1 : 0;
}

static int64_t quota_high(const struct placement *placement, const struct place_member *member)
{
    int64_t high = member->ideal / placement->unit + 1;

    return high < placement->partitions ? high : placement->partitions;
}

/* Quotas */

static void sum_zones(struct placement *placement)
{
    for (uint32_t i = 0; i < placement->member_count; i++) {
        struct place_zone *zone = &placement->zones[placement->members[i].zone];

        zone->ideal += placement->members[i].ideal;
        zone->low += quota_low(placement, &placement->members[i]);
        zone->high += quota_high(placement, &placement->members[i]);
    }
}

/* The zone that is furthest below its ideal among those under their bound (Q itself at most when
 * `distinct`), or NOWHERE. */
static uint32_t zone_neediest(const struct placement *placement, bool distinct)
{
    uint32_t best = PLACEMENT_NOWHERE;
    int64_t best_need = 0;

    for (uint32_t i = 0; i < placement->zone_count; i++) {
        const struct place_zone *zone = &placement->zones[i];
        int64_t need = zone->ideal - zone->quota * placement->unit;

        if (zone->quota >= zone->high || (distinct && zone->quota >= placement->partitions))
            continue;
        if (best == PLACEMENT_NOWHERE || need > best_need) {
            best = i;
            best_need = need;
        }
    }
    return best;
}

/* Rounds each zone's ideal down or up, then moves what is over Q in one zone to zones that have
 * room, as far as the members' bounds allow. */
static void share_zones(struct placement *placement)
{
    int64_t left = placement->partitions * placement->copies;

    sum_zones(placement);
    for (uint32_t i = 0; i < placement->zone_count; i++) {
        placement->zones[i].quota = placement->zones[i].ideal / placement->unit;
        left -= placement->zones[i].quota;
    }
    for (; left > 0; left--)
        placement->zones[zone_neediest(placement, false)].quota++;
    assert(left == 0);
    for (uint32_t i = 0; i < placement->zone_count; i++) {
        struct place_zone *zone = &placement->zones[i];

        while (zone->quota > placement->partitions && zone->quota > zone->low) {
            uint32_t to = zone_neediest(placement, true);

            if (to == PLACEMENT_NOWHERE)
                return;
            zone->quota--;
            placement->zones[to].quota++;
        }
    }
}

/* Members `from` to `to` - 1 are those of one zone: quotas that add up to the zone's, the furthest
 * from their ideals corrected first. */
static void share_members(struct placement *placement, uint32_t from, uint32_t to, int64_t quota)
{
    struct place_member *members = placement->members;

    for (uint32_t i = from; i < to; i++) {
        members[i].quota = members[i].ideal / placement->unit;
        quota -= members[i].quota;
    }
    while (quota != 0) {
        int step = quota > 0 ? 1 : -1;
        uint32_t best = PLACEMENT_NOWHERE;
        int64_t best_need = 0;

        for (uint32_t i = from; i < to; i++) {
            int64_t need = step * (members[i].ideal - members[i].quota * placement->unit);
            int64_t moved = members[i].quota + step;

            if (moved < quota_low(placement, &members[i]) ||
                moved > quota_high(placement, &members[i]))
                continue;
            if (best == PLACEMENT_NOWHERE || need > best_need) {
                best = i;
                best_need = need;
            }
        }
        assert(best != PLACEMENT_NOWHERE);
        members[best].quota += step;
        quota -= step;
    }
}

/* Rows */

/* McNaughton's wrap-around: zones and members one after the other down the columns. */
static void lay_rows(struct placement *placement)
{
    int64_t place = 0;

    for (uint32_t i = 0; i < placement->member_count; i++) {
        assert(placement->members[i].quota <= placement->partitions);
        for (int64_t k = 0; k < placement->members[i].quota; k++) {
            uint32_t row = (uint32_t)(place % placement->partitions);

            row_of(placement, row)[place / placement->partitions] = i;
            place++;
        }
    }
    assert(place == placement->partitions * placement->copies);
}

/* SplitMix64 (Steele, Lea, Flood, 2014): a fixed sequence, so that the answer is always the same.
 */
static uint64_t mix_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint32_t mix_below(uint64_t *state, int64_t bound)
{
    return (uint32_t)(((mix_next(state) >> 32) * (uint64_t)bound) >> 32);
}

static int64_t row_count_zone(struct placement *placement, uint32_t row, uint32_t zone)
{
    int64_t count = 0;

    for (int64_t i = 0; i < placement->copies; i++)
        count += placement->members[row_of(placement, row)[i]].zone == zone;
    return count;
}

static bool row_has(struct placement *placement, uint32_t row, uint32_t member)
{
    for (int64_t i = 0; i < placement->copies; i++) {
        if (row_of(placement, row)[i] == member)
            return true;
    }
    return false;
}

/* Whether member a of row p and b of row q may change places: the sum over rows of squared counts
 * a zone must not grow. It starts at its least, so every zone stays as even as it was laid. */
static bool may_exchange(struct placement *placement, uint32_t p, uint32_t a, uint32_t q,
                         uint32_t b)
{
    uint32_t zone_a = placement->members[a].zone;
    uint32_t zone_b = placement->members[b].zone;

    if (p == q || row_has(placement, p, b) || row_has(placement, q, a))
        return false;
    if (zone_a == zone_b)
        return true;
    return row_count_zone(placement, p, zone_b) - row_count_zone(placement, p, zone_a) +
               row_count_zone(placement, q, zone_a) - row_count_zone(placement, q, zone_b) + 2 <=
           0;
}

static void mix_rows(struct placement *placement)
{
    uint64_t state = 0;
    int64_t tries = PLACEMENT_MIX_TRIES * placement->partitions * placement->copies;

    for (int64_t i = 0; i < tries; i++) {
        uint32_t p = mix_below(&state, placement->partitions);
        uint32_t q = mix_below(&state, placement->partitions);
        uint32_t *a = row_of(placement, p) + mix_below(&state, placement->copies);
        uint32_t *b = row_of(placement, q) + mix_below(&state, placement->copies);

        if (may_exchange(placement, p, *a, q, *b)) {
            uint32_t moved = *a;

            *a = *b;
            *b = moved;
        }
    }
}

/* Leaders */

/* How many partitions more than its share by weight a member leads, in 1 / sum of weights. */
static int64_t lead_excess(const struct placement *placement, uint32_t member, int64_t weights)
{
    return placement->led[member] * weights -
           placement->partitions * placement->members[member].weight;
}

static void lead_swap(uint32_t *row, uint32_t member)
{
    uint32_t i = 0;

    while (row[i] != member)
        i++;
    row[i] = row[0];
    row[0] = member;
}

static void lead_greedily(struct placement *placement, int64_t weights)
{
    for (uint32_t row = 0; row < (uint32_t)placement->partitions; row++) {
        uint32_t *cells = row_of(placement, row);
        uint32_t best = cells[0];

        for (int64_t i = 1; i < placement->copies; i++) {
            int64_t difference =
                lead_excess(placement, cells[i], weights) - lead_excess(placement, best, weights);

            if (difference < 0 || (difference == 0 && cells[i] < best))
                best = cells[i];
        }
        lead_swap(cells, best);
        placement->led[best]++;
    }
}

static void list_led_rows(struct placement *placement)
{
    memset(placement->first_row, 0xff, placement->member_count * sizeof *placement->first_row);
    for (uint32_t row = (uint32_t)placement->partitions; row-- > 0;) {
        uint32_t leader = row_of(placement, row)[0];

        placement->next_row[row] = placement->first_row[leader];
        placement->first_row[leader] = row;
    }
}

/* Breadth first from `source` over "a row that i leads could be led by j". Returns whom the source
 * could, by a chain of such changes, best give one partition to; itself if nobody is better off. */
static uint32_t lead_search(struct placement *placement, uint32_t source, int64_t weights)
{
    uint32_t head = 0;
    uint32_t tail = 0;
    uint32_t best = source;

    memset(placement->came_row, 0xff, placement->member_count * sizeof *placement->came_row);
    placement->came_row[source] = 0;
    placement->queue[tail++] = source;
    while (head < tail) {
        uint32_t from = placement->queue[head++];

        if (lead_excess(placement, from, weights) < lead_excess(placement, best, weights))
            best = from;
        for (uint32_t row = placement->first_row[from]; row != PLACEMENT_NOWHERE;
             row = placement->next_row[row]) {
            for (int64_t i = 1; i < placement->copies; i++) {
                uint32_t to = row_of(placement, row)[i];

                if (placement->came_row[to] != PLACEMENT_NOWHERE)
                    continue;
                placement->came_row[to] = row;
                placement->came_from[to] = from;
                placement->queue[tail++] = to;
            }
        }
    }
    return best;
}

/* Moves leaderships until no chain of changes brings two members nearer to their shares. Each one
 * lessens the sum of squared distances, so it ends. Returns whether anything moved. */
static bool lead_improve(struct placement *placement, int64_t weights)
{
    bool moved = false;

    for (uint32_t source = 0; source < placement->member_count; source++) {
        for (;;) {
            uint32_t to = lead_search(placement, source, weights);

            if (lead_excess(placement, source, weights) - lead_excess(placement, to, weights) <=
                weights)
                break;
            placement->led[source]--;
            placement->led[to]++;
            while (to != source) {
                lead_swap(row_of(placement, placement->came_row[to]), to);
                to = placement->came_from[to];
            }
            list_led_rows(placement);
            moved = true;
        }
    }
    return moved;
}

static void choose_leaders(struct placement *placement)
{
    int64_t weights = 0;

    for (uint32_t i = 0; i < placement->member_count; i++)
        weights += placement->members[i].weight;
    lead_greedily(placement, weights);
    list_led_rows(placement);
    while (lead_improve(placement, weights))
        ;
}

static int id_compare(const void *left, const void *right)
{
    const uint16_t *a = left;
    const uint16_t *b = right;

    return (*a > *b) - (*a < *b);
}

static void write_rows(struct placement *placement)
{
    struct ringmap *map = placement->map;
    size_t copies = (size_t)placement->copies;

    for (uint32_t partition = 0; partition < map->partition_count; partition++) {
        uint16_t *out = map->replicas + (size_t)partition * map->replica_count;

        for (uint32_t i = 0; i < map->replica_count; i++)
            out[i] = i < copies ? placement->members[row_of(placement, partition)[i]].id : 0;
        qsort(out + 1, copies - 1, sizeof *out, id_compare);
    }
}

static void placement_free(struct placement *placement)
{
    free(placement->members);
    free(placement->zones);
    free(placement->cells);
    free(placement->led);
    free(placement->came_row);
    free(placement->came_from);
    free(placement->queue);
    free(placement->first_row);
    free(placement->next_row);
}

static int placement_alloc(struct placement *placement)
{
    size_t members = placement->map->member_count;
    size_t rows = placement->map->partition_count;

    placement->members = calloc(members, sizeof *placement->members);
    placement->zones = calloc(members, sizeof *placement->zones);
    placement->cells = calloc(rows * RINGMAP_REPLICAS_MAX, sizeof *placement->cells);
    placement->led = calloc(members, sizeof *placement->led);
    placement->came_row = calloc(members, sizeof *placement->came_row);
    placement->came_from = calloc(members, sizeof *placement->came_from);
    placement->queue = calloc(members, sizeof *placement->queue);
    placement->first_row = calloc(members, sizeof *placement->first_row);
    placement->next_row = calloc(rows, sizeof *placement->next_row);
    if (!placement->members || !placement->zones || !placement->cells || !placement->led ||
        !placement->came_row || !placement->came_from || !placement->queue ||
        !placement->first_row || !placement->next_row)
        return -ENOMEM;
    return 0;
}

int placement_solve(struct ringmap *map)
{
    struct placement placement = {.map = map, .partitions = map->partition_count};
    int r = placement_alloc(&placement);

    if (r == 0) {
        collect(&placement);
        if (placement.member_count == 0)
            r = PLACEMENT_E_NO_MEMBERS;
    }
    if (r == 0) {
        placement.copies = map->replica_count < placement.member_count ? map->replica_count
                                                                       : placement.member_count;
        share_ideals(&placement);
        share_zones(&placement);
        for (uint32_t from = 0, to; from < placement.member_count; from = to) {
            uint32_t zone = placement.members[from].zone;

            for (to = from; to < placement.member_count && placement.members[to].zone == zone;)
                to++;
            share_members(&placement, from, to, placement.zones[zone].quota);
        }
        lay_rows(&placement);
        mix_rows(&placement);
        choose_leaders(&placement);
        write_rows(&placement);
    }
    placement_free(&placement);
    return r;
}

/* Of the members not chosen yet, the lowest id in a zone with the fewest voters so far. */
static const struct ringmap_member *voter_next(const struct ringmap *map)
{
    const struct ringmap_member *best = NULL;
    uint32_t best_crowd = 0;

    for (uint32_t i = 0; i < map->member_count; i++) {
        const struct ringmap_member *member = &map->members[i];
        uint32_t crowd = 0;
        bool chosen = member->state != RINGMAP_STATE_ACTIVE;

        for (uint32_t k = 0; k < map->meta_voter_count; k++) {
            const struct ringmap_member *voter = ringmap_member(map, map->meta_voters[k]);

            chosen = chosen || voter == member;
            crowd += strcmp(voter->zone, member->zone) == 0;
        }
        if (!chosen && (!best || crowd < best_crowd)) {
            best = member;
            best_crowd = crowd;
        }
    }
    return best;
}

int placement_meta_voters(struct ringmap *map)
{
    uint32_t active = 0;
    uint32_t wanted;

    for (uint32_t i = 0; i < map->member_count; i++)
        active += map->members[i].state == RINGMAP_STATE_ACTIVE;
    if (active == 0)
        return PLACEMENT_E_NO_MEMBERS;
    wanted = active >= 5 ? 5 : active >= 3 ? 3 : 1;
    memset(map->meta_voters, 0, sizeof map->meta_voters);
    map->meta_voter_count = 0;
    while (map->meta_voter_count < wanted) {
        const struct ringmap_member *voter = voter_next(map);

        assert(voter != NULL);
        map->meta_voters[map->meta_voter_count] = voter->id;
        map->meta_voter_count++;
    }
    return PLACEMENT_E_OK;
}
