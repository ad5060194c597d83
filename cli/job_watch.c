#include "cli/job_watch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int job_watch_init(struct job_watch *watch, uint16_t shard_count, uint64_t now_ms)
{
    *watch = (struct job_watch){.begin_ms = now_ms, .end_ms = now_ms};
    watch->shards = calloc(shard_count > 0 ? shard_count : 1, sizeof *watch->shards);
    if (!watch->shards)
        return -ENOMEM;
    watch->shard_count = shard_count;
    return 0;
}

void job_watch_deinit(struct job_watch *watch)
{
    free(watch->shards);
    *watch = (struct job_watch){0};
}

static void end(struct job_watch *watch, enum job_watch_state state, const char *why,
                uint64_t now_ms)
{
    watch->state = (uint8_t)state;
    watch->why = why;
    watch->end_ms = now_ms;
}

void job_watch_lose(struct job_watch *watch, const char *why, uint64_t now_ms)
{
    assert(watch->state == JOB_WATCH_RUNNING);
    end(watch, JOB_WATCH_LOST, why, now_ms);
}

void job_watch_spare(struct job_watch *watch)
{
    assert(watch->state == JOB_WATCH_RUNNING);
    watch->state = JOB_WATCH_SPARED;
}

static bool is_done(const struct job_watch_shard *shard)
{
    return shard->begun && !shard->now.running;
}

bool job_watch_wants(const struct job_watch *watch, uint16_t shard)
{
    return watch->state == JOB_WATCH_RUNNING && !is_done(&watch->shards[shard]);
}

static bool all_done(const struct job_watch *watch)
{
    for (uint16_t i = 0; i < watch->shard_count; i++)
        if (!is_done(&watch->shards[i]))
            return false;
    return true;
}

void job_watch_take(struct job_watch *watch, uint16_t number, const struct job_watch_answer *answer,
                    uint64_t now_ms)
{
    struct job_watch_shard *shard = &watch->shards[number];

    assert(number < watch->shard_count);
    if (watch->state != JOB_WATCH_RUNNING)
        return;
    if (!answer) {
        if (++shard->misses >= JOB_WATCH_MISSES_MAX)
            end(watch, JOB_WATCH_LOST, "it does not answer any more", now_ms);
        return;
    }
    shard->misses = 0;
    if (!shard->begun)
        shard->first = *answer;
    shard->begun = true;
    shard->now = *answer;
    if (!answer->accepted)
        end(watch, JOB_WATCH_FAILED, "a shard is fenced: see ring-admin status", now_ms);
    else if (answer->demands < shard->first.demands)
        end(watch, JOB_WATCH_LOST, "it was started again meanwhile: ask again", now_ms);
    else if (answer->failed >= shard->first.failed + JOB_WATCH_FAILS_MAX)
        end(watch, JOB_WATCH_FAILED, "it fails there again and again: is its disk full?", now_ms);
    else if (all_done(watch))
        end(watch, JOB_WATCH_DONE, NULL, now_ms);
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

void job_watch_sum(const struct job_watch *watch, struct job_watch_sum *sum)
{
    *sum = (struct job_watch_sum){.begun = watch->shard_count > 0};
    for (uint16_t i = 0; i < watch->shard_count; i++) {
        const struct job_watch_shard *shard = &watch->shards[i];

        sum->begun = sum->begun && shard->begun;
        for (size_t j = 0; j < JOB_WATCH_COUNTS_MAX; j++) {
            sum->first[j] += shard->first.counts[j];
            sum->now[j] += shard->now.counts[j];
            sum->grown[j] += less(shard->now.counts[j], shard->first.counts[j]);
        }
    }
}

unsigned job_watch_percent(const struct job_watch *watches, size_t count)
{
    double total = 0, left = 0;
    bool runs = false;

    for (size_t n = 0; n < count; n++) {
        if (watches[n].state == JOB_WATCH_RUNNING)
            runs = true;
        for (uint16_t i = 0; i < watches[n].shard_count; i++) {
            const struct job_watch_shard *shard = &watches[n].shards[i];
            uint64_t first = shard->first.left_bytes, now = shard->now.left_bytes;

            total += (double)first;
            if (watches[n].state == JOB_WATCH_RUNNING)
                left += (double)(now < first ? now : first);
        }
    }
    if (!runs)
        return 100;
    if (total <= 0)
        return 0;
    return (unsigned)(99.0 * (total - left) / total);
}
