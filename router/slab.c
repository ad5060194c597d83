#include "router/slab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SLAB_CHUNK_SIZE (256u << 10)
#define SLAB_STEP       64u
#define SLAB_STEPS      16u /* classes 0…15: 64 … 1,024 bytes */
#define SLAB_SIZE_MAX   (16u << 10)

struct slab_chunk {
    struct slab_chunk *next;
    uint64_t padding; /* keeps blocks 16-byte aligned */
};

void slab_init(struct slab *slab)
{
    *slab = (struct slab){0};
}

void slab_deinit(struct slab *slab)
{
    assert(slab->used == 0);
    assert(slab->blocks == 0);
    while (slab->chunks) {
        struct slab_chunk *next = slab->chunks->next;

        free(slab->chunks);
        slab->chunks = next;
    }
    *slab = (struct slab){0};
}

static uint32_t slab_class(size_t size, size_t *block_size)
{
    uint32_t class;
    size_t block = (size_t)SLAB_STEP * SLAB_STEPS;

    if (size <= block) {
        class = size ? (uint32_t)((size - 1) / SLAB_STEP) : 0;
        *block_size = (class + 1) * (size_t)SLAB_STEP;
        return class;
    }
    for (class = SLAB_STEPS - 1; block < size; class ++)
        block *= 2;
    *block_size = block;
    return class;
}

void *slab_take(struct slab *slab, size_t size)
{
    size_t block_size;
    uint32_t class;
    void *block;

    if (size > SLAB_SIZE_MAX) {
        block = malloc(size);
        slab->used += block ? size : 0;
        slab->blocks += block ? 1 : 0;
        return block;
    }
    class = slab_class(size, &block_size);
    assert(class < SLAB_CLASSES);
    block = slab->free[class];
    if (block) {
        memcpy(&slab->free[class], block, sizeof slab->free[class]);
    } else {
        if ((size_t)(slab->end - slab->at) < block_size) {
            struct slab_chunk *chunk = malloc(SLAB_CHUNK_SIZE);

            if (!chunk)
                return NULL;
            chunk->next = slab->chunks;
            slab->chunks = chunk;
            slab->at = (uint8_t *)chunk + sizeof *chunk;
            slab->end = (uint8_t *)chunk + SLAB_CHUNK_SIZE;
        }
        block = slab->at;
        slab->at += block_size;
    }
    slab->used += size;
    slab->blocks++;
    return block;
}

void slab_give(struct slab *slab, void *block, size_t size)
{
    size_t block_size;
    uint32_t class;

    if (!block)
        return;
    assert(slab->used >= size);
    assert(slab->blocks > 0);
    slab->used -= size;
    slab->blocks--;
    if (size > SLAB_SIZE_MAX) {
        free(block);
        return;
    }
    class = slab_class(size, &block_size);
    memcpy(block, &slab->free[class], sizeof slab->free[class]);
    slab->free[class] = block;
}
