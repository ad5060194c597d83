/* The thread that keeps the links of a fabric: how it waits, as its own waits are seen here, and
 * whom it finds silent. */
#include "link_nng_end.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAITS 20u

static _Atomic uint64_t waits, repeated;
static struct ticket ticket;
static struct end node, router;

static void setup(void)
{
    memset(&ticket, 0x42, sizeof ticket);
    end_init(&node, &ticket, LINK_ROLE_NODE);
    end_init(&router, &ticket, LINK_ROLE_ROUTER);
}
TestSuite(link_nng_keeper, .init = setup, .timeout = 120);

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
Test(link_nng_keeper, a_moment_is_waited_for_once)
{
    struct timespec pause = {.tv_nsec = 10000000};
    uint16_t port;

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

Test(link_nng_keeper, idle_link_is_kept_up_by_pings)
{
    router.options.idle_ms = 100;
    node.options.idle_ms = 100;
    node.echo = true;
    struct link *link = end_join(&node, &router);
    struct timespec pause = {.tv_nsec = 600 * 1000000};
    uint64_t ups = 0; /* a machine that stops us for so long breaks it as well, not each time */
    for (int tries = 0; tries < 20 && end_read(&router, &router.ups) != ups; tries++) {
        ups = end_read(&router, &router.ups);
        nanosleep(&pause, NULL);
    }
    cr_assert_eq(end_read(&router, &router.ups), ups);
    while (end_send(link, WIRE_OPS, 0, 10) == -ENOTCONN)
        nanosleep(&pause, NULL);
    end_wait(&router, &router.messages, 1);
    end_part(&node, &router);
}

/* Stops this process and lets it go on after so long. */
static void stand_still(uint32_t pause_ms)
{
    struct timespec pause = {.tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000L};
    pid_t self = getpid(), other = fork();
    int status;

    cr_assert_geq(other, 0);
    if (other == 0) {
        kill(self, SIGSTOP);
        nanosleep(&pause, NULL);
        kill(self, SIGCONT);
        _exit(0);
    }
    cr_assert_eq(waitpid(other, &status, 0), other);
    cr_assert_eq(status, 0);
}

Test(link_nng_keeper, who_stood_still_itself_finds_nobody_silent)
{
    struct timespec pause = {.tv_nsec = 300 * 1000000};
    router.options.idle_ms = 1000;
    node.options.idle_ms = 1000;
    (void)end_join(&node, &router);
    end_wait(&router, &router.ups, 1);
    stand_still(3000);
    nanosleep(&pause, NULL); /* longer than the keeper waits */
    cr_assert_eq(end_read(&router, &router.downs), 0, "%s", router.why);
    cr_assert_eq(end_read(&node, &node.downs), 0, "%s", node.why);
    end_part(&node, &router);
}

Test(link_nng_keeper, silent_connection_is_given_up_and_dialled_again)
{
    struct relay relay;
    router.options.idle_ms = 300;
    end_listen(&node, 0);
    relay_open(&relay, fabric_port(node.fabric));
    end_open(&router);
    end_dial(&router, relay.port, node.identity.public_key);
    end_wait(&router, &router.ups, 1);
    atomic_store(&relay.stalled, true);
    end_wait(&router, &router.downs, 1);
    cr_assert_str_eq(router.why, "silent for too long");
    atomic_store(&relay.stalled, false);
    end_wait(&router, &router.ups, 2);
    end_part(&node, &router);
    relay_close(&relay);
}
