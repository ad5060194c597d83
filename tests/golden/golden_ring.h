/* Golden ring: the ring map that other golden files hold. */
#ifndef TESTS_GOLDEN_GOLDEN_RING_H
#define TESTS_GOLDEN_GOLDEN_RING_H

#include "golden.h"
#include "ring/ringmap.h"

/* Settled, without keys. The caller deinits it. */
struct ringmap golden_map(void);
void golden_put_map(const struct ringmap *map, struct wire_buffer *out);
/* Read, compared with `want`, which it deinits, and written again. */
const char *golden_check_map(struct ringmap *want, const uint8_t *bytes, size_t size);

#endif
