#include "bench/micro.h"
#include "replication/raft.h"

#include <assert.h>

#define NODES      3u
#define ENTRY_SIZE 208u
#define QUEUE_MAX  256u
#define BATCH_MAX  64u

/* Three replicas of one group, whose disks and network take no time. */
struct context {
    struct raft nodes[NODES];
    struct raft_effects effects;
    struct raft_message queue[QUEUE_MAX];
    uint32_t queue_first, queue_count;
    struct raft_entry entries[BATCH_MAX];
    uint32_t batch;
    uint64_t now_ms;
    uint64_t round;
    uint64_t steps;
    bool refused, beat_accepted; /* of the step before those that it led to */
};

static void step(struct context *context, struct raft *raft, struct raft_event *event);

static void synced(struct context *context, struct raft *raft)
{
    struct raft_event event = {.kind = RAFT_EVENT_SYNCED,
                               .term = raft_log_term(&raft->log, raft->log.last),
                               .hard_term = raft->term,
                               .index = raft->log.last};

    step(context, raft, &event);
}

static void applied(struct context *context, struct raft *raft)
{
    struct raft_event apply = {.kind = RAFT_EVENT_APPLIED, .index = raft->commit};
    struct raft_event retain = {.kind = RAFT_EVENT_RETAIN, .index = raft->commit};

    step(context, raft, &apply);
    step(context, raft, &retain);
}

static void step(struct context *context, struct raft *raft, struct raft_event *event)
{
    struct raft_effects *effects = &context->effects;
    bool wrote, committed, refused, beat_accepted;

    event->now_ms = context->now_ms;
    event->random = 0x9e3779b97f4a7c15u * ++context->steps;
    if (raft_reserve(raft, BATCH_MAX) < 0)
        assert(!"memory");
    raft_step(raft, event, effects);
    wrote = effects->write_hard_state || effects->append_first;
    committed = effects->commit_changed;
    refused = effects->refused;
    beat_accepted = effects->beat_accepted;
    for (uint32_t i = 0; i < effects->message_count; i++) {
        assert(context->queue_count < QUEUE_MAX);
        context->queue[(context->queue_first + context->queue_count++) % QUEUE_MAX] =
            effects->messages[i];
    }
    if (wrote)
        synced(context, raft);
    if (committed)
        applied(context, raft);
    context->refused = refused;
    context->beat_accepted = beat_accepted;
}

static void deliver(struct context *context)
{
    while (context->queue_count > 0) {
        struct raft_message message = context->queue[context->queue_first];
        struct raft_event event = {.kind = RAFT_EVENT_MESSAGE,
                                   .message = &message,
                                   .entries = context->entries,
                                   .entry_count = message.entry_count};

        context->queue_first = (context->queue_first + 1) % QUEUE_MAX;
        context->queue_count--;
        for (uint32_t i = 0; i < message.entry_count; i++)
            context->entries[i].term = message.term;
        step(context, &context->nodes[message.to.member - 1], &event);
    }
}

static void propose(struct context *context, uint32_t count)
{
    struct raft *leader = &context->nodes[0];
    struct raft_event event = {
        .kind = RAFT_EVENT_PROPOSE, .entries = context->entries, .entry_count = count};
    struct raft_event flush = {.kind = RAFT_EVENT_FLUSH};

    for (uint32_t i = 0; i < count; i++)
        context->entries[i] = (struct raft_entry){.term = leader->term, .size = ENTRY_SIZE};
    step(context, leader, &event);
    assert(!context->refused);
    step(context, leader, &flush);
    deliver(context);
}

static void run_propose(void *argument, uint64_t count)
{
    struct context *context = argument;

    for (uint64_t i = 0; i < count; i += context->batch) {
        uint64_t before = context->nodes[0].commit;

        propose(context, context->batch);
        assert(context->nodes[0].commit == before + context->batch);
    }
}

/* One read-index round: a beat to each follower and what it acknowledges. */
static void run_beat(void *argument, uint64_t count)
{
    struct context *context = argument;
    struct raft *leader = &context->nodes[0];

    for (uint64_t i = 0; i < count; i++) {
        context->round++;
        for (uint16_t member = 2; member <= NODES; member++) {
            struct raft *follower = &context->nodes[member - 1];
            struct raft_event beat = {.kind = RAFT_EVENT_BEAT,
                                      .from = leader->options.self,
                                      .to_life = 1,
                                      .term = leader->term,
                                      .commit = leader->commit,
                                      .round = context->round};
            struct raft_event ack = {.kind = RAFT_EVENT_BEAT_ACK,
                                     .from = follower->options.self,
                                     .to_life = 1,
                                     .term = leader->term,
                                     .round = context->round};

            step(context, follower, &beat);
            assert(context->beat_accepted);
            step(context, leader, &ack);
        }
        assert(leader->read_round == context->round);
    }
}

static int open_group(struct context *context)
{
    struct raft_event campaign = {.kind = RAFT_EVENT_CAMPAIGN};
    struct raft_config config = {.index = 1, .epoch = 1, .voter_count = NODES};

    for (uint16_t i = 0; i < NODES; i++)
        config.voters[i] = (struct raft_replica){(uint16_t)(i + 1), 1};
    context->now_ms = 1;
    for (uint16_t i = 0; i < NODES; i++) {
        struct raft_options options = {.group = 7,
                                       .self = config.voters[i],
                                       .election_ms_min = 500,
                                       .election_ms_max = 1000,
                                       .append_entries_max = BATCH_MAX,
                                       .append_size_max = 256u << 10,
                                       .inflight_size_max = 4u << 20,
                                       .inflight_messages_max = 64,
                                       .retry_ms = 300};
        int r = raft_init(&context->nodes[i], &options, &config, context->now_ms, i + 1);

        if (r < 0)
            return r;
        raft_restore_done(&context->nodes[i], context->now_ms, i + 1);
    }
    step(context, &context->nodes[0], &campaign);
    deliver(context);
    assert(context->nodes[0].role == RAFT_LEADER);
    propose(context, 1);
    return 0;
}

int micro_raft(const struct micro_options *options)
{
    static const struct {
        const char *name;
        uint32_t batch;
    } batches[] = {{"commit an entry on three, 1 at once", 1},
                   {"commit an entry on three, 16 at once", 16},
                   {"commit an entry on three, 64 at once", 64}};
    static struct context context;
    struct micro_case beat = {"read-index round of one group", run_beat, 0, 0, NULL};
    int r = open_group(&context);

    for (size_t i = 0; r == 0 && i < sizeof batches / sizeof *batches; i++) {
        struct micro_case row = {batches[i].name, run_propose, 0, 0, NULL};

        context.batch = batches[i].batch;
        micro_time(options, &row, &context);
    }
    if (r == 0)
        micro_time(options, &beat, &context);
    micro_figure(options, "size of struct raft", (double)sizeof(struct raft), "bytes");
    micro_figure(options, "size of struct raft_effects", (double)sizeof(struct raft_effects),
                 "bytes");
    for (size_t i = 0; i < NODES; i++)
        raft_deinit(&context.nodes[i]);
    return r;
}
