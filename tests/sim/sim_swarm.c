#include "tests/sim/sim_swarm.h"

#include "tests/sim/judge.h"

#include <string.h>

const char *sim_fault_name(enum sim_fault_kind kind)
{
    static const char *const names[] = {
#define COPIES_MS                  6000u /* longer, as counters are told every five seconds */

#define X(name, weight, low, high) #name,
        SIM_FAULTS(X)
#undef X
    };
    return names[kind];
}

const char *sim_focus_name(uint8_t focus)
{
    static const char *const names[] = {
#define X(name, share) #name,
        SIM_FOCI(X)
#undef X
    };
    return names[focus];
}

const char *sim_change_name(uint8_t change)
{
    static const char *const names[] = {
#define X(name, weight) #name,
        SIM_CHANGES(X)
#undef X
    };
    return names[change];
}

static bool one_in(struct sim_random *random, uint32_t n)
{
    return sim_random_below(random, n) == 0;
}

static uint32_t between(struct sim_random *random, uint32_t low, uint32_t high)
{
    return (uint32_t)sim_random_between(random, low, high);
}

/* 2^n between two powers of two, each power as likely. */
static uint32_t power(struct sim_random *random, uint32_t low, uint32_t high)
{
    return 1u << between(random, low, high);
}

static void draw_cluster(struct sim_swarm *swarm, struct sim_random *random)
{
    swarm->nodes = one_in(random, 4) ? 5 : 3;
    swarm->replicas = swarm->nodes == 5 && one_in(random, 3) ? 5 : 3;
    swarm->shards = one_in(random, 3) ? 2 : 1;
    swarm->routers = one_in(random, 4) ? 1 : 2;
    swarm->victim = between(random, 1, swarm->nodes);
}

/* Generous unless the seed says otherwise, one by one. */
static void draw_limits(struct sim_swarm *swarm, struct sim_random *random)
{
    swarm->segment_size = one_in(random, 2) ? power(random, 14, 16) : power(random, 17, 20);
    swarm->batch_size_max = one_in(random, 3) ? power(random, 9, 12) : 1u << 16;
    swarm->queue_size_max = one_in(random, 4) ? power(random, 13, 15) : 1u << 20;
    swarm->memory_size_max = one_in(random, 2) ? power(random, 9, 13) : 1u << 20;
    swarm->zero_ahead_size = one_in(random, 2) ? power(random, 12, 14) : 1u << 16;
    swarm->compress_level = one_in(random, 2) ? between(random, 1, 3) : 0;
    swarm->train_samples = one_in(random, 3) ? 0 : between(random, 20, 60);
    swarm->train_again_ms = between(random, 200, 2000);
    swarm->train_sealed = one_in(random, 2);
    swarm->cache_size = one_in(random, 4) ? 0 : power(random, 12, 17);
    swarm->journal_size_max = 64u << 20;
    swarm->operations_max = one_in(random, 4) ? between(random, 2, 16) : 4096;
    swarm->operations_size_max = one_in(random, 6) ? between(random, 4096, 16384) : 1u << 24;
    swarm->sessions_max = one_in(random, 6) ? between(random, 2, 4) : 64;
    swarm->session_window_max = one_in(random, 4) ? between(random, 2, 16) : 1024;
    swarm->append_entries_max = one_in(random, 3) ? between(random, 1, 4) : 256;
    swarm->append_size_max = one_in(random, 4) ? between(random, 256, 4096) : 1u << 17;
    swarm->inflight_size_max = one_in(random, 4) ? between(random, 1024, 16384) : 1u << 20;
    swarm->inflight_messages_max = one_in(random, 4) ? between(random, 1, 4) : 64;
    swarm->retain_entries_min = one_in(random, 2) ? between(random, 0, 16) : 256;
    swarm->lane_operations_max = one_in(random, 4) ? between(random, 1, 4) : 512;
    swarm->lane_size_max = one_in(random, 6) ? 512 : 4u << 20;
    swarm->client_commands_max = one_in(random, 4) ? between(random, 1, 4) : 1024;
    swarm->router_operations_max = one_in(random, 6) ? between(random, 4, 16) : 262144;
    swarm->attempt_ms = one_in(random, 3) ? between(random, 20, 300) : 1500;
    swarm->deadline_ms = one_in(random, 3) ? between(random, 100, 2000) : 10000;
}

