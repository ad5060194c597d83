#include "tests/sim/sim_ask.h"

#include "ring/wire.h"
#include "ring/wire_load.h"
#include "tests/sim/sim_cluster.h"

#include <stdio.h>

#define ASK_US     (300 * SIM_MS)
#define ASK_NUMBER (UINT64_C(1) << 40) /* correlations of questions begin here */
#define SAMPLE_MS  1000u

static bool read_status(struct wire_cursor *cursor)
{
    struct wire_partition_status status;
    while (!wire_cursor_done(cursor) && wire_get_partition_status(cursor, &status))
        continue;
    return wire_cursor_done(cursor);
}

static bool read_moves(struct wire_cursor *cursor)
{
    struct wire_moves_head head;
    struct wire_move move;
    if (!wire_get_moves_head(cursor, &head))
        return false;
    while (!wire_cursor_done(cursor) && wire_get_move(cursor, &move))
        continue;
    return wire_cursor_done(cursor);
}

static bool read_top(struct wire_cursor *cursor)
{
    struct wire_top top;
    struct wire_top_partition partition;
    struct wire_top_key key;
    if (!wire_get_top_reply(cursor, &top))
        return false;
    for (uint32_t i = 0; i < top.partition_count; i++)
        if (!wire_get_top_partition(cursor, &partition))
            return false;
    while (!wire_cursor_done(cursor) && wire_get_top_key(cursor, &key))
        continue;
    return wire_cursor_done(cursor);
}

static bool read_flush(struct wire_cursor *cursor)
{
    struct wire_flush_state state;
    return wire_get_flush_state(cursor, &state);
}

static bool read_scrub(struct wire_cursor *cursor)
{
    struct wire_scrub_state state;
    return wire_get_scrub_state(cursor, &state);
}

static void put_nothing(struct wire_buffer *buffer)
{
    (void)buffer;
}

static void put_top(struct wire_buffer *buffer)
{
    wire_put_top(buffer, SAMPLE_MS);
}

static void put_flush(struct wire_buffer *buffer)
{
    wire_put_flush(buffer, true);
}

static void put_scrub(struct wire_buffer *buffer)
{
    wire_put_scrub(buffer, true);
}

static const struct {
    uint8_t type, reply;
    void (*put)(struct wire_buffer *buffer);
    bool (*read)(struct wire_cursor *cursor);
} questions[] = {{WIRE_SHARD_STATUS, WIRE_SHARD_STATUS_REPLY, put_nothing, read_status},
                 {WIRE_MOVES_GET, WIRE_MOVES, put_nothing, read_moves},
                 {WIRE_TOP, WIRE_TOP_REPLY, put_top, read_top},
                 {WIRE_FLUSH, WIRE_FLUSH_REPLY, put_flush, read_flush},
                 {WIRE_SCRUB, WIRE_SCRUB_REPLY, put_scrub, read_scrub}};

#define QUESTIONS (sizeof questions / sizeof questions[0])
#define ALL       ((1u << QUESTIONS) - 1)

static void ask_shard(struct sim_ask *ask, uint8_t endpoint, uint16_t shard)
{
    for (uint32_t i = 0; i < QUESTIONS; i++) {
        struct wire_buffer body = {0};
        if (ask->answered[endpoint][shard] >> i & 1)
            continue;
        questions[i].put(&body);
        struct link_message message = {.type = questions[i].type,
                                       .partition = shard,
                                       .correlation = ASK_NUMBER + shard,
                                       .body = body.data,
                                       .body_size = body.size};
        sim_net_send(ask->cluster->net, 0, endpoint, true, 0, &message);
        wire_buffer_deinit(&body);
    }
}

static bool is_asked(const struct sim_node *node)
{
    return node->state != SIM_DOWN && node->serving;
}

static void run_ask(void *context, uint64_t argument)
{
    struct sim_ask *ask = context;
    struct sim_cluster *cluster = ask->cluster;
    (void)argument;
    for (uint32_t i = 0; i < cluster->node_count; i++)
        for (uint16_t j = 0; j < cluster->sim->swarm.shards && is_asked(&cluster->nodes[i]); j++)
            ask_shard(ask, cluster->nodes[i].endpoint, j);
    sim_after(cluster->sim, ASK_US, run_ask, ask, 0);
}

void sim_ask_start(struct sim_ask *ask, struct sim_cluster *cluster)
{
    ask->cluster = cluster;
    sim_admin_return(&cluster->admin);
    run_ask(ask, 0);
}

bool sim_ask_reply(struct sim_ask *ask, const struct sim_message *message)
{
    uint64_t shard = message->message.correlation - ASK_NUMBER;
    struct wire_cursor cursor;
    if (!ask->cluster || shard >= SIM_SHARDS_MAX)
        return false;
    for (uint32_t i = 0; i < QUESTIONS; i++) {
        if (questions[i].reply != message->message.type)
            continue;
        wire_cursor_init(&cursor, message->message.body, message->message.body_size);
        if (!questions[i].read(&cursor))
            sim_fail(ask->cluster->sim, "node %u answers a question of type %u with what is none",
                     message->from, questions[i].type);
        ask->answered[message->from][shard] |= (uint8_t)(1u << i);
        return true;
    }
    return false;
}

bool sim_ask_done(const struct sim_ask *ask, char *why, size_t size)
{
    for (uint32_t i = 0; i < ask->cluster->node_count; i++) {
        const struct sim_node *node = &ask->cluster->nodes[i];
        for (uint32_t j = 0; j < ask->cluster->sim->swarm.shards; j++) {
            if (!is_asked(node) || ask->answered[node->endpoint][j] == ALL)
                continue;
            (void)snprintf(why, size, "node %u shard %u: of %x only %x", node->endpoint, j, ALL,
                           ask->answered[node->endpoint][j]);
            return false;
        }
    }
    return true;
}
