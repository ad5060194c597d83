#include "bench/json_value.h"
#include "bench/micro.h"
#include "storage/cache.h"
#include "storage/compress.h"
#include "ring/mix.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEYS       100000u
#define CACHE_SIZE (32u << 20)
#define SAMPLES    1000u
#define VALUE_MAX  JSON_VALUE_MAX
#define LARGE_SIZE 4096u

struct context {
    struct cache *cache;
    struct compress *compress;
    struct compress_dictionary *dictionary, *used; /* used: that or NULL */
    uint64_t next;
    uint8_t values[SAMPLES][VALUE_MAX]; /* as an application's JSON */
    size_t sizes[SAMPLES];
    uint8_t large[LARGE_SIZE];
    uint8_t packed[SAMPLES][VALUE_MAX];
    size_t packed_sizes[SAMPLES];
};

/* --- the cache ----------------------------------------------------------------------------- */

static void name(struct cache_key *key, uint64_t *id)
{
    *key = (struct cache_key){.digest = {.high = mix_of(2 * *id), .low = mix_of(2 * *id + 1)},
                              .location = *id,
                              .key = (const uint8_t *)id,
                              .key_size = sizeof *id};
}

static void keep(struct context *context, uint64_t id)
{
    struct cache_value value = {.bytes = context->large, .size = 100};
    struct cache_key key;

    name(&key, &id);
    cache_put(context->cache, &key, &value);
}

static void find(struct context *context, uint64_t id)
{
    struct cache_value value;
    struct cache_key key;
    int r;

    name(&key, &id);
    r = cache_get(context->cache, &key, &value);
    micro_keep(&r);
}

static void prepare_cache(void *argument, uint64_t count)
{
    struct context *context = argument;

    (void)count;
    context->next = 0;
    for (uint64_t id = 0; id < KEYS; id++)
        keep(context, id);
}

static void run_hit(void *argument, uint64_t count)
{
    struct context *context = argument;

    for (uint64_t i = 0; i < count; i++)
        find(context, mix_of(context->next++) % KEYS);
}

static void run_miss(void *argument, uint64_t count)
{
    struct context *context = argument;

    for (uint64_t i = 0; i < count; i++)
        find(context, KEYS + mix_of(context->next++));
}

static void run_keep(void *argument, uint64_t count)
{
    struct context *context = argument;

    for (uint64_t i = 0; i < count; i++)
        keep(context, KEYS + context->next++);
}

/* --- compression --------------------------------------------------------------------------- */

static void make_values(struct context *context)
{
    for (uint32_t i = 0; i < SAMPLES; i++)
        context->sizes[i] = json_value(i, (char *)context->values[i]);
    for (uint32_t i = 0; i < LARGE_SIZE; i++)
        context->large[i] = context->values[i / 64][i % 64];
}

static int make_dictionary(struct context *context)
{
    uint8_t *samples = malloc(sizeof context->values), bytes[COMPRESS_DICTIONARY_SIZE_MAX];
    size_t used = 0, size = 0;
    int r;

    if (!samples)
        return -ENOMEM;
    for (uint32_t i = 0; i < SAMPLES; i++) {
        memcpy(samples + used, context->values[i], context->sizes[i]);
        used += context->sizes[i];
    }
    r = compress_train(samples, context->sizes, SAMPLES, bytes, &size);
    assert(r <= 0);
    free(samples);
    return r == 0 ? compress_dictionary_new(bytes, size, 1, &context->dictionary) : -ENOMEM;
}

static void run_pack(void *argument, uint64_t count)
{
    struct context *context = argument;

    for (uint64_t i = 0; i < count; i++) {
        size_t at = context->next++ % SAMPLES;
        int r = compress_value(context->compress, context->used, 1, context->values[at],
                               context->sizes[at], context->packed[at], &context->packed_sizes[at]);

        assert(r == 0 || r == COMPRESS_E_PLAIN);
        if (r != 0)
            context->packed_sizes[at] = context->sizes[at];
    }
}

static void run_unpack(void *argument, uint64_t count)
{
    struct context *context = argument;
    uint8_t plain[VALUE_MAX];

    for (uint64_t i = 0; i < count; i++) {
        size_t at = context->next++ % SAMPLES;

        if (context->packed_sizes[at] < context->sizes[at]) {
            int r = compress_expand(context->compress, context->used, context->packed[at],
                                    context->packed_sizes[at], plain, context->sizes[at]);

            assert(r == 0);
        }
        micro_keep(plain);
    }
}

static void run_pack_large(void *argument, uint64_t count)
{
    struct context *context = argument;
    uint8_t packed[LARGE_SIZE];

    for (uint64_t i = 0; i < count; i++) {
        size_t size;
        int r =
            compress_value(context->compress, NULL, 1, context->large, LARGE_SIZE, packed, &size);

        assert(r == 0);
        micro_keep(packed);
    }
}

static void time_packing(const struct micro_options *options, struct context *context)
{
    static const struct micro_case plain[] = {{"zstd 1, JSON of 200 B", run_pack, 0, 0, NULL},
                                              {"  expand", run_unpack, 0, 0, NULL}};
    static const struct micro_case trained[] = {
        {"the same with a dictionary", run_pack, 0, 0, NULL}, {"  expand", run_unpack, 0, 0, NULL}};
    static const struct micro_case large = {"zstd 1, 4 KiB", run_pack_large, LARGE_SIZE, 0, NULL};

    for (int with = 0; with < 2; with++) {
        size_t before = 0, after = 0;

        context->used = with ? context->dictionary : NULL;
        run_pack(context, SAMPLES);
        for (uint32_t i = 0; i < SAMPLES; i++) {
            before += context->sizes[i];
            after += context->packed_sizes[i];
        }
        micro_time(options, with ? &trained[0] : &plain[0], context);
        micro_time(options, with ? &trained[1] : &plain[1], context);
        micro_figure(options, "  times smaller", (double)before / (double)after, "");
    }
    micro_time(options, &large, context);
}

int micro_value(const struct micro_options *options)
{
    static const struct micro_case cases[] = {
        {"cache hit among 100 k", run_hit, 0, 0, prepare_cache},
        {"cache miss", run_miss, 0, 0, prepare_cache},
        {"keep 100 B, and evict", run_keep, 0, 0, prepare_cache},
    };
    struct context *context = calloc(1, sizeof *context);
    int r = -ENOMEM;

    if (context) {
        context->cache = cache_new(CACHE_SIZE);
        context->compress = compress_new();
    }
    if (context && context->cache && context->compress) {
        make_values(context);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            micro_time(options, &cases[i], context);
        r = make_dictionary(context);
    }
    if (r == 0)
        time_packing(options, context);
    if (context) {
        cache_free(context->cache);
        compress_free(context->compress);
        compress_dictionary_free(context->dictionary);
    }
    free(context);
    return r;
}
