/* Data keys of the simulated processes: what node_loop_keys.c does. */
#include "tests/sim/sim_cluster.h"

#include <errno.h>

bool sim_node_take_keys(struct sim_node *node)
{
    const struct ringmap *map = node_map(node->node);
    uint16_t self = node_member(node->node);
    uint8_t state = ringmap_member(map, self)->state;
    for (uint32_t i = 0; i < map->key_count; i++) {
        uint8_t id = map->key_ids[i], key[VAULT_KEY_SIZE];
        const uint8_t *box = ringmap_box(map, i, self);
        if (!box && !ringmap_takes_part(state))
            continue;
        if (state == RINGMAP_STATE_JOINING)
            sim_fail(node->cluster->sim, "node %u has data key %u before a plan took it in",
                     node->endpoint, id);
        if (!box || !sim_admin_open_box(box, node->endpoint, id, key) ||
            vault_add(&node->vault, id, key) != 0)
            sim_fail(node->cluster->sim, "node %u does not open its box of data key %u",
                     node->endpoint, id);
        if (!node->cluster->sim->failed)
            vault_use(&node->vault, id);
    }
    return map->key_count == 0 || node->vault.current != 0;
}

bool sim_node_awaits_key(const struct sim_node *node)
{
    const struct ringmap *map = node->state == SIM_DOWN ? NULL : node_map(node->node);
    return map && map->key_count > 0 &&
           ringmap_member(map, node_member(node->node))->state == RINGMAP_STATE_JOINING;
}

int sim_node_wrap(void *context, uint8_t key_id, const uint8_t public_key[RINGMAP_KEY_SIZE],
                  uint8_t box[RINGMAP_BOX_SIZE])
{
    const struct sim_node *node = context;
    const struct ringmap *map = node_map(node->node);
    for (uint32_t i = 0; i < map->key_count; i++) {
        const uint8_t *own = ringmap_box(map, i, node_member(node->node));
        if (map->key_ids[i] == key_id && own) {
            sim_admin_make_box(box, key_id, own, public_key);
            return 0;
        }
    }
    return -ENOENT;
}
