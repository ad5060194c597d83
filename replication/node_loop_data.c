/* Node loop: whose data it is, and which node's. */
#include "replication/node_loop_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "replication/lock_holder.h"
#include "storage/culprit.h"

#define SHARDS_LIMIT   64u
#define LOCK_TRIES_MAX 20u
#define LOCK_PAUSE_MS  50L

static uint16_t default_shards(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    return (uint16_t)(cores < 1 ? 1 : cores > (long)SHARDS_LIMIT ? SHARDS_LIMIT : cores);
}

/* What a first start writes. 0 or -ENOMEM. */
static int make_identity(struct node_loop *loop, struct datadir_identity *first)
{
    const struct node_loop_options *options = loop->options;
    uint8_t salt[IDENTITY_LOCK_SALT_SIZE];

    identity_generate(&loop->identity);
    memcpy(first->key, loop->identity.secret_key, sizeof first->key);
    first->locked = options->passphrase != NULL;
    if (!first->locked)
        return 0;
    randombytes_buf(salt, sizeof salt);
    return identity_lock(&loop->identity, options->passphrase, options->passphrase_size, salt,
                         first->key);
}

/* From what IDENTITY holds. */
static int take_identity(struct node_loop *loop, const struct datadir_identity *identity)
{
    const struct node_loop_options *options = loop->options;
    const char *why = NULL;
    int r;

    if (identity->locked && !options->passphrase)
        why = "IDENTITY is locked: give its passphrase with --identity-key";
    else if (!identity->locked && options->passphrase)
        why = "IDENTITY is not locked, which only a first start can do: start without "
              "--identity-key";
    if (!why) {
        r = identity->locked ? identity_unlock(&loop->identity, options->passphrase,
                                               options->passphrase_size, identity->key)
                             : identity_from_secret(&loop->identity, identity->key);
        if (r < 0)
            why = "out of memory";
        else if (r > 0)
            why = identity->locked ? "another passphrase locks IDENTITY"
                                   : "IDENTITY holds no key: restore it";
    }
    if (!why)
        return NODE_LOOP_E_OK;
    loop_log("error", "identity_refused", "message=\"%s\"", why);
    return NODE_LOOP_E_CONFLICT;
}

/* A process that was killed holds its LOCK until it has ended, which takes it a moment. */
static int take_data(struct node_loop *loop, const struct datadir_identity *first,
                     struct datadir_identity *identity)
{
    const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000};

    for (unsigned i = 1;; i++) {
        int r =
            datadir_open(&loop->datadir, loop->vfs, first, loop->options->shards == 0, identity);

        if (r != DATADIR_E_IN_USE || i == LOCK_TRIES_MAX)
            return r;
        nanosleep(&pause, NULL);
    }
}

static void say_refused(const struct node_loop *loop, int code,
                        const struct datadir_identity *identity)
{
    const char *data = loop->options->data;
    const char *file = code < 0 ? datadir_culprit(loop->vfs, code) : NULL;
    char text[DATADIR_TEXT_SIZE], path[PATH_MAX], holder[32] = "";
    pid_t pid = 0;

    if (code == DATADIR_E_IN_USE &&
        snprintf(path, sizeof path, "%s/" DATADIR_LOCK, data) < (int)sizeof path)
        pid = lock_holder(path);
    if (pid > 0)
        snprintf(holder, sizeof holder, " pid=%ld", (long)pid);
    if (file && snprintf(path, sizeof path, "%s/%s", data, file) < (int)sizeof path)
        data = path;
    datadir_error_text(code, data, identity, text, sizeof text);
    loop_log("error", "data_refused", "message=\"%s\"%s", text, holder);
}

static void say_failed(const char *path, int r)
{
    loop_log("error", "data_failed", "path=%s error=\"%s\" next=\"%s\"", path, strerror(-r),
             r == -ENOENT ? "make the folder that it is to be in" : culprit_advice(r));
}

void loop_data_refused(const char *event, const char *file, int r)
{
    loop_log("error", event, "%s%s%serror=\"%s\" next=\"%s\"", file ? "file=" : "",
             file ? file : "", file ? " " : "", strerror(-r), culprit_advice(r));
}

int loop_data_open(struct node_loop *loop)
{
    const struct node_loop_options *options = loop->options;
    struct datadir_identity first = {.shards = options->shards ? options->shards : default_shards(),
                                     .created_ms = loop_wall_ms()};
    struct datadir_identity identity = {.shards = 0};
    int r;

    if (mkdir(options->data, 0700) != 0 && errno != EEXIST) {
        say_failed(options->data, -errno);
        return NODE_LOOP_E_FAILED;
    }
    r = vfs_posix_open(&loop->vfs, options->data);
    if (r != 0) {
        say_failed(options->data, r);
        return NODE_LOOP_E_FAILED;
    }
    memcpy(first.cluster, options->ticket->cluster, sizeof first.cluster);
    r = make_identity(loop, &first);
    if (r == 0)
        r = take_data(loop, &first, &identity);
    sodium_memzero(&first, sizeof first);
    if (r != 0) {
        say_refused(loop, r, &identity);
        sodium_memzero(&identity, sizeof identity);
        return r > 0 ? NODE_LOOP_E_CONFLICT : NODE_LOOP_E_FAILED;
    }
    r = take_identity(loop, &identity);
    sodium_memzero(identity.key, sizeof identity.key);
    loop->shard_count = identity.shards;
    return r;
}
