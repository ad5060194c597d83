/* Another secret of the cluster, without a moment in which somebody cannot connect: ring/tickets.h
 * has the steps. Each is taken when every member has the one before; what is left half done goes on
 * where it was. */
#include "cli/clock.h"
#include "cli/ticket_ask.h"
#include "cli/ticket_peers.h"
#include "cli/ticket_table.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#define PEERS_ASKS    5u /* who has just been stopped may be linked still, */
#define PEERS_STEP_MS 400u
#define PEERS_SILENT  2u  /* questions in which nobody is told of, and a node says nothing */
#define PEERS_SAID    16u /* more are not named */

static enum exit_code ask(struct admin *admin, uint8_t kind, uint32_t generation,
                          struct tickets_reply *reply)
{
    return ticket_ask(admin, &(struct tickets_command){.kind = kind, .generation = generation},
                      reply);
}

static enum exit_code prepare(struct admin *admin, struct tickets_reply *reply)
{
    struct tickets_command command = {.kind = TICKETS_PREPARE};
    enum exit_code code;

    randombytes_buf(command.psk, sizeof command.psk);
    code = ticket_ask(admin, &command, reply);
    sodium_memzero(&command, sizeof command);
    return code;
}

/* Whether every member goes by that version; otherwise it is said who does not. */
static bool is_spread(struct admin *admin, uint64_t version, const char *next)
{
    bool wait = arguments_text(admin->arguments, "wait") != NULL;
    const struct view_node *node = ticket_spread(admin, version, wait);

    if (node)
        arguments_error(admin->arguments, "node %u at %s has not followed yet%s%s; %s", node->id,
                        node->address, node->reachable ? "" : ": ",
                        node->reachable ? "" : node->why, next);
    return node == NULL;
}

static enum exit_code print_ticket(struct admin *admin, const struct tickets_reply *reply)
{
    struct ticket ticket;
    char text[TICKET_TEXT_SIZE];
    enum exit_code code;

    memset(&ticket, 0, sizeof ticket);
    memcpy(ticket.cluster, admin->ticket.cluster, sizeof ticket.cluster);
    memcpy(ticket.psk, reply->psk, sizeof ticket.psk);
    ticket_encode(&ticket, text);
    ticket_line_put(admin->output, text);
    code = admin_print(admin);
    fprintf(stderr,
            "This is the founding ticket from now on; the one before and the tickets made under it "
            "open the cluster still. Give it to all that have the old one, make new tickets for "
            "the others; `ring-admin --ticket NEW ticket list` says who is connected by the old "
            "one. Then end that: `ring-admin --ticket NEW ticket retire`.\n");
    sodium_memzero(text, sizeof text);
    ticket_wipe(&ticket);
    return code;
}

static enum exit_code cancel(struct admin *admin, struct tickets_reply *reply)
{
    enum exit_code code;

    if (reply->phase != TICKETS_PREPARED) {
        arguments_error(admin->arguments, "there is nothing to cancel");
        return EXIT_CODE_FAILED;
    }
    code = ask(admin, TICKETS_CANCEL, reply->other, reply);
    if (code != EXIT_CODE_OK)
        return code;
    ticket_sentence_put(admin->output, "the secret stays as it is");
    return admin_print(admin);
}

enum exit_code ticket_rotate(struct admin *admin, const struct tickets_command *list)
{
    struct tickets_reply reply;
    enum exit_code code = ticket_ask(admin, list, &reply);

    if (code == EXIT_CODE_OK && arguments_text(admin->arguments, "cancel"))
        return cancel(admin, &reply);
    if (code == EXIT_CODE_OK && reply.phase == TICKETS_STEADY)
        code = prepare(admin, &reply);
    if (code == EXIT_CODE_OK && reply.phase == TICKETS_PREPARED &&
        !is_spread(admin, reply.version,
                   "nothing has changed for anybody: run this again, or with --cancel"))
        code = EXIT_CODE_UNREACHABLE;
    if (code == EXIT_CODE_OK)
        code = ask(admin, TICKETS_SWITCH,
                   reply.phase == TICKETS_PREPARED ? reply.other : reply.offered, &reply);
    if (code == EXIT_CODE_OK) {
        code = print_ticket(admin, &reply);
        (void)is_spread(admin, reply.version, "it goes on with the old secret meanwhile");
    }
    sodium_memzero(&reply, sizeof reply);
    return code;
}

