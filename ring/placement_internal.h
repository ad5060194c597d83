/* What the parts of ring/placement share. */
#ifndef RING_PLACEMENT_INTERNAL_H
#define RING_PLACEMENT_INTERNAL_H

#include "ring/assign.h"
#include "ring/ringmap.h"

struct place_zone {
    const char *name; /* borrowed from the map */
    uint32_t first;   /* of its members */
    uint32_t count;
};

/* ACTIVE members of the map, numbered here in the order of zones, then ids. Arrays by member, but
 * for those of zones and cells. */
struct placement {
    struct ringmap *map;
    uint32_t partitions;
    uint32_t copies; /* R */
    uint32_t member_count;
    uint32_t zone_count;
    uint16_t *slot_of;  /* in the map */
    uint16_t *index_of; /* by slot of the map: number of the member here, or ASSIGN_NONE */
    uint32_t *zone_of;
    double *ideal;
    uint32_t *low; /* bounds of what a member holds, then of what it leads */
    uint32_t *high;
    struct place_zone *zones;
    uint32_t *zone_first;
    uint32_t *zone_low;
    uint32_t *zone_high;
    uint32_t before_width;
    uint16_t *before;        /* partitions rows of members as numbered here */
    uint16_t *cells;         /* partitions rows of copies members */
    uint16_t *leader_before; /* by partition */
    uint16_t *leaders;
    uint32_t *held;      /* replicas before, by member */
    uint32_t *new_cells; /* numbers of the cells that may be mixed */
};

/* Whether the row had the member before. */
bool placement_was_in_row(const struct placement *placement, uint32_t row, uint16_t member);
/* Exchanges new replicas between rows, in placement->cells. */
void placement_mix(struct placement *placement);

#endif
