/* Engine: the store as a library for one program - a folder, keys and values, no network.
 *
 * The idea: the embeddable face of store.h. It keeps one shard with one partition and stands in
 * for replication: term 1, indexes count up, and what is synced is committed. The files are those
 * of a node, so `ringcask inspect` reads them; LOCK and IDENTITY are the node's too
 * (storage/datadir.h), with a cluster of their own, so that neither opens the other's folder.
 *
 * Promises.
 *  - ENGINE_SYNC_GROUP: a put, delete or batch that returned 0 is on the disk. Calls that arrive
 *    while a sync is under way share the next one; a single thread pays one sync a call. A get
 *    never shows what is not durable.
 *  - ENGINE_SYNC_NONE: calls return when the bytes are in memory, and gets show them. A thread
 *    writes and syncs what has gathered without a pause, so a crash - of the program, too - takes
 *    back at most the newest queue_size bytes, always the newest ones, never a batch in part.
 *    engine_flush_queue() waits until all of it is durable.
 *  - A batch is atomic: after a crash all of it is there or none.
 *  - After a crash engine_open() brings back exactly the acknowledged calls (and perhaps some whose
 *    answer was not delivered), in order, cut nowhere but at the end.
 *  - A failed write or sync ends the engine: every later call returns that error, for a second
 *    sync that succeeds would prove nothing. Close, find the reason, open again.
 *
 * Threads: every call may come from any thread, but engine_close() from the last one. One mutex
 * guards the store and is never held during a disk read or a sync; callers that wait for a sync
 * queue behind the one that does it. One thread of the engine prepares segments and
 * reclaims what is dead, with ENGINE_SYNC_NONE another one writes. A forked child must not use its
 * parent's engine.
 *
 * Keys are identified by a SipHash-2-4-128, keyed by 16 random bytes of IDENTITY, of which the
 * index keeps 80 bits (docs/decisions/0009): nobody who does not read the folder can aim at a
 * collision, which an unkeyed or a merely seeded fast hash would allow. By chance two of 100
 * million keys collide with a likelihood of 4e-9: the later one then takes the place of the
 * earlier, whose get is an error, for the stored key is compared, and never another key's value.
 *
 * Limits: keys 1 … 65,535 bytes, values 0 … 16 MiB, batches ENGINE_BATCH_MAX operations and 128
 * MiB. Memory: about 22 B a key, plus the queue and `memory_size`.
 */
#ifndef STORAGE_ENGINE_H
#define STORAGE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENGINE_KEY_SIZE_MAX   65535u
#define ENGINE_VALUE_SIZE_MAX (16u << 20)
#define ENGINE_BATCH_MAX      4096u
#define ENGINE_TEXT_SIZE      512u
#define ENGINE_SECRET_SIZE    32u

struct vfs;
struct engine;

/* Answers > 0; < 0 is -errno (of open: what the system said; later: the engine has failed). */
enum engine_e {
    ENGINE_E_OK,
    ENGINE_E_ABSENT,    /* no such key; a cursor's end */
    ENGINE_E_IN_USE,    /* another engine or process has the folder open */
    ENGINE_E_FOREIGN,   /* the folder belongs to a node, or holds something else */
    ENGINE_E_NEWER,     /* written by a newer format */
    ENGINE_E_CORRUPT,   /* bytes that were durable do not check; nothing more is written */
    ENGINE_E_NOSPACE,   /* the disk or size_max is full, or no descriptor is left for another file;
                           nothing was changed; it heals by itself */
    ENGINE_E_TOO_LARGE, /* key, value or batch beyond the limits; nothing was changed */
    ENGINE_E_READ_ONLY, /* opened for reading */
    ENGINE_E_KEY,       /* written with another key, or with one, or without */
    ENGINE_E_STALE,     /* read_only: the writer has used a file again since; open again */
};

enum engine_sync { ENGINE_SYNC_GROUP, ENGINE_SYNC_NONE };

