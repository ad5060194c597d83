/* How a node comes into a cluster that is there, and what a crash on the way leaves. */
#include "node_join_scene.h"

Test(node_join, a_node_is_taken_in_as_joining_and_knows_it_after_a_restart)
{
    const struct ringmap_member *self;

    begin(0);
    cr_assert_null(node_map(new.node));
    ask();
    cr_assert_eq(sent(&old, WIRE_MAP_CHANGE)->message.partition, WIRE_PARTITION_META);
    cr_assert_null(sent(&old, WIRE_JOIN_REPLY), "nothing is committed yet");
    decide(WIRE_MAP_DONE, 2, change_name());
    cr_assert_eq(node_map(old.node)->epoch, 2);
    deliver_reply();
    cr_assert(new.effects.found &&new.effects.map_changed);
    cr_assert_null(new.effects.join_why);
    for (int i = 0; i < 2; i++) {
        self = ringmap_member(node_map(new.node), node_member(new.node));
        cr_assert_eq(self->id, 4);
        cr_assert_eq(self->state, RINGMAP_STATE_JOINING);
        cr_assert_eq(self->weight, 50);
        cr_assert_str_eq(self->address, "127.0.0.1:7044");
        cr_assert_str_eq(self->zone, "east");
        cr_assert_eq(memcmp(self->public_key, new.options.public_key, RINGMAP_KEY_SIZE), 0);
        cr_assert_eq(node_genesis(new.node)->member_count, 3);
        cr_assert(node_founding_owed(new.node));
        reopen(&new);
    }
    cr_assert_eq(node_founded(new.node), 0);
    reopen(&new);
    cr_assert_not(node_founding_owed(new.node));
    tick(&new, 1000);
    cr_assert_null(sent(&new, WIRE_JOIN), "it is in");
    end();
}

/* Whoever has a node's ticket may ask: it gets none of what the disks are sealed with. */
Test(node_join, who_is_joining_gets_no_data_key)
{
    const struct ringmap *map;

    begin(3);
    join();
    map = node_map(new.node);
    cr_assert_eq(map->key_count, 3);
    cr_assert_eq(node_member(new.node), 4);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_not_null(ringmap_box(map, i, 1));
        cr_assert_null(ringmap_box(map, i, 4));
    }
    cr_assert_eq(wrapped, 0);
    end();
}

Test(node_join, a_node_without_data_keys_takes_others_in_as_joining)
{
    begin(2);
    old.options.wrap = NULL;
    reopen(&old);
    join();
    cr_assert_eq(node_member(new.node), 4);
    end();
}

/* Anybody with a node's ticket may ask, and each time a change may wait for ten seconds. */
Test(node_join, nodes_that_join_leave_room_for_an_admins_changes)
{
    begin(0);
    for (uint8_t i = 0; i < 4; i++) {
        link_key[1] = new.options.public_key[1] = (uint8_t)(50 + i);
        reopen(&new);
        step(&new, NODE_EVENT_LINK_UP, seed, NULL);
        ask();
        if (sent(&old, WIRE_JOIN_REPLY))
            cr_assert_str_eq(replied().why, "too many nodes join at a time");
        cr_assert_eq(sent(&old, WIRE_JOIN_REPLY) != NULL, i >= 2, "%u", i);
    }
    for (int i = 0; i < 3; i++) {
        bring_map(&old, admin, WIRE_MAP_CHANGE, node_map(old.node));
        cr_assert_eq(sent(&old, WIRE_MAP_CHANGE_REPLY) != NULL, i == 2, "%d", i);
    }
    end();
}

Test(node_join, an_answer_that_was_lost_is_given_again)
{
    begin(0);
    ask();
    decide(WIRE_MAP_DONE, 2, change_name());
    ask();
    cr_assert_null(sent(&old, WIRE_MAP_CHANGE), "it is in");
    cr_assert_eq(replied().outcome, WIRE_JOIN_DONE);
    deliver_reply();
    cr_assert_eq(node_member(new.node), 4);
    bring(&new, seed, WIRE_JOIN_REPLY, &(struct wire_buffer){0}, 0);
    cr_assert_not(new.effects.map_changed);
    cr_assert_eq(node_map(new.node)->epoch, 2);
    end();
}

