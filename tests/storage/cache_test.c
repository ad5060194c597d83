#include "storage/cache.h"
#include "storage/record.h"
#include "ring/mix.h"

#include "alloc.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define IDS        512u
#define PARTITIONS 3u
#define VALUE_MAX  700u

static uint64_t chance_state;

static uint64_t chance(uint64_t below)
{
    return mix_of(chance_state++) % below;
}

/* The key of an id is its digest; its partition follows from it. */
struct named {
    struct cache_key key;
    uint8_t bytes[8];
};

static const struct cache_key *name(struct named *named, uint64_t id, uint64_t location)
{
    memcpy(named->bytes, &id, sizeof id);
    named->key = (struct cache_key){.partition = (uint16_t)(id % PARTITIONS),
                                    .digest = {.high = mix_of(2 * id), .low = mix_of(2 * id + 1)},
                                    .location = location,
                                    .key = named->bytes,
                                    .key_size = sizeof named->bytes};
    return &named->key;
}

static bool holds(struct cache *cache, uint64_t id, uint64_t location)
{
    struct named named;
    struct cache_value value;

    return cache_get(cache, name(&named, id, location), &value) == CACHE_E_OK;
}

static void put(struct cache *cache, uint64_t id, uint64_t location, size_t size)
{
    struct named named;
    uint8_t bytes[VALUE_MAX];

    memset(bytes, (int)(location & 0xFF), sizeof bytes);
    cache_put(cache, name(&named, id, location),
              &(struct cache_value){.bytes = bytes, .size = size, .expiry_ms = location});
}

static void drop(struct cache *cache, uint64_t id)
{
    struct named named;

    name(&named, id, 0);
    cache_drop(cache, named.key.partition, &named.key.digest);
}

static struct cache_stats stats_of(const struct cache *cache)
{
    struct cache_stats stats;

    cache_check(cache);
    cache_stats(cache, &stats);
    return stats;
}

Test(cache, gives_back_what_was_put)
{
    struct cache *cache = cache_new(64u << 10);
    struct cache_value value = {0};
    struct named named;

    cr_assert_not(holds(cache, 1, 5));
    put(cache, 1, 5, 100);
    put(cache, 2, 6, 0);
    cr_assert_eq(cache_get(cache, name(&named, 1, 5), &value), CACHE_E_OK);
    cr_assert_eq(value.size, 100);
    cr_assert_eq(value.bytes[99], 5);
    cr_assert_eq(value.expiry_ms, 5);
    cr_assert_eq(cache_get(cache, name(&named, 2, 6), &value), CACHE_E_OK);
    cr_assert_eq(value.size, 0);
    cr_assert_not_null(value.bytes);
    cr_assert_eq(stats_of(cache).hits, 2);
    cr_assert_eq(stats_of(cache).misses, 1);
    cr_assert_eq(stats_of(cache).entries, 2);
    cr_assert_null(cache_free(cache));
    cr_assert_null(cache_free(NULL));
}

Test(cache, another_location_partition_digest_or_key_is_a_miss)
{
    struct cache *cache = cache_new(64u << 10);
    struct cache_value value;
    struct named named;

    put(cache, 1, 5, 10);
    cr_assert_not(holds(cache, 1, 6));
    name(&named, 1, 5);
    named.key.partition++;
    cr_assert_eq(cache_get(cache, &named.key, &value), CACHE_E_ABSENT);
    name(&named, 1, 5);
    named.key.digest.high ^= UINT64_C(1) << 63;
    cr_assert_eq(cache_get(cache, &named.key, &value), CACHE_E_ABSENT);
    name(&named, 1, 5);
    named.bytes[0] ^= 1;
    cr_assert_eq(cache_get(cache, &named.key, &value), CACHE_E_ABSENT);
    name(&named, 1, 5);
    named.key.key_size--;
    cr_assert_eq(cache_get(cache, &named.key, &value), CACHE_E_ABSENT);
    cr_assert(holds(cache, 1, 5));
    cache_free(cache);
}

Test(cache, put_replaces_and_drop_forgets)
{
    struct cache *cache = cache_new(64u << 10);

    put(cache, 1, 5, 10);
    put(cache, 1, 6, 20);
    cr_assert_not(holds(cache, 1, 5));
    cr_assert(holds(cache, 1, 6));
    cr_assert_eq(stats_of(cache).entries, 1);
    drop(cache, 1);
    drop(cache, 1);
    cr_assert_not(holds(cache, 1, 6));
    put(cache, 1, 7, 10); /* partition 1 */
    put(cache, 2, 8, 10); /* partition 2 */
    put(cache, 4, 9, 10); /* partition 1 */
    cache_drop_partition(cache, 1);
    cr_assert_not(holds(cache, 1, 7));
    cr_assert_not(holds(cache, 4, 9));
    cr_assert(holds(cache, 2, 8));
    cr_assert_eq(stats_of(cache).entries, 1);
    cache_free(cache);
}

