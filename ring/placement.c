#include "ring/placement.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ring/placement_internal.h"

/* Bisections of the water level: from 2^12 down to the last bit of the lowest level there is. */
#define PLACEMENT_LEVEL_STEPS 160u
/* An ideal this near to a whole number is that number. */
#define PLACEMENT_WHOLE 1e-6

/* Members and zones */

static uint32_t zone_find(struct placement *placement, const char *name)
{
    uint32_t i = 0;

    while (i < placement->zone_count && strcmp(placement->zones[i].name, name) != 0)
        i++;
    if (i == placement->zone_count)
        placement->zones[placement->zone_count++].name = name;
    return i;
}

static void collect(struct placement *placement)
{
    const struct ringmap *map = placement->map;

    for (uint32_t i = 0; i < map->member_count; i++) {
        if (map->members[i].state == RINGMAP_STATE_ACTIVE)
            placement->zones[zone_find(placement, map->members[i].zone)].count++;
    }
    for (uint32_t i = 0; i < placement->zone_count; i++) {
        placement->zones[i].first = placement->zone_first[i];
        placement->zone_first[i + 1] = placement->zone_first[i] + placement->zones[i].count;
    }
    memset(placement->index_of, 0xff, map->member_count * sizeof *placement->index_of);
    for (uint32_t i = 0; i < map->member_count; i++) {
        uint32_t zone;

        if (map->members[i].state != RINGMAP_STATE_ACTIVE)
            continue;
        assert(map->members[i].weight > 0);
        zone = zone_find(placement, map->members[i].zone);
        placement->index_of[i] = (uint16_t)placement->zones[zone].first;
        placement->slot_of[placement->zones[zone].first] = (uint16_t)i;
        placement->zone_of[placement->zones[zone].first++] = zone;
        placement->member_count++;
    }
    placement->copies =
        map->replica_count < placement->member_count ? map->replica_count : placement->member_count;
}

static const struct ringmap_member *member_at(const struct placement *placement, uint32_t index)
{
    return &placement->map->members[placement->slot_of[index]];
}

/* How many replicas of one partition a zone may have, so that they are spread as evenly as its
 * members allow: the lowest level at which all R find a place, or one less. */
static void bound_zones(struct placement *placement)
{
    uint32_t level = 0;
    uint32_t places = 0;

    while (places < placement->copies) {
        level++;
        for (uint32_t i = 0; i < placement->zone_count; i++)
            places += placement->zones[i].count >= level;
    }
    for (uint32_t i = 0; i < placement->zone_count; i++) {
        uint32_t count = placement->zones[i].count;

        placement->zone_high[i] = count < level ? count : level;
        placement->zone_low[i] = count < level - 1 ? count : level - 1;
    }
}

/* Ideals */

static double member_due(const struct placement *placement, uint32_t member, double level)
{
    double due = level * member_at(placement, member)->weight;

    return due < placement->partitions ? due : placement->partitions;
}

/* What a zone is due at a level, unbounded by its place in the rows. */
static double zone_due(const struct placement *placement, uint32_t zone, double level)
{
    double due = 0;

    for (uint32_t i = placement->zone_first[zone]; i < placement->zone_first[zone + 1]; i++)
        due += member_due(placement, i, level);
    return due;
}

static double zone_due_bounded(const struct placement *placement, uint32_t zone, double level)
{
    double due = zone_due(placement, zone, level);
    double low = (double)placement->partitions * placement->zone_low[zone];
    double high = (double)placement->partitions * placement->zone_high[zone];

    return due < low ? low : due > high ? high : due;
}

/* Shares by weight: a level of water that rises in all members until they hold Q * R together,
 * where a member is full at Q and a zone at its bounds. Then the zones' shares, in each zone by
 * itself. Only sums, products and comparisons of doubles, so every machine finds the same. */
