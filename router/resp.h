/* Resp: the Redis protocol, both directions, without I/O.
 *
 * Requests: arrays of bulk strings, and inline commands with quotes. The parser is incremental: it
 * is called again with the same command's bytes from their start plus what came since, goes on
 * where it stopped, and never looks at a byte twice. Arguments borrow from the caller's bytes;
 * only inline commands are unescaped into the parser's own memory.
 *
 * Limits as Redis 7 has them, with its texts: a multibulk count ≤ 1,048,576, a bulk ≤ 512 MiB, an
 * inline command ≤ 64 KiB; before authentication 10 arguments of 16 KiB. Beyond what is kept (a
 * bulk over bulk_kept_max, a command over command_kept_max) a request is read to its end without
 * being stored, and comes out as `oversize`: the connection stays usable.
 *
 * Replies: RESP2 or RESP3 by the protocol argument (2 or 3). Sources: redis.io protocol
 * specification; behaviour checked against Redis 7.0.15. */
#ifndef ROUTER_RESP_H
#define ROUTER_RESP_H

#include "ring/wire.h"
#include "router/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESP_COUNT_MAX                 1048576
#define RESP_BULK_MAX                  (512ll << 20)
#define RESP_INLINE_MAX                (64u << 10)
#define RESP_UNAUTHENTICATED_COUNT_MAX 10
#define RESP_UNAUTHENTICATED_BULK_MAX  16384

struct resp_limits {
    size_t bulk_kept_max;    /* bytes */
    size_t command_kept_max; /* bytes of one command, protocol included */
};

enum resp_e {
    RESP_E_OK,      /* a command: args, arg_count; or oversize */
    RESP_E_MORE,    /* more bytes are needed */
    RESP_E_INVALID, /* error says why; close after replying it. Sticky */
};

struct resp_span {
    size_t at;
    size_t size;
};

struct resp_parser {
    struct resp_limits limits;
    uint8_t state;
    bool authenticated; /* set by the owner */
    bool oversize;      /* this command is not kept: arg_count is 0 */
    bool out_of_memory; /* likewise, and why */
    uint32_t bulks_left;
    uint64_t skip_left; /* bytes of a bulk that is not kept */
    size_t bulk_size;
    size_t at;      /* where parsing goes on, from the command's first byte */
    size_t scanned; /* no line end before here */
    struct wire_bytes *args;
    uint32_t arg_count;
    const char *error; /* static or in error_text, without the leading "-ERR " */
    /* private memory */
    struct resp_span *spans;
    uint32_t span_count;
    uint32_t span_capacity;
    uint32_t arg_capacity;
    struct buffer inline_bytes;
    char error_text[64];
};

void resp_parser_init(struct resp_parser *parser, const struct resp_limits *limits);
void resp_parser_deinit(struct resp_parser *parser);
/* bytes: from the first byte of the command that is being parsed (what earlier calls dropped left
 * out). *consumed of them may be dropped: with OK those of the whole command; with MORE usually 0;
 * the rest must come again. Empty inline lines and empty arrays are consumed silently.
 * args borrow from `bytes` until the next call. */
int resp_parse(struct resp_parser *parser, const uint8_t *bytes, size_t size, size_t *consumed);
/* Bytes of the parser's own memory. */
size_t resp_parser_memory(const struct resp_parser *parser);
/* Gives back what an unusually large command took. */
void resp_parser_trim(struct resp_parser *parser);

/* Redis's strict 64-bit integer: optional '-', digits, no leading zero, nothing else. */
bool resp_integer(const void *bytes, size_t size, int64_t *out);

void resp_put_simple(struct buffer *buffer, const char *text);
/* text without '-'; line ends in it become spaces. */
void resp_put_error(struct buffer *buffer, const char *text);
void resp_put_integer(struct buffer *buffer, int64_t value);
void resp_put_bulk(struct buffer *buffer, const void *bytes, size_t size);
void resp_put_text(struct buffer *buffer, const char *text); /* as a bulk */
void resp_put_nil(struct buffer *buffer, uint8_t protocol);
void resp_put_array(struct buffer *buffer, uint64_t count);
void resp_put_map(struct buffer *buffer, uint64_t pairs, uint8_t protocol);
void resp_put_set(struct buffer *buffer, uint64_t count, uint8_t protocol);
/* Text for people: RESP3 marks it as such. */
void resp_put_verbatim(struct buffer *buffer, const void *bytes, size_t size, uint8_t protocol);

#endif
