#include <assert.h>
#include <errno.h>
#include <string.h>

#include "storage/codec.h"
#include "storage/grow.h"
#include "storage/mutant.h"
#include "storage/store_state.h"

#define STORE_CHECKPOINT_BLOCKS 2u /* slack when the size of a checkpoint is foretold */

int store_note_entries(struct store *store, struct store_partition *part,
                       struct journal_segment *segment, uint32_t offset, uint64_t first,
                       uint64_t last, bool relocated)
{
    if (!relocated && first <= part->last_index) {
        int r = journal_segments_truncate(&store->segments, segment, offset, part->number,
                                          part->slot, first);

        if (r != 0)
            return r;
    }
    if (!relocated || last > part->last_index)
        part->last_index = last;
    if (last > segment->index_max[part->slot])
        segment->index_max[part->slot] = last;
    if (!relocated || last > segment->index_last[part->slot])
        segment->index_last[part->slot] = last;
    if (segment->index_min[part->slot] == 0 || first < segment->index_min[part->slot])
        segment->index_min[part->slot] = first;
    return 0;
}

/* --- room in the current segment ----------------------------------------------------------- */

uint64_t store_reserve(const struct store *store)
{
    return store->hosted_count * (STORE_HARD_SIZE + JOURNAL_RUN_ITEM_SIZE) + JOURNAL_BLOCK_SIZE;
}

/* What the next checkpoint takes, which may be larger than the newest. */
static uint64_t checkpoint_room(const struct store *store)
{
    return store->checkpoint_size + store->checkpoint_size / 4;
}

/* While the disk is full nobody waits for who wants a larger one, if it takes a checkpoint. */
static uint64_t next_least(const struct store *store)
{
    uint64_t least = (1 + STORE_CHECKPOINT_BLOCKS) * (uint64_t)JOURNAL_BLOCK_SIZE +
                     checkpoint_room(store) + store_reserve(store);

    return store->disk_full && least < store->next_wanted ? least : store->next_wanted;
}

static bool next_ready(const struct store *store)
{
    return store->next && store->manifest.edits_durable >= store->next_ticket &&
           store->next->capacity >= next_least(store);
}

static int no_room(const struct store *store)
{
    return store->disk_full ? STORE_E_NOSPACE : STORE_E_FULL;
}

/* True when the open batch can take `size` more bytes in one more run and the segment still has
 * room for hard states and, while no next segment is there, for a checkpoint: a full disk is only
 * left by dropping segments, and that takes one. */
static bool current_fits(const struct store *store, size_t size)
{
    const struct journal_segment *current = store->current;
    uint64_t offset, end;

    if (!current)
        return false;
    offset = current->base.length;
    end = offset + journal_sealed_size(&store->journal, size, 1) + store_reserve(store);
    if (size > 0 && !next_ready(store))
        end += checkpoint_room(store);
    return end <= current->capacity;
}

static void place_open(struct store *store)
{
    journal_place(&store->journal, store->current->base.number, store->current->epoch,
                  store->current->base.length);
}

static bool open_is_placed(struct store *store)
{
    const struct journal_batch *batch = journal_open_batch(&store->journal);

    return batch && batch->segment != 0;
}

/* --- hard states --------------------------------------------------------------------------- */

static void hard_states_encode(struct store *store)
{
    for (size_t i = 0; i < store->hard_count; i++) {
        struct store_partition *part = store_partition(store, store->hard_list[i]);
        uint8_t value[JOURNAL_HARD_STATE_SIZE];
        struct record record = {
            .partition = part->number,
            .kind = RECORD_KIND_HARD_STATE,
            .term = part->hard.term,
            .sub_count = 1,
            .value = value,
            .value_size = sizeof(value),
        };
        uint8_t *out = journal_extend(&store->journal, STORE_HARD_SIZE);

        assert(out); /* within what journal_set_reserve() keeps free */
        assert(record_size_padded(&record) == STORE_HARD_SIZE);
        journal_hard_state_encode(&part->hard, value);
        record_encode(&record, out);
        journal_run_add(&store->journal, part->number, 1, 0, 0, STORE_HARD_SIZE);
        part->hard_pending = false;
    }
    store->hard_count = 0;
}

