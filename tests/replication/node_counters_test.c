#include "replication/node_counters.h"

#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/storage/vfs_crash.h"

#define SELF 2u

static struct node_counters counters, again;

/* Three members that count, and two that do not. */
static struct ringmap_member members[] = {{.id = 1, .state = RINGMAP_STATE_ACTIVE},
                                          {.id = SELF, .state = RINGMAP_STATE_ACTIVE},
                                          {.id = 3, .state = RINGMAP_STATE_ACTIVE},
                                          {.id = 4, .state = RINGMAP_STATE_JOINING},
                                          {.id = 5, .state = RINGMAP_STATE_REMOVED}};
static const struct ringmap map = {.members = members,
                                   .member_count = sizeof members / sizeof members[0]};

static void raise_own(struct vfs *vfs)
{
    struct node_counters raised = counters;

    cr_assert_eq(node_counters_raise(vfs, &raised, SELF), 0);
    node_counters_raised(&counters, SELF, raised.own, &map);
}

Test(node_counters, a_start_writes_nothing_and_a_raise_is_there_after_a_power_cut)
{
    struct vfs *vfs = vfs_crash_new(1);
    uint64_t size;

    cr_assert_eq(node_counters_read(vfs, &counters), 0);
    cr_assert_eq(counters.own, 1);
    cr_assert_null(vfs_crash_bytes(vfs, "COUNTERS", &size));
    node_counters_hear(&counters, 1, 7);
    node_counters_hear(&counters, RINGMAP_MEMBERS_MAX, NODE_COUNTERS_END - 1);
    cr_assert_eq(node_counters_raise(vfs, &counters, SELF), 0);
    cr_assert_eq(counters.own, 2);
    vfs_crash_restart(vfs);
    cr_assert_eq(node_counters_read(vfs, &again), 0);
    cr_assert_eq(again.own, 2);
    cr_assert_eq(again.heard[1], 7);
    cr_assert_eq(again.heard[RINGMAP_MEMBERS_MAX], NODE_COUNTERS_END - 1);
    cr_assert_not(again.settled);
    vfs_crash_free(vfs);
}

/* Whatever call the machine dies in: what was told by then is on the disk. */
Test(node_counters, a_crash_at_any_call_leaves_what_was_told_or_the_next)
{
    bool cut = true;

    for (uint64_t call = 1; cut; call++) {
        struct vfs *vfs = vfs_crash_new(call);
        uint64_t told;

        cr_assert_eq(node_counters_read(vfs, &counters), 0);
        for (unsigned i = 0; i < 3; i++)
            cr_assert_eq(node_counters_raise(vfs, &counters, SELF), 0);
        told = counters.own;
        vfs_crash_cut_after(vfs, call);
        (void)node_counters_raise(vfs, &counters, SELF);
        cut = vfs_crash_is_cut(vfs);
        cr_assert(counters.own == told || (!cut && counters.own == told + 1));
        vfs_crash_restart(vfs);
        cr_assert_eq(node_counters_read(vfs, &again), 0, "call %d", (int)call);
        cr_assert(again.own >= counters.own && again.own <= told + 1, "call %d: %d, told %d",
                  (int)call, (int)again.own, (int)counters.own);
        vfs_crash_free(vfs);
    }
}

Test(node_counters, damage_is_told)
{
    struct vfs *vfs = vfs_crash_new(3);
    uint64_t size;

    cr_assert_eq(node_counters_read(vfs, &counters), 0);
    node_counters_hear(&counters, 1, 7);
    cr_assert_eq(node_counters_raise(vfs, &counters, SELF), 0);
    cr_assert(vfs_crash_bytes(vfs, "COUNTERS", &size));
    for (uint64_t at = 0; at < size; at++) {
        vfs_crash_flip(vfs, "COUNTERS", at, 3);
        cr_assert_eq(node_counters_read(vfs, &again), -EBADMSG, "byte %d", (int)at);
        cr_assert(again.own == 1 && again.heard[1] == 0);
        vfs_crash_flip(vfs, "COUNTERS", at, 3);
    }
    cr_assert_eq(node_counters_read(vfs, &again), 0);
    vfs_crash_free(vfs);
}

