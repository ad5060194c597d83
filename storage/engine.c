#include "storage/engine.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/codec.h"
#include "storage/engine_state.h"
#include "storage/grow.h"
#include "storage/record.h"

#define FLUSH_TRIES 3 /* rounds that may fail while engine_flush() waits */

static_assert(ENGINE_KEY_SIZE_MAX == RECORD_KEY_SIZE_MAX, "a key is a record's key");
static_assert(ENGINE_VALUE_SIZE_MAX == RECORD_VALUE_SIZE_MAX, "a value is a record's value");
static_assert(ENGINE_BATCH_MAX == RECORD_SUB_COUNT_MAX, "a batch is an entry");
static_assert(ENGINE_HASH_SIZE == crypto_shorthash_siphashx24_KEYBYTES, "the hash's key");

struct keydir_digest engine_digest(const struct engine *engine, const void *key, size_t key_size)
{
    uint8_t out[crypto_shorthash_siphashx24_BYTES];

    crypto_shorthash_siphashx24(out, key, key_size, engine->hash_key);
    return (struct keydir_digest){.high = codec_get_u64(out), .low = codec_get_u64(out + 8)};
}

/* --- applying ------------------------------------------------------------------------------ */

int engine_apply_one(struct engine *engine, const struct engine_pending *item)
{
    int r = store_apply(engine->store, ENGINE_PARTITION, &item->digest, item->location, item->size,
                        item->tombstone, false);

    if (r == 0)
        engine->applied = item->index;
    /* A tombstone's key too: it hides what casks may hold of it. */
    if (r == 0 && engine->key_index)
        r = key_index_insert(engine->key_index, item->key, item->key_size);
    return r;
}

void engine_apply(struct engine *engine)
{
    uint64_t before = engine->applied;
    uint64_t synced = engine->sync == ENGINE_SYNC_NONE ? UINT64_MAX : store_synced(engine->store);

    while (engine->pending_count > 0 && engine->error == 0) {
        const struct engine_pending *item = &engine->pending[engine->pending_first];

        if (item->batch > synced)
            break;
        engine->error = engine_apply_one(engine, item);
        engine->pending_first++;
        engine->pending_count--;
    }
    if (engine->pending_count == 0)
        engine->pending_first = 0;
    if (engine->applied > before)
        store_retain(engine->store, ENGINE_PARTITION, engine->applied + 1);
}

/* Room for `count` more, so that nothing can fail behind the append. */
static int pending_reserve(struct engine *engine, size_t count)
{
    size_t end = engine->pending_first + engine->pending_count + count;

    if (end > engine->pending_capacity && engine->pending_first > 0) {
        memmove(engine->pending, engine->pending + engine->pending_first,
                engine->pending_count * sizeof(*engine->pending));
        engine->pending_first = 0;
        end = engine->pending_count + count;
    }
    return GROW(engine->pending, engine->pending_capacity, end);
}

/* --- writes -------------------------------------------------------------------------------- */

/* While the disk is full, what room is left is for deletes. */
static bool puts_value(const struct record *records, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (records[i].kind == RECORD_KIND_PUT)
            return true;
    return false;
}

void engine_appended(struct engine *engine)
{
    engine->index++;
    engine->batch = store_batch(engine->store);
    store_commit(engine->store, ENGINE_PARTITION, engine->index);
}

/* Appends one entry, waiting for room. Locked. */
static int append(struct engine *engine, struct record *records,
                  const struct keydir_digest *digests, size_t count, store_location *location)
{
    for (;;) {
        uint32_t size;
        int r = engine->error;

        if (r != 0)
            return r;
        if (engine->fenced)
            return ENGINE_E_CORRUPT;
        if (store_disk_full(engine->store) && puts_value(records, count))
            return ENGINE_E_NOSPACE;
        for (size_t i = 0; i < count; i++)
            records[i].index = engine->index + 1;
        r = engine->pack.on ? engine_pack_append(engine, records, digests, count, location, &size)
                            : store_append(engine->store, records, count, location, &size);
        if (r == 0) {
            engine_appended(engine);
            return 0;
        }
        if (r == STORE_E_NOSPACE)
            return ENGINE_E_NOSPACE;
        if (r == STORE_E_FENCED)
            return ENGINE_E_CORRUPT;
        if (r < 0)
            return r;
        assert(r == STORE_E_FULL);
        engine_room_wait(engine);
    }
}

