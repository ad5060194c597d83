#include "replication/node_loop_internal.h"

#include "ring/wire.h"

#include <stdlib.h>
#include <string.h>

struct host_link *loop_link_find(const struct node_loop *loop, uint64_t id)
{
    for (struct host_link *link = loop->links; link; link = link->next)
        if (link->id == id)
            return link;
    return NULL;
}

uint16_t loop_link_member(struct node_loop *loop, struct host_link *link)
{
    const struct ringmap_member *member;

    if (link->member == 0 && link->role == LINK_ROLE_NODE && loop->map_known && !link->seed) {
        member = ringmap_member_by_key(&loop->map, link->public_key);
        if (member && member->state != RINGMAP_STATE_REMOVED)
            link->member = member->id;
    }
    return link->member;
}

bool loop_link_joining(const struct node_loop *loop, uint16_t id)
{
    const struct ringmap_member *member = loop->map_known ? ringmap_member(&loop->map, id) : NULL;

    return member && member->state == RINGMAP_STATE_JOINING;
}

static struct shard_address address_of(struct node_loop *loop, struct host_link *link)
{
    return (struct shard_address){
        .role = link->role, .member = loop_link_member(loop, link), .link = link->id};
}

static void put_to_shards(struct node_loop *loop, const struct inbox_item *item)
{
    if (!atomic_load(&loop->shards_started))
        return;
    for (uint16_t number = 0; number < loop->shard_count; number++)
        inbox_put(&loop->shards[number].inbox, item);
}

/* links_mutex is held. */
static void send_hello(struct node_loop *loop, struct host_link *host)
{
    struct wire_buffer body = {0};
    struct link_message message = {.type = WIRE_HELLO, .partition = WIRE_PARTITION_NODE};
    struct wire_hello hello = wire_hello_own(LINK_ROLE_NODE);

    hello.member = loop->member;
    hello.shards = loop->shard_count;
    hello.epoch = loop->map_known ? loop->map.epoch : 0;
    hello.instance = loop->instance;
    node_counters_tell(&loop->counters, &host->counters, loop_link_member(loop, host), &hello);
    wire_put_hello(&body, &hello);
    message.body = body.data;
    message.body_size = body.size;
    if (!body.failed)
        (void)link_send(host->link, &message, 1);
    wire_buffer_deinit(&body);
}

void loop_links_tell(struct node_loop *loop, struct host_link *host)
{
    if (node_counters_tells(&loop->counters, &host->counters))
        send_hello(loop, host);
}

/* The link that a JOINING member has dialled is the one to it, too. links_mutex is held. */
static void use_both_ways(struct node_loop *loop, struct host_link *host)
{
    struct inbox_item item = {.kind = INBOX_LINK_UP, .from = address_of(loop, host)};

    if (host->dialled || !host->greeted || host->deaf_ms != 0 || host->both_ways ||
        host->role != LINK_ROLE_NODE || !loop_link_joining(loop, item.from.member))
        return;
    host->both_ways = true;
    inbox_put(&loop->inbox, &item);
}

/* Another link of the member is told as up. links_mutex is held. */
static bool is_told_up(const struct node_loop *loop, uint16_t member)
{
    for (const struct host_link *link = loop->links; link; link = link->next)
        if (link->member == member && (link->both_ways || link->dialled))
            return true;
    return false;
}

/* Whether it is to be told to the log; *more: how many like it were not. */
static bool is_told(struct node_loop *loop, const char *address, const char *reason, uint32_t *more)
{
    bool told;

    pthread_mutex_lock(&loop->refused_mutex);
    told = repeats_tell(&loop->refused, address, reason, loop_now_ms(), more);
    pthread_mutex_unlock(&loop->refused_mutex);
    return told;
}

static void tell_refused(struct node_loop *loop, const struct link_peer *peer,
                         const struct refusal *refusal)
{
    bool of_kind = refusal->kind == REFUSAL_STRANGERS || refusal->kind == REFUSAL_CROWD;
    char text[REFUSAL_TEXT_SIZE];
    uint32_t more = 0;

    refusal_text(refusal, 0, text);
    /* NOTING is not for a person: the key comes again. */
    if (refusal->kind == REFUSAL_NOTING || !is_told(loop, peer->address, text, &more))
        return;
    loop_log("warn", of_kind ? "link_refused" : "ticket_refused",
             "address=%s ticket=%u role=%s reason=\"%s\" more=%u", peer->address, peer->ticket,
             ticket_role_name((uint8_t)peer->role), text, more);
}

