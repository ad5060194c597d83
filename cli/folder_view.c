#include "cli/folder_view.h"

#include "replication/node.h"
#include "ring/hash.h"
#include "storage/culprit.h"
#include "storage/datadir.h"
#include "storage/survey.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* The cluster that storage/engine_open.c writes into IDENTITY. */
static const char engine_cluster[DATADIR_CLUSTER_SIZE] = "ringcask engine";

static const struct output_column columns[] = {
    {"shard", "shard", OUTPUT_TEXT},
    {"file", "file", OUTPUT_TEXT},
    {"kind", "kind", OUTPUT_TEXT},
    {"state", "state", OUTPUT_TEXT},
    {"size", "size", OUTPUT_SIZE},
    {"records", "records", OUTPUT_NUMBER},
    {"tombstones", "tombstones", OUTPUT_NUMBER},
    {"live_records", "live", OUTPUT_NUMBER},
    {"live_bytes", "live bytes", OUTPUT_SIZE},
    {"dead_bytes", "dead bytes", OUTPUT_SIZE},
    {"note", "note", OUTPUT_TEXT},
};
#define COLUMN_COUNT (sizeof columns / sizeof *columns)

struct view {
    const struct arguments *arguments;
    const char *path;
    struct vfs *vfs; /* of the data directory */
    char directory[PATH_MAX];
    struct output *output;
    bool damaged;
    bool has_secret;
    uint8_t secret[HASH_KEY_SIZE];
    const char *no_secret; /* why there is none */
    int identity;          /* datadir_peek()'s answer */
    int genesis;           /* node_peek_map()'s answer */
    uint16_t shards;       /* as IDENTITY says */
    uint64_t live_bytes, dead_bytes, live_records;
    size_t repaired;
};

static bool has_entry(const char *path, bool (*wanted)(const char *name))
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    bool found = false;

    if (!folder)
        return false;
    while (!found && (entry = readdir(folder)) != NULL)
        found = wanted(entry->d_name);
    closedir(folder);
    return found;
}

static bool is_shard_file(const char *name)
{
    uint64_t number;

    return strcmp(name, FILENAME_MANIFEST) == 0 || filename_is_journal(name, &number);
}

static bool is_datadir_file(const char *name)
{
    return strcmp(name, "IDENTITY") == 0 || strncmp(name, "shard-", 6) == 0;
}

bool folder_is_shard(const char *path)
{
    return has_entry(path, is_shard_file);
}

bool folder_is_datadir(const char *path)
{
    return has_entry(path, is_datadir_file);
}

static void digest_of(const void *context, const uint8_t *key, size_t size,
                      struct keydir_digest *out)
{
    struct hash_digest digest = hash_key(context, key, size);

    *out = (struct keydir_digest){.high = digest.high, .low = digest.low};
}

/* IDENTITY and GENESIS, and the secret that they hold. */
static void secret_find(struct view *view)
{
    struct datadir_identity identity;
    struct ringmap map;

    view->identity = datadir_peek(view->vfs, &identity);
    view->shards = identity.shards;
    view->genesis = node_peek_map(view->vfs, &map);
    if (view->genesis == 0) {
        memcpy(view->secret, map.hash_secret, sizeof view->secret);
        view->has_secret = true;
        ringmap_deinit(&map);
    } else if (view->identity == 0 &&
               memcmp(identity.cluster, engine_cluster, sizeof identity.cluster) == 0) {
        memcpy(view->secret, identity.key, sizeof view->secret);
        view->has_secret = true;
    } else {
        view->no_secret = view->genesis == -ENOENT
                              ? "GENESIS is missing, which holds the secret of key digests"
                              : "GENESIS is damaged, which holds the secret of key digests";
    }
    explicit_bzero(&identity, sizeof identity);
}

static void row_put(struct view *view, const char *shard, const struct survey_file *file)
{
    bool data = file->kind == SURVEY_SEGMENT || file->kind == SURVEY_CASK;
    bool counted = data && file->state != SURVEY_UNLISTED && file->state != SURVEY_MISSING;
    bool is_hint = file->kind == SURVEY_HINT && file->state == SURVEY_OK;

    output_row(view->output, (const struct output_value[COLUMN_COUNT]){
                                 {.text = shard},
                                 {.text = file->name},
                                 {.text = survey_kind_name(file->kind)},
                                 {.text = survey_state_name(file->state)},
                                 {.number = file->size, .absent = file->state == SURVEY_MISSING},
                                 {.number = file->records, .absent = !counted && !is_hint},
                                 {.number = file->tombstones, .absent = !counted},
                                 {.number = file->live_records, .absent = !counted},
                                 {.number = file->live_bytes, .absent = !counted},
                                 {.number = file->dead_bytes, .absent = !counted},
                                 {.text = file->note},
                             });
    view->live_records += file->live_records;
    view->live_bytes += file->live_bytes;
    view->dead_bytes += file->dead_bytes;
    view->damaged |= file->state > SURVEY_UNLISTED;
}

/* A file of the directory as a whole. */
static void plain_row_put(struct view *view, const char *name, const char *kind, const char *state,
                          const char *note)
{
    output_row(view->output, (const struct output_value[COLUMN_COUNT]){
                                 {.text = ""},
                                 {.text = name},
                                 {.text = kind},
                                 {.text = state},
                                 {.absent = true},
                                 {.absent = true},
                                 {.absent = true},
                                 {.absent = true},
                                 {.absent = true},
                                 {.absent = true},
                                 {.text = note},
                             });
}

