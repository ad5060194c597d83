#include "cli/cluster.h"

#include "cli/clock.h"
#include "ring/link_nng.h"
#include "ring/wire.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#define WHY_SIZE     160u
#define REFUSAL_MS   250u  /* a node that refuses that long is not only starting */
#define REDEEM_MS    2000u /* one that counts the uses of our ticket notes this one first */
#define WAIT_STEP_MS 20u

struct cluster_node {
    char address[RINGMAP_ADDRESS_SIZE];
    uint8_t key[RINGMAP_KEY_SIZE]; /* who must be there; zeros: anyone */
    struct link *link;
    bool up, refused;
    char why[WHY_SIZE];
};

struct cluster {
    struct identity identity;
    struct fabric *fabric;
    uint32_t refusal_ms;
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    struct cluster_node *nodes; /* CLUSTER_NODES_MAX places */
    int node_count;
    struct cluster_request *asked;
    size_t asked_count;
    uint64_t correlation;
};

/* For a change, or WAIT_STEP_MS. Returns for how many ms, at most so many: what came while this
 * process stood still is still to be read, and that time does not count. */
static uint32_t wait_change(struct cluster *cluster)
{
    uint64_t begin_ms = clock_now_ms(), until_ms = begin_ms + WAIT_STEP_MS, waited_ms;
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                             .tv_nsec = (long)(until_ms % 1000) * 1000000};

    pthread_cond_timedwait(&cluster->changed, &cluster->mutex, &until);
    waited_ms = clock_now_ms() - begin_ms;
    return waited_ms < WAIT_STEP_MS ? (uint32_t)waited_ms : WAIT_STEP_MS;
}

static void send_hello(struct link *link)
{
    struct wire_buffer body = {0};
    struct link_message message = {.type = WIRE_HELLO, .partition = WIRE_PARTITION_NODE};

    struct wire_hello hello = wire_hello_own(LINK_ROLE_ADMIN);

    wire_put_hello(&body, &hello);
    message.body = body.data;
    message.body_size = body.size;
    if (!body.failed)
        (void)link_send(link, &message, 1);
    wire_buffer_deinit(&body);
}

static bool on_up(void *context, struct link *link, const struct link_peer *peer)
{
    struct cluster *cluster = context;
    struct cluster_node *node = link_user(link);

    pthread_mutex_lock(&cluster->mutex);
    if (peer->role != LINK_ROLE_NODE) {
        node->refused = true;
        snprintf(node->why, sizeof node->why, "this is no storage node");
    } else {
        node->up = true;
        send_hello(link);
    }
    pthread_cond_broadcast(&cluster->changed);
    pthread_mutex_unlock(&cluster->mutex);
    return peer->role == LINK_ROLE_NODE;
}

static void on_down(void *context, struct link *link, const char *why)
{
    struct cluster *cluster = context;
    struct cluster_node *node = link_user(link);

    pthread_mutex_lock(&cluster->mutex);
    node->up = false;
    snprintf(node->why, sizeof node->why, "%s", why);
    pthread_cond_broadcast(&cluster->changed);
    pthread_mutex_unlock(&cluster->mutex);
}

/* A node that speaks no version of ours is as good as none. mutex held. */
static void take_hello(struct cluster_node *node, const struct link_message *message)
{
    struct wire_cursor cursor;
    struct wire_hello hello;

    wire_cursor_init(&cursor, message->body, message->body_size);
    if (!wire_get_hello(&cursor, &hello) || wire_hello_version(&hello) != 0)
        return;
    node->up = false;
    node->refused = true;
    wire_hello_why(&hello, node->why);
}