/* Zero is the default of every field. */
struct engine_options {
    bool existing; /* -ENOENT instead of making a folder that is not there */
    /* Shows what a crash of the writer at this moment would leave, and writes nothing: no LOCK is
     * taken, so that a writer may have the folder open, or may have died in it. -ESTALE: the writer
     * changed its files faster than they could be read. It does not follow
     * what the writer does later; when that uses a file again, calls answer ENGINE_E_STALE. */
    bool read_only;
    /* Scans go by key. Costs the keys' bytes and about 10 more a key of memory for those that are
     * in the journal, deleted ones included, and reading them at open. */
    bool ordered;
    enum engine_sync sync;
    uint32_t segment_size; /* bytes of a journal file, 64 KiB … 256 MiB, default 64 MiB */
    uint32_t queue_size;   /* bytes appended and not yet synced, default 4 MiB */
    uint32_t memory_size;  /* bytes of recent writes kept for gets, default 1 MiB */
    /* Of journal and casks; default: no limit. Over it puts are ENGINE_E_NOSPACE, deletes go on for
     * a while. Reclaiming exceeds it by what it moves at a time, up to 16 MiB and a segment. */
    uint64_t size_max;
    /* Values of 256 bytes and more are kept as zstd frames of this level, 1 … 19, where it pays; 0:
     * as they are. The first 400 or so teach a dictionary, unless they have nothing in common: from
     * then on 32 bytes are enough. Any level opens what any other has written. */
    int compress_level;
    /* ENGINE_SECRET_SIZE random bytes: keys and values are encrypted and authenticated on the disk
     * (XChaCha20-Poly1305); NULL: not. Borrowed for the call. The folder is opened with it from its
     * first time to its last. -EINVAL with `ordered`: the files are in no order of keys. Sizes and
     * how often which record is written show; without dictionaries, for these would lie open. */
    const uint8_t *key;
    /* Maps the files that are not written to any more, so that a get of what is in the page cache
     * costs no system call. Where the disk cannot read a page of them, or somebody cuts such a file
     * short, the program gets a SIGBUS instead of an error. */
    bool map_files;
    uint64_t space_reserve; /* bytes of the disk left untouched */
    uint64_t flush_rate;    /* bytes/s that reclaiming may read and write without a backlog, more as
                               one grows; default 32 MiB */
    struct vfs *vfs; /* NULL: the folder `path`; else this, borrowed, and path only names it */
};

/* A value that engine_get() fills: bytes and size are the value's, borrowed from the struct until
 * the next call with it. All zero at first; it grows as needed and is used again and again. */
struct engine_value {
    const uint8_t *bytes;
    size_t size;
    uint8_t *memory, *spare;
    size_t capacity, spare_capacity;
};

/* Opens the folder, recovering what it holds. options may be NULL. *engine is NULL on failure.
 * Returns 0, IN_USE, FOREIGN, NEWER, CORRUPT, KEY or -errno. */
int engine_open(struct engine **engine, const char *path, const struct engine_options *options);
/* Waits until all is durable, then frees. No other call may be under way. Returns 0 or what kept
 * the newest writes of ENGINE_SYNC_NONE from the disk; the engine is gone in any case. NULL is
 * allowed. */
int engine_close(struct engine *engine);

/* Keys and values are copied. */
int engine_put(struct engine *engine, const void *key, size_t key_size, const void *value,
               size_t value_size);
/* Removes a key; one that is not there is no error and costs nothing but the look. */
int engine_delete(struct engine *engine, const void *key, size_t key_size);
/* Returns 0 with *value filled, ABSENT, CORRUPT or -errno. value NULL: only whether it is there. */
int engine_get(struct engine *engine, const void *key, size_t key_size, struct engine_value *value);
void engine_value_deinit(struct engine_value *value);

