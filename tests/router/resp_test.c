#include "tests/dice.h"

#include "router/resp.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct resp_limits limits = {.bulk_kept_max = 4096, .command_kept_max = 1u << 20};

/* Everything a stream parses to, as text: words in angle brackets, a line a command. */
struct parsed {
    char text[1 << 16];
    size_t size;
};

static void parsed_add(struct parsed *parsed, const char *bytes, size_t size)
{
    cr_assert(parsed->size + size < sizeof parsed->text);
    memcpy(parsed->text + parsed->size, bytes, size);
    parsed->size += size;
    parsed->text[parsed->size] = '\0';
}

static void parsed_command(struct parsed *parsed, const struct resp_parser *parser)
{
    if (parser->oversize)
        parsed_add(parsed, "(oversize)", 10);
    for (uint32_t i = 0; i < parser->arg_count; i++) {
        parsed_add(parsed, "<", 1);
        parsed_add(parsed, (const char *)parser->args[i].data, parser->args[i].size);
        parsed_add(parsed, ">", 1);
    }
    parsed_add(parsed, "\n", 1);
}

/* Feeds the stream in pieces that end at the given places, as a host with a buffer would. Each
 * piece lies in memory of its exact size, so that a sanitizer sees a read beyond it. */
static void parse_pieces(const uint8_t *stream, size_t size, const size_t *ends, size_t end_count,
                         bool authenticated, struct parsed *parsed)
{
    struct resp_parser parser;
    uint8_t *held = NULL;
    size_t held_size = 0, from = 0;

    parsed->size = 0;
    parsed->text[0] = '\0';
    resp_parser_init(&parser, &limits);
    parser.authenticated = authenticated;
    for (size_t i = 0; i <= end_count; i++) {
        size_t to = i < end_count ? ends[i] : size;
        size_t at = 0, used;
        uint8_t *joined = malloc(held_size + (to - from) + !(held_size + to - from));
        int r = RESP_E_OK;

        cr_assert(joined);
        if (held_size > 0)
            memcpy(joined, held, held_size);
        memcpy(joined + held_size, stream + from, to - from);
        free(held);
        held_size += to - from;
        while (r == RESP_E_OK) {
            r = resp_parse(&parser, joined + at, held_size - at, &used);
            at += used;
            cr_assert(at <= held_size);
            if (r == RESP_E_OK)
                parsed_command(parsed, &parser);
        }
        if (r == RESP_E_INVALID) {
            parsed_add(parsed, "! ", 2);
            parsed_add(parsed, parser.error, strlen(parser.error));
            free(joined);
            resp_parser_deinit(&parser);
            return;
        }
        held_size -= at;
        held = malloc(held_size + 1);
        cr_assert(held);
        memcpy(held, joined + at, held_size);
        free(joined);
        from = to;
    }
    free(held);
    resp_parser_deinit(&parser);
}

static const char *parse(const char *stream, bool authenticated)
{
    static struct parsed parsed;

    parse_pieces((const uint8_t *)stream, strlen(stream), NULL, 0, authenticated, &parsed);
    return parsed.text;
}

