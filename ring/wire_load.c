#include "ring/wire_load.h"

#include "ring/wire_fields.h"

#define LEADER_FIELDS         2u
#define BALANCE_FIELDS        3u
#define WISH_FIELDS           2u
#define LOAD_FIELDS           4u
#define LOAD_PARTITION_FIELDS 5u
#define TOP_FIELDS            1u
#define TOP_REPLY_FIELDS      7u
#define TOP_PARTITION_FIELDS  3u
#define TOP_KEY_FIELDS        4u
#define DRAIN_FIELDS          1u
#define DRAIN_REPLY_FIELDS    2u

void wire_put_leader(struct wire_buffer *buffer, const struct wire_leader *leader)
{
    wire_put_array(buffer, LEADER_FIELDS);
    wire_put_uint(buffer, leader->partition);
    wire_put_uint(buffer, leader->term);
}

bool wire_get_leader(struct wire_cursor *cursor, struct wire_leader *leader)
{
    uint32_t unknown = wire_fields_open(cursor, LEADER_FIELDS);

    leader->partition = wire_get_u16(cursor);
    leader->term = wire_get_u32(cursor);
    return wire_fields_close(cursor, unknown);
}

void wire_put_balance(struct wire_buffer *buffer, const struct wire_balance *balance)
{
    wire_put_array(buffer, BALANCE_FIELDS);
    wire_put_uint(buffer, balance->term);
    wire_put_bool(buffer, balance->ask);
    wire_put_bool(buffer, balance->slow);
}

bool wire_get_balance(struct wire_cursor *cursor, struct wire_balance *balance)
{
    uint32_t unknown = wire_fields_open(cursor, BALANCE_FIELDS);

    balance->term = wire_get_u32(cursor);
    balance->ask = wire_get_bool(cursor);
    balance->slow = wire_get_bool(cursor);
    return wire_fields_close(cursor, unknown);
}

void wire_put_wish(struct wire_buffer *buffer, const struct wire_wish *wish)
{
    wire_put_array(buffer, WISH_FIELDS);
    wire_put_uint(buffer, wish->partition);
    wire_put_uint(buffer, wish->to);
}

bool wire_get_wish(struct wire_cursor *cursor, struct wire_wish *wish)
{
    uint32_t unknown = wire_fields_open(cursor, WISH_FIELDS);

    wish->partition = wire_get_u16(cursor);
    wish->to = wire_get_u16(cursor);
    return wire_fields_close(cursor, unknown);
}

void wire_put_load(struct wire_buffer *buffer, const struct wire_load *load)
{
    wire_put_array(buffer, LOAD_FIELDS);
    wire_put_uint(buffer, load->term);
    wire_put_bool(buffer, load->may_lead);
    wire_put_uint(buffer, load->syncs);
    wire_put_uint(buffer, load->sync_us);
}

bool wire_get_load(struct wire_cursor *cursor, struct wire_load *load)
{
    uint32_t unknown = wire_fields_open(cursor, LOAD_FIELDS);

    load->term = wire_get_u32(cursor);
    load->may_lead = wire_get_bool(cursor);
    load->syncs = wire_get_u32(cursor);
    load->sync_us = wire_get_u32(cursor);
    return wire_fields_close(cursor, unknown);
}

void wire_put_load_partition(struct wire_buffer *buffer,
                             const struct wire_load_partition *partition)
{
    wire_put_array(buffer, LOAD_PARTITION_FIELDS);
    wire_put_uint(buffer, partition->partition);
    wire_put_uint(buffer, partition->term);
    wire_put_uint(buffer, partition->operations);
    wire_put_uint(buffer, partition->bytes);
    wire_put_array(buffer, partition->voter_count);
    for (uint8_t i = 0; i < partition->voter_count; i++)
        wire_put_uint(buffer, partition->voters[i]);
}

bool wire_get_load_partition(struct wire_cursor *cursor, struct wire_load_partition *partition)
{
    uint32_t unknown = wire_fields_open(cursor, LOAD_PARTITION_FIELDS);

    *partition = (struct wire_load_partition){0};
    partition->partition = wire_get_u16(cursor);
    partition->term = wire_get_u32(cursor);
    partition->operations = wire_get_u32(cursor);
    partition->bytes = wire_get_u64(cursor);
    partition->voter_count = (uint8_t)wire_get_array(cursor, WIRE_LOAD_VOTERS_MAX);
    for (uint8_t i = 0; i < partition->voter_count; i++)
        partition->voters[i] = wire_get_u16(cursor);
    return wire_fields_close(cursor, unknown);
}

