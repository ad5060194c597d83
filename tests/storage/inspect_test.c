#include <criterion/criterion.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/cask.h"
#include "storage/hint.h"
#include "storage/inspect.h"
#include "storage/journal_format.h"
#include "storage/manifest.h"
#include "storage/vault.h"
#include "store_scene.h"

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

/* A cask of 60 records in "c" and its hint in "h". */
static void write_cask(struct vfs *vfs)
{
    struct vfs_file *file, *hint_file;
    struct cask_writer writer;
    struct cask_info info;
    struct hint_writer hint;
    struct hint_entry entries[60];

    cr_assert_eq(vfs_open(vfs, "c", VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file), 0);
    cr_assert_eq(vfs_open(vfs, "h", VFS_OPEN_WRITE | VFS_OPEN_CREATE, &hint_file), 0);
    cr_assert_eq(cask_writer_begin(&writer, file, 41, 7), 0);
    for (unsigned i = 0; i < 60; i++) {
        char key[16];
        uint8_t value[100] = {0}, bytes[256];
        struct record record = {.partition = 41,
                                .kind = i == 3 ? RECORD_KIND_DELETE : RECORD_KIND_PUT,
                                .term = 2,
                                .sub_count = 1,
                                .index = 100 + i,
                                .key = (const uint8_t *)key,
                                .key_size = (size_t)snprintf(key, sizeof(key), "key-%02u", i),
                                .value = value,
                                .value_size = i == 3 ? 0 : sizeof(value)};
        size_t size = record_encode(&record, bytes);

        entries[i] = (struct hint_entry){.partition = 41,
                                         .tombstone = i == 3,
                                         .digest = {.high = 1, .low = i},
                                         .index = 100 + i,
                                         .size = (uint32_t)size};
        cr_assert_eq(cask_writer_add(&writer, bytes, size, &entries[i].offset), 0);
    }
    cr_assert_eq(cask_writer_finish(&writer, &info), 0);
    cask_writer_end(&writer);
    cr_assert_eq(hint_writer_begin(&hint, hint_file,
                                   &(struct hint_subject){.kind = HINT_KIND_CASK,
                                                          .number = 7,
                                                          .stamp = info.stamp,
                                                          .length = info.length}),
                 0);
    for (unsigned i = 0; i < 60; i++)
        cr_assert_eq(hint_writer_add(&hint, &entries[i]), 0);
    cr_assert_eq(hint_writer_finish(&hint), 0);
    hint_writer_end(&hint);
    vfs_close(file);
    vfs_close(hint_file);
}

static void assert_says(struct vfs *vfs, const char *path, bool json, int expected,
                        const char *part)
{
    char *text;
    int r = inspect_text(vfs, path, json, &text);

    cr_assert_eq(r, expected, "%s says %d", path, r);
    cr_assert(strstr(text, part), "no '%s' in:\n%s", part, text);
    free(text);
}

Test(inspect, prints_and_verifies_a_cask_and_its_hint)
{
    struct vfs *vfs = vfs_crash_new(1);

    write_cask(vfs);
    assert_says(vfs, "c", false, 0, "cask of partition 41, number 7");
    assert_says(vfs, "c", false, 0, "delete term 2 index 103 (1 of 1), 46 B, key \"key-03\"");
    assert_says(vfs, "c", false, 0, "60 records, 1 tombstones, indexes 100 to 159, 3 blocks");
    assert_says(vfs, "c", false, 0, "verdict: ok\n");
    assert_says(vfs, "c", true, 0, "\"record_count\":60");
    assert_says(vfs, "c", true, 0, "\"verdict\":\"ok\"}\n");
    assert_says(vfs, "h", false, 0, "hint of cask 7");
    assert_says(vfs, "h", false, 0, "partition 41: 60 entries, 1 tombstones, indexes 100 to 159");
    assert_says(vfs, "h", false, 0, "    00010000000000000003: index 103 at");
    assert_says(vfs, "h", false, 0, "verdict: ok\n");
    assert_says(vfs, "h", true, 0, "\"entry_count\":60,\"verdict\":\"ok\"}\n");
    vfs_crash_free(vfs);
}

Test(inspect, of_a_sealed_record_it_shows_the_digest)
{
    struct record record = {.partition = 41,
                            .kind = RECORD_KIND_PUT,
                            .term = 2,
                            .sub_count = 1,
                            .index = 100,
                            .key = (const uint8_t *)"secret",
                            .key_size = 6};
    struct keydir_digest digest = {.high = 0xAB, .low = 0xCD};
    uint8_t sealed[64], bytes[256];
    struct vfs *vfs = vfs_crash_new(1);
    struct cask_writer writer;
    struct cask_info info;
    struct vfs_file *file;
    struct vault vault;
    uint32_t offset;

    cr_assert_geq(sodium_init(), 0);
    vault_init(&vault);
    cr_assert_eq(vault_add(&vault, 9, (const uint8_t[VAULT_KEY_SIZE]){7}), 0);
    vault_use(&vault, 9);
    vault_seal(&vault, &record, &digest, 42, sealed);
    cr_assert_eq(vfs_open(vfs, "c", VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file), 0);
    cr_assert_eq(cask_writer_begin(&writer, file, 41, 7), 0);
    cr_assert_eq(cask_writer_add(&writer, bytes, record_encode(&record, bytes), &offset), 0);
    cr_assert_eq(cask_writer_finish(&writer, &info), 0);
    cask_writer_end(&writer);
    vfs_close(file);
    assert_says(vfs, "c", false, 0,
                ", sealed with data key 9, digest 00000000000000ab00000000000000cd, value 32 B");
    assert_says(vfs, "c", true, 0, ",\"key_id\":9,\"digest\":\"00000000000000ab00000000000000cd\"");
    vfs_crash_free(vfs);
}

