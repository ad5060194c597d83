/* Arrivals: what links have brought, in order, until the host takes it. No lock: its user has one.
 * Limit: credits and the bounds of the links. Without memory the process ends, as nothing may be
 * left out between a link's up and its down. */
#ifndef ROUTER_ARRIVALS_H
#define ROUTER_ARRIVALS_H

#include "router/buffer.h"

#include <stddef.h>
#include <stdint.h>

struct node_link;

enum arrival_kind { ARRIVAL_UP, ARRIVAL_DOWN, ARRIVAL_MESSAGE, ARRIVAL_REFUSED };

struct arrival {
    struct node_link *node; /* NULL with REFUSED */
    uint64_t link;
    uint64_t correlation;
    size_t at, size; /* of its bytes */
    uint16_t partition;
    uint8_t type; /* of the message; with REFUSED: enum refusal_kind */
    uint8_t kind;
};

/* All zeros: empty. */
struct arrivals {
    struct arrival *items;
    size_t count;
    size_t capacity;
    struct buffer bytes;
};

/* Copies the bytes; the item's `at` and `size` are set here. */
void arrivals_add(struct arrivals *arrivals, const struct arrival *item, const void *bytes,
                  size_t size);
void arrivals_deinit(struct arrivals *arrivals);

#endif
