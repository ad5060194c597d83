#include "replication/hearing.h"

#include "ring/link.h"
#include "ring/ringmap.h"
#include "ring/wire.h"

#include <stddef.h>

enum who { STRANGER = 1, JOINING = 2, MEMBER = 4, ROUTER = 8, ADMIN = 16 };

#define ANYONE (MEMBER | ROUTER | ADMIN) /* who is not to have it is told so */

/* X(message, who the control plane hears, whom shards hear) */
#define HEARINGS(X)                                                                                \
    X(OPS, 0, ROUTER)                                                                              \
    X(RAFT, 0, MEMBER)                                                                             \
    X(BEAT, 0, MEMBER)                                                                             \
    X(BEAT_ACK, 0, MEMBER)                                                                         \
    X(SHARD_STATUS, 0, ADMIN)                                                                      \
    X(SNAPSHOT, 0, MEMBER)                                                                         \
    X(SNAPSHOT_ACK, 0, MEMBER)                                                                     \
    X(COMPARE, 0, MEMBER)                                                                          \
    X(COMPARE_ACK, 0, MEMBER)                                                                      \
    X(FLUSH, 0, ADMIN)                                                                             \
    X(HOLDS, 0, MEMBER)                                                                            \
    X(GONE, 0, MEMBER)                                                                             \
    X(MOVED, 0, MEMBER)                                                                            \
    X(SCRUB, 0, ADMIN)                                                                             \
    X(MAP_GET, STRANGER | JOINING | ANYONE, MEMBER) /* a stranger: whether it was removed */       \
    X(MAP, MEMBER, 0)                                                                              \
    X(PREPARE, ANYONE, 0)                                                                          \
    X(COMMIT, ANYONE, 0)                                                                           \
    X(NODE_STATUS, ANYONE, 0)                                                                      \
    X(NODE_STATUS_REPLY, JOINING | MEMBER, 0) /* only of whom it was asked: pass_back() */         \
    X(GENESIS_GET, ANYONE, 0)                                                                      \
    X(GENESIS, MEMBER, 0)                                                                          \
    X(MAP_EPOCH, STRANGER | MEMBER, 0)                                                             \
    X(MAP_CHANGE, ANYONE, MEMBER)                                                                  \
    X(MAP_CHANGE_REPLY, MEMBER, 0)                                                                 \
    X(JOIN, STRANGER | JOINING | MEMBER, 0)                                                        \
    X(JOIN_REPLY, STRANGER | MEMBER, 0) /* who joins does not know yet whom it has asked */        \
    X(GOSSIP, JOINING | MEMBER, 0)                                                                 \
    X(LIVENESS_GET, JOINING | ANYONE, 0)                                                           \
    X(MOVES_GET, 0, ADMIN)                                                                         \
    X(BALANCE, 0, MEMBER)                                                                          \
    X(LOAD, 0, MEMBER)                                                                             \
    X(TOP, 0, ADMIN)                                                                               \
    X(TICKETS_VERSION, MEMBER, 0)                                                                  \
    X(TICKETS_GET, MEMBER, MEMBER)                                                                 \
    X(TICKETS, MEMBER, 0)                                                                          \
    X(TICKETS_CHANGE, 0, MEMBER)                                                                   \
    X(TICKETS_CHANGE_REPLY, MEMBER, 0)                                                             \
    X(TICKET_COMMAND, ANYONE, 0)                                                                   \
    X(LEADERS_GET, 0, ROUTER | ADMIN)                                                              \
    X(PEERS_GET, ADMIN, 0)                                                                         \
    X(DRAIN, 0, ADMIN)

static const struct {
    uint8_t type, node, shard;
} rules[] = {
#define X(name, at_node, at_shard) {WIRE_##name, at_node, at_shard},
    HEARINGS(X)
#undef X
};

static uint8_t who_says(uint8_t role, uint8_t state)
{
    if (role == LINK_ROLE_ROUTER)
        return ROUTER;
    if (role == LINK_ROLE_ADMIN)
        return ADMIN;
    if (role != LINK_ROLE_NODE)
        return 0;
    if (ringmap_takes_part(state))
        return MEMBER;
    return state == RINGMAP_STATE_JOINING ? JOINING : STRANGER;
}

bool hearing_node(uint8_t role, uint8_t state, uint8_t type)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].type == type)
            return (rules[i].node & who_says(role, state)) != 0;
    return false;
}

bool hearing_shard(uint8_t role, uint8_t state, uint8_t type)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].type == type)
            return (rules[i].shard & who_says(role, state)) != 0;
    return false;
}
