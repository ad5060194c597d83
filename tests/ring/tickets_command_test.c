#include "ring/tickets_command.h"

#include "tests/dice.h"

#include <criterion/criterion.h>
#include <sodium.h>

#include <string.h>

static struct tickets tickets;
static const uint8_t first_psk[TICKET_PSK_SIZE] = {1, 2, 3};
static const uint8_t second_psk[TICKET_PSK_SIZE] = {4, 5, 6};

static void setup(void)
{
    cr_assert(sodium_init() >= 0);
    tickets_init(&tickets, first_psk);
}
TestSuite(tickets_command, .init = setup);

static int apply(const struct tickets_command *command, uint64_t now_ms, uint32_t *id)
{
    int r = tickets_command_apply(&tickets, command, now_ms, id);

    tickets_check(&tickets);
    return r;
}

/* The command, and again: only the first changes something. */
static void once(const struct tickets_command *command, uint64_t now_ms)
{
    uint64_t before = tickets.version;
    uint32_t id;

    cr_assert_eq(apply(command, now_ms, &id), 0);
    cr_assert_eq(tickets.version, before + 1);
    cr_assert_eq(apply(command, now_ms + 5, &id), 0);
    cr_assert_eq(tickets.version, before + 1, "it was so already");
}

static struct tickets_command new_ticket(uint64_t name, uint32_t uses)
{
    return (struct tickets_command){
        .kind = TICKETS_NEW, .terms = {.name = name, .role = LINK_ROLE_ROUTER, .uses_max = uses}};
}

Test(tickets_command, the_same_command_makes_one_ticket)
{
    struct tickets_command a = new_ticket(77, 0), b = new_ticket(78, 0);
    uint32_t first, again, other;

    cr_assert_eq(apply(&a, 1, &first), 0);
    cr_assert_eq(apply(&b, 2, &other), 0);
    cr_assert_eq(apply(&a, 3, &again), 0);
    cr_assert_eq(first, again);
    cr_assert_neq(first, other);
    cr_assert_eq(tickets.count, 2);
    cr_assert_eq(tickets.version, 3);
}

Test(tickets_command, what_is_so_already_changes_nothing)
{
    struct tickets_command command = new_ticket(1, 0);

    once(&command, 10);
    once(&(struct tickets_command){.kind = TICKETS_REVOKE, .id = 1}, 20);
    command = (struct tickets_command){.kind = TICKETS_PREPARE};
    memcpy(command.psk, second_psk, sizeof second_psk);
    once(&command, 30);
    once(&(struct tickets_command){.kind = TICKETS_SWITCH, .generation = 2}, 40);
    cr_assert_eq(apply(&command, 41, &(uint32_t){0}), 0, "prepared and switched to meanwhile");
    once(&(struct tickets_command){.kind = TICKETS_RETIRE, .generation = 1}, 50);
    cr_assert_eq(apply(&(struct tickets_command){.kind = TICKETS_SWITCH, .generation = 2}, 51,
                       &(uint32_t){0}),
                 0);
    cr_assert_eq(tickets.version, 6);
}

Test(tickets_command, a_rotation_that_was_cancelled_can_begin_again)
{
    struct tickets_command prepare = {.kind = TICKETS_PREPARE};

    memcpy(prepare.psk, second_psk, sizeof second_psk);
    once(&prepare, 10);
    once(&(struct tickets_command){.kind = TICKETS_CANCEL, .generation = 2}, 20);
    once(&prepare, 30);
    once(&(struct tickets_command){.kind = TICKETS_SWITCH, .generation = 2}, 40);
    cr_assert_eq(tickets.phase, TICKETS_RETIRING);
}

Test(tickets_command, steps_of_another_rotation_are_refused)
{
    struct tickets_command prepare = {.kind = TICKETS_PREPARE}, other = prepare;
    uint32_t id;

    memcpy(prepare.psk, second_psk, sizeof second_psk);
    cr_assert_eq(apply(&prepare, 1, &id), 0);
    cr_assert_eq(apply(&other, 1, &id), TICKETS_E_PHASE, "another secret is on its way");
    cr_assert_eq(apply(&(struct tickets_command){.kind = TICKETS_SWITCH, .generation = 3}, 1, &id),
                 TICKETS_E_PHASE);
    cr_assert_eq(apply(&(struct tickets_command){.kind = TICKETS_RETIRE, .generation = 1}, 1, &id),
                 TICKETS_E_PHASE, "not switched yet");
    cr_assert_eq(apply(&(struct tickets_command){.kind = TICKETS_CANCEL, .generation = 1}, 1, &id),
                 TICKETS_E_PHASE);
    cr_assert_eq(apply(&(struct tickets_command){.kind = 99}, 1, &id), TICKETS_E_MALFORMED);
    cr_assert_eq(tickets.version, 2);
}

