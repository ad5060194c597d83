#include "router/resp.h"

#include <string.h>

/* prefix, decimal number, line end: at most 1 + 20 + 2 bytes */
#define RESP_NUMBER_SIZE_MAX 24u

static size_t resp_number(uint8_t *out, char prefix, int64_t value)
{
    uint8_t digits[20];
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    size_t count = 0, size = 0;

    do {
        digits[count++] = (uint8_t)('0' + left % 10);
        left /= 10;
    } while (left);
    out[size++] = (uint8_t)prefix;
    if (value < 0)
        out[size++] = '-';
    while (count)
        out[size++] = digits[--count];
    out[size++] = '\r';
    out[size++] = '\n';
    return size;
}

static void resp_put_number(struct buffer *buffer, char prefix, int64_t value)
{
    uint8_t *at = buffer_reserve(buffer, RESP_NUMBER_SIZE_MAX);

    if (at)
        buffer->size += resp_number(at, prefix, value);
}

static void resp_put_line(struct buffer *buffer, char prefix, const char *text)
{
    size_t size = strlen(text);
    uint8_t *at = buffer_reserve(buffer, size + 3);

    if (!at)
        return;
    at[0] = (uint8_t)prefix;
    for (size_t i = 0; i < size; i++)
        at[1 + i] = (uint8_t)(text[i] == '\r' || text[i] == '\n' ? ' ' : text[i]);
    at[1 + size] = '\r';
    at[2 + size] = '\n';
    buffer->size += size + 3;
}

void resp_put_simple(struct buffer *buffer, const char *text)
{
    resp_put_line(buffer, '+', text);
}

void resp_put_error(struct buffer *buffer, const char *text)
{
    resp_put_line(buffer, '-', text);
}

void resp_put_integer(struct buffer *buffer, int64_t value)
{
    resp_put_number(buffer, ':', value);
}

void resp_put_bulk(struct buffer *buffer, const void *bytes, size_t size)
{
    uint8_t *at = buffer_reserve(buffer, RESP_NUMBER_SIZE_MAX + size + 2);
    size_t head;

    if (!at)
        return;
    head = resp_number(at, '$', (int64_t)size);
    if (size > 0)
        memcpy(at + head, bytes, size);
    at[head + size] = '\r';
    at[head + size + 1] = '\n';
    buffer->size += head + size + 2;
}

void resp_put_text(struct buffer *buffer, const char *text)
{
    resp_put_bulk(buffer, text, strlen(text));
}

void resp_put_nil(struct buffer *buffer, uint8_t protocol)
{
    buffer_append_text(buffer, protocol == 3 ? "_\r\n" : "$-1\r\n");
}

void resp_put_array(struct buffer *buffer, uint64_t count)
{
    resp_put_number(buffer, '*', (int64_t)count);
}

void resp_put_map(struct buffer *buffer, uint64_t pairs, uint8_t protocol)
{
    if (protocol == 3)
        resp_put_number(buffer, '%', (int64_t)pairs);
    else
        resp_put_number(buffer, '*', (int64_t)pairs * 2);
}

void resp_put_set(struct buffer *buffer, uint64_t count, uint8_t protocol)
{
    resp_put_number(buffer, protocol == 3 ? '~' : '*', (int64_t)count);
}

void resp_put_verbatim(struct buffer *buffer, const void *bytes, size_t size, uint8_t protocol)
{
    if (protocol != 3) {
        resp_put_bulk(buffer, bytes, size);
        return;
    }
    resp_put_number(buffer, '=', (int64_t)size + 4);
    buffer_append_text(buffer, "txt:");
    buffer_append(buffer, bytes, size);
    buffer_append_text(buffer, "\r\n");
}
