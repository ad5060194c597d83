/* A record of the meta group's state: one value a version. Shard 0 of the voters looks at it
 * whenever more is applied, tells the node of a later version, and, where the group's leader is,
 * compares and sets what is to come next. */
#include "replication/shard_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define TELL_AGAIN_MS 1000u /* a node whose disk was full did not take it */

static struct wire_bytes key_of(const struct shard_record *record)
{
    return (struct wire_bytes){.data = (const uint8_t *)record->kind->key,
                               .size = strlen(record->kind->key)};
}

static struct keydir_digest digest_of(const struct shard *shard, const struct shard_record *record)
{
    struct wire_bytes key = key_of(record);
    struct hash_digest digest = hash_key(shard->hash_secret, key.data, key.size);

    return (struct keydir_digest){.high = digest.high, .low = digest.low};
}

/* It may hold a secret. */
void shard_record_deinit(struct shard_record *record)
{
    if (record->value)
        sodium_memzero(record->value, record->size);
    free(record->value);
    record->value = NULL;
}

/* Keeps a copy. 0 or -ENOMEM. */
static int set_value(struct shard_record *record, const uint8_t *value, size_t size,
                     uint64_t version)
{
    uint8_t *copy = malloc(size);

    if (!copy)
        return -ENOMEM;
    memcpy(copy, value, size);
    shard_record_deinit(record);
    record->value = copy;
    record->size = size;
    record->version = version;
    return 0;
}

int shard_record_init(struct shard_record *record, const struct shard_record_kind *kind,
                      const uint8_t *value, size_t size)
{
    *record = (struct shard_record){.kind = kind, .version = 1};
    return value ? set_value(record, value, size, 1) : 0;
}

/* --- what is applied ----------------------------------------------------------------------- */

static void tell_node(struct shard *shard, struct shard_record *record)
{
    struct wire_buffer body = {0};

    record->tell_due_ms = shard->now_ms + TELL_AGAIN_MS;
    if (!record->value)
        return;
    wire_put_map_epoch(&body, record->version);
    shard_out(shard, shard_to_member(shard->options.self), record->kind->told, WIRE_PARTITION_NODE,
              0, &body);
    wire_buffer_deinit(&body);
}

/* It may be the one that the value is from: only its index tells. Where it lies does not, for flush
 * moves records, and what comes later may lie where they lay. */
static void take(struct shard *shard, struct shard_record *record, const uint8_t *bytes,
                 size_t size)
{
    struct wire_bytes key = key_of(record);
    struct record stored;
    uint64_t version;
    int r;

    if (record_decode(bytes, size, &stored) != 0 || stored.kind != RECORD_KIND_PUT ||
        stored.key_size != key.size || memcmp(stored.key, key.data, key.size) != 0) {
        shard_fence(shard, shard->meta, "a record that was synced does not check");
        return;
    }
    if (stored.index == record->index)
        return;
    r = record->kind->take(shard, stored.value, stored.value_size, &version);
    if (r == 0)
        r = set_value(record, stored.value, stored.value_size, version);
    if (r < 0) {
        shard->fatal = r;
        return;
    }
    if (r != 0) {
        /* The newer program can read it. */
        shard_fence_sound(shard, shard->meta, record->kind->newer);
        return;
    }
    record->index = stored.index;
    tell_node(shard, record);
}

static void look(struct shard *shard, struct shard_record *record)
{
    struct keydir_digest digest = digest_of(shard, record);
    struct keydir_entry entry;
    const uint8_t *bytes;
    size_t size;

    record->looked = shard->meta->raft.applied;
    if (store_find(shard->store, STORE_PARTITION_META, &digest, &entry) != 0 || entry.tombstone)
        return;
    if (store_peek(shard->store, entry.location, entry.size_max, &bytes, &size) == 0)
        take(shard, record, bytes, size);
    else
        record->reading = shard_read_start(shard, SHARD_READ_RECORD, record, 0, entry.location,
                                           (uint32_t)entry.size_max);
}

void shard_record_read(struct shard *shard, struct shard_record *record, const uint8_t *bytes,
                       size_t size)
{
    record->reading = false;
    if (bytes)
        take(shard, record, bytes, size);
    else
        record->looked = 0; /* the disk failed to give it: again in the next round */
}

bool shard_record_known(const struct shard *shard, const struct shard_record *record)
{
    return record->looked == shard->meta->raft.applied && !record->reading;
}

/* --- changes ------------------------------------------------------------------------------- */

static void answer(struct shard *shard, const struct shard_record *record, struct shard_address to,
                   uint64_t correlation, struct wire_map_reply *reply)
{
    struct wire_buffer body = {0};

    if (to.role == 0) /* our own */
        return;
    reply->epoch = shard->meta ? record->version : 0;
    wire_put_map_reply(&body, reply);
    shard_out(shard, to, record->kind->answered, WIRE_PARTITION_NODE, correlation, &body);
    wire_buffer_deinit(&body);
}