Test(cache, a_scan_leaves_what_is_in_use)
{
    struct cache *cache = cache_new(64u << 10);
    unsigned kept = 0;

    for (uint64_t id = 0; id < 20; id++)
        put(cache, id, 1, 500);
    for (unsigned round = 0; round < 3; round++)
        for (uint64_t id = 0; id < 20; id++)
            cr_assert(holds(cache, id, 1));
    for (uint64_t id = 1000; id < 3000; id++)
        put(cache, id, 1, 500);
    for (uint64_t id = 0; id < 20; id++)
        kept += holds(cache, id, 1);
    cr_assert_eq(kept, 20, "a pass over cold keys drove out %u of 20 hot ones", 20 - kept);
    cr_assert_gt(stats_of(cache).evictions, 1800);
    cache_free(cache);
}

Test(cache, who_comes_back_soon_enters_the_main_queue)
{
    struct cache *cache = cache_new(64u << 10);
    uint64_t back;

    for (uint64_t id = 0; id < 300; id++) { /* main fills: each is hit twice */
        put(cache, id, 1, 500);
        (void)(holds(cache, id, 1) && holds(cache, id, 1));
    }
    for (back = 1000; stats_of(cache).entries > 0 && back < 1040; back++)
        put(cache, back, 1, 500);
    cr_assert_not(holds(cache, 1000, 1), "it should have left the small queue");
    put(cache, 1000, 1, 500);
    for (uint64_t id = 2000; id < 2040; id++)
        put(cache, id, 1, 500);
    cr_assert(holds(cache, 1000, 1), "it should have come back to the main queue");
    cache_free(cache);
}

Test(cache, an_entry_of_more_than_a_tenth_is_not_kept)
{
    struct cache *cache = cache_new(4096);

    put(cache, 1, 5, 10);
    put(cache, 1, 6, VALUE_MAX);
    cr_assert_not(holds(cache, 1, 5), "what it replaces must be gone all the same");
    cr_assert_not(holds(cache, 1, 6));
    cr_assert_eq(stats_of(cache).entries, 0);
    cache_free(cache);
}

Test(cache, no_memory_is_no_error)
{
    for (uint64_t n = 1; n <= 3; n++) {
        alloc_fail_after(n);
        cr_assert_null(cache_new(64u << 10));
        cr_assert(alloc_failed());
    }
    alloc_fail_after(0);
    struct cache *cache = cache_new(64u << 10);

    put(cache, 1, 5, 10);
    alloc_fail_after(1);
    put(cache, 1, 6, 10);
    cr_assert(alloc_failed());
    cr_assert_not(holds(cache, 1, 5));
    cr_assert_not(holds(cache, 1, 6));
    cr_assert_eq(stats_of(cache).entries, 0);
    cache_free(cache);
}

/* What the model says is there: at most that may be found, and with that value. */
static void act(struct cache *cache, uint64_t *locations, size_t *sizes)
{
    uint64_t id = chance(chance(2) ? 16 : IDS);
    struct cache_value value;
    struct named named;

    switch (chance(10)) {
    case 0:
        drop(cache, id);
        locations[id] = 0;
        break;
    case 1:
    case 2:
    case 3:
        locations[id] = 1 + chance(1000);
        sizes[id] = chance(VALUE_MAX);
        put(cache, id, locations[id], sizes[id]);
        break;
    default:
        if (cache_get(cache, name(&named, id, locations[id]), &value) != CACHE_E_OK)
            break;
        cr_assert_neq(locations[id], 0);
        cr_assert_eq(value.size, sizes[id]);
        cr_assert_eq(value.expiry_ms, locations[id]);
        for (size_t i = 0; i < value.size; i++)
            cr_assert_eq(value.bytes[i], (uint8_t)locations[id]);
    }
}

Test(cache, never_answers_other_than_the_model_and_keeps_its_budget)
{
    for (unsigned run = 0; run < 12; run++) {
        size_t budget = CACHE_SIZE_MIN << (run % 6);
        struct cache *cache = cache_new(budget);
        uint64_t locations[IDS] = {0};
        size_t sizes[IDS] = {0};

        for (unsigned step = 0; step < 20000; step++) {
            act(cache, locations, sizes);
            if (step % 64 == 0)
                cr_assert_leq(stats_of(cache).bytes, budget);
            if (step % 5000 == 4999) {
                uint16_t partition = (uint16_t)chance(PARTITIONS);

                cache_drop_partition(cache, partition);
                for (uint64_t id = partition; id < IDS; id += PARTITIONS)
                    locations[id] = 0;
            }
        }
        cr_assert_gt(stats_of(cache).hits, 0);
        cache_free(cache);
    }
}
