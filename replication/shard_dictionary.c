/* What values of a partition have in common, for their compression.
 *
 * The leader keeps values of one partition at a time aside; an I/O thread makes a dictionary of
 * them, and keeps it when it saves an eighth of values it was not made of, against what the
 * partition uses already. So the first comes as soon as there are values, and another whenever they
 * have changed enough for one to pay; nothing has to be remembered of how well the last one did.
 *
 * A dictionary is an entry of the log, in use from the moment that it is applied. Its number stands
 * in its record. A partition has COMPRESS_DICTIONARIES_MAX numbers: when they are used up, the next
 * one takes that of the oldest. Before the leader proposes it, it walks over all keys of the
 * partition and writes each value that still needs the oldest again, unchanged, compressed with the
 * newest. What it cannot see to, because its key is written or its record moved just then, is for
 * another pass a while later; after the last the partition keeps what it has until it is time for
 * the next dictionary. When the walk is through nothing applied needs it, and nothing that comes
 * can: what the leader proposes uses the newest that is applied, and its log has at most one that
 * is not. Older entries of the log may need it still, but whoever applies them has not applied its
 * successor, and a snapshot takes the dictionaries of its own index along. So at every index the
 * dictionaries that are there are those that the records there are compressed with.
 */
#include "replication/shard_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS    10000u     /* a partition that fills no samples in this time gives way */
#define WALK_SIZE_MAX  (1u << 20) /* bytes of records looked at in one round of duties */
#define WALK_READS_MAX 16u        /* read jobs at once */
#define WALK_COST      64u        /* of any record, in bytes */
#define PASSES_MAX     3u         /* of a walk, all keys each */
#define PASS_WAIT_MS   1000u      /* before the second; twice that before the third */
#define SLICE_MAX      128u
#define SLICE_WALK_MAX 4096u /* entries of the keydir */

/* --- writing again what needs the oldest --------------------------------------------------- */

static bool may_walk(const struct shard *shard, const struct replica *replica)
{
    return replica_leads(replica) && replica->raft.term == shard->walk.term;
}

/* Reads of a walk that was given up may be out still. */
static void walk_begin(struct shard *shard, struct replica *replica)
{
    if (shard->walk.replica)
        return;
    shard->walk = (struct shard_walk){
        .replica = replica, .term = replica->raft.term, .reads = shard->walk.reads};
}

static void pass_begin(struct shard *shard)
{
    struct shard_walk *walk = &shard->walk;

    walk->passes++;
    walk->due_ms = shard->now_ms + (uint64_t)walk->passes * PASS_WAIT_MS;
    walk->at = 0;
    walk->through = false;
    walk->again = false;
}

static void write_again(struct shard *shard, struct replica *replica, struct record *record,
                        const struct keydir_digest *digest)
{
    int r = store_expand(shard->store, record);

    if (r < 0) {
        shard->fatal = r;
    } else if (r == STORE_E_NO_KEY) {
        shard->walk.in_vain = true;
    } else if (r != 0) {
        shard_fence(shard, replica, "a record that was synced does not decode");
    } else if (!shard_scratch_room(shard, record->key_size)) {
        shard->fatal = -ENOMEM;
    } else {
        /* What the store lends ends with the append; the value has been unpacked. */
        memcpy(shard->scratch, record->key, record->key_size);
        record->key = shard->scratch;
        record->flags &= RECORD_FLAG_EXPIRES;
        record->codec = 0;
        store_compress(shard->store, replica->partition, record, 1);
        shard->walk.again |= shard_propose(shard, replica, record, digest, 1) != 0;
    }
}

/* A record that was at location: does it need the oldest, and does its key still have it? */
static void examine(struct shard *shard, struct replica *replica, const uint8_t *bytes, size_t size,
                    store_location location)
{
    uint32_t oldest = store_dictionary_next(shard->store, replica->partition);
    struct keydir_digest digest;
    struct shard_place place;
    struct record record;

    if (record_decode(bytes, size, &record) != 0 || record.partition != replica->partition ||
        record.kind != RECORD_KIND_PUT) {
        shard_fence(shard, replica, "a record that was synced does not check");
        return;
    }
    if (record.codec != COMPRESS_CODEC_ZSTD + oldest)
        return;
    digest = shard_record_digest(shard, &record);
    shard_find_place(shard, replica, &digest, &place);
    if (!place.found || place.index != 0)
        return;
    if (place.location != location ||
        keyqueue_blocked(&shard->keyqueue, replica->partition, &digest, 1))
        shard->walk.again = true;
    else
        write_again(shard, replica, &record, &digest);
}