static void share(struct placement *placement)
{
    double top = placement->partitions;
    double low = 0;
    double high = top;

    for (unsigned step = 0; step < PLACEMENT_LEVEL_STEPS; step++) {
        double level = (low + high) / 2;
        double due = 0;

        for (uint32_t zone = 0; zone < placement->zone_count; zone++)
            due += zone_due_bounded(placement, zone, level);
        if (due < top * placement->copies)
            low = level;
        else
            high = level;
    }
    for (uint32_t zone = 0; zone < placement->zone_count; zone++) {
        double wanted = zone_due_bounded(placement, zone, high);
        double zone_low = 0;
        double zone_high = top;

        for (unsigned step = 0; step < PLACEMENT_LEVEL_STEPS; step++) {
            double level = (zone_low + zone_high) / 2;

            if (zone_due(placement, zone, level) < wanted)
                zone_low = level;
            else
                zone_high = level;
        }
        for (uint32_t i = placement->zone_first[zone]; i < placement->zone_first[zone + 1]; i++)
            placement->ideal[i] = member_due(placement, i, zone_high);
    }
}

static void share_leaders(struct placement *placement)
{
    double weights = 0;

    for (uint32_t i = 0; i < placement->member_count; i++)
        weights += member_at(placement, i)->weight;
    for (uint32_t i = 0; i < placement->member_count; i++)
        placement->ideal[i] = placement->partitions * (member_at(placement, i)->weight / weights);
}

/* Whole numbers at most `slack` from the ideal; slack 0: the one or two next to it. */
static void bound_members(struct placement *placement, uint32_t slack)
{
    for (uint32_t i = 0; i < placement->member_count; i++) {
        uint32_t floor = (uint32_t)(placement->ideal[i] + PLACEMENT_WHOLE);
        uint32_t ceiling = floor + (placement->ideal[i] > floor + PLACEMENT_WHOLE);
        uint32_t spare = slack - (slack > 0 && ceiling > floor);

        placement->low[i] = floor > spare ? floor - spare : 0;
        placement->high[i] =
            ceiling + spare < placement->partitions ? ceiling + spare : placement->partitions;
    }
}

/* Rows */

/* The rows of the map before, as members are numbered here. */
static void take_before(struct placement *placement, const struct ringmap *before)
{
    size_t places = (size_t)placement->partitions * placement->before_width;

    memset(placement->before, 0xff, places * sizeof *placement->before);
    for (size_t i = 0; before && i < places; i++) {
        const struct ringmap_member *member = ringmap_member(placement->map, before->replicas[i]);

        if (member)
            placement->before[i] = placement->index_of[member - placement->map->members];
    }
}

/* Of a row's old members, those that its bounds alone would let stay. all_low: what zones need at
 * least in a row. */
static uint32_t row_keeps(const struct placement *placement, uint32_t row, uint32_t all_low)
{
    const uint16_t *before = placement->before + (size_t)row * placement->before_width;
    uint32_t keeps = 0;
    uint32_t owed = all_low; /* of that, what the row did not have */

    for (uint32_t i = 0; i < placement->before_width; i++) {
        uint32_t crowd = 0;

        if (before[i] == ASSIGN_NONE)
            continue;
        for (uint32_t j = 0; j < i; j++)
            crowd += before[j] != ASSIGN_NONE &&
                     placement->zone_of[before[j]] == placement->zone_of[before[i]];
        keeps += crowd < placement->zone_high[placement->zone_of[before[i]]];
        owed -= crowd < placement->zone_low[placement->zone_of[before[i]]];
    }
    return keeps < placement->copies - owed ? keeps : placement->copies - owed;
}

/* Three bounds that need no solution: what members must receive, what they must give away, what
 * rows must replace. */
