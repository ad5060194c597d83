#include "ring/histogram.h"
#include "ring/mix.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>

static struct histogram histogram, other;

/* Values spread over all magnitudes up to the limit. */
static uint64_t value_of(uint64_t i)
{
    return (mix_of(i) & HISTOGRAM_VALUE_MAX) >> (mix_of(~i) % 40);
}

Test(histogram, empty_one_answers_zero)
{
    histogram_init(&histogram);
    histogram_check(&histogram);
    cr_assert_eq(histogram_percentile(&histogram, 500000), 0);
    cr_assert_eq(histogram_mean(&histogram), 0);
    cr_assert_eq(histogram_count_to(&histogram, UINT64_MAX), 0);
}

Test(histogram, small_values_are_exact)
{
    histogram_init(&histogram);
    for (uint64_t value = 1; value <= 100; value++)
        histogram_record(&histogram, value);
    histogram_check(&histogram);
    for (uint32_t percent = 1; percent <= 100; percent++)
        cr_assert_eq(histogram_percentile(&histogram, percent * 10000), percent);
    cr_assert_eq(histogram_percentile(&histogram, 1), 1);
    cr_assert_eq(histogram_mean(&histogram), 50);
    cr_assert_eq(histogram_count_to(&histogram, 40), 40);
}

Test(histogram, one_value_is_every_percentile)
{
    for (uint64_t i = 0; i < 2000; i++) {
        uint64_t value = value_of(i);

        histogram_init(&histogram);
        histogram_record(&histogram, value);
        histogram_check(&histogram);
        cr_assert_eq(histogram_percentile(&histogram, 1), value);
        cr_assert_eq(histogram_percentile(&histogram, HISTOGRAM_MILLION), value);
        cr_assert_eq(histogram.min, value);
        cr_assert_eq(histogram.max, value);
    }
}

/* With a larger value beside it, so that max does not hide the width of the bucket. */
Test(histogram, answers_are_never_below_and_at_most_a_percent_above)
{
    for (uint64_t i = 0; i < 2000; i++) {
        uint64_t value = value_of(i), answer;

        histogram_init(&histogram);
        histogram_record(&histogram, value);
        histogram_record(&histogram, HISTOGRAM_VALUE_MAX);
        answer = histogram_percentile(&histogram, 500000);
        cr_assert_geq(answer, value);
        cr_assert_leq(answer - value, value / 100, "%lu for %lu", answer, value);
    }
}

Test(histogram, edges_of_powers_of_two_keep_their_order)
{
    for (unsigned bit = 1; bit < 40; bit++) {
        uint64_t power = UINT64_C(1) << bit;

        histogram_init(&histogram);
        histogram_record(&histogram, power - 1);
        histogram_record(&histogram, power);
        histogram_record(&histogram, power + 1);
        histogram_check(&histogram);
        cr_assert_eq(histogram_percentile(&histogram, 1), power - 1);
        cr_assert_geq(histogram_percentile(&histogram, 600000), power);
        cr_assert_eq(histogram_percentile(&histogram, HISTOGRAM_MILLION), power + 1);
        cr_assert_eq(histogram_count_to(&histogram, power - 1), 1);
    }
}

static int ascending(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

Test(histogram, percentiles_are_those_of_the_sorted_values)
{
    enum { COUNT = 20011 };
    static const uint32_t asked[] = {1, 1000, 250000, 500000, 900000, 990000, 999000, 1000000};
    static uint64_t values[COUNT];

    histogram_init(&histogram);
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = value_of(i);
        histogram_record(&histogram, values[i]);
    }
    histogram_check(&histogram);
    qsort(values, COUNT, sizeof *values, ascending);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        uint64_t rank = (COUNT * (uint64_t)asked[i] + HISTOGRAM_MILLION - 1) / HISTOGRAM_MILLION;
        uint64_t value = values[rank - 1], answer = histogram_percentile(&histogram, asked[i]);

        cr_assert_geq(answer, value, "%u", asked[i]);
        cr_assert_leq(answer - value, value / 100, "%u", asked[i]);
    }
}

Test(histogram, merged_one_equals_one_that_saw_everything)
{
    static struct histogram all;

    histogram_init(&histogram);
    histogram_init(&other);
    histogram_init(&all);
    for (uint64_t i = 0; i < 5000; i++) {
        histogram_record(i % 3 ? &histogram : &other, value_of(i));
        histogram_record(&all, value_of(i));
    }
    histogram_merge(&histogram, &other);
    histogram_check(&histogram);
    cr_assert_arr_eq(&histogram, &all, sizeof all);
}

Test(histogram, merging_an_empty_one_changes_nothing)
{
    histogram_init(&histogram);
    histogram_init(&other);
    histogram_record(&histogram, 7);
    histogram_merge(&histogram, &other);
    cr_assert_eq(histogram.min, 7);
    cr_assert_eq(histogram.max, 7);
    histogram_merge(&other, &histogram);
    cr_assert_eq(other.min, 7);
    histogram_check(&other);
}

Test(histogram, values_over_the_limit_count_as_the_limit)
{
    histogram_init(&histogram);
    histogram_record(&histogram, UINT64_MAX);
    histogram_record(&histogram, HISTOGRAM_VALUE_MAX + 1);
    histogram_check(&histogram);
    cr_assert_eq(histogram.max, HISTOGRAM_VALUE_MAX);
    cr_assert_eq(histogram_percentile(&histogram, 500000), HISTOGRAM_VALUE_MAX);
}

Test(histogram, percentile_of_nothing_asserts, .signal = SIGABRT)
{
    histogram_init(&histogram);
    histogram_percentile(&histogram, 0);
}
