#include "ring/ringmap.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

/* Encoding, docs/format-ringmap.md. There is one encoding of a map, so its hash names it. */
#define RINGMAP_MAGIC           0x50414d52u /* "RMAP" */
#define RINGMAP_VERSION_ONE_KEY 1u          /* one data key at most */
#define RINGMAP_VERSION_KEYS    2u          /* two or more */
#define RINGMAP_HEADER_SIZE     56u
#define RINGMAP_MEMBER_SIZE_MIN 41u
#define RINGMAP_FLAG_TARGET     1u
#define RINGMAP_FLAG_BOXES      2u
#define RINGMAP_REPLICA_ID_SIZE 2u

int ringmap_init(struct ringmap *map, uint32_t members, uint32_t partitions, uint32_t replicas)
{
    assert(members >= 1 && members <= RINGMAP_MEMBERS_MAX);
    assert(partitions >= RINGMAP_PARTITIONS_MIN && partitions <= RINGMAP_PARTITIONS_MAX);
    assert((partitions & (partitions - 1)) == 0);
    assert(replicas >= 1 && replicas <= RINGMAP_REPLICAS_MAX);
    *map = (struct ringmap){
        .partition_count = partitions,
        .replica_count = replicas,
        .member_count = members,
    };
    map->members = calloc(members, sizeof *map->members);
    map->replicas = calloc((size_t)partitions * replicas, sizeof *map->replicas);
    if (!map->members || !map->replicas) {
        ringmap_deinit(map);
        return -ENOMEM;
    }
    return 0;
}

void ringmap_deinit(struct ringmap *map)
{
    free(map->members);
    free(map->replicas);
    free(map->target);
    free(map->boxes);
    *map = (struct ringmap){0};
}

