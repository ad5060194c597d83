#include "router/resp.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum resp_state {
    RESP_STATE_START,  /* before the first byte of a command */
    RESP_STATE_HEADER, /* before "$len" */
    RESP_STATE_BULK,   /* inside a bulk that is kept */
    RESP_STATE_SKIP,   /* inside a bulk that is not kept */
    RESP_STATE_INVALID,
};

#define RESP_ARGS_KEPT 1024u /* places that a parser keeps between commands */

void resp_parser_init(struct resp_parser *parser, const struct resp_limits *limits)
{
    *parser = (struct resp_parser){.limits = *limits};
}

void resp_parser_deinit(struct resp_parser *parser)
{
    free(parser->spans);
    free(parser->args);
    buffer_deinit(&parser->inline_bytes);
    *parser = (struct resp_parser){0};
}

size_t resp_parser_memory(const struct resp_parser *parser)
{
    return parser->span_capacity * sizeof *parser->spans +
           parser->arg_capacity * sizeof *parser->args + parser->inline_bytes.capacity;
}

void resp_parser_trim(struct resp_parser *parser)
{
    if (parser->arg_capacity <= RESP_ARGS_KEPT && parser->span_capacity <= RESP_ARGS_KEPT)
        return;
    if (parser->state != RESP_STATE_START)
        return;
    free(parser->spans);
    free(parser->args);
    parser->spans = NULL;
    parser->args = NULL;
    parser->span_capacity = 0;
    parser->arg_capacity = 0;
    parser->arg_count = 0;
    buffer_clear(&parser->inline_bytes, 0);
}

