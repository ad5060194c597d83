#include "tests/sim/sim_tickets.h"

#include "ring/wire.h"
#include "tests/sim/sim_cluster.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define KNOCKS_MAX 20u

static struct sim_random *random_of(const struct sim_tickets *tickets)
{
    return sim_stream(tickets->cluster->sim, SIM_STREAM_TICKETS);
}

static uint32_t below(const struct sim_tickets *tickets, uint32_t bound)
{
    return (uint32_t)sim_random_below(random_of(tickets), bound);
}

void sim_tickets_secret(const struct sim_cluster *cluster, uint8_t secret[TICKET_PSK_SIZE])
{
    memset(secret, 0, TICKET_PSK_SIZE);
    memcpy(secret, &cluster->sim->seed, sizeof cluster->sim->seed);
}

void sim_tickets_key(uint32_t id, uint32_t number, uint8_t key[TICKETS_KEY_SIZE])
{
    memset(key, 0, TICKETS_KEY_SIZE);
    key[0] = (uint8_t)id;
    key[1] = (uint8_t)number;
    key[2] = 'k';
}

/* --- those who come ------------------------------------------------------------------------ */

/* Number of the ticket made << 16, of the key << 8, and knocks so far. */
static void run_knock(void *context, uint64_t argument);

static void knock_later(struct sim_tickets *tickets, uint64_t argument)
{
    uint64_t wait_us = sim_random_between(random_of(tickets), 20 * SIM_MS, 500 * SIM_MS);
    sim_after(tickets->cluster->sim, wait_us, run_knock, tickets, argument);
}

static void redeem(struct sim_node *node, uint32_t id, uint8_t role,
                   const uint8_t key[TICKETS_KEY_SIZE])
{
    struct tickets_command command = {.kind = TICKETS_REDEEM, .id = id, .role = role};
    memcpy(command.public_key, key, sizeof command.public_key);
    sim_node_redeem(node, &command);
}

/* As loop_tickets_refuse(). True: it comes again. */
static bool knock(struct sim_tickets *tickets, struct sim_node *node, uint32_t id, uint8_t role,
                  const uint8_t key[TICKETS_KEY_SIZE])
{
    struct sim_observer *observer = &tickets->cluster->observer;
    uint64_t now_us = tickets->cluster->sim->now_us;
    const struct tickets *known;
    int code;
    if (node->state != SIM_UP || !(known = node_tickets(node->node)))
        return true;
    code = tickets_may(known, id, role, key, sim_clock_wall_ms(&node->clock, now_us));
    if (code == 0 && !tickets_redeemed(known, id, key)) {
        redeem(node, id, role, key);
        return true;
    }
    sim_trace(tickets->cluster->sim, 2, "ticket %u key %u at node %u: %s", id, key[1],
              node->endpoint, tickets_error_name(code));
    if (code == 0 && observer->on_enter)
        observer->on_enter(observer->context, node, id, key);
    tickets->entered += code == 0;
    tickets->refused += code != 0;
    /* It may be that this node has yet to hear of the ticket. */
    return code == TICKETS_E_UNKNOWN;
}

static void run_knock(void *context, uint64_t argument)
{
    struct sim_tickets *tickets = context;
    struct sim_cluster *cluster = tickets->cluster;
    uint8_t endpoint = (uint8_t)(1 + below(tickets, cluster->node_count));
    uint32_t at = (uint32_t)(argument >> 16), id = tickets->made[at].id;
    uint8_t key[TICKETS_KEY_SIZE];
    sim_tickets_key(id, argument >> 8 & 0xff, key);
    if (knock(tickets, sim_cluster_node(cluster, endpoint), id, tickets->made[at].role, key) &&
        (argument & 0xff) < KNOCKS_MAX)
        knock_later(tickets, argument + 1);
}

/* --- the admin ----------------------------------------------------------------------------- */

static void send(struct sim_tickets *tickets, uint32_t number)
{
    struct sim_cluster *cluster = tickets->cluster;
    struct wire_buffer body = {0};
    tickets_command_put(&body, &tickets->commands[number].command);
    struct link_message message = {.type = WIRE_TICKET_COMMAND,
                                   .partition = WIRE_PARTITION_NODE,
                                   .correlation = SIM_TICKETS_CORRELATION + number,
                                   .body = body.data,
                                   .body_size = body.size};
    assert(!body.failed);
    sim_net_send(cluster->net, 0, (uint8_t)(1 + below(tickets, cluster->node_count)), true, 0,
                 &message);
    wire_buffer_deinit(&body);
}

