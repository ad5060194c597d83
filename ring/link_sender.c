#include "ring/link_sender.h"

#include "ring/wire.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINK_QUEUE_SIZE_MIN 4096u

static size_t link_queue_used(const struct link_queue *queue)
{
    return queue->tail - queue->head;
}

/* Room for size bytes behind the tail. Moves or doubles, so that each byte is moved a bounded
 * number of times. */
static int link_queue_reserve(struct link_queue *queue, size_t size)
{
    size_t used = link_queue_used(queue);
    if (size <= queue->capacity - queue->tail)
        return 0;
    if (queue->head >= queue->capacity / 2 && size <= queue->capacity - used) {
        memmove(queue->data, queue->data + queue->head, used);
        queue->head = 0;
        queue->tail = used;
        return 0;
    }
    size_t capacity = queue->capacity != 0 ? queue->capacity : LINK_QUEUE_SIZE_MIN;
    while (capacity < used + size)
        capacity *= 2;
    if (capacity == queue->capacity)
        capacity *= 2; /* it would fit, but only by moving much for little */
    uint8_t *data = malloc(capacity);
    if (data == NULL)
        return -ENOMEM;
    if (used > 0)
        memcpy(data, queue->data + queue->head, used);
    free(queue->data);
    queue->data = data;
    queue->head = 0;
    queue->tail = used;
    queue->capacity = capacity;
    return 0;
}

static void link_queue_drop(struct link_queue *queue, size_t size)
{
    assert(size <= link_queue_used(queue));
    queue->head += size;
    if (queue->head < queue->tail)
        return;
    queue->head = 0;
    queue->tail = 0;
    if (queue->capacity > LINK_SENDER_KEEP_SIZE) {
        free(queue->data);
        queue->data = NULL;
        queue->capacity = 0;
    }
}

void link_sender_init(struct link_sender *sender, size_t queue_size_max, struct link_credit window,
                      struct link_credit own_window)
{
    memset(sender, 0, sizeof *sender);
    sender->queue_size_max = queue_size_max;
    sender->window = window;
    sender->own_window = own_window;
}

void link_sender_deinit(struct link_sender *sender)
{
    for (unsigned i = 0; i < LINK_LANES; i++)
        free(sender->lanes[i].data);
    memset(sender, 0, sizeof *sender);
}

static size_t link_message_frames(size_t body_size)
{
    return body_size == 0 ? 1 : (body_size + LINK_BODY_SIZE_MAX - 1) / LINK_BODY_SIZE_MAX;
}

static void link_queue_put(struct link_queue *queue, const struct link_message *message)
{
    size_t at = 0;
    do {
        size_t left = message->body_size - at;
        struct link_frame frame = {
            .body_size = (uint32_t)(left < LINK_BODY_SIZE_MAX ? left : LINK_BODY_SIZE_MAX),
            .type = message->type,
            .partition = message->partition,
            .correlation = message->correlation,
        };
        frame.flags = frame.body_size < left ? LINK_FLAG_MORE : 0;
        link_frame_put(&frame, queue->data + queue->tail);
        queue->tail += LINK_FRAME_HEADER_SIZE;
        if (frame.body_size > 0)
            memcpy(queue->data + queue->tail, message->body + at, frame.body_size);
        queue->tail += frame.body_size;
        at += frame.body_size;
    } while (at < message->body_size);
}

int link_sender_put(struct link_sender *sender, const struct link_message *messages, size_t count)
{
    size_t sizes[LINK_LANES] = {0};
    size_t queued = link_sender_queued(sender);
    size_t room = queued < sender->queue_size_max ? sender->queue_size_max - queued : 0;
    for (size_t i = 0; i < count; i++) {
        const struct link_message *message = &messages[i];
        assert(!link_frame_own(message->type));
        if (message->body_size > LINK_MESSAGE_SIZE_MAX)
            return -EMSGSIZE;
        size_t size =
            message->body_size + link_message_frames(message->body_size) * LINK_FRAME_HEADER_SIZE;
        if (size > room)
            return -ENOBUFS;
        room -= size;
        sizes[link_frame_lane(message->type)] += size;
    }
    for (unsigned lane = 0; lane < LINK_LANES; lane++) {
        int r = sizes[lane] != 0 ? link_queue_reserve(&sender->lanes[lane], sizes[lane]) : 0;
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < count; i++)
        link_queue_put(&sender->lanes[link_frame_lane(messages[i].type)], &messages[i]);
    return 0;
}

static uint64_t link_add_up_to(uint64_t value, uint64_t amount, uint64_t limit)
{
    if (value >= limit)
        return value;
    return amount < limit - value ? value + amount : limit;
}

void link_sender_consumed(struct link_sender *sender, struct link_credit amount,
                          struct link_credit received)
{
    sender->consumed.bytes = link_add_up_to(sender->consumed.bytes, amount.bytes, received.bytes);
    sender->consumed.messages =
        link_add_up_to(sender->consumed.messages, amount.messages, received.messages);
}

static bool link_sender_credit_due(const struct link_sender *sender)
{
    uint64_t bytes = sender->consumed.bytes - sender->announced.bytes;
    uint64_t messages = sender->consumed.messages - sender->announced.messages;
    return (bytes > 0 && bytes >= sender->own_window.bytes / 4) ||
           (messages > 0 && messages >= sender->own_window.messages / 4);
}

