/* Store: the bytes of one shard - journal, manifest and one keydir a partition - behind one face.
 *
 * The idea: the log is the database. An entry is appended once, to the journal; when Raft says
 * that it is applied, store_apply() lets the keydir point at that very record. There is no second
 * write. All partitions of the shard share one journal, so one fdatasync serves all of them.
 *
 * Ownership: one shard thread calls everything here except store_job_run(), which runs on an I/O
 * thread and touches nothing but its job. Bytes handed in are copied; bytes handed out are
 * borrowed until the next call that is not a read.
 *
 * What the store does not know: terms' meaning, commits, sessions. Replication tells it what is
 * applied and what log it still needs, and gives an opaque state blob a partition for checkpoints.
 *
 * Durability: what was appended belongs to the open batch, store_batch(). It is durable when
 * store_synced() >= that number. Batches become jobs in order, one in flight.
 */
#ifndef STORAGE_STORE_H
#define STORAGE_STORE_H

#include "storage/cache.h"
#include "storage/compress.h"
#include "storage/keydir.h"
#include "storage/record.h"
#include "storage/samples.h"
#include "storage/vault.h"
#include "storage/vfs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 40-bit place of a record: 16-bit file slot, 24-bit offset in units of RECORD_ALIGN. */
typedef uint64_t store_location;
#define STORE_LOCATION_NONE UINT64_MAX

struct store;
struct store_job;

struct store_options {
    const char *folder;       /* e.g. "shard-00", relative to the vfs; created by store_open */
    uint32_t partitions;      /* Q of the ring; numbers 0 … Q-1, and STORE_PARTITION_META */
    uint32_t segment_size;    /* bytes, ≤ 256 MiB, multiple of 512 */
    uint32_t batch_size_max;  /* a batch is sealed beyond this; one entry may exceed it */
    uint32_t queue_size_max;  /* bytes appended and not yet synced: over it STORE_E_FULL */
    uint32_t memory_size_max; /* bytes of synced batches kept for reads of recent entries */
    uint32_t zero_ahead_size; /* zero-filled ahead of the write position */
    /* Room ahead is reserved, not written, where the vfs can: halves what a new segment writes, for
     * batches so large that the dearer sync does not count. */
    bool reserve_ahead;
    bool map_files;    /* store_read() maps files that change no more: no system call a read */
    size_t cache_size; /* bytes of decoded values kept; 0: none, else ≥ CACHE_SIZE_MIN */
    uint64_t journal_size_max; /* all segments together: over it STORE_E_NOSPACE */
    /* Segments and casks together, 0: any. Over it STORE_E_NOSPACE; only a flush round exceeds it,
     * by what it moves, until its victims are gone. */
    uint64_t size_max;
    /* Bytes that the files may take beyond three times what is alive before values wait for flush
     * (STORE_E_FULL), where it has something to gain; 0: any. */
    uint64_t slack_size;
    uint32_t files_max;     /* segments and casks, each of them a descriptor for as long as it is
                               there: over it STORE_E_NOSPACE; ≥ store_files_min(); 0: as many
                               as there are places */
    uint64_t space_reserve; /* bytes of the disk left untouched: STORE_E_NOSPACE */
    bool founded;           /* the node has been founded: a missing MANIFEST fences the shard */
    /* Flush. Without `digest` there is none: segments go only when nothing in them is needed. Pure;
     * called on any thread: the digest of a key, as store_apply() gets it. */
    void (*digest)(const void *context, const uint8_t *key, size_t size, struct keydir_digest *out);
    const void *digest_context;
    uint32_t flush_size_max; /* bytes that one round moves, about: so much memory it takes */
    uint32_t install_size; /* bytes of records that a snapshot which comes in holds in memory, then
                              writes as a cask; one larger record goes alone; 0: 4 MiB */
    uint64_t flush_rate;   /* bytes/s of I/O that flush may do without a backlog; 0: any */
    uint64_t scrub_rate;   /* bytes/s that scrub reads at rest; 0: only store_scrub() */
    uint64_t scrub_every_ms; /* from the beginning of one pass to that of the next, at least */
    /* What store_compress() does. A small value by itself costs more than it saves. */
    int compress_level;         /* of zstd, ≤ COMPRESS_LEVEL_MAX; 0: nothing */
    uint32_t compress_size_min; /* bytes */
    /* Data keys of store_encrypt() and store_expand(); NULL: none. Borrowed until store_close(). */
    const struct vault *vault;
};