/* By another member, whose answer was faster. */
Test(node_join, a_link_of_a_node_that_has_become_a_member_is_still_answered)
{
    struct shard_address from = {.role = LINK_ROLE_NODE, .member = 4, .link = LINK_OF_NEW};
    struct wire_buffer body;

    begin(0);
    ask();
    decide(WIRE_MAP_DONE, 2, change_name());
    tick(&new, 500);
    body = body_of(sent(&new, WIRE_JOIN));
    bring(&old, from, WIRE_JOIN, &body, 0);
    cr_assert_eq(replied().outcome, WIRE_JOIN_DONE);
    deliver_reply();
    cr_assert_eq(node_member(new.node), 4);
    end();
}

Test(node_join, asking_again_meanwhile_changes_nothing)
{
    uint64_t name;

    begin(0);
    ask();
    name = change_name();
    ask();
    cr_assert_eq(change_name(), name, "the same change, sent again");
    cr_assert_eq(old.effects.send_count, 1);
    decide(WIRE_MAP_DONE, 2, name);
    cr_assert_eq(node_map(old.node)->member_count, 4);
    end();
}

Test(node_join, another_change_that_came_first_is_learnt_and_the_node_asks_again)
{
    struct ringmap next;
    struct ringmap_member other = {.weight = 1, .address = "127.0.0.1:9", .public_key = {42}};

    begin(0);
    ask();
    decide(WIRE_MAP_CONFLICT, 2, change_name());
    cr_assert_eq(replied().outcome, WIRE_JOIN_AGAIN);
    deliver_reply();
    cr_assert_str_eq(new.effects.join_why, "another change of the ring map came first");
    tick(&old, 500);
    cr_assert_eq(sent(&old, WIRE_MAP_GET)->to.member, 2);
    cr_assert_eq(ringmap_joined(node_map(old.node), &other, &next), 0);
    bring_map(&old, peer, WIRE_MAP, &next);
    ringmap_deinit(&next);
    ask();
    decide(WIRE_MAP_DONE, 3, change_name());
    deliver_reply();
    cr_assert_eq(node_member(new.node), 5);
    cr_assert_eq(node_map(new.node)->epoch, 3);
    end();
}

Test(node_join, without_a_leader_of_the_meta_group_it_is_told_so)
{
    uint64_t begun;

    begin(0);
    begun = now_ms;
    ask();
    while (!sent(&old, WIRE_JOIN_REPLY)) {
        cr_assert_leq(now_ms, begun + 11000);
        tick(&old, 100);
    }
    cr_assert_eq(replied().outcome, WIRE_JOIN_AGAIN);
    deliver_reply();
    cr_assert_str_eq(new.effects.join_why, "the meta group has no leader that answers");
    cr_assert_eq(node_map(old.node)->epoch, 1);
    end();
}

Test(node_join, a_node_joins_while_a_plan_is_under_way)
{
    struct ringmap plan;

    begin(0);
    cr_assert_eq(ringmap_copy(&plan, node_map(old.node)), 0);
    plan.epoch++;
    plan.target = calloc(8, sizeof *plan.target);
    for (int p = 0; p < 8; p++)
        plan.target[p] = 2;
    bring_map(&old, peer, WIRE_MAP, &plan);
    ringmap_deinit(&plan);
    cr_assert(ringmap_moving(node_map(old.node)));
    join();
    cr_assert_eq(node_member(new.node), 4);
    cr_assert(ringmap_moving(node_map(new.node)));
    end();
}

/* --- who asks ------------------------------------------------------------------------------ */

