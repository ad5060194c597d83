/* The whole process but its command line: real sockets, a real link, a model behind it. */
#include "harness.h"

#include "ring/link_nng.h"
#include "router/server_uv.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STAGE_PARTITIONS 8u

/* A node of a cluster of one, and a router for it. */
struct stage {
    struct harness *model;
    pthread_mutex_t lock;
    struct fabric *fabric;
    struct identity identity;
    struct ticket ticket;
    struct ringmap map;
    bool founded;
    pthread_t thread;
    struct server_uv_options options;
    const char *seeds[1];
    char seed[64];
    int ready[2];
    uint16_t port;
    int result;
    struct link *links[16];
    size_t link_count;
};

static void stage_reply(struct link *link, uint8_t type, const struct wire_buffer *body,
                        uint16_t partition)
{
    struct link_message message = {
        .type = type, .partition = partition, .body = body->data, .body_size = body->size};

    link_send(link, &message, 1);
}

static bool on_up(void *context, struct link *link, const struct link_peer *peer)
{
    struct stage *stage = context;
    struct wire_hello hello = {
        .version = WIRE_VERSION, .role = LINK_ROLE_NODE, .member = 1, .shards = 2, .epoch = 1};
    struct wire_buffer body = {0};

    if (peer->role != LINK_ROLE_ROUTER)
        return false;
    pthread_mutex_lock(&stage->lock);
    if (stage->link_count < 16)
        stage->links[stage->link_count++] = link;
    pthread_mutex_unlock(&stage->lock);
    wire_put_hello(&body, &hello);
    stage_reply(link, WIRE_HELLO, &body, WIRE_PARTITION_NODE);
    wire_buffer_deinit(&body);
    return true;
}

static void on_down(void *context, struct link *link, const char *why)
{
    struct stage *stage = context;

    (void)why;
    pthread_mutex_lock(&stage->lock);
    for (size_t i = 0; i < stage->link_count; i++)
        if (stage->links[i] == link)
            stage->links[i] = stage->links[--stage->link_count];
    pthread_mutex_unlock(&stage->lock);
}

static void stage_map(struct stage *stage, struct wire_buffer *body)
{
    size_t size = ringmap_encoded_size(&stage->map);

    if (stage->founded)
        ringmap_encode(&stage->map, wire_put_bin_space(body, size));
    else
        wire_put_nil(body);
}

static void stage_operations(struct stage *stage, const struct link_message *message,
                             struct wire_buffer *body)
{
    struct wire_cursor cursor;
    struct wire_op op;
    uint64_t session;

    wire_cursor_init(&cursor, message->body, message->body_size);
    if (!wire_get_ops_head(&cursor, &session))
        return;
    while (!wire_cursor_done(&cursor) &&
           wire_get_op(&cursor, &op, stage->model->args, WIRE_ARGS_MAX)) {
        struct wire_result result;

        harness_apply(stage->model, &op, session, stage->model->args, &result);
        wire_put_result(body, &result);
    }
}

static void on_message(void *context, struct link *link, const struct link_message *message)
{
    struct stage *stage = context;
    struct wire_buffer body = {0};

    pthread_mutex_lock(&stage->lock);
    if (message->type == WIRE_MAP_GET) {
        stage_map(stage, &body);
        stage_reply(link, WIRE_MAP, &body, WIRE_PARTITION_NODE);
    } else if (message->type == WIRE_OPS) {
        stage_operations(stage, message, &body);
        stage_reply(link, WIRE_RESULTS, &body, message->partition);
    }
    pthread_mutex_unlock(&stage->lock);
    wire_buffer_deinit(&body);
    link_consumed(link, message->body_size, 1);
}

static void on_ready(void *context, const char *address)
{
    struct stage *stage = context;
    const char *colon = strrchr(address, ':');

    stage->port = (uint16_t)atoi(colon + 1);
    cr_assert_eq(write(stage->ready[1], "r", 1), 1);
}

static void *stage_thread(void *context)
{
    struct stage *stage = context;

    stage->result = server_uv_run(&stage->options);
    close(stage->ready[1]);
    return NULL;
}

static void stage_found(struct stage *stage)
{
    cr_assert_eq(ringmap_init(&stage->map, 1, STAGE_PARTITIONS, 1), 0);
    stage->map.epoch = 1;
    memcpy(stage->map.cluster, stage->ticket.cluster, sizeof stage->map.cluster);
    memset(stage->map.hash_secret, 7, sizeof stage->map.hash_secret);
    stage->map.members[0].id = 1;
    stage->map.members[0].state = RINGMAP_STATE_ACTIVE;
    stage->map.members[0].weight = RINGMAP_WEIGHT_DEFAULT;
    memcpy(stage->map.members[0].public_key, stage->identity.public_key, RINGMAP_KEY_SIZE);
    snprintf(stage->map.members[0].address, RINGMAP_ADDRESS_SIZE, "%s", stage->seed);
    for (uint32_t p = 0; p < STAGE_PARTITIONS; p++)
        stage->map.replicas[p] = 1;
    stage->map.meta_voters[0] = 1;
    stage->map.meta_voter_count = 1;
}

