#include "tests/sim/sim_resp.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(struct sim_command *command, const void *bytes, size_t size)
{
    if (command->size + size > command->capacity) {
        command->capacity = (command->size + size) * 2 + 256;
        command->bytes = realloc(command->bytes, command->capacity);
        assert(command->bytes);
    }
    memcpy(command->bytes + command->size, bytes, size);
    command->size += size;
}

void sim_command_put(struct sim_command *command, const struct judge_bytes *words, size_t count)
{
    char head[32];
    put(command, head, (size_t)snprintf(head, sizeof head, "*%zu\r\n", count));
    for (size_t i = 0; i < count; i++) {
        put(command, head, (size_t)snprintf(head, sizeof head, "$%zu\r\n", words[i].size));
        put(command, words[i].data, words[i].size);
        put(command, "\r\n", 2);
    }
}

void sim_command_deinit(struct sim_command *command)
{
    free(command->bytes);
    *command = (struct sim_command){0};
}

/* The line at *at without its end; false when it is not whole. */
static bool line_get(const uint8_t *bytes, size_t size, size_t *at, struct judge_bytes *line)
{
    for (size_t i = *at; i + 1 < size; i++)
        if (bytes[i] == '\r' && bytes[i + 1] == '\n') {
            *line = (struct judge_bytes){bytes + *at, i - *at};
            *at = i + 2;
            return true;
        }
    return false;
}

static bool integer_get(const struct judge_bytes *line, int64_t *integer)
{
    char text[32], *end;
    if (line->size < 2 || line->size > sizeof text - 1)
        return false;
    memcpy(text, (const char *)line->data + 1, line->size - 1);
    text[line->size - 1] = 0;
    *integer = strtoll(text, &end, 10);
    return *end == 0;
}

/* The bulk string whose head is `line`. 1: whole, 0: not yet, -1: malformed. */
static int bulk_get(const uint8_t *bytes, size_t size, size_t *at, const struct judge_bytes *line,
                    struct judge_bytes *out)
{
    int64_t length;
    *out = (struct judge_bytes){0};
    if (!integer_get(line, &length) || length < -1)
        return -1;
    if (length == -1)
        return 1;
    if (*at + (size_t)length + 2 > size)
        return 0;
    *out = (struct judge_bytes){bytes + *at, (size_t)length};
    *at += (size_t)length + 2;
    return bytes[*at - 2] == '\r' && bytes[*at - 1] == '\n' ? 1 : -1;
}

/* An array of bulk strings. */
static int array_get(const uint8_t *bytes, size_t size, size_t *at, const struct judge_bytes *line,
                     struct judge_bytes *items, size_t items_max, size_t *item_count)
{
    int64_t count;
    if (!integer_get(line, &count) || count < 0 || count > (int64_t)items_max)
        return -1;
    for (int64_t i = 0; i < count; i++) {
        struct judge_bytes item;
        if (!line_get(bytes, size, at, &item))
            return 0;
        if (item.size == 0 || ((const char *)item.data)[0] != '$')
            return -1;
        int r = bulk_get(bytes, size, at, &item, &items[i]);
        if (r != 1)
            return r;
    }
    *item_count = (size_t)count;
    return 1;
}

int64_t sim_reply_parse(const uint8_t *bytes, size_t size, struct sim_reply *reply)
{
    struct judge_bytes line;
    size_t at = 0;
    int r = 1;
    memset(reply, 0, sizeof *reply);
    if (!line_get(bytes, size, &at, &line))
        return 0;
    if (line.size == 0)
        return -1;
    reply->type = ((const char *)line.data)[0];
    switch (reply->type) {
    case '+':
    case '-':
        reply->text = (struct judge_bytes){(const char *)line.data + 1, line.size - 1};
        break;
    case ':':
        r = integer_get(&line, &reply->integer) ? 1 : -1;
        break;
    case '$':
        r = bulk_get(bytes, size, &at, &line, &reply->text);
        break;
    case '*':
        r = array_get(bytes, size, &at, &line, reply->items, SIM_RESP_ITEMS_MAX,
                      &reply->item_count);
        break;
    default:
        return -1;
    }
    return r == 1 ? (int64_t)at : r;
}

/* "*2", the cursor, the keys. */
int64_t sim_scan_reply_parse(const uint8_t *bytes, size_t size, struct sim_scan_reply *reply)
{
    struct judge_bytes line;
    size_t at = 0;
    int r;
    reply->key_count = 0;
    if (!line_get(bytes, size, &at, &line))
        return 0;
    reply->type = line.size ? ((const char *)line.data)[0] : 0;
    if (reply->type == '-') {
        reply->cursor = (struct judge_bytes){(const char *)line.data + 1, line.size - 1};
        return (int64_t)at;
    }
    if (line.size != 2 || memcmp(line.data, "*2", 2) != 0)
        return -1;
    if (!line_get(bytes, size, &at, &line))
        return 0;
    r = bulk_get(bytes, size, &at, &line, &reply->cursor);
    if (r != 1)
        return r;
    if (!line_get(bytes, size, &at, &line))
        return 0;
    if (line.size == 0 || ((const char *)line.data)[0] != '*')
        return -1;
    r = array_get(bytes, size, &at, &line, reply->keys, SIM_RESP_KEYS_MAX, &reply->key_count);
    return r == 1 ? (int64_t)at : r;
}
