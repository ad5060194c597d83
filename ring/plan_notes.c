/* What speaks against a plan: that it is refused for, and what is worth knowing. */
#include "ring/plan_internal.h"

#include <string.h>

/* More than its share by weight and this many percent is worth a note. */
#define PLAN_OVERWEIGHT_PERCENT 10u

static void note(struct plan_making *making, const struct plan_note *found)
{
    struct plan *plan = making->plan;
    uint32_t alike = 0;

    for (uint32_t i = 0; i < plan->note_count; i++)
        alike += plan->notes[i].code == found->code;
    if (alike < PLAN_NOTES_ALIKE_MAX)
        plan->notes[plan->note_count++] = *found;
    else
        plan->notes_beyond++;
}

static uint32_t active_count(const struct ringmap *map)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < map->member_count; i++)
        count += map->members[i].state == RINGMAP_STATE_ACTIVE;
    return count;
}

static uint32_t zone_count(const struct ringmap *map)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < map->member_count; i++) {
        bool seen = map->members[i].state != RINGMAP_STATE_ACTIVE;

        for (uint32_t j = 0; j < i && !seen; j++)
            seen = map->members[j].state == RINGMAP_STATE_ACTIVE &&
                   strcmp(map->members[i].zone, map->members[j].zone) == 0;
        count += !seen;
    }
    return count;
}

/* Whether there are zones, and no row has two members of one. */
static bool is_spread(const struct ringmap *map)
{
    for (uint32_t p = 0; p < map->partition_count; p++) {
        const uint16_t *row = ringmap_row(map, (uint16_t)p);

        for (uint32_t i = 1; i < ringmap_row_count(map, row); i++)
            for (uint32_t j = 0; j < i; j++)
                if (strcmp(ringmap_member(map, row[i])->zone, ringmap_member(map, row[j])->zone) ==
                    0)
                    return false;
    }
    return zone_count(map) > 1;
}

static void note_zones(struct plan_making *making)
{
    const struct plan_input *input = making->input;
    struct plan_note found = {.code = PLAN_NOTE_ZONES,
                              .partition = PLAN_PARTITION_ANY,
                              .need = input->wanted->replica_count,
                              .have = zone_count(input->wanted)};

    if (found.have >= found.need)
        return;
    if (!input->shares_zones && is_spread(input->now) && !is_spread(input->wanted))
        found.code = PLAN_NOTE_ZONES_LOST;
    if (found.have > 1 || found.code == PLAN_NOTE_ZONES_LOST)
        note(making, &found);
}

static void note_counts(struct plan_making *making)
{
    const struct ringmap *wanted = making->input->wanted;
    struct plan_note found = {.partition = PLAN_PARTITION_ANY, .need = wanted->replica_count};

    found.code = PLAN_NOTE_NODES;
    found.have = active_count(wanted);
    if (found.have < found.need)
        note(making, &found);
}

/* partition: of the meta group the number of partitions. */
static bool is_unknown(const struct plan_input *input, uint32_t partition)
{
    return input->unknown && input->unknown[partition];
}

/* Without its majority the meta group cannot commit any map. */
static void note_meta(struct plan_making *making)
{
    const struct ringmap *now = making->input->now;
    struct plan_note found = {.code = PLAN_NOTE_META,
                              .partition = PLAN_PARTITION_ANY,
                              .need = now->meta_voter_count / 2 + 1};

    for (uint32_t i = 0; i < now->meta_voter_count; i++)
        found.have += plan_is_sound(making->input, now->partition_count, now->meta_voters[i]);
    if (found.have < found.need && !is_unknown(making->input, now->partition_count))
        note(making, &found);
}

static void note_quorums(struct plan_making *making, bool touched)
{
    const struct plan_input *input = making->input;

    for (uint32_t p = 0; p < input->now->partition_count; p++) {
        const struct ringmap *map =
            plan_tolerance(input, input->now, p) < 0 ? input->now : input->wanted;

        if (is_unknown(input, p) || plan_tolerance(input, map, p) >= 0 ||
            plan_row_changes(input, p) != touched)
            continue;
        note(making, &(struct plan_note){
                         .code = touched ? PLAN_NOTE_QUORUM : PLAN_NOTE_QUORUM_KEPT,
                         .partition = (uint16_t)p,
                         .need = ringmap_row_count(map, ringmap_row(map, (uint16_t)p)) / 2 + 1,
                         .have = plan_sound_count(input, map, p)});
    }
}

