/* Shard, inside: what shard*.c share. Nothing outside replication/shard*.c includes this.
 *
 *   shard.c          events, the end of a round
 *   shard_open.c     life
 *   shard_hosting.c  replicas that come while it runs, and go
 *   shard_lives.c    when they do
 *   shard_intent.c   what the ring map wants
 *   shard_moves.c    leaders take their groups there
 *   shard_recover.c  the store's visitor: replay and checkpoints
 *   shard_ahead.c    fetches what is needed soon into the caches
 *   shard_raft.c     Raft messages, the journal's answers, apply
 *   shard_entries.c  what an append brings, checked
 *   shard_held.c     appends that wait for room in the journal
 *   shard_fetch.c, shard_relocate.c  old entries: for a peer; again, so as to hold up no journal
 *   shard_beat.c     heartbeats and read-index rounds
 *   shard_client.c   lanes, admission, results
 *   shard_operation.c one operation from arrival to proposal
 *   shard_value.c    the values that an operation reads: pending, cached, in memory, on disk
 *   shard_dictionary.c what values of a partition have in common, for their compression
 *   shard_park.c     operations that wait for the disk, or behind one that does
 *   shard_scan.c     what goes over all keys of a partition
 *   shard_expiry.c   the leader's time, and the deletes of what has expired
 *   shard_snapshot.c, shard_piece.c, shard_install.c, shard_state.c  for whom the log cannot help
 *   shard_budget.c   how much of that may be sent
 *   shard_room.c     disks that are full
 *   shard_retain.c   how much log is kept for whom
 *   shard_fence.c    replicas that are not to be trusted
 *   shard_compare.c  whether the replicas of a partition hold the same
 *   shard_record.c   the meta group's state: records that change by compare-and-set,
 *   shard_map.c      the ring map,
 *   shard_finish.c   the end of a plan that it is on,
 *   shard_tickets.c  and the tickets
 *   shard_load.c     what it does as a leader, and what it is asked to hand over
 *   shard_balance.c  where leaders should be, at the meta group's
 *   shard_duty.c     what time asks for: leaders that must go, drain
 *   shard_out.c      frames on their way out
 *
 * Invariants (shard_check): a waiter hangs on exactly one replica; operations_in_flight counts
 * waiters and queued operations; deferred messages and sync notes ascend by batch. Of a replica
 * that serves nothing says anything of fences.
 */
#ifndef REPLICATION_SHARD_INTERNAL_H
#define REPLICATION_SHARD_INTERNAL_H

#include "replication/command.h"
#include "replication/fifo.h"
#include "replication/keyqueue.h"
#include "replication/shard.h"
#include "replication/shard_budget.h"
#include "replication/shard_compare.h"
#include "replication/shard_operation.h"
#include "replication/shard_record.h"
#include "replication/shard_relocate.h"
#include "replication/shard_replica.h"
#include "replication/shard_retain.h"
#include "replication/shard_room.h"
#include "replication/shard_snapshot.h"
#include "ring/hash.h"
#include "ring/wire.h"
#include "storage/grow.h"
#include "storage/mutant.h"

#define SHARD_CLOCK_AHEAD_MS     1000
#define SHARD_SESSION_AHEAD_MS   86400000u /* of this node's clock: a day */
#define SHARD_DICTIONARY_BAD     "a compression dictionary does not decode"
#define SHARD_UNREADABLE         "the shard's manifest or journal cannot be trusted"
#define SHARD_EXPIRY_KEYS_SIZE   (192u << 10)
#define SHARD_SCAN_READS         32u          /* at once for one SCAN */
#define SHARD_FRAME_SIZE         (192u << 10) /* a frame is finished beyond this */
#define SHARD_FETCHES_MAX        256u
#define SHARD_READS_MAX          64u         /* read jobs handed out at once */
#define SHARD_HELD_SIZE_MAX      (16u << 20) /* bytes of appends that wait for room */
#define SHARD_FETCH_SIZE_MAX     (64u << 20) /* bytes being fetched, or one message */
#define SHARD_PEER_INFLIGHT_SIZE (24u << 20) /* appends on their way to a peer, about */
#define SHARD_APPEND_SIZE_MIN    (16u << 10) /* what every group may send at least */

