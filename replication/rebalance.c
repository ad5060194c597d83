#include "replication/rebalance.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY UINT32_MAX
/* A partition handed over again within so many rests of the last one is one that flaps. */
#define SOON_RESTS 4u

/* A step's view: sums of load by member, as they would be after the transfers chosen so far. */
struct view {
    struct rebalance *rebalance;
    const struct rebalance_event *event;
    struct rebalance_effects *effects;
    double mean; /* load for a weight of 1 */
};

void rebalance_options_default(struct rebalance_options *options)
{
    *options = (struct rebalance_options){
        .partitions = 256,
        .members_max = 1000,
        .transfers_max = 4,
        .evacuations_max = REBALANCE_TRANSFERS_MAX,
        .operation_bytes = 4096,
        .smoothing_ms = 30000,
        .begin_percent = 25,
        .end_percent = 10,
        .gain_percent = 50,
        .rest_ms_min = 60000,
        .rest_ms_max = 3600000,
    };
}

int rebalance_init(struct rebalance *rebalance, const struct rebalance_options *options)
{
    assert(options->partitions >= 1 && options->members_max >= 1);
    assert(options->transfers_max <= REBALANCE_TRANSFERS_MAX);
    assert(options->evacuations_max <= REBALANCE_TRANSFERS_MAX);
    assert(options->operation_bytes >= 1 && options->rest_ms_min <= options->rest_ms_max);
    assert(options->end_percent <= options->begin_percent && options->gain_percent >= 1);
    *rebalance = (struct rebalance){.options = *options};
    rebalance->load = calloc(options->partitions, sizeof *rebalance->load);
    rebalance->rests = calloc(options->partitions, sizeof *rebalance->rests);
    rebalance->sums = calloc(options->members_max, sizeof *rebalance->sums);
    if (!rebalance->load || !rebalance->rests || !rebalance->sums) {
        rebalance_deinit(rebalance);
        return -ENOMEM;
    }
    return 0;
}

void rebalance_deinit(struct rebalance *rebalance)
{
    free(rebalance->load);
    free(rebalance->rests);
    free(rebalance->sums);
    *rebalance = (struct rebalance){0};
}

void rebalance_check(const struct rebalance *rebalance)
{
    for (uint32_t p = 0; p < rebalance->options.partitions; p++) {
        assert(rebalance->load[p] >= 0);
        assert(rebalance->rests[p].length_ms <= rebalance->options.rest_ms_max);
    }
}

