/* An old copy of a member's data directory is started in its place, as a restored snapshot of a
 * machine or a backup would be: it is refused with the reason, nothing that was acknowledged is
 * lost, and the node goes on with its newest. */
#include "replication/node_counters.h"
#include "tests/process/fleet.h"
#include "tests/process/load.h"
#include "tests/process/scenario.h"

#include <stdio.h>
#include <sys/wait.h>

#define NODES      3u
#define CLIENTS    4u
#define COPIED     1u /* the node: "node-2", member 2 */
#define MEMBER     2u
#define HEALTHY_MS 60000u
#define CONFLICT   5

static struct fleet fleet;

static void move_folder(const char *from, const char *to)
{
    char source[PATH_MAX], target[PATH_MAX];

    REQUIRE(rename(fleet_path(&fleet, from, "", source), fleet_path(&fleet, to, "", target)) == 0,
            "%s", source);
}

static void copy_folder(const char *from, const char *to)
{
    char source[PATH_MAX], target[PATH_MAX];
    int code = program_run(NULL, NULL, 0, HEALTHY_MS,
                           (const char *[]){"/bin/cp", "-r", fleet_path(&fleet, from, "", source),
                                            fleet_path(&fleet, to, "", target), NULL});

    REQUIRE(code == 0, "cp %s: %d", from, code);
}

static void read_counters(const char *name, struct node_counters *counters)
{
    char path[PATH_MAX];
    struct vfs *vfs;

    REQUIRE(vfs_posix_open(&vfs, fleet_path(&fleet, name, "", path)) == 0, "%s", path);
    REQUIRE(node_counters_read(vfs, counters) == 0, "%s/COUNTERS", path);
    vfs_posix_close(vfs);
}

/* The others have written down more than the copy has to tell. */
static void wait_heard(const char *copy)
{
    static struct node_counters counters;
    uint64_t until_ns = now_ns() + (uint64_t)HEALTHY_MS * 1000000, own;
    uint32_t know = 0;

    read_counters(copy, &counters);
    own = counters.own;
    while (know < NODES - 1) {
        REQUIRE(now_ns() < until_ns, "%u of the others have heard more than %llu", know,
                (unsigned long long)own);
        pause_ms(50);
        know = 0;
        for (uint32_t k = 0; k < NODES; k++) {
            char name[16];

            snprintf(name, sizeof name, "node-%u", k + 1);
            read_counters(name, &counters);
            know += k != COPIED && counters.heard[MEMBER] > own;
        }
    }
}

/* It ends by itself, with the exit code of a conflict, and says why. */
static void start_refused(void)
{
    struct child *node = &fleet.nodes[COPIED];
    uint64_t until_ns = now_ns() + (uint64_t)HEALTHY_MS * 1000000;

    fleet_start_node(&fleet, COPIED);
    while (!child_reap(node)) {
        REQUIRE(now_ns() < until_ns, "an old copy runs, see %s/node-2.log", fleet.folder);
        pause_ms(5);
    }
    REQUIRE(WIFEXITED(node->status) && WEXITSTATUS(node->status) == CONFLICT,
            "an old copy ended with status %d", node->status);
    REQUIRE(fleet_log_says(&fleet, "node-2",
                           "this data directory is older than what the cluster has heard of node 2 "
                           "(copied or restored?): start the newest one"),
            "node-2.log does not say why");
}

/* Also when all who have heard of the newest were killed meanwhile. */
static void kill_all_but_the_router(void)
{
    fleet_kill(&fleet, &fleet.nodes[0]);
    fleet_kill(&fleet, &fleet.nodes[2]);
    fleet_start_node(&fleet, 0);
    fleet_start_node(&fleet, 2);
}

void scenario_copies(const struct scenario_options *options)
{
    struct load_result result;
    struct load *load;

    fleet_open(&fleet, options->folder, NODES);
    load = load_start(fleet.resp_port, CLIENTS);
    (void)fleet_stop(&fleet, &fleet.nodes[COPIED]);
    copy_folder("node-2", "old");
    fleet_start_node(&fleet, COPIED);
    fleet_wait_healthy(&fleet, HEALTHY_MS);
    wait_heard("old");
    fleet_kill(&fleet, &fleet.nodes[COPIED]);
    move_folder("node-2", "newest");
    move_folder("old", "node-2");
    start_refused();
    kill_all_but_the_router();
    start_refused();
    move_folder("node-2", "old");
    move_folder("newest", "node-2");
    fleet_start_node(&fleet, COPIED);
    fleet_wait_healthy(&fleet, HEALTHY_MS);
    load_finish(load, &result);
    fleet_close(&fleet);
    scenario_say(options,
                 "an old copy was refused twice, also by who had been restarted; the newest "
                 "started; %u operations linearizable (%u unknown)",
                 result.operations, result.unknown);
}
