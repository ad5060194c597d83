#include "ring/swim.h"

#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#include "swim_scene.h"
#include "tests/storage/alloc.h"

/* Options and memory */

Test(swim, options_that_contradict_each_other_are_refused)
{
    struct swim_options options;
    struct swim swim;

    for (unsigned i = 0; i < 8; i++) {
        swim_options_default(&options);
        options.self = 1;
        if (i == 0)
            options.self = 0;
        if (i == 1)
            options.members_max = RINGMAP_MEMBERS_MAX + 1;
        if (i == 2)
            options.ping_timeout_ms = options.period_ms;
        if (i == 3)
            options.indirect_count = SWIM_INDIRECT_MAX + 1;
        if (i == 4)
            options.confirmations = SWIM_ACCUSERS_MAX;
        if (i == 5)
            options.awake_ms_max = 0;
        if (i == 6)
            options.packet_size_max = 100;
        if (i == 7)
            options.retransmit_factor = 0;
        cr_assert_eq(swim_init(&swim, &options), -EINVAL, "fault %u", i);
    }
}

Test(swim, every_failed_allocation_is_answered)
{
    struct swim_options options;
    struct swim swim;
    uint64_t n = 1;

    swim_options_default(&options);
    options.self = 1;
    for (;; n++) {
        int r;

        alloc_fail_after(n);
        r = swim_init(&swim, &options);
        if (!alloc_failed())
            break;
        cr_assert_eq(r, -ENOMEM);
    }
    alloc_fail_after(0);
    cr_assert_eq(n, 5);
    swim_deinit(&swim);
}

Test(swim, no_step_allocates)
{
    struct swim_scene *scene = swim_scene_new(20, NULL);

    alloc_fail_after(1);
    swim_scene_run(scene, 3000);
    swim_scene_state(scene, 2, 1, SWIM_SUSPECT, 1, (uint16_t[]){2}, 1);
    cr_assert_not(alloc_failed());
    alloc_fail_after(0);
    swim_scene_free(scene);
}

/* Probes */

Test(swim, a_round_meets_everyone_once)
{
    struct swim_scene *scene = swim_scene_new(20, NULL);

    for (unsigned round = 0; round < 5; round++) {
        bool met[SCENE_MEMBERS_MAX + 1] = {false};

        for (unsigned count = 0; count < 19;) {
            const struct swim_send *send;

            swim_scene_tick(scene, 5);
            send = swim_scene_pinged(scene);
            if (!send)
                continue;
            cr_assert_not(met[send->to], "member %u twice in round %u", send->to, round);
            met[send->to] = true;
            count++;
            swim_scene_ack(scene);
        }
    }
    swim_scene_free(scene);
}

Test(swim, others_are_asked_before_one_is_suspected_and_it_is_told_first)
{
    struct swim_scene *scene = swim_scene_new(6, NULL);
    const struct swim_send *send;
    unsigned asked = 0;

    swim_scene_probe(scene, 4);
    swim_scene_tick(scene, scene->options.ping_timeout_ms - 1);
    cr_assert_null(swim_scene_sent(scene, SWIM_PING_REQ, 0));
    swim_scene_tick(scene, 1);
    for (uint32_t i = 0; i < scene->effects.send_count; i++) {
        if (scene->effects.sends[i].packet.kind != SWIM_PING_REQ)
            continue;
        asked++;
        cr_assert_eq(scene->effects.sends[i].packet.subject, 4);
        cr_assert_neq(scene->effects.sends[i].to, 4);
    }
    cr_assert_eq(asked, scene->options.indirect_count);
    cr_assert_eq(swim_scene_standing(scene, 4), SWIM_ALIVE);
    swim_scene_tick(scene, scene->options.period_ms - scene->options.ping_timeout_ms);
    cr_assert_eq(swim_scene_standing(scene, 4), SWIM_SUSPECT);
    cr_assert_eq(swim_scene_change(scene, 4)->reason, SWIM_REASON_UNREACHED);
    send = swim_scene_sent(scene, SWIM_PING, 4);
    cr_assert(send);
    cr_assert_eq(send->packet.standing, SWIM_SUSPECT);
    swim_scene_free(scene);
}