#define STORE_PARTITION_META 0xFFFFu

/* A dictionary's record, sealed or not; and all of a partition as store_dictionaries_save() has
 * them. */
#define STORE_DICTIONARY_SIZE_MAX   (COMPRESS_DICTIONARY_SIZE_MAX + 96u)
#define STORE_DICTIONARIES_SIZE_MAX (COMPRESS_DICTIONARIES_MAX * (2 + STORE_DICTIONARY_SIZE_MAX))

enum store_e {
    STORE_E_OK,
    STORE_E_ABSENT,  /* no such key / nothing to do */
    STORE_E_FULL,    /* the queue's bound is reached; try again when a batch has been synced */
    STORE_E_NOSPACE, /* disk, journal cap or files_max reached, or the system has no descriptor for
                        another file (EMFILE, ENFILE); nothing was appended */
    STORE_E_AGAIN,   /* the bytes are on disk only: take store_read() */
    STORE_E_CORRUPT, /* bytes that were synced do not check */
    STORE_E_FENCED,  /* the shard's manifest or log cannot be read or trusted */
    STORE_E_NEWER,   /* written by a newer format */
    STORE_E_NO_KEY,  /* sealed with a data key that is not here */
    STORE_E_GONE,    /* the dictionary was replaced: the record has been written over since */
};

/* What replication saves of a partition at the start of each segment, and gets back first at
 * recovery. `state` is opaque here (configuration, replica id, logged time, sessions). */
struct store_checkpoint {
    uint32_t term;
    uint32_t vote;    /* member id, 0 for none */
    uint64_t applied; /* index the state below belongs to; also the durable commit */
    uint32_t applied_term;
    uint64_t first_index;     /* of the log that is still kept */
    uint32_t first_prev_term; /* term of the entry before first_index */
    const uint8_t *state;
    size_t state_size;
};

struct store_hard_state {
    uint32_t term;
    uint32_t vote;
    uint64_t commit;
};

/* The other side of the store: replication. Called on the shard thread. */
struct store_visitor {
    void *context;
    /* Before all others, when the manifest was read: whether a store that was founded with this
     * genesis, with what store_partitions() and store_ended() tell, can be this one. If not, it is
     * STORE_E_FENCED. NULL: any. */
    bool (*is_own)(void *context, const uint8_t hash[32]);
    /* Recovery, in journal order, then never again: */
    void (*on_checkpoint)(void *context, uint16_t partition,
                          const struct store_checkpoint *checkpoint);
    void (*on_hard_state)(void *context, uint16_t partition, const struct store_hard_state *state);
    /* One whole entry; records[0 … count). locations[i] is records[i]'s. As at run time it replaces
     * all entries of index >= its own. The visitor calls store_apply() when it knows them
     * committed. */
    void (*on_entry)(void *context, uint16_t partition, const struct record *records, size_t count,
                     store_location location, uint32_t size);
    /* A batch that is durable knows this commit of the partition. */
    void (*on_commit)(void *context, uint16_t partition, uint64_t commit);
    /* This partition's bytes before the synced mark, or in a data file, are damaged: it must not
     * vote, acknowledge or serve. Comes at run time too, when flush meets the damage. `why` is
     * valid as long as the store. */
    void (*on_fence)(void *context, uint16_t partition, const char *why);
    /* Run time: the store opens a segment and needs the partition's state now. Called for every
     * partition that is hosted. checkpoint->state is borrowed until the call after. */
    void (*save_checkpoint)(void *context, uint16_t partition, struct store_checkpoint *checkpoint);
};

/* The least files_max for a store of so many partitions. It does not shrink what is there: a store
 * that has more files opens them all. */
uint32_t store_files_min(size_t partitions);

/* Opens the folder, recovers by calling the visitor, and opens a new segment lazily at the first
 * append. Memory: *store is allocated and set before the first callback, so that the visitor can
 * call store_apply(); on failure it is NULL and nothing is left. Returns 0, STORE_E_FENCED (the
 * store is open but every partition was fenced), STORE_E_NEWER, or -errno. */
int store_open(struct store **store, struct vfs *vfs, const struct store_options *options,
               const struct store_visitor *visitor);
