#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "storage/codec.h"
#include "storage/inspect.h"
#include "storage/manifest.h"

struct walk {
    struct manifest manifest; /* the state so far */
    FILE *out;
    bool json;
    const uint8_t *bytes;
    size_t size;
    uint64_t groups;
};

static const char *item_name(uint16_t kind)
{
    switch (kind) {
#define X(name, number, text)                                                                      \
    case number:                                                                                   \
        return text;
        MANIFEST_ITEMS(X)
#undef X
    default:
        return "unknown";
    }
}

/* What a number in an item's payload is called, in JSON and in text; the two orders are one. */
struct item_field {
    uint16_t kind;
    uint8_t offset; /* in the payload */
    uint8_t size;   /* 2, 4 or 8 bytes */
    const char *name;
};

static const struct item_field item_fields[] = {
    {MANIFEST_ITEM_FOUNDED, MANIFEST_HASH_SIZE, 4, "partitions"},
    {MANIFEST_ITEM_COUNTERS, 0, 8, "next_segment"},
    {MANIFEST_ITEM_COUNTERS, 8, 8, "next_epoch"},
    {MANIFEST_ITEM_COUNTERS, 16, 8, "next_batch"},
    {MANIFEST_ITEM_COUNTERS, 24, 8, "next_cask"},
    {MANIFEST_ITEM_SEGMENT_ADD, 0, 8, "segment"},
    {MANIFEST_ITEM_SEGMENT_ADD, 8, 8, "epoch"},
    {MANIFEST_ITEM_SEGMENT_SEAL, 0, 8, "segment"},
    {MANIFEST_ITEM_SEGMENT_SEAL, 8, 8, "length"},
    {MANIFEST_ITEM_SEGMENT_SEAL, 16, 8, "last_batch"},
    {MANIFEST_ITEM_SEGMENT_DROP, 0, 8, "segment"},
    {MANIFEST_ITEM_SPAN, 0, 8, "segment"},
    {MANIFEST_ITEM_SPAN, 8, 4, "offset"},
    {MANIFEST_ITEM_SPAN, 12, 2, "partition"},
    {MANIFEST_ITEM_SPAN, 16, 8, "first"},
    {MANIFEST_ITEM_CASK_ADD, 8, 2, "partition"},
    {MANIFEST_ITEM_CASK_ADD, 0, 8, "cask"},
    {MANIFEST_ITEM_CASK_ADD, 12, 4, "length"},
    {MANIFEST_ITEM_CASK_ADD, 40, 4, "records"},
    {MANIFEST_ITEM_CASK_ADD, 44, 4, "tombstones"},
    {MANIFEST_ITEM_CASK_ADD, 24, 8, "index_min"},
    {MANIFEST_ITEM_CASK_ADD, 32, 8, "index_max"},
    {MANIFEST_ITEM_CASK_ADD, 10, 1, "key_id"},
    {MANIFEST_ITEM_CASK_DROP, 8, 2, "partition"},
    {MANIFEST_ITEM_CASK_DROP, 0, 8, "cask"},
    {MANIFEST_ITEM_SEGMENT_RETIRE, 0, 8, "segment"},
    {MANIFEST_ITEM_FLOOR, 12, 2, "partition"},
    {MANIFEST_ITEM_FLOOR, 0, 8, "segment"},
    {MANIFEST_ITEM_FLOOR, 8, 4, "offset"},
    {MANIFEST_ITEM_HOST, 0, 2, "partition"},
    {MANIFEST_ITEM_UNHOST, 0, 2, "partition"},
    {MANIFEST_ITEM_ENDED, 0, 2, "partition"},
    {MANIFEST_ITEM_ENDED, 8, 8, "life"},
    {MANIFEST_ITEM_INSTALL, 0, 2, "partition"},
    {MANIFEST_ITEM_INSTALL_CASK, 8, 2, "partition"},
    {MANIFEST_ITEM_INSTALL_CASK, 0, 8, "cask"},
    {MANIFEST_ITEM_INSTALL_CASK, 12, 4, "length"},
    {MANIFEST_ITEM_INSTALL_CASK, 40, 4, "records"},
    {MANIFEST_ITEM_INSTALL_CASK, 48, 8, "position"},
    {MANIFEST_ITEM_INSTALL_END, 0, 2, "partition"},
};

