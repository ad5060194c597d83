#include "tests/sim/sim.h"

#include "ring/mix.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sim_init(struct sim *sim, uint64_t seed, int trace)
{
    memset(sim, 0, sizeof *sim);
    sim->seed = seed;
    sim->trace = trace;
    for (unsigned i = 0; i < SIM_STREAM_COUNT; i++)
        sim_random_init(&sim->random[i], seed, i);
    sim_swarm_draw(&sim->swarm, &sim->random[SIM_STREAM_SWARM]);
}

void sim_deinit(struct sim *sim)
{
    free(sim->heap);
    sim->heap = NULL;
}

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void sim_after(struct sim *sim, uint64_t delay_us, sim_run run, void *context, uint64_t argument)
{
    if (sim->heap_count == sim->heap_capacity) {
        sim->heap_capacity = sim->heap_capacity ? sim->heap_capacity * 2 : 1024;
        sim->heap = realloc(sim->heap, sim->heap_capacity * sizeof *sim->heap);
        assert(sim->heap);
    }
    struct sim_event event = {sim->now_us + delay_us, sim->order++, run, context, argument};
    size_t at = sim->heap_count++;
    while (at && before(&event, &sim->heap[(at - 1) / 2])) {
        sim->heap[at] = sim->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    sim->heap[at] = event;
}

static struct sim_event heap_take(struct sim *sim)
{
    struct sim_event first = sim->heap[0], last = sim->heap[--sim->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= sim->heap_count)
            break;
        if (child + 1 < sim->heap_count && before(&sim->heap[child + 1], &sim->heap[child]))
            child++;
        if (!before(&sim->heap[child], &last))
            break;
        sim->heap[at] = sim->heap[child];
        at = child;
    }
    if (sim->heap_count)
        sim->heap[at] = last;
    return first;
}

void sim_run_until(struct sim *sim, uint64_t until_us)
{
    while (!sim->failed && sim->heap_count && sim->heap[0].at_us <= until_us) {
        struct sim_event event = heap_take(sim);
        sim->now_us = event.at_us;
        sim->events_run++;
        event.run(event.context, event.argument);
    }
    if (!sim->failed && sim->now_us < until_us)
        sim->now_us = until_us;
}

void sim_fold(struct sim *sim, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t x = sim->hash ^ mix_of(sim->now_us);
    x = mix_of(x ^ a);
    x = mix_of(x ^ b);
    sim->hash = mix_of(x ^ c);
}

void sim_trace(struct sim *sim, int level, const char *format, ...)
{
    if (sim->trace < level)
        return;
    (void)printf("t=%" PRIu64 ".%03" PRIu64 "s ", sim->now_us / SIM_SECOND,
                 sim->now_us % SIM_SECOND / SIM_MS);
    va_list arguments;
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    (void)putchar('\n');
}

void sim_fail(struct sim *sim, const char *format, ...)
{
    if (sim->failed)
        return;
    sim->failed = true;
    int size = snprintf(sim->failure, sizeof sim->failure, "t=%" PRIu64 ".%03" PRIu64 "s ",
                        sim->now_us / SIM_SECOND, sim->now_us % SIM_SECOND / SIM_MS);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(sim->failure + size, sizeof sim->failure - (size_t)size, format, arguments);
    va_end(arguments);
    if (sim->trace)
        (void)printf("%s\n", sim->failure);
}
