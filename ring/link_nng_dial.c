/* The dialling side of a fabric: a link that is kept up until the host closes it. */
#include "ring/link_nng_internal.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* A random pause up to a bound that doubles with each failure. link->lock held. */
void link_retry_later(struct link *link, uint64_t now_ms)
{
    const struct fabric_options *options = &link->fabric->options;
    uint32_t min = options->reconnect_ms_min;
    link->due_ms = now_ms + min + randombytes_uniform(link->backoff_ms - min + 1);
    link->backoff_ms *= 2;
    if (link->backoff_ms > options->reconnect_ms_max)
        link->backoff_ms = options->reconnect_ms_max;
    link->state = LINK_WAITING;
}

bool link_report(struct link *link, const char *why, uint64_t now_ms)
{
    if (link->closed)
        return false;
    if (link->reported == why && now_ms - link->reported_ms < LINK_REPORT_MS)
        return false;
    link->reported = why;
    link->reported_ms = now_ms;
    return true;
}

static void link_dial_failed(struct link *link, const char *why)
{
    uint64_t now_ms = link_now_ms();
    pthread_mutex_lock(&link->lock);
    bool tell = link_report(link, why, now_ms);
    pthread_mutex_unlock(&link->lock);
    if (tell)
        fabric_refused(link->fabric, link->address, true, REFUSAL_NONE, why, false);
    pthread_mutex_lock(&link->lock);
    link_retry_later(link, now_ms);
    pthread_mutex_unlock(&link->lock);
    fabric_wake(link->fabric);
}

static void link_dial_done(void *argument)
{
    struct link *link = argument;
    struct conn *conn = NULL;
    int r = nng_aio_result(link->dial_aio);
    pthread_mutex_lock(&link->lock);
    bool timed_out = link->dial_stopped && !link->closed;
    bool closed = link->closed;
    pthread_mutex_unlock(&link->lock);
    if (r != 0) {
        link_dial_failed(link, timed_out ? "no answer in time" : nng_strerror(r));
        return;
    }
    nng_stream *stream = nng_aio_get_output(link->dial_aio, 0);
    if (closed) {
        nng_stream_free(stream);
        link_dial_failed(link, "closed");
        return;
    }
    if (conn_new(link, stream, link->address, &conn) < 0) {
        link_dial_failed(link, "out of memory");
        return;
    }
    conn_start(conn);
}

/* A fresh dialer an attempt: closing it is the one way to give up that does not cancel. */
void link_dial_start(struct link *link, uint64_t now_ms)
{
    char url[LINK_ADDRESS_SIZE + 8];
    assert(link->dialer == NULL);
    assert(link->conn == NULL);
    int r = fabric_address(link->address, true, url);
    assert(r == 0);
    if (nng_stream_dialer_alloc(&link->dialer, url) != 0) {
        link->dialer = NULL;
        link_retry_later(link, now_ms);
        return;
    }
    nng_stream_dialer_set_bool(link->dialer, NNG_OPT_TCP_NODELAY, true);
    link->state = LINK_DIALLING;
    link->dial_stopped = false;
    link->dialled_ms = now_ms;
    nng_stream_dialer_dial(link->dialer, link->dial_aio);
}

void link_dial_clean(struct link *link)
{
    nng_stream_dialer_free(link->dialer);
    pthread_mutex_lock(&link->lock);
    link->dialer = NULL;
    pthread_mutex_unlock(&link->lock);
}

void link_hurry(struct link *link)
{
    pthread_mutex_lock(&link->lock);
    bool waits = link->dialled && !link->closed && link->state == LINK_WAITING;
    if (waits) {
        link->due_ms = link_now_ms();
        link->backoff_ms = link->fabric->options.reconnect_ms_min;
    }
    pthread_mutex_unlock(&link->lock);
    if (waits)
        fabric_wake(link->fabric);
}

int fabric_dial(struct fabric *fabric, const char *address, const uint8_t *expected_key, void *user,
                struct link **out)
{
    char url[LINK_ADDRESS_SIZE + 8];
    if (fabric_address(address, true, url) < 0)
        return -EINVAL;
    struct link *link = link_new(fabric, address);
    if (link == NULL)
        return -ENOMEM;
    if (nng_aio_alloc(&link->dial_aio, link_dial_done, link) != 0) {
        pthread_mutex_destroy(&link->lock);
        free(link);
        return -ENOMEM;
    }
    nng_aio_set_timeout(link->dial_aio, NNG_DURATION_INFINITE);
    link->dialled = true;
    link->pinned = expected_key != NULL;
    if (link->pinned)
        memcpy(link->expected_key, expected_key, IDENTITY_PUBLIC_SIZE);
    atomic_store(&link->user, user);
    *out = link; /* before any callback can come */
    link_add(link);
    return 0;
}
