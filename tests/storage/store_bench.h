/* Store bench: a store of partition PARTITION and just enough of a replica behind it, for tests of
 * snapshots that come in. Keys are numbers; a state of the partition is a word in their values. */
#ifndef TESTS_STORE_BENCH_H
#define TESTS_STORE_BENCH_H

#include "storage/store_snapshot.h"

#define PARTITION    1u
#define KEYS         40u
#define ENTRIES_MAX  256u
#define PIECE_KEYS   7u   /* of a piece; */
#define INSTALL_SIZE 800u /* two of them are more than goes into a cask */

struct bench_entry {
    uint64_t index;
    struct keydir_digest digest;
    store_location location;
    uint32_t size;
    bool tombstone;
};

/* Entries wait until a commit says so. */
struct bench {
    struct vfs *vfs;
    struct store *store;
    uint64_t applied;
    uint8_t state; /* of the newest checkpoint that counts */
    bool fenced;
    bool failed; /* the power is off */
    struct bench_entry entries[ENTRIES_MAX];
    size_t entry_count;
};

void bench_digest(const void *context, const uint8_t *key, size_t size, struct keydir_digest *out);
/* store_open()'s answer. */
int bench_open(struct bench *bench, struct vfs *vfs);
/* Keys 0 … 19 in their "old" state, applied and durable, on a vfs_crash of that seed. */
void bench_begin(struct bench *bench, uint64_t seed);
void bench_end(struct bench *bench); /* frees the vfs, too */

/* Runs all there is to do; false: the power is off. */
bool bench_work(struct bench *bench);
void bench_append(struct bench *bench, uint32_t number, const char *word, bool delete_it);
/* Keys from … to of the state `word` as one piece. Its size. */
size_t bench_piece(uint8_t *bytes, struct keydir_digest *digests, uint32_t from, uint32_t to,
                   const char *word, uint64_t index);
/* What a snapshot at that index has besides records. */
struct store_checkpoint bench_checkpoint(uint64_t applied);
/* Commits it and runs what there is to do until it has ended; lets go of it when it is DONE. */
enum store_install_state bench_commit(struct bench *bench, struct store_install *install,
                                      uint64_t applied);
/* A snapshot of keys from … to in their "new" state, from its beginning to its end. */
enum store_install_state bench_install(struct bench *bench, uint32_t from, uint32_t to,
                                       uint64_t applied);

/* What the store gives for a key: "" for nothing. */
void bench_value(struct bench *bench, uint32_t number, char out[32]);
/* Keys from … to, and no others, have this state's values. */
void bench_expect(struct bench *bench, uint32_t from, uint32_t to, const char *word);

#endif
