#include "router/links_nng.h"

#include "ring/identity.h"
#include "ring/link_nng.h"
#include "ring/refusal.h"
#include "ring/wire.h"
#include "router/arrivals.h"
#include "router/lockout.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINKS_ARRIVALS_KEPT (4u << 20)
#define LINKS_SEEDLESS_MS   3000u /* no member's link for so long: the seeds are tried again */

/* One dialled link, to a seed or to a member. */
struct node_link {
    struct link *link; /* NULL: given up */
    uint64_t id;       /* of the link, to know events that came before it was given up */
    uint16_t member;   /* 0: a seed */
    uint16_t shards;
    char address[LINKS_ADDRESS_SIZE];
    struct lockout_link lockout;
    bool up;   /* the link is */
    bool told; /* the router has been told */
    size_t consumed_bytes;
    uint32_t consumed_messages;
};

/* The bytes of REFUSED. */
struct refused {
    char address[LINKS_ADDRESS_SIZE];
    char why[ROUTER_LOCKED_OUT_SIZE];
    bool repeated;
};

struct links {
    struct links_options options;
    struct identity identity;
    struct fabric *fabric;
    struct node_link **nodes;
    size_t node_count;
    size_t refresh_next;
    uint64_t epoch;                       /* of the map whose members are dialled */
    uint64_t memberless_ms;               /* since when no member's link is up */
    bool locked_out;                      /* the router has been told */
    char refusal[ROUTER_LOCKED_OUT_SIZE]; /* the newest that another ticket would end */
    pthread_mutex_t arrivals_lock;
    struct arrivals filling; /* under the lock */
    bool waking;             /* likewise: the host knows that there is something */
    struct arrivals draining;
};

