#include "tests/sim/sim_cluster.h"

#include "ring/wire.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ASK_US (500 * SIM_MS)

/* Bytes on their way between a client and its router. A router that ends loses them. */
struct client_bytes {
    struct client_bytes *next, *previous;
    struct sim_router *router;
    uint64_t life;
    uint64_t client;
    uint8_t kind; /* enum router_event_kind; ROUTER_EVENT_TICK: towards the client */
    bool close;
    size_t size;
    uint8_t bytes[];
};

static struct sim *sim_of(const struct sim_router *router)
{
    return router->cluster->sim;
}

static struct sim_random *host_random(const struct sim_router *router)
{
    return sim_stream(sim_of(router), SIM_STREAM_HOST);
}

static uint64_t router_ms(const struct sim_router *router)
{
    return sim_clock_ms(&router->clock, sim_of(router)->now_us);
}

/* What it goes by; the first it is given is the genesis. */
static const struct ringmap *map_of(const struct sim_router *router)
{
    const struct ringmap *map = router->router ? router_map(router->router) : NULL;
    return map ? map : &router->cluster->map;
}

void sim_router_init(struct sim_router *router, struct sim_cluster *cluster, uint8_t number)
{
    struct sim *sim = cluster->sim;
    uint64_t rate = (uint64_t)sim->swarm.clock_rate_ppm_max;
    router->cluster = cluster;
    router->number = number;
    router->endpoint = (uint8_t)(SIM_NODES_MAX + 1 + number);
    sim_inbox_init(&router->inbox);
    struct sim_random *random = host_random(router);
    router->clock = (struct sim_clock){
        .rate_ppm = (int32_t)sim_random_below(random, 2 * rate + 1) - (int32_t)rate,
        .boot_us = sim_random_below(random, 1000 * SIM_SECOND),
        .wall_offset_ms = (int64_t)sim_random_below(random, 2001) - 1000,
    };
}

static void run_round(void *context, uint64_t life);
static void follow_map(struct sim_router *router);

static void wake(struct sim_router *router)
{
    struct sim *sim = sim_of(router);
    if (router->inbox.round_due)
        return;
    router->inbox.round_due = true;
    sim_after(sim, sim_random_below(host_random(router), sim->swarm.wake_us_max + 1), run_round,
              router, router->life);
}

static void run_tick(void *context, uint64_t life)
{
    struct sim_router *router = context;
    if (router->state == SIM_DOWN || router->life != life ||
        router->tick_at_us > sim_of(router)->now_us)
        return;
    router->tick_at_us = UINT64_MAX;
    (void)sim_inbox_push(&router->inbox, ROUTER_EVENT_TICK);
    wake(router);
}

static void tick_schedule(struct sim_router *router, uint64_t deadline_ms)
{
    struct sim *sim = sim_of(router);
    uint64_t wait = sim_clock_wait_us(&router->clock, sim->now_us, deadline_ms, SIM_MS / 2);
    if (wait > SIM_SECOND)
        wait = SIM_SECOND;
    if (sim->now_us + wait >= router->tick_at_us)
        return;
    router->tick_at_us = sim->now_us + wait;
    sim_after(sim, wait, run_tick, router, router->life);
}

static void bytes_push(struct sim_router *router, uint8_t kind, uint64_t client, const void *bytes,
                       size_t size, bool close);

static void carry_out(struct sim_router *router, const struct router_effects *effects)
{
    for (size_t i = 0; i < effects->send_count; i++) {
        const struct router_send *send = &effects->sends[i];
        uint8_t endpoint = sim_cluster_endpoint_in(map_of(router), send->member);
        assert(endpoint);
        sim_net_send(router->cluster->net, router->endpoint, endpoint, true, 0, &send->message);
    }
    for (size_t i = 0; i < effects->output_count; i++) {
        const struct router_output *output = &effects->outputs[i];
        bytes_push(router, ROUTER_EVENT_TICK, output->client, output->bytes, output->size,
                   output->close);
    }
}

