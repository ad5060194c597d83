#include "replication/node_loop_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BORROWED_ROUNDS_MAX 32u /* then the shard's own thread goes on */

static void fatal(int error)
{
    loop_log("error", "disk_failed",
             "error=\"%s\" next=\"what was acknowledged is safe on the other replicas; "
             "check the disk, then start the node again\"",
             strerror(-error));
    _exit(1);
}

static void carry_out(struct loop_shard *shard, const struct shard_effects *effects)
{
    if (effects->fatal)
        fatal(effects->fatal);
    /* First what others wait for: the followers' disks work while ours does. */
    loop_send(shard->loop, effects->sends, effects->send_count);
    for (size_t i = 0; i < effects->job_count; i++) {
        struct store_job *job = effects->jobs[i];
        enum store_job_class class = store_job_class(job);

        jobs_put(class == STORE_JOB_WRITE        ? &shard->write
                 : class == STORE_JOB_BACKGROUND ? &shard->background
                                                 : &shard->read,
                 job);
    }
}

/* What the shard is done with: credit goes back once for a run of one link's messages. */
struct used {
    uint64_t link;
    size_t bytes;
    uint32_t messages;
};

static void give_back(struct loop_shard *shard, struct used *used)
{
    if (used->messages > 0)
        loop_consumed(shard->loop, used->link, used->bytes, used->messages);
    *used = (struct used){0};
}

/* Encoded by the control plane, which is this process. */
static void hand_in_map(struct loop_shard *shard, const struct inbox_item *item,
                        struct shard_event event)
{
    struct ringmap map;
    int r = ringmap_decode(item->message.body, item->message.body_size, &map);

    if (r < 0) {
        loop_log("error", "out_of_memory", "what=map");
        _exit(1);
    }
    assert(r == 0);
    event.map = &map;
    shard_step(shard->shard, &event);
    ringmap_deinit(&map);
}

static void hand_in(struct loop_shard *shard, const struct inbox_item *item, uint64_t now_ms,
                    struct used *used)
{
    static const uint8_t kinds[] = {
        [INBOX_MESSAGE] = SHARD_EVENT_MESSAGE,     [INBOX_LINK_UP] = SHARD_EVENT_LINK_UP,
        [INBOX_LINK_DOWN] = SHARD_EVENT_LINK_DOWN, [INBOX_JOB] = SHARD_EVENT_JOB,
        [INBOX_DRAIN] = SHARD_EVENT_DRAIN,         [INBOX_MAP] = SHARD_EVENT_MAP};
    struct shard_event event = {.now_ms = now_ms,
                                .wall_ms = loop_wall_ms(),
                                .from = item->from,
                                .shards = item->shards,
                                .message = &item->message,
                                .job = item->job,
                                .job_result = item->result,
                                .job_us = item->job_us};

    assert(item->kind != INBOX_STOP);
    event.kind = kinds[item->kind];
    if (item->kind == INBOX_MAP) {
        hand_in_map(shard, item, event);
        return;
    }
    shard_step(shard->shard, &event);
    if (item->kind != INBOX_MESSAGE)
        return;
    if (used->link != item->link)
        give_back(shard, used);
    used->link = item->link;
    used->bytes += item->message.body_size;
    used->messages++;
}

static void publish(struct loop_shard *shard)
{
    struct store *store = shard_store(shard->shard);
    struct cache_stats cache;

    store_cache_stats(store, &cache);
    atomic_store_explicit(&shard->disk_full, store_disk_full(store), memory_order_relaxed);
    atomic_store_explicit(&shard->cache_hits, cache.hits, memory_order_relaxed);
    atomic_store_explicit(&shard->cache_misses, cache.misses, memory_order_relaxed);
    atomic_store_explicit(&shard->cache_evictions, cache.evictions, memory_order_relaxed);
    atomic_store_explicit(&shard->cache_bytes, cache.bytes, memory_order_relaxed);
}

/* For whoever wonders why a node that was away is busy. */
static void tell_snapshots(struct loop_shard *shard, const struct shard_stats *stats)
{
    if (stats->snapshots_kept > shard->snapshots_kept)
        loop_log("info", "snapshots_kept", "shard=%u partitions=%llu", shard->number,
                 (unsigned long long)(stats->snapshots_kept - shard->snapshots_kept));
    if (stats->snapshots_installed > shard->snapshots) {
        loop_log("info", "snapshots_installed", "shard=%u partitions=%llu bytes=%llu",
                 shard->number, (unsigned long long)(stats->snapshots_installed - shard->snapshots),
                 (unsigned long long)(stats->snapshot_bytes_taken - shard->snapshot_bytes));
        shard->snapshot_bytes = stats->snapshot_bytes_taken;
    }
    shard->snapshots_kept = stats->snapshots_kept;
    shard->snapshots = stats->snapshots_installed;
}

