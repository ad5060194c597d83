/* A plan whose target's disk is, or becomes, full. That node's disk is a small tmpfs in a mount
 * namespace of its own. */
#include "tests/process/fleet.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"
#include "tests/dice.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define NODES      3u
#define CALL_MS    30000u
#define HEALTHY_MS 60000u
#define FULL_MS    60000u
#define KEYS       3000u
#define VALUE_SIZE 4096u
#define LEFT       (60u << 20) /* below what a node keeps free */

static bool mount_small(const char *folder)
{
    return mkdir(folder, 0700) == 0 && unshare(CLONE_NEWNS) == 0 &&
           mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", folder, "tmpfs", 0, "size=160m,mode=0700") == 0;
}

/* All but LEFT bytes. */
static void fill_disk(const char *folder, const char *filler)
{
    struct statvfs disk;
    uint64_t bytes_free;
    int fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    REQUIRE(fd >= 0 && statvfs(folder, &disk) == 0, "%s: %s", filler, strerror(errno));
    bytes_free = (uint64_t)disk.f_bavail * disk.f_frsize;
    REQUIRE(bytes_free > LEFT && posix_fallocate(fd, 0, (off_t)(bytes_free - LEFT)) == 0,
            "%llu bytes are free, too few for the filler", (unsigned long long)bytes_free);
    close(fd);
}

static void set_all(struct resp_client *client)
{
    static char value[VALUE_SIZE];
    char key[32];

    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "room:%u", i);
        dice_bytes(i, value, VALUE_SIZE);
        resp_client_set_bytes(client, key, value, VALUE_SIZE);
    }
}

static void check_all(struct resp_client *client)
{
    static char value[VALUE_SIZE];
    char key[32];

    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "room:%u", i);
        dice_bytes(i, value, VALUE_SIZE);
        resp_client_expect_bytes(client, key, value, VALUE_SIZE);
    }
}

static void wait_for_full(struct fleet *fleet)
{
    uint64_t until_ns = now_ns() + FULL_MS * UINT64_C(1000000);
    static char out[64u << 10];

    do {
        REQUIRE(now_ns() < until_ns, "nothing waits for room: %s", out);
        pause_ms(200);
        REQUIRE(fleet_admin(fleet, out, sizeof out, (const char *[]){"moves", NULL}) == 0, "%s",
                out);
    } while (!strstr(out, "waiting for room on a full disk"));
    fleet_wait_log(fleet, "node-4", "event=disk_full", FULL_MS);
    fleet_expect(fleet, 4, "ring-admin abort", "doctor", NULL);
    fleet_expect(fleet, 4, "free space on the disk of node-4", "status", "--check", NULL);
}

static void steps(struct fleet *fleet, const char *disk, const char *filler)
{
    char id[16];
    uint32_t k;

    fill_disk(disk, filler);
    k = fleet_join_node(fleet);
    fleet_wait_state(fleet, fleet->addresses[k], "joining", HEALTHY_MS);
    snprintf(id, sizeof id, "%u", k + 1);
    fleet_expect(fleet, 1, "node 4 has room for 0 bytes", "commit", "--auto", NULL);

    REQUIRE(unlink(filler) == 0, "%s", strerror(errno));
    fleet_expect(fleet, 0, "", "moves", "--rate", "1", NULL);
    fleet_expect(fleet, 0, "", "commit", "--auto", NULL);
    fill_disk(disk, filler);
    wait_for_full(fleet);
    REQUIRE(unlink(filler) == 0, "%s", strerror(errno));
    fleet_expect(fleet, 0, "", "moves", "--rate", "100", NULL);
    fleet_expect(fleet, 0, "settled", "moves", "--watch", NULL);
    fleet_wait_log(fleet, "node-4", "event=disk_has_room", HEALTHY_MS);
    fleet_wait_healthy(fleet, HEALTHY_MS);

    fleet_expect(fleet, 0, "", "moves", "--rate", "1", NULL);
    fleet_expect(fleet, 0, "", "commit", "--auto", "weight", id, "10000", NULL);
    fill_disk(disk, filler);
    wait_for_full(fleet);
    fleet_expect(fleet, 0, "settled", "abort", "--wait", NULL);
    REQUIRE(unlink(filler) == 0, "%s", strerror(errno));
    fleet_wait_healthy(fleet, HEALTHY_MS);
}

void scenario_room(const struct scenario_options *options)
{
    char disk[PATH_MAX], filler[PATH_MAX];
    struct resp_client client;
    struct fleet fleet;

    REQUIRE(snprintf(disk, sizeof disk, "%s/node-4", options->folder) < (int)sizeof disk &&
                snprintf(filler, sizeof filler, "%.*s/filler", PATH_MAX - 8, disk) > 0,
            "the path is too long");
    if (!mount_small(disk)) {
        scenario_skip(options, "mounting a small tmpfs is not permitted here");
        return;
    }
    fleet_open(&fleet, options->folder, NODES);
    resp_client_open(&client, fleet.resp_port, CALL_MS);
    set_all(&client);
    steps(&fleet, disk, filler);
    check_all(&client);
    resp_client_deinit(&client);
    fleet_close(&fleet);
    scenario_say(options,
                 "a plan to a full disk was refused, one whose disk filled went on with "
                 "room, another was aborted; %u keys are all there",
                 KEYS);
}
