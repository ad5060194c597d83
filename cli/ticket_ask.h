/* Ticket ask: how `ring-admin ticket` talks to a cluster about its tickets. Commands may be sent
 * any number of times (ring/tickets_command.h), so a lost answer costs nothing but a repetition. */
#ifndef CLI_TICKET_ASK_H
#define CLI_TICKET_ASK_H

#include "cli/admin.h"
#include "ring/tickets_command.h"

/* Asks one node after the other until one has an answer. Prints what is wrong: then the exit code
 * says so, and *reply is what was answered last. */
enum exit_code ticket_ask(struct admin *admin, const struct tickets_command *command,
                          struct tickets_reply *reply);
/* Waits until the members go by that version. wait: for all of them, however long it takes; else
 * for some seconds, and for those that can be reached. Returns the member that does not, or NULL;
 * it is borrowed from admin->view. */
const struct view_node *ticket_spread(struct admin *admin, uint64_t version, bool wait);

/* cli/admin_rotate_ticket.c */
enum exit_code ticket_rotate(struct admin *admin, const struct tickets_command *list);
enum exit_code ticket_retire(struct admin *admin, const struct tickets_command *list);

#endif
