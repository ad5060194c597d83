#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "storage/manifest.h"
#include "vfs_crash.h"

#define PATH "s/MANIFEST"

static const uint8_t hash[MANIFEST_HASH_SIZE] = {9, 8, 7};
static const uint16_t partitions[] = {1, 3, 65535};

/* Queues what `step` of the fixed history does. */
static void edit(struct manifest *manifest, unsigned step)
{
    struct manifest_span span = {.segment = 4, .offset = 1024, .partition = 3, .first = 17};
    uint64_t number = step / 4 + 1;

    switch (step % 4) {
    case 0:
        cr_assert_eq(manifest_segment_add(manifest, number, number + 100), 0);
        break;
    case 1:
        cr_assert_eq(manifest_segment_seal(manifest, number, 4096, number * 10), 0);
        break;
    case 2:
        span.segment = number;
        cr_assert_eq(manifest_span_add(manifest, &span), 0);
        break;
    default:
        if (number > 2)
            cr_assert_eq(manifest_segment_drop(manifest, number - 1), 0);
        break;
    }
}

static void assert_same(const struct manifest *a, const struct manifest *b)
{
    cr_assert_eq(a->founded, b->founded);
    cr_assert_eq(a->partition_count, b->partition_count);
    cr_assert_eq(memcmp(a->hash, b->hash, sizeof(a->hash)), 0);
    for (size_t i = 0; i < a->partition_count; i++)
        cr_assert_eq(a->partitions[i], b->partitions[i]);
    cr_assert_eq(a->next_number, b->next_number);
    cr_assert_eq(a->next_epoch, b->next_epoch);
    cr_assert_eq(a->next_batch, b->next_batch);
    cr_assert_eq(a->segment_count, b->segment_count);
    for (size_t i = 0; i < a->segment_count; i++) {
        cr_assert_eq(a->segments[i].number, b->segments[i].number);
        cr_assert_eq(a->segments[i].epoch, b->segments[i].epoch);
        cr_assert_eq(a->segments[i].sealed, b->segments[i].sealed);
        cr_assert_eq(a->segments[i].length, b->segments[i].length);
        cr_assert_eq(a->segments[i].last_batch, b->segments[i].last_batch);
        cr_assert_eq(a->segments[i].retired, b->segments[i].retired);
    }
    cr_assert_eq(a->next_cask, b->next_cask);
    cr_assert_eq(a->cask_count, b->cask_count);
    for (size_t i = 0; i < a->cask_count; i++) {
        const struct manifest_cask *x = &a->casks[i], *y = &b->casks[i];

        cr_assert(x->partition == y->partition && x->number == y->number);
        cr_assert(x->stamp == y->stamp && x->length == y->length);
        cr_assert(x->count == y->count && x->tombstones == y->tombstones);
        cr_assert(x->index_min == y->index_min && x->index_max == y->index_max);
    }
    cr_assert_eq(a->floor_count, b->floor_count);
    for (size_t i = 0; i < a->floor_count; i++) {
        const struct manifest_floor *x = &a->floors[i], *y = &b->floors[i];

        cr_assert(x->partition == y->partition && x->segment == y->segment);
        cr_assert_eq(x->offset, y->offset);
    }
    for (size_t i = 0; i < a->span_count && i < b->span_count; i++) {
        cr_assert_eq(a->spans[i].segment, b->spans[i].segment);
        cr_assert_eq(a->spans[i].offset, b->spans[i].offset);
        cr_assert_eq(a->spans[i].partition, b->spans[i].partition);
        cr_assert_eq(a->spans[i].first, b->spans[i].first);
    }
    cr_assert_eq(a->span_count, b->span_count);
}

static int write_queued(struct manifest *manifest, struct vfs *vfs)
{
    struct manifest_write write;
    int r = manifest_write_begin(manifest, vfs, "s", &write);

    if (r == 0) {
        r = manifest_write_run(&write);
        manifest_write_end(manifest, &write, r);
    }
    return r;
}

