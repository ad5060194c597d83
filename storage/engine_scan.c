/* Cursors: records read at the places that a store_scan holds, merged by key. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/engine_state.h"
#include "storage/record.h"
#include "storage/store_scan.h"

#define PURGE_SLICE 256 /* keys looked at under the lock at once */

struct head {
    const struct store_scan_run *run;
    size_t at; /* of the next place */
    bool loaded;
    struct engine_value value; /* the record at `at` */
    struct record record;
};

struct engine_cursor {
    struct engine *engine;
    struct store_scan scan;
    struct head *heads;
    struct head *given; /* whose record the caller looks at */
    bool ordered;
    uint8_t *from, *to; /* of the range; NULL: open */
    size_t from_size, to_size;
    bool begun;
};

void engine_scan_digest(const void *context, const uint8_t *key, size_t size,
                        struct keydir_digest *out)
{
    *out = engine_digest(context, key, size);
}

/* Reads the record at place i of the run. */
static int head_read(struct engine_cursor *cursor, struct head *head, size_t i)
{
    store_scan_item item = head->run->items[i];
    size_t got = 0;
    int r = engine_value_reserve(&head->value, store_scan_size(item));

    if (r != 0)
        return r;
    engine_lock(cursor->engine);
    r = engine_record_read(cursor->engine, store_scan_location(item), store_scan_size(item),
                           &head->value, &got);
    engine_unlock(cursor->engine);
    if (r != 0)
        return r;
    if (record_decode(head->value.memory, got, &head->record) != 0 ||
        head->record.kind != RECORD_KIND_PUT)
        return cursor->engine->read_only ? ENGINE_E_STALE : ENGINE_E_CORRUPT;
    return 0;
}

static int order(const struct head *head, const uint8_t *key, size_t size)
{
    return key_index_compare(head->record.key, head->record.key_size, key, size);
}

