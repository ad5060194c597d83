#include "ring/assign.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/dice.h"
#include "tests/storage/alloc.h"

#define ROWS_MAX    4u
#define MEMBERS_MAX 5u
#define CASES       6000u

struct problem {
    struct assign assign;
    uint32_t zone_first[MEMBERS_MAX + 1];
    uint32_t zone_low[MEMBERS_MAX], zone_high[MEMBERS_MAX];
    uint32_t member_low[MEMBERS_MAX], member_high[MEMBERS_MAX];
    uint16_t before[ROWS_MAX * ASSIGN_WIDTH_MAX];
    uint16_t allowed[ROWS_MAX * MEMBERS_MAX];
    uint16_t cells[ROWS_MAX * ASSIGN_WIDTH_MAX];
};

static bool may_be_in(const struct problem *problem, uint32_t row, uint32_t member)
{
    const struct assign *assign = &problem->assign;

    for (uint32_t i = 0; assign->allowed && i < assign->allowed_width; i++) {
        if (problem->allowed[row * assign->allowed_width + i] == member)
            return true;
    }
    return !assign->allowed;
}

static void draw_rows(struct dice *dice, struct problem *problem)
{
    struct assign *assign = &problem->assign;

    for (uint32_t row = 0; row < assign->rows; row++) {
        uint16_t *before = problem->before + row * assign->before_width;
        uint16_t *allowed = problem->allowed + row * assign->allowed_width;
        uint32_t at = 0;

        for (uint16_t i = 0; assign->allowed && at < assign->allowed_width; i++)
            if (dice_below(dice, 2) || assign->members - i == assign->allowed_width - at)
                allowed[at++] = i;
        memset(before, 0xff, assign->before_width * sizeof *before);
        at = 0;
        for (uint16_t i = 0; i < assign->members && at < assign->before_width; i++)
            if (dice_below(dice, 2) && may_be_in(problem, row, i))
                before[at++] = i;
    }
}

static void draw(struct dice *dice, struct problem *problem)
{
    struct assign *assign = &problem->assign;
    uint32_t members = 1 + (uint32_t)dice_below(dice, MEMBERS_MAX);
    uint32_t zone = 0;

    *problem = (struct problem){.assign = {.rows = 1 + (uint32_t)dice_below(dice, ROWS_MAX),
                                           .width = 1 + (uint32_t)dice_below(dice, members),
                                           .members = members,
                                           .zone_first = problem->zone_first,
                                           .zone_low = problem->zone_low,
                                           .zone_high = problem->zone_high,
                                           .member_low = problem->member_low,
                                           .member_high = problem->member_high,
                                           .before = problem->before,
                                           .before_width = 1 + (uint32_t)dice_below(dice, 4),
                                           .cells = problem->cells}};
    if (dice_below(dice, 3) == 0) {
        assign->allowed = problem->allowed;
        assign->allowed_width = 1 + (uint32_t)dice_below(dice, members);
    }
    for (uint32_t i = 0; i < members; i++) {
        if (i > 0 && dice_below(dice, 2))
            problem->zone_first[++zone] = i;
        problem->member_low[i] = (uint32_t)dice_below(dice, assign->rows + 1);
        problem->member_high[i] =
            problem->member_low[i] +
            (uint32_t)dice_below(dice, assign->rows - problem->member_low[i] + 1);
    }
    assign->zones = zone + 1;
    problem->zone_first[assign->zones] = members;
    for (uint32_t i = 0; i < assign->zones; i++) {
        problem->zone_low[i] = (uint32_t)dice_below(dice, 6) == 0;
        problem->zone_high[i] = problem->zone_low[i] + 1 + (uint32_t)dice_below(dice, 2);
    }
    draw_rows(dice, problem);
}

/* The sum of what zones ask for must leave rows feasible at all: that is the caller's to see to. */
static bool is_sane(const struct problem *problem)
{
    uint32_t low = 0;

    for (uint32_t i = 0; i < problem->assign.zones; i++)
        low += problem->zone_low[i];
    return low <= problem->assign.width;
}

static bool row_fits(const struct problem *problem, uint32_t row, uint32_t set)
{
    const struct assign *assign = &problem->assign;

    if ((uint32_t)__builtin_popcount(set) != assign->width)
        return false;
    for (uint32_t i = 0; i < assign->members; i++) {
        if ((set >> i & 1) && !may_be_in(problem, row, i))
            return false;
    }
    for (uint32_t zone = 0; zone < assign->zones; zone++) {
        uint32_t all = (1u << problem->zone_first[zone + 1]) - (1u << problem->zone_first[zone]);
        uint32_t count = (uint32_t)__builtin_popcount(set & all);

        if (count < problem->zone_low[zone] || count > problem->zone_high[zone])
            return false;
    }
    return true;
}

#define COST_NEW 1000u

static uint32_t row_cost(const struct problem *problem, uint32_t row, uint32_t set)
{
    uint32_t cost = 0;

    for (uint32_t i = 0; i < problem->assign.before_width; i++) {
        uint16_t member = problem->before[row * problem->assign.before_width + i];

        if (member == ASSIGN_NONE || !(set >> member & 1))
            continue;
        set &= ~(1u << member);
        cost += i > 0;
    }
    return cost + COST_NEW * (uint32_t)__builtin_popcount(set);
}