/* False: no more reads can be begun now. */
static bool look_at(struct shard *shard, struct replica *replica, const struct keydir_entry *entry,
                    size_t *budget)
{
    size_t cost = entry->size_max + WALK_COST;
    const uint8_t *bytes;
    size_t size;
    int r;

    if (shard->walk.reads == WALK_READS_MAX)
        return false;
    *budget -= cost < *budget ? cost : *budget;
    r = store_peek(shard->store, entry->location, entry->size_max, &bytes, &size);
    if (r == 0)
        examine(shard, replica, bytes, size, entry->location);
    else if (r == STORE_E_AGAIN)
        shard->walk.reads +=
            shard_read_start(shard, SHARD_READ_WALK, replica, 0, entry->location, entry->size_max);
    else
        shard->walk.again = true;
    return true;
}

static void walk_slice(struct shard *shard, struct replica *replica, size_t *budget)
{
    struct keydir_item items[SLICE_MAX];
    struct keydir_slice slice = {.filter = KEYDIR_LIVE,
                                 .from = shard->walk.at,
                                 .items_max = SLICE_MAX,
                                 .walk_max = SLICE_WALK_MAX,
                                 .items = items};

    store_slice(shard->store, replica->partition, &slice);
    *budget -= WALK_COST < *budget ? WALK_COST : *budget;
    for (uint32_t i = 0; i < slice.count; i++)
        if (!replica_serves(replica) || !look_at(shard, replica, &items[i].entry, budget)) {
            shard->walk.at = keydir_position(&items[i].digest);
            return;
        }
    shard->walk.at = slice.next;
    shard->walk.through = slice.next == 0;
}

/* What could not be written again now makes it another pass; what cannot be, or not after the last
 * pass, none for a while. */
static void walk_end(struct shard *shard, struct replica *replica)
{
    struct shard_walk *walk = &shard->walk;
    bool done = !walk->again && !walk->in_vain;

    if (walk->again && !walk->in_vain && walk->passes + 1 < PASSES_MAX) {
        pass_begin(shard);
        return;
    }
    walk->replica = NULL;
    replica->train_after_ms = shard->now_ms + (done ? 0 : shard->options.train_again_ms);
    if (done)
        replica->number_free_in = walk->term;
}

void shard_dictionary_duty(struct shard *shard)
{
    struct replica *replica = shard->walk.replica;
    size_t budget = WALK_SIZE_MAX;

    if (!replica)
        return;
    if (!may_walk(shard, replica)) {
        shard->walk.replica = NULL;
        return;
    }
    if (replica->raft.transfer_to || store_disk_full(shard->store) ||
        shard->now_ms < shard->walk.due_ms)
        return;
    while (!shard->walk.through && budget > 0 && shard->walk.reads < WALK_READS_MAX &&
           replica_serves(replica) && !shard->fatal)
        walk_slice(shard, replica, &budget);
    if (shard->walk.through && shard->walk.reads == 0)
        walk_end(shard, replica);
}

/* A read of a walk that was given up is nobody's. */
void shard_dictionary_walk_read(struct shard *shard, struct shard_read *read, const uint8_t *bytes,
                                size_t size)
{
    struct replica *replica = read->owner;

    assert(shard->walk.reads > 0);
    shard->walk.reads--;
    if (shard->walk.replica != replica || !may_walk(shard, replica))
        return;
    if (bytes)
        examine(shard, replica, bytes, size, read->location);
    else
        shard->walk.again = true;
}

/* --- training at the leader ---------------------------------------------------------------- */

/* The one before it has to be applied: the next would take its number. */
static bool wants_training(const struct shard *shard, const struct replica *replica)
{
    return shard->options.train_samples > 0 && shard->options.store.compress_level > 0 &&
           !shard->trainer.training && replica != shard->walk.replica &&
           (!store_encrypts(shard->store) || shard->options.train_sealed) &&
           shard->now_ms >= replica->train_after_ms &&
           replica->raft.applied >= replica->dictionary_proposed;
}

