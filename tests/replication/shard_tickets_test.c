/* The tickets at the shards of the meta group: changed by compare-and-set beside the ring map. */
#include "shard_cluster.h"

#include "replication/raft.h"
#include "ring/tickets.h"

#include <criterion/criterion.h>
#include <sodium.h>

static struct cluster cluster;
static const struct shard_address a_node = {.role = LINK_ROLE_NODE, .member = 2};

static int begin(void)
{
    cr_assert(sodium_init() >= 0);
    cluster_begin(&cluster);
    return cluster_await_meta(&cluster);
}

static void step(int node, struct shard_address from, uint8_t type, const uint8_t *bytes,
                 size_t size)
{
    struct wire_buffer body = {0};
    struct link_message message = {.type = type, .partition = WIRE_PARTITION_META};
    struct shard_event event = {
        .kind = SHARD_EVENT_MESSAGE, .now_ms = cluster.now_ms, .from = from, .message = &message};

    cluster.tickets_reply = (struct wire_map_reply){0};
    if (bytes)
        wire_put_bin(&body, bytes, size);
    message.body = body.data;
    message.body_size = body.size;
    shard_step(cluster.shards[node], &event);
    wire_buffer_deinit(&body);
}

/* Tickets of that version; equal numbers of tickets make equal ones. */
static size_t encode(uint64_t version, uint32_t count, uint8_t out[TICKETS_ENCODED_MAX])
{
    static const uint8_t psk[TICKET_PSK_SIZE] = {1};
    static struct tickets tickets;
    uint32_t id;

    tickets_init(&tickets, psk);
    tickets.version = version;
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(tickets_new(&tickets, &(struct tickets_terms){.role = LINK_ROLE_NODE}, 1, &id),
                     0);
    tickets_encode(&tickets, out);
    return tickets_encoded_size(&tickets);
}

static uint8_t ask(int node, struct shard_address from, uint64_t version, uint32_t count)
{
    static uint8_t bytes[TICKETS_ENCODED_MAX];
    size_t size = encode(version, count, bytes);

    step(node, from, WIRE_TICKETS_CHANGE, bytes, size);
    cluster_run(&cluster, 200);
    return cluster.tickets_reply.outcome;
}

static void expect_told(uint64_t version)
{
    for (int node = 0; node < CLUSTER_NODES; node++)
        cr_assert_eq(cluster.told_tickets[node], version, "node %d was told of %lu", node,
                     (unsigned long)cluster.told_tickets[node]);
}

Test(shard_tickets, nobody_is_told_of_what_was_never_committed)
{
    int leader = begin();

    cluster_run(&cluster, 3000);
    expect_told(0);
    step(leader, a_node, WIRE_TICKETS_GET, NULL, 0);
    cluster_run(&cluster, 100);
    cr_assert_eq(cluster.tickets_given, 0);
    cluster_stop(&cluster);
}

Test(shard_tickets, a_change_is_committed_once_and_every_voter_tells_its_node)
{
    int leader = begin();
    uint64_t last;

    cr_assert_eq(ask(leader, a_node, 2, 1), WIRE_MAP_DONE);
    expect_told(2);
    last = shard_raft(cluster.shards[leader], STORE_PARTITION_META)->log.last;
    cr_assert_eq(ask(leader, a_node, 2, 1), WIRE_MAP_DONE, "an answer that was lost");
    cr_assert_eq(shard_raft(cluster.shards[leader], STORE_PARTITION_META)->log.last, last);
    cr_assert_eq(ask(leader, a_node, 3, 2), WIRE_MAP_DONE);
    expect_told(3);
    step(leader, a_node, WIRE_TICKETS_GET, NULL, 0);
    cluster_run(&cluster, 100);
    cr_assert_gt(cluster.tickets_given, 2 * 32);
    cluster_stop(&cluster);
}

Test(shard_tickets, the_second_of_two_rivals_conflicts)
{
    int leader = begin();

    cr_assert_eq(ask(leader, a_node, 3, 1), WIRE_MAP_CONFLICT, "it skips the second");
    cr_assert_eq(ask(leader, a_node, 1, 1), WIRE_MAP_CONFLICT);
    cr_assert_eq(ask(leader, a_node, 2, 1), WIRE_MAP_DONE);
    cr_assert_eq(ask(leader, a_node, 2, 2), WIRE_MAP_CONFLICT);
    cr_assert_eq(cluster.tickets_reply.epoch, 2);
    cr_assert_eq(ask(leader, a_node, 3, 0), WIRE_MAP_REFUSED, "ids would be given twice");
    expect_told(2);
    cluster_stop(&cluster);
}

Test(shard_tickets, nobody_but_members_nodes_reaches_them)
{
    static const struct shard_address others[] = {{.role = LINK_ROLE_ROUTER, .link = 77},
                                                  {.role = LINK_ROLE_ADMIN, .link = 77},
                                                  {.role = LINK_ROLE_NODE, .member = 0},
                                                  {.role = LINK_ROLE_NODE, .member = 9}};
    int leader = begin();

    cr_assert_eq(ask(leader, a_node, 2, 1), WIRE_MAP_DONE);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        cr_assert_eq(ask(leader, others[i], 3, 2), 0);
        step(leader, others[i], WIRE_TICKETS_GET, NULL, 0);
        cluster_run(&cluster, 100);
    }
    cr_assert_eq(cluster.tickets_given, 0);
    expect_told(2);
    cluster_stop(&cluster);
}

Test(shard_tickets, what_does_not_decode_is_refused)
{
    static uint8_t bytes[TICKETS_ENCODED_MAX];
    int leader = begin();
    size_t size = encode(2, 3, bytes);

    step(leader, a_node, WIRE_TICKETS_CHANGE, bytes, size - 1);
    cluster_run(&cluster, 100);
    cr_assert_eq(cluster.tickets_reply.outcome, WIRE_MAP_REFUSED);
    expect_told(0);
    cluster_stop(&cluster);
}

/* Two records of one group: neither takes the other's place, also after a restart of all. */
Test(shard_tickets, map_and_tickets_change_apart)
{
    struct wire_buffer body = {0};
    struct link_message message = {.type = WIRE_MAP_CHANGE, .partition = WIRE_PARTITION_META};
    struct shard_event event = {.kind = SHARD_EVENT_MESSAGE, .from = a_node, .message = &message};
    int leader = begin();

    cluster.map.epoch = 2;
    ringmap_encode(&cluster.map, wire_put_bin_space(&body, ringmap_encoded_size(&cluster.map)));
    cluster.map.epoch = 1;
    message.body = body.data;
    message.body_size = body.size;
    event.now_ms = cluster.now_ms;
    shard_step(cluster.shards[leader], &event);
    cr_assert_eq(ask(leader, a_node, 2, 1), WIRE_MAP_DONE);
    cr_assert_eq(cluster.reply.outcome, WIRE_MAP_DONE);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cluster_kill(&cluster, node);
    for (int node = 0; node < CLUSTER_NODES; node++) {
        cluster.told[node] = cluster.told_tickets[node] = 0;
        cluster_restart(&cluster, node);
    }
    cluster_await_leaders(&cluster);
    cluster_run(&cluster, 1500);
    expect_told(2);
    for (int node = 0; node < CLUSTER_NODES; node++)
        cr_assert_eq(cluster.told[node], 2);
    cr_assert_eq(ask(cluster_await_meta(&cluster), a_node, 3, 2), WIRE_MAP_DONE);
    wire_buffer_deinit(&body);
    cluster_stop(&cluster);
}
