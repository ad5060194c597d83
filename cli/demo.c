#include "cli/demo.h"

#include "cli/child.h"
#include "cli/cluster.h"
#include "cli/demo_dir.h"
#include "cli/demo_members.h"
#include "cli/founding.h"
#include "cli/text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sodium.h>

#define NODES_DEFAULT  3u
#define RESP_DEFAULT   "127.0.0.1:6379"
#define START_MS_MAX   30000u
#define STOP_MS_MAX    5000u
#define PORT_TRIES_MAX 100u
#define ROUTER         DEMO_NODES_MAX /* place of the router among the processes */
#define PROCESSES      (DEMO_NODES_MAX + 1)
#define LINE_SIZE      256u
/* Below the ports that the system gives to outgoing connections: a node that is away must find its
 * port free when it comes back. */
#define PORT_FIRST 10000u
#define PORT_RANGE 20000u

struct demo_process {
    char name[16]; /* "node-2", "router" */
    struct child child;
    bool started; /* by us, at least once */
};

struct demo {
    struct demo_dir dir;
    struct ticket ticket;
    char ticket_path[PATH_MAX], program[PATH_MAX];
    struct demo_process processes[PROCESSES];
    uint32_t node_count, partitions;
    struct demo_members members;   /* at the start */
    struct address_list addresses; /* of the nodes that run */
    char resp[ADDRESS_SIZE];
    int signal_fd;
};

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    va_list list;

    fputs("ringcask demo: ", stderr);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
}

