#include <criterion/criterion.h>

#include "store_writer.h"

#define PARTITIONS 130u /* more than a round of flush takes victims */
#define KEYS       6000u
#define WRITES     12000u
#define CASKS_EACH 16u

/* Each round leaves a small cask in most partitions. They are merged as fast as they come, else
 * slots and open files would run out. */
Test(store_victims, many_partitions_do_not_end_in_ever_more_casks, .timeout = 300)
{
    struct store_options options;
    struct store_stats stats;
    struct writer writer;

    writer_options(&options);
    options.partitions = PARTITIONS;
    options.flush_size_max = 8u << 10;
    writer_open(&writer, &options);
    for (uint32_t n = 0; n < WRITES; n++) {
        writer_put(&writer, n < KEYS ? n : writer_draw(&writer, KEYS));
        if (n % 64 == 63)
            writer_work(&writer, 240);
    }
    store_stats(writer.store, &stats);
    cr_assert_gt(stats.casks, PARTITIONS * CASKS_EACH / 2, "too little has come together");
    cr_assert_leq(stats.casks, PARTITIONS * (CASKS_EACH + 1));
    writer_close(&writer);
}
