/* `ringcask demo`, as a newcomer and as a careless user run it. */
#include "cli/child.h"
#include "tests/process/program.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_MS  60000u
#define PROCESSES 4u

struct demo {
    struct child child;
    char folder[PATH_MAX], log[PATH_MAX];
    const char *nodes;
    uint16_t port;
    pid_t pids[PROCESSES]; /* the first three nodes and the router */
};

static void file_in(const struct demo *demo, const char *name, char path[PATH_MAX])
{
    REQUIRE(snprintf(path, PATH_MAX, "%s/%s", demo->folder, name) < PATH_MAX, "too long");
}

static void read_pids(struct demo *demo)
{
    static const char *const names[PROCESSES] = {"node-1.pid", "node-2.pid", "node-3.pid",
                                                 "router.pid"};

    for (uint32_t i = 0; i < PROCESSES; i++) {
        char path[PATH_MAX], text[32];

        file_in(demo, names[i], path);
        file_read(path, text, sizeof text);
        demo->pids[i] = atoi(text);
        REQUIRE(demo->pids[i] > 0 && process_exists(demo->pids[i]), "%s: %s", names[i], text);
    }
}

static int start(struct demo *demo, const char *resp, char *line, size_t size)
{
    char program[PATH_MAX];
    const char *words[] = {program_path("ringcask", program),
                           "demo",
                           "--dir",
                           demo->folder,
                           "--resp",
                           resp,
                           "--nodes",
                           demo->nodes};

    child_init(&demo->child);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        REQUIRE(child_add(&demo->child, words[i]) == 0, "no memory");
    REQUIRE(child_start(&demo->child, demo->log) == 0, "%s", strerror(errno));
    return child_line(&demo->child, -1, READY_MS, line, size);
}

static void start_ready(struct demo *demo)
{
    char line[PATH_MAX + 128], want[PATH_MAX + 32];
    int r = start(demo, "127.0.0.1:0", line, sizeof line);

    REQUIRE(r == 0, "the demo is not ready, see %s", demo->log);
    REQUIRE(strncmp(line, "ready resp=127.0.0.1:", 21) == 0, "%s", line);
    snprintf(want, sizeof want, " ticket=%s/cluster.ticket", demo->folder);
    REQUIRE(strstr(line, want), "%s", line);
    demo->port = (uint16_t)atoi(line + 21);
    read_pids(demo);
}

static void wait_ended(struct demo *demo, int want)
{
    uint64_t until_ns = now_ns() + READY_MS * 1000000ull;

    while (!child_reap(&demo->child)) {
        REQUIRE(now_ns() < until_ns, "the demo does not end");
        pause_ms(2);
    }
    REQUIRE(WIFEXITED(demo->child.status) ? WEXITSTATUS(demo->child.status) == want
                                          : 128 + WTERMSIG(demo->child.status) == want,
            "the demo ended with status %d", demo->child.status);
    child_deinit(&demo->child);
    for (uint32_t i = 0; i < PROCESSES; i++)
        while (process_exists(demo->pids[i])) {
            REQUIRE(now_ns() < until_ns, "process %d is left behind", (int)demo->pids[i]);
            pause_ms(2);
        }
}

static void expect(const struct demo *demo, const char *key, const char *value)
{
    struct resp_client client;

    resp_client_open(&client, demo->port, 15000);
    resp_client_expect(&client, key, value);
    resp_client_deinit(&client);
}

static void put(const struct demo *demo, const char *key, const char *value)
{
    struct resp_client client;

    resp_client_open(&client, demo->port, 15000);
    resp_client_set(&client, key, value);
    resp_client_deinit(&client);
}

static int admin(const struct demo *demo, const char *command, const char *first,
                 const char *second)
{
    char program[PATH_MAX], ticket[PATH_MAX], path[PATH_MAX], seed[64];

    file_in(demo, "cluster.ticket", ticket);
    file_in(demo, "node-2.address", path);
    file_read(path, seed, sizeof seed);
    seed[strcspn(seed, "\n")] = 0;
    return program_run(NULL, NULL, 0, READY_MS,
                       (const char *[]){program_path("ring-admin", program), "--ticket", ticket,
                                        "--seeds", seed, command, first, second, NULL});
}

static int status(const struct demo *demo)
{
    return admin(demo, "status", "--check", NULL);
}

static void wait_healthy(const struct demo *demo)
{
    uint64_t until_ns = now_ns() + READY_MS * 1000000ull;

    while (status(demo) != 0) {
        REQUIRE(now_ns() < until_ns, "it does not get healthy");
        pause_ms(50);
    }
}

/* A second demo in the same folder, and one on the port that is taken. */
static void refuse_second(const struct demo *first)
{
    struct demo second = *first;
    char line[256], resp[64];

    REQUIRE(start(&second, "127.0.0.1:0", line, sizeof line) == CHILD_E_ENDED, "it started");
    REQUIRE(WEXITSTATUS(second.child.status) == 5, "status %d", second.child.status);
    child_deinit(&second.child);
    snprintf(second.folder, sizeof second.folder, "%.3000s-other", first->folder);
    snprintf(resp, sizeof resp, "127.0.0.1:%u", first->port);
    REQUIRE(start(&second, resp, line, sizeof line) == CHILD_E_ENDED, "it started");
    REQUIRE(WEXITSTATUS(second.child.status) == 5, "status %d", second.child.status);
    child_deinit(&second.child);
}

static bool log_says(const struct demo *demo, const char *words)
{
    static char log[64u << 10];

    file_read(demo->log, log, sizeof log);
    return strstr(log, words) != NULL;
}

