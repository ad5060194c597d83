/* The router's process under ThreadSanitizer, without Criterion: clients on several threads, links
 * that break and come back meanwhile.
 *
 * Usage: server_uv_tsan [seconds, default 3] */
#include "stage.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS 4

/* nng counts the references of a dialer with atomics, and Debian's library is not instrumented, so
 * that ThreadSanitizer does not see why the last one may destroy the dialer's mutex. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:pthread_mutex_destroy";
}

static struct stage *stage;
static atomic_bool over;
static atomic_ulong commands;

static void *client(void *context)
{
    int number = (int)(intptr_t)context;
    char line[64], reply[64];

    for (unsigned round = 0; !atomic_load(&over); round++) {
        int fd = stage_dial(stage);

        for (unsigned i = 0; i < 20; i++) {
            snprintf(line, sizeof line, "SET k%d %u\r\nGET k%d\r\n", number, i, number);
            snprintf(reply, sizeof reply, "+OK\r\n$%u\r\n%u\r\n", i < 10 ? 1u : 2u, i);
            stage_say(fd, line);
            stage_hear(fd, reply);
            atomic_fetch_add(&commands, 2);
        }
        close(fd);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int seconds = argc > 1 ? atoi(argv[1]) : 3;
    pthread_t threads[CLIENTS];
    time_t end = time(NULL) + seconds;

    stage = stage_new(NULL, true);
    for (int i = 0; i < CLIENTS; i++)
        if (pthread_create(&threads[i], NULL, client, (void *)(intptr_t)i) != 0)
            return 1;
    while (time(NULL) < end) {
        usleep(400000);
        stage_restart(stage, 10000);
    }
    atomic_store(&over, true);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    stage_free(stage);
    printf("server_uv_tsan: %lu commands answered right\n", atomic_load(&commands));
    return 0;
}