static void run_round(void *context, uint64_t life)
{
    struct sim_router *router = context;
    static struct router_effects effects; /* large; empty between rounds */
    if (router->state == SIM_DOWN || router->life != life)
        return;
    router->inbox.round_due = false;
    struct sim_inbox_item *item;
    while ((item = sim_inbox_take(&router->inbox))) {
        struct router_event event = {
            .kind = item->kind,
            .now_ms = router_ms(router),
            .wall_ms = sim_clock_wall_ms(&router->clock, sim_of(router)->now_us),
            .random = sim_random_next(sim_stream(sim_of(router), SIM_STREAM_CORE)),
            .client = item->client,
            .bytes = item->bytes,
            .size = item->size,
            .member = item->from.member,
            .shards = item->shards,
            .message = item->message ? &item->message->message : NULL,
        };
        if (item->kind == ROUTER_EVENT_MAP)
            event.map = &router->cluster->map;
        router_step(router->router, &event);
        sim_inbox_item_free(item);
    }
    bool more = true;
    while (more) {
        more = router_flush(router->router, router_ms(router), &effects);
        carry_out(router, &effects);
    }
    tick_schedule(router, effects.deadline_ms);
    if (map_of(router)->epoch != router->epoch)
        follow_map(router);
    if (router_in_flight(router->router) > sim_of(router)->swarm.router_operations_max)
        sim_fail(sim_of(router), "router %u has %u operations, of at most %u", router->number,
                 router_in_flight(router->router), sim_of(router)->swarm.router_operations_max);
    if (sim_random_below(sim_stream(sim_of(router), SIM_STREAM_CHECK), 32) == 0)
        router_check(router->router);
}

/* Dials who is in its map; sim_net_dial() knows those whom it dials already. */
static void follow_map(struct sim_router *router)
{
    const struct ringmap *map = map_of(router);
    router->epoch = map->epoch;
    for (uint32_t i = 0; i < map->member_count; i++)
        if (map->members[i].state != RINGMAP_STATE_REMOVED)
            sim_net_dial(router->cluster->net, router->endpoint, map->members[i].public_key[0]);
}

/* Asks one of the nodes that it knows for the map. */
static void run_ask(void *context, uint64_t life)
{
    struct sim_router *router = context;
    struct sim *sim = sim_of(router);
    if (router->state == SIM_DOWN || router->life != life)
        return;
    const struct ringmap *map = map_of(router);
    struct link_message message = {.type = WIRE_MAP_GET, .partition = WIRE_PARTITION_NODE};
    uint8_t to =
        map->members[sim_random_below(host_random(router), map->member_count)].public_key[0];
    sim_net_send(router->cluster->net, router->endpoint, to, true, 0, &message);
    sim_after(sim, ASK_US, run_ask, router, life);
}

/* Links: routers only dial. */

static void push_link(struct sim_router *router, uint8_t kind, uint8_t peer)
{
    struct sim_inbox_item *item = sim_inbox_push(&router->inbox, kind);
    item->from.member = sim_cluster_member_in(map_of(router), peer);
    item->shards = (uint16_t)sim_of(router)->swarm.shards;
    wake(router);
}

static void on_up(void *context, uint8_t peer, uint64_t link, bool by_us)
{
    (void)link;
    assert(by_us);
    push_link(context, ROUTER_EVENT_LINK_UP, peer);
}

static void on_down(void *context, uint8_t peer, uint64_t link, bool by_us)
{
    (void)link;
    assert(by_us);
    push_link(context, ROUTER_EVENT_LINK_DOWN, peer);
}

static void on_message(void *context, struct sim_message *message, bool by_us)
{
    struct sim_router *router = context;
    struct sim_inbox_item *item = sim_inbox_push(&router->inbox, ROUTER_EVENT_MESSAGE);
    (void)by_us;
    item->message = message;
    item->from.member = sim_cluster_member_in(map_of(router), message->from);
    wake(router);
}

/* Clients. */

static void bytes_free(struct client_bytes *b)
{
    if (b->previous)
        b->previous->next = b->next;
    else
        b->router->bytes = b->next;
    if (b->next)
        b->next->previous = b->previous;
    free(b);
}

