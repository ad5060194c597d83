/* Engine state: what the files engine*.c share. Nothing else includes it. */
#ifndef STORAGE_ENGINE_STATE_H
#define STORAGE_ENGINE_STATE_H

#include "storage/datadir.h"
#include "storage/engine.h"
#include "storage/key_index.h"
#include "storage/keydir.h"
#include "storage/store.h"

#include <pthread.h>
#include <stdatomic.h>

#define ENGINE_PARTITION  0u
#define ENGINE_TERM       1u
#define ENGINE_HASH_SIZE  16u
#define ENGINE_CHECK_SIZE 16u
#define ENGINE_STATE_HEAD 32u

/* A record that is appended and will be applied once its batch is durable. */
struct engine_pending {
    uint64_t batch;
    uint64_t index;
    struct keydir_digest digest;
    store_location location;
    uint32_t size;
    bool tombstone;
    const void *key; /* the caller's, who waits; for the key index */
    size_t key_size;
};

/* How values are kept: engine_pack.c. */
struct engine_pack {
    bool on; /* something is done to them before they are appended */
    int level;
    struct vault *vault; /* NULL: not sealed */
    uint64_t tail;       /* of this opening's nonces: a crash takes indexes back */
    uint8_t check[ENGINE_CHECK_SIZE];
    bool foreign; /* the newest checkpoint was made with another key */
    /* Below: under the lock. */
    bool sampling, sampled; /* values for a dictionary: are taken; are enough */
    struct samples samples;
    uint8_t dictionary[COMPRESS_DICTIONARY_SIZE_MAX]; /* made, not appended */
    size_t dictionary_size;
    uint8_t state[ENGINE_STATE_HEAD + STORE_DICTIONARIES_SIZE_MAX];
};

struct engine {
    struct vfs *vfs;
    struct vfs *vfs_own; /* closed with the engine */
    struct vfs *vfs_below;
    struct vfs *vfs_view; /* in front of it when read_only */
    bool read_only;
    struct datadir *datadir;
    struct store *store;
    enum engine_sync sync;
    uint8_t hash_key[ENGINE_HASH_SIZE];
    uint64_t batch_size_max; /* bytes of one entry */
    const char *fenced;      /* why recovery gave up, or NULL */
    struct engine_pack pack;

    /* Below: under the lock. */
    struct key_index *key_index; /* NULL: options.ordered is off */
    int error;                   /* -errno: nothing may be promised any more */
    uint64_t index;              /* of the newest entry appended */
    uint64_t batch;              /* that holds it */
    uint64_t applied;            /* of the newest that gets show */
    struct engine_pending *pending;
    size_t pending_first, pending_count, pending_capacity;
    bool writing; /* a write job is out */
    bool closing;
    unsigned waiting;  /* callers that wait for a sync that has not begun */
    unsigned expected; /* callers that the last round has seen: as many may come again */
    uint64_t sync_ns;  /* what a write and its sync take, smoothed */
    bool writer_idle, background_idle;
    uint64_t purged;           /* what flush had moved and dropped at the key index's last purge */
    uint64_t background_bytes; /* bytes_appended when background work was last looked for */

    _Atomic uint64_t durable; /* store_synced(), applied: for those who wait without the lock */
    _Atomic uint32_t round;   /* of write jobs: the futex they wait on */

    pthread_mutex_t mutex;
    pthread_cond_t synced;     /* a write job or a background job has ended */
    pthread_cond_t writer;     /* wakes the thread of ENGINE_SYNC_NONE */
    pthread_cond_t background; /* wakes the one that prepares segments */
    pthread_t writer_thread, background_thread;
    bool has_writer, has_background;
};

struct keydir_digest engine_digest(const struct engine *engine, const void *key, size_t key_size);
/* Lets gets show what is durable. */
void engine_apply(struct engine *engine);
int engine_apply_one(struct engine *engine, const struct engine_pending *item);
/* Room for `size` bytes in the value's memory. 0 or -ENOMEM. */
int engine_value_reserve(struct engine_value *value, size_t size);
/* Locked: copies up to `size` bytes from the location to value->memory; the lock is given up
 * meanwhile when that takes a read. */
