#include "ring/topkeys.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int topkeys_init(struct topkeys *topkeys, uint32_t counters_max)
{
    uint32_t places = 4;

    assert(counters_max >= 1 && counters_max <= TOPKEYS_COUNTERS_MAX);
    while (places < 2 * counters_max)
        places *= 2;
    *topkeys = (struct topkeys){.counters_max = counters_max, .index_mask = places - 1};
    topkeys->counters = calloc(counters_max, sizeof *topkeys->counters);
    topkeys->heap = calloc(counters_max, sizeof *topkeys->heap);
    topkeys->index = calloc(places, sizeof *topkeys->index);
    if (!topkeys->counters || !topkeys->heap || !topkeys->index) {
        topkeys_deinit(topkeys);
        return -ENOMEM;
    }
    return 0;
}

void topkeys_deinit(struct topkeys *topkeys)
{
    free(topkeys->counters);
    free(topkeys->heap);
    free(topkeys->index);
    *topkeys = (struct topkeys){0};
}

static bool same_digest(struct hash_digest a, struct hash_digest b)
{
    return a.high == b.high && a.low == b.low;
}

static uint32_t home_of(const struct topkeys *topkeys, struct hash_digest digest)
{
    return (uint32_t)digest.low & topkeys->index_mask;
}

/* The place of the digest in the index, or the free one where it would go. */
static uint32_t find(const struct topkeys *topkeys, struct hash_digest digest)
{
    uint32_t at = home_of(topkeys, digest);

    while (topkeys->index[at] != 0 &&
           !same_digest(topkeys->counters[topkeys->index[at] - 1].digest, digest))
        at = (at + 1) & topkeys->index_mask;
    return at;
}

/* Frees a place and moves up what was pushed behind it (Knuth, vol. 3, algorithm 6.4 R). */
static void forget(struct topkeys *topkeys, uint32_t hole)
{
    uint32_t mask = topkeys->index_mask;

    for (uint32_t at = (hole + 1) & mask; topkeys->index[at] != 0; at = (at + 1) & mask) {
        uint32_t home = home_of(topkeys, topkeys->counters[topkeys->index[at] - 1].digest);

        if (((at - home) & mask) >= ((at - hole) & mask)) {
            topkeys->index[hole] = topkeys->index[at];
            hole = at;
        }
    }
    topkeys->index[hole] = 0;
}

static struct topkeys_counter *in_heap(const struct topkeys *topkeys, uint32_t at)
{
    return &topkeys->counters[topkeys->heap[at]];
}

static void put_in_heap(struct topkeys *topkeys, uint32_t at, uint32_t number)
{
    topkeys->heap[at] = number;
    topkeys->counters[number].heap_at = at;
}

/* The counter has grown: down to where those above are no greater. */
static void sink(struct topkeys *topkeys, uint32_t at)
{
    uint32_t number = topkeys->heap[at];
    uint64_t count = topkeys->counters[number].count;

    for (uint32_t child; (child = 2 * at + 1) < topkeys->count; at = child) {
        if (child + 1 < topkeys->count &&
            in_heap(topkeys, child + 1)->count < in_heap(topkeys, child)->count)
            child++;
        if (in_heap(topkeys, child)->count >= count)
            break;
        put_in_heap(topkeys, at, topkeys->heap[child]);
    }
    put_in_heap(topkeys, at, number);
}

/* A counter for a new key: a free one, which is the least of all, or that of the key counted
 * least. */
static uint32_t take_counter(struct topkeys *topkeys)
{
    uint32_t number;

    if (topkeys->count == topkeys->counters_max) {
        number = topkeys->heap[0];
        forget(topkeys, find(topkeys, topkeys->counters[number].digest));
        return number;
    }
    number = topkeys->count++;
    for (uint32_t at = number;; at = (at - 1) / 2) {
        if (at == 0) {
            put_in_heap(topkeys, 0, number);
            return number;
        }
        put_in_heap(topkeys, at, topkeys->heap[(at - 1) / 2]);
    }
}

void topkeys_count(struct topkeys *topkeys, struct hash_digest digest, const void *key,
                   size_t key_size, uint64_t weight)
{
    uint32_t at = find(topkeys, digest);
    struct topkeys_counter *counter;

    topkeys->seen += weight;
    if (topkeys->index[at] == 0) {
        uint32_t number = take_counter(topkeys);

        counter = &topkeys->counters[number];
        counter->digest = digest;
        counter->error = counter->count;
        counter->key_size = (uint32_t)key_size;
        memcpy(counter->key, key, key_size < TOPKEYS_KEY_SIZE ? key_size : TOPKEYS_KEY_SIZE);
        topkeys->index[find(topkeys, digest)] = number + 1;
    } else {
        counter = &topkeys->counters[topkeys->index[at] - 1];
    }
    counter->count += weight;
    sink(topkeys, counter->heap_at);
}

uint32_t topkeys_list(const struct topkeys *topkeys, const struct topkeys_counter **out,
                      uint32_t most)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < topkeys->count; i++) {
        const struct topkeys_counter *counter = &topkeys->counters[i];
        uint32_t at;

        if (count == most && (most == 0 || out[most - 1]->count >= counter->count))
            continue;
        count += count < most;
        for (at = count - 1; at > 0 && out[at - 1]->count < counter->count; at--)
            out[at] = out[at - 1];
        out[at] = counter;
    }
    return count;
}

void topkeys_check(const struct topkeys *topkeys)
{
    uint64_t sum = 0;

    assert(topkeys->count <= topkeys->counters_max);
    for (uint32_t i = 0; i < topkeys->count; i++) {
        const struct topkeys_counter *counter = &topkeys->counters[i];

        assert(topkeys->heap[counter->heap_at] == i);
        assert(counter->heap_at == 0 ||
               in_heap(topkeys, (counter->heap_at - 1) / 2)->count <= counter->count);
        assert(topkeys->index[find(topkeys, counter->digest)] == i + 1);
        assert(counter->error <= counter->count);
        sum += counter->count;
    }
    assert(sum == topkeys->seen);
}
