#include "ring/ringmap_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

int ringmap_init(struct ringmap *map, uint32_t members, uint32_t partitions, uint32_t replicas)
{
    assert(members >= 1 && members <= RINGMAP_MEMBERS_MAX);
    assert(partitions >= RINGMAP_PARTITIONS_MIN && partitions <= RINGMAP_PARTITIONS_MAX);
    assert((partitions & (partitions - 1)) == 0);
    assert(replicas >= 1 && replicas <= RINGMAP_REPLICAS_MAX);
    *map = (struct ringmap){
        .partition_count = partitions,
        .replica_count = replicas,
        .member_count = members,
    };
    map->members = calloc(members, sizeof *map->members);
    map->replicas = calloc((size_t)partitions * replicas, sizeof *map->replicas);
    if (!map->members || !map->replicas) {
        ringmap_deinit(map);
        return -ENOMEM;
    }
    return 0;
}

void ringmap_deinit(struct ringmap *map)
{
    free(map->members);
    free(map->replicas);
    free(map->target);
    free(map->boxes);
    *map = (struct ringmap){0};
}

int ringmap_add_key(struct ringmap *map, uint8_t key_id, uint8_t (**boxes)[RINGMAP_BOX_SIZE])
{
    size_t before = (size_t)map->key_count * map->member_count;
    uint8_t(*grown)[RINGMAP_BOX_SIZE];

    assert(map->key_count < RINGMAP_KEYS_MAX && key_id > ringmap_key_current(map));
    grown = realloc(map->boxes, (before + map->member_count) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    memset(grown + before, 0, map->member_count * sizeof *grown);
    map->boxes = grown;
    map->key_ids[map->key_count++] = key_id;
    *boxes = grown + before;
    return 0;
}

const uint8_t *ringmap_box(const struct ringmap *map, uint32_t key, uint16_t id)
{
    const struct ringmap_member *member = ringmap_member(map, id);

    const uint8_t *box;

    assert(key < map->key_count);
    if (!member)
        return NULL;
    box = map->boxes[(size_t)key * map->member_count + (size_t)(member - map->members)];
    return sodium_is_zero(box, RINGMAP_BOX_SIZE) ? NULL : box;
}

bool ringmap_takes_part(uint8_t state)
{
    return state == RINGMAP_STATE_ACTIVE || state == RINGMAP_STATE_LEAVING;
}

uint8_t ringmap_key_current(const struct ringmap *map)
{
    return map->key_count > 0 ? map->key_ids[map->key_count - 1] : 0;
}

static size_t boxes_count(const struct ringmap *map)
{
    return (size_t)map->key_count * map->member_count;
}

int ringmap_copy(struct ringmap *to, const struct ringmap *from)
{
    struct ringmap copy, tables;
    int r = ringmap_init(&tables, from->member_count, from->partition_count, from->replica_count);

    if (r < 0)
        return r;
    if (from->target)
        tables.target = calloc(ringmap_places(from), sizeof *tables.target);
    if (from->boxes)
        tables.boxes = calloc(boxes_count(from), sizeof *tables.boxes);
    if ((from->target && !tables.target) || (from->boxes && !tables.boxes)) {
        ringmap_deinit(&tables);
        return -ENOMEM;
    }
    copy = *from;
    copy.members = tables.members;
    copy.replicas = tables.replicas;
    copy.target = tables.target;
    copy.boxes = tables.boxes;
    memcpy(copy.members, from->members, from->member_count * sizeof *copy.members);
    memcpy(copy.replicas, from->replicas, ringmap_places(from) * sizeof *copy.replicas);
    if (copy.target)
        memcpy(copy.target, from->target, ringmap_places(from) * sizeof *copy.target);
    if (copy.boxes)
        memcpy(copy.boxes, from->boxes, boxes_count(from) * sizeof *copy.boxes);
    *to = copy;
    return 0;
}

const uint16_t *ringmap_row(const struct ringmap *map, uint16_t partition)
{
    assert(partition < map->partition_count);
    return map->replicas + (size_t)partition * map->replica_count;
}

uint32_t ringmap_row_count(const struct ringmap *map, const uint16_t *row)
{
    uint32_t count = 0;

    while (count < map->replica_count && row[count] != 0)
        count++;
    return count;
}

bool ringmap_moving(const struct ringmap *map)
{
    return map->target != NULL;
}

const uint16_t *ringmap_wanted(const struct ringmap *map, uint16_t partition)
{
    assert(partition < map->partition_count);
    return (map->target ? map->target : map->replicas) + (size_t)partition * map->replica_count;
}

uint32_t ringmap_copies(const struct ringmap *map)
{
    return ringmap_row_count(map, ringmap_wanted(map, 0));
}

const struct ringmap_member *ringmap_member(const struct ringmap *map, uint16_t id)
{
    uint32_t low = 0;
    uint32_t high = map->member_count;

    /* Ids are given out in order and never again, so nearly always the slot is known. */
    if (id >= 1 && id <= map->member_count && map->members[id - 1].id == id)
        return &map->members[id - 1];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (map->members[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (id == 0 || low == map->member_count || map->members[low].id != id)
        return NULL;
    return &map->members[low];
}

const struct ringmap_member *ringmap_member_by_key(const struct ringmap *map,
                                                   const uint8_t key[RINGMAP_KEY_SIZE])
{
    for (uint32_t i = 0; i < map->member_count; i++) {
        if (memcmp(map->members[i].public_key, key, RINGMAP_KEY_SIZE) == 0)
            return &map->members[i];
    }
    return NULL;
}

static bool is_in(const struct ringmap *map, const uint16_t *row, uint16_t member)
{
    for (uint32_t i = 0; i < map->replica_count; i++) {
        if (row[i] == member && member != 0)
            return true;
    }
    return false;
}

bool ringmap_holds(const struct ringmap *map, uint16_t partition, uint16_t member)
{
    return is_in(map, ringmap_row(map, partition), member);
}

bool ringmap_wants(const struct ringmap *map, uint16_t partition, uint16_t member)
{
    return is_in(map, ringmap_wanted(map, partition), member);
}

bool ringmap_votes(const struct ringmap *map, uint16_t member)
{
    for (uint32_t i = 0; i < map->meta_voter_count; i++)
        if (map->meta_voters[i] == member)
            return true;
    return false;
}

/* Text in a fixed field: zero-terminated, zeros behind, printable. What an operator is shown must
 * not steer the terminal. */
static bool text_valid(const char *text, size_t capacity, size_t size_min, char lowest)
{
    size_t size = strnlen(text, capacity);

    if (size == capacity || size < size_min)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < lowest || text[i] > '~')
            return false;
    }
    for (size_t i = size; i < capacity; i++) {
        if (text[i] != 0)
            return false;
    }
    return true;
}

bool ringmap_is_zone(const char *text)
{
    char zone[RINGMAP_ZONE_SIZE] = {0};
    size_t size = strnlen(text, sizeof zone);

    memcpy(zone, text, size);
    return text_valid(zone, sizeof zone, 1, ' ');
}

static const char *members_problem(const struct ringmap *map)
{
    for (uint32_t i = 0; i < map->member_count; i++) {
        const struct ringmap_member *member = &map->members[i];

        if (member->id <= (i > 0 ? map->members[i - 1].id : 0))
            return "member ids do not ascend from 1";
        if (member->id > RINGMAP_MEMBERS_MAX)
            return "member id beyond 1,000";
        if (member->state < RINGMAP_STATE_JOINING || member->state > RINGMAP_STATE_REMOVED)
            return "unknown member state";
        if (member->weight == 0)
            return "member without weight";
        if (!text_valid(member->address, sizeof member->address, 1, '!'))
            return "member's address is no printable text";
        if (!text_valid(member->zone, sizeof member->zone, 0, ' '))
            return "member's zone is no printable text";
        for (uint32_t j = 0; j < i; j++) {
            if (memcmp(member->public_key, map->members[j].public_key, RINGMAP_KEY_SIZE) == 0)
                return "two members have one key";
        }
    }
    return NULL;
}

static uint8_t state_of(const struct ringmap *map, uint16_t id)
{
    const struct ringmap_member *member = ringmap_member(map, id);

    return member ? member->state : RINGMAP_STATE_REMOVED;
}

/* A row of the wanted table, or of that which a plan leads away from. */
static const char *row_problem(const struct ringmap *map, const uint16_t *row, bool wanted)
{
    if (row[0] == 0)
        return "partition without replica";
    for (uint32_t i = 0; i < map->replica_count; i++) {
        uint8_t state = row[i] != 0 ? state_of(map, row[i]) : RINGMAP_STATE_ACTIVE;

        if (row[i] == 0 && i + 1 < map->replica_count && row[i + 1] != 0)
            return "free place before a taken one";
        if (state == RINGMAP_STATE_REMOVED)
            return "replica on no member";
        if (state == RINGMAP_STATE_JOINING)
            return "replica on a member that no plan has taken in";
        if (state == RINGMAP_STATE_LEAVING && wanted)
            return "replica wanted on a member that is leaving";
        for (uint32_t j = 0; j < i; j++) {
            if (row[i] != 0 && row[i] == row[j])
                return "two replicas on one member";
        }
    }
    return NULL;
}

static const char *tables_problem(const struct ringmap *map)
{
    uint32_t copies = ringmap_copies(map);

    for (uint32_t partition = 0; partition < map->partition_count; partition++) {
        const uint16_t *wanted = ringmap_wanted(map, (uint16_t)partition);
        const char *problem = row_problem(map, wanted, true);

        if (!problem && map->target)
            problem = row_problem(map, ringmap_row(map, (uint16_t)partition), false);
        if (problem)
            return problem;
        if (ringmap_row_count(map, wanted) != copies)
            return "partitions of unequal numbers of replicas";
    }
    return NULL;
}

static const char *meta_problem(const struct ringmap *map)
{
    if (map->meta_voter_count < 1 || map->meta_voter_count > RINGMAP_META_VOTERS_MAX)
        return "number of meta voters";
    for (uint32_t i = 0; i < map->meta_voter_count; i++) {
        if (state_of(map, map->meta_voters[i]) != RINGMAP_STATE_ACTIVE)
            return "meta voter is no active member";
        for (uint32_t j = 0; j < i; j++) {
            if (map->meta_voters[i] == map->meta_voters[j])
                return "meta voter named twice";
        }
    }
    for (uint32_t i = map->meta_voter_count; i < RINGMAP_META_VOTERS_MAX; i++) {
        if (map->meta_voters[i] != 0)
            return "meta voter beyond the count";
    }
    return NULL;
}

const char *ringmap_counts_problem(const struct ringmap *map)
{
    if (map->epoch == 0)
        return "epoch 0";
    if (map->partition_count < RINGMAP_PARTITIONS_MIN ||
        map->partition_count > RINGMAP_PARTITIONS_MAX ||
        (map->partition_count & (map->partition_count - 1)) != 0)
        return "number of partitions";
    if (map->replica_count < 1 || map->replica_count > RINGMAP_REPLICAS_MAX)
        return "number of replicas";
    if (map->member_count < 1 || map->member_count > RINGMAP_MEMBERS_MAX)
        return "number of members";
    return NULL;
}

static const char *keys_problem(const struct ringmap *map)
{
    if (map->key_count > RINGMAP_KEYS_MAX)
        return "number of data keys";
    if ((map->key_count > 0) != (map->boxes != NULL))
        return "a data key without boxes";
    for (uint32_t i = 0; i < map->key_count; i++)
        if (map->key_ids[i] <= (i > 0 ? map->key_ids[i - 1] : 0))
            return "data keys do not ascend from 1";
    return NULL;
}

const char *ringmap_problem(const struct ringmap *map)
{
    const char *problem = ringmap_counts_problem(map);

    if (!problem)
        problem = members_problem(map);
    if (!problem)
        problem = tables_problem(map);
    if (!problem)
        problem = meta_problem(map);
    if (!problem)
        problem = keys_problem(map);
    return problem;
}

void ringmap_check(const struct ringmap *map)
{
    const char *problem = ringmap_problem(map);

    assert(problem == NULL);
    (void)problem;
}
