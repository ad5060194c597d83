#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/codec.h"
#include "storage/mutant.h"
#include "storage/store_snapshot.h"
#include "store_hosting.h"
#include "vfs_crash.h"

#define ROUNDS_MAX 400u

enum change { CHANGE_NONE, CHANGE_COMING, CHANGE_GOING, CHANGE_INSTALL };

/* A snapshot that comes in: as of an index that the partition has not come to, one key. */
struct incoming {
    struct store_install *install;
    uint64_t index, value;
    uint32_t key, term;
    bool committed;
};

struct changes {
    enum change of[HOST_PARTITIONS];
    struct incoming incoming[HOST_PARTITIONS];
    unsigned lives, installs;
};

/* --- snapshots ----------------------------------------------------------------------------- */

static void op_add(struct host *host, struct host_op op)
{
    if (host->op_count == host->op_capacity) {
        host->op_capacity = host->op_capacity * 2 + 16;
        host->ops = realloc(host->ops, host->op_capacity * sizeof(*host->ops));
        cr_assert(host->ops);
    }
    host->ops[host->op_count++] = op;
}

/* The partition is what the snapshot made it, whatever it was. */
static void install_note(struct host *host, uint16_t p, const struct incoming *incoming)
{
    struct host_partition *part = &host->parts[p];
    struct host_entry entry = {
        .term = incoming->term, .key = incoming->key, .value = incoming->value, .size = 1};
    struct host_entry last = {.term = incoming->term, .key = HOST_KEYS};

    hosting_forget(host, p);
    op_add(host, (struct host_op){.kind = HOST_OP_HARD, .partition = p, .term = incoming->term});
    op_add(host, (struct host_op){.kind = HOST_OP_ENTRY,
                                  .partition = p,
                                  .index = incoming->index - 1,
                                  .entry = entry});
    op_add(host,
           (struct host_op){
               .kind = HOST_OP_ENTRY, .partition = p, .index = incoming->index, .entry = last});
    for (uint64_t i = 1; i < incoming->index; i++)
        part->log[i] = (struct host_entry){.key = HOST_KEYS};
    part->log[incoming->index - 1] = entry;
    part->log[incoming->index] = last;
    part->log_used = incoming->index;
    part->term = incoming->term;
    part->last = part->commit = part->applied = incoming->index;
    part->first = incoming->index + 1;
}

static struct store_checkpoint checkpoint_of(const struct incoming *incoming, uint16_t p)
{
    static uint8_t state[1024];

    memset(state, p, sizeof(state));
    return (struct store_checkpoint){.term = incoming->term,
                                     .applied = incoming->index,
                                     .applied_term = incoming->term,
                                     .first_index = incoming->index + 1,
                                     .state = state,
                                     .state_size = 5 + p * 100u};
}

static void install_begin(struct host *host, struct vfs *vfs, struct changes *changes, uint16_t p)
{
    struct host_partition *part = &host->parts[p];
    struct incoming *incoming = &changes->incoming[p];
    struct store_checkpoint checkpoint;
    uint8_t bytes[256], key[4], value[8];
    struct record record = {.partition = p,
                            .kind = RECORD_KIND_PUT,
                            .sub_count = 1,
                            .key = key,
                            .key_size = 4,
                            .value = value,
                            .value_size = 8};
    struct keydir_digest digest;

    *incoming = (struct incoming){.index = part->last + 2 + vfs_crash_random(vfs) % 9,
                                  .value = host->value_next++,
                                  .key = (uint32_t)(vfs_crash_random(vfs) % HOST_KEYS),
                                  .term = part->term + 1};
    checkpoint = checkpoint_of(incoming, p);
    if (incoming->index + 2 >= HOST_LOG_MAX ||
        store_install_begin(host->store, p, &checkpoint, &incoming->install) != 0)
        return;
    record.term = incoming->term;
    record.index = incoming->index - 1;
    codec_put_u32(key, incoming->key);
    codec_put_u64(value, incoming->value);
    digest = host_digest(incoming->key);
    cr_assert_eq(store_install_add(incoming->install, bytes, record_encode(&record, bytes), &digest,
                                   1, 1 + vfs_crash_random(vfs) % 2),
                 0);
    changes->of[p] = CHANGE_INSTALL;
}

