#include "cli/output.h"

#include "cli/text.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <libsmartcols.h>

struct output {
    enum output_format format;
    json_t *root; /* JSON */
    json_t *rows; /* of the table in work; borrowed from root */
    char *text;   /* table: what is finished, written by `stream` */
    size_t text_size;
    FILE *stream;
    struct libscols_table *table; /* in work */
    const struct output_column *columns;
    size_t column_count;
    int error;
};

bool output_format_parse(const char *text, enum output_format *format)
{
    if (strcmp(text, "table") != 0 && strcmp(text, "json") != 0)
        return false;
    *format = *text == 'j' ? OUTPUT_JSON : OUTPUT_TABLE;
    return true;
}

struct output *output_new(enum output_format format)
{
    struct output *output = calloc(1, sizeof *output);

    if (!output)
        return NULL;
    output->format = format;
    if (format == OUTPUT_JSON)
        output->root = json_object();
    else
        output->stream = open_memstream(&output->text, &output->text_size);
    if (!output->root && !output->stream) {
        free(output);
        return NULL;
    }
    return output;
}

void output_free(struct output *output)
{
    if (!output)
        return;
    json_decref(output->root);
    scols_unref_table(output->table);
    if (output->stream)
        fclose(output->stream);
    free(output->text);
    free(output);
}