static uint64_t link_u64(const uint8_t *at)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static void link_put_u64(uint8_t *at, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

bool link_sender_release(struct link_sender *sender, const struct link_message *credit)
{
    if (credit->body_size != LINK_CREDIT_BODY_SIZE)
        return false;
    struct link_credit said = {.bytes = link_u64(credit->body),
                               .messages = link_u64(credit->body + 8)};
    if (said.bytes < sender->released.bytes || said.bytes > sender->sent.bytes)
        return false;
    if (said.messages < sender->released.messages || said.messages > sender->sent.messages)
        return false;
    sender->released = said;
    return true;
}

static bool link_sender_credit_left(const struct link_sender *sender)
{
    return sender->sent.bytes - sender->released.bytes < sender->window.bytes &&
           sender->sent.messages - sender->released.messages < sender->window.messages;
}

static bool link_sender_data_ready(const struct link_sender *sender)
{
    if (link_queue_used(&sender->lanes[LINK_LANE_DATA]) == 0 &&
        link_queue_used(&sender->lanes[LINK_LANE_BULK]) == 0)
        return false;
    return sender->open[LINK_LANE_DATA] || sender->open[LINK_LANE_BULK] ||
           link_sender_credit_left(sender);
}

bool link_sender_ready(const struct link_sender *sender)
{
    return sender->ping_due || sender->pong_due || link_sender_credit_due(sender) ||
           link_queue_used(&sender->lanes[LINK_LANE_CONTROL]) > 0 || link_sender_data_ready(sender);
}

size_t link_sender_queued(const struct link_sender *sender)
{
    size_t used = 0;
    for (unsigned lane = 0; lane < LINK_LANES; lane++)
        used += link_queue_used(&sender->lanes[lane]);
    return used;
}

size_t link_sender_gather_max(const struct link_sender *sender)
{
    return link_sender_queued(sender) + LINK_SENDER_OWN_MAX;
}

static size_t link_sender_own(struct link_sender *sender, uint8_t type, uint32_t body_size,
                              uint8_t *out)
{
    struct link_frame frame = {.type = type, .body_size = body_size};
    frame.partition = WIRE_PARTITION_NODE;
    link_frame_put(&frame, out);
    if (type == WIRE_CREDIT) {
        link_put_u64(out + LINK_FRAME_HEADER_SIZE, sender->consumed.bytes);
        link_put_u64(out + LINK_FRAME_HEADER_SIZE + 8, sender->consumed.messages);
        sender->announced = sender->consumed;
    }
    return LINK_FRAME_HEADER_SIZE + body_size;
}

/* May a message of the lane begin? DATA goes first, but for the share that BULK has at least. */
static bool link_sender_begins(const struct link_sender *sender, enum link_lane lane)
{
    bool data = link_queue_used(&sender->lanes[LINK_LANE_DATA]) > 0;
    bool bulk = link_queue_used(&sender->lanes[LINK_LANE_BULK]) > 0;
    bool share_due = sender->data_size >= LINK_BULK_EVERY;
    if (lane == LINK_LANE_CONTROL)
        return true;
    if (sender->open[LINK_LANE_DATA] || sender->open[LINK_LANE_BULK] ||
        !link_sender_credit_left(sender))
        return false;
    return lane == LINK_LANE_BULK ? share_due || !data : !share_due || !bulk;
}

static void link_sender_count(struct link_sender *sender, enum link_lane lane, uint32_t body_size)
{
    sender->sent.bytes += body_size;
    sender->sent.messages += !sender->open[lane];
    if (lane == LINK_LANE_DATA)
        sender->data_size += body_size;
    else if (lane == LINK_LANE_BULK && !sender->open[lane])
        sender->data_size = 0;
}

/* Moves whole frames of a lane, as a run; returns its size. */
static size_t link_sender_lane(struct link_sender *sender, enum link_lane lane, uint8_t *out,
                               size_t capacity)
{
    struct link_queue *queue = &sender->lanes[lane];
    bool *open = &sender->open[lane];
    size_t size = 0;
    while (size < link_queue_used(queue) && (*open || link_sender_begins(sender, lane))) {
        struct link_frame frame;
        link_frame_get(queue->data + queue->head + size, &frame);
        size_t frame_size = LINK_FRAME_HEADER_SIZE + frame.body_size;
        if (frame_size > capacity - size)
            break;
        size += frame_size;
        link_sender_count(sender, lane, frame.body_size);
        *open = (frame.flags & LINK_FLAG_MORE) != 0;
    }
    if (size > 0)
        memcpy(out, queue->data + queue->head, size);
    link_queue_drop(queue, size);
    return size;
}

size_t link_sender_gather(struct link_sender *sender, uint8_t *out, size_t capacity)
{
    size_t size = 0, before;
    assert(capacity >= LINK_SENDER_OWN_MAX);
    if (link_sender_credit_due(sender))
        size += link_sender_own(sender, WIRE_CREDIT, LINK_CREDIT_BODY_SIZE, out + size);
    if (sender->ping_due)
        size += link_sender_own(sender, WIRE_PING, 0, out + size);
    if (sender->pong_due)
        size += link_sender_own(sender, WIRE_PONG, 0, out + size);
    sender->ping_due = false;
    sender->pong_due = false;
    size += link_sender_lane(sender, LINK_LANE_CONTROL, out + size, capacity - size);
    do {
        before = size;
        size += link_sender_lane(sender, LINK_LANE_DATA, out + size, capacity - size);
        size += link_sender_lane(sender, LINK_LANE_BULK, out + size, capacity - size);
    } while (size > before);
    return size;
}