static uint32_t least_moves(const struct placement *placement)
{
    uint32_t *held = placement->held;
    uint32_t places = placement->partitions * placement->copies;
    uint32_t received = 0;
    uint32_t stay = 0;
    uint32_t kept = 0;
    uint32_t all_low = 0;
    uint32_t most;

    for (uint32_t zone = 0; zone < placement->zone_count; zone++)
        all_low += placement->zone_low[zone];
    for (uint32_t row = 0; row < placement->partitions; row++) {
        const uint16_t *before = placement->before + (size_t)row * placement->before_width;

        for (uint32_t i = 0; i < placement->before_width; i++) {
            if (before[i] != ASSIGN_NONE)
                held[before[i]]++;
        }
        kept += row_keeps(placement, row, all_low);
    }
    for (uint32_t i = 0; i < placement->member_count; i++) {
        received += placement->low[i] > held[i] ? placement->low[i] - held[i] : 0;
        stay += held[i] < placement->high[i] ? held[i] : placement->high[i];
    }
    most = stay < kept ? stay : kept;
    return received > places - most ? received : places - most;
}

static int place_replicas(struct placement *placement)
{
    struct assign assign = {
        .rows = placement->partitions,
        .width = placement->copies,
        .members = placement->member_count,
        .zones = placement->zone_count,
        .zone_first = placement->zone_first,
        .zone_low = placement->zone_low,
        .zone_high = placement->zone_high,
        .member_low = placement->low,
        .member_high = placement->high,
        .before = placement->before,
        .before_width = placement->before_width,
        .cells = placement->cells,
    };

    return assign_solve(&assign);
}

/* Leaders */

static void take_leaders_before(struct placement *placement)
{
    for (uint32_t row = 0; row < placement->partitions; row++) {
        uint16_t leader = placement->before[(size_t)row * placement->before_width];

        placement->leader_before[row] = ASSIGN_NONE;
        for (uint32_t i = 0; i < placement->copies; i++) {
            if (placement->cells[(size_t)row * placement->copies + i] == leader)
                placement->leader_before[row] = leader;
        }
    }
}

static int lead_within(struct placement *placement, uint32_t slack)
{
    const uint32_t one = 1;
    const uint32_t all[] = {0, placement->member_count};
    struct assign assign = {
        .rows = placement->partitions,
        .width = 1,
        .members = placement->member_count,
        .zones = 1,
        .zone_first = all,
        .zone_low = &one,
        .zone_high = &one,
        .member_low = placement->low,
        .member_high = placement->high,
        .before = placement->leader_before,
        .before_width = 1,
        .allowed = placement->cells,
        .allowed_width = placement->copies,
        .cells = placement->leaders,
    };

    bound_members(placement, slack);
    return assign_solve(&assign);
}

/* The fewest changes of leaders within the least distance from the ideals that the rows allow. */
static int choose_leaders(struct placement *placement, bool fresh)
{
    uint32_t slack = fresh ? 0 : 1;
    uint32_t too_little = 0;
    int r;

    take_leaders_before(placement);
    share_leaders(placement);
    r = lead_within(placement, slack);
    while (r == ASSIGN_E_INFEASIBLE) {
        too_little = slack;
        slack = slack > 0 ? 2 * slack : 1;
        r = lead_within(placement, slack);
    }
    if (r < 0 || too_little + 1 >= slack)
        return r;
    while (too_little + 1 < slack) {
        uint32_t middle = too_little + (slack - too_little) / 2;

        r = lead_within(placement, middle);
        if (r < 0)
            return r;
        if (r == ASSIGN_E_INFEASIBLE)
            too_little = middle;
        else
            slack = middle;
    }
    return lead_within(placement, slack);
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

    memset(map->replicas, 0,
           (size_t)map->partition_count * map->replica_count * sizeof *map->replicas);
    for (uint32_t row = 0; row < map->partition_count; row++) {
        uint16_t *out = map->replicas + (size_t)row * map->replica_count;
        uint32_t count = 1;

        out[0] = member_at(placement, placement->leaders[row])->id;
        for (uint32_t i = 0; i < placement->copies; i++) {
            uint16_t member = placement->cells[(size_t)row * placement->copies + i];

            if (member != placement->leaders[row])
                out[count++] = member_at(placement, member)->id;
        }
        qsort(out + 1, count - 1, sizeof *out, id_compare);
    }
}

/* The whole */