/* The entry was proposed in a leadership that has not ended: what is applied there is it. */
static void finish_change(struct shard *shard, struct shard_record *record)
{
    struct wire_map_reply reply = {.outcome = WIRE_MAP_DONE};

    if (record->change == 0 || shard->meta->raft.applied < record->change ||
        !shard_record_known(shard, record))
        return;
    record->change = 0;
    answer(shard, record, record->change_from, record->change_correlation, &reply);
}

static void propose(struct shard *shard, struct shard_record *record,
                    const struct wire_bytes *value, struct shard_address from, uint64_t correlation)
{
    struct wire_bytes key = key_of(record);
    struct record put = {.kind = RECORD_KIND_PUT,
                         .key = key.data,
                         .key_size = key.size,
                         .value = value->data,
                         .value_size = value->size};
    struct keydir_digest digest = digest_of(shard, record);
    struct wire_map_reply again = {.outcome = WIRE_MAP_AGAIN};

    if (shard_propose(shard, shard->meta, &put, &digest, 1) != 0) {
        answer(shard, record, from, correlation, &again);
        return;
    }
    record->change = shard->meta->raft.log.last;
    record->change_from = from;
    record->change_correlation = correlation;
}

/* Compare and set by version: a value is the next one, or was taken before, or came too late. One
 * at a time, so that each is held against all before it. True: it is to be proposed. */
static bool evaluate(struct shard *shard, const struct shard_record *record,
                     const struct wire_bytes *value, struct wire_map_reply *reply)
{
    const char *problem = NULL;
    uint64_t version = 0;
    int r;

    if (record->value && record->size == value->size &&
        memcmp(record->value, value->data, value->size) == 0) {
        reply->outcome = WIRE_MAP_DONE;
        return false;
    }
    r = record->kind->judge(shard, value, &version, &problem);
    if (r < 0) {
        shard->fatal = r;
        return false;
    }
    if (r == 0 && version != record->version + 1 && !mutant(MUTANT_MAP_NOT_COMPARED)) {
        reply->outcome = WIRE_MAP_CONFLICT;
        return false;
    }
    if (problem && !(r == 0 && mutant(MUTANT_MAP_NOT_COMPARED))) {
        reply->outcome = WIRE_MAP_REFUSED;
        strncpy(reply->why, problem, sizeof reply->why - 1);
        return false;
    }
    return true;
}

static bool may_set(struct shard *shard, const struct shard_record *record, int64_t *leader)
{
    return shard->meta && shard_replica_status(shard, shard->meta, leader) == WIRE_STATUS_OK &&
           shard_record_known(shard, record) && record->change == 0;
}

bool shard_record_may_set(struct shard *shard, const struct shard_record *record)
{
    int64_t leader = 0;

    return may_set(shard, record, &leader);
}

void shard_record_set(struct shard *shard, struct shard_record *record,
                      const struct wire_bytes *value)
{
    struct wire_map_reply reply = {.outcome = WIRE_MAP_AGAIN};

    assert(shard_record_may_set(shard, record));
    if (evaluate(shard, record, value, &reply))
        propose(shard, record, value, (struct shard_address){0}, 0);
}

void shard_record_change(struct shard *shard, struct shard_record *record,
                         struct shard_address from, const struct link_message *message)
{
    struct wire_map_reply reply = {.outcome = WIRE_MAP_AGAIN};
    struct wire_cursor cursor;
    struct wire_bytes value;
    int64_t leader = 0;

    wire_cursor_init(&cursor, message->body, message->body_size);
    value.data = wire_get_bin(&cursor, record->kind->size_max, &value.size);
    if (cursor.failed)
        return;
    if (!may_set(shard, record, &leader))
        reply.leader = (uint16_t)leader;
    else if (evaluate(shard, record, &value, &reply)) {
        propose(shard, record, &value, from, message->correlation);
        return;
    }
    answer(shard, record, from, message->correlation, &reply);
}

void shard_record_get(struct shard *shard, const struct shard_record *record,
                      struct shard_address from, const struct link_message *message)
{
    struct wire_buffer body = {0};

    if (!shard->meta || !record->value)
        return;
    wire_put_bin(&body, record->value, record->size);
    shard_out(shard, from, record->kind->given, WIRE_PARTITION_NODE, message->correlation, &body);
    wire_buffer_deinit(&body);
}

void shard_record_forget(struct shard_record *record)
{
    record->change = 0;
}

void shard_record_reset(struct shard_record *record)
{
    record->looked = 0;
    record->change = 0;
}

void shard_record_step(struct shard *shard, struct shard_record *record)
{
    if (!shard->meta || !replica_serves(shard->meta) || !shard_settled(shard, STORE_PARTITION_META))
        return;
    if (!record->reading && record->looked != shard->meta->raft.applied)
        look(shard, record);
    finish_change(shard, record);
    if (shard->now_ms >= record->tell_due_ms)
        tell_node(shard, record);
}
