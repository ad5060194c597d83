/* Shard moves: replicas come, catch up, take over and go, because the ring map wants them
 * elsewhere.
 *
 * Intent. The newest ring map (SHARD_EVENT_MAP), as far as a shard needs it: who is wanted where,
 * who is no member any more. It decides nothing: what a group is, its own configuration says.
 *
 * Moves. At each duty the leader of every group takes the step that transfer.h derives from that
 * configuration. So many learners are fed at once, all groups of this shard together; what is sent
 * to them keeps the byte budget of all snapshots (shard_snapshot.h). Whoever leads next goes on.
 *
 * Lives. A replica begins with the first append that a leader sends to it, and ends when it is
 * proven that no configuration has it: by its own log, or by a member that it asks (HOLDS, GONE)
 * once it hears of no leader, or hears that there is a later life of it. The store keeps for ever
 * what has ended, so that a late message brings nothing back.
 *
 * Included by shard*.c only.
 */
#ifndef REPLICATION_SHARD_MOVES_H
#define REPLICATION_SHARD_MOVES_H

#include "replication/raft.h"
#include "replication/shard.h"
#include "ring/wire.h"

struct replica;

/* What the newest ring map wants. */
struct shard_intent {
    uint64_t epoch;   /* 0: none was heard of yet */
    uint16_t *wanted; /* by partition, rows of `width` member ids; 0: a free place */
    uint32_t width;
    uint16_t meta[RINGMAP_META_VOTERS_MAX];
    uint32_t meta_count;
    uint8_t states[RINGMAP_MEMBERS_MAX + 1]; /* of members, by id; 0: not in it */
    uint64_t rate; /* bytes a second of snapshots, all shards; 0: as in the options */
    bool moving;   /* it is on its way to another */
    bool paused;
};

/* Members that may know whether a replica is over: who is wanted, and who is in its configuration.
 */
#define REPLICA_ASKED_MAX (RINGMAP_REPLICAS_MAX + RAFT_PEERS_MAX)

/* A leader's way to what the ring map wants, as of the newest duty. */
struct replica_move {
    uint8_t step;            /* enum transfer_step, */
    uint16_t member;         /* and whom it waits for */
    uint64_t epoch;          /* step is DONE: of the map, and */
    uint64_t index;          /* of the configuration, for which it is */
    struct raft_replica fed; /* for whom the newest snapshot was begun */
    uint64_t fed_to;    /* position before which its newest snapshot was sent; UINT64_MAX: all */
    uint32_t fed_times; /* snapshots begun for it */
};

/* shard_intent.c */
void shard_intent_take(struct shard *shard, const struct ringmap *map);
/* The group's row; *count is 0 while no map is known. */
const uint16_t *shard_wanted(const struct shard *shard, uint16_t group, uint32_t *count);
/* The preferred leader, where a map is known. */
void shard_prefer(const struct shard *shard, struct replica *replica);
/* May there be a link to it? Not when it is removed; it may be of a map that is still to come. */
bool shard_links(const struct shard *shard, uint16_t member);
/* Is it to be listened to, in this? See replication/hearing.h. */
bool shard_heeds(const struct shard *shard, struct shard_address from, uint8_t type);

/* shard_moves.c */
void shard_moves_duty(struct shard *shard);
/* The group is as the map of that epoch wants it, and this is its leader. */
bool shard_moved(const struct shard *shard, const struct replica *replica);
void shard_moves_get(struct shard *shard, struct shard_address from,
                     const struct link_message *message);
/* Leadership began: nothing is known of what is to be done. */
void shard_moves_begin(struct replica *replica);
/* There may be something to do before the next duty. */
void shard_moves_hurry(struct shard *shard);
/* Does it, when that is due. */
void shard_moves_in_between(struct shard *shard);
/* More is committed. */
void shard_moves_committed(struct shard *shard, const struct replica *replica);
/* A peer has answered. */
void shard_moves_heard(struct shard *shard, const struct replica *replica, uint16_t member);
/* A snapshot for the peer was begun. */
void shard_move_begun(struct replica *replica, struct raft_replica to);
/* Its snapshot has been sent up to that position, or the target has what comes before it. */
void shard_move_sent(struct replica *replica, struct raft_replica to, uint64_t position);

/* shard_lives.c */
/* A leader sends to a life of the group that is later than what is here, if anything is. first: an
 * append, or NULL. */
void shard_life_begin(struct shard *shard, uint16_t group, uint64_t life,
                      const struct wire_raft *first);
/* Asks for those that hear of nobody. */
void shard_lives_duty(struct shard *shard);
void shard_holds_frame(struct shard *shard, uint16_t member, const struct link_message *message);
void shard_gone_frame(struct shard *shard, uint16_t member, const struct link_message *message);
/* The link to the member ended: what it was asked on it is not answered any more. */
void shard_lives_peer_lost(struct shard *shard, uint16_t member);

#endif
