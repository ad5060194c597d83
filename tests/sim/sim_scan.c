#include "tests/sim/sim_scan.h"

#include "tests/sim/sim_resp.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CURSOR_SIZE 24u

struct sim_scan {
    struct sim_cluster *cluster;
    const struct sim_presence *presence;
    struct sim_router *router;
    uint64_t connection; /* 0: none */
    char cursor[CURSOR_SIZE];
    bool asked;
    bool finishing; /* the iteration under way is the last */
    bool finished;
    uint64_t begin_us; /* of the iteration */
    uint64_t call_us;  /* of the call under way */
    uint64_t iterations;
    uint64_t iteration_last; /* counts those begun */
    uint64_t *seen;          /* by key: the iteration in which it came last */
    uint32_t seen_capacity;
    uint8_t *input;
    size_t input_size, input_capacity;
};

static struct sim *sim_of(const struct sim_scan *scan)
{
    return scan->cluster->sim;
}

static struct sim_random *random_of(const struct sim_scan *scan)
{
    return sim_stream(sim_of(scan), SIM_STREAM_SCAN);
}

struct sim_scan *sim_scan_new(struct sim_cluster *cluster, const struct sim_presence *presence)
{
    struct sim_scan *scan = calloc(1, sizeof *scan);
    assert(scan);
    scan->cluster = cluster;
    scan->presence = presence;
    return scan;
}

struct sim_scan *sim_scan_free(struct sim_scan *scan)
{
    if (!scan)
        return NULL;
    free(scan->seen);
    free(scan->input);
    free(scan);
    return NULL;
}

static void iteration_begin(struct sim_scan *scan)
{
    (void)snprintf(scan->cursor, sizeof scan->cursor, "0");
    scan->begin_us = 0;
    scan->iteration_last++;
}

/* --- calls ------------------------------------------------------------------------------------ */

static void disconnected(struct sim_scan *scan)
{
    scan->connection = 0;
    scan->input_size = 0;
    scan->asked = false;
}

static bool connect(struct sim_scan *scan)
{
    struct sim_cluster *cluster = scan->cluster;
    scan->router = &cluster->routers[sim_random_below(random_of(scan), cluster->router_count)];
    if (scan->router->state != SIM_UP)
        return false;
    scan->connection = sim_router_client_open(scan->router);
    return true;
}

static void ask(struct sim_scan *scan)
{
    struct sim *sim = sim_of(scan);
    struct sim_command command = {0};
    char count[CURSOR_SIZE];
    struct judge_bytes words[] = {
        {"SCAN", 4}, {scan->cursor, strlen(scan->cursor)}, {"COUNT", 5}, {count, 0}};
    words[3].size = (size_t)snprintf(count, sizeof count, "%" PRIu64,
                                     sim_random_between(random_of(scan), 1, 40));
    scan->asked = true;
    scan->call_us = sim->now_us;
    if (scan->begin_us == 0)
        scan->begin_us = sim->now_us;
    sim_command_put(&command, words, sizeof words / sizeof words[0]);
    sim_router_client_send(scan->router, scan->connection, command.bytes, command.size);
    sim_command_deinit(&command);
    sim_fold(sim, 8, scan->iteration_last, scan->call_us);
    sim_trace(sim, 2, "scan %" PRIu64 " from %s", scan->iteration_last, scan->cursor);
}

static void run_scan(void *context, uint64_t argument)
{
    struct sim_scan *scan = context;
    struct sim *sim = sim_of(scan);
    uint64_t pause = sim_random_between(random_of(scan), SIM_MS, 40 * SIM_MS);
    (void)argument;
    if (scan->finished)
        return;
    if (scan->asked && sim->now_us > scan->call_us + sim->swarm.give_up_ms * SIM_MS) {
        if (scan->connection)
            sim_router_client_close(scan->router, scan->connection);
        disconnected(scan);
    }
    if (!scan->asked && (scan->connection || connect(scan)))
        ask(scan);
    sim_after(sim, pause, run_scan, scan, 0);
}

void sim_scan_start(struct sim_scan *scan)
{
    if (!sim_of(scan)->swarm.scans) {
        scan->finished = true;
        return;
    }
    iteration_begin(scan);
    sim_after(sim_of(scan), SIM_MS, run_scan, scan, 0);
}

void sim_scan_finish(struct sim_scan *scan)
{
    scan->finishing = true;
    if (!scan->finished)
        iteration_begin(scan);
    if (scan->connection)
        sim_router_client_close(scan->router, scan->connection);
    disconnected(scan);
}

