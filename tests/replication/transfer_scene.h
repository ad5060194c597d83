/* Transfer scene: a group as its leader sees it, a core whose configurations are committed by the
 * test. */
#ifndef TESTS_REPLICATION_TRANSFER_SCENE_H
#define TESTS_REPLICATION_TRANSFER_SCENE_H

#include "replication/raft_internal.h"
#include "replication/transfer.h"

#include <criterion/criterion.h>

#define SILENT_MS 1000u
#define MEMBERS   9u

/* The first of the voters leads, in a term that has begun. */
static inline void scene_lead(struct raft *raft, const uint16_t *voters, uint32_t count)
{
    struct raft_options options = {.group = 1,
                                   .self = {.member = voters[0], .life = 1},
                                   .election_ms_min = 500,
                                   .election_ms_max = 1000,
                                   .append_entries_max = 8,
                                   .append_size_max = 1000,
                                   .inflight_size_max = 10000,
                                   .inflight_messages_max = 8,
                                   .retry_ms = 100};
    struct raft_config config = {.index = 1, .epoch = 1};

    for (uint32_t i = 0; i < count; i++)
        config.voters[config.voter_count++] = (struct raft_replica){voters[i], 1};
    cr_assert_eq(raft_init(raft, &options, &config, 0, 1), 0);
    raft->role = RAFT_LEADER;
    raft->log.last = raft->commit = raft->term_start = 2;
}

/* Nobody is wanted yet. All are borrowed. */
static inline struct transfer_view scene_view(const struct raft *raft, const uint16_t *wanted,
                                              const uint8_t *states)
{
    return (struct transfer_view){.raft = raft,
                                  .wanted = wanted,
                                  .epoch = 2,
                                  .states = states,
                                  .now_ms = 10000,
                                  .silent_ms = SILENT_MS,
                                  .may_begin = true};
}

static inline bool scene_has(const struct raft_replica *replicas, uint32_t count, uint16_t member)
{
    for (uint32_t i = 0; i < count; i++)
        if (replicas[i].member == member)
            return true;
    return false;
}

#endif
