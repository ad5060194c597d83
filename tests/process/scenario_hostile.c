/* What strangers send to a node's port, and that honest clients do not notice. */
#include "replication/crowd.h"
#include "ring/wire.h"
#include "tests/process/fleet.h"
#include "tests/process/intruder.h"
#include "tests/process/load.h"
#include "tests/process/scenario.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define NODES          3u
#define CLIENTS        6u
#define HEALTHY_MS     60000u
#define GARBAGE        200u
#define GARBAGE_SIZE   8192u
#define ADMINS         72u /* more than find a place */
#define ASKED          10000u
#define GROWTH_KIB_MAX (64u << 10) /* of a node, whatever strangers do */

static int stranger(const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void send_garbage(const char *address)
{
    for (uint32_t i = 0; i < GARBAGE; i++) {
        unsigned char bytes[GARBAGE_SIZE];
        int fd = stranger(address);

        if (fd < 0)
            continue;
        fcntl(fd, F_SETFL, 0);
        for (size_t at = 0; at < sizeof bytes; at++)
            bytes[at] = (unsigned char)(at < 4 && i % 2 ? 0 : draw(256));
        (void)!send(fd, bytes, 1 + draw(sizeof bytes), MSG_NOSIGNAL);
        close(fd);
    }
}

/* Opens up to `count` connections that never say anything. Returns how many are open. */
static uint32_t open_silent(const char *address, int *fds, uint32_t count)
{
    uint32_t open = 0;

    for (uint32_t i = 0; i < count; i++) {
        fds[open] = stranger(address);
        if (fds[open] >= 0)
            open++;
        if (i % 100 == 99)
            pause_ms(1); /* the listener's queue is short */
    }
    return open;
}

static void try_wrong_ticket(struct fleet *fleet)
{
    char other[PATH_MAX], program[PATH_MAX], text[1024], err[1024];
    int code = program_run(text, NULL, sizeof text, 10000,
                           (const char *[]){program_path("ring-admin", program), "ticket", NULL});

    REQUIRE(code == 0, "ring-admin ticket: %d", code);
    fleet_path(fleet, "other", ".ticket", other);
    file_write(other, text, strlen(text));
    REQUIRE(chmod(other, 0600) == 0, "chmod");
    code = program_run(text, err, sizeof text, 20000,
                       (const char *[]){program, "--ticket", other, "--seeds", fleet->addresses[0],
                                        "status", NULL});
    REQUIRE(code == 3, "a wrong ticket: exit code %d: %s%s", code, text, err);
}

static uint32_t raise_limit(uint32_t wanted)
{
    struct rlimit limit;

    REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0, "%s", strerror(errno));
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur < wanted + 200 ? (uint32_t)limit.rlim_cur - 200 : wanted;
}

static void admin_ticket(struct fleet *fleet, struct ticket *out)
{
    char text[4096], path[PATH_MAX];
    int code =
        fleet_admin(fleet, text, sizeof text,
                    (const char *[]){"ticket", "new", "--role", "admin", "--uses", "0", NULL});

    REQUIRE(code == 0, "ticket new: exit code %d: %s", code, text);
    fleet_path(fleet, "crowd", ".ticket", path);
    file_write(path, text, strlen(text));
    REQUIRE(chmod(path, 0600) == 0, "chmod");
    REQUIRE(ticket_load(out, path) == 0, "no ticket: %s", text);
}

/* Whoever has an admin's ticket takes all places of admins, and asks without an end. The one with
 * the founding's ticket, who may revoke it, gets in; so does a member that is started again. */
static void try_crowd(struct fleet *fleet)
{
    struct intruder *crowd[ADMINS];
    struct ticket ticket;
    char text[4096];
    uint32_t places = crowd_places(CROWD_ADMINS, UINT32_MAX), in = 0;
    int code;

    admin_ticket(fleet, &ticket);
    for (uint32_t i = 0; i < ADMINS; i++)
        crowd[i] = intruder_open(&ticket, LINK_ROLE_ADMIN, fleet->addresses[0]);
    for (uint32_t ms = 0; in != places; ms += 100) {
        REQUIRE(ms < HEALTHY_MS, "%u of %u are let in", in, ADMINS);
        pause_ms(100);
        in = 0;
        for (uint32_t i = 0; i < ADMINS; i++)
            in += intruder_gets_in(crowd[i], 0);
    }
    fleet_wait_log(fleet, "node-1", "event=link_refused", HEALTHY_MS);
    for (uint32_t i = 0; i < ASKED; i++)
        intruder_send(crowd[i % ADMINS], WIRE_MAP_GET, WIRE_PARTITION_NODE, NULL, 0);
    code = fleet_admin(fleet, text, sizeof text, (const char *[]){"status", "--check", NULL});
    REQUIRE(code == 0, "status beside a crowd of admins: exit code %d: %s", code, text);
    (void)fleet_stop(fleet, &fleet->nodes[1]);
    fleet_start_node(fleet, 1);
    fleet_wait_healthy(fleet, HEALTHY_MS);
    for (uint32_t i = 0; i < ADMINS; i++)
        intruder_close(crowd[i]);
}

void scenario_hostile(const struct scenario_options *options)
{
    uint32_t count = raise_limit(options->is_short ? 1000 : 10000), open, gap;
    int *fds = calloc(count, sizeof *fds);
    struct load_result result;
    struct fleet fleet;
    struct load *load;
    uint64_t before, during;
    char text[4096];
    int code;

    REQUIRE(fds, "no memory");
    fleet_open(&fleet, options->folder, NODES);
    load = load_start(fleet.resp_port, CLIENTS);
    pause_ms(500);
    before = process_rss_kib(fleet.nodes[0].pid);
    load_window_begin(load);
    try_wrong_ticket(&fleet);
    send_garbage(fleet.addresses[0]);
    open = open_silent(fleet.addresses[0], fds, count);
    during = process_rss_kib(fleet.nodes[0].pid);
    /* Also now, one with the ticket gets in. */
    code = fleet_admin(&fleet, text, sizeof text, (const char *[]){"status", "--check", NULL});
    REQUIRE(code == 0, "status during the flood: exit code %d: %s", code, text);
    pause_ms(1000);
    gap = load_window_end(load);
    for (uint32_t i = 0; i < open; i++)
        close(fds[i]);
    fleet_wait_healthy(&fleet, HEALTHY_MS);
    try_crowd(&fleet);
    load_finish(load, &result);
    if (!options->is_short) /* sanitizers keep freed memory */
        REQUIRE(during < before + GROWTH_KIB_MAX, "the node grew from %llu to %llu KiB",
                (unsigned long long)before, (unsigned long long)during);
    fleet_close(&fleet);
    free(fds);
    scenario_say(options,
                 "%u silent connections, %u with garbage; %u honest operations, longest gap %u ms; "
                 "node: %llu KiB before, %llu KiB then",
                 open, GARBAGE, result.operations, gap, (unsigned long long)before,
                 (unsigned long long)during);
}
