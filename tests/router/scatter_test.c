#include "harness.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char unknown[] = "-UNKNOWNRESULT the operation may or may not have been executed\r\n";
static const char tryagain[] = "-TRYAGAIN the operation was not executed: the cluster is busy\r\n";

Test(scatter, keys_of_all_partitions_come_back_in_their_order)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    char text[HARNESS_PARTITIONS][16], line[512] = "MSET", expected[512];
    size_t size;

    for (uint16_t p = 0; p < HARNESS_PARTITIONS; p++)
        sprintf(line + strlen(line), " %s v%u", harness_key(h, p, 0, text[p]), p);
    cr_assert_str_eq(harness_ask(h, client, line), "+OK\r\n");
    strcpy(line, "MGET absent");
    size = (size_t)sprintf(expected, "*%u\r\n$-1\r\n", 2 * HARNESS_PARTITIONS + 1);
    for (unsigned i = 0; i < 2 * HARNESS_PARTITIONS; i++) {
        unsigned p = i * 3 % HARNESS_PARTITIONS; /* each twice, in another order */

        sprintf(line + strlen(line), " %s", text[p]);
        size += (size_t)sprintf(expected + size, "$2\r\nv%u\r\n", p);
    }
    h->operations = 0;
    cr_assert_str_eq(harness_ask(h, client, line), expected);
    cr_assert_eq(h->operations, HARNESS_PARTITIONS, "one operation a partition");
    harness_free(h);
}

Test(scatter, counts_are_summed)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    harness_ask(h, client, "MSET a 1 b 2 c 3 d 4 e 5");
    cr_assert_str_eq(harness_ask(h, client, "EXISTS a b c x a"), ":4\r\n");
    cr_assert_str_eq(harness_ask(h, client, "TOUCH a x"), ":1\r\n");
    cr_assert_str_eq(harness_ask(h, client, "DBSIZE"), ":5\r\n");
    cr_assert_str_eq(harness_ask(h, client, "DEL a b x"), ":2\r\n");
    cr_assert_str_eq(harness_ask(h, client, "UNLINK c c"), ":1\r\n");
    cr_assert_str_eq(harness_ask(h, client, "DBSIZE"), ":2\r\n");
    harness_free(h);
}

Test(scatter, keys_with_one_tag_make_one_operation)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    harness_ask(h, client, "GET {t}0");
    h->operations = 0;
    cr_assert_str_eq(harness_ask(h, client, "MSET {t}1 a x{t}2 b {t}3 c"), "+OK\r\n");
    cr_assert_eq(h->operations, 1);
    cr_assert_str_eq(harness_ask(h, client, "MGET {t}1 x{t}2"), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    cr_assert_eq(h->operations, 2);
    harness_free(h);
}

Test(scatter, a_command_over_an_operations_bounds_is_cut)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    char *line = malloc(1u << 20);
    size_t size;

    harness_ask(h, client, "SET {t}7 seven");
    size = (size_t)sprintf(line, "*%u\r\n$3\r\nDEL\r\n", 10001);
    for (unsigned i = 0; i < 10000; i++) {
        char key[16];
        int key_size = sprintf(key, "{t}%u", i);

        size += (size_t)sprintf(line + size, "$%d\r\n%s\r\n", key_size, key);
    }
    h->operations = 0;
    harness_bytes(h, client, line, size);
    harness_run(h);
    cr_assert_str_eq(harness_output(h, client), ":1\r\n");
    cr_assert_eq(h->operations, 3);
    free(line);
    harness_free(h);
}

/* Operations for a partition below `hook_word` are served, the others refused. */
static uint8_t refusal;
static struct harness_decision some(struct harness *h, uint16_t member, const struct wire_op *op,
                                    const struct wire_bytes *args)
{
    (void)member;
    (void)args;
    if (op->partition < h->hook_word)
        return (struct harness_decision){.fate = HARNESS_SERVE};
    if (refusal == WIRE_STATUS_NOSPACE)
        return (struct harness_decision){HARNESS_ANSWER, refusal, 0};
    return (struct harness_decision){HARNESS_REFUSE, refusal, 0};
}