static void stage_listen(struct stage *stage, const char *address)
{
    struct fabric_options options = {.identity = &stage->identity,
                                     .ticket = &stage->ticket,
                                     .role = LINK_ROLE_NODE,
                                     .handshake_ms = 2000,
                                     .pending_max = 256,
                                     .links_max = 1024,
                                     .reconnect_ms_min = 10,
                                     .reconnect_ms_max = 500,
                                     .idle_ms = 1500,
                                     .queue_size_max = 64u << 20,
                                     .credit_size = 32u << 20,
                                     .credit_messages = 65536,
                                     .context = stage,
                                     .on_up = on_up,
                                     .on_message = on_message,
                                     .on_down = on_down};

    cr_assert_eq(fabric_open(&stage->fabric, &options), 0);
    cr_assert_eq(fabric_listen(stage->fabric, address), 0);
    sprintf(stage->seed, "127.0.0.1:%u", fabric_port(stage->fabric));
}

static struct stage *stage_new(const char *password, bool founded)
{
    struct stage *stage = calloc(1, sizeof *stage);
    char byte;

    cr_assert(stage);
    cr_assert(sodium_init() >= 0);
    stage->model = harness_new(NULL, true);
    pthread_mutex_init(&stage->lock, NULL);
    identity_generate(&stage->identity);
    ticket_generate(&stage->ticket);
    stage_listen(stage, "127.0.0.1:0");
    stage_found(stage);
    stage->founded = founded;
    cr_assert_eq(pipe(stage->ready), 0);
    stage->seeds[0] = stage->seed;
    stage->options = (struct server_uv_options){.ticket = &stage->ticket,
                                                .seeds = stage->seeds,
                                                .seed_count = 1,
                                                .resp = "127.0.0.1:0",
                                                .password = password,
                                                .on_ready = on_ready,
                                                .context = stage};
    cr_assert_eq(pthread_create(&stage->thread, NULL, stage_thread, stage), 0);
    if (founded)
        cr_assert_eq(read(stage->ready[0], &byte, 1), 1);
    return stage;
}

/* Ends the router as its user would, and sees that it ends well. */
static void stage_free(struct stage *stage)
{
    kill(getpid(), SIGTERM);
    pthread_join(stage->thread, NULL);
    cr_assert_eq(stage->result, 0);
    if (stage->fabric)
        fabric_close(stage->fabric);
    close(stage->ready[0]);
    ringmap_deinit(&stage->map);
    harness_free(stage->model);
    pthread_mutex_destroy(&stage->lock);
    free(stage);
}

static int dial(const struct stage *stage)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons(stage->port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    cr_assert(fd >= 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void say_bytes(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);

        cr_assert(n > 0);
        bytes += n;
        size -= (size_t)n;
    }
}

static void say(int fd, const char *text)
{
    say_bytes(fd, text, strlen(text));
}

static void hear(int fd, const char *expected)
{
    size_t size = strlen(expected), have = 0;
    char *heard = malloc(size + 1);

    cr_assert(heard);
    while (have < size) {
        ssize_t n = read(fd, heard + have, size - have);

        cr_assert(n > 0, "closed after %zu bytes", have);
        have += (size_t)n;
    }
    heard[size] = '\0';
    cr_assert_str_eq(heard, expected);
    free(heard);
}

static void hear_end(int fd)
{
    char byte;

    cr_assert_eq(read(fd, &byte, 1), 0);
}

Test(server_uv, a_client_is_served_to_the_end, .timeout = 60)
{
    struct stage *stage = stage_new(NULL, true);
    int fd = dial(stage);

    say(fd, "SET a 1\r\nINCR a\r\n");
    hear(fd, "+OK\r\n:2\r\n");
    say(fd, "GET a\r\nGET none\r\nPING\r\n");
    shutdown(fd, SHUT_WR);
    hear(fd, "$1\r\n2\r\n$-1\r\n+PONG\r\n");
    hear_end(fd);
    close(fd);
    fd = dial(stage);
    say(fd, "QUIT\r\n");
    hear(fd, "+OK\r\n");
    hear_end(fd);
    close(fd);
    stage_free(stage);
}

