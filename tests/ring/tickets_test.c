#include "ring/tickets.h"

#include <string.h>

#include <criterion/criterion.h>
#include <sodium.h>

#include "tests/dice.h"

static const uint8_t first_psk[TICKET_PSK_SIZE] = {1, 2, 3};
static const uint8_t second_psk[TICKET_PSK_SIZE] = {4, 5, 6};

static void setup(void)
{
    cr_assert(sodium_init() >= 0);
}
TestSuite(tickets, .init = setup);

struct key {
    uint8_t bytes[TICKETS_KEY_SIZE];
};

static struct key key_of(uint32_t number)
{
    struct key key = {{9}};

    memcpy(key.bytes + 4, &number, sizeof number);
    return key;
}

static uint32_t make(struct tickets *tickets, uint8_t role, uint64_t ttl_ms, uint32_t uses,
                     uint64_t now_ms)
{
    struct tickets_terms terms = {.role = role, .ttl_ms = ttl_ms, .uses_max = uses};
    uint32_t id = 0;

    cr_assert_eq(tickets_new(tickets, &terms, now_ms, &id), 0);
    tickets_check(tickets);
    return id;
}

static int redeem(struct tickets *tickets, uint32_t id, uint8_t role, uint32_t key, uint64_t now_ms)
{
    int may = tickets_may(tickets, id, role, key_of(key).bytes, now_ms);
    int r = tickets_redeem(tickets, id, role, key_of(key).bytes, now_ms);

    tickets_check(tickets);
    cr_assert_eq(r, may, "asked first, the answer is the same");
    return r;
}

Test(tickets, a_limited_one_is_spent_by_keys_not_by_connections)
{
    static struct tickets tickets;
    uint32_t id;

    tickets_init(&tickets, first_psk);
    id = make(&tickets, LINK_ROLE_NODE, 0, 2, 100);
    for (unsigned again = 0; again < 3; again++) {
        cr_assert_eq(redeem(&tickets, id, LINK_ROLE_NODE, 1, 100), 0);
        cr_assert_eq(redeem(&tickets, id, LINK_ROLE_NODE, 2, 100), 0);
    }
    cr_assert_eq(tickets_find(&tickets, id)->uses, 2);
    cr_assert_eq(redeem(&tickets, id, LINK_ROLE_NODE, 3, 100), TICKETS_E_SPENT);
    cr_assert_eq(redeem(&tickets, id, LINK_ROLE_ADMIN, 1, 100), TICKETS_E_ROLE);
    cr_assert_eq(redeem(&tickets, id + 1, LINK_ROLE_NODE, 1, 100), TICKETS_E_UNKNOWN);
}

Test(tickets, it_ends_by_time_and_by_revocation_for_its_holders_too)
{
    static struct tickets tickets;
    uint32_t id, other;

    tickets_init(&tickets, first_psk);
    id = make(&tickets, LINK_ROLE_ROUTER, 1000, 5, 100);
    other = make(&tickets, LINK_ROLE_ADMIN, 0, 0, 100);
    cr_assert_eq(redeem(&tickets, id, LINK_ROLE_ROUTER, 1, 1099), 0);
    cr_assert_eq(redeem(&tickets, id, LINK_ROLE_ROUTER, 1, 1100), TICKETS_E_EXPIRED);
    for (uint32_t key = 0; key < 5000; key++)
        cr_assert_eq(tickets_redeem(&tickets, other, LINK_ROLE_ADMIN, key_of(key).bytes, 5000), 0,
                     "without a limit nothing is kept");
    cr_assert_eq(tickets_revoke(&tickets, other, 6000), 0);
    cr_assert_eq(tickets_revoke(&tickets, other, 7000), 0);
    cr_assert_eq(tickets_find(&tickets, other)->revoked_ms, 6000);
    cr_assert_eq(redeem(&tickets, other, LINK_ROLE_ADMIN, 1, 6000), TICKETS_E_REVOKED);
    cr_assert_eq(tickets_revoke(&tickets, 99, 7000), TICKETS_E_UNKNOWN);
}

