/* Placement model: random clusters, and what placement promises found by other ways than its own,
 * for the tests of placement and of plans. */
#ifndef TESTS_RING_PLACEMENT_MODEL_H
#define TESTS_RING_PLACEMENT_MODEL_H

#include "ring/ringmap.h"

#include "tests/dice.h"

/* Equal ACTIVE members 1 … members without a zone, rows empty. */
struct ringmap model_cluster(uint32_t members, uint32_t partitions, uint32_t replicas);
void model_zone(struct ringmap *map, uint32_t slot, uint32_t zone);
/* Members, weights and zones of all sorts; in one of two clusters all weights are equal. At most
 * `members` of them and `partitions`. */
struct ringmap model_any(struct dice *dice, uint32_t members, uint32_t partitions);
/* A map after one to three changes of any sort (join, leave, removal, weight, zone, N), its rows
 * left empty. At least one member is ACTIVE. */
struct ringmap model_changed(struct dice *dice, const struct ringmap *from);
uint32_t model_copies(const struct ringmap *map); /* R */
/* By slot; the caller frees. */
double *model_ideals(const struct ringmap *map);
double *model_lead_ideals(const struct ringmap *map);
uint32_t *model_held(const struct ringmap *map);
uint32_t *model_led(const struct ringmap *map);
uint32_t model_in_zone(const struct ringmap *map, uint32_t partition, const char *zone);
/* How many replicas of one partition a zone may have. */
void model_zone_bounds(const struct ringmap *map, const char *zone, uint32_t *low, uint32_t *high);
/* Asserts what every placement promises: valid rows, balance, zones, leaders. */
void model_expect_placed(const struct ringmap *map, uint64_t seed);
/* Replicas of `after` on members that did not hold the partition in `before`. */
uint32_t model_moves(const struct ringmap *before, const struct ringmap *after);
/* The least number of moves that any table with the members of `after` needs: a plain minimum-cost
 * flow over all pairs, for small maps. */
uint32_t model_moves_least(const struct ringmap *before, const struct ringmap *after);

#endif
