#include "ring/wire_fields.h"

#define HOLDS_FIELDS      3u
#define GONE_FIELDS       4u
#define MOVED_FIELDS      2u
#define MOVES_HEAD_FIELDS 3u
#define MOVE_FIELDS       12u

/* --- between shards ------------------------------------------------------------------------ */

void wire_put_holds(struct wire_buffer *buffer, const struct wire_holds *holds)
{
    wire_put_array(buffer, HOLDS_FIELDS);
    wire_put_uint(buffer, holds->group);
    wire_put_uint(buffer, holds->member);
    wire_put_uint(buffer, holds->life);
}

bool wire_get_holds(struct wire_cursor *cursor, struct wire_holds *holds)
{
    uint32_t unknown = wire_fields_open(cursor, HOLDS_FIELDS);

    holds->group = wire_get_u16(cursor);
    holds->member = wire_get_u16(cursor);
    holds->life = wire_get_u64(cursor);
    return wire_fields_close(cursor, unknown);
}

void wire_put_gone(struct wire_buffer *buffer, const struct wire_gone *gone)
{
    wire_put_array(buffer, GONE_FIELDS);
    wire_put_uint(buffer, gone->group);
    wire_put_uint(buffer, gone->member);
    wire_put_uint(buffer, gone->life);
    wire_put_uint(buffer, gone->config_index);
}

bool wire_get_gone(struct wire_cursor *cursor, struct wire_gone *gone)
{
    uint32_t unknown = wire_fields_open(cursor, GONE_FIELDS);

    gone->group = wire_get_u16(cursor);
    gone->member = wire_get_u16(cursor);
    gone->life = wire_get_u64(cursor);
    gone->config_index = wire_get_u64(cursor);
    return wire_fields_close(cursor, unknown);
}

void wire_put_moved(struct wire_buffer *buffer, uint64_t epoch, const uint16_t *groups,
                    uint32_t count)
{
    wire_put_array(buffer, MOVED_FIELDS);
    wire_put_uint(buffer, epoch);
    wire_put_array(buffer, count);
    for (uint32_t i = 0; i < count; i++)
        wire_put_uint(buffer, groups[i]);
}

bool wire_get_moved(struct wire_cursor *cursor, uint64_t *epoch, uint16_t *groups, uint32_t max,
                    uint32_t *count)
{
    uint32_t unknown = wire_fields_open(cursor, MOVED_FIELDS);

    *epoch = wire_get_u64(cursor);
    *count = wire_get_array(cursor, max);
    for (uint32_t i = 0; i < *count && !cursor->failed; i++)
        groups[i] = wire_get_u16(cursor);
    return wire_fields_close(cursor, unknown);
}

/* --- for people ---------------------------------------------------------------------------- */

void wire_put_moves_head(struct wire_buffer *buffer, const struct wire_moves_head *head)
{
    wire_put_array(buffer, MOVES_HEAD_FIELDS);
    wire_put_uint(buffer, head->epoch);
    wire_put_bool(buffer, head->paused);
    wire_put_uint(buffer, head->rate);
}

bool wire_get_moves_head(struct wire_cursor *cursor, struct wire_moves_head *head)
{
    uint32_t unknown = wire_fields_open(cursor, MOVES_HEAD_FIELDS);

    head->epoch = wire_get_u64(cursor);
    head->paused = wire_get_bool(cursor);
    head->rate = wire_get_u64(cursor);
    return wire_fields_close(cursor, unknown);
}

static void put_members(struct wire_buffer *buffer, const struct wire_members *members)
{
    wire_put_array(buffer, members->count);
    for (uint32_t i = 0; i < members->count; i++)
        wire_put_uint(buffer, members->ids[i]);
}

static void get_members(struct wire_cursor *cursor, struct wire_members *members)
{
    uint32_t count = wire_get_array(cursor, WIRE_MOVE_MEMBERS_MAX);

    *members = (struct wire_members){.count = (uint8_t)count};
    for (uint32_t i = 0; i < members->count; i++)
        members->ids[i] = wire_get_u16(cursor);
}

void wire_put_move(struct wire_buffer *buffer, const struct wire_move *move)
{
    wire_put_array(buffer, MOVE_FIELDS);
    wire_put_uint(buffer, move->group);
    wire_put_uint(buffer, move->step);
    wire_put_uint(buffer, move->member);
    wire_put_uint(buffer, move->config_index);
    wire_put_uint(buffer, move->config_epoch);
    wire_put_bool(buffer, move->committed);
    put_members(buffer, &move->voters);
    put_members(buffer, &move->voters_old);
    put_members(buffer, &move->learners);
    wire_put_uint(buffer, move->bytes);
    wire_put_uint(buffer, move->sent);
    wire_put_uint(buffer, move->snapshots);
}

bool wire_get_move(struct wire_cursor *cursor, struct wire_move *move)
{
    uint32_t unknown = wire_fields_open(cursor, MOVE_FIELDS);

    move->group = wire_get_u16(cursor);
    move->step = wire_get_u8(cursor);
    move->member = wire_get_u16(cursor);
    move->config_index = wire_get_u64(cursor);
    move->config_epoch = wire_get_u64(cursor);
    move->committed = wire_get_bool(cursor);
    get_members(cursor, &move->voters);
    get_members(cursor, &move->voters_old);
    get_members(cursor, &move->learners);
    move->bytes = wire_get_u64(cursor);
    move->sent = wire_get_u64(cursor);
    move->snapshots = wire_get_u32(cursor);
    return wire_fields_close(cursor, unknown);
}
