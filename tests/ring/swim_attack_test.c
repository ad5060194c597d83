/* What a member that means ill, or somebody with old packets, can do to the gossip of others. */
#include "ring/swim.h"

#include <string.h>

#include <criterion/criterion.h>

#include "swim_net.h"
#include "swim_scene.h"

Test(swim_attack, replayed_records_change_nothing)
{
    struct swim_scene *scene = swim_scene_new(5, NULL);
    struct swim_record seen;

    swim_scene_hear(scene, 3, 2, 5);
    swim_scene_hear(scene, 3, 3, 1);
    for (uint64_t sequence = 0; sequence < 10; sequence++) {
        struct swim_record old = swim_scene_make(3, 2, sequence);

        strcpy(old.local.address, "66.6.6.6:666");
        swim_scene_record(scene, 4, &old, 3, scene->options.cluster);
        cr_assert_null(swim_scene_change(scene, 3));
    }
    swim_scene_hear(scene, 3, 3, 1);
    cr_assert_eq(scene->swim.stats.stale, 11);
    cr_assert(swim_record_of(swim_find(&scene->swim, 3), &seen));
    cr_assert_eq(seen.incarnation, 3);
    cr_assert_str_eq(seen.local.address, "10.0.0.3:7000");
    swim_scene_free(scene);
}

Test(swim_attack, forged_records_are_refused_with_all_that_follows)
{
    struct swim_scene *scene = swim_scene_new(5, NULL);
    struct swim_record record = swim_scene_make(3, 1, 1);
    struct swim_item items[2] = {{.kind = SWIM_ITEM_RECORD},
                                 {.kind = SWIM_ITEM_STATEMENT,
                                  .member = 5,
                                  .standing = SWIM_DEAD,
                                  .accusers = {4},
                                  .accuser_count = 1}};
    const struct swim_packet packet = {
        .kind = SWIM_ACK, .subject = 4, .items = items, .item_count = 2};
    uint8_t bytes[SWIM_RECORD_SIZE_MAX], signature[SWIM_SIGNATURE_SIZE] = {1};

    swim_scene_record(scene, 4, &record, 4, scene->options.cluster); /* signed by another */
    cr_assert_eq(scene->swim.stats.forged, 1);
    items[0].record = bytes;
    items[0].record_size = (uint16_t)swim_record_encode(&record, bytes);
    items[0].signature = signature;
    swim_scene_packet(scene, 4, &packet);
    cr_assert_eq(scene->swim.stats.forged, 2);
    items[0].record_size--; /* does not decode */
    swim_scene_packet(scene, 4, &packet);
    cr_assert_eq(scene->swim.stats.forged, 3);
    cr_assert_eq(swim_find(&scene->swim, 3)->record_size, 0);
    cr_assert_eq(swim_scene_standing(scene, 5), SWIM_ALIVE);
    swim_scene_free(scene);
}

Test(swim_attack, a_record_changed_in_a_single_bit_is_refused)
{
    struct swim_scene *scene = swim_scene_new(5, NULL);
    struct swim_net net; /* for its records only */
    const struct swim_member *real;

    swim_net_init(&net, 3, 1, true);
    real = swim_find(&net.nodes[0].swim, 1);
    for (unsigned bit = 0; bit < real->record_size * 8u; bit++) {
        uint8_t bytes[SWIM_RECORD_SIZE_MAX];
        struct swim_item item = {.kind = SWIM_ITEM_RECORD,
                                 .record = bytes,
                                 .record_size = real->record_size,
                                 .signature = real->signature};

        memcpy(bytes, real->record, real->record_size);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        swim_net_give(
            &net, 1, 3,
            &(struct swim_packet){.kind = SWIM_ACK, .subject = 3, .items = &item, .item_count = 1});
        for (uint16_t member = 1; member <= 3; member++)
            cr_assert(member == 2 || swim_find(&net.nodes[1].swim, member)->record_size == 0,
                      "bit %u", bit);
    }
    swim_net_deinit(&net);
    swim_scene_free(scene);
}