static void links_log(struct links *links, const char *level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void links_log(struct links *links, const char *level, const char *format, ...)
{
    char line[LINKS_LOG_SIZE];
    va_list arguments;

    if (!links->options.log)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    links->options.log(links->options.context, level, line);
}

/* On the fabric's threads: puts it among the arrivals, wakes the host once for all that is there.
 */
static void arrived(struct links *links, const struct arrival *item, const void *bytes, size_t size)
{
    bool wake;

    pthread_mutex_lock(&links->arrivals_lock);
    arrivals_add(&links->filling, item, bytes, size);
    wake = !links->waking;
    links->waking = true;
    pthread_mutex_unlock(&links->arrivals_lock);
    if (wake)
        links->options.wake(links->options.context);
}

static bool on_up(void *context, struct link *link, const struct link_peer *peer)
{
    struct arrival item = {.kind = ARRIVAL_UP, .node = link_user(link), .link = link_id(link)};

    if (peer->role != LINK_ROLE_NODE)
        return false;
    arrived(context, &item, peer->cipher, strlen(peer->cipher));
    return true;
}

static void on_message(void *context, struct link *link, const struct link_message *message)
{
    struct arrival item = {.kind = ARRIVAL_MESSAGE,
                           .node = link_user(link),
                           .link = link_id(link),
                           .type = message->type,
                           .partition = message->partition,
                           .correlation = message->correlation};

    arrived(context, &item, message->body, message->body_size);
}

static void on_down(void *context, struct link *link, const char *why)
{
    struct arrival item = {.kind = ARRIVAL_DOWN, .node = link_user(link), .link = link_id(link)};

    arrived(context, &item, why, strlen(why));
}

static void on_refused(void *context, const char *address, bool dialled, uint8_t refusal,
                       const char *why, bool repeated)
{
    struct arrival item = {.kind = ARRIVAL_REFUSED, .type = refusal};
    struct refused refused = {.repeated = repeated};

    snprintf(refused.address, sizeof refused.address, "%s", address);
    snprintf(refused.why, sizeof refused.why, "%s", why);
    (void)dialled; /* a router listens to no node */
    arrived(context, &item, &refused, sizeof refused);
}

/* A place for a seed (member 0) or a member; it stays until the end, for links call back with it.
 */
static struct node_link *node_new(struct links *links, uint16_t member)
{
    struct node_link **nodes =
        realloc(links->nodes, (links->node_count + 1) * sizeof(struct node_link *));
    struct node_link *node = nodes ? calloc(1, sizeof *node) : NULL;

    if (nodes)
        links->nodes = nodes;
    if (!node)
        return NULL;
    node->member = member;
    links->nodes[links->node_count++] = node;
    return node;
}

/* public_key NULL: whoever holds the ticket. */
static void node_dial(struct links *links, struct node_link *node, const uint8_t *public_key)
{
    int r = fabric_dial(links->fabric, node->address, public_key, node, &node->link);

    node->lockout = (struct lockout_link){0};
    if (r < 0) {
        node->link = NULL;
        links_log(links, "error", "event=dial_failed address=%s why=\"%s\"", node->address,
                  strerror(-r));
        return;
    }
    node->id = link_id(node->link);
}

static void node_tell(struct links *links, struct node_link *node, bool up)
{
    struct router_event event = {.kind = up ? ROUTER_EVENT_LINK_UP : ROUTER_EVENT_LINK_DOWN,
                                 .member = node->member,
                                 .shards = node->shards};

    if (node->told == up || node->member == 0)
        return;
    node->told = up;
    links->options.step(links->options.context, &event);
}

static void node_drop(struct links *links, struct node_link *node)
{
    if (!node->link)
        return;
    node_tell(links, node, false);
    link_close(node->link);
    node->link = NULL;
    node->up = false;
}

static void seeds_dial(struct links *links)
{
    for (size_t i = 0; i < links->node_count; i++)
        if (links->nodes[i]->member == 0 && !links->nodes[i]->link)
            node_dial(links, links->nodes[i], NULL);
}

static void seeds_drop(struct links *links)
{
    for (size_t i = 0; i < links->node_count; i++)
        if (links->nodes[i]->member == 0)
            node_drop(links, links->nodes[i]);
}

static struct node_link *node_of_member(struct links *links, uint16_t member)
{
    for (size_t i = 0; i < links->node_count; i++)
        if (links->nodes[i]->member == member)
            return links->nodes[i];
    return node_new(links, member);
}

static void member_dial(struct links *links, const struct ringmap_member *member)
{
    struct node_link *node = node_of_member(links, member->id);

    if (!node)
        return;
    if (member->state == RINGMAP_STATE_REMOVED) {
        if (node->link)
            links_log(links, "info", "event=member_removed member=%u address=%s", member->id,
                      node->address);
        node_drop(links, node);
        return;
    }
    if (member->state == RINGMAP_STATE_JOINING) /* it opens to nobody yet */
        return;
    if (node->link && (node->up || strcmp(node->address, member->address) == 0))
        return;
    node_drop(links, node);
    snprintf(node->address, sizeof node->address, "%s", member->address);
    node_dial(links, node, member->public_key);
}

/* Who is not where the map says may have told the others where it is; its key tells that it is. */
static void links_follow_liveness(struct links *links, const uint8_t *bytes, size_t size)
{
    const struct ringmap *map = router_map(links->options.router);
    struct wire_liveness heard;
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, bytes, size);
    while (map && !wire_cursor_done(&cursor) && wire_get_liveness(&cursor, &heard)) {
        const struct ringmap_member *member = ringmap_member(map, heard.member);
        struct node_link *node;

        if (!member || !ringmap_takes_part(member->state) || heard.address[0] == '\0')
            continue;
        node = node_of_member(links, heard.member);
        if (!node || node->up || strcmp(node->address, heard.address) == 0)
            continue;
        node_drop(links, node);
        snprintf(node->address, sizeof node->address, "%s", heard.address);
        links_log(links, "info", "event=member_moved member=%u address=%s", heard.member,
                  heard.address);
        node_dial(links, node, member->public_key);
    }
}

/* A newer map: its members are dialled, the seeds have done their part. */
static void links_follow_map(struct links *links)
{
    const struct ringmap *map = router_map(links->options.router);

    if (!map || map->epoch == links->epoch)
        return;
    links->epoch = map->epoch;
    links_log(links, "info", "event=map epoch=%llu members=%u partitions=%u",
              (unsigned long long)map->epoch, map->member_count, map->partition_count);
    for (uint32_t i = 0; i < map->member_count; i++)
        if (map->members[i].id != 0)
            member_dial(links, &map->members[i]);
    seeds_drop(links);
}

static void node_send(struct node_link *node, uint8_t type, const struct wire_buffer *body)
{
    struct link_message message = {.type = type,
                                   .partition = WIRE_PARTITION_NODE,
                                   .body = body ? body->data : NULL,
                                   .body_size = body ? body->size : 0};

    link_send(node->link, &message, 1); /* a link that cannot take it says so by its on_down */
}

