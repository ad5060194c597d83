/* Slab: memory of many small lifetimes without malloc an operation.
 *
 * Blocks come in classes of 64-byte steps up to 1 KiB and powers of two up to 16 KiB, cut from
 * chunks of 256 KiB; a freed block waits in its class for the next of that class. Larger ones go
 * to malloc. Chunks are given back by slab_deinit() only, so what it holds is the peak of what
 * was in use, which the router's bounds on operations limit. Owner: one router. */
#ifndef ROUTER_SLAB_H
#define ROUTER_SLAB_H

#include <stddef.h>
#include <stdint.h>

#define SLAB_CLASSES 20u

struct slab_chunk;

struct slab {
    struct slab_chunk *chunks;
    void *free[SLAB_CLASSES];
    uint8_t *at, *end; /* of the newest chunk */
    size_t used;       /* bytes asked for and not yet given back */
    size_t blocks;
};

void slab_init(struct slab *slab);
void slab_deinit(struct slab *slab); /* asserts that nothing is in use */
/* 16-byte aligned, contents undefined. NULL on no memory. */
void *slab_take(struct slab *slab, size_t size);
/* size: as it was asked for. NULL does nothing. */
void slab_give(struct slab *slab, void *block, size_t size);

#endif