Test(swim_attack, records_of_another_cluster_are_refused)
{
    struct swim_scene *scene = swim_scene_new(5, NULL);
    struct swim_record record = swim_scene_make(3, 1, 1);
    uint8_t other[RINGMAP_CLUSTER_SIZE] = {8};

    swim_scene_record(scene, 3, &record, 3, other);
    cr_assert_eq(scene->swim.stats.forged, 1);
    cr_assert_eq(swim_find(&scene->swim, 3)->record_size, 0);
    swim_scene_free(scene);
}

Test(swim_attack, huge_incarnations_are_refused)
{
    struct swim_scene *scene = swim_scene_new(5, NULL);
    uint64_t jump = scene->options.incarnation_jump_max;
    struct swim_record record;

    swim_scene_hear(scene, 3, 5, 1);
    record = swim_scene_make(3, 5 + jump + 1, 1);
    swim_scene_record(scene, 4, &record, 3, scene->options.cluster);
    cr_assert_eq(scene->swim.stats.jumps, 1);
    cr_assert_eq(swim_find(&scene->swim, 3)->incarnation, 5);
    record.incarnation = UINT64_MAX; /* not from itself, either */
    swim_scene_record(scene, 3, &record, 3, scene->options.cluster);
    record.incarnation = SWIM_INCARNATION_MAX;
    swim_scene_record(scene, 3, &record, 3, scene->options.cluster);
    cr_assert_eq(scene->swim.stats.jumps, 3);
    record.incarnation = UINT64_MAX; /* nor of who is not known yet */
    record.member = 2;
    swim_scene_record(scene, 2, &record, 2, scene->options.cluster);
    cr_assert_eq(scene->swim.stats.jumps, 4);
    record = swim_scene_make(3, 5 + jump, 1);
    swim_scene_record(scene, 4, &record, 3, scene->options.cluster);
    cr_assert_eq(swim_find(&scene->swim, 3)->incarnation, 5 + jump);
    swim_scene_hear(scene, 3, 5 + 3 * jump, 1); /* it had a long life while we were cut off */
    cr_assert_eq(swim_find(&scene->swim, 3)->incarnation, 5 + 3 * jump);
    swim_scene_free(scene);
}

Test(swim_attack, huge_incarnations_of_this_node_itself_are_refused)
{
    struct swim_scene *scene = swim_scene_new(5, NULL);
    struct swim_record record = swim_scene_make(1, SWIM_INCARNATION_MAX, 1);

    swim_scene_record(scene, 4, &record, 1, scene->options.cluster); /* its key was stolen */
    record.incarnation = SWIM_INCARNATION_MAX - 1; /* there is none above it to outbid it with */
    swim_scene_record(scene, 4, &record, 1, scene->options.cluster);
    cr_assert_eq(swim_find(&scene->swim, 1)->incarnation, 1);
    swim_scene_state(scene, 4, 1, SWIM_DEAD, UINT64_MAX, (uint16_t[]){4}, 1);
    cr_assert_eq(swim_find(&scene->swim, 1)->incarnation, 1, "a statement raises none");
    swim_scene_free(scene);
}

Test(swim_attack, statements_about_incarnations_that_are_not_known_count_nothing)
{
    struct swim_scene *scene = swim_scene_new(5, NULL);

    swim_scene_hear(scene, 3, 2, 1);
    for (uint64_t incarnation = 0; incarnation < 6; incarnation++)
        if (incarnation != 2)
            swim_scene_state(scene, 4, 3, SWIM_DEAD, incarnation, (uint16_t[]){4}, 1);
    swim_scene_state(scene, 4, 3, SWIM_DEAD, UINT64_MAX, (uint16_t[]){4}, 1);
    cr_assert_eq(swim_scene_standing(scene, 3), SWIM_ALIVE);
    swim_scene_free(scene);
}

