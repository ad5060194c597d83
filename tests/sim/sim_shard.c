#include "tests/sim/sim_cluster.h"

#include "ring/wire.h"
#include "storage/datadir.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct sim *sim_of(const struct sim_node *node)
{
    return node->cluster->sim;
}

static struct sim_random *host_random(const struct sim_node *node)
{
    return sim_stream(sim_of(node), SIM_STREAM_HOST);
}

static uint64_t node_ms(const struct sim_node *node)
{
    return sim_clock_ms(&node->clock, sim_of(node)->now_us);
}

static uint64_t core_bits(const struct sim_node *node)
{
    return sim_random_next(sim_stream(sim_of(node), SIM_STREAM_CORE));
}

static void run_shard_round(void *context, uint64_t life);

void sim_shard_wake(struct sim_shard *shard)
{
    sim_node_wake(shard->node, &shard->inbox, run_shard_round, shard);
}

static void shard_options_fill(struct sim_node *node, uint16_t number,
                               struct shard_options *options, char folder[DATADIR_FOLDER_SIZE])
{
    const struct sim_swarm *swarm = &sim_of(node)->swarm;
    shard_options_default(options);
    datadir_shard_folder(folder, number);
    options->number = number;
    options->shards = (uint16_t)swarm->shards;
    options->self = node_member(node->node);
    options->operations_max = swarm->operations_max;
    options->operations_size_max = swarm->operations_size_max;
    options->sessions_max = swarm->sessions_max;
    options->session_window_max = swarm->session_window_max;
    options->append_entries_max = swarm->append_entries_max;
    options->append_size_max = swarm->append_size_max;
    options->inflight_size_max = swarm->inflight_size_max;
    options->inflight_messages_max = swarm->inflight_messages_max;
    options->retain_entries_min = swarm->retain_entries_min;
    options->train_samples = swarm->train_samples;
    options->train_again_ms = swarm->train_again_ms;
    options->train_sealed = swarm->train_sealed;
    options->log_size_max = swarm->log_size_max;
    options->log_ms_max = swarm->log_ms_max;
    options->snapshot_rate = swarm->snapshot_rate;
    if (swarm->install_size > 0)
        options->snapshot_piece_size = swarm->install_size;
    options->store = (struct store_options){
        .folder = folder,
        .partitions = SIM_PARTITIONS,
        .segment_size = swarm->segment_size,
        .batch_size_max = swarm->batch_size_max,
        .queue_size_max = swarm->queue_size_max,
        .memory_size_max = swarm->memory_size_max,
        .zero_ahead_size = swarm->zero_ahead_size,
        .cache_size = swarm->cache_size,
        .compress_level = (int)swarm->compress_level,
        .journal_size_max = swarm->journal_size_max,
        .space_reserve = swarm->segment_size,
        .flush_size_max = 2 * swarm->segment_size,
        .install_size = swarm->install_size,
        .slack_size = UINT64_C(12) * swarm->segment_size,
        .scrub_rate = swarm->scrub_rate,
        .scrub_every_ms = swarm->scrub_every_ms,
        .vault = swarm->encrypt ? &node->vault : NULL,
    };
}

/* Tells the open shards the ring map, and about every link that is up. */
static void shard_push_all(struct sim_shard *shard)
{
    const struct sim_node *node = shard->node;
    (void)sim_inbox_push(&shard->inbox, SHARD_EVENT_MAP);
    for (uint8_t peer = 1; peer <= node->cluster->node_count; peer++)
        if (node->dialled[peer].as) {
            struct sim_inbox_item *item = sim_inbox_push(&shard->inbox, SHARD_EVENT_LINK_UP);
            item->from = (struct shard_address){LINK_ROLE_NODE, node->dialled[peer].as, 0};
            item->shards = (uint16_t)sim_of(node)->swarm.shards;
        }
    for (size_t i = 0; i < node->accepted_count; i++)
        if (node->accepted[i].endpoint > SIM_NODES_MAX) {
            struct sim_inbox_item *item = sim_inbox_push(&shard->inbox, SHARD_EVENT_LINK_UP);
            item->from = (struct shard_address){LINK_ROLE_ROUTER, 0, node->accepted[i].link};
        }
    (void)sim_inbox_push(&shard->inbox, SHARD_EVENT_TICK);
}

