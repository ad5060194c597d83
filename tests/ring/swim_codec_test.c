#include "ring/swim_codec.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/dice.h"

#define CASES 20000u

static void draw_record(struct dice *dice, struct swim_record *record)
{
    size_t size = 1 + dice_below(dice, RINGMAP_ADDRESS_SIZE - 1);

    *record = (struct swim_record){.member = (uint16_t)(1 + dice_below(dice, UINT16_MAX)),
                                   .left = dice_below(dice, 2) == 0,
                                   .incarnation = 1 + dice_number(dice, 63),
                                   .sequence = dice_number(dice, 64)};
    for (size_t i = 0; i < size; i++)
        record->local.address[i] = (char)(0x21 + dice_below(dice, 0x5e));
    record->local.epoch = dice_number(dice, 64);
    record->local.operations = (uint32_t)dice_number(dice, 32);
    record->local.bytes = dice_number(dice, 64);
    record->local.leaders = (uint16_t)dice_number(dice, 16);
    record->local.leaders_digest = dice_number(dice, 64);
    record->local.counter = dice_number(dice, 48) % SWIM_COUNTER_END;
}

static bool same_record(const struct swim_record *a, const struct swim_record *b)
{
    return a->member == b->member && a->left == b->left && a->incarnation == b->incarnation &&
           a->sequence == b->sequence && strcmp(a->local.address, b->local.address) == 0 &&
           a->local.epoch == b->local.epoch && a->local.operations == b->local.operations &&
           a->local.bytes == b->local.bytes && a->local.leaders == b->local.leaders &&
           a->local.leaders_digest == b->local.leaders_digest &&
           a->local.counter == b->local.counter;
}

Test(swim_codec, records_come_back_as_they_were)
{
    struct dice dice = {1};

    for (unsigned i = 0; i < CASES; i++) {
        uint8_t bytes[SWIM_RECORD_SIZE_MAX];
        struct swim_record record, again;
        size_t size;

        draw_record(&dice, &record);
        size = swim_record_encode(&record, bytes);
        cr_assert_leq(size, sizeof bytes);
        cr_assert_eq(swim_record_decode(bytes, size, &again), SWIM_CODEC_E_OK, "case %u", i);
        cr_assert(same_record(&record, &again), "case %u", i);
        for (size_t cut = 0; cut < size; cut++)
            cr_assert_eq(swim_record_decode(bytes, cut, &again), SWIM_CODEC_E_MALFORMED);
    }
}

/* docs/format-gossip.md has these bytes. */
static const uint8_t example_record[] = {0x9b, 0x03, 0x00, 0x02, 0x07, 0xae, 0x31, 0x32, 0x37,
                                         0x2e, 0x30, 0x2e, 0x30, 0x2e, 0x31, 0x3a, 0x37, 0x30,
                                         0x30, 0x33, 0x01, 0xcd, 0x03, 0xe8, 0xce, 0x00, 0x10,
                                         0x00, 0x00, 0x55, 0xcc, 0xff, 0x2a};
static const struct swim_record example = {.member = 3,
                                           .incarnation = 2,
                                           .sequence = 7,
                                           .local = {.address = "127.0.0.1:7003",
                                                     .epoch = 1,
                                                     .operations = 1000,
                                                     .bytes = 1u << 20,
                                                     .leaders = 85,
                                                     .leaders_digest = 255,
                                                     .counter = 42}};
static const uint8_t example_packet[] = {0x98, 0x01, 0x01, 0x00, 0x05, 0x02, 0x01, 0x04,
                                         0x06, 0x95, 0x02, 0x03, 0x01, 0x02, 0x91, 0x01};

Test(swim_codec, the_example_of_the_document_is_what_is_written)
{
    uint8_t bytes[SWIM_RECORD_SIZE_MAX], before[sizeof example_record - 1];
    struct swim_record record;
    struct swim_item item = {.kind = SWIM_ITEM_STATEMENT,
                             .member = 3,
                             .standing = SWIM_SUSPECT,
                             .incarnation = 2,
                             .accusers = {1},
                             .accuser_count = 1};
    struct swim_packet packet = {.kind = SWIM_PING,
                                 .nonce = 5,
                                 .subject = 2,
                                 .standing = SWIM_SUSPECT,
                                 .incarnation = 4,
                                 .sequence = 6,
                                 .items = &item,
                                 .item_count = 1};
    struct wire_buffer buffer = {0};

    memcpy(before, example_record, sizeof before); /* by a program that tells no counter */
    before[0] = 0x9a;
    cr_assert_eq(swim_record_encode(&example, bytes), sizeof example_record);
    cr_assert_arr_eq(bytes, example_record, sizeof example_record);
    cr_assert_eq(swim_record_decode(before, sizeof before, &record), SWIM_CODEC_E_OK);
    cr_assert_eq(record.local.counter, 0);
    cr_assert_eq(swim_record_encode(&record, bytes), sizeof before);
    cr_assert_arr_eq(bytes, before, sizeof before);
    swim_put_packet(&buffer, &packet);
    cr_assert_eq(buffer.size, sizeof example_packet);
    cr_assert_arr_eq(buffer.data, example_packet, sizeof example_packet);
    wire_buffer_deinit(&buffer);
}

