/* Command: the commands of ringcask, one file each. Each returns the exit code. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "cli/options.h"

int command_node(const struct arguments *arguments);
int command_router(const struct arguments *arguments);
int command_demo(const struct arguments *arguments);
int command_inspect(const struct arguments *arguments);

#endif
