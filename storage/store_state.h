/* Store state: what the files store*.c and recovery.c share. Nothing else includes it. */
#ifndef STORAGE_STORE_STATE_H
#define STORAGE_STORE_STATE_H

#include <errno.h>

#include "storage/casks.h"
#include "storage/filename.h"
#include "storage/flush.h"
#include "storage/hint_build.h"
#include "storage/install.h"
#include "storage/journal.h"
#include "storage/journal_segment.h"
#include "storage/manifest.h"
#include "storage/scrub.h"
#include "storage/store.h"
#include "storage/store_gather.h"
#include "storage/store_snapshot.h"
#include "storage/store_totals.h"

#define STORE_MARK_MS       100u /* a lone synced mark follows a sync within this */
#define STORE_RETRY_MS      100u /* a full disk is tried again after this */
#define STORE_JOB_BATCHES   64u  /* batches a write job takes at most */
#define STORE_HARD_SIZE     64u  /* bytes of a hard state's record */
#define STORE_ROOM_HARD     2u   /* hard states that store_room() allows for */
#define STORE_READ_JOBS_MAX 64u  /* read jobs kept for reuse */
#define STORE_SPARES_MAX    3u
#define STORE_SCRATCH_SIZE  (256u << 10)
#define STORE_SCRATCH_MAX   (64u << 20)

/* One with which values of a partition are compressed; the newest only has an encoder. */
struct store_dictionary {
    struct compress_dictionary *dictionary; /* NULL: its data key was not there yet */
    uint64_t index;                         /* of its entry */
    uint8_t *record;                        /* as it was logged, or sealed again */
    size_t record_size;
};

struct store_partition {
    uint16_t number;
    bool is_hosted;
    const char *fenced; /* why, as on_fence() was told; NULL: it is not */
    uint32_t fences;    /* so many times it was */
    bool coming;        /* store_host(): not hosted before its edit is durable */
    uint32_t slot;      /* its place among all: index into per-segment arrays */
    struct keydir *keydir;
    struct store_dictionary dictionaries[COMPRESS_DICTIONARIES_MAX]; /* by number - 1 */
    uint32_t dictionary_count;
    uint64_t last_index; /* of the log as appended */
    uint64_t commit;
    uint64_t commit_sealed;            /* the newest that a sealed batch carries */
    uint32_t generation;               /* its content was replaced or given up so many times */
    uint64_t host_ticket;              /* of the edit that took it on or gave it up last, */
    uint64_t host_batch;               /* and what was open then: no batch is of both times */
    char why[80];                      /* what on_fence() was given when a data file is damaged */
    uint64_t retain;                   /* first index that replication still needs as log */
    uint64_t checkpoint_next;          /* first index of one that is being put together, */
    uint64_t checkpoint_first;         /* of the newest checkpoint taken */
    uint64_t checkpoint_first_durable; /* of the newest that is durable */
    bool checkpoint_on_floor;          /* the newest taken is behind its floor */
    bool hard_pending;                 /* hard goes into the open batch when it is sealed */
    struct store_hard_state hard;
    uint64_t floor_applied; /* recovery: of the snapshot that its floor stands for; */
    bool unbroken;          /* all of its log behind that floor is there */
    uint32_t casks_small;   /* that are better merged */
};

/* A flush that was asked for. */
struct store_demand {
    uint64_t number;   /* of all demands; 0: none */
    uint64_t until[2]; /* for segments and casks of numbers below these, */
    uint8_t key;       /* also those that may have records under another data key; 0: not */
    bool all;          /* also for segments that are no data files, and until all is removed */
};

/* The file of a dropped segment: what is to be written over costs no zeros before. */
struct store_spare {
    uint64_t number;
    uint32_t size;
};

enum store_job_kind {
    STORE_JOB_KIND_WRITE,
    STORE_JOB_KIND_READ,
    STORE_JOB_KIND_GATHER, /* of class READ too */
    STORE_JOB_KIND_TRAIN,
    STORE_JOB_KIND_PREPARE,
    STORE_JOB_KIND_ZERO,
    STORE_JOB_KIND_MANIFEST,
    STORE_JOB_KIND_REMOVE,
    STORE_JOB_KIND_HINT,    /* a step of a hint that is made */
    STORE_JOB_KIND_FLUSH,   /* a step of a flush */
    STORE_JOB_KIND_INSTALL, /* a step of a snapshot that comes in */
    STORE_JOB_KIND_SCRUB,   /* a step of a scrub */
    STORE_JOB_KIND_STEP,    /* no I/O: lets the host come back for the next slice */
};

