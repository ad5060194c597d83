/* Wire: bodies of the messages in ring/wire_table.h, encoded as msgpack by our own cursor.
 *
 * Writers append to a struct wire_buffer that grows; readers walk borrowed bytes and never
 * allocate. Every count is checked against the bytes that are left before it is believed. The
 * hot messages (OPS, RESULTS, RAFT, BEAT) are streams of items after a small head, so that both
 * sides work item by item without a table.
 *
 *   OPS:      [version 1, session u64] then per op an array:
 *             [id u32, operation u8, flags u8, partition u16, lane_epoch u32, budget_ms u32,
 *              sequence u64, floor_back u32, [args bin…]]
 *             sequence 0 for reads; floor = sequence - floor_back.
 *   RESULTS:  per op an array [id u32, status u8, payload]; payload nil | int | bin |
 *             array of (bin | nil)
 *   RAFT:     per message an array [kind, flags, group, from member, from life, to member,
 *              to life, term, log_term, index, commit, entry_count, entries bin]
 *   BEAT:     [from member, round u64, full bool] then per group
 *             [group, from life, to life, term, commit, first]
 *   BEAT_ACK: [from member, round u64, full bool, wall clock u64] then per group [group, from life,
 * to life, term] SNAPSHOT: one piece, an array [group, from member, from life, to member, to life,
 * term, log_term, index, from, next, settled, checksum, state bin | nil, records bin] SNAPSHOT_ACK:
 * per group [kind, group, from member, from life, to member, to life, term, index, next] MAP_GET,
 * NODE_STATUS, GENESIS_GET, SHARD_STATUS: empty MAP:      bin (ringmap_encode), or nil before the
 * founding PREPARE:  bin (the genesis: ringmap_encode at epoch 1) COMMIT:   bin (its 32-byte hash)
 *   PREPARE_REPLY, COMMIT_REPLY: [accepted bool, why string, hash bin]
 *   GENESIS:  [0 none | 1 prepared | 2 committed, hash bin]
 *   MAP_EPOCH: [epoch]   MAP_CHANGE: bin (ringmap_encode)
 *   MAP_CHANGE_REPLY: [enum wire_map_outcome, epoch, leader's member id or 0, why string]
 *   JOIN: wire_put_join()   JOIN_REPLY: wire_put_join_reply()
 *   SHARD_STATUS_REPLY: per partition, wire_put_partition_status()
 *   COMPARE, COMPARE_ACK: [kind, group, from member, from life, to member, to life, term, index,
 *             from, to, count, sum]
 *   FLUSH: [begin bool] FLUSH_REPLY: wire_put_flush_state()
 *   HOLDS: per replica [group, member, life]
 *   GONE: per replica [group, member, life, configuration's index]
 *   MOVED: [epoch, [group …]]
 *   MOVES_GET: empty   MOVES: wire_put_moves_head(), then per group wire_put_move()
 *   SCRUB: [begin bool] SCRUB_REPLY: wire_put_scrub_state()
 *   GOSSIP: ring/swim_codec.h
 *   TICKETS_VERSION: [version]   TICKETS, TICKETS_CHANGE: bin (tickets_encode)   TICKETS_GET: empty
 *   TICKETS_CHANGE_REPLY: as MAP_CHANGE_REPLY, with versions   TICKET_COMMAND and its REPLY:
 *             ring/tickets_command.h
 *   LIVENESS_GET: empty   LIVENESS: per member, wire_put_liveness()
 *   BALANCE, LOAD, TOP, DRAIN, LEADERS and their replies: ring/wire_load.h
 *   PEERS_GET, PEERS: ring/wire_peers.h
 */
#ifndef RING_WIRE_H
#define RING_WIRE_H

#include "ring/link.h"
#include "ring/wire_table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Versions of the language that processes of a cluster speak. The oldest and the newest that this
 * program speaks go into its HELLO; a link speaks the newest that both ends do. */
#define WIRE_VERSION_OLDEST      1u
#define WIRE_VERSION_NEWEST      2u /* through wire_version_newest() only: tests pretend another */
#define WIRE_OPS_VERSION         1u /* of the layout of OPS */
#define WIRE_ARGS_MAX            4096u /* operations and keys a batch */
#define WIRE_FRAME_OPS_MAX       4096u
#define WIRE_SESSION_RANDOM_BITS 20u /* of an id, below the time it was made, Unix ms */