/* As shard_open() answers; < 0: the node is to be started once more. What the disk did not give is
 * there. */
static int shard_start(struct sim_node *node, uint16_t number, bool found)
{
    struct sim_shard *shard = &node->shards[number];
    struct shard_options options;
    char folder[DATADIR_FOLDER_SIZE];
    int error = -EIO;
    int misfit = owners_check(&node->owners, number);
    shard->fits = false;
    if (misfit < 0 || misfit == OWNERS_E_UNREADABLE)
        return misfit < 0 ? misfit : error;
    shard_options_fill(node, number, &options, folder);
    options.foreign = misfit > 0;
    int r = shard_open(&shard->shard, sim_disk_vfs(node->disk), &options, node_genesis(node->node),
                       node_genesis_hash(node->node), found, node_ms(node), core_bits(node));
    shard->fits = r == 0;
    if (r < 0)
        shard->shard = NULL;
    else if (r != STORE_E_NEWER && store_unreadable(shard_store(shard->shard), &error))
        return error;
    return r;
}

static int written(int r)
{
    return vfs_is_full(r) ? 0 : r;
}

static int owners_open(struct sim_node *node)
{
    int r = owners_read(&node->owners, sim_disk_vfs(node->disk), node->public_key,
                        (uint16_t)sim_of(node)->swarm.shards);
    return r == -EBADMSG && node->rotten ? 0 : r;
}

int sim_shards_raise(struct sim_node *node)
{
    int r = 0;
    for (uint16_t i = 0; i < sim_of(node)->swarm.shards && r == 0; i++)
        if (node->shards[i].fits)
            r = written(owners_raise(&node->owners, i));
    return r == 0 ? written(owners_write(&node->owners)) : r;
}

void sim_shards_open(struct sim_node *node, bool found)
{
    struct sim *sim = sim_of(node);
    if (!sim_node_take_keys(node))
        return;
    int r = owners_open(node);
    for (uint16_t i = 0; i < sim->swarm.shards && r >= 0; i++) {
        r = shard_start(node, i, found);
        if (r == STORE_E_FENCED && !node->rotten && !sim_disk_halted(node->disk))
            sim_fail(sim, "node %u shard %u is fenced, but its disk is sound", node->endpoint, i);
    }
    if (r >= 0)
        r = sim_shards_raise(node);
    if (r < 0 || sim_disk_halted(node->disk)) {
        sim_node_fatal(node, "opening the shards", r < 0 ? r : -EIO);
        return;
    }
    int noted = found ? node_founded(node->node) : 0;
    if (noted) {
        sim_node_fatal(node, "noting the founding", noted);
        return;
    }
    node->serving = true;
    budget_init(&node->budget, (uint16_t)sim->swarm.shards, node_ms(node));
    for (uint16_t i = 0; i < sim->swarm.shards; i++) {
        shard_push_all(&node->shards[i]);
        sim_shard_wake(&node->shards[i]);
    }
    if (node->cluster->observer.on_open)
        node->cluster->observer.on_open(node->cluster->observer.context, node);
}

static void run_shard_tick(void *context, uint64_t life)
{
    struct sim_shard *shard = context;
    struct sim_node *node = shard->node;
    if (!sim_node_lives(node, life) || shard->tick_at_us > sim_of(node)->now_us)
        return;
    shard->tick_at_us = UINT64_MAX;
    (void)sim_inbox_push(&shard->inbox, SHARD_EVENT_TICK);
    sim_shard_wake(shard);
}