/* Durable once `batch` is: the replica's journal up to (index, term) and its hard state. */
struct shard_note {
    struct replica *replica;
    uint64_t batch;
    uint64_t index;
    uint32_t term;
    uint32_t hard_term;
};

struct shard_deferred {
    struct replica *replica;
    uint64_t batch;
    struct raft_message message;
};

/* An append that found no room in the journal; owns its bytes. */
struct shard_held {
    struct wire_raft wire;
    uint64_t until_ms;
};

struct shard_outgoing {
    struct shard_address to;
    uint8_t type;
    uint16_t partition;
    uint64_t correlation;
    struct wire_buffer body;
};

struct shard_peer {
    bool up;
    bool clock_known;
    int64_t behind_ms; /* its wall clock, behind ours; less what messages take */
    bool full;         /* it says that its disk takes no more writes */
    uint16_t shards;
    uint64_t up_since_ms;
    uint64_t heard_ms; /* the newest message of it; 0: none */
    uint64_t begun_ms; /* the newest snapshot to it was begun */
    struct shard_room_peer room;
    uint64_t beat_acked;      /* newest round it acknowledged */
    uint32_t beat_rank;       /* as how-many-th it answered the last heartbeat; UINT32_MAX: not */
    struct wire_buffer *raft; /* one under construction for each of its shards */
    struct wire_buffer *beat;
};

struct shard_client {
    struct shard_client *next;
    uint64_t link;
    uint8_t role;
    struct wire_buffer results;
    uint32_t *refused; /* a partition: lane_epochs below this are closed */
};

/* Where the newest record of a key lies, pending or applied. */
struct shard_place {
    store_location location;
    uint64_t index; /* of the pending entry; 0 when applied */
    uint32_t size;
    bool found;
    bool expires;
    size_t kept; /* several keys: where its value is in the shard's scratch */
};

/* A read job's purpose. */
enum shard_read_kind {
    SHARD_READ_FETCH,
    SHARD_READ_OPERATION,
    SHARD_READ_SNAPSHOT,
    SHARD_READ_EXPIRY,
    SHARD_READ_COMPARE,
    SHARD_READ_TRAIN,  /* no read: a dictionary is made; owner: struct replica */
    SHARD_READ_RECORD, /* owner: struct shard_record */
    SHARD_READ_WALK,   /* owner: struct replica */
    SHARD_READ_RELOCATE,
};
struct shard_read {
    uint8_t kind;
    uint32_t part; /* OPERATION: which key; FETCH: offset of the entry in the buffer */
    uint32_t size;
    store_location location;
    void *owner;
};

/* Entries that a peer needs and that lie on disk only. */
struct shard_fetch {
    struct shard_fetch *next;
    struct replica *replica;
    struct raft_message message;
    uint8_t *bytes;
    uint32_t reads_left;
    bool failed;
};

/* A key's record that was asked for, or has come. */
struct shard_fetched {
    store_location location;
    bool done;
};

/* An operation that has to wait: for the disk, or behind one that does. Owns its arguments. */
struct shard_operation {
    struct keyqueue_ticket ticket;
    struct shard_operation *next, *previous; /* all waiting ones of the shard */
    struct replica *replica;
    uint64_t link;
    uint64_t session;
    uint64_t deadline_ms;
    struct wire_op op;
    struct wire_bytes *args;
    struct keydir_digest *digests; /* key_count, and one more: the lane's */
    struct keyqueue_node *nodes;   /* as many */
    struct wire_buffer *values;    /* key_count: what the disk gave */
    struct shard_fetched *fetched;
    uint32_t slot_count; /* of values and fetched: key_count, or those of a SCAN */
    uint32_t key_count;
    uint32_t reads_left;
    size_t charge;
    bool read_failed;
    bool cancelled;
};

/* One operation on its way through evaluation; all borrowed. waiting: its parked form, or NULL. */
struct shard_request {
    uint64_t link;
    uint64_t session;
    const struct wire_op *op;
    const struct wire_bytes *args;
    const struct keydir_digest *digests;
    struct shard_operation *waiting;
    uint32_t key_count;
    uint32_t stride;
    size_t charge;
};

