#include "stage.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Not Criterion's: the same code runs without its runner under ThreadSanitizer. */
static void check(bool good)
{
    if (!good)
        abort();
}

static void stage_reply(struct link *link, uint8_t type, const struct wire_buffer *body,
                        uint16_t partition)
{
    struct link_message message = {
        .type = type, .partition = partition, .body = body->data, .body_size = body->size};

    link_send(link, &message, 1);
}

static bool on_up(void *context, struct link *link, const struct link_peer *peer)
{
    struct wire_hello hello = wire_hello_own(LINK_ROLE_NODE);
    struct stage *stage = context;
    struct wire_buffer body = {0};
    struct refusal refusal;

    hello.member = 1;
    hello.shards = 2;
    hello.epoch = 1;
    if (peer->role != LINK_ROLE_ROUTER)
        return false;
    pthread_mutex_lock(&stage->lock);
    refusal = stage->refusal;
    pthread_mutex_unlock(&stage->lock);
    if (refusal.kind != REFUSAL_NONE) {
        link_refuse(link, &refusal);
        return false;
    }
    wire_put_hello(&body, &hello);
    stage_reply(link, WIRE_HELLO, &body, WIRE_PARTITION_NODE);
    wire_buffer_deinit(&body);
    return true;
}

static void on_down(void *context, struct link *link, const char *why)
{
    (void)context;
    (void)link;
    (void)why;
}

static void stage_map(struct stage *stage, struct wire_buffer *body)
{
    size_t size = ringmap_encoded_size(&stage->map);

    if (stage->founded) {
        ringmap_encode(&stage->map, wire_put_bin_space(body, size));
    } else {
        wire_put_nil(body);
        stage->nothings++;
    }
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
    check(write(stage->ready[1], "r", 1) == 1);
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
    check(ringmap_init(&stage->map, 1, STAGE_PARTITIONS, 1) == 0);
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
                                     .credit_size = 32u << 20,
                                     .context = stage,
                                     .on_up = on_up,
                                     .on_message = on_message,
                                     .on_down = on_down};

    check(fabric_open(&stage->fabric, &options) == 0);
    check(fabric_listen(stage->fabric, address) == 0);
    sprintf(stage->seed, "127.0.0.1:%u", fabric_port(stage->fabric));
}

void stage_restart(struct stage *stage, unsigned pause_us)
{
    char address[sizeof stage->seed];

    memcpy(address, stage->seed, sizeof address);
    fabric_close(stage->fabric);
    usleep(pause_us);
    stage_listen(stage, address);
}

struct stage *stage_new(const char *password, bool founded)
{
    struct stage *stage = calloc(1, sizeof *stage);
    char byte;

    check(stage);
    check(sodium_init() >= 0);
    stage->model = harness_new(NULL, true);
    pthread_mutex_init(&stage->lock, NULL);
    identity_generate(&stage->identity);
    ticket_generate(&stage->ticket);
    stage_listen(stage, "127.0.0.1:0");
    stage_found(stage);
    stage->founded = founded;
    check(pipe(stage->ready) == 0);
    stage->seeds[0] = stage->seed;
    stage->options = (struct server_uv_options){.ticket = &stage->ticket,
                                                .seeds = stage->seeds,
                                                .seed_count = 1,
                                                .resp = "127.0.0.1:0",
                                                .password = password,
                                                .on_ready = on_ready,
                                                .context = stage};
    check(pthread_create(&stage->thread, NULL, stage_thread, stage) == 0);
    if (founded)
        check(read(stage->ready[0], &byte, 1) == 1);
    return stage;
}

/* Ends the router as its user would, and sees that it ends well. */
void stage_free(struct stage *stage)
{
    kill(getpid(), SIGTERM);
    pthread_join(stage->thread, NULL);
    check(stage->result == 0);
    if (stage->fabric)
        fabric_close(stage->fabric);
    close(stage->ready[0]);
    ringmap_deinit(&stage->map);
    harness_free(stage->model);
    pthread_mutex_destroy(&stage->lock);
    free(stage);
}

int stage_dial(const struct stage *stage)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons(stage->port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    check(fd >= 0);
    check(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

void stage_say_bytes(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);

        check(n > 0);
        bytes += n;
        size -= (size_t)n;
    }
}

void stage_say(int fd, const char *text)
{
    stage_say_bytes(fd, text, strlen(text));
}

void stage_hear(int fd, const char *expected)
{
    size_t size = strlen(expected), have = 0;
    char *heard = malloc(size + 1);

    check(heard);
    while (have < size) {
        ssize_t n = read(fd, heard + have, size - have);

        check(n > 0);
        have += (size_t)n;
    }
    heard[size] = '\0';
    check(strcmp(heard, expected) == 0);
    free(heard);
}

void stage_hear_end(int fd)
{
    char byte;

    check(read(fd, &byte, 1) == 0);
}
