/* Tickets at a node's control plane: how they come, who gets them, what commands do. */
#include "replication/node.h"
#include "ring/tickets_command.h"

#include <criterion/criterion.h>
#include <sodium.h>

#include <errno.h>
#include <string.h>

#define MEMBERS 3u

static struct node_options options = {
    .public_key = {1}, .cluster = {1, 2}, .shards = 1, .ask_ms = 500};
static const struct shard_address peer = {.role = LINK_ROLE_NODE, .member = 2};
static const struct shard_address own = {.role = LINK_ROLE_NODE, .member = 1};
static const struct shard_address admin = {.role = LINK_ROLE_ADMIN, .link = 9};
static const struct shard_address router = {.role = LINK_ROLE_ROUTER, .link = 8};

static struct vfs *vfs;
static struct node *node;
static struct node_effects effects;
static uint64_t now_ms = 1;
static uint32_t ticket; /* of the link that the next message comes on */

static void step(uint8_t kind, struct shard_address from, const struct link_message *message)
{
    struct node_event event = {.kind = kind,
                               .now_ms = now_ms,
                               .wall_ms = 1000000 + now_ms,
                               .from = from,
                               .ticket = ticket,
                               .message = message};

    node_step(node, &event, &effects);
    node_check(node);
}

static void tick(uint64_t ms)
{
    now_ms += ms;
    step(NODE_EVENT_TICK, (struct shard_address){0}, NULL);
}

/* Takes the body. */
static void bring(struct shard_address from, uint8_t type, struct wire_buffer *body,
                  uint64_t correlation)
{
    struct link_message message = {.type = type,
                                   .partition = WIRE_PARTITION_NODE,
                                   .correlation = correlation,
                                   .body = body->data,
                                   .body_size = body->size};

    step(NODE_EVENT_MESSAGE, from, &message);
    wire_buffer_deinit(body);
}

static void put_genesis(struct wire_buffer *body, uint8_t hash[RINGMAP_HASH_SIZE])
{
    struct ringmap map;
    uint8_t *out;

    cr_assert_eq(ringmap_init(&map, MEMBERS, 8, 1), 0);
    map.epoch = 1;
    memcpy(map.cluster, options.cluster, sizeof map.cluster);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        map.members[i].public_key[0] = (uint8_t)(i + 1);
        map.members[i].id = (uint16_t)(i + 1);
        map.members[i].weight = 100;
        map.members[i].state = RINGMAP_STATE_ACTIVE;
        strcpy(map.members[i].address, "127.0.0.1:7000");
        map.meta_voters[i] = (uint16_t)(i + 1);
    }
    map.meta_voter_count = MEMBERS;
    for (int p = 0; p < 8; p++)
        map.replicas[p] = 1;
    out = wire_put_bin_space(body, ringmap_encoded_size(&map));
    ringmap_encode(&map, out);
    ringmap_hash(out, ringmap_encoded_size(&map), hash);
    ringmap_deinit(&map);
}

static void begin_with(bool has_secret)
{
    struct wire_buffer genesis = {0}, commit = {0};
    uint8_t hash[RINGMAP_HASH_SIZE];

    cr_assert(sodium_init() >= 0);
    options.has_secret = has_secret;
    memset(options.secret, 7, sizeof options.secret);
    vfs = vfs_mem_new();
    cr_assert_eq(node_open(&node, vfs, &options), 0);
    put_genesis(&genesis, hash);
    bring(admin, WIRE_PREPARE, &genesis, 0);
    wire_put_bin(&commit, hash, sizeof hash);
    bring(admin, WIRE_COMMIT, &commit, 0);
    cr_assert(effects.found);
}

static void begin(void)
{
    begin_with(true);
}

static void end(void)
{
    node_close(node);
    vfs_mem_free(vfs);
}

static void reopen(void)
{
    node_close(node);
    cr_assert_eq(node_open(&node, vfs, &options), 0);
}

static const struct shard_send *sent(uint8_t type)
{
    for (size_t i = 0; i < effects.send_count; i++)
        if (effects.sends[i].message.type == type)
            return &effects.sends[i];
    return NULL;
}

