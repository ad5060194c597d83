/* Store busy: a host of small segments, one partition of which is written all the time: for tests
 * of what holds up its log. */
#ifndef TESTS_STORE_BUSY_H
#define TESTS_STORE_BUSY_H

#include "store_host.h"

/* scrub_rate: bytes a second; 0: no scrub but those that are asked for. */
void busy_start(struct host *host, uint64_t scrub_rate);
/* One entry, which is committed and no log any more. */
void busy_write(struct host *host, uint16_t partition, uint32_t key);
/* Partition 1 is written all the time, and lets go of its log at once; of partitions 2 and 3 a bit
 * stays alive everywhere. */
void busy_run(struct host *host, uint32_t entries);
/* It takes little behind some more entries, also behind a start that was not compared with what was
 * there before. */
void busy_expect_short(struct host *host);

#endif