enum wire_type {
#define X(name, number, lane) WIRE_##name = (number),
    WIRE_MESSAGES(X)
#undef X
};
enum wire_lane { WIRE_LANE_CONTROL, WIRE_LANE_DATA, WIRE_LANE_BULK };
enum wire_operation {
#define X(name, number, writes) WIRE_OP_##name = (number),
    WIRE_OPERATIONS(X)
#undef X
};
enum wire_status {
#define X(name, number, proposed) WIRE_STATUS_##name = (number),
    WIRE_STATUSES(X)
#undef X
};

/* Flags of SET. GET: the reply is the old value (bytes | nil); without GET: integer 1 when it was
 * set, 0 when NX/XX kept it from being set. With GET and NX/XX the reply is the array
 * [bytes | nil, set], where set is bytes too: the one digit "1" or "0". */
enum wire_set_flags {
    WIRE_SET_NX = 1,
    WIRE_SET_XX = 2,
    WIRE_SET_GET = 4,
    WIRE_SET_KEEPTTL = 8,
    WIRE_SET_EXPIRY = 16,  /* the third argument is the deadline */
    WIRE_SET_RELATIVE = 32 /* as in enum wire_expire_flags */
};

/* Flags of EXPIRE, of GETEX (RELATIVE, PERSIST) and of TTL (RELATIVE). Times are decimal text, ms:
 * since 1970, or with RELATIVE from the moment of the leader that evaluates it. TTL says -2 for an
 * absent key, -1 for one without a deadline, else the deadline, or with RELATIVE what is left. */
enum wire_expire_flags {
    WIRE_EXPIRE_NX = 1, /* only when there is no deadline */
    WIRE_EXPIRE_XX = 2, /* only when there is one */
    WIRE_EXPIRE_GT = 4, /* only when it becomes later; no deadline is the latest */
    WIRE_EXPIRE_LT = 8, /* only when it becomes earlier */
    WIRE_GETEX_PERSIST = 16,
    WIRE_EXPIRE_RELATIVE = 32
};

/* Positions of SCAN, the first bits of keys' digests: decimal text, from 0 on; the next position is
 * 0 at the end of the partition. count: about how many keys. What is there through a whole scan is
 * given, a key twice at times. */
#define WIRE_SCAN_BITS      48u
#define WIRE_SCAN_COUNT_MAX 512u /* keys at most */

const char *wire_type_name(uint8_t type); /* "?" when unknown */
const char *wire_status_name(uint8_t status);
const char *wire_operation_name(uint8_t operation);
bool wire_operation_known(uint8_t operation);
bool wire_operation_writes(uint8_t operation);
enum wire_lane wire_type_lane(uint8_t type); /* DATA when unknown */
/* True when the status says for certain that nothing was proposed. */
bool wire_status_unproposed(uint8_t status);

struct wire_buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
    bool failed; /* out of memory: sticky, later writes do nothing */
};
void wire_buffer_deinit(struct wire_buffer *buffer);
void wire_buffer_clear(struct wire_buffer *buffer); /* keeps the memory, clears failed */
void wire_put_uint(struct wire_buffer *buffer, uint64_t value);
void wire_put_int(struct wire_buffer *buffer, int64_t value);
void wire_put_nil(struct wire_buffer *buffer);
void wire_put_bool(struct wire_buffer *buffer, bool value);
void wire_put_bin(struct wire_buffer *buffer, const void *bytes, size_t size);
/* As put_bin but leaves the bytes for the caller to fill: returns where, NULL on no memory. */
uint8_t *wire_put_bin_space(struct wire_buffer *buffer, size_t size);
void wire_put_string(struct wire_buffer *buffer, const char *text);
/* Bytes that are msgpack already. */
void wire_put_raw(struct wire_buffer *buffer, const void *bytes, size_t size);
void wire_put_array(struct wire_buffer *buffer, uint32_t count);
void wire_put_map(struct wire_buffer *buffer, uint32_t count);