/* Reads and deletes of the search for what has expired. */
struct shard_expiry {
    uint32_t reads;   /* jobs under way */
    uint32_t deletes; /* collected in the shard's records, of one partition */
    uint8_t *keys;    /* theirs; SHARD_EXPIRY_KEYS_SIZE */
    size_t keys_size;
    size_t turn; /* which of the hosted is looked after first */
};

/* Values of one partition at a time, until a dictionary can be made of them. */
struct shard_trainer {
    struct replica *replica; /* NULL: nobody's turn */
    bool training;           /* the job is out */
    uint64_t since_ms;
    struct samples samples;
};

/* The ring map as the meta group has it, at shard 0 of its voters. */
struct shard_ring {
    struct ringmap map; /* what the record's value is; the genesis at first */
    struct shard_record record;
    /* Groups that are as the map of that epoch wants them; shard_finish.c. */
    uint64_t done_epoch;
    uint32_t done_count;
    uint8_t done[RINGMAP_PARTITIONS_MAX / 8 + 1];
};

/* Over all keys of one partition, in search of values that need its oldest dictionary. */
struct shard_walk {
    struct replica *replica; /* NULL: there is none */
    uint32_t term, passes;   /* passes: so many are over, */
    uint64_t due_ms;         /* and the next does not begin before */
    uint64_t at;             /* position in the keydir */
    uint32_t reads;          /* jobs under way, also of one that was given up */
    bool through;            /* all keys have been seen, or are being read */
    bool again;              /* some could not be seen to */
    bool in_vain;            /* some cannot: their data key is not here */
};

struct shard {
    struct shard_options options;
    struct store *store;
    uint8_t hash_secret[HASH_KEY_SIZE];
    uint32_t partition_count;
    uint16_t member_count; /* no link is up to a member of a higher id */
    struct shard_intent intent;
    uint64_t moves_ms;    /* of the newest look at them, and */
    uint64_t hurry_ms;    /* when the next is due before the duties; UINT64_MAX: it has time */
    uint64_t moved_ms;    /* the voters of the meta group were told, */
    uint32_t moved_count; /* of so many groups */
    uint64_t holds_due_ms;
    struct replica **replicas; /* by partition; NULL where not hosted */
    struct replica *meta;
    struct shard_ring ring;      /* of shard 0 */
    struct shard_record tickets; /* too */
    struct replica **hosted;     /* all of them */
    size_t hosted_count;
    const uint8_t *genesis_hash;                  /* borrowed while it is opened */
    struct replica *arriving;                     /* a list: the store has yet to take them on */
    struct replica *touched_first, *touched_last; /* the round's end looks at no others */
    struct shard_peer *peers;                     /* by member id, of all there can be */
    struct shard_client *clients;
    struct keyqueue keyqueue;
    struct shard_operation *operations;
    struct shard_fetch *fetches;
    uint32_t fetch_count;
    size_t fetch_size; /* bytes of all fetches */
    struct shard_relocation relocation;
    struct shard_source *sources;
    uint32_t source_count;
    uint64_t log_size;    /* bytes of log that is kept, at the newest duty, */
    uint64_t tail_size;   /* and of the segments that are log */
    size_t snapshot_turn; /* hosted replica that is looked at next */
    struct shard_budget budget;
    struct fifo notes;    /* shard_note */
    struct fifo deferred; /* shard_deferred */
    struct fifo outgoing; /* shard_outgoing */
    struct fifo held;     /* shard_held */
    size_t held_size;     /* bytes of their entries */
    uint32_t reads_out;   /* read jobs handed out */
    struct fifo reads;    /* struct store_job *: to be handed out */
    struct shard_outgoing sent[SHARD_SENDS_MAX];
    size_t sent_count;
    struct wire_buffer spare[SHARD_SENDS_MAX];
    size_t spare_count;
    struct shard_waiter *waiters_free;
    uint32_t in_flight;
    size_t in_flight_size;
    uint64_t now_ms;
    uint64_t wall_ms;
    uint64_t random;
    uint64_t round;         /* of the newest beat sent */
    uint64_t probe_round;   /* of the newest heartbeat: all peers were asked */
    uint32_t probe_answers; /* to it so far */
    uint64_t beat_due_ms;
    uint64_t duty_due_ms;
    uint64_t raft_due_ms;    /* no replica's deadline is earlier, but for those touched */
    uint64_t drain_until_ms; /* 0: not draining */
    bool unreadable;         /* nothing of its store is to be trusted: all is fenced for good */
    bool failing;            /* some replica is */
    bool recovering;         /* the store is being opened */
    bool beat_accepted;      /* by the newest shard_raft_event() */
    bool snapshot_accepted;  /* too */
    int fatal;
    struct shard_stats stats;
    struct raft_effects effects;
    /* Scratch for one event; records_max of entries, records and record_digests. */
    size_t records_max;
    struct raft_entry *entries;
    struct record *records;
    struct raft_config *configs; /* of an APPEND's entries; grows */
    size_t config_capacity;
    struct wire_bytes *args;
    struct command_value *values;
    struct keydir_digest *digests;
    struct keydir_digest *record_digests;
    struct shard_place *places;
    uint8_t *state; /* of a checkpoint */
    size_t state_capacity;
    uint8_t *scratch;
    size_t scratch_capacity;
    struct shard_trainer trainer;
    struct shard_walk walk;
    struct command_options command_options;
    struct command_outcome outcome;
    struct shard_expiry expiry;
    struct shard_compare compare;
    uint64_t room_looked_ms;
    struct shard_load load;
    struct shard_balance balance;
    uint64_t probe_wall_ms; /* our wall clock when the heartbeat of probe_round left */
};

