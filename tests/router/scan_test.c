#include "harness.h"

#include "ring/hash.h"
#include "router/scan.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define KEYS 100

/* Marks the keys key:N that a reply gives, and returns the next cursor. */
static unsigned long long take_scan(const char *reply, unsigned seen[KEYS])
{
    const char *at;
    int size, count, number;
    unsigned long long next;

    cr_assert_eq(sscanf(reply, "*2\r\n$%d\r\n%llu\r\n*%d\r\n", &size, &next, &count), 3, "%s",
                 reply);
    at = strstr(reply, "\r\n*") + 3;
    for (int i = 0; i < count; i++) {
        at = strstr(at, "key:");
        cr_assert(at && sscanf(at, "key:%d\r\n", &number) == 1 && number < KEYS, "%s", reply);
        seen[number]++;
        at += 4;
    }
    cr_assert_null(strstr(at, "key:"), "%s", reply);
    return next;
}

/* One call. */
static unsigned long long scan(struct harness *h, uint64_t client, unsigned long long cursor,
                               const char *options, unsigned seen[KEYS])
{
    char line[128];

    snprintf(line, sizeof line, "SCAN %llu %s", cursor, options);
    return take_scan(harness_ask(h, client, line), seen);
}
static void write_keys(struct harness *h, uint64_t client)
{
    char line[32];

    for (int i = 0; i < KEYS; i++) {
        snprintf(line, sizeof line, "SET key:%d 1", i);
        harness_ask(h, client, line);
    }
}

Test(scan, gives_all_keys_of_all_partitions)
{
    static const char *const options[] = {"", "COUNT 1", "COUNT 1000", "count 7 match *"};
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    write_keys(h, client);
    for (size_t k = 0; k < sizeof options / sizeof options[0]; k++) {
        unsigned seen[KEYS] = {0};
        unsigned long long cursor = 0;
        unsigned calls = 0;

        do {
            cursor = scan(h, client, cursor, options[k], seen);
            cr_assert_lt(++calls, 1000u);
        } while (cursor != 0);
        for (int i = 0; i < KEYS; i++)
            cr_assert_eq(seen[i], 1, "key:%d with %s", i, options[k]);
    }
    harness_free(h);
}

static bool of_partition(const struct harness *h, uint16_t partition, int number)
{
    char key[16];

    snprintf(key, sizeof key, "key:%d", number);
    return hash_partition(h->map.hash_secret, HARNESS_PARTITIONS, key, strlen(key), NULL) ==
           partition;
}

Test(scan, one_call_goes_over_all_partitions_that_are_empty)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    unsigned seen[KEYS] = {0};

    cr_assert_str_eq(harness_ask(h, client, "SCAN 0"), "*2\r\n$1\r\n0\r\n*0\r\n");
    cr_assert_eq(h->operations, HARNESS_PARTITIONS); /* each once */
    harness_ask(h, client, "SET key:7 1");
    h->operations = 0;
    cr_assert_eq(scan(h, client, 0, "", seen), 0);
    cr_assert_eq(seen[7], 1);
    harness_free(h);
}

static struct harness_decision keep(struct harness *h, uint16_t member, const struct wire_op *op,
                                    const struct wire_bytes *args)
{
    (void)h;
    (void)member;
    (void)op;
    (void)args;
    return (struct harness_decision){.fate = HARNESS_KEEP};
}

/* Partitions asked at once: 1, then 2, then all that are left; a full one is not asked ahead. */
Test(scan, a_wave_is_as_wide_as_keys_are_few)
{
    static const uint32_t empty[] = {1, 3, 8}, full[] = {1, 2};
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    h->hook = keep;
    harness_type(h, client, "SCAN 0\r\n");
    for (size_t i = 0; i < 3; i++) {
        harness_run(h);
        cr_assert_eq(h->operations, empty[i], "%u", h->operations);
        harness_release(h);
    }
    harness_run(h);
    cr_assert_str_eq(harness_output(h, client), "*2\r\n$1\r\n0\r\n*0\r\n");
    h->hook = NULL;
    write_keys(h, client);
    h->hook = keep;
    h->operations = 0;
    harness_type(h, client, "SCAN 0 COUNT 20\r\n");
    for (size_t i = 0; i < 2; i++) {
        harness_run(h);
        cr_assert_eq(h->operations, full[i], "%u", h->operations);
        harness_release(h);
    }
    harness_run(h);
    cr_assert_eq(h->operations, 2);
    cr_assert_eq(strncmp(harness_output(h, client), "*2\r\n$", 5), 0);
    harness_free(h);
}

