/* Ring map, inside: what ringmap*.c share. Nothing else includes this but plan_content.c, which
 * hashes parts of a map as they are encoded.
 *
 *   ringmap.c         the value, and what holds of every map
 *   ringmap_code.c    its encoding
 *   ringmap_follow.c  which map may come after which
 *   ringmap_change.c  the next maps that nobody has to plan
 */
#ifndef RING_RINGMAP_INTERNAL_H
#define RING_RINGMAP_INTERNAL_H

#include "ring/bytes.h"
#include "ring/ringmap.h"

/* Places of a table. */
static inline size_t ringmap_places(const struct ringmap *map)
{
    return (size_t)map->partition_count * map->replica_count;
}

/* What is wrong with the counts alone, or NULL; and with all of it. */
const char *ringmap_counts_problem(const struct ringmap *map);
const char *ringmap_problem(const struct ringmap *map);

/* Parts of the encoding. */
void ringmap_put_members(struct bytes_writer *writer, const struct ringmap *map);
void ringmap_put_ids(struct bytes_writer *writer, const uint16_t *ids, size_t count);

#endif
