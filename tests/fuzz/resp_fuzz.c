/* The RESP parser: whole or in pieces, an input gives the same commands and the same error. */
#include "fuzz.h"

#include "router/resp.h"

#include <stdlib.h>
#include <string.h>

static const struct resp_limits limits = {.bulk_kept_max = 4096, .command_kept_max = 32768};

/* Digest of everything that came out. */
struct digest {
    uint64_t hash;
};

static void digest_add(struct digest *digest, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < size; i++)
        digest->hash = (digest->hash ^ at[i]) * UINT64_C(1099511628211);
    digest->hash = (digest->hash ^ size) * UINT64_C(1099511628211);
}

static void digest_command(struct digest *digest, const struct resp_parser *parser)
{
    digest_add(digest, &parser->oversize, sizeof parser->oversize);
    for (uint32_t i = 0; i < parser->arg_count; i++)
        digest_add(digest, parser->args[i].data, parser->args[i].size);
}

/* Pieces of `step` bytes, each time with what was left over in memory of the exact size. */
static uint64_t parse(const uint8_t *data, size_t size, size_t step, bool authenticated)
{
    struct digest digest = {UINT64_C(14695981039346656037)};
    struct resp_parser parser;
    size_t start = 0, end = 0;
    int r = RESP_E_MORE;

    resp_parser_init(&parser, &limits);
    parser.authenticated = authenticated;
    while (r != RESP_E_INVALID && end < size) {
        size_t used, at = 0, length;
        uint8_t *copy;

        end = size - end < step ? size : end + step;
        length = end - start;
        copy = malloc(length + (length == 0));
        if (!copy)
            abort();
        memcpy(copy, data + start, length);
        do {
            r = resp_parse(&parser, copy + at, length - at, &used);
            at += used;
            if (at > length)
                abort();
            if (r == RESP_E_OK)
                digest_command(&digest, &parser);
        } while (r == RESP_E_OK);
        start += at;
        free(copy);
    }
    if (r == RESP_E_INVALID)
        digest_add(&digest, parser.error, strlen(parser.error));
    resp_parser_deinit(&parser);
    return digest.hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool authenticated = size > 0 && data[0] % 2;
    uint64_t whole = parse(data, size, size + 1, authenticated);

    if (parse(data, size, 1 + size / 7, authenticated) != whole)
        abort();
    if (size < 512 && parse(data, size, 1, authenticated) != whole)
        abort();
    return 0;
}

size_t fuzz_seed(struct dice *dice, uint8_t *out)
{
    struct buffer stream = {0};
    size_t size;

    for (uint64_t commands = 1 + dice_below(dice, 8); commands > 0; commands--) {
        uint64_t count = 1 + dice_below(dice, 4);

        if (dice_below(dice, 4) == 0) {
            buffer_append_text(&stream, "SET 'a \\' b' \"\\x41\\n\"\r\n");
            continue;
        }
        resp_put_array(&stream, count);
        for (uint64_t i = 0; i < count; i++) {
            uint8_t bytes[6000];
            size_t length = dice_number(dice, 12);

            dice_fill(dice, bytes, length);
            resp_put_bulk(&stream, bytes, length);
        }
    }
    size = stream.size < FUZZ_INPUT_SIZE_MAX ? stream.size : FUZZ_INPUT_SIZE_MAX;
    if (stream.failed)
        abort();
    memcpy(out, stream.data, size);
    buffer_deinit(&stream);
    return size;
}