Test(tickets, bad_roles_and_endless_times_are_handled)
{
    static struct tickets tickets;
    struct tickets_terms terms = {0};
    uint32_t id;

    tickets_init(&tickets, first_psk);
    cr_assert_eq(tickets_new(&tickets, &terms, 1, &id), TICKETS_E_ROLE);
    terms.role = LINK_ROLE_ADMIN + 1;
    cr_assert_eq(tickets_new(&tickets, &terms, 1, &id), TICKETS_E_ROLE);
    id = make(&tickets, LINK_ROLE_NODE, UINT64_MAX, 0, 100);
    cr_assert_eq(redeem(&tickets, id, LINK_ROLE_NODE, 1, UINT64_MAX - 1), 0);
}

Test(tickets, what_ended_makes_room_and_nothing_else_does)
{
    static struct tickets tickets;
    struct tickets_terms terms = {.role = LINK_ROLE_NODE, .uses_max = 1};
    uint32_t id, third;

    tickets_init(&tickets, first_psk);
    for (uint32_t i = 0; i < TICKETS_MAX; i++)
        id = make(&tickets, LINK_ROLE_NODE, i == 4 ? 1000 : 0, 1, 1);
    cr_assert_eq(tickets_new(&tickets, &terms, 2, &id), TICKETS_E_FULL);
    third = tickets.records[2].id;
    cr_assert_eq(redeem(&tickets, third, LINK_ROLE_NODE, 7, 2), 0);
    cr_assert_eq(tickets_new(&tickets, &terms, 1001, &id), 0, "the fifth has expired");
    cr_assert_eq(id, TICKETS_MAX + 1, "ids are never given twice");
    cr_assert_eq(tickets_revoke(&tickets, third, 1002), 0);
    cr_assert_eq(tickets_new(&tickets, &terms, 1003, &id), 0);
    cr_assert_null(tickets_find(&tickets, third));
    cr_assert_eq(tickets.holder_count, 0, "its holder went with it");
    cr_assert_eq(redeem(&tickets, third, LINK_ROLE_NODE, 7, 1004), TICKETS_E_UNKNOWN);
    tickets_check(&tickets);
}

Test(tickets, holders_have_a_bound)
{
    static struct tickets tickets;
    uint32_t old, id;

    tickets_init(&tickets, first_psk);
    old = make(&tickets, LINK_ROLE_ROUTER, 0, TICKETS_HOLDERS_MAX, 1);
    id = make(&tickets, LINK_ROLE_ROUTER, 0, 5000, 1);
    for (uint32_t key = 0; key < TICKETS_HOLDERS_MAX; key++)
        cr_assert_eq(tickets_redeem(&tickets, key < 24 ? old : id, LINK_ROLE_ROUTER,
                                    key_of(key * 2654435761u).bytes, 1),
                     0);
    cr_assert_eq(redeem(&tickets, id, LINK_ROLE_ROUTER, 5, 1), TICKETS_E_FULL);
    cr_assert_eq(tickets_revoke(&tickets, old, 2), 0);
    cr_assert_eq(redeem(&tickets, id, LINK_ROLE_ROUTER, 5, 2), 0, "the revoked one's are dropped");
    cr_assert_eq(tickets.holder_count, TICKETS_HOLDERS_MAX - 23);
}

static bool has_candidate(const struct tickets *tickets, uint32_t id, const uint8_t *psk)
{
    struct tickets_candidate list[TICKETS_CANDIDATES_MAX];
    uint32_t count = tickets_candidates(tickets, list);

    for (uint32_t i = 0; i < count; i++) {
        if (list[i].id == id && memcmp(list[i].psk, psk, TICKET_PSK_SIZE) == 0)
            return true;
    }
    return false;
}

