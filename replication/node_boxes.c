/* Boxes of data keys for whom the next ring map has take part: any member that has opened the keys
 * makes them, with the wrap() of its host. */
#include "replication/node_internal.h"

#include <assert.h>
#include <string.h>

#define BOXES_STEP_MAX RINGMAP_KEYS_MAX /* each is work: a tenth of a millisecond */

/* What is missing, BOXES_STEP_MAX at most. */
static int make(const struct node *node, struct ringmap *map, uint8_t *lacking)
{
    const struct node_options *options = &node->options;
    uint32_t made = 0;

    for (uint32_t i = 0; i < map->member_count; i++) {
        const struct ringmap_member *member = &map->members[i];

        for (uint32_t key = 0; key < map->key_count && ringmap_takes_part(member->state); key++) {
            uint8_t box[RINGMAP_BOX_SIZE];

            if (ringmap_box(map, key, member->id))
                continue;
            if (made++ == BOXES_STEP_MAX)
                return NODE_BOXES_E_MORE;
            if (!options->wrap || options->wrap(options->wrap_context, map->key_ids[key],
                                                member->public_key, box) != 0) {
                *lacking = map->key_ids[key];
                return NODE_BOXES_E_NO_KEY;
            }
            memcpy(map->boxes[(size_t)key * map->member_count + i], box, sizeof box);
        }
    }
    return NODE_BOXES_E_OK;
}

int node_boxes_make(const struct node *node, uint8_t *blob, size_t size, uint8_t *lacking)
{
    struct ringmap map;
    int r = ringmap_decode(blob, size, &map);

    if (r != 0) /* the meta group's leader says so */
        return r < 0 ? r : NODE_BOXES_E_OK;
    *lacking = 0;
    r = make(node, &map, lacking);
    assert(ringmap_encoded_size(&map) == size);
    ringmap_encode(&map, blob);
    ringmap_deinit(&map);
    return r;
}
