#include "storage/store_install.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "storage/journal_format.h"
#include "storage/mutant.h"

/* How far a snapshot that comes in has got, kept over restarts: the manifest lists its casks in the
 * order in which they came, and before the first of them the state that it began with. When one
 * cannot be listed, for want of memory, no later one is: all before a position is there. */

void store_progress_note(struct store_install *install)
{
    struct manifest *manifest = &install->store->manifest;
    uint16_t partition = install->part->number;
    struct manifest_install_cask one = {
        .cask = install->casks[install->cask_count - 1]->info,
        .position = mutant(MUTANT_PROGRESS_AHEAD) ? install->position : install->written_position};

    if (one.position == 0 || manifest_install_casks(manifest, partition) + 1 != install->cask_count)
        return;
    if (!manifest_install_find(manifest, partition)) {
        if (manifest_install_begin(manifest, partition, install->state, install->state_size) != 0)
            return;
        free(install->state);
        install->state = NULL;
        install->state_size = 0;
    }
    (void)manifest_install_add(manifest, &one);
}

bool store_progress_end(struct store_install *install)
{
    struct manifest *manifest = &install->store->manifest;

    if (manifest_install_find(manifest, install->part->number)) {
        if (manifest_install_end(manifest, install->part->number) != 0)
            return false; /* tried again */
        install->ticket = manifest->edits;
    }
    return manifest->edits_durable >= install->ticket;
}

/* --- behind a restart ---------------------------------------------------------------------- */

static int entries_put(struct store_install *install, const struct cask_file *cask,
                       const struct hint *hint)
{
    struct hint_cursor cursor;
    int r = hint_cursor_open(&cursor, hint, cask->info.partition);

    if (r != 0)
        return r;
    while (r == 0 && (r = hint_cursor_next(&cursor)) == 0) {
        const struct hint_entry *entry = &cursor.entry;

        if (entry->tombstone || entry->size > KEYDIR_SIZE_MAX ||
            entry->offset > cask->base.length || entry->size > cask->base.length - entry->offset)
            r = HINT_E_CORRUPT;
        else
            r = store_staging_put(install, cask, entry);
    }
    hint_cursor_close(&cursor);
    return r == HINT_E_END ? 0 : r;
}

/* What the hint names. Not made again: what it costs to begin again is no more. */
static int hint_restore(struct store_install *install, const struct cask_file *cask)
{
    const struct store *store = install->store;
    struct hint_subject subject = store_hint_subject(&cask->base);
    char path[FILENAME_PATH_SIZE];
    struct vfs_file *file = NULL;
    struct hint hint;
    int r = filename_cask_hint(path, store->folder, cask->info.partition, cask->info.number);

    if (r == 0)
        r = vfs_open(store->vfs, path, VFS_OPEN_READ, &file);
    if (r == 0)
        r = hint_open(&hint, file, &subject);
    if (r == 0) {
        r = hint_verify(&hint);
        if (r == 0)
            r = entries_put(install, cask, &hint);
        hint_close(&hint);
    }
    vfs_close(file);
    return r == -ENOENT || r > 0 ? STORE_E_ABSENT : r;
}

static int cask_restore(struct store_install *install, const struct manifest_cask *listed)
{
    const struct store *store = install->store;
    struct cask_file *cask = NULL;
    char path[FILENAME_PATH_SIZE];
    struct vfs_file *file = NULL;
    uint64_t size = 0;
    int r = filename_cask(path, store->folder, listed->partition, listed->number);

    if (r == 0)
        r = vfs_open(store->vfs, path, VFS_OPEN_READ, &file);
    if (r == 0)
        r = vfs_size(file, &size);
    if (r == -ENOENT || (r == 0 && size < listed->length))
        r = STORE_E_ABSENT;
    if (r == 0)
        r = store_staging_add(install, listed, file, &cask);
    if (r != 0) {
        vfs_close(file);
        return r;
    }
    return hint_restore(install, cask);
}

/* All that is listed of the partition's. 0, STORE_E_ABSENT when something is not there or does not
 * check, or -errno. */
static int install_restore(struct store *store, uint16_t partition)
{
    const struct manifest *manifest = &store->manifest;
    struct store_install *install = store_install_new(store, store_partition(store, partition));
    int r = install ? 0 : -ENOMEM;

    for (size_t i = 0; r == 0 && i < manifest->install_cask_count; i++) {
        const struct manifest_install_cask *one = &manifest->install_casks[i];

        if (one->cask.partition != partition)
            continue;
        r = cask_restore(install, &one->cask);
        install->position = one->position;
    }
    if (r == 0 && install->position == 0)
        r = STORE_E_ABSENT;
    if (r == 0) {
        install->waits = true;
        return 0;
    }
    while (install && install->cask_count > 0)
        store_staging_drop(install);
    if (install)
        store_install_delete(install);
    return r;
}

int store_progress_recover(struct store *store)
{
    struct manifest *manifest = &store->manifest;

    for (size_t i = manifest->install_count; i-- > 0;) {
        uint16_t partition = manifest->installs[i].partition;
        int r = install_restore(store, partition);

        /* What cannot be read, for whatever reason, is forgotten too: the start depends on none. */
        if (r != 0 && r != -ENOMEM)
            r = manifest_install_end(manifest, partition);
        if (r != 0)
            return r;
    }
    return 0;
}

int store_install_resume(struct store *store, uint16_t partition, struct store_install **out,
                         struct store_checkpoint *checkpoint, uint64_t *position)
{
    struct store_install *install = store_install_find(store, store_partition(store, partition));
    const struct manifest_install *listed = manifest_install_find(&store->manifest, partition);
    bool fenced;

    if (!install || !install->waits || store->fenced)
        return STORE_E_ABSENT;
    assert(listed);
    if (!journal_checkpoint_decode(listed->state, listed->state_size, checkpoint, &fenced)) {
        store_install_end(install);
        return STORE_E_ABSENT;
    }
    install->waits = false;
    *position = install->position;
    *out = install;
    return 0;
}
