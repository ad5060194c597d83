/* SWIM internal: what swim*.c share. Nothing else includes it. */
#ifndef RING_SWIM_INTERNAL_H
#define RING_SWIM_INTERNAL_H

#include "ring/swim.h"

/* swim.c */
struct swim_member *swim_get(struct swim *swim, uint16_t id);
static inline struct swim_member *swim_self(struct swim *swim)
{
    return &swim->members[swim->self_slot];
}
static inline uint16_t swim_slot(const struct swim *swim, const struct swim_member *member)
{
    return (uint16_t)(member - swim->members);
}
/* 0 … bound - 1, from what the event brought. */
uint32_t swim_below(struct swim *swim, uint32_t bound);
/* log2 in thousandths, between its whole values a straight line. value > 0 */
uint32_t swim_log2(uint32_t value);
/* The change to report for the member, or NULL when a step cannot hold more. */
struct swim_change *swim_report(struct swim_effects *effects, const struct swim_member *member,
                                enum swim_reason reason);
void swim_set_standing(struct swim *swim, struct swim_member *member, enum swim_standing standing);
/* Signs what is to be said of this node under the next sequence. */
void swim_publish(struct swim *swim, enum swim_queue queue);
/* The own record's incarnation becomes the next after `seen`. */
void swim_outbid(struct swim *swim, uint64_t seen);

/* swim_news.c: queues and packets */
void swim_enqueue_record(struct swim *swim, struct swim_member *member, enum swim_queue queue);
void swim_enqueue_statement(struct swim *swim, struct swim_member *member);
void swim_dequeue_record(struct swim *swim, struct swim_member *member);
void swim_dequeue_statement(struct swim *swim, struct swim_member *member);
uint32_t swim_retransmit_limit(const struct swim *swim);
/* A packet without items; NULL: the step has no more room, as if it were lost. Items are added to
 * the last one begun only. */
struct swim_send *swim_begin(struct swim_effects *effects, uint16_t to, enum swim_packet_kind kind,
                             uint32_t nonce, uint16_t subject);
/* False when it does not fit. */
bool swim_add(struct swim_effects *effects, struct swim_send *send, uint32_t size_max,
              enum swim_item_kind kind, const struct swim_member *member);
/* There are news that should not wait. */
bool swim_urgent(const struct swim *swim);
/* News, as much as fits. */
void swim_fill(struct swim *swim, struct swim_effects *effects, struct swim_send *send);

/* swim_merge.c: what others say */
/* An item RECORD or STATEMENT from the member `from`; exchange: of a DIFF. False: the packet's
 * sender is faulty, or the step has no room for more. */
bool swim_merge(struct swim *swim, struct swim_effects *effects, uint16_t from,
                const struct swim_item *item, bool exchange);
/* `accusers` say that the member, of the known incarnation, does not answer, or is dead. */
void swim_accuse(struct swim *swim, struct swim_effects *effects, struct swim_member *member,
                 const uint16_t *accusers, uint32_t count, bool dead, enum swim_reason reason);
void swim_refute(struct swim *swim);
/* Whether what the member says of others counts: it is not joining, or self; by its id: and in the
 * map. */
bool swim_counts(const struct swim *swim, const struct swim_member *member);
bool swim_believed(const struct swim *swim, uint16_t id);
/* When the suspect's time to object is over. */
uint64_t swim_suspicion_until(const struct swim *swim, const struct swim_member *member);
void swim_suspects_tick(struct swim *swim, struct swim_effects *effects);

/* swim_probe.c */
void swim_probe_tick(struct swim *swim, struct swim_effects *effects);
void swim_probe_packet(struct swim *swim, struct swim_effects *effects, uint16_t from,
                       const struct swim_packet *packet);
/* Pings outside of probes: the answer is news at most. */
void swim_note(struct swim *swim, struct swim_effects *effects, const struct swim_member *member);
/* The next thing of probes and relays that is due. */
uint64_t swim_probe_until(const struct swim *swim);

/* swim_sync.c */
void swim_sync_tick(struct swim *swim, struct swim_effects *effects);
void swim_sync_packet(struct swim *swim, struct swim_effects *effects, uint16_t from,
                      const struct swim_packet *packet);
/* Sends the records that the packet wants. */
void swim_answer_wants(struct swim *swim, struct swim_effects *effects, uint16_t from,
                       const struct swim_packet *packet);

static inline bool swim_newer(uint64_t incarnation, uint64_t sequence, uint64_t than_incarnation,
                              uint64_t than_sequence)
{
    return incarnation > than_incarnation ||
           (incarnation == than_incarnation && sequence > than_sequence);
}

#endif