Test(server_uv, many_commands_are_written_before_any_reply_is_read, .timeout = 60)
{
    struct stage *stage = stage_new(NULL, true);
    int fd = dial(stage);

    for (int i = 0; i < 3000; i++)
        say(fd, "SET a 0123456789\r\nGET a\r\n");
    for (int i = 0; i < 3000; i++)
        hear(fd, "+OK\r\n$10\r\n0123456789\r\n");
    close(fd);
    stage_free(stage);
}

Test(server_uv, a_large_value_goes_through_and_a_slow_reader_gets_it_whole, .timeout = 60)
{
    struct stage *stage = stage_new(NULL, true);
    size_t size = 8u << 20;
    char *value = malloc(size + 64);
    int fd = dial(stage);
    int head;

    head = sprintf(value, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%zu\r\n", size);
    say_bytes(fd, value, (size_t)head);
    memset(value, 'v', size);
    memcpy(value + size, "\r\n", 3);
    say_bytes(fd, value, size + 2);
    hear(fd, "+OK\r\n");
    say(fd, "GET a\r\nGET a\r\nPING\r\n");
    hear(fd, "$8388608\r\n");
    hear(fd, value);
    hear(fd, "$8388608\r\n");
    hear(fd, value);
    hear(fd, "+PONG\r\n");
    close(fd);
    free(value);
    stage_free(stage);
}

Test(server_uv, clients_that_vanish_leave_no_trace, .timeout = 60)
{
    struct stage *stage = stage_new(NULL, true);
    struct linger abort_it = {.l_onoff = 1, .l_linger = 0};
    int fd;

    for (int i = 0; i < 200; i++) {
        fd = dial(stage);
        say(fd, "SET a 1\r\nMGET a b c d e f\r\nGET a\r\n*3\r\n$3\r\nSET\r\n");
        if (i % 2)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_it, sizeof abort_it);
        close(fd);
    }
    fd = dial(stage);
    say(fd, "GET a\r\n");
    hear(fd, "$1\r\n1\r\n");
    close(fd);
    stage_free(stage);
}

Test(server_uv, when_the_node_comes_back_so_does_the_link, .timeout = 60)
{
    struct stage *stage = stage_new(NULL, true);
    int fd = dial(stage);
    char seed[64];

    say(fd, "INCR a\r\n");
    hear(fd, ":1\r\n");
    strcpy(seed, stage->seed);
    fabric_close(stage->fabric);
    stage->link_count = 0;
    say(fd, "INCR a\r\nINCR a\r\n");
    usleep(100000);
    stage_listen(stage, seed);
    hear(fd, ":2\r\n:3\r\n");
    close(fd);
    stage_free(stage);
}

Test(server_uv, a_cluster_founded_later_is_noticed, .timeout = 60)
{
    struct stage *stage = stage_new(NULL, false);
    char byte;
    int fd;

    usleep(100000);
    pthread_mutex_lock(&stage->lock);
    stage->founded = true;
    pthread_mutex_unlock(&stage->lock);
    cr_assert_eq(read(stage->ready[0], &byte, 1), 1);
    fd = dial(stage);
    say(fd, "INCR a\r\n");
    hear(fd, ":1\r\n");
    close(fd);
    stage_free(stage);
}

Test(server_uv, the_password_is_asked_for, .timeout = 60)
{
    struct stage *stage = stage_new("secret", true);
    int fd = dial(stage);

    say(fd, "GET a\r\nAUTH secret\r\nGET a\r\n");
    hear(fd, "-NOAUTH Authentication required.\r\n+OK\r\n$-1\r\n");
    close(fd);
    stage_free(stage);
}

Test(server_uv, what_cannot_be_bound_is_refused, .timeout = 60)
{
    static const char *const usages[] = {
        "0.0.0.0:0", "192.0.2.1:1", "[::]:0",       "localhost:1",     "127.0.0.1",
        ":1",        "127.0.0.1:x", "127.0.0.1:-1", "127.0.0.1:70000", ""};
    struct stage *stage = stage_new(NULL, true);
    struct server_uv_options options = stage->options;
    char taken[64];

    options.on_ready = NULL;
    for (size_t i = 0; i < sizeof usages / sizeof usages[0]; i++) {
        options.resp = usages[i];
        cr_assert_eq(server_uv_run(&options), SERVER_UV_E_USAGE, "%s", usages[i]);
    }
    options.resp = "127.0.0.1:0";
    options.password = "";
    cr_assert_eq(server_uv_run(&options), SERVER_UV_E_USAGE);
    options.password = NULL;
    sprintf(taken, "127.0.0.1:%u", stage->port);
    options.resp = taken;
    cr_assert_eq(server_uv_run(&options), -EADDRINUSE);
    stage_free(stage);
}
