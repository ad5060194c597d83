/* Node: the control plane's host, one a process: identity, genesis, the ring map, status.
 *
 * It never takes part in the data plane. Founding is in two steps that may each be repeated:
 * PREPARE stores the genesis blob (a prepared one may be replaced), COMMIT by its hash makes it
 * the cluster's. A node that was only prepared asks its peers whether the commit came
 * (GENESIS_GET) and catches up. After COMMIT the shards found their stores; that they have is noted
 * too (node_founded), so that a crash in between is not taken for a loss, and a later loss not for
 * a beginning. Files, all in the data directory, written whole, synced and renamed: GENESIS (state,
 * blob, checksum) and MAP; docs/format-datadir.md.
 *
 * The ring map starts as the genesis. Each later one was committed by the meta group, whose voters'
 * shards 0 tell their nodes of it; members tell each other which epoch they hold (MAP_EPOCH; gossip
 * tells it too, also where a link is missing), and who hears of a later one asks for it at once. A
 * node takes a map from members only, when it follows the one it holds, and writes MAP before it
 * goes by it. An admin's MAP_CHANGE is handed to the meta group's leader, wherever that is, and its
 * answer back. Tickets (ring/tickets.h) come and change in the same way:
 * replication/node_tickets.h.
 *
 * A node that joins is empty and in no genesis. It asks the seeds it was given (JOIN), by links
 * whose other ends it does not know yet; any member puts it into the next map, as JOINING, like an
 * admin's change, and answers with genesis and map, which are then its own. Repeated requests do no
 * harm. Who is no member may send JOIN and nothing else; who was removed is told so, and its
 * process ends (node_removed). A JOINING member gossips, gets the map and says how it is; it is
 * heard in nothing else and gets no tickets, hence no secret, until a map has it ACTIVE
 * (replication/hearing.h). Nor has it a data key: where the cluster is encrypted, the node that an
 * admin hands the next map to makes the boxes of those whom the map has take part. Whoever dials
 * with the secret is heard as a member in any case: a node that was away hears so of members that
 * were JOINING when it went.
 *
 * Answers: MAP_GET -> MAP, PREPARE/COMMIT -> *_REPLY, NODE_STATUS -> NODE_STATUS_REPLY,
 * GENESIS_GET -> GENESIS, MAP_CHANGE -> MAP_CHANGE_REPLY, JOIN -> JOIN_REPLY. Bodies are msgpack,
 * written with ring/wire.h. A message to the own member goes to the own shard 0: the host routes
 * it.
 */
#ifndef REPLICATION_NODE_H
#define REPLICATION_NODE_H

#include "replication/shard.h"
#include "ring/ringmap.h"
#include "ring/tickets.h"
#include "ring/wire.h"
#include "storage/vfs.h"

struct node;
struct tickets_command;

struct node_options {
    uint8_t public_key[RINGMAP_KEY_SIZE];
    uint8_t cluster[RINGMAP_CLUSTER_SIZE]; /* of the ticket: a genesis of another is refused */
    char address[RINGMAP_ADDRESS_SIZE];    /* as the others reach it */
    char zone[RINGMAP_ZONE_SIZE];
    uint32_t weight;
    uint16_t shards;
    bool has_secret;                 /* this node's ticket is the founding's, */
    uint8_t secret[TICKET_PSK_SIZE]; /* whose psk this is */
    uint32_t ask_ms;                 /* how often peers are asked for what is missing: 500 */
    bool join;                       /* an empty node asks to be a member */
    /* Makes a box of data key key_id for whom the Ed25519 key belongs to. 0, or this node cannot,
     * or not yet. NULL: never. */
    int (*wrap)(void *context, uint8_t key_id, const uint8_t public_key[RINGMAP_KEY_SIZE],
                uint8_t box[RINGMAP_BOX_SIZE]);
    void *wrap_context;
};

enum node_event_kind {
    NODE_EVENT_MESSAGE,
    NODE_EVENT_LINK_UP,   /* to a member, or, member 0, to a seed that was dialled to join */
    NODE_EVENT_LINK_DOWN, /* likewise */
    NODE_EVENT_TICK,
    NODE_EVENT_REDEEM, /* command: a key that is new to its ticket wants to come in */
    NODE_EVENT_EPOCH,  /* epoch: of the ring map that member `from` holds, as gossip tells */
};

