#include "storage/store.h"

#include "alloc.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTITION  0u
#define VALUE_SIZE 4000u

/* --- a store with one partition, and nobody behind it --------------------------------------- */

static void on_checkpoint(void *context, uint16_t partition,
                          const struct store_checkpoint *checkpoint)
{
    (void)context, (void)partition, (void)checkpoint;
}

static void on_hard_state(void *context, uint16_t partition, const struct store_hard_state *state)
{
    (void)context, (void)partition, (void)state;
}

static void on_entry(void *context, uint16_t partition, const struct record *records, size_t count,
                     store_location location, uint32_t size)
{
    (void)context, (void)partition, (void)records, (void)count, (void)location, (void)size;
}

static void on_commit(void *context, uint16_t partition, uint64_t commit)
{
    (void)context, (void)partition, (void)commit;
}

static void on_fence(void *context, uint16_t partition, const char *why)
{
    (void)context, (void)partition;
    cr_assert_fail("fenced: %s", why);
}

static void save_checkpoint(void *context, uint16_t partition, struct store_checkpoint *checkpoint)
{
    (void)context, (void)partition;
    *checkpoint = (struct store_checkpoint){.first_index = 1, .state = (const uint8_t *)""};
}

struct scene {
    struct vfs *vfs;
    struct store *store;
    uint64_t index;
    uint8_t text[VALUE_SIZE]; /* shrinks well */
};

static const struct vault *data_keys; /* of the scenes to come */

static void begin(struct scene *scene, int level, size_t cache_size)
{
    static const struct store_visitor visitor = {.on_checkpoint = on_checkpoint,
                                                 .on_hard_state = on_hard_state,
                                                 .on_entry = on_entry,
                                                 .on_commit = on_commit,
                                                 .on_fence = on_fence,
                                                 .save_checkpoint = save_checkpoint};
    struct store_options options = {.folder = "shard-00",
                                    .partitions = 8,
                                    .segment_size = 256u << 10,
                                    .batch_size_max = 64u << 10,
                                    .queue_size_max = 1u << 20,
                                    .memory_size_max = 64u << 10,
                                    .zero_ahead_size = 16u << 10,
                                    .journal_size_max = 64u << 20,
                                    .cache_size = cache_size,
                                    .compress_level = level,
                                    .compress_size_min = 64,
                                    .vault = data_keys};
    uint16_t partition = PARTITION;

    *scene = (struct scene){.vfs = vfs_mem_new()};
    cr_assert_eq(store_open(&scene->store, scene->vfs, &options, &visitor), 0);
    cr_assert_eq(store_found(scene->store, (const uint8_t[32]){1}, &partition, 1), 0);
    for (size_t i = 0; i < VALUE_SIZE; i++)
        scene->text[i] = (uint8_t)("the log is the database; "[i % 25]);
}

static void end(struct scene *scene)
{
    store_close(scene->store);
    vfs_mem_free(scene->vfs);
}

static struct keydir_digest digest_of(uint64_t key)
{
    return (struct keydir_digest){.high = (key + 1) * UINT64_C(0x9e3779b97f4a7c15),
                                  .low = (key + 7) * UINT64_C(0xc2b2ae3d27d4eb4f)};
}

static struct record record_of(const uint64_t *key, const uint8_t *value, size_t size)
{
    return (struct record){.partition = PARTITION,
                           .kind = RECORD_KIND_PUT,
                           .term = 1,
                           .key = (const uint8_t *)key,
                           .key_size = sizeof *key,
                           .value = value,
                           .value_size = size};
}

/* Compresses, appends and applies. Returns where it went. */
static store_location put(struct scene *scene, uint64_t key, const uint8_t *value, size_t size)
{
    struct record record = record_of(&key, value, size);
    struct keydir_digest digest = digest_of(key);
    store_location location;
    uint32_t length;

    record.index = ++scene->index;
    store_compress(scene->store, PARTITION, &record, 1);
    cr_assert_eq(store_append(scene->store, &record, 1, &location, &length), 0);
    cr_assert_eq(store_apply(scene->store, PARTITION, &digest, location, length, false, false), 0);
    return location;
}

