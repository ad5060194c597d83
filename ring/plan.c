#include "ring/plan.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ring/plan_internal.h"

static const uint16_t *row_of(const struct ringmap *map, uint32_t partition)
{
    return ringmap_row(map, (uint16_t)partition);
}

static uint32_t row_count(const struct ringmap *map, uint32_t partition)
{
    return ringmap_row_count(map, row_of(map, partition));
}

uint32_t plan_slot(const struct ringmap *map, uint16_t id)
{
    const struct ringmap_member *member = ringmap_member(map, id);

    assert(member != NULL);
    return (uint32_t)(member - map->members);
}

bool plan_is_alive(const struct plan_input *input, uint16_t id)
{
    return !input->nodes || input->nodes[plan_slot(input->wanted, id)].alive;
}

bool plan_is_sound(const struct plan_input *input, uint32_t partition, uint16_t id)
{
    size_t slot = plan_slot(input->wanted, id);

    return plan_is_alive(input, id) &&
           (!input->sound || input->sound[partition * (size_t)input->wanted->member_count + slot]);
}

static uint64_t bytes_of(const struct plan_input *input, uint32_t partition)
{
    return input->partition_bytes ? input->partition_bytes[partition] : 0;
}

uint32_t plan_sound_count(const struct plan_input *input, const struct ringmap *map,
                          uint32_t partition)
{
    uint32_t sound = 0;

    for (uint32_t i = 0; i < row_count(map, partition); i++) {
        uint16_t id = row_of(map, partition)[i];

        sound += ringmap_holds(input->now, (uint16_t)partition, id)
                     ? plan_is_sound(input, partition, id)
                     : plan_is_alive(input, id);
    }
    return sound;
}

int plan_tolerance(const struct plan_input *input, const struct ringmap *map, uint32_t partition)
{
    return (int)plan_sound_count(input, map, partition) - (int)(row_count(map, partition) / 2 + 1);
}

bool plan_row_changes(const struct plan_input *input, uint32_t partition)
{
    const uint16_t *before = row_of(input->now, partition);
    const uint16_t *after = row_of(input->wanted, partition);

    for (uint32_t i = 0; i < input->now->replica_count; i++) {
        if (before[i] != 0 && !ringmap_holds(input->wanted, (uint16_t)partition, before[i]))
            return true;
    }
    for (uint32_t i = 0; i < input->wanted->replica_count; i++) {
        if (after[i] != 0 && !ringmap_holds(input->now, (uint16_t)partition, after[i]))
            return true;
    }
    return false;
}

/* Who streams the partition: its leader, or else the first that is sound; 0: nobody can. */
static uint16_t source_of(const struct plan_input *input, uint32_t partition)
{
    for (uint32_t i = 0; i < row_count(input->now, partition); i++) {
        if (plan_is_sound(input, partition, row_of(input->now, partition)[i]))
            return row_of(input->now, partition)[i];
    }
    return 0;
}

/* Members */

static struct plan_member *member_of(const struct plan *plan, uint16_t id)
{
    uint32_t at = plan_member_find(plan, id);

    assert(at < plan->member_count);
    return &plan->members[at];
}

static void list_members(struct plan_making *making)
{
    const struct plan_input *input = making->input;

    for (uint32_t i = 0; i < input->wanted->member_count; i++) {
        const struct ringmap_member *after = &input->wanted->members[i];
        const struct ringmap_member *before = ringmap_member(input->now, after->id);
        struct plan_member *member = &making->plan->members[making->plan->member_count];

        if (before && before->state == RINGMAP_STATE_REMOVED)
            continue;
        *member = (struct plan_member){
            .id = after->id,
            .state_before = before ? before->state : 0,
            .state_after = after->state,
            .weight_before = before ? before->weight : 0,
            .weight_after = after->weight,
        };
        memcpy(member->zone, after->zone, sizeof member->zone);
        making->plan->member_count++;
    }
}

static void count_rows(struct plan_making *making)
{
    const struct plan_input *input = making->input;

    for (uint32_t p = 0; p < input->now->partition_count; p++) {
        for (uint32_t i = 0; i < row_count(input->now, p); i++)
            member_of(making->plan, row_of(input->now, p)[i])->holds_before++;
        for (uint32_t i = 0; i < row_count(input->wanted, p); i++)
            member_of(making->plan, row_of(input->wanted, p)[i])->holds_after++;
        member_of(making->plan, row_of(input->now, p)[0])->leads_before++;
        member_of(making->plan, row_of(input->wanted, p)[0])->leads_after++;
    }
}

