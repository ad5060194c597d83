#include <criterion/criterion.h>

#include "store_writer.h"

/* What flush costs in the long run: bytes written for a byte put, and bytes held for a live one. */

struct wear {
    double written; /* bytes written to files, hints and zeros too, a byte of records put */
    double held;    /* bytes of files a byte of live records, on average */
    double held_max;
};

static void held_note(struct writer *writer, uint64_t live, struct wear *wear, uint32_t *samples)
{
    double held = (double)writer_bytes_held(writer) / (double)live;

    wear->held = (wear->held * *samples + held) / (*samples + 1);
    wear->held_max = held > wear->held_max ? held : wear->held_max;
    (*samples)++;
}

/* All keys once; then uniform overwrites, `rounds` times as many as keys, the first half of which
 * does not count. */
static struct wear wear_of(struct writer *writer, uint32_t keys, uint32_t rounds)
{
    uint64_t written = 0, put = 0, live = 0;
    struct wear wear = {0};
    uint32_t samples = 0;

    for (uint32_t i = 0; i < keys * (rounds + 1); i++) {
        if (i == keys)
            live = writer->bytes_put;
        if (i == keys * (rounds / 2 + 1)) {
            written = writer_bytes_written();
            put = writer->bytes_put;
        }
        writer_put(writer, i < keys ? i : writer_draw(writer, keys));
        if (i % 100 == 0)
            writer_work(writer, 400);
        if (put > 0 && i % 500 == 0)
            held_note(writer, live, &wear, &samples);
    }
    wear.written = (double)(writer_bytes_written() - written) / (double)(writer->bytes_put - put);
    return wear;
}

static struct wear wear_with(uint32_t partitions, uint32_t keys, uint32_t segment_size)
{
    struct store_options options;
    struct writer writer;
    struct wear wear;

    writer_options(&options);
    options.partitions = partitions;
    options.segment_size = segment_size;
    options.zero_ahead_size = segment_size / 8;
    options.flush_size_max = 2 * segment_size;
    writer_open(&writer, &options);
    writer.value_size = 1000;
    wear = wear_of(&writer, keys, 6);
    writer_close(&writer);
    return wear;
}

/* 70 per cent of what flush may touch is alive: cleaning by greed would write 1.88 for every byte,
 * and hints, heads of batches and zeros come on top. */
Test(store_wear, a_byte_put_costs_less_than_two_written, .timeout = 300)
{
    struct wear wear = wear_with(1, 20000, 512u << 10);

    cr_assert_leq(wear.written, 2.0, "%f", wear.written);
    cr_assert_leq(wear.held, 1.75, "%f", wear.held);
}

/* Small casks of many partitions are merged now and then. */
Test(store_wear, many_partitions_cost_a_little_more, .timeout = 300)
{
    struct wear wear = wear_with(32, 10000, 512u << 10);

    cr_assert_leq(wear.written, 2.2, "%f", wear.written);
    cr_assert_leq(wear.held, 1.8, "%f", wear.held);
}

/* The segments of a large store would be more than the data of a small one. */
Test(store_wear, a_small_store_stays_small_whatever_its_segments_may_be, .timeout = 300)
{
    struct store_options options;
    struct writer writer;
    struct wear wear;

    writer_options(&options);
    options.segment_size = 64u << 20;
    options.zero_ahead_size = 4u << 20;
    options.flush_size_max = 32u << 20;
    writer_open(&writer, &options);
    writer.value_size = 16000;
    wear = wear_of(&writer, 2000, 6); /* 32 MB */
    cr_assert_leq(wear.held_max, 2.2, "%f", wear.held_max);
    writer_close(&writer);
}
