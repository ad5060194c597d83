#include "router/op.h"

#include "router/router_internal.h"

#include <assert.h>
#include <string.h>

/* Bytes of an operation's head on the wire, rounded up. */
#define OP_HEAD_SIZE 48u

struct op *op_new(struct router *router, struct request *request, uint8_t operation, uint8_t flags,
                  uint32_t arg_count, size_t data_size)
{
    size_t block_size = sizeof(struct op) + arg_count * sizeof(struct wire_bytes) + data_size;
    struct op *op = slab_take(&router->slab, block_size);

    if (!op)
        return NULL;
    memset(op, 0, sizeof *op);
    op->request = request;
    op->operation = operation;
    op->flags = flags;
    op->writes = wire_operation_writes(operation);
    op->arg_count = arg_count;
    op->block_size = block_size;
    op->size = OP_HEAD_SIZE + arg_count * 5 + data_size;
    op->deadline_ms = router->now_ms + router->options.deadline_ms;
    router->operations++;
    router->operations_size += op->size;
    router->stats.operations++;
    return op;
}

void op_arg(struct op *op, uint32_t i, const struct wire_bytes *bytes)
{
    uint8_t *at;

    assert(i < op->arg_count);
    at = (uint8_t *)(op->args + op->arg_count);
    if (i > 0)
        at += (size_t)(op->args[i - 1].data - at) + op->args[i - 1].size;
    assert(at + bytes->size <= (uint8_t *)op + op->block_size);
    if (bytes->size > 0)
        memcpy(at, bytes->data, bytes->size);
    op->args[i] = (struct wire_bytes){at, bytes->size};
}

void op_end(struct router *router, const struct op *op)
{
    assert(router->operations > 0);
    assert(router->operations_size >= op->size);
    router->operations--;
    router->operations_size -= op->size;
}

void op_free(struct router *router, struct op *op)
{
    assert(!op->lane);
    slab_give(&router->slab, op, op->block_size);
}
