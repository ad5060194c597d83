#include "storage/manifest_items.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/codec.h"
#include "storage/grow.h"

static struct manifest_segment *segment_find(struct manifest *manifest, uint64_t number)
{
    for (size_t i = 0; i < manifest->segment_count; i++)
        if (manifest->segments[i].number == number)
            return &manifest->segments[i];
    return NULL;
}

static int apply_founded(struct manifest *manifest, const uint8_t *payload, size_t size)
{
    size_t count;
    int r;

    if (size < MANIFEST_HASH_SIZE + 8 || manifest->founded)
        return MANIFEST_E_CORRUPT;
    count = codec_get_u32(payload + MANIFEST_HASH_SIZE);
    if (count > 65536 || size != MANIFEST_HASH_SIZE + 8 + 2 * count)
        return MANIFEST_E_CORRUPT;
    r = GROW(manifest->partitions, manifest->partition_capacity, count);
    if (r != 0)
        return r;
    for (size_t i = 0; i < count; i++)
        manifest->partitions[i] = codec_get_u16(payload + MANIFEST_HASH_SIZE + 8 + 2 * i);
    memcpy(manifest->hash, payload, MANIFEST_HASH_SIZE);
    manifest->partition_count = count;
    manifest->founded = true;
    return 0;
}

static size_t partition_at(const struct manifest *manifest, uint16_t partition)
{
    size_t at = 0;

    while (at < manifest->partition_count && manifest->partitions[at] != partition)
        at++;
    return at;
}

static int apply_host(struct manifest *manifest, const uint8_t *payload, size_t size)
{
    uint16_t partition;
    int r;

    if (size != MANIFEST_HOST_SIZE || !manifest->founded)
        return MANIFEST_E_CORRUPT;
    partition = codec_get_u16(payload);
    if (partition_at(manifest, partition) < manifest->partition_count)
        return MANIFEST_E_CORRUPT;
    r = GROW(manifest->partitions, manifest->partition_capacity, manifest->partition_count + 1);
    if (r != 0)
        return r;
    manifest->partitions[manifest->partition_count++] = partition;
    return 0;
}

static int apply_unhost(struct manifest *manifest, const uint8_t *payload, size_t size)
{
    size_t at, casks;

    if (size != MANIFEST_HOST_SIZE)
        return MANIFEST_E_CORRUPT;
    at = partition_at(manifest, codec_get_u16(payload));
    if (at == manifest->partition_count)
        return MANIFEST_E_CORRUPT;
    manifest_casks(manifest, manifest->partitions[at], &casks);
    if (casks > 0 || manifest_install_find(manifest, manifest->partitions[at]))
        return MANIFEST_E_CORRUPT;
    manifest->partition_count--;
    memmove(&manifest->partitions[at], &manifest->partitions[at + 1],
            (manifest->partition_count - at) * sizeof(*manifest->partitions));
    return 0;
}

static int apply_counters(struct manifest *manifest, const uint8_t *payload, size_t size)
{
    if (size != MANIFEST_COUNTERS_SIZE && size != MANIFEST_COUNTERS_SIZE_1)
        return MANIFEST_E_CORRUPT;
    if (codec_get_u64(payload) == 0 || codec_get_u64(payload + 8) == 0)
        return MANIFEST_E_CORRUPT;
    if (size == MANIFEST_COUNTERS_SIZE) {
        if (codec_get_u64(payload + 24) == 0)
            return MANIFEST_E_CORRUPT;
        manifest->next_cask = codec_get_u64(payload + 24);
    }
    manifest->next_number = codec_get_u64(payload);
    manifest->next_epoch = codec_get_u64(payload + 8);
    manifest->next_batch = codec_get_u64(payload + 16);
    manifest->whole = true;
    return 0;
}

static int apply_add(struct manifest *manifest, const uint8_t *payload, size_t size)
{
    uint64_t number, epoch;
    int r;

    if (size != 16)
        return MANIFEST_E_CORRUPT;
    number = codec_get_u64(payload);
    epoch = codec_get_u64(payload + 8);
    if (number == 0 || epoch == 0 || number == UINT64_MAX || epoch == UINT64_MAX)
        return MANIFEST_E_CORRUPT;
    if (manifest->segment_count > 0 &&
        manifest->segments[manifest->segment_count - 1].number >= number)
        return MANIFEST_E_CORRUPT;
    r = GROW(manifest->segments, manifest->segment_capacity, manifest->segment_count + 1);
    if (r != 0)
        return r;
    manifest->segments[manifest->segment_count++] =
        (struct manifest_segment){.number = number, .epoch = epoch};
    if (number >= manifest->next_number)
        manifest->next_number = number + 1;
    if (epoch >= manifest->next_epoch)
        manifest->next_epoch = epoch + 1;
    return 0;
}

