#include "cli/address.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const char *resolved(const char *text, bool port_zero)
{
    static char out[ADDRESS_SIZE];
    const char *why;

    return address_resolve(text, port_zero, out, &why) == 0 ? out : NULL;
}

Test(address, numeric_addresses_stay_as_they_are)
{
    cr_assert_str_eq(resolved("127.0.0.1:7001", false), "127.0.0.1:7001");
    cr_assert_str_eq(resolved("[::1]:7001", false), "[::1]:7001");
}

Test(address, names_become_numbers)
{
    const char *address = resolved("localhost:65535", false);

    cr_assert(address);
    cr_assert(address_is_loopback(address));
    cr_assert(strstr(address, ":65535"));
}

Test(address, port_zero_is_for_listeners)
{
    cr_assert_null(resolved("127.0.0.1:0", false));
    cr_assert_str_eq(resolved("127.0.0.1:0", true), "127.0.0.1:0");
}

Test(address, malformed_ones_are_refused)
{
    static const char *const bad[] = {
        "",        "127.0.0.1", "127.0.0.1:",   ":7001", "::1:7001", "127.0.0.1:70000",
        "[]:7001", "[::1]",     "127.0.0.1:7x", "a:b:1", "[::1:7001"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_null(resolved(bad[i], true), "%s", bad[i]);
}

Test(address, a_port_that_is_too_large_is_called_that)
{
    static const char *const bad[] = {"127.0.0.1:65536", "127.0.0.1:99999", "[::1]:100000",
                                      "127.0.0.1:4294967296"};
    char out[ADDRESS_SIZE];
    const char *why;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(address_resolve(bad[i], true, out, &why), -1, "%s", bad[i]);
        cr_assert_str_eq(why, "a port is at most 65535");
    }
}

Test(address, a_list_counts_each_address_once)
{
    struct address_list list;
    char bad[ADDRESS_SIZE];
    const char *why;

    cr_assert_eq(address_list_parse(&list, "127.0.0.1:1,127.0.0.1:2,127.0.0.1:1", bad, &why), 0);
    cr_assert_eq(list.count, 2);
    cr_assert_str_eq(list.items[1], "127.0.0.1:2");
}

Test(address, a_bad_item_of_a_list_is_named)
{
    struct address_list list;
    char bad[ADDRESS_SIZE];
    const char *why;

    cr_assert_lt(address_list_parse(&list, "127.0.0.1:1,here", bad, &why), 0);
    cr_assert_str_eq(bad, "here");
    cr_assert_lt(address_list_parse(&list, "", bad, &why), 0);
}

Test(address, a_list_is_bounded)
{
    static char text[(ADDRESS_LIST_MAX + 1) * 16];
    struct address_list list;
    char bad[ADDRESS_SIZE];
    const char *why;
    size_t size = 0;

    for (unsigned i = 1; i <= ADDRESS_LIST_MAX + 1; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, "127.0.0.1:%u,", i);
    cr_assert_lt(address_list_parse(&list, text, bad, &why), 0);
}

Test(address, only_loopback_is_loopback)
{
    cr_assert(address_is_loopback("127.3.2.1:1"));
    cr_assert(address_is_loopback("[::1]:1"));
    cr_assert(!address_is_loopback("0.0.0.0:1"));
    cr_assert(!address_is_loopback("[::]:1"));
    cr_assert(!address_is_loopback("12.7.0.1:1"));
}
