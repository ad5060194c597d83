#include "replication/shard_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void operation_unlink(struct shard *shard, struct shard_operation *operation)
{
    if (operation->previous)
        operation->previous->next = operation->next;
    else
        shard->operations = operation->next;
    if (operation->next)
        operation->next->previous = operation->previous;
}

static void operation_memory_free(struct shard_operation *operation)
{
    for (uint32_t i = 0; operation->values && i < operation->slot_count; i++)
        wire_buffer_deinit(&operation->values[i]);
    if (operation->args)
        free((void *)operation->args[0].data);
    free(operation->args);
    free(operation->digests);
    free(operation->nodes);
    free(operation->values);
    free(operation->fetched);
    free(operation);
}

static void operation_free(struct shard *shard, struct shard_operation *operation)
{
    assert(operation->reads_left == 0);
    operation_unlink(shard, operation);
    operation_memory_free(operation);
}

/* Ends its place in the queues; its memory stays while reads are on the way. */
static void operation_end(struct shard *shard, struct shard_operation *operation)
{
    keyqueue_leave(&shard->keyqueue, &operation->ticket);
    shard->in_flight--;
    shard->in_flight_size -= operation->charge;
    operation->cancelled = true;
    if (operation->reads_left == 0)
        operation_free(shard, operation);
}

static struct shard_request operation_request(struct shard_operation *operation)
{
    uint32_t stride;

    command_keys(operation->op.operation, operation->op.arg_count, &stride);
    return (struct shard_request){.link = operation->link,
                                  .session = operation->session,
                                  .op = &operation->op,
                                  .args = operation->args,
                                  .digests = operation->digests,
                                  .waiting = operation,
                                  .key_count = operation->key_count,
                                  .stride = stride,
                                  .charge = operation->charge};
}

/* It is at the head of all its queues and no read of it is on the way. */
static void operation_run(struct shard *shard, struct shard_operation *operation)
{
    struct shard_request request = operation_request(operation);

    assert(operation->reads_left == 0 && !operation->cancelled);
    if (operation->read_failed)
        shard_request_unread(shard, operation->replica, &request);
    else if (shard->now_ms > operation->deadline_ms || !replica_serves(operation->replica) ||
             shard_client_lane_refused(shard, operation->link, operation->op.partition,
                                       operation->op.lane_epoch))
        shard_request_refuse(shard, operation->replica, &request, WIRE_STATUS_TRYAGAIN, 0);
    else if (!shard_evaluate(shard, operation->replica, &request))
        return;
    operation_end(shard, operation);
}

void shard_run_ready(struct shard *shard)
{
    struct keyqueue_ticket *ticket;

    while ((ticket = keyqueue_next_ready(&shard->keyqueue)))
        operation_run(shard, ticket->operation);
}

/* All arguments in one allocation, behind the first's pointer. */
static bool copy_args(struct shard_operation *operation, const struct wire_bytes *args)
{
    uint32_t count = operation->op.arg_count;
    size_t size = 1;
    uint8_t *bytes;

    for (uint32_t i = 0; i < count; i++)
        size += args[i].size;
    operation->args = calloc(count ? count : 1, sizeof *operation->args);
    bytes = operation->args ? malloc(size) : NULL;
    if (!bytes)
        return false;
    operation->args[0].data = bytes;
    for (uint32_t i = 0; i < count; i++) {
        if (args[i].size > 0)
            memcpy(bytes, args[i].data, args[i].size);
        operation->args[i] = (struct wire_bytes){.data = bytes, .size = args[i].size};
        bytes += args[i].size;
    }
    return true;
}

static struct shard_operation *operation_new(const struct shard_request *request,
                                             struct replica *replica)
{
    struct shard_operation *operation = calloc(1, sizeof *operation);
    uint32_t keys = request->key_count;

