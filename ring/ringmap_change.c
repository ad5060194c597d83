/* The next maps that nobody has to plan. */
#include "ring/ringmap_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int ringmap_finished(const struct ringmap *moving, struct ringmap *next)
{
    uint32_t copies = ringmap_copies(moving);
    struct ringmap map;
    uint16_t *rows;
    int r;

    assert(ringmap_moving(moving));
    rows = calloc((size_t)moving->partition_count * copies, sizeof *rows);
    r = rows ? ringmap_copy(&map, moving) : -ENOMEM;
    if (r < 0) {
        free(rows);
        return r;
    }
    for (uint32_t p = 0; p < map.partition_count; p++)
        memcpy(rows + (size_t)p * copies, ringmap_wanted(moving, (uint16_t)p),
               copies * sizeof *rows);
    free(map.replicas);
    free(map.target);
    map.replicas = rows;
    map.target = NULL;
    map.replica_count = copies;
    map.epoch++;
    for (uint32_t i = 0; i < map.member_count; i++)
        if (map.members[i].state == RINGMAP_STATE_LEAVING)
            map.members[i].state = RINGMAP_STATE_REMOVED;
    ringmap_check(&map);
    *next = map;
    return 0;
}

uint32_t ringmap_joining(const struct ringmap *map)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < map->member_count; i++)
        count += map->members[i].state == RINGMAP_STATE_JOINING;
    return count;
}

/* Room for one member more, with zeros in its place. 0 or -ENOMEM. */
static int widen(struct ringmap *map)
{
    uint32_t count = map->member_count;
    struct ringmap_member *members = realloc(map->members, (count + 1) * sizeof *members);
    uint8_t(*boxes)[RINGMAP_BOX_SIZE] = NULL;

    if (!members)
        return -ENOMEM;
    map->members = members;
    memset(&members[count], 0, sizeof *members);
    if (map->key_count > 0) {
        boxes = calloc((size_t)map->key_count * (count + 1), sizeof *boxes);
        if (!boxes)
            return -ENOMEM;
        for (uint32_t i = 0; i < map->key_count; i++)
            memcpy(boxes + (size_t)i * (count + 1), map->boxes + (size_t)i * count,
                   count * sizeof *boxes);
        free(map->boxes);
        map->boxes = boxes;
    }
    map->member_count = count + 1;
    return 0;
}

int ringmap_joined(const struct ringmap *now, const struct ringmap_member *who,
                   struct ringmap *next)
{
    uint16_t id = (uint16_t)(now->members[now->member_count - 1].id + 1);
    struct ringmap map;
    int r;

    if (id > RINGMAP_MEMBERS_MAX)
        return RINGMAP_E_FULL;
    if (ringmap_joining(now) >= RINGMAP_JOINING_MAX)
        return RINGMAP_E_CROWDED;
    r = ringmap_copy(&map, now);
    if (r < 0)
        return r;
    r = widen(&map);
    if (r < 0) {
        ringmap_deinit(&map);
        return r;
    }
    map.epoch++;
    map.members[now->member_count] = *who;
    map.members[now->member_count].id = id;
    map.members[now->member_count].state = RINGMAP_STATE_JOINING;
    if (ringmap_problem(&map)) {
        ringmap_deinit(&map);
        return RINGMAP_E_MALFORMED;
    }
    *next = map;
    return RINGMAP_E_OK;
}
