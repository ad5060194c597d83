#include "replication/pending.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define ENTRIES_MIN  16u
#define WRITES_MIN   16u
#define CAPACITY_MAX (1u << 30)
#define NONE         UINT64_MAX

void pending_init(struct pending *pending)
{
    *pending = (struct pending){0};
}

static struct pending_entry *entry_slot(const struct pending *pending, uint64_t index)
{
    return &pending->entries[(index - pending->origin) & (pending->entry_capacity - 1)];
}

void pending_deinit(struct pending *pending)
{
    for (uint32_t i = 0; i < pending->entry_count; i++)
        free(entry_slot(pending, pending->first + i)->owned);
    free(pending->entries);
    free(pending->writes);
    free(pending->table);
    pending_init(pending);
}

static struct pending_write *write_slot(const struct pending *pending, uint64_t position)
{
    return &pending->writes[position & (pending->write_capacity - 1)];
}

static bool digest_equal(const struct keydir_digest *a, const struct keydir_digest *b)
{
    return a->low == b->low && a->high == b->high;
}

static uint64_t table_mask(const struct pending *pending)
{
    return 2 * (uint64_t)pending->write_capacity - 1;
}

/* Digests are keyed SipHash: their bits are spread already. */
static uint64_t table_home(const struct pending *pending, const struct keydir_digest *digest)
{
    return digest->low & table_mask(pending);
}

/* The place of the key, or the empty place where it would go. At most half of them are taken. */
static uint64_t table_place(const struct pending *pending, const struct keydir_digest *digest)
{
    uint64_t place = table_home(pending, digest);

    while (pending->table[place] != NONE &&
           !digest_equal(&write_slot(pending, pending->table[place])->digest, digest))
        place = (place + 1) & table_mask(pending);
    return place;
}

/* Empties a place and moves those behind it that it kept from their home. */
static void table_remove(struct pending *pending, uint64_t hole)
{
    const uint64_t mask = table_mask(pending);

    for (uint64_t place = (hole + 1) & mask; pending->table[place] != NONE;
         place = (place + 1) & mask) {
        const struct pending_write *write = write_slot(pending, pending->table[place]);
        uint64_t home = table_home(pending, &write->digest);

        if (((place - home) & mask) >= ((place - hole) & mask)) {
            pending->table[hole] = pending->table[place];
            hole = place;
        }
    }
    pending->table[hole] = NONE;
    pending->key_count--;
}

static uint32_t capacity_for(uint64_t needed, uint32_t minimum)
{
    uint32_t capacity = minimum;

    if (needed > CAPACITY_MAX)
        return 0;
    while (capacity < needed)
        capacity *= 2;
    return capacity;
}

static int entries_reserve(struct pending *pending)
{
    uint32_t capacity = capacity_for((uint64_t)pending->entry_count + 1, ENTRIES_MIN);
    struct pending_entry *entries;

    if (capacity && capacity <= pending->entry_capacity)
        return 0;
    entries = capacity ? calloc(capacity, sizeof *entries) : NULL;
    if (!entries)
        return -ENOMEM;
    for (uint32_t i = 0; i < pending->entry_count; i++)
        entries[(pending->first + i - pending->origin) & (capacity - 1)] =
            *entry_slot(pending, pending->first + i);
    free(pending->entries);
    pending->entries = entries;
    pending->entry_capacity = capacity;
    return 0;
}

static int writes_reserve(struct pending *pending, uint32_t count)
{
    uint64_t used = pending->write_next - pending->write_first;
    uint32_t capacity = capacity_for(used + count, WRITES_MIN);
    struct pending_write *writes;
    uint64_t *table;

    if (count == 0 || (capacity && capacity <= pending->write_capacity))
        return 0;
    writes = capacity ? calloc(capacity, sizeof *writes) : NULL;
    table = capacity ? malloc(2 * (size_t)capacity * sizeof *table) : NULL;
    if (!writes || !table) {
        free(writes);
        free(table);
        return -ENOMEM;
    }
    for (uint64_t position = pending->write_first; position < pending->write_next; position++)
        writes[position & (capacity - 1)] = *write_slot(pending, position);
    for (size_t place = 0; place < 2 * (size_t)capacity; place++)
        table[place] = NONE;
    free(pending->writes);
    free(pending->table);
    pending->writes = writes;
    pending->table = table;
    pending->write_capacity = capacity;
    for (uint64_t position = pending->write_first; position < pending->write_next; position++)
        table[table_place(pending, &write_slot(pending, position)->digest)] = position;
    return 0;
}

