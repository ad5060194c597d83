/* Rounds: in each a node joins and the oldest leaves, while clients read and write over two
 * routers, of which one may know of a new leader when the other does not. Every other round nodes
 * are killed while replicas move, and are started again; in one it is the node that leaves, in one
 * a router. Without kills no request may fail; with them none may be refused, and only those can
 * have an unknown outcome that were under way. Who joins gets snapshots. In the end none of the
 * founding's nodes is left, and not one key is lost. */
#include "tests/process/fleet.h"
#include "tests/process/load.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"
#include "tests/dice.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define NODES      3u
#define CLIENTS    8u
#define WAIT_MS    120000u
#define HEALTHY_MS 60000u
#define CALL_MS    30000u
#define DOWN_MS    300u /* somebody who was killed stays away */
#define WITHIN_MS  500u /* so soon somebody is killed */
#define KEYS       1000u
#define VALUE_SIZE 4000u
#define REMOVED    5 /* exit code of a node that was out already when it came back */

/* Who is killed in a round, while somebody joins and while somebody leaves. */
enum victim { NOBODY, NODES_OF_IT, LEAVER, ROUTER };
static const enum victim victims[] = {NOBODY, NODES_OF_IT, LEAVER, ROUTER, NOBODY, NODES_OF_IT};

struct rounds {
    struct fleet fleet;
    struct load *load;
    struct load_result before; /* this round */
    uint32_t oldest;           /* the node that leaves next */
    uint32_t kills, longest_ms;
    char text[16u << 10];
};

static struct rounds rounds;

/* Any node that runs, but that one. */
static uint32_t somebody(uint32_t but)
{
    struct fleet *fleet = &rounds.fleet;
    uint32_t k;

    do
        k = draw(fleet->node_count);
    while (k == but || fleet->nodes[k].pid == 0);
    return k;
}

static void kill_node(uint32_t k)
{
    fleet_kill(&rounds.fleet, &rounds.fleet.nodes[k]);
    pause_ms(DOWN_MS);
    fleet_start_node(&rounds.fleet, k);
    rounds.kills++;
}

/* Until the change is committed: a plan gives nothing to who is dead by then. leaver: UINT32_MAX
 * when the newest node joins. */
static void wait_committed(uint32_t leaver)
{
    struct fleet *fleet = &rounds.fleet;
    uint64_t until_ns = now_ns() + (uint64_t)HEALTHY_MS * 1000000;
    char state[16] = "active";

    if (leaver == UINT32_MAX) {
        fleet_wait_state(fleet, fleet->addresses[fleet->node_count - 1], "active", HEALTHY_MS);
        return;
    }
    while (strcmp(state, "active") == 0) {
        REQUIRE(now_ns() < until_ns, "node-%u does not leave, see %s", leaver + 1, fleet->folder);
        fleet_state(fleet, fleet->addresses[leaver], state);
    }
}

static void kill_router(void)
{
    fleet_kill(&rounds.fleet, &rounds.fleet.router);
    fleet_start_router(&rounds.fleet);
    rounds.kills++;
}

/* The command, to its end; meanwhile the victim is killed. `leaver`: the node that leaves, which is
 * to end by itself, or UINT32_MAX. */
static void carry_out(const char *name, const char *const *words, enum victim victim,
                      uint32_t leaver)
{
    struct child admin;
    int code;

    fleet_admin_start(&rounds.fleet, &admin, name, words);
    if (victim == ROUTER) {
        pause_ms(draw(WITHIN_MS));
        kill_router();
    } else if (victim == NODES_OF_IT) {
        wait_committed(leaver);
        pause_ms(draw(WITHIN_MS));
        kill_node(somebody(leaver));
    } else if (victim == LEAVER && leaver != UINT32_MAX) {
        wait_committed(leaver); /* and it is not out yet */
        if (!child_reap(&rounds.fleet.nodes[leaver]))
            kill_node(leaver);
    }
    code = fleet_admin_end(&rounds.fleet, &admin, WAIT_MS);
    REQUIRE(code == 0, "ring-admin %s: exit code %d, see %s/%s.log", words[0], code,
            rounds.fleet.folder, name);
}

static void check_round(uint32_t number)
{
    struct load_result now;

    load_count(rounds.load, &now);
    REQUIRE(now.refused == 0, "round %u: %u requests refused, %u kills, see %s", number,
            now.refused, rounds.kills, rounds.fleet.folder);
    REQUIRE(now.operations > rounds.before.operations, "round %u: no operation ended", number);
    REQUIRE(now.unexplained == 0, "round %u: %u of %u unknown outcomes without a kill, see %s",
            number, now.unexplained, now.unknown, rounds.fleet.folder);
    rounds.before = now;
}

