#include "storage/store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/recovery.h"
#include "storage/store_state.h"

struct store_partition *store_partition(const struct store *store, uint16_t number)
{
    if (number == STORE_PARTITION_META)
        return &store->parts[store->options.partitions];
    return number < store->options.partitions ? &store->parts[number] : NULL;
}

void store_fence_partition(struct store *store, struct store_partition *part, const char *why)
{
    /* What is damaged behind the switch to a snapshot is of that one. */
    if (part->fenced && !store_install_switched(store, part))
        return;
    part->fenced = why;
    part->fences++;
    store->visitor.on_fence(store->visitor.context, part->number, why);
}

void store_fence_all(struct store *store, const char *why)
{
    store->fenced = true;
    for (size_t i = 0; i < store->hosted_count; i++)
        store_fence_partition(store, store_partition(store, store->hosted[i]), why);
}

int store_host_partitions(struct store *store)
{
    assert(store->hosted_count == 0);
    for (size_t i = 0; i < store->manifest.partition_count; i++) {
        uint16_t number = store->manifest.partitions[i];
        struct store_partition *part = store_partition(store, number);

        if (!part || part->is_hosted)
            return STORE_E_FENCED;
        part->keydir = keydir_new();
        if (!part->keydir)
            return -ENOMEM;
        store_host_part(store, part);
    }
    return store_host_reserve(store, store->hosted_count);
}

static void store_free(struct store *store)
{
    for (size_t i = 0; store->parts && i < store->part_count; i++)
        if (store->parts[i].keydir) {
            keydir_free(store->parts[i].keydir);
            store_dictionaries_clear(store, store->parts[i].number);
        }
    while (store->read_free) {
        struct store_job *job = store->read_free;

        store->read_free = job->free_next;
        free(job->buffer);
        free(job);
    }
    store_scratch_free(store);
    cache_free(store->cache);
    if (store->hint_file)
        hint_build_end(&store->hint);
    flush_end(&store->flush);
    scrub_end(&store->scrub);
    store_installs_free(store);
    casks_deinit(&store->casks);
    compress_free(store->compress);
    free(store->packed);
    free(store->plain);
    free(store->sealed);
    free(store->opened);
    journal_segments_deinit(&store->segments);
    data_files_deinit(&store->files);
    journal_deinit(&store->journal);
    manifest_deinit(&store->manifest);
    free(store->parts);
    free(store->hosted);
    free(store->hard_list);
    free(store);
}

void store_close(struct store *store)
{
    if (!store)
        return;
    assert(!store->write_busy && !store->background_busy && store->reads_out == 0);
    assert(store->install_jobs_out == 0);
    store_free(store);
}

static bool options_valid(const struct store_options *options)
{
    return options->folder && options->partitions > 0 &&
           options->partitions < STORE_PARTITION_META &&
           options->segment_size % JOURNAL_BLOCK_SIZE == 0 &&
           options->segment_size >= 8 * JOURNAL_BLOCK_SIZE &&
           options->segment_size <= JOURNAL_SEGMENT_SIZE_MAX && options->zero_ahead_size > 0 &&
           options->batch_size_max > 0 && options->queue_size_max > 0 &&
           (options->cache_size == 0 || options->cache_size >= CACHE_SIZE_MIN) &&
           options->compress_level >= 0 && options->compress_level <= COMPRESS_LEVEL_MAX;
}

static int store_init(struct store *store, struct vfs *vfs, const struct store_options *options,
                      const struct store_visitor *visitor)
{
    size_t folder_size = strlen(options->folder);

    if (folder_size >= sizeof(store->folder))
        return -ENAMETOOLONG;
    store->vfs = vfs;
    store->options = *options;
    if (options->files_max == 0 || options->files_max > DATA_FILES_MAX)
        store->options.files_max = DATA_FILES_MAX;
    store->visitor = *visitor;
    memcpy(store->folder, options->folder, folder_size + 1);
    store->options.folder = store->folder;
    manifest_init(&store->manifest);
    store->part_count = (size_t)options->partitions + 1;
    store->parts = calloc(store->part_count, sizeof(*store->parts));
    store->hosted = calloc(store->part_count, sizeof(*store->hosted));
    store->hard_list = calloc(store->part_count, sizeof(*store->hard_list));
    if (options->cache_size > 0)
        store->cache = cache_new(options->cache_size);
    if (!store->parts || !store->hosted || !store->hard_list ||
        (options->cache_size > 0 && !store->cache))
        return -ENOMEM;
    for (uint32_t i = 0; i < store->part_count; i++)
        store->parts[i] = (struct store_partition){.number = (uint16_t)i, .slot = i};
    store->parts[options->partitions].number = STORE_PARTITION_META;
    return journal_init(&store->journal, (size_t)options->memory_size_max + options->queue_size_max,
                        1);
}

