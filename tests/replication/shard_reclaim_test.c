/* A flush that an admin asks a shard for. */
#include "shard_cluster.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#define KEYS       400
#define ADMIN_LINK 5u

static struct cluster cluster;

/* All that the shard has to do now; what it sends is lost, but for an answer to an admin. */
static bool run(int node, struct wire_flush_state *state)
{
    struct shard_effects *effects = &cluster.effects;
    bool answered = false, more;

    do {
        more = shard_flush(cluster.shards[node], cluster.now_ms, effects);
        cr_assert_eq(effects->fatal, 0);
        for (size_t i = 0; i < effects->send_count; i++) {
            const struct shard_send *send = &effects->sends[i];
            struct wire_cursor cursor;

            if (send->to.role != LINK_ROLE_ADMIN)
                continue;
            cr_assert_eq(send->to.link, ADMIN_LINK);
            cr_assert_eq(send->message.type, WIRE_FLUSH_REPLY);
            cr_assert_eq(send->message.correlation, 99);
            wire_cursor_init(&cursor, send->message.body, send->message.body_size);
            cr_assert(wire_get_flush_state(&cursor, state));
            answered = true;
        }
        for (size_t i = 0; i < effects->job_count; i++) {
            struct shard_event event = {.kind = SHARD_EVENT_JOB,
                                        .now_ms = cluster.now_ms,
                                        .wall_ms = CLUSTER_EPOCH_MS + cluster.now_ms,
                                        .job = effects->jobs[i]};

            event.job_result = store_job_run(effects->jobs[i]);
            shard_step(cluster.shards[node], &event);
            more = true;
        }
    } while (more);
    return answered;
}

/* False: no answer. */
static bool ask(int node, uint8_t role, bool begin, struct wire_flush_state *state)
{
    struct wire_buffer body = {0};
    struct link_message message = {.type = WIRE_FLUSH, .correlation = 99};
    struct shard_event event = {.kind = SHARD_EVENT_MESSAGE,
                                .now_ms = cluster.now_ms,
                                .wall_ms = CLUSTER_EPOCH_MS + cluster.now_ms,
                                .from = {.role = role, .member = 2, .link = ADMIN_LINK},
                                .message = &message};

    wire_put_flush(&body, begin);
    message.body = body.data;
    message.body_size = body.size;
    shard_step(cluster.shards[node], &event);
    wire_buffer_deinit(&body);
    return run(node, state);
}

static void write_all(int from, int to, int round)
{
    char key[32], value[64];

    for (int i = from; i < to; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        snprintf(value, sizeof value, "%d-%050d", round, i);
        cr_assert_eq(cluster_set(&cluster, key, value)->status, WIRE_STATUS_OK);
        cluster.result_count = 0;
    }
}

/* Flush by itself is far too slow to do anything. */
static void begin(void)
{
    cluster_begin(&cluster);
    cluster.options.log_size_max = 1;
    cluster.options.retain_entries_min = 0;
    cluster.options.store.segment_size = 16u << 10;
    cluster.options.store.zero_ahead_size = 16u << 10;
    cluster.options.store.flush_rate = 1;
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_kill(&cluster, node);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_restart(&cluster, node);
    cluster_await_leaders(&cluster);
    for (int p = 0; p < CLUSTER_PARTITIONS; p++)
        cluster.epochs[p]++;
    for (int round = 0; round < 6; round++)
        write_all(0, round == 0 ? KEYS : KEYS / 4, round);
    cluster_run(&cluster, 1000);
}

Test(shard_reclaim, an_admin_sees_a_flush_begin_and_end)
{
    struct wire_flush_state first, state;
    char value[64];

    begin();
    cr_assert(ask(0, LINK_ROLE_ADMIN, false, &state));
    cr_assert(state.accepted && !state.flushing);
    cr_assert_eq(state.demands, 0);
    cr_assert(ask(0, LINK_ROLE_ADMIN, true, &first));
    cr_assert(first.accepted && first.flushing);
    cr_assert_eq(first.demands, 1);
    cr_assert_gt(first.left_files, 0);
    cr_assert_gt(first.left_bytes, 0);
    cr_assert_gt(first.disk_bytes, first.log_bytes);
    cluster_run(&cluster, 2000);
    cr_assert(ask(0, LINK_ROLE_ADMIN, false, &state));
    cr_assert(state.accepted && !state.flushing);
    cr_assert_eq(state.left_files, 0);
    cr_assert_gt(state.files, first.files);
    cr_assert_gt(state.reclaimed, first.reclaimed);
    cr_assert_lt(state.disk_bytes, first.disk_bytes);
    cr_assert_eq(state.demands, 1);
    cr_assert(ask(0, LINK_ROLE_ADMIN, true, &first));
    cr_assert_eq(first.demands, 2);
    cr_assert_eq(first.left_files, 0);
    cluster_run(&cluster, 2000);
    cr_assert(ask(0, LINK_ROLE_ADMIN, false, &state));
    cr_assert_not(state.flushing);
    cr_assert_eq(state.reclaimed, first.reclaimed);
    for (int i = 0; i < KEYS; i++) {
        char key[32];

        snprintf(key, sizeof key, "key-%d", i);
        snprintf(value, sizeof value, "%d-%050d", i < KEYS / 4 ? 5 : 0, i);
        cluster_expect(&cluster, key, value);
        cluster.result_count = 0;
    }
    cluster_stop(&cluster);
}

