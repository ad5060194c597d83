#include "ring/handshake.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

static struct identity identities[3];
static struct ticket ticket;
static struct handshake_options options[2];
static struct handshake ends[2];

static void setup(void)
{
    cr_assert(sodium_init() >= 0);
    ticket_generate(&ticket);
    for (unsigned i = 0; i < 3; i++)
        identity_generate(&identities[i]);
    for (unsigned i = 0; i < 2; i++) {
        options[i] = (struct handshake_options){
            .initiator = i == 0,
            .identity = &identities[i],
            .ticket = &ticket,
            .role = i == 0 ? LINK_ROLE_ROUTER : LINK_ROLE_NODE,
            .ciphers = (uint16_t)(0x8001 + 0x0100 * i),
            .credit_size = 1000 + i,
            .credit_messages = 10 + i,
        };
        randombytes_buf(options[i].ephemeral_secret, NOISE_KEY_SIZE);
    }
}
TestSuite(handshake, .init = setup);

/* Runs it to the end, byte by byte; returns the first error. */
static int run(void)
{
    handshake_init(&ends[0], &options[0]);
    handshake_init(&ends[1], &options[1]);
    for (unsigned i = 0; i < NOISE_MESSAGES; i++) {
        uint8_t out[HANDSHAKE_OUT_SIZE_MAX];
        size_t size = 0, used = 0;
        int r = handshake_write(&ends[i % 2], out, &size);
        if (r != 0)
            return r;
        for (size_t have = 0; have < size; have++) {
            r = handshake_read(&ends[1 - i % 2], out, have, &used);
            if (r != 0)
                return r;
            cr_assert_eq(used, 0);
        }
        r = handshake_read(&ends[1 - i % 2], out, size, &used);
        if (r != 0)
            return r;
        cr_assert_eq(used, size);
    }
    return 0;
}

Test(handshake, both_ends_know_each_other)
{
    options[0].expected_key = identities[1].public_key;
    cr_assert_eq(run(), 0);
    for (unsigned i = 0; i < 2; i++) {
        const struct handshake_peer *peer = &ends[i].peer;
        cr_assert(handshake_done(&ends[i]));
        cr_assert_eq(memcmp(peer->public_key, identities[1 - i].public_key, 32), 0);
        cr_assert_eq(peer->role, options[1 - i].role);
        cr_assert_eq(peer->ciphers, options[1 - i].ciphers, "with bits that nobody knows");
        cr_assert_eq(peer->credit_size, options[1 - i].credit_size);
        cr_assert_eq(peer->credit_messages, options[1 - i].credit_messages);
    }
    struct noise_keys keys[2];
    handshake_split(&ends[0], &keys[0]);
    handshake_split(&ends[1], &keys[1]);
    cr_assert_eq(memcmp(keys[0].send, keys[1].receive, NOISE_KEY_SIZE), 0);
}

Test(handshake, responder_has_heard_the_psk_after_message_1)
{
    uint8_t out[HANDSHAKE_OUT_SIZE_MAX];
    size_t size = 0, used = 0;
    handshake_init(&ends[0], &options[0]);
    handshake_init(&ends[1], &options[1]);
    cr_assert_eq(handshake_write(&ends[0], out, &size), 0);
    cr_assert_not(handshake_heard(&ends[0]));
    cr_assert_not(handshake_heard(&ends[1]));
    cr_assert_eq(handshake_read(&ends[1], out, size, &used), 0);
    cr_assert(handshake_heard(&ends[1]));
}

Test(handshake, another_psk_is_refused)
{
    struct ticket other = ticket;
    other.psk[0] ^= 1;
    options[1].ticket = &other;
    cr_assert_eq(run(), HANDSHAKE_E_AUTH);
}

Test(handshake, another_cluster_is_refused)
{
    struct ticket other = ticket;
    other.cluster[0] ^= 1;
    options[0].ticket = &other;
    cr_assert_eq(run(), HANDSHAKE_E_AUTH);
}

#define CANDIDATES 5u

