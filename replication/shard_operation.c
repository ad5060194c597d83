#include "replication/shard_internal.h"

#include <errno.h>

static bool is_write(const struct wire_op *op)
{
    return wire_operation_writes(op->operation);
}

void shard_request_refuse(struct shard *shard, struct replica *replica,
                          const struct shard_request *request, uint8_t status, int64_t payload)
{
    if (is_write(request->op))
        sessions_end(&replica->sessions, request->session, request->op->sequence);
    shard_client_refuse(shard, request->link, request->op, status, payload);
}

void shard_request_unread(struct shard *shard, struct replica *replica,
                          const struct shard_request *request)
{
    struct raft_event event = {.kind = RAFT_EVENT_TRANSFER};

    shard_request_refuse(shard, replica, request, WIRE_STATUS_TRYAGAIN, 0);
    if (!replica->raft.transfer_to)
        shard_raft_event(shard, replica, &event);
}

/* The outcome's writes as records of one entry; the request id rides on the first. */
static void build_records(struct shard *shard, struct replica *replica,
                          const struct shard_request *request)
{
    const struct command_outcome *outcome = &shard->outcome;

    for (uint32_t i = 0; i < outcome->write_count; i++) {
        const struct command_write *write = &outcome->writes[i];
        const struct wire_bytes *key = &request->args[write->key * request->stride];
        struct record *record = &shard->records[i];

        *record = (struct record){
            .kind = write->remove ? RECORD_KIND_DELETE : RECORD_KIND_PUT,
            .key = key->data,
            .key_size = key->size,
            .value = write->bytes,
            .value_size = write->size,
            .expiry_ms = write->expiry_ms,
            .flags = write->expiry_ms ? RECORD_FLAG_EXPIRES : 0,
        };
        if (write->remove)
            record->expiry_ms = 0, record->flags = 0;
        shard->record_digests[i] = request->digests[write->key];
    }
    shard_dictionary_sample(shard, replica, shard->records, outcome->write_count);
    store_compress(shard->store, replica->partition, shard->records, outcome->write_count);
    shard->records[0].flags |= RECORD_FLAG_REQUEST;
    shard->records[0].request = (struct record_request){.session = request->session,
                                                        .sequence = request->op->sequence,
                                                        .floor = request->op->floor,
                                                        .result = outcome->result};
}

/* A retry that changed nothing: logged all the same, so that the attempt before it, wherever it
 * still is, cannot take effect behind this answer. An error has no integer to log: the outcome is
 * then called unknown. False: it was answered. */
static bool conclude_retry(struct shard *shard, struct replica *replica,
                           const struct shard_request *request)
{
    const struct wire_result *reply = &shard->outcome.reply;

    if (reply->status != WIRE_STATUS_OK) {
        sessions_end(&replica->sessions, request->session, request->op->sequence);
        shard_client_result(
            shard, request->link,
            &(struct wire_result){.id = request->op->id, .status = WIRE_STATUS_UNKNOWN});
        return false;
    }
    shard->records[0] = (struct record){
        .kind = RECORD_KIND_NOOP,
        .flags = RECORD_FLAG_REQUEST,
        .request = {.session = request->session,
                    .sequence = request->op->sequence,
                    .floor = request->op->floor,
                    .result = reply->is_int ? reply->integer : 0},
    };
    shard->record_digests[0] = (struct keydir_digest){0};
    return true;
}

/* Values are refused while a majority has no disk for them; what room is left is for deletes. */
static bool refuses_values(const struct shard *shard, const struct replica *replica)
{
    const struct raft *raft = &replica->raft;
    uint32_t voters = 0, full = 0;

    if (store_disk_full(shard->store))
        return true;
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        if (!raft->peers[i].voter)
            continue;
        voters++;
        full += shard->peers[raft->peers[i].replica.member].full;
    }
    return full * 2 >= voters && full > 0;
}

static bool puts_values(const struct command_outcome *outcome)
{
    for (uint32_t i = 0; i < outcome->write_count; i++)
        if (!outcome->writes[i].remove)
            return true;
    return false;
}

