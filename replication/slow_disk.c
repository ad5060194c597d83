#include "replication/slow_disk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

void slow_disk_options_default(struct slow_disk_options *options)
{
    *options = (struct slow_disk_options){
        .members_max = 1000,
        .floor_us = 20000,
        .begin_ratio = 8,
        .end_ratio = 3,
        .begin_ms = 850,
        .end_ms = 30000,
    };
}

int slow_disk_init(struct slow_disk *slow_disk, const struct slow_disk_options *options)
{
    assert(options->members_max >= 1 && options->end_ratio >= 1);
    assert(options->end_ratio <= options->begin_ratio);
    *slow_disk = (struct slow_disk){.options = *options};
    slow_disk->states = calloc(options->members_max, sizeof *slow_disk->states);
    slow_disk->sorted = calloc(options->members_max, sizeof *slow_disk->sorted);
    if (!slow_disk->states || !slow_disk->sorted) {
        slow_disk_deinit(slow_disk);
        return -ENOMEM;
    }
    return 0;
}

void slow_disk_deinit(struct slow_disk *slow_disk)
{
    free(slow_disk->states);
    free(slow_disk->sorted);
    *slow_disk = (struct slow_disk){0};
}

bool slow_disk_is(const struct slow_disk *slow_disk, uint32_t slot)
{
    assert(slot < slow_disk->options.members_max);
    return slow_disk->states[slot].slow;
}

static int number_compare(const void *left, const void *right)
{
    const uint32_t *a = left;
    const uint32_t *b = right;

    return (*a > *b) - (*a < *b);
}

/* The best of its newest samples, this one among them. */
static uint32_t best_of(struct slow_disk_state *state, uint32_t p99_us)
{
    uint32_t best_us = p99_us;

    state->newest_us[state->sample_count++ % SLOW_DISK_SAMPLES] = p99_us;
    for (uint32_t i = 0; i < SLOW_DISK_SAMPLES && i < state->sample_count; i++)
        best_us = state->newest_us[i] < best_us ? state->newest_us[i] : best_us;
    return best_us;
}

static uint32_t sort_samples(struct slow_disk *slow_disk, const struct slow_disk_event *event)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < event->count; i++) {
        if (event->samples[i].fresh)
            slow_disk->sorted[count++] = best_of(&slow_disk->states[i], event->samples[i].p99_us);
    }
    qsort(slow_disk->sorted, count, sizeof *slow_disk->sorted, number_compare);
    return count;
}

struct bars {
    uint64_t upper_us;
    uint64_t lower_us;
};

static struct bars bars_of(const struct slow_disk_options *options, uint32_t median_us)
{
    uint64_t begin_us = (uint64_t)median_us * options->begin_ratio;
    uint64_t end_us = (uint64_t)median_us * options->end_ratio;

    return (struct bars){
        .upper_us = begin_us > options->floor_us ? begin_us : options->floor_us,
        .lower_us = end_us > options->floor_us / 2 ? end_us : options->floor_us / 2,
    };
}

/* Whether all samples of the newest begin_ms, and this one, were above the upper bar. */
static bool long_high(const struct slow_disk *slow_disk, struct slow_disk_state *state, bool high,
                      uint64_t now_ms)
{
    if (!state->high)
        state->high_since_ms = now_ms;
    state->high = high;
    return high && now_ms - state->high_since_ms >= slow_disk->options.begin_ms;
}

/* True: it becomes slow or sound. */
static bool judge(const struct slow_disk *slow_disk, struct slow_disk_state *state, uint32_t p99_us,
                  struct bars bars, uint64_t now_ms)
{
    bool bad = long_high(slow_disk, state, p99_us > bars.upper_us, now_ms);

    state->good = p99_us <= bars.lower_us;
    if (bad || !state->slow)
        state->good_ms = 0;
    else if (state->good)
        state->good_ms += now_ms - slow_disk->stepped_ms;
    return state->slow ? state->good_ms >= slow_disk->options.end_ms : bad;
}

uint32_t slow_disk_step(struct slow_disk *slow_disk, const struct slow_disk_event *event)
{
    uint32_t changed = 0;
    struct bars bars;
    uint32_t count;

    assert(event->count <= slow_disk->options.members_max);
    count = sort_samples(slow_disk, event);
    bars = bars_of(&slow_disk->options, count > 0 ? slow_disk->sorted[(count - 1) / 2] : 0);
    for (uint32_t i = 0; i < event->count; i++) {
        const struct slow_disk_sample *sample = &event->samples[i];
        struct slow_disk_state *state = &slow_disk->states[i];

        if (!sample->fresh || count < 2) {
            state->high = false;
            if (state->good)
                state->good_ms += event->now_ms - slow_disk->stepped_ms;
        } else if (judge(slow_disk, state, sample->p99_us, bars, event->now_ms)) {
            state->slow = !state->slow;
            state->good_ms = 0;
            changed++;
        }
    }
    slow_disk->stepped_ms = event->now_ms;
    return changed;
}
