#include "replication/crowd.h"

#define PARTS            16u
#define LINK_DESCRIPTORS 2u /* ring/link_nng_direct.c has one of its own on each socket */

uint32_t crowd_places(enum crowd crowd, uint32_t descriptors)
{
    static const struct {
        uint32_t places, parts;
    } crowds[] = {
#define X(name, places, parts) [CROWD_##name] = {places, parts},
        CROWDS(X)
#undef X
    };
    uint64_t places = (uint64_t)descriptors * crowds[crowd].parts / PARTS / LINK_DESCRIPTORS;

    if (crowds[crowd].parts == 0 || places > crowds[crowd].places)
        return crowds[crowd].places;
    return places > CROWD_PLACES_MIN ? (uint32_t)places : CROWD_PLACES_MIN;
}

bool crowd_is_guest(enum crowd crowd)
{
    return crowd == CROWD_JOINERS || crowd == CROWD_STRANGERS;
}

bool crowd_may_wait(struct crowd_waiting *waiting, uint64_t round, size_t bytes)
{
    if (waiting->round != round)
        *waiting = (struct crowd_waiting){.round = round};
    if (waiting->messages == CROWD_GUEST_MESSAGES || bytes > CROWD_GUEST_BYTES - waiting->bytes)
        return false;
    waiting->messages++;
    waiting->bytes += bytes;
    return true;
}
