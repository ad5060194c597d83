/* Slow disk: which members' disks are far off their peers', so that they should lead nothing.
 *
 * A member is slow when the p99 of its fsyncs has been, in every sample for `begin_ms`, above the
 * upper bar: `floor_us` and `begin_ratio` times the median of all (the lower one, so that of two it
 * is the other's). It is sound again once samples at or below the lower bar, `end_ratio` times that
 * median or half the floor, whichever is more, have made up `end_ms`. A sample above that bar adds
 * nothing and takes nothing away, for machines have hiccups; only what would call the member slow,
 * begin_ms above the upper bar, starts the count anew. Two bars and two times keep it from
 * flapping; the shorter time is the one to step down, for a leader that waits for its disk makes
 * all its clients wait. With samples every 300 ms and begin_ms 850 it is decided by four on end,
 * 900 ms from the first to the last; the rest is for a machine that is late with the first. The
 * median guards against blaming one for what all suffer: when more than half are as slow, nobody is
 * called so. It is of the best of each member's newest SLOW_DISK_SAMPLES, or a hiccup of another
 * member would raise the bar, and the count begin anew; these are one fewer than a count takes, as
 * what all suffer may show in one member's samples first. Without a sample there is no evidence: a
 * count towards slow begins anew; one towards sound goes on behind a good sample, or a cluster that
 * writes little would never end it.
 */
#ifndef REPLICATION_SLOW_DISK_H
#define REPLICATION_SLOW_DISK_H

#include <stdbool.h>
#include <stdint.h>

struct slow_disk_options {
    uint32_t members_max;
    uint32_t floor_us;
    uint32_t begin_ratio;
    uint32_t end_ratio;
    uint32_t begin_ms;
    uint32_t end_ms;
};

struct slow_disk_sample {
    bool fresh;      /* heard of since the last step */
    uint32_t p99_us; /* of the fsyncs of the last seconds */
};

/* samples: by slot of the member, the same in all steps. Borrowed for the step. */
struct slow_disk_event {
    uint64_t now_ms; /* monotonic */
    const struct slow_disk_sample *samples;
    uint32_t count;
};

#define SLOW_DISK_SAMPLES 3u /* one fewer than begin_ms takes */

struct slow_disk_state {
    uint32_t newest_us[SLOW_DISK_SAMPLES]; /* of its samples, in a ring */
    uint32_t sample_count;
    bool slow;
    bool high;              /* the newest samples were above the upper bar, */
    uint64_t high_since_ms; /* since then */
    bool good;              /* the newest one was not above the lower bar */
    uint64_t good_ms;       /* slow: towards end_ms */
};

struct slow_disk {
    struct slow_disk_options options;
    struct slow_disk_state *states; /* by slot */
    uint64_t stepped_ms;
    uint32_t *sorted; /* of a step */
};

/* 0 or -ENOMEM. */
int slow_disk_init(struct slow_disk *slow_disk, const struct slow_disk_options *options);
void slow_disk_deinit(struct slow_disk *slow_disk);
void slow_disk_options_default(struct slow_disk_options *options);
/* Returns how many members became slow or sound; slow_disk_is() tells which are. */
uint32_t slow_disk_step(struct slow_disk *slow_disk, const struct slow_disk_event *event);
bool slow_disk_is(const struct slow_disk *slow_disk, uint32_t slot);

#endif