/* The first file that was needed then and that the disk did not give (vfs_is_unreadable()), with
 * the -errno; NULL, and *error is left alone: there was none. What it may hold is fenced: nothing
 * was changed on the disk for it, so that the next open has it if the disk gives it again. */
const char *store_unreadable(const struct store *store, int *error);
/* All jobs must have been run and given back. Frees. */
void store_close(struct store *store);

/* Tells which partitions live here at first, once, on an empty store, durable when it returns (one
 * manifest edit; straight I/O). hash: 32 bytes, the genesis hash, which they follow from; a later
 * call with the same changes nothing and returns 0; with another STORE_E_FENCED. */
int store_found(struct store *store, const uint8_t hash[32], const uint16_t *partitions,
                size_t count);
/* Those that live here now, as of the manifest; 0 before store_found(). Borrowed until one comes or
 * goes. */
size_t store_partitions(const struct store *store, const uint16_t **partitions);
/* Why the partition is fenced, as on_fence() was told; NULL: it is not, or is not here. */
const char *store_fenced(const struct store *store, uint16_t partition);

/* Takes on a partition, which begins empty whatever the journal holds of an earlier life, and gives
 * one up, with all that it has; each by one edit of the manifest, so that a crash leaves it as it
 * was or as it is to be. store_hosting() tells how far it is, and the partition is to be used only
 * when it is HERE.
 *
 * store_host(): checkpoint, if not NULL, is what recovery gives first until a newer one was taken;
 * applied must be 0. 0 (also when it is here or coming), STORE_E_FENCED, -ENOMEM or -EFBIG.
 * store_unhost(): at once nothing of it is here any more, and that life of it (a number of the
 * host's, not 0) is over for ever: store_ended(). What is under way comes to nothing: an install is
 * FAILED (and to be ended as ever), flush and scrub leave it out; reads that are out are
 * given back as ever. 0 (also when it is not here), STORE_E_AGAIN (it is coming, or jobs must run
 * first), STORE_E_FENCED or -ENOMEM. */
int store_host(struct store *store, uint16_t partition, const struct store_checkpoint *checkpoint);
int store_unhost(struct store *store, uint16_t partition, uint64_t life);
/* The highest of the partition's lives that are over here; 0: none is. */
uint64_t store_ended(const struct store *store, uint16_t partition);
enum store_hosting {
    STORE_HOSTING_NONE,
    STORE_HOSTING_COMING, /* jobs must run */
    STORE_HOSTING_HERE,
    STORE_HOSTING_GOING, /* gone, but a crash may bring it back yet: jobs must run */
};
/* A coming partition arrives within this call: ask until it is HERE, though not between
 * store_room() and its append. */
enum store_hosting store_hosting(struct store *store, uint16_t partition);

/* Makes room for an append of `size` padded bytes: 0, STORE_E_FULL or STORE_E_NOSPACE. After 0 the
 * next append of at most that size is not refused, also when a hard state comes before it. May seal
 * the open batch or open the next segment. Lets the host ask before it lets Raft decide. */
int store_room(struct store *store, size_t size);
/* Append one entry. records share partition, term and index; sub_index and sub_count are set here.
 * Writes the place and padded size of the whole entry. Entries of index >= this one are logically
 * truncated. Returns 0, STORE_E_FULL or STORE_E_NOSPACE. */
int store_append(struct store *store, struct record *records, size_t count,
                 store_location *location, uint32_t *size);
/* The same for bytes that are already records (a follower gets the leader's bytes): whole entries
 * of one partition with ascending indexes, already checked with record_decode(). Writes where the
 * first byte went; the others follow without gaps. All of it lies in one batch. */
int store_append_bytes(struct store *store, uint16_t partition, uint64_t first_index,
                       uint64_t last_index, const uint8_t *bytes, size_t size,
                       store_location *location);
/* Into the open batch. Never refused: there is a reserve for it in the queue. */
int store_append_hard_state(struct store *store, uint16_t partition,
                            const struct store_hard_state *state);
/* The newest commit known; rides in the directory of the next batch that names the partition. */
void store_commit(struct store *store, uint16_t partition, uint64_t commit);

/* Number of the batch that the next append goes to (from 1); all below store_synced()+1 are
 * durable. An append's batch is store_batch() as read right after it. */
uint64_t store_batch(const struct store *store);
uint64_t store_synced(const struct store *store);
/* Bytes appended and not yet synced. */
size_t store_queued(const struct store *store);

