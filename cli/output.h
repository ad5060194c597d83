/* Output: what a command says, as a text with tables or as JSON, from one definition of columns.
 *
 * A document is fields, then tables. In text a field is a line "title: value" (a field without a
 * title is the bare value) and a table is aligned columns; in JSON the document is an object, a
 * table an array of objects, and names are the definition's. Sizes, times and absent values are
 * made readable in the text and stay plain numbers, milliseconds and null in JSON. A field may be
 * for one of the two alone: a sentence for people, and the numbers in it for programs.
 *
 * Memory failures are sticky and come out of output_print(). Owner: one thread.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum output_format { OUTPUT_TABLE, OUTPUT_JSON };

enum output_type {
    OUTPUT_TEXT,
    OUTPUT_NUMBER,
    OUTPUT_SIZE, /* bytes */
    OUTPUT_TIME, /* ms */
    OUTPUT_BOOL,
    OUTPUT_LIST, /* of numbers */
};

struct output_column {
    const char *name;  /* in JSON; NULL: a field for text alone */
    const char *title; /* in text; NULL: a field without title; "": one for JSON alone */
    enum output_type type;
};

#define OUTPUT_CELL_SIZE 256u
#define OUTPUT_LIST_MAX  64u
struct output_value {
    bool absent;
    const char *text; /* borrowed for the call; of an absent one that would be no text: in place of
                         "-" */
    uint64_t number;  /* NUMBER, SIZE, TIME, BOOL */
    uint64_t list[OUTPUT_LIST_MAX];
    size_t list_count;
};

struct output;

/* "table" or "json"; false for anything else. */
bool output_format_parse(const char *text, enum output_format *format);
/* NULL when out of memory. */
struct output *output_new(enum output_format format);
void output_free(struct output *output);
void output_field(struct output *output, const struct output_column *field,
                  struct output_value value);
/* columns: borrowed until output_free. Ends the table before it. */
void output_table(struct output *output, const char *name, const struct output_column *columns,
                  size_t column_count);
/* One value a column. */
void output_row(struct output *output, const struct output_value *values);
/* Bytes and milliseconds as cells of tables have them. */
void output_size(uint64_t bytes, char text[OUTPUT_CELL_SIZE]);
void output_time(uint64_t ms, char text[OUTPUT_CELL_SIZE]);
/* Writes the document. 0 or -errno. */
int output_print(struct output *output, FILE *stream);

#endif
