#include "replication/node_loop_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "replication/node_file.h"
#include "ring/stamp.h"
#include "storage/culprit.h"

#define TICK_MS      100u
#define TICKETS_MS   1000u /* links are held against the tickets so often */
#define DRAIN_MS_MAX 2500u

uint64_t loop_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t loop_wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t loop_random(void)
{
    uint64_t bits;

    randombytes_buf(&bits, sizeof bits);
    return bits;
}

void loop_log(const char *level, const char *event, const char *format, ...)
{
    char text[1024];
    char stamp[STAMP_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "ts=%s level=%s event=%s %s\n", stamp_ms(loop_wall_ms(), stamp), level, event,
            text);
}

/* A signal is taken by a thread of its own, which ends with it, and becomes an item of the control
 * inbox. */
static void *wait_for_signals(void *argument)
{
    struct node_loop *loop = argument;
    struct inbox_item item = {.kind = INBOX_STOP};
    sigset_t set;
    int number;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigwait(&set, &number);
    inbox_put(&loop->inbox, &item);
    return NULL;
}

/* Before the inbox goes. One that comes later, or a second one, stays pending: the process is about
 * to end. */
static void stop_waiting(pthread_t signals)
{
    (void)pthread_kill(signals, SIGTERM); /* nothing happens when it has ended */
    pthread_join(signals, NULL);
}

static void block_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGPIPE);
    sigaddset(&set, SIGXFSZ); /* the write that is beyond a limit says so */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int open_links(struct node_loop *loop)
{
    const char *colon = strrchr(loop->options->listen, ':');
    int r = loop_links_open(loop);

    if (r == -EADDRINUSE) {
        loop_log("error", "port_in_use", "address=%s next=\"choose another with --listen\"",
                 loop->options->listen);
        return NODE_LOOP_E_CONFLICT;
    }
    if (r == -EINVAL || !colon) {
        loop_log("error", "bad_address", "address=%s next=\"give --listen a numeric HOST:PORT\"",
                 loop->options->listen);
        return NODE_LOOP_E_USAGE;
    }
    if (r != 0) {
        loop_log("error", "listen_failed", "address=%s error=\"%s\"", loop->options->listen,
                 strerror(-r));
        return NODE_LOOP_E_FAILED;
    }
    snprintf(loop->address, sizeof loop->address, "%.*s:%u", (int)(colon - loop->options->listen),
             loop->options->listen, fabric_port(loop->fabric));
    return NODE_LOOP_E_OK;
}

/* A shard's folder is looked into where there is no GENESIS. */
static void say_unread(const struct node_loop *loop, int r)
{
    const char *file = node_file_culprit(loop->vfs, r);
    char folder[DATADIR_FOLDER_SIZE], path[FILENAME_PATH_SIZE];

    for (uint16_t number = 0; number < loop->shard_count && !file; number++) {
        datadir_shard_folder(folder, number);
        if (culprit_in_shard(loop->vfs, folder, r, path))
            file = path;
    }
    loop_data_refused("genesis_refused", file, r);
}

static void say_refused(const struct node_loop *loop, int r)
{
    if (r == NODE_OPEN_E_GENESIS_LOST)
        loop_log("error", "genesis_refused",
                 "error=\"GENESIS is missing though the data directory has been used\" "
                 "next=\"put GENESIS back; if it is lost, replace this node by one with an empty "
                 "data directory: ring-admin doctor says how\"");
    else if (r == -EBADMSG || r == -EPROTO)
        loop_log("error", "genesis_refused",
                 "error=\"%s\" next=\"GENESIS in the data directory is damaged, or it or MAP is of "
                 "another cluster or of a newer version\"",
                 strerror(-r));
    else
        say_unread(loop, r);
}