Test(scan, a_call_gives_about_count_keys)
{
    static const unsigned counts[] = {1, 5, 10, 30, 60, 99, 1000, 2000000000};
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    char options[32];

    write_keys(h, client);
    for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
        unsigned seen[KEYS] = {0}, given = 0;

        snprintf(options, sizeof options, "COUNT %u", counts[k]);
        scan(h, client, 0, options, seen);
        for (int i = 0; i < KEYS; i++)
            given += seen[i];
        cr_assert(given >= counts[k] || given == KEYS, "%u of %u", given, counts[k]);
        cr_assert_leq(given, 2 * counts[k], "%u of %u", given, counts[k]);
    }
    harness_free(h);
}

static struct harness_decision refuse_one(struct harness *h, uint16_t member,
                                          const struct wire_op *op, const struct wire_bytes *args)
{
    (void)member;
    (void)args;
    if (op->operation == WIRE_OP_SCAN && op->partition == h->hook_word)
        return (struct harness_decision){.fate = HARNESS_REFUSE, .status = WIRE_STATUS_TRYAGAIN};
    return (struct harness_decision){.fate = HARNESS_SERVE};
}

/* What comes before it is given, and the next call says what is the matter. */
Test(scan, a_partition_that_fails_ends_the_call_before_it)
{
    for (uint16_t bad = 0; bad < HARNESS_PARTITIONS; bad++) {
        struct harness *h = harness_new(NULL, false);
        uint64_t client = harness_client(h);
        unsigned seen[KEYS] = {0};
        unsigned long long cursor = 0;
        char line[48];

        write_keys(h, client);
        h->hook = refuse_one;
        h->hook_word = bad;
        while (cursor >> WIRE_SCAN_BITS < bad) {
            unsigned long long before = cursor;

            snprintf(line, sizeof line, "SCAN %llu COUNT 1000\r\n", cursor);
            harness_type(h, client, line);
            harness_advance(h, 11000); /* its deadline */
            cursor = take_scan(harness_output(h, client), seen);
            cr_assert_gt(cursor, before);
        }
        cr_assert_eq(cursor, (unsigned long long)bad << WIRE_SCAN_BITS);
        for (int i = 0; i < KEYS; i++) {
            bool before = false;

            for (uint16_t p = 0; p < bad; p++)
                before = before || of_partition(h, p, i);
            cr_assert_eq(seen[i], before ? 1 : 0, "partition %u, key:%d", bad, i);
        }
        snprintf(line, sizeof line, "SCAN %llu\r\n", cursor);
        harness_type(h, client, line);
        harness_advance(h, 11000);
        cr_assert_eq(strncmp(harness_output(h, client), "-TRYAGAIN ", 10), 0);
        h->hook = NULL;
        cr_assert_eq(scan(h, client, cursor, "COUNT 1000", seen), 0);
        for (int i = 0; i < KEYS; i++)
            cr_assert_eq(seen[i], 1, "partition %u, key:%d", bad, i);
        harness_free(h);
    }
}

static struct harness_decision serve_slowly(struct harness *h, uint16_t member,
                                            const struct wire_op *op, const struct wire_bytes *args)
{
    (void)member;
    (void)op;
    (void)args;
    h->now_ms += SCAN_MS_MAX;
    return (struct harness_decision){.fate = HARNESS_SERVE};
}

Test(scan, a_slow_cluster_is_asked_one_wave_a_call)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    unsigned seen[KEYS] = {0};

    h->hook = serve_slowly;
    cr_assert_eq(scan(h, client, 0, "", seen), 1ull << WIRE_SCAN_BITS);
    cr_assert_eq(h->operations, 1);
    harness_free(h);
}

