#include "cli/findings.h"

#include "replication/transfer.h"
#include "ring/swim.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "view_scene.h"

static struct view view;
static struct top_member members[40]; /* as its nodes */
static struct findings findings;
static void (*spoil)(struct moves *moves); /* NULL: nothing has moved, nothing waits */

static void look(void)
{
    struct moves moves = scene_moves(&view);

    if (spoil)
        spoil(&moves);
    findings_reach(&findings, &view, members, &moves);
    moves_deinit(&moves);
}

/* Ends where people would see its end. */
static size_t command_size(const char *command)
{
    static const char *const ends[] = {",", ";", ":", " with ", " or "};
    size_t size = strlen(command);

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const char *end = strstr(command, ends[i]);

        if (end && (size_t)(end - command) < size)
            size = (size_t)(end - command);
    }
    return size;
}

/* Every command that mends is one: it fails for want of a ticket (1), not of a meaning (2). */
static void try_commands(const char *mend)
{
    cr_assert_null(strstr(mend, "ring-admin doctor"), "it has just been asked: %s", mend);
    for (const char *at = strstr(mend, "ring-admin "); at; at = strstr(at + 1, "ring-admin ")) {
        char line[512];
        int status;

        snprintf(line, sizeof line, "%s/%.*s --ticket /no-ticket --seeds 127.0.0.1:1 2>/dev/null",
                 RINGCASK_BIN_DIR, (int)command_size(at), at);
        status = system(line);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1, "%s", line);
    }
}

/* The first line of the check that is not OK; NULL: none is. */
static const struct finding *fault_of(const char *check)
{
    bool told = false;

    look();
    for (uint32_t i = 0; i < findings.count; i++) {
        const struct finding *finding = &findings.items[i];

        if (strcmp(finding->check, check) != 0)
            continue;
        told = true;
        cr_assert_eq(finding->mend[0] == 0, finding->level == FINDING_OK, "%s", finding->text);
        if (finding->level != FINDING_OK)
            return finding;
    }
    cr_assert(told, "%s says nothing", check);
    return NULL;
}

static void expect(const char *check, enum finding_level level, const char *text, const char *mend)
{
    const struct finding *finding = fault_of(check);

    cr_assert_not_null(finding, "%s", check);
    cr_assert_eq(finding->level, level);
    cr_assert(strstr(finding->text, text), "%s", finding->text);
    cr_assert(strstr(finding->mend, mend), "%s", finding->mend);
    for (uint32_t i = 0; i < findings.count; i++)
        try_commands(findings.items[i].mend);
}

Test(findings, a_healthy_cluster_has_none_and_every_check_says_so)
{
    view = scene_view(3, 0, 16, 3);
    look();
    cr_assert_eq(findings.count, 14);
    for (uint32_t i = 0; i < findings.count; i++)
        cr_assert_eq(findings.items[i].level, FINDING_OK, "%s", findings.items[i].text);
    view_deinit(&view);
}

Test(findings, a_lost_node_is_named_with_both_ways_out)
{
    view = scene_view(4, 0, 16, 3);
    scene_lose(&view, 2);
    scene_elect(&view);
    expect("quorums", FINDING_WARN, "degraded", "start node-2 again");
    cr_assert(strstr(findings.items[1].text, "node-2 (127.0.0.1:7002) is down"));
    cr_assert(strstr(findings.items[1].mend, "ring-admin replace 2 NEW"));
    cr_assert(strstr(findings.items[1].mend, "ring-admin remove --force 2"));
    view_deinit(&view);
}

