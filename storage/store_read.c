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

static int peek(struct store *store, store_location location, size_t size, bool wait,
                const uint8_t **bytes, size_t *bytes_size)
{
    const struct journal_segment *segment = journal_segments_at(&store->segments, location);
    uint32_t offset = journal_location_offset(location);
    const struct journal_batch *batch;
    uint8_t *out;
    int64_t got;

    assert(segment);
    batch = journal_find(&store->journal, segment->number, offset);
    if (batch) {
        size_t left = batch->offset + batch->length - offset;

        *bytes = batch->bytes + (offset - batch->offset);
        *bytes_size = size < left ? size : left;
        return 0;
    }
    assert(offset < segment->position);
    if (size > segment->position - offset)
        size = segment->position - offset;
    out = scratch_take(store, size);
    if (!out)
        return STORE_E_AGAIN; /* a read job brings its own memory */
    got = wait ? vfs_pread(segment->file, out, size, offset)
               : vfs_pread_nowait(segment->file, out, size, offset);
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

bool store_recent(const struct store *store, store_location location)
{
    const struct journal_segment *segment = journal_segments_at(&store->segments, location);

    assert(segment);
    return journal_find(&store->journal, segment->number, journal_location_offset(location)) !=
           NULL;
}

/* --- the applied state --------------------------------------------------------------------- */

/* A record that nothing points at any more; its segment may have become free to go. */
static void record_dies(struct store *store, const struct keydir_entry *old)
{
    struct journal_segment *segment = journal_segments_at(&store->segments, old->location);

    assert(segment && segment->live_records > 0);
    segment->live_records--;
    segment->live_bytes -= old->size_max;
    segment->mark = store->checkpoints_taken;
}

void store_prefetch(const struct store *store, uint16_t partition,
                    const struct keydir_digest *digest)
{
    keydir_prefetch(store_partition(store, partition)->keydir, digest);
}

int store_apply(struct store *store, uint16_t partition, const struct keydir_digest *digest,
                store_location location, uint32_t record_size, bool tombstone, bool expires)
{
    struct store_partition *part = store_partition(store, partition);
    struct journal_segment *segment = journal_segments_at(&store->segments, location);
    struct keydir_entry old;
    int r;

    assert(part && part->is_hosted && segment);
    store_scratch_reset(store);
    r = keydir_put(part->keydir, digest, location, record_size, tombstone, expires, &old);
    if (r < 0)
        return r;
    segment->live_records++;
    segment->live_bytes += keydir_size_class_max(record_size);
    if (r == KEYDIR_E_OK)
        record_dies(store, &old);
    return 0;
}

uint64_t store_keys(const struct store *store, uint16_t partition)
{
    const struct store_partition *part = store_partition(store, partition);

    assert(part && part->is_hosted);
    return keydir_count(part->keydir) - keydir_tombstones(part->keydir);
}

void store_retain(struct store *store, uint16_t partition, uint64_t first_index)
{
    struct store_partition *part = store_partition(store, partition);

    assert(part && part->is_hosted);
    if (first_index > part->retain)
        part->retain = first_index;
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
    store_scratch_reset(walk->store);
    r = peek(walk->store, entry->location, entry->size_max, true, &bytes, &size);
    if (r != 0)
        return r;
    if (record_decode(bytes, size, &record) != 0)
        return STORE_E_CORRUPT;
    walk->sum += checksum_seeded(record.value, record.value_size,
                                 checksum_seeded(record.key, record.key_size, entry->tombstone));
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
    const struct journal_segment *segment =
        journal_segments_at(&walk->store->segments, entry->location);
    const struct journal_batch *batch;
    uint32_t offset = journal_location_offset(entry->location);

    (void)digest;
    assert(segment);
    assert(segment->state != JOURNAL_SEGMENT_PREPARED);
    assert(segment->state != JOURNAL_SEGMENT_DROPPING);
    batch = journal_find(&walk->store->journal, segment->number, offset);
    assert(batch || offset < segment->position);
    walk->live_records[segment->slot]++;
    walk->live_bytes[segment->slot] += entry->size_max;
    return 0;
}

void store_check(const struct store *store)
{
    const struct journal_segments *segments = &store->segments;
    size_t slots = segments->slot_count > 0 ? segments->slot_count : 1;
    struct check_walk walk = {
        .store = store,
        .live_records = calloc(slots, sizeof(uint64_t)),
        .live_bytes = calloc(slots, sizeof(uint64_t)),
    };

    journal_check(&store->journal);
    for (size_t i = 0; walk.live_records && walk.live_bytes && i < store->hosted_count; i++) {
        const struct store_partition *part = store_partition(store, store->hosted[i]);

        keydir_check(part->keydir);
        keydir_walk(part->keydir, check_entry, &walk);
    }
    for (size_t i = 0; walk.live_records && walk.live_bytes && i < segments->count; i++) {
        const struct journal_segment *segment = segments->items[i];

        assert(segments->slots[segment->slot] == segment);
        assert(i == 0 || segments->items[i - 1]->number < segment->number);
        assert(segment->position <= segment->capacity);
        assert(segment->live_records == walk.live_records[segment->slot]);
        assert(segment->live_bytes == walk.live_bytes[segment->slot]);
    }
    free(walk.live_records);
    free(walk.live_bytes);
}
