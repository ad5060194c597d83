/* Shard budget: how much of its snapshots a shard may send.
 *
 * Two limits. What clients leave is a rate of this shard, found by pace.h. What people allow is the
 * node's, and given out by the host (budget.h): the shard asks for no more than its clients leave
 * and its sources could send at once, a piece each, and gives back with the same round what it did
 * not need.
 *
 * A piece is charged when it is begun, and may be larger than what is left: the debt is paid off
 * before the next. A piece is at most an even part of what SHARD_BUDGET_PIECE_MS bring (or 4 KiB,
 * or a record), so a node sends in no second more than the second brings and 250 ms: what the host
 * saves up, and the debts.
 *
 * Included by shard*.c only.
 */
#ifndef REPLICATION_SHARD_BUDGET_H
#define REPLICATION_SHARD_BUDGET_H

#include "replication/pace.h"
#include "replication/shard.h"

#define SHARD_BUDGET_PIECE_MS 50u

struct shard_budget {
    struct pace pace;
    uint64_t refilled_ms;
    uint64_t paced; /* bytes that clients leave and that were not asked for yet; while they do not
                       limit: 0 */
    int64_t given;  /* bytes that may be sent now; between rounds it is at most 0 */
    bool waits;     /* sources were ready when the newest round ended */
};

/* Bytes a second that the whole node may send; 0: as it comes. */
uint64_t shard_budget_rate(const struct shard *shard);
/* Bytes of a piece, about. */
size_t shard_budget_piece(const struct shard *shard);
/* May a piece be begun? */
bool shard_budget_left(const struct shard *shard);
/* Before pieces are begun: time has passed. */
void shard_budget_refill(struct shard *shard);
/* So much was given. */
void shard_budget_given(struct shard *shard, uint64_t bytes);
/* A piece of about that size is begun; bytes < 0: it was too much. */
void shard_budget_charge(struct shard *shard, int64_t bytes);
/* At the end of a round: what it needs, and what it has not needed. */
void shard_budget_ask(struct shard *shard, struct shard_effects *effects);

#endif
