#include "ring/identity.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

static void setup(void)
{
    cr_assert(sodium_init() >= 0);
}
TestSuite(identity, .init = setup);

Test(identity, same_seed_gives_the_same_keys)
{
    uint8_t seed[IDENTITY_SEED_SIZE] = {1, 2, 3};
    struct identity a, b;
    identity_from_seed(&a, seed);
    identity_from_seed(&b, seed);
    cr_assert_eq(memcmp(&a, &b, sizeof a), 0);
    seed[0] = 2;
    identity_from_seed(&b, seed);
    cr_assert_neq(memcmp(a.public_key, b.public_key, sizeof a.public_key), 0);
}

Test(identity, two_generated_ones_differ)
{
    struct identity a, b;
    identity_generate(&a);
    identity_generate(&b);
    cr_assert_neq(memcmp(a.public_key, b.public_key, sizeof a.public_key), 0);
}

Test(identity, x25519_keys_are_a_pair_and_follow_from_the_ed25519_key)
{
    struct identity a;
    identity_generate(&a);
    uint8_t dh[IDENTITY_PUBLIC_SIZE];
    cr_assert_eq(crypto_scalarmult_base(dh, a.dh_secret), 0);
    cr_assert_eq(memcmp(dh, a.dh_public, sizeof dh), 0);
    cr_assert_eq(identity_dh_public(dh, a.public_key), 0);
    cr_assert_eq(memcmp(dh, a.dh_public, sizeof dh), 0);
}

Test(identity, secret_round_trip)
{
    struct identity a, b;
    identity_generate(&a);
    cr_assert_eq(identity_from_secret(&b, a.secret_key), 0);
    cr_assert_eq(memcmp(&a, &b, sizeof a), 0);
}

Test(identity, secret_with_a_strange_public_half_is_refused_and_wiped)
{
    struct identity a, b, zero;
    identity_generate(&a);
    a.secret_key[40] ^= 1;
    memset(&zero, 0, sizeof zero);
    cr_assert_eq(identity_from_secret(&b, a.secret_key), IDENTITY_E_MALFORMED);
    cr_assert_eq(memcmp(&b, &zero, sizeof b), 0);
}

Test(identity, bytes_that_are_no_key_are_refused)
{
    uint8_t dh[IDENTITY_PUBLIC_SIZE];
    uint8_t small_order[IDENTITY_PUBLIC_SIZE] = {1};
    uint8_t no_point[IDENTITY_PUBLIC_SIZE];
    memset(no_point, 0xff, sizeof no_point);
    cr_assert_eq(identity_dh_public(dh, small_order), IDENTITY_E_MALFORMED);
    cr_assert_eq(identity_dh_public(dh, no_point), IDENTITY_E_MALFORMED);
}

Test(identity, fingerprint_is_short_and_of_the_key)
{
    uint8_t seed[IDENTITY_SEED_SIZE] = {7};
    struct identity a;
    identity_from_seed(&a, seed);
    char one[IDENTITY_FINGERPRINT_SIZE], two[IDENTITY_FINGERPRINT_SIZE];
    identity_fingerprint(a.public_key, one);
    cr_assert_eq(strlen(one), 19);
    a.public_key[31] ^= 1;
    identity_fingerprint(a.public_key, two);
    cr_assert_str_neq(one, two);
}

Test(identity, wipe_leaves_nothing)
{
    struct identity a, zero;
    identity_generate(&a);
    identity_wipe(&a);
    memset(&zero, 0, sizeof zero);
    cr_assert_eq(memcmp(&a, &zero, sizeof a), 0);
}
