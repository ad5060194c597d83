/* Programs: exit codes, stdout and stderr of the built binaries, without a cluster. */
#include "cli/exit_code.h"
#include "replication/node_file.h"
#include "ring/ringmap.h"
#include "storage/engine.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char folder[] = "/tmp/ringcask-programs-XXXXXX";
static char out[16384], err[16384];

static void setup(void)
{
    cr_assert(mkdtemp(folder));
    unsetenv("RINGCASK_TICKET");
    unsetenv("RINGCASK_SEEDS");
}

static void teardown(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

static void read_all(const char *name, char *text, size_t size)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "r");
    cr_assert(file);
    text[fread(text, 1, size - 1, file)] = 0;
    fclose(file);
}

/* Runs a line of the shell in the folder, programs first in PATH. Returns the exit code. */
static int run(const char *line)
{
    char command[2048];
    int status;

    snprintf(command, sizeof command, "cd %s && PATH=%s:$PATH && { %s; } >out 2>err </dev/null",
             folder, RINGCASK_BIN_DIR, line);
    status = system(command);
    cr_assert(WIFEXITED(status));
    read_all("out", out, sizeof out);
    read_all("err", err, sizeof err);
    return WEXITSTATUS(status);
}

/* One clear line: it names what is wrong, and nothing is on stdout. */
static void assert_refused(const char *line, int code, const char *text)
{
    cr_assert_eq(run(line), code, "%s: %s", line, err);
    cr_assert(strstr(err, text), "%s: %s", line, err);
    cr_assert_str_eq(out, "", "%s: %s", line, out);
}

TestSuite(programs, .init = setup, .fini = teardown);

Test(programs, help_and_version_go_to_stdout)
{
    cr_assert_eq(run("ringcask --help && ringcask node --help && ring-admin --help && "
                     "ring-admin status --help && ringcask --version && ring-admin --version"),
                 EXIT_CODE_OK);
    cr_assert_str_eq(err, "");
    cr_assert(strstr(out, "usage: ringcask node --ticket FILE --data DIR --listen HOST:PORT"));
    cr_assert(strstr(out, "RINGCASK_SEEDS"));
    cr_assert(strstr(out, "ring-admin " RINGCASK_VERSION "\n"));
}

Test(programs, usage_errors_give_2)
{
    assert_refused("ringcask", EXIT_CODE_USAGE, "which command?");
    assert_refused("ringcask nodes", EXIT_CODE_USAGE, "did you mean node?");
    assert_refused("ringcask node", EXIT_CODE_USAGE, "--ticket FILE is needed");
    assert_refused("ringcask node --ticket t --data d --listen 127.0.0.1:0 --compress zstd:20",
                   EXIT_CODE_USAGE, "off, zstd or zstd:LEVEL, 1 to 19");
    assert_refused("ringcask node --ticket t --data d --listen 127.0.0.1:0 --compress lz4",
                   EXIT_CODE_USAGE, "off, zstd or zstd:LEVEL");
    assert_refused(
        "ringcask node --ticket t --data d --listen 127.0.0.1:0 --zone $(printf '\\303\\251')",
        EXIT_CODE_USAGE, "1 to 31 printable characters of ASCII");
    assert_refused("ringcask node --ticket t --data d --listen 127.0.0.1:0 --zone "
                   "01234567890123456789012345678901",
                   EXIT_CODE_USAGE, "1 to 31 printable characters of ASCII");
    assert_refused("ringcask node --ticket t --data '' --listen 127.0.0.1:0", EXIT_CODE_USAGE,
                   "--data DIR is needed");
    assert_refused("ringcask demo --resp 127.0.0.1:99999", EXIT_CODE_USAGE,
                   "a port is at most 65535");
    assert_refused("ringcask demo --resp 0.0.0.0:0", EXIT_CODE_USAGE, "others can reach");
    assert_refused("ringcask demo --nodes 0", EXIT_CODE_USAGE, "a number from 1 to 9");
    assert_refused("ringcask demo --partitions 100", EXIT_CODE_USAGE, "power of two");
    assert_refused("ring-admin statu", EXIT_CODE_USAGE, "did you mean status?");
    assert_refused("ring-admin explain", EXIT_CODE_USAGE, "needed");
    assert_refused("ring-admin --ticket t init", EXIT_CODE_USAGE, "HOST:PORT... is missing");
    assert_refused("ring-admin --ticket t init here", EXIT_CODE_USAGE, "HOST:PORT is needed");
    assert_refused("ring-admin --ticket t --seeds 127.0.0.1:1 status -o xml", EXIT_CODE_USAGE,
                   "table or json");
}