static void draw_item(struct dice *dice, struct swim_item *item, const uint8_t *bytes)
{
    *item = (struct swim_item){.kind = (uint8_t)(1 + dice_below(dice, 4))};
    if (item->kind == SWIM_ITEM_RECORD) {
        item->record_size = (uint16_t)(1 + dice_below(dice, SWIM_RECORD_SIZE_MAX));
        item->record = bytes;
        item->signature = bytes + SWIM_RECORD_SIZE_MAX;
        return;
    }
    item->member = (uint16_t)dice_number(dice, 16);
    if (item->kind == SWIM_ITEM_WANT)
        return;
    item->incarnation = dice_number(dice, 64);
    item->standing = (uint8_t)dice_below(dice, 4);
    if (item->kind == SWIM_ITEM_DIGEST) {
        item->sequence = dice_number(dice, 64);
        return;
    }
    item->standing = (uint8_t)(SWIM_SUSPECT + dice_below(dice, 2));
    item->accuser_count = (uint8_t)(1 + dice_below(dice, SWIM_ACCUSERS_MAX));
    for (uint8_t i = 0; i < item->accuser_count; i++)
        item->accusers[i] = (uint16_t)dice_number(dice, 16);
}

static bool same_item(const struct swim_item *a, const struct swim_item *b)
{
    if (a->kind != b->kind || a->member != b->member || a->standing != b->standing ||
        a->incarnation != b->incarnation || a->sequence != b->sequence ||
        a->accuser_count != b->accuser_count || a->record_size != b->record_size ||
        memcmp(a->accusers, b->accusers, sizeof a->accusers) != 0)
        return false;
    return a->record_size == 0 || (memcmp(a->record, b->record, a->record_size) == 0 &&
                                   memcmp(a->signature, b->signature, SWIM_SIGNATURE_SIZE) == 0);
}

Test(swim_codec, packets_come_back_as_they_were_and_are_no_larger_than_said)
{
    struct swim_item *items = calloc(SWIM_ITEMS_MAX, sizeof *items);
    uint8_t bytes[SWIM_RECORD_SIZE_MAX + SWIM_SIGNATURE_SIZE];
    struct wire_buffer buffer = {0};
    struct dice dice = {2};

    for (unsigned i = 0; i < CASES; i++) {
        struct swim_item drawn[8];
        struct swim_packet again, packet = {.kind = (uint8_t)(1 + dice_below(&dice, 6)),
                                            .standing = (uint8_t)dice_below(&dice, 4),
                                            .more = dice_below(&dice, 2) == 0,
                                            .nonce = (uint32_t)dice_number(&dice, 32),
                                            .subject = (uint16_t)dice_number(&dice, 16),
                                            .incarnation = dice_number(&dice, 64),
                                            .sequence = dice_number(&dice, 64),
                                            .items = drawn,
                                            .item_count = (uint32_t)dice_below(&dice, 9)};
        size_t said = SWIM_PACKET_OVERHEAD;

        dice_fill(&dice, bytes, sizeof bytes);
        for (uint32_t j = 0; j < packet.item_count; j++) {
            draw_item(&dice, &drawn[j], bytes);
            said += swim_item_size(&drawn[j]);
        }
        wire_buffer_clear(&buffer);
        swim_put_packet(&buffer, &packet);
        cr_assert_leq(buffer.size, said);
        cr_assert_eq(swim_get_packet(buffer.data, buffer.size, &again, items), SWIM_CODEC_E_OK,
                     "case %u", i);
        cr_assert_eq(again.kind, packet.kind);
        cr_assert_eq(again.standing, packet.standing);
        cr_assert_eq(again.more, packet.more);
        cr_assert_eq(again.nonce, packet.nonce);
        cr_assert_eq(again.subject, packet.subject);
        cr_assert_eq(again.incarnation, packet.incarnation);
        cr_assert_eq(again.sequence, packet.sequence);
        cr_assert_eq(again.item_count, packet.item_count);
        for (uint32_t j = 0; j < packet.item_count; j++)
            cr_assert(same_item(&drawn[j], &again.items[j]), "case %u, item %u", i, j);
    }
    wire_buffer_deinit(&buffer);
    free(items);
}

static int read_bytes(const uint8_t *bytes, size_t size, struct swim_packet *packet)
{
    static struct swim_item items[SWIM_ITEMS_MAX];

    return swim_get_packet(bytes, size, packet, items);
}

