/* Three nodes' control planes and a register in the meta group's place: messages are lost, doubled
 * and late, nodes restart, commands come twice and to several. What was answered holds, and in the
 * end all hold the same. */
#include "tests/dice.h"

#include "replication/node.h"
#include "ring/tickets_command.h"

#include <criterion/criterion.h>
#include <sodium.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES        3u
#define MESSAGES_MAX 4096u
#define NAMES        24u /* of tickets that are asked for, in a run */
#define KEYS         40u
#define STEPS        4000u
#define QUIET_MS     15000u

static const uint8_t secret[TICKET_PSK_SIZE] = {7, 7, 7};

struct parcel {
    bool to_meta;
    uint8_t to; /* node, or the node whose shard 0 it is */
    struct shard_address from;
    struct link_message message;
    uint8_t *body;
};

struct net {
    struct dice random;
    uint64_t now_ms;
    struct vfs *disks[NODES];
    struct node *nodes[NODES];
    struct node_effects effects;
    struct parcel parcels[MESSAGES_MAX];
    size_t parcel_count;
    bool quiet; /* nothing is lost any more */
    /* The register. */
    struct tickets meta;
    bool committed;
    uint32_t ids[NAMES]; /* that were answered, by name */
    uint32_t answers;
};

static struct net net;

static uint32_t below(uint32_t bound)
{
    return dice_pick(&net.random, bound);
}

/* --- messages ------------------------------------------------------------------------------ */

static void post(bool to_meta, uint8_t to, struct shard_address from,
                 const struct link_message *message)
{
    uint32_t copies = net.quiet ? 1 : below(10) < 2 ? 0 : 1 + (below(10) == 0);

    for (uint32_t i = 0; i < copies && net.parcel_count < MESSAGES_MAX; i++) {
        struct parcel *parcel = &net.parcels[net.parcel_count++];

        *parcel = (struct parcel){.to_meta = to_meta, .to = to, .from = from, .message = *message};
        parcel->body = malloc(message->body_size + 1);
        if (message->body_size > 0)
            memcpy(parcel->body, message->body, message->body_size);
        parcel->message.body = parcel->body;
    }
}

static void take_answer(const struct link_message *message)
{
    static struct tickets_reply reply;
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, message->body, message->body_size);
    cr_assert(tickets_reply_get(&cursor, &reply));
    /* A ticket of a secret that was retired meanwhile has no psk any more. */
    if (reply.outcome != WIRE_MAP_DONE || message->correlation == NAMES || !reply.has_psk)
        return;
    cr_assert_lt(message->correlation, NAMES);
    cr_assert(net.ids[message->correlation] == 0 || net.ids[message->correlation] == reply.id,
              "one command made two tickets");
    net.ids[message->correlation] = reply.id;
    net.answers++;
}

static void send_all(uint8_t from)
{
    struct shard_address own = {.role = LINK_ROLE_NODE, .member = (uint16_t)(from + 1)};

    cr_assert_eq(net.effects.fatal, 0);
    for (size_t i = 0; i < net.effects.send_count; i++) {
        const struct shard_send *send = &net.effects.sends[i];

        if (send->to.role == LINK_ROLE_ADMIN)
            take_answer(&send->message);
        else if (send->to.role == LINK_ROLE_NODE)
            post(send->message.partition == WIRE_PARTITION_META, (uint8_t)(send->to.member - 1),
                 own, &send->message);
    }
}

static void step(uint8_t node, struct node_event *event)
{
    event->now_ms = net.now_ms;
    event->wall_ms = 1000000 + net.now_ms;
    node_step(net.nodes[node], event, &net.effects);
    node_check(net.nodes[node]);
    send_all(node);
}

/* --- the register -------------------------------------------------------------------------- */

static struct wire_map_reply compare_and_set(const uint8_t *bytes, size_t size)
{
    static uint8_t now[TICKETS_ENCODED_MAX];
    static struct tickets next;
    struct wire_map_reply reply = {.outcome = WIRE_MAP_DONE};