/* --- compression ----------------------------------------------------------------------------- */

Test(store_value, a_compressed_value_comes_back)
{
    struct scene scene;
    uint64_t key = 1;

    begin(&scene, 1, 0);
    struct record record = record_of(&key, scene.text, VALUE_SIZE);
    store_compress(scene.store, PARTITION, &record, 1);
    cr_assert(record.flags & RECORD_FLAG_COMPRESSED);
    cr_assert_eq(record.codec, COMPRESS_CODEC_ZSTD);
    cr_assert_lt(record.value_size, VALUE_SIZE / 4);
    cr_assert_eq(store_expand(scene.store, &record), 0);
    cr_assert_eq(record.value_size, VALUE_SIZE);
    cr_assert_arr_eq(record.value, scene.text, VALUE_SIZE);
    end(&scene);
}

Test(store_value, records_of_one_entry_are_compressed_side_by_side)
{
    struct scene scene;
    uint64_t keys[3] = {1, 2, 3};
    struct record records[3];

    begin(&scene, 1, 0);
    for (unsigned i = 0; i < 3; i++)
        records[i] = record_of(&keys[i], scene.text + i, VALUE_SIZE - 10 * i - 20);
    records[1].kind = RECORD_KIND_DELETE;
    records[1].value_size = 0;
    store_compress(scene.store, PARTITION, records, 3);
    cr_assert_eq(records[1].flags, 0);
    for (unsigned i = 0; i < 3; i += 2) {
        cr_assert(records[i].flags & RECORD_FLAG_COMPRESSED);
        cr_assert_eq(store_expand(scene.store, &records[i]), 0);
        cr_assert_eq(records[i].value_size, VALUE_SIZE - 10 * i - 20);
        cr_assert_arr_eq(records[i].value, scene.text + i, records[i].value_size);
    }
    end(&scene);
}

Test(store_value, what_is_small_or_compressed_or_not_wanted_stays)
{
    struct scene scene;
    uint64_t key = 1;

    begin(&scene, 1, 0);
    struct record record = record_of(&key, scene.text, 63);
    store_compress(scene.store, PARTITION, &record, 1);
    cr_assert_eq(record.flags, 0);
    cr_assert_eq(store_expand(scene.store, &record), 0);
    cr_assert_eq(record.value, scene.text);
    record = record_of(&key, scene.text, VALUE_SIZE);
    record.flags = RECORD_FLAG_COMPRESSED;
    store_compress(scene.store, PARTITION, &record, 1);
    cr_assert_eq(record.value, scene.text);
    end(&scene);
    begin(&scene, 0, 0);
    record = record_of(&key, scene.text, VALUE_SIZE);
    store_compress(scene.store, PARTITION, &record, 1);
    cr_assert_eq(record.flags, 0);
    cr_assert_eq(record.value, scene.text);
    end(&scene);
}

Test(store_value, what_cannot_be_expanded_is_corrupt)
{
    struct scene scene;
    uint64_t key = 1;

    begin(&scene, 0, 0);
    struct record record = record_of(&key, scene.text, VALUE_SIZE);
    record.flags = RECORD_FLAG_COMPRESSED;
    record.codec = COMPRESS_CODEC_ZSTD;
    cr_assert_eq(store_expand(scene.store, &record), STORE_E_CORRUPT, "it is no frame");
    cr_assert_eq(record.value, scene.text);
    record.codec = COMPRESS_CODEC_PLAIN;
    cr_assert_eq(store_expand(scene.store, &record), STORE_E_CORRUPT, "flag without codec");
    record.flags = RECORD_FLAG_ENCRYPTED;
    record.key = scene.text;
    record.key_size = RECORD_SEALED_KEY_SIZE;
    cr_assert_eq(store_expand(scene.store, &record), STORE_E_NO_KEY);
    cr_assert_eq(record.value, scene.text);
    end(&scene);
}

