#include "replication/shard_internal.h"

/* How lives of replicas begin and end.
 *
 * A life begins when a leader first sends log or state to it: the entry that adds the replica is in
 * the leader's log, and its index is the life. Nothing else is asked. A replica that knows nothing
 * yet neither votes nor campaigns, so one that was begun for an entry which came to nothing does no
 * harm, and ends as any other.
 *
 * It ends when a committed configuration without it is known (raft_config_without): by its own log,
 * or by a member that is asked. It asks once it hears of no leader any more, or when a leader sends
 * to a later life of the same member: none adds that one before a configuration without the earlier
 * is committed, so whoever sent it knows. Nobody is believed who was not asked: an answer counts
 * once, of the member that was asked for that very life, while its link lasts. The manifest keeps
 * for ever what has ended here: a late message brings nothing back. */

#define ASK_MS    1000u /* without a leader for so long, and again after that */
#define FILLS_MAX 64u   /* no-ops for one question */

/* --- the beginning ------------------------------------------------------------------------- */

/* A node that has not joined yet, or that leaves, takes on nothing. */
static bool may_begin(const struct shard *shard)
{
    return shard->intent.states[shard->options.self] == RINGMAP_STATE_ACTIVE;
}

void shard_life_begin(struct shard *shard, uint16_t group, uint64_t life,
                      const struct wire_raft *first)
{
    struct replica *replica = shard_replica(shard, group);

    if (!may_begin(shard) ||
        (life <= store_ended(shard->store, group) && !mutant(MUTANT_LIFE_AGAIN)))
        return;
    if (!replica) {
        shard_host(shard, group, life, first);
        return;
    }
    /* The earlier one goes first, when that is proven; the message comes again. */
    replica->doubted = true;
    shard->holds_due_ms = shard->now_ms;
}

/* --- the end ------------------------------------------------------------------------------- */

/* It hears of nobody, or of somebody who knows of a later life. */
static bool is_doubtful(const struct shard *shard, const struct replica *replica)
{
    const struct raft *raft = &replica->raft;

    if (replica->leaving || replica->fence.anonymous)
        return false;
    return replica->doubted || !replica_serves(replica) ||
           (raft->role != RAFT_LEADER && shard->now_ms >= raft->leader_seen_ms + ASK_MS);
}

/* Who may know: those who are wanted, and those with whom it was in a configuration. */
static bool may_know(const struct shard *shard, const struct replica *replica, uint16_t member)
{
    uint32_t count;
    const uint16_t *wanted = shard_wanted(shard, replica->partition, &count);

    for (uint32_t i = 0; i < count; i++)
        if (wanted[i] == member)
            return true;
    return raft_peer(&replica->raft, member) != NULL;
}

static uint16_t *find_asked(struct replica *replica, uint16_t member)
{
    for (uint32_t i = 0; i < REPLICA_ASKED_MAX; i++)
        if (replica->asked[i] == member)
            return &replica->asked[i];
    return NULL;
}

/* A full table, after many changes of the map, has only those answer that are in it. */
static void note_asked(struct replica *replica, uint16_t member)
{
    uint16_t *place = find_asked(replica, member);

    if (!place)
        place = find_asked(replica, 0);
    if (place)
        *place = member;
}

void shard_lives_peer_lost(struct shard *shard, uint16_t member)
{
    for (size_t i = 0; i < shard->hosted_count; i++) {
        uint16_t *place = find_asked(shard->hosted[i], member);

        if (place)
            *place = 0;
    }
}

static void ask_member(struct shard *shard, uint16_t member)
{
    const struct shard_peer *peer = &shard->peers[member];

    for (uint16_t number = 0; number < peer->shards; number++) {
        struct wire_buffer body = {0};

        for (size_t i = 0; i < shard->hosted_count; i++) {
            struct replica *replica = shard->hosted[i];
            struct wire_holds holds = {.group = replica->partition,
                                       .member = shard->options.self,
                                       .life = replica->raft.options.self.life};

            if (!is_doubtful(shard, replica) || !may_know(shard, replica, member) ||
                shard_out_route(shard, member, replica->partition) != number)
                continue;
            wire_put_holds(&body, &holds);
            note_asked(replica, member);
        }
        if (body.size > 0 || body.failed)
            shard_out(shard, shard_to_member(member), WIRE_HOLDS, number, 0, &body);
        wire_buffer_deinit(&body);
    }
}