/* The folder, durable in its parent. 0, STORE_E_FENCED when it was there and the disk does not give
 * it, or -errno. */
static int folder_make(struct store *store)
{
    char parent[FILENAME_PATH_SIZE] = ".";
    const char *folder = store->folder, *slash = strrchr(folder, '/');
    int r = vfs_mkdir(store->vfs, folder);

    if (store->options.founded && recovery_unreadable(store, folder, r)) {
        store->fenced = true;
        return STORE_E_FENCED;
    }
    if (slash) {
        memcpy(parent, folder, (size_t)(slash - folder));
        parent[slash - folder] = '\0';
    }
    return r == 0 ? vfs_sync_dir(store->vfs, parent) : r;
}

int store_open(struct store **out, struct vfs *vfs, const struct store_options *options,
               const struct store_visitor *visitor)
{
    struct store *store;
    int r;

    if (!options_valid(options))
        return -EINVAL;
    store = calloc(1, sizeof(*store));
    if (!store)
        return -ENOMEM;
    r = store_init(store, vfs, options, visitor);
    if (r == 0)
        r = folder_make(store);
    *out = store; /* the visitor calls store_apply() while we recover */
    if (r == 0)
        r = recovery_run(store);
    if (r < 0 || r == STORE_E_NEWER) {
        store_free(store);
        *out = NULL;
    }
    return r;
}

int store_found(struct store *store, const uint8_t hash[32], const uint16_t *partitions,
                size_t count)
{
    struct manifest *manifest = &store->manifest;
    int r;

    if (store->fenced)
        return STORE_E_FENCED;
    if (!manifest->founded) {
        r = manifest_found(manifest, hash, partitions, count);
        if (r == 0)
            r = store_host_partitions(store);
        if (r != 0)
            return r;
    } else if (memcmp(manifest->hash, hash, MANIFEST_HASH_SIZE) != 0) {
        return STORE_E_FENCED;
    }
    if (manifest->edits_durable == manifest->edits)
        return 0;
    /* Not durable yet: the first call, or one that failed half-way. */
    if (!store->next) {
        r = store_prepare_first(store);
        if (r != 0)
            return r;
    }
    return manifest_rewrite(manifest, store->vfs, store->folder);
}

size_t store_partitions(const struct store *store, const uint16_t **partitions)
{
    *partitions = store->hosted;
    return store->hosted_count;
}

const char *store_fenced(const struct store *store, uint16_t partition)
{
    const struct store_partition *part = store_partition(store, partition);

    return part ? part->fenced : NULL;
}

const char *store_unreadable(const struct store *store, int *error)
{
    if (store->unreadable_error == 0)
        return NULL;
    *error = store->unreadable_error;
    return store->unreadable;
}

uint64_t store_batch(const struct store *store)
{
    return store->journal.open;
}

uint64_t store_synced(const struct store *store)
{
    return store->journal.synced;
}

size_t store_queued(const struct store *store)
{
    return (size_t)store->journal.queued_size;
}

uint64_t store_live(const struct store *store)
{
    return store->totals.live;
}

bool store_disk_full(const struct store *store)
{
    return store->disk_full;
}

uint64_t store_log_bytes(const struct store *store)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < store->segments.count; i++)
        if (store->segments.items[i]->state != JOURNAL_SEGMENT_RETIRED)
            bytes += store->segments.items[i]->base.length;
    return bytes;
}

void store_stats(const struct store *store, struct store_stats *stats)
{
    *stats = store->stats;
    stats->segments = store->segments.count;
    stats->journal_bytes = store_journal_bytes(store);
    stats->disk_full = store->disk_full;
    stats->fenced = store->fenced;
    stats->casks = store->casks.count;
    stats->cask_bytes = casks_bytes(&store->casks);
    for (size_t i = 0; i < store->segments.count; i++) {
        const struct journal_segment *segment = store->segments.items[i];

        stats->segments_retired += segment->state == JOURNAL_SEGMENT_RETIRED;
    }
    stats->tail_bytes = store_log_bytes(store);
    /* Not the stage: while a job is out that belongs to its thread. */
    stats->flushing = store->flush.victim_count > 0 || store_flush_demanded(store);
    stats->flush_demanded = store_flush_demanded(store);
    stats->flush_left_files = store_flush_left(store, &stats->flush_left_bytes);
    store_scrub_stats(store, &stats->scrub);
    store_cache_stats(store, &stats->cache);
    for (size_t i = 0; i < store->hosted_count; i++) {
        const struct keydir *keydir = store_partition(store, store->hosted[i])->keydir;

        stats->keys += keydir_count(keydir) - keydir_tombstones(keydir);
        stats->tombstones += keydir_tombstones(keydir);
        stats->keydir_bytes += keydir_memory(keydir);
    }
}
