#include "replication/shard_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 10000u  /* a partition that fills no samples in this time gives way */
#define AGAIN_MS    600000u /* a partition that was trained, or could not be, waits */

/* --- training at the leader ---------------------------------------------------------------- */

/* Not where values are sealed: a dictionary is made of pieces of them, and is not sealed. */
static bool wants_training(const struct shard *shard, const struct replica *replica)
{
    return shard->options.train_samples > 0 && shard->options.store.compress_level > 0 &&
           !shard->trainer.training && !store_encrypts(shard->store) &&
           shard->now_ms >= replica->train_after_ms &&
           store_dictionaries(shard->store, replica->partition) == 0;
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
        *slot = store_train(shard->store, &trainer->samples, read);
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
    struct record record = {.kind = RECORD_KIND_DICTIONARY, .value = bytes, .value_size = size};
    struct keydir_digest digest = {0};

    shard->trainer.training = false;
    shard->trainer.replica = NULL;
    replica->train_after_ms = shard->now_ms + AGAIN_MS;
    if (!bytes || size == 0 || store_dictionaries(shard->store, replica->partition) > 0)
        return;
    /* Refused by a replica that leads no more: the next leader makes its own. */
    (void)shard_propose(shard, replica, &record, &digest, 1);
}

void shard_trainer_free(struct shard *shard)
{
    samples_deinit(&shard->trainer.samples);
    shard->trainer = (struct shard_trainer){0};
}

/* --- every replica: committed dictionaries are kept ---------------------------------------- */

struct owned_dictionary {
    size_t size;
    uint8_t bytes[];
};

void *shard_dictionary_own(struct shard *shard, const struct record *record)
{
    struct owned_dictionary *owned;

    if (record->kind != RECORD_KIND_DICTIONARY || record->value_size == 0 ||
        record->value_size > COMPRESS_DICTIONARY_SIZE_MAX)
        return NULL;
    owned = malloc(sizeof *owned + record->value_size);
    if (!owned) {
        shard->fatal = -ENOMEM;
        return NULL;
    }
    owned->size = record->value_size;
    memcpy(owned->bytes, record->value, record->value_size);
    return owned;
}

/* Its number is how many there were before, plus one: the same at all replicas. */
void shard_dictionary_apply(struct shard *shard, struct replica *replica,
                            const struct pending_entry *entry)
{
    const struct owned_dictionary *owned = entry->owned;

    if (!owned || entry->index <= replica->dictionary_index)
        return;
    replica->dictionary_index = entry->index;
    if (store_dictionary_add(shard->store, replica->partition, owned->bytes, owned->size) < 0)
        shard->fatal = -ENOMEM;
}