/* One partition is sampled at a time, so that memory does not grow with their number. */
static bool take_turn(struct shard *shard, struct replica *replica)
{
    struct shard_trainer *trainer = &shard->trainer;

    if (trainer->replica == replica)
        return true;
    if (trainer->replica && shard->now_ms < trainer->since_ms + PATIENCE_MS)
        return false;
    if (!samples_ready(&trainer->samples, shard->options.train_samples)) {
        shard_trainer_free(shard); /* values stay without one */
        return false;
    }
    trainer->replica = replica;
    trainer->since_ms = shard->now_ms;
    samples_clear(&trainer->samples);
    return true;
}

static void train(struct shard *shard)
{
    struct shard_trainer *trainer = &shard->trainer;
    struct shard_read *read = malloc(sizeof *read);
    struct store_job **slot = fifo_push(&shard->reads);

    if (read && slot) {
        *read = (struct shard_read){.kind = SHARD_READ_TRAIN, .owner = trainer->replica};
        *slot = store_train(shard->store, trainer->replica->partition, &trainer->samples, read);
    }
    if (!read || !slot || !*slot) {
        shard->fatal = -ENOMEM;
        free(read);
        return;
    }
    trainer->training = true;
}

void shard_dictionary_sample(struct shard *shard, struct replica *replica,
                             const struct record *records, size_t count)
{
    struct shard_trainer *trainer = &shard->trainer;

    if (!wants_training(shard, replica) || !take_turn(shard, replica))
        return;
    for (size_t i = 0; i < count; i++) {
        const struct record *record = &records[i];

        if (record->kind == RECORD_KIND_PUT &&
            samples_add(&trainer->samples, shard->options.train_samples, record->value,
                        record->value_size)) {
            train(shard);
            return;
        }
    }
}

void shard_dictionary_read(struct shard *shard, struct shard_read *read, const uint8_t *bytes,
                           size_t size)
{
    struct replica *replica = read->owner;
    uint32_t number = store_dictionary_next(shard->store, replica->partition);
    struct record record = {.kind = RECORD_KIND_DICTIONARY,
                            .codec = (uint8_t)(COMPRESS_CODEC_ZSTD + number),
                            .value = bytes,
                            .value_size = size};
    struct keydir_digest digest = {0};
    int64_t leader;

    shard->trainer.training = false;
    shard->trainer.replica = NULL;
    replica->train_after_ms = shard->now_ms + shard->options.train_again_ms;
    /* Begun in an earlier leadership, it may come when a dictionary of the leader in between is in
     * the log and not applied: it would get the same number. */
    if (!bytes || size == 0 || shard_replica_status(shard, replica, &leader) != WIRE_STATUS_OK ||
        replica->raft.applied < replica->dictionary_proposed)
        return;
    if (number <= store_dictionaries(shard->store, replica->partition) &&
        replica->number_free_in != replica->raft.term) {
        walk_begin(shard, replica);
        return;
    }
    /* Refused by a replica that leads no more: the next leader makes its own. */
    if (shard_propose(shard, replica, &record, &digest, 1) == 0)
        replica->dictionary_proposed = replica->raft.log.last;
}

void shard_trainer_free(struct shard *shard)
{
    samples_deinit(&shard->trainer.samples);
    shard->trainer = (struct shard_trainer){0};
}

/* --- every replica: committed dictionaries are kept ---------------------------------------- */

/* Its record, as bytes. */
struct owned_dictionary {
    size_t size;
    uint8_t bytes[];
};

void *shard_dictionary_own(struct shard *shard, const struct record *record)
{
    struct owned_dictionary *owned;

    if (record->kind != RECORD_KIND_DICTIONARY)
        return NULL;
    owned = malloc(sizeof *owned + record_size_padded(record));
    if (!owned) {
        shard->fatal = -ENOMEM;
        return NULL;
    }
    owned->size = record_encode(record, owned->bytes);
    return owned;
}

/* Recovery: the entries of those before it may be gone, as a checkpoint that is read behind this
 * one has them. */
void shard_dictionary_apply(struct shard *shard, struct replica *replica,
                            const struct pending_entry *entry)
{
    const struct owned_dictionary *owned = entry->owned;
    int r;

    if (!owned)
        return;
    replica->number_free_in = 0;
    r = store_dictionary_add_bytes(shard->store, replica->partition, owned->bytes, owned->size);
    if (r < 0)
        shard->fatal = r;
    else if (r != 0 && shard->recovering)
        replica->dictionary_owed = entry->index;
    else if (r != 0)
        shard_fence(shard, replica, SHARD_DICTIONARY_BAD);
}
