/* Presence: which keys must be there, and which may be, in a span of time.
 *
 * The judge knows values; what goes over all keys needs to know less of more. A key must be there
 * all the time when a write of it that leaves no deadline had been answered before, and every
 * operation that could take it away, a deadline included, was over before that write began. It may
 * be there at some moment when some write of it may have taken effect by the span's end, and no
 * delete that began when that write was over was answered before the span began. What is neither
 * answered nor refused may take effect at any time. Both are cautious: when in doubt, a key need
 * not be there, and may.
 *
 * Ownership: copies all bytes. Operations are numbered as the judge does. Times never go back.
 */
#ifndef TESTS_SIM_SIM_PRESENCE_H
#define TESTS_SIM_SIM_PRESENCE_H

#include "tests/sim/judge.h"

#define SIM_PRESENCE_NONE UINT32_MAX

struct sim_presence;

struct sim_presence *sim_presence_new(void);
struct sim_presence *sim_presence_free(struct sim_presence *presence); /* returns NULL */

void sim_presence_call(struct sim_presence *presence, uint32_t op, const struct judge_call *call);
/* integer: of the reply, if it is one. */
void sim_presence_return(struct sim_presence *presence, uint32_t op, uint64_t time,
                         int64_t integer);
/* It certainly had no effect. */
void sim_presence_fail(struct sim_presence *presence, uint32_t op);

/* Keys are numbered in the order in which they were first named. */
uint32_t sim_presence_count(const struct sim_presence *presence);
uint32_t sim_presence_find(const struct sim_presence *presence, const struct judge_bytes *key);
const char *sim_presence_name(const struct sim_presence *presence, uint32_t key);
bool sim_presence_must(const struct sim_presence *presence, uint32_t key, uint64_t from,
                       uint64_t to);
bool sim_presence_may(const struct sim_presence *presence, uint32_t key, uint64_t from,
                      uint64_t to);

#endif
