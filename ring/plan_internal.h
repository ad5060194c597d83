/* What the parts of ring/plan share. */
#ifndef RING_PLAN_INTERNAL_H
#define RING_PLAN_INTERNAL_H

#include "ring/plan.h"

/* Index of the member; member_count: none has this id. */
uint32_t plan_member_find(const struct plan *plan, uint16_t id);
/* Hash of the map without its epoch, the settings of moves and data keys. 0 or -ENOMEM. */
int plan_base_hash(const struct ringmap *now, uint8_t hash[PLAN_HASH_SIZE]);
/* BLAKE2b-256 of the encoded content. 0 or -ENOMEM. */
int plan_content_hash(const struct plan *plan, uint8_t hash[PLAN_HASH_SIZE]);

#endif
