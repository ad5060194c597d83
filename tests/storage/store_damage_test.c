#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/checksum.h"
#include "storage/journal_format.h"
#include "store_scene.h"

static void assert_fenced(struct host *host, int r, uint8_t owner, uint32_t byte)
{
    cr_assert_eq(r, owner == OWNER_SHARD ? STORE_E_FENCED : 0, "byte %u: open says %d", byte, r);
    for (uint16_t p = 0; p < HOST_PARTITIONS; p++)
        cr_assert_eq(host->parts[p].fenced, owner == OWNER_SHARD || owner == p,
                     "byte %u of %u: partition %u is %sfenced", byte, owner, p,
                     host->parts[p].fenced ? "" : "not ");
}

Test(store_damage, a_flipped_bit_fences_exactly_whom_it_hits, .timeout = 300)
{
    struct scene scene;
    uint32_t end;

    scene_make(&scene);
    end = scene.end;
    scene_free(&scene);
    for (uint32_t byte = JOURNAL_BLOCK_SIZE; byte < end; byte++) {
        struct host again;
        int r;

        scene_make(&scene);
        vfs_crash_flip(scene.vfs, JOURNAL, byte, byte % 8);
        host_init(&again, scene.vfs);
        again.options = scene.host.options;
        r = host_open(&again);
        assert_fenced(&again, r, scene.owners[byte], byte);
        /* The others have all they had; opening again changes nothing. */
        for (uint16_t p = 0; r == 0 && p < HOST_PARTITIONS; p++)
            if (!again.parts[p].fenced)
                cr_assert_eq(again.parts[p].last, scene.host.parts[p].last);
        host_check(&again);
        host_close(&again);
        r = host_open(&again);
        assert_fenced(&again, r, scene.owners[byte], byte);
        host_deinit(&again);
        scene_free(&scene);
    }
}

Test(store_damage, a_fence_outlives_the_segment_that_caused_it)
{
    struct store_stats stats;
    struct scene scene;
    struct host again;
    uint32_t byte = JOURNAL_BLOCK_SIZE;

    scene_make(&scene);
    while (scene.owners[byte] != 2)
        byte++;
    vfs_crash_flip(scene.vfs, JOURNAL, byte, 3);
    host_init(&again, scene.vfs);
    again.options = scene.host.options;
    cr_assert_eq(host_open(&again), 0);
    cr_assert(again.parts[2].fenced);
    cr_assert_eq(host_append_next(&again, 1, 1), 0);
    cr_assert(host_sync(&again));
    store_stats(again.store, &stats);
    host_close(&again);
    /* Mended by hand, and still fenced: the new segment's checkpoint says so. */
    vfs_crash_flip(scene.vfs, JOURNAL, byte, 3);
    cr_assert_eq(host_open(&again), 0);
    cr_assert(again.parts[2].fenced);
    cr_assert_not(again.parts[1].fenced);
    cr_assert_eq(again.parts[1].last, scene.host.parts[1].last + 1);
    host_deinit(&again);
    scene_free(&scene);
}

