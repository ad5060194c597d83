#include "router/request.h"

#include "router/router_internal.h"
#include "router/info.h"
#include "router/scan.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static void request_free(struct router *router, struct request *request)
{
    struct request_gather *gather = request->gather;

    assert(request->parts_left == 0);
    if (gather) {
        for (uint32_t i = 0; i < gather->count; i++)
            if (gather->values[i].size > 0)
                slab_give(&router->slab, (void *)(uintptr_t)gather->values[i].data,
                          gather->values[i].size);
        slab_give(&router->slab, gather, gather->block_size);
    }
    if (request->scan)
        scan_free(router, request->scan);
    slab_give(&router->slab, request->reply, request->reply_size);
    slab_give(&router->slab, request, sizeof *request);
}

struct request *request_new(struct router *router, struct client *client, uint8_t kind, bool writes)
{
    struct request *request = slab_take(&router->slab, sizeof *request);

    if (!request)
        return NULL;
    *request = (struct request){
        .client = client, .kind = kind, .writes = writes, .protocol = client->protocol};
    if (client->last)
        client->last->next = request;
    else
        client->first = request;
    client->last = request;
    client->requests++;
    return request;
}

bool request_gather_new(struct router *router, struct request *request, uint32_t count)
{
    size_t size =
        sizeof(struct request_gather) + count * (sizeof(struct wire_bytes) + sizeof(uint32_t));
    struct request_gather *gather = slab_take(&router->slab, size);

    if (!gather)
        return false;
    memset(gather, 0, size);
    gather->count = count;
    gather->block_size = size;
    gather->values = (struct wire_bytes *)(gather + 1);
    gather->positions = (uint32_t *)(gather->values + count);
    request->gather = gather;
    return true;
}

void request_detach(struct router *router, struct request *request)
{
    request->client = NULL;
    request->next = NULL;
    if (request->kind == REQUEST_INFO) {
        struct request **at = &router->timed;

        while (*at && *at != request)
            at = &(*at)->timed_next;
        if (*at)
            *at = request->timed_next;
    }
    if (request->parts_left == 0)
        request_free(router, request);
}

/* Copies a part's values to where its keys stood in the command. */
static bool request_gather(struct router *router, struct request *request, const struct op *op,
                           const struct wire_result *result)
{
    struct request_gather *gather = request->gather;

    if (!result->values || result->value_count != op->arg_count)
        return false;
    for (uint32_t i = 0; i < result->value_count; i++) {
        const struct wire_bytes *value = &result->values[i];
        struct wire_bytes *to = &gather->values[gather->positions[op->first + i]];
        uint8_t *copy;

        if (!value->data)
            continue;
        if (value->size == 0) {
            *to = (struct wire_bytes){(const uint8_t *)"", 0};
            continue;
        }
        copy = slab_take(&router->slab, value->size);
        if (!copy)
            return false;
        memcpy(copy, value->data, value->size);
        *to = (struct wire_bytes){copy, value->size};
        request->client->replies_size += value->size;
    }
    return true;
}

static const char *request_status_text(const struct request *request)
{
    switch (request->status) {
    case WIRE_STATUS_NOSPACE:
        return "NOSPACE the cluster's disks are full: writes are refused, deletes and reads go on";
    case WIRE_STATUS_NOT_INTEGER:
        return "ERR value is not an integer or out of range";
    case WIRE_STATUS_OVERFLOW:
        return "ERR increment or decrement would overflow";
    case WIRE_STATUS_TOO_LARGE:
        if (!request->writes)
            return "ERR the values together are too large for a reply: ask for fewer at once";
        return "ERR string exceeds maximum allowed size (16777216 bytes)";
    default:
        return "ERR the cluster refused the operation as malformed";
    }
}

static void request_put_error(struct router *router, const struct request *request,
                              struct buffer *out)
{
    uint8_t outcome = request->outcome;
    char text[ROUTER_DOWN_SIZE];
    const char *down;

    if (request->executed)
        outcome = REQUEST_OUTCOME_UNKNOWN; /* in part: no refusal of the rest says so */
    router->stats.errors++;
    switch (outcome) {
    case REQUEST_OUTCOME_STATUS:
        resp_put_error(out, request_status_text(request));
        return;
    case REQUEST_OUTCOME_TRYAGAIN:
        router->stats.refused++;
        resp_put_error(out, "TRYAGAIN the operation was not executed: the cluster is busy");
        return;
    case REQUEST_OUTCOME_CLUSTERDOWN:
        router->stats.refused++;
        down = router_down(router, text);
        if (!down && router->pool.up_count == 0)
            down = "CLUSTERDOWN no storage node can be reached";
        if (!down)
            snprintf(text, sizeof text, "CLUSTERDOWN no leader is known for partition %u",
                     request->partition);
        resp_put_error(out, down ? down : text);
        return;
    default:
        router->stats.unknown++;
        resp_put_error(out, "UNKNOWNRESULT the operation may or may not have been executed");
        return;
    }
}

static void request_put_value(struct buffer *out, const struct wire_bytes *value, uint8_t protocol)
{
    if (value && value->data)
        resp_put_bulk(out, value->data, value->size);
    else
        resp_put_nil(out, protocol);
}