Test(tickets, the_secret_rotates_without_a_gap)
{
    static struct tickets tickets;
    uint8_t psk_old[TICKET_PSK_SIZE], psk_new[TICKET_PSK_SIZE], psk[TICKET_PSK_SIZE];
    uint32_t old, new;

    tickets_init(&tickets, first_psk);
    old = make(&tickets, LINK_ROLE_ROUTER, 0, 0, 1);
    cr_assert_eq(tickets_psk(&tickets, old, psk_old), 0);
    cr_assert_eq(tickets_switch(&tickets), TICKETS_E_PHASE);
    cr_assert_eq(tickets_retire(&tickets, 1), TICKETS_E_PHASE);
    cr_assert_eq(tickets_cancel(&tickets), TICKETS_E_PHASE);

    cr_assert_eq(tickets_prepare(&tickets, second_psk), 0);
    cr_assert_eq(tickets_prepare(&tickets, second_psk), TICKETS_E_PHASE);
    cr_assert_eq(memcmp(tickets.offered.psk, first_psk, sizeof first_psk), 0);
    cr_assert(has_candidate(&tickets, 0, first_psk) && has_candidate(&tickets, 0, second_psk));
    tickets_check(&tickets);

    cr_assert_eq(tickets_switch(&tickets), 0);
    cr_assert_eq(tickets_cancel(&tickets), TICKETS_E_PHASE);
    cr_assert_eq(memcmp(tickets.offered.psk, second_psk, sizeof second_psk), 0);
    cr_assert(has_candidate(&tickets, 0, first_psk) && has_candidate(&tickets, 0, second_psk));
    cr_assert_eq(tickets_psk(&tickets, old, psk), 0);
    cr_assert_eq(memcmp(psk, psk_old, sizeof psk), 0, "what was handed out goes on to work");
    new = make(&tickets, LINK_ROLE_ROUTER, 0, 0, 2);
    cr_assert_eq(tickets_psk(&tickets, new, psk_new), 0);
    tickets_check(&tickets);

    cr_assert_eq(tickets_retire(&tickets, 3), 0);
    tickets_check(&tickets);
    cr_assert_not(has_candidate(&tickets, 0, first_psk));
    cr_assert_not(has_candidate(&tickets, old, psk_old));
    cr_assert(has_candidate(&tickets, new, psk_new));
    cr_assert_eq(redeem(&tickets, old, LINK_ROLE_ROUTER, 1, 3), TICKETS_E_REVOKED);
    cr_assert_eq(redeem(&tickets, new, LINK_ROLE_ROUTER, 1, 3), 0);

    cr_assert_eq(tickets_prepare(&tickets, first_psk), 0);
    cr_assert_eq(tickets_cancel(&tickets), 0);
    cr_assert_not(has_candidate(&tickets, 0, first_psk));
    tickets_check(&tickets);
}

/* Computed with Python's hashlib.blake2b, from docs/format-tickets.md. */
Test(tickets, the_psk_is_the_one_of_the_format)
{
    static const uint8_t expected[TICKET_PSK_SIZE] = {
        0x1f, 0x67, 0xa8, 0xd4, 0xa8, 0x18, 0x39, 0x6c, 0x4d, 0xfa, 0x92,
        0x3c, 0xc4, 0xeb, 0x70, 0x5d, 0xbd, 0xfa, 0xbf, 0x11, 0x0f, 0xdc,
        0x96, 0x96, 0x88, 0x15, 0x6c, 0x91, 0x0a, 0xa5, 0x4b, 0x3f};
    static struct tickets tickets;
    uint8_t psk[TICKET_PSK_SIZE];

    tickets_init(&tickets, first_psk);
    cr_assert_eq(tickets_psk(&tickets, make(&tickets, LINK_ROLE_NODE, 0, 0, 1), psk), 0);
    cr_assert_eq(memcmp(psk, expected, sizeof psk), 0);
}

Test(tickets, every_ticket_has_a_psk_of_its_own)
{
    static struct tickets tickets, elsewhere;
    uint8_t psks[5][TICKET_PSK_SIZE];
    uint32_t ids[4];

    tickets_init(&tickets, first_psk);
    tickets_init(&elsewhere, second_psk);
    for (uint32_t i = 0; i < 4; i++) {
        ids[i] = make(&tickets, (uint8_t)(LINK_ROLE_NODE + i / 2), 0, 0, 1);
        cr_assert_eq(tickets_psk(&tickets, ids[i], psks[i]), 0);
    }
    cr_assert_eq(tickets_psk(&elsewhere, make(&elsewhere, LINK_ROLE_NODE, 0, 0, 1), psks[4]), 0);
    for (unsigned i = 0; i < 5; i++) {
        cr_assert_neq(memcmp(psks[i], first_psk, TICKET_PSK_SIZE), 0);
        for (unsigned k = 0; k < i; k++)
            cr_assert_neq(memcmp(psks[i], psks[k], TICKET_PSK_SIZE), 0);
    }
}