static struct tickets_command redeem(uint32_t id, uint32_t key)
{
    struct tickets_command command = {.kind = TICKETS_REDEEM, .id = id, .role = LINK_ROLE_ROUTER};

    memcpy(command.public_key, &key, sizeof key);
    return command;
}

Test(tickets_command, a_redeem_is_a_change_for_a_new_key_only)
{
    struct tickets_command free_one = new_ticket(1, 0), limited = new_ticket(2, 1);
    struct tickets_command first = redeem(2, 10), second = redeem(2, 11), any = redeem(1, 10);
    uint64_t version;
    uint32_t id;

    cr_assert_eq(apply(&free_one, 1, &id), 0);
    cr_assert_eq(apply(&limited, 1, &id), 0);
    version = tickets.version;
    cr_assert_eq(apply(&any, 2, &id), 0);
    cr_assert_eq(tickets.version, version, "its uses are not counted");
    once(&first, 3);
    cr_assert_eq(apply(&second, 4, &id), TICKETS_E_SPENT);
    cr_assert_eq(tickets.version, version + 1);
}

/* A use that pushes out as many keys as come in is a change all the same. */
Test(tickets_command, a_use_that_takes_another_s_place_is_a_change)
{
    struct tickets_command one = new_ticket(1, 1), many = new_ticket(2, TICKETS_HOLDERS_MAX);
    struct tickets_command last = redeem(2, 5000), early = redeem(1, 1);
    uint64_t version;
    uint32_t id;

    cr_assert_eq(apply(&one, 1, &id), 0);
    cr_assert_eq(apply(&many, 1, &id), 0);
    cr_assert_eq(apply(&early, 1, &id), 0);
    for (uint32_t key = 1; key < TICKETS_HOLDERS_MAX; key++) {
        struct tickets_command command = redeem(2, key);

        cr_assert_eq(apply(&command, 1, &id), 0);
    }
    cr_assert_eq(apply(&last, 1, &id), TICKETS_E_FULL);
    cr_assert_eq(apply(&(struct tickets_command){.kind = TICKETS_REVOKE, .id = 1}, 2, &id), 0);
    version = tickets.version;
    cr_assert_eq(apply(&last, 2, &id), 0);
    cr_assert_eq(tickets.holder_count, TICKETS_HOLDERS_MAX);
    cr_assert_eq(tickets.version, version + 1);
}

Test(tickets_command, tickets_are_made_and_ended_by_who_holds_the_secret)
{
    for (unsigned kind = 0; kind < 256; kind++) {
        struct tickets_command command = {.kind = (uint8_t)kind};
        bool known = kind >= TICKETS_LIST && kind <= TICKETS_CANCEL;

        cr_assert_eq(tickets_command_allowed(&command, 0), known && kind != TICKETS_REDEEM);
        cr_assert_eq(tickets_command_allowed(&command, 7), kind == TICKETS_LIST);
    }
}

static void any_command(struct dice *dice, struct tickets_command *command)
{
    memset(command, 0, sizeof *command);
    command->kind = (uint8_t)dice_below(dice, 256);
    command->terms.name = dice_number(dice, 64);
    command->terms.role = (uint8_t)dice_below(dice, 256);
    command->terms.ttl_ms = dice_number(dice, 64);
    command->terms.uses_max = (uint32_t)dice_number(dice, 32);
    command->id = (uint32_t)dice_number(dice, 32);
    command->generation = (uint32_t)dice_number(dice, 32);
    command->role = (uint8_t)dice_below(dice, 256);
    dice_fill(dice, command->public_key, sizeof command->public_key);
    dice_fill(dice, command->psk, sizeof command->psk);
}

static void any_reply(struct dice *dice, struct tickets_reply *reply)
{
    memset(reply, 0, sizeof *reply);
    reply->outcome = (uint8_t)dice_below(dice, 5);
    reply->code = (uint8_t)dice_below(dice, TICKETS_E_MALFORMED + 1);
    reply->version = dice_number(dice, 64);
    reply->phase = (uint8_t)dice_below(dice, TICKETS_RETIRING + 1);
    reply->offered = (uint32_t)dice_number(dice, 32);
    reply->other = (uint32_t)dice_number(dice, 32);
    reply->id = (uint32_t)dice_number(dice, 32);
    reply->has_psk = dice_below(dice, 2);
    if (reply->has_psk)
        dice_fill(dice, reply->psk, sizeof reply->psk);
    strcpy(reply->why, dice_below(dice, 2) ? "why not" : "");
    reply->count = (uint32_t)dice_below(dice, TICKETS_MAX + 1);
    for (uint32_t i = 0; i < reply->count; i++) {
        struct tickets_record *record = &reply->records[i];

        record->id = (uint32_t)dice_number(dice, 32);
        record->role = (uint8_t)(1 + dice_below(dice, 3));
        record->generation = (uint32_t)dice_number(dice, 32);
        record->uses_max = (uint32_t)dice_number(dice, 32);
        record->uses = (uint32_t)dice_number(dice, 32);
        record->created_ms = dice_number(dice, 64);
        record->expires_ms = dice_number(dice, 64);
        record->revoked_ms = dice_number(dice, 64);
    }
}

