#include "replication/node_internal.h"

#include "storage/mutant.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define TELL_AGAIN_MS  1000u  /* one member after the other: what it was told may have been lost */
#define COMMAND_MS_MAX 10000u /* then the admin is told that nobody took it */

/* --- the newest registry ------------------------------------------------------------------- */

static int read_newest(struct node_tickets *tickets, struct vfs *vfs)
{
    struct node_file file;
    int r = node_file_read(vfs, &node_file_tickets, &file);

    if (r != 0)
        return r;
    r = tickets_decode(file.blob, file.size, &tickets->newest);
    sodium_memzero(file.blob, file.size);
    free(file.blob);
    tickets->known = r == 0;
    return r == 0 ? 0 : -EBADMSG;
}

/* A damaged one costs no more than a missing one, if the node's ticket opens the cluster still. */
static int set_aside(struct node *node)
{
    int r = vfs_rename(node->vfs, node_file_tickets.name, NODE_TICKETS_BAD);

    if (r == 0)
        r = vfs_sync_dir(node->vfs, ".");
    node->tickets.damaged = r == 0;
    return r;
}

int node_tickets_read(struct node *node)
{
    int r = node->founding == FOUNDING_COMMITTED ? read_newest(&node->tickets, node->vfs) : -ENOENT;

    if (r == -EBADMSG)
        r = set_aside(node);
    if (r != 0 && r != -ENOENT)
        return r;
    if (!node->tickets.known && node->options.has_secret) {
        tickets_init(&node->tickets.newest, node->options.secret);
        node->tickets.known = true;
    }
    return 0;
}

static void drop_change(struct node_tickets *tickets)
{
    if (tickets->change)
        sodium_memzero(tickets->change, tickets->change_size);
    free(tickets->change);
    tickets->change = NULL;
}

void node_tickets_free(struct node *node)
{
    drop_change(&node->tickets);
    sodium_memzero(&node->tickets, sizeof node->tickets);
}

const struct tickets *node_tickets(const struct node *node)
{
    return node->tickets.known ? &node->tickets.newest : NULL;
}

bool node_tickets_damaged(const struct node *node)
{
    return node->tickets.damaged;
}

/* It is on the disk before anything goes by it. A full disk: it is asked for again. */
static void take(struct node *node, const uint8_t *bytes, size_t size, struct node_effects *effects)
{
    struct node_file file = {.blob = (uint8_t *)bytes, .size = size};
    struct node_tickets *tickets = &node->tickets;
    int r;

    if (tickets_decode(bytes, size, &tickets->next) != 0 ||
        (tickets->known && tickets_follows_problem(&tickets->next, &tickets->newest)))
        return;
    r = mutant(MUTANT_TICKETS_BEFORE_DISK) ? 0
                                           : node_file_write(node->vfs, &node_file_tickets, &file);
    if (r != 0) {
        effects->fatal = vfs_is_full(r) ? 0 : r;
        return;
    }
    tickets->newest = tickets->next;
    tickets->known = true;
    effects->tickets_changed = true;
}

static uint64_t version(const struct node_tickets *tickets)
{
    return tickets->known ? tickets->newest.version : 0;
}

static void want(struct node_tickets *tickets, uint64_t wanted, uint16_t from)
{
    if (wanted <= version(tickets))
        return;
    tickets->wanted_version = wanted;
    tickets->wanted_from = from;
}

static void give(struct node *node, const struct node_event *event, struct node_effects *effects)
{
    struct wire_buffer *reply;
    uint8_t *out;

    if (!node->tickets.known)
        return;
    reply = node_send(node, effects, event->from, WIRE_TICKETS, event->message->correlation);
    if (!reply)
        return;
    out = wire_put_bin_space(reply, tickets_encoded_size(&node->tickets.newest));
    if (out)
        tickets_encode(&node->tickets.newest, out);
}

/* They hold the secret: nobody gets it before a map has it take part. */
static bool takes_part(const struct node *node, uint16_t member)
{
    const struct ringmap_member *found = ringmap_member(node_map(node), member);

    return found && ringmap_takes_part(found->state);
}