/* The responder opens to several; the initiator has psk number `held` of them. */
static int run_first(uint32_t count, uint32_t held, const struct tickets_candidate **opened)
{
    static struct tickets_candidate candidates[CANDIDATES];
    uint8_t out[HANDSHAKE_OUT_SIZE_MAX];
    struct ticket own = ticket;
    size_t size = 0, used = 0;
    int r;
    for (uint32_t i = 0; i < CANDIDATES; i++) {
        candidates[i].id = i;
        randombytes_buf(candidates[i].psk, TICKET_PSK_SIZE);
    }
    memcpy(own.psk, candidates[held].psk, TICKET_PSK_SIZE);
    options[0].ticket = &own;
    handshake_init(&ends[0], &options[0]);
    handshake_init(&ends[1], &options[1]);
    options[0].ticket = &ticket;
    cr_assert_eq(handshake_write(&ends[0], out, &size), 0);
    r = handshake_read_first(&ends[1], candidates, count, out, size - 1, &used, opened);
    cr_assert(r != 0 || used == 0, "a byte is missing");
    if (r != 0)
        return r;
    r = handshake_read_first(&ends[1], candidates, count, out, size, &used, opened);
    if (r != 0)
        return r;
    cr_assert_eq(used, size);
    for (unsigned i = 1; i < NOISE_MESSAGES && r == 0; i++) {
        cr_assert_eq(handshake_write(&ends[i % 2], out, &size), 0);
        r = handshake_read(&ends[1 - i % 2], out, size, &used);
    }
    cr_assert(handshake_done(&ends[0]) && handshake_done(&ends[1]));
    return r;
}

Test(handshake, the_psk_that_fits_tells_whose_it_is)
{
    const struct tickets_candidate *opened = NULL;
    for (uint32_t held = 0; held < CANDIDATES; held++) {
        cr_assert_eq(run_first(CANDIDATES, held, &opened), 0);
        cr_assert_eq(opened->id, held);
    }
}

Test(handshake, who_has_none_of_the_psks_is_refused)
{
    const struct tickets_candidate *opened = NULL;
    cr_assert_eq(run_first(CANDIDATES - 1, CANDIDATES - 1, &opened), HANDSHAKE_E_AUTH);
    cr_assert_not(handshake_heard(&ends[1]));
    cr_assert_eq(run_first(0, 0, &opened), HANDSHAKE_E_AUTH);
}

Test(handshake, a_key_that_is_not_ones_own_is_refused)
{
    struct identity liar = identities[0];
    memcpy(liar.public_key, identities[2].public_key, sizeof liar.public_key);
    options[0].identity = &liar;
    cr_assert_eq(run(), HANDSHAKE_E_KEY);
    memset(liar.public_key, 0xff, sizeof liar.public_key);
    cr_assert_eq(run(), HANDSHAKE_E_KEY);
}

Test(handshake, another_key_than_the_pinned_one_is_refused)
{
    options[0].expected_key = identities[2].public_key;
    cr_assert_eq(run(), HANDSHAKE_E_NOT_PINNED);
    cr_assert_not(handshake_done(&ends[0]));
}

Test(handshake, unknown_roles_and_no_credit_are_refused)
{
    options[0].role = (enum link_role)9;
    cr_assert_eq(run(), HANDSHAKE_E_PAYLOAD);
    options[0].role = LINK_ROLE_ADMIN;
    options[0].credit_size = 0;
    cr_assert_eq(run(), HANDSHAKE_E_PAYLOAD);
}

Test(handshake, first_message_has_one_length_only)
{
    for (unsigned length = 0; length <= UINT16_MAX; length += 1) {
        uint8_t bytes[HANDSHAKE_LENGTH_SIZE] = {(uint8_t)length, (uint8_t)(length >> 8)};
        size_t used = 0;
        if (length % 256 == 0)
            handshake_init(&ends[1], &options[1]);
        ends[1].error = 0;
        int r = handshake_read(&ends[1], bytes, sizeof bytes, &used);
        cr_assert_eq(r, length == HANDSHAKE_FIRST_MESSAGE_SIZE ? 0 : HANDSHAKE_E_SIZE);
    }
}

Test(handshake, errors_stick)
{
    uint8_t out[HANDSHAKE_OUT_SIZE_MAX];
    uint8_t garbage[HANDSHAKE_LENGTH_SIZE] = {'G', 'E'};
    size_t size = 0, used = 0;
    handshake_init(&ends[0], &options[0]);
    handshake_init(&ends[1], &options[1]);
    cr_assert_eq(handshake_write(&ends[0], out, &size), 0);
    cr_assert_eq(handshake_read(&ends[1], garbage, sizeof garbage, &used), HANDSHAKE_E_SIZE);
    cr_assert_eq(handshake_read(&ends[1], out, size, &used), HANDSHAKE_E_SIZE);
    cr_assert_not(handshake_writes(&ends[1]));
}
