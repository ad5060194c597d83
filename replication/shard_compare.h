/* Shard compare: do the replicas of a partition hold the same?
 *
 * The scrub proves that bytes are those that were written; not that the same was written, or taken
 * over, everywhere. So a leader goes through its partitions, a range of digests at a time. At its
 * applied index it names the range, and each voter answers with a digest of what it holds there
 * when that very index is the newest it has applied: the sum, over the keys that are there, of a
 * hash of (key digest, index, deadline, value), the value as its client gave it. Tombstones do not
 * count: replicas let them go at different times. Neither does a replica whose snapshot is
 * settling.
 *
 * What is held is captured at once, as places in the keydir, with a pin on their files; it is read
 * and summed up bit by bit, while newer writes go on. A replica that is past the index says so, and
 * is asked again.
 *
 * Who is wrong? What differs twice, at two indexes, differs. If more than half of the voters agree,
 * the others are wrong: a follower is told, fences itself and gets the partition by a snapshot; a
 * leader hands over first. Without such a majority nobody can tell: it is counted and reported, and
 * nothing is touched.
 *
 * The pace is the scrub's, over all replicas that read. Limits: one range a shard at a time, of
 * COMPARE_ITEMS keys or COMPARE_SIZE_MAX bytes; COMPARE_CAPTURES_MAX asked for by others.
 *
 * Included by shard*.c only.
 */
#ifndef REPLICATION_SHARD_COMPARE_H
#define REPLICATION_SHARD_COMPARE_H

#include "replication/raft.h"
#include "ring/link.h"
#include "ring/wire.h"
#include "storage/keydir.h"

#define COMPARE_ITEMS        1024u
#define COMPARE_SIZE_MAX     (1u << 20)
#define COMPARE_CAPTURES_MAX 8u

struct shard;
struct replica;
struct shard_read;
struct shard_capture;

struct shard_answer {
    struct raft_replica voter;
    bool come;  /* something, and */
    bool given; /* a digest */
    uint32_t count;
    uint64_t sum;
};

/* Of a shard that leads: the range that is compared. */
struct shard_compare {
    struct shard_capture *captures; /* of all that are asked here */
    uint32_t capture_count;
    size_t turn;             /* hosted replica that is looked at next */
    struct replica *replica; /* whose range it is; NULL: none */
    struct wire_compare ask;
    struct shard_answer answers[RAFT_VOTERS_MAX];
    uint32_t answer_count;
    uint64_t bytes;
    uint64_t begun_ms;
    uint64_t due_ms; /* the pace: no range before */
    uint32_t tries;
    bool differed;       /* once */
    struct replica *odd; /* leads here and is outvoted: hands over; NULL: none */
    struct keydir_item items[COMPARE_ITEMS]; /* scratch */
};

void shard_compare_frame(struct shard *shard, uint16_t member, const struct link_message *message);
void shard_compare_ack_frame(struct shard *shard, uint16_t member,
                             const struct link_message *message);
/* The replica has just applied the index that it was asked for. */
void shard_compare_reached(struct shard *shard, struct replica *replica);
/* Goes on with what was captured, and with the range; at the end of each event. */
void shard_compare_pump(struct shard *shard);
void shard_compare_read(struct shard *shard, struct shard_read *read, const uint8_t *bytes,
                        size_t size);
/* Read jobs must have come back, or never will. */
void shard_compare_free(struct shard *shard);

#endif
