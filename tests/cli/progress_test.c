#include "cli/progress.h"

#include "replication/transfer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "view_scene.h"

#define MIB (UINT64_C(1) << 20)

static struct progress progress;

static void take(uint64_t now_ms, uint64_t mib_done, uint32_t groups_done)
{
    progress_take(&progress,
                  &(struct moves_sum){.groups = 10,
                                      .groups_done = groups_done,
                                      .bytes = 100 * MIB,
                                      .bytes_done = mib_done * MIB},
                  now_ms);
}

Test(progress, speed_is_of_the_last_seconds_and_tells_the_time_left)
{
    cr_assert_eq(progress_rate(&progress), 0);
    take(1000, 0, 0);
    cr_assert_eq(progress_left_ms(&progress), UINT64_MAX);
    take(2000, 10, 1);
    cr_assert_eq(progress_rate(&progress), 10 * MIB);
    cr_assert_eq(progress_left_ms(&progress), 9000);
    for (uint64_t second = 3; second < 40; second++)
        take(second * 1000, 10, 1); /* it stands */
    cr_assert_eq(progress_rate(&progress), 0);
    take(40000, 15, 1);
    cr_assert_eq(progress_rate(&progress), MIB, "five in five seconds");
    take(40500, 3, 1); /* another leader counts anew */
    cr_assert_eq(progress_rate(&progress), 0);
}

Test(progress, many_samples_in_a_window_push_the_oldest_out)
{
    for (uint64_t i = 0; i < 500; i++)
        take(i * 10, i % 100, 0);
    cr_assert_leq(progress.sample_count, PROGRESS_SAMPLES_MAX);
    cr_assert_eq(progress.samples[progress.sample_count - 1].at_ms, 4990);
    cr_assert_eq(progress_rate(&progress), 100 * MIB);
}

Test(progress, per_cent_are_of_bytes_or_else_of_partitions_and_all_is_all)
{
    char text[PROGRESS_TEXT_SIZE];

    take(0, 50, 1);
    cr_assert_eq(progress_percent(&progress), 49);
    progress.sum.groups_unknown = 1;
    cr_assert_eq(progress_percent(&progress), 9);
    progress.sum = (struct moves_sum){.groups = 4, .groups_done = 2};
    cr_assert_eq(progress_percent(&progress), 49);
    progress.sum.groups_done = 4;
    cr_assert_eq(progress_percent(&progress), 100);
    progress.sum.waiting = 1; /* the meta group */
    cr_assert_eq(progress_percent(&progress), 99);
    progress.sum = (struct moves_sum){0};
    cr_assert_eq(progress_percent(&progress), 100);
    progress = (struct progress){0};
    take(0, 0, 0);
    take(1000, 50, 3);
    progress_text(&progress, text, sizeof text);
    cr_assert_str_eq(text, "3 of 10 partitions, 0 retries; 50.0 MiB of 100.0 MiB, 50.0 MiB/s, "
                           "00:01 left");
    progress.sum = (struct moves_sum){.groups = 2, .groups_done = 1, .retries = 1};
    progress_text(&progress, text, sizeof text);
    cr_assert_str_eq(text, "1 of 2 partitions, 1 retry");
}

Test(progress, those_that_go_back_are_told_beside_those_that_are_done)
{
    char text[PROGRESS_TEXT_SIZE];

    progress.sum =
        (struct moves_sum){.groups = 4, .groups_done = 4, .waiting = 12, .going_back = 12};
    progress_text(&progress, text, sizeof text);
    cr_assert_str_eq(text, "4 of 4 partitions, 12 going back, 0 retries");
    cr_assert_eq(progress_percent(&progress), 99);
}

Test(progress, it_says_why_what_waits_does)
{
    struct view view = scene_view(3, 1, 16, 3);
    char text[PROGRESS_TEXT_SIZE], want[PROGRESS_TEXT_SIZE];
    struct moves moves;
    uint16_t moving[16];
    uint32_t count = 0;

    scene_begin(&view, &(struct staged_change){.op = STAGED_JOIN, .member = 4});
    moves = scene_moves(&view);
    for (uint16_t p = 0; p < 16; p++)
        if (moves_changes(&view.map, p))
            moving[count++] = p;
    cr_assert_gt(count, 4);
    moves.groups[moving[0]].move.step = TRANSFER_CATCH_UP;
    moves.groups[moving[0]].move.member = 4;
    moves.groups[moving[1]].move.step = TRANSFER_CATCH_UP;
    moves.groups[moving[1]].move.member = 4;
    moves.groups[moving[2]].known = false;
    scene_move(&view, &moves, moving[3], 20);
    progress_waits(&moves, &view.map, text, sizeof text);
    snprintf(want, sizeof want,
             "%u waiting for its turn, 2 catching up (node-4), 1 without a "
             "leader that answers",
             count - 4);
    cr_assert_str_eq(text, want);
    for (uint16_t p = 0; p < 16; p++)
        scene_move(&view, &moves, p, 30);
    progress_waits(&moves, &view.map, text, sizeof text);
    cr_assert_str_eq(text, "");
    moves.groups[16].move.voters.count--;
    moves.groups[16].move.step = TRANSFER_SILENT;
    moves.groups[16].move.member = 4;
    progress_waits(&moves, &view.map, text, sizeof text);
    cr_assert_str_eq(text, "the meta group not heard of (node-4)");
    moves.groups[16].known = false;
    progress_waits(&moves, &view.map, text, sizeof text);
    cr_assert_str_eq(text, "the meta group without a leader that answers");
    progress_missing(&view, &moves, &view.nodes[3], text, sizeof text);
    cr_assert(strstr(text, "ask again: a group has no leader"), "%s", text);
    moves.groups[16].known = true;
    progress_missing(&view, &moves, &view.nodes[3], text, sizeof text);
    cr_assert(strstr(text, "node-4 (127.0.0.1:7004) is not alive"), "%s", text);
    cr_assert(strstr(text, "ring-admin remove --force 4"), "%s", text);
    view.nodes[3].reachable = true;
    view.nodes[3].status.shards_lost = 1;
    progress_missing(&view, &moves, &view.nodes[3], text, sizeof text);
    cr_assert(strstr(text, "node-4 (127.0.0.1:7004) has a shard that is damaged beyond repair: "
                           "ring-admin leave 4, or ring-admin replace 4 NEW"),
              "%s", text);
    moves_deinit(&moves);
    view_deinit(&view);
}