static void tell_stranger(struct node_loop *loop, const struct link_peer *peer)
{
    static const char reason[] = "no member has its key: it may only ask to join";
    uint32_t more;

    if (is_told(loop, peer->address, reason, &more))
        loop_log("info", "node_unknown", "address=%s reason=\"%s\" more=%u", peer->address, reason,
                 more);
}

static bool on_up(void *context, struct link *link, const struct link_peer *peer)
{
    struct node_loop *loop = context;
    struct host_link *added = calloc(1, sizeof *added);
    struct inbox_item item = {.kind = INBOX_LINK_UP};
    struct link *other = NULL;
    struct refusal refusal;
    bool stranger;

    if (!added)
        return false;
    added->link = link;
    added->id = link_id(link);
    added->role = (uint8_t)peer->role;
    added->dialled = added->counters.dialled = peer->dialled;
    added->seed = link_user(link) == loop->seeds;
    memcpy(added->address, peer->address, sizeof added->address);
    added->cipher = peer->cipher;
    added->ticket = peer->ticket;
    added->generation = peer->generation;
    memcpy(added->public_key, peer->public_key, sizeof added->public_key);
    pthread_mutex_lock(&loop->links_mutex);
    refusal = loop_tickets_refuse(loop, peer);
    if (refusal.kind == REFUSAL_NONE)
        refusal = loop_crowd_refuse(loop, added);
    stranger = loop_crowd_note(loop, added) == CROWD_STRANGERS;
    if (refusal.kind == REFUSAL_NONE) {
        added->next = loop->links;
        loop->links = added;
        link_set_user(link, added);
        item.from = address_of(loop, added);
        if (added->dialled)
            send_hello(loop, added);
    }
    if (!added->dialled && item.from.role == LINK_ROLE_NODE && item.from.member != 0)
        other = loop->dialled[item.from.member];
    pthread_mutex_unlock(&loop->links_mutex);
    if (other) /* a peer that is back has found us: we need not wait to find it */
        link_hurry(other);
    if (refusal.kind != REFUSAL_NONE) {
        tell_refused(loop, peer, &refusal);
        link_refuse(link, &refusal);
        free(added);
        return false;
    }
    if (stranger)
        tell_stranger(loop, peer);
    if (peer->role != LINK_ROLE_NODE)
        put_to_shards(loop, &item);
    return true; /* on_pause comes when this thread is free */
}

static void on_down(void *context, struct link *link, const char *why)
{
    struct node_loop *loop = context;
    struct inbox_item item = {.kind = INBOX_LINK_DOWN};
    struct host_link *gone = NULL;
    struct link *next = NULL;
    uint64_t id = link_id(link);
    bool last = false;

    pthread_mutex_lock(&loop->links_mutex);
    for (struct host_link **at = &loop->links; *at; at = &(*at)->next) {
        if ((*at)->id != id)
            continue;
        gone = *at;
        *at = gone->next;
        item.from = address_of(loop, gone);
        link_set_user(link, gone->seed ? loop->seeds : NULL);
        next = loop_identity_next(loop, gone);
        node_counters_unlinked(&loop->counters, &gone->counters);
        last = gone->both_ways && !is_told_up(loop, item.from.member);
        break;
    }
    pthread_mutex_unlock(&loop->links_mutex);
    if (!gone)
        return;
    if (next)
        link_close(next);
    if (gone->role != LINK_ROLE_NODE) {
        put_to_shards(loop, &item);
    } else if (gone->dialled && item.from.member != 0) {
        loop_log("info", "peer_down", "member=%u reason=\"%s\"", item.from.member, why);
        put_to_shards(loop, &item);
        inbox_put(&loop->inbox, &item);
    } else if (gone->seed || last) {
        inbox_put(&loop->inbox, &item);
    }
    free(gone);
    loop_shards_kick(loop);
}

