#include "ring/bytes.h"
#include "ring/ringmap_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

/* Encoding, docs/format-ringmap.md. There is one encoding of a map, so its hash names it. */
#define RINGMAP_MAGIC            0x50414d52u /* "RMAP" */
#define RINGMAP_VERSION_ONE_KEY  1u          /* one data key at most */
#define RINGMAP_VERSION_KEYS     2u          /* two or more */
#define RINGMAP_VERSION_SETTINGS 3u          /* settings that are not the usual ones */
#define RINGMAP_HEADER_SIZE      56u
#define RINGMAP_MEMBER_SIZE_MIN  41u
#define RINGMAP_SETTINGS_SIZE    5u
#define RINGMAP_FLAG_TARGET      1u
#define RINGMAP_FLAG_BOXES       2u
#define RINGMAP_FLAG_SETTINGS    4u
#define RINGMAP_REPLICA_ID_SIZE  2u

/* By what it holds: what needs no newer version is read by all. */
static uint16_t version_of(const struct ringmap *map)
{
    if (map->paused || map->move_rate != 0)
        return RINGMAP_VERSION_SETTINGS;
    return map->key_count > 1 ? RINGMAP_VERSION_KEYS : RINGMAP_VERSION_ONE_KEY;
}

/* Bytes of the keys' part of an encoding. */
static size_t keys_size(uint16_t version, uint32_t keys, uint32_t members)
{
    return (version == RINGMAP_VERSION_ONE_KEY ? 0 : 1) +
           keys * (1 + (size_t)members * RINGMAP_BOX_SIZE);
}

void ringmap_put_ids(struct bytes_writer *writer, const uint16_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes_put_number(writer, ids[i], RINGMAP_REPLICA_ID_SIZE);
}

size_t ringmap_encoded_size(const struct ringmap *map)
{
    size_t tables = map->target ? 2 : 1;
    size_t size = RINGMAP_HEADER_SIZE + RINGMAP_REPLICA_ID_SIZE * map->meta_voter_count;

    for (uint32_t i = 0; i < map->member_count; i++)
        size += RINGMAP_MEMBER_SIZE_MIN + strnlen(map->members[i].address, RINGMAP_ADDRESS_SIZE) +
                strnlen(map->members[i].zone, RINGMAP_ZONE_SIZE);
    if (version_of(map) == RINGMAP_VERSION_SETTINGS)
        size += RINGMAP_SETTINGS_SIZE;
    if (map->boxes)
        size += keys_size(version_of(map), map->key_count, map->member_count);
    return size + tables * ringmap_places(map) * RINGMAP_REPLICA_ID_SIZE;
}

void ringmap_put_members(struct bytes_writer *writer, const struct ringmap *map)
{
    for (uint32_t i = 0; i < map->member_count; i++) {
        const struct ringmap_member *member = &map->members[i];

        bytes_put_number(writer, member->id, 2);
        bytes_put_number(writer, member->state, 1);
        bytes_put_number(writer, member->weight, 4);
        bytes_put(writer, member->public_key, sizeof member->public_key);
        bytes_put_text(writer, member->address, sizeof member->address);
        bytes_put_text(writer, member->zone, sizeof member->zone);
    }
}

static void put_keys(struct bytes_writer *writer, const struct ringmap *map, uint16_t version)
{
    if (map->key_count == 0)
        return;
    if (version != RINGMAP_VERSION_ONE_KEY)
        bytes_put_number(writer, map->key_count, 1);
    for (uint32_t i = 0; i < map->key_count; i++) {
        bytes_put_number(writer, map->key_ids[i], 1);
        bytes_put(writer, map->boxes + (size_t)i * map->member_count,
                  map->member_count * sizeof *map->boxes);
    }
}

static uint8_t flags_of(const struct ringmap *map, uint16_t version)
{
    return (uint8_t)((map->target ? RINGMAP_FLAG_TARGET : 0) |
                     (map->boxes ? RINGMAP_FLAG_BOXES : 0) |
                     (version == RINGMAP_VERSION_SETTINGS ? RINGMAP_FLAG_SETTINGS : 0));
}

void ringmap_encode(const struct ringmap *map, uint8_t *out)
{
    struct bytes_writer writer = {.at = out};
    uint16_t version = version_of(map);

    ringmap_check(map);
    bytes_put_number(&writer, RINGMAP_MAGIC, 4);
    bytes_put_number(&writer, version, 2);
    bytes_put_number(&writer, flags_of(map, version), 1);
    bytes_put_number(&writer, map->replica_count, 1);
    bytes_put_number(&writer, map->epoch, 8);
    bytes_put(&writer, map->cluster, sizeof map->cluster);
    bytes_put(&writer, map->hash_secret, sizeof map->hash_secret);
    bytes_put_number(&writer, map->partition_count, 4);
    bytes_put_number(&writer, map->member_count, 2);
    bytes_put_number(&writer, map->meta_voter_count, 2);
    ringmap_put_ids(&writer, map->meta_voters, map->meta_voter_count);
    ringmap_put_members(&writer, map);
    ringmap_put_ids(&writer, map->replicas, ringmap_places(map));
    if (map->target)
        ringmap_put_ids(&writer, map->target, ringmap_places(map));
    if (version == RINGMAP_VERSION_SETTINGS) {
        bytes_put_number(&writer, map->paused, 1);
        bytes_put_number(&writer, map->move_rate, 4);
    }
    put_keys(&writer, map, version);
    assert(writer.size == ringmap_encoded_size(map));
}

static void take_table(struct bytes_reader *reader, uint16_t *table, size_t count)
{
    for (size_t i = 0; i < count && !reader->failed; i++)
        table[i] = (uint16_t)bytes_take_number(reader, RINGMAP_REPLICA_ID_SIZE);
}