static int apply_seal(struct manifest *manifest, const uint8_t *payload, size_t size)
{
    struct manifest_segment *segment;

    if (size != 24)
        return MANIFEST_E_CORRUPT;
    segment = segment_find(manifest, codec_get_u64(payload));
    if (!segment || segment->sealed || codec_get_u64(payload + 8) > UINT32_MAX)
        return MANIFEST_E_CORRUPT;
    segment->sealed = true;
    segment->length = (uint32_t)codec_get_u64(payload + 8);
    segment->last_batch = codec_get_u64(payload + 16);
    return 0;
}

static int apply_drop(struct manifest *manifest, const uint8_t *payload, size_t size)
{
    struct manifest_segment *segment;
    size_t at;

    if (size != 8)
        return MANIFEST_E_CORRUPT;
    segment = segment_find(manifest, codec_get_u64(payload));
    if (!segment)
        return MANIFEST_E_CORRUPT;
    if (segment->sealed && segment->last_batch >= manifest->next_batch)
        manifest->next_batch = segment->last_batch + 1;
    at = (size_t)(segment - manifest->segments);
    memmove(segment, segment + 1, (manifest->segment_count - at - 1) * sizeof(*segment));
    manifest->segment_count--;
    return 0;
}

static int apply_span(struct manifest *manifest, const uint8_t *payload, size_t size)
{
    struct manifest_span span;
    int r;

    if (size != 24)
        return MANIFEST_E_CORRUPT;
    span = (struct manifest_span){
        .segment = codec_get_u64(payload),
        .offset = codec_get_u32(payload + 8),
        .partition = codec_get_u16(payload + 12),
        .first = codec_get_u64(payload + 16),
    };
    r = GROW(manifest->spans, manifest->span_capacity, manifest->span_count + 1);
    if (r != 0)
        return r;
    manifest->spans[manifest->span_count++] = span;
    return 0;
}

static int apply_retire(struct manifest *manifest, const uint8_t *payload, size_t size)
{
    struct manifest_segment *segment;

    if (size != 8)
        return MANIFEST_E_CORRUPT;
    segment = segment_find(manifest, codec_get_u64(payload));
    if (!segment || !segment->sealed || segment->retired)
        return MANIFEST_E_CORRUPT;
    if (segment > manifest->segments && !segment[-1].retired)
        return MANIFEST_E_CORRUPT; /* retired ones are a prefix of the journal */
    segment->retired = true;
    return 0;
}

/* Of one that is not listed yet. */
static int cask_decode(const struct manifest *manifest, const uint8_t *payload,
                       struct manifest_cask *cask)
{
    *cask = (struct manifest_cask){
        .number = codec_get_u64(payload),
        .partition = codec_get_u16(payload + 8),
        .key_id = payload[10],
        .length = codec_get_u32(payload + 12),
        .stamp = codec_get_u64(payload + 16),
        .index_min = codec_get_u64(payload + 24),
        .index_max = codec_get_u64(payload + 32),
        .count = codec_get_u32(payload + 40),
        .tombstones = codec_get_u32(payload + 44),
    };
    if (cask->number == 0 || cask->number == UINT64_MAX || cask->index_min > cask->index_max ||
        cask->tombstones > cask->count ||
        manifest_cask_find(manifest, cask->partition, cask->number) ||
        manifest_install_lists(manifest, cask->number))
        return MANIFEST_E_CORRUPT;
    return 0;
}

static void cask_count_number(struct manifest *manifest, uint64_t number)
{
    if (number >= manifest->next_cask)
        manifest->next_cask = number + 1;
}

static int apply_cask_add(struct manifest *manifest, const uint8_t *payload, size_t size)
{
    struct manifest_cask cask;
    size_t at;
    int r =
        size == MANIFEST_CASK_ADD_SIZE ? cask_decode(manifest, payload, &cask) : MANIFEST_E_CORRUPT;

    if (r == 0)
        r = GROW(manifest->casks, manifest->cask_capacity, manifest->cask_count + 1);
    if (r != 0)
        return r;
    at = manifest_cask_at(manifest, cask.partition, cask.number);
    memmove(&manifest->casks[at + 1], &manifest->casks[at],
            (manifest->cask_count - at) * sizeof(cask));
    manifest->casks[at] = cask;
    manifest->cask_count++;
    cask_count_number(manifest, cask.number);
    return 0;
}

