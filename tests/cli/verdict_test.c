#include "cli/standing.h"
#include "cli/verdict.h"

#include "replication/raft.h"

#include "view_scene.h"

#include <criterion/criterion.h>
#include <string.h>

static struct view view;
static struct verdict verdict;
static struct moves moves; /* while a plan is under way */

static void reach(void)
{
    verdict_reach(&verdict, &view, moves.groups ? &moves : NULL);
}

static struct view_replica *row_of(uint32_t partition)
{
    return &view.replicas[(size_t)partition * VIEW_PLACES];
}

static void healthy(uint32_t nodes, uint32_t partitions, uint32_t replicas)
{
    view = scene_view(nodes, 0, partitions, replicas);
}

static void lose(uint16_t id)
{
    scene_lose(&view, id);
}

static void elect(void)
{
    scene_elect(&view);
}

static void assert_verdict(enum verdict_state state, const char *text)
{
    reach();
    cr_assert_str_eq(verdict.sentence, text);
    cr_assert_eq(verdict.state, state);
    cr_assert_eq(verdict.mend[0] == 0, state == VERDICT_HEALTHY, "%s", verdict.mend);
    view_deinit(&view);
    moves_deinit(&moves);
}

Test(verdict, a_healthy_cluster_says_what_it_tolerates)
{
    healthy(3, 16, 3);
    assert_verdict(VERDICT_HEALTHY, "healthy: 3 nodes, 16 partitions, tolerates 1 more failure");
    healthy(5, 16, 5);
    assert_verdict(VERDICT_HEALTHY, "healthy: 5 nodes, 16 partitions, tolerates 2 more failures");
    healthy(1, 16, 1);
    assert_verdict(VERDICT_HEALTHY, "healthy: 1 node, 16 partitions, tolerates 0 more failures");
}

Test(verdict, a_meta_group_without_leader_is_no_harm_to_the_data_but_told)
{
    healthy(3, 16, 3);
    view.meta[0].status.role = RAFT_FOLLOWER;
    assert_verdict(VERDICT_DEGRADED,
                   "degraded: the meta group has no leader; 16 of 16 partitions have a leader, 0 "
                   "are under-replicated, tolerates 1 more failure");
}

/* All data is served, and the next failure would leave a map that nobody can change. */
Test(verdict, a_voter_of_the_meta_group_that_is_not_whole_is_named)
{
    healthy(3, 16, 3);
    view.meta[1].status.fenced = true;
    assert_verdict(VERDICT_DEGRADED,
                   "degraded: node-2 (127.0.0.1:7002) has damaged partitions; 16 of 16 partitions "
                   "have a leader, 0 are under-replicated, tolerates 1 more failure");
    healthy(3, 16, 3);
    view.meta[2].status.last = 0;
    view.meta[0].status.first = 50;
    reach();
    cr_assert_eq(verdict.state, VERDICT_DEGRADED);
    cr_assert(strstr(verdict.sentence, "node-3 (127.0.0.1:7003) is catching up"), "%s",
              verdict.sentence);
    view.map.target = view.map.replicas;
    reach();
    cr_assert(strstr(verdict.sentence, "node-3 (127.0.0.1:7003) is to get partitions yet"), "%s",
              verdict.sentence);
    view.map.target = NULL;
    view_deinit(&view);
}

Test(verdict, a_lost_node_is_named_with_the_command_that_mends_it)
{
    healthy(3, 16, 3);
    lose(2);
    elect();
    assert_verdict(VERDICT_DEGRADED,
                   "degraded: node-2 (127.0.0.1:7002) is unreachable; 16 of 16 partitions have a "
                   "leader, 16 are under-replicated, tolerates 0 more failures");
    cr_assert_str_eq(verdict.mend, "start node-2 again: ringcask node --ticket FILE --data DIR "
                                   "--listen 127.0.0.1:7002  (Connection refused)");
    cr_assert_str_eq(verdict.then, "if it is lost: ring-admin doctor");
}

