#include "replication/shard_internal.h"

#include <stdlib.h>
#include <string.h>

#define REPLY_SIZE_MAX (17u << 20) /* of an operation on several keys; under a link's message */

void shard_find_place(const struct shard *shard, const struct replica *replica,
                      const struct keydir_digest *digest, struct shard_place *place)
{
    const struct pending_write *write;
    struct keydir_entry entry;

    *place = (struct shard_place){0};
    if (pending_find(&replica->pending, digest, &write) == PENDING_E_OK) {
        place->location = write->location;
        place->size = write->size;
        place->index = write->index;
        place->found = !write->tombstone;
        place->expires = write->expires;
    } else if (store_find(shard->store, replica->partition, digest, &entry) == 0) {
        place->location = entry.location;
        place->size = entry.size_max;
        place->found = !entry.tombstone;
        place->expires = entry.expires;
    }
}

struct keydir_digest shard_record_digest(const struct shard *shard, const struct record *record)
{
    struct keydir_digest digest;
    struct hash_digest hash;

    if (vault_digest(record, &digest))
        return digest;
    hash = hash_key(shard->hash_secret, record->key, record->key_size);
    return (struct keydir_digest){.high = hash.high, .low = hash.low};
}

static int expand_failure(int r)
{
    switch (r) {
    case STORE_E_NO_KEY:
        return VALUES_FAILED;
    case STORE_E_GONE:
        return VALUES_GONE;
    default:
        return r < 0 ? VALUES_NO_MEMORY : VALUES_CORRUPT;
    }
}

/* Takes the value out of a record's bytes. The key is compared: a digest may err, data may not.
 * *packed: it took work to decode. */
static int value_of(struct shard *shard, const struct replica *replica,
                    const struct wire_bytes *key, const uint8_t *bytes, size_t size,
                    struct command_value *value, bool *packed)
{
    struct record record;
    int r;

    if (record_decode(bytes, size, &record) != 0 || record.partition != replica->partition ||
        record.kind != RECORD_KIND_PUT)
        return VALUES_CORRUPT;
    *packed = record.codec != 0 || (record.flags & RECORD_FLAG_ENCRYPTED);
    r = store_expand(shard->store, &record);
    if (r != 0)
        return expand_failure(r);
    if (record.key_size != key->size || memcmp(record.key, key->data, key->size) != 0)
        return VALUES_CORRUPT;
    value->bytes = record.value_size ? record.value : (const uint8_t *)"";
    value->size = record.value_size;
    value->expiry_ms = record.expiry_ms;
    return VALUES_OK;
}

bool shard_scratch_room(struct shard *shard, size_t size)
{
    size_t capacity = 2 * shard->scratch_capacity;
    uint8_t *grown;

    if (size <= shard->scratch_capacity)
        return true;
    capacity = size > capacity ? size : capacity;
    grown = realloc(shard->scratch, capacity);
    if (!grown)
        return false;
    shard->scratch = grown;
    shard->scratch_capacity = capacity;
    return true;
}

/* With several keys each value is copied: what the store lends ends with its next read. But where
 * only existence is asked for, its bytes are done with at once. */
static bool keeps_values(const struct shard_request *request)
{
    return request->key_count > 1 &&
           command_needs(request->op->operation, request->op->flags) == COMMAND_NEEDS_VALUE;
}

static int keep_value(struct shard *shard, const struct shard_request *request, uint32_t key,
                      size_t *used)
{
    const struct command_value *value = &shard->values[key];

    if (!keeps_values(request))
        return VALUES_OK;
    if (*used + value->size > REPLY_SIZE_MAX)
        return VALUES_TOO_LARGE;
    if (!shard_scratch_room(shard, *used + value->size + 1))
        return VALUES_NO_MEMORY;
    memcpy(shard->scratch + *used, value->bytes, value->size);
    shard->places[key].kept = *used;
    *used += value->size;
    return VALUES_OK;
}