static void tell_differences(struct loop_shard *shard, const struct shard_stats *stats)
{
    if (stats->differences > shard->outvoted_told)
        loop_log("error", "replicas_outvoted",
                 "shard=%u replicas=%llu next=\"they held something else than most and are made "
                 "good; please report it with the logs of all nodes\"",
                 shard->number, (unsigned long long)(stats->differences - shard->outvoted_told));
    if (stats->undecided > shard->undecided_told)
        loop_log("error", "replicas_differ",
                 "shard=%u ranges=%llu next=\"no majority says which is right, and nothing was "
                 "changed: bring all nodes back, so that one can\"",
                 shard->number, (unsigned long long)(stats->undecided - shard->undecided_told));
    shard->outvoted_told = stats->differences;
    shard->undecided_told = stats->undecided;
}

static void tell_damage(struct loop_shard *shard, const struct shard_stats *stats,
                        const struct store_scrub_stats *scrub)
{
    if (scrub->faults > shard->faults)
        loop_log(
            "error", "scrub_faults",
            "shard=%u places=%llu next=\"what is damaged is made good from the other replicas; "
            "see to the disk\"",
            shard->number, (unsigned long long)(scrub->faults - shard->faults));
    if (scrub->unread > shard->unread)
        loop_log("error", "scrub_unread",
                 "shard=%u files=%llu next=\"the disk does not give them: replace it\"",
                 shard->number, (unsigned long long)(scrub->unread - shard->unread));
    if (stats->fenced > shard->fenced && !shard->lost)
        loop_log("error", "partitions_fenced",
                 "shard=%u partitions=%u next=\"the other replicas "
                 "serve, and give their content\"",
                 shard->number, stats->fenced);
    if (stats->repaired > shard->repairs)
        loop_log("info", "partitions_repaired", "shard=%u partitions=%llu", shard->number,
                 (unsigned long long)(stats->repaired - shard->repairs));
    shard->faults = scrub->faults;
    shard->unread = scrub->unread;
    shard->fenced = stats->fenced;
    shard->repairs = stats->repaired;
}

static void tell_slow(struct loop_shard *shard, const struct shard_stats *stats)
{
    if (stats->slow != shard->slow)
        loop_log(stats->slow ? "warn" : "info", stats->slow ? "disk_slow" : "disk_sound",
                 "shard=%u next=\"%s\"", shard->number,
                 stats->slow ? "its journal takes far longer than the other members': it leads "
                               "nothing until it does not; see to the disk"
                             : "it leads again");
    shard->slow = stats->slow;
}

static void tell_full(struct loop_shard *shard, const struct shard_stats *stats)
{
    bool full = stats->lacked > 0 || store_disk_full(shard_store(shard->shard));

    if (full != shard->full)
        loop_log(full ? "error" : "info", full ? "disk_full" : "disk_has_room",
                 "shard=%u lacked=%llu next=\"%s\"", shard->number,
                 (unsigned long long)stats->lacked,
                 full ? "make room; it goes on by itself then; what moves here can be stopped with "
                        "ring-admin abort"
                      : "it goes on");
    shard->full = full;
}

/* With each tick: what is not asked for often, and what is new for the log. */
static void tell(struct loop_shard *shard)
{
    struct store_scrub_stats scrub;
    struct shard_stats stats;

    shard_stats(shard->shard, &stats);
    store_scrub_stats(shard_store(shard->shard), &scrub);
    tell_snapshots(shard, &stats);
    tell_damage(shard, &stats, &scrub);
    tell_differences(shard, &stats);
    tell_slow(shard, &stats);
    tell_full(shard, &stats);
    atomic_store_explicit(&shard->lacked, stats.lacked, memory_order_relaxed);
    atomic_store_explicit(&shard->operations, stats.operations, memory_order_relaxed);
    atomic_store_explicit(&shard->operation_bytes, stats.operation_bytes, memory_order_relaxed);
    atomic_store_explicit(&shard->leaders_digest, stats.leaders_digest, memory_order_relaxed);
    atomic_store_explicit(&shard->leaders, stats.leaders, memory_order_relaxed);
    atomic_store_explicit(&shard->hosted, stats.hosted, memory_order_relaxed);
    atomic_store_explicit(&shard->scrub_passes, scrub.passes, memory_order_relaxed);
    atomic_store_explicit(&shard->scrub_ended_ms, scrub.ended_ms, memory_order_relaxed);
    atomic_store_explicit(&shard->scrub_bytes, scrub.bytes, memory_order_relaxed);
    atomic_store_explicit(&shard->scrub_faults, scrub.faults, memory_order_relaxed);
    atomic_store_explicit(&shard->scrub_unread, scrub.unread, memory_order_relaxed);
    atomic_store_explicit(&shard->repaired, stats.repaired, memory_order_relaxed);
    atomic_store_explicit(&shard->compared, stats.compared, memory_order_relaxed);
    atomic_store_explicit(&shard->outvoted, stats.differences, memory_order_relaxed);
    atomic_store_explicit(&shard->undecided, stats.undecided, memory_order_relaxed);
}