int store_append_hard_state(struct store *store, uint16_t partition,
                            const struct store_hard_state *state)
{
    struct store_partition *part = store_partition(store, partition);

    assert(part && part->is_hosted);
    store_scratch_reset(store);
    if (store->fenced)
        return STORE_E_FENCED;
    part->hard = *state;
    if (!part->hard_pending) {
        if (store->room_hard == 0)
            store->room = 0;
        else
            store->room_hard--;
        part->hard_pending = true;
        store->hard_list[store->hard_count++] = partition;
    }
    return 0;
}

void store_commit(struct store *store, uint16_t partition, uint64_t commit)
{
    struct store_partition *part = store_partition(store, partition);

    assert(part && part->is_hosted);
    if (commit > part->commit)
        part->commit = commit;
}

/* --- sealing and rotating ------------------------------------------------------------------ */

/* Runs without records, for the sake of the commits in them: what flush saw die is durably dead
 * when this batch is. Partitions whose newest commit is on its way already need none. */
static void marks_append(struct store *store)
{
    uint64_t end =
        store->current->base.length + journal_sealed_size(&store->journal, 0, store->hosted_count);

    if (!store->marks_wanted || end > store->current->capacity ||
        !journal_extend(&store->journal, 0))
        return;
    for (size_t i = 0; i < store->hosted_count; i++) {
        const struct store_partition *part = store_partition(store, store->hosted[i]);

        if (part->commit_sealed < part->commit)
            journal_run_add(&store->journal, part->number, 0, 0, 0, 0);
    }
    store->marks_wanted = false;
    store->marks_batch = store->journal.open;
}

/* The commits are those known now: all entries up to them lie in this batch or before it, so that a
 * crash right behind it never applies entries that a later batch would have truncated. */
static void seal_placed(struct store *store)
{
    struct journal *journal = &store->journal;
    const struct journal_batch *batch = journal_open_batch(journal);

    store->room = 0;
    hard_states_encode(store);
    marks_append(store);
    for (size_t i = 0; i < journal->run_count; i++) {
        struct store_partition *part = store_partition(store, journal->runs[i].partition);

        journal->runs[i].commit = part->commit;
        part->commit_sealed = part->commit;
    }
    journal_seal(journal);
    assert(batch->offset == store->current->base.length);
    store->current->base.length += batch->length;
    store->current->last_batch = batch->number;
    assert(store->current->base.length <= store->current->capacity);
    store->mark_last = batch->flags & JOURNAL_BATCH_MARK;
}

static void checkpoint_encode_head(struct store *store, const struct store_partition *part,
                                   struct store_checkpoint *checkpoint, uint8_t *head)
{
    (void)store;
    if (mutant(MUTANT_HARD_STATE_RECYCLED)) {
        checkpoint->term = 0;
        checkpoint->vote = 0;
    }
    journal_checkpoint_encode(checkpoint, part->fenced != NULL, head);
}

/* One checkpoint record; the value is head and state, which record_encode() wants in one piece: it
 * is put together behind the place where the record will end. */
static int checkpoint_append(struct store *store, struct store_partition *part)
{
    struct store_checkpoint checkpoint = {0};
    struct record record = {
        .partition = part->number,
        .kind = RECORD_KIND_CHECKPOINT,
        .sub_count = 1,
    };
    uint8_t *out;
    size_t size;

    store->visitor.save_checkpoint(store->visitor.context, part->number, &checkpoint);
    record.value_size = JOURNAL_CHECKPOINT_HEAD + checkpoint.state_size;
    assert(record.value_size <= RECORD_VALUE_SIZE_MAX);
    record.term = checkpoint.term;
    record.index = checkpoint.applied;
    size = record_size_padded(&record);
    out = journal_extend(&store->journal, size + record.value_size);
    if (!out)
        return -ENOMEM;
    checkpoint_encode_head(store, part, &checkpoint, out + size);
    if (checkpoint.state_size > 0)
        memcpy(out + size + JOURNAL_CHECKPOINT_HEAD, checkpoint.state, checkpoint.state_size);
    record.value = out + size;
    record_encode(&record, out);
    journal_run_add(&store->journal, part->number, 1, 0, 0, size);
    part->checkpoint_next = checkpoint.first_index;
    return 0;
}

