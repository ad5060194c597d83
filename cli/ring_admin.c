/* ring-admin: founds a cluster, says how it is, and changes it. */
#include "cli/admin.h"

#include <stdio.h>

#include <sodium.h>

#define CHANGE_WORDS_MAX 192u /* three a change, and as many changes as can be staged */

static const struct option_row leading[] = {
    ADMIN_TICKET(false), ADMIN_SEEDS(false), ADMIN_OUTPUT, {.name = NULL}};
static const struct option_row ticket_options[] = {
    ADMIN_TICKET(false),
    ADMIN_SEEDS(false),
    ADMIN_OUTPUT,
    {.name = "role", .value = "node|router|admin", .text = "new: what it is good for"},
    {.name = "ttl",
     .value = "TIME",
     .text = "new: how long, as 30m, 24h, 7d; 0 for ever (default: a node's 24h, others' 0)"},
    {.name = "uses",
     .value = "N",
     .text = "new: how many may come with it; 0 all (default: a node's 1, others' 0)"},
    {.name = "wait", .text = "rotate, retire: for members that cannot be reached"},
    {.name = "cancel", .text = "rotate: forget the secret that was prepared"},
    {.name = "force", .text = "retire: also cuts off who is connected by the old secret"},
    {.name = NULL},
};
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
static const struct option_row scrub_options[] = {
    ADMIN_TICKET(true), ADMIN_SEEDS(true),
    ADMIN_OUTPUT,       {.name = "wait", .text = "until it is done, and say what was damaged"},
    {.name = NULL},
};
static const struct option_row rotate_options[] = {
    ADMIN_TICKET(true),
    ADMIN_SEEDS(true),
    ADMIN_OUTPUT,
    {.name = "wait", .text = "returns when every member seals with the new key"},
    {.name = NULL},
};

#define ADMIN_WAIT                                                                                 \
    {                                                                                              \
        .name = "wait", .text = "returns when the moves have ended; shows how far they are"        \
    }
static const struct option_row change_options[] = {
    ADMIN_TICKET(true), ADMIN_SEEDS(true), ADMIN_OUTPUT, ADMIN_WAIT, {.name = NULL}};
static const struct option_row commit_options[] = {
    ADMIN_TICKET(true),
    ADMIN_SEEDS(true),
    ADMIN_OUTPUT,
    {.name = "plan", .value = "HASH", .text = "the plan that was shown; exits with 5 when stale"},
    {.name = "auto", .text = "plans and commits in one step"},
    ADMIN_WAIT,
    {.name = NULL},
};
static const struct option_row remove_options[] = {
    ADMIN_TICKET(true),
    ADMIN_SEEDS(true),
    ADMIN_OUTPUT,
    {.name = "force", .text = "it is not asked to hand over, and never comes back"},
    ADMIN_WAIT,
    {.name = NULL},
};
static const struct option_row moves_options[] = {
    ADMIN_TICKET(true),
    ADMIN_SEEDS(true),
    ADMIN_OUTPUT,
    {.name = "watch", .text = "until nothing moves any more"},
    {.name = "rate", .value = "MIB", .text = "what each node may send a second from now on"},
    {.name = NULL},
};
static const struct option_row top_options[] = {
    ADMIN_TICKET(true),
    ADMIN_SEEDS(true),
    ADMIN_OUTPUT,
    {.name = "rows", .value = "COUNT", .text = "of partitions and of keys (default: 10)"},
    {.name = "keys", .text = "counts keys for some seconds, and lists those asked for most"},
    {.name = "seconds", .value = "S", .text = "to count keys, 1 to 60 (default: 3)"},
    {.name = NULL},
};
static const struct option_row drain_options[] = {
    ADMIN_TICKET(true), ADMIN_SEEDS(true),
    ADMIN_OUTPUT,       {.name = "wait", .text = "returns when it leads nothing"},
    {.name = NULL},
};

#define CHANGES                                                                                    \
    "join NODE..., leave NODE, replace DEAD NEW, remove NODE, weight NODE W, zone NODE Z|-, "      \
    "replicas N; share-zones: also where it puts replicas together"

