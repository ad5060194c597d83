#include "harness.h"

#include <criterion/criterion.h>

struct row {
    const char *line;
    const char *reply;
};

static void ask_rows(struct harness *h, uint64_t client, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cr_assert_str_eq(harness_ask(h, client, rows[i].line), rows[i].reply, "%s", rows[i].line);
}

#define ROWS(rows) rows, sizeof(rows) / sizeof(rows)[0]

/* As a redis-server 7.0.15 says them. */
Test(expiry, errors_have_the_words_of_redis)
{
    static const struct row rows[] = {
        {"SET a b EX 0", "-ERR invalid expire time in 'set' command\r\n"},
        {"SET a b EX -1", "-ERR invalid expire time in 'set' command\r\n"},
        {"SET a b EX x", "-ERR value is not an integer or out of range\r\n"},
        {"SET a b PX 9223372036854775807", "-ERR invalid expire time in 'set' command\r\n"},
        {"SET a b EX 9223372036854775807", "-ERR invalid expire time in 'set' command\r\n"},
        {"SET a b EXAT 9223372036854775807", "-ERR invalid expire time in 'set' command\r\n"},
        {"SET a b EX", "-ERR syntax error\r\n"},
        {"SET a b EX 1 PX 1", "-ERR syntax error\r\n"},
        {"SET a b EX 1 KEEPTTL", "-ERR syntax error\r\n"},
        {"SET a b KEEPTTL EX 1", "-ERR syntax error\r\n"},
        {"SET a b PERSIST", "-ERR syntax error\r\n"},
        {"SET a b EX x NX XX", "-ERR syntax error\r\n"},
        {"SETEX a 0 b", "-ERR invalid expire time in 'setex' command\r\n"},
        {"SETEX a x b", "-ERR value is not an integer or out of range\r\n"},
        {"SETEX a 1", "-ERR wrong number of arguments for 'setex' command\r\n"},
        {"PSETEX a 0 b", "-ERR invalid expire time in 'psetex' command\r\n"},
        {"SET a 1", "+OK\r\n"},
        {"GETEX a EX 0", "-ERR invalid expire time in 'getex' command\r\n"},
        {"GETEX a EX 1 PERSIST", "-ERR syntax error\r\n"},
        {"GETEX a PERSIST EX 1", "-ERR syntax error\r\n"},
        {"GETEX a KEEPTTL", "-ERR syntax error\r\n"},
        {"GETEX a FOO", "-ERR syntax error\r\n"},
        {"GETEX a EX", "-ERR syntax error\r\n"},
        {"EXPIRE a x", "-ERR value is not an integer or out of range\r\n"},
        {"EXPIRE a 9223372036854775807", "-ERR invalid expire time in 'expire' command\r\n"},
        {"EXPIRE a -9223372036854775807", "-ERR invalid expire time in 'expire' command\r\n"},
        {"PEXPIRE a 9223372036854775807", "-ERR invalid expire time in 'pexpire' command\r\n"},
        {"EXPIREAT a x", "-ERR value is not an integer or out of range\r\n"},
        {"EXPIRE a 10 FOO", "-ERR Unsupported option FOO\r\n"},
        {"EXPIRE a 10 NX XX",
         "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"},
        {"EXPIRE a 10 GT NX",
         "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"},
        {"EXPIRE a 10 GT LT", "-ERR GT and LT options at the same time are not compatible\r\n"},
        {"TTL a", ":-1\r\n"}, /* nothing of that was carried out */
    };
    struct harness *h = harness_new(NULL, false);

    ask_rows(h, harness_client(h), ROWS(rows));
    harness_free(h);
}

