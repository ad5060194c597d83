/* Node loop: the shell of a storage node. Threads, clock, signals, files and links live here and in
 * node_loop_*.c; everything that decides is in the cores it feeds (node, shard).
 *
 * Threads: the caller's (control plane: node core), one a shard, three kinds of I/O workers a shard
 * (journal writes, background, reads), and nng's. A shard is stepped by one thread at a time:
 * whichever brought something and found nobody at it, be it nng's or an I/O worker; its own thread
 * does what time asks for.
 */
#ifndef REPLICATION_NODE_LOOP_H
#define REPLICATION_NODE_LOOP_H

#include "ring/ringmap.h"
#include "ring/ticket.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether values are compressed with what they have in common. */
enum node_loop_dictionaries {
    NODE_LOOP_DICTIONARIES_AUTO, /* where they are not sealed */
    NODE_LOOP_DICTIONARIES_ON,
    NODE_LOOP_DICTIONARIES_OFF,
};

struct node_loop_options {
    const char *data;            /* directory; created when absent */
    const struct ticket *ticket; /* borrowed for the call */
    const char *listen;          /* HOST:PORT, port 0 takes one of the system's */
    /* Members of a cluster to join, numeric, borrowed; for a node that is in none yet. */
    const char (*join)[RINGMAP_ADDRESS_SIZE];
    size_t join_count;
    const uint8_t *passphrase; /* of the identity's lock, or NULL: it is not locked */
    size_t passphrase_size;
    char zone[RINGMAP_ZONE_SIZE];
    uint64_t log_size_max; /* bytes of log that each shard keeps for peers that are behind */
    uint32_t segment_size; /* bytes of a journal file */
    size_t cache_size;     /* bytes of values that each shard keeps in memory; 0: none */
    uint64_t scrub_rate;   /* bytes/s that the scrub reads, all shards together; 0: off */
    int compress_level;    /* of zstd for values written through this node; 0: off */
    enum node_loop_dictionaries dictionaries;
    uint32_t weight;
    uint16_t shards; /* 0: as IDENTITY says, or one a core at first start */
    void *context;
    /* The node listens at address. Called once, from the thread of the call. */
    void (*on_ready)(void *context, const char *address, const char *fingerprint);
};

/* How it ended. The texts for people are written to stderr by the loop itself. */
enum node_loop_e {
    NODE_LOOP_E_OK,       /* SIGINT or SIGTERM, leaderships handed over; or it has left */
    NODE_LOOP_E_FAILED,   /* I/O, memory */
    NODE_LOOP_E_USAGE,    /* an address or option is no good */
    NODE_LOOP_E_CONFLICT, /* data directory or port in use, of another cluster, of a removed node,
                             or newer; or the node may not join */
};

int node_loop_run(const struct node_loop_options *options);

#endif
