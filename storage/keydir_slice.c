#include "storage/keydir_internal.h"

#include <assert.h>

static void items_swap(struct keydir_item *a, struct keydir_item *b)
{
    struct keydir_item other = *a;
    *a = *b;
    *b = other;
}

/* items[0 … count) is a heap with the largest position first, but for items[at]. */
static void items_sift_down(struct keydir_item *items, uint32_t count, uint32_t at)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count)
            return;
        if (child + 1 < count &&
            keydir_position(&items[child + 1].digest) > keydir_position(&items[child].digest))
            child++;
        if (keydir_position(&items[child].digest) <= keydir_position(&items[at].digest))
            return;
        items_swap(&items[child], &items[at]);
        at = child;
    }
}

static void items_push(struct keydir_item *items, uint32_t *count, const struct keydir_item *item)
{
    uint32_t at = (*count)++;
    items[at] = *item;
    while (at > 0 &&
           keydir_position(&items[(at - 1) / 2].digest) < keydir_position(&items[at].digest)) {
        items_swap(&items[(at - 1) / 2], &items[at]);
        at = (at - 1) / 2;
    }
}

static void items_sort(struct keydir_item *items, uint32_t count)
{
    for (uint32_t left = count; left > 1; left--) {
        items_swap(&items[0], &items[left - 1]);
        items_sift_down(items, left - 1, 0);
    }
}

static bool entry_passes(const struct keydir_entry *entry, uint8_t filter)
{
    if (filter == KEYDIR_EXPIRING)
        return entry_expiring(entry);
    return filter == KEYDIR_ALL || !entry->tombstone;
}

/* Adds those of one segment with the lowest positions. Returns the lowest that found no room, 0
 * when all did. */
static uint64_t slice_segment(const struct segment *segment, struct keydir_slice *slice)
{
    struct keydir_item *items = slice->items + slice->count;
    uint32_t room = slice->items_max - slice->count;
    uint32_t count = 0;
    uint64_t next = 0;
    for (uint32_t i = 0; i < segment->capacity; i++) {
        const struct slot *slot = &segment->slots[i];
        if (slot_is_empty(slot) || slot_prefix(slot) < slice->from)
            continue;
        struct keydir_item item = {
            .digest = {.high = slot->meta >> META_DIGEST_SHIFT, .low = slot->low},
            .entry = keydir_slot_entry(slot)};
        if (!entry_passes(&item.entry, slice->filter))
            continue;
        if (count < room) {
            items_push(items, &count, &item);
            continue;
        }
        if (slot_prefix(slot) < keydir_position(&items[0].digest)) {
            items_swap(&items[0], &item);
            items_sift_down(items, count, 0);
        }
        if (next == 0 || keydir_position(&item.digest) < next)
            next = keydir_position(&item.digest);
    }
    items_sort(items, count);
    slice->count += count;
    return next;
}

void keydir_slice(const struct keydir *keydir, struct keydir_slice *slice)
{
    assert(slice->items_max > 0);
    struct slot from = {.meta = slice->from >> 48 << META_DIGEST_SHIFT, .low = slice->from << 16};
    size_t size = (size_t)1 << keydir->depth;
    size_t first = directory_index(&from, keydir->depth);
    uint64_t walked = 0;
    slice->count = 0;
    slice->next = 0;
    first -= first % ((size_t)1 << (keydir->depth - keydir->directory[first].segment->depth));
    while (first < size) {
        const struct segment *segment = keydir->directory[first].segment;
        slice->next = slice_segment(segment, slice);
        first = keydir_segment_end(keydir, first);
        walked += segment->count;
        if (slice->next != 0 || first == size)
            return;
        if (slice->count == slice->items_max || walked >= slice->walk_max) {
            slice->next = directory_prefix(first, keydir->depth);
            return;
        }
    }
}
