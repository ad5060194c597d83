/* Sessions: exactly-once for retries, one struct a partition.
 *
 * A router numbers its writes to a partition: {session, sequence}, with the floor, the lowest
 * sequence it still waits for. Apply records {sequence, index, result} in the session's window;
 * the leader asks here before it evaluates, so a retry after a lost reply or a change of leader
 * gets the first answer and is not applied again. The idea is that of Raft's dissertation, §6.3
 * (linearizable semantics), with windows so that one session can have many requests on the way.
 *
 * Two halves that never mix:
 *   replicated: sessions, windows, floors, session_floor. A function of the applied entries alone
 *     (sessions_max must be equal on all replicas); saved in checkpoints and snapshots.
 *   volatile: ids in flight at this leader - between evaluation and apply, in the key queue too -
 *     each with the host's operation. Forgotten when leadership ends.
 *
 * Invariants: no window holds a sequence below its floor; a session with id <= session_floor is
 * either one that never left or unknown for ever; nothing is forgotten but by a floor. A dropped
 * session is never made again, else a retry older than its new window would look new.
 *
 * What is stored is one i64 a request. replication/command.h says which operations' replies it
 * rebuilds (command_result_kept); the retry carries the operation, so no flag is needed here.
 *
 * Limits: sessions_max sessions; sequences floor … floor + window_max - 1, a new id above it is
 * refused by sessions_check (full refuses, it never forgets). Owner: one shard thread.
 */
#ifndef REPLICATION_SESSIONS_H
#define REPLICATION_SESSIONS_H

#include "replication/inflight.h"
#include "storage/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bound of window_max: no entry can make a window span more, whoever led when it was proposed. */
#define SESSIONS_WINDOW_LIMIT 65536u

struct sessions_options {
    uint32_t sessions_max; /* ≥ 1, the same on all replicas of the partition */
    uint32_t window_max;   /* 1 … SESSIONS_WINDOW_LIMIT */
};

enum sessions_e {
    SESSIONS_NEW,       /* check: evaluate it. apply: recorded */
    SESSIONS_DONE,      /* applied before; answer->result and index say how */
    SESSIONS_IN_FLIGHT, /* check only: on its way here; answer->operation is what was begun */
    SESSIONS_UNKNOWN,   /* below a floor, the answer was not kept. apply: too late, not recorded */
    SESSIONS_EXPIRED,   /* the session was dropped, or is too old to be made */
    SESSIONS_FULL,      /* check only: the window is full; refuse, unproposed */
    SESSIONS_MALFORMED, /* load only */
};

struct sessions_answer {
    int64_t result;  /* DONE */
    uint64_t index;  /* DONE: of the entry */
    void *operation; /* IN_FLIGHT: as given to sessions_begin */
};

struct sessions_result { /* private */
    uint64_t index;      /* 0: nothing recorded for this sequence */
    int64_t result;
};

struct sessions_session { /* private */
    uint64_t id;
    uint64_t floor;
    uint64_t last_index;
    struct sessions_result *window; /* slot = sequence & (capacity - 1) */
    uint32_t capacity;              /* power of two, or 0 */
    uint32_t count;                 /* results in it */
    uint32_t older, newer;          /* by last_index */
    uint32_t chain;                 /* same hash bucket, or next free */
};

struct sessions {
    struct sessions_options options;
    uint64_t session_floor;
    uint64_t applied_index; /* of the newest sessions_apply */
    struct sessions_session *pool;
    uint32_t *buckets;
    uint32_t pool_capacity, bucket_count, count;
    uint32_t free_first, oldest, newest;
    struct inflight inflight;
};

/* Allocates nothing; memory comes with use. */
void sessions_init(struct sessions *sessions, const struct sessions_options *options);
void sessions_deinit(struct sessions *sessions);

/* Leader, before evaluation of a write (sequence ≥ 1; sequence 0 is UNKNOWN). Changes nothing.
 * answer may be NULL. After NEW the host calls sessions_begin() at once, before the key queue. */
enum sessions_e sessions_check(const struct sessions *sessions, uint64_t session, uint64_t sequence,
                               uint64_t floor, struct sessions_answer *answer);
/* Ids of sessions at or below this are accepted only if they are known. With SESSIONS_EXPIRED the
 * reply carries this + 1, the lowest id that a router may take for a new session. */
uint64_t sessions_floor(const struct sessions *sessions);

/* Whether it has been made here and was not dropped since. */
bool sessions_knows(const struct sessions *sessions, uint64_t session);

/* Applies one entry's request id; all replicas, in log order. The session's floor rises to
 * request->floor and what is below is dropped; a new session is made; over sessions_max the
 * session with the lowest last index goes and session_floor rises to its id.
 * Returns SESSIONS_NEW; SESSIONS_DONE: recorded before, so the caller has applied it twice (the
 * first result is kept); SESSIONS_UNKNOWN: below the floor, its session has given it up;
 * SESSIONS_EXPIRED: its session was dropped meanwhile, nothing is recorded; or -ENOMEM, nothing
 * changed. The last two are legal ends of an operation that was overtaken. index is above that of
 * all earlier calls. */
int sessions_apply(struct sessions *sessions, const struct record_request *request, uint64_t index);

/* In flight at this leader: from SESSIONS_NEW until it is answered (applied, refused, or failed
 * with nothing logged). operation: the host's, may be NULL. 0 or -ENOMEM. */
int sessions_begin(struct sessions *sessions, uint64_t session, uint64_t sequence, void *operation);
void sessions_end(struct sessions *sessions, uint64_t session, uint64_t sequence);
void sessions_forget_in_flight(struct sessions *sessions);
uint32_t sessions_in_flight(const struct sessions *sessions);

/* The replicated half as bytes: the same state gives the same bytes on every replica.
 *   u8 version 1, u64 session_floor, u64 applied_index, u32 count, then a session in order of its
 *   last index: u64 id, u64 floor, u64 last_index, u32 count, then a result in order of its
 *   sequence: u32 sequence - floor, u64 index, i64 result. Little endian. */
size_t sessions_save_size(const struct sessions *sessions);
/* Writes exactly sessions_save_size() bytes. */
void sessions_save(const struct sessions *sessions, uint8_t *out);
/* Replaces the replicated half; nothing is in flight afterwards. size is exact: bytes left over
 * are MALFORMED. Returns 0, SESSIONS_MALFORMED or -ENOMEM; on failure nothing changed. */
int sessions_load(struct sessions *sessions, const uint8_t *bytes, size_t size);
/* Equal on replicas that applied the same entries. Not cryptographic. */
uint64_t sessions_digest(const struct sessions *sessions);

void sessions_check_invariants(const struct sessions *sessions);

#endif
