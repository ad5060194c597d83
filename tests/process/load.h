/* Load: clients that read and write while processes die, and a judge of what they saw.
 *
 * Each client is a thread with a connection of its own that sends one command after another and
 * records call and reply, stamped under one lock with the machine's monotonic clock. Keys are few
 * and change every second, values are unique. After an unknown outcome a client goes on under a new
 * identity (to the judge that operation stays open for ever).
 *
 * An unknown outcome must have a cause: somebody was killed while the operation was under way, or
 * within an operation's deadline before its end (fleet_killed_ns()). A machine that stands still is
 * a cause as well, and of refusals too: deadlines pass then with nobody to blame. A router that has
 * just been started refuses until it is ready (fleet_ready_ns()), which does not count.
 */
#ifndef TESTS_PROCESS_LOAD_H
#define TESTS_PROCESS_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#define LOAD_CLIENTS_MAX 20u

struct load;

struct load_result {
    uint32_t operations, unknown, refused;
    uint32_t unexplained; /* of the unknown */
};

/* clients: 1 … LOAD_CLIENTS_MAX. */
struct load *load_start(uint16_t resp_port, uint32_t clients);
/* The same, every other client at another router: what one router knows of leaders tells nothing
 * about what the other does. */
struct load *load_start_two(uint16_t resp_port, uint16_t other_port, uint32_t clients);
/* From here on gaps are measured. */
void load_window_begin(struct load *load);
/* The longest time any client had between two commands that succeeded, ms. */
uint32_t load_window_end(struct load *load);
/* Whether every client has had a command succeed since then. */
bool load_all_served(struct load *load, uint64_t since_ns);
/* What there was until now. */
void load_count(struct load *load, struct load_result *result);
/* Stops the clients, reads every key that was ever written, and has all of it judged; anything but
 * a linearizable history ends the scenario. */
void load_finish(struct load *load, struct load_result *result);

#endif
