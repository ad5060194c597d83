#include "cli/address.h"
#include "cli/command.h"
#include "cli/credential.h"
#include "replication/node_loop.h"
#include "ring/identity_lock.h"
#include "storage/compress.h"
#include "storage/datadir.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CREDENTIAL_NAME "ringcask-identity"
#define CACHE_MIB_MAX   1048576u
#define LOG_MIB_MAX     65536u
#define SEGMENT_MIB_MAX 256u
#define SCRUB_MIB_MAX   65536u

static void on_ready(void *context, const char *address, const char *fingerprint)
{
    (void)context;
    printf("listening %s key=%s\n", address, fingerprint);
    fflush(stdout);
}

static enum exit_code exit_code_of(int ended)
{
    switch (ended) {
    case NODE_LOOP_E_OK:
        return EXIT_CODE_OK;
    case NODE_LOOP_E_USAGE:
        return EXIT_CODE_USAGE;
    case NODE_LOOP_E_CONFLICT:
        return EXIT_CODE_CONFLICT;
    default:
        return EXIT_CODE_FAILED;
    }
}

/* "off", "zstd" or "zstd:LEVEL". */
static bool parse_compress(const struct arguments *arguments, int *level)
{
    const char *text = arguments_text(arguments, "compress");
    char *end = NULL;
    long number = 1;

    if (strcmp(text, "off") == 0) {
        *level = 0;
        return true;
    }
    if (strncmp(text, "zstd:", 5) == 0 && text[5] >= '1' && text[5] <= '9')
        number = strtol(text + 5, &end, 10);
    if ((strcmp(text, "zstd") != 0 && (!end || *end)) || number > COMPRESS_LEVEL_MAX) {
        arguments_error(arguments, "--compress %s: it is off, zstd or zstd:LEVEL, %d to %d", text,
                        COMPRESS_LEVEL_MIN, COMPRESS_LEVEL_MAX);
        return false;
    }
    *level = (int)number;
    return true;
}

static bool parse_dictionaries(const struct arguments *arguments,
                               enum node_loop_dictionaries *dictionaries)
{
    static const char *const names[] = {[NODE_LOOP_DICTIONARIES_AUTO] = "auto",
                                        [NODE_LOOP_DICTIONARIES_ON] = "on",
                                        [NODE_LOOP_DICTIONARIES_OFF] = "off"};
    const char *text = arguments_text(arguments, "dictionaries");

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(text, names[i]) == 0) {
            *dictionaries = (enum node_loop_dictionaries)i;
            return true;
        }
    arguments_error(arguments, "--dictionaries %s: it is auto, on or off", text);
    return false;
}

/* An address of all of a machine's tells nobody where this one is. */
static bool is_any(const char *address)
{
    return strncmp(address, "0.0.0.0:", 8) == 0 || strncmp(address, "[::]:", 5) == 0;
}

static bool parse_join(const struct arguments *arguments, struct node_loop_options *options,
                       const char *listen, struct address_list *list)
{
    const char *text = arguments_text(arguments, "join");
    char bad[ADDRESS_SIZE];
    const char *why;

    if (!text)
        return true;
    if (address_list_parse(list, text, bad, &why) != 0) {
        arguments_error(arguments, "--join %s: %s", bad, why);
        return false;
    }
    if (is_any(listen)) {
        arguments_error(arguments,
                        "--listen %s: with --join it has to be the address at which the other "
                        "nodes reach this one",
                        arguments_text(arguments, "listen"));
        return false;
    }
    options->join = (const char(*)[ADDRESS_SIZE])list->items;
    options->join_count = list->count;
    return true;
}

