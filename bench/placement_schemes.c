#include "bench/placement_bench.h"
#include "ring/placement.h"
#include "ring/mix.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS 256u /* of a node with weight 100 */

struct token {
    uint64_t position;
    uint16_t slot;
};

static uint64_t mix(uint64_t a, uint64_t b)
{
    return mix_word((a + 1) * 0x9e3779b97f4a7c15u ^ (b + 1) * 0xd6e8feb86659fd93u);
}

static uint32_t active_count(const struct ringmap *map)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < map->member_count; i++)
        count += map->members[i].state == RINGMAP_STATE_ACTIVE;
    return count;
}

/* Takes the member into the row unless it is there, or, when `distinct`, its zone is. */
static bool take(const struct ringmap *map, uint16_t *row, uint32_t *count, uint32_t slot,
                 bool distinct)
{
    const struct ringmap_member *member = &map->members[slot];

    for (uint32_t i = 0; i < *count; i++) {
        if (row[i] == member->id ||
            (distinct && strcmp(ringmap_member(map, row[i])->zone, member->zone) == 0))
            return false;
    }
    row[(*count)++] = member->id;
    return true;
}

static int place_solved(const struct ringmap *before, struct ringmap *next)
{
    struct placement_cost cost;

    return placement_change(before, next, &cost);
}

static int token_compare(const void *left, const void *right)
{
    const struct token *a = left;
    const struct token *b = right;

    return (a->position > b->position) - (a->position < b->position);
}

static size_t make_tokens(const struct ringmap *map, struct token *tokens)
{
    size_t count = 0;

    for (uint32_t i = 0; i < map->member_count; i++) {
        for (uint32_t k = 0; map->members[i].state == RINGMAP_STATE_ACTIVE &&
                             k < TOKENS * map->members[i].weight / 100;
             k++)
            tokens[count++] = (struct token){mix(map->members[i].id, k), (uint16_t)i};
    }
    qsort(tokens, count, sizeof *tokens, token_compare);
    return count;
}

static int place_walking(const struct ringmap *before, struct ringmap *next)
{
    uint32_t wanted = active_count(next);
    struct token *tokens;
    size_t most = 0, count, at = 0;

    (void)before;
    for (uint32_t i = 0; i < next->member_count; i++)
        most += TOKENS * (size_t)next->members[i].weight / 100;
    tokens = calloc(most, sizeof *tokens);
    if (!tokens)
        return -ENOMEM;
    count = make_tokens(next, tokens);
    wanted = wanted < next->replica_count ? wanted : next->replica_count;
    for (uint32_t p = 0; p < next->partition_count; p++) {
        uint16_t *row = next->replicas + (size_t)p * next->replica_count;
        uint32_t taken = 0;

        while (at < count && tokens[at].position < UINT64_MAX / next->partition_count * p)
            at++;
        for (size_t step = 0; taken < wanted && step < 2 * count; step++)
            (void)take(next, row, &taken, tokens[(at + step) % count].slot, step < count);
    }
    free(tokens);
    return 0;
}

struct score {
    double value;
    uint32_t slot;
};

static int score_compare(const void *left, const void *right)
{
    const struct score *a = left;
    const struct score *b = right;

    return (a->value < b->value) - (a->value > b->value);
}

static int place_rendezvous(const struct ringmap *before, struct ringmap *next)
{
    uint32_t wanted = active_count(next);
    struct score *scores = calloc(next->member_count, sizeof *scores);

    (void)before;
    if (!scores)
        return -ENOMEM;
    wanted = wanted < next->replica_count ? wanted : next->replica_count;
    for (uint32_t p = 0; p < next->partition_count; p++) {
        uint16_t *row = next->replicas + (size_t)p * next->replica_count;
        uint32_t taken = 0, count = 0;

        for (uint32_t i = 0; i < next->member_count; i++) {
            double drawn = ((double)(mix(p, next->members[i].id) >> 11) + 0.5) * 0x1p-53;

            if (next->members[i].state == RINGMAP_STATE_ACTIVE)
                scores[count++] = (struct score){-(double)next->members[i].weight / log(drawn), i};
        }
        qsort(scores, count, sizeof *scores, score_compare);
        for (uint32_t i = 0; taken < wanted && i < 2 * count; i++)
            (void)take(next, row, &taken, scores[i % count].slot, i < count);
    }
    free(scores);
    return 0;
}

/* Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", figure 1. */
static uint32_t jump(uint64_t key, uint32_t buckets)
{
    int64_t bucket = -1, next = 0;

    while (next < buckets) {
        bucket = next;
        key = key * 2862933555777941757u + 1;
        next = (int64_t)((double)(bucket + 1) * (0x1p31 / (double)((key >> 33) + 1)));
    }
    return (uint32_t)bucket;
}

static int place_jumping(const struct ringmap *before, struct ringmap *next)
{
    uint32_t active = active_count(next);
    uint32_t wanted = active < next->replica_count ? active : next->replica_count;

    (void)before;
    for (uint32_t p = 0; p < next->partition_count; p++) {
        uint16_t *row = next->replicas + (size_t)p * next->replica_count;
        uint32_t taken = 0;

        for (uint64_t draw = 0; taken < wanted; draw++)
            (void)take(next, row, &taken, jump(mix(p, draw), active), false);
    }
    return 0;
}

const struct placement_scheme placement_schemes[PLACEMENT_SCHEMES] = {
    {"solved", place_solved},
    {"ring walking", place_walking},
    {"rendezvous", place_rendezvous},
    {"jump hashing", place_jumping},
};