/* Moves the head to the first place whose key is not before this one. */
static int head_seek(struct engine_cursor *cursor, struct head *head, const uint8_t *key,
                     size_t size)
{
    size_t low = 0, high = head->run->count;

    while (low < high && size > 0) {
        size_t middle = (low + high) / 2;
        int r = head_read(cursor, head, middle);

        if (r != 0)
            return r;
        if (order(head, key, size) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    head->at = low;
    head->loaded = false;
    return 0;
}

/* Cuts a cask's run to the range, at the first use. */
static int begin(struct engine_cursor *cursor)
{
    for (size_t i = 0; i < cursor->scan.run_count; i++) {
        struct head *head = &cursor->heads[i];
        int r = head->run->cask ? head_seek(cursor, head, cursor->from, cursor->from_size) : 0;

        if (r != 0)
            return r;
    }
    cursor->begun = true;
    return 0;
}

/* Loads the head's record; a key outside the range ends an ordered run and is skipped otherwise. */
static int head_load(struct engine_cursor *cursor, struct head *head)
{
    while (!head->loaded && head->at < head->run->count) {
        int r = head_read(cursor, head, head->at);

        if (r != 0)
            return r;
        if (cursor->to && order(head, cursor->to, cursor->to_size) >= 0)
            head->at = cursor->ordered ? head->run->count : head->at + 1;
        else if (cursor->from && order(head, cursor->from, cursor->from_size) < 0)
            head->at++;
        else
            head->loaded = true;
    }
    return 0;
}

int engine_cursor_next(struct engine_cursor *cursor, struct engine_item *item)
{
    struct head *least = NULL;
    int r = cursor->begun ? 0 : begin(cursor);

    if (cursor->given) {
        cursor->given->loaded = false;
        cursor->given->at++;
        cursor->given = NULL;
    }
    for (size_t i = 0; r == 0 && i < cursor->scan.run_count; i++) {
        struct head *head = &cursor->heads[i];

        r = head_load(cursor, head);
        if (r == 0 && head->loaded &&
            (!least || order(head, least->record.key, least->record.key_size) < 0))
            least = head;
    }
    if (r != 0)
        return r;
    if (!least)
        return ENGINE_E_ABSENT;
    cursor->given = least;
    *item = (struct engine_item){
        .key = least->record.key,
        .key_size = least->record.key_size,
        .value = least->record.value,
        .value_size = least->record.value_size,
    };
    return 0;
}

int engine_cursor_seek(struct engine_cursor *cursor, const void *key, size_t key_size)
{
    int r = cursor->begun ? 0 : begin(cursor);

    if (!cursor->ordered || !key || key_size == 0)
        return -EINVAL;
    /* Never before the range's begin. */
    if (cursor->from && key_index_compare(key, key_size, cursor->from, cursor->from_size) < 0) {
        key = cursor->from;
        key_size = cursor->from_size;
    }
    cursor->given = NULL;
    for (size_t i = 0; r == 0 && i < cursor->scan.run_count; i++)
        r = head_seek(cursor, &cursor->heads[i], key, key_size);
    return r;
}

/* --- life ---------------------------------------------------------------------------------- */

static uint8_t *copy(const void *bytes, size_t size)
{
    uint8_t *out = malloc(size > 0 ? size : 1);

    if (out && size > 0)
        memcpy(out, bytes, size);
    return out;
}

/* The first key behind all that begin with the prefix: its last byte that can grow does. NULL with
 * *size 0 when there is none, as behind 0xFF. */
static void prefix_end(uint8_t *end, size_t *size)
{
    while (*size > 0 && end[*size - 1] == 0xFF)
        --*size;
    if (*size > 0)
        end[*size - 1]++;
}

static int range_take(struct engine_cursor *cursor, const struct engine_range *range)
{
    if (range->prefix_size > 0) {
        cursor->from = copy(range->prefix, range->prefix_size);
        cursor->to = copy(range->prefix, range->prefix_size);
        cursor->from_size = cursor->to_size = range->prefix_size;
        if (!cursor->from || !cursor->to)
            return -ENOMEM;
        prefix_end(cursor->to, &cursor->to_size);
        if (cursor->to_size == 0) {
            free(cursor->to);
            cursor->to = NULL;
        }
        return 0;
    }
    if (range->from_size > 0) {
        cursor->from = copy(range->from, range->from_size);
        cursor->from_size = range->from_size;
    }
    if (range->to_size > 0) {
        cursor->to = copy(range->to, range->to_size);
        cursor->to_size = range->to_size;
    }
    return (range->from_size > 0 && !cursor->from) || (range->to_size > 0 && !cursor->to) ? -ENOMEM
                                                                                          : 0;
}

static int scan(struct engine *engine, const struct engine_range *range, bool ordered,
                struct engine_cursor **out)
{
    static const struct engine_range everything;
    struct engine_cursor *cursor = calloc(1, sizeof(*cursor));
    struct store_scan_options options = {.digest = engine_scan_digest, .digest_context = engine};
    int r;

    *out = NULL;
    if (!cursor)
        return -ENOMEM;
    cursor->engine = engine;
    r = range_take(cursor, range ? range : &everything);
    engine_lock(engine);
    cursor->ordered = ordered && engine->key_index;
    options.index = cursor->ordered ? engine->key_index : NULL;
    options.from = cursor->from;
    options.from_size = cursor->from_size;
    options.to = cursor->to;
    options.to_size = cursor->to_size;
    if (r == 0)
        r = engine->error;
    if (r == 0)
        r = store_scan_open(&cursor->scan, engine->store, ENGINE_PARTITION, &options);
    engine_unlock(engine);
    if (r == 0) {
        cursor->heads = calloc(cursor->scan.run_count, sizeof(*cursor->heads));
        r = cursor->heads ? 0 : -ENOMEM;
    }
    if (r != 0) {
        engine_cursor_close(cursor);
        return r;
    }
    for (size_t i = 0; i < cursor->scan.run_count; i++)
        cursor->heads[i].run = &cursor->scan.runs[i];
    *out = cursor;
    return 0;
}

int engine_scan(struct engine *engine, const struct engine_range *range,
                struct engine_cursor **cursor)
{
    return scan(engine, range, true, cursor);
}

int engine_scan_unordered(struct engine *engine, struct engine_cursor **cursor)
{
    return scan(engine, NULL, false, cursor);
}

void engine_cursor_close(struct engine_cursor *cursor)
{
    if (!cursor)
        return;
    for (size_t i = 0; cursor->heads && i < cursor->scan.run_count; i++)
        engine_value_deinit(&cursor->heads[i].value);
    free(cursor->heads);
    engine_lock(cursor->engine);
    store_scan_close(&cursor->scan);
    engine_unlock(cursor->engine);
    free(cursor->from);
    free(cursor->to);
    free(cursor);
}

/* --- the key index after a flush ----------------------------------------------------------- */

/* Looks at up to PURGE_SLICE keys from *key on; leaves in *key the one to go on with. False: that
 * was all. */
static bool purge_slice(struct engine *engine, struct engine_value *key)
{
    struct key_index_cursor cursor = key_index_seek(engine->key_index, key->memory, key->size);
    const uint8_t *at;
    size_t size;

    for (int n = 0; key_index_next(engine->key_index, &cursor, &at, &size); n++) {
        struct keydir_digest digest = engine_digest(engine, at, size);
        struct keydir_entry entry;
        bool keep = store_find(engine->store, ENGINE_PARTITION, &digest, &entry) == 0 &&
                    !entry.tombstone && !store_scan_in_cask(engine->store, entry.location);

        if (keep && n < PURGE_SLICE)
            continue;
        memcpy(key->memory, at, size);
        key->size = size;
        if (!keep) {
            key_index_remove(engine->key_index, key->memory, size);
            cursor = key_index_seek(engine->key_index, key->memory, size);
        }
        if (n >= PURGE_SLICE)
            return true;
    }
    return false;
}

int engine_index_purge(struct engine *engine)
{
    struct engine_value key = {0};
    int r = engine_value_reserve(&key, ENGINE_KEY_SIZE_MAX);

    while (r == 0 && !engine->closing && purge_slice(engine, &key)) {
        engine_unlock(engine);
        engine_lock(engine);
    }
    engine_value_deinit(&key);
    return r;
}

/* --- the key index after a start ----------------------------------------------------------- */

int engine_index_build(struct engine *engine)
{
    struct store_scan_options options = {
        .journal_only = true, .digest = engine_scan_digest, .digest_context = engine};
    struct engine_cursor cursor = {.engine = engine};
    struct head head = {0};
    int r;

    engine_lock(engine);
    r = store_scan_open(&cursor.scan, engine->store, ENGINE_PARTITION, &options);
    engine_unlock(engine);
    if (r != 0)
        return r;
    head.run = &cursor.scan.runs[0];
    for (size_t i = 0; r == 0 && i < head.run->count; i++) {
        r = head_read(&cursor, &head, i);
        if (r == 0)
            r = key_index_insert(engine->key_index, head.record.key, head.record.key_size);
    }
    engine_value_deinit(&head.value);
    engine_lock(engine);
    store_scan_close(&cursor.scan);
    engine_unlock(engine);
    return r;
}