/* Its psk says which one it is; why it is refused, tickets_may() says. */
Test(tickets, one_that_has_ended_is_known_and_refused)
{
    static struct tickets tickets;
    uint8_t psk_revoked[TICKET_PSK_SIZE], psk_expired[TICKET_PSK_SIZE];
    uint32_t revoked, expired;

    tickets_init(&tickets, first_psk);
    revoked = make(&tickets, LINK_ROLE_NODE, 0, 0, 1);
    expired = make(&tickets, LINK_ROLE_NODE, 1, 0, 1);
    cr_assert_eq(tickets_psk(&tickets, revoked, psk_revoked), 0);
    cr_assert_eq(tickets_psk(&tickets, expired, psk_expired), 0);
    cr_assert_eq(tickets_revoke(&tickets, revoked, 2), 0);
    cr_assert(has_candidate(&tickets, revoked, psk_revoked));
    cr_assert(has_candidate(&tickets, expired, psk_expired));
    cr_assert_eq(tickets_may(&tickets, revoked, LINK_ROLE_NODE, key_of(1).bytes, 9),
                 TICKETS_E_REVOKED);
    cr_assert_eq(tickets_may(&tickets, expired, LINK_ROLE_NODE, key_of(1).bytes, 9),
                 TICKETS_E_EXPIRED);
}

Test(tickets, candidates_say_which_secret_they_are_of)
{
    struct tickets_candidate list[TICKETS_CANDIDATES_MAX];
    static struct tickets tickets;

    tickets_init(&tickets, first_psk);
    make(&tickets, LINK_ROLE_ROUTER, 0, 0, 1);
    cr_assert_eq(tickets_prepare(&tickets, second_psk), 0);
    cr_assert_eq(tickets_switch(&tickets), 0);
    make(&tickets, LINK_ROLE_ROUTER, 0, 0, 1);
    cr_assert_eq(tickets_candidates(&tickets, list), 4);
    cr_assert_eq(list[0].generation, 2, "the one that is offered first");
    cr_assert_eq(list[1].generation, 1);
    cr_assert_eq(list[2].id, 1);
    cr_assert_eq(list[2].generation, 1);
    cr_assert_eq(list[3].id, 2);
    cr_assert_eq(list[3].generation, 2);
}

Test(tickets, a_redeem_is_owed_once_a_key_and_only_where_uses_are_counted)
{
    static struct tickets tickets;
    uint32_t counted, other;

    tickets_init(&tickets, first_psk);
    counted = make(&tickets, LINK_ROLE_ROUTER, 0, 2, 1);
    other = make(&tickets, LINK_ROLE_ROUTER, 0, 0, 1);
    cr_assert_not(tickets_redeemed(&tickets, counted, key_of(1).bytes));
    cr_assert(tickets_redeemed(&tickets, other, key_of(1).bytes));
    cr_assert_not(tickets_redeemed(&tickets, 77, key_of(1).bytes));
    cr_assert_eq(redeem(&tickets, counted, LINK_ROLE_ROUTER, 1, 1), 0);
    cr_assert(tickets_redeemed(&tickets, counted, key_of(1).bytes));
    cr_assert_not(tickets_redeemed(&tickets, counted, key_of(2).bytes));
}

Test(tickets, only_what_is_later_takes_the_place_of_another)
{
    static struct tickets before, next;

    tickets_init(&before, first_psk);
    make(&before, LINK_ROLE_NODE, 0, 1, 1);
    next = before;
    cr_assert_not_null(tickets_follows_problem(&next, &before), "the same");
    next.version++;
    cr_assert_null(tickets_follows_problem(&next, &before));
    next.next_id--;
    cr_assert_not_null(tickets_follows_problem(&next, &before), "an id would come again");
    next = before;
    next.version += 5;
    cr_assert_null(tickets_follows_problem(&next, &before), "some were missed");
    before.offered.generation = 3;
    cr_assert_not_null(tickets_follows_problem(&next, &before), "an old secret");
}

static void expect_round_trip(const struct tickets *tickets)
{
    static uint8_t bytes[TICKETS_ENCODED_MAX], again[TICKETS_ENCODED_MAX];
    static struct tickets decoded;
    size_t size = tickets_encoded_size(tickets);

    cr_assert_leq(size, TICKETS_ENCODED_MAX);
    tickets_encode(tickets, bytes);
    cr_assert_eq(tickets_decode(bytes, size, &decoded), 0);
    cr_assert_eq(tickets_encoded_size(&decoded), size);
    tickets_encode(&decoded, again);
    cr_assert_eq(memcmp(bytes, again, size), 0);
    cr_assert_eq(tickets_decode(bytes, size - 1, &decoded), TICKETS_E_MALFORMED);
}

