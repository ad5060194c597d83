#include "ring/swim_codec.h"

#include <assert.h>
#include <string.h>

#include "ring/wire_fields.h"
#include "ring/wire_pack.h"

#define SWIM_VERSION      1u
#define RECORD_FIELDS     10u
#define RECORD_FIELDS_NEW 1u /* that earlier programs did not have */
#define HEAD_FIELDS       8u
#define ITEM_FIELDS       2u /* the fewest: kind and one more */
#define STATEMENT_FIELDS  5u
#define DIGEST_FIELDS     5u
#define RECORD_ITEM_ABOVE (1u + 1u + 3u + 2u) /* array, kind, heads of the two bins */

static uint8_t *pack_text(uint8_t *at, const char *text, size_t size)
{
    const void *bytes = text;

    if (size < 32)
        *at++ = (uint8_t)(WIRE_MARKER_FIXSTR | size);
    else
        at = wire_pack_marked(at, WIRE_MARKER_STR8, size, 1);
    memcpy(at, bytes, size);
    return at + size;
}

size_t swim_record_encode(const struct swim_record *record, uint8_t out[SWIM_RECORD_SIZE_MAX])
{
    size_t address_size = strlen(record->local.address);
    uint8_t *at = out;

    assert(address_size > 0);
    assert(address_size < RINGMAP_ADDRESS_SIZE);
    at = wire_pack_array(at, RECORD_FIELDS + (record->local.counter != 0));
    at = wire_pack_uint(at, record->member);
    at = wire_pack_uint(at, record->left);
    at = wire_pack_uint(at, record->incarnation);
    at = wire_pack_uint(at, record->sequence);
    at = pack_text(at, record->local.address, address_size);
    at = wire_pack_uint(at, record->local.epoch);
    at = wire_pack_uint(at, record->local.operations);
    at = wire_pack_uint(at, record->local.bytes);
    at = wire_pack_uint(at, record->local.leaders);
    at = wire_pack_uint(at, record->local.leaders_digest);
    if (record->local.counter != 0)
        at = wire_pack_uint(at, record->local.counter);
    assert((size_t)(at - out) <= SWIM_RECORD_SIZE_MAX);
    return (size_t)(at - out);
}

/* As the ring map has it: it will stand on terminals, and be dialled. */
static void get_address(struct wire_cursor *cursor, char out[RINGMAP_ADDRESS_SIZE])
{
    wire_get_text(cursor, out, RINGMAP_ADDRESS_SIZE);
    if (out[0] == '\0' || strchr(out, ' '))
        wire_refuse(cursor);
}

int swim_record_decode(const uint8_t *bytes, size_t size, struct swim_record *record)
{
    struct wire_cursor cursor;
    uint32_t unknown;

    wire_cursor_init(&cursor, bytes, size);
    unknown = wire_fields_open(&cursor, RECORD_FIELDS);
    record->member = wire_get_u16(&cursor);
    record->left = wire_get_uint(&cursor, 1) == 1;
    record->incarnation = wire_get_u64(&cursor);
    record->sequence = wire_get_u64(&cursor);
    get_address(&cursor, record->local.address);
    record->local.epoch = wire_get_u64(&cursor);
    record->local.operations = wire_get_u32(&cursor);
    record->local.bytes = wire_get_u64(&cursor);
    record->local.leaders = wire_get_u16(&cursor);
    record->local.leaders_digest = wire_get_u64(&cursor);
    record->local.counter = unknown > 0 ? wire_get_uint(&cursor, SWIM_COUNTER_END - 1) : 0;
    unknown -= unknown > 0 ? RECORD_FIELDS_NEW : 0;
    if (record->member == 0 || record->incarnation == 0)
        wire_refuse(&cursor);
    if (!wire_fields_close(&cursor, unknown) || !wire_cursor_done(&cursor))
        return SWIM_CODEC_E_MALFORMED;
    return SWIM_CODEC_E_OK;
}

