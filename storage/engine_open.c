#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/checksum.h"
#include "storage/engine_state.h"
#include "storage/filename.h"
#include "storage/record.h"
#include "storage/vfs_view.h"

#define ENGINE_FOLDER        "shard-00"
#define SEGMENT_SIZE_MIN     (64u << 10)
#define SEGMENT_SIZE_DEFAULT (64u << 20)
#define QUEUE_SIZE_DEFAULT   (4u << 20)
#define MEMORY_SIZE_DEFAULT  (1u << 20)
#define BATCH_SIZE_MAX       (1u << 20)
#define ZERO_AHEAD_MAX       (1u << 20) /* a new file; each next one is twice as large */
#define BLOCK_SIZE           512u
#define FLUSH_SIZE_MAX       (16u << 20) /* memory of a round, about */
#define COMPRESS_SIZE_MIN    256u
#define FLUSH_RATE_DEFAULT   (32u << 20)
#define VIEW_TRIES           20 /* to open beside a writer */

/* The cluster that IDENTITY names: a node's folder is never taken for an engine's. */
static const uint8_t engine_cluster[DATADIR_CLUSTER_SIZE] = "ringcask engine";
static const uint8_t engine_genesis[32] = "ringcask engine";

/* --- the visitor: recovery, and checkpoints ------------------------------------------------ */

static void on_checkpoint(void *context, uint16_t partition,
                          const struct store_checkpoint *checkpoint)
{
    struct engine *engine = context;

    (void)partition;
    if (checkpoint->applied > engine->applied)
        engine->applied = checkpoint->applied;
    engine_pack_load(engine, checkpoint->state, checkpoint->state_size);
}

static void on_hard_state(void *context, uint16_t partition, const struct store_hard_state *state)
{
    (void)context;
    (void)partition;
    (void)state;
}

/* A batch carries the commit of all that lies in it: what is whole is committed. */
static void on_entry(void *context, uint16_t partition, const struct record *records, size_t count,
                     store_location location, uint32_t size)
{
    struct engine *engine = context;

    (void)partition;
    (void)size;
    for (size_t i = 0; i < count && engine->error == 0; i++) {
        struct engine_pending item = {
            .index = records[i].index,
            .location = location,
            .size = (uint32_t)record_size_padded(&records[i]),
            .tombstone = records[i].kind == RECORD_KIND_DELETE,
        };

        if (records[i].kind == RECORD_KIND_DICTIONARY)
            engine_pack_learn(engine, &records[i]);
        if (records[i].kind == RECORD_KIND_PUT || records[i].kind == RECORD_KIND_DELETE) {
            if (!vault_digest(&records[i], &item.digest))
                item.digest = engine_digest(engine, records[i].key, records[i].key_size);
            engine->error = engine_apply_one(engine, &item);
        }
        location += item.size / RECORD_ALIGN;
    }
    if (records[0].index > engine->applied)
        engine->applied = records[0].index;
}

static void on_commit(void *context, uint16_t partition, uint64_t commit)
{
    (void)context;
    (void)partition;
    (void)commit;
}

static void on_fence(void *context, uint16_t partition, const char *why)
{
    struct engine *engine = context;

    (void)partition;
    engine->fenced = why;
}

static void save_checkpoint(void *context, uint16_t partition, struct store_checkpoint *checkpoint)
{
    struct engine *engine = context;
    uint32_t term = engine->applied > 0 ? ENGINE_TERM : 0;

    (void)partition;
    *checkpoint = (struct store_checkpoint){
        .term = ENGINE_TERM,
        .applied = engine->applied,
        .applied_term = term,
        .first_index = engine->applied + 1,
        .first_prev_term = term,
        .state = engine->pack.state,
        .state_size = engine_pack_save(engine),
    };
}

/* --- opening ------------------------------------------------------------------------------- */

static uint32_t or_default(uint32_t value, uint32_t other)
{
    return value > 0 ? value : other;
}

static bool store_options_init(struct engine *engine, const struct engine_options *options,
                               struct store_options *out)
{
    uint32_t segment_size = or_default(options->segment_size, SEGMENT_SIZE_DEFAULT);
    uint32_t queue_size = or_default(options->queue_size, QUEUE_SIZE_DEFAULT);