/* Of the encoding, what the map itself does not say. */
struct layout {
    uint16_t version;
    uint8_t flags;
};

static bool layout_valid(const struct layout *layout)
{
    bool settings = layout->flags & RINGMAP_FLAG_SETTINGS;

    if (layout->version < RINGMAP_VERSION_ONE_KEY || layout->version > RINGMAP_VERSION_SETTINGS ||
        settings != (layout->version == RINGMAP_VERSION_SETTINGS))
        return false;
    if (layout->version == RINGMAP_VERSION_KEYS && !(layout->flags & RINGMAP_FLAG_BOXES))
        return false;
    return layout->flags <= (RINGMAP_FLAG_TARGET | RINGMAP_FLAG_BOXES | RINGMAP_FLAG_SETTINGS);
}

/* Fixed fields into *map, whose tables are not there yet. */
static void take_header(struct bytes_reader *reader, struct ringmap *map, struct layout *layout)
{
    if (bytes_take_number(reader, 4) != RINGMAP_MAGIC)
        reader->failed = true;
    layout->version = (uint16_t)bytes_take_number(reader, 2);
    layout->flags = (uint8_t)bytes_take_number(reader, 1);
    if (!layout_valid(layout))
        reader->failed = true;
    map->replica_count = (uint32_t)bytes_take_number(reader, 1);
    map->epoch = bytes_take_number(reader, 8);
    bytes_take_copy(reader, map->cluster, sizeof map->cluster);
    bytes_take_copy(reader, map->hash_secret, sizeof map->hash_secret);
    map->partition_count = (uint32_t)bytes_take_number(reader, 4);
    map->member_count = (uint32_t)bytes_take_number(reader, 2);
    map->meta_voter_count = (uint32_t)bytes_take_number(reader, 2);
    if (map->meta_voter_count > RINGMAP_META_VOTERS_MAX)
        reader->failed = true;
    else
        take_table(reader, map->meta_voters, map->meta_voter_count);
}

static void take_members(struct bytes_reader *reader, struct ringmap *map)
{
    for (uint32_t i = 0; i < map->member_count && !reader->failed; i++) {
        struct ringmap_member *member = &map->members[i];

        member->id = (uint16_t)bytes_take_number(reader, 2);
        member->state = (uint8_t)bytes_take_number(reader, 1);
        member->weight = (uint32_t)bytes_take_number(reader, 4);
        bytes_take_copy(reader, member->public_key, sizeof member->public_key);
        bytes_take_text(reader, member->address, sizeof member->address);
        bytes_take_text(reader, member->zone, sizeof member->zone);
    }
}

/* 0 or -ENOMEM; nothing is allocated for keys that the bytes cannot hold. */
static int take_keys(struct bytes_reader *reader, struct ringmap *map, const struct layout *layout)
{
    uint64_t count = 1, count_min = layout->version == RINGMAP_VERSION_KEYS ? 2 : 1;

    if (!(layout->flags & RINGMAP_FLAG_BOXES))
        return 0;
    if (layout->version != RINGMAP_VERSION_ONE_KEY)
        count = bytes_take_number(reader, 1);
    if (reader->failed || count < count_min || count > RINGMAP_KEYS_MAX ||
        reader->left != keys_size(RINGMAP_VERSION_ONE_KEY, (uint32_t)count, map->member_count)) {
        reader->failed = true;
        return 0;
    }
    map->boxes = calloc((size_t)count * map->member_count, sizeof *map->boxes);
    if (!map->boxes)
        return -ENOMEM;
    for (map->key_count = 0; map->key_count < count; map->key_count++) {
        map->key_ids[map->key_count] = (uint8_t)bytes_take_number(reader, 1);
        bytes_take_copy(reader, map->boxes + (size_t)map->key_count * map->member_count,
                        map->member_count * sizeof *map->boxes);
    }
    return 0;
}

/* Those that are the usual ones have no block: it would be another encoding of the same map. */
static void take_settings(struct bytes_reader *reader, struct ringmap *map)
{
    uint64_t paused = bytes_take_number(reader, 1);

    map->paused = paused != 0;
    map->move_rate = (uint32_t)bytes_take_number(reader, 4);
    if (paused > 1 || (paused == 0 && map->move_rate == 0))
        reader->failed = true;
}

/* 0 or -ENOMEM. */
static int take_tables(struct bytes_reader *reader, struct ringmap *map,
                       const struct layout *layout)
{
    take_members(reader, map);
    take_table(reader, map->replicas, ringmap_places(map));
    if (map->target)
        take_table(reader, map->target, ringmap_places(map));
    if (layout->flags & RINGMAP_FLAG_SETTINGS)
        take_settings(reader, map);
    return take_keys(reader, map, layout);
}

/* Bytes that they take at least behind the header. */
static size_t size_min(const struct ringmap *head, uint8_t flags)
{
    return (size_t)head->member_count * RINGMAP_MEMBER_SIZE_MIN +
           (flags & RINGMAP_FLAG_TARGET ? 2u : 1u) * ringmap_places(head) *
               RINGMAP_REPLICA_ID_SIZE +
           (flags & RINGMAP_FLAG_BOXES ? keys_size(RINGMAP_VERSION_ONE_KEY, 1, head->member_count)
                                       : 0);
}

int ringmap_decode(const uint8_t *bytes, size_t size, struct ringmap *map)
{
    struct bytes_reader reader = {.at = bytes, .left = size};
    struct ringmap head = {0};
    struct ringmap decoded;
    struct layout layout = {0};
    int r;

    take_header(&reader, &head, &layout);
    if (size > RINGMAP_SIZE_MAX || reader.failed || ringmap_counts_problem(&head))
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
        decoded.target = calloc(ringmap_places(&decoded), sizeof *decoded.target);
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
