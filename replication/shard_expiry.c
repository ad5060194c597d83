/* Time, and what it ends.
 *
 * A deadline alone removes nothing. A key is there until a delete of it is in the log, so that all
 * replicas agree on when it went, whatever their clocks say, and no older value shows again: a
 * leader that finds an expired value proposes the delete, and what it answers by it waits for that
 * delete to be committed, as for any pending write it has observed. The delete cannot hit another
 * version: look-up and proposal are one step, at the head of the key's queue.
 *
 * Logged time: the delete carries, in the place of a deadline, the time by which the value was
 * found expired. Every replica keeps the highest such time in its log (logged_ms; also in
 * checkpoints), and a leader's time is never behind it. So time, as far as anybody has seen it
 * pass, does not go back with a change of leader: what had a deadline before some key's delete is
 * expired from then on. It is kept when appended, before the commit: an entry that is truncated was
 * still a leader's true reading. Puts need no time of their own: their deadlines are absolute.
 */
#include "replication/shard_internal.h"

uint64_t shard_time(const struct shard *shard, const struct replica *replica)
{
    return shard->wall_ms > replica->logged_ms ? shard->wall_ms : replica->logged_ms;
}

void shard_log_time(struct replica *replica, const struct record *record)
{
    if (record->kind == RECORD_KIND_DELETE && (record->flags & RECORD_FLAG_EXPIRES) &&
        record->expiry_ms > replica->logged_ms)
        replica->logged_ms = record->expiry_ms;
}

static bool expired(const struct command_value *value, uint64_t time_ms)
{
    return value->found && value->expiry_ms != 0 && value->expiry_ms <= time_ms;
}

/* A key that is named twice is deleted twice, which does no harm. */
static size_t build_deletes(struct shard *shard, const struct shard_request *request,
                            uint64_t time_ms)
{
    size_t count = 0;

    for (uint32_t key = 0; key < request->key_count; key++) {
        const struct wire_bytes *name = &request->args[key * request->stride];

        if (!expired(&shard->values[key], time_ms))
            continue;
        shard->records[count] = (struct record){.kind = RECORD_KIND_DELETE,
                                                .flags = RECORD_FLAG_EXPIRES,
                                                .expiry_ms = time_ms,
                                                .key = name->data,
                                                .key_size = name->size};
        shard->record_digests[count++] = request->digests[key];
    }
    return count;
}

int shard_expire_values(struct shard *shard, struct replica *replica,
                        const struct shard_request *request, uint64_t *observed)
{
    uint64_t time_ms = shard_time(shard, replica);
    size_t count;
    int r;

    if (command_needs(request->op->operation, request->op->flags) == COMMAND_NEEDS_NONE)
        return 0;
    count = build_deletes(shard, request, time_ms);
    if (count == 0)
        return 0;
    if (!mutant(MUTANT_EXPIRED_RESURRECTS)) {
        r = shard_propose(shard, replica, shard->records, shard->record_digests, count);
        if (r != 0)
            return r;
        *observed = replica->raft.log.last;
    }
    for (uint32_t key = 0; key < request->key_count; key++)
        if (expired(&shard->values[key], time_ms))
            shard->values[key] = (struct command_value){0};
    return 0;
}