/* The registry of that version, with a ticket for each above the first. */
static void put_tickets(struct wire_buffer *body, uint64_t version)
{
    static struct tickets tickets;
    uint32_t id;
    uint8_t *out;

    tickets_init(&tickets, options.secret);
    for (uint64_t v = 1; v < version; v++)
        cr_assert_eq(
            tickets_new(&tickets, &(struct tickets_terms){.role = LINK_ROLE_ROUTER}, v, &id), 0);
    tickets.version = version;
    out = wire_put_bin_space(body, tickets_encoded_size(&tickets));
    tickets_encode(&tickets, out);
}

static void bring_tickets(struct shard_address from, uint64_t version)
{
    struct wire_buffer body = {0};

    put_tickets(&body, version);
    bring(from, WIRE_TICKETS, &body, 0);
}

static void bring_version(struct shard_address from, uint64_t version)
{
    struct wire_buffer body = {0};

    wire_put_map_epoch(&body, version);
    bring(from, WIRE_TICKETS_VERSION, &body, 0);
}

static void bring_reply(uint8_t outcome, uint64_t version, uint64_t name)
{
    struct wire_buffer body = {0};

    wire_put_map_reply(&body, &(struct wire_map_reply){.outcome = outcome, .epoch = version});
    bring(peer, WIRE_TICKETS_CHANGE_REPLY, &body, name);
}

static void command(struct shard_address from, const struct tickets_command *asked)
{
    struct wire_buffer body = {0};

    tickets_command_put(&body, asked);
    bring(from, WIRE_TICKET_COMMAND, &body, 77);
}

static const struct tickets_reply *answered(void)
{
    const struct shard_send *send = sent(WIRE_TICKET_COMMAND_REPLY);
    static struct tickets_reply reply;
    struct wire_cursor cursor;

    if (!send)
        return NULL;
    cr_assert_eq(send->message.correlation, 77);
    wire_cursor_init(&cursor, send->message.body, send->message.body_size);
    cr_assert(tickets_reply_get(&cursor, &reply));
    return &reply;
}

static uint64_t version(void)
{
    return node_tickets(node) ? node_tickets(node)->version : 0;
}

Test(node_tickets, the_founding_s_ticket_is_version_1)
{
    begin();
    cr_assert_eq(version(), 1);
    cr_assert_eq(memcmp(node_tickets(node)->offered.psk, options.secret, TICKET_PSK_SIZE), 0);
    for (int i = 0; i < 5; i++) {
        tick(1000);
        cr_assert_null(sent(WIRE_TICKETS_GET), "there is nothing to ask for");
    }
    end();
}

Test(node_tickets, a_later_version_is_on_the_disk_before_it_is_gone_by)
{
    static const int errors[] = {EIO, ENOSPC, EDQUOT};
    uint64_t calls;

    begin();
    calls = vfs_mem_calls(vfs);
    bring_tickets(peer, 2);
    calls = vfs_mem_calls(vfs) - calls;
    cr_assert(effects.tickets_changed);
    cr_assert_eq(version(), 2);
    reopen();
    cr_assert_eq(version(), 2);
    for (uint64_t n = 1; n <= 3 * calls; n++) {
        vfs_mem_fail_after(vfs, (n + 2) / 3, errors[n % 3]);
        bring_tickets(peer, 2 + n);
        vfs_mem_fail_after(vfs, 0, 0);
        cr_assert_not(effects.tickets_changed, "failure %lu", (unsigned long)n);
        cr_assert_eq(effects.fatal, n % 3 == 0 ? -EIO : 0);
        cr_assert_eq(version(), 2);
    }
    end();
}

