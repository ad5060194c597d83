/* Rebalance: which leaderships to hand over so that the load of leading is even.
 *
 * Load is what leaders do: operations, and bytes as the operations they cost as much as, with one
 * more for each partition, so that idle ones are spread by number. Loads are smoothed; what counts
 * for a member is its sum by its weight. Partitions of members that must not lead (draining, a slow
 * disk, about to leave) go first and at once; then the fullest member gives to the one where the
 * greater of the two becomes the least.
 *
 * Where evenness leaves a choice, a partition goes home to its preferred leader: when that makes
 * nobody fuller than half of `end_percent` above the mean, or than the one that hands over is. So
 * leaders of an idle cluster are where the ring map has them, also after a node was away.
 *
 * Hysteresis, so that nothing flaps: balancing begins when a member is `begin_percent` above the
 * mean and goes on until none is `end_percent` above it or nothing helps. A transfer must bring the
 * fuller of the two down by `gain_percent` of the load that is handed over, so it is never worth
 * going back. A partition that was handed over rests for `rest_ms_min`, and twice as long each time
 * it is handed over soon again, up to `rest_ms_max`.
 * So noise of a constant load moves a partition a number of times that grows with the logarithm
 * of time, until rests are at their maximum, and then once in that.
 *
 * One instance, where the view of all is (the leader of the meta group). It holds no truth: losing
 * it costs the rests and the smoothing.
 */
#ifndef REPLICATION_REBALANCE_H
#define REPLICATION_REBALANCE_H

#include <stdbool.h>
#include <stdint.h>

#define REBALANCE_VOTERS_MAX    7u
#define REBALANCE_TRANSFERS_MAX 256u

struct rebalance_options {
    uint32_t partitions;
    uint32_t members_max;
    uint32_t transfers_max;   /* a step; at most REBALANCE_TRANSFERS_MAX */
    uint32_t evacuations_max; /* a step, of members that must not lead, and ways home; likewise */
    uint32_t operation_bytes; /* so many bytes weigh as much as an operation */
    uint32_t smoothing_ms;    /* time constant */
    uint32_t begin_percent;
    uint32_t end_percent;
    uint32_t gain_percent;
    uint64_t rest_ms_min;
    uint64_t rest_ms_max;
};

struct rebalance_member {
    uint16_t id;
    uint32_t weight; /* from 1 */
    bool may_lead;
};

struct rebalance_partition {
    uint16_t leader;    /* 0: unknown */
    uint16_t preferred; /* a voter that leads it where load does not matter; 0: none */
    uint8_t voter_count;
    uint16_t
        voters[REBALANCE_VOTERS_MAX]; /* that are healthy and caught up; the leader may be one */
    uint32_t operations;              /* a second, of late */
    uint64_t bytes;
};

/* Everything is borrowed for the step. */
struct rebalance_event {
    uint64_t now_ms;                        /* monotonic */
    const struct rebalance_member *members; /* by ascending id */
    uint32_t member_count;
    const struct rebalance_partition *partitions;
};

struct rebalance_transfer {
    uint16_t partition;
    uint16_t from;
    uint16_t to;
};

struct rebalance_effects {
    struct rebalance_transfer transfers[REBALANCE_TRANSFERS_MAX];
    uint32_t transfer_count;
    uint32_t load_max_percent; /* the fullest member that may lead, of the mean; before transfers */
};

struct rebalance_rest {
    uint64_t until_ms;
    uint64_t length_ms; /* of the last rest; 0: none yet */
};

struct rebalance {
    struct rebalance_options options;
    bool balancing;   /* begun and not yet even */
    uint64_t last_ms; /* of the step before; 0: none */
    double *load;     /* by partition, smoothed */
    struct rebalance_rest *rests;
    double *sums; /* of a step, by index of the member */
};

/* 0 or -ENOMEM. */
int rebalance_init(struct rebalance *rebalance, const struct rebalance_options *options);
void rebalance_deinit(struct rebalance *rebalance);
void rebalance_options_default(struct rebalance_options *options);
/* *effects is filled whole. Transfers are advice: what becomes of them the next event shows. */
void rebalance_step(struct rebalance *rebalance, const struct rebalance_event *event,
                    struct rebalance_effects *effects);
void rebalance_check(const struct rebalance *rebalance);

#endif
