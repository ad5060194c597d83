/* Mixing: which members meet in rows is left open by all the bounds. New replicas change places at
 * random, whenever as many old replicas and old leaders stay, so that the load of a lost member
 * falls on many. Downside: more different sets of R members are in use, so the loss of a majority
 * of some partition by several members failing together is likelier, though each such loss is
 * smaller. */
#include "ring/placement_internal.h"

#include <string.h>

#include "ring/mix.h"

/* Tries at an exchange for each new replica: enough that rows look drawn at random. */
#define PLACEMENT_MIX_TRIES 16u

bool placement_was_in_row(const struct placement *placement, uint32_t row, uint16_t member)
{
    for (uint32_t i = 0; i < placement->before_width; i++) {
        if (placement->before[(size_t)row * placement->before_width + i] == member)
            return true;
    }
    return false;
}

/* A fixed sequence, so that the answer is always the same. */
static uint32_t mix_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)(((mix_next(state) >> 32) * bound) >> 32);
}

static uint32_t row_in_zone(const struct placement *placement, uint32_t row, uint32_t zone)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < placement->copies; i++)
        count += placement->zone_of[placement->cells[(size_t)row * placement->copies + i]] == zone;
    return count;
}

static bool row_has(const struct placement *placement, uint32_t row, uint16_t member)
{
    for (uint32_t i = 0; i < placement->copies; i++) {
        if (placement->cells[(size_t)row * placement->copies + i] == member)
            return true;
    }
    return false;
}

/* Whether a row may have `in` for its `out`. */
static bool may_replace(const struct placement *placement, uint32_t row, uint16_t out, uint16_t in)
{
    uint32_t zone_out = placement->zone_of[out];
    uint32_t zone_in = placement->zone_of[in];

    if (row_has(placement, row, in))
        return false;
    return zone_out == zone_in ||
           (row_in_zone(placement, row, zone_out) > placement->zone_low[zone_out] &&
            row_in_zone(placement, row, zone_in) < placement->zone_high[zone_in]);
}

/* 0: the row's leader before; 1: it had the member; 2: new. */
static unsigned pair_kind(const struct placement *placement, uint32_t row, uint16_t member)
{
    if (placement->before[(size_t)row * placement->before_width] == member)
        return 0;
    return placement_was_in_row(placement, row, member) ? 1 : 2;
}

/* Whether cells p and q may exchange members: as many old pairs and old leaders stay. */
static bool may_exchange(const struct placement *placement, uint32_t p, uint32_t q)
{
    uint32_t row_p = p / placement->copies;
    uint32_t row_q = q / placement->copies;
    uint16_t a = placement->cells[p];
    uint16_t b = placement->cells[q];
    unsigned before[] = {0, 0, 0};
    unsigned after[] = {0, 0, 0};

    if (!may_replace(placement, row_p, a, b) || !may_replace(placement, row_q, b, a))
        return false;
    before[pair_kind(placement, row_p, a)]++;
    before[pair_kind(placement, row_q, b)]++;
    after[pair_kind(placement, row_p, b)]++;
    after[pair_kind(placement, row_q, a)]++;
    return memcmp(before, after, sizeof before) == 0;
}

void placement_mix(struct placement *placement)
{
    uint32_t cells = placement->partitions * placement->copies;
    uint32_t *places = placement->new_cells;
    uint64_t state = 0;
    uint32_t count = 0;

    for (uint32_t cell = 0; cell < cells; cell++) {
        if (!placement_was_in_row(placement, cell / placement->copies, placement->cells[cell]))
            places[count++] = cell;
    }
    for (uint32_t i = 0; i < PLACEMENT_MIX_TRIES * count; i++) {
        uint32_t *place = &places[mix_below(&state, count)];
        uint32_t other = mix_below(&state, cells);
        uint16_t member = placement->cells[*place];

        if (!may_exchange(placement, *place, other))
            continue;
        placement->cells[*place] = placement->cells[other];
        placement->cells[other] = member;
        if (placement_was_in_row(placement, *place / placement->copies, placement->cells[*place]))
            *place = other; /* there the new one is now */
    }
}