    tickets_encode(&net.meta, now);
    if (!net.quiet && below(5) == 0) {
        reply.outcome = WIRE_MAP_AGAIN;
        reply.leader = (uint16_t)(1 + below(NODES));
    } else if (net.committed && size == tickets_encoded_size(&net.meta) &&
               memcmp(now, bytes, size) == 0) {
        reply.outcome = WIRE_MAP_DONE;
    } else {
        cr_assert_eq(tickets_decode(bytes, size, &next), 0);
        if (next.version == net.meta.version + 1) {
            cr_assert_null(tickets_follows_problem(&next, &net.meta));
            net.meta = next;
            net.committed = true;
        } else {
            reply.outcome = WIRE_MAP_CONFLICT;
        }
    }
    reply.epoch = net.meta.version;
    return reply;
}

static void ask_meta(const struct parcel *parcel)
{
    struct shard_address shard = {.role = LINK_ROLE_NODE, .member = (uint16_t)(parcel->to + 1)};
    struct link_message message = {.partition = WIRE_PARTITION_NODE,
                                   .correlation = parcel->message.correlation};
    struct wire_buffer body = {0};
    struct wire_cursor cursor;
    const uint8_t *bytes;
    size_t size;

    wire_cursor_init(&cursor, parcel->message.body, parcel->message.body_size);
    if (parcel->message.type == WIRE_TICKETS_CHANGE) {
        struct wire_map_reply reply;

        bytes = wire_get_bin(&cursor, TICKETS_ENCODED_MAX, &size);
        cr_assert_not_null(bytes);
        reply = compare_and_set(bytes, size);
        wire_put_map_reply(&body, &reply);
        message.type = WIRE_TICKETS_CHANGE_REPLY;
    } else if (parcel->message.type == WIRE_TICKETS_GET && net.committed) {
        uint8_t *out = wire_put_bin_space(&body, tickets_encoded_size(&net.meta));

        tickets_encode(&net.meta, out);
        message.type = WIRE_TICKETS;
    }
    message.body = body.data;
    message.body_size = body.size;
    if (message.type)
        post(false, (uint8_t)(parcel->from.member - 1), shard, &message);
    wire_buffer_deinit(&body);
}

/* Its own shard 0 tells a node what is committed. */
static void tell(uint8_t node)
{
    struct link_message message = {.type = WIRE_TICKETS_VERSION, .partition = WIRE_PARTITION_NODE};
    struct wire_buffer body = {0};

    if (!net.committed)
        return;
    wire_put_map_epoch(&body, net.meta.version);
    message.body = body.data;
    message.body_size = body.size;
    post(false, node, (struct shard_address){.role = LINK_ROLE_NODE, .member = node + 1u},
         &message);
    wire_buffer_deinit(&body);
}

static void deliver(size_t at)
{
    struct parcel parcel = net.parcels[at];

    net.parcels[at] = net.parcels[--net.parcel_count];
    if (parcel.to_meta)
        ask_meta(&parcel);
    else
        step(parcel.to, &(struct node_event){.kind = NODE_EVENT_MESSAGE,
                                             .from = parcel.from,
                                             .message = &parcel.message});
    free(parcel.body);
}

/* --- life ---------------------------------------------------------------------------------- */

static void bring(uint8_t node, uint8_t type, const void *bytes, size_t size)
{
    struct wire_buffer body = {0};
    struct link_message message = {.type = type, .partition = WIRE_PARTITION_NODE};

    wire_put_bin(&body, bytes, size);
    message.body = body.data;
    message.body_size = body.size;
    node_step(net.nodes[node],
              &(struct node_event){.kind = NODE_EVENT_MESSAGE,
                                   .now_ms = net.now_ms,
                                   .from = {.role = LINK_ROLE_ADMIN, .link = 1},
                                   .message = &message},
              &net.effects);
    wire_buffer_deinit(&body);
}

