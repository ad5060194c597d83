/* What says whose a data directory is, and which files a shard has. */
#include "golden.h"
#include "storage/codec.h"
#include "storage/datadir.h"
#include "storage/manifest.h"

#include <assert.h>
#include <string.h>

/* --- IDENTITY ------------------------------------------------------------------------------- */

static struct datadir_identity an_identity(bool locked)
{
    struct datadir_identity identity = {.locked = locked, .shards = 4, .created_ms = 1700000000123};

    golden_fill(identity.cluster, sizeof identity.cluster, 1);
    golden_fill(identity.key, sizeof identity.key, 0x32);
    return identity;
}

static void make_identity_of(const struct datadir_identity *identity, struct wire_buffer *out)
{
    struct vfs *vfs = vfs_mem_new();
    struct datadir_identity held;
    struct datadir *datadir;

    assert(datadir_open(&datadir, vfs, identity, false, &held) == 0);
    datadir_close(datadir);
    golden_take_file(vfs, "IDENTITY", out);
    vfs_mem_free(vfs);
}

static const char *check_identity_of(const struct datadir_identity *want, const uint8_t *bytes,
                                     size_t size)
{
    struct vfs *vfs = vfs_mem_new();
    struct wire_buffer again = {0};
    struct datadir_identity found;
    int r;

    golden_put_file(vfs, "IDENTITY", bytes, size);
    r = datadir_peek(vfs, &found);
    vfs_mem_free(vfs);
    GOLDEN_EXPECT(r == 0);
    GOLDEN_EXPECT(found.locked == want->locked && found.shards == want->shards &&
                  found.created_ms == want->created_ms);
    GOLDEN_EXPECT(memcmp(found.cluster, want->cluster, sizeof found.cluster) == 0);
    GOLDEN_EXPECT(memcmp(found.key, want->key, sizeof found.key) == 0);
    make_identity_of(&found, &again);
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    return NULL;
}

static void make_identity(struct wire_buffer *out)
{
    struct datadir_identity identity = an_identity(false);

    make_identity_of(&identity, out);
}

static const char *check_identity(const uint8_t *bytes, size_t size)
{
    struct datadir_identity identity = an_identity(false);

    return check_identity_of(&identity, bytes, size);
}

static void make_identity_locked(struct wire_buffer *out)
{
    struct datadir_identity identity = an_identity(true);

    make_identity_of(&identity, out);
}

static const char *check_identity_locked(const uint8_t *bytes, size_t size)
{
    struct datadir_identity identity = an_identity(true);

    return check_identity_of(&identity, bytes, size);
}

/* --- MANIFEST ------------------------------------------------------------------------------- */

/* Without the zeros that a manifest is given to grow into. */
static void take_manifest(const struct manifest *manifest, struct wire_buffer *out)
{
    uint8_t bytes[MANIFEST_HEADER_SIZE + MANIFEST_ROOM_SIZE];
    int64_t got = vfs_pread(manifest->file, bytes, sizeof bytes, 0);

    assert(got >= (int64_t)manifest->position && manifest->position < sizeof bytes);
    wire_put_raw(out, bytes, (size_t)manifest->position);
}

