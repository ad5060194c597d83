/* Cursors: records read at the places that a store_scan holds and in its casks, merged by key. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/codec.h"
#include "storage/engine_state.h"
#include "storage/record.h"
#include "storage/store_scan.h"

#define PURGE_SLICE     256 /* keys looked at under the lock at once */
#define READ_SIZE_MAX   (64u << 10)
#define READ_SIZE_TOTAL (4u << 20) /* of all casks of a cursor */

/* One of what is merged: the list of places, or a cask. */
struct head {
    struct store_scan_cask *cask;
    bool loaded; /* record is the next one */
    bool taken;  /* and was given, or hidden by the one that was */
    bool ended;
    const struct record *record;
    /* The list: */
    size_t at; /* of the place to read next */
    struct engine_value value;
    store_location window; /* what of the files is in the value's memory */
    size_t window_size;
    struct record decoded;
    struct engine_value plain; /* of a sealed one */
    /* A cask: */
    struct cask_cursor cursor;
};

struct engine_cursor {
    struct engine *engine;
    struct store_scan scan;
    struct head *heads; /* the list, then the casks */
    size_t head_count;
    bool ordered;
    bool deletes;         /* the list has tombstones */
    size_t read_size_max; /* of casks: below it reads double */
    uint8_t *from, *to;   /* of the range; NULL: open */
    size_t from_size, to_size;
    bool begun;
    struct engine_value plain; /* of the record that was given */
};

void engine_scan_digest(const void *context, const uint8_t *key, size_t size,
                        struct keydir_digest *out)
{
    *out = engine_digest(context, key, size);
}

static int corrupt(const struct engine_cursor *cursor)
{
    return cursor->engine->read_only ? ENGINE_E_STALE : ENGINE_E_CORRUPT;
}

/* The bytes at the place, when the last read went that far. */
static const uint8_t *window_find(const struct head *head, store_location location, size_t *left)
{
    uint64_t at = (location - head->window) * RECORD_ALIGN;

    if (location < head->window || at >= head->window_size)
        return NULL;
    *left = head->window_size - (size_t)at;
    if (*left < RECORD_HEADER_SIZE || codec_get_u32(head->value.memory + at) > *left)
        return NULL;
    return head->value.memory + at;
}

/* Reads the record at place i of the list, and what follows it when that comes next. */
static int item_read(struct engine_cursor *cursor, struct head *head, size_t i)
{
    store_location location = store_scan_location(cursor->scan.items[i]);
    size_t size = store_scan_size(cursor->scan.items[i]), left = 0;
    const uint8_t *bytes = cursor->ordered ? NULL : window_find(head, location, &left);
    bool ahead;
    int r = 0;

    if (!bytes) {
        head->window_size = 0;
        r = engine_value_reserve(&head->value, size > READ_SIZE_MAX ? size : READ_SIZE_MAX);
        if (r != 0)
            return r;
        engine_lock(cursor->engine);
        ahead = !cursor->ordered && store_scan_settled(cursor->engine->store, location);
        if (ahead && size < READ_SIZE_MAX)
            size = READ_SIZE_MAX;
        r = engine_record_read(cursor->engine, location, size, &head->value, &left);
        engine_unlock(cursor->engine);
        if (r != 0)
            return r;
        head->window = location;
        head->window_size = ahead ? left : 0;
        bytes = head->value.memory;
    }
    if (record_decode(bytes, left, &head->decoded) != 0 ||
        (head->decoded.kind != RECORD_KIND_PUT &&
         !(cursor->deletes && head->decoded.kind == RECORD_KIND_DELETE)))
        return corrupt(cursor);
    if (head->decoded.flags & RECORD_FLAG_ENCRYPTED) /* its key is asked for */
        r = engine_unpack(cursor->engine, &head->decoded, &head->plain);
    head->record = &head->decoded;
    return r == ENGINE_E_CORRUPT ? corrupt(cursor) : r;
}

static int order(const struct head *head, const uint8_t *key, size_t size)
{
    return key_index_compare(head->record->key, head->record->key_size, key, size);
}

