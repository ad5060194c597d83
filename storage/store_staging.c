#include "storage/store_install.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "storage/grow.h"

#define RUNS_EXPECTED_MAX 1024u /* of one snapshot; more only make its keydir slower to fill */

/* What a snapshot that comes in is put together of: the rooms in which runs collect, the casks that
 * they become, and the keydir of what lies in those. */

/* --- rooms --------------------------------------------------------------------------------- */

size_t store_staging_run_size(const struct store *store)
{
    return store->options.install_size > 0 ? store->options.install_size : STORE_INSTALL_RUN_SIZE;
}

/* For a run, of one that was written if there is. 0 or -ENOMEM. */
int store_staging_room_take(struct store *store, struct install *install)
{
    if (!install->room.bytes && store->install_room_count > 0)
        install->room = store->install_rooms[--store->install_room_count];
    return install_reserve(install, store_staging_run_size(store));
}

/* One that large records made larger than others is not kept. */
void store_staging_room_give(struct store *store, struct install *install)
{
    struct install_room *room = &install->room;

    if (store->install_room_count == STORE_INSTALLS_MAX ||
        room->capacity > 2 * store_staging_run_size(store))
        install_room_free(room);
    else if (room->bytes)
        store->install_rooms[store->install_room_count++] = *room;
    *room = (struct install_room){0};
}

void store_staging_rooms_free(struct store *store)
{
    while (store->install_room_count > 0)
        install_room_free(&store->install_rooms[--store->install_room_count]);
}

/* --- casks and their keys ------------------------------------------------------------------ */

int store_staging_add(struct store_install *install, const struct manifest_cask *info,
                      struct vfs_file *file, struct cask_file **out)
{
    struct store *store = install->store;
    struct cask_file *cask = NULL;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
    int r = GROW(install->casks, install->cask_capacity, install->cask_count + 1);

    if (r == 0)
        r = casks_add(&store->casks, &store->files, info, file, &cask);
    if (r != 0)
        return r;
    cask->base.pins++; /* flush and removal keep away from it */
    install->casks[install->cask_count++] = cask;
    *out = cask;
    return 0;
}

void store_staging_drop(struct store_install *install)
{
    struct store *store = install->store;
    struct cask_file *cask = install->casks[--install->cask_count];

    cask->base.pins--;
    store_file_leaves(store, &cask->base);
    casks_remove(&store->casks, &store->files, cask);
}

int store_staging_keys_end(struct store_install *install)
{
    int r = install->load ? keydir_load_end(install->load) : 0;

    install->load = NULL;
    return r;
}

/* How many keys there will be when the first run, whose digests ascend from 0, has so many. */
static uint64_t keys_expected(const struct install *run)
{
    uint64_t last = run->entry_count > 0
                        ? keydir_position(&run->room.entries[run->entry_count - 1].digest)
                        : UINT64_MAX;
    uint64_t runs = UINT64_MAX / (last > 0 ? last : 1);

    return run->entry_count * (runs < RUNS_EXPECTED_MAX ? runs : RUNS_EXPECTED_MAX);
}

/* Digests ascend, in a run and from run to run, for the source walks its keydir: keys are put where
 * they belong at once. A source that takes the place of another may send some again: from there on
 * each looks for its place. */
int store_staging_put(struct store_install *install, const struct cask_file *cask,
                      const struct hint_entry *entry)
{
    uint64_t location = data_file_location(&cask->base, entry->offset);
    int r = 0;

    if (install->load && keydir_load_ascends(install->load, &entry->digest))
        return keydir_load_add(install->load, &entry->digest, location, entry->size, false,
                               entry->expires);
    r = store_staging_keys_end(install);
    if (r == 0)
        r = keydir_put(install->keydir, &entry->digest, location, entry->size, false,
                       entry->expires, NULL);
    return r < 0 ? r : 0;
}

int store_staging_take(struct store_install *install)
{
    struct install *written = &install->written;
    struct cask_file *cask = NULL;
    int r = store_files_short(install->store) ? -ENFILE : 0;

    if (r == 0)
        r = store_staging_add(install, &written->info, written->file, &cask);
    if (r != 0)
        return r;
    written->file = NULL;
    if (install->cask_count == 1) /* without memory for it: one by one */
        install->load = keydir_load_new(install->keydir, keys_expected(written));
    for (size_t i = 0; r == 0 && i < written->entry_count; i++)
        r = store_staging_put(install, cask, &written->room.entries[i]);
    return r;
}
