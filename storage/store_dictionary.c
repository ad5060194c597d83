#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "storage/codec.h"
#include "storage/store_state.h"

/* --- those of a partition -------------------------------------------------------------------- */

static void forget(struct store_dictionary *dictionary)
{
    compress_dictionary_free(dictionary->dictionary);
    free(dictionary->record);
    *dictionary = (struct store_dictionary){.index = 0};
}

uint32_t store_dictionaries(const struct store *store, uint16_t partition)
{
    return store_partition(store, partition)->dictionary_count;
}

static uint32_t extreme(const struct store_partition *part, bool newest)
{
    uint32_t found = 0;

    for (uint32_t i = 1; i < part->dictionary_count; i++)
        if ((part->dictionaries[i].index > part->dictionaries[found].index) == newest)
            found = i;
    return part->dictionary_count ? found + 1 : 0;
}

uint32_t store_dictionary_newest(const struct store *store, uint16_t partition)
{
    return extreme(store_partition(store, partition), true);
}

uint32_t store_dictionary_next(const struct store *store, uint16_t partition)
{
    const struct store_partition *part = store_partition(store, partition);

    return part->dictionary_count < COMPRESS_DICTIONARIES_MAX ? part->dictionary_count + 1
                                                              : extreme(part, false);
}

/* Makes what is made of the record: with an encoder when it is the one in use. In memory of its
 * own: the store's holds the record that the dictionary is wanted for. */
static int dictionary_open(const struct store *store, const struct record *record, bool in_use,
                           struct compress_dictionary **dictionary)
{
    struct record opened = *record;
    uint8_t plain[STORE_DICTIONARY_SIZE_MAX];
    int r;

    *dictionary = NULL;
    if (record->value_size > sizeof plain)
        return STORE_E_CORRUPT;
    if (record->flags & RECORD_FLAG_ENCRYPTED) {
        r = vault_open(store->options.vault, &opened, plain);
        if (r != 0)
            return r == VAULT_E_NO_KEY ? STORE_E_NO_KEY : STORE_E_CORRUPT;
    }
    r = compress_dictionary_new(opened.value, opened.value_size,
                                in_use ? store->options.compress_level : 0, dictionary);
    sodium_memzero(plain, sizeof plain);
    return r > 0 ? STORE_E_CORRUPT : r;
}

/* One whose data key has yet to come is kept shut until it is needed. */
static int dictionary_make(struct store *store, const struct record *record, bool in_use,
                           struct store_dictionary *made)
{
    int r;

    *made = (struct store_dictionary){.index = record->index,
                                      .record_size = record_size_padded(record)};
    r = dictionary_open(store, record, in_use, &made->dictionary);
    if (r != 0 && r != STORE_E_NO_KEY)
        return r;
    made->record = malloc(made->record_size);
    if (!made->record) {
        forget(made);
        return -ENOMEM;
    }
    (void)record_encode(record, made->record);
    return 0;
}

int store_dictionary_ready(struct store *store, struct store_partition *part, uint32_t number)
{
    struct store_dictionary *dictionary = &part->dictionaries[number - 1];
    struct record record;

    if (dictionary->dictionary)
        return 0;
    if (record_decode(dictionary->record, dictionary->record_size, &record) != 0)
        return STORE_E_CORRUPT;
    return dictionary_open(store, &record, extreme(part, true) == number, &dictionary->dictionary);
}

