#include "ring/voters.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct choice {
    uint16_t ids[RINGMAP_META_VOTERS_MAX];
    uint32_t count;
};

static bool is_among(const uint16_t *ids, uint32_t count, uint16_t id)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

static uint32_t crowd_of(const struct ringmap *map, const struct choice *choice, const char *zone)
{
    uint32_t crowd = 0;

    for (uint32_t i = 0; i < choice->count; i++)
        crowd += strcmp(ringmap_member(map, choice->ids[i])->zone, zone) == 0;
    return crowd;
}

/* What speaks against a member as the next voter, the worst first. */
static uint32_t blemish_of(const struct ringmap *map, const struct choice *choice,
                           const struct ringmap_member *member, bool alive)
{
    bool votes = is_among(map->meta_voters, map->meta_voter_count, member->id);
    uint32_t crowd = crowd_of(map, choice, member->zone);

    return (uint32_t)(!alive && !votes) << 16 | crowd << 8 | (uint32_t)!votes << 1 |
           (uint32_t)!alive;
}

/* From the zones with the fewest voters so far: one that votes now before others, then the lowest
 * id. Rounds over all zones take one of each whoever it is; only in the last, where some zones go
 * without, does the order decide, and there those with a present voter left come first. So no other
 * choice as even keeps more. */
static const struct ringmap_member *next_voter(const struct ringmap *map,
                                               const struct choice *choice, const bool *alive)
{
    const struct ringmap_member *best = NULL;
    uint32_t best_blemish = 0;

    for (uint32_t i = 0; i < map->member_count; i++) {
        const struct ringmap_member *member = &map->members[i];
        uint32_t blemish;

        if (member->state != RINGMAP_STATE_ACTIVE ||
            is_among(choice->ids, choice->count, member->id))
            continue;
        blemish = blemish_of(map, choice, member, !alive || alive[i]);
        if (!best || blemish < best_blemish) {
            best = member;
            best_blemish = blemish;
        }
    }
    return best;
}

static int id_compare(const void *left, const void *right)
{
    const uint16_t *a = left;
    const uint16_t *b = right;

    return (*a > *b) - (*a < *b);
}

int voters_choose(struct ringmap *map, const bool *alive)
{
    struct choice choice = {.count = 0};
    uint32_t active = 0;
    uint32_t wanted;

    for (uint32_t i = 0; i < map->member_count; i++)
        active += map->members[i].state == RINGMAP_STATE_ACTIVE;
    if (active == 0)
        return VOTERS_E_NO_MEMBERS;
    wanted = active >= 5 ? 5 : active >= 3 ? 3 : 1;
    while (choice.count < wanted) {
        const struct ringmap_member *voter = next_voter(map, &choice, alive);

        assert(voter != NULL);
        choice.ids[choice.count++] = voter->id;
    }
    qsort(choice.ids, choice.count, sizeof *choice.ids, id_compare);
    memcpy(map->meta_voters, choice.ids, sizeof map->meta_voters);
    map->meta_voter_count = choice.count;
    return VOTERS_E_OK;
}
