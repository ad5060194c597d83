#include "bench/micro.h"
#include "ring/hash.h"
#include "ring/seal.h"
#include "ring/wire.h"
#include "storage/record.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KEY_SIZE    16u
#define VALUE_SIZE  100u
#define PACKET_MAX  65536u
#define OPS_A_FRAME 50u

struct context {
    struct wire_buffer buffer;
    struct wire_bytes args[2];
    struct wire_bytes got[WIRE_ARGS_MAX];
    uint8_t key[KEY_SIZE], value[VALUE_SIZE], secret[HASH_KEY_SIZE];
    uint8_t record_bytes[512];
    struct record record;
    struct seal_sender sender;
    struct seal_receiver receiver;
    uint8_t seal_key[SEAL_KEY_SIZE], seal_header[SEAL_HEADER_SIZE];
    uint8_t packet[PACKET_MAX + SEAL_PACKET_OVERHEAD];
    size_t plain_size;
    enum seal_cipher cipher;
};

static void run_hash(void *argument, uint64_t count)
{
    struct context *context = argument;
    struct hash_digest digest;

    for (uint64_t i = 0; i < count; i++) {
        memcpy(context->key, &i, sizeof i);
        hash_partition(context->secret, 256, context->key, KEY_SIZE, &digest);
        micro_keep(&digest);
    }
}

static void put_ops(struct context *context, uint64_t count)
{
    struct wire_op op = {
        .operation = WIRE_OP_SET, .partition = 77, .lane_epoch = 3, .budget_ms = 9000};

    wire_buffer_clear(&context->buffer);
    wire_put_ops_head(&context->buffer, 0x123456789abcdu);
    for (uint64_t i = 0; i < count; i++) {
        op.id = (uint32_t)i;
        op.sequence = 1000000 + i;
        op.floor = op.sequence - 20;
        op.arg_count = 2;
        wire_put_op(&context->buffer, &op, context->args);
    }
}

static void run_put_op(void *argument, uint64_t count)
{
    for (uint64_t i = 0; i < count; i += OPS_A_FRAME)
        put_ops(argument, OPS_A_FRAME);
}

static void run_get_op(void *argument, uint64_t count)
{
    struct context *context = argument;

    put_ops(context, OPS_A_FRAME);
    for (uint64_t i = 0; i < count; i += OPS_A_FRAME) {
        struct wire_cursor cursor;
        struct wire_op op;
        uint64_t session;

        wire_cursor_init(&cursor, context->buffer.data, context->buffer.size);
        wire_get_ops_head(&cursor, &session);
        while (!wire_cursor_done(&cursor))
            wire_get_op(&cursor, &op, context->got, WIRE_ARGS_MAX);
        assert(!cursor.failed);
    }
}

static void put_results(struct context *context)
{
    struct wire_result result = {.bytes = {context->value, VALUE_SIZE}};

    wire_buffer_clear(&context->buffer);
    for (uint32_t i = 0; i < OPS_A_FRAME; i++) {
        result.id = i;
        wire_put_result(&context->buffer, &result);
    }
}

static void run_put_result(void *argument, uint64_t count)
{
    for (uint64_t i = 0; i < count; i += OPS_A_FRAME)
        put_results(argument);
}

static void run_get_result(void *argument, uint64_t count)
{
    struct context *context = argument;

    put_results(context);
    for (uint64_t i = 0; i < count; i += OPS_A_FRAME) {
        struct wire_result result;
        struct wire_cursor cursor;

        wire_cursor_init(&cursor, context->buffer.data, context->buffer.size);
        while (!wire_cursor_done(&cursor))
            wire_get_result(&cursor, &result, context->got, WIRE_ARGS_MAX);
        assert(!cursor.failed);
    }
}

static void run_record_encode(void *argument, uint64_t count)
{
    struct context *context = argument;

    for (uint64_t i = 0; i < count; i++) {
        context->record.index = i + 1;
        record_encode(&context->record, context->record_bytes);
        micro_keep(context->record_bytes);
    }
}

