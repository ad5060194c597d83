#include "replication/shard_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool shard_read_start(struct shard *shard, uint8_t kind, void *owner, uint32_t part,
                      store_location location, uint32_t size)
{
    struct shard_read *read = malloc(sizeof *read);
    struct store_job **slot;
    struct store_job *job;

    if (!read)
        goto failed;
    *read = (struct shard_read){
        .kind = kind, .part = part, .size = size, .location = location, .owner = owner};
    job = store_read(shard->store, location, size, read);
    if (!job)
        goto failed;
    slot = fifo_push(&shard->reads);
    if (!slot)
        goto failed;
    *slot = job;
    if (kind == SHARD_READ_EXPIRY || kind == SHARD_READ_WALK)
        ((struct replica *)owner)->reads++;
    return true;
failed:
    shard->fatal = -ENOMEM;
    free(read);
    return false;
}

static void fetch_free(struct shard *shard, struct shard_fetch *fetch)
{
    struct shard_fetch **at = &shard->fetches;

    while (*at != fetch)
        at = &(*at)->next;
    *at = fetch->next;
    shard->fetch_count--;
    shard->fetch_size -= fetch->message.entries_size;
    free(fetch->bytes);
    free(fetch);
}

/* What comes from the disk is checked before it leaves: a follower would drop it, and would be sent
 * the same again for ever. */
static bool fetch_sound(const struct shard_fetch *fetch)
{
    size_t left = fetch->message.entries_size;
    const uint8_t *at = fetch->bytes;
    struct record record;

    while (left > 0) {
        if (record_decode(at, left, &record) != 0 || record_size_padded(&record) > left ||
            record.partition != fetch->replica->partition)
            return false;
        at += record_size_padded(&record);
        left -= record_size_padded(&record);
    }
    return true;
}

/* The message goes out late; Raft's retry covers whatever changed meanwhile. */
static void fetch_finish(struct shard *shard, struct shard_fetch *fetch)
{
    const struct raft_message *message = &fetch->message;
    struct wire_buffer *buffer =
        shard_out_raft(shard, message->to.member, fetch->replica->partition);

    if (!fetch->failed && replica_serves(fetch->replica) && !fetch_sound(fetch))
        shard_fence(shard, fetch->replica, "an entry that was synced does not check");
    if (buffer && !fetch->failed && replica_leads(fetch->replica) &&
        fetch->replica->raft.term == message->term) {
        struct wire_raft wire;

        shard_raft_to_wire(message, &wire);
        wire.entries.data = fetch->bytes;
        wire_put_raft(buffer, &wire);
    }
    fetch_free(shard, fetch);
}

void shard_fetch_start(struct shard *shard, struct replica *replica,
                       const struct raft_message *message)
{
    struct shard_fetch *fetch;
    uint32_t offset = 0;

    /* Dropping is like losing the message: it is sent again after retry_ms. */
    if (shard->fetch_count == SHARD_FETCHES_MAX ||
        (shard->fetch_count > 0 &&
         shard->fetch_size + message->entries_size > SHARD_FETCH_SIZE_MAX))
        return;
    fetch = calloc(1, sizeof *fetch);
    if (fetch)
        fetch->bytes = malloc(message->entries_size);
    if (!fetch || !fetch->bytes) {
        free(fetch);
        shard->fatal = -ENOMEM;
        return;
    }
    fetch->replica = replica;
    fetch->message = *message;
    fetch->next = shard->fetches;
    shard->fetches = fetch;
    shard->fetch_count++;
    shard->fetch_size += message->entries_size;
    fetch->reads_left = 1; /* until all have been started */
    for (uint32_t i = 1; i <= message->entry_count; i++) {
        const struct raft_log_entry *entry = raft_log_at(&replica->raft.log, message->index + i);

        const uint8_t *bytes;
        size_t size;

        if (store_peek(shard->store, entry->location, entry->size, &bytes, &size) == 0 &&
            size == entry->size) {
            memcpy(fetch->bytes + offset, bytes, size);
        } else if (shard_read_start(shard, SHARD_READ_FETCH, fetch, offset, entry->location,
                                    entry->size)) {
            fetch->reads_left++;
        } else {
            break;
        }
        offset += entry->size;
    }
    /* Since the first look all of it may have come to memory. */
    if (--fetch->reads_left == 0)
        fetch_finish(shard, fetch);
}

void shard_fetch_read(struct shard *shard, struct shard_read *read, const uint8_t *bytes,
                      size_t size)
{
    struct raft_event event = {.kind = RAFT_EVENT_TRANSFER};
    struct shard_fetch *fetch = read->owner;
    struct replica *replica = fetch->replica;
    bool failed;

    assert(fetch->reads_left > 0);
    fetch->reads_left--;
    if (!bytes || size < read->size)
        fetch->failed = true;
    else
        memcpy(fetch->bytes + read->part, bytes, read->size);
    if (fetch->reads_left > 0)
        return;
    failed = fetch->failed;
    fetch_finish(shard, fetch);
    /* Another leader may be able to read it. */
    if (failed && replica->raft.role == RAFT_LEADER && !replica->raft.transfer_to)
        shard_raft_event(shard, replica, &event);
}