Test(node_join, seeds_are_asked_in_turn_while_their_links_are_up)
{
    struct shard_address other = {.role = LINK_ROLE_NODE, .link = 81};
    uint64_t first;

    begin(0);
    tick(&new, 0);
    step(&new, NODE_EVENT_LINK_UP, other, NULL);
    tick(&new, 500);
    first = sent(&new, WIRE_JOIN)->to.link;
    tick(&new, 100);
    cr_assert_null(sent(&new, WIRE_JOIN), "an answer may be on its way");
    tick(&new, 400);
    cr_assert_neq(sent(&new, WIRE_JOIN)->to.link, first);
    step(&new, NODE_EVENT_LINK_DOWN, seed, NULL);
    for (int i = 0; i < 3; i++) {
        tick(&new, 500);
        cr_assert_eq(sent(&new, WIRE_JOIN)->to.link, 81);
    }
    step(&new, NODE_EVENT_LINK_DOWN, other, NULL);
    tick(&new, 500);
    cr_assert_null(sent(&new, WIRE_JOIN));
    end();
}

Test(node_join, only_a_seed_answers)
{
    struct shard_address other = {.role = LINK_ROLE_NODE, .link = LINK_TO_OLD + 1};
    struct wire_buffer body;

    begin(0);
    ask();
    decide(WIRE_MAP_DONE, 2, change_name());
    body = body_of(sent(&old, WIRE_JOIN_REPLY));
    bring(&new, other, WIRE_JOIN_REPLY, &body, 0);
    cr_assert_null(node_map(new.node));
    new.options.join = false;
    reopen(&new);
    step(&new, NODE_EVENT_LINK_UP, seed, NULL);
    deliver_reply();
    cr_assert_null(node_map(new.node), "it did not ask");
    tick(&new, 500);
    cr_assert_null(sent(&new, WIRE_JOIN));
    end();
}

Test(node_join, a_cluster_that_is_not_the_tickets_is_not_joined)
{
    begin(0);
    new.options.cluster[3] ^= 1;
    reopen(&new);
    step(&new, NODE_EVENT_LINK_UP, seed, NULL);
    join();
    cr_assert_str_eq(new.effects.join_why,
                     "the genesis is of another cluster than this node's ticket");
    cr_assert_null(node_map(new.node));
    cr_assert_null(node_map_prepared(new.node));
    end();
}

/* A seed that lies: each of these is no answer. */
static void answer_with(const struct ringmap *genesis, const struct ringmap *map, const char *why)
{
    struct wire_join_reply reply = {.outcome = WIRE_JOIN_DONE};
    uint8_t *blobs[2] = {malloc(ringmap_encoded_size(genesis)), malloc(ringmap_encoded_size(map))};
    struct wire_buffer body = {0};

    ringmap_encode(genesis, blobs[0]);
    ringmap_encode(map, blobs[1]);
    reply.genesis = (struct wire_bytes){blobs[0], ringmap_encoded_size(genesis)};
    reply.map = (struct wire_bytes){blobs[1], ringmap_encoded_size(map)};
    wire_put_join_reply(&body, &reply);
    bring(&new, seed, WIRE_JOIN_REPLY, &body, 0);
    cr_assert_str_eq(new.effects.join_why, why);
    cr_assert_null(node_map(new.node));
    free(blobs[0]);
    free(blobs[1]);
}

Test(node_join, an_answer_that_does_not_take_it_in_is_none)
{
    struct ringmap genesis = founded(0), map;
    struct ringmap_member who = {.weight = 1, .address = "127.0.0.1:9", .public_key = {99, 7}};

    begin(0);
    cr_assert_eq(ringmap_joined(&genesis, &who, &map), 0);
    answer_with(&map, &map, "the genesis is no ring map of epoch 1");
    answer_with(&genesis, &genesis, "its epoch is not a later one");
    map.members[3].public_key[0] = 98;
    answer_with(&genesis, &map, "the ring map does not name this node");
    map.members[3].public_key[0] = 99;
    map.members[3].state = RINGMAP_STATE_REMOVED;
    answer_with(&genesis, &map, "the ring map does not name this node");
    map.cluster[0] ^= 1;
    answer_with(&genesis, &map, "it is a map of another cluster");
    ringmap_deinit(&map);
    ringmap_deinit(&genesis);
    end();
}

/* Every call of the disk fails once: it is in no cluster then, or in this one, and asks until it
 * is. */
