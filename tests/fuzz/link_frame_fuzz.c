/* The reader of frames: whatever a packet holds, messages lie within bounds and what is counted is
 * what was handed up or is being put together. */
#include "fuzz.h"

#include "ring/link_frame.h"

#include <stdlib.h>

#define PACKETS 3u /* the input is cut into so many */

static volatile uint8_t sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct link_reader reader;
    uint64_t bytes = 0;
    int r = LINK_FRAME_E_END;

    link_reader_init(&reader);
    reader.limit.bytes = 1u << 16;
    reader.limit.messages = 1000;
    reader.control_limit = (struct link_credit){.bytes = 1u << 17, .messages = 2000};
    for (size_t i = 0; i < PACKETS && r == LINK_FRAME_E_END; i++) {
        size_t from = size * i / PACKETS, to = size * (i + 1) / PACKETS;
        struct link_message message;

        link_reader_feed(&reader, data + from, to - from);
        while ((r = link_reader_next(&reader, &message)) == 0) {
            if (message.body_size > size)
                abort();
            for (size_t at = 0; at < message.body_size; at++)
                sink = message.body[at];
            if (!link_frame_own(message.type))
                bytes += message.body_size;
        }
    }
    if (r == LINK_FRAME_E_END)
        for (unsigned lane = 0; lane < LINK_LANES; lane++)
            bytes += reader.lanes[lane].size;
    if (r == LINK_FRAME_E_END && bytes != reader.received.bytes)
        abort();
    link_reader_deinit(&reader);
    return 0;
}

size_t fuzz_seed(struct dice *dice, uint8_t *out)
{
    static const uint8_t types[] = {1, 2, 3, 16, 17, 18, 19, 33, 99};
    size_t count = 1 + (size_t)dice_below(dice, 12), size = 0;
    struct link_frame frame = {0};

    for (size_t i = 0; i < count; i++) {
        if (!(frame.flags & LINK_FLAG_MORE)) {
            frame.type = types[dice_below(dice, sizeof types)];
            frame.partition = (uint16_t)dice_below(dice, 4);
            frame.correlation = dice_below(dice, 4);
        }
        frame.body_size = (uint32_t)dice_below(dice, 200);
        frame.flags = dice_below(dice, 3) == 0 && frame.body_size > 0 ? LINK_FLAG_MORE : 0;
        link_frame_put(&frame, out + size);
        dice_fill(dice, out + size + LINK_FRAME_HEADER_SIZE, frame.body_size);
        size += LINK_FRAME_HEADER_SIZE + frame.body_size;
    }
    return size;
}
