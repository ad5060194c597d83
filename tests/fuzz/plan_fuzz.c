/* The decoder of plans: what it accepts is valid and has no other encoding. */
#include "fuzz.h"

#include "ring/placement.h"
#include "ring/plan.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plan plan;
    uint8_t *again;

    if (plan_decode(data, size, &plan) != PLAN_E_OK)
        return 0;
    plan_check(&plan);
    for (uint32_t i = 0; i < plan.note_count; i++) {
        char text[PLAN_NOTE_SIZE];

        plan_note_text(&plan.notes[i], text);
    }
    if (plan_encoded_size(&plan) != size)
        abort();
    again = malloc(size);
    if (!again)
        abort();
    plan_encode(&plan, again);
    if (memcmp(again, data, size) != 0)
        abort();
    free(again);
    plan_deinit(&plan);
    return 0;
}

static void fill(struct dice *dice, struct ringmap *map, uint32_t replicas)
{
    if (ringmap_init(map, 2 + (uint32_t)dice_below(dice, 6), 8, replicas) < 0)
        abort();
    map->epoch = 1 + dice_number(dice, 60);
    for (uint32_t i = 0; i < map->member_count; i++) {
        map->members[i].id = (uint16_t)(i + 1);
        map->members[i].state =
            i > 0 && dice_below(dice, 4) == 0 ? RINGMAP_STATE_LEAVING : RINGMAP_STATE_ACTIVE;
        map->members[i].weight = 1 + (uint32_t)dice_number(dice, 10);
        map->members[i].zone[0] = (char)('a' + dice_below(dice, 4));
    }
}

size_t fuzz_seed(struct dice *dice, uint8_t *out)
{
    struct placement_cost cost;
    struct ringmap now, wanted;
    struct plan_node nodes[8];
    struct plan_input input = {
        .now = &now, .wanted = &wanted, .nodes = nodes, .rate_bytes = 9, .moves_per_node_max = 2};
    struct plan plan;
    size_t size;

    fill(dice, &now, 1 + (uint32_t)dice_below(dice, 4));
    fill(dice, &wanted, 1 + (uint32_t)dice_below(dice, 4));
    wanted.member_count =
        now.member_count < wanted.member_count ? now.member_count : wanted.member_count;
    now.member_count = wanted.member_count;
    for (size_t i = 0; i < 8; i++)
        nodes[i] = (struct plan_node){dice_below(dice, 5) > 0, dice_number(dice, 40)};
    if (placement_solve(&now) != 0 || placement_change(&now, &wanted, &cost) != 0 ||
        plan_make(&input, &plan) != 0)
        abort();
    size = plan_encoded_size(&plan);
    if (size > FUZZ_INPUT_SIZE_MAX)
        abort();
    plan_encode(&plan, out);
    plan_deinit(&plan);
    ringmap_deinit(&now);
    ringmap_deinit(&wanted);
    return size;
}
