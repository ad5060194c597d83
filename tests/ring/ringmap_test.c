#include "ring/ringmap.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "dice.h"
#include "tests/storage/alloc.h"

/* Offsets in the encoding of the example, as docs/format-ringmap.md gives them. */
enum {
    AT_VERSION = 4,
    AT_FLAGS = 6,
    AT_REPLICAS = 7,
    AT_EPOCH = 8,
    AT_PARTITIONS = 48,
    AT_MEMBERS = 52,
    AT_VOTERS = 54,
    AT_VOTER = 56,
    AT_MEMBER = 58,
};

/* The example of docs/format-ringmap.md: two members, eight partitions, two replicas. */
static const char example_hex[] = "524d41500100000201000000000000000f0e0d0c0b0a09080706050403020100"
                                  "000102030405060708090a0b0c0d0e0f08000000020001000100010002640000"
                                  "0001010101010101010101010101010101010101010101010101010101010101"
                                  "010e3132372e302e302e313a3730303101610200026400000002020202020202"
                                  "020202020202020202020202020202020202020202020202020e3132372e302e"
                                  "302e313a37303032016201000200020001000100020002000100010002000200"
                                  "01000100020002000100";

static void member_set(struct ringmap *map, uint32_t slot, uint16_t id, const char *zone)
{
    struct ringmap_member *member = &map->members[slot];

    member->id = id;
    member->state = RINGMAP_STATE_ACTIVE;
    member->weight = RINGMAP_WEIGHT_DEFAULT;
    memset(member->public_key, (int)id, sizeof member->public_key);
    snprintf(member->address, sizeof member->address, "127.0.0.1:%u", 7000u + id);
    snprintf(member->zone, sizeof member->zone, "%s", zone);
}

static struct ringmap example(void)
{
    struct ringmap map;

    cr_assert_eq(ringmap_init(&map, 2, 8, 2), 0);
    map.epoch = 1;
    for (unsigned i = 0; i < 16; i++) {
        map.cluster[i] = (uint8_t)(15 - i);
        map.hash_secret[i] = (uint8_t)i;
    }
    member_set(&map, 0, 1, "a");
    member_set(&map, 1, 2, "b");
    for (unsigned p = 0; p < 8; p++) {
        map.replicas[2 * p] = (uint16_t)(1 + p % 2);
        map.replicas[2 * p + 1] = (uint16_t)(2 - p % 2);
    }
    map.meta_voters[0] = 1;
    map.meta_voter_count = 1;
    return map;
}

/* Of any size; with gaps in the ids, removed members, free places and a target now and then. */
static struct ringmap any_map(struct dice *dice)
{
    uint32_t members = 1 + (uint32_t)dice_below(dice, 20);
    uint32_t replicas = 1 + (uint32_t)dice_below(dice, RINGMAP_REPLICAS_MAX);
    struct ringmap map;

    cr_assert_eq(ringmap_init(&map, members, 8u << dice_below(dice, 3), replicas), 0);
    map.epoch = 1 + dice_number(dice, 63);
    dice_fill(dice, map.cluster, sizeof map.cluster);
    dice_fill(dice, map.hash_secret, sizeof map.hash_secret);
    for (uint32_t i = 0, id = 0; i < members; i++) {
        id += 1 + (uint32_t)(dice_below(dice, 4) == 0 ? dice_below(dice, 100) : 0);
        member_set(&map, i, (uint16_t)id, "");
        dice_fill(dice, map.members[i].public_key, RINGMAP_KEY_SIZE);
        map.members[i].weight = 1 + (uint32_t)dice_number(dice, 31);
        for (size_t k = dice_below(dice, RINGMAP_ZONE_SIZE); k > 0; k--)
            map.members[i].zone[k - 1] = (char)(' ' + dice_below(dice, 95));
        if (i > 0)
            map.members[i].state = (uint8_t)(1 + dice_below(dice, 4));
    }
    if (dice_below(dice, 3) == 0)
        map.target = calloc((size_t)map.partition_count * replicas, sizeof *map.target);
    for (uint32_t p = 0; p < map.partition_count; p++) {
        uint32_t filled = 0;

        for (uint32_t i = 0; i < members && filled < replicas; i++) {
            if (map.members[i].state == RINGMAP_STATE_REMOVED || (i > 0 && dice_below(dice, 3)))
                continue;
            if (map.target)
                map.target[p * replicas + filled] = map.members[i].id;
            map.replicas[p * replicas + filled++] = map.members[i].id;
        }
    }
    map.meta_voters[0] = map.members[0].id;
    map.meta_voter_count = 1;
    for (uint64_t i = 0, keys = dice_below(dice, 4); i < keys; i++) {
        uint8_t(*boxes)[RINGMAP_BOX_SIZE];

        cr_assert_eq(ringmap_add_key(&map, (uint8_t)(10 * i + 1 + dice_below(dice, 9)), &boxes), 0);
        dice_fill(dice, boxes, members * sizeof *boxes);
    }
    return map;
}

