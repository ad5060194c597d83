/* A gossip packet: what is accepted reads the same when it is written again, and no packet brings a
 * core into a state that its check refuses. */
#include "fuzz.h"

#include "ring/swim.h"

#include <stdlib.h>
#include <string.h>

#define MEMBERS 5u

static struct swim_item items[SWIM_ITEMS_MAX], again_items[SWIM_ITEMS_MAX];
static struct swim_effects effects;

static void check_again(const struct swim_packet *packet)
{
    struct wire_buffer first = {0}, second = {0};
    struct swim_packet again;

    swim_put_packet(&first, packet);
    if (first.failed ||
        swim_get_packet(first.data, first.size, &again, again_items) != SWIM_CODEC_E_OK ||
        again.item_count != packet->item_count)
        abort();
    swim_put_packet(&second, &again);
    if (second.failed || second.size != first.size ||
        memcmp(first.data, second.data, first.size) != 0)
        abort();
    wire_buffer_deinit(&first);
    wire_buffer_deinit(&second);
}

/* The signature is not what is looked for here. */
static void sign(const void *context, const uint8_t *bytes, size_t size,
                 uint8_t signature[SWIM_SIGNATURE_SIZE])
{
    (void)context;
    memset(signature, bytes[size - 1], SWIM_SIGNATURE_SIZE);
}

static bool verify(const void *context, const uint8_t public_key[RINGMAP_KEY_SIZE],
                   const uint8_t *bytes, size_t size, const uint8_t signature[SWIM_SIGNATURE_SIZE])
{
    (void)context;
    (void)public_key;
    (void)bytes;
    (void)size;
    return signature[0] % 8 != 7;
}

static void open_core(struct swim *swim)
{
    static const uint8_t key[RINGMAP_KEY_SIZE];
    struct swim_map_member members[MEMBERS];
    struct swim_local local = {.address = "10.0.0.1:7000", .epoch = 1};
    struct swim_options options;

    swim_options_default(&options);
    options.self = 1;
    options.members_max = MEMBERS;
    options.signer = (struct swim_signer){.sign = sign, .verify = verify};
    for (uint16_t i = 0; i < MEMBERS; i++)
        members[i] =
            (struct swim_map_member){.id = (uint16_t)(i + 1), .joining = i == 3, .public_key = key};
    if (swim_init(swim, &options) != 0)
        abort();
    swim_step(swim,
              &(struct swim_event){.kind = SWIM_EVENT_MAP,
                                   .now_ms = 1000,
                                   .random = 1,
                                   .epoch = 1,
                                   .members = members,
                                   .member_count = MEMBERS},
              &effects);
    swim_step(swim,
              &(struct swim_event){
                  .kind = SWIM_EVENT_LOCAL, .now_ms = 1000, .random = 2, .local = &local},
              &effects);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct swim_packet packet;
    struct swim swim;

    if (swim_get_packet(data, size, &packet, items) != SWIM_CODEC_E_OK)
        return 0;
    check_again(&packet);
    open_core(&swim);
    for (uint64_t i = 0; i < 6; i++) {
        swim_step(&swim,
                  &(struct swim_event){.kind = SWIM_EVENT_PACKET,
                                       .now_ms = 1000 + 100 * i,
                                       .random = i,
                                       .from = (uint16_t)(2 + i % 3),
                                       .packet = &packet},
                  &effects);
        swim_check(&swim);
        for (uint32_t j = 0; j < effects.send_count; j++)
            check_again(&effects.sends[j].packet);
        swim_step(
            &swim,
            &(struct swim_event){.kind = SWIM_EVENT_TICK, .now_ms = 1000 + 100 * i, .random = i},
            &effects);
        swim_check(&swim);
    }
    swim_deinit(&swim);
    return 0;
}

static void draw_item(struct dice *dice, struct swim_item *item, uint8_t *record,
                      const uint8_t *signature)
{
    struct swim_record drawn = {.member = (uint16_t)(1 + dice_below(dice, MEMBERS)),
                                .left = dice_below(dice, 8) == 0,
                                .incarnation = 1 + dice_number(dice, 12),
                                .sequence = dice_number(dice, 12),
                                .local = {.address = "10.0.0.9:1", .epoch = dice_number(dice, 3)}};

    *item = (struct swim_item){.kind = (uint8_t)(1 + dice_below(dice, 4)),
                               .member = drawn.member,
                               .standing = (uint8_t)(SWIM_SUSPECT + dice_below(dice, 2)),
                               .incarnation = dice_below(dice, 3),
                               .sequence = drawn.sequence,
                               .accusers = {2, 3},
                               .accuser_count = (uint8_t)(1 + dice_below(dice, 2))};
    if (item->kind != SWIM_ITEM_RECORD)
        return;
    item->record = record;
    item->record_size = (uint16_t)swim_record_encode(&drawn, record);
    item->signature = signature;
}

size_t fuzz_seed(struct dice *dice, uint8_t *out)
{
    static uint8_t records[16][SWIM_RECORD_SIZE_MAX];
    struct swim_packet packet = {.kind = (uint8_t)(1 + dice_below(dice, 6)),
                                 .standing = (uint8_t)dice_below(dice, 3),
                                 .nonce = (uint32_t)dice_number(dice, 32),
                                 .subject = (uint16_t)(1 + dice_below(dice, MEMBERS)),
                                 .incarnation = dice_below(dice, 3),
                                 .sequence = dice_number(dice, 40),
                                 .items = items,
                                 .item_count = (uint32_t)dice_below(dice, 17)};
    uint8_t signature[SWIM_SIGNATURE_SIZE];
    struct wire_buffer buffer = {0};
    size_t size;

    memset(signature, (int)dice_below(dice, 256), sizeof signature);
    for (uint32_t i = 0; i < packet.item_count; i++)
        draw_item(dice, &items[i], records[i], signature);
    swim_put_packet(&buffer, &packet);
    if (buffer.failed || buffer.size > FUZZ_INPUT_SIZE_MAX)
        abort();
    memcpy(out, buffer.data, buffer.size);
    size = buffer.size;
    wire_buffer_deinit(&buffer);
    return size;
}