static void draw_world(struct sim_swarm *swarm, struct sim_random *random)
{
    swarm->delay_us = one_in(random, 3) ? between(random, 1000, 20000) : between(random, 50, 500);
    swarm->delay_us_max = swarm->delay_us * between(random, 2, 40);
    swarm->loss_ppm = one_in(random, 2) ? 0 : between(random, 100, 100000);
    swarm->duplicate_ppm = one_in(random, 2) ? 0 : between(random, 100, 100000);
    swarm->reorder_ppm = one_in(random, 2) ? 0 : between(random, 100, 200000);
    swarm->wake_us_max = one_in(random, 3) ? between(random, 1000, 5000) : 100;
    swarm->sync_us = between(random, 100, 3000);
    swarm->sync_us_max = swarm->sync_us * between(random, 2, 30);
    swarm->read_us = between(random, 50, 2000);
    swarm->nowait_again_ppm = one_in(random, 3) ? between(random, 100000, 1000000) : 0;
    swarm->misroute_ppm = 100000;
    swarm->clock_rate_ppm_max = one_in(random, 2) ? 50000 : 100;
}

static void draw_load(struct sim_swarm *swarm, struct sim_random *random)
{
    static const uint32_t usual[] = {
        [JUDGE_GET] = 30,   [JUDGE_SET] = 20, [JUDGE_SETNX] = 10, [JUDGE_INCR] = 10,
        [JUDGE_APPEND] = 8, [JUDGE_DEL] = 5,  [JUDGE_GETSET] = 4, [JUDGE_GETDEL] = 2,
        [JUDGE_MSET] = 6,   [JUDGE_MGET] = 5};
    swarm->clients = between(random, 2, SIM_CLIENTS_MAX);
    swarm->pipeline_max = one_in(random, 2) ? between(random, 2, 8) : 1;
    swarm->think_us =
        one_in(random, 2) ? between(random, 1000, 10000) : between(random, 10000, 60000);
    swarm->keys = between(random, 2, 10);
    swarm->tags = between(random, 1, 3);
    swarm->value_size_max = one_in(random, 3) ? between(random, 256, 2048) : 32;
    swarm->readers = one_in(random, 2) ? between(random, 0, 35) : 0;
    swarm->key_risk_max = one_in(random, 4) ? 1 : 8;
    swarm->key_ops_max = one_in(random, 3) ? between(random, 8, 60) : 300;
    swarm->give_up_ms = one_in(random, 2) ? between(random, 300, 3000) : 15000;
    memcpy(swarm->weights, usual, sizeof usual);
    for (unsigned i = 0; i < 10; i++)
        if (one_in(random, 4))
            swarm->weights[i] = one_in(random, 2) ? 0 : swarm->weights[i] * 4;
    swarm->weights[JUDGE_GET] += 4;
    swarm->weights[JUDGE_SET] += 2;
}

/* Some seeds bring together what the rarer bugs need. */

/* Nobody waits for anything but the network and the disks. */
static void focus_quick(struct sim_swarm *swarm, struct sim_random *random)
{
    swarm->clients = between(random, 8, SIM_CLIENTS_MAX);
    swarm->keys = between(random, 3, 6);
    swarm->tags = 1;
    swarm->think_us = between(random, 1000, 5000);
    swarm->delay_us = between(random, 50, 500);
    swarm->delay_us_max = swarm->delay_us * 4;
    swarm->wake_us_max = 100;
    swarm->deadline_ms = 10000;
    swarm->operations_max = 4096;
    swarm->router_operations_max = 262144;
}