static void fill_manifest(struct manifest *manifest)
{
    static const uint16_t partitions[] = {1, 3, 0xffff};
    static uint8_t state[] = "state of a snapshot";
    uint8_t hash[MANIFEST_HASH_SIZE];

    golden_fill(hash, sizeof hash, 9);
    assert(manifest_found(manifest, hash, partitions, 3) == 0);
    for (uint64_t number = 1; number <= 3; number++)
        assert(manifest_segment_add(manifest, number, 10 + number) == 0);
    assert(manifest_segment_seal(manifest, 1, 4096, 5) == 0);
    assert(manifest_segment_retire(manifest, 1) == 0);
    assert(manifest_segment_seal(manifest, 2, 8192, 9) == 0);
    assert(manifest_span_add(manifest,
                             &(struct manifest_span){
                                 .segment = 2, .offset = 1024, .partition = 3, .first = 40}) == 0);
    assert(manifest_cask_number(manifest) == 1);
    assert(manifest_cask_add(manifest, &(struct manifest_cask){.partition = 3,
                                                               .number = 1,
                                                               .stamp = 0x1122334455667788,
                                                               .length = 65536,
                                                               .count = 100,
                                                               .tombstones = 7,
                                                               .index_min = 2,
                                                               .index_max = 39}) == 0);
    assert(manifest_floor_set(manifest, &(struct manifest_floor){.partition = 1,
                                                                 .segment = 2,
                                                                 .offset = 512,
                                                                 .state_size = sizeof state,
                                                                 .state = state}) == 0);
}

static const char *check_filled(const struct manifest *manifest)
{
    const struct manifest_segment *segments = manifest->segments;
    const struct manifest_cask *cask = manifest_cask_find(manifest, 3, 1);
    const struct manifest_floor *floor = manifest_floor_find(manifest, 1);

    GOLDEN_EXPECT(manifest->founded && manifest->hash[31] == 9 + 31);
    GOLDEN_EXPECT(manifest->partition_count == 3 && manifest->partitions[2] == 0xffff);
    GOLDEN_EXPECT(manifest->next_number == 4 && manifest->next_epoch == 14);
    GOLDEN_EXPECT(manifest->segment_count == 3 && segments[2].epoch == 13 && !segments[2].sealed);
    GOLDEN_EXPECT(segments[0].sealed && segments[0].retired && segments[0].last_batch == 5);
    GOLDEN_EXPECT(segments[1].sealed && !segments[1].retired && segments[1].length == 8192);
    GOLDEN_EXPECT(manifest->span_count == 1 && manifest->spans[0].first == 40 &&
                  manifest->spans[0].offset == 1024 && manifest->spans[0].segment == 2);
    GOLDEN_EXPECT(cask && cask->stamp == 0x1122334455667788 && cask->length == 65536 &&
                  cask->count == 100 && cask->tombstones == 7 && cask->index_min == 2 &&
                  cask->index_max == 39);
    GOLDEN_EXPECT(floor && floor->segment == 2 && floor->offset == 512);
    GOLDEN_EXPECT(floor->state_size == 20 &&
                  strcmp((char *)floor->state, "state of a snapshot") == 0);
    return NULL;
}

static void make_manifest(struct wire_buffer *out)
{
    struct vfs *vfs = vfs_mem_new();
    struct manifest manifest;

    assert(vfs_mkdir(vfs, "s") == 0);
    manifest_init(&manifest);
    fill_manifest(&manifest);
    assert(manifest_rewrite(&manifest, vfs, "s") == 0);
    take_manifest(&manifest, out);
    manifest_deinit(&manifest);
    vfs_mem_free(vfs);
}

static int load_manifest(struct manifest *manifest, struct vfs *vfs, const uint8_t *bytes,
                         size_t size)
{
    assert(vfs_mkdir(vfs, "s") == 0);
    golden_put_file(vfs, "s/MANIFEST", bytes, size);
    manifest_init(manifest);
    return manifest_load(manifest, vfs, "s");
}

/* What is written is of the newest version, whatever was read. */
static const char *compare_written(struct wire_buffer *again, const uint8_t *bytes, size_t size,
                                   const char *wrong)
{
    bool newest = codec_get_u32(bytes + 8) == MANIFEST_VERSION;
    bool same = golden_same(again, bytes, size);

    GOLDEN_EXPECT(same || !newest);
    return wrong;
}

