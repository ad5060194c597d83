#include "replication/shard_internal.h"
#include "replication/transfer.h"

#define TELL_MS       1000u
#define TELL_SOON_MS  20u /* when there is news */
#define HURRY_MS      10u
#define PACED_PART    4u  /* so many times fewer learners at once while clients are served */
#define PROPOSALS_MAX 64u /* of configurations, in one duty */

_Static_assert(WIRE_MOVE_MEMBERS_MAX == RAFT_VOTERS_MAX &&
                   WIRE_MOVE_MEMBERS_MAX == RAFT_LEARNERS_MAX,
               "a configuration's lists go on the wire whole");
_Static_assert(RAFT_MEMBER_MAX == RINGMAP_MEMBERS_MAX, "there is a peer for every replica");

/* --- steps --------------------------------------------------------------------------------- */

/* Learners that are there and not as far as they should be. One whose node is away or silent, or
 * has no room, takes nobody's turn. */
static uint32_t learners_fed(const struct shard *shard, const struct replica *replica)
{
    const struct raft *raft = &replica->raft;
    uint32_t count = 0;

    for (uint8_t i = 0; i < raft->config.learner_count; i++) {
        uint16_t member = raft->config.learners[i].member;
        const struct raft_progress *peer = raft_peer(raft, member);

        count += shard_sources_hear(shard, peer) && !shard_room_waits(shard, replica, member) &&
                 (peer->snapshot_wanted || peer->match < raft->config.index ||
                  peer->match + TRANSFER_LAG_MAX < raft->log.last);
    }
    return count;
}

static uint32_t all_fed(const struct shard *shard)
{
    uint32_t count = 0;

    for (size_t i = 0; i < shard->hosted_count; i++)
        if (replica_leads(shard->hosted[i]))
            count += learners_fed(shard, shard->hosted[i]);
    return count;
}

static uint32_t fed_max(const struct shard *shard)
{
    uint32_t max = shard->options.moves_max / shard->options.shards;

    if (shard->budget.pace.rate != PACE_FREE)
        max /= PACED_PART;
    return max > 0 ? max : 1;
}

static void hand_over(struct shard *shard, struct replica *replica, uint16_t member)
{
    struct raft_event event = {.kind = RAFT_EVENT_TRANSFER, .from.member = member};

    if (!replica->raft.transfer_to && shard_leader_settled(shard, replica))
        shard_raft_event(shard, replica, &event);
}

bool shard_moved(const struct shard *shard, const struct replica *replica)
{
    const struct replica_move *move = &replica->move;

    return replica_leads(replica) && move->step == TRANSFER_DONE &&
           move->epoch == shard->intent.epoch && move->index == replica->raft.config.index &&
           replica->raft.commit >= replica->raft.term_start;
}

/* Learners that it began; *proposals counts. */
static uint32_t move_on(struct shard *shard, struct replica *replica, bool may_begin,
                        uint32_t *proposals)
{
    const struct raft_config *config = &replica->raft.config;
    struct transfer_view view = {.raft = &replica->raft,
                                 .epoch = shard->intent.epoch,
                                 .states = shard->intent.states,
                                 .now_ms = shard->now_ms,
                                 .since_ms = replica->leader_since_ms,
                                 .silent_ms = 2 * shard->options.election_ms_max,
                                 .may_begin = may_begin,
                                 .paused = shard->intent.paused,
                                 .moving = shard->intent.moving};
    struct transfer_action action;
    uint32_t learners = config->learner_count;

    view.wanted = shard_wanted(shard, replica->partition, &view.wanted_count);
    transfer_next(&view, &action);
    replica->move.step = action.step;
    replica->move.member = action.member;
    replica->move.epoch = shard->intent.epoch;
    replica->move.index = config->index;
    if (action.step == TRANSFER_HAND_OVER)
        hand_over(shard, replica, action.member);
    if (action.step != TRANSFER_PROPOSE || *proposals == PROPOSALS_MAX)
        return 0;
    ++*proposals;
    if (shard_propose_config(shard, replica, &action.config) != 0)
        return 0; /* no room, or not now: the next duty has it again */
    return config->learner_count > learners ? config->learner_count - learners : 0;
}

void shard_moves_begin(struct replica *replica)
{
    replica->move = (struct replica_move){.step = TRANSFER_NOT_HERE};
}

static void hurry_at(struct shard *shard, uint64_t at_ms)
{
    shard->hurry_ms = at_ms < shard->hurry_ms ? at_ms : shard->hurry_ms;
}

void shard_moves_hurry(struct shard *shard)
{
    hurry_at(shard, shard->moves_ms + HURRY_MS);
}

void shard_moves_committed(struct shard *shard, const struct replica *replica)
{
    const struct raft *raft = &replica->raft;
    uint8_t step = replica->move.step;

    if (raft->role == RAFT_LEADER && raft->commit >= raft->term_start &&
        raft->commit >= raft->config.index &&
        (step == TRANSFER_NOT_HERE || step == TRANSFER_COMMIT || step == TRANSFER_PROPOSE))
        shard_moves_hurry(shard);
}

void shard_moves_heard(struct shard *shard, const struct replica *replica, uint16_t member)
{
    if (replica->move.step == TRANSFER_CATCH_UP && replica->move.member == member)
        shard_moves_hurry(shard);
}

