#include "cli/options.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    unsigned runs;
    char name[64], size[64], operands[64];
    bool check, size_ok;
    uint64_t number;
} seen;

static void note(char *to, const char *text)
{
    snprintf(to, 64, "%s", text ? text : "(none)");
}

static int run(const struct arguments *arguments)
{
    seen.runs++;
    note(seen.name, arguments_text(arguments, "name"));
    note(seen.size, arguments_text(arguments, "size"));
    seen.check = arguments_text(arguments, "check") != NULL;
    seen.size_ok = arguments_number(arguments, "size", 1, 100, &seen.number);
    note(seen.operands, arguments->operand_count > 0 ? arguments->operands[0] : NULL);
    return seen.size_ok ? EXIT_CODE_OK : EXIT_CODE_USAGE;
}

static const struct option_row leading[] = {
    {.name = "name", .letter = 'n', .value = "NAME"},
    {.name = NULL},
};
static const struct option_row options[] = {
    {.name = "name",
     .letter = 'n',
     .value = "NAME",
     .environment = "OPTIONS_TEST_NAME",
     .needed = true,
     .text = "a name"},
    {.name = "size", .value = "S", .fallback = "7", .text = "a size"},
    {.name = "check", .text = "a switch"},
    {.name = NULL},
};
static const struct command_row commands[] = {
    {.name = "build",
     .operands = "PLACE",
     .operands_max = 1,
     .text = "builds",
     .options = options,
     .run = run},
    {.name = NULL},
};
static const struct program program = {
    .name = "tool", .text = "A tool.", .leading = leading, .commands = commands};

#define RUN(...) run_with((const char *[]){"tool", __VA_ARGS__, NULL})

static int run_with(const char **words)
{
    char *owned[16], *argv[16]; /* argv is rearranged */
    int argc = 0, code;

    for (; words[argc] && argc < 15; argc++)
        argv[argc] = owned[argc] = strdup(words[argc]);
    argv[argc] = NULL;
    memset(&seen, 0, sizeof seen);
    code = program_run(&program, argc, argv);
    while (argc > 0)
        free(owned[--argc]);
    return code;
}

static void quiet(void)
{
    unsetenv("OPTIONS_TEST_NAME");
    cr_redirect_stdout();
    cr_redirect_stderr();
}

static void assert_stderr_says(const char *text)
{
    char all[4096];
    FILE *stream = cr_get_redirected_stderr();
    size_t size = fread(all, 1, sizeof all - 1, stream);

    all[size] = 0;
    cr_assert(strstr(all, text), "\"%s\" is not in \"%s\"", text, all);
}

TestSuite(options, .init = quiet);

Test(options, flags_give_values)
{
    cr_assert_eq(RUN("build", "--name", "a", "--size=9", "--check", "here"), EXIT_CODE_OK);
    cr_assert_str_eq(seen.name, "a");
    cr_assert_str_eq(seen.size, "9");
    cr_assert(seen.check);
    cr_assert_eq(seen.number, 9);
    cr_assert_str_eq(seen.operands, "here");
}

Test(options, order_of_options_and_operands_is_free)
{
    cr_assert_eq(RUN("build", "here", "-n", "a"), EXIT_CODE_OK);
    cr_assert_str_eq(seen.name, "a");
    cr_assert_str_eq(seen.operands, "here");
}

Test(options, leading_options_may_stand_before_the_command)
{
    cr_assert_eq(RUN("--name", "a", "build"), EXIT_CODE_OK);
    cr_assert_str_eq(seen.name, "a");
    cr_assert_eq(RUN("-nb", "build"), EXIT_CODE_OK);
    cr_assert_str_eq(seen.name, "b");
    cr_assert_eq(RUN("--size", "3", "build", "--name", "a"), EXIT_CODE_USAGE);
}