static struct vfs *folder_new(uint64_t seed)
{
    struct vfs *vfs = vfs_crash_new(seed);

    cr_assert_eq(vfs_mkdir(vfs, "s"), 0);
    return vfs;
}

/* A founded manifest with `steps` edits, each its own group. */
static void write_history(struct manifest *manifest, struct vfs *vfs, unsigned steps)
{
    manifest_init(manifest);
    cr_assert_eq(manifest_found(manifest, hash, partitions, 3), 0);
    cr_assert_eq(write_queued(manifest, vfs), 0);
    for (unsigned i = 0; i < steps; i++) {
        edit(manifest, i);
        if (manifest_pending(manifest))
            cr_assert_eq(write_queued(manifest, vfs), 0);
    }
}

Test(manifest, edits_come_back_in_order)
{
    struct vfs *vfs = folder_new(1);
    struct manifest written, loaded;

    write_history(&written, vfs, 30);
    manifest_init(&loaded);
    cr_assert_eq(manifest_load(&loaded, vfs, "s"), 0);
    assert_same(&written, &loaded);
    cr_assert_eq(loaded.founded, true);
    manifest_deinit(&written);
    manifest_deinit(&loaded);
    vfs_crash_free(vfs);
}

Test(manifest, a_full_file_is_written_anew_with_the_same_state)
{
    struct vfs *vfs = folder_new(1);
    struct manifest written, loaded;

    write_history(&written, vfs, 2400);
    cr_assert_lt(written.capacity, 200000);
    manifest_init(&loaded);
    cr_assert_eq(manifest_load(&loaded, vfs, "s"), 0);
    /* Spans that no segment needs are gone after a rewrite only. */
    manifest_spans_prune(&written);
    manifest_spans_prune(&loaded);
    assert_same(&written, &loaded);
    manifest_deinit(&written);
    manifest_deinit(&loaded);
    vfs_crash_free(vfs);
}

Test(manifest, absent_is_told_from_damaged)
{
    struct vfs *vfs = folder_new(1);
    struct manifest manifest;

    manifest_init(&manifest);
    cr_assert_eq(manifest_load(&manifest, vfs, "s"), MANIFEST_E_ABSENT);
    manifest_deinit(&manifest);
    vfs_crash_free(vfs);
}

Test(manifest, a_power_cut_leaves_all_edits_or_all_but_the_last)
{
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct vfs *vfs = folder_new(seed);
        struct manifest written, before, loaded;
        unsigned steps = (unsigned)(seed % 24);
        int r;

        write_history(&written, vfs, steps);
        manifest_init(&before);
        cr_assert_eq(manifest_load(&before, vfs, "s"), 0);
        for (unsigned i = steps; i < steps + 8; i++) /* a large group, of several sectors */
            edit(&written, i);
        vfs_crash_cut_after(vfs, 1 + seed % 5);
        written.rewrite = seed % 3 == 0;
        r = write_queued(&written, vfs);
        manifest_deinit(&written);
        vfs_crash_restart(vfs);

        write_history(&written, vfs_crash_new(1), 0); /* the expected state, elsewhere */
        manifest_init(&loaded);
        cr_assert_eq(manifest_load(&loaded, vfs, "s"), 0, "seed %lu", (unsigned long)seed);
        if (loaded.sequence == before.sequence) {
            cr_assert_neq(r, 0, "an edit that was durable is gone");
            assert_same(&loaded, &before);
        } else {
            cr_assert_gt(loaded.segment_count + loaded.span_count,
                         before.segment_count + before.span_count);
        }
        struct vfs *elsewhere = written.file->vfs;

        manifest_deinit(&written);
        vfs_crash_free(elsewhere);
        manifest_deinit(&before);
        manifest_deinit(&loaded);
        vfs_crash_free(vfs);
    }
}