static void node_up(struct links *links, struct node_link *node, const char *cipher, size_t size)
{
    struct wire_hello hello = wire_hello_own(LINK_ROLE_ROUTER);
    const struct ringmap *map = router_map(links->options.router);
    struct wire_buffer body = {0};

    node->up = true;
    node->lockout = (struct lockout_link){0};
    hello.epoch = map ? map->epoch : 0;
    wire_put_hello(&body, &hello);
    if (!body.failed)
        node_send(node, WIRE_HELLO, &body);
    wire_buffer_deinit(&body);
    node_send(node, WIRE_MAP_GET, NULL);
    links_log(links, "info", "event=link_up member=%u address=%s cipher=%.*s", node->member,
              node->address, (int)size, cipher);
}

static void node_hello(struct links *links, struct node_link *node,
                       const struct link_message *message)
{
    char why[WIRE_HELLO_WHY_SIZE];
    struct wire_cursor cursor;
    struct wire_hello hello;

    wire_cursor_init(&cursor, message->body, message->body_size);
    if (!wire_get_hello(&cursor, &hello) || hello.role != LINK_ROLE_NODE)
        return;
    if (wire_hello_version(&hello) == 0) {
        wire_hello_why(&hello, why);
        links_log(links, "warning", "event=incompatible member=%u address=%s reason=\"%s\"",
                  node->member, node->address, why);
        return;
    }
    if (hello.member != node->member || hello.shards == 0)
        return; /* a seed; or a member that does not know yet that it is one */
    node->shards = hello.shards;
    node_tell(links, node, true);
}

static void node_message(struct links *links, struct node_link *node, const struct arrival *item,
                         const uint8_t *bytes)
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
        node_hello(links, node, &message);
    else if (node->member != 0 || item->type == WIRE_MAP)
        links->options.step(links->options.context, &event);
    if (item->type == WIRE_MAP)
        links_follow_map(links);
    else if (item->type == WIRE_LIVENESS)
        links_follow_liveness(links, bytes, item->size);
}

static void links_refused(struct links *links, const struct refused *refused, uint8_t refusal)
{
    if (!refused->repeated)
        links_log(links, "warning", "event=refused address=%s why=\"%s\"", refused->address,
                  refused->why);
    for (size_t i = 0; i < links->node_count; i++)
        if (strcmp(links->nodes[i]->address, refused->address) == 0)
            lockout_note(&links->nodes[i]->lockout, refusal);
    if (refusal_wants_another(refusal))
        memcpy(links->refusal, refused->why, sizeof links->refusal);
}

void links_count(const struct links *links, struct lockout *lockout)
{
    *lockout = (struct lockout){.reached = links->locked_out};
    for (size_t i = 0; i < links->node_count; i++) {
        const struct node_link *node = links->nodes[i];

        assert(node->link || !node->up);
        assert(node->up || !node->told);
        lockout->links[node->lockout.attempt] += node->link != NULL;
        lockout->up_count += node->up;
    }
}

static void links_tell_locked_out(struct links *links)
{
    struct router_event event = {.kind = ROUTER_EVENT_LOCKED_OUT};
    struct lockout lockout;

    links_count(links, &lockout);
    if (lockout_reached(&lockout) == links->locked_out)
        return;
    links->locked_out = !links->locked_out;
    if (links->locked_out) {
        event.bytes = (const uint8_t *)links->refusal;
        event.size = strlen(links->refusal);
        links_log(links, "error",
                  "event=locked_out why=\"%s\" next=\"start this router with another ticket\"",
                  links->refusal);
    } else {
        links_log(links, "info", lockout.up_count > 0 ? "event=let_in" : "event=refused_no_more");
    }
    links->options.step(links->options.context, &event);
}

static void take_arrival(struct links *links, const struct arrival *item, const uint8_t *bytes)
{
    struct node_link *node = item->node;
    struct refused refused;

    if (item->kind == ARRIVAL_REFUSED) {
        memcpy(&refused, bytes, sizeof refused);
        links_refused(links, &refused, item->type);
        return;
    }
    if (!node->link || node->id != item->link)
        return; /* of a link that was given up */
    switch (item->kind) {
    case ARRIVAL_UP:
        node_up(links, node, (const char *)bytes, item->size);
        return;
    case ARRIVAL_DOWN:
        node->up = false;
        node->consumed_bytes = 0;
        node->consumed_messages = 0;
        links_log(links, "warning", "event=link_down member=%u address=%s why=\"%.*s\"",
                  node->member, node->address, (int)item->size, (const char *)bytes);
        node_tell(links, node, false);
        return;
    default:
        assert(item->kind == ARRIVAL_MESSAGE);
        node_message(links, node, item, bytes);
    }
}

