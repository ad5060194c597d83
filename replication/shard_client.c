#include "replication/shard_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct shard_client *shard_client(const struct shard *shard, uint64_t link)
{
    for (struct shard_client *client = shard->clients; client; client = client->next)
        if (client->link == link)
            return client;
    return NULL;
}

void shard_client_open(struct shard *shard, struct shard_address from)
{
    struct shard_client *client;

    if (shard_client(shard, from.link))
        return;
    client = calloc(1, sizeof *client);
    if (client)
        client->refused = calloc(shard->partition_count, sizeof *client->refused);
    if (!client || !client->refused) {
        free(client);
        shard->fatal = -ENOMEM;
        return;
    }
    client->link = from.link;
    client->role = from.role;
    client->next = shard->clients;
    shard->clients = client;
}

void shard_client_close(struct shard *shard, uint64_t link)
{
    for (struct shard_client **at = &shard->clients; *at; at = &(*at)->next) {
        struct shard_client *client = *at;

        if (client->link != link)
            continue;
        *at = client->next;
        wire_buffer_deinit(&client->results);
        free(client->refused);
        free(client);
        return;
    }
}

/* Room for one more result: a frame that has grown enough is finished first. */
static struct wire_buffer *client_results(struct shard *shard, uint64_t link)
{
    struct shard_client *client = shard_client(shard, link);

    if (!client)
        return NULL;
    if (client->results.size > SHARD_FRAME_SIZE)
        shard_out(shard, (struct shard_address){.role = client->role, .link = client->link},
                  WIRE_RESULTS, 0, 0, &client->results);
    return &client->results;
}

void shard_client_result(struct shard *shard, uint64_t link, const struct wire_result *result)
{
    struct wire_buffer *results = client_results(shard, link);

    if (results)
        wire_put_result(results, result);
}

void shard_client_refuse(struct shard *shard, uint64_t link, const struct wire_op *op,
                         uint8_t status, int64_t payload)
{
    struct shard_client *client = shard_client(shard, link);
    struct wire_result result = {
        .id = op->id, .status = status, .is_int = true, .integer = payload};

    if (!client)
        return;
    if (op->partition < shard->partition_count && client->refused[op->partition] <= op->lane_epoch)
        client->refused[op->partition] = op->lane_epoch + 1;
    shard->stats.refused++;
    shard_client_result(shard, link, &result);
}

bool shard_client_lane_refused(const struct shard *shard, uint64_t link, uint16_t partition,
                               uint32_t lane_epoch)
{
    const struct shard_client *client = shard_client(shard, link);

    return !client || lane_epoch < client->refused[partition];
}

struct shard_waiter *shard_waiter_new(struct shard *shard, size_t charge)
{
    struct shard_waiter *waiter = shard->waiters_free;

    if (waiter)
        shard->waiters_free = waiter->next;
    else if (!(waiter = calloc(1, sizeof *waiter))) {
        shard->fatal = -ENOMEM;
        return NULL;
    }
    *waiter = (struct shard_waiter){.charge = charge, .reply = waiter->reply};
    wire_buffer_clear(&waiter->reply);
    shard->in_flight++;
    shard->in_flight_size += charge;
    return waiter;
}

void shard_waiter_charge(struct shard *shard, struct shard_waiter *waiter, size_t size)
{
    waiter->charge += size;
    shard->in_flight_size += size;
}

void shard_waiter_free(struct shard *shard, struct shard_waiter *waiter)
{
    assert(shard->in_flight > 0 && shard->in_flight_size >= waiter->charge);
    shard->in_flight--;
    shard->in_flight_size -= waiter->charge;
    if (waiter->reply.capacity > 4096)
        wire_buffer_deinit(&waiter->reply);
    waiter->next = shard->waiters_free;
    shard->waiters_free = waiter;
}

void shard_waiter_add(struct shard *shard, struct replica *replica, struct shard_waiter *waiter)
{
    shard_load_count(replica, waiter->charge);
    shard->stats.operation_bytes += waiter->charge;
    pace_operation(&shard->budget.pace);
    *replica->waiters_end = waiter;
    replica->waiters_end = &waiter->next;
    if (waiter->index <= replica->raft.applied && waiter->round <= replica->raft.read_round)
        shard_waiters_release(shard, replica);
}

static void waiter_answer(struct shard *shard, struct shard_waiter *waiter)
{
    struct wire_buffer *results = client_results(shard, waiter->link);

    if (waiter->reply.failed)
        shard->fatal = -ENOMEM;
    else if (results)
        wire_put_raw(results, waiter->reply.data, waiter->reply.size);
}

void shard_waiters_release(struct shard *shard, struct replica *replica)
{
    struct shard_waiter **at = &replica->waiters;

    while (*at) {
        struct shard_waiter *waiter = *at;

        if (waiter->index > replica->raft.applied || waiter->round > replica->raft.read_round) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        if (waiter->proposed)
            sessions_end(&replica->sessions, waiter->session, waiter->sequence);
        waiter_answer(shard, waiter);
        shard_waiter_free(shard, waiter);
    }
    replica->waiters_end = at;
}