Test(manifest, a_flipped_bit_before_the_last_edit_is_corruption)
{
    struct vfs *vfs = folder_new(1);
    struct manifest written;
    uint64_t last;

    write_history(&written, vfs, 12);
    last = written.position;
    edit(&written, 12);
    cr_assert_eq(write_queued(&written, vfs), 0);
    for (uint64_t bit = 0; bit < last * 8; bit++) {
        struct manifest loaded;

        vfs_crash_flip(vfs, PATH, bit / 8, (unsigned)(bit % 8));
        manifest_init(&loaded);
        cr_assert_eq(manifest_load(&loaded, vfs, "s"), MANIFEST_E_CORRUPT, "bit %lu",
                     (unsigned long)bit);
        manifest_deinit(&loaded);
        vfs_crash_flip(vfs, PATH, bit / 8, (unsigned)(bit % 8));
    }
    manifest_deinit(&written);
    vfs_crash_free(vfs);
}

Test(manifest, a_failed_append_is_mended_by_a_rewrite)
{
    struct vfs *vfs = vfs_mem_new();
    struct manifest written, loaded;

    cr_assert_eq(vfs_mkdir(vfs, "s"), 0);
    write_history(&written, vfs, 5);
    for (uint64_t n = 1; n <= 7; n++) {
        edit(&written, 4 + (unsigned)n);
        vfs_mem_fail_after(vfs, n, ENOSPC);
        int r = write_queued(&written, vfs);

        vfs_mem_fail_after(vfs, 0, 0);
        cr_assert(r == 0 || r == -ENOSPC);
        if (r != 0) {
            cr_assert(manifest_pending(&written));
            cr_assert_lt(written.edits_durable, written.edits);
            cr_assert_eq(write_queued(&written, vfs), 0);
        }
        cr_assert_eq(written.edits_durable, written.edits);
        manifest_init(&loaded);
        cr_assert_eq(manifest_load(&loaded, vfs, "s"), 0);
        assert_same(&written, &loaded);
        manifest_deinit(&loaded);
    }
    manifest_deinit(&written);
    vfs_mem_free(vfs);
}

Test(manifest, a_span_hides_what_lies_before_its_place_only)
{
    struct manifest manifest;
    struct manifest_span span = {.segment = 5, .offset = 1024, .partition = 2, .first = 10};

    manifest_init(&manifest);
    cr_assert_eq(manifest_span_add(&manifest, &span), 0);
    cr_assert(manifest_truncated(&manifest, 2, 10, 4, 99999));
    cr_assert(manifest_truncated(&manifest, 2, 99, 5, 1008));
    cr_assert_not(manifest_truncated(&manifest, 2, 9, 4, 99999));
    cr_assert_not(manifest_truncated(&manifest, 2, 10, 5, 1024));
    cr_assert_not(manifest_truncated(&manifest, 2, 10, 6, 0));
    cr_assert_not(manifest_truncated(&manifest, 3, 10, 4, 0));
    manifest_deinit(&manifest);
}

static void cask_add(struct manifest *manifest, uint16_t partition, uint64_t number)
{
    struct manifest_cask cask = {.partition = partition,
                                 .number = number,
                                 .stamp = number * 0x9E3779B97F4A7C15ull,
                                 .length = 4096 + (uint32_t)number * 16,
                                 .count = 10,
                                 .tombstones = (uint32_t)number % 3,
                                 .index_min = number,
                                 .index_max = number + 100};

    cr_assert_eq(manifest_cask_add(manifest, &cask), 0);
}