Test(swim, an_answer_through_another_saves_a_member)
{
    struct swim_scene *scene = swim_scene_new(6, NULL);
    const struct swim_send *send;

    swim_scene_probe(scene, 4);
    swim_scene_tick(scene, scene->options.ping_timeout_ms);
    send = swim_scene_sent(scene, SWIM_PING_REQ, 0);
    cr_assert(send);
    swim_scene_packet(
        scene, send->to,
        &(struct swim_packet){.kind = SWIM_ACK, .nonce = send->packet.nonce, .subject = 4});
    swim_scene_tick(scene, scene->options.period_ms);
    cr_assert_eq(swim_scene_standing(scene, 4), SWIM_ALIVE);
    swim_scene_free(scene);
}

Test(swim, pings_for_others_are_answered_by_ack_or_nack)
{
    struct swim_scene *scene = swim_scene_new(6, NULL);
    const struct swim_packet request = {.kind = SWIM_PING_REQ, .nonce = 99, .subject = 4};
    const struct swim_send *send;
    uint32_t nonce;

    swim_scene_packet(scene, 3, &request);
    send = swim_scene_sent(scene, SWIM_PING, 4);
    cr_assert(send);
    nonce = send->packet.nonce;
    cr_assert_neq(nonce, 0);
    swim_scene_packet(scene, 4,
                      &(struct swim_packet){.kind = SWIM_ACK, .nonce = nonce, .subject = 4});
    send = swim_scene_sent(scene, SWIM_ACK, 3);
    cr_assert(send);
    cr_assert_eq(send->packet.nonce, 99);
    cr_assert_eq(send->packet.subject, 4);

    swim_scene_packet(scene, 3, &request);
    nonce = swim_scene_sent(scene, SWIM_PING, 4)->packet.nonce;
    swim_scene_tick(scene, scene->options.ping_timeout_ms);
    send = swim_scene_sent(scene, SWIM_NACK, 3);
    cr_assert(send);
    cr_assert_eq(send->packet.nonce, 99);
    /* What comes late is passed on still. */
    swim_scene_packet(scene, 4,
                      &(struct swim_packet){.kind = SWIM_ACK, .nonce = nonce, .subject = 4});
    cr_assert(swim_scene_sent(scene, SWIM_ACK, 3));
    swim_scene_free(scene);
}

/* Lifeguard: local health */

static void fail_probe(struct swim_scene *scene, bool nacked)
{
    uint16_t relays[SWIM_INDIRECT_MAX];
    uint32_t count = 0, nonce = 0, patience = scene->swim.health + 1;

    swim_scene_probe(scene, 4);
    patience = scene->swim.health + 1;
    swim_scene_tick(scene, scene->options.ping_timeout_ms * patience);
    for (uint32_t i = 0; i < scene->effects.send_count; i++) {
        if (scene->effects.sends[i].packet.kind != SWIM_PING_REQ)
            continue;
        relays[count++] = scene->effects.sends[i].to;
        nonce = scene->effects.sends[i].packet.nonce;
    }
    cr_assert_gt(count, 0);
    for (uint32_t i = 0; nacked && i < count; i++)
        swim_scene_packet(scene, relays[i],
                          &(struct swim_packet){.kind = SWIM_NACK, .nonce = nonce, .subject = 4});
    while (scene->swim.probe.phase != SWIM_PROBE_NONE && scene->swim.probe.target == 4)
        swim_scene_tick(scene, 10);
}

Test(swim, silence_of_those_asked_makes_a_node_doubt_itself)
{
    struct swim_scene *scene = swim_scene_new(6, NULL);

    fail_probe(scene, true);
    cr_assert_eq(swim_scene_standing(scene, 4), SWIM_SUSPECT);
    cr_assert_eq(scene->swim.health, 0);
    swim_scene_free(scene);

    scene = swim_scene_new(6, NULL);
    fail_probe(scene, false);
    cr_assert_eq(scene->swim.health, scene->options.indirect_count);
    swim_scene_probe(scene, 2);
    swim_scene_ack(scene);
    cr_assert_lt(scene->swim.health, scene->options.indirect_count, "a success is a good sign");
    swim_scene_free(scene);
}

Test(swim, a_node_that_doubts_itself_takes_its_time)
{
    struct swim_scene *scene = swim_scene_new(6, NULL);

    scene->swim.health = 3;
    swim_scene_tick(scene, 1);
    cr_assert_eq(scene->swim.probe.phase, SWIM_PROBE_DIRECT);
    cr_assert_eq(scene->swim.probe.ping_until_ms - scene->swim.clock_ms,
                 scene->options.ping_timeout_ms * 4);
    cr_assert_eq(scene->swim.period_until_ms - scene->swim.clock_ms, scene->options.period_ms * 4);
    swim_scene_free(scene);
}

