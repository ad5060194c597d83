#include "replication/raft_log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

void raft_log_init(struct raft_log *log)
{
    *log = (struct raft_log){.first = 1};
}

void raft_log_deinit(struct raft_log *log)
{
    free(log->entries);
    raft_log_init(log);
}

static struct raft_log_entry *slot(const struct raft_log *log, uint64_t index)
{
    return &log->entries[index & (log->capacity - 1)];
}

int raft_log_reserve(struct raft_log *log, uint32_t count)
{
    uint64_t needed = log->last + 1 - log->first + count;
    uint32_t capacity = log->capacity ? log->capacity : 16;
    struct raft_log_entry *entries;

    if (needed <= log->capacity)
        return 0;
    while (capacity < needed) {
        if (capacity > UINT32_MAX / 2)
            return -ENOMEM;
        capacity *= 2;
    }
    entries = calloc(capacity, sizeof *entries);
    if (!entries)
        return -ENOMEM;
    for (uint64_t index = log->first; index <= log->last; index++)
        entries[index & (capacity - 1)] = *slot(log, index);
    free(log->entries);
    log->entries = entries;
    log->capacity = capacity;
    return 0;
}

void raft_log_append(struct raft_log *log, uint32_t term, uint32_t size, uint64_t location)
{
    assert(log->last + 1 - log->first < log->capacity);
    log->last++;
    log->size += size;
    *slot(log, log->last) =
        (struct raft_log_entry){.location = location, .term = term, .size = size};
}

void raft_log_truncate(struct raft_log *log, uint64_t index)
{
    assert(index >= log->first);
    for (; log->last >= index; log->last--)
        log->size -= slot(log, log->last)->size;
}

void raft_log_retain(struct raft_log *log, uint64_t first)
{
    if (first <= log->first)
        return;
    assert(first <= log->last + 1);
    log->prev_term = raft_log_term(log, first - 1);
    for (; log->first < first; log->first++)
        log->size -= slot(log, log->first)->size;
}

void raft_log_reset(struct raft_log *log, uint64_t first, uint32_t prev_term)
{
    log->first = first;
    log->last = first - 1;
    log->size = 0;
    log->prev_term = prev_term;
}

struct raft_log_entry *raft_log_at(const struct raft_log *log, uint64_t index)
{
    if (index < log->first || index > log->last)
        return NULL;
    return slot(log, index);
}

uint32_t raft_log_term(const struct raft_log *log, uint64_t index)
{
    const struct raft_log_entry *entry = raft_log_at(log, index);

    if (entry)
        return entry->term;
    return index + 1 == log->first ? log->prev_term : 0;
}

void raft_log_place(struct raft_log *log, uint64_t index, uint64_t location)
{
    struct raft_log_entry *entry = raft_log_at(log, index);

    assert(entry);
    entry->location = location;
}

void raft_log_check(const struct raft_log *log)
{
    uint32_t term = log->prev_term;
    uint64_t size = 0;

    assert(log->first >= 1);
    assert(log->last + 1 >= log->first);
    assert(log->last + 1 - log->first <= log->capacity);
    for (uint64_t index = log->first; index <= log->last; index++) {
        assert(slot(log, index)->term >= term);
        term = slot(log, index)->term;
        size += slot(log, index)->size;
    }
    assert(log->size == size);
}
