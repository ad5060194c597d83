#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/mutant.h"
#include "store_host.h"
#include "vfs_crash.h"

#define ROUNDS_MAX 400u

/* One step of a random workload. False: the power is off. */
static bool step(struct host *host, struct vfs *vfs)
{
    uint16_t p = (uint16_t)(vfs_crash_random(vfs) % HOST_PARTITIONS);
    struct host_partition *part = &host->parts[p];
    /* Some keys are written often, the others long ago: so every file keeps something alive. */
    uint32_t key = (uint32_t)(vfs_crash_random(vfs) % (vfs_crash_random(vfs) % 4 ? 3 : HOST_KEYS));
    int r = 0;

    if (part->last + 2 >= HOST_LOG_MAX)
        return false;
    switch (vfs_crash_random(vfs) % 22) {
    case 0: /* a new term truncates what is not committed */
        r = host_hard(host, p, part->term + 1, (uint32_t)(vfs_crash_random(vfs) % 4));
        cr_assert_eq(r, 0);
        if (part->last > part->commit) {
            uint64_t span = part->last - part->commit;
            uint64_t index = part->commit + 1 + vfs_crash_random(vfs) % span;

            r = host_append(host, p, index, key, false);
        }
        break;
    case 1:
    case 2:
        if (part->last > part->commit)
            host_commit(host, p,
                        part->commit + 1 + vfs_crash_random(vfs) % (part->last - part->commit));
        break;
    case 3:
        if (part->applied > part->first + 4)
            host_retain(host, p, part->applied - vfs_crash_random(vfs) % 5);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        return host_write_half(host);
    case 8:
    case 9:
    case 10:
    case 11:
    case 12:
    case 13:
        host->now_ms += vfs_crash_random(vfs) % 120;
        return host_background_half(host);
    default:
        host->padding = (uint32_t)(vfs_crash_random(vfs) % 600);
        r = host_append(host, p, part->last + 1, key, vfs_crash_random(vfs) % 8 == 0);
        break;
    }
    if (r == STORE_E_FULL) {
        if (host_background(host) != 0)
            return false;
        return host_sync(host);
    }
    cr_assert(r == 0 || r == STORE_E_NOSPACE, "append says %d", r);
    return true;
}

/* Carries the operations that survived over to the host that goes on. */
static void host_take_over(struct host *next, struct host *before)
{
    uint64_t survived = store_batch(next->store) - 1;

    free(next->ops);
    next->ops = before->ops;
    next->op_capacity = before->op_capacity;
    for (size_t i = 0; i < before->op_count; i++)
        if (before->ops[i].batch <= survived)
            next->ops[next->op_count++] = before->ops[i];
    next->value_next = before->value_next;
    next->now_ms = before->now_ms;
    before->ops = NULL;
}

/* The end of a process, or of the machine. */
static void restart(struct vfs *vfs)
{
    if (vfs_crash_random(vfs) % 2)
        vfs_crash_restart(vfs);
    else
        vfs_crash_resume(vfs);
}

/* Recovery too may be cut, some times. */
static void open_with_cuts(struct host *host, struct vfs *vfs, uint64_t seed)
{
    for (unsigned n = 0;; n++) {
        if (n < 3)
            vfs_crash_cut_after(vfs, 1 + vfs_crash_random(vfs) % 20);
        int r = host_open(host);

        if (r == 0)
            break;
        cr_assert(r == -EIO || r == STORE_E_FENCED, "open says %d (seed %lu)", r,
                  (unsigned long)seed);
        cr_assert(vfs_crash_is_cut(vfs));
        if (host->store) /* what it read was not there any more */
            host_close(host);
        restart(vfs);
    }
    vfs_crash_cut_after(vfs, 0);
}

struct hint_choice {
    struct vfs *vfs;
    unsigned seen;
    char path[64];
};

static int hint_visit(void *context, const char *name)
{
    struct hint_choice *choice = context;

    if (strstr(name, ".hint") && vfs_crash_random(choice->vfs) % ++choice->seen == 0)
        snprintf(choice->path, sizeof(choice->path), "shard-00/%s", name);
    return 0;
}

