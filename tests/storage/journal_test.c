#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "storage/journal.h"
#include "tests/dice.h"

static struct dice dice;

/* Appends `size` bytes of a pattern that its place determines. */
static void append(struct journal *journal, uint16_t partition, uint64_t index, size_t size)
{
    uint8_t *out = journal_extend(journal, size);

    cr_assert(out);
    memset(out, (int)(index % 251), size);
    journal_run_add(journal, partition, 1, index, index, size);
}

static void place(struct journal *journal, uint32_t *position)
{
    journal_place(journal, 1 + (*position >> 20), 5, *position & ((1u << 20) - 1));
}

static uint64_t seal(struct journal *journal, uint32_t *position)
{
    uint64_t number = journal->open;

    journal_seal(journal);
    *position += journal_batch_at(journal, number)->length;
    return number;
}

/* Random batches through a tiny arena: each batch in memory keeps its bytes, whatever is begun,
 * moved, written or evicted around it. */
Test(journal, batches_keep_their_bytes_until_they_are_evicted)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        const struct journal_batch *out[8];
        struct journal journal;
        uint32_t position = 512;
        uint64_t index = 0;
        bool writing = false;

        dice.state = seed;
        cr_assert_eq(journal_init(&journal, 8192 + dice_next(&dice) % 60000, 7), 0);
        cr_assert_eq(journal_set_reserve(&journal, 4, 256), 0);
        for (int i = 0; i < 3000; i++) {
            switch (dice_next(&dice) % 8) {
            case 0:
                if (journal.begun && journal_open_batch(&journal)->segment != 0)
                    seal(&journal, &position);
                break;
            case 1:
                if (!writing && journal.synced + 1 < journal.open)
                    writing = journal_write_begin(&journal, out, 8) > 0;
                break;
            case 2:
                if (writing)
                    journal_write_end(&journal, dice_next(&dice) % 4 != 0);
                writing = false;
                break;
            case 3:
                if (dice_next(&dice) % 8 == 0 && journal.begun)
                    journal_abort(&journal);
                break;
            default:
                if (!journal.begun) {
                    if (journal.open - journal.synced > 20)
                        break;
                    cr_assert_eq(journal_begin(&journal, dice_next(&dice) % 500), 0);
                    place(&journal, &position);
                }
                append(&journal, (uint16_t)(dice_next(&dice) % 3), ++index,
                       16 * (1 + dice_next(&dice) % (dice_next(&dice) % 20 == 0 ? 2000 : 30)));
                break;
            }
            journal_check(&journal);
            for (uint64_t n = journal.first; n < journal.open; n++) {
                const struct journal_batch *batch = journal_batch_at(&journal, n);
                struct journal_batch_header header;

                cr_assert_eq(journal_batch_header_peek(batch->bytes, batch->length, &header), 0);
                cr_assert_eq(header.number, n);
                cr_assert_eq(header.offset, batch->offset);
                for (uint32_t k = 0; k < header.run_count; k++) {
                    struct journal_run run;
                    uint32_t end;

                    cr_assert(journal_run_at(batch->bytes, &header, k, &run, &end));
                    cr_assert_eq(batch->bytes[run.offset], run.first_index % 251);
                    cr_assert_eq(batch->bytes[end - 1], run.last_index % 251);
                }
                cr_assert_eq(journal_find(&journal, batch->segment, batch->offset + 64), batch);
            }
        }
        if (writing)
            journal_write_end(&journal, true);
        journal_deinit(&journal);
    }
}

Test(journal, a_write_takes_what_lies_behind_one_another_in_one_segment)
{
    const struct journal_batch *out[8];
    struct journal journal;

    cr_assert_eq(journal_init(&journal, 1u << 16, 1), 0);
    cr_assert_eq(journal_set_reserve(&journal, 1, 64), 0);
    for (uint64_t i = 1; i <= 4; i++) {
        cr_assert_eq(journal_begin(&journal, 16), 0);
        journal_place(&journal, i <= 2 ? 1 : 2, 5, i % 2 ? 512 : 1024);
        append(&journal, 0, i, 16);
        journal_seal(&journal);
    }
    cr_assert_eq(journal_write_begin(&journal, out, 8), 2);
    cr_assert_eq(out[0]->number, 1);
    cr_assert_eq(journal.writing, 2);
    journal_write_end(&journal, false);
    cr_assert_eq(journal.synced, 0);
    cr_assert_eq(journal_write_begin(&journal, out, 1), 1);
    journal_write_end(&journal, true);
    cr_assert_eq(journal.synced, 1);
    cr_assert_eq(journal_write_begin(&journal, out, 8), 1, "batch 3 lies in another segment");
    journal_write_end(&journal, true);
    cr_assert_eq(journal_write_begin(&journal, out, 8), 2);
    journal_write_end(&journal, true);
    cr_assert_eq(journal.queued_size, 0);
    journal_deinit(&journal);
}

Test(journal, runs_join_only_while_partition_and_indexes_go_on)
{
    struct journal journal;

    cr_assert_eq(journal_init(&journal, 1u << 16, 1), 0);
    cr_assert_eq(journal_set_reserve(&journal, 1, 64), 0);
    cr_assert_eq(journal_begin(&journal, 16), 0);
    append(&journal, 3, 10, 16);
    append(&journal, 3, 11, 32);
    cr_assert_eq(journal.run_count, 1);
    append(&journal, 3, 11, 16); /* truncates the one before */
    cr_assert_eq(journal.run_count, 2);
    append(&journal, 4, 12, 16);
    append(&journal, 3, 12, 16);
    cr_assert_eq(journal.run_count, 4);
    cr_assert_eq(journal.runs[0].count, 2);
    cr_assert_eq(journal.runs[0].last_index, 11);
    journal_deinit(&journal);
}