int ringmap_add_key(struct ringmap *map, uint8_t key_id, uint8_t (**boxes)[RINGMAP_BOX_SIZE])
{
    size_t before = (size_t)map->key_count * map->member_count;
    uint8_t(*grown)[RINGMAP_BOX_SIZE];

    assert(map->key_count < RINGMAP_KEYS_MAX && key_id > ringmap_key_current(map));
    grown = realloc(map->boxes, (before + map->member_count) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    memset(grown + before, 0, map->member_count * sizeof *grown);
    map->boxes = grown;
    map->key_ids[map->key_count++] = key_id;
    *boxes = grown + before;
    return 0;
}

const uint8_t *ringmap_box(const struct ringmap *map, uint32_t key, uint16_t id)
{
    const struct ringmap_member *member = ringmap_member(map, id);

    assert(key < map->key_count);
    return member ? map->boxes[(size_t)key * map->member_count + (size_t)(member - map->members)]
                  : NULL;
}

uint8_t ringmap_key_current(const struct ringmap *map)
{
    return map->key_count > 0 ? map->key_ids[map->key_count - 1] : 0;
}

static size_t boxes_count(const struct ringmap *map)
{
    return (size_t)map->key_count * map->member_count;
}

/* Bytes of the keys' part of an encoding. */
static size_t keys_size(uint32_t keys, uint32_t members)
{
    return (keys > 1 ? 1 : 0) + keys * (1 + (size_t)members * RINGMAP_BOX_SIZE);
}

static size_t places(const struct ringmap *map)
{
    return (size_t)map->partition_count * map->replica_count;
}

int ringmap_copy(struct ringmap *to, const struct ringmap *from)
{
    struct ringmap copy;
    int r = ringmap_init(&copy, from->member_count, from->partition_count, from->replica_count);

    if (r < 0)
        return r;
    if (from->target) {
        copy.target = calloc(places(from), sizeof *copy.target);
        if (!copy.target) {
            ringmap_deinit(&copy);
            return -ENOMEM;
        }
        memcpy(copy.target, from->target, places(from) * sizeof *copy.target);
    }
    if (from->boxes) {
        copy.boxes = calloc(boxes_count(from), sizeof *copy.boxes);
        if (!copy.boxes) {
            ringmap_deinit(&copy);
            return -ENOMEM;
        }
        memcpy(copy.boxes, from->boxes, boxes_count(from) * sizeof *copy.boxes);
    }
    copy.key_count = from->key_count;
    memcpy(copy.key_ids, from->key_ids, sizeof copy.key_ids);
    copy.epoch = from->epoch;
    memcpy(copy.cluster, from->cluster, sizeof copy.cluster);
    memcpy(copy.hash_secret, from->hash_secret, sizeof copy.hash_secret);
    memcpy(copy.members, from->members, from->member_count * sizeof *copy.members);
    memcpy(copy.replicas, from->replicas, places(from) * sizeof *copy.replicas);
    memcpy(copy.meta_voters, from->meta_voters, sizeof copy.meta_voters);
    copy.meta_voter_count = from->meta_voter_count;
    *to = copy;
    return 0;
}

const uint16_t *ringmap_row(const struct ringmap *map, uint16_t partition)
{
    assert(partition < map->partition_count);
    return map->replicas + (size_t)partition * map->replica_count;
}

const struct ringmap_member *ringmap_member(const struct ringmap *map, uint16_t id)
{
    uint32_t low = 0;
    uint32_t high = map->member_count;

    /* Ids are given out in order and never again, so nearly always the slot is known. */
    if (id >= 1 && id <= map->member_count && map->members[id - 1].id == id)
        return &map->members[id - 1];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (map->members[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (id == 0 || low == map->member_count || map->members[low].id != id)
        return NULL;
    return &map->members[low];
}

const struct ringmap_member *ringmap_member_by_key(const struct ringmap *map,
                                                   const uint8_t key[RINGMAP_KEY_SIZE])
{
    for (uint32_t i = 0; i < map->member_count; i++) {
        if (memcmp(map->members[i].public_key, key, RINGMAP_KEY_SIZE) == 0)
            return &map->members[i];
    }
    return NULL;
}

bool ringmap_holds(const struct ringmap *map, uint16_t partition, uint16_t member)
{
    const uint16_t *row = ringmap_row(map, partition);

    for (uint32_t i = 0; i < map->replica_count; i++) {
        if (row[i] == member && member != 0)
            return true;
    }
    return false;
}

/* Text in a fixed field: zero-terminated, zeros behind, printable. What an operator is shown must
 * not steer the terminal. */
static bool text_valid(const char *text, size_t capacity, size_t size_min, char lowest)
{
    size_t size = strnlen(text, capacity);

    if (size == capacity || size < size_min)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < lowest || text[i] > '~')
            return false;
    }
    for (size_t i = size; i < capacity; i++) {
        if (text[i] != 0)
            return false;
    }
    return true;
}

static const char *members_problem(const struct ringmap *map)
{
    for (uint32_t i = 0; i < map->member_count; i++) {
        const struct ringmap_member *member = &map->members[i];

        if (member->id <= (i > 0 ? map->members[i - 1].id : 0))
            return "member ids do not ascend from 1";
        if (member->state < RINGMAP_STATE_JOINING || member->state > RINGMAP_STATE_REMOVED)
            return "unknown member state";
        if (member->weight == 0)
            return "member without weight";
        if (!text_valid(member->address, sizeof member->address, 1, '!'))
            return "member's address is no printable text";
        if (!text_valid(member->zone, sizeof member->zone, 0, ' '))
            return "member's zone is no printable text";
        for (uint32_t j = 0; j < i; j++) {
            if (memcmp(member->public_key, map->members[j].public_key, RINGMAP_KEY_SIZE) == 0)
                return "two members have one key";
        }
    }
    return NULL;
}

static bool serves(const struct ringmap *map, uint16_t id)
{
    const struct ringmap_member *member = ringmap_member(map, id);

    return member && member->state != RINGMAP_STATE_REMOVED;
}

static const char *table_problem(const struct ringmap *map, const uint16_t *table)
{
    for (uint32_t partition = 0; partition < map->partition_count; partition++) {
        const uint16_t *row = table + (size_t)partition * map->replica_count;

        if (row[0] == 0)
            return "partition without replica";
        for (uint32_t i = 0; i < map->replica_count; i++) {
            if (row[i] == 0 && i + 1 < map->replica_count && row[i + 1] != 0)
                return "free place before a taken one";
            if (row[i] != 0 && !serves(map, row[i]))
                return "replica on no member";
            for (uint32_t j = 0; j < i; j++) {
                if (row[i] != 0 && row[i] == row[j])
                    return "two replicas on one member";
            }
        }
    }
    return NULL;
}

static const char *meta_problem(const struct ringmap *map)
{
    if (map->meta_voter_count < 1 || map->meta_voter_count > RINGMAP_META_VOTERS_MAX)
        return "number of meta voters";
    for (uint32_t i = 0; i < map->meta_voter_count; i++) {
        if (!serves(map, map->meta_voters[i]))
            return "meta voter is no member";
        for (uint32_t j = 0; j < i; j++) {
            if (map->meta_voters[i] == map->meta_voters[j])
                return "meta voter named twice";
        }
    }
    for (uint32_t i = map->meta_voter_count; i < RINGMAP_META_VOTERS_MAX; i++) {
        if (map->meta_voters[i] != 0)
            return "meta voter beyond the count";
    }
    return NULL;
}

static const char *counts_problem(const struct ringmap *map)
{
    if (map->epoch == 0)
        return "epoch 0";
    if (map->partition_count < RINGMAP_PARTITIONS_MIN ||
        map->partition_count > RINGMAP_PARTITIONS_MAX ||
        (map->partition_count & (map->partition_count - 1)) != 0)
        return "number of partitions";
    if (map->replica_count < 1 || map->replica_count > RINGMAP_REPLICAS_MAX)
        return "number of replicas";
    if (map->member_count < 1 || map->member_count > RINGMAP_MEMBERS_MAX)
        return "number of members";
    return NULL;
}

static const char *keys_problem(const struct ringmap *map)
{
    if (map->key_count > RINGMAP_KEYS_MAX)
        return "number of data keys";
    if ((map->key_count > 0) != (map->boxes != NULL))
        return "a data key without boxes";
    for (uint32_t i = 0; i < map->key_count; i++)
        if (map->key_ids[i] <= (i > 0 ? map->key_ids[i - 1] : 0))
            return "data keys do not ascend from 1";
    return NULL;
}

/* The invariants of a map, for our own and for untrusted ones: NULL or what is wrong. */
static const char *ringmap_problem(const struct ringmap *map)
{
    const char *problem = counts_problem(map);

    if (!problem)
        problem = members_problem(map);
    if (!problem)
        problem = table_problem(map, map->replicas);
    if (!problem && map->target)
        problem = table_problem(map, map->target);
    if (!problem)
        problem = meta_problem(map);
    if (!problem)
        problem = keys_problem(map);
    return problem;
}

void ringmap_check(const struct ringmap *map)
{
    const char *problem = ringmap_problem(map);

    assert(problem == NULL);
    (void)problem;
}

static uint8_t *put_number(uint8_t *at, uint64_t value, unsigned width)
{
    for (unsigned i = 0; i < width; i++)
        *at++ = (uint8_t)(value >> (8 * i));
    return at;
}

static uint8_t *put_bytes(uint8_t *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

static uint8_t *put_table(uint8_t *at, const uint16_t *table, size_t count)
{
    for (size_t i = 0; i < count; i++)
        at = put_number(at, table[i], RINGMAP_REPLICA_ID_SIZE);
    return at;
}

size_t ringmap_encoded_size(const struct ringmap *map)
{
    size_t tables = map->target ? 2 : 1;
    size_t size = RINGMAP_HEADER_SIZE + RINGMAP_REPLICA_ID_SIZE * map->meta_voter_count;

    for (uint32_t i = 0; i < map->member_count; i++)
        size += RINGMAP_MEMBER_SIZE_MIN + strnlen(map->members[i].address, RINGMAP_ADDRESS_SIZE) +
                strnlen(map->members[i].zone, RINGMAP_ZONE_SIZE);
    if (map->boxes)
        size += keys_size(map->key_count, map->member_count);
    return size + tables * places(map) * RINGMAP_REPLICA_ID_SIZE;
}

void ringmap_encode(const struct ringmap *map, uint8_t *out)
{
    uint8_t *at = out;

    ringmap_check(map);
    at = put_number(at, RINGMAP_MAGIC, 4);
    at = put_number(at, map->key_count > 1 ? RINGMAP_VERSION_KEYS : RINGMAP_VERSION_ONE_KEY, 2);
    at = put_number(
        at, (map->target ? RINGMAP_FLAG_TARGET : 0) | (map->boxes ? RINGMAP_FLAG_BOXES : 0), 1);
    at = put_number(at, map->replica_count, 1);
    at = put_number(at, map->epoch, 8);
    at = put_bytes(at, map->cluster, sizeof map->cluster);
    at = put_bytes(at, map->hash_secret, sizeof map->hash_secret);
    at = put_number(at, map->partition_count, 4);
    at = put_number(at, map->member_count, 2);
    at = put_number(at, map->meta_voter_count, 2);
    at = put_table(at, map->meta_voters, map->meta_voter_count);
    for (uint32_t i = 0; i < map->member_count; i++) {
        const struct ringmap_member *member = &map->members[i];
        size_t address_size = strlen(member->address);
        size_t zone_size = strlen(member->zone);

        at = put_number(at, member->id, 2);
        at = put_number(at, member->state, 1);
        at = put_number(at, member->weight, 4);
        at = put_bytes(at, member->public_key, sizeof member->public_key);
        at = put_number(at, address_size, 1);
        at = put_bytes(at, member->address, address_size);
        at = put_number(at, zone_size, 1);
        at = put_bytes(at, member->zone, zone_size);
    }
    at = put_table(at, map->replicas, places(map));
    if (map->target)
        at = put_table(at, map->target, places(map));
    if (map->key_count > 1)
        at = put_number(at, map->key_count, 1);
    for (uint32_t i = 0; i < map->key_count; i++) {
        at = put_number(at, map->key_ids[i], 1);
        at = put_bytes(at, map->boxes + (size_t)i * map->member_count,
                       map->member_count * sizeof *map->boxes);
    }
    assert((size_t)(at - out) == ringmap_encoded_size(map));
}

/* Reader of untrusted bytes; beyond the end it gives zeros and stays failed. */
struct reader {
    const uint8_t *at;
    size_t left;
    bool failed;
};

static const uint8_t *take(struct reader *reader, size_t size)
{
    const uint8_t *bytes = reader->at;

    if (reader->failed || reader->left < size) {
        reader->failed = true;
        return NULL;
    }
    reader->at += size;
    reader->left -= size;
    return bytes;
}

static uint64_t take_number(struct reader *reader, unsigned width)
{
    const uint8_t *bytes = take(reader, width);
    uint64_t value = 0;

    for (unsigned i = 0; bytes && i < width; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static void take_copy(struct reader *reader, void *out, size_t size)
{
    const uint8_t *bytes = take(reader, size);

    if (bytes)
        memcpy(out, bytes, size);
}

/* out was zeroed: what is shorter ends in zeros. A zero inside would cut the text when it is
 * encoded again, so it is refused. */
static void take_text(struct reader *reader, char *out, size_t capacity)
{
    size_t size = (size_t)take_number(reader, 1);

    if (size >= capacity)
        reader->failed = true;
    take_copy(reader, out, size);
    if (!reader->failed && strnlen(out, capacity) != size)
        reader->failed = true;
}

static void take_table(struct reader *reader, uint16_t *table, size_t count)
{
    for (size_t i = 0; i < count && !reader->failed; i++)
        table[i] = (uint16_t)take_number(reader, RINGMAP_REPLICA_ID_SIZE);
}

/* Of the encoding, what the map itself does not say. */
struct layout {
    uint64_t version, flags;
};

/* Fixed fields into *map, whose tables are not there yet. */
static void take_header(struct reader *reader, struct ringmap *map, struct layout *layout)
{
    uint64_t *flags = &layout->flags;

    if (take_number(reader, 4) != RINGMAP_MAGIC)
        reader->failed = true;
    layout->version = take_number(reader, 2);
    if (layout->version != RINGMAP_VERSION_ONE_KEY && layout->version != RINGMAP_VERSION_KEYS)
        reader->failed = true;
    *flags = take_number(reader, 1);
    if (layout->version == RINGMAP_VERSION_KEYS && !(*flags & RINGMAP_FLAG_BOXES))
        reader->failed = true;
    if (*flags > (RINGMAP_FLAG_TARGET | RINGMAP_FLAG_BOXES))
        reader->failed = true;
    map->replica_count = (uint32_t)take_number(reader, 1);
    map->epoch = take_number(reader, 8);
    take_copy(reader, map->cluster, sizeof map->cluster);
    take_copy(reader, map->hash_secret, sizeof map->hash_secret);
    map->partition_count = (uint32_t)take_number(reader, 4);
    map->member_count = (uint32_t)take_number(reader, 2);
    map->meta_voter_count = (uint32_t)take_number(reader, 2);
    if (map->meta_voter_count > RINGMAP_META_VOTERS_MAX)
        reader->failed = true;
    else
        take_table(reader, map->meta_voters, map->meta_voter_count);
}

static void take_members(struct reader *reader, struct ringmap *map)
{
    for (uint32_t i = 0; i < map->member_count && !reader->failed; i++) {
        struct ringmap_member *member = &map->members[i];

        member->id = (uint16_t)take_number(reader, 2);
        member->state = (uint8_t)take_number(reader, 1);
        member->weight = (uint32_t)take_number(reader, 4);
        take_copy(reader, member->public_key, sizeof member->public_key);
        take_text(reader, member->address, sizeof member->address);
        take_text(reader, member->zone, sizeof member->zone);
    }
}

/* 0 or -ENOMEM; nothing is allocated for keys that the bytes cannot hold. */
static int take_keys(struct reader *reader, struct ringmap *map, const struct layout *layout)
{
    uint64_t count = layout->flags & RINGMAP_FLAG_BOXES ? 1 : 0;

    if (layout->version == RINGMAP_VERSION_KEYS) {
        count = take_number(reader, 1);
        if (count < 2 || count > RINGMAP_KEYS_MAX)
            reader->failed = true;
    }
    if (reader->failed || count == 0)
        return 0;
    if (reader->left != count * keys_size(1, map->member_count)) {
        reader->failed = true;
        return 0;
    }
    map->boxes = calloc((size_t)count * map->member_count, sizeof *map->boxes);
    if (!map->boxes)
        return -ENOMEM;
    for (map->key_count = 0; map->key_count < count; map->key_count++) {
        map->key_ids[map->key_count] = (uint8_t)take_number(reader, 1);
        take_copy(reader, map->boxes + (size_t)map->key_count * map->member_count,
                  map->member_count * sizeof *map->boxes);
    }
    return 0;
}

/* 0 or -ENOMEM. */
static int take_tables(struct reader *reader, struct ringmap *map, const struct layout *layout)
{
    take_members(reader, map);
    take_table(reader, map->replicas, places(map));
    if (map->target)
        take_table(reader, map->target, places(map));
    return take_keys(reader, map, layout);
}

/* Bytes that they take at least behind the header. */
static size_t size_min(const struct ringmap *head, uint64_t flags)
{
    return (size_t)head->member_count * RINGMAP_MEMBER_SIZE_MIN +
           (flags & RINGMAP_FLAG_TARGET ? 2u : 1u) * places(head) * RINGMAP_REPLICA_ID_SIZE +
           (flags & RINGMAP_FLAG_BOXES ? keys_size(1, head->member_count) : 0);
}

int ringmap_decode(const uint8_t *bytes, size_t size, struct ringmap *map)
{
    struct reader reader = {.at = bytes, .left = size};
    struct ringmap head = {0};
    struct ringmap decoded;
    struct layout layout = {0};
    int r;

    take_header(&reader, &head, &layout);
    if (size > RINGMAP_SIZE_MAX || reader.failed || counts_problem(&head))
        return RINGMAP_E_MALFORMED;
    /* Nothing is allocated for counts that the bytes cannot hold. */
    if (reader.left < size_min(&head, layout.flags))
        return RINGMAP_E_MALFORMED;
    r = ringmap_init(&decoded, head.member_count, head.partition_count, head.replica_count);
    if (r < 0)
        return r;
    head.members = decoded.members;
    head.replicas = decoded.replicas;
    decoded = head;
    if (layout.flags & RINGMAP_FLAG_TARGET)
        decoded.target = calloc(places(&decoded), sizeof *decoded.target);
    if (layout.flags & RINGMAP_FLAG_TARGET && !decoded.target)
        r = -ENOMEM;
    if (r == 0)
        r = take_tables(&reader, &decoded, &layout);
    if (r != 0) {
        ringmap_deinit(&decoded);
        return r;
    }
    if (reader.failed || reader.left > 0 || ringmap_problem(&decoded)) {
        ringmap_deinit(&decoded);
        return RINGMAP_E_MALFORMED;
    }
    *map = decoded;
    return RINGMAP_E_OK;
}

void ringmap_hash(const uint8_t *blob, size_t size, uint8_t hash[RINGMAP_HASH_SIZE])
{
    crypto_generichash(hash, RINGMAP_HASH_SIZE, blob, size, NULL, 0);
}