int pending_reserve(struct pending *pending, uint32_t writes)
{
    int r = entries_reserve(pending);

    if (r < 0)
        return r;
    return writes_reserve(pending, writes);
}

/* Nothing is pending: the rings start anew, so that what holds two or three entries at a time keeps
 * to the same two or three places, and these stay in the cache. */
static void begin_again(struct pending *pending, uint64_t index)
{
    assert(pending->key_count == 0 && pending->write_first == pending->write_next);
    pending->first = index;
    pending->origin = index;
    pending->write_first = 0;
    pending->write_next = 0;
}

void pending_add(struct pending *pending, const struct pending_entry *entry)
{
    struct pending_entry *slot;

    assert(pending->entry_count < pending->entry_capacity);
    assert(entry->index >= 1);
    if (pending->entry_count == 0)
        begin_again(pending, entry->index);
    assert(entry->index == pending->first + pending->entry_count);
    slot = entry_slot(pending, entry->index);
    *slot = *entry;
    slot->write_count = 0;
    slot->write_first = pending->write_next;
    pending->entry_count++;
}

void pending_add_write(struct pending *pending, const struct pending_write *write)
{
    struct pending_entry *entry;
    struct pending_write *slot;
    uint64_t place;

    assert(pending->entry_count > 0);
    assert(pending->write_next - pending->write_first < pending->write_capacity);
    entry = entry_slot(pending, pending->first + pending->entry_count - 1);
    place = table_place(pending, &write->digest);
    slot = write_slot(pending, pending->write_next);
    *slot = *write;
    slot->index = entry->index;
    slot->older = pending->table[place];
    if (slot->older == NONE)
        pending->key_count++;
    pending->table[place] = pending->write_next;
    pending->write_next++;
    entry->write_count++;
}

/* The newest write of all goes: it is the newest of its key too. */
static void drop_newest_write(struct pending *pending)
{
    uint64_t position = pending->write_next - 1;
    const struct pending_write *write = write_slot(pending, position);
    uint64_t place = table_place(pending, &write->digest);

    assert(pending->table[place] == position);
    if (write->older != NONE && write->older >= pending->write_first)
        pending->table[place] = write->older;
    else
        table_remove(pending, place);
    pending->write_next = position;
}

void pending_truncate(struct pending *pending, uint64_t from)
{
    while (pending->entry_count > 0) {
        uint64_t index = pending->first + pending->entry_count - 1;
        const struct pending_entry *entry = entry_slot(pending, index);

        if (index < from)
            return;
        for (uint32_t i = 0; i < entry->write_count; i++)
            drop_newest_write(pending);
        assert(pending->write_next == entry->write_first);
        free(entry->owned);
        pending->entry_count--;
    }
}

void pending_prefetch(const struct pending *pending)
{
    if (pending->entry_capacity == 0)
        return;
    __builtin_prefetch(entry_slot(pending, pending->first));
    __builtin_prefetch(write_slot(pending, pending->write_first));
    __builtin_prefetch(entry_slot(pending, pending->first + pending->entry_count));
    __builtin_prefetch(write_slot(pending, pending->write_next));
    __builtin_prefetch(pending->table);
}

int pending_find(const struct pending *pending, const struct keydir_digest *digest,
                 const struct pending_write **out)
{
    uint64_t position;

    if (pending->key_count == 0)
        return PENDING_E_ABSENT;
    position = pending->table[table_place(pending, digest)];
    if (position == NONE)
        return PENDING_E_ABSENT;
    *out = write_slot(pending, position);
    return PENDING_E_OK;
}

