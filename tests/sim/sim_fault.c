#include "tests/sim/sim_fault.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define ROT_AGE_US (2500 * SIM_MS)

struct kind {
    uint32_t weight, low_ms, high_ms;
};

static const struct kind kinds[] = {
#define X(name, weight, low, high) {weight, low, high},
    SIM_FAULTS(X)
#undef X
};

static struct sim_random *random_of(const struct sim_faults *faults)
{
    return sim_stream(faults->sim, SIM_STREAM_FAULT);
}

static uint8_t kind_choose(struct sim_faults *faults)
{
    const struct sim_swarm *swarm = &faults->sim->swarm;
    uint32_t total = 0;
    for (uint32_t i = 0; i < SIM_FAULT_KINDS; i++)
        total += swarm->fault_mask >> i & 1 ? kinds[i].weight : 0;
    if (total == 0)
        return SIM_FAULT_CRASH;
    uint32_t at = (uint32_t)sim_random_below(random_of(faults), total);
    for (uint8_t i = 0; i < SIM_FAULT_KINDS; i++) {
        uint32_t weight = swarm->fault_mask >> i & 1 ? kinds[i].weight : 0;
        if (at < weight)
            return i;
        at -= weight;
    }
    return SIM_FAULT_CRASH;
}

static void entry_draw(struct sim_faults *faults, uint64_t at_us)
{
    const struct sim_swarm *swarm = &faults->sim->swarm;
    struct sim_random *random = random_of(faults);
    uint32_t nodes = faults->cluster->node_count;
    struct sim_fault_entry *entry = &faults->entries[faults->count++];
    entry->at_us = at_us;
    entry->kind = kind_choose(faults);
    const struct kind *kind = &kinds[entry->kind];
    uint64_t most = kind->high_ms;
    if (sim_random_below(random, 2)) /* short ones more often */
        most = kind->low_ms + (kind->high_ms - kind->low_ms) / 4;
    entry->duration_us = sim_random_between(random, kind->low_ms, most) * SIM_MS;
    entry->draw = sim_random_next(random);
    entry->node = (uint8_t)sim_random_between(random, 1, nodes);
    entry->other = (uint8_t)sim_random_between(random, 1, nodes - 1);
    if (entry->other >= entry->node)
        entry->other++;
    entry->sides = (uint32_t)sim_random_next(random);
    bool parted = entry->kind == SIM_FAULT_ISOLATE_LEADER && sim_random_below(random, 4);
    if (parted || (entry->kind == SIM_FAULT_ISOLATE_LEADER && swarm->sides)) {
        /* One router goes on with the old leader, the other finds the new one. */
        uint32_t first = faults->cluster->routers[0].endpoint;
        entry->sides &= ~(3u << first);
        uint32_t cut = (uint32_t)sim_random_below(random, 2);
        entry->sides |= 1u << (first + (swarm->sides ? 1u - swarm->loyal : cut));
    }
    if (entry->kind == SIM_FAULT_BIT_FLIP)
        entry->node = (uint8_t)swarm->victim;
}

/* They come on top of the others and from a stream of their own. */
static void cuts_draw(struct sim_faults *faults)
{
    const struct kind *kind = &kinds[SIM_FAULT_CUT_CHANGE];
    struct sim_random *random = sim_stream(faults->sim, SIM_STREAM_CUT);
    for (uint32_t i = 0; i < faults->sim->swarm.cuts; i++) {
        if (faults->count == SIM_FAULT_ENTRIES_MAX)
            return;
        faults->entries[faults->count++] = (struct sim_fault_entry){
            .kind = SIM_FAULT_CUT_CHANGE,
            .at_us = sim_random_below(random, faults->sim->swarm.run_ms * SIM_MS),
            .duration_us = sim_random_between(random, kind->low_ms, kind->high_ms) * SIM_MS,
            .draw = sim_random_next(random)};
    }
}

