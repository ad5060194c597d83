#include "raft_sim.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct sim_record *journal_add(struct sim_node *node, uint8_t kind)
{
    struct sim_record *record;

    if (node->record_count == node->record_capacity) {
        node->record_capacity = node->record_capacity ? node->record_capacity * 2 : 256;
        node->records = realloc(node->records, node->record_capacity * sizeof(*node->records));
        assert(node->records);
    }
    record = &node->records[node->record_count++];
    memset(record, 0, sizeof(*record));
    record->kind = kind;
    return record;
}

void journal_sync(struct sim *sim, struct sim_node *node)
{
    struct raft *raft = &node->raft;
    bool slow = !sim->quiet && node->slow_disk_until_us > sim->now_us;

    if (node->inflight != 0 || node->durable == node->record_count)
        return;
    if (raft->commit > node->commit_recorded && sim_chance(sim, 700)) {
        journal_add(node, SIM_COMMIT)->index = raft->commit;
        node->commit_recorded = raft->commit;
    }
    node->inflight = node->record_count;
    node->note_index = raft->log.last;
    node->note_term = raft_log_term(&raft->log, raft->log.last);
    node->note_hard_term = raft->term;
    sim_at(sim, slow ? sim_between(sim, 2000, 80000) : sim_between(sim, 50, 1500), SIM_SYNCED,
           sim_number(sim, node), 0);
}

/* The checkpoint at `place` is durable: what it replaces goes. */
static void drop_records(struct sim_node *node, uint32_t place)
{
    for (uint32_t i = 0; i < place; i++) {
        struct sim_record *record = &node->records[i];

        if (record->dies_with == place && record->kind != SIM_DEAD) {
            free(record->config);
            record->config = NULL;
            record->kind = SIM_DEAD;
        }
    }
}

void journal_synced(struct sim_node *node)
{
    for (uint32_t i = node->durable; i < node->inflight; i++) {
        if (node->records[i].kind == SIM_CHECKPOINT)
            drop_records(node, i);
    }
    node->durable = node->inflight;
    node->inflight = 0;
}

void host_crash(struct sim *sim, struct sim_node *node)
{
    if (node->inflight != 0 && sim_chance(sim, 500))
        node->durable = node->inflight;
    for (uint32_t i = node->durable; i < node->record_count; i++)
        free(node->records[i].config);
    node->record_count = node->durable;
    for (uint32_t i = 0; i < node->record_count; i++) {
        struct sim_record *record = &node->records[i];

        if (record->dies_with >= node->record_count)
            record->dies_with = 0;
    }
    node->up = false;
    node->boot++;
    raft_deinit(&node->raft);
    sim->counts.crashes++;
}

void journal_replay(struct sim *sim, struct sim_node *node)
{
    struct raft *raft = &node->raft;

    for (uint32_t i = 0; i < node->record_count; i++) {
        const struct sim_record *record = &node->records[i];

        switch (record->kind) {
        case SIM_HARD:
            raft_restore_hard_state(raft, record->term, record->vote);
            break;
        case SIM_ENTRY:
            if (raft_restore_entry(raft, record->index, record->term, record->size, i) != 0)
                sim_fail(sim, "replay would replace a committed entry");
            node->payloads[record->index] = record->payload;
            if (record->payload & SIM_CONFIG_FLAG)
                raft_restore_config(raft, record->index,
                                    &sim->configs[record->payload & ~SIM_CONFIG_FLAG]);
            break;
        case SIM_COMMIT:
            raft_restore_commit(raft, record->index);
            break;
        case SIM_CHECKPOINT:
            raft_restore_checkpoint(raft, record->term, record->vote, record->index,
                                    record->applied_term, record->first, record->first_prev_term);
            raft_restore_config(raft, 0, record->config);
            break;
        default:
            break;
        }
    }
}

void host_checkpoint(struct sim *sim, struct sim_node *node)
{
    const struct raft *raft = &node->raft;
    struct sim_record *record = journal_add(node, SIM_CHECKPOINT);
    uint32_t place = node->record_count - 1;

    record->term = raft->term;
    record->vote = raft->vote;
    record->index = raft->applied;
    record->applied_term = raft_log_term(&raft->log, raft->applied);
    record->first = raft->log.first;
    record->first_prev_term = raft->log.prev_term;
    record->config = malloc(sizeof(*record->config));
    assert(record->config);
    *record->config = *raft_config_stable(raft);
    for (uint32_t i = 0; i < place; i++) {
        struct sim_record *old = &node->records[i];
        const struct raft_log_entry *entry = raft_log_at(&raft->log, old->index);

        if (old->dies_with == 0 && (old->kind != SIM_ENTRY || !entry || entry->location != i))
            old->dies_with = place;
    }
    sim->counts.checkpoints++;
    journal_sync(sim, node);
}
