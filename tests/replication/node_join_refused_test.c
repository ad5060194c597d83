/* Who does not come into a cluster, and what a stranger may say. */
#include "node_join_scene.h"

static void expect_refused(const char *why)
{
    cr_assert_null(sent(&old, WIRE_MAP_CHANGE));
    cr_assert_eq(replied().outcome, WIRE_JOIN_REFUSED);
    cr_assert_str_eq(replied().why, why);
    deliver_reply();
    cr_assert(new.effects.join_refused);
    cr_assert_str_eq(new.effects.join_why, why);
    cr_assert_null(node_map(new.node));
}

/* The old node's map with one thing done to it. */
static void change_map(struct side *side, void (*change)(struct ringmap *map))
{
    struct ringmap next;

    cr_assert_eq(ringmap_copy(&next, node_map(side->node)), 0);
    next.epoch++;
    change(&next);
    bring_map(side, peer, WIRE_MAP, &next);
    cr_assert(side->effects.map_changed);
    ringmap_deinit(&next);
}

static void remove_fourth(struct ringmap *map)
{
    map->members[3].state = RINGMAP_STATE_REMOVED;
}

Test(node_join_refused, who_was_removed_never_comes_back)
{
    begin(0);
    ask();
    decide(WIRE_MAP_DONE, 2, change_name());
    change_map(&old, remove_fourth);
    ask();
    expect_refused("member 4 was removed for ever: start with an empty data directory");
    end();
}

static void expect_lost(void)
{
    ask();
    cr_assert_eq(replied().outcome, WIRE_JOIN_DONE);
    deliver_reply();
    cr_assert_not(new.effects.found, "it would found stores with nothing in them");
    cr_assert(new.effects.join_refused);
    cr_assert_str_eq(new.effects.join_why,
                     "this member's GENESIS is lost: restore it, or replace the member by a node "
                     "with an empty data directory");
    cr_assert_null(node_map(new.node));
    reopen(&new);
    cr_assert_null(node_genesis(new.node));
}

static void grow(struct ringmap *map)
{
    map->members[0].weight++;
}

static void settle_fourth(struct ringmap *map)
{
    map->members[3].state = RINGMAP_STATE_ACTIVE;
}

/* Its key was restored, and nothing else. */
Test(node_join_refused, a_founder_whose_disk_is_lost_does_not_come_back_empty)
{
    begin(0);
    change_map(&old, grow);
    memset(new.options.public_key, 0, sizeof new.options.public_key);
    new.options.public_key[0] = 3;
    memcpy(link_key, new.options.public_key, sizeof link_key);
    reopen(&new);
    step(&new, NODE_EVENT_LINK_UP, seed, NULL);
    expect_lost();
    end();
}

Test(node_join_refused, nor_does_who_has_joined)
{
    begin(0);
    join();
    change_map(&old, settle_fourth);
    node_close(new.node);
    vfs_mem_free(new.vfs);
    new.vfs = vfs_mem_new();
    new.node = NULL;
    reopen(&new);
    step(&new, NODE_EVENT_LINK_UP, seed, NULL);
    expect_lost();
    end();
}

Test(node_join_refused, the_key_must_be_the_links)
{
    begin(0);
    link_key[31] ^= 1;
    ask();
    expect_refused("the key is not that of the link");
    end();
}

Test(node_join_refused, what_is_no_member_is_refused)
{
    begin(0);
    new.options.weight = 0;
    reopen(&new);
    step(&new, NODE_EVENT_LINK_UP, seed, NULL);
    ask();
    expect_refused("its address, zone or weight is not valid");
    new.options.weight = 1;
    strcpy(new.options.address, "127.0.0.1: 1");
    reopen(&new);
    step(&new, NODE_EVENT_LINK_UP, seed, NULL);
    ask();
    expect_refused("its address, zone or weight is not valid");
    end();
}

static void fill_up(struct ringmap *map)
{
    struct ringmap_member *members = realloc(map->members, 1000 * sizeof *members);

    cr_assert(members);
    map->members = members;
    for (uint16_t i = 3; i < 1000; i++) {
        members[i] = members[0];
        members[i].id = (uint16_t)(i + 1);
        members[i].state = RINGMAP_STATE_REMOVED;
        members[i].public_key[1] = (uint8_t)(1 + i / 256);
        members[i].public_key[2] = (uint8_t)i;
    }
    map->member_count = 1000;
}

Test(node_join_refused, the_list_of_members_ends_at_a_thousand)
{
    begin(0);
    change_map(&old, fill_up);
    ask();
    expect_refused("1,000 members were ever added, and that is the limit");
    end();
}

