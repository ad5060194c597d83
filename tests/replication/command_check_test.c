#include "replication/command.h"

#include <criterion/criterion.h>
#include <string.h>

#define SIZE_MAX_VALUE 40u

static const struct command_options options = {.value_size_max = SIZE_MAX_VALUE,
                                               .entry_size_max = 4096};

/* Parsing: what Redis takes for an integer. */

static const struct {
    const char *text;
    bool good;
    int64_t value;
} integers[] = {
    {"0", true, 0},
    {"1", true, 1},
    {"-1", true, -1},
    {"10", true, 10},
    {"-10", true, -10},
    {"9223372036854775807", true, INT64_MAX},
    {"-9223372036854775808", true, INT64_MIN},
    {"-9223372036854775807", true, INT64_MIN + 1},
    {"9223372036854775808", false, 0},
    {"-9223372036854775809", false, 0},
    {"18446744073709551615", false, 0},
    {"18446744073709551616", false, 0},
    {"99999999999999999999", false, 0},
    {"-99999999999999999999", false, 0},
    {"", false, 0},
    {"-", false, 0},
    {"--1", false, 0},
    {"-0", false, 0},
    {"00", false, 0},
    {"01", false, 0},
    {"-01", false, 0},
    {"+1", false, 0},
    {" 1", false, 0},
    {"1 ", false, 0},
    {"1\n", false, 0},
    {"1.0", false, 0},
    {"1e3", false, 0},
    {"0x10", false, 0},
    {"1a", false, 0},
    {"a", false, 0},
    {"12345678901234567890123", false, 0},
};

Test(command_check, integers_are_parsed_as_redis_parses_them)
{
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++) {
        int64_t value = 42;

        cr_assert_eq(command_parse_integer(integers[i].text, strlen(integers[i].text), &value),
                     integers[i].good, "\"%s\"", integers[i].text);
        cr_assert_eq(value, integers[i].good ? integers[i].value : 42, "\"%s\"", integers[i].text);
    }
    cr_assert(!command_parse_integer("1\0", 2, &(int64_t){0}), "a zero byte is no digit");
}

/* What is refused at the door. */

static uint8_t status_of(uint8_t operation, uint8_t flags, const struct wire_bytes *args,
                         uint32_t count)
{
    struct wire_op op = {.operation = operation, .flags = flags, .arg_count = count};

    return command_check(&options, &op, args);
}

Test(command_check, refuses_malformed_operations)
{
    static uint8_t bytes[65536];
    const struct wire_bytes key = {.data = bytes, .size = 1};
    const struct wire_bytes nil = {0};
    const struct wire_bytes empty = {.data = bytes, .size = 0};
    const struct wire_bytes longest = {.data = bytes, .size = 65535};
    const struct wire_bytes longer = {.data = bytes, .size = 65536};
    const struct wire_bytes four[4] = {key, key, key, key};

    cr_assert_eq(status_of(99, 0, four, 1), WIRE_STATUS_MALFORMED);
    cr_assert_eq(status_of(0, 0, four, 1), WIRE_STATUS_MALFORMED);
    cr_assert_eq(status_of(WIRE_OP_GET, 0, four, 0), WIRE_STATUS_MALFORMED);
    cr_assert_eq(status_of(WIRE_OP_GET, 1, four, 1), WIRE_STATUS_MALFORMED);
    cr_assert_eq(status_of(WIRE_OP_GET, 0, four, 4), WIRE_STATUS_OK);
    cr_assert_eq(status_of(WIRE_OP_GET, 0, four, WIRE_ARGS_MAX + 1), WIRE_STATUS_MALFORMED);
    cr_assert_eq(status_of(WIRE_OP_STRLEN, 0, four, 2), WIRE_STATUS_MALFORMED);
    cr_assert_eq(status_of(WIRE_OP_GETDEL, 0, four, 2), WIRE_STATUS_MALFORMED);
    cr_assert_eq(status_of(WIRE_OP_COUNT, 0, four, 1), WIRE_STATUS_MALFORMED);
    cr_assert_eq(status_of(WIRE_OP_COUNT, 0, NULL, 0), WIRE_STATUS_OK);
    cr_assert_eq(status_of(WIRE_OP_PUT, 0, four, 3), WIRE_STATUS_MALFORMED);
    cr_assert_eq(status_of(WIRE_OP_PUT, 0, four, 4), WIRE_STATUS_OK);
    cr_assert_eq(status_of(WIRE_OP_PUT, 0, four, 0), WIRE_STATUS_MALFORMED);
    cr_assert_eq(status_of(WIRE_OP_SET, 0, four, 1), WIRE_STATUS_MALFORMED);
    cr_assert_eq(status_of(WIRE_OP_SET, 0, four, 3), WIRE_STATUS_MALFORMED);
    cr_assert_eq(status_of(WIRE_OP_SET, WIRE_SET_NX | WIRE_SET_XX, four, 2), WIRE_STATUS_MALFORMED);
    cr_assert_eq(status_of(WIRE_OP_SET, WIRE_SET_EXPIRY, four, 2), WIRE_STATUS_MALFORMED);
    cr_assert_eq(status_of(WIRE_OP_SET, 64, four, 2), WIRE_STATUS_MALFORMED);
    cr_assert_eq(status_of(WIRE_OP_APPEND, WIRE_SET_GET, four, 2), WIRE_STATUS_MALFORMED);
    cr_assert_eq(status_of(WIRE_OP_GET, 0, &nil, 1), WIRE_STATUS_MALFORMED);
    cr_assert_eq(status_of(WIRE_OP_GET, 0, &empty, 1), WIRE_STATUS_MALFORMED);
    cr_assert_eq(status_of(WIRE_OP_GET, 0, &longest, 1), WIRE_STATUS_OK);
    cr_assert_eq(status_of(WIRE_OP_GET, 0, &longer, 1), WIRE_STATUS_MALFORMED);
    cr_assert_eq(status_of(WIRE_OP_SET, 0, (struct wire_bytes[]){key, nil}, 2),
                 WIRE_STATUS_MALFORMED);
    cr_assert_eq(status_of(WIRE_OP_SET, 0, (struct wire_bytes[]){key, empty}, 2), WIRE_STATUS_OK);
}

