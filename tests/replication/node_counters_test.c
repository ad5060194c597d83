#include "replication/node_counters.h"

#include <errno.h>
#include <signal.h>

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

/* A HELLO comes by a link that the member has dialled. */
static bool refuses(struct node_counters *of, uint16_t member, uint64_t counter, uint64_t heard)
{
    struct node_counters_link link = {0};
    struct wire_hello hello = {.counter = counter, .heard = heard};
    enum node_counters_verdict verdict = node_counters_hello(of, &link, SELF, member, &map, &hello);

    cr_assert(verdict == NODE_COUNTERS_IN || verdict == NODE_COUNTERS_OUT);
    cr_assert_eq(link.outdated, verdict == NODE_COUNTERS_OUT);
    return link.outdated;
}

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
    cr_assert_not(refuses(&counters, 1, 7, 1));
    cr_assert_not(refuses(&counters, 3, 7, 0));
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
    cr_assert_not(refuses(&counters, 1, 7, 0));
    cr_assert_not(refuses(&counters, 4, 7, 0), "JOINING: it does not count");
    cr_assert_not(refuses(&counters, 5, 7, 0), "REMOVED: neither");
    cr_assert_not(refuses(&counters, 3, 0, 0), "a program that tells none");
    for (unsigned i = 0; i < 3; i++)
        raise_own(vfs);
    cr_assert_eq(counters.own, 4, "who is heard goes on");
    cr_assert_not(counters.settled);
    cr_assert_not(refuses(&counters, 3, 7, 12));
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
    cr_assert_not(refuses(&counters, 1, 7, 0));
    raised = counters;
    cr_assert_eq(node_counters_raise(vfs, &raised, SELF), 0);
    cr_assert_not(refuses(&counters, 3, 7, raised.own));
    node_counters_raised(&counters, SELF, raised.own, &map);
    cr_assert_not(counters.settled);
    cr_assert(node_counters_own_outdated(&counters, SELF));
    vfs_mem_free(vfs);
}