/* A node that is told of in the cluster, and its disk as it was some raises ago. */
Test(node_counters, a_copy_is_older_than_what_was_heard_and_a_restart_never_is)
{
    struct vfs *vfs = vfs_mem_new();
    struct node_counters peer = {.own = 1}, copy;

    cr_assert_eq(node_counters_read(vfs, &counters), 0);
    cr_assert_not(node_counters_outdated(&peer, SELF, counters.own), "nothing was heard of it");
    cr_assert_eq(node_counters_raise(vfs, &counters, SELF), 0);
    copy = counters;
    for (unsigned i = 0; i < 10; i++) {
        cr_assert_eq(node_counters_raise(vfs, &counters, SELF), 0);
        node_counters_hear(&peer, SELF, counters.own);
        cr_assert_eq(node_counters_read(vfs, &again), 0);
        cr_assert_not(node_counters_outdated(&peer, SELF, again.own), "restart %u", i);
        cr_assert(node_counters_outdated(&peer, SELF, copy.own));
    }
    node_counters_hear(&peer, SELF, copy.own);
    cr_assert(node_counters_outdated(&peer, SELF, copy.own), "what was heard does not go down");
    cr_assert_not(node_counters_outdated(&peer, SELF, 0), "a program that tells none");
    node_counters_hear(&copy, SELF, peer.heard[SELF]);
    cr_assert(node_counters_own_outdated(&copy, SELF));
    node_counters_hear(&again, SELF, peer.heard[SELF]);
    cr_assert_not(node_counters_own_outdated(&again, SELF));
    vfs_mem_free(vfs);
}

/* Somebody has its key, or a copy runs: once most have let it in it does not end, and outbids. */
Test(node_counters, a_node_that_runs_outbids_what_others_claim_to_be)
{
    struct vfs *vfs = vfs_mem_new();

    cr_assert_eq(node_counters_read(vfs, &counters), 0);
    cr_assert_not(node_counters_hello(&counters, SELF, 1, 7, 1));
    cr_assert_not(node_counters_hello(&counters, SELF, 3, 7, 0));
    cr_assert_not(counters.settled, "before it raises, others may come with more");
    raise_own(vfs);
    cr_assert(counters.settled);
    node_counters_hear(&counters, SELF, 1000);
    cr_assert_not(node_counters_own_outdated(&counters, SELF));
    raise_own(vfs);
    cr_assert_eq(counters.own, 1001);
    cr_assert_eq(node_counters_read(vfs, &again), 0);
    cr_assert(again.own == 1001 && again.heard[SELF] == 0);
    vfs_mem_free(vfs);
}

/* Member 1 was cut off while the node and member 3 acknowledged, and lets a copy in. */
Test(node_counters, a_copy_that_few_have_let_in_ends_when_another_knows_more)
{
    struct vfs *vfs = vfs_mem_new();

    cr_assert_eq(node_counters_read(vfs, &counters), 0);
    cr_assert_not(node_counters_hello(&counters, SELF, 1, 7, 0));
    cr_assert_not(node_counters_hello(&counters, SELF, 4, 7, 0), "JOINING: it does not count");
    cr_assert_not(node_counters_hello(&counters, SELF, 5, 7, 0), "REMOVED: neither");
    cr_assert_not(node_counters_hello(&counters, SELF, 3, 0, 0), "a program that tells none");
    for (unsigned i = 0; i < 3; i++)
        raise_own(vfs);
    cr_assert_eq(counters.own, 4, "who is heard goes on");
    cr_assert_not(counters.settled);
    cr_assert_not(node_counters_hello(&counters, SELF, 3, 7, 12));
    cr_assert(node_counters_own_outdated(&counters, SELF));
    raise_own(vfs);
    cr_assert_eq(counters.own, 4, "it does not outbid");
    cr_assert(node_counters_own_outdated(&counters, SELF));
    vfs_mem_free(vfs);
}