/* What it wants of the node's budget, as far as there is some: true when it was given any. */
static bool give_budget(struct loop_shard *shard, uint64_t now_ms)
{
    struct node_loop *loop = shard->loop;
    struct shard_event event = {.kind = SHARD_EVENT_BUDGET, .now_ms = now_ms};
    struct budget_event ask = {.now_ms = now_ms,
                               .rate = shard->effects->budget_rate,
                               .wanted = shard->effects->budget_wanted,
                               .left = shard->effects->budget_left,
                               .part = shard->number};

    if (ask.wanted == 0 && ask.left == 0)
        return false;
    pthread_mutex_lock(&loop->budget_mutex);
    event.bytes = budget_take(&loop->budget, &ask);
    pthread_mutex_unlock(&loop->budget_mutex);
    event.wall_ms = loop_wall_ms();
    if (event.bytes > 0)
        shard_step(shard->shard, &event);
    return event.bytes > 0;
}

/* A round: all that has arrived is stepped, then everything leaves together. */
static void work_round(struct loop_shard *shard, size_t size)
{
    struct inbox_item *item = NULL;
    struct used used = {0};
    uint64_t now_ms = loop_now_ms();
    bool more;

    while ((item = inbox_next(&shard->inbox, size, item)))
        hand_in(shard, item, now_ms, &used);
    give_back(shard, &used);
    if (now_ms >= shard->due_ms) {
        struct shard_event tick = {.kind = SHARD_EVENT_TICK,
                                   .now_ms = now_ms,
                                   .wall_ms = loop_wall_ms(),
                                   .random = loop_random()};
        shard_step(shard->shard, &tick);
        tell(shard);
    }
    do {
        more = shard_flush(shard->shard, now_ms, shard->effects);
        carry_out(shard, shard->effects);
        more = more || give_budget(shard, now_ms);
    } while (more);
    shard->due_ms = shard->effects->deadline_ms;
    publish(shard);
    if (shard->effects->drained && !shard->drained) {
        shard->drained = true;
        atomic_fetch_add(&shard->loop->drained, 1);
    }
}

void loop_shard_kick(struct loop_shard *shard)
{
    size_t size;

    if (!inbox_claim(&shard->inbox))
        return;
    for (unsigned n = 0; n < BORROWED_ROUNDS_MAX; n++) {
        if (!inbox_take_claimed(&shard->inbox, shard->due_ms, &size))
            return;
        work_round(shard, size);
    }
    inbox_hand_over(&shard->inbox, shard->due_ms);
}

void loop_shards_kick(struct node_loop *loop)
{
    if (!atomic_load(&loop->shards_started))
        return;
    for (uint16_t number = 0; number < loop->shard_count; number++)
        loop_shard_kick(&loop->shards[number]);
}

/* The shard's own thread. */
static void *run(void *argument)
{
    struct loop_shard *shard = argument;
    size_t size = 0;

    while (inbox_wait_claim(&shard->inbox))
        do {
            /* First without taking: it may be the time that asks. */
            work_round(shard, size);
        } while (inbox_take_claimed(&shard->inbox, shard->due_ms, &size));
    return NULL;
}

