#include "bench/placement_bench.h"

#include <criterion/criterion.h>

static const struct placement_case zoned = {12, 256, 3, 3, true};

static struct placement_figures measure(uint32_t scheme, const struct placement_case *row)
{
    struct placement_figures figures;

    cr_assert_eq(placement_measure(&placement_schemes[scheme], row, &figures), 0);
    return figures;
}

Test(placement_bench, the_solved_table_is_even_and_moves_what_it_must)
{
    struct placement_figures figures = measure(0, &zoned);

    cr_assert_str_eq(placement_schemes[0].name, "solved");
    cr_assert_lt(figures.load_max, 1.03);
    cr_assert_lt(figures.joined, 1.02);
    cr_assert_lt(figures.left, 1.02);
    cr_assert_eq(figures.zones_kept, 1);
}

Test(placement_bench, the_schemes_are_what_they_are_known_for)
{
    struct placement_figures walking = measure(1, &zoned);
    struct placement_figures rendezvous = measure(2, &zoned);
    struct placement_figures jumping = measure(3, &zoned);

    cr_assert_gt(walking.load_max, 1.03, "even on the mean only");
    cr_assert_eq(walking.zones_kept, 1);
    cr_assert(rendezvous.load_max > 1.03 && rendezvous.load_max < 1.4, "it knows weights");
    cr_assert_gt(rendezvous.weighted, 0.4);
    cr_assert_eq(rendezvous.zones_kept, 1);
    cr_assert_eq(jumping.weighted, 0, "knows no weights");
    cr_assert_lt(jumping.zones_kept, 1, "nor zones");
}

/* Without zones a joining node takes what is hashed to it and nothing else moves. */
Test(placement_bench, hashing_moves_about_the_share_of_the_node_that_joins)
{
    const struct placement_case plain = {10, 4096, 3, 1, false};

    for (uint32_t scheme = 0; scheme < PLACEMENT_SCHEMES; scheme++) {
        struct placement_figures figures = measure(scheme, &plain);

        cr_assert(figures.joined > 0.8 && figures.joined < 1.4, "%s: %f",
                  placement_schemes[scheme].name, figures.joined);
    }
}
