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

static void print_item(const struct walk *walk, const struct manifest_item *item, uint32_t count)
{
    const char *name = item_name(item->kind);
    uint64_t words[4] = {0};

    for (size_t i = 0; i < 4 && (i + 1) * 8 <= item->payload_size; i++)
        words[i] = codec_get_u64(item->payload + i * 8);
    fprintf(walk->out, walk->json ? "%s{\"item\":\"%s\"" : "%s  %s",
            walk->json && count > 0 ? "," : "", name);
    if (item->kind == MANIFEST_ITEM_FOUNDED && item->payload_size >= MANIFEST_HASH_SIZE + 8)
        fprintf(walk->out, walk->json ? ",\"partitions\":%" PRIu32 : ": %" PRIu32 " partitions",
                codec_get_u32(item->payload + MANIFEST_HASH_SIZE));
    else if (item->kind == MANIFEST_ITEM_SPAN && item->payload_size == 24)
        fprintf(walk->out,
                walk->json ? ",\"segment\":%" PRIu64 ",\"offset\":%" PRIu32
                             ",\"partition\":%u,\"first\":%" PRIu64
                           : ": before segment %" PRIu64 " offset %" PRIu32
                             ", partition %u, entries from %" PRIu64,
                words[0], codec_get_u32(item->payload + 8), codec_get_u16(item->payload + 12),
                words[2]);
    else if (item->kind == MANIFEST_ITEM_SEGMENT_ADD)
        fprintf(walk->out,
                walk->json ? ",\"segment\":%" PRIu64 ",\"epoch\":%" PRIu64
                           : ": %" PRIu64 ", epoch %" PRIu64,
                words[0], words[1]);
    else if (item->kind == MANIFEST_ITEM_SEGMENT_SEAL)
        fprintf(walk->out,
                walk->json ? ",\"segment\":%" PRIu64 ",\"length\":%" PRIu64
                             ",\"last_batch\":%" PRIu64
                           : ": %" PRIu64 ", %" PRIu64 " B, last batch %" PRIu64,
                words[0], words[1], words[2]);
    else if (item->kind == MANIFEST_ITEM_SEGMENT_DROP)
        fprintf(walk->out, walk->json ? ",\"segment\":%" PRIu64 : ": %" PRIu64, words[0]);
    else if (item->kind == MANIFEST_ITEM_COUNTERS)
        fprintf(walk->out,
                walk->json ? ",\"next_segment\":%" PRIu64 ",\"next_epoch\":%" PRIu64
                             ",\"next_batch\":%" PRIu64
                           : ": next segment %" PRIu64 ", next epoch %" PRIu64
                             ", next batch %" PRIu64,
                words[0], words[1], words[2]);
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
    for (size_t i = 0; i < manifest->segment_count; i++) {
        const struct manifest_segment *segment = &manifest->segments[i];

        if (walk->json)
            fprintf(out,
                    "%s{\"segment\":%" PRIu64 ",\"epoch\":%" PRIu64
                    ",\"sealed\":%s,\"length\":%" PRIu32 ",\"last_batch\":%" PRIu64 "}",
                    i > 0 ? "," : "", segment->number, segment->epoch,
                    segment->sealed ? "true" : "false", segment->length, segment->last_batch);
        else if (segment->sealed)
            fprintf(out,
                    "  segment %" PRIu64 ", epoch %" PRIu64 ", sealed at %" PRIu32
                    ", last batch %" PRIu64 "\n",
                    segment->number, segment->epoch, segment->length, segment->last_batch);
        else
            fprintf(out, "  segment %" PRIu64 ", epoch %" PRIu64 ", open\n", segment->number,
                    segment->epoch);
    }
    fprintf(out,
            walk->json ? "],\"spans\":%zu,\"verdict\":\"%s\"}\n" : "  %zu spans\nverdict: %s\n",
            manifest->span_count, verdict);
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
    good = good && walk->groups > 0 && !group_behind(walk, at, sequence);
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
    if (size > MANIFEST_GROUP_SIZE_MAX)
        return -EFBIG;
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