/* mini_bitcask: one expired key ended the flush. Flush does not look at deadlines, and what they
 * end goes by a delete in the log like anything else. */
Test(shard_reclaim, expired_values_do_not_stop_a_flush)
{
    struct wire_flush_state first, state;
    char key[32];
    const char *const args[] = {key, "50"};

    begin();
    for (int i = KEYS / 4; i < KEYS; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        cr_assert_eq(cluster_do(&cluster, WIRE_OP_EXPIRE, WIRE_EXPIRE_RELATIVE, args, 2)->integer,
                     1);
        cluster.result_count = 0;
    }
    cr_assert(ask(0, LINK_ROLE_ADMIN, true, &first));
    cr_assert(first.accepted && first.flushing);
    cluster_run(&cluster, 3000);
    cr_assert(ask(0, LINK_ROLE_ADMIN, true, &state));
    cluster_run(&cluster, 3000);
    cr_assert(ask(0, LINK_ROLE_ADMIN, false, &state));
    cr_assert_not(state.flushing);
    cr_assert_eq(state.left_files, 0);
    cr_assert_gt(state.reclaimed, first.reclaimed);
    cr_assert_lt(state.disk_bytes, first.disk_bytes);
    snprintf(key, sizeof key, "key-%d", KEYS - 1);
    cluster_expect(&cluster, key, NULL);
    cluster_stop(&cluster);
}

Test(shard_reclaim, only_an_admin_is_heard)
{
    struct wire_flush_state state;
    struct store_stats stats;

    begin();
    cr_assert_not(ask(0, LINK_ROLE_ROUTER, true, &state));
    cr_assert_not(ask(0, LINK_ROLE_NODE, true, &state));
    store_stats(shard_store(cluster.shards[0]), &stats);
    cr_assert_eq(stats.flush_demands, 0);
    cluster_stop(&cluster);
}

Test(shard_reclaim, garbage_of_an_admin_is_passed_over)
{
    static const uint8_t bodies[][3] = {{0}, {0x90}, {0x91, 0x01}, {0xc3}};
    struct wire_flush_state state;
    struct store_stats stats;

    cluster_begin(&cluster);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct link_message message = {
            .type = WIRE_FLUSH, .body = bodies[i], .body_size = i > 0 ? i > 1 ? 2 : 1 : 0};
        struct shard_event event = {.kind = SHARD_EVENT_MESSAGE,
                                    .now_ms = cluster.now_ms,
                                    .wall_ms = CLUSTER_EPOCH_MS + cluster.now_ms,
                                    .from = {.role = LINK_ROLE_ADMIN, .link = ADMIN_LINK},
                                    .message = &message};

        shard_step(cluster.shards[0], &event);
        cr_assert_not(run(0, &state), "%zu", i);
    }
    store_stats(shard_store(cluster.shards[0]), &stats);
    cr_assert_eq(stats.flush_demands, 0);
    cluster_stop(&cluster);
}

/* Log that is kept for a peer that is away takes no more files than there are. */
Test(shard_reclaim, a_peer_that_is_away_does_not_use_up_the_files)
{
    char key[32], value[60];
    uint32_t refused = 0;
    int last = 0;

    cluster_start(&cluster);
    cluster_await_leaders(&cluster);
    cluster.options.store.segment_size = 64u << 10;
    cluster.options.store.batch_size_max = 16u << 10;
    cluster.options.store.files_max = store_files_min(CLUSTER_PARTITIONS + 1);
    cluster_restart_all(&cluster);
    cluster_kill(&cluster, 2);
    cluster_await_leaders(&cluster);
    for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
        cluster.epochs[p] += 4;
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = 0;
    for (int i = 0; i < 40000 && refused < 100; i++) {
        snprintf(key, sizeof key, "key %d", i % 500);
        if (cluster_set(&cluster, key, value)->status != WIRE_STATUS_OK) {
            refused++;
            cluster_run(&cluster, 1000);
            for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
                cluster.epochs[p] += 4;
        } else {
            refused = 0;
        }
        cluster.result_count = 0;
        last = i;
    }
    cr_assert_lt(refused, 100, "refused for 100 s, at %d", last);
    cluster_restart(&cluster, 2);
    cluster_run(&cluster, 1000);
    cluster_stop(&cluster);
}
