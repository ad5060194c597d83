/* The decoder of the ticket registry: what it accepts is valid and has no other encoding. */
#include "fuzz.h"

#include "ring/tickets.h"

#include <stdlib.h>
#include <string.h>

static struct tickets tickets;
static uint8_t again[TICKETS_ENCODED_MAX];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tickets_candidate candidates[TICKETS_CANDIDATES_MAX];

    if (tickets_decode(data, size, &tickets) != TICKETS_E_OK)
        return 0;
    tickets_check(&tickets);
    (void)tickets_candidates(&tickets, candidates);
    if (tickets_encoded_size(&tickets) != size)
        abort();
    tickets_encode(&tickets, again);
    if (memcmp(again, data, size) != 0)
        abort();
    return 0;
}

size_t fuzz_seed(struct dice *dice, uint8_t *out)
{
    uint8_t psk[TICKET_PSK_SIZE];
    size_t size;

    dice_fill(dice, psk, sizeof psk);
    tickets_init(&tickets, psk);
    for (uint64_t step = dice_below(dice, 20); step > 0; step--) {
        struct tickets_terms terms = {.name = dice_number(dice, 64),
                                      .role = (uint8_t)(1 + dice_below(dice, 3)),
                                      .ttl_ms = dice_number(dice, 12),
                                      .uses_max = (uint32_t)dice_below(dice, 3)};
        uint32_t id = 1 + (uint32_t)dice_below(dice, tickets.next_id);

        dice_fill(dice, psk, sizeof psk);
        if (dice_below(dice, 2))
            (void)tickets_new(&tickets, &terms, step, &id);
        else
            (void)tickets_redeem(&tickets, id, terms.role, psk, step);
        if (dice_below(dice, 10) == 0)
            (void)tickets_prepare(&tickets, psk);
        if (dice_below(dice, 10) == 0)
            (void)tickets_switch(&tickets);
        if (dice_below(dice, 20) == 0)
            (void)tickets_retire(&tickets, step);
    }
    size = tickets_encoded_size(&tickets);
    if (size > FUZZ_INPUT_SIZE_MAX)
        abort();
    tickets_encode(&tickets, out);
    return size;
}
