/* A node comes back with its key alone: nobody founds it again. It comes back on a disk that does
 * not give a journal: it says so, and is as good as ever when the disk gives it again. So it is
 * with an older copy of its shard's folder, or another node's, once its newest is back. It comes
 * back without the manifest of its shard: nothing there can be trusted. It answers its operators,
 * says so, is given nothing more, and its share goes to another as doctor says. */
#include "tests/process/fleet.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NODES      4u
#define WOUNDED    1u /* it has two shards */
#define LOST       2u
#define KEYS       500u
#define CALL_MS    30000u
#define HEALTHY_MS 60000u
#define LEFT_MS    30000u

static void set_all(struct resp_client *client)
{
    char key[32];

    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "lost:%u", i);
        resp_client_set(client, key, key);
    }
}

static void check_all(struct resp_client *client)
{
    char key[32];

    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "lost:%u", i);
        resp_client_expect(client, key, key);
    }
}

/* Whatever is asked, it answers the next question, too. */
static void ask_all(struct fleet *fleet)
{
    static const char *const questions[][4] = {
        {"status"},        {"ring"},       {"members"}, {"explain", "lost:1"}, {"moves"}, {"top"},
        {"top", "--keys"}, {"drain", "3"}, {"plan"},    {"undrain", "3"}};
    static char out[64u << 10];

    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        int code = fleet_admin(fleet, out, sizeof out, questions[i]);

        REQUIRE(code == 0, "ring-admin %s ends with %d: %s", questions[i][0], code, out);
    }
    fleet_expect(fleet, 1, "does not flush", "flush", "3", NULL);
    fleet_expect(fleet, 1, "does not scrub", "scrub", "3", NULL);
    fleet_expect(fleet, 4, "node-3 (", "status", "--check", NULL);
    fleet_expect(fleet, 4, "has a shard that is damaged beyond repair", "status", "--check", NULL);
}

static void move_file(struct fleet *fleet, const char *from, const char *to)
{
    char old[PATH_MAX], new[PATH_MAX];

    fleet_path(fleet, from, "", old);
    fleet_path(fleet, to, "", new);
    REQUIRE(rename(old, new) == 0, "%s: %s", old, strerror(errno));
}

/* Of its data directory only IDENTITY is left: founded again it would have no votes, nor entries.
 */
static void found_again(struct fleet *fleet)
{
    char folder[PATH_MAX], path[PATH_MAX];

    fleet_stop(fleet, &fleet->nodes[LOST]);
    move_file(fleet, "node-3", "kept");
    REQUIRE(mkdir(fleet_path(fleet, "node-3", "", folder), 0700) == 0, "%s: %s", folder,
            strerror(errno));
    move_file(fleet, "kept/IDENTITY", "node-3/IDENTITY");
    fleet_start_node(fleet, LOST);
    fleet_expect(fleet, 4, "has lost its GENESIS", "status", "--check", NULL);
    fleet_expect(fleet, 5, "has lost its GENESIS", "init", fleet->addresses[0], fleet->addresses[1],
                 fleet->addresses[2], fleet->addresses[3], NULL);
    fleet_stop(fleet, &fleet->nodes[LOST]);
    move_file(fleet, "node-3/IDENTITY", "kept/IDENTITY");
    REQUIRE(unlink(fleet_path(fleet, "node-3", "/LOCK", path)) == 0, "%s", strerror(errno));
    REQUIRE(rmdir(folder) == 0, "%s: %s", folder, strerror(errno));
    move_file(fleet, "kept", "node-3");
    fleet_start_node(fleet, LOST);
    fleet_wait_healthy(fleet, HEALTHY_MS);
}

/* With a sector that is bad in the log of one shard it does not end: the other one serves. */
static void meet_bad_sector(struct fleet *fleet, struct resp_client *client)
{
    char pattern[PATH_MAX];
    glob_t found;

    REQUIRE(
        glob(fleet_path(fleet, "node-2", "/shard-01/journal-*.log", pattern), 0, NULL, &found) == 0,
        "no journal");
    if (fleet_bad_sector(found.gl_pathv[found.gl_pathc - 1])) {
        fleet_stop(fleet, &fleet->nodes[WOUNDED]);
        fleet_start_node(fleet, WOUNDED);
        fleet_wait_log(fleet, "node-2", "event=shard_lost shard=1 file=shard-01/journal-0",
                       HEALTHY_MS);
        fleet_expect(fleet, 4, "has a shard that is damaged beyond repair", "status", "--check",
                     NULL);
        check_all(client);
        (void)fleet_bad_sector(NULL);
        fleet_stop(fleet, &fleet->nodes[WOUNDED]);
        fleet_start_node(fleet, WOUNDED);
        fleet_wait_healthy(fleet, HEALTHY_MS);
    }
    globfree(&found);
}