/* An operation that finds no majority keeps none behind it from being asked. */
static void focus_wide(struct sim_swarm *swarm)
{
    swarm->operations_size_max = 1u << 24;
    swarm->sessions_max = 64;
    swarm->session_window_max = 1024;
    swarm->lane_operations_max = 512;
    swarm->lane_size_max = 4u << 20;
    swarm->client_commands_max = 1024;
}

/* An old leader, cut off from its peers but not from all routers, and quick clients on few keys:
 * reads that are older than they may be. */
static void focus_old_leader(struct sim_swarm *swarm, struct sim_random *random)
{
    focus_quick(swarm, random);
    swarm->routers = 2;
    swarm->sync_us = between(random, 100, 500);
    swarm->sync_us_max = swarm->sync_us * 3;
    swarm->attempt_ms = between(random, 1500, 3000); /* who still reaches it stays with it */
    swarm->give_up_ms = between(random, 200, 500);
    swarm->readers = between(random, 20, 35);
    swarm->weights[JUDGE_DEL] = swarm->weights[JUDGE_SETNX] = 20;
    swarm->fault_every_ms = between(random, 1000, 2500);
    swarm->overlap_max = 1;
    swarm->fault_mask = 1u << SIM_FAULT_ISOLATE_LEADER;
    if (one_in(random, 2))
        swarm->fault_mask |= 1u << SIM_FAULT_PAUSE;
}

/* Writes that change nothing, asked of the old leader for as long as it believes in itself. One
 * that would change something gets stuck there, so who asks it writes nothing else; keys on which
 * that happened are soon left for fresh ones, which only the new leader has seen. */
static void focus_sides(struct sim_swarm *swarm, struct sim_random *random)
{
    focus_old_leader(swarm, random);
    focus_wide(swarm);
    swarm->sides = true;
    swarm->pipeline_max = 1;
    swarm->give_up_ms = between(random, 100, 200);
    swarm->key_risk_max = 1;
    swarm->readers = 20;
    swarm->weights[JUDGE_SET] = 40;
    swarm->fault_mask = 1u << SIM_FAULT_ISOLATE_LEADER;
}

/* Replicas that lag because they were down, or because messages get lost, and messages of other
 * lives which say that they do not. */
static void focus_lives(struct sim_swarm *swarm, struct sim_random *random)
{
    swarm->clients = between(random, 6, SIM_CLIENTS_MAX);
    swarm->loss_ppm = between(random, 10000, 100000);
    swarm->misroute_ppm = between(random, 200000, 1000000);
    swarm->think_us = between(random, 1000, 8000);
    swarm->fault_every_ms = between(random, 150, 500);
    swarm->overlap_max = 3;
    swarm->fault_mask =
        1u << SIM_FAULT_MISROUTE | 1u << SIM_FAULT_CRASH | 1u << SIM_FAULT_LINK_DROP;
}

/* Slow syncs and one append at a time: writes wait at the leader, where reads meet them, and are
 * lost with its leadership. Their router keeps to it, or would send them to the next one. */
static void focus_unsent(struct sim_swarm *swarm, struct sim_random *random)
{
    focus_quick(swarm, random);
    focus_wide(swarm);
    swarm->routers = 2;
    swarm->sync_us = between(random, 5000, 30000);
    swarm->sync_us_max = swarm->sync_us * 2;
    swarm->inflight_messages_max = 1;
    swarm->append_entries_max = between(random, 4, 256);
    swarm->attempt_ms = between(random, 1500, 3000);
    swarm->give_up_ms = between(random, 300, 1000);
    swarm->sides = true;
    swarm->loyal = 1;
    swarm->readers = 100;
    swarm->weights[JUDGE_SET] = 40;
    swarm->fault_every_ms = between(random, 500, 1500);
    swarm->overlap_max = 1;
    swarm->fault_mask = 1u << SIM_FAULT_ISOLATE_LEADER;
}