static const struct {
    const char *stream;
    const char *expected;
} table[] = {
    {"*1\r\n$4\r\nPING\r\n", "<PING>\n"},
    {"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", "<GET><>\n"},
    {"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n", "<GET><a\r\nb>\n"},
    {"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n", "<PING>\n<QUIT>\n"},
    {"*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n", "<PING>\n"},
    {"PING\r\n", "<PING>\n"},
    {"PING\n", "<PING>\n"},
    {"\r\n\n  \r\nPING\r\n", "<PING>\n"},
    {"  SET \t a   b \r\n", "<SET><a><b>\n"},
    {"SET a \"x y\"\r\n", "<SET><a><x y>\n"},
    {"SET a \"\\x41\\n\\r\\t\\b\\a\\\\\\\"z\\q\"\r\n", "<SET><a><A\n\r\t\b\a\\\"zq>\n"},
    {"SET a \"\\xzz\"\r\n", "<SET><a><xzz>\n"},
    {"SET a 'x \\' \\n \"'\r\n", "<SET><a><x ' \\n \">\n"},
    {"SET a \"\"\r\n", "<SET><a><>\n"},
    {"SET a b\"c d\"\r\n", "<SET><a><bc d>\n"},
    {"SET a \"b\"c\r\n", "! Protocol error: unbalanced quotes in request"},
    {"SET a \"b\r\n", "! Protocol error: unbalanced quotes in request"},
    {"SET a 'b\r\n", "! Protocol error: unbalanced quotes in request"},
    {"SET a 'b'c\r\n", "! Protocol error: unbalanced quotes in request"},
    {"*x\r\n", "! Protocol error: invalid multibulk length"},
    {"*\r\n", "! Protocol error: invalid multibulk length"},
    {"*1048577\r\n", "! Protocol error: invalid multibulk length"},
    {"*01\r\n", "! Protocol error: invalid multibulk length"},
    {"*+1\r\n", "! Protocol error: invalid multibulk length"},
    {"* 1\r\n", "! Protocol error: invalid multibulk length"},
    {"*99999999999999999999999\r\n", "! Protocol error: invalid multibulk length"},
    {"*1\r\n+4\r\n", "! Protocol error: expected '$', got '+'"},
    {"*1\r\nPING\r\n", "! Protocol error: expected '$', got 'P'"},
    {"*1\r\n$x\r\n", "! Protocol error: invalid bulk length"},
    {"*1\r\n$-1\r\n", "! Protocol error: invalid bulk length"},
    {"*1\r\n$\r\n", "! Protocol error: invalid bulk length"},
    {"*1\r\n$536870913\r\n", "! Protocol error: invalid bulk length"},
    {"PING\r\n*1\r\n$x\r\n", "<PING>\n! Protocol error: invalid bulk length"},
};

Test(resp, parses_what_redis_parses_and_refuses_with_its_words)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        cr_assert_str_eq(parse(table[i].stream, true), table[i].expected, "row %zu", i);
}

Test(resp, any_split_of_a_stream_parses_the_same)
{
    static struct parsed parsed;

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t size = strlen(table[i].stream);
        size_t all[128];

        for (size_t a = 0; a <= size; a++)
            for (size_t b = a; b <= size; b++) {
                size_t ends[2] = {a, b};

                parse_pieces((const uint8_t *)table[i].stream, size, ends, 2, true, &parsed);
                cr_assert_str_eq(parsed.text, table[i].expected, "row %zu at %zu, %zu", i, a, b);
            }
        for (size_t a = 0; a < size; a++)
            all[a] = a;
        parse_pieces((const uint8_t *)table[i].stream, size, all, size, true, &parsed);
        cr_assert_str_eq(parsed.text, table[i].expected, "row %zu byte by byte", i);
    }
}

Test(resp, before_authentication_only_small_commands_are_read)
{
    cr_assert_str_eq(parse("*11\r\n", false), "! Protocol error: unauthenticated multibulk length");
    cr_assert_str_eq(parse("*1\r\n$16385\r\n", false),
                     "! Protocol error: unauthenticated bulk length");
    cr_assert_str_eq(parse("*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n", false), "<AUTH><x>\n");
    cr_assert_str_eq(parse("*11\r\n", true), "");
}

Test(resp, long_lines_are_refused)
{
    static char stream[RESP_INLINE_MAX + 64];

    memset(stream, 'a', sizeof stream - 1);
    cr_assert_str_eq(parse(stream, true), "! Protocol error: too big inline request");
    memcpy(stream + sizeof stream - 3, "\r\n", 3);
    cr_assert_str_eq(parse(stream, true), "! Protocol error: too big inline request");
    stream[0] = '*';
    memset(stream + 1, '1', sizeof stream - 2);
    cr_assert_str_eq(parse(stream, true), "! Protocol error: too big mbulk count string");
    memcpy(stream, "*1\r\n$", 5);
    cr_assert_str_eq(parse(stream, true), "! Protocol error: too big bulk count string");
}