/* Nobody has named a version to who has none: any member that is up is asked. */
static uint16_t whom_to_ask(struct node *node)
{
    const struct ringmap *map = node_map(node);

    if (!takes_part(node, node_member(node)))
        return 0;
    if (node->tickets.wanted_version > version(&node->tickets))
        return node->tickets.wanted_from;
    for (uint32_t i = 0; i < map->member_count && !node->tickets.known; i++) {
        uint16_t id = map->members[node->tickets.ask_turn++ % map->member_count].id;

        if (node->peers[id].up)
            return id;
    }
    return 0;
}

/* Our own shard 0, if it votes on the meta group, is asked like a peer. */
static void ask(struct node *node, struct node_effects *effects)
{
    struct shard_address to = {.role = LINK_ROLE_NODE};

    if (node->now_ms < node->tickets.ask_due_ms)
        return;
    to.member = whom_to_ask(node);
    if (to.member == 0 || !node_send(node, effects, to, WIRE_TICKETS_GET, 0))
        return;
    if (to.member == node_member(node))
        effects->sends[effects->send_count - 1].message.partition = WIRE_PARTITION_META;
    node->tickets.ask_due_ms = node->now_ms + node->options.ask_ms;
}

static void tell(struct node *node, struct node_effects *effects)
{
    const struct ringmap *map = node_map(node);
    struct node_tickets *tickets = &node->tickets;

    if (!tickets->known)
        return;
    if (node->now_ms >= tickets->tell_due_ms) {
        tickets->tell_due_ms = node->now_ms + TELL_AGAIN_MS;
        tickets->told[map->members[tickets->tell_turn++ % map->member_count].id] = 0;
    }
    for (uint32_t i = 0; i < map->member_count; i++) {
        struct shard_address to = {.role = LINK_ROLE_NODE, .member = map->members[i].id};
        struct wire_buffer *body;

        if (!node->peers[to.member].up || !takes_part(node, to.member) ||
            tickets->told[to.member] == version(tickets))
            continue;
        body = node_send(node, effects, to, WIRE_TICKETS_VERSION, 0);
        if (!body)
            return;
        wire_put_map_epoch(body, version(tickets));
        tickets->told[to.member] = version(tickets);
    }
}

void node_tickets_link(struct node *node, uint16_t member)
{
    node->tickets.told[member] = 0;
}

/* --- commands ------------------------------------------------------------------------------ */

/* NEW: the ticket's psk; of a rotation, once it is under way, the new secret. */
static void put_psk(const struct tickets *tickets, const struct tickets_command *command,
                    struct tickets_reply *reply)
{
    const struct tickets_secret *next =
        tickets->phase == TICKETS_PREPARED ? &tickets->other : &tickets->offered;

    if (command->kind == TICKETS_NEW) {
        reply->has_psk = tickets_psk(tickets, reply->id, reply->psk) == 0;
    } else if (command->kind == TICKETS_PREPARE || command->kind == TICKETS_SWITCH) {
        reply->has_psk = true;
        memcpy(reply->psk, next->psk, TICKET_PSK_SIZE);
    }
}

static void answer(struct node *node, struct node_effects *effects, struct shard_address to,
                   uint64_t correlation, const struct tickets_reply *reply)
{
    struct wire_buffer *body;

    if (to.role == 0)
        return;
    body = node_send(node, effects, to, WIRE_TICKET_COMMAND_REPLY, correlation);
    if (body)
        tickets_reply_put(body, reply);
}