void sim_faults_init(struct sim_faults *faults, struct sim_cluster *cluster,
                     struct sim_check *check, struct sim_workload *workload,
                     const uint32_t *left_out)
{
    struct sim *sim = cluster->sim;
    memset(faults, 0, sizeof *faults);
    faults->sim = sim;
    faults->cluster = cluster;
    faults->check = check;
    faults->workload = workload;
    uint64_t every = sim->swarm.fault_every_ms * SIM_MS;
    uint64_t at = 0;
    while (every && faults->count < SIM_FAULT_ENTRIES_MAX) {
        at += sim_random_below(random_of(faults), 2 * every) + SIM_MS;
        if (at >= sim->swarm.run_ms * SIM_MS)
            break;
        entry_draw(faults, at);
    }
    cuts_draw(faults);
    for (; left_out && *left_out != UINT32_MAX; left_out++)
        if (*left_out < faults->count)
            faults->entries[*left_out].left_out = true;
}

/* Carrying out. */

static struct sim_node *node_of(struct sim_faults *faults, uint8_t number)
{
    return sim_cluster_node(faults->cluster, number);
}

/* Kills at one of the next I/O calls, or soon after if there are none. */
static void run_kill(void *context, uint64_t life)
{
    struct sim_node *node = context;
    if (node->state != SIM_DOWN && node->life == life)
        sim_node_end(node, (enum sim_end)node->dying);
}

static void node_kill(struct sim_faults *faults, struct sim_node *node, enum sim_end how,
                      uint64_t draw)
{
    if (node->state == SIM_DOWN)
        return;
    node->dying = (uint8_t)how;
    if (node->state == SIM_UP && draw % 4)
        sim_disk_halt_after(node->disk, (uint32_t)(draw >> 8) % 12);
    sim_after(faults->sim, (draw >> 16) % (20 * SIM_MS), run_kill, node, node->life);
}

static void node_restart(struct sim_faults *faults, struct sim_node *node)
{
    struct sim_random *random = random_of(faults);
    if (node->state != SIM_DOWN || faults->hold[node->endpoint - 1] || node->spare ||
        node->scrapped || node->away_until_us > faults->sim->now_us)
        return;
    /* Somebody may try again with what is on its disk. */
    if (node->left && (faults->over || sim_random_below(random, 40)))
        return;
    bool dies_again = !faults->over && sim_random_below(random, 5) == 0;
    if (dies_again)
        sim_disk_halt_after(node->disk, (uint32_t)sim_random_below(random, 300));
    sim_node_start(node);
    if (dies_again && sim_random_below(random, 2))
        node->dying = SIM_END_POWER;
}

/* Processes that ended come back; also those that ended by themselves. */
static void run_supervisor(void *context, uint64_t argument)
{
    struct sim_faults *faults = context;
    (void)argument;
    for (uint8_t i = 1; i <= faults->cluster->node_count; i++)
        node_restart(faults, node_of(faults, i));
    for (uint32_t i = 0; faults->over && i < faults->cluster->router_count; i++)
        if (faults->cluster->routers[i].state == SIM_DOWN)
            sim_router_start(&faults->cluster->routers[i]);
    sim_after(faults->sim, 50 * SIM_MS, run_supervisor, faults, 0);
}

static bool on_side(const struct sim_fault_entry *entry, uint8_t endpoint)
{
    return entry->sides >> endpoint & 1;
}

/* Blocks or frees what the entry says. */
static void cut(struct sim_faults *faults, const struct sim_fault_entry *entry, bool block)
{
    uint8_t endpoints[SIM_ENDPOINTS_MAX];
    uint32_t count = 0;
    for (uint8_t i = 1; i <= faults->cluster->node_count; i++)
        endpoints[count++] = i;
    uint32_t nodes = count;
    for (uint8_t i = 0; i < faults->cluster->router_count; i++)
        endpoints[count++] = faults->cluster->routers[i].endpoint;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < count; j++) {
            uint8_t a = endpoints[i], b = endpoints[j];
            bool apart = false;
            if (entry->kind == SIM_FAULT_PARTITION)
                apart = on_side(entry, a) != on_side(entry, b);
            else if (entry->kind == SIM_FAULT_ONE_WAY)
                apart = a == entry->node && b == entry->other;
            else if (entry->kind == SIM_FAULT_CUT_CHANGE)
                apart = i < nodes && j < nodes && on_side(entry, a) != on_side(entry, b);
            else
                apart = (a == entry->node || b == entry->node) &&
                        ((i < nodes && j < nodes) || on_side(entry, i < nodes ? b : a));
            if (i == j || !apart)
                continue;
            sim_net_block(faults->cluster->net, a, b, block);
            /* Routers go elsewhere at once, and those who are left know that they are. */
            bool breaks = i >= nodes ? entry->draw >> 32 & 3
                                     : (entry->kind == SIM_FAULT_ISOLATE_LEADER ||
                                        entry->kind == SIM_FAULT_CUT_CHANGE) &&
                                           j < nodes && entry->draw >> 34 & 1;
            if (block && breaks)
                sim_net_break(faults->cluster->net, a, b);
        }
}

