#include "router/server_uv_internal.h"

#include "ring/wire.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* On the fabric's threads: puts it into the inbox, wakes the loop once for all that is there. */
static void inbox_put(struct server *server, const struct inbox_item *item, const void *bytes,
                      size_t size)
{
    struct inbox *inbox = &server->filling;
    bool wake = false;

    pthread_mutex_lock(&server->inbox_lock);
    if (inbox->count == inbox->capacity) {
        size_t capacity = inbox->capacity ? inbox->capacity * 2 : 64;
        struct inbox_item *items = realloc(inbox->items, capacity * sizeof *items);

        if (!items)
            abort(); /* nothing may be left out between a link's up and its down */
        inbox->items = items;
        inbox->capacity = capacity;
    }
    inbox->items[inbox->count] = *item;
    inbox->items[inbox->count].at = inbox->bytes.size;
    inbox->items[inbox->count].size = size;
    buffer_append(&inbox->bytes, bytes, size);
    if (inbox->bytes.failed)
        abort();
    inbox->count++;
    wake = !server->waking;
    server->waking = true;
    pthread_mutex_unlock(&server->inbox_lock);
    if (wake)
        uv_async_send(&server->async);
}

static bool on_up(void *context, struct link *link, const struct link_peer *peer)
{
    struct inbox_item item = {.kind = INBOX_UP, .node = link_user(link), .link = link_id(link)};

    if (peer->role != LINK_ROLE_NODE)
        return false;
    inbox_put(context, &item, peer->public_key, sizeof peer->public_key);
    return true;
}

static void on_message(void *context, struct link *link, const struct link_message *message)
{
    struct inbox_item item = {.kind = INBOX_MESSAGE,
                              .node = link_user(link),
                              .link = link_id(link),
                              .type = message->type,
                              .partition = message->partition,
                              .correlation = message->correlation};

    inbox_put(context, &item, message->body, message->body_size);
}

static void on_down(void *context, struct link *link, const char *why)
{
    struct inbox_item item = {.kind = INBOX_DOWN, .node = link_user(link), .link = link_id(link)};

    inbox_put(context, &item, why, strlen(why));
}

static void on_refused(void *context, const char *address, const char *why)
{
    struct inbox_item item = {.kind = INBOX_REFUSED};
    char text[256];
    int size = snprintf(text, sizeof text, "address=%s why=\"%s\"", address, why);

    inbox_put(context, &item, text, size < (int)sizeof text ? (size_t)size : sizeof text - 1);
}

/* A place for a seed (member 0) or a member; it stays until the end, for links call back with it.
 */
static struct node_link *node_new(struct server *server, uint16_t member)
{
    struct node_link **nodes =
        realloc(server->nodes, (server->node_count + 1) * sizeof(struct node_link *));
    struct node_link *node = nodes ? calloc(1, sizeof *node) : NULL;

    if (nodes)
        server->nodes = nodes;
    if (!node)
        return NULL;
    node->member = member;
    server->nodes[server->node_count++] = node;
    return node;
}

/* public_key NULL: whoever holds the ticket. */
static void node_dial(struct server *server, struct node_link *node, const uint8_t *public_key)
{
    int r = fabric_dial(server->fabric, node->address, public_key, node, &node->link);

    if (r < 0) {
        node->link = NULL;
        server_log(server, "error", "event=dial_failed address=%s why=\"%s\"", node->address,
                   strerror(-r));
        return;
    }
    node->id = link_id(node->link);
}

static void node_tell(struct server *server, struct node_link *node, bool up)
{
    struct router_event event = {.kind = up ? ROUTER_EVENT_LINK_UP : ROUTER_EVENT_LINK_DOWN,
                                 .member = node->member,
                                 .shards = node->shards};

    if (node->told == up || node->member == 0)
        return;
    node->told = up;
    server_step(server, &event);
}

static void node_drop(struct server *server, struct node_link *node)
{
    if (!node->link)
        return;
    node_tell(server, node, false);
    link_close(node->link);
    node->link = NULL;
    node->up = false;
}

static void seeds_dial(struct server *server)
{
    for (size_t i = 0; i < server->node_count; i++)
        if (server->nodes[i]->member == 0 && !server->nodes[i]->link)
            node_dial(server, server->nodes[i], NULL);
}

static void seeds_drop(struct server *server)
{
    for (size_t i = 0; i < server->node_count; i++)
        if (server->nodes[i]->member == 0)
            node_drop(server, server->nodes[i]);
}