Test(store_value, a_frame_that_claims_more_than_a_value_may_have_is_corrupt)
{
    struct scene scene;
    struct compress *context = compress_new();
    size_t size = RECORD_VALUE_SIZE_MAX + 1, packed_size;
    uint8_t *bomb = calloc(1, size), *packed = malloc(size);
    uint64_t key = 1;

    begin(&scene, 0, 0);
    cr_assert_eq(compress_value(context, NULL, 1, bomb, size, packed, &packed_size), 0);
    struct record record = record_of(&key, packed, packed_size);
    record.flags = RECORD_FLAG_COMPRESSED;
    record.codec = COMPRESS_CODEC_ZSTD;
    alloc_fail_after(1);
    cr_assert_eq(store_expand(scene.store, &record), STORE_E_CORRUPT);
    cr_assert_not(alloc_failed(), "it was believed before it was checked");
    alloc_fail_after(0);
    free(bomb);
    free(packed);
    compress_free(context);
    end(&scene);
}

Test(store_value, without_memory_a_value_stays_plain_and_none_is_expanded)
{
    struct scene scene;
    uint64_t key = 1;
    struct record record;

    for (unsigned n = 1; n <= 2; n++) {
        begin(&scene, 1, 0);
        record = record_of(&key, scene.text, VALUE_SIZE);
        alloc_fail_after(n);
        store_compress(scene.store, PARTITION, &record, 1);
        cr_assert(alloc_failed());
        cr_assert_eq(record.flags, 0);
        store_compress(scene.store, PARTITION, &record, 1);
        cr_assert_eq(record.codec, COMPRESS_CODEC_ZSTD);
        alloc_fail_after(1);
        cr_assert_eq(store_expand(scene.store, &record), -ENOMEM);
        cr_assert_eq(store_expand(scene.store, &record), 0);
        end(&scene);
    }
}

Test(store_value, the_digest_does_not_depend_on_compression)
{
    uint64_t digests[2];

    for (int level = 0; level < 2; level++) {
        struct scene scene;

        begin(&scene, level, 0);
        for (uint64_t key = 0; key < 20; key++)
            put(&scene, key, scene.text, 10 + key * 40);
        cr_assert_eq(store_digest(scene.store, PARTITION, &digests[level]), 0);
        end(&scene);
    }
    cr_assert_eq(digests[0], digests[1]);
}

static struct record json(const uint64_t *key, uint8_t out[64])
{
    int size = snprintf((char *)out, 64, "{\"user\":%u,\"city\":\"Berlin\",\"state\":\"active\"}",
                        (unsigned)*key * 7919);

    return record_of(key, out, (size_t)size);
}

/* Samples of kind 0 have little in common with those of kind 1. */
static size_t sample(uint64_t key, int kind, uint8_t out[64])
{
    if (kind == 0)
        return json(&key, out).value_size;
    return (size_t)snprintf((char *)out, 64, "<item n='%u' colour='magenta' state='sold' kg='%u'/>",
                            (unsigned)key * 4391 % 99991, (unsigned)key % 7);
}

/* Trains on samples of that kind. Returns how large the dictionary is, 0 for none. */
static size_t train(struct scene *scene, int kind, uint8_t out[COMPRESS_DICTIONARY_SIZE_MAX])
{
    struct samples samples = {0};
    uint8_t text[64];
    const uint8_t *bytes;
    struct store_job *job;
    size_t size;

    cr_assert(samples_ready(&samples, 200));
    for (uint64_t key = 0; key < 200; key++)
        cr_assert_eq(samples_add(&samples, 200, text, sample(key, kind, text)), key == 199);
    job = store_train(scene->store, PARTITION, &samples, scene);
    samples_deinit(&samples);
    cr_assert_eq(store_job_run(job), 0);
    cr_assert_eq(store_read_result(job, &bytes, &size), scene);
    memcpy(out, bytes, size);
    cr_assert_eq(store_done(scene->store, job, 0), 0);
    return size;
}