Test(verdict, only_partitions_of_the_lost_node_count)
{
    healthy(6, 16, 3);
    lose(4);
    elect();
    assert_verdict(VERDICT_DEGRADED,
                   "degraded: node-4 (127.0.0.1:7004) is unreachable; 16 of 16 partitions have a "
                   "leader, 8 are under-replicated, tolerates 0 more failures");
}

Test(verdict, without_a_majority_it_is_unavailable)
{
    healthy(3, 16, 3);
    lose(2);
    lose(3);
    assert_verdict(VERDICT_UNAVAILABLE,
                   "unavailable: node-2 (127.0.0.1:7002) and node-3 (127.0.0.1:7003) are "
                   "unreachable; 6 of 16 partitions have a leader, 16 are under-replicated, "
                   "tolerates 0 more failures");
}

Test(verdict, an_election_under_way_is_unavailable_and_says_wait)
{
    healthy(3, 16, 3);
    row_of(0)[0].status.role = RAFT_FOLLOWER;
    assert_verdict(VERDICT_UNAVAILABLE,
                   "unavailable: 1 partition has no leader at the moment; 15 of 16 partitions "
                   "have a leader, 0 are under-replicated, tolerates 1 more failure");
    cr_assert(strstr(verdict.mend, "wait"));
}

Test(verdict, a_fenced_replica_does_not_count)
{
    healthy(3, 16, 3);
    row_of(1)[1].status.fenced = true;
    reach();
    cr_assert_eq(verdict.state, VERDICT_DEGRADED);
    cr_assert_eq(verdict.under_replicated, 1);
    cr_assert_eq(verdict.tolerates, 0);
    cr_assert(strstr(verdict.sentence, "has damaged partitions"), "%s", verdict.sentence);
    cr_assert(strstr(verdict.mend, "ringcask inspect"), "%s", verdict.mend);
    view_deinit(&view);
}

/* Its partitions are all fenced, and waiting mends nothing. */
Test(verdict, a_shard_beyond_repair_is_told_in_place_of_its_partitions)
{
    healthy(3, 16, 3);
    row_of(1)[1].status.fenced = true;
    view.nodes[row_of(1)[1].member - 1].status.shards_lost = 1;
    reach();
    cr_assert_eq(verdict.state, VERDICT_DEGRADED);
    cr_assert(strstr(verdict.sentence, "has a shard that is damaged beyond repair"), "%s",
              verdict.sentence);
    cr_assert_null(strstr(verdict.sentence, "damaged partitions"), "%s", verdict.sentence);
    cr_assert(strstr(verdict.mend, "to another disk"), "%s", verdict.mend);
    view_deinit(&view);
}

/* Who asks reaches it, and the leader does not. While nobody leads all look for one. */
Test(verdict, a_replica_that_hears_no_leader_does_not_count)
{
    healthy(3, 16, 3);
    row_of(0)[1].status.role = RAFT_PRECANDIDATE;
    reach();
    cr_assert_eq(verdict.state, VERDICT_DEGRADED);
    cr_assert_eq(verdict.under_replicated, 1);
    cr_assert_eq(verdict.tolerates, 0);
    cr_assert(strstr(verdict.sentence, "does not hear the leaders of all its partitions"), "%s",
              verdict.sentence);
    cr_assert(strstr(verdict.mend, "look at the network"), "%s", verdict.mend);
    row_of(0)[0].status.role = RAFT_CANDIDATE;
    reach();
    cr_assert_eq(verdict.under_replicated, 0);
    view_deinit(&view);
}

