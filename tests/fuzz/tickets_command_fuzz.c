/* The bodies of TICKET_COMMAND and its reply, and what any command does to a registry. */
#include "fuzz.h"

#include "ring/tickets_command.h"

#include <stdlib.h>
#include <string.h>

static struct tickets tickets;
static struct tickets_reply reply;
static struct wire_buffer first, second;

/* What was read and written is read and written again as the same bytes. */
static void expect_stable(void (*write)(struct wire_buffer *), bool (*read)(struct wire_cursor *))
{
    struct wire_cursor cursor;

    wire_buffer_clear(&first);
    wire_buffer_clear(&second);
    write(&first);
    wire_cursor_init(&cursor, first.data, first.size);
    if (!read(&cursor))
        abort();
    write(&second);
    if (first.size != second.size || memcmp(first.data, second.data, first.size) != 0)
        abort();
}

static struct tickets_command command;

static void write_command(struct wire_buffer *out)
{
    tickets_command_put(out, &command);
}

static bool read_command(struct wire_cursor *cursor)
{
    return tickets_command_get(cursor, &command);
}

static void write_reply(struct wire_buffer *out)
{
    tickets_reply_put(out, &reply);
}

static bool read_reply(struct wire_cursor *cursor)
{
    return tickets_reply_get(cursor, &reply);
}

static void apply(void)
{
    static const uint8_t psk[TICKET_PSK_SIZE] = {1};
    uint64_t before;
    uint32_t id;

    tickets_init(&tickets, psk);
    for (uint8_t i = 0; i < 4; i++)
        (void)tickets_new(
            &tickets,
            &(struct tickets_terms){.name = i, .role = (uint8_t)(1 + i % 3), .uses_max = i % 2}, 5,
            &id);
    for (unsigned again = 0; again < 2; again++) {
        before = tickets.version;
        if (tickets_command_apply(&tickets, &command, 10, &id) != 0 && tickets.version != before)
            abort();
        if (again > 0 && tickets.version != before)
            abort();
        tickets_check(&tickets);
    }
    if (tickets_command_allowed(&command, 7) && command.kind != TICKETS_LIST)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, data, size);
    if (tickets_command_get(&cursor, &command)) {
        expect_stable(write_command, read_command);
        apply();
    }
    wire_cursor_init(&cursor, data, size);
    if (tickets_reply_get(&cursor, &reply))
        expect_stable(write_reply, read_reply);
    return 0;
}

size_t fuzz_seed(struct dice *dice, uint8_t *out)
{
    command = (struct tickets_command){.kind = (uint8_t)dice_below(dice, 10),
                                       .terms = {.name = dice_number(dice, 3),
                                                 .role = (uint8_t)dice_below(dice, 5),
                                                 .ttl_ms = dice_number(dice, 64),
                                                 .uses_max = (uint32_t)dice_below(dice, 3)},
                                       .id = (uint32_t)dice_below(dice, 6),
                                       .generation = (uint32_t)dice_below(dice, 4),
                                       .role = (uint8_t)dice_below(dice, 5)};
    dice_fill(dice, command.public_key, 4);
    dice_fill(dice, command.psk, 4);
    memset(&reply, 0, sizeof reply);
    reply.outcome = (uint8_t)dice_below(dice, 5);
    reply.has_psk = dice_below(dice, 2);
    reply.count = (uint32_t)dice_below(dice, 4);
    for (uint32_t i = 0; i < reply.count; i++)
        reply.records[i] = (struct tickets_record){.id = (uint32_t)dice_number(dice, 32),
                                                   .role = (uint8_t)(1 + dice_below(dice, 3)),
                                                   .created_ms = dice_number(dice, 64)};
    wire_buffer_clear(&first);
    if (dice_below(dice, 2))
        write_command(&first);
    else
        write_reply(&first);
    if (first.size > FUZZ_INPUT_SIZE_MAX)
        abort();
    memcpy(out, first.data, first.size);
    return first.size;
}
