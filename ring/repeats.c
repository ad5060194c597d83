#include "ring/repeats.h"

#include <stdio.h>
#include <string.h>

static int host_size(const char *address)
{
    const char *colon = strrchr(address, ':');

    return (int)(colon ? (size_t)(colon - address) : strlen(address));
}

static int reason_size(const char *reason)
{
    const char *bracket = strstr(reason, " (");

    return (int)(bracket ? (size_t)(bracket - reason) : strlen(reason));
}

/* Its own, or else the one that was told longest ago; free ones are the oldest. */
static struct repeats_kind *find(struct repeats *repeats, const char *name)
{
    struct repeats_kind *oldest = &repeats->kinds[0];

    for (uint32_t i = 0; i < REPEATS_KINDS_MAX; i++) {
        struct repeats_kind *kind = &repeats->kinds[i];

        if (strcmp(kind->name, name) == 0)
            return kind;
        if (kind->told_ms < oldest->told_ms)
            oldest = kind;
    }
    return oldest;
}

bool repeats_tell(struct repeats *repeats, const char *address, const char *reason, uint64_t now_ms,
                  uint32_t *more)
{
    char name[REPEATS_KIND_SIZE];
    struct repeats_kind *kind;
    bool known;

    snprintf(name, sizeof name, "%.*s %.*s", host_size(address), address, reason_size(reason),
             reason);
    kind = find(repeats, name);
    known = strcmp(kind->name, name) == 0;
    if (known && now_ms - kind->told_ms < REPEATS_MS) {
        kind->more++;
        return false;
    }
    *more = known ? kind->more : 0;
    memcpy(kind->name, name, sizeof kind->name);
    kind->told_ms = now_ms;
    kind->more = 0;
    return true;
}
