#include "ring/wire_fields.h"

#define FLUSH_FIELDS       1u
#define FLUSH_STATE_FIELDS 10u

void wire_put_flush(struct wire_buffer *buffer, bool begin)
{
    wire_put_array(buffer, FLUSH_FIELDS);
    wire_put_bool(buffer, begin);
}

bool wire_get_flush(struct wire_cursor *cursor, bool *begin)
{
    uint32_t unknown = wire_fields_open(cursor, FLUSH_FIELDS);

    *begin = wire_get_bool(cursor);
    return wire_fields_close(cursor, unknown);
}

void wire_put_flush_state(struct wire_buffer *buffer, const struct wire_flush_state *state)
{
    wire_put_array(buffer, FLUSH_STATE_FIELDS);
    wire_put_bool(buffer, state->accepted);
    wire_put_bool(buffer, state->flushing);
    wire_put_uint(buffer, state->demands);
    wire_put_uint(buffer, state->disk_bytes);
    wire_put_uint(buffer, state->log_bytes);
    wire_put_uint(buffer, state->left_files);
    wire_put_uint(buffer, state->left_bytes);
    wire_put_uint(buffer, state->files);
    wire_put_uint(buffer, state->reclaimed);
    wire_put_uint(buffer, state->failed);
}

bool wire_get_flush_state(struct wire_cursor *cursor, struct wire_flush_state *state)
{
    uint32_t unknown = wire_fields_open(cursor, FLUSH_STATE_FIELDS);

    state->accepted = wire_get_bool(cursor);
    state->flushing = wire_get_bool(cursor);
    state->demands = wire_get_u64(cursor);
    state->disk_bytes = wire_get_u64(cursor);
    state->log_bytes = wire_get_u64(cursor);
    state->left_files = wire_get_u64(cursor);
    state->left_bytes = wire_get_u64(cursor);
    state->files = wire_get_u64(cursor);
    state->reclaimed = wire_get_u64(cursor);
    state->failed = wire_get_u64(cursor);
    return wire_fields_close(cursor, unknown);
}