int engine_record_read(struct engine *engine, store_location location, size_t size,
                       struct engine_value *value, size_t *got);

/* Locked: an entry was appended behind the newest. */
void engine_appended(struct engine *engine);

/* engine_pack.c */
/* Takes the options; 0, -EINVAL or -ENOMEM. */
int engine_pack_init(struct engine *engine, const struct engine_options *options);
void engine_pack_deinit(struct engine *engine);
/* Those of an engine that keeps its values in the same way; the key is borrowed. */
void engine_pack_options(const struct engine *engine, struct engine_options *options);
/* The most that the record may take in a file. */
size_t engine_pack_room(const struct engine *engine, const struct record *record);
/* Locked: store_append() of records that it compresses and seals before, with pack.on. */
int engine_pack_append(struct engine *engine, struct record *records,
                       const struct keydir_digest *digests, size_t count, store_location *location,
                       uint32_t *size);
/* Locked, of the background: makes and logs a dictionary when there are samples for one. Gives the
 * lock up meanwhile. */
void engine_pack_train(struct engine *engine);
/* A dictionary's entry was appended or recovered. */
void engine_pack_learn(struct engine *engine, const struct record *record);
/* Unlocked: makes key and value of a record that was read what they were. They lie in the memory of
 * `value` then, unless there was nothing to do. 0, CORRUPT or -ENOMEM. */
int engine_unpack(struct engine *engine, struct record *record, struct engine_value *value);
/* A checkpoint's state, in pack.state: returns its size. */
size_t engine_pack_save(struct engine *engine);
void engine_pack_load(struct engine *engine, const uint8_t *state, size_t size);

/* engine_scan.c */
void engine_scan_digest(const void *context, const uint8_t *key, size_t size,
                        struct keydir_digest *out);
/* All of it in the order of the files, which reads fastest. */
int engine_scan_unordered(struct engine *engine, struct engine_cursor **cursor);
/* Takes out of the key index what flush has moved into casks or forgotten. Locked; gives the lock
 * up at times. */
int engine_index_purge(struct engine *engine);
/* Fills the key index from what recovery found. */
int engine_index_build(struct engine *engine);

/* engine_posix.c: threads, time, chance. */
int engine_threads_init(struct engine *engine);
/* Starts the threads. 0 or -errno. */
int engine_threads_start(struct engine *engine);
/* Ends them; what is queued has been written. */
void engine_threads_stop(struct engine *engine);
void engine_threads_deinit(struct engine *engine);
void engine_lock(struct engine *engine);
void engine_unlock(struct engine *engine);
/* Unlocks, when the batch is durable, by doing the write itself if nobody does. 0 or the engine's
 * error. */
int engine_unlock_synced(struct engine *engine, uint64_t batch);
/* Locked: an append was refused for now; waits for something to change. */
void engine_room_wait(struct engine *engine);
/* Locked: there is something to write (ENGINE_SYNC_NONE). */
void engine_writer_wake(struct engine *engine);
/* Makes the folder unless it is there; `existing`: -ENOENT. */
int engine_folder(const char *path, bool existing);
/* Takes the folder `part` for the making of `path`: `unfinished`, a folder in it, does not exist
 * then. What a crash left of an earlier attempt is removed: `part` is known by holding nothing but
 * `unfinished`, which no engine's folder does. -EEXIST: `path` is there, `part` is something else,
 * or somebody is at it; no file is touched then. *lock is for engine_part_close(). */
int engine_part_open(const char *path, const char *part, const char *unfinished, int *lock);
/* Removes `part` and what is left in it. */
void engine_part_close(const char *part, const char *unfinished, int lock);
/* Gives a folder its name, durable. */
int engine_folder_move(const char *from, const char *to);
/* Removes the folder of an engine that is closed. */
void engine_folder_remove(const char *path);
void engine_secret(uint8_t *bytes, size_t size);
uint64_t engine_unix_ms(void);

#endif
