#include "bench/micro.h"
#include "storage/keydir.h"
#include "ring/mix.h"

#include <assert.h>
#include <errno.h>

#define KEYS 1000000u

struct context {
    struct keydir *keydir;
    uint64_t next;
};

static struct keydir_digest digest_of(uint64_t id)
{
    return (struct keydir_digest){.high = mix_of(2 * id), .low = mix_of(2 * id + 1)};
}

static void put(struct keydir *keydir, uint64_t id, uint64_t location)
{
    struct keydir_digest digest = digest_of(id);
    int r = keydir_put(keydir, &digest, location, 160, false, false, NULL);

    assert(r >= 0);
}

static void prepare_empty(void *argument, uint64_t count)
{
    struct context *context = argument;

    (void)count;
    keydir_free(context->keydir);
    context->keydir = keydir_new();
    assert(context->keydir);
}

static void prepare_full(void *argument, uint64_t count)
{
    struct context *context = argument;

    (void)count;
    context->next = 0;
    if (keydir_count(context->keydir) == KEYS)
        return;
    prepare_empty(context, 0);
    for (uint64_t i = 0; i < KEYS; i++)
        put(context->keydir, i, i);
}

static void run_fill(void *argument, uint64_t count)
{
    struct context *context = argument;

    for (uint64_t i = 0; i < count; i++)
        put(context->keydir, i, i);
}

static void run_replace(void *argument, uint64_t count)
{
    struct context *context = argument;

    for (uint64_t i = 0; i < count; i++)
        put(context->keydir, mix_of(context->next++) % KEYS, i & 0xFFFFFFFFFu);
}

static void find(struct context *context, uint64_t id)
{
    struct keydir_digest digest = digest_of(id);
    struct keydir_entry entry = {0};
    int r = keydir_get(context->keydir, &digest, &entry);

    micro_keep(&r);
    micro_keep(&entry);
}

static void run_find(void *argument, uint64_t count)
{
    struct context *context = argument;

    for (uint64_t i = 0; i < count; i++)
        find(context, mix_of(context->next++) % KEYS);
}

static void run_miss(void *argument, uint64_t count)
{
    struct context *context = argument;

    for (uint64_t i = 0; i < count; i++)
        find(context, KEYS + mix_of(context->next++) % KEYS);
}

int micro_keydir(const struct micro_options *options)
{
    static const struct micro_case cases[] = {
        {"fill, up to 1 M keys", run_fill, 0, KEYS, prepare_empty},
        {"replace among 1 M keys", run_replace, 0, 0, prepare_full},
        {"find among 1 M keys", run_find, 0, 0, prepare_full},
        {"find what is not there", run_miss, 0, 0, prepare_full},
    };
    struct context context = {.keydir = keydir_new()};

    if (!context.keydir)
        return -ENOMEM;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        micro_time(options, &cases[i], &context);
    prepare_full(&context, 0);
    micro_figure(options, "memory a key", (double)keydir_memory(context.keydir) / KEYS, "bytes");
    keydir_free(context.keydir);
    return 0;
}