/* Each call comes from another router, and the leaders have moved meanwhile. */
Test(scan, a_cursor_is_good_on_any_router)
{
    struct harness *routers[2] = {harness_new(NULL, false), harness_new(NULL, false)};
    uint64_t clients[2];
    unsigned seen[KEYS] = {0};
    unsigned long long cursor = 0;
    unsigned turn = 0;

    for (int i = 0; i < 2; i++) {
        clients[i] = harness_client(routers[i]);
        write_keys(routers[i], clients[i]);
        for (uint16_t p = 0; i == 1 && p < HARNESS_PARTITIONS; p++)
            routers[i]->leader[p] = (uint16_t)(routers[i]->leader[p] % HARNESS_MEMBERS + 1);
    }
    do {
        cursor = scan(routers[turn % 2], clients[turn % 2], cursor, "COUNT 5", seen);
        turn++;
    } while (cursor != 0);
    for (int i = 0; i < KEYS; i++)
        cr_assert_eq(seen[i], 1, "key:%d", i);
    harness_free(routers[0]);
    harness_free(routers[1]);
}

Test(scan, patterns_and_types_choose)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    unsigned seen[KEYS] = {0};
    unsigned long long cursor = 0;

    write_keys(h, client);
    do {
        cursor = scan(h, client, cursor, "MATCH key:[12]? COUNT 100", seen);
    } while (cursor != 0);
    for (int i = 0; i < KEYS; i++)
        cr_assert_eq(seen[i], i >= 10 && i < 30, "key:%d", i);
    memset(seen, 0, sizeof seen);
    do {
        cursor = scan(h, client, cursor, "TYPE hash", seen);
    } while (cursor != 0);
    do {
        cursor = scan(h, client, cursor, "MATCH KEY:*", seen);
    } while (cursor != 0);
    for (int i = 0; i < KEYS; i++)
        cr_assert_eq(seen[i], 0);
    do {
        cursor = scan(h, client, cursor, "type STRING match *:1", seen);
    } while (cursor != 0);
    cr_assert_eq(seen[1], 1);
    harness_free(h);
}

Test(scan, errors_have_the_words_of_redis)
{
    static const char *const rows[][2] = {
        {"SCAN", "-ERR wrong number of arguments for 'scan' command\r\n"},
        {"SCAN x", "-ERR invalid cursor\r\n"},
        {"SCAN \"\"", "-ERR invalid cursor\r\n"},
        {"SCAN 18446744073709551616", "-ERR invalid cursor\r\n"},
        {"SCAN 0 COUNT 0", "-ERR syntax error\r\n"},
        {"SCAN 0 COUNT -1", "-ERR syntax error\r\n"},
        {"SCAN 0 COUNT x", "-ERR value is not an integer or out of range\r\n"},
        {"SCAN 0 COUNT", "-ERR syntax error\r\n"},
        {"SCAN 0 MATCH", "-ERR syntax error\r\n"},
        {"SCAN 0 FOO a", "-ERR syntax error\r\n"},
        {"SCAN 18446744073709551615", "*2\r\n$1\r\n0\r\n*0\r\n"}, /* no such partition: the end */
    };
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_assert_str_eq(harness_ask(h, client, rows[i][0]), rows[i][1], "%s", rows[i][0]);
    harness_free(h);
}

/* A pipeline of them, and a client that leaves: nothing is left behind (the slab checks). */
Test(scan, replies_keep_their_order_and_clients_may_go)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    const char *output;

    harness_type(h, client,
                 "SET a 1\r\nSCAN 0 MATCH nothing\r\nPING\r\nSCAN 0 COUNT 5\r\nPING x\r\n");
    harness_run(h);
    output = harness_output(h, client);
    cr_assert_eq(strncmp(output, "+OK\r\n*2\r\n$", 10), 0, "%s", output);
    cr_assert(strstr(output, "+PONG\r\n*2\r\n"), "%s", output);
    cr_assert_str_eq(output + strlen(output) - 7, "$1\r\nx\r\n");
    h->deaf = true;
    harness_type(h, client, "SCAN 0\r\n");
    harness_flush(h);
    harness_close(h, client);
    harness_advance(h, 20000);
    harness_free(h);
}