/* Segments 1 … 4, of which two are retired, casks of three partitions and two floors. */
static void write_casks(struct manifest *manifest, struct vfs *vfs)
{
    static const uint16_t order[] = {3, 1, 3, 65535, 1, 3};
    struct manifest_floor floor = {.partition = 3, .segment = 2, .offset = 1024};

    write_history(manifest, vfs, 0);
    for (uint64_t number = 1; number <= 4; number++) {
        cr_assert_eq(manifest_segment_add(manifest, number, number + 50), 0);
        if (number < 4)
            cr_assert_eq(manifest_segment_seal(manifest, number, 8192, number), 0);
        if (number < 3)
            cr_assert_eq(manifest_segment_retire(manifest, number), 0);
    }
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        cask_add(manifest, order[i], manifest_cask_number(manifest));
    cr_assert_eq(manifest_floor_set(manifest, &floor), 0);
    floor.partition = 1;
    cr_assert_eq(manifest_floor_set(manifest, &floor), 0);
    cr_assert_eq(write_queued(manifest, vfs), 0);
}

Test(manifest, casks_floors_and_retired_segments_come_back_from_appends_and_from_a_rewrite)
{
    struct vfs *vfs = folder_new(1);
    struct manifest written, loaded;

    write_casks(&written, vfs);
    cr_assert_eq(manifest_cask_drop(&written, 3, 3), 0);
    cr_assert_eq(manifest_segment_drop(&written, 1), 0);
    cr_assert_eq(write_queued(&written, vfs), 0);
    for (int i = 0; i < 2; i++) {
        manifest_init(&loaded);
        cr_assert_eq(manifest_load(&loaded, vfs, "s"), 0);
        assert_same(&written, &loaded);
        cr_assert_eq(loaded.cask_count, 5);
        cr_assert_eq(loaded.floor_count, 2);
        cr_assert(loaded.segments[0].retired);
        cr_assert_not(loaded.segments[1].retired);
        cr_assert_eq(manifest_cask_number(&loaded), 7);
        manifest_deinit(&loaded);
        cr_assert_eq(manifest_rewrite(&written, vfs, "s"), 0);
    }
    manifest_deinit(&written);
    vfs_crash_free(vfs);
}

Test(manifest, casks_are_found_by_partition_and_number)
{
    struct vfs *vfs = folder_new(1);
    struct manifest manifest;
    const struct manifest_cask *casks;
    size_t count;

    write_casks(&manifest, vfs);
    casks = manifest_casks(&manifest, 3, &count);
    cr_assert_eq(count, 3);
    cr_assert(casks[0].number == 1 && casks[1].number == 3 && casks[2].number == 6);
    cr_assert_eq(manifest_cask_find(&manifest, 1, 5)->index_min, 5);
    cr_assert(!manifest_cask_find(&manifest, 1, 3) && !manifest_cask_find(&manifest, 2, 1));
    manifest_casks(&manifest, 65535, &count);
    cr_assert_eq(count, 1);
    cr_assert_null(manifest_casks(&manifest, 65534, &count));
    cr_assert_eq(count, 0);
    manifest_deinit(&manifest);
    vfs_crash_free(vfs);
}

Test(manifest, a_floor_keeps_its_state_through_appends_rewrites_and_higher_floors)
{
    uint8_t bytes[40] = "what a snapshot brought besides records";
    struct manifest_floor floor = {
        .partition = 2, .segment = 5, .offset = 1024, .state = bytes, .state_size = sizeof(bytes)};
    struct manifest manifest;

    manifest_init(&manifest);
    cr_assert_eq(manifest_segment_add(&manifest, 5, 1), 0);
    cr_assert_eq(manifest_floor_set(&manifest, &floor), 0);
    bytes[0] = 'W'; /* it was copied */
    cr_assert_eq(manifest_queue_state(&manifest), 0);
    cr_assert_eq(manifest_floor_find(&manifest, 2)->state_size, sizeof(bytes));
    cr_assert_eq(manifest_floor_find(&manifest, 2)->state[0], 'w');
    cr_assert_eq(manifest_floor_set(&manifest, &floor), 0); /* another one at the same place */
    cr_assert_eq(manifest_floor_find(&manifest, 2)->state[0], 'W');
    floor.offset = 512;
    bytes[0] = 'x';
    cr_assert_eq(manifest_floor_set(&manifest, &floor), 0);
    cr_assert_eq(manifest_floor_find(&manifest, 2)->state[0], 'W');
    floor = (struct manifest_floor){.partition = 2, .segment = 6};
    cr_assert_eq(manifest_floor_set(&manifest, &floor), 0);
    cr_assert_null(manifest_floor_find(&manifest, 2)->state);
    manifest_deinit(&manifest);
}