/* r is what shard_propose() said. */
static uint8_t refusal(const struct shard_request *request, int r)
{
    return r == STORE_E_NOSPACE && is_write(request->op) ? WIRE_STATUS_NOSPACE
                                                         : WIRE_STATUS_TRYAGAIN;
}

/* Proposes what was evaluated, or arranges the round that a reply without writes needs. */
void shard_conclude(struct shard *shard, struct replica *replica,
                    const struct shard_request *request, uint64_t observed)
{
    struct command_outcome *outcome = &shard->outcome;
    bool idle_retry = outcome->write_count == 0 && is_write(request->op) && request->op->retry;
    struct shard_waiter *waiter;
    size_t records = outcome->write_count;
    int r = 0;

    if (idle_retry) {
        if (!conclude_retry(shard, replica, request))
            return;
        records = 1;
    } else if (records > 0) {
        build_records(shard, replica, request);
    }
    waiter = shard_waiter_new(shard, request->charge);
    if (!waiter)
        return;
    waiter->link = request->link;
    waiter->id = request->op->id;
    waiter->lane_epoch = request->op->lane_epoch;
    outcome->reply.id = request->op->id;
    wire_put_result(&waiter->reply, &outcome->reply);
    shard_waiter_charge(shard, waiter, waiter->reply.size);
    if (puts_values(outcome) && refuses_values(shard, replica))
        r = STORE_E_NOSPACE;
    else if (records > 0)
        r = shard_propose(shard, replica, shard->records, shard->record_digests, records);
    if (r != 0) {
        shard_waiter_free(shard, waiter);
        shard_request_refuse(shard, replica, request, refusal(request, r), 0);
        return;
    }
    if (records > 0) {
        waiter->index = replica->raft.log.last;
        waiter->proposed = true;
        waiter->session = request->session;
        waiter->sequence = request->op->sequence;
    } else {
        if (is_write(request->op))
            sessions_end(&replica->sessions, request->session, request->op->sequence);
        waiter->index = mutant(MUTANT_REPLY_BEFORE_OBSERVED) ? 0 : observed;
        waiter->round = shard->round + 1;
        if (mutant(MUTANT_READ_WITHOUT_ROUND) && !is_write(request->op))
            waiter->round = 0;
        if (mutant(MUTANT_FAILED_CONDITION_UNREAD) && is_write(request->op))
            waiter->round = 0;
        replica->beat_wanted = true;
        shard_touch(shard, replica);
    }
    shard_waiter_add(shard, replica, waiter);
}

bool shard_evaluate(struct shard *shard, struct replica *replica,
                    const struct shard_request *request)
{
    uint64_t observed;
    struct command_input input = {.op = request->op,
                                  .args = request->args,
                                  .digests = request->digests,
                                  .values = shard->values};
    int r;

    if (request->op->operation == WIRE_OP_SCAN)
        return shard_scan(shard, replica, request);
    if ((request->op->flags & WIRE_EXPIRE_RELATIVE) && shard_clock_ahead(shard, replica)) {
        shard_request_refuse(shard, replica, request, WIRE_STATUS_TRYAGAIN, 0);
        return true;
    }
    r = shard_gather(shard, replica, request, &observed);
    if (r == VALUES_ON_DISK)
        return false;
    if (r == VALUES_NO_MEMORY) {
        shard->fatal = -ENOMEM;
        return true;
    }
    if (r == VALUES_FAILED) {
        shard_request_unread(shard, replica, request);
        return true;
    }
    if (r == VALUES_CORRUPT) {
        shard_request_refuse(shard, replica, request, WIRE_STATUS_FENCED, 0);
        shard_fence(shard, replica, "a record that was synced does not check");
        return true;
    }
    if (r == VALUES_GONE) {
        shard_request_refuse(shard, replica, request, WIRE_STATUS_TRYAGAIN, 0);
        return true;
    }
    if (r == VALUES_TOO_LARGE) {
        shard_request_refuse(shard, replica, request, WIRE_STATUS_TOO_LARGE, 0);
        return true;
    }
    if (request->op->operation == WIRE_OP_COUNT) {
        input.partition_keys = shard_count_keys(shard, replica);
        observed = pending_last(&replica->pending);
    }
    r = shard_expire_values(shard, replica, request, &observed);
    if (r != 0) {
        shard_request_refuse(shard, replica, request, refusal(request, r), 0);
        return true;
    }
    input.time_ms = shard_time(shard, replica);
    if (command_evaluate(&shard->command_options, &input, &shard->outcome) != 0)
        shard->fatal = -ENOMEM;
    else
        shard_conclude(shard, replica, request, observed);
    return true;
}