static void crowd(struct ringmap *map)
{
    fill_up(map);
    map->member_count = 3 + RINGMAP_JOINING_MAX;
    for (uint16_t i = 3; i < map->member_count; i++)
        map->members[i].state = RINGMAP_STATE_JOINING;
}

/* It asks again: a plan may take them in, or somebody removes those who are gone. */
Test(node_join_refused, only_so_many_are_joining_at_once)
{
    begin(0);
    change_map(&old, crowd);
    ask();
    cr_assert_null(sent(&old, WIRE_MAP_CHANGE));
    cr_assert_eq(replied().outcome, WIRE_JOIN_AGAIN);
    cr_assert_str_eq(
        replied().why,
        "64 members are joining, and that is the limit: commit a plan, or remove who is gone");
    deliver_reply();
    cr_assert_not(new.effects.join_refused);
    end();
}

Test(node_join_refused, a_node_of_no_cluster_takes_nobody_in)
{
    begin(0);
    node_close(old.node);
    vfs_mem_free(old.vfs);
    old.vfs = vfs_mem_new();
    old.node = NULL;
    reopen(&old);
    ask();
    cr_assert_eq(replied().outcome, WIRE_JOIN_AGAIN);
    deliver_reply();
    cr_assert_str_eq(new.effects.join_why, "the node that was asked is in no cluster");
    end();
}

static void remove_first(struct ringmap *map)
{
    map->members[0].state = RINGMAP_STATE_REMOVED;
    map->meta_voters[0] = 2;
    map->meta_voters[1] = map->meta_voters[2] = 0;
    map->meta_voter_count = 1;
    for (int p = 0; p < 8; p++)
        map->replicas[p] = 2;
}

Test(node_join_refused, who_is_removed_itself_takes_nobody_in)
{
    begin(0);
    change_map(&old, remove_first);
    cr_assert(node_removed(old.node));
    ask();
    cr_assert_eq(replied().outcome, WIRE_JOIN_AGAIN);
    reopen(&old);
    cr_assert(node_removed(old.node));
    end();
}

Test(node_join_refused, bodies_that_are_none_get_no_answer)
{
    struct wire_join long_text = {.weight = 1};
    struct wire_buffer body = {0};

    begin(0);
    bring(&old, stranger, WIRE_JOIN, &body, 0);
    cr_assert_eq(old.effects.send_count, 0);
    wire_put_array(&body, 4);
    wire_put_bin(&body, "short", 5);
    bring(&old, stranger, WIRE_JOIN, &body, 0);
    cr_assert_eq(old.effects.send_count, 0);
    body = (struct wire_buffer){0};
    wire_put_array(&body, 4);
    wire_put_bin(&body, link_key, sizeof link_key);
    wire_put_string(&body, "127.0.0.1:7000 and much more than there is room for in an address");
    wire_put_string(&body, "");
    wire_put_uint(&body, 1);
    bring(&old, stranger, WIRE_JOIN, &body, 0);
    cr_assert_eq(old.effects.send_count, 0);
    body = (struct wire_buffer){0};
    memcpy(long_text.public_key, link_key, sizeof link_key);
    strcpy(long_text.address, "\x1b[2J:7000");
    wire_put_join(&body, &long_text);
    bring(&old, stranger, WIRE_JOIN, &body, 0);
    cr_assert_eq(old.effects.send_count, 0, "what is shown on a terminal must not steer it");
    end();
}

Test(node_join_refused, routers_and_admins_do_not_join)
{
    const struct shard_address others[] = {{.role = LINK_ROLE_ROUTER, .link = 5}, admin};
    struct wire_buffer body;

    begin(0);
    for (size_t i = 0; i < 2; i++) {
        tick(&new, 500);
        body = body_of(sent(&new, WIRE_JOIN));
        bring(&old, others[i], WIRE_JOIN, &body, 0);
        cr_assert_eq(old.effects.send_count, 0);
    }
    end();
}

/* --- strangers ----------------------------------------------------------------------------- */

Test(node_join_refused, a_stranger_may_say_nothing_else)
{
    static const uint8_t types[] = {WIRE_MAP_GET,
                                    WIRE_PREPARE,
                                    WIRE_COMMIT,
                                    WIRE_NODE_STATUS,
                                    WIRE_GENESIS_GET,
                                    WIRE_GENESIS,
                                    WIRE_MAP_CHANGE,
                                    WIRE_MAP_EPOCH,
                                    WIRE_MAP_CHANGE_REPLY,
                                    WIRE_GOSSIP,
                                    WIRE_MAP,
                                    WIRE_JOIN_REPLY,
                                    WIRE_TICKETS_GET,
                                    WIRE_TICKETS_VERSION,
                                    WIRE_TICKETS,
                                    WIRE_TICKET_COMMAND,
                                    WIRE_TICKETS_CHANGE_REPLY,
                                    WIRE_LIVENESS_GET};

    begin(0);
    for (size_t i = 0; i < sizeof types; i++) {
        struct wire_buffer body = {0};

        wire_put_map_epoch(&body, 9);
        bring(&old, stranger, types[i], &body, 0);
        cr_assert_eq(old.effects.send_count, 0, "%s", wire_type_name(types[i]));
    }
    end();
}

