/* The decoder of ring maps: what it accepts is valid and has no other encoding, and what comes of
 * it without a plan may be next. */
#include "fuzz.h"

#include "ring/placement.h"
#include "ring/ringmap.h"
#include "ring/voters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect_next(struct ringmap *next, const struct ringmap *map)
{
    ringmap_check(next);
    if (ringmap_next_problem(next, map))
        abort();
    ringmap_deinit(next);
}

static void change(const struct ringmap *map)
{
    struct ringmap_member who = {.weight = 1, .address = "10.0.0.99:7000"};
    struct ringmap next;

    if (map->epoch == UINT64_MAX)
        return;
    if (ringmap_moving(map) && ringmap_finished(map, &next) == 0)
        expect_next(&next, map);
    memset(who.public_key, 0x5A, sizeof who.public_key);
    /* Whoever leaves without a plan is refused as a next map, whatever else there is. */
    if (ringmap_joined(map, &who, &next) == RINGMAP_E_OK) {
        if (ringmap_moving(map))
            expect_next(&next, map);
        else
            ringmap_deinit(&next);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ringmap map;
    uint8_t *again;

    if (ringmap_decode(data, size, &map) != RINGMAP_E_OK)
        return 0;
    ringmap_check(&map);
    if (ringmap_encoded_size(&map) != size)
        abort();
    again = malloc(size);
    if (!again)
        abort();
    ringmap_encode(&map, again);
    if (memcmp(again, data, size) != 0)
        abort();
    free(again);
    change(&map);
    ringmap_deinit(&map);
    return 0;
}

size_t fuzz_seed(struct dice *dice, uint8_t *out)
{
    uint32_t members = 1 + (uint32_t)dice_below(dice, 12);
    struct ringmap map;
    size_t size;

    if (ringmap_init(&map, members, 8u << dice_below(dice, 4), 1 + (uint32_t)dice_below(dice, 7)) <
        0)
        abort();
    map.epoch = 1 + dice_number(dice, 60);
    dice_fill(dice, map.cluster, sizeof map.cluster);
    dice_fill(dice, map.hash_secret, sizeof map.hash_secret);
    for (uint32_t i = 0; i < members; i++) {
        struct ringmap_member *member = &map.members[i];

        member->id = (uint16_t)(i + 1);
        member->state = RINGMAP_STATE_ACTIVE;
        member->weight = 1 + (uint32_t)dice_number(dice, 20);
        dice_fill(dice, member->public_key, sizeof member->public_key);
        snprintf(member->address, sizeof member->address, "10.0.0.%u:7000", i + 1);
        snprintf(member->zone, sizeof member->zone, "zone-%u", i % 3);
    }
    for (uint32_t i = 1; i < members; i++) /* no row has them */
        if (dice_below(dice, 5) == 0)
            map.members[i].state = RINGMAP_STATE_JOINING;
    if (placement_solve(&map) != 0 || voters_choose(&map, NULL) != 0)
        abort();
    for (uint64_t i = 0, keys = dice_below(dice, 4); i < keys; i++) {
        uint8_t(*boxes)[RINGMAP_BOX_SIZE];

        if (ringmap_add_key(&map, (uint8_t)(2 * i + 1), &boxes) != 0)
            abort();
        for (uint32_t k = 0; k < members; k++)
            if (map.members[k].state == RINGMAP_STATE_ACTIVE || dice_below(dice, 4) == 0)
                dice_fill(dice, boxes[k], sizeof boxes[k]);
    }
    map.paused = dice_below(dice, 3) == 0;
    map.move_rate = dice_below(dice, 3) == 0 ? (uint32_t)dice_number(dice, 32) : 0;
    if (dice_below(dice, 2) == 0) {
        size = (size_t)map.partition_count * map.replica_count * sizeof *map.target;
        map.target = malloc(size);
        if (!map.target)
            abort();
        memcpy(map.target, map.replicas, size);
    }
    size = ringmap_encoded_size(&map);
    if (size > FUZZ_INPUT_SIZE_MAX)
        abort();
    ringmap_encode(&map, out);
    ringmap_deinit(&map);
    return size;
}
