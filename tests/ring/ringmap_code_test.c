#include "ringmap_any.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

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

static const char plan_hex[] = "524d41500300050106000000000000000f0e0d0c0b0a09080706050403020100"
                               "000102030405060708090a0b0c0d0e0f08000000020001000200010003640000"
                               "0001010101010101010101010101010101010101010101010101010101010101"
                               "010e3132372e302e302e313a3730303100020002640000000202020202020202"
                               "0202020202020202020202020202020202020202020202020e3132372e302e30"
                               "2e313a3730303200010001000100010001000100010001000200020002000200"
                               "02000200020002000008000000";

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
    cr_assert_eq(a->paused, b->paused);
    cr_assert_eq(a->move_rate, b->move_rate);
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

/* The bytes decode to that map. */
static void expect_decoded(const uint8_t *bytes, size_t size, const struct ringmap *map)
{
    struct ringmap decoded;

    cr_assert_eq(ringmap_decode(bytes, size, &decoded), 0);
    ringmap_check(&decoded);
    expect_same(map, &decoded);
    ringmap_deinit(&decoded);
}

static void expect_refused(const uint8_t *bytes, size_t size, const char *what)
{
    struct ringmap out;

    cr_assert_eq(ringmap_decode(bytes, size, &out), RINGMAP_E_MALFORMED, "%s", what);
}

static void expect_encoding(const struct ringmap *map, const char *hex)
{
    size_t size;
    uint8_t *bytes = encode(map, &size);
    char made[2 * 512 + 1];

    cr_assert_lt(size, sizeof made / 2);
    for (size_t i = 0; i < size; i++)
        snprintf(made + 2 * i, 3, "%02x", bytes[i]);
    cr_assert_str_eq(made, hex);
    free(bytes);
}

Test(ringmap_code, every_map_is_decoded_as_it_was_encoded_and_copied)
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

Test(ringmap_code, encoding_is_the_documented_example)
{
    struct ringmap map = example();

    expect_encoding(&map, example_hex);
    ringmap_deinit(&map);
}

/* The second example of docs/format-ringmap.md: a plan under way. */
Test(ringmap_code, encoding_of_a_plan_is_the_documented_example)
{
    struct ringmap map;

    cr_assert_eq(ringmap_init(&map, 2, 8, 1), 0);
    map.epoch = 6;
    for (unsigned i = 0; i < 16; i++) {
        map.cluster[i] = (uint8_t)(15 - i);
        map.hash_secret[i] = (uint8_t)i;
    }
    member_set(&map, 0, 1, "");
    member_set(&map, 1, 2, "");
    map.members[0].state = RINGMAP_STATE_LEAVING;
    map.target = calloc(8, sizeof *map.target);
    for (unsigned p = 0; p < 8; p++) {
        map.replicas[p] = 1;
        map.target[p] = 2;
    }
    map.meta_voters[0] = 2;
    map.meta_voter_count = 1;
    map.move_rate = 8;
    expect_encoding(&map, plan_hex);
    ringmap_deinit(&map);
}

/* BLAKE2b-256 of "abc", as `b2sum -l 256` prints it. */
Test(ringmap_code, hash_is_blake2b_256)
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

Test(ringmap_code, truncated_or_longer_bytes_are_refused)
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
Test(ringmap_code, flipped_bytes_are_refused_or_another_valid_map)
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
Test(ringmap_code, every_limit_is_checked)
{
    static const struct {
        size_t at;
        uint8_t value;
        const char *what;
    } changes[] = {
        {0, 0, "magic"},
        {AT_VERSION, 2, "version of several data keys, without any"},
        {AT_VERSION, 3, "version of settings, without any"},
        {AT_VERSION, 4, "version"},
        {AT_FLAGS, 4, "settings in version 1"},
        {AT_FLAGS, 8, "unknown flag"},
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
        {AT_MEMBER + 2, 1, "replica on a joining member"},
        {AT_MEMBER + 2, 3, "replica wanted on a leaving member"},
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
    size_t size;
    uint8_t *bytes = encode(&map, &size);

    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        uint8_t was = bytes[changes[i].at];

        cr_assert_neq(was, changes[i].value);
        bytes[changes[i].at] = changes[i].value;
        expect_refused(bytes, size, changes[i].what);
        bytes[changes[i].at] = was;
    }
    memset(bytes + AT_MEMBER + 56 + 7, 1, RINGMAP_KEY_SIZE);
    expect_refused(bytes, size, "two members of one key");
    free(bytes);
    ringmap_deinit(&map);
}

static int decode_of(const struct ringmap *map, void (*change)(uint8_t *bytes, size_t size))
{
    struct ringmap out;
    size_t size;
    uint8_t *bytes = encode(map, &size);
    int r;

    change(bytes, size);
    r = ringmap_decode(bytes, size, &out);
    if (r == 0) {
        ringmap_check(&out);
        ringmap_deinit(&out);
    }
    free(bytes);
    return r;
}