Test(swim_codec, items_and_fields_of_a_later_version_are_passed_over)
{
    static const uint8_t bytes[] = {0x99, 0x01, 0x02, 0x00, 0x05, 0x02,
                                    0x00, 0x04, 0x06, 0xa1, 'x', /* a ninth field of the head */
                                    0x93, 0x63, 0x01, 0xc0,      /* an item of kind 99 */
                                    0x93, 0x04, 0x07, 0xc3};     /* WANT with a third field */
    struct swim_packet packet;

    cr_assert_eq(read_bytes(bytes, sizeof bytes, &packet), SWIM_CODEC_E_OK);
    cr_assert_eq(packet.kind, SWIM_PING_REQ);
    cr_assert_eq(packet.item_count, 1);
    cr_assert_eq(packet.items[0].kind, SWIM_ITEM_WANT);
    cr_assert_eq(packet.items[0].member, 7);
}

/* A later version's record has more fields: passed on, and read as far as it is known. */
Test(swim_codec, a_record_with_more_fields_is_read)
{
    uint8_t bytes[sizeof example_record + 1];
    struct swim_record record;

    memcpy(bytes, example_record, sizeof example_record);
    bytes[0] = 0x9c;
    bytes[sizeof example_record] = 0x2a;
    cr_assert_eq(swim_record_decode(bytes, sizeof bytes, &record), SWIM_CODEC_E_OK);
    cr_assert(same_record(&record, &example));
}

Test(swim_codec, what_breaks_a_rule_is_refused)
{
    static const struct {
        const char *what;
        uint8_t bytes[24];
        size_t size;
    } cases[] = {
        {"nothing", {0}, 0},
        {"another version", {0x98, 2, 1, 0, 5, 2, 0, 4, 6}, 9},
        {"kind 0", {0x98, 1, 0, 0, 5, 2, 0, 4, 6}, 9},
        {"kind 7", {0x98, 1, 7, 0, 5, 2, 0, 4, 6}, 9},
        {"standing 4", {0x98, 1, 1, 0, 5, 2, 4, 4, 6}, 9},
        {"a head too short", {0x97, 1, 1, 0, 5, 2, 0, 4}, 8},
        {"no accuser", {0x98, 1, 1, 0, 5, 2, 0, 4, 6, 0x95, 2, 3, 1, 2, 0x90}, 15},
        {"five accusers",
         {0x98, 1, 1, 0, 5, 2, 0, 4, 6, 0x95, 2, 3, 1, 2, 0x95, 1, 2, 3, 4, 5},
         20},
        {"a statement that one is alive",
         {0x98, 1, 1, 0, 5, 2, 0, 4, 6, 0x95, 2, 3, 0, 2, 0x91, 1},
         16},
        {"a signature too short",
         {0x98, 1, 1, 0, 5, 2, 0, 4, 6, 0x93, 1, 0xc4, 1, 9, 0xc4, 1, 9},
         17},
        {"bytes that are no item", {0x98, 1, 1, 0, 5, 2, 0, 4, 6, 0x01}, 10},
    };
    struct swim_packet packet;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert_eq(read_bytes(cases[i].bytes, cases[i].size, &packet), SWIM_CODEC_E_MALFORMED,
                     "%s", cases[i].what);
}

Test(swim_codec, a_record_of_nobody_or_with_a_bad_address_is_refused)
{
    uint8_t bytes[sizeof example_record];
    struct swim_record record;

    for (size_t i = 0; i < 4; i++) {
        static const struct {
            size_t at;
            uint8_t value;
        } faults[] = {
            {1, 0} /* member 0 */, {3, 0} /* incarnation 0 */, {8, 0x1b} /* an escape */, {8, ' '}};

        memcpy(bytes, example_record, sizeof bytes);
        bytes[faults[i].at] = faults[i].value;
        cr_assert_eq(swim_record_decode(bytes, sizeof bytes, &record), SWIM_CODEC_E_MALFORMED,
                     "fault %zu", i);
    }
}

Test(swim_codec, more_items_than_allowed_are_refused)
{
    struct wire_buffer buffer = {0};
    struct swim_packet packet;

    wire_put_raw(&buffer, example_packet, 9);
    for (uint32_t i = 0; i <= SWIM_ITEMS_MAX; i++) {
        if (i == SWIM_ITEMS_MAX)
            cr_assert_eq(read_bytes(buffer.data, buffer.size, &packet), SWIM_CODEC_E_OK);
        wire_put_raw(&buffer, (const uint8_t[]){0x92, 0x04, 0x07}, 3);
    }
    cr_assert_eq(read_bytes(buffer.data, buffer.size, &packet), SWIM_CODEC_E_MALFORMED);
    wire_buffer_deinit(&buffer);
}

/* A number that no disk can hold: the record is malformed, whoever signed it. */
Test(swim_codec, huge_counters_are_refused)
{
    uint8_t bytes[SWIM_RECORD_SIZE_MAX];
    struct swim_record record = example;
    size_t size;

    record.local.counter = SWIM_COUNTER_END - 1;
    size = swim_record_encode(&record, bytes);
    cr_assert_eq(swim_record_decode(bytes, size, &record), SWIM_CODEC_E_OK);
    record.local.counter = SWIM_COUNTER_END;
    size = swim_record_encode(&record, bytes);
    cr_assert_eq(swim_record_decode(bytes, size, &record), SWIM_CODEC_E_MALFORMED);
}
