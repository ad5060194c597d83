#include "tests/sim/sim_run.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bounds of the end, in simulated time: all faults are over and healed. */
#define FOUND_US    (20 * SIM_SECOND)
#define PROGRESS_US (30 * SIM_SECOND)
#define CASK_US     (250 * SIM_MS) /* a source waits so long when its target is busy */

struct run {
    struct sim sim;
    struct sim_cluster cluster;
    struct sim_check *check;
    struct sim_workload *workload;
    struct sim_faults faults;
};

static void on_round(void *context, struct sim_node *node, struct sim_shard *shard)
{
    struct run *run = context;
    if (sim_copy_runs(node)) /* what it has forgotten is not held against it, as nobody hears it */
        return;
    sim_check_round(run->check, node, shard);
    sim_faults_round(&run->faults, node);
}

static void on_send(void *context, struct sim_node *node, const struct shard_send *send)
{
    struct run *run = context;
    if (sim_copy_runs(node))
        return;
    sim_check_promise_send(run->check, node, &send->message);
    sim_check_removed_send(run->check, node, send);
}

static void on_ops(void *context, struct sim_node *node, const struct link_message *message,
                   uint64_t link)
{
    struct run *run = context;
    sim_check_removed_ops(run->check, node, message, link);
}

static void on_map(void *context, const struct sim_node *node)
{
    struct run *run = context;
    sim_check_map(run->check, node);
}

static void on_open(void *context, struct sim_node *node)
{
    struct run *run = context;
    if (!sim_copy_runs(node))
        sim_check_open(run->check, node);
}

static void on_router_stop(void *context, struct sim_router *router)
{
    struct run *run = context;
    sim_workload_router_stopped(run->workload, router);
}

static void on_client_bytes(void *context, struct sim_router *router, uint64_t client,
                            const uint8_t *bytes, size_t size, bool close)
{
    struct run *run = context;
    (void)router;
    sim_workload_bytes(run->workload, client, bytes, size, close);
}

static void on_enter(void *context, const struct sim_node *node, uint32_t ticket,
                     const uint8_t *key)
{
    struct run *run = context;
    sim_check_tickets_enter(run->check, node, ticket, key);
}

static void on_tickets(void *context, const struct tickets_command *command,
                       const struct tickets_reply *reply)
{
    struct run *run = context;
    sim_check_tickets_told(run->check, command, reply);
}

/* Runs in small steps until `done` says so, at most bound_us. */
static bool run_while(struct run *run, uint64_t bound_us, bool (*done)(struct run *run))
{
    uint64_t until = run->sim.now_us + bound_us;
    while (!run->sim.failed && run->sim.now_us < until) {
        if (done(run))
            return true;
        sim_run_until(&run->sim, run->sim.now_us + 50 * SIM_MS);
    }
    return !run->sim.failed && done(run);
}

static bool founded(struct run *run)
{
    return sim_cluster_founded(&run->cluster);
}

static bool finished(struct run *run)
{
    return sim_workload_finished(run->workload);
}

static bool quiet(struct run *run)
{
    return sim_admin_quiet(&run->cluster.admin);
}

static bool settled(struct run *run)
{
    char why[200];
    return sim_check_settled(run->check, why, sizeof why);
}

static bool converged_or_why(struct run *run, char *why, size_t size)
{
    return sim_check_converged(run->check, why, size) &&
           sim_gossip_converged(&run->cluster, why, size) &&
           sim_links_converged(&run->cluster, why, size);
}

static bool converged(struct run *run)
{
    char why[200];
    return converged_or_why(run, why, sizeof why);
}

/* With the ways and syncs of the last operations, one after the other. */
static uint64_t finish_us(struct run *run)
{
    const struct sim_swarm *swarm = &run->sim.swarm;
    return PROGRESS_US +
           sim_workload_left(run->workload) * (8 * (uint64_t)swarm->delay_us + 4 * swarm->sync_us);
}

/* With a snapshot of a record a cask, and that of the newer one which takes its place. */
static uint64_t progress_us(struct run *run)
{
    uint64_t most = 0;
    for (uint32_t i = 0; run->sim.swarm.install_size > 0 && i < run->cluster.node_count; i++) {
        struct sim_node *node = &run->cluster.nodes[i];
        for (uint32_t j = 0; node->serving && j < run->sim.swarm.shards; j++) {
            struct store_stats stats;
            store_stats(shard_store(node->shards[j].shard), &stats);
            most = stats.keys > most ? stats.keys : most;
        }
    }
    return PROGRESS_US + 2 * most * CASK_US;
}

/* With the pass that is under way, and two more. */
static uint64_t scrub_us(struct run *run)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < run->cluster.node_count; i++) {
        uint64_t used = sim_disk_used(run->cluster.nodes[i].disk);
        most = used > most ? used : most;
    }
    return progress_us(run) + 3 * most * SIM_SECOND / run->sim.swarm.scrub_rate;
}

