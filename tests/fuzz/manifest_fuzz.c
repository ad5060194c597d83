/* The reader of manifests: a file that loads is a state that can be written and loads again as the
 * same. Tried as it is, and again with all checksums made right. */
#include "fuzz_vfs.h"

#include "storage/checksum.h"
#include "storage/codec.h"
#include "storage/manifest.h"

#include <stdlib.h>
#include <string.h>

static void must(bool fact)
{
    if (!fact)
        abort();
}

static void apply_all(struct manifest *manifest, const uint8_t *items, size_t size)
{
    size_t at = 0;

    while (at < size) {
        struct manifest_item item;

        must(manifest_item_decode(items + at, size - at, &item) == 0);
        must(manifest_apply(manifest, &item) == 0);
        at += item.size;
    }
}

static void must_be_alike(const struct manifest *one, const struct manifest *other)
{
    must(one->founded == other->founded && one->partition_count == other->partition_count);
    must(one->segment_count == other->segment_count && one->span_count == other->span_count);
    must(one->cask_count == other->cask_count && one->floor_count == other->floor_count);
    must(one->ended_count == other->ended_count && one->install_count == other->install_count);
    must(one->install_cask_count == other->install_cask_count);
    must(one->next_number == other->next_number && one->next_epoch == other->next_epoch);
    must(one->next_batch == other->next_batch && one->next_cask == other->next_cask);
}

/* What else a loaded state may be taken for. */
static void must_hold(const struct manifest *manifest)
{
    for (size_t i = 1; i < manifest->cask_count; i++)
        must(manifest->casks[i - 1].partition < manifest->casks[i].partition ||
             manifest->casks[i - 1].number < manifest->casks[i].number);
    for (size_t i = 1; i < manifest->ended_count; i++)
        must(manifest->ended[i - 1].partition < manifest->ended[i].partition);
    for (size_t i = 0; i < manifest->ended_count; i++)
        must(manifest_ended(manifest, manifest->ended[i].partition) == manifest->ended[i].life);
    for (size_t i = 0; i < manifest->install_cask_count; i++) {
        const struct manifest_install_cask *one = &manifest->install_casks[i];

        must(one->position > 0 && manifest_install_find(manifest, one->cask.partition));
        must(!manifest_cask_find(manifest, one->cask.partition, one->cask.number));
    }
}

/* The state as items, applied to nothing, is the state: it has the same items. */
static void try_again(struct manifest *loaded)
{
    struct manifest again;

    must(manifest_queue_state(loaded) == 0);
    manifest_init(&again);
    apply_all(&again, loaded->queued, loaded->queued_size);
    must_be_alike(&again, loaded);
    must_hold(&again);
    must(manifest_queue_state(&again) == 0);
    must(again.queued_size == loaded->queued_size);
    must(again.queued_size == 0 || memcmp(again.queued, loaded->queued, loaded->queued_size) == 0);
    manifest_deinit(&again);
}

static void try_one(uint8_t *data, size_t size)
{
    struct fuzz_vfs fuzz;
    struct manifest manifest;

    fuzz_vfs_init(&fuzz, data, size, size);
    manifest_init(&manifest);
    if (manifest_load(&manifest, &fuzz.vfs, "s") == 0) {
        manifest_spans_prune(&manifest);
        try_again(&manifest);
    }
    manifest_deinit(&manifest);
}

static void reseal(uint8_t *data, size_t size)
{
    size_t at = MANIFEST_HEADER_SIZE;

    codec_put_u64(data + 24, checksum(data, 24));
    while (at + MANIFEST_GROUP_HEAD_SIZE <= size) {
        uint8_t *group = data + at;
        size_t whole = codec_get_u32(group + 4);

        if (whole < MANIFEST_GROUP_HEAD_SIZE || whole > size - at)
            return;
        codec_put_u64(group + 16, checksum_pair(group, 16, group + 24, whole - 24, 0));
        at += whole;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);

    if (!copy)
        abort();
    memcpy(copy, data, size);
    try_one(copy, size);
    if (size >= MANIFEST_HEADER_SIZE) {
        reseal(copy, size);
        try_one(copy, size);
    }
    free(copy);
    return 0;
}

static void seed_segment(struct dice *dice, struct manifest *manifest)
{
    struct manifest_segment *segment =
        manifest->segment_count > 0 ? &manifest->segments[dice_below(dice, manifest->segment_count)]
                                    : NULL;

    if (!segment || dice_below(dice, 3) == 0)
        manifest_segment_add(manifest, manifest->next_number, manifest->next_epoch);
    else if (!segment->sealed)
        manifest_segment_seal(manifest, segment->number, 4096, 3);
    else if (!segment->retired && (segment == manifest->segments || segment[-1].retired))
        manifest_segment_retire(manifest, segment->number);
    else if (segment->retired)
        manifest_segment_drop(manifest, segment->number);
}