/* What two nodes say is of two moments. */
Test(verdict, while_the_leadership_is_handed_over_all_count)
{
    healthy(3, 16, 3);
    row_of(0)[1].status.role = RAFT_CANDIDATE;
    row_of(0)[1].status.term++;
    reach();
    cr_assert_eq(verdict.state, VERDICT_HEALTHY, "%s", verdict.sentence);
    row_of(0)[1].status.role = RAFT_LEADER;
    reach();
    cr_assert_eq(verdict.state, VERDICT_HEALTHY, "%s", verdict.sentence);
    row_of(0)[0].status.role = RAFT_PRECANDIDATE;
    reach();
    cr_assert_eq(verdict.state, VERDICT_DEGRADED);
    view_deinit(&view);
}

Test(verdict, a_replica_far_behind_does_not_count_and_one_near_does)
{
    healthy(3, 16, 3);
    row_of(0)[0].status.commit = STANDING_LAG_MAX + 100;
    reach();
    cr_assert_eq(verdict.state, VERDICT_HEALTHY);
    row_of(0)[0].status.commit++;
    reach();
    cr_assert_neq(verdict.state, VERDICT_HEALTHY);
    cr_assert(strstr(verdict.sentence, "are catching up"), "%s", verdict.sentence);
    view_deinit(&view);
}

/* Each of its partitions has a node that waits for a snapshot: few entries, and it has nothing. */
Test(verdict, a_replica_whose_entries_the_leader_has_no_more_does_not_count)
{
    healthy(3, 16, 3);
    row_of(0)[0].status.first = 50;
    row_of(0)[1].status.last = 49;
    reach();
    cr_assert_eq(verdict.state, VERDICT_HEALTHY);
    row_of(0)[1].status.last = 48;
    reach();
    cr_assert_eq(verdict.state, VERDICT_DEGRADED);
    cr_assert_eq(verdict.tolerates, 0);
    cr_assert(strstr(verdict.sentence, "catching up"), "%s", verdict.sentence);
    view_deinit(&view);
}

Test(verdict, without_a_leader_who_is_far_behind_does_not_count_either)
{
    healthy(3, 16, 3);
    row_of(0)[0].status.role = RAFT_FOLLOWER;
    row_of(0)[0].status.last = row_of(0)[0].status.commit = STANDING_LAG_MAX + 101;
    row_of(0)[1].status.last = row_of(0)[1].status.commit = STANDING_LAG_MAX + 101;
    reach();
    cr_assert_eq(verdict.state, VERDICT_UNAVAILABLE);
    cr_assert_eq(verdict.tolerates, 0);
    view_deinit(&view);
}

/* During an election: few entries, but nobody who could lead has them still. */
Test(verdict, without_a_leader_who_waits_for_a_snapshot_does_not_count_either)
{
    healthy(3, 16, 3);
    row_of(0)[0].status.role = RAFT_FOLLOWER;
    row_of(0)[0].status.first = 50;
    row_of(0)[1].status.last = row_of(0)[1].status.commit = 49;
    reach();
    cr_assert_eq(verdict.under_replicated, 0);
    row_of(0)[1].status.last = row_of(0)[1].status.commit = 48;
    reach();
    cr_assert_eq(verdict.under_replicated, 1);
    cr_assert_eq(verdict.tolerates, 0);
    view_deinit(&view);
}

/* A leader that was elected a moment ago has yet to hear what is committed. */
Test(verdict, what_anybody_says_is_committed_is)
{
    healthy(3, 16, 3);
    row_of(0)[2].status.last = row_of(0)[2].status.commit = STANDING_LAG_MAX + 101;
    row_of(0)[0].status.last = STANDING_LAG_MAX + 101;
    reach();
    cr_assert_eq(verdict.under_replicated, 1);
    view_deinit(&view);
}

Test(verdict, a_node_that_keeps_silent_about_a_partition_is_named)
{
    healthy(3, 16, 3);
    row_of(0)[1].known = false;
    reach();
    cr_assert_eq(verdict.state, VERDICT_DEGRADED);
    cr_assert(strstr(verdict.sentence, "does not answer for all its partitions"));
    view_deinit(&view);
}