static void found(uint8_t node)
{
    uint8_t hash[RINGMAP_HASH_SIZE];
    struct ringmap map;
    uint8_t *bytes;
    size_t size;

    cr_assert_eq(ringmap_init(&map, NODES, 8, 1), 0);
    map.epoch = 1;
    for (uint32_t i = 0; i < NODES; i++) {
        map.members[i].public_key[0] = (uint8_t)(i + 1);
        map.members[i].id = (uint16_t)(i + 1);
        map.members[i].weight = 100;
        map.members[i].state = RINGMAP_STATE_ACTIVE;
        snprintf(map.members[i].address, sizeof map.members[i].address, "127.0.0.1:%u", 7001 + i);
        map.meta_voters[i] = (uint16_t)(i + 1);
    }
    map.meta_voter_count = NODES;
    for (int p = 0; p < 8; p++)
        map.replicas[p] = 1;
    size = ringmap_encoded_size(&map);
    bytes = malloc(size);
    ringmap_encode(&map, bytes);
    ringmap_hash(bytes, size, hash);
    bring(node, WIRE_PREPARE, bytes, size);
    bring(node, WIRE_COMMIT, hash, sizeof hash);
    cr_assert_not_null(node_map(net.nodes[node]));
    ringmap_deinit(&map);
    free(bytes);
}

static void start(uint8_t node)
{
    struct node_options options = {
        .public_key = {(uint8_t)(node + 1)}, .shards = 1, .ask_ms = 500, .has_secret = true};

    memcpy(options.secret, secret, sizeof secret);
    cr_assert_eq(node_open(&net.nodes[node], net.disks[node], &options), 0);
    if (!node_map(net.nodes[node]))
        found(node);
    for (uint16_t peer = 1; peer <= NODES; peer++)
        if (peer != node + 1u)
            step(node, &(struct node_event){.kind = NODE_EVENT_LINK_UP,
                                            .from = {.role = LINK_ROLE_NODE, .member = peer}});
}

static void command(uint8_t node, const struct tickets_command *asked, uint64_t correlation)
{
    struct link_message message = {
        .type = WIRE_TICKET_COMMAND, .partition = WIRE_PARTITION_NODE, .correlation = correlation};
    struct wire_buffer body = {0};

    tickets_command_put(&body, asked);
    message.body = body.data;
    message.body_size = body.size;
    step(node, &(struct node_event){.kind = NODE_EVENT_MESSAGE,
                                    .from = {.role = LINK_ROLE_ADMIN, .link = 1},
                                    .message = &message});
    wire_buffer_deinit(&body);
}

/* --- what happens -------------------------------------------------------------------------- */

static void ask_new(uint8_t node)
{
    uint32_t name = below(NAMES);

    command(node,
            &(struct tickets_command){
                .kind = TICKETS_NEW,
                .terms = {.name = 1000 + name, .role = LINK_ROLE_ROUTER, .uses_max = name % 3}},
            name);
}

static void ask_redeem(uint8_t node)
{
    struct tickets_command asked = {.kind = TICKETS_REDEEM,
                                    .id = 1 + below(NAMES),
                                    .role = LINK_ROLE_ROUTER,
                                    .public_key = {(uint8_t)below(KEYS)}};

    step(node, &(struct node_event){.kind = NODE_EVENT_REDEEM, .command = &asked});
}

static void ask_rotation(uint8_t node)
{
    const struct tickets *tickets = node_tickets(net.nodes[node]);
    struct tickets_command asked = {.kind = (uint8_t)(TICKETS_PREPARE + below(4)),
                                    .generation = tickets->offered.generation + below(2)};

    asked.psk[0] = (uint8_t)(1 + below(200));
    if (asked.kind == TICKETS_RETIRE)
        asked.generation = tickets->other.generation;
    command(node, &asked, NAMES);
}