/* Reads; the first wrong type or missing byte makes it fail, sticky; failed reads give 0/NULL. */
struct wire_cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};
void wire_cursor_init(struct wire_cursor *cursor, const void *bytes, size_t size);
bool wire_cursor_done(const struct wire_cursor *cursor); /* at the end, or failed */
uint64_t wire_get_uint(struct wire_cursor *cursor, uint64_t max);
int64_t wire_get_int(struct wire_cursor *cursor);
bool wire_get_bool(struct wire_cursor *cursor);
bool wire_get_nil(struct wire_cursor *cursor); /* true and consumed when nil is next */
const uint8_t *wire_get_bin(struct wire_cursor *cursor, size_t size_max, size_t *size);
const char *wire_get_string(struct wire_cursor *cursor, size_t size_max, size_t *size);
uint32_t wire_get_array(struct wire_cursor *cursor, uint32_t count_max);
uint32_t wire_get_map(struct wire_cursor *cursor, uint32_t count_max);
enum wire_kind {
    WIRE_KIND_NONE,
    WIRE_KIND_NIL,
    WIRE_KIND_BOOL,
    WIRE_KIND_INT,
    WIRE_KIND_BIN,
    WIRE_KIND_STRING,
    WIRE_KIND_ARRAY,
    WIRE_KIND_MAP,
    WIRE_KIND_OTHER
};
enum wire_kind wire_peek(const struct wire_cursor *cursor);
void wire_skip(struct wire_cursor *cursor); /* one value, nested up to 32 deep */

struct wire_bytes {
    const uint8_t *data; /* NULL: nil */
    size_t size;
};

/* The bit of an operation's flags on the wire that says `retry`. */
#define WIRE_OP_RETRY 128u

/* One operation. args are borrowed. */
struct wire_op {
    uint32_t id;
    uint8_t operation;
    uint8_t flags; /* below WIRE_OP_RETRY */
    bool retry;    /* write: an earlier attempt may still be on its way */
    uint16_t partition;
    uint32_t lane_epoch; /* see replication/shard.h: go-back-N per session and partition */
    uint32_t budget_ms;  /* how long it may wait before it is proposed */
    uint64_t sequence;
    uint64_t floor;
    uint32_t arg_count;
};
void wire_put_ops_head(struct wire_buffer *buffer, uint64_t session);
void wire_put_op(struct wire_buffer *buffer, const struct wire_op *op,
                 const struct wire_bytes *args);
bool wire_get_ops_head(struct wire_cursor *cursor, uint64_t *session);
/* args: at least args_max places; false (and cursor->failed) on malformed input. */
bool wire_get_op(struct wire_cursor *cursor, struct wire_op *op, struct wire_bytes *args,
                 uint32_t args_max);

/* A result. Exactly one payload: values != NULL (array), bytes.data != NULL, is_int, or nil. */
struct wire_result {
    uint32_t id;
    uint8_t status;
    bool is_int;
    int64_t integer;
    struct wire_bytes bytes;
    const struct wire_bytes *values;
    uint32_t value_count;
};
void wire_put_result(struct wire_buffer *buffer, const struct wire_result *result);
/* values: storage for arrays, values_max places. */
bool wire_get_result(struct wire_cursor *cursor, struct wire_result *result,
                     struct wire_bytes *values, uint32_t values_max);

struct wire_raft { /* mirrors struct raft_message; ring does not know replication */
    uint8_t kind;
    uint8_t flags; /* 1 reject, 2 transfer */
    uint16_t group;
    uint16_t from_member, to_member;
    uint64_t from_life, to_life;
    uint32_t term, log_term;
    uint64_t index, commit;
    uint32_t entry_count;
    struct wire_bytes entries;
};
/* entries.data NULL with entries.size > 0: leaves the space and returns where to fill it. */
uint8_t *wire_put_raft(struct wire_buffer *buffer, const struct wire_raft *message);
bool wire_get_raft(struct wire_cursor *cursor, struct wire_raft *message);