static uint8_t *encode(const struct ringmap *map, size_t *size)
{
    uint8_t *bytes;

    *size = ringmap_encoded_size(map);
    bytes = malloc(*size); /* exactly, so that ASan sees one byte too many */
    ringmap_encode(map, bytes);
    return bytes;
}

static void expect_same(const struct ringmap *a, const struct ringmap *b)
{
    size_t places = (size_t)a->partition_count * a->replica_count * sizeof *a->replicas;

    cr_assert_eq(a->epoch, b->epoch);
    cr_assert_eq(a->partition_count, b->partition_count);
    cr_assert_eq(a->replica_count, b->replica_count);
    cr_assert_eq(a->member_count, b->member_count);
    cr_assert_eq(a->meta_voter_count, b->meta_voter_count);
    cr_assert_eq(memcmp(a->cluster, b->cluster, sizeof a->cluster), 0);
    cr_assert_eq(memcmp(a->hash_secret, b->hash_secret, sizeof a->hash_secret), 0);
    cr_assert_eq(memcmp(a->meta_voters, b->meta_voters, sizeof a->meta_voters), 0);
    cr_assert_eq(memcmp(a->replicas, b->replicas, places), 0);
    cr_assert_eq(a->key_count, b->key_count);
    cr_assert_eq(memcmp(a->key_ids, b->key_ids, a->key_count), 0);
    cr_assert_eq(!a->boxes, !b->boxes);
    if (a->boxes)
        cr_assert_eq(memcmp(a->boxes, b->boxes, a->key_count * a->member_count * sizeof *a->boxes),
                     0);
    cr_assert_eq(!a->target, !b->target);
    cr_assert(!a->target || memcmp(a->target, b->target, places) == 0);
    for (uint32_t i = 0; i < a->member_count; i++) {
        cr_assert_eq(a->members[i].id, b->members[i].id);
        cr_assert_eq(a->members[i].state, b->members[i].state);
        cr_assert_eq(a->members[i].weight, b->members[i].weight);
        cr_assert_str_eq(a->members[i].address, b->members[i].address);
        cr_assert_str_eq(a->members[i].zone, b->members[i].zone);
        cr_assert_eq(memcmp(a->members[i].public_key, b->members[i].public_key, RINGMAP_KEY_SIZE),
                     0);
    }
}

Test(ringmap, every_map_is_decoded_as_it_was_encoded_and_copied)
{
    for (uint64_t seed = 0; seed < 5000; seed++) {
        struct dice dice = {seed};
        struct ringmap map = any_map(&dice);
        struct ringmap decoded;
        struct ringmap copy;
        size_t size;
        uint8_t *bytes = encode(&map, &size);

        cr_assert_eq(ringmap_decode(bytes, size, &decoded), 0, "seed %lu", (unsigned long)seed);
        ringmap_check(&decoded);
        expect_same(&map, &decoded);
        cr_assert_eq(ringmap_copy(&copy, &decoded), 0);
        ringmap_deinit(&decoded);
        expect_same(&map, &copy);
        ringmap_deinit(&copy);
        ringmap_deinit(&map);
        free(bytes);
    }
}

