#include "tests/sim/sim_workload.h"

#include "tests/sim/sim_keys.h"
#include "tests/sim/sim_resp.h"
#include "tests/sim/sim_scan.h"
#include "tests/sim/sim_words.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PENDING_MAX 8u
#define READS_MAX   200u /* about as many keys are read at the end */

struct operation {
    uint64_t number;
    uint32_t op; /* the judge's */
    uint32_t slot;
    uint8_t kind;
    uint8_t key_count;
    bool as_set; /* SETNX and GETSET written as SET with options */
    uint32_t script;
};

/* What has to succeed at the end: a read of that key, or a write of any key of that partition. */
struct script_item {
    char key[24];
    bool write;
    uint16_t partition; /* write */
};

struct client {
    struct sim_workload *workload;
    uint32_t number;
    uint32_t habit;        /* enum sim_habit */
    uint32_t judge_client; /* another one after each broken connection */
    struct sim_router *router;
    uint64_t connection; /* 0: none */
    struct operation pending[PENDING_MAX];
    uint32_t pending_count;
    uint8_t *input;
    size_t input_size, input_capacity;
    /* The last operations, one at a time. */
    struct script_item *script;
    size_t script_count, script_at;
    uint32_t script_name_last;
    bool scripted;
};

struct sim_workload {
    struct sim_cluster *cluster;
    struct judge *judge;
    struct sim_presence *presence;
    struct sim_scan *scan;
    struct sim_keys keys;
    struct client clients[SIM_CLIENTS_MAX];
    uint32_t client_count;
    struct client closers[SIM_ROUTERS_MAX];
    uint64_t number_last;
    uint32_t judge_client_last;
    bool stopped;
    bool finishing;
    struct sim_workload_stats stats;
};

static struct sim *sim_of(const struct sim_workload *workload)
{
    return workload->cluster->sim;
}

static struct sim_random *random_of(const struct sim_workload *workload)
{
    return sim_stream(sim_of(workload), SIM_STREAM_WORKLOAD);
}

static struct judge_bytes text(const char *string)
{
    return (struct judge_bytes){string, strlen(string)};
}

static void run_client(void *context, uint64_t argument);
static void run_patience(void *context, uint64_t number);

static void client_init(struct client *client, struct sim_workload *workload, uint32_t number)
{
    *client = (struct client){
        .workload = workload, .number = number, .judge_client = workload->judge_client_last++};
    const struct sim_swarm *swarm = &sim_of(workload)->swarm;
    uint64_t draw = sim_random_below(random_of(workload), 100);
    if (swarm->sides && number % 2)
        return;
    if (draw < swarm->readers)
        client->habit = SIM_HABIT_READ;
    else if (swarm->sides)
        client->habit = draw % 4 ? SIM_HABIT_ERASE : SIM_HABIT_CLAIM;
    else if (draw < 2 * swarm->readers)
        client->habit = SIM_HABIT_PROBE;
}

struct sim_workload *sim_workload_new(struct sim_cluster *cluster)
{
    struct sim_workload *workload = calloc(1, sizeof *workload);
    struct judge_options options;
    assert(workload);
    judge_options_default(&options);
    workload->cluster = cluster;
    workload->judge = judge_new(&options);
    assert(workload->judge);
    workload->presence = sim_presence_new();
    workload->scan = sim_scan_new(cluster, workload->presence);
    sim_keys_init(&workload->keys, &cluster->sim->swarm, random_of(workload));
    workload->client_count = cluster->sim->swarm.clients;
    for (uint32_t i = 0; i < workload->client_count; i++)
        client_init(&workload->clients[i], workload, i);
    for (uint32_t i = 0; i < cluster->router_count; i++)
        client_init(&workload->closers[i], workload, SIM_CLIENTS_MAX + i);
    return workload;
}

struct sim_workload *sim_workload_free(struct sim_workload *workload)
{
    if (!workload)
        return NULL;
    for (uint32_t i = 0; i < workload->client_count; i++)
        free(workload->clients[i].input);
    for (uint32_t i = 0; i < SIM_ROUTERS_MAX; i++) {
        free(workload->closers[i].input);
        free(workload->closers[i].script);
    }
    sim_keys_deinit(&workload->keys);
    judge_free(workload->judge);
    sim_scan_free(workload->scan);
    sim_presence_free(workload->presence);
    free(workload);
    return NULL;
}

struct judge *sim_workload_judge(struct sim_workload *workload)
{
    return workload->judge;
}