int store_dictionary_add(struct store *store, uint16_t partition, const struct record *record)
{
    struct store_partition *part = store_partition(store, partition);
    uint32_t number = record->codec ? (uint32_t)record->codec - COMPRESS_CODEC_ZSTD : 1;
    uint32_t newest = store_dictionary_newest(store, partition);
    struct store_dictionary made, *place;
    bool is_newest;
    int r;

    assert(part && part->is_hosted && record->kind == RECORD_KIND_DICTIONARY);
    if (number == 0 || number > COMPRESS_DICTIONARIES_MAX || number > part->dictionary_count + 1)
        return STORE_E_CORRUPT;
    place = &part->dictionaries[number - 1];
    if (number <= part->dictionary_count && record->index <= place->index)
        return 0;
    is_newest = newest == 0 || record->index > part->dictionaries[newest - 1].index;
    r = dictionary_make(store, record, is_newest, &made);
    if (r != 0)
        return r;
    if (is_newest && newest != 0 && part->dictionaries[newest - 1].dictionary)
        compress_dictionary_retire(part->dictionaries[newest - 1].dictionary);
    forget(place);
    *place = made;
    if (number > part->dictionary_count)
        part->dictionary_count = number;
    return 0;
}

int store_dictionary_add_bytes(struct store *store, uint16_t partition, const uint8_t *bytes,
                               size_t size)
{
    struct record record;

    if (record_decode(bytes, size, &record) != 0 || record.kind != RECORD_KIND_DICTIONARY ||
        record.partition != partition)
        return STORE_E_CORRUPT;
    return store_dictionary_add(store, partition, &record);
}

uint64_t store_dictionary_index(const struct store *store, uint16_t partition)
{
    uint32_t number = store_dictionary_newest(store, partition);

    return number ? store_partition(store, partition)->dictionaries[number - 1].index : 0;
}

void store_dictionaries_clear(struct store *store, uint16_t partition)
{
    struct store_partition *part = store_partition(store, partition);

    while (part->dictionary_count > 0)
        forget(&part->dictionaries[--part->dictionary_count]);
}

/* --- as bytes: each the size of its record (u16), then that ---------------------------------- */

/* Seals it with the current data key, as flush does with values: no checkpoint needs an older one
 * for ever. Without either of the two keys it stays as it is until the next time. */
static void reseal(const struct store *store, struct store_dictionary *dictionary)
{
    const struct vault *vault = store->options.vault;
    uint8_t current = vault ? vault->current : 0, sealed[STORE_DICTIONARY_SIZE_MAX];
    struct record record;

    if (current == 0 || record_decode(dictionary->record, dictionary->record_size, &record) != 0 ||
        !(record.flags & RECORD_FLAG_ENCRYPTED) || record.key_id == current ||
        vault_reseal(vault, current, &record, sealed) != 0)
        return;
    assert(record_size_padded(&record) == dictionary->record_size);
    (void)record_encode(&record, dictionary->record);
}

size_t store_dictionaries_save(struct store *store, uint16_t partition, uint8_t *out)
{
    struct store_partition *part = store_partition(store, partition);
    size_t total = 0;

    for (uint32_t i = 0; i < part->dictionary_count; i++) {
        struct store_dictionary *dictionary = &part->dictionaries[i];

        assert(dictionary->record_size <= STORE_DICTIONARY_SIZE_MAX);
        if (out) {
            reseal(store, dictionary);
            codec_put_u16(out + total, (uint16_t)dictionary->record_size);
            memcpy(out + total + 2, dictionary->record, dictionary->record_size);
        }
        total += 2 + dictionary->record_size;
    }
    return total;
}

bool store_dictionaries_sound(const uint8_t *bytes, size_t size)
{
    for (uint32_t count = 0; size > 0; count++) {
        size_t length = size < 2 ? 0 : codec_get_u16(bytes);

        if (count == COMPRESS_DICTIONARIES_MAX || length == 0 ||
            length > STORE_DICTIONARY_SIZE_MAX || length + 2 > size)
            return false;
        bytes += length + 2;
        size -= length + 2;
    }
    return true;
}

int store_dictionaries_load(struct store *store, uint16_t partition, const uint8_t *bytes,
                            size_t size)
{
    int r = 0;

    assert(store_dictionaries_sound(bytes, size));
    store_dictionaries_clear(store, partition);
    while (r == 0 && size > 0) {
        size_t length = codec_get_u16(bytes);

        r = store_dictionary_add_bytes(store, partition, bytes + 2, length);
        bytes += length + 2;
        size -= length + 2;
    }
    return r;
}