/* Moves */

/* Those that come take the places of those that go, in the order of the rows. */
static void list_moves_of(struct plan_making *making, uint32_t partition, uint32_t wave)
{
    const struct plan_input *input = making->input;
    const uint16_t *before = row_of(input->now, partition);
    const uint16_t *after = row_of(input->wanted, partition);
    uint32_t going = 0;
    uint32_t coming = 0;

    for (;;) {
        struct plan_move *move = &making->plan->moves[making->plan->move_count];

        while (going < row_count(input->now, partition) &&
               ringmap_holds(input->wanted, (uint16_t)partition, before[going]))
            going++;
        while (coming < row_count(input->wanted, partition) &&
               ringmap_holds(input->now, (uint16_t)partition, after[coming]))
            coming++;
        *move = (struct plan_move){.partition = (uint16_t)partition, .wave = (uint16_t)wave};
        if (going < row_count(input->now, partition))
            move->from = before[going++];
        if (coming < row_count(input->wanted, partition))
            move->to = after[coming++];
        if (move->from == 0 && move->to == 0)
            return;
        move->bytes = move->to != 0 ? bytes_of(input, partition) : 0;
        making->plan->move_count++;
    }
}

static bool fits_wave(const struct plan_making *making, uint32_t partition)
{
    const struct plan_input *input = making->input;
    const uint16_t *after = row_of(input->wanted, partition);
    uint16_t source = source_of(input, partition);
    uint32_t coming = 0;

    for (uint32_t i = 0; i < row_count(input->wanted, partition); i++) {
        if (ringmap_holds(input->now, (uint16_t)partition, after[i]))
            continue;
        coming++;
        if (making->busy[plan_slot(input->wanted, after[i])] >= input->moves_per_node_max)
            return false;
    }
    /* One partition may need more of its source than a wave gives; then it has that for itself. */
    if (source == 0 || coming == 0)
        return true;
    return making->busy[plan_slot(input->wanted, source)] == 0 ||
           making->busy[plan_slot(input->wanted, source)] + coming <= input->moves_per_node_max;
}

static void take_into_wave(struct plan_making *making, uint32_t partition, uint32_t wave)
{
    const struct plan_input *input = making->input;
    uint32_t first = making->plan->move_count;
    uint16_t source = source_of(input, partition);

    list_moves_of(making, partition, wave);
    for (uint32_t i = first; i < making->plan->move_count; i++) {
        const struct plan_move *move = &making->plan->moves[i];

        if (move->to == 0)
            continue;
        making->busy[plan_slot(input->wanted, move->to)]++;
        member_of(making->plan, move->to)->bytes_in += move->bytes;
        member_of(making->plan, move->to)->moves_in++;
        making->plan->bytes += move->bytes;
        if (source == 0)
            continue;
        making->busy[plan_slot(input->wanted, source)]++;
        member_of(making->plan, source)->bytes_out += move->bytes;
    }
}

/* The partitions that change, those that survive the fewest failures first. */
static uint32_t order_partitions(const struct plan_input *input, uint16_t *order)
{
    uint32_t count = 0;

    for (int level = -(int)RINGMAP_REPLICAS_MAX; level <= (int)RINGMAP_REPLICAS_MAX; level++) {
        for (uint32_t p = 0; p < input->now->partition_count; p++) {
            if (plan_tolerance(input, input->now, p) == level && plan_row_changes(input, p))
                order[count++] = (uint16_t)p;
        }
    }
    return count;
}

static int move_compare(const void *left, const void *right)
{
    const struct plan_move *a = left;
    const struct plan_move *b = right;

    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    if (a->to != b->to)
        return a->to < b->to ? -1 : 1;
    return (a->from > b->from) - (a->from < b->from);
}

