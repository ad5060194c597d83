#include "ring/wire_fields.h"

#define SCRUB_FIELDS       1u
#define SCRUB_STATE_FIELDS 9u

void wire_put_scrub(struct wire_buffer *buffer, bool begin)
{
    wire_put_array(buffer, SCRUB_FIELDS);
    wire_put_bool(buffer, begin);
}

bool wire_get_scrub(struct wire_cursor *cursor, bool *begin)
{
    uint32_t unknown = wire_fields_open(cursor, SCRUB_FIELDS);

    *begin = wire_get_bool(cursor);
    return wire_fields_close(cursor, unknown);
}

void wire_put_scrub_state(struct wire_buffer *buffer, const struct wire_scrub_state *state)
{
    wire_put_array(buffer, SCRUB_STATE_FIELDS);
    wire_put_bool(buffer, state->accepted);
    wire_put_bool(buffer, state->running);
    wire_put_uint(buffer, state->demands);
    wire_put_uint(buffer, state->left_bytes);
    wire_put_uint(buffer, state->files);
    wire_put_uint(buffer, state->bytes);
    wire_put_uint(buffer, state->faults);
    wire_put_uint(buffer, state->unread);
    wire_put_uint(buffer, state->fenced);
}

bool wire_get_scrub_state(struct wire_cursor *cursor, struct wire_scrub_state *state)
{
    uint32_t unknown = wire_fields_open(cursor, SCRUB_STATE_FIELDS);

    state->accepted = wire_get_bool(cursor);
    state->running = wire_get_bool(cursor);
    state->demands = wire_get_u64(cursor);
    state->left_bytes = wire_get_u64(cursor);
    state->files = wire_get_u64(cursor);
    state->bytes = wire_get_u64(cursor);
    state->faults = wire_get_u64(cursor);
    state->unread = wire_get_u64(cursor);
    state->fenced = wire_get_u32(cursor);
    return wire_fields_close(cursor, unknown);
}
