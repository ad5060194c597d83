/* Intruder: a process of the cluster that does not keep to its role. It dials a node with the
 * ticket it was given, claims a role, and says what it likes. */
#ifndef TESTS_PROCESS_INTRUDER_H
#define TESTS_PROCESS_INTRUDER_H

#include "ring/link.h"
#include "ring/ringmap.h"
#include "ring/ticket.h"

#include <stdbool.h>

struct intruder;

/* A new key each time. */
struct intruder *intruder_open(const struct ticket *ticket, enum link_role role,
                               const char *address);
void intruder_close(struct intruder *intruder);
/* Whether it is let in within that time; it dials again and again. */
bool intruder_gets_in(struct intruder *intruder, uint32_t timeout_ms);
/* Whether its link is ended within that time. */
bool intruder_is_put_out(struct intruder *intruder, uint32_t timeout_ms);
void intruder_send(struct intruder *intruder, uint8_t type, uint16_t partition, const void *body,
                   size_t size);
/* How many messages of the type have come; the newest one's body, cut to *size. */
uint32_t intruder_got(struct intruder *intruder, uint8_t type, void *body, size_t *size);
/* Until so many of the type have come; false: they do not. */
bool intruder_hears(struct intruder *intruder, uint8_t type, uint32_t count, uint32_t timeout_ms);
/* The ring map as the node has it. The caller deinits it. */
void intruder_map(struct intruder *intruder, struct ringmap *map);
/* MAP_CHANGE to the next map, in which moves have another rate: it may follow at any time. */
void intruder_change(struct intruder *intruder, const struct ringmap *map, uint32_t rate,
                     uint16_t partition);

#endif
