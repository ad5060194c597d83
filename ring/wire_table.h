/* Every message of the cluster, once. X(NAME, number, lane)
 * lane: in a link's queue CONTROL frames overtake DATA frames, and DATA messages BULK messages.
 * Bodies: ring/wire.h. A number is never used again for another meaning.
 */
#ifndef RING_WIRE_TABLE_H
#define RING_WIRE_TABLE_H

#define WIRE_MESSAGES(X)                                                                           \
    /* links */                                                                                    \
    X(HELLO, 1, CONTROL)  /* both ways, first: version, role, shards, member, epoch */             \
    X(CREDIT, 2, CONTROL) /* bytes and frames consumed so far (link layer's own) */                \
    X(PING, 3, CONTROL)   /* keeps a link known to be alive (link layer's own) */                  \
    X(PONG, 4, CONTROL)                                                                            \
    /* data plane; frame.partition routes to a shard */                                            \
    X(OPS, 16, DATA)     /* router -> shard: a batch of operations */                              \
    X(RESULTS, 17, DATA) /* shard -> router */                                                     \
    X(RAFT, 18, DATA)    /* shard -> shard: a batch of Raft messages */                            \
    X(BEAT, 19, CONTROL) /* leader's groups: {group, term, commit}; also read-index */             \
    X(BEAT_ACK, 20, CONTROL)                                                                       \
    X(SHARD_STATUS, 21, DATA) /* admin -> shard */                                                 \
    X(SHARD_STATUS_REPLY, 22, DATA)                                                                \
    X(SNAPSHOT, 23, BULK) /* leader's shard -> follower's: a piece of a partition's state */       \
    X(SNAPSHOT_ACK, 24, CONTROL) /* where to go on, or that one is wanted */                       \
    X(COMPARE, 25, CONTROL)      /* leader's shard -> follower's: what is there at this index? */  \
    X(COMPARE_ACK, 26, CONTROL)  /* its digest */                                                  \
    X(FLUSH, 27, DATA)           /* admin -> shard: reclaim what is dead, or only say how far */   \
    X(FLUSH_REPLY, 28, DATA)                                                                       \
    X(HOLDS, 29, CONTROL) /* shard -> shard: these replicas are here; are they still of use? */    \
    X(GONE, 30, CONTROL)  /* the answer for those that are not */                                  \
    X(MOVED, 31, CONTROL) /* leader's shard -> meta voters' shard 0: groups as the map wants */    \
    X(SCRUB, 90, DATA)    /* admin -> shard: read all files again, or only say how far */          \
    X(SCRUB_REPLY, 91, DATA)                                                                       \
    /* control plane; frame.partition = WIRE_PARTITION_NODE */                                     \
    X(MAP_GET, 32, CONTROL) /* anyone -> node */                                                   \
    X(MAP, 33, CONTROL)     /* the committed ring map */                                           \
    X(PREPARE, 34, CONTROL) /* admin -> node: genesis blob */                                      \
    X(PREPARE_REPLY, 35, CONTROL)                                                                  \
    X(COMMIT, 36, CONTROL) /* admin or peer -> node: genesis hash */                               \
    X(COMMIT_REPLY, 37, CONTROL)                                                                   \
    X(NODE_STATUS, 38, CONTROL)                                                                    \
    X(NODE_STATUS_REPLY, 39, CONTROL)                                                              \
    X(GENESIS_GET, 40, CONTROL) /* a prepared node asks a peer whether it was committed */         \
    X(GENESIS, 41, CONTROL)                                                                        \
    X(MAP_EPOCH, 48, CONTROL)  /* node -> node: the epoch of the map it holds */                   \
    X(MAP_CHANGE, 49, CONTROL) /* admin -> node -> meta leader's shard 0: the next map */          \
    X(MAP_CHANGE_REPLY, 50, CONTROL)                                                               \
    X(JOIN, 51, CONTROL) /* a node that is no member yet -> node */                                \
    X(JOIN_REPLY, 52, CONTROL)                                                                     \
    X(GOSSIP, 56, CONTROL)       /* member -> member: ring/swim_codec.h */                         \
    X(LIVENESS_GET, 57, CONTROL) /* router, admin or member -> node */                             \
    X(LIVENESS, 58, CONTROL)     /* what it has heard of the members */                            \
    X(MOVES_GET, 59, DATA)       /* admin -> shard */                                              \
    X(MOVES, 60, DATA)           /* how far the groups that are led there are with their moves */  \
    /* load; frame.partition routes to a shard */                                                  \
    X(BALANCE, 61, CONTROL) /* meta leader's shard 0 -> shard: how is it? hand that over */        \
    X(LOAD, 62, CONTROL)    /* the answer */                                                       \
    X(TOP, 63, DATA)        /* admin -> shard: what do you lead, and which keys are asked for? */  \
    X(TOP_REPLY, 64, DATA)                                                                         \
    X(TICKETS_VERSION, 65, CONTROL) /* node -> node: of the tickets it holds */                    \
    X(TICKETS_GET, 66, CONTROL)     /* member -> node */                                           \
    X(TICKETS, 67, CONTROL)         /* ring/tickets.h; to members only */                          \
    X(TICKETS_CHANGE, 68, CONTROL)  /* node -> meta leader's shard 0: the next ones */             \
    X(TICKETS_CHANGE_REPLY, 69, CONTROL)                                                           \
    X(TICKET_COMMAND, 70, CONTROL) /* admin -> node: ring/tickets_command.h */                     \
    X(TICKET_COMMAND_REPLY, 71, CONTROL)                                                           \
    X(DRAIN, 73, DATA) /* admin -> shard: lead nothing, or lead again */                           \
    X(DRAIN_REPLY, 74, DATA)                                                                       \
    X(LEADERS_GET, 75, CONTROL) /* router or admin -> shard: which partitions do you lead? */      \
    X(LEADERS, 76, CONTROL)                                                                        \
    X(PEERS_GET, 77, CONTROL) /* admin -> node: who has come by this secret? */                    \
    X(PEERS, 78, CONTROL)