/* --- training: a job that touches no file ---------------------------------------------------- */

/* In the job's buffer: the sizes, the dictionary in use, the samples. `size` is how many samples,
 * `got` how large that dictionary is, 0 for none. */
struct store_job *store_train(struct store *store, uint16_t partition,
                              const struct samples *samples, void *context)
{
    const struct store_partition *part = store_partition(store, partition);
    uint32_t number = store_dictionary_newest(store, partition);
    struct store_job *job = calloc(1, sizeof *job);
    size_t head = samples->count * sizeof *samples->sizes, used_size = 0;
    const uint8_t *used = NULL;

    if (number > 0 && part->dictionaries[number - 1].dictionary)
        used = compress_dictionary_bytes(part->dictionaries[number - 1].dictionary, &used_size);
    if (job)
        job->buffer = malloc(head + used_size + samples->size + COMPRESS_DICTIONARY_SIZE_MAX);
    if (!job || !job->buffer) {
        free(job);
        return NULL;
    }
    memcpy(job->buffer, samples->sizes, head);
    if (used)
        memcpy(job->buffer + head, used, used_size);
    memcpy(job->buffer + head + used_size, samples->bytes, samples->size);
    job->class = STORE_JOB_READ;
    job->kind = STORE_JOB_KIND_TRAIN;
    job->context = context;
    job->size = samples->count;
    job->got = used_size;
    store->reads_out++;
    return job;
}

/* Bytes of the samples with that dictionary; as they are without one, or where it fails. */
static size_t packed_size(const uint8_t *dictionary_bytes, size_t dictionary_size,
                          const uint8_t *samples, const size_t *sizes, size_t count)
{
    struct compress_dictionary *dictionary = NULL;
    struct compress *context = compress_new();
    size_t before = 0, after = 0, room = 0;
    uint8_t *out;

    if (dictionary_size > 0)
        (void)compress_dictionary_new(dictionary_bytes, dictionary_size, COMPRESS_LEVEL_MIN,
                                      &dictionary);
    for (size_t i = 0; i < count; i++)
        room = sizes[i] > room ? sizes[i] : room;
    out = malloc(room + 1);
    for (size_t i = 0; i < count; i++) {
        size_t size = sizes[i], packed;

        if (dictionary && context && out &&
            compress_value(context, dictionary, 0, samples + before, size, out, &packed) == 0)
            after += packed;
        else
            after += size;
        before += size;
    }
    free(out);
    compress_free(context);
    compress_dictionary_free(dictionary);
    return after;
}

/* A dictionary must save an eighth of samples that it was not made of, against what is in use. */
int store_train_run(struct store_job *job)
{
    const size_t *sizes = (const size_t *)(const void *)job->buffer;
    const uint8_t *used = job->buffer + job->size * sizeof *sizes, *taught = used + job->got;
    const uint8_t *others = taught;
    uint8_t bytes[COMPRESS_DICTIONARY_SIZE_MAX];
    size_t taught_count = job->size - job->size / 4, count = job->size / 4, size, before;
    int r = compress_train(taught, sizes, (unsigned)taught_count, bytes, &size);

    if (r != 0) {
        job->got = 0;
        return r < 0 ? r : 0;
    }
    for (size_t i = 0; i < taught_count; i++)
        others += sizes[i];
    before = packed_size(used, job->got, others, sizes + taught_count, count);
    job->got = 0;
    if (packed_size(bytes, size, others, sizes + taught_count, count) < before - before / 8) {
        memcpy(job->buffer, bytes, size);
        job->got = size;
    }
    return 0;
}

void store_train_done(struct store *store, struct store_job *job)
{
    store->reads_out--;
    free(job->buffer);
    free(job);
}
