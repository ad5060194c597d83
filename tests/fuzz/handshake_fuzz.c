/* What a stranger sends to a listening end. Nothing but the very first message of a holder of the
 * ticket is taken, and nothing at all makes the handshake succeed without its third message. */
#include "fuzz.h"

#include "ring/handshake.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static struct ticket ticket;
static struct identity identities[2];
static uint8_t good[HANDSHAKE_OUT_SIZE_MAX];
static size_t good_size;

static void prepare(struct handshake *handshake, bool initiator)
{
    struct handshake_options options = {
        .initiator = initiator,
        .identity = &identities[initiator],
        .ticket = &ticket,
        .role = LINK_ROLE_NODE,
        .credit_size = 1,
        .credit_messages = 1,
    };

    if (good_size == 0) {
        uint8_t seed[IDENTITY_SEED_SIZE] = {1};

        if (sodium_init() < 0)
            abort();
        identity_from_seed(&identities[0], seed);
        seed[0] = 2;
        identity_from_seed(&identities[1], seed);
    }
    memset(options.ephemeral_secret, initiator ? 3 : 4, sizeof options.ephemeral_secret);
    handshake_init(handshake, &options);
}

static void prepare_good(void)
{
    struct handshake initiator;

    if (good_size > 0)
        return;
    prepare(&initiator, true);
    if (handshake_write(&initiator, good, &good_size) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct handshake responder;
    size_t used = 0;
    int r;

    prepare_good();
    prepare(&responder, false);
    r = handshake_read(&responder, data, size, &used);
    if (used > size || (r != 0 && used != 0))
        abort();
    if (used > 0 && (used != good_size || memcmp(data, good, used) != 0))
        abort();
    if (handshake_done(&responder) || handshake_heard(&responder) != (used > 0))
        abort();
    if (used > 0) {
        uint8_t out[HANDSHAKE_OUT_SIZE_MAX];
        size_t out_size = 0, more = 0;

        if (handshake_write(&responder, out, &out_size) != 0)
            abort();
        r = handshake_read(&responder, data + used, size - used, &more);
        if (more != 0 || handshake_done(&responder))
            abort();
    }
    handshake_deinit(&responder);
    return 0;
}

size_t fuzz_seed(struct dice *dice, uint8_t *out)
{
    size_t size;

    prepare_good();
    memcpy(out, good, good_size);
    if (dice_below(dice, 2) == 0)
        return good_size;
    /* and a third message that nobody made */
    size = HANDSHAKE_LENGTH_SIZE + 64 + HANDSHAKE_PAYLOAD_SIZE;
    dice_fill(dice, out + good_size, size);
    out[good_size] = 64 + HANDSHAKE_PAYLOAD_SIZE;
    out[good_size + 1] = 0;
    return good_size + size;
}
