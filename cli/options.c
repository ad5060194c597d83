#include "cli/options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX    32u
#define WORD_MAX     32u /* longer words have no near name */
#define DISTANCE_MAX 2u
#define ERROR_SIZE   4096u
#define LETTERS_SIZE (2 * OPTIONS_MAX + 4)

enum { CODE_HELP = 1000, CODE_VERSION, CODE_ROW = 2000 };

/* Edit distance (Wagner and Fischer) over one rolling row. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[WORD_MAX + 1];
    size_t a_size = strlen(a), b_size = strlen(b);

    if (a_size > WORD_MAX || b_size > WORD_MAX)
        return WORD_MAX;
    for (unsigned j = 0; j <= b_size; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a_size; i++) {
        unsigned corner = row[0];

        row[0] = i;
        for (unsigned j = 1; j <= b_size; j++) {
            unsigned best = corner + (a[i - 1] != b[j - 1]);

            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            corner = row[j];
            row[j] = best;
        }
    }
    return row[b_size];
}

const char *options_nearest(const char *word, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    unsigned best = DISTANCE_MAX + 1;

    for (size_t i = 0; i < count; i++) {
        unsigned d = distance(word, names[i]);

        /* Half of a short word is not a slip of the finger. */
        if (d < best && 2 * (size_t)d < strlen(names[i]) + 1) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
}

static void complain(const struct program *program, const struct command_row *command)
{
    fprintf(stderr, "%s%s%s: ", program->name, command ? " " : "", command ? command->name : "");
}

static int hint(const struct program *program, const struct command_row *command)
{
    fprintf(stderr, "see `%s%s%s --help`\n", program->name, command ? " " : "",
            command ? command->name : "");
    return EXIT_CODE_USAGE;
}