void output_size(uint64_t bytes, char cell[OUTPUT_CELL_SIZE])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024;
        unit++;
    }
    snprintf(cell, OUTPUT_CELL_SIZE, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

void output_time(uint64_t ms, char cell[OUTPUT_CELL_SIZE])
{
    uint64_t seconds = ms / 1000, minutes = seconds / 60, hours = minutes / 60, days = hours / 24;

    if (days > 0)
        snprintf(cell, OUTPUT_CELL_SIZE, "%" PRIu64 "d%02" PRIu64 "h", days, hours % 24);
    else if (hours > 0)
        snprintf(cell, OUTPUT_CELL_SIZE, "%" PRIu64 "h%02" PRIu64 "m", hours, minutes % 60);
    else if (minutes > 0)
        snprintf(cell, OUTPUT_CELL_SIZE, "%" PRIu64 "m%02" PRIu64 "s", minutes, seconds % 60);
    else
        snprintf(cell, OUTPUT_CELL_SIZE, "%" PRIu64 "s", seconds);
}

static void format_list(const struct output_value *value, char cell[OUTPUT_CELL_SIZE])
{
    size_t size = 0;

    cell[0] = 0;
    for (size_t i = 0; i < value->list_count && size + 24 < OUTPUT_CELL_SIZE; i++)
        size += (size_t)snprintf(cell + size, OUTPUT_CELL_SIZE - size, "%s%" PRIu64,
                                 i > 0 ? "," : "", value->list[i]);
}

static void format_cell(enum output_type type, const struct output_value *value,
                        char cell[OUTPUT_CELL_SIZE])
{
    if (value->absent) {
        snprintf(cell, OUTPUT_CELL_SIZE, "%s",
                 type != OUTPUT_TEXT && value->text ? value->text : "-");
        return;
    }
    switch (type) {
    case OUTPUT_TEXT:
        snprintf(cell, OUTPUT_CELL_SIZE, "%s", value->text);
        break;
    case OUTPUT_NUMBER:
        snprintf(cell, OUTPUT_CELL_SIZE, "%" PRIu64, value->number);
        break;
    case OUTPUT_SIZE:
        output_size(value->number, cell);
        break;
    case OUTPUT_TIME:
        output_time(value->number, cell);
        break;
    case OUTPUT_BOOL:
        snprintf(cell, OUTPUT_CELL_SIZE, value->number ? "yes" : "no");
        break;
    case OUTPUT_LIST:
        format_list(value, cell);
        break;
    default:
        assert(!"unknown type");
    }
}

static json_t *list_json(const struct output_value *value)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < value->list_count; i++)
        if (json_array_append_new(list, json_integer((json_int_t)value->list[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

/* What is no UTF-8, as keys may be. */
static json_t *bytes_json(const char *bytes)
{
    size_t size = strlen(bytes);
    char *text = malloc(TEXT_ESCAPED_MAX * size + 1);
    json_t *json;

    if (!text)
        return NULL;
    text_escape((const uint8_t *)bytes, size, true, text);
    json = json_string(text);
    free(text);
    return json;
}

static json_t *value_json(enum output_type type, const struct output_value *value)
{
    if (value->absent)
        return json_null();
    switch (type) {
    case OUTPUT_TEXT: {
        json_t *text = json_string(value->text);

        return text ? text : bytes_json(value->text);
    }
    case OUTPUT_BOOL:
        return json_boolean(value->number != 0);
    case OUTPUT_LIST:
        return list_json(value);
    case OUTPUT_NUMBER:
    case OUTPUT_SIZE:
    case OUTPUT_TIME:
        break;
    }
    return json_integer((json_int_t)value->number);
}

static void put_json(struct output *output, json_t *object, const struct output_column *column,
                     const struct output_value *value)
{
    if (json_object_set_new(object, column->name, value_json(column->type, value)) != 0)
        output->error = -ENOMEM;
}

void output_field(struct output *output, const struct output_column *field,
                  struct output_value value)
{
    char cell[OUTPUT_CELL_SIZE];

    if (output->format == OUTPUT_JSON) {
        if (field->name)
            put_json(output, output->root, field, &value);
        return;
    }
    if (field->title && !field->title[0])
        return;
    if (field->type == OUTPUT_TEXT && !value.absent) { /* sentences may be long */
        fprintf(output->stream, "%s%s%s\n", field->title ? field->title : "",
                field->title ? ": " : "", value.text);
        return;
    }
    format_cell(field->type, &value, cell);
    fprintf(output->stream, "%s%s%s\n", field->title ? field->title : "", field->title ? ": " : "",
            cell);
}

static void finish_table(struct output *output)
{
    if (output->table) {
        if (ftell(output->stream) > 0)
            fputc('\n', output->stream);
        if (scols_print_table(output->table) != 0)
            output->error = -ENOMEM;
        scols_unref_table(output->table);
    }
    output->table = NULL;
    output->rows = NULL;
}

void output_table(struct output *output, const char *name, const struct output_column *columns,
                  size_t column_count)
{
    finish_table(output);
    output->columns = columns;
    output->column_count = column_count;
    if (output->format == OUTPUT_JSON) {
        output->rows = json_array();
        if (!output->rows || json_object_set_new(output->root, name, output->rows) != 0) {
            output->rows = NULL;
            output->error = -ENOMEM;
        }
        return;
    }
    output->table = scols_new_table();
    if (!output->table) {
        output->error = -ENOMEM;
        return;
    }
    scols_table_set_stream(output->table, output->stream);
    /* A pipe gets whole lines: nothing is cut to fit a terminal. */
    scols_table_enable_nowrap(output->table, 1);
    for (size_t i = 0; i < column_count; i++) {
        bool is_number = columns[i].type == OUTPUT_NUMBER || columns[i].type == OUTPUT_SIZE;

        if (!scols_table_new_column(output->table, columns[i].title, 0,
                                    is_number ? SCOLS_FL_RIGHT : 0))
            output->error = -ENOMEM;
    }
}

void output_row(struct output *output, const struct output_value *values)
{
    if (output->rows) {
        json_t *row = json_object();

        for (size_t i = 0; i < output->column_count; i++)
            put_json(output, row, &output->columns[i], &values[i]);
        if (json_array_append_new(output->rows, row) != 0)
            output->error = -ENOMEM;
    } else if (output->table) {
        struct libscols_line *line = scols_table_new_line(output->table, NULL);
        char cell[OUTPUT_CELL_SIZE];

        for (size_t i = 0; line && i < output->column_count; i++) {
            const char *data = cell;

            if (output->columns[i].type == OUTPUT_TEXT && !values[i].absent)
                data = values[i].text[0] ? values[i].text : "-"; /* sentences may be long */
            else
                format_cell(output->columns[i].type, &values[i], cell);
            if (scols_line_set_data(line, i, data) != 0)
                output->error = -ENOMEM;
        }
        if (!line)
            output->error = -ENOMEM;
    }
}

int output_print(struct output *output, FILE *stream)
{
    finish_table(output);
    if (output->error)
        return output->error;
    if (output->format == OUTPUT_JSON) {
        if (json_dumpf(output->root, stream, JSON_INDENT(2)) != 0 || fputc('\n', stream) == EOF)
            return -EIO;
        return 0;
    }
    if (fflush(output->stream) != 0)
        return -ENOMEM;
    return fwrite(output->text, 1, output->text_size, stream) == output->text_size ? 0 : -EIO;
}
