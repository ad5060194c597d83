#include "storage/store_install.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/grow.h"
#include "storage/journal_format.h"
#include "storage/mutant.h"

#define ITEM_SIZE 64u /* no item is larger, but for a floor's state */

/* --- life ---------------------------------------------------------------------------------- */

struct store_install *store_install_find(const struct store *store,
                                         const struct store_partition *part)
{
    struct store_install *install = store->installs;

    while (install && install->part != part)
        install = install->next;
    return install;
}

bool store_install_switched(const struct store *store, const struct store_partition *part)
{
    const struct store_install *install = store_install_find(store, part);

    return install && install->stage == INSTALL_STAGE_LISTED;
}

static void install_init(struct store *store, struct install *install, uint16_t partition)
{
    *install = (struct install){
        .vfs = store->vfs, .space_reserve = store->options.space_reserve, .partition = partition};
    memcpy(install->folder, store->folder, sizeof(install->folder));
}

struct store_install *store_install_new(struct store *store, struct store_partition *part)
{
    struct store_install *install = calloc(1, sizeof(*install));

    if (!install)
        return NULL;
    install->keydir = keydir_new();
    if (!install->keydir) {
        free(install);
        return NULL;
    }
    install->store = store;
    install->part = part;
    install->fences = part->fences;
    install_init(store, &install->filled, part->number);
    install_init(store, &install->written, part->number);
    install->next = store->installs;
    store->installs = install;
    store->install_count++;
    return install;
}

/* 0 or -ENOMEM, which changes nothing. */
static int state_set(struct store_install *install, const struct store_checkpoint *checkpoint)
{
    size_t size = JOURNAL_CHECKPOINT_HEAD + checkpoint->state_size;
    uint8_t *state = malloc(size);

    if (!state)
        return -ENOMEM;
    journal_checkpoint_encode(checkpoint, false, state);
    if (checkpoint->state_size > 0)
        memcpy(state + JOURNAL_CHECKPOINT_HEAD, checkpoint->state, checkpoint->state_size);
    free(install->state);
    install->state = state;
    install->state_size = size;
    return 0;
}

int store_install_begin(struct store *store, uint16_t partition,
                        const struct store_checkpoint *checkpoint, struct store_install **out)
{
    struct store_partition *part = store_partition(store, partition);
    struct store_install *install;

    assert(part && part->is_hosted);
    if (store->fenced)
        return STORE_E_FENCED;
    install = store_install_find(store, part);
    if (install && install->waits)
        store_install_end(install);
    /* One that was given up may have files to remove still. */
    if (store->install_count >= STORE_INSTALLS_MAX || install)
        return STORE_E_FULL;
    install = store_install_new(store, part);
    if (!install)
        return -ENOMEM;
    if (state_set(install, checkpoint) != 0) {
        store_install_delete(install);
        return -ENOMEM;
    }
    *out = install;
    return 0;
}

void store_install_delete(struct store_install *install)
{
    struct store *store = install->store;
    struct store_install **at = &store->installs;

    while (*at != install)
        at = &(*at)->next;
    *at = install->next;
    store->install_count--;
    store_staging_room_give(store, &install->filled);
    store_staging_room_give(store, &install->written);
    if (store->install_count == 0)
        store_staging_rooms_free(store);
    install_free(&install->filled);
    install_free(&install->written);
    (void)store_staging_keys_end(install);
    if (install->keydir)
        keydir_free(install->keydir);
    free(install->casks);
    free(install->state);
    free(install);
}

void store_installs_free(struct store *store)
{
    while (store->installs)
        store_install_delete(store->installs);
}

static void fail(struct store_install *install)
{
    install->stage = INSTALL_STAGE_FAILED;
    (void)store_progress_end(install);
}

void store_install_end(struct store_install *install)
{
    if (!install)
        return;
    assert(!install->ended);
    install->waits = false;
    install->ended = true;
    if (install->stage == INSTALL_STAGE_DONE)
        store_install_delete(install);
    else if (install->stage != INSTALL_STAGE_LISTED) /* it is what the partition is, or will be */
        fail(install);
}

/* --- collecting ---------------------------------------------------------------------------- */