/* result: of the only part, or NULL when there were several. */
static void request_encode(struct router *router, struct request *request,
                           const struct wire_result *result, struct buffer *out)
{
    if (request->outcome != REQUEST_OUTCOME_OK && request->kind != REQUEST_INFO) {
        request_put_error(router, request, out);
        return;
    }
    switch (request->kind) {
    case REQUEST_OK:
        resp_put_simple(out, "OK");
        return;
    case REQUEST_SET:
        if (result && result->is_int && result->integer == 0)
            resp_put_nil(out, request->protocol);
        else
            resp_put_simple(out, "OK");
        return;
    case REQUEST_OLD:
    case REQUEST_VALUE:
        request_put_value(out,
                          !result          ? NULL
                          : result->values ? &result->values[0]
                                           : &result->bytes,
                          request->protocol);
        return;
    case REQUEST_GATHER:
        resp_put_array(out, request->gather->count);
        for (uint32_t i = 0; i < request->gather->count; i++)
            request_put_value(out, &request->gather->values[i], request->protocol);
        return;
    case REQUEST_SECONDS:
        resp_put_integer(out, request->sum < 0 ? request->sum : (request->sum + 500) / 1000);
        return;
    case REQUEST_SCAN:
        scan_reply(router, request->scan, out);
        return;
    case REQUEST_INFO:
        info_reply(router, request, out);
        return;
    default:
        assert(request->kind == REQUEST_SUM);
        resp_put_integer(out, request->sum);
        return;
    }
}

/* Encodes the reply: to the client when it is its turn, else to be kept. */
static void request_answer(struct router *router, struct request *request,
                           const struct wire_result *result)
{
    struct client *client = request->client;

    if (client->first == request) {
        request_encode(router, request, result, &client->output);
        request->ready = true;
        client_advance(router, client);
        return;
    }
    buffer_clear(&router->scratch, CLIENT_SCRATCH_KEPT);
    request_encode(router, request, result, &router->scratch);
    request->ready = true;
    request->reply = router->scratch.failed ? NULL : slab_take(&router->slab, router->scratch.size);
    if (!request->reply) {
        client_kill(router, client); /* a reply cannot be left out */
        return;
    }
    request->reply_size = router->scratch.size;
    memcpy(request->reply, router->scratch.data, router->scratch.size);
    client->replies_size += request->reply_size;
    client_output(router, client);
}

static void request_worse(struct request *request, const struct op *op, uint8_t outcome,
                          uint8_t status)
{
    if (outcome <= request->outcome)
        return;
    request->outcome = outcome;
    request->status = status;
    request->partition = op->partition;
}

/* A part of a scan's wave. When it was the last, the next wave goes out, or the reply. */
static void request_scan_part(struct router *router, struct request *request, const struct op *op,
                              uint8_t outcome, const struct wire_result *result)
{
    struct scan *scan = request->scan;
    size_t held = scan->held;
    int r;

    if (outcome == REQUEST_OUTCOME_OK && !scan_take(router, scan, op->partition, result))
        outcome = REQUEST_OUTCOME_TRYAGAIN; /* a read: asking again does no harm */
    request_worse(request, op, outcome, result ? result->status : 0);
    r = request->parts_left > 0 ? SCAN_E_MORE : scan_step(router, scan);
    request->client->replies_size += scan->held - held; /* or less of it */
    if (request->parts_left > 0) {
        client_output(router, request->client); /* for its bounds */
        return;
    }
    if (r != SCAN_E_FAILED)
        request->outcome = REQUEST_OUTCOME_OK; /* up to the part that failed, if one did */
    if (r != SCAN_E_MORE || !scatter_wave(router, request))
        request_answer(router, request, NULL);
}

void request_part_done(struct router *router, struct request *request, const struct op *op,
                       uint8_t outcome, const struct wire_result *result)
{
    assert(request->parts_left > 0);
    request->parts_left--;
    if (!request->client) {
        if (request->parts_left == 0)
            request_free(router, request);
        return;
    }
    if (request->ready)
        return;
    if (request->scan) {
        request_scan_part(router, request, op, outcome, result);
        return;
    }
    if (outcome == REQUEST_OUTCOME_OK && request->writes)
        request->executed = true;
    if (outcome == REQUEST_OUTCOME_OK && result->is_int)
        request->sum = (int64_t)((uint64_t)request->sum + (uint64_t)result->integer);
    if (outcome == REQUEST_OUTCOME_OK && request->gather &&
        !request_gather(router, request, op, result))
        outcome = REQUEST_OUTCOME_TRYAGAIN; /* a read: asking again does no harm */
    request_worse(request, op, outcome, result ? result->status : 0);
    if (request->parts_left == 0)
        request_answer(router, request, result);
    else if (request->gather)
        client_output(router, request->client); /* for its bounds */
}

uint64_t request_expire(struct router *router)
{
    while (router->timed && router->timed->expires_ms <= router->now_ms) {
        struct request *request = router->timed;

        router->timed = request->timed_next;
        request->timed_next = NULL;
        if (!request->ready && request->client)
            request_answer(router, request, NULL);
    }
    return router->timed ? router->timed->expires_ms : UINT64_MAX;
}
