#include "cli/moves.h"

#include "cli/clock.h"
#include "cli/shards_ask.h"
#include "replication/transfer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ASKS_MAX     10u /* while a group has no leader */
#define ASK_PAUSE_MS 500u

int moves_init(struct moves *moves, uint32_t partition_count)
{
    *moves = (struct moves){.partition_count = partition_count};
    moves->groups = calloc(partition_count + 1, sizeof *moves->groups);
    return moves->groups ? 0 : -ENOMEM;
}

void moves_deinit(struct moves *moves)
{
    free(moves->groups);
    *moves = (struct moves){0};
}

/* NULL: there is no such group. */
static struct moves_group *find(const struct moves *moves, uint16_t group)
{
    if (group == WIRE_PARTITION_META)
        return &moves->groups[moves->partition_count];
    return group < moves->partition_count ? &moves->groups[group] : NULL;
}

const struct moves_group *moves_group(const struct moves *moves, uint16_t group)
{
    const struct moves_group *found = find(moves, group);

    assert(found != NULL);
    return found;
}

void moves_take(struct moves *moves, uint16_t member, const struct wire_move *move)
{
    struct moves_group *group = find(moves, move->group);

    if (!group || (group->known && group->move.config_index > move->config_index))
        return;
    *group = (struct moves_group){.known = true, .leader = member, .move = *move};
}

static int take_reply(void *context, const struct view_node *node, const uint8_t *reply,
                      size_t size)
{
    struct wire_moves_head head;
    struct wire_cursor cursor;
    struct wire_move move;

    wire_cursor_init(&cursor, reply, size);
    if (!wire_get_moves_head(&cursor, &head))
        return 0;
    while (!wire_cursor_done(&cursor) && wire_get_move(&cursor, &move))
        moves_take(context, node->id, &move);
    return 0;
}

int moves_ask(struct moves *moves, const struct view *view, struct cluster *cluster,
              uint32_t timeout_ms)
{
    struct shards_question question = {
        .type = WIRE_MOVES_GET, .context = moves, .take = take_reply};
    int r = moves_init(moves, view->map.partition_count);

    return r != 0 ? r : shards_ask(view, cluster, &question, timeout_ms);
}

int moves_ask_all(struct moves *moves, const struct view *view, struct cluster *cluster,
                  uint32_t timeout_ms)
{

    for (unsigned i = 1;; i++) {
        int r = moves_ask(moves, view, cluster, timeout_ms);

        if (r < 0 || !ringmap_moving(&view->map) || !moves_lack(moves) || i == ASKS_MAX)
            return r;
        moves_deinit(moves);
        clock_pause(ASK_PAUSE_MS);
    }
}

/* --- conclusions --------------------------------------------------------------------------- */

bool moves_lack(const struct moves *moves)
{
    for (uint32_t i = 0; i <= moves->partition_count; i++)
        if (!moves->groups[i].known)
            return true;
    return false;
}

static bool has(const uint16_t *ids, uint32_t count, uint16_t member)
{
    for (uint32_t i = 0; i < count; i++)
        if (ids[i] == member)
            return true;
    return false;
}

static bool members_have(const struct wire_members *members, uint16_t member)
{
    return has(members->ids, members->count, member);
}

const uint16_t *moves_wanted(const struct ringmap *map, uint16_t group, uint32_t *count)
{
    const uint16_t *row;

    if (group == WIRE_PARTITION_META) {
        *count = map->meta_voter_count;
        return map->meta_voters;
    }
    row = ringmap_wanted(map, group);
    *count = ringmap_row_count(map, row);
    return row;
}

bool moves_changes(const struct ringmap *map, uint16_t group)
{
    const uint16_t *wanted = ringmap_wanted(map, group), *before = ringmap_row(map, group);
    uint32_t count = ringmap_row_count(map, wanted);

    if (count != ringmap_row_count(map, before))
        return true;
    for (uint32_t i = 0; i < count; i++)
        if (!has(before, count, wanted[i]))
            return true;
    return false;
}

/* Whether its newest configuration is the wanted row, and no more. */
static bool is_wanted(const struct moves *moves, const struct ringmap *map, uint16_t group)
{
    const struct wire_move *move = &moves_group(moves, group)->move;
    uint32_t count;
    const uint16_t *wanted = moves_wanted(map, group, &count);

    if (move->voters_old.count > 0 || move->learners.count > 0 || move->voters.count != count)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!members_have(&move->voters, wanted[i]))
            return false;
    return true;
}

bool moves_is_done(const struct moves *moves, const struct ringmap *map, uint16_t group)
{
    const struct moves_group *found = moves_group(moves, group);

    return found->known && found->move.committed && is_wanted(moves, map, group);
}

/* One whose row stays only commits it once more, for the new epoch. */
static bool goes_back(const struct moves *moves, const struct ringmap *map, uint16_t group)
{
    return moves_is_waiting(moves, map, group) && moves_group(moves, group)->known &&
           !is_wanted(moves, map, group);
}

bool moves_is_waiting(const struct moves *moves, const struct ringmap *map, uint16_t group)
{
    return ringmap_moving(map) && !moves_is_done(moves, map, group);
}

