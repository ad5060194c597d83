#include "storage/key_index.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/grow.h"

#define LEAF_SIZE 4096u

struct place {
    uint16_t offset;
    uint16_t size;
};

/* places[0 … count) grow from the front of the bytes, keys from their end; what removed keys leave
 * behind is gathered when room runs out. */
struct leaf {
    uint32_t capacity; /* of bytes */
    uint32_t floor;    /* the keys begin here */
    uint32_t used;     /* bytes of keys that are in places */
    uint32_t count;
    _Alignas(struct place) uint8_t bytes[];
};

struct key_index {
    struct leaf **leaves;
    size_t count;
    size_t capacity;
    uint64_t keys;
    size_t memory;
};

int key_index_compare(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    int r = memcmp(a, b, a_size < b_size ? a_size : b_size);

    return r != 0 ? r : (a_size > b_size) - (a_size < b_size);
}

/* --- one leaf ------------------------------------------------------------------------------ */

static struct place *leaf_places(struct leaf *leaf)
{
    return (struct place *)(void *)leaf->bytes;
}

static const uint8_t *leaf_key(const struct leaf *leaf, size_t i, size_t *size)
{
    const struct place *place = (const struct place *)(const void *)leaf->bytes + i;

    *size = place->size;
    return leaf->bytes + place->offset;
}

static struct leaf *leaf_new(struct key_index *key_index, uint32_t capacity)
{
    struct leaf *leaf = malloc(sizeof(*leaf) + capacity);

    if (!leaf)
        return NULL;
    *leaf = (struct leaf){.capacity = capacity, .floor = capacity};
    key_index->memory += sizeof(*leaf) + capacity;
    return leaf;
}

static void leaf_free(struct key_index *key_index, struct leaf *leaf)
{
    key_index->memory -= sizeof(*leaf) + leaf->capacity;
    free(leaf);
}

static size_t leaf_used(const struct leaf *leaf)
{
    return leaf->used + leaf->count * sizeof(struct place);
}

