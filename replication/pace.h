/* Pace: how fast snapshots may be sent while clients are served too.
 *
 * What people allow is the budget; within it clients go first. What tells whether they suffer is
 * how long their operations are in the shard: by Little's law the sum of those that wait, over
 * time, by the number that came. That needs no clock finer than ms, and has in it all that they
 * wait for, also on other members.
 *
 * How long is too long is said by `quiet_ms`, the same while snapshots take least. The rate grows
 * by a fixed step in each window in which operations do not take too long, and falls to half of
 * what was sent in one in which they do (Chiu and Jain, Analysis of the increase and decrease
 * algorithms, 1989). It never falls below PACE_RATE_MIN: every move ends. What is measured at that
 * rate is the new quiet, so a load that grows slower by itself does not hold up snapshots for ever.
 * While nothing is sent and clients are served the rate is the least: each beginning is a careful
 * one. Without clients there is no limit.
 *
 * No I/O, no clock. Owner: one shard.
 */
#ifndef REPLICATION_PACE_H
#define REPLICATION_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACE_RATE_MIN (UINT64_C(1) << 20) /* bytes a second */
#define PACE_FREE     UINT64_MAX

struct pace {
    uint64_t rate;   /* bytes a second, or PACE_FREE */
    double quiet_ms; /* 0: not known yet */
    /* The window that is open: */
    uint64_t since_ms;
    uint64_t now_ms;
    uint64_t waited; /* operations by ms */
    uint64_t operations;
    uint64_t sent; /* bytes of snapshots */
};

void pace_init(struct pace *pace, uint64_t now_ms);
/* The time has come to now_ms, which never goes back; until now so many operations were waiting. */
void pace_step(struct pace *pace, uint64_t now_ms, uint32_t waiting);
void pace_operation(struct pace *pace);         /* one more came */
void pace_sent(struct pace *pace, size_t size); /* a piece of a snapshot left */

#endif
