/* The meta group's state at the shards: one ring map an epoch, by its leader alone. */
#include "shard_cluster.h"

#include "replication/raft.h"
#include "replication/shard_internal.h"

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

static struct cluster cluster;

static int begin(void)
{
    cluster_begin(&cluster);
    for (int rounds = 0; rounds < 500; rounds++) {
        int leader = cluster_leader(&cluster, STORE_PARTITION_META);

        if (leader >= 0)
            return leader;
        cluster_run(&cluster, 10);
    }
    cr_assert_fail("no leader of the meta group after 5 s");
    return -1;
}

/* The map of an epoch; equal zones make equal maps. */
struct blob {
    uint8_t *data;
    size_t size;
};

static struct blob map_of(uint64_t epoch, void (*change)(struct ringmap *map))
{
    struct ringmap map;
    struct blob blob;

    cr_assert_eq(ringmap_copy(&map, &cluster.map), 0);
    map.epoch = epoch;
    if (change)
        change(&map);
    blob.size = ringmap_encoded_size(&map);
    blob.data = malloc(blob.size);
    ringmap_encode(&map, blob.data);
    ringmap_deinit(&map);
    return blob;
}

static void send_from(int node, struct shard_address from, struct blob blob)
{
    struct wire_buffer body = {0};
    struct link_message message = {.type = WIRE_MAP_CHANGE, .partition = WIRE_PARTITION_META};
    struct shard_event event = {
        .kind = SHARD_EVENT_MESSAGE, .now_ms = cluster.now_ms, .from = from, .message = &message};

    cluster.reply = (struct wire_map_reply){0};
    wire_put_bin(&body, blob.data, blob.size);
    message.body = body.data;
    message.body_size = body.size;
    shard_step(cluster.shards[node], &event);
    wire_buffer_deinit(&body);
}

/* Asks the node's shard, lets it run and gives the answer. */
static uint8_t ask(int node, struct blob blob)
{
    send_from(node, (struct shard_address){.role = LINK_ROLE_NODE, .member = 2}, blob);
    cluster_run(&cluster, 200);
    return cluster.reply.outcome;
}

static uint8_t ask_map(int node, uint64_t epoch, void (*change)(struct ringmap *map))
{
    struct blob blob = map_of(epoch, change);
    uint8_t outcome = ask(node, blob);

    free(blob.data);
    return outcome;
}

static uint64_t log_last(int node)
{
    return shard_raft(cluster.shards[node], STORE_PARTITION_META)->log.last;
}

static void expect_told(uint64_t epoch)
{
    for (int node = 0; node < CLUSTER_NODES; node++)
        cr_assert_eq(cluster.told[node], epoch, "node %d was told of %lu", node,
                     (unsigned long)cluster.told[node]);
}

Test(shard_map, a_change_is_committed_once_and_every_voter_tells_its_node)
{
    int leader = begin();
    uint64_t last;

    cr_assert_eq(ask_map(leader, 2, NULL), WIRE_MAP_DONE);
    expect_told(2);
    last = log_last(leader);
    cr_assert_eq(ask_map(leader, 2, NULL), WIRE_MAP_DONE, "an answer that was lost");
    cr_assert_eq(log_last(leader), last, "nothing is committed twice");
    cr_assert_eq(ask_map(leader, 3, NULL), WIRE_MAP_DONE);
    expect_told(3);
    cluster_stop(&cluster);
}

static void other_voter(struct ringmap *map)
{
    map->meta_voter_count = 1;
    map->meta_voters[1] = map->meta_voters[2] = 0;
}

static void swap_replicas(struct ringmap *map)
{
    uint16_t first = map->replicas[0];

    map->replicas[0] = map->replicas[1];
    map->replicas[1] = first;
}

static void other_cluster(struct ringmap *map)
{
    map->cluster[3] ^= 1;
}

static void add_key(struct ringmap *map)
{
    uint8_t(*boxes)[RINGMAP_BOX_SIZE];

    cr_assert_eq(ringmap_add_key(map, 1, &boxes), 0);
}

