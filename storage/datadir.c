#include "storage/datadir.h"

#include "storage/checksum.h"
#include "storage/codec.h"
#include "storage/culprit.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATADIR_IDENTITY     "IDENTITY"
#define DATADIR_IDENTITY_NEW "IDENTITY.new"

/* Bytes 0-15 and the checksum at the end are the same in every version to come, so that an older
 * program can tell "newer" from "damaged". */
#define IDENTITY_MAGIC      UINT64_C(0x4e44494b53414352) /* "RCASKIDN" */
#define IDENTITY_SIZE       120u
#define IDENTITY_SIZE_MIN   24u
#define IDENTITY_SIZE_MAX   4096u
#define IDENTITY_AT_VERSION 8
#define IDENTITY_AT_SIZE    12
#define IDENTITY_AT_CLUSTER 16
#define IDENTITY_AT_KEY     32
#define IDENTITY_AT_SHARDS  96
#define IDENTITY_AT_LOCKED  98
#define IDENTITY_AT_CREATED 104
#define IDENTITY_PLAIN      1u /* version of a file whose key is not locked */
#define IDENTITY_CHECKSUM   8  /* bytes at the end */

struct datadir {
    struct vfs_file *lock;
    bool is_new;
};

static void identity_encode(const struct datadir_identity *identity, uint8_t bytes[IDENTITY_SIZE])
{
    memset(bytes, 0, IDENTITY_SIZE);
    codec_put_u64(bytes, IDENTITY_MAGIC);
    codec_put_u32(bytes + IDENTITY_AT_VERSION, identity->locked ? DATADIR_VERSION : IDENTITY_PLAIN);
    codec_put_u32(bytes + IDENTITY_AT_SIZE, IDENTITY_SIZE);
    memcpy(bytes + IDENTITY_AT_CLUSTER, identity->cluster, DATADIR_CLUSTER_SIZE);
    memcpy(bytes + IDENTITY_AT_KEY, identity->key, DATADIR_KEY_SIZE);
    codec_put_u16(bytes + IDENTITY_AT_SHARDS, identity->shards);
    codec_put_u8(bytes + IDENTITY_AT_LOCKED, identity->locked);
    codec_put_u64(bytes + IDENTITY_AT_CREATED, identity->created_ms);
    codec_put_u64(bytes + IDENTITY_SIZE - IDENTITY_CHECKSUM,
                  checksum(bytes, IDENTITY_SIZE - IDENTITY_CHECKSUM));
}

/* Returns 0, DATADIR_E_NEWER or DATADIR_E_DAMAGED. */
static int identity_decode(const uint8_t *bytes, size_t size, struct datadir_identity *identity)
{
    if (size < IDENTITY_SIZE_MIN || codec_get_u64(bytes) != IDENTITY_MAGIC)
        return DATADIR_E_DAMAGED;
    if (codec_get_u32(bytes + IDENTITY_AT_SIZE) != size)
        return DATADIR_E_DAMAGED;
    const uint8_t *end = bytes + size - IDENTITY_CHECKSUM;
    if (codec_get_u64(end) != checksum(bytes, size - IDENTITY_CHECKSUM))
        return DATADIR_E_DAMAGED;
    uint32_t version = codec_get_u32(bytes + IDENTITY_AT_VERSION);
    if (version > DATADIR_VERSION)
        return DATADIR_E_NEWER;
    uint16_t shards = codec_get_u16(bytes + IDENTITY_AT_SHARDS);
    uint8_t locked = bytes[size == IDENTITY_SIZE ? IDENTITY_AT_LOCKED : 0];
    if (version == 0 || size != IDENTITY_SIZE || shards == 0 || shards > DATADIR_SHARDS_MAX ||
        locked != (version > IDENTITY_PLAIN))
        return DATADIR_E_DAMAGED;
    memcpy(identity->cluster, bytes + IDENTITY_AT_CLUSTER, DATADIR_CLUSTER_SIZE);
    memcpy(identity->key, bytes + IDENTITY_AT_KEY, DATADIR_KEY_SIZE);
    identity->shards = shards;
    identity->locked = locked;
    identity->created_ms = codec_get_u64(bytes + IDENTITY_AT_CREATED);
    return 0;
}

/* Returns 0, -ENOENT when there is none, DATADIR_E_NEWER, DATADIR_E_DAMAGED or -errno. */
static int identity_read(struct vfs *vfs, struct datadir_identity *identity)
{
    struct vfs_file *file;
    int r = vfs_open(vfs, DATADIR_IDENTITY, VFS_OPEN_READ, &file);
    if (r < 0)
        return r;
    uint8_t bytes[IDENTITY_SIZE_MAX + 1]; /* one more: a longer file shows */
    int64_t size = vfs_pread(file, bytes, sizeof bytes, 0);
    vfs_close(file);
    if (size < 0)
        return (int)size;
    r = size > IDENTITY_SIZE_MAX ? DATADIR_E_DAMAGED
                                 : identity_decode(bytes, (size_t)size, identity);
    explicit_bzero(bytes, sizeof bytes);
    return r;
}

