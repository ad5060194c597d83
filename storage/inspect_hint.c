#include <errno.h>
#include <inttypes.h>

#include "storage/hint.h"
#include "storage/inspect.h"

struct walk {
    struct hint hint;
    FILE *out;
    bool json;
    uint64_t entries; /* printed */
};

static void print_entry(struct walk *walk, const struct hint_entry *entry)
{
    if (walk->json)
        fprintf(walk->out,
                "%s{\"digest\":\"%04x%016" PRIx64 "\",\"index\":%" PRIu64 ",\"offset\":%" PRIu32
                ",\"size\":%" PRIu32 ",\"tombstone\":%s,\"expires\":%s}",
                walk->entries > 0 ? "," : "", (unsigned)entry->digest.high, entry->digest.low,
                entry->index, entry->offset, entry->size, entry->tombstone ? "true" : "false",
                entry->expires ? "true" : "false");
    else
        fprintf(walk->out,
                "    %04x%016" PRIx64 ": index %" PRIu64 " at %" PRIu32 ", %" PRIu32 " B%s%s\n",
                (unsigned)entry->digest.high, entry->digest.low, entry->index, entry->offset,
                entry->size, entry->tombstone ? ", tombstone" : "",
                entry->expires ? ", expires" : "");
    walk->entries++;
}

static int print_partition(struct walk *walk, const struct hint_partition *part, bool first)
{
    struct hint_cursor cursor;
    int r = hint_cursor_open(&cursor, &walk->hint, part->partition);

    fprintf(walk->out,
            walk->json ? "%s{\"partition\":%u,\"entry_count\":%" PRIu32 ",\"tombstones\":%" PRIu32
                         ",\"index_min\":%" PRIu64 ",\"index_max\":%" PRIu64 ",\"bytes\":%" PRIu64
                         ",\"entries\":["
                       : "%s  partition %u: %" PRIu32 " entries, %" PRIu32
                         " tombstones, indexes %" PRIu64 " to %" PRIu64 ", records of %" PRIu64
                         " B\n",
            walk->json && !first ? "," : "", part->partition, part->count, part->tombstones,
            part->index_min, part->index_max, part->bytes);
    walk->entries = 0;
    while (r == 0 && (r = hint_cursor_next(&cursor)) == 0)
        print_entry(walk, &cursor.entry);
    hint_cursor_close(&cursor);
    if (walk->json)
        fputs("]}", walk->out);
    else if (r == HINT_E_CORRUPT)
        fputs("    DAMAGED\n", walk->out);
    return r < 0 ? r : 0;
}

static void print_subject(const struct walk *walk)
{
    const struct hint_subject *subject = &walk->hint.subject;

    fprintf(walk->out,
            walk->json ? "{\"kind\":\"hint\",\"of\":\"%s\",\"number\":%" PRIu64
                         ",\"stamp\":\"%016" PRIx64 "\",\"length\":%" PRIu32
                       : "hint of %s %" PRIu64 ", stamp %016" PRIx64 ", %" PRIu32 " B\n",
            subject->kind == HINT_KIND_CASK ? "cask" : "segment", subject->number, subject->stamp,
            subject->length);
}

/* Only the header checks. */
static int print_ruin(struct walk *walk, struct vfs_file *file)
{
    uint8_t head[HINT_HEADER_SIZE];
    int64_t got = vfs_pread(file, head, sizeof(head), 0);

    if (got < 0)
        return (int)got;
    if (hint_header_decode(head, (size_t)got, &walk->hint.subject) != 0)
        return INSPECT_E_UNKNOWN;
    print_subject(walk);
    fputs(walk->json ? ",\"verdict\":\"damaged\"}\n"
                     : "footer or directory is damaged, or the end is missing\nverdict: damaged\n",
          walk->out);
    return INSPECT_E_DAMAGED;
}

int inspect_hint(struct vfs_file *file, FILE *out, bool json)
{
    struct walk walk = {.out = out, .json = json};
    int r = hint_open(&walk.hint, file, NULL), verified;

    if (r == HINT_E_CORRUPT)
        return print_ruin(&walk, file);
    if (r == HINT_E_NEWER)
        return INSPECT_E_NEWER;
    if (r < 0)
        return r;
    print_subject(&walk);
    if (json)
        fputs(",\"partitions\":[", out);
    for (size_t i = 0; r == 0 && i < walk.hint.partition_count; i++)
        r = print_partition(&walk, &walk.hint.partitions[i], i == 0);
    verified = r == 0 ? hint_verify(&walk.hint) : r;
    if (verified >= 0)
        fprintf(out,
                json ? "],\"entry_count\":%" PRIu64 ",\"verdict\":\"%s\"}\n"
                     : "%" PRIu64 " entries\nverdict: %s\n",
                walk.hint.count, verified == 0 ? "ok" : "damaged");
    hint_close(&walk.hint);
    if (verified < 0)
        return verified;
    return verified == 0 ? INSPECT_E_OK : INSPECT_E_DAMAGED;
}
