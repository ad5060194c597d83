/* Ring map: who is in the cluster and who holds each partition. A committed, versioned value.
 *
 * Genesis is the map of epoch 1; its encoding is the genesis blob and BLAKE2b-256 of that its hash.
 * Each later epoch was committed by the meta group as the successor of the one before it.
 * Limits: 1,000 members, N 1…7, Q a power of two in 8…4,096. Encoding: docs/format-ringmap.md.
 * Members keep their slot for ever: a removed one stays as REMOVED (a tombstone).
 */
#ifndef RING_RINGMAP_H
#define RING_RINGMAP_H

#include "ring/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RINGMAP_MEMBERS_MAX     1000u
#define RINGMAP_REPLICAS_MAX    7u
#define RINGMAP_META_VOTERS_MAX 5u
#define RINGMAP_PARTITIONS_MIN  8u
#define RINGMAP_PARTITIONS_MAX  4096u
#define RINGMAP_ADDRESS_SIZE    64u /* "HOST:PORT", zero-terminated, numeric host */
#define RINGMAP_ZONE_SIZE       32u
#define RINGMAP_KEY_SIZE        32u /* Ed25519 public key */
#define RINGMAP_CLUSTER_SIZE    16u
#define RINGMAP_HASH_SIZE       32u
#define RINGMAP_WEIGHT_DEFAULT  100u
#define RINGMAP_BOX_SIZE        81u        /* a data key for one member */
#define RINGMAP_KEYS_MAX        64u        /* data keys */
#define RINGMAP_SIZE_MAX        (8u << 20) /* of an encoding */

enum ringmap_state {
    RINGMAP_STATE_JOINING = 1,
    RINGMAP_STATE_ACTIVE = 2,
    RINGMAP_STATE_LEAVING = 3,
    RINGMAP_STATE_REMOVED = 4,
};

struct ringmap_member {
    uint16_t id; /* from 1 */
    uint8_t state;
    uint32_t weight;
    uint8_t public_key[RINGMAP_KEY_SIZE];
    char address[RINGMAP_ADDRESS_SIZE];
    char zone[RINGMAP_ZONE_SIZE];
};

struct ringmap {
    uint64_t epoch;
    uint8_t cluster[RINGMAP_CLUSTER_SIZE];
    uint8_t hash_secret[HASH_KEY_SIZE];
    uint32_t partition_count;
    uint32_t replica_count; /* N */
    struct ringmap_member *members;
    uint32_t member_count;
    /* partition_count rows of replica_count member ids, 0 for a free place; the first of a row is
     * its preferred leader. target is NULL unless the map is on its way to another. */
    uint16_t *replicas;
    uint16_t *target;
    uint16_t meta_voters[RINGMAP_META_VOTERS_MAX];
    uint32_t meta_voter_count;
    /* Encryption at rest: numbers of the data keys, ascending; the last is the one that seals. Of
     * each a box for each member, by slot, which is opaque here; those of one key lie together.
     * 0 and NULL: records are stored plain. */
    uint32_t key_count;
    uint8_t key_ids[RINGMAP_KEYS_MAX];
    uint8_t (*boxes)[RINGMAP_BOX_SIZE];
};

enum ringmap_e { RINGMAP_E_OK, RINGMAP_E_MALFORMED };

/* Allocates the tables, zeroed. 0 or -ENOMEM. */
int ringmap_init(struct ringmap *map, uint32_t members, uint32_t partitions, uint32_t replicas);
void ringmap_deinit(struct ringmap *map);
/* One data key more, of a number above the others'; there are fewer than RINGMAP_KEYS_MAX. *boxes:
 * member_count of them, zeroed, to be filled. 0 or -ENOMEM. */
int ringmap_add_key(struct ringmap *map, uint8_t key_id, uint8_t (**boxes)[RINGMAP_BOX_SIZE]);
/* The member's of key number `key`, below key_count. NULL: no such member. */
const uint8_t *ringmap_box(const struct ringmap *map, uint32_t key, uint16_t id);
/* The data key that seals; 0: the cluster stores plain. */
uint8_t ringmap_key_current(const struct ringmap *map);
/* May `map` come after `before`, with any number of others in between? A later epoch of the same
 * cluster that takes nothing away: in this version data keys alone may be added. NULL, or what is
 * wrong. */
const char *ringmap_follows_problem(const struct ringmap *map, const struct ringmap *before);
int ringmap_copy(struct ringmap *to, const struct ringmap *from);
const uint16_t *ringmap_row(const struct ringmap *map, uint16_t partition);
/* NULL when there is none. */
const struct ringmap_member *ringmap_member(const struct ringmap *map, uint16_t id);
const struct ringmap_member *ringmap_member_by_key(const struct ringmap *map,
                                                   const uint8_t key[RINGMAP_KEY_SIZE]);
bool ringmap_holds(const struct ringmap *map, uint16_t partition, uint16_t member);
/* Bytes of the encoding; ringmap_encode writes exactly those. */
size_t ringmap_encoded_size(const struct ringmap *map);
void ringmap_encode(const struct ringmap *map, uint8_t *out);
/* Untrusted input: 0, RINGMAP_E_MALFORMED or -ENOMEM; *map is untouched unless 0. */
int ringmap_decode(const uint8_t *bytes, size_t size, struct ringmap *map);
void ringmap_hash(const uint8_t *blob, size_t size, uint8_t hash[RINGMAP_HASH_SIZE]);
void ringmap_check(const struct ringmap *map);

#endif