/* Jobs. A job is I/O without a thread: the host runs store_job_run() wherever it likes, then calls
 * store_done() on the shard thread with its result. store_next_job(WRITE) hands out at most one at
 * a time and seals the open batch if there is something in it. BACKGROUND: zero-fill ahead,
 * prepare the next segment, drop a dead one, make hints, flush, scrub: at most one at a time; and
 * beside it up to STORE_INSTALL_JOBS_MAX of snapshots that come in.
 * `now_ms` (monotonic) lets a lone synced mark follow within 100 ms. NULL when there is nothing to
 * do. */
#define STORE_INSTALL_JOBS_MAX 2u
enum store_job_class { STORE_JOB_WRITE, STORE_JOB_BACKGROUND, STORE_JOB_READ };
struct store_job *store_next_job(struct store *store, enum store_job_class class, uint64_t now_ms);
int store_job_run(struct store_job *job);
enum store_job_class store_job_class(const struct store_job *job);
/* Returns 0; -errno is fatal when the class is WRITE and the failure a sync's or a write's other
 * than vfs_is_full() before anything was promised: the host ends the process (a retry of fsync
 * lies). */
int store_done(struct store *store, struct store_job *job, int result);

/* Dictionaries of a partition, numbered from 1; replication adds each when its entry is applied,
 * and keeps their records in its state. A record says its number in its codec; one that is there
 * already is replaced, if the record's index is higher (else nothing is to be done). The record is
 * copied; one whose data key is not there is taken unseen. Returns 0, STORE_E_CORRUPT (no
 * dictionary, or a number that cannot be) or -ENOMEM. */
int store_dictionary_add(struct store *store, uint16_t partition, const struct record *record);
/* The same for a record as bytes. */
int store_dictionary_add_bytes(struct store *store, uint16_t partition, const uint8_t *bytes,
                               size_t size);
uint32_t store_dictionaries(const struct store *store, uint16_t partition); /* how many */
/* The number of the one in use, 0 for none; and the number that one after it is to get: a new one,
 * or with COMPRESS_DICTIONARIES_MAX of them that of the oldest. */
uint32_t store_dictionary_newest(const struct store *store, uint16_t partition);
uint32_t store_dictionary_next(const struct store *store, uint16_t partition);
/* Of the entry that brought the one in use; 0 for none. */
uint64_t store_dictionary_index(const struct store *store, uint16_t partition);
void store_dictionaries_clear(struct store *store, uint16_t partition);
/* All of them as bytes, for a checkpoint or snapshot: writes them to out unless it is NULL, and
 * returns their size, STORE_DICTIONARIES_SIZE_MAX at most. Sealed ones are sealed with the vault's
 * current key, in their place and of the same size, if it knows both. */
size_t store_dictionaries_save(struct store *store, uint16_t partition, uint8_t *out);
/* Whether these bytes are such. */
bool store_dictionaries_sound(const uint8_t *bytes, size_t size);
/* Takes them, which are sound, in the place of those there are. As store_dictionary_add(). */
int store_dictionaries_load(struct store *store, uint16_t partition, const uint8_t *bytes,
                            size_t size);
/* A job of class READ that makes a dictionary of samples, which are copied. store_read_result()
 * gives it and `context` back; no bytes: they have too little in common, or it would hardly do
 * better than what the partition has. NULL: no memory. */
struct store_job *store_train(struct store *store, uint16_t partition,
                              const struct samples *samples, void *context);

/* Compresses the values of the partition's PUT records in place, where options.compress_level asks
 * for it and it pays, with its newest dictionary if it has one; sets flag and codec. The new values
 * are borrowed from the store until the next call of it. For whoever makes a record; bytes that are
 * records already stay as they are. */
void store_compress(struct store *store, uint16_t partition, struct record *records, size_t count);
/* Whether what is written here is sealed: options.vault has a current key. */
bool store_encrypts(const struct store *store);
/* Seals the PUT, DELETE and DICTIONARY records in place, if store_encrypts(), as the last thing
 * before they are appended: their places and sub-indexes must be those they get. tail: random bits.
 * New keys and values are borrowed until the next call of it. Returns 0 or -ENOMEM: nothing was
 * changed. */
int store_encrypt(struct store *store, struct record *records, const struct keydir_digest *digests,
                  size_t count, uint64_t tail);