static void wait_told(const struct demo *demo, const char *words)
{
    for (uint32_t tries = 0; !log_says(demo, words); tries++) {
        REQUIRE(tries < 2000, "the demo does not tell \"%s\", see %s", words, demo->log);
        pause_ms(10);
    }
}

/* Kill a node, go on, start it again: what README's tour does. */
static void tour(struct demo *demo)
{
    put(demo, "a", "1");
    kill(demo->pids[0], SIGKILL);
    put(demo, "a", "2");
    expect(demo, "a", "2");
    wait_told(demo, "Ctrl-C stops everything");
    wait_told(demo, "node-1 was killed by signal 9. Start it again with");
    REQUIRE(status(demo) == 4, "status --check of a degraded cluster");
    child_signal(&demo->child, SIGUSR1);
    wait_healthy(demo);
    read_pids(demo);
}

/* Who has left ends as well as who was stopped, and is not to be started again. */
static void leave(const struct scenario_options *options, struct demo *demo)
{
    char path[PATH_MAX];

    snprintf(demo->folder, sizeof demo->folder, "%.3000s/four", options->folder);
    snprintf(demo->log, sizeof demo->log, "%.3000s/four.log", options->folder);
    demo->nodes = "4";
    start_ready(demo);
    REQUIRE(admin(demo, "leave", "1", "--wait") == 0, "leave, see %s", demo->log);
    wait_told(demo, "node-1 has left the cluster for ever");
    kill(demo->pids[1], SIGTERM);
    wait_told(demo, "node-2 ended with exit code 0, see node-2.log. Start it again with");
    child_signal(&demo->child, SIGUSR1);
    wait_told(demo, "node-2 is back");
    file_in(demo, "node-1.pid", path);
    REQUIRE(access(path, F_OK) != 0, "node-1 runs again");
    REQUIRE(!log_says(demo, "node-1 does not start"), "it was tried, see %s", demo->log);
    child_signal(&demo->child, SIGTERM);
    wait_ended(demo, 0);
}

/* Who has left is left out; who is down and removed by force is not offered to be started. How many
 * were founded the nodes tell, whatever else is in the folder. */
static void again_without(const struct scenario_options *options, struct demo *demo)
{
    static const char said[] = "listening 127.0.0.1:7005 key=0123-4567-89ab-cdef\n";
    char line[PATH_MAX + 128], path[PATH_MAX];

    file_in(demo, "node-5.address", path);
    file_write(path, said, strlen(said));
    snprintf(demo->log, sizeof demo->log, "%.3000s/again.log", options->folder);
    REQUIRE(start(demo, "127.0.0.1:0", line, sizeof line) == 0, "see %s", demo->log);
    wait_told(demo, "node-1 has left the cluster for ever");
    wait_told(demo, "cluster is back: 3 nodes, 256 partitions");
    demo->port = (uint16_t)atoi(line + 21);
    put(demo, "b", "1");
    wait_healthy(demo);
    child_signal(&demo->child, SIGTERM);
    memset(demo->pids, 0x7f, sizeof demo->pids);
    wait_ended(demo, 0);
}

/* Without --dir everything is gone afterwards. */
static void leave_nothing(const struct scenario_options *options, struct demo *demo)
{
    char program[PATH_MAX], temporary[PATH_MAX], line[PATH_MAX];
    struct dirent *entry;
    uint32_t left = 0;
    DIR *folder;

    snprintf(temporary, sizeof temporary, "%.3000s/tmp", options->folder);
    REQUIRE(mkdir(temporary, 0700) == 0, "mkdir");
    setenv("TMPDIR", temporary, 1);
    child_init(&demo->child);
    REQUIRE(child_add(&demo->child, program_path("ringcask", program)) == 0 &&
                child_add(&demo->child, "demo") == 0 && child_add(&demo->child, "--resp") == 0 &&
                child_add(&demo->child, "127.0.0.1:0") == 0,
            "no memory");
    REQUIRE(child_start(&demo->child, demo->log) == 0, "%s", strerror(errno));
    REQUIRE(child_line(&demo->child, -1, READY_MS, line, sizeof line) == 0, "see %s", demo->log);
    child_signal(&demo->child, SIGTERM);
    memset(demo->pids, 0x7f, sizeof demo->pids);
    wait_ended(demo, 0);
    folder = opendir(temporary);
    while ((entry = readdir(folder)))
        left += entry->d_name[0] != '.';
    closedir(folder);
    REQUIRE(left == 0, "%s is not empty", temporary);
}

void scenario_demo(const struct scenario_options *options)
{
    static struct demo demo = {.nodes = "3"};
    uint64_t begin_ns = now_ns();
    uint32_t ready_ms, stop_ms;

    snprintf(demo.folder, sizeof demo.folder, "%.3000s/demo", options->folder);
    snprintf(demo.log, sizeof demo.log, "%.3000s/demo.log", options->folder);
    start_ready(&demo);
    ready_ms = (uint32_t)((now_ns() - begin_ns) / 1000000);
    refuse_second(&demo);
    tour(&demo);
    begin_ns = now_ns();
    child_signal(&demo.child, SIGINT);
    wait_ended(&demo, 0);
    stop_ms = (uint32_t)((now_ns() - begin_ns) / 1000000);
    start_ready(&demo);
    expect(&demo, "a", "2");
    child_signal(&demo.child, SIGKILL);
    wait_ended(&demo, 128 + SIGKILL);
    start_ready(&demo);
    expect(&demo, "a", "2");
    child_signal(&demo.child, SIGTERM);
    wait_ended(&demo, 0);
    leave_nothing(options, &demo);
    leave(options, &demo);
    again_without(options, &demo);
    scenario_say(options, "ready in %u ms, stopped in %u ms, no process or temporary file left",
                 ready_ms, stop_ms);
}