Test(swim, news_do_not_wait_for_a_node_that_doubts_itself)
{
    struct swim_scene *scene = swim_scene_new(6, NULL);
    unsigned told = 0;

    scene->swim.health = 8;
    swim_scene_tick(scene, 1);
    swim_scene_hear(scene, 3, 1, 1);
    for (unsigned ms = 0; ms < 4 * scene->options.period_ms; ms += 10) {
        swim_scene_tick(scene, 10);
        told += swim_scene_sent(scene, SWIM_PING, 0) != NULL;
    }
    cr_assert_geq(told, 4);
    swim_scene_free(scene);
}

Test(swim, a_node_that_slept_accuses_nobody_for_it)
{
    struct swim_scene *scene = swim_scene_new(6, NULL);

    swim_scene_probe(scene, 4);
    swim_scene_tick(scene, 60000);
    cr_assert_eq(swim_scene_standing(scene, 4), SWIM_ALIVE);
    swim_scene_state(scene, 2, 5, SWIM_DEAD, 0, (uint16_t[]){2, 3, 4}, 3);
    swim_scene_tick(scene, 60000);
    cr_assert_eq(swim_scene_standing(scene, 5), SWIM_SUSPECT, "its time did not pass in our sleep");
    swim_scene_free(scene);
}

/* Lifeguard: suspicion */

/* Ticks by 10 ms; whoever is pinged answers, but nobody refutes anything. */
static void tick_answered(struct swim_scene *scene)
{
    swim_scene_tick(scene, 10);
    swim_scene_ack(scene);
}

/* How long member 5 stays suspected when these accuse it. */
static uint64_t suspected_for(const uint16_t *accusers, uint8_t count, uint8_t standing)
{
    struct swim_scene *scene = swim_scene_new(8, NULL);
    uint64_t start_ms = scene->now_ms, took_ms;

    for (uint8_t i = 0; i < count; i++)
        swim_scene_state(scene, 2, 5, standing, 0, &accusers[i], 1);
    cr_assert_eq(swim_scene_change(scene, 5) != NULL, count == 1);
    while (swim_scene_standing(scene, 5) == SWIM_SUSPECT) {
        cr_assert_lt(scene->now_ms - start_ms, 60000);
        tick_answered(scene);
    }
    cr_assert_eq(swim_scene_standing(scene, 5), SWIM_DEAD);
    took_ms = scene->now_ms - start_ms;
    swim_scene_free(scene);
    return took_ms;
}

Test(swim, suspicion_shrinks_with_independent_confirmations)
{
    struct swim_options options;
    uint64_t min_ms, by_one, by_two, by_three, by_four;

    swim_options_default(&options);
    min_ms = (uint64_t)options.period_ms * options.suspicion_factor;
    by_one = suspected_for((uint16_t[]){2}, 1, SWIM_SUSPECT);
    by_two = suspected_for((uint16_t[]){2, 3}, 2, SWIM_SUSPECT);
    by_three = suspected_for((uint16_t[]){2, 3, 4}, 3, SWIM_SUSPECT);
    by_four = suspected_for((uint16_t[]){2, 3, 4, 6}, 4, SWIM_SUSPECT);
    cr_assert_eq(by_one, min_ms * options.suspicion_stretch);
    cr_assert_lt(by_two, by_one);
    cr_assert_lt(by_three, by_two);
    cr_assert_lt(by_four, by_three);
    cr_assert_eq(by_four, min_ms);
    /* Neither one that repeats itself nor strangers nor the suspect confirm anything. */
    cr_assert_eq(suspected_for((uint16_t[]){2, 2, 2, 2}, 4, SWIM_SUSPECT), by_one);
    cr_assert_eq(suspected_for((uint16_t[]){2, 99, 5, 98}, 4, SWIM_SUSPECT), by_one);
}

Test(swim, who_is_stated_dead_has_the_least_time_to_object)
{
    struct swim_options options;

    swim_options_default(&options);
    cr_assert_eq(suspected_for((uint16_t[]){2}, 1, SWIM_DEAD),
                 (uint64_t)options.period_ms * options.suspicion_factor);
}