Test(findings, what_would_be_refused_is_not_advised)
{
    view = scene_view(3, 0, 16, 3);
    scene_lose(&view, 2);
    scene_elect(&view);
    expect("quorums", FINDING_WARN, "degraded", "start node-2 again");
    cr_assert(strstr(findings.items[1].mend, "ring-admin replace 2 NEW"));
    cr_assert_null(strstr(findings.items[1].mend, "remove"), "3 replicas need 3 nodes");
    scene_lose(&view, 1);
    expect("quorums", FINDING_ERROR, "unavailable", "start node-1 again");
    cr_assert_null(strstr(findings.items[1].mend, "ring-admin"), "%s", findings.items[1].mend);
    view_deinit(&view);
    view = scene_view(3, 1, 16, 3);
    scene_lose(&view, 2);
    scene_elect(&view);
    expect("quorums", FINDING_WARN, "degraded", "start node-2 again");
    cr_assert(strstr(findings.items[1].mend, "ring-admin replace 2 4"), "who is there is named");
    view_deinit(&view);
}

Test(findings, who_waits_to_be_taken_in_and_what_is_paused_is_told)
{
    view = scene_view(3, 1, 16, 3);
    expect("plan", FINDING_WARN, "node-4 (127.0.0.1:7004) is joining", "ring-admin plan join 4");
    scene_lose(&view, 4);
    expect("plan", FINDING_WARN, "is joining and holds nothing", "ring-admin remove --force 4");
    scene_begin(&view, &(struct staged_change){.op = STAGED_JOIN, .member = 4});
    cr_assert_null(fault_of("plan"));
    scene_lose(&view, 4);
    expect("plan", FINDING_WARN,
           "the plan under way waits for node-4 (127.0.0.1:7004), which is down",
           "ring-admin remove --force 4");
    cr_assert(strstr(fault_of("plan")->mend, "ring-admin abort"));
    scene_answer(&view);
    view.map.paused = true;
    expect("plan", FINDING_WARN, "a plan is paused", "ring-admin resume");
    view_deinit(&view);
    view = scene_view(3, 0, 16, 3);
    view.map.paused = true;
    expect("plan", FINDING_WARN, "the next plan will be too", "ring-admin resume");
    view_deinit(&view);
}

/* All partitions have moved. */
static void leave_meta(struct moves *moves)
{
    for (uint16_t p = 0; p < view.map.partition_count; p++)
        scene_move(&view, moves, p, 20);
    moves->groups[moves->partition_count].move.voters.count = 3; /* of five */
    moves->groups[moves->partition_count].move.step = TRANSFER_SILENT;
    moves->groups[moves->partition_count].move.member = 5;
}

static void silence_all(struct moves *moves)
{
    for (uint16_t p = 0; p < view.map.partition_count; p++)
        if (moves_changes(&view.map, p)) {
            moves->groups[p].move.step = p % 2 ? TRANSFER_SILENT : TRANSFER_BUDGET;
            moves->groups[p].move.member = 5;
        }
}

static void catch_up_one(struct moves *moves)
{
    silence_all(moves);
    for (uint16_t p = 0; p < view.map.partition_count; p++)
        if (moves_changes(&view.map, p))
            moves->groups[p].move.step = TRANSFER_CATCH_UP;
}

Test(findings, a_plan_that_waits_for_the_dead_or_stands_still_is_told)
{
    view = scene_view(4, 1, 16, 3);
    scene_begin(&view, &(struct staged_change){.op = STAGED_JOIN, .member = 5});
    spoil = leave_meta;
    expect("plan", FINDING_WARN, "stands still: the meta group not heard of (node-5)",
           "ring-admin abort");
    scene_lose(&view, 5);
    expect("plan", FINDING_WARN, "waits for node-5 (127.0.0.1:7005), which is down",
           "ring-admin remove --force 5");
    scene_answer(&view);
    spoil = silence_all;
    expect("plan", FINDING_WARN, "stands still", "ring-admin status");
    spoil = catch_up_one;
    cr_assert_null(fault_of("plan"), "something goes on");
    view_deinit(&view);
}