static int open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGPIPE);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return -errno;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool take_signal(const struct demo *demo, uint32_t *number)
{
    struct signalfd_siginfo info;

    if (read(demo->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return false;
    *number = info.ssi_signo;
    return true;
}

static bool is_stop(uint32_t number)
{
    return number == SIGINT || number == SIGTERM || number == SIGHUP;
}

static int set_arguments(struct child *child, const char *const *arguments)
{
    int r = 0;

    child_clear(child);
    for (size_t i = 0; arguments[i] && r == 0; i++)
        r = child_add(child, arguments[i]);
    return r;
}

/* It joined a cluster that was founded without it. */
static bool is_joined(const struct demo *demo, uint32_t k)
{
    return demo->members.changed && k >= demo->node_count;
}

static int set_node(struct demo *demo, uint32_t k, const char *listen)
{
    struct demo_process *process = &demo->processes[k];
    char data[PATH_MAX], zone[16];
    bool joined = is_joined(demo, k); /* with as many shards as it likes */

    demo_dir_path(&demo->dir, process->name, "", data);
    snprintf(zone, sizeof zone, "zone-%u", k + 1);
    return set_arguments(&process->child,
                         (const char *const[]){demo->program, "node", "--ticket", demo->ticket_path,
                                               "--data", data, "--listen", listen, "--zone", zone,
                                               joined ? NULL : "--shards", "1", NULL});
}

static int set_router(struct demo *demo, const char *resp)
{
    char seeds_data[ADDRESS_SIZE * DEMO_NODES_MAX];
    struct text seeds = {seeds_data, sizeof seeds_data, 0};

    for (size_t i = 0; i < demo->addresses.count; i++)
        text_add(&seeds, "%s%s", i > 0 ? "," : "", demo->addresses.items[i]);
    return set_arguments(&demo->processes[ROUTER].child,
                         (const char *const[]){demo->program, "router", "--ticket",
                                               demo->ticket_path, "--seeds", seeds_data, "--resp",
                                               resp, NULL});
}

static int start(struct demo *demo, struct demo_process *process)
{
    char log[PATH_MAX];
    int r;

    demo_dir_path(&demo->dir, process->name, ".log", log);
    r = child_start(&process->child, log);
    process->started |= r == 0;
    if (r == 0)
        demo_dir_save_pid(&demo->dir, process->name, process->child.pid);
    return r;
}

/* What a process that was started says first. Waits on through signals that stop nothing. */
static int first_line(struct demo *demo, struct demo_process *process, char line[LINE_SIZE])
{
    for (;;) {
        int r = child_line(&process->child, demo->signal_fd, START_MS_MAX, line, LINE_SIZE);
        uint32_t number;

        if (r != CHILD_E_SIGNAL)
            return r;
        while (take_signal(demo, &number))
            if (is_stop(number))
                return r;
    }
}

static enum exit_code not_started(struct demo *demo, struct demo_process *process, int r)
{
    char last[512];
    int status = process->child.status;

    if (r == CHILD_E_SIGNAL)
        return EXIT_CODE_FAILED;
    demo_dir_last_log(&demo->dir, process->name, last, sizeof last);
    if (r < 0)
        say("%s does not start: %s", process->name, strerror(-r));
    else if (r == CHILD_E_TIMEOUT)
        say("%s is not ready after %u s: %s", process->name, START_MS_MAX / 1000, last);
    else
        say("%s does not start: %s", process->name, last);
    return r == CHILD_E_ENDED && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_CODE_CONFLICT
               ? EXIT_CODE_CONFLICT
               : EXIT_CODE_FAILED;
}

static void tell_removed(const struct demo *demo, const struct demo_process *process)
{
    char data[PATH_MAX];

    demo_dir_path(&demo->dir, process->name, "", data);
    say("%s has left the cluster for ever and is not to be started again: %s is of no use any more",
        process->name, data);
}

/* The value of "name=" in a line of words, or its second word for name NULL. */
static bool word_of(const char *line, const char *name, char *out, size_t size)
{
    const char *at = name ? strstr(line, name) : strchr(line, ' ');

    if (!at)
        return false;
    at += name ? strlen(name) : 1;
    snprintf(out, size, "%.*s", (int)strcspn(at, " \n"), at);
    return *out != 0;
}

static bool is_conflict(const struct child *child)
{
    return WIFEXITED(child->status) && WEXITSTATUS(child->status) == EXIT_CODE_CONFLICT;
}

/* A node of a new cluster takes the first free port from a random place; others keep theirs. */
static enum exit_code start_node(struct demo *demo, uint32_t k)
{
    struct demo_process *process = &demo->processes[k];
    char *address = demo->addresses.items[demo->addresses.count];
    char line[LINE_SIZE];
    bool known = demo->members.changed || demo_dir_address(&demo->dir, process->name, address);
    uint32_t tries = known ? 1 : PORT_TRIES_MAX;
    int r = CHILD_E_ENDED;

    if (demo->members.changed)
        memcpy(address, demo->members.nodes[k].address, ADDRESS_SIZE);
    while (tries-- > 0) {
        if (!known)
            snprintf(address, ADDRESS_SIZE, "127.0.0.1:%u",
                     PORT_FIRST + randombytes_uniform(PORT_RANGE));
        r = set_node(demo, k, address);
        if (r == 0)
            r = start(demo, process);
        if (r == 0)
            r = first_line(demo, process, line);
        if (r != CHILD_E_ENDED || !is_conflict(&process->child))
            break;
    }
    if (r != 0)
        return not_started(demo, process, r);
    demo->addresses.count++;
    return EXIT_CODE_OK;
}

/* Who are members now. One that joined by hand may run by hand. */
static enum exit_code start_members(struct demo *demo)
{
    const struct demo_members *members = &demo->members;
    enum exit_code code = EXIT_CODE_OK;

    for (uint32_t k = 0; k < DEMO_NODES_MAX && code == EXIT_CODE_OK; k++) {
        if (members->nodes[k].state == RINGMAP_STATE_REMOVED)
            tell_removed(demo, &demo->processes[k]);
        if (members->nodes[k].state == 0 || members->nodes[k].state == RINGMAP_STATE_REMOVED)
            continue;
        code = start_node(demo, k);
        if (code == EXIT_CODE_CONFLICT && is_joined(demo, k)) {
            child_clear(&demo->processes[k].child);
            demo_dir_save_pid(&demo->dir, demo->processes[k].name, 0);
            say("going on without %s, which joined by hand and may run so",
                demo->processes[k].name);
            code = EXIT_CODE_OK;
        }
    }
    if (members->elsewhere > 0)
        say("%u member%s joined from elsewhere: to be started by hand", members->elsewhere,
            members->elsewhere == 1 ? "" : "s");
    if (code == EXIT_CODE_OK && demo->addresses.count == 0) {
        say("%s holds the data of no node that is still a member; choose another directory",
            demo->dir.path);
        code = EXIT_CODE_CONFLICT;
    }
    if (code == EXIT_CODE_OK)
        say("cluster is back: %zu node%s, %u partitions", demo->addresses.count,
            demo->addresses.count == 1 ? "" : "s", members->partitions);
    return code;
}

static enum exit_code start_nodes(struct demo *demo)
{
    enum exit_code code = EXIT_CODE_OK;

    for (uint32_t k = 0; k < demo->node_count && code == EXIT_CODE_OK; k++)
        code = start_node(demo, k);
    for (uint32_t k = 0; k < demo->node_count && code == EXIT_CODE_OK; k++) {
        int r =
            demo_dir_save_address(&demo->dir, demo->processes[k].name, demo->addresses.items[k]);

        if (r != 0) {
            say("%s: %s", demo->dir.path, strerror(-r));
            code = EXIT_CODE_FAILED;
        }
    }
    return code;
}

static enum exit_code found(struct demo *demo)
{
    struct founding_options options = {.partitions = demo->partitions,
                                       .timeout_ms = CLUSTER_TIMEOUT_MS};
    struct founding_result result;
    struct cluster *cluster;
    enum exit_code code;
    int r = cluster_open(&cluster, &demo->ticket);

    if (r != 0) {
        say("%s", strerror(-r));
        return EXIT_CODE_FAILED;
    }
    code =
        founding_run(cluster, &demo->addresses, &options, &demo->ticket, "ringcask demo", &result);
    cluster_close(cluster);
    if (code == EXIT_CODE_OK)
        say("%s: %u node%s, %u partitions", result.already ? "cluster is back" : "cluster founded",
            result.nodes, result.nodes == 1 ? "" : "s", result.partitions);
    return code;
}

static int try_router(struct demo *demo, const char *resp)
{
    struct demo_process *router = &demo->processes[ROUTER];
    char line[LINE_SIZE];
    int r = set_router(demo, resp);

    if (r == 0)
        r = start(demo, router);
    if (r == 0)
        r = first_line(demo, router, line);
    if (r == 0 && !word_of(line, "resp=", demo->resp, sizeof demo->resp))
        r = -EPROTO;
    return r;
}

static enum exit_code start_router(struct demo *demo, const char *resp)
{
    struct demo_process *router = &demo->processes[ROUTER];
    int r = try_router(demo, resp ? resp : RESP_DEFAULT);

    if (!resp && r == CHILD_E_ENDED && is_conflict(&router->child)) {
        say("%s is taken by another program; clients get another port", RESP_DEFAULT);
        r = try_router(demo, "127.0.0.1:0");
    }
    if (r != 0)
        return not_started(demo, router, r);
    /* From now on the same port, should it be started again. */
    return set_router(demo, demo->resp) == 0 ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

static void tell_how_to_start(const struct demo_process *process)
{
    char how[LINE_SIZE], command[4 * PATH_MAX];
    struct text text = {command, sizeof command, 0};
    int status = process->child.status;

    for (size_t i = 0; i < process->child.argc; i++)
        text_add(&text, "%s%s", i > 0 ? " " : "", process->child.argv[i]);
    if (WIFSIGNALED(status))
        snprintf(how, sizeof how, "was killed by signal %d", WTERMSIG(status));
    else
        snprintf(how, sizeof how, "ended with exit code %d, see %s.log", WEXITSTATUS(status),
                 process->name);
    say("%s %s. Start it again with\n    kill -USR1 %d\nor by hand:\n    %s", process->name, how,
        (int)getpid(), command);
}

/* It says so when it learns of it, whatever it ends with then; and none comes back. Of one that was
 * down by then the others' maps say it. */
static bool is_removed(const struct demo *demo, const struct demo_process *process)
{
    uint32_t k = (uint32_t)(process - demo->processes);
    struct demo_members members;

    if (k == ROUTER)
        return false;
    demo_members_read(&members, &demo->dir);
    return members.nodes[k].state == RINGMAP_STATE_REMOVED ||
           demo_dir_log_says(&demo->dir, process->name, " event=removed ");
}

static void reap(struct demo *demo)
{
    for (uint32_t i = 0; i < PROCESSES; i++) {
        struct demo_process *process = &demo->processes[i];

        if (!child_reap(&process->child))
            continue;
        demo_dir_save_pid(&demo->dir, process->name, 0);
        if (is_removed(demo, process)) {
            tell_removed(demo, process);
            child_clear(&process->child);
        } else {
            tell_how_to_start(process);
        }
    }
}

/* SIGUSR1: starts what is not running; who was removed has no arguments any more. */
static void start_again(struct demo *demo)
{
    for (uint32_t i = 0; i < PROCESSES; i++) {
        struct demo_process *process = &demo->processes[i];
        char line[LINE_SIZE];
        int r;

        if (process->child.argc == 0 || process->child.pid != 0)
            continue;
        if (is_removed(demo, process)) {
            tell_removed(demo, process);
            child_clear(&process->child);
            continue;
        }
        r = start(demo, process);
        if (r == 0)
            r = child_line(&process->child, -1, START_MS_MAX, line, sizeof line);
        if (r == 0) {
            say("%s is back", process->name);
            continue;
        }
        (void)not_started(demo, process, r);
        if (process->child.pid != 0)
            continue;
        demo_dir_save_pid(&demo->dir, process->name, 0);
        if (is_removed(demo, process))
            child_clear(&process->child);
    }
}

static void supervise(struct demo *demo)
{
    for (;;) {
        struct pollfd fd = {.fd = demo->signal_fd, .events = POLLIN};
        uint32_t number;

        if (poll(&fd, 1, -1) < 0 && errno != EINTR)
            return;
        while (take_signal(demo, &number)) {
            if (is_stop(number))
                return;
            reap(demo);
            if (number == SIGUSR1)
                start_again(demo);
        }
    }
}

/* The router first: nobody is left to ask the nodes. Then one node after the other, so that each
 * finds someone to hand its leaderships to and none waits. */
static void stop_all(struct demo *demo)
{
    struct child *children[PROCESSES];

    for (uint32_t i = 0; i < PROCESSES; i++)
        children[i] = &demo->processes[i].child;
    child_stop_all(&children[ROUTER], 1, STOP_MS_MAX);
    for (uint32_t i = 0; i < DEMO_NODES_MAX; i++)
        child_stop_all(&children[i], 1, STOP_MS_MAX);
    for (uint32_t i = 0; i < PROCESSES; i++) {
        if (demo->processes[i].started)
            demo_dir_save_pid(&demo->dir, demo->processes[i].name, 0);
        child_deinit(&demo->processes[i].child);
    }
}

static enum exit_code prepare(struct demo *demo, const struct demo_options *options)
{
    uint32_t remembered;
    ssize_t size = readlink("/proc/self/exe", demo->program, sizeof demo->program - 1);
    enum exit_code code = demo_dir_open(&demo->dir, options->dir);

    if (code != EXIT_CODE_OK)
        return code;
    demo->signal_fd = open_signals();
    if (size < 0 || demo->signal_fd < 0) {
        say("%s", strerror(errno));
        return EXIT_CODE_FAILED;
    }
    demo_members_read(&demo->members, &demo->dir);
    remembered = demo->members.founded ? demo->members.founded : demo_dir_nodes(&demo->dir);
    if (options->nodes && remembered && options->nodes != remembered) {
        say("%s holds a cluster of %u nodes; leave --nodes out or choose another directory",
            demo->dir.path, remembered);
        return EXIT_CODE_CONFLICT;
    }
    demo->node_count = options->nodes ? options->nodes : remembered ? remembered : NODES_DEFAULT;
    demo->partitions = options->partitions;
    demo_dir_path(&demo->dir, "cluster", ".ticket", demo->ticket_path);
    return demo_dir_ticket(&demo->dir, &demo->ticket);
}

enum exit_code demo_run(const struct demo_options *options)
{
    static struct demo demo; /* large, and there is one a process */
    enum exit_code code;

    demo.signal_fd = -1;
    for (uint32_t i = 0; i < PROCESSES; i++) {
        child_init(&demo.processes[i].child);
        snprintf(demo.processes[i].name, sizeof demo.processes[i].name,
                 i == ROUTER ? "router" : "node-%u", i + 1);
    }
    code = prepare(&demo, options);
    if (code == EXIT_CODE_OK && demo.members.changed) {
        code = start_members(&demo);
    } else if (code == EXIT_CODE_OK) {
        code = start_nodes(&demo);
        if (code == EXIT_CODE_OK)
            code = found(&demo);
    }
    if (code == EXIT_CODE_OK)
        code = start_router(&demo, options->resp);
    if (code == EXIT_CODE_OK) {
        printf("ready resp=%s ticket=%s\n", demo.resp, demo.ticket_path);
        fflush(stdout);
        say("redis-cli -p %s set a 1; Ctrl-C stops everything", strrchr(demo.resp, ':') + 1);
        supervise(&demo);
        say("stopping");
    }
    stop_all(&demo);
    demo_dir_close(&demo.dir);
    ticket_wipe(&demo.ticket);
    if (demo.signal_fd >= 0)
        close(demo.signal_fd);
    return code;
}
