#include "storage/keydir_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "storage/grow.h"

#define SEGMENT_KEYS 256u /* on average; where the spread is thinnest they are 390 */
#define CELL_BITS    3u   /* a cell is so many bits wider than the segments are thought to be */

/* Slots are gathered as long as they lie in the same cell, a part of the directory that should hold
 * about 2^CELL_BITS segments, then become segments all at once. */
struct keydir_load {
    struct keydir *keydir;
    uint32_t depth; /* of a cell */
    struct slot *slots;
    size_t count;
    size_t capacity;
    bool any;
    bool failed;
    struct slot last;
};

struct keydir_load *keydir_load_new(struct keydir *keydir, uint64_t count)
{
    struct keydir_load *load = calloc(1, sizeof(*load));

    assert(keydir->count == 0);
    if (!load)
        return NULL;
    load->keydir = keydir;
    while (keydir->depth < DEPTH_MAX && count >> keydir->depth > SEGMENT_KEYS) {
        if (keydir_double(keydir) < 0) {
            free(load);
            return NULL;
        }
    }
    load->depth = keydir->depth > CELL_BITS ? keydir->depth - CELL_BITS : 0;
    return load;
}

static int load_cell(struct keydir_load *load)
{
    int r = load->count > 0 ? keydir_fill(load->keydir, load->slots, load->count, load->depth) : 0;

    load->count = 0;
    if (r < 0)
        load->failed = true;
    return r;
}

bool keydir_load_ascends(const struct keydir_load *load, const struct keydir_digest *digest)
{
    uint64_t high = digest->high & 0xFFFF, last = load->last.meta >> META_DIGEST_SHIFT;

    return !load->any || high > last || (high == last && digest->low > load->last.low);
}

int keydir_load_add(struct keydir_load *load, const struct keydir_digest *digest, uint64_t location,
                    uint32_t size, bool tombstone, bool expires)
{
    struct slot slot = keydir_slot(digest, location, size, tombstone, expires);
    int r = 0;

    assert(!load->failed);
    assert(keydir_load_ascends(load, digest));
    if (load->count > 0 &&
        directory_index(&slot, load->depth) != directory_index(&load->last, load->depth))
        r = load_cell(load);
    if (r == 0)
        r = GROW(load->slots, load->capacity, load->count + 1);
    if (r != 0) {
        load->failed = true;
        return r;
    }
    load->slots[load->count++] = slot;
    load->last = slot;
    load->any = true;
    return 0;
}

int keydir_load_end(struct keydir_load *load)
{
    int r = load->failed ? -ENOMEM : load_cell(load);

    free(load->slots);
    free(load);
    return r;
}