Test(resp, what_is_too_large_to_keep_is_skipped_and_the_next_command_is_read)
{
    static uint8_t stream[16384];
    static struct parsed whole, pieces;
    size_t size = 0;
    size_t ends[] = {3, 19, 20, 21, 4000, 5020, 5021, 5030};

    size += (size_t)sprintf((char *)stream, "*3\r\n$3\r\nSET\r\n$5000\r\n");
    memset(stream + size, 'v', 5000);
    size += 5000;
    size += (size_t)sprintf((char *)stream + size, "\r\n$1\r\nx\r\n*1\r\n$4\r\nPING\r\n");
    parse_pieces(stream, size, NULL, 0, true, &whole);
    cr_assert_str_eq(whole.text, "(oversize)\n<PING>\n");
    parse_pieces(stream, size, ends, sizeof ends / sizeof ends[0], true, &pieces);
    cr_assert_str_eq(pieces.text, whole.text);
}

Test(resp, bytes_that_are_not_kept_are_not_asked_for_again)
{
    struct resp_parser parser;
    uint8_t chunk[1000];
    size_t used;

    memset(chunk, 'v', sizeof chunk);
    resp_parser_init(&parser, &limits);
    parser.authenticated = true;
    cr_assert_eq(resp_parse(&parser, (const uint8_t *)"*1\r\n$100000\r\n", 13, &used), RESP_E_MORE);
    cr_assert_eq(used, 13);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(resp_parse(&parser, chunk, sizeof chunk, &used), RESP_E_MORE);
        cr_assert_eq(used, sizeof chunk);
    }
    cr_assert_eq(resp_parse(&parser, (const uint8_t *)"\r\n", 2, &used), RESP_E_OK);
    cr_assert(parser.oversize);
    cr_assert_eq(parser.arg_count, 0);
    resp_parser_deinit(&parser);
}

Test(resp, memory_of_an_unusual_command_is_given_back)
{
    struct resp_parser parser;
    struct buffer stream = {0};
    size_t used;

    resp_parser_init(&parser, &(struct resp_limits){1u << 20, 64u << 20});
    parser.authenticated = true;
    resp_put_array(&stream, 100000);
    for (int i = 0; i < 100000; i++)
        resp_put_text(&stream, "a");
    cr_assert_eq(resp_parse(&parser, stream.data, stream.size, &used), RESP_E_OK);
    cr_assert_eq(parser.arg_count, 100000);
    cr_assert(resp_parser_memory(&parser) > 1u << 20);
    resp_parser_trim(&parser);
    cr_assert_eq(resp_parser_memory(&parser), 0);
    resp_parser_deinit(&parser);
    buffer_deinit(&stream);
}

/* Random commands survive any random cut; the bytes are random too. */
Test(resp, random_commands_in_random_pieces_come_out_as_they_went_in)
{
    static struct parsed expected, parsed;
    struct dice dice = {.state = 11};

    for (int round = 0; round < 300; round++) {
        struct buffer stream = {0};
        size_t ends[64];
        size_t end_count = dice_below(&dice, 64), last = 0;

        expected.size = 0;
        for (uint64_t c = dice_below(&dice, 6); c > 0; c--) {
            uint64_t count = 1 + dice_below(&dice, 5);

            resp_put_array(&stream, count);
            for (uint64_t a = 0; a < count; a++) {
                char bytes[300];
                size_t size = dice_number(&dice, 8);

                dice_fill(&dice, bytes, size);
                resp_put_bulk(&stream, bytes, size);
                parsed_add(&expected, "<", 1);
                parsed_add(&expected, bytes, size);
                parsed_add(&expected, ">", 1);
            }
            parsed_add(&expected, "\n", 1);
        }
        for (size_t i = 0; i < end_count; i++) {
            last += dice_below(&dice, (stream.size - last) / 8 + 1);
            ends[i] = last;
        }
        parse_pieces(stream.data ? stream.data : (uint8_t *)"", stream.size, ends, end_count, true,
                     &parsed);
        cr_assert_eq(parsed.size, expected.size, "round %d", round);
        cr_assert_eq(memcmp(parsed.text, expected.text, parsed.size), 0, "round %d", round);
        buffer_deinit(&stream);
    }
}