struct pending_entry *pending_first(const struct pending *pending)
{
    return pending->entry_count > 0 ? entry_slot(pending, pending->first) : NULL;
}

struct pending_entry *pending_at(const struct pending *pending, uint64_t index)
{
    if (index < pending->first || index - pending->first >= pending->entry_count)
        return NULL;
    return entry_slot(pending, index);
}

void pending_move(struct pending *pending, uint64_t index, uint64_t location)
{
    struct pending_entry *entry = pending_at(pending, index);

    assert(entry);
    for (uint32_t i = 0; i < entry->write_count; i++) {
        struct pending_write *write = write_slot(pending, entry->write_first + i);

        write->location = location + (write->location - entry->location);
    }
    entry->location = location;
}

const struct pending_write *pending_write_at(const struct pending *pending,
                                             const struct pending_entry *entry, uint32_t number)
{
    assert(number < entry->write_count);
    assert(entry->write_first >= pending->write_first);
    assert(entry->write_first + number < pending->write_next);
    return write_slot(pending, entry->write_first + number);
}

/* Newer writes of the same key keep `older` pointing at positions that are gone: a position below
 * write_first counts as none. */
void pending_pop(struct pending *pending)
{
    const struct pending_entry *entry = pending_first(pending);

    assert(entry);
    assert(entry->write_first == pending->write_first);
    for (uint32_t i = 0; i < entry->write_count; i++) {
        uint64_t position = pending->write_first;
        uint64_t place = table_place(pending, &write_slot(pending, position)->digest);

        assert(pending->table[place] != NONE);
        if (pending->table[place] == position)
            table_remove(pending, place);
        pending->write_first++;
    }
    free(entry->owned);
    pending->first++;
    pending->entry_count--;
}

uint32_t pending_count(const struct pending *pending)
{
    return pending->entry_count;
}

uint64_t pending_last(const struct pending *pending)
{
    return pending->entry_count > 0 ? pending->first + pending->entry_count - 1 : 0;
}

size_t pending_memory(const struct pending *pending)
{
    return pending->entry_capacity * sizeof *pending->entries +
           pending->write_capacity * (sizeof *pending->writes + 2 * sizeof *pending->table);
}

static void check_entries(const struct pending *pending)
{
    uint64_t position = pending->write_first;

    assert(pending->entry_count <= pending->entry_capacity);
    assert(pending->write_next - pending->write_first <= pending->write_capacity);
    for (uint32_t i = 0; i < pending->entry_count; i++) {
        const struct pending_entry *entry = entry_slot(pending, pending->first + i);

        assert(entry->index == pending->first + i);
        assert(entry->write_first == position);
        for (uint32_t j = 0; j < entry->write_count; j++)
            assert(pending_write_at(pending, entry, j)->index == entry->index);
        position += entry->write_count;
    }
    assert(position == pending->write_next);
}

void pending_check(const struct pending *pending)
{
    uint64_t visited = 0;
    uint32_t keys = 0;

    check_entries(pending);
    /* Chains of different keys that together visit as many writes as there are visit each once. */
    for (uint64_t place = 0; pending->table && place <= table_mask(pending); place++) {
        uint64_t position = pending->table[place];
        uint64_t above = pending->write_next;
        const struct keydir_digest *digest;

        if (position == NONE)
            continue;
        assert(position >= pending->write_first);
        digest = &write_slot(pending, position)->digest;
        assert(table_place(pending, digest) == place);
        keys++;
        while (position != NONE && position >= pending->write_first) {
            assert(position < above);
            assert(digest_equal(&write_slot(pending, position)->digest, digest));
            above = position;
            position = write_slot(pending, position)->older;
            visited++;
        }
    }
    assert(keys == pending->key_count);
    assert(visited == pending->write_next - pending->write_first);
}
