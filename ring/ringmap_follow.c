/* Which map may come after which. */
#include "ring/ringmap.h"

#include <string.h>

/* Whether a member of this state may be found in the other one epochs later. Nobody becomes JOINING
 * again, and who is REMOVED stays so. */
static bool state_follows(uint8_t state, uint8_t before)
{
    if (before == RINGMAP_STATE_REMOVED || state == RINGMAP_STATE_JOINING)
        return state == before;
    return true;
}

static const char *members_problem(const struct ringmap *map, const struct ringmap *before)
{
    if (map->member_count < before->member_count)
        return "members cannot be taken out of the list";
    for (uint32_t i = 0; i < before->member_count; i++) {
        const struct ringmap_member *member = &map->members[i], *was = &before->members[i];

        if (member->id != was->id ||
            memcmp(member->public_key, was->public_key, sizeof was->public_key) != 0)
            return "a member's id and key are for ever";
        if (!state_follows(member->state, was->state))
            return was->state == RINGMAP_STATE_REMOVED ? "a removed member cannot come back"
                                                       : "no member begins to join again";
    }
    return NULL;
}

/* Of a data key that there was. */
static const char *box_problem(const struct ringmap *map, const struct ringmap *before,
                               uint32_t key, uint32_t member)
{
    uint16_t id = map->members[member].id;
    const uint8_t *box = ringmap_box(map, key, id), *was = ringmap_box(before, key, id);

    if (was && (!box || memcmp(box, was, RINGMAP_BOX_SIZE) != 0))
        return "a member's box of a data key is for ever";
    if (!was && box && map->members[member].state == RINGMAP_STATE_JOINING)
        return "a data key for a member that no plan has taken in";
    if (!was && box && before->members[member].state == RINGMAP_STATE_REMOVED)
        return "a data key for a member that was removed";
    return NULL;
}

/* All keys of before are there, the others are newer; nobody loses a box. */
static const char *keys_problem(const struct ringmap *map, const struct ringmap *before)
{
    const char *problem = NULL;

    if (before->key_count == 0 && map->key_count > 0)
        return "a cluster that was founded without encryption cannot switch to it";
    if (map->key_count < before->key_count ||
        memcmp(map->key_ids, before->key_ids, before->key_count) != 0)
        return "data keys can only be added";
    for (uint32_t key = 0; key < before->key_count; key++)
        for (uint32_t i = 0; i < before->member_count && !problem; i++)
            problem = box_problem(map, before, key, i);
    return problem;
}

const char *ringmap_follows_problem(const struct ringmap *map, const struct ringmap *before)
{
    const char *problem;

    if (memcmp(map->cluster, before->cluster, sizeof map->cluster) != 0 ||
        memcmp(map->hash_secret, before->hash_secret, sizeof map->hash_secret) != 0 ||
        map->partition_count != before->partition_count)
        return "it is a map of another cluster";
    if (map->epoch <= before->epoch)
        return "its epoch is not a later one";
    problem = members_problem(map, before);
    return problem ? problem : keys_problem(map, before);
}

/* A plan may do what it likes with states, forwards; without one members only come, or are removed
 * by force. At its end exactly those go that were leaving. */
static const char *states_problem(const struct ringmap *map, const struct ringmap *before)
{
    bool ends = before->target && !map->target;

    for (uint32_t i = 0; i < map->member_count; i++) {
        uint8_t state = map->members[i].state;
        uint8_t was = i < before->member_count ? before->members[i].state : RINGMAP_STATE_JOINING;

        if (i >= before->member_count && state != RINGMAP_STATE_JOINING)
            return "new members come as joining";
        if (was == RINGMAP_STATE_JOINING && state == RINGMAP_STATE_LEAVING)
            return "who is joining holds nothing to leave with";
        if (state == was)
            continue;
        if (ends && (state != RINGMAP_STATE_REMOVED || was != RINGMAP_STATE_LEAVING))
            return "the end of a plan changes nobody but those who leave";
        if (!map->target && state != RINGMAP_STATE_REMOVED)
            return "only a plan takes members in or lets them leave";
    }
    if (ringmap_joining(map) > RINGMAP_JOINING_MAX &&
        ringmap_joining(map) > ringmap_joining(before)) /* that there are so many is no new fault */
        return "too many members are joining: a plan takes them in, or they are removed";
    for (uint32_t i = 0; !map->target && i < map->member_count; i++)
        if (map->members[i].state == RINGMAP_STATE_LEAVING)
            return "a member is leaving, and no plan says where to";
    return NULL;
}

