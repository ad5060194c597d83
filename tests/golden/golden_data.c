/* Files that hold records: journal segment, cask; and their hints. */
#include "golden.h"
#include "storage/cask.h"
#include "storage/hint.h"
#include "storage/journal.h"

#include <assert.h>
#include <string.h>

/* --- journal -------------------------------------------------------------------------------- */

#define SEGMENT_NUMBER 7u
#define SEGMENT_EPOCH  12u
#define JOURNAL_BATCH  5u

/* What a batch of the golden segment holds: each is a run of its own. */
struct journal_content {
    struct store_checkpoint checkpoint;
    struct store_hard_state hard;
    struct record put, meta;
};

static void add_record(struct journal *journal, const struct record *record, bool entry)
{
    size_t size = record_size_padded(record);
    uint8_t *out = journal_extend(journal, size);

    assert(out);
    record_encode(record, out);
    journal_run_add(journal, record->partition, 1, entry ? record->index : 0,
                    entry ? record->index : 0, size);
}

static void write_journal(const struct journal_content *content, struct wire_buffer *out)
{
    uint8_t header[JOURNAL_BLOCK_SIZE], value[JOURNAL_CHECKPOINT_HEAD + 16],
        hard[JOURNAL_HARD_STATE_SIZE];
    const struct journal_batch *batches[4];
    struct journal journal;
    size_t count;
    struct record record = {.partition = content->put.partition,
                            .kind = RECORD_KIND_CHECKPOINT,
                            .term = content->checkpoint.term,
                            .sub_count = 1,
                            .index = content->checkpoint.applied,
                            .value = value,
                            .value_size = JOURNAL_CHECKPOINT_HEAD + content->checkpoint.state_size};

    journal_segment_header_encode(
        &(struct journal_segment_header){.number = SEGMENT_NUMBER, .epoch = SEGMENT_EPOCH}, header);
    wire_put_raw(out, header, sizeof header);
    assert(journal_init(&journal, 64u << 10, JOURNAL_BATCH) == 0);
    assert(journal_begin(&journal, 4096) == 0);
    journal_place(&journal, SEGMENT_NUMBER, SEGMENT_EPOCH, JOURNAL_BLOCK_SIZE);
    journal_checkpoint_encode(&content->checkpoint, false, value);
    memcpy(value + JOURNAL_CHECKPOINT_HEAD, content->checkpoint.state,
           content->checkpoint.state_size);
    add_record(&journal, &record, false);
    journal_hard_state_encode(&content->hard, hard);
    record.kind = RECORD_KIND_HARD_STATE;
    record.index = 0;
    record.value = hard;
    record.value_size = sizeof hard;
    add_record(&journal, &record, false);
    add_record(&journal, &content->put, true);
    add_record(&journal, &content->meta, true);
    for (size_t i = 0; i < journal.run_count; i++)
        journal.runs[i].commit = content->hard.commit;
    journal_open_batch(&journal)->flags = JOURNAL_BATCH_CHECKPOINT;
    journal_seal(&journal);
    count = journal_write_begin(&journal, batches, 4);
    assert(count == 1);
    journal_batch_finish(batches[0]->bytes, SEGMENT_EPOCH);
    wire_put_raw(out, batches[0]->bytes, batches[0]->length);
    journal_write_end(&journal, true);
    journal_deinit(&journal);
}

static struct journal_content a_journal(void)
{
    return (struct journal_content){
        .checkpoint = {.term = 2,
                       .vote = 1,
                       .applied = 4,
                       .applied_term = 1,
                       .first_index = 3,
                       .first_prev_term = 1,
                       .state = (const uint8_t *)"state",
                       .state_size = 5},
        .hard = {.term = 3, .vote = 2, .commit = 4},
        .put = {.partition = 17,
                .kind = RECORD_KIND_PUT,
                .term = 3,
                .sub_count = 1,
                .index = 5,
                .key = (const uint8_t *)"key",
                .key_size = 3,
                .value = (const uint8_t *)"value",
                .value_size = 5},
        .meta = {.partition = 0xffff,
                 .kind = RECORD_KIND_META,
                 .term = 1,
                 .sub_count = 1,
                 .index = 2,
                 .value = (const uint8_t *)"a ring map",
                 .value_size = 10},
    };
}

static void make_journal(struct wire_buffer *out)
{
    struct journal_content content = a_journal();

    write_journal(&content, out);
}

/* The one record of run i. */
static const char *read_run(const uint8_t *batch, const struct journal_batch_header *header,
                            uint32_t i, struct record *record)
{
    struct journal_run run;
    uint32_t end;

    GOLDEN_EXPECT(journal_run_at(batch, header, i, &run, &end));
    GOLDEN_EXPECT(journal_run_check(batch, &run, end, SEGMENT_EPOCH));
    GOLDEN_EXPECT(run.count == 1 && run.commit == 4);
    GOLDEN_EXPECT(record_decode(batch + run.offset, end - run.offset, record) == 0);
    GOLDEN_EXPECT(record->partition == run.partition);
    GOLDEN_EXPECT(run.first_index == (i < 2 ? 0 : record->index) &&
                  run.last_index == run.first_index);
    return NULL;
}

