#include "cli/changes.h"

#include "ring/swim.h"

#include <criterion/criterion.h>
#include <string.h>

#include "view_scene.h"

#define WORDS_MAX 16u

static struct view view;
static struct staged staged;
static char why[CHANGES_WHY_SIZE];

/* The text, cut at blanks. */
static int parse(const char *text)
{
    static char copy[256];
    char *words[WORDS_MAX], *at = copy;
    unsigned count = 0;

    strcpy(copy, text);
    staged.count = 77;
    for (char *word = strtok_r(copy, " ", &at); word; word = strtok_r(NULL, " ", &at))
        words[count++] = word;
    return changes_parse(&view, words, count, &staged, why);
}

static void expect_change(uint32_t i, uint8_t op, uint16_t member, uint32_t value)
{
    cr_assert_lt(i, staged.count);
    cr_assert_eq(staged.changes[i].op, op);
    cr_assert_eq(staged.changes[i].member, member);
    cr_assert_eq(staged.changes[i].value, value);
}

static void expect_refused(const char *text, int result, const char *named)
{
    cr_assert_eq(parse(text), result, "%s: %s", text, why);
    cr_assert(strstr(why, named), "%s: %s", text, why);
    cr_assert_eq(staged.count, 77, "nothing is staged");
}

static void expect_down(const char *text, uint16_t member, const char *named)
{
    cr_assert_eq(parse(text), CHANGES_E_DOWN, "%s: %s", text, why);
    cr_assert(strstr(why, named), "%s: %s", text, why);
    cr_assert_eq(staged.count, 1);
    cr_assert_eq(staged.changes[0].member, member);
}

Test(changes, every_word_becomes_its_change)
{
    view = scene_view(4, 2, 16, 3);
    scene_lose(&view, 3);
    cr_assert_eq(
        parse("join 5 6 leave 127.0.0.1:7001 weight 2 300 zone 4 east replicas 2 remove 3"), 0,
        "%s", why);
    cr_assert_eq(staged.count, 7);
    expect_change(0, STAGED_JOIN, 5, 0);
    expect_change(1, STAGED_JOIN, 6, 0);
    expect_change(2, STAGED_LEAVE, 1, 0);
    expect_change(3, STAGED_WEIGHT, 2, 300);
    expect_change(4, STAGED_ZONE, 4, 0);
    cr_assert_str_eq(staged.changes[4].zone, "east");
    expect_change(5, STAGED_REPLICAS, 0, 2);
    expect_change(6, STAGED_REMOVE, 3, 0);
    view_deinit(&view);
}

Test(changes, without_a_word_all_who_are_joining_are_taken_in)
{
    view = scene_view(3, 2, 16, 3);
    cr_assert_eq(parse(""), 0);
    cr_assert_eq(staged.count, 2);
    expect_change(0, STAGED_JOIN, 4, 0);
    expect_change(1, STAGED_JOIN, 5, 0);
    view_deinit(&view);
}

Test(changes, sharing_zones_goes_with_the_others_or_with_all_who_are_joining)
{
    view = scene_view(3, 1, 16, 3);
    cr_assert_eq(parse("share-zones"), 0);
    cr_assert(staged.shares_zones);
    cr_assert_eq(staged.count, 1);
    expect_change(0, STAGED_JOIN, 4, 0);
    cr_assert_eq(parse("join 4 share-zones weight 1 50"), 0);
    cr_assert(staged.shares_zones);
    cr_assert_eq(staged.count, 2);
    cr_assert_eq(parse("weight 1 50"), 0);
    cr_assert_not(staged.shares_zones);
    view_deinit(&view);
}

Test(changes, who_still_runs_is_drained_when_it_is_replaced_and_not_removed_by_force)
{
    view = scene_view(3, 1, 16, 3);
    cr_assert_eq(parse("replace 2 4"), 0);
    expect_change(0, STAGED_JOIN, 4, 0);
    expect_change(1, STAGED_LEAVE, 2, 0);
    expect_refused("remove 2", CHANGES_E_REFUSED, "node 2 (127.0.0.1:7002) answers");
    scene_lose(&view, 2);
    view.nodes[1].liveness = (struct wire_liveness){.member = 2, .standing = SWIM_ALIVE};
    expect_refused("remove 2", CHANGES_E_REFUSED,
                   "is heard of by others: if it was lost just now, ask again in some seconds");
    expect_down("leave 2", 2, "does not answer, though others have heard of it lately");
    view.nodes[1].liveness.standing = SWIM_DEAD;
    cr_assert_eq(parse("replace 2 4"), 0);
    expect_change(1, STAGED_REMOVE, 2, 0);
    cr_assert_eq(parse("remove 2"), 0);
    expect_down("leave 2", 2, "is not alive, and can hand nothing over");
    view_deinit(&view);
}