/* What came together has been put into inboxes: this thread may work on it. */
static void on_pause(void *context)
{
    loop_shards_kick(context);
}

/* Whoever has the answer sends requests, and while the shards recover nobody would take them: the
 * asker would wait for its own timeout. It gets the answer when they have started. */
static void answer_hello(struct node_loop *loop, struct host_link *host)
{
    host->hello_due = !host->counters.outdated && !atomic_load(&loop->shards_started);
    if (!host->hello_due)
        send_hello(loop, host);
}

/* Whoever dialled judges by the answer. links_mutex is held. */
static void on_answer(struct node_loop *loop, struct host_link *host,
                      const struct wire_hello *hello)
{
    struct inbox_item item = {.kind = INBOX_LINK_UP, .shards = hello->shards};
    char why[WIRE_HELLO_WHY_SIZE];
    enum node_counters_verdict verdict;

    if (hello->shards == 0 || hello->shards > DATADIR_SHARDS_MAX)
        return;
    if (wire_hello_version(hello) == 0) {
        wire_hello_why(hello, why);
        loop_log("warn", "peer_incompatible", "member=%u reason=\"%s\"",
                 loop_link_member(loop, host), why);
        return;
    }
    verdict = loop_counters_hello(loop, host, hello);
    if (verdict == NODE_COUNTERS_AGAIN)
        send_hello(loop, host);
    if (verdict != NODE_COUNTERS_IN)
        return;
    item.from = address_of(loop, host);
    if (host->seed)
        inbox_put(&loop->inbox, &item);
    if (item.from.member == 0)
        return;
    loop_log("info", "peer_up", "member=%u shards=%u cipher=%s", item.from.member, hello->shards,
             host->cipher);
    put_to_shards(loop, &item);
    inbox_put(&loop->inbox, &item);
}

/* links_mutex is held. */
static void on_hello(struct node_loop *loop, struct host_link *host,
                     const struct link_message *message)
{
    struct wire_cursor cursor;
    struct wire_hello hello;
    enum node_counters_verdict verdict;

    wire_cursor_init(&cursor, message->body, message->body_size);
    if (!wire_get_hello(&cursor, &hello))
        hello = (struct wire_hello){0}; /* it tells nothing */
    host->instance = hello.instance;
    if (host->dialled) {
        on_answer(loop, host, &hello);
        return;
    }
    verdict = loop_counters_hello(loop, host, &hello);
    if (loop_identity_taken(loop, host))
        return;
    answer_hello(loop, host); /* one that is outdated learns it from that */
    if (verdict == NODE_COUNTERS_OUT)
        return;
    host->greeted = true;
    use_both_ways(loop, host);
}

struct inbox *loop_route(struct node_loop *loop, uint16_t partition)
{
    if (partition == WIRE_PARTITION_NODE)
        return &loop->inbox;
    if (!atomic_load(&loop->shards_started))
        return NULL;
    if (partition == WIRE_PARTITION_META)
        return &loop->shards[0].inbox;
    return &loop->shards[partition % loop->shard_count].inbox;
}

/* Where a message came from. A link's callbacks come one at a time, so its host_link stays. */
static struct shard_address sender(struct node_loop *loop, struct host_link *host,
                                   enum crowd *crowd)
{
    struct shard_address from = {.role = host->role, .member = host->member, .link = host->id};

    *crowd = from.role == LINK_ROLE_NODE ? CROWD_MEMBERS : loop_crowd_of_role(host);
    if (from.role == LINK_ROLE_NODE && (from.member == 0 || atomic_load(&host->guest))) {
        pthread_mutex_lock(&loop->links_mutex);
        *crowd = loop_crowd_note(loop, host);
        from.member = host->member;
        pthread_mutex_unlock(&loop->links_mutex);
    }
    return from;
}

/* Guests speak to the control plane alone, and briefly; others that are no members briefly to that.
 */