/* What its own log says needs no question. True: some are to be asked for. */
static bool end_known(struct shard *shard)
{
    bool open = false;

    for (size_t i = 0; i < shard->hosted_count; i++) {
        struct replica *replica = shard->hosted[i];
        struct raft_replica self = replica->raft.options.self;

        if (!is_doubtful(shard, replica))
            continue;
        if (replica_serves(replica) && raft_config_without(&replica->raft, self) != 0)
            shard_destroy(shard, replica->partition, self.life);
        else
            open = true;
    }
    return open;
}

void shard_lives_duty(struct shard *shard)
{
    if (shard->intent.epoch == 0 || shard->now_ms < shard->holds_due_ms)
        return;
    shard->holds_due_ms = shard->now_ms + ASK_MS;
    if (!end_known(shard))
        return;
    for (uint16_t member = 1; member <= shard->member_count; member++)
        if (shard->peers[member].up)
            ask_member(shard, member);
    for (size_t i = 0; i < shard->hosted_count; i++)
        shard->hosted[i]->doubted = false;
}

/* The entry that began the life was lost with the leader that had it, and this log has not come so
 * far. Only when something else is committed in its place, it is over; and before, the member could
 * not begin a lower life. So the log is made to go on. */
static void fill_log(struct shard *shard, struct replica *replica, uint64_t life)
{
    const struct raft *raft = &replica->raft;

    if (raft->role != RAFT_LEADER || raft->commit < raft->term_start)
        return;
    for (uint32_t i = 0; i < FILLS_MAX && raft->log.last < life; i++) {
        uint64_t last = raft->log.last;

        shard_propose_noop(shard, replica);
        if (raft->log.last == last)
            return;
    }
}

/* The member is to learn in a lower life: its entry came into a log that had not come so far. That
 * one could not begin once the higher has ended; so its place is given to another first. */
static bool is_in_the_way(const struct replica *replica, struct raft_replica held)
{
    const struct raft_config *config = &replica->raft.config;

    for (uint8_t i = 0; i < config->learner_count; i++)
        if (config->learners[i].member == held.member && config->learners[i].life < held.life)
            return true;
    return false;
}

static void renew_life(struct shard *shard, struct replica *replica, uint16_t member)
{
    struct raft_config next = replica->raft.config;

    next.index = 0;
    for (uint8_t i = 0; i < next.learner_count; i++)
        if (next.learners[i].member == member)
            next.learners[i].life = 0;
    (void)shard_propose_config(shard, replica, &next); /* not now: it asks again */
}

void shard_holds_frame(struct shard *shard, uint16_t member, const struct link_message *message)
{
    struct wire_buffer body = {0};
    struct wire_cursor cursor;
    struct wire_holds holds;
    uint16_t group = 0;

    wire_cursor_init(&cursor, message->body, message->body_size);
    while (!wire_cursor_done(&cursor) && wire_get_holds(&cursor, &holds)) {
        struct replica *replica = shard_replica(shard, holds.group);
        struct wire_gone gone = {.group = holds.group, .member = holds.member, .life = holds.life};

        if (!replica || !replica_serves(replica) || holds.member != member)
            continue;
        gone.config_index =
            raft_config_without(&replica->raft, (struct raft_replica){member, holds.life});
        if (gone.config_index == 0) {
            fill_log(shard, replica, holds.life);
            continue;
        }
        if (is_in_the_way(replica, (struct raft_replica){member, holds.life})) {
            renew_life(shard, replica, member);
            continue;
        }
        wire_put_gone(&body, &gone);
        group = holds.group;
    }
    if ((body.size > 0 || body.failed) && shard->peers[member].up)
        shard_out(shard, shard_to_member(member), WIRE_GONE, shard_out_route(shard, member, group),
                  0, &body);
    wire_buffer_deinit(&body);
}

/* It answers what this life asked that member; once. */
static bool was_asked(struct replica *replica, uint16_t member, uint64_t life)
{
    uint16_t *place = find_asked(replica, member);

    if (mutant(MUTANT_GONE_OF_ANY_LIFE))
        return true;
    if (!place || life != replica->raft.options.self.life)
        return false;
    *place = 0;
    return true;
}

void shard_gone_frame(struct shard *shard, uint16_t member, const struct link_message *message)
{
    struct wire_cursor cursor;
    struct wire_gone gone;

    wire_cursor_init(&cursor, message->body, message->body_size);
    while (!wire_cursor_done(&cursor) && wire_get_gone(&cursor, &gone)) {
        struct replica *replica = shard_replica(shard, gone.group);

        if (replica && gone.member == shard->options.self && was_asked(replica, member, gone.life))
            shard_destroy(shard, gone.group, replica->raft.options.self.life);
    }
}
