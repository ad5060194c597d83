/* Ring map: who is in the cluster and who holds each partition. A committed, versioned value.
 *
 * Genesis is the map of epoch 1; its encoding is the genesis blob and BLAKE2b-256 of that its hash.
 * Each later epoch was committed by the meta group as the successor of the one before it.
 * Limits: 1,000 members, N 1…7, Q a power of two in 8…4,096. Encoding: docs/format-ringmap.md.
 *
 * Members keep their slot for ever: a removed one stays as REMOVED (a tombstone), its id and key
 * never come back. States: JOINING members are known, linked and gossip, but hold nothing until a
 * plan takes them in as ACTIVE; LEAVING ones hold what a plan has not carried away yet. Of the data
 * keys of an encrypted cluster a JOINING member has no box: it gets them with the map that has it
 * ACTIVE, and keeps them.
 *
 * The rows that groups are to have are the *wanted* ones: `replicas`, and while a plan is under way
 * `target`, with `replicas` as what it leads away from. Wanted rows are equally long, N, and of
 * ACTIVE members, as are the wanted voters of the meta group.
 */
#ifndef RING_RINGMAP_H
#define RING_RINGMAP_H

#include "ring/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RINGMAP_MEMBERS_MAX       1000u
#define RINGMAP_JOINING_MAX       64u /* members at once that no plan has taken in */
#define RINGMAP_REPLICAS_MAX      7u
#define RINGMAP_META_VOTERS_MAX   5u
#define RINGMAP_PARTITIONS_MIN    8u
#define RINGMAP_PARTITIONS_MAX    4096u
#define RINGMAP_ADDRESS_SIZE      64u /* "HOST:PORT", zero-terminated, numeric host */
#define RINGMAP_ZONE_SIZE         32u
#define RINGMAP_KEY_SIZE          32u /* Ed25519 public key */
#define RINGMAP_CLUSTER_SIZE      16u
#define RINGMAP_HASH_SIZE         32u
#define RINGMAP_WEIGHT_DEFAULT    100u
#define RINGMAP_WEIGHT_MAX        1000000u   /* that may be asked for */
#define RINGMAP_BOX_SIZE          81u        /* a data key for one member */
#define RINGMAP_KEYS_MAX          64u        /* data keys */
#define RINGMAP_SIZE_MAX          (8u << 20) /* of an encoding */

#define RINGMAP_MOVE_RATE_DEFAULT 32u /* MiB a second and node */

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
    uint32_t replica_count; /* places of a row: N, more while a plan makes N less */
    struct ringmap_member *members;
    uint32_t member_count;
    /* partition_count rows of replica_count member ids, 0 for a free place; the first of a row is
     * its preferred leader. target is NULL unless the map is on its way to another. */
    uint16_t *replicas;
    uint16_t *target;
    uint16_t meta_voters[RINGMAP_META_VOTERS_MAX];
    uint32_t meta_voter_count;
    /* Encryption at rest: numbers of the data keys, ascending; the last is the one that seals. Of
     * each a box for each member, by slot, which is opaque here, zeros for none; those of one key
     * lie together. 0 and NULL: records are stored plain. */
    uint32_t key_count;
    uint8_t key_ids[RINGMAP_KEYS_MAX];
    uint8_t (*boxes)[RINGMAP_BOX_SIZE];
    /* Of moves: */
    bool paused;        /* none is begun */
    uint32_t move_rate; /* MiB a second and node; 0: RINGMAP_MOVE_RATE_DEFAULT */
};

enum ringmap_e {
    RINGMAP_E_OK,
    RINGMAP_E_MALFORMED,
    RINGMAP_E_FULL,    /* no id is left: 1,000 members were ever added */
    RINGMAP_E_CROWDED, /* RINGMAP_JOINING_MAX are JOINING */
};

