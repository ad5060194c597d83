/* Full disks. The cluster lives on a small tmpfs in a mount namespace of its own. */
#include "tests/process/fleet.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define NODES       3u
#define HEALTHY_MS  60000u
#define CALL_MS     30000u
#define VALUE_SIZE  65536u
#define FILLER      (48u << 20)
#define KEYS_MAX    4096u
#define UNKNOWN_MAX 3u

static bool mount_small(const char *folder)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", folder, "tmpfs", 0, "size=160m,mode=0700") == 0;
}

static void write_filler(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    REQUIRE(fd >= 0, "%s: %s", path, strerror(errno));
    REQUIRE(posix_fallocate(fd, 0, FILLER) == 0, "the tmpfs is too small for the filler");
    close(fd);
}

/* A value that names its key and its writing. */
static char *fill(char *value, uint32_t i)
{
    memset(value, 'x', VALUE_SIZE);
    snprintf(value, 32, "value-%u", i);
    value[strlen(value)] = '.';
    return value;
}

static char set(struct resp_client *client, uint32_t i, char *value, struct resp_value *reply)
{
    char key[32];
    struct resp_text words[] = {{"SET", 3},
                                {key, (size_t)snprintf(key, sizeof key, "disk:%u", i)},
                                {fill(value, i), VALUE_SIZE}};

    REQUIRE(resp_client_call(client, words, 3, reply) == 0, "SET: the connection is lost");
    return reply->kind;
}

static void check(struct resp_client *client, uint32_t i, char *value)
{
    char key[32];

    snprintf(key, sizeof key, "disk:%u", i);
    resp_client_expect_bytes(client, key, fill(value, i), VALUE_SIZE);
}

static bool says(const struct resp_value *reply, const char *prefix)
{
    return reply->kind == '-' && reply->text.size >= strlen(prefix) &&
           memcmp(reply->text.data, prefix, strlen(prefix)) == 0;
}

/* Writes until that is refused for want of space. A write that a leader had taken before the others
 * were full may stay unknown; those are few. Returns how many were tried; good[i]: acknowledged. */
static uint32_t write_until_full(struct resp_client *client, char *value, bool good[KEYS_MAX])
{
    struct resp_value reply;
    uint32_t i = 0, unknown = 0;

    for (; i < KEYS_MAX; i++) {
        good[i] = set(client, i, value, &reply) == '+';
        if (good[i])
            continue;
        if (says(&reply, "NOSPACE"))
            break;
        REQUIRE(says(&reply, "UNKNOWNRESULT") && ++unknown <= UNKNOWN_MAX, "%.*s",
                (int)reply.text.size, reply.text.data);
    }
    REQUIRE(i < KEYS_MAX, "the disk does not fill");
    return i;
}

static void check_all(struct resp_client *client, char *value, const bool good[KEYS_MAX],
                      uint32_t written)
{
    for (uint32_t i = 0; i < written; i++)
        if (good[i])
            check(client, i, value);
}

static void wait_for_writes(struct resp_client *client, char *value)
{
    uint64_t until_ns = now_ns() + 30000000000ull;
    struct resp_value reply;

    while (set(client, 0, value, &reply) != '+') {
        REQUIRE(now_ns() < until_ns, "it does not heal: %.*s", (int)reply.text.size,
                reply.text.data);
        pause_ms(100);
    }
}

void scenario_disk(const struct scenario_options *options)
{
    static bool good[KEYS_MAX];
    char filler[PATH_MAX], *value = malloc(VALUE_SIZE);
    struct resp_client client;
    struct resp_value reply;
    struct fleet fleet;
    uint32_t written;

    REQUIRE(value, "no memory");
    if (!mount_small(options->folder)) {
        scenario_skip(options, "mounting a small tmpfs is not permitted here");
        free(value);
        return;
    }
    fleet_open(&fleet, options->folder, NODES);
    write_filler(fleet_path(&fleet, "filler", "", filler));
    resp_client_open(&client, fleet.resp_port, CALL_MS);
    written = write_until_full(&client, value, good);
    check_all(&client, value, good, written);
    REQUIRE(resp_client_command(&client, &reply, "DEL", "disk:1", NULL) == 0 && reply.integer == 1,
            "a delete on full disks: %.*s", (int)reply.text.size,
            reply.text.data ? reply.text.data : "");
    good[1] = false;
    REQUIRE(unlink(filler) == 0, "%s", strerror(errno));
    wait_for_writes(&client, value);
    for (uint32_t k = 0; k < NODES; k++)
        fleet_kill(&fleet, &fleet.nodes[k]);
    for (uint32_t k = 0; k < NODES; k++)
        fleet_start_node(&fleet, k);
    fleet_wait_healthy(&fleet, HEALTHY_MS);
    check_all(&client, value, good, written);
    resp_client_deinit(&client);
    fleet_close(&fleet);
    free(value);
    scenario_say(options,
                 "%u values of 64 KiB until the disks were full, all readable; deletes go "
                 "on, writes come back with space",
                 written);
}
