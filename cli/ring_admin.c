/* ring-admin: founds a cluster and says how it is. */
#include "cli/admin.h"

#include <stdio.h>

#include <sodium.h>

static const struct option_row leading[] = {
    ADMIN_TICKET(false), ADMIN_SEEDS(false), ADMIN_OUTPUT, {.name = NULL}};
static const struct option_row ticket_options[] = {{.name = NULL}};
static const struct option_row init_options[] = {
    ADMIN_TICKET(true),
    ADMIN_SEEDS(false),
    {.name = "partitions",
     .value = "Q",
     .text = "a power of two, 8 to 4096, for the cluster's life (default: 256)"},
    {.name = "replicas", .value = "N", .text = "copies of each partition (default: 3)"},
    {.name = "encrypt", .text = "keys and values are encrypted on the nodes' disks, for good"},
    {.name = NULL},
};
static const struct option_row status_options[] = {
    ADMIN_TICKET(true), ADMIN_SEEDS(true),
    ADMIN_OUTPUT,       {.name = "check", .text = "exit with 4 unless the cluster is healthy"},
    {.name = NULL},
};
static const struct option_row view_options[] = {
    ADMIN_TICKET(true), ADMIN_SEEDS(true), ADMIN_OUTPUT, {.name = NULL}};

static const struct option_row flush_options[] = {
    ADMIN_TICKET(true), ADMIN_SEEDS(true),
    ADMIN_OUTPUT,       {.name = "wait", .text = "until it is done, and say what it gave back"},
    {.name = NULL},
};
static const struct option_row rotate_options[] = {
    ADMIN_TICKET(true),
    ADMIN_SEEDS(true),
    ADMIN_OUTPUT,
    {.name = "wait", .text = "returns when every member seals with the new key"},
    {.name = NULL},
};

static const struct command_row commands[] = {
    {.name = "ticket",
     .operands = "",
     .text = "prints a new cluster's credential",
     .example = "(umask 077; ring-admin ticket > cluster.ticket)",
     .options = ticket_options,
     .run = admin_ticket},
    {.name = "init",
     .operands = "HOST:PORT...",
     .operands_min = 1,
     .operands_max = ADDRESS_LIST_MAX,
     .text = "founds the cluster on running, empty nodes",
     .example = "ring-admin --ticket cluster.ticket init 10.0.0.1:7001 10.0.0.2:7001 10.0.0.3:7001",
     .options = init_options,
     .run = admin_init},
    {.name = "status",
     .operands = "",
     .text = "says whether the cluster is well, and what mends it",
     .example = "ring-admin --ticket cluster.ticket --seeds 10.0.0.1:7001 status --check",
     .options = status_options,
     .run = admin_status},
    {.name = "ring",
     .operands = "",
     .text = "lists the partitions: replicas, leader, term, commit, lag",
     .options = view_options,
     .run = admin_ring},
    {.name = "members",
     .operands = "",
     .text = "lists the members: address, zone, weight, key",
     .options = view_options,
     .run = admin_members},
    {.name = "explain",
     .operands = "KEY",
     .operands_min = 1,
     .operands_max = 1,
     .text = "says where a key lives and how its replicas are",
     .example = "ring-admin --ticket cluster.ticket --seeds 10.0.0.1:7001 explain user:42",
     .options = view_options,
     .run = admin_explain},
    {.name = "flush",
     .operands = "[NODE]",
     .operands_max = 1,
     .text = "reclaims at once what is dead on the disks of all nodes, or of one",
     .example = "ring-admin --ticket cluster.ticket --seeds 10.0.0.1:7001 flush --wait",
     .options = flush_options,
     .run = admin_flush},
    {.name = "rotate-key",
     .operands = "",
     .text = "gives an encrypted cluster a new data key for what is written from now on",
     .example = "ring-admin --ticket cluster.ticket --seeds 10.0.0.1:7001 rotate-key --wait",
     .options = rotate_options,
     .run = admin_rotate_key},
    {.name = NULL},
};

int main(int argc, char **argv)
{
    static const struct program program = {
        .name = "ring-admin",
        .text = "Founds a Ringcask cluster and says how it is. RINGCASK_TICKET and RINGCASK_SEEDS "
                "serve for --ticket and --seeds.",
        .leading = leading,
        .commands = commands};

    if (sodium_init() < 0) {
        fprintf(stderr, "ring-admin: libsodium does not start\n");
        return EXIT_CODE_FAILED;
    }
    return program_run(&program, argc, argv);
}