/* Makes IDENTITY appear whole or not at all; the name becomes durable with the folder's sync. */
static int identity_write(struct vfs *vfs, const struct datadir_identity *identity)
{
    struct vfs_file *file;
    uint8_t bytes[IDENTITY_SIZE];
    /* A crash may have left one behind: its bytes go, the file is used again. */
    int r = vfs_open(vfs, DATADIR_IDENTITY_NEW, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file);
    if (r < 0)
        return r;
    identity_encode(identity, bytes);
    struct iovec iov = {.iov_base = bytes, .iov_len = sizeof bytes};
    r = vfs_truncate(file, 0);
    if (r == 0)
        r = vfs_pwritev(file, &iov, 1, 0);
    if (r == 0)
        r = vfs_sync(file);
    vfs_close(file);
    explicit_bzero(bytes, sizeof bytes);
    if (r == 0)
        r = vfs_rename(vfs, DATADIR_IDENTITY_NEW, DATADIR_IDENTITY);
    return r;
}

static int data_visit(void *context, const char *name)
{
    (void)context;
    bool is_data = strcmp(name, "GENESIS") == 0 || strncmp(name, "shard-", 6) == 0;
    return is_data ? DATADIR_E_DAMAGED : 0;
}

/* Under the lock: reads IDENTITY, or writes the first one. */
static int datadir_identify(struct vfs *vfs, const struct datadir_identity *first, bool shards_any,
                            struct datadir_identity *identity, bool *is_new)
{
    int r = identity_read(vfs, identity);
    if (r == -ENOENT) {
        r = vfs_list(vfs, ".", data_visit, NULL);
        if (r == 0)
            r = identity_write(vfs, first);
        if (r != 0)
            return r;
        *identity = *first;
        *is_new = true;
    } else if (r != 0) {
        return r;
    }
    if (memcmp(identity->cluster, first->cluster, DATADIR_CLUSTER_SIZE) != 0)
        return DATADIR_E_OTHER_CLUSTER;
    if (!shards_any && identity->shards != first->shards)
        return DATADIR_E_SHARDS;
    /* A later start too: the first one may have died between the rename and this. */
    return vfs_sync_dir(vfs, ".");
}

int datadir_peek(struct vfs *vfs, struct datadir_identity *identity)
{
    *identity = (struct datadir_identity){.shards = 0};
    return identity_read(vfs, identity);
}

int datadir_lock(struct vfs *vfs, struct vfs_file **lock)
{
    int r = vfs_lock(vfs, DATADIR_LOCK, lock);

    return r == -EWOULDBLOCK ? DATADIR_E_IN_USE : r;
}

int datadir_open(struct datadir **datadir, struct vfs *vfs, const struct datadir_identity *first,
                 bool shards_any, struct datadir_identity *identity)
{
    assert(first->shards >= 1);
    assert(first->shards <= DATADIR_SHARDS_MAX);
    *identity = (struct datadir_identity){.shards = 0};
    struct datadir *opened = calloc(1, sizeof *opened);
    if (!opened)
        return -ENOMEM;
    struct datadir_identity held = {.shards = 0};
    int r = datadir_lock(vfs, &opened->lock);
    if (r == 0)
        r = datadir_identify(vfs, first, shards_any, &held, &opened->is_new);
    bool tells = r == DATADIR_E_OTHER_CLUSTER || r == DATADIR_E_SHARDS;
    if (tells)
        explicit_bzero(held.key, sizeof held.key);
    if (r == 0 || tells)
        *identity = held;
    explicit_bzero(&held, sizeof held);
    if (r != 0) {
        datadir_close(opened);
        return r;
    }
    *datadir = opened;
    return 0;
}

void datadir_close(struct datadir *datadir)
{
    if (!datadir)
        return;
    vfs_close(datadir->lock);
    free(datadir);
}

bool datadir_is_new(const struct datadir *datadir)
{
    return datadir->is_new;
}

void datadir_shard_folder(char folder[DATADIR_FOLDER_SIZE], uint16_t shard)
{
    snprintf(folder, DATADIR_FOLDER_SIZE, "shard-%02u", (unsigned)shard);
}

const char *datadir_culprit(struct vfs *vfs, int error)
{
    static const char *const names[] = {DATADIR_LOCK, DATADIR_IDENTITY, DATADIR_IDENTITY_NEW};

    return culprit_named(vfs, names, sizeof(names) / sizeof(names[0]), error);
}

void datadir_error_text(int code, const char *path, const struct datadir_identity *found,
                        char *text, size_t size)
{
    assert(code != 0);
    if (code < 0) {
        snprintf(text, size, "%s: %s: %s", path, strerror(-code), culprit_advice(code));
        return;
    }
    switch ((enum datadir_e)code) {
    case DATADIR_E_OK:
        break;
    case DATADIR_E_IN_USE:
        snprintf(text, size,
                 "%s is in use by another process: stop that one, or give this one its "
                 "own --data folder",
                 path);
        break;
    case DATADIR_E_NEWER:
        snprintf(text, size,
                 "%s was written by a newer release: start that release or one after "
                 "it; nothing was changed",
                 path);
        break;
    case DATADIR_E_OTHER_CLUSTER:
        snprintf(text, size,
                 "%s belongs to another cluster, with id %02x%02x%02x%02x…: give that "
                 "cluster's ticket, or an empty folder",
                 path, found->cluster[0], found->cluster[1], found->cluster[2], found->cluster[3]);
        break;
    case DATADIR_E_DAMAGED:
        snprintf(text, size,
                 "%s/IDENTITY is missing or damaged though the folder has been used: "
                 "restore that file from a backup, or move the folder away and start "
                 "as a new node",
                 path);
        break;
    case DATADIR_E_SHARDS:
        snprintf(text, size,
                 "%s was made with %u shards, which never change: start with --shards "
                 "%u or without the flag",
                 path, (unsigned)found->shards, (unsigned)found->shards);
        break;
    }
}