#define SOME "ring-admin --ticket t --seeds 127.0.0.1:1 "

Test(programs, changes_that_are_not_whole_are_refused_before_anybody_is_asked)
{
    assert_refused(SOME "commit", EXIT_CODE_USAGE, "either --plan HASH");
    assert_refused(SOME "commit --auto --plan 0123456789", EXIT_CODE_USAGE, "either --plan HASH");
    assert_refused(SOME "commit --plan 0123", EXIT_CODE_USAGE, "at least 8 digits");
    assert_refused(SOME "commit --plan leave-this", EXIT_CODE_USAGE, "this is no hash");
    assert_refused(SOME "remove 2", EXIT_CODE_USAGE, "--force is needed");
    assert_refused(SOME "replace 2", EXIT_CODE_USAGE, "DEAD NEW");
    assert_refused(SOME "leave", EXIT_CODE_USAGE, "NODE");
    assert_refused(SOME "moves --rate 0", EXIT_CODE_USAGE, "a number from 1 to 100000");
    assert_refused(SOME "pause now", EXIT_CODE_USAGE, "now");
    assert_refused(SOME "explain ''", EXIT_CODE_USAGE, "a key has 1 to 65535 bytes");
    assert_refused(SOME "explain $(head -c 65536 /dev/zero | tr '\\0' k)", EXIT_CODE_USAGE,
                   "a key has 1 to 65535 bytes, and this has 65536");
}

Test(programs, a_ticket_goes_to_stdout_and_its_care_to_stderr)
{
    cr_assert_eq(run("ring-admin ticket"), EXIT_CODE_OK);
    cr_assert_eq(strncmp(out, "ringcask-ticket-1 ", 18), 0, "%s", out);
    cr_assert_eq(strchr(out, '\n'), out + strlen(out) - 1);
    cr_assert(strstr(err, "umask 077"));
}

Test(programs, tickets_for_roles_that_are_not_whole_are_refused_before_anybody_is_asked)
{
    assert_refused("ring-admin --ticket t ticket list", EXIT_CODE_USAGE, "--seeds is needed");
    assert_refused("ring-admin --seeds 127.0.0.1:1 ticket new --role node", EXIT_CODE_USAGE,
                   "--ticket is needed");
    assert_refused(SOME "ticket nw", EXIT_CODE_USAGE, "did you mean new?");
    assert_refused(SOME "ticket new", EXIT_CODE_USAGE, "node, router or admin");
    assert_refused(SOME "ticket new --role king", EXIT_CODE_USAGE, "--role king");
    assert_refused(SOME "ticket new --role node --ttl 5x", EXIT_CODE_USAGE, "--ttl 5x");
    assert_refused(SOME "ticket new --role node --ttl 0h", EXIT_CODE_USAGE, "--ttl 0h");
    assert_refused(SOME "ticket new --role node --ttl 99999999d", EXIT_CODE_USAGE, "--ttl 9");
    assert_refused(SOME "ticket new --role node --uses 1025", EXIT_CODE_USAGE, "from 0 to 1024");
    assert_refused(SOME "ticket list all", EXIT_CODE_USAGE, "what is all for");
    assert_refused(SOME "ticket revoke", EXIT_CODE_USAGE, "id is needed");
    assert_refused(SOME "ticket revoke 1x", EXIT_CODE_USAGE, "id is needed");
    assert_refused(SOME "ticket revoke 0", EXIT_CODE_USAGE, "id is needed");
}

