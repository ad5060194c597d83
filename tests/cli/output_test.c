#include "cli/output.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const struct output_column sentence = {"verdict", NULL, OUTPUT_TEXT};
static const struct output_column epoch = {"epoch", "epoch", OUTPUT_NUMBER};
static const struct output_column for_people = {NULL, "moves", OUTPUT_TEXT};
static const struct output_column for_programs = {"moves", "", OUTPUT_NUMBER};
static const struct output_column columns[] = {
    {"name", "NAME", OUTPUT_TEXT},     {"size_bytes", "SIZE", OUTPUT_SIZE},
    {"age_ms", "AGE", OUTPUT_TIME},    {"good", "GOOD", OUTPUT_BOOL},
    {"places", "PLACES", OUTPUT_LIST}, {"count", "COUNT", OUTPUT_NUMBER},
};
#define COLUMN_COUNT (sizeof columns / sizeof *columns)

static char *print(enum output_format format, bool rows)
{
    struct output *output = output_new(format);
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);

    output_field(output, &sentence, (struct output_value){.text = "all is \"well\""});
    output_field(output, &epoch, (struct output_value){.number = 41});
    output_field(output, &for_people, (struct output_value){.text = "7 replicas"});
    output_field(output, &for_programs, (struct output_value){.number = 7});
    output_table(output, "rows", columns, COLUMN_COUNT);
    for (unsigned i = 0; rows && i < 2; i++)
        output_row(output, (const struct output_value[COLUMN_COUNT]){
                               {.text = i ? "second" : "first"},
                               {.number = i ? 1536 : 12},
                               {.number = i ? 93784000 : 61000},
                               {.number = i},
                               {.list = {3, 1}, .list_count = 2},
                               {.number = 5, .absent = i},
                           });
    cr_assert_eq(output_print(output, stream), 0);
    fclose(stream);
    output_free(output);
    return text;
}

Test(output, text_is_for_people)
{
    char *text = print(OUTPUT_TABLE, true);

    cr_assert(strstr(text, "all is \"well\"\nepoch: 41\nmoves: 7 replicas\n\n"), "%s", text);
    cr_assert(strstr(text, "NAME"), "%s", text);
    cr_assert(strstr(text, "1.5 KiB"), "%s", text);
    cr_assert(strstr(text, "12 B"), "%s", text);
    cr_assert(strstr(text, "1m01s"), "%s", text);
    cr_assert(strstr(text, "1d02h"), "%s", text);
    cr_assert(strstr(text, "3,1"), "%s", text);
    cr_assert(strstr(text, "yes"), "%s", text);
    free(text);
}

Test(output, json_has_plain_values_under_the_same_definition)
{
    char *text = print(OUTPUT_JSON, true);
    json_t *root = json_loads(text, 0, NULL), *row;

    cr_assert(root, "%s", text);
    cr_assert_str_eq(json_string_value(json_object_get(root, "verdict")), "all is \"well\"");
    cr_assert_eq(json_integer_value(json_object_get(root, "moves")), 7);
    cr_assert_eq(json_integer_value(json_object_get(root, "epoch")), 41);
    cr_assert_eq(json_array_size(json_object_get(root, "rows")), 2);
    row = json_array_get(json_object_get(root, "rows"), 1);
    cr_assert_eq(json_object_size(row), COLUMN_COUNT);
    cr_assert_eq(json_integer_value(json_object_get(row, "size_bytes")), 1536);
    cr_assert_eq(json_integer_value(json_object_get(row, "age_ms")), 93784000);
    cr_assert(json_is_true(json_object_get(row, "good")));
    cr_assert(json_is_null(json_object_get(row, "count")));
    cr_assert_eq(json_integer_value(json_array_get(json_object_get(row, "places"), 0)), 3);
    json_decref(root);
    free(text);
}

/* What is not known is often the first name of some list, and would be read as known. */
Test(output, an_absent_text_is_not_shown)
{
    static const struct output_column two[] = {{"liveness", "LIVENESS", OUTPUT_TEXT},
                                               {"partition", "PARTITION", OUTPUT_NUMBER}};

    for (int format = OUTPUT_TABLE; format <= OUTPUT_JSON; format++) {
        struct output *output = output_new((enum output_format)format);
        char *text = NULL;
        size_t size;
        FILE *stream = open_memstream(&text, &size);

        output_field(output, &sentence, (struct output_value){.text = "healthy", .absent = true});
        output_table(output, "rows", two, 2);
        output_row(output, (const struct output_value[2]){{.text = "alive", .absent = true},
                                                          {.text = "meta", .absent = true}});
        cr_assert_eq(output_print(output, stream), 0);
        fclose(stream);
        output_free(output);
        cr_assert_not(strstr(text, "alive") || strstr(text, "healthy"), "%s", text);
        cr_assert(strstr(text, format == OUTPUT_TABLE ? "- " : "null"), "%s", text);
        free(text);
    }
}

Test(output, a_table_without_rows_is_an_empty_array)
{
    char *text = print(OUTPUT_JSON, false);
    json_t *root = json_loads(text, 0, NULL);

    cr_assert(root, "%s", text);
    cr_assert(json_is_array(json_object_get(root, "rows")));
    cr_assert_eq(json_array_size(json_object_get(root, "rows")), 0);
    json_decref(root);
    free(text);
    free(print(OUTPUT_TABLE, false));
}

Test(output, only_two_formats_are_known)
{
    enum output_format format;

    cr_assert(output_format_parse("table", &format) && format == OUTPUT_TABLE);
    cr_assert(output_format_parse("json", &format) && format == OUTPUT_JSON);
    cr_assert(!output_format_parse("xml", &format));
    cr_assert(!output_format_parse("", &format));
}

/* Two keys are two, also where they are no text. */
Test(output, bytes_that_are_no_text_are_told_by_their_numbers)
{
    struct output *output = output_new(OUTPUT_JSON);
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    json_t *root;

    output_field(output, &sentence, (struct output_value){.text = "a\xff\\\n\xfe"});
    cr_assert_eq(output_print(output, stream), 0);
    fclose(stream);
    output_free(output);
    root = json_loads(text, 0, NULL);
    cr_assert_str_eq(json_string_value(json_object_get(root, "verdict")), "a\\xff\\x5c\\x0a\\xfe");
    json_decref(root);
    free(text);
}

/* Whoever counts columns finds as many in each line. */
Test(output, a_cell_without_text_is_no_gap)
{
    static const struct output_column two[] = {{"zone", "ZONE", OUTPUT_TEXT},
                                               {"count", "COUNT", OUTPUT_NUMBER}};
    struct output *output = output_new(OUTPUT_TABLE);
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);

    output_table(output, "rows", two, 2);
    output_row(output, (const struct output_value[2]){{.text = ""}, {.number = 7}});
    cr_assert_eq(output_print(output, stream), 0);
    fclose(stream);
    output_free(output);
    cr_assert(strstr(text, "\n-        7\n"), "%s", text);
    free(text);
}
