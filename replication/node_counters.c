#include "replication/node_counters.h"

#include "replication/node_file.h"
#include "storage/codec.h"
#include "storage/mutant.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* u64 own, then, of each member that was heard of, by ascending id, u16 member, u64 counter. */
#define HEAD_SIZE 8u
#define ITEM_SIZE 10u

static bool valid(uint64_t counter)
{
    return counter != 0 && counter < NODE_COUNTERS_END;
}

static int decode(const uint8_t *bytes, size_t size, struct node_counters *counters)
{
    uint16_t before = 0;

    if (size < HEAD_SIZE || (size - HEAD_SIZE) % ITEM_SIZE != 0)
        return -EBADMSG;
    counters->own = codec_get_u64(bytes);
    if (!valid(counters->own))
        return -EBADMSG;
    for (size_t at = HEAD_SIZE; at < size; at += ITEM_SIZE) {
        uint16_t member = codec_get_u16(bytes + at);
        uint64_t counter = codec_get_u64(bytes + at + 2);

        if (member <= before || member > RINGMAP_MEMBERS_MAX || !valid(counter))
            return -EBADMSG;
        counters->heard[member] = counter;
        before = member;
    }
    return 0;
}

int node_counters_read(struct vfs *vfs, struct node_counters *counters)
{
    struct node_file file = {0};
    int r = node_file_read(vfs, &node_file_counters, &file);

    *counters = (struct node_counters){.own = 1};
    if (r == 0)
        r = decode(file.blob, file.size, counters);
    free(file.blob);
    if (r == -EBADMSG)
        *counters = (struct node_counters){.own = 1};
    return r == -ENOENT ? 0 : r;
}

/* The next of its own, above all that anybody has heard. */
static uint64_t next(const struct node_counters *counters, uint16_t self)
{
    uint64_t most = counters->own;

    if (counters->settled && counters->heard[self] > most)
        most = counters->heard[self];
    return most + 1 < NODE_COUNTERS_END ? most + 1 : most;
}

int node_counters_raise(struct vfs *vfs, struct node_counters *counters, uint16_t self)
{
    uint8_t bytes[HEAD_SIZE + ITEM_SIZE * RINGMAP_MEMBERS_MAX];
    struct node_file file = {.blob = bytes, .size = HEAD_SIZE};
    uint64_t own = next(counters, self);
    int r;

    assert(self > 0);
    codec_put_u64(bytes, own);
    for (uint16_t member = 1; member <= RINGMAP_MEMBERS_MAX; member++) {
        if (counters->heard[member] == 0 || member == self)
            continue;
        codec_put_u16(bytes + file.size, member);
        codec_put_u64(bytes + file.size + 2, counters->heard[member]);
        file.size += ITEM_SIZE;
    }
    r = node_file_write(vfs, &node_file_counters, &file);
    if (r != 0)
        return r;
    counters->own = own;
    return 0;
}

static bool majority_told(const struct node_counters *counters, uint16_t self,
                          const struct ringmap *map)
{
    uint32_t others = 0, told = 0;

    for (uint32_t i = 0; i < map->member_count; i++) {
        const struct ringmap_member *member = &map->members[i];

        if (member->id == self || member->state != RINGMAP_STATE_ACTIVE)
            continue;
        others++;
        told += counters->told[member->id];
    }
    return told > others / 2;
}

void node_counters_raised(struct node_counters *counters, uint16_t self, uint64_t own,
                          const struct ringmap *map)
{
    if (node_counters_own_outdated(counters, self))
        return;
    counters->own = own;
    counters->settled = counters->settled || majority_told(counters, self, map);
}

void node_counters_unheard(struct node_counters *counters)
{
    memset(counters->told, 0, sizeof counters->told);
    counters->settled = false;
}

void node_counters_hear(struct node_counters *counters, uint16_t member, uint64_t counter)
{
    assert(member <= RINGMAP_MEMBERS_MAX);
    if (member != 0 && counter < NODE_COUNTERS_END && counter > counters->heard[member])
        counters->heard[member] = counter;
}

bool node_counters_outdated(const struct node_counters *counters, uint16_t member, uint64_t counter)
{
    assert(member <= RINGMAP_MEMBERS_MAX);
    if (mutant(MUTANT_ROLLBACK_UNNOTICED))
        return false;
    return counter != 0 && counter < counters->heard[member];
}

bool node_counters_hello(struct node_counters *counters, uint16_t self, uint16_t member,
                         uint64_t counter, uint64_t heard)
{
    if (node_counters_outdated(counters, member, counter))
        return true;
    node_counters_hear(counters, member, counter);
    node_counters_hear(counters, self, heard);
    if (counter != 0)
        counters->told[member] = true;
    return false;
}

bool node_counters_tell_again(const struct node_counters *counters, uint64_t told, uint64_t heard)
{
    return told != 0 && told < heard && heard <= counters->own;
}

bool node_counters_own_outdated(const struct node_counters *counters, uint16_t self)
{
    return !counters->settled && node_counters_outdated(counters, self, counters->own);
}