static const char *check_journal(const uint8_t *bytes, size_t size)
{
    const uint8_t *batch = bytes + JOURNAL_BLOCK_SIZE;
    struct journal_segment_header segment;
    struct journal_batch_header header;
    struct journal_content read, want = a_journal();
    struct wire_buffer again = {0};
    struct record records[4];
    bool fenced;

    GOLDEN_EXPECT(journal_segment_header_decode(bytes, size, &segment) == 0);
    GOLDEN_EXPECT(segment.number == SEGMENT_NUMBER && segment.epoch == SEGMENT_EPOCH);
    GOLDEN_EXPECT(journal_batch_check(batch, size - JOURNAL_BLOCK_SIZE, SEGMENT_EPOCH,
                                      SEGMENT_NUMBER, JOURNAL_BLOCK_SIZE, &header) == 0);
    GOLDEN_EXPECT(header.number == JOURNAL_BATCH && header.run_count == 4 &&
                  header.flags == JOURNAL_BATCH_CHECKPOINT);
    for (uint32_t i = 0; i < 4; i++) {
        const char *wrong = read_run(batch, &header, i, &records[i]);

        if (wrong)
            return wrong;
    }
    read.put = records[2];
    read.meta = records[3];
    GOLDEN_EXPECT(journal_checkpoint_decode(records[0].value, records[0].value_size,
                                            &read.checkpoint, &fenced));
    GOLDEN_EXPECT(journal_hard_state_decode(records[1].value, records[1].value_size, &read.hard));
    GOLDEN_EXPECT(!fenced && read.checkpoint.vote == 1 && read.checkpoint.first_index == 3 &&
                  read.checkpoint.first_prev_term == 1 && read.checkpoint.state_size == 5 &&
                  memcmp(read.checkpoint.state, "state", 5) == 0);
    GOLDEN_EXPECT(read.hard.term == want.hard.term && read.hard.vote == want.hard.vote &&
                  read.hard.commit == want.hard.commit);
    GOLDEN_EXPECT(read.put.index == 5 && read.put.key_size == 3 && read.put.value_size == 5);
    write_journal(&read, &again);
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    return NULL;
}

/* --- cask and hint -------------------------------------------------------------------------- */

#define CASK_RECORDS 3u

static const struct record cask_records[CASK_RECORDS] = {
    {.partition = 41,
     .kind = RECORD_KIND_PUT,
     .term = 2,
     .sub_count = 1,
     .index = 100,
     .key = (const uint8_t *)"apple",
     .key_size = 5,
     .value = (const uint8_t *)"3",
     .value_size = 1},
    {.partition = 41,
     .kind = RECORD_KIND_DELETE,
     .term = 2,
     .sub_count = 1,
     .index = 90,
     .key = (const uint8_t *)"pear",
     .key_size = 4},
    {.partition = 41,
     .kind = RECORD_KIND_PUT,
     .flags = RECORD_FLAG_EXPIRES,
     .term = 3,
     .sub_count = 1,
     .index = 110,
     .expiry_ms = 1700000000123,
     .key = (const uint8_t *)"plum",
     .key_size = 4,
     .value = (const uint8_t *)"5",
     .value_size = 1},
};

static void write_cask(const struct record *records, struct wire_buffer *out)
{
    struct vfs *vfs = vfs_mem_new();
    struct cask_writer writer;
    struct cask_info info;
    struct vfs_file *file;

    assert(vfs_open(vfs, "c", VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file) == 0);
    assert(cask_writer_begin(&writer, file, 41, 7) == 0);
    for (size_t i = 0; i < CASK_RECORDS; i++) {
        uint8_t bytes[256];

        assert(cask_writer_add(&writer, bytes, record_encode(&records[i], bytes), NULL) == 0);
    }
    assert(cask_writer_finish(&writer, &info) == 0);
    cask_writer_end(&writer);
    vfs_close(file);
    golden_take_file(vfs, "c", out);
    vfs_mem_free(vfs);
}

static void make_cask(struct wire_buffer *out)
{
    write_cask(cask_records, out);
}

