#include "router/router_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/mix.h"
#include "router/hints.h"
#include "router/route.h"

void router_options_default(struct router_options *options)
{
    *options = (struct router_options){
        .deadline_ms = 10000,
        .attempt_ms = 1500,
        .retry_ms_min = 5,
        .retry_ms_max = 200,
        .map_ask_ms = 200,
        .lane_operations_max = 512,
        .lane_size_max = 4u << 20,
        .member_size_max = 32u << 20,
        .operations_max = 262144,
        .operations_size_max = 256u << 20,
        .clients_max = 10000,
        .client_commands_max = 1024,
        .client_output_max = 64u << 20,
        .value_size_max = 16u << 20,
    };
}

const char *router_down(const struct router *router, char text[ROUTER_DOWN_SIZE])
{
    if (router->locked_out[0]) {
        snprintf(text, ROUTER_DOWN_SIZE, "CLUSTERDOWN no node lets this router in: %s",
                 router->locked_out);
        return text;
    }
    if (!router->map_known)
        return "CLUSTERDOWN the ring map is not known yet: no node has been reached";
    return NULL;
}

/* Enough for jitter and for the random part of session ids. */
uint64_t router_random(struct router *router)
{
    return mix_next(&router->random);
}

void router_due(struct router *router, uint64_t due_ms)
{
    if (due_ms < router->timer_ms)
        router->timer_ms = due_ms;
}

void router_doubt_map(struct router *router, uint16_t member)
{
    router->map_doubter = member;
    router_due(router, router->map_ask_due_ms);
}

void router_lane_ready(struct router *router, struct lane *lane)
{
    if (lane->ready)
        return;
    lane->ready = true;
    lane->ready_next = NULL;
    if (router->ready_last)
        router->ready_last->ready_next = lane;
    else
        router->ready_first = lane;
    router->ready_last = lane;
}

void router_lane_active(struct router *router, struct lane *lane, bool active)
{
    assert(lane->active != active);
    lane->active = active;
    if (active) {
        lane->active_previous = NULL;
        lane->active_next = router->active_first;
        if (lane->active_next)
            lane->active_next->active_previous = lane;
        router->active_first = lane;
        return;
    }
    *(lane->active_previous ? &lane->active_previous->active_next : &router->active_first) =
        lane->active_next;
    if (lane->active_next)
        lane->active_next->active_previous = lane->active_previous;
}

int router_new(struct router **out, const struct router_options *options)
{
    struct router *router = calloc(1, sizeof *router);
    int r;

    if (!router)
        return -ENOMEM;
    assert(options->lane_operations_max > 0);
    assert(options->client_commands_max > 0);
    router->options = *options;
    router->random = options->session;
    router->timer_ms = UINT64_MAX;
    slab_init(&router->slab);
    pool_init(&router->pool);
    commands_init(&router->commands);
    r = attempts_init(&router->attempts);
    if (r == 0)
        r = clients_init(&router->clients, options->clients_max);
    router->values = r == 0 ? calloc(WIRE_ARGS_MAX, sizeof *router->values) : NULL;
    if (r == 0 && !router->values)
        r = -ENOMEM;
    if (r < 0) {
        free(router->attempts.slots);
        free(router->clients.buckets);
        free(router);
        return r;
    }
    *out = router;
    return 0;
}

struct router *router_free(struct router *router)
{
    if (!router)
        return NULL;
    for (uint32_t p = 0; p < router->lane_count; p++)
        lane_clear(router, &router->lanes[p]);
    clients_deinit(router);
    attempts_deinit(&router->attempts);
    pool_deinit(&router->pool);
    slab_deinit(&router->slab);
    scatter_deinit(&router->scatter);
    if (router->map_known)
        ringmap_deinit(&router->map);
    buffer_deinit(&router->scratch);
    free(router->values);
    free(router->lanes);
    free(router);
    return NULL;
}

