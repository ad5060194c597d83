/* RESP client: one blocking connection to the router, as a Redis client would hold it.
 *
 * Replies borrow from the client's buffer until the next command. Owner: one thread.
 */
#ifndef TESTS_PROCESS_RESP_CLIENT_H
#define TESTS_PROCESS_RESP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESP_ITEMS_MAX 128u

struct resp_text {
    const char *data; /* NULL: nil */
    size_t size;
};

struct resp_value {
    char kind; /* '+' '-' ':' '$' '*' */
    int64_t integer;
    struct resp_text text;                  /* '+' '-' '$' */
    struct resp_text items[RESP_ITEMS_MAX]; /* '*': bulk strings */
    size_t item_count;
};

struct resp_client {
    int fd; /* -1: closed */
    char *in;
    size_t in_size, in_capacity;
};

void resp_client_init(struct resp_client *client);
void resp_client_deinit(struct resp_client *client);
/* 0 or -errno. timeout_ms holds for each later send and receive too. */
int resp_client_connect(struct resp_client *client, uint16_t port, uint32_t timeout_ms);
void resp_client_close(struct resp_client *client);
/* Sends one command and reads its reply. 0, or -errno: the connection is closed then, and the
 * outcome unknown. */
int resp_client_call(struct resp_client *client, const struct resp_text *words, size_t count,
                     struct resp_value *value);
/* The same for C strings; words end with NULL. */
int resp_client_command(struct resp_client *client, struct resp_value *value, ...)
    __attribute__((sentinel));
/* What a scenario counts on, which ends it else. Init and connect: */
void resp_client_open(struct resp_client *client, uint16_t port, uint32_t timeout_ms);
/* SET, answered by OK, and GET, answered by that value. Keys are C strings, and so are values
 * without a size. */
void resp_client_set(struct resp_client *client, const char *key, const char *value);
void resp_client_set_bytes(struct resp_client *client, const char *key, const void *bytes,
                           size_t size);
void resp_client_expect(struct resp_client *client, const char *key, const char *value);
void resp_client_expect_bytes(struct resp_client *client, const char *key, const void *bytes,
                              size_t size);
bool resp_value_is(const struct resp_value *value, const char *text);
/* What came instead, for a message: an error's text, "nil", "another value", or "no answer" of a
 * value that is all zero. Until the next call. */
const char *resp_value_told(const struct resp_value *value);

#endif