Test(swim_attack, gossip_in_any_order_ends_the_same)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct swim_scene *scene = swim_scene_new(5, NULL);
        struct dice dice = {seed};
        unsigned order[12];
        struct swim_record seen;

        for (unsigned i = 0; i < 12; i++) {
            unsigned j = (unsigned)dice_below(&dice, i + 1);

            order[i] = order[j];
            order[j] = i;
        }
        for (unsigned i = 0; i < 12; i++) {
            struct swim_record record = swim_scene_make(3, 1 + order[i] / 3, 1 + order[i] % 3);

            record.local.operations = order[i];
            swim_scene_record(scene, 2, &record, 3, scene->options.cluster);
            swim_scene_state(scene, 2, 3, SWIM_SUSPECT, 1 + order[i] / 4, (uint16_t[]){2}, 1);
        }
        cr_assert(swim_record_of(swim_find(&scene->swim, 3), &seen));
        cr_assert_eq(seen.local.operations, 11, "seed %lu", (unsigned long)seed);
        cr_assert_eq(swim_scene_standing(scene, 3), SWIM_ALIVE, "none spoke of the last one");
        swim_scene_free(scene);
    }
}

Test(swim_attack, strangers_are_not_heard)
{
    struct swim_scene *scene = swim_scene_new(5, NULL);
    struct swim_record record = swim_scene_make(9, 1, 1);
    const uint16_t accusers[] = {9};

    swim_scene_packet(scene, 9, &(struct swim_packet){.kind = SWIM_PING, .subject = 1});
    cr_assert_eq(scene->effects.send_count, 0, "no answer");
    swim_scene_packet(scene, 1, &(struct swim_packet){.kind = SWIM_PING, .subject = 1});
    cr_assert_eq(scene->effects.send_count, 0, "nor to who pretends to be us");
    swim_scene_record(scene, 3, &record, 4, scene->options.cluster);
    swim_scene_state(scene, 3, 9, SWIM_DEAD, 0, accusers, 1);
    swim_scene_state(scene, 3, 4, SWIM_SUSPECT, 0, accusers, 1);
    cr_assert_eq(swim_scene_standing(scene, 4), SWIM_ALIVE, "a stranger accuses nobody");
    cr_assert_null(swim_find(&scene->swim, 9));
    cr_assert_eq(scene->swim.stats.strangers, 4);
    swim_scene_free(scene);
}

Test(swim_attack, a_removed_member_never_comes_back)
{
    struct swim_scene *scene = swim_scene_new(5, NULL);
    struct swim_map_member members[5];
    struct swim_event map = {.kind = SWIM_EVENT_MAP, .epoch = 2, .members = members};

    swim_scene_hear(scene, 3, 1, 1);
    swim_scene_state(scene, 2, 3, SWIM_SUSPECT, 1, (uint16_t[]){2}, 1);
    for (uint16_t id = 1; id <= 5; id++)
        if (id != 3)
            members[map.member_count++] =
                (struct swim_map_member){.id = id, .public_key = scene->identities[id].public_key};
    swim_scene_step(scene, &map);
    cr_assert_null(swim_find(&scene->swim, 3));
    for (uint64_t incarnation = 1; incarnation < 5; incarnation++) {
        struct swim_record record = swim_scene_make(3, incarnation, 9);

        swim_scene_hear(scene, 3, incarnation, 9);
        swim_scene_record(scene, 2, &record, 3, scene->options.cluster);
        cr_assert_null(swim_find(&scene->swim, 3));
    }
    map.epoch = 1; /* the old map, replayed */
    members[map.member_count++] =
        (struct swim_map_member){.id = 6, .public_key = scene->identities[3].public_key};
    swim_scene_step(scene, &map);
    cr_assert_null(swim_find(&scene->swim, 6));
    swim_scene_run(scene, 5000);
    swim_scene_free(scene);
}