/* All that store_job_run() may touch. */
struct store_job {
    enum store_job_class class;
    enum store_job_kind kind;
    struct vfs *vfs;
    struct vfs_file *file; /* PREPARE opens it */
    /* WRITE */
    struct iovec iov[STORE_JOB_BATCHES];
    size_t batch_count;
    uint64_t epoch;
    uint64_t offset; /* READ too */
    /* READ */
    struct store_job *free_next;
    struct data_file *data_file; /* shard thread only */
    void *context;
    uint8_t *buffer;
    size_t buffer_capacity;
    const uint8_t *map; /* READ: of the whole file, instead of the buffer */
    size_t size;
    size_t got;
    struct store_gather *gather; /* GATHER */
    /* PREPARE, ZERO, REMOVE */
    char folder[FILENAME_PATH_SIZE];
    uint64_t number;
    uint64_t spare;                  /* PREPARE: number of the file to take over, 0 for none */
    struct journal_segment *segment; /* shard thread only; WRITE too */
    uint32_t zero_from;              /* ZERO */
    uint32_t zero_to;
    bool reserve;    /* PREPARE, ZERO: not written */
    uint32_t length; /* PREPARE: bytes the file has now */
    /* REMOVE: which of the files of `number` */
    bool remove_segment, remove_hint, remove_cask;
    uint16_t partition; /* of a cask */
    struct hint_build *hint;
    struct flush *flush;
    struct scrub *scrub;
    int step; /* HINT, FLUSH: how far it got */
    struct install *install;
    bool install_remove;
    uint64_t space_reserve;
    /* MANIFEST */
    struct manifest_write write;
};

struct store_scratch {
    struct store_scratch *next;
    size_t used;
    size_t size;
    uint8_t bytes[];
};

struct store {
    struct vfs *vfs;
    struct store_options options;
    char folder[FILENAME_PATH_SIZE];
    struct store_visitor visitor;
    struct manifest manifest;
    struct journal journal;
    struct data_files files;
    struct journal_segments segments;
    struct casks casks;
    struct store_totals totals;
    struct journal_segment *current; /* NULL before the first append */
    struct journal_segment *next;    /* NULL or PREPARED */
    uint64_t next_ticket;            /* of the edit that lists `next` */
    uint64_t next_wanted;            /* bytes `next` must have before it can be used */
    struct store_partition *parts;   /* by partition; META last */
    size_t part_count;
    uint16_t *hosted; /* numbers of the hosted ones; room for all */
    size_t hosted_count;
    bool fenced; /* the whole shard: nothing is written any more */
    bool failed; /* a write or sync failed: nothing may be promised any more */

    uint16_t *hard_list; /* partitions with hard_pending, in order of arrival; room for all */
    size_t hard_count;

    uint64_t checkpoints_taken;
    uint64_t checkpoints_durable;
    uint64_t checkpoint_batch; /* that holds the newest taken */
    uint64_t checkpoint_size;  /* bytes of its records and runs */

    bool marks_wanted;     /* flush waits for every commit to be durable */
    bool checkpoint_asked; /* store_checkpoint_soon() */
    uint64_t marks_batch;  /* that carries them */

    struct hint_build hint;      /* of hint_file, while there is one */
    struct data_file *hint_file; /* pinned */
    uint64_t hint_retry_ms;      /* not before */
    bool hint_failed;            /* hint_retry_ms is to be set */
    struct flush flush;
    uint64_t flush_due_ms; /* the pace: no step before */
    uint64_t flush_now_ms; /* when the step that is out began */
    bool flush_turn;       /* before the next step of retiring */
    bool flush_failed;     /* the last round ended in ABORT: wait a while, */
    bool flush_stuck;      /* and nobody waits for it until one, or a hint, ends well */
    struct store_demand flush_demand, flush_demand_next; /* under way, and that follows */
    struct store_install *installs;
    size_t install_count;
    struct install_room install_rooms[STORE_INSTALLS_MAX]; /* not in use; none without installs */
    size_t install_room_count;
    struct scrub scrub;
    bool scrub_pass;         /* one is under way, */
    size_t scrub_slots;      /* over so many of them, */
    size_t scrub_slot;       /* its next one, modulo those, */
    size_t scrub_left;       /* and how many it has not come to */
    bool scrub_demanded;     /* store_scrub(): the next pass begins now */
    bool scrub_urgent;       /* the pass was demanded: as fast as it goes */
    unsigned scrub_tries;    /* of a step that failed */
    uint64_t scrub_begun_ms; /* the pass */
    uint64_t scrub_step_ms;  /* the newest step */
    uint64_t scrub_pause_ms; /* behind it, and */
    uint64_t scrub_due_ms;   /* its end: no step before */

