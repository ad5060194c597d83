#include "router/attempts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define ATTEMPTS_CAPACITY_MIN 1024u
#define ATTEMPTS_CAPACITY_MAX (1u << 26)

int attempts_init(struct attempts *attempts)
{
    *attempts = (struct attempts){.mask = ATTEMPTS_CAPACITY_MIN - 1};
    attempts->slots = calloc(ATTEMPTS_CAPACITY_MIN, sizeof *attempts->slots);
    return attempts->slots ? 0 : -ENOMEM;
}

void attempts_deinit(struct attempts *attempts)
{
    assert(attempts->count == 0);
    free(attempts->slots);
    *attempts = (struct attempts){0};
}

/* Doubles until no two outstanding ids share a slot: they all differ, so it ends. */
static int attempts_grow(struct attempts *attempts)
{
    uint32_t capacity = (attempts->mask + 1) * 2;

    for (; capacity <= ATTEMPTS_CAPACITY_MAX; capacity *= 2) {
        struct attempts_slot *slots = calloc(capacity, sizeof *slots);
        uint32_t moved = 0;

        if (!slots)
            return -ENOMEM;
        for (uint32_t i = 0; i <= attempts->mask; i++) {
            struct attempts_slot *from = &attempts->slots[i];
            struct attempts_slot *to = &slots[from->id & (capacity - 1)];

            if (!from->op)
                continue;
            if (to->op)
                break;
            *to = *from;
            moved++;
        }
        if (moved == attempts->count) {
            free(attempts->slots);
            attempts->slots = slots;
            attempts->mask = capacity - 1;
            return 0;
        }
        free(slots);
    }
    return -ENOMEM;
}

uint32_t attempts_add(struct attempts *attempts, struct op *op)
{
    assert(op);
    if (attempts->count > attempts->mask / 2 && attempts_grow(attempts) < 0)
        return 0;
    do
        attempts->id_last++;
    while (attempts->id_last == 0 || attempts->slots[attempts->id_last & attempts->mask].op);
    attempts->slots[attempts->id_last & attempts->mask] =
        (struct attempts_slot){op, attempts->id_last};
    attempts->count++;
    return attempts->id_last;
}

struct op *attempts_find(const struct attempts *attempts, uint32_t id)
{
    const struct attempts_slot *slot = &attempts->slots[id & attempts->mask];

    return slot->op && slot->id == id ? slot->op : NULL;
}

void attempts_remove(struct attempts *attempts, uint32_t id)
{
    struct attempts_slot *slot = &attempts->slots[id & attempts->mask];

    assert(slot->op);
    assert(slot->id == id);
    slot->op = NULL;
    attempts->count--;
}