Test(command_check, refuses_times_and_flags_that_do_not_go_together)
{
    const struct wire_bytes key = {.data = (const uint8_t *)"k", .size = 1};
    const struct wire_bytes one = {.data = (const uint8_t *)"1", .size = 1};
    const struct wire_bytes zero = {.data = (const uint8_t *)"0", .size = 1};
    const struct wire_bytes word = {.data = (const uint8_t *)"x", .size = 1};
    const struct wire_bytes args[3] = {key, one, one};
    const struct wire_bytes zeros[3] = {key, zero, zero};
    const struct wire_bytes words[3] = {key, word, word};
    const struct {
        uint8_t operation, flags, count, status;
        const struct wire_bytes *args;
    } cases[] = {
        {WIRE_OP_SET, WIRE_SET_EXPIRY, 3, WIRE_STATUS_OK, args},
        {WIRE_OP_SET, WIRE_SET_EXPIRY | WIRE_SET_RELATIVE, 3, WIRE_STATUS_OK, args},
        {WIRE_OP_SET, WIRE_SET_RELATIVE, 2, WIRE_STATUS_MALFORMED, args},
        {WIRE_OP_SET, WIRE_SET_EXPIRY | WIRE_SET_KEEPTTL, 3, WIRE_STATUS_MALFORMED, args},
        {WIRE_OP_SET, WIRE_SET_EXPIRY, 3, WIRE_STATUS_MALFORMED, zeros},
        {WIRE_OP_SET, WIRE_SET_EXPIRY, 3, WIRE_STATUS_NOT_INTEGER, words},
        {WIRE_OP_EXPIRE, 0, 2, WIRE_STATUS_OK, args},
        {WIRE_OP_EXPIRE, 0, 2, WIRE_STATUS_OK, zeros},
        {WIRE_OP_EXPIRE, 0, 2, WIRE_STATUS_NOT_INTEGER, words},
        {WIRE_OP_EXPIRE, 0, 1, WIRE_STATUS_MALFORMED, args},
        {WIRE_OP_EXPIRE, WIRE_EXPIRE_NX | WIRE_EXPIRE_XX, 2, WIRE_STATUS_MALFORMED, args},
        {WIRE_OP_EXPIRE, WIRE_EXPIRE_NX | WIRE_EXPIRE_GT, 2, WIRE_STATUS_MALFORMED, args},
        {WIRE_OP_EXPIRE, WIRE_EXPIRE_NX | WIRE_EXPIRE_LT, 2, WIRE_STATUS_MALFORMED, args},
        {WIRE_OP_EXPIRE, WIRE_EXPIRE_GT | WIRE_EXPIRE_LT, 2, WIRE_STATUS_MALFORMED, args},
        {WIRE_OP_EXPIRE, WIRE_EXPIRE_XX | WIRE_EXPIRE_GT, 2, WIRE_STATUS_OK, args},
        {WIRE_OP_GETEX, 0, 2, WIRE_STATUS_OK, args},
        {WIRE_OP_GETEX, 0, 1, WIRE_STATUS_MALFORMED, args},
        {WIRE_OP_GETEX, WIRE_GETEX_PERSIST, 1, WIRE_STATUS_OK, args},
        {WIRE_OP_GETEX, WIRE_GETEX_PERSIST, 2, WIRE_STATUS_MALFORMED, args},
        {WIRE_OP_GETEX, WIRE_GETEX_PERSIST | WIRE_EXPIRE_RELATIVE, 1, WIRE_STATUS_MALFORMED, args},
        {WIRE_OP_GETEX, 0, 2, WIRE_STATUS_MALFORMED, zeros},
        {WIRE_OP_PERSIST, 0, 1, WIRE_STATUS_OK, args},
        {WIRE_OP_PERSIST, 0, 2, WIRE_STATUS_MALFORMED, args},
        {WIRE_OP_TTL, WIRE_EXPIRE_RELATIVE, 1, WIRE_STATUS_OK, args},
        {WIRE_OP_TTL, WIRE_EXPIRE_NX, 1, WIRE_STATUS_MALFORMED, args},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_assert_eq(status_of(cases[i].operation, cases[i].flags, cases[i].args, cases[i].count),
                     cases[i].status, "case %zu", i);
}

Test(command_check, refuses_what_is_too_large)
{
    static uint8_t bytes[65536];
    const struct wire_bytes key = {.data = bytes, .size = 1};
    const struct wire_bytes largest = {.data = bytes, .size = SIZE_MAX_VALUE};
    const struct wire_bytes larger = {.data = bytes, .size = SIZE_MAX_VALUE + 1};
    const struct wire_bytes long_key = {.data = bytes, .size = 4096};

    cr_assert_eq(status_of(WIRE_OP_SET, 0, (struct wire_bytes[]){key, largest}, 2), WIRE_STATUS_OK);
    cr_assert_eq(status_of(WIRE_OP_SET, 0, (struct wire_bytes[]){key, larger}, 2),
                 WIRE_STATUS_TOO_LARGE);
    cr_assert_eq(status_of(WIRE_OP_DEL, 0, &long_key, 1), WIRE_STATUS_TOO_LARGE, "as an entry");
    cr_assert_eq(status_of(WIRE_OP_GET, 0, &long_key, 1), WIRE_STATUS_OK, "reads make no entry");
}

/* What the host lends as the old value may be the very memory that the append needs. */
Test(command_check, a_value_that_is_logged_again_is_copied)
{
    static const struct wire_bytes args[] = {{(const uint8_t *)"k", 1},
                                             {(const uint8_t *)"90000", 5}};
    static const struct wire_op ops[] = {
        {.operation = WIRE_OP_EXPIRE, .arg_count = 2},
        {.operation = WIRE_OP_PERSIST, .arg_count = 1},
        {.operation = WIRE_OP_GETEX, .flags = WIRE_GETEX_PERSIST, .arg_count = 1},
        {.operation = WIRE_OP_GETEX, .arg_count = 2}};

    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        uint8_t bytes[] = "value";
        struct keydir_digest digest = {.low = 1};
        struct command_value value = {.found = true, .bytes = bytes, .size = 5, .expiry_ms = 5000};
        struct command_input input = {
            .op = &ops[i], .args = args, .digests = &digest, .values = &value, .time_ms = 1000};
        struct command_outcome outcome;

        command_outcome_init(&outcome);
        cr_assert_eq(command_evaluate(&options, &input, &outcome), 0);
        memset(bytes, 'x', sizeof bytes);
        cr_assert_eq(outcome.write_count, 1, "%zu", i);
        cr_assert(outcome.writes[0].size == 5 && memcmp(outcome.writes[0].bytes, "value", 5) == 0,
                  "%zu: %.5s", i, outcome.writes[0].bytes);
        command_outcome_deinit(&outcome);
    }
}
