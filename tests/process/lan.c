#include "tests/process/lan.h"

#include "tests/process/program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COMMAND_MS   10000u
#define COMMAND_SIZE 512u
#define PASSES_MS    300 /* a packet on one machine takes far less */

/* A line of shell, for `ip`. Returns whether it went well; err: else what it said first. */
static bool run(char *err, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool run(char *err, size_t size, const char *format, ...)
{
    char line[COMMAND_SIZE] = "PATH=$PATH:/usr/sbin:/sbin; ";
    size_t at = strlen(line);
    va_list list;

    va_start(list, format);
    vsnprintf(line + at, sizeof line - at, format, list);
    va_end(list);
    if (program_run(NULL, err, size, COMMAND_MS, (const char *[]){"/bin/sh", "-c", line, NULL}) ==
        0)
        return true;
    err[strcspn(err, "\n")] = 0;
    return false;
}

static bool put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return done;
}

/* Who is not root becomes it in a user namespace, and so for the networks made from there. */
static bool may_make_networks(void)
{
    char users[64], groups[64];

    if (geteuid() == 0)
        return true;
    snprintf(users, sizeof users, "0 %u 1", geteuid());
    snprintf(groups, sizeof groups, "0 %u 1", getegid());
    return unshare(CLONE_NEWUSER) == 0 && put("/proc/self/setgroups", "deny") &&
           put("/proc/self/uid_map", users) && put("/proc/self/gid_map", groups);
}

/* A namespace more, which the thread is in then. Returns it, or -1. */
static int make(void)
{
    return unshare(CLONE_NEWNET) == 0 ? open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC) : -1;
}

static void enter(int network)
{
    REQUIRE(setns(network, CLONE_NEWNET) == 0, "%s", strerror(errno));
}

const char *lan_host(uint32_t host, char text[LAN_HOST_SIZE])
{
    snprintf(text, LAN_HOST_SIZE, "10.0.%u.2", host % LAN_HOSTS_MAX);
    return text;
}

/* Without rp_filter: it would drop what comes the other way of a cut. */
static bool make_hub(struct lan *lan)
{
    lan->hub = make();
    return lan->hub >= 0 && put("/proc/sys/net/ipv4/ip_forward", "1") &&
           put("/proc/sys/net/ipv4/conf/all/rp_filter", "0") &&
           put("/proc/sys/net/ipv4/conf/default/rp_filter", "0");
}

static bool make_host(struct lan *lan, uint32_t host, char *why, size_t size)
{
    lan->hosts[host] = make();
    if (lan->hosts[host] < 0) {
        snprintf(why, size, "a network namespace: %s", strerror(errno));
        return false;
    }
    lan->host_count++;
    if (!run(why, size,
             "ip link set lo up && ip link add eth0 type veth peer name host%u netns "
             "/proc/%d/fd/%d && ip addr add 10.0.%u.2/24 dev eth0 && ip link set eth0 up && "
             "ip route add default via 10.0.%u.1",
             host, (int)getpid(), lan->hub, host, host))
        return false;
    enter(lan->hub);
    return run(why, size, "ip addr add 10.0.%u.1/24 dev host%u && ip link set host%u up", host,
               host, host);
}

/* A cut is to be one way, and to heal. */
static bool cuts(struct lan *lan)
{
    bool one_way;

    lan_cut(lan, 1, 2);
    one_way = !lan_passes(lan, 1, 2) && lan_passes(lan, 2, 1);
    lan_heal(lan);
    return one_way && lan_passes(lan, 1, 2);
}

const char *lan_open(struct lan *lan, uint32_t hosts)
{
    static char why[1024];

    REQUIRE(hosts >= 3 && hosts <= LAN_HOSTS_MAX, "%u hosts", hosts);
    *lan = (struct lan){.hub = -1};
    if (!may_make_networks())
        return "neither root nor allowed to make user namespaces";
    if (!make_hub(lan))
        return "making network namespaces is not permitted here";
    for (uint32_t host = 0; host < hosts; host++) {
        if (!make_host(lan, host, why, sizeof why))
            return why;
    }
    if (!run(why, sizeof why,
             "ip rule add pref 1 from 10.0.1.2 to 10.0.2.2 blackhole && "
             "ip rule del pref 1"))
        return why;
    enter(lan->hosts[0]);
    return cuts(lan) ? NULL : "the kernel does not drop what a blackhole rule names";
}

void lan_close(struct lan *lan)
{
    for (uint32_t host = 0; host < lan->host_count; host++)
        close(lan->hosts[host]);
    close(lan->hub);
    *lan = (struct lan){.hub = -1};
}

void lan_enter(const struct lan *lan, uint32_t host)
{
    REQUIRE(host < lan->host_count, "no host %u", host);
    enter(lan->hosts[host]);
}

/* "from 10.0.1.2 ", or nothing for all. */
static void name(char *text, size_t size, const char *word, uint32_t host)
{
    char address[LAN_HOST_SIZE];

    text[0] = 0;
    if (host != LAN_ALL)
        snprintf(text, size, "%s %s ", word, lan_host(host, address));
}

/* In the hub, and back to host 0. */
static void rule(const struct lan *lan, const char *line)
{
    char err[512];

    enter(lan->hub);
    REQUIRE(run(err, sizeof err, "%s", line), "%s: %s", line, err);
    enter(lan->hosts[0]);
}

void lan_cut(struct lan *lan, uint32_t from, uint32_t to)
{
    char line[128], sender[32], receiver[32];

    name(sender, sizeof sender, "from", from);
    name(receiver, sizeof receiver, "to", to);
    snprintf(line, sizeof line, "ip rule add pref 1 %s%sblackhole", sender, receiver);
    rule(lan, line);
    lan->cuts++;
}

void lan_heal(struct lan *lan)
{
    for (; lan->cuts > 0; lan->cuts--)
        rule(lan, "ip rule del pref 1");
}

static int open_socket(const struct lan *lan, uint32_t host)
{
    int fd;

    lan_enter(lan, host);
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0, "%s", strerror(errno));
    lan_enter(lan, 0);
    return fd;
}

bool lan_passes(const struct lan *lan, uint32_t from, uint32_t to)
{
    int sender = open_socket(lan, from), receiver = open_socket(lan, to);
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct pollfd poll_fd = {.fd = receiver, .events = POLLIN};
    socklen_t size = sizeof address;
    char text[LAN_HOST_SIZE];
    bool passes;

    inet_pton(AF_INET, lan_host(to, text), &address.sin_addr);
    REQUIRE(bind(receiver, (struct sockaddr *)&address, size) == 0 &&
                getsockname(receiver, (struct sockaddr *)&address, &size) == 0,
            "%s", strerror(errno));
    REQUIRE(sendto(sender, "x", 1, 0, (struct sockaddr *)&address, size) == 1, "%s",
            strerror(errno));
    passes = poll(&poll_fd, 1, PASSES_MS) == 1;
    close(sender);
    close(receiver);
    return passes;
}