    if (segment_size < SEGMENT_SIZE_MIN || segment_size > (256u << 20))
        return false;
    segment_size &= ~(BLOCK_SIZE - 1);
    *out = (struct store_options){
        .folder = ENGINE_FOLDER,
        .partitions = 1,
        .segment_size = segment_size,
        .batch_size_max = queue_size / 4 < BATCH_SIZE_MAX ? queue_size / 4 + 1 : BATCH_SIZE_MAX,
        .queue_size_max = queue_size,
        .memory_size_max = or_default(options->memory_size, MEMORY_SIZE_DEFAULT),
        .zero_ahead_size = segment_size < ZERO_AHEAD_MAX ? segment_size : ZERO_AHEAD_MAX,
        .compress_level = options->compress_level,
        .compress_size_min = COMPRESS_SIZE_MIN,
        .vault = engine->pack.vault,
        .map_files = options->map_files,
        .reserve_ahead = options->sync == ENGINE_SYNC_NONE,
        .journal_size_max = UINT64_MAX / 2,
        .size_max = options->size_max,
        .space_reserve = options->space_reserve,
        .digest = engine_scan_digest,
        .digest_context = engine,
        .flush_size_max = segment_size < FLUSH_SIZE_MAX ? segment_size : FLUSH_SIZE_MAX,
        .flush_rate = options->flush_rate > 0 ? options->flush_rate : FLUSH_RATE_DEFAULT,
    };
    if (options->read_only) /* all that is "written" stays in memory */
        out->zero_ahead_size = BLOCK_SIZE;
    engine->batch_size_max = 128u << 20;
    return true;
}

/* LOCK and IDENTITY: ours alone, and the hash's secret. */
static int identity_take(struct engine *engine)
{
    struct datadir_identity first = {.shards = 1, .created_ms = engine_unix_ms()}, identity;
    int r;

    memcpy(first.cluster, engine_cluster, sizeof(first.cluster));
    engine_secret(first.key, sizeof(first.key));
    r = datadir_open(&engine->datadir, engine->vfs, &first, false, &identity);
    memcpy(engine->hash_key, identity.key, sizeof(engine->hash_key));
    explicit_bzero(&first, sizeof(first));
    explicit_bzero(&identity, sizeof(identity));
    switch (r) {
    case DATADIR_E_IN_USE:
        return ENGINE_E_IN_USE;
    case DATADIR_E_NEWER:
        return ENGINE_E_NEWER;
    case DATADIR_E_OTHER_CLUSTER:
    case DATADIR_E_DAMAGED:
    case DATADIR_E_SHARDS:
        return ENGINE_E_FOREIGN;
    default:
        return r;
    }
}

static int store_take(struct engine *engine, const struct store_options *options, bool ordered)
{
    static const uint16_t partition = ENGINE_PARTITION;
    struct store_visitor visitor = {
        .context = engine,
        .on_checkpoint = on_checkpoint,
        .on_hard_state = on_hard_state,
        .on_entry = on_entry,
        .on_commit = on_commit,
        .on_fence = on_fence,
        .save_checkpoint = save_checkpoint,
    };
    int r = store_open(&engine->store, engine->vfs, options, &visitor), error = 0;

    if (r == 0)
        r = store_found(engine->store, engine_genesis, &partition, 1);
    if (r == STORE_E_NEWER)
        return ENGINE_E_NEWER;
    if (r == 0 && engine->pack.foreign)
        return ENGINE_E_KEY;
    if (engine->store && store_unreadable(engine->store, &error))
        return error;
    if (r > 0 || engine->fenced)
        return ENGINE_E_CORRUPT;
    if (r == 0)
        r = engine->error;
    engine->index = engine->applied;
    if (r == 0 && ordered) {
        engine->key_index = key_index_new();
        r = engine->key_index ? engine_index_build(engine) : -ENOMEM;
    }
    if (r == 0)
        store_retain(engine->store, ENGINE_PARTITION, engine->applied + 1);
    return r;
}

