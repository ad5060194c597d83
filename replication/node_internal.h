/* Node, inside: what node*.c share. Nothing else includes this.
 *
 *   node.c        events
 *   node_status.c how it is
 *   node_founding.c the founding, which may be long past
 *   node_map.c    the newest ring map: durable here, and on its way to all members
 *   node_change.c a change of it, on its way to the leader of the meta group
 *   node_boxes.c  data keys for whom it has take part
 *   node_tickets.c the same of the tickets
 *   node_join.c   nodes that want to be members, and who was one
 */
#ifndef REPLICATION_NODE_INTERNAL_H
#define REPLICATION_NODE_INTERNAL_H

#include "replication/node.h"
#include "replication/node_file.h"
#include "replication/node_tickets.h"

/* FOUNDED is in the file only: committed, and the stores are there. */
enum founding {
    FOUNDING_NONE,
    FOUNDING_PREPARED,
    FOUNDING_COMMITTED,
    FOUNDING_FOUNDED,
    FOUNDING_JOINED, /* in the file only: as COMMITTED and then FOUNDED, but the genesis does not */
    FOUNDING_JOINED_FOUNDED, /* name this node, which has joined later */
};

struct node_peer {
    bool up;
    uint64_t told; /* the epoch that it was told on this link */
};

/* A change that an admin asked this node for, or a node that wants to join. */
struct node_change {
    uint8_t *blob; /* NULL: free */
    size_t size;
    struct shard_address asker;
    uint64_t correlation; /* the asker's */
    bool whole;           /* whoever takes part in it has boxes of all data keys */
    uint8_t lacking;      /* the data key that keeps it from that, as this node has not got it */
    bool joins;
    uint8_t key[RINGMAP_KEY_SIZE]; /* of who joins */
    struct node_attempt attempt;
};

#define NODE_CHANGES_MAX 4u
#define NODE_JOINS_MAX   2u /* of those: however many strangers ask, an admin finds a place */

/* An empty node's way into a cluster. */
#define NODE_SEEDS_MAX 64u
struct node_join {
    uint64_t seeds[NODE_SEEDS_MAX]; /* links that are up */
    uint32_t seed_count, turn;
    uint64_t due_ms;
    char why[WIRE_MAP_WHY_SIZE];
};

/* An admin's question that was passed on to a member. */
#define NODE_PASSED_MAX 16u
struct node_passed {
    uint16_t member; /* 0: none */
    uint64_t name;
    struct shard_address asker;
    uint64_t correlation; /* the asker's */
};

struct node {
    struct node_options options;
    struct vfs *vfs;
    uint8_t founding; /* NONE … COMMITTED */
    bool founded;     /* COMMITTED: the stores have been founded */
    uint16_t member;  /* in the newest map, or the prepared one; 0: it does not name this node */
    uint8_t *blob;    /* the genesis' */
    size_t blob_size;
    uint8_t hash[RINGMAP_HASH_SIZE];
    struct ringmap genesis; /* when founding is not NONE */
    uint8_t *newest_blob;   /* of the newest map, as it is in MAP; NULL: the genesis is */
    size_t newest_size;
    struct ringmap newest;
    bool map_damaged;      /* MAP did not check at the start: the genesis is gone by */
    uint64_t wanted_epoch; /* that was heard of last */
    uint16_t wanted_from;  /* and from whom */
    uint64_t map_ask_due_ms, tell_due_ms;
    uint32_t tell_turn; /* which member is told again next, */
    uint32_t ask_turn;  /* and asked, when who has the map has no link */
    struct node_peer peers[RINGMAP_MEMBERS_MAX + 1];
    struct node_change changes[NODE_CHANGES_MAX];
    struct node_join join;
    struct node_tickets tickets;
    struct node_passed passed[NODE_PASSED_MAX];
    uint64_t passed_name; /* of the newest */
    uint64_t start_ms, ask_due_ms, now_ms, wall_ms;
    uint64_t disk_bytes, disk_due_ms; /* of the shards' files, and when they are looked at again */
    struct wire_buffer replies[NODE_SENDS_MAX];
};

/* The next send of this step, to the control plane there; NULL when the step has no more room (a
 * peer asks again). */
struct wire_buffer *node_send(struct node *node, struct node_effects *effects,
                              struct shard_address to, uint8_t type, uint64_t correlation);

/* The newest committed map, also one that does not name this node. COMMITTED only. */
const struct ringmap *node_newest(const struct node *node);
/* After any of the maps has become another. */
void node_know_self(struct node *node);

/* node_status.c */
/* NODE_STATUS, of this node or one that is JOINING, or such a one's answer. */
void node_status_message(struct node *node, const struct node_event *event,
                         struct node_effects *effects);

