/* Values on their way: compressed and sealed before they are appended, made plain when they were
 * read; the dictionary they teach; and what of all that a checkpoint keeps:
 *   u8 version (1), 7 zeros, u64 index of the newest dictionary, 16 bytes that tell whose key it
 *   is (zeros: values are not sealed), dictionaries (store_dictionaries_save) to the end. */
#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "storage/codec.h"
#include "storage/engine_state.h"

#define KEY_ID        1u
#define SAMPLES_COUNT 400u

static_assert(ENGINE_SECRET_SIZE == VAULT_KEY_SIZE, "the caller's key is a data key");

static void check_make(const uint8_t *key, uint8_t check[ENGINE_CHECK_SIZE])
{
    static const char text[] = "ringcask engine: is it the key?";

    crypto_generichash(check, ENGINE_CHECK_SIZE, (const uint8_t *)text, sizeof text, key,
                       ENGINE_SECRET_SIZE);
}

int engine_pack_init(struct engine *engine, const struct engine_options *options)
{
    struct engine_pack *pack = &engine->pack;

    /* Sealed files are in no order of keys. */
    if (options->compress_level < 0 || options->compress_level > COMPRESS_LEVEL_MAX ||
        (options->key && options->ordered))
        return -EINVAL;
    pack->level = options->compress_level;
    pack->on = pack->level > 0 || options->key;
    /* A dictionary is made of pieces of values and lies open. */
    pack->sampling = pack->level > 0 && !options->key && !options->read_only;
    if (!options->key)
        return 0;
    pack->vault = malloc(sizeof *pack->vault);
    if (!pack->vault)
        return -ENOMEM;
    engine_secret((uint8_t *)&pack->tail, sizeof pack->tail);
    vault_init(pack->vault);
    if (vault_add(pack->vault, KEY_ID, options->key) != 0)
        return -EINVAL;
    vault_use(pack->vault, KEY_ID);
    check_make(options->key, pack->check);
    return 0;
}

void engine_pack_deinit(struct engine *engine)
{
    if (engine->pack.vault)
        vault_wipe(engine->pack.vault);
    free(engine->pack.vault);
    samples_deinit(&engine->pack.samples);
}

void engine_pack_options(const struct engine *engine, struct engine_options *options)
{
    options->compress_level = engine->pack.level;
    options->key = engine->pack.vault ? engine->pack.vault->keys[KEY_ID] : NULL;
}

/* --- writing ------------------------------------------------------------------------------- */

size_t engine_pack_room(const struct engine *engine, const struct record *record)
{
    size_t size = record_size_padded(record);

    /* Key and value together, another key in its place, a checksum where there was no value. */
    if (engine->pack.vault)
        size += RECORD_SEALED_OVERHEAD_SIZE + RECORD_SEALED_KEY_SIZE + 8 + RECORD_ALIGN;
    return size;
}

static void sample(struct engine_pack *pack, const struct record *records, size_t count)
{
    if (!pack->sampling || !samples_ready(&pack->samples, SAMPLES_COUNT))
        return;
    for (size_t i = 0; i < count && pack->sampling; i++)
        if (records[i].kind == RECORD_KIND_PUT &&
            samples_add(&pack->samples, SAMPLES_COUNT, records[i].value, records[i].value_size)) {
            pack->sampling = false;
            pack->sampled = true;
        }
}

int engine_pack_append(struct engine *engine, struct record *records,
                       const struct keydir_digest *digests, size_t count, store_location *location,
                       uint32_t *size)
{
    size_t room = 0;
    int r;

    for (size_t i = 0; i < count; i++) {
        room += engine_pack_room(engine, &records[i]);
        records[i].sub_index = (uint16_t)i;
        records[i].sub_count = (uint16_t)count;
    }
    /* First: the caller waits for room without the lock, and what is packed lies in memory of the
     * store that another one would use again. */
    r = store_room(engine->store, room);
    if (r != 0)
        return r;
    sample(&engine->pack, records, count);
    store_compress(engine->store, ENGINE_PARTITION, records, count);
    r = store_encrypt(engine->store, records, digests, count, engine->pack.tail);
    return r == 0 ? store_append(engine->store, records, count, location, size) : r;
}

/* --- the dictionary ------------------------------------------------------------------------ */

