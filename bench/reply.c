#include "bench/reply.h"

#include <string.h>

#define DEPTH_MAX 8u

/* The number on the first line, after its sign of a type. *line: bytes of the line with CRLF.
 * Returns 1, 0 when bytes are missing, -1 when it is no number. */
static int line_number(const char *bytes, size_t size, size_t *line, int64_t *number)
{
    const char *end = memchr(bytes, '\n', size);
    int64_t value = 0;
    size_t at = 1;

    if (!end)
        return 0;
    *line = (size_t)(end - bytes) + 1;
    if (*line < 4 || end[-1] != '\r')
        return -1;
    if (bytes[1] == '-')
        at = 2;
    if (at == *line - 2)
        return -1;
    for (; at < *line - 2; at++) {
        if (bytes[at] < '0' || bytes[at] > '9' || value > INT64_MAX / 10 - 1)
            return -1;
        value = value * 10 + (bytes[at] - '0');
    }
    *number = bytes[1] == '-' ? -value : value;
    return 1;
}

static int64_t parse(const char *bytes, size_t size, struct reply *reply, unsigned depth)
{
    const char *end;
    size_t line;
    int64_t number;
    int r;

    if (size == 0)
        return 0;
    reply->kind = REPLY_OK;
    switch (bytes[0]) {
    case '+':
    case '-':
        end = memchr(bytes, '\n', size);
        if (!end)
            return 0;
        if (bytes[0] == '-') {
            reply->kind = REPLY_ERROR;
            reply->text = bytes + 1;
            reply->text_size = strcspn(bytes + 1, " \r\n");
        }
        return end - bytes + 1;
    case ':':
        r = line_number(bytes, size, &line, &number);
        return r > 0 ? (int64_t)line : r;
    case '$':
    case '*':
        r = line_number(bytes, size, &line, &number);
        if (r <= 0)
            return r;
        if (number < 0) {
            reply->kind = REPLY_NIL;
            return (int64_t)line;
        }
        break;
    case '_':
        reply->kind = REPLY_NIL;
        return size >= 3 ? 3 : 0;
    default:
        return -1;
    }
    if (bytes[0] == '$')
        return size - line >= (uint64_t)number + 2 ? (int64_t)line + number + 2 : 0;
    if (depth == DEPTH_MAX)
        return -1;
    for (int64_t i = 0; i < number; i++) {
        struct reply part;
        int64_t part_size = parse(bytes + line, size - line, &part, depth + 1);

        if (part_size <= 0)
            return part_size;
        line += (size_t)part_size;
    }
    return (int64_t)line;
}

int64_t reply_parse(const char *bytes, size_t size, struct reply *reply)
{
    return parse(bytes, size, reply, 0);
}
