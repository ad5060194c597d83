#include "tests/process/fleet.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define READY_MS   60000u
#define STOP_MS    20000u
#define PORT_FIRST 10000u /* below those that the system gives to outgoing connections */
#define PORT_RANGE 20000u
#define CONFLICT   5

/* A scenario has one fleet, and threads that ask. */
static _Atomic uint64_t killed_ns, ready_ns;

const char *fleet_path(const struct fleet *fleet, const char *name, const char *suffix,
                       char path[PATH_MAX])
{
    REQUIRE(snprintf(path, PATH_MAX, "%s/%s%s", fleet->folder, name, suffix) < PATH_MAX,
            "the path is too long");
    return path;
}

static void add_words(struct child *child, const char *const *words)
{
    for (size_t i = 0; words && words[i]; i++)
        REQUIRE(child_add(child, words[i]) == 0, "no memory");
}

static void set_words(struct child *child, const char *const *words)
{
    child_clear(child);
    add_words(child, words);
}

static void make_ticket(struct fleet *fleet)
{
    char text[512], path[PATH_MAX];
    int code = program_run(text, NULL, sizeof text, READY_MS,
                           (const char *[]){program_path("ring-admin", path), "ticket", NULL});

    REQUIRE(code == 0, "ring-admin ticket: exit code %d", code);
    fleet_path(fleet, "cluster", ".ticket", fleet->ticket);
    file_write(fleet->ticket, text, strlen(text));
    REQUIRE(chmod(fleet->ticket, 0600) == 0, "%s", strerror(errno));
}

/* Starts it and reads its first line. Returns child_line()'s answer. */
static int start(struct fleet *fleet, struct child *child, const char *name, char *line,
                 size_t size)
{
    char log[PATH_MAX];
    int r = child_start(child, fleet_path(fleet, name, ".log", log));

    REQUIRE(r == 0, "%s: %s", name, strerror(-r));
    return child_line(child, -1, READY_MS, line, size);
}

const char *fleet_seeds(const struct fleet *fleet, char text[512])
{
    size_t size = 0;

    text[0] = 0;
    for (uint32_t k = 0; k < fleet->node_count; k++)
        if (fleet->addresses[k][0] && !fleet->left[k])
            size += (size_t)snprintf(text + size, 512 - size, "%s%s", size > 0 ? "," : "",
                                     fleet->addresses[k]);
    REQUIRE(size < 512, "too many seeds");
    return text;
}

/* The same for a node, where it belongs. */
static int start_node(struct fleet *fleet, uint32_t k, const char *name, char *line, size_t size)
{
    int r;

    if (fleet->lan)
        lan_enter(fleet->lan, k + 1);
    r = start(fleet, &fleet->nodes[k], name, line, size);
    if (fleet->lan)
        lan_enter(fleet->lan, 0);
    return r;
}

static const char *program_of(const char *name, char path[PATH_MAX])
{
    return program_path(name ? name : "ringcask", path);
}

void fleet_start_node(struct fleet *fleet, uint32_t k)
{
    char program[PATH_MAX], data[PATH_MAX], name[16], zone[16], line[256], others[512];
    char host[LAN_HOST_SIZE];
    bool is_new = fleet->addresses[k][0] == 0;
    int r;

    fleet_seeds(fleet, others);
    snprintf(name, sizeof name, "node-%u", k + 1);
    snprintf(zone, sizeof zone, "zone-%u", k + 1);
    do {
        if (is_new)
            snprintf(fleet->addresses[k], sizeof fleet->addresses[k], "%s:%u",
                     fleet->lan ? lan_host(k + 1, host) : "127.0.0.1",
                     PORT_FIRST + draw(PORT_RANGE));
        set_words(&fleet->nodes[k],
                  (const char *[]){program_of(fleet->programs[k], program), "node", "--ticket",
                                   fleet->ticket, "--data", fleet_path(fleet, name, "", data),
                                   "--listen", fleet->addresses[k], "--zone", zone, "--shards",
                                   k % 2 ? "2" : "1", /* they need not be alike */
                                   "--log", "1",      /* who was away gets snapshots */
                                   "--compress", k % 2 ? "off" : "zstd", NULL});
        add_words(&fleet->nodes[k], fleet->node_words);
        if (fleet->joins[k])
            add_words(&fleet->nodes[k], (const char *[]){"--join", others, NULL});
        r = start_node(fleet, k, name, line, sizeof line);
    } while (r == CHILD_E_ENDED && is_new && WIFEXITED(fleet->nodes[k].status) &&
             WEXITSTATUS(fleet->nodes[k].status) == CONFLICT);
    REQUIRE(r == 0, "%s is not ready, see %s/%s.log", name, fleet->folder, name);
    REQUIRE(strncmp(line, "listening ", 10) == 0, "%s", line);
}