/* The first in line has ended. why: may be NULL. */
static void end(struct node *node, struct node_effects *effects, uint8_t outcome, int code,
                uint32_t id, const char *why)
{
    struct node_tickets *tickets = &node->tickets;
    const struct node_ticket_command *first = &tickets->commands[0];
    struct tickets_reply reply = {0};

    if (tickets->known)
        tickets_reply_init(&reply, &tickets->newest);
    reply.outcome = outcome;
    reply.code = (uint8_t)code;
    reply.id = id;
    if (outcome == WIRE_MAP_DONE)
        put_psk(&tickets->newest, &first->command, &reply);
    snprintf(reply.why, sizeof reply.why, "%s", why ? why : tickets_error_name(code));
    answer(node, effects, first->from, first->correlation, &reply);
    sodium_memzero(&reply, sizeof reply);
    drop_change(tickets);
    tickets->command_count--;
    memmove(&tickets->commands[0], &tickets->commands[1],
            tickets->command_count * sizeof *tickets->commands);
}

static bool is_waiting(const struct node_tickets *tickets, const struct tickets_command *command)
{
    for (uint32_t i = 0; i < tickets->command_count; i++) {
        const struct tickets_command *other = &tickets->commands[i].command;

        if (other->kind == command->kind && other->id == command->id &&
            memcmp(other->public_key, command->public_key, TICKETS_KEY_SIZE) == 0)
            return true;
    }
    return false;
}

/* Keys that are new to a ticket, and admins by a ticket that ask for the list, come as often as
 * somebody likes: whoever may revoke that ticket finds a place beside them. */
static struct node_ticket_command *put_in_line(struct node *node,
                                               const struct tickets_command *command, bool owned)
{
    struct node_tickets *tickets = &node->tickets;
    struct node_ticket_command *last;
    uint32_t others = 0;

    for (uint32_t i = 0; i < tickets->command_count; i++)
        others += !tickets->commands[i].owned;
    if (tickets->command_count == NODE_TICKET_COMMANDS_MAX ||
        (!owned && others >= NODE_TICKET_OTHERS_MAX))
        return NULL;
    last = &tickets->commands[tickets->command_count++];
    *last = (struct node_ticket_command){
        .command = *command, .owned = owned, .until_ms = node->now_ms + COMMAND_MS_MAX};
    return last;
}

void node_tickets_redeem(struct node *node, const struct tickets_command *command)
{
    assert(command->kind == TICKETS_REDEEM);
    if (node->founding == FOUNDING_COMMITTED && !is_waiting(&node->tickets, command))
        (void)put_in_line(node, command, false);
}

static void begin(struct node *node, const struct node_event *event, struct node_effects *effects)
{
    struct tickets_reply refused = {.outcome = WIRE_MAP_REFUSED, .code = TICKETS_E_ROLE};
    struct node_ticket_command *last = NULL;
    struct tickets_command command;
    struct wire_cursor cursor;
    const char *why = NULL;

    wire_cursor_init(&cursor, event->message->body, event->message->body_size);
    if (!tickets_command_get(&cursor, &command))
        why = "the command does not decode";
    else if (event->from.role != LINK_ROLE_ADMIN)
        why = "only an admin may ask for tickets";
    else if (!tickets_command_allowed(&command, event->ticket))
        why = "an admin's ticket may see the list; to change it takes the founding ticket";
    else if (node->founding != FOUNDING_COMMITTED)
        why = "this node belongs to no founded cluster";
    else if (!(last = put_in_line(node, &command, event->ticket == 0)))
        why = "too many commands at a time";
    if (last) {
        last->from = event->from;
        last->correlation = event->message->correlation;
    } else {
        snprintf(refused.why, sizeof refused.why, "%s", why);
        answer(node, effects, event->from, event->message->correlation, &refused);
    }
    sodium_memzero(&command, sizeof command);
}

/* What came of it is on its way then. False: the first in line has been answered. */
static bool work_out(struct node *node, struct node_effects *effects)
{
    struct node_tickets *tickets = &node->tickets;
    uint32_t id;
    int r;

    tickets->next = tickets->newest;
    r = tickets_command_apply(&tickets->next, &tickets->commands[0].command, node->wall_ms, &id);
    if (r != 0 || tickets->next.version == tickets->newest.version) {
        end(node, effects, r == 0 ? WIRE_MAP_DONE : WIRE_MAP_REFUSED, r, id, NULL);
        return false;
    }
    tickets->change_size = tickets_encoded_size(&tickets->next);
    tickets->change = malloc(tickets->change_size);
    if (!tickets->change) {
        effects->fatal = -ENOMEM;
        return true;
    }
    tickets_encode(&tickets->next, tickets->change);
    tickets->attempt = (struct node_attempt){
        .name = node_attempt_name(tickets->change, tickets->change_size), .due_ms = node->now_ms};
    return true;
}