static struct record dictionary_record(struct scene *scene, uint32_t number, const uint8_t *bytes,
                                       size_t size)
{
    return (struct record){.partition = PARTITION,
                           .kind = RECORD_KIND_DICTIONARY,
                           .term = 1,
                           .index = ++scene->index,
                           .sub_count = 1,
                           .codec = (uint8_t)(COMPRESS_CODEC_ZSTD + number),
                           .value = bytes,
                           .value_size = size};
}

/* Teaches the store a dictionary, as replication would. */
static void teach(struct scene *scene, int kind)
{
    uint8_t bytes[COMPRESS_DICTIONARY_SIZE_MAX];
    size_t size = train(scene, kind, bytes);
    struct record record =
        dictionary_record(scene, store_dictionary_next(scene->store, PARTITION), bytes, size);

    cr_assert_gt(size, 0);
    cr_assert_eq(store_dictionary_add(scene->store, PARTITION, &record), 0);
}

Test(store_value, with_a_dictionary_small_values_shrink_and_come_back)
{
    struct scene scene;
    uint64_t key = 4711;
    uint8_t text[64];

    begin(&scene, 1, 0);
    for (uint8_t number = 1; number <= 2; number++) {
        struct record record = record_of(&key, text, sample(key, number % 2, text));
        size_t size = record.value_size;

        teach(&scene, number % 2);
        record.index = ++scene.index;
        store_compress(scene.store, PARTITION, &record, 1);
        cr_assert_eq(record.codec, COMPRESS_CODEC_ZSTD + number);
        cr_assert_lt(record.value_size, size / 2 + 8);
        cr_assert_eq(store_expand(scene.store, &record), 0);
        cr_assert_eq(record.value_size, size);
        cr_assert_arr_eq(record.value, text, size);
    }
    end(&scene);
}

/* What the partition has is what the new one is measured against. */
Test(store_value, another_dictionary_is_made_only_of_values_that_have_changed)
{
    uint8_t bytes[COMPRESS_DICTIONARY_SIZE_MAX];
    struct scene scene;

    begin(&scene, 1, 0);
    teach(&scene, 0);
    cr_assert_eq(train(&scene, 0, bytes), 0);
    cr_assert_gt(train(&scene, 1, bytes), 0);
    end(&scene);
}

Test(store_value, a_dictionary_that_is_not_there_is_corruption)
{
    struct scene scene;
    uint64_t key = 4711;
    uint8_t text[64];

    begin(&scene, 1, 0);
    teach(&scene, 0);
    struct record record = json(&key, text);
    record.index = ++scene.index;
    store_compress(scene.store, PARTITION, &record, 1);
    record.codec++;
    cr_assert_eq(store_expand(scene.store, &record), STORE_E_CORRUPT);
    record.codec--;
    store_dictionaries_clear(scene.store, PARTITION);
    cr_assert_eq(store_expand(scene.store, &record), STORE_E_CORRUPT);
    end(&scene);
}

/* The fifth takes the number of the first, and a record of the first is known to be old. */
Test(store_value, a_partition_has_so_many_dictionaries_at_most)
{
    struct record first, read;
    struct scene scene;
    uint64_t key = 4711;
    uint8_t text[64], packed[64];

    begin(&scene, 1, 0);
    teach(&scene, 0);
    first = json(&key, text);
    first.index = ++scene.index;
    store_compress(scene.store, PARTITION, &first, 1);
    memcpy(packed, first.value, first.value_size);
    first.value = packed;
    for (uint32_t i = 2; i <= COMPRESS_DICTIONARIES_MAX; i++) {
        teach(&scene, i % 2 == 0);
        cr_assert_eq(store_dictionaries(scene.store, PARTITION), i);
        cr_assert_eq(store_dictionary_newest(scene.store, PARTITION), i);
    }
    for (uint32_t i = 1; i <= 2; i++) {
        cr_assert_eq(store_dictionary_next(scene.store, PARTITION), i);
        teach(&scene, i % 2 == 0);
        cr_assert_eq(store_dictionaries(scene.store, PARTITION), COMPRESS_DICTIONARIES_MAX);
        cr_assert_eq(store_dictionary_newest(scene.store, PARTITION), i);
        read = first;
        cr_assert_eq(store_expand(scene.store, &read), STORE_E_GONE);
    }
    end(&scene);
}