Test(node_tickets, they_come_from_members_and_go_to_members_only)
{
    const struct shard_address others[] = {admin, router, {.role = LINK_ROLE_NODE, .member = 0}};

    begin();
    for (size_t i = 0; i < 3; i++) {
        struct wire_buffer none = {0};

        bring_tickets(others[i], 2);
        cr_assert_eq(version(), 1);
        bring_version(others[i], 2);
        cr_assert_null(sent(WIRE_TICKETS_GET));
        bring(others[i], WIRE_TICKETS_GET, &none, 0);
        cr_assert_null(sent(WIRE_TICKETS));
    }
    bring(peer, WIRE_TICKETS_GET, &(struct wire_buffer){0}, 0);
    cr_assert(sent(WIRE_TICKETS));
    cr_assert_eq(sent(WIRE_TICKETS)->to.member, 2);
    end();
}

/* The newest map with a fourth member, in that state. */
static void bring_fourth(uint8_t state)
{
    struct ringmap_member who = {.public_key = {4}, .weight = 100, .address = "127.0.0.1:7004"};
    struct wire_buffer body = {0};
    struct ringmap map;

    if (node_map(node)->member_count == MEMBERS)
        cr_assert_eq(ringmap_joined(node_map(node), &who, &map), 0);
    else
        cr_assert_eq(ringmap_copy(&map, node_map(node)), 0);
    map.epoch = node_map(node)->epoch + 1;
    map.members[MEMBERS].state = state;
    ringmap_encode(&map, wire_put_bin_space(&body, ringmap_encoded_size(&map)));
    bring(peer, WIRE_MAP, &body, 0);
    cr_assert_eq(node_map(node)->epoch, map.epoch);
    ringmap_deinit(&map);
}

Test(node_tickets, who_is_joining_gets_none_and_is_not_believed)
{
    const struct shard_address fourth = {.role = LINK_ROLE_NODE, .member = MEMBERS + 1};

    begin();
    bring_fourth(RINGMAP_STATE_JOINING);
    step(NODE_EVENT_LINK_UP, fourth, NULL);
    cr_assert_null(sent(WIRE_TICKETS_VERSION));
    for (int i = 0; i < 8; i++) {
        tick(1000);
        for (size_t j = 0; j < effects.send_count; j++)
            cr_assert(effects.sends[j].message.type == WIRE_MAP_EPOCH);
    }
    bring(fourth, WIRE_TICKETS_GET, &(struct wire_buffer){0}, 0);
    bring_version(fourth, 0);
    cr_assert_null(sent(WIRE_TICKETS));
    bring_tickets(fourth, 5);
    bring_version(fourth, 7);
    cr_assert_eq(version(), 1);
    cr_assert_null(sent(WIRE_TICKETS_GET));
    bring_fourth(RINGMAP_STATE_ACTIVE);
    cr_assert_eq(sent(WIRE_TICKETS_VERSION)->to.member, fourth.member, "now it takes part");
    bring(fourth, WIRE_TICKETS_GET, &(struct wire_buffer){0}, 0);
    cr_assert_eq(sent(WIRE_TICKETS)->to.member, fourth.member);
    bring_fourth(RINGMAP_STATE_LEAVING);
    bring(fourth, WIRE_TICKETS_GET, &(struct wire_buffer){0}, 0);
    cr_assert(sent(WIRE_TICKETS));
    end();
}

Test(node_tickets, an_older_or_damaged_one_is_left)
{
    struct wire_buffer body = {0};

    begin();
    bring_tickets(peer, 3);
    bring_tickets(peer, 2);
    cr_assert_eq(version(), 3);
    put_tickets(&body, 4);
    body.data[3] ^= 1; /* of the magic */
    bring(peer, WIRE_TICKETS, &body, 0);
    cr_assert_eq(version(), 3);
    end();
}

Test(node_tickets, who_hears_of_a_later_version_asks_until_it_has_it)
{
    begin();
    bring_version(peer, 2);
    cr_assert_eq(sent(WIRE_TICKETS_GET)->to.member, 2);
    tick(100);
    cr_assert_null(sent(WIRE_TICKETS_GET));
    tick(400);
    cr_assert(sent(WIRE_TICKETS_GET));
    bring_tickets(peer, 2);
    tick(500);
    cr_assert_null(sent(WIRE_TICKETS_GET));
    bring_version(own, 3);
    cr_assert_eq(sent(WIRE_TICKETS_GET)->message.partition, WIRE_PARTITION_META, "our own shard");
    end();
}