/* What a ticket's holders, end and uses must be, kept in the plainest way. */
struct model {
    uint8_t role;
    uint64_t expires_ms;
    bool revoked;
    uint32_t uses_max;
    uint64_t holders; /* bits of keys 0 … 63 */
};

static int model_redeem(struct model *model, uint8_t role, uint32_t key, uint64_t now_ms)
{
    if (model->revoked)
        return TICKETS_E_REVOKED;
    if (model->expires_ms != 0 && now_ms >= model->expires_ms)
        return TICKETS_E_EXPIRED;
    if (model->role != role)
        return TICKETS_E_ROLE;
    if (model->uses_max == 0 || (model->holders >> key & 1))
        return TICKETS_E_OK;
    if ((uint32_t)__builtin_popcountll(model->holders) == model->uses_max)
        return TICKETS_E_SPENT;
    model->holders |= UINT64_C(1) << key;
    return TICKETS_E_OK;
}

static void any_command(struct dice *dice, struct tickets *tickets, struct model *models,
                        uint64_t now_ms)
{
    uint32_t id = 1 + (uint32_t)dice_below(dice, tickets->next_id);
    uint8_t role = (uint8_t)(1 + dice_below(dice, 3));
    uint32_t key = (uint32_t)dice_below(dice, 64);
    uint64_t ttl_ms = dice_below(dice, 3) * 100;
    uint32_t uses = (uint32_t)dice_below(dice, 4);

    switch (dice_below(dice, 8)) {
    case 0:
        if (tickets->next_id > TICKETS_MAX)
            break;
        id = make(tickets, role, ttl_ms, uses, now_ms);
        models[id] = (struct model){role, ttl_ms ? now_ms + ttl_ms : 0, false, uses, 0};
        break;
    case 1:
        if (dice_below(dice, 10) == 0 && id < tickets->next_id) {
            cr_assert_eq(tickets_revoke(tickets, id, now_ms), 0);
            models[id].revoked = true;
        }
        break;
    default:
        cr_assert_eq(redeem(tickets, id, role, key, now_ms),
                     id < tickets->next_id ? model_redeem(&models[id], role, key, now_ms)
                                           : TICKETS_E_UNKNOWN);
        break;
    }
}

Test(tickets, random_commands_do_what_the_model_does)
{
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct model models[TICKETS_MAX + 2] = {0};
        static struct tickets tickets;
        struct dice dice = {seed};
        uint64_t now_ms = 1;

        tickets_init(&tickets, first_psk);
        for (unsigned step = 0; step < 1000; step++) {
            now_ms += dice_below(&dice, 4);
            any_command(&dice, &tickets, models, now_ms);
        }
        expect_round_trip(&tickets);
    }
}

Test(tickets, the_largest_registry_has_the_size_that_is_said)
{
    static struct tickets tickets;

    tickets_init(&tickets, first_psk);
    for (uint32_t i = 0; i < TICKETS_MAX; i++)
        make(&tickets, LINK_ROLE_ROUTER, 0, TICKETS_HOLDERS_MAX, 1);
    for (uint32_t key = 0; key < TICKETS_HOLDERS_MAX; key++)
        cr_assert_eq(
            tickets_redeem(&tickets, 1 + key % TICKETS_MAX, LINK_ROLE_ROUTER, key_of(key).bytes, 1),
            0);
    cr_assert_eq(tickets_prepare(&tickets, second_psk), 0);
    cr_assert_eq(tickets_encoded_size(&tickets), TICKETS_ENCODED_MAX);
    expect_round_trip(&tickets);
}

Test(tickets, errors_have_names_and_secrets_are_wiped)
{
    static struct tickets tickets, zero;

    for (int code = 0; code <= TICKETS_E_MALFORMED; code++)
        cr_assert_gt(strlen(tickets_error_name(code)), 1);
    tickets_init(&tickets, first_psk);
    tickets_wipe(&tickets);
    cr_assert_eq(memcmp(&tickets, &zero, sizeof zero), 0);
}