Test(programs, a_ticket_for_one_role_is_refused_by_the_programs_of_others)
{
    cr_assert_eq(
        run("(umask 077; echo ringcask-ticket-2 "
            "AgECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMAcAAAACWddKaQ >t)"),
        EXIT_CODE_OK);
    assert_refused("ringcask node --ticket t --data d --listen 127.0.0.1:0", EXIT_CODE_FAILED,
                   "t: this ticket is for the role router, not node");
    assert_refused(SOME "status", EXIT_CODE_FAILED, "for the role router, not admin");
}

Test(programs, a_ticket_that_others_can_read_is_refused)
{
    cr_assert_eq(run("ring-admin ticket >t && chmod 644 t"), EXIT_CODE_OK);
    assert_refused("ringcask node --ticket t --data d --listen 127.0.0.1:0", EXIT_CODE_FAILED,
                   "chmod 600 t");
    assert_refused("ringcask router --ticket t --seeds 127.0.0.1:1 --resp 127.0.0.1:0",
                   EXIT_CODE_FAILED, "chmod 600 t");
    assert_refused("ring-admin --ticket t --seeds 127.0.0.1:1 status", EXIT_CODE_FAILED,
                   "chmod 600 t");
}

Test(programs, a_passphrase_must_be_ones_own_and_no_shorter_than_12_bytes)
{
    cr_assert_eq(run("(umask 077; ring-admin ticket >t; printf 'eleven byte' >short; "
                     "printf 'twelve bytes' >open; chmod 644 open)"),
                 EXIT_CODE_OK);
    assert_refused("ringcask node --ticket t --data d --listen 127.0.0.1:0 --identity-key short",
                   EXIT_CODE_FAILED, "12 to 1024 bytes");
    assert_refused("ringcask node --ticket t --data d --listen 127.0.0.1:0 --identity-key open",
                   EXIT_CODE_FAILED, "chmod 600 open");
    assert_refused("ringcask node --ticket t --data d --listen 127.0.0.1:0 --identity-key none",
                   EXIT_CODE_FAILED, "No such file");
    assert_refused("ringcask node --ticket t --data d --listen 127.0.0.1:0 --identity-key .",
                   EXIT_CODE_FAILED, "a folder");
    assert_refused("ringcask node --ticket . --data d --listen 127.0.0.1:0", EXIT_CODE_FAILED,
                   "a folder, not a ticket");
}

/* Not by a signal that says nothing. */
Test(programs, a_node_that_may_not_write_says_why_it_does_not_start)
{
    cr_assert_eq(run("(umask 077; ring-admin ticket > t)"), EXIT_CODE_OK);
    cr_assert_eq(run("(ulimit -f 0; ringcask node --ticket t --data d --listen 127.0.0.1:0 2>&1; "
                     "echo ends with $?) | cat >&2"),
                 EXIT_CODE_OK);
    cr_assert(strstr(err, "d: File too large"), "%s", err);
    cr_assert(strstr(err, "ulimit -f"), "%s", err);
    cr_assert(strstr(err, "ends with 1\n"), "%s", err);
}

/* As one that was killed is until it has ended. */
Test(programs, a_data_directory_that_is_given_up_soon_is_waited_for_and_no_other)
{
    /* In the foreground it sends no SIGCONT: LeakSanitizer, which stops the process to look at it,
     * would wait for ever. */
    static const char node[] = "timeout --foreground -s TERM 1 ringcask node --ticket t --data d "
                               "--listen 127.0.0.1:0";
    char line[512];

    cr_assert_eq(run("umask 077; ring-admin ticket > t; mkdir d; : > d/LOCK"), EXIT_CODE_OK, "%s",
                 err);
    snprintf(line, sizeof line, "flock -x d/LOCK sleep 0.3 & sleep 0.1; %s; wait", node);
    (void)run(line);
    cr_assert_null(strstr(err, "data_refused"), "%s", err);
    snprintf(line, sizeof line,
             "flock -x -o d/LOCK sleep 5 & holder=$!; sleep 0.1; timeout --foreground 4 ringcask "
             "node --ticket t --data d --listen 127.0.0.1:0; code=$?; echo holder=$holder; kill "
             "$holder; "
             "exit $code");
    cr_assert_eq(run(line), EXIT_CODE_CONFLICT, "%s", err);
    cr_assert(strstr(err, "is in use by another process"), "%s", err);
    cr_assert(strstr(err, " pid="), "%s", err);
}

