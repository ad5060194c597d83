/* Quorum: what a majority of distinct voters agrees on.
 *
 * The callers give one value for each voter of one half of the configuration; a joint configuration
 * asks twice and takes the lower answer. A half without voters decides nothing: it agrees to all.
 */
#ifndef REPLICATION_QUORUM_H
#define REPLICATION_QUORUM_H

#include <stdint.h>

/* Voters that make a majority of `count`. */
uint32_t quorum_size(uint32_t count);
/* The largest value that a majority has reached; UINT64_MAX when count is 0. Sorts values. */
uint64_t quorum_value(uint64_t *values, uint32_t count);

enum quorum_verdict { QUORUM_OPEN, QUORUM_WON, QUORUM_LOST };

/* LOST: those who have not answered cannot make a majority any more. count 0: WON. */
enum quorum_verdict quorum_votes(uint32_t granted, uint32_t refused, uint32_t count);
/* Of the two halves: lost in one is lost, won needs both. */
enum quorum_verdict quorum_joint(enum quorum_verdict one, enum quorum_verdict other);

#endif
