#include "tests/sim/sim_copy.h"

#include "tests/sim/sim_cluster.h"

#include <assert.h>
#include <inttypes.h>

#define LOOK_US   (100 * SIM_MS)
#define WAIT_US   (10 * SIM_SECOND) /* for others to hear of more than the copy has to tell */
#define RUNS_US   (2 * SIM_SECOND)  /* the copy, at most */
#define RAISED_US (500 * SIM_MS)

/* Counters of a process. */

static const char *const VERDICTS[] = {"in", "again", "wait", "out"};

static bool has_copies(const struct sim_node *node)
{
    return node->cluster->sim->swarm.copies != 0;
}

/* Of a member that the node's map names, as one that is none any more; else 0. */
static uint16_t member_of(const struct sim_node *node, uint8_t endpoint)
{
    return sim_node_peer(node, endpoint, 0).member;
}

bool sim_copy_runs(const struct sim_node *node)
{
    const struct sim_copy *copy = &node->cluster->copy;
    return copy->knowers != 0 && copy->node == node->endpoint;
}

static void run_outdated(void *context, uint64_t life)
{
    struct sim_node *node = context;
    struct sim *sim = node->cluster->sim;
    if (!sim_node_lives(node, life) ||
        !node_counters_own_outdated(&node->counters, node_member(node->node)))
        return;
    sim_trace(sim, 1, "node %u ends: its disk is an old copy", node->endpoint);
    if (!sim_copy_runs(node))
        sim_fail(sim, "node %u is told that its disk is an old copy, but it is the newest",
                 node->endpoint);
    node->cluster->copy.refused++;
    sim_node_end(node, SIM_END_KILL);
}

static void judge_own(struct sim_node *node)
{
    if (node_counters_own_outdated(&node->counters, node_member(node->node)))
        sim_after(node->cluster->sim, 0, run_outdated, node, node->life);
}

void sim_counters_heard(struct sim_node *node, uint16_t member, uint64_t counter)
{
    if (!has_copies(node))
        return;
    node_counters_hear(&node->counters, member, counter);
    judge_own(node);
}

static void run_raise(void *context, uint64_t life)
{
    struct sim_node *node = context;
    struct node_counters raised;
    uint16_t self;
    if (!sim_node_lives(node, life))
        return;
    raised = node->counters;
    self = node_member(node->node);
    if (node->state == SIM_UP && node_map(node->node) &&
        node_counters_may_raise(&node->counters, self) &&
        node_counters_raise(sim_disk_vfs(node->disk), &raised, self) == 0) {
        node->counters_kept = raised;
        node_counters_raised(&node->counters, self, raised.own, node_map(node->node));
        sim_links_tell(node);
    }
    if (sim_node_halted(node))
        return;
    sim_after(node->cluster->sim, RAISED_US, run_raise, node, life);
}

int sim_counters_open(struct sim_node *node)
{
    int r;
    if (!has_copies(node))
        return 0;
    r = node_counters_read(sim_disk_vfs(node->disk), &node->counters);
    if (r)
        return r;
    node->counters_kept = node->counters;
    sim_after(node->cluster->sim, RAISED_US, run_raise, node, node->life);
    return 0;
}

bool sim_counters_judge(const struct sim_node *node, uint8_t peer)
{
    return has_copies(node) && peer != 0 && peer <= SIM_NODES_MAX;
}

/* It has heard of more than the copy has to tell, on which the other one runs. */
static bool knows_copy(const struct sim_node *node, const struct sim_node *other)
{
    return sim_copy_runs(other) && node->cluster->copy.knowers >> node->endpoint & 1;
}

enum node_counters_verdict sim_counters_hello(struct sim_node *node, uint8_t peer,
                                              struct node_counters_link *link,
                                              const struct wire_hello *hello)
{
    struct sim *sim = node->cluster->sim;
    struct sim_copy *copy = &node->cluster->copy;
    const struct sim_node *other = sim_cluster_node(node->cluster, peer);
    uint16_t member = member_of(node, peer);
    enum node_counters_verdict verdict = node_counters_hello(
        &node->counters, link, node_member(node->node), member, sim_node_map(node), hello);
    judge_own(node);
    sim_trace(sim, 2, "node %u: HELLO of node %u tells %" PRIu64 ", heard %" PRIu64 ": %s",
              node->endpoint, peer, hello->counter, hello->heard, VERDICTS[verdict]);
    copy->again += verdict == NODE_COUNTERS_AGAIN;
    if (verdict == NODE_COUNTERS_OUT && link->dialled && !sim_copy_runs(other))
        sim_fail(sim, "node %u takes node %u for an old copy, but it is the newest", node->endpoint,
                 peer);
    if (verdict != NODE_COUNTERS_IN || member == 0 || !sim_copy_runs(other))
        return verdict;
    if (knows_copy(node, other))
        sim_fail(sim, "node %u hears node %u, which runs on an old copy of its disk",
                 node->endpoint, peer);
    else
        copy->until_us = 0; /* it has joined and knows nothing: before it votes */
    return verdict;
}

