/* ringcask: storage node, router, demo cluster and file inspector in one program. */
#include "cli/command.h"

#include <stdio.h>

#include <sodium.h>

#define OPTION_TICKET                                                                              \
    {                                                                                              \
        .name = "ticket", .value = "FILE", .environment = "RINGCASK_TICKET", .needed = true,       \
        .text = "the cluster's credential, see ring-admin ticket"                                  \
    }

static const struct option_row node_options[] = {
    OPTION_TICKET,
    {.name = "data",
     .value = "DIR",
     .needed = true,
     .text = "where everything is kept; created when absent"},
    {.name = "listen",
     .value = "HOST:PORT",
     .needed = true,
     .text = "where other members reach this node; port 0 takes a free one"},
    {.name = "join",
     .value = "HOST:PORT[,...]",
     .text = "members of a cluster that this node asks to be taken into, when it is in none"},
    {.name = "zone",
     .value = "Z",
     .text = "what fails together; replicas are placed in distinct zones"},
    {.name = "weight",
     .value = "W",
     .fallback = "100",
     .text = "share of the partitions compared with other nodes"},
    {.name = "shards",
     .value = "S",
     .text = "threads that serve partitions; fixed at the first start (default: one a core)"},
    {.name = "cache",
     .value = "MIB",
     .fallback = "32",
     .text = "memory of each shard for the values that are read most, MiB; 0 for none"},
    {.name = "log",
     .value = "MIB",
     .fallback = "128",
     .text = "log each shard keeps for peers that are behind, MiB; more, and they get a snapshot"},
    {.name = "segment",
     .value = "MIB",
     .fallback = "64",
     .text = "size of a journal file, MiB, 1 to 256: space comes free a file at a time"},
    {.name = "scrub",
     .value = "MIB_S",
     .fallback = "4",
     .text = "what the node reads again a second to find damage before it is needed, MiB; 0: off"},
    {.name = "compress",
     .value = "off|zstd[:LEVEL]",
     .fallback = "off",
     .text = "how values written through this node are stored; level 1 (fast) to 19"},
    {.name = "dictionaries",
     .value = "auto|on|off",
     .fallback = "auto",
     .text = "compress with what values have in common; auto: unless the cluster is encrypted"},
    {.name = "identity-key",
     .value = "FILE",
     .text = "passphrase that locks the node's key on its disk; from the first start on"},
    {.name = NULL},
};
static const struct option_row router_options[] = {
    OPTION_TICKET,
    {.name = "seeds",
     .value = "HOST:PORT[,...]",
     .environment = "RINGCASK_SEEDS",
     .needed = true,
     .text = "nodes to ask for the ring map"},
    {.name = "resp", .value = "HOST:PORT", .needed = true, .text = "where Redis clients connect"},
    {.name = "password-file",
     .value = "FILE",
     .text = "clients must AUTH with its first line; needed unless --resp is loopback"},
    {.name = NULL},
};
static const struct option_row demo_options[] = {
    {.name = "nodes", .value = "N", .text = "storage nodes, 1 to 9 (default: 3)"},
    {.name = "resp", .value = "HOST:PORT", .text = "for clients (default: 127.0.0.1:6379)"},
    {.name = "dir", .value = "DIR", .text = "keep everything there (default: a temporary one)"},
    {.name = "partitions", .value = "Q", .text = "a power of two, 8 to 4096 (default: 256)"},
    {.name = NULL},
};
static const struct option_row inspect_options[] = {
    {.name = "output",
     .letter = 'o',
     .value = "table|json",
     .fallback = "table",
     .text = "how to print; json gives one object a file, and one for a folder"},
    {.name = "repair", .text = "make hints again that are missing or damaged; needs a folder"},
    {.name = NULL},
};

static const struct command_row commands[] = {
    {.name = "node",
     .operands = "",
     .text = "runs a storage node",
     .example = "ringcask node --ticket cluster.ticket --data /var/lib/ringcask --listen "
                "10.0.0.1:7001 --zone a",
     .options = node_options,
     .run = command_node},
    {.name = "router",
     .operands = "",
     .text = "serves Redis clients from the cluster",
     .example = "ringcask router --ticket cluster.ticket --seeds 10.0.0.1:7001 --resp "
                "127.0.0.1:6379",
     .options = router_options,
     .run = command_router},
    {.name = "demo",
     .operands = "",
     .text = "runs a whole cluster on this machine until Ctrl-C",
     .example = "ringcask demo --dir /tmp/demo",
     .options = demo_options,
     .run = command_demo},
    {.name = "inspect",
     .operands = "PATH",
     .operands_min = 1,
     .operands_max = 1,
     .text = "prints and verifies a journal, cask, hint, manifest, or all of a folder",
     .example = "ringcask inspect /var/lib/ringcask",
     .options = inspect_options,
     .run = command_inspect},
    {.name = NULL},
};

int main(int argc, char **argv)
{
    static const struct program program = {
        .name = "ringcask",
        .text = "A replicated key-value store that speaks the Redis protocol.",
        .commands = commands};

    if (sodium_init() < 0) {
        fprintf(stderr, "ringcask: libsodium does not start\n");
        return EXIT_CODE_FAILED;
    }
    return program_run(&program, argc, argv);
}
