#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/grow.h"
#include "storage/recovery_state.h"

/* --- before the scan ----------------------------------------------------------------------- */

static int name_visit(struct recovery *recovery, const char *name)
{
    struct recovery_name item = {0};

    item.is_cask = filename_is_cask(name, &item.partition, &item.number);
    if (!item.is_cask)
        item.is_cask_hint = filename_is_cask_hint(name, &item.partition, &item.number);
    if (!item.is_cask && !item.is_cask_hint && !filename_is_journal_hint(name, &item.number))
        return 0;
    if (GROW(recovery->names, recovery->name_capacity, recovery->name_count + 1) != 0)
        return -ENOMEM;
    recovery->names[recovery->name_count++] = item;
    return 0;
}

static int file_visit(void *context, const char *name)
{
    struct recovery *recovery = context;
    uint64_t number;

    if (strcmp(name, FILENAME_MANIFEST_NEW) == 0)
        recovery->manifest_new = true;
    if (!filename_is_journal(name, &number))
        return name_visit(recovery, name);
    if (GROW(recovery->files, recovery->file_capacity, recovery->file_count + 1) != 0)
        return -ENOMEM;
    recovery->files[recovery->file_count++] = number;
    return 0;
}

int recovery_files(struct recovery *recovery)
{
    return vfs_list(recovery->store->vfs, recovery->store->folder, file_visit, recovery);
}

static int file_open(const struct recovery *recovery, uint64_t number, struct vfs_file **file)
{
    char path[FILENAME_PATH_SIZE];
    int r = filename_journal(path, recovery->store->folder, number);

    return r == 0 ? vfs_open(recovery->store->vfs, path, VFS_OPEN_WRITE, file) : r;
}

static int header_read(struct vfs_file *file, struct journal_segment_header *header)
{
    uint8_t block[JOURNAL_BLOCK_SIZE];
    int64_t got = vfs_pread(file, block, sizeof(block), 0);

    if (got < 0)
        return (int)got;
    return journal_segment_header_decode(block, (size_t)got, header);
}

/* Does the file hold a batch of the epoch in its header? 0 no, 1 yes, or -errno. */
static int file_is_used(struct vfs_file *file, const struct journal_segment_header *header)
{
    struct journal_batch_header batch;
    struct journal_reader reader;
    const uint8_t *bytes;
    int r = journal_reader_open(&reader, file, header->number, header->epoch, UINT32_MAX);

    if (r == 0)
        r = journal_reader_batch(&reader, JOURNAL_BLOCK_SIZE, &batch, &bytes);
    journal_reader_close(&reader);
    return r < 0 ? r : r == 0;
}

int recovery_files_check(struct recovery *recovery)
{
    const struct manifest *manifest = &recovery->store->manifest;

    for (size_t i = 0; i < recovery->file_count; i++) {
        struct journal_segment_header header;
        struct vfs_file *file = NULL;
        int r;

        if (manifest_segment_find(manifest, recovery->files[i]))
            continue;
        r = file_open(recovery, recovery->files[i], &file);
        if (r == 0)
            r = header_read(file, &header);
        if (r == JOURNAL_FORMAT_E_OK && header.epoch >= manifest->next_epoch)
            r = file_is_used(file, &header);
        else if (r > 0)
            r = 0;
        vfs_close(file);
        r = recovery_journal_lost(recovery->store, recovery->files[i], r);
        if (r != 0)
            return r < 0 ? r : STORE_E_FENCED;
    }
    return 0;
}

static int segment_open(struct recovery *recovery, const struct manifest_segment *listed)
{
    struct store *store = recovery->store;
    struct journal_segment_header header;
    struct journal_segment *segment;
    struct vfs_file *file = NULL;
    uint64_t size = 0;
    int r = file_open(recovery, listed->number, &file);

    if (r == -ENOENT)
        return STORE_E_FENCED;
    if (r == 0)
        r = vfs_size(file, &size);
    if (r != 0) {
        vfs_close(file);
        return recovery_journal_lost(store, listed->number, r);
    }
    r = header_read(file, &header);
    /* The manifest knows number and epoch: a damaged header harms nobody but inspect. */
    if (r == JOURNAL_FORMAT_E_NEWER)
        r = STORE_E_NEWER;
    else if (r > 0 || vfs_is_unreadable(r))
        r = 0;
    if (r == 0)
        r = journal_segments_add(&store->segments, &store->files, listed->number, listed->epoch,
                                 file, store->part_count, &segment);
    if (r != 0) {
        vfs_close(file);
        return r;
    }
    size = size < JOURNAL_SEGMENT_SIZE_MAX ? size : JOURNAL_SEGMENT_SIZE_MAX;
    segment->capacity = (uint32_t)(size & ~(uint64_t)(JOURNAL_BLOCK_SIZE - 1));
    segment->base.length = JOURNAL_BLOCK_SIZE;
    segment->seal_listed = listed->sealed;
    segment->state = listed->retired ? JOURNAL_SEGMENT_RETIRED : JOURNAL_SEGMENT_SEALED;
    segment->hinted = listed->retired;
    if (listed->retired)
        segment->base.length = listed->length;
    store_file_changed(store, &segment->base);
    return listed->sealed && segment->capacity < listed->length ? STORE_E_FENCED : 0;
}