static struct node_link *node_of_member(struct server *server, uint16_t member)
{
    for (size_t i = 0; i < server->node_count; i++)
        if (server->nodes[i]->member == member)
            return server->nodes[i];
    return node_new(server, member);
}

static void member_dial(struct server *server, const struct ringmap_member *member)
{
    struct node_link *node = node_of_member(server, member->id);

    if (!node)
        return;
    if (member->state == RINGMAP_STATE_REMOVED) {
        node_drop(server, node);
        return;
    }
    if (node->link && strcmp(node->address, member->address) == 0)
        return;
    node_drop(server, node);
    snprintf(node->address, sizeof node->address, "%s", member->address);
    node_dial(server, node, member->public_key);
}

/* A newer map: its members are dialled, the seeds have done their part. */
static void links_follow_map(struct server *server)
{
    const struct ringmap *map = router_map(server->router);

    if (!map || map->epoch == server->epoch)
        return;
    server->epoch = map->epoch;
    server_log(server, "info", "event=map epoch=%llu members=%u partitions=%u",
               (unsigned long long)map->epoch, map->member_count, map->partition_count);
    for (uint32_t i = 0; i < map->member_count; i++)
        if (map->members[i].id != 0)
            member_dial(server, &map->members[i]);
    seeds_drop(server);
}

static void node_send(struct node_link *node, uint8_t type, const struct wire_buffer *body)
{
    struct link_message message = {.type = type,
                                   .partition = WIRE_PARTITION_NODE,
                                   .body = body ? body->data : NULL,
                                   .body_size = body ? body->size : 0};

    link_send(node->link, &message, 1); /* a link that cannot take it says so by its on_down */
}

static void node_up(struct server *server, struct node_link *node)
{
    struct wire_hello hello = {.version = WIRE_VERSION, .role = LINK_ROLE_ROUTER};
    const struct ringmap *map = router_map(server->router);
    struct wire_buffer body = {0};

    node->up = true;
    hello.epoch = map ? map->epoch : 0;
    wire_put_hello(&body, &hello);
    if (!body.failed)
        node_send(node, WIRE_HELLO, &body);
    wire_buffer_deinit(&body);
    node_send(node, WIRE_MAP_GET, NULL);
    server_log(server, "info", "event=link_up member=%u address=%s", node->member, node->address);
}

static void node_hello(struct server *server, struct node_link *node,
                       const struct link_message *message)
{
    struct wire_cursor cursor;
    struct wire_hello hello;

    wire_cursor_init(&cursor, message->body, message->body_size);
    if (!wire_get_hello(&cursor, &hello) || hello.role != LINK_ROLE_NODE)
        return;
    if (hello.member != node->member || hello.shards == 0)
        return; /* a seed; or a member that does not know yet that it is one */
    node->shards = hello.shards;
    node_tell(server, node, true);
}

static void node_message(struct server *server, struct node_link *node,
                         const struct inbox_item *item, const uint8_t *bytes)
{
    struct link_message message = {.type = item->type,
                                   .partition = item->partition,
                                   .correlation = item->correlation,
                                   .body = bytes,
                                   .body_size = item->size};
    struct router_event event = {
        .kind = ROUTER_EVENT_MESSAGE, .member = node->member, .message = &message};

    node->consumed_bytes += item->size;
    node->consumed_messages++;
    if (item->type == WIRE_HELLO)
        node_hello(server, node, &message);
    else if (node->member != 0 || item->type == WIRE_MAP)
        server_step(server, &event);
    if (item->type == WIRE_MAP)
        links_follow_map(server);
}

static void inbox_item(struct server *server, const struct inbox_item *item, const uint8_t *bytes)
{
    struct node_link *node = item->node;

    if (item->kind == INBOX_REFUSED) {
        server_log(server, "warning", "event=refused %.*s", (int)item->size, (const char *)bytes);
        return;
    }
    if (!node->link || node->id != item->link)
        return; /* of a link that was given up */
    switch (item->kind) {
    case INBOX_UP:
        node_up(server, node);
        return;
    case INBOX_DOWN:
        node->up = false;
        node->consumed_bytes = 0;
        node->consumed_messages = 0;
        server_log(server, "warning", "event=link_down member=%u address=%s why=\"%.*s\"",
                   node->member, node->address, (int)item->size, (const char *)bytes);
        node_tell(server, node, false);
        return;
    default:
        assert(item->kind == INBOX_MESSAGE);
        node_message(server, node, item, bytes);
    }
}

