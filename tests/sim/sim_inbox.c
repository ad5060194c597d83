#include "tests/sim/sim_cluster.h"

#include <assert.h>
#include <stdlib.h>

void sim_inbox_init(struct sim_inbox *inbox)
{
    inbox->first = NULL;
    inbox->end = &inbox->first;
    inbox->round_due = false;
}

void sim_inbox_item_free(struct sim_inbox_item *item)
{
    sim_message_free(item->message);
    free(item->bytes);
    free(item);
}

void sim_inbox_clear(struct sim_inbox *inbox)
{
    struct sim_inbox_item *item;
    while ((item = sim_inbox_take(inbox)))
        sim_inbox_item_free(item);
    inbox->round_due = false;
}

struct sim_inbox_item *sim_inbox_push(struct sim_inbox *inbox, uint8_t kind)
{
    struct sim_inbox_item *item = calloc(1, sizeof *item);
    assert(item);
    item->kind = kind;
    *inbox->end = item;
    inbox->end = &item->next;
    return item;
}

struct sim_inbox_item *sim_inbox_take(struct sim_inbox *inbox)
{
    struct sim_inbox_item *item = inbox->first;
    if (!item)
        return NULL;
    inbox->first = item->next;
    if (!inbox->first)
        inbox->end = &inbox->first;
    return item;
}