Test(store_value, a_dictionary_that_cannot_be_is_refused)
{
    uint8_t bytes[COMPRESS_DICTIONARY_SIZE_MAX];
    struct record record;
    struct scene scene;
    size_t size;

    begin(&scene, 1, 0);
    size = train(&scene, 0, bytes);
    record = dictionary_record(&scene, 2, bytes, size);
    cr_assert_eq(store_dictionary_add(scene.store, PARTITION, &record), STORE_E_CORRUPT);
    record = dictionary_record(&scene, 1, bytes, size);
    memset(bytes + 8, 0xFF, 100);
    cr_assert_eq(store_dictionary_add(scene.store, PARTITION, &record), STORE_E_CORRUPT);
    cr_assert_eq(store_dictionaries(scene.store, PARTITION), 0);
    end(&scene);
}

/* As replay does. */
Test(store_value, a_dictionary_that_is_there_is_not_added_twice)
{
    uint8_t bytes[COMPRESS_DICTIONARY_SIZE_MAX];
    struct record record;
    struct scene scene;

    begin(&scene, 1, 0);
    record = dictionary_record(&scene, 1, bytes, train(&scene, 0, bytes));
    cr_assert_eq(store_dictionary_add(scene.store, PARTITION, &record), 0);
    record.value_size = 10; /* it is not looked at again */
    cr_assert_eq(store_dictionary_add(scene.store, PARTITION, &record), 0);
    cr_assert_eq(store_dictionaries(scene.store, PARTITION), 1);
    end(&scene);
}

/* --- encryption ------------------------------------------------------------------------------ */

static struct vault vault;

static void begin_sealed(struct scene *scene, int level)
{
    cr_assert_geq(sodium_init(), 0);
    vault_init(&vault);
    cr_assert_eq(vault_add(&vault, 3, (const uint8_t[VAULT_KEY_SIZE]){7}), 0);
    vault_use(&vault, 3);
    data_keys = &vault;
    begin(scene, level, 0);
}

Test(store_value, sealed_records_of_one_entry_come_back_compressed_or_not)
{
    uint64_t names[3] = {1, 2, 3};
    struct keydir_digest digests[3] = {digest_of(1), digest_of(2), digest_of(3)}, digest;

    for (int level = 0; level < 2; level++) {
        struct record records[3];
        struct scene scene;

        begin_sealed(&scene, level);
        cr_assert(store_encrypts(scene.store));
        for (unsigned i = 0; i < 3; i++) {
            records[i] = record_of(&names[i], scene.text + i, VALUE_SIZE - 10 * i - 20);
            records[i].sub_index = (uint16_t)i;
            records[i].sub_count = 3;
        }
        records[1].kind = RECORD_KIND_DELETE;
        records[1].value_size = 0;
        store_compress(scene.store, PARTITION, records, 3);
        cr_assert_eq(store_encrypt(scene.store, records, digests, 3, 99), 0);
        for (unsigned i = 0; i < 3; i++) {
            cr_assert_eq(records[i].key_id, 3);
            cr_assert(vault_digest(&records[i], &digest));
            cr_assert_eq(digest.low, digests[i].low);
            cr_assert_eq(store_expand(scene.store, &records[i]), 0);
            cr_assert_eq(records[i].key_size, sizeof names[i]);
            cr_assert_eq(memcmp(records[i].key, &names[i], sizeof names[i]), 0);
            cr_assert_eq(records[i].value_size, i == 1 ? 0 : VALUE_SIZE - 10 * i - 20);
            if (i != 1)
                cr_assert_arr_eq(records[i].value, scene.text + i, records[i].value_size);
        }
        end(&scene);
    }
}