Test(findings, who_is_drained_is_told_with_the_command_that_ends_it)
{
    unsigned named = 0;

    view = scene_view(3, 0, 16, 3);
    members[1].drained = true;
    expect("leaders", FINDING_HINT, "node-2 is drained", "ring-admin undrain 2");
    members[2].drained = true;
    cr_assert_not_null(fault_of("leaders"));
    for (uint32_t i = 0; i < findings.count; i++)
        named += findings.items[i].level == FINDING_HINT;
    cr_assert_eq(named, 2);
    members[1].drained = false;
    scene_lose(&view, 3);
    cr_assert_null(fault_of("leaders"), "it does not answer: that is what is told of it");
    view_deinit(&view);
}

Test(findings, a_copy_of_a_data_directory_that_runs_is_told_once)
{
    uint32_t told = 0;

    view = scene_view(3, 0, 16, 3);
    for (uint32_t i = 0; i < 3; i += 2) {
        view.nodes[i].status.twin = 2;
        strcpy(view.nodes[i].status.twin_address, "10.0.0.9:40001");
    }
    expect("identities", FINDING_ERROR,
           "node-2 runs twice: node-1 is dialled from 10.0.0.9:40001, too", "stop the one");
    for (uint32_t i = 0; i < findings.count; i++)
        told += strcmp(findings.items[i].check, "identities") == 0;
    cr_assert_eq(told, 1);
    view_deinit(&view);
}

Test(findings, a_shard_beyond_repair_is_told_with_the_way_out)
{
    view = scene_view(4, 0, 16, 3);
    view.nodes[1].status.shards = 2;
    view.nodes[1].status.shards_lost = 1;
    expect("divergence", FINDING_ERROR,
           "node-2: the manifest or the journal of 1 of its 2 shards is damaged beyond repair",
           "ring-admin leave 2, or ring-admin replace 2 NEW");
    scene_lose(&view, 2);
    cr_assert_null(fault_of("divergence"), "it does not answer: that is what is told of it");
    view_deinit(&view);
}

Test(findings, the_meta_group_is_looked_at)
{
    view = scene_view(3, 0, 16, 3);
    view.map.meta_voter_count = 1;
    view.map.meta_voters[1] = view.map.meta_voters[2] = 0;
    expect("meta group", FINDING_WARN, "has 1 voters and could have 3", "ring-admin commit --auto");
    view.meta[0].known = false;
    view.meta[1].known = false;
    view.meta[2].known = false;
    expect("meta group", FINDING_ERROR, "no leader", "majority");
    view_deinit(&view);
}

Test(findings, maps_links_zones_versions_and_keys_that_differ_are_told)
{
    uint8_t(*boxes)[RINGMAP_BOX_SIZE];

    view = scene_view(4, 0, 16, 3);
    view.map.epoch = 9;
    for (uint32_t i = 0; i < 4; i++)
        view.nodes[i].status.epoch = i == 2 ? 8 : 9;
    expect("ring map", FINDING_WARN, "node-3 goes by the ring map of epoch 8", "wait");
    view.nodes[1].status.links_up = 1;
    expect("links", FINDING_WARN, "node-2 has links to 1 of 3 others", "network");
    view.nodes[1].status.links_up = 3;
    view.nodes[1].liveness = (struct wire_liveness){.member = 2, .standing = SWIM_DEAD};
    expect("links", FINDING_WARN, "node-2 answers here, and others hold it dead", "network");
    strcpy(view.map.members[0].zone, "a");
    expect("zones", FINDING_WARN, "3 replicas in 2 zones", "ring-admin zone");
    strcpy(view.nodes[3].status.version, "0.0.9");
    expect("versions", FINDING_WARN, "node-4 runs version 0.0.9, others 0.1.0", "SIGTERM");
    strcpy(view.nodes[3].status.version, "0.10.0");
    expect("versions", FINDING_WARN, "node-1 runs version 0.1.0, others 0.10.0", "SIGTERM");
    cr_assert_eq(ringmap_add_key(&view.map, 2, &boxes), 0);
    for (uint32_t i = 0; i < 4; i++)
        view.nodes[i].status.key_id = i == 3 ? 1 : 2;
    expect("data keys", FINDING_WARN, "node-4 seals with data key 1", "log");
    view.map.members[3].state = RINGMAP_STATE_JOINING;
    view.nodes[3].status.key_id = 0;
    cr_assert_null(fault_of("data keys"), "it has none yet");
    view_deinit(&view);
}

