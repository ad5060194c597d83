/* Options: the command line of a program, from one declarative table over getopt_long.
 *
 * The same rows give parsing, defaults, environment variables, --help, the check that nothing
 * needed is missing, and "did you mean". Precedence: flag, environment, default. Errors go to
 * stderr and give EXIT_CODE_USAGE. Rows and texts are static; values are borrowed from argv, the
 * environment or the table.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "cli/exit_code.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTIONS_MAX 24u /* rows a command */

struct option_row {
    const char *name;        /* "listen" for --listen; NULL ends a table */
    const char *value;       /* "HOST:PORT"; NULL for a switch */
    const char *environment; /* variable that serves for the flag, or NULL */
    const char *fallback;    /* default, or NULL */
    const char *text;        /* help; one line */
    char letter;             /* short form, or 0 */
    bool needed;
};

struct arguments;

struct command_row {
    const char *name;     /* NULL ends a table */
    const char *operands; /* "HOST:PORT…" or "" */
    unsigned operands_min, operands_max;
    const char *text;    /* what it does; one line */
    const char *example; /* or NULL */
    const struct option_row *options;
    int (*run)(const struct arguments *arguments); /* returns the exit code */
};

struct program {
    const char *name;
    const char *text;
    const struct option_row *leading; /* accepted before the command's name too; may be NULL */
    const struct command_row *commands;
};

struct arguments {
    const struct program *program;
    const struct command_row *command;
    const char *values[OPTIONS_MAX]; /* by row; a switch that is on is "" */
    char *const *operands;
    unsigned operand_count;
};

/* Parses, answers --help and --version, runs the command. Returns the exit code. */
int program_run(const struct program *program, int argc, char **argv);

/* The value of a row of the command (asserts that there is one); NULL when not given. */
const char *arguments_text(const struct arguments *arguments, const char *name);
/* A decimal number within bounds. Writes *number only when true; otherwise the message has been
 * printed and the command returns EXIT_CODE_USAGE. An absent value leaves *number alone. */
bool arguments_number(const struct arguments *arguments, const char *name, uint64_t min,
                      uint64_t max, uint64_t *number);
/* "program command: text" on stderr. */
void arguments_error(const struct arguments *arguments, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The name nearest to `word` by edit distance, NULL when none is near enough to be meant. */
const char *options_nearest(const char *word, const char *const *names, size_t count);

#endif