void moves_bytes(const struct moves *moves, const struct ringmap *map, uint16_t group,
                 uint64_t *bytes, uint64_t *done)
{
    const struct moves_group *found = moves_group(moves, group);
    uint64_t sent = found->move.sent < found->move.bytes ? found->move.sent : found->move.bytes;
    const uint16_t *wanted, *before;

    *bytes = 0;
    *done = 0;
    if (group == WIRE_PARTITION_META)
        return;
    wanted = ringmap_wanted(map, group);
    before = ringmap_row(map, group);
    for (uint32_t i = 0; found->known && i < ringmap_row_count(map, wanted); i++) {
        if (has(before, ringmap_row_count(map, before), wanted[i]))
            continue;
        *bytes += found->move.bytes;
        if (members_have(&found->move.voters, wanted[i])) {
            *done += found->move.bytes;
        } else if (members_have(&found->move.learners, wanted[i])) {
            *done += sent; /* they are sent one after another */
            sent = 0;
        }
    }
}

void moves_sum(const struct moves *moves, const struct ringmap *map, struct moves_sum *sum)
{
    *sum = (struct moves_sum){.waiting = moves_is_waiting(moves, map, WIRE_PARTITION_META)};
    for (uint32_t p = 0; p < map->partition_count; p++) {
        const struct moves_group *group = moves_group(moves, (uint16_t)p);
        uint64_t bytes, done;

        sum->waiting += moves_is_waiting(moves, map, (uint16_t)p);
        if (!moves_changes(map, (uint16_t)p)) {
            sum->going_back += goes_back(moves, map, (uint16_t)p);
            continue;
        }
        moves_bytes(moves, map, (uint16_t)p, &bytes, &done);
        sum->groups++;
        sum->groups_done += moves_is_done(moves, map, (uint16_t)p);
        sum->groups_unknown += !group->known;
        sum->bytes += bytes;
        sum->bytes_done += done;
        sum->retries += group->move.snapshots > 1 ? group->move.snapshots - 1 : 0;
    }
}

void moves_held(const struct moves *moves, struct next_map_held *held)
{
    for (uint32_t i = 0; i <= moves->partition_count; i++) {
        const struct wire_move *move = &moves->groups[i].move;
        const struct wire_members *voters = &move->voters;

        held[i] = (struct next_map_held){.voter_count = 0};
        if (!moves->groups[i].known)
            continue;
        if (!move->committed && move->voters_old.count > 0)
            voters = &move->voters_old;
        held[i].voter_count = voters->count;
        memcpy(held[i].voters, voters->ids, voters->count * sizeof *held[i].voters);
    }
}

static bool needs(const struct moves *moves, const struct ringmap *map, uint16_t group,
                  uint16_t member)
{
    const struct moves_group *found = moves_group(moves, group);
    uint32_t count;
    const uint16_t *wanted = moves_wanted(map, group, &count);

    return found->known && has(wanted, count, member) && !members_have(&found->move.voters, member);
}

bool moves_need(const struct moves *moves, const struct ringmap *map, uint16_t member)
{
    bool needed = needs(moves, map, WIRE_PARTITION_META, member);

    for (uint32_t p = 0; p < map->partition_count && !needed; p++)
        needed = needs(moves, map, (uint16_t)p, member);
    return needed;
}

/* Whoever waits for the group to come there. Of a node with a shard beyond repair others may be
 * sound. */
static bool is_in_vain(const struct view *view, uint16_t group, const struct view_node *node)
{
    const struct view_replica *replica;

    if (!view_is_alive(node) || !view_is_lost(node))
        return !view_is_alive(node);
    replica = view_replica(view, group, node->id);
    return !replica || !replica->known || replica->status.fenced;
}

const struct view_node *moves_missing(const struct moves *moves, const struct ringmap *map,
                                      const struct view *view)
{
    for (uint32_t i = 0; i < view->node_count; i++)
        for (uint32_t p = 0; p <= map->partition_count; p++) {
            uint16_t group = p < map->partition_count ? (uint16_t)p : WIRE_PARTITION_META;

            if (is_in_vain(view, group, &view->nodes[i]) &&
                needs(moves, map, group, view->nodes[i].id))
                return &view->nodes[i];
        }
    return NULL;
}

bool moves_is_without(const struct moves *moves, uint16_t group, uint16_t member)
{
    const struct moves_group *found = moves_group(moves, group);

    return found->known && found->move.committed && !members_have(&found->move.voters, member) &&
           !members_have(&found->move.voters_old, member) &&
           !members_have(&found->move.learners, member);
}

enum moves_part moves_part(const struct moves *moves, const struct ringmap *map, uint16_t group,
                           uint16_t member)
{
    const struct moves_group *found = moves_group(moves, group);
    uint32_t count;
    const uint16_t *row = moves_wanted(map, group, &count);
    bool wanted = has(row, count, member);

    if (!found->known)
        return MOVES_PART_UNKNOWN;
    if (members_have(&found->move.learners, member))
        return MOVES_PART_LEARNER;
    if (members_have(&found->move.voters, member) || members_have(&found->move.voters_old, member))
        return wanted ? MOVES_PART_VOTER : MOVES_PART_LEAVING;
    return wanted ? MOVES_PART_COMING : MOVES_PART_NONE;
}