static uint32_t index_of(const struct rebalance_event *event, uint16_t id)
{
    uint32_t low = 0;
    uint32_t high = event->member_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (event->members[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < event->member_count && event->members[low].id == id ? low : NOBODY;
}

/* Exponential smoothing, in the rational form that needs no exp(). */
static void smooth(struct rebalance *rebalance, const struct rebalance_event *event)
{
    double passed = (double)(event->now_ms - rebalance->last_ms);
    double part = rebalance->last_ms == 0 ? 1 : passed / (passed + rebalance->options.smoothing_ms);

    for (uint32_t p = 0; p < rebalance->options.partitions; p++) {
        const struct rebalance_partition *partition = &event->partitions[p];
        double load = 1 + partition->operations +
                      (double)partition->bytes / rebalance->options.operation_bytes;

        rebalance->load[p] += (load - rebalance->load[p]) * part;
    }
    rebalance->last_ms = event->now_ms;
}

/* Load of a member by its weight, in means. */
static double fullness(const struct view *view, uint32_t member, double more)
{
    return (view->rebalance->sums[member] + more) / view->event->members[member].weight /
           view->mean;
}

static void sum_up(struct view *view)
{
    const struct rebalance_event *event = view->event;
    double sum = 0;
    double weights = 0;

    memset(view->rebalance->sums, 0, event->member_count * sizeof *view->rebalance->sums);
    for (uint32_t p = 0; p < view->rebalance->options.partitions; p++) {
        uint32_t leader = index_of(event, event->partitions[p].leader);

        if (leader == NOBODY)
            continue;
        view->rebalance->sums[leader] += view->rebalance->load[p];
        sum += view->rebalance->load[p];
    }
    for (uint32_t i = 0; i < event->member_count; i++)
        weights += event->members[i].may_lead ? event->members[i].weight : 0;
    view->mean = weights > 0 && sum > 0 ? sum / weights : 1;
}

/* Of those that may lead, in the order of fullness, then index: the first after `tried`; NOBODY:
 * the first of all, or there is none. */
static uint32_t fullest(const struct view *view, uint32_t tried)
{
    uint32_t best = NOBODY;

    for (uint32_t i = 0; i < view->event->member_count; i++) {
        double full = fullness(view, i, 0);

        if (!view->event->members[i].may_lead)
            continue;
        if (tried != NOBODY &&
            (full > fullness(view, tried, 0) || (full >= fullness(view, tried, 0) && i <= tried)))
            continue;
        if (best == NOBODY || full > fullness(view, best, 0))
            best = i;
    }
    return best;
}

/* The emptiest voter that could lead the partition, other than its leader; NOBODY: none. */
static uint32_t successor(const struct view *view, uint32_t p)
{
    const struct rebalance_partition *partition = &view->event->partitions[p];
    double load = view->rebalance->load[p];
    uint32_t best = NOBODY;

    for (uint32_t i = 0; i < partition->voter_count; i++) {
        uint32_t voter = index_of(view->event, partition->voters[i]);

        if (voter == NOBODY || partition->voters[i] == partition->leader ||
            !view->event->members[voter].may_lead)
            continue;
        if (best == NOBODY || fullness(view, voter, load) < fullness(view, best, load))
            best = voter;
    }
    return best;
}

static bool is_taken(const struct view *view, uint32_t p)
{
    for (uint32_t i = 0; i < view->effects->transfer_count; i++) {
        if (view->effects->transfers[i].partition == p)
            return true;
    }
    return false;
}

static void lay_to_rest(struct view *view, uint32_t p)
{
    const struct rebalance_options *options = &view->rebalance->options;
    struct rebalance_rest *rest = &view->rebalance->rests[p];
    uint64_t now_ms = view->event->now_ms;

    if (rest->length_ms > 0 && now_ms < rest->until_ms + SOON_RESTS * rest->length_ms)
        rest->length_ms *= 2;
    else
        rest->length_ms = options->rest_ms_min;
    if (rest->length_ms > options->rest_ms_max)
        rest->length_ms = options->rest_ms_max;
    rest->until_ms = now_ms + rest->length_ms;
}

static void hand_over(struct view *view, uint32_t p, uint32_t from, uint32_t to)
{
    view->rebalance->sums[from] -= view->rebalance->load[p];
    view->rebalance->sums[to] += view->rebalance->load[p];
    view->effects->transfers[view->effects->transfer_count++] = (struct rebalance_transfer){
        (uint16_t)p, view->event->members[from].id, view->event->members[to].id};
}

/* Members that must not lead hand over whatever they lead, rests or not. */
static void evacuate(struct view *view)
{
    const struct rebalance_options *options = &view->rebalance->options;

    for (uint32_t p = 0; p < options->partitions; p++) {
        uint32_t from = index_of(view->event, view->event->partitions[p].leader);
        uint32_t to;

        if (view->effects->transfer_count >= options->evacuations_max)
            return;
        if (from == NOBODY || view->event->members[from].may_lead)
            continue;
        to = successor(view, p);
        if (to != NOBODY)
            hand_over(view, p, from, to);
    }
}

static bool is_voter(const struct rebalance_partition *partition, uint16_t id)
{
    for (uint32_t i = 0; i < partition->voter_count; i++) {
        if (partition->voters[i] == id)
            return true;
    }
    return false;
}

/* To their preferred leaders, as far as that is even. What was handed over for its load rests, and
 * where it left nobody is that empty soon. */
static void go_home(struct view *view)
{
    const struct rebalance_options *options = &view->rebalance->options;
    double even = 1 + options->end_percent / 200.0;

    for (uint32_t p = 0; p < options->partitions; p++) {
        const struct rebalance_partition *partition = &view->event->partitions[p];
        uint32_t from = index_of(view->event, partition->leader);
        uint32_t to = index_of(view->event, partition->preferred);
        double bar;

        if (view->effects->transfer_count >= options->evacuations_max)
            return;
        if (from == NOBODY || to == NOBODY || from == to || !view->event->members[to].may_lead ||
            !is_voter(partition, partition->preferred) || is_taken(view, p) ||
            view->event->now_ms < view->rebalance->rests[p].until_ms)
            continue;
        bar = fullness(view, from, 0) > even ? fullness(view, from, 0) : even;
        if (fullness(view, to, view->rebalance->load[p]) <= bar)
            hand_over(view, p, from, to);
    }
}

/* How full the fuller of the two would be after the transfer; as full as `from` is when that gains
 * too little. */
static double outcome(const struct view *view, uint32_t p, uint32_t from, uint32_t to)
{
    double load = view->rebalance->load[p];
    double full = fullness(view, from, 0);
    double left = fullness(view, from, -load);
    double taken = fullness(view, to, load);
    double gain = full - (left > taken ? left : taken);

    return gain * 100 >= (full - left) * view->rebalance->options.gain_percent ? full - gain : full;
}

/* Hands over the one partition of `from` that leaves the fuller of the two the least full. */
static bool relieve(struct view *view, uint32_t from)
{
    double least = fullness(view, from, 0);
    uint32_t best = NOBODY;
    uint32_t best_to = NOBODY;

    for (uint32_t p = 0; p < view->rebalance->options.partitions; p++) {
        uint32_t to;

        if (view->event->partitions[p].leader != view->event->members[from].id ||
            view->event->now_ms < view->rebalance->rests[p].until_ms || is_taken(view, p))
            continue;
        to = successor(view, p);
        if (to != NOBODY && outcome(view, p, from, to) < least) {
            least = outcome(view, p, from, to);
            best = p;
            best_to = to;
        }
    }
    if (best == NOBODY)
        return false;
    hand_over(view, best, from, best_to);
    lay_to_rest(view, best);
    return true;
}

/* The fullest of those above the lower bar that can be relieved; false: nobody can. */
static bool relieve_any(struct view *view)
{
    double bar = 1 + view->rebalance->options.end_percent / 100.0;
    uint32_t tried = NOBODY;

    for (;;) {
        uint32_t most = fullest(view, tried);

        if (most == NOBODY || fullness(view, most, 0) <= bar)
            return false;
        if (relieve(view, most))
            return true;
        tried = most;
    }
}

void rebalance_step(struct rebalance *rebalance, const struct rebalance_event *event,
                    struct rebalance_effects *effects)
{
    const struct rebalance_options *options = &rebalance->options;
    struct view view = {.rebalance = rebalance, .event = event, .effects = effects};
    uint32_t most;

    assert(event->now_ms > 0 && event->now_ms >= rebalance->last_ms);
    assert(event->member_count <= options->members_max);
    *effects = (struct rebalance_effects){0};
    smooth(rebalance, event);
    sum_up(&view);
    most = fullest(&view, NOBODY);
    if (most == NOBODY)
        return;
    effects->load_max_percent = (uint32_t)(fullness(&view, most, 0) * 100);
    evacuate(&view);
    go_home(&view);
    if (effects->load_max_percent >= 100 + options->begin_percent)
        rebalance->balancing = true;
    while (rebalance->balancing && effects->transfer_count < options->transfers_max)
        rebalance->balancing = relieve_any(&view);
}
