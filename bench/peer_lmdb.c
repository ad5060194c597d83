#include "bench/peer.h"

#include <lmdb.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAP_SIZE (UINT64_C(64) << 30) /* address space, not disk */

extern const struct peer peer_lmdb;

struct state {
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *reader; /* renewed for each get: it must see what was put before */
};

static int check(int r)
{
    if (r == 0)
        return 0;
    fprintf(stderr, "lmdb: %s\n", mdb_strerror(r));
    return -1;
}

static int open_it(const char *folder, bool sync, void **out)
{
    struct state *state = calloc(1, sizeof *state);
    MDB_txn *txn;
    int r;

    if (!state || (mkdir(folder, 0700) != 0 && errno != EEXIST))
        return -1;
    *out = state;
    r = mdb_env_create(&state->env);
    if (r == 0)
        r = mdb_env_set_mapsize(state->env, MAP_SIZE);
    if (r == 0)
        r = mdb_env_open(state->env, folder, MDB_NOTLS | (sync ? 0 : MDB_NOSYNC), 0600);
    if (r == 0)
        r = mdb_txn_begin(state->env, NULL, 0, &txn);
    if (r == 0)
        r = mdb_dbi_open(txn, NULL, 0, &state->dbi);
    if (r == 0)
        r = mdb_txn_commit(txn);
    if (r == 0)
        r = mdb_txn_begin(state->env, NULL, MDB_RDONLY, &state->reader);
    if (r == 0)
        mdb_txn_reset(state->reader);
    return check(r);
}

static int close_it(void *argument)
{
    struct state *state = argument;
    int r = mdb_env_sync(state->env, 1);

    mdb_txn_abort(state->reader);
    mdb_env_close(state->env);
    free(state);
    return check(r);
}

static int put(void *argument, const struct peer_pair *pairs, size_t count)
{
    struct state *state = argument;
    MDB_txn *txn;
    int r = mdb_txn_begin(state->env, NULL, 0, &txn);

    if (r != 0)
        return check(r);
    for (size_t i = 0; r == 0 && i < count; i++) {
        MDB_val key = {.mv_size = PEER_KEY_SIZE, .mv_data = (void *)(uintptr_t)pairs[i].key};
        MDB_val value = {.mv_size = pairs[i].value_size,
                         .mv_data = (void *)(uintptr_t)pairs[i].value};

        r = mdb_put(txn, state->dbi, &key, &value, 0);
    }
    if (r == 0)
        return check(mdb_txn_commit(txn));
    mdb_txn_abort(txn);
    return check(r);
}

static int64_t get(void *argument, const char *text, char *out, size_t capacity)
{
    struct state *state = argument;
    MDB_val key = {.mv_size = PEER_KEY_SIZE, .mv_data = (void *)(uintptr_t)text}, value;
    int64_t size = -1;

    if (mdb_txn_renew(state->reader) != 0)
        return -1;
    if (mdb_get(state->reader, state->dbi, &key, &value) == 0) {
        size = (int64_t)value.mv_size;
        if (value.mv_size <= capacity)
            memcpy(out, value.mv_data, value.mv_size);
    }
    mdb_txn_reset(state->reader);
    return size;
}

const struct peer peer_lmdb = {"lmdb", open_it, close_it, put, get};
