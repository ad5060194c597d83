/* Who is heard: each message of each role and state, against what the documents say of it. */
#include "replication/hearing.h"
#include "ring/link.h"
#include "ring/ringmap.h"
#include "ring/wire.h"

#include <criterion/criterion.h>

#define STATES   (RINGMAP_STATE_REMOVED + 1u)
#define ROLES    4u /* 0 and 4 are none */
#define LIST_MAX 40u

/* Those that are heard; all others are not. */
struct heard {
    uint8_t node[LIST_MAX], shard[LIST_MAX];
};

static const struct heard stranger = {
    .node = {WIRE_JOIN, WIRE_JOIN_REPLY, WIRE_MAP_EPOCH, WIRE_MAP_GET}};
static const struct heard joining = {
    .node = {WIRE_JOIN, WIRE_MAP_GET, WIRE_GOSSIP, WIRE_LIVENESS_GET, WIRE_NODE_STATUS_REPLY}};
static const struct heard member = {
    .node = {WIRE_JOIN,
             WIRE_JOIN_REPLY,
             WIRE_MAP_EPOCH,
             WIRE_MAP_GET,
             WIRE_MAP,
             WIRE_PREPARE,
             WIRE_COMMIT,
             WIRE_NODE_STATUS,
             WIRE_GENESIS_GET,
             WIRE_GENESIS,
             WIRE_MAP_CHANGE,
             WIRE_MAP_CHANGE_REPLY,
             WIRE_GOSSIP,
             WIRE_LIVENESS_GET,
             WIRE_TICKETS_VERSION,
             WIRE_TICKETS_GET,
             WIRE_TICKETS,
             WIRE_TICKETS_CHANGE_REPLY,
             WIRE_TICKET_COMMAND,
             WIRE_NODE_STATUS_REPLY},
    .shard = {WIRE_RAFT, WIRE_BEAT, WIRE_BEAT_ACK, WIRE_SNAPSHOT, WIRE_SNAPSHOT_ACK, WIRE_COMPARE,
              WIRE_COMPARE_ACK, WIRE_HOLDS, WIRE_GONE, WIRE_MOVED, WIRE_MAP_CHANGE, WIRE_MAP_GET,
              WIRE_BALANCE, WIRE_LOAD, WIRE_TICKETS_CHANGE, WIRE_TICKETS_GET}};
static const struct heard router = {.node = {WIRE_MAP_GET, WIRE_LIVENESS_GET, WIRE_PREPARE,
                                             WIRE_COMMIT, WIRE_NODE_STATUS, WIRE_GENESIS_GET,
                                             WIRE_MAP_CHANGE, WIRE_TICKET_COMMAND},
                                    .shard = {WIRE_OPS, WIRE_LEADERS_GET}};
static const struct heard admin = {
    .node = {WIRE_MAP_GET, WIRE_LIVENESS_GET, WIRE_PREPARE, WIRE_COMMIT, WIRE_NODE_STATUS,
             WIRE_GENESIS_GET, WIRE_MAP_CHANGE, WIRE_TICKET_COMMAND, WIRE_PEERS_GET},
    .shard = {WIRE_SHARD_STATUS, WIRE_FLUSH, WIRE_SCRUB, WIRE_MOVES_GET, WIRE_TOP, WIRE_DRAIN,
              WIRE_LEADERS_GET}};
static const struct heard nobody;

static const struct heard *who(unsigned role, unsigned state)
{
    static const struct heard *const nodes[STATES] = {
        [0] = &stranger,
        [RINGMAP_STATE_JOINING] = &joining,
        [RINGMAP_STATE_ACTIVE] = &member,
        [RINGMAP_STATE_LEAVING] = &member,
        [RINGMAP_STATE_REMOVED] = &stranger,
    };

    if (role == LINK_ROLE_ROUTER)
        return &router;
    if (role == LINK_ROLE_ADMIN)
        return &admin;
    return role == LINK_ROLE_NODE ? nodes[state] : &nobody;
}

static bool is_in(const uint8_t list[LIST_MAX], unsigned type)
{
    for (size_t i = 0; i < LIST_MAX; i++)
        if (type != 0 && list[i] == type)
            return true;
    return false;
}

Test(hearing, each_message_is_heard_of_those_alone_who_may_say_it)
{
    for (unsigned role = 0; role <= ROLES; role++)
        for (unsigned state = 0; state < STATES; state++)
            for (unsigned type = 0; type <= UINT8_MAX; type++) {
                const struct heard *heard = who(role, state);

                cr_assert_eq(hearing_node((uint8_t)role, (uint8_t)state, (uint8_t)type),
                             is_in(heard->node, type), "role %u, state %u, %s to the node", role,
                             state, wire_type_name((uint8_t)type));
                cr_assert_eq(hearing_shard((uint8_t)role, (uint8_t)state, (uint8_t)type),
                             is_in(heard->shard, type), "role %u, state %u, %s to a shard", role,
                             state, wire_type_name((uint8_t)type));
            }
}

/* What a ticket of the role node gives before anybody commits who came with it. */
Test(hearing, who_is_only_joining_changes_nothing_and_gets_no_secret)
{
    for (unsigned type = 0; type <= UINT8_MAX; type++)
        cr_assert_not(hearing_shard(LINK_ROLE_NODE, RINGMAP_STATE_JOINING, (uint8_t)type), "%s",
                      wire_type_name((uint8_t)type));
    cr_assert_not(hearing_node(LINK_ROLE_NODE, RINGMAP_STATE_JOINING, WIRE_MAP));
    cr_assert_not(hearing_node(LINK_ROLE_NODE, RINGMAP_STATE_JOINING, WIRE_TICKETS_GET));
    cr_assert_not(hearing_node(LINK_ROLE_NODE, RINGMAP_STATE_JOINING, WIRE_TICKETS_VERSION));
}