Test(ringmap, encoding_is_the_documented_example)
{
    struct ringmap map = example();
    size_t size;
    uint8_t *bytes = encode(&map, &size);
    char hex[2 * 512 + 1];

    cr_assert_lt(size, sizeof hex / 2);
    for (size_t i = 0; i < size; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    cr_assert_str_eq(hex, example_hex);
    free(bytes);
    ringmap_deinit(&map);
}

/* BLAKE2b-256 of "abc", as `b2sum -l 256` prints it. */
Test(ringmap, hash_is_blake2b_256)
{
    static const uint8_t expected[] = {0xbd, 0xdd, 0x81, 0x3c, 0x63, 0x42, 0x39, 0x72,
                                       0x31, 0x71, 0xef, 0x3f, 0xee, 0x98, 0x57, 0x9b,
                                       0x94, 0x96, 0x4e, 0x3b, 0xb1, 0xcb, 0x3e, 0x42,
                                       0x72, 0x62, 0xc8, 0xc0, 0x68, 0xd5, 0x23, 0x19};
    uint8_t hash[RINGMAP_HASH_SIZE];

    ringmap_hash((const uint8_t *)"abc", 3, hash);
    cr_assert_eq(memcmp(hash, expected, sizeof hash), 0);
}

static int decode_exactly(const uint8_t *bytes, size_t size, struct ringmap *map)
{
    uint8_t *copy = malloc(size ? size : 1);
    int r;

    memcpy(copy, bytes, size);
    r = ringmap_decode(copy, size, map);
    free(copy);
    return r;
}

Test(ringmap, truncated_or_longer_bytes_are_refused)
{
    struct ringmap map = example();
    struct ringmap out = {.epoch = 77};
    size_t size;
    uint8_t *bytes = encode(&map, &size);
    uint8_t *longer = calloc(size + 1, 1);

    for (size_t part = 0; part < size; part++)
        cr_assert_eq(decode_exactly(bytes, part, &out), RINGMAP_E_MALFORMED, "%zu", part);
    memcpy(longer, bytes, size);
    cr_assert_eq(decode_exactly(longer, size + 1, &out), RINGMAP_E_MALFORMED);
    cr_assert_eq(out.epoch, 77, "the map is untouched");
    free(longer);
    free(bytes);
    ringmap_deinit(&map);
}

/* What is decoded from broken bytes holds the invariants and encodes to the very same bytes: there
 * are no two encodings of one map. */
Test(ringmap, flipped_bytes_are_refused_or_another_valid_map)
{
    unsigned decoded_count = 0;

    for (uint64_t seed = 0; seed < 100000; seed++) {
        struct dice dice = {seed % 500};
        struct ringmap map = any_map(&dice);
        struct ringmap decoded;
        size_t size;
        uint8_t *bytes = encode(&map, &size);

        dice.state = seed * 77;
        for (uint64_t flips = 1 + dice_below(&dice, 3); flips > 0; flips--)
            bytes[dice_below(&dice, dice_below(&dice, 2) ? size : 160) % size] ^=
                (uint8_t)(1u << dice_below(&dice, 8));
        if (ringmap_decode(bytes, size, &decoded) == 0) {
            size_t again_size;
            uint8_t *again = encode(&decoded, &again_size);

            cr_assert_eq(again_size, size);
            cr_assert_eq(memcmp(again, bytes, size), 0, "seed %lu", (unsigned long)seed);
            decoded_count++;
            free(again);
            ringmap_deinit(&decoded);
        }
        free(bytes);
        ringmap_deinit(&map);
    }
    cr_assert_gt(decoded_count, 1000);
    cr_assert_lt(decoded_count, 90000);
}

/* Each changes one thing in the example's bytes that no valid map has. */
Test(ringmap, every_limit_is_checked)
{
    static const struct {
        size_t at;
        uint8_t value;
        const char *what;
    } changes[] = {
        {0, 0, "magic"},
        {AT_VERSION, 2, "version of several data keys, without any"},
        {AT_VERSION, 3, "version"},
        {AT_FLAGS, 4, "unknown flag"},
        {AT_FLAGS, 2, "boxes that are not there"},
        {AT_FLAGS, 1, "target that is not there"},
        {AT_REPLICAS, 0, "no replicas"},
        {AT_REPLICAS, 8, "more than seven replicas"},
        {AT_EPOCH, 0, "epoch 0"},
        {AT_PARTITIONS, 4, "fewer than eight partitions"},
        {AT_PARTITIONS, 9, "partitions no power of two"},
        {AT_PARTITIONS + 1, 0x20, "more than 4,096 partitions"},
        {AT_PARTITIONS + 3, 0x80, "far more than 4,096 partitions"},
        {AT_MEMBERS, 0, "no members"},
        {AT_MEMBERS + 1, 0x10, "more than 1,000 members"},
        {AT_VOTERS, 0, "no meta voter"},
        {AT_VOTERS, 6, "more than five meta voters"},
        {AT_VOTERS, 2, "a meta voter that is none"},
        {AT_VOTER, 3, "meta voter is no member"},
        {AT_MEMBER, 0, "member id 0"},
        {AT_MEMBER, 2, "two members of one id"},
        {AT_MEMBER, 3, "ids that do not ascend"},
        {AT_MEMBER + 2, 0, "no state"},
        {AT_MEMBER + 2, 4, "replica on a removed member"},
        {AT_MEMBER + 2, 5, "unknown state"},
        {AT_MEMBER + 3, 0, "weight 0"},
        {AT_MEMBER + 39, 0, "no address"},
        {AT_MEMBER + 39, 64, "address without end"},
        {AT_MEMBER + 40, 0, "zero inside the address"},
        {AT_MEMBER + 40, 0x1b, "control character in the address"},
        {AT_MEMBER + 40, ' ', "space in the address"},
        {AT_MEMBER + 54, 32, "zone without end"},
        {AT_MEMBER + 55, 0x7f, "control character in the zone"},
        {AT_MEMBER + 55, 0xe4, "zone beyond ASCII"},
        {AT_MEMBER + 112, 0, "partition without replica"},
        {AT_MEMBER + 112, 2, "two replicas on one member"},
        {AT_MEMBER + 112, 9, "replica on no member"},
    };
    struct ringmap map = example();
    struct ringmap out;
    size_t size;
    uint8_t *bytes = encode(&map, &size);

    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        uint8_t was = bytes[changes[i].at];

        cr_assert_neq(was, changes[i].value);
        bytes[changes[i].at] = changes[i].value;
        cr_assert_eq(ringmap_decode(bytes, size, &out), RINGMAP_E_MALFORMED, "%s", changes[i].what);
        bytes[changes[i].at] = was;
    }
    memset(bytes + AT_MEMBER + 56 + 7, 1, RINGMAP_KEY_SIZE);
    cr_assert_eq(ringmap_decode(bytes, size, &out), RINGMAP_E_MALFORMED, "two members of one key");
    free(bytes);
    ringmap_deinit(&map);
}