/* The first map founds the lanes; of later ones, those of the same cluster that are newer count. */
static void router_take_map(struct router *router, const struct ringmap *map)
{
    struct ringmap copy;

    if (router->map_known &&
        (map->epoch <= router->map.epoch || map->partition_count != router->lane_count ||
         memcmp(map->cluster, router->map.cluster, sizeof map->cluster) != 0 ||
         memcmp(map->hash_secret, router->map.hash_secret, sizeof map->hash_secret) != 0))
        return;
    if (!router->map_known && scatter_init(&router->scatter, map->partition_count) < 0)
        return;
    if (!router->map_known)
        router->lanes = calloc(map->partition_count, sizeof *router->lanes);
    if (!router->lanes || ringmap_copy(&copy, map) < 0) {
        if (!router->map_known) {
            scatter_deinit(&router->scatter);
            free(router->lanes);
            router->lanes = NULL;
        }
        return; /* the next map may find memory */
    }
    if (router->map_known)
        ringmap_deinit(&router->map);
    router->map = copy;
    if (!router->map_known) {
        router->lane_count = map->partition_count;
        for (uint32_t p = 0; p < router->lane_count; p++)
            lane_init(&router->lanes[p], (uint16_t)p, router->options.session);
    }
    router->map_known = true;
    for (uint32_t p = 0; p < router->lane_count; p++)
        lane_rows_changed(&router->lanes[p]);
}

static void router_results(struct router *router, uint16_t member,
                           const struct link_message *message)
{
    struct wire_cursor cursor;
    struct wire_result result;

    wire_cursor_init(&cursor, message->body, message->body_size);
    while (!wire_cursor_done(&cursor)) {
        if (!wire_get_result(&cursor, &result, router->values, WIRE_ARGS_MAX))
            return; /* what it did not bring is asked again */
        lane_result(router, member, &result);
    }
}

/* MAP: the encoded map as bytes, nil from a node that is not founded. */
static void router_map_message(struct router *router, const struct link_message *message)
{
    struct wire_cursor cursor;
    struct ringmap map;
    const uint8_t *blob;
    size_t size;

    wire_cursor_init(&cursor, message->body, message->body_size);
    if (wire_get_nil(&cursor))
        return;
    blob = wire_get_bin(&cursor, LINK_MESSAGE_SIZE_MAX, &size);
    if (cursor.failed || ringmap_decode(blob, size, &map) != RINGMAP_E_OK)
        return;
    router_take_map(router, &map);
    ringmap_deinit(&map);
}

/* LIVENESS: somebody may lead others than before, or hold a newer map. Who has no link here is not
 * asked, but who told of it: that one asks, too. */
static void router_liveness(struct router *router, uint16_t member,
                            const struct link_message *message)
{
    struct wire_liveness heard;
    struct wire_cursor cursor;
    uint64_t newest = router->map_known ? router->map.epoch : 0;

    wire_cursor_init(&cursor, message->body, message->body_size);
    while (!wire_cursor_done(&cursor) && wire_get_liveness(&cursor, &heard)) {
        const struct ringmap_member *known =
            router->map_known ? ringmap_member(&router->map, heard.member) : NULL;

        if (known && !ringmap_takes_part(known->state)) /* nobody has decided to believe it */
            continue;
        hints_told(router, heard.member, heard.leaders_digest);
        if (heard.epoch <= newest)
            continue;
        newest = heard.epoch;
        router_doubt_map(router, pool_up(&router->pool, heard.member) ? heard.member : member);
    }
}

static void router_message(struct router *router, uint16_t member,
                           const struct link_message *message)
{
    pool_heard(&router->pool, member, router->now_ms);
    if (message->type == WIRE_RESULTS)
        router_results(router, member, message);
    else if (message->type == WIRE_MAP)
        router_map_message(router, message);
    else if (message->type == WIRE_LIVENESS)
        router_liveness(router, member, message);
    else if (message->type == WIRE_LEADERS)
        hints_take(router, member, message);
}

