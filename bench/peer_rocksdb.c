#include "bench/peer.h"

#include <rocksdb/c.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct peer peer_rocksdb;

struct state {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *write;
    rocksdb_readoptions_t *read;
};

static int check(char *error)
{
    if (!error)
        return 0;
    fprintf(stderr, "rocksdb: %s\n", error);
    rocksdb_free(error);
    return -1;
}

static int open_it(const char *folder, bool sync, void **out)
{
    struct state *state = calloc(1, sizeof *state);
    char *error = NULL;

    if (!state)
        return -1;
    *out = state;
    state->options = rocksdb_options_create();
    state->write = rocksdb_writeoptions_create();
    state->read = rocksdb_readoptions_create();
    rocksdb_options_set_create_if_missing(state->options, 1);
    rocksdb_writeoptions_set_sync(state->write, sync);
    state->db = rocksdb_open(state->options, folder, &error);
    return check(error);
}

/* A small batch with sync makes all that came before it durable. */
static int close_it(void *argument)
{
    struct state *state = argument;
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    char *error = NULL;
    int r;

    rocksdb_writeoptions_set_sync(state->write, 1);
    rocksdb_writebatch_put(batch, "end", 3, "", 0);
    rocksdb_write(state->db, state->write, batch, &error);
    r = check(error);
    rocksdb_writebatch_destroy(batch);
    rocksdb_close(state->db);
    rocksdb_readoptions_destroy(state->read);
    rocksdb_writeoptions_destroy(state->write);
    rocksdb_options_destroy(state->options);
    free(state);
    return r;
}

static int put(void *argument, const struct peer_pair *pairs, size_t count)
{
    struct state *state = argument;
    rocksdb_writebatch_t *batch;
    char *error = NULL;

    if (count == 1) {
        rocksdb_put(state->db, state->write, pairs->key, PEER_KEY_SIZE, pairs->value,
                    pairs->value_size, &error);
        return check(error);
    }
    batch = rocksdb_writebatch_create();
    for (size_t i = 0; i < count; i++)
        rocksdb_writebatch_put(batch, pairs[i].key, PEER_KEY_SIZE, pairs[i].value,
                               pairs[i].value_size);
    rocksdb_write(state->db, state->write, batch, &error);
    rocksdb_writebatch_destroy(batch);
    return check(error);
}

/* Pinned: the way that copies once. */
static int64_t get(void *argument, const char *key, char *out, size_t capacity)
{
    struct state *state = argument;
    rocksdb_pinnableslice_t *slice;
    const char *value;
    char *error = NULL;
    size_t size = 0;

    slice = rocksdb_get_pinned(state->db, state->read, key, PEER_KEY_SIZE, &error);
    if (check(error) != 0 || !slice)
        return -1;
    value = rocksdb_pinnableslice_value(slice, &size);
    if (size <= capacity)
        memcpy(out, value, size);
    rocksdb_pinnableslice_destroy(slice);
    return (int64_t)size;
}

const struct peer peer_rocksdb = {"rocksdb", open_it, close_it, put, get};
