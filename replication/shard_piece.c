#include "replication/shard_source.h"

#include "storage/checksum.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define WALK_MAX  4096u /* entries looked at for a piece, at most so many times: */
#define WALKS_MAX 16u

/* --- the end ------------------------------------------------------------------------------- */

static void piece_send(struct shard *shard, struct shard_source *source)
{
    bool first = source->built.from == 0;
    uint16_t member = source->to.member;
    size_t size = source->gather.size, state_size = first ? source->state_size : 0;
    uint64_t sum = checksum_seeded(source->gather.out, size,
                                   checksum(first ? source->state : NULL, state_size));

    wire_end_snapshot(&source->body, &source->space, size, sum);
    source->pieces[source->piece_count++] = source->built;
    source->at = source->built.next;
    source->walked = source->built.next == 0;
    source->sent_ms = shard->now_ms;
    shard_budget_charge(shard, (int64_t)(size + state_size));
    shard->stats.snapshot_bytes_sent += size;
    shard_move_sent(source->replica, source->to, source->walked ? UINT64_MAX : source->at);
    pace_sent(&shard->budget.pace, size);
    shard_out(shard, shard_to_member(member), WIRE_SNAPSHOT,
              shard_out_route(shard, member, source->replica->partition), 0, &source->body);
}

/* The mutant: what flush moved while it was read counts as gone. Relocation changes no index: the
 * record read is as good as the one it was moved to. */
static bool moved(const struct shard *shard, const struct shard_source *source)
{
    struct keydir_entry entry;

    for (uint32_t i = 0; mutant(MUTANT_SNAPSHOT_SKIPS_MOVED) && i < source->gather.count; i++)
        if (store_find(shard->store, source->replica->partition, &source->items[i].digest,
                       &entry) != 0 ||
            entry.location != source->items[i].entry.location)
            return true;
    return false;
}

static void piece_finish(struct shard *shard, struct shard_source *source)
{
    if (source->built.from != source->at || source->gather.index_max != source->index ||
        source->walked || source->failed || !shard_source_current(source) ||
        !shard->peers[source->to.member].up)
        return;
    if (source->gather.damaged) {
        shard_fence(shard, source->replica, "a record that was synced does not check");
        return;
    }
    if (moved(shard, source))
        source->gather.size = 0;
    piece_send(shard, source);
}

void shard_source_read(struct shard *shard, struct shard_source *source, bool done)
{
    assert(source->reading);
    source->reading = false;
    shard_budget_charge(shard, -(int64_t)source->size_max);
    if (source->ended) {
        shard_source_free(source);
        return;
    }
    source->failed |= !done;
    piece_finish(shard, source);
}

/* --- the beginning ------------------------------------------------------------------------- */

/* The entries of the next piece, and where it ends. */
static void piece_choose(struct shard *shard, struct shard_source *source)
{
    const size_t size_max = shard_budget_piece(shard);
    struct keydir_slice slice = {.from = source->at,
                                 .filter = KEYDIR_LIVE,
                                 .items_max = SHARD_PIECE_ITEMS_MAX,
                                 .walk_max = WALK_MAX,
                                 .items = source->items};
    uint32_t count = 0;
    size_t size = 0;

    source->built.from = source->at;
    for (uint32_t walks = 0; walks < WALKS_MAX; walks++) {
        store_slice(shard->store, source->replica->partition, &slice);
        if (slice.count > 0 || slice.next == 0)
            break;
        slice.from = slice.next;
    }
    source->built.next = slice.next;
    for (; count < slice.count; count++) {
        const struct keydir_item *item = &source->items[count];

        /* Ends before a record that makes it too large, but not between two of one position. */
        if (size > 0 && size + item->entry.size_max > size_max &&
            keydir_position(&item->digest) != keydir_position(&item[-1].digest)) {
            source->built.next = keydir_position(&item->digest);
            break;
        }
        source->places[count] = (struct store_gather_item){.location = item->entry.location,
                                                           .size_max = item->entry.size_max};
        size += item->entry.size_max;
    }
    source->size_max = size;
    source->gather = (struct store_gather){.partition = source->replica->partition,
                                           .index_max = source->index,
                                           .items = source->places,
                                           .count = count};
}

/* All of the message but its records. NULL: no memory; else their place. */
static uint8_t *piece_head(struct shard_source *source)
{
    const struct replica *replica = source->replica;
    struct wire_snapshot piece = {
        .group = replica->partition,
        .from_member = replica->raft.options.self.member,
        .from_life = replica->raft.options.self.life,
        .to_member = source->to.member,
        .to_life = source->to.life,
        .term = source->term,
        .log_term = source->log_term,
        .index = source->index,
        .from = source->built.from,
        .next = source->built.next,
        .settled = source->built.next == 0 ? replica->raft.applied : 0,
        .records = {NULL, source->size_max},
    };

    if (source->built.from == 0)
        piece.state = (struct wire_bytes){source->state, source->state_size};
    wire_buffer_clear(&source->body);
    return wire_begin_snapshot(&source->body, &piece, &source->space);
}

/* 0: all were in memory; STORE_E_AGAIN: a job reads them; -ENOMEM (fatal is set). */
static int gather_start(struct shard *shard, struct shard_source *source)
{
    struct shard_read *read = malloc(sizeof *read);
    struct store_job *job, **slot;
    int r = -ENOMEM;

    if (read) {
        *read = (struct shard_read){.kind = SHARD_READ_SNAPSHOT, .owner = source};
        r = store_gather(shard->store, &source->gather, read, &job);
    }
    if (r == STORE_E_AGAIN) {
        slot = fifo_push(&shard->reads);
        if (slot) {
            *slot = job;
            return r;
        }
        (void)store_done(shard->store, job, 0);
        r = -ENOMEM;
    }
    free(read);
    if (r < 0)
        shard->fatal = r;
    return r;
}

void shard_piece_begin(struct shard *shard, struct shard_source *source)
{
    int r;

    piece_choose(shard, source);
    source->gather.out = piece_head(source);
    if (!source->gather.out) {
        source->failed = true; /* given up; the next one may find memory */
        return;
    }
    r = gather_start(shard, source);
    source->reading = r == STORE_E_AGAIN;
    if (source->reading)
        shard_budget_charge(shard, (int64_t)source->size_max);
    else if (r == 0)
        piece_finish(shard, source);
}