/* Hints are advisory: damage in one costs time and nothing else. */
static void damage_a_hint(struct vfs *vfs)
{
    struct hint_choice choice = {.vfs = vfs};
    uint64_t size = 0;

    vfs_list(vfs, "shard-00", hint_visit, &choice);
    if (choice.seen > 0 && vfs_crash_bytes(vfs, choice.path, &size) && size > 0)
        vfs_crash_flip(vfs, choice.path, vfs_crash_random(vfs) % size,
                       (unsigned)(vfs_crash_random(vfs) % 8));
}

static void stats_add(struct store_stats *sum, const struct store_stats *stats)
{
    sum->segments_dropped += stats->segments_dropped;
    sum->segments_recycled += stats->segments_recycled;
    sum->flushes += stats->flushes;
    sum->flushes_failed += stats->flushes_failed;
    sum->casks_dropped += stats->casks_dropped;
    sum->tombstones_dropped += stats->tombstones_dropped;
}

static void crash_rounds(uint64_t seed, unsigned rounds)
{
    struct vfs *vfs = vfs_crash_new(seed);
    struct host hosts[2]; /* by turns: the visitor's context is an address */
    struct host *host = &hosts[0];
    struct store_stats sum = {0};

    host_init(host, vfs);
    host->options.segment_size = 32u << 10;
    host->options.zero_ahead_size = 16u << 10;
    host->options.flush_size_max = 1u << (10 + vfs_crash_random(vfs) % 7);
    cr_assert_eq(host_open(host), 0);
    host_found(host);
    for (unsigned round = 0; round < rounds; round++) {
        struct host *next = &hosts[(round + 1) % 2];
        struct store_stats stats;
        uint64_t synced;

        vfs_crash_cut_after(vfs, 1 + vfs_crash_random(vfs) % 90);
        for (unsigned i = 0; i < ROUNDS_MAX && step(host, vfs); i++)
            if (i % 32 == 31 && !vfs_crash_is_cut(vfs))
                host_check(host);
        if (!vfs_crash_is_cut(vfs))
            host_check(host);
        synced = store_synced(host->store);
        store_stats(host->store, &stats);
        stats_add(&sum, &stats);
        host_close(host);
        restart(vfs);
        if (vfs_crash_random(vfs) % 4 == 0)
            damage_a_hint(vfs);
        host_init(next, vfs);
        next->options = host->options;
        open_with_cuts(next, vfs, seed);
        host_compare(next, host, synced);
        host_take_over(next, host);
        host_deinit(host);
        host = next;
    }
    if (getenv("STORE_CRASH_SEEDS")) {
        struct store_stats stats;

        store_stats(host->store, &stats);
        fprintf(stderr,
                "seed %lu: %lu operations, %lu drops, %lu recycled, %lu segments now, %lu flushes, "
                "%lu failed, %lu casks dropped, %lu tombstones dropped, %lu casks now\n",
                (unsigned long)seed, (unsigned long)host->op_count,
                (unsigned long)sum.segments_dropped, (unsigned long)sum.segments_recycled,
                (unsigned long)stats.segments, (unsigned long)sum.flushes,
                (unsigned long)sum.flushes_failed, (unsigned long)sum.casks_dropped,
                (unsigned long)sum.tombstones_dropped, (unsigned long)stats.casks);
    }
    host_deinit(host);
    vfs_crash_free(vfs);
}

/* A part of the usual seeds, 30 crashes each. STORE_CRASH_FIRST and STORE_CRASH_SEEDS choose
 * others, and print. */
static void crash_seeds(uint64_t from, uint64_t count)
{
    const char *seeds = getenv("STORE_CRASH_SEEDS"), *first = getenv("STORE_CRASH_FIRST");

    from += first ? strtoull(first, NULL, 10) : 1;
    count = seeds ? strtoull(seeds, NULL, 10) : count;
#ifdef RINGCASK_MUTANTS
    mutant_current = getenv("STORE_CRASH_MUTANT") ? atoi(getenv("STORE_CRASH_MUTANT")) : 0;
#endif
    for (uint64_t seed = from; seed < from + count; seed++)
        crash_rounds(seed, 30);
}

/* Appends, rotations, drops, hints and flushes, cut anywhere: what was synced is there, what was
 * deleted stays deleted, and hints may be damaged meanwhile. */
Test(store_crash, synced_batches_survive_and_the_rest_is_cut_whole, .timeout = 600)
{
    crash_seeds(0, 170);
}

Test(store_crash, synced_batches_survive_and_the_rest_is_cut_whole_again, .timeout = 600)
{
    crash_seeds(1000, 170);
}
