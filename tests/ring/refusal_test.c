#include "ring/refusal.h"

#include "ring/link.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

static const uint8_t key[NOISE_KEY_SIZE] = {1, 2, 3};

static void setup(void)
{
    cr_assert(sodium_init() >= 0);
}
TestSuite(refusal, .init = setup);

Test(refusal, is_read_with_its_key_and_with_no_other)
{
    struct refusal sent = {.kind = REFUSAL_SPENT, .number = 7}, got = {0};
    uint8_t bytes[REFUSAL_SIZE], other[NOISE_KEY_SIZE] = {1, 2, 4};

    refusal_seal(&sent, key, bytes);
    cr_assert(refusal_open(&got, key, bytes));
    cr_assert_eq(got.kind, REFUSAL_SPENT);
    cr_assert_eq(got.number, 7);
    cr_assert_not(refusal_open(&got, other, bytes));
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] ^= 1;
        cr_assert_not(refusal_open(&got, key, bytes), "byte %zu", i);
        bytes[i] ^= 1;
    }
}

/* Frozen: a build of another version has to read them. */
Test(refusal, has_the_bytes_of_its_format)
{
    static const uint8_t want[REFUSAL_SIZE] = {0xaf, 0x08, 0xdd, 0x23, 0xdc, 0xda, 0xa6, 0xdb,
                                               0x5e, 0x96, 0x88, 0xaa, 0x05, 0x90, 0x1b, 0x06,
                                               0xb8, 0x87, 0x25, 0x2d, 0x68, 0x53, 0xa9};
    struct refusal refusal = {.kind = REFUSAL_EXPIRED, .number = UINT64_C(1795398123456)};
    uint8_t bytes[REFUSAL_SIZE];

    refusal_seal(&refusal, key, bytes);
    cr_assert_arr_eq(bytes, want, sizeof want);
}

Test(refusal, kinds_that_nobody_sends_are_not_read)
{
    static const uint8_t never[] = {REFUSAL_NONE, REFUSAL_UNANSWERED, REFUSAL_NO_NODE};
    uint8_t bytes[REFUSAL_SIZE];
    struct refusal got;

    for (size_t i = 0; i < sizeof never; i++) {
        refusal_seal(&(struct refusal){.kind = never[i]}, key, bytes);
        cr_assert_not(refusal_open(&got, key, bytes), "%u", never[i]);
    }
}

static void expect(uint8_t kind, uint64_t number, uint8_t role, const char *want)
{
    struct refusal refusal = {.kind = kind, .number = number};
    char text[REFUSAL_TEXT_SIZE];

    refusal_text(&refusal, role, text);
    cr_assert_str_eq(text, want);
}

Test(refusal, says_the_reason_and_what_to_do_next)
{
    uint64_t when = UINT64_C(1795398123456);

    expect(REFUSAL_SPENT, 2, 0, "the ticket is spent: used 2 of 2 times");
    expect(REFUSAL_SPENT, 1, LINK_ROLE_NODE,
           "the ticket is spent: used 1 of 1 times; take one of `ring-admin ticket new --role "
           "node`");
    expect(REFUSAL_EXPIRED, when, LINK_ROLE_ROUTER,
           "the ticket expired at 2026-11-23T01:42:03Z; take one of `ring-admin ticket new "
           "--role router`");
    expect(REFUSAL_REVOKED, when, 0, "the ticket was revoked at 2026-11-23T01:42:03Z");
    expect(REFUSAL_ROLE, LINK_ROLE_ROUTER, LINK_ROLE_ADMIN,
           "the ticket is for the role router; take one of `ring-admin ticket new --role admin`");
    expect(REFUSAL_ROLE, 99, 0, "the ticket is for the role any");
    expect(REFUSAL_NOTING, 0, LINK_ROLE_NODE, "its use is being noted");
    expect(REFUSAL_CROWD, 64, LINK_ROLE_ADMIN,
           "too many links of its kind are open to this node: 64");
    expect(77, 0, LINK_ROLE_NODE, "refused for a reason that this version does not know");
}

Test(refusal, texts_have_room)
{
    struct refusal refusal = {.number = UINT64_MAX};
    char text[REFUSAL_TEXT_SIZE];

    for (unsigned kind = 0; kind < 256; kind++) {
        refusal.kind = (uint8_t)kind;
        refusal_text(&refusal, LINK_ROLE_ROUTER, text);
        cr_assert_lt(strlen(text), REFUSAL_TEXT_SIZE - 30, "a note may follow: %s", text);
    }
}
