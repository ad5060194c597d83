#include "replication/shard_internal.h"

#define PACED_MS  250u /* of what clients leave may be saved up */
#define PIECE_MIN 4096u

uint64_t shard_budget_rate(const struct shard *shard)
{
    return shard->intent.rate ? shard->intent.rate : shard->options.snapshot_rate;
}

size_t shard_budget_piece(const struct shard *shard)
{
    uint64_t part = shard_budget_rate(shard) / shard->options.shards;
    uint64_t rate = shard->budget.pace.rate;
    uint64_t size;

    rate = part > 0 && part < rate ? part : rate;
    size = rate / 1000 * SHARD_BUDGET_PIECE_MS;
    size = size > PIECE_MIN ? size : PIECE_MIN;
    return size < shard->options.snapshot_piece_size ? (size_t)size
                                                     : shard->options.snapshot_piece_size;
}

bool shard_budget_left(const struct shard *shard)
{
    return shard->budget.given > 0;
}

/* What so many sources that are ready could send, and clients leave. */
static uint64_t wanted(const struct shard *shard, uint32_t ready)
{
    const struct shard_budget *budget = &shard->budget;
    int64_t size = (int64_t)(ready * shard_budget_piece(shard));
    uint64_t more = size > budget->given ? (uint64_t)(size - budget->given) : 0;

    if (size == 0)
        return 0;
    return budget->pace.rate == PACE_FREE || more < budget->paced ? more : budget->paced;
}

void shard_budget_refill(struct shard *shard)
{
    struct shard_budget *budget = &shard->budget;
    uint64_t elapsed_ms = shard->now_ms - budget->refilled_ms;
    uint64_t rate = budget->pace.rate;

    budget->refilled_ms = shard->now_ms;
    if (rate == PACE_FREE) {
        budget->paced = 0;
    } else {
        elapsed_ms = elapsed_ms < PACED_MS ? elapsed_ms : PACED_MS;
        budget->paced += rate * elapsed_ms / 1000;
        if (budget->paced > rate * PACED_MS / 1000)
            budget->paced = rate * PACED_MS / 1000;
    }
    if (shard_budget_rate(shard) == 0)
        shard_budget_given(shard, wanted(shard, shard_sources_ready(shard)));
}

void shard_budget_given(struct shard *shard, uint64_t bytes)
{
    struct shard_budget *budget = &shard->budget;

    budget->given += (int64_t)bytes;
    budget->paced -= bytes < budget->paced ? bytes : budget->paced;
}

void shard_budget_charge(struct shard *shard, int64_t bytes)
{
    shard->budget.given -= bytes;
}

void shard_budget_ask(struct shard *shard, struct shard_effects *effects)
{
    struct shard_budget *budget = &shard->budget;
    uint64_t left = budget->given > 0 ? (uint64_t)budget->given : 0;
    uint32_t ready = shard_sources_ready(shard);

    budget->given -= (int64_t)left;
    budget->paced += left;
    budget->waits = ready > 0;
    if (shard_budget_rate(shard) == 0)
        return;
    effects->budget_wanted = wanted(shard, ready);
    effects->budget_left = left;
    effects->budget_rate = shard_budget_rate(shard);
}
