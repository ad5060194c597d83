/* Golden ring: what other golden files hold of it. */
#ifndef TESTS_GOLDEN_GOLDEN_RING_H
#define TESTS_GOLDEN_GOLDEN_RING_H

#include "golden.h"
#include "ring/ringmap.h"

/* Settled, without keys. The caller deinits it. */
struct ringmap golden_map(void);
void golden_put_map(const struct ringmap *map, struct wire_buffer *out);
/* Read, compared with `want`, which it deinits, and written again. */
const char *golden_check_map(struct ringmap *want, const uint8_t *bytes, size_t size);

/* Bodies of GOSSIP, TICKET_COMMAND and TICKET_COMMAND_REPLY. */
void golden_put_gossip(struct wire_buffer *out);
const char *golden_check_gossip(const uint8_t *bytes, size_t size);
void golden_put_command(struct wire_buffer *out);
const char *golden_check_command(const uint8_t *bytes, size_t size);
void golden_put_command_reply(struct wire_buffer *out);
const char *golden_check_command_reply(const uint8_t *bytes, size_t size);

#endif
