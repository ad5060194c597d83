/* The whole process but its command line: real sockets, a real link, a model behind it. */
#include "stage.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

Test(server_uv, a_client_is_served_to_the_end, .timeout = 60)
{
    struct stage *stage = stage_new(NULL, true);
    int fd = stage_dial(stage);

    stage_say(fd, "SET a 1\r\nINCR a\r\n");
    stage_hear(fd, "+OK\r\n:2\r\n");
    stage_say(fd, "GET a\r\nGET none\r\nPING\r\n");
    shutdown(fd, SHUT_WR);
    stage_hear(fd, "$1\r\n2\r\n$-1\r\n+PONG\r\n");
    stage_hear_end(fd);
    close(fd);
    fd = stage_dial(stage);
    stage_say(fd, "QUIT\r\n");
    stage_hear(fd, "+OK\r\n");
    stage_hear_end(fd);
    close(fd);
    stage_free(stage);
}

Test(server_uv, many_commands_are_written_before_any_reply_is_read, .timeout = 60)
{
    struct stage *stage = stage_new(NULL, true);
    int fd = stage_dial(stage);

    for (int i = 0; i < 3000; i++)
        stage_say(fd, "SET a 0123456789\r\nGET a\r\n");
    for (int i = 0; i < 3000; i++)
        stage_hear(fd, "+OK\r\n$10\r\n0123456789\r\n");
    close(fd);
    stage_free(stage);
}

Test(server_uv, a_large_value_goes_through_and_a_slow_reader_gets_it_whole, .timeout = 60)
{
    struct stage *stage = stage_new(NULL, true);
    size_t size = 8u << 20;
    char *value = malloc(size + 64);
    int fd = stage_dial(stage);
    int head;

    head = sprintf(value, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%zu\r\n", size);
    stage_say_bytes(fd, value, (size_t)head);
    memset(value, 'v', size);
    memcpy(value + size, "\r\n", 3);
    stage_say_bytes(fd, value, size + 2);
    stage_hear(fd, "+OK\r\n");
    stage_say(fd, "GET a\r\nGET a\r\nPING\r\n");
    stage_hear(fd, "$8388608\r\n");
    stage_hear(fd, value);
    stage_hear(fd, "$8388608\r\n");
    stage_hear(fd, value);
    stage_hear(fd, "+PONG\r\n");
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
        fd = stage_dial(stage);
        stage_say(fd, "SET a 1\r\nMGET a b c d e f\r\nGET a\r\n*3\r\n$3\r\nSET\r\n");
        if (i % 2)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_it, sizeof abort_it);
        close(fd);
    }
    fd = stage_dial(stage);
    stage_say(fd, "GET a\r\n");
    stage_hear(fd, "$1\r\n1\r\n");
    close(fd);
    stage_free(stage);
}

Test(server_uv, when_the_node_comes_back_so_does_the_link, .timeout = 60)
{
    struct stage *stage = stage_new(NULL, true);
    int fd = stage_dial(stage);

    stage_say(fd, "INCR a\r\n");
    stage_hear(fd, ":1\r\n");
    stage_say(fd, "INCR a\r\nINCR a\r\n");
    stage_restart(stage, 100000);
    stage_hear(fd, ":2\r\n:3\r\n");
    close(fd);
    stage_free(stage);
}

/* Long before the deadline of an operation, and served as soon as the node lets it in. */
Test(server_uv, a_router_that_its_nodes_refuse_says_why, .timeout = 60)
{
    static const char refused[] = "-CLUSTERDOWN no node lets this router in: the ticket was "
                                  "revoked at 2023-11-14T22:13:20Z; take one of `ring-admin ticket "
                                  "new --role router`\r\n";
    struct stage *stage = stage_new(NULL, true);
    char text[sizeof refused] = "";
    int fd = stage_dial(stage);

    stage_say(fd, "INCR a\r\n");
    stage_hear(fd, ":1\r\n");
    pthread_mutex_lock(&stage->lock);
    stage->refusal = (struct refusal){.kind = REFUSAL_REVOKED, .number = 1700000000000u};
    pthread_mutex_unlock(&stage->lock);
    stage_restart(stage, 0);
    stage_say(fd, "GET a\r\n");
    cr_assert_eq(recv(fd, text, sizeof text - 1, MSG_WAITALL), sizeof text - 1);
    cr_assert_str_eq(text, refused);
    pthread_mutex_lock(&stage->lock);
    stage->refusal.kind = REFUSAL_NONE;
    pthread_mutex_unlock(&stage->lock);
    do {
        stage_say(fd, "GET a\r\n");
        cr_assert_eq(recv(fd, text, 1, MSG_PEEK), 1);
    } while (text[0] == '-' && recv(fd, text, sizeof text - 1, MSG_WAITALL) > 0);
    stage_hear(fd, "$1\r\n1\r\n");
    close(fd);
    stage_free(stage);
}

Test(server_uv, a_cluster_founded_later_is_noticed, .timeout = 60)
{
    struct stage *stage = stage_new(NULL, false);
    char byte;
    int fd;

    for (bool told = false; !told; usleep(1000)) {
        pthread_mutex_lock(&stage->lock);
        told = stage->founded = stage->nothings >= 2;
        pthread_mutex_unlock(&stage->lock);
    }
    cr_assert_eq(read(stage->ready[0], &byte, 1), 1);
    fd = stage_dial(stage);
    stage_say(fd, "INCR a\r\n");
    stage_hear(fd, ":1\r\n");
    close(fd);
    stage_free(stage);
}

Test(server_uv, the_password_is_asked_for, .timeout = 60)
{
    struct stage *stage = stage_new("secret", true);
    int fd = stage_dial(stage);

    stage_say(fd, "GET a\r\nAUTH secret\r\nGET a\r\n");
    stage_hear(fd, "-NOAUTH Authentication required.\r\n+OK\r\n$-1\r\n");
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