/* Operations a router may send to a partition. X(NAME, number, writes) */
#define WIRE_OPERATIONS(X)                                                                         \
    X(GET, 1, 0)      /* keys…            -> array of (bytes | nil) */                           \
    X(EXISTS, 2, 0)   /* keys…            -> integer: how many are there (repeats count) */      \
    X(STRLEN, 3, 0)   /* key              -> integer */                                            \
    X(COUNT, 4, 0)    /* (none)           -> integer: keys of the partition */                     \
    X(TTL, 5, 0)      /* key, flags       -> integer: deadline or what is left, ms; -1, -2 */      \
    X(SCAN, 6, 0)     /* position count   -> array: the next position, keys… */                  \
    X(SET, 16, 1)     /* key value [time], flags -> nil | 1; with flag GET see wire.h */           \
    X(PUT, 17, 1)     /* (key value)…     -> nil; all or none */                                 \
    X(DEL, 18, 1)     /* keys…            -> integer: how many were there */                     \
    X(APPEND, 19, 1)  /* key value        -> integer: new length */                                \
    X(INCRBY, 20, 1)  /* key delta        -> integer: new value */                                 \
    X(GETDEL, 21, 1)  /* key              -> bytes | nil */                                        \
    X(EXPIRE, 22, 1)  /* key time, flags  -> integer: 1 when the deadline was set, or 0 */         \
    X(PERSIST, 23, 1) /* key             -> integer: 1 when there was a deadline, or 0 */          \
    X(GETEX, 24, 1)   /* key [time], flags -> bytes | nil */

/* How an operation ended. X(NAME, number, proposed): proposed = 0 means certainly never proposed.
 */
#define WIRE_STATUSES(X)                                                                           \
    X(OK, 0, 1)                                                                                    \
    X(NOT_LEADER, 1, 0) /* payload: member id of the leader, 0 unknown */                          \
    X(TRYAGAIN, 2, 0)   /* admission or deadline */                                                \
    X(NOSPACE, 3, 0)                                                                               \
    X(FENCED, 4, 0)      /* this replica cannot serve; another may */                              \
    X(NOT_INTEGER, 5, 0) /* INCRBY on what is no 64-bit integer, or a time that is none */         \
    X(OVERFLOW, 6, 0)                                                                              \
    X(TOO_LARGE, 7, 0) /* the result would be over the value limit */                              \
    X(MALFORMED, 8, 0)                                                                             \
    X(SESSION_EXPIRED, 9, 0) /* payload: lowest session id that is accepted */                     \
    X(UNKNOWN, 10, 1)        /* may or may not have been applied; the answer was not kept */       \
    X(LOST, 11, 1)           /* leadership ended meanwhile: ask again with the same request id */

#endif
