#include "router/session.h"

#include "ring/wire.h"

uint64_t session_next(struct session *session)
{
    return ++session->sequence_last;
}

void session_renew(struct session *session, uint64_t id_min, uint64_t wall_ms, uint64_t random)
{
    uint64_t id;

    random &= (UINT64_C(1) << WIRE_SESSION_RANDOM_BITS) - 1;
    id = wall_ms << WIRE_SESSION_RANDOM_BITS | random;
    if (id < id_min)
        id = id_min;
    if (id <= session->id)
        id = session->id + 1;
    if (id_min > SESSION_ID_ANY && id_min <= session->id) /* our clock is ahead of the nodes' */
        id = id_min + random;
    session->id = id;
    session->sequence_last = 0;
}
