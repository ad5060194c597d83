#include "tests/sim/sim_check.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* What a node goes by was committed and is on its disk: nobody has another map of that epoch, and
 * no crash takes it away. */
void sim_check_map(struct sim_check *check, const struct sim_node *node)
{
    const struct ringmap *map = node_map(node->node);
    uint64_t *newest = &check->epochs[node->endpoint - 1];
    uint8_t hash[RINGMAP_HASH_SIZE], *blob;
    size_t size;
    char who[16];
    if (!map || map->epoch == *newest)
        return;
    if (map->epoch < *newest) {
        sim_fail(check->sim, "node %u goes back from ring map %" PRIu64 " to %" PRIu64,
                 node->endpoint, *newest, map->epoch);
        return;
    }
    *newest = map->epoch;
    size = ringmap_encoded_size(map);
    blob = malloc(size);
    assert(blob);
    ringmap_encode(map, blob);
    ringmap_hash(blob, size, hash);
    free(blob);
    (void)snprintf(who, sizeof who, "node %u", node->endpoint);
    sim_admin_map_seen(&check->cluster->admin, map->epoch, hash, who);
}

bool sim_check_maps_converged(const struct sim_check *check, char *why, size_t size)
{
    const struct sim_cluster *cluster = check->cluster;
    uint64_t latest = cluster->admin.epoch_done;
    for (uint8_t i = 1; i <= cluster->node_count; i++)
        if (check->epochs[i - 1] > latest)
            latest = check->epochs[i - 1];
    for (uint8_t i = 1; i <= cluster->node_count; i++) {
        if (check->epochs[i - 1] == latest)
            continue;
        (void)snprintf(why, size, "node %u goes by ring map %" PRIu64 ", not %" PRIu64, i,
                       check->epochs[i - 1], latest);
        return false;
    }
    return true;
}