Test(shard_map, what_may_not_come_next_is_refused_with_the_reason)
{
    int leader = begin();
    uint64_t last = log_last(leader);
    struct blob garbage = {(uint8_t[]){1, 2, 3}, 3};

    cr_assert_eq(ask_map(leader, 2, other_voter), WIRE_MAP_REFUSED);
    cr_assert_eq(ask_map(leader, 2, swap_replicas), WIRE_MAP_REFUSED);
    cr_assert_str_eq(cluster.reply.why, "replicas move by a plan only");
    cr_assert_eq(ask_map(leader, 2, other_cluster), WIRE_MAP_REFUSED);
    cr_assert_eq(ask_map(leader, 2, add_key), WIRE_MAP_REFUSED, "it was founded without");
    cr_assert_eq(ask(leader, garbage), WIRE_MAP_REFUSED);
    cr_assert_eq(log_last(leader), last);
    expect_told(1);
    cluster_stop(&cluster);
}

Test(shard_map, the_second_of_two_rivals_conflicts)
{
    int leader = begin();

    cr_assert_eq(ask_map(leader, 2, NULL), WIRE_MAP_DONE);
    cr_assert_eq(ask_map(leader, 2, swap_replicas), WIRE_MAP_CONFLICT);
    cr_assert_eq(cluster.reply.epoch, 2);
    cr_assert_eq(ask_map(leader, 1, NULL), WIRE_MAP_CONFLICT);
    cr_assert_eq(ask_map(leader, 4, NULL), WIRE_MAP_CONFLICT, "it skips one");
    expect_told(2);
    cluster_stop(&cluster);
}

Test(shard_map, who_does_not_lead_names_the_leader)
{
    int leader = begin();

    cr_assert_eq(ask_map((leader + 1) % CLUSTER_NODES, 2, NULL), WIRE_MAP_AGAIN);
    cr_assert_eq(cluster.reply.leader, leader + 1);
    expect_told(1);
    cluster_stop(&cluster);
}

Test(shard_map, another_change_waits_until_the_one_on_its_way_is_known)
{
    int leader = begin();
    struct blob second = map_of(2, NULL), third = map_of(3, NULL);
    struct shard_address node = {.role = LINK_ROLE_NODE, .member = 2};
    uint64_t last = log_last(leader);

    send_from(leader, node, second);
    send_from(leader, node, third);
    cr_assert_eq(log_last(leader), last + 1);
    cluster_run(&cluster, 200);
    cr_assert_eq(cluster.reply_count, 2, "AGAIN for one, DONE for the other");
    expect_told(2);
    cr_assert_eq(ask(leader, third), WIRE_MAP_DONE);
    free(second.data);
    free(third.data);
    cluster_stop(&cluster);
}

/* Nor does it get an answer. */
Test(shard_map, only_members_nodes_reach_it)
{
    int leader = begin();
    struct blob blob = map_of(2, NULL);
    uint64_t last = log_last(leader);

    send_from(leader, (struct shard_address){.role = LINK_ROLE_ROUTER, .link = 77}, blob);
    send_from(leader, (struct shard_address){.role = LINK_ROLE_ADMIN, .link = 77}, blob);
    send_from(leader, (struct shard_address){.role = LINK_ROLE_NODE, .member = 0}, blob);
    send_from(leader, (struct shard_address){.role = LINK_ROLE_NODE, .member = 4}, blob);
    cluster_run(&cluster, 200);
    cr_assert_eq(cluster.reply_count, 0);
    cr_assert_eq(log_last(leader), last);
    free(blob.data);
    cluster_stop(&cluster);
}