uint64_t sim_workload_scans(const struct sim_workload *workload)
{
    return sim_scan_iterations(workload->scan);
}

const struct sim_workload_stats *sim_workload_stats(const struct sim_workload *workload)
{
    return &workload->stats;
}

static void operation_closed(struct sim_workload *workload, const struct operation *operation)
{
    if (operation->slot < SIM_KEY_SLOTS_MAX)
        workload->keys.slots[operation->slot].open--;
}

/* Operations of unknown outcome make a key harder to judge; orders of APPENDs most of all. */
static void operation_lost(struct sim_workload *workload, const struct operation *operation)
{
    workload->stats.unknowns++;
    if (operation->slot < SIM_KEY_SLOTS_MAX && operation->kind != JUDGE_GET &&
        operation->kind != JUDGE_MGET)
        workload->keys.slots[operation->slot].risk += operation->kind == JUDGE_APPEND ? 3 : 1;
}

/* The connection is gone: what was asked for and not answered is of unknown outcome. */
static void client_disconnected(struct client *client)
{
    struct sim_workload *workload = client->workload;
    if (!client->connection)
        return;
    for (uint32_t i = 0; i < client->pending_count; i++) {
        operation_lost(workload, &client->pending[i]);
        operation_closed(workload, &client->pending[i]);
    }
    client->pending_count = 0;
    client->input_size = 0;
    client->connection = 0;
    client->judge_client = workload->judge_client_last++;
    uint64_t pause = sim_random_between(random_of(workload), SIM_MS, 50 * SIM_MS);
    sim_after(sim_of(workload), pause, run_client, client, 0);
}

static void client_close(struct client *client)
{
    if (client->connection)
        sim_router_client_close(client->router, client->connection);
    client_disconnected(client);
}

static bool client_connect(struct client *client)
{
    struct sim_cluster *cluster = client->workload->cluster;
    uint32_t wanted = client->scripted ? client->number - SIM_CLIENTS_MAX
                                       : (uint32_t)sim_random_below(random_of(client->workload),
                                                                    cluster->router_count);
    if (sim_of(client->workload)->swarm.sides && !client->scripted)
        wanted = client->habit == SIM_HABIT_ALL;
    client->router = &cluster->routers[wanted];
    if (client->router->state != SIM_UP)
        return false;
    client->connection = sim_router_client_open(client->router);
    return true;
}

static void operation_send(struct client *client, struct judge_call *call,
                           struct operation operation)
{
    struct sim_workload *workload = client->workload;
    struct sim *sim = sim_of(workload);
    struct sim_command command = {0};
    struct sim_words words;
    operation.number = workload->number_last;
    operation.kind = call->kind;
    operation.key_count = call->key_count;
    call->time = sim->now_us;
    call->client = client->judge_client;
    int r = judge_call(workload->judge, call, &operation.op);
    assert(r == 0);
    sim_presence_call(workload->presence, operation.op, call);
    sim_words_of(&words, call, operation.as_set);
    sim_command_put(&command, words.items, words.count);
    sim_router_client_send(client->router, client->connection, command.bytes, command.size);
    sim_command_deinit(&command);
    client->pending[client->pending_count++] = operation;
    workload->stats.calls++;
    workload->stats.by_kind[call->kind]++;
    sim_fold(sim, 6, call->kind, operation.number);
    sim_trace(sim, 2, "client %u op %u %.*s %.*s %.*s", client->number, operation.op,
              (int)words.items[0].size, (const char *)words.items[0].data, (int)words.items[1].size,
              (const char *)words.items[1].data,
              words.count > 2 ? (int)words.items[2].size % 80 : 0,
              words.count > 2 ? (const char *)words.items[2].data : "");
    sim_after(sim, sim->swarm.give_up_ms * SIM_MS, run_patience, client, operation.number);
}

static bool kind_has_value(uint8_t kind)
{
    return kind == JUDGE_SET || kind == JUDGE_SETNX || kind == JUDGE_APPEND ||
           kind == JUDGE_GETSET || kind == JUDGE_MSET || kind == JUDGE_SETPX;
}