Test(ringmap, free_places_are_the_last_of_a_row_and_never_all)
{
    struct ringmap map = example();
    struct ringmap out;
    size_t size;
    uint8_t *bytes = encode(&map, &size);
    uint8_t *row = bytes + AT_MEMBER + 112;

    memset(row + 2, 0, 2);
    cr_assert_eq(ringmap_decode(bytes, size, &out), 0, "1 and a free place");
    ringmap_deinit(&out);
    memset(row, 0, 2);
    cr_assert_eq(ringmap_decode(bytes, size, &out), RINGMAP_E_MALFORMED, "two free places");
    row[2] = 1;
    cr_assert_eq(ringmap_decode(bytes, size, &out), RINGMAP_E_MALFORMED, "a free place and 1");
    free(bytes);
    ringmap_deinit(&map);
    cr_assert_eq(ringmap_init(&map, 3, 8, 3), 0);
    for (uint32_t i = 0; i < 24; i++)
        map.replicas[i] = (uint16_t)(1 + i % 3);
    for (uint16_t i = 0; i < 3; i++)
        member_set(&map, i, (uint16_t)(i + 1), "");
    map.epoch = 1;
    map.meta_voters[0] = 1;
    map.meta_voter_count = 1;
    bytes = encode(&map, &size);
    cr_assert_eq(bytes[size - 4], 2);
    bytes[size - 4] = 0;
    cr_assert_eq(ringmap_decode(bytes, size, &out), RINGMAP_E_MALFORMED, "1, free, 3");
    free(bytes);
    ringmap_deinit(&map);
}

/* A few bytes that claim the largest tables must not get memory for them. */
Test(ringmap, nothing_is_allocated_for_counts_that_the_bytes_cannot_hold)
{
    struct ringmap map = example();
    struct ringmap out;
    size_t size;
    uint8_t *bytes = encode(&map, &size);

    bytes[AT_MEMBERS] = 0xe8;
    bytes[AT_MEMBERS + 1] = 0x03;
    alloc_fail_after(1);
    cr_assert_eq(ringmap_decode(bytes, size, &out), RINGMAP_E_MALFORMED);
    bytes[AT_MEMBERS] = 2;
    bytes[AT_MEMBERS + 1] = 0;
    bytes[AT_PARTITIONS] = 0;
    bytes[AT_PARTITIONS + 1] = 0x10;
    cr_assert_eq(ringmap_decode(bytes, size, &out), RINGMAP_E_MALFORMED);
    cr_assert_not(alloc_failed());
    alloc_fail_after(0);
    free(bytes);
    ringmap_deinit(&map);
}

