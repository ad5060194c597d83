/* Shrinking of runs that are made up here, in the place of sim_run.c. */
#include "tests/sim/sim_main.h"

#include <assert.h>
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <string.h>

#define FAULTS 7u

static void (*run)(const bool *faults, struct sim_result *result);

void sim_run_seed(const struct sim_run_options *options, struct sim_result *result)
{
    bool faults[SIM_FAULT_ENTRIES_MAX];
    memset(faults, true, sizeof faults);
    memset(result, 0, sizeof *result);
    for (uint32_t i = 0; options->left_out[i] != UINT32_MAX; i++)
        faults[options->left_out[i]] = false;
    result->seed = options->seed;
    result->fault_count = FAULTS;
    run(faults, result);
}

/* All that is printed when a run with every fault fails. */
static void shrink(char *text, size_t size)
{
    struct sim_main_options options = {.left_out = {UINT32_MAX}};
    struct sim_run_options first = {.seed = 5, .left_out = {UINT32_MAX}};
    struct sim_result result;
    cr_redirect_stdout();
    cr_redirect_stderr();
    sim_worker_run(&first, &result);
    cr_assert(result.failed);
    cr_assert_eq(result.seed, 5);
    cr_assert_eq(result.fault_count, FAULTS, "also of a run that died");
    sim_shrink(&options, &result);
    (void)fflush(stdout);
    FILE *said = cr_get_redirected_stdout();
    text[fread(text, 1, size - 1, said)] = '\0';
}

static void fails_of_two(const bool *faults, struct sim_result *result)
{
    result->failed = faults[2] && faults[6];
    (void)snprintf(result->failure, sizeof result->failure, "t=1.5s p00 lost an entry");
}

static void dies_of_one(const bool *faults, struct sim_result *result)
{
    bool fault_3 = faults[3], fault_5 = faults[5];
    (void)result;
    assert(!fault_3);
    assert(fault_5); /* another bug, of a schedule that was cut too far */
}

static void dies_of_none(const bool *faults, struct sim_result *result)
{
    const char *core = faults ? NULL : "";
    (void)result;
    assert(core);
}

Test(sim_shrink, those_that_are_needed_remain)
{
    char text[4096];
    run = fails_of_two;
    shrink(text, sizeof text);
    cr_assert(strstr(text, ": 2 of 7 faults are needed"), "%s", text);
    cr_assert(strstr(text, "sim --seed 5 --trace --without 0,1,3,4,5\n"), "%s", text);
}

Test(sim_shrink, a_core_that_dies_of_another_assertion_is_another_failure)
{
    char text[4096];
    run = dies_of_one;
    shrink(text, sizeof text);
    cr_assert(strstr(text, ": 1 of 7 faults are needed"), "%s", text);
    cr_assert(strstr(text, "Assertion `!fault_3' failed"), "%s", text);
    cr_assert(strstr(text, " --without 0,1,2,4,5,6\n"), "%s", text);
}

Test(sim_shrink, a_core_that_dies_by_itself_needs_none_of_those_that_there_are)
{
    char text[4096];
    run = dies_of_none;
    shrink(text, sizeof text);
    cr_assert(strstr(text, ": 0 of 7 faults are needed"), "%s", text);
    cr_assert(strstr(text, " --without 0,1,2,3,4,5,6\n"), "%s", text);
}