/* Recovers; on a thread of its own, beside the other shards. */
static void *open_shard(void *argument)
{
    struct loop_shard *shard = argument;
    struct node_loop *loop = shard->loop;
    struct shard_options options;
    char folder[DATADIR_FOLDER_SIZE];
    int misfit = owners_check(&loop->owners, shard->number);
    int r;

    shard_options_default(&options);
    datadir_shard_folder(folder, shard->number);
    options.number = shard->number;
    options.shards = loop->shard_count;
    options.self = loop->member;
    options.foreign = misfit > 0;
    options.log_size_max = loop->options->log_size_max;
    options.store.folder = folder;
    options.store.segment_size = loop->options->segment_size;
    if (options.store.batch_size_max > options.store.segment_size / 4)
        options.store.batch_size_max = options.store.segment_size / 4;
    options.store.cache_size = loop->options->cache_size;
    options.store.scrub_rate = loop->options->scrub_rate / loop->shard_count;
    options.store.compress_level = loop->options->compress_level;
    options.store.vault = &loop->vault;
    options.train_sealed = loop->options->dictionaries == NODE_LOOP_DICTIONARIES_ON;
    if (loop->options->dictionaries == NODE_LOOP_DICTIONARIES_OFF)
        options.train_samples = 0;
    r = misfit < 0 ? misfit : loop_files_share(loop, shard->number, &options.store.files_max);
    if (r == 0)
        r = shard_open(&shard->shard, loop->vfs, &options, node_genesis(loop->node),
                       node_genesis_hash(loop->node), shard->found, loop_now_ms(), loop_random());
    shard->lost = r == STORE_E_FENCED;
    loop_owners_tell(shard, r, misfit);
    if (r == 0)
        r = loop_owners_raise(shard);
    shard->opened = shard->lost ? 0 : r == STORE_E_NEWER ? -EPROTO : r;
    return NULL;
}

static int open_shards(struct node_loop *loop, bool found)
{
    uint16_t count = loop->shard_count, begun = 0;
    int r = 0;

    for (uint16_t number = 0; number < count; number++) {
        struct loop_shard *shard = &loop->shards[number];

        shard->loop = loop;
        shard->number = number;
        shard->found = found;
        shard->effects = malloc(sizeof *shard->effects);
        if (!shard->effects)
            return -ENOMEM;
    }
    while (begun < count && r == 0) {
        r = -pthread_create(&loop->shards[begun].thread, NULL, open_shard, &loop->shards[begun]);
        begun = r == 0 ? (uint16_t)(begun + 1) : begun;
    }
    for (uint16_t number = 0; number < begun; number++) {
        struct loop_shard *shard = &loop->shards[number];

        pthread_join(shard->thread, NULL);
        if (r == 0)
            r = shard->opened;
    }
    return r;
}

static int start_shard(struct loop_shard *shard)
{
    int r = inbox_init(&shard->inbox);

    if (r != 0)
        return r;
    r = jobs_start(&shard->write, 1, shard);
    if (r == 0)
        r = jobs_start(&shard->background, 1 + STORE_INSTALL_JOBS_MAX, shard);
    if (r == 0)
        r = jobs_start(&shard->read, 2, shard);
    if (r == 0)
        r = -pthread_create(&shard->thread, NULL, run, shard);
    if (r != 0) { /* no threads to be had: those that are there hold on to the shard */
        loop_log("error", "shard_failed", "error=\"%s\"", strerror(-r));
        _exit(1);
    }
    shard->running = true;
    return 0;
}

int loop_shards_start(struct node_loop *loop, bool found)
{
    int r;

    loop->shards = calloc(loop->shard_count, sizeof *loop->shards);
    if (!loop->shards)
        return -ENOMEM;
    budget_init(&loop->budget, loop->shard_count, loop_now_ms());
    r = loop_owners_open(loop);
    if (r == 0)
        r = open_shards(loop, found);
    if (r == 0) /* before they promise anything */
        r = loop_owners_write(loop);
    for (uint16_t number = 0; number < loop->shard_count && r == 0; number++)
        r = start_shard(&loop->shards[number]);
    return r;
}

int loop_shards_map(struct node_loop *loop, const struct ringmap *map)
{
    struct inbox_item item = {.kind = INBOX_MAP};
    uint8_t *bytes = malloc(ringmap_encoded_size(map));

    if (!bytes)
        return -ENOMEM;
    ringmap_encode(map, bytes);
    item.message.body = bytes;
    item.message.body_size = ringmap_encoded_size(map);
    for (uint16_t number = 0; number < loop->shard_count; number++)
        inbox_put(&loop->shards[number].inbox, &item);
    free(bytes);
    loop_shards_kick(loop);
    return 0;
}

/* Jobs on the way are waited for and given back: the store closes with none. */
static void finish_jobs(struct loop_shard *shard)
{
    struct inbox_item *item = NULL;
    struct used used = {0};
    size_t size;

    jobs_stop(&shard->write);
    jobs_stop(&shard->background);
    jobs_stop(&shard->read);
    inbox_take(&shard->inbox, 0, &size);
    while ((item = inbox_next(&shard->inbox, size, item)))
        if (item->kind == INBOX_JOB)
            hand_in(shard, item, loop_now_ms(), &used);
}

bool loop_shards_full(const struct node_loop *loop)
{
    if (!atomic_load(&loop->shards_started))
        return false;
    for (uint16_t number = 0; number < loop->shard_count; number++)
        if (atomic_load_explicit(&loop->shards[number].disk_full, memory_order_relaxed))
            return true;
    return false;
}

