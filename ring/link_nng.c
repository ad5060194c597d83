#include "ring/link_nng_internal.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static atomic_uint_fast64_t link_ids = 1;

/* Of the clock that keeper_wait() sleeps by: the coarse one is up to 4 ms behind it. */
uint64_t link_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void fabric_wake(struct fabric *fabric)
{
    pthread_mutex_lock(&fabric->lock);
    fabric->woken = true;
    pthread_cond_signal(&fabric->wake);
    pthread_mutex_unlock(&fabric->lock);
}

/* At most FABRIC_REFUSED_BURST a second are to be logged. Of those that came by themselves no other
 * reaches the host; it learns how many were kept back, with the next that does. Whoever dials
 * judges by what comes of it, and hears of each. */
void fabric_refused(struct fabric *fabric, const char *address, bool dialled, uint8_t refusal,
                    const char *why, bool repeated)
{
    uint64_t now = link_now_ms();
    uint32_t more = 0;
    pthread_mutex_lock(&fabric->lock);
    if (now - fabric->refused_ms >= 1000) {
        fabric->refused_ms = now;
        fabric->refused_count = 0;
    }
    repeated = repeated || fabric->refused_count == FABRIC_REFUSED_BURST;
    fabric->refused_count += !repeated;
    bool kept_back = repeated && refusal == REFUSAL_NONE && !dialled;
    if (kept_back) {
        fabric->refused_more += 1;
    } else if (refusal == REFUSAL_NONE && !dialled) {
        more = fabric->refused_more;
        fabric->refused_more = 0;
    }
    pthread_mutex_unlock(&fabric->lock);
    if (kept_back || fabric->options.on_refused == NULL)
        return;
    char text[160];
    if (more > 0) {
        snprintf(text, sizeof text, "%s (%u more like it not told)", why, more);
        why = text;
    }
    fabric->options.on_refused(fabric->options.context, address, dialled, refusal, why, repeated);
}

struct link *link_new(struct fabric *fabric, const char *address)
{
    struct link *link = calloc(1, sizeof *link);
    if (link == NULL)
        return NULL;
    link->fabric = fabric;
    link->id = atomic_fetch_add(&link_ids, 1);
    link->backoff_ms = fabric->options.reconnect_ms_min;
    atomic_store(&link->message_size_max, LINK_MESSAGE_SIZE_MAX);
    snprintf(link->address, sizeof link->address, "%s", address);
    int r = pthread_mutex_init(&link->lock, NULL);
    assert(r == 0);
    return link;
}

static void link_free(struct link *link)
{
    assert(link->conn_count == 0);
    if (link->dial_aio != NULL)
        nng_aio_free(link->dial_aio);
    pthread_mutex_destroy(&link->lock);
    free(link);
}

void link_add(struct link *link)
{
    struct fabric *fabric = link->fabric;
    pthread_mutex_lock(&fabric->lock);
    link->next = fabric->links;
    fabric->links = link;
    fabric->woken = true;
    pthread_cond_signal(&fabric->wake);
    pthread_mutex_unlock(&fabric->lock);
}

/* For how long nothing came since then that could have: what came while this process stood still is
 * not read yet. */
static uint64_t keeper_waited_ms(const struct fabric *fabric, uint64_t since_ms, uint64_t now_ms)
{
    if (since_ms < fabric->late_ms)
        since_ms = fabric->late_ms;
    /* The receiver may note a newer time than ours between the two reads. */
    return now_ms > since_ms ? now_ms - since_ms : 0;
}

/* What time brings to a connection. link->lock held. True when the caller must flush it. */
static bool keeper_conn(struct conn *conn, uint64_t now_ms)
{
    const struct fabric_options *options = &conn->fabric->options;
    if (conn->broken)
        return false;
    if (!conn->up) {
        if (keeper_waited_ms(conn->fabric, conn->started_ms, now_ms) >= options->handshake_ms)
            conn_break(conn, "no handshake in time");
        return false;
    }
    if (conn->finishing) {
        if (now_ms >= conn->finish_ms)
            conn_break(conn, "closed");
        return false;
    }
    uint64_t silent_ms = keeper_waited_ms(conn->fabric, atomic_load(&conn->received_ms), now_ms);
    if (silent_ms >= 2 * (uint64_t)options->idle_ms) {
        conn_break(conn, "silent for too long");
        return false;
    }
    if (silent_ms < options->idle_ms || now_ms - conn->pinged_ms < options->idle_ms)
        return false;
    conn->pinged_ms = now_ms;
    conn->sender.ping_due = true;
    return conn_claim(conn);
}

