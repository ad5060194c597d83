#include "replication/node_gossip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <sodium.h>

#include "ring/identity.h"

#define NODES 3u

struct letter;

/* Hosts whose messages arrive at once. */
struct cluster {
    struct ringmap map;
    struct identity identities[NODES + 1];
    struct node_gossip *nodes[NODES + 1]; /* by member; NULL: down */
    char addresses[NODES + 1][RINGMAP_ADDRESS_SIZE];
    struct node_gossip_move move; /* the last */
    unsigned moves;
    uint64_t counters[NODES + 1];    /* by member: its own, */
    uint64_t heard[NODES + 1];       /* and the highest that member 1 was told of */
    uint64_t ahead_epoch[NODES + 1]; /* by member: the last that it was told of, */
    uint16_t ahead[NODES + 1];       /* and who holds it */
    uint64_t now_ms, random;
    uint64_t operations;
    struct letter *letters; /* under way */
};

struct letter {
    struct letter *next;
    uint16_t from, to;
    struct link_message message;
    uint8_t bytes[];
};

static void post(struct cluster *cluster, uint16_t from, const struct shard_send *send)
{
    struct letter *letter = malloc(sizeof *letter + send->message.body_size);
    struct letter **end = &cluster->letters;

    cr_assert(letter);
    cr_assert_eq(send->to.role, LINK_ROLE_NODE);
    cr_assert_eq(send->message.type, WIRE_GOSSIP);
    cr_assert_eq(send->message.partition, WIRE_PARTITION_NODE);
    letter->next = NULL;
    letter->from = from;
    letter->to = send->to.member;
    letter->message = send->message;
    memcpy(letter->bytes, send->message.body, send->message.body_size);
    letter->message.body = letter->bytes;
    while (*end)
        end = &(*end)->next;
    *end = letter;
}

static void step(struct cluster *cluster, uint16_t member, struct node_gossip_event *event)
{
    static struct node_gossip_effects effects;

    event->now_ms = cluster->now_ms;
    event->random = cluster->random++;
    event->operations = cluster->operations;
    event->bytes = cluster->operations * 50;
    event->leaders_digest = member + 100u;
    event->counter = cluster->counters[member];
    node_gossip_step(cluster->nodes[member], event, &effects);
    cr_assert_eq(effects.fatal, 0);
    for (size_t i = 0; i < effects.send_count; i++)
        post(cluster, member, &effects.sends[i]);
    for (size_t i = 0; i < effects.move_count; i++) {
        cluster->move = effects.moves[i];
        cluster->moves++;
    }
    for (size_t i = 0; member == 1 && i < effects.change_count; i++)
        if (effects.changes[i].counter != 0)
            cluster->heard[effects.changes[i].member] = effects.changes[i].counter;
    if (effects.ahead_epoch != 0) {
        cluster->ahead_epoch[member] = effects.ahead_epoch;
        cluster->ahead[member] = effects.ahead;
    }
}

static void deliver(struct cluster *cluster)
{
    while (cluster->letters) {
        struct letter *letter = cluster->letters;

        cluster->letters = letter->next;
        if (cluster->nodes[letter->to])
            step(cluster, letter->to,
                 &(struct node_gossip_event){
                     .kind = NODE_GOSSIP_MESSAGE,
                     .from = {.role = LINK_ROLE_NODE, .member = letter->from},
                     .message = &letter->message});
        free(letter);
    }
}

static void run(struct cluster *cluster, uint64_t ms)
{
    for (uint64_t i = 0; i < ms; i += 10) {
        cluster->now_ms += 10;
        cluster->operations += 10;
        for (uint16_t member = 1; member <= NODES; member++)
            if (cluster->nodes[member])
                step(cluster, member, &(struct node_gossip_event){.kind = NODE_GOSSIP_TICK});
        deliver(cluster);
    }
}

static void start(struct cluster *cluster, uint16_t member)
{
    struct node_gossip_options options = {
        .signer = swim_signer_ed25519(cluster->identities[member].secret_key)};

    memcpy(options.cluster, cluster->map.cluster, sizeof options.cluster);
    memcpy(options.address, cluster->addresses[member], sizeof options.address);
    cr_assert_eq(node_gossip_open(&cluster->nodes[member], &options), 0);
    cr_assert_null(node_gossip_swim(cluster->nodes[member]), "silent without a map");
    step(cluster, member, &(struct node_gossip_event){.kind = NODE_GOSSIP_TICK});
    cr_assert_null(cluster->letters);
    step(
        cluster, member,
        &(struct node_gossip_event){.kind = NODE_GOSSIP_MAP, .map = &cluster->map, .self = member});
    cr_assert(node_gossip_swim(cluster->nodes[member]));
}

static void stop(struct cluster *cluster, uint16_t member)
{
    node_gossip_close(cluster->nodes[member]);
    cluster->nodes[member] = NULL;
}