void shard_waiters_fail(struct shard *shard, struct replica *replica)
{
    while (replica->waiters) {
        struct shard_waiter *waiter = replica->waiters;
        struct wire_op op = {
            .id = waiter->id, .partition = replica->partition, .lane_epoch = waiter->lane_epoch};

        replica->waiters = waiter->next;
        if (waiter->proposed)
            shard_client_refuse(shard, waiter->link, &op, WIRE_STATUS_LOST, 0);
        else
            shard_client_refuse(shard, waiter->link, &op, WIRE_STATUS_NOT_LEADER,
                                replica->raft.leader);
        shard_waiter_free(shard, waiter);
    }
    replica->waiters_end = &replica->waiters;
}

void shard_waiters_free(struct shard *shard)
{
    while (shard->waiters_free) {
        struct shard_waiter *waiter = shard->waiters_free;

        shard->waiters_free = waiter->next;
        wire_buffer_deinit(&waiter->reply);
        free(waiter);
    }
}

/* Followers that hold less than what is committed, or that have not answered in this term. */
static uint32_t lag_count(const struct shard *shard, const struct replica *replica)
{
    const struct raft *raft = &replica->raft;
    uint32_t count = 0;

    if (raft->role != RAFT_LEADER)
        return 0;
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct raft_progress *peer = &raft->peers[i];

        if (peer->replica.member == shard->options.self)
            continue;
        count += peer->match < raft->commit ||
                 peer->heard_ms + shard->options.election_ms_max < shard->now_ms;
    }
    return count;
}

/* Of a shard that cannot be trusted the store has no partition. */
static uint64_t keys_of(const struct shard *shard, const struct replica *replica)
{
    return shard->unreadable || replica == shard->meta
               ? 0
               : store_keys(shard->store, replica->partition);
}

void shard_client_status(struct shard *shard, struct shard_address from,
                         const struct link_message *message)
{
    struct wire_buffer body = {0};

    for (size_t i = 0; i < shard->hosted_count; i++) {
        const struct replica *replica = shard->hosted[i];
        const struct raft *raft = &replica->raft;

        wire_put_partition_status(&body, &(struct wire_partition_status){
                                             .partition = replica->partition,
                                             .role = raft->role,
                                             .leader = raft->leader,
                                             .term = raft->term,
                                             .first = raft->log.first,
                                             .last = raft->log.last,
                                             .commit = raft->commit,
                                             .applied = raft->applied,
                                             .keys = keys_of(shard, replica),
                                             .fenced = !replica_serves(replica),
                                             .lag_count = lag_count(shard, replica),
                                         });
    }
    shard_out(shard, from, WIRE_SHARD_STATUS_REPLY, message->partition, message->correlation,
              &body);
    wire_buffer_deinit(&body);
}

void shard_client_flush(struct shard *shard, struct shard_address from,
                        const struct link_message *message)
{
    struct wire_buffer body = {0};
    struct wire_cursor cursor;
    struct store_stats stats;
    bool begin, accepted = true;

    wire_cursor_init(&cursor, message->body, message->body_size);
    if (!wire_get_flush(&cursor, &begin))
        return;
    if (begin)
        accepted = store_flush(shard->store) == 0;
    store_stats(shard->store, &stats);
    wire_put_flush_state(&body, &(struct wire_flush_state){
                                    .accepted = accepted,
                                    .flushing = stats.flush_demanded,
                                    .demands = stats.flush_demands,
                                    .disk_bytes = stats.journal_bytes + stats.cask_bytes,
                                    .log_bytes = stats.tail_bytes,
                                    .left_files = stats.flush_left_files,
                                    .left_bytes = stats.flush_left_bytes,
                                    .files = stats.flush_files,
                                    .reclaimed = stats.flush_reclaimed,
                                    .failed = stats.flushes_failed,
                                });
    shard_out(shard, from, WIRE_FLUSH_REPLY, message->partition, message->correlation, &body);
    wire_buffer_deinit(&body);
}

void shard_client_scrub(struct shard *shard, struct shard_address from,
                        const struct link_message *message)
{
    struct wire_buffer body = {0};
    struct wire_cursor cursor;
    struct store_scrub_stats scrub;
    struct shard_stats stats;
    bool begin, accepted = true;

    wire_cursor_init(&cursor, message->body, message->body_size);
    if (!wire_get_scrub(&cursor, &begin))
        return;
    if (begin)
        accepted = store_scrub(shard->store) == 0;
    store_scrub_stats(shard->store, &scrub);
    shard_stats(shard, &stats);
    wire_put_scrub_state(&body, &(struct wire_scrub_state){
                                    .accepted = accepted,
                                    .running = scrub.running,
                                    .demands = scrub.demands,
                                    .left_bytes = store_scrub_left(shard->store),
                                    .files = scrub.files,
                                    .bytes = scrub.bytes,
                                    .faults = scrub.faults,
                                    .unread = scrub.unread,
                                    .fenced = stats.fenced,
                                });
    shard_out(shard, from, WIRE_SCRUB_REPLY, message->partition, message->correlation, &body);
    wire_buffer_deinit(&body);
}
