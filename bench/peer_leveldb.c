#include "bench/peer.h"

#include <leveldb/c.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct peer peer_leveldb;

struct state {
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_writeoptions_t *write;
    leveldb_readoptions_t *read;
};

static int check(char *error)
{
    if (!error)
        return 0;
    fprintf(stderr, "leveldb: %s\n", error);
    leveldb_free(error);
    return -1;
}

static int open_it(const char *folder, bool sync, void **out)
{
    struct state *state = calloc(1, sizeof *state);
    char *error = NULL;

    if (!state)
        return -1;
    *out = state;
    state->options = leveldb_options_create();
    state->write = leveldb_writeoptions_create();
    state->read = leveldb_readoptions_create();
    leveldb_options_set_create_if_missing(state->options, 1);
    leveldb_writeoptions_set_sync(state->write, sync);
    state->db = leveldb_open(state->options, folder, &error);
    return check(error);
}

/* A small batch with sync makes all that came before it durable. */
static int close_it(void *argument)
{
    struct state *state = argument;
    leveldb_writebatch_t *batch = leveldb_writebatch_create();
    char *error = NULL;
    int r;

    leveldb_writeoptions_set_sync(state->write, 1);
    leveldb_writebatch_put(batch, "end", 3, "", 0);
    leveldb_write(state->db, state->write, batch, &error);
    r = check(error);
    leveldb_writebatch_destroy(batch);
    leveldb_close(state->db);
    leveldb_readoptions_destroy(state->read);
    leveldb_writeoptions_destroy(state->write);
    leveldb_options_destroy(state->options);
    free(state);
    return r;
}

static int put(void *argument, const struct peer_pair *pairs, size_t count)
{
    struct state *state = argument;
    leveldb_writebatch_t *batch;
    char *error = NULL;

    if (count == 1) {
        leveldb_put(state->db, state->write, pairs->key, PEER_KEY_SIZE, pairs->value,
                    pairs->value_size, &error);
        return check(error);
    }
    batch = leveldb_writebatch_create();
    for (size_t i = 0; i < count; i++)
        leveldb_writebatch_put(batch, pairs[i].key, PEER_KEY_SIZE, pairs[i].value,
                               pairs[i].value_size);
    leveldb_write(state->db, state->write, batch, &error);
    leveldb_writebatch_destroy(batch);
    return check(error);
}

static int64_t get(void *argument, const char *key, char *out, size_t capacity)
{
    struct state *state = argument;
    char *error = NULL, *value;
    size_t size = 0;

    value = leveldb_get(state->db, state->read, key, PEER_KEY_SIZE, &size, &error);
    if (check(error) != 0 || !value)
        return -1;
    if (size <= capacity)
        memcpy(out, value, size);
    leveldb_free(value);
    return (int64_t)size;
}

const struct peer peer_leveldb = {"leveldb", open_it, close_it, put, get};
