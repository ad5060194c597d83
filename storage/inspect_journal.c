#include <assert.h>
#include <inttypes.h>

#include "storage/inspect.h"
#include "storage/journal_reader.h"

struct walk {
    struct journal_reader reader;
    FILE *out;
    bool json;
    uint64_t next; /* number of the next batch, 0 while unknown */
    uint64_t batches, records;
    uint64_t damaged; /* places */
    uint32_t end;     /* of the data */
    bool torn;
};

static const char *comma(uint64_t count)
{
    return count > 0 ? "," : "";
}

static bool print_run(struct walk *walk, const uint8_t *batch, uint32_t batch_offset,
                      const struct journal_run *run, uint32_t end, uint64_t run_count)
{
    bool good = journal_run_check(batch, run, end, walk->reader.epoch);
    struct journal_run_cursor cursor = {.batch = batch, .offset = run->offset, .end = end};
    struct record record;
    uint64_t count = 0;
    uint32_t offset;

    if (walk->json)
        fprintf(walk->out,
                "%s{\"partition\":%u,\"records\":%u,\"first_index\":%" PRIu64
                ",\"last_index\":%" PRIu64 ",\"commit\":%" PRIu64 ",\"good\":%s,\"list\":[",
                comma(run_count), run->partition, run->count, run->first_index, run->last_index,
                run->commit, good ? "true" : "false");
    else
        fprintf(walk->out,
                "  partition %u: %u records, entries %" PRIu64 " to %" PRIu64 ", commit %" PRIu64
                "%s\n",
                run->partition, run->count, run->first_index, run->last_index, run->commit,
                good ? "" : ", DAMAGED");
    while (journal_run_next(&cursor, &record, &offset)) {
        struct record whole;

        inspect_record(walk->out, walk->json, &record, batch_offset + offset, count++,
                       record_decode(batch + offset, end - offset, &whole) == 0);
    }
    if (walk->json)
        fputs("]}", walk->out);
    else if (cursor.bad)
        fprintf(walk->out, "    at %" PRIu32 ": no record\n", batch_offset + cursor.offset);
    walk->records += count;
    return good && !cursor.bad && count == run->count;
}

static void print_batch(struct walk *walk, const struct journal_batch_header *header,
                        const uint8_t *batch, uint64_t *bad)
{
    *bad = 0;
    if (walk->json)
        fprintf(walk->out,
                "%s{\"number\":%" PRIu64 ",\"offset\":%" PRIu32 ",\"length\":%" PRIu32
                ",\"synced_through\":%" PRIu64 ",\"checkpoint\":%s,\"runs\":[",
                comma(walk->batches), header->number, header->offset, header->length,
                header->synced_through,
                header->flags & JOURNAL_BATCH_CHECKPOINT ? "true" : "false");
    else
        fprintf(walk->out,
                "batch %" PRIu64 " at %" PRIu32 ": %" PRIu32 " B, synced through %" PRIu64 "%s%s\n",
                header->number, header->offset, header->length, header->synced_through,
                header->flags & JOURNAL_BATCH_CHECKPOINT ? ", checkpoint" : "",
                header->flags & JOURNAL_BATCH_MARK ? ", mark only" : "");
    for (uint32_t i = 0; i < header->run_count; i++) {
        struct journal_run run;
        uint32_t end;

        if (!journal_run_at(batch, header, i, &run, &end)) {
            (*bad)++;
            break;
        }
        *bad += !print_run(walk, batch, header->offset, &run, end, i);
    }
    if (walk->json)
        fputs("]}", walk->out);
    walk->batches++;
}

/* Goes on behind a place that holds no batch. *offset is where the next good one is, or the limit.
 */
static int skip(struct walk *walk, uint32_t *offset)
{
    struct journal_batch_header header;
    uint32_t from = *offset;
    bool synced = false;
    int r = journal_reader_proves(&walk->reader, from, walk->next > 0 ? walk->next : 1, &synced);

    if (r < 0)
        return r;
    if (!synced) {
        walk->end = from;
        *offset = walk->reader.limit;
        return 0;
    }
    walk->damaged++;
    r = journal_reader_seek(&walk->reader, offset, &header);
    if (r < 0)
        return r;
    assert(r == 0);
    walk->next = header.number;
    if (!walk->json)
        fprintf(walk->out, "from %" PRIu32 " to %" PRIu32 ": DAMAGED, before the synced mark\n",
                from, *offset);
    return 0;
}

static int walk_batches(struct walk *walk)
{
    uint32_t offset = JOURNAL_BLOCK_SIZE;

    walk->end = offset;
    while (offset < walk->reader.limit) {
        struct journal_batch_header header;
        const uint8_t *batch;
        uint64_t bad;
        bool synced;
        int r = journal_reader_batch(&walk->reader, offset, &header, &batch);

        if (r < 0)
            return r;
        if (r > 0 || (walk->next > 0 && header.number != walk->next)) {
            r = skip(walk, &offset);
            if (r < 0)
                return r;
            continue;
        }
        print_batch(walk, &header, batch, &bad);
        offset += header.length;
        walk->next = header.number + 1;
        walk->end = offset;
        if (bad == 0)
            continue;
        r = journal_reader_proves(&walk->reader, offset, header.number, &synced);
        if (r < 0)
            return r;
        walk->damaged += synced ? bad : 0;
        walk->torn = !synced;
        if (!synced) {
            walk->end = header.offset;
            break;
        }
    }
    return 0;
}

int inspect_journal(struct vfs_file *file, FILE *out, bool json)
{
    uint8_t block[JOURNAL_BLOCK_SIZE];
    struct journal_segment_header header;
    struct walk walk = {.out = out, .json = json};
    int64_t got = vfs_pread(file, block, sizeof(block), 0);
    int r;

    if (got < 0)
        return (int)got;
    if (journal_segment_header_decode(block, (size_t)got, &header) != 0)
        return INSPECT_E_UNKNOWN;
    r = journal_reader_open(&walk.reader, file, header.number, header.epoch, UINT32_MAX);
    if (r < 0)
        return r;
    fprintf(out,
            json ? "{\"kind\":\"journal\",\"segment\":%" PRIu64 ",\"epoch\":%" PRIu64
                   ",\"size\":%" PRIu32 ",\"batches\":["
                 : "journal segment %" PRIu64 ", epoch %" PRIu64 ", %" PRIu32 " B\n",
            header.number, header.epoch, walk.reader.limit);
    r = walk_batches(&walk);
    journal_reader_close(&walk.reader);
    if (r < 0)
        return r;
    fprintf(out,
            json ? "],\"batch_count\":%" PRIu64 ",\"record_count\":%" PRIu64 ",\"end\":%" PRIu32
                   ",\"torn_tail\":%s,\"damaged\":%" PRIu64 ",\"verdict\":\"%s\"}\n"
                 : "%" PRIu64 " batches, %" PRIu64 " records, data ends at %" PRIu32 "%s\n"
                   "damaged places: %" PRIu64 "\nverdict: %s\n",
            walk.batches, walk.records, walk.end,
            json ? (walk.torn ? "true" : "false") : (walk.torn ? ", then a torn tail" : ""),
            walk.damaged, walk.damaged > 0 ? "damaged" : "ok");
    return walk.damaged > 0 ? INSPECT_E_DAMAGED : INSPECT_E_OK;
}
