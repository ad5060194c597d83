#include "storage/keydir_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Upper bounds of the 64 size classes: from the smallest record on by a factor of 1.2156, rounded
 * up to 16 B, so that a read sized by its class fetches 10 % too much on average. */
static const uint32_t size_classes[64] = {
    48,      64,      80,      112,     144,     176,      224,      272,
    336,     416,     512,     624,     768,     944,      1152,     1408,
    1712,    2096,    2560,    3120,    3792,    4624,     5632,     6848,
    8336,    10144,   12336,   15008,   18256,   22192,    26976,    32800,
    39872,   48480,   58944,   71648,   87104,   105888,   128720,   156464,
    190192,  231200,  281040,  341616,  415248,  504752,   613552,   745808,
    906560,  1101968, 1339488, 1628208, 1979152, 2405744,  2924272,  3554576,
    4320720, 5252000, 6384016, 7760016, 9432592, 11465680, 13936976, KEYDIR_SIZE_MAX,
};

static uint64_t size_class(uint32_t size)
{
    assert(size <= KEYDIR_SIZE_MAX);
    uint32_t low = 0;
    uint32_t high = 63;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (size_classes[middle] < size)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t keydir_size_class_max(uint32_t size)
{
    return size_classes[size_class(size)];
}

static bool slot_same_key(const struct slot *slot, const struct slot *other)
{
    return slot->low == other->low && (slot->meta ^ other->meta) >> META_DIGEST_SHIFT == 0;
}

/* A slot that has a key and nothing else: location 0. */
static struct slot slot_of(const struct keydir_digest *digest)
{
    return (struct slot){.meta = digest->high << META_DIGEST_SHIFT, .low = digest->low};
}

struct keydir_entry keydir_slot_entry(const struct slot *slot)
{
    return (struct keydir_entry){
        .location = slot->meta & META_LOCATION,
        .size_max = size_classes[(slot->meta & META_CLASS) >> META_CLASS_SHIFT],
        .tombstone = slot->meta & META_TOMBSTONE,
        .expires = slot->meta & META_EXPIRES,
    };
}

/* What a block takes from the C library's heap: 8 B of its own, rounded up to 16. */
static size_t heap_size(size_t size)
{
    size_t total = (size + 8 + 15) / 16 * 16;
    return total < 32 ? 32 : total;
}

static size_t segment_size(uint32_t capacity)
{
    return sizeof(struct segment) + capacity * sizeof(struct slot);
}

/* Keys that a segment of this capacity takes before it must grow. */
static uint32_t segment_limit(uint32_t capacity)
{
    return capacity - (capacity + 7) / 8;
}

static uint32_t segment_capacity_next(uint32_t capacity)
{
    uint32_t step = (capacity / 8 + 1) & ~1u;
    uint32_t next = capacity + (step < 2 ? 2 : step);
    if (capacity < SEGMENT_CAPACITY_MAX && next > SEGMENT_CAPACITY_MAX)
        return SEGMENT_CAPACITY_MAX;
    return next;
}

static uint32_t segment_capacity_for(uint32_t count)
{
    uint32_t capacity = SEGMENT_CAPACITY_MIN;
    while (segment_limit(capacity) < count)
        capacity = segment_capacity_next(capacity);
    return capacity;
}

static struct segment *segment_new(uint32_t capacity, uint32_t depth)
{
    struct segment *segment = malloc(segment_size(capacity));
    if (!segment)
        return NULL;
    segment->capacity = capacity;
    segment->count = 0;
    segment->depth = depth;
    memset(segment->slots, 0xff, capacity * sizeof(struct slot)); /* empty */
    return segment;
}

/* Where a key's probe begins. The bits are mixed, which true digests would not need, so that
 * neighbouring ones spread. A larger capacity keeps the order: growing moves slots almost
 * straight. */
static uint32_t capacity_home(uint32_t capacity, const struct slot *slot)
{
    uint64_t mixed = (slot->low * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
    return (uint32_t)(mixed * capacity >> 32);
}

static uint32_t segment_home(const struct segment *segment, const struct slot *slot)
{
    return capacity_home(segment->capacity, slot);
}

static uint32_t segment_after(const struct segment *segment, uint32_t index)
{
    return index + 1 == segment->capacity ? 0 : index + 1;
}

/* How far the slot at index lies behind its home. */
static uint32_t segment_distance(const struct segment *segment, uint32_t index)
{
    uint32_t home = segment_home(segment, &segment->slots[index]);
    return index >= home ? index - home : index + segment->capacity - home;
}

/* Invariant of Robin Hood: along a probe nobody lies nearer to home than the key that passes by.
 * Meeting one that does proves that the key is absent. */
static struct slot *segment_find(struct segment *segment, const struct slot *key)
{
    uint32_t index = segment_home(segment, key);
    for (uint32_t distance = 0;; distance++) {
        struct slot *slot = &segment->slots[index];
        if (slot_is_empty(slot))
            return NULL;
        if (slot_same_key(slot, key))
            return slot;
        if (segment_distance(segment, index) < distance)
            return NULL;
        index = segment_after(segment, index);
    }
}

/* The key is absent and there is room. */
static void segment_insert(struct segment *segment, struct slot slot)
{
    assert(segment->count + 1 < segment->capacity);
    uint32_t index = segment_home(segment, &slot);
    for (uint32_t distance = 0; !slot_is_empty(&segment->slots[index]); distance++) {
        uint32_t theirs = segment_distance(segment, index);
        if (theirs < distance) {
            struct slot displaced = segment->slots[index];
            segment->slots[index] = slot;
            slot = displaced;
            distance = theirs;
        }
        index = segment_after(segment, index);
    }
    segment->slots[index] = slot;
    segment->count++;
}

/* Backward shift: those behind move one nearer to home, until one that is at home or a gap. */
static void segment_erase(struct segment *segment, struct slot *slot)
{
    uint32_t hole = (uint32_t)(slot - segment->slots);
    uint32_t index = segment_after(segment, hole);
    while (!slot_is_empty(&segment->slots[index]) && segment_distance(segment, index) > 0) {
        segment->slots[hole] = segment->slots[index];
        hole = index;
        index = segment_after(segment, index);
    }
    memset(&segment->slots[hole], 0xff, sizeof(struct slot));
    segment->count--;
}

static struct segment *keydir_segment(const struct keydir *keydir, const struct slot *key)
{
    return keydir->directory[directory_index(key, keydir->depth)].segment;
}

/* Lets the slot where the key's probe begins come nearer, without a look at the segment. */
static struct segment *keydir_approach(const struct keydir *keydir, const struct slot *key)
{
    const struct directory_entry *entry = &keydir->directory[directory_index(key, keydir->depth)];

    __builtin_prefetch(&entry->segment->slots[capacity_home(entry->capacity, key)]);
    return entry->segment;
}

static struct directory_entry directory_entry(struct segment *segment)
{
    return (struct directory_entry){.segment = segment, .capacity = segment->capacity};
}

/* Replaces `old` in the directory: by `lower` where the bit after its own is 0, else by `upper`.
 * `key` is any digest that leads to old. */
static void keydir_point(struct keydir *keydir, const struct segment *old, const struct slot *key,
                         struct segment *lower, struct segment *upper)
{
    uint32_t free_bits = keydir->depth - old->depth;
    size_t span = (size_t)1 << free_bits;
    size_t first = directory_index(key, keydir->depth) >> free_bits << free_bits;
    assert(span > 1 || lower == upper);
    for (size_t i = 0; i < span; i++)
        keydir->directory[first + i] = directory_entry(i < span / 2 ? lower : upper);
}

static int keydir_resize(struct keydir *keydir, struct segment *old, const struct slot *key,
                         uint32_t capacity)
{
    struct segment *segment = segment_new(capacity, old->depth);
    if (!segment)
        return -ENOMEM;
    for (uint32_t i = 0; i < old->capacity; i++) {
        if (!slot_is_empty(&old->slots[i]))
            segment_insert(segment, old->slots[i]);
    }
    keydir_point(keydir, old, key, segment, segment);
    keydir->memory += heap_size(segment_size(capacity));
    keydir->memory -= heap_size(segment_size(old->capacity));
    free(old);
    return 0;
}

/* Whether one more directory bit is worth its memory. Evenly spread digests need 16 B for some 300
 * keys, four times as much when luck is bad. Digests with a common beginning would ask for ever
 * more bits without parting: they get a segment beyond the usual size instead. */
static bool keydir_may_split(const struct keydir *keydir, const struct segment *segment)
{
    if (segment->depth < keydir->depth)
        return true;
    if (keydir->depth == DEPTH_MAX)
        return false;
    return (UINT64_C(2) << keydir->depth) <= DIRECTORY_SIZE_MIN + keydir->count / 16;
}

int keydir_double(struct keydir *keydir)
{
    size_t size = (size_t)1 << keydir->depth;
    struct directory_entry *directory = malloc(2 * size * sizeof(*directory));
    if (!directory)
        return -ENOMEM;
    for (size_t i = 0; i < 2 * size; i++)
        directory[i] = keydir->directory[i / 2];
    keydir->memory += heap_size(2 * size * sizeof(struct directory_entry));
    keydir->memory -= heap_size(size * sizeof(struct directory_entry));
    free(keydir->directory);
    keydir->directory = directory;
    keydir->depth++;
    return 0;
}

/* The bit that parts the keys of a segment of this depth. */
static uint32_t slot_side(const struct slot *slot, uint32_t depth)
{
    return slot_place(slot) >> (31 - depth) & 1;
}

static int keydir_split(struct keydir *keydir, struct segment *old, const struct slot *key)
{
    if (old->depth == keydir->depth) {
        int r = keydir_double(keydir); /* stays when what follows fails: it changes no content */
        if (r < 0)
            return r;
    }
    uint32_t counts[2] = {0, 0};
    for (uint32_t i = 0; i < old->capacity; i++) {
        if (!slot_is_empty(&old->slots[i]))
            counts[slot_side(&old->slots[i], old->depth)]++;
    }
    struct segment *sides[2];
    for (int i = 0; i < 2; i++)
        sides[i] = segment_new(segment_capacity_for(counts[i] + 1), old->depth + 1);
    if (!sides[0] || !sides[1]) {
        free(sides[0]);
        free(sides[1]);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < old->capacity; i++) {
        if (!slot_is_empty(&old->slots[i]))
            segment_insert(sides[slot_side(&old->slots[i], old->depth)], old->slots[i]);
    }
    keydir_point(keydir, old, key, sides[0], sides[1]);
    keydir->memory += heap_size(segment_size(sides[0]->capacity));
    keydir->memory += heap_size(segment_size(sides[1]->capacity));
    keydir->memory -= heap_size(segment_size(old->capacity));
    free(old);
    return 0;
}

/* Makes room for one more key in the segment of `key`. */
static int keydir_make_room(struct keydir *keydir, const struct slot *key)
{
    for (;;) {
        struct segment *segment = keydir_segment(keydir, key);
        if (segment->count < segment_limit(segment->capacity))
            return 0;
        int r;
        if (segment->capacity >= SEGMENT_CAPACITY_MAX && keydir_may_split(keydir, segment))
            r = keydir_split(keydir, segment, key);
        else
            r = keydir_resize(keydir, segment, key, segment_capacity_next(segment->capacity));
        if (r < 0)
            return r;
    }
}

/* All slots share `depth` leading bits of their places, and their segment is empty. */
int keydir_fill(struct keydir *keydir, const struct slot *slots, size_t count, uint32_t depth)
{
    struct segment *segment = keydir_segment(keydir, slots);
    int r = 0;
    while (r == 0 && segment->depth < depth) {
        r = keydir_split(keydir, segment, slots);
        segment = keydir_segment(keydir, slots);
    }
    if (r < 0)
        return r;
    assert(segment->count == 0);
    if (count > segment_limit(SEGMENT_CAPACITY_MAX) && keydir_may_split(keydir, segment)) {
        size_t lower = 0;
        while (lower < count && slot_side(&slots[lower], depth) == 0)
            lower++;
        if (lower > 0)
            r = keydir_fill(keydir, slots, lower, depth + 1);
        if (r == 0 && lower < count)
            r = keydir_fill(keydir, slots + lower, count - lower, depth + 1);
        return r;
    }
    assert(count <= UINT32_MAX / 2);
    r = keydir_resize(keydir, segment, slots, segment_capacity_for((uint32_t)count));
    if (r < 0)
        return r;
    segment = keydir_segment(keydir, slots);
    for (size_t i = 0; i < count; i++) {
        struct keydir_entry entry = keydir_slot_entry(&slots[i]);
        segment_insert(segment, slots[i]);
        keydir->tombstones += entry.tombstone;
        keydir->expiring += entry_expiring(&entry);
        keydir->live_bytes += entry_live(&entry);
    }
    keydir->count += count;
    return 0;
}

struct keydir *keydir_new(void)
{
    struct keydir *keydir = calloc(1, sizeof *keydir);
    if (!keydir)
        return NULL;
    keydir->directory = malloc(sizeof(*keydir->directory));
    struct segment *segment = segment_new(SEGMENT_CAPACITY_MIN, 0);
    if (!keydir->directory || !segment) {
        free(segment);
        free(keydir->directory);
        free(keydir);
        return NULL;
    }
    keydir->directory[0] = directory_entry(segment);
    keydir->memory = heap_size(sizeof *keydir) + heap_size(sizeof(*keydir->directory)) +
                     heap_size(segment_size(SEGMENT_CAPACITY_MIN));
    return keydir;
}

struct keydir *keydir_free(struct keydir *keydir)
{
    if (!keydir)
        return NULL;
    size_t size = (size_t)1 << keydir->depth;
    for (size_t i = 0, end; i < size; i = end) {
        end = keydir_segment_end(keydir, i);
        free(keydir->directory[i].segment);
    }
    free(keydir->directory);
    free(keydir);
    return NULL;
}

void keydir_prefetch(const struct keydir *keydir, const struct keydir_digest *digest)
{
    struct slot key = slot_of(digest);
    (void)keydir_approach(keydir, &key);
}

int keydir_get(const struct keydir *keydir, const struct keydir_digest *digest,
               struct keydir_entry *out)
{
    struct slot key = slot_of(digest);
    const struct slot *slot = segment_find(keydir_approach(keydir, &key), &key);
    if (!slot)
        return KEYDIR_E_ABSENT;
    *out = keydir_slot_entry(slot);
    return 0;
}

struct slot keydir_slot(const struct keydir_digest *digest, uint64_t location, uint32_t size,
                        bool tombstone, bool expires)
{
    assert(location <= KEYDIR_LOCATION_MAX);
    struct slot slot = slot_of(digest);
    slot.meta |= location | size_class(size) << META_CLASS_SHIFT;
    slot.meta |= (tombstone ? META_TOMBSTONE : 0) | (expires ? META_EXPIRES : 0);
    return slot;
}

int keydir_put(struct keydir *keydir, const struct keydir_digest *digest, uint64_t location,
               uint32_t size, bool tombstone, bool expires, struct keydir_entry *old)
{
    struct slot key = keydir_slot(digest, location, size, tombstone, expires);
    struct keydir_entry after = keydir_slot_entry(&key);
    struct slot *slot = segment_find(keydir_approach(keydir, &key), &key);
    if (slot) {
        struct keydir_entry before = keydir_slot_entry(slot);
        if (old)
            *old = before;
        keydir->tombstones = keydir->tombstones - before.tombstone + tombstone;
        keydir->expiring = keydir->expiring - entry_expiring(&before) + entry_expiring(&after);
        keydir->live_bytes = keydir->live_bytes - entry_live(&before) + entry_live(&after);
        slot->meta = key.meta;
        return KEYDIR_E_OK;
    }
    int r = keydir_make_room(keydir, &key);
    if (r < 0)
        return r;
    segment_insert(keydir_segment(keydir, &key), key);
    keydir->count++;
    keydir->tombstones += tombstone;
    keydir->expiring += entry_expiring(&after);
    keydir->live_bytes += entry_live(&after);
    return KEYDIR_E_ABSENT;
}

int keydir_move(struct keydir *keydir, const struct keydir_digest *digest, uint64_t expected,
                uint64_t location)
{
    assert(location <= KEYDIR_LOCATION_MAX);
    struct slot key = slot_of(digest);
    struct slot *slot = segment_find(keydir_segment(keydir, &key), &key);
    if (!slot || (slot->meta & META_LOCATION) != expected)
        return KEYDIR_E_ABSENT;
    slot->meta = (slot->meta & ~META_LOCATION) | location;
    return 0;
}

int keydir_remove(struct keydir *keydir, const struct keydir_digest *digest)
{
    struct slot key = slot_of(digest);
    struct segment *segment = keydir_segment(keydir, &key);
    struct slot *slot = segment_find(segment, &key);
    if (!slot)
        return KEYDIR_E_ABSENT;
    struct keydir_entry entry = keydir_slot_entry(slot);
    keydir->count--;
    keydir->tombstones -= entry.tombstone;
    keydir->expiring -= entry_expiring(&entry);
    keydir->live_bytes -= entry_live(&entry);
    segment_erase(segment, slot);
    if (segment->capacity > SEGMENT_CAPACITY_MIN && segment->count < segment->capacity / 8 * 5) {
        uint32_t capacity = segment_capacity_for(segment->count + segment->count / 8 + 1);
        if (capacity < segment->capacity)
            (void)keydir_resize(keydir, segment, &key, capacity); /* no memory: it stays as it is */
    }
    return 0;
}

uint64_t keydir_count(const struct keydir *keydir)
{
    return keydir->count;
}

uint64_t keydir_tombstones(const struct keydir *keydir)
{
    return keydir->tombstones;
}

uint64_t keydir_expiring(const struct keydir *keydir)
{
    return keydir->expiring;
}

uint64_t keydir_live_bytes(const struct keydir *keydir)
{
    return keydir->live_bytes;
}

size_t keydir_memory(const struct keydir *keydir)
{
    return keydir->memory;
}

int keydir_walk(const struct keydir *keydir, keydir_visit visit, void *context)
{
    size_t size = (size_t)1 << keydir->depth;
    for (size_t i = 0; i < size; i = keydir_segment_end(keydir, i)) {
        const struct segment *segment = keydir->directory[i].segment;
        for (uint32_t j = 0; j < segment->capacity; j++) {
            const struct slot *slot = &segment->slots[j];
            if (slot_is_empty(slot))
                continue;
            struct keydir_digest digest = {.high = slot->meta >> META_DIGEST_SHIFT,
                                           .low = slot->low};
            struct keydir_entry entry = keydir_slot_entry(slot);
            int r = visit(context, &digest, &entry);
            if (r != 0)
                return r;
        }
    }
    return 0;
}

/* What keydir_check() counts again. */
struct keydir_sums {
    uint64_t count, tombstones, expiring, live_bytes;
};

/* Of one segment, whose directory entries begin at `first`. */
static void keydir_check_segment(const struct keydir *keydir, size_t first,
                                 struct keydir_sums *sums)
{
    struct segment *segment = keydir->directory[first].segment;
    uint32_t count = 0;
    assert(segment->capacity >= SEGMENT_CAPACITY_MIN);
    assert(segment->count <= segment_limit(segment->capacity));
    for (uint32_t i = 0; i < segment->capacity; i++) {
        struct slot *slot = &segment->slots[i];
        if (slot_is_empty(slot))
            continue;
        count++;
        struct keydir_entry entry = keydir_slot_entry(slot);
        sums->tombstones += entry.tombstone;
        sums->expiring += entry_expiring(&entry);
        sums->live_bytes += entry_live(&entry);
        assert(keydir_segment(keydir, slot) == segment);
        assert(segment_find(segment, slot) == slot); /* reachable, and no other has its key */
        uint32_t before = i == 0 ? segment->capacity - 1 : i - 1;
        bool gap = slot_is_empty(&segment->slots[before]);
        uint32_t distance = segment_distance(segment, i);
        assert(distance <= (gap ? 0 : segment_distance(segment, before) + 1)); /* Robin Hood */
    }
    assert(count == segment->count);
    sums->count += count;
}

void keydir_check(const struct keydir *keydir)
{
    struct keydir_sums sums = {0};
    size_t size = (size_t)1 << keydir->depth;
    size_t memory = heap_size(sizeof *keydir) + heap_size(size * sizeof(struct directory_entry));
    for (size_t i = 0, end; i < size; i = end) {
        const struct segment *segment = keydir->directory[i].segment;
        assert(segment->depth <= keydir->depth);
        end = keydir_segment_end(keydir, i);
        assert(i % (end - i) == 0);
        assert(end <= size);
        for (size_t j = i; j < end; j++) {
            assert(keydir->directory[j].segment == segment);
            assert(keydir->directory[j].capacity == segment->capacity);
        }
        keydir_check_segment(keydir, i, &sums);
        memory += heap_size(segment_size(segment->capacity));
    }
    assert(sums.count == keydir->count);
    assert(sums.tombstones == keydir->tombstones);
    assert(sums.expiring == keydir->expiring);
    assert(sums.live_bytes == keydir->live_bytes);
    assert(memory == keydir->memory);
}
