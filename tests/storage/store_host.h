/* Store host: the smallest replication layer that a store can serve, for tests.
 *
 * Each partition has a log, a commit and an applied index, moved by the test; keys are small
 * numbers and every value is unique. It keeps what a replica keeps (the log window, term and vote),
 * applies what is committed, and remembers every operation with the batch it went into, so that
 * after a crash the recovered state can be compared with exactly what a number of batches holds. */
#ifndef TESTS_STORE_HOST_H
#define TESTS_STORE_HOST_H

#include "storage/store.h"

#define HOST_PARTITIONS 4u
#define HOST_KEYS       12u
#define HOST_LOG_MAX    8192u

struct host_entry {
    uint32_t term;
    uint32_t key;   /* HOST_KEYS: a no-op */
    uint64_t value; /* 0: a tombstone */
    store_location location;
    uint32_t size;
};

struct host_partition {
    uint32_t term, vote;
    uint64_t first, last, commit, applied;
    uint32_t checkpoint_count;
    uint64_t checkpoint_seen_min; /* at recovery: the lowest applied index of one; 0: none seen */
    struct host_entry *log;       /* by index */
    uint64_t log_used;            /* no index above it was ever written */
    bool fenced;
    bool gone; /* not hosted: nothing is known of it */
    const char *why;
};

enum host_op_kind { HOST_OP_ENTRY, HOST_OP_HARD };
struct host_op {
    uint64_t batch;
    uint8_t kind;
    uint16_t partition;
    uint64_t index;
    struct host_entry entry;
    uint32_t term, vote;
};

struct host {
    struct vfs *vfs;
    struct store *store;
    struct store_options options;
    struct host_partition parts[HOST_PARTITIONS];
    struct host_op *ops;
    size_t op_count, op_capacity;
    uint64_t now_ms;
    uint64_t value_next;
    uint32_t padding; /* bytes added to every value */
    int open_result;
    uint64_t entries_seen, commits_seen;          /* at recovery */
    struct store_job *write_job, *background_job; /* handed out and held back by the test */
};

/* Of a key, as the store gets it. */
struct keydir_digest host_digest(uint32_t key);
void host_options(struct store_options *options);
void host_init(struct host *host, struct vfs *vfs);
void host_deinit(struct host *host); /* closes */
/* Opens with a fresh replica state. Returns store_open()'s answer. */
int host_open(struct host *host);
void host_close(struct host *host); /* as a crash: jobs in flight are dropped after their run */
void host_found(struct host *host);

/* Appends one entry; truncates what is there at index and behind it. store_append()'s answer. */
int host_append(struct host *host, uint16_t partition, uint64_t index, uint32_t key,
                bool delete_it);
int host_append_next(struct host *host, uint16_t partition, uint32_t key);
int host_hard(struct host *host, uint16_t partition, uint32_t term, uint32_t vote);
/* Commits and applies up to index. */
void host_commit(struct host *host, uint16_t partition, uint64_t index);
void host_retain(struct host *host, uint16_t partition, uint64_t first);
/* Runs write jobs until nothing is left; false: a job failed. */
bool host_sync(struct host *host);
/* One write job, if there is one. */
bool host_write_one(struct host *host, int *result);
/* Takes a job and holds it back; run and given back by the next call. False: the job failed. */
bool host_write_half(struct host *host);
bool host_background_half(struct host *host);
/* Runs background jobs until nothing is left. */
int host_background(struct host *host);
/* All of the above, time passing. */
void host_settle(struct host *host);

/* What the store answers for every key is what applying the log up to `applied` gives. */
void host_check(struct host *host);
/* host was opened on what `before` had written: it must hold exactly the operations of the batches
 * that survived, and all that were synced. */
void host_compare(struct host *host, const struct host *before, uint64_t synced);

/* A host on a fresh, founded store over vfs_mem. */
void host_start(struct host *host);
void host_stop(struct host *host);
/* Closes and opens again as *again, which must agree with what was written. */
void host_reopen(struct host *host, struct host *again);
void host_reopen_and_compare(struct host *host);
/* n entries a partition, over the same few keys. */
void host_fill(struct host *host, uint32_t n);
static inline void host_commit_all(struct host *host)
{
    for (uint16_t p = 0; p < HOST_PARTITIONS; p++)
        host_commit(host, p, host->parts[p].last);
}

/* No log is needed any more. */
static inline void host_retain_none(struct host *host)
{
    for (uint16_t p = 0; p < HOST_PARTITIONS; p++)
        host_retain(host, p, host->parts[p].applied + 1);
}

#endif
