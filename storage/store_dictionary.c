#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/codec.h"
#include "storage/store_state.h"

int store_dictionary_add(struct store *store, uint16_t partition, const uint8_t *bytes, size_t size)
{
    struct store_partition *part = store_partition(store, partition);
    struct compress_dictionary *dictionary;

    assert(part && part->is_hosted);
    if (part->dictionary_count == COMPRESS_DICTIONARIES_MAX)
        return STORE_E_FULL;
    dictionary = compress_dictionary_new(bytes, size, store->options.compress_level);
    if (!dictionary)
        return -ENOMEM;
    part->dictionaries[part->dictionary_count++] = dictionary;
    return 0;
}

uint32_t store_dictionaries(const struct store *store, uint16_t partition)
{
    return store_partition(store, partition)->dictionary_count;
}

const uint8_t *store_dictionary(const struct store *store, uint16_t partition, uint32_t number,
                                size_t *size)
{
    const struct store_partition *part = store_partition(store, partition);

    assert(number >= 1 && number <= part->dictionary_count);
    return compress_dictionary_bytes(part->dictionaries[number - 1], size);
}

void store_dictionaries_clear(struct store *store, uint16_t partition)
{
    struct store_partition *part = store_partition(store, partition);

    while (part->dictionary_count > 0) {
        part->dictionary_count--;
        compress_dictionary_free(part->dictionaries[part->dictionary_count]);
        part->dictionaries[part->dictionary_count] = NULL;
    }
}

/* --- as bytes: each its size (u16), then itself ------------------------------------------------
 */

size_t store_dictionaries_save(const struct store *store, uint16_t partition, uint8_t *out)
{
    uint32_t count = store_dictionaries(store, partition);
    size_t total = 0;

    for (uint32_t number = 1; number <= count; number++) {
        size_t size;
        const uint8_t *bytes = store_dictionary(store, partition, number, &size);

        if (out) {
            codec_put_u16(out + total, (uint16_t)size);
            memcpy(out + total + 2, bytes, size);
        }
        total += 2 + size;
    }
    return total;
}

bool store_dictionaries_sound(const uint8_t *bytes, size_t size)
{
    for (uint32_t count = 0; size > 0; count++) {
        size_t length = size < 2 ? 0 : codec_get_u16(bytes);

        if (count == COMPRESS_DICTIONARIES_MAX || length == 0 ||
            length > COMPRESS_DICTIONARY_SIZE_MAX || length + 2 > size)
            return false;
        bytes += length + 2;
        size -= length + 2;
    }
    return true;
}

int store_dictionaries_load(struct store *store, uint16_t partition, const uint8_t *bytes,
                            size_t size)
{
    assert(store_dictionaries_sound(bytes, size));
    store_dictionaries_clear(store, partition);
    while (size > 0) {
        size_t length = codec_get_u16(bytes);

        if (store_dictionary_add(store, partition, bytes + 2, length) != 0)
            return -ENOMEM;
        bytes += length + 2;
        size -= length + 2;
    }
    return 0;
}

/* --- training: a job that touches no file ---------------------------------------------------- */

/* In the job's buffer: the sizes, then the samples; `size` is how many samples. */
struct store_job *store_train(struct store *store, const struct samples *samples, void *context)
{
    struct store_job *job = calloc(1, sizeof *job);
    size_t head = samples->count * sizeof *samples->sizes;

    if (job)
        job->buffer = malloc(head + samples->size + COMPRESS_DICTIONARY_SIZE_MAX);
    if (!job || !job->buffer) {
        free(job);
        return NULL;
    }
    memcpy(job->buffer, samples->sizes, head);
    memcpy(job->buffer + head, samples->bytes, samples->size);
    job->class = STORE_JOB_READ;
    job->kind = STORE_JOB_KIND_TRAIN;
    job->context = context;
    job->size = samples->count;
    store->reads_out++;
    return job;
}

/* A dictionary must save an eighth of samples that it was not made of. */
static bool train_pays(const uint8_t *dictionary_bytes, size_t dictionary_size,
                       const uint8_t *samples, const size_t *sizes, size_t count)
{
    struct compress_dictionary *dictionary =
        compress_dictionary_new(dictionary_bytes, dictionary_size, COMPRESS_LEVEL_MIN);
    struct compress *context = compress_new();
    size_t before = 0, after = 0, room = 0;
    uint8_t *out;

    for (size_t i = 0; i < count; i++)
        room = sizes[i] > room ? sizes[i] : room;
    out = malloc(room + 1);
    for (size_t i = 0; dictionary && context && out && i < count; i++) {
        size_t packed = sizes[i];

        if (compress_value(context, dictionary, 0, samples + before, sizes[i], out, &packed) != 0)
            packed = sizes[i];
        before += sizes[i];
        after += packed;
    }
    free(out);
    compress_free(context);
    compress_dictionary_free(dictionary);
    return after < before - before / 8;
}

int store_train_run(struct store_job *job)
{
    const size_t *sizes = (const size_t *)(const void *)job->buffer;
    const uint8_t *samples = job->buffer + job->size * sizeof *sizes;
    uint8_t bytes[COMPRESS_DICTIONARY_SIZE_MAX];
    size_t taught = job->size - job->size / 4, size, before = 0;
    int r = compress_train(samples, sizes, (unsigned)taught, bytes, &size);

    if (r < 0)
        return r;
    for (size_t i = 0; i < taught; i++)
        before += sizes[i];
    if (r != 0 || !train_pays(bytes, size, samples + before, sizes + taught, job->size - taught))
        return 0;
    memcpy(job->buffer, bytes, size);
    job->got = size;
    return 0;
}

void store_train_done(struct store *store, struct store_job *job)
{
    store->reads_out--;
    free(job->buffer);
    free(job);
}
