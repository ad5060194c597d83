/* Raft, inside: what raft*.c share. Nothing outside replication/raft*.c includes this.
 *
 *   raft.c         life, recovery, dispatch, terms
 *   raft_elect.c   pre-vote, votes, check-quorum, leadership transfer
 *   raft_append.c  the log: proposals, appends, answers, commit
 *   raft_read.c    beats and read-index rounds
 *   raft_snapshot.c peers that the log cannot help any more
 *   raft_config.c  configurations: their bytes, their changes, quorums over their halves
 */
#ifndef REPLICATION_RAFT_INTERNAL_H
#define REPLICATION_RAFT_INTERNAL_H

#include "replication/progress.h"
#include "replication/quorum.h"
#include "replication/raft.h"
#include "storage/mutant.h"

/* A campaign that was called for, not waited for, starts within these (milliseconds). */
#define RAFT_HASTE_MS_MIN 20u
#define RAFT_HASTE_MS_MAX 150u
/* Between the survivors of a leader: time for the one before to be elected and heard. */
#define RAFT_HASTE_STEP_MS 100u

/* raft.c */
/* A follower of `leader` (0: unknown) in `term`, which is at least the present one. */
void raft_become_follower(struct raft *raft, const struct raft_event *event,
                          struct raft_effects *effects, uint32_t term, uint16_t leader);
/* A sign of life of `leader` in the present term: follows it and starts the election timer again.
 * False: it cannot be, another replica leads this term. */
bool raft_follow(struct raft *raft, const struct raft_event *event, struct raft_effects *effects,
                 uint16_t leader);
/* A fresh random time in [min, max). */
uint64_t raft_random(const struct raft *raft, const struct raft_event *event, uint32_t min,
                     uint32_t max);
/* When an election is due that starts to be waited for now. */
uint64_t raft_election_ms(const struct raft *raft, const struct raft_event *event);
/* A message of `kind` to a replica in the present term; zeroed otherwise. NULL: no room left. */
struct raft_message *raft_message(struct raft *raft, struct raft_effects *effects, uint8_t kind,
                                  struct raft_replica to);
static inline bool raft_same(struct raft_replica a, struct raft_replica b)
{
    return a.member == b.member && (a.life == b.life || mutant(MUTANT_OTHER_LIFE_ACCEPTED));
}

/* raft_elect.c */
void raft_on_tick(struct raft *raft, const struct raft_event *event, struct raft_effects *effects);
/* Starts with a pre-vote, or at once when `transfer`. */
void raft_campaign(struct raft *raft, const struct raft_event *event, struct raft_effects *effects,
                   bool transfer);
void raft_on_vote(struct raft *raft, const struct raft_event *event, struct raft_effects *effects);
void raft_on_vote_reply(struct raft *raft, const struct raft_event *event,
                        struct raft_effects *effects);
/* Counts; becomes leader or gives up. */
void raft_tally(struct raft *raft, const struct raft_event *event, struct raft_effects *effects);
void raft_on_transfer(struct raft *raft, const struct raft_event *event,
                      struct raft_effects *effects);
/* Sends TIMEOUT_NOW when the transfer's target holds the whole log. */
void raft_transfer_advance(struct raft *raft, struct raft_effects *effects);
void raft_on_timeout_now(struct raft *raft, const struct raft_event *event,
                         struct raft_effects *effects);
void raft_on_peer_lost(struct raft *raft, const struct raft_event *event);
/* A leader is heard: votes are refused unless a transfer asks for them. */
bool raft_leased(const struct raft *raft, uint64_t now_ms);
uint64_t raft_quorum_deadline_ms(const struct raft *raft);

/* raft_append.c */
void raft_on_propose(struct raft *raft, const struct raft_event *event,
                     struct raft_effects *effects);
void raft_on_flush(struct raft *raft, const struct raft_event *event, struct raft_effects *effects);
void raft_on_append(struct raft *raft, const struct raft_event *event,
                    struct raft_effects *effects);
void raft_on_append_reply(struct raft *raft, const struct raft_event *event,
                          struct raft_effects *effects);
void raft_on_synced(struct raft *raft, const struct raft_event *event,
                    struct raft_effects *effects);
/* Sends again what was not answered in time. */
void raft_retry(struct raft *raft, const struct raft_event *event, struct raft_effects *effects);
/* progress.fenced while the link was lost since the report: the peer may have repaired itself, by
 * what was on its way, or have been damaged anew. Only its next report, or beat, tells. */
#define RAFT_FENCED_UNHEARD UINT64_MAX
/* Sends the peer what there is for it. */
void raft_send_all(struct raft *raft, struct raft_progress *peer, uint64_t now_ms,
                   struct raft_effects *effects);
/* Up to where the peer (this replica, too) is known to hold the log. */
uint64_t raft_match(const struct raft *raft, const struct raft_progress *peer);
/* Leader: commits what a quorum holds. */
void raft_commit_advance(struct raft *raft, const struct raft_event *event,
                         struct raft_effects *effects);
/* Follower: a leader said so. */
void raft_commit_to(struct raft *raft, uint64_t commit, struct raft_effects *effects);
/* The largest index <= index whose term is <= term, not below floor. */
uint64_t raft_backtrack(const struct raft *raft, uint64_t index, uint32_t term, uint64_t floor);

/* raft_snapshot.c */
/* The peer lacks what has left the log. */
void raft_snapshot_want(struct raft_progress *peer, struct raft_effects *effects);
void raft_on_snapshot(struct raft *raft, const struct raft_event *event,
                      struct raft_effects *effects);
void raft_on_snapshot_begin(struct raft *raft, const struct raft_event *event,
                            struct raft_effects *effects);
void raft_on_snapshot_failed(struct raft *raft, const struct raft_event *event);
void raft_on_snapshot_installed(struct raft *raft, const struct raft_event *event,
                                struct raft_effects *effects);
void raft_on_peer_fenced(struct raft *raft, const struct raft_event *event,
                         struct raft_effects *effects);

/* raft_read.c */
void raft_on_beat(struct raft *raft, const struct raft_event *event, struct raft_effects *effects);
void raft_on_beat_ack(struct raft *raft, const struct raft_event *event,
                      struct raft_effects *effects);
void raft_read_advance(struct raft *raft, struct raft_effects *effects);

/* raft_config.c */
struct raft_progress *raft_find(struct raft *raft, struct raft_replica replica);
bool raft_self_votes(const struct raft *raft);
bool raft_may_campaign(const struct raft *raft);
/* May `from` be listened to? No: it is another life of a member, or was removed. A replica that an
 * entry added which is not here yet is heard. */
bool raft_knows(const struct raft *raft, struct raft_replica from);
/* The lower of both halves' quorum_value over the peers' values. */
uint64_t raft_quorum(const struct raft *raft,
                     uint64_t (*value)(const struct raft *raft, const struct raft_progress *peer));
/* The configuration of the entry at `index`, just appended or restored. */
void raft_config_append(struct raft *raft, uint64_t index, const struct raft_config *config,
                        uint64_t now_ms);
/* Entries from `index` on are gone. True when that changed the configuration. */
bool raft_config_truncate(struct raft *raft, uint64_t index);
/* May a leader propose it now? */
bool raft_config_follows(const struct raft *raft, const struct raft_config *next);
void raft_config_set(struct raft *raft, const struct raft_config *config, uint64_t now_ms);

#endif