/* With exit code 0; who was killed may find that it is out already. */
static void wait_left(uint32_t k, enum victim victim)
{
    struct fleet *fleet = &rounds.fleet;
    struct child *node = &fleet->nodes[k];
    uint64_t until_ns = now_ns() + (uint64_t)HEALTHY_MS * 1000000;

    if (victim != LEAVER) {
        fleet_wait_left(fleet, k, HEALTHY_MS);
        return;
    }
    while (!child_reap(node)) {
        REQUIRE(now_ns() < until_ns, "node-%u does not end, see %s", k + 1, fleet->folder);
        pause_ms(5);
    }
    REQUIRE(WIFEXITED(node->status) &&
                (WEXITSTATUS(node->status) == 0 || WEXITSTATUS(node->status) == REMOVED),
            "node-%u ended with status %d, see %s", k + 1, node->status, fleet->folder);
    fleet->left[k] = true;
}

static void run_round(uint32_t number, enum victim victim)
{
    struct fleet *fleet = &rounds.fleet;
    uint32_t joined = fleet_join_node(fleet), oldest = rounds.oldest, gap;

    load_window_begin(rounds.load);
    fleet_wait_state(fleet, fleet->addresses[joined], "joining", HEALTHY_MS);
    carry_out("commit", (const char *[]){"commit", "--auto", "--wait", NULL}, victim, UINT32_MAX);
    fleet_wait_state(fleet, fleet->addresses[joined], "active", HEALTHY_MS);
    fleet_wait_healthy(fleet, HEALTHY_MS); /* nobody may leave while somebody is away */
    carry_out("leave", (const char *[]){"leave", fleet->addresses[oldest], "--wait", NULL}, victim,
              oldest);
    wait_left(oldest, victim);
    rounds.oldest++;
    fleet_wait_healthy(fleet, HEALTHY_MS);
    gap = load_window_end(rounds.load);
    rounds.longest_ms = gap > rounds.longest_ms ? gap : rounds.longest_ms;
    check_round(number);
}

/* Those that joined, as their logs say. */
static uint32_t count_snapshots(void)
{
    uint32_t count = 0;

    for (uint32_t k = NODES; k < rounds.fleet.node_count; k++) {
        char name[16];

        snprintf(name, sizeof name, "node-%u", k + 1);
        count += fleet_log_says(&rounds.fleet, name, "event=snapshots_installed");
    }
    return count;
}

/* One that does not compress, and tells its key. */
static const char *value_of(uint32_t i)
{
    static char value[VALUE_SIZE + 1];

    dice_text(i, value, VALUE_SIZE);
    return value;
}

static void set_all(struct resp_client *client)
{
    char key[32];

    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "kept:%u", i);
        resp_client_set(client, key, value_of(i));
    }
}

static void check_all(struct resp_client *client)
{
    char key[32];

    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "kept:%u", i);
        resp_client_expect(client, key, value_of(i));
    }
}

void scenario_rounds(const struct scenario_options *options)
{
    uint32_t count = options->rounds ? options->rounds : options->is_short ? 2 : 10;
    struct fleet *fleet = &rounds.fleet;
    struct resp_client client;
    struct load_result result;
    uint32_t joined_by_snapshot;

    REQUIRE(NODES + count <= FLEET_NODES_MAX, "too many rounds");
    fleet_open_with(fleet, options->folder, NODES, "--partitions=32", NULL);
    resp_client_open(&client, fleet->resp_port, CALL_MS);
    set_all(&client);
    rounds.load = load_start_two(fleet->resp_port, fleet_start_other_router(fleet), CLIENTS);
    for (uint32_t i = 0; i < count; i++)
        run_round(i, victims[i % (sizeof victims / sizeof *victims)]);
    load_finish(rounds.load, &result);
    REQUIRE(result.unexplained == 0, "%u unknown outcomes without a kill", result.unexplained);
    REQUIRE(resp_client_connect(&client, fleet->resp_port, CALL_MS) == 0, "no router");
    check_all(&client);
    joined_by_snapshot = count_snapshots();
    REQUIRE(joined_by_snapshot > 0, "nobody took a snapshot, see %s", fleet->folder);
    resp_client_deinit(&client);
    fleet_close(fleet);
    scenario_say(options,
                 "%u nodes joined (%u by snapshots) and left, %u kills meanwhile, %u operations "
                 "linearizable (%u unknown), %u keys kept, longest gap %u ms",
                 count, joined_by_snapshot, rounds.kills, result.operations, result.unknown, KEYS,
                 rounds.longest_ms);
}