Test(options, flag_goes_before_environment_goes_before_default)
{
    setenv("OPTIONS_TEST_NAME", "from environment", 1);
    cr_assert_eq(RUN("build"), EXIT_CODE_OK);
    cr_assert_str_eq(seen.name, "from environment");
    cr_assert_str_eq(seen.size, "7");
    cr_assert_eq(RUN("build", "--name", "flag"), EXIT_CODE_OK);
    cr_assert_str_eq(seen.name, "flag");
}

Test(options, what_is_needed_and_missing_is_named)
{
    cr_assert_eq(RUN("build"), EXIT_CODE_USAGE);
    cr_assert_eq(seen.runs, 0);
    assert_stderr_says("tool build: --name NAME is needed (or OPTIONS_TEST_NAME");
}

Test(options, an_empty_variable_is_none)
{
    setenv("OPTIONS_TEST_NAME", "", 1);
    cr_assert_eq(RUN("build"), EXIT_CODE_USAGE);
}

Test(options, a_slip_in_an_option_gets_a_hint)
{
    cr_assert_eq(RUN("build", "--nmae", "a"), EXIT_CODE_USAGE);
    assert_stderr_says("unknown option --nmae; did you mean --name?");
}

Test(options, a_switch_takes_no_value)
{
    cr_assert_eq(RUN("build", "--name", "a", "--check=3"), EXIT_CODE_USAGE);
    assert_stderr_says("tool build: --check takes no value");
}

Test(options, a_slip_in_a_command_gets_a_hint)
{
    cr_assert_eq(RUN("biuld"), EXIT_CODE_USAGE);
    assert_stderr_says("unknown command biuld; did you mean build?");
}

Test(options, nothing_near_gets_no_hint)
{
    const char *const names[] = {"status", "ring", "o"};

    cr_assert_null(options_nearest("zebra", names, 3));
    cr_assert_null(options_nearest("x", names, 3));
    cr_assert_str_eq(options_nearest("statsu", names, 3), "status");
    cr_assert_str_eq(options_nearest("rings", names, 3), "ring");
}

Test(options, an_unknown_letter_is_named)
{
    cr_assert_eq(RUN("build", "-n", "a", "-x"), EXIT_CODE_USAGE);
    assert_stderr_says("unknown option -x");
}

Test(options, a_missing_value_is_named)
{
    cr_assert_eq(RUN("build", "--name"), EXIT_CODE_USAGE);
    assert_stderr_says("--name needs a value");
}

Test(options, too_many_operands_are_refused)
{
    cr_assert_eq(RUN("build", "-n", "a", "here", "there"), EXIT_CODE_USAGE);
    assert_stderr_says("what is there for?");
}

Test(options, numbers_are_whole_and_within_bounds)
{
    static const char *const bad[] = {"0",  "101", "-1", "+5",
                                      "5x", "",    " 5", "99999999999999999999"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(RUN("build", "-n", "a", "--size", bad[i]), EXIT_CODE_USAGE, "%s", bad[i]);
        cr_assert_eq(seen.runs, 1);
    }
    assert_stderr_says("--size 0: a number from 1 to 100 is needed");
    cr_assert_eq(RUN("build", "-n", "a", "--size", "100"), EXIT_CODE_OK);
    cr_assert_eq(seen.number, 100);
}

Test(options, help_and_version_do_nothing_else)
{
    cr_assert_eq(RUN("--help"), EXIT_CODE_OK);
    cr_assert_eq(RUN("--version"), EXIT_CODE_OK);
    cr_assert_eq(RUN("build", "--help"), EXIT_CODE_OK);
    cr_assert_eq(RUN("build", "--version"), EXIT_CODE_OK);
    cr_assert_eq(RUN("build", "-h"), EXIT_CODE_OK);
    cr_assert_eq(seen.runs, 0);
}

Test(options, no_command_is_a_usage_error)
{
    char name[] = "tool", *argv[] = {name, NULL};

    cr_assert_eq(program_run(&program, 1, argv), EXIT_CODE_USAGE);
}
