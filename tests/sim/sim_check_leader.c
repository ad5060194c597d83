#include "tests/sim/sim_check.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void sim_check_leader(struct sim_check *check, uint8_t node, uint32_t group,
                      const struct raft *raft)
{
    struct sim_group *g = &check->groups[group];
    if (raft->term >= g->leader_capacity) {
        uint32_t capacity = (raft->term + 1) * 2;
        g->leaders = realloc(g->leaders, capacity);
        assert(g->leaders);
        memset(g->leaders + g->leader_capacity, 0, capacity - g->leader_capacity);
        g->leader_capacity = capacity;
    }
    if (g->leaders[raft->term] == 0)
        g->leaders[raft->term] = node;
    if (g->leaders[raft->term] != node)
        sim_fail(check->sim, "p%02u has two leaders in term %u: nodes %u and %u", group, raft->term,
                 g->leaders[raft->term], node);
}