/* Small segments that are soon dead, logs that part and meet again, keys that are left alone, and
 * many restarts: what a journal must remember of segments that are gone. */
static void focus_recycling(struct sim_swarm *swarm, struct sim_random *random)
{
    swarm->segment_size = power(random, 12, 13);
    swarm->zero_ahead_size = 4096;
    swarm->batch_size_max = power(random, 10, 13);
    swarm->retain_entries_min = between(random, 0, 4);
    swarm->value_size_max = between(random, 64, 512);
    swarm->key_ops_max = between(random, 60, 300);
    swarm->key_risk_max = 1; /* what an old leader wrote in vain is never written over */
    swarm->weights[JUDGE_SET] = 60;
    swarm->weights[JUDGE_GET] = 10;
    swarm->readers = 0;
    swarm->pipeline_max = between(random, 2, 8);
    swarm->think_us = between(random, 1000, 8000);
    swarm->delay_us = between(random, 50, 500);
    swarm->delay_us_max = swarm->delay_us * 4;
    swarm->sync_us = between(random, 100, 1000);
    swarm->sync_us_max = swarm->sync_us * 10;
    swarm->attempt_ms = 1500; /* nothing is asked twice: it would be written again */
    swarm->deadline_ms = between(random, 200, 700);
    swarm->give_up_ms = between(random, 200, 700);
    swarm->run_ms = between(random, 9000, 16000);
    swarm->fault_every_ms = between(random, 300, 900);
    swarm->overlap_max = 2;
    swarm->fault_mask = 1u << SIM_FAULT_ISOLATE_LEADER | 1u << SIM_FAULT_POWER |
                        1u << SIM_FAULT_CRASH | 1u << SIM_FAULT_STOP;
}

/* An operation is four messages and a sync. A router that never waits so long only ever gives up,
 * and nothing could be said about progress. */
static void allow_answers(struct sim_swarm *swarm)
{
    uint32_t needed_ms = (8 * swarm->delay_us + 4 * swarm->sync_us) / 1000 + 20;

    if (swarm->attempt_ms < needed_ms)
        swarm->attempt_ms = needed_ms;
    if (swarm->deadline_ms < 4 * swarm->attempt_ms)
        swarm->deadline_ms = 4 * swarm->attempt_ms;
}

/* Snapshots whose records come from a slow disk, while flush moves them, and hints that rot. */
static void focus_moving(struct sim_swarm *swarm, struct sim_random *random)
{
    swarm->segment_size = power(random, 14, 15);
    swarm->zero_ahead_size = 4096;
    swarm->memory_size_max = 512;
    swarm->cache_size = 0;
    swarm->nowait_again_ppm = 1000000;
    swarm->read_us = between(random, 2000, 10000);
    swarm->value_size_max = between(random, 64, 512);
    swarm->key_ops_max = between(random, 8, 40);
    swarm->weights[JUDGE_SET] = 60;
    swarm->think_us = between(random, 1000, 8000);
    swarm->run_ms = between(random, 9000, 16000);
    swarm->fault_every_ms = between(random, 300, 900);
    swarm->log_size_max = between(random, 512, 4096);
    swarm->retain_entries_min = between(random, 0, 4);
    swarm->fault_mask |= 1u << SIM_FAULT_POWER | 1u << SIM_FAULT_CRASH | 1u << SIM_FAULT_PARTITION |
                         1u << SIM_FAULT_BIT_FLIP;
}

/* Clocks that jump back and leaders that change, while values go. */
static void focus_clocks(struct sim_swarm *swarm, struct sim_random *random)
{
    swarm->weights[JUDGE_SETPX] = 60;
    swarm->weights[JUDGE_GET] = 60;
    swarm->keys = between(random, 2, 5);
    swarm->key_ops_max = 300;
    swarm->fault_mask = 1u << SIM_FAULT_WALL_JUMP | 1u << SIM_FAULT_ISOLATE_LEADER;
    swarm->fault_every_ms = between(random, 150, 600);
}

