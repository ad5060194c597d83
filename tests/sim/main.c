/* sim: runs seeds. See docs/simulator.md. */
#include "storage/mutant.h"
#include "tests/sim/sim_main.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: sim [--seed N | --seeds A..B | --minutes M] [options]\n"
    "  --seed N         one seed; prints its trace hash\n"
    "  --seeds A..B     all of them, both ends included\n"
    "  --minutes M      fresh seeds, from --from on (default: from the clock), for M minutes\n"
    "  --from N         first seed of --minutes\n"
    "  --trace[=LEVEL]  what happens, readable: 1 events, 2 operations too, 3 Raft too\n"
    "  --without LIST   leave these faults of the schedule out (numbers, by comma)\n"
    "  --shrink         look for a smaller schedule that still fails\n"
    "  --describe       what the seed is made of, without running it\n"
    "  --jobs J         processes at once (default 2)\n"
    "  --mutant N       switch a protocol bug on (build with -DRINGCASK_MUTANTS=ON)\n"
    "  --list-mutants   number, name, what goes wrong, systems that had it; by tabs\n"
    "exit: 0 all held, 1 a seed failed, 2 usage\n";

static bool number(const char *text, uint64_t *value)
{
    char *end;
    if (!text || *text < '0' || *text > '9')
        return false;
    *value = strtoull(text, &end, 10);
    return *end == 0;
}

static bool range(const char *text, uint64_t *first, uint64_t *last)
{
    char copy[64];
    if (!text || strlen(text) >= sizeof copy)
        return false;
    (void)strcpy(copy, text);
    char *dots = strstr(copy, "..");
    if (!dots)
        return false;
    *dots = 0;
    return number(copy, first) && number(dots + 2, last) && *first <= *last;
}

static bool left_out(const char *text, struct sim_main_options *options)
{
    uint32_t count = 0;
    while (text && *text && count < SIM_LEFT_OUT_MAX) {
        char *end;
        options->left_out[count++] = (uint32_t)strtoul(text, &end, 10);
        if (end == text || (*end && *end != ','))
            return false;
        text = *end ? end + 1 : end;
    }
    options->left_out[count] = UINT32_MAX;
    return count > 0;
}

static void list_mutants(void)
{
#define X(name, value, what, systems) (void)printf("%d\t%s\t%s\t%s\n", value, #name, what, systems);
    MUTANTS(X)
#undef X
}

static bool mutant_set(uint64_t value)
{
#ifdef RINGCASK_MUTANTS
    mutant_current = (int)value;
    return true;
#else
    (void)value;
    (void)fprintf(stderr, "sim: this build has no mutants; configure with -DRINGCASK_MUTANTS=ON\n");
    return false;
#endif
}

/* Options with a value. Returns 0 when it is none of them, -1 when its value is wrong. */
static int option_value(struct sim_main_options *options, const char *name, const char *value)
{
    uint64_t n = 0;
    bool good = true;
    if (strcmp(name, "--seed") == 0) {
        options->mode = SIM_MAIN_SEED;
        good = number(value, &options->first);
    } else if (strcmp(name, "--seeds") == 0) {
        options->mode = SIM_MAIN_SEEDS;
        good = range(value, &options->first, &options->last);
    } else if (strcmp(name, "--minutes") == 0) {
        options->mode = SIM_MAIN_MINUTES;
        good = number(value, &options->minutes) && options->minutes > 0;
    } else if (strcmp(name, "--from") == 0) {
        good = number(value, &options->first);
        options->from_given = true;
    } else if (strcmp(name, "--without") == 0) {
        good = left_out(value, options);
    } else if (strcmp(name, "--jobs") == 0) {
        good = number(value, &n) && n >= 1 && n <= SIM_JOBS_AT_ONCE_MAX;
        options->jobs = (uint32_t)n;
    } else if (strcmp(name, "--mutant") == 0) {
        good = number(value, &n) && mutant_set(n);
        options->mutant = n;
    } else {
        return 0;
    }
    return good ? 1 : -1;
}

static bool option_flag(struct sim_main_options *options, const char *name)
{
    if (strncmp(name, "--trace", 7) == 0 && (!name[7] || (name[7] == '=' && name[8])))
        options->trace = name[7] ? atoi(name + 8) : 1;
    else if (strcmp(name, "--shrink") == 0)
        options->shrink = true;
    else if (strcmp(name, "--describe") == 0)
        options->describe = true;
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    struct sim_main_options options = {.jobs = 2, .left_out = {UINT32_MAX}};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list-mutants") == 0) {
            list_mutants();
            return 0;
        }
        if (option_flag(&options, argv[i]))
            continue;
        int r = option_value(&options, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
        if (r <= 0) {
            (void)fprintf(stderr, "sim: bad argument %s\n%s", argv[i], usage);
            return 2;
        }
        i++;
    }
    if (options.mode == SIM_MAIN_NONE) {
        (void)fputs(usage, stderr);
        return 2;
    }
    return sim_main(&options);
}
