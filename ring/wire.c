#include "ring/wire.h"

#include <assert.h>
#include <string.h>

#include "ring/wire_fields.h"
#include "ring/wire_pack.h"

const char *wire_type_name(uint8_t type)
{
    switch (type) {
#define X(name, number, lane)                                                                      \
    case number:                                                                                   \
        return #name;
        WIRE_MESSAGES(X)
#undef X
    }
    return "?";
}

const char *wire_status_name(uint8_t status)
{
    switch (status) {
#define X(name, number, proposed)                                                                  \
    case number:                                                                                   \
        return #name;
        WIRE_STATUSES(X)
#undef X
    }
    return "?";
}

const char *wire_operation_name(uint8_t operation)
{
    switch (operation) {
#define X(name, number, writes)                                                                    \
    case number:                                                                                   \
        return #name;
        WIRE_OPERATIONS(X)
#undef X
    }
    return "?";
}

bool wire_operation_known(uint8_t operation)
{
    switch (operation) {
#define X(name, number, writes)                                                                    \
    case number:                                                                                   \
        return true;
        WIRE_OPERATIONS(X)
#undef X
    }
    return false;
}

bool wire_operation_writes(uint8_t operation)
{
    switch (operation) {
#define X(name, number, writes)                                                                    \
    case number:                                                                                   \
        return writes;
        WIRE_OPERATIONS(X)
#undef X
    }
    return false;
}

enum wire_lane wire_type_lane(uint8_t type)
{
    switch (type) {
#define X(name, number, lane)                                                                      \
    case number:                                                                                   \
        return WIRE_LANE_##lane;
        WIRE_MESSAGES(X)
#undef X
    }
    return WIRE_LANE_DATA;
}

bool wire_status_unproposed(uint8_t status)
{
    switch (status) {
#define X(name, number, proposed)                                                                  \
    case number:                                                                                   \
        return !(proposed);
        WIRE_STATUSES(X)
#undef X
    }
    return false;
}

/* OPS */

#define OPS_HEAD_FIELDS 2u
#define OP_FIELDS       9u

void wire_put_ops_head(struct wire_buffer *buffer, uint64_t session)
{
    wire_put_array(buffer, OPS_HEAD_FIELDS);
    wire_put_uint(buffer, WIRE_OPS_VERSION);
    wire_put_uint(buffer, session);
}

void wire_put_op(struct wire_buffer *buffer, const struct wire_op *op,
                 const struct wire_bytes *args)
{
    /* A read has no place in the session's window, so no floor either. */
    uint64_t floor_back = op->sequence ? op->sequence - op->floor : 0;
    size_t size = (OP_FIELDS + 1) * WIRE_PACK_INT_SIZE_MAX;
    uint8_t *at;

    assert(op->arg_count <= WIRE_ARGS_MAX);
    assert(op->sequence == 0 || op->floor <= op->sequence);
    assert(floor_back <= UINT32_MAX);
    for (uint32_t i = 0; i < op->arg_count; i++)
        size += WIRE_PACK_HEAD_SIZE_MAX + args[i].size;
    at = wire_buffer_reserve(buffer, size);
    if (!at)
        return;
    at = wire_pack_array(at, OP_FIELDS);
    at = wire_pack_uint(at, op->id);
    at = wire_pack_uint(at, op->operation);
    at = wire_pack_uint(at, op->flags | (op->retry ? WIRE_OP_RETRY : 0));
    at = wire_pack_uint(at, op->partition);
    at = wire_pack_uint(at, op->lane_epoch);
    at = wire_pack_uint(at, op->budget_ms);
    at = wire_pack_uint(at, op->sequence);
    at = wire_pack_uint(at, floor_back);
    at = wire_pack_array(at, op->arg_count);
    for (uint32_t i = 0; i < op->arg_count; i++)
        at = wire_pack_bin(at, args[i].data, args[i].size);
    wire_buffer_commit(buffer, at);
}

bool wire_get_ops_head(struct wire_cursor *cursor, uint64_t *session)
{
    uint32_t unknown = wire_fields_open(cursor, OPS_HEAD_FIELDS);

    if (wire_get_uint(cursor, UINT32_MAX) != WIRE_OPS_VERSION)
        wire_refuse(cursor);
    *session = wire_get_u64(cursor);
    return wire_fields_close(cursor, unknown);
}