uint64_t loop_shards_lack(const struct node_loop *loop)
{
    uint64_t lacked = 0;

    if (!atomic_load(&loop->shards_started))
        return 0;
    for (uint16_t number = 0; number < loop->shard_count; number++)
        lacked += atomic_load_explicit(&loop->shards[number].lacked, memory_order_relaxed);
    return lacked;
}

uint16_t loop_shards_lost(const struct node_loop *loop)
{
    uint16_t lost = 0;

    if (!atomic_load(&loop->shards_started))
        return 0;
    for (uint16_t number = 0; number < loop->shard_count; number++)
        lost += loop->shards[number].lost;
    return lost;
}

struct cache_stats loop_shards_cache(const struct node_loop *loop)
{
    struct cache_stats sum = {0};

    if (!atomic_load(&loop->shards_started))
        return sum;
    for (uint16_t number = 0; number < loop->shard_count; number++) {
        const struct loop_shard *shard = &loop->shards[number];

        sum.hits += atomic_load_explicit(&shard->cache_hits, memory_order_relaxed);
        sum.misses += atomic_load_explicit(&shard->cache_misses, memory_order_relaxed);
        sum.evictions += atomic_load_explicit(&shard->cache_evictions, memory_order_relaxed);
        sum.bytes += atomic_load_explicit(&shard->cache_bytes, memory_order_relaxed);
    }
    return sum;
}

uint32_t loop_shards_hosted(const struct node_loop *loop)
{
    uint32_t hosted = 0;

    for (uint16_t number = 0; loop->shards && number < loop->shard_count; number++)
        hosted += atomic_load_explicit(&loop->shards[number].hosted, memory_order_relaxed);
    return hosted;
}

void loop_shards_load(const struct node_loop *loop, struct node_gossip_event *load)
{
    uint32_t led = 0;

    load->operations = load->bytes = load->leaders_digest = 0;
    if (atomic_load(&loop->shards_started)) {
        for (uint16_t number = 0; number < loop->shard_count; number++) {
            const struct loop_shard *shard = &loop->shards[number];

            load->operations += atomic_load_explicit(&shard->operations, memory_order_relaxed);
            load->bytes += atomic_load_explicit(&shard->operation_bytes, memory_order_relaxed);
            load->leaders_digest +=
                atomic_load_explicit(&shard->leaders_digest, memory_order_relaxed);
            led += atomic_load_explicit(&shard->leaders, memory_order_relaxed);
        }
    }
    load->leaders = (uint16_t)led; /* at most one a partition, and the meta group */
}

struct wire_scrub loop_shards_scrub(const struct node_loop *loop)
{
    struct wire_scrub sum = {.passes = UINT64_MAX};
    uint64_t ended_ms = UINT64_MAX;

    if (!atomic_load(&loop->shards_started))
        return (struct wire_scrub){0};
    for (uint16_t number = 0; number < loop->shard_count; number++) {
        const struct loop_shard *shard = &loop->shards[number];
        uint64_t passes = atomic_load_explicit(&shard->scrub_passes, memory_order_relaxed);
        uint64_t ended = atomic_load_explicit(&shard->scrub_ended_ms, memory_order_relaxed);

        sum.passes = passes < sum.passes ? passes : sum.passes;
        ended_ms = ended < ended_ms ? ended : ended_ms;
        sum.bytes += atomic_load_explicit(&shard->scrub_bytes, memory_order_relaxed);
        sum.faults += atomic_load_explicit(&shard->scrub_faults, memory_order_relaxed);
        sum.unread += atomic_load_explicit(&shard->scrub_unread, memory_order_relaxed);
        sum.repaired += atomic_load_explicit(&shard->repaired, memory_order_relaxed);
        sum.compared += atomic_load_explicit(&shard->compared, memory_order_relaxed);
        sum.outvoted += atomic_load_explicit(&shard->outvoted, memory_order_relaxed);
        sum.undecided += atomic_load_explicit(&shard->undecided, memory_order_relaxed);
    }
    if (sum.passes > 0)
        sum.age_ms = loop_now_ms() - ended_ms;
    return sum;
}

void loop_shards_stop(struct node_loop *loop)
{
    for (uint16_t number = 0; loop->shards && number < loop->shard_count; number++) {
        struct loop_shard *shard = &loop->shards[number];

        if (!shard->running) /* it or one before it did not open */
            continue;
        inbox_close(&shard->inbox);
        pthread_join(shard->thread, NULL);
        finish_jobs(shard);
    }
}
