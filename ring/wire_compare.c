#include "ring/wire_fields.h"
#include "ring/wire_pack.h"

#define COMPARE_FIELDS 12u

void wire_put_compare(struct wire_buffer *buffer, const struct wire_compare *compare)
{
    uint8_t *at = wire_buffer_reserve(buffer, (COMPARE_FIELDS + 1) * WIRE_PACK_INT_SIZE_MAX);

    if (!at)
        return;
    at = wire_pack_array(at, COMPARE_FIELDS);
    at = wire_pack_uint(at, compare->kind);
    at = wire_pack_uint(at, compare->group);
    at = wire_pack_uint(at, compare->from_member);
    at = wire_pack_uint(at, compare->from_life);
    at = wire_pack_uint(at, compare->to_member);
    at = wire_pack_uint(at, compare->to_life);
    at = wire_pack_uint(at, compare->term);
    at = wire_pack_uint(at, compare->index);
    at = wire_pack_uint(at, compare->from);
    at = wire_pack_uint(at, compare->to);
    at = wire_pack_uint(at, compare->count);
    at = wire_pack_uint(at, compare->sum);
    wire_buffer_commit(buffer, at);
}

bool wire_get_compare(struct wire_cursor *cursor, struct wire_compare *compare)
{
    uint32_t unknown = wire_fields_open(cursor, COMPARE_FIELDS);

    compare->kind = wire_get_u8(cursor);
    compare->group = wire_get_u16(cursor);
    compare->from_member = wire_get_u16(cursor);
    compare->from_life = wire_get_u64(cursor);
    compare->to_member = wire_get_u16(cursor);
    compare->to_life = wire_get_u64(cursor);
    compare->term = wire_get_u32(cursor);
    compare->index = wire_get_u64(cursor);
    compare->from = wire_get_u64(cursor);
    compare->to = wire_get_u64(cursor);
    compare->count = wire_get_u32(cursor);
    compare->sum = wire_get_u64(cursor);
    return wire_fields_close(cursor, unknown);
}
