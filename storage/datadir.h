/* Datadir: takes a node's data directory for this process and says whose it is.
 *
 * LOCK is held from open to close, so that two processes never write the same files. IDENTITY is
 * written once, at the first start, and never changed: cluster, node key, number of shards and the
 * format of everything in the directory. It is written under another name, synced and renamed, so
 * a crash leaves all of it or nothing. A directory that has data but no IDENTITY is damaged, never
 * new: a fresh key in front of old data would make the node a stranger to its own cluster.
 *
 * The key is opaque here. Format: docs/format-datadir.md. Straight-line I/O; owner: whoever opened
 * it. Limits: DATADIR_SHARDS_MAX.
 */
#ifndef STORAGE_DATADIR_H
#define STORAGE_DATADIR_H

#include "storage/vfs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DATADIR_LOCK         "LOCK" /* the file that is locked */
#define DATADIR_VERSION      2u     /* 1 is written where the key is not locked */
#define DATADIR_CLUSTER_SIZE 16u
#define DATADIR_KEY_SIZE     64u
#define DATADIR_SHARDS_MAX   256u
#define DATADIR_FOLDER_SIZE  16u  /* of a shard's folder name with its zero */
#define DATADIR_TEXT_SIZE    512u /* enough for datadir_error_text() with a path of 255 bytes */

struct datadir_identity {
    uint8_t cluster[DATADIR_CLUSTER_SIZE];
    uint8_t key[DATADIR_KEY_SIZE]; /* the node's secret key; the holder of the struct wipes it */
    bool locked;                   /* the key is under a passphrase: opaque here all the same */
    uint16_t shards;               /* 1 … DATADIR_SHARDS_MAX */
    uint64_t created_ms;           /* Unix time of the first start */
};

enum datadir_e {
    DATADIR_E_OK,
    DATADIR_E_IN_USE,        /* another process has it open */
    DATADIR_E_NEWER,         /* written by a newer format */
    DATADIR_E_OTHER_CLUSTER, /* belongs to another cluster */
    DATADIR_E_DAMAGED,       /* IDENTITY does not check, or is missing in front of data */
    DATADIR_E_SHARDS,        /* has another number of shards */
};

struct datadir;

/* Opens the directory that the vfs stands for. `first`: what a first start writes; a later start
 * compares its cluster, and its shards unless shards_any. *identity is what holds from now on; it
 * is also written, without the key, on DATADIR_E_OTHER_CLUSTER and DATADIR_E_SHARDS, for the
 * message, and zeroed on every other failure. *datadir is written on 0 only. The vfs must outlive
 * it. Returns 0, an enum datadir_e or -errno (-EACCES, -ENOSPC, …). */
int datadir_open(struct datadir **datadir, struct vfs *vfs, const struct datadir_identity *first,
                 bool shards_any, struct datadir_identity *identity);
/* Reads IDENTITY without taking the directory, for those who only look. 0, -ENOENT,
 * DATADIR_E_NEWER, DATADIR_E_DAMAGED or -errno. The key is a secret: wipe it. */
int datadir_peek(struct vfs *vfs, struct datadir_identity *identity);
/* Takes the lock alone, of a directory that somebody repairs; *lock is closed to give it up. 0,
 * DATADIR_E_IN_USE or -errno. */
int datadir_lock(struct vfs *vfs, struct vfs_file **lock);
/* Gives up the lock. NULL is allowed. */
void datadir_close(struct datadir *datadir);
/* Whether this open wrote IDENTITY. */
bool datadir_is_new(const struct datadir *datadir);

/* The folder of a shard, relative to the vfs: "shard-00". */
void datadir_shard_folder(char folder[DATADIR_FOLDER_SIZE], uint16_t shard);
/* The file in there that datadir_open()'s -errno was about; NULL: it is not known, or none. */
const char *datadir_culprit(struct vfs *vfs, int error);
/* One line for people: what is wrong with `path` and what to do next. path: the directory, or of an
 * -errno the file. code: as datadir_open returned it, not 0; found: the identity it wrote. Cut off
 * at size. */
void datadir_error_text(int code, const char *path, const struct datadir_identity *found,
                        char *text, size_t size);

#endif