static void router_link(struct router *router, const struct router_event *event)
{
    struct lane *next;

    if (event->member == 0)
        return;
    if (event->kind == ROUTER_EVENT_LINK_UP && pool_up(&router->pool, event->member)) {
        struct router_event down = *event;

        down.kind = ROUTER_EVENT_LINK_DOWN; /* a link that came back without a word */
        router_link(router, &down);
    }
    if (event->kind == ROUTER_EVENT_LINK_UP) {
        if (pool_link_up(&router->pool, event->member, event->shards ? event->shards : 1) < 0)
            return;
        for (struct lane *lane = router->active_first; lane; lane = lane->active_next)
            lane_link_up(router, lane);
        return;
    }
    pool_link_down(&router->pool, event->member);
    for (struct lane *lane = router->active_first; lane; lane = next) {
        next = lane->active_next;
        lane_link_down(router, lane, event->member);
    }
}

/* What waits would wait for nothing. */
static void router_locked_out(struct router *router, const struct router_event *event)
{
    struct lane *next;

    snprintf(router->locked_out, sizeof router->locked_out, "%.*s", (int)event->size,
             event->size > 0 ? (const char *)event->bytes : "");
    for (struct lane *lane = router->active_first; router->locked_out[0] && lane; lane = next) {
        next = lane->active_next;
        lane_give_up(router, lane);
    }
}

static void router_timers(struct router *router)
{
    struct lane *next;
    uint64_t due_ms;

    if (router->now_ms < router->timer_ms)
        return;
    router->timer_ms = UINT64_MAX;
    for (struct lane *lane = router->active_first; lane; lane = next) {
        next = lane->active_next;
        router_due(router, lane_timer(router, lane));
    }
    due_ms = request_expire(router);
    router_due(router, due_ms);
    if (router->map_doubter)
        router_due(router, router->map_ask_due_ms);
}

static void router_recycle(struct router *router)
{
    pool_recycle(&router->pool);
    clients_recycle(router);
}

void router_step(struct router *router, const struct router_event *event)
{
    struct client *client = NULL;

    assert(event->now_ms >= router->now_ms);
    if (router->start_ms == 0)
        router->start_ms = event->now_ms;
    router->now_ms = event->now_ms;
    router->wall_ms = event->wall_ms;
    router->random ^= event->random;
    router_recycle(router);
    if (event->kind == ROUTER_EVENT_CLIENT_BYTES || event->kind == ROUTER_EVENT_CLIENT_END ||
        event->kind == ROUTER_EVENT_CLIENT_CLOSE)
        client = clients_find(&router->clients, event->client);
    switch (event->kind) {
    case ROUTER_EVENT_CLIENT_OPEN:
        client_open(router, event->client, event->bytes, event->size);
        break;
    case ROUTER_EVENT_CLIENT_BYTES:
        if (client)
            client_bytes(router, client, event->bytes, event->size);
        break;
    case ROUTER_EVENT_CLIENT_END:
        if (client)
            client_end(router, client);
        break;
    case ROUTER_EVENT_CLIENT_CLOSE:
        if (client)
            client_close(router, client);
        break;
    case ROUTER_EVENT_MESSAGE:
        router_message(router, event->member, event->message);
        break;
    case ROUTER_EVENT_LINK_UP:
    case ROUTER_EVENT_LINK_DOWN:
        router_link(router, event);
        break;
    case ROUTER_EVENT_MAP:
        router_take_map(router, event->map);
        break;
    case ROUTER_EVENT_LOCKED_OUT:
        router_locked_out(router, event);
        break;
    default:
        assert(event->kind == ROUTER_EVENT_TICK);
        break;
    }
    router_timers(router);
}

static void router_pump(struct router *router)
{
    struct lane *lane = router->ready_first;

    router->ready_first = NULL;
    router->ready_last = NULL;
    while (lane) {
        struct lane *next = lane->ready_next;

        lane->ready = false;
        lane_pump(router, lane);
        lane = next;
    }
    pool_seal(&router->pool);
}

