#include "bench/load.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS_MAX 64

/* A server of one thread that answers as it is told and counts what it was asked. */
struct server {
    pthread_t thread;
    int listener;
    struct pollfd sockets[SOCKETS_MAX];
    char rest[SOCKETS_MAX][1 << 16]; /* bytes of a request that is not whole */
    size_t rest_size[SOCKETS_MAX];
    unsigned socket_count;
    char address[32];
    volatile bool stop;
    uint64_t gets, sets;
    unsigned stall_ms; /* once, when so many GETs have come: */
    uint64_t stall_after;
    uint64_t error_each;  /* each so many-th SET fails; 0: none */
    uint64_t close_after; /* that GET closes its connection; 0: none */
};

static struct server server;

static void answer(unsigned at, bool set)
{
    static const char ok[] = "+OK\r\n", value[] = "$3\r\nabc\r\n", refused[] = "-TRYAGAIN x\r\n";
    const char *text = set ? ok : value;

    server.gets += !set;
    server.sets += set;
    if (set && server.error_each && server.sets % server.error_each == 0)
        text = refused;
    if (!set && server.gets == server.stall_after)
        usleep(server.stall_ms * 1000);
    cr_assert_gt(send(server.sockets[at].fd, text, strlen(text), MSG_NOSIGNAL), 0);
}

/* Requests are arrays of bulk strings; the number of strings tells GET from SET. */
static void handle(unsigned at)
{
    char *bytes = server.rest[at];
    struct reply request;
    ssize_t n = recv(server.sockets[at].fd, bytes + server.rest_size[at],
                     sizeof server.rest[at] - server.rest_size[at], 0);
    int64_t size;

    if (n <= 0 || (server.close_after && server.gets + 1 == server.close_after)) {
        server.gets += n > 0;
        close(server.sockets[at].fd);
        server.sockets[at].fd = -1;
        return;
    }
    server.rest_size[at] += (size_t)n;
    while ((size = reply_parse(bytes, server.rest_size[at], &request)) > 0) {
        bool set = bytes[1] == '3';

        server.rest_size[at] -= (size_t)size;
        memmove(bytes, bytes + size, server.rest_size[at]);
        answer(at, set);
    }
    cr_assert_eq(size, 0);
}

static void *serve(void *argument)
{
    while (!server.stop) {
        if (poll(server.sockets, server.socket_count, 20) <= 0)
            continue;
        for (unsigned i = 1; i < server.socket_count; i++)
            if (server.sockets[i].revents)
                handle(i);
        if (server.sockets[0].revents) {
            cr_assert_lt(server.socket_count, SOCKETS_MAX);
            server.sockets[server.socket_count++] =
                (struct pollfd){.fd = accept(server.listener, NULL, NULL), .events = POLLIN};
        }
    }
    return argument;
}

static void start(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;

    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    server.listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(server.listener, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(server.listener, 64), 0);
    getsockname(server.listener, (struct sockaddr *)&address, &size);
    snprintf(server.address, sizeof server.address, "127.0.0.1:%u", ntohs(address.sin_port));
    server.sockets[0] = (struct pollfd){.fd = server.listener, .events = POLLIN};
    server.socket_count = 1;
    cr_assert_eq(pthread_create(&server.thread, NULL, serve, NULL), 0);
}

static void stop(void)
{
    server.stop = true;
    pthread_join(server.thread, NULL);
}

static struct load_options options_of(const char *workload)
{
    return (struct load_options){.resp = server.address,
                                 .workload = workload,
                                 .distribution = -1,
                                 .clients = 6,
                                 .pipeline = 1,
                                 .threads = 2,
                                 .keys = 1000,
                                 .key_size = 16,
                                 .value_size = 10,
                                 .seconds = 1};
}

static struct load_result *run(const struct load_options *options)
{
    struct load_result *result = malloc(sizeof *result);
    const char *why = "";

    cr_assert_eq(load_run(options, result, &why), 0, "%s", why);
    return result;
}

Test(load, fill_writes_every_key_once, .init = start, .fini = stop)
{
    struct load_options options = options_of("get");
    struct load_result *result;

    options.fill = true;
    options.keys = 12345;
    result = run(&options);
    cr_assert_eq(server.sets, 12345);
    cr_assert_eq(result->tally.kinds[WORKLOAD_UPDATE].count, 0);
    free(result);
}

Test(load, closed_loop_counts_what_was_answered, .init = start, .fini = stop)
{
    struct load_options options = options_of("a");
    struct load_result *result;

    options.pipeline = 8;
    result = run(&options);
    cr_assert_gt(result->tally.completed, 100);
    cr_assert_eq(result->tally.completed, result->tally.all.count);
    cr_assert_leq(result->tally.completed, server.gets + server.sets);
    cr_assert_eq(result->tally.lost, 0);
    cr_assert_eq(result->tally.error_count, 0);
    cr_assert_not(result->saturated);
    free(result);
}

Test(load, errors_are_counted_by_prefix_and_are_no_operations, .init = start, .fini = stop)
{
    struct load_options options = options_of("set");
    struct load_result *result;

    server.error_each = 2;
    result = run(&options);
    cr_assert_eq(result->tally.error_count, 1);
    cr_assert_str_eq(result->tally.errors[0].prefix, "TRYAGAIN");
    cr_assert_lt(result->tally.completed, server.sets / 2 + 10);
    free(result);
}

/* The point of the open loop: a stall delays all that was due in it, not the few in flight. A
 * closed loop of 6 clients would have seen 6 slow requests. */
Test(load, open_loop_charges_a_stall_to_everyone_who_waited, .init = start, .fini = stop)
{
    struct load_options options = options_of("get");
    struct load_result *result;
    uint64_t fast;

    options.rate = 1000;
    server.stall_after = 100;
    server.stall_ms = 500;
    result = run(&options);
    fast = histogram_count_to(&result->tally.all, 100000000);
    cr_assert_geq(result->tally.all.count - fast, 300);
    free(result);
}

Test(load, more_than_can_be_served_is_marked, .init = start, .fini = stop)
{
    struct load_options options = options_of("get");
    struct load_result *result;

    options.rate = 1000;
    server.stall_after = 1;
    server.stall_ms = 1500;
    result = run(&options);
    cr_assert(result->saturated);
    free(result);
}

Test(load, modify_reads_then_writes, .init = start, .fini = stop)
{
    struct load_options options = options_of("f");
    struct load_result *result = run(&options);
    uint64_t modified = result->tally.kinds[WORKLOAD_MODIFY].count;

    cr_assert_gt(modified, 0);
    cr_assert_geq(server.sets, modified);
    cr_assert_geq(server.gets, server.sets);
    free(result);
}

Test(load, broken_connection_is_counted_and_replaced, .init = start, .fini = stop)
{
    struct load_options options = options_of("get");
    struct load_result *result;

    server.close_after = 50;
    result = run(&options);
    cr_assert_eq(result->tally.error_count, 1);
    cr_assert_str_eq(result->tally.errors[0].prefix, "CLOSED");
    cr_assert_eq(result->tally.lost, 1);
    cr_assert_gt(server.gets, 50);
    free(result);
}

Test(load, no_server_is_an_error)
{
    struct load_result *result = malloc(sizeof *result);
    struct load_options options = options_of("a");
    const char *why = "";

    options.resp = "127.0.0.1:1";
    cr_assert_eq(load_run(&options, result, &why), -ECONNREFUSED);
    options.resp = "nonsense";
    cr_assert_eq(load_run(&options, result, &why), -EINVAL);
    free(result);
}
