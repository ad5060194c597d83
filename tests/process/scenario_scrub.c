/* Bits rot on the disk of a node that runs: its scrub finds them, its peers make them good. */
#include "tests/process/fleet.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"
#include "tests/dice.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NODES      3u
#define ROTTEN     2u
#define HEALTHY_MS 60000u
#define CALL_MS    30000u
#define FOUND_MS   30000u
#define VALUE_SIZE 16384u
#define BLOCK_SIZE 512u
#define FLIPS      3u

static void set_all(struct resp_client *client, uint32_t keys)
{
    static char value[VALUE_SIZE];
    char key[32];

    for (uint32_t i = 0; i < keys; i++) {
        snprintf(key, sizeof key, "scrub:%u", i);
        dice_text(i, value, VALUE_SIZE);
        resp_client_set_bytes(client, key, value, VALUE_SIZE);
    }
}

static void check_all(struct resp_client *client, uint32_t keys)
{
    static char value[VALUE_SIZE];
    char key[32];

    for (uint32_t i = 0; i < keys; i++) {
        snprintf(key, sizeof key, "scrub:%u", i);
        dice_text(i, value, VALUE_SIZE);
        resp_client_expect_bytes(client, key, value, VALUE_SIZE);
    }
}

static uint32_t log_count(const struct fleet *fleet, const char *word)
{
    char path[PATH_MAX], line[1024];
    FILE *file = fopen(fleet_path(fleet, "node-3", ".log", path), "re");
    uint32_t count = 0;

    REQUIRE(file, "%s", path);
    while (fgets(line, sizeof line, file))
        count += strstr(line, word) != NULL;
    fclose(file);
    return count;
}

static bool log_grows(const struct fleet *fleet, const char *word, uint32_t from)
{
    uint64_t until_ns = now_ns() + (uint64_t)FOUND_MS * 1000000;

    while (log_count(fleet, word) == from) {
        if (now_ns() > until_ns)
            return false;
        pause_ms(100);
    }
    return true;
}

/* Flips a bit in the middle of values, in the last blocks of the file that hold any: what is read
 * again last. Returns how many. */
static uint32_t rot(const char *path)
{
    uint8_t block[BLOCK_SIZE];
    struct stat status;
    uint32_t flipped = 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    REQUIRE(fd >= 0 && fstat(fd, &status) == 0, "%s: %s", path, strerror(errno));
    for (off_t at = status.st_size - BLOCK_SIZE; at > 0 && flipped < FLIPS; at -= BLOCK_SIZE) {
        bool text = pread(fd, block, sizeof block, at) == (ssize_t)sizeof block;

        for (uint32_t i = 0; text && i < BLOCK_SIZE; i++)
            text = block[i] >= '!' && block[i] <= 'z';
        if (!text)
            continue;
        block[BLOCK_SIZE / 2] ^= 1;
        REQUIRE(pwrite(fd, block, sizeof block, at) == (ssize_t)sizeof block, "%s", path);
        flipped++;
        at -= 100 * (off_t)BLOCK_SIZE; /* the next one is in another value */
    }
    close(fd);
    return flipped;
}

static uint32_t rot_all(const struct fleet *fleet)
{
    char pattern[PATH_MAX];
    uint32_t flipped = 0;
    glob_t found;

    REQUIRE(
        glob(fleet_path(fleet, "node-3", "/shard-00/journal-*.log", pattern), 0, NULL, &found) == 0,
        "no journal");
    for (size_t i = 0; i < found.gl_pathc; i++)
        flipped += rot(found.gl_pathv[i]);
    globfree(&found);
    REQUIRE(flipped > 0, "there is nothing to rot");
    return flipped;
}

/* A pass of the rotten node, asked for. */
static void pass(struct fleet *fleet, int code, const char *word)
{
    static char text[4096];
    int got = fleet_admin(fleet, text, sizeof text, (const char *[]){"scrub", "--wait", "3", NULL});

    REQUIRE(got == code && strstr(text, word), "exit code %d, not %d: %s", got, code, text);
}

void scenario_scrub(const struct scenario_options *options)
{
    uint32_t keys = options->is_short ? 600 : 2000, places, repaired;
    struct resp_client client;
    struct fleet fleet;

    fleet_open(&fleet, options->folder, NODES);
    resp_client_open(&client, fleet.resp_port, CALL_MS);
    set_all(&client, keys);
    pass(&fleet, 0, "sound");
    repaired = log_count(&fleet, "partitions_repaired");
    places = rot_all(&fleet);
    pass(&fleet, 4, "damaged");
    REQUIRE(log_grows(&fleet, "partitions_repaired", repaired), "found, but not repaired");
    fleet_wait_healthy(&fleet, HEALTHY_MS);
    pass(&fleet, 0, "sound");
    /* That pass has found all of it: now every majority needs the node that was rotten. */
    fleet_kill(&fleet, &fleet.nodes[0]);
    check_all(&client, keys);
    fleet_start_node(&fleet, 0);
    fleet_wait_healthy(&fleet, HEALTHY_MS);
    check_all(&client, keys);
    /* Nothing of it is left for recovery to stumble over. */
    fleet_stop(&fleet, &fleet.nodes[ROTTEN]);
    fleet_start_node(&fleet, ROTTEN);
    fleet_wait_healthy(&fleet, HEALTHY_MS);
    check_all(&client, keys);
    resp_client_deinit(&client);
    fleet_close(&fleet);
    scenario_say(options, "%u values, rot in %u places of a running node found and repaired", keys,
                 places);
}
