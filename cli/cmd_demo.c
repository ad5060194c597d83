#include "cli/command.h"
#include "cli/demo.h"
#include "ring/ringmap.h"

int command_demo(const struct arguments *arguments)
{
    struct demo_options options = {.resp = arguments_text(arguments, "resp"),
                                   .dir = arguments_text(arguments, "dir")};
    uint64_t nodes = 0, partitions = 0;

    if (!arguments_number(arguments, "nodes", 1, DEMO_NODES_MAX, &nodes) ||
        !arguments_number(arguments, "partitions", RINGMAP_PARTITIONS_MIN, RINGMAP_PARTITIONS_MAX,
                          &partitions))
        return EXIT_CODE_USAGE;
    if ((partitions & (partitions - 1)) != 0) {
        arguments_error(arguments, "--partitions: a power of two is needed");
        return EXIT_CODE_USAGE;
    }
    options.nodes = (uint32_t)nodes;
    options.partitions = (uint32_t)partitions;
    return demo_run(&options);
}