Test(swim_attack, nobody_is_dead_at_a_word)
{
    struct swim_scene *scene = swim_scene_new(5, NULL);
    uint64_t min_ms = (uint64_t)scene->options.period_ms * scene->options.suspicion_factor;

    for (unsigned i = 0; i < 50; i++)
        swim_scene_state(scene, 2, 3, SWIM_DEAD, 0, (uint16_t[]){2, 4, 5, 1}, 4);
    for (uint64_t ms = 0; ms + 10 < min_ms; ms += 10) {
        swim_scene_tick(scene, 10);
        cr_assert_neq(swim_scene_standing(scene, 3), SWIM_DEAD);
    }
    swim_scene_hear(scene, 3, 1, 1);
    cr_assert_eq(swim_scene_standing(scene, 3), SWIM_ALIVE);
    swim_scene_free(scene);
}

Test(swim_attack, answers_that_nobody_asked_for_prove_nothing)
{
    struct swim_scene *scene = swim_scene_new(8, NULL);
    uint32_t nonce;

    swim_scene_probe(scene, 4);
    nonce = scene->swim.probe.nonce;
    for (uint16_t member = 2; member <= 8; member++)
        if (member != 4) /* right nonce, but it was not asked */
            swim_scene_packet(
                scene, member,
                &(struct swim_packet){.kind = SWIM_ACK, .nonce = nonce, .subject = 4});
    swim_scene_packet(scene, 4,
                      &(struct swim_packet){.kind = SWIM_ACK, .nonce = nonce - 1, .subject = 4});
    swim_scene_tick(scene, scene->options.ping_timeout_ms);
    swim_scene_tick(scene, scene->options.period_ms - scene->options.ping_timeout_ms);
    cr_assert_eq(swim_scene_standing(scene, 4), SWIM_SUSPECT);
    swim_scene_free(scene);
}

/* The map of the scene with the members from `first` on joining. */
static void set_joiners(struct swim_scene *scene, uint64_t epoch, uint16_t first)
{
    struct swim_map_member members[SCENE_MEMBERS_MAX];
    struct swim_event map = {.kind = SWIM_EVENT_MAP, .epoch = epoch, .members = members};

    for (uint16_t id = 1; id <= scene->members; id++)
        members[map.member_count++] = (struct swim_map_member){
            .id = id, .joining = id >= first, .public_key = scene->identities[id].public_key};
    swim_scene_step(scene, &map);
}

Test(swim_attack, what_a_joiner_says_of_others_changes_nothing)
{
    struct swim_scene *scene = swim_scene_new(5, NULL);
    uint64_t own;

    set_joiners(scene, 2, 5);
    for (uint16_t id = 2; id <= 5; id++)
        swim_scene_hear(scene, id, 1, 1);
    own = swim_find(&scene->swim, 1)->incarnation;
    swim_scene_state(scene, 5, 3, SWIM_SUSPECT, 1, (uint16_t[]){5}, 1);
    swim_scene_state(scene, 5, 3, SWIM_DEAD, 1, (uint16_t[]){2, 4, 1}, 3);
    cr_assert_eq(swim_scene_standing(scene, 3), SWIM_ALIVE, "not by its statement");
    swim_scene_state(scene, 2, 3, SWIM_DEAD, 1, (uint16_t[]){5}, 1);
    cr_assert_eq(swim_scene_standing(scene, 3), SWIM_ALIVE, "nor as an accuser that others name");
    swim_scene_state(scene, 5, 1, SWIM_DEAD, own, (uint16_t[]){5}, 1);
    swim_scene_packet(scene, 5,
                      &(struct swim_packet){.kind = SWIM_PING,
                                            .nonce = 1,
                                            .subject = 1,
                                            .standing = SWIM_DEAD,
                                            .incarnation = own});
    cr_assert_eq(swim_find(&scene->swim, 1)->incarnation, own, "nor need this node object");
    cr_assert_eq(scene->swim.stats.joiners, 3);
    swim_scene_state(scene, 2, 3, SWIM_SUSPECT, 1, (uint16_t[]){2}, 1);
    cr_assert_eq(swim_scene_standing(scene, 3), SWIM_SUSPECT, "a member is believed");
    set_joiners(scene, 3, 6);
    swim_scene_state(scene, 5, 4, SWIM_SUSPECT, 1, (uint16_t[]){5}, 1);
    cr_assert_eq(swim_scene_standing(scene, 4), SWIM_SUSPECT, "and so is this one, once committed");
    swim_scene_free(scene);
}

