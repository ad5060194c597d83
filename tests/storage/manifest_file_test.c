#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hex.h"
#include "storage/checksum.h"
#include "storage/codec.h"
#include "storage/manifest.h"

#define PATH "s/MANIFEST"

static int load_bytes(struct manifest *loaded, const uint8_t *bytes, size_t size)
{
    struct vfs *vfs = vfs_mem_new();
    struct vfs_file *file;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    int r;

    cr_assert_eq(vfs_mkdir(vfs, "s"), 0);
    cr_assert_eq(vfs_open(vfs, PATH, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file), 0);
    cr_assert_eq(vfs_pwritev(file, &iov, 1, 0), 0);
    vfs_close(file);
    manifest_init(loaded);
    r = manifest_load(loaded, vfs, "s");
    vfs_mem_free(vfs);
    return r;
}

/* Written by the version before casks. */
static const char version_1_hex[] =
    "524341534b4d414e010000000000000000000000000000003668bbee946bbaaf4544495480000000"
    "010000000000000059565f9ba575a4610200000058000000010000002e0000000908070000000000"
    "000000000000000000000000000000000000000000000000030000000000000001000300ffff0000"
    "02000000180000000100000000000000010000000000000001000000000000000000000000000000"
    "4544495490000000020000000000000039a55a07e8f0a7c604000000700000000300000010000000"
    "04000000000000000900000000000000040000001800000004000000000000000010000000000000"
    "1100000000000000030000001000000005000000000000000a000000000000000600000018000000"
    "060000000000000000040000030000002800000000000000";

#define VERSION_1_SIZE  (sizeof(version_1_hex) / 2)
#define VERSION_1_FIRST 160u /* where its first edit ends */

static void rewrite(struct manifest *manifest, struct vfs *vfs)
{
    cr_assert_eq(vfs_mkdir(vfs, "s"), 0);
    cr_assert_eq(manifest_rewrite(manifest, vfs, "s"), 0);
}

Test(manifest_file, of_version_1_loads_and_is_written_anew_as_the_newest)
{
    struct vfs *vfs = vfs_mem_new();
    struct manifest loaded, again;
    struct manifest_cask cask = {.partition = 3, .number = 1, .count = 2, .index_max = 9};
    uint8_t header[MANIFEST_HEADER_SIZE], bytes[VERSION_1_SIZE];

    hex_bytes(version_1_hex, bytes);
    cr_assert_eq(load_bytes(&loaded, bytes, sizeof(bytes)), 0);
    cr_assert(loaded.founded && loaded.partition_count == 3 && loaded.segment_count == 2);
    cr_assert(loaded.segments[0].sealed && loaded.segments[0].length == 4096);
    cr_assert_not(loaded.segments[0].retired);
    cr_assert(loaded.next_number == 6 && loaded.next_epoch == 11 && loaded.next_cask == 1);
    cr_assert(loaded.cask_count == 0 && loaded.floor_count == 0 && loaded.span_count == 1);
    cr_assert(loaded.rewrite);
    cr_assert_eq(manifest_cask_add(&loaded, &cask), 0);
    rewrite(&loaded, vfs);
    cr_assert_eq(vfs_pread(loaded.file, header, sizeof(header), 0), sizeof(header));
    cr_assert_eq(codec_get_u32(header + 8), MANIFEST_VERSION);
    manifest_init(&again);
    cr_assert_eq(manifest_load(&again, vfs, "s"), 0);
    cr_assert(again.segment_count == 2 && again.cask_count == 1 && again.span_count == 1);
    cr_assert(again.next_number == 6 && again.next_epoch == 11 && again.next_cask == 2);
    manifest_deinit(&again);
    manifest_deinit(&loaded);
    vfs_mem_free(vfs);
}