struct wire_beat {
    uint16_t group;
    uint64_t from_life, to_life;
    uint32_t term;
    uint64_t commit; /* BEAT only */
    uint64_t first;  /* BEAT only: no replica needs the log below this index any more */
};
struct wire_beat_head {
    uint16_t from; /* member */
    uint64_t round;
    bool full;        /* the sender's disk takes no more writes */
    uint64_t wall_ms; /* BEAT_ACK: the sender's wall clock; 0: not told */
};
void wire_put_beat_head(struct wire_buffer *buffer, const struct wire_beat_head *head);
void wire_put_beat(struct wire_buffer *buffer, const struct wire_beat *beat, bool ack);
bool wire_get_beat_head(struct wire_cursor *cursor, struct wire_beat_head *head);
bool wire_get_beat(struct wire_cursor *cursor, struct wire_beat *beat, bool ack);

/* A piece of a partition's state at (index, log_term): live records of digest positions from … next
 * (0: to the end), as they lie in the journal. from 0 has the rest of the state: configuration,
 * sessions, logged time. checksum: replication's, over both. */
struct wire_snapshot {
    uint16_t group;
    uint16_t from_member, to_member;
    uint64_t from_life, to_life;
    uint32_t term, log_term;
    uint64_t index;
    uint64_t from, next;
    uint64_t settled; /* of the last piece: what lies between index and this may be missing */
    uint64_t checksum;
    struct wire_bytes state; /* data NULL: none */
    struct wire_bytes records;
};
void wire_put_snapshot(struct wire_buffer *buffer, const struct wire_snapshot *piece);
/* The same, with records that are put in their place afterwards: room for piece->records.size bytes
 * of them is returned, until the buffer is used otherwise; NULL: no memory. With the end, which may
 * move them, the piece is in the buffer, with as many as there came, at most so many. */
struct wire_snapshot_space {
    size_t checksum, head; /* offsets in the buffer */
};
uint8_t *wire_begin_snapshot(struct wire_buffer *buffer, const struct wire_snapshot *piece,
                             struct wire_snapshot_space *space);
void wire_end_snapshot(struct wire_buffer *buffer, const struct wire_snapshot_space *space,
                       size_t records_size, uint64_t checksum);
bool wire_get_snapshot(struct wire_cursor *cursor, struct wire_snapshot *piece);

enum wire_snapshot_ack_kind {
    WIRE_SNAPSHOT_TAKEN = 1,  /* all before `next` is there: go on from it */
    WIRE_SNAPSHOT_BUSY = 2,   /* not now; all before `next` is there, if it is not 0 */
    WIRE_SNAPSHOT_WANTED = 3, /* the replica has lost its log, or its records: index, next are 0 */
    WIRE_SNAPSHOT_HELD = 4,   /* of the one at that index, an earlier one or, behind a restart, this
                                 one, all before `next` is there and no more */
    WIRE_SNAPSHOT_ROOM = 5,   /* it was BUSY and is not any more: from `next` on */
    WIRE_SNAPSHOT_FULL = 6,   /* the disk has no room for it: nothing is there, next is 0 */
};
struct wire_snapshot_ack {
    uint8_t kind;
    uint16_t group;
    uint16_t from_member, to_member;
    uint64_t from_life, to_life;
    uint32_t term;
    uint64_t index; /* of the snapshot */
    uint64_t next;
};
void wire_put_snapshot_ack(struct wire_buffer *buffer, const struct wire_snapshot_ack *ack);
bool wire_get_snapshot_ack(struct wire_cursor *cursor, struct wire_snapshot_ack *ack);

/* HELLO: the first message of either side. */
struct wire_hello {
    uint32_t oldest;   /* version that the sender speaks */
    uint8_t role;      /* enum link_role */
    uint16_t member;   /* own member id, 0 when none yet */
    uint16_t shards;   /* nodes: how many; partition p is served by shard p mod shards */
    uint64_t epoch;    /* of the ring map it holds; 0: none */
    uint32_t newest;   /* version that the sender speaks; not sent by version 1, which is it then */
    uint64_t instance; /* nodes: drawn by the process at its start; 0: not told */
    uint64_t counter;  /* of this node, on its disk; 0: not told, */
    uint64_t heard;    /* and what it has heard of the receiver's; 0: nothing */
};
/* Versions, role and the rest zero: what everybody's own begins with. */
struct wire_hello wire_hello_own(uint8_t role);
/* The version that a link with the sender speaks; 0: there is none that both do. */
uint32_t wire_hello_version(const struct wire_hello *hello);
uint32_t wire_version_newest(void);
#define WIRE_HELLO_WHY_SIZE 120u
/* Says what is wrong when there is none, and what to do. */
void wire_hello_why(const struct wire_hello *hello, char why[WIRE_HELLO_WHY_SIZE]);
void wire_put_hello(struct wire_buffer *buffer, const struct wire_hello *hello);
bool wire_get_hello(struct wire_cursor *cursor, struct wire_hello *hello);