static bool parse(const struct arguments *arguments, struct node_loop_options *options,
                  char listen[ADDRESS_SIZE], struct address_list *join)
{
    const char *zone = arguments_text(arguments, "zone");
    const char *why;
    uint64_t weight = RINGMAP_WEIGHT_DEFAULT, shards = 0, cache_mib = 0, log_mib = 0,
             segment_mib = 0, scrub_mib = 0;

    if (address_resolve(arguments_text(arguments, "listen"), true, listen, &why) != 0) {
        arguments_error(arguments, "--listen %s: %s", arguments_text(arguments, "listen"), why);
        return false;
    }
    if (!parse_join(arguments, options, listen, join))
        return false;
    if (zone && (!zone[0] || strcmp(zone, "-") == 0)) /* as `ring-admin zone` says it */
        zone = NULL;
    if (zone && !ringmap_is_zone(zone)) {
        arguments_error(arguments,
                        "--zone %s: 1 to %u printable characters of ASCII are needed, as rack-a; "
                        "or -: no zone",
                        zone, RINGMAP_ZONE_SIZE - 1);
        return false;
    }
    if (!arguments_number(arguments, "weight", 1, RINGMAP_WEIGHT_MAX, &weight) ||
        !arguments_number(arguments, "shards", 1, DATADIR_SHARDS_MAX, &shards) ||
        !arguments_number(arguments, "cache", 0, CACHE_MIB_MAX, &cache_mib) ||
        !arguments_number(arguments, "log", 1, LOG_MIB_MAX, &log_mib) ||
        !arguments_number(arguments, "segment", 1, SEGMENT_MIB_MAX, &segment_mib) ||
        !arguments_number(arguments, "scrub", 0, SCRUB_MIB_MAX, &scrub_mib) ||
        !parse_compress(arguments, &options->compress_level) ||
        !parse_dictionaries(arguments, &options->dictionaries))
        return false;
    snprintf(options->zone, sizeof options->zone, "%s", zone ? zone : "");
    options->weight = (uint32_t)weight;
    options->shards = (uint16_t)shards;
    options->cache_size = (size_t)cache_mib << 20;
    options->log_size_max = log_mib << 20;
    options->segment_size = (uint32_t)segment_mib << 20;
    options->scrub_rate = scrub_mib << 20;
    return true;
}

/* The file of --identity-key, or the credential of that name that systemd hands over. Returns its
 * path, NULL for none. */
static const char *passphrase_path(const struct arguments *arguments, char path[PATH_MAX])
{
    const char *named = arguments_text(arguments, "identity-key");
    const char *folder = getenv("CREDENTIALS_DIRECTORY");

    if (named || !folder ||
        snprintf(path, PATH_MAX, "%s/" CREDENTIAL_NAME, folder) >= (int)PATH_MAX ||
        access(path, F_OK) != 0)
        return named;
    return path;
}

/* Line ends at its end do not count. False: the message has been printed. */
static bool read_passphrase(const struct arguments *arguments, const char *path,
                            uint8_t bytes[IDENTITY_PASSPHRASE_MAX + 2], size_t *size)
{
    struct stat status;
    FILE *file = fopen(path, "re");

    if (!file || fstat(fileno(file), &status) != 0) {
        arguments_error(arguments, "%s: %s; give a file that this user may read", path,
                        strerror(errno));
        if (file)
            fclose(file);
        return false;
    }
    if (S_ISDIR(status.st_mode)) {
        arguments_error(arguments, "%s: a folder; give the path of the passphrase's file", path);
        fclose(file);
        return false;
    }
    setvbuf(file, NULL, _IONBF, 0); /* no copy of it stays in memory */
    *size = fread(bytes, 1, IDENTITY_PASSPHRASE_MAX + 2, file);
    fclose(file);
    while (*size > 0 && (bytes[*size - 1] == '\n' || bytes[*size - 1] == '\r'))
        --*size;
    if (status.st_mode & (S_IRWXO | S_IWGRP)) {
        arguments_error(arguments, "%s: other users may read this passphrase; run `chmod 600 %s`",
                        path, path);
        return false;
    }
    if (*size < IDENTITY_PASSPHRASE_MIN || *size > IDENTITY_PASSPHRASE_MAX) {
        arguments_error(arguments, "%s: a passphrase has %u to %u bytes", path,
                        IDENTITY_PASSPHRASE_MIN, IDENTITY_PASSPHRASE_MAX);
        return false;
    }
    return true;
}

int command_node(const struct arguments *arguments)
{
    uint8_t passphrase[IDENTITY_PASSPHRASE_MAX + 2];
    char path[PATH_MAX];
    const char *passphrase_file = passphrase_path(arguments, path);
    char listen[ADDRESS_SIZE];
    struct address_list join = {.count = 0};
    struct ticket ticket;
    struct node_loop_options options = {.data = arguments_text(arguments, "data"),
                                        .ticket = &ticket,
                                        .listen = listen,
                                        .on_ready = on_ready};
    enum exit_code code;

    if (!parse(arguments, &options, listen, &join))
        return EXIT_CODE_USAGE;
    code = credential_load(arguments, LINK_ROLE_NODE, &ticket);
    if (code == EXIT_CODE_OK && passphrase_file) {
        options.passphrase = passphrase;
        if (!read_passphrase(arguments, passphrase_file, passphrase, &options.passphrase_size))
            code = EXIT_CODE_FAILED;
    }
    if (code == EXIT_CODE_OK)
        code = exit_code_of(node_loop_run(&options));
    explicit_bzero(passphrase, sizeof passphrase);
    ticket_wipe(&ticket);
    return code;
}