static void install_step(struct host *host, struct vfs *vfs, struct changes *changes, uint16_t p)
{
    struct incoming *incoming = &changes->incoming[p];
    struct store_checkpoint checkpoint = checkpoint_of(incoming, p);
    enum store_install_state state = store_install_state(incoming->install);
    uint64_t dice = vfs_crash_random(vfs) % 8;

    if (state == STORE_INSTALL_COMMIT)
        return;
    /* One that the partition has overtaken is given up. */
    if (state == STORE_INSTALL_OPEN && dice > 1 && host->parts[p].last + 1 < incoming->index &&
        host->parts[p].term < incoming->term) {
        if (dice > 4)
            (void)store_install_room(incoming->install);
        else if (store_install_commit(incoming->install, &checkpoint) == 0)
            incoming->committed = host->parts[p].fenced = true; /* what it is is not known */
        return;
    }
    if (state == STORE_INSTALL_DONE) {
        install_note(host, p, incoming);
        changes->installs++;
    }
    host->parts[p].fenced = false;
    store_install_end(incoming->install);
    changes->of[p] = CHANGE_NONE;
}

/* --- comings and goings -------------------------------------------------------------------- */

/* Asks for what is under way, and begins something now and then. */
static void change(struct host *host, struct vfs *vfs, struct changes *changes)
{
    uint16_t p = (uint16_t)(vfs_crash_random(vfs) % HOST_PARTITIONS);
    enum store_hosting now = store_hosting(host->store, p);

    if (changes->of[p] == CHANGE_INSTALL) {
        install_step(host, vfs, changes, p);
    } else if (changes->of[p] == CHANGE_NONE && !host->parts[p].gone &&
               vfs_crash_random(vfs) % 3 == 0) {
        install_begin(host, vfs, changes, p);
    } else if (changes->of[p] == CHANGE_COMING && now == STORE_HOSTING_HERE) {
        host->parts[p].gone = false;
        changes->of[p] = CHANGE_NONE;
        changes->lives++;
    } else if (changes->of[p] == CHANGE_GOING && now == STORE_HOSTING_NONE) {
        hosting_forget(host, p);
        changes->of[p] = CHANGE_NONE;
    } else if (changes->of[p] == CHANGE_NONE && vfs_crash_random(vfs) % 3 == 0) {
        if (host->parts[p].gone) {
            cr_assert_eq(hosting_begin(host, p, 0), 0);
            changes->of[p] = CHANGE_COMING;
        } else {
            int r = store_unhost(host->store, p, 1);

            cr_assert(r == 0 || r == STORE_E_AGAIN);
            host->parts[p].gone = r == 0;
            changes->of[p] = r == 0 ? CHANGE_GOING : CHANGE_NONE;
        }
    }
}

/* One step of a random workload. False: the power is off. */
static bool step(struct host *host, struct vfs *vfs, struct changes *changes)
{
    uint16_t p = (uint16_t)(vfs_crash_random(vfs) % HOST_PARTITIONS);
    struct host_partition *part = &host->parts[p];
    uint32_t key = (uint32_t)(vfs_crash_random(vfs) % HOST_KEYS);
    uint64_t dice = vfs_crash_random(vfs) % 25;
    int r = 0;

    if (part->last + 2 >= HOST_LOG_MAX)
        return false;
    if (dice < 7)
        return host_write_half(host);
    if (dice < 13) {
        host->now_ms += vfs_crash_random(vfs) % 120;
        return host_background_half(host);
    }
    if (dice < 15) {
        change(host, vfs, changes);
        return true;
    }
    if (dice == 24) {
        cr_assert_eq(store_flush(host->store), 0);
        return true;
    }
    if (part->gone || (changes->of[p] == CHANGE_INSTALL && changes->incoming[p].committed))
        return true;
    if (dice == 15) {
        cr_assert_eq(host_hard(host, p, part->term + 1, 1), 0);
        if (part->last > part->commit)
            r = host_append(host, p, part->commit + 1, key, false);
    } else if (dice < 18 && part->last > part->commit) {
        host_commit(host, p,
                    part->commit + 1 + vfs_crash_random(vfs) % (part->last - part->commit));
    } else if (dice == 18 && part->applied > part->first + 4) {
        host_retain(host, p, part->applied - vfs_crash_random(vfs) % 5);
    } else {
        host->padding = (uint32_t)(vfs_crash_random(vfs) % 600);
        r = host_append(host, p, part->last + 1, key, vfs_crash_random(vfs) % 8 == 0);
    }
    if (r == STORE_E_FULL)
        return host_background(host) == 0 && host_sync(host);
    cr_assert(r == 0 || r == STORE_E_NOSPACE, "append says %d", r);
    return true;
}

