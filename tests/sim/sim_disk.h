/* Simulated disk: a vfs whose page cache and media are two things.
 *
 * Fault model. Reads and writes work on the page cache; vfs_sync() brings a file's bytes and size
 * to the media, vfs_sync_dir() the names of a folder. Nothing else is ever promised:
 *  - Power loss (sim_disk_power_loss): of what was not synced, each 512-byte sector of each file
 *    survives or not - none of them, all, a prefix in the order of writing, or a random choice,
 *    as the seed has it - so writes are torn and reordered. A file's new length survives or not.
 *    Created, renamed and removed names that were not sync_dir'ed are each kept or lost alike.
 *  - Process crash: sim_disk_halt_after() lets the n-th call from now and all later ones fail, the
 *    n-th having done a part of its work; the page cache stays as it is. sim_disk_revive() ends it.
 *  - A failed sync (ppm) has brought some sectors to the media and *all of them are clean now*, as
 *    in Linux: a second sync succeeds and brings nothing; only a power loss shows what is missing.
 *  - A failed write (ppm) has written a prefix. A failed read (ppm) is -EIO; the next may work.
 *  - Full disk: writes that need space beyond the capacity end in -ENOSPC, a prefix written.
 *  - Bit rot (sim_disk_flip): one bit of a synced sector changes, on the media and in the cache.
 *  - vfs_pread_nowait answers -EAGAIN at random.
 * Not modelled: misdirected writes, sectors that cannot be read for good, disks that lie about a
 * sync. Time is not modelled here: the simulator runs jobs after a delay of its own.
 *
 * One thread. Everything is drawn from the disk's own random stream.
 */
#ifndef TESTS_SIM_SIM_DISK_H
#define TESTS_SIM_SIM_DISK_H

#include "storage/vfs.h"

#define SIM_DISK_SECTOR_SIZE 512u

struct sim_disk;

/* Chances in a million calls. May be changed at any time. */
struct sim_disk_faults {
    uint32_t read_fail_ppm;
    uint32_t write_fail_ppm;
    uint32_t sync_fail_ppm;
    uint32_t nowait_again_ppm;
    uint64_t capacity; /* bytes of all files together */
};

struct sim_disk_stats {
    uint64_t reads, writes, syncs, dir_syncs;
    uint64_t read_fails, write_fails, sync_fails, full_fails, flips, power_losses;
    uint64_t sectors_lost, names_lost;
};

/* now_us: the simulation's time, read when something is synced; NULL: always 0. */
struct sim_disk *sim_disk_new(uint64_t seed, uint64_t stream, const uint64_t *now_us);
struct sim_disk *sim_disk_free(struct sim_disk *disk);
struct vfs *sim_disk_vfs(struct sim_disk *disk);
struct sim_disk_faults *sim_disk_faults(struct sim_disk *disk);
const struct sim_disk_stats *sim_disk_stats(const struct sim_disk *disk);
uint64_t sim_disk_used(const struct sim_disk *disk);
/* Files that are open now; after a process ended it must be 0. */
uint32_t sim_disk_open_count(const struct sim_disk *disk);

/* The next `calls` calls work, the one after does a part of its work, all others nothing. */
void sim_disk_halt_after(struct sim_disk *disk, uint32_t calls);
bool sim_disk_halted(const struct sim_disk *disk); /* the limit was reached */
void sim_disk_revive(struct sim_disk *disk);
/* No file may be open. */
void sim_disk_power_loss(struct sim_disk *disk);
/* What is on the media now, on a disk of its own that has no faults; it ends with sim_disk_free().
 */
struct sim_disk *sim_disk_copy(const struct sim_disk *disk);
/* Each gets what is on the other. No file may be open. */
void sim_disk_exchange(struct sim_disk *disk, struct sim_disk *other);
/* Flips a bit of a non-zero sector that was synced at least age_us ago, in a file whose path
 * contains `part`. Returns false when there is none. *path is borrowed until the file goes. */
bool sim_disk_flip(struct sim_disk *disk, const char *part, uint64_t age_us, const char **path,
                   uint64_t *offset);

#endif
