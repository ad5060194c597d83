#include <errno.h>
#include <inttypes.h>

#include "storage/cask.h"
#include "storage/inspect.h"

struct walk {
    struct cask cask;
    struct cask_buffer buffer;
    FILE *out;
    bool json;
    uint64_t records; /* printed */
    uint64_t damaged; /* blocks */
};

/* The records of a block whose checksum holds; it lies in the buffer, from `offset` of the file. */
static void print_records(struct walk *walk, uint32_t offset, uint32_t end)
{
    uint32_t at = offset;

    while (at < end) {
        struct record record;

        if (record_decode(walk->buffer.bytes + (at - offset), end - at, &record) != 0)
            return;
        inspect_record(walk->out, walk->json, &record, at, walk->records++, true);
        at += (uint32_t)record_size_padded(&record);
    }
}

static int print_blocks(struct walk *walk)
{
    const struct cask *cask = &walk->cask;

    for (uint32_t i = 0; i < cask->block_count; i++) {
        uint32_t offset;
        uint32_t end = i + 1 < cask->block_count ? cask->blocks[i + 1] : cask->records_end;
        int r = cask_verify_block(cask, i, &walk->buffer, &offset);

        if (r < 0)
            return r;
        if (r == 0) {
            print_records(walk, offset, end);
            continue;
        }
        walk->damaged++;
        if (!walk->json)
            fprintf(walk->out, "from %" PRIu32 " to %" PRIu32 ": DAMAGED\n", offset, end);
    }
    return 0;
}

static void print_end(const struct walk *walk)
{
    const struct cask_info *info = &walk->cask.info;

    fprintf(walk->out,
            walk->json ? "],\"record_count\":%" PRIu32 ",\"tombstones\":%" PRIu32
                         ",\"index_min\":%" PRIu64 ",\"index_max\":%" PRIu64 ",\"blocks\":%" PRIu32
                         ",\"damaged\":%" PRIu64 ",\"verdict\":\"%s\"}\n"
                       : "%" PRIu32 " records, %" PRIu32 " tombstones, indexes %" PRIu64
                         " to %" PRIu64 ", %" PRIu32 " blocks\ndamaged blocks: %" PRIu64
                         "\nverdict: %s\n",
            info->count, info->tombstones, info->index_min, info->index_max, walk->cask.block_count,
            walk->damaged, walk->damaged > 0 ? "damaged" : "ok");
}

/* The header checks, the rest does not: nothing in it can be found. */
static int print_ruin(struct vfs_file *file, FILE *out, bool json)
{
    uint8_t head[CASK_HEADER_SIZE];
    struct cask_info info;
    int64_t got = vfs_pread(file, head, sizeof(head), 0);

    if (got < 0)
        return (int)got;
    if (cask_header_decode(head, (size_t)got, &info) != 0)
        return INSPECT_E_UNKNOWN;
    fprintf(out,
            json ? "{\"kind\":\"cask\",\"partition\":%u,\"number\":%" PRIu64
                   ",\"verdict\":\"damaged\"}\n"
                 : "cask of partition %u, number %" PRIu64
                   "\nfooter or index is damaged, or the end is missing\nverdict: damaged\n",
            info.partition, info.number);
    return INSPECT_E_DAMAGED;
}

int inspect_cask(struct vfs_file *file, FILE *out, bool json)
{
    struct walk walk = {.out = out, .json = json};
    int r = cask_open(&walk.cask, file);

    if (r == CASK_E_CORRUPT)
        return print_ruin(file, out, json);
    if (r == CASK_E_NEWER)
        return INSPECT_E_NEWER;
    if (r < 0)
        return r;
    fprintf(out,
            json ? "{\"kind\":\"cask\",\"partition\":%u,\"number\":%" PRIu64
                   ",\"stamp\":\"%016" PRIx64 "\",\"size\":%" PRIu32 ",\"records\":["
                 : "cask of partition %u, number %" PRIu64 ", stamp %016" PRIx64 ", %" PRIu32
                   " B\n",
            walk.cask.info.partition, walk.cask.info.number, walk.cask.info.stamp,
            walk.cask.info.length);
    r = print_blocks(&walk);
    if (r == 0)
        print_end(&walk);
    cask_buffer_free(&walk.buffer);
    cask_close(&walk.cask);
    if (r < 0)
        return r;
    return walk.damaged > 0 ? INSPECT_E_DAMAGED : INSPECT_E_OK;
}
