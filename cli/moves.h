/* Moves: what the leaders of all groups say, at about one moment, of their way to the wanted rows.
 *
 * Each leader tells its group's configuration, what it waits for, and how much of the partition its
 * newest learner has. From that come the sizes that a plan needs, the bar that `moves` draws, the
 * rows that an abort stays with and the proof that ends `leave`. Plain values but for moves_ask()
 * and moves_ask_all().
 */
#ifndef CLI_MOVES_H
#define CLI_MOVES_H

#include "cli/cluster.h"
#include "cli/view.h"
#include "ring/next_map.h"
#include "ring/wire.h"

struct moves_group {
    bool known;      /* a leader has answered: of several the one of the newest configuration */
    uint16_t leader; /* member id */
    struct wire_move move;
};

struct moves {
    struct moves_group *groups; /* the partitions, then the meta group */
    uint32_t partition_count;
};

/* Of all partitions that a plan changes; bytes of those whose leader has answered. */
struct moves_sum {
    uint32_t groups, groups_done, groups_unknown;
    uint32_t waiting; /* groups that the plan's end waits for: also the meta group, and those that
                       * only go back to where they came from */
    uint32_t going_back; /* of those, partitions that only go back */
    uint64_t bytes, bytes_done;
    uint32_t retries; /* of what is not done, by the leaders of now: it may fall */
};

/* 0 or -ENOMEM. */
int moves_init(struct moves *moves, uint32_t partition_count);
void moves_deinit(struct moves *moves);
void moves_take(struct moves *moves, uint16_t member, const struct wire_move *move);
/* Asks every shard of every node of the view that is there. 0 or -errno; whatever the result,
 * moves_deinit(). */
int moves_ask(struct moves *moves, const struct view *view, struct cluster *cluster,
              uint32_t timeout_ms);
/* As moves_ask(); while a plan is under way and no leader of some group answers it asks again, for
 * some seconds, as an election may be under way. */
int moves_ask_all(struct moves *moves, const struct view *view, struct cluster *cluster,
                  uint32_t timeout_ms);
/* Whether no leader of some group has answered, so that nobody says what that group has. */
bool moves_lack(const struct moves *moves);
/* The meta group's for WIRE_PARTITION_META. */
const struct moves_group *moves_group(const struct moves *moves, uint16_t group);
/* The row that the group is to have. */
const uint16_t *moves_wanted(const struct ringmap *map, uint16_t group, uint32_t *count);
/* Whether the map is on its way to another row for this partition. */
bool moves_changes(const struct ringmap *map, uint16_t group);
/* Whether the end of the plan under way waits for the group, the meta group too. */
bool moves_is_waiting(const struct moves *moves, const struct ringmap *map, uint16_t group);
/* Whether its committed configuration is the wanted row, and no more. */
bool moves_is_done(const struct moves *moves, const struct ringmap *map, uint16_t group);
/* Bytes that its newcomers are to get, and have got; of the meta group's few nothing is counted. */
void moves_bytes(const struct moves *moves, const struct ringmap *map, uint16_t group,
                 uint64_t *bytes, uint64_t *done);
void moves_sum(const struct moves *moves, const struct ringmap *map, struct moves_sum *sum);
/* Of the newest configurations that are committed, by partition, and behind them the meta group:
 * for next_map_abort() and next_map_from(). One that is not committed yet follows one that is and
 * that it tells: a joint one follows its old voters, any other has the voters of the one before it
 * (raft_config_follows()). */
void moves_held(const struct moves *moves, struct next_map_held *held);
/* Whether some group is to have the member as a voter, and has not. */
bool moves_need(const struct moves *moves, const struct ringmap *map, uint16_t member);
/* A member that the way to the map's wanted rows needs, and that is not alive, or has a shard
 * beyond repair which is to take part; NULL: there is none. Lives as long as the view. */
const struct view_node *moves_missing(const struct moves *moves, const struct ringmap *map,
                                      const struct view *view);
/* What the member is in the group's configuration, as its leader tells. */
enum moves_part {
    MOVES_PART_UNKNOWN, /* no leader answers */
    MOVES_PART_VOTER,
    MOVES_PART_LEARNER, /* it is fed, and gets a vote when it has caught up */
    MOVES_PART_COMING,  /* it is to be one, and nothing is done for it yet */
    MOVES_PART_LEAVING, /* a voter that is not wanted any more */
    MOVES_PART_NONE,    /* what it has is left over */
};
enum moves_part moves_part(const struct moves *moves, const struct ringmap *map, uint16_t group,
                           uint16_t member);
/* Whether the member is certainly out of the group: its newest configuration is committed and has
 * not got it in any part. */
bool moves_is_without(const struct moves *moves, uint16_t group, uint16_t member);

#endif