static void operate(int node, uint8_t operation, struct wire_bytes *args, uint32_t count)
{
    struct wire_buffer body = {0};
    struct link_message message = {.type = WIRE_OPS, .partition = WIRE_PARTITION_META};
    struct shard_event event = {.kind = SHARD_EVENT_MESSAGE,
                                .now_ms = cluster.now_ms,
                                .from = {.role = LINK_ROLE_ROUTER, .link = 77},
                                .message = &message};
    struct wire_op op = {.id = 4242,
                         .operation = operation,
                         .partition = WIRE_PARTITION_META,
                         .budget_ms = 1000,
                         .sequence = 1,
                         .arg_count = count};

    wire_put_ops_head(&body, 5);
    wire_put_op(&body, &op, args);
    message.body = body.data;
    message.body_size = body.size;
    cluster.result_count = 0;
    shard_step(cluster.shards[node], &event);
    wire_buffer_deinit(&body);
    cluster_run(&cluster, 200);
    cr_assert_eq(cluster_result(&cluster, 4242)->status, WIRE_STATUS_NOT_LEADER);
}

Test(shard_map, no_operation_of_a_client_reaches_the_meta_group)
{
    int leader = begin();
    struct wire_bytes args[] = {{(const uint8_t *)"map", 3}, {(const uint8_t *)"x", 1}};
    uint64_t last = log_last(leader);

    operate(leader, WIRE_OP_COUNT, NULL, 0);
    operate(leader, WIRE_OP_GET, args, 1);
    operate(leader, WIRE_OP_SET, args, 2);
    operate(leader, WIRE_OP_DEL, args, 1);
    cr_assert_eq(log_last(leader), last);
    cluster_stop(&cluster);
}

Test(shard_map, after_a_restart_of_all_it_is_the_one_that_was_committed)
{
    int leader = begin();

    cr_assert_eq(ask_map(leader, 2, NULL), WIRE_MAP_DONE);
    for (int i = 0; i < 40; i++) /* so that its segment goes, and it is not read from memory */
        cr_assert_eq(cluster_set(&cluster, "key", "some value or other")->status, WIRE_STATUS_OK);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_kill(&cluster, node);
    for (int node = 0; node < CLUSTER_NODES; node++) {
        cluster.told[node] = 0;
        vfs_mem_set_cold(cluster.disks[node], true);
        cluster_restart(&cluster, node);
    }
    cluster_await_leaders(&cluster);
    cluster_run(&cluster, 1500);
    expect_told(2);
    leader = cluster_leader(&cluster, STORE_PARTITION_META);
    cr_assert_eq(ask_map(leader, 2, swap_replicas), WIRE_MAP_CONFLICT);
    cr_assert_eq(ask_map(leader, 3, NULL), WIRE_MAP_DONE);
    cluster_stop(&cluster);
}

static void write_record(struct shard *shard, const char *name, const uint8_t *value, size_t size)
{
    const uint8_t *key = (const uint8_t *)name;
    struct hash_digest hash = hash_key(shard->hash_secret, key, strlen(name));
    struct keydir_digest digest = {.high = hash.high, .low = hash.low};
    struct record record = {.kind = RECORD_KIND_PUT,
                            .key = key,
                            .key_size = strlen(name),
                            .value = value,
                            .value_size = (uint32_t)size};

    cr_assert_eq(shard_propose(shard, shard->meta, &record, &digest, 1), 0);
}

/* As a node of a newer version would write it, which leads beside older ones. */
static void write_newer(struct shard *shard)
{
    struct blob blob = map_of(2, NULL);

    blob.data[4] = 99; /* the version */
    write_record(shard, "map", blob.data, blob.size);
    free(blob.data);
}

/* Most may be of the older version: who fenced itself for it goes on when it is the newer one. */
Test(shard_map, a_map_of_a_newer_version_leaves_no_fence_behind)
{
    const char *why = NULL;
    int leader = begin(), fenced = 0;

    write_newer(cluster.shards[leader]);
    cluster_run(&cluster, 5000);
    for (int node = 0; node < CLUSTER_NODES; node++) {
        fenced += shard_fenced(cluster.shards[node], STORE_PARTITION_META, NULL);
        store_checkpoint_soon(shard_store(cluster.shards[node]));
    }
    cr_assert_eq(fenced, 2, "none commits any more");
    cluster_run(&cluster, 200);
    for (int node = 0; node < CLUSTER_NODES; node++) {
        cluster_kill(&cluster, node);
        cluster_restart(&cluster, node);
        if (shard_fenced(cluster.shards[node], STORE_PARTITION_META, &why))
            cr_assert_str_eq(why, "the ring map is of a newer version", "node %d", node);
    }
    cluster_stop(&cluster);
}

