#include "cli/flush_watch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int flush_watch_init(struct flush_watch *watch, uint16_t shard_count, uint64_t now_ms)
{
    *watch = (struct flush_watch){.begin_ms = now_ms, .end_ms = now_ms};
    watch->shards = calloc(shard_count > 0 ? shard_count : 1, sizeof *watch->shards);
    if (!watch->shards)
        return -ENOMEM;
    watch->shard_count = shard_count;
    return 0;
}

void flush_watch_deinit(struct flush_watch *watch)
{
    free(watch->shards);
    *watch = (struct flush_watch){0};
}

static void end(struct flush_watch *watch, enum flush_watch_state state, const char *why,
                uint64_t now_ms)
{
    watch->state = (uint8_t)state;
    watch->why = why;
    watch->end_ms = now_ms;
}

void flush_watch_lose(struct flush_watch *watch, const char *why, uint64_t now_ms)
{
    assert(watch->state == FLUSH_WATCH_RUNNING);
    end(watch, FLUSH_WATCH_LOST, why, now_ms);
}

static bool is_done(const struct flush_watch_shard *shard)
{
    return shard->begun && !shard->now.flushing;
}

bool flush_watch_wants(const struct flush_watch *watch, uint16_t shard)
{
    return watch->state == FLUSH_WATCH_RUNNING && !is_done(&watch->shards[shard]);
}

static bool all_done(const struct flush_watch *watch)
{
    for (uint16_t i = 0; i < watch->shard_count; i++)
        if (!is_done(&watch->shards[i]))
            return false;
    return true;
}

void flush_watch_take(struct flush_watch *watch, uint16_t number,
                      const struct wire_flush_state *answer, uint64_t now_ms)
{
    struct flush_watch_shard *shard = &watch->shards[number];

    assert(number < watch->shard_count);
    if (watch->state != FLUSH_WATCH_RUNNING)
        return;
    if (!answer) {
        if (++shard->misses >= FLUSH_WATCH_MISSES_MAX)
            end(watch, FLUSH_WATCH_LOST, "it does not answer any more", now_ms);
        return;
    }
    shard->misses = 0;
    if (!shard->begun)
        shard->first = *answer;
    shard->begun = true;
    shard->now = *answer;
    if (!answer->accepted)
        end(watch, FLUSH_WATCH_FAILED, "a shard is fenced: see ring-admin status", now_ms);
    else if (answer->demands < shard->first.demands)
        end(watch, FLUSH_WATCH_LOST, "it was started again meanwhile: ask again", now_ms);
    else if (answer->failed >= shard->first.failed + FLUSH_WATCH_FAILS_MAX)
        end(watch, FLUSH_WATCH_FAILED, "flush fails there: is its disk full?", now_ms);
    else if (all_done(watch))
        end(watch, FLUSH_WATCH_DONE, NULL, now_ms);
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

void flush_watch_sum(const struct flush_watch *watch, struct flush_watch_sum *sum)
{
    *sum = (struct flush_watch_sum){.begun = watch->shard_count > 0};
    for (uint16_t i = 0; i < watch->shard_count; i++) {
        const struct flush_watch_shard *shard = &watch->shards[i];

        sum->begun = sum->begun && shard->begun;
        sum->before += shard->first.disk_bytes;
        sum->after += shard->now.disk_bytes;
        sum->log += shard->now.log_bytes;
        /* Merging small files may cost more than it gives. */
        sum->reclaimed += less(shard->now.reclaimed, shard->first.reclaimed);
        sum->files += less(shard->now.files, shard->first.files);
        sum->left_files += shard->now.left_files;
    }
}

unsigned flush_watch_percent(const struct flush_watch *watches, size_t count)
{
    double total = 0, left = 0;
    bool runs = false;

    for (size_t n = 0; n < count; n++) {
        if (watches[n].state == FLUSH_WATCH_RUNNING)
            runs = true;
        for (uint16_t i = 0; i < watches[n].shard_count; i++) {
            const struct flush_watch_shard *shard = &watches[n].shards[i];
            uint64_t first = shard->first.left_bytes, now = shard->now.left_bytes;

            total += (double)first;
            if (watches[n].state == FLUSH_WATCH_RUNNING)
                left += (double)(now < first ? now : first);
        }
    }
    if (!runs)
        return 100;
    if (total <= 0)
        return 0;
    return (unsigned)(99.0 * (total - left) / total);
}
