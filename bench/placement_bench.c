#include "bench/placement_bench.h"
#include "bench/worker.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct placement_case cases[] = {
    {3, 256, 3, 1, false},    {10, 256, 3, 1, false},   {12, 256, 3, 3, false},
    {12, 256, 3, 3, true},    {100, 1024, 3, 5, false}, {100, 4096, 3, 5, true},
    {999, 4096, 3, 10, true}, {999, 4096, 7, 10, true},
};

static int make_map(const struct placement_case *row, uint32_t nodes, struct ringmap *map)
{
    int r = ringmap_init(map, nodes, row->partitions, row->replicas);

    if (r < 0)
        return r;
    for (uint32_t i = 0; i < nodes; i++) {
        map->members[i].id = (uint16_t)(i + 1);
        map->members[i].state = RINGMAP_STATE_ACTIVE;
        map->members[i].weight = row->mixed && i % 2 ? 200 : 100;
        snprintf(map->members[i].zone, RINGMAP_ZONE_SIZE, "zone-%u", i % row->zones);
    }
    return 0;
}

static uint64_t weights_of(const struct ringmap *map)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < map->member_count; i++)
        sum += map->members[i].state == RINGMAP_STATE_ACTIVE ? map->members[i].weight : 0;
    return sum;
}

/* By weight alone; the cases have zones of nearly one weight and nobody that is due more than Q. */
static double ideal_of(const struct ringmap *map, uint32_t slot)
{
    return (double)map->partition_count * map->replica_count * map->members[slot].weight /
           (double)weights_of(map);
}

static uint32_t held_by(const struct ringmap *map, uint16_t id)
{
    uint32_t held = 0;

    for (uint32_t p = 0; p < map->partition_count; p++)
        held += ringmap_holds(map, (uint16_t)p, id);
    return held;
}

static double load_max(const struct ringmap *map)
{
    double most = 0;

    for (uint32_t i = 0; i < map->member_count; i++) {
        double load = held_by(map, map->members[i].id) / ideal_of(map, i);

        most = load > most ? load : most;
    }
    return most;
}

static uint32_t moves_between(const struct ringmap *before, const struct ringmap *next)
{
    uint32_t moves = 0;

    for (uint32_t p = 0; p < next->partition_count; p++) {
        for (uint32_t i = 0; i < next->replica_count; i++) {
            uint16_t id = ringmap_row(next, (uint16_t)p)[i];

            moves += id != 0 && !ringmap_holds(before, (uint16_t)p, id);
        }
    }
    return moves;
}

static double zones_kept(const struct ringmap *map, uint32_t zones)
{
    uint32_t wanted = zones < map->replica_count ? zones : map->replica_count;
    uint32_t kept = 0;

    for (uint32_t p = 0; p < map->partition_count; p++) {
        const uint16_t *row = ringmap_row(map, (uint16_t)p);
        uint32_t distinct = 0;

        for (uint32_t i = 0; i < map->replica_count; i++) {
            bool seen = false;

            for (uint32_t j = 0; j < i; j++)
                seen = seen || strcmp(ringmap_member(map, row[i])->zone,
                                      ringmap_member(map, row[j])->zone) == 0;
            distinct += !seen;
        }
        kept += distinct >= wanted;
    }
    return (double)kept / map->partition_count;
}

/* One change of the table: places it anew and tells the moves, of `least`. */
static int change(const struct placement_scheme *scheme, const struct ringmap *before,
                  struct ringmap *next, double least, double *moves)
{
    int r = scheme->place(before, next);

    if (r == 0)
        *moves = moves_between(before, next) / (least >= 1 ? least : 1);
    return r;
}

static int measure_join(const struct placement_scheme *scheme, const struct placement_case *row,
                        const struct ringmap *map, struct placement_figures *figures)
{
    struct ringmap next;
    uint64_t begin_ns;
    int r = make_map(row, row->nodes + 1, &next);

    if (r < 0)
        return r;
    begin_ns = worker_clock_ns();
    r = change(scheme, map, &next, ideal_of(&next, row->nodes), &figures->joined);
    figures->solved_ms = (double)(worker_clock_ns() - begin_ns) / 1e6;
    if (r == 0)
        figures->zones_kept = zones_kept(&next, row->zones);
    ringmap_deinit(&next);
    return r;
}

int placement_measure(const struct placement_scheme *scheme, const struct placement_case *row,
                      struct placement_figures *figures)
{
    uint32_t last = row->nodes - 1;
    struct ringmap map, next;
    double held;
    int r = make_map(row, row->nodes, &map);

    if (r < 0)
        return r;
    *figures = (struct placement_figures){0};
    r = scheme->place(NULL, &map);
    if (r == 0)
        r = make_map(row, row->nodes, &next);
    if (r != 0) {
        ringmap_deinit(&map);
        return r;
    }
    figures->load_max = load_max(&map);
    held = held_by(&map, map.members[last].id);
    r = measure_join(scheme, row, &map, figures);
    next.members[last].weight *= 2;
    if (r == 0)
        r = change(scheme, &map, &next, ideal_of(&next, last) - ideal_of(&map, last),
                   &figures->weighted);
    next.members[last].weight /= 2;
    next.members[last].state = RINGMAP_STATE_LEAVING;
    memset(next.replicas, 0, (size_t)row->partitions * row->replicas * sizeof *next.replicas);
    if (r == 0)
        r = change(scheme, &map, &next, row->nodes > row->replicas ? held : 0, &figures->left);
    ringmap_deinit(&map);
    ringmap_deinit(&next);
    return r;
}

static void print(const struct placement_case *row, const char *name,
                  const struct placement_figures *figures, bool json)
{
    if (json) {
        printf("{\"bench\":\"placement\",\"scheme\":\"%s\",\"nodes\":%u,\"partitions\":%u,"
               "\"replicas\":%u,\"zones\":%u,\"mixed\":%s,\"load_max\":%.3f,\"joined\":%.3f,"
               "\"left\":%.3f,\"weighted\":%.3f,\"zones_kept\":%.4f,\"ms\":%.2f}\n",
               name, row->nodes, row->partitions, row->replicas, row->zones,
               row->mixed ? "true" : "false", figures->load_max, figures->joined, figures->left,
               figures->weighted, figures->zones_kept, figures->solved_ms);
        return;
    }
    printf("%5u %5u %2u %5u %-6s  %-12s %8.2f %6.2f %6.2f %6.2f %6.1f%% %8.2f\n", row->nodes,
           row->partitions, row->replicas, row->zones, row->mixed ? "mixed" : "equal", name,
           figures->load_max, figures->joined, figures->left, figures->weighted,
           100 * figures->zones_kept, figures->solved_ms);
}

int placement_bench(uint32_t nodes_max, bool json)
{
    if (!json)
        printf("nodes     Q  N zones weight  scheme       max/ideal join  leave weight   zones "
               "      ms\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (uint32_t scheme = 0; cases[i].nodes <= nodes_max && scheme < PLACEMENT_SCHEMES;
             scheme++) {
            struct placement_figures figures;
            int r = placement_measure(&placement_schemes[scheme], &cases[i], &figures);

            if (r < 0)
                return r;
            assert(r == 0);
            print(&cases[i], placement_schemes[scheme].name, &figures, json);
        }
    }
    return 0;
}