Test(manifest, a_floor_voids_what_lies_before_its_place_and_only_rises)
{
    struct manifest manifest;
    struct manifest_floor floor = {.partition = 2, .segment = 5, .offset = 1024};

    manifest_init(&manifest);
    cr_assert_eq(manifest_floor_set(&manifest, &floor), 0);
    cr_assert(manifest_void(&manifest, 2, 4, 99999));
    cr_assert(manifest_void(&manifest, 2, 5, 1008));
    cr_assert_not(manifest_void(&manifest, 2, 5, 1024));
    cr_assert_not(manifest_void(&manifest, 2, 6, 0));
    cr_assert_not(manifest_void(&manifest, 1, 1, 0));
    floor.segment = 4;
    cr_assert_eq(manifest_floor_set(&manifest, &floor), 0);
    cr_assert(manifest_void(&manifest, 2, 5, 0), "a floor that sank");
    floor.segment = 6;
    cr_assert_eq(manifest_floor_set(&manifest, &floor), 0);
    cr_assert(manifest_void(&manifest, 2, 5, 1024));
    cr_assert_eq(manifest.floor_count, 1);
    cr_assert_eq(manifest_segment_add(&manifest, 6, 1), 0);
    manifest_spans_prune(&manifest);
    cr_assert_eq(manifest.floor_count, 1, "segment 6 may hold void records still");
    cr_assert_eq(manifest_segment_drop(&manifest, 6), 0);
    cr_assert_eq(manifest_segment_add(&manifest, 7, 2), 0);
    manifest_spans_prune(&manifest);
    cr_assert_eq(manifest.floor_count, 0);
    manifest_deinit(&manifest);
}

/* A flush: two casks in, a cask and a segment out. */
Test(manifest, a_power_cut_leaves_a_flush_whole_or_undone)
{
    unsigned whole = 0, undone = 0;

    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct vfs *vfs = folder_new(seed);
        struct manifest written, loaded;
        bool in, out;

        write_casks(&written, vfs);
        cr_assert_eq(manifest_reserve(&written, 4), 0);
        cask_add(&written, 1, 7);
        cask_add(&written, 3, 8);
        cr_assert_eq(manifest_cask_drop(&written, 3, 1), 0);
        cr_assert_eq(manifest_segment_drop(&written, 2), 0);
        written.rewrite = seed % 2 == 0;
        vfs_crash_cut_after(vfs, 1 + seed % 6);
        write_queued(&written, vfs);
        manifest_deinit(&written);
        vfs_crash_restart(vfs);
        manifest_init(&loaded);
        cr_assert_eq(manifest_load(&loaded, vfs, "s"), 0, "seed %lu", (unsigned long)seed);
        in = manifest_cask_find(&loaded, 1, 7) != NULL;
        out = manifest_cask_find(&loaded, 3, 1) == NULL;
        cr_assert_eq(in, out);
        cr_assert_eq(in, manifest_cask_find(&loaded, 3, 8) != NULL);
        cr_assert_eq(in, manifest_segment_find(&loaded, 2) == NULL);
        whole += in;
        undone += !in;
        manifest_deinit(&loaded);
        vfs_crash_free(vfs);
    }
    cr_assert_gt(whole, 20);
    cr_assert_gt(undone, 20);
}