Test(swim, a_record_of_a_higher_incarnation_refutes)
{
    struct swim_scene *scene = swim_scene_new(6, NULL);

    swim_scene_hear(scene, 5, 3, 1);
    swim_scene_state(scene, 2, 5, SWIM_SUSPECT, 3, (uint16_t[]){2}, 1);
    cr_assert_eq(swim_scene_standing(scene, 5), SWIM_SUSPECT);
    swim_scene_hear(scene, 5, 3, 2);
    cr_assert_eq(swim_scene_standing(scene, 5), SWIM_SUSPECT, "a later sequence is no objection");
    swim_scene_hear(scene, 5, 4, 1);
    cr_assert_eq(swim_scene_standing(scene, 5), SWIM_ALIVE);
    cr_assert_eq(swim_scene_change(scene, 5)->reason, SWIM_REASON_RECORD);
    swim_scene_state(scene, 2, 5, SWIM_SUSPECT, 3, (uint16_t[]){2, 3, 4}, 3);
    cr_assert_eq(swim_scene_standing(scene, 5), SWIM_ALIVE, "of an incarnation that is over");
    swim_scene_free(scene);
}

Test(swim, a_node_refutes_what_is_said_of_its_incarnation)
{
    struct swim_scene *scene = swim_scene_new(6, NULL);
    const struct swim_member *self = swim_find(&scene->swim, 1);
    const struct swim_send *send;

    swim_scene_packet(scene, 3,
                      &(struct swim_packet){.kind = SWIM_PING,
                                            .nonce = 9,
                                            .subject = 1,
                                            .standing = SWIM_SUSPECT,
                                            .incarnation = self->incarnation,
                                            .sequence = self->sequence});
    cr_assert_eq(self->incarnation, 2);
    send = swim_scene_sent(scene, SWIM_ACK, 3);
    cr_assert(send);
    cr_assert_eq(send->packet.nonce, 9);
    cr_assert(swim_scene_item(&send->packet, SWIM_ITEM_RECORD, 1));
    cr_assert_eq(scene->swim.health, 1);
    swim_scene_state(scene, 2, 1, SWIM_SUSPECT, 1, (uint16_t[]){2}, 1);
    cr_assert_eq(self->incarnation, 2, "that one is over");
    swim_scene_state(scene, 2, 1, SWIM_DEAD, 2, (uint16_t[]){2}, 1);
    cr_assert_eq(self->incarnation, 3);
    swim_scene_free(scene);
}

Test(swim, who_hears_of_a_suspicion_tries_the_suspect_next)
{
    struct swim_scene *scene = swim_scene_new(10, NULL);

    for (unsigned i = 0; i < 5; i++) {
        uint16_t suspect = (uint16_t)(3 + i);
        bool tried = false;

        swim_scene_state(scene, 2, suspect, SWIM_SUSPECT, 0, (uint16_t[]){2}, 1);
        for (unsigned ms = 0; ms < scene->options.period_ms && !tried; ms += 10) {
            tick_answered(scene);
            tried = scene->swim.suspect_count > 0 && swim_find(&scene->swim, suspect)->tried;
        }
        cr_assert(tried, "member %u", suspect);
        swim_scene_hear(scene, suspect, 1, 1);
    }
    swim_scene_free(scene);
}

/* News */

Test(swim, news_are_told_a_bounded_number_of_times_the_newest_first)
{
    struct swim_scene *scene = swim_scene_new(8, NULL);
    uint32_t told = 0, limit = scene->options.retransmit_factor * 4; /* log2(8 + 1) */

    swim_scene_run(scene, 3000); /* the own record */
    for (uint16_t member = 2; member <= 8; member++)
        swim_scene_hear(scene, member, 1, 1);
    swim_scene_hear(scene, 5, 1, 2);
    for (unsigned i = 0; i < 60; i++) {
        const struct swim_send *send;

        swim_scene_packet(scene, 3,
                          &(struct swim_packet){.kind = SWIM_PING,
                                                .nonce = 1 + i,
                                                .subject = 1,
                                                .incarnation = 1,
                                                .sequence = UINT64_MAX});
        send = swim_scene_sent(scene, SWIM_ACK, 3);
        cr_assert(send);
        cr_assert_leq(send->size, scene->options.packet_size_max);
        cr_assert_null(swim_scene_item(&send->packet, SWIM_ITEM_RECORD, 3), "it knows itself");
        if (i == 0)
            cr_assert_eq(send->packet.items[1].member, 5, "behind what is wanted, the newest");
        told += swim_scene_item(&send->packet, SWIM_ITEM_RECORD, 5) != NULL;
    }
    cr_assert_eq(told, limit);
    swim_scene_free(scene);
}