static int checkpoints_append(struct store *store)
{
    struct journal_batch *batch = journal_open_batch(&store->journal);
    uint32_t before = batch->length;

    for (size_t i = 0; i < store->hosted_count; i++) {
        struct store_partition *part = store_partition(store, store->hosted[i]);
        int r = store_install_switched(store, part) ? 0 : checkpoint_append(store, part);

        if (r != 0)
            return r;
    }
    batch->flags |= JOURNAL_BATCH_CHECKPOINT;
    store->checkpoint_size =
        batch->length - before + store->hosted_count * JOURNAL_RUN_ITEM_SIZE + JOURNAL_BLOCK_SIZE;
    return 0;
}

static void checkpoint_taken(struct store *store)
{
    store->checkpoints_taken++;
    store->checkpoint_asked = false;
    store->checkpoint_batch = store->journal.open;
    for (size_t i = 0; i < store->hosted_count; i++) {
        struct store_partition *part = store_partition(store, store->hosted[i]);

        if (store_install_switched(store, part))
            continue;
        part->checkpoint_first = part->checkpoint_next;
        part->checkpoint_on_floor = true;
    }
}

static void leave_current(struct store *store)
{
    struct journal_segment *current = store->current;

    if (!current)
        return;
    current->mark = current->left = store->checkpoints_taken;
    current->state = JOURNAL_SEGMENT_FULL;
    if (current->last_batch <= store->journal.synced)
        current->state = JOURNAL_SEGMENT_SEALED;
}

/* Begins a batch with a checkpoint at the start of the next segment, with room for `size` bytes
 * more. On anything but 0 the current segment is as it was, with its open batch sealed. */
static int rotate(struct store *store, size_t size)
{
    struct journal_segment *next = store->next;
    uint64_t end;
    int r;

    if (!next_ready(store))
        return no_room(store);
    if (open_is_placed(store))
        seal_placed(store);
    journal_abort(&store->journal);
    if (journal_is_full(&store->journal))
        return STORE_E_FULL;
    r = journal_begin(&store->journal, size + store->checkpoint_size);
    if (r == 0)
        r = checkpoints_append(store);
    if (r != 0) {
        journal_abort(&store->journal);
        return r;
    }
    end = JOURNAL_BLOCK_SIZE + journal_sealed_size(&store->journal, size, 1) +
          store_reserve(store) + (uint64_t)STORE_CHECKPOINT_BLOCKS * JOURNAL_BLOCK_SIZE;
    if (end > next->capacity) {
        journal_abort(&store->journal);
        if (end > JOURNAL_SEGMENT_SIZE_MAX)
            return STORE_E_NOSPACE;
        store->next_wanted = end;
        return no_room(store);
    }
    leave_current(store);
    next->state = JOURNAL_SEGMENT_CURRENT;
    store->current = next;
    store->next = NULL;
    store->next_wanted = 0;
    place_open(store);
    checkpoint_taken(store);
    store_foresee_full(store);
    return 0;
}

bool store_seal(struct store *store)
{
    const struct journal_batch *batch = journal_open_batch(&store->journal);

    if (!batch && store->hard_count == 0 && !store->marks_wanted)
        return false;
    if (!open_is_placed(store)) {
        if (journal_is_full(&store->journal))
            return false;
        if (!batch && journal_begin(&store->journal, 0) != 0)
            return false;
        /* Hard states may use up the reserve; behind it only a new segment takes them. */
        if (store->current &&
            store->current->base.length + journal_sealed_size(&store->journal, 0, 0) +
                    store->hard_count * (STORE_HARD_SIZE + JOURNAL_RUN_ITEM_SIZE) +
                    (store->marks_wanted ? store->hosted_count * JOURNAL_RUN_ITEM_SIZE : 0) <=
                store->current->capacity)
            place_open(store);
        else if (rotate(store, 0) != 0) {
            journal_abort(&store->journal); /* nothing is in it; hard states wait in their list */
            return false;
        }
    }
    seal_placed(store);
    return true;
}

