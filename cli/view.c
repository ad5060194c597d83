#include "cli/view.h"

#include "cli/text.h"
#include "replication/raft.h"
#include "ring/swim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct view_replica *place_of(struct view_replica *row, uint16_t member)
{
    for (uint32_t place = 0; place < VIEW_PLACES; place++)
        if (row[place].member == 0 || row[place].member == member)
            return &row[place];
    return NULL;
}

static void name_places(struct view_replica *row, const uint16_t *members, uint32_t count,
                        bool wanted)
{
    for (uint32_t i = 0; i < count && members[i] != 0; i++) {
        struct view_replica *replica = place_of(row, members[i]);

        if (replica->member == 0)
            *replica = (struct view_replica){.member = members[i], .wanted = wanted};
    }
}

/* From the seeds to the map's members. */
int view_name_members(struct view *view)
{
    const struct ringmap *map = &view->map;

    free(view->nodes);
    free(view->replicas);
    view->nodes = calloc(map->member_count, sizeof *view->nodes);
    view->replicas = calloc((size_t)map->partition_count * VIEW_PLACES, sizeof *view->replicas);
    memset(view->meta, 0, sizeof view->meta);
    view->node_count = 0;
    if (!view->nodes || !view->replicas)
        return -ENOMEM;
    view->node_count = map->member_count;
    for (uint32_t i = 0; i < map->member_count; i++) {
        view->nodes[i].id = map->members[i].id;
        memcpy(view->nodes[i].address, map->members[i].address, sizeof view->nodes[i].address);
    }
    for (uint32_t p = 0; p < map->partition_count; p++) {
        struct view_replica *row = &view->replicas[(size_t)p * VIEW_PLACES];

        name_places(row, ringmap_wanted(map, (uint16_t)p), map->replica_count, true);
        name_places(row, ringmap_row(map, (uint16_t)p), map->replica_count, false);
    }
    name_places(view->meta, map->meta_voters, map->meta_voter_count, true);
    return 0;
}

void view_take(struct view *view, uint16_t member, const struct wire_partition_status *status)
{
    struct view_replica *row = NULL, *replica;

    if (status->partition == WIRE_PARTITION_META)
        row = view->meta;
    else if (status->partition < view->map.partition_count)
        row = &view->replicas[(size_t)status->partition * VIEW_PLACES];
    replica = row ? place_of(row, member) : NULL;
    if (!replica)
        return;
    replica->member = member;
    replica->known = true;
    replica->status = *status;
}

void view_deinit(struct view *view)
{
    if (view->founded)
        ringmap_deinit(&view->map);
    free(view->nodes);
    free(view->replicas);
    *view = (struct view){0};
}

const struct view_replica *view_row(const struct view *view, uint16_t partition)
{
    return partition == WIRE_PARTITION_META ? view->meta
                                            : &view->replicas[(size_t)partition * VIEW_PLACES];
}

const struct view_replica *view_replica(const struct view *view, uint16_t partition,
                                        uint16_t member)
{
    const struct view_replica *row = view_row(view, partition);

    for (uint32_t place = 0; place < VIEW_PLACES && row[place].member != 0; place++)
        if (row[place].member == member)
            return &row[place];
    return NULL;
}

const struct view_node *view_node(const struct view *view, uint16_t id)
{
    for (uint32_t i = 0; i < view->node_count; i++)
        if (view->nodes[i].id == id)
            return &view->nodes[i];
    return NULL;
}

static bool is_meant(const struct view_node *node, const char *word, const char *address)
{
    char id[8];

    snprintf(id, sizeof id, "%u", node->id);
    return strcmp(word, id) == 0 || strcmp(word, node->address) == 0 ||
           strcmp(address, node->address) == 0;
}

static void find(const struct view *view, const char *word, const char *address, bool removed,
                 struct view_found *found)
{
    for (uint32_t i = 0; i < view->node_count && found->count < VIEW_FOUND_MAX; i++)
        if (view_is_removed(view, &view->nodes[i]) == removed &&
            is_meant(&view->nodes[i], word, address))
            found->nodes[found->count++] = &view->nodes[i];
}