void wire_put_top(struct wire_buffer *buffer, uint32_t sample_ms)
{
    wire_put_array(buffer, TOP_FIELDS);
    wire_put_uint(buffer, sample_ms);
}

bool wire_get_top(struct wire_cursor *cursor, uint32_t *sample_ms)
{
    uint32_t unknown = wire_fields_open(cursor, TOP_FIELDS);

    *sample_ms = (uint32_t)wire_get_uint(cursor, WIRE_TOP_SAMPLE_MS_MAX);
    return wire_fields_close(cursor, unknown);
}

void wire_put_top_reply(struct wire_buffer *buffer, const struct wire_top *top)
{
    wire_put_array(buffer, TOP_REPLY_FIELDS);
    wire_put_bool(buffer, top->may_lead);
    wire_put_bool(buffer, top->drained);
    wire_put_bool(buffer, top->slow);
    wire_put_uint(buffer, top->sync_us);
    wire_put_uint(buffer, top->sample_ms);
    wire_put_uint(buffer, top->seen);
    wire_put_uint(buffer, top->partition_count);
}

bool wire_get_top_reply(struct wire_cursor *cursor, struct wire_top *top)
{
    uint32_t unknown = wire_fields_open(cursor, TOP_REPLY_FIELDS);

    top->may_lead = wire_get_bool(cursor);
    top->drained = wire_get_bool(cursor);
    top->slow = wire_get_bool(cursor);
    top->sync_us = wire_get_u32(cursor);
    top->sample_ms = wire_get_u32(cursor);
    top->seen = wire_get_u64(cursor);
    top->partition_count = wire_get_u32(cursor);
    return wire_fields_close(cursor, unknown);
}

void wire_put_top_partition(struct wire_buffer *buffer, const struct wire_top_partition *partition)
{
    wire_put_array(buffer, TOP_PARTITION_FIELDS);
    wire_put_uint(buffer, partition->partition);
    wire_put_uint(buffer, partition->operations);
    wire_put_uint(buffer, partition->bytes);
}

bool wire_get_top_partition(struct wire_cursor *cursor, struct wire_top_partition *partition)
{
    uint32_t unknown = wire_fields_open(cursor, TOP_PARTITION_FIELDS);

    partition->partition = wire_get_u16(cursor);
    partition->operations = wire_get_u32(cursor);
    partition->bytes = wire_get_u64(cursor);
    return wire_fields_close(cursor, unknown);
}

void wire_put_top_key(struct wire_buffer *buffer, const struct wire_top_key *key)
{
    wire_put_array(buffer, TOP_KEY_FIELDS);
    wire_put_bin(buffer, key->key.data, key->key.size);
    wire_put_uint(buffer, key->key_size);
    wire_put_uint(buffer, key->count);
    wire_put_uint(buffer, key->error);
}

bool wire_get_top_key(struct wire_cursor *cursor, struct wire_top_key *key)
{
    uint32_t unknown = wire_fields_open(cursor, TOP_KEY_FIELDS);

    key->key.data = wire_get_bin(cursor, WIRE_TOP_KEY_SIZE_MAX, &key->key.size);
    key->key_size = wire_get_u32(cursor);
    key->count = wire_get_u64(cursor);
    key->error = wire_get_u64(cursor);
    return wire_fields_close(cursor, unknown);
}

void wire_put_drain(struct wire_buffer *buffer, bool drained)
{
    wire_put_array(buffer, DRAIN_FIELDS);
    wire_put_bool(buffer, drained);
}

bool wire_get_drain(struct wire_cursor *cursor, bool *drained)
{
    uint32_t unknown = wire_fields_open(cursor, DRAIN_FIELDS);

    *drained = wire_get_bool(cursor);
    return wire_fields_close(cursor, unknown);
}

void wire_put_drain_reply(struct wire_buffer *buffer, bool drained, uint32_t leaders)
{
    wire_put_array(buffer, DRAIN_REPLY_FIELDS);
    wire_put_bool(buffer, drained);
    wire_put_uint(buffer, leaders);
}

bool wire_get_drain_reply(struct wire_cursor *cursor, bool *drained, uint32_t *leaders)
{
    uint32_t unknown = wire_fields_open(cursor, DRAIN_REPLY_FIELDS);

    *drained = wire_get_bool(cursor);
    *leaders = wire_get_u32(cursor);
    return wire_fields_close(cursor, unknown);
}