/* What was filled is handed to the jobs, when those are done with the one before. */
static bool hand_over(struct store_install *install)
{
    struct install other = install->written;

    if (install->job_out || install->written_full)
        return false;
    install->written = install->filled;
    install->filled = other;
    install_reset(&install->filled);
    install->written_full = true;
    install->written_position = install->position;
    return true;
}

bool store_install_room(struct store_install *install)
{
    return install->stage == INSTALL_STAGE_OPEN && hand_over(install);
}

int store_install_add(struct store_install *install, const uint8_t *bytes, size_t size,
                      const struct keydir_digest *digests, size_t count, uint64_t position)
{
    int r;

    if (install->stage == INSTALL_STAGE_FAILED)
        return STORE_E_NOSPACE;
    assert(install->stage == INSTALL_STAGE_OPEN && !install->waits);
    if (install->filled.used > 0 &&
        install->filled.used + size > store_staging_run_size(install->store) && !hand_over(install))
        return STORE_E_FULL;
    r = store_staging_room_take(install->store, &install->filled);
    if (r == 0)
        r = install_add(&install->filled, bytes, size, digests, count);
    if (r == 0)
        install->position = position;
    return r;
}

int store_install_commit(struct store_install *install, const struct store_checkpoint *checkpoint)
{
    assert(install->stage == INSTALL_STAGE_OPEN || install->stage == INSTALL_STAGE_FAILED);
    if (state_set(install, checkpoint) != 0)
        return -ENOMEM;
    if (install->stage == INSTALL_STAGE_OPEN)
        install->stage = INSTALL_STAGE_LAST;
    return 0;
}

/* --- the switch ---------------------------------------------------------------------------- */

void store_floor_here(struct store *store, struct manifest_floor *floor)
{
    const struct journal_batch *batch = journal_open_batch(&store->journal);

    floor->offset = 0;
    if (batch && batch->segment != 0) {
        floor->segment = batch->segment;
        floor->offset = batch->offset + batch->length;
    } else if (store->current) {
        floor->segment = store->current->base.number;
        floor->offset = store->current->base.length;
    } else {
        floor->segment = store->next ? store->next->base.number : store->manifest.next_number;
    }
}

static int floor_queue(struct store_install *install)
{
    struct manifest_floor floor = {.partition = install->part->number,
                                   .state = install->state,
                                   .state_size = (uint32_t)install->state_size};

    store_floor_here(install->store, &floor);
    if (mutant(MUTANT_SNAPSHOT_MERGED))
        floor.segment = floor.offset = 0;
    return manifest_floor_set(&install->store->manifest, &floor);
}

static int dies(void *context, const struct keydir_digest *digest, const struct keydir_entry *entry)
{
    (void)digest;
    store_record_dies(context, entry);
    return 0;
}

void store_keydir_drop(struct store *store, struct store_partition *part)
{
    if (store->cache)
        cache_drop_partition(store->cache, part->number);
    keydir_walk(part->keydir, dies, store);
    keydir_free(part->keydir);
    part->keydir = NULL;
}

static int lives(void *context, const struct keydir_digest *digest,
                 const struct keydir_entry *entry)
{
    struct store_install *install = context;
    struct data_file *file = data_files_at(&install->store->files, entry->location);

    (void)digest;
    assert(file);
    store_record_lives(install->store, file, entry->size_max);
    return 0;
}

/* The mutant: what is there and was not overwritten stays. */
static int merges(void *context, const struct keydir_digest *digest,
                  const struct keydir_entry *entry)
{
    struct store_install *install = context;
    struct keydir_entry old;
    int r = keydir_put(install->part->keydir, digest, entry->location, entry->size_max, false,
                       entry->expires, &old);

    if (r == KEYDIR_E_OK)
        dies(install->store, digest, &old);
    return r < 0 ? r : lives(install, digest, entry);
}

static void keydir_switch(struct store_install *install)
{
    struct store_partition *part = install->part;

    if (mutant(MUTANT_SNAPSHOT_MERGED)) {
        if (install->store->cache)
            cache_drop_partition(install->store->cache, part->number);
        keydir_walk(install->keydir, merges, install);
        return;
    }
    store_keydir_drop(install->store, part);
    keydir_walk(install->keydir, lives, install);
    part->keydir = install->keydir;
    install->keydir = NULL;
}