static bool is_removed(const struct ringmap *map, uint16_t id)
{
    const struct ringmap_member *member = ringmap_member(map, id);

    return member && member->state == RINGMAP_STATE_REMOVED;
}

/* Whether row is what `was`, of the map before, is without those whom the map has removed. */
static bool same_row(const struct ringmap *map, const uint16_t *row, const struct ringmap *before,
                     const uint16_t *was)
{
    uint32_t count = ringmap_row_count(map, row), same = 0;

    for (uint32_t i = 0; i < ringmap_row_count(before, was); i++) {
        if (is_removed(map, was[i]))
            continue;
        if (same == count || row[same] != was[i])
            return false;
        same++;
    }
    return same == count;
}

/* All that a group on its way came from is removed: it comes from where it goes to. */
static bool begins_anew(const struct ringmap *map, const struct ringmap *before, uint16_t partition)
{
    const uint16_t *row = ringmap_row(map, partition), *was = ringmap_row(before, partition);

    if (!map->target || !before->target)
        return false;
    for (uint32_t i = 0; i < ringmap_row_count(before, was); i++)
        if (!is_removed(map, was[i]))
            return false;
    return memcmp(row, ringmap_wanted(map, partition), map->replica_count * sizeof *row) == 0;
}

/* `replicas` is where a plan leads away from: while one is under way nothing but force changes it,
 * and when it ends it is what was wanted. */
static const char *rows_problem(const struct ringmap *map, const struct ringmap *before)
{
    bool ends = before->target && !map->target;

    for (uint32_t p = 0; p < map->partition_count; p++) {
        const uint16_t *was =
            ends ? ringmap_wanted(before, (uint16_t)p) : ringmap_row(before, (uint16_t)p);

        if (!same_row(map, ringmap_row(map, (uint16_t)p), before, was) &&
            !begins_anew(map, before, (uint16_t)p))
            return ends ? "a plan ends where it led to" : "replicas move by a plan only";
    }
    return NULL;
}

static bool same_voters(const struct ringmap *a, const struct ringmap *b)
{
    return a->meta_voter_count == b->meta_voter_count &&
           memcmp(a->meta_voters, b->meta_voters, sizeof a->meta_voters) == 0;
}

static bool any_voter_removed(const struct ringmap *map, const struct ringmap *before)
{
    for (uint32_t i = 0; i < before->meta_voter_count; i++)
        if (is_removed(map, before->meta_voters[i]))
            return true;
    return false;
}

/* Who begins to take part has boxes of all data keys, and so has of a new one whoever takes part.
 * Nobody else is given any. Where some are missing all the same they may come at any time. */
static const char *boxes_problem(const struct ringmap *map, const struct ringmap *before)
{
    for (uint32_t i = 0; i < map->member_count; i++) {
        const struct ringmap_member *member = &map->members[i];
        bool was_there = i < before->member_count;
        bool takes_part = ringmap_takes_part(member->state);
        bool took_part = was_there && ringmap_takes_part(before->members[i].state);

        for (uint32_t key = 0; key < map->key_count; key++) {
            bool is_new = key >= before->key_count;
            bool had = was_there && !is_new && ringmap_box(before, key, member->id);
            bool has = ringmap_box(map, key, member->id);

            if (has && !had && !takes_part)
                return "a data key for a member that does not take part";
            if (!has && takes_part && (is_new || !took_part))
                return "a member that is to take part has no box of a data key";
        }
    }
    return NULL;
}

const char *ringmap_next_problem(const struct ringmap *map, const struct ringmap *before)
{
    const char *problem = ringmap_follows_problem(map, before);

    if (!problem && map->epoch != before->epoch + 1)
        problem = "its epoch is not the next one";
    if (!problem)
        problem = states_problem(map, before);
    if (!problem)
        problem = rows_problem(map, before);
    if (!problem && !map->target && !same_voters(map, before) && !any_voter_removed(map, before))
        problem = "voters of the meta group change by a plan only";
    if (!problem)
        problem = boxes_problem(map, before);
    return problem;
}