Test(inspect, names_the_damaged_block_of_a_cask)
{
    struct vfs *vfs = vfs_crash_new(1);

    write_cask(vfs);
    vfs_crash_flip(vfs, "c", CASK_HEADER_SIZE + 5000, 1);
    assert_says(vfs, "c", false, INSPECT_E_DAMAGED, ": DAMAGED\n");
    assert_says(vfs, "c", false, INSPECT_E_DAMAGED, "damaged blocks: 1\nverdict: damaged\n");
    assert_says(vfs, "c", false, INSPECT_E_DAMAGED, "key \"key-00\"");
    assert_says(vfs, "c", true, INSPECT_E_DAMAGED, "\"damaged\":1");
    vfs_crash_flip(vfs, "h", HINT_HEADER_SIZE + 100, 1);
    assert_says(vfs, "h", false, INSPECT_E_DAMAGED, "    DAMAGED\n");
    assert_says(vfs, "h", true, INSPECT_E_DAMAGED, "\"verdict\":\"damaged\"");
    vfs_crash_free(vfs);
}

Test(inspect, any_damage_of_casks_and_hints_ends_in_a_verdict)
{
    struct vfs *vfs = vfs_crash_new(2);

    write_cask(vfs);
    for (int i = 0; i < 6000; i++) {
        const char *path = i % 2 ? "c" : "h";
        uint64_t offset = vfs_crash_random(vfs) % (i % 2 ? 9000 : 1872);
        unsigned bit = (unsigned)(vfs_crash_random(vfs) % 8);
        char *text;

        vfs_crash_flip(vfs, path, offset, bit);
        cr_assert_neq(inspect_text(vfs, path, i % 4 < 2, &text), INSPECT_E_OK, "%d", i);
        free(text);
        vfs_crash_flip(vfs, path, offset, bit);
    }
    vfs_crash_free(vfs);
}

Test(inspect, prints_what_a_manifest_lists)
{
    struct vfs *vfs = vfs_crash_new(1);
    struct manifest manifest;
    struct manifest_floor floor = {.partition = 3, .segment = 2, .offset = 1024};

    cr_assert_eq(vfs_mkdir(vfs, "s"), 0);
    manifest_init(&manifest);
    cr_assert_eq(manifest_segment_add(&manifest, 1, 9), 0);
    cr_assert_eq(manifest_segment_seal(&manifest, 1, 4096, 5), 0);
    cr_assert_eq(manifest_rewrite(&manifest, vfs, "s"), 0);
    cr_assert_eq(manifest_segment_retire(&manifest, 1), 0);
    cr_assert_eq(manifest_cask_add(&manifest, &(struct manifest_cask){.partition = 3,
                                                                      .number = 6,
                                                                      .length = 8192,
                                                                      .count = 9,
                                                                      .tombstones = 2,
                                                                      .index_min = 11,
                                                                      .index_max = 12}),
                 0);
    cr_assert_eq(manifest_floor_set(&manifest, &floor), 0);
    {
        struct manifest_write write;

        cr_assert_eq(manifest_write_begin(&manifest, vfs, "s", &write), 0);
        manifest_write_end(&manifest, &write, manifest_write_run(&write));
    }
    assert_says(vfs, "s/MANIFEST", false, 0, "  segment-retire: segment 1\n");
    assert_says(vfs, "s/MANIFEST", false, 0,
                "  cask-add: partition 3, cask 6, length 8192, records 9, tombstones 2, index_min "
                "11, index_max 12, key_id 0\n");
    assert_says(vfs, "s/MANIFEST", false, 0, "  floor: partition 3, segment 2, offset 1024\n");
    assert_says(vfs, "s/MANIFEST", false, 0, "last batch 5, retired\n");
    assert_says(vfs, "s/MANIFEST", false, 0, "  cask of partition 3, number 6, 8192 B");
    assert_says(vfs, "s/MANIFEST", true, 0, "\"casks\":[{\"partition\":3,\"cask\":6,");
    assert_says(vfs, "s/MANIFEST", true, 0, "\"next_cask\":1}");
    manifest_deinit(&manifest);
    vfs_crash_free(vfs);
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