void swim_signed_prefix(const uint8_t cluster[RINGMAP_CLUSTER_SIZE],
                        uint8_t out[SWIM_SIGNED_PREFIX_SIZE])
{
    static const char purpose[] = "ringcask-gossip1";

    static_assert(sizeof purpose - 1 + RINGMAP_CLUSTER_SIZE == SWIM_SIGNED_PREFIX_SIZE, "prefix");
    memcpy(out, purpose, sizeof purpose - 1);
    memcpy(out + sizeof purpose - 1, cluster, RINGMAP_CLUSTER_SIZE);
}

static size_t uint_size(uint64_t value)
{
    if (value < 0x80)
        return 1;
    if (value <= UINT8_MAX)
        return 2;
    if (value <= UINT16_MAX)
        return 3;
    return value <= UINT32_MAX ? 5 : 9;
}

size_t swim_item_size(const struct swim_item *item)
{
    size_t size = 3 + uint_size(item->member); /* array, kind, standing */

    switch (item->kind) {
    case SWIM_ITEM_RECORD:
        return RECORD_ITEM_ABOVE + item->record_size + SWIM_SIGNATURE_SIZE;
    case SWIM_ITEM_STATEMENT:
        size += uint_size(item->incarnation) + 1;
        for (uint8_t i = 0; i < item->accuser_count; i++)
            size += uint_size(item->accusers[i]);
        return size;
    case SWIM_ITEM_DIGEST:
        return size + uint_size(item->incarnation) + uint_size(item->sequence);
    default:
        assert(item->kind == SWIM_ITEM_WANT);
        return size;
    }
}

static uint8_t *pack_item(uint8_t *at, const struct swim_item *item)
{
    switch (item->kind) {
    case SWIM_ITEM_RECORD:
        at = wire_pack_array(at, 3);
        at = wire_pack_uint(at, item->kind);
        at = wire_pack_bin(at, item->record, item->record_size);
        return wire_pack_bin(at, item->signature, SWIM_SIGNATURE_SIZE);
    case SWIM_ITEM_STATEMENT:
        at = wire_pack_array(at, STATEMENT_FIELDS);
        at = wire_pack_uint(at, item->kind);
        at = wire_pack_uint(at, item->member);
        at = wire_pack_uint(at, item->standing);
        at = wire_pack_uint(at, item->incarnation);
        at = wire_pack_array(at, item->accuser_count);
        for (uint8_t i = 0; i < item->accuser_count; i++)
            at = wire_pack_uint(at, item->accusers[i]);
        return at;
    case SWIM_ITEM_DIGEST:
        at = wire_pack_array(at, DIGEST_FIELDS);
        at = wire_pack_uint(at, item->kind);
        at = wire_pack_uint(at, item->member);
        at = wire_pack_uint(at, item->standing);
        at = wire_pack_uint(at, item->incarnation);
        return wire_pack_uint(at, item->sequence);
    default:
        assert(item->kind == SWIM_ITEM_WANT);
        at = wire_pack_array(at, 2);
        at = wire_pack_uint(at, item->kind);
        return wire_pack_uint(at, item->member);
    }
}

void swim_put_packet(struct wire_buffer *buffer, const struct swim_packet *packet)
{
    size_t size = SWIM_PACKET_OVERHEAD;
    uint8_t *at;

    assert(packet->item_count <= SWIM_ITEMS_MAX);
    for (uint32_t i = 0; i < packet->item_count; i++)
        size += swim_item_size(&packet->items[i]);
    at = wire_buffer_reserve(buffer, size);
    if (!at)
        return;
    at = wire_pack_array(at, HEAD_FIELDS);
    at = wire_pack_uint(at, SWIM_VERSION);
    at = wire_pack_uint(at, packet->kind);
    at = wire_pack_uint(at, packet->more);
    at = wire_pack_uint(at, packet->nonce);
    at = wire_pack_uint(at, packet->subject);
    at = wire_pack_uint(at, packet->standing);
    at = wire_pack_uint(at, packet->incarnation);
    at = wire_pack_uint(at, packet->sequence);
    for (uint32_t i = 0; i < packet->item_count; i++)
        at = pack_item(at, &packet->items[i]);
    assert(at <= buffer->data + buffer->size + size);
    wire_buffer_commit(buffer, at);
}

