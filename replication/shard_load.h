/* Shard load: what a shard does as a leader, told to whoever spreads leaderships, and that one.
 *
 * Each shard counts the operations and bytes of the groups it leads, and how long its journal's
 * writes take. The leader of the meta group asks all shards of all members each 300 ms
 * (BALANCE), and judges what they say (LOAD) a moment later with slow_disk.h and rebalance.h. What
 * is to be handed over it wishes of the shard that leads it; who is asked for a thing it cannot do,
 * or no longer, does nothing, and the next LOAD shows what is. So nothing of this is kept anywhere:
 * a new leader of the meta group begins with what it hears. While there is none leaders stay where
 * they are.
 *
 * A drained node leads nothing, until it is told otherwise or starts again.
 *
 * Inside: what shard*.c share.
 */
#ifndef REPLICATION_SHARD_LOAD_H
#define REPLICATION_SHARD_LOAD_H

#include "replication/rebalance.h"
#include "replication/slow_disk.h"
#include "ring/histogram.h"
#include "ring/link.h"
#include "ring/topkeys.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct replica;
struct shard;
struct shard_address;
struct shard_request;

/* Of one replica, while it leads. */
struct replica_load {
    uint64_t operations, bytes; /* since the newest measure */
    double operation_rate;      /* a second, smoothed */
    double byte_rate;
};

struct shard_load {
    uint64_t measured_ms;
    bool drained;
    bool slow;               /* as the meta leader said */
    uint32_t asker_term;     /* the highest of a meta leader that asked */
    uint64_t asker_since_ms; /* when that one first did */
    struct histogram syncs;  /* us, since the newest LOAD */
    uint64_t write_since_ms; /* a write of the journal is under way since; 0: none is */
    uint32_t sync_us;        /* as in the newest LOAD */
    bool counting;           /* keys is there, */
    uint64_t count_until_ms; /* and counts until then */
    struct topkeys keys;
};

/* What the meta group's leader has heard of a member; by its slot in the map. */
struct balance_member {
    uint64_t heard_ms; /* 0: never */
    bool answered;     /* the newest question, so far; until then the rest is of the one before */
    bool may_lead;
    bool fresh; /* heard of its disk since it was last judged */
    uint32_t sync_us;
};

/* Of a group: which claim to lead it is the newest. */
struct balance_group {
    uint32_t term;
    uint64_t heard_ms;
};

struct shard_balance {
    uint32_t term; /* of the leadership that it serves; 0: none, and nothing is allocated */
    uint64_t since_ms, ask_due_ms;
    uint64_t judge_due_ms; /* 0: nothing was asked */
    struct rebalance rebalance;
    struct slow_disk slow_disk;
    struct balance_member *members;
    struct balance_group *groups; /* by partition, and the meta group behind them */
    struct rebalance_partition *partitions;
    struct rebalance_member *list; /* of a judgement */
    struct slow_disk_sample *samples;
    struct rebalance_effects effects;
};

/* shard_load.c */
void shard_load_init(struct shard *shard);
/* An operation of the group ended here; bytes: its request and its answer. */
void shard_load_count(struct replica *replica, size_t bytes);
/* Its keys, while somebody wants to know. */
void shard_load_keys(struct shard *shard, const struct shard_request *request);
/* A write of the journal was handed out, and took so long. */
void shard_load_write_begins(struct shard *shard);
void shard_load_write_ends(struct shard *shard, uint32_t us);
void shard_load_duty(struct shard *shard);
void shard_load_free(struct shard *shard);
/* Of the partitions that are led here and their terms, in any order; 0: none is. */
uint64_t shard_load_leaders_digest(const struct shard *shard);
/* LEADERS_GET from a router or an admin. */
void shard_load_leaders(struct shard *shard, struct shard_address from,
                        const struct link_message *message);
/* BALANCE from a member, TOP and DRAIN from an admin. */
void shard_load_balance(struct shard *shard, uint16_t member, const struct link_message *message);
void shard_load_top(struct shard *shard, struct shard_address from,
                    const struct link_message *message);
void shard_load_drain(struct shard *shard, struct shard_address from,
                      const struct link_message *message);

/* shard_balance.c */
/* LOAD from a member. */
void shard_balance_load(struct shard *shard, uint16_t member, const struct link_message *message);
/* Every 100 ms: begins and ends with the leadership of the meta group, asks, judges, wishes. */
void shard_balance_duty(struct shard *shard);
void shard_balance_free(struct shard *shard);

#endif
