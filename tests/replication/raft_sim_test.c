#include "raft_sim.h"

#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/mutant.h"

#define SEEDS        2000u
#define SEEDS_TWICE  20u
#define FAULTS_US    3000000u
#define SETTLE_US    4000000u
#define DRAIN_US     500000u
#define ISOLATION_US 800000u

static volatile uint64_t seed_now;

/* An assertion of the core knows no seed. */
static void on_abort(int number)
{
    char text[64];
    int size = snprintf(text, sizeof(text), "raft_sim: aborted at seed %llu\n",
                        (unsigned long long)seed_now);

    if (write(STDERR_FILENO, text, (size_t)size) < 0)
        _exit(2);
    signal(number, SIG_DFL);
    raise(number);
}

static void add(struct sim_counts *sum, const struct sim_counts *more)
{
    sum->steps += more->steps;
    sum->elections += more->elections;
    sum->commits += more->commits;
    sum->truncations += more->truncations;
    sum->crashes += more->crashes;
    sum->reads += more->reads;
    sum->configs += more->configs;
    sum->transfers += more->transfers;
    sum->refusals += more->refusals;
    sum->checkpoints += more->checkpoints;
}

/* After the faults: everybody agrees - by itself when idle, else when new entries come, too. */
static void settle(struct sim *sim, bool idle)
{
    uint64_t committed = sim->committed;

    sim_quiet(sim);
    sim->idle = idle;
    for (uint64_t waited = 0;; waited += 50000) {
        if (waited > SETTLE_US)
            sim_fail(sim, "no progress after the faults ended");
        sim_run(sim, sim->now_us + 50000);
        if ((idle || sim->committed > committed) && sim_settled(sim))
            return;
    }
}

/* A follower that was cut off comes back without making anybody's term grow. */
static void isolate(struct sim *sim)
{
    struct sim_node *leader;
    uint32_t term, number;

    sim_run(sim, sim->now_us + DRAIN_US); /* what the faults delayed has arrived */
    settle(sim, false);
    leader = sim_leader(sim);
    term = leader->raft.term;
    number = sim_number(sim, leader) == 0 ? 1 : 0;
    if (leader->raft.config.voter_count < 3 || leader->raft.config.voter_old_count > 0)
        return;
    sim_isolate(sim, number, true);
    sim_run(sim, sim->now_us + ISOLATION_US);
    sim_isolate(sim, number, false);
    sim_run(sim, sim->now_us + ISOLATION_US / 4);
    if (sim_leader(sim) != leader || leader->raft.term != term)
        sim_fail(sim, "a follower that was cut off unseated the leader");
}

static uint64_t run_seed(uint64_t seed, struct sim_counts *counts)
{
    struct sim *sim;
    uint64_t hash;

    seed_now = seed;
    sim = sim_new(seed);
    sim_run(sim, FAULTS_US);
    settle(sim, true);
    settle(sim, false);
    isolate(sim);
    settle(sim, true);
    add(counts, &sim->counts);
    hash = sim->hash;
    sim_free(sim);
    return hash;
}

Test(raft_sim, seeds_hold)
{
    struct sim_counts counts = {0};

    signal(SIGABRT, on_abort);
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run_seed(seed, &counts);
    printf("raft_sim: %u seeds, %llu steps, %llu elections, %llu commits, %llu truncations, "
           "%llu crashes, %llu reads, %llu configurations, %llu transfers, %llu refusals, "
           "%llu checkpoints\n",
           SEEDS, (unsigned long long)counts.steps, (unsigned long long)counts.elections,
           (unsigned long long)counts.commits, (unsigned long long)counts.truncations,
           (unsigned long long)counts.crashes, (unsigned long long)counts.reads,
           (unsigned long long)counts.configs, (unsigned long long)counts.transfers,
           (unsigned long long)counts.refusals, (unsigned long long)counts.checkpoints);
    /* The faults did reach the interesting paths. */
    cr_assert_gt(counts.elections, SEEDS * 2);
    cr_assert_gt(counts.commits, SEEDS * 50);
    cr_assert_gt(counts.truncations, SEEDS / 10);
    cr_assert_gt(counts.crashes, SEEDS);
    cr_assert_gt(counts.reads, SEEDS * 10);
    cr_assert_gt(counts.configs, SEEDS / 4);
    cr_assert_gt(counts.transfers, SEEDS / 10);
    cr_assert_gt(counts.refusals, SEEDS / 10);
    cr_assert_gt(counts.checkpoints, SEEDS);
}

Test(raft_sim, the_same_seed_gives_the_same_run)
{
    struct sim_counts counts = {0};

    signal(SIGABRT, on_abort);
    for (uint64_t seed = 1; seed <= SEEDS_TWICE; seed++)
        cr_assert_eq(run_seed(seed, &counts), run_seed(seed, &counts));
}

#ifdef RINGCASK_MUTANTS
/* First seed that catches the mutant, 0 when none does. */
static uint64_t killing_seed(int mutant_number)
{
    int pipe_ends[2];
    uint64_t seed = 0;
    int status;
    pid_t child;

    cr_assert_eq(pipe(pipe_ends), 0);
    child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        struct sim_counts counts = {0};

        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        mutant_current = mutant_number;
        for (seed = 1; seed <= 1000; seed++) {
            if (write(pipe_ends[1], &seed, sizeof(seed)) != sizeof(seed))
                _exit(1);
            run_seed(seed, &counts);
        }
        _exit(0);
    }
    close(pipe_ends[1]);
    while (read(pipe_ends[0], &seed, sizeof(seed)) == sizeof(seed))
        ;
    close(pipe_ends[0]);
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? seed : 0;
}

Test(raft_sim, mutants_are_killed)
{
    static const int mutants[] = {
        MUTANT_ACK_BEFORE_SYNC,      MUTANT_VOTE_NOT_PERSISTED,    MUTANT_COMMIT_OLD_TERM,
        MUTANT_READ_BEFORE_OWN_TERM, MUTANT_REPLAY_KEEPS_CONFLICT, MUTANT_PREVOTE_IGNORED,
        MUTANT_QUORUM_NOT_DISTINCT,  MUTANT_OTHER_LIFE_ACCEPTED,
    };

    for (size_t i = 0; i < sizeof(mutants) / sizeof(mutants[0]); i++) {
        uint64_t seed = killing_seed(mutants[i]);

        printf("raft_sim: mutant %d killed by seed %llu\n", mutants[i], (unsigned long long)seed);
        cr_expect_neq(seed, 0, "mutant %d survived", mutants[i]);
    }
}
#endif