Test(manifest, nothing_is_refused_behind_a_reserve)
{
    struct vfs *vfs = folder_new(1);
    struct manifest manifest;
    struct manifest_floor floor = {.segment = 3, .offset = 0};
    struct manifest_span span = {.segment = 4, .offset = 1024, .partition = 3, .first = 17};
    struct manifest_install_cask one = {.cask = {.partition = 3}, .position = 1};

    write_casks(&manifest, vfs);
    for (uint64_t n = 1; manifest.install_count == 0; n++) {
        alloc_fail_after(n);
        cr_assert_eq(manifest_install_begin(&manifest, 3, hash, 32), alloc_failed() ? -ENOMEM : 0);
    }
    alloc_fail_after(1);
    cr_assert_eq(manifest_reserve(&manifest, 1251), -ENOMEM);
    cr_assert_eq(manifest_reserve(&manifest, SIZE_MAX / 8), -ENOMEM);
    cr_assert_eq(manifest_reserve(&manifest, 1251), 0);
    alloc_fail_after(1); /* had an allocation happened, it would fail */
    for (uint16_t i = 0; i < 250; i++) {
        cask_add(&manifest, i, 1000u + i);
        floor.partition = i;
        cr_assert_eq(manifest_floor_set(&manifest, &floor), 0);
        cr_assert_eq(manifest_span_add(&manifest, &span), 0);
        cr_assert_eq(manifest_segment_add(&manifest, 10u + i, 100u + i), 0);
        one.cask.number = 2000u + i;
        cr_assert_eq(manifest_install_add(&manifest, &one), 0);
    }
    cr_assert_eq(manifest_install_end(&manifest, 3), 0);
    cr_assert_eq(manifest.install_cask_count, 0);
    alloc_fail_after(0);
    cr_assert_eq(write_queued(&manifest, vfs), 0);
    manifest_deinit(&manifest);
    vfs_crash_free(vfs);
}

Test(manifest, retiring_out_of_order_asserts, .signal = SIGABRT)
{
    struct manifest manifest;

    manifest_init(&manifest);
    for (uint64_t number = 1; number <= 2; number++) {
        cr_assert_eq(manifest_segment_add(&manifest, number, number), 0);
        cr_assert_eq(manifest_segment_seal(&manifest, number, 512, number), 0);
    }
    manifest_segment_retire(&manifest, 2);
}

Test(manifest, partitions_come_and_go_and_a_rewrite_keeps_what_is_left)
{
    struct vfs *vfs = folder_new(1);
    struct manifest manifest, again;

    for (int rewrite = 0; rewrite < 2; rewrite++) {
        manifest_init(&manifest);
        cr_assert_eq(manifest_found(&manifest, hash, partitions, 3), 0);
        cr_assert_eq(manifest_rewrite(&manifest, vfs, "s"), 0);
        cr_assert_eq(manifest_host(&manifest, 7), 0);
        cr_assert_eq(write_queued(&manifest, vfs), 0);
        cr_assert_eq(manifest_unhost(&manifest, 3), 0);
        cr_assert_eq(manifest_unhost(&manifest, 1), 0);
        cr_assert_eq(write_queued(&manifest, vfs), 0);
        if (rewrite)
            cr_assert_eq(manifest_rewrite(&manifest, vfs, "s"), 0);
        cr_assert(manifest.partition_count == 2 && manifest.partitions[0] == 65535);
        cr_assert_eq(manifest.partitions[1], 7);
        manifest_init(&again);
        cr_assert_eq(manifest_load(&again, vfs, "s"), 0);
        assert_same(&manifest, &again);
        manifest_deinit(&again);
        manifest_deinit(&manifest);
    }
    vfs_crash_free(vfs);
}

