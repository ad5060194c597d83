/* Mutants: known protocol bugs that the simulator must catch. In a normal build every mutant() is
 * the constant false and the compiler removes it; with -DRINGCASK_MUTANTS `sim --mutant N` switches
 * one on. docs/kill-table.md says which real systems had each of them and how fast it is found.
 *
 * X(NAME, number, "what goes wrong", "real systems that had it")
 */
#ifndef STORAGE_MUTANT_H
#define STORAGE_MUTANT_H

#include <stdbool.h>

#define MUTANTS(X)                                                                                 \
    X(ACK_BEFORE_SYNC, 1, "acknowledges an append before its fsync", "d-engine #446, etcd #14370") \
    X(VOTE_NOT_PERSISTED, 2, "answers a vote before term and vote are durable",                    \
      "seaweedfs/raft #9, robustmq #2039")                                                         \
    X(COMMIT_OLD_TERM, 3, "commits an earlier term's entry by counting", "logcabin #44")           \
    X(READ_WITHOUT_ROUND, 4, "serves a read without its read-index round",                         \
      "hashicorp/raft #108, redisraft")                                                            \
    X(READ_BEFORE_OWN_TERM, 5, "answers read-index before an entry of the own term is committed",  \
      "etcd #3879")                                                                                \
    X(RETRY_APPLIED_TWICE, 6, "applies a retried request again", "jraft #1014, TiDB 2.1.7")        \
    X(KEYDIR_UNAPPLIED, 7, "points the keydir at an entry that is not applied", "canonical #355")  \
    X(REPLY_BEFORE_OBSERVED, 8, "replies before the pending write it observed has committed",      \
      "Redis Cluster, valkey #1355")                                                               \
    X(REPLAY_KEEPS_CONFLICT, 9, "skips conflict truncation at replay", "dqlite a3de078")           \
    X(TORN_TAIL_AS_DATA, 10, "takes a torn tail for data", "raft-engine before 0.4")               \
    X(CORRUPT_AS_TORN, 11, "takes a corrupt committed record for a torn tail", "NuRaft #185")      \
    X(PREVOTE_IGNORED, 12, "campaigns without pre-vote and grants while a leader is heard",        \
      "TiKV #10341, etcd #8243")                                                                   \
    X(QUORUM_NOT_DISTINCT, 13, "counts one member's acknowledgements more than once", "redisraft") \
    X(OTHER_LIFE_ACCEPTED, 14, "accepts a message for another life of the replica",                \
      "TiKV #1262, #7475")                                                                         \
    X(FAILED_CONDITION_UNREAD, 15, "answers a failed conditional without a read-index round",      \
      "Redis-Raft (Jepsen)")                                                                       \
    X(SPANS_FORGOTTEN, 16, "forgets truncated spans when a segment goes", "raft-engine #288")      \
    X(HARD_STATE_RECYCLED, 17, "loses the hard state with a recycled segment", "dragonboat #201")  \
    X(TOMBSTONE_EARLY, 18, "drops a tombstone while an older record of its key is still there",    \
      "basho/bitcask #82")                                                                         \
    X(MOVE_WITHOUT_SWAP, 19, "points the keydir at a moved record though a newer one is there",    \
      "basho/bitcask #148, badger #2286")                                                          \
    X(EDIT_BEFORE_SYNC, 20, "lists flush's output before it is durable", "rosedb #342")            \
    X(HINT_TRUSTED, 21, "believes a hint that does not match its data file", "basho/bitcask #35")  \
    X(SLOT_REUSED, 22, "gives a file slot away while reads of the old file are out",               \
      "tikv #17383")                                                                               \
    X(SNAPSHOT_MERGED, 23, "merges a snapshot into what is there instead of replacing it",         \
      "tikv #12470")                                                                               \
    X(SNAPSHOT_SKIPS_MOVED, 24, "leaves out of a snapshot what flush has moved meanwhile",         \
      "basho/bitcask #174, #180")                                                                  \
    X(EXPIRED_RESURRECTS, 25, "hides an expired value without logging its delete",                 \
      "Redis before 3.2 on replicas")                                                              \
    X(MAP_NOT_COMPARED, 26, "commits a ring map without comparing its epoch", "none that we know") \
    X(MAP_BEFORE_DISK, 27, "goes by a ring map before it is on the disk", "none that we know")     \
    X(SCRUB_TRUSTS, 28, "takes what the scrub finds damaged for dead", "none that we know")        \
    X(SCAN_ENDS_EARLY, 29, "takes a cursor that another leader gave for the partition's end",      \
      "Redis, Valkey after a failover")                                                            \
    X(COMPARED_ANYWHERE, 30, "compares replicas at different indexes", "none that we know")        \
    X(LEARNER_COUNTS, 31, "counts the acknowledgements of learners", "none that we know")          \
    X(JOINT_AS_ONE, 32, "takes a majority of all for one of both halves of a joint configuration", \
      "none that we know")                                                                         \
    X(REMOVED_COUNTS, 33, "goes on counting the acknowledgements of who was removed",              \
      "redisraft #17")                                                                             \
    X(SNAPSHOT_WITHOUT_CONFIG, 34, "installs a snapshot without its configuration",                \
      "canonical #323")                                                                            \
    X(EPOCH_IGNORED, 35, "starts a configuration of an earlier epoch than the group's",            \
      "TiKV #13311")                                                                               \
    X(TWO_CHANGES, 36, "changes the configuration while the one before is not committed",          \
      "Raft's first single-server changes (Ongaro 2015)")                                          \
    X(CHANGE_BEFORE_OWN_TERM, 37, "changes the configuration before its term has committed",       \
      "Raft's first single-server changes (Ongaro 2015)")                                          \
    X(CONFIG_KEPT, 38, "keeps a configuration whose entry was truncated", "canonical #323")        \
    X(SNAPSHOT_WITHOUT_SESSIONS, 39, "installs a snapshot without its sessions", "openraft #2096") \
    X(PLAN_ENDS_EARLY, 40, "ends a plan while a group has not come to its end",                    \
      "none that we know")                                                                         \
    X(LIFE_AGAIN, 41, "begins a replica's life again that is over", "TiKV #10533")                 \
    X(DESTROYED_EARLY, 42, "destroys a replica on a configuration that is not committed",          \
      "none that we know")                                                                         \
    X(DRAINED_LEADS, 43, "lets a drained node lead", "none that we know")                          \
    X(TICKETS_BEFORE_DISK, 44, "goes by tickets before they are on the disk", "none that we know") \
    X(GONE_OF_ANY_LIFE, 45, "destroys a replica because an earlier one of the member is over",     \
      "none that we know")                                                                         \
    X(PROGRESS_AHEAD, 46, "goes on with a snapshot behind what was in memory before the restart",  \
      "none that we know")                                                                         \
    X(ROLLBACK_UNNOTICED, 47, "takes an old copy of a member's disk for the member",               \
      "Active Directory (USN rollback)")                                                           \
    X(REMOVED_HEARD, 48, "goes on talking with a member that it knows to be removed",              \
      "none that we know")                                                                         \
    X(MOVED_TOLD_ONCE, 49, "tells once only which groups are as a plan wants them",                \
      "none that we know")                                                                         \
    X(MAPS_IN_ORDER, 50, "takes no ring map but the one behind its own", "none that we know")      \
    X(VERDICT_FOR_GOOD, 51, "refuses for good whose HELLO was overtaken by a newer counter",       \
      "none that we know")

/* Those that the simulator cannot meet, and the suite that kills them. */
#define MUTANTS_OF_SUITES(X)                                                                       \
    X(REHOST_WITHOUT_FLOOR, 100, "takes a partition on again without voiding its earlier life",    \
      "store_hosting_crash")

enum mutant_number {
#define X(name, number, text, systems) MUTANT_##name = number,
    MUTANTS(X) MUTANTS_OF_SUITES(X)
#undef X
};

#ifdef RINGCASK_MUTANTS
extern int mutant_current; /* 0: none */
static inline bool mutant(enum mutant_number number)
{
    return mutant_current == (int)number;
}
#else
static inline bool mutant(enum mutant_number number)
{
    (void)number;
    return false;
}
#endif

#endif