/* What a shard says of one of its partitions, for status and explain. */
struct wire_partition_status {
    uint16_t partition;
    uint8_t role; /* enum raft_role */
    uint16_t leader;
    uint32_t term;
    uint64_t first, last, commit, applied, keys;
    bool fenced;
    uint32_t lag_count; /* leader: followers whose match is behind commit or unheard */
};
void wire_put_partition_status(struct wire_buffer *buffer,
                               const struct wire_partition_status *status);
bool wire_get_partition_status(struct wire_cursor *cursor, struct wire_partition_status *status);

/* Do replicas hold the same? COMPARE: kinds ASK and ODD; COMPARE_ACK: GIVEN and NOT. */
enum wire_compare_kind {
    WIRE_COMPARE_ASK = 1,   /* the digest of [from, to) when `index` is the newest applied */
    WIRE_COMPARE_ODD = 2,   /* twice most replicas agreed on another than yours */
    WIRE_COMPARE_GIVEN = 3, /* count and sum are it */
    WIRE_COMPARE_NOT = 4,   /* that index is past, or not to be read now */
};
struct wire_compare {
    uint8_t kind;
    uint16_t group;
    uint16_t from_member, to_member;
    uint64_t from_life, to_life;
    uint32_t term;
    uint64_t index;
    uint64_t from, to; /* positions of keys' digests, storage/keydir.h; to 0: the end */
    uint32_t count;    /* keys */
    uint64_t sum;      /* over what they hold */
};
void wire_put_compare(struct wire_buffer *buffer, const struct wire_compare *compare);
bool wire_get_compare(struct wire_cursor *cursor, struct wire_compare *compare);

/* FLUSH: begins one, or joins the one that is under way; without `begin` only asks. */
void wire_put_flush(struct wire_buffer *buffer, bool begin);
bool wire_get_flush(struct wire_cursor *cursor, bool *begin);

/* FLUSH_REPLY: how far a shard is. Counts are since the node's start. */
struct wire_flush_state {
    bool accepted; /* false: the shard is fenced and flushes nothing */
    bool flushing; /* what was asked for is not done */
    uint64_t demands;
    uint64_t disk_bytes;             /* of journal segments and casks, now */
    uint64_t log_bytes;              /* of these, what is still log: no flush touches it */
    uint64_t left_files, left_bytes; /* to be taken still */
    uint64_t files, reclaimed;       /* taken; bytes that gave back */
    uint64_t failed;                 /* rounds given up */
};
void wire_put_flush_state(struct wire_buffer *buffer, const struct wire_flush_state *state);
bool wire_get_flush_state(struct wire_cursor *cursor, struct wire_flush_state *state);

/* HOLDS: a replica that hears of no leader asks whoever may know. */
struct wire_holds {
    uint16_t group;
    uint16_t member; /* that has it: the sender */
    uint64_t life;
};
void wire_put_holds(struct wire_buffer *buffer, const struct wire_holds *holds);
bool wire_get_holds(struct wire_cursor *cursor, struct wire_holds *holds);

/* GONE: the committed configuration does not have that replica, and none will ever have it. */
struct wire_gone {
    uint16_t group;
    uint16_t member; /* that it is of: the receiver */
    uint64_t life;
    uint64_t config_index; /* of that configuration */
};
void wire_put_gone(struct wire_buffer *buffer, const struct wire_gone *gone);
bool wire_get_gone(struct wire_cursor *cursor, struct wire_gone *gone);

/* MOVED: the groups that the sender leads and that are as the map of that epoch wants them, by a
 * committed configuration of that epoch. */
void wire_put_moved(struct wire_buffer *buffer, uint64_t epoch, const uint16_t *groups,
                    uint32_t count);