static void operation_random(struct client *client)
{
    struct sim_workload *workload = client->workload;
    struct sim_random *random = random_of(workload);
    uint32_t number = sim_keys_choose(&workload->keys, random);
    if (number == SIM_KEY_SLOTS_MAX)
        return;
    sim_keys_turn(&workload->keys, number, &sim_of(workload)->swarm, random);
    struct sim_key_slot *slot = &workload->keys.slots[number];
    char values[SIM_TAG_KEYS][SIM_VALUE_SIZE_MAX];
    struct judge_call call = {
        .kind = sim_keys_kind(slot, &sim_of(workload)->swarm, client->habit, random),
        .key_count = 1};
    struct operation operation = {.slot = number};
    if (call.kind == SIM_KEY_KIND_NONE)
        return;
    slot->ops++;
    slot->open++;
    workload->number_last++;
    bool batch = call.kind == JUDGE_MSET || call.kind == JUDGE_MGET ||
                 (call.kind == JUDGE_DEL && slot->name_count > 1);
    uint32_t first = (uint32_t)sim_random_below(random, slot->name_count);
    if (batch)
        call.key_count = (uint8_t)sim_random_between(random, 1, slot->name_count);
    for (uint8_t i = 0; i < call.key_count; i++) {
        call.keys[i] = text(slot->names[(first + i) % slot->name_count]);
        if (!kind_has_value(call.kind))
            continue;
        bool numeric = slot->character == SIM_KEY_COUNTER ||
                       (slot->character == SIM_KEY_ANY && sim_random_below(random, 3) == 0 &&
                        call.kind != JUDGE_APPEND);
        call.values[i].data = values[i];
        call.values[i].size = sim_keys_value(sim_of(workload), client->judge_client,
                                             workload->number_last, numeric, values[i]);
    }
    call.delta = sim_random_below(random, 4) ? 1 : (int64_t)sim_random_below(random, 5) - 2;
    if (call.kind == JUDGE_SETPX) {
        call.delta = (int64_t)sim_random_between(random, 200, 5000);
        call.goes_from = sim_cluster_goes_from(workload->cluster, (uint64_t)call.delta);
    }
    operation.as_set =
        (call.kind == JUDGE_SETNX || call.kind == JUDGE_GETSET) && sim_random_below(random, 2);
    operation_send(client, &call, operation);
}

/* A fresh key of the partition, by trying names: each attempt gets its own, so that no key collects
 * the unknown outcomes of attempts that have to be repeated. */
static void script_name(struct client *client, struct script_item *item)
{
    const struct ringmap *map = &client->workload->cluster->map;
    int size;
    do
        size = snprintf(item->key, sizeof item->key, "last%u.%u", client->number,
                        client->script_name_last++);
    while (hash_partition(map->hash_secret, map->partition_count, item->key, (size_t)size, NULL) !=
           item->partition);
}

static void operation_scripted(struct client *client)
{
    struct sim_workload *workload = client->workload;
    struct script_item *item = &client->script[client->script_at];
    char value[64];
    struct judge_call call = {.kind = item->write ? JUDGE_SET : JUDGE_GET, .key_count = 1};
    struct operation operation = {.slot = SIM_KEY_SLOTS_MAX};
    workload->number_last++;
    if (item->write)
        script_name(client, item);
    call.keys[0] = text(item->key);
    if (item->write)
        call.values[0] = (struct judge_bytes){
            value, (size_t)snprintf(value, sizeof value, "last%" PRIu64, workload->number_last)};
    operation_send(client, &call, operation);
}

/* argument: 1 when it is the client's own clock, which then runs on. */
static void run_client(void *context, uint64_t argument)
{
    struct client *client = context;
    struct sim_workload *workload = client->workload;
    struct sim *sim = sim_of(workload);
    uint32_t pipeline = client->scripted ? 1 : sim->swarm.pipeline_max;
    bool more = client->scripted ? client->script_at < client->script_count : !workload->stopped;
    if (more && (client->connection || client_connect(client)) &&
        client->pending_count < pipeline) {
        if (client->scripted)
            operation_scripted(client);
        else
            operation_random(client);
    }
    if (argument != 1)
        return;
    uint64_t think = client->scripted ? 5 * SIM_MS : sim->swarm.think_us;
    think = think / 2 + sim_random_below(random_of(workload), think + 1);
    sim_after(sim, think, run_client, client, 1);
}

static void run_patience(void *context, uint64_t number)
{
    struct client *client = context;
    for (uint32_t i = 0; i < client->pending_count; i++)
        if (client->pending[i].number == number && !client->scripted) {
            client->workload->stats.give_ups++;
            sim_trace(sim_of(client->workload), 2, "client %u gives up on op %u", client->number,
                      client->pending[i].op);
            client_close(client);
            return;
        }
}

