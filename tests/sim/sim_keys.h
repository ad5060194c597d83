/* Keys of the workload: a few slots, each with the key in use now; keys that are put aside are
 * remembered for the last reads. */
#ifndef TESTS_SIM_SIM_KEYS_H
#define TESTS_SIM_SIM_KEYS_H

#include "tests/sim/sim.h"

#define SIM_KEY_SLOTS_MAX  32u
#define SIM_TAG_KEYS       3u
#define SIM_KEY_OPEN_MAX   6u
#define SIM_KEY_KIND_NONE  UINT8_MAX
#define SIM_VALUE_SIZE_MAX 4096u

/* What a client does at all. Who only asks what often changes nothing is not soon stuck behind a
 * write of its own that finds no majority: claims fail where there is a key, erasures where there
 * is none. */
enum sim_habit {
    SIM_HABIT_ALL,
    SIM_HABIT_READ,
    SIM_HABIT_PROBE,
    SIM_HABIT_CLAIM,
    SIM_HABIT_ERASE,
};

enum sim_key_character { SIM_KEY_REGISTER, SIM_KEY_COUNTER, SIM_KEY_LIST, SIM_KEY_ANY };

struct sim_key_slot {
    char names[SIM_TAG_KEYS][24]; /* one, or those of a tag */
    uint32_t name_count;
    uint32_t character;
    uint32_t generation;
    uint32_t ops;
    uint32_t open; /* asked for and not answered, also of earlier generations */
    uint32_t risk; /* unknown outcomes, those that the judge finds hard counting more */
};

struct sim_keys {
    struct sim_key_slot slots[SIM_KEY_SLOTS_MAX];
    uint32_t slot_count;
    char (*all)[24]; /* every key ever in use */
    size_t all_count, all_capacity;
};

void sim_keys_init(struct sim_keys *keys, const struct sim_swarm *swarm, struct sim_random *random);
void sim_keys_deinit(struct sim_keys *keys);
/* Gives the slot a fresh key when its present one has seen enough. */
void sim_keys_turn(struct sim_keys *keys, uint32_t slot, const struct sim_swarm *swarm,
                   struct sim_random *random);
/* A slot that few operations are open on: the judge's work grows with the number of their orders.
 * SIM_KEY_SLOTS_MAX: none. */
uint32_t sim_keys_choose(const struct sim_keys *keys, struct sim_random *random);
/* What to do with the slot's key: enum judge_kind, by the swarm's weights. SIM_KEY_KIND_NONE:
 * nothing that this habit knows. */
uint8_t sim_keys_kind(const struct sim_key_slot *slot, const struct sim_swarm *swarm,
                      uint32_t habit, struct sim_random *random);

/* A value that says who writes it, or a number. What the rest is like changes with time, so that no
 * dictionary of it does for long. Returns its size. */
size_t sim_keys_value(struct sim *sim, uint32_t client, uint64_t unique, bool number,
                      char out[SIM_VALUE_SIZE_MAX]);

#endif