/* A checkpoint of all partitions in the current segment. False: it has no room for one. */
static bool checkpoint_here(struct store *store)
{
    if (open_is_placed(store))
        seal_placed(store);
    journal_abort(&store->journal); /* begun for hard states that found no place: still empty */
    if (journal_is_full(&store->journal) || journal_begin(&store->journal, 0) != 0)
        return false;
    if (checkpoints_append(store) != 0 || !current_fits(store, 0)) {
        journal_abort(&store->journal);
        return false;
    }
    place_open(store);
    checkpoint_taken(store);
    return true;
}

/* Some segment waits for nothing but a checkpoint. */
static bool checkpoint_awaited(const struct store *store)
{
    for (size_t i = 0; i < store->segments.count; i++) {
        const struct journal_segment *segment = store->segments.items[i];

        if (segment->state == JOURNAL_SEGMENT_SEALED && store_flush_awaits(store, segment) &&
            !store_segment_retirable(store, segment, false) &&
            store_segment_retirable(store, segment, true))
            return true;
    }
    return false;
}

void store_flush_seal(struct store *store)
{
    const struct journal_segment *current = store->current;

    if (!store->flush_demand.all || journal_is_full(&store->journal))
        return;
    if (current && store_flush_awaits(store, current))
        rotate(store, 0);
    else if (store->checkpoints_taken == store->checkpoints_durable && checkpoint_awaited(store) &&
             (!current || !checkpoint_here(store))) /* none: nothing was written since the start */
        rotate(store, 0);
}

/* With one more, some segment goes: as a whole, or as log, for flush to take it. One that lacks a
 * partition would be followed by another. */
static bool checkpoint_frees(const struct store *store)
{
    bool oldest = true;

    for (size_t i = 0; i < store->hosted_count; i++)
        if (store_install_switched(store, store_partition(store, store->hosted[i])))
            return false;
    for (size_t i = 0; i < store->segments.count; i++) {
        const struct journal_segment *segment = store->segments.items[i];

        if (store_segment_droppable(store, segment, true))
            return true;
        if (segment->state == JOURNAL_SEGMENT_RETIRED || segment->state == JOURNAL_SEGMENT_DROPPING)
            continue;
        if (oldest && !store_segment_retirable(store, segment, false) &&
            store_segment_retirable(store, segment, true))
            return true;
        oldest = false;
    }
    return false;
}

/* No segment comes, whose checkpoint it would be. */
static bool checkpoint_lacks(const struct store *store)
{
    if (store->next && store->next->capacity >= store->next_wanted)
        return false;
    return store->marks_wanted || checkpoint_frees(store);
}

void store_checkpoint_if_wanted(struct store *store)
{
    /* While the disk is full there is room for one, which is to free some. */
    bool wanted = store->disk_full ? checkpoint_lacks(store) : store->checkpoint_asked;

    if (!wanted || !store->current || store->checkpoints_taken != store->checkpoints_durable ||
        journal_is_full(&store->journal))
        return;
    if (!checkpoint_here(store) && store->next)
        rotate(store, 0);
}

/* --- appends ------------------------------------------------------------------------------- */

/* Lets the open batch be placed with room for `size` bytes more. */
static int make_room(struct store *store, size_t size)
{
    struct journal *journal = &store->journal;
    struct journal_batch *batch = journal_open_batch(journal);
    int r;

    if (store->fenced)
        return STORE_E_FENCED;
    if (size <= store->room && open_is_placed(store)) {
        store->room = 0;
        return 0;
    }
    store->room = 0;
    if (journal->queued_size > 0 && journal->queued_size + size > store->options.queue_size_max)
        return STORE_E_FULL;
    if (batch && batch->length > JOURNAL_BATCH_HEADER_SIZE &&
        batch->length + size > store->options.batch_size_max)
        seal_placed(store);
    /* Hard states and marks do not come this way: flush can always go on. */
    if (!current_fits(store, size))
        return store_flush_lags(store) ? no_room(store) : rotate(store, size);
    if (!journal_open_batch(journal)) {
        if (journal_is_full(journal))
            return STORE_E_FULL;
        r = journal_begin(journal, size);
        if (r != 0)
            return r;
    }
    if (!open_is_placed(store))
        place_open(store);
    return 0;
}

