#include "tests/sim/sim_check.h"
#include "ring/mix.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define INDEX_MAX (UINT64_C(1) << 28)

/* Checksum of the entry's bytes, 0 when they cannot be had without waiting. */
static uint64_t entry_checksum(struct sim_node *node, struct sim_shard *shard,
                               const struct raft *raft, uint64_t index)
{
    const struct raft_log_entry *entry = raft_log_at(&raft->log, index);
    const uint8_t *bytes;
    size_t size;
    if (!entry || entry->location == STORE_LOCATION_NONE || node->rotten)
        return 0;
    if (store_peek(shard_store(shard->shard), entry->location, entry->size, &bytes, &size) != 0 ||
        size < entry->size)
        return 0;
    uint64_t checksum = XXH3_64bits(bytes, entry->size);
    return checksum ? checksum : 1;
}

static struct sim_seen *seen_find(struct sim_check *check, uint64_t key)
{
    if (check->seen_count * 2 >= check->seen_capacity) {
        size_t old_capacity = check->seen_capacity;
        struct sim_seen *old = check->seen;
        check->seen_capacity = old_capacity ? old_capacity * 2 : 4096;
        check->seen = calloc(check->seen_capacity, sizeof *check->seen);
        assert(check->seen);
        for (size_t i = 0; i < old_capacity; i++)
            if (old[i].key) {
                size_t at = mix_of(old[i].key) & (check->seen_capacity - 1);
                while (check->seen[at].key)
                    at = (at + 1) & (check->seen_capacity - 1);
                check->seen[at] = old[i];
            }
        free(old);
    }
    size_t at = mix_of(key) & (check->seen_capacity - 1);
    while (check->seen[at].key && check->seen[at].key != key)
        at = (at + 1) & (check->seen_capacity - 1);
    return &check->seen[at];
}

void sim_check_log_free(struct sim_check *check)
{
    free(check->seen);
    check->seen = NULL;
}

/* Log matching, by induction: whoever has (index, term) has the same bytes there and the same term
 * before it. */
static void entry_seen(struct sim_check *check, uint8_t node, uint32_t group, uint64_t index,
                       uint32_t term, uint32_t term_before, uint64_t checksum)
{
    assert(index < INDEX_MAX);
    uint64_t key = ((uint64_t)group + 1) << 58 | (uint64_t)(term & 0x3fffffff) << 28 | index;
    struct sim_seen *seen = seen_find(check, key);
    if (!seen->key) {
        *seen = (struct sim_seen){key, term_before, checksum};
        check->seen_count++;
        return;
    }
    check->entries_compared++;
    if (term_before && seen->term_before && seen->term_before != term_before)
        sim_fail(check->sim,
                 "p%02u logs do not match: before entry %" PRIu64
                 " of term %u node %u has term %u, another had %u",
                 group, index, term, node, term_before, seen->term_before);
    if (checksum && seen->checksum && seen->checksum != checksum)
        sim_fail(check->sim,
                 "p%02u entry %" PRIu64 " of term %u has other bytes on node %u than elsewhere",
                 group, index, term, node);
    if (!seen->checksum)
        seen->checksum = checksum;
    if (!seen->term_before)
        seen->term_before = term_before;
}

static void mirror_reserve(struct sim_mirror *mirror, uint64_t index)
{
    if (index < mirror->capacity)
        return;
    uint64_t capacity = (index + 1) * 2;
    mirror->terms = realloc(mirror->terms, capacity * sizeof *mirror->terms);
    assert(mirror->terms);
    memset(mirror->terms + mirror->capacity, 0,
           (capacity - mirror->capacity) * sizeof *mirror->terms);
    mirror->capacity = capacity;
}

/* Walks back from the newest entry to where the log is as it was seen last. */
static void mirror_update(struct sim_check *check, struct sim_node *node, struct sim_shard *shard,
                          uint32_t group, const struct raft *raft)
{
    struct sim_mirror *mirror = &check->replicas[node->endpoint - 1][group].mirror;
    mirror_reserve(mirror, raft->log.last);
    for (uint64_t index = raft->log.last; index >= raft->log.first && index > 0; index--) {
        uint32_t term = raft_log_term(&raft->log, index);
        if (index <= mirror->last && mirror->terms[index] == term)
            break;
        entry_seen(check, node->endpoint, group, index, term,
                   index > raft->log.first ? raft_log_term(&raft->log, index - 1)
                                           : raft->log.prev_term,
                   entry_checksum(node, shard, raft, index));
        mirror->terms[index] = term;
    }
    if (mirror->known > raft->log.last)
        mirror->known = raft->log.last;
    mirror->last = raft->log.last;
}

static struct sim_committed *committed_at(struct sim_group *group, uint64_t index)
{
    if (index >= group->committed_capacity) {
        uint64_t capacity = (index + 1) * 2;
        group->committed = realloc(group->committed, capacity * sizeof *group->committed);
        assert(group->committed);
        memset(group->committed + group->committed_capacity, 0,
               (capacity - group->committed_capacity) * sizeof *group->committed);
        group->committed_capacity = capacity;
    }
    return &group->committed[index];
}

static void check_committed(struct sim_check *check, struct sim_node *node, struct sim_shard *shard,
                            uint32_t number, const struct raft *raft)
{
    struct sim_group *group = &check->groups[number];
    struct sim_mirror *mirror = &check->replicas[node->endpoint - 1][number].mirror;
    uint64_t index = mirror->known + 1;
    if (index < raft->log.first)
        index = raft->log.first;
    for (; index <= raft->commit; index++) {
        uint32_t term = raft_log_term(&raft->log, index);
        struct sim_committed *committed = committed_at(group, index);
        uint64_t checksum = entry_checksum(node, shard, raft, index);
        if (committed->term && committed->term != term)
            sim_fail(check->sim,
                     "p%02u committed entry %" PRIu64 " was of term %u, on node %u it is of %u",
                     number, index, committed->term, node->endpoint, term);
        if (committed->checksum && checksum && committed->checksum != checksum)
            sim_fail(check->sim, "p%02u committed entry %" PRIu64 " has other bytes on node %u",
                     number, index, node->endpoint);
        committed->term = term;
        if (!committed->checksum)
            committed->checksum = checksum;
        mirror->known = index;
    }
    if (raft->commit > group->commit_max)
        group->commit_max = raft->commit;
}

void sim_check_log(struct sim_check *check, struct sim_node *node, struct sim_shard *shard,
                   uint32_t group, const struct raft *raft)
{
    const struct sim_replica *replica = &check->replicas[node->endpoint - 1][group];
    if (raft->applied > raft->commit || raft->commit > raft->log.last)
        sim_fail(check->sim, "node %u p%02u applied %" PRIu64 ", commit %" PRIu64 ", last %" PRIu64,
                 node->endpoint, group, raft->applied, raft->commit, raft->log.last);
    if (replica->open && (raft->commit < replica->commit || raft->applied < replica->applied))
        sim_fail(check->sim, "node %u p%02u commit or applied goes back", node->endpoint, group);
    mirror_update(check, node, shard, group, raft);
    check_committed(check, node, shard, group, raft);
}
