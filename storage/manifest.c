#include "storage/manifest.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/codec.h"
#include "storage/grow.h"

void manifest_init(struct manifest *manifest)
{
    *manifest = (struct manifest){.next_number = 1, .next_epoch = 1, .next_batch = 1};
}

void manifest_deinit(struct manifest *manifest)
{
    assert(!manifest->writing);
    vfs_close(manifest->file);
    free(manifest->partitions);
    free(manifest->segments);
    free(manifest->spans);
    free(manifest->queued);
    *manifest = (struct manifest){0};
}

static struct manifest_segment *segment_find(const struct manifest *manifest, uint64_t number)
{
    for (size_t i = 0; i < manifest->segment_count; i++)
        if (manifest->segments[i].number == number)
            return &manifest->segments[i];
    return NULL;
}

const struct manifest_segment *manifest_segment_find(const struct manifest *manifest,
                                                     uint64_t number)
{
    return segment_find(manifest, number);
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
}

/* --- applying items ------------------------------------------------------------------------ */

static int apply_founded(struct manifest *manifest, const uint8_t *payload, size_t size)
{
    size_t count;
    uint16_t *partitions;

    if (size < MANIFEST_HASH_SIZE + 8 || manifest->founded)
        return MANIFEST_E_CORRUPT;
    count = codec_get_u32(payload + MANIFEST_HASH_SIZE);
    if (count > 65536 || size != MANIFEST_HASH_SIZE + 8 + 2 * count)
        return MANIFEST_E_CORRUPT;
    partitions = malloc(count > 0 ? 2 * count : 1);
    if (!partitions)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        partitions[i] = codec_get_u16(payload + MANIFEST_HASH_SIZE + 8 + 2 * i);
    memcpy(manifest->hash, payload, MANIFEST_HASH_SIZE);
    manifest->partitions = partitions;
    manifest->partition_count = count;
    manifest->founded = true;
    return 0;
}

static int apply_counters(struct manifest *manifest, const uint8_t *payload, size_t size)
{
    if (size != 24 || codec_get_u64(payload) == 0 || codec_get_u64(payload + 8) == 0)
        return MANIFEST_E_CORRUPT;
    manifest->next_number = codec_get_u64(payload);
    manifest->next_epoch = codec_get_u64(payload + 8);
    manifest->next_batch = codec_get_u64(payload + 16);
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
    default:
        return MANIFEST_E_CORRUPT;
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

/* Queues the items that make up the whole state, in place of what was queued. */
int manifest_queue_state(struct manifest *manifest)
{
    struct manifest state = *manifest;
    struct manifest fresh;
    int r = 0;
    uint8_t *out;

    manifest_init(&fresh);
    if (state.founded)
        r = manifest_found(&fresh, state.hash, state.partitions, state.partition_count);
    for (size_t i = 0; r == 0 && i < state.segment_count; i++) {
        const struct manifest_segment *segment = &state.segments[i];

        r = manifest_segment_add(&fresh, segment->number, segment->epoch);
        if (r == 0 && segment->sealed)
            r = manifest_segment_seal(&fresh, segment->number, segment->length,
                                      segment->last_batch);
    }
    for (size_t i = 0; r == 0 && i < state.span_count; i++)
        r = manifest_span_add(&fresh, &state.spans[i]);
    out = r == 0 ? item_begin(&fresh, MANIFEST_ITEM_COUNTERS, 24) : NULL;
    if (out) {
        codec_put_u64(out, state.next_number);
        codec_put_u64(out + 8, state.next_epoch);
        codec_put_u64(out + 16, state.next_batch);
        r = item_end(&fresh);
    } else {
        r = -ENOMEM;
    }
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