bool wire_get_op(struct wire_cursor *cursor, struct wire_op *op, struct wire_bytes *args,
                 uint32_t args_max)
{
    uint32_t unknown = wire_fields_open(cursor, OP_FIELDS);
    uint32_t floor_back;

    op->id = wire_get_u32(cursor);
    op->operation = wire_get_u8(cursor);
    op->flags = wire_get_u8(cursor);
    op->retry = (op->flags & WIRE_OP_RETRY) != 0;
    op->flags &= (uint8_t)~WIRE_OP_RETRY;
    op->partition = wire_get_u16(cursor);
    op->lane_epoch = wire_get_u32(cursor);
    op->budget_ms = wire_get_u32(cursor);
    op->sequence = wire_get_u64(cursor);
    floor_back = wire_get_u32(cursor);
    if (floor_back > op->sequence)
        wire_refuse(cursor);
    op->floor = cursor->failed ? 0 : op->sequence - floor_back;
    op->arg_count = wire_get_array(cursor, args_max);
    for (uint32_t i = 0; i < op->arg_count; i++)
        args[i].data = wire_get_bin(cursor, SIZE_MAX, &args[i].size);
    return wire_fields_close(cursor, unknown);
}

/* RESULTS */

#define RESULT_FIELDS 3u

void wire_put_result(struct wire_buffer *buffer, const struct wire_result *result)
{
    size_t size = 4 * WIRE_PACK_INT_SIZE_MAX + WIRE_PACK_HEAD_SIZE_MAX + result->bytes.size;
    uint8_t *at;

    assert(!result->values || result->value_count <= WIRE_ARGS_MAX);
    for (uint32_t i = 0; result->values && i < result->value_count; i++)
        size += WIRE_PACK_HEAD_SIZE_MAX + result->values[i].size;
    at = wire_buffer_reserve(buffer, size);
    if (!at)
        return;
    at = wire_pack_array(at, RESULT_FIELDS);
    at = wire_pack_uint(at, result->id);
    at = wire_pack_uint(at, result->status);
    if (result->values) {
        at = wire_pack_array(at, result->value_count);
        for (uint32_t i = 0; i < result->value_count; i++) {
            if (result->values[i].data)
                at = wire_pack_bin(at, result->values[i].data, result->values[i].size);
            else
                *at++ = WIRE_MARKER_NIL;
        }
    } else if (result->bytes.data) {
        at = wire_pack_bin(at, result->bytes.data, result->bytes.size);
    } else if (result->is_int) {
        at = wire_pack_int(at, result->integer);
    } else {
        *at++ = WIRE_MARKER_NIL;
    }
    wire_buffer_commit(buffer, at);
}

static void get_payload(struct wire_cursor *cursor, struct wire_result *result,
                        struct wire_bytes *values, uint32_t values_max)
{
    switch (wire_peek(cursor)) {
    case WIRE_KIND_NIL:
        wire_get_nil(cursor);
        return;
    case WIRE_KIND_INT:
        result->is_int = true;
        result->integer = wire_get_int(cursor);
        return;
    case WIRE_KIND_BIN:
        result->bytes.data = wire_get_bin(cursor, SIZE_MAX, &result->bytes.size);
        return;
    case WIRE_KIND_ARRAY:
        result->values = values;
        result->value_count = wire_get_array(cursor, values_max);
        for (uint32_t i = 0; i < result->value_count; i++) {
            values[i] = (struct wire_bytes){0};
            if (!wire_get_nil(cursor))
                values[i].data = wire_get_bin(cursor, SIZE_MAX, &values[i].size);
        }
        return;
    default:
        wire_refuse(cursor);
    }
}

bool wire_get_result(struct wire_cursor *cursor, struct wire_result *result,
                     struct wire_bytes *values, uint32_t values_max)
{
    uint32_t unknown = wire_fields_open(cursor, RESULT_FIELDS);

    *result = (struct wire_result){0};
    result->id = wire_get_u32(cursor);
    result->status = wire_get_u8(cursor);
    get_payload(cursor, result, values, values_max);
    return wire_fields_close(cursor, unknown);
}

/* RAFT */

#define RAFT_FIELDS 13u