static struct tickets_command rotation(const struct sim_tickets *tickets)
{
    struct tickets_command command = {.kind = TICKETS_RETIRE, .generation = tickets->other};
    if (tickets->phase == TICKETS_PREPARED)
        command.kind = below(tickets, 4) ? TICKETS_SWITCH : TICKETS_CANCEL;
    if (tickets->phase != TICKETS_STEADY)
        return command;
    command.kind = TICKETS_PREPARE;
    command.generation = 0;
    for (size_t i = 0; i < sizeof command.psk; i++)
        command.psk[i] = (uint8_t)sim_random_next(random_of(tickets));
    return command;
}

static struct tickets_command new_ticket(const struct sim_tickets *tickets)
{
    struct tickets_command command = {.kind = TICKETS_NEW};
    command.terms.name = sim_random_next(random_of(tickets));
    command.terms.role = (uint8_t)(LINK_ROLE_NODE + below(tickets, 3));
    command.terms.uses_max = below(tickets, 4);
    command.terms.ttl_ms = below(tickets, 3) ? 0 : 500 + below(tickets, 5000);
    return command;
}

static void ask(struct sim_tickets *tickets)
{
    struct tickets_command command = {.kind = TICKETS_REVOKE};
    uint32_t draw = below(tickets, 10);
    if (tickets->command_count == SIM_TICKETS_COMMANDS)
        return;
    if (draw == 0)
        command = rotation(tickets);
    else if (draw < 4 && tickets->made_count > 0)
        command.id = tickets->made[below(tickets, tickets->made_count)].id;
    else
        command = new_ticket(tickets);
    tickets->commands[tickets->command_count++].command = command;
    send(tickets, tickets->command_count - 1);
    if (below(tickets, 3) == 0)
        send(tickets, tickets->command_count - 1);
}

/* One that was answered may come again too: a copy of it was on its way. */
static void ask_again(struct sim_tickets *tickets)
{
    uint32_t number = below(tickets, tickets->command_count);
    if (tickets->commands[number].answered && below(tickets, 4))
        return;
    tickets->asked_again++;
    send(tickets, number);
}

static void run_ask(void *context, uint64_t argument)
{
    struct sim_tickets *tickets = context;
    uint64_t mean_us = tickets->cluster->sim->swarm.tickets_ms * SIM_MS;
    (void)argument;
    if (tickets->cluster->healing)
        return;
    if (tickets->command_count == 0 || below(tickets, 2))
        ask(tickets);
    else
        ask_again(tickets);
    if (tickets->made_count > 0)
        knock_later(tickets, (uint64_t)below(tickets, tickets->made_count) << 16 |
                                 below(tickets, SIM_TICKETS_KEYS) << 8);
    sim_after(tickets->cluster->sim,
              sim_random_between(random_of(tickets), mean_us / 2, 2 * mean_us), run_ask, tickets,
              0);
}

void sim_tickets_start(struct sim_tickets *tickets, struct sim_cluster *cluster)
{
    tickets->cluster = cluster;
    sim_after(cluster->sim, 0, run_ask, tickets, 0);
}

static void note_made(struct sim_tickets *tickets, const struct tickets_command *command,
                      uint32_t id)
{
    for (uint32_t i = 0; i < tickets->made_count; i++)
        if (tickets->made[i].id == id)
            return;
    if (tickets->made_count == SIM_TICKETS_MAX)
        return;
    tickets->made[tickets->made_count].id = id;
    tickets->made[tickets->made_count++].role = command->terms.role;
}

void sim_tickets_reply(struct sim_tickets *tickets, const struct link_message *message)
{
    struct tickets_reply reply;
    struct wire_cursor cursor;
    uint64_t number = message->correlation - SIM_TICKETS_CORRELATION;
    wire_cursor_init(&cursor, message->body, message->body_size);
    if (!tickets_reply_get(&cursor, &reply) || number >= tickets->command_count) {
        sim_fail(tickets->cluster->sim, "an answer about tickets is none");
        return;
    }
    const struct tickets_command *command = &tickets->commands[number].command;
    struct sim_observer *observer = &tickets->cluster->observer;
    sim_trace(tickets->cluster->sim, 1,
              "admin: ticket command %" PRIu64 " of kind %u ends with %u %s, version %" PRIu64,
              number, command->kind, reply.outcome, reply.why, reply.version);
    tickets->commands[number].answered |= reply.outcome != WIRE_MAP_AGAIN;
    if (reply.version > tickets->version) {
        tickets->version = reply.version;
        tickets->phase = reply.phase;
        tickets->other = reply.other;
    }
    if (reply.outcome != WIRE_MAP_DONE)
        return;
    if (reply.version > tickets->confirmed)
        tickets->confirmed = reply.version;
    if (command->kind == TICKETS_NEW)
        note_made(tickets, command, reply.id);
    if (observer->on_tickets)
        observer->on_tickets(observer->context, command, &reply);
}
