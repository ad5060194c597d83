#include "bench/workload.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#define KEYS  1000u
#define DRAWS 200000u

static struct workload workload;

static void init(const char *name, int distribution)
{
    struct workload_options options = {
        .name = name, .distribution = distribution, .keys = KEYS, .threads = 1, .seed = 7};

    cr_assert(workload_init(&workload, &options));
}

Test(workload, mixes_are_those_of_the_table)
{
    static const struct {
        const char *name;
        double shares[WORKLOAD_KIND_COUNT];
    } rows[] = {{"a", {.5, .5, 0, 0}},   {"b", {.95, .05, 0, 0}}, {"c", {1, 0, 0, 0}},
                {"d", {.95, 0, .05, 0}}, {"f", {.5, 0, 0, .5}},   {"set", {0, 1, 0, 0}}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double counts[WORKLOAD_KIND_COUNT] = {0};

        init(rows[i].name, -1);
        for (unsigned n = 0; n < DRAWS; n++)
            counts[workload_next(&workload).kind]++;
        for (size_t kind = 0; kind < WORKLOAD_KIND_COUNT; kind++)
            cr_assert_lt(fabs(counts[kind] / DRAWS - rows[i].shares[kind]), .01, "%s kind %zu",
                         rows[i].name, kind);
    }
}

Test(workload, scans_are_refused)
{
    struct workload_options options = {.name = "e", .distribution = -1, .keys = 1, .threads = 1};

    cr_assert_not(workload_init(&workload, &options));
}

static int descending(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left < right) - (left > right);
}

static void draw(double counts[KEYS])
{
    for (unsigned n = 0; n < DRAWS; n++) {
        struct workload_choice choice = workload_next(&workload);

        cr_assert_lt(choice.key, KEYS);
        counts[choice.key]++;
    }
}

/* Rank r of n has the share 1 / (r^0.99 * zeta). Scattering may join two ranks in one key, so the
 * head is compared with some room. */
Test(workload, zipfian_shares_are_those_of_the_law)
{
    static double counts[KEYS];
    double zeta = 0, head = 0, law = 0;

    for (unsigned rank = 1; rank <= KEYS; rank++)
        zeta += 1 / pow(rank, .99);
    init("c", -1);
    draw(counts);
    qsort(counts, KEYS, sizeof *counts, descending);
    for (unsigned rank = 1; rank <= 100; rank++) {
        head += counts[rank - 1] / DRAWS;
        law += 1 / pow(rank, .99) / zeta;
    }
    cr_assert_lt(fabs(counts[0] / DRAWS - 1 / zeta), .03, "%f", counts[0] / DRAWS);
    cr_assert_lt(fabs(head - law), .08, "%f instead of %f", head, law);
}

Test(workload, uniform_touches_every_key_alike)
{
    static double counts[KEYS];

    init("c", WORKLOAD_UNIFORM);
    draw(counts);
    qsort(counts, KEYS, sizeof *counts, descending);
    cr_assert_lt(counts[0], DRAWS / KEYS * 1.5);
    cr_assert_gt(counts[KEYS - 1], DRAWS / KEYS * .5);
}

Test(workload, threads_insert_different_keys_above_the_old_ones)
{
    static uint8_t seen[4000];

    for (uint32_t thread = 0; thread < 3; thread++) {
        struct workload_options options = {.name = "d",
                                           .distribution = -1,
                                           .keys = KEYS,
                                           .thread = thread,
                                           .threads = 3,
                                           .seed = 7};

        cr_assert(workload_init(&workload, &options));
        while (workload.inserts < 500) {
            struct workload_choice choice = workload_next(&workload);

            if (choice.kind != WORKLOAD_INSERT)
                continue;
            cr_assert_geq(choice.key, KEYS);
            cr_assert_eq(seen[choice.key]++, 0);
        }
    }
}

/* A key that is still being written must not be read: it would count as a miss. */
Test(workload, latest_reads_only_what_was_acknowledged)
{
    static uint64_t flying[64];
    static uint8_t there[DRAWS];
    unsigned count = 0, fresh = 0;

    init("d", -1);
    for (unsigned n = 0; n < DRAWS; n++) {
        struct workload_choice choice = workload_next(&workload);

        if (choice.kind == WORKLOAD_INSERT) {
            flying[count++] = choice.key;
        } else if (choice.key >= KEYS) {
            fresh++;
            cr_assert(there[choice.key], "read of an insert in flight");
        }
        if (count == 64) { /* answered last first */
            while (count > 0) {
                there[flying[--count]] = 1;
                workload_inserted(&workload, flying[count]);
            }
        }
    }
    cr_assert_gt(fresh, DRAWS / 2, "latest prefers the newest");
}

Test(workload, same_seed_gives_the_same_run)
{
    static struct workload_choice first[1000];

    init("a", -1);
    for (unsigned n = 0; n < 1000; n++)
        first[n] = workload_next(&workload);
    init("a", -1);
    for (unsigned n = 0; n < 1000; n++) {
        struct workload_choice again = workload_next(&workload);

        cr_assert_eq(again.key, first[n].key);
        cr_assert_eq(again.kind, first[n].kind);
    }
}