/* port: where it answers clients, or 0: wherever it likes. Returns where it does. */
static uint16_t start_router(struct fleet *fleet, struct child *router, const char *name,
                             uint16_t port)
{
    char program[PATH_MAX], line[256], resp[64], text[512];
    const char *seeds = fleet->router_seeds ? fleet->router_seeds : fleet_seeds(fleet, text);
    const char *colon;
    int r;

    snprintf(resp, sizeof resp, "127.0.0.1:%u", port);
    set_words(router,
              (const char *[]){program_of(fleet->router_program, program), "router", "--ticket",
                               fleet->ticket, "--seeds", seeds, "--resp", resp, NULL});
    r = start(fleet, router, name, line, sizeof line);
    REQUIRE(r == 0, "it is not ready, see %s/%s.log", fleet->folder, name);
    REQUIRE(strncmp(line, "ready resp=", 11) == 0, "%s", line);
    colon = strrchr(line, ':');
    return (uint16_t)atoi(colon + 1);
}

void fleet_start_router(struct fleet *fleet)
{
    atomic_store(&ready_ns, UINT64_MAX);
    fleet->resp_port = start_router(fleet, &fleet->router, "router", fleet->resp_port);
    atomic_store(&ready_ns, now_ns());
}

uint16_t fleet_start_other_router(struct fleet *fleet)
{
    return start_router(fleet, &fleet->other_router, "other-router", 0);
}

int fleet_admin(struct fleet *fleet, char *out, size_t size, const char *const *words)
{
    return fleet_admin_both(fleet, out, NULL, size, words);
}

int fleet_admin_both(struct fleet *fleet, char *out, char *err, size_t size,
                     const char *const *words)
{
    char program[PATH_MAX], text[512];
    const char *all[24] = {program_path("ring-admin", program), "--ticket", fleet->ticket,
                           "--seeds", fleet_seeds(fleet, text)};
    size_t count = 5;

    while (*words && count + 1 < sizeof all / sizeof *all)
        all[count++] = *words++;
    return program_run(out, err, size, READY_MS, all);
}

void fleet_wait_healthy(struct fleet *fleet, uint32_t timeout_ms)
{
    uint64_t until_ns = now_ns() + (uint64_t)timeout_ms * 1000000;
    char text[4096];

    while (fleet_admin(fleet, text, sizeof text, (const char *[]){"status", "--check", NULL}) !=
           0) {
        REQUIRE(now_ns() < until_ns, "not healthy after %u ms:\n%s", timeout_ms, text);
        pause_ms(50);
    }
}

/* as: what is another than usual. init_word: one more for the founding, or NULL. */
static void open_fleet(struct fleet *fleet, const char *folder, uint32_t nodes,
                       const char *init_word, const struct fleet *as)
{
    const char *words[FLEET_NODES_MAX + 3] = {"init"};
    char text[4096];
    int code;

    *fleet = *as;
    fleet->node_count = nodes;
    snprintf(fleet->folder, sizeof fleet->folder, "%s", folder);
    make_ticket(fleet);
    child_init(&fleet->router);
    child_init(&fleet->other_router);
    for (uint32_t k = 0; k < nodes; k++) {
        child_init(&fleet->nodes[k]);
        fleet->programs[k] = fleet->router_program;
        fleet_start_node(fleet, k);
        words[k + 1] = fleet->addresses[k];
    }
    words[nodes + 1] = init_word;
    code = fleet_admin(fleet, text, sizeof text, words);
    REQUIRE(code == 0, "ring-admin init: exit code %d: %s", code, text);
    fleet_start_router(fleet);
    fleet_wait_healthy(fleet, READY_MS);
}

void fleet_open(struct fleet *fleet, const char *folder, uint32_t nodes)
{
    open_fleet(fleet, folder, nodes, NULL, &(struct fleet){0});
}

void fleet_open_with(struct fleet *fleet, const char *folder, uint32_t nodes, const char *init_word,
                     const char *const *node_words)
{
    open_fleet(fleet, folder, nodes, init_word, &(struct fleet){.node_words = node_words});
}

void fleet_open_encrypted(struct fleet *fleet, const char *folder, uint32_t nodes)
{
    open_fleet(fleet, folder, nodes, "--encrypt", &(struct fleet){0});
}

void fleet_open_lan(struct fleet *fleet, const char *folder, uint32_t nodes, const char *init_word,
                    const struct lan *lan)
{
    open_fleet(fleet, folder, nodes, init_word, &(struct fleet){.lan = lan});
}

void fleet_open_program(struct fleet *fleet, const char *folder, uint32_t nodes,
                        const char *program)
{
    open_fleet(fleet, folder, nodes, NULL, &(struct fleet){.router_program = program});
}