void links_drain(struct links *links)
{
    struct arrivals *arrivals = &links->draining;
    struct arrivals swap = *arrivals;

    pthread_mutex_lock(&links->arrivals_lock);
    *arrivals = links->filling;
    links->filling = swap;
    links->waking = false;
    pthread_mutex_unlock(&links->arrivals_lock);
    for (size_t i = 0; i < arrivals->count; i++)
        take_arrival(links, &arrivals->items[i], arrivals->bytes.data + arrivals->items[i].at);
    links_tell_locked_out(links);
    arrivals->count = 0;
    buffer_clear(&arrivals->bytes, LINKS_ARRIVALS_KEPT);
    for (size_t i = 0; i < links->node_count; i++) {
        struct node_link *node = links->nodes[i];

        if (node->link && node->consumed_messages > 0)
            link_consumed(node->link, node->consumed_bytes, node->consumed_messages);
        node->consumed_bytes = 0;
        node->consumed_messages = 0;
    }
}

void links_send(struct links *links, const struct router_send *sends, size_t count)
{
    struct link_message messages[ROUTER_SENDS_MAX];

    for (size_t i = 0; i < count;) {
        struct node_link *node = node_of_member(links, sends[i].member);
        size_t run = 0;

        for (; i + run < count && sends[i + run].member == sends[i].member; run++)
            messages[run] = sends[i + run].message;
        /* What a broken link does not take is sent again when its on_down has come. */
        if (node && node->link)
            link_send(node->link, messages, run);
        i += run;
    }
}

void links_refresh(struct links *links, uint64_t now_ms)
{
    bool map_known = router_map(links->options.router) != NULL;
    bool any = false, member = false;

    for (size_t i = 0; i < links->node_count; i++) {
        struct node_link *node = links->nodes[(links->refresh_next + i) % links->node_count];

        if (!node->up)
            continue;
        member |= node->member != 0;
        if (any && map_known)
            continue;
        any = true;
        node_send(node, WIRE_MAP_GET, NULL);
        node_send(node, WIRE_LIVENESS_GET, NULL);
    }
    links->refresh_next++;
    if (member)
        links->memberless_ms = now_ms;
    if (member && map_known)
        seeds_drop(links);
    else if (map_known && now_ms - links->memberless_ms > LINKS_SEEDLESS_MS)
        seeds_dial(links);
}

/* What comes here goes the way of what nng's threads bring, but nobody has to be woken
 * for it. */
void links_receive(struct links *links, int timeout_ms)
{
    pthread_mutex_lock(&links->arrivals_lock);
    links->waking = true;
    pthread_mutex_unlock(&links->arrivals_lock);
    fabric_receive(links->fabric, timeout_ms);
    links_drain(links);
}

int links_descriptor(const struct links *links)
{
    return fabric_descriptor(links->fabric);
}

static int links_start(struct links *links)
{
    struct fabric_options options = {
        .identity = &links->identity,
        .ticket = links->options.ticket,
        .role = LINK_ROLE_ROUTER,
        .credit_size = 32u << 20,
        .polled = true,
        .context = links,
        .on_up = on_up,
        .on_message = on_message,
        .on_down = on_down,
        .on_refused = on_refused,
    };
    int r = fabric_open(&links->fabric, &options);

    if (r < 0)
        return r;
    for (size_t i = 0; i < links->options.seed_count; i++) {
        struct node_link *node = node_new(links, 0);

        if (!node)
            return -ENOMEM;
        snprintf(node->address, sizeof node->address, "%s", links->options.seeds[i]);
    }
    seeds_dial(links);
    return 0;
}

int links_open(struct links **out, const struct links_options *options, uint64_t now_ms)
{
    struct links *links = calloc(1, sizeof *links);
    int r;

    *out = NULL;
    if (!links)
        return -ENOMEM;
    links->options = *options;
    links->memberless_ms = now_ms;
    pthread_mutex_init(&links->arrivals_lock, NULL);
    identity_generate(&links->identity);
    r = links_start(links);
    if (r < 0)
        links_close(links);
    else
        *out = links;
    return r;
}

void links_close(struct links *links)
{
    if (!links)
        return;
    if (links->fabric)
        fabric_close(links->fabric);
    for (size_t i = 0; i < links->node_count; i++)
        free(links->nodes[i]);
    free(links->nodes);
    arrivals_deinit(&links->filling);
    arrivals_deinit(&links->draining);
    identity_wipe(&links->identity);
    pthread_mutex_destroy(&links->arrivals_lock);
    free(links);
}