static bool scrubbed(struct run *run)
{
    char why[200];
    return sim_check_scrubbed(run->check, why, sizeof why) &&
           sim_check_converged(run->check, why, sizeof why);
}

static bool answered(struct run *run)
{
    char why[200];
    return sim_ask_done(&run->cluster.ask, why, sizeof why);
}

/* An operator looks at what there is now. */
static void ask(struct run *run)
{
    char why[200] = "";
    sim_ask_start(&run->cluster.ask, &run->cluster);
    if (run_while(run, PROGRESS_US, answered))
        return;
    (void)sim_ask_done(&run->cluster.ask, why, sizeof why);
    sim_fail(&run->sim, "operators are not answered: %s", why);
}

static bool drained(struct run *run)
{
    char why[200];
    return sim_check_drained(run->check, why, sizeof why);
}

/* The node that leads most is drained, for the rest of the run. */
static bool drain(struct run *run)
{
    char why[200] = "";
    if (run->sim.swarm.drain_ms == 0)
        return true;
    sim_drain_choose(&run->cluster.drain, sim_check_chief(run->check));
    if (run_while(run, PROGRESS_US, drained))
        return true;
    (void)sim_check_drained(run->check, why, sizeof why);
    sim_fail(&run->sim, "leaders do not leave: %s", why);
    return false;
}

static void phases(struct run *run)
{
    struct sim *sim = &run->sim;
    char why[200] = "";
    sim_cluster_start(&run->cluster);
    sim_faults_found(&run->faults);
    if (!run_while(run, FOUND_US, founded)) {
        sim_fail(sim, "the cluster was not founded within %" PRIu64 " s", FOUND_US / SIM_SECOND);
        return;
    }
    sim_workload_start(run->workload);
    sim_faults_start(&run->faults);
    sim_run_until(sim, sim->now_us + sim->swarm.run_ms * SIM_MS);
    sim_copy_end(&run->cluster.copy);
    sim_faults_end(&run->faults);
    sim_run_until(sim, sim->now_us + 500 * SIM_MS);
    sim_workload_stop(run->workload);
    run->cluster.healing = true;
    sim_workload_finish(run->workload);
    uint64_t bound_us = finish_us(run);
    if (!run_while(run, bound_us, finished)) {
        sim_workload_describe(run->workload, why, sizeof why);
        sim_fail(sim, "no progress within %" PRIu64 " s after all faults ended:%s",
                 bound_us / SIM_SECOND, why);
        return;
    }
    (void)run_while(run, progress_us(run), quiet); /* else a late plan would move what is spoiled */
    if (!run_while(run, progress_us(run), settled)) {
        (void)sim_check_settled(run->check, why, sizeof why);
        sim_fail(sim, "members do not settle: %s", why);
        return;
    }
    if (!run_while(run, progress_us(run), converged)) {
        (void)converged_or_why(run, why, sizeof why);
        sim_fail(sim, "replicas, gossip or links do not converge: %s", why);
        return;
    }
    if (!drain(run))
        return;
    sim_check_spoil(run->check);
    if (!run_while(run, scrub_us(run), scrubbed)) {
        if (sim_check_scrubbed(run->check, why, sizeof why))
            (void)sim_check_converged(run->check, why, sizeof why);
        sim_fail(sim, "disks are not mended: %s", why);
        return;
    }
    sim_check_history(run->check, run->workload);
    ask(run);
}

static void collect(const struct run *run, struct sim_result *result)
{
    const struct sim_workload_stats *stats = sim_workload_stats(run->workload);
    result->seed = run->sim.seed;
    result->hash = run->sim.hash;
    result->failed = run->sim.failed;
    memcpy(result->failure, run->sim.failure, sizeof result->failure);
    result->simulated_us = run->sim.now_us;
    result->events = run->sim.events_run;
    result->calls = stats->calls;
    result->returns = stats->returns;
    result->failures = stats->failures;
    result->unknowns = stats->unknowns;
    result->rounds = run->check->rounds;
    result->entries_compared = run->check->entries_compared;
    result->digests_compared = run->check->digests_compared;
    result->snapshots_installed = run->check->snapshots_installed;
    result->snapshots_kept = run->check->snapshots_kept;
    result->flushes = run->check->flushes;
    result->relocated = run->check->relocated;
    result->scans = sim_workload_scans(run->workload);
    result->maps = run->cluster.admin.done;
    result->configs = run->check->configs;
    result->lives = run->check->lives;
    result->destroyed = run->check->destroyed;
    result->spreads = run->check->spreads;
    result->overlaps = run->check->overlaps;
    result->removals = run->check->removals_settled;
    result->late_requests = run->check->late_requests;
    result->tickets = run->cluster.tickets.made_count;
    result->entered = run->cluster.tickets.entered;
    result->copies = run->cluster.copy.refused;
    result->hellos_again = run->cluster.copy.again;
    result->drained = run->cluster.drain.answers;
    result->scrub_faults = run->check->scrub_faults;
    result->divergences = run->check->divergences;
    result->judge_peak = run->check->judge_peak;
    memcpy(result->table, run->faults.table, sizeof result->table);
}

