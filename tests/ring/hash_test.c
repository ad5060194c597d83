#include "ring/hash.h"

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/dice.h"

#define KEYS 100000u

static const uint8_t secret[HASH_KEY_SIZE] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* Vectors of the SipHash authors (vectors_sip128), input 00 01 02 …, words little endian. */
Test(hash, key_matches_published_siphash_2_4_128_vectors)
{
    static const struct {
        size_t size;
        uint64_t high, low;
    } vectors[] = {
        {0, 0xe6a825ba047f81a3u, 0x930255c71472f66du},
        {1, 0x44af996bd8c187dau, 0x45fc229b11597634u},
        {2, 0xc75da4a48d227781u, 0xe4ff0af6de8ba3fcu},
    };
    uint8_t input[64];

    for (size_t i = 0; i < sizeof input; i++)
        input[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct hash_digest digest = hash_key(secret, input, vectors[i].size);

        cr_assert_eq(digest.high, vectors[i].high);
        cr_assert_eq(digest.low, vectors[i].low);
    }
}

static void expect_tag(const char *key, const char *expected)
{
    size_t size;
    const uint8_t *tag = hash_tag(key, strlen(key), &size);

    cr_assert_eq(size, strlen(expected), "%s", key);
    cr_assert_eq(memcmp(tag, expected, size), 0, "%s", key);
}

Test(hash, tag_follows_the_rule_of_redis_cluster)
{
    expect_tag("{user1000}.following", "user1000");
    expect_tag("{user1000}.followers", "user1000");
    expect_tag("foo{}{bar}", "foo{}{bar}");
    expect_tag("foo{{bar}}zap", "{bar");
    expect_tag("foo{bar}{zap}", "bar");
    expect_tag("plain", "plain");
    expect_tag("open{only", "open{only");
    expect_tag("only}close", "only}close");
    expect_tag("}{x}", "x");
    expect_tag("{", "{");
    expect_tag("{}", "{}");
    expect_tag("{a", "{a");
    expect_tag("", "");
}

Test(hash, keys_of_one_tag_share_the_partition_but_not_the_digest)
{
    struct hash_digest first;
    struct hash_digest second;
    uint16_t partition = hash_partition(secret, 4096, "{a}1", 4, &first);

    cr_assert_eq(partition, hash_partition(secret, 4096, "{a}2", 4, &second));
    cr_assert_eq(partition, hash_partition(secret, 4096, "a", 1, NULL));
    cr_assert_neq(first.high, second.high);
}

Test(hash, partition_is_the_top_bits_of_the_digest)
{
    struct dice dice = {1};

    for (unsigned bits = 3; bits <= 12; bits++) {
        for (unsigned i = 0; i < 1000; i++) {
            uint8_t key[40];
            struct hash_digest digest;
            uint16_t partition;

            dice_fill(&dice, key, sizeof key);
            for (size_t k = 0; k < sizeof key; k++)
                key[k] &= 0x7a; /* no '}' ends a tag */
            partition = hash_partition(secret, 1u << bits, key, sizeof key, &digest);
            cr_assert_eq(partition, digest.high >> (64 - bits));
        }
    }
}

/* Chi-squared with 255 degrees of freedom: 330.5 is passed once in a thousand. The keys are fixed,
 * so the test always says the same. */
Test(hash, keys_spread_evenly_over_partitions)
{
    static unsigned counts[256];
    double expected = (double)KEYS / 256;
    double chi_squared = 0;

    for (unsigned i = 0; i < KEYS; i++) {
        char key[32];
        int size = snprintf(key, sizeof key, "user:%u:profile", i);

        counts[hash_partition(secret, 256, key, (size_t)size, NULL)]++;
    }
    for (unsigned i = 0; i < 256; i++)
        chi_squared += (counts[i] - expected) * (counts[i] - expected) / expected;
    cr_assert_lt(chi_squared, 330.5);
}

Test(hash, another_secret_gives_other_partitions)
{
    uint8_t other[HASH_KEY_SIZE] = {1};
    unsigned same = 0;

    for (unsigned i = 0; i < 1000; i++)
        same += hash_partition(secret, 4096, &i, sizeof i, NULL) ==
                hash_partition(other, 4096, &i, sizeof i, NULL);
    cr_assert_lt(same, 10);
}
