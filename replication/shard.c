#include "replication/shard_internal.h"
#include "storage/checksum.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void shard_options_default(struct shard_options *options)
{
    *options = (struct shard_options){
        .shards = 1,
        .election_ms_min = 500,
        .election_ms_max = 1000,
        .heartbeat_ms = 100,
        .operations_max = 65536,
        .operations_size_max = 256u << 20,
        .sessions_max = 64,
        .session_window_max = 1024,
        .append_entries_max = 512,
        .append_size_max = 1u << 20,
        .inflight_size_max = 8u << 20,
        .inflight_messages_max = 64,
        .retain_entries_min = 16,
        .log_size_max = 128u << 20,
        .log_ms_max = 3600000,
        .snapshot_rate = (uint64_t)RINGMAP_MOVE_RATE_DEFAULT << 20,
        .snapshot_piece_size = 240u << 10, /* with its head still one frame */
        .moves_max = 16,
        .train_samples = 400,
        .train_again_ms = 600000,
        .drain_ms = 2000,
        .store =
            {
                .segment_size = 64u << 20,
                .batch_size_max = 1u << 20,
                .queue_size_max = 64u << 20,
                .memory_size_max = 16u << 20,
                .zero_ahead_size = 4u << 20,
                .cache_size = 32u << 20,
                .compress_size_min = 256,
                .journal_size_max = UINT64_C(1) << 40,
                .space_reserve = SHARD_SPACE_RESERVE,
                .slack_size = 44u << 20,
                .flush_size_max = 32u << 20,
                .flush_rate = 16u << 20,
                .scrub_rate = 4u << 20,
                .scrub_every_ms = 86400000,
            },
    };
}

/* The preferred leader of a group without one stands as soon as a majority can be reached. */
static void stand_early(struct shard *shard)
{
    for (size_t i = 0; i < shard->hosted_count; i++) {
        struct replica *replica = shard->hosted[i];
        struct raft_event event = {.kind = RAFT_EVENT_CAMPAIGN};
        const struct raft *raft = &replica->raft;
        uint32_t reachable = 0;

        if (raft->role != RAFT_FOLLOWER || raft->leader != 0 || !replica_serves(replica) ||
            replica->preferred != shard->options.self || shard->drain_until_ms ||
            shard->load.drained)
            continue;
        for (uint32_t j = 0; j < raft->peer_count; j++) {
            uint16_t member = raft->peers[j].replica.member;

            reachable += member == shard->options.self || shard->peers[member].up;
        }
        if (reachable > raft->peer_count / 2)
            shard_raft_event(shard, replica, &event);
    }
}

static void peer_up(struct shard *shard, uint16_t member, uint16_t shards)
{
    struct shard_peer *peer = &shard->peers[member];

    shard_peer_down(peer);
    peer->raft = calloc(shards, sizeof *peer->raft);
    peer->beat = calloc(shards, sizeof *peer->beat);
    if (!peer->raft || !peer->beat) {
        shard->fatal = -ENOMEM;
        return;
    }
    peer->up = true;
    peer->shards = shards;
    if (member > shard->member_count)
        shard->member_count = member;
    peer->up_since_ms = shard->now_ms;
    stand_early(shard);
}

void shard_peer_lost(struct shard *shard, uint16_t member)
{
    shard_peer_down(&shard->peers[member]);
    shard_lives_peer_lost(shard, member);
    shard_sources_peer_lost(shard, member);
    for (size_t i = 0; i < shard->hosted_count; i++) {
        struct raft_event event = {.kind = RAFT_EVENT_PEER_LOST, .from.member = member};

        shard_raft_event(shard, shard->hosted[i], &event);
    }
}

/* From a member's shard, or its node. */
static void on_member_message(struct shard *shard, struct shard_address from,
                              const struct link_message *message)
{
    switch (message->type) {
    case WIRE_RAFT:
        shard_raft_frame(shard, from.member, message);
        break;
    case WIRE_BEAT:
        shard_beat_frame(shard, from.member, message);
        break;
    case WIRE_BEAT_ACK:
        shard_beat_ack_frame(shard, from.member, message);
        break;
    case WIRE_SNAPSHOT:
        shard_snapshot_frame(shard, from.member, message);
        break;
    case WIRE_SNAPSHOT_ACK:
        shard_snapshot_ack_frame(shard, from.member, message);
        break;
    case WIRE_COMPARE:
        shard_compare_frame(shard, from.member, message);
        break;
    case WIRE_COMPARE_ACK:
        shard_compare_ack_frame(shard, from.member, message);
        break;
    case WIRE_HOLDS:
        shard_holds_frame(shard, from.member, message);
        break;
    case WIRE_GONE:
        shard_gone_frame(shard, from.member, message);
        break;
    case WIRE_MAP_CHANGE:
        shard_record_change(shard, &shard->ring.record, from, message);
        break;
    case WIRE_MAP_GET:
        shard_record_get(shard, &shard->ring.record, from, message);
        break;
    case WIRE_MOVED:
        shard_finish_moved(shard, message);
        break;
    case WIRE_BALANCE:
        shard_load_balance(shard, from.member, message);
        break;
    case WIRE_LOAD:
        shard_balance_load(shard, from.member, message);
        break;
    case WIRE_TICKETS_CHANGE:
        shard_record_change(shard, &shard->tickets, from, message);
        break;
    case WIRE_TICKETS_GET:
        shard_record_get(shard, &shard->tickets, from, message);
        break;
    default: /* of a newer version: not ours to judge */
        break;
    }
}

