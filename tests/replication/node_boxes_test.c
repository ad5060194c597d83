/* Data keys for whom an admin's change of the ring map has take part. */
#include "node_join_scene.h"

#define STEP_MAX 64u /* boxes a step */

static bool cannot; /* this node has not opened a key, or not yet */

static int wrap_or_not(void *context, uint8_t key_id, const uint8_t key[RINGMAP_KEY_SIZE],
                       uint8_t box[RINGMAP_BOX_SIZE])
{
    return cannot && key_id == 2 ? -1 : wrap(context, key_id, key, box);
}

/* A founded cluster with so many data keys, and members 4 … 3 + joining. */
static void begin_with(uint8_t keys, unsigned joining)
{
    cannot = false;
    begin(keys);
    old.options.wrap = wrap_or_not;
    reopen(&old);
    for (unsigned i = 0; i < joining; i++) {
        struct ringmap_member who = {.weight = 1, .address = "127.0.0.1:7009"};
        struct ringmap next;

        who.public_key[0] = (uint8_t)(100 + i);
        cr_assert_eq(ringmap_joined(node_map(old.node), &who, &next), 0);
        bring_map(&old, peer, WIRE_MAP, &next);
        cr_assert_eq(node_map(old.node)->epoch, next.epoch);
        ringmap_deinit(&next);
    }
    wrapped = 0;
}

/* A plan that takes these many in, as ring-admin makes it. */
static struct ringmap plan(unsigned taken)
{
    struct ringmap next;

    cr_assert_eq(ringmap_copy(&next, node_map(old.node)), 0);
    next.epoch++;
    next.target = calloc(8, sizeof *next.target);
    memcpy(next.target, next.replicas, 8 * sizeof *next.target);
    for (unsigned i = 0; i < taken; i++)
        next.members[3 + i].state = RINGMAP_STATE_ACTIVE;
    return next;
}

static void send_plan(unsigned taken)
{
    struct ringmap next = plan(taken);

    bring_map(&old, admin, WIRE_MAP_CHANGE, &next);
    ringmap_deinit(&next);
}

/* That is on its way to the meta group's leader; the name is that of its bytes. */
static struct ringmap on_its_way(void)
{
    const struct shard_send *send = sent(&old, WIRE_MAP_CHANGE);
    uint8_t hash[RINGMAP_HASH_SIZE];
    struct wire_cursor cursor;
    const uint8_t *bytes;
    struct ringmap map;
    size_t size;

    cr_assert(send);
    wire_cursor_init(&cursor, send->message.body, send->message.body_size);
    bytes = wire_get_bin(&cursor, RINGMAP_SIZE_MAX, &size);
    cr_assert_eq(ringmap_decode(bytes, size, &map), 0);
    ringmap_hash(bytes, size, hash);
    cr_assert_eq(memcmp(hash, &send->message.correlation, sizeof send->message.correlation), 0);
    return map;
}

static void expect_own(const struct ringmap *map, uint32_t key, uint16_t id)
{
    const uint8_t *box = ringmap_box(map, key, id);

    cr_assert(box, "%u of %u", key, id);
    cr_assert_eq(memcmp(box, ringmap_member(map, id)->public_key, RINGMAP_KEY_SIZE), 0);
    cr_assert_eq(box[80], map->key_ids[key]);
}

Test(node_boxes, those_whom_a_plan_takes_in_get_all_data_keys_and_nobody_else_any)
{
    struct ringmap map;

    begin_with(2, 3);
    send_plan(2);
    map = on_its_way();
    cr_assert_null(ringmap_next_problem(&map, node_map(old.node)));
    for (uint32_t key = 0; key < 2; key++) {
        expect_own(&map, key, 4);
        expect_own(&map, key, 5);
        cr_assert_null(ringmap_box(&map, key, 6), "it is joining still");
    }
    cr_assert_eq(wrapped, 4, "who has boxes keeps them");
    decide(WIRE_MAP_DONE, map.epoch, change_name());
    cr_assert_eq(node_map(old.node)->epoch, map.epoch);
    expect_own(node_map(old.node), 1, 4);
    ringmap_deinit(&map);
    end();
}

Test(node_boxes, of_a_key_that_this_node_has_yet_to_open_they_are_made_a_moment_later)
{
    struct ringmap map;

    begin_with(2, 1);
    cannot = true;
    send_plan(1);
    cr_assert_null(sent(&old, WIRE_MAP_CHANGE));
    tick(&old, 500);
    cr_assert_null(sent(&old, WIRE_MAP_CHANGE));
    cr_assert_null(sent(&old, WIRE_MAP_CHANGE_REPLY));
    cannot = false;
    tick(&old, 50);
    map = on_its_way();
    expect_own(&map, 0, 4);
    expect_own(&map, 1, 4);
    cr_assert_eq(ringmap_box(&map, 0, 4)[79], 1);
    ringmap_deinit(&map);
    end();
}

static void expect_unsent(const struct side *side, const char *why)
{
    const struct shard_send *send = sent(side, WIRE_MAP_CHANGE_REPLY);
    struct wire_map_reply reply;
    struct wire_cursor cursor;

    cr_assert(send);
    wire_cursor_init(&cursor, send->message.body, send->message.body_size);
    cr_assert(wire_get_map_reply(&cursor, &reply));
    cr_assert_eq(reply.outcome, WIRE_MAP_UNSENT);
    cr_assert_str_eq(reply.why, why);
}