/* A new session whose time is more than a day over this node's. When it is dropped the floor rises
 * to its id, and no router whose clock is right could begin one any more. *id_min: what it is to
 * begin with instead: this node's time, or the floor. */
static bool session_ahead(const struct shard *shard, const struct replica *replica,
                          uint64_t session, uint64_t *id_min)
{
    uint64_t ahead = (uint64_t)SHARD_SESSION_AHEAD_MS << WIRE_SESSION_RANDOM_BITS;
    uint64_t floor = sessions_floor(&replica->sessions);

    *id_min = shard->wall_ms << WIRE_SESSION_RANDOM_BITS;
    if (*id_min <= floor && floor < UINT64_MAX)
        *id_min = floor + 1;
    return session > *id_min && session - *id_min > ahead &&
           !sessions_knows(&replica->sessions, session);
}

/* An id above the floor for a router whose own is not, and for nobody else: two that took the same
 * would be one session, and the writes of one be answered with what those of the other had come to.
 * The leader of another term begins elsewhere. */
static uint64_t session_named(struct replica *replica)
{
    uint64_t floor = sessions_floor(&replica->sessions);
    uint64_t apart =
        (uint32_t)(replica->raft.term * 2654435761u) >> (32 - WIRE_SESSION_RANDOM_BITS);

    if (replica->session_named <= floor)
        replica->session_named = floor < UINT64_MAX - apart ? floor + apart : floor;
    do
        replica->session_named++;
    while (sessions_knows(&replica->sessions, replica->session_named));
    return replica->session_named;
}

/* WIRE_STATUS_OK: go on. Anything else was or must be answered. */
static bool session_allows(struct shard *shard, struct replica *replica,
                           const struct shard_request *request)
{
    const struct wire_op *op = request->op;
    struct wire_result result = {.id = op->id};
    struct sessions_answer answer = {0};
    uint64_t id_min;

    if (session_ahead(shard, replica, request->session, &id_min)) {
        shard_client_refuse(shard, request->link, op, WIRE_STATUS_SESSION_EXPIRED, (int64_t)id_min);
        return false;
    }
    switch (
        sessions_check(&replica->sessions, request->session, op->sequence, op->floor, &answer)) {
    case SESSIONS_NEW:
        break;
    case SESSIONS_DONE:
        command_reply_from_result(op->operation, op->flags, answer.result, &result);
        shard_client_result(shard, request->link, &result);
        return false;
    case SESSIONS_IN_FLIGHT:
        shard_client_refuse(shard, request->link, op, WIRE_STATUS_LOST, 0);
        return false;
    case SESSIONS_EXPIRED:
        shard_client_refuse(shard, request->link, op, WIRE_STATUS_SESSION_EXPIRED,
                            (int64_t)session_named(replica));
        return false;
    case SESSIONS_FULL:
        shard_client_refuse(shard, request->link, op, WIRE_STATUS_TRYAGAIN, 0);
        return false;
    default:
        result.status = WIRE_STATUS_UNKNOWN;
        shard_client_result(shard, request->link, &result);
        return false;
    }
    if (sessions_begin(&replica->sessions, request->session, op->sequence, NULL) != 0)
        shard->fatal = -ENOMEM;
    return true;
}

uint8_t shard_replica_status(const struct shard *shard, const struct replica *replica,
                             int64_t *payload)
{
    const struct raft *raft = &replica->raft;

    *payload = 0;
    if (!replica_serves(replica))
        return WIRE_STATUS_FENCED;
    if (raft->role != RAFT_LEADER) {
        *payload = raft->leader == shard->options.self ? 0 : raft->leader;
        return WIRE_STATUS_NOT_LEADER;
    }
    if (raft->transfer_to)
        return WIRE_STATUS_TRYAGAIN;
    if (replica->noop_owed || raft->applied < raft->term_start)
        return mutant(MUTANT_READ_BEFORE_OWN_TERM) ? WIRE_STATUS_OK : WIRE_STATUS_TRYAGAIN;
    return WIRE_STATUS_OK;
}