static void cluster_open(struct cluster *cluster)
{
    cr_assert_geq(sodium_init(), 0);
    *cluster = (struct cluster){.now_ms = 1000, .random = 1};
    cr_assert_eq(ringmap_init(&cluster->map, NODES, 8, 3), 0);
    cluster->map.epoch = 1;
    memset(cluster->map.cluster, 7, sizeof cluster->map.cluster);
    for (uint16_t member = 1; member <= NODES; member++) {
        struct ringmap_member *entry = &cluster->map.members[member - 1];
        uint8_t seed[IDENTITY_SEED_SIZE] = {(uint8_t)member};

        identity_from_seed(&cluster->identities[member], seed);
        entry->id = member;
        entry->state = RINGMAP_STATE_ACTIVE;
        memcpy(entry->public_key, cluster->identities[member].public_key, RINGMAP_KEY_SIZE);
        snprintf(entry->address, sizeof entry->address, "10.0.0.%u:7000", member);
        memcpy(cluster->addresses[member], entry->address, sizeof entry->address);
    }
}

static void cluster_close(struct cluster *cluster)
{
    for (uint16_t member = 1; member <= NODES; member++)
        stop(cluster, member);
    ringmap_deinit(&cluster->map);
}

/* What the node answers to an admin about the member. */
static struct wire_liveness ask(struct cluster *cluster, uint16_t node, uint16_t member)
{
    static struct node_gossip_effects effects;
    struct link_message question = {
        .type = WIRE_LIVENESS_GET, .partition = WIRE_PARTITION_NODE, .correlation = 99};
    struct node_gossip_event event = {.kind = NODE_GOSSIP_MESSAGE,
                                      .now_ms = cluster->now_ms,
                                      .from = {.role = LINK_ROLE_ADMIN, .link = 5},
                                      .message = &question};
    struct wire_liveness liveness = {0}, found = {0};
    struct wire_cursor cursor;

    node_gossip_step(cluster->nodes[node], &event, &effects);
    cr_assert_eq(effects.send_count, 1);
    cr_assert_eq(effects.sends[0].to.role, LINK_ROLE_ADMIN);
    cr_assert_eq(effects.sends[0].to.link, 5);
    cr_assert_eq(effects.sends[0].message.type, WIRE_LIVENESS);
    cr_assert_eq(effects.sends[0].message.correlation, 99);
    wire_cursor_init(&cursor, effects.sends[0].message.body, effects.sends[0].message.body_size);
    while (!wire_cursor_done(&cursor)) {
        cr_assert(wire_get_liveness(&cursor, &liveness));
        if (liveness.member == member)
            found = liveness;
    }
    return found;
}

/* Whether who asks by a node's link is told; the answer goes to that very link. */
static bool is_told(struct cluster *cluster, uint16_t node, struct shard_address from)
{
    static struct node_gossip_effects effects;
    struct link_message question = {.type = WIRE_LIVENESS_GET, .partition = WIRE_PARTITION_NODE};
    struct node_gossip_event event = {
        .kind = NODE_GOSSIP_MESSAGE, .now_ms = cluster->now_ms, .from = from, .message = &question};

    node_gossip_step(cluster->nodes[node], &event, &effects);
    if (effects.send_count == 0)
        return false;
    cr_assert_eq(effects.send_count, 1);
    cr_assert_eq(effects.sends[0].to.role, from.role);
    cr_assert_eq(effects.sends[0].to.member, from.member);
    cr_assert_eq(effects.sends[0].to.link, from.link);
    return true;
}

Test(node_gossip, members_learn_of_each_other_and_of_a_death_and_of_a_leave)
{
    struct cluster cluster;
    struct wire_liveness heard;

    cluster_open(&cluster);
    for (uint16_t member = 1; member <= NODES; member++)
        start(&cluster, member);
    run(&cluster, 8000);
    heard = ask(&cluster, 1, 3);
    cr_assert_eq(heard.standing, SWIM_ALIVE);
    cr_assert(heard.heard);
    cr_assert_eq(heard.age_ms, 8000);
    cr_assert_eq(heard.epoch, 1);
    cr_assert_str_eq(heard.address, "10.0.0.3:7000");
    cr_assert_eq(heard.operations, 1000);
    cr_assert_eq(heard.bytes, 50000, "a second, too");
    cr_assert_eq(heard.leaders_digest, 103);
    stop(&cluster, 3);
    run(&cluster, 2500);
    cr_assert_eq(ask(&cluster, 1, 3).standing, SWIM_DEAD);
    cr_assert_eq(ask(&cluster, 2, 3).standing, SWIM_DEAD);
    cr_assert_lt(ask(&cluster, 2, 3).age_ms, 2500);
    step(&cluster, 2, &(struct node_gossip_event){.kind = NODE_GOSSIP_LEAVE});
    deliver(&cluster);
    cr_assert_eq(ask(&cluster, 1, 2).standing, SWIM_LEFT);
    cluster_close(&cluster);
}