static int apply_cask_drop(struct manifest *manifest, const uint8_t *payload, size_t size)
{
    const struct manifest_cask *cask;
    size_t at;

    if (size != MANIFEST_CASK_DROP_SIZE)
        return MANIFEST_E_CORRUPT;
    cask = manifest_cask_find(manifest, codec_get_u16(payload + 8), codec_get_u64(payload));
    if (!cask)
        return MANIFEST_E_CORRUPT;
    at = (size_t)(cask - manifest->casks);
    manifest->cask_count--;
    memmove(&manifest->casks[at], &manifest->casks[at + 1],
            (manifest->cask_count - at) * sizeof(*cask));
    return 0;
}

static int floor_decode(const uint8_t *payload, size_t size, struct manifest_floor *floor)
{
    if (size < MANIFEST_FLOOR_SIZE || size - MANIFEST_FLOOR_SIZE > UINT32_MAX)
        return MANIFEST_E_CORRUPT;
    *floor = (struct manifest_floor){
        .segment = codec_get_u64(payload),
        .offset = codec_get_u32(payload + 8),
        .partition = codec_get_u16(payload + 12),
        .state_size = (uint32_t)(size - MANIFEST_FLOOR_SIZE),
        .held = size > MANIFEST_FLOOR_SIZE,
    };
    if (floor->state_size == 0)
        return 0;
    floor->state = malloc(floor->state_size);
    if (!floor->state)
        return -ENOMEM;
    memcpy(floor->state, payload + MANIFEST_FLOOR_SIZE, floor->state_size);
    return 0;
}

static int apply_floor(struct manifest *manifest, const uint8_t *payload, size_t size)
{
    struct manifest_floor floor;
    size_t at;
    int r = floor_decode(payload, size, &floor);

    if (r != 0)
        return r;
    at = manifest_floor_at(manifest, floor.partition);
    if (manifest_floor_find(manifest, floor.partition)) {
        if (manifest_void(manifest, floor.partition, floor.segment, floor.offset)) {
            free(floor.state);
            return 0; /* lower than the one that holds */
        }
        free(manifest->floors[at].state);
        manifest->floors[at] = floor;
        return 0;
    }
    r = GROW(manifest->floors, manifest->floor_capacity, manifest->floor_count + 1);
    if (r != 0) {
        free(floor.state);
        return r;
    }
    memmove(&manifest->floors[at + 1], &manifest->floors[at],
            (manifest->floor_count - at) * sizeof(floor));
    manifest->floors[at] = floor;
    manifest->floor_count++;
    return 0;
}

static int apply_ended(struct manifest *manifest, const uint8_t *payload, size_t size)
{
    struct manifest_ended ended;
    size_t at;
    int r;

    if (size != MANIFEST_ENDED_SIZE)
        return MANIFEST_E_CORRUPT;
    ended = (struct manifest_ended){.partition = codec_get_u16(payload),
                                    .life = codec_get_u64(payload + 8)};
    if (ended.life == 0)
        return MANIFEST_E_CORRUPT;
    at = manifest_ended_at(manifest, ended.partition);
    if (manifest_ended(manifest, ended.partition) > 0) {
        if (ended.life > manifest->ended[at].life)
            manifest->ended[at] = ended;
        return 0;
    }
    r = GROW(manifest->ended, manifest->ended_capacity, manifest->ended_count + 1);
    if (r != 0)
        return r;
    memmove(&manifest->ended[at + 1], &manifest->ended[at],
            (manifest->ended_count - at) * sizeof(ended));
    manifest->ended[at] = ended;
    manifest->ended_count++;
    return 0;
}

static int apply_install(struct manifest *manifest, const uint8_t *payload, size_t size)
{
    struct manifest_install install;
    int r;

    if (size < MANIFEST_INSTALL_SIZE || size - MANIFEST_INSTALL_SIZE > UINT32_MAX)
        return MANIFEST_E_CORRUPT;
    install = (struct manifest_install){.partition = codec_get_u16(payload),
                                        .state_size = (uint32_t)(size - MANIFEST_INSTALL_SIZE)};
    if (partition_at(manifest, install.partition) == manifest->partition_count ||
        manifest_install_find(manifest, install.partition))
        return MANIFEST_E_CORRUPT;
    r = GROW(manifest->installs, manifest->install_capacity, manifest->install_count + 1);
    if (r != 0)
        return r;
    if (install.state_size > 0) {
        install.state = malloc(install.state_size);
        if (!install.state)
            return -ENOMEM;
        memcpy(install.state, payload + MANIFEST_INSTALL_SIZE, install.state_size);
    }
    manifest->installs[manifest->install_count++] = install;
    return 0;
}