uint8_t *wire_put_raft(struct wire_buffer *buffer, const struct wire_raft *message)
{
    size_t size = message->entries.size;
    uint8_t *at = wire_buffer_reserve(buffer, (RAFT_FIELDS + 1) * WIRE_PACK_INT_SIZE_MAX + size);

    if (!at)
        return NULL;
    at = wire_pack_array(at, RAFT_FIELDS);
    at = wire_pack_uint(at, message->kind);
    at = wire_pack_uint(at, message->flags);
    at = wire_pack_uint(at, message->group);
    at = wire_pack_uint(at, message->from_member);
    at = wire_pack_uint(at, message->from_life);
    at = wire_pack_uint(at, message->to_member);
    at = wire_pack_uint(at, message->to_life);
    at = wire_pack_uint(at, message->term);
    at = wire_pack_uint(at, message->log_term);
    at = wire_pack_uint(at, message->index);
    at = wire_pack_uint(at, message->commit);
    at = wire_pack_uint(at, message->entry_count);
    at = wire_pack_bin_head(at, size);
    if (message->entries.data)
        memcpy(at, message->entries.data, size);
    wire_buffer_commit(buffer, at + size);
    return at;
}

bool wire_get_raft(struct wire_cursor *cursor, struct wire_raft *message)
{
    uint32_t unknown = wire_fields_open(cursor, RAFT_FIELDS);

    message->kind = wire_get_u8(cursor);
    message->flags = wire_get_u8(cursor);
    message->group = wire_get_u16(cursor);
    message->from_member = wire_get_u16(cursor);
    message->from_life = wire_get_u64(cursor);
    message->to_member = wire_get_u16(cursor);
    message->to_life = wire_get_u64(cursor);
    message->term = wire_get_u32(cursor);
    message->log_term = wire_get_u32(cursor);
    message->index = wire_get_u64(cursor);
    message->commit = wire_get_u64(cursor);
    message->entry_count = wire_get_u32(cursor);
    message->entries.data = wire_get_bin(cursor, SIZE_MAX, &message->entries.size);
    return wire_fields_close(cursor, unknown);
}

/* BEAT and BEAT_ACK */

#define BEAT_HEAD_FIELDS 3u
#define BEAT_ACK_FIELDS  4u
#define BEAT_FIELDS      6u

void wire_put_beat_head(struct wire_buffer *buffer, const struct wire_beat_head *head)
{
    wire_put_array(buffer, BEAT_HEAD_FIELDS + 1);
    wire_put_uint(buffer, head->from);
    wire_put_uint(buffer, head->round);
    wire_put_bool(buffer, head->full);
    wire_put_uint(buffer, head->wall_ms);
}

void wire_put_beat(struct wire_buffer *buffer, const struct wire_beat *beat, bool ack)
{
    uint8_t *at = wire_buffer_reserve(buffer, (BEAT_FIELDS + 1) * WIRE_PACK_INT_SIZE_MAX);

    if (!at)
        return;
    at = wire_pack_array(at, ack ? BEAT_ACK_FIELDS : BEAT_FIELDS);
    at = wire_pack_uint(at, beat->group);
    at = wire_pack_uint(at, beat->from_life);
    at = wire_pack_uint(at, beat->to_life);
    at = wire_pack_uint(at, beat->term);
    if (!ack) {
        at = wire_pack_uint(at, beat->commit);
        at = wire_pack_uint(at, beat->first);
    }
    wire_buffer_commit(buffer, at);
}

bool wire_get_beat_head(struct wire_cursor *cursor, struct wire_beat_head *head)
{
    uint32_t unknown = wire_fields_open(cursor, BEAT_HEAD_FIELDS);

    head->from = wire_get_u16(cursor);
    head->round = wire_get_u64(cursor);
    head->full = wire_get_bool(cursor);
    head->wall_ms = 0;
    if (unknown > 0) { /* who was built before it was added does not tell */
        head->wall_ms = wire_get_u64(cursor);
        unknown--;
    }
    return wire_fields_close(cursor, unknown);
}

