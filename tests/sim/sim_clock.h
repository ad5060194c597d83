/* Simulated clock: what one machine believes the time is.
 *
 * Fault model. The monotonic clock runs at its own rate (parts in a million off the true one) and
 * started at its own moment; it never goes back, also not over a restart of the process. The wall
 * clock has an offset on top and jumps, forth and back, when a fault says so. Nothing else: a
 * machine's clock does not stop, and its rate does not change during a run.
 */
#ifndef TESTS_SIM_SIM_CLOCK_H
#define TESTS_SIM_SIM_CLOCK_H

#include <stdint.h>

#define SIM_CLOCK_EPOCH_MS UINT64_C(1700000000000) /* wall time at the start of every run */

struct sim_clock {
    int32_t rate_ppm;       /* above or below the true rate; > -500,000 */
    uint64_t boot_us;       /* what the monotonic clock showed at time 0 */
    int64_t wall_offset_ms; /* jumps add to it */
};

static inline uint64_t sim_clock_us(const struct sim_clock *clock, uint64_t now_us)
{
    return clock->boot_us + now_us * (uint64_t)(1000000 + clock->rate_ppm) / 1000000u;
}

static inline uint64_t sim_clock_ms(const struct sim_clock *clock, uint64_t now_us)
{
    return sim_clock_us(clock, now_us) / 1000;
}

static inline uint64_t sim_clock_wall_ms(const struct sim_clock *clock, uint64_t now_us)
{
    uint64_t run_ms = (sim_clock_us(clock, now_us) - clock->boot_us) / 1000;
    return SIM_CLOCK_EPOCH_MS + run_ms + (uint64_t)clock->wall_offset_ms;
}

/* True time until the clock shows at least `at_ms`; at least `least_us`. */
static inline uint64_t sim_clock_wait_us(const struct sim_clock *clock, uint64_t now_us,
                                         uint64_t at_ms, uint64_t least_us)
{
    uint64_t shown_us = sim_clock_us(clock, now_us);
    if (at_ms > UINT64_MAX / 2000 || at_ms * 1000 <= shown_us)
        return least_us;
    uint64_t wait =
        (at_ms * 1000 - shown_us) * 1000000u / (uint64_t)(1000000 + clock->rate_ppm) + 1;
    return wait < least_us ? least_us : wait;
}

#endif