/* Both are read from the disk at once, and the second comes when the first has fenced the replica.
 */
Test(shard_map, nor_do_two_records_of_a_newer_version)
{
    static const uint8_t tickets[] = {99};
    const char *why = NULL;
    int leader = begin(), fenced = 0;

    write_newer(cluster.shards[leader]);
    write_record(cluster.shards[leader], "tickets", tickets, sizeof tickets);
    cluster_run(&cluster, 5000);
    for (int restart = 0; restart < 2; restart++) {
        for (int node = 0; node < CLUSTER_NODES; node++) {
            cluster_kill(&cluster, node);
            vfs_mem_set_cold(cluster.disks[node], true);
            cluster_restart(&cluster, node);
        }
        for (int node = 0; node < CLUSTER_NODES; node++)
            if (shard_fenced(cluster.shards[node], STORE_PARTITION_META, &why)) {
                cr_assert_str_neq(why, "it was fenced before the restart", "node %d", node);
                fenced += restart;
            }
        cluster_run(&cluster, 5000);
        for (int node = 0; node < CLUSTER_NODES; node++)
            store_checkpoint_soon(shard_store(cluster.shards[node]));
        cluster_run(&cluster, 200);
    }
    cr_assert_gt(fenced, 0, "none reads what it cannot read");
    cluster_stop(&cluster);
}

/* Whoever asked asks the next leader for the same. */
Test(shard_map, a_change_that_outlives_its_leader_is_done_once)
{
    int leader = begin(), next;
    struct blob blob = map_of(2, NULL);

    send_from(leader, (struct shard_address){.role = LINK_ROLE_NODE, .member = 2}, blob);
    cluster_kill(&cluster, leader);
    for (int rounds = 0; rounds < 500; rounds++) {
        cluster_run(&cluster, 10);
        next = cluster_leader(&cluster, STORE_PARTITION_META);
        if (next >= 0)
            break;
    }
    cr_assert_geq(next, 0);
    cr_assert_eq(ask(next, blob), WIRE_MAP_DONE);
    cluster_restart(&cluster, leader);
    cluster_run(&cluster, 3000);
    expect_told(2);
    free(blob.data);
    cluster_stop(&cluster);
}

/* Segments that are gone soon, and come again under the numbers of those before. */
static void begin_small(void)
{
    cluster_begin(&cluster);
    cluster.options.log_size_max = 1;
    cluster.options.retain_entries_min = 0;
    cluster.options.store.segment_size = 8u << 10;
    cluster.options.store.zero_ahead_size = 8u << 10;
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_kill(&cluster, node);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_restart(&cluster, node);
    cluster_await_leaders(&cluster);
    for (int p = 0; p < CLUSTER_PARTITIONS; p++)
        cluster.epochs[p]++;
}

Test(shard_map, one_that_lies_where_the_one_before_lay_is_another, .timeout = 120)
{
    begin_small();
    for (uint64_t epoch = 2; epoch < 60; epoch++) {
        int leader = cluster_leader(&cluster, STORE_PARTITION_META);

        cr_assert_eq(ask_map(leader, epoch, NULL), WIRE_MAP_DONE, "epoch %d", (int)epoch);
        cr_assert_eq(ask_map(leader, epoch, other_cluster), WIRE_MAP_CONFLICT, "epoch %d",
                     (int)epoch);
        for (uint64_t i = 0; i < 8 + epoch % 23; i++)
            cr_assert_eq(cluster_set(&cluster, "key", "some value or other")->status,
                         WIRE_STATUS_OK);
        cluster.result_count = 0;
    }
    cluster_stop(&cluster);
}