static void on_admin_message(struct shard *shard, const struct shard_event *event)
{
    const struct link_message *message = event->message;

    switch (message->type) {
    case WIRE_SHARD_STATUS:
        shard_client_status(shard, event->from, message);
        break;
    case WIRE_FLUSH:
        shard_client_flush(shard, event->from, message);
        break;
    case WIRE_SCRUB:
        shard_client_scrub(shard, event->from, message);
        break;
    case WIRE_MOVES_GET:
        shard_moves_get(shard, event->from, message);
        break;
    case WIRE_TOP:
        shard_load_top(shard, event->from, message);
        break;
    case WIRE_DRAIN:
        shard_load_drain(shard, event->from, message);
        break;
    default: /* of a newer version: not ours to judge */
        break;
    }
}

static void on_message(struct shard *shard, const struct shard_event *event)
{
    const struct link_message *message = event->message;

    if (!shard_heeds(shard, event->from, message->type))
        return;
    if (event->from.role == LINK_ROLE_NODE) {
        shard->peers[event->from.member].heard_ms = shard->now_ms;
        on_member_message(shard, event->from, message);
    } else if (message->type == WIRE_OPS) {
        shard_operations_frame(shard, event->from.link, message);
    } else if (message->type == WIRE_LEADERS_GET) {
        shard_load_leaders(shard, event->from, message);
    } else {
        on_admin_message(shard, event);
    }
}

void shard_job_discard(struct shard *shard, struct store_job *job, int result)
{
    struct shard_source *source = NULL;
    struct shard_read *read;
    const uint8_t *bytes;
    size_t size;

    if (store_job_class(job) == STORE_JOB_READ) {
        read = store_read_result(job, &bytes, &size);
        if (read->kind == SHARD_READ_SNAPSHOT)
            source = read->owner;
        free(read);
    }
    (void)store_done(shard->store, job, result);
    if (source)
        shard_source_read(shard, source, false);
}

static void on_job(struct shard *shard, const struct shard_event *event)
{
    struct store_job *job = event->job;
    struct shard_source *source = NULL;
    struct shard_read *read;
    const uint8_t *bytes = NULL;
    size_t size = 0;
    int result = event->job_result, r;

    if (store_job_class(job) == STORE_JOB_WRITE)
        shard_load_write_ends(shard, event->job_us);
    if (store_job_class(job) == STORE_JOB_READ) {
        shard->reads_out--;
        read = store_read_result(job, &bytes, &size);
        if (result != 0)
            bytes = NULL;
        if (read->kind == SHARD_READ_EXPIRY || read->kind == SHARD_READ_WALK)
            ((struct replica *)read->owner)->reads--;
        if (read->kind == SHARD_READ_EXPIRY)
            shard_expiry_read(shard, read, bytes, size);
        else if (read->kind == SHARD_READ_COMPARE)
            shard_compare_read(shard, read, bytes, size);
        else if (read->kind == SHARD_READ_FETCH)
            shard_fetch_read(shard, read, bytes, size);
        else if (read->kind == SHARD_READ_RELOCATE)
            shard_relocate_read(shard, read, bytes, size);
        else if (read->kind == SHARD_READ_TRAIN)
            shard_dictionary_read(shard, read, bytes, size);
        else if (read->kind == SHARD_READ_RECORD)
            shard_record_read(shard, read->owner, bytes, size);
        else if (read->kind == SHARD_READ_WALK)
            shard_dictionary_walk_read(shard, read, bytes, size);
        else if (read->kind == SHARD_READ_SNAPSHOT)
            source = read->owner;
        else
            shard_operation_read(shard, read, bytes, size);
        free(read);
    }
    r = store_done(shard->store, job, result);
    if (source) /* behind store_done(): what it lent to the job may go now */
        shard_source_read(shard, source, result == 0 && r >= 0);
    if (r < 0) {
        shard->fatal = r;
        return;
    }
    shard_synced(shard);
    shard_targets_step(shard);
    shard_hosting_step(shard);
    shard_held_run(shard);
}

