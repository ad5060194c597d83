#include "router/session.h"

#define SESSION_RANDOM_BITS 20u

uint64_t session_next(struct session *session)
{
    return ++session->sequence_last;
}

void session_renew(struct session *session, uint64_t id_min, uint64_t wall_ms, uint64_t random)
{
    uint64_t id =
        wall_ms << SESSION_RANDOM_BITS | (random & ((UINT64_C(1) << SESSION_RANDOM_BITS) - 1));

    if (id < id_min)
        id = id_min;
    if (id <= session->id)
        id = session->id + 1;
    session->id = id;
    session->sequence_last = 0;
}