static const char *check_manifest(const uint8_t *bytes, size_t size)
{
    struct vfs *vfs = vfs_mem_new();
    struct wire_buffer again = {0};
    struct manifest manifest;
    const char *wrong;

    GOLDEN_EXPECT(load_manifest(&manifest, vfs, bytes, size) == 0);
    wrong = check_filled(&manifest);
    manifest.sequence = 0; /* groups of a new file go on counting: this one began */
    assert(manifest_rewrite(&manifest, vfs, "s") == 0);
    take_manifest(&manifest, &again);
    manifest_deinit(&manifest);
    vfs_mem_free(vfs);
    return compare_written(&again, bytes, size, wrong);
}

static void edit_files(struct manifest *manifest)
{
    assert(manifest_segment_drop(manifest, 1) == 0);
    assert(manifest_segment_retire(manifest, 2) == 0);
    assert(manifest_cask_drop(manifest, 3, 1) == 0);
}

/* Partition 7 comes, partition 1 goes. */
static void edit_hosting(struct manifest *manifest)
{
    assert(manifest_host(manifest, 7) == 0);
    assert(manifest_unhost(manifest, 1) == 0);
    assert(manifest_end(manifest, 1, 940) == 0);
}

static void append_edits(struct manifest *manifest, struct vfs *vfs,
                         void (*edit)(struct manifest *manifest))
{
    struct manifest_write write;

    edit(manifest);
    assert(manifest_write_begin(manifest, vfs, "s", &write) == 0);
    manifest_write_end(manifest, &write, manifest_write_run(&write));
    assert(!manifest_pending(manifest));
}

/* The same with edits behind it, in a group of their own. */
static void make_edited(struct wire_buffer *out, void (*edit)(struct manifest *manifest))
{
    struct vfs *vfs = vfs_mem_new();
    struct manifest manifest;

    assert(vfs_mkdir(vfs, "s") == 0);
    manifest_init(&manifest);
    fill_manifest(&manifest);
    assert(manifest_rewrite(&manifest, vfs, "s") == 0);
    append_edits(&manifest, vfs, edit);
    take_manifest(&manifest, out);
    manifest_deinit(&manifest);
    vfs_mem_free(vfs);
}

/* Two snapshots come in; one is over, of the other two casks are there. */
static void edit_installs(struct manifest *manifest)
{
    static const uint8_t state[] = "what it began with";
    struct manifest_install_cask one = {.cask = {.partition = 3,
                                                 .number = 2,
                                                 .stamp = 0x8877665544332211,
                                                 .length = 4096,
                                                 .count = 9,
                                                 .index_min = 3,
                                                 .index_max = 38,
                                                 .key_id = 1},
                                        .position = 0x4000000000000000};

    assert(manifest_install_begin(manifest, 3, state, sizeof state) == 0);
    assert(manifest_install_add(manifest, &one) == 0);
    one.cask.number = 3;
    one.position = 0x8000000000000000;
    assert(manifest_install_add(manifest, &one) == 0);
    assert(manifest_install_begin(manifest, 1, NULL, 0) == 0);
    assert(manifest_install_end(manifest, 1) == 0);
}

static void make_manifest_edits(struct wire_buffer *out)
{
    make_edited(out, edit_files);
}

static void make_manifest_hosting(struct wire_buffer *out)
{
    make_edited(out, edit_hosting);
}

static void make_manifest_installs(struct wire_buffer *out)
{
    make_edited(out, edit_installs);
}

static const char *check_manifest_edits(const uint8_t *bytes, size_t size)
{
    struct vfs *vfs = vfs_mem_new();
    struct wire_buffer again = {0};
    struct manifest manifest;
    bool good;

    GOLDEN_EXPECT(load_manifest(&manifest, vfs, bytes, size) == 0);
    good = manifest.segment_count == 2 && manifest.segments[0].number == 2 &&
           manifest.segments[0].retired && manifest.cask_count == 0 && manifest.next_cask == 2 &&
           manifest.sequence == 2;
    manifest_deinit(&manifest);
    vfs_mem_free(vfs);
    GOLDEN_EXPECT(good);
    make_manifest_edits(&again);
    return compare_written(&again, bytes, size, NULL);
}

