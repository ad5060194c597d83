#include "store_scene.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "storage/journal_reader.h"

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

void scene_make(struct scene *scene)
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

void scene_free(struct scene *scene)
{
    host_deinit(&scene->host);
    vfs_crash_free(scene->vfs);
    free(scene->owners);
}