    if (!operation)
        return NULL;
    operation->replica = replica;
    operation->link = request->link;
    operation->session = request->session;
    operation->op = *request->op;
    operation->key_count = keys;
    operation->slot_count = request->op->operation == WIRE_OP_SCAN ? SHARD_SCAN_READS : keys;
    operation->charge = request->charge;
    operation->ticket.operation = operation;
    operation->digests = malloc((keys + 1) * sizeof *operation->digests);
    operation->nodes = calloc(keys + 1, sizeof *operation->nodes);
    operation->values = calloc(operation->slot_count + 1, sizeof *operation->values);
    operation->fetched = calloc(operation->slot_count + 1, sizeof *operation->fetched);
    if (!operation->digests || !operation->nodes || !operation->values || !operation->fetched ||
        !copy_args(operation, request->args)) {
        operation_memory_free(operation);
        return NULL;
    }
    memcpy(operation->digests, request->digests, (keys + 1) * sizeof *operation->digests);
    return operation;
}

void shard_park(struct shard *shard, struct replica *replica, const struct shard_request *request)
{
    struct shard_operation *operation = operation_new(request, replica);

    if (!operation) {
        shard->fatal = -ENOMEM;
        return;
    }
    if (keyqueue_enter(&shard->keyqueue, &operation->ticket, operation->nodes, replica->partition,
                       operation->digests, operation->key_count + 1) != 0) {
        operation_memory_free(operation);
        shard_request_refuse(shard, replica, request, WIRE_STATUS_TRYAGAIN, 0);
        return;
    }
    operation->deadline_ms = shard->now_ms + request->op->budget_ms;
    operation->next = shard->operations;
    if (operation->next)
        operation->next->previous = operation;
    shard->operations = operation;
    shard->in_flight++;
    shard->in_flight_size += operation->charge;
    if (keyqueue_ready(&operation->ticket))
        operation_run(shard, operation);
}

void shard_operation_read(struct shard *shard, struct shard_read *read, const uint8_t *bytes,
                          size_t size)
{
    struct shard_operation *operation = read->owner;

    assert(operation->reads_left > 0);
    operation->reads_left--;
    if (!bytes)
        operation->read_failed = true;
    else if (!operation->cancelled) {
        wire_put_raw(&operation->values[read->part], bytes, size);
        operation->fetched[read->part].done = !operation->values[read->part].failed;
    }
    if (operation->reads_left > 0)
        return;
    if (operation->cancelled)
        operation_free(shard, operation);
    else
        operation_run(shard, operation);
    shard_run_ready(shard);
}

void shard_operations_fail(struct shard *shard, struct replica *replica)
{
    struct shard_operation *next;

    for (struct shard_operation *operation = shard->operations; operation; operation = next) {
        struct wire_op op = operation->op;

        next = operation->next;
        if (operation->cancelled || operation->replica != replica)
            continue;
        shard_client_refuse(shard, operation->link, &op, WIRE_STATUS_NOT_LEADER,
                            replica->raft.leader);
        operation_end(shard, operation);
    }
    shard_run_ready(shard);
}

void shard_operations_expire(struct shard *shard)
{
    struct shard_operation *next;

    for (struct shard_operation *operation = shard->operations; operation; operation = next) {
        struct shard_request request = operation_request(operation);

        next = operation->next;
        if (operation->cancelled || shard->now_ms <= operation->deadline_ms)
            continue;
        shard_request_refuse(shard, operation->replica, &request, WIRE_STATUS_TRYAGAIN, 0);
        operation_end(shard, operation);
    }
    shard_run_ready(shard);
}

/* At close: the host has given all jobs back, so no read is on the way. */
void shard_operations_free(struct shard *shard)
{
    while (shard->operations) {
        struct shard_operation *operation = shard->operations;

        operation->reads_left = 0;
        if (!operation->cancelled)
            keyqueue_leave(&shard->keyqueue, &operation->ticket);
        operation_free(shard, operation);
    }
    while (keyqueue_next_ready(&shard->keyqueue))
        ;
}