void store_casks_drop(struct store *store, const struct store_partition *part)
{
    const struct manifest_cask *listed;
    size_t count;

    if (mutant(MUTANT_SNAPSHOT_MERGED))
        return;
    /* Those whose files the start did not find, too. */
    while ((listed = manifest_casks(&store->manifest, part->number, &count)) != NULL) {
        int r = manifest_cask_drop(&store->manifest, part->number, listed->number);

        assert(r == 0); /* room was made */
    }
    for (size_t i = 0; i < store->casks.count; i++) {
        struct cask_file *cask = store->casks.items[i];

        if (cask->info.partition != part->number || cask->state != CASK_FILE_LIVE)
            continue;
        cask->state = CASK_FILE_DROPPING;
        cask->ticket = store->manifest.edits;
        store_file_changed(store, &cask->base);
    }
}

static void part_switch(struct store_install *install)
{
    struct store_partition *part = install->part;
    struct store_checkpoint checkpoint;
    bool fenced;

    journal_checkpoint_decode(install->state, install->state_size, &checkpoint, &fenced);
    part->generation++;
    for (size_t i = 0; i < install->store->segments.count; i++) /* all void, and so no log */
        install->store->segments.items[i]->index_last[part->slot] = 0;
    part->hard = (struct store_hard_state){
        .term = checkpoint.term, .vote = checkpoint.vote, .commit = checkpoint.applied};
    part->last_index = checkpoint.applied;
    part->commit = checkpoint.applied;
    part->commit_sealed = checkpoint.applied;
    part->retain = checkpoint.first_index;
    part->checkpoint_on_floor = false;
}

/* One edit: the state and the floor, the casks that come and those that go. */
static int edit(struct store_install *install)
{
    struct store *store = install->store;
    struct manifest *manifest = &store->manifest;
    size_t items = manifest->cask_count + install->cask_count + 2;
    int r = store_staging_keys_end(install);

    if (r == 0)
        r = manifest_reserve(manifest, items);
    if (r == 0) /* and for the state, which is more than other items have */
        r = GROW(manifest->queued, manifest->queued_capacity,
                 manifest->queued_size + (items + 1) * ITEM_SIZE + install->state_size);
    /* The floor first: it alone may still find no memory, and nothing has changed then. */
    if (r == 0)
        r = floor_queue(install);
    if (r != 0)
        return r;
    keydir_switch(install);
    store_casks_drop(store, install->part);
    (void)store_progress_end(install);
    for (size_t i = 0; i < install->cask_count; i++) {
        struct cask_file *cask = install->casks[i];

        r = manifest_cask_add(&store->manifest, &cask->info);
        assert(r == 0);
        cask->state = CASK_FILE_LIVE;
        cask->base.pins--;
        store_file_changed(store, &cask->base);
    }
    part_switch(install);
    install->ticket = store->manifest.edits;
    /* What still waits to be written belongs to the time before, and must not follow it. */
    install->batch =
        journal_open_batch(&store->journal) ? store->journal.open : store->journal.open - 1;
    install->stage = INSTALL_STAGE_LISTED;
    return 0;
}

void store_damage_forget(struct store *store)
{
    for (size_t i = 0; i < store->files.slot_count; i++) {
        struct data_file *file = store->files.slots[i];

        if (!file || file->damage_stays)
            continue;
        file->damaged = false;
        store_file_changed(store, file);
    }
}

/* Durable. */
static void listed(struct store_install *install)
{
    struct store *store = install->store;

    if (store->manifest.edits_durable < install->ticket || store->journal.synced < install->batch)
        return;
    if (install->part->fences == install->fences)
        install->part->fenced = NULL;
    store_damage_forget(store);
    install->stage = INSTALL_STAGE_DONE;
}

enum store_install_state store_install_state(struct store_install *install)
{
    if (install->stage == INSTALL_STAGE_LISTED)
        listed(install);
    switch (install->stage) {
    case INSTALL_STAGE_OPEN:
        return STORE_INSTALL_OPEN;
    case INSTALL_STAGE_DONE:
        return STORE_INSTALL_DONE;
    case INSTALL_STAGE_FAILED:
        return STORE_INSTALL_FAILED;
    default:
        return STORE_INSTALL_COMMIT;
    }
}