Test(node_tickets, members_are_told_when_they_come_and_when_it_changes)
{
    begin();
    bring_tickets(peer, 2);
    cr_assert_null(sent(WIRE_TICKETS_VERSION), "nobody is there");
    step(NODE_EVENT_LINK_UP, peer, NULL);
    cr_assert_eq(sent(WIRE_TICKETS_VERSION)->to.member, 2);
    tick(10);
    cr_assert_null(sent(WIRE_TICKETS_VERSION), "once");
    bring_tickets(peer, 3);
    cr_assert(sent(WIRE_TICKETS_VERSION));
    step(NODE_EVENT_LINK_DOWN, peer, NULL);
    step(NODE_EVENT_LINK_UP, peer, NULL);
    cr_assert(sent(WIRE_TICKETS_VERSION));
    end();
}

Test(node_tickets, who_holds_an_earlier_version_is_given_ours)
{
    begin();
    bring_tickets(peer, 3);
    bring_version(peer, 3);
    cr_assert_null(sent(WIRE_TICKETS));
    bring_version(peer, 2);
    cr_assert_eq(sent(WIRE_TICKETS)->to.member, 2);
    end();
}

Test(node_tickets, a_node_that_came_with_a_ticket_of_its_own_asks_whoever_is_up)
{
    begin_with(false);
    cr_assert_eq(version(), 0);
    tick(1000);
    cr_assert_null(sent(WIRE_TICKETS_GET), "nobody is up");
    step(NODE_EVENT_LINK_UP, peer, NULL);
    cr_assert_eq(sent(WIRE_TICKETS_GET)->to.member, 2);
    bring_tickets(peer, 1);
    cr_assert(effects.tickets_changed);
    cr_assert_eq(version(), 1);
    tick(1000);
    cr_assert_null(sent(WIRE_TICKETS_GET));
    reopen();
    cr_assert_eq(version(), 1, "from the file");
    end();
}

static void damage(void)
{
    struct vfs_file *file;
    uint8_t byte = 0x55;
    struct iovec iov = {&byte, 1};

    cr_assert_eq(vfs_open(vfs, "TICKETS", VFS_OPEN_WRITE, &file), 0);
    cr_assert_eq(vfs_pwritev(file, &iov, 1, 40), 0);
    vfs_close(file);
}

Test(node_tickets, damaged_ones_are_set_aside)
{
    struct vfs_file *file;

    begin();
    bring_tickets(peer, 2);
    node_close(node);
    damage();
    cr_assert_eq(node_open(&node, vfs, &options), 0);
    cr_assert(node_tickets_damaged(node));
    cr_assert_eq(version(), 1);
    cr_assert_eq(vfs_open(vfs, NODE_TICKETS_BAD, VFS_OPEN_READ, &file), 0);
    vfs_close(file);
    reopen();
    cr_assert_not(node_tickets_damaged(node));
    end();
}

/* --- commands ------------------------------------------------------------------------------ */

static const struct tickets_command new_router = {
    .kind = TICKETS_NEW, .terms = {.name = 4711, .role = LINK_ROLE_ROUTER}};

Test(node_tickets, a_new_ticket_is_there_when_it_is_committed)
{
    uint8_t psk[TICKET_PSK_SIZE];
    uint64_t name;

    begin();
    command(admin, &new_router);
    cr_assert_null(answered());
    cr_assert_eq(sent(WIRE_TICKETS_CHANGE)->message.partition, WIRE_PARTITION_META);
    name = sent(WIRE_TICKETS_CHANGE)->message.correlation;
    cr_assert_eq(version(), 1);
    bring_reply(WIRE_MAP_DONE, 2, name + 1);
    cr_assert_null(answered(), "of another change");
    bring_reply(WIRE_MAP_DONE, 2, name);
    cr_assert_eq(answered()->outcome, WIRE_MAP_DONE);
    cr_assert_eq(version(), 2);
    cr_assert_eq(answered()->id, 1);
    cr_assert_eq(tickets_psk(node_tickets(node), 1, psk), 0);
    cr_assert(answered()->has_psk);
    cr_assert_eq(memcmp(answered()->psk, psk, sizeof psk), 0);
    cr_assert_eq(node_tickets(node)->records[0].created_ms, 1000000 + now_ms);
    command(admin, &new_router);
    cr_assert_eq(answered()->id, 1, "the same command makes no other");
    cr_assert_null(sent(WIRE_TICKETS_CHANGE));
    end();
}