void sim_counters_unlinked(struct sim_node *node, const struct node_counters_link *link)
{
    if (has_copies(node))
        node_counters_unlinked(&node->counters, link);
}

/* Of one that was removed it is a stranger's. */
void sim_counters_message(const struct sim_node *node, const struct sim_message *message)
{
    if (message->from != 0 && message->from <= SIM_NODES_MAX &&
        message->message.type != WIRE_HELLO && member_of(node, message->from) != 0 &&
        knows_copy(node, sim_cluster_node(node->cluster, message->from)))
        sim_fail(node->cluster->sim, "node %u takes a message of node %u's old copy",
                 node->endpoint, message->from);
}

/* The operator. */

static struct sim_random *random_of(const struct sim_copy *copy)
{
    return sim_stream(copy->cluster->sim, SIM_STREAM_COPY);
}

static struct sim_node *node_of(struct sim_copy *copy)
{
    return sim_cluster_node(copy->cluster, copy->node);
}

static void take_copy(struct sim_copy *copy)
{
    struct sim *sim = copy->cluster->sim;
    uint8_t endpoint = (uint8_t)sim_random_between(random_of(copy), 1, copy->cluster->node_count);
    struct sim_node *node = sim_cluster_node(copy->cluster, endpoint);
    struct node_counters counters;
    if (endpoint == sim->swarm.victim || node->rotten || node->state != SIM_UP || !node->serving ||
        node_removed(node->node))
        return;
    copy->disk = sim_disk_copy(node->disk);
    if (node_counters_read(sim_disk_vfs(copy->disk), &counters) != 0) {
        sim_fail(sim, "node %u has no COUNTERS that can be read", endpoint);
        return;
    }
    copy->node = endpoint;
    copy->counter = counters.own;
    copy->until_us = sim->now_us + WAIT_US;
    sim_trace(sim, 1, "node %u: a copy of its disk is made, counter %" PRIu64, endpoint,
              copy->counter);
}

/* Bits of all others that are members; 0: somebody may not have heard of more yet. */
static uint32_t knowers_of(struct sim_copy *copy)
{
    const struct sim_node *node = node_of(copy);
    uint32_t knowers = 0;
    for (uint8_t i = 1; node->state == SIM_UP && i <= copy->cluster->node_count; i++) {
        const struct sim_node *other = sim_cluster_node(copy->cluster, i);
        uint16_t self = node_member(node->node);
        if (i == copy->node || !member_of(node, i) || other->scrapped)
            continue;
        if (other->counters_kept.heard[self] <= copy->counter)
            return 0;
        knowers |= 1u << i;
    }
    return knowers;
}

static void drop(struct sim_copy *copy)
{
    copy->disk = sim_disk_free(copy->disk);
    copy->knowers = 0;
}

static void put_in(struct sim_copy *copy, uint32_t knowers)
{
    struct sim *sim = copy->cluster->sim;
    struct sim_node *node = node_of(copy);
    sim_trace(sim, 1, "node %u: the copy of its disk is started, by now %" PRIu64, copy->node,
              node->counters.own);
    sim_fold(sim, 13, copy->node, copy->counter);
    sim_node_end(node, SIM_END_KILL);
    sim_disk_exchange(node->disk, copy->disk);
    copy->knowers = knowers;
    copy->until_us = sim->now_us + RUNS_US;
    node->away_until_us = UINT64_MAX; /* nobody else starts it */
    sim_node_start(node);
}

static void take_out(struct sim_copy *copy)
{
    struct sim_node *node = node_of(copy);
    if (node->state != SIM_DOWN)
        sim_node_end(node, SIM_END_KILL);
    sim_disk_exchange(node->disk, copy->disk);
    node->away_until_us = 0;
    sim_trace(copy->cluster->sim, 1, "node %u: its newest disk is back", copy->node);
    drop(copy);
}

static void run_copy(void *context, uint64_t argument)
{
    struct sim_copy *copy = context;
    struct sim *sim = copy->cluster->sim;
    uint32_t knowers;
    (void)argument;
    if (copy->over)
        return;
    if (copy->knowers != 0) {
        if (node_of(copy)->state == SIM_DOWN || sim->now_us >= copy->until_us)
            take_out(copy);
    } else if (copy->disk) {
        knowers = knowers_of(copy);
        if (knowers != 0)
            put_in(copy, knowers);
        else if (sim->now_us >= copy->until_us || node_of(copy)->scrapped)
            drop(copy);
    } else {
        take_copy(copy);
    }
    sim_after(sim, LOOK_US, run_copy, copy, 0);
}

void sim_copy_start(struct sim_copy *copy, struct sim_cluster *cluster)
{
    copy->cluster = cluster;
    sim_after(cluster->sim, LOOK_US, run_copy, copy, 0);
}

void sim_copy_end(struct sim_copy *copy)
{
    copy->over = true;
    if (copy->knowers != 0)
        take_out(copy);
    else if (copy->disk)
        drop(copy);
}
