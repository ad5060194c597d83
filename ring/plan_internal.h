/* Plan, inside: what plan*.c share. Nothing else includes this.
 *
 *   plan.c          what changes, by which moves, in which waves, and what that costs
 *   plan_notes.c    what speaks against it
 *   plan_content.c  its content as bytes, and its hash
 *   plan_text.c     what notes say to people
 */
#ifndef RING_PLAN_INTERNAL_H
#define RING_PLAN_INTERNAL_H

#include "ring/plan.h"

/* What plan_make() works with. A row's moves lie behind one another until they are ordered. */
struct plan_making {
    const struct plan_input *input;
    struct plan *plan;
    uint32_t *busy; /* slot of wanted -> moves of the wave being filled */
};

/* plan.c; partition: of the meta group the number of partitions */
/* The member's place in the map, which has it. */
uint32_t plan_slot(const struct ringmap *map, uint16_t id);
bool plan_is_alive(const struct plan_input *input, uint16_t id);
/* Whether the member's replica counts. */
bool plan_is_sound(const struct plan_input *input, uint32_t partition, uint16_t id);
/* Of the map's row. Who has no replica yet gets a sound one. */
uint32_t plan_sound_count(const struct plan_input *input, const struct ringmap *map,
                          uint32_t partition);
/* Further failures that the map's row survives; below 0: it has no majority. */
int plan_tolerance(const struct plan_input *input, const struct ringmap *map, uint32_t partition);
/* Others are to hold the partition than do. */
bool plan_row_changes(const struct plan_input *input, uint32_t partition);

/* plan_notes.c */
/* The members, moves and tolerances of the plan are known. */
void plan_notes(struct plan_making *making);

/* plan_content.c */
/* Index of the member; member_count: none has this id. */
uint32_t plan_member_find(const struct plan *plan, uint16_t id);
/* Hash of the map without its epoch, the settings of moves and data keys. 0 or -ENOMEM. */
int plan_base_hash(const struct ringmap *now, uint8_t hash[PLAN_HASH_SIZE]);
/* BLAKE2b-256 of the encoded content. 0 or -ENOMEM. */
int plan_content_hash(const struct plan *plan, uint8_t hash[PLAN_HASH_SIZE]);

#endif