Test(node_gossip, counters_are_heard_also_by_who_was_away_and_of_who_is_gone)
{
    struct cluster cluster;

    cluster_open(&cluster);
    for (uint16_t member = 1; member <= NODES; member++)
        start(&cluster, member);
    cluster.counters[3] = 4;
    run(&cluster, 6000);
    cr_assert_eq(cluster.heard[3], 4);
    stop(&cluster, 1);
    cluster.counters[3] = 6;
    run(&cluster, 6000);
    stop(&cluster, 3);
    run(&cluster, 2500);
    start(&cluster, 1); /* of whom else it can hear it is up to member 2 */
    run(&cluster, 2000);
    cr_assert_eq(cluster.heard[3], 6);
    cluster_close(&cluster);
}

Test(node_gossip, a_node_is_found_at_another_address)
{
    struct cluster cluster;

    cluster_open(&cluster);
    for (uint16_t member = 1; member <= NODES; member++)
        start(&cluster, member);
    run(&cluster, 1000);
    stop(&cluster, 2);
    run(&cluster, 1000);
    cluster.moves = 0;
    strcpy(cluster.addresses[2], "192.168.1.2:9000");
    start(&cluster, 2);
    run(&cluster, 2000);
    cr_assert_geq(cluster.moves, 2, "both others are told");
    cr_assert_str_eq(ask(&cluster, 1, 2).address, "192.168.1.2:9000");
    cr_assert_eq(ask(&cluster, 1, 2).standing, SWIM_ALIVE);
    cluster_close(&cluster);
}

Test(node_gossip, that_a_member_holds_a_newer_map_is_told_once)
{
    struct cluster cluster;

    cluster_open(&cluster);
    for (uint16_t member = 1; member <= NODES; member++)
        start(&cluster, member);
    run(&cluster, 1000);
    cr_assert_eq(cluster.ahead_epoch[1], 0);
    cluster.map.epoch = 5;
    step(&cluster, 2,
         &(struct node_gossip_event){.kind = NODE_GOSSIP_MAP, .map = &cluster.map, .self = 2});
    run(&cluster, 1000);
    for (uint16_t member = 1; member <= NODES; member += 2) {
        cr_assert_eq(cluster.ahead_epoch[member], 5);
        cr_assert_eq(cluster.ahead[member], 2);
        cluster.ahead_epoch[member] = 0;
    }
    cr_assert_eq(cluster.ahead_epoch[2], 0, "the others' is older");
    run(&cluster, 20000);
    cr_assert_eq(cluster.ahead_epoch[1], 0, "that is known");
    cluster_close(&cluster);
}

/* It is heard of and found, and changes nothing but that. */
Test(node_gossip, a_joiner_is_found_and_leads_nobody_astray)
{
    struct cluster cluster;
    struct wire_liveness heard;

    cluster_open(&cluster);
    cluster.map.members[2].state = RINGMAP_STATE_JOINING;
    for (uint16_t member = 1; member <= NODES; member++)
        start(&cluster, member);
    cluster.map.epoch = 99;
    step(&cluster, 3,
         &(struct node_gossip_event){.kind = NODE_GOSSIP_MAP, .map = &cluster.map, .self = 3});
    run(&cluster, 30000);
    heard = ask(&cluster, 1, 3);
    cr_assert(heard.heard);
    cr_assert_str_eq(heard.address, cluster.addresses[3]);
    cr_assert_eq(heard.standing, SWIM_ALIVE);
    cr_assert_eq(heard.leaders_digest, 0, "it leads nothing, whatever it says");
    cr_assert_eq(ask(&cluster, 1, 2).leaders_digest, 102);
    cr_assert_eq(cluster.ahead_epoch[1], 0, "nobody asks for a map that it says there is");
    cluster_close(&cluster);
}

/* --listen 0.0.0.0:7000 says nothing of where others reach the node. */
Test(node_gossip, an_address_of_nowhere_is_not_told)
{
    static const char *const any[] = {"0.0.0.0:7000", "[::]:7000"};

    for (size_t i = 0; i < 2; i++) {
        struct cluster cluster;

        cluster_open(&cluster);
        snprintf(cluster.addresses[2], sizeof cluster.addresses[2], "%s", any[i]);
        for (uint16_t member = 1; member <= NODES; member++)
            start(&cluster, member);
        run(&cluster, 1000);
        cr_assert_str_eq(ask(&cluster, 1, 2).address, "10.0.0.2:7000");
        cluster_close(&cluster);
    }
}