static int apply_install_cask(struct manifest *manifest, const uint8_t *payload, size_t size)
{
    struct manifest_install_cask one;
    int r = size == MANIFEST_INSTALL_ADD_SIZE ? cask_decode(manifest, payload, &one.cask)
                                              : MANIFEST_E_CORRUPT;

    if (r != 0)
        return r;
    one.position = codec_get_u64(payload + MANIFEST_CASK_ADD_SIZE);
    if (one.position == 0 || !manifest_install_find(manifest, one.cask.partition))
        return MANIFEST_E_CORRUPT;
    r = GROW(manifest->install_casks, manifest->install_cask_capacity,
             manifest->install_cask_count + 1);
    if (r != 0)
        return r;
    manifest->install_casks[manifest->install_cask_count++] = one;
    cask_count_number(manifest, one.cask.number);
    return 0;
}

static int apply_install_end(struct manifest *manifest, const uint8_t *payload, size_t size)
{
    uint16_t partition = size == MANIFEST_INSTALL_SIZE ? codec_get_u16(payload) : 0;
    const struct manifest_install *install = manifest_install_find(manifest, partition);
    size_t at, kept = 0;

    if (size != MANIFEST_INSTALL_SIZE || !install)
        return MANIFEST_E_CORRUPT;
    at = (size_t)(install - manifest->installs);
    free(manifest->installs[at].state);
    manifest->install_count--;
    memmove(&manifest->installs[at], &manifest->installs[at + 1],
            (manifest->install_count - at) * sizeof(*manifest->installs));
    for (size_t i = 0; i < manifest->install_cask_count; i++)
        if (manifest->install_casks[i].cask.partition != partition)
            manifest->install_casks[kept++] = manifest->install_casks[i];
    manifest->install_cask_count = kept;
    return 0;
}

int manifest_apply(struct manifest *manifest, const struct manifest_item *item)
{
    switch (item->kind) {
    case MANIFEST_ITEM_FOUNDED:
        return apply_founded(manifest, item->payload, item->payload_size);
    case MANIFEST_ITEM_COUNTERS:
        return apply_counters(manifest, item->payload, item->payload_size);
    case MANIFEST_ITEM_SEGMENT_ADD:
        return apply_add(manifest, item->payload, item->payload_size);
    case MANIFEST_ITEM_SEGMENT_SEAL:
        return apply_seal(manifest, item->payload, item->payload_size);
    case MANIFEST_ITEM_SEGMENT_DROP:
        return apply_drop(manifest, item->payload, item->payload_size);
    case MANIFEST_ITEM_SPAN:
        return apply_span(manifest, item->payload, item->payload_size);
    case MANIFEST_ITEM_CASK_ADD:
        return apply_cask_add(manifest, item->payload, item->payload_size);
    case MANIFEST_ITEM_CASK_DROP:
        return apply_cask_drop(manifest, item->payload, item->payload_size);
    case MANIFEST_ITEM_SEGMENT_RETIRE:
        return apply_retire(manifest, item->payload, item->payload_size);
    case MANIFEST_ITEM_FLOOR:
        return apply_floor(manifest, item->payload, item->payload_size);
    case MANIFEST_ITEM_HOST:
        return apply_host(manifest, item->payload, item->payload_size);
    case MANIFEST_ITEM_UNHOST:
        return apply_unhost(manifest, item->payload, item->payload_size);
    case MANIFEST_ITEM_ENDED:
        return apply_ended(manifest, item->payload, item->payload_size);
    case MANIFEST_ITEM_INSTALL:
        return apply_install(manifest, item->payload, item->payload_size);
    case MANIFEST_ITEM_INSTALL_CASK:
        return apply_install_cask(manifest, item->payload, item->payload_size);
    case MANIFEST_ITEM_INSTALL_END:
        return apply_install_end(manifest, item->payload, item->payload_size);
    default:
        return MANIFEST_E_CORRUPT;
    }
}