/* Makes key and value of a record that was read what they were before store_encrypt() and
 * store_compress(): nothing to do for a plain one, else borrowed from the store until the next call
 * of it. Works whatever compress_level is. Returns 0, STORE_E_CORRUPT, STORE_E_NO_KEY, STORE_E_GONE
 * or -ENOMEM; *record is unchanged then. */
int store_expand(struct store *store, struct record *record);
/* The same without decompression: only the key is wanted. */
int store_decrypt(struct store *store, struct record *record);

/* Reads. */
/* Finds the newest applied record of a key. Returns 0, STORE_E_ABSENT (never written), with
 * entry->tombstone set for deleted ones. */
int store_find(const struct store *store, uint16_t partition, const struct keydir_digest *digest,
               struct keydir_entry *entry);
/* Gives size bytes at location without waiting: from the batches in memory (borrowed, no copy) or
 * from the page cache into the store's scratch. For keydir entries size may exceed the record
 * (size class); fewer bytes come back at the end of a file. Returns 0, STORE_E_AGAIN or -errno. */
int store_peek(struct store *store, store_location location, size_t size, const uint8_t **bytes,
               size_t *bytes_size);
/* Whether what the newest store_peek() gave was read from a file, not lent from memory. */
bool store_peeked_file(const struct store *store);
/* True when the batch that holds it is in memory still, and so are all that came after it. */
bool store_recent(const struct store *store, store_location location);
/* A read job for the same; `context` is given back by store_read_result() after it has run, with
 * bytes borrowed until store_done(). It pins the file until then. */
struct store_job *store_read(struct store *store, store_location location, size_t size,
                             void *context);
void *store_read_result(struct store_job *job, const uint8_t **bytes, size_t *bytes_size);

/* What lies at a location of a keydir entry can be read until it is let go of again, whatever
 * becomes of the entry. */
void store_pin(struct store *store, store_location location);
void store_unpin(struct store *store, store_location location);

/* The cache of decoded values, options.cache_size bytes. key->location is what store_find() gave:
 * only applied records are kept, and store_apply() drops what it replaces, so that a hit is what a
 * read would give. value is borrowed until the next call of one of these or of store_apply().
 * Returns 0 or STORE_E_ABSENT. */
int store_cached(struct store *store, const struct cache_key *key, struct cache_value *value);
/* Keeps a value that was read, checked and found to be the key's. */
void store_cache(struct store *store, const struct cache_key *key, const struct cache_value *value);

/* Such a record is about to be applied or found: what its key needs comes nearer, beside other
 * work. */
void store_prefetch(const struct store *store, uint16_t partition,
                    const struct keydir_digest *digest);
/* The record at location (of digest) is applied: the keydir points at it from now on and the bytes
 * of what it replaces are dead. Tombstones too. Returns 0 or -ENOMEM. */
int store_apply(struct store *store, uint16_t partition, const struct keydir_digest *digest,
                store_location location, uint32_t record_size, bool tombstone, bool expires);
/* Keys that are there (tombstones not counted). */
uint64_t store_keys(const struct store *store, uint16_t partition);
/* Of those, how many carry an expiry. */
uint64_t store_expiring(const struct store *store, uint16_t partition);
/* A part of the partition's applied entries in the order of their digests, see keydir.h. */
void store_slice(const struct store *store, uint16_t partition, struct keydir_slice *slice);
/* Log entries below first_index are no longer needed as log (they stay as data). Segments whose
 * records are all dead or below it are dropped and recycled by background jobs. */
void store_retain(struct store *store, uint16_t partition, uint64_t first_index);
/* What checkpoints say is to outlast a crash: the next one is taken soon. */
void store_checkpoint_soon(struct store *store);
/* The first index that the partition would have to keep for the log of all partitions to take no
 * more than about log_size_max bytes of segments; 0 when they do. An idle partition whose few
 * entries lie in an old segment holds up all that came behind: it is moved by force. */
uint64_t store_retain_wanted(const struct store *store, uint16_t partition, uint64_t log_size_max);
/* Bytes of the segments that are still log. */
uint64_t store_log_bytes(const struct store *store);
/* An entry that lies there is in a segment that is to go by the same measure. Where the log cannot
 * be let go, for the entry is not decided, all undecided ones of the partition are appended again,
 * in one call of store_append_bytes(). */
bool store_holds_up(const struct store *store, store_location location, uint64_t log_size_max);

