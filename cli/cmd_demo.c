#include "cli/address.h"
#include "cli/command.h"
#include "cli/demo.h"
#include "ring/ringmap.h"

int command_demo(const struct arguments *arguments)
{
    struct demo_options options = {.resp = arguments_text(arguments, "resp"),
                                   .dir = arguments_text(arguments, "dir")};
    uint64_t nodes = 0, partitions = 0;
    char resp[ADDRESS_SIZE];
    const char *why;

    if (!arguments_number(arguments, "nodes", 1, DEMO_NODES_MAX, &nodes) ||
        !arguments_number(arguments, "partitions", RINGMAP_PARTITIONS_MIN, RINGMAP_PARTITIONS_MAX,
                          &partitions))
        return EXIT_CODE_USAGE;
    if ((partitions & (partitions - 1)) != 0) {
        arguments_error(arguments, "--partitions: a power of two is needed");
        return EXIT_CODE_USAGE;
    }
    /* Before a cluster is founded that no router would come to. */
    if (options.resp && address_resolve(options.resp, true, resp, &why) != 0) {
        arguments_error(arguments, "--resp %s: %s", options.resp, why);
        return EXIT_CODE_USAGE;
    }
    if (options.resp && !address_is_loopback(resp)) {
        arguments_error(arguments,
                        "--resp %s: others can reach this address, and a demo has no password; use "
                        "127.0.0.1",
                        options.resp);
        return EXIT_CODE_USAGE;
    }
    options.nodes = (uint32_t)nodes;
    options.partitions = (uint32_t)partitions;
    return demo_run(&options);
}