int recovery_segments_open(struct recovery *recovery)
{
    const struct manifest *manifest = &recovery->store->manifest;
    int r = 0;

    for (size_t i = 0; r == 0 && i < manifest->segment_count; i++)
        r = segment_open(recovery, &manifest->segments[i]);
    return r;
}

/* --- after the scan ------------------------------------------------------------------------ */

/* Writes the bytes of the last write again and syncs them: they may be in the page cache only. */
static int tail_rewrite(const struct recovery *recovery)
{
    struct store *store = recovery->store;
    const struct journal_segment *segment = recovery->write_segment;
    uint32_t offset = recovery->write_offset;
    uint8_t *buffer;
    int r = 0;

    if (!segment || segment->seal_listed)
        return 0;
    buffer = malloc(JOURNAL_READ_SIZE);
    if (!buffer)
        return -ENOMEM;
    while (r == 0 && offset < segment->base.length) {
        size_t left = segment->base.length - offset;
        size_t size = left < JOURNAL_READ_SIZE ? left : JOURNAL_READ_SIZE;
        struct iovec iov = {.iov_base = buffer, .iov_len = size};
        int64_t got = vfs_pread(segment->base.file, buffer, size, offset);

        if (got < 0 || (size_t)got != size)
            r = recovery_journal_lost(store, segment->base.number, got < 0 ? (int)got : -EIO);
        else
            r = vfs_pwritev(segment->base.file, &iov, 1, offset);
        offset += (uint32_t)size;
    }
    if (r == 0)
        r = vfs_sync(segment->base.file);
    free(buffer);
    return r;
}

static int seal_segments(struct recovery *recovery)
{
    struct store *store = recovery->store;
    int r = 0;

    for (size_t i = 0; r == 0 && i < store->segments.count; i++) {
        struct journal_segment *segment = store->segments.items[i];

        if (segment->seal_listed) {
            const struct manifest_segment *listed =
                manifest_segment_find(&store->manifest, segment->base.number);

            segment->base.length = listed->length;
            segment->last_batch = listed->last_batch;
            if (recovery->next <= listed->last_batch)
                recovery->next = listed->last_batch + 1;
        } else if (segment->last_batch > 0) {
            r = manifest_segment_seal(&store->manifest, segment->base.number, segment->base.length,
                                      segment->last_batch);
            segment->seal_listed = true;
        }
    }
    store->manifest.next_batch = recovery->next;
    return r;
}

/* Segments that were prepared and never used: the first becomes the next one, the rest goes. It
 * gets a new epoch: a write into it may have been torn. */
static int unused_segments(struct recovery *recovery)
{
    struct store *store = recovery->store;
    struct journal_segments *segments = &store->segments;
    int r = 0;

    while (r == 0 && segments->count > 0 && !segments->items[segments->count - 1]->seal_listed) {
        struct journal_segment *segment = segments->items[segments->count - 1];
        bool keep = segments->count == 1 || segments->items[segments->count - 2]->seal_listed;

        r = manifest_segment_drop(&store->manifest, segment->base.number);
        if (r != 0)
            break;
        if (!keep) {
            r = GROW(recovery->doomed, recovery->doomed_capacity, recovery->doomed_count + 1);
            if (r == 0)
                recovery->doomed[recovery->doomed_count++] = segment->base.number;
            store_file_leaves(store, &segment->base);
            journal_segments_remove(segments, &store->files, segment);
            continue;
        }
        segment->epoch = store->manifest.next_epoch;
        segment->base.length = JOURNAL_BLOCK_SIZE;
        segment->state = JOURNAL_SEGMENT_PREPARED;
        manifest_rewind(&store->manifest, segment->base.number);
        r = manifest_segment_add(&store->manifest, segment->base.number, segment->epoch);
        if (r == 0)
            r = store_header_rewrite(segment);
        store->next = segment;
        store->next_ticket = store->manifest.edits;
        break;
    }
    return r;
}