Test(swim, load_is_told_seldom_and_addresses_at_once)
{
    struct swim_scene *scene = swim_scene_new(4, NULL);
    struct swim_local local = {.address = "10.0.0.1:7000", .epoch = 1};
    const struct swim_member *self = swim_find(&scene->swim, 1);
    uint64_t first = self->sequence;

    for (unsigned i = 0; i < 100; i++) {
        local.operations++;
        swim_scene_step(scene, &(struct swim_event){.kind = SWIM_EVENT_LOCAL, .local = &local});
        swim_scene_tick(scene, 100);
    }
    cr_assert_eq(self->sequence, first + 10000 / scene->options.load_ms);
    strcpy(local.address, "10.9.9.9:7000");
    swim_scene_step(scene, &(struct swim_event){.kind = SWIM_EVENT_LOCAL, .local = &local});
    cr_assert_eq(self->sequence, first + 10000 / scene->options.load_ms + 1);
    swim_scene_free(scene);
}

Test(swim, a_moved_address_and_a_newer_map_are_reported)
{
    struct swim_scene *scene = swim_scene_new(4, NULL);
    struct swim_record record = swim_scene_make(3, 1, 1), seen;

    swim_scene_record(scene, 2, &record, 3, scene->options.cluster);
    cr_assert(swim_scene_change(scene, 3)->moved, "the first address heard of");
    record.sequence = 2;
    swim_scene_record(scene, 2, &record, 3, scene->options.cluster);
    cr_assert_null(swim_scene_change(scene, 3));
    record.sequence = 3;
    strcpy(record.local.address, "192.168.0.3:9000");
    record.local.epoch = 2;
    swim_scene_record(scene, 2, &record, 3, scene->options.cluster);
    cr_assert(swim_scene_change(scene, 3)->moved);
    cr_assert(swim_scene_change(scene, 3)->ahead);
    cr_assert(swim_record_of(swim_find(&scene->swim, 3), &seen));
    cr_assert_str_eq(seen.local.address, "192.168.0.3:9000");
    swim_scene_free(scene);
}

Test(swim, who_leaves_is_not_suspected_and_may_come_back)
{
    struct swim_scene *scene = swim_scene_new(4, NULL);
    struct swim_record record = swim_scene_make(3, 1, 1);

    record.left = true;
    swim_scene_record(scene, 3, &record, 3, scene->options.cluster);
    cr_assert_eq(swim_scene_standing(scene, 3), SWIM_LEFT);
    swim_scene_state(scene, 2, 3, SWIM_SUSPECT, 1, (uint16_t[]){2}, 1);
    cr_assert_eq(swim_scene_standing(scene, 3), SWIM_LEFT);
    swim_scene_hear(scene, 3, 1, 2);
    cr_assert_eq(swim_scene_standing(scene, 3), SWIM_ALIVE);

    swim_scene_step(scene, &(struct swim_event){.kind = SWIM_EVENT_LEAVE});
    cr_assert_eq(scene->effects.send_count, 3);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert(swim_scene_item(&scene->effects.sends[i].packet, SWIM_ITEM_RECORD, 1));
    swim_scene_tick(scene, 1000);
    cr_assert_eq(scene->effects.send_count, 0, "it is silent then");
    cr_assert_eq(swim_wait_ms(&scene->swim), scene->options.awake_ms_max);
    swim_scene_free(scene);
}

Test(swim, members_held_dead_are_pinged_at_no_others_cost)
{
    struct swim_scene *scene = swim_scene_new(6, NULL);
    unsigned noted = 0;
    uint64_t probes;

    swim_scene_hear(scene, 5, 1, 1);
    swim_scene_state(scene, 2, 5, SWIM_DEAD, 1, (uint16_t[]){2}, 1);
    while (swim_scene_standing(scene, 5) != SWIM_DEAD)
        tick_answered(scene);
    probes = scene->swim.stats.probes;
    for (unsigned ms = 0; ms < 10 * scene->options.period_ms; ms += 10) {
        const struct swim_send *send;

        swim_scene_tick(scene, 10);
        send = swim_scene_sent(scene, SWIM_PING, 5);
        noted += send != NULL;
        cr_assert(!send || (send->packet.nonce == 0 && send->packet.standing == SWIM_DEAD));
        swim_scene_ack(scene);
    }
    cr_assert_geq(noted, 1);
    cr_assert_geq(scene->swim.stats.probes - probes, 9, "one a period still");
    swim_scene_free(scene);
}