Test(node_counters, a_hello_is_remembered_unless_it_is_outdated)
{
    counters = (struct node_counters){.own = 3};
    cr_assert_not(refuses(&counters, 1, 7, 2));
    cr_assert(counters.heard[1] == 7 && counters.heard[SELF] == 2);
    cr_assert(refuses(&counters, 1, 6, 9), "a copy of member 1");
    cr_assert(counters.heard[1] == 7 && counters.heard[SELF] == 2);
    again = (struct node_counters){.own = 3, .heard[1] = 8};
    cr_assert(refuses(&again, 1, 7, 0));
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

/* A link between two processes: SELF has dialled member 1. What is sent is in `on_its_way`. */
static struct process {
    struct node_counters counters;
    struct node_counters_link link;
    struct wire_hello on_its_way;
} dialler, acceptor;

static void link_up(uint64_t own, uint64_t others)
{
    dialler = (struct process){.counters.own = own, .link.dialled = true};
    acceptor = (struct process){.counters.own = others};
}

static void send_hello(struct process *from)
{
    node_counters_tell(&from->counters, &from->link, from == &dialler ? 1 : SELF,
                       &from->on_its_way);
}

/* The HELLO arrives, and is answered. */
static enum node_counters_verdict accept(void)
{
    enum node_counters_verdict verdict =
        node_counters_hello(&acceptor.counters, &acceptor.link, 1, SELF, &map, &dialler.on_its_way);

    send_hello(&acceptor);
    return verdict;
}

static enum node_counters_verdict answer(void)
{
    return node_counters_hello(&dialler.counters, &dialler.link, SELF, 1, &map,
                               &acceptor.on_its_way);
}

Test(node_counters, two_that_are_sound_let_each_other_in)
{
    link_up(5, 9);
    acceptor.counters.heard[SELF] = 5;
    dialler.counters.heard[1] = 9;
    send_hello(&dialler);
    cr_assert_eq(accept(), NODE_COUNTERS_IN);
    cr_assert_not(dialler.link.hears);
    cr_assert_eq(answer(), NODE_COUNTERS_IN);
    cr_assert(dialler.link.hears && dialler.counters.hearers == 1);
    cr_assert(!acceptor.link.hears && acceptor.counters.hearers == 0, "it has not asked");
    cr_assert(node_counters_may_raise(&dialler.counters, SELF));
    cr_assert_not(node_counters_may_raise(&acceptor.counters, 1));
    cr_assert_eq(answer(), NODE_COUNTERS_IN, "it comes again when the shards have started");
    cr_assert_eq(dialler.counters.hearers, 1);
}

Test(node_counters, what_was_overtaken_is_told_again)
{
    link_up(5, 9);
    send_hello(&dialler);
    for (uint64_t newer = 6; newer < 9; newer++) {
        dialler.counters.own = newer;
        node_counters_hear(&acceptor.counters, SELF, newer);
        cr_assert_eq(accept(), NODE_COUNTERS_OUT);
        cr_assert(acceptor.link.outdated);
        cr_assert_eq(answer(), NODE_COUNTERS_AGAIN);
        cr_assert_not(dialler.link.hears);
        send_hello(&dialler);
    }
    cr_assert_eq(accept(), NODE_COUNTERS_IN);
    cr_assert_not(acceptor.link.outdated);
    cr_assert_eq(answer(), NODE_COUNTERS_IN);
}

Test(node_counters, who_was_overtaken_when_it_answered_is_asked_again)
{
    link_up(5, 9);
    send_hello(&dialler);
    for (uint64_t newer = 10; newer < 13; newer++) {
        cr_assert_eq(accept(), NODE_COUNTERS_IN);
        acceptor.counters.own = newer;
        node_counters_hear(&dialler.counters, 1, newer);
        cr_assert_eq(answer(), NODE_COUNTERS_AGAIN, "%d", (int)newer);
        cr_assert(dialler.link.outdated, "not before it has told more");
        send_hello(&dialler);
    }
    cr_assert_eq(accept(), NODE_COUNTERS_IN);
    cr_assert_eq(answer(), NODE_COUNTERS_IN);
    cr_assert_not(dialler.link.outdated);
}

/* Its shards start while the first answer is on its way, and gossip was faster: one question is
 * enough, and what was heard only behind it is not held against the answer. */
Test(node_counters, who_is_asking_does_not_ask_again_before_the_answer)
{
    link_up(5, 9);
    cr_assert(node_counters_asks(&dialler.link));
    send_hello(&dialler);
    cr_assert_eq(accept(), NODE_COUNTERS_IN);
    cr_assert_not(node_counters_asks(&acceptor.link), "it has not dialled");
    acceptor.counters.own = 10;
    node_counters_hear(&dialler.counters, 1, 10);
    if (node_counters_asks(&dialler.link))
        send_hello(&dialler);
    cr_assert_eq(answer(), NODE_COUNTERS_AGAIN, "it is sound");
    send_hello(&dialler);
    cr_assert_eq(accept(), NODE_COUNTERS_IN);
    cr_assert_eq(answer(), NODE_COUNTERS_IN);
    cr_assert(node_counters_asks(&dialler.link), "its shards had not started");
}

/* It was told that it is outdated, has asked since, and outbids before the answer. */
Test(node_counters, who_is_asking_tells_more_when_it_is_answered)
{
    link_up(5, 9);
    acceptor.counters.heard[SELF] = 7;
    send_hello(&dialler);
    cr_assert_eq(accept(), NODE_COUNTERS_OUT);
    cr_assert_eq(answer(), NODE_COUNTERS_WAIT);
    cr_assert(node_counters_asks(&dialler.link));
    send_hello(&dialler);
    cr_assert_eq(accept(), NODE_COUNTERS_OUT);
    dialler.counters.own = 8;
    cr_assert_not(node_counters_tells(&dialler.counters, &dialler.link));
    cr_assert_eq(answer(), NODE_COUNTERS_AGAIN);
    send_hello(&dialler);
    cr_assert_eq(accept(), NODE_COUNTERS_IN);
    cr_assert_eq(answer(), NODE_COUNTERS_IN);
}

Test(node_counters, a_second_question_before_the_answer_asserts, .signal = SIGABRT)
{
    link_up(5, 9);
    send_hello(&dialler);
    send_hello(&dialler);
}

/* Both at once: the second answer says both. */
Test(node_counters, two_that_were_overtaken_let_each_other_in_in_the_end)
{
    link_up(5, 9);
    send_hello(&dialler);
    dialler.counters.own = 6;
    node_counters_hear(&acceptor.counters, SELF, 6);
    cr_assert_eq(accept(), NODE_COUNTERS_OUT);
    acceptor.counters.own = 10;
    node_counters_hear(&dialler.counters, 1, 10);
    cr_assert_eq(answer(), NODE_COUNTERS_AGAIN);
    send_hello(&dialler);
    cr_assert_eq(accept(), NODE_COUNTERS_IN);
    cr_assert_eq(answer(), NODE_COUNTERS_IN);
}

Test(node_counters, a_copy_that_was_dialled_is_refused_by_its_first_answer)
{
    link_up(5, 9);
    dialler.counters.heard[1] = 10;
    send_hello(&dialler);
    cr_assert_eq(accept(), NODE_COUNTERS_IN);
    cr_assert(node_counters_own_outdated(&acceptor.counters, 1), "it is told");
    cr_assert_eq(answer(), NODE_COUNTERS_OUT, "it was asked when 10 had been heard");
    cr_assert(dialler.link.outdated);
    cr_assert_eq(dialler.counters.hearers, 0);
}

Test(node_counters, a_copy_of_which_more_is_heard_meanwhile_is_asked_once_more)
{
    link_up(5, 9);
    send_hello(&dialler);
    cr_assert_eq(accept(), NODE_COUNTERS_IN);
    node_counters_hear(&dialler.counters, 1, 10);
    cr_assert_eq(answer(), NODE_COUNTERS_AGAIN);
    send_hello(&dialler);
    (void)accept();
    cr_assert_eq(answer(), NODE_COUNTERS_OUT);
}

Test(node_counters, a_copy_that_dials_waits_and_ends)
{
    link_up(5, 9);
    acceptor.counters.heard[SELF] = 6;
    send_hello(&dialler);
    cr_assert_eq(accept(), NODE_COUNTERS_OUT);
    cr_assert_eq(answer(), NODE_COUNTERS_WAIT);
    cr_assert_not(node_counters_tells(&dialler.counters, &dialler.link), "there is no more");
    cr_assert(node_counters_own_outdated(&dialler.counters, SELF));
    cr_assert_not(node_counters_may_raise(&dialler.counters, SELF));
}

/* Somebody else has its key, and told the other one of 100. */
Test(node_counters, who_is_settled_waits_until_it_has_outbid_what_was_heard)
{
    struct vfs *vfs = vfs_mem_new();

    link_up(5, 9);
    dialler.counters.settled = true;
    acceptor.counters.heard[SELF] = 100;
    send_hello(&dialler);
    cr_assert_eq(accept(), NODE_COUNTERS_OUT);
    cr_assert_eq(answer(), NODE_COUNTERS_WAIT);
    cr_assert_eq(node_counters_raise(vfs, &dialler.counters, SELF), 0);
    cr_assert(node_counters_tells(&dialler.counters, &dialler.link));
    send_hello(&dialler);
    cr_assert_not(node_counters_tells(&dialler.counters, &dialler.link), "it was told");
    cr_assert_eq(accept(), NODE_COUNTERS_IN);
    cr_assert_eq(answer(), NODE_COUNTERS_IN);
    vfs_mem_free(vfs);
}

Test(node_counters, nothing_is_told_before_the_first_hello)
{
    link_up(5, 9);
    send_hello(&dialler);
    dialler.on_its_way.heard = 9; /* of the acceptor; it answers when its shards have started */
    cr_assert_eq(
        node_counters_hello(&acceptor.counters, &acceptor.link, 1, SELF, &map, &dialler.on_its_way),
        NODE_COUNTERS_IN);
    cr_assert_not(node_counters_tells(&acceptor.counters, &acceptor.link));
}

Test(node_counters, who_is_nobody_or_joining_says_nothing_of_others)
{
    struct node_counters_link link = {.dialled = true, .told = 9};
    struct wire_hello hello = {.counter = 3, .heard = 9};

    counters = (struct node_counters){.own = 9, .heard[4] = 3};
    cr_assert_eq(node_counters_hello(&counters, &link, SELF, 0, NULL, &hello), NODE_COUNTERS_IN);
    cr_assert(counters.hearers == 0 && counters.heard[0] == 0 && counters.heard[SELF] == 0);
    cr_assert_eq(node_counters_hello(&counters, &link, SELF, SELF, &map, &hello), NODE_COUNTERS_IN,
                 "it has our key: that is told by other means");
    cr_assert_eq(counters.hearers, 0);
    link = (struct node_counters_link){0};
    cr_assert_eq(node_counters_hello(&counters, &link, SELF, 4, &map, &hello), NODE_COUNTERS_IN);
    cr_assert_eq(counters.heard[SELF], 0);
    hello.counter = 2;
    cr_assert_eq(node_counters_hello(&counters, &link, SELF, 4, &map, &hello), NODE_COUNTERS_OUT,
                 "its own it tells itself");
}

/* A snapshot of a machine with its memory is put back: its links end, and it is judged anew. */
Test(node_counters, who_is_heard_by_nobody_is_settled_no_more)
{
    struct vfs *vfs = vfs_mem_new();
    struct node_counters_link links[2] = {{.dialled = true}, {.dialled = true}};
    struct wire_hello hello;

    cr_assert_eq(node_counters_read(vfs, &counters), 0);
    for (unsigned i = 0; i < 2; i++) {
        uint16_t member = i == 0 ? 1 : 3;

        node_counters_tell(&counters, &links[i], member, &hello);
        hello = (struct wire_hello){.counter = 7, .heard = 1};
        cr_assert_eq(node_counters_hello(&counters, &links[i], SELF, member, &map, &hello),
                     NODE_COUNTERS_IN);
    }
    raise_own(vfs);
    cr_assert(counters.settled);
    node_counters_unlinked(&counters, &links[0]);
    cr_assert(counters.settled, "the other one hears it");
    node_counters_unlinked(&counters, &links[1]);
    cr_assert_not(node_counters_own_outdated(&counters, SELF), "nobody has heard more");
    raise_own(vfs);
    cr_assert_not(counters.settled, "the others tell again first");
    cr_assert_not(refuses(&counters, 1, 7, 1000));
    cr_assert(node_counters_own_outdated(&counters, SELF));
    vfs_mem_free(vfs);
}