static uint64_t field_value(const struct item_field *field, const uint8_t *payload)
{
    const uint8_t *at = payload + field->offset;

    return field->size == 1   ? *at
           : field->size == 2 ? codec_get_u16(at)
           : field->size == 4 ? codec_get_u32(at)
                              : codec_get_u64(at);
}

static void print_item(const struct walk *walk, const struct manifest_item *item, uint32_t count)
{
    bool first = true;

    fprintf(walk->out, walk->json ? "%s{\"item\":\"%s\"" : "%s  %s",
            walk->json && count > 0 ? "," : "", item_name(item->kind));
    for (size_t i = 0; i < sizeof(item_fields) / sizeof(item_fields[0]); i++) {
        const struct item_field *field = &item_fields[i];

        if (field->kind != item->kind || field->offset + field->size > item->payload_size)
            continue;
        if (walk->json)
            fprintf(walk->out, ",\"%s\":%" PRIu64, field->name, field_value(field, item->payload));
        else
            fprintf(walk->out, "%s%s %" PRIu64, first ? ": " : ", ", field->name,
                    field_value(field, item->payload));
        first = false;
    }
    fputs(walk->json ? "}" : "\n", walk->out);
}

/* Prints and applies one group. True when its items make sense. */
static bool print_group(struct walk *walk, size_t at, const struct manifest_group *group)
{
    size_t item_at = 0;
    bool good = true;

    fprintf(walk->out,
            walk->json ? "%s{\"sequence\":%" PRIu64 ",\"offset\":%zu,\"items\":["
                       : "%sedit %" PRIu64 " at %zu\n",
            walk->json && walk->groups > 0 ? "," : "", group->sequence, at);
    for (uint32_t i = 0; good && i < group->item_count; i++) {
        struct manifest_item item;

        good =
            manifest_item_decode(group->items + item_at, group->items_size - item_at, &item) == 0;
        if (!good)
            break;
        print_item(walk, &item, i);
        good = manifest_apply(&walk->manifest, &item) == 0;
        item_at += item.size;
    }
    if (walk->json)
        fputs("]}", walk->out);
    walk->groups++;
    return good;
}

static bool group_behind(const struct walk *walk, size_t at, uint64_t sequence)
{
    for (; at + MANIFEST_GROUP_HEAD_SIZE <= walk->size; at += MANIFEST_ALIGN) {
        struct manifest_group group;

        if (manifest_group_decode(walk->bytes + at, walk->size - at, &group) == 0 &&
            group.sequence > sequence)
            return true;
    }
    return false;
}

static void print_segments(const struct walk *walk)
{
    const struct manifest *manifest = &walk->manifest;
    FILE *out = walk->out;

    for (size_t i = 0; i < manifest->segment_count; i++) {
        const struct manifest_segment *segment = &manifest->segments[i];

        if (walk->json)
            fprintf(out,
                    "%s{\"segment\":%" PRIu64 ",\"epoch\":%" PRIu64
                    ",\"sealed\":%s,\"retired\":%s,\"length\":%" PRIu32 ",\"last_batch\":%" PRIu64
                    "}",
                    i > 0 ? "," : "", segment->number, segment->epoch,
                    segment->sealed ? "true" : "false", segment->retired ? "true" : "false",
                    segment->length, segment->last_batch);
        else if (segment->sealed)
            fprintf(out,
                    "  segment %" PRIu64 ", epoch %" PRIu64 ", sealed at %" PRIu32
                    ", last batch %" PRIu64 "%s\n",
                    segment->number, segment->epoch, segment->length, segment->last_batch,
                    segment->retired ? ", retired" : "");
        else
            fprintf(out, "  segment %" PRIu64 ", epoch %" PRIu64 ", open\n", segment->number,
                    segment->epoch);
    }
}