Test(resp, garbage_never_does_harm_and_any_cut_of_it_ends_alike)
{
    static const char alphabet[] = "*$0123456789-\r\n \"'\\xaP+";
    static struct parsed whole, pieces;
    struct dice dice = {.state = 5};

    for (int round = 0; round < 20000; round++) {
        uint8_t stream[64];
        size_t size = dice_below(&dice, sizeof stream);
        size_t ends[2];

        for (size_t i = 0; i < size; i++)
            stream[i] = round % 4 ? (uint8_t)alphabet[dice_below(&dice, sizeof alphabet - 1)]
                                  : (uint8_t)dice_next(&dice);
        ends[0] = dice_below(&dice, size + 1);
        ends[1] = ends[0] + dice_below(&dice, size - ends[0] + 1);
        parse_pieces(stream, size, NULL, 0, round % 2, &whole);
        parse_pieces(stream, size, ends, 2, round % 2, &pieces);
        cr_assert_eq(whole.size, pieces.size, "round %d", round);
        cr_assert_eq(memcmp(whole.text, pieces.text, whole.size), 0, "round %d", round);
    }
}

Test(resp, integers_are_read_as_strictly_as_redis_does)
{
    static const char *const good[] = {"0", "7", "-1", "9223372036854775807",
                                       "-9223372036854775808"};
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      "01",
                                      "-0",
                                      "00",
                                      " 1",
                                      "1 ",
                                      "1a",
                                      "0x1",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999"};
    int64_t value;
    char text[32];

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_assert(resp_integer(good[i], strlen(good[i]), &value), "%s", good[i]);
        snprintf(text, sizeof text, "%lld", (long long)value);
        cr_assert_str_eq(text, good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_not(resp_integer(bad[i], strlen(bad[i]), &value), "%s", bad[i]);
}

static void encode_all(struct buffer *out, uint8_t protocol)
{
    resp_put_simple(out, "OK");
    resp_put_error(out, "ERR two\r\nlines");
    resp_put_integer(out, INT64_MIN);
    resp_put_bulk(out, "a\0b", 3);
    resp_put_bulk(out, NULL, 0);
    resp_put_nil(out, protocol);
    resp_put_array(out, 2);
    resp_put_map(out, 2, protocol);
    resp_put_set(out, 3, protocol);
    resp_put_verbatim(out, "text", 4, protocol);
    buffer_append(out, "", 1);
}

Test(resp, replies_follow_the_protocol_version)
{
    static const char two[] = "+OK\r\n-ERR two  lines\r\n:-9223372036854775808\r\n$3\r\na\0b\r\n"
                              "$0\r\n\r\n$-1\r\n*2\r\n*4\r\n*3\r\n$4\r\ntext\r\n";
    static const char three[] = "+OK\r\n-ERR two  lines\r\n:-9223372036854775808\r\n$3\r\na\0b\r\n"
                                "$0\r\n\r\n_\r\n*2\r\n%2\r\n~3\r\n=8\r\ntxt:text\r\n";
    struct buffer out = {0};

    encode_all(&out, 2);
    cr_assert_eq(out.size, sizeof two);
    cr_assert_eq(memcmp(out.data, two, out.size), 0);
    buffer_clear(&out, SIZE_MAX);
    encode_all(&out, 3);
    cr_assert_eq(out.size, sizeof three);
    cr_assert_eq(memcmp(out.data, three, out.size), 0);
    buffer_deinit(&out);
}
