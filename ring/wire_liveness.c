#include "ring/wire_fields.h"

#define LIVENESS_FIELDS     9u
#define LIVENESS_FIELDS_NEW 2u /* that version 1 did not have */

void wire_put_liveness(struct wire_buffer *buffer, const struct wire_liveness *liveness)
{
    /* What is as version 1 had it is said as version 1 did. */
    uint32_t more = liveness->leaders_digest != 0 ? 2 : liveness->bytes != 0 ? 1 : 0;

    wire_put_array(buffer, LIVENESS_FIELDS + more);
    wire_put_uint(buffer, liveness->member);
    wire_put_uint(buffer, liveness->standing);
    wire_put_bool(buffer, liveness->heard);
    wire_put_uint(buffer, liveness->age_ms);
    wire_put_uint(buffer, liveness->incarnation);
    wire_put_uint(buffer, liveness->epoch);
    wire_put_string(buffer, liveness->address);
    wire_put_uint(buffer, liveness->operations);
    wire_put_uint(buffer, liveness->leaders);
    if (more > 0)
        wire_put_uint(buffer, liveness->bytes);
    if (more > 1)
        wire_put_uint(buffer, liveness->leaders_digest);
}

bool wire_get_liveness(struct wire_cursor *cursor, struct wire_liveness *liveness)
{
    uint32_t unknown = wire_fields_open(cursor, LIVENESS_FIELDS);

    *liveness = (struct wire_liveness){0};
    liveness->member = wire_get_u16(cursor);
    liveness->standing = wire_get_u8(cursor);
    liveness->heard = wire_get_bool(cursor);
    liveness->age_ms = wire_get_u64(cursor);
    liveness->incarnation = wire_get_u64(cursor);
    liveness->epoch = wire_get_u64(cursor);
    wire_get_text(cursor, liveness->address, sizeof liveness->address);
    liveness->operations = wire_get_u32(cursor);
    liveness->leaders = wire_get_u16(cursor);
    liveness->bytes = unknown > 0 ? wire_get_u64(cursor) : 0;
    liveness->leaders_digest = unknown > 1 ? wire_get_u64(cursor) : 0;
    return wire_fields_close(cursor,
                             unknown > LIVENESS_FIELDS_NEW ? unknown - LIVENESS_FIELDS_NEW : 0);
}
