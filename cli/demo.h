/* Demo: a supervisor of a whole cluster on one machine: N storage nodes and a router, each a
 * process of its own. In the foreground until SIGINT or SIGTERM; then it stops all of them. A node
 * that dies is not started again by itself (that is what a demo is for): SIGUSR1 does that.
 */
#ifndef CLI_DEMO_H
#define CLI_DEMO_H

#include "cli/exit_code.h"

#include <stdint.h>

#define DEMO_NODES_MAX 9u

struct demo_options {
    uint32_t nodes;      /* 0: as the directory remembers, or 3 */
    uint32_t partitions; /* 0: as founded, or 256 */
    const char *resp;    /* NULL: 127.0.0.1:6379, or any port when that is taken */
    const char *dir;     /* NULL: a temporary one */
};

enum exit_code demo_run(const struct demo_options *options);

#endif
