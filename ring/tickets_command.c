#include "ring/tickets_command.h"

#include "ring/wire_fields.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

#define COMMAND_FIELDS 10u
#define REPLY_FIELDS   9u
#define RECORD_FIELDS  8u

static const struct tickets_record *find_name(const struct tickets *tickets, uint64_t name)
{
    for (uint32_t i = 0; i < tickets->count; i++)
        if (tickets->records[i].name == name)
            return &tickets->records[i];
    return NULL;
}

static bool is_secret(const struct tickets_secret *secret, const uint8_t psk[TICKET_PSK_SIZE])
{
    return secret->generation != 0 && sodium_memcmp(secret->psk, psk, TICKET_PSK_SIZE) == 0;
}

/* Whether it is so already, which a ticket or secret that has ended cannot make untrue. */
static bool is_done(const struct tickets *tickets, const struct tickets_command *command)
{
    const struct tickets_record *record = tickets_find(tickets, command->id);

    switch (command->kind) {
    case TICKETS_LIST:
        return true;
    case TICKETS_NEW:
        return find_name(tickets, command->terms.name) != NULL;
    case TICKETS_REVOKE:
        return record && record->revoked_ms != 0;
    case TICKETS_PREPARE:
        return is_secret(&tickets->offered, command->psk) ||
               is_secret(&tickets->other, command->psk);
    case TICKETS_SWITCH:
        return tickets->offered.generation == command->generation;
    case TICKETS_RETIRE:
        return tickets->phase == TICKETS_STEADY &&
               tickets->offered.generation == command->generation + UINT64_C(1);
    case TICKETS_CANCEL:
        return tickets->phase == TICKETS_STEADY &&
               tickets->offered.generation + UINT64_C(1) == command->generation;
    default:
        return false;
    }
}

static int redeem(struct tickets *tickets, const struct tickets_command *command, uint64_t now_ms,
                  bool *changed)
{
    const struct tickets_record *record = tickets_find(tickets, command->id);
    uint32_t before = record ? record->uses : 0;
    int r = tickets_redeem(tickets, command->id, command->role, command->public_key, now_ms);

    *changed = r == 0 && tickets_find(tickets, command->id)->uses != before;
    return r;
}

static int change(struct tickets *tickets, const struct tickets_command *command, uint64_t now_ms)
{
    bool next = tickets->other.generation == command->generation;
    uint32_t id;

    switch (command->kind) {
    case TICKETS_NEW:
        return tickets_new(tickets, &command->terms, now_ms, &id);
    case TICKETS_REVOKE:
        return tickets_revoke(tickets, command->id, now_ms);
    case TICKETS_PREPARE:
        return tickets_prepare(tickets, command->psk);
    case TICKETS_SWITCH:
        return next ? tickets_switch(tickets) : TICKETS_E_PHASE;
    case TICKETS_RETIRE:
        return next ? tickets_retire(tickets, now_ms) : TICKETS_E_PHASE;
    case TICKETS_CANCEL:
        return next ? tickets_cancel(tickets) : TICKETS_E_PHASE;
    default:
        return TICKETS_E_MALFORMED;
    }
}

int tickets_command_apply(struct tickets *tickets, const struct tickets_command *command,
                          uint64_t now_ms, uint32_t *id)
{
    bool changed = !is_done(tickets, command);
    int r = 0;

    *id = 0;
    if (command->kind == TICKETS_REDEEM)
        r = redeem(tickets, command, now_ms, &changed);
    else if (changed)
        r = change(tickets, command, now_ms);
    if (r != 0)
        return r;
    tickets->version += changed;
    if (command->kind == TICKETS_NEW)
        *id = find_name(tickets, command->terms.name)->id;
    return 0;
}

bool tickets_command_allowed(const struct tickets_command *command, uint32_t ticket)
{
    return command->kind == TICKETS_LIST ||
           (ticket == 0 && command->kind >= TICKETS_NEW && command->kind <= TICKETS_CANCEL &&
            command->kind != TICKETS_REDEEM);
}

/* Bodies */

/* Bytes of that size, or none: then *there is false and `out` stays. */
static void get_bytes(struct wire_cursor *cursor, uint8_t *out, size_t size, bool *there)
{
    size_t got = 0;
    const uint8_t *bytes = wire_get_bin(cursor, size, &got);

    *there = bytes && got == size;
    if (*there)
        memcpy(out, bytes, size);
    else if (got != 0)
        wire_refuse(cursor);
}

void tickets_command_put(struct wire_buffer *buffer, const struct tickets_command *command)
{
    wire_put_array(buffer, COMMAND_FIELDS);
    wire_put_uint(buffer, command->kind);
    wire_put_uint(buffer, command->terms.name);
    wire_put_uint(buffer, command->terms.role);
    wire_put_uint(buffer, command->terms.ttl_ms);
    wire_put_uint(buffer, command->terms.uses_max);
    wire_put_uint(buffer, command->id);
    wire_put_uint(buffer, command->generation);
    wire_put_uint(buffer, command->role);
    wire_put_bin(buffer, command->public_key, TICKETS_KEY_SIZE);
    wire_put_bin(buffer, command->psk, TICKET_PSK_SIZE);
}