void arguments_error(const struct arguments *arguments, const char *format, ...)
{
    char text[ERROR_SIZE];
    va_list list;

    va_start(list, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is started above */
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    complain(arguments->program, arguments->command);
    fprintf(stderr, "%s\n", text);
}

/* The first `size` characters of the token are a switch's. */
static bool is_switch(const struct option_row *rows, const char *token, size_t size)
{
    for (const struct option_row *row = rows; row && row->name; row++)
        if (!row->value && strlen(row->name) + 2 == size &&
            strncmp(token + 2, row->name, size - 2) == 0)
            return true;
    return false;
}

static int unknown_option(const struct program *program, const struct command_row *command,
                          const struct option_row *rows, const char *token)
{
    const char *names[NAMES_MAX] = {"help", "version"};
    const char *equals = strchr(token, '=');
    size_t size = equals ? (size_t)(equals - token) : strlen(token), count = 2;
    const char *near = NULL;
    char word[WORD_MAX + 3];

    if (equals && is_switch(rows, token, size)) {
        complain(program, command);
        fprintf(stderr, "%.*s takes no value\n", (int)size, token);
        return hint(program, command);
    }
    complain(program, command);
    fprintf(stderr, "unknown option %.*s", (int)size, token);
    for (const struct option_row *row = rows; row && row->name && count < NAMES_MAX; row++)
        names[count++] = row->name;
    if (strncmp(token, "--", 2) == 0 && size < sizeof word) {
        memcpy(word, token, size);
        word[size] = 0;
        near = options_nearest(word + 2, names, count);
    }
    if (near)
        fprintf(stderr, "; did you mean --%s?", near);
    fputc('\n', stderr);
    return hint(program, command);
}

static void print_option(const struct option_row *row)
{
    char left[64];

    snprintf(left, sizeof left, "%c%c%s--%s%s%s", row->letter ? '-' : ' ',
             row->letter ? row->letter : ' ', row->letter ? ", " : "  ", row->name,
             row->value ? " " : "", row->value ? row->value : "");
    printf("  %-30s %s", left, row->text);
    if (row->fallback)
        printf(" (default: %s)", row->fallback);
    if (row->environment)
        printf(" [%s]", row->environment);
    printf("%s\n", row->needed ? " (needed)" : "");
}

static void print_command_help(const struct program *program, const struct command_row *command)
{
    printf("usage: %s %s", program->name, command->name);
    for (const struct option_row *row = command->options; row->name; row++)
        if (row->needed)
            printf(" --%s %s", row->name, row->value ? row->value : "");
    if (command->options->name)
        printf(" [options]");
    printf("%s%s\n\n%s\n", *command->operands ? " " : "", command->operands, command->text);
    if (command->options->name)
        printf("\n");
    for (const struct option_row *row = command->options; row->name; row++)
        print_option(row);
    if (command->example)
        printf("\nexample: %s\n", command->example);
}

static void print_help(const struct program *program)
{
    printf("usage: %s COMMAND [options]\n\n%s\n\n", program->name, program->text);
    for (const struct command_row *command = program->commands; command->name; command++)
        printf("  %-12s %s\n", command->name, command->text);
    printf(
        "\n`%s COMMAND --help` says more. --version prints the version.\n"
        "Exit codes: 0 ok, 1 failed, 2 usage, 3 unreachable, 4 degraded (status --check, doctor), "
        "5 conflict.\n",
        program->name);
}

static int print_version(const struct program *program)
{
    printf("%s %s\n", program->name, RINGCASK_VERSION);
    return EXIT_CODE_OK;
}

/* Whether `token` (before the command) is one of the leading options; *skip: its value is the next
 * token. */
static bool is_leading(const struct program *program, const char *token, bool *skip)
{
    for (const struct option_row *row = program->leading; row && row->name; row++) {
        size_t size = strlen(row->name);

        if (row->letter && token[0] == '-' && token[1] == row->letter) {
            *skip = row->value && token[2] == 0;
            return true;
        }
        if (strncmp(token, "--", 2) == 0 && strncmp(token + 2, row->name, size) == 0 &&
            (token[2 + size] == 0 || token[2 + size] == '=')) {
            *skip = row->value && token[2 + size] == 0;
            return true;
        }
    }
    return false;
}

static const struct command_row *find_command(const struct program *program, const char *name)
{
    const char *names[NAMES_MAX];
    const char *near;
    size_t count = 0;

    for (const struct command_row *command = program->commands; command->name; command++) {
        if (strcmp(command->name, name) == 0)
            return command;
        if (count < NAMES_MAX)
            names[count++] = command->name;
    }
    near = options_nearest(name, names, count);
    complain(program, NULL);
    fprintf(stderr, "unknown command %s%s%s%s\n", name, near ? "; did you mean " : "",
            near ? near : "", near ? "?" : "");
    hint(program, NULL);
    return NULL;
}

/* Finds the command's place in argv; 0 when the answer has been given, with *code. */
static int find_command_place(const struct program *program, int argc, char **argv, int *code)
{
    int at = 1;

    while (at < argc && argv[at][0] == '-' && argv[at][1] != 0) {
        bool skip = false;

        if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0) {
            print_help(program);
            *code = EXIT_CODE_OK;
            return 0;
        }
        if (strcmp(argv[at], "--version") == 0) {
            *code = print_version(program);
            return 0;
        }
        if (!is_leading(program, argv[at], &skip)) {
            *code = unknown_option(program, NULL, program->leading, argv[at]);
            return 0;
        }
        at += skip ? 2 : 1;
    }
    if (at < argc)
        return at;
    complain(program, NULL);
    fprintf(stderr, "which command?\n");
    *code = hint(program, NULL);
    return 0;
}

static void build_table(const struct option_row *rows, struct option *longs, char *letters)
{
    size_t count = 0, at = 0;

    letters[at++] = ':';
    letters[at++] = 'h';
    for (; rows[count].name; count++) {
        assert(count < OPTIONS_MAX);
        longs[count] =
            (struct option){.name = rows[count].name,
                            .has_arg = rows[count].value ? required_argument : no_argument,
                            .val = CODE_ROW + (int)count};
        if (rows[count].letter) {
            letters[at++] = rows[count].letter;
            if (rows[count].value)
                letters[at++] = ':';
        }
    }
    letters[at] = 0;
    longs[count++] = (struct option){.name = "help", .val = CODE_HELP};
    longs[count++] = (struct option){.name = "version", .val = CODE_VERSION};
    longs[count] = (struct option){0};
}

static int row_of(const struct option_row *rows, int code)
{
    if (code >= CODE_ROW)
        return code - CODE_ROW;
    for (int i = 0; rows[i].name; i++)
        if (rows[i].letter && rows[i].letter == code)
            return i;
    return -1;
}

