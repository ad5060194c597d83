/* How the thread that keeps the links of a fabric waits: its own waits are seen here. */
#include "link_nng_end.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#define WAITS 20u

static _Atomic uint64_t waits, repeated;

int __real_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until);

/* Counts those that end by time, and those that do so for the same moment again. */
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until)
{
    static struct timespec last; /* one thread waits so */
    int r = __real_pthread_cond_timedwait(cond, mutex, until);

    if (r != ETIMEDOUT)
        return r;
    atomic_fetch_add(&repeated, until->tv_sec == last.tv_sec && until->tv_nsec == last.tv_nsec);
    atomic_fetch_add(&waits, 1);
    last = *until;
    return r;
}

/* A clock that is behind the one it sleeps by would find that nothing is due yet. */
Test(link_nng_keeper, a_moment_is_waited_for_once, .timeout = 120)
{
    struct timespec pause = {.tv_nsec = 10000000};
    struct ticket ticket;
    struct end node, router;
    uint16_t port;

    memset(&ticket, 0x42, sizeof ticket);
    end_init(&node, &ticket, LINK_ROLE_NODE);
    end_init(&router, &ticket, LINK_ROLE_ROUTER);
    end_listen(&node, 0);
    port = fabric_port(node.fabric);
    end_close(&node); /* nobody listens there */
    router.options.reconnect_ms_min = router.options.reconnect_ms_max = 20;
    end_open(&router);
    atomic_store(&waits, 0);
    atomic_store(&repeated, 0);
    end_dial(&router, port, node.identity.public_key);
    while (atomic_load(&waits) < WAITS)
        nanosleep(&pause, NULL);
    cr_assert_eq(atomic_load(&repeated), 0, "%lu of %lu waits",
                 (unsigned long)atomic_load(&repeated), (unsigned long)atomic_load(&waits));
    end_close(&router);
}