/* Whoever could not say whom to ask may have a newer map, or hear of one soon; of others gossip
 * tells that they have. */
static void router_ask_map(struct router *router, struct router_effects *effects)
{
    if (!router->map_doubter || router->now_ms < router->map_ask_due_ms)
        return;
    if (pool_up(&router->pool, router->map_doubter))
        effects->sends[effects->send_count++] = (struct router_send){
            .member = router->map_doubter,
            .message = {.type = WIRE_MAP_GET, .partition = WIRE_PARTITION_NODE}};
    router->map_doubter = 0;
    router->map_ask_due_ms = router->now_ms + router->options.map_ask_ms;
}

static void router_take_outputs(struct router *router, struct router_effects *effects)
{
    struct clients *clients = &router->clients;

    while (clients->output_first && effects->output_count < ROUTER_OUTPUTS_MAX) {
        struct client *client = clients->output_first;
        bool close = client_finished(client);

        clients->output_first = client->output_next;
        if (!clients->output_first)
            clients->output_last = NULL;
        client->output_next = clients->taken;
        clients->taken = client;
        client->closed |= close;
        if (client->output.size == 0 && !close)
            continue;
        router->stats.output_bytes += client->output.size;
        effects->outputs[effects->output_count++] =
            (struct router_output){.client = client->id,
                                   .bytes = client->output.data,
                                   .size = client->output.size,
                                   .close = close};
    }
}

bool router_flush(struct router *router, uint64_t now_ms, struct router_effects *effects)
{
    const struct frame *frame;

    assert(now_ms >= router->now_ms);
    router->now_ms = now_ms;
    router_recycle(router);
    clients_resume(router);
    router_timers(router);
    router_pump(router);
    effects->send_count = 0;
    effects->output_count = 0;
    router_ask_map(router, effects);
    hints_ask(router, effects);
    while (effects->send_count < ROUTER_SENDS_MAX) {
        struct router_send *send = &effects->sends[effects->send_count];

        frame = pool_take(&router->pool, &send->message);
        if (!frame)
            break;
        send->member = frame->member;
        effects->send_count++;
    }
    router_take_outputs(router, effects);
    effects->deadline_ms = router->timer_ms;
    return router->hints_due || router->pool.queue_first || router->clients.output_first ||
           router->clients.resume;
}

void router_client_backlog(struct router *router, uint64_t id, size_t bytes)
{
    struct client *client = clients_find(&router->clients, id);

    if (client && !client->killed)
        client_backlog(router, client, bytes);
}

uint32_t router_in_flight(const struct router *router)
{
    return router->operations;
}

bool router_client_paused(const struct router *router, uint64_t id)
{
    const struct client *client = clients_find(&router->clients, id);

    return !client || client_paused(router, client);
}

const struct ringmap *router_map(const struct router *router)
{
    return router->map_known ? &router->map : NULL;
}

bool router_ready(const struct router *router)
{
    if (!router->map_known)
        return false;
    for (uint32_t p = 0; p < router->lane_count; p++)
        if (!route_exists(router, (uint16_t)p))
            return false;
    return true;
}

void router_check(const struct router *router)
{
    uint32_t operations = 0;

    for (uint32_t p = 0; p < router->lane_count; p++) {
        lane_check(&router->lanes[p]);
        operations += router->lanes[p].count;
    }
    assert(operations == router->operations);
    for (const struct client *client = router->clients.first; client; client = client->list_next) {
        uint32_t requests = 0;

        for (const struct request *r = client->first; r; r = r->next) {
            assert(r->client == client);
            assert(r->ready || r->parts_left > 0);
            requests++;
        }
        assert(requests == client->requests);
        assert(client->first == NULL || !client->first->ready);
        assert(client->input_at <= client->input.size);
    }
}
