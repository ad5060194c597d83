/* A bounded stress of link_nng with a main of its own, because Criterion cannot run under
 * ThreadSanitizer: many threads send, consume, close, dial and restart at once. Checks that each
 * connection delivers its DATA in order and undamaged, and that every up has its down.
 * Usage: link_nng_tsan [seconds, default 4] */
#include "ring/link_nng.h"
#include "ring/wire.h"
#include "tests/dice.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINKS     3
#define SENDERS   4
#define BODY_MAX  (150u << 10)
#define ROUND_US  400000
#define PAUSE_US  25000
#define SECONDS   4
#define LINKS_MAX 16

/* nng counts the references of a dialer with atomics, and Debian's library is not instrumented, so
 * that ThreadSanitizer does not see why the last one may destroy the dialer's mutex. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:pthread_mutex_destroy";
}

/* What a host keeps of a link: the next number to send and to see. */
struct flow {
    pthread_mutex_t lock;
    struct link *link; /* NULL: free place */
    uint64_t send_next;
    uint64_t seen_next;
    size_t unconsumed_bytes;
    uint32_t unconsumed_messages;
};

struct host {
    struct fabric *fabric;
    struct identity identity;
    struct flow flows[LINKS_MAX];
    pthread_rwlock_t lock; /* held shared while a link is used, exclusively to close the fabric */
    atomic_ulong ups, downs, messages, disorders, damages;
};

static struct ticket ticket;
static struct host node, router;
static struct link *dialled[LINKS];
static pthread_mutex_t dialled_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool stop;
static uint8_t pattern[BODY_MAX];

static struct flow *flow_of(struct host *host, const struct link *link)
{
    for (unsigned i = 0; i < LINKS_MAX; i++) {
        struct flow *flow = &host->flows[i];
        pthread_mutex_lock(&flow->lock);
        bool found = flow->link == link;
        pthread_mutex_unlock(&flow->lock);
        if (found)
            return flow;
    }
    return NULL;
}

static bool on_up(void *context, struct link *link, const struct link_peer *peer)
{
    struct host *host = context;
    (void)peer;
    struct flow *flow = flow_of(host, NULL);
    if (flow == NULL)
        return false;
    pthread_mutex_lock(&flow->lock);
    bool taken = flow->link == NULL;
    if (taken) {
        flow->link = link;
        flow->send_next = 0;
        flow->seen_next = 0;
        flow->unconsumed_bytes = 0;
        flow->unconsumed_messages = 0;
    }
    pthread_mutex_unlock(&flow->lock);
    if (taken) {
        link_set_user(link, flow);
        atomic_fetch_add(&host->ups, 1);
    }
    return taken;
}

static void on_message(void *context, struct link *link, const struct link_message *message)
{
    struct host *host = context;
    struct flow *flow = link_user(link);
    bool damaged =
        message->body_size > BODY_MAX || memcmp(message->body, pattern, message->body_size) != 0;
    if (message->type == WIRE_BEAT) {
        link_consumed(link, message->body_size, 1); /* and what comes between waits for others */
    } else {
        pthread_mutex_lock(&flow->lock);
        if (message->correlation != flow->seen_next)
            atomic_fetch_add(&host->disorders, 1);
        flow->seen_next = message->correlation + 1;
        flow->unconsumed_bytes += message->body_size;
        flow->unconsumed_messages += 1;
        pthread_mutex_unlock(&flow->lock);
    }
    atomic_fetch_add(&host->damages, damaged ? 1 : 0);
    atomic_fetch_add(&host->messages, 1);
}

static void on_down(void *context, struct link *link, const char *why)
{
    struct host *host = context;
    struct flow *flow = link_user(link);
    (void)why;
    pthread_mutex_lock(&flow->lock);
    flow->link = NULL;
    pthread_mutex_unlock(&flow->lock);
    atomic_fetch_add(&host->downs, 1);
}

static void host_open(struct host *host, enum link_role role)
{
    struct fabric_options options = {
        .identity = &host->identity,
        .ticket = &ticket,
        .role = role,
        .idle_ms = 1000,
        .credit_size = 256u << 10,
        .credit_messages = 200,
        .context = host,
        .on_up = on_up,
        .on_message = on_message,
        .on_down = on_down,
    };
    if (fabric_open(&host->fabric, &options) != 0)
        abort();
}

static void host_init(struct host *host)
{
    identity_generate(&host->identity);
    pthread_rwlock_init(&host->lock, NULL);
    for (unsigned i = 0; i < LINKS_MAX; i++)
        pthread_mutex_init(&host->flows[i].lock, NULL);
}