Test(verdict, a_full_disk_is_named)
{
    healthy(3, 16, 3);
    view.nodes[2].status.disk_full = true;
    reach();
    cr_assert_eq(verdict.state, VERDICT_DEGRADED);
    cr_assert(strstr(verdict.mend, "free space on the disk of node-3"), "%s", verdict.mend);
    cr_assert_null(strstr(verdict.mend, "ring-admin abort"));
    view.map.target = view.map.replicas;
    reach();
    cr_assert(strstr(verdict.mend, "ring-admin abort"), "%s", verdict.mend);
    view.map.target = NULL;
    view.nodes[2].status.disk_full = false;
    view.nodes[2].status.disk_lacks = 1;
    reach();
    cr_assert(strstr(verdict.mend, "free space on the disk of node-3"), "%s", verdict.mend);
    view_deinit(&view);
}

Test(verdict, a_prepared_node_is_named_with_init)
{
    healthy(3, 16, 3);
    lose(3);
    view.nodes[2].reachable = true;
    view.nodes[2].status.founded = 1;
    elect();
    reach();
    cr_assert_eq(verdict.state, VERDICT_DEGRADED);
    cr_assert(strstr(verdict.sentence, "node-3 (127.0.0.1:7003) has not heard of the founding"));
    cr_assert_str_eq(verdict.mend, "finish the founding: ring-admin init 127.0.0.1:7001 "
                                   "127.0.0.1:7002 127.0.0.1:7003");
    view_deinit(&view);
}

Test(verdict, of_two_who_say_they_lead_the_newer_term_does)
{
    healthy(3, 16, 3);
    row_of(0)[1].status.role = RAFT_LEADER;
    row_of(0)[1].status.term = 2;
    cr_assert_eq(view_leader(&view, 0), 1);
    view_deinit(&view);
}

Test(verdict, many_lost_nodes_are_counted_not_listed)
{
    healthy(7, 16, 3);
    for (uint16_t id = 2; id <= 7; id++)
        lose(id);
    reach();
    cr_assert(strstr(verdict.sentence, "node-2 (127.0.0.1:7002), node-3 (127.0.0.1:7003), node-4 "
                                       "(127.0.0.1:7004) and 3 more are unreachable"),
              "%s", verdict.sentence);
    view_deinit(&view);
}

/* A fourth node has joined and a plan takes it in. */
static void begin_plan(void)
{
    view = scene_view(3, 1, 16, 3);
    scene_begin(&view, &(struct staged_change){.op = STAGED_JOIN, .member = 4});
    moves_deinit(&moves);
    moves = scene_moves(&view);
}

Test(verdict, while_a_plan_is_under_way_each_partition_is_judged_where_it_is)
{
    begin_plan();
    assert_verdict(VERDICT_HEALTHY, "healthy: 4 nodes, 16 partitions, tolerates 1 more failure; a "
                                    "plan is under way");
    begin_plan();
    view.map.paused = true;
    for (uint16_t p = 0; p < 8; p++) /* half is there */
        for (uint32_t i = 0; i < VIEW_PLACES; i++)
            row_of(p)[i].known = false;
    for (uint16_t p = 0; p < 8; p++)
        scene_serve(&view, p, ringmap_wanted(&view.map, p), 3);
    for (uint16_t p = 0; p < 8; p++)
        scene_move(&view, &moves, p, 11);
    assert_verdict(VERDICT_HEALTHY, "healthy: 4 nodes, 16 partitions, tolerates 1 more failure; a "
                                    "plan is paused");
    begin_plan();
    lose(1);
    elect();
    reach();
    cr_assert_eq(verdict.state, VERDICT_DEGRADED);
    cr_assert_eq(verdict.tolerates, 0);
    view_deinit(&view);
}

