#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/journal_format.h"
#include "storage/mutant.h"
#include "storage/store_state.h"

/* Partitions come and go while the store runs, by one edit of the manifest each.
 *
 * Records stay where they are in the journal, so both edits carry a floor: what lies before it is
 * of a life that is over, dead to all who read the journal and never damage. The floor of a
 * partition that comes holds what it begins with, in the place of a checkpoint; so the partition
 * begins in the segment of its floor, for the checkpoint of the next one to have it too, and behind
 * all that was appended before. */

void store_host_part(struct store *store, struct store_partition *part)
{
    assert(part->keydir && !part->is_hosted);
    part->coming = false;
    part->is_hosted = true;
    store->hosted[store->hosted_count++] = part->number;
}

int store_host_reserve(struct store *store, size_t count)
{
    return journal_set_reserve(&store->journal, 2 * count, count * STORE_HARD_SIZE);
}

static void edit_queued(struct store *store, struct store_partition *part)
{
    part->checkpoint_on_floor = false;
    part->host_ticket = store->manifest.edits;
    part->host_batch =
        journal_open_batch(&store->journal) ? store->journal.open : store->journal.open - 1;
}

static bool edit_durable(const struct store *store, const struct store_partition *part)
{
    return store->manifest.edits_durable >= part->host_ticket &&
           store->journal.synced >= part->host_batch;
}

/* floor: its state is set. */
static int floor_queue(struct store *store, struct manifest_floor *floor)
{
    store_floor_here(store, floor);
    if (mutant(MUTANT_REHOST_WITHOUT_FLOOR))
        floor->segment = floor->offset = 0;
    return manifest_floor_set(&store->manifest, floor);
}

/* --- taking on ----------------------------------------------------------------------------- */

/* A floor with the checkpoint, and the partition. One edit: without memory for both, neither. */
static int host_edit(struct store *store, struct store_partition *part,
                     const struct store_checkpoint *checkpoint)
{
    struct manifest_floor floor = {.partition = part->number};
    int r = manifest_reserve(&store->manifest, 2);

    if (r == 0 && checkpoint) {
        floor.state_size = JOURNAL_CHECKPOINT_HEAD + (uint32_t)checkpoint->state_size;
        floor.state = malloc(floor.state_size);
        if (!floor.state)
            return -ENOMEM;
        journal_checkpoint_encode(checkpoint, false, floor.state);
        if (checkpoint->state_size > 0)
            memcpy(floor.state + JOURNAL_CHECKPOINT_HEAD, checkpoint->state,
                   checkpoint->state_size);
    }
    if (r == 0)
        r = floor_queue(store, &floor);
    free(floor.state);
    /* A floor that stays alone voids only what is void. */
    return r == 0 ? manifest_host(&store->manifest, part->number) : r;
}

int store_host(struct store *store, uint16_t partition, const struct store_checkpoint *checkpoint)
{
    struct store_partition *part = store_partition(store, partition);
    int r;

    assert(part && (!checkpoint || checkpoint->applied == 0));
    if (store->fenced || !store->manifest.founded)
        return STORE_E_FENCED;
    if (part->is_hosted || part->coming)
        return 0;
    if (!part->keydir)
        part->keydir = keydir_new();
    if (!part->keydir)
        return -ENOMEM;
    r = host_edit(store, part, checkpoint);
    if (r != 0)
        return r;
    part->coming = true;
    if (checkpoint) {
        part->hard = (struct store_hard_state){.term = checkpoint->term, .vote = checkpoint->vote};
        part->retain = checkpoint->first_index;
    }
    edit_queued(store, part);
    return 0;
}

/* The next segment's checkpoint will have it. */
static bool floor_current(const struct store *store, const struct store_partition *part)
{
    const struct manifest_floor *floor = manifest_floor_find(&store->manifest, part->number);

    return !store->current || (floor && floor->segment == store->current->base.number) ||
           mutant(MUTANT_REHOST_WITHOUT_FLOOR);
}

/* A segment was begun meanwhile: the same floor in this one. */
static void floor_again(struct store *store, struct store_partition *part)
{
    const struct manifest_floor *old = manifest_floor_find(&store->manifest, part->number);
    struct manifest_floor floor = {.partition = part->number};

    if (old) {
        floor.state = old->state;
        floor.state_size = old->state_size;
    }
    if (floor_queue(store, &floor) == 0)
        edit_queued(store, part);
}

static void arrive(struct store *store, struct store_partition *part)
{
    if (!edit_durable(store, part))
        return;
    if (!floor_current(store, part)) {
        floor_again(store, part);
        return;
    }
    /* Batches have room for what each hosted partition may add: no batch begins before it is. */
    store_seal(store);
    if (!journal_open_batch(&store->journal) &&
        store_host_reserve(store, store->hosted_count + 1) == 0) {
        store_host_part(store, part);
        store_totals_crowd(store);
    }
}

enum store_hosting store_hosting(struct store *store, uint16_t partition)
{
    struct store_partition *part = store_partition(store, partition);

    assert(part);
    store_scratch_reset(store);
    if (part->coming && !store->fenced)
        arrive(store, part);
    if (part->is_hosted)
        return STORE_HOSTING_HERE;
    if (part->coming)
        return STORE_HOSTING_COMING;
    return edit_durable(store, part) ? STORE_HOSTING_NONE : STORE_HOSTING_GOING;
}

/* --- giving up ----------------------------------------------------------------------------- */

static void list_leave(struct store *store, const struct store_partition *part)
{
    size_t kept = 0;

    for (size_t i = 0; i < store->hosted_count; i++)
        if (store->hosted[i] != part->number)
            store->hosted[kept++] = store->hosted[i];
    store->hosted_count = kept;
}

/* Nothing of it is log any more. */
static void segments_forget(struct store *store, const struct store_partition *part)
{
    for (size_t i = 0; i < store->segments.count; i++) {
        struct journal_segment *segment = store->segments.items[i];

        segment->index_max[part->slot] = 0;
        segment->index_min[part->slot] = 0;
        segment->index_last[part->slot] = 0;
    }
}

uint64_t store_ended(const struct store *store, uint16_t partition)
{
    return manifest_ended(&store->manifest, partition);
}

int store_unhost(struct store *store, uint16_t partition, uint64_t life)
{
    struct store_partition *part = store_partition(store, partition);
    struct manifest_floor floor = {.partition = partition};
    int r;

    assert(part && life > 0);
    store_scratch_reset(store);
    if (store->fenced)
        return STORE_E_FENCED;
    if (part->coming)
        return STORE_E_AGAIN;
    if (!part->is_hosted)
        return 0;
    /* The batch it waits for may be promised, and a crash may undo this. */
    if (part->hard_pending && !store_seal(store))
        return STORE_E_AGAIN;
    r = manifest_reserve(&store->manifest, store->manifest.cask_count + 4);
    if (r == 0)
        r = floor_queue(store, &floor);
    if (r != 0)
        return r;
    store_install_abort(store, part);
    store_keydir_drop(store, part);
    store_casks_drop(store, part);
    r = manifest_unhost(&store->manifest, partition);
    assert(r == 0); /* room was made */
    r = manifest_end(&store->manifest, partition, life);
    assert(r == 0);
    list_leave(store, part);
    segments_forget(store, part);
    store_dictionaries_clear(store, partition);
    assert(part->casks_small == 0);
    *part = (struct store_partition){
        .number = partition, .slot = part->slot, .generation = part->generation + 1};
    edit_queued(store, part);
    store_damage_forget(store);
    store_totals_crowd(store);
    return 0;
}