/* Most values in one or two partitions: each soon has all the dictionaries that it may have. */
static void focus_packing(struct sim_swarm *swarm, struct sim_random *random)
{
    focus_quick(swarm, random);
    swarm->keys = between(random, 1, 3);
    swarm->key_ops_max = between(random, 60, 300);
    swarm->compress_level = 1;
    swarm->train_samples = between(random, 40, 60);
    swarm->train_again_ms = between(random, 50, 200);
    swarm->value_size_max = between(random, 128, 1024);
    swarm->weights[JUDGE_SET] = 100;
    swarm->run_ms = between(random, 9000, 16000);
    swarm->fault_every_ms = between(random, 500, 3000);
}

/* Who misses a little needs a snapshot, and what leaders send of it is slow or quick. */
static void draw_snapshots(struct sim_swarm *swarm, struct sim_random *random)
{
    swarm->log_size_max = one_in(random, 2) ? between(random, 512, 32768) : 128u << 20;
    swarm->log_ms_max = one_in(random, 4) ? between(random, 300, 3000) : 3600000;
    swarm->snapshot_rate = one_in(random, 3) ? between(random, 65536, 1u << 20) : 0;
    if (swarm->log_size_max < 1u << 20)
        swarm->retain_entries_min = between(random, 0, 4);
}

/* Values that go by themselves, in most seeds. */
static void draw_expiry(struct sim_swarm *swarm, struct sim_random *random)
{
    swarm->weights[JUDGE_SETPX] = one_in(random, 3) ? 0 : between(random, 2, 20);
    swarm->weights[JUDGE_PERSIST] = swarm->weights[JUDGE_SETPX] ? between(random, 0, 4) : 0;
}

/* Members that come and go while leaders are cut off from the rest, and logs are short. */
static void focus_members(struct sim_swarm *swarm, struct sim_random *random)
{
    swarm->log_size_max = one_in(random, 2) ? between(random, 512, 4096) : 128u << 20;
    swarm->retain_entries_min = between(random, 0, 16);
    swarm->run_ms = between(random, 9000, 16000);
    swarm->fault_every_ms = between(random, 300, 1200);
    swarm->overlap_max = 2;
    swarm->fault_mask = 1u << SIM_FAULT_ISOLATE_LEADER | 1u << SIM_FAULT_PARTITION |
                        1u << SIM_FAULT_ONE_WAY | 1u << SIM_FAULT_CRASH | 1u << SIM_FAULT_POWER |
                        1u << SIM_FAULT_LINK_DROP | 1u << SIM_FAULT_MISROUTE;
}

static void focus_draw(struct sim_swarm *swarm, struct sim_random *random)
{
    static const uint8_t shares[] = {
#define X(name, share) share,
        SIM_FOCI(X)
#undef X
    };
    uint32_t total = 0, at;
    for (size_t i = 0; i < sizeof shares; i++)
        total += shares[i];
    at = (uint32_t)sim_random_below(random, total);
    while (at >= shares[swarm->focus])
        at -= shares[swarm->focus++];
    switch ((enum sim_focus)swarm->focus) {
    case SIM_FOCUS_NONE:
        return;
    case SIM_FOCUS_OLD_LEADER:
        focus_old_leader(swarm, random);
        return;
    case SIM_FOCUS_SIDES:
        focus_sides(swarm, random);
        return;
    case SIM_FOCUS_RECYCLING:
        focus_recycling(swarm, random);
        return;
    case SIM_FOCUS_LIVES:
        focus_lives(swarm, random);
        return;
    case SIM_FOCUS_UNSENT:
        focus_unsent(swarm, random);
        return;
    case SIM_FOCUS_MOVING:
        focus_moving(swarm, random);
        return;
    case SIM_FOCUS_CLOCKS:
        focus_clocks(swarm, random);
        return;
    case SIM_FOCUS_PACKING:
        focus_packing(swarm, random);
        return;
    case SIM_FOCUS_MEMBERS:
        focus_members(swarm, random);
        return;
    }
}

