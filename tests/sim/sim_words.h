/* Words: a call of the judge's as a command that a client types. */
#ifndef TESTS_SIM_SIM_WORDS_H
#define TESTS_SIM_SIM_WORDS_H

#include "tests/sim/judge.h"

#define SIM_WORDS_MAX (2u * JUDGE_OBJECT_KEYS_MAX + 2u)

struct sim_words {
    struct judge_bytes items[SIM_WORDS_MAX]; /* borrow from the call, and from delta */
    size_t count;
    char delta[24];
};

/* as_set: SETNX and GETSET are written as SET with options. The words must not be copied. */
void sim_words_of(struct sim_words *words, const struct judge_call *call, bool as_set);

#endif