/* shard_out.c */
struct shard_address shard_to_member(uint16_t member);
/* A finished message; takes over the bytes of body and leaves it empty. */
void shard_out(struct shard *shard, struct shard_address to, uint8_t type, uint16_t partition,
               uint64_t correlation, struct wire_buffer *body);
/* The RAFT (or BEAT) frame under construction for the peer's shard that serves the group. */
struct wire_buffer *shard_out_raft(struct shard *shard, uint16_t member, uint16_t group);
struct wire_buffer *shard_out_beat(struct shard *shard, uint16_t member, uint16_t group);
/* A partition number by which the member's host finds the shard that serves the group. */
uint16_t shard_out_route(const struct shard *shard, uint16_t member, uint16_t group);
void shard_out_finish(struct shard *shard);
void shard_out_effects(struct shard *shard, struct shard_effects *effects);
void shard_out_recycle(struct shard *shard);
void shard_out_deinit(struct shard *shard);
uint64_t shard_random(struct shard *shard);

/* shard_ahead.c */
/* A message for it comes after one or two others: its own struct. NULL is no harm. */
#define SHARD_AHEAD 2u
void shard_ahead_replica(const struct replica *replica);
/* It is the next: what that struct points to, which is there by now. NULL is no harm. */
void shard_ahead_parts(const struct replica *replica);
/* What is committed is about to be applied. */
void shard_ahead_keys(const struct shard *shard, const struct replica *replica);

/* shard_raft.c */
struct replica *shard_replica(const struct shard *shard, uint16_t partition);
void shard_raft_event(struct shard *shard, struct replica *replica, struct raft_event *event);
/* The round's end has to look at it. */
void shard_touch(struct shard *shard, struct replica *replica);
void shard_raft_frame(struct shard *shard, uint16_t member, const struct link_message *message);
/* One message of it, from a member that may send it. */
void shard_raft_wire(struct shard *shard, const struct wire_raft *wire);
/* As it goes on the wire, but for the bytes of its entries. */
void shard_raft_to_wire(const struct raft_message *message, struct wire_raft *wire);
void shard_raft_send(struct shard *shard, struct replica *replica,
                     const struct raft_message *message);
/* 0, STORE_E_FULL, STORE_E_NOSPACE, or SHARD_E_REFUSED when the replica does not lead. */
#define SHARD_E_REFUSED 100
int shard_propose(struct shard *shard, struct replica *replica, struct record *records,
                  const struct keydir_digest *digests, size_t count);