/* Whatever else is left out when the file is written anew. */
Test(manifest, a_life_that_is_over_stays_so_and_the_highest_counts)
{
    struct vfs *vfs = folder_new(1);
    struct manifest manifest, again;

    for (int rewrite = 0; rewrite < 2; rewrite++) {
        manifest_init(&manifest);
        cr_assert_eq(manifest_found(&manifest, hash, partitions, 3), 0);
        cr_assert_eq(manifest_rewrite(&manifest, vfs, "s"), 0);
        cr_assert_eq(manifest_ended(&manifest, 3), 0);
        cr_assert_eq(manifest_end(&manifest, 3, 70), 0);
        cr_assert_eq(manifest_end(&manifest, 1, 5), 0);
        cr_assert_eq(manifest_end(&manifest, 3, 9), 0);
        cr_assert_eq(manifest_end(&manifest, 65535, UINT64_MAX), 0);
        cr_assert_eq(write_queued(&manifest, vfs), 0);
        if (rewrite)
            cr_assert_eq(manifest_rewrite(&manifest, vfs, "s"), 0);
        manifest_init(&again);
        cr_assert_eq(manifest_load(&again, vfs, "s"), 0);
        cr_assert_eq(manifest_ended(&again, 1), 5);
        cr_assert_eq(manifest_ended(&again, 2), 0);
        cr_assert_eq(manifest_ended(&again, 3), 70);
        cr_assert_eq(manifest_ended(&again, 65535), UINT64_MAX);
        manifest_deinit(&again);
        manifest_deinit(&manifest);
    }
    vfs_crash_free(vfs);
}

Test(manifest, items_that_contradict_the_state_are_corruption)
{
    static const struct {
        uint16_t kind;
        uint8_t payload[56];
        size_t size;
    } bad[] = {
        {MANIFEST_ITEM_ENDED, {3}, 16}, /* life 0 */
        {MANIFEST_ITEM_ENDED, {3, [8] = 1}, 8},
        {MANIFEST_ITEM_CASK_ADD, {1, 0, 0, 0, 0, 0, 0, 0, 3}, 48}, /* listed already */
        {MANIFEST_ITEM_CASK_ADD, {0, 0, 0, 0, 0, 0, 0, 0, 3}, 48}, /* number 0 */
        {MANIFEST_ITEM_CASK_ADD, {99, [44] = 1}, 48},           /* more tombstones than records */
        {MANIFEST_ITEM_CASK_ADD, {99, [24] = 2, [32] = 1}, 48}, /* lowest above highest */
        {MANIFEST_ITEM_CASK_ADD, {99}, 47},
        {MANIFEST_ITEM_CASK_DROP, {1, [8] = 4}, 16},
        {MANIFEST_ITEM_CASK_DROP, {1, [8] = 3}, 10},
        {MANIFEST_ITEM_SEGMENT_RETIRE, {4}, 8}, /* open */
        {MANIFEST_ITEM_SEGMENT_RETIRE, {1}, 8}, /* retired already */
        {MANIFEST_ITEM_SEGMENT_RETIRE, {9}, 8}, /* none */
        {MANIFEST_ITEM_FLOOR, {1}, 8},
        {MANIFEST_ITEM_HOST, {3}, 8}, /* hosted already */
        {MANIFEST_ITEM_HOST, {5}, 2},
        {MANIFEST_ITEM_UNHOST, {5}, 8}, /* not hosted */
        {MANIFEST_ITEM_UNHOST, {3}, 8}, /* has casks */
        {MANIFEST_ITEM_UNHOST, {1}, 2},
        {13, {0}, 8},
        {MANIFEST_ITEM_INSTALL, {5}, 8}, /* not hosted */
        {MANIFEST_ITEM_INSTALL, {1}, 2},
        {MANIFEST_ITEM_INSTALL_CASK, {99, [8] = 1, [48] = 1}, 56}, /* of none */
        {MANIFEST_ITEM_INSTALL_END, {1}, 8},
    };
    struct vfs *vfs = folder_new(1);
    struct manifest manifest;

    write_casks(&manifest, vfs);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct manifest_item item = {
            .kind = bad[i].kind, .payload = bad[i].payload, .payload_size = bad[i].size};

        cr_assert_eq(manifest_apply(&manifest, &item), MANIFEST_E_CORRUPT, "%zu", i);
    }
    manifest_deinit(&manifest);
    vfs_crash_free(vfs);
}