static void any_event(void)
{
    uint8_t node = (uint8_t)below(NODES);

    switch (below(40)) {
    case 0:
        ask_new(node);
        break;
    case 1:
        ask_redeem(node);
        break;
    case 2:
        command(node, &(struct tickets_command){.kind = TICKETS_REVOKE, .id = 1 + below(NAMES)},
                NAMES);
        break;
    case 3:
        if (below(20) == 0)
            ask_rotation(node);
        break;
    case 4:
        if (below(10) == 0) {
            node_close(net.nodes[node]);
            start(node);
        }
        break;
    case 5:
        tell(node);
        break;
    case 6:
    case 7:
    case 8:
        net.now_ms += below(100);
        step(node, &(struct node_event){.kind = NODE_EVENT_TICK});
        break;
    default:
        if (net.parcel_count > 0)
            deliver(below((uint32_t)net.parcel_count));
    }
}

static void settle(void)
{
    uint64_t until_ms = net.now_ms + QUIET_MS;

    net.quiet = true;
    while (net.now_ms < until_ms) {
        net.now_ms += 100;
        for (uint8_t node = 0; node < NODES; node++) {
            tell(node);
            step(node, &(struct node_event){.kind = NODE_EVENT_TICK});
        }
        while (net.parcel_count > 0)
            deliver(0);
    }
}

static void expect_all_good(uint64_t seed)
{
    static uint8_t want[TICKETS_ENCODED_MAX], have[TICKETS_ENCODED_MAX];
    size_t size = tickets_encoded_size(&net.meta);

    tickets_encode(&net.meta, want);
    for (uint8_t node = 0; node < NODES; node++) {
        const struct tickets *tickets = node_tickets(net.nodes[node]);

        cr_assert_eq(tickets->version, net.meta.version, "seed %d: node %u stays at %d of %d",
                     (int)seed, node, (int)tickets->version, (int)net.meta.version);
        cr_assert_eq(tickets_encoded_size(tickets), size);
        tickets_encode(tickets, have);
        cr_assert_eq(memcmp(have, want, size), 0, "seed %d: node %u", (int)seed, node);
    }
    for (uint32_t i = 0; i < net.meta.count; i++) {
        const struct tickets_record *record = &net.meta.records[i];

        for (uint32_t k = 0; k < i; k++)
            cr_assert_neq(net.meta.records[k].name, record->name, "seed %d", (int)seed);
        cr_assert_leq(record->uses, record->uses_max);
    }
    for (uint32_t name = 0; name < NAMES; name++) {
        const struct tickets_record *record = tickets_find(&net.meta, net.ids[name]);

        cr_assert(net.ids[name] == 0 || (record && record->name == 1000 + name),
                  "seed %d: ticket %u was answered and is not there", (int)seed, net.ids[name]);
    }
}

Test(node_tickets_net, what_was_answered_holds_and_all_come_to_hold_the_same, .timeout = 300)
{
    uint64_t versions = 0, answers = 0;

    cr_assert(sodium_init() >= 0);
    for (uint64_t seed = 1; seed <= 25; seed++) {
        net = (struct net){.random = {seed}, .now_ms = 1000};
        tickets_init(&net.meta, secret);
        for (uint8_t node = 0; node < NODES; node++) {
            net.disks[node] = vfs_mem_new();
            start(node);
        }
        for (uint32_t i = 0; i < STEPS; i++)
            any_event();
        settle();
        expect_all_good(seed);
        versions += net.meta.version;
        answers += net.answers;
        for (uint8_t node = 0; node < NODES; node++) {
            node_close(net.nodes[node]);
            vfs_mem_free(net.disks[node]);
        }
    }
    cr_assert_gt(versions, 25 * 20, "little happened: %d versions", (int)versions);
    cr_assert_gt(answers, 25 * 5, "little was answered: %d", (int)answers);
}