static bool crowd_is_heard(struct node_loop *loop, struct host_link *host, enum crowd crowd,
                           const struct link_message *message)
{
    size_t size_max = crowd == CROWD_STRANGERS ? CROWD_STRANGER_SIZE_MAX : CROWD_GUEST_SIZE_MAX;

    if (crowd == CROWD_MEMBERS)
        return true;
    if (message->partition != WIRE_PARTITION_NODE)
        return !crowd_is_guest(crowd);
    return (!crowd_is_guest(crowd) || message->body_size <= size_max) &&
           crowd_may_wait(crowd, &host->waiting, atomic_load(&loop->inbox.round),
                          message->body_size);
}

/* It is looked at, and answered, under the lock that all links want. Routers and admins say it
 * once, nodes when a counter was overtaken. */
static bool hello_is_heard(struct node_loop *loop, struct host_link *host,
                           const struct link_message *message)
{
    if (host->dialled)
        return true;
    if (host->role != LINK_ROLE_NODE)
        return !host->greeted;
    return !atomic_load(&host->guest) ||
           crowd_may_wait(CROWD_JOINERS, &host->waiting, atomic_load(&loop->inbox.round),
                          message->body_size);
}

/* On a link's thread; without the lock of all links, which is what makes them wait for another. */
static void on_message(void *context, struct link *link, const struct link_message *message)
{
    struct node_loop *loop = context;
    struct inbox_item item = {.kind = INBOX_MESSAGE, .message = *message};
    struct inbox *inbox = loop_route(loop, message->partition);
    struct host_link *host = link_user(link);
    enum crowd crowd;
    bool heard;

    if (host && inbox && message->type != WIRE_HELLO) {
        item.from = sender(loop, host, &crowd);
        item.link = host->id;
        item.ticket = host->ticket;
        item.secret = !host->dialled && host->ticket == 0;
        heard = crowd_is_heard(loop, host, crowd, message);
        if (heard && host->deaf_ms == 0 && !host->counters.outdated) {
            inbox_put(inbox, &item);
            return;
        }
    } else if (host && message->type == WIRE_HELLO && hello_is_heard(loop, host, message)) {
        pthread_mutex_lock(&loop->links_mutex);
        on_hello(loop, host, message);
        pthread_mutex_unlock(&loop->links_mutex);
    }
    link_consumed(link, message->body_size, 1);
}

static void on_refused(void *context, const char *address, bool dialled, uint8_t refusal,
                       const char *why, bool repeated)
{
    struct node_loop *loop = context;
    uint32_t more = 0;
    bool told = dialled && !repeated;

    (void)refusal;
    if (!dialled)
        told = is_told(loop, address, why, &more);
    if (told)
        loop_log("warn", "connection_refused", "address=%s reason=\"%s\" more=%u", address, why,
                 more);
}

int loop_links_open(struct node_loop *loop)
{
    struct fabric_options options = {.identity = &loop->identity,
                                     .ticket = loop->options->ticket,
                                     .role = LINK_ROLE_NODE,
                                     .links_max = LOOP_LINKS_MAX,
                                     .queue_size_max = CROWD_QUEUE,
                                     .credit_size = 32u << 20,
                                     .context = loop,
                                     .on_up = on_up,
                                     .on_message = on_message,
                                     .on_pause = on_pause,
                                     .on_down = on_down,
                                     .on_refused = on_refused};
    int r = fabric_open(&loop->fabric, &options);

    if (r != 0)
        return r;
    /* Nobody comes in before the node knows its tickets. */
    fabric_set_tickets(loop->fabric, loop->options->ticket->psk, NULL, 0);
    return fabric_listen(loop->fabric, loop->options->listen);
}

void loop_links_close(struct node_loop *loop)
{
    if (loop->fabric)
        fabric_close(loop->fabric);
    loop->fabric = NULL;
    while (loop->links) {
        struct host_link *link = loop->links;

        loop->links = link->next;
        free(link);
    }
    if (loop->map_known)
        ringmap_deinit(&loop->map);
}

/* Where gossip says that it is, or where it was when it joined. */
static void dial_member(struct node_loop *loop, const struct ringmap_member *member)
{
    char *address = loop->addresses[member->id];
    struct link *link;
    int r;

    if (member->id == loop->member || loop->dialled[member->id])
        return;
    if (address[0] == '\0')
        memcpy(address, member->address, sizeof member->address);
    r = fabric_dial(loop->fabric, address, member->public_key, NULL, &link);
    if (r != 0) {
        loop_log("error", "dial_failed", "member=%u address=%s error=\"%s\"", member->id, address,
                 strerror(-r));
        return;
    }
    atomic_store(&loop->dialled[member->id], link);
}