static void on_message(void *context, struct link *link, const struct link_message *message)
{
    struct cluster *cluster = context;
    struct cluster_node *node = link_user(link);

    pthread_mutex_lock(&cluster->mutex);
    if (message->type == WIRE_HELLO) {
        take_hello(node, message);
        pthread_cond_broadcast(&cluster->changed);
    }
    for (size_t i = 0; i < cluster->asked_count; i++) {
        struct cluster_request *request = &cluster->asked[i];

        /* An answer has the number after its question's, see ring/wire_table.h. */
        if (!node->up || request->answered || request->correlation != message->correlation ||
            &cluster->nodes[request->node] != node || message->type != request->type + 1)
            continue;
        request->reply = malloc(message->body_size > 0 ? message->body_size : 1);
        if (!request->reply)
            break;
        if (message->body_size > 0)
            memcpy(request->reply, message->body, message->body_size);
        request->reply_size = message->body_size;
        request->answered = true;
        pthread_cond_broadcast(&cluster->changed);
        break;
    }
    pthread_mutex_unlock(&cluster->mutex);
    link_consumed(link, message->body_size, 1);
}

static void on_refused(void *context, const char *address, bool dialled, uint8_t refusal,
                       const char *why, bool repeated)
{
    struct cluster *cluster = context;

    (void)dialled;
    (void)refusal;
    (void)repeated;
    pthread_mutex_lock(&cluster->mutex);
    for (int i = 0; i < cluster->node_count; i++) {
        struct cluster_node *node = &cluster->nodes[i];

        if (strcmp(node->address, address) != 0)
            continue;
        node->refused = true;
        snprintf(node->why, sizeof node->why, "%s", why);
    }
    pthread_cond_broadcast(&cluster->changed);
    pthread_mutex_unlock(&cluster->mutex);
}

static int open_fabric(struct cluster *cluster, const struct ticket *ticket)
{
    struct fabric_options options = {.identity = &cluster->identity,
                                     .ticket = ticket,
                                     .role = LINK_ROLE_ADMIN,
                                     .pending_max = 1,
                                     .links_max = 1,
                                     .reconnect_ms_max = 100,
                                     .credit_size = 32u << 20,
                                     .context = cluster,
                                     .on_up = on_up,
                                     .on_message = on_message,
                                     .on_down = on_down,
                                     .on_refused = on_refused};

    cluster->refusal_ms = ticket->id == 0 ? REFUSAL_MS : REDEEM_MS;
    return fabric_open(&cluster->fabric, &options);
}

