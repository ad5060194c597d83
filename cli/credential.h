/* Credential: what a program shows to the cluster, the ticket that --ticket names. */
#ifndef CLI_CREDENTIAL_H
#define CLI_CREDENTIAL_H

#include "cli/options.h"
#include "ring/link.h"
#include "ring/ticket.h"

/* It is good for the role. Prints what is wrong. Returns the exit code. */
enum exit_code credential_load(const struct arguments *arguments, enum link_role role,
                               struct ticket *ticket);

#endif
