/* Body: any body of ring/wire.h behind one interface, with random contents, for the property tests
 * and as seeds of the fuzzers. */
#ifndef TESTS_RING_WIRE_BODY_H
#define TESTS_RING_WIRE_BODY_H

#include "tests/dice.h"
#include "ring/wire.h"
#include "ring/wire_load.h"
#include "ring/wire_peers.h"

#include <stdbool.h>
#include <stdint.h>

#define BODY_ARGS_MAX   8u
#define BODY_GROUPS_MAX 20u

/* All bodies, with what was put into them. The fields in use depend on the type. */
struct body {
    uint8_t type;
    bool ack;
    uint64_t session;
    struct wire_beat_head head;
    struct wire_op op;
    struct wire_result result;
    struct wire_raft raft;
    struct wire_beat beat;
    struct wire_snapshot snapshot;
    struct wire_snapshot_ack snapshot_ack;
    struct wire_hello hello;
    struct wire_partition_status partition;
    bool begin;
    struct wire_flush_state flush;
    struct wire_scrub_state scrub;
    struct wire_compare compare;
    struct wire_node_status node;
    struct wire_map_reply map_reply;
    struct wire_liveness liveness;
    struct wire_holds holds;
    struct wire_gone gone;
    uint64_t epoch; /* MOVED, with */
    uint16_t groups[BODY_GROUPS_MAX];
    uint32_t group_count;
    struct wire_moves_head moves_head;
    struct wire_move move;
    struct wire_join join;
    struct wire_join_reply join_reply;
    struct wire_balance balance;
    struct wire_wish wish;
    struct wire_leader leader;
    struct wire_peer peer;
    struct wire_load load;
    struct wire_load_partition load_partition;
    uint32_t number; /* of TOP, DRAIN_REPLY, PEERS_GET and PEERS */
    struct wire_top top;
    struct wire_top_partition top_partition;
    struct wire_top_key top_key;
    struct wire_bytes bytes[BODY_ARGS_MAX];
};

enum body_type {
    BODY_OPS_HEAD,
    BODY_OP,
    BODY_RESULT,
    BODY_RAFT,
    BODY_BEAT_HEAD,
    BODY_BEAT,
    BODY_SNAPSHOT,
    BODY_SNAPSHOT_ACK,
    BODY_HELLO,
    BODY_PARTITION,
    BODY_COMPARE,
    BODY_FLUSH,
    BODY_FLUSH_STATE,
    BODY_SCRUB,
    BODY_SCRUB_STATE,
    BODY_MAP_REPLY,
    BODY_NODE,
    BODY_LIVENESS,
    BODY_HOLDS,
    BODY_GONE,
    BODY_MOVED,
    BODY_MOVES_HEAD,
    BODY_MOVE,
    BODY_JOIN,
    BODY_JOIN_REPLY,
    BODY_BALANCE,
    BODY_WISH,
    BODY_LEADER,
    BODY_PEERS_GET,
    BODY_PEERS_HEAD,
    BODY_PEER,
    BODY_LOAD,
    BODY_LOAD_PARTITION,
    BODY_TOP,
    BODY_TOP_REPLY,
    BODY_TOP_PARTITION,
    BODY_TOP_KEY,
    BODY_DRAIN,
    BODY_DRAIN_REPLY,
    BODY_TYPES
};

/* Bytes of args and values point into static memory, values of a result into body->bytes, so a
 * body must stay where it is. */
void body_any(struct dice *dice, struct body *body);
void body_put(struct wire_buffer *buffer, const struct body *body);
/* Reads a body of the type (and ack) that `body` says into the rest of it; what is read borrows
 * from the cursor's bytes. */
bool body_get(struct wire_cursor *cursor, struct body *body);

#endif
