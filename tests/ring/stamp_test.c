#include "ring/stamp.h"

#include <string.h>

#include <criterion/criterion.h>

Test(stamp, a_moment_is_told_in_utc)
{
    char text[STAMP_SIZE];

    cr_assert_str_eq(stamp_seconds(0, text), "1970-01-01T00:00:00Z");
    cr_assert_str_eq(stamp_ms(0, text), "1970-01-01T00:00:00.000Z");
    cr_assert_str_eq(stamp_seconds(1709210096789, text), "2024-02-29T12:34:56Z");
    cr_assert_str_eq(stamp_ms(1709210096789, text), "2024-02-29T12:34:56.789Z");
    cr_assert_str_eq(stamp_ms(1709210096007, text), "2024-02-29T12:34:56.007Z");
}

/* Of a peer that says anything. */
Test(stamp, the_last_moment_has_room)
{
    char text[STAMP_SIZE];

    cr_assert_str_eq(stamp_seconds(UINT64_MAX, text), "584556019-04-03T14:25:51Z");
    cr_assert_str_eq(stamp_ms(UINT64_MAX, text), "584556019-04-03T14:25:51.615Z");
    cr_assert_lt(strlen(text), sizeof text - 1);
}