static void note_deadline(struct shard *shard, const struct replica *replica)
{
    uint64_t deadline = replica_serves(replica) ? raft_deadline_ms(&replica->raft) : UINT64_MAX;

    if (deadline < shard->raft_due_ms)
        shard->raft_due_ms = deadline;
}

static void on_tick(struct shard *shard)
{
    for (size_t i = 0; i < shard->hosted_count; i++) {
        struct replica *replica = shard->hosted[i];
        struct raft_event event = {.kind = RAFT_EVENT_TICK};

        if (replica_serves(replica) && shard->now_ms >= raft_deadline_ms(&replica->raft))
            shard_raft_event(shard, replica, &event);
        if (replica->noop_owed)
            shard_propose_noop(shard, replica);
    }
    shard_hosting_step(shard);
    shard->raft_due_ms = UINT64_MAX;
    for (size_t i = 0; i < shard->hosted_count; i++)
        note_deadline(shard, shard->hosted[i]);
    shard_duty(shard);
}

void shard_step(struct shard *shard, const struct shard_event *event)
{
    if (shard->fatal) {
        if (event->kind == SHARD_EVENT_JOB)
            shard_job_discard(shard, event->job, event->job_result);
        return;
    }
    shard_out_recycle(shard);
    assert(event->now_ms >= shard->now_ms);
    shard_clock(shard, event);
    pace_step(&shard->budget.pace, event->now_ms, shard->in_flight);
    shard->now_ms = event->now_ms;
    shard->wall_ms = event->wall_ms;
    shard->random ^= event->random;
    switch (event->kind) {
    case SHARD_EVENT_MESSAGE:
        on_message(shard, event);
        break;
    case SHARD_EVENT_JOB:
        on_job(shard, event);
        break;
    case SHARD_EVENT_LINK_UP:
        if (event->from.role != LINK_ROLE_NODE)
            shard_client_open(shard, event->from);
        else if (shard_links(shard, event->from.member) && event->shards > 0)
            peer_up(shard, event->from.member, event->shards);
        break;
    case SHARD_EVENT_LINK_DOWN:
        if (event->from.role != LINK_ROLE_NODE)
            shard_client_close(shard, event->from.link);
        else if (event->from.member <= RINGMAP_MEMBERS_MAX)
            shard_peer_lost(shard, event->from.member);
        break;
    case SHARD_EVENT_TICK:
        on_tick(shard);
        break;
    case SHARD_EVENT_DRAIN:
        if (!shard->drain_until_ms)
            shard->drain_until_ms = shard->now_ms + shard->options.drain_ms;
        break;
    case SHARD_EVENT_MAP:
        shard_intent_take(shard, event->map);
        break;
    case SHARD_EVENT_BUDGET:
        shard_budget_given(shard, event->bytes);
        break;
    default:
        assert(!"unknown event");
    }
    shard_sources_pump(shard);
    shard_compare_pump(shard);
    if (shard->failing)
        shard_fence_finish(shard);
    if (shard->drain_until_ms)
        shard_drain_step(shard);
}

/* Reads that may go to the disk now; the others wait here. */
static bool reads_waiting(const struct shard *shard)
{
    return shard->reads_out < SHARD_READS_MAX && fifo_count(&shard->reads) > 0;
}

static void hand_out_jobs(struct shard *shard, struct shard_effects *effects)
{
    enum store_job_class classes[] = {STORE_JOB_WRITE, STORE_JOB_BACKGROUND};
    struct store_job **read;

    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        struct store_job *job;

        while (effects->job_count < SHARD_JOBS_MAX &&
               (job = store_next_job(shard->store, classes[i], shard->now_ms)) != NULL) {
            effects->jobs[effects->job_count++] = job;
            if (classes[i] == STORE_JOB_WRITE)
                shard_load_write_begins(shard);
        }
    }
    while (effects->job_count < SHARD_JOBS_MAX && reads_waiting(shard)) {
        read = fifo_peek(&shard->reads);
        shard->reads_out++;
        effects->jobs[effects->job_count++] = *read;
        fifo_pop(&shard->reads);
    }
}

static uint64_t next_deadline(const struct shard *shard)
{
    uint64_t deadline =
        shard->beat_due_ms < shard->duty_due_ms ? shard->beat_due_ms : shard->duty_due_ms;

    deadline = shard->hurry_ms < deadline ? shard->hurry_ms : deadline;
    return shard->raft_due_ms < deadline ? shard->raft_due_ms : deadline;
}

/* What was proposed in the round leaves. Stepping one may touch others: they come behind. */
static void flush_touched(struct shard *shard)
{
    for (struct replica *replica = shard->touched_first; replica; replica = replica->touched_next) {
        struct raft_event event = {.kind = RAFT_EVENT_FLUSH};

        if (!replica->dirty)
            continue;
        replica->dirty = false;
        if (replica->raft.role == RAFT_LEADER)
            shard_raft_event(shard, replica, &event);
    }
}

