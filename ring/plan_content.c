/* A plan's content: its one form as bytes, whose hash names it, its invariants, and
 * its end. */
#include "ring/bytes.h"
#include "ring/plan_internal.h"
#include "ring/ringmap_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include <sodium.h>

uint32_t plan_member_find(const struct plan *plan, uint16_t id)
{
    uint32_t low = 0;
    uint32_t high = plan->member_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (plan->members[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < plan->member_count && plan->members[low].id == id ? low : plan->member_count;
}

static void put_content(struct bytes_writer *writer, const void *of)
{
    const struct plan *plan = of;

    bytes_put(writer, plan->cluster, sizeof plan->cluster);
    bytes_put(writer, plan->base, sizeof plan->base);
    bytes_put_number(writer, plan->replicas_before, 1);
    bytes_put_number(writer, plan->replicas_after, 1);
    bytes_put_number(writer, plan->member_count, 2);
    bytes_put_number(writer, plan->move_count, 4);
    bytes_put_number(writer, plan->lead_count, 2);
    for (uint32_t i = 0; i < plan->member_count; i++) {
        const struct plan_member *member = &plan->members[i];

        bytes_put_number(writer, member->id, 2);
        bytes_put_number(writer, member->state_before, 1);
        bytes_put_number(writer, member->state_after, 1);
        bytes_put_number(writer, member->weight_before, 4);
        bytes_put_number(writer, member->weight_after, 4);
        bytes_put_text(writer, member->zone, sizeof member->zone);
    }
    for (uint32_t i = 0; i < plan->move_count; i++) {
        bytes_put_number(writer, plan->moves[i].partition, 2);
        bytes_put_number(writer, plan->moves[i].from, 2);
        bytes_put_number(writer, plan->moves[i].to, 2);
    }
    for (uint32_t i = 0; i < plan->lead_count; i++) {
        bytes_put_number(writer, plan->leads[i].partition, 2);
        bytes_put_number(writer, plan->leads[i].to, 2);
    }
    for (uint32_t i = 0; i < plan->voter_count; i++) /* their number follows from the size */
        bytes_put_number(writer, plan->voters[i], 2);
}

static void put_base(struct bytes_writer *writer, const void *of)
{
    const struct ringmap *now = of;

    bytes_put_number(writer, now->partition_count, 4);
    bytes_put_number(writer, now->replica_count, 4);
    bytes_put_number(writer, now->member_count, 4);
    bytes_put_number(writer, now->meta_voter_count, 4);
    ringmap_put_members(writer, now);
    ringmap_put_ids(writer, now->meta_voters, now->meta_voter_count);
    ringmap_put_ids(writer, now->replicas, ringmap_places(now));
}

/* Of all that `put` writes of it. 0 or -ENOMEM. */
static int hash_of(const void *of, void (*put)(struct bytes_writer *writer, const void *of),
                   uint8_t hash[PLAN_HASH_SIZE])
{
    struct bytes_writer writer = {NULL, 0};

    put(&writer, of);
    writer.at = malloc(writer.size);
    if (!writer.at)
        return -ENOMEM;
    writer.size = 0;
    put(&writer, of);
    crypto_generichash(hash, PLAN_HASH_SIZE, writer.at, writer.size, NULL, 0);
    free(writer.at);
    return 0;
}

int plan_base_hash(const struct ringmap *now, uint8_t hash[PLAN_HASH_SIZE])
{
    return hash_of(now, put_base, hash);
}

int plan_content_hash(const struct plan *plan, uint8_t hash[PLAN_HASH_SIZE])
{
    return hash_of(plan, put_content, hash);
}

/* Invariants */

static void check_members(const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->member_count; i++) {
        const struct plan_member *member = &plan->members[i];

        assert(member->id > (i > 0 ? plan->members[i - 1].id : 0));
        assert(member->state_before <= RINGMAP_STATE_LEAVING);
        assert(member->state_after >= RINGMAP_STATE_JOINING);
        assert(member->state_after <= RINGMAP_STATE_REMOVED);
        assert(member->weight_after > 0);
    }
}

static void check_move(const struct plan *plan, const struct plan_move *move)
{
    assert(move->wave < plan->wave_count);
    assert(move->from != move->to);
    assert(move->from == 0 || plan_member_find(plan, move->from) < plan->member_count);
    assert(move->to == 0 || plan_member_find(plan, move->to) < plan->member_count);
    assert(move->to != 0 || move->bytes == 0);
}

static bool is_ordered(const struct plan_move *a, const struct plan_move *b)
{
    if (a->partition != b->partition)
        return a->partition < b->partition;
    return a->to != b->to ? a->to < b->to : a->from < b->from;
}

void plan_check(const struct plan *plan)
{
    uint64_t bytes = 0;

    assert(plan->epoch > 0);
    assert(plan->replicas_before >= 1 && plan->replicas_before <= RINGMAP_REPLICAS_MAX);
    assert(plan->replicas_after >= 1 && plan->replicas_after <= RINGMAP_REPLICAS_MAX);
    assert(plan->wave_count <= plan->move_count);
    check_members(plan);
    for (uint32_t i = 0; i < plan->move_count; i++) {
        check_move(plan, &plan->moves[i]);
        assert(i == 0 || is_ordered(&plan->moves[i - 1], &plan->moves[i]));
        bytes += plan->moves[i].bytes;
    }
    assert(bytes == plan->bytes);
    for (uint32_t i = 0; i < plan->lead_count; i++) {
        assert(plan_member_find(plan, plan->leads[i].to) < plan->member_count);
        assert(i == 0 || plan->leads[i].partition > plan->leads[i - 1].partition);
    }
    for (uint32_t i = 0; i < plan->voter_count; i++) {
        assert(plan_member_find(plan, plan->voters[i]) < plan->member_count);
        assert(i == 0 || plan->voters[i] > plan->voters[i - 1]);
    }
    for (uint32_t i = 0; i < plan->note_count; i++)
        assert(plan->notes[i].code < PLAN_NOTE_COUNT);
    (void)bytes;
}

void plan_deinit(struct plan *plan)
{
    free(plan->members);
    free(plan->moves);
    free(plan->leads);
    *plan = (struct plan){0};
}