Test(node_join, a_crash_on_the_way_leaves_it_out_or_in)
{
    bool in = false;

    for (uint64_t n = 1; !in; n++) {
        cr_assert_lt(n, 40);
        begin(0);
        ask();
        decide(WIRE_MAP_DONE, 2, change_name());
        vfs_mem_fail_after(new.vfs, n, EIO);
        deliver_reply();
        vfs_mem_fail_after(new.vfs, 0, 0);
        in = new.effects.found;
        cr_assert_eq(new.effects.fatal, in ? 0 : -EIO, "%lu", (unsigned long)n);
        reopen(&new);
        if (!node_map(new.node)) {
            step(&new, NODE_EVENT_LINK_UP, seed, NULL);
            ask();
            deliver_reply();
        }
        cr_assert_eq(node_member(new.node), 4, "%lu", (unsigned long)n);
        cr_assert(node_founding_owed(new.node));
        end();
    }
}

static void meet_full_disk(int error)
{
    begin(0);
    ask();
    decide(WIRE_MAP_DONE, 2, change_name());
    for (uint64_t n = 1; n < 12; n += 2) {
        vfs_mem_fail_after(new.vfs, n, error);
        deliver_reply();
        vfs_mem_fail_after(new.vfs, 0, 0);
        if (new.effects.found)
            break;
        cr_assert_eq(new.effects.fatal, 0);
        cr_assert_str_eq(new.effects.join_why,
                         "what it was told cannot be written: see the node's log");
        ask();
    }
    if (!new.effects.found)
        deliver_reply();
    cr_assert_eq(node_member(new.node), 4);
    end();
}

Test(node_join, a_full_disk_is_tried_again)
{
    meet_full_disk(ENOSPC);
    meet_full_disk(EDQUOT);
}

static void lose_map(void)
{
    cr_assert_eq(vfs_remove(new.vfs, "MAP"), 0);
    reopen(&new);
    cr_assert_null(node_map(new.node), "the genesis does not name it");
    cr_assert_eq(node_member(new.node), 0);
    cr_assert(node_map_prepared(new.node), "those may be asked");
}

/* Members know it by its key; and so does the seed that it asks. */
Test(node_join, a_lost_map_comes_again_from_a_member)
{
    struct ringmap map;

    begin(0);
    join();
    cr_assert_eq(node_founded(new.node), 0);
    cr_assert_eq(ringmap_copy(&map, node_map(new.node)), 0);
    lose_map();
    bring_epoch(&new, (struct shard_address){.role = LINK_ROLE_NODE, .member = 1}, 2);
    cr_assert(sent(&new, WIRE_MAP_GET));
    bring_map(&new, (struct shard_address){.role = LINK_ROLE_NODE, .member = 1}, WIRE_MAP, &map);
    cr_assert(new.effects.map_changed);
    cr_assert_not(new.effects.found, "its stores are there");
    cr_assert_eq(node_member(new.node), 4);
    lose_map();
    step(&new, NODE_EVENT_LINK_UP, seed, NULL);
    ask();
    deliver_reply();
    cr_assert(new.effects.map_changed);
    cr_assert_eq(node_member(new.node), 4);
    ringmap_deinit(&map);
    end();
}

Test(node_join, files_of_two_nodes_are_refused)
{
    struct node *node;

    begin(0);
    join();
    node_close(new.node);
    new.options.public_key[5] = 1;
    cr_assert_eq(node_open(&node, new.vfs, &new.options), -EPROTO);
    new.options.public_key[5] = 0;
    cr_assert_eq(node_open(&node, old.vfs, &new.options), -EPROTO, "a founder's, without a MAP");
    new.node = NULL;
    reopen(&new);
    end();
}

Test(node_join, who_was_prepared_for_a_founding_does_not_ask)
{
    struct ringmap genesis = founded(0);

    begin(0);
    memset(genesis.members[2].public_key, 0, RINGMAP_KEY_SIZE);
    memcpy(genesis.members[2].public_key, new.options.public_key, RINGMAP_KEY_SIZE);
    bring_map(&new, admin, WIRE_PREPARE, &genesis);
    cr_assert(node_map_prepared(new.node));
    tick(&new, 1000);
    cr_assert_null(sent(&new, WIRE_JOIN));
    ringmap_deinit(&genesis);
    end();
}

/* --- how it is, for admins ----------------------------------------------------------------- */