static void tick_schedule(struct sim_shard *shard, uint64_t deadline_ms)
{
    struct sim_node *node = shard->node;
    struct sim *sim = sim_of(node);
    uint64_t next_ms = node_ms(node) + 20;
    bool busy = shard->job_count > 0;
    if (deadline_ms > next_ms && busy)
        deadline_ms = next_ms;
    uint64_t wait = sim_clock_wait_us(&node->clock, sim->now_us, deadline_ms, SIM_MS / 2);
    if (wait > SIM_SECOND)
        wait = SIM_SECOND;
    if (sim->now_us + wait >= shard->tick_at_us)
        return;
    shard->tick_at_us = sim->now_us + wait;
    sim_after(sim, wait, run_shard_tick, shard, node->life);
}

static uint64_t job_latency(struct sim_node *node, const struct store_job *job)
{
    const struct sim_swarm *swarm = &sim_of(node)->swarm;
    struct sim_random *random = host_random(node);
    if (store_job_class(job) == STORE_JOB_READ)
        return sim_random_tail(random, swarm->read_us, swarm->read_us * 20);
    if (sim_random_chance(random, node->slow_ppm))
        return sim_random_below(random, node->slow_us + 1);
    return sim_random_tail(random, swarm->sync_us, swarm->sync_us_max);
}

static struct sim_job job_take(struct sim_shard *shard, size_t i)
{
    struct sim_job job = shard->jobs[i];
    shard->job_count--;
    memmove(&shard->jobs[i], &shard->jobs[i + 1], (shard->job_count - i) * sizeof *shard->jobs);
    return job;
}

/* argument: number of the job. Numbers are never used again, so a note of an earlier life finds
 * nothing. */
static void run_job(void *context, uint64_t number)
{
    struct sim_shard *shard = context;
    struct sim_node *node = shard->node;
    for (size_t i = 0; i < shard->job_count; i++) {
        if (shard->jobs[i].number != number)
            continue;
        struct sim_job taken = job_take(shard, i);
        struct store_job *job = taken.job;
        struct sim_inbox_item *item = sim_inbox_push(&shard->inbox, SHARD_EVENT_JOB);
        item->job_result = store_job_run(job);
        item->job_us = taken.us;
        item->job = job;
        if (item->job_result < 0)
            sim_trace(sim_of(node), 1, "node %u shard %u job of class %u fails: %s", node->endpoint,
                      (unsigned)(shard - node->shards), store_job_class(job),
                      strerror(-item->job_result));
        if (!sim_node_halted(node))
            sim_shard_wake(shard);
        return;
    }
}

static void job_start(struct sim_shard *shard, struct store_job *job)
{
    if (shard->job_count == shard->job_capacity) {
        shard->job_capacity = shard->job_capacity ? shard->job_capacity * 2 : 16;
        shard->jobs = realloc(shard->jobs, shard->job_capacity * sizeof *shard->jobs);
        assert(shard->jobs);
    }
    uint64_t us = job_latency(shard->node, job);
    shard->jobs[shard->job_count++] = (struct sim_job){job, ++shard->job_last, (uint32_t)us};
    sim_after(sim_of(shard->node), us, run_job, shard, shard->job_last);
}

static struct shard_event shard_event_of(const struct sim_shard *shard,
                                         const struct sim_inbox_item *item)
{
    const struct sim_node *node = shard->node;
    return (struct shard_event){
        .kind = item->kind,
        .now_ms = node_ms(node),
        .wall_ms = sim_clock_wall_ms(&node->clock, sim_of(node)->now_us),
        .random = core_bits(node),
        .from = item->from,
        .shards = item->shards,
        .map = item->kind == SHARD_EVENT_MAP ? node_map(node->node) : NULL,
        .message = item->message ? &item->message->message : NULL,
        .job = item->job,
        .job_result = item->job_result,
        .job_us = item->job_us,
    };
}

