#include "ring/link_frame.h"

#include "ring/wire.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool link_frame_own(uint8_t type)
{
    return type == WIRE_CREDIT || type == WIRE_PING || type == WIRE_PONG;
}

enum link_lane link_frame_lane(uint8_t type)
{
    switch (wire_type_lane(type)) {
    case WIRE_LANE_CONTROL:
        return LINK_LANE_CONTROL;
    case WIRE_LANE_BULK:
        return LINK_LANE_BULK;
    default:
        return LINK_LANE_DATA;
    }
}

static void link_put(uint8_t *at, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t link_get(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

void link_frame_put(const struct link_frame *frame, uint8_t bytes[LINK_FRAME_HEADER_SIZE])
{
    assert(frame->body_size <= LINK_BODY_SIZE_MAX);
    link_put(bytes, frame->body_size, 4);
    bytes[4] = frame->type;
    bytes[5] = frame->flags;
    link_put(bytes + 6, frame->partition, 2);
    link_put(bytes + 8, frame->correlation, 8);
}

void link_frame_get(const uint8_t bytes[LINK_FRAME_HEADER_SIZE], struct link_frame *frame)
{
    frame->body_size = (uint32_t)link_get(bytes, 4);
    frame->type = bytes[4];
    frame->flags = bytes[5];
    frame->partition = (uint16_t)link_get(bytes + 6, 2);
    frame->correlation = link_get(bytes + 8, 8);
}

void link_reader_init(struct link_reader *reader)
{
    memset(reader, 0, sizeof *reader);
    reader->message_size_max = LINK_MESSAGE_SIZE_MAX;
}

void link_reader_deinit(struct link_reader *reader)
{
    for (unsigned i = 0; i < LINK_LANES; i++)
        free(reader->lanes[i].data);
    memset(reader, 0, sizeof *reader);
}

void link_reader_feed(struct link_reader *reader, const uint8_t *bytes, size_t size)
{
    assert(reader->at == reader->end);
    reader->at = bytes;
    reader->end = bytes + size;
}

/* Room for size bytes more; doubles, so that copying stays linear. */
static int link_assembly_grow(struct link_assembly *assembly, size_t size)
{
    size_t need = assembly->size + size;
    if (need <= assembly->capacity)
        return 0;
    size_t capacity = assembly->capacity != 0 ? assembly->capacity : LINK_FRAME_SIZE_MAX;
    while (capacity < need)
        capacity *= 2;
    uint8_t *data = realloc(assembly->data, capacity);
    if (data == NULL)
        return -ENOMEM;
    assembly->data = data;
    assembly->capacity = capacity;
    return 0;
}

/* A cut message was handed up by the last call: its buffer is free again. */
static void link_assembly_rest(struct link_assembly *assembly)
{
    if (assembly->open)
        return;
    assembly->size = 0;
    if (assembly->capacity > LINK_FRAME_KEEP_SIZE) {
        free(assembly->data);
        assembly->data = NULL;
        assembly->capacity = 0;
    }
}

static bool link_assembly_fits(const struct link_assembly *assembly, const struct link_frame *frame)
{
    return assembly->type == frame->type && assembly->partition == frame->partition &&
           assembly->correlation == frame->correlation;
}

/* Takes one frame of a cut message. 0: *message is whole; LINK_FRAME_E_END: there is more to come.
 */
static int link_assembly_take(struct link_assembly *assembly, const struct link_frame *frame,
                              const uint8_t *body, struct link_message *message)
{
    if (!assembly->open) {
        assert(assembly->size == 0);
        assembly->open = true;
        assembly->type = frame->type;
        assembly->partition = frame->partition;
        assembly->correlation = frame->correlation;
    }
    int r = link_assembly_grow(assembly, frame->body_size);
    if (r < 0)
        return r;
    memcpy(assembly->data + assembly->size, body, frame->body_size);
    assembly->size += frame->body_size;
    if (frame->flags & LINK_FLAG_MORE)
        return LINK_FRAME_E_END;
    assembly->open = false;
    message->body = assembly->data;
    message->body_size = assembly->size;
    return 0;
}

static bool link_credit_below(const struct link_credit *a, const struct link_credit *b)
{
    return a->bytes < b->bytes && a->messages < b->messages;
}

/* Counts a frame of the host's; what is not CONTROL needs credit to begin. */
static int link_reader_count(struct link_reader *reader, const struct link_frame *frame,
                             enum link_lane lane)
{
    const struct link_assembly *assembly = &reader->lanes[lane];
    bool first = !assembly->open;
    if (first && lane == LINK_LANE_CONTROL &&
        !link_credit_below(&reader->received, &reader->control_limit))
        return LINK_FRAME_E_FLOOD;
    if (first && lane != LINK_LANE_CONTROL && !link_credit_below(&reader->received, &reader->limit))
        return LINK_FRAME_E_CREDIT;
    /* The limit may have come down since the message began. */
    if (assembly->size > reader->message_size_max ||
        frame->body_size > reader->message_size_max - assembly->size)
        return LINK_FRAME_E_TOO_LARGE;
    reader->received.bytes += frame->body_size;
    reader->received.messages += first;
    return 0;
}

static int link_reader_frame(struct link_reader *reader, const struct link_frame *frame,
                             const uint8_t *body, struct link_message *message)
{
    message->type = frame->type;
    message->partition = frame->partition;
    message->correlation = frame->correlation;
    message->body = body;
    message->body_size = frame->body_size;
    if (link_frame_own(frame->type))
        return frame->flags == 0 ? 0 : LINK_FRAME_E_MALFORMED;
    enum link_lane lane = link_frame_lane(frame->type);
    struct link_assembly *assembly = &reader->lanes[lane];
    if (assembly->open && !link_assembly_fits(assembly, frame))
        return LINK_FRAME_E_MALFORMED;
    /* A frame that is followed by another and carries nothing would be work without an end. */
    if ((frame->flags & LINK_FLAG_MORE) && frame->body_size == 0)
        return LINK_FRAME_E_MALFORMED;
    int r = link_reader_count(reader, frame, lane);
    if (r != 0)
        return r;
    if (!assembly->open && !(frame->flags & LINK_FLAG_MORE))
        return 0;
    return link_assembly_take(assembly, frame, body, message);
}

int link_reader_next(struct link_reader *reader, struct link_message *message)
{
    for (unsigned i = 0; i < LINK_LANES; i++)
        link_assembly_rest(&reader->lanes[i]);
    while (reader->at < reader->end) {
        size_t left = (size_t)(reader->end - reader->at);
        struct link_frame frame;
        if (left < LINK_FRAME_HEADER_SIZE)
            return LINK_FRAME_E_MALFORMED;
        link_frame_get(reader->at, &frame);
        if (frame.body_size > left - LINK_FRAME_HEADER_SIZE || (frame.flags & ~LINK_FLAG_MORE) != 0)
            return LINK_FRAME_E_MALFORMED;
        const uint8_t *body = reader->at + LINK_FRAME_HEADER_SIZE;
        reader->at = body + frame.body_size;
        int r = link_reader_frame(reader, &frame, body, message);
        if (r != LINK_FRAME_E_END)
            return r;
    }
    return LINK_FRAME_E_END;
}