static void note_unknown(struct plan_making *making)
{
    uint32_t partitions = making->input->now->partition_count;

    for (uint32_t p = 0; p <= partitions; p++)
        if (is_unknown(making->input, p))
            note(making, &(struct plan_note){.code = PLAN_NOTE_UNKNOWN,
                                             .partition = p < partitions ? (uint16_t)p
                                                                         : PLAN_PARTITION_ANY});
}

/* Whether the plan's end waits for the member to answer. One that is taken in without anything to
 * hold is not waited for, but the next plan would be. */
static bool is_needed(const struct plan_input *input, const struct plan_member *member)
{
    bool is_new =
        !ringmap_takes_part(member->state_before) && member->state_after == RINGMAP_STATE_ACTIVE;

    return is_new || member->moves_in > 0 ||
           (ringmap_votes(input->wanted, member->id) && !ringmap_votes(input->now, member->id));
}

static void note_targets(struct plan_making *making)
{
    const struct plan_input *input = making->input;

    for (uint32_t i = 0; input->nodes && i < making->plan->member_count; i++) {
        const struct plan_member *member = &making->plan->members[i];
        const struct plan_node *node = &input->nodes[plan_slot(input->wanted, member->id)];
        struct plan_note found = {
            .member = member->id, .partition = PLAN_PARTITION_ANY, .need = member->bytes_in};

        if (is_needed(input, member) && (!node->alive || node->lost)) {
            found.code = node->alive ? PLAN_NOTE_TARGET_LOST : PLAN_NOTE_TARGET_DEAD;
            note(making, &found);
        }
        found.code = PLAN_NOTE_DISK;
        found.have = node->disk_room;
        if (found.have < found.need)
            note(making, &found);
    }
}

static void note_weights(struct plan_making *making)
{
    const struct ringmap *wanted = making->input->wanted;
    uint64_t weights = 0;
    uint64_t places = 0;

    for (uint32_t i = 0; i < wanted->member_count; i++)
        weights += wanted->members[i].state == RINGMAP_STATE_ACTIVE ? wanted->members[i].weight : 0;
    for (uint32_t i = 0; i < making->plan->member_count; i++)
        places += making->plan->members[i].holds_after;
    for (uint32_t i = 0; i < making->plan->member_count && weights > 0; i++) {
        const struct plan_member *member = &making->plan->members[i];
        uint64_t share = (places * member->weight_after + weights - 1) / weights;

        if (member->holds_after > 1 + share + share * PLAN_OVERWEIGHT_PERCENT / 100)
            note(making, &(struct plan_note){.code = PLAN_NOTE_OVERWEIGHT,
                                             .member = member->id,
                                             .partition = PLAN_PARTITION_ANY,
                                             .need = share,
                                             .have = member->holds_after});
    }
}

static void note_warnings(struct plan_making *making)
{
    const struct plan_input *input = making->input;
    struct plan *plan = making->plan;

    note_zones(making);
    note_weights(making);
    if (plan->tolerance_least < plan->tolerance_before)
        note(making, &(struct plan_note){
                         .code = PLAN_NOTE_TOLERANCE,
                         .partition = PLAN_PARTITION_ANY,
                         .need = (uint64_t)plan->tolerance_before,
                         .have = plan->tolerance_least < 0 ? 0 : (uint64_t)plan->tolerance_least});
    for (uint32_t i = 0; i < plan->member_count; i++) {
        if (plan->members[i].holds_after > 0 && plan->members[i].moves_in == 0 &&
            !plan_is_alive(input, plan->members[i].id))
            note(making, &(struct plan_note){.code = PLAN_NOTE_DEAD,
                                             .member = plan->members[i].id,
                                             .partition = PLAN_PARTITION_ANY});
    }
    note_quorums(making, false);
}

void plan_notes(struct plan_making *making)
{
    note_counts(making);
    note_unknown(making);
    note_meta(making);
    note_quorums(making, true);
    note_targets(making);
    note_warnings(making);
}
