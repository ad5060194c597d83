#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/checksum.h"
#include "storage/inspect.h"
#include "storage/journal_reader.h"
#include "store_host.h"
#include "vfs_crash.h"

#define JOURNAL  "shard-00/journal-0000000001.log"
#define MANIFEST "shard-00/MANIFEST"

/* Where the batches of the scene lie, and whose each byte is. */
enum owner { OWNER_NOBODY = 100, OWNER_SHARD, OWNER_TAIL };
struct scene {
    struct vfs *vfs;
    struct host host;
    uint32_t end;    /* of the data */
    uint32_t tail;   /* where the last batch, the lone mark, begins */
    uint8_t *owners; /* of each byte up to end */
};

/* Whose harm is damage at each byte of the journal: a run's partition, the shard for headers and
 * directories, nobody for padding, the tail behind the synced mark. */
static void scene_map(struct scene *scene)
{
    struct journal_segment_header segment;
    struct journal_reader reader;
    struct vfs_file *file;
    uint8_t block[JOURNAL_BLOCK_SIZE];

    cr_assert_eq(vfs_open(scene->vfs, JOURNAL, VFS_OPEN_READ, &file), 0);
    cr_assert_eq(vfs_pread(file, block, sizeof(block), 0), sizeof(block));
    cr_assert_eq(journal_segment_header_decode(block, sizeof(block), &segment), 0);
    cr_assert_eq(journal_reader_open(&reader, file, segment.number, segment.epoch, UINT32_MAX), 0);
    scene->owners = malloc(reader.limit);
    memset(scene->owners, OWNER_NOBODY, reader.limit);
    for (scene->end = JOURNAL_BLOCK_SIZE;;) {
        struct journal_batch_header header;
        const uint8_t *batch;

        if (journal_reader_batch(&reader, scene->end, &header, &batch) != 0)
            break;
        memset(scene->owners + scene->end, OWNER_SHARD, JOURNAL_BATCH_HEADER_SIZE);
        memset(scene->owners + scene->end + header.directory_offset, OWNER_SHARD,
               (size_t)header.run_count * JOURNAL_RUN_ITEM_SIZE);
        for (uint32_t i = 0; i < header.run_count; i++) {
            struct journal_run run;
            uint32_t end;

            cr_assert(journal_run_at(batch, &header, i, &run, &end));
            memset(scene->owners + scene->end + run.offset, run.partition, end - run.offset);
        }
        scene->tail = scene->end;
        scene->end += header.length;
    }
    memset(scene->owners + scene->tail, OWNER_TAIL, scene->end - scene->tail);
    journal_reader_close(&reader);
    vfs_close(file);
}

/* Three batches of entries and a mark behind them, all synced; closed. */
static void scene_make(struct scene *scene)
{
    struct host *host = &scene->host;

    scene->vfs = vfs_crash_new(1);
    host_init(host, scene->vfs);
    cr_assert_eq(host_open(host), 0);
    host_found(host);
    for (uint16_t batch = 0; batch < 3; batch++) {
        for (uint16_t p = 0; p < HOST_PARTITIONS; p++) {
            cr_assert_eq(host_append_next(host, p, p), 0);
            cr_assert_eq(host_append_next(host, p, p + 1u), 0);
        }
        cr_assert_eq(host_hard(host, batch, batch + 5u, 1), 0);
        host_commit_all(host);
        cr_assert(host_sync(host));
    }
    cr_assert(host_sync(host)); /* the time of the last sync is noted now */
    host->now_ms += 200;
    cr_assert(host_sync(host));
    cr_assert_eq(store_synced(host->store), 4);
    host_close(host);
    scene_map(scene);
    cr_assert_gt(scene->tail, 3 * JOURNAL_BLOCK_SIZE);
}

static void scene_free(struct scene *scene)
{
    host_deinit(&scene->host);
    vfs_crash_free(scene->vfs);
    free(scene->owners);
}

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

/* --- inspect ------------------------------------------------------------------------------- */