static int open_node(struct node_loop *loop)
{
    struct node_options options = {.weight = loop->options->weight,
                                   .shards = loop->shard_count,
                                   .ask_ms = 500,
                                   .join = loop->options->join_count > 0,
                                   .wrap = loop_keys_wrap,
                                   .wrap_context = loop};
    int r;

    memcpy(options.public_key, loop->identity.public_key, sizeof options.public_key);
    memcpy(options.cluster, loop->options->ticket->cluster, sizeof options.cluster);
    options.has_secret = loop->options->ticket->id == 0;
    memcpy(options.secret, loop->options->ticket->psk, sizeof options.secret);
    memcpy(options.zone, loop->options->zone, sizeof options.zone);
    memcpy(options.address, loop->address, sizeof options.address);
    r = loop_gossip_open(loop);
    if (r != 0) {
        loop_log("error", "out_of_memory", "what=gossip");
        return NODE_LOOP_E_FAILED;
    }
    r = node_open(&loop->node, loop->vfs, &options);
    if (r == 0) {
        if (node_map_damaged(loop->node))
            loop_log("error", "map_damaged",
                     "kept=%s next=\"nothing: the node starts as it was founded and gets the "
                     "newest ring map from the others\"",
                     NODE_MAP_BAD);
        if (node_tickets_damaged(loop->node))
            loop_log("error", "tickets_damaged",
                     "kept=%s next=\"nothing, if the ticket of --ticket still opens the cluster: "
                     "the node gets the tickets from the others\"",
                     NODE_TICKETS_BAD);
        loop_tickets_apply(loop);
        return NODE_LOOP_E_OK;
    }
    say_refused(loop, r);
    return r == -EPROTO || r > 0 ? NODE_LOOP_E_CONFLICT : NODE_LOOP_E_FAILED;
}

/* One line: what is newer, or needs more files, has been said already. */
static void say_failed(const struct node_loop *loop, int r)
{
    if (r == -EPROTO || r == -EMFILE)
        return;
    for (uint16_t number = 0; loop->shards && number < loop->shard_count; number++)
        if (loop->shards[number].opened == r) {
            char folder[DATADIR_FOLDER_SIZE], path[FILENAME_PATH_SIZE];

            datadir_shard_folder(folder, number);
            loop_data_refused("shard_failed",
                              culprit_in_shard(loop->vfs, folder, r, path) ? path : folder, r);
            return;
        }
    loop_data_refused("shard_failed", node_file_culprit(loop->vfs, r), r);
}

static int start_shards(struct node_loop *loop, const struct ringmap *map, bool found)
{
    int r = loop_shards_start(loop, found);

    if (r == 0) /* before they hear anybody: it says who is to be heard */
        r = loop_shards_map(loop, map);
    if (r == 0)
        loop_links_announce(loop);
    if (r == 0 && found)
        r = node_founded(loop->node);
    if (r == 0)
        loop_log("info", "serving", "member=%u epoch=%llu partitions=%u shards=%u encrypted=%s",
                 loop->member, (unsigned long long)map->epoch, map->partition_count,
                 loop->shard_count, loop->vault.current ? "yes" : "no");
    else
        say_failed(loop, r);
    return r;
}

/* Who has no data key yet is a member without shards: what they wrote would lie there unsealed. */
static int serve_map(struct node_loop *loop, const struct ringmap *map)
{
    int r = loop_keys_open(loop, map);

    if (r == LOOP_KEYS_E_NONE)
        return 0;
    return r == 0 ? start_shards(loop, map, node_founding_owed(loop->node)) : r;
}

static void note_leaving(struct node_loop *loop, const struct ringmap *map)
{
    const struct ringmap_member *self = ringmap_member(map, node_member(loop->node));

    if (self && self->state != RINGMAP_STATE_REMOVED)
        loop->leaving = self->state == RINGMAP_STATE_LEAVING;
}

/* The map is there, or another: dial who is in it, and serve once it is committed. */
static int follow_map(struct node_loop *loop)
{
    const struct ringmap *map = node_map(loop->node);
    const struct ringmap *prepared = node_map_prepared(loop->node);
    bool in_touch = node_gossip_in_touch(loop->gossip);
    int r;

    if (!map && !prepared)
        return 0;
    loop_links_dial(loop, map ? map : prepared, node_member(loop->node));
    if (!map)
        return 0;
    loop_join_close(loop);
    note_leaving(loop, map);
    r = loop_gossip_map(loop, map);
    if (r != 0)
        return r;
    if (node_removed(loop->node))
        loop_leave_begin(loop, in_touch || loop->leaving);
    else if (!atomic_load(&loop->shards_started))
        return serve_map(loop, map);
    if (!atomic_load(&loop->shards_started))
        return 0;
    loop_log("info", "map", "epoch=%llu", (unsigned long long)map->epoch);
    loop_keys_take(loop, map);
    return loop_shards_map(loop, map);
}