/* The first place of the list whose key is not before this one. */
static int list_seek(struct engine_cursor *cursor, struct head *head, const uint8_t *key,
                     size_t size)
{
    size_t low = 0, high = cursor->scan.item_count;

    while (low < high && size > 0) {
        size_t middle = (low + high) / 2;
        int r = item_read(cursor, head, middle);

        if (r != 0)
            return r;
        if (order(head, key, size) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    head->at = low;
    return 0;
}

static int head_seek(struct engine_cursor *cursor, struct head *head, const uint8_t *key,
                     size_t size)
{
    int r;

    head->loaded = head->taken = head->ended = false;
    if (!head->cask)
        return list_seek(cursor, head, key, size);
    head->cursor.read_size = CASK_BLOCK_SIZE;
    r = cask_cursor_seek(&head->cursor, key, size);
    return r > 0 ? corrupt(cursor) : r;
}

/* At the first use: opens the casks at the begin of the range. */
static int begin(struct engine_cursor *cursor)
{
    cursor->read_size_max = READ_SIZE_TOTAL / (cursor->scan.cask_count + 1) / 2;
    if (cursor->read_size_max > READ_SIZE_MAX / 2)
        cursor->read_size_max = READ_SIZE_MAX / 2;
    for (size_t i = 1; i < cursor->head_count; i++) {
        struct head *head = &cursor->heads[i];
        int r = store_scan_cask_open(head->cask);

        if (r == 0) {
            cask_cursor_close(&head->cursor);
            cask_cursor_open(&head->cursor, head->cask->cask, CASK_BLOCK_SIZE);
            r = cursor->from ? head_seek(cursor, head, cursor->from, cursor->from_size) : 0;
        }
        if (r != 0)
            return r > 0 ? corrupt(cursor) : r;
    }
    cursor->begun = true;
    return 0;
}

/* The next record of the head; ENGINE_E_ABSENT: there is none. */
static int head_read(struct engine_cursor *cursor, struct head *head)
{
    uint32_t base;
    int r;

    if (!head->cask) {
        if (head->at == cursor->scan.item_count)
            return ENGINE_E_ABSENT;
        r = item_read(cursor, head, head->at);
        head->at += r == 0;
        return r;
    }
    base = head->cursor.base;
    r = cask_cursor_next(&head->cursor);
    if (r > 0)
        return r == CASK_E_END ? ENGINE_E_ABSENT : corrupt(cursor);
    /* Who reads on will read more. */
    if (head->cursor.base != base && head->cursor.read_size < cursor->read_size_max)
        head->cursor.read_size *= 2;
    head->record = &head->cursor.record;
    return r;
}

/* Loads the head's record; a key outside the range ends an ordered head and is skipped otherwise.
 */
static int head_load(struct engine_cursor *cursor, struct head *head)
{
    if (head->taken)
        head->loaded = head->taken = false;
    while (!head->loaded && !head->ended) {
        int r = head_read(cursor, head);

        if (r == ENGINE_E_ABSENT)
            head->ended = true;
        else if (r != 0)
            return r;
        else if (cursor->to && order(head, cursor->to, cursor->to_size) >= 0)
            head->ended = cursor->ordered;
        else if (!cursor->from || order(head, cursor->from, cursor->from_size) >= 0)
            head->loaded = true;
    }
    return 0;
}

/* The record with the least key; of one key that in the journal, else the newest. All others of the
 * key are passed over. NULL: the end. */
static int merge(struct engine_cursor *cursor, const struct record **out)
{
    struct head *least = NULL;

    for (size_t i = 0; i < cursor->head_count; i++) {
        struct head *head = &cursor->heads[i];
        int r = head_load(cursor, head);
        int sign;

        if (r != 0)
            return r;
        if (!head->loaded)
            continue;
        sign = least ? order(head, least->record->key, least->record->key_size) : -1;
        if (sign < 0 || (sign == 0 && head->record->index > least->record->index))
            least = head;
    }
    *out = least ? least->record : NULL;
    for (size_t i = 0; least && i < cursor->head_count; i++) {
        struct head *head = &cursor->heads[i];

        head->taken = head == least || (head->loaded && order(head, least->record->key,
                                                              least->record->key_size) == 0);
    }
    return 0;
}

int engine_cursor_next(struct engine_cursor *cursor, struct engine_item *item)
{
    const struct record *record;
    struct record plain;
    int r = cursor->begun ? 0 : begin(cursor);

    do {
        if (r == 0)
            r = merge(cursor, &record);
        if (r != 0)
            return r;
        if (!record)
            return ENGINE_E_ABSENT;
    } while (record->kind == RECORD_KIND_DELETE);
    plain = *record;
    r = engine_unpack(cursor->engine, &plain, &cursor->plain);
    if (r != 0)
        return r > 0 ? corrupt(cursor) : r;
    *item = (struct engine_item){
        .key = plain.key,
        .key_size = plain.key_size,
        .value = plain.value,
        .value_size = plain.value_size,
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
    for (size_t i = 0; r == 0 && i < cursor->head_count; i++)
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
    cursor->ordered = cursor->deletes = ordered && engine->key_index;
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
    if (r == 0 && !cursor->ordered)
        store_scan_sort(&cursor->scan);
    if (r == 0) {
        cursor->heads = calloc(cursor->scan.cask_count + 1, sizeof(*cursor->heads));
        r = cursor->heads ? 0 : -ENOMEM;
    }
    if (r != 0) {
        engine_cursor_close(cursor);
        return r;
    }
    cursor->head_count = cursor->scan.cask_count + 1;
    for (size_t i = 1; i < cursor->head_count; i++)
        cursor->heads[i].cask = &cursor->scan.casks[i - 1];
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
    for (size_t i = 0; i < cursor->head_count; i++) {
        engine_value_deinit(&cursor->heads[i].value);
        engine_value_deinit(&cursor->heads[i].plain);
        cask_cursor_close(&cursor->heads[i].cursor);
    }
    free(cursor->heads);
    engine_value_deinit(&cursor->plain);
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
                    !store_scan_in_cask(engine->store, entry.location);

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
    struct engine_cursor cursor = {.engine = engine, .deletes = true};
    struct head head = {0};
    int r;

    engine_lock(engine);
    r = store_scan_open(&cursor.scan, engine->store, ENGINE_PARTITION, &options);
    engine_unlock(engine);
    if (r != 0)
        return r;
    store_scan_sort(&cursor.scan);
    for (size_t i = 0; r == 0 && i < cursor.scan.item_count; i++) {
        r = item_read(&cursor, &head, i);
        if (r == 0)
            r = key_index_insert(engine->key_index, head.decoded.key, head.decoded.key_size);
    }
    engine_value_deinit(&head.value);
    engine_lock(engine);
    store_scan_close(&cursor.scan);
    engine_unlock(engine);
    return r;
}