/* As shard_propose(); also REFUSED: it may not follow the present one, or not now. Replicas of life
 * 0 begin with the entry. */
int shard_propose_config(struct shard *shard, struct replica *replica,
                         const struct raft_config *config);
void shard_propose_noop(struct shard *shard, struct replica *replica);
void shard_synced(struct shard *shard);
void shard_apply(struct shard *shard, struct replica *replica);
void shard_apply_entry(struct shard *shard, struct replica *replica,
                       const struct pending_entry *entry);
/* It leads no more: what waits for it is answered. */
void shard_stop_leading(struct shard *shard, struct replica *replica);

/* shard_entries.c */
/* Checks a leader's entries: whole entries of this group, indexes without gaps behind wire->index.
 * Fills shard->records, record_digests, entries and configs; false: drop the message. */
bool shard_entries_decode(struct shard *shard, const struct replica *replica,
                          const struct wire_raft *wire, size_t *record_count);

/* shard_held.c */
/* Keeps an append, copied, until there is room for it: the leader would send it again, but not
 * before its retry is due. Over SHARD_HELD_SIZE_MAX it is dropped. */
void shard_hold(struct shard *shard, const struct wire_raft *wire);
/* Takes those for which there is room now, oldest first. */
void shard_held_run(struct shard *shard);
void shard_held_deinit(struct shard *shard);

/* shard_fetch.c */
void shard_fetch_start(struct shard *shard, struct replica *replica,
                       const struct raft_message *message);
void shard_fetch_read(struct shard *shard, struct shard_read *read, const uint8_t *bytes,
                      size_t size);
/* Queues a read job; false: no memory (fatal is set). */
bool shard_read_start(struct shard *shard, uint8_t kind, void *owner, uint32_t part,
                      store_location location, uint32_t size);

/* shard_beat.c */
void shard_beat_frame(struct shard *shard, uint16_t member, const struct link_message *message);
void shard_beat_ack_frame(struct shard *shard, uint16_t member, const struct link_message *message);
void shard_beats_build(struct shard *shard);

/* shard_value.c */
/* Of a PUT or DELETE as it is stored, sealed or not. */
struct keydir_digest shard_record_digest(const struct shard *shard, const struct record *record);

/* shard_dictionary.c */
/* Puts that were evaluated here, before they are compressed. */
void shard_dictionary_sample(struct shard *shard, struct replica *replica,
                             const struct record *records, size_t count);
void shard_dictionary_read(struct shard *shard, struct shard_read *read, const uint8_t *bytes,
                           size_t size);
void shard_dictionary_walk_read(struct shard *shard, struct shard_read *read, const uint8_t *bytes,
                                size_t size);
void shard_dictionary_duty(struct shard *shard);
void shard_trainer_free(struct shard *shard);
/* For pending_entry.owned of the record's entry: NULL when it is no dictionary. */
void *shard_dictionary_own(struct shard *shard, const struct record *record);
void shard_dictionary_apply(struct shard *shard, struct replica *replica,
                            const struct pending_entry *entry);

/* shard_expiry.c */
/* Unix ms, by which this leader judges and sets deadlines. */
uint64_t shard_time(const struct shard *shard, const struct replica *replica);
/* Our wall clock is ahead of most voters' by SHARD_CLOCK_AHEAD_MS: no time of it may be logged. */
bool shard_clock_ahead(const struct shard *shard, const struct replica *replica);
/* Called with each event, before its times are taken over. */
void shard_clock(struct shard *shard, const struct shard_event *event);
/* A record that is in the replica's log now, or was at a restart. */
void shard_log_time(struct replica *replica, const struct record *record);
/* Leadership began. */
void shard_expiry_begin(struct replica *replica);
/* The leader has proposed this write. */
void shard_expiry_note(struct replica *replica, const struct record *record,
                       const struct keydir_digest *digest);
/* Deletes what has expired unread; every 100 ms. */
void shard_expiry_duty(struct shard *shard);
void shard_expiry_read(struct shard *shard, struct shard_read *read, const uint8_t *bytes,
                       size_t size);
/* Deletes those of the request's values that have expired: they are gone from shard->values, and
 * *observed is the delete's index. 0, or what shard_propose() says: nothing was changed. */
