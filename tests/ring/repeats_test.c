#include "ring/repeats.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct repeats repeats;
static uint32_t more;

static bool tell(const char *address, const char *reason, uint64_t now_ms)
{
    return repeats_tell(&repeats, address, reason, now_ms, &more);
}

Test(repeats, of_those_alike_one_is_told_in_a_while_and_how_many_there_were)
{
    cr_assert(tell("10.0.0.1:4001", "broke off", 1000));
    cr_assert_eq(more, 0);
    for (unsigned i = 0; i < 100; i++)
        cr_assert_not(tell("10.0.0.1:4002", "broke off", 1000 + i * 99));
    cr_assert_not(tell("10.0.0.1:4003", "broke off (7 more like it not told)", 10999));
    cr_assert(tell("10.0.0.1:4004", "broke off", 11000));
    cr_assert_eq(more, 101);
    cr_assert_not(tell("10.0.0.1:4005", "broke off", 11001));
}

Test(repeats, another_host_or_another_reason_is_told_at_once)
{
    cr_assert(tell("10.0.0.1:4001", "broke off", 1000));
    cr_assert(tell("10.0.0.2:4001", "broke off", 1000));
    cr_assert(tell("10.0.0.1:4001", "too late", 1000));
    cr_assert(tell("[fd00::1]:4001", "too late", 1000));
    cr_assert_not(tell("[fd00::1]:4002", "too late", 1000));
    cr_assert(tell("?", "too late", 1000));
}

Test(repeats, of_too_many_kinds_the_oldest_is_forgotten)
{
    char address[32];

    for (unsigned i = 0; i <= REPEATS_KINDS_MAX; i++) {
        snprintf(address, sizeof address, "10.0.0.%u:1", i);
        cr_assert(tell(address, "broke off", 1000 + i));
    }
    cr_assert_not(tell("10.0.0.1:2", "broke off", 2000));
    cr_assert(tell("10.0.0.0:2", "broke off", 2000));
}
