#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