/* Of each partition that node 4 is to get, one of those that have it is gone. */
Test(verdict, who_is_to_get_partitions_yet_is_no_cause_for_alarm)
{
    for (int paused = 0; paused < 2; paused++) {
        begin_plan();
        view.map.paused = paused;
        view.map.members[0].state = RINGMAP_STATE_REMOVED;
        for (uint16_t p = 0; p < 16; p++)
            for (uint32_t i = 0; i < VIEW_PLACES; i++)
                if (row_of(p)[i].member == 1)
                    row_of(p)[i].known = false;
        elect();
        reach();
        cr_assert_eq(verdict.state, VERDICT_DEGRADED);
        cr_assert_eq(verdict.tolerates, 0);
        cr_assert(strstr(verdict.sentence, "node-4 (127.0.0.1:7004) is to get partitions yet"),
                  "%s", verdict.sentence);
        cr_assert_null(strstr(verdict.sentence, "answer"), "%s", verdict.sentence);
        cr_assert(strstr(verdict.mend, paused ? "ring-admin resume" : "wait: the plan"), "%s",
                  verdict.mend);
        view_deinit(&view);
    }
}

/* All of the wanted row have been fed, and one of them has a vote; the others who vote are down. */
Test(verdict, learners_are_no_failures_tolerated)
{
    struct wire_move *move;

    begin_plan();
    reach();
    cr_assert_eq(verdict.tolerates, 1);
    move = &moves.groups[0].move;
    move->learners = move->voters;
    move->voters = (struct wire_members){.count = 3, .ids = {move->voters.ids[0], 4, 5}};
    reach();
    cr_assert_eq(verdict.state, VERDICT_UNAVAILABLE);
    cr_assert_eq(verdict.tolerates, 0);
    cr_assert(strstr(verdict.sentence, "1 partition has no majority"), "%s", verdict.sentence);
    move->voters_old = move->voters;
    move->voters = move->learners;
    reach();
    cr_assert_eq(verdict.tolerates, 0, "both halves of a joint configuration count");
    move->voters_old.count = 0;
    reach();
    cr_assert_eq(verdict.tolerates, 1);
    for (uint32_t p = 0; p < 16; p++)
        moves.groups[p].known = false;
    reach();
    cr_assert_eq(verdict.tolerates, 0, "the worse of both rows of the map");
    view_deinit(&view);
    moves_deinit(&moves);
}

/* All were prepared before anybody was told to commit: founded again it would be as if empty. */
Test(verdict, a_member_that_has_lost_its_genesis_is_not_founded_again)
{
    healthy(3, 16, 3);
    view.nodes[2].status.founded = 0;
    reach();
    cr_assert(strstr(verdict.sentence, "node-3 (127.0.0.1:7003) has lost its GENESIS"), "%s",
              verdict.sentence);
    cr_assert(!strstr(verdict.mend, "init"), "%s", verdict.mend);
    cr_assert(strstr(verdict.mend, "ring-admin replace 3 NEW"), "%s", verdict.mend);
    view_deinit(&view);
    moves_deinit(&moves);
}

Test(verdict, who_joins_or_was_removed_is_not_missed)
{
    view = scene_view(3, 1, 16, 3);
    lose(4);
    assert_verdict(VERDICT_HEALTHY, "healthy: 3 nodes, 16 partitions, tolerates 1 more failure; 1 "
                                    "node is joining");
    view = scene_view(3, 1, 16, 3);
    lose(4);
    view.map.members[3].state = RINGMAP_STATE_REMOVED;
    assert_verdict(VERDICT_HEALTHY, "healthy: 3 nodes, 16 partitions, tolerates 1 more failure");
}

Test(verdict, an_unfounded_cluster_says_init)
{
    healthy(3, 16, 3);
    ringmap_deinit(&view.map);
    view.founded = false;
    view.nodes[1].reachable = false;
    assert_verdict(VERDICT_UNFOUNDED, "not founded: 2 of 3 nodes are ready and empty");
    cr_assert_str_eq(verdict.mend, "ring-admin init 127.0.0.1:7001 127.0.0.1:7002 127.0.0.1:7003");
}
