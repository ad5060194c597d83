#include "router/scatter.h"

#include "router/router_internal.h"
#include "router/scan.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SCATTER_NONE       UINT32_MAX
#define SCATTER_UNITS_KEPT 4096u
#define SCATTER_KEY_MAX    65535u

int scatter_init(struct scatter *scatter, uint32_t partitions)
{
    *scatter = (struct scatter){.partition_count = partitions};
    scatter->heads = malloc(partitions * sizeof(uint32_t));
    scatter->tails = malloc(partitions * sizeof(uint32_t));
    if (!scatter->heads || !scatter->tails) {
        scatter_deinit(scatter);
        return -ENOMEM;
    }
    for (uint32_t p = 0; p < partitions; p++)
        scatter->heads[p] = SCATTER_NONE;
    return 0;
}

void scatter_deinit(struct scatter *scatter)
{
    free(scatter->heads);
    free(scatter->tails);
    free(scatter->next);
    free(scatter->partitions);
    *scatter = (struct scatter){0};
}

static void scatter_trim(struct scatter *scatter)
{
    if (scatter->capacity <= SCATTER_UNITS_KEPT)
        return;
    free(scatter->next);
    free(scatter->partitions);
    scatter->next = NULL;
    scatter->partitions = NULL;
    scatter->capacity = 0;
}

static bool scatter_reserve(struct scatter *scatter, uint32_t units)
{
    uint32_t *next;
    uint16_t *partitions;

    if (units <= scatter->capacity)
        return true;
    next = realloc(scatter->next, units * sizeof *next);
    if (next)
        scatter->next = next;
    partitions = realloc(scatter->partitions, units * sizeof *partitions);
    if (partitions)
        scatter->partitions = partitions;
    if (!next || !partitions)
        return false;
    scatter->capacity = units;
    return true;
}

/* Groups the units by partition; returns how many partitions are touched. */
static uint32_t scatter_group(const struct router *router, struct scatter *scatter,
                              const struct scatter_plan *plan)
{
    uint32_t touched = 0;

    for (uint32_t i = 0; i < plan->units; i++) {
        const struct wire_bytes *key = &plan->args[(size_t)i * plan->stride];
        uint16_t p = hash_partition(router->map.hash_secret, scatter->partition_count, key->data,
                                    key->size, NULL);

        scatter->next[i] = SCATTER_NONE;
        if (scatter->heads[p] == SCATTER_NONE) {
            scatter->heads[p] = i;
            scatter->partitions[touched++] = p;
        } else {
            scatter->next[scatter->tails[p]] = i;
        }
        scatter->tails[p] = i;
    }
    return touched;
}

/* How much of a group, from `unit` on, fits one operation. */
struct scatter_cut {
    uint32_t units;
    size_t size;
    uint32_t next; /* where the next one begins; SCATTER_NONE: the group is done */
};

static struct scatter_cut scatter_cut(const struct scatter *scatter,
                                      const struct scatter_plan *plan, uint32_t unit)
{
    struct scatter_cut cut = {.next = unit};

    while (cut.next != SCATTER_NONE) {
        const struct wire_bytes *args = &plan->args[(size_t)cut.next * plan->stride];
        size_t size = 0;

        for (uint32_t j = 0; j < plan->stride; j++)
            size += args[j].size;
        if (cut.units > 0 && (cut.size + size > SCATTER_SIZE_MAX ||
                              (cut.units + 1) * plan->stride > SCATTER_ARGS_MAX))
            break;
        cut.units++;
        cut.size += size;
        cut.next = scatter->next[cut.next];
    }
    return cut;
}

static const char *scatter_refusal(const struct router *router, const struct scatter_plan *plan,
                                   char text[ROUTER_DOWN_SIZE])
{
    for (uint32_t i = 0; i < plan->units; i++) {
        const struct wire_bytes *args = &plan->args[(size_t)i * plan->stride];

        if (args[0].size == 0 || args[0].size > SCATTER_KEY_MAX)
            return "ERR a key has 1 to 65535 bytes";
        for (uint32_t j = 1; j < plan->stride; j++) {
            if (args[j].size <= router->options.value_size_max)
                continue;
            snprintf(text, ROUTER_DOWN_SIZE, "ERR string exceeds maximum allowed size (%zu bytes)",
                     router->options.value_size_max);
            return text;
        }
    }
    return router_down(router, text);
}

