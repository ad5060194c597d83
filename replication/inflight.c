#include "replication/inflight.h"

#include "ring/mix.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define CAPACITY_MIN 16u

void inflight_init(struct inflight *inflight)
{
    *inflight = (struct inflight){0};
}

void inflight_deinit(struct inflight *inflight)
{
    free(inflight->ids);
    inflight_init(inflight);
}

static uint64_t home_of(const struct inflight *inflight, const struct inflight_id *id)
{
    return mix_word(id->session ^ mix_word(id->sequence)) & (inflight->capacity - 1);
}

/* Its place, or the empty place where it would go. */
static struct inflight_id *place_of(const struct inflight *inflight, uint64_t session,
                                    uint64_t sequence)
{
    const struct inflight_id wanted = {.session = session, .sequence = sequence};
    uint64_t place = home_of(inflight, &wanted);

    while (inflight->ids[place].sequence &&
           (inflight->ids[place].sequence != sequence || inflight->ids[place].session != session))
        place = (place + 1) & (inflight->capacity - 1);
    return &inflight->ids[place];
}

static int reserve(struct inflight *inflight)
{
    struct inflight old = *inflight;
    uint32_t capacity = old.capacity ? 2 * old.capacity : CAPACITY_MIN;
    struct inflight_id *ids;

    if (2 * ((uint64_t)old.count + 1) <= old.capacity)
        return 0;
    ids = calloc(capacity, sizeof *ids);
    if (!ids)
        return -ENOMEM;
    inflight->ids = ids;
    inflight->capacity = capacity;
    for (uint32_t i = 0; i < old.capacity; i++) {
        if (old.ids[i].sequence)
            *place_of(inflight, old.ids[i].session, old.ids[i].sequence) = old.ids[i];
    }
    free(old.ids);
    return 0;
}

int inflight_add(struct inflight *inflight, uint64_t session, uint64_t sequence, void *operation)
{
    struct inflight_id *id;
    int r;

    assert(sequence != 0);
    r = reserve(inflight);
    if (r < 0)
        return r;
    id = place_of(inflight, session, sequence);
    r = id->sequence ? INFLIGHT_E_PRESENT : INFLIGHT_E_OK;
    *id = (struct inflight_id){.session = session, .sequence = sequence, .operation = operation};
    if (r == INFLIGHT_E_OK)
        inflight->count++;
    return r;
}

int inflight_remove(struct inflight *inflight, uint64_t session, uint64_t sequence)
{
    const uint64_t mask = (uint64_t)inflight->capacity - 1;
    uint64_t hole;

    if (inflight->count == 0)
        return INFLIGHT_E_ABSENT;
    hole = (uint64_t)(place_of(inflight, session, sequence) - inflight->ids);
    if (!inflight->ids[hole].sequence)
        return INFLIGHT_E_ABSENT;
    /* What the removed id kept from its home moves up, so that no search ends too early. */
    for (uint64_t place = (hole + 1) & mask; inflight->ids[place].sequence;
         place = (place + 1) & mask) {
        uint64_t home = home_of(inflight, &inflight->ids[place]);

        if (((place - home) & mask) >= ((place - hole) & mask)) {
            inflight->ids[hole] = inflight->ids[place];
            hole = place;
        }
    }
    inflight->ids[hole] = (struct inflight_id){0};
    inflight->count--;
    return INFLIGHT_E_OK;
}

int inflight_find(const struct inflight *inflight, uint64_t session, uint64_t sequence,
                  void **operation)
{
    const struct inflight_id *id;

    if (inflight->count == 0)
        return INFLIGHT_E_ABSENT;
    id = place_of(inflight, session, sequence);
    if (!id->sequence)
        return INFLIGHT_E_ABSENT;
    *operation = id->operation;
    return INFLIGHT_E_OK;
}

void inflight_clear(struct inflight *inflight)
{
    for (uint32_t i = 0; inflight->count > 0 && i < inflight->capacity; i++)
        inflight->ids[i] = (struct inflight_id){0};
    inflight->count = 0;
}

void inflight_check(const struct inflight *inflight)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < inflight->capacity; i++) {
        const struct inflight_id *id = &inflight->ids[i];

        if (!id->sequence)
            continue;
        assert(place_of(inflight, id->session, id->sequence) == id);
        count++;
    }
    assert(count == inflight->count);
    assert(2 * (uint64_t)count <= inflight->capacity);
}