static bool starts(const struct judge_bytes *bytes, const char *prefix)
{
    size_t size = strlen(prefix);
    return bytes->size >= size && memcmp(bytes->data, prefix, size) == 0;
}

static void unexpected(struct client *client, const struct operation *operation,
                       const struct sim_reply *reply)
{
    sim_fail(sim_of(client->workload), "client %u op %u of kind %u got an unexpected reply %c%.*s",
             client->number, operation->op, operation->kind, reply->type, (int)reply->text.size,
             reply->text.data ? (const char *)reply->text.data : "");
}

/* Error replies and their contract. Returns true when the operation is over without a result. */
static bool reply_error(struct client *client, const struct operation *operation,
                        const struct sim_reply *reply)
{
    struct sim_workload *workload = client->workload;
    if (reply->type != '-')
        return false;
    if (operation->kind == JUDGE_INCR && starts(&reply->text, "ERR"))
        return false;
    if (starts(&reply->text, "UNKNOWNRESULT")) {
        operation_lost(workload, operation);
    } else if (starts(&reply->text, "TRYAGAIN") || starts(&reply->text, "CLUSTERDOWN") ||
               starts(&reply->text, "NOSPACE")) {
        judge_fail(workload->judge, operation->op, sim_of(workload)->now_us);
        sim_presence_fail(workload->presence, operation->op);
        workload->stats.failures++;
    } else {
        unexpected(client, operation, reply);
    }
    return true;
}

static void reply_judge(struct client *client, const struct operation *operation,
                        const struct sim_reply *reply)
{
    struct judge_reply result = {.integer = reply->integer};
    char expected = 0;
    switch (operation->kind) {
    case JUDGE_SET:
    case JUDGE_MSET:
    case JUDGE_SETPX:
        expected = '+';
        break;
    case JUDGE_SETNX:
        expected = operation->as_set ? reply->type : ':';
        if (operation->as_set)
            result.integer = reply->type == '+';
        break;
    case JUDGE_INCR:
        result.error = reply->type == '-';
        expected = result.error ? '-' : ':';
        break;
    case JUDGE_APPEND:
    case JUDGE_DEL:
    case JUDGE_PERSIST:
        expected = ':';
        break;
    case JUDGE_MGET:
        expected = reply->item_count == operation->key_count ? '*' : '?';
        memcpy(result.values, reply->items, sizeof reply->items);
        break;
    default:
        expected = '$';
        result.values[0] = reply->text;
    }
    if (reply->type != expected) {
        unexpected(client, operation, reply);
        return;
    }
    int r = judge_return(client->workload->judge, operation->op, sim_of(client->workload)->now_us,
                         &result);
    assert(r == 0);
    sim_presence_return(client->workload->presence, operation->op, sim_of(client->workload)->now_us,
                        result.integer);
    client->workload->stats.returns++;
}

static void reply_take(struct client *client, const struct sim_reply *reply)
{
    struct sim *sim = sim_of(client->workload);
    if (client->pending_count == 0) {
        sim_fail(sim, "client %u got a reply to nothing", client->number);
        return;
    }
    struct operation operation = client->pending[0];
    operation_closed(client->workload, &operation);
    client->pending_count--;
    memmove(&client->pending[0], &client->pending[1],
            client->pending_count * sizeof client->pending[0]);
    sim_trace(sim, 2, "client %u op %u -> %c%" PRId64 " %.*s", client->number, operation.op,
              reply->type, reply->integer, (int)(reply->text.size < 80 ? reply->text.size : 80),
              reply->text.data ? (const char *)reply->text.data : "");
    sim_fold(sim, 7, operation.number, (uint64_t)reply->type);
    bool over = reply_error(client, &operation, reply);
    if (!over)
        reply_judge(client, &operation, reply);
    if (client->scripted && !over)
        client->script_at++;
}

static struct client *client_find(struct sim_workload *workload, uint64_t connection)
{
    for (uint32_t i = 0; i < workload->client_count; i++)
        if (workload->clients[i].connection == connection)
            return &workload->clients[i];
    for (uint32_t i = 0; i < workload->cluster->router_count; i++)
        if (workload->closers[i].connection == connection)
            return &workload->closers[i];
    return NULL;
}

