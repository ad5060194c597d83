#include "tests/sim/sim_main.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TWICE_EVERY 100u

struct total {
    uint64_t seeds, failed, twice;
    uint64_t simulated_us, events, calls, unknowns, rounds, entries, digests, snapshots, kept,
        flushes, relocated, maps, scrub_faults, divergences, scans, configs, lives, destroyed,
        overlaps, spreads, removals, late_requests, drained, tickets, entered, copies, hellos_again;
    uint32_t judge_peak;
    uint64_t table[SIM_FAULT_KINDS][SIM_PHASE_COUNT];
    struct sim_result first_failed;
};

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void print_failure(const struct sim_main_options *options, const struct sim_result *result)
{
    (void)printf("FAILED seed %" PRIu64 ": %s\n", result->seed, result->failure);
    (void)printf("  replay: sim --seed %" PRIu64 " --trace", result->seed);
    if (options->mutant)
        (void)printf(" --mutant %" PRIu64, options->mutant);
    for (uint32_t i = 0; options->left_out[i] != UINT32_MAX; i++)
        (void)printf("%s%u", i ? "," : " --without ", options->left_out[i]);
    (void)putchar('\n');
    (void)fflush(stdout);
}

static void total_add(struct total *total, const struct sim_main_options *options,
                      const struct sim_result *result)
{
    total->seeds++;
    total->simulated_us += result->simulated_us;
    total->events += result->events;
    total->calls += result->calls;
    total->unknowns += result->unknowns;
    total->rounds += result->rounds;
    total->entries += result->entries_compared;
    total->digests += result->digests_compared;
    total->snapshots += result->snapshots_installed;
    total->kept += result->snapshots_kept;
    total->flushes += result->flushes;
    total->relocated += result->relocated;
    total->maps += result->maps;
    total->scrub_faults += result->scrub_faults;
    total->scans += result->scans;
    total->divergences += result->divergences;
    total->configs += result->configs;
    total->lives += result->lives;
    total->destroyed += result->destroyed;
    total->overlaps += result->overlaps;
    total->spreads += result->spreads;
    total->removals += result->removals;
    total->late_requests += result->late_requests;
    total->drained += result->drained;
    total->copies += result->copies;
    total->hellos_again += result->hellos_again;
    total->tickets += result->tickets;
    total->entered += result->entered;
    if (result->judge_peak > total->judge_peak)
        total->judge_peak = result->judge_peak;
    for (uint32_t i = 0; i < SIM_FAULT_KINDS; i++)
        for (uint32_t j = 0; j < SIM_PHASE_COUNT; j++)
            total->table[i][j] += result->table[i][j];
    if (!result->failed)
        return;
    if (total->failed++ == 0)
        total->first_failed = *result;
    print_failure(options, result);
}

static void total_print(const struct total *total, double took)
{
    (void)printf("%-16s %10s %10s %10s %10s\n", "fault \\ phase", "election", "catch-up", "normal",
                 "recovery");
    uint32_t unmet = 0;
    for (uint32_t i = 0; i < SIM_FAULT_KINDS; i++) {
        (void)printf("%-16s", sim_fault_name((enum sim_fault_kind)i));
        for (uint32_t j = 0; j < SIM_PHASE_COUNT; j++) {
            (void)printf(" %10" PRIu64, total->table[i][j]);
            unmet += total->table[i][j] == 0;
        }
        (void)putchar('\n');
    }
    (void)printf("%u of %u pairs of fault and phase were met\n",
                 SIM_FAULT_KINDS * SIM_PHASE_COUNT - unmet, SIM_FAULT_KINDS * SIM_PHASE_COUNT);
    double hours = (double)total->simulated_us / 3.6e9;
    (void)printf("%" PRIu64 " operations (%" PRIu64 " of unknown outcome), %" PRIu64
                 " rounds checked, %" PRIu64 " entries and %" PRIu64 " digests compared, %" PRIu64
                 " snapshots installed, %" PRIu64 " gone on with behind a restart, %" PRIu64
                 " flushes, %" PRIu64 " entries moved, %" PRIu64
                 " changes of the ring map, %" PRIu64 " faults scrubbed, %" PRIu64
                 " replicas outvoted, %" PRIu64
                 " times over all keys; the judge held %u configurations at most\n",
                 total->calls, total->unknowns, total->rounds, total->entries, total->digests,
                 total->snapshots, total->kept, total->flushes, total->relocated, total->maps,
                 total->scrub_faults, total->divergences, total->scans, total->judge_peak);
    (void)printf("%" PRIu64 " replicas begun and %" PRIu64 " destroyed, %" PRIu64
                 " configurations of groups committed; shards said %" PRIu64
                 " times that they are drained; %" PRIu64 " tickets made, %" PRIu64
                 " let in; %" PRIu64 " old copies of disks refused, %" PRIu64
                 " HELLOs sent again\n",
                 total->lives, total->destroyed, total->configs, total->drained, total->tickets,
                 total->entered, total->copies, total->hellos_again);
    (void)printf(
        "configurations were compared %" PRIu64 " times; %" PRIu64 " removals settled, %" PRIu64
        " requests came to removed nodes behind that; %" PRIu64 " settled maps with zones\n",
        total->overlaps, total->removals, total->late_requests, total->spreads);
    (void)printf(
        "%" PRIu64 " seeds, %" PRIu64 " failed, %" PRIu64
        " run twice; %.2f simulated hours in %.1f s (%.0f times real time, %.1f seeds/s)\n",
        total->seeds, total->failed, total->twice, hours, took, hours * 3600 / took,
        (double)total->seeds / took);
}