bool scatter_admitted(const struct router *router, uint32_t operations, size_t size)
{
    return router->operations + operations <= router->options.operations_max &&
           router->operations_size + size <= router->options.operations_size_max;
}

static void scatter_full(struct router *router, struct client *client)
{
    router->stats.refused++;
    client_error(router, client,
                 "TRYAGAIN the operation was not executed: too many are waiting in the router");
}

static void scatter_give_up(struct router *router, struct op *ops)
{
    while (ops) {
        struct op *next = ops->next;

        op_end(router, ops);
        op_free(router, ops);
        ops = next;
    }
}

/* Operations of all groups, linked by next, not in lanes yet. NULL on no memory. */
static struct op *scatter_build(struct router *router, struct request *request,
                                const struct scatter_plan *plan, uint32_t touched)
{
    struct scatter *scatter = &router->scatter;
    struct op *first = NULL;
    struct op **last = &first;
    uint32_t position = 0;

    for (uint32_t t = 0; t < touched; t++) {
        uint32_t unit = scatter->heads[scatter->partitions[t]];

        while (unit != SCATTER_NONE) {
            struct scatter_cut cut = scatter_cut(scatter, plan, unit);
            struct op *op = op_new(router, request, plan->operation, plan->flags,
                                   cut.units * plan->stride, cut.size);
            uint32_t arg = 0;

            if (!op) {
                scatter_give_up(router, first);
                return NULL;
            }
            op->partition = scatter->partitions[t];
            op->first = position;
            for (; unit != cut.next; unit = scatter->next[unit]) {
                for (uint32_t j = 0; j < plan->stride; j++)
                    op_arg(op, arg++, &plan->args[(size_t)unit * plan->stride + j]);
                if (request->gather)
                    request->gather->positions[position] = unit;
                position++;
            }
            *last = op;
            last = &op->next;
        }
    }
    return first;
}

static void scatter_queue(struct router *router, struct request *request, struct op *ops)
{
    while (ops) {
        struct op *next = ops->next;

        ops->next = NULL;
        request->parts_left++;
        lane_add(router, &router->lanes[ops->partition], ops);
        ops = next;
    }
}

/* Out of memory with a request in the queue: the reply is an error, or the client goes. */
static void scatter_failed(struct router *router, struct client *client)
{
    client_kill(router, client);
}

static void scatter_single(struct router *router, struct client *client,
                           const struct scatter_plan *plan)
{
    struct op *op;
    struct request *request;
    size_t size = 0;

    for (uint32_t j = 0; j < plan->stride; j++)
        size += plan->args[j].size;
    if (!scatter_admitted(router, 1, size)) {
        scatter_full(router, client);
        return;
    }
    request = request_new(router, client, plan->kind, wire_operation_writes(plan->operation));
    op = request ? op_new(router, request, plan->operation, plan->flags, plan->stride, size) : NULL;
    if (!op) {
        scatter_failed(router, client);
        return;
    }
    for (uint32_t j = 0; j < plan->stride; j++)
        op_arg(op, j, &plan->args[j]);
    op->partition = hash_partition(router->map.hash_secret, router->lane_count, plan->args[0].data,
                                   plan->args[0].size, NULL);
    request->parts_left = 1;
    lane_add(router, &router->lanes[op->partition], op);
}

