/* Which map may come after which. */
#include "ring/ringmap.h"

#include <string.h>

/* Both tables' or none. */
static bool same_table(const uint16_t *a, const uint16_t *b, size_t count)
{
    return !a == !b && (!a || memcmp(a, b, count * sizeof *a) == 0);
}

static bool same_member(const struct ringmap_member *a, const struct ringmap_member *b)
{
    return a->id == b->id && a->state == b->state && a->weight == b->weight &&
           memcmp(a->public_key, b->public_key, sizeof a->public_key) == 0 &&
           strcmp(a->address, b->address) == 0 && strcmp(a->zone, b->zone) == 0;
}

static bool same_members(const struct ringmap *a, const struct ringmap *b)
{
    if (a->member_count != b->member_count)
        return false;
    for (uint32_t i = 0; i < a->member_count; i++)
        if (!same_member(&a->members[i], &b->members[i]))
            return false;
    return true;
}

/* All keys of before are there, with their boxes, and the others are newer. */
static bool keys_follow(const struct ringmap *map, const struct ringmap *before)
{
    size_t boxes = (size_t)before->key_count * before->member_count;

    return map->key_count >= before->key_count &&
           memcmp(map->key_ids, before->key_ids, before->key_count) == 0 &&
           (before->key_count == 0 ||
            memcmp(map->boxes, before->boxes, boxes * sizeof *before->boxes) == 0);
}

const char *ringmap_follows_problem(const struct ringmap *map, const struct ringmap *before)
{
    size_t places = (size_t)before->partition_count * before->replica_count;

    if (memcmp(map->cluster, before->cluster, sizeof map->cluster) != 0 ||
        memcmp(map->hash_secret, before->hash_secret, sizeof map->hash_secret) != 0 ||
        map->partition_count != before->partition_count)
        return "it is a map of another cluster";
    if (map->epoch <= before->epoch)
        return "its epoch is not a later one";
    if (!same_members(map, before) || map->replica_count != before->replica_count ||
        map->meta_voter_count != before->meta_voter_count ||
        memcmp(map->meta_voters, before->meta_voters, sizeof map->meta_voters) != 0)
        return "members cannot change in this version";
    if (!same_table(map->replicas, before->replicas, places) ||
        !same_table(map->target, before->target, places))
        return "replicas cannot move in this version";
    if (before->key_count == 0 && map->key_count > 0)
        return "a cluster that was founded without encryption cannot switch to it";
    if (!keys_follow(map, before))
        return "data keys can only be added";
    return NULL;
}