/* What time brings to a link without a connection. link->lock held. */
static void keeper_dialled(struct link *link, uint64_t now_ms, uint64_t *next_ms)
{
    if (link->state == LINK_DIALLING) {
        bool over = keeper_waited_ms(link->fabric, link->dialled_ms, now_ms) >=
                    link->fabric->options.handshake_ms;
        if ((link->closed || over) && !link->dial_stopped) {
            link->dial_stopped = true;
            nng_stream_dialer_close(link->dialer);
        }
        return;
    }
    /* An attempt may have failed just now: its dialer goes first. */
    if (link->state != LINK_WAITING || link->closed || link->dialer != NULL)
        return;
    if (now_ms >= link->due_ms)
        link_dial_start(link, now_ms);
    if (link->state == LINK_WAITING && link->due_ms < *next_ms)
        *next_ms = link->due_ms;
}

/* One round over one link. True when it is over and can be taken out. */
static bool keeper_link(struct link *link, uint64_t now_ms, bool closing, uint64_t *next_ms)
{
    struct conn *flush = NULL;
    if (closing)
        link_close(link);
    pthread_mutex_lock(&link->lock);
    bool stale = link->dialer != NULL && link->state != LINK_DIALLING;
    pthread_mutex_unlock(&link->lock);
    if (stale)
        link_dial_clean(link);
    pthread_mutex_lock(&link->lock);
    if (link->conn != NULL && keeper_conn(link->conn, now_ms))
        flush = link->conn;
    if (link->dialled && link->conn == NULL)
        keeper_dialled(link, now_ms, next_ms);
    bool over = link->closed && link->conn_count == 0 && link->state == LINK_WAITING &&
                link->dialer == NULL;
    pthread_mutex_unlock(&link->lock);
    if (flush != NULL)
        conn_flush(flush);
    return over;
}

static void keeper_bury(struct fabric *fabric, struct link *link, uint64_t now_ms)
{
    link->died_ms = now_ms;
    link->next = fabric->graves;
    fabric->graves = link;
}

/* The newest are in front: behind the first old one, all are old. */
static void keeper_graves(struct fabric *fabric, uint64_t now_ms, bool all)
{
    struct link **at = &fabric->graves;
    while (*at != NULL && !all && now_ms - (*at)->died_ms < LINK_GRAVE_MS)
        at = &(*at)->next;
    struct link *old = *at;
    *at = NULL;
    while (old != NULL) {
        struct link *next = old->next;
        link_free(old);
        old = next;
    }
}

static void keeper_dead(struct fabric *fabric)
{
    pthread_mutex_lock(&fabric->lock);
    struct conn *dead = fabric->dead;
    fabric->dead = NULL;
    pthread_mutex_unlock(&fabric->lock);
    while (dead != NULL) {
        struct conn *next = dead->dead_next;
        struct link *link = dead->link;
        conn_free(dead);
        pthread_mutex_lock(&link->lock);
        link->conn_count -= 1;
        pthread_mutex_unlock(&link->lock);
        dead = next;
    }
}

/* Short enough for a ping to be answered before its sender loses patience. */
static uint64_t keeper_tick_ms(const struct fabric *fabric, bool closing)
{
    uint64_t tick_ms = fabric->options.idle_ms / 4;
    if (closing || tick_ms < FABRIC_CLOSE_TICK_MS)
        return FABRIC_CLOSE_TICK_MS;
    return tick_ms < FABRIC_TICK_MS ? tick_ms : FABRIC_TICK_MS;
}

/* One round over everything; returns when the next one is due. */
static uint64_t keeper_round(struct fabric *fabric, uint64_t now_ms, bool closing)
{
    uint64_t next_ms = now_ms + keeper_tick_ms(fabric, closing);
    keeper_dead(fabric);
    pthread_mutex_lock(&fabric->lock);
    struct link *link = fabric->links;
    bool accept = fabric->accept_paused && !closing && now_ms >= fabric->accept_due_ms;
    if (accept)
        fabric->accept_paused = false;
    pthread_mutex_unlock(&fabric->lock);
    if (accept)
        fabric_accept(fabric);
    while (link != NULL) {
        struct link *next = link->next; /* others only put in front */
        if (keeper_link(link, now_ms, closing, &next_ms)) {
            pthread_mutex_lock(&fabric->lock);
            struct link **at = &fabric->links;
            while (*at != link)
                at = &(*at)->next;
            *at = next;
            pthread_mutex_unlock(&fabric->lock);
            keeper_bury(fabric, link, now_ms);
        }
        link = next;
    }
    keeper_graves(fabric, now_ms, false);
    return next_ms;
}

static void keeper_break_all(struct fabric *fabric)
{
    pthread_mutex_lock(&fabric->lock);
    for (struct link *link = fabric->links; link != NULL; link = link->next) {
        pthread_mutex_lock(&link->lock);
        if (link->conn != NULL)
            conn_break(link->conn, "closed");
        pthread_mutex_unlock(&link->lock);
    }
    pthread_mutex_unlock(&fabric->lock);
}