/* It has sent nothing on, so that another node may be asked: soon, and nothing comes later. */
Test(node_boxes, an_admin_is_told_soon_of_a_node_that_lacks_a_data_key)
{
    uint64_t begun;

    begin_with(2, 1);
    cannot = true;
    send_plan(1);
    begun = now_ms;
    while (!sent(&old, WIRE_MAP_CHANGE_REPLY)) {
        cr_assert_null(sent(&old, WIRE_MAP_CHANGE));
        cr_assert_leq(now_ms, begun + 2500);
        tick(&old, 100);
    }
    expect_unsent(&old, "it has not got data key 2, its log says why");
    cannot = false;
    for (unsigned i = 0; i < 12; i++) {
        tick(&old, 1000);
        cr_assert_null(sent(&old, WIRE_MAP_CHANGE));
    }
    end();
}

/* Then nobody may say that nothing was changed. */
Test(node_boxes, what_was_sent_on_is_not_told_as_unsent)
{
    struct wire_map_reply reply;
    struct wire_cursor cursor;

    begin_with(2, 1);
    cannot = true;
    send_plan(1);
    tick(&old, 500);
    cannot = false;
    tick(&old, 50);
    cr_assert(sent(&old, WIRE_MAP_CHANGE));
    for (unsigned i = 0; i < 100 && !sent(&old, WIRE_MAP_CHANGE_REPLY); i++)
        tick(&old, 100);
    cr_assert(sent(&old, WIRE_MAP_CHANGE_REPLY));
    wire_cursor_init(&cursor, sent(&old, WIRE_MAP_CHANGE_REPLY)->message.body,
                     sent(&old, WIRE_MAP_CHANGE_REPLY)->message.body_size);
    cr_assert(wire_get_map_reply(&cursor, &reply));
    cr_assert_eq(reply.outcome, WIRE_MAP_AGAIN);
    cr_assert_str_eq(reply.why, "the meta group has no leader that answers");
    end();
}

/* Each is a public-key operation, and others wait meanwhile. */
Test(node_boxes, so_many_are_made_a_step)
{
    struct ringmap map;

    begin_with(RINGMAP_KEYS_MAX, 3);
    send_plan(3);
    for (unsigned steps = 1; steps < 3; steps++) {
        cr_assert_eq(wrapped, steps * STEP_MAX);
        cr_assert_null(sent(&old, WIRE_MAP_CHANGE));
        tick(&old, 10);
    }
    map = on_its_way();
    cr_assert_eq(wrapped, 3 * RINGMAP_KEYS_MAX);
    cr_assert_null(ringmap_next_problem(&map, node_map(old.node)));
    for (uint32_t key = 0; key < RINGMAP_KEYS_MAX; key++)
        for (uint16_t id = 4; id <= 6; id++)
            expect_own(&map, key, id);
    ringmap_deinit(&map);
    end();
}

/* Versions before made them when the node joined. */
Test(node_boxes, who_had_a_box_while_it_was_joining_keeps_it)
{
    struct ringmap next, map;

    begin_with(2, 1);
    next = plan(1);
    memset(next.boxes[3], 0x77, RINGMAP_BOX_SIZE);
    bring_map(&old, admin, WIRE_MAP_CHANGE, &next);
    map = on_its_way();
    cr_assert_eq(wrapped, 1);
    cr_assert_eq(ringmap_box(&map, 0, 4)[40], 0x77);
    expect_own(&map, 1, 4);
    ringmap_deinit(&map);
    ringmap_deinit(&next);
    end();
}

Test(node_boxes, whoever_lacks_one_gets_it_with_the_next_change)
{
    struct ringmap next, map;

    begin_with(1, 0);
    next = plan(0);
    memset(next.boxes[2], 0, RINGMAP_BOX_SIZE);
    bring_map(&old, admin, WIRE_MAP_CHANGE, &next);
    map = on_its_way();
    expect_own(&map, 0, 3);
    ringmap_deinit(&map);
    ringmap_deinit(&next);
    end();
}

Test(node_boxes, what_is_no_ring_map_goes_to_the_leader_as_it_is)
{
    static const uint8_t bytes[] = "no ring map";
    struct wire_buffer body = {0};

    begin_with(1, 1);
    wire_put_bin(&body, bytes, sizeof bytes);
    bring(&old, admin, WIRE_MAP_CHANGE, &body, 0);
    cr_assert(sent(&old, WIRE_MAP_CHANGE));
    cr_assert(memmem(sent(&old, WIRE_MAP_CHANGE)->message.body,
                     sent(&old, WIRE_MAP_CHANGE)->message.body_size, bytes, sizeof bytes));
    cr_assert_eq(wrapped, 0);
    end();
}

/* A node may have joined and not have heard of it: members know more. */
Test(node_boxes, an_admin_is_sent_on_by_a_node_without_a_map)
{
    struct ringmap next;

    begin_with(1, 0);
    next = plan(0);
    bring_map(&new, admin, WIRE_MAP_CHANGE, &next);
    ringmap_deinit(&next);
    expect_unsent(&new, "this node belongs to no founded cluster");
    end();
}