Test(ringmap, the_largest_map_goes_through)
{
    struct ringmap map;
    struct ringmap decoded;
    size_t size;
    uint8_t *bytes;

    cr_assert_eq(ringmap_init(&map, RINGMAP_MEMBERS_MAX, RINGMAP_PARTITIONS_MAX, 7), 0);
    map.epoch = UINT64_MAX;
    for (uint16_t i = 0; i < RINGMAP_MEMBERS_MAX; i++) {
        member_set(&map, i, (uint16_t)(i + 1), "zone");
        map.members[i].public_key[0] = (uint8_t)(i >> 8);
    }
    for (uint32_t i = 0; i < RINGMAP_PARTITIONS_MAX * 7; i++)
        map.replicas[i] = (uint16_t)(1 + i % RINGMAP_MEMBERS_MAX);
    map.meta_voters[0] = 1000;
    map.meta_voter_count = 1;
    bytes = encode(&map, &size);
    cr_assert_eq(ringmap_decode(bytes, size, &decoded), 0);
    expect_same(&map, &decoded);
    free(bytes);
    ringmap_deinit(&decoded);
    ringmap_deinit(&map);
}

Test(ringmap, members_are_found_by_id_and_key_across_gaps)
{
    struct ringmap map = example();
    uint8_t key[RINGMAP_KEY_SIZE];

    member_set(&map, 1, 9, "b");
    cr_assert_eq(ringmap_member(&map, 1), &map.members[0]);
    cr_assert_eq(ringmap_member(&map, 9), &map.members[1]);
    cr_assert_null(ringmap_member(&map, 0));
    cr_assert_null(ringmap_member(&map, 2));
    cr_assert_null(ringmap_member(&map, 10));
    memset(key, 9, sizeof key);
    cr_assert_eq(ringmap_member_by_key(&map, key), &map.members[1]);
    key[31] ^= 1;
    cr_assert_null(ringmap_member_by_key(&map, key));
    ringmap_deinit(&map);
}

static void add_key(struct ringmap *map, uint8_t id, int fill)
{
    uint8_t(*boxes)[RINGMAP_BOX_SIZE];

    cr_assert_eq(ringmap_add_key(map, id, &boxes), 0);
    memset(boxes, fill, map->member_count * sizeof *boxes);
}

Test(ringmap, each_member_has_a_box_of_the_data_key)
{
    struct ringmap map = example(), decoded;
    uint8_t *bytes;
    size_t size;

    cr_assert_eq(ringmap_key_current(&map), 0);
    add_key(&map, 7, 0xAB);
    cr_assert_eq(ringmap_key_current(&map), 7);
    cr_assert_eq(ringmap_box(&map, 0, 2), map.boxes[1]);
    cr_assert_null(ringmap_box(&map, 0, 3));
    bytes = encode(&map, &size);
    cr_assert_eq(size, sizeof example_hex / 2 + 1 + 2 * RINGMAP_BOX_SIZE);
    cr_assert_eq(bytes[AT_VERSION], 1, "what one key was founded with is read by all versions");
    cr_assert_eq(bytes[AT_FLAGS], 2);
    cr_assert_eq(bytes[sizeof example_hex / 2], 7);
    cr_assert_eq(ringmap_decode(bytes, size, &decoded), RINGMAP_E_OK);
    expect_same(&map, &decoded);
    ringmap_deinit(&decoded);
    bytes[sizeof example_hex / 2] = 0;
    cr_assert_eq(ringmap_decode(bytes, size, &decoded), RINGMAP_E_MALFORMED, "no key has number 0");
    free(bytes);
    ringmap_deinit(&map);
}

Test(ringmap, several_data_keys_ascend_and_each_has_its_boxes)
{
    struct ringmap map = example(), decoded;
    size_t at = sizeof example_hex / 2, size;
    uint8_t *bytes;

    add_key(&map, 3, 0xAB);
    add_key(&map, 9, 0xCD);
    cr_assert_eq(ringmap_key_current(&map), 9);
    cr_assert_eq(ringmap_box(&map, 0, 2)[0], 0xAB);
    cr_assert_eq(ringmap_box(&map, 1, 1)[80], 0xCD);
    bytes = encode(&map, &size);
    cr_assert_eq(bytes[AT_VERSION], 2);
    cr_assert_eq(size, at + 1 + 2 * (1 + 2 * RINGMAP_BOX_SIZE));
    cr_assert_eq(bytes[at], 2);
    cr_assert_eq(ringmap_decode(bytes, size, &decoded), RINGMAP_E_OK);
    expect_same(&map, &decoded);
    ringmap_deinit(&decoded);
    bytes[at + 1] = 9;
    cr_assert_eq(ringmap_decode(bytes, size, &decoded), RINGMAP_E_MALFORMED, "9 twice");
    bytes[at + 1] = 3;
    bytes[at] = 1;
    cr_assert_eq(ringmap_decode(bytes, size, &decoded), RINGMAP_E_MALFORMED, "one is version 1's");
    bytes[at] = 3;
    cr_assert_eq(ringmap_decode(bytes, size, &decoded), RINGMAP_E_MALFORMED, "one is not there");
    free(bytes);
    ringmap_deinit(&map);
}