static void disk_fault(struct sim_faults *faults, const struct sim_fault_entry *entry, bool begin)
{
    struct sim_node *node = node_of(faults, entry->node);
    struct sim_disk_faults *disk = sim_disk_faults(node->disk);
    uint32_t ppm = begin ? 20000 + (uint32_t)(entry->draw % 300000) : 0;
    switch (entry->kind) {
    case SIM_FAULT_READ_FAIL:
        disk->read_fail_ppm = ppm;
        break;
    case SIM_FAULT_WRITE_FAIL:
        disk->write_fail_ppm = ppm;
        break;
    case SIM_FAULT_SYNC_FAIL:
        disk->sync_fail_ppm = ppm;
        break;
    case SIM_FAULT_DISK_FULL:
        disk->capacity =
            begin ? sim_disk_used(node->disk) + entry->draw % (2 * faults->sim->swarm.segment_size)
                  : UINT64_MAX / 2;
        break;
    default:
        node->slow_ppm = begin ? 100000 + (uint32_t)(entry->draw % 900000) : 0;
        node->slow_us = 20 * SIM_MS + entry->draw % SIM_SECOND;
    }
}

/* Bits rot that have lain for a while: what was synced just now and has no mark behind it yet could
 * not be told from a torn tail, by any means. */
static void bit_flip(struct sim_faults *faults, const struct sim_fault_entry *entry)
{
    struct sim_node *node = node_of(faults, entry->node);
    /* Hints are advice: when only they rot the node must be as good as any other. */
    bool hints = entry->draw >> 16 & 1;
    uint32_t count = hints ? 8 : 1 + (uint32_t)(entry->draw >> 8 & 3);
    const char *path;
    uint64_t offset;

    if (node->state == SIM_DOWN || faults->sim->now_us - node->started_us < ROT_AGE_US)
        return;
    for (uint32_t i = 0; i < count; i++)
        if (sim_disk_flip(node->disk, hints ? ".hint" : "shard-", hints ? 0 : ROT_AGE_US, &path,
                          &offset)) {
            node->rotten = node->rotten || !hints;
            sim_trace(faults->sim, 1, "node %u a bit of %s flips at %" PRIu64, node->endpoint, path,
                      offset);
        }
    /* A running process does not look again at what it wrote: let it. */
    if (hints || entry->draw & 1)
        node_kill(faults, node, SIM_END_KILL, entry->draw);
}