/* Returns false when the process has ended. */
static bool shard_carry_out(struct sim_shard *shard, const struct shard_effects *effects)
{
    struct sim_node *node = shard->node;
    if (effects->fatal) { /* Nothing is carried out, but jobs must be given back. */
        for (size_t i = 0; i < effects->job_count; i++)
            job_start(shard, effects->jobs[i]);
        sim_node_fatal(node, "shard", effects->fatal);
        return false;
    }
    for (size_t i = 0; i < effects->send_count; i++)
        sim_node_send(node, &effects->sends[i]);
    for (size_t i = 0; i < effects->job_count; i++)
        job_start(shard, effects->jobs[i]);
    shard->drained = shard->drained || effects->drained;
    return true;
}

/* True: it was given some of what it wants. */
static bool shard_give_budget(struct sim_shard *shard, const struct shard_effects *effects)
{
    struct sim_node *node = shard->node;
    struct sim_inbox_item item = {.kind = SHARD_EVENT_BUDGET};
    struct shard_event event;
    if (effects->budget_wanted == 0 && effects->budget_left == 0)
        return false;
    event = shard_event_of(shard, &item);
    event.bytes = budget_take(&node->budget,
                              &(struct budget_event){.now_ms = event.now_ms,
                                                     .rate = effects->budget_rate,
                                                     .wanted = effects->budget_wanted,
                                                     .left = effects->budget_left,
                                                     .part = (uint16_t)(shard - node->shards)});
    if (event.bytes > 0)
        shard_step(shard->shard, &event);
    return event.bytes > 0;
}

static void drained_end(struct sim_node *node)
{
    for (uint16_t i = 0; i < sim_of(node)->swarm.shards; i++)
        if (!node->shards[i].drained)
            return;
    sim_trace(sim_of(node), 1, "node %u has drained and ends", node->endpoint);
    sim_node_end(node, SIM_END_CLEAN);
}

static void run_shard_round(void *context, uint64_t life)
{
    struct sim_shard *shard = context;
    struct sim_node *node = shard->node;
    struct sim_cluster *cluster = node->cluster;
    static struct shard_effects effects; /* too large for the stack; empty between rounds */
    if (!sim_node_lives(node, life) || node->state == SIM_PAUSED)
        return;
    shard->inbox.round_due = false;
    struct sim_inbox_item *item;
    while ((item = sim_inbox_take(&shard->inbox))) {
        struct shard_event event = shard_event_of(shard, item);
        shard_step(shard->shard, &event);
        sim_inbox_item_free(item);
    }
    bool more = true;
    while (more) {
        more = shard_flush(shard->shard, node_ms(node), &effects);
        if (!shard_carry_out(shard, &effects))
            return;
        more = more || shard_give_budget(shard, &effects);
    }
    /* What was said is said, also when the disk has stopped meanwhile. */
    if (cluster->observer.on_round)
        cluster->observer.on_round(cluster->observer.context, node, shard);
    if (sim_node_halted(node))
        return;
    tick_schedule(shard, effects.deadline_ms);
    if (node->draining)
        drained_end(node);
}

/* Runs what was in flight, in a random order, and gives it back. */
void sim_shard_finish(struct sim_shard *shard)
{
    struct sim_node *node = shard->node;
    struct sim_inbox_item *item;
    while (shard->job_count) {
        size_t i = sim_random_below(host_random(node), shard->job_count);
        item = sim_inbox_push(&shard->inbox, SHARD_EVENT_JOB);
        item->job = job_take(shard, i).job;
        item->job_result = store_job_run(item->job);
    }
    while ((item = sim_inbox_take(&shard->inbox))) {
        if (item->kind == SHARD_EVENT_JOB) {
            struct shard_event event = shard_event_of(shard, item);
            shard_step(shard->shard, &event);
        }
        sim_inbox_item_free(item);
    }
}
