/* What goes over all keys of a partition.
 *
 * SCAN gives the keys of the next slice of the keydir. The keydir knows no keys, so their records
 * are read like any others: what is in the page cache at once, the rest by read jobs, a batch of
 * them for the operation's next turn. When only some of a slice are at hand, those are the answer,
 * and the next position is that of the first which is not.
 *
 * It is a read: the answer waits for a round that confirms the leader, so that it cannot miss what
 * a newer leader has acknowledged. Keys that have expired and are not deleted yet are given.
 */
#include "replication/shard_internal.h"

#include "replication/command_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ITEMS_MIN      16u /* of a slice: far more keys than share a position */
#define WALK_MAX       8192u
#define KEYS_SIZE_MAX  (SHARD_EXPIRY_KEYS_SIZE - RECORD_KEY_SIZE_MAX)
#define POSITION_SHIFT (64u - WIRE_SCAN_BITS)

/* One SCAN on its way. */
struct scan {
    struct keydir_item items[WIRE_SCAN_COUNT_MAX];
    struct keydir_slice slice;
    uint32_t taken; /* items whose keys are in the outcome */
    size_t keys_size;
};

uint64_t shard_count_keys(const struct shard *shard, const struct replica *replica)
{
    const struct pending *pending = &replica->pending;
    uint64_t keys = store_keys(shard->store, replica->partition);
    const struct pending_entry *entry;

    for (uint64_t index = pending->first; (entry = pending_at(pending, index)); index++)
        for (uint32_t i = 0; i < entry->write_count; i++) {
            const struct pending_write *write = pending_write_at(pending, entry, i);
            const struct pending_write *newest;
            struct keydir_entry applied;

            if (pending_find(pending, &write->digest, &newest) != PENDING_E_OK || newest != write)
                continue;
            keys += !write->tombstone;
            keys -= store_find(shard->store, replica->partition, &write->digest, &applied) == 0 &&
                    !applied.tombstone;
        }
    return keys;
}

/* What a read job brought for this record, if one did. */
static const struct wire_buffer *fetched_record(const struct shard_operation *waiting,
                                                store_location location)
{
    for (uint32_t i = 0; waiting && i < waiting->slot_count; i++)
        if (waiting->fetched[i].done && waiting->fetched[i].location == location)
            return &waiting->values[i];
    return NULL;
}

/* 0, STORE_E_AGAIN, STORE_E_CORRUPT or -errno. */
static int take_key(struct shard *shard, const struct replica *replica,
                    const struct shard_request *request, struct scan *scan,
                    const struct keydir_entry *entry)
{
    const struct wire_buffer *fetched = fetched_record(request->waiting, entry->location);
    uint8_t *key = shard->expiry.keys + scan->keys_size;
    const uint8_t *bytes;
    struct record record;
    size_t size;
    int r = 0;

    if (fetched) {
        bytes = fetched->data;
        size = fetched->size;
    } else {
        r = store_peek(shard->store, entry->location, entry->size_max, &bytes, &size);
    }
    if (r != 0)
        return r;
    if (record_decode_header(bytes, size, &record) != 0 || record.partition != replica->partition ||
        record.kind != RECORD_KIND_PUT)
        return STORE_E_CORRUPT;
    r = store_decrypt(shard->store, &record);
    if (r != 0)
        return r;
    memcpy(key, record.key, record.key_size);
    scan->keys_size += record.key_size;
    shard->outcome.values[1 + scan->taken++] =
        (struct wire_bytes){.data = key, .size = record.key_size};
    return 0;
}

static int take_keys(struct shard *shard, const struct replica *replica,
                     const struct shard_request *request, struct scan *scan)
{
    for (uint32_t i = 0; i < scan->slice.count; i++) {
        int r = scan->keys_size > KEYS_SIZE_MAX
                    ? STORE_E_AGAIN
                    : take_key(shard, replica, request, scan, &scan->items[i].entry);

        if (r != 0) {
            scan->slice.next = keydir_position(&scan->items[i].digest);
            return r;
        }
    }
    return 0;
}

