/* A disk that turns slow while its node leads, the meta group too: all of its leaderships go to the
 * others, it gets none back while it is slow, `ring-admin top` and `doctor` say why, and it leads
 * again when it has been sound for long enough. All syncs take about the same before, so that what
 * else the machine does is not seen as a slow disk. Not under sanitizers, whose libraries want to
 * be loaded before slow_sync is. */
#include "tests/process/fleet.h"
#include "tests/process/load.h"
#include "tests/process/scenario.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NODES    3u
#define CLIENTS  8u
#define USUAL_MS "20"  /* a sync of any node; sound is up to three times that */
#define SLOW_MS  "400" /* of the slow one; slow is from eight times on */
#define SLOW_US  160000
#define STEP_MS  10000u /* until nothing is led there; 2,000 are promised */
#define CALM_MS  5000u  /* for so long nothing is led there, */
#define HELD_MS  30000u /* within that: on a busy machine others may miss their elections */
#define SOUND_MS 75000u /* until something is led there again; 30,000 and a moment are promised */
#define LEARN_MS 4000u  /* a meta leader moves nothing in its first 3,000: it has yet to learn */
#define WAIT_MS  60000u

static struct fleet fleet;

static json_int_t number(json_t *row, const char *name)
{
    return json_integer_value(json_object_get(row, name));
}

static const char *word(json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));

    return text ? text : "";
}

/* What `top` says of node k: how many partitions it leads. */
static uint32_t led_by(uint32_t k)
{
    json_t *root = fleet_ask(&fleet, 0, (const char *[]){"top", NULL});
    json_int_t leaders = number(json_array_get(json_object_get(root, "members"), k), "leaders");

    json_decref(root);
    return (uint32_t)leaders;
}

/* Returns after how many ms that is so. */
static uint32_t wait_leads(uint32_t k, bool leads, uint32_t timeout_ms)
{
    uint64_t begin_ns = now_ns();

    while ((led_by(k) > 0) != leads || (!leads && fleet_meta_leader(&fleet) == k + 1)) {
        REQUIRE(now_ns() < begin_ns + (uint64_t)timeout_ms * 1000000, "node-%u leads %s", k + 1,
                leads ? "nothing" : "still");
        pause_ms(50);
    }
    return (uint32_t)((now_ns() - begin_ns) / 1000000);
}

static const char *switch_path(uint32_t k, char path[PATH_MAX])
{
    char name[32];

    snprintf(name, sizeof name, "%d", (int)fleet.nodes[k].pid);
    return fleet_path(&fleet, name, "", path);
}

/* Both name the node and the cause; who leads nothing for another reason, such as an election, is
 * not named yet. */
static void wait_named(uint32_t k)
{
    uint64_t until_ns = now_ns() + (uint64_t)WAIT_MS * 1000000;
    bool slow = false;
    char name[32];

    while (!slow) {
        json_t *root = fleet_ask(&fleet, 0, (const char *[]){"top", NULL});
        json_t *row = json_array_get(json_object_get(root, "members"), k);

        slow = strcmp(word(row, "state"), "slow disk") == 0;
        REQUIRE(slow || now_ns() < until_ns, "node-%u is \"%s\"", k + 1, word(row, "state"));
        REQUIRE(!slow || number(row, "sync_p99_us") > SLOW_US, "%d us",
                (int)number(row, "sync_p99_us"));
        json_decref(root);
    }
    snprintf(name, sizeof name, "node-%u: its disk ", k + 1);
    fleet_expect(&fleet, 4, name, "doctor", NULL);
}

static void gets_none_back(uint32_t k, struct load *load)
{
    uint64_t begin_ns = now_ns(), since_ns = begin_ns;
    struct load_result before, now;

    load_count(load, &before);
    while (now_ns() < since_ns + (uint64_t)CALM_MS * 1000000) {
        if (led_by(k) > 0 || fleet_meta_leader(&fleet) == k + 1)
            since_ns = now_ns();
        REQUIRE(now_ns() < begin_ns + (uint64_t)HELD_MS * 1000000, "node-%u leads again and again",
                k + 1);
        pause_ms(200);
    }
    load_count(load, &now);
    REQUIRE(now.operations > before.operations, "nothing was answered");
}

void scenario_slowdisk(const struct scenario_options *options)
{
    char path[PATH_MAX];
    uint32_t k, gone_ms, back_ms, gap;
    struct load_result result;
    struct load *load;

    if (!fleet_slow_syncs(options->folder, USUAL_MS)) {
        scenario_skip(options, "a sanitizer's library does not let another be preloaded");
        return;
    }
    fleet_open_with(&fleet, options->folder, NODES, "--partitions=32", NULL);
    (void)fleet_slow_syncs(NULL, NULL);
    load = load_start(fleet.resp_port, CLIENTS);
    k = fleet_wait_meta_leader(&fleet, WAIT_MS) - 1;
    (void)wait_leads(k, true, WAIT_MS);
    pause_ms(LEARN_MS);
    load_window_begin(load);
    file_write(switch_path(k, path), SLOW_MS, strlen(SLOW_MS));
    gone_ms = wait_leads(k, false, STEP_MS);
    wait_named(k);
    gets_none_back(k, load);
    gap = load_window_end(load);
    REQUIRE(unlink(path) == 0, "%s", path);
    back_ms = wait_leads(k, true, SOUND_MS);
    fleet_wait_healthy(&fleet, WAIT_MS);
    load_finish(load, &result);
    REQUIRE(result.unexplained == 0 && result.refused == 0,
            "%u unknown outcomes, %u refused: a slow disk is no reason for either",
            result.unexplained, result.refused);
    fleet_close(&fleet);
    scenario_say(options,
                 "a meta leader whose syncs take " SLOW_MS " ms led nothing after %u ms, and led "
                 "again %u ms after they were fast; %u operations linearizable (%u unknown), "
                 "longest gap %u ms",
                 gone_ms, back_ms, result.operations, result.unknown, gap);
}
