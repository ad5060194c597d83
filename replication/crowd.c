#include "replication/crowd.h"

#define PARTS            16u
#define LINK_DESCRIPTORS 2u /* ring/link_nng_direct.c has one of its own on each socket */

static const struct {
    uint32_t places, parts, messages;
    size_t bytes;
} crowds[] = {
#define X(name, places, parts, messages, bytes) [CROWD_##name] = {places, parts, messages, bytes},
    CROWDS(X)
#undef X
};

uint32_t crowd_places(enum crowd crowd, uint32_t descriptors)
{
    uint64_t places = (uint64_t)descriptors * crowds[crowd].parts / PARTS / LINK_DESCRIPTORS;

    if (crowds[crowd].parts == 0 || places > crowds[crowd].places)
        return crowds[crowd].places;
    return places > CROWD_PLACES_MIN ? (uint32_t)places : CROWD_PLACES_MIN;
}

bool crowd_is_guest(enum crowd crowd)
{
    return crowd == CROWD_JOINERS || crowd == CROWD_STRANGERS;
}

bool crowd_may_wait(enum crowd crowd, struct crowd_waiting *waiting, uint64_t round, size_t bytes)
{
    if (waiting->round != round)
        *waiting = (struct crowd_waiting){.round = round};
    if (waiting->messages >= crowds[crowd].messages || waiting->bytes > crowds[crowd].bytes ||
        bytes > crowds[crowd].bytes - waiting->bytes)
        return false;
    waiting->messages++;
    waiting->bytes += bytes;
    return true;
}
