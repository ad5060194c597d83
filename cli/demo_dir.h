/* Demo directory: where a demo cluster keeps its ticket, data, addresses, process ids and logs.
 *
 *   demo.lock  cluster.ticket (0600)  node-K/ node-K.address node-K.pid node-K.log  router.pid
 *   router.log
 * A node's address is in the ring map, so a node that comes back must listen where it did before:
 * node-K.address remembers it. A temporary directory is removed with everything in it.
 */
#ifndef CLI_DEMO_DIR_H
#define CLI_DEMO_DIR_H

#include "cli/address.h"
#include "cli/exit_code.h"
#include "ring/ticket.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct demo_dir {
    char path[PATH_MAX];
    bool temporary;
    int lock; /* fd, -1 when not held */
};

/* path NULL: a temporary one. Prints what is wrong. */
enum exit_code demo_dir_open(struct demo_dir *dir, const char *path);
void demo_dir_close(struct demo_dir *dir);
/* "PATH/name", or "PATH/node-2.pid" from ("node-2", ".pid"). */
void demo_dir_path(const struct demo_dir *dir, const char *name, const char *suffix,
                   char out[PATH_MAX]);
/* Loads cluster.ticket, or makes one. Prints what is wrong. */
enum exit_code demo_dir_ticket(const struct demo_dir *dir, struct ticket *ticket);
/* How many nodes the directory remembers. */
uint32_t demo_dir_nodes(const struct demo_dir *dir);
/* False when there is none. */
bool demo_dir_address(const struct demo_dir *dir, const char *name, char address[ADDRESS_SIZE]);
/* 0 or -errno. */
int demo_dir_save_address(const struct demo_dir *dir, const char *name, const char *address);
/* pid 0 removes the file. */
void demo_dir_save_pid(const struct demo_dir *dir, const char *name, pid_t pid);
/* Whether some line of the log has these words. */
bool demo_dir_log_says(const struct demo_dir *dir, const char *name, const char *words);
/* The last line of a log, cut at size; "" when there is none. */
void demo_dir_last_log(const struct demo_dir *dir, const char *name, char *text, size_t size);

#endif
