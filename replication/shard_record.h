/* Shard record: what the meta group's state is made of. Each record is one value a version, the
 * value of a key of the group, and changes by compare-and-set: the next version, and nothing else,
 * by who saw the one before. Whose change came first is for the log to say; the same bytes may come
 * any number of times.
 *
 * Inside of shard*.c, like shard_internal.h, which includes it. Without the meta group a record is
 * never looked at.
 */
#ifndef REPLICATION_SHARD_RECORD_H
#define REPLICATION_SHARD_RECORD_H

#include "replication/shard.h"
#include "ring/wire.h"

/* A record of the meta group and what it is to this replica. */
struct shard_record_kind {
    const char *key;
    const char *newer;             /* why this version of the program cannot serve */
    uint8_t told, given, answered; /* types: its version, its value, what became of a change */
    size_t size_max;
    /* A value that was committed. *version: its. 0, -ENOMEM, or > 0: it is of a newer version. */
    int (*take)(struct shard *shard, const uint8_t *value, size_t size, uint64_t *version);
    /* One that is to be. *problem: why it may not come behind what is there, or NULL. 0, -ENOMEM,
     * or > 0: it does not decode, as *problem says. */
    int (*judge)(const struct shard *shard, const struct wire_bytes *next, uint64_t *version,
                 const char **problem);
};
struct shard_record {
    const struct shard_record_kind *kind;
    uint8_t *value; /* NULL: none */
    size_t size;
    uint64_t version;
    uint64_t index;  /* of the entry that it is from; 0: none was committed */
    uint64_t looked; /* the applied index that it was looked up at */
    bool reading;    /* from the disk */
    uint64_t change; /* index of the entry with the next one; 0: none is on its way */
    struct shard_address change_from;
    uint64_t change_correlation;
    uint64_t tell_due_ms;
};

/* value NULL: none is there, which is version 1 too. Copied. 0 or -ENOMEM. */
int shard_record_init(struct shard_record *record, const struct shard_record_kind *kind,
                      const uint8_t *value, size_t size);
void shard_record_deinit(struct shard_record *record);
/* At the end of each round: takes what was applied. */
void shard_record_step(struct shard *shard, struct shard_record *record);
void shard_record_read(struct shard *shard, struct shard_record *record, const uint8_t *bytes,
                       size_t size);
/* Whether its value is that of all that is applied. */
bool shard_record_known(const struct shard *shard, const struct shard_record *record);
/* From a member's node. */
void shard_record_change(struct shard *shard, struct shard_record *record,
                         struct shard_address from, const struct link_message *message);
/* The leader's own change, for which nobody waits; one that may not come next changes nothing. */
bool shard_record_may_set(struct shard *shard, const struct shard_record *record);
void shard_record_set(struct shard *shard, struct shard_record *record,
                      const struct wire_bytes *value);
void shard_record_get(struct shard *shard, const struct shard_record *record,
                      struct shard_address from, const struct link_message *message);
/* Leadership of the meta group ended: who asked asks again. */
void shard_record_forget(struct shard_record *record);
/* The group's replica has come, or gone: nothing was looked up in it. What was known before is of
 * the same group. */
void shard_record_reset(struct shard_record *record);

#endif