Test(programs, a_damaged_or_absent_ticket_is_refused)
{
    assert_refused("RINGCASK_TICKET=none ringcask node --data d --listen 127.0.0.1:0",
                   EXIT_CODE_FAILED, "none: no such ticket");
    cr_assert_eq(run("umask 077; ring-admin ticket | tr 0-9a 1-9a0 >t"), EXIT_CODE_OK);
    assert_refused("ring-admin --ticket t --seeds 127.0.0.1:1 status", EXIT_CODE_FAILED, "t: ");
}

/* A MAP in the folder: of two members, on the way to fewer copies, with settings. */
static void write_map(void)
{
    struct ringmap map;
    struct node_file file;
    struct vfs *vfs;

    cr_assert_eq(ringmap_init(&map, 2, 8, 2), 0);
    map.epoch = 7;
    for (uint16_t i = 0; i < 2; i++) {
        map.members[i] = (struct ringmap_member){.id = (uint16_t)(i + 1),
                                                 .state = RINGMAP_STATE_ACTIVE,
                                                 .weight = 100,
                                                 .address = "10.0.0.1:7001"};
        map.members[i].public_key[0] = (uint8_t)i;
    }
    map.target = calloc(16, sizeof *map.target);
    for (uint32_t i = 0; i < 16; i++) {
        map.replicas[i] = (uint16_t)(i % 2 + 1);
        map.target[i] = i % 2 ? 0 : 1;
    }
    map.meta_voters[0] = 1;
    map.meta_voter_count = 1;
    map.paused = true;
    map.move_rate = 48;
    file = (struct node_file){.size = ringmap_encoded_size(&map)};
    file.blob = malloc(file.size);
    ringmap_encode(&map, file.blob);
    cr_assert_eq(vfs_posix_open(&vfs, folder), 0);
    cr_assert_eq(node_file_write(vfs, &node_file_map, &file), 0);
    vfs_posix_close(vfs);
    free(file.blob);
    ringmap_deinit(&map);
}

Test(programs, inspect_tells_of_a_plan_and_of_settings)
{
    write_map();
    cr_assert_eq(run("ringcask inspect MAP"), EXIT_CODE_OK, "%s", err);
    cr_assert(strstr(out, "epoch: 7\n") && strstr(out, "replicas: 1\n"), "%s", out);
    cr_assert(strstr(out, "plan: under way\n") && strstr(out, "paused: yes\n") &&
                  strstr(out, "move rate MiB: 48\n"),
              "%s", out);
}

Test(programs, who_joins_must_be_found)
{
    cr_assert_eq(run("umask 077; ring-admin ticket >t"), EXIT_CODE_OK);
    assert_refused("ringcask node --ticket t --data d --listen 0.0.0.0:0 --join 127.0.0.1:1",
                   EXIT_CODE_USAGE, "the address at which the other nodes reach this one");
    assert_refused("ringcask node --ticket t --data d --listen 127.0.0.1:0 --join 127.0.0.1:x",
                   EXIT_CODE_USAGE, "--join 127.0.0.1:x: ");
    assert_refused("ringcask node --ticket t --data d --listen 127.0.0.1:0 --join ,",
                   EXIT_CODE_USAGE, "--join ");
}

Test(programs, a_router_others_can_reach_needs_a_password)
{
    cr_assert_eq(run("umask 077; ring-admin ticket >t"), EXIT_CODE_OK);
    assert_refused("ringcask router --ticket t --seeds 127.0.0.1:1 --resp 0.0.0.0:0",
                   EXIT_CODE_USAGE, "--password-file");
}