Test(manifest_file, of_a_newer_version_is_refused)
{
    struct manifest loaded;
    uint8_t bytes[VERSION_1_SIZE];

    hex_bytes(version_1_hex, bytes);
    codec_put_u32(bytes + 8, MANIFEST_VERSION + 1);
    codec_put_u64(bytes + 24, checksum(bytes, 24));
    cr_assert_eq(load_bytes(&loaded, bytes, sizeof(bytes)), MANIFEST_E_NEWER);
    manifest_deinit(&loaded);
    codec_put_u32(bytes + 8, 0);
    codec_put_u64(bytes + 24, checksum(bytes, 24));
    cr_assert_eq(load_bytes(&loaded, bytes, sizeof(bytes)), MANIFEST_E_CORRUPT);
    manifest_deinit(&loaded);
}

Test(manifest_file, cut_anywhere_is_corrupt_or_ends_with_a_whole_edit)
{
    struct manifest loaded;
    uint8_t bytes[VERSION_1_SIZE];

    hex_bytes(version_1_hex, bytes);
    for (size_t size = 0; size < sizeof(bytes); size++) {
        int r = load_bytes(&loaded, bytes, size);

        cr_assert_eq(r, size < VERSION_1_FIRST ? MANIFEST_E_CORRUPT : 0, "%zu bytes", size);
        cr_assert_eq(loaded.segment_count, 0);
        manifest_deinit(&loaded);
    }
}

/* docs/format-manifest.md */
static const char example_hex[] =
    "524341534b4d414e0400000000000000000000000000000091d57aad02e5c13645444954a000000001000000"
    "00000000154484d47c0c16b40300000078000000010000002a000000000102030405060708090a0b0c0d0e0f"
    "101112131415161718191a1b1c1d1e1f01000000000000001100000000000000030000001000000001000000"
    "0000000001000000000000000200000020000000020000000000000002000000000000000100000000000000"
    "0100000000000000000000000000000045444954600000000200000000000000223fc9fe4d14579502000000"
    "3800000004000000180000000100000000000000001000000000000009000000000000000300000010000000"
    "0200000000000000020000000000000000000000000000004544495430000000030000000000000055d626c6"
    "50ade23a01000000100000000900000008000000010000000000000045444954700000000400000000000000"
    "327ec9c0ae4878d502000000480000000700000030000000010000000000000011000000200100002854643c"
    "d9805fba05000000000000000700000000000000020000000100000005000000080000000100000000000000"
    "0000000000000000";

static void write_queued(struct manifest *manifest, struct vfs *vfs)
{
    struct manifest_write write;

    cr_assert_eq(manifest_write_begin(manifest, vfs, "s", &write), 0);
    manifest_write_end(manifest, &write, manifest_write_run(&write));
}

Test(manifest_file, the_documented_example_has_these_bytes)
{
    static const uint16_t partition = 17;
    struct manifest_cask cask = {.partition = 17,
                                 .number = 1,
                                 .stamp = 0xba5f80d93c645428,
                                 .length = 288,
                                 .count = 2,
                                 .tombstones = 1,
                                 .index_min = 5,
                                 .index_max = 7};
    struct vfs *vfs = vfs_mem_new();
    struct manifest manifest;
    uint8_t hash[MANIFEST_HASH_SIZE], expected[sizeof(example_hex) / 2], bytes[sizeof(expected)];

    for (uint8_t i = 0; i < sizeof(hash); i++)
        hash[i] = i;
    manifest_init(&manifest);
    cr_assert_eq(manifest_found(&manifest, hash, &partition, 1), 0);
    cr_assert_eq(manifest_segment_add(&manifest, 1, 1), 0);
    rewrite(&manifest, vfs);
    cr_assert_eq(manifest_segment_seal(&manifest, 1, 4096, 9), 0);
    cr_assert_eq(manifest_segment_add(&manifest, 2, 2), 0);
    write_queued(&manifest, vfs);
    cr_assert_eq(manifest_segment_retire(&manifest, 1), 0);
    write_queued(&manifest, vfs);
    cr_assert_eq(manifest_cask_add(&manifest, &cask), 0);
    cr_assert_eq(manifest_segment_drop(&manifest, 1), 0);
    write_queued(&manifest, vfs);
    cr_assert_eq(manifest.position, hex_bytes(example_hex, expected));
    cr_assert_eq(vfs_pread(manifest.file, bytes, sizeof(bytes), 0), (int64_t)sizeof(bytes));
    cr_assert_eq(memcmp(bytes, expected, sizeof(bytes)), 0);
    manifest_deinit(&manifest);
    vfs_mem_free(vfs);
}