static void engine_free(struct engine *engine)
{
    store_close(engine->store);
    datadir_close(engine->datadir);
    vfs_view_free(engine->vfs_view);
    vfs_posix_close(engine->vfs_own);
    engine_threads_deinit(engine);
    engine_pack_deinit(engine);
    key_index_free(engine->key_index);
    free(engine->pending);
    explicit_bzero(engine->hash_key, sizeof(engine->hash_key));
    free(engine);
}

/* The files: the folder or the caller's vfs, and in front of it a view that keeps every change to
 * itself when nothing may be written. */
static int vfs_take(struct engine *engine, const char *path, const struct engine_options *options)
{
    int r = 0;

    engine->vfs = options->vfs;
    if (!engine->vfs) {
        r = engine_folder(path, options->existing || options->read_only);
        if (r == 0)
            r = vfs_posix_open(&engine->vfs_own, path);
        engine->vfs = engine->vfs_own;
    }
    engine->vfs_below = engine->vfs;
    if (r == 0 && options->read_only) {
        engine->vfs_view = vfs_view_new(engine->vfs);
        engine->vfs = engine->vfs_view;
        r = engine->vfs ? 0 : -ENOMEM;
    }
    return r;
}

/* A checksum of the manifest's bytes as they are now; 0: there is none. */
static uint64_t manifest_sum(struct vfs *vfs)
{
    char path[FILENAME_PATH_SIZE];
    struct vfs_file *file;
    uint8_t *bytes = NULL;
    uint64_t size = 0, sum = 0;

    if (filename_join(path, ENGINE_FOLDER, FILENAME_MANIFEST) != 0 ||
        vfs_open(vfs, path, VFS_OPEN_READ, &file) != 0)
        return 0;
    if (vfs_size(file, &size) == 0)
        bytes = malloc(size + 1);
    if (bytes && vfs_pread(file, bytes, size, 0) == (int64_t)size)
        sum = checksum(bytes, size) | 1;
    free(bytes);
    vfs_close(file);
    return sum;
}

static int open_once(struct engine **out, const char *path, const struct engine_options *options)
{
    struct store_options store_options;
    struct engine *engine = calloc(1, sizeof(*engine));
    uint64_t sum = 0;
    int r;

    if (!engine)
        return -ENOMEM;
    engine->sync = options->read_only ? ENGINE_SYNC_GROUP : options->sync;
    engine->read_only = options->read_only;
    r = engine_threads_init(engine);
    if (r != 0) {
        free(engine);
        return r;
    }
    r = engine_pack_init(engine, options);
    if (r == 0 && !store_options_init(engine, options, &store_options))
        r = -EINVAL;
    if (r == 0)
        r = vfs_take(engine, path, options);
    if (r == 0 && options->read_only)
        sum = manifest_sum(engine->vfs_below);
    if (r == 0)
        r = identity_take(engine);
    if (r == 0 && options->read_only && datadir_is_new(engine->datadir))
        r = -ENOENT;
    if (r == 0)
        r = store_take(engine, &store_options, options->ordered);
    /* No file that the manifest lists is used again before a manifest without it is durable: what
     * was read is of one moment if the manifest is the same still. */
    if (r == 0 && options->read_only && manifest_sum(engine->vfs_below) != sum)
        r = -ESTALE;
    if (r == 0 && !options->read_only)
        r = engine_threads_start(engine);
    if (r != 0) {
        engine_free(engine);
        return r;
    }
    *out = engine;
    return 0;
}

int engine_open(struct engine **out, const char *path, const struct engine_options *options)
{
    static const struct engine_options defaults;
    int r;

    *out = NULL;
    options = options ? options : &defaults;
    r = open_once(out, path, options);
    /* A writer beside us may replace a file between our looks at two of them. */
    for (int i = 0; i < VIEW_TRIES && options->read_only &&
                    (r == ENGINE_E_CORRUPT || r == -ESTALE || vfs_is_unreadable(r));
         i++)
        r = open_once(out, path, options);
    return r;
}

int engine_close(struct engine *engine)
{
    int r;

    if (!engine)
        return 0;
    r = engine_flush_queue(engine);
    engine_threads_stop(engine);
    engine_free(engine);
    return r;
}
