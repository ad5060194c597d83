/* Op: one operation for one partition, from the command that wants it to its answer.
 *
 * It owns a copy of its arguments, made once, because it may have to be sent again. Each sending
 * is an attempt with an id of its own; the request id {session, sequence} stays the same.
 * `unresolved` counts attempts that were sent and have not been answered with a status that says
 * nothing was proposed; with `tainted` (an attempt was LOST) it decides whether an operation that
 * ends without an answer is TRYAGAIN or UNKNOWNRESULT.
 * One slab block: struct, argument table, argument bytes. Owner: its lane. */
#ifndef ROUTER_OP_H
#define ROUTER_OP_H

#include "ring/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Attempts whose late answers are still understood; of older ones the answer is lost. */
#define OP_IDS_MAX 4u

struct lane;
struct request;

struct op {
    struct op *next, *previous;             /* the lane's order */
    struct op *write_next, *write_previous; /* among its writes: by sequence */
    struct lane *lane;
    struct request *request;
    uint64_t sequence; /* 0: a read */
    uint64_t deadline_ms;
    uint64_t sent_ms;  /* of the newest attempt */
    size_t size;       /* of its arguments on the wire, about */
    size_t block_size; /* of this block */
    uint32_t ids[OP_IDS_MAX];
    uint32_t id_newest;
    uint32_t unresolved;
    uint32_t arg_count;
    uint32_t first; /* gather: the place of its first key */
    uint16_t partition;
    uint16_t member;   /* whom the newest attempt went to */
    uint8_t operation; /* enum wire_operation */
    uint8_t flags;
    bool writes;
    bool in_flight; /* the newest attempt may still be answered */
    bool tainted;
    struct wire_bytes args[]; /* arg_count */
};

struct router;

/* For arg_count arguments of data_size bytes in all, still to be set with op_arg(). NULL on no
 * memory. It counts in router->operations from now on. */
struct op *op_new(struct router *router, struct request *request, uint8_t operation, uint8_t flags,
                  uint32_t arg_count, size_t data_size);
/* Copies the next argument in; in order, each once. */
void op_arg(struct op *op, uint32_t i, const struct wire_bytes *bytes);
/* It has ended: it no longer counts, its memory is still there. */
void op_end(struct router *router, const struct op *op);
/* It must have left its lane and ended. */
void op_free(struct router *router, struct op *op);

/* True when it may have been proposed and may yet take effect. */
static inline bool op_doubtful(const struct op *op)
{
    return op->writes && (op->tainted || op->unresolved > 0);
}

#endif
