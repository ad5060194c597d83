/* Tickets command: what may be asked of the registry (ring/tickets.h), and what is said of it.
 *
 * A command is worked out against the newest registry that is known, which gives the next one; that
 * takes its place only if nobody else's came first (the meta group's compare-and-set, by version).
 * If somebody's did, the command is worked out again. So each command says what is to be, not what
 * is to be done: where it is so already it changes nothing, and it may come any number of times.
 *
 * Who may ask for what: the holder of a secret for everything; an admin with a ticket of its own
 * only to see the list. Otherwise a ticket could make others, and would not end when it is revoked.
 *
 * Bodies of TICKET_COMMAND and TICKET_COMMAND_REPLY: docs/format-wire.md.
 */
#ifndef RING_TICKETS_COMMAND_H
#define RING_TICKETS_COMMAND_H

#include "ring/tickets.h"
#include "ring/wire.h"

enum tickets_command_kind {
    TICKETS_LIST = 1,
    TICKETS_NEW = 2,     /* terms */
    TICKETS_REVOKE = 3,  /* id */
    TICKETS_REDEEM = 4,  /* id, role, public_key; of nodes only */
    TICKETS_PREPARE = 5, /* psk, of the next secret */
    TICKETS_SWITCH = 6,  /* generation, of the next secret */
    TICKETS_RETIRE = 7,  /* generation, of the secret before */
    TICKETS_CANCEL = 8,  /* generation, of the next secret */
};

struct tickets_command {
    uint8_t kind;
    struct tickets_terms terms;
    uint32_t id;
    uint32_t generation;
    uint8_t role;
    uint8_t public_key[TICKETS_KEY_SIZE];
    uint8_t psk[TICKET_PSK_SIZE];
};

/* 0 or why not; *id: NEW, the ticket's. `tickets` becomes the next version, or stays what it is
 * when there is nothing to change or it may not be. */
int tickets_command_apply(struct tickets *tickets, const struct tickets_command *command,
                          uint64_t now_ms, uint32_t *id);
/* Whether who came with this ticket (0: a secret) may ask for it. */
bool tickets_command_allowed(const struct tickets_command *command, uint32_t ticket);

void tickets_command_put(struct wire_buffer *buffer, const struct tickets_command *command);
bool tickets_command_get(struct wire_cursor *cursor, struct tickets_command *command);

struct tickets_reply {
    uint8_t outcome; /* enum wire_map_outcome; never CONFLICT */
    uint8_t code;    /* REFUSED: enum tickets_e */
    uint64_t version;
    uint8_t phase;
    uint32_t offered, other; /* generations; other 0 when steady */
    uint32_t id;             /* NEW */
    bool has_psk;            /* NEW: the ticket's; PREPARE, SWITCH: the new secret */
    uint8_t psk[TICKET_PSK_SIZE];
    char why[WIRE_MAP_WHY_SIZE];
    uint32_t count;
    struct tickets_record records[TICKETS_MAX]; /* their names are not sent */
};
/* What `tickets` says of itself; outcome, code, id, psk and why are the caller's. */
void tickets_reply_init(struct tickets_reply *reply, const struct tickets *tickets);
void tickets_reply_put(struct wire_buffer *buffer, const struct tickets_reply *reply);
bool tickets_reply_get(struct wire_cursor *cursor, struct tickets_reply *reply);

#endif
