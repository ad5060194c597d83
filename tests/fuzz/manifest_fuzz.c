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

/* The state as items, applied to nothing, is the state. */
static void try_again(struct manifest *loaded)
{
    struct manifest again;
    size_t at = 0;

    must(manifest_queue_state(loaded) == 0);
    manifest_init(&again);
    while (at < loaded->queued_size) {
        struct manifest_item item;

        must(manifest_item_decode(loaded->queued + at, loaded->queued_size - at, &item) == 0);
        must(manifest_apply(&again, &item) == 0);
        at += item.size;
    }
    must(again.segment_count == loaded->segment_count && again.span_count == loaded->span_count);
    must(again.cask_count == loaded->cask_count && again.floor_count == loaded->floor_count);
    must(again.next_number == loaded->next_number && again.next_epoch == loaded->next_epoch);
    must(again.next_batch == loaded->next_batch && again.next_cask == loaded->next_cask);
    for (size_t i = 0; i < again.segment_count; i++)
        must(again.segments[i].number == loaded->segments[i].number &&
             again.segments[i].retired == loaded->segments[i].retired);
    for (size_t i = 1; i < again.cask_count; i++)
        must(again.casks[i - 1].partition < again.casks[i].partition ||
             again.casks[i - 1].number < again.casks[i].number);
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

static void seed_edit(struct dice *dice, struct manifest *manifest)
{
    uint16_t partition = (uint16_t)dice_below(dice, 5);
    struct manifest_segment *segment =
        manifest->segment_count > 0 ? &manifest->segments[dice_below(dice, manifest->segment_count)]
                                    : NULL;
    struct manifest_cask cask = {.partition = partition,
                                 .stamp = dice_next(dice),
                                 .length = 4096,
                                 .count = 5,
                                 .index_min = 1,
                                 .index_max = dice_number(dice, 40) + 1};
    uint8_t state[16] = {1, 2, 3};
    struct manifest_floor floor = {.partition = partition,
                                   .segment = dice_below(dice, 9),
                                   .state_size = (uint32_t)dice_below(dice, sizeof(state)),
                                   .state = state};
    struct manifest_span span = {.segment = 3, .offset = 512, .partition = partition, .first = 9};

    switch (dice_below(dice, 7)) {
    case 0:
        manifest_segment_add(manifest, manifest->next_number, manifest->next_epoch);
        break;
    case 1:
        if (segment && !segment->sealed)
            manifest_segment_seal(manifest, segment->number, 4096, 3);
        break;
    case 2:
        if (segment && segment->sealed && !segment->retired &&
            (segment == manifest->segments || segment[-1].retired))
            manifest_segment_retire(manifest, segment->number);
        break;
    case 3:
        cask.number = manifest_cask_number(manifest);
        manifest_cask_add(manifest, &cask);
        break;
    case 4:
        if (manifest->cask_count > 0)
            manifest_cask_drop(manifest, manifest->casks[0].partition, manifest->casks[0].number);
        break;
    case 5:
        manifest_floor_set(manifest, &floor);
        break;
    default:
        manifest_span_add(manifest, &span);
        break;
    }
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

        for (uint64_t i = 0, count = dice_below(dice, 8); i < count; i++)
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
