/* Plans as bytes: docs/format-plan.md. */
#include "ring/bytes.h"
#include "ring/plan_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include <sodium.h>

#define PLAN_MAGIC           0x4e414c50u /* "PLAN" */
#define PLAN_FORMAT_VERSION  1u
#define PLAN_MEMBER_SIZE_MIN 13u /* of its content; more follows in the estimates */
#define PLAN_MOVE_SIZE       6u
#define PLAN_LEAD_SIZE       4u

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

static bool is_member(const struct plan *plan, uint16_t id)
{
    return plan_member_find(plan, id) < plan->member_count;
}

static const char *members_problem(const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->member_count; i++) {
        const struct plan_member *member = &plan->members[i];

        if (member->id <= (i > 0 ? plan->members[i - 1].id : 0))
            return "member ids do not ascend from 1";
        if (member->state_before > RINGMAP_STATE_LEAVING ||
            member->state_after < RINGMAP_STATE_JOINING ||
            member->state_after > RINGMAP_STATE_REMOVED)
            return "unknown member state";
        if (member->weight_after == 0)
            return "member without weight";
    }
    return NULL;
}

static const char *moves_problem(const struct plan *plan)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < plan->move_count; i++) {
        const struct plan_move *move = &plan->moves[i];
        const struct plan_move *last = i > 0 ? move - 1 : NULL;

        if (move->partition >= RINGMAP_PARTITIONS_MAX || move->wave >= plan->wave_count)
            return "a move's partition or wave";
        if (move->from == move->to || (move->from != 0 && !is_member(plan, move->from)) ||
            (move->to != 0 && !is_member(plan, move->to)))
            return "a move between no members";
        if (last && (move->partition < last->partition ||
                     (move->partition == last->partition &&
                      (move->to < last->to || (move->to == last->to && move->from <= last->from)))))
            return "moves are out of order";
        if (move->to == 0 ? move->bytes != 0 : move->bytes > UINT64_MAX - bytes)
            return "a move's bytes";
        bytes += move->bytes;
    }
    if (bytes != plan->bytes || plan->wave_count > plan->move_count)
        return "sum of the moves";
    for (uint32_t i = 0; i < plan->lead_count; i++) {
        if (plan->leads[i].partition >= RINGMAP_PARTITIONS_MAX ||
            !is_member(plan, plan->leads[i].to))
            return "a leader that is no member";
        if (i > 0 && plan->leads[i].partition <= plan->leads[i - 1].partition)
            return "leaders are out of order";
    }
    return NULL;
}

/* NULL or what is wrong. */
static const char *plan_problem(const struct plan *plan)
{
    const char *problem = members_problem(plan);

    if (plan->epoch == 0 || plan->replicas_before < 1 || plan->replicas_after < 1 ||
        plan->replicas_before > RINGMAP_REPLICAS_MAX || plan->replicas_after > RINGMAP_REPLICAS_MAX)
        return "counts";
    if (!problem)
        problem = moves_problem(plan);
    for (uint32_t i = 0; i < plan->note_count && !problem; i++) {
        if (plan->notes[i].code >= PLAN_NOTE_COUNT)
            problem = "unknown note";
    }
    return problem;
}

void plan_check(const struct plan *plan)
{
    const char *problem = plan_problem(plan);

    assert(problem == NULL);
    (void)problem;
}

/* Encoding */

static void put_content(struct bytes_writer *writer, const struct plan *plan)
{
    bytes_put_number(writer, PLAN_MAGIC, 4);
    bytes_put_number(writer, PLAN_FORMAT_VERSION, 2);
    bytes_put(writer, plan->cluster, sizeof plan->cluster);
    bytes_put_number(writer, plan->epoch, 8);
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
}