static void placement_free(struct placement *placement)
{
    free(placement->slot_of);
    free(placement->index_of);
    free(placement->zone_of);
    free(placement->ideal);
    free(placement->low);
    free(placement->high);
    free(placement->zones);
    free(placement->zone_first);
    free(placement->zone_low);
    free(placement->zone_high);
    free(placement->before);
    free(placement->cells);
    free(placement->leader_before);
    free(placement->leaders);
    free(placement->held);
    free(placement->new_cells);
}

static int placement_init(struct placement *placement, struct ringmap *map, uint32_t before_width)
{
    size_t members = map->member_count;
    size_t rows = map->partition_count;

    *placement = (struct placement){
        .map = map, .partitions = map->partition_count, .before_width = before_width};
    placement->slot_of = calloc(members, sizeof *placement->slot_of);
    placement->index_of = calloc(members, sizeof *placement->index_of);
    placement->zone_of = calloc(members, sizeof *placement->zone_of);
    placement->ideal = calloc(members, sizeof *placement->ideal);
    placement->low = calloc(members, sizeof *placement->low);
    placement->high = calloc(members, sizeof *placement->high);
    placement->zones = calloc(members, sizeof *placement->zones);
    placement->zone_first = calloc(members + 1, sizeof *placement->zone_first);
    placement->zone_low = calloc(members, sizeof *placement->zone_low);
    placement->zone_high = calloc(members, sizeof *placement->zone_high);
    placement->before = calloc(rows * before_width, sizeof *placement->before);
    placement->cells = calloc(rows * RINGMAP_REPLICAS_MAX, sizeof *placement->cells);
    placement->leader_before = calloc(rows, sizeof *placement->leader_before);
    placement->leaders = calloc(rows, sizeof *placement->leaders);
    placement->held = calloc(members, sizeof *placement->held);
    placement->new_cells = calloc(rows * RINGMAP_REPLICAS_MAX, sizeof *placement->new_cells);
    if (!placement->slot_of || !placement->index_of || !placement->zone_of || !placement->ideal ||
        !placement->low || !placement->high || !placement->zones || !placement->zone_first ||
        !placement->zone_low || !placement->zone_high || !placement->before || !placement->cells ||
        !placement->leader_before || !placement->leaders || !placement->held ||
        !placement->new_cells)
        return -ENOMEM;
    return 0;
}

static struct placement_cost count_cost(const struct placement *placement, uint32_t moves_min)
{
    struct placement_cost cost = {.moves_min = moves_min};

    for (uint32_t row = 0; row < placement->partitions; row++) {
        for (uint32_t i = 0; i < placement->copies; i++)
            cost.moves += !placement_was_in_row(
                placement, row, placement->cells[(size_t)row * placement->copies + i]);
        cost.leaders +=
            placement->leaders[row] != placement->before[(size_t)row * placement->before_width];
    }
    return cost;
}

static int solve(struct placement *placement, const struct ringmap *before,
                 struct placement_cost *cost)
{
    uint32_t moves_min;
    int r;

    collect(placement);
    if (placement->member_count == 0)
        return PLACEMENT_E_NO_MEMBERS;
    bound_zones(placement);
    share(placement);
    bound_members(placement, before ? 1 : 0);
    take_before(placement, before);
    r = place_replicas(placement);
    if (r < 0)
        return r;
    assert(r == 0); /* the ideals are a solution in fractions, so there is one in integers */
    placement_mix(placement);
    moves_min = least_moves(placement);
    r = choose_leaders(placement, !before);
    if (r != 0)
        return r;
    *cost = count_cost(placement, moves_min);
    write_rows(placement);
    return 0;
}

int placement_change(const struct ringmap *before, struct ringmap *map, struct placement_cost *cost)
{
    struct placement placement;
    int r = placement_init(&placement, map, before ? before->replica_count : 1);

    assert(!before || before->partition_count == map->partition_count);
    if (r == 0)
        r = solve(&placement, before, cost);
    placement_free(&placement);
    return r;
}

int placement_solve(struct ringmap *map)
{
    struct placement_cost cost;

    return placement_change(NULL, map, &cost);
}