    uint64_t mark_carried; /* newest synced number that a batch has carried */
    uint64_t mark_due_ms;  /* 0: not waiting */
    bool mark_last;        /* the newest batch is a lone mark */

    bool disk_full;
    bool retry;          /* preparing waits after -ENOSPC */
    bool retry_manifest; /* writing the manifest does */
    bool retry_files;    /* there was no descriptor: a spare file is no help */
    uint64_t retry_ms;   /* 0: set at the next call that knows the time */
    bool write_retry;    /* the write job waits */
    uint64_t write_retry_ms;
    struct store_spare spares[STORE_SPARES_MAX]; /* files that the next segments take over */
    size_t spare_count;

    /* What store_room() made and nothing has used up: the next append of at most so many bytes
     * fits, with so many hard states before it. */
    size_t room;
    unsigned room_hard;

    struct store_job write_job, background_job;
    bool write_busy, background_busy; /* installs have jobs of their own */
    size_t install_jobs_out;
    struct store_job *read_free;
    size_t read_free_count;
    size_t reads_out;
    struct store_scratch *scratch;
    size_t scratch_size;
    bool peeked_file;
    struct cache *cache;       /* NULL: none wanted */
    struct compress *compress; /* NULL until it is needed */
    uint8_t *packed;           /* what store_compress() gave */
    size_t packed_capacity;
    uint8_t *plain; /* what store_expand() gave */
    size_t plain_capacity;
    uint8_t *sealed; /* what store_encrypt() gave */
    size_t sealed_capacity;
    uint8_t *opened; /* what store_decrypt() gave */
    size_t opened_capacity;
    struct store_stats stats;
    char unreadable[FILENAME_PATH_SIZE]; /* what the open was not given, */
    int unreadable_error;                /* and why, -errno; 0: there is none */
};

/* store.c */
struct store_partition *store_partition(const struct store *store, uint16_t number);
/* Sets up the partitions that the manifest names. 0 or -ENOMEM. */
int store_host_partitions(struct store *store);
void store_fence_all(struct store *store, const char *why);
void store_fence_partition(struct store *store, struct store_partition *part, const char *why);

/* store_hosting.c */
/* The partition, which has a keydir, counts as hosted from now on. */
void store_host_part(struct store *store, struct store_partition *part);
/* Lets batches that are begun from now on have room for so many partitions. No batch may be open. 0
 * or -ENOMEM. */
int store_host_reserve(struct store *store, size_t count);

/* store_append.c */
/* Notes an entry of the partition at (segment, offset): truncation, last and highest index. Used by
 * appends and by recovery alike. 0 or -ENOMEM. */
int store_note_entries(struct store *store, struct store_partition *part,
                       struct journal_segment *segment, uint32_t offset, uint64_t first,
                       uint64_t last, bool relocated);
/* Seals what is open, hard states included. False when there is nothing to seal, or no place. */
bool store_seal(struct store *store);
/* Bytes that hard states and a lone mark may still need behind the open batch's entries. */
uint64_t store_reserve(const struct store *store);
/* Appends a checkpoint of all partitions to the open batch, when a full disk waits for one. */
void store_checkpoint_if_wanted(struct store *store);
/* Leaves the open segment, or appends a checkpoint, when a flush waits for it. */
void store_flush_seal(struct store *store);

/* store_segments.c */
/* All that the journal's files take, those that are kept for later too. */
uint64_t store_journal_bytes(const struct store *store);
struct store_job *store_background_next(struct store *store, uint64_t now_ms);
int store_background_done(struct store *store, struct store_job *job, int result);
/* The work of the background jobs; touches only the job. */
int store_background_run(struct store_job *job);
/* Makes, opens or takes over the file of the first segment straight on (at open and founding). A
 * full disk is no error: background jobs try again. */
int store_prepare_first(struct store *store);
/* A segment was begun. When a cap leaves no room for one behind it, the store is full from now on,
 * while this one has room for deletes, not when the job that would prepare it gets its turn. */
void store_foresee_full(struct store *store);
/* Gives a segment's file the header of its number and epoch, durable; straight on. */
int store_header_rewrite(const struct journal_segment *segment);
bool store_segment_droppable(const struct store *store, const struct journal_segment *segment,
                             bool with_new_checkpoint);

/* store_files.c */
/* Another segment or a snapshot's cask would be one file too many. */
bool store_files_short(const struct store *store);
/* Not far from it: any retired segment is better off as casks. */
bool store_files_short_soon(const struct store *store);
/* The disk is full, or there is no descriptor: nothing is lost, it is tried again. */
static inline bool store_is_short(int result)
{
    return vfs_is_full(result) || result == -EMFILE || result == -ENFILE;
}

