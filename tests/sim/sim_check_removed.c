#include "tests/sim/sim_check.h"

#include "ring/wire.h"

#include <inttypes.h>

/* A removal is *heard* by a shard when a round of it has ended in which it went by a committed map
 * with that member REMOVED, and *settled* when all shards of all members of the newest map have
 * heard of it. Maps never go back, so both are for ever, crashes or not.
 *
 * From when it has heard, a shard says nothing of Raft to who was removed. So from when it is
 * settled nobody does: whatever it leads then nobody follows, for whom it votes and what it
 * acknowledges counts nowhere (sim_check_quorum.c does not even note it), and a request that comes
 * to it then finds no quorum, for it would have to be asked after that. What it has collected
 * before it may still use: an answer to what came before is as good as one that was long on its
 * way. */

#define ARGS_MAX 64u

static uint64_t removed_by(const struct sim_check *check, uint16_t member)
{
    return member <= SIM_NODES_MAX ? check->removals[member].epoch : 0;
}

void sim_check_removed_map(struct sim_check *check, const struct ringmap *map)
{
    for (uint32_t i = 0; i < map->member_count; i++) {
        struct sim_removal *removal = &check->removals[map->members[i].id];
        if (map->members[i].state == RINGMAP_STATE_REMOVED &&
            (removal->epoch == 0 || map->epoch < removal->epoch))
            removal->epoch = map->epoch;
    }
}

/* Nobody waits for a disk that is lost. */
static bool is_settled(const struct sim_check *check, uint64_t epoch)
{
    for (uint32_t i = 0; i < check->cluster->node_count; i++) {
        const struct sim_node *node = &check->cluster->nodes[i];
        if (node->scrapped || !sim_check_belongs(check, node))
            continue;
        for (uint32_t j = 0; j < check->sim->swarm.shards; j++)
            if (check->heard[i][j] < epoch)
                return false;
    }
    return true;
}

void sim_check_removed_round(struct sim_check *check, const struct sim_node *node,
                             const struct sim_shard *shard)
{
    const struct ringmap *map = node_map(node->node);
    uint64_t *heard = &check->heard[node->endpoint - 1][shard - node->shards];
    if (!map || map->epoch == *heard)
        return;
    *heard = map->epoch;
    for (uint16_t member = 1; member <= SIM_NODES_MAX; member++) {
        struct sim_removal *removal = &check->removals[member];
        if (removal->epoch == 0 || removal->settled || !is_settled(check, removal->epoch))
            continue;
        removal->settled = true;
        check->removals_settled++;
        sim_trace(check->sim, 1, "all members have heard that member %u is removed", member);
    }
}

bool sim_check_removal_settled(const struct sim_check *check, uint16_t member)
{
    return member <= SIM_NODES_MAX && check->removals[member].settled;
}

/* --- what comes to it, and what it says ---------------------------------------------------- */

void sim_check_removed_ops(struct sim_check *check, const struct sim_node *node,
                           const struct link_message *message, uint64_t link)
{
    uint16_t member = node->node ? node_member(node->node) : 0;
    struct wire_bytes args[ARGS_MAX];
    struct wire_cursor cursor;
    struct wire_op op;
    uint64_t session;
    if (!sim_check_removal_settled(check, member))
        return;
    wire_cursor_init(&cursor, message->body, message->body_size);
    if (!wire_get_ops_head(&cursor, &session))
        return;
    while (!wire_cursor_done(&cursor) && wire_get_op(&cursor, &op, args, ARGS_MAX)) {
        if (op.retry)
            continue; /* an earlier attempt may be done, and its session knows the answer */
        struct sim_removal *removal = &check->removals[member];
        removal->late[removal->late_count++ % SIM_LATE] = (struct sim_late){link, op.id};
        check->late_requests++;
    }
}

static bool came_late(const struct sim_removal *removal, uint64_t link, uint32_t id)
{
    for (uint32_t i = 0; i < SIM_LATE && i < removal->late_count; i++)
        if (removal->late[i].link == link && removal->late[i].id == id)
            return true;
    return false;
}

static void check_results(struct sim_check *check, const struct sim_node *node,
                          const struct shard_send *send)
{
    uint16_t member = node_member(node->node);
    struct wire_bytes values[ARGS_MAX];
    struct wire_cursor cursor;
    struct wire_result result;
    if (!sim_check_removal_settled(check, member))
        return;
    wire_cursor_init(&cursor, send->message.body, send->message.body_size);
    while (!wire_cursor_done(&cursor) && wire_get_result(&cursor, &result, values, ARGS_MAX))
        if (result.status == WIRE_STATUS_OK &&
            came_late(&check->removals[member], send->to.link, result.id))
            sim_fail(check->sim,
                     "node %u was removed, which all members have heard, and serves a request that "
                     "came after that",
                     node->endpoint);
}

void sim_check_removed_send(struct sim_check *check, const struct sim_node *node,
                            const struct shard_send *send)
{
    uint16_t partition = send->message.partition;
    uint32_t shard = partition == WIRE_PARTITION_META ? 0 : partition % check->sim->swarm.shards;
    if (send->message.type == WIRE_RESULTS)
        check_results(check, node, send);
    if (send->to.role != LINK_ROLE_NODE || partition == WIRE_PARTITION_NODE ||
        (send->message.type != WIRE_RAFT && send->message.type != WIRE_BEAT &&
         send->message.type != WIRE_BEAT_ACK))
        return;
    uint64_t epoch = removed_by(check, send->to.member);
    if (epoch != 0 && check->heard[node->endpoint - 1][shard] >= epoch)
        sim_fail(check->sim,
                 "node %u talks Raft with member %u, of which it has heard that it is removed",
                 node->endpoint, send->to.member);
}
