/* Request: one command of a client, from its parts to its reply.
 *
 * A command becomes one operation a partition it touches, or none. Requests stand in their
 * client's queue in the order in which the commands came; the reply is encoded when the last part
 * has ended and leaves when all before it have left.
 *
 * The reply is the worst over all parts. Once any part of a write may have taken effect, no other
 * part's refusal may be reported as such: a client would repeat the command by itself. That is
 * UNKNOWNRESULT. Owner: its client, or nobody when the client is gone (the parts go on unseen). */
#ifndef ROUTER_REQUEST_H
#define ROUTER_REQUEST_H

#include "ring/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct op;
struct router;
struct scan;

/* How the parts' payloads become a reply. */
enum request_kind {
    REQUEST_LOCAL,   /* answered here: `reply` is there from the start */
    REQUEST_OK,      /* +OK */
    REQUEST_SET,     /* integer 1 or nil payload: +OK; 0: nil */
    REQUEST_OLD,     /* bytes | nil, or [bytes | nil, set]: bulk */
    REQUEST_VALUE,   /* [bytes | nil]: bulk */
    REQUEST_SUM,     /* integers: their sum */
    REQUEST_SECONDS, /* an integer, ms: in seconds, rounded; negative: as it is */
    REQUEST_GATHER,  /* arrays of (bytes | nil): one array in the order of the keys */
    REQUEST_SCAN,    /* [next position, keys]: [cursor, keys], wave by wave: scan.h */
    REQUEST_INFO,    /* integers: the key count in INFO */
};

/* How a part ended; the greater the worse. */
enum request_outcome {
    REQUEST_OUTCOME_OK,
    REQUEST_OUTCOME_STATUS,      /* result->status says: certainly not executed */
    REQUEST_OUTCOME_TRYAGAIN,    /* certainly not executed */
    REQUEST_OUTCOME_CLUSTERDOWN, /* likewise, no leader is known */
    REQUEST_OUTCOME_UNKNOWN,     /* may or may not have been executed */
};

struct request_gather {
    uint32_t count;
    size_t block_size;
    uint32_t *positions;       /* by group: which key of the command */
    struct wire_bytes *values; /* by key; owned slab blocks */
};

struct request {
    struct request *next;
    struct request *timed_next;
    struct client *client; /* NULL: gone */
    struct request_gather *gather;
    struct scan *scan; /* SCAN; owned */
    uint8_t *reply;    /* encoded, when it is not its turn yet; slab */
    size_t reply_size;
    uint64_t expires_ms; /* INFO: answers then with what it has */
    int64_t sum;
    uint32_t parts_left; /* operations that still point here */
    uint32_t sections;   /* INFO */
    uint16_t partition;  /* of the worst part */
    uint8_t kind;
    uint8_t protocol;
    uint8_t outcome; /* enum request_outcome: the worst so far */
    uint8_t status;  /* with OUTCOME_STATUS */
    bool writes;
    bool executed; /* a part of a write took effect, or may have */
    bool ready;
};

/* Appended to the client's queue. NULL on no memory. */
struct request *request_new(struct router *router, struct client *client, uint8_t kind,
                            bool writes);
/* Room for the gathered values of `count` keys; false on no memory. */
bool request_gather_new(struct router *router, struct request *request, uint32_t count);
/* An operation of it has ended. result: NULL unless outcome is OK or STATUS. The operation is not
 * touched but for reading. */
void request_part_done(struct router *router, struct request *request, const struct op *op,
                       uint8_t outcome, const struct wire_result *result);
/* Its client is gone. Freed now or with its last part. */
void request_detach(struct router *router, struct request *request);
/* INFO requests that have waited long enough. Returns when the next one is due, UINT64_MAX: none.
 */
uint64_t request_expire(struct router *router);

#endif
