#include "replication/shard_source.h"
#include "shard_cluster_internal.h"
#include "tests/dice.h"

#include <criterion/criterion.h>
#include <errno.h>

#define VALUE_SIZE 8000u
#define GIVEN      20000u /* bytes: more than one piece, less than all */
#define LEADER     0      /* of partition 0 */

static struct cluster cluster;

/* Of partition 0. */
static struct shard_source *source(void)
{
    struct shard_source *source = cluster.shards[LEADER]->sources;

    while (source && source->replica->partition != 0)
        source = source->next;
    return source;
}

/* A snapshot of partition 0 has just begun for node 2; its records are on the leader's disk. The
 * others are drained, so that no balance takes the leadership, and the source with it, away. */
static void begin(void)
{
    static char value[VALUE_SIZE + 1];

    dice_text(1, value, VALUE_SIZE);
    cluster_begin(&cluster);
    cluster.options.log_size_max = 1;
    cluster.options.retain_entries_min = 0;
    cluster.options.snapshot_rate = 50000;
    cluster_restart_all(&cluster);
    cluster_set_of(&cluster, 0, "large", 100, value);
    cluster_kill(&cluster, 2);
    cluster_await_leaders(&cluster);
    cluster_set_of(&cluster, 0, "k", 5, "meanwhile");
    for (int node = 0; node < 2; node++) { /* what it wrote is not in its memory then */
        cluster_kill(&cluster, node);
        cluster_restart(&cluster, node);
        cluster_await_leaders(&cluster);
    }
    cluster_drain(&cluster, 1, true);
    for (int i = 0; cluster_leader(&cluster, 0) != LEADER; i++) {
        cr_assert_lt(i, 100, "a drained node leads on");
        cluster_run(&cluster, 100);
    }
    cluster_restart(&cluster, 2);
    cluster_drain(&cluster, 2, true);
    for (int i = 0; !source(); i++) {
        cr_assert_lt(i, 10000, "no snapshot begins");
        cluster_run(&cluster, 1);
    }
}

/* Node 2 has some of it. */
static void half_way(void)
{
    begin();
    for (int i = 0; !source() || source()->acked == 0; i++) {
        cr_assert_lt(i, 100, "nothing of it comes");
        cluster_run(&cluster, 100);
    }
}

static void step(struct shard_event event)
{
    cluster_deliver(&cluster, LEADER, &event);
}

/* A read is queued and not handed out; then its source ends, and no other begins. Returns what was
 * charged for it. */
static size_t end_while_it_is_read(void)
{
    size_t charged;

    half_way();
    for (int i = 0; !source()->reading; i++) {
        cr_assert_lt(i, 10, "all is in memory");
        cluster_run(&cluster, 100);
        step((struct shard_event){.kind = SHARD_EVENT_BUDGET, .bytes = GIVEN});
    }
    charged = source()->size_max;
    step((struct shard_event){.kind = SHARD_EVENT_LINK_DOWN,
                              .from = {.role = LINK_ROLE_NODE, .member = 3}});
    for (int i = 0; source(); i++) {
        cr_assert_lt(i, 100, "it is not given up");
        cluster.now_ms += 1000;
        step((struct shard_event){.kind = SHARD_EVENT_TICK});
    }
    cr_assert_eq(fifo_count(&cluster.shards[LEADER]->reads), 1);
    return charged;
}

/* Its jobs run; `fatal`: the shard has failed meanwhile. What is said on the way is lost. */
static void run_jobs(int fatal)
{
    struct shard *shard = cluster.shards[LEADER];
    struct shard_effects *effects = &cluster.effects;

    shard_flush(shard, cluster.now_ms, effects);
    shard->fatal = fatal;
    for (size_t i = 0; i < effects->job_count; i++)
        step((struct shard_event){.kind = SHARD_EVENT_JOB,
                                  .job = effects->jobs[i],
                                  .job_result = fatal ? fatal : store_job_run(effects->jobs[i])});
}

Test(shard_source, that_ended_gives_back_what_its_piece_was_charged)
{
    size_t charged = end_while_it_is_read();
    struct shard_budget *budget = &cluster.shards[LEADER]->budget;

    cr_assert_gt(charged, 0);
    budget->given = -(int64_t)charged;
    run_jobs(0);
    cr_assert_eq(budget->given, 0);
    cluster_stop(&cluster);
}

/* The leak of it is found by the sanitizer. */
Test(shard_source, that_ended_goes_with_a_shard_that_closes)
{
    end_while_it_is_read();
    cluster_kill(&cluster, LEADER);
    cluster_stop(&cluster);
}

Test(shard_source, that_ended_goes_with_the_job_of_a_shard_that_failed)
{
    end_while_it_is_read();
    run_jobs(-EIO);
    cluster_kill(&cluster, LEADER);
    cluster_stop(&cluster);
}

