#include "ring/wire_fields.h"

#include <string.h>

#include "ring/wire_pack.h"

#define SNAPSHOT_FIELDS     14u
#define SNAPSHOT_ACK_FIELDS 9u

uint8_t *wire_begin_snapshot(struct wire_buffer *buffer, const struct wire_snapshot *piece,
                             struct wire_snapshot_space *space)
{
    size_t head = (SNAPSHOT_FIELDS + 1) * WIRE_PACK_INT_SIZE_MAX + piece->state.size;
    uint8_t *at = wire_buffer_reserve(buffer, head + piece->records.size);

    if (!at)
        return NULL;
    at = wire_pack_array(at, SNAPSHOT_FIELDS);
    at = wire_pack_uint(at, piece->group);
    at = wire_pack_uint(at, piece->from_member);
    at = wire_pack_uint(at, piece->from_life);
    at = wire_pack_uint(at, piece->to_member);
    at = wire_pack_uint(at, piece->to_life);
    at = wire_pack_uint(at, piece->term);
    at = wire_pack_uint(at, piece->log_term);
    at = wire_pack_uint(at, piece->index);
    at = wire_pack_uint(at, piece->from);
    at = wire_pack_uint(at, piece->next);
    at = wire_pack_uint(at, piece->settled);
    space->checksum = (size_t)(at - buffer->data);
    at = wire_pack_marked(at, WIRE_MARKER_UINT64, 0, 8);
    if (piece->state.data)
        at = wire_pack_bin(at, piece->state.data, piece->state.size);
    else
        *at++ = WIRE_MARKER_NIL;
    space->head = (size_t)(at - buffer->data);
    return wire_pack_marked(at, WIRE_MARKER_BIN32, 0, 4);
}

/* All is as short as it can be: what was left for the checksum and the length of the records is
 * closed up where they take less, which those of a piece of any size do not. */
void wire_end_snapshot(struct wire_buffer *buffer, const struct wire_snapshot_space *space,
                       size_t records_size, uint64_t checksum)
{
    const uint8_t *state = buffer->data + space->checksum + WIRE_PACK_INT_SIZE_MAX;
    const uint8_t *records = buffer->data + space->head + WIRE_PACK_HEAD_SIZE_MAX;
    size_t state_size = space->head - space->checksum - WIRE_PACK_INT_SIZE_MAX;
    uint8_t *at = wire_pack_uint(buffer->data + space->checksum, checksum);

    if (at != state)
        memmove(at, state, state_size);
    at = wire_pack_bin_head(at + state_size, records_size);
    if (at != records)
        memmove(at, records, records_size);
    wire_buffer_commit(buffer, at + records_size);
}

void wire_put_snapshot(struct wire_buffer *buffer, const struct wire_snapshot *piece)
{
    struct wire_snapshot_space space;
    uint8_t *records = wire_begin_snapshot(buffer, piece, &space);

    if (!records)
        return;
    if (piece->records.size > 0)
        memcpy(records, piece->records.data, piece->records.size);
    wire_end_snapshot(buffer, &space, piece->records.size, piece->checksum);
}

bool wire_get_snapshot(struct wire_cursor *cursor, struct wire_snapshot *piece)
{
    uint32_t unknown = wire_fields_open(cursor, SNAPSHOT_FIELDS);

    *piece = (struct wire_snapshot){0};
    piece->group = wire_get_u16(cursor);
    piece->from_member = wire_get_u16(cursor);
    piece->from_life = wire_get_u64(cursor);
    piece->to_member = wire_get_u16(cursor);
    piece->to_life = wire_get_u64(cursor);
    piece->term = wire_get_u32(cursor);
    piece->log_term = wire_get_u32(cursor);
    piece->index = wire_get_u64(cursor);
    piece->from = wire_get_u64(cursor);
    piece->next = wire_get_u64(cursor);
    piece->settled = wire_get_u64(cursor);
    piece->checksum = wire_get_u64(cursor);
    if (!wire_get_nil(cursor))
        piece->state.data = wire_get_bin(cursor, SIZE_MAX, &piece->state.size);
    piece->records.data = wire_get_bin(cursor, SIZE_MAX, &piece->records.size);
    return wire_fields_close(cursor, unknown);
}

void wire_put_snapshot_ack(struct wire_buffer *buffer, const struct wire_snapshot_ack *ack)
{
    uint8_t *at = wire_buffer_reserve(buffer, (SNAPSHOT_ACK_FIELDS + 1) * WIRE_PACK_INT_SIZE_MAX);

    if (!at)
        return;
    at = wire_pack_array(at, SNAPSHOT_ACK_FIELDS);
    at = wire_pack_uint(at, ack->kind);
    at = wire_pack_uint(at, ack->group);
    at = wire_pack_uint(at, ack->from_member);
    at = wire_pack_uint(at, ack->from_life);
    at = wire_pack_uint(at, ack->to_member);
    at = wire_pack_uint(at, ack->to_life);
    at = wire_pack_uint(at, ack->term);
    at = wire_pack_uint(at, ack->index);
    at = wire_pack_uint(at, ack->next);
    wire_buffer_commit(buffer, at);
}

bool wire_get_snapshot_ack(struct wire_cursor *cursor, struct wire_snapshot_ack *ack)
{
    uint32_t unknown = wire_fields_open(cursor, SNAPSHOT_ACK_FIELDS);

    ack->kind = wire_get_u8(cursor);
    ack->group = wire_get_u16(cursor);
    ack->from_member = wire_get_u16(cursor);
    ack->from_life = wire_get_u64(cursor);
    ack->to_member = wire_get_u16(cursor);
    ack->to_life = wire_get_u64(cursor);
    ack->term = wire_get_u32(cursor);
    ack->index = wire_get_u64(cursor);
    ack->next = wire_get_u64(cursor);
    return wire_fields_close(cursor, unknown);
}