/* The records of the slice that are in files are asked for, as many as there are places. What is in
 * memory may be nowhere else: applied, and not yet written here. */
static void start_reads(struct shard *shard, struct shard_operation *waiting,
                        const struct scan *scan)
{
    for (uint32_t i = 0; i < waiting->slot_count; i++) {
        wire_buffer_clear(&waiting->values[i]);
        waiting->fetched[i] = (struct shard_fetched){0};
    }
    for (uint32_t i = 0; i < waiting->slot_count && i < scan->slice.count; i++) {
        const struct keydir_entry *entry = &scan->items[i].entry;
        const uint8_t *bytes;
        size_t size;

        if (store_peek(shard->store, entry->location, entry->size_max, &bytes, &size) == 0 &&
            !store_peeked_file(shard->store))
            continue;
        if (!shard_read_start(shard, SHARD_READ_OPERATION, waiting, i, entry->location,
                              entry->size_max))
            return;
        waiting->fetched[i].location = entry->location;
        waiting->reads_left++;
        waiting->charge += entry->size_max;
        shard->in_flight_size += entry->size_max;
    }
}

/* As where a cursor is a place in one server's memory: on the next one it leads nowhere. */
static bool cursor_foreign(const struct shard *shard, const struct replica *replica,
                           uint64_t position)
{
    return mutant(MUTANT_SCAN_ENDS_EARLY) && position != 0 &&
           shard->now_ms < replica->leader_since_ms + 1000;
}

static void answer(struct shard *shard, struct replica *replica,
                   const struct shard_request *request, const struct scan *scan, uint64_t position)
{
    struct command_outcome *outcome = &shard->outcome;
    uint64_t next = scan->slice.next >> POSITION_SHIFT;
    char text[24];

    /* More keys at one position than a slice holds there cannot be, digests being keyed. */
    if (scan->slice.next != 0 && next <= position)
        next = position + 1;
    outcome->values[0] = (struct wire_bytes){
        .data = (const uint8_t *)text,
        .size = (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)next)};
    outcome->reply = (struct wire_result){
        .status = WIRE_STATUS_OK, .values = outcome->values, .value_count = 1 + scan->taken};
    outcome->write_count = 0;
    shard_conclude(shard, replica, request, 0);
}

bool shard_scan(struct shard *shard, struct replica *replica, const struct shard_request *request)
{
    struct scan scan = {.taken = 0};
    uint64_t position;
    uint32_t count;
    int r;

    command_scan_numbers(request->args, &position, &count);
    scan.slice = (struct keydir_slice){.from = position << POSITION_SHIFT,
                                       .filter = KEYDIR_LIVE,
                                       .items_max = count < ITEMS_MIN ? ITEMS_MIN : count,
                                       .walk_max = WALK_MAX,
                                       .items = scan.items};
    if (command_reserve_values(&shard->outcome, 1 + WIRE_SCAN_COUNT_MAX) != 0) {
        shard->fatal = -ENOMEM;
        return true;
    }
    if (!cursor_foreign(shard, replica, position))
        store_slice(shard->store, replica->partition, &scan.slice);
    r = take_keys(shard, replica, request, &scan);
    if (r == STORE_E_CORRUPT) {
        shard_request_refuse(shard, replica, request, WIRE_STATUS_FENCED, 0);
        shard_fence(shard, replica, "a record that was synced does not check");
    } else if (r != 0 && r != STORE_E_AGAIN) {
        shard_request_unread(shard, replica, request);
    } else if (r == STORE_E_AGAIN && scan.slice.next >> POSITION_SHIFT <= position) {
        if (request->waiting)
            start_reads(shard, request->waiting, &scan);
        return false;
    } else {
        answer(shard, replica, request, &scan, position);
    }
    return true;
}
