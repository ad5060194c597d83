#include "storage/manifest_items.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/codec.h"
#include "storage/grow.h"

void manifest_init(struct manifest *manifest)
{
    *manifest =
        (struct manifest){.next_number = 1, .next_epoch = 1, .next_batch = 1, .next_cask = 1};
}

void manifest_deinit(struct manifest *manifest)
{
    assert(!manifest->writing);
    vfs_close(manifest->file);
    free(manifest->partitions);
    free(manifest->segments);
    free(manifest->spans);
    free(manifest->casks);
    for (size_t i = 0; i < manifest->floor_count; i++)
        free(manifest->floors[i].state);
    free(manifest->floors);
    free(manifest->ended);
    for (size_t i = 0; i < manifest->install_count; i++)
        free(manifest->installs[i].state);
    free(manifest->installs);
    free(manifest->install_casks);
    free(manifest->queued);
    *manifest = (struct manifest){0};
}

const struct manifest_segment *manifest_segment_find(const struct manifest *manifest,
                                                     uint64_t number)
{
    for (size_t i = 0; i < manifest->segment_count; i++)
        if (manifest->segments[i].number == number)
            return &manifest->segments[i];
    return NULL;
}

size_t manifest_cask_at(const struct manifest *manifest, uint16_t partition, uint64_t number)
{
    size_t low = 0, high = manifest->cask_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct manifest_cask *cask = &manifest->casks[middle];

        if (cask->partition < partition || (cask->partition == partition && cask->number < number))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct manifest_cask *manifest_casks(const struct manifest *manifest, uint16_t partition,
                                           size_t *count)
{
    size_t first = manifest_cask_at(manifest, partition, 0);
    size_t end = first;

    while (end < manifest->cask_count && manifest->casks[end].partition == partition)
        end++;
    *count = end - first;
    return *count > 0 ? &manifest->casks[first] : NULL;
}

const struct manifest_cask *manifest_cask_find(const struct manifest *manifest, uint16_t partition,
                                               uint64_t number)
{
    size_t at = manifest_cask_at(manifest, partition, number);

    if (at == manifest->cask_count || manifest->casks[at].partition != partition ||
        manifest->casks[at].number != number)
        return NULL;
    return &manifest->casks[at];
}

size_t manifest_floor_at(const struct manifest *manifest, uint16_t partition)
{
    size_t at = 0;

    while (at < manifest->floor_count && manifest->floors[at].partition < partition)
        at++;
    return at;
}

const struct manifest_floor *manifest_floor_find(const struct manifest *manifest,
                                                 uint16_t partition)
{
    size_t at = manifest_floor_at(manifest, partition);

    if (at == manifest->floor_count || manifest->floors[at].partition != partition)
        return NULL;
    return &manifest->floors[at];
}

size_t manifest_ended_at(const struct manifest *manifest, uint16_t partition)
{
    size_t at = 0;

    while (at < manifest->ended_count && manifest->ended[at].partition < partition)
        at++;
    return at;
}

uint64_t manifest_ended(const struct manifest *manifest, uint16_t partition)
{
    size_t at = manifest_ended_at(manifest, partition);

    if (at == manifest->ended_count || manifest->ended[at].partition != partition)
        return 0;
    return manifest->ended[at].life;
}

const struct manifest_install *manifest_install_find(const struct manifest *manifest,
                                                     uint16_t partition)
{
    for (size_t i = 0; i < manifest->install_count; i++)
        if (manifest->installs[i].partition == partition)
            return &manifest->installs[i];
    return NULL;
}

bool manifest_install_lists(const struct manifest *manifest, uint64_t number)
{
    for (size_t i = 0; i < manifest->install_cask_count; i++)
        if (manifest->install_casks[i].cask.number == number)
            return true;
    return false;
}

size_t manifest_install_casks(const struct manifest *manifest, uint16_t partition)
{
    size_t count = 0;

    for (size_t i = 0; i < manifest->install_cask_count; i++)
        count += manifest->install_casks[i].cask.partition == partition;
    return count;
}

bool manifest_void(const struct manifest *manifest, uint16_t partition, uint64_t segment,
                   uint32_t offset)
{
    const struct manifest_floor *floor = manifest_floor_find(manifest, partition);

    return floor &&
           (segment < floor->segment || (segment == floor->segment && offset < floor->offset));
}

bool manifest_truncated(const struct manifest *manifest, uint16_t partition, uint64_t index,
                        uint64_t segment, uint32_t offset)
{
    for (size_t i = 0; i < manifest->span_count; i++) {
        const struct manifest_span *span = &manifest->spans[i];

        if (span->partition == partition && index >= span->first &&
            (segment < span->segment || (segment == span->segment && offset < span->offset)))
            return true;
    }
    return false;
}

void manifest_floor_release(struct manifest *manifest, uint16_t partition)
{
    if (manifest_floor_find(manifest, partition))
        manifest->floors[manifest_floor_at(manifest, partition)].held = false;
}

void manifest_spans_prune(struct manifest *manifest)
{
    size_t kept = 0;

    for (size_t i = 0; i < manifest->span_count; i++) {
        const struct manifest_span *span = &manifest->spans[i];
        bool older = manifest->segment_count > 0 && manifest->segments[0].number < span->segment;

        if (older)
            manifest->spans[kept++] = *span;
    }
    manifest->span_count = kept;
    kept = 0;
    for (size_t i = 0; i < manifest->floor_count; i++) {
        const struct manifest_floor *floor = &manifest->floors[i];

        if (floor->held ||
            (manifest->segment_count > 0 && manifest->segments[0].number <= floor->segment))
            manifest->floors[kept++] = *floor;
        else
            free(floor->state);
    }
    manifest->floor_count = kept;
}

void manifest_rewind(struct manifest *manifest, uint64_t number)
{
    for (size_t i = 0; i < manifest->floor_count; i++)
        if (manifest->floors[i].segment >= number) {
            manifest->floors[i].segment = number;
            manifest->floors[i].offset = 0;
        }
    for (size_t i = 0; i < manifest->span_count; i++)
        if (manifest->spans[i].segment >= number) {
            manifest->spans[i].segment = number;
            manifest->spans[i].offset = 0;
        }
}

/* --- queueing items ------------------------------------------------------------------------ */

/* Room for one item at the end of the queue; its head is written. NULL: no memory. */
static uint8_t *item_begin(struct manifest *manifest, uint16_t kind, size_t payload_size)
{
    size_t size = (MANIFEST_ITEM_HEAD_SIZE + payload_size + 7) & ~(size_t)7;
    uint8_t *out;

    if (GROW(manifest->queued, manifest->queued_capacity, manifest->queued_size + size) != 0)
        return NULL;
    assert(manifest->queued);
    out = manifest->queued + manifest->queued_size;
    memset(out, 0, size);
    codec_put_u16(out, kind);
    codec_put_u32(out + 4, (uint32_t)payload_size);
    return out + MANIFEST_ITEM_HEAD_SIZE;
}

/* Applies the item at the end of the queue and keeps it; what we queue never contradicts. */
static int item_end(struct manifest *manifest)
{
    const uint8_t *at = manifest->queued + manifest->queued_size;
    struct manifest_item item;
    size_t size = (MANIFEST_ITEM_HEAD_SIZE + codec_get_u32(at + 4) + 7) & ~(size_t)7;
    int r = manifest_item_decode(at, size, &item);

    assert(r == 0);
    r = manifest_apply(manifest, &item);
    if (r < 0)
        return r;
    assert(r == 0);
    manifest->queued_size += item.size;
    manifest->queued_count++;
    manifest->edits++;
    return 0;
}

int manifest_found(struct manifest *manifest, const uint8_t hash[MANIFEST_HASH_SIZE],
                   const uint16_t *partitions, size_t count)
{
    uint8_t *out = item_begin(manifest, MANIFEST_ITEM_FOUNDED, MANIFEST_HASH_SIZE + 8 + 2 * count);

    if (!out)
        return -ENOMEM;
    memcpy(out, hash, MANIFEST_HASH_SIZE);
    codec_put_u32(out + MANIFEST_HASH_SIZE, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        codec_put_u16(out + MANIFEST_HASH_SIZE + 8 + 2 * i, partitions[i]);
    return item_end(manifest);
}

static int partition_queue(struct manifest *manifest, uint16_t kind, uint16_t partition)
{
    uint8_t *out = item_begin(manifest, kind, MANIFEST_HOST_SIZE);

    if (!out)
        return -ENOMEM;
    codec_put_u16(out, partition);
    return item_end(manifest);
}

int manifest_host(struct manifest *manifest, uint16_t partition)
{
    return partition_queue(manifest, MANIFEST_ITEM_HOST, partition);
}

int manifest_unhost(struct manifest *manifest, uint16_t partition)
{
    return partition_queue(manifest, MANIFEST_ITEM_UNHOST, partition);
}

int manifest_end(struct manifest *manifest, uint16_t partition, uint64_t life)
{
    uint8_t *out = item_begin(manifest, MANIFEST_ITEM_ENDED, MANIFEST_ENDED_SIZE);

    if (!out)
        return -ENOMEM;
    codec_put_u16(out, partition);
    codec_put_u64(out + 8, life);
    return item_end(manifest);
}

int manifest_segment_add(struct manifest *manifest, uint64_t number, uint64_t epoch)
{
    uint8_t *out = item_begin(manifest, MANIFEST_ITEM_SEGMENT_ADD, 16);

    if (!out)
        return -ENOMEM;
    codec_put_u64(out, number);
    codec_put_u64(out + 8, epoch);
    return item_end(manifest);
}

int manifest_segment_seal(struct manifest *manifest, uint64_t number, uint32_t length,
                          uint64_t last_batch)
{
    uint8_t *out = item_begin(manifest, MANIFEST_ITEM_SEGMENT_SEAL, 24);

    if (!out)
        return -ENOMEM;
    codec_put_u64(out, number);
    codec_put_u64(out + 8, length);
    codec_put_u64(out + 16, last_batch);
    return item_end(manifest);
}

int manifest_segment_drop(struct manifest *manifest, uint64_t number)
{
    uint8_t *out = item_begin(manifest, MANIFEST_ITEM_SEGMENT_DROP, 8);

    if (!out)
        return -ENOMEM;
    codec_put_u64(out, number);
    return item_end(manifest);
}

static void span_encode(const struct manifest_span *span, uint8_t *out)
{
    codec_put_u64(out, span->segment);
    codec_put_u32(out + 8, span->offset);
    codec_put_u16(out + 12, span->partition);
    codec_put_u64(out + 16, span->first);
}

int manifest_span_add(struct manifest *manifest, const struct manifest_span *span)
{
    uint8_t *out = item_begin(manifest, MANIFEST_ITEM_SPAN, 24);

    if (!out)
        return -ENOMEM;
    span_encode(span, out);
    return item_end(manifest);
}

int manifest_segment_retire(struct manifest *manifest, uint64_t number)
{
    uint8_t *out = item_begin(manifest, MANIFEST_ITEM_SEGMENT_RETIRE, 8);

    if (!out)
        return -ENOMEM;
    codec_put_u64(out, number);
    return item_end(manifest);
}

uint64_t manifest_cask_number(struct manifest *manifest)
{
    assert(manifest->next_cask < UINT64_MAX);
    return manifest->next_cask++;
}

static void cask_encode(const struct manifest_cask *cask, uint8_t *out)
{
    codec_put_u64(out, cask->number);
    codec_put_u16(out + 8, cask->partition);
    codec_put_u8(out + 10, cask->key_id);
    codec_put_u32(out + 12, cask->length);
    codec_put_u64(out + 16, cask->stamp);
    codec_put_u64(out + 24, cask->index_min);
    codec_put_u64(out + 32, cask->index_max);
    codec_put_u32(out + 40, cask->count);
    codec_put_u32(out + 44, cask->tombstones);
}

int manifest_cask_add(struct manifest *manifest, const struct manifest_cask *cask)
{
    uint8_t *out = item_begin(manifest, MANIFEST_ITEM_CASK_ADD, MANIFEST_CASK_ADD_SIZE);

    if (!out)
        return -ENOMEM;
    cask_encode(cask, out);
    return item_end(manifest);
}

int manifest_cask_drop(struct manifest *manifest, uint16_t partition, uint64_t number)
{
    uint8_t *out = item_begin(manifest, MANIFEST_ITEM_CASK_DROP, MANIFEST_CASK_DROP_SIZE);

    if (!out)
        return -ENOMEM;
    codec_put_u64(out, number);
    codec_put_u16(out + 8, partition);
    return item_end(manifest);
}

/* A group takes an item with so much payload. */
static bool payload_fits(size_t size)
{
    return size <= MANIFEST_GROUP_SIZE_MAX - MANIFEST_GROUP_HEAD_SIZE - MANIFEST_ITEM_HEAD_SIZE;
}

int manifest_floor_set(struct manifest *manifest, const struct manifest_floor *floor)
{
    size_t size = MANIFEST_FLOOR_SIZE + (size_t)floor->state_size;
    uint8_t *out;

    if (!payload_fits(size))
        return -EFBIG;
    out = item_begin(manifest, MANIFEST_ITEM_FLOOR, size);
    if (!out)
        return -ENOMEM;
    codec_put_u64(out, floor->segment);
    codec_put_u32(out + 8, floor->offset);
    codec_put_u16(out + 12, floor->partition);
    if (floor->state_size > 0)
        memcpy(out + MANIFEST_FLOOR_SIZE, floor->state, floor->state_size);
    return item_end(manifest);
}

int manifest_install_begin(struct manifest *manifest, uint16_t partition, const uint8_t *state,
                           size_t state_size)
{
    uint8_t *out;

    if (!payload_fits(MANIFEST_INSTALL_SIZE + state_size))
        return -EFBIG;
    out = item_begin(manifest, MANIFEST_ITEM_INSTALL, MANIFEST_INSTALL_SIZE + state_size);
    if (!out)
        return -ENOMEM;
    codec_put_u16(out, partition);
    if (state_size > 0)
        memcpy(out + MANIFEST_INSTALL_SIZE, state, state_size);
    return item_end(manifest);
}

int manifest_install_add(struct manifest *manifest, const struct manifest_install_cask *cask)
{
    uint8_t *out = item_begin(manifest, MANIFEST_ITEM_INSTALL_CASK, MANIFEST_INSTALL_ADD_SIZE);

    if (!out)
        return -ENOMEM;
    cask_encode(&cask->cask, out);
    codec_put_u64(out + MANIFEST_CASK_ADD_SIZE, cask->position);
    return item_end(manifest);
}

int manifest_install_end(struct manifest *manifest, uint16_t partition)
{
    return partition_queue(manifest, MANIFEST_ITEM_INSTALL_END, partition);
}

int manifest_reserve(struct manifest *manifest, size_t items)
{
    size_t bytes = MANIFEST_ITEM_HEAD_SIZE + MANIFEST_INSTALL_ADD_SIZE; /* the largest */
    int r;

    if (items > MANIFEST_GROUP_SIZE_MAX / bytes)
        return -ENOMEM;
    r = GROW(manifest->queued, manifest->queued_capacity, manifest->queued_size + items * bytes);
    if (r == 0)
        r = GROW(manifest->segments, manifest->segment_capacity, manifest->segment_count + items);
    if (r == 0)
        r = GROW(manifest->spans, manifest->span_capacity, manifest->span_count + items);
    if (r == 0)
        r = GROW(manifest->casks, manifest->cask_capacity, manifest->cask_count + items);
    if (r == 0)
        r = GROW(manifest->floors, manifest->floor_capacity, manifest->floor_count + items);
    if (r == 0)
        r = GROW(manifest->partitions, manifest->partition_capacity,
                 manifest->partition_count + items);
    if (r == 0)
        r = GROW(manifest->ended, manifest->ended_capacity, manifest->ended_count + items);
    if (r == 0)
        r = GROW(manifest->install_casks, manifest->install_cask_capacity,
                 manifest->install_cask_count + items);
    return r;
}

/* Segments, and what is known of each. */
static int queue_segments(struct manifest *fresh, const struct manifest *state)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < state->segment_count; i++) {
        const struct manifest_segment *segment = &state->segments[i];

        r = manifest_segment_add(fresh, segment->number, segment->epoch);
        if (r == 0 && segment->sealed)
            r = manifest_segment_seal(fresh, segment->number, segment->length, segment->last_batch);
        if (r == 0 && segment->retired)
            r = manifest_segment_retire(fresh, segment->number);
    }
    return r;
}