static const char *check_cask(const uint8_t *bytes, size_t size)
{
    struct record records[CASK_RECORDS];
    struct vfs *vfs = vfs_mem_new();
    struct wire_buffer again = {0};
    struct cask_cursor cursor;
    struct vfs_file *file;
    struct cask cask;

    golden_put_file(vfs, "c", bytes, size);
    assert(vfs_open(vfs, "c", VFS_OPEN_READ, &file) == 0);
    GOLDEN_EXPECT(cask_open(&cask, file) == 0);
    GOLDEN_EXPECT(cask.info.partition == 41 && cask.info.number == 7 && cask.info.count == 3 &&
                  cask.info.tombstones == 1 && cask.info.index_min == 90 &&
                  cask.info.index_max == 110 && cask.info.length == size);
    cask_cursor_open(&cursor, &cask, 64u << 10);
    for (size_t i = 0; i < CASK_RECORDS; i++) {
        GOLDEN_EXPECT(cask_cursor_next(&cursor) == 0);
        records[i] = cursor.record; /* one read took them all: they stay where they are */
        GOLDEN_EXPECT(records[i].index == cask_records[i].index &&
                      records[i].kind == cask_records[i].kind &&
                      records[i].expiry_ms == cask_records[i].expiry_ms &&
                      records[i].key_size == cask_records[i].key_size);
    }
    write_cask(records, &again);
    GOLDEN_EXPECT(cask_cursor_next(&cursor) == CASK_E_END);
    cask_cursor_close(&cursor);
    cask_close(&cask);
    vfs_close(file);
    vfs_mem_free(vfs);
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    return NULL;
}

static const struct hint_subject hint_subject = {
    .kind = HINT_KIND_SEGMENT, .number = 7, .stamp = 12, .length = 4096};
static const struct hint_entry hint_entries[] = {
    {.partition = 3, .offset = 512, .digest = {.high = 1, .low = 20}, .index = 5, .size = 64},
    {.partition = 41,
     .tombstone = true,
     .offset = 576,
     .digest = {.high = 1, .low = 21},
     .index = 6,
     .size = 48},
    {.partition = 41,
     .expires = true,
     .offset = 624,
     .digest = {.high = 0xffff, .low = UINT64_MAX},
     .index = 7,
     .size = 80},
};
#define HINT_ENTRIES (sizeof hint_entries / sizeof *hint_entries)

static void write_hint(const struct hint_entry *entries, struct wire_buffer *out)
{
    struct vfs *vfs = vfs_mem_new();
    struct hint_writer writer;
    struct vfs_file *file;

    assert(vfs_open(vfs, "h", VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file) == 0);
    assert(hint_writer_begin(&writer, file, &hint_subject) == 0);
    for (size_t i = 0; i < HINT_ENTRIES; i++)
        assert(hint_writer_add(&writer, &entries[i]) == 0);
    assert(hint_writer_finish(&writer) == 0);
    hint_writer_end(&writer);
    vfs_close(file);
    golden_take_file(vfs, "h", out);
    vfs_mem_free(vfs);
}

static void make_hint(struct wire_buffer *out)
{
    write_hint(hint_entries, out);
}

static const char *check_hint(const uint8_t *bytes, size_t size)
{
    static const uint16_t partitions[HINT_ENTRIES] = {3, 41, 41};
    struct hint_entry entries[HINT_ENTRIES];
    struct vfs *vfs = vfs_mem_new();
    struct wire_buffer again = {0};
    struct hint_cursor cursor;
    struct vfs_file *file;
    struct hint hint;

    golden_put_file(vfs, "h", bytes, size);
    assert(vfs_open(vfs, "h", VFS_OPEN_READ, &file) == 0);
    GOLDEN_EXPECT(hint_open(&hint, file, &hint_subject) == 0);
    GOLDEN_EXPECT(hint.count == HINT_ENTRIES && hint.partition_count == 2);
    GOLDEN_EXPECT(hint.partitions[1].tombstones == 1 && hint.partitions[1].bytes == 128 &&
                  hint.partitions[1].index_min == 6 && hint.partitions[1].index_max == 7);
    for (size_t i = 0; i < HINT_ENTRIES; i++) {
        if (i == 0 || partitions[i] != partitions[i - 1])
            GOLDEN_EXPECT(hint_cursor_open(&cursor, &hint, partitions[i]) == 0);
        GOLDEN_EXPECT(hint_cursor_next(&cursor) == 0);
        entries[i] = cursor.entry;
        GOLDEN_EXPECT(hint_entry_compare(&entries[i], &hint_entries[i]) == 0);
        GOLDEN_EXPECT(entries[i].tombstone == hint_entries[i].tombstone &&
                      entries[i].expires == hint_entries[i].expires &&
                      entries[i].index == hint_entries[i].index &&
                      entries[i].offset == hint_entries[i].offset &&
                      entries[i].size == hint_entries[i].size);
        if (i + 1 == HINT_ENTRIES || partitions[i] != partitions[i + 1])
            hint_cursor_close(&cursor);
    }
    hint_close(&hint);
    vfs_close(file);
    vfs_mem_free(vfs);
    write_hint(entries, &again);
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    return NULL;
}

const struct golden golden_data[] = {
    {"journal-1", make_journal, check_journal},
    {"cask-1", make_cask, check_cask},
    {"hint-1", make_hint, check_hint},
};
const size_t golden_data_count = sizeof golden_data / sizeof *golden_data;