/* groups: `max` places. */
bool wire_get_moved(struct wire_cursor *cursor, uint64_t *epoch, uint16_t *groups, uint32_t max,
                    uint32_t *count);

/* MOVES: of one shard, then each group that it leads. */
#define WIRE_MOVE_MEMBERS_MAX 7u
struct wire_moves_head {
    uint64_t epoch; /* of the ring map that it goes by; 0: it has none yet */
    bool paused;
    uint64_t rate; /* bytes a second of snapshots that the whole node may send; 0: as it comes */
};
void wire_put_moves_head(struct wire_buffer *buffer, const struct wire_moves_head *head);
bool wire_get_moves_head(struct wire_cursor *cursor, struct wire_moves_head *head);

struct wire_members {
    uint8_t count;
    uint16_t ids[WIRE_MOVE_MEMBERS_MAX];
};
struct wire_move {
    uint16_t group;
    uint8_t step;    /* enum transfer_step: what it does, or what it waits for, */
    uint16_t member; /* and whom; 0: nobody in particular */
    uint64_t config_index, config_epoch;
    bool committed; /* that configuration, which is: */
    struct wire_members voters;
    struct wire_members voters_old; /* none unless it is joint */
    struct wire_members learners;
    uint64_t bytes;     /* of the partition's live records, about */
    uint64_t sent;      /* of them, to the newest learner, by its newest snapshot */
    uint32_t snapshots; /* that were begun for it by this leader: all but one are retries */
};
void wire_put_move(struct wire_buffer *buffer, const struct wire_move *move);
bool wire_get_move(struct wire_cursor *cursor, struct wire_move *move);

/* SCRUB: begins a pass over all files, as fast as it goes; without `begin` only asks. */
void wire_put_scrub(struct wire_buffer *buffer, bool begin);
bool wire_get_scrub(struct wire_cursor *cursor, bool *begin);

/* SCRUB_REPLY: how far a shard is. */
struct wire_scrub_state {
    bool accepted;         /* false: the shard is fenced as a whole */
    bool running;          /* a pass that was asked for is not over */
    uint64_t demands;      /* since the node's start */
    uint64_t left_bytes;   /* to be read still */
    uint64_t files, bytes; /* read, in this pass or the newest */
    uint64_t faults;       /* places that did not check, and */
    uint64_t unread;       /* files that the disk did not give; since the node's start */
    uint32_t fenced;       /* partitions that wait for their content from a peer */
};
void wire_put_scrub_state(struct wire_buffer *buffer, const struct wire_scrub_state *state);
bool wire_get_scrub_state(struct wire_cursor *cursor, struct wire_scrub_state *state);

/* What a node says of itself. */
/* What the scrubs of a node's shards found since its start. */
struct wire_scrub {
    uint64_t passes;    /* that each shard has had at least */
    uint64_t age_ms;    /* since when every byte has been read again; 0 before the first pass */
    uint64_t bytes;     /* read by the newest passes */
    uint64_t faults;    /* places that did not check */
    uint64_t unread;    /* files that the disk did not give */
    uint64_t repaired;  /* partitions that were fenced and got their content from a peer */
    uint64_t compared;  /* partitions led here, with their other replicas; each time counts */
    uint64_t outvoted;  /* replicas that held something else than most */
    uint64_t undecided; /* ranges of keys in which replicas differ and none has a majority */
};
struct wire_node_status {
    uint16_t member; /* 0: not founded */
    uint8_t founded; /* 0 no, 1 prepared, 2 committed */
    uint16_t shards;
    uint64_t epoch;
    uint64_t uptime_ms;
    uint64_t disk_bytes, disk_free;
    uint8_t public_key[32];
    uint8_t genesis_hash[32];
    char address[64];
    char zone[32];
    char version[32];
    uint32_t weight;
    uint32_t links_up; /* peers reachable from here */
    bool disk_full;
    uint64_t cache_hits, cache_misses, cache_evictions, cache_bytes; /* all shards together */
    uint8_t key_id; /* of the data key it seals with; 0: it stores plain, or is of before ids */
    struct wire_scrub scrub;
    uint64_t wall_ms;      /* its clock when it answered, Unix time; 0: it does not say */
    uint64_t memory_bytes; /* of the machine; 0: it does not say */
    uint64_t tickets; /* version of those that it goes by; 0: it has none, or is of before them */
    uint64_t disk_reserve; /* of disk_free, what it fills with nothing; 0: it does not say */
    uint64_t disk_lacks;   /* bytes of moves to it that found no room; 0: there is none such */
    uint16_t twin;         /* a member of whose data directory a second process is linked to it with
                              a copy; 0: none */
    char twin_address[64]; /* where that one dials from */
    uint16_t shards_lost;  /* of its shards those whose manifest or journal cannot be trusted: what
                              is in them comes back on another disk only */
};
/* Bytes that moves may fill: what is free less the reserve. */
uint64_t wire_node_disk_room(const struct wire_node_status *status);
void wire_put_node_status(struct wire_buffer *buffer, const struct wire_node_status *status);
bool wire_get_node_status(struct wire_cursor *cursor, struct wire_node_status *status);