bool sim_scan_finished(const struct sim_scan *scan)
{
    return scan->finished;
}

uint64_t sim_scan_iterations(const struct sim_scan *scan)
{
    return scan->iterations;
}

/* --- answers ---------------------------------------------------------------------------------- */

static void key_take(struct sim_scan *scan, const struct judge_bytes *name)
{
    struct sim *sim = sim_of(scan);
    uint32_t key = sim_presence_find(scan->presence, name);
    if (key == SIM_PRESENCE_NONE) {
        sim_fail(sim, "SCAN gave %.*s, which nobody wrote", (int)name->size,
                 (const char *)name->data);
        return;
    }
    if (!sim_presence_may(scan->presence, key, scan->call_us, sim->now_us))
        sim_fail(sim, "SCAN gave %s, which was not there since %" PRIu64 " us",
                 sim_presence_name(scan->presence, key), scan->call_us);
    if (key >= scan->seen_capacity) {
        uint32_t capacity = 2 * sim_presence_count(scan->presence);
        scan->seen = realloc(scan->seen, capacity * sizeof *scan->seen);
        assert(scan->seen);
        memset(scan->seen + scan->seen_capacity, 0,
               (capacity - scan->seen_capacity) * sizeof *scan->seen);
        scan->seen_capacity = capacity;
    }
    scan->seen[key] = scan->iteration_last;
}

static void iteration_end(struct sim_scan *scan)
{
    struct sim *sim = sim_of(scan);
    for (uint32_t key = 0; key < sim_presence_count(scan->presence); key++) {
        bool came = key < scan->seen_capacity && scan->seen[key] == scan->iteration_last;
        if (!came && sim_presence_must(scan->presence, key, scan->begin_us, sim->now_us))
            sim_fail(sim, "SCAN missed %s, which was there from %" PRIu64 " us on",
                     sim_presence_name(scan->presence, key), scan->begin_us);
    }
    scan->iterations++;
    scan->finished = scan->finishing;
    iteration_begin(scan);
}

static void reply_take(struct sim_scan *scan, const struct sim_scan_reply *reply)
{
    static const char *const later[] = {"TRYAGAIN", "CLUSTERDOWN", "UNKNOWNRESULT"};
    scan->asked = false;
    for (size_t i = 0; reply->type == '-' && i < sizeof later / sizeof later[0]; i++)
        if (reply->cursor.size >= strlen(later[i]) &&
            memcmp(reply->cursor.data, later[i], strlen(later[i])) == 0)
            return;
    if (reply->type != '*' || reply->cursor.size >= CURSOR_SIZE) {
        sim_fail(sim_of(scan), "SCAN got an unexpected reply %c%.*s", reply->type,
                 (int)reply->cursor.size,
                 reply->cursor.data ? (const char *)reply->cursor.data : "");
        return;
    }
    memcpy(scan->cursor, reply->cursor.data, reply->cursor.size);
    scan->cursor[reply->cursor.size] = 0;
    for (size_t i = 0; i < reply->key_count; i++)
        key_take(scan, &reply->keys[i]);
    if (strcmp(scan->cursor, "0") == 0)
        iteration_end(scan);
}

void sim_scan_bytes(struct sim_scan *scan, uint64_t connection, const uint8_t *bytes, size_t size,
                    bool close)
{
    static struct sim_scan_reply reply; /* large */
    if (!scan->connection || connection != scan->connection)
        return;
    if (scan->input_size + size > scan->input_capacity) {
        scan->input_capacity = (scan->input_size + size) * 2;
        scan->input = realloc(scan->input, scan->input_capacity);
        assert(scan->input);
    }
    if (size)
        memcpy(scan->input + scan->input_size, bytes, size);
    scan->input_size += size;
    int64_t used = sim_scan_reply_parse(scan->input, scan->input_size, &reply);
    if (used < 0 || (used > 0 && (!scan->asked || (size_t)used != scan->input_size))) {
        sim_fail(sim_of(scan), "SCAN got bytes that answer nothing");
        return;
    }
    if (used > 0) {
        reply_take(scan, &reply);
        scan->input_size = 0;
    }
    if (close)
        disconnected(scan);
}

void sim_scan_router_stopped(struct sim_scan *scan, const struct sim_router *router)
{
    if (scan->connection && scan->router == router)
        disconnected(scan);
}
