#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/checksum.h"
#include "storage/store_state.h"

/* --- scratch: bytes read from the page cache, kept until the next call that is not a read -- */

void store_scratch_free(struct store *store)
{
    while (store->scratch) {
        struct store_scratch *next = store->scratch->next;

        free(store->scratch);
        store->scratch = next;
    }
    store->scratch_size = 0;
}

void store_scratch_reset(struct store *store)
{
    struct store_scratch *scratch = store->scratch;

    if (!scratch)
        return;
    if (scratch->next || scratch->size > STORE_SCRATCH_SIZE)
        store_scratch_free(store);
    else
        scratch->used = 0;
}

static uint8_t *scratch_take(struct store *store, size_t size)
{
    struct store_scratch *scratch = store->scratch;
    size_t room;

    if (scratch && scratch->size - scratch->used >= size) {
        scratch->used += size;
        return scratch->bytes + scratch->used - size;
    }
    room = size > STORE_SCRATCH_SIZE ? size : STORE_SCRATCH_SIZE;
    if (store->scratch_size + room > STORE_SCRATCH_MAX && scratch)
        return NULL;
    scratch = malloc(sizeof(*scratch) + room);
    if (!scratch)
        return NULL;
    *scratch = (struct store_scratch){.next = store->scratch, .used = size, .size = room};
    store->scratch = scratch;
    store->scratch_size += room;
    return scratch->bytes;
}

/* --- reads --------------------------------------------------------------------------------- */

int store_find(const struct store *store, uint16_t partition, const struct keydir_digest *digest,
               struct keydir_entry *entry)
{
    const struct store_partition *part = store_partition(store, partition);

    assert(part && part->is_hosted);
    return keydir_get(part->keydir, digest, entry) == 0 ? STORE_E_OK : STORE_E_ABSENT;
}

/* The batch in memory that holds the location, or NULL. */
static const struct journal_batch *batch_at(const struct store *store, const struct data_file *file,
                                            uint32_t offset)
{
    return file->kind == DATA_FILE_SEGMENT ? journal_find(&store->journal, file->number, offset)
                                           : NULL;
}

static int peek(struct store *store, store_location location, size_t size, bool wait,
                const uint8_t **bytes, size_t *bytes_size)
{
    const struct data_file *file = data_files_at(&store->files, location);
    uint32_t offset = data_file_offset(location);
    const struct journal_batch *batch;
    uint8_t *out;
    int64_t got;

    assert(file);
    batch = batch_at(store, file, offset);
    store->peeked_file = !batch;
    if (batch) {
        size_t left = batch->offset + batch->length - offset;

        *bytes = batch->bytes + (offset - batch->offset);
        *bytes_size = size < left ? size : left;
        return 0;
    }
    assert(offset < file->length);
    if (size > file->length - offset)
        size = file->length - offset;
    out = scratch_take(store, size);
    if (!out)
        return STORE_E_AGAIN; /* a read job brings its own memory */
    got = wait ? vfs_pread(file->file, out, size, offset)
               : vfs_pread_nowait(file->file, out, size, offset);
    if (got == -EAGAIN)
        return STORE_E_AGAIN;
    if (got < 0)
        return (int)got;
    *bytes = out;
    *bytes_size = (size_t)got;
    return 0;
}

int store_peek(struct store *store, store_location location, size_t size, const uint8_t **bytes,
               size_t *bytes_size)
{
    return peek(store, location, size, false, bytes, bytes_size);
}

bool store_peeked_file(const struct store *store)
{
    return store->peeked_file;
}

bool store_recent(const struct store *store, store_location location)
{
    const struct data_file *file = data_files_at(&store->files, location);

    assert(file);
    return batch_at(store, file, data_file_offset(location)) != NULL;
}

void store_pin(struct store *store, store_location location)
{
    data_files_at(&store->files, location)->pins++;
}

void store_unpin(struct store *store, store_location location)
{
    struct data_file *file = data_files_at(&store->files, location);

    assert(file && file->pins > 0);
    file->pins--;
}

/* --- the applied state --------------------------------------------------------------------- */

void store_prefetch(const struct store *store, uint16_t partition,
                    const struct keydir_digest *digest)
{
    keydir_prefetch(store_partition(store, partition)->keydir, digest);
}

int store_apply(struct store *store, uint16_t partition, const struct keydir_digest *digest,
                store_location location, uint32_t record_size, bool tombstone, bool expires)
{
    struct store_partition *part = store_partition(store, partition);
    struct data_file *file = data_files_at(&store->files, location);
    struct keydir_entry old;
    int r;

    assert(part && part->is_hosted && file);
    store_scratch_reset(store);
    if (store->cache)
        cache_drop(store->cache, partition, digest);
    r = keydir_put(part->keydir, digest, location, record_size, tombstone, expires, &old);
    if (r < 0)
        return r;
    store_record_lives(store, file, keydir_size_class_max(record_size));
    if (r == KEYDIR_E_OK)
        store_record_dies(store, &old);
    return 0;
}