static void run(struct node *node, struct node_effects *effects)
{
    struct node_tickets *tickets = &node->tickets;

    while (tickets->command_count > 0 && effects->send_count < NODE_SENDS_MAX) {
        if (node->now_ms >= tickets->commands[0].until_ms) {
            end(node, effects, WIRE_MAP_AGAIN, 0, 0, "the meta group has no leader that answers");
            continue;
        }
        if (!tickets->known || version(tickets) < tickets->seen)
            return;
        if (!tickets->change && !work_out(node, effects))
            continue;
        if (tickets->change)
            node_attempt_send(node, effects, &tickets->attempt, WIRE_TICKETS_CHANGE,
                              tickets->change, tickets->change_size);
        return;
    }
}

/* Of what was worked out. Done: the command finds that it is so, or, with a full disk, waits. */
static void answered(struct node *node, const struct node_event *event,
                     struct node_effects *effects)
{
    struct node_tickets *tickets = &node->tickets;
    struct wire_map_reply reply;
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, event->message->body, event->message->body_size);
    if (!wire_get_map_reply(&cursor, &reply) || !tickets->change ||
        tickets->attempt.name != event->message->correlation)
        return;
    if (reply.outcome == WIRE_MAP_AGAIN) {
        node_attempt_again(node, &tickets->attempt, &reply);
        return;
    }
    if (reply.outcome == WIRE_MAP_REFUSED) {
        end(node, effects, WIRE_MAP_REFUSED, TICKETS_E_MALFORMED, 0, reply.why);
        return;
    }
    if (reply.outcome == WIRE_MAP_DONE)
        take(node, tickets->change, tickets->change_size, effects);
    tickets->seen = reply.epoch;
    want(tickets, reply.epoch, event->from.member);
    drop_change(tickets);
}

/* --- events -------------------------------------------------------------------------------- */

static void from_member(struct node *node, const struct node_event *event,
                        struct node_effects *effects)
{
    struct wire_cursor cursor;
    const uint8_t *bytes;
    uint64_t told;
    size_t size;

    wire_cursor_init(&cursor, event->message->body, event->message->body_size);
    switch (event->message->type) {
    case WIRE_TICKETS_VERSION:
        if (!wire_get_map_epoch(&cursor, &told))
            break;
        want(&node->tickets, told, event->from.member);
        if (told < version(&node->tickets))
            give(node, event, effects);
        break;
    case WIRE_TICKETS_GET:
        give(node, event, effects);
        break;
    case WIRE_TICKETS:
        bytes = wire_get_bin(&cursor, TICKETS_ENCODED_MAX, &size);
        if (!cursor.failed && bytes)
            take(node, bytes, size, effects);
        break;
    default:
        answered(node, event, effects);
        break;
    }
}

bool node_tickets_message(struct node *node, const struct node_event *event,
                          struct node_effects *effects)
{
    switch (event->message->type) {
    case WIRE_TICKET_COMMAND:
        begin(node, event, effects);
        return true;
    case WIRE_TICKETS_VERSION:
    case WIRE_TICKETS_GET:
    case WIRE_TICKETS:
    case WIRE_TICKETS_CHANGE_REPLY:
        if (node->founding == FOUNDING_COMMITTED && event->from.role == LINK_ROLE_NODE &&
            event->from.member != 0)
            from_member(node, event, effects);
        return true;
    default:
        return false;
    }
}

void node_tickets_due(struct node *node, struct node_effects *effects)
{
    run(node, effects);
    ask(node, effects);
    tell(node, effects);
}