/* node_founding.c */
/* At start: GENESIS, if there is one. 0 or -errno. */
int node_founding_read(struct node *node);
/* PREPARE, COMMIT, GENESIS_GET or GENESIS. */
void node_founding_message(struct node *node, const struct node_event *event,
                           struct node_effects *effects);
/* A prepared node asks whether the commit came. */
void node_founding_due(struct node *node, struct node_effects *effects);
/* A genesis of this cluster. 0, -ENOMEM, or another -errno and *why. */
int node_genesis_decode(const struct node *node, const uint8_t *blob, size_t size,
                        struct ringmap *map, const char **why);
/* The genesis that was committed elsewhere: durable, then ours. Takes over the map when it
 * returns 0; else -errno. */
int node_genesis_adopt(struct node *node, struct ringmap *genesis, const uint8_t *blob,
                       size_t size);

/* node_map.c */
/* At start: MAP, if there is one that checks. 0 or -errno. */
int node_map_read(struct node *node);
void node_map_free(struct node *node);
void node_map_send(struct node *node, const struct node_event *event, struct node_effects *effects);
void node_map_message(struct node *node, const struct node_event *event,
                      struct node_effects *effects);
/* A member says that it is committed: it is gone by if it is later than ours. */
void node_map_take(struct node *node, const uint8_t *blob, size_t size,
                   struct node_effects *effects);
/* It is on the disk before anything goes by it. 0 or -errno. */
int node_map_adopt(struct node *node, const struct ringmap *map, const uint8_t *blob, size_t size);
void node_map_epoch(struct node *node, const struct node_event *event,
                    struct node_effects *effects);
/* The member has a map of that epoch. */
void node_map_heard(struct node *node, uint64_t epoch, uint16_t from);
/* Tells members of our epoch, asks for a newer one. */
void node_map_due(struct node *node, struct node_effects *effects);

/* node_change.c */
void node_change_begin(struct node *node, const struct node_event *event,
                       struct node_effects *effects);
void node_change_answered(struct node *node, const struct node_event *event,
                          struct node_effects *effects);
/* NULL, or why no other node can begin to join now. */
const char *node_joins_full(const struct node *node);
/* The map with a node in it that joins; not while node_joins_full(). NULL: it is on its way,
 * node_join_answer() follows; else why it cannot be. */
const char *node_change_join(struct node *node, const struct node_event *event,
                             const uint8_t key[RINGMAP_KEY_SIZE], const struct ringmap *next);
/* Is it on its way? */
bool node_change_joins(const struct node *node, const uint8_t key[RINGMAP_KEY_SIZE]);
void node_changes_due(struct node *node, struct node_effects *effects);
void node_changes_free(struct node *node);
/* By its bytes: an answer that comes late, even after a restart, is never taken for another's. */
uint64_t node_attempt_name(const uint8_t *value, size_t size);
/* When it is due. The same bytes may come to the leader any number of times. */
void node_attempt_send(struct node *node, struct node_effects *effects,
                       struct node_attempt *attempt, uint8_t type, const uint8_t *value,
                       size_t size);
/* Not by that replica: soon again when the leader is named. */
void node_attempt_again(const struct node *node, struct node_attempt *attempt,
                        const struct wire_map_reply *reply);

/* node_boxes.c */
enum node_boxes_e { NODE_BOXES_E_OK, NODE_BOXES_E_MORE, NODE_BOXES_E_NO_KEY };
/* Makes boxes of data keys for members of an encoded map that take part and have none, in place; a
 * bounded number of them, MORE: it is to be called again. NO_KEY: some are of a key that this node
 * has not opened, or not yet: *lacking, else 0. What is no map stays as it is. 0, an enum
 * node_boxes_e or -ENOMEM. */
int node_boxes_make(const struct node *node, uint8_t *blob, size_t size, uint8_t *lacking);

/* node_join.c */
/* A message from a node that is no member, or not known to be one. */
void node_stranger(struct node *node, const struct node_event *event, struct node_effects *effects);
void node_join_asked(struct node *node, const struct node_event *event,
                     struct node_effects *effects);
/* The change is over: the newest map tells how. why: when it is not in it. */
void node_join_answer(struct node *node, struct node_effects *effects, struct shard_address to,
                      uint64_t correlation, const uint8_t key[RINGMAP_KEY_SIZE], const char *why);
void node_join_answered(struct node *node, const struct node_event *event,
                        struct node_effects *effects);
/* A member does not listen to this one. That is for the log: the member may be wrong. */
void node_join_told(struct node *node, const struct node_event *event,
                    struct node_effects *effects);
/* A seed's link is up, or down. */
void node_join_link(struct node *node, const struct node_event *event);
/* Asks the next seed. */
void node_join_due(struct node *node, struct node_effects *effects);

#endif