/* Too late by half of what makes a peer silent: patience begins anew. */
static void keeper_wait(struct fabric *fabric, uint64_t until_ms)
{
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                             .tv_nsec = (long)(until_ms % 1000) * 1000000};
    pthread_mutex_lock(&fabric->lock);
    while (!fabric->woken &&
           pthread_cond_timedwait(&fabric->wake, &fabric->lock, &until) != ETIMEDOUT)
        ;
    fabric->woken = false;
    pthread_mutex_unlock(&fabric->lock);
    uint64_t now_ms = link_now_ms();
    if (now_ms >= until_ms + fabric->options.idle_ms)
        fabric->late_ms = now_ms;
}

static void *keeper_main(void *argument)
{
    struct fabric *fabric = argument;
    bool stopping = false;
    uint64_t deadline_ms = 0;
    for (;;) {
        pthread_mutex_lock(&fabric->lock);
        bool closing = fabric->closing;
        pthread_mutex_unlock(&fabric->lock);
        uint64_t now_ms = link_now_ms();
        if (closing && !stopping) {
            stopping = true;
            deadline_ms = now_ms + FABRIC_CLOSE_MS;
            fabric_listen_stop(fabric);
        }
        uint64_t next_ms = keeper_round(fabric, now_ms, stopping);
        pthread_mutex_lock(&fabric->lock);
        bool empty = fabric->links == NULL && fabric->dead == NULL;
        pthread_mutex_unlock(&fabric->lock);
        if (stopping && empty)
            break;
        if (stopping && now_ms >= deadline_ms)
            keeper_break_all(fabric);
        keeper_wait(fabric, next_ms);
    }
    keeper_graves(fabric, 0, true);
    atomic_store(&fabric->kept, true);
    return NULL;
}

static void fabric_free(struct fabric *fabric)
{
    if (fabric->accept_aio != NULL)
        nng_aio_free(fabric->accept_aio);
    pthread_cond_destroy(&fabric->wake);
    pthread_mutex_destroy(&fabric->lock);
    ticket_wipe(&fabric->offered);
    sodium_memzero(fabric->candidates, sizeof fabric->candidates);
    free(fabric);
}

static void fabric_defaults(struct fabric_options *options)
{
#define DEFAULT(field, value)                                                                      \
    if (options->field == 0)                                                                       \
    options->field = (value)
    DEFAULT(handshake_ms, 2000);
    DEFAULT(pending_max, 256);
    DEFAULT(links_max, 1024);
    DEFAULT(reconnect_ms_min, 10);
    DEFAULT(reconnect_ms_max, 500);
    DEFAULT(idle_ms, 1500);
    DEFAULT(queue_size_max, 64u << 20);
    DEFAULT(credit_size, 8u << 20);
    DEFAULT(credit_messages, 65536);
    DEFAULT(control_size, 32u << 20);
    DEFAULT(control_messages, 65536);
#undef DEFAULT
}

int fabric_open(struct fabric **out, const struct fabric_options *options)
{
    assert(options->identity != NULL);
    assert(options->ticket != NULL);
    assert(options->on_message != NULL);
    if (sodium_init() < 0)
        return -EIO;
    struct fabric *fabric = calloc(1, sizeof *fabric);
    if (fabric == NULL)
        return -ENOMEM;
    fabric->options = *options;
    fabric_defaults(&fabric->options);
    fabric->ciphers = options->without_gcm ? 0 : seal_ciphers();
    fabric->offered = *options->ticket;
    fabric->candidate_count = 1;
    memcpy(fabric->candidates[0].psk, options->ticket->psk, TICKET_PSK_SIZE);
    assert(fabric->options.reconnect_ms_min <= fabric->options.reconnect_ms_max);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&fabric->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&fabric->lock, NULL);
    int r = direct_open(fabric);
    if (r == 0)
        r = -pthread_create(&fabric->keeper, NULL, keeper_main, fabric);
    if (r != 0) {
        direct_close(fabric);
        fabric_free(fabric);
        return r;
    }
    *out = fabric;
    return 0;
}

void fabric_close(struct fabric *fabric)
{
    pthread_mutex_lock(&fabric->lock);
    assert(!fabric->closing);
    fabric->closing = true;
    fabric->woken = true;
    pthread_cond_signal(&fabric->wake);
    pthread_mutex_unlock(&fabric->lock);
    while (fabric->options.polled && !atomic_load(&fabric->kept))
        fabric_receive(fabric, FABRIC_CLOSE_TICK_MS); /* connections end by being received from */
    pthread_join(fabric->keeper, NULL);
    direct_close(fabric);
    fabric_free(fabric);
}

void *link_user(const struct link *link)
{
    return atomic_load(&link->user);
}

void link_set_user(struct link *link, void *user)
{
    atomic_store(&link->user, user);
}

void link_set_message_max(struct link *link, size_t size_max)
{
    assert(size_max <= LINK_MESSAGE_SIZE_MAX);
    atomic_store(&link->message_size_max, size_max);
}

uint64_t link_id(const struct link *link)
{
    return link->id;
}