/* Tries every table; UINT32_MAX: none keeps the bounds. */
static uint32_t best_cost(const struct problem *problem, uint32_t row, uint32_t *held)
{
    const struct assign *assign = &problem->assign;
    uint32_t best = UINT32_MAX;

    if (row == assign->rows) {
        for (uint32_t i = 0; i < assign->members; i++) {
            if (held[i] < problem->member_low[i] || held[i] > problem->member_high[i])
                return UINT32_MAX;
        }
        return 0;
    }
    for (uint32_t set = 0; set < 1u << assign->members; set++) {
        uint32_t rest;

        if (!row_fits(problem, row, set))
            continue;
        for (uint32_t i = 0; i < assign->members; i++)
            held[i] += set >> i & 1;
        rest = best_cost(problem, row + 1, held);
        for (uint32_t i = 0; i < assign->members; i++)
            held[i] -= set >> i & 1;
        if (rest != UINT32_MAX && rest + row_cost(problem, row, set) < best)
            best = rest + row_cost(problem, row, set);
    }
    return best;
}

/* Checks the table against the rules and returns its cost. */
static uint32_t table_cost(const struct problem *problem, unsigned number)
{
    const struct assign *assign = &problem->assign;
    uint32_t held[MEMBERS_MAX] = {0};
    uint32_t cost = 0;

    for (uint32_t row = 0; row < assign->rows; row++) {
        uint32_t set = 0;

        for (uint32_t i = 0; i < assign->width; i++) {
            uint16_t member = problem->cells[row * assign->width + i];

            cr_assert_lt(member, assign->members, "case %u", number);
            cr_assert_not(set >> member & 1, "case %u: twice in a row", number);
            set |= 1u << member;
            held[member]++;
        }
        cr_assert(row_fits(problem, row, set), "case %u row %u", number, row);
        cost += row_cost(problem, row, set);
    }
    for (uint32_t i = 0; i < assign->members; i++)
        cr_assert(held[i] >= problem->member_low[i] && held[i] <= problem->member_high[i],
                  "case %u member %u", number, i);
    return cost;
}

Test(assign, small_cases_cost_what_the_best_of_all_tables_costs)
{
    struct dice dice = {1};
    struct problem problem;
    unsigned solved = 0, refused = 0;

    for (unsigned number = 0; number < CASES; number++) {
        uint32_t held[MEMBERS_MAX] = {0};
        uint32_t best;
        int r;

        draw(&dice, &problem);
        if (!is_sane(&problem))
            continue;
        best = best_cost(&problem, 0, held);
        r = assign_solve(&problem.assign);
        cr_assert_eq(r, best == UINT32_MAX ? ASSIGN_E_INFEASIBLE : ASSIGN_E_OK, "case %u", number);
        if (r == 0)
            cr_assert_eq(table_cost(&problem, number), best, "case %u", number);
        solved += r == 0;
        refused += r != 0;
    }
    cr_assert_gt(solved, CASES / 20);
    cr_assert_gt(refused, CASES / 20);
}

/* More zones than fit a row: they have no nodes of their own in the network. */
Test(assign, many_zones_are_kept_apart)
{
    enum { ROWS = 32, MEMBERS = 24, ZONES = 8, WIDTH = 4 };
    uint32_t zone_first[ZONES + 1], zone_low[ZONES] = {0}, zone_high[ZONES];
    uint32_t low[MEMBERS], high[MEMBERS];
    uint16_t before[ROWS], cells[ROWS * WIDTH];
    struct assign assign = {.rows = ROWS,
                            .width = WIDTH,
                            .members = MEMBERS,
                            .zones = ZONES,
                            .zone_first = zone_first,
                            .zone_low = zone_low,
                            .zone_high = zone_high,
                            .member_low = low,
                            .member_high = high,
                            .before = before,
                            .before_width = 1,
                            .cells = cells};
    uint32_t kept = 0;

    for (uint32_t i = 0; i <= ZONES; i++)
        zone_first[i] = i * MEMBERS / ZONES;
    for (uint32_t i = 0; i < ZONES; i++)
        zone_high[i] = 1;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        low[i] = ROWS * WIDTH / MEMBERS;
        high[i] = low[i] + 1;
    }
    for (uint32_t i = 0; i < ROWS; i++)
        before[i] = i < ROWS / 2 ? 5 : 6;
    cr_assert_eq(assign_solve(&assign), 0);
    for (uint32_t row = 0; row < ROWS; row++) {
        uint32_t zones = 0;

        for (uint32_t i = 0; i < WIDTH; i++) {
            uint32_t zone = cells[row * WIDTH + i] / (MEMBERS / ZONES);

            cr_assert_not(zones >> zone & 1, "row %u", row);
            zones |= 1u << zone;
            kept += cells[row * WIDTH + i] == before[row];
        }
    }
    cr_assert_eq(kept, high[5] + high[6], "as many as they may hold");
}

Test(assign, no_memory_is_an_answer)
{
    struct dice dice = {2};
    struct problem problem;
    uint64_t n = 1;
    int r;

    do {
        draw(&dice, &problem);
    } while (!is_sane(&problem) || assign_solve(&problem.assign) != 0);
    for (;; n++) {
        alloc_fail_after(n);
        r = assign_solve(&problem.assign);
        if (!alloc_failed())
            break;
        cr_assert_eq(r, -ENOMEM);
    }
    alloc_fail_after(0);
    cr_assert_eq(r, 0);
    cr_assert_eq(n, 11, "each of its tables once");
}
