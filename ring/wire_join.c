#include "ring/wire_fields.h"

#define JOIN_FIELDS       4u
#define JOIN_REPLY_FIELDS 4u

void wire_put_join(struct wire_buffer *buffer, const struct wire_join *join)
{
    wire_put_array(buffer, JOIN_FIELDS);
    wire_put_bin(buffer, join->public_key, sizeof join->public_key);
    wire_put_string(buffer, join->address);
    wire_put_string(buffer, join->zone);
    wire_put_uint(buffer, join->weight);
}

bool wire_get_join(struct wire_cursor *cursor, struct wire_join *join)
{
    uint32_t unknown = wire_fields_open(cursor, JOIN_FIELDS);

    *join = (struct wire_join){0};
    wire_get_bytes(cursor, join->public_key, sizeof join->public_key);
    wire_get_text(cursor, join->address, sizeof join->address);
    wire_get_text(cursor, join->zone, sizeof join->zone);
    join->weight = wire_get_u32(cursor);
    return wire_fields_close(cursor, unknown);
}

static void put_blob(struct wire_buffer *buffer, struct wire_bytes blob)
{
    if (blob.data)
        wire_put_bin(buffer, blob.data, blob.size);
    else
        wire_put_nil(buffer);
}

static void get_blob(struct wire_cursor *cursor, struct wire_bytes *blob)
{
    if (!wire_get_nil(cursor))
        blob->data = wire_get_bin(cursor, LINK_MESSAGE_SIZE_MAX, &blob->size);
}

void wire_put_join_reply(struct wire_buffer *buffer, const struct wire_join_reply *reply)
{
    wire_put_array(buffer, JOIN_REPLY_FIELDS);
    wire_put_uint(buffer, reply->outcome);
    wire_put_string(buffer, reply->why);
    put_blob(buffer, reply->genesis);
    put_blob(buffer, reply->map);
}

bool wire_get_join_reply(struct wire_cursor *cursor, struct wire_join_reply *reply)
{
    uint32_t unknown = wire_fields_open(cursor, JOIN_REPLY_FIELDS);

    *reply = (struct wire_join_reply){.outcome = wire_get_u8(cursor)};
    wire_get_text(cursor, reply->why, sizeof reply->why);
    get_blob(cursor, &reply->genesis);
    get_blob(cursor, &reply->map);
    return wire_fields_close(cursor, unknown);
}
