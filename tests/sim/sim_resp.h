/* RESP2 as a client speaks it: commands out, replies in. Independent of the router's own parser. */
#ifndef TESTS_SIM_SIM_RESP_H
#define TESTS_SIM_SIM_RESP_H

#include "tests/sim/judge.h"

#define SIM_RESP_ITEMS_MAX JUDGE_OBJECT_KEYS_MAX

struct sim_reply {
    char type; /* + - : $ * */
    int64_t integer;
    struct judge_bytes text; /* + - $; data NULL: nil. Borrowed from the input */
    struct judge_bytes items[SIM_RESP_ITEMS_MAX];
    size_t item_count;
};

struct sim_command {
    uint8_t *bytes;
    size_t size, capacity;
};

/* Appends one command of `count` words. */
void sim_command_put(struct sim_command *command, const struct judge_bytes *words, size_t count);
void sim_command_deinit(struct sim_command *command);
/* Of SCAN. */
#define SIM_RESP_KEYS_MAX 4096u
struct sim_scan_reply {
    char type;                 /* * or - */
    struct judge_bytes cursor; /* or the error's text */
    struct judge_bytes keys[SIM_RESP_KEYS_MAX];
    size_t key_count;
};

/* Returns the bytes of the first reply, 0 when it is not whole yet, -1 when it is no RESP. */
int64_t sim_reply_parse(const uint8_t *bytes, size_t size, struct sim_reply *reply);
int64_t sim_scan_reply_parse(const uint8_t *bytes, size_t size, struct sim_scan_reply *reply);

#endif
