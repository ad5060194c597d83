#include "tests/sim/sim_main.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t list_make(const bool *left_out, uint32_t count, uint32_t *list)
{
    uint32_t size = 0;
    for (uint32_t i = 0; i < count; i++)
        if (left_out[i])
            list[size++] = i;
    list[size] = UINT32_MAX;
    return size;
}

/* The same failure, numbers aside: another bug must not take its place. */
static bool same_kind(const char *a, const char *b)
{
    for (;;) {
        while (*a >= '0' && *a <= '9')
            a++;
        while (*b >= '0' && *b <= '9')
            b++;
        if (*a != *b)
            return false;
        if (!*a || *a == ':')
            return true;
        a++;
        b++;
    }
}

static bool fails(const struct sim_result *failed, const bool *left_out, uint32_t count,
                  struct sim_result *result)
{
    struct sim_run_options options = {.seed = failed->seed};
    (void)list_make(left_out, count, options.left_out);
    sim_worker_run(&options, result);
    return result->failed && same_kind(result->failure, failed->failure);
}

/* Delta debugging (Zeller and Hildebrandt, 2002), simplified: leave out ever smaller runs of
 * entries as long as it goes on failing. */
void sim_shrink(const struct sim_main_options *main_options, const struct sim_result *failed)
{
    bool left_out[SIM_FAULT_ENTRIES_MAX] = {false};
    uint32_t list[SIM_LEFT_OUT_MAX + 1], runs = 0;
    struct sim_result result, last = *failed;
    uint32_t count = failed->fault_count;
    for (uint32_t i = 0; main_options->left_out[i] != UINT32_MAX; i++)
        if (main_options->left_out[i] < count)
            left_out[main_options->left_out[i]] = true;
    for (uint32_t size = count; size >= 1; size /= 2)
        for (uint32_t at = 0; at < count; at += size) {
            bool tried[SIM_FAULT_ENTRIES_MAX], more = false;
            memcpy(tried, left_out, sizeof tried);
            for (uint32_t i = at; i < at + size && i < count; i++) {
                more = more || !tried[i];
                tried[i] = true;
            }
            if (!more)
                continue;
            runs++;
            if (fails(failed, tried, count, &result)) {
                memcpy(left_out, tried, sizeof left_out);
                last = result;
            }
        }
    uint32_t size = list_make(left_out, count, list);
    (void)printf(
        "shrunk in %u runs: %u of %u faults are needed\n  %s\n  replay: sim --seed %" PRIu64
        " --trace",
        runs, count - size, count, last.failure, failed->seed);
    if (main_options->mutant)
        (void)printf(" --mutant %" PRIu64, main_options->mutant);
    for (uint32_t i = 0; i < size; i++)
        (void)printf("%s%u", i ? "," : " --without ", list[i]);
    (void)putchar('\n');
}
