#include "tests/sim/sim_disk_inode.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR SIM_DISK_SECTOR_SIZE

struct sim_inode *inode_new(bool folder)
{
    struct sim_inode *inode = calloc(1, sizeof *inode);
    assert(inode);
    inode->folder = folder;
    return inode;
}

void inode_unref(struct sim_inode *inode)
{
    assert(inode->references > 0);
    if (--inode->references)
        return;
    free(inode->cache);
    free(inode->media);
    free(inode->dirty);
    free(inode->synced_us);
    free(inode);
}

static void inode_reserve(struct sim_inode *inode, uint64_t size)
{
    if (size <= inode->capacity)
        return;
    size_t capacity = inode->capacity ? inode->capacity : 8 * SECTOR;
    while (capacity < size)
        capacity *= 2;
    inode->cache = realloc(inode->cache, capacity);
    inode->media = realloc(inode->media, capacity);
    inode->dirty = realloc(inode->dirty, capacity / SECTOR * sizeof *inode->dirty);
    inode->synced_us = realloc(inode->synced_us, capacity / SECTOR * sizeof *inode->synced_us);
    assert(inode->cache && inode->media && inode->dirty && inode->synced_us);
    memset(inode->cache + inode->capacity, 0, capacity - inode->capacity);
    memset(inode->media + inode->capacity, 0, capacity - inode->capacity);
    memset(inode->dirty + inode->capacity / SECTOR, 0,
           (capacity - inode->capacity) / SECTOR * sizeof *inode->dirty);
    memset(inode->synced_us + inode->capacity / SECTOR, 0,
           (capacity - inode->capacity) / SECTOR * sizeof *inode->synced_us);
    inode->capacity = capacity;
}

struct sim_inode *inode_copy_media(const struct sim_inode *inode)
{
    struct sim_inode *copy = inode_new(inode->folder);
    if (inode->capacity == 0)
        return copy;
    inode_reserve(copy, inode->capacity);
    memcpy(copy->cache, inode->media, inode->capacity);
    memcpy(copy->media, inode->media, inode->capacity);
    memcpy(copy->synced_us, inode->synced_us, inode->capacity / SECTOR * sizeof *inode->synced_us);
    copy->size = copy->media_size = inode->media_size;
    memset(copy->cache + copy->size, 0, copy->capacity - copy->size);
    memset(copy->media + copy->size, 0, copy->capacity - copy->size);
    return copy;
}

int inode_write(struct sim_inode *inode, const uint8_t *bytes, size_t size, uint64_t offset)
{
    if (size == 0)
        return 0;
    inode_reserve(inode, offset + size);
    memcpy(inode->cache + offset, bytes, size);
    for (uint64_t at = offset / SECTOR; at <= (offset + size - 1) / SECTOR; at++)
        inode->dirty[at] = ++inode->stamp;
    if (offset + size > inode->size)
        inode->size = offset + size;
    return 0;
}

int inode_resize(struct sim_inode *inode, uint64_t size)
{
    inode_reserve(inode, size);
    if (size < inode->size) {
        memset(inode->cache + size, 0, inode->size - size);
        inode->stamp++;
        for (uint64_t at = size / SECTOR; at * SECTOR < inode->size; at++)
            inode->dirty[at] = inode->stamp;
    }
    inode->size = size;
    return 0;
}

static size_t inode_sectors(const struct sim_inode *inode)
{
    return inode->capacity / SECTOR;
}

void inode_sync(struct sim_inode *inode, uint64_t now_us)
{
    for (size_t at = 0; at < inode_sectors(inode); at++)
        if (inode->dirty[at]) {
            memcpy(inode->media + at * SECTOR, inode->cache + at * SECTOR, SECTOR);
            inode->dirty[at] = 0;
            inode->synced_us[at] = now_us;
        }
    inode->media_size = inode->size;
}

void inode_sync_badly(struct sim_inode *inode, struct sim_random *random)
{
    for (size_t at = 0; at < inode_sectors(inode); at++) {
        if (inode->dirty[at] && sim_random_below(random, 2))
            memcpy(inode->media + at * SECTOR, inode->cache + at * SECTOR, SECTOR);
        inode->dirty[at] = 0;
    }
    if (sim_random_below(random, 2))
        inode->media_size = inode->size;
}

static bool sector_survives(const struct sim_inode *inode, size_t at, uint32_t prefix,
                            const struct sim_survival *survival, struct sim_random *random)
{
    switch (survival->mode) {
    case 0:
        return false;
    case 1:
        return true;
    case 2:
        return inode->dirty[at] <= prefix;
    default:
        return sim_random_chance(random, survival->keep_ppm);
    }
}

uint64_t inode_power_loss(struct sim_inode *inode, const struct sim_survival *survival,
                          struct sim_random *random)
{
    uint64_t lost = 0, end = 0;
    uint32_t prefix = (uint32_t)sim_random_below(random, (uint64_t)inode->stamp + 1);
    for (size_t at = 0; at < inode_sectors(inode); at++) {
        if (!inode->dirty[at])
            continue;
        if (sector_survives(inode, at, prefix, survival, random)) {
            memcpy(inode->media + at * SECTOR, inode->cache + at * SECTOR, SECTOR);
            end = (at + 1) * SECTOR;
        } else {
            lost++;
        }
        inode->dirty[at] = 0;
    }
    if (end > inode->media_size)
        inode->media_size = end < inode->size ? end : inode->size;
    bool length_survives =
        survival->mode == 1 || (survival->mode > 1 && sim_random_below(random, 2));
    if (length_survives)
        inode->media_size = inode->size;
    /* Bytes beyond the end read as zeros if the file grows again. */
    if (inode->capacity > inode->media_size)
        memset(inode->media + inode->media_size, 0, inode->capacity - inode->media_size);
    if (inode->capacity)
        memcpy(inode->cache, inode->media, inode->capacity);
    inode->size = inode->media_size;
    return lost;
}