Test(swim_attack, records_count_whoever_is_joining)
{
    struct swim_scene *scene = swim_scene_new(5, NULL);
    struct swim_record record = swim_scene_make(3, 2, 1), joiner = swim_scene_make(5, 1, 1);
    const struct swim_change *change;

    set_joiners(scene, 2, 5);
    joiner.local.epoch = UINT64_MAX;
    swim_scene_record(scene, 5, &joiner, 5, scene->options.cluster);
    cr_assert_eq(swim_find(&scene->swim, 5)->incarnation, 1, "its own: so it is found");
    change = swim_scene_change(scene, 5);
    cr_assert(change && change->moved);
    cr_assert_not(change->ahead, "a newer map is no news of it");
    swim_scene_record(scene, 5, &record, 3, scene->options.cluster);
    cr_assert_eq(swim_find(&scene->swim, 3)->incarnation, 2, "another's, whom it is signed by");
    record = swim_scene_make(4, 7, 1);
    swim_scene_record(scene, 5, &record, 5, scene->options.cluster);
    cr_assert_eq(swim_find(&scene->swim, 4)->incarnation, 0, "not one that it has made");
    record = swim_scene_make(4, 7, 1);
    record.local.epoch = 9;
    swim_scene_record(scene, 5, &record, 4, scene->options.cluster);
    cr_assert(swim_scene_change(scene, 4)->ahead, "a member's word, whoever carries it");
    swim_scene_free(scene);
}

Test(swim_attack, no_ping_is_sent_through_a_joiner)
{
    struct swim_scene *scene = swim_scene_new(8, NULL);

    set_joiners(scene, 2, 4); /* 2 and 3 are left to ask */
    swim_scene_probe(scene, 2);
    swim_scene_tick(scene, scene->options.ping_timeout_ms);
    cr_assert_eq(scene->effects.send_count, 1);
    cr_assert(swim_scene_sent(scene, SWIM_PING_REQ, 3));
    for (uint16_t id = 4; id <= 8; id++) /* an answer that it could not know of */
        swim_scene_packet(scene, id,
                          &(struct swim_packet){
                              .kind = SWIM_ACK, .nonce = scene->swim.probe.nonce, .subject = 2});
    cr_assert_eq(scene->swim.probe.phase, SWIM_PROBE_INDIRECT);
    swim_scene_free(scene);
}

Test(swim_attack, a_joiner_takes_one_place_of_the_pings_for_others)
{
    struct swim_scene *scene = swim_scene_new(5, NULL);

    set_joiners(scene, 2, 5);
    for (uint32_t i = 0; i < 2 * SWIM_RELAYS_MAX; i++)
        swim_scene_packet(scene, 5,
                          &(struct swim_packet){.kind = SWIM_PING_REQ, .nonce = i, .subject = 3});
    swim_scene_packet(scene, 2,
                      &(struct swim_packet){.kind = SWIM_PING_REQ, .nonce = 99, .subject = 3});
    cr_assert(swim_scene_pinged(scene), "there is room for a member's");
    swim_scene_free(scene);
}

Test(swim_attack, a_joiners_exchange_makes_nobody_one_who_knows_all)
{
    struct swim_scene *scene = swim_scene_new(3, NULL);
    struct swim_packet all_known = {.kind = SWIM_DIFF, .subject = 1};

    set_joiners(scene, 2, 3);
    swim_scene_run(scene, 500);
    cr_assert_not(scene->swim.synced);
    all_known.nonce = scene->swim.sync_nonce;
    swim_scene_packet(scene, 3, &all_known);
    cr_assert_not(scene->swim.synced);
    swim_scene_packet(scene, 2, &all_known);
    cr_assert(scene->swim.synced);
    swim_scene_free(scene);
}