/* One seed in this slot's process; the parent reads the result from the pipe. */
struct slot {
    pid_t child;
    int fd;
};

static void slot_start(struct slot *slot, const struct sim_main_options *options, uint64_t seed)
{
    int fds[2];
    (void)fflush(NULL);
    if (pipe(fds) != 0 || (slot->child = fork()) < 0) {
        perror("sim: fork");
        exit(1);
    }
    if (slot->child == 0) {
        struct sim_run_options run = {.seed = seed, .trace = options->trace};
        struct sim_result results[2] = {0};
        memcpy(run.left_out, options->left_out, sizeof run.left_out);
        (void)close(fds[0]);
        uint32_t times = seed % TWICE_EVERY == 0 ? 2 : 1;
        for (uint32_t i = 0; i < times; i++)
            sim_worker_run(&run, &results[i]);
        if (times == 2 && results[0].hash != results[1].hash && !results[0].failed) {
            results[0].failed = true;
            (void)snprintf(results[0].failure, sizeof results[0].failure,
                           "two runs differ: trace hashes %016" PRIx64 " and %016" PRIx64,
                           results[0].hash, results[1].hash);
        }
        _exit(write(fds[1], &results[0], sizeof results[0]) == (ssize_t)sizeof results[0] ? 0 : 1);
    }
    (void)close(fds[1]);
    slot->fd = fds[0];
}

/* Waits for one slot to end; returns which. */
static uint32_t slot_wait(struct slot *slots, uint32_t count, struct sim_result *result)
{
    struct pollfd polls[SIM_JOBS_AT_ONCE_MAX];
    for (uint32_t i = 0; i < count; i++)
        polls[i] = (struct pollfd){.fd = slots[i].child > 0 ? slots[i].fd : -1, .events = POLLIN};
    while (poll(polls, count, -1) < 0 && errno == EINTR)
        ;
    uint32_t i = 0;
    while (i + 1 < count && (polls[i].fd < 0 || !polls[i].revents))
        i++;
    if (read(slots[i].fd, result, sizeof *result) != (ssize_t)sizeof *result) {
        (void)fprintf(stderr, "sim: a worker died\n");
        exit(1);
    }
    (void)close(slots[i].fd);
    (void)waitpid(slots[i].child, NULL, 0);
    slots[i].child = 0;
    return i;
}

static int run_many(struct sim_main_options *options)
{
    struct slot slots[SIM_JOBS_AT_ONCE_MAX] = {0};
    struct total total = {0};
    uint64_t seed = options->first, running = 0;
    double start = seconds(), end = start + (double)options->minutes * 60;
    bool more = true;
    for (;;) {
        more = more && total.failed < 10 &&
               (options->mode == SIM_MAIN_SEEDS ? seed <= options->last : seconds() < end) &&
               !(options->mutant && total.failed);
        uint32_t i = 0;
        while (more && i < options->jobs && slots[i].child > 0)
            i++;
        if (more && i < options->jobs) {
            total.twice += seed % TWICE_EVERY == 0;
            slot_start(&slots[i], options, seed++);
            running++;
            continue;
        }
        if (running == 0)
            break;
        struct sim_result result;
        (void)slot_wait(slots, options->jobs, &result);
        running--;
        total_add(&total, options, &result);
    }
    total_print(&total, seconds() - start);
    if (total.failed && options->shrink)
        sim_shrink(options, &total.first_failed);
    return total.failed ? 1 : 0;
}

static int run_one(const struct sim_main_options *options)
{
    struct sim_run_options run = {.seed = options->first, .trace = options->trace};
    struct sim_result result;
    memcpy(run.left_out, options->left_out, sizeof run.left_out);
    sim_worker_run(&run, &result);
    if (result.failed) {
        print_failure(options, &result);
        if (options->shrink)
            sim_shrink(options, &result);
    }
    (void)printf("seed %" PRIu64 ": trace hash %016" PRIx64 ", %" PRIu64 " events, %" PRIu64
                 " operations, %" PRIu64 " returned, %" PRIu64 " failed, %" PRIu64
                 " unknown, %.1f simulated s\n",
                 result.seed, result.hash, result.events, result.calls, result.returns,
                 result.failures, result.unknowns, (double)result.simulated_us / 1e6);
    return result.failed ? 1 : 0;
}

int sim_main(struct sim_main_options *options)
{
    if (options->describe) {
        sim_run_describe(options->first);
        return 0;
    }
    if (options->mode == SIM_MAIN_SEED)
        return run_one(options);
    if (options->mode == SIM_MAIN_MINUTES && !options->from_given)
        options->first = (uint64_t)time(NULL) * 100000;
    if (options->mode == SIM_MAIN_MINUTES)
        (void)printf("seeds from %" PRIu64 " on\n", options->first);
    return run_many(options);
}