Test(findings, damage_and_replicas_that_differ_are_told)
{
    view = scene_view(3, 0, 16, 3);
    view.nodes[0].status.scrub.faults = 2;
    expect("divergence", FINDING_WARN, "node-1: 2 places", "smartctl");
    view.nodes[0].status.scrub = (struct wire_scrub){.outvoted = 1};
    expect("divergence", FINDING_WARN, "node-1: 1 replicas held something else", "memory");
    view.nodes[0].status.scrub = (struct wire_scrub){.unread = 3};
    expect("divergence", FINDING_ERROR, "node-1: 3 files", "ring-admin replace 1 NEW");
    view.nodes[0].status.scrub = (struct wire_scrub){.undecided = 4};
    expect("divergence", FINDING_ERROR, "node-1: 4 ranges", "bring all replicas back");
    view_deinit(&view);
}

Test(findings, disks_memory_and_clocks_are_told_before_they_hurt)
{
    view = scene_view(3, 0, 16, 3);
    view.nodes[1].status.disk_free = 100u << 20;
    expect("disks", FINDING_WARN, "node-2: 100 MiB free beside 1024 MiB stored",
           "ring-admin weight 2 50");
    view.nodes[1].status.disk_full = true;
    expect("disks", FINDING_ERROR, "node-2: its disk is full", "make room");
    view.map.target = view.map.replicas;
    expect("disks", FINDING_ERROR, "node-2: its disk is full", "ring-admin abort");
    view.map.target = NULL;
    view.nodes[1].status.disk_full = false;
    view.nodes[1].status.disk_lacks = 4u << 20;
    view.map.target = view.map.replicas;
    expect("disks", FINDING_ERROR, "node-2: its disk is full for what moves there",
           "ring-admin abort");
    view.map.target = NULL;
    view.nodes[1].status.disk_lacks = 0;
    view.nodes[1].status.disk_free = 250u << 20;
    look();
    cr_assert_null(fault_of("disks"));
    view.nodes[1].status.disk_reserve = 64u << 20;
    expect("disks", FINDING_WARN, "64 MiB of them to be kept free", "ring-admin weight 2 50");
    view.nodes[1].status.disk_free = UINT64_C(100) << 30;
    members[2].slow = true;
    expect("disks", FINDING_WARN, "node-3: its disk takes far longer to sync", "iostat");
    for (uint32_t i = 0; i < VIEW_PLACES; i++)
        view.replicas[i].status.keys = 10000000; /* 240 MB of index for a GiB of data */
    expect("memory", FINDING_WARN, "node-1: with its disk full of such keys", "more memory");
    view.nodes[0].status.memory_bytes = 300u << 20;
    expect("memory", FINDING_ERROR, "node-1: the index of 10000000 keys takes", "more memory");
    view.nodes[2].status.wall_ms += FINDINGS_CLOCK_MS;
    cr_assert_null(fault_of("clocks"));
    view.nodes[2].status.wall_ms += 200;
    expect("clocks", FINDING_WARN, "node-3: its clock is 700 ms ahead of the others'", "chronyd");
    view_deinit(&view);
}

Test(findings, what_hundreds_of_nodes_have_is_said_of_some)
{
    view = scene_view(40, 0, 16, 3);
    for (uint16_t id = 1; id <= 40; id++) {
        view.nodes[id - 1].status.epoch = 0;
        view.nodes[id - 1].status.disk_full = true;
        view.nodes[id - 1].status.links_up = 0;
    }
    look();
    cr_assert_leq(findings.count, FINDINGS_MAX);
    expect("ring map", FINDING_WARN, "node-1", "wait");
    cr_assert_null(fault_of("clocks"));
    view_deinit(&view);
}