/* They knew the same items, but for those of partitions that come and go, and of snapshots on their
 * way in. */
Test(manifest_file, of_versions_2_and_3_loads)
{
    for (uint32_t version = 2; version <= 3; version++) {
        struct manifest loaded;
        uint8_t bytes[sizeof(example_hex) / 2];

        hex_bytes(example_hex, bytes);
        codec_put_u32(bytes + 8, version);
        codec_put_u64(bytes + 24, checksum(bytes, 24));
        cr_assert_eq(load_bytes(&loaded, bytes, sizeof(bytes)), 0);
        cr_assert(loaded.founded && loaded.partition_count == 1 && loaded.partitions[0] == 17);
        cr_assert(loaded.cask_count == 1 && loaded.segment_count == 1);
        manifest_deinit(&loaded);
    }
}

static void expect_installs(struct vfs *vfs, size_t installs, size_t casks)
{
    struct manifest loaded;
    const struct manifest_install *one;

    manifest_init(&loaded);
    cr_assert_eq(manifest_load(&loaded, vfs, "s"), 0);
    cr_assert_eq(loaded.install_count, installs);
    cr_assert_eq(loaded.install_cask_count, casks);
    cr_assert_eq(loaded.cask_count, 0, "they do not count");
    one = manifest_install_find(&loaded, 1);
    cr_assert(one && one->state_size == 3 && memcmp(one->state, "abc", 3) == 0);
    cr_assert_eq(manifest_install_casks(&loaded, 1), 2);
    cr_assert(loaded.install_casks[0].cask.number == 5 && loaded.install_casks[0].position == 70);
    cr_assert_eq(loaded.install_casks[casks - 1].cask.number, 7);
    cr_assert_eq(loaded.install_casks[casks - 1].position, 90);
    cr_assert_eq(loaded.next_cask, 8);
    manifest_deinit(&loaded);
}

static void install_add(struct manifest *manifest, uint16_t partition, uint64_t number,
                        uint64_t position)
{
    struct manifest_install_cask one = {.cask = {.partition = partition, .number = number},
                                        .position = position};

    cr_assert_eq(manifest_install_add(manifest, &one), 0);
}

Test(manifest_file, snapshots_on_their_way_in_come_back_from_appends_and_from_a_rewrite)
{
    static const uint8_t hash[MANIFEST_HASH_SIZE] = {9, 8, 7};
    static const uint16_t partitions[] = {1, 3};
    const struct manifest_item wrong[] = {
        {.kind = MANIFEST_ITEM_UNHOST, .payload = (const uint8_t[8]){1}, .payload_size = 8},
        {.kind = MANIFEST_ITEM_INSTALL, .payload = (const uint8_t[8]){1}, .payload_size = 8},
        {.kind = MANIFEST_ITEM_CASK_ADD, .payload = (const uint8_t[48]){5}, .payload_size = 48}};
    struct vfs *vfs = vfs_mem_new();
    struct manifest manifest;

    manifest_init(&manifest);
    cr_assert_eq(manifest_found(&manifest, hash, partitions, 2), 0);
    rewrite(&manifest, vfs);
    cr_assert_eq(manifest_install_begin(&manifest, 1, (const uint8_t *)"abc", 3), 0);
    cr_assert_eq(manifest_install_begin(&manifest, 3, NULL, 0), 0);
    install_add(&manifest, 1, 5, 70);
    install_add(&manifest, 3, 6, 80);
    install_add(&manifest, 1, 7, 90);
    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(manifest_apply(&manifest, &wrong[i]), MANIFEST_E_CORRUPT, "%zu", i);
    write_queued(&manifest, vfs);
    expect_installs(vfs, 2, 3);
    cr_assert_eq(manifest_rewrite(&manifest, vfs, "s"), 0);
    expect_installs(vfs, 2, 3);
    cr_assert_eq(manifest_install_end(&manifest, 3), 0);
    write_queued(&manifest, vfs);
    expect_installs(vfs, 1, 2);
    manifest_deinit(&manifest);
    vfs_mem_free(vfs);
}