/* Two sides of a healed cut would put all of each other under suspicion at once. */
Test(swim, what_an_exchange_says_of_the_dead_is_believed_by_newcomers_only)
{
    for (unsigned synced = 0; synced < 2; synced++) {
        struct swim_scene *scene = swim_scene_new(6, NULL);
        struct swim_item item = {.kind = SWIM_ITEM_STATEMENT,
                                 .member = 4,
                                 .standing = SWIM_DEAD,
                                 .accusers = {2},
                                 .accuser_count = 1};
        struct swim_packet diff = {.kind = SWIM_DIFF, .subject = 1, .items = &item};

        swim_scene_tick(scene, 1); /* asks somebody for all it knows */
        cr_assert(swim_scene_sent(scene, SWIM_SYNC, 0));
        diff.nonce = scene->swim.sync_nonce;
        if (synced)
            swim_scene_packet(scene, 2, &diff);
        cr_assert_eq(scene->swim.synced, synced);
        diff.item_count = 1;
        swim_scene_packet(scene, 2, &diff);
        cr_assert_eq(swim_scene_standing(scene, 4), synced ? SWIM_ALIVE : SWIM_SUSPECT);
        swim_scene_free(scene);
    }
}

Test(swim, a_new_incarnation_is_a_sign_of_life_to_a_probe)
{
    struct swim_scene *scene = swim_scene_new(6, NULL);
    struct swim_record record = swim_scene_make(4, 2, 1);

    swim_scene_hear(scene, 4, 1, 1);
    swim_scene_probe(scene, 4);
    swim_scene_tick(scene, scene->options.ping_timeout_ms);
    swim_scene_record(scene, 3, &record, 4, scene->options.cluster);
    swim_scene_tick(scene, scene->options.period_ms - scene->options.ping_timeout_ms);
    cr_assert_eq(swim_scene_standing(scene, 4), SWIM_ALIVE);
    swim_scene_free(scene);
}

Test(swim, a_suspect_is_told_in_every_answer)
{
    struct swim_scene *scene = swim_scene_new(6, NULL);
    const struct swim_send *send;

    swim_scene_hear(scene, 3, 1, 1);
    swim_scene_state(scene, 2, 3, SWIM_SUSPECT, 1, (uint16_t[]){2}, 1);
    for (unsigned i = 0; i < 20; i++) { /* more often than news are told */
        swim_scene_packet(scene, 3,
                          &(struct swim_packet){.kind = SWIM_PING, .nonce = 9, .subject = 1});
        send = swim_scene_sent(scene, SWIM_ACK, 3);
        cr_assert(send);
        cr_assert(swim_scene_item(&send->packet, SWIM_ITEM_STATEMENT, 3));
    }
    swim_scene_free(scene);
}

/* In a full queue what is old would keep what is new from spreading. */
Test(swim, old_news_are_not_told_any_more)
{
    struct swim_scene *scene = swim_scene_new(6, NULL);
    const struct swim_packet silent = {.kind = SWIM_ACK, .subject = 2}; /* nothing answers it */
    const struct swim_packet ping = {.kind = SWIM_PING, .nonce = 9, .subject = 1};

    swim_scene_hear(scene, 5, 1, 1);
    swim_scene_packet(scene, 3, &ping);
    cr_assert(swim_scene_item(&swim_scene_sent(scene, SWIM_ACK, 3)->packet, SWIM_ITEM_RECORD, 5));
    for (unsigned i = 0; i < 20; i++) {
        scene->now_ms += 100;
        swim_scene_packet(scene, 2, &silent);
        cr_assert_eq(scene->effects.send_count, 0);
    }
    swim_scene_packet(scene, 3, &ping);
    cr_assert_null(
        swim_scene_item(&swim_scene_sent(scene, SWIM_ACK, 3)->packet, SWIM_ITEM_RECORD, 5));
    swim_scene_free(scene);
}
