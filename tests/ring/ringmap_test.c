#include "ring/ringmap_internal.h"

#include <signal.h>
#include <stdlib.h>

#include "ringmap_example.h"

/* Tables of links and peers have a place for each id there can be. */
Test(ringmap, no_id_is_beyond_1000)
{
    struct ringmap map = example();

    member_set(&map, 1, 1000, "b");
    for (uint32_t i = 0; i < 16; i++)
        map.replicas[i] = map.replicas[i] == 2 ? 1000 : 1;
    ringmap_check(&map);
    cr_assert_eq(ringmap_member(&map, 1000), &map.members[1]);
    map.members[1].id = 1001;
    for (uint32_t i = 0; i < 16; i++)
        map.replicas[i] = map.replicas[i] == 1000 ? 1001 : 1;
    cr_assert_not_null(ringmap_problem(&map));
    ringmap_deinit(&map);
}

Test(ringmap, members_are_found_by_id_and_key_across_gaps)
{
    struct ringmap map = example();
    uint8_t key[RINGMAP_KEY_SIZE];

    member_set(&map, 1, 9, "b");
    cr_assert_eq(ringmap_member(&map, 1), &map.members[0]);
    cr_assert_eq(ringmap_member(&map, 9), &map.members[1]);
    cr_assert_null(ringmap_member(&map, 0));
    cr_assert_null(ringmap_member(&map, 2));
    cr_assert_null(ringmap_member(&map, 10));
    memset(key, 9, sizeof key);
    cr_assert_eq(ringmap_member_by_key(&map, key), &map.members[1]);
    key[31] ^= 1;
    cr_assert_null(ringmap_member_by_key(&map, key));
    ringmap_deinit(&map);
}

Test(ringmap, holds_knows_rows_and_free_places)
{
    struct ringmap map = example();

    map.replicas[2 * 3 + 1] = 0;
    cr_assert_eq(ringmap_row(&map, 3), map.replicas + 6);
    cr_assert_eq(ringmap_row_count(&map, map.replicas), 2);
    cr_assert_eq(ringmap_row_count(&map, map.replicas + 6), 1);
    cr_assert(ringmap_holds(&map, 3, 2));
    cr_assert_not(ringmap_holds(&map, 3, 1));
    cr_assert_not(ringmap_holds(&map, 3, 0));
    ringmap_deinit(&map);
}

Test(ringmap, wanted_is_the_target_while_there_is_one)
{
    struct ringmap map = example();

    cr_assert_not(ringmap_moving(&map));
    cr_assert_eq(ringmap_wanted(&map, 3), map.replicas + 6);
    cr_assert_eq(ringmap_copies(&map), 2);
    cr_assert(ringmap_wants(&map, 0, 2));
    map.target = calloc(16, sizeof *map.target);
    for (uint32_t p = 0; p < 8; p++)
        map.target[2 * p] = 1;
    cr_assert(ringmap_moving(&map));
    cr_assert_eq(ringmap_wanted(&map, 3), map.target + 6);
    cr_assert_eq(ringmap_copies(&map), 1);
    cr_assert_not(ringmap_wants(&map, 0, 2));
    cr_assert(ringmap_holds(&map, 0, 2));
    ringmap_check(&map);
    ringmap_deinit(&map);
}

Test(ringmap, check_stops_at_a_broken_map, .signal = SIGABRT)
{
    struct ringmap map = example();

    map.replicas[1] = map.replicas[0];
    ringmap_check(&map);
}

Test(ringmap, a_zone_is_short_text_that_prints)
{
    static const char *const good[] = {"a", "rack 7", "-", "0123456789012345678901234567890"};
    static const char *const bad[] = {"", "a\tb", "\xc3\xa9", "01234567890123456789012345678901"};

    for (size_t i = 0; i < 4; i++) {
        cr_assert(ringmap_is_zone(good[i]), "%s", good[i]);
        cr_assert_not(ringmap_is_zone(bad[i]), "%s", bad[i]);
    }
}