static const char *with_refusals(struct harness *h, uint64_t client, const char *line,
                                 uint64_t served, uint8_t status)
{
    for (uint16_t p = 0; p < HARNESS_PARTITIONS; p++) {
        char key[16], get[32];

        sprintf(get, "GET %s", harness_key(h, p, 0, key));
        harness_ask(h, client, get);
    }
    harness_advance(h, 500); /* lanes may pause from an earlier stall */
    harness_output(h, client);
    h->hook = some;
    h->hook_word = served;
    refusal = status;
    harness_ask(h, client, line);
    harness_advance(h, 10001);
    h->hook = NULL;
    return harness_output(h, client);
}

Test(scatter, a_write_done_in_part_is_never_reported_as_refused)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    char low[16], high[16], line[64];

    harness_key(h, 1, 0, low);
    harness_key(h, 6, 0, high);
    sprintf(line, "MSET %s 1 %s 2", low, high);
    cr_assert_str_eq(with_refusals(h, client, line, 4, WIRE_STATUS_TRYAGAIN), unknown);
    cr_assert_str_eq(with_refusals(h, client, line, 0, WIRE_STATUS_TRYAGAIN), tryagain);
    harness_ask(h, client, line);
    sprintf(line, "DEL %s %s", low, high);
    cr_assert_str_eq(with_refusals(h, client, line, 4, WIRE_STATUS_TRYAGAIN), unknown);
    sprintf(line, "MSET %s 1 %s 2", low, high);
    harness_advance(h, 500);
    h->hook = some;
    h->hook_word = 4;
    refusal = WIRE_STATUS_NOSPACE;
    cr_assert_str_eq(harness_ask(h, client, line), unknown);
    h->hook_word = 0;
    cr_assert(strncmp(harness_ask(h, client, line), "-NOSPACE", 8) == 0);
    harness_free(h);
}

Test(scatter, a_read_refused_in_part_is_tryagain)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    char low[16], high[16], line[64];

    sprintf(line, "MGET %s %s", harness_key(h, 1, 0, low), harness_key(h, 6, 0, high));
    cr_assert_str_eq(with_refusals(h, client, line, 4, WIRE_STATUS_TRYAGAIN), tryagain);
    harness_free(h);
}

Test(scatter, keys_and_values_over_their_limits_are_refused_and_the_client_stays)
{
    struct router_options options;
    struct harness *h;
    uint64_t client;
    char *line = malloc(300000);

    router_options_default(&options);
    options.value_size_max = 100000;
    h = harness_new(&options, false);
    client = harness_client(h);
    memset(line, 'k', 300000);
    memcpy(line, "*2\r\n$3\r\nGET\r\n$65536\r\n", 21);
    memcpy(line + 21 + 65536, "\r\n", 2);
    harness_bytes(h, client, line, 21 + 65536 + 2);
    harness_run(h);
    cr_assert_str_eq(harness_output(h, client), "-ERR a key has 1 to 65535 bytes\r\n");
    cr_assert_str_eq(harness_ask(h, client, "GET \"\""), "-ERR a key has 1 to 65535 bytes\r\n");
    for (unsigned value = 100000; value <= 200001; value += 100000 / 2 + 1) {
        int head = sprintf(line, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%u\r\n", value);

        line[head] = 'v';
        memcpy(line + (unsigned)head + value, "\r\n", 2);
        harness_bytes(h, client, line, (unsigned)head + value + 2);
        harness_run(h);
        cr_assert_str_eq(harness_output(h, client),
                         value == 100000
                             ? "+OK\r\n"
                             : "-ERR string exceeds maximum allowed size (100000 bytes)\r\n");
        memset(line, 'v', 300000);
    }
    cr_assert_str_eq(harness_ask(h, client, "STRLEN a"), ":100000\r\n");
    cr_assert_not(harness_closed(h, client));
    free(line);
    harness_free(h);
}
