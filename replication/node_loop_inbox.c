#include "replication/node_loop_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ITEM_ALIGN    16u
#define KEEP_SIZE_MAX (4u << 20) /* a buffer that grew beyond this is given back */

int inbox_init(struct inbox *inbox)
{
    pthread_condattr_t attributes;

    *inbox = (struct inbox){0};
    pthread_mutex_init(&inbox->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&inbox->arrived, &attributes);
    pthread_condattr_destroy(&attributes);
    return 0;
}

void inbox_deinit(struct inbox *inbox)
{
    pthread_mutex_destroy(&inbox->mutex);
    pthread_cond_destroy(&inbox->arrived);
    free(inbox->bytes);
    free(inbox->taken);
}

static void grow(struct inbox *inbox, size_t size)
{
    size_t capacity = inbox->capacity ? inbox->capacity : 65536;
    uint8_t *bytes;

    while (capacity < inbox->size + size)
        capacity *= 2;
    if (capacity == inbox->capacity)
        return;
    bytes = realloc(inbox->bytes, capacity);
    if (!bytes) {
        loop_log("error", "out_of_memory", "what=inbox bytes=%zu", capacity);
        _exit(1);
    }
    inbox->bytes = bytes;
    inbox->capacity = capacity;
}

void inbox_put(struct inbox *inbox, const struct inbox_item *item)
{
    size_t body = item->message.body_size;
    size_t size = (sizeof *item + body + ITEM_ALIGN - 1) & ~(size_t)(ITEM_ALIGN - 1);
    bool wake;

    pthread_mutex_lock(&inbox->mutex);
    grow(inbox, size);
    memcpy(inbox->bytes + inbox->size, item, sizeof *item);
    ((struct inbox_item *)(void *)(inbox->bytes + inbox->size))->size = size;
    if (body > 0)
        memcpy(inbox->bytes + inbox->size + sizeof *item, item->message.body, body);
    inbox->size += size;
    wake = inbox->waiting;
    pthread_mutex_unlock(&inbox->mutex);
    if (wake)
        pthread_cond_signal(&inbox->arrived);
}

void inbox_take(struct inbox *inbox, uint64_t until_ms, size_t *taken_size)
{
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                             .tv_nsec = (long)(until_ms % 1000) * 1000000};
    uint8_t *bytes;
    size_t capacity;
    int r = 0;

    if (inbox->taken_capacity > KEEP_SIZE_MAX) {
        free(inbox->taken);
        inbox->taken = NULL;
        inbox->taken_capacity = 0;
    }
    pthread_mutex_lock(&inbox->mutex);
    inbox->waiting = true;
    while (inbox->size == 0 && r != ETIMEDOUT)
        r = pthread_cond_timedwait(&inbox->arrived, &inbox->mutex, &until);
    inbox->waiting = false;
    bytes = inbox->taken;
    capacity = inbox->taken_capacity;
    inbox->taken = inbox->bytes;
    inbox->taken_capacity = inbox->capacity;
    *taken_size = inbox->size;
    inbox->bytes = bytes;
    inbox->capacity = capacity;
    inbox->size = 0;
    pthread_mutex_unlock(&inbox->mutex);
}

struct inbox_item *inbox_next(struct inbox *inbox, size_t taken_size, struct inbox_item *item)
{
    uint8_t *at = item ? (uint8_t *)item + item->size : inbox->taken;
    struct inbox_item *next = (struct inbox_item *)(void *)at;

    if (taken_size == 0 || at == inbox->taken + taken_size)
        return NULL;
    assert(at < inbox->taken + taken_size);
    next->message.body = at + sizeof *next;
    return next;
}
