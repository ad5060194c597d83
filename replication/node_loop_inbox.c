#include "replication/node_loop_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ITEM_ALIGN    16u
#define KEEP_SIZE_MAX (4u << 20) /* a buffer that grew beyond this is given back */
#define SLEEP_MS_MAX  60000u

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

    pthread_mutex_lock(&inbox->mutex);
    grow(inbox, size);
    memcpy(inbox->bytes + inbox->size, item, sizeof *item);
    ((struct inbox_item *)(void *)(inbox->bytes + inbox->size))->size = size;
    if (body > 0)
        memcpy(inbox->bytes + inbox->size + sizeof *item, item->message.body, body);
    inbox->size += size;
    if (inbox->waiting) /* under the lock: the owner may end the inbox as soon as it has this */
        pthread_cond_signal(&inbox->arrived);
    pthread_mutex_unlock(&inbox->mutex);
}

static int wait_until(struct inbox *inbox, uint64_t until_ms)
{
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                             .tv_nsec = (long)(until_ms % 1000) * 1000000};

    return pthread_cond_timedwait(&inbox->arrived, &inbox->mutex, &until);
}

/* A buffer that one flood made large is not kept. No lock: it is the owner's. */
static void shrink_taken(struct inbox *inbox)
{
    if (inbox->taken_capacity <= KEEP_SIZE_MAX)
        return;
    free(inbox->taken);
    inbox->taken = NULL;
    inbox->taken_capacity = 0;
}

/* The buffers change places; the lock is held. */
static size_t swap(struct inbox *inbox)
{
    uint8_t *bytes = inbox->taken;
    size_t capacity = inbox->taken_capacity, size = inbox->size;

    inbox->taken = inbox->bytes;
    inbox->taken_capacity = inbox->capacity;
    inbox->bytes = bytes;
    inbox->capacity = capacity;
    inbox->size = 0;
    atomic_fetch_add(&inbox->round, 1);
    return size;
}

void inbox_take(struct inbox *inbox, uint64_t until_ms, size_t *taken_size)
{
    int r = 0;

    shrink_taken(inbox);
    pthread_mutex_lock(&inbox->mutex);
    inbox->waiting = true;
    while (inbox->size == 0 && r != ETIMEDOUT)
        r = wait_until(inbox, until_ms);
    inbox->waiting = false;
    *taken_size = swap(inbox);
    pthread_mutex_unlock(&inbox->mutex);
}

bool inbox_claim(struct inbox *inbox)
{
    bool claimed;

    pthread_mutex_lock(&inbox->mutex);
    claimed = inbox->size > 0 && !inbox->claimed && !inbox->closed;
    inbox->claimed |= claimed;
    pthread_mutex_unlock(&inbox->mutex);
    return claimed;
}

bool inbox_wait_claim(struct inbox *inbox)
{
    bool open;

    pthread_mutex_lock(&inbox->mutex);
    while (!inbox->closed && (inbox->claimed || !inbox->handed_over) &&
           (inbox->claimed || loop_now_ms() < inbox->due_ms)) {
        /* Who has claimed it sees to what is due, and tells when it lets go. */
        inbox->sleeps_until_ms = inbox->claimed ? loop_now_ms() + SLEEP_MS_MAX : inbox->due_ms;
        (void)wait_until(inbox, inbox->sleeps_until_ms);
        inbox->sleeps_until_ms = 0;
    }
    open = !inbox->closed;
    inbox->handed_over = false;
    inbox->claimed |= open;
    pthread_mutex_unlock(&inbox->mutex);
    return open;
}

bool inbox_take_claimed(struct inbox *inbox, uint64_t due_ms, size_t *taken_size)
{
    bool more;

    shrink_taken(inbox);
    pthread_mutex_lock(&inbox->mutex);
    assert(inbox->claimed);
    more = inbox->size > 0 && !inbox->closed;
    *taken_size = more ? swap(inbox) : 0;
    if (!more) {
        inbox->claimed = false;
        inbox->due_ms = due_ms;
        if (inbox->closed || due_ms < inbox->sleeps_until_ms)
            pthread_cond_broadcast(&inbox->arrived);
    }
    pthread_mutex_unlock(&inbox->mutex);
    return more;
}

void inbox_hand_over(struct inbox *inbox, uint64_t due_ms)
{
    pthread_mutex_lock(&inbox->mutex);
    assert(inbox->claimed);
    inbox->claimed = false;
    inbox->due_ms = due_ms;
    if (inbox->size > 0 || inbox->closed || due_ms < inbox->sleeps_until_ms) {
        inbox->handed_over = true;
        pthread_cond_broadcast(&inbox->arrived);
    }
    pthread_mutex_unlock(&inbox->mutex);
}

void inbox_close(struct inbox *inbox)
{
    pthread_mutex_lock(&inbox->mutex);
    inbox->closed = true;
    pthread_cond_broadcast(&inbox->arrived);
    while (inbox->claimed)
        pthread_cond_wait(&inbox->arrived, &inbox->mutex);
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