Test(changes, who_is_still_joining_just_goes)
{
    view = scene_view(3, 1, 16, 3);
    cr_assert_eq(parse("leave 4"), 0);
    expect_change(0, STAGED_REMOVE, 4, 0);
    expect_refused("remove 4", CHANGES_E_REFUSED, "node 4 (127.0.0.1:7004) answers: let it leave");
    scene_lose(&view, 4);
    cr_assert_eq(parse("remove 4"), 0);
    expect_change(0, STAGED_REMOVE, 4, 0);
    expect_down("leave 4", 4, "is not alive");
    view_deinit(&view);
}

/* Node 2's machine was set up anew, with an empty disk, and has joined as node 4. */
Test(changes, an_address_of_two_nodes_removes_neither_and_the_command_is_named)
{
    view = scene_view(3, 1, 16, 3);
    scene_lose(&view, 2);
    strcpy(view.nodes[3].address, "127.0.0.1:7002");
    expect_refused(
        "replace 127.0.0.1:7002 127.0.0.1:7002", CHANGES_E_USAGE,
        "node 2 (active, down) and node 4 (joining, runs) have one address; say which by "
        "its id: ring-admin replace 2 4");
    expect_refused("replace 127.0.0.1:7002 4", CHANGES_E_USAGE, "ring-admin replace 2 4");
    expect_refused("replace 2 localhost:7002", CHANGES_E_USAGE, "ring-admin replace 2 4");
    expect_refused("remove 127.0.0.1:7002", CHANGES_E_USAGE, "ring-admin remove --force 2");
    expect_refused("leave 127.0.0.1:7002", CHANGES_E_USAGE, "ring-admin leave 2");
    expect_refused("join 127.0.0.1:7002", CHANGES_E_USAGE, "ring-admin commit --auto join 4");
    expect_refused("weight 127.0.0.1:7002 50", CHANGES_E_USAGE, "ring-admin weight 2");
    cr_assert_eq(parse("replace 2 4"), 0, "%s", why);
    expect_change(0, STAGED_JOIN, 4, 0);
    expect_change(1, STAGED_REMOVE, 2, 0);
    view.map.members[1].state = RINGMAP_STATE_REMOVED;
    cr_assert_eq(parse("weight 127.0.0.1:7002 50"), 0, "a removed one is not meant");
    expect_change(0, STAGED_WEIGHT, 4, 50);
    view_deinit(&view);
}

Test(changes, what_cannot_be_names_the_word)
{
    view = scene_view(2, 1, 16, 2);
    expect_refused("jion 3", CHANGES_E_USAGE, "jion: no change; did you mean join?");
    expect_refused("frobnicate", CHANGES_E_USAGE, "replicas or share-zones is needed");
    expect_refused("join", CHANGES_E_USAGE, "join: NODE is missing");
    expect_refused("join 9", CHANGES_E_USAGE, "join 9: no node has this id");
    expect_refused("join 1", CHANGES_E_REFUSED, "join: node 1 is a member already");
    expect_refused("leave 10.0.0.9:1", CHANGES_E_USAGE, "leave 10.0.0.9:1: no node");
    expect_refused("leave 1 leave 2", CHANGES_E_REFUSED, "leave: no node would be left");
    expect_refused("replace 1", CHANGES_E_USAGE, "replace: NODE is missing");
    expect_refused("replace 3 3", CHANGES_E_USAGE, "cannot replace itself");
    expect_refused("weight 1", CHANGES_E_USAGE, "weight: W is missing");
    expect_refused("weight 1 0", CHANGES_E_USAGE, "leaves: ring-admin leave 1");
    expect_refused("weight 1 1000001", CHANGES_E_USAGE, "is no number from 1 to 1000000");
    expect_refused("weight 1 12x", CHANGES_E_USAGE, "weight: 12x is no number");
    expect_refused("weight 1 -3", CHANGES_E_USAGE, "weight: -3 is no number");
    expect_refused("weight 1 99999999999999999999", CHANGES_E_USAGE, "is no number");
    expect_refused("zone 1", CHANGES_E_USAGE, "zone: Z is missing");
    strcpy(view.map.members[0].zone, "rack-a");
    cr_assert_eq(parse("zone 1 -"), 0, "%s", why);
    expect_change(0, STAGED_ZONE, 1, 0);
    cr_assert_str_eq(staged.changes[0].zone, "");
    expect_refused("zone 1 0123456789012345678901234567890123", CHANGES_E_USAGE,
                   "1 to 31 printable");
    expect_refused("zone 1 a\tb", CHANGES_E_USAGE, "printable characters");
    expect_refused("replace 1 2", CHANGES_E_REFUSED, "ring-admin leave 1");
    expect_refused("replicas 8", CHANGES_E_USAGE, "8 is no number from 1 to 7");
    view.map.members[0].state = RINGMAP_STATE_REMOVED;
    expect_refused("weight 1 5", CHANGES_E_REFUSED, "weight: node 1 was removed");
    scene_lose(&view, 1);
    expect_refused("leave 1", CHANGES_E_REFUSED, "leave: node 1 was removed");
    expect_refused("replace 1 2", CHANGES_E_REFUSED, "replace: node 1 was removed");
    expect_refused("replace 2 1", CHANGES_E_REFUSED, "replace: node 1 was removed");
    view_deinit(&view);
}