/* What is written can be read: the file has room behind its first group. */
Test(manifest_file, a_state_near_the_limit_is_read_back)
{
    struct vfs *vfs = vfs_mem_new();
    struct manifest_floor floor = {.partition = 1, .segment = 1, .state_size = 50u << 20};
    static const uint8_t hash[MANIFEST_HASH_SIZE] = {9, 8, 7};
    const uint16_t partition = 1;
    struct manifest manifest, again;

    floor.state = calloc(1, floor.state_size);
    cr_assert(floor.state);
    manifest_init(&manifest);
    cr_assert_eq(manifest_found(&manifest, hash, &partition, 1), 0);
    cr_assert_eq(manifest_segment_add(&manifest, 1, 1), 0);
    cr_assert_eq(manifest_floor_set(&manifest, &floor), 0);
    cr_assert_eq(vfs_mkdir(vfs, "shard-00"), 0);
    cr_assert_eq(manifest_rewrite(&manifest, vfs, "shard-00"), 0);
    manifest_deinit(&manifest);
    manifest_init(&again);
    cr_assert_eq(manifest_load(&again, vfs, "shard-00"), MANIFEST_E_OK);
    cr_assert_eq(again.floors[0].state_size, floor.state_size);
    manifest_deinit(&again);
    free(floor.state);
    vfs_mem_free(vfs);
}

#define BIG_SIZE (33u << 20) /* of a floor's state: two are more than a group takes */

static void set_floor(struct manifest *manifest, uint16_t partition, uint64_t segment,
                      uint8_t *state, uint32_t size)
{
    struct manifest_floor floor = {
        .partition = partition, .segment = segment, .state = state, .state_size = size};

    cr_assert_eq(manifest_floor_set(manifest, &floor), 0);
}

static void assert_floors(struct vfs *vfs, const uint8_t *state, size_t count, uint64_t segment)
{
    struct manifest loaded;

    manifest_init(&loaded);
    cr_assert_eq(manifest_load(&loaded, vfs, "s"), 0);
    cr_assert_eq(loaded.floor_count, count);
    cr_assert_eq(loaded.segment_count, 2);
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(loaded.floors[i].segment, segment);
        cr_assert_eq(loaded.floors[i].state_size, BIG_SIZE);
        cr_assert_eq(memcmp(loaded.floors[i].state, state, BIG_SIZE), 0);
    }
    manifest_deinit(&loaded);
}

/* Turns a byte of the file round, or back. */
static void flip(struct vfs *vfs, uint64_t offset)
{
    struct vfs_file *file;
    uint8_t byte;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};

    cr_assert_eq(vfs_open(vfs, PATH, VFS_OPEN_WRITE, &file), 0);
    cr_assert_eq(vfs_pread(file, &byte, 1, offset), 1);
    byte ^= 1;
    cr_assert_eq(vfs_pwritev(file, &iov, 1, offset), 0);
    vfs_close(file);
}