/* Bytes of all records that a keydir points at, about; tombstones too. */
uint64_t store_live(const struct store *store);
/* Of a partition that lives here, about, without tombstones: what a copy of it takes. */
uint64_t store_live_bytes(const struct store *store, uint16_t partition);
/* How large segments are made now: in proportion to what is alive, at most options.segment_size. */
uint32_t store_segment_size(const struct store *store);

/* Asks for a flush of every retired segment and cask there is now that has dead bytes, as fast as
 * it goes, and before any other; asked for again, another one follows it. store_stats() tells how
 * far it is: flush_demanded until it is done. 0, or STORE_E_FENCED: nothing is written
 * here any more. */
int store_flush(struct store *store);
/* As store_flush(), for a host whose log goes as soon as it is applied: also for what the segments
 * have that are no data files yet, the open one too, which takes no more then, unless the disk is
 * full; and until the files that were emptied are removed, but those that a read holds. One demand
 * is done with after the other: *demand is this one's, and done with when stats.flushes_served has
 * come to it, however much is written meanwhile. */
int store_flush_all(struct store *store, uint64_t *demand);

/* Asks for a pass of the scrub from its beginning, as fast as it goes: all that is synced is
 * read again and checked. store_stats() tells how far it is: scrub.running is true until
 * it is over. What was damaged and alive has fenced its partitions then. 0, or STORE_E_FENCED:
 * nothing is read here any more. */
int store_scrub(struct store *store);
/* Bytes of files that the pass under way, or asked for, is still to read. Goes over all files. */
uint64_t store_scrub_left(const struct store *store);

struct store_scrub_stats {
    bool running;          /* store_scrub() is not done with yet */
    uint64_t demands;      /* calls of it */
    uint64_t files, bytes; /* of the pass under way, or of the last */
    uint64_t passes;       /* that are over, since the start */
    uint64_t ended_ms;     /* when the last was, as of store_next_job()'s now_ms */
    uint64_t faults;       /* places that did not check, */
    uint64_t dead;         /* files in which they hit nothing that is needed */
    uint64_t unread;       /* files that the disk did not give */
};

struct store_stats {
    uint64_t segments, segments_recycled, segments_dropped, journal_bytes, batches, syncs, entries,
        bytes_appended;
    uint64_t keys, tombstones, keydir_bytes;
    uint64_t casks, casks_dropped, cask_bytes, segments_retired;
    uint64_t tail_bytes;              /* of segments that are still log */
    uint64_t flushes, flushes_failed; /* rounds begun, rounds given up */
    uint64_t flush_bytes;             /* written to casks */
    uint64_t flush_reclaimed;         /* bytes of victims, less those of their casks */
    uint64_t flush_victims;           /* files that were worth it when the last round began */
    uint64_t flush_files;             /* victims of rounds that are done */
    uint64_t flush_demands;           /* calls of store_flush() and store_flush_all(), */
    uint64_t flushes_served;          /* and of them the newest that is done with */
    uint64_t flush_left_files;        /* that the one under way is still to take, */
    uint64_t flush_left_bytes;        /* and their length */
    uint64_t tombstones_dropped;
    uint64_t compress_in, compress_out; /* bytes of the values that compression saw and left */
    bool flush_demanded;
    bool flushing; /* a round is under way, or one is demanded */
    struct store_scrub_stats scrub;
    bool fenced;              /* the whole shard: its manifest cannot be trusted */
    struct cache_stats cache; /* all 0 without one */
    bool disk_full;
};
void store_stats(const struct store *store, struct store_stats *stats);
/* Parts of them that cost little; all 0 without a cache. */
void store_scrub_stats(const struct store *store, struct store_scrub_stats *stats);
void store_cache_stats(const struct store *store, struct cache_stats *stats);
/* The next segment cannot be prepared: what room is left is for deletes. Heals by itself. */
bool store_disk_full(const struct store *store);

/* Walks the invariants: every keydir entry lies in an open segment, live counts fit. Test use. */
void store_check(const struct store *store);
/* A digest of the partition's applied content: independent of order and location, over (key,
 * value) of every key that is there; tombstones do not count. Reads the records; the simulator
 * compares replicas of equal applied index with it. Returns 0, STORE_E_AGAIN, STORE_E_CORRUPT or
 * -errno. */
int store_digest(struct store *store, uint16_t partition, uint64_t *digest);

#endif
