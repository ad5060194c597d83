/* Cuts that are one way: what one node sends another, or all, is dropped, and what comes back is
 * not. Each time it is the meta group's leader that is hit, which leads partitions too. Reads and
 * writes go on where there is a majority, terms do not run away (pre-vote), nobody is held dead for
 * a cut between two nor ever put out of the cluster, and after the heal all know each other again.
 * A node that joins meanwhile, cut from a member, is taken in when that has healed. On a network of
 * its own: lan.h. */
#include "tests/process/fleet.h"
#include "tests/process/load.h"
#include "tests/process/scenario.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define NODES      3u
#define PARTITIONS 32u
#define CLIENTS    8u
#define CUT_MS     3500u /* a link that is silent is given up after 3,000 */
#define JOIN_MS    2000u /* a join goes on under its cut */
#define WAIT_MS    60000u
#define REFUTED_MS 5000u /* who is held dead by mistake on a busy machine says so */
#define CALL_MS    30000u
#define GAP_MS_MAX 10000u /* a client that gets nothing done for so long has an outage */
/* A cut costs a term where a leader is lost, and one more when it is given back; leaders that two
 * nodes take from each other cost one an election timeout, five and more a cut. */
#define TERMS_MAX (4 * PARTITIONS)

struct oneway {
    struct lan lan;
    struct fleet fleet;
    struct load *load;
    uint64_t epoch;
    uint64_t terms_max;
    char gaps[64]; /* of the cuts, ms */
    char text[256u << 10];
};

static struct oneway oneway;

static uint64_t number(json_t *row, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(row, name));
}

static bool is(json_t *row, const char *name, const char *text)
{
    const char *value = json_string_value(json_object_get(row, name));

    return value && strcmp(value, text) == 0;
}

/* Of all partitions together, when all have a leader; 0: one has none. */
static uint64_t sum_terms(void)
{
    json_t *root = fleet_ask(&oneway.fleet, 0, (const char *[]){"ring", NULL}), *row;
    bool all = true;
    uint64_t sum = 0;
    size_t i;

    json_array_foreach(json_object_get(root, "partitions"), i, row)
    {
        all = all && number(row, "leader") > 0;
        sum += number(row, "term");
    }
    REQUIRE(i == PARTITIONS, "%zu partitions", i);
    oneway.epoch = number(root, "epoch");
    json_decref(root);
    return all ? sum : 0;
}

/* A leader that is being handed over is nobody for a moment. */
static uint64_t terms(void)
{
    uint64_t until_ns = now_ns() + (uint64_t)WAIT_MS * 1000000, sum;

    while ((sum = sum_terms()) == 0) {
        REQUIRE(now_ns() < until_ns, "a partition has no leader, see %s", oneway.fleet.folder);
        pause_ms(50);
    }
    return sum;
}

/* Host of another of the founding's nodes. */
static uint32_t follower_of(uint32_t leader)
{
    return leader % NODES + 1;
}

/* Whether node k holds all alive that are in the cluster, and is linked to them if that is asked
 * for. All are members still: that is never otherwise. */
static bool knows_all(uint32_t k, bool linked)
{
    struct fleet *fleet = &oneway.fleet;
    char program[PATH_MAX];
    bool knows = true;
    json_error_t error;
    json_t *root, *row;
    size_t i;

    if (program_run(oneway.text, NULL, sizeof oneway.text, CALL_MS,
                    (const char *[]){program_path("ring-admin", program), "--ticket", fleet->ticket,
                                     "--seeds", fleet->addresses[k], "members", "-o", "json",
                                     NULL}) != 0)
        return false;
    root = json_loads(oneway.text, 0, &error);
    REQUIRE(root, "%s in %s", error.text, oneway.text);
    json_array_foreach(json_object_get(root, "members"), i, row)
    {
        REQUIRE(is(row, "state", "active"), "%s", oneway.text);
        knows = knows && is(row, "liveness", "alive") &&
                (!linked || number(row, "peers_up") == fleet->node_count - 1);
    }
    REQUIRE(i == fleet->node_count, "%s", oneway.text);
    json_decref(root);
    return knows;
}

static void wait_known(bool linked, uint32_t timeout_ms)
{
    uint64_t until_ns = now_ns() + (uint64_t)timeout_ms * 1000000;

    for (uint32_t k = 0; k < oneway.fleet.node_count; k++)
        while (!knows_all(k, linked)) {
            REQUIRE(now_ns() < until_ns, "node-%u does not know all: %s", k + 1, oneway.text);
            pause_ms(50);
        }
}

static void wait_whole(void)
{
    wait_known(true, WAIT_MS);
    fleet_wait_healthy(&oneway.fleet, WAIT_MS);
}

