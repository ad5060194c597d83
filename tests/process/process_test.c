/* Process tests: real processes, real disks. One line a scenario, and a closing line.
 *
 *   process_test [--short] [--scenario NAME,...] [--skip NAME,...] [--rounds N] [--keep]
 *   process_test --list
 * Exit code 0 when none failed; those that this machine does not permit say why, and are counted.
 */
#include "tests/process/program.h"
#include "tests/process/scenario.h"

#include <ftw.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
    const char *name;
    void (*run)(const struct scenario_options *options);
} scenarios[] = {
#define X(name) {#name, scenario_##name},
    SCENARIOS(X)
#undef X
};
#define SCENARIO_COUNT (sizeof scenarios / sizeof *scenarios)

void scenario_say(const struct scenario_options *options, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vsnprintf(options->report->text, sizeof options->report->text, format, list);
    va_end(list);
}

void scenario_skip(const struct scenario_options *options, const char *why)
{
    options->report->skipped = true;
    scenario_say(options, "%s", why);
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

/* In a process of its own: what it starts dies with it. */
static int run_apart(size_t i, const struct scenario_options *options)
{
    pid_t pid;
    int status;

    fflush(stdout);
    pid = fork();
    REQUIRE(pid >= 0, "fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        scenarios[i].run(options);
        exit(0);
    }
    REQUIRE(waitpid(pid, &status, 0) == pid, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

enum outcome { PASSED, SKIPPED, FAILED, OUTCOMES };

static enum outcome run(size_t i, struct scenario_options *options, bool keep)
{
    static const char *const words[] = {[PASSED] = "ok", [SKIPPED] = "skip", [FAILED] = "FAIL"};
    char folder[] = "/tmp/ringcask-process-XXXXXX";
    uint64_t begin_ns = now_ns();
    enum outcome outcome;
    int code;

    REQUIRE(mkdtemp(folder), "mkdtemp");
    options->folder = folder;
    options->report->skipped = false;
    options->report->text[0] = 0;
    code = run_apart(i, options);
    outcome = code != 0 ? FAILED : options->report->skipped ? SKIPPED : PASSED;
    printf("%-5s %-8s %5.1f s  %s\n", words[outcome], scenarios[i].name,
           (double)(now_ns() - begin_ns) / 1e9, code != 0 ? "see above" : options->report->text);
    if (code == 0 && !keep)
        (void)nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    else
        printf("      everything is kept in %s\n", folder);
    fflush(stdout);
    options->folder = NULL;
    return outcome;
}

/* names: with commas between them. */
static bool is_in(const char *names, const char *name)
{
    size_t size = strlen(name);

    for (const char *at = strstr(names, name); at; at = strstr(at + 1, name))
        if ((at == names || at[-1] == ',') && (at[size] == ',' || at[size] == 0))
            return true;
    return false;
}

static void list(FILE *out, const char *before, const char *after)
{
    for (size_t i = 0; i < SCENARIO_COUNT; i++)
        fprintf(out, "%s%s%s", before, scenarios[i].name, after);
}

static void usage(void)
{
    fprintf(stderr, "usage: process_test [--short] [--scenario NAME,...] [--skip NAME,...] "
                    "[--rounds N] [--keep] | --list\nscenarios:");
    list(stderr, " ", "");
    fputc('\n', stderr);
    exit(2);
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"short", no_argument, NULL, 's'},
                                          {"scenario", required_argument, NULL, 'n'},
                                          {"skip", required_argument, NULL, 'x'},
                                          {"rounds", required_argument, NULL, 'r'},
                                          {"keep", no_argument, NULL, 'k'},
                                          {"list", no_argument, NULL, 'l'},
                                          {0}};
    struct scenario_options options = {0};
    unsigned counts[OUTCOMES] = {0};
    const char *only = NULL, *skip = "";
    bool keep = false;
    int code;

    while ((code = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (code == 's')
            options.is_short = true;
        else if (code == 'n')
            only = optarg;
        else if (code == 'x')
            skip = optarg;
        else if (code == 'r')
            options.rounds = (uint32_t)strtoul(optarg, NULL, 10);
        else if (code == 'k')
            keep = true;
        else if (code == 'l') {
            list(stdout, "", "\n");
            return 0;
        } else
            usage();
    }
    options.report = mmap(NULL, sizeof *options.report, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(options.report != MAP_FAILED, "mmap");
    signal(SIGPIPE, SIG_IGN);
    setenv("TSAN_OPTIONS",
           "suppressions=" RINGCASK_SOURCE_DIR "/tests/process/tsan.txt atexit_sleep_ms=0", 0);
    for (size_t i = 0; i < SCENARIO_COUNT; i++) {
        if ((only && !is_in(only, scenarios[i].name)) || is_in(skip, scenarios[i].name))
            continue;
        counts[run(i, &options, keep)]++;
    }
    if (counts[PASSED] + counts[SKIPPED] + counts[FAILED] == 0)
        usage();
    if (counts[PASSED] + counts[SKIPPED] + counts[FAILED] > 1)
        printf("# %u passed, %u failed, %u SKIPPED\n", counts[PASSED], counts[FAILED],
               counts[SKIPPED]);
    else
        printf("# %s\n", counts[FAILED] ? "failed" : options.report->text);
    return counts[FAILED] == 0 ? 0 : 1;
}