/* It is in the map, and nobody has committed it. */
Test(node_join_refused, a_member_that_is_only_joining_is_not_believed)
{
    static const uint8_t types[] = {
        WIRE_MAP_EPOCH, WIRE_MAP_CHANGE,     WIRE_MAP_CHANGE_REPLY, WIRE_COMMIT,
        WIRE_GENESIS,   WIRE_GENESIS_GET,    WIRE_TICKETS_GET,      WIRE_TICKETS_VERSION,
        WIRE_TICKETS,   WIRE_TICKET_COMMAND, WIRE_JOIN_REPLY,       WIRE_NODE_STATUS};
    const struct shard_address fourth = {.role = LINK_ROLE_NODE, .member = 4};
    struct ringmap map;

    begin(0);
    join();
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct wire_buffer body = {0};

        wire_put_map_epoch(&body, 9);
        bring(&old, fourth, types[i], &body, 0);
        cr_assert_eq(old.effects.send_count, 0, "%s", wire_type_name(types[i]));
    }
    step(&old, NODE_EVENT_EPOCH, fourth, NULL);
    cr_assert_eq(old.effects.send_count, 0, "it gossips that it has a later map");
    cr_assert_eq(ringmap_copy(&map, node_map(old.node)), 0);
    map.epoch++;
    map.members[3].state = RINGMAP_STATE_ACTIVE;
    bring_map(&old, fourth, WIRE_MAP, &map);
    cr_assert_eq(node_map(old.node)->epoch, 2, "its own word that it takes part");
    bring(&old, fourth, WIRE_MAP_GET, &(struct wire_buffer){0}, 0);
    cr_assert(sent(&old, WIRE_MAP), "the map it gets");
    /* By a map that we have not heard of it takes part, and so it has the secret. */
    link_secret = true;
    bring_map(&old, fourth, WIRE_MAP, &map);
    cr_assert_eq(node_map(old.node)->epoch, 3);
    link_secret = false;
    ringmap_deinit(&map);
    end();
}

Test(node_join_refused, who_was_removed_is_told_the_map_whatever_it_asks)
{
    struct wire_buffer body;

    begin(0);
    join();
    cr_assert_eq(node_member(new.node), 4);
    change_map(&old, remove_fourth);
    bring_epoch(&old, stranger, 2);
    cr_assert_eq(sent(&old, WIRE_MAP)->to.link, LINK_OF_NEW);
    body = body_of(sent(&old, WIRE_MAP));
    bring(&old, stranger, WIRE_MAP_GET, &(struct wire_buffer){0}, 0);
    cr_assert_eq(sent(&old, WIRE_MAP)->to.link, LINK_OF_NEW);
    bring(&old, stranger, WIRE_NODE_STATUS, &(struct wire_buffer){0}, 0);
    cr_assert_eq(old.effects.send_count, 0);
    cr_assert_not(node_removed(new.node));
    bring(&new, (struct shard_address){.role = LINK_ROLE_NODE, .member = 1}, WIRE_MAP, &body, 0);
    cr_assert(new.effects.map_changed);
    cr_assert(node_removed(new.node));
    reopen(&new);
    cr_assert(node_removed(new.node));
    end();
}

/* It says why, and nothing ends by it. */
Test(node_join_refused, a_member_that_does_not_listen_is_for_the_log_only)
{
    struct wire_join_reply reply = {.outcome = WIRE_JOIN_REFUSED, .why = "a copy is here"};
    struct wire_buffer body = {0};

    begin(0);
    wire_put_join_reply(&body, &reply);
    bring(&old, peer, WIRE_JOIN_REPLY, &body, 0);
    cr_assert_str_eq(old.effects.join_why, "a copy is here");
    cr_assert_not(old.effects.join_refused);
    cr_assert(node_map(old.node));
    wire_put_join_reply(&body, &reply);
    bring(&old, admin, WIRE_JOIN_REPLY, &body, 0);
    cr_assert_null(old.effects.join_why);
    end();
}

Test(node_join_refused, who_is_removed_is_told_by_the_link_that_is_still_there)
{
    struct shard_address fourth = {.role = LINK_ROLE_NODE, .member = 4};

    begin(0);
    join();
    step(&old, NODE_EVENT_LINK_UP, fourth, NULL);
    change_map(&old, remove_fourth);
    cr_assert_eq(sent(&old, WIRE_MAP)->to.member, 4);
    end();
}