static int queue_counters(struct manifest *fresh, const struct manifest *state)
{
    uint8_t *out = item_begin(fresh, MANIFEST_ITEM_COUNTERS, MANIFEST_COUNTERS_SIZE);

    if (!out)
        return -ENOMEM;
    codec_put_u64(out, state->next_number);
    codec_put_u64(out + 8, state->next_epoch);
    codec_put_u64(out + 16, state->next_batch);
    codec_put_u64(out + 24, state->next_cask);
    return item_end(fresh);
}

/* Queues the items that make up the whole state, in place of what was queued. */
int manifest_queue_state(struct manifest *manifest)
{
    struct manifest state = *manifest;
    struct manifest fresh;
    int r = 0;

    manifest_init(&fresh);
    if (state.founded)
        r = manifest_found(&fresh, state.hash, state.partitions, state.partition_count);
    if (r == 0)
        r = queue_segments(&fresh, &state);
    for (size_t i = 0; r == 0 && i < state.cask_count; i++)
        r = manifest_cask_add(&fresh, &state.casks[i]);
    for (size_t i = 0; r == 0 && i < state.span_count; i++)
        r = manifest_span_add(&fresh, &state.spans[i]);
    for (size_t i = 0; r == 0 && i < state.floor_count; i++)
        r = manifest_floor_set(&fresh, &state.floors[i]);
    for (size_t i = 0; r == 0 && i < state.ended_count; i++)
        r = manifest_end(&fresh, state.ended[i].partition, state.ended[i].life);
    for (size_t i = 0; r == 0 && i < state.install_count; i++)
        r = manifest_install_begin(&fresh, state.installs[i].partition, state.installs[i].state,
                                   state.installs[i].state_size);
    for (size_t i = 0; r == 0 && i < state.install_cask_count; i++)
        r = manifest_install_add(&fresh, &state.install_casks[i]);
    if (r == 0)
        r = queue_counters(&fresh, &state);
    if (r == 0) {
        free(manifest->queued);
        manifest->queued = fresh.queued;
        manifest->queued_size = fresh.queued_size;
        manifest->queued_capacity = fresh.queued_capacity;
        manifest->queued_count = fresh.queued_count;
        fresh.queued = NULL;
    }
    manifest_deinit(&fresh);
    return r;
}