/* Room, bytes and bookkeeping for entries first … last. */
static int append_begin(struct store *store, struct store_partition *part, uint64_t first,
                        uint64_t last, bool relocated, size_t size, uint8_t **out,
                        store_location *location)
{
    const struct journal_batch *batch;
    size_t span_count;
    uint32_t offset;
    int r;

    store_scratch_reset(store);
    r = make_room(store, size);
    if (r != 0)
        return r;
    *out = journal_extend(&store->journal, size);
    if (!*out)
        return -ENOMEM;
    batch = journal_open_batch(&store->journal);
    offset = batch->offset + batch->length;
    span_count = store->current->span_count;
    r = store_note_entries(store, part, store->current, offset, first, last, relocated);
    if (r != 0)
        return r;
    if (store->current->span_count > span_count)
        store->current->span_batch = batch->number;
    *location = data_file_location(&store->current->base, offset);
    store->stats.bytes_appended += size;
    return 0;
}

int store_room(struct store *store, size_t size)
{
    size_t hard = (size_t)STORE_ROOM_HARD * (STORE_HARD_SIZE + JOURNAL_RUN_ITEM_SIZE);
    int r = make_room(store, size + hard);

    if (r != 0)
        return r;
    store->room = size;
    store->room_hard = STORE_ROOM_HARD;
    return 0;
}

int store_append(struct store *store, struct record *records, size_t count,
                 store_location *location, uint32_t *size)
{
    struct store_partition *part = store_partition(store, records[0].partition);
    size_t total = 0;
    uint8_t *out;
    int r;

    assert(part && part->is_hosted);
    assert(count >= 1 && count <= RECORD_SUB_COUNT_MAX);
    for (size_t i = 0; i < count; i++) {
        assert(records[i].partition == part->number && records[i].index == records[0].index);
        records[i].sub_index = (uint16_t)i;
        records[i].sub_count = (uint16_t)count;
        total += record_size_padded(&records[i]);
    }
    if (total > JOURNAL_SEGMENT_SIZE_MAX / 2)
        return STORE_E_NOSPACE;
    r = append_begin(store, part, records[0].index, records[0].index,
                     records[0].flags & RECORD_FLAG_RELOCATED, total, &out, location);
    if (r != 0)
        return r;
    for (size_t i = 0; i < count; i++)
        out += record_encode(&records[i], out);
    journal_run_add(&store->journal, part->number, (uint32_t)count, records[0].index,
                    records[0].index, total);
    store->stats.entries++;
    *size = (uint32_t)total;
    return 0;
}

int store_append_bytes(struct store *store, uint16_t partition, uint64_t first_index,
                       uint64_t last_index, const uint8_t *bytes, size_t size,
                       store_location *location)
{
    struct store_partition *part = store_partition(store, partition);
    uint32_t count = 0;
    uint8_t *out;
    int r;

    assert(part && part->is_hosted && first_index > 0 && first_index <= last_index);
    assert(size > 0 && size % RECORD_ALIGN == 0);
    for (size_t at = 0; at < size; count++) {
        size_t record = codec_get_u32(bytes + at);

        assert(record >= RECORD_HEADER_SIZE);
        at += (record + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1);
        assert(at <= size);
    }
    if (size > JOURNAL_SEGMENT_SIZE_MAX / 2)
        return STORE_E_NOSPACE;
    assert(count <= JOURNAL_RUN_COUNT_MAX);
    r = append_begin(store, part, first_index, last_index, bytes[7] & RECORD_FLAG_RELOCATED, size,
                     &out, location);
    if (r != 0)
        return r;
    memcpy(out, bytes, size);
    journal_run_add(&store->journal, partition, count, first_index, last_index, size);
    store->stats.entries += last_index - first_index + 1;
    return 0;
}