void server_links_drain(struct server *server)
{
    struct inbox *inbox = &server->draining;
    struct inbox swap = *inbox;

    pthread_mutex_lock(&server->inbox_lock);
    *inbox = server->filling;
    server->filling = swap;
    server->waking = false;
    pthread_mutex_unlock(&server->inbox_lock);
    for (size_t i = 0; i < inbox->count; i++)
        inbox_item(server, &inbox->items[i], inbox->bytes.data + inbox->items[i].at);
    inbox->count = 0;
    buffer_clear(&inbox->bytes, SERVER_INBOX_KEPT);
    for (size_t i = 0; i < server->node_count; i++) {
        struct node_link *node = server->nodes[i];

        if (node->link && node->consumed_messages > 0)
            link_consumed(node->link, node->consumed_bytes, node->consumed_messages);
        node->consumed_bytes = 0;
        node->consumed_messages = 0;
    }
}

void server_links_send(struct server *server, const struct router_send *sends, size_t count)
{
    struct link_message messages[ROUTER_SENDS_MAX];

    for (size_t i = 0; i < count;) {
        struct node_link *node = node_of_member(server, sends[i].member);
        size_t run = 0;

        for (; i + run < count && sends[i + run].member == sends[i].member; run++)
            messages[run] = sends[i + run].message;
        /* What a broken link does not take is sent again when its on_down has come. */
        if (node && node->link)
            link_send(node->link, messages, run);
        i += run;
    }
}

void server_links_refresh(struct server *server)
{
    uint64_t now_ms = uv_now(&server->loop);
    bool map_known = router_map(server->router) != NULL;
    bool any = false;

    for (size_t i = 0; i < server->node_count; i++) {
        struct node_link *node = server->nodes[(server->refresh_next + i) % server->node_count];

        if (!node->up || (any && map_known))
            continue;
        any = true;
        node_send(node, WIRE_MAP_GET, NULL);
    }
    server->refresh_next++;
    if (any)
        server->linkless_ms = now_ms;
    else if (map_known && now_ms - server->linkless_ms > SERVER_SEEDLESS_MS)
        seeds_dial(server);
}

/* The links have something. What they bring goes through the inbox like what nng's threads bring,
 * but nobody has to be woken for it. */
static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct server *server = poll->data;

    (void)status;
    (void)events;
    pthread_mutex_lock(&server->inbox_lock);
    server->waking = true;
    pthread_mutex_unlock(&server->inbox_lock);
    fabric_receive(server->fabric, 0);
    server_links_drain(server);
}

static int links_poll(struct server *server)
{
    int r = uv_poll_init(&server->loop, &server->poll, fabric_descriptor(server->fabric));

    if (r < 0)
        return r;
    server->poll.data = server;
    server->polling = true;
    return uv_poll_start(&server->poll, UV_READABLE, on_readable);
}

int server_links_open(struct server *server)
{
    struct fabric_options options = {
        .identity = &server->identity,
        .ticket = server->options->ticket,
        .role = LINK_ROLE_ROUTER,
        .handshake_ms = 2000,
        .pending_max = 256,
        .links_max = 1024,
        .reconnect_ms_min = 10,
        .reconnect_ms_max = 500,
        .idle_ms = 1500,
        .queue_size_max = 64u << 20,
        .credit_size = 32u << 20,
        .credit_messages = 65536,
        .polled = true,
        .context = server,
        .on_up = on_up,
        .on_message = on_message,
        .on_down = on_down,
        .on_refused = on_refused,
    };
    int r;

    identity_generate(&server->identity);
    r = fabric_open(&server->fabric, &options);
    if (r == 0)
        r = links_poll(server);
    if (r < 0)
        return r;
    for (size_t i = 0; i < server->options->seed_count; i++) {
        struct node_link *node = node_new(server, 0);

        if (!node)
            return -ENOMEM;
        snprintf(node->address, sizeof node->address, "%s", server->options->seeds[i]);
    }
    seeds_dial(server);
    server->linkless_ms = uv_now(&server->loop);
    return 0;
}

static void inbox_deinit(struct inbox *inbox)
{
    free(inbox->items);
    buffer_deinit(&inbox->bytes);
}

void server_links_close(struct server *server)
{
    if (server->polling)
        uv_poll_stop(&server->poll);
    if (server->fabric)
        fabric_close(server->fabric);
    server->fabric = NULL;
    for (size_t i = 0; i < server->node_count; i++)
        free(server->nodes[i]);
    free(server->nodes);
    server->nodes = NULL;
    server->node_count = 0;
    inbox_deinit(&server->filling);
    inbox_deinit(&server->draining);
    identity_wipe(&server->identity);
}