bool fleet_slow_syncs(const char *folder, const char *ms)
{
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    (void)folder;
    (void)ms;
    return false;
#else
    char library[PATH_MAX];

    if (!ms) {
        unsetenv("LD_PRELOAD");
        return true;
    }
    setenv("SLOW_SYNC_FOLDER", folder, 1);
    setenv("SLOW_SYNC_MS", ms, 1);
    setenv("LD_PRELOAD", program_path("slow_sync.so", library), 1);
    return true;
#endif
}

bool fleet_bad_sector(const char *path)
{
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    (void)path;
    return false;
#else
    char library[PATH_MAX], real[PATH_MAX];

    if (!path) {
        unsetenv("LD_PRELOAD");
        return true;
    }
    REQUIRE(realpath(path, real), "%s: %s", path, strerror(errno));
    setenv("BAD_SECTOR", real, 1);
    setenv("LD_PRELOAD", program_path("bad_sector.so", library), 1);
    return true;
#endif
}

uint64_t fleet_killed_ns(void)
{
    return atomic_load(&killed_ns);
}

uint64_t fleet_ready_ns(void)
{
    return atomic_load(&ready_ns);
}

void fleet_kill_all(struct fleet *fleet)
{
    atomic_store(&killed_ns, now_ns());
    for (uint32_t k = 0; k < fleet->node_count; k++)
        child_signal(&fleet->nodes[k], SIGKILL);
    for (uint32_t k = 0; k < fleet->node_count; k++)
        fleet_kill(fleet, &fleet->nodes[k]);
}

void fleet_kill(struct fleet *fleet, struct child *child)
{
    (void)fleet;
    REQUIRE(child->pid > 0, "it does not run");
    atomic_store(&killed_ns, now_ns());
    child_signal(child, SIGKILL);
    while (!child_reap(child))
        pause_ms(1);
}

uint32_t fleet_stop(struct fleet *fleet, struct child *child)
{
    uint64_t begin_ns = now_ns();

    REQUIRE(child->pid > 0, "it does not run, see %s", fleet->folder);
    child_signal(child, SIGTERM);
    while (!child_reap(child)) {
        REQUIRE(now_ns() < begin_ns + STOP_MS * 1000000ull, "pid %d does not stop",
                (int)child->pid);
        pause_ms(1);
    }
    REQUIRE(WIFEXITED(child->status) && WEXITSTATUS(child->status) == 0,
            "%s %s ended with status %d, see %s", child->argv[1], child->argv[5], child->status,
            fleet->folder);
    return (uint32_t)((now_ns() - begin_ns) / 1000000);
}

/* A sanitizer's words, or those of a failed assert(). */
static void check_log(const char *path)
{
    static const char *const words[] = {"AddressSanitizer", "ThreadSanitizer", "LeakSanitizer",
                                        "runtime error:", "Assertion"};
    char line[2048];
    FILE *file = fopen(path, "re");

    REQUIRE(file, "%s: %s", path, strerror(errno));
    while (fgets(line, sizeof line, file))
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            REQUIRE(!strstr(line, words[i]), "%s: %s", path, line);
    fclose(file);
}

static void check_logs(const struct fleet *fleet)
{
    struct dirent *entry;
    DIR *folder = opendir(fleet->folder);

    REQUIRE(folder, "%s", strerror(errno));
    while ((entry = readdir(folder))) {
        size_t size = strlen(entry->d_name);
        char path[PATH_MAX];

        if (size > 4 && strcmp(entry->d_name + size - 4, ".log") == 0)
            check_log(fleet_path(fleet, entry->d_name, "", path));
    }
    closedir(folder);
}

void fleet_close(struct fleet *fleet)
{
    struct child *children[FLEET_NODES_MAX];

    if (fleet->router.pid > 0)
        (void)fleet_stop(fleet, &fleet->router);
    if (fleet->other_router.pid > 0)
        (void)fleet_stop(fleet, &fleet->other_router);
    for (uint32_t k = 0; k < fleet->node_count; k++)
        children[k] = &fleet->nodes[k];
    child_stop_all(children, fleet->node_count, STOP_MS);
    for (uint32_t k = 0; k < fleet->node_count; k++)
        REQUIRE(fleet->left[k] || fleet->nodes[k].status == 0,
                "node-%u ended with status %d, see %s/node-%u.log", k + 1, fleet->nodes[k].status,
                fleet->folder, k + 1);
    check_logs(fleet);
    for (uint32_t k = 0; k < fleet->node_count; k++)
        child_deinit(&fleet->nodes[k]);
    child_deinit(&fleet->router);
    child_deinit(&fleet->other_router);
}