Test(store_damage, a_torn_tail_is_cut_whole_at_every_block, .timeout = 120)
{
    uint32_t blocks = 40;

    for (uint32_t torn = 0; torn < blocks; torn++) {
        struct vfs *vfs = vfs_crash_new(1);
        struct host host, again;
        uint8_t *bytes;
        uint64_t size, synced;
        uint32_t start, end;
        struct store_stats stats;

        host_init(&host, vfs);
        host.options.batch_size_max = 64u << 10;
        host.options.zero_ahead_size = 64u << 10;
        cr_assert_eq(host_open(&host), 0);
        host_found(&host);
        host_fill(&host, 2);
        cr_assert(host_sync(&host));
        synced = store_synced(host.store);
        store_stats(host.store, &stats);
        start = JOURNAL_BLOCK_SIZE;
        bytes = vfs_crash_bytes(vfs, JOURNAL, &size);
        while (memcmp(bytes + start, "BTCH", 4) == 0)
            start += *(uint32_t *)(void *)(bytes + start + 44);
        host.padding = 500;
        host_fill(&host, 8);
        cr_assert(host_sync(&host));
        bytes = vfs_crash_bytes(vfs, JOURNAL, &size);
        end = start + *(uint32_t *)(void *)(bytes + start + 44);
        blocks = (end - start) / JOURNAL_BLOCK_SIZE;
        cr_assert_gt(blocks, 20);
        host_close(&host);
        /* One block of it never reached the disk. */
        memset(bytes + start + torn * JOURNAL_BLOCK_SIZE, 0, JOURNAL_BLOCK_SIZE);
        host_init(&again, vfs);
        again.options = host.options;
        cr_assert_eq(host_open(&again), 0);
        cr_assert_eq(store_batch(again.store) - 1, synced, "block %u", torn);
        host_compare(&again, &host, synced);
        /* It does not come back when what is missing comes back. */
        host_fill(&again, 1);
        cr_assert(host_sync(&again));
        host_close(&again);
        cr_assert_eq(host_open(&again), 0);
        cr_assert_eq(again.parts[0].last, 3);
        host_deinit(&again);
        host_deinit(&host);
        vfs_crash_free(vfs);
    }
}

Test(store_damage, a_damaged_manifest_fences_the_shard_and_nothing_is_written)
{
    struct scene scene;
    uint64_t before, after;

    scene_make(&scene);
    vfs_crash_flip(scene.vfs, MANIFEST, 40, 0);
    uint8_t *bytes = vfs_crash_bytes(scene.vfs, MANIFEST, &before);
    uint8_t *copy = malloc(before);

    memcpy(copy, bytes, before);
    cr_assert_eq(host_open(&scene.host), STORE_E_FENCED);
    host_settle(&scene.host);
    host_close(&scene.host);
    bytes = vfs_crash_bytes(scene.vfs, MANIFEST, &after);
    cr_assert_eq(before, after);
    cr_assert_eq(memcmp(bytes, copy, before), 0);
    free(copy);
    scene_free(&scene);
}

/* The last edit of a manifest rots away: it named the segment that holds data. */
Test(store_damage, a_manifest_that_lost_its_end_does_not_lose_the_journal)
{
    struct host host;
    uint64_t size;
    uint8_t *bytes;
    uint32_t at = 32, last = 32;
    struct vfs *vfs = vfs_crash_new(1);

    host_init(&host, vfs);
    host.options.segment_size = 16u << 10;
    cr_assert_eq(host_open(&host), 0);
    host_found(&host);
    host_settle(&host);
    while (!vfs_crash_bytes(vfs, "shard-00/journal-0000000002.log", &size)) {
        host_fill(&host, 10);
        host_settle(&host);
    }
    bytes = vfs_crash_bytes(vfs, MANIFEST, &size);
    for (; memcmp(bytes + at, "EDIT", 4) == 0; at += *(uint32_t *)(void *)(bytes + at + 4))
        last = at;
    cr_assert_gt(last, 32);
    /* Only the edit that adds segment 2 is there and goes; its batches come after it. */
    host_fill(&host, 60);
    cr_assert(host_sync(&host));
    host_close(&host);
    bytes = vfs_crash_bytes(vfs, MANIFEST, &size);
    memset(bytes + last, 0, size - last);
    cr_assert_eq(host_open(&host), STORE_E_FENCED);
    cr_assert(vfs_crash_bytes(vfs, "shard-00/journal-0000000002.log", &size));
    host_deinit(&host);
    vfs_crash_free(vfs);
}

Test(store_damage, a_newer_format_is_refused_untouched)
{
    struct scene scene;
    uint64_t size;
    uint8_t *bytes;

    scene_make(&scene);
    bytes = vfs_crash_bytes(scene.vfs, JOURNAL, &size);
    bytes[8] = 2; /* version */
    journal_segment_header_encode(&(struct journal_segment_header){.number = 1, .epoch = 1}, bytes);
    bytes[8] = 2;
    uint64_t sum = checksum(bytes, 32);

    memcpy(bytes + 32, &sum, 8);
    cr_assert_eq(host_open(&scene.host), STORE_E_NEWER);
    cr_assert_null(scene.host.store);
    scene_free(&scene);
}