static enum exit_code say_peers(const struct admin *admin, const struct ticket_peers *peers)
{
    for (uint32_t i = 0; i < peers->count && i < PEERS_SAID; i++) {
        const struct ticket_peer *item = &peers->items[i];

        arguments_error(admin->arguments, "%s at %s is connected to node %u by the old secret%s",
                        ticket_peer_role(item), item->peer.address, item->node,
                        item->peer.ticket == 0 ? "" : ", with a ticket made under it");
    }
    if (peers->count > 0) {
        arguments_error(admin->arguments,
                        "%u would be cut off, and nothing was changed: start them again with new "
                        "tickets; `ring-admin ticket list` says who is left; --force cuts them off",
                        peers->count);
        return EXIT_CODE_CONFLICT;
    }
    arguments_error(admin->arguments,
                    "node %u at %s does not say who is connected by the old secret, and nothing "
                    "was changed: start it, or a newer version of it; --force does without",
                    peers->silent->id, peers->silent->address);
    return EXIT_CODE_UNREACHABLE;
}

/* Nobody is to be cut off. */
static enum exit_code check_peers(struct admin *admin, uint32_t generation)
{
    enum exit_code code = EXIT_CODE_OK;
    struct ticket_peers peers = {0};
    unsigned silent = 0;
    int r = 0;

    for (unsigned i = 0; i < PEERS_ASKS && r == 0; i++) {
        if (i > 0)
            clock_pause(PEERS_STEP_MS);
        ticket_peers_deinit(&peers);
        r = ticket_peers_ask(&peers, admin, generation);
        if (peers.count == 0 && (!peers.silent || ++silent == PEERS_SILENT))
            break;
    }
    if (r != 0) {
        code = admin_fail(admin, r);
    } else if (peers.count > 0 || peers.silent) {
        code = say_peers(admin, &peers);
    }
    ticket_peers_deinit(&peers);
    return code;
}

enum exit_code ticket_retire(struct admin *admin, const struct tickets_command *list)
{
    struct tickets_reply reply;
    enum exit_code code = ticket_ask(admin, list, &reply);

    if (code == EXIT_CODE_OK && reply.phase != TICKETS_RETIRING) {
        arguments_error(admin->arguments, "there is no old secret: `ring-admin ticket rotate` "
                                          "makes a new one first");
        code = EXIT_CODE_FAILED;
    }
    /* It says again what the new secret is. */
    if (code == EXIT_CODE_OK)
        code = ask(admin, TICKETS_SWITCH, reply.offered, &reply);
    if (code == EXIT_CODE_OK &&
        sodium_memcmp(reply.psk, admin->ticket.psk, sizeof reply.psk) != 0) {
        arguments_error(admin->arguments, "this would lock out the ticket that you came with: run "
                                          "it with the new one, as `ring-admin ticket rotate` "
                                          "prints it");
        code = EXIT_CODE_FAILED;
    }
    if (code == EXIT_CODE_OK &&
        !is_spread(admin, reply.version, "it would be locked out: nothing was changed"))
        code = EXIT_CODE_UNREACHABLE;
    if (code == EXIT_CODE_OK && !arguments_text(admin->arguments, "force"))
        code = check_peers(admin, reply.other);
    if (code == EXIT_CODE_OK)
        code = ask(admin, TICKETS_RETIRE, reply.other, &reply);
    if (code == EXIT_CODE_OK) {
        (void)is_spread(admin, reply.version, "it opens to the old secret until it has");
        ticket_sentence_put(admin->output,
                            "the old secret and the tickets made under it have ended");
        code = admin_print(admin);
    }
    sodium_memzero(&reply, sizeof reply);
    return code;
}