/* Returns -1 to go on, else the exit code. */
static int parse_options(struct arguments *arguments, int argc, char **argv)
{
    const struct command_row *command = arguments->command;
    struct option longs[OPTIONS_MAX + 3];
    char letters[LETTERS_SIZE];
    int code, row;

    build_table(command->options, longs, letters);
    opterr = 0;
    optind = 0;
    while ((code = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        if (code == CODE_HELP || code == 'h') {
            print_command_help(arguments->program, command);
            return EXIT_CODE_OK;
        }
        if (code == CODE_VERSION)
            return print_version(arguments->program);
        if (code == ':') {
            arguments_error(arguments, "%s needs a value", argv[optind - 1]);
            return hint(arguments->program, command);
        }
        row = row_of(command->options, code);
        if (row < 0) {
            char letter[3] = {'-', (char)optopt, 0};
            bool is_letter = optopt > 0 && optopt < 128;

            return unknown_option(arguments->program, command, command->options,
                                  is_letter ? letter : argv[optind - 1]);
        }
        arguments->values[row] = optarg ? optarg : "";
    }
    arguments->operands = argv + optind;
    arguments->operand_count = (unsigned)(argc - optind);
    return -1;
}

/* What the flags did not give; -1 to go on, else the exit code. */
static int fill_in(struct arguments *arguments)
{
    const struct command_row *command = arguments->command;

    for (size_t i = 0; command->options[i].name; i++) {
        const struct option_row *row = &command->options[i];

        if (!arguments->values[i] && row->environment) {
            const char *value = getenv(row->environment);

            arguments->values[i] = value && *value ? value : NULL;
        }
        if (!arguments->values[i])
            arguments->values[i] = row->fallback;
        /* As a script gives it whose variable is empty. */
        if (row->needed && row->value && (!arguments->values[i] || !*arguments->values[i])) {
            arguments_error(arguments, "--%s %s is needed%s%s%s", row->name, row->value,
                            row->environment ? " (or " : "",
                            row->environment ? row->environment : "",
                            row->environment ? " in the environment)" : "");
            return hint(arguments->program, command);
        }
    }
    if (arguments->operand_count < command->operands_min) {
        arguments_error(arguments, "%s is missing", command->operands);
        return hint(arguments->program, command);
    }
    if (arguments->operand_count > command->operands_max) {
        arguments_error(arguments, "what is %s for?", arguments->operands[command->operands_max]);
        return hint(arguments->program, command);
    }
    return -1;
}

int program_run(const struct program *program, int argc, char **argv)
{
    struct arguments arguments = {.program = program};
    int code = EXIT_CODE_USAGE;
    int at = find_command_place(program, argc, argv, &code);

    if (at == 0)
        return code;
    arguments.command = find_command(program, argv[at]);
    if (!arguments.command)
        return EXIT_CODE_USAGE;
    /* Without the command's word the rest is one list of options and operands. */
    for (int i = at; i + 1 < argc; i++)
        argv[i] = argv[i + 1];
    argv[--argc] = NULL;
    code = parse_options(&arguments, argc, argv);
    if (code < 0)
        code = fill_in(&arguments);
    if (code < 0)
        code = arguments.command->run(&arguments);
    if (code == EXIT_CODE_OK && (fflush(stdout) != 0 || ferror(stdout))) {
        arguments_error(&arguments, "writing the result: %s", strerror(errno));
        code = EXIT_CODE_FAILED;
    }
    return code;
}

const char *arguments_text(const struct arguments *arguments, const char *name)
{
    const struct option_row *rows = arguments->command->options;
    size_t i = 0;

    while (rows[i].name && strcmp(rows[i].name, name) != 0)
        i++;
    assert(rows[i].name);
    return arguments->values[i];
}

bool arguments_number(const struct arguments *arguments, const char *name, uint64_t min,
                      uint64_t max, uint64_t *number)
{
    const char *text = arguments_text(arguments, name);
    unsigned long long value;
    char *end;

    if (!text)
        return true;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value < min || value > max) {
        arguments_error(arguments, "--%s %s: a number from %llu to %llu is needed", name, text,
                        (unsigned long long)min, (unsigned long long)max);
        return false;
    }
    *number = value;
    return true;
}