static int inspect_text(struct vfs *vfs, const char *path, bool json, char **text)
{
    size_t size;
    FILE *out = open_memstream(text, &size);
    int r = inspect_file(vfs, path, out, json);

    fclose(out);
    return r;
}

static void assert_inspect(struct scene *scene, const char *path, bool json, int expected,
                           const char *part)
{
    char *text;
    int r = inspect_text(scene->vfs, path, json, &text);

    cr_assert_eq(r, expected, "%s says %d", path, r);
    cr_assert(strstr(text, part), "no '%s' in:\n%s", part, text);
    free(text);
}

Test(inspect, prints_and_verifies_a_journal_and_a_manifest)
{
    struct scene scene;

    scene_make(&scene);
    assert_inspect(&scene, JOURNAL, false, 0, "verdict: ok\n");
    assert_inspect(&scene, JOURNAL, false, 0, "batch 3 at ");
    assert_inspect(&scene, JOURNAL, false, 0, "key \"\\x03\\x00\\x00\\x00\"");
    assert_inspect(&scene, JOURNAL, true, 0, "\"key\":\"\\u0003\\u0000\\u0000\\u0000\"");
    assert_inspect(&scene, JOURNAL, true, 0, "\"verdict\":\"ok\"}\n");
    assert_inspect(&scene, MANIFEST, false, 0, "verdict: ok\n");
    assert_inspect(&scene, MANIFEST, false, 0, "segment 1, epoch 1, open\n");
    assert_inspect(&scene, MANIFEST, true, 0, "\"partition_count\":4");
    scene_free(&scene);
}

Test(inspect, names_what_a_flipped_bit_damaged)
{
    struct scene scene;
    uint32_t byte = JOURNAL_BLOCK_SIZE;

    scene_make(&scene);
    while (scene.owners[byte] != 3)
        byte++;
    vfs_crash_flip(scene.vfs, JOURNAL, byte, 0);
    assert_inspect(&scene, JOURNAL, false, INSPECT_E_DAMAGED, "verdict: damaged\n");
    assert_inspect(&scene, JOURNAL, false, INSPECT_E_DAMAGED, "DAMAGED\n");
    assert_inspect(&scene, JOURNAL, true, INSPECT_E_DAMAGED, "\"verdict\":\"damaged\"");
    vfs_crash_flip(scene.vfs, JOURNAL, byte, 0);
    vfs_crash_flip(scene.vfs, JOURNAL, JOURNAL_BLOCK_SIZE, 0);
    assert_inspect(&scene, JOURNAL, false, INSPECT_E_DAMAGED, "before the synced mark\n");
    vfs_crash_flip(scene.vfs, MANIFEST, 40, 0);
    assert_inspect(&scene, MANIFEST, false, INSPECT_E_DAMAGED, "verdict: damaged\n");
    scene_free(&scene);
}

Test(inspect, any_damage_ends_in_a_verdict_never_in_a_crash, .timeout = 120)
{
    struct scene scene;

    scene_make(&scene);
    for (int i = 0; i < 3000; i++) {
        const char *path = i % 4 ? JOURNAL : MANIFEST;
        uint64_t offset = vfs_crash_random(scene.vfs) % (i % 4 ? scene.end : 600);
        unsigned bit = (unsigned)(vfs_crash_random(scene.vfs) % 8);
        char *text;

        vfs_crash_flip(scene.vfs, path, offset, bit);
        inspect_text(scene.vfs, path, i % 2, &text);
        free(text);
        if (i % 3) /* some flips stay, so that damage piles up */
            vfs_crash_flip(scene.vfs, path, offset, bit);
    }
    scene_free(&scene);
}

Test(inspect, other_files_are_unknown)
{
    struct vfs *vfs = vfs_crash_new(1);
    struct vfs_file *file;
    char *text;

    cr_assert_eq(vfs_open(vfs, "x", VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file), 0);
    vfs_close(file);
    cr_assert_eq(inspect_text(vfs, "x", false, &text), INSPECT_E_UNKNOWN);
    free(text);
    cr_assert_eq(inspect_text(vfs, "y", false, &text), -ENOENT);
    free(text);
    vfs_crash_free(vfs);
}
