#include "replication/budget.h"

#include <assert.h>

void budget_init(struct budget *budget, uint16_t part_count, uint64_t now_ms)
{
    assert(part_count >= 1 && part_count <= BUDGET_PARTS_MAX);
    *budget = (struct budget){.part_count = part_count, .now_ms = now_ms};
}

static uint64_t saved_max(const struct budget *budget)
{
    return budget->rate * BUDGET_SAVED_MS / 1000;
}

/* Time passes at the rate that was. */
static void come_in(struct budget *budget, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms > budget->now_ms ? now_ms - budget->now_ms : 0;

    budget->now_ms += passed_ms;
    passed_ms = passed_ms < BUDGET_SAVED_MS ? passed_ms : BUDGET_SAVED_MS;
    budget->spare += budget->rate * passed_ms / 1000;
}

/* Takes back what is more than the part's room. */
static void trim(struct budget *budget, struct budget_part *part, uint64_t room)
{
    if (part->saved <= room)
        return;
    budget->spare += part->saved - room;
    part->saved = room;
}

/* Those that still ask; of the others all is taken back. */
static uint64_t count_asking(struct budget *budget)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < budget->part_count; i++) {
        struct budget_part *part = &budget->parts[i];

        part->asking = part->asking && budget->now_ms - part->asked_ms <= BUDGET_ASKING_MS;
        if (!part->asking)
            trim(budget, part, 0);
        count += part->asking;
    }
    return count;
}

/* Evenly, until nothing is left or nobody has room. Each round fills somebody or is the last but
 * one. */
static void divide(struct budget *budget, uint64_t room)
{
    uint64_t each;

    do {
        uint64_t open = 0;

        for (uint32_t i = 0; i < budget->part_count; i++)
            open += budget->parts[i].asking && budget->parts[i].saved < room;
        each = open > 0 ? budget->spare / open : 0;
        for (uint32_t i = 0; i < budget->part_count; i++) {
            struct budget_part *part = &budget->parts[i];
            uint64_t left = part->asking ? room - part->saved : 0;
            uint64_t more = left < each ? left : each;

            part->saved += more;
            budget->spare -= more;
        }
    } while (each > 0);
}

/* What nobody has room for is lost beyond what may be saved up. */
static void cap_spare(struct budget *budget)
{
    uint64_t left = saved_max(budget);

    for (uint32_t i = 0; i < budget->part_count; i++)
        left -= budget->parts[i].saved;
    budget->spare = budget->spare < left ? budget->spare : left;
}

uint64_t budget_take(struct budget *budget, const struct budget_event *event)
{
    struct budget_part *part = &budget->parts[event->part];
    uint64_t given, room;

    assert(event->part < budget->part_count);
    come_in(budget, event->now_ms);
    budget->rate = event->rate;
    part->asking = true;
    part->asked_ms = budget->now_ms;
    part->saved += event->left;
    room = saved_max(budget) / count_asking(budget);
    for (uint32_t i = 0; i < budget->part_count; i++)
        trim(budget, &budget->parts[i], room);
    divide(budget, room);
    cap_spare(budget);
    given = part->saved < event->wanted ? part->saved : event->wanted;
    part->saved -= given;
    return given;
}

void budget_check(const struct budget *budget)
{
    uint64_t sum = budget->spare;

    for (uint32_t i = 0; i < budget->part_count; i++) {
        assert(budget->parts[i].asking || budget->parts[i].saved == 0);
        sum += budget->parts[i].saved;
    }
    assert(sum <= saved_max(budget));
}