static void expect_same(const struct tickets_record *a, const struct tickets_record *b)
{
    cr_assert_eq(a->id, b->id);
    cr_assert_eq(a->role, b->role);
    cr_assert_eq(a->generation, b->generation);
    cr_assert_eq(a->uses_max, b->uses_max);
    cr_assert_eq(a->uses, b->uses);
    cr_assert_eq(a->created_ms, b->created_ms);
    cr_assert_eq(a->expires_ms, b->expires_ms);
    cr_assert_eq(a->revoked_ms, b->revoked_ms);
}

Test(tickets_command, bodies_come_back_and_no_part_of_one_passes)
{
    struct tickets_command command, command_read;
    static struct tickets_reply reply, reply_read;
    struct wire_cursor cursor;

    for (uint64_t seed = 0; seed < 200; seed++) {
        struct wire_buffer body = {0};
        struct dice dice = {seed};

        any_command(&dice, &command);
        tickets_command_put(&body, &command);
        for (size_t size = 0; size < body.size; size++) {
            wire_cursor_init(&cursor, body.data, size);
            cr_assert_not(tickets_command_get(&cursor, &command_read), "cut at %zu", size);
        }
        wire_cursor_init(&cursor, body.data, body.size);
        cr_assert(tickets_command_get(&cursor, &command_read));
        wire_buffer_clear(&body);
        tickets_command_put(&body, &command_read);
        wire_cursor_init(&cursor, body.data, body.size);
        cr_assert(tickets_command_get(&cursor, &command_read));
        cr_assert_eq(memcmp(command_read.psk, command.psk, sizeof command.psk), 0);
        cr_assert_eq(command_read.terms.ttl_ms, command.terms.ttl_ms);
        cr_assert_eq(command_read.terms.name, command.terms.name);
        cr_assert_eq(command_read.generation, command.generation);
        wire_buffer_clear(&body);
        any_reply(&dice, &reply);
        tickets_reply_put(&body, &reply);
        wire_cursor_init(&cursor, body.data, body.size);
        cr_assert(tickets_reply_get(&cursor, &reply_read));
        cr_assert_eq(reply_read.count, reply.count);
        cr_assert_eq(reply_read.has_psk, reply.has_psk);
        cr_assert_eq(memcmp(reply_read.psk, reply.psk, sizeof reply.psk), 0);
        for (uint32_t i = 0; i < reply.count; i++)
            expect_same(&reply_read.records[i], &reply.records[i]);
        cr_assert_str_eq(reply_read.why, reply.why);
        cr_assert_eq(reply_read.version, reply.version);
        cr_assert_eq(reply_read.other, reply.other);
        wire_cursor_init(&cursor, body.data, body.size - 1);
        cr_assert_not(tickets_reply_get(&cursor, &reply_read));
        wire_buffer_deinit(&body);
    }
}

Test(tickets_command, a_reason_that_would_steer_a_terminal_is_refused)
{
    static struct tickets_reply reply = {.outcome = WIRE_MAP_REFUSED, .why = "no\033[2J"}, read;
    struct wire_buffer body = {0};
    struct wire_cursor cursor;

    tickets_reply_put(&body, &reply);
    wire_cursor_init(&cursor, body.data, body.size);
    cr_assert_not(tickets_reply_get(&cursor, &read));
    wire_buffer_deinit(&body);
}

Test(tickets_command, the_list_tells_no_names_and_no_secret)
{
    struct tickets_command command = new_ticket(0x123456789abcdefull, 0);
    static struct tickets_reply reply, read;
    struct wire_buffer body = {0};
    struct wire_cursor cursor;
    uint32_t id;

    cr_assert_eq(apply(&command, 1, &id), 0);
    tickets_reply_init(&reply, &tickets);
    tickets_reply_put(&body, &reply);
    for (size_t at = 0; at + 8 < body.size; at++) {
        cr_assert_neq(memcmp(body.data + at, first_psk, 8), 0);
        cr_assert_neq(memcmp(body.data + at, "\x01\x23\x45\x67\x89\xab\xcd\xef", 8), 0);
    }
    wire_cursor_init(&cursor, body.data, body.size);
    cr_assert(tickets_reply_get(&cursor, &read));
    cr_assert_eq(read.count, 1);
    cr_assert_eq(read.records[0].id, id);
    wire_buffer_deinit(&body);
}