struct node_event {
    uint8_t kind;
    uint64_t now_ms;
    bool disk_full;           /* a shard of this node cannot take values */
    struct cache_stats cache; /* all shards together */
    struct wire_scrub scrub;  /* too */
    uint8_t key_id;           /* the data key that is sealed with; 0: none */
    uint64_t wall_ms;         /* Unix time; 0: not told */
    uint64_t memory_bytes;    /* of the machine; 0: not told */
    uint64_t disk_reserve;    /* bytes of the disk that its shards leave free, */
    uint64_t disk_lacks;      /* and those of snapshots that found no room beside them */
    uint16_t twin;            /* as in struct wire_node_status, */
    const char *twin_address; /* borrowed; NULL without one */
    uint16_t shards_lost;     /* as in struct wire_node_status */
    /* NODE, member 0: of no member (a seed's, too, until the node has joined); link is set, and
     * what is sent to such an address goes by that link. */
    struct shard_address from;
    uint32_t ticket; /* that opened the link of `from`; 0: a secret of the cluster */
    bool secret;     /* NODE: it has dialled us with a secret of the cluster */
    const struct link_message *message;
    const struct tickets_command *command;
    uint64_t epoch;
    const uint8_t *public_key; /* that the sender's link has proven; of no member's, and of JOIN */
};

#define NODE_SENDS_MAX 16u
struct node_effects {
    struct shard_send sends[NODE_SENDS_MAX];
    size_t send_count;
    bool found;           /* genesis was committed in this step: open the shards with found = true,
                             then node_founded() */
    bool map_changed;     /* node_map() is another: dial its members, take its data keys */
    bool tickets_changed; /* node_tickets() are others: open to those, end links that are not */
    const char *join_why; /* a seed did not take this node in, or a member does not listen to it:
                             why; borrowed. NULL: nothing new */
    bool join_refused;    /* and never will */
    int fatal;
};

#define NODE_MAP_BAD     "MAP.bad"
#define NODE_TICKETS_BAD "TICKETS.bad"

enum node_open_e {
    NODE_OPEN_E_OK,
    NODE_OPEN_E_GENESIS_LOST, /* the directory was used, and GENESIS is missing: nobody founds it
                                 anew, as an empty store forgets its votes */
};

/* Reads GENESIS and MAP if they are there. Returns 0, enum node_open_e or -errno (-EBADMSG: GENESIS
 * is damaged; -EPROTO: of another cluster or a newer format). A damaged MAP becomes NODE_MAP_BAD,
 * damaged TICKETS NODE_TICKETS_BAD, and the node starts as without one. */
int node_open(struct node **node, struct vfs *vfs, const struct node_options *options);
/* node_open() has found MAP damaged. */
bool node_map_damaged(const struct node *node);
bool node_tickets_damaged(const struct node *node);
void node_close(struct node *node);
void node_step(struct node *node, const struct node_event *event, struct node_effects *effects);
/* The newest committed map that names this node, NULL before. Borrowed until the next step. */
const struct ringmap *node_map(const struct node *node);
/* The newest tickets; NULL: this node has a ticket for its role and none has told it yet. Borrowed
 * until the next step. */
const struct tickets *node_tickets(const struct node *node);
/* The one of epoch 1, of which the groups' first configurations are functions. Borrowed. */
const struct ringmap *node_genesis(const struct node *node);
/* The newest map in a data directory, whoever's it is, without a node; to be freed with
 * ringmap_deinit(). 0, -ENOENT: not prepared yet, -EBADMSG: damaged, -EPROTO: newer, or -errno. */
int node_peek_map(struct vfs *vfs, struct ringmap *map);
/* The same of the one of epoch 1: who was founded, be it prepared only. */
int node_peek_genesis(struct vfs *vfs, struct ringmap *map);
/* Without node_map(), one whose members may be asked: a prepared, uncommitted genesis, or, of a
 * node that has joined and lost its MAP, the genesis. NULL when none. */
const struct ringmap *node_map_prepared(const struct node *node);
/* At start: genesis is committed, but node_founded() never came: open as with effects.found. */
bool node_founding_owed(const struct node *node);
/* All shards are open and have founded their stores: from now on a store that is missing is lost.
 * Durable when it returns. 0 or -errno. */
int node_founded(struct node *node);
const uint8_t *node_genesis_hash(const struct node *node); /* 32 bytes, with node_map() */
uint16_t node_member(const struct node *node);             /* own id, 0 before */
/* node_map() says that this node is removed, for ever. */
bool node_removed(const struct node *node);
/* Asserts the invariants: what is prepared or committed is a valid genesis of this cluster, a
 * prepared one names this node, its hash is the blob's, the newest map follows it, and stores are
 * founded only behind the commit. */
void node_check(const struct node *node);

#endif
