/* Sim: one seed, one thread, one queue of events - and every time the same run.
 *
 * Time is in microseconds and moves from event to event; events of one moment run in the order in
 * which they were scheduled. Nothing else decides: no addresses, no hash order, no real clock.
 * What happens is folded into the trace hash, so two runs of one seed can be compared.
 *
 * Random streams: one a concern, so that leaving a fault out (--shrink) changes no other draw.
 * A failure (a checker's finding) is recorded once; the run stops at the next event.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include "tests/sim/sim_random.h"
#include "tests/sim/sim_swarm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_MS     UINT64_C(1000)
#define SIM_SECOND UINT64_C(1000000)

enum sim_stream {
    SIM_STREAM_SWARM,
    SIM_STREAM_FAULT,
    SIM_STREAM_NET,
    SIM_STREAM_HOST,
    SIM_STREAM_CORE, /* the random bits that events carry into the cores */
    SIM_STREAM_WORKLOAD,
    SIM_STREAM_CHECK,
    SIM_STREAM_ADMIN,
    SIM_STREAM_SCAN,
    SIM_STREAM_DISK, /* + number of the disk */
    SIM_STREAM_KEPT = SIM_STREAM_DISK + SIM_NODES_MAX + 1,
    SIM_STREAM_CUT,
    SIM_STREAM_DRAIN,
    SIM_STREAM_TICKETS,
    SIM_STREAM_COPY,
    SIM_STREAM_COUNT,
};

typedef void (*sim_run)(void *context, uint64_t argument);

struct sim_event {
    uint64_t at_us;
    uint64_t order;
    sim_run run;
    void *context;
    uint64_t argument;
};

struct sim {
    uint64_t seed;
    uint64_t now_us;
    struct sim_swarm swarm;
    struct sim_random random[SIM_STREAM_COUNT];
    struct sim_event *heap;
    size_t heap_count, heap_capacity;
    uint64_t order;
    uint64_t events_run;
    uint64_t hash;
    int trace; /* 0 none, 1 events, 2 operations too, 3 messages too */
    bool failed;
    char failure[512];
};

void sim_init(struct sim *sim, uint64_t seed, int trace);
void sim_deinit(struct sim *sim);
/* Runs `run(context, argument)` after delay_us; before anything scheduled later for that moment. */
void sim_after(struct sim *sim, uint64_t delay_us, sim_run run, void *context, uint64_t argument);
/* Runs events until none is left, until_us is reached (now_us is then until_us), or it failed. */
void sim_run_until(struct sim *sim, uint64_t until_us);
/* Folds what happened into the trace hash. */
void sim_fold(struct sim *sim, uint64_t a, uint64_t b, uint64_t c);
/* Prints a line when the trace's level is reached. */
void sim_trace(struct sim *sim, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Records the first failure; later ones are dropped. */
void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline struct sim_random *sim_stream(struct sim *sim, enum sim_stream stream)
{
    return &sim->random[stream];
}

#endif