/* The file is written without the lock. */
Test(node_counters, who_is_told_of_more_while_it_raises_ends)
{
    struct vfs *vfs = vfs_mem_new();
    struct node_counters raised;

    cr_assert_eq(node_counters_read(vfs, &counters), 0);
    cr_assert_not(node_counters_hello(&counters, SELF, 1, 7, 0));
    raised = counters;
    cr_assert_eq(node_counters_raise(vfs, &raised, SELF), 0);
    cr_assert_not(node_counters_hello(&counters, SELF, 3, 7, raised.own));
    node_counters_raised(&counters, SELF, raised.own, &map);
    cr_assert_not(counters.settled);
    cr_assert(node_counters_own_outdated(&counters, SELF));
    vfs_mem_free(vfs);
}

Test(node_counters, a_hello_is_remembered_unless_it_is_outdated)
{
    counters = (struct node_counters){.own = 3};
    cr_assert_not(node_counters_hello(&counters, SELF, 1, 7, 2));
    cr_assert(counters.heard[1] == 7 && counters.heard[SELF] == 2);
    cr_assert(node_counters_hello(&counters, SELF, 1, 6, 9), "a copy of member 1");
    cr_assert(counters.heard[1] == 7 && counters.heard[SELF] == 2);
    again = (struct node_counters){.own = 3, .heard[1] = 8};
    cr_assert(node_counters_hello(&again, SELF, 1, 7, 0));
    cr_assert_not(again.told[1], "who is not heard settles nobody");
}

Test(node_counters, huge_counters_are_not_heard_and_the_last_one_is_the_last)
{
    struct vfs *vfs = vfs_mem_new();

    cr_assert_eq(node_counters_read(vfs, &counters), 0);
    node_counters_hear(&counters, 1, NODE_COUNTERS_END);
    node_counters_hear(&counters, SELF, UINT64_MAX);
    cr_assert_eq(counters.heard[1], 0);
    cr_assert_not(node_counters_own_outdated(&counters, SELF));
    counters.own = NODE_COUNTERS_END - 1;
    cr_assert_eq(node_counters_raise(vfs, &counters, SELF), 0);
    cr_assert_eq(counters.own, NODE_COUNTERS_END - 1);
    vfs_mem_free(vfs);
}

/* A snapshot of a machine with its memory is put back: its links end, and it is judged anew. */
Test(node_counters, who_is_heard_by_nobody_is_settled_no_more)
{
    struct vfs *vfs = vfs_mem_new();

    cr_assert_eq(node_counters_read(vfs, &counters), 0);
    cr_assert_not(node_counters_hello(&counters, SELF, 1, 7, 1));
    cr_assert_not(node_counters_hello(&counters, SELF, 3, 7, 0));
    raise_own(vfs);
    cr_assert(counters.settled);
    node_counters_unheard(&counters);
    cr_assert_not(node_counters_own_outdated(&counters, SELF), "nobody has heard more");
    raise_own(vfs);
    cr_assert_not(counters.settled, "the others tell again first");
    cr_assert_not(node_counters_hello(&counters, SELF, 1, 7, 1000));
    cr_assert(node_counters_own_outdated(&counters, SELF));
    vfs_mem_free(vfs);
}

/* A HELLO that told 5 met a peer that had heard 6 by then, from others. */
Test(node_counters, what_was_overtaken_is_told_again)
{
    counters = (struct node_counters){.own = 6};
    cr_assert(node_counters_tell_again(&counters, 5, 6));
    cr_assert_not(node_counters_tell_again(&counters, 6, 6), "it is let in");
    cr_assert_not(node_counters_tell_again(&counters, 5, 7), "a copy: there is no more to tell");
    cr_assert_not(node_counters_tell_again(&counters, 0, 6), "the first HELLO is still to come");
    cr_assert_not(node_counters_tell_again(&counters, 5, 0), "a program that tells none");
}