static const char *check_manifest_hosting(const uint8_t *bytes, size_t size)
{
    struct vfs *vfs = vfs_mem_new();
    struct wire_buffer again = {0};
    struct manifest manifest;
    bool good;

    GOLDEN_EXPECT(load_manifest(&manifest, vfs, bytes, size) == 0);
    good = manifest.partition_count == 3 && manifest.partitions[0] == 3 &&
           manifest.partitions[2] == 7 && manifest_ended(&manifest, 1) == 940 &&
           manifest_ended(&manifest, 3) == 0 && manifest_floor_find(&manifest, 1);
    manifest_deinit(&manifest);
    vfs_mem_free(vfs);
    GOLDEN_EXPECT(good);
    make_manifest_hosting(&again);
    return compare_written(&again, bytes, size, NULL);
}

static bool installs_are_good(const struct manifest *manifest)
{
    const struct manifest_install *install = manifest_install_find(manifest, 3);
    const struct manifest_install_cask *casks = manifest->install_casks;

    return manifest->install_count == 1 && install->state_size == 19 &&
           strcmp((char *)install->state, "what it began with") == 0 &&
           manifest_install_casks(manifest, 3) == 2 && casks[0].cask.number == 2 &&
           casks[0].cask.stamp == 0x8877665544332211 && casks[0].cask.key_id == 1 &&
           casks[0].cask.length == 4096 && casks[0].position == 0x4000000000000000 &&
           casks[1].cask.number == 3 && casks[1].position == 0x8000000000000000 &&
           manifest->cask_count == 1 && manifest->next_cask == 4;
}

static const char *check_manifest_installs(const uint8_t *bytes, size_t size)
{
    struct vfs *vfs = vfs_mem_new();
    struct wire_buffer again = {0};
    struct manifest manifest;
    bool good;

    GOLDEN_EXPECT(load_manifest(&manifest, vfs, bytes, size) == 0);
    good = installs_are_good(&manifest);
    manifest_deinit(&manifest);
    vfs_mem_free(vfs);
    GOLDEN_EXPECT(good);
    make_manifest_installs(&again);
    return compare_written(&again, bytes, size, NULL);
}

static const char *check_manifest_1(const uint8_t *bytes, size_t size)
{
    struct vfs *vfs = vfs_mem_new();
    struct manifest manifest;
    bool good;

    GOLDEN_EXPECT(load_manifest(&manifest, vfs, bytes, size) == 0);
    good = manifest.founded && manifest.partition_count == 3 && manifest.segment_count == 2 &&
           manifest.segments[0].sealed && manifest.segments[0].length == 4096 &&
           manifest.next_number == 6 && manifest.next_epoch == 11 && manifest.next_cask == 1 &&
           manifest.span_count == 1 && manifest.cask_count == 0;
    manifest_deinit(&manifest);
    vfs_mem_free(vfs);
    GOLDEN_EXPECT(good);
    return NULL;
}

const struct golden golden_storage[] = {
    {"identity-1", make_identity, check_identity},
    {"identity-2", make_identity_locked, check_identity_locked},
    {"manifest-1", NULL, check_manifest_1},
    {"manifest-2", NULL, check_manifest},
    {"manifest-2-edits", NULL, check_manifest_edits},
    {"manifest-3", NULL, check_manifest},
    {"manifest-3-edits", NULL, check_manifest_edits},
    {"manifest-3-hosting", NULL, check_manifest_hosting},
    {"manifest-4", make_manifest, check_manifest},
    {"manifest-4-edits", make_manifest_edits, check_manifest_edits},
    {"manifest-4-hosting", make_manifest_hosting, check_manifest_hosting},
    {"manifest-4-installs", make_manifest_installs, check_manifest_installs},
};
const size_t golden_storage_count = sizeof golden_storage / sizeof *golden_storage;