int loop_step_node(struct node_loop *loop, const struct node_event *event)
{
    struct node_effects effects;
    int r;

    node_step(loop->node, event, &effects);
    loop_send(loop, effects.sends, effects.send_count);
    if (effects.send_count > 0) /* some may be for our own shard */
        loop_shards_kick(loop);
    if (effects.fatal) {
        loop_data_refused("control_failed", node_file_culprit(loop->vfs, effects.fatal),
                          effects.fatal);
        return effects.fatal;
    }
    if (effects.tickets_changed)
        loop_tickets_apply(loop);
    r = loop_join_tell(loop, &effects);
    return r == 0 && effects.map_changed ? follow_map(loop) : r;
}

static int tick(struct node_loop *loop)
{
    struct node_event event = {
        .kind = NODE_EVENT_TICK, .now_ms = loop_now_ms(), .wall_ms = loop_wall_ms()};
    int r = loop_step_node(loop, &event);

    if (event.now_ms >= loop->tickets_due_ms) {
        loop->tickets_due_ms = event.now_ms + TICKETS_MS;
        loop_tickets_apply(loop);
    }
    loop_identity_tell(loop);
    if (r == 0)
        r = loop_counters_check(loop);
    return r != 0 ? r : loop_gossip_tick(loop);
}

static uint64_t memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

/* Why the control plane's work ends; < 0: it failed. */
enum ending { ENDING_NONE, ENDING_SIGNAL, ENDING_LEFT, ENDING_REMOVED };

/* Returns an enum ending, or < 0. */
static int handle(struct node_loop *loop, const struct inbox_item *item)
{
    struct node_event event = {.now_ms = loop_now_ms(),
                               .disk_full = loop_shards_full(loop),
                               .cache = loop_shards_cache(loop),
                               .key_id = loop->vault.current,
                               .scrub = loop_shards_scrub(loop),
                               .wall_ms = loop_wall_ms(),
                               .memory_bytes = memory_bytes(),
                               .disk_reserve = SHARD_SPACE_RESERVE,
                               .disk_lacks = loop_shards_lack(loop),
                               .shards_lost = loop_shards_lost(loop),
                               .from = item->from,
                               .ticket = item->ticket,
                               .secret = item->secret,
                               .message = &item->message};
    char twin[RINGMAP_ADDRESS_SIZE];
    uint8_t key[RINGMAP_KEY_SIZE];
    int r = 0;

    if (item->kind == INBOX_MESSAGE && item->message.type == WIRE_NODE_STATUS)
        event.twin = loop_identity_twin(loop, twin);
    event.twin_address = event.twin != 0 ? twin : NULL;
    switch (item->kind) {
    case INBOX_STOP:
        return ENDING_SIGNAL;
    case INBOX_LINK_UP:
        event.kind = NODE_EVENT_LINK_UP;
        return loop_step_node(loop, &event);
    case INBOX_LINK_DOWN:
        event.kind = NODE_EVENT_LINK_DOWN;
        return loop_step_node(loop, &event);
    case INBOX_REDEEM:
        return loop_tickets_redeem(loop, item);
    default:
        event.kind = NODE_EVENT_MESSAGE;
        if (item->from.role == LINK_ROLE_NODE &&
            (item->from.member == 0 || item->message.type == WIRE_JOIN) &&
            loop_links_key(loop, item->from.link, key))
            event.public_key = key;
        if (item->message.type == WIRE_PEERS_GET)
            loop_tickets_peers(loop, item);
        else
            r = loop_gossip_takes(item->message.type) ? loop_gossip_message(loop, item)
                                                      : loop_step_node(loop, &event);
        loop_consumed(loop, item->link, item->message.body_size, 1);
        return r;
    }
}

static int control(struct node_loop *loop)
{
    for (;;) {
        struct inbox_item *item = NULL;
        uint64_t until_ms = loop_now_ms() + TICK_MS;
        uint64_t gossip_ms = loop_gossip_due_ms(loop);
        size_t size;
        int r;

        inbox_take(&loop->inbox, gossip_ms < until_ms ? gossip_ms : until_ms, &size);
        while ((item = inbox_next(&loop->inbox, size, item))) {
            r = handle(loop, item);
            if (r != 0)
                return r;
        }
        r = tick(loop);
        if (r != 0)
            return r;
        if (loop_leave_due(loop))
            return loop->left ? ENDING_LEFT : ENDING_REMOVED;
    }
}

