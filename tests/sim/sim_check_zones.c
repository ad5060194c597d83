#include "tests/sim/sim_check.h"

#include <inttypes.h>
#include <string.h>

/* The promise of ring/placement.h about zones, found in another way: with places for as many as L
 * replicas in each zone, but for as many as it has members, L the least for which there are places
 * for all, a zone has so many of each partition, or one less than L. Of an abort's plan, whose rows
 * are what the groups had, nothing is promised. */

struct zone {
    const char *name;
    uint32_t members, replicas;
};

struct zones {
    struct zone items[SIM_NODES_MAX];
    uint32_t count;
};

static struct zone *zone_of(struct zones *zones, const struct ringmap_member *member)
{
    uint32_t at = 0;
    while (at < zones->count && strcmp(zones->items[at].name, member->zone) != 0)
        at++;
    if (at == zones->count)
        zones->items[zones->count++] = (struct zone){.name = member->zone};
    return &zones->items[at];
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* How many replicas of one partition a zone with members enough takes at most. */
static uint32_t level_of(const struct zones *zones, uint32_t copies)
{
    uint32_t level = 0, places = 0;
    while (places < copies) {
        level++;
        places = 0;
        for (uint32_t i = 0; i < zones->count; i++)
            places += least(zones->items[i].members, level);
    }
    return level;
}

static void check_row(struct sim_check *check, const struct ringmap *map, uint16_t partition,
                      struct zones *zones, uint32_t level)
{
    const uint16_t *row = ringmap_wanted(map, partition);
    uint32_t count = ringmap_row_count(map, row);
    for (uint32_t i = 0; i < zones->count; i++)
        zones->items[i].replicas = 0;
    for (uint32_t i = 0; i < count; i++)
        zone_of(zones, ringmap_member(map, row[i]))->replicas++;
    for (uint32_t i = 0; i < zones->count; i++) {
        const struct zone *zone = &zones->items[i];
        if (zone->replicas > least(zone->members, level) ||
            zone->replicas < least(zone->members, level - 1))
            sim_fail(check->sim,
                     "ring map %" PRIu64 " has %u of %u replicas of p%02u in zone '%s', which has "
                     "%u members, of %u zones",
                     map->epoch, zone->replicas, count, partition, zone->name, zone->members,
                     zones->count);
    }
}

void sim_check_zones(struct sim_check *check, const struct ringmap *map, uint8_t kind)
{
    struct zones zones = {.count = 0};
    uint32_t members = 0;
    if (kind != SIM_CHANGE_KINDS && kind != SIM_CHANGE_KEY && kind != SIM_CHANGE_PAUSE)
        check->aborted = kind == SIM_CHANGE_ABORT;
    if (ringmap_moving(map) || check->aborted)
        return;
    for (uint32_t i = 0; i < map->member_count; i++)
        if (map->members[i].state == RINGMAP_STATE_ACTIVE) {
            zone_of(&zones, &map->members[i])->members++;
            members++;
        }
    uint32_t level = level_of(&zones, least(map->replica_count, members));
    for (uint16_t p = 0; p < map->partition_count; p++)
        check_row(check, map, p, &zones, level);
    check->spreads += zones.count > 1;
}