static void run_bytes(void *context, uint64_t argument)
{
    struct client_bytes *b = context;
    struct sim_router *router = b->router;
    const struct sim_observer *observer = &router->cluster->observer;
    (void)argument;
    if (router->state != SIM_DOWN && router->life == b->life) {
        if (b->kind == ROUTER_EVENT_TICK) {
            observer->on_client_bytes(observer->context, router, b->client, b->bytes, b->size,
                                      b->close);
        } else {
            struct sim_inbox_item *item = sim_inbox_push(&router->inbox, b->kind);
            item->client = b->client;
            item->size = b->size;
            item->bytes = malloc(b->size + 1);
            assert(item->bytes);
            memcpy(item->bytes, b->bytes, b->size);
            wake(router);
        }
    }
    bytes_free(b);
}

/* The delay is the same for all, so bytes keep their order. */
static void bytes_push(struct sim_router *router, uint8_t kind, uint64_t client, const void *bytes,
                       size_t size, bool close)
{
    struct client_bytes *b = malloc(sizeof *b + size);
    assert(b);
    *b = (struct client_bytes){.next = router->bytes,
                               .router = router,
                               .life = router->life,
                               .client = client,
                               .kind = kind,
                               .close = close,
                               .size = size};
    if (b->next)
        b->next->previous = b;
    router->bytes = b;
    if (size)
        memcpy(b->bytes, bytes, size);
    sim_after(sim_of(router), 50, run_bytes, b, 0);
}

uint64_t sim_router_client_open(struct sim_router *router)
{
    assert(router->state == SIM_UP);
    uint64_t client = ++router->cluster->client_last;
    bytes_push(router, ROUTER_EVENT_CLIENT_OPEN, client, NULL, 0, false);
    return client;
}

void sim_router_client_send(struct sim_router *router, uint64_t client, const void *bytes,
                            size_t size)
{
    bytes_push(router, ROUTER_EVENT_CLIENT_BYTES, client, bytes, size, false);
}

void sim_router_client_close(struct sim_router *router, uint64_t client)
{
    if (router->state == SIM_UP)
        bytes_push(router, ROUTER_EVENT_CLIENT_CLOSE, client, NULL, 0, false);
}

/* Life. */

void sim_router_start(struct sim_router *router)
{
    struct sim *sim = sim_of(router);
    const struct sim_swarm *swarm = &sim->swarm;
    struct router_options options;
    assert(router->state == SIM_DOWN);
    router_options_default(&options);
    uint64_t wall_ms = sim_clock_wall_ms(&router->clock, sim->now_us);
    options.session = wall_ms << 20 | (sim_random_next(host_random(router)) & 0xfffff);
    options.deadline_ms = swarm->deadline_ms;
    options.attempt_ms = swarm->attempt_ms;
    options.lane_operations_max = swarm->lane_operations_max;
    options.lane_size_max = swarm->lane_size_max;
    options.operations_max = swarm->router_operations_max;
    options.client_commands_max = swarm->client_commands_max;
    int r = router_new(&router->router, &options);
    assert(r == 0);
    router->state = SIM_UP;
    router->life++;
    router->tick_at_us = UINT64_MAX;
    sim_trace(sim, 1, "router %u starts", router->number);
    sim_fold(sim, 4, router->number, router->life);
    struct sim_net_handler handler = {router, on_up, on_down, on_message};
    sim_net_start(router->cluster->net, router->endpoint, &handler);
    (void)sim_inbox_push(&router->inbox, ROUTER_EVENT_MAP);
    wake(router);
    follow_map(router);
    if (sim->swarm.change_ms)
        run_ask(router, router->life);
    if (router->cluster->observer.on_router_start)
        router->cluster->observer.on_router_start(router->cluster->observer.context, router);
}

void sim_router_end(struct sim_router *router)
{
    struct sim *sim = sim_of(router);
    assert(router->state != SIM_DOWN);
    router->state = SIM_DOWN;
    router->life++;
    sim_fold(sim, 5, router->number, router->life);
    sim_inbox_clear(&router->inbox);
    router->router = router_free(router->router);
    sim_net_stop(router->cluster->net, router->endpoint, false);
    if (router->cluster->observer.on_router_stop)
        router->cluster->observer.on_router_stop(router->cluster->observer.context, router);
}

void sim_router_deinit(struct sim_router *router)
{
    if (router->state != SIM_DOWN)
        sim_router_end(router);
    while (router->bytes)
        bytes_free(router->bytes);
}
