/* One raft core under a script: the test says what arrives and looks at what leaves.
 * Members are 1 … voters, then learners; all in life SCRIPT_LIFE. Time stands still unless moved.
 */
#ifndef TESTS_REPLICATION_RAFT_SCRIPT_H
#define TESTS_REPLICATION_RAFT_SCRIPT_H

#include "replication/raft.h"

#define SCRIPT_LIFE        5u
#define SCRIPT_GROUP       9u
#define SCRIPT_ENTRIES_MAX 64u

struct script {
    struct raft raft;
    struct raft_effects effects; /* of the last step */
    uint64_t now_ms;
    uint64_t random;
};

struct raft_options script_options(uint16_t self);
struct raft_config script_config(uint8_t voters, uint8_t learners);
struct raft_replica script_replica(uint16_t member);
/* Member `self` of a group; options NULL: script_options(). Starts at 1,000 ms. */
void script_init(struct script *script, uint16_t self, uint8_t voters, uint8_t learners,
                 const struct raft_options *options);
void script_deinit(struct script *script);

void script_step(struct script *script, struct raft_event event);
void script_event(struct script *script, uint8_t kind);
/* A TICK at the deadline that the core asked for. */
void script_timeout(struct script *script);
/* From `from` to this core; group and lives are filled in. terms: of an APPEND's entries, 16 B
 * each. */
void script_message(struct script *script, uint16_t from, struct raft_message message,
                    const uint32_t *terms);
void script_propose(struct script *script, uint32_t count, uint32_t size);
/* All that was written so far is durable. */
void script_synced(struct script *script);
void script_beat(struct script *script, uint16_t from, uint32_t term, uint64_t commit,
                 uint64_t round);
void script_beat_ack(struct script *script, uint16_t from, uint32_t term, uint64_t round);
/* An answer of the present term that everything up to index is there. */
void script_accept(struct script *script, uint16_t from, uint64_t index);
/* Campaigns and wins with every vote; the no-op is proposed, flushed and synced, nothing acked. */
void script_lead(struct script *script);
/* Fills the log as a follower of `leader`: entries of these terms. Synced. */
void script_follow(struct script *script, uint16_t leader, const uint32_t *terms, uint32_t count);

/* The n-th message (from 0) of a kind to a member in the last step's effects; NULL: there is none.
 * member 0: to anyone. */
const struct raft_message *script_sent(const struct script *script, uint8_t kind, uint16_t member,
                                       uint32_t n);
uint32_t script_sent_count(const struct script *script, uint8_t kind, uint16_t member);

#endif