/* A copy of the example with two keys, one epoch later. */
static struct ringmap successor(const struct ringmap *map)
{
    struct ringmap next;

    cr_assert_eq(ringmap_copy(&next, map), 0);
    next.epoch++;
    return next;
}

Test(ringmap, only_data_keys_may_come_with_a_later_epoch)
{
    struct ringmap map = example(), next;

    add_key(&map, 1, 0xAB);
    next = successor(&map);
    add_key(&next, 2, 0xCD);
    cr_assert_null(ringmap_follows_problem(&next, &map));
    next.epoch += 5;
    cr_assert_null(ringmap_follows_problem(&next, &map), "some that were not seen in between");
    cr_assert_not_null(ringmap_follows_problem(&map, &next), "backwards");
    cr_assert_not_null(ringmap_follows_problem(&map, &map), "the same epoch");
    next.boxes[0][3] ^= 1;
    cr_assert_not_null(ringmap_follows_problem(&next, &map), "another box of a key that is there");
    ringmap_deinit(&next);
#define REFUSED(change)                                                                            \
    next = successor(&map);                                                                        \
    change;                                                                                        \
    cr_assert_not_null(ringmap_follows_problem(&next, &map), #change);                             \
    ringmap_deinit(&next)
    REFUSED(next.cluster[0] ^= 1);
    REFUSED(next.hash_secret[0] ^= 1);
    REFUSED(next.members[1].state = RINGMAP_STATE_REMOVED);
    REFUSED(next.members[1].public_key[31] ^= 1);
    REFUSED(next.members[1].address[0] ^= 1);
    REFUSED(next.members[1].weight++);
    REFUSED(next.meta_voters[0] = 2);
    REFUSED(next.replicas[0] = next.replicas[1]);
    REFUSED(next.target = calloc(16, sizeof *next.target));
    REFUSED(next.key_ids[0] = 2);
    REFUSED(next.key_count = 0);
    ringmap_deinit(&map);
}

Test(ringmap, a_cluster_founded_without_encryption_stays_so)
{
    struct ringmap map = example(), next = successor(&map);

    cr_assert_null(ringmap_follows_problem(&next, &map));
    add_key(&next, 1, 0xAB);
    cr_assert_not_null(ringmap_follows_problem(&next, &map));
    ringmap_deinit(&next);
    ringmap_deinit(&map);
}

Test(ringmap, holds_knows_rows_and_free_places)
{
    struct ringmap map = example();

    map.replicas[2 * 3 + 1] = 0;
    cr_assert_eq(ringmap_row(&map, 3), map.replicas + 6);
    cr_assert(ringmap_holds(&map, 3, 2));
    cr_assert_not(ringmap_holds(&map, 3, 1));
    cr_assert_not(ringmap_holds(&map, 3, 0));
    ringmap_check(&map);
    ringmap_deinit(&map);
}

Test(ringmap, out_of_memory_is_returned_and_leaves_nothing)
{
    struct dice dice = {3};
    struct ringmap map;
    struct ringmap out = {.epoch = 77};
    size_t size;
    uint8_t *bytes;

    for (map = any_map(&dice); !map.target || map.key_count == 0; map = any_map(&dice))
        ringmap_deinit(&map);
    bytes = encode(&map, &size);
    for (uint64_t n = 1; n <= 4; n++) {
        alloc_fail_after(n);
        cr_assert_eq(ringmap_decode(bytes, size, &out), -ENOMEM);
        alloc_fail_after(n);
        cr_assert_eq(ringmap_copy(&out, &map), -ENOMEM);
        cr_assert_eq(out.epoch, 77);
    }
    alloc_fail_after(5);
    cr_assert_eq(ringmap_decode(bytes, size, &out), 0);
    alloc_fail_after(0);
    ringmap_deinit(&out);
    ringmap_deinit(&map);
    free(bytes);
}

Test(ringmap, check_stops_at_a_broken_map, .signal = SIGABRT)
{
    struct ringmap map = example();

    map.replicas[1] = map.replicas[0];
    ringmap_check(&map);
}