Test(programs, a_password_that_others_can_read_is_refused)
{
    const char *line =
        "ringcask router --ticket t --seeds 127.0.0.1:1 --resp 127.0.0.1:0 --password-file p";

    cr_assert_eq(run("umask 077; ring-admin ticket >t; echo secret >p; chmod 644 p"), EXIT_CODE_OK);
    assert_refused(line, EXIT_CODE_FAILED, "chmod 600 p");
    cr_assert_eq(run("umask 077; rm p; echo >p"), EXIT_CODE_OK);
    assert_refused(line, EXIT_CODE_FAILED, "the first line is empty");
    cr_assert_eq(run("rm p"), EXIT_CODE_OK);
    assert_refused(line, EXIT_CODE_FAILED, "No such file");
}

Test(programs, nobody_there_gives_3)
{
    cr_assert_eq(run("umask 077; ring-admin ticket >t"), EXIT_CODE_OK);
    assert_refused("ring-admin --ticket t --seeds 127.0.0.1:1 status", EXIT_CODE_UNREACHABLE,
                   "127.0.0.1:1 is unreachable");
    assert_refused("ring-admin --ticket t init 127.0.0.1:1", EXIT_CODE_UNREACHABLE,
                   "127.0.0.1:1 is unreachable");
}

Test(programs, inspect_tells_what_is_no_file_of_ours)
{
    cr_assert_eq(run("echo hello >f; mkdir empty"), EXIT_CODE_OK);
    assert_refused("ringcask inspect f", EXIT_CODE_FAILED, "no journal, cask, hint or manifest");
    assert_refused("ringcask inspect empty", EXIT_CODE_FAILED, "nothing of ours");
    assert_refused("ringcask inspect absent", EXIT_CODE_FAILED, "No such file");
}

/* A data directory of several segments in folder "e", flushed: 20 keys that stay, 20 that are
 * written over and over. */
static void engine_fill(void)
{
    struct engine_options options = {.sync = ENGINE_SYNC_NONE, .segment_size = 64u << 10};
    static uint8_t value[500];
    char path[128], key[16];
    struct engine *engine;

    snprintf(path, sizeof path, "%s/e", folder);
    cr_assert_eq(engine_open(&engine, path, &options), 0);
    for (int i = 0; i < 2000; i++) {
        int size = snprintf(key, sizeof key, "key-%d", i < 40 ? i : i % 20);

        cr_assert_eq(engine_put(engine, key, (size_t)size, value, sizeof value), 0);
    }
    cr_assert_eq(engine_flush(engine), 0);
    cr_assert_eq(engine_close(engine), 0);
}

Test(programs, inspect_sums_up_a_data_directory_and_repairs_its_hints)
{
    engine_fill();
    cr_assert_eq(run("ringcask inspect e"), EXIT_CODE_OK, "%s%s", out, err);
    cr_assert(strstr(out, "live records: 40\n"), "%s", out);
    cr_assert(strstr(out, "verdict: ok\n"), "%s", out);
    cr_assert(strstr(out, "IDENTITY"), "%s", out);
    cr_assert_eq(run("ringcask inspect -o json e | grep '\"kind\": \"cask\"'"), EXIT_CODE_OK);
    cr_assert_eq(run("ringcask inspect e/shard-00 | grep 'key \"key-7\"'"), EXIT_CODE_OK);
    cr_assert_eq(run("cp -r e whole; rm e/shard-00/p*.hint"), EXIT_CODE_OK);
    cr_assert_eq(run("ringcask inspect e"), EXIT_CODE_FAILED);
    cr_assert(strstr(out, "missing") && strstr(err, "e is damaged"), "%s%s", out, err);
    cr_assert_eq(run("ringcask inspect --repair e"), EXIT_CODE_OK, "%s%s", out, err);
    cr_assert_not(strstr(out, "hints made again: 0\n"), "%s", out);
    cr_assert_eq(run("diff -r whole e"), EXIT_CODE_OK, "%s", out);
    cr_assert_eq(run("rm e/IDENTITY"), EXIT_CODE_OK);
    assert_refused("ringcask inspect --repair e", EXIT_CODE_FAILED, "GENESIS is missing");
}

Test(programs, inspect_repairs_folders_only)
{
    cr_assert_eq(run("echo hello >f"), EXIT_CODE_OK);
    assert_refused("ringcask inspect --repair f", EXIT_CODE_USAGE, "needs a data directory");
}
