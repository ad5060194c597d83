/* SWIM scene: one gossip core, member 1 of several, whose packets go nowhere and who hears what the
 * test says. */
#ifndef TESTS_RING_SWIM_SCENE_H
#define TESTS_RING_SWIM_SCENE_H

#include "tests/dice.h"
#include "ring/identity.h"
#include "ring/swim.h"

#include <stdbool.h>
#include <stdint.h>

#define SCENE_MEMBERS_MAX 64u

struct swim_scene {
    struct swim_options options;
    struct swim swim;
    struct swim_effects effects;
    struct identity identities[SCENE_MEMBERS_MAX + 1]; /* by member */
    uint32_t members;
    uint64_t now_ms;
    struct dice dice;
    struct swim_item items[SWIM_ACCUSERS_MAX]; /* of the packet being made */
};

/* Members 1 … count of one map; member 1 has told where it is. */
struct swim_scene *swim_scene_new(uint32_t count, const struct swim_options *options);
void swim_scene_free(struct swim_scene *scene);
void swim_scene_step(struct swim_scene *scene, struct swim_event *event);
/* Steps a TICK after ms. */
void swim_scene_tick(struct swim_scene *scene, uint64_t ms);
/* Ticks whenever it is due, until ms are over. */
void swim_scene_run(struct swim_scene *scene, uint64_t ms);
void swim_scene_packet(struct swim_scene *scene, uint16_t from, const struct swim_packet *packet);
/* The PING of a probe, or for somebody else, in the effects; NULL none. */
const struct swim_send *swim_scene_pinged(const struct swim_scene *scene);
/* ACKs it, as if it came from who was pinged. Nothing when there is none. */
void swim_scene_ack(struct swim_scene *scene);
/* Ticks until the member is pinged in the course of a probe. */
void swim_scene_probe(struct swim_scene *scene, uint16_t member);
/* The first packet of the kind to the member (0: whoever) in the effects, NULL none. */
const struct swim_send *swim_scene_sent(const struct swim_scene *scene, uint8_t kind, uint16_t to);
const struct swim_item *swim_scene_item(const struct swim_packet *packet, uint8_t kind,
                                        uint16_t member);
/* What `from` brings: that the accusers suspect the member, or hold it dead, in that incarnation.
 */
void swim_scene_state(struct swim_scene *scene, uint16_t from, uint16_t member, uint8_t standing,
                      uint64_t incarnation, const uint16_t *accusers, uint8_t count);
/* What `from` brings: the record, signed by the identity of `signer`, for that cluster. */
void swim_scene_record(struct swim_scene *scene, uint16_t from, const struct swim_record *record,
                       uint16_t signer, const uint8_t cluster[RINGMAP_CLUSTER_SIZE]);
/* A record of the member in this version, at an address of its own, of this cluster, from itself.
 */
void swim_scene_hear(struct swim_scene *scene, uint16_t member, uint64_t incarnation,
                     uint64_t sequence);
struct swim_record swim_scene_make(uint16_t member, uint64_t incarnation, uint64_t sequence);
uint8_t swim_scene_standing(const struct swim_scene *scene, uint16_t member);
/* The change of the member in the effects, NULL none. */
const struct swim_change *swim_scene_change(const struct swim_scene *scene, uint16_t member);

#endif