Test(node_gossip, only_members_gossip_and_bad_bytes_do_no_harm)
{
    struct cluster cluster;
    struct wire_buffer body = {0};
    struct link_message message = {.type = WIRE_GOSSIP, .partition = WIRE_PARTITION_NODE};
    struct node_gossip_event event = {.kind = NODE_GOSSIP_MESSAGE, .message = &message};
    static const struct shard_address strangers[] = {{.role = LINK_ROLE_ROUTER, .member = 2},
                                                     {.role = LINK_ROLE_ADMIN, .member = 2},
                                                     {.role = LINK_ROLE_NODE, .member = 0},
                                                     {.role = LINK_ROLE_NODE, .member = 9},
                                                     {.role = LINK_ROLE_NODE, .member = 1}};

    cluster_open(&cluster);
    start(&cluster, 1);
    swim_put_packet(&body, &(struct swim_packet){.kind = SWIM_PING, .nonce = 1, .subject = 1});
    message.body = body.data;
    message.body_size = body.size;
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        event.from = strangers[i];
        step(&cluster, 1, &event);
        cr_assert_null(cluster.letters, "stranger %zu is answered", i);
    }
    event.from = (struct shard_address){.role = LINK_ROLE_NODE, .member = 2};
    for (message.body_size = 0; message.body_size < body.size; message.body_size++) {
        step(&cluster, 1, &event);
        cr_assert_null(cluster.letters, "%zu bytes are answered", message.body_size);
    }
    step(&cluster, 1, &event);
    cr_assert(cluster.letters);
    deliver(&cluster);
    wire_buffer_deinit(&body);
    cluster_close(&cluster);
}

/* A stranger's or a removed node's link has no member, or one that the map does not know. */
Test(node_gossip, what_was_heard_is_told_to_nobody_who_is_no_member)
{
    struct shard_address from = {.role = LINK_ROLE_NODE, .link = 70};
    struct cluster cluster;

    cluster_open(&cluster);
    start(&cluster, 1);
    cr_assert_not(is_told(&cluster, 1, from));
    from.member = NODES + 1;
    cr_assert_not(is_told(&cluster, 1, from));
    from.member = 2;
    cr_assert(is_told(&cluster, 1, from));
    from = (struct shard_address){.role = LINK_ROLE_ROUTER, .link = 71};
    cr_assert(is_told(&cluster, 1, from));
    cluster_close(&cluster);
}

Test(node_gossip, a_node_is_in_touch_while_it_hears_of_one_that_is_not_dead)
{
    struct cluster cluster;

    cluster_open(&cluster);
    start(&cluster, 1);
    run(&cluster, 500);
    cr_assert_not(node_gossip_in_touch(cluster.nodes[1]), "none is held dead, but none was heard");
    for (uint16_t member = 2; member <= NODES; member++)
        start(&cluster, member);
    run(&cluster, 2000);
    cr_assert(node_gossip_in_touch(cluster.nodes[1]));
    stop(&cluster, 2);
    run(&cluster, 5000);
    cr_assert(node_gossip_in_touch(cluster.nodes[1]));
    for (uint16_t member = 3; member <= NODES; member++)
        stop(&cluster, member);
    run(&cluster, 5000);
    cr_assert_not(node_gossip_in_touch(cluster.nodes[1]), "all are held dead");
    cluster_close(&cluster);
}

Test(node_gossip, a_removed_node_is_silent_and_not_heard)
{
    const struct shard_address third = {.role = LINK_ROLE_NODE, .member = 3, .link = 73};
    struct cluster cluster;

    cluster_open(&cluster);
    for (uint16_t member = 1; member <= NODES; member++)
        start(&cluster, member);
    run(&cluster, 1000);
    cr_assert(is_told(&cluster, 1, third));
    cluster.map.epoch = 2;
    cluster.map.members[2].state = RINGMAP_STATE_REMOVED;
    for (uint16_t member = 1; member < NODES; member++)
        step(&cluster, member,
             &(struct node_gossip_event){
                 .kind = NODE_GOSSIP_MAP, .map = &cluster.map, .self = member});
    run(&cluster, 3000);
    cr_assert_eq(ask(&cluster, 1, 3).member, 0);
    cr_assert_eq(ask(&cluster, 1, 2).epoch, 2);
    cr_assert_not(is_told(&cluster, 1, third), "as when its message was under way");
    step(&cluster, 3,
         &(struct node_gossip_event){.kind = NODE_GOSSIP_MAP, .map = &cluster.map, .self = 3});
    cr_assert_null(node_gossip_swim(cluster.nodes[3]));
    cr_assert_not(is_told(&cluster, 3, (struct shard_address){.role = LINK_ROLE_NODE, .member = 1}),
                  "it has heard of nobody");
    step(&cluster, 3, &(struct node_gossip_event){.kind = NODE_GOSSIP_TICK});
    cr_assert_null(cluster.letters);
    stop(&cluster, 3);
    cluster_close(&cluster);
}
