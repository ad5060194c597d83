#include "cli/standing.h"

#include "replication/raft.h"

#include <stddef.h>

/* What the others are held against. */
struct foremost {
    uint64_t commit; /* the most that anybody says is committed */
    uint64_t first;  /* of the leader's log; without one, of who has the most: the like of it is
                        elected */
};

static struct foremost foremost_of(const struct view_replica *row)
{
    const struct view_replica *leader = NULL, *most = NULL, *log;
    struct foremost foremost = {.commit = 0};

    for (uint32_t i = 0; i < VIEW_PLACES && row[i].member != 0; i++) {
        const struct wire_partition_status *status = &row[i].status;

        if (!row[i].known)
            continue;
        if (status->commit > foremost.commit)
            foremost.commit = status->commit;
        if (status->fenced)
            continue;
        if (status->role == RAFT_LEADER && (!leader || status->term > leader->status.term))
            leader = &row[i];
        if (!most || status->commit > most->status.commit)
            most = &row[i];
    }
    log = leader ? leader : most;
    foremost.first = log ? log->status.first : 0;
    return foremost;
}

/* It hears nothing of who leads, as one does that is cut off from it alone or from everybody. Who
 * is being handed the leadership asks for votes in a later term, and who has just handed it over
 * may say still that it leads. */
static bool is_cut_off(const struct view *view, uint16_t group,
                       const struct wire_partition_status *status)
{
    int leader = view_leader(view, group);

    return leader >= 0 && (status->role == RAFT_PRECANDIDATE || status->role == RAFT_CANDIDATE) &&
           status->term <= view_row(view, group)[leader].status.term;
}

enum standing_lack standing_lack(const struct view *view, uint16_t group, uint16_t member)
{
    const struct view_replica *replica = view_replica(view, group, member);
    struct foremost foremost = foremost_of(view_row(view, group));

    if (!replica || !replica->known)
        return STANDING_SILENT;
    if (replica->status.fenced)
        return STANDING_FENCED;
    if (is_cut_off(view, group, &replica->status))
        return STANDING_CUT_OFF;
    if (foremost.commit > replica->status.last &&
        foremost.commit - replica->status.last > STANDING_LAG_MAX)
        return STANDING_BEHIND;
    if (foremost.first > replica->status.last + 1)
        return STANDING_BEHIND; /* it waits for a snapshot, if of few entries */
    return STANDING_SOUND;
}

const char *standing_why(const struct view *view, uint16_t group, uint16_t member)
{
    const struct view_node *node = view_node(view, member);

    if (ringmap_member(&view->map, member)->state == RINGMAP_STATE_REMOVED)
        return "was removed";
    switch (standing_lack(view, group, member)) {
    case STANDING_FENCED:
        return "is damaged, or gets it anew";
    case STANDING_CUT_OFF:
        return "does not hear the leader";
    case STANDING_BEHIND:
        return "is catching up";
    case STANDING_SILENT:
        if (node && node->reachable)
            return "says nothing of it";
        return node && view_is_alive(node) ? "runs and does not answer here" : "is down";
    default:
        return NULL;
    }
}

struct standing standing_of_row(const struct view *view, uint16_t group, const uint16_t *row,
                                uint32_t count)
{
    struct standing standing = {.members = count};

    for (uint32_t i = 0; i < count; i++)
        standing.good += standing_lack(view, group, row[i]) == STANDING_SOUND;
    standing.spare = (int)standing.good - (int)(count / 2 + 1);
    return standing;
}

static struct standing worse_of(struct standing one, struct standing other)
{
    return one.spare < other.spare ? one : other;
}

static struct standing of_map(const struct view *view, uint16_t group)
{
    uint32_t count;
    const uint16_t *wanted = moves_wanted(&view->map, group, &count);
    const uint16_t *before;
    struct standing standing = standing_of_row(view, group, wanted, count);

    if (group == WIRE_PARTITION_META)
        return standing;
    before = ringmap_row(&view->map, group);
    return worse_of(standing,
                    standing_of_row(view, group, before, ringmap_row_count(&view->map, before)));
}

struct standing standing_of_group(const struct view *view, const struct moves *moves,
                                  uint16_t group)
{
    const struct moves_group *found = moves ? moves_group(moves, group) : NULL;
    const struct wire_move *move = found ? &found->move : NULL;
    struct standing standing;

    if (!found || !found->known)
        return of_map(view, group);
    standing = standing_of_row(view, group, move->voters.ids, move->voters.count);
    if (move->voters_old.count > 0)
        standing = worse_of(
            standing, standing_of_row(view, group, move->voters_old.ids, move->voters_old.count));
    return standing;
}
