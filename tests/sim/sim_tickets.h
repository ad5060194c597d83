/* Tickets: an admin who makes and revokes tickets and changes the cluster's secret, and those who
 * come with tickets, in seeds with swarm.tickets_ms.
 *
 * The admin sends each command to some node, and again to another one while no answer has come; at
 * times twice at once. Who comes knocks at some node, does what node_loop does there (a new key of
 * a limited ticket has its use committed first), and knocks again here or elsewhere until it is let
 * in or refused for good. Links themselves need no ticket here. */
#ifndef TESTS_SIM_SIM_TICKETS_H
#define TESTS_SIM_SIM_TICKETS_H

#include "ring/tickets_command.h"

#define SIM_TICKETS_MAX         24u
#define SIM_TICKETS_COMMANDS    64u
#define SIM_TICKETS_KEYS        5u /* that come with one ticket */
#define SIM_TICKETS_CORRELATION (UINT64_C(1) << 40)

struct link_message;
struct sim_cluster;
struct sim_node;

struct sim_tickets {
    struct sim_cluster *cluster;
    struct {
        struct tickets_command command;
        bool answered; /* for good: done or refused */
    } commands[SIM_TICKETS_COMMANDS];
    uint32_t command_count;
    uint32_t asked_again;
    struct {
        uint32_t id;
        uint8_t role;
    } made[SIM_TICKETS_MAX]; /* as DONE said */
    uint32_t made_count;
    /* The rotation, as the newest answer said. */
    uint8_t phase;
    uint32_t other;
    uint64_t version;
    uint64_t confirmed; /* the latest version of a DONE */
    uint64_t entered, refused;
};

/* The cluster is founded. */
void sim_tickets_start(struct sim_tickets *tickets, struct sim_cluster *cluster);
/* TICKET_COMMAND_REPLY. */
void sim_tickets_reply(struct sim_tickets *tickets, const struct link_message *message);
/* What the founding's ticket says. */
void sim_tickets_secret(const struct sim_cluster *cluster, uint8_t secret[TICKET_PSK_SIZE]);
/* One of those who come with the ticket. */
void sim_tickets_key(uint32_t id, uint32_t number, uint8_t key[TICKETS_KEY_SIZE]);

#endif
