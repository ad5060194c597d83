/* Ticket table: the tickets of a cluster as people are shown them, by `ring-admin ticket list` and
 * by `ringcask inspect` of a file TICKETS. No secret is among it. */
#ifndef CLI_TICKET_TABLE_H
#define CLI_TICKET_TABLE_H

#include "cli/exit_code.h"
#include "cli/options.h"
#include "cli/output.h"
#include "ring/tickets.h"

void ticket_table_put(struct output *output, const struct tickets_record *records, uint32_t count);
/* The generation of the secret that is offered, and how far a rotation is. */
void ticket_secret_put(struct output *output, uint32_t generation, uint8_t phase);

/* The line of a ticket's file, which ends with a newline. */
void ticket_line_put(struct output *output, const char *line);
/* A sentence for people, where programs are told by other fields. */
void ticket_sentence_put(struct output *output, const char *sentence);

/* By its name: a file TICKETS. */
bool ticket_view_is_for(const char *path);
/* Prints and verifies the file; says what is wrong. */
enum exit_code ticket_view(const struct arguments *arguments, const char *path,
                           enum output_format format);

#endif