bool resp_integer(const void *bytes, size_t size, int64_t *out)
{
    const uint8_t *at = bytes;
    bool negative = size > 0 && at[0] == '-';
    size_t i = negative ? 1 : 0;
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    uint64_t value = 0;

    if (size > 20 || i == size)
        return false;
    if (at[i] == '0') {
        *out = 0;
        return size == 1;
    }
    for (; i < size; i++) {
        uint64_t digit = (uint64_t)at[i] - '0';

        if (digit > 9 || value > (limit - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

static int resp_invalid(struct resp_parser *parser, const char *error)
{
    parser->state = RESP_STATE_INVALID;
    parser->error = error;
    parser->arg_count = 0;
    return RESP_E_INVALID;
}

static void resp_command_start(struct resp_parser *parser)
{
    parser->state = RESP_STATE_START;
    parser->at = 0;
    parser->scanned = 0;
    parser->span_count = 0;
    parser->bulks_left = 0;
}

/* From here on nothing of this command is kept. */
static void resp_drop(struct resp_parser *parser, bool out_of_memory)
{
    parser->oversize = true;
    parser->out_of_memory |= out_of_memory;
    parser->span_count = 0;
}

static bool resp_span_add(struct resp_parser *parser, size_t at, size_t size)
{
    if (parser->span_count == parser->span_capacity) {
        uint32_t capacity = parser->span_capacity ? parser->span_capacity * 2 : 8;
        struct resp_span *spans = realloc(parser->spans, capacity * sizeof *spans);

        if (!spans)
            return false;
        parser->spans = spans;
        parser->span_capacity = capacity;
    }
    parser->spans[parser->span_count++] = (struct resp_span){at, size};
    return true;
}

/* Turns spans into arguments that point into `bytes`. */
static int resp_finish(struct resp_parser *parser, const uint8_t *bytes)
{
    parser->arg_count = 0;
    if (!parser->oversize && parser->arg_capacity < parser->span_count) {
        struct wire_bytes *args = realloc(parser->args, parser->span_capacity * sizeof *args);

        if (args) {
            parser->args = args;
            parser->arg_capacity = parser->span_capacity;
        } else {
            resp_drop(parser, true);
        }
    }
    if (!parser->oversize) {
        for (uint32_t i = 0; i < parser->span_count; i++)
            parser->args[i] =
                (struct wire_bytes){bytes + parser->spans[i].at, parser->spans[i].size};
        parser->arg_count = parser->span_count;
    }
    resp_command_start(parser);
    return RESP_E_OK;
}

/* The line at parser->at: its size without the end, and parser->at behind it. The byte after '\r'
 * is taken for '\n' unseen, as Redis does. */
static int resp_line(struct resp_parser *parser, const uint8_t *bytes, size_t size,
                     const char *too_long, size_t *start, size_t *line_size)
{
    size_t from = parser->scanned > parser->at ? parser->scanned : parser->at;
    const uint8_t *end = from < size ? memchr(bytes + from, '\r', size - from) : NULL;

    if ((end ? (size_t)(end - bytes) : size) - parser->at > RESP_INLINE_MAX)
        return resp_invalid(parser, too_long);
    if (!end || end + 1 == bytes + size) {
        parser->scanned = end ? (size_t)(end - bytes) : size;
        return RESP_E_MORE;
    }
    *start = parser->at;
    *line_size = (size_t)(end - bytes) - parser->at;
    parser->at = (size_t)(end - bytes) + 2;
    parser->scanned = parser->at;
    return RESP_E_OK;
}

static int resp_count(struct resp_parser *parser, const uint8_t *bytes, size_t size)
{
    size_t start, line_size;
    int64_t count;
    int r = resp_line(parser, bytes, size, "Protocol error: too big mbulk count string", &start,
                      &line_size);

    if (r != RESP_E_OK)
        return r;
    if (!resp_integer(bytes + start + 1, line_size - 1, &count) || count > RESP_COUNT_MAX)
        return resp_invalid(parser, "Protocol error: invalid multibulk length");
    if (count > RESP_UNAUTHENTICATED_COUNT_MAX && !parser->authenticated)
        return resp_invalid(parser, "Protocol error: unauthenticated multibulk length");
    parser->bulks_left = count > 0 ? (uint32_t)count : 0;
    parser->state = RESP_STATE_HEADER;
    return RESP_E_OK;
}

static int resp_header(struct resp_parser *parser, const uint8_t *bytes, size_t size)
{
    size_t start, line_size;
    int64_t length;
    int r = resp_line(parser, bytes, size, "Protocol error: too big bulk count string", &start,
                      &line_size);

    if (r != RESP_E_OK)
        return r;
    if (bytes[start] != '$') {
        snprintf(parser->error_text, sizeof parser->error_text,
                 "Protocol error: expected '$', got '%c'", bytes[start]);
        return resp_invalid(parser, parser->error_text);
    }
    if (!resp_integer(bytes + start + 1, line_size - 1, &length) || length < 0 ||
        length > RESP_BULK_MAX)
        return resp_invalid(parser, "Protocol error: invalid bulk length");
    if (length > RESP_UNAUTHENTICATED_BULK_MAX && !parser->authenticated)
        return resp_invalid(parser, "Protocol error: unauthenticated bulk length");
    if ((uint64_t)length > parser->limits.bulk_kept_max ||
        parser->at + (uint64_t)length + 2 > parser->limits.command_kept_max)
        resp_drop(parser, false);
    if (parser->oversize) {
        parser->skip_left = (uint64_t)length + 2;
        parser->state = RESP_STATE_SKIP;
    } else {
        parser->bulk_size = (size_t)length;
        parser->state = RESP_STATE_BULK;
    }
    return RESP_E_OK;
}

static int resp_bulk(struct resp_parser *parser, size_t size)
{
    if (size - parser->at < parser->bulk_size + 2)
        return RESP_E_MORE;
    if (!resp_span_add(parser, parser->at, parser->bulk_size))
        resp_drop(parser, true);
    parser->at += parser->bulk_size + 2;
    parser->scanned = parser->at;
    parser->bulks_left--;
    parser->state = RESP_STATE_HEADER;
    return RESP_E_OK;
}

static int resp_hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static uint8_t resp_escaped(uint8_t c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return c;
    }
}

static bool resp_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* One quoted part, line[*i] being its opening quote. The closing quote must end the word. */
static bool resp_inline_quoted(const uint8_t *line, size_t size, size_t *i, struct buffer *out)
{
    uint8_t quote = line[(*i)++];

    for (; *i < size; (*i)++) {
        uint8_t c = line[*i];

        if (c == quote) {
            (*i)++;
            return *i == size || resp_space(line[*i]);
        }
        if (c == '\\' && *i + 1 < size) {
            if (quote == '"' && line[*i + 1] == 'x' && *i + 3 < size &&
                resp_hex(line[*i + 2]) >= 0 && resp_hex(line[*i + 3]) >= 0) {
                c = (uint8_t)(resp_hex(line[*i + 2]) << 4 | resp_hex(line[*i + 3]));
                *i += 3;
            } else if (quote == '"') {
                c = resp_escaped(line[++*i]);
            } else if (line[*i + 1] == '\'') {
                c = line[++*i];
            }
        }
        buffer_append(out, &c, 1);
    }
    return false;
}

/* Splits a line into words as Redis's inline commands do. */
static bool resp_inline_split(struct resp_parser *parser, const uint8_t *line, size_t size)
{
    struct buffer *out = &parser->inline_bytes;
    size_t i = 0;

    buffer_clear(out, RESP_INLINE_MAX);
    if (!buffer_reserve(out, size + 1)) /* never empty, so that arguments have an address */
        resp_drop(parser, true);
    for (;;) {
        size_t start = out->size;

        while (i < size && resp_space(line[i]))
            i++;
        if (i == size)
            return true;
        while (i < size && !resp_space(line[i])) {
            if (line[i] == '"' || line[i] == '\'') {
                if (!resp_inline_quoted(line, size, &i, out))
                    return false;
            } else {
                buffer_append(out, &line[i++], 1);
            }
        }
        if (!parser->oversize && !resp_span_add(parser, start, out->size - start))
            resp_drop(parser, true);
    }
}

static int resp_inline(struct resp_parser *parser, const uint8_t *bytes, size_t size)
{
    const uint8_t *end = parser->scanned < size
                             ? memchr(bytes + parser->scanned, '\n', size - parser->scanned)
                             : NULL;
    size_t line_size;

    if (!end) {
        parser->scanned = size;
        if (size > RESP_INLINE_MAX)
            return resp_invalid(parser, "Protocol error: too big inline request");
        return RESP_E_MORE;
    }
    line_size = (size_t)(end - bytes);
    if (line_size > RESP_INLINE_MAX)
        return resp_invalid(parser, "Protocol error: too big inline request");
    if (line_size > 0 && bytes[line_size - 1] == '\r')
        line_size--;
    if (!resp_inline_split(parser, bytes, line_size))
        return resp_invalid(parser, "Protocol error: unbalanced quotes in request");
    parser->at = (size_t)(end - bytes) + 1;
    return RESP_E_OK;
}

/* One step inside an array. MORE, INVALID, or OK to go on. */
static int resp_step(struct resp_parser *parser, const uint8_t *bytes, size_t size)
{
    switch (parser->state) {
    case RESP_STATE_START:
        return resp_count(parser, bytes, size);
    case RESP_STATE_HEADER:
        return resp_header(parser, bytes, size);
    case RESP_STATE_BULK:
        return resp_bulk(parser, size);
    default: {
        size_t left = size - parser->at;
        size_t skip = parser->skip_left < left ? (size_t)parser->skip_left : left;

        assert(parser->state == RESP_STATE_SKIP);
        parser->at += skip;
        parser->skip_left -= skip;
        if (parser->skip_left > 0)
            return RESP_E_MORE;
        parser->bulks_left--;
        parser->state = RESP_STATE_HEADER;
        return RESP_E_OK;
    }
    }
}

/* What is not kept is consumed at once. */
static void resp_forget(struct resp_parser *parser, size_t *base)
{
    if (!parser->oversize)
        return;
    *base += parser->at;
    parser->at = 0;
    parser->scanned = 0;
}

int resp_parse(struct resp_parser *parser, const uint8_t *bytes, size_t size, size_t *consumed)
{
    size_t base = 0;
    int r;

    *consumed = 0;
    if (parser->state == RESP_STATE_INVALID)
        return RESP_E_INVALID;
    if (parser->state == RESP_STATE_START) {
        parser->oversize = false;
        parser->out_of_memory = false;
    }
    for (;;) {
        const uint8_t *command = bytes + base;
        bool whole = false;

        if (base == size && parser->at == 0) {
            *consumed = base;
            return RESP_E_MORE;
        }
        if (parser->state == RESP_STATE_START && command[0] != '*') {
            r = resp_inline(parser, command, size - base);
            whole = true;
        } else {
            r = resp_step(parser, command, size - base);
            whole = parser->state == RESP_STATE_HEADER && parser->bulks_left == 0;
        }
        if (r == RESP_E_OK && whole) {
            bool empty = parser->span_count == 0 && !parser->oversize;
            const uint8_t *from = command[0] == '*' ? command : parser->inline_bytes.data;

            base += parser->at;
            *consumed = base;
            r = resp_finish(parser, from);
            if (!empty)
                return r;
            continue;
        }
        resp_forget(parser, &base);
        *consumed = base;
        if (r != RESP_E_OK)
            return r;
    }
}