/* Sends a message on each link that is up; what has come meanwhile is consumed. */
static void work(struct host *host, struct dice *dice)
{
    for (unsigned i = 0; i < LINKS_MAX; i++) {
        struct flow *flow = &host->flows[i];
        struct link_message message = {.type = WIRE_OPS, .body = pattern};
        message.body_size =
            dice_pick(dice, 64) == 0 ? dice_pick(dice, BODY_MAX) : dice_pick(dice, 900);
        pthread_mutex_lock(&flow->lock);
        struct link *link = flow->link;
        size_t bytes = flow->unconsumed_bytes;
        uint32_t messages = flow->unconsumed_messages;
        flow->unconsumed_bytes = 0;
        flow->unconsumed_messages = 0;
        /* Number and place in the queue must not part. */
        message.correlation = flow->send_next;
        if (link != NULL && link_send(link, &message, 1) == 0)
            flow->send_next += 1;
        pthread_mutex_unlock(&flow->lock);
        if (link == NULL)
            continue;
        link_consumed(link, bytes, messages);
        if (dice_pick(dice, 8) == 0) {
            message.type = WIRE_BEAT;
            message.body_size %= 100;
            (void)link_send(link, &message, 1);
        }
    }
}

static void *sender_main(void *argument)
{
    struct dice dice = {(uintptr_t)argument};
    struct host *host = dice.state % 2 == 0 ? &node : &router;
    while (!atomic_load(&stop)) {
        pthread_rwlock_rdlock(&host->lock);
        if (host->fabric != NULL)
            work(host, &dice);
        pthread_rwlock_unlock(&host->lock);
        if (dice_pick(&dice, 4) == 0)
            usleep(200);
    }
    return NULL;
}

static void dial(unsigned place, uint16_t port)
{
    char address[64];
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    if (fabric_dial(router.fabric, address, node.identity.public_key, NULL, &dialled[place]) != 0)
        abort();
}

/* Closes links of both sides and dials new ones. */
/* The secret that the routers have, behind as many others. */
static void open_to_tickets(uint32_t count)
{
    struct tickets_candidate candidates[TICKETS_CANDIDATES_MAX] = {0};
    for (uint32_t i = 0; i < count; i++)
        candidates[i].id = i + 1;
    memcpy(candidates[count].psk, ticket.psk, TICKET_PSK_SIZE);
    fabric_set_tickets(node.fabric, ticket.psk, candidates, count + 1);
}

static void *closer_main(void *argument)
{
    uint16_t port = *(uint16_t *)argument;
    struct dice dice = {77};
    while (!atomic_load(&stop)) {
        usleep(PAUSE_US);
        unsigned place = dice_pick(&dice, LINKS);
        if (dice_pick(&dice, 2) == 0) {
            pthread_mutex_lock(&dialled_lock);
            link_close(dialled[place]);
            dial(place, port);
            pthread_mutex_unlock(&dialled_lock);
            continue;
        }
        pthread_rwlock_rdlock(&node.lock);
        if (node.fabric != NULL) /* others ask for them while connections come in */
            open_to_tickets(1 + dice_pick(&dice, TICKETS_MAX));
        struct flow *flow = &node.flows[dice_pick(&dice, LINKS_MAX)];
        pthread_mutex_lock(&flow->lock);
        struct link *link = node.fabric != NULL ? flow->link : NULL;
        pthread_mutex_unlock(&flow->lock);
        if (link != NULL)
            link_close(link);
        pthread_rwlock_unlock(&node.lock);
    }
    return NULL;
}

static void node_open(uint16_t port)
{
    char address[64];
    host_open(&node, LINK_ROLE_NODE);
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    if (fabric_listen(node.fabric, address) != 0)
        abort();
}

static void node_restart(uint16_t port)
{
    pthread_rwlock_wrlock(&node.lock);
    fabric_close(node.fabric);
    node_open(port);
    pthread_rwlock_unlock(&node.lock);
}

int main(int argc, char **argv)
{
    long seconds = argc > 1 ? strtol(argv[1], NULL, 10) : SECONDS;
    pthread_t senders[SENDERS], closer;
    if (sodium_init() < 0)
        return 1;
    ticket_generate(&ticket);
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)(i * 13 + i / 256);
    host_init(&node);
    host_init(&router);
    node_open(0);
    host_open(&router, LINK_ROLE_ROUTER);
    uint16_t port = fabric_port(node.fabric);
    for (unsigned i = 0; i < LINKS; i++)
        dial(i, port);
    for (uintptr_t i = 0; i < SENDERS; i++)
        pthread_create(&senders[i], NULL, sender_main, (void *)i);
    pthread_create(&closer, NULL, closer_main, &port);
    for (long round = 0; round < seconds * 1000000 / ROUND_US; round++) {
        usleep(ROUND_US);
        node_restart(port);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < SENDERS; i++)
        pthread_join(senders[i], NULL);
    pthread_join(closer, NULL);
    fabric_close(router.fabric);
    fabric_close(node.fabric);
    unsigned long bad = node.disorders + router.disorders + node.damages + router.damages;
    bool uneven = node.ups != node.downs || router.ups != router.downs;
    printf("link_nng_tsan: %lu messages over %lu connections, %lu out of order or damaged%s\n",
           node.messages + router.messages, (unsigned long)node.ups, bad,
           uneven ? ", ups and downs differ" : "");
    return bad == 0 && !uneven && node.messages > 0 && router.messages > 0 ? 0 : 1;
}