static int remove_journal(const struct recovery *recovery, uint64_t number)
{
    char path[FILENAME_PATH_SIZE];
    int r = filename_journal(path, recovery->store->folder, number);

    return r == 0 ? vfs_remove(recovery->store->vfs, path) : r;
}

static int remove_name(const struct recovery *recovery, const struct recovery_name *name)
{
    const struct store *store = recovery->store;
    char path[FILENAME_PATH_SIZE];
    int r;

    if (name->is_cask)
        r = filename_cask(path, store->folder, name->partition, name->number);
    else if (name->is_cask_hint)
        r = filename_cask_hint(path, store->folder, name->partition, name->number);
    else
        r = filename_journal_hint(path, store->folder, name->number);
    return r == 0 ? vfs_remove(store->vfs, path) : r;
}

static bool name_is_listed(const struct recovery *recovery, const struct recovery_name *name)
{
    const struct manifest *manifest = &recovery->store->manifest;
    const struct manifest_segment *segment;

    if (name->is_cask || name->is_cask_hint)
        return manifest_cask_find(manifest, name->partition, name->number) ||
               manifest_install_lists(manifest, name->number);
    segment = manifest_segment_find(manifest, name->number);
    return segment && segment->retired;
}

/* What the manifest does not list: given back before anything needs space, but not before it is
 * certain that a power cut brings back no manifest that lists it. */
static int remove_unlisted(const struct recovery *recovery)
{
    const struct store *store = recovery->store;
    char path[FILENAME_PATH_SIZE];
    size_t count = recovery->file_count + recovery->name_count;
    bool settled = false;
    int r = 0;

    if (recovery->manifest_new) {
        r = filename_join(path, store->folder, FILENAME_MANIFEST_NEW);
        if (r == 0)
            r = vfs_remove(store->vfs, path);
    }
    for (size_t i = 0; r == 0 && i < count; i++) {
        const struct recovery_name *name =
            i < recovery->file_count ? NULL : &recovery->names[i - recovery->file_count];

        if (name ? name_is_listed(recovery, name)
                 : manifest_segment_find(&store->manifest, recovery->files[i]) != NULL)
            continue;
        if (!settled)
            r = manifest_settle(store->vfs, store->folder);
        if (vfs_is_full(r)) /* copy on write: they wait for the next start */
            return 0;
        settled = true;
        if (r == 0)
            r = name ? remove_name(recovery, name) : remove_journal(recovery, recovery->files[i]);
    }
    return r;
}

/* Behind the durable manifest: gives back the zeros behind each sealed end, and unused files. */
static int trim(struct recovery *recovery)
{
    struct journal_segments *segments = &recovery->store->segments;
    int r = 0;

    for (size_t i = 0; r == 0 && i < segments->count; i++) {
        struct journal_segment *segment = segments->items[i];

        if ((segment->state != JOURNAL_SEGMENT_SEALED &&
             segment->state != JOURNAL_SEGMENT_RETIRED) ||
            segment->capacity == segment->base.length)
            continue;
        r = vfs_truncate(segment->base.file, segment->base.length);
        segment->capacity = segment->base.length;
        store_file_changed(recovery->store, &segment->base);
    }
    for (size_t i = 0; r == 0 && i < recovery->doomed_count; i++)
        r = remove_journal(recovery, recovery->doomed[i]);
    return r;
}

int recovery_end(struct recovery *recovery)
{
    struct store *store = recovery->store;
    int r = remove_unlisted(recovery);

    if (r == 0)
        r = tail_rewrite(recovery);
    if (r == 0)
        r = seal_segments(recovery);
    if (r == 0)
        r = unused_segments(recovery);
    if (r != 0)
        return r;
    journal_start(&store->journal, recovery->next);
    for (size_t i = 0; i < store->hosted_count; i++) {
        struct store_partition *part = store_partition(store, store->hosted[i]);

        part->commit_sealed = part->commit; /* it came from the disk */
    }
    if (!store->next)
        r = store_prepare_first(store);
    if (r != 0)
        return r;
    r = manifest_rewrite(&store->manifest, store->vfs, store->folder);
    if (vfs_is_full(r)) {
        /* Reads go on; nothing is appended before a background job has written it. */
        store->disk_full = true;
        store->retry_manifest = true;
        return 0;
    }
    return r == 0 ? trim(recovery) : r;
}