/* Allocates the tables, zeroed. 0 or -ENOMEM. */
int ringmap_init(struct ringmap *map, uint32_t members, uint32_t partitions, uint32_t replicas);
void ringmap_deinit(struct ringmap *map);
/* One data key more, of a number above the others'; there are fewer than RINGMAP_KEYS_MAX. *boxes:
 * member_count of them, zeroed, to be filled. 0 or -ENOMEM. */
int ringmap_add_key(struct ringmap *map, uint8_t key_id, uint8_t (**boxes)[RINGMAP_BOX_SIZE]);
/* The member's of key number `key`, below key_count. NULL: no such member, or it has none. */
const uint8_t *ringmap_box(const struct ringmap *map, uint32_t key, uint16_t id);
/* Whether a member of this state takes part: a plan has taken it in, and it is not removed. */
bool ringmap_takes_part(uint8_t state);
/* The data key that seals; 0: the cluster stores plain. */
uint8_t ringmap_key_current(const struct ringmap *map);
/* May `map` come after `before`, with any number of others in between? That is what a node asks
 * before it takes one. NULL, or what is wrong. */
const char *ringmap_follows_problem(const struct ringmap *map, const struct ringmap *before);
/* May it be the very next? That is what the meta group's leader asks before it commits one; what
 * may be next also follows. NULL, or what is wrong. */
const char *ringmap_next_problem(const struct ringmap *map, const struct ringmap *before);
/* The map that ends the plan of `moving`: the wanted rows are there, who was leaving is removed.
 * 0 or -ENOMEM. */
int ringmap_finished(const struct ringmap *moving, struct ringmap *next);
/* The map with one more member, JOINING, of which key, address, zone and weight are given; the id
 * is the next one. 0, RINGMAP_E_MALFORMED (its key is known, or what is given is not valid),
 * RINGMAP_E_FULL, RINGMAP_E_CROWDED or -ENOMEM; *next is written on 0. */
int ringmap_joined(const struct ringmap *now, const struct ringmap_member *who,
                   struct ringmap *next);
int ringmap_copy(struct ringmap *to, const struct ringmap *from);
/* Of `replicas`. */
const uint16_t *ringmap_row(const struct ringmap *map, uint16_t partition);
/* What the partition is to have. */
const uint16_t *ringmap_wanted(const struct ringmap *map, uint16_t partition);
/* Members of a row of the map. */
uint32_t ringmap_row_count(const struct ringmap *map, const uint16_t *row);
/* N: of each wanted row. */
uint32_t ringmap_copies(const struct ringmap *map);
/* A plan is under way. */
bool ringmap_moving(const struct ringmap *map);
/* Members that are JOINING. */
uint32_t ringmap_joining(const struct ringmap *map);
/* NULL when there is none. */
const struct ringmap_member *ringmap_member(const struct ringmap *map, uint16_t id);
const struct ringmap_member *ringmap_member_by_key(const struct ringmap *map,
                                                   const uint8_t key[RINGMAP_KEY_SIZE]);
/* Whether the member is in the partition's row; and in its wanted row. */
bool ringmap_holds(const struct ringmap *map, uint16_t partition, uint16_t member);
bool ringmap_wants(const struct ringmap *map, uint16_t partition, uint16_t member);
/* Whether it can name a zone: 1 to RINGMAP_ZONE_SIZE - 1 characters of ASCII that print. */
bool ringmap_is_zone(const char *text);
/* Whether it is to vote in the meta group. */
bool ringmap_votes(const struct ringmap *map, uint16_t member);
/* Bytes of the encoding; ringmap_encode writes exactly those. */
size_t ringmap_encoded_size(const struct ringmap *map);
void ringmap_encode(const struct ringmap *map, uint8_t *out);
/* Untrusted input: 0, RINGMAP_E_MALFORMED or -ENOMEM; *map is untouched unless 0. */
int ringmap_decode(const uint8_t *bytes, size_t size, struct ringmap *map);
void ringmap_hash(const uint8_t *blob, size_t size, uint8_t hash[RINGMAP_HASH_SIZE]);
void ringmap_check(const struct ringmap *map);

#endif