/* Digests of the keys, and behind them the lane's. False when a key is not this partition's. */
static bool hash_keys(struct shard *shard, const struct shard_request *request)
{
    for (uint32_t key = 0; key < request->key_count; key++) {
        const struct wire_bytes *name = &request->args[key * request->stride];
        struct hash_digest digest;

        if (hash_partition(shard->hash_secret, shard->partition_count, name->data, name->size,
                           &digest) != request->op->partition)
            return false;
        shard->digests[key] = (struct keydir_digest){.high = digest.high, .low = digest.low};
    }
    shard->digests[request->key_count] =
        (struct keydir_digest){.high = UINT64_MAX, .low = request->link};
    return true;
}

/* Who does not host the partition names whom the newest map would have lead it. */
static uint8_t status_of(const struct shard *shard, uint16_t partition, int64_t *payload)
{
    const struct replica *replica = shard_replica(shard, partition);
    const uint16_t *wanted;
    uint32_t count;

    if (replica && replica != shard->meta)
        return shard_replica_status(shard, replica, payload);
    if (partition >= shard->partition_count)
        return WIRE_STATUS_NOT_LEADER;
    wanted = shard_wanted(shard, partition, &count);
    if (count > 0 && wanted[0] != shard->options.self)
        *payload = wanted[0];
    return WIRE_STATUS_NOT_LEADER;
}

static void arrive(struct shard *shard, uint64_t link, uint64_t session, const struct wire_op *op)
{
    struct replica *replica = shard_replica(shard, op->partition);
    struct wire_result result = {.id = op->id};
    struct shard_request request = {.link = link,
                                    .session = session,
                                    .op = op,
                                    .args = shard->args,
                                    .digests = shard->digests,
                                    .charge = 64};
    int64_t payload = 0;
    uint8_t status = status_of(shard, op->partition, &payload);

    shard->stats.operations++;
    for (uint32_t i = 0; i < op->arg_count; i++)
        request.charge += shard->args[i].size;
    if (status == WIRE_STATUS_OK &&
        (shard->in_flight >= shard->options.operations_max ||
         shard->in_flight_size + request.charge > shard->options.operations_size_max ||
         shard_client_lane_refused(shard, link, op->partition, op->lane_epoch)))
        status = WIRE_STATUS_TRYAGAIN;
    if (status != WIRE_STATUS_OK) {
        shard_client_refuse(shard, link, op, status, payload);
        return;
    }
    result.status = command_check(&shard->command_options, op, shard->args);
    if (result.status == WIRE_STATUS_OK) {
        request.key_count = command_keys(op->operation, op->arg_count, &request.stride);
        if (!hash_keys(shard, &request) || (is_write(op) && op->sequence == 0))
            result.status = WIRE_STATUS_MALFORMED;
    }
    if (result.status != WIRE_STATUS_OK) {
        shard_client_result(shard, link, &result);
        return;
    }
    shard_load_keys(shard, &request);
    if (is_write(op) && !session_allows(shard, replica, &request))
        return;
    if (keyqueue_blocked(&shard->keyqueue, op->partition, shard->digests, request.key_count + 1) ||
        !shard_evaluate(shard, replica, &request))
        shard_park(shard, replica, &request);
}

void shard_operations_frame(struct shard *shard, uint64_t link, const struct link_message *message)
{
    struct wire_cursor cursor;
    struct wire_op op;
    uint64_t session;

    wire_cursor_init(&cursor, message->body, message->body_size);
    if (!wire_get_ops_head(&cursor, &session))
        return;
    while (!wire_cursor_done(&cursor) && wire_get_op(&cursor, &op, shard->args, WIRE_ARGS_MAX)) {
        arrive(shard, link, session, &op);
        shard_run_ready(shard);
    }
}
