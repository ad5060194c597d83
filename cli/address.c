#include "cli/address.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HOST_SIZE       256u
#define PORT_DIGITS_MAX 5u

/* Cuts "HOST:PORT" or "[HOST]:PORT". PORT is a number, of whatever size. */
static bool split(const char *text, char host[HOST_SIZE], const char **port)
{
    const char *colon = strrchr(text, ':');
    size_t size;

    if (!colon || colon[1] == 0 || colon[1 + strspn(colon + 1, "0123456789")] != 0)
        return false;
    size = (size_t)(colon - text);
    if (size >= 2 && text[0] == '[' && text[size - 1] == ']') {
        text++;
        size -= 2;
    } else if (memchr(text, ':', size)) {
        return false;
    }
    if (size == 0 || size >= HOST_SIZE)
        return false;
    memcpy(host, text, size);
    host[size] = 0;
    *port = colon + 1;
    return true;
}

int address_resolve(const char *text, bool port_zero, char out[ADDRESS_SIZE], const char **why)
{
    struct addrinfo want = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char host[HOST_SIZE], numeric[INET6_ADDRSTRLEN + 1];
    const char *port;
    int r;

    if (!split(text, host, &port)) {
        *why = "HOST:PORT is needed, like 127.0.0.1:7001 or [::1]:7001";
        return -1;
    }
    if (strlen(port) > PORT_DIGITS_MAX || atoi(port) > UINT16_MAX) {
        *why = "a port is at most 65535";
        return -1;
    }
    if (!port_zero && atoi(port) == 0) {
        *why = "port 0 names nobody";
        return -1;
    }
    r = getaddrinfo(host, port, &want, &found);
    if (r == 0)
        r = getnameinfo(found->ai_addr, found->ai_addrlen, numeric, sizeof numeric, NULL, 0,
                        NI_NUMERICHOST);
    if (r != 0) {
        *why = gai_strerror(r);
    } else {
        bool six = found->ai_family == AF_INET6;

        snprintf(out, ADDRESS_SIZE, "%s%s%s:%d", six ? "[" : "", numeric, six ? "]" : "",
                 atoi(port));
    }
    if (found)
        freeaddrinfo(found);
    return r != 0 ? -1 : 0;
}

static bool contains(const struct address_list *list, const char *address)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], address) == 0)
            return true;
    return false;
}

int address_list_parse(struct address_list *list, const char *text, char bad[ADDRESS_SIZE],
                       const char **why)
{
    list->count = 0;
    while (*text) {
        size_t size = strcspn(text, ",");
        char item[HOST_SIZE + 8];

        snprintf(bad, ADDRESS_SIZE, "%.*s", (int)size, text);
        if (size >= sizeof item || list->count == ADDRESS_LIST_MAX) {
            *why = size >= sizeof item ? "too long" : "too many addresses";
            return -1;
        }
        memcpy(item, text, size);
        item[size] = 0;
        if (address_resolve(item, false, list->items[list->count], why) != 0)
            return -1;
        if (!contains(list, list->items[list->count]))
            list->count++;
        text += size + (text[size] == ',');
    }
    *why = "no address is given";
    bad[0] = 0;
    return list->count > 0 ? 0 : -1;
}

bool address_is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0;
}