/* The bytes of the record: what a read job gave, or what is to be had without waiting. */
static int read_record(struct shard *shard, const struct shard_request *request, uint32_t key,
                       const uint8_t **bytes, size_t *size)
{
    const struct shard_place *place = &shard->places[key];
    struct shard_operation *waiting = request->waiting;
    int r;

    if (waiting && waiting->fetched[key].done) {
        *bytes = waiting->values[key].data;
        *size = waiting->values[key].size;
        return VALUES_OK;
    }
    r = store_peek(shard->store, place->location, place->size, bytes, size);
    if (r == 0)
        return VALUES_OK;
    if (r != STORE_E_AGAIN)
        return VALUES_FAILED;
    if (waiting &&
        shard_read_start(shard, SHARD_READ_OPERATION, waiting, key, place->location, place->size)) {
        waiting->fetched[key].location = place->location;
        waiting->reads_left++;
        waiting->charge += place->size;
        shard->in_flight_size += place->size;
    }
    return VALUES_ON_DISK;
}

/* What is in memory already and costs nothing to decode is not kept twice; and what a read job gave
 * is kept only while the record has not been moved or written over since. */
static bool worth_caching(const struct shard *shard, const struct shard_request *request,
                          uint32_t key, bool packed)
{
    const struct shard_place *place = &shard->places[key];
    const struct shard_operation *waiting = request->waiting;

    if (place->index != 0)
        return false;
    if (waiting && waiting->fetched[key].done)
        return waiting->fetched[key].location == place->location;
    return packed || store_peeked_file(shard->store);
}

static int read_value(struct shard *shard, struct replica *replica,
                      const struct shard_request *request, uint32_t key, size_t *used)
{
    const struct wire_bytes *name = &request->args[key * request->stride];
    const struct shard_place *place = &shard->places[key];
    struct command_value *value = &shard->values[key];
    struct cache_key cached = {.partition = replica->partition,
                               .digest = request->digests[key],
                               .location = place->location,
                               .key = name->data,
                               .key_size = name->size};
    struct cache_value found;
    const uint8_t *bytes;
    bool packed;
    size_t size;
    int r;

    if (place->index == 0 && store_cached(shard->store, &cached, &found) == 0) {
        value->bytes = found.bytes;
        value->size = found.size;
        value->expiry_ms = found.expiry_ms;
        return keep_value(shard, request, key, used);
    }
    r = read_record(shard, request, key, &bytes, &size);
    if (r == VALUES_OK)
        r = value_of(shard, replica, name, bytes, size, value, &packed);
    if (r != VALUES_OK)
        return r;
    if (worth_caching(shard, request, key, packed)) {
        found = (struct cache_value){
            .bytes = value->bytes, .size = value->size, .expiry_ms = value->expiry_ms};
        store_cache(shard->store, &cached, &found);
    }
    return keep_value(shard, request, key, used);
}

/* Whether a key is there is known without a read, unless it may have expired. */
static bool to_read(const struct shard_request *request, const struct shard_place *place)
{
    enum command_needs needs = command_needs(request->op->operation, request->op->flags);

    return place->found && (needs == COMMAND_NEEDS_VALUE || place->expires);
}

/* All keys are read, or as many as can be without waiting. */
static int read_values(struct shard *shard, struct replica *replica,
                       const struct shard_request *request)
{
    int result = VALUES_OK;
    size_t used = 0;

    for (uint32_t key = 0; key < request->key_count; key++) {
        int r = to_read(request, &shard->places[key])
                    ? read_value(shard, replica, request, key, &used)
                    : VALUES_OK;

        if (r != VALUES_OK && r != VALUES_ON_DISK)
            return r;
        if (r == VALUES_ON_DISK)
            result = r;
    }
    for (uint32_t key = 0; keeps_values(request) && key < request->key_count; key++)
        if (shard->places[key].found && result == VALUES_OK)
            shard->values[key].bytes = shard->scratch + shard->places[key].kept;
    return result;
}

int shard_gather(struct shard *shard, struct replica *replica, const struct shard_request *request,
                 uint64_t *observed)
{
    enum command_needs needs = command_needs(request->op->operation, request->op->flags);
    size_t size = 0;

    *observed = 0;
    if (needs == COMMAND_NEEDS_NONE)
        return VALUES_OK;
    for (uint32_t key = 0; key < request->key_count; key++) {
        struct shard_place *place = &shard->places[key];

        shard_find_place(shard, replica, &request->digests[key], place);
        shard->values[key] = (struct command_value){.found = place->found};
        if (place->index > *observed)
            *observed = place->index;
        size += to_read(request, place) ? place->size : 0;
    }
    if (keeps_values(request) && size > REPLY_SIZE_MAX)
        return VALUES_TOO_LARGE;
    return read_values(shard, replica, request);
}