Test(swim_attack, joiners_do_not_stretch_a_suspicion)
{
    struct swim_scene *scene = swim_scene_new(20, NULL);
    uint64_t min_ms;

    set_joiners(scene, 2, 4); /* of 1, 2 and 3 only one other could confirm it */
    swim_scene_state(scene, 2, 3, SWIM_SUSPECT, 0, (uint16_t[]){2}, 1);
    min_ms = (uint64_t)scene->options.period_ms * scene->options.suspicion_factor * 2;
    for (uint64_t ms = 0; ms < min_ms; ms += 10)
        swim_scene_tick(scene, 10);
    cr_assert_eq(swim_scene_standing(scene, 3), SWIM_DEAD);
    swim_scene_free(scene);
}

/* Nobody believes what a joiner holds, so nobody objects: it must not hold it for ever. */
Test(swim_attack, a_joiner_takes_who_answers_it_for_alive)
{
    struct swim_packet ack = {.kind = SWIM_ACK, .subject = 2};
    struct swim_scene *scene = swim_scene_new(3, NULL);

    swim_scene_state(scene, 3, 2, SWIM_DEAD, 0, (uint16_t[]){3}, 1);
    swim_scene_packet(scene, 2, &ack);
    cr_assert_eq(swim_scene_standing(scene, 2), SWIM_SUSPECT, "a member waits for its record");
    set_joiners(scene, 2, 1);
    swim_scene_packet(scene, 3, &ack);
    cr_assert_eq(swim_scene_standing(scene, 2), SWIM_SUSPECT, "another says so");
    swim_scene_packet(scene, 2, &ack);
    cr_assert_eq(swim_scene_standing(scene, 2), SWIM_ALIVE);
    cr_assert_eq(swim_scene_change(scene, 2)->reason, SWIM_REASON_ANSWERED);
    for (unsigned i = 0; i < 200 && swim_scene_standing(scene, 2) != SWIM_DEAD; i++)
        swim_scene_tick(scene, 100);
    cr_assert_eq(swim_scene_standing(scene, 2), SWIM_DEAD);
    swim_scene_packet(scene, 2, &ack);
    cr_assert_eq(swim_scene_standing(scene, 2), SWIM_ALIVE);
    swim_scene_free(scene);
}

/* One member floods the others with the worst it can say; they must not lose each other. */
static void accuse_all(struct swim_net *net, uint16_t liar)
{
    struct swim_item items[16];
    struct swim_packet packet = {.kind = SWIM_ACK, .subject = liar, .items = items};

    for (uint32_t viewer = 0; viewer < net->count; viewer++) {
        if (viewer + 1u == liar)
            continue;
        packet.item_count = 0;
        for (uint16_t member = 1; member <= net->count; member++) {
            const struct swim_member *seen = swim_find(&net->nodes[viewer].swim, member);

            items[packet.item_count++] = (struct swim_item){.kind = SWIM_ITEM_STATEMENT,
                                                            .member = member,
                                                            .standing = SWIM_DEAD,
                                                            .incarnation = seen->incarnation,
                                                            .accusers = {liar, 1, 2, 3},
                                                            .accuser_count = 4};
        }
        swim_net_give(net, viewer, liar, &packet);
    }
}

Test(swim_attack, a_flood_of_accusations_kills_nobody)
{
    struct swim_net net;

    swim_net_init(&net, 8, 3, true);
    swim_net_run(&net, 2000);
    for (unsigned i = 0; i < 100; i++) {
        accuse_all(&net, 8);
        swim_net_run(&net, 50);
    }
    cr_assert_gt(net.suspicions, 0);
    cr_assert_eq(net.accusations, 0);
    cr_assert_leq(swim_net_until(&net, 5000, swim_net_converged), 5000);
    swim_net_deinit(&net);
}
