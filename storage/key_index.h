/* Key index: a set of keys in their order, in memory, for stores that are scanned by key.
 *
 * A B+tree of two levels: leaves of LEAF_SIZE bytes with whole keys and a sorted table of where
 * they lie, and above them one array of leaves. A full leaf splits in two, and a key of more than
 * KEY_INDEX_LARGE bytes has a leaf of its own; a leaf joins its neighbour when both together fill
 * half of one. So a key costs its bytes and 4 more, in leaves that are half to wholly full. The
 * array grows by 8 B a leaf: inserting into it moves 300 KiB at ten million keys of 16 B, once in
 * a hundred inserts.
 *
 * What a key means is its owner's affair: the index knows no locations, so that nothing in it grows
 * stale when a record moves. Order: bytewise, a prefix before what it begins.
 *
 * Limits: keys of 1 … 65,535 bytes. Owner: one thread. -ENOMEM changes nothing.
 */
#ifndef STORAGE_KEY_INDEX_H
#define STORAGE_KEY_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_INDEX_LARGE 512u

struct key_index;

/* A place among the keys: valid until the index changes. */
struct key_index_cursor {
    size_t leaf;
    size_t at;
};

struct key_index *key_index_new(void);                         /* NULL: no memory */
struct key_index *key_index_free(struct key_index *key_index); /* returns NULL */

/* A key that is there already changes nothing. 0 or -ENOMEM. */
int key_index_insert(struct key_index *key_index, const uint8_t *key, size_t size);
/* A key that is not there changes nothing. */
void key_index_remove(struct key_index *key_index, const uint8_t *key, size_t size);
bool key_index_has(const struct key_index *key_index, const uint8_t *key, size_t size);
uint64_t key_index_count(const struct key_index *key_index);
size_t key_index_memory(const struct key_index *key_index); /* bytes, allocator overhead left out */

/* At the first key that is not before this one; size 0: at the first of all. */
struct key_index_cursor key_index_seek(const struct key_index *key_index, const uint8_t *key,
                                       size_t size);
/* Gives the key at the cursor, borrowed until the index changes, and moves on. False: the end. */
bool key_index_next(const struct key_index *key_index, struct key_index_cursor *cursor,
                    const uint8_t **key, size_t *size);
/* The order: < 0, 0, > 0. */
int key_index_compare(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size);
void key_index_check(const struct key_index *key_index);

#endif