/* What moves there never arrives, and it is not dead. */
Test(changes, the_leaving_of_a_shard_beyond_repair_takes_the_place_of_a_plan_under_way)
{
    view = scene_view(4, 2, 16, 3);
    scene_begin(&view, &(struct staged_change){.op = STAGED_JOIN, .member = 5});
    view.nodes[2].status.shards_lost = 1;
    cr_assert_eq(parse("leave 2"), CHANGES_E_MOVING);
    cr_assert_eq(parse("leave 3"), 0, "%s", why);
    cr_assert_eq(parse("replace 3 6"), 0, "%s", why);
    cr_assert_eq(parse("weight 1 50 leave 3"), 0, "%s", why);
    cr_assert_eq(parse("weight 3 50"), CHANGES_E_MOVING);
    view_deinit(&view);
}

/* Node 4 is being taken in; node 5 waits. */
Test(changes, only_the_removal_of_the_dead_takes_the_place_of_a_plan_under_way)
{
    view = scene_view(3, 2, 16, 3);
    scene_begin(&view, &(struct staged_change){.op = STAGED_JOIN, .member = 4});
    cr_assert_eq(parse(""), CHANGES_E_MOVING);
    cr_assert_eq(parse("weight 1 50"), CHANGES_E_MOVING);
    cr_assert_eq(parse("join 4"), CHANGES_E_MOVING, "though it is a member already");
    cr_assert_eq(parse("leave 5"), CHANGES_E_MOVING, "it lives, though that removes it");
    cr_assert_eq(parse("replace 5 5"), CHANGES_E_USAGE);
    cr_assert_eq(parse("weight 9 50"), CHANGES_E_USAGE);
    cr_assert_eq(parse("remove 2"), CHANGES_E_REFUSED, "it answers");
    scene_lose(&view, 2);
    cr_assert_eq(parse("remove 2"), 0);
    cr_assert_eq(parse("replace 2 5"), 0);
    cr_assert_eq(parse("weight 1 50 remove 2"), 0);
    cr_assert_eq(parse("leave 5"), CHANGES_E_MOVING);
    view.map.members[1].state = RINGMAP_STATE_REMOVED;
    expect_refused("remove 2", CHANGES_E_REFUSED, "node 2 was removed");
    cr_assert_eq(parse("weight 2 5"), CHANGES_E_MOVING);
    view_deinit(&view);
}

Test(changes, words_can_be_typed_again)
{
    char text[CHANGES_WORDS_SIZE];
    char *words[] = {"zone", "2", "rack 'a' $1", "join", "[::1]:7004", ""};

    changes_words(words, 6, text);
    cr_assert_str_eq(text, "zone 2 'rack '\\''a'\\'' $1' join '[::1]:7004' ''");
    changes_words(words, 0, text);
    cr_assert_str_eq(text, "");
}

Test(changes, a_zone_has_a_name)
{
    char *words[] = {"zone", "1", ""};

    view = scene_view(3, 0, 16, 3);
    cr_assert_eq(changes_parse(&view, words, 3, &staged, why), CHANGES_E_USAGE);
    cr_assert(strstr(why, "1 to 31 printable characters"), "%s", why);
    words[2] = "a\nb";
    cr_assert_eq(changes_parse(&view, words, 3, &staged, why), CHANGES_E_USAGE);
    cr_assert(strstr(why, "1 to 31 printable characters"), "%s", why);
    words[2] = "rack a";
    cr_assert_eq(changes_parse(&view, words, 3, &staged, why), CHANGES_E_OK, "%s", why);
    view_deinit(&view);
}

Test(changes, without_a_word_there_are_words_that_say_what_was_meant)
{
    char text[CHANGES_WORDS_SIZE] = "";

    view = scene_view(3, 2, 16, 3);
    cr_assert_eq(parse(""), 0, "%s", why);
    changes_joined(&staged, text);
    cr_assert_str_eq(text, "join 4 5");
    cr_assert_eq(parse(text), 0, "%s", why);
    changes_joined(&(struct staged){.count = 0}, text);
    cr_assert_str_eq(text, "join 4 5", "what was typed stays");
    view_deinit(&view);
}