static const struct command_row commands[] = {
    {.name = "ticket",
     .operands = "[new|list|revoke ID|rotate|retire]",
     .operands_max = 2,
     .text = "prints a new cluster's credential; or makes, lists and ends tickets for one role, or "
             "changes the cluster's secret",
     .example = "(umask 077; ring-admin ticket > cluster.ticket)\n"
                "         (umask 077; ring-admin --ticket cluster.ticket --seeds 10.0.0.1:7001 "
                "ticket new --role router > router.ticket)",
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
    {.name = "top",
     .operands = "",
     .text = "lists the busiest partitions, who leads how much, and with --keys the hottest keys",
     .example = "ring-admin --ticket cluster.ticket --seeds 10.0.0.1:7001 top --keys",
     .options = top_options,
     .run = admin_top},
    {.name = "drain",
     .operands = "NODE",
     .operands_min = 1,
     .operands_max = 1,
     .text = "lets a node lead nothing, until undrain or its next start",
     .example = "ring-admin --ticket cluster.ticket --seeds 10.0.0.1:7001 drain 2 --wait",
     .options = drain_options,
     .run = admin_drain},
    {.name = "undrain",
     .operands = "NODE",
     .operands_min = 1,
     .operands_max = 1,
     .text = "lets a drained node lead again",
     .options = view_options,
     .run = admin_undrain},
    {.name = "flush",
     .operands = "[NODE]",
     .operands_max = 1,
     .text = "reclaims at once what is dead on the disks of all nodes, or of one",
     .example = "ring-admin --ticket cluster.ticket --seeds 10.0.0.1:7001 flush --wait",
     .options = flush_options,
     .run = admin_flush},
    {.name = "scrub",
     .operands = "[NODE]",
     .operands_max = 1,
     .text = "reads all files of all nodes, or of one, again at once to find what is damaged",
     .example = "ring-admin --ticket cluster.ticket --seeds 10.0.0.1:7001 scrub --wait",
     .options = scrub_options,
     .run = admin_scrub},
    {.name = "rotate-key",
     .operands = "",
     .text = "gives an encrypted cluster a new data key for what is written from now on",
     .example = "ring-admin --ticket cluster.ticket --seeds 10.0.0.1:7001 rotate-key --wait",
     .options = rotate_options,
     .run = admin_rotate_key},
    {.name = "plan",
     .operands = "[CHANGE...]",
     .operands_max = CHANGE_WORDS_MAX,
     .text = "shows what changes would take, or that all who are joining are taken in: " CHANGES,
     .example = "ring-admin --ticket cluster.ticket --seeds 10.0.0.1:7001 plan join 4 leave 1",
     .options = view_options,
     .run = admin_plan},
    {.name = "commit",
     .operands = "[CHANGE...]",
     .operands_max = CHANGE_WORDS_MAX,
     .text = "carries out a plan: " CHANGES,
     .example = "ring-admin --ticket cluster.ticket --seeds 10.0.0.1:7001 commit --auto --wait",
     .options = commit_options,
     .run = admin_commit},
    {.name = "moves",
     .operands = "",
     .text =
         "says how far a plan is, how fast it goes, and why what waits does; retries are copies "
         "that leaders of now began again, for moves that are not done",
     .example = "ring-admin --ticket cluster.ticket --seeds 10.0.0.1:7001 moves --watch",
     .options = moves_options,
     .run = admin_moves},
    {.name = "pause",
     .operands = "",
     .text = "begins no more moves; copies that have begun go on, and what is joint ends",
     .options = view_options,
     .run = admin_pause},
    {.name = "resume",
     .operands = "",
     .text = "goes on with a paused plan",
     .options = view_options,
     .run = admin_resume},
    {.name = "abort",
     .operands = "",
     .text = "ends a plan: each partition stays where it is now",
     .options = change_options,
     .run = admin_abort},
    {.name = "leave",
     .operands = "NODE",
     .operands_min = 1,
     .operands_max = 1,
     .text = "gives all that a node holds to the others; with --wait proves that it can be missed",
     .example = "ring-admin --ticket cluster.ticket --seeds 10.0.0.1:7001 leave 2 --wait",
     .options = change_options,
     .run = admin_leave},
    {.name = "replace",
     .operands = "DEAD NEW",
     .operands_min = 2,
     .operands_max = 2,
     .text = "gives what a node held to one that is joining; one that still runs hands over first",
     .example = "ring-admin --ticket cluster.ticket --seeds 10.0.0.1:7001 replace 2 10.0.0.4:7001",
     .options = change_options,
     .run = admin_replace},
    {.name = "remove",
     .operands = "NODE",
     .operands_min = 1,
     .operands_max = 1,
     .text = "takes a dead node out for ever, where every partition keeps its majority",
     .example = "ring-admin --ticket cluster.ticket --seeds 10.0.0.1:7001 remove --force 2",
     .options = remove_options,
     .run = admin_remove},
    {.name = "weight",
     .operands = "NODE W",
     .operands_min = 2,
     .operands_max = 2,
     .text = "gives a node another share; 100 is the usual one",
     .options = change_options,
     .run = admin_weight},
    {.name = "zone",
     .operands = "NODE Z|-",
     .operands_min = 2,
     .operands_max = 2,
     .text = "says where a node is, - that nobody says; replicas go to distinct zones",
     .options = change_options,
     .run = admin_zone},
    {.name = "set-replicas",
     .operands = "N",
     .operands_min = 1,
     .operands_max = 1,
     .text = "gives every partition N replicas, 1 to 7",
     .options = change_options,
     .run = admin_set_replicas},
    {.name = "doctor",
     .operands = "",
     .text =
         "looks for what is wrong or will be, and names the command that mends it; exits with 4 "
         "when there is any",
     .options = view_options,
     .run = admin_doctor},
    {.name = NULL},
};

int main(int argc, char **argv)
{
    static const struct program program = {.name = "ring-admin",
                                           .text = "Founds a Ringcask cluster, says how it is, and "
                                                   "changes it. RINGCASK_TICKET and RINGCASK_SEEDS "
                                                   "serve for --ticket and --seeds.",
                                           .leading = leading,
                                           .commands = commands};

    if (sodium_init() < 0) {
        fprintf(stderr, "ring-admin: libsodium does not start\n");
        return EXIT_CODE_FAILED;
    }
    return program_run(&program, argc, argv);
}
