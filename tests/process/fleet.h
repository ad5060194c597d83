/* Fleet: a cluster of real processes in a folder, each started, killed and stopped one by one.
 *
 * Everything that goes wrong in setting it up ends the scenario. Nodes count from 0 here and from 1
 * in names and in the map.
 */
#ifndef TESTS_PROCESS_FLEET_H
#define TESTS_PROCESS_FLEET_H

#include "cli/child.h"
#include "tests/process/lan.h"
#include "tests/process/program.h"

#define FLEET_NODES_MAX 16u

struct fleet {
    char folder[PATH_MAX - 64];
    char ticket[PATH_MAX];
    uint32_t node_count;
    struct child nodes[FLEET_NODES_MAX];
    char addresses[FLEET_NODES_MAX][64];
    const char *programs[FLEET_NODES_MAX]; /* NULL: this build's ringcask */
    bool joins[FLEET_NODES_MAX];           /* started with --join */
    bool left[FLEET_NODES_MAX];            /* gone for good */
    struct child router, other_router;
    const char *router_program; /* NULL: this build's ringcask */
    const char *router_seeds;   /* at its start; NULL: all nodes */
    uint16_t resp_port;         /* the same after a restart */
    const char *const *node_words;
    const struct lan *lan; /* node k at its host k + 1; NULL: all on the loopback */
};

/* Ticket, nodes, founding, router: ready and healthy. The folder exists and is empty. */
void fleet_open(struct fleet *fleet, const char *folder, uint32_t nodes);
/* The same, founded with --encrypt. */
void fleet_open_encrypted(struct fleet *fleet, const char *folder, uint32_t nodes);
/* The same, founded with this word more, or NULL; and each node has these words more on its command
 * line, borrowed, NULL ends them. */
void fleet_open_with(struct fleet *fleet, const char *folder, uint32_t nodes, const char *init_word,
                     const char *const *node_words);
/* The same, with one more word for the founding or NULL, on a network of its own: borrowed. */
void fleet_open_lan(struct fleet *fleet, const char *folder, uint32_t nodes, const char *init_word,
                    const struct lan *lan);
/* The same, all of it by another program of this build's folder: a name that lives long enough. */
void fleet_open_program(struct fleet *fleet, const char *folder, uint32_t nodes,
                        const char *program);
/* Stops all; each must end well, and no log may hold a sanitizer's report. */
void fleet_close(struct fleet *fleet);
void fleet_start_node(struct fleet *fleet, uint32_t k);
/* Starts a node more, with --join and an empty folder. Returns which. It may have to be started
 * again, as any node. */
uint32_t fleet_join_node(struct fleet *fleet);
/* Until node k has ended by itself, with exit code 0; it is a seed no more. */
void fleet_wait_left(struct fleet *fleet, uint32_t k, uint32_t timeout_ms);
void fleet_start_router(struct fleet *fleet);
/* One more, which is never killed. Returns its port. */
uint16_t fleet_start_other_router(struct fleet *fleet);
/* SIGKILL, and waits until it is gone. */
void fleet_kill(struct fleet *fleet, struct child *child);
/* All nodes at once. */
void fleet_kill_all(struct fleet *fleet);
/* Syncs of nodes that are started from now on take so many ms at least, or what the file
 * FOLDER/PID says while that is there; NULL: what they take. slow_sync.c. False, and nothing done:
 * a sanitizer's library does not let another be preloaded. */
bool fleet_slow_syncs(const char *folder, const char *ms);
/* Nothing of that file can be read by nodes that are started from now on; NULL: everything can.
 * bad_sector.c. False as above. */
bool fleet_bad_sector(const char *path);
/* Since when the newest of those who were killed may be missing; 0: nobody was. On any thread. */
uint64_t fleet_killed_ns(void);
/* Since when the router is ready; UINT64_MAX: it is about to be. On any thread. */
uint64_t fleet_ready_ns(void);
/* SIGTERM, and waits until it has ended by itself, with exit code 0. Returns after how many ms. */
uint32_t fleet_stop(struct fleet *fleet, struct child *child);
/* Until `ring-admin status --check` is satisfied. */
void fleet_wait_healthy(struct fleet *fleet, uint32_t timeout_ms);
/* All nodes that have not left, as --seeds has it. */
const char *fleet_seeds(const struct fleet *fleet, char text[512]);
/* Runs ring-admin with the fleet's ticket and seeds. Returns the exit code. */
int fleet_admin(struct fleet *fleet, char *out, size_t size, const char *const *words);
/* The same with its stderr; both buffers are of `size`. */
int fleet_admin_both(struct fleet *fleet, char *out, char *err, size_t size,
                     const char *const *words);
/* The same with `-o json`, which must end with exit code `want`. The answer is given back. */
struct json_t *fleet_ask(struct fleet *fleet, int want, const char *const *words);
/* Member id of who leads the meta group now; 0: nobody. */
uint32_t fleet_meta_leader(struct fleet *fleet);
/* The same, and waits until somebody does. */
uint32_t fleet_wait_meta_leader(struct fleet *fleet, uint32_t timeout_ms);
/* The same, beside what the scenario does meanwhile: its stdout and stderr go to NAME.log. */
void fleet_admin_start(struct fleet *fleet, struct child *admin, const char *name,
                       const char *const *words);
/* Waits for its end. Returns the exit code. */
int fleet_admin_end(struct fleet *fleet, struct child *admin, uint32_t timeout_ms);
/* Runs it with these words, NULL ends them: that exit code, and a text in its output or errors.
 * Returns its output, until the next call. */
const char *fleet_expect(struct fleet *fleet, int code, const char *said, ...)
    __attribute__((sentinel));
/* How many replicas the member holds, as `ring-admin status` says. */
uint32_t fleet_replicas(struct fleet *fleet, uint32_t id);
/* Until `ring-admin members` holds it dead. */
void fleet_wait_dead(struct fleet *fleet, uint32_t id, uint32_t timeout_ms);
/* What the member of that address is in the ring map: "joining", "active" or "leaving"; "" when
 * there is none, or nobody answers. */
void fleet_state(struct fleet *fleet, const char *address, char state[16]);
void fleet_wait_state(struct fleet *fleet, const char *address, const char *state,
                      uint32_t timeout_ms);
/* Whether a line of NAME.log holds the words; and until one does. */
bool fleet_log_says(const struct fleet *fleet, const char *name, const char *words);
void fleet_wait_log(const struct fleet *fleet, const char *name, const char *words,
                    uint32_t timeout_ms);
/* "node-2", ".log" -> path. */
const char *fleet_path(const struct fleet *fleet, const char *name, const char *suffix,
                       char path[PATH_MAX]);

#endif