/* What was under way is as it was or as it was to be; all else is as it was. */
static void judge(struct host *next, struct host *before, struct changes *changes)
{
    hosting_note(next);
    for (uint16_t p = 0; p < HOST_PARTITIONS; p++) {
        if (changes->of[p] == CHANGE_NONE)
            cr_assert_eq(next->parts[p].gone, before->parts[p].gone, "partition %u", p);
        if (changes->of[p] == CHANGE_GOING && next->parts[p].gone)
            hosting_forget(before, p);
        if (changes->of[p] == CHANGE_INSTALL && changes->incoming[p].committed &&
            next->parts[p].last >= changes->incoming[p].index &&
            next->parts[p].term == changes->incoming[p].term)
            install_note(before, p, &changes->incoming[p]);
        changes->of[p] = CHANGE_NONE;
    }
}

static void take_over(struct host *next, struct host *before)
{
    uint64_t survived = store_batch(next->store) - 1;

    for (size_t i = 0; i < before->op_count; i++)
        if (before->ops[i].batch <= survived)
            before->ops[next->op_count++] = before->ops[i];
    free(next->ops);
    next->ops = before->ops;
    next->op_capacity = before->op_capacity;
    next->value_next = before->value_next;
    next->now_ms = before->now_ms;
    before->ops = NULL;
}

static void restart(struct vfs *vfs)
{
    if (vfs_crash_random(vfs) % 2)
        vfs_crash_restart(vfs);
    else
        vfs_crash_resume(vfs);
}

static void open_with_cuts(struct host *host, struct vfs *vfs)
{
    for (unsigned n = 0;; n++) {
        vfs_crash_cut_after(vfs, n < 3 ? 1 + vfs_crash_random(vfs) % 20 : 0);
        if (host_open(host) == 0)
            break;
        cr_assert(vfs_crash_is_cut(vfs), "open says %d", host->open_result);
        restart(vfs);
    }
    vfs_crash_cut_after(vfs, 0);
}

/* What came to its end, so that it is known that the crashes hit something. */
static void crash_rounds(uint64_t seed, unsigned rounds, unsigned *lives, unsigned *installs)
{
    struct vfs *vfs = vfs_crash_new(seed);
    struct host hosts[2]; /* by turns: the visitor's context is an address */
    struct host *host = &hosts[0];
    struct changes changes = {0};

    host_init(host, vfs);
    host->options.segment_size = 32u << 10;
    host->options.flush_size_max = 1u << (10 + vfs_crash_random(vfs) % 7);
    cr_assert_eq(host_open(host), 0);
    host_found(host);
    for (unsigned round = 0; round < rounds; round++) {
        struct host *next = &hosts[(round + 1) % 2];
        uint64_t synced;

        vfs_crash_cut_after(vfs, 1 + vfs_crash_random(vfs) % 120);
        for (unsigned i = 0; i < ROUNDS_MAX && step(host, vfs, &changes); i++)
            if (i % 32 == 31 && !vfs_crash_is_cut(vfs))
                host_check(host);
        synced = store_synced(host->store);
        host_close(host);
        restart(vfs);
        host_init(next, vfs);
        next->options = host->options;
        open_with_cuts(next, vfs);
        judge(next, host, &changes);
        host_compare(next, host, synced);
        take_over(next, host);
        host_deinit(host);
        host = next;
    }
    if (getenv("STORE_CRASH_SEEDS"))
        fprintf(stderr, "seed %lu: %u lives, %u snapshots\n", (unsigned long)seed, changes.lives,
                changes.installs);
    cr_assert_gt(changes.lives + changes.installs, 0);
    *lives += changes.lives;
    *installs += changes.installs;
    host_deinit(host);
    vfs_crash_free(vfs);
}

/* STORE_CRASH_FIRST and STORE_CRASH_SEEDS choose other seeds. With mutants compiled in,
 * STORE_CRASH_MUTANT=100 must fail. */
Test(store_hosting_crash, crashes_anywhere_leave_each_partition_in_one_life, .timeout = 600)
{
    const char *seeds = getenv("STORE_CRASH_SEEDS"), *first = getenv("STORE_CRASH_FIRST");
    uint64_t from = first ? strtoull(first, NULL, 10) : 1;
    uint64_t count = seeds ? strtoull(seeds, NULL, 10) : 120;
    unsigned lives = 0, installs = 0;

#ifdef RINGCASK_MUTANTS
    mutant_current = getenv("STORE_CRASH_MUTANT") ? atoi(getenv("STORE_CRASH_MUTANT")) : 0;
#endif
    for (uint64_t seed = from; seed < from + count; seed++)
        crash_rounds(seed, 30, &lives, &installs);
    cr_assert(seeds || (lives > count && installs > count), "%u lives, %u snapshots", lives,
              installs);
}