static int list_moves(struct plan_making *making)
{
    const struct plan_input *input = making->input;
    uint16_t *order = calloc(input->now->partition_count, sizeof *order);
    uint32_t left;

    if (!order)
        return -ENOMEM;
    left = order_partitions(input, order);
    for (uint32_t wave = 0; left > 0; wave++) {
        uint32_t kept = 0;

        memset(making->busy, 0, input->wanted->member_count * sizeof *making->busy);
        for (uint32_t i = 0; i < left; i++) {
            if (fits_wave(making, order[i]))
                take_into_wave(making, order[i], wave);
            else
                order[kept++] = order[i];
        }
        assert(kept < left);
        left = kept;
        making->plan->wave_count = wave + 1;
    }
    free(order);
    qsort(making->plan->moves, making->plan->move_count, sizeof *making->plan->moves, move_compare);
    for (uint32_t p = 0; p < input->now->partition_count; p++) {
        uint16_t to = row_of(input->wanted, p)[0];

        if (to != row_of(input->now, p)[0])
            making->plan->leads[making->plan->lead_count++] = (struct plan_lead){(uint16_t)p, to};
    }
    return 0;
}

static void list_voters(struct plan_making *making)
{
    const struct ringmap *now = making->input->now, *wanted = making->input->wanted;

    if (now->meta_voter_count == wanted->meta_voter_count &&
        memcmp(now->meta_voters, wanted->meta_voters, sizeof now->meta_voters) == 0)
        return;
    making->plan->voter_count = wanted->meta_voter_count;
    memcpy(making->plan->voters, wanted->meta_voters, sizeof making->plan->voters);
}

/* What is estimated */

static void find_tolerance(struct plan_making *making)
{
    const struct plan_input *input = making->input;
    struct plan *plan = making->plan;

    plan->tolerance_before = INT8_MAX;
    plan->tolerance_after = INT8_MAX;
    for (uint32_t p = 0; p < input->now->partition_count; p++) {
        int before = plan_tolerance(input, input->now, p);
        int after = plan_tolerance(input, input->wanted, p);

        if (before < plan->tolerance_before)
            plan->tolerance_before = (int8_t)before;
        if (after < plan->tolerance_after)
            plan->tolerance_after = (int8_t)after;
    }
    plan->tolerance_least = plan->tolerance_before < plan->tolerance_after ? plan->tolerance_before
                                                                           : plan->tolerance_after;
}

/* The rate is of what a node sends, to all together. A target takes what its sources send, so it is
 * done when they are. */
static void estimate_time(struct plan_making *making)
{
    struct plan *plan = making->plan;
    uint64_t rate = making->input->rate_bytes;
    uint64_t most = 0;

    for (uint32_t i = 0; i < plan->member_count; i++)
        if (plan->members[i].bytes_out > most)
            most = plan->members[i].bytes_out;
    if (most == 0)
        plan->seconds = 0;
    else
        plan->seconds = rate > 0 ? most / rate + (most % rate > 0) : UINT64_MAX;
}

int plan_make(const struct plan_input *input, struct plan *plan)
{
    size_t moves = (size_t)input->now->partition_count *
                   (input->now->replica_count + input->wanted->replica_count);
    struct plan_making making = {.input = input, .plan = plan};
    int r = -ENOMEM;

    assert(input->now->partition_count == input->wanted->partition_count);
    assert(!ringmap_moving(input->wanted));
    assert(input->moves_per_node_max >= 1);
    *plan = (struct plan){.epoch = input->now->epoch,
                          .replicas_before = input->now->replica_count,
                          .replicas_after = input->wanted->replica_count};
    memcpy(plan->cluster, input->now->cluster, sizeof plan->cluster);
    plan->members = calloc(input->wanted->member_count, sizeof *plan->members);
    plan->moves = calloc(moves + 1, sizeof *plan->moves);
    plan->leads = calloc(input->now->partition_count, sizeof *plan->leads);
    making.busy = calloc(input->wanted->member_count, sizeof *making.busy);
    if (plan->members && plan->moves && plan->leads && making.busy) {
        list_members(&making);
        count_rows(&making);
        list_voters(&making);
        r = list_moves(&making);
    }
    if (r == 0) {
        find_tolerance(&making);
        estimate_time(&making);
        plan_notes(&making);
        r = plan_base_hash(input->now, plan->base);
    }
    if (r == 0)
        r = plan_content_hash(plan, plan->hash);
    free(making.busy);
    if (r < 0)
        plan_deinit(plan);
    return r;
}
