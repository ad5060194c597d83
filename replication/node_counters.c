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

bool node_counters_own_outdated(const struct node_counters *counters, uint16_t self)
{
    return !counters->settled && node_counters_outdated(counters, self, counters->own);
}

bool node_counters_may_raise(const struct node_counters *counters, uint16_t self)
{
    return self != 0 && counters->hearers != 0 && !node_counters_own_outdated(counters, self);
}

/* Links. */

void node_counters_tell(const struct node_counters *counters, struct node_counters_link *link,
                        uint16_t member, struct wire_hello *hello)
{
    assert(!link->asking);
    link->asking = link->dialled;
    hello->counter = link->told = counters->own;
    hello->heard = link->asked = counters->heard[member];
}

bool node_counters_asks(const struct node_counters_link *link)
{
    return link->dialled && !link->asking;
}

bool node_counters_tells(const struct node_counters *counters,
                         const struct node_counters_link *link)
{
    if (link->asking || mutant(MUTANT_VERDICT_FOR_GOOD))
        return false;
    return link->told != 0 && link->told < link->heard && link->heard <= counters->own;
}

/* Another member: what it tells counts. */
static bool counts(uint16_t self, uint16_t member)
{
    return member != 0 && member != self;
}

/* Whether the member runs on an older copy; if not, what it tells is remembered. */
static bool take(struct node_counters *counters, uint16_t self, uint16_t member,
                 const struct ringmap *map, const struct wire_hello *hello)
{
    const struct ringmap_member *of = map ? ringmap_member(map, member) : NULL;

    if (!counts(self, member))
        return false;
    if (node_counters_outdated(counters, member, hello->counter))
        return true;
    if (of && of->state == RINGMAP_STATE_JOINING)
        return false;
    node_counters_hear(counters, member, hello->counter);
    node_counters_hear(counters, self, hello->heard);
    counters->told[member] |= hello->counter != 0;
    return false;
}

/* A process that answers tells at least what was heard of it when it was asked. */
static bool was_overtaken(const struct node_counters_link *link, uint64_t counter)
{
    return link->dialled && counter >= link->asked && !mutant(MUTANT_VERDICT_FOR_GOOD);
}

enum node_counters_verdict node_counters_hello(struct node_counters *counters,
                                               struct node_counters_link *link, uint16_t self,
                                               uint16_t member, const struct ringmap *map,
                                               const struct wire_hello *hello)
{
    link->asking = false;
    link->outdated = take(counters, self, member, map, hello);
    link->heard = hello->heard;
    if (link->dialled && link->heard > link->told)
        return node_counters_tells(counters, link) ? NODE_COUNTERS_AGAIN : NODE_COUNTERS_WAIT;
    if (link->outdated)
        return was_overtaken(link, hello->counter) ? NODE_COUNTERS_AGAIN : NODE_COUNTERS_OUT;
    if (link->dialled && !link->hears && counts(self, member)) {
        link->hears = true;
        counters->hearers++;
    }
    return NODE_COUNTERS_IN;
}

/* Whom nobody hears any more is not settled. */
void node_counters_unlinked(struct node_counters *counters, const struct node_counters_link *link)
{
    assert(!link->hears || counters->hearers > 0);
    counters->hearers -= link->hears;
    if (counters->hearers != 0)
        return;
    memset(counters->told, 0, sizeof counters->told);
    counters->settled = false;
}