static const struct shard_address fourth = {.role = LINK_ROLE_NODE, .member = 4};

static void ask_status(uint16_t member, uint64_t correlation)
{
    struct wire_buffer body = {0};

    wire_put_uint(&body, member);
    bring(&old, admin, WIRE_NODE_STATUS, &body, correlation);
}

static void deliver_status(struct shard_address from, uint16_t member, uint64_t name)
{
    struct wire_node_status status = {.member = member, .disk_free = 77};
    struct wire_buffer body = {0};

    wire_put_node_status(&body, &status);
    bring(&old, from, WIRE_NODE_STATUS_REPLY, &body, name);
}

static void pass_on_and_back(void)
{
    struct wire_node_status status;
    struct wire_cursor cursor;
    struct wire_buffer body;
    uint64_t name;

    begin(0);
    join();
    ask_status(4, 5);
    cr_assert_eq(sent(&old, WIRE_NODE_STATUS_REPLY)->message.body_size, 1, "nil: it is not linked");
    step(&old, NODE_EVENT_LINK_UP, fourth, NULL);
    ask_status(4, 6);
    cr_assert_eq(sent(&old, WIRE_NODE_STATUS)->to.member, 4);
    cr_assert_null(sent(&old, WIRE_NODE_STATUS_REPLY));
    name = sent(&old, WIRE_NODE_STATUS)->message.correlation;
    body = body_of(sent(&old, WIRE_NODE_STATUS));
    bring(&new, (struct shard_address){.role = LINK_ROLE_NODE, .member = 1}, WIRE_NODE_STATUS,
          &body, name);
    body = body_of(sent(&new, WIRE_NODE_STATUS_REPLY));
    bring(&old, fourth, WIRE_NODE_STATUS_REPLY, &body, name);
    cr_assert_eq(sent(&old, WIRE_NODE_STATUS_REPLY)->to.link, admin.link);
    cr_assert_eq(sent(&old, WIRE_NODE_STATUS_REPLY)->message.correlation, 6);
    wire_cursor_init(&cursor, sent(&old, WIRE_NODE_STATUS_REPLY)->message.body,
                     sent(&old, WIRE_NODE_STATUS_REPLY)->message.body_size);
    cr_assert(wire_get_node_status(&cursor, &status));
    cr_assert_eq(status.member, 4);
    cr_assert_eq(status.founded, 2, "it knows that it was let in");
    end();
}

Test(node_join, a_member_passes_on_how_one_is_that_opens_to_nobody_yet)
{
    pass_on_and_back();
}

/* With the founding ticket: it is heard as a member before it is ACTIVE. */
Test(node_join, a_member_passes_on_how_one_is_that_has_the_secret_too)
{
    link_secret = true;
    pass_on_and_back();
}

Test(node_join, what_it_says_of_others_or_unasked_is_not_passed_on)
{
    uint64_t name;

    begin(0);
    join();
    step(&old, NODE_EVENT_LINK_UP, fourth, NULL);
    deliver_status(fourth, 4, 0);
    cr_assert_eq(old.effects.send_count, 0, "nobody has asked");
    ask_status(4, 6);
    name = sent(&old, WIRE_NODE_STATUS)->message.correlation;
    deliver_status(fourth, 1, name);
    cr_assert_null(sent(&old, WIRE_NODE_STATUS_REPLY), "of another");
    deliver_status(fourth, 4, name + 1);
    cr_assert_null(sent(&old, WIRE_NODE_STATUS_REPLY));
    deliver_status(peer, 4, name);
    cr_assert_null(sent(&old, WIRE_NODE_STATUS_REPLY), "by another");
    deliver_status(fourth, 4, name);
    cr_assert(sent(&old, WIRE_NODE_STATUS_REPLY));
    deliver_status(fourth, 4, name);
    cr_assert_null(sent(&old, WIRE_NODE_STATUS_REPLY), "once");
    ask_status(1, 7);
    cr_assert(sent(&old, WIRE_NODE_STATUS_REPLY), "who takes part is asked itself");
    cr_assert_null(sent(&old, WIRE_NODE_STATUS));
    end();
}
