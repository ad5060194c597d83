/* An encrypted cluster: its disks tell nothing, a restart needs nobody, a stranger's identity opens
 * nothing; and an identity under a passphrase. */
#include "tests/process/fleet.h"
#include "tests/process/load.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NODES      3u
#define CLIENTS    4u
#define HEALTHY_MS 60000u
#define CALL_MS    30000u
#define VALUE_SIZE 600u
#define SECRET     "nobody-may-see-this"
#define CONFLICT   5

static void set(struct resp_client *client, uint32_t i)
{
    char key[64], value[VALUE_SIZE];

    snprintf(key, sizeof key, SECRET "-key-%u", i);
    for (size_t at = 0; at < sizeof value; at++) /* so that some is compressed, and some is not */
        value[at] = (char)(i % 2 ? 'a' + (char)(at % 26) : (char)draw(256));
    memcpy(value, SECRET "-value", sizeof SECRET + 5);
    resp_client_set_bytes(client, key, value, VALUE_SIZE);
}

static void check(struct resp_client *client, uint32_t i)
{
    struct resp_value reply;
    char key[64];

    snprintf(key, sizeof key, SECRET "-key-%u", i);
    REQUIRE(resp_client_command(client, &reply, "GET", key, NULL) == 0, "GET %s", key);
    REQUIRE(reply.text.data && reply.text.size == VALUE_SIZE &&
                memcmp(reply.text.data, SECRET "-value", sizeof SECRET + 5) == 0,
            "%s is lost or changed", key);
}

/* nftw() has no context. */
static uint32_t files, telling;

static int search(const char *path, const struct stat *status, int kind, struct FTW *at)
{
    FILE *file;
    char *bytes;
    size_t size;

    (void)at;
    if (kind != FTW_F)
        return 0;
    bytes = malloc((size_t)status->st_size + 1);
    file = fopen(path, "re");
    REQUIRE(bytes && file, "%s: %s", path, strerror(errno));
    size = fread(bytes, 1, (size_t)status->st_size, file);
    files++;
    telling += memmem(bytes, size, SECRET, strlen(SECRET)) != NULL;
    fclose(file);
    free(bytes);
    return 0;
}

/* How many files of the node's data hold the secret. */
static uint32_t files_that_tell(const struct fleet *fleet, const char *name)
{
    char path[PATH_MAX];

    files = telling = 0;
    REQUIRE(nftw(fleet_path(fleet, name, "", path), search, 16, FTW_PHYS) == 0, "%s", path);
    REQUIRE(files >= 4, "%u files in %s", files, path);
    return telling;
}

static void copy(const struct fleet *fleet, const char *from, const char *to)
{
    char source[PATH_MAX], target[PATH_MAX];
    int code = program_run(NULL, NULL, 0, 20000,
                           (const char *[]){"cp", "-r", fleet_path(fleet, from, "", source),
                                            fleet_path(fleet, to, "", target), NULL});

    REQUIRE(code == 0, "cp %s %s", source, target);
}

struct start {
    struct fleet *fleet;
    char program[PATH_MAX], data[PATH_MAX];
    const char *words[16];
};

/* A node of its own in the fleet's folder; key: passphrase file or NULL. */
static void start_prepare(struct start *start, struct fleet *fleet, const char *name,
                          const char *key)
{
    *start = (struct start){.fleet = fleet,
                            .words = {NULL, "node", "--ticket", fleet->ticket, "--data", NULL,
                                      "--listen", "127.0.0.1:0", "--shards", "1",
                                      key ? "--identity-key" : NULL, key}};
    start->words[0] = program_path("ringcask", start->program);
    start->words[5] = fleet_path(fleet, name, "", start->data);
}