static bool is_linked(struct node_loop *loop, uint16_t member)
{
    bool linked = false;

    pthread_mutex_lock(&loop->links_mutex);
    for (struct host_link *link = loop->links; link && !linked; link = link->next)
        linked = link->dialled && link->member == member;
    pthread_mutex_unlock(&loop->links_mutex);
    return linked;
}

void loop_links_move(struct node_loop *loop, const struct node_gossip_move *move)
{
    const struct ringmap_member *member;
    struct link *before = atomic_load(&loop->dialled[move->member]);
    char *address = loop->addresses[move->member];

    if (strcmp(address, move->address) == 0 || (before && is_linked(loop, move->member)))
        return;
    member = ringmap_member(&loop->map, move->member); /* only this thread changes the map */
    if (!member)
        return;
    memcpy(address, move->address, sizeof move->address);
    if (!before) /* it is not to be dialled yet */
        return;
    loop_log("info", "peer_moved", "member=%u address=%s", move->member, move->address);
    atomic_store(&loop->dialled[move->member], NULL);
    link_close(before);
    dial_member(loop, member);
}

/* What it says from now on is a stranger's. Ours to it is closed, which tells who cares.
 * links_mutex is held. */
static void forget_removed(struct node_loop *loop)
{
    for (struct host_link *link = loop->links; link; link = link->next) {
        const struct ringmap_member *member =
            link->dialled || link->member == 0 ? NULL : ringmap_member(&loop->map, link->member);

        if (member && member->state == RINGMAP_STATE_REMOVED)
            link->member = 0;
    }
}

static void hang_up(struct node_loop *loop, uint16_t member)
{
    struct link *link = atomic_exchange(&loop->dialled[member], NULL);

    if (link)
        link_close(link);
}

void loop_links_dial(struct node_loop *loop, const struct ringmap *map, uint16_t self)
{
    struct ringmap copy;

    if (ringmap_copy(&copy, map) != 0) {
        loop_log("error", "out_of_memory", "what=map");
        return;
    }
    pthread_mutex_lock(&loop->links_mutex);
    if (loop->map_known)
        ringmap_deinit(&loop->map);
    loop->map = copy;
    loop->map_known = true;
    loop->member = self;
    forget_removed(loop);
    for (struct host_link *link = loop->links; link; link = link->next) {
        (void)loop_crowd_note(loop, link);
        use_both_ways(loop, link);
    }
    pthread_mutex_unlock(&loop->links_mutex);
    for (uint32_t i = 0; i < map->member_count; i++) {
        if (map->members[i].state == RINGMAP_STATE_REMOVED)
            hang_up(loop, map->members[i].id);
        else if (map->members[i].state != RINGMAP_STATE_JOINING)
            dial_member(loop, &map->members[i]);
    }
}

bool loop_links_key(struct node_loop *loop, uint64_t id, uint8_t key[RINGMAP_KEY_SIZE])
{
    struct host_link *host;

    pthread_mutex_lock(&loop->links_mutex);
    host = loop_link_find(loop, id);
    if (host)
        memcpy(key, host->public_key, RINGMAP_KEY_SIZE);
    pthread_mutex_unlock(&loop->links_mutex);
    return host != NULL;
}

void loop_links_announce(struct node_loop *loop)
{
    pthread_mutex_lock(&loop->links_mutex);
    atomic_store(&loop->shards_started, true);
    for (struct host_link *link = loop->links; link; link = link->next) {
        struct inbox_item item = {.kind = INBOX_LINK_UP, .from = address_of(loop, link)};

        if (link->role != LINK_ROLE_NODE)
            put_to_shards(loop, &item);
        if (link->hello_due || node_counters_asks(&link->counters)) /* the answer brings LINK_UP */
            send_hello(loop, link);
        link->hello_due = false;
    }
    pthread_mutex_unlock(&loop->links_mutex);
    loop_shards_kick(loop);
}