void sim_workload_bytes(struct sim_workload *workload, uint64_t connection, const uint8_t *bytes,
                        size_t size, bool close)
{
    struct client *client = client_find(workload, connection);
    if (!client) { /* the scan's, or one that it has closed meanwhile */
        sim_scan_bytes(workload->scan, connection, bytes, size, close);
        return;
    }
    if (client->input_size + size > client->input_capacity) {
        client->input_capacity = (client->input_size + size) * 2;
        client->input = realloc(client->input, client->input_capacity);
        assert(client->input);
    }
    if (size)
        memcpy(client->input + client->input_size, bytes, size);
    client->input_size += size;
    size_t at = 0;
    int64_t used = 0;
    struct sim_reply reply;
    while (client->connection == connection &&
           (used = sim_reply_parse(client->input + at, client->input_size - at, &reply)) > 0) {
        reply_take(client, &reply);
        at += (size_t)used;
    }
    if (used < 0)
        sim_fail(sim_of(workload), "client %u got bytes that are no RESP", client->number);
    memmove(client->input, client->input + at, client->input_size - at);
    client->input_size -= at;
    if (close)
        client_disconnected(client);
}

void sim_workload_router_stopped(struct sim_workload *workload, const struct sim_router *router)
{
    for (uint32_t i = 0; i < workload->client_count; i++)
        if (workload->clients[i].router == router)
            client_disconnected(&workload->clients[i]);
    sim_scan_router_stopped(workload->scan, router);
}

void sim_workload_drop(struct sim_workload *workload)
{
    for (uint32_t i = 0; i < workload->client_count; i++)
        if (sim_random_below(random_of(workload), 2))
            client_close(&workload->clients[i]);
}

void sim_workload_start(struct sim_workload *workload)
{
    for (uint32_t i = 0; i < workload->client_count; i++)
        sim_after(sim_of(workload), sim_random_below(random_of(workload), 100 * SIM_MS), run_client,
                  &workload->clients[i], 1);
    sim_scan_start(workload->scan);
}

void sim_workload_stop(struct sim_workload *workload)
{
    workload->stopped = true;
}

void sim_workload_finish(struct sim_workload *workload)
{
    struct sim *sim = sim_of(workload);
    uint32_t routers = workload->cluster->router_count;
    workload->finishing = true;
    sim_scan_finish(workload->scan);
    for (uint32_t i = 0; i < routers; i++) {
        struct client *client = &workload->closers[i];
        client->scripted = true;
        client->script = calloc(workload->keys.all_count + SIM_PARTITIONS, sizeof *client->script);
        assert(client->script);
        for (uint16_t partition = 0; partition < SIM_PARTITIONS; partition++)
            client->script[client->script_count++] =
                (struct script_item){.write = true, .partition = partition};
        /* The newest ones and a part of the older ones. */
        size_t count = workload->keys.all_count, step = routers * (1 + count / READS_MAX);
        for (size_t k = i; k < count; k += k + READS_MAX / 2 < count ? step : routers)
            memcpy(client->script[client->script_count++].key, workload->keys.all[k],
                   sizeof client->script[0].key);
        sim_after(sim, 0, run_client, client, 1);
    }
}

size_t sim_workload_left(const struct sim_workload *workload)
{
    size_t most = 0;
    for (uint32_t i = 0; i < workload->cluster->router_count; i++) {
        const struct client *client = &workload->closers[i];
        size_t left = client->script_count - client->script_at;
        most = left > most ? left : most;
    }
    return most;
}

bool sim_workload_finished(const struct sim_workload *workload)
{
    for (uint32_t i = 0; i < workload->cluster->router_count; i++)
        if (!workload->finishing ||
            workload->closers[i].script_at < workload->closers[i].script_count)
            return false;
    return sim_scan_finished(workload->scan);
}

void sim_workload_describe(const struct sim_workload *workload, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    if (!sim_scan_finished(workload->scan))
        used += (size_t)snprintf(out, size, " a scan");
    for (uint32_t i = 0; i < workload->cluster->router_count && used < size; i++) {
        const struct client *client = &workload->closers[i];
        if (client->script_at >= client->script_count)
            continue;
        const struct script_item *item = &client->script[client->script_at];
        uint16_t partition = hash_partition(workload->cluster->map.hash_secret, SIM_PARTITIONS,
                                            item->key, strlen(item->key), NULL);
        used += (size_t)snprintf(out + used, size - used, " router %u: %s of %s (p%02u)", i,
                                 item->write ? "write" : "read", item->key, partition);
    }
}
