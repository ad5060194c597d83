#include "swim_scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <sodium.h>

struct swim_scene *swim_scene_new(uint32_t count, const struct swim_options *options)
{
    struct swim_scene *scene = calloc(1, sizeof *scene);
    struct swim_map_member members[SCENE_MEMBERS_MAX];
    struct swim_local local = {.address = "10.0.0.1:7000", .epoch = 1};

    cr_assert(scene);
    cr_assert_geq(sodium_init(), 0);
    cr_assert_leq(count, SCENE_MEMBERS_MAX);
    scene->members = count;
    scene->now_ms = 1000;
    scene->dice.state = 1;
    if (options)
        scene->options = *options;
    else
        swim_options_default(&scene->options);
    scene->options.self = 1;
    memset(scene->options.cluster, 7, sizeof scene->options.cluster);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t seed[IDENTITY_SEED_SIZE] = {(uint8_t)i};

        identity_from_seed(&scene->identities[i + 1], seed);
        members[i] = (struct swim_map_member){.id = (uint16_t)(i + 1),
                                              .public_key = scene->identities[i + 1].public_key};
    }
    scene->options.signer = swim_signer_ed25519(scene->identities[1].secret_key);
    cr_assert_eq(swim_init(&scene->swim, &scene->options), 0);
    swim_scene_step(
        scene, &(struct swim_event){
                   .kind = SWIM_EVENT_MAP, .epoch = 1, .members = members, .member_count = count});
    swim_scene_step(scene, &(struct swim_event){.kind = SWIM_EVENT_LOCAL, .local = &local});
    return scene;
}

void swim_scene_free(struct swim_scene *scene)
{
    swim_check(&scene->swim);
    swim_deinit(&scene->swim);
    free(scene);
}

void swim_scene_step(struct swim_scene *scene, struct swim_event *event)
{
    event->now_ms = scene->now_ms;
    event->random = dice_next(&scene->dice);
    swim_step(&scene->swim, event, &scene->effects);
    swim_check(&scene->swim);
}

void swim_scene_tick(struct swim_scene *scene, uint64_t ms)
{
    scene->now_ms += ms;
    swim_scene_step(scene, &(struct swim_event){.kind = SWIM_EVENT_TICK});
}

void swim_scene_run(struct swim_scene *scene, uint64_t ms)
{
    uint64_t until_ms = scene->now_ms + ms;

    while (scene->now_ms < until_ms) {
        uint64_t wait_ms = swim_wait_ms(&scene->swim);
        uint64_t left_ms = until_ms - scene->now_ms;

        wait_ms = wait_ms ? wait_ms : 1;
        swim_scene_tick(scene, wait_ms < left_ms ? wait_ms : left_ms);
    }
}

void swim_scene_packet(struct swim_scene *scene, uint16_t from, const struct swim_packet *packet)
{
    swim_scene_step(
        scene, &(struct swim_event){.kind = SWIM_EVENT_PACKET, .from = from, .packet = packet});
}

const struct swim_send *swim_scene_sent(const struct swim_scene *scene, uint8_t kind, uint16_t to)
{
    for (uint32_t i = 0; i < scene->effects.send_count; i++) {
        const struct swim_send *send = &scene->effects.sends[i];

        if (send->packet.kind == kind && (to == 0 || send->to == to))
            return send;
    }
    return NULL;
}

const struct swim_send *swim_scene_pinged(const struct swim_scene *scene)
{
    for (uint32_t i = 0; i < scene->effects.send_count; i++) {
        const struct swim_send *send = &scene->effects.sends[i];

        if (send->packet.kind == SWIM_PING && send->packet.nonce != 0)
            return send;
    }
    return NULL;
}

void swim_scene_ack(struct swim_scene *scene)
{
    const struct swim_send *send = swim_scene_pinged(scene);

    if (send)
        swim_scene_packet(scene, send->to,
                          &(struct swim_packet){
                              .kind = SWIM_ACK, .nonce = send->packet.nonce, .subject = send->to});
}

void swim_scene_probe(struct swim_scene *scene, uint16_t member)
{
    for (unsigned i = 0; i < 100000; i++) {
        const struct swim_send *send;

        swim_scene_tick(scene, 1);
        send = swim_scene_pinged(scene);
        if (send && send->to == member)
            return;
        swim_scene_ack(scene);
    }
    cr_assert_fail("member %u is never probed", member);
}

const struct swim_item *swim_scene_item(const struct swim_packet *packet, uint8_t kind,
                                        uint16_t member)
{
    for (uint32_t i = 0; i < packet->item_count; i++)
        if (packet->items[i].kind == kind && packet->items[i].member == member)
            return &packet->items[i];
    return NULL;
}

/* As an ACK that nobody waits for: what counts is what it carries. */
static void bring(struct swim_scene *scene, uint16_t from, const struct swim_item *item)
{
    swim_scene_packet(
        scene, from,
        &(struct swim_packet){.kind = SWIM_ACK, .subject = from, .items = item, .item_count = 1});
}

void swim_scene_state(struct swim_scene *scene, uint16_t from, uint16_t member, uint8_t standing,
                      uint64_t incarnation, const uint16_t *accusers, uint8_t count)
{
    struct swim_item item = {.kind = SWIM_ITEM_STATEMENT,
                             .member = member,
                             .standing = standing,
                             .incarnation = incarnation,
                             .accuser_count = count};

    memcpy(item.accusers, accusers, count * sizeof *accusers);
    bring(scene, from, &item);
}

struct swim_record swim_scene_make(uint16_t member, uint64_t incarnation, uint64_t sequence)
{
    struct swim_record record = {
        .member = member, .incarnation = incarnation, .sequence = sequence, .local = {.epoch = 1}};

    snprintf(record.local.address, sizeof record.local.address, "10.0.0.%u:7000", member);
    return record;
}

void swim_scene_record(struct swim_scene *scene, uint16_t from, const struct swim_record *record,
                       uint16_t signer, const uint8_t cluster[RINGMAP_CLUSTER_SIZE])
{
    uint8_t bytes[SWIM_SIGNED_PREFIX_SIZE + SWIM_RECORD_SIZE_MAX];
    uint8_t signature[SWIM_SIGNATURE_SIZE];
    size_t size = swim_record_encode(record, bytes + SWIM_SIGNED_PREFIX_SIZE);
    struct swim_signer with = swim_signer_ed25519(scene->identities[signer].secret_key);

    swim_signed_prefix(cluster, bytes);
    with.sign(with.context, bytes, SWIM_SIGNED_PREFIX_SIZE + size, signature);
    bring(scene, from,
          &(struct swim_item){.kind = SWIM_ITEM_RECORD,
                              .record = bytes + SWIM_SIGNED_PREFIX_SIZE,
                              .record_size = (uint16_t)size,
                              .signature = signature});
}

void swim_scene_hear(struct swim_scene *scene, uint16_t member, uint64_t incarnation,
                     uint64_t sequence)
{
    struct swim_record record = swim_scene_make(member, incarnation, sequence);

    swim_scene_record(scene, member, &record, member, scene->options.cluster);
}

uint8_t swim_scene_standing(const struct swim_scene *scene, uint16_t member)
{
    const struct swim_member *found = swim_find(&scene->swim, member);

    cr_assert(found);
    return found->standing;
}

const struct swim_change *swim_scene_change(const struct swim_scene *scene, uint16_t member)
{
    for (uint32_t i = 0; i < scene->effects.change_count; i++)
        if (scene->effects.changes[i].member == member)
            return &scene->effects.changes[i];
    return NULL;
}
