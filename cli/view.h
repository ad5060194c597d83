/* View: one picture of the whole cluster, gathered from every member of the map.
 *
 * Answers come from different nodes at slightly different moments, so numbers of two nodes may
 * differ by what happened meanwhile; whoever compares them allows for that. Plain values: what is
 * concluded from them (verdict, tables) is pure code with tests of its own.
 */
#ifndef CLI_VIEW_H
#define CLI_VIEW_H

#include "cli/address.h"
#include "cli/cluster.h"
#include "ring/ringmap.h"
#include "ring/wire.h"

#include <stdbool.h>
#include <stdint.h>

#define VIEW_WHY_SIZE        160u
#define VIEW_FOUND_MAX       4u /* more are not told */
#define VIEW_FOUND_TEXT_SIZE 160u
#define VIEW_IDLE_TEXT_SIZE  256u

struct view_node {
    uint16_t id; /* 0 before the founding */
    char address[RINGMAP_ADDRESS_SIZE];
    bool reachable;                 /* it has said who it is, and it is who the map says */
    bool told;                      /* by way of a member: it is joining and opens to nobody, so
                                       that nothing is to be asked of its shards (status: none) */
    char why[VIEW_WHY_SIZE];        /* when not */
    struct wire_node_status status; /* when reachable */
    struct wire_liveness liveness;  /* as a node has heard of it; member 0: none has */
};

/* Those whom the map wants, those who are to hand over to them, and whoever else has answered: in a
 * joint configuration that can be as many as there are voters, old voters and learners. */
#define VIEW_PLACES (3u * RINGMAP_REPLICAS_MAX)

/* Who holds, or is to hold, a partition, and what it says of its replica. */
struct view_replica {
    uint16_t member; /* 0: a free place, as are all behind it */
    bool wanted;     /* by the map; those come first, in the order of their row */
    bool known;
    struct wire_partition_status status;
};

struct view {
    bool founded;
    struct ringmap map;      /* when founded */
    struct view_node *nodes; /* members in the map's order; the seeds before the founding */
    uint32_t node_count;
    struct view_replica *replicas; /* partition_count rows of VIEW_PLACES, when founded */
    struct view_replica meta[VIEW_PLACES];
};

enum view_e { VIEW_E_OK, VIEW_E_UNREACHABLE };

/* Asks everyone. *view is to be given to view_deinit() whatever the result. VIEW_E_UNREACHABLE: no
 * seed answered; view->nodes say why. Returns 0, VIEW_E_UNREACHABLE or -errno. */
int view_gather(struct view *view, struct cluster *cluster, const struct address_list *seeds,
                uint32_t timeout_ms);
/* The same anew, asking the members of the map first of all; the seeds may be gone meanwhile. On
 * VIEW_E_UNREACHABLE *view is as it was. */
int view_refresh(struct view *view, struct cluster *cluster, uint32_t timeout_ms);
void view_deinit(struct view *view);
/* Of a view with a map alone: its nodes, none of which is reachable, and its replicas, of which
 * none is known. 0 or -ENOMEM. */
int view_name_members(struct view *view);
/* Takes in what a member says of a partition or of the meta group. */
void view_take(struct view *view, uint16_t member, const struct wire_partition_status *status);
/* The VIEW_PLACES of a partition, or of the meta group: WIRE_PARTITION_META. */
const struct view_replica *view_row(const struct view *view, uint16_t partition);
/* The member's in it; NULL: it has none and is to have none. */
const struct view_replica *view_replica(const struct view *view, uint16_t partition,
                                        uint16_t member);
/* Asks every node but removed ones again who it is and how it is. 0 or -errno. */
int view_ask_nodes(struct view *view, struct cluster *cluster, uint32_t timeout_ms);
/* The meta group's leader by the same rule: its member id, 0 when none says so. */
uint16_t view_meta_leader(const struct view *view);
/* NULL when the map has no such member. */
const struct view_node *view_node(const struct view *view, uint16_t id);
enum view_find_e { VIEW_FIND_E_OK, VIEW_FIND_E_NONE, VIEW_FIND_E_SEVERAL };

/* Those that people may mean by an id or HOST:PORT. Members may have one address, when a machine
 * was set up anew: then only the id says which. Removed ones count when there is no other. */
struct view_found {
    const struct view_node *nodes[VIEW_FOUND_MAX]; /* by ascending id */
    uint32_t count;
};

/* 0: it is found->nodes[0]. */
int view_find(const struct view *view, const char *word, struct view_found *found);
/* "node 2 (active, down) and node 4 (joining, runs)". */
void view_found_text(const struct view *view, const struct view_found *found, char *text,
                     size_t size);
/* Whether it says that its disk is full: for writes, or for what moves there. */
bool view_disk_is_full(const struct view_node *node);
/* Whether it says that a shard of it is damaged beyond repair: only another disk brings back what
 * is in there, and what moves to that shard never comes. */
bool view_is_lost(const struct view_node *node);
/* Whether it is gone for ever: nothing of it is asked or told. False before the founding. */
bool view_is_removed(const struct view *view, const struct view_node *node);
/* Whether it is joining: it holds, leads and is asked nothing until a plan takes it in, and opens
 * to nobody but those it has dialled. */
bool view_is_joining(const struct view *view, const struct view_node *node);
/* Whether it holds nothing, as it is joining or was removed; then the text says so, and of one that
 * is joining what takes it in. */
bool view_is_idle(const struct view *view, const struct view_node *node,
                  char text[VIEW_IDLE_TEXT_SIZE]);
/* Whether it runs, as far as one can tell: it answers, or others have heard of it lately. */
bool view_is_alive(const struct view_node *node);
/* Of enum ringmap_state; 0: "new". */
const char *view_state_name(uint8_t state);
/* Place of the leader in the partition's row of places: of those who say they lead, the one with
 * the highest term; -1 when none does. */
int view_leader(const struct view *view, uint16_t partition);
/* Entries the leader has committed that this replica does not hold; 0 when there is no leader, and
 * of what is left over on a member that the map has out of the partition's rows. */
uint64_t view_lag(const struct view *view, uint16_t partition, uint32_t place);

#endif