bool wire_get_beat(struct wire_cursor *cursor, struct wire_beat *beat, bool ack)
{
    uint32_t unknown = wire_fields_open(cursor, ack ? BEAT_ACK_FIELDS : BEAT_FIELDS);

    beat->group = wire_get_u16(cursor);
    beat->from_life = wire_get_u64(cursor);
    beat->to_life = wire_get_u64(cursor);
    beat->term = wire_get_u32(cursor);
    beat->commit = ack ? 0 : wire_get_u64(cursor);
    beat->first = ack ? 0 : wire_get_u64(cursor);
    return wire_fields_close(cursor, unknown);
}

/* SHARD_STATUS_REPLY and NODE_STATUS_REPLY */

#define PARTITION_STATUS_FIELDS 11u
#define NODE_STATUS_FIELDS      19u
/* That 0.1.0 did not have; the last ones may be left out: wire_put_node_status(). */
#define NODE_STATUS_FIELDS_NEW 10u
#define SCRUB_FIELDS           9u

void wire_put_partition_status(struct wire_buffer *buffer,
                               const struct wire_partition_status *status)
{
    wire_put_array(buffer, PARTITION_STATUS_FIELDS);
    wire_put_uint(buffer, status->partition);
    wire_put_uint(buffer, status->role);
    wire_put_uint(buffer, status->leader);
    wire_put_uint(buffer, status->term);
    wire_put_uint(buffer, status->first);
    wire_put_uint(buffer, status->last);
    wire_put_uint(buffer, status->commit);
    wire_put_uint(buffer, status->applied);
    wire_put_uint(buffer, status->keys);
    wire_put_bool(buffer, status->fenced);
    wire_put_uint(buffer, status->lag_count);
}

bool wire_get_partition_status(struct wire_cursor *cursor, struct wire_partition_status *status)
{
    uint32_t unknown = wire_fields_open(cursor, PARTITION_STATUS_FIELDS);

    status->partition = wire_get_u16(cursor);
    status->role = wire_get_u8(cursor);
    status->leader = wire_get_u16(cursor);
    status->term = wire_get_u32(cursor);
    status->first = wire_get_u64(cursor);
    status->last = wire_get_u64(cursor);
    status->commit = wire_get_u64(cursor);
    status->applied = wire_get_u64(cursor);
    status->keys = wire_get_u64(cursor);
    status->fenced = wire_get_bool(cursor);
    status->lag_count = wire_get_u32(cursor);
    return wire_fields_close(cursor, unknown);
}

static void put_scrub(struct wire_buffer *buffer, const struct wire_scrub *scrub)
{
    wire_put_array(buffer, SCRUB_FIELDS);
    wire_put_uint(buffer, scrub->passes);
    wire_put_uint(buffer, scrub->age_ms);
    wire_put_uint(buffer, scrub->bytes);
    wire_put_uint(buffer, scrub->faults);
    wire_put_uint(buffer, scrub->unread);
    wire_put_uint(buffer, scrub->repaired);
    wire_put_uint(buffer, scrub->compared);
    wire_put_uint(buffer, scrub->outvoted);
    wire_put_uint(buffer, scrub->undecided);
}

static void get_scrub(struct wire_cursor *cursor, struct wire_scrub *scrub)
{
    uint32_t unknown = wire_fields_open(cursor, SCRUB_FIELDS);

    scrub->passes = wire_get_u64(cursor);
    scrub->age_ms = wire_get_u64(cursor);
    scrub->bytes = wire_get_u64(cursor);
    scrub->faults = wire_get_u64(cursor);
    scrub->unread = wire_get_u64(cursor);
    scrub->repaired = wire_get_u64(cursor);
    scrub->compared = wire_get_u64(cursor);
    scrub->outvoted = wire_get_u64(cursor);
    scrub->undecided = wire_get_u64(cursor);
    (void)wire_fields_close(cursor, unknown);
}

uint64_t wire_node_disk_room(const struct wire_node_status *status)
{
    return status->disk_free > status->disk_reserve ? status->disk_free - status->disk_reserve : 0;
}