/* Appends, then lets gets see it: at once, or when it is durable, for which this waits. */
static int commit(struct engine *engine, struct record *records, struct keydir_digest *digests,
                  size_t count)
{
    store_location location = 0;
    int r;

    if (engine->read_only)
        return ENGINE_E_READ_ONLY;
    engine_lock(engine);
    r = engine->closing ? -EBADF : pending_reserve(engine, count);
    if (r == 0)
        r = append(engine, records, digests, count, &location);
    for (size_t i = 0; r == 0 && i < count; i++) {
        uint32_t size = (uint32_t)record_size_padded(&records[i]);
        struct engine_pending item = {
            .batch = engine->batch,
            .index = engine->index,
            .digest = digests[i],
            .location = location,
            .size = size,
            .tombstone = records[i].kind == RECORD_KIND_DELETE,
            .key = records[i].key,
            .key_size = records[i].key_size,
        };

        location += size / RECORD_ALIGN;
        engine->pending[engine->pending_first + engine->pending_count++] = item;
    }
    if (r == 0 && engine->sync == ENGINE_SYNC_GROUP)
        return engine_unlock_synced(engine, engine->batch);
    if (r == 0) {
        engine_apply(engine);
        engine_writer_wake(engine);
        r = engine->error;
    }
    engine_unlock(engine);
    return r;
}

static bool key_valid(const void *key, size_t key_size)
{
    return key && key_size > 0 && key_size <= ENGINE_KEY_SIZE_MAX;
}

static void record_init(struct record *record, const struct engine_op *op)
{
    *record = (struct record){
        .partition = ENGINE_PARTITION,
        .kind = op->value ? RECORD_KIND_PUT : RECORD_KIND_DELETE,
        .term = ENGINE_TERM,
        .key = op->key,
        .key_size = op->key_size,
        .value = op->value,
        .value_size = op->value ? op->value_size : 0,
    };
}

int engine_put(struct engine *engine, const void *key, size_t key_size, const void *value,
               size_t value_size)
{
    struct engine_op op = {key, key_size, value ? value : "", value_size};
    struct keydir_digest digest;
    struct record record;

    if (!key_valid(key, key_size) || value_size > ENGINE_VALUE_SIZE_MAX)
        return ENGINE_E_TOO_LARGE;
    digest = engine_digest(engine, key, key_size);
    record_init(&record, &op);
    return commit(engine, &record, &digest, 1);
}

/* 0 with the entry of a live key, ENGINE_E_ABSENT or the engine's error. Locked. */
static int find(struct engine *engine, const struct keydir_digest *digest,
                struct keydir_entry *entry)
{
    if (engine->error != 0)
        return engine->error;
    if (store_find(engine->store, ENGINE_PARTITION, digest, entry) != 0 || entry->tombstone)
        return ENGINE_E_ABSENT;
    return 0;
}

int engine_delete(struct engine *engine, const void *key, size_t key_size)
{
    struct engine_op op = {key, key_size, NULL, 0};
    struct keydir_digest digest;
    struct keydir_entry entry;
    struct record record;
    int r;

    if (!key_valid(key, key_size))
        return ENGINE_E_TOO_LARGE;
    if (engine->read_only)
        return ENGINE_E_READ_ONLY;
    digest = engine_digest(engine, key, key_size);
    engine_lock(engine);
    r = find(engine, &digest, &entry);
    engine_unlock(engine);
    if (r != 0)
        return r == ENGINE_E_ABSENT ? 0 : r;
    record_init(&record, &op);
    return commit(engine, &record, &digest, 1);
}

