/* What a view asks, of a cluster of this file's own. */
#include "cli/cluster.h"
#include "cli/view.h"
#include "ring/wire.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cluster_fake.h"
#include "view_scene.h"

#define NODES   8u
#define JOINING (NODES + 1)
#define WAIT_MS 3000u

/* A member of the made-up cluster. */
struct fake {
    bool linked; /* to who is joining */
    bool silent; /* when it is asked for that one */
};

static struct fake fakes[NODES + 1];
static uint32_t asked, waited_ms;
static struct view view;

/* nil: it is not linked to who is joining. */
static void answer(struct cluster_request *request, uint16_t member, bool knows)
{
    struct wire_node_status status = {.member = member, .founded = 2, .shards = 1};
    struct wire_buffer body = {0};

    memcpy(status.public_key, view.map.members[member - 1].public_key, sizeof status.public_key);
    snprintf(status.address, sizeof status.address, "127.0.0.1:%u", 7000u + member);
    if (knows)
        wire_put_node_status(&body, &status);
    else
        wire_put_nil(&body);
    cluster_fake_answer(request, &body);
}

static void ask_fakes(struct cluster_request *requests, size_t count, uint32_t timeout_ms)
{
    bool all = true;

    for (size_t i = 0; i < count; i++) {
        uint16_t member = (uint16_t)requests[i].node;
        bool passes_on = requests[i].body_size > 0;

        asked += passes_on;
        if (!passes_on)
            answer(&requests[i], member, true);
        else if (!fakes[member].silent)
            answer(&requests[i], JOINING, fakes[member].linked);
        all &= requests[i].answered;
    }
    waited_ms += all ? 0 : timeout_ms;
}

static struct ringmap old_map, new_map; /* of node 1, and of all others */

static void answer_map(struct cluster_request *request)
{
    const struct ringmap *map = request->node == 1 ? &old_map : &new_map;
    struct wire_buffer body = {0};

    ringmap_encode(map, wire_put_bin_space(&body, ringmap_encoded_size(map)));
    cluster_fake_answer(request, &body);
}

static void ask_maps(struct cluster_request *requests, size_t count, uint32_t timeout_ms)
{
    (void)timeout_ms;
    for (size_t i = 0; i < count; i++) {
        uint16_t member = (uint16_t)requests[i].node;
        struct wire_node_status status = {.member = member, .founded = 2};
        struct wire_buffer body = {0};

        if (requests[i].type == WIRE_MAP_GET)
            answer_map(&requests[i]);
        if (requests[i].type != WIRE_NODE_STATUS)
            continue;
        status.epoch = member == 1 ? old_map.epoch : new_map.epoch;
        memcpy(status.public_key, new_map.members[member - 1].public_key, sizeof status.public_key);
        snprintf(status.address, sizeof status.address, "127.0.0.1:%u", 7000u + member);
        wire_put_node_status(&body, &status);
        cluster_fake_answer(&requests[i], &body);
    }
}

/* The only seed was removed meanwhile, or is behind: nobody has told it. */
Test(view_ask, the_newest_map_is_followed_that_a_member_knows)
{
    const struct address_list seeds = {.items = {"127.0.0.1:7001"}, .count = 1};
    struct view before = scene_view(3, 0, 16, 3), after = scene_view(4, 0, 16, 3);

    old_map = before.map;
    new_map = after.map;
    new_map.epoch = 3;
    cluster_fake_ask = ask_maps;
    cr_assert_eq(view_gather(&view, NULL, &seeds, WAIT_MS), 0);
    cr_assert_eq(view.map.epoch, 3);
    cr_assert_eq(view.node_count, 4);
    cr_assert(view_node(&view, 4)->reachable);
    view_deinit(&view);
    view_deinit(&before);
    view_deinit(&after);
}

/* Of who is joining, when all have been asked. */
static const struct view_node *ask(void)
{
    view = scene_view(NODES, 1, 16, 3);
    asked = waited_ms = 0;
    cluster_fake_ask = ask_fakes;
    cr_assert_eq(view_ask_nodes(&view, NULL, WAIT_MS), 0);
    for (uint16_t id = 1; id <= NODES; id++)
        cr_assert(view_node(&view, id)->reachable && !view_node(&view, id)->told);
    return view_node(&view, JOINING);
}

Test(view_ask, some_are_asked_for_who_is_joining_when_they_know)
{
    fakes[2].linked = true;
    cr_assert(ask()->reachable);
    cr_assert(view_node(&view, JOINING)->told);
    cr_assert_eq(view_node(&view, JOINING)->status.shards, 0, "nobody can ask its shards");
    cr_assert_leq(asked, 3);
    view_deinit(&view);
}

Test(view_ask, all_are_asked_when_it_is_linked_to_one_alone)
{
    for (unsigned only = 1; only <= NODES; only++) {
        memset(fakes, 0, sizeof fakes);
        fakes[only].linked = true;
        cr_assert(ask()->reachable, "linked to %u alone", only);
        cr_assert(view_node(&view, JOINING)->told);
        cr_assert_leq(asked, NODES);
        view_deinit(&view);
    }
}

Test(view_ask, those_that_do_not_answer_take_no_longer_than_one_question)
{
    for (unsigned id = 1; id < NODES; id++)
        fakes[id].silent = true;
    fakes[NODES].linked = true;
    cr_assert(ask()->reachable, "the last one knows");
    cr_assert_leq(waited_ms, WAIT_MS);
    view_deinit(&view);
}

Test(view_ask, whom_nobody_is_linked_to_is_not_there)
{
    cr_assert_not(ask()->reachable);
    cr_assert_not(view_node(&view, JOINING)->told);
    cr_assert(strstr(view_node(&view, JOINING)->why, "no member that answers"));
    cr_assert_eq(asked, NODES, "each once");
    view_deinit(&view);
}