static void run_record_decode(void *argument, uint64_t count)
{
    struct context *context = argument;
    struct record record;

    record_encode(&context->record, context->record_bytes);
    for (uint64_t i = 0; i < count; i++) {
        int r = record_decode(context->record_bytes, sizeof context->record_bytes, &record);

        assert(r == RECORD_E_OK);
        micro_keep(&record);
    }
}

static void prepare_seal(void *argument, uint64_t count)
{
    struct context *context = argument;

    (void)count;
    seal_sender_deinit(&context->sender);
    seal_receiver_deinit(&context->receiver);
    int r = seal_sender_init(&context->sender, context->cipher, context->seal_key, 0,
                             context->seal_header);
    assert(r == 0);
    r = seal_receiver_init(&context->receiver, context->cipher, context->seal_key,
                           context->seal_header);
    assert(r == 0);
}

static void run_seal(void *argument, uint64_t count)
{
    struct context *context = argument;

    for (uint64_t i = 0; i < count; i++)
        seal_packet(&context->sender, context->packet, context->plain_size, false);
}

static void run_seal_open(void *argument, uint64_t count)
{
    struct context *context = argument;

    for (uint64_t i = 0; i < count; i++) {
        size_t size = seal_packet(&context->sender, context->packet, context->plain_size, false);
        size_t plain_size;
        uint8_t *plain;
        int r = seal_open(&context->receiver, context->packet, size, &plain, &plain_size);

        assert(r == SEAL_E_OK);
    }
}

static void time_seals(const struct micro_options *options, struct context *context)
{
    static const size_t sizes[] = {100, 4096, PACKET_MAX};
    static const char *const names[] = {"100 B", "4 KiB", "64 KiB"};
    char seal[64], both[64];

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const char *cipher = seal_cipher_name(context->cipher);
        struct micro_case seals = {seal, run_seal, sizes[i], 0, prepare_seal};
        struct micro_case boths = {both, run_seal_open, sizes[i], 0, prepare_seal};

        snprintf(seal, sizeof seal, "seal %s, %s", names[i], cipher);
        snprintf(both, sizeof both, "seal, open %s, %s", names[i], cipher);
        context->plain_size = sizes[i];
        micro_time(options, &seals, context);
        micro_time(options, &boths, context);
    }
    seal_sender_deinit(&context->sender);
    seal_receiver_deinit(&context->receiver);
}

int micro_wire(const struct micro_options *options)
{
    static const struct micro_case cases[] = {
        {"hash a key of 16 B", run_hash, KEY_SIZE, 0, NULL},
        {"write a SET into a frame of 50", run_put_op, KEY_SIZE + VALUE_SIZE, 0, NULL},
        {"read a SET from a frame of 50", run_get_op, KEY_SIZE + VALUE_SIZE, 0, NULL},
        {"write a result of 100 B", run_put_result, VALUE_SIZE, 0, NULL},
        {"read a result of 100 B", run_get_result, VALUE_SIZE, 0, NULL},
        {"encode a record", run_record_encode, 0, 0, NULL},
        {"decode and check a record", run_record_decode, 0, 0, NULL},
    };
    static struct context context;

    if (sodium_init() < 0)
        return -EIO;
    context.args[0] = (struct wire_bytes){context.key, KEY_SIZE};
    context.args[1] = (struct wire_bytes){context.value, VALUE_SIZE};
    context.record = (struct record){.kind = RECORD_KIND_PUT,
                                     .flags = RECORD_FLAG_REQUEST,
                                     .term = 3,
                                     .sub_count = 1,
                                     .index = 1,
                                     .request = {1, 2, 1, 1},
                                     .key = context.key,
                                     .key_size = KEY_SIZE,
                                     .value = context.value,
                                     .value_size = VALUE_SIZE};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        micro_time(options, &cases[i], &context);
    for (unsigned i = 0; i < 2; i++) {
        context.cipher = i == 0 ? SEAL_CIPHER_STREAM : SEAL_CIPHER_GCM;
        time_seals(options, &context);
    }
    micro_figure(options, "a record of 16 + 100 B takes",
                 (double)record_size_padded(&context.record), "bytes");
    wire_buffer_deinit(&context.buffer);
    return 0;
}