static void seed_journal(struct dice *dice, struct manifest *manifest, uint16_t partition)
{
    uint8_t state[16] = {1, 2, 3};
    struct manifest_floor floor = {.partition = partition,
                                   .segment = dice_below(dice, 9),
                                   .state_size = (uint32_t)dice_below(dice, sizeof(state)),
                                   .state = state};
    struct manifest_span span = {.segment = 3, .offset = 512, .partition = partition, .first = 9};

    if (dice_below(dice, 2) == 0)
        manifest_floor_set(manifest, &floor);
    else
        manifest_span_add(manifest, &span);
}

static struct manifest_cask seed_cask(struct dice *dice, struct manifest *manifest,
                                      uint16_t partition)
{
    return (struct manifest_cask){.partition = partition,
                                  .number = manifest_cask_number(manifest),
                                  .stamp = dice_next(dice),
                                  .length = 4096,
                                  .count = 5,
                                  .tombstones = (uint32_t)dice_below(dice, 6),
                                  .index_min = 1,
                                  .index_max = dice_number(dice, 40) + 1,
                                  .key_id = (uint8_t)dice_below(dice, 3)};
}

static void seed_casks(struct dice *dice, struct manifest *manifest, uint16_t partition)
{
    struct manifest_cask cask;

    if (manifest->cask_count > 0 && dice_below(dice, 2) == 0) {
        manifest_cask_drop(manifest, manifest->casks[0].partition, manifest->casks[0].number);
        return;
    }
    cask = seed_cask(dice, manifest, partition);
    manifest_cask_add(manifest, &cask);
}

static bool is_hosted(const struct manifest *manifest, uint16_t partition)
{
    for (size_t i = 0; i < manifest->partition_count; i++)
        if (manifest->partitions[i] == partition)
            return true;
    return false;
}

/* Partitions come, and go with what is over of them. */
static void seed_hosting(struct dice *dice, struct manifest *manifest, uint16_t partition)
{
    size_t casks;

    manifest_casks(manifest, partition, &casks);
    if (!is_hosted(manifest, partition)) {
        manifest_host(manifest, partition);
    } else if (casks == 0 && !manifest_install_find(manifest, partition)) {
        manifest_unhost(manifest, partition);
        manifest_end(manifest, partition, 1 + dice_number(dice, 20));
    }
}

/* Snapshots come in, cask by cask, and are over, or given up. */
static void seed_install(struct dice *dice, struct manifest *manifest, uint16_t partition)
{
    uint8_t state[24] = {3, 2, 1};
    struct manifest_install_cask one;

    if (!is_hosted(manifest, partition))
        return;
    if (!manifest_install_find(manifest, partition)) {
        manifest_install_begin(manifest, partition, state, dice_below(dice, sizeof state));
    } else if (dice_below(dice, 4) == 0) {
        manifest_install_end(manifest, partition);
    } else {
        one.cask = seed_cask(dice, manifest, partition);
        one.position = 1 + dice_number(dice, 60);
        manifest_install_add(manifest, &one);
    }
}

/* Partitions are few, so that edits meet. */
static void seed_edit(struct dice *dice, struct manifest *manifest)
{
    static void (*const kinds[])(struct dice *, struct manifest *, uint16_t) = {
        seed_journal, seed_casks, seed_hosting, seed_install, seed_install};
    uint16_t partition = (uint16_t)dice_below(dice, 7);
    uint64_t kind = dice_below(dice, 7);

    if (kind < 5)
        kinds[kind](dice, manifest, partition);
    else
        seed_segment(dice, manifest);
}

size_t fuzz_seed(struct dice *dice, uint8_t *out)
{
    static const uint16_t partitions[] = {0, 1, 2, 3, 4};
    static const uint8_t hash[MANIFEST_HASH_SIZE];
    uint64_t groups = 1 + dice_below(dice, 4);
    struct manifest manifest;
    size_t size = 0;

    manifest_init(&manifest);
    must(manifest_found(&manifest, hash, partitions, 5) == 0);
    for (uint64_t g = 0; g < groups; g++) {
        struct manifest_write write;
        struct fuzz_vfs fuzz;

        for (uint64_t i = 0, count = dice_below(dice, 16); i < count; i++)
            seed_edit(dice, &manifest);
        fuzz_vfs_init(&fuzz, out, size, FUZZ_INPUT_SIZE_MAX);
        manifest.file = g > 0 ? &fuzz.file : NULL;
        must(manifest_write_begin(&manifest, &fuzz.vfs, "s", &write) == 0);
        memcpy(out + write.offset, write.bytes, write.position_end - write.offset);
        size = (size_t)write.position_end;
        manifest_write_end(&manifest, &write, 0);
        manifest.capacity = FUZZ_INPUT_SIZE_MAX;
        manifest.file = NULL;
    }
    manifest_deinit(&manifest);
    return size;
}