/* One operation of a batch; value NULL: a delete. */
struct engine_op {
    const void *key;
    size_t key_size;
    const void *value;
    size_t value_size;
};
/* Applies 1 … ENGINE_BATCH_MAX operations at once, in their order: all of them or none. */
int engine_batch(struct engine *engine, const struct engine_op *ops, size_t count);

/* Waits until everything that returned before is durable. */
int engine_flush_queue(struct engine *engine);
/* Reclaims what is dead in all files there are at the call, as fast as it goes, and waits until
 * they are gone; the one that takes writes takes no more then, unless the disk is full. What others
 * write meanwhile is not waited for. A thread of the engine does so by itself when files are mostly
 * dead: there is no need to call this, only an occasion, such as an idle hour. Returns 0, NOSPACE
 * or CORRUPT (the engine goes on trying by itself), or -errno. */
int engine_flush(struct engine *engine);

/* A range of keys; all zero: everything. Bytewise order, a prefix before what it begins. */
struct engine_range {
    const void *from; /* first key; size 0: the first of all */
    size_t from_size;
    const void *to; /* first key behind the range; size 0: there is none */
    size_t to_size;
    const void *prefix; /* size > 0: keys that begin with it, instead of the above */
    size_t prefix_size;
};
struct engine_item {
    const uint8_t *key;
    size_t key_size;
    const uint8_t *value;
    size_t value_size;
};
struct engine_cursor;

/* A cursor over what is in the range now: it shows the state of this moment, whatever is written
 * while it is open; data files that it needs stay. Use a cursor from one thread at a time; close
 * all before the engine. The range is copied. 0 or -errno.
 *
 * With options.ordered in the order of the keys, and all of it costs what lies in the range: the
 * call itself 8 B and a look-up for each of its keys that is not in a cask yet. Else in the order
 * of the files, 8 B for every key of the engine, and a range costs a look at every record. */
int engine_scan(struct engine *engine, const struct engine_range *range,
                struct engine_cursor **cursor);
/* Gives the next key and value, borrowed until the next call with the cursor. 0, ABSENT at the end,
 * CORRUPT or -errno. */
int engine_cursor_next(struct engine_cursor *cursor, struct engine_item *item);
/* The next one given is the first in the range that is not before this key. -EINVAL without
 * options.ordered. */
int engine_cursor_seek(struct engine_cursor *cursor, const void *key, size_t key_size);
void engine_cursor_close(struct engine_cursor *cursor); /* NULL is allowed */

/* Makes a copy of what is there now, as a folder of its own that engine_open() takes: no deleted or
 * overwritten values, nothing that is written after the call began, and durable when it returns.
 * Other threads go on meanwhile. The folder must not exist; until it is whole it is in one that has
 * ".part" behind its name, and of which a crash leaves what the next call removes. A hot backup,
 * that is; for a view that stays the same while it is read take a cursor. Returns 0, -EEXIST (PATH
 * is there, or another call is making it), CORRUPT or -errno; a failure leaves nothing behind. */
int engine_snapshot(struct engine *engine, const char *path);

struct engine_stats {
    uint64_t keys;
    uint64_t tombstones;      /* deletes that are still remembered */
    uint64_t memory_bytes;    /* of the indexes */
    uint64_t file_bytes;      /* that data files take */
    uint64_t casks;           /* files in the order of their keys, as reclaiming writes them */
    uint64_t reclaimed_bytes; /* of files that were given back, less what moved, since open */
    uint64_t appended_bytes;  /* of records, since open */
    uint64_t writes;          /* entries since open: a batch is one */
    uint64_t syncs;
    uint32_t dictionaries; /* of compression */
    uint64_t compress_in;  /* bytes of the values that compression saw since open, */
    uint64_t compress_out; /* and what it left of them */
};
void engine_stats(struct engine *engine, struct engine_stats *stats);

/* One line for people about what engine_open() or any other call returned, not 0. */
void engine_error_text(int code, const char *path, char *text, size_t size);

#endif