#define ROWS (AT_MEMBER + 112)

static void free_one(uint8_t *bytes, size_t size)
{
    (void)size;
    memset(bytes + ROWS + 2, 0, 2);
}

static void free_all(uint8_t *bytes, size_t size)
{
    (void)size;
    memset(bytes + ROWS, 0, 4);
}

static void free_first(uint8_t *bytes, size_t size)
{
    (void)size;
    memset(bytes + ROWS, 0, 2);
}

static void free_second_of_each(uint8_t *bytes, size_t size)
{
    for (size_t at = ROWS + 2; at < size; at += 4)
        memset(bytes + at, 0, 2);
}

Test(ringmap_code, free_places_are_the_last_of_a_row_and_never_all)
{
    struct ringmap map = example();

    cr_assert_eq(decode_of(&map, free_second_of_each), 0);
    cr_assert_eq(decode_of(&map, free_one), RINGMAP_E_MALFORMED, "wanted rows are equally long");
    cr_assert_eq(decode_of(&map, free_first), RINGMAP_E_MALFORMED, "a free place and 2");
    cr_assert_eq(decode_of(&map, free_all), RINGMAP_E_MALFORMED, "two free places");
    map.target = calloc(16, sizeof *map.target);
    memcpy(map.target, map.replicas, 16 * sizeof *map.target);
    cr_assert_eq(decode_of(&map, free_one), 0, "a plan may lead away from unequal rows");
    cr_assert_eq(decode_of(&map, free_first), RINGMAP_E_MALFORMED);
    cr_assert_eq(decode_of(&map, free_all), RINGMAP_E_MALFORMED);
    ringmap_deinit(&map);
}

/* A few bytes that claim the largest tables must not get memory for them. */
Test(ringmap_code, nothing_is_allocated_for_counts_that_the_bytes_cannot_hold)
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

Test(ringmap_code, the_largest_map_goes_through)
{
    struct ringmap map;
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
    expect_decoded(bytes, size, &map);
    free(bytes);
    ringmap_deinit(&map);
}

static void add_key(struct ringmap *map, uint8_t id, int fill)
{
    uint8_t(*boxes)[RINGMAP_BOX_SIZE];

    cr_assert_eq(ringmap_add_key(map, id, &boxes), 0);
    memset(boxes, fill, map->member_count * sizeof *boxes);
}

Test(ringmap_code, each_member_has_a_box_of_the_data_key)
{
    struct ringmap map = example();
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
    expect_decoded(bytes, size, &map);
    bytes[sizeof example_hex / 2] = 0;
    expect_refused(bytes, size, "no key has number 0");
    free(bytes);
    ringmap_deinit(&map);
}

/* Version 3 says how many data keys there are, be it one. */
Test(ringmap_code, settings_are_in_the_encoding_when_they_are_not_the_usual_ones)
{
    struct ringmap map = example(), decoded;
    size_t at = sizeof example_hex / 2, size;
    uint8_t *bytes;

    map.paused = true;
    map.move_rate = 0x01020304;
    add_key(&map, 7, 0xAB);
    bytes = encode(&map, &size);
    cr_assert_eq(bytes[AT_VERSION], 3);
    cr_assert_eq(bytes[AT_FLAGS], 2 | 4);
    cr_assert_eq(size, at + 5 + 1 + 1 + 2 * RINGMAP_BOX_SIZE);
    cr_assert_eq(memcmp(bytes + at, "\1\4\3\2\1\1\7", 7), 0);
    expect_decoded(bytes, size, &map);
    bytes[at] = 2;
    expect_refused(bytes, size, "paused is 0 or 1");
    memset(bytes + at, 0, 5);
    expect_refused(bytes, size, "the usual ones are said by leaving them out");
    bytes[at + 4] = 1;
    cr_assert_eq(ringmap_decode(bytes, size, &decoded), RINGMAP_E_OK);
    cr_assert_eq(decoded.move_rate, 1u << 24);
    cr_assert_not(decoded.paused);
    ringmap_deinit(&decoded);
    bytes[at + 5] = 0;
    expect_refused(bytes, size, "boxes of no key");
    bytes[at + 5] = 1;
    bytes[AT_VERSION] = 2;
    expect_refused(bytes, size, "version 2 has none");
    free(bytes);
    ringmap_deinit(&map);
}

Test(ringmap_code, several_data_keys_ascend_and_each_has_its_boxes)
{
    struct ringmap map = example();
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
    expect_decoded(bytes, size, &map);
    bytes[at + 1] = 9;
    expect_refused(bytes, size, "9 twice");
    bytes[at + 1] = 3;
    bytes[at] = 1;
    expect_refused(bytes, size, "one is version 1's");
    bytes[at] = 3;
    expect_refused(bytes, size, "one is not there");
    free(bytes);
    ringmap_deinit(&map);
}

Test(ringmap_code, out_of_memory_is_returned_and_leaves_nothing)
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