Test(manifest_file, a_state_larger_than_a_group_is_several_and_one_edit_still)
{
    static const uint8_t hash[MANIFEST_HASH_SIZE] = {9, 8, 7};
    static const uint16_t partitions[] = {1, 3};
    struct vfs *vfs = vfs_mem_new();
    uint8_t *state = malloc(BIG_SIZE);
    struct manifest manifest, damaged;
    struct manifest_write write;

    cr_assert(state);
    memset(state, 0x5c, BIG_SIZE);
    cr_assert_eq(vfs_mkdir(vfs, "s"), 0);
    manifest_init(&manifest);
    cr_assert_eq(manifest_found(&manifest, hash, partitions, 2), 0);
    cr_assert_eq(manifest_segment_add(&manifest, 1, 1), 0);
    cr_assert_eq(manifest_segment_add(&manifest, 2, 2), 0);
    set_floor(&manifest, 1, 1, state, BIG_SIZE);
    set_floor(&manifest, 3, 1, state, BIG_SIZE);
    write_queued(&manifest, vfs);
    cr_assert_eq(manifest.edits_durable, manifest.edits);
    cr_assert_eq(manifest.sequence, 2);
    assert_floors(vfs, state, 2, 1);

    /* The last of them is bad, and nothing good is behind it: that is no torn edit. */
    flip(vfs, manifest.position - MANIFEST_ALIGN);
    manifest_init(&damaged);
    cr_assert_eq(manifest_load(&damaged, vfs, "s"), MANIFEST_E_CORRUPT);
    manifest_deinit(&damaged);
    flip(vfs, manifest.position - MANIFEST_ALIGN);

    /* What no group takes is not appended, were there ever so much room. */
    set_floor(&manifest, 1, 2, state, BIG_SIZE);
    set_floor(&manifest, 3, 2, state, BIG_SIZE);
    manifest.capacity = UINT64_MAX;
    cr_assert_eq(manifest_write_begin(&manifest, vfs, "s", &write), 0);
    cr_assert(write.rewrite);
    manifest_write_end(&manifest, &write, manifest_write_run(&write));
    assert_floors(vfs, state, 2, 2);
    cr_assert_not(manifest_pending(&manifest));
    manifest_deinit(&manifest);
    free(state);
    vfs_mem_free(vfs);
}

Test(manifest_file, a_floor_that_no_group_takes_is_refused)
{
    struct vfs *vfs = vfs_mem_new();
    struct manifest manifest, loaded;
    uint8_t byte = 1;
    struct manifest_floor floor = {
        .partition = 1, .segment = 1, .state = &byte, .state_size = MANIFEST_GROUP_SIZE_MAX};

    cr_assert_eq(vfs_mkdir(vfs, "s"), 0);
    manifest_init(&manifest);
    cr_assert_eq(manifest_segment_add(&manifest, 1, 1), 0);
    cr_assert_eq(manifest_floor_set(&manifest, &floor), -EFBIG);
    cr_assert_eq(manifest.floor_count, 0);
    cr_assert_eq(manifest_segment_add(&manifest, 2, 2), 0);
    write_queued(&manifest, vfs);
    cr_assert_eq(manifest.edits_durable, 2);
    manifest_init(&loaded);
    cr_assert_eq(manifest_load(&loaded, vfs, "s"), 0);
    cr_assert(loaded.segment_count == 2 && loaded.floor_count == 0);
    manifest_deinit(&loaded);
    manifest_deinit(&manifest);
    vfs_mem_free(vfs);
}

/* It stands for a checkpoint: it goes with its segment only when there is another one. */
Test(manifest_file, a_floor_whose_state_nothing_else_has_stays)
{
    struct manifest manifest;
    uint8_t state[] = {1, 2, 3};
    struct manifest_floor floor = {
        .partition = 2, .segment = 5, .state = state, .state_size = sizeof(state)};

    manifest_init(&manifest);
    cr_assert_eq(manifest_floor_set(&manifest, &floor), 0);
    manifest_spans_prune(&manifest);
    cr_assert_eq(manifest.floor_count, 1, "there is no segment yet");
    cr_assert_eq(manifest_segment_add(&manifest, 7, 2), 0);
    manifest_spans_prune(&manifest);
    cr_assert_eq(manifest.floor_count, 1);
    cr_assert_arr_eq(manifest_floor_find(&manifest, 2)->state, state, sizeof(state));
    manifest_floor_release(&manifest, 2);
    manifest_spans_prune(&manifest);
    cr_assert_eq(manifest.floor_count, 0);
    manifest_deinit(&manifest);
}
