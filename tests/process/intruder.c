#include "tests/process/intruder.h"

#include "ring/link_nng.h"
#include "ring/wire.h"
#include "tests/process/program.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX (64u << 10)
#define STEP_MS  20u
#define MAP_MS   10000u

struct intruder {
    struct identity identity;
    struct ticket ticket;
    struct fabric *fabric;
    struct link *link;
    pthread_mutex_t mutex; /* guards all below */
    bool up;
    uint32_t counts[256];
    uint8_t body[BODY_MAX];
    size_t body_size;
    uint8_t body_type;
};

static bool on_up(void *context, struct link *link, const struct link_peer *peer)
{
    struct intruder *intruder = context;

    (void)link;
    (void)peer;
    pthread_mutex_lock(&intruder->mutex);
    intruder->up = true;
    pthread_mutex_unlock(&intruder->mutex);
    return true;
}

static void on_down(void *context, struct link *link, const char *why)
{
    struct intruder *intruder = context;

    (void)link;
    (void)why;
    pthread_mutex_lock(&intruder->mutex);
    intruder->up = false;
    pthread_mutex_unlock(&intruder->mutex);
}

static void on_message(void *context, struct link *link, const struct link_message *message)
{
    struct intruder *intruder = context;

    pthread_mutex_lock(&intruder->mutex);
    intruder->counts[message->type]++;
    intruder->body_type = message->type;
    intruder->body_size = message->body_size < BODY_MAX ? message->body_size : BODY_MAX;
    if (intruder->body_size > 0)
        memcpy(intruder->body, message->body, intruder->body_size);
    pthread_mutex_unlock(&intruder->mutex);
    link_consumed(link, message->body_size, 1);
}

struct intruder *intruder_open(const struct ticket *ticket, enum link_role role,
                               const char *address)
{
    struct intruder *intruder = calloc(1, sizeof *intruder);
    struct fabric_options options = {.role = role,
                                     .reconnect_ms_max = 50,
                                     .on_up = on_up,
                                     .on_message = on_message,
                                     .on_down = on_down};

    REQUIRE(intruder, "no memory");
    pthread_mutex_init(&intruder->mutex, NULL);
    identity_generate(&intruder->identity);
    intruder->ticket = *ticket;
    options.identity = &intruder->identity;
    options.ticket = &intruder->ticket;
    options.context = intruder;
    REQUIRE(fabric_open(&intruder->fabric, &options) == 0, "a fabric");
    REQUIRE(fabric_dial(intruder->fabric, address, NULL, intruder, &intruder->link) == 0, "%s",
            address);
    return intruder;
}

void intruder_close(struct intruder *intruder)
{
    fabric_close(intruder->fabric);
    pthread_mutex_destroy(&intruder->mutex);
    free(intruder);
}

static bool await(struct intruder *intruder, bool up, uint32_t timeout_ms)
{
    for (uint32_t ms = 0;; ms += STEP_MS) {
        bool now;

        pthread_mutex_lock(&intruder->mutex);
        now = intruder->up;
        pthread_mutex_unlock(&intruder->mutex);
        if (now == up || ms >= timeout_ms)
            return now == up;
        pause_ms(STEP_MS);
    }
}

bool intruder_gets_in(struct intruder *intruder, uint32_t timeout_ms)
{
    return await(intruder, true, timeout_ms);
}

bool intruder_is_put_out(struct intruder *intruder, uint32_t timeout_ms)
{
    return await(intruder, false, timeout_ms);
}

void intruder_send(struct intruder *intruder, uint8_t type, uint16_t partition, const void *body,
                   size_t size)
{
    struct link_message message = {
        .type = type, .partition = partition, .correlation = 7, .body = body, .body_size = size};

    (void)link_send(intruder->link, &message, 1);
}

uint32_t intruder_got(struct intruder *intruder, uint8_t type, void *body, size_t *size)
{
    uint32_t count;

    pthread_mutex_lock(&intruder->mutex);
    count = intruder->counts[type];
    if (body && count > 0 && intruder->body_type == type) {
        if (intruder->body_size < *size)
            *size = intruder->body_size;
        memcpy(body, intruder->body, *size);
    } else if (body) {
        *size = 0;
    }
    pthread_mutex_unlock(&intruder->mutex);
    return count;
}

bool intruder_hears(struct intruder *intruder, uint8_t type, uint32_t count, uint32_t timeout_ms)
{
    for (uint32_t ms = 0; intruder_got(intruder, type, NULL, NULL) < count; ms += STEP_MS) {
        if (ms >= timeout_ms)
            return false;
        pause_ms(STEP_MS);
    }
    return true;
}

void intruder_map(struct intruder *intruder, struct ringmap *map)
{
    static uint8_t body[BODY_MAX];
    uint32_t before = intruder_got(intruder, WIRE_MAP, NULL, NULL);
    size_t size = sizeof body;
    struct wire_cursor cursor;
    const uint8_t *blob;

    intruder_send(intruder, WIRE_MAP_GET, WIRE_PARTITION_NODE, NULL, 0);
    REQUIRE(intruder_hears(intruder, WIRE_MAP, before + 1, MAP_MS), "no ring map");
    (void)intruder_got(intruder, WIRE_MAP, body, &size);
    wire_cursor_init(&cursor, body, size);
    blob = wire_get_bin(&cursor, size, &size);
    REQUIRE(blob && ringmap_decode(blob, size, map) == 0, "the ring map does not decode");
}

void intruder_change(struct intruder *intruder, const struct ringmap *map, uint32_t rate,
                     uint16_t partition)
{
    struct wire_buffer body = {0};
    struct ringmap next;
    uint8_t *out;

    REQUIRE(ringmap_copy(&next, map) == 0, "no memory");
    next.epoch++;
    next.move_rate = rate;
    out = wire_put_bin_space(&body, ringmap_encoded_size(&next));
    REQUIRE(out, "no memory");
    ringmap_encode(&next, out);
    intruder_send(intruder, WIRE_MAP_CHANGE, partition, body.data, body.size);
    ringmap_deinit(&next);
    wire_buffer_deinit(&body);
}