int cluster_open(struct cluster **out, const struct ticket *ticket)
{
    struct cluster *cluster = calloc(1, sizeof *cluster);
    pthread_condattr_t attributes;
    int r;

    if (!cluster)
        return -ENOMEM;
    pthread_mutex_init(&cluster->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&cluster->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    identity_generate(&cluster->identity);
    cluster->nodes = calloc(CLUSTER_NODES_MAX, sizeof *cluster->nodes);
    r = cluster->nodes ? open_fabric(cluster, ticket) : -ENOMEM;
    if (r != 0) {
        cluster_close(cluster);
        return r;
    }
    *out = cluster;
    return 0;
}

void cluster_close(struct cluster *cluster)
{
    if (!cluster)
        return;
    if (cluster->fabric)
        fabric_close(cluster->fabric);
    identity_wipe(&cluster->identity);
    pthread_cond_destroy(&cluster->changed);
    pthread_mutex_destroy(&cluster->mutex);
    free(cluster->nodes);
    free(cluster);
}

/* The node that was dialled for them; of several whoever is up; -1: none was. */
static int find_node(struct cluster *cluster, const char *address, const uint8_t *key)
{
    static const uint8_t anyone[RINGMAP_KEY_SIZE];
    int found = -1;

    pthread_mutex_lock(&cluster->mutex);
    for (int i = 0; i < cluster->node_count; i++) {
        const struct cluster_node *node = &cluster->nodes[i];

        if (strcmp(node->address, address) == 0 && (found < 0 || node->up) &&
            (!key || memcmp(node->key, anyone, sizeof anyone) == 0 ||
             memcmp(node->key, key, sizeof node->key) == 0))
            found = i;
    }
    pthread_mutex_unlock(&cluster->mutex);
    return found;
}

int cluster_dial(struct cluster *cluster, const char *address, const uint8_t *key)
{
    int number = find_node(cluster, address, key), r;
    struct cluster_node *node;
    struct link *link;

    if (number >= 0)
        return number;
    number = cluster->node_count;
    if (number == (int)CLUSTER_NODES_MAX)
        return -ENOBUFS;
    node = &cluster->nodes[number];
    pthread_mutex_lock(&cluster->mutex);
    *node = (struct cluster_node){.why = "no answer in time"};
    snprintf(node->address, sizeof node->address, "%s", address);
    if (key)
        memcpy(node->key, key, sizeof node->key);
    cluster->node_count++;
    pthread_mutex_unlock(&cluster->mutex);
    r = fabric_dial(cluster->fabric, address, key, node, &link);
    pthread_mutex_lock(&cluster->mutex);
    if (r != 0) {
        node->refused = true;
        snprintf(node->why, sizeof node->why, "%s", strerror(-r));
    } else {
        node->link = link;
    }
    pthread_mutex_unlock(&cluster->mutex);
    return number;
}

/* Whether nothing is to be hoped for any more. mutex held. */
static bool is_settled(const struct cluster *cluster, uint32_t waited_ms)
{
    for (int i = 0; i < cluster->node_count; i++) {
        const struct cluster_node *node = &cluster->nodes[i];

        if (!node->up && !(node->refused && waited_ms >= cluster->refusal_ms))
            return false;
    }
    return true;
}

void cluster_wait(struct cluster *cluster, uint32_t timeout_ms)
{
    uint32_t waited_ms = 0;

    pthread_mutex_lock(&cluster->mutex);
    while (!is_settled(cluster, waited_ms) && waited_ms < timeout_ms)
        waited_ms += wait_change(cluster);
    pthread_mutex_unlock(&cluster->mutex);
}

bool cluster_is_up(struct cluster *cluster, int node)
{
    bool up;

    assert(node >= 0 && node < cluster->node_count);
    pthread_mutex_lock(&cluster->mutex);
    up = cluster->nodes[node].up;
    pthread_mutex_unlock(&cluster->mutex);
    return up;
}

void cluster_why(struct cluster *cluster, int node, char *text, size_t size)
{
    assert(node >= 0 && node < cluster->node_count);
    pthread_mutex_lock(&cluster->mutex);
    snprintf(text, size, "%s", cluster->nodes[node].why);
    pthread_mutex_unlock(&cluster->mutex);
}

/* mutex held. */
static bool is_waited_for(const struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->asked_count; i++)
        if (!cluster->asked[i].answered && cluster->nodes[cluster->asked[i].node].up)
            return true;
    return false;
}

void cluster_ask(struct cluster *cluster, struct cluster_request *requests, size_t count,
                 uint32_t timeout_ms)
{
    uint32_t waited_ms = 0;

    pthread_mutex_lock(&cluster->mutex);
    for (size_t i = 0; i < count; i++) {
        assert(requests[i].node >= 0 && requests[i].node < cluster->node_count);
        requests[i].answered = false;
        requests[i].reply = NULL;
        requests[i].correlation = ++cluster->correlation;
    }
    cluster->asked = requests;
    cluster->asked_count = count;
    for (size_t i = 0; i < count; i++) {
        struct link *link = cluster->nodes[requests[i].node].link;
        struct link_message message = {.type = requests[i].type,
                                       .partition = requests[i].partition,
                                       .correlation = requests[i].correlation,
                                       .body = requests[i].body,
                                       .body_size = requests[i].body_size};

        if (link && cluster->nodes[requests[i].node].up)
            (void)link_send(link, &message, 1);
    }
    while (is_waited_for(cluster) && waited_ms < timeout_ms)
        waited_ms += wait_change(cluster);
    cluster->asked = NULL;
    cluster->asked_count = 0;
    pthread_mutex_unlock(&cluster->mutex);
}

void cluster_request_deinit(struct cluster_request *request)
{
    free(request->reply);
    request->reply = NULL;
}