static void scatter_multiple(struct router *router, struct client *client,
                             const struct scatter_plan *plan)
{
    struct scatter *scatter = &router->scatter;
    struct request *request;
    struct op *ops = NULL;
    uint32_t touched, operations = 0;
    size_t size = 0;

    if (!scatter_reserve(scatter, plan->units)) {
        client_error(router, client, "OOM out of memory: the command was not executed");
        return;
    }
    touched = scatter_group(router, scatter, plan);
    for (uint32_t t = 0; t < touched; t++)
        for (uint32_t unit = scatter->heads[scatter->partitions[t]]; unit != SCATTER_NONE;) {
            struct scatter_cut cut = scatter_cut(scatter, plan, unit);

            operations++;
            size += cut.size;
            unit = cut.next;
        }
    if (scatter_admitted(router, operations, size)) {
        request = request_new(router, client, plan->kind, wire_operation_writes(plan->operation));
        if (request &&
            (plan->kind != REQUEST_GATHER || request_gather_new(router, request, plan->units)))
            ops = scatter_build(router, request, plan, touched);
        if (ops)
            scatter_queue(router, request, ops);
        else
            scatter_failed(router, client);
    } else {
        scatter_full(router, client);
    }
    for (uint32_t t = 0; t < touched; t++)
        scatter->heads[scatter->partitions[t]] = SCATTER_NONE;
    scatter_trim(scatter);
}

void scatter_command(struct router *router, struct client *client, const struct scatter_plan *plan)
{
    char text[ROUTER_DOWN_SIZE];
    const char *refusal = scatter_refusal(router, plan, text);

    assert(plan->units > 0);
    if (refusal)
        client_error(router, client, refusal);
    else if (plan->units == 1 && plan->kind != REQUEST_GATHER)
        scatter_single(router, client, plan);
    else
        scatter_multiple(router, client, plan);
}

/* The operation for one part of the wave. */
static struct op *scatter_scan_op(struct router *router, struct request *request, uint32_t part)
{
    const struct scan *scan = request->scan;
    char texts[2][24];
    uint64_t numbers[2] = {part == 0 ? scan->position : 0, scan->wanted - scan->seen};
    struct wire_bytes words[2];
    struct op *op;

    for (int i = 0; i < 2; i++) {
        int size = snprintf(texts[i], sizeof texts[i], "%" PRIu64, numbers[i]);

        words[i] = (struct wire_bytes){(const uint8_t *)texts[i], (size_t)size};
    }
    op = op_new(router, request, WIRE_OP_SCAN, 0, 2, words[0].size + words[1].size);
    if (!op)
        return NULL;
    op_arg(op, 0, &words[0]);
    op_arg(op, 1, &words[1]);
    op->partition = (uint16_t)(scan->partition + part);
    return op;
}

bool scatter_wave(struct router *router, struct request *request)
{
    struct op *first = NULL;
    struct op **last = &first;

    if (!scatter_admitted(router, request->scan->width, 0))
        return false;
    for (uint32_t part = 0; part < request->scan->width; part++) {
        struct op *op = scatter_scan_op(router, request, part);

        if (!op) {
            scatter_give_up(router, first);
            return false;
        }
        *last = op;
        last = &op->next;
    }
    scatter_queue(router, request, first);
    return true;
}

void scatter_scan(struct router *router, struct client *client, struct scan *scan)
{
    struct request *request;

    if (!scatter_admitted(router, 1, 0)) {
        scan_free(router, scan);
        scatter_full(router, client);
        return;
    }
    request = request_new(router, client, REQUEST_SCAN, false);
    if (request)
        request->scan = scan; /* its from here on */
    else
        scan_free(router, scan);
    if (!request || !scatter_wave(router, request))
        scatter_failed(router, client);
}

struct request *scatter_count(struct router *router, struct client *client, uint8_t kind,
                              uint64_t expires_ms, uint32_t sections)
{
    struct request *request;
    struct op *first = NULL;
    struct op **last = &first;

    assert(router->map_known);
    if (!scatter_admitted(router, router->lane_count, 0)) {
        scatter_full(router, client);
        return NULL;
    }
    request = request_new(router, client, kind, false);
    for (uint32_t p = 0; request && p < router->lane_count; p++) {
        struct op *op = op_new(router, request, WIRE_OP_COUNT, 0, 0, 0);

        if (!op) {
            scatter_give_up(router, first);
            request = NULL;
            break;
        }
        op->partition = (uint16_t)p;
        *last = op;
        last = &op->next;
    }
    if (!request) {
        scatter_failed(router, client);
        return NULL;
    }
    request->expires_ms = expires_ms;
    request->sections = sections;
    scatter_queue(router, request, first);
    return request;
}
