#include "replication/crowd.h"

#include <criterion/criterion.h>

static const enum crowd bounded[] = {CROWD_JOINERS, CROWD_STRANGERS, CROWD_ROUTERS, CROWD_ADMINS,
                                     CROWD_OWNERS};
#define BOUNDED (sizeof bounded / sizeof *bounded)

Test(crowd, members_always_find_a_place)
{
    cr_assert_eq(crowd_places(CROWD_MEMBERS, 0), UINT32_MAX);
    cr_assert_eq(crowd_places(CROWD_MEMBERS, 1u << 20), UINT32_MAX);
}

Test(crowd, with_many_descriptors_each_kind_has_its_own_number)
{
    cr_assert_eq(crowd_places(CROWD_JOINERS, 1u << 20), 256);
    cr_assert_eq(crowd_places(CROWD_STRANGERS, 1u << 20), 64);
    cr_assert_eq(crowd_places(CROWD_ROUTERS, 1u << 20), 1024);
    cr_assert_eq(crowd_places(CROWD_ADMINS, UINT32_MAX), 64);
    cr_assert_eq(crowd_places(CROWD_OWNERS, UINT32_MAX), 64);
}

Test(crowd, all_crowds_together_leave_descriptors_to_members)
{
    for (uint32_t descriptors = 512; descriptors < 1u << 16; descriptors *= 2) {
        uint32_t links = 0;

        for (size_t i = 0; i < BOUNDED; i++)
            links += crowd_places(bounded[i], descriptors);
        cr_assert_lt(2 * links, descriptors, "%u of %u", 2 * links, descriptors);
    }
}

Test(crowd, with_no_descriptors_to_spare_nobody_is_locked_out_for_good)
{
    for (size_t i = 0; i < BOUNDED; i++)
        cr_assert_eq(crowd_places(bounded[i], 0), CROWD_PLACES_MIN);
}

Test(crowd, guests_are_those_whom_nobody_has_committed)
{
    cr_assert(crowd_is_guest(CROWD_JOINERS));
    cr_assert(crowd_is_guest(CROWD_STRANGERS));
    cr_assert_not(crowd_is_guest(CROWD_MEMBERS));
    cr_assert_not(crowd_is_guest(CROWD_ROUTERS));
    cr_assert_not(crowd_is_guest(CROWD_ADMINS));
    cr_assert_not(crowd_is_guest(CROWD_OWNERS));
}

static uint32_t fill(enum crowd crowd, struct crowd_waiting *waiting, uint64_t round, size_t bytes)
{
    uint32_t count = 0;

    while (count < 100000 && crowd_may_wait(crowd, waiting, round, bytes))
        count++;
    return count;
}

Test(crowd, so_many_messages_wait_in_a_round)
{
    struct crowd_waiting waiting = {0};

    cr_assert_eq(fill(CROWD_JOINERS, &waiting, 7, 10), 16);
    cr_assert_eq(fill(CROWD_JOINERS, &waiting, 7, 0), 0);
    cr_assert_eq(fill(CROWD_STRANGERS, &waiting, 8, 10), 16, "the next round");
    cr_assert_eq(fill(CROWD_ROUTERS, &waiting, 9, 0), 64);
    cr_assert_eq(fill(CROWD_ADMINS, &waiting, 10, 0), 1024);
    cr_assert_eq(fill(CROWD_OWNERS, &waiting, 11, 0), 1024);
    cr_assert_eq(fill(CROWD_MEMBERS, &waiting, 12, 1 << 20), 100000, "their links bound it");
}

Test(crowd, so_many_bytes_wait_in_a_round)
{
    static const size_t most = 512u << 10;
    struct crowd_waiting waiting = {0};

    cr_assert(crowd_may_wait(CROWD_JOINERS, &waiting, 0, most - 1));
    cr_assert_not(crowd_may_wait(CROWD_JOINERS, &waiting, 0, 2));
    cr_assert_not(crowd_may_wait(CROWD_JOINERS, &waiting, 0, SIZE_MAX));
    cr_assert(crowd_may_wait(CROWD_JOINERS, &waiting, 0, 1), "what was refused is not counted");
    cr_assert_not(crowd_may_wait(CROWD_JOINERS, &waiting, 0, 1));
    cr_assert_not(crowd_may_wait(CROWD_JOINERS, &waiting, 1, most + 1));
    cr_assert(crowd_may_wait(CROWD_ADMINS, &waiting, 2, 20u << 20), "the largest message");
    cr_assert_not(crowd_may_wait(CROWD_JOINERS, &waiting, 2, 1), "it was less before");
}
