#include "router/lockout.h"

#include "ring/refusal.h"

enum lockout_attempt lockout_attempt(uint8_t refusal)
{
    if (!refusal_wants_another(refusal))
        return LOCKOUT_FAILED;
    return refusal == REFUSAL_UNANSWERED ? LOCKOUT_UNANSWERED : LOCKOUT_REFUSED;
}

bool lockout_reached(const struct lockout *lockout)
{
    const uint32_t *links = lockout->links;

    if (lockout->reached)
        return lockout->up_count == 0;
    if (links[LOCKOUT_OPEN] > 0)
        return false;
    return links[LOCKOUT_REFUSED] > 0 ||
           (links[LOCKOUT_UNANSWERED] > 0 && links[LOCKOUT_FAILED] == 0);
}
