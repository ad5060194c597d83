#include "storage/store_snapshot.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/grow.h"
#include "storage/install.h"
#include "storage/journal_format.h"
#include "storage/mutant.h"
#include "storage/store_state.h"

#define ITEM_SIZE 64u /* no item is larger, but for a floor's state */

enum stage {
    STAGE_OPEN,
    STAGE_LAST,   /* committed by the host: what is in memory goes to its cask first */
    STAGE_LISTED, /* the edit is queued, the keydir replaced */
    STAGE_DONE,
    STAGE_FAILED,
};

struct store_install {
    struct store_install *next;
    struct store *store;
    struct store_partition *part;
    enum stage stage;
    bool ended;   /* the host has let go of it */
    bool job_out; /* `written` is on another thread */
    struct install filled, written;
    bool written_full; /* `written` holds records that have no cask yet */
    struct keydir *keydir;
    struct cask_file **casks;
    size_t cask_count, cask_capacity;
    uint8_t *state; /* a checkpoint as journal_format.h has it */
    size_t state_size;
    uint64_t ticket; /* of the edit */
    uint64_t batch;  /* synced with it: what was appended before */
};

/* --- life ---------------------------------------------------------------------------------- */

static struct store_install *find(const struct store *store, const struct store_partition *part)
{
    struct store_install *install = store->installs;

    while (install && install->part != part)
        install = install->next;
    return install;
}

static void install_init(struct store *store, struct install *install, uint16_t partition)
{
    *install = (struct install){
        .vfs = store->vfs, .space_reserve = store->options.space_reserve, .partition = partition};
    memcpy(install->folder, store->folder, sizeof(install->folder));
}

int store_install_begin(struct store *store, uint16_t partition, struct store_install **out)
{
    struct store_partition *part = store_partition(store, partition);
    struct store_install *install;

    assert(part && part->is_hosted);
    if (store->fenced)
        return STORE_E_FENCED;
    /* One that was given up may have files to remove still. */
    if (store->install_count == STORE_INSTALLS_MAX || find(store, part))
        return STORE_E_FULL;
    install = calloc(1, sizeof(*install));
    if (!install)
        return -ENOMEM;
    install->keydir = keydir_new();
    if (!install->keydir) {
        free(install);
        return -ENOMEM;
    }
    install->store = store;
    install->part = part;
    install_init(store, &install->filled, partition);
    install_init(store, &install->written, partition);
    install->next = store->installs;
    store->installs = install;
    store->install_count++;
    *out = install;
    return 0;
}

static void install_delete(struct store *store, struct store_install *install)
{
    struct store_install **at = &store->installs;

    while (*at != install)
        at = &(*at)->next;
    *at = install->next;
    store->install_count--;
    install_free(&install->filled);
    install_free(&install->written);
    if (install->keydir)
        keydir_free(install->keydir);
    free(install->casks);
    free(install->state);
    free(install);
}

void store_installs_free(struct store *store)
{
    while (store->installs)
        install_delete(store, store->installs);
}

void store_install_end(struct store_install *install)
{
    if (!install)
        return;
    assert(!install->ended);
    install->ended = true;
    if (install->stage == STAGE_DONE)
        install_delete(install->store, install);
    else if (install->stage != STAGE_LISTED) /* else it is what the partition is, or will be */
        install->stage = STAGE_FAILED;
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
    return true;
}

int store_install_add(struct store_install *install, const uint8_t *bytes, size_t size,
                      const struct keydir_digest *digests, size_t count)
{
    if (install->stage == STAGE_FAILED)
        return STORE_E_NOSPACE;
    assert(install->stage == STAGE_OPEN);
    if (install->filled.used > 0 && install->filled.used + size > STORE_INSTALL_RUN_SIZE &&
        !hand_over(install))
        return STORE_E_FULL;
    return install_add(&install->filled, bytes, size, digests, count);
}

int store_install_commit(struct store_install *install, const struct store_checkpoint *checkpoint)
{
    assert(install->stage == STAGE_OPEN || install->stage == STAGE_FAILED);
    install->state_size = JOURNAL_CHECKPOINT_HEAD + checkpoint->state_size;
    install->state = malloc(install->state_size);
    if (!install->state)
        return -ENOMEM;
    journal_checkpoint_encode(checkpoint, false, install->state);
    memcpy(install->state + JOURNAL_CHECKPOINT_HEAD, checkpoint->state, checkpoint->state_size);
    if (install->stage == STAGE_OPEN)
        install->stage = STAGE_LAST;
    return 0;
}

