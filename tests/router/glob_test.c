#include "router/glob.h"

#include <criterion/criterion.h>
#include <string.h>

static bool match(const char *pattern, const char *text)
{
    return glob_match(pattern, strlen(pattern), text, strlen(text), GLOB_ANY_CASE);
}

Test(glob, patterns_match_as_in_redis)
{
    static const char *const yes[][2] = {
        {"", ""},         {"*", ""},     {"*", "abc"},   {"a*c", "abbc"},
        {"a**c", "ac"},   {"?", "a"},    {"a?c", "abc"}, {"[abc]", "b"},
        {"[a-c]x", "bx"}, {"[^a]", "b"}, {"\\*", "*"},   {"MAX*", "maxmemory"},
    };
    static const char *const no[][2] = {
        {"", "a"},      {"a", ""},     {"?", ""},    {"a*c", "ab"},
        {"[abc]", "d"}, {"[^a]", "a"}, {"\\*", "a"}, {"*a*b", "xaxax"},
    };

    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        cr_assert(match(yes[i][0], yes[i][1]), "%s %s", yes[i][0], yes[i][1]);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        cr_assert_not(match(no[i][0], no[i][1]), "%s %s", no[i][0], no[i][1]);
}

Test(glob, hostile_patterns_take_no_exponential_time)
{
    char pattern[200], text[4000];

    for (size_t i = 0; i < sizeof pattern; i += 2)
        memcpy(pattern + i, "*a", 2);
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 'b';
    cr_assert_not(glob_match(pattern, sizeof pattern, text, sizeof text, GLOB_EXACT));
}

Test(glob, case_matters_where_keys_are_matched)
{
    cr_assert(glob_match("a[B-D]*", 7, "aCx", 3, GLOB_EXACT));
    cr_assert_not(glob_match("a[B-D]*", 7, "acx", 3, GLOB_EXACT));
    cr_assert_not(glob_match("A*", 2, "abc", 3, GLOB_EXACT));
    cr_assert(glob_match("A*", 2, "abc", 3, GLOB_ANY_CASE));
    cr_assert(glob_match("\xff?", 2, "\xff\0", 2, GLOB_EXACT), "any bytes");
}