/* To the voters of the meta group: its leader ends the plan when all groups are done. */
static void tell(struct shard *shard)
{
    uint16_t groups[RINGMAP_PARTITIONS_MAX + 1];
    uint32_t count = 0;

    if (!shard->intent.moving)
        return;
    for (size_t i = 0; i < shard->hosted_count; i++)
        if (shard_moved(shard, shard->hosted[i]))
            groups[count++] = shard->hosted[i]->partition;
    if (count == shard->moved_count &&
        (shard->now_ms < shard->moved_ms + TELL_MS || mutant(MUTANT_MOVED_TOLD_ONCE)))
        return;
    if (shard->now_ms < shard->moved_ms + TELL_SOON_MS) {
        hurry_at(shard, shard->moved_ms + TELL_SOON_MS);
        return;
    }
    shard->moved_ms = shard->now_ms;
    shard->moved_count = count;
    for (uint32_t i = 0; count > 0 && i < shard->intent.meta_count; i++) {
        struct wire_buffer body = {0};
        uint16_t member = shard->intent.meta[i];

        if (member != shard->options.self && !shard->peers[member].up)
            continue;
        wire_put_moved(&body, shard->intent.epoch, groups, count);
        shard_out(shard, shard_to_member(member), WIRE_MOVED, WIRE_PARTITION_META, 0, &body);
        wire_buffer_deinit(&body);
    }
}

void shard_moves_duty(struct shard *shard)
{
    uint32_t fed, proposals = 0;

    shard->moves_ms = shard->now_ms;
    shard->hurry_ms = UINT64_MAX;
    if (shard->intent.epoch == 0 || shard->drain_until_ms)
        return;
    fed = all_fed(shard);
    for (size_t i = 0; i < shard->hosted_count; i++) {
        struct replica *replica = shard->hosted[i];

        if (replica_leads(replica) && !replica->raft.transfer_to && !shard_moved(shard, replica))
            fed += move_on(shard, replica, fed < fed_max(shard), &proposals);
    }
    tell(shard);
}

void shard_moves_in_between(struct shard *shard)
{
    if (shard->now_ms < shard->hurry_ms)
        return;
    shard_sources_duty(shard);
    shard_moves_duty(shard);
}

/* --- what people see ----------------------------------------------------------------------- */

static bool is_fed(const struct replica_move *move, struct raft_replica replica)
{
    return move->fed.member == replica.member && move->fed.life == replica.life;
}

void shard_move_begun(struct replica *replica, struct raft_replica to)
{
    struct replica_move *move = &replica->move;

    if (!is_fed(move, to))
        move->fed_times = 0;
    move->fed = to;
    move->fed_times++;
    move->fed_to = 0;
}

void shard_move_sent(struct replica *replica, struct raft_replica to, uint64_t position)
{
    if (is_fed(&replica->move, to))
        replica->move.fed_to = position;
}

static void list_members(const struct raft_replica *replicas, uint8_t count,
                         struct wire_members *members)
{
    members->count = count;
    for (uint8_t i = 0; i < count; i++)
        members->ids[i] = replicas[i].member;
}

/* Of a partition, how much is before that position: digests are spread evenly. */
static double part_before(uint64_t position)
{
    return (double)position / (double)UINT64_MAX;
}

static void describe(const struct shard *shard, const struct replica *replica,
                     struct wire_move *out)
{
    const struct raft_config *config = &replica->raft.config;

    *out = (struct wire_move){.group = replica->partition,
                              .step = replica->move.step,
                              .member = replica->move.member,
                              .config_index = config->index,
                              .config_epoch = config->epoch,
                              .committed = config->index <= replica->raft.commit};
    if (out->step == TRANSFER_CATCH_UP && shard_room_waits(shard, replica, out->member))
        out->step = TRANSFER_ROOM;
    else if (out->step == TRANSFER_CATCH_UP && shard->budget.pace.rate != PACE_FREE)
        out->step = TRANSFER_CLIENTS;
    list_members(config->voters, config->voter_count, &out->voters);
    list_members(config->voters_old, config->voter_old_count, &out->voters_old);
    list_members(config->learners, config->learner_count, &out->learners);
    if (replica->partition != STORE_PARTITION_META)
        out->bytes = store_live_bytes(shard->store, replica->partition);
    for (uint8_t i = 0; i < config->learner_count; i++)
        if (is_fed(&replica->move, config->learners[i])) {
            out->sent = (uint64_t)((double)out->bytes * part_before(replica->move.fed_to));
            out->snapshots = replica->move.fed_times;
        }
}

void shard_moves_get(struct shard *shard, struct shard_address from,
                     const struct link_message *message)
{
    struct wire_moves_head head = {.epoch = shard->intent.epoch,
                                   .paused = shard->intent.paused,
                                   .rate = shard_budget_rate(shard)};
    struct wire_buffer body = {0};

    wire_put_moves_head(&body, &head);
    for (size_t i = 0; i < shard->hosted_count; i++) {
        struct wire_move move;

        if (!replica_leads(shard->hosted[i]))
            continue;
        describe(shard, shard->hosted[i], &move);
        wire_put_move(&body, &move);
    }
    shard_out(shard, from, WIRE_MOVES, message->partition, message->correlation, &body);
    wire_buffer_deinit(&body);
}