static void forget_touched(struct shard *shard)
{
    for (struct replica *replica = shard->touched_first; replica; replica = replica->touched_next) {
        replica->touched = false;
        note_deadline(shard, replica);
    }
    shard->touched_first = shard->touched_last = NULL;
}

bool shard_flush(struct shard *shard, uint64_t now_ms, struct shard_effects *effects)
{
    bool more;

    effects->send_count = 0;
    effects->job_count = 0;
    effects->drained = false;
    effects->fatal = shard->fatal;
    effects->deadline_ms = UINT64_MAX;
    effects->budget_wanted = effects->budget_left = 0;
    if (shard->fatal)
        return false;
    shard_out_recycle(shard);
    shard->now_ms = now_ms;
    flush_touched(shard);
    shard_record_step(shard, &shard->ring.record);
    shard_record_step(shard, &shard->tickets);
    shard_beats_build(shard);
    forget_touched(shard);
    shard_out_finish(shard);
    shard_out_effects(shard, effects);
    hand_out_jobs(shard, effects);
    more = fifo_count(&shard->outgoing) > 0 || reads_waiting(shard);
    if (!more)
        shard_budget_ask(shard, effects);
    effects->drained = shard_drained(shard);
    effects->fatal = shard->fatal;
    effects->deadline_ms = next_deadline(shard);
    return more;
}

void shard_check(const struct shard *shard)
{
    uint32_t waiting = 0;

    for (size_t i = 0; i < shard->hosted_count; i++) {
        const struct replica *replica = shard->hosted[i];

        for (const struct shard_waiter *waiter = replica->waiters; waiter; waiter = waiter->next)
            waiting++;
        shard_fence_check(shard, replica);
        if (!replica_serves(replica))
            continue;
        raft_check(&replica->raft);
        assert(replica->touched || shard->raft_due_ms <= raft_deadline_ms(&replica->raft));
        assert(replica->touched || !replica->dirty);
        pending_check(&replica->pending);
        deadlines_check(&replica->expiry.deadlines);
        sessions_check_invariants(&replica->sessions);
        assert(replica->placed == replica->raft.log.last);
        assert(!replica->waiters || replica->raft.role == RAFT_LEADER);
    }
    for (const struct shard_operation *operation = shard->operations; operation;
         operation = operation->next)
        waiting += !operation->cancelled;
    assert(waiting == shard->in_flight);
    assert(shard->in_flight <= shard->options.operations_max);
    assert(shard->fetch_count <= SHARD_FETCHES_MAX);
    keyqueue_check(&shard->keyqueue);
}

const struct raft *shard_raft(const struct shard *shard, uint16_t partition)
{
    const struct replica *replica = shard_replica(shard, partition);

    return replica ? &replica->raft : NULL;
}

uint64_t shard_sessions_sum(const struct shard *shard, uint16_t partition)
{
    const struct sessions *sessions = &shard_replica(shard, partition)->sessions;
    size_t size = sessions_save_size(sessions);
    uint8_t *bytes = malloc(size);
    uint64_t sum = 0;

    if (bytes) {
        sessions_save(sessions, bytes);
        sum = checksum(bytes, size);
    }
    free(bytes);
    return sum;
}

bool shard_leaving(const struct shard *shard, uint16_t partition)
{
    const struct replica *replica = shard_replica(shard, partition);

    return replica && replica->leaving;
}

struct store *shard_store(struct shard *shard)
{
    return shard->store;
}

bool shard_settled(const struct shard *shard, uint16_t partition)
{
    const struct replica *replica = shard_replica(shard, partition);

    return replica && replica->raft.applied >= replica->settled && !replica->fence.installing;
}

void shard_stats(const struct shard *shard, struct shard_stats *stats)
{
    bool removed = shard->intent.states[shard->options.self] == RINGMAP_STATE_REMOVED;

    *stats = shard->stats;
    stats->drained = shard->load.drained;
    stats->lacked = shard_room_lacks(shard);
    stats->slow = shard->load.slow;
    stats->leaders_digest = shard_load_leaders_digest(shard);
    stats->operations_in_flight = shard->in_flight;
    stats->operations_in_flight_size = shard->in_flight_size;
    stats->hosted = (uint32_t)shard->hosted_count;
    for (size_t i = 0; i < shard->hosted_count; i++) {
        const struct replica *replica = shard->hosted[i];

        stats->fenced +=
            shard_fenced(shard, replica->partition, NULL) && !replica->leaving && !removed;
        stats->leaders += replica_leads(replica);
        stats->followers += replica_serves(replica) && !replica_leads(replica);
    }
}