int engine_batch(struct engine *engine, const struct engine_op *ops, size_t count)
{
    struct keydir_digest *digests;
    struct record *records;
    int r;

    if (count == 0)
        return 0;
    if (count > ENGINE_BATCH_MAX)
        return ENGINE_E_TOO_LARGE;
    for (size_t i = 0; i < count; i++)
        if (!key_valid(ops[i].key, ops[i].key_size) || ops[i].value_size > ENGINE_VALUE_SIZE_MAX)
            return ENGINE_E_TOO_LARGE;
    digests = malloc(count * sizeof(*digests));
    records = malloc(count * sizeof(*records));
    r = digests && records ? 0 : -ENOMEM;
    if (r == 0) {
        uint64_t total = 0;

        for (size_t i = 0; i < count; i++) {
            digests[i] = engine_digest(engine, ops[i].key, ops[i].key_size);
            record_init(&records[i], &ops[i]);
            total += engine_pack_room(engine, &records[i]);
        }
        r = total > engine->batch_size_max ? ENGINE_E_TOO_LARGE
                                           : commit(engine, records, digests, count);
    }
    free(digests);
    free(records);
    return r;
}

int engine_flush_queue(struct engine *engine)
{
    engine_lock(engine);
    return engine_unlock_synced(engine, engine->batch);
}

int engine_flush(struct engine *engine)
{
    struct store_stats stats;
    uint64_t failed, demand = 0;
    int r;

    if (engine->read_only)
        return ENGINE_E_READ_ONLY;
    engine_lock(engine);
    store_stats(engine->store, &stats);
    failed = stats.flushes_failed;
    if (engine->error == 0 && !engine->fenced)
        (void)store_flush_all(engine->store, &demand);
    for (;;) {
        store_stats(engine->store, &stats);
        r = engine->error ? engine->error : engine->fenced ? ENGINE_E_CORRUPT : 0;
        if (r == 0 && stats.flushes_failed >= failed + FLUSH_TRIES)
            r = stats.disk_full ? ENGINE_E_NOSPACE : ENGINE_E_CORRUPT;
        if (r != 0 || stats.flushes_served >= demand)
            break;
        engine_room_wait(engine);
    }
    engine_unlock(engine);
    return r;
}

/* --- reads --------------------------------------------------------------------------------- */

int engine_value_reserve(struct engine_value *value, size_t size)
{
    uint8_t *memory;

    if (size <= value->capacity)
        return 0;
    memory = realloc(value->memory, size);
    if (!memory)
        return -ENOMEM;
    value->memory = memory;
    value->capacity = size;
    return 0;
}

int engine_record_read(struct engine *engine, store_location location, size_t size,
                       struct engine_value *value, size_t *got)
{
    const uint8_t *bytes = NULL;
    struct store_job *job;
    int r;

    if (store_recent(engine->store, location)) {
        r = store_peek(engine->store, location, size, &bytes, got);
        /* No more than the record: behind the last one the write job fills in checksums. */
        if (r == 0 && *got >= RECORD_HEADER_SIZE && codec_get_u32(bytes) < *got)
            *got = codec_get_u32(bytes);
        if (r == 0)
            memcpy(value->memory, bytes, *got);
        return r;
    }
    job = store_read(engine->store, location, size, NULL);
    if (!job)
        return -ENOMEM;
    engine_unlock(engine);
    r = store_job_run(job);
    if (r == 0) {
        store_read_result(job, &bytes, got);
        memcpy(value->memory, bytes, *got);
    }
    engine_lock(engine);
    store_done(engine->store, job, r);
    return r;
}

/* Makes it what it was, in the spare memory, which then changes places with what was read to. */
static int unpack(struct engine *engine, struct record *record, struct engine_value *value)
{
    struct engine_value plain = {.memory = value->spare, .capacity = value->spare_capacity};
    int r = engine_unpack(engine, record, &plain);

    value->spare = value->memory;
    value->spare_capacity = value->capacity;
    value->memory = plain.memory;
    value->capacity = plain.capacity;
    return r;
}

