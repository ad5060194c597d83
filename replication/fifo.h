/* Fifo: a queue of equal-sized elements in a ring that doubles when it is full. For the hosts'
 * lists that are bounded by something else (operations in flight, batches, messages).
 * Elements are reached by pointers that hold until the next push. Owner: the caller's thread.
 */
#ifndef REPLICATION_FIFO_H
#define REPLICATION_FIFO_H

#include <stddef.h>
#include <stdint.h>

struct fifo {
    uint8_t *slots;
    size_t element_size;
    uint64_t capacity; /* a power of two, or 0 */
    uint64_t head;     /* number of the oldest element since the start; never goes back */
    uint64_t tail;     /* number of the next one */
};

void fifo_init(struct fifo *fifo, size_t element_size);
void fifo_deinit(struct fifo *fifo);
/* A zeroed element at the end; NULL when there is no memory. */
void *fifo_push(struct fifo *fifo);
/* The oldest, NULL when empty. */
void *fifo_peek(const struct fifo *fifo);
void fifo_pop(struct fifo *fifo);
/* The element of that number, NULL when it has been popped or was never pushed. */
void *fifo_at(const struct fifo *fifo, uint64_t number);
uint64_t fifo_count(const struct fifo *fifo);

#endif