void sim_run_seed(const struct sim_run_options *options, struct sim_result *result)
{
    struct run *run = calloc(1, sizeof *run);
    assert(run);
    struct sim_observer observer = {.context = run,
                                    .on_round = on_round,
                                    .on_send = on_send,
                                    .on_ops = on_ops,
                                    .on_open = on_open,
                                    .on_map = on_map,
                                    .on_router_stop = on_router_stop,
                                    .on_client_bytes = on_client_bytes,
                                    .on_enter = on_enter,
                                    .on_tickets = on_tickets};
    memset(result, 0, sizeof *result);
    sim_init(&run->sim, options->seed, options->trace);
    sim_cluster_init(&run->cluster, &run->sim, &observer);
    run->check = sim_check_new(&run->cluster);
    run->workload = sim_workload_new(&run->cluster);
    sim_faults_init(&run->faults, &run->cluster, run->check, run->workload, options->left_out);
    result->fault_count = run->faults.count;
    phases(run);
    collect(run, result);
    sim_cluster_deinit(&run->cluster);
    run->workload = sim_workload_free(run->workload);
    run->check = sim_check_free(run->check);
    sim_deinit(&run->sim);
    free(run);
}

void sim_run_describe(uint64_t seed)
{
    struct sim sim;
    sim_init(&sim, seed, 0);
    const struct sim_swarm *s = &sim.swarm;
    (void)printf("seed %" PRIu64
                 ": %u nodes and %u spare, %u replicas, %u shards, %u routers, victim %u\n",
                 seed, s->nodes, s->spares, s->replicas, s->shards, s->routers, s->victim);
    (void)printf("  journal: segment %u, batch %u, queue %u, memory %u, zero ahead %u, cache %u; "
                 "install %u; retain %u; zstd %u; encryption %u\n",
                 s->segment_size, s->batch_size_max, s->queue_size_max, s->memory_size_max,
                 s->zero_ahead_size, s->cache_size, s->install_size, s->retain_entries_min,
                 s->compress_level, s->encrypt);
    (void)printf("  scrub: %" PRIu64 " bytes/s, every %" PRIu64 " ms\n", s->scrub_rate,
                 s->scrub_every_ms);
    (void)printf(
        "  log: %" PRIu64 " bytes, %u ms; snapshots %" PRIu64 " bytes/s\n"
        "  shard: operations %u, %zu bytes; sessions %u of %u; append %u entries, %u bytes,"
        " in flight %u bytes, %u messages\n",
        s->log_size_max, s->log_ms_max, s->snapshot_rate, s->operations_max, s->operations_size_max,
        s->sessions_max, s->session_window_max, s->append_entries_max, s->append_size_max,
        s->inflight_size_max, s->inflight_messages_max);
    (void)printf("  router: lane %u operations, %zu bytes; client %u commands; all %u; attempt %u "
                 "ms, deadline %u ms\n",
                 s->lane_operations_max, s->lane_size_max, s->client_commands_max,
                 s->router_operations_max, s->attempt_ms, s->deadline_ms);
    (void)printf("  net: %u … %u us, lost %u, doubled %u, reordered %u ppm; wake %u us; sync %u … "
                 "%u us; nowait again %u ppm\n",
                 s->delay_us, s->delay_us_max, s->loss_ppm, s->duplicate_ppm, s->reorder_ppm,
                 s->wake_us_max, s->sync_us, s->sync_us_max, s->nowait_again_ppm);
    (void)printf("  load: %u clients, pipeline %u, think %u us, %u keys, %u tags, values %u\n",
                 s->clients, s->pipeline_max, s->think_us, s->keys, s->tags, s->value_size_max);
    (void)printf("  focus: %s; gossip %u; old copies %u; the ring map changes every %u ms\n",
                 sim_focus_name(s->focus), s->gossip, s->copies, s->change_ms);
    (void)printf("  changes:");
    for (uint8_t i = 0; s->change_ms && i < SIM_CHANGE_KINDS; i++)
        if (s->change_mask >> i & 1)
            (void)printf(" %s", sim_change_name(i));
    (void)printf("; N from %u; %u zones\n", s->replicas_min, s->zones);
    (void)printf(
        "  kept %u ppm; cuts %u; another node is drained every %u ms, tickets every %u ms\n",
        s->kept_ppm, s->cuts, s->drain_ms, s->tickets_ms);
    (void)printf("  faults for %u ms, every %u ms, %u at once:", s->run_ms, s->fault_every_ms,
                 s->overlap_max);
    for (unsigned i = 0; i < SIM_FAULT_KINDS; i++)
        if (s->fault_mask >> i & 1)
            (void)printf(" %s", sim_fault_name((enum sim_fault_kind)i));
    (void)putchar('\n');
    sim_deinit(&sim);
}