Test(expiry, deadlines_behave_as_in_redis)
{
    static const struct row rows[] = {
        {"TTL none", ":-2\r\n"},
        {"PTTL none", ":-2\r\n"},
        {"EXPIRETIME none", ":-2\r\n"},
        {"SET a 1", "+OK\r\n"},
        {"TTL a", ":-1\r\n"},
        {"PEXPIRETIME a", ":-1\r\n"},
        {"SET a 1 EX 100", "+OK\r\n"},
        {"TTL a", ":100\r\n"},
        {"PTTL a", ":100000\r\n"},
        {"SET a 2 keepttl", "+OK\r\n"},
        {"TTL a", ":100\r\n"},
        {"SET a 3 PX 1499", "+OK\r\n"},
        {"TTL a", ":1\r\n"},
        {"PEXPIRE a 1500", ":1\r\n"},
        {"TTL a", ":2\r\n"},
        {"SET a 4", "+OK\r\n"},
        {"TTL a", ":-1\r\n"},
        {"SET a 5 EXAT 2000000000 GET", "$1\r\n4\r\n"},
        {"EXPIRETIME a", ":2000000000\r\n"},
        {"SET a 6 PXAT 2000000000499 XX", "+OK\r\n"},
        {"PEXPIRETIME a", ":2000000000499\r\n"},
        {"EXPIRETIME a", ":2000000000\r\n"},
        {"SET a 7 NX EX 5", "$-1\r\n"},
        {"PEXPIRETIME a", ":2000000000499\r\n"},
        {"SET b 1 EX 5 NX GET", "$-1\r\n"},
        {"TTL b", ":5\r\n"},
        {"SETEX b 7 1", "+OK\r\n"},
        {"TTL b", ":7\r\n"},
        {"PSETEX b 9000 2", "+OK\r\n"},
        {"TTL b", ":9\r\n"},
        {"GETEX b", "$1\r\n2\r\n"},
        {"TTL b", ":9\r\n"},
        {"GETEX b EX 11", "$1\r\n2\r\n"},
        {"TTL b", ":11\r\n"},
        {"GETEX b PERSIST", "$1\r\n2\r\n"},
        {"TTL b", ":-1\r\n"},
        {"GETEX b PXAT 2000000000000", "$1\r\n2\r\n"},
        {"EXPIRETIME b", ":2000000000\r\n"},
        {"GETEX none EX 1", "$-1\r\n"},
        {"EXPIRE none 1", ":0\r\n"},
        {"PERSIST b", ":1\r\n"},
        {"PERSIST b", ":0\r\n"},
        {"EXPIRE b 10 XX", ":0\r\n"},
        {"EXPIRE b 10 GT", ":0\r\n"},
        {"EXPIRE b 10 LT", ":1\r\n"},
        {"EXPIRE b 20 nx", ":0\r\n"},
        {"EXPIRE b 20 LT", ":0\r\n"},
        {"EXPIRE b 20 xx gt", ":1\r\n"},
        {"TTL b", ":20\r\n"},
        {"EXPIREAT b 2000000001", ":1\r\n"},
        {"PEXPIREAT b 2000000002000", ":1\r\n"},
        {"EXPIRETIME b", ":2000000002\r\n"},
        {"EXPIRE b -1", ":1\r\n"},
        {"GET b", "$-1\r\n"},
        {"SET c 1 PXAT 1", "+OK\r\n"},
        {"GET c", "$-1\r\n"},
    };
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    ask_rows(h, client, ROWS(rows));
    harness_ask(h, client, "SET d 1 PX 50");
    harness_advance(h, 49);
    cr_assert_str_eq(harness_ask(h, client, "GET d"), "$1\r\n1\r\n");
    harness_advance(h, 2);
    cr_assert_str_eq(harness_ask(h, client, "GET d"), "$-1\r\n");
    harness_free(h);
}

static struct harness_decision do_and_say_lost(struct harness *h, uint16_t member,
                                               const struct wire_op *op,
                                               const struct wire_bytes *args)
{
    (void)member;
    (void)op;
    (void)args;
    return (struct harness_decision){.fate = h->hook_count++ == 0 ? HARNESS_DO_SAY_LOST
                                                                  : HARNESS_SERVE};
}

/* The answer was lost on its way: the second attempt gets the kept integer, but there is none for a
 * GETEX. */
Test(expiry, retries_get_the_first_answer)
{
    static const struct row rows[] = {
        {"EXPIRE a 100 NX", ":1\r\n"},
        {"PERSIST a", ":1\r\n"},
        {"SET a 2 EX 100 NX", "$-1\r\n"},
        {"SET b 2 EX 100 NX", "+OK\r\n"},
        {"GETEX a EX 100", "-UNKNOWNRESULT the operation may or may not have been executed\r\n"},
    };
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    harness_ask(h, client, "SET a 1");
    h->hook = do_and_say_lost;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        h->hook_count = 0;
        harness_type(h, client, rows[i].line);
        harness_type(h, client, "\r\n");
        harness_advance(h, 3000);
        cr_assert_str_eq(harness_output(h, client), rows[i].reply, "%s", rows[i].line);
    }
    harness_free(h);
}