int engine_get(struct engine *engine, const void *key, size_t key_size, struct engine_value *value)
{
    struct keydir_digest digest;
    struct keydir_entry entry;
    struct record record;
    size_t got = 0;
    int r;

    if (!key_valid(key, key_size))
        return ENGINE_E_TOO_LARGE;
    digest = engine_digest(engine, key, key_size);
    engine_lock(engine);
    r = find(engine, &digest, &entry);
    if (r == 0 && value)
        r = engine_value_reserve(value, entry.size_max);
    if (r == 0 && value)
        r = engine_record_read(engine, entry.location, entry.size_max, value, &got);
    engine_unlock(engine);
    if (r != 0 || !value)
        return r;
    if (record_decode(value->memory, got, &record) != 0 || record.kind != RECORD_KIND_PUT)
        return engine->read_only ? ENGINE_E_STALE : ENGINE_E_CORRUPT;
    if (record.flags & (RECORD_FLAG_COMPRESSED | RECORD_FLAG_ENCRYPTED))
        r = unpack(engine, &record, value);
    if (r == 0 && (record.key_size != key_size || memcmp(record.key, key, key_size) != 0))
        r = ENGINE_E_CORRUPT;
    value->bytes = record.value;
    value->size = record.value_size;
    return r == ENGINE_E_CORRUPT && engine->read_only ? ENGINE_E_STALE : r;
}

void engine_value_deinit(struct engine_value *value)
{
    free(value->memory);
    free(value->spare);
    *value = (struct engine_value){0};
}

void engine_stats(struct engine *engine, struct engine_stats *stats)
{
    struct store_stats inner;
    uint32_t dictionaries;

    engine_lock(engine);
    store_stats(engine->store, &inner);
    dictionaries = store_dictionaries(engine->store, ENGINE_PARTITION);
    if (engine->key_index)
        inner.keydir_bytes += key_index_memory(engine->key_index);
    engine_unlock(engine);
    *stats = (struct engine_stats){
        .keys = inner.keys,
        .tombstones = inner.tombstones,
        .memory_bytes = inner.keydir_bytes,
        .file_bytes = inner.journal_bytes + inner.cask_bytes,
        .casks = inner.casks,
        .reclaimed_bytes = inner.flush_reclaimed,
        .appended_bytes = inner.bytes_appended,
        .writes = inner.entries,
        .syncs = inner.syncs,
        .dictionaries = dictionaries,
        .compress_in = inner.compress_in,
        .compress_out = inner.compress_out,
    };
}

void engine_error_text(int code, const char *path, char *text, size_t size)
{
    static const char *const texts[] = {
        [ENGINE_E_OK] = "no error",
        [ENGINE_E_ABSENT] = "no such key",
        [ENGINE_E_IN_USE] = "another engine has it open; close that one, or open for reading",
        [ENGINE_E_FOREIGN] = "is no folder of an engine: it belongs to a node or is damaged",
        [ENGINE_E_NEWER] = "was written by a newer version; open it with that one",
        [ENGINE_E_CORRUPT] = "bytes that were durable do not check; restore a copy",
        [ENGINE_E_NOSPACE] = "the disk or the size limit is full; nothing was changed",
        [ENGINE_E_TOO_LARGE] = "key, value or batch is empty or beyond the limits",
        [ENGINE_E_READ_ONLY] = "was opened for reading",
        [ENGINE_E_KEY] = "was written with another key, with one or without",
        [ENGINE_E_STALE] = "the writer has used a file again since; open it again",
    };

    if (code >= 0 && (size_t)code < sizeof(texts) / sizeof(*texts))
        snprintf(text, size, "%s: %s", path, texts[code]);
    else
        snprintf(text, size, "%s: %s", path, strerror(code < 0 ? -code : EINVAL));
}