/* Leaderships first, then everything else: clients see a gap of a few milliseconds. */
static void drain(struct node_loop *loop)
{
    struct inbox_item item = {.kind = INBOX_DRAIN};
    uint64_t until_ms = loop_now_ms() + DRAIN_MS_MAX;
    struct timespec pause = {.tv_nsec = 2000000};

    if (!atomic_load(&loop->shards_started))
        return;
    for (uint16_t number = 0; number < loop->shard_count; number++)
        inbox_put(&loop->shards[number].inbox, &item);
    loop_shards_kick(loop);
    while (atomic_load(&loop->drained) < loop->shard_count && loop_now_ms() < until_ms)
        nanosleep(&pause, NULL);
}

static void close_all(struct node_loop *loop)
{
    loop_counters_stop(loop);
    loop_shards_stop(loop);
    loop_links_close(loop);
    for (uint16_t number = 0; loop->shards && number < loop->shard_count; number++) {
        shard_close(loop->shards[number].shard);
        free(loop->shards[number].effects);
        if (loop->shards[number].running)
            inbox_deinit(&loop->shards[number].inbox);
    }
    loop_owners_close(loop);
    free(loop->shards);
    node_gossip_close(loop->gossip);
    node_close(loop->node);
    datadir_close(loop->datadir);
    if (loop->vfs)
        vfs_posix_close(loop->vfs);
    identity_wipe(&loop->identity);
    vault_wipe(&loop->vault);
    tickets_wipe(&loop->tickets);
    inbox_deinit(&loop->inbox);
    pthread_mutex_destroy(&loop->refused_mutex);
    pthread_mutex_destroy(&loop->budget_mutex);
    pthread_mutex_destroy(&loop->links_mutex);
}

static const char *what_next(const struct node_loop *loop)
{
    if (node_map(loop->node))
        return "";
    return loop->options->join_count > 0
               ? " next=\"it waits for a member to take it in\""
               : " next=\"ring-admin init founds the cluster; --join joins one\"";
}

static int ended(int r)
{
    if (r == ENDING_REMOVED || r == -EPERM || r == -EPROTO)
        return NODE_LOOP_E_CONFLICT;
    return r > 0 ? NODE_LOOP_E_OK : NODE_LOOP_E_FAILED;
}

static int serve(struct node_loop *loop)
{
    char fingerprint[IDENTITY_FINGERPRINT_SIZE];
    pthread_t signals;
    int r;

    if (node_removed(loop->node)) {
        loop_leave_refuse(loop);
        return NODE_LOOP_E_CONFLICT;
    }
    r = follow_map(loop);
    if (r != 0)
        return ended(r);
    if (loop_counters_start(loop) != 0 ||
        pthread_create(&signals, NULL, wait_for_signals, loop) != 0)
        return NODE_LOOP_E_FAILED;
    identity_fingerprint(loop->identity.public_key, fingerprint);
    loop_log("info", "listening", "address=%s key=%s%s", loop->address, fingerprint,
             what_next(loop));
    if (loop->options->on_ready)
        loop->options->on_ready(loop->options->context, loop->address, fingerprint);
    loop_join_open(loop);
    r = control(loop);
    if (r > 0) {
        loop_log("info", r == ENDING_SIGNAL ? "stopping" : "left", "%s",
                 r == ENDING_SIGNAL ? "reason=signal" : "reason=removed");
        loop_gossip_leave(loop);
        drain(loop);
    }
    stop_waiting(signals);
    return ended(r);
}

int node_loop_run(const struct node_loop_options *options)
{
    struct node_loop *loop = calloc(1, sizeof *loop);
    int r;

    if (!loop || sodium_init() < 0) {
        free(loop);
        return NODE_LOOP_E_FAILED;
    }
    loop->options = options;
    loop->instance = loop_random() | 1;
    pthread_mutex_init(&loop->links_mutex, NULL);
    pthread_mutex_init(&loop->budget_mutex, NULL);
    pthread_mutex_init(&loop->refused_mutex, NULL);
    block_signals();
    loop_files_raise(loop);
    inbox_init(&loop->inbox);
    r = loop_data_open(loop);
    if (r == NODE_LOOP_E_OK)
        r = loop_counters_open(loop);
    if (r == NODE_LOOP_E_OK)
        r = open_links(loop);
    if (r == NODE_LOOP_E_OK)
        r = open_node(loop);
    if (r == NODE_LOOP_E_OK)
        r = serve(loop);
    close_all(loop);
    free(loop);
    return r;
}