static void get_record_item(struct wire_cursor *cursor, struct swim_item *item)
{
    size_t size;

    item->record = wire_get_bin(cursor, SWIM_RECORD_SIZE_MAX, &size);
    item->record_size = (uint16_t)size;
    item->signature = wire_get_bin(cursor, SWIM_SIGNATURE_SIZE, &size);
    if (size != SWIM_SIGNATURE_SIZE || item->record_size == 0)
        wire_refuse(cursor);
}

static void get_accusers(struct wire_cursor *cursor, struct swim_item *item)
{
    item->accuser_count = (uint8_t)wire_get_array(cursor, SWIM_ACCUSERS_MAX);
    for (uint8_t i = 0; i < item->accuser_count; i++)
        item->accusers[i] = wire_get_u16(cursor);
    if (item->accuser_count == 0 || item->standing < SWIM_SUSPECT || item->standing > SWIM_DEAD)
        wire_refuse(cursor);
}

/* False when it is of a kind that a later version brought, or malformed. */
static bool get_item(struct wire_cursor *cursor, struct swim_item *item)
{
    static const uint32_t known[] = {[SWIM_ITEM_RECORD] = 3,
                                     [SWIM_ITEM_STATEMENT] = STATEMENT_FIELDS,
                                     [SWIM_ITEM_DIGEST] = DIGEST_FIELDS,
                                     [SWIM_ITEM_WANT] = ITEM_FIELDS};
    uint32_t rest = wire_fields_open(cursor, ITEM_FIELDS) + ITEM_FIELDS - 1;
    uint64_t kind = wire_get_uint(cursor, UINT8_MAX);

    *item = (struct swim_item){.kind = (uint8_t)kind};
    if (cursor->failed)
        return false;
    if (kind < SWIM_ITEM_RECORD || kind > SWIM_ITEM_WANT) {
        (void)wire_fields_close(cursor, rest);
        return false;
    }
    if (rest + 1 < known[kind]) {
        wire_refuse(cursor);
        return false;
    }
    if (kind == SWIM_ITEM_RECORD) {
        get_record_item(cursor, item);
    } else {
        item->member = wire_get_u16(cursor);
        if (kind != SWIM_ITEM_WANT) {
            item->standing = (uint8_t)wire_get_uint(cursor, SWIM_LEFT);
            item->incarnation = wire_get_u64(cursor);
        }
        if (kind == SWIM_ITEM_STATEMENT)
            get_accusers(cursor, item);
        if (kind == SWIM_ITEM_DIGEST)
            item->sequence = wire_get_u64(cursor);
    }
    return wire_fields_close(cursor, rest + 1 - known[kind]);
}

int swim_get_packet(const uint8_t *bytes, size_t size, struct swim_packet *packet,
                    struct swim_item *items)
{
    struct wire_cursor cursor;
    uint32_t unknown;

    *packet = (struct swim_packet){.items = items};
    wire_cursor_init(&cursor, bytes, size);
    unknown = wire_fields_open(&cursor, HEAD_FIELDS);
    if (wire_get_u32(&cursor) != SWIM_VERSION)
        wire_refuse(&cursor);
    packet->kind = wire_get_u8(&cursor);
    packet->more = wire_get_uint(&cursor, 1) == 1;
    packet->nonce = wire_get_u32(&cursor);
    packet->subject = wire_get_u16(&cursor);
    packet->standing = (uint8_t)wire_get_uint(&cursor, SWIM_LEFT);
    packet->incarnation = wire_get_u64(&cursor);
    packet->sequence = wire_get_u64(&cursor);
    if (!wire_fields_close(&cursor, unknown) || packet->kind < SWIM_PING ||
        packet->kind > SWIM_DIFF)
        return SWIM_CODEC_E_MALFORMED;
    while (!wire_cursor_done(&cursor)) {
        if (packet->item_count == SWIM_ITEMS_MAX)
            return SWIM_CODEC_E_MALFORMED;
        if (get_item(&cursor, &items[packet->item_count]))
            packet->item_count++;
    }
    return cursor.failed ? SWIM_CODEC_E_MALFORMED : SWIM_CODEC_E_OK;
}
