#include "ring/wire_fields.h"

#define MAP_REPLY_FIELDS 4u

void wire_put_map_reply(struct wire_buffer *buffer, const struct wire_map_reply *reply)
{
    wire_put_array(buffer, MAP_REPLY_FIELDS);
    wire_put_uint(buffer, reply->outcome);
    wire_put_uint(buffer, reply->epoch);
    wire_put_uint(buffer, reply->leader);
    wire_put_string(buffer, reply->why);
}

bool wire_get_map_reply(struct wire_cursor *cursor, struct wire_map_reply *reply)
{
    uint32_t unknown = wire_fields_open(cursor, MAP_REPLY_FIELDS);

    *reply = (struct wire_map_reply){.outcome = wire_get_u8(cursor)};
    reply->epoch = wire_get_u64(cursor);
    reply->leader = wire_get_u16(cursor);
    wire_get_text(cursor, reply->why, sizeof reply->why);
    return wire_fields_close(cursor, unknown);
}

void wire_put_map_epoch(struct wire_buffer *buffer, uint64_t epoch)
{
    wire_put_array(buffer, 1);
    wire_put_uint(buffer, epoch);
}

bool wire_get_map_epoch(struct wire_cursor *cursor, uint64_t *epoch)
{
    uint32_t unknown = wire_fields_open(cursor, 1);

    *epoch = wire_get_u64(cursor);
    return wire_fields_close(cursor, unknown);
}
