/* What a node or router refuses to start with: one clear line, the right exit code, nothing lost.
 */
#include "storage/checksum.h"
#include "storage/codec.h"
#include "tests/process/fleet.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NODES              3u
#define HEALTHY_MS         60000u
#define CONFLICT           5
#define IDENTITY_SIZE      120u
#define MANIFEST_HEAD_SIZE 32u

struct refusal {
    struct fleet *fleet;
    char program[PATH_MAX];
};

static void expect(const struct refusal *refusal, int want, const char *says,
                   const char *const *words)
{
    const char *all[20] = {refusal->program};
    char out[2048], err[4096];
    size_t count = 1;
    int code;

    while (*words)
        all[count++] = *words++;
    code = program_run(out, err, sizeof out, 20000, all);
    REQUIRE(code == want, "%s: exit code %d, not %d: %s", says, code, want, err);
    REQUIRE(strstr(err, says), "\"%s\" is not in: %s", says, err);
    REQUIRE(out[0] == 0, "stdout: %s", out);
}

static void make_other_ticket(struct fleet *fleet, char path[PATH_MAX])
{
    char program[PATH_MAX], text[512];

    REQUIRE(program_run(text, NULL, sizeof text, 10000,
                        (const char *[]){program_path("ring-admin", program), "ticket", NULL}) == 0,
            "ring-admin ticket");
    fleet_path(fleet, "other", ".ticket", path);
    file_write(path, text, strlen(text));
    REQUIRE(chmod(path, 0600) == 0, "chmod");
}

/* An IDENTITY as a version to come would write it. */
static void make_newer(struct fleet *fleet, char folder[PATH_MAX])
{
    char bytes[IDENTITY_SIZE + 1], path[PATH_MAX];

    fleet_path(fleet, "node-1", "/IDENTITY", path);
    REQUIRE(file_read(path, bytes, sizeof bytes) == IDENTITY_SIZE, "IDENTITY has another size");
    codec_put_u32((uint8_t *)bytes + 8, 99);
    codec_put_u64((uint8_t *)bytes + IDENTITY_SIZE - 8, checksum(bytes, IDENTITY_SIZE - 8));
    fleet_path(fleet, "newer", "", folder);
    REQUIRE(mkdir(folder, 0700) == 0, "mkdir");
    file_write(fleet_path(fleet, "newer", "/IDENTITY", path), bytes, IDENTITY_SIZE);
}

static void start_used(const struct refusal *refusal, int want, const char *says)
{
    char used[PATH_MAX];

    expect(refusal, want, says,
           (const char *[]){"node", "--ticket", refusal->fleet->ticket, "--data",
                            fleet_path(refusal->fleet, "node-1", "", used), "--listen",
                            "127.0.0.1:0", NULL});
}

/* What is in the place of a file is named, and what to do. */
static void refuse_folder(const struct refusal *refusal, const char *name, const char *says)
{
    char path[PATH_MAX], kept[PATH_MAX];
    bool is_there;

    fleet_path(refusal->fleet, "node-1", name, path);
    fleet_path(refusal->fleet, "node-1", "/kept", kept);
    is_there = rename(path, kept) == 0;
    REQUIRE(mkdir(path, 0700) == 0, "mkdir %s", path);
    start_used(refusal, 1, says);
    start_used(refusal, 1, "something else is in its place");
    REQUIRE(rmdir(path) == 0 && (!is_there || rename(kept, path) == 0), "rename");
}

static void refuse_folders(const struct refusal *refusal)
{
    char path[PATH_MAX], kept[PATH_MAX];

    refuse_folder(refusal, "/LOCK", "node-1/LOCK: Is a directory");
    refuse_folder(refusal, "/IDENTITY", "node-1/IDENTITY: Is a directory");
    refuse_folder(refusal, "/GENESIS", "file=GENESIS error=\"Is a directory\"");
    refuse_folder(refusal, "/MAP", "file=MAP error=\"Is a directory\"");
    refuse_folder(refusal, "/TICKETS", "file=TICKETS error=\"Is a directory\"");
    refuse_folder(refusal, "/COUNTERS", "file=COUNTERS error=\"Is a directory\"");
    refuse_folder(refusal, "/GENERATIONS", "file=GENERATIONS error=\"Is a directory\"");
    refuse_folder(refusal, "/shard-00/OWNER", "file=shard-00/OWNER error=\"Is a directory\"");
    refuse_folder(refusal, "/GENERATIONS", "file=GENERATIONS error=\"Is a directory\"");
    refuse_folder(refusal, "/shard-00/OWNER", "file=shard-00/OWNER error=\"Is a directory\"");
    refuse_folder(refusal, "/shard-00/MANIFEST", "file=shard-00/MANIFEST error=\"Is a directory\"");
    fleet_path(refusal->fleet, "node-1", "/shard-00", path);
    fleet_path(refusal->fleet, "node-1", "/kept", kept);
    REQUIRE(rename(path, kept) == 0, "rename");
    file_write(path, "", 0);
    start_used(refusal, 1, "file=shard-00 error=\"Not a directory\"");
    REQUIRE(unlink(path) == 0 && rename(kept, path) == 0, "rename");
}