Test(shard_source, sends_one_piece_until_the_target_has_begun)
{
    begin();
    cluster.cut[2] = true;
    cluster_run(&cluster, 900);
    cr_assert_not_null(source());
    cr_assert_eq(source()->acked, 0);
    cr_assert_eq(source()->piece_count, 1);
    cluster_stop(&cluster);
}

/* They may all wait in a link that is full. */
Test(shard_source, sends_again_ever_less_often)
{
    uint32_t pieces, sources;

    half_way();
    cluster.cut[2] = true;
    cluster_run(&cluster, 1000);
    cr_assert_eq(source()->piece_count, SHARD_PIECES_MAX);
    pieces = cluster.snapshot_pieces;
    cluster_run(&cluster, 8000);
    cr_assert_not_null(source());
    cr_assert_gt(cluster.snapshot_pieces, pieces);
    sources = cluster.shards[LEADER]->source_count;
    /* Others whose target has not begun have one piece on their way. */
    cr_assert_leq(cluster.snapshot_pieces - pieces, 4 * (SHARD_PIECES_MAX + sources - 1),
                  "%u of %u sources", cluster.snapshot_pieces - pieces, sources);
    cluster.cut[2] = false;
    cluster_stop(&cluster);
}

Test(shard_source, sends_at_once_what_went_with_the_link)
{
    half_way();
    cluster.cut[2] = true;
    cluster_run(&cluster, 4000);
    cr_assert_gt(source()->retry_ms, 1000u);
    step((struct shard_event){.kind = SHARD_EVENT_LINK_DOWN,
                              .from = {.role = LINK_ROLE_NODE, .member = 3}});
    cr_assert_eq(source()->piece_count, 0);
    cr_assert_eq(source()->at, source()->acked);
    cr_assert_eq(source()->retry_ms, 1000u);
    cluster_stop(&cluster);
}

/* A round of more messages than one flush takes. */
Test(shard_source, budget_goes_back_with_the_last_flush_of_a_round)
{
    struct link_message message = {.type = WIRE_SHARD_STATUS};
    struct shard *shard;
    uint32_t flushes = 1;

    cluster_begin(&cluster);
    cluster_run(&cluster, 1000);
    shard = cluster.shards[0];
    for (uint32_t i = 0; i < 3 * SHARD_SENDS_MAX; i++)
        step((struct shard_event){.kind = SHARD_EVENT_MESSAGE,
                                  .from = {.role = LINK_ROLE_ADMIN, .link = 1},
                                  .message = &message});
    step((struct shard_event){.kind = SHARD_EVENT_BUDGET, .bytes = GIVEN});
    for (; shard_flush(shard, cluster.now_ms, &cluster.effects); flushes++)
        cr_assert_eq(cluster.effects.budget_left, 0);
    cr_assert_geq(flushes, 3);
    cr_assert_eq(cluster.effects.budget_left, GIVEN);
    cluster_stop(&cluster);
}

/* Its link is up, and nothing comes of it. */
Test(shard_source, to_a_silent_target_gives_its_place_to_another)
{
    struct shard *shard;
    uint32_t count;

    half_way();
    shard = cluster.shards[LEADER];
    cluster.cut[2] = true;
    cluster_run(&cluster, 5000);
    cr_assert_not_null(source(), "nobody else waits");
    count = shard->source_count;
    shard->source_count = 8; /* as if others had begun */
    step((struct shard_event){.kind = SHARD_EVENT_TICK});
    for (int i = 0; i < 10; i++, cluster.now_ms += 100)
        step((struct shard_event){.kind = SHARD_EVENT_TICK});
    shard->source_count -= 8 - count;
    cr_assert_lt(shard->source_count, count);
    cluster.cut[2] = false;
    cluster_run(&cluster, 20000);
    cr_assert_null(source());
    cr_assert_eq(shard_raft(cluster.shards[2], 0)->applied, shard_raft(shard, 0)->applied);
    cluster_stop(&cluster);
}

static uint64_t begun(void)
{
    struct shard_stats stats;

    shard_stats(cluster.shards[LEADER], &stats);
    return stats.snapshots_begun;
}

Test(shard_source, one_is_begun_to_a_silent_target_in_ten_seconds)
{
    uint64_t before;
    uint32_t pieces;

    half_way();
    cluster.cut[2] = true;
    cluster_run(&cluster, 15000);
    before = begun();
    cluster_run(&cluster, 30000);
    cr_assert_leq(begun() - before, 3, "those of all groups");
    cr_assert_geq(begun() - before, 2);
    pieces = cluster.snapshot_pieces;
    cluster.cut[2] = false;
    cluster_run(&cluster, 20000);
    cr_assert_gt(cluster.snapshot_pieces, pieces, "it is begun once something is heard");
    cr_assert_eq(shard_raft(cluster.shards[2], 0)->applied,
                 shard_raft(cluster.shards[LEADER], 0)->applied);
    cluster_stop(&cluster);
}