int view_find(const struct view *view, const char *word, struct view_found *found)
{
    char address[ADDRESS_SIZE] = "";
    const char *why;

    if (strchr(word, ':') && address_resolve(word, false, address, &why) != 0)
        address[0] = '\0';
    *found = (struct view_found){.count = 0};
    find(view, word, address, false, found);
    if (found->count == 0)
        find(view, word, address, true, found);
    if (found->count == 0)
        return VIEW_FIND_E_NONE;
    return found->count == 1 ? VIEW_FIND_E_OK : VIEW_FIND_E_SEVERAL;
}

void view_found_text(const struct view *view, const struct view_found *found, char *text,
                     size_t size)
{
    struct text out = {text, size, 0};

    for (uint32_t i = 0; i < found->count; i++) {
        const struct view_node *node = found->nodes[i];

        text_add(&out, "%snode %u (%s, %s)",
                 i == 0                  ? ""
                 : i + 1 == found->count ? " and "
                                         : ", ",
                 node->id, view_state_name(ringmap_member(&view->map, node->id)->state),
                 view_is_alive(node) ? "runs" : "down");
    }
}

bool view_disk_is_full(const struct view_node *node)
{
    return node->status.disk_full || node->status.disk_lacks > 0;
}

bool view_is_lost(const struct view_node *node)
{
    return node->reachable && node->status.shards_lost > 0;
}

static bool has_state(const struct view *view, const struct view_node *node,
                      enum ringmap_state state)
{
    return view->founded && view->map.members[node - view->nodes].state == state;
}

bool view_is_removed(const struct view *view, const struct view_node *node)
{
    return has_state(view, node, RINGMAP_STATE_REMOVED);
}

bool view_is_joining(const struct view *view, const struct view_node *node)
{
    return has_state(view, node, RINGMAP_STATE_JOINING);
}

bool view_is_idle(const struct view *view, const struct view_node *node,
                  char text[VIEW_IDLE_TEXT_SIZE])
{
    if (view_is_joining(view, node))
        snprintf(text, VIEW_IDLE_TEXT_SIZE,
                 "node %u (%s) is joining, and holds and leads nothing yet; take it in first: "
                 "ring-admin plan join %u",
                 node->id, node->address, node->id);
    else if (view_is_removed(view, node))
        snprintf(text, VIEW_IDLE_TEXT_SIZE,
                 "node %u (%s) was removed from the cluster for ever, and holds nothing of it",
                 node->id, node->address);
    else
        return false;
    return true;
}

bool view_is_alive(const struct view_node *node)
{
    return node->reachable || (node->liveness.member != 0 && node->liveness.standing == SWIM_ALIVE);
}

const char *view_state_name(uint8_t state)
{
    static const char *const names[] = {[0] = "new",
                                        [RINGMAP_STATE_JOINING] = "joining",
                                        [RINGMAP_STATE_ACTIVE] = "active",
                                        [RINGMAP_STATE_LEAVING] = "leaving",
                                        [RINGMAP_STATE_REMOVED] = "removed"};

    return state < sizeof names / sizeof *names ? names[state] : "?";
}

/* Place of the leader; -1: none. */
static int leader_of(const struct view_replica *row)
{
    int leader = -1;

    for (uint32_t place = 0; place < VIEW_PLACES && row[place].member != 0; place++)
        if (row[place].known && row[place].status.role == RAFT_LEADER &&
            (leader < 0 || row[place].status.term > row[leader].status.term))
            leader = (int)place;
    return leader;
}

int view_leader(const struct view *view, uint16_t partition)
{
    return leader_of(view_row(view, partition));
}

uint16_t view_meta_leader(const struct view *view)
{
    int leader = view->founded ? leader_of(view->meta) : -1;

    return leader < 0 ? 0 : view->meta[leader].member;
}

uint64_t view_lag(const struct view *view, uint16_t partition, uint32_t place)
{
    const struct view_replica *row = view_row(view, partition);
    int leader = view_leader(view, partition);

    if (leader < 0 || !row[place].known || row[leader].status.commit <= row[place].status.last)
        return 0;
    if (!row[place].wanted && !ringmap_holds(&view->map, partition, row[place].member))
        return 0; /* what it has is left over, and gets nothing any more */
    return row[leader].status.commit - row[place].status.last;
}