static void directory_rows_put(struct view *view)
{
    const char *state = view->identity == 0                 ? "ok"
                        : view->identity == -ENOENT         ? "missing"
                        : view->identity == DATADIR_E_NEWER ? "newer"
                                                            : "damaged";

    plain_row_put(view, "IDENTITY", "identity", state, "");
    view->damaged |= view->identity != 0;
    if (view->genesis == -ENOENT)
        return; /* not founded, or an engine's */
    state = view->genesis == 0 ? "ok" : view->genesis == -EPROTO ? "newer" : "damaged";
    plain_row_put(view, "GENESIS", "genesis", state, "");
    view->damaged |= view->genesis != 0;
}

/* One shard; with repair twice, so that what is shown is what is there at the end. */
static int shard_view(struct view *view, const char *folder, bool repair)
{
    survey_digest digest = view->has_secret ? digest_of : NULL;
    struct survey survey;
    size_t repaired = 0;
    int r = survey_shard(&survey, view->vfs, folder, digest, view->secret);

    if (r == 0 && repair) {
        r = survey_repair(&survey, &repaired);
        view->repaired += repaired;
        if (r == 0 && repaired > 0) {
            survey_deinit(&survey);
            r = survey_shard(&survey, view->vfs, folder, digest, view->secret);
        }
    }
    for (size_t i = 0; r == 0 && i < survey.file_count; i++)
        row_put(view, folder, &survey.files[i]);
    survey_deinit(&survey);
    if (r < 0)
        arguments_error(view->arguments, "%s/%s: %s", view->directory, folder, strerror(-r));
    return r;
}

static int shards_view(struct view *view, const char *only, bool repair)
{
    char folder[DATADIR_FOLDER_SIZE];
    int r = 0;

    if (only)
        return shard_view(view, only, repair);
    for (uint16_t i = 0; r == 0; i++) {
        uint64_t unused;
        char path[FILENAME_PATH_SIZE];
        struct vfs_file *file = NULL;

        datadir_shard_folder(folder, i);
        if (view->identity == 0 && i == view->shards)
            break;
        /* Without IDENTITY: as many as there are, one behind the other. */
        if (view->identity != 0 && filename_join(path, folder, FILENAME_MANIFEST) == 0) {
            r = vfs_open(view->vfs, path, VFS_OPEN_READ, &file);
            if (r == 0)
                r = vfs_size(file, &unused);
            vfs_close(file);
            if (r < 0)
                return 0;
        }
        r = shard_view(view, folder, repair);
    }
    return r;
}

static int fields_put(struct view *view, bool repair)
{
    static const struct output_column live = {"live_records", "live records", OUTPUT_NUMBER};
    static const struct output_column bytes = {"live_bytes", "live bytes", OUTPUT_SIZE};
    static const struct output_column dead = {"dead_bytes", "dead bytes", OUTPUT_SIZE};
    static const struct output_column made = {"hints_made", "hints made again", OUTPUT_NUMBER};
    static const struct output_column verdict = {"verdict", "verdict", OUTPUT_TEXT};

    output_field(view->output, &live, (struct output_value){.number = view->live_records});
    output_field(view->output, &bytes, (struct output_value){.number = view->live_bytes});
    output_field(view->output, &dead, (struct output_value){.number = view->dead_bytes});
    if (repair)
        output_field(view->output, &made, (struct output_value){.number = view->repaired});
    output_field(view->output, &verdict,
                 (struct output_value){.text = view->damaged ? "damaged" : "ok"});
    return output_print(view->output, stdout);
}

/* Opens the data directory; *only is the shard's folder in it when `path` is one. */
static int view_open(struct view *view, char **only)
{
    char *slash;

    *only = NULL;
    if (!realpath(view->path, view->directory))
        return -errno;
    if (folder_is_shard(view->directory) && (slash = strrchr(view->directory, '/')) != NULL &&
        slash != view->directory) {
        *slash = '\0';
        *only = slash + 1;
    }
    return vfs_posix_open(&view->vfs, view->directory);
}

static int lock_take(struct view *view, struct vfs_file **lock)
{
    int r;

    if (!view->has_secret) {
        arguments_error(view->arguments, "%s: hints cannot be made again: %s", view->directory,
                        view->no_secret);
        return -ENOKEY;
    }
    r = datadir_lock(view->vfs, lock);
    if (r == DATADIR_E_IN_USE)
        arguments_error(view->arguments,
                        "%s: in use by another process; stop it, or leave repair to it",
                        view->directory);
    else if (r < 0)
        arguments_error(view->arguments, "%s/" DATADIR_LOCK ": %s: %s", view->directory,
                        strerror(-r), culprit_advice(r));
    return r;
}

enum exit_code folder_view(const struct arguments *arguments, const char *path,
                           enum output_format format, bool repair)
{
    struct view view = {.arguments = arguments, .path = path};
    struct vfs_file *lock = NULL;
    char *only;
    int r = view_open(&view, &only);

    if (r < 0) {
        arguments_error(arguments, "%s: %s", path, strerror(-r));
        return EXIT_CODE_FAILED;
    }
    secret_find(&view);
    view.output = output_new(format);
    if (repair)
        r = lock_take(&view, &lock);
    if (r == 0 && !view.output)
        r = -ENOMEM;
    if (r == 0) {
        output_table(view.output, "files", columns, COLUMN_COUNT);
        if (!only)
            directory_rows_put(&view);
        r = shards_view(&view, only, repair);
    }
    if (r == 0)
        r = fields_put(&view, repair);
    output_free(view.output);
    vfs_close(lock);
    vfs_posix_close(view.vfs);
    explicit_bzero(view.secret, sizeof view.secret);
    if (r == 0 && view.damaged)
        arguments_error(arguments, "%s is damaged", path);
    return r == DATADIR_E_IN_USE    ? EXIT_CODE_CONFLICT
           : r != 0 || view.damaged ? EXIT_CODE_FAILED
                                    : EXIT_CODE_OK;
}
