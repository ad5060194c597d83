/* Progress: how far a plan is and how fast it goes on, from sums of moves taken now and then.
 *
 * The speed is that of the last PROGRESS_WINDOW_MS. Pure. Owner: one thread.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "cli/moves.h"

#define PROGRESS_WINDOW_MS   5000u
#define PROGRESS_SAMPLES_MAX 32u
#define PROGRESS_TEXT_SIZE   512u

struct progress_sample {
    uint64_t at_ms, bytes_done;
};

struct progress {
    struct moves_sum sum;                                 /* the newest */
    struct progress_sample samples[PROGRESS_SAMPLES_MAX]; /* the oldest first */
    uint32_t sample_count;
};

/* now_ms: never goes back. */
void progress_take(struct progress *progress, const struct moves_sum *sum, uint64_t now_ms);
/* Of the bytes, or where there are none of the partitions. 100 when all are where they are to be,
 * the meta group too. */
unsigned progress_percent(const struct progress *progress);
/* Bytes a second. */
uint64_t progress_rate(const struct progress *progress);
/* UINT64_MAX: nobody knows. */
uint64_t progress_left_ms(const struct progress *progress);
/* Why groups that are not done wait: "12 waiting for its turn, 4 catching up (node-3), the meta
 * group not heard of (node-5)". "" when none does. */
void progress_waits(const struct moves *moves, const struct ringmap *map, char *text, size_t size);
/* That the plan waits for this node of moves_missing(), and what helps; see remedy_text(). */
void progress_missing(const struct view *view, const struct moves *moves,
                      const struct view_node *node, char *text, size_t size);
/* Of an abort also how many "going back". "12 of 47 partitions, 2 retries; 412.0 MiB of 1.0
 * GiB, 48.1 MiB/s, 00:21 left". */
void progress_text(const struct progress *progress, char *text, size_t size);

#endif