static void begin(struct sim_faults *faults, struct sim_fault_entry *entry)
{
    struct sim_cluster *cluster = faults->cluster;
    struct sim_node *node = node_of(faults, entry->node);
    struct sim_router *router = &cluster->routers[entry->draw % cluster->router_count];
    switch (entry->kind) {
    case SIM_FAULT_CRASH:
    case SIM_FAULT_POWER:
        faults->hold[entry->node - 1]++;
        node_kill(faults, node, entry->kind == SIM_FAULT_POWER ? SIM_END_POWER : SIM_END_KILL,
                  entry->draw);
        break;
    case SIM_FAULT_POWER_ALL:
        for (uint8_t i = 1; i <= cluster->node_count; i++) {
            faults->hold[i - 1]++;
            node_kill(faults, node_of(faults, i), SIM_END_POWER, entry->draw >> i);
        }
        break;
    case SIM_FAULT_STOP:
        faults->hold[entry->node - 1]++;
        sim_node_drain(node);
        break;
    case SIM_FAULT_PAUSE:
        sim_node_pause(node, true);
        break;
    case SIM_FAULT_ISOLATE_LEADER:
        if (sim_check_chief(faults->check))
            entry->node = sim_check_chief(faults->check);
        cut(faults, entry, true);
        break;
    case SIM_FAULT_PARTITION:
    case SIM_FAULT_ONE_WAY:
    case SIM_FAULT_CUT_CHANGE:
        cut(faults, entry, true);
        break;
    case SIM_FAULT_LINK_DROP:
        sim_net_break(cluster->net, entry->draw & 1 ? router->endpoint : entry->other, entry->node);
        break;
    case SIM_FAULT_ROUTER_CRASH:
        if (router->state == SIM_UP)
            sim_router_end(router);
        break;
    case SIM_FAULT_CLIENT_DROP:
        sim_workload_drop(faults->workload);
        break;
    case SIM_FAULT_BIT_FLIP:
        bit_flip(faults, entry);
        break;
    case SIM_FAULT_WALL_JUMP:
        node->clock.wall_offset_ms += (int64_t)(entry->draw % 7200001) - 3600000;
        break;
    case SIM_FAULT_MISROUTE:
        sim_net_misroute(cluster->net, entry->node, faults->sim->swarm.misroute_ppm);
        break;
    default:
        disk_fault(faults, entry, true);
    }
}

static void end(struct sim_faults *faults, struct sim_fault_entry *entry)
{
    struct sim_cluster *cluster = faults->cluster;
    struct sim_node *node = node_of(faults, entry->node);
    struct sim_router *router = &cluster->routers[entry->draw % cluster->router_count];
    switch (entry->kind) {
    case SIM_FAULT_STOP:
        /* It may have had nobody to hand over to. */
        if (node->state != SIM_DOWN && node->draining)
            sim_node_end(node, SIM_END_CLEAN);
        faults->hold[entry->node - 1]--;
        break;
    case SIM_FAULT_CRASH:
    case SIM_FAULT_POWER:
        faults->hold[entry->node - 1]--;
        break;
    case SIM_FAULT_POWER_ALL:
        for (uint8_t i = 1; i <= cluster->node_count; i++)
            faults->hold[i - 1]--;
        break;
    case SIM_FAULT_PAUSE:
        sim_node_pause(node, false);
        break;
    case SIM_FAULT_PARTITION:
    case SIM_FAULT_ONE_WAY:
    case SIM_FAULT_ISOLATE_LEADER:
    case SIM_FAULT_CUT_CHANGE:
        cut(faults, entry, false);
        break;
    case SIM_FAULT_ROUTER_CRASH:
        if (router->state == SIM_DOWN)
            sim_router_start(router);
        break;
    case SIM_FAULT_MISROUTE:
        sim_net_misroute(cluster->net, entry->node, 0);
        break;
    case SIM_FAULT_LINK_DROP:
    case SIM_FAULT_CLIENT_DROP:
    case SIM_FAULT_BIT_FLIP:
    case SIM_FAULT_WALL_JUMP:
        break;
    default:
        disk_fault(faults, entry, false);
    }
}

static void entry_end(struct sim_faults *faults, struct sim_fault_entry *entry)
{
    if (!entry->active)
        return;
    entry->active = false;
    faults->active--;
    sim_trace(faults->sim, 1, "fault %u ends: %s", (unsigned)(entry - faults->entries),
              sim_fault_name(entry->kind));
    end(faults, entry);
}

static void run_end(void *context, uint64_t number)
{
    struct sim_faults *faults = context;
    entry_end(faults, &faults->entries[number]);
}

