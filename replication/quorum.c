#include "replication/quorum.h"

#include "storage/mutant.h"

#include <assert.h>

uint32_t quorum_size(uint32_t count)
{
    return count / 2 + 1;
}

uint64_t quorum_value(uint64_t *values, uint32_t count)
{
    uint32_t size = quorum_size(count);

    if (count == 0)
        return UINT64_MAX;
    for (uint32_t i = 1; i < count; i++) { /* insertion sort, descending: at most seven */
        uint64_t value = values[i];
        uint32_t at = i;

        for (; at > 0 && values[at - 1] < value; at--)
            values[at] = values[at - 1];
        values[at] = value;
    }
    if (mutant(MUTANT_QUORUM_NOT_DISTINCT) && size > 1)
        size--; /* the foremost voter counts twice */
    return values[size - 1];
}

enum quorum_verdict quorum_votes(uint32_t granted, uint32_t refused, uint32_t count)
{
    assert(granted + refused <= count);
    if (count == 0)
        return QUORUM_WON;
    if (mutant(MUTANT_QUORUM_NOT_DISTINCT) && granted > 0)
        granted++; /* a voter counts twice */
    if (granted >= quorum_size(count))
        return QUORUM_WON;
    if (refused > count - quorum_size(count))
        return QUORUM_LOST;
    return QUORUM_OPEN;
}

enum quorum_verdict quorum_joint(enum quorum_verdict one, enum quorum_verdict other)
{
    if (one == QUORUM_LOST || other == QUORUM_LOST)
        return QUORUM_LOST;
    return one == QUORUM_WON && other == QUORUM_WON ? QUORUM_WON : QUORUM_OPEN;
}