/* Where the key is or would be. */
static size_t leaf_find(const struct leaf *leaf, const uint8_t *key, size_t size, bool *found)
{
    size_t low = 0, high = leaf->count;

    *found = false;
    while (low < high) {
        size_t middle = (low + high) / 2, other_size;
        const uint8_t *other = leaf_key(leaf, middle, &other_size);
        int order = key_index_compare(other, other_size, key, size);

        if (order == 0)
            *found = true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Appends a key behind all others; there is room. */
static void leaf_append(struct leaf *leaf, const uint8_t *key, size_t size)
{
    leaf->floor -= (uint32_t)size;
    leaf->used += (uint32_t)size;
    memcpy(leaf->bytes + leaf->floor, key, size);
    leaf_places(leaf)[leaf->count++] =
        (struct place){.offset = (uint16_t)leaf->floor, .size = (uint16_t)size};
}

static void leaf_append_range(struct leaf *leaf, const struct leaf *from, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        size_t size;
        const uint8_t *key = leaf_key(from, i, &size);

        leaf_append(leaf, key, size);
    }
}

/* Puts the keys together again, without holes. */
static void leaf_gather(struct leaf *leaf)
{
    uint8_t copy[LEAF_SIZE];
    uint32_t at = leaf->capacity;

    assert(leaf->capacity <= LEAF_SIZE);
    for (size_t i = 0; i < leaf->count; i++) {
        size_t size;
        const uint8_t *key = leaf_key(leaf, i, &size);

        at -= (uint32_t)size;
        memcpy(copy + at, key, size);
        leaf_places(leaf)[i].offset = (uint16_t)at;
    }
    memcpy(leaf->bytes + at, copy + at, leaf->capacity - at);
    leaf->floor = at;
}

/* The keys of a leaf of LEAF_SIZE and this one fit. */
static bool leaf_fits(const struct leaf *leaf, size_t size)
{
    return leaf->capacity == LEAF_SIZE &&
           leaf_used(leaf) + size + sizeof(struct place) <= leaf->capacity;
}

static void leaf_insert(struct leaf *leaf, size_t at, const uint8_t *key, size_t size)
{
    struct place *places = leaf_places(leaf), place;

    if ((leaf->count + 1) * sizeof(*places) + size > leaf->floor)
        leaf_gather(leaf);
    leaf_append(leaf, key, size);
    place = places[leaf->count - 1];
    memmove(places + at + 1, places + at, (leaf->count - 1 - at) * sizeof(*places));
    places[at] = place;
}

/* --- the array of leaves ------------------------------------------------------------------- */

struct key_index *key_index_new(void)
{
    return calloc(1, sizeof(struct key_index));
}

struct key_index *key_index_free(struct key_index *key_index)
{
    if (!key_index)
        return NULL;
    for (size_t i = 0; i < key_index->count; i++)
        free(key_index->leaves[i]);
    free(key_index->leaves);
    free(key_index);
    return NULL;
}

/* The last leaf whose first key is not behind this one; 0 when there is none such. */
static size_t leaf_of(const struct key_index *key_index, const uint8_t *key, size_t size)
{
    size_t low = 0, high = key_index->count;

    while (high - low > 1) {
        size_t middle = (low + high) / 2, first_size;
        const uint8_t *first = leaf_key(key_index->leaves[middle], 0, &first_size);

        if (key_index_compare(first, first_size, key, size) <= 0)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Room in the array has been made. */
static void leaves_insert(struct key_index *key_index, size_t at, struct leaf *leaf)
{
    memmove(key_index->leaves + at + 1, key_index->leaves + at,
            (key_index->count - at) * sizeof(*key_index->leaves));
    key_index->leaves[at] = leaf;
    key_index->count++;
}

static void leaves_remove(struct key_index *key_index, size_t at)
{
    leaf_free(key_index, key_index->leaves[at]);
    key_index->count--;
    memmove(key_index->leaves + at, key_index->leaves + at + 1,
            (key_index->count - at) * sizeof(*key_index->leaves));
}

/* Cuts leaf i in two before its place `at`, or leaves it when that is at its end. */
static int leaf_cut(struct key_index *key_index, size_t i, size_t at)
{
    struct leaf *leaf = key_index->leaves[i], *left, *right;

    if (at == 0 || at == leaf->count)
        return 0;
    left = leaf_new(key_index, LEAF_SIZE);
    right = left ? leaf_new(key_index, LEAF_SIZE) : NULL;
    if (!right) {
        if (left)
            leaf_free(key_index, left);
        return -ENOMEM;
    }
    leaf_append_range(left, leaf, 0, at);
    leaf_append_range(right, leaf, at, leaf->count);
    leaf_free(key_index, leaf);
    key_index->leaves[i] = left;
    leaves_insert(key_index, i + 1, right);
    return 0;
}

/* Where to cut so that the halves are about as large; with ascending inserts at the end. */
static size_t leaf_middle(const struct leaf *leaf, size_t at, bool last)
{
    size_t bytes = 0, half = leaf_used(leaf) / 2, i = 0;

    if (last && at == leaf->count)
        return leaf->count;
    while (i + 1 < leaf->count && bytes < half) {
        size_t size;

        leaf_key(leaf, i++, &size);
        bytes += size + sizeof(struct place);
    }
    return i;
}

/* A new leaf with this key alone, at place i of the array. */
static int leaf_alone(struct key_index *key_index, size_t i, const uint8_t *key, size_t size)
{
    bool large = size > KEY_INDEX_LARGE;
    struct leaf *leaf =
        leaf_new(key_index, large ? (uint32_t)(size + sizeof(struct place)) : LEAF_SIZE);

    if (!leaf)
        return -ENOMEM;
    leaf_append(leaf, key, size);
    leaves_insert(key_index, i, leaf);
    return 0;
}

int key_index_insert(struct key_index *key_index, const uint8_t *key, size_t size)
{
    bool found = false, last;
    struct leaf *leaf;
    size_t i, at;
    int r;

    assert(size > 0 && size <= UINT16_MAX);
    r = GROW(key_index->leaves, key_index->capacity, key_index->count + 2);
    if (r != 0)
        return r;
    i = leaf_of(key_index, key, size);
    at = key_index->count > 0 ? leaf_find(key_index->leaves[i], key, size, &found) : 0;
    if (found)
        return 0;
    leaf = key_index->count > 0 ? key_index->leaves[i] : NULL;
    last = i + 1 >= key_index->count;
    if (leaf && size <= KEY_INDEX_LARGE && leaf_fits(leaf, size)) {
        leaf_insert(leaf, at, key, size);
    } else if (leaf && size <= KEY_INDEX_LARGE && leaf->count > 1) {
        size_t cut = leaf_middle(leaf, at, last);
        bool behind = cut == leaf->count;

        r = leaf_cut(key_index, i, cut);
        if (r == 0 && behind)
            r = leaf_alone(key_index, i + 1, key, size);
        else if (r == 0 && at > cut)
            leaf_insert(key_index->leaves[i + 1], at - cut, key, size);
        else if (r == 0)
            leaf_insert(key_index->leaves[i], at, key, size);
    } else {
        r = leaf ? leaf_cut(key_index, i, at) : 0;
        if (r == 0)
            r = leaf_alone(key_index, leaf ? i + (at > 0) : 0, key, size);
    }
    key_index->keys += r == 0;
    return r;
}

/* Lets leaf i take in the one behind it when both are small. Without memory they stay two. */
static void leaf_join(struct key_index *key_index, size_t i)
{
    struct leaf *leaf, *behind;

    if (i + 1 >= key_index->count)
        return;
    leaf = key_index->leaves[i];
    behind = key_index->leaves[i + 1];
    if (leaf->capacity != LEAF_SIZE || behind->capacity != LEAF_SIZE ||
        leaf_used(leaf) + leaf_used(behind) > LEAF_SIZE / 2)
        return;
    leaf_gather(leaf);
    leaf_append_range(leaf, behind, 0, behind->count);
    leaves_remove(key_index, i + 1);
}

void key_index_remove(struct key_index *key_index, const uint8_t *key, size_t size)
{
    struct place *places;
    struct leaf *leaf;
    bool found = false;
    size_t i, at;

    if (key_index->count == 0)
        return;
    i = leaf_of(key_index, key, size);
    leaf = key_index->leaves[i];
    at = leaf_find(leaf, key, size, &found);
    if (!found)
        return;
    places = leaf_places(leaf);
    leaf->used -= places[at].size;
    leaf->count--;
    memmove(places + at, places + at + 1, (leaf->count - at) * sizeof(*places));
    key_index->keys--;
    if (leaf->count == 0) {
        leaves_remove(key_index, i);
    } else {
        leaf_join(key_index, i);
        if (i > 0)
            leaf_join(key_index, i - 1);
    }
}

/* --- reading ------------------------------------------------------------------------------- */

bool key_index_has(const struct key_index *key_index, const uint8_t *key, size_t size)
{
    bool found = false;

    if (key_index->count > 0)
        leaf_find(key_index->leaves[leaf_of(key_index, key, size)], key, size, &found);
    return found;
}

uint64_t key_index_count(const struct key_index *key_index)
{
    return key_index->keys;
}

size_t key_index_memory(const struct key_index *key_index)
{
    return key_index->memory + key_index->capacity * sizeof(*key_index->leaves);
}

struct key_index_cursor key_index_seek(const struct key_index *key_index, const uint8_t *key,
                                       size_t size)
{
    struct key_index_cursor cursor = {0};
    bool found;

    if (key_index->count == 0 || size == 0)
        return cursor;
    cursor.leaf = leaf_of(key_index, key, size);
    cursor.at = leaf_find(key_index->leaves[cursor.leaf], key, size, &found);
    return cursor;
}

bool key_index_next(const struct key_index *key_index, struct key_index_cursor *cursor,
                    const uint8_t **key, size_t *size)
{
    while (cursor->leaf < key_index->count &&
           cursor->at >= key_index->leaves[cursor->leaf]->count) {
        cursor->leaf++;
        cursor->at = 0;
    }
    if (cursor->leaf >= key_index->count)
        return false;
    *key = leaf_key(key_index->leaves[cursor->leaf], cursor->at++, size);
    return true;
}

void key_index_check(const struct key_index *key_index)
{
    const uint8_t *before = NULL;
    size_t before_size = 0, memory = 0;
    uint64_t keys = 0;

    for (size_t i = 0; i < key_index->count; i++) {
        const struct leaf *leaf = key_index->leaves[i];
        size_t used = 0;

        assert(leaf->count > 0);
        assert(leaf->count * sizeof(struct place) <= leaf->floor);
        assert(leaf->floor <= leaf->capacity);
        for (size_t at = 0; at < leaf->count; at++) {
            size_t size;
            const uint8_t *key = leaf_key(leaf, at, &size);

            assert(key >= leaf->bytes + leaf->floor);
            assert(key + size <= leaf->bytes + leaf->capacity);
            assert(!before || key_index_compare(before, before_size, key, size) < 0);
            before = key;
            before_size = size;
            used += size;
        }
        assert(used == leaf->used);
        keys += leaf->count;
        memory += sizeof(*leaf) + leaf->capacity;
    }
    assert(keys == key_index->keys);
    assert(memory == key_index->memory);
}