/* A shard's manifest of a later version. */
static void refuse_manifest(const struct refusal *refusal)
{
    char path[PATH_MAX], kept[PATH_MAX];
    uint8_t head[MANIFEST_HEAD_SIZE] = "RCASKMAN";

    fleet_path(refusal->fleet, "node-1", "/shard-00/MANIFEST", path);
    fleet_path(refusal->fleet, "node-1", "/kept", kept);
    REQUIRE(rename(path, kept) == 0, "rename");
    codec_put_u32(head + 8, 1000);
    codec_put_u64(head + MANIFEST_HEAD_SIZE - 8, checksum(head, MANIFEST_HEAD_SIZE - 8));
    file_write(path, head, sizeof head);
    start_used(refusal, CONFLICT, "newer_format");
    REQUIRE(unlink(path) == 0 && rename(kept, path) == 0, "rename");
}

static void refuse_nodes(const struct refusal *refusal)
{
    struct fleet *fleet = refusal->fleet;
    const char *ticket = fleet->ticket;
    char fresh[PATH_MAX], used[PATH_MAX], newer[PATH_MAX], other[PATH_MAX];

    fleet_path(fleet, "fresh", "", fresh);
    fleet_path(fleet, "node-1", "", used);
    make_newer(fleet, newer);
    make_other_ticket(fleet, other);
    expect(refusal, CONFLICT, "port_in_use",
           (const char *[]){"node", "--ticket", ticket, "--data", fresh, "--listen",
                            fleet->addresses[0], NULL});
    expect(refusal, CONFLICT, "node-1",
           (const char *[]){"node", "--ticket", ticket, "--data", used, "--listen", "127.0.0.1:0",
                            NULL});
    expect(refusal, CONFLICT, "newer",
           (const char *[]){"node", "--ticket", ticket, "--data", newer, "--listen", "127.0.0.1:0",
                            NULL});
    fleet_kill(fleet, &fleet->nodes[0]);
    expect(refusal, CONFLICT, "cluster",
           (const char *[]){"node", "--ticket", other, "--data", used, "--listen", "127.0.0.1:0",
                            NULL});
    expect(refusal, CONFLICT, "shards",
           (const char *[]){"node", "--ticket", ticket, "--data", used, "--listen", "127.0.0.1:0",
                            "--shards", "2", NULL});
    refuse_manifest(refusal);
    refuse_folders(refusal);
    expect(refusal, 1, "a folder, not a ticket",
           (const char *[]){"node", "--ticket", used, "--data", used, "--listen", "127.0.0.1:0",
                            NULL});
    REQUIRE(chmod(ticket, 0644) == 0, "chmod");
    expect(refusal, 1, "chmod 600",
           (const char *[]){"node", "--ticket", ticket, "--data", used, "--listen", "127.0.0.1:0",
                            NULL});
    REQUIRE(chmod(ticket, 0600) == 0, "chmod");
}

void scenario_refused(const struct scenario_options *options)
{
    struct fleet fleet;
    struct refusal refusal = {.fleet = &fleet};
    struct resp_client client;
    char resp[64];

    program_path("ringcask", refusal.program);
    fleet_open(&fleet, options->folder, NODES);
    resp_client_open(&client, fleet.resp_port, 10000);
    resp_client_set(&client, "kept", "yes");
    refuse_nodes(&refusal);
    snprintf(resp, sizeof resp, "127.0.0.1:%u", fleet.resp_port);
    expect(&refusal, CONFLICT, "in use",
           (const char *[]){"router", "--ticket", fleet.ticket, "--seeds", fleet.addresses[1],
                            "--resp", resp, NULL});
    fleet_start_node(&fleet, 0);
    fleet_wait_healthy(&fleet, HEALTHY_MS);
    resp_client_expect(&client, "kept", "yes");
    resp_client_deinit(&client);
    fleet_close(&fleet);
    scenario_say(options, "port, folder, cluster, format, shards and ticket: each refused with one "
                          "line, nothing lost");
}