Test(store_value, only_puts_and_deletes_are_sealed_and_only_with_a_current_key)
{
    struct keydir_digest digest = digest_of(1);
    struct record record = {.kind = RECORD_KIND_NOOP, .sub_count = 1};
    uint64_t key = 1;
    struct scene scene;

    begin_sealed(&scene, 0);
    cr_assert_eq(store_encrypt(scene.store, &record, &digest, 1, 99), 0);
    cr_assert_eq(record.flags, 0);
    vault.current = 0;
    record = record_of(&key, scene.text, 10);
    cr_assert_not(store_encrypts(scene.store));
    cr_assert_eq(store_encrypt(scene.store, &record, &digest, 1, 99), 0);
    cr_assert_eq(record.flags, 0);
    end(&scene);
}

Test(store_value, without_memory_nothing_is_sealed_or_opened_by_half)
{
    struct keydir_digest digest = digest_of(1);
    struct record record, before;
    uint64_t key = 1;
    struct scene scene;

    begin_sealed(&scene, 1);
    record = record_of(&key, scene.text, VALUE_SIZE);
    record.sub_count = 1;
    store_compress(scene.store, PARTITION, &record, 1);
    before = record;
    alloc_fail_after(1);
    cr_assert_eq(store_encrypt(scene.store, &record, &digest, 1, 99), -ENOMEM);
    cr_assert_eq(memcmp(&record, &before, sizeof record), 0);
    cr_assert_eq(store_encrypt(scene.store, &record, &digest, 1, 99), 0);
    before = record;
    for (unsigned n = 1; n <= 2; n++) { /* for opening, for expanding */
        alloc_fail_after(n);
        cr_assert_eq(store_expand(scene.store, &record), -ENOMEM);
        cr_assert_eq(memcmp(&record, &before, sizeof record), 0);
        store_close(scene.store);
        vfs_mem_free(scene.vfs);
        begin(&scene, 1, 0);
        record = record_of(&key, scene.text, VALUE_SIZE);
        record.sub_count = 1;
        store_compress(scene.store, PARTITION, &record, 1);
        cr_assert_eq(store_encrypt(scene.store, &record, &digest, 1, 99), 0);
        before = record;
    }
    alloc_fail_after(0);
    cr_assert_eq(store_expand(scene.store, &record), 0);
    end(&scene);
}

/* --- the cache ------------------------------------------------------------------------------- */

Test(store_value, what_is_applied_drives_its_key_out_of_the_cache)
{
    struct scene scene;
    uint64_t key = 5;
    struct cache_value value = {.bytes = (const uint8_t *)"old", .size = 3};
    struct store_stats stats;

    begin(&scene, 0, 16u << 10);
    struct cache_key name = {.partition = PARTITION,
                             .digest = digest_of(key),
                             .location = put(&scene, key, scene.text, 10),
                             .key = (const uint8_t *)&key,
                             .key_size = sizeof key};
    store_cache(scene.store, &name, &value);
    cr_assert_eq(store_cached(scene.store, &name, &value), 0);
    cr_assert_eq(value.size, 3);
    store_stats(scene.store, &stats);
    cr_assert_eq(stats.cache.entries, 1);
    put(&scene, key + 1, scene.text, 10);
    cr_assert_eq(store_cached(scene.store, &name, &value), 0);
    put(&scene, key, scene.text, 10);
    cr_assert_eq(store_cached(scene.store, &name, &value), STORE_E_ABSENT,
                 "under its old place too: that may be used again");
    end(&scene);
}

Test(store_value, without_a_cache_nothing_is_found)
{
    struct scene scene;
    uint64_t key = 5;
    struct cache_value value = {.bytes = (const uint8_t *)"old", .size = 3};
    struct cache_key name = {
        .digest = digest_of(key), .key = (const uint8_t *)&key, .key_size = sizeof key};

    begin(&scene, 0, 0);
    store_cache(scene.store, &name, &value);
    cr_assert_eq(store_cached(scene.store, &name, &value), STORE_E_ABSENT);
    end(&scene);
}
