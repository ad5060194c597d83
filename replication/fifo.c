#include "replication/fifo.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void fifo_init(struct fifo *fifo, size_t element_size)
{
    assert(element_size > 0);
    *fifo = (struct fifo){.element_size = element_size};
}

void fifo_deinit(struct fifo *fifo)
{
    free(fifo->slots);
    fifo->slots = NULL;
    fifo->capacity = 0;
    fifo->head = fifo->tail = 0;
}

static void *slot(const struct fifo *fifo, uint64_t number)
{
    return fifo->slots + (number & (fifo->capacity - 1)) * fifo->element_size;
}

static int grow(struct fifo *fifo)
{
    struct fifo larger = *fifo;

    larger.capacity = fifo->capacity ? fifo->capacity * 2 : 16;
    larger.slots = malloc(larger.capacity * fifo->element_size);
    if (!larger.slots)
        return -1;
    for (uint64_t number = fifo->head; number < fifo->tail; number++)
        memcpy(slot(&larger, number), slot(fifo, number), fifo->element_size);
    free(fifo->slots);
    *fifo = larger;
    return 0;
}

void *fifo_push(struct fifo *fifo)
{
    if (fifo->tail - fifo->head == fifo->capacity && grow(fifo) != 0)
        return NULL;
    return memset(slot(fifo, fifo->tail++), 0, fifo->element_size);
}

void *fifo_peek(const struct fifo *fifo)
{
    return fifo->head == fifo->tail ? NULL : slot(fifo, fifo->head);
}

void fifo_pop(struct fifo *fifo)
{
    assert(fifo->head < fifo->tail);
    fifo->head++;
}

void *fifo_at(const struct fifo *fifo, uint64_t number)
{
    return number < fifo->head || number >= fifo->tail ? NULL : slot(fifo, number);
}

uint64_t fifo_count(const struct fifo *fifo)
{
    return fifo->tail - fifo->head;
}