/* In two seeds of five, about, members come and go. N is less than three only where no disk is
 * lost: a minority of fewer is nobody. */
static void draw_members(struct sim_swarm *swarm, struct sim_random *random)
{
    uint32_t losing = 1u << SIM_CHANGE_REMOVE | 1u << SIM_CHANGE_REPLACE | 1u << SIM_CHANGE_WIPE;
    swarm->change_mask = 1u << SIM_CHANGE_KEY;
    bool much = swarm->focus == SIM_FOCUS_MEMBERS;
    if (!much && between(random, 1, 3) > 1)
        return;
    swarm->spares = between(random, much ? 2 : 1, SIM_NODES_MAX - SIM_FOUNDERS_MAX);
    swarm->change_ms = between(random, much ? 100 : 200, much ? 500 : 1500);
    swarm->change_mask |= 1u << SIM_CHANGE_JOIN | (uint32_t)sim_random_next(random);
    if (much)
        swarm->change_mask |= (1u << SIM_CHANGE_KINDS) - 1;
    swarm->replicas_min = 3;
    if (swarm->fault_mask >> SIM_FAULT_BIT_FLIP & 1)
        swarm->change_mask &= ~(1u << SIM_CHANGE_WIPE);
    else if (!(swarm->change_mask & losing))
        swarm->replicas_min = 1;
    swarm->kept_ppm = one_in(random, 2) ? between(random, 500, 20000) : 0;
    swarm->cuts = one_in(random, 2) ? between(random, 1, 8) : 0;
    swarm->drain_ms = one_in(random, 2) ? between(random, 500, 5000) : 0;
}

/* Where members come and go, half of the clusters have zones: too few for N, just enough, or more.
 */
static void draw_zones(struct sim_swarm *swarm, struct sim_random *random)
{
    if (swarm->spares > 0 && one_in(random, 2))
        swarm->zones = between(random, 2, SIM_ZONES_MAX);
    else
        swarm->change_mask &= ~(1u << SIM_CHANGE_ZONE);
    for (uint32_t i = 0; swarm->zones && i < SIM_NODES_MAX; i++)
        swarm->zone_of[i] = (uint8_t)between(random, 0, swarm->zones - 1);
}

void sim_swarm_draw(struct sim_swarm *swarm, struct sim_random *random)
{
    memset(swarm, 0, sizeof *swarm);
    draw_cluster(swarm, random);
    draw_limits(swarm, random);
    draw_world(swarm, random);
    draw_load(swarm, random);
    swarm->run_ms = between(random, 6000, 14000);
    swarm->fault_every_ms = one_in(random, 20) ? 0 : between(random, 150, 2000);
    swarm->fault_mask = (uint32_t)sim_random_next(random);
    if (one_in(random, 3))
        swarm->fault_mask &= (uint32_t)sim_random_next(random);
    swarm->overlap_max = between(random, 1, 3);
    allow_answers(swarm);
    draw_snapshots(swarm, random);
    draw_expiry(swarm, random);
    swarm->encrypt = one_in(random, 3);
    swarm->scans = one_in(random, 2);
    focus_draw(swarm, random);
    swarm->change_ms = one_in(random, 3) ? 0 : between(random, 200, 3000);
    swarm->scrub_rate = between(random, 256u << 10, 8u << 20);
    swarm->scrub_every_ms = between(random, 100, 2000);
    swarm->gossip = one_in(random, 4);
    draw_members(swarm, random);
    swarm->tickets_ms = one_in(random, 3) ? between(random, 50, 1000) : 0;
    swarm->install_size = one_in(random, 2) ? power(random, 7, 12) : 0;
    swarm->copies = swarm->gossip && one_in(random, 2);
    swarm->run_ms += swarm->copies ? COPIES_MS : 0;
    draw_zones(swarm, random);
}
