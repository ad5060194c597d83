/* Flush: one round of moving what is still alive out of files that are mostly dead.
 *
 * A round takes victims - retired segments and casks - through these stages:
 *   SCAN  (job)    reads a piece of a victim's hint
 *   KEEP  (thread) keeps of that piece what the keydir still points at, a slice a call
 *   READ  (job)    copies the records kept into memory, in the order they lie on disk, and seals
 *                  them with the newest data key if they are sealed with another
 *   SORT  (job)    by partition and key
 *   WRITE (job)    casks and their hints
 *   SYNC  (job)    the casks, then the names of all
 *   EDIT  (thread) one manifest edit lists the casks and drops the victims
 *   MOVE  (thread) the keydir follows, by compare-and-swap, a slice a call
 *   ABORT (job)    instead of EDIT: removes what was written; nothing has changed
 * Until the edit is durable nothing points to the casks; from then on nothing needs the victims. A
 * record that is overwritten on the way stays dead: its swap fails.
 *
 * This file is the half that runs as jobs, each about step_size bytes of I/O; store_flush.c is the
 * half that runs on the shard thread. They take turns: whoever has the round touches it alone.
 *
 * Which victims: those of the least declining cost. Emptying a file of live share u costs u for a
 * gain of 1 - u, and gets cheaper the longer one waits, by u × rate / (1 - u)², where rate is the
 * share of it that dies in a time: the file goes first that would gain least by waiting (Lomet and
 * Luo, Efficiently Reclaiming Space in a Log Structured Store, ICDE 2021). When all die alike that
 * is the emptiest first, which is best then; a file that is cold goes before an equally full hot
 * one. Cost-benefit by age (Rosenblum and Ousterhout, 1991) does that only where age foretells
 * death: under uniform overwrites it moves what is old and still quite alive.
 */
#ifndef STORAGE_FLUSH_H
#define STORAGE_FLUSH_H

#include "storage/casks.h"
#include "storage/filename.h"
#include "storage/hint.h"
#include "storage/vault.h"

#define FLUSH_VICTIMS_MAX 128u
#define FLUSH_STEP_SIZE   (1u << 20)
#define FLUSH_SLICE_MAX   512u /* keydir look-ups a call of the shard thread */

enum flush_stage {
    FLUSH_IDLE,
    FLUSH_SCAN,
    FLUSH_KEEP,
    FLUSH_READ,
    FLUSH_SORT,
    FLUSH_WRITE,
    FLUSH_SYNC,
    FLUSH_EDIT,
    FLUSH_LISTED, /* the edit is queued */
    FLUSH_MOVE,
    FLUSH_ABORT,
};

enum flush_e {
    FLUSH_E_OK,      /* the stage is over: the next one is set */
    FLUSH_E_MORE,    /* take the next step */
    FLUSH_E_HINT,    /* victims[bad]: its hint does not check */
    FLUSH_E_DAMAGED, /* victims[bad]: a record of bad_partition does not check */
};

struct flush_victim {
    struct data_file *file; /* shard thread only, but for ->file */
    struct hint_subject subject;
    uint16_t partition; /* of a cask */
    bool dead;          /* nothing points into it: not read at all */
    bool merge;         /* a cask that is alive: only for the sake of fewer files */
    uint64_t kept;      /* live records found */
};

/* A record that is to be moved. */
struct flush_record {
    struct hint_entry entry; /* its place in the victim */
    uint32_t victim;
    uint32_t at;     /* in the arena */
    uint32_t key_at; /* the same of its key */
    uint16_t key_size;
    uint32_t output; /* which cask, and */
    uint32_t offset; /* where in it */
};

struct flush_records {
    struct flush_record *items;
    size_t count;
    size_t capacity;
};

struct flush_output {
    struct manifest_cask info;
    struct vfs_file *file;
    struct cask_file *cask; /* shard thread: once it has a slot */
};

struct flush {
    struct vfs *vfs;
    char folder[FILENAME_PATH_SIZE];
    enum flush_stage stage;
    size_t step_size;
    struct flush_victim victims[FLUSH_VICTIMS_MAX];
    size_t victim_count;

    /* SCAN */
    size_t victim_at;
    struct vfs_file *hint_file;
    struct hint hint;
    struct hint_cursor cursor;
    size_t partition_at;
    bool hint_open, cursor_open;
    struct flush_records scanned; /* a piece, for KEEP */
    size_t scanned_at;

    struct flush_records kept;
    struct flush_records gone; /* tombstones that go for good */

    uint8_t *arena;
    size_t arena_size, arena_used;
    uint8_t *window;
    size_t window_size;
    uint32_t window_base, window_filled;
    size_t window_victim;
    size_t at; /* READ, WRITE, MOVE: how far */

    uint64_t number_next, number_end; /* for casks */
    struct flush_output *outputs;
    size_t output_count, output_capacity;

    size_t bad;
    uint16_t bad_partition;
    uint64_t bytes_done; /* of I/O, by the step */

    /* Sealed records that are moved are sealed with this data key from then on; 0: none. */
    const struct vault *vault;
    uint8_t key_id;
    bool key_missed;   /* one of them could not be: its key is not here */
    uint8_t *resealed; /* a record's key and value */
    size_t resealed_capacity;

    /* The shard thread's own. */
    uint64_t *safe_index; /* by store_partition.slot: tombstones below it go */
    uint32_t *generations;
    uint64_t ticket;
};

/* How much a victim is worth: live, not 0, and length in bytes; rate > 0: the share of what is
 * alive that dies in a time. */
double flush_score(uint64_t live, uint64_t length, double rate);

/* One step of SCAN, READ, SORT, WRITE, SYNC or ABORT. An enum flush_e or -errno. ABORT gives 0. */
int flush_step(struct flush *flush);
/* Frees all memory and closes what was opened; files stay. The stage is IDLE then. */
void flush_end(struct flush *flush);
int flush_records_add(struct flush_records *records, const struct flush_record *record);

#endif