/* It comes up, and is stopped. */
static void start_well(struct start *start, const char *name)
{
    char line[256], log[PATH_MAX];
    struct child node;

    child_init(&node);
    for (size_t i = 0; start->words[i]; i++)
        REQUIRE(child_add(&node, start->words[i]) == 0, "no memory");
    REQUIRE(child_start(&node, fleet_path(start->fleet, name, ".log", log)) == 0, "no node");
    REQUIRE(child_line(&node, -1, HEALTHY_MS, line, sizeof line) == 0, "see %s", log);
    fleet_stop(start->fleet, &node);
    child_deinit(&node);
}

static void start_refused(struct start *start, const char *says)
{
    char out[4096], err[4096];
    int code = program_run(out, err, sizeof out, 20000, start->words);

    REQUIRE(code == CONFLICT && strstr(err, says), "exit code %d, not \"%s\": %s", code, says, err);
}

/* An identity that is none of the members' is put beside a member's data. */
static void refuse_stranger(struct fleet *fleet)
{
    struct start start;

    start_prepare(&start, fleet, "stranger", NULL);
    start_well(&start, "stranger");
    copy(fleet, "node-1/GENESIS", "stranger/GENESIS");
    copy(fleet, "node-1/shard-00", "stranger/shard-00");
    start_refused(&start, "genesis_refused");
}

static void lock_identity(struct fleet *fleet)
{
    char key[PATH_MAX], other[PATH_MAX];
    struct start start;

    file_write(fleet_path(fleet, "identity", ".key", key), "a passphrase to keep\n", 21);
    file_write(fleet_path(fleet, "other", ".key", other), "another passphrase\n", 19);
    REQUIRE(chmod(key, 0600) == 0 && chmod(other, 0600) == 0, "chmod");
    start_prepare(&start, fleet, "locked", key);
    start_well(&start, "locked");
    start_well(&start, "locked");
    start_prepare(&start, fleet, "locked", other);
    start_refused(&start, "another passphrase locks IDENTITY");
    start_prepare(&start, fleet, "locked", NULL);
    start_refused(&start, "IDENTITY is locked");
    start_prepare(&start, fleet, "stranger", key);
    start_refused(&start, "IDENTITY is not locked");
}

void scenario_sealed(const struct scenario_options *options)
{
    uint32_t keys = options->is_short ? 400 : 4000;
    struct resp_client client;
    struct load_result result;
    struct fleet fleet;
    struct load *load;
    char log[PATH_MAX], text[65536];

    fleet_open_encrypted(&fleet, options->folder, NODES);
    resp_client_open(&client, fleet.resp_port, CALL_MS);
    load = load_start(fleet.resp_port, CLIENTS);
    for (uint32_t i = 0; i < keys; i++)
        set(&client, i);
    load_finish(load, &result);
    for (uint32_t k = 0; k < NODES; k++)
        fleet_kill(&fleet, &fleet.nodes[k]);
    REQUIRE(files_that_tell(&fleet, "node-1") == 0, "%u files of node-1 tell", telling);
    REQUIRE(files_that_tell(&fleet, "node-2") == 0, "%u files of node-2 tell", telling);
    REQUIRE(files_that_tell(&fleet, "node-3") == 0, "%u files of node-3 tell", telling);
    refuse_stranger(&fleet);
    lock_identity(&fleet);
    /* Alone, it has its data key: it says that it serves before any peer is there. */
    REQUIRE(remove(fleet_path(&fleet, "node-1", ".log", log)) == 0, "%s", log);
    fleet_start_node(&fleet, 0);
    text[file_read(log, text, sizeof text - 1)] = 0;
    REQUIRE(strstr(text, "encrypted=yes"), "%s says: %s", log, text);
    fleet_start_node(&fleet, 1);
    fleet_start_node(&fleet, 2);
    fleet_wait_healthy(&fleet, HEALTHY_MS);
    for (uint32_t i = 0; i < keys; i++)
        check(&client, i);
    resp_client_deinit(&client);
    fleet_close(&fleet);
    scenario_say(options, "%u keys, %u operations linearizable (%u unknown); no file tells", keys,
                 result.operations, result.unknown);
}