void wire_put_node_status(struct wire_buffer *buffer, const struct wire_node_status *status)
{
    /* What came later is left out while it says nothing, and nothing behind it does. */
    bool lost = status->shards_lost != 0;
    bool twin = lost || status->twin != 0;
    bool tells = twin || status->wall_ms != 0 || status->memory_bytes != 0 ||
                 status->tickets != 0 || status->disk_reserve != 0 || status->disk_lacks != 0;

    wire_put_array(buffer, NODE_STATUS_FIELDS + NODE_STATUS_FIELDS_NEW - (tells ? 0 : 5) -
                               (twin ? 0 : 2) - (lost ? 0 : 1));
    wire_put_uint(buffer, status->member);
    wire_put_uint(buffer, status->founded);
    wire_put_uint(buffer, status->shards);
    wire_put_uint(buffer, status->epoch);
    wire_put_uint(buffer, status->uptime_ms);
    wire_put_uint(buffer, status->disk_bytes);
    wire_put_uint(buffer, status->disk_free);
    wire_put_bin(buffer, status->public_key, sizeof status->public_key);
    wire_put_bin(buffer, status->genesis_hash, sizeof status->genesis_hash);
    wire_put_string(buffer, status->address);
    wire_put_string(buffer, status->zone);
    wire_put_string(buffer, status->version);
    wire_put_uint(buffer, status->weight);
    wire_put_uint(buffer, status->links_up);
    wire_put_bool(buffer, status->disk_full);
    wire_put_uint(buffer, status->cache_hits);
    wire_put_uint(buffer, status->cache_misses);
    wire_put_uint(buffer, status->cache_evictions);
    wire_put_uint(buffer, status->cache_bytes);
    wire_put_uint(buffer, status->key_id);
    put_scrub(buffer, &status->scrub);
    if (tells) {
        wire_put_uint(buffer, status->wall_ms);
        wire_put_uint(buffer, status->memory_bytes);
        wire_put_uint(buffer, status->tickets);
        wire_put_uint(buffer, status->disk_reserve);
        wire_put_uint(buffer, status->disk_lacks);
    }
    if (twin) {
        wire_put_uint(buffer, status->twin);
        wire_put_string(buffer, status->twin_address);
    }
    if (lost)
        wire_put_uint(buffer, status->shards_lost);
}

bool wire_get_node_status(struct wire_cursor *cursor, struct wire_node_status *status)
{
    uint32_t unknown = wire_fields_open(cursor, NODE_STATUS_FIELDS);

    status->member = wire_get_u16(cursor);
    status->founded = wire_get_u8(cursor);
    status->shards = wire_get_u16(cursor);
    status->epoch = wire_get_u64(cursor);
    status->uptime_ms = wire_get_u64(cursor);
    status->disk_bytes = wire_get_u64(cursor);
    status->disk_free = wire_get_u64(cursor);
    wire_get_bytes(cursor, status->public_key, sizeof status->public_key);
    wire_get_bytes(cursor, status->genesis_hash, sizeof status->genesis_hash);
    wire_get_text(cursor, status->address, sizeof status->address);
    wire_get_text(cursor, status->zone, sizeof status->zone);
    wire_get_text(cursor, status->version, sizeof status->version);
    status->weight = wire_get_u32(cursor);
    status->links_up = wire_get_u32(cursor);
    status->disk_full = wire_get_bool(cursor);
    status->cache_hits = wire_get_u64(cursor);
    status->cache_misses = wire_get_u64(cursor);
    status->cache_evictions = wire_get_u64(cursor);
    status->cache_bytes = wire_get_u64(cursor);
    status->key_id = 0;
    status->scrub = (struct wire_scrub){0};
    if (unknown > 0)
        status->key_id = wire_get_u8(cursor);
    if (unknown > 1)
        get_scrub(cursor, &status->scrub);
    status->wall_ms = unknown > 2 ? wire_get_u64(cursor) : 0;
    status->memory_bytes = unknown > 3 ? wire_get_u64(cursor) : 0;
    status->tickets = unknown > 4 ? wire_get_u64(cursor) : 0;
    status->disk_reserve = unknown > 5 ? wire_get_u64(cursor) : 0;
    status->disk_lacks = unknown > 6 ? wire_get_u64(cursor) : 0;
    status->twin = unknown > 7 ? wire_get_u16(cursor) : 0;
    status->twin_address[0] = 0;
    if (unknown > 8)
        wire_get_text(cursor, status->twin_address, sizeof status->twin_address);
    status->shards_lost = unknown > 9 ? wire_get_u16(cursor) : 0;
    return wire_fields_close(
        cursor, unknown > NODE_STATUS_FIELDS_NEW ? unknown - NODE_STATUS_FIELDS_NEW : 0);
}