uint64_t store_keys(const struct store *store, uint16_t partition)
{
    const struct store_partition *part = store_partition(store, partition);

    assert(part && part->is_hosted);
    return keydir_count(part->keydir) - keydir_tombstones(part->keydir);
}

uint64_t store_live_bytes(const struct store *store, uint16_t partition)
{
    const struct store_partition *part = store_partition(store, partition);

    assert(part && part->is_hosted);
    return keydir_live_bytes(part->keydir);
}

uint64_t store_expiring(const struct store *store, uint16_t partition)
{
    const struct store_partition *part = store_partition(store, partition);

    assert(part && part->is_hosted);
    return keydir_expiring(part->keydir);
}

void store_slice(const struct store *store, uint16_t partition, struct keydir_slice *slice)
{
    const struct store_partition *part = store_partition(store, partition);

    assert(part && part->is_hosted);
    keydir_slice(part->keydir, slice);
}

void store_retain(struct store *store, uint16_t partition, uint64_t first_index)
{
    struct store_partition *part = store_partition(store, partition);

    assert(part && part->is_hosted);
    if (first_index > part->retain)
        part->retain = first_index;
}

void store_checkpoint_soon(struct store *store)
{
    store->checkpoint_asked = true;
}

struct digest_walk {
    struct store *store;
    uint64_t sum;
};

static int digest_entry(void *context, const struct keydir_digest *digest,
                        const struct keydir_entry *entry)
{
    struct digest_walk *walk = context;
    const uint8_t *bytes = NULL;
    struct record record;
    size_t size = 0;
    int r;

    (void)digest;
    if (entry->tombstone) /* replicas let them go at different times */
        return 0;
    store_scratch_reset(walk->store);
    r = peek(walk->store, entry->location, entry->size_max, true, &bytes, &size);
    if (r != 0)
        return r;
    if (record_decode(bytes, size, &record) != 0)
        return STORE_E_CORRUPT;
    r = store_expand(walk->store, &record);
    if (r != 0)
        return r;
    walk->sum += checksum_seeded(record.value, record.value_size,
                                 checksum_seeded(record.key, record.key_size, 0));
    return 0;
}

int store_digest(struct store *store, uint16_t partition, uint64_t *digest)
{
    struct store_partition *part = store_partition(store, partition);
    struct digest_walk walk = {.store = store};
    int r;

    assert(part && part->is_hosted);
    r = keydir_walk(part->keydir, digest_entry, &walk);
    *digest = walk.sum;
    return r;
}

/* --- invariants ---------------------------------------------------------------------------- */

struct check_walk {
    const struct store *store;
    uint64_t *live_records; /* by slot */
    uint64_t *live_bytes;
};

static int check_entry(void *context, const struct keydir_digest *digest,
                       const struct keydir_entry *entry)
{
    struct check_walk *walk = context;
    const struct data_file *file = data_files_at(&walk->store->files, entry->location);
    uint32_t offset = data_file_offset(entry->location);

    (void)digest;
    assert(file);
    if (file->kind == DATA_FILE_SEGMENT) {
        assert(((const struct journal_segment *)file)->state != JOURNAL_SEGMENT_PREPARED);
        assert(((const struct journal_segment *)file)->state != JOURNAL_SEGMENT_DROPPING);
    }
    assert(batch_at(walk->store, file, offset) || offset < file->length);
    walk->live_records[file->slot]++;
    walk->live_bytes[file->slot] += entry->size_max;
    return 0;
}

static void check_segments(const struct store *store)
{
    const struct journal_segments *segments = &store->segments;

    for (size_t i = 0; i < segments->count; i++) {
        const struct journal_segment *segment = segments->items[i];

        assert(store->files.slots[segment->base.slot] == &segment->base);
        assert(i == 0 || segments->items[i - 1]->base.number < segment->base.number);
        assert(segment->base.length <= segment->capacity);
    }
}

void store_check(const struct store *store)
{
    size_t slots = store->files.slot_count > 0 ? store->files.slot_count : 1;
    struct check_walk walk = {
        .store = store,
        .live_records = calloc(slots, sizeof(uint64_t)),
        .live_bytes = calloc(slots, sizeof(uint64_t)),
    };

    journal_check(&store->journal);
    check_segments(store);
    for (size_t i = 0; walk.live_records && walk.live_bytes && i < store->hosted_count; i++) {
        const struct store_partition *part = store_partition(store, store->hosted[i]);

        keydir_check(part->keydir);
        keydir_walk(part->keydir, check_entry, &walk);
    }
    for (size_t i = 0; walk.live_records && walk.live_bytes && i < store->files.slot_count; i++) {
        const struct data_file *file = store->files.slots[i];

        if (!file)
            continue;
        assert(file->slot == i);
        assert(file->live_records == walk.live_records[i]);
        assert(file->live_bytes == walk.live_bytes[i]);
    }
    store_totals_check(store);
    free(walk.live_records);
    free(walk.live_bytes);
}
