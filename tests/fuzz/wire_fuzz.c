/* The wire cursor and every body: byte 0 chooses the body, the rest is a stream of them. */
#include "fuzz.h"

#include "ring/wire.h"
#include "tests/ring/wire_body.h"

#include <stdlib.h>
#include <string.h>

/* What was read must be written, and read again, without complaint. */
static void check_again(const struct body *read)
{
    struct wire_buffer buffer = {0};
    struct wire_cursor cursor;
    struct body again;

    memset(&again, 0, sizeof again);
    again.type = read->type;
    again.ack = read->ack;
    body_put(&buffer, read);
    wire_cursor_init(&cursor, buffer.data, buffer.size);
    if (buffer.failed || !body_get(&cursor, &again) || !wire_cursor_done(&cursor))
        abort();
    wire_buffer_deinit(&buffer);
}

static void read_bodies(uint8_t choice, const uint8_t *data, size_t size)
{
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, data, size);
    while (!wire_cursor_done(&cursor)) {
        const uint8_t *before = cursor.at;
        struct body body;

        memset(&body, 0, sizeof body);
        body.type = (uint8_t)((choice & 0x7f) % BODY_TYPES);
        body.ack = choice & 0x80;
        if (!body_get(&cursor, &body))
            break;
        if (cursor.at <= before || cursor.at > cursor.end)
            abort(); /* no step forward would be an endless loop in every reader */
        check_again(&body);
    }
}

/* Skipping and peeking alone must end as well, at the end or in failure. */
static void skip_all(const uint8_t *data, size_t size)
{
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, data, size);
    while (wire_peek(&cursor) != WIRE_KIND_NONE) {
        const uint8_t *before = cursor.at;

        wire_skip(&cursor);
        if (!cursor.failed && cursor.at <= before)
            abort();
    }
    if (!wire_cursor_done(&cursor))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    read_bodies(data[0], data + 1, size - 1);
    skip_all(data + 1, size - 1);
    return 0;
}

size_t fuzz_seed(struct dice *dice, uint8_t *out)
{
    struct wire_buffer buffer = {0};
    struct body body;
    uint64_t count = 1 + dice_below(dice, 4);
    size_t size = 1;

    body_any(dice, &body);
    out[0] = (uint8_t)(body.type | (body.ack ? 0x80 : 0));
    for (; count > 0; count--)
        body_put(&buffer, &body);
    if (buffer.failed || buffer.size > FUZZ_INPUT_SIZE_MAX - 1)
        abort();
    memcpy(out + 1, buffer.data, buffer.size);
    size += buffer.size;
    wire_buffer_deinit(&buffer);
    return size;
}