/* What became of a MAP_CHANGE. */
enum wire_map_outcome {
    WIRE_MAP_DONE = 1,     /* committed, now or by an earlier attempt of the same bytes */
    WIRE_MAP_CONFLICT = 2, /* another change came first */
    WIRE_MAP_REFUSED = 3,  /* not a map that may come next: why */
    WIRE_MAP_AGAIN = 4,    /* not by this replica, or not now; to an admin: nobody in time */
    WIRE_MAP_UNSENT = 5    /* to an admin: this node has sent nothing on, another one may: why */
};
#define WIRE_MAP_WHY_SIZE 120u
struct wire_map_reply {
    uint8_t outcome;
    uint64_t epoch;  /* that the answering node knows */
    uint16_t leader; /* AGAIN: whom to ask; 0: unknown */
    char why[WIRE_MAP_WHY_SIZE];
};
void wire_put_map_reply(struct wire_buffer *buffer, const struct wire_map_reply *reply);
bool wire_get_map_reply(struct wire_cursor *cursor, struct wire_map_reply *reply);
void wire_put_map_epoch(struct wire_buffer *buffer, uint64_t epoch);
bool wire_get_map_epoch(struct wire_cursor *cursor, uint64_t *epoch);

/* JOIN: a node that is in no cluster yet says who it is, and asks to be a member. */
struct wire_join {
    uint8_t public_key[32]; /* the link's */
    char address[64];       /* at which the others reach it */
    char zone[32];
    uint32_t weight;
};
enum wire_join_outcome {
    WIRE_JOIN_DONE = 1,    /* the ring map names it, now or since an earlier request */
    WIRE_JOIN_REFUSED = 2, /* never, however often it asks: why */
    WIRE_JOIN_AGAIN = 3    /* not now, or not by this node: why */
};
struct wire_join_reply {
    uint8_t outcome;
    char why[WIRE_MAP_WHY_SIZE];
    struct wire_bytes genesis, map; /* DONE: ringmap_encode() of each; borrowed */
};
void wire_put_join(struct wire_buffer *buffer, const struct wire_join *join);
bool wire_get_join(struct wire_cursor *cursor, struct wire_join *join);
void wire_put_join_reply(struct wire_buffer *buffer, const struct wire_join_reply *reply);
bool wire_get_join_reply(struct wire_cursor *cursor, struct wire_join_reply *reply);

/* LIVENESS: for each member of the map, by ascending id, what a node has heard of it. */
struct wire_liveness {
    uint16_t member;
    uint8_t standing; /* enum swim_standing */
    bool heard;       /* a record of it: the fields from epoch on */
    uint64_t age_ms;  /* of the standing */
    uint64_t incarnation;
    uint64_t epoch; /* of the ring map it holds */
    char address[64];
    uint32_t operations;     /* a second */
    uint16_t leaders;        /* groups it leads */
    uint64_t bytes;          /* of requests and answers, a second */
    uint64_t leaders_digest; /* of which partitions in which terms; 0: not told, or none */
};
void wire_put_liveness(struct wire_buffer *buffer, const struct wire_liveness *liveness);
bool wire_get_liveness(struct wire_cursor *cursor, struct wire_liveness *liveness);

#endif