uint64_t store_install_lacked(const struct store_install *install)
{
    return install->lacked;
}

bool store_has_room(const struct store *store, uint64_t bytes)
{
    return install_space_check(store->vfs, bytes, store->options.space_reserve) == 0;
}

void store_install_abort(struct store *store, const struct store_partition *part)
{
    struct store_install *install = store_install_find(store, part);

    if (!install || install->stage == INSTALL_STAGE_DONE)
        return;
    if (install->stage == INSTALL_STAGE_LISTED)
        install->cask_count = 0; /* they are the partition's */
    if (install->waits)
        store_install_end(install);
    fail(install);
}

/* --- jobs ---------------------------------------------------------------------------------- */

static struct store_job *job_begin(struct store *store, struct store_install *install)
{
    install->job = (struct store_job){.class = STORE_JOB_BACKGROUND,
                                      .kind = STORE_JOB_KIND_INSTALL,
                                      .install = &install->written,
                                      .install_remove = install->stage == INSTALL_STAGE_FAILED};
    install->job_out = true;
    store->install_jobs_out++;
    return &install->job;
}

/* Gives back the slots of what was staged, one file after the other. True: a job is to remove one.
 */
static bool clean_up(struct store_install *install)
{
    if (install->written_full)
        return true;
    if (install->cask_count == 0)
        return false;
    install->written.info = install->casks[install->cask_count - 1]->info;
    store_staging_drop(install);
    install->written_full = true;
    return true;
}

/* The next job of this one, or NULL. */
static struct store_job *install_next(struct store *store, struct store_install *install)
{
    if (install->stage == INSTALL_STAGE_FAILED)
        return store_progress_end(install) && clean_up(install) ? job_begin(store, install) : NULL;
    if (install->stage == INSTALL_STAGE_LAST && !install->written_full && install->filled.used > 0)
        hand_over(install);
    if (install->written_full) {
        if (install->written.info.number == 0)
            install->written.info.number = manifest_cask_number(&store->manifest);
        return job_begin(store, install);
    }
    if (install->stage != INSTALL_STAGE_LAST)
        return NULL;
    /* What waits is of the time before: a hard state must not follow the floor, nor a batch carry a
     * commit of what the edit, which may be lost, has brought. */
    if ((install->part->hard_pending || journal_open_batch(&store->journal)) && !store_seal(store))
        return NULL;
    if (edit(install) != 0)
        fail(install);
    return NULL;
}

struct store_job *store_install_next(struct store *store)
{
    struct store_install *next;

    for (struct store_install *install = store->installs;
         install && store->install_jobs_out < STORE_INSTALL_JOBS_MAX; install = next) {
        struct store_job *job = install->job_out ? NULL : install_next(store, install);

        next = install->next;
        if (job)
            return job;
        if (install->ended && install->stage == INSTALL_STAGE_LISTED)
            listed(install);
        if (install->ended && !install->job_out && !install->written_full &&
            (install->stage == INSTALL_STAGE_DONE ||
             (install->stage == INSTALL_STAGE_FAILED && store_progress_end(install))))
            store_install_delete(install);
    }
    return NULL;
}

/* What its casks take, with the one that is being written. */
static uint64_t bytes_of(const struct store_install *install)
{
    uint64_t bytes = install->written.used;

    for (size_t i = 0; i < install->cask_count; i++)
        bytes += install->casks[i]->info.length;
    return bytes;
}

int store_install_run(struct store_job *job)
{
    if (!job->install_remove)
        return install_step(job->install);
    install_remove(job->install);
    return 0;
}

void store_install_job_done(struct store *store, const struct store_job *job, int result)
{
    struct store_install *install = store->installs;

    while (&install->written != job->install)
        install = install->next;
    install->job_out = false;
    store->install_jobs_out--;
    if (job->install_remove) {
        install->written_full = false;
        return;
    }
    if (result == INSTALL_E_MORE)
        return;
    if (result == 0)
        result = store_staging_take(install);
    if (result != 0) {
        if (vfs_is_full(result))
            install->lacked = bytes_of(install);
        fail(install);
        return;
    }
    install->written_full = false;
    install_reset(&install->written);
    store_staging_room_give(store, &install->written);
    if (install->stage == INSTALL_STAGE_OPEN)
        store_progress_note(install);
}