/* Under the cut, and not behind it: no client waits for the heal. */
static void wait_served(const char *what)
{
    uint64_t since_ns = now_ns();

    while (!load_all_served(oneway.load, since_ns)) {
        REQUIRE(now_ns() < since_ns + (uint64_t)WAIT_MS * 1000000,
                "%s cut: a client got nothing done under it, see %s", what, oneway.fleet.folder);
        pause_ms(5);
    }
}

/* from, to: hosts. */
static void cut(const char *what, uint32_t from, uint32_t to)
{
    uint64_t terms_before = terms(), epoch = oneway.epoch, more;
    struct load_result before, after;
    size_t at = strlen(oneway.gaps);
    uint32_t gap_ms;

    load_window_begin(oneway.load);
    lan_cut(&oneway.lan, from, to);
    load_count(oneway.load, &before);
    pause_ms(CUT_MS);
    wait_served(what);
    if (from != LAN_ALL && to != LAN_ALL) /* the third node asks for both */
        wait_known(false, REFUTED_MS);
    lan_heal(&oneway.lan);
    wait_whole();
    gap_ms = load_window_end(oneway.load);
    snprintf(oneway.gaps + at, sizeof oneway.gaps - at, "%s%u", at > 0 ? ", " : "", gap_ms);
    load_count(oneway.load, &after);
    REQUIRE(gap_ms <= GAP_MS_MAX, "%s cut: a client got nothing done for %u ms", what, gap_ms);
    REQUIRE(after.refused == before.refused, "%s cut: %u operations refused", what,
            after.refused - before.refused);
    more = terms() - terms_before;
    REQUIRE(more <= TERMS_MAX, "%s cut: %llu terms in %u partitions, see %s", what,
            (unsigned long long)more, PARTITIONS, oneway.fleet.folder);
    REQUIRE(oneway.epoch == epoch, "%s cut: the ring map is of epoch %llu, not %llu", what,
            (unsigned long long)oneway.epoch, (unsigned long long)epoch);
    oneway.terms_max = more > oneway.terms_max ? more : oneway.terms_max;
}

static void cut_each_way(void)
{
    uint32_t leader = fleet_wait_meta_leader(&oneway.fleet, WAIT_MS);

    cut("leader to follower", leader, follower_of(leader));
    leader = fleet_wait_meta_leader(&oneway.fleet, WAIT_MS);
    cut("follower to leader", follower_of(leader), leader);
    cut("leader to all", fleet_wait_meta_leader(&oneway.fleet, WAIT_MS), LAN_ALL);
    cut("all to leader", LAN_ALL, fleet_wait_meta_leader(&oneway.fleet, WAIT_MS));
}

/* What the meta group's leader sends the newcomer is lost. Returns how many ms after the heal the
 * newcomer had its share. */
static uint32_t join_under_a_cut(void)
{
    struct fleet *fleet = &oneway.fleet;
    struct child admin;
    uint64_t healed_ns;
    uint32_t joined;
    int code;

    lan_cut(&oneway.lan, fleet_wait_meta_leader(&oneway.fleet, WAIT_MS), NODES + 1);
    joined = fleet_join_node(fleet);
    fleet_wait_state(fleet, fleet->addresses[joined], "joining", WAIT_MS);
    fleet_admin_start(fleet, &admin, "commit",
                      (const char *[]){"commit", "--auto", "--wait", NULL});
    pause_ms(JOIN_MS);
    lan_heal(&oneway.lan);
    healed_ns = now_ns();
    code = fleet_admin_end(fleet, &admin, WAIT_MS);
    REQUIRE(code == 0, "ring-admin commit: exit code %d, see %s/commit.log", code, fleet->folder);
    fleet_wait_state(fleet, fleet->addresses[joined], "active", WAIT_MS);
    wait_whole();
    return (uint32_t)((now_ns() - healed_ns) / 1000000);
}

void scenario_oneway(const struct scenario_options *options)
{
    struct fleet *fleet = &oneway.fleet;
    struct load_result result;
    uint32_t joined_ms;
    const char *why = lan_open(&oneway.lan, NODES + 2);

    if (why) {
        scenario_skip(options, why);
        return;
    }
    fleet_open_lan(fleet, options->folder, NODES, "--partitions=32", &oneway.lan);
    oneway.load = load_start(fleet->resp_port, CLIENTS);
    wait_whole();
    cut_each_way();
    joined_ms = join_under_a_cut();
    load_finish(oneway.load, &result);
    fleet_close(fleet);
    lan_close(&oneway.lan);
    scenario_say(
        options,
        "four cuts and a join: %u operations linearizable (%u unknown, %u refused), gaps of "
        "%s ms, at most %llu terms a cut in %u partitions, joined %u ms after the heal",
        result.operations, result.unknown, result.refused, oneway.gaps,
        (unsigned long long)oneway.terms_max, PARTITIONS, joined_ms);
}