Test(node_tickets, when_another_change_came_first_it_is_worked_out_again)
{
    begin();
    command(admin, &new_router);
    bring_reply(WIRE_MAP_CONFLICT, 2, sent(WIRE_TICKETS_CHANGE)->message.correlation);
    cr_assert_null(sent(WIRE_TICKETS_CHANGE), "not before the other is here");
    cr_assert(sent(WIRE_TICKETS_GET));
    bring_tickets(peer, 2);
    cr_assert(sent(WIRE_TICKETS_CHANGE));
    bring_reply(WIRE_MAP_DONE, 3, sent(WIRE_TICKETS_CHANGE)->message.correlation);
    cr_assert_eq(answered()->outcome, WIRE_MAP_DONE);
    cr_assert_eq(answered()->id, 2);
    cr_assert_eq(answered()->count, 2);
    end();
}

Test(node_tickets, only_who_holds_the_secret_changes_them)
{
    const struct tickets_command list = {.kind = TICKETS_LIST};

    begin();
    ticket = 5;
    command(admin, &new_router);
    cr_assert_eq(answered()->outcome, WIRE_MAP_REFUSED);
    command(admin, &list);
    cr_assert_eq(answered()->outcome, WIRE_MAP_DONE);
    cr_assert_not(answered()->has_psk);
    ticket = 0;
    command(router, &list);
    cr_assert_eq(answered()->outcome, WIRE_MAP_REFUSED);
    command(peer, &new_router);
    cr_assert_eq(answered()->outcome, WIRE_MAP_REFUSED);
    command(admin, &(struct tickets_command){.kind = TICKETS_REDEEM, .id = 1});
    cr_assert_eq(answered()->outcome, WIRE_MAP_REFUSED);
    cr_assert_null(sent(WIRE_TICKETS_CHANGE));
    end();
}

Test(node_tickets, what_cannot_be_is_refused_with_the_reason)
{
    begin();
    command(admin, &(struct tickets_command){.kind = TICKETS_REVOKE, .id = 9});
    cr_assert_eq(answered()->outcome, WIRE_MAP_REFUSED);
    cr_assert_eq(answered()->code, TICKETS_E_UNKNOWN);
    cr_assert_str_eq(answered()->why, "unknown");
    command(admin, &(struct tickets_command){.kind = TICKETS_SWITCH, .generation = 2});
    cr_assert_eq(answered()->code, TICKETS_E_PHASE);
    end();
}

Test(node_tickets, before_the_founding_there_are_none)
{
    cr_assert(sodium_init() >= 0);
    vfs = vfs_mem_new();
    cr_assert_eq(node_open(&node, vfs, &options), 0);
    command(admin, &new_router);
    cr_assert_eq(answered()->outcome, WIRE_MAP_REFUSED);
    end();
}