bool tickets_command_get(struct wire_cursor *cursor, struct tickets_command *command)
{
    uint32_t unknown = wire_fields_open(cursor, COMMAND_FIELDS);
    bool there;

    *command = (struct tickets_command){.kind = wire_get_u8(cursor)};
    command->terms.name = wire_get_u64(cursor);
    command->terms.role = wire_get_u8(cursor);
    command->terms.ttl_ms = wire_get_u64(cursor);
    command->terms.uses_max = wire_get_u32(cursor);
    command->id = wire_get_u32(cursor);
    command->generation = wire_get_u32(cursor);
    command->role = wire_get_u8(cursor);
    get_bytes(cursor, command->public_key, TICKETS_KEY_SIZE, &there);
    get_bytes(cursor, command->psk, TICKET_PSK_SIZE, &there);
    return wire_fields_close(cursor, unknown);
}

void tickets_reply_init(struct tickets_reply *reply, const struct tickets *tickets)
{
    *reply = (struct tickets_reply){.version = tickets->version,
                                    .phase = tickets->phase,
                                    .offered = tickets->offered.generation,
                                    .other = tickets->other.generation,
                                    .count = tickets->count};
    memcpy(reply->records, tickets->records, tickets->count * sizeof *tickets->records);
}

static void put_record(struct wire_buffer *buffer, const struct tickets_record *record)
{
    wire_put_array(buffer, RECORD_FIELDS);
    wire_put_uint(buffer, record->id);
    wire_put_uint(buffer, record->role);
    wire_put_uint(buffer, record->generation);
    wire_put_uint(buffer, record->uses_max);
    wire_put_uint(buffer, record->uses);
    wire_put_uint(buffer, record->created_ms);
    wire_put_uint(buffer, record->expires_ms);
    wire_put_uint(buffer, record->revoked_ms);
}

static bool get_record(struct wire_cursor *cursor, struct tickets_record *record)
{
    uint32_t unknown = wire_fields_open(cursor, RECORD_FIELDS);

    *record = (struct tickets_record){.id = wire_get_u32(cursor)};
    record->role = wire_get_u8(cursor);
    record->generation = wire_get_u32(cursor);
    record->uses_max = wire_get_u32(cursor);
    record->uses = wire_get_u32(cursor);
    record->created_ms = wire_get_u64(cursor);
    record->expires_ms = wire_get_u64(cursor);
    record->revoked_ms = wire_get_u64(cursor);
    if (record->role < LINK_ROLE_NODE || record->role > LINK_ROLE_ADMIN)
        wire_refuse(cursor);
    return wire_fields_close(cursor, unknown);
}

void tickets_reply_put(struct wire_buffer *buffer, const struct tickets_reply *reply)
{
    assert(reply->count <= TICKETS_MAX);
    wire_put_array(buffer, REPLY_FIELDS);
    wire_put_uint(buffer, reply->outcome);
    wire_put_uint(buffer, reply->code);
    wire_put_uint(buffer, reply->version);
    wire_put_uint(buffer, reply->phase);
    wire_put_uint(buffer, reply->offered);
    wire_put_uint(buffer, reply->other);
    wire_put_uint(buffer, reply->id);
    wire_put_bin(buffer, reply->psk, reply->has_psk ? TICKET_PSK_SIZE : 0);
    wire_put_string(buffer, reply->why);
    for (uint32_t i = 0; i < reply->count; i++)
        put_record(buffer, &reply->records[i]);
}

bool tickets_reply_get(struct wire_cursor *cursor, struct tickets_reply *reply)
{
    uint32_t unknown = wire_fields_open(cursor, REPLY_FIELDS);

    *reply = (struct tickets_reply){.outcome = wire_get_u8(cursor)};
    reply->code = wire_get_u8(cursor);
    reply->version = wire_get_u64(cursor);
    reply->phase = wire_get_u8(cursor);
    reply->offered = wire_get_u32(cursor);
    reply->other = wire_get_u32(cursor);
    reply->id = wire_get_u32(cursor);
    get_bytes(cursor, reply->psk, TICKET_PSK_SIZE, &reply->has_psk);
    wire_get_text(cursor, reply->why, sizeof reply->why);
    if (reply->code > TICKETS_E_MALFORMED || reply->phase > TICKETS_RETIRING)
        wire_refuse(cursor);
    if (!wire_fields_close(cursor, unknown))
        return false;
    while (cursor->at != cursor->end && reply->count < TICKETS_MAX)
        if (!get_record(cursor, &reply->records[reply->count++]))
            return false;
    return cursor->at == cursor->end;
}
