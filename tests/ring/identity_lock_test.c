#include "ring/identity_lock.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sodium.h>
#include <string.h>

static const uint8_t words[] = "correct horse battery staple";
#define WORDS_SIZE (sizeof words - 1)

static void setup(void)
{
    cr_assert_geq(sodium_init(), 0);
}

TestSuite(identity_lock, .init = setup);

static const uint8_t salts[2][IDENTITY_LOCK_SALT_SIZE] = {{1}, {2}};

static bool holds(const uint8_t *bytes, size_t size, const uint8_t *what, size_t what_size)
{
    return memmem(bytes, size, what, what_size) != NULL;
}

Test(identity_lock, the_passphrase_gives_the_identity_back)
{
    struct identity identity, again;
    uint8_t locked[2][IDENTITY_LOCK_SIZE];

    identity_generate(&identity);
    cr_assert_eq(identity_lock(&identity, words, WORDS_SIZE, salts[0], locked[0]), 0);
    cr_assert_eq(identity_lock(&identity, words, WORDS_SIZE, salts[1], locked[1]), 0);
    cr_assert_neq(memcmp(locked[0] + IDENTITY_LOCK_SALT_SIZE, locked[1] + IDENTITY_LOCK_SALT_SIZE,
                         IDENTITY_LOCK_SIZE - IDENTITY_LOCK_SALT_SIZE),
                  0, "another salt, another lock");
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(identity_unlock(&again, words, WORDS_SIZE, locked[i]), 0);
        cr_assert_eq(memcmp(&again, &identity, sizeof identity), 0);
        cr_assert_not(holds(locked[i], IDENTITY_LOCK_SIZE, identity.secret_key, 8));
        cr_assert_not(holds(locked[i], IDENTITY_LOCK_SIZE, identity.public_key, 8));
    }
}

Test(identity_lock, another_passphrase_gives_nothing)
{
    struct identity identity, again;
    uint8_t locked[IDENTITY_LOCK_SIZE];

    identity_generate(&identity);
    cr_assert_eq(identity_lock(&identity, words, WORDS_SIZE, salts[0], locked), 0);
    cr_assert_eq(identity_unlock(&again, words, WORDS_SIZE - 1, locked), IDENTITY_LOCK_E_WRONG);
    for (size_t i = 0; i < sizeof again; i++)
        cr_assert_eq(((const uint8_t *)&again)[i], 0);
}

Test(identity_lock, damage_anywhere_is_found)
{
    struct identity identity, again;
    uint8_t locked[IDENTITY_LOCK_SIZE];

    identity_generate(&identity);
    cr_assert_eq(identity_lock(&identity, words, WORDS_SIZE, salts[0], locked), 0);
    for (size_t i = 3; i < IDENTITY_LOCK_SIZE; i += 15) { /* salt, seed and tag */
        locked[i] ^= 1;
        cr_assert_eq(identity_unlock(&again, words, WORDS_SIZE, locked), IDENTITY_LOCK_E_WRONG);
        locked[i] ^= 1;
    }
}

Test(identity_lock, a_short_passphrase_is_refused, .signal = SIGABRT)
{
    struct identity identity;
    uint8_t locked[IDENTITY_LOCK_SIZE];

    identity_generate(&identity);
    (void)identity_lock(&identity, words, IDENTITY_PASSPHRASE_MIN - 1, salts[0], locked);
}
