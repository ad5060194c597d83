/* Peer: one embedded store as the engine benchmark sees it - ours, or one of those it is compared
 * with. Each is driven through its own C interface with its defaults, but for what every user sets:
 * durability and LMDB's map size.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEER_KEY_SIZE 16u

struct peer_pair {
    const char *key; /* PEER_KEY_SIZE bytes */
    const char *value;
    size_t value_size;
};

struct peer {
    const char *name;
    /* sync: a put that has returned is on the disk. *state is the open store. 0 or -1 with a line
     * on standard error; the same for the others. */
    int (*open)(const char *folder, bool sync, void **state);
    /* Durable afterwards, whatever `sync` was. */
    int (*close)(void *state);
    /* All of them as one atomic batch; one as a plain put. Any thread. */
    int (*put)(void *state, const struct peer_pair *pairs, size_t count);
    /* Size of the value, its bytes read; -1: not there. One thread. */
    int64_t (*get)(void *state, const char *key, char *out, size_t capacity);
};

/* NULL-terminated: ours first, then those that this program was built with. */
extern const struct peer *const peers[];
/* Names of those it was built without, separated by ", "; empty: none. */
extern const char peers_missing[];

#endif
