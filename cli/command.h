/* Command: the commands of ringcask, one file each. Each returns the exit code. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "cli/options.h"
#include "ring/link.h"
#include "ring/ticket.h"

int command_node(const struct arguments *arguments);
int command_router(const struct arguments *arguments);
int command_demo(const struct arguments *arguments);
int command_inspect(const struct arguments *arguments);

/* --ticket, good for the role. Prints what is wrong. */
enum exit_code command_ticket(const struct arguments *arguments, enum link_role role,
                              struct ticket *ticket);

#endif