static void put_estimates(struct bytes_writer *writer, const struct plan *plan)
{
    bytes_put_number(writer, plan->wave_count, 4);
    bytes_put_number(writer, plan->bytes, 8);
    bytes_put_number(writer, plan->seconds, 8);
    bytes_put_number(writer, (uint8_t)plan->tolerance_before, 1);
    bytes_put_number(writer, (uint8_t)plan->tolerance_least, 1);
    bytes_put_number(writer, (uint8_t)plan->tolerance_after, 1);
    for (uint32_t i = 0; i < plan->member_count; i++) {
        const struct plan_member *member = &plan->members[i];

        bytes_put_number(writer, member->holds_before, 2);
        bytes_put_number(writer, member->holds_after, 2);
        bytes_put_number(writer, member->leads_before, 2);
        bytes_put_number(writer, member->leads_after, 2);
        bytes_put_number(writer, member->moves_in, 2);
        bytes_put_number(writer, member->bytes_in, 8);
        bytes_put_number(writer, member->bytes_out, 8);
    }
    for (uint32_t i = 0; i < plan->move_count; i++) {
        bytes_put_number(writer, plan->moves[i].wave, 2);
        bytes_put_number(writer, plan->moves[i].bytes, 8);
    }
    bytes_put_number(writer, plan->note_count, 1);
    bytes_put_number(writer, plan->notes_beyond, 4);
    for (uint32_t i = 0; i < plan->note_count; i++) {
        bytes_put_number(writer, plan->notes[i].code, 1);
        bytes_put_number(writer, plan->notes[i].member, 2);
        bytes_put_number(writer, plan->notes[i].partition, 2);
        bytes_put_number(writer, plan->notes[i].need, 8);
        bytes_put_number(writer, plan->notes[i].have, 8);
    }
}

static void put_plan(struct bytes_writer *writer, const struct plan *plan)
{
    put_content(writer, plan);
    bytes_put(writer, plan->hash, sizeof plan->hash);
    put_estimates(writer, plan);
}

size_t plan_encoded_size(const struct plan *plan)
{
    struct bytes_writer writer = {NULL, 0};

    put_plan(&writer, plan);
    return writer.size;
}

void plan_encode(const struct plan *plan, uint8_t *out)
{
    struct bytes_writer writer = {out, 0};

    plan_check(plan);
    put_plan(&writer, plan);
}

int plan_content_hash(const struct plan *plan, uint8_t hash[PLAN_HASH_SIZE])
{
    struct bytes_writer writer = {NULL, 0};

    put_content(&writer, plan);
    writer.at = malloc(writer.size);
    if (!writer.at)
        return -ENOMEM;
    writer.size = 0;
    put_content(&writer, plan);
    crypto_generichash(hash, PLAN_HASH_SIZE, writer.at, writer.size, NULL, 0);
    free(writer.at);
    return 0;
}

/* Decoding */

static void take_content(struct bytes_reader *reader, struct plan *plan)
{
    for (uint32_t i = 0; i < plan->member_count && !reader->failed; i++) {
        struct plan_member *member = &plan->members[i];

        member->id = (uint16_t)bytes_take_number(reader, 2);
        member->state_before = (uint8_t)bytes_take_number(reader, 1);
        member->state_after = (uint8_t)bytes_take_number(reader, 1);
        member->weight_before = (uint32_t)bytes_take_number(reader, 4);
        member->weight_after = (uint32_t)bytes_take_number(reader, 4);
        bytes_take_text(reader, member->zone, sizeof member->zone);
    }
    for (uint32_t i = 0; i < plan->move_count && !reader->failed; i++) {
        plan->moves[i].partition = (uint16_t)bytes_take_number(reader, 2);
        plan->moves[i].from = (uint16_t)bytes_take_number(reader, 2);
        plan->moves[i].to = (uint16_t)bytes_take_number(reader, 2);
    }
    for (uint32_t i = 0; i < plan->lead_count && !reader->failed; i++) {
        plan->leads[i].partition = (uint16_t)bytes_take_number(reader, 2);
        plan->leads[i].to = (uint16_t)bytes_take_number(reader, 2);
    }
}

