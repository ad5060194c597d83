#include "tests/sim/sim_words.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const names[JUDGE_KINDS] = {
    [JUDGE_GET] = "GET",       [JUDGE_SET] = "SET",       [JUDGE_SETNX] = "SETNX",
    [JUDGE_INCR] = "INCRBY",   [JUDGE_APPEND] = "APPEND", [JUDGE_DEL] = "DEL",
    [JUDGE_GETSET] = "GETSET", [JUDGE_GETDEL] = "GETDEL", [JUDGE_MSET] = "MSET",
    [JUDGE_MGET] = "MGET",     [JUDGE_SETPX] = "SET",     [JUDGE_PERSIST] = "PERSIST",
};

static void word(struct sim_words *words, struct judge_bytes bytes)
{
    assert(words->count < SIM_WORDS_MAX);
    words->items[words->count++] = bytes;
}

static void text(struct sim_words *words, const char *string)
{
    word(words, (struct judge_bytes){string, strlen(string)});
}

void sim_words_of(struct sim_words *words, const struct judge_call *call, bool as_set)
{
    words->count = 0;
    (void)snprintf(words->delta, sizeof words->delta, "%" PRId64, call->delta);
    text(words, as_set ? "SET" : names[call->kind]);
    for (uint8_t i = 0; i < call->key_count; i++) {
        word(words, call->keys[i]);
        if (call->values[i].data)
            word(words, call->values[i]);
    }
    if (call->kind == JUDGE_SETPX)
        text(words, "PX");
    if (call->kind == JUDGE_INCR || call->kind == JUDGE_SETPX)
        text(words, words->delta);
    if (as_set)
        text(words, call->kind == JUDGE_SETNX ? "NX" : "GET");
}