/* store_retire.c */
/* Retires what is no log any more, in order: the next job for that, or NULL. */
struct store_job *store_retire_next(struct store *store, uint64_t now_ms);
/* It is no log any more, as of the newest durable checkpoint; with_new_checkpoint: as if one were
 * taken now. */
bool store_segment_retirable(const struct store *store, const struct journal_segment *segment,
                             bool with_new_checkpoint);
/* There is a segment to be retired. */
bool store_retire_pending(const struct store *store);
void store_retire_done(struct store *store, int result);
/* The disk has not given something of the file. */
void store_unread(struct store *store, struct data_file *file);
/* The file holds something damaged that is the partition's: fences it. */
void store_damaged(struct store *store, struct data_file *file, uint16_t partition);
/* Starts a build for a segment or cask of the store, with what is known to be truncated or void. */
int store_hint_begin(struct store *store, struct data_file *file, struct hint_build *build);
/* It ended in HINT_BUILD_E_DAMAGED. */
void store_hint_damaged(struct store *store, struct data_file *file,
                        const struct hint_build *build);
struct hint_subject store_hint_subject(const struct data_file *file);

/* store_flush.c */
struct store_job *store_flush_next(struct store *store, uint64_t now_ms);
void store_flush_done(struct store *store, struct store_job *job, int result);

/* store_scrub.c */
struct store_job *store_scrub_next(struct store *store, uint64_t now_ms);
void store_scrub_done(struct store *store, int result);

/* store_snapshot.c */
/* Where the next thing that is appended goes: all before it is of the time before. */
void store_floor_here(struct store *store, struct manifest_floor *floor);
/* Nothing of the partition lives any more; its keydir is freed. */
void store_keydir_drop(struct store *store, struct store_partition *part);
/* All casks that are listed of the partition, also those whose files the start did not find, go
 * with the edit that is being queued; nothing points into them any more,
 * and room was made in the manifest for so many items. */
void store_casks_drop(struct store *store, const struct store_partition *part);
/* What did not check may be void now: who needs the file looks at it again. */
void store_damage_forget(struct store *store);
/* The install under way into the partition comes to nothing. */
void store_install_abort(struct store *store, const struct store_partition *part);
/* What a snapshot brought has taken the place of what the partition was, which is not durable yet:
 * no checkpoint has it, neither what was, which would be read behind the floor, nor what will be.
 */
bool store_install_switched(const struct store *store, const struct store_partition *part);
struct store_job *store_install_next(struct store *store);
int store_install_run(struct store_job *job);
void store_install_job_done(struct store *store, const struct store_job *job, int result);
void store_installs_free(struct store *store);

/* store_progress.c */
/* At open: what the manifest lists of snapshots on their way in waits to be taken up. What is
 * missing or does not check is forgotten with all of its snapshot. 0 or -errno. */
int store_progress_recover(struct store *store);

/* store_victims.c */
/* Dead bytes in data files beyond what may be. */
uint64_t store_flush_backlog(const struct store *store);
/* It has fallen behind: the files take more than they may, and it could do something about that. */
bool store_flush_lags(const struct store *store);
/* The pace does not matter now: there is no room. */
bool store_flush_urgent(const struct store *store);
/* One that was asked for is not done with. */
static inline bool store_flush_demanded(const struct store *store)
{
    return store->flush_demand.number > 0;
}
/* Files that store_flush() asked for and that are still to be taken, and their length. */
uint64_t store_flush_left(const struct store *store, uint64_t *bytes);
/* The flush that is demanded waits for the segment to become a data file, or to go. */
bool store_flush_awaits(const struct store *store, const struct journal_segment *segment);
/* Begins a round when there is something to gain. */
bool store_flush_choose(struct store *store);
/* Lets go of the victims' pins. */
void store_flush_release(struct store *store);

/* store_segments.c */
/* A background job of this kind; none may be out. */
struct store_job *store_background_begin(struct store *store, enum store_job_kind kind);

/* store_jobs.c */
/* A job of class READ, to be given back by store_read_job_end(). NULL: no memory. */
struct store_job *store_read_job(struct store *store, void *context);
void store_read_job_end(struct store *store, struct store_job *job);

/* store_gather.c */
int store_gather_run(struct store_job *job);
void store_gather_done(struct store *store, struct store_job *job);

/* store_dictionary.c */
/* Opens the dictionary if it is not open. 0, STORE_E_CORRUPT, STORE_E_NO_KEY or -ENOMEM. */
int store_dictionary_ready(struct store *store, struct store_partition *part, uint32_t number);
int store_train_run(struct store_job *job);
void store_train_done(struct store *store, struct store_job *job);

/* store_read.c */
void store_scratch_reset(struct store *store);
void store_scratch_free(struct store *store);

#endif