static void take_estimates(struct bytes_reader *reader, struct plan *plan)
{
    plan->wave_count = (uint32_t)bytes_take_number(reader, 4);
    plan->bytes = bytes_take_number(reader, 8);
    plan->seconds = bytes_take_number(reader, 8);
    plan->tolerance_before = (int8_t)bytes_take_number(reader, 1);
    plan->tolerance_least = (int8_t)bytes_take_number(reader, 1);
    plan->tolerance_after = (int8_t)bytes_take_number(reader, 1);
    for (uint32_t i = 0; i < plan->member_count && !reader->failed; i++) {
        struct plan_member *member = &plan->members[i];

        member->holds_before = (uint16_t)bytes_take_number(reader, 2);
        member->holds_after = (uint16_t)bytes_take_number(reader, 2);
        member->leads_before = (uint16_t)bytes_take_number(reader, 2);
        member->leads_after = (uint16_t)bytes_take_number(reader, 2);
        member->moves_in = (uint16_t)bytes_take_number(reader, 2);
        member->bytes_in = bytes_take_number(reader, 8);
        member->bytes_out = bytes_take_number(reader, 8);
    }
    for (uint32_t i = 0; i < plan->move_count && !reader->failed; i++) {
        plan->moves[i].wave = (uint16_t)bytes_take_number(reader, 2);
        plan->moves[i].bytes = bytes_take_number(reader, 8);
    }
    plan->note_count = (uint32_t)bytes_take_number(reader, 1);
    plan->notes_beyond = (uint32_t)bytes_take_number(reader, 4);
    if (plan->note_count > PLAN_NOTES_MAX)
        reader->failed = true;
    for (uint32_t i = 0; i < plan->note_count && !reader->failed; i++) {
        plan->notes[i].code = (uint8_t)bytes_take_number(reader, 1);
        plan->notes[i].member = (uint16_t)bytes_take_number(reader, 2);
        plan->notes[i].partition = (uint16_t)bytes_take_number(reader, 2);
        plan->notes[i].need = bytes_take_number(reader, 8);
        plan->notes[i].have = bytes_take_number(reader, 8);
    }
}

/* Fixed fields; the tables are not there yet. Fails when the bytes cannot hold what is counted. */
static void take_header(struct bytes_reader *reader, struct plan *plan)
{
    if (bytes_take_number(reader, 4) != PLAN_MAGIC ||
        bytes_take_number(reader, 2) != PLAN_FORMAT_VERSION)
        reader->failed = true;
    bytes_take_copy(reader, plan->cluster, sizeof plan->cluster);
    plan->epoch = bytes_take_number(reader, 8);
    plan->replicas_before = (uint32_t)bytes_take_number(reader, 1);
    plan->replicas_after = (uint32_t)bytes_take_number(reader, 1);
    plan->member_count = (uint32_t)bytes_take_number(reader, 2);
    plan->move_count = (uint32_t)bytes_take_number(reader, 4);
    plan->lead_count = (uint32_t)bytes_take_number(reader, 2);
    if (plan->member_count > RINGMAP_MEMBERS_MAX || plan->move_count > PLAN_MOVES_MAX ||
        plan->lead_count > RINGMAP_PARTITIONS_MAX ||
        plan->member_count * PLAN_MEMBER_SIZE_MIN + plan->move_count * PLAN_MOVE_SIZE +
                plan->lead_count * PLAN_LEAD_SIZE >
            reader->left)
        reader->failed = true;
}

int plan_decode(const uint8_t *bytes, size_t size, struct plan *plan)
{
    struct bytes_reader reader = {bytes, size, false};
    struct plan taken = {0};
    uint8_t hash[PLAN_HASH_SIZE];
    int r = PLAN_E_OK;

    take_header(&reader, &taken);
    if (reader.failed)
        return PLAN_E_MALFORMED;
    taken.members = calloc(taken.member_count + 1u, sizeof *taken.members);
    taken.moves = calloc(taken.move_count + 1u, sizeof *taken.moves);
    taken.leads = calloc(taken.lead_count + 1u, sizeof *taken.leads);
    if (!taken.members || !taken.moves || !taken.leads)
        r = -ENOMEM;
    if (r == 0) {
        take_content(&reader, &taken);
        crypto_generichash(hash, sizeof hash, bytes, size - reader.left, NULL, 0);
        bytes_take_copy(&reader, taken.hash, sizeof taken.hash);
        take_estimates(&reader, &taken);
        if (reader.failed || reader.left > 0 || plan_problem(&taken) ||
            memcmp(hash, taken.hash, sizeof hash) != 0)
            r = PLAN_E_MALFORMED;
    }
    if (r != 0) {
        plan_deinit(&taken);
        return r;
    }
    *plan = taken;
    return 0;
}
