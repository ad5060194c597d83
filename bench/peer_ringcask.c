#include "bench/peer.h"

#include "storage/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MAX 4096u

extern const struct peer peer_ringcask;

struct state {
    struct engine *engine;
    struct engine_value value;
};

static int check(const char *what, int r)
{
    char text[ENGINE_TEXT_SIZE];

    if (r == 0)
        return 0;
    engine_error_text(r, what, text, sizeof text);
    fprintf(stderr, "ringcask: %s\n", text);
    return -1;
}

static int open_it(const char *folder, bool sync, void **out)
{
    struct engine_options options = {.sync = sync ? ENGINE_SYNC_GROUP : ENGINE_SYNC_NONE};
    struct state *state = calloc(1, sizeof *state);

    if (!state)
        return -1;
    *out = state;
    return check("open", engine_open(&state->engine, folder, &options));
}

static int close_it(void *argument)
{
    struct state *state = argument;
    int r = check("close", engine_close(state->engine));

    engine_value_deinit(&state->value);
    free(state);
    return r;
}

static int put(void *argument, const struct peer_pair *pairs, size_t count)
{
    struct state *state = argument;
    struct engine_op ops[BATCH_MAX];

    if (count == 1)
        return check("put", engine_put(state->engine, pairs->key, PEER_KEY_SIZE, pairs->value,
                                       pairs->value_size));
    for (size_t i = 0; i < count && i < BATCH_MAX; i++)
        ops[i] =
            (struct engine_op){pairs[i].key, PEER_KEY_SIZE, pairs[i].value, pairs[i].value_size};
    return check("batch", engine_batch(state->engine, ops, count));
}

/* The value lies in the caller's memory already: there is nothing to copy, but all of it is read
 * (and its checksum verified) inside. */
static int64_t get(void *argument, const char *key, char *out, size_t capacity)
{
    struct state *state = argument;
    int r = engine_get(state->engine, key, PEER_KEY_SIZE, &state->value);

    if (r != 0)
        return -1;
    if (state->value.size <= capacity)
        memcpy(out, state->value.bytes, state->value.size);
    return (int64_t)state->value.size;
}

const struct peer peer_ringcask = {"ringcask", open_it, close_it, put, get};
