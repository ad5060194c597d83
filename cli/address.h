/* Address: "HOST:PORT" as people type it, turned into the numeric form that links and maps use.
 *
 * HOST is a name, an IPv4 address, or an IPv6 address in brackets; names are asked of the system's
 * resolver once, here, and never again: the ring map holds numbers.
 */
#ifndef CLI_ADDRESS_H
#define CLI_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#define ADDRESS_SIZE     64u /* "[v6]:PORT" with its zero */
#define ADDRESS_LIST_MAX 64u

struct address_list {
    char items[ADDRESS_LIST_MAX][ADDRESS_SIZE];
    size_t count;
};

/* 0, or < 0 with *why, a static text. port_zero: port 0 is allowed. */
int address_resolve(const char *text, bool port_zero, char out[ADDRESS_SIZE], const char **why);
/* Comma-separated; the same address twice counts once. On failure bad (of ADDRESS_SIZE) names the
 * item. */
int address_list_parse(struct address_list *list, const char *text, char bad[ADDRESS_SIZE],
                       const char **why);
/* Whether only this machine can reach it. address: numeric. */
bool address_is_loopback(const char *address);

#endif
