/* Admin: the commands of ring-admin, and what they share: ticket, seeds, one gathered view. */
#ifndef CLI_ADMIN_H
#define CLI_ADMIN_H

#include "cli/cluster.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/view.h"

#include <string.h>

#define ADMIN_TICKET(is_needed)                                                                    \
    {                                                                                              \
        .name = "ticket", .value = "FILE", .environment = "RINGCASK_TICKET",                       \
        .text = "the cluster's credential", .needed = (is_needed)                                  \
    }
#define ADMIN_SEEDS(is_needed)                                                                     \
    {                                                                                              \
        .name = "seeds", .value = "HOST:PORT[,...]", .environment = "RINGCASK_SEEDS",              \
        .text = "nodes to ask first", .needed = (is_needed)                                        \
    }
#define ADMIN_OUTPUT                                                                               \
    {                                                                                              \
        .name = "output", .letter = 'o', .value = "table|json", .fallback = "table",               \
        .text = "how to print"                                                                     \
    }

/* What a command that asks the cluster works with. */
struct admin {
    const struct arguments *arguments;
    struct ticket ticket;
    struct address_list seeds;
    struct cluster *cluster;
    struct view view;
    enum output_format format;
    struct output *output;
};

/* Ticket, seeds, view, output; founded: an unfounded cluster is an error. Prints what is wrong.
 * admin_close() whatever the result. */
enum exit_code admin_open(struct admin *admin, const struct arguments *arguments, bool founded);
void admin_close(struct admin *admin);
/* Prints the output to stdout, and what is put into it from then on is another document. */
enum exit_code admin_print(struct admin *admin);
/* The node that an operand means, by id or HOST:PORT; prints that there is none, or several. */
enum exit_code admin_node(const struct admin *admin, const char *operand,
                          const struct view_node **node);

/* Prints what a -errno says, and is EXIT_CODE_FAILED. */
static inline enum exit_code admin_fail(const struct admin *admin, int r)
{
    arguments_error(admin->arguments, "%s", strerror(-r));
    return EXIT_CODE_FAILED;
}

int admin_ticket(const struct arguments *arguments);
int admin_init(const struct arguments *arguments);
int admin_status(const struct arguments *arguments);
int admin_ring(const struct arguments *arguments);
int admin_members(const struct arguments *arguments);
int admin_explain(const struct arguments *arguments);
int admin_drain(const struct arguments *arguments);
int admin_undrain(const struct arguments *arguments);
int admin_top(const struct arguments *arguments);
int admin_flush(const struct arguments *arguments);
int admin_scrub(const struct arguments *arguments);
int admin_rotate_key(const struct arguments *arguments);
int admin_plan(const struct arguments *arguments);
int admin_commit(const struct arguments *arguments);
int admin_leave(const struct arguments *arguments);
int admin_replace(const struct arguments *arguments);
int admin_remove(const struct arguments *arguments);
int admin_weight(const struct arguments *arguments);
int admin_zone(const struct arguments *arguments);
int admin_set_replicas(const struct arguments *arguments);
int admin_moves(const struct arguments *arguments);
int admin_pause(const struct arguments *arguments);
int admin_resume(const struct arguments *arguments);
int admin_abort(const struct arguments *arguments);
int admin_doctor(const struct arguments *arguments);

#endif