int shard_expire_values(struct shard *shard, struct replica *replica,
                        const struct shard_request *request, uint64_t *observed);

/* shard_duty.c */
void shard_duty(struct shard *shard);
/* A voter that could take over from this leader now. */
bool shard_ready_to_lead(const struct shard *shard, const struct replica *replica, uint16_t member);
void shard_drain_step(struct shard *shard);
bool shard_drained(const struct shard *shard);
/* It has led for a while, or was not given up by the heir for as long. */
bool shard_leader_settled(const struct shard *shard, const struct replica *replica);

/* shard.c */
void shard_peer_lost(struct shard *shard, uint16_t member);
/* Takes back a job with which nothing is to be done: the shard has failed, or closes. */
void shard_job_discard(struct shard *shard, struct store_job *job, int result);

/* shard_hosting.c */
/* By its number. */
bool shard_belongs(const struct shard *shard, uint16_t partition);
/* The partition's replica of that life is to be here: it begins empty. Nothing to do when there is
 * one, or it is on its way. first: the append that is told of it, or NULL. */
void shard_host(struct shard *shard, uint16_t partition, uint64_t life,
                const struct wire_raft *first);
/* The partition's replica of that life is to go, with all that it has. It stops at once, and is
 * never here again. Only when a committed configuration without it is known. */
void shard_destroy(struct shard *shard, uint16_t partition, uint64_t life);
/* Recovery: the manifest does not have it, so it was given up. */
void shard_host_gone(struct shard *shard, struct replica *replica);
/* Those that leave go when they can. Those on their way that have a place in the store by now take
 * part. */
void shard_hosting_step(struct shard *shard);
void shard_hosting_free(struct shard *shard);
/* Recovery: one that the genesis does not know. NULL: no memory (fatal is set). */
struct replica *shard_host_restored(struct shard *shard, uint16_t partition, uint64_t life);
/* Recovery is over: fences what the store has fenced, and what is here but has no replica. */
void shard_recover_end(struct shard *shard);

/* shard_snapshot.c */
bool shard_sources_of(const struct shard *shard, const struct replica *replica);

/* shard_compare.c */
bool shard_compare_of(const struct shard *shard, const struct replica *replica);

/* shard_open.c */
/* Not hosted yet. config NULL: it has yet to learn one. 0, -ENOMEM or -EINVAL. */
int shard_replica_new(struct shard *shard, uint16_t partition, uint64_t life,
                      const struct raft_config *config, struct replica **replica);
void shard_replica_free(struct shard *shard, struct replica *replica);
/* Each group gets its part of the links to the peers. */
void shard_share_links(struct shard *shard);
void shard_peer_down(struct shard_peer *peer);

/* shard_state.c */
/* Writes the replica's state to shard->state. False: no memory (fatal is set). */
bool shard_state_save(struct shard *shard, const struct replica *replica, size_t *size);
/* Of a state that came with a snapshot: from now on it is that of another replica, of `life`, and
 * its content lags behind up to `settled`. */
void shard_state_settle(uint8_t *state, uint64_t life, uint64_t settled);
/* Of the replica that saved it; 0: it does not decode. */
uint64_t shard_state_life(const uint8_t *state, size_t size);
bool shard_state_sound(const uint8_t *state, size_t size);
/* Sessions and settled go to the replica, the rest to the caller. 0, -EBADMSG or -ENOMEM. */
int shard_state_load(struct shard *shard, struct replica *replica, const uint8_t *state,
                     size_t size, struct raft_config *config, bool *fenced);

/* shard_finish.c */
/* All groups have told that they are as the map wants them. */
bool shard_finish_due(const struct shard *shard);
void shard_finish_moved(struct shard *shard, const struct link_message *message);
void shard_finish_duty(struct shard *shard);

/* shard_map.c */
int shard_map_init(struct shard *shard, const struct ringmap *genesis);
void shard_map_deinit(struct shard *shard);

/* shard_tickets.c */
int shard_tickets_init(struct shard *shard);

/* shard_recover.c */
void shard_visitor(struct shard *shard, struct store_visitor *visitor);

#endif
