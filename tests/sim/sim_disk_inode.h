/* Inode of the simulated disk: one file's bytes, in the page cache and on the media. Private to
 * sim_disk.c. */
#ifndef TESTS_SIM_SIM_DISK_INODE_H
#define TESTS_SIM_SIM_DISK_INODE_H

#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_random.h"

struct sim_inode {
    uint8_t *cache;
    uint8_t *media;
    uint32_t *dirty;     /* a sector: when it was written since the last sync, 0 = clean */
    uint64_t *synced_us; /* a sector: when it last came to the media */
    size_t capacity;     /* of cache and media, a multiple of the sector */
    uint64_t size;
    uint64_t media_size;
    uint32_t stamp;
    uint32_t references; /* names in cache and media, open files */
    bool folder;
    bool locked;
};

/* What survives of unsynced things: drawn once a power loss. */
struct sim_survival {
    uint8_t mode; /* 0 nothing, 1 all, 2 a prefix in order of time, 3 each by chance */
    uint32_t keep_ppm;
};

struct sim_inode *inode_new(bool folder);
/* What is on the media, all clean. */
struct sim_inode *inode_copy_media(const struct sim_inode *inode);
void inode_unref(struct sim_inode *inode);
int inode_write(struct sim_inode *inode, const uint8_t *bytes, size_t size, uint64_t offset);
int inode_resize(struct sim_inode *inode, uint64_t size);
void inode_sync(struct sim_inode *inode, uint64_t now_us);
/* Everything is clean afterwards, but only some of it has reached the media. */
void inode_sync_badly(struct sim_inode *inode, struct sim_random *random);
/* Returns how many dirty sectors were lost. */
uint64_t inode_power_loss(struct sim_inode *inode, const struct sim_survival *survival,
                          struct sim_random *random);

#endif