static void train(struct engine *engine)
{
    struct engine_pack *pack = &engine->pack;
    struct store_job *job = store_train(engine->store, ENGINE_PARTITION, &pack->samples, NULL);
    const uint8_t *bytes;
    size_t size = 0;
    int r;

    pack->sampled = false;
    samples_deinit(&pack->samples);
    if (!job)
        return; /* values stay without one */
    engine_unlock(engine);
    r = store_job_run(job);
    engine_lock(engine);
    if (r == 0)
        store_read_result(job, &bytes, &size);
    if (size > 0)
        memcpy(pack->dictionary, bytes, size);
    pack->dictionary_size = size;
    store_done(engine->store, job, r);
}

void engine_pack_train(struct engine *engine)
{
    struct engine_pack *pack = &engine->pack;
    struct record record = {.partition = ENGINE_PARTITION,
                            .kind = RECORD_KIND_DICTIONARY,
                            .term = ENGINE_TERM,
                            .codec = COMPRESS_CODEC_ZSTD + 1};
    store_location location;
    uint32_t size;

    if (pack->sampled)
        train(engine);
    if (pack->dictionary_size == 0)
        return;
    record.index = engine->index + 1;
    record.value = pack->dictionary;
    record.value_size = pack->dictionary_size;
    if (store_append(engine->store, &record, 1, &location, &size) != 0)
        return; /* no room now: once more */
    engine_appended(engine);
    pack->dictionary_size = 0;
    engine_pack_learn(engine, &record);
}

/* What is compressed with it lies behind it, and a crash cuts at the end only. */
void engine_pack_learn(struct engine *engine, const struct record *record)
{
    int r = store_dictionary_add(engine->store, ENGINE_PARTITION, record);

    engine->pack.sampling = false;
    if (r < 0)
        engine->error = r;
    else if (r != 0)
        engine->fenced = "a compression dictionary does not decode";
}

/* --- reading ------------------------------------------------------------------------------- */

int engine_unpack(struct engine *engine, struct record *record, struct engine_value *value)
{
    int r;

    if (!(record->flags & (RECORD_FLAG_COMPRESSED | RECORD_FLAG_ENCRYPTED)))
        return 0;
    engine_lock(engine);
    r = store_expand(engine->store, record);
    if (r == 0)
        r = engine_value_reserve(value, record->key_size + record->value_size);
    if (r == 0) {
        memcpy(value->memory, record->key, record->key_size);
        memcpy(value->memory + record->key_size, record->value, record->value_size);
        record->key = value->memory;
        record->value = value->memory + record->key_size;
        record->flags &= (uint8_t)~RECORD_FLAG_COMPRESSED;
    }
    engine_unlock(engine);
    return r > 0 ? ENGINE_E_CORRUPT : r;
}

/* --- checkpoints --------------------------------------------------------------------------- */

#define STATE_VERSION      1u
#define STATE_INDEX_AT     8u
#define STATE_CHECK_AT     16u
#define STATE_DICTIONARIES ENGINE_STATE_HEAD

size_t engine_pack_save(struct engine *engine)
{
    struct engine_pack *pack = &engine->pack;

    memset(pack->state, 0, ENGINE_STATE_HEAD);
    pack->state[0] = STATE_VERSION;
    codec_put_u64(pack->state + STATE_INDEX_AT,
                  store_dictionary_index(engine->store, ENGINE_PARTITION));
    memcpy(pack->state + STATE_CHECK_AT, pack->check, ENGINE_CHECK_SIZE);
    return STATE_DICTIONARIES + store_dictionaries_save(engine->store, ENGINE_PARTITION,
                                                        pack->state + STATE_DICTIONARIES);
}

void engine_pack_load(struct engine *engine, const uint8_t *state, size_t size)
{
    static const uint8_t none[ENGINE_CHECK_SIZE];
    struct engine_pack *pack = &engine->pack;
    const uint8_t *check = size > 0 ? state + STATE_CHECK_AT : none; /* before this was kept */
    uint64_t index;
    int r;

    if (size > 0 &&
        (size < ENGINE_STATE_HEAD || state[0] != STATE_VERSION ||
         !store_dictionaries_sound(state + STATE_DICTIONARIES, size - STATE_DICTIONARIES))) {
        engine->fenced = "a checkpoint is not sound";
        return;
    }
    pack->foreign = memcmp(check, pack->check, ENGINE_CHECK_SIZE) != 0;
    index = size > 0 ? codec_get_u64(state + STATE_INDEX_AT) : 0;
    if (index <= store_dictionary_index(engine->store, ENGINE_PARTITION))
        return;
    pack->sampling = false;
    r = store_dictionaries_load(engine->store, ENGINE_PARTITION, state + STATE_DICTIONARIES,
                                size - STATE_DICTIONARIES);
    if (r < 0)
        engine->error = r;
    else if (r != 0)
        engine->fenced = "a compression dictionary does not decode";
}