/* A file or a folder. */
static void copy_any(struct fleet *fleet, const char *from, const char *to)
{
    char old[PATH_MAX], new[PATH_MAX];
    int code = program_run(NULL, NULL, 0, CALL_MS,
                           (const char *[]){"/bin/cp", "-r", fleet_path(fleet, from, "", old),
                                            fleet_path(fleet, to, "", new), NULL});

    REQUIRE(code == 0, "cp %s: %d", old, code);
}

/* It runs, and its shard takes no part in anything. */
static void start_with(struct fleet *fleet, const char *folder, const char *says)
{
    move_file(fleet, folder, "node-3/shard-00");
    fleet_start_node(fleet, LOST);
    fleet_wait_log(fleet, "node-3", says, HEALTHY_MS);
    fleet_expect(fleet, 4, "has a shard that is damaged beyond repair", "status", "--check", NULL);
    fleet_stop(fleet, &fleet->nodes[LOST]);
    move_file(fleet, "node-3/shard-00", folder);
}

/* What else there is of the node is its newest, so the others see no older counter. What it has
 * acknowledged since the copy was made would be forgotten. */
static void wrong_folders(struct fleet *fleet, struct resp_client *client)
{
    fleet_stop(fleet, &fleet->nodes[LOST]);
    copy_any(fleet, "node-3/shard-00", "older");
    fleet_start_node(fleet, LOST);
    fleet_wait_healthy(fleet, HEALTHY_MS);
    set_all(client);
    fleet_kill(fleet, &fleet->nodes[LOST]);
    move_file(fleet, "node-3/shard-00", "newest");
    copy_any(fleet, "newest", "other");
    copy_any(fleet, "node-1/shard-00/OWNER", "other/OWNER"); /* of the same partitions */
    start_with(fleet, "older", "its folder is an older copy of what this node has used");
    start_with(fleet, "other", "its folder is another node's");
    move_file(fleet, "newest", "node-3/shard-00");
    fleet_start_node(fleet, LOST);
    fleet_wait_healthy(fleet, HEALTHY_MS);
}

void scenario_lost(const struct scenario_options *options)
{
    char manifest[PATH_MAX];
    struct resp_client client;
    struct fleet fleet;
    uint32_t k;

    fleet_open(&fleet, options->folder, NODES);
    resp_client_open(&client, fleet.resp_port, CALL_MS);
    set_all(&client);
    found_again(&fleet);
    meet_bad_sector(&fleet, &client);
    wrong_folders(&fleet, &client);
    fleet_stop(&fleet, &fleet.nodes[LOST]);
    REQUIRE(unlink(fleet_path(&fleet, "node-3", "/shard-00/MANIFEST", manifest)) == 0, "%s: %s",
            manifest, strerror(errno));
    fleet_start_node(&fleet, LOST);
    fleet_wait_log(&fleet, "node-3", "event=shard_lost shard=0 next=", HEALTHY_MS);
    ask_all(&fleet);
    fleet_expect(&fleet, 4, "ring-admin leave 3, or ring-admin replace 3 NEW", "doctor", NULL);
    fleet_expect(&fleet, 1, "node 3 has a shard that is damaged beyond repair", "leave", "1", NULL);

    k = fleet_join_node(&fleet);
    fleet_wait_state(&fleet, fleet.addresses[k], "joining", HEALTHY_MS);
    fleet_expect(&fleet, 4, "ring-admin replace 3 5", "doctor", NULL);
    fleet_expect(&fleet, 0, "", "replace", "3", "5", "--wait", NULL);
    fleet_wait_left(&fleet, LOST, LEFT_MS);
    fleet_wait_healthy(&fleet, HEALTHY_MS);
    fleet_kill(&fleet, &fleet.nodes[0]); /* now some majorities need who took its place */
    check_all(&client);
    fleet_start_node(&fleet, 0);
    fleet_wait_healthy(&fleet, HEALTHY_MS);
    resp_client_deinit(&client);
    fleet_close(&fleet);
    scenario_say(
        options,
        "a node with an older copy of its shard, another's, or no manifest answered, was given "
        "nothing and was replaced as doctor said; %u keys are all there",
        KEYS);
}
