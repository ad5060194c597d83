#include "router/lockout.h"

#include "ring/refusal.h"

void lockout_note(struct lockout_link *link, uint8_t refusal)
{
    if (refusal != REFUSAL_UNANSWERED) {
        link->silences = 0;
        link->attempt = refusal_wants_another(refusal) ? LOCKOUT_REFUSED : LOCKOUT_FAILED;
        return;
    }
    if (link->silences < LOCKOUT_SILENCES)
        link->silences++;
    link->attempt = link->silences == LOCKOUT_SILENCES ? LOCKOUT_UNANSWERED : LOCKOUT_FAILED;
}

bool lockout_reached(const struct lockout *lockout)
{
    const uint32_t *links = lockout->links;

    if (lockout->reached)
        return lockout->up_count == 0 &&
               links[LOCKOUT_OPEN] + links[LOCKOUT_REFUSED] + links[LOCKOUT_UNANSWERED] > 0;
    if (links[LOCKOUT_OPEN] > 0)
        return false;
    return links[LOCKOUT_REFUSED] > 0 ||
           (links[LOCKOUT_UNANSWERED] > 0 && links[LOCKOUT_FAILED] == 0);
}