Test(node_tickets, a_rotation_tells_the_new_secret_to_who_asked_for_it)
{
    struct tickets_command prepare = {.kind = TICKETS_PREPARE};

    begin();
    memset(prepare.psk, 9, sizeof prepare.psk);
    command(admin, &prepare);
    bring_reply(WIRE_MAP_DONE, 2, sent(WIRE_TICKETS_CHANGE)->message.correlation);
    cr_assert_eq(memcmp(answered()->psk, prepare.psk, sizeof prepare.psk), 0);
    cr_assert_eq(answered()->other, 2);
    command(admin, &(struct tickets_command){.kind = TICKETS_SWITCH, .generation = 2});
    bring_reply(WIRE_MAP_DONE, 3, sent(WIRE_TICKETS_CHANGE)->message.correlation);
    cr_assert_eq(memcmp(answered()->psk, prepare.psk, sizeof prepare.psk), 0);
    cr_assert_eq(answered()->offered, 2);
    command(admin, &(struct tickets_command){.kind = TICKETS_RETIRE, .generation = 1});
    bring_reply(WIRE_MAP_DONE, 4, sent(WIRE_TICKETS_CHANGE)->message.correlation);
    cr_assert_eq(answered()->phase, TICKETS_STEADY);
    cr_assert_not(answered()->has_psk);
    reopen();
    cr_assert_eq(node_tickets(node)->offered.generation, 2, "whatever the ticket file says");
    end();
}

static void redeem(uint32_t id, uint8_t key)
{
    struct tickets_command asked = {
        .kind = TICKETS_REDEEM, .id = id, .role = LINK_ROLE_ROUTER, .public_key = {key}};
    struct node_event event = {
        .kind = NODE_EVENT_REDEEM, .now_ms = now_ms, .wall_ms = 1, .command = &asked};

    node_step(node, &event, &effects);
    node_check(node);
}

Test(node_tickets, a_use_is_noted_once_and_nobody_is_answered)
{
    struct tickets_command limited = new_router;

    begin();
    limited.terms.uses_max = 1;
    command(admin, &limited);
    bring_reply(WIRE_MAP_DONE, 2, sent(WIRE_TICKETS_CHANGE)->message.correlation);
    redeem(1, 50);
    cr_assert(sent(WIRE_TICKETS_CHANGE));
    redeem(1, 50);
    cr_assert_null(sent(WIRE_TICKETS_CHANGE), "the key dials again meanwhile");
    tick(500);
    bring_reply(WIRE_MAP_DONE, 3, sent(WIRE_TICKETS_CHANGE)->message.correlation);
    cr_assert_null(answered());
    cr_assert(effects.tickets_changed);
    cr_assert_eq(node_tickets(node)->holder_count, 1);
    redeem(1, 50);
    redeem(1, 51);
    cr_assert_null(sent(WIRE_TICKETS_CHANGE), "spent");
    end();
}

/* Somebody has a ticket of many uses, and as many keys; somebody else an admin's, and patience. */
Test(node_tickets, whoever_may_revoke_finds_a_place_beside_all_others)
{
    struct tickets_command limited = new_router, list = {.kind = TICKETS_LIST};

    begin();
    limited.terms.uses_max = 1000;
    command(admin, &limited);
    bring_reply(WIRE_MAP_DONE, 2, sent(WIRE_TICKETS_CHANGE)->message.correlation);
    for (uint8_t key = 1; key < 200; key++)
        redeem(1, key);
    ticket = 9;
    command(admin, &list);
    cr_assert_eq(answered()->outcome, WIRE_MAP_REFUSED, "an admin by ticket has to wait");
    ticket = 0;
    command(admin, &(struct tickets_command){.kind = TICKETS_REVOKE, .id = 1});
    cr_assert_null(answered(), "it stands in line");
    end();
}

Test(node_tickets, commands_wait_in_line_and_are_bounded_in_number_and_time)
{
    struct tickets_command asked = new_router;
    uint64_t begun;
    uint32_t late = 0;

    begin();
    begun = now_ms;
    for (int i = 0; i < 16; i++) {
        asked.terms.name++;
        command(admin, &asked);
        cr_assert_null(answered());
    }
    asked.terms.name++;
    command(admin, &asked);
    cr_assert_eq(answered()->outcome, WIRE_MAP_REFUSED, "one too many");
    while (late < 16) {
        tick(100);
        for (size_t i = 0; i < effects.send_count; i++)
            late += effects.sends[i].message.type == WIRE_TICKET_COMMAND_REPLY;
        cr_assert_leq(now_ms, begun + 11000);
    }
    cr_assert_geq(now_ms, begun + 10000);
    end();
}
