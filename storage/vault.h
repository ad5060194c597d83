/* Vault: the data keys of a cluster, and records that are encrypted with them.
 *
 * The idea: the leader seals a record once, before it is appended; the same bytes then go to every
 * journal, cask, message and snapshot. Sealed are the key and the value together. In the place of
 * the key the record has the key's keyed digest, VAULT_DIGEST_SIZE bytes, which hints and keydir
 * have too: so recovery, followers, flush and installs work on sealed records without any data key;
 * only what gives a key or value to a user opens them. In casks and snapshots sealed records sort
 * by that digest. Compression dictionaries, being made of values, are sealed too: they have no key,
 * sealed or not, and zeros for its digest.
 *
 *   value of a sealed record:   u64 nonce tail | ciphertext of (u16 key size, key, value) | tag
 * (16)
 *
 * XChaCha20-Poly1305-IETF with the data key that record.key_id names. Nonce, 24 bytes: partition,
 * sub-index, term, index of the record (16 bytes), then the tail. One leader a term appends one
 * entry at an index, so that the first 16 bytes alone never come twice; the tail is random all the
 * same, for clusters that go on from a copy of their disks. Associated data: every field of the
 * record's header and extensions but the flag RELOCATED, and the digest. Sizes are not hidden.
 *
 * Data keys are numbered 1 … 255; a number never gets another key. Wrapped keys are boxes that one
 * node opens, with the X25519 pair derived from its identity.
 *
 * Owner: whoever fills it, one thread. Others may seal and open meanwhile: a key is there as soon
 * as it is known, and never changes. No I/O, no randomness here, but for vault_wrap(), which draws
 * an ephemeral key pair. sodium_init() must have been called. Secrets: vault_wipe() overwrites
 * them.
 */
#ifndef STORAGE_VAULT_H
#define STORAGE_VAULT_H

#include "storage/keydir.h"
#include "storage/record.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_KEY_SIZE      32u
#define VAULT_KEYS_MAX      255u
#define VAULT_NONCE_SIZE    24u
#define VAULT_TAG_SIZE      16u
#define VAULT_DIGEST_SIZE   RECORD_SEALED_KEY_SIZE
#define VAULT_OVERHEAD_SIZE RECORD_SEALED_OVERHEAD_SIZE
#define VAULT_EXCHANGE_SIZE 32u /* an X25519 key */
#define VAULT_WRAPPED_SIZE  81u /* a sealed box of number and key */

enum vault_e {
    VAULT_E_OK,
    VAULT_E_NO_KEY,   /* the record's data key is not here */
    VAULT_E_CORRUPT,  /* not what was sealed with this key, or not for this place */
    VAULT_E_CONFLICT, /* the number has another key */
};

struct vault {
    _Atomic uint8_t current; /* seals new records; 0: none, nothing is sealed */
    atomic_bool known[VAULT_KEYS_MAX + 1];
    uint8_t keys[VAULT_KEYS_MAX + 1][VAULT_KEY_SIZE];
};

void vault_init(struct vault *vault);
void vault_wipe(struct vault *vault);
/* id: 1 … VAULT_KEYS_MAX. 0 or VAULT_E_CONFLICT; the same key again changes nothing. */
int vault_add(struct vault *vault, uint8_t id, const uint8_t key[VAULT_KEY_SIZE]);
/* A known key seals from now on. */
void vault_use(struct vault *vault, uint8_t id);

/* The current key where there are others too; 0: none, or no other (nor a vault). */
uint8_t vault_newest_of_several(const struct vault *vault);

/* Bytes of the value once the record is sealed. */
size_t vault_sealed_size(const struct record *record);
/* Seals a PUT, DELETE or DICTIONARY in place: key, value, flags and key_id change, the new ones lie
 * in out, which has room for VAULT_DIGEST_SIZE + vault_sealed_size() bytes. The record's place
 * (partition, term, index, sub-index and count), expiry and request must be final. tail: random
 * bits. */
void vault_seal(const struct vault *vault, struct record *record,
                const struct keydir_digest *digest, uint64_t tail, uint8_t *out);
/* Opens a sealed record in place: key and value are in out then, which has room for value_size
 * bytes; flag and key_id go. The record is unchanged unless 0. VAULT_E_NO_KEY, VAULT_E_CORRUPT. */
int vault_open(const struct vault *vault, struct record *record, uint8_t *out);
/* Seals a sealed record with another known key, in its place and with the tail that it has: whoever
 * does it gets the same bytes, of the same size. They lie in out, which has room for
 * VAULT_DIGEST_SIZE + value_size. The record is unchanged unless 0. VAULT_E_NO_KEY: of either key;
 * VAULT_E_CORRUPT. */
int vault_reseal(const struct vault *vault, uint8_t id, struct record *record, uint8_t *out);
/* The digest of a sealed record's key; false: it is not sealed, hash its key. */
bool vault_digest(const struct record *record, struct keydir_digest *digest);

/* A box of (id, key) for the owner of an X25519 public key. VAULT_E_CORRUPT: that is no key. */
int vault_wrap(uint8_t id, const uint8_t key[VAULT_KEY_SIZE],
               const uint8_t public_key[VAULT_EXCHANGE_SIZE], uint8_t wrapped[VAULT_WRAPPED_SIZE]);
/* Adds what the box holds under the number that is expected. VAULT_E_CORRUPT: a box for somebody
 * else, damaged, or of another number; VAULT_E_CONFLICT. */
int vault_unwrap(struct vault *vault, uint8_t id, const uint8_t public_key[VAULT_EXCHANGE_SIZE],
                 const uint8_t secret_key[VAULT_EXCHANGE_SIZE],
                 const uint8_t wrapped[VAULT_WRAPPED_SIZE]);

#endif