/* The cask that was just written gets a slot, and its keys their places. */
static int cask_take(struct store_install *install)
{
    struct store *store = install->store;
    struct install *written = &install->written;
    struct cask_file *cask = NULL;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
    int r = GROW(install->casks, install->cask_capacity, install->cask_count + 1);

    if (r == 0 && store_files_short(store))
        r = -ENFILE;
    if (r == 0)
        r = casks_add(&store->casks, &store->files, &written->info, written->file, &cask);
    if (r != 0)
        return r;
    written->file = NULL;
    cask->base.pins++; /* flush and removal keep away from it */
    install->casks[install->cask_count++] = cask;
    for (size_t i = 0; r >= 0 && i < written->count; i++) {
        const struct hint_entry *entry = &written->records[i].entry;

        r = keydir_put(install->keydir, &entry->digest,
                       data_file_location(&cask->base, entry->offset), entry->size, false,
                       entry->expires, NULL);
    }
    return r < 0 ? r : 0;
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
    for (size_t i = 0; i < store->casks.count; i++) {
        struct cask_file *cask = store->casks.items[i];
        int r;

        if (cask->info.partition != part->number || cask->state != CASK_FILE_LIVE ||
            mutant(MUTANT_SNAPSHOT_MERGED))
            continue;
        if (manifest_cask_find(&store->manifest, cask->info.partition, cask->base.number)) {
            r = manifest_cask_drop(&store->manifest, cask->info.partition, cask->base.number);
            assert(r == 0); /* room was made */
        }
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
}

/* One edit: the state and the floor, the casks that come and those that go. */
static int edit(struct store_install *install)
{
    struct store *store = install->store;
    struct manifest *manifest = &store->manifest;
    size_t items = store->casks.count + install->cask_count + 1;
    int r = manifest_reserve(manifest, items);

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
    install->stage = STAGE_LISTED;
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

/* Durable. A second floor voids checkpoints that were taken on the way here. */
static void listed(struct store_install *install)
{
    struct store *store = install->store;

    if (store->manifest.edits_durable < install->ticket || store->journal.synced < install->batch ||
        store->journal.synced < store->checkpoint_batch || floor_queue(install) != 0)
        return;
    install->part->fenced = false;
    store_damage_forget(store);
    install->stage = STAGE_DONE;
}

enum store_install_state store_install_state(struct store_install *install)
{
    if (install->stage == STAGE_LISTED)
        listed(install);
    switch (install->stage) {
    case STAGE_OPEN:
        return STORE_INSTALL_OPEN;
    case STAGE_DONE:
        return STORE_INSTALL_DONE;
    case STAGE_FAILED:
        return STORE_INSTALL_FAILED;
    default:
        return STORE_INSTALL_COMMIT;
    }
}

void store_install_abort(struct store *store, const struct store_partition *part)
{
    struct store_install *install = find(store, part);

    if (!install || install->stage == STAGE_DONE)
        return;
    if (install->stage == STAGE_LISTED)
        install->cask_count = 0; /* they are the partition's */
    install->stage = STAGE_FAILED;
}

/* --- jobs ---------------------------------------------------------------------------------- */

static struct store_job *job_begin(struct store *store, struct store_install *install)
{
    struct store_job *job = store_background_begin(store, STORE_JOB_KIND_INSTALL);

    job->install = &install->written;
    job->install_remove = install->stage == STAGE_FAILED;
    install->job_out = true;
    return job;
}

/* Gives back the slots of what was staged, one file after the other. True: a job is to remove one.
 */
static bool clean_up(struct store *store, struct store_install *install)
{
    struct cask_file *cask;

    if (install->written_full)
        return true;
    if (install->cask_count == 0)
        return false;
    cask = install->casks[--install->cask_count];
    install->written.info = cask->info;
    cask->base.pins--;
    store_file_leaves(store, &cask->base);
    casks_remove(&store->casks, &store->files, cask);
    install->written_full = true;
    return true;
}

/* The next job of this one, or NULL. */
static struct store_job *install_next(struct store *store, struct store_install *install)
{
    if (install->stage == STAGE_FAILED)
        return clean_up(store, install) ? job_begin(store, install) : NULL;
    if (install->stage == STAGE_LAST && !install->written_full && install->filled.used > 0)
        hand_over(install);
    if (install->written_full) {
        if (install->written.info.number == 0)
            install->written.info.number = manifest_cask_number(&store->manifest);
        return job_begin(store, install);
    }
    if (install->stage == STAGE_LAST && edit(install) != 0)
        install->stage = STAGE_FAILED;
    return NULL;
}

struct store_job *store_install_next(struct store *store)
{
    struct store_install *next;

    for (struct store_install *install = store->installs; install; install = next) {
        struct store_job *job = install->job_out ? NULL : install_next(store, install);

        next = install->next;
        if (job)
            return job;
        if (install->ended && install->stage == STAGE_LISTED)
            listed(install);
        if (install->ended && !install->job_out && !install->written_full &&
            (install->stage == STAGE_FAILED || install->stage == STAGE_DONE))
            install_delete(store, install);
    }
    return NULL;
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
    if (job->install_remove) {
        install->written_full = false;
        return;
    }
    if (result == INSTALL_E_MORE)
        return;
    if (result == 0)
        result = cask_take(install);
    if (result != 0) {
        install->stage = STAGE_FAILED;
        return;
    }
    install->written_full = false;
    install_reset(&install->written);
}