static void print_casks(const struct walk *walk)
{
    const struct manifest *manifest = &walk->manifest;

    for (size_t i = 0; i < manifest->cask_count; i++) {
        const struct manifest_cask *cask = &manifest->casks[i];

        fprintf(walk->out,
                walk->json ? "%s{\"partition\":%u,\"cask\":%" PRIu64 ",\"length\":%" PRIu32
                             ",\"records\":%" PRIu32 ",\"tombstones\":%" PRIu32
                             ",\"index_min\":%" PRIu64 ",\"index_max\":%" PRIu64 "}"
                           : "%s  cask of partition %u, number %" PRIu64 ", %" PRIu32 " B, %" PRIu32
                             " records, %" PRIu32 " tombstones, indexes %" PRIu64 " to %" PRIu64
                             "\n",
                walk->json && i > 0 ? "," : "", cask->partition, cask->number, cask->length,
                cask->count, cask->tombstones, cask->index_min, cask->index_max);
    }
}

static void print_state(const struct walk *walk, const char *verdict)
{
    const struct manifest *manifest = &walk->manifest;
    FILE *out = walk->out;

    fprintf(out,
            walk->json ? "],\"founded\":%s,\"partition_count\":%zu,\"segments\":["
                       : "state: %s, %zu partitions\n",
            walk->json ? (manifest->founded ? "true" : "false")
                       : (manifest->founded ? "founded" : "not founded"),
            manifest->partition_count);
    print_segments(walk);
    if (walk->json)
        fputs("],\"casks\":[", out);
    print_casks(walk);
    fprintf(out,
            walk->json ? "],\"spans\":%zu,\"floors\":%zu,\"installs\":%zu,\"verdict\":\"%s\"}\n"
                       : "  %zu spans, %zu floors, %zu snapshots on their way in\nverdict: %s\n",
            manifest->span_count, manifest->floor_count, manifest->install_count, verdict);
}

static int walk_groups(struct walk *walk)
{
    size_t at = MANIFEST_HEADER_SIZE;
    uint64_t sequence = 0;
    bool good = true;

    fputs(walk->json ? "{\"kind\":\"manifest\",\"edits\":[" : "manifest\n", walk->out);
    while (good && at + MANIFEST_GROUP_HEAD_SIZE <= walk->size) {
        struct manifest_group group;

        if (manifest_group_decode(walk->bytes + at, walk->size - at, &group) != 0 ||
            (walk->groups > 0 && group.sequence != sequence + 1))
            break;
        good = print_group(walk, at, &group);
        sequence = group.sequence;
        at += group.size;
    }
    good = good && walk->manifest.whole && !group_behind(walk, at, sequence);
    print_state(walk, good ? "ok" : "damaged");
    return good ? INSPECT_E_OK : INSPECT_E_DAMAGED;
}

int inspect_manifest(struct vfs_file *file, FILE *out, bool json)
{
    struct walk walk = {.out = out, .json = json};
    uint64_t size = 0;
    uint8_t *bytes;
    int64_t got;
    int r = vfs_size(file, &size);

    if (r < 0)
        return r;
    bytes = malloc((size_t)size + 1);
    if (!bytes)
        return -ENOMEM;
    got = vfs_pread(file, bytes, (size_t)size, 0);
    if (got < 0) {
        free(bytes);
        return (int)got;
    }
    walk.bytes = bytes;
    walk.size = (size_t)got;
    manifest_init(&walk.manifest);
    r = walk_groups(&walk);
    manifest_deinit(&walk.manifest);
    free(bytes);
    return r;
}