static void entry_begin(struct sim_faults *faults, struct sim_fault_entry *entry)
{
    uint64_t number = (uint64_t)(entry - faults->entries);
    entry->active = true;
    faults->active++;
    faults->table[entry->kind][sim_check_phase(faults->check)]++;
    sim_fold(faults->sim, 9, number, entry->kind);
    sim_trace(faults->sim, 1, "fault %u begins: %s node %u other %u sides %03x for %" PRIu64 " ms",
              (unsigned)number, sim_fault_name(entry->kind), entry->node, entry->other,
              entry->sides & 0xfff, entry->duration_us / SIM_MS);
    begin(faults, entry);
    sim_after(faults->sim, entry->duration_us, run_end, faults, number);
}

static void run_begin(void *context, uint64_t number)
{
    struct sim_faults *faults = context;
    struct sim_fault_entry *entry = &faults->entries[number];
    if (faults->over || entry->left_out)
        return;
    if (entry->kind == SIM_FAULT_CUT_CHANGE) {
        entry->waiting = true;
        faults->waiting++;
    } else if (faults->active < faults->sim->swarm.overlap_max) {
        entry_begin(faults, entry);
    }
}

/* Bits of the endpoints of those whom the leader has just left out, and of itself; 0: of nobody. */
static uint32_t left_behind(const struct sim_faults *faults, const struct sim_node *node,
                            const struct raft *raft)
{
    const struct raft_config *before = &raft->config_previous;
    uint32_t sides = 0;
    if (raft->role != RAFT_LEADER || raft->config.index <= raft->commit)
        return 0;
    for (uint32_t i = 0; i < before->voter_count + before->voter_old_count; i++) {
        struct raft_replica replica = i < before->voter_count
                                          ? before->voters[i]
                                          : before->voters_old[i - before->voter_count];
        if (!sim_check_config_names(&raft->config, replica))
            sides |= 1u << faults->cluster->endpoints[replica.member];
    }
    return sides ? sides | 1u << node->endpoint : 0;
}

void sim_faults_round(struct sim_faults *faults, const struct sim_node *node)
{
    struct sim_fault_entry *entry = faults->entries;
    uint32_t sides = 0;
    if (faults->waiting == 0 || faults->over || faults->active >= faults->sim->swarm.overlap_max)
        return;
    for (uint32_t group = 0; sides == 0 && group < SIM_GROUPS; group++) {
        const struct raft *raft = sim_check_raft(faults->check, node->endpoint, group);
        sides = raft ? left_behind(faults, node, raft) : 0;
    }
    if (sides == 0)
        return;
    while (!entry->waiting)
        entry++;
    entry->waiting = false;
    faults->waiting--;
    entry->node = node->endpoint;
    entry->sides = sides;
    entry_begin(faults, entry);
}

/* Some clusters are founded under crashes: each node dies within one of its first calls, or not. */
void sim_faults_found(struct sim_faults *faults)
{
    struct sim_random *random = random_of(faults);
    bool trouble = sim_random_below(random, 4) == 0;
    for (uint8_t i = 1; i <= faults->cluster->node_count; i++) {
        uint64_t draw = sim_random_next(random);
        struct sim_node *node = node_of(faults, i);
        if (!trouble || draw % 3 == 0 || node->state != SIM_UP)
            continue;
        sim_disk_halt_after(node->disk, (uint32_t)(draw >> 8) % 60);
        node->dying = draw >> 32 & 1 ? SIM_END_POWER : SIM_END_KILL;
    }
    sim_after(faults->sim, 50 * SIM_MS, run_supervisor, faults, 0);
}

void sim_faults_start(struct sim_faults *faults)
{
    for (uint32_t i = 0; i < faults->count; i++)
        sim_after(faults->sim, faults->entries[i].at_us, run_begin, faults, i);
}

void sim_faults_end(struct sim_faults *faults)
{
    faults->over = true;
    for (uint32_t i = 0; i < faults->count; i++)
        entry_end(faults, &faults->entries[i]);
    for (uint8_t i = 1; i <= faults->cluster->node_count; i++) {
        struct sim_node *node = node_of(faults, i);
        struct sim_disk_faults *disk = sim_disk_faults(node->disk);
        disk->nowait_again_ppm = 0;
        if (!sim_disk_halted(node->disk))
            sim_disk_revive(node->disk);
    }
    sim_net_calm(faults->cluster->net);
    sim_trace(faults->sim, 1, "faults are over");
}
