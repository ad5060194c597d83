#include "tests/sim/sim_keys.h"

#include "tests/sim/judge.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILLER_US (1500 * SIM_MS)

static void slot_renew(struct sim_keys *keys, uint32_t number, struct sim_random *random)
{
    struct sim_key_slot *slot = &keys->slots[number];
    slot->generation++;
    slot->ops = slot->risk = 0;
    slot->character =
        slot->name_count > 1 ? (uint32_t)SIM_KEY_ANY : (uint32_t)sim_random_below(random, 4);
    for (uint32_t i = 0; i < slot->name_count; i++) {
        if (slot->name_count == 1)
            (void)snprintf(slot->names[i], sizeof slot->names[i], "k%u.%u", number,
                           slot->generation);
        else
            (void)snprintf(slot->names[i], sizeof slot->names[i], "{t%u.%u}%c", number,
                           slot->generation, (char)('a' + i));
        if (keys->all_count == keys->all_capacity) {
            keys->all_capacity = keys->all_capacity ? keys->all_capacity * 2 : 64;
            keys->all = realloc(keys->all, keys->all_capacity * sizeof *keys->all);
            assert(keys->all);
        }
        memcpy(keys->all[keys->all_count++], slot->names[i], sizeof slot->names[i]);
    }
}

void sim_keys_init(struct sim_keys *keys, const struct sim_swarm *swarm, struct sim_random *random)
{
    memset(keys, 0, sizeof *keys);
    keys->slot_count = swarm->keys + swarm->tags;
    assert(keys->slot_count <= SIM_KEY_SLOTS_MAX);
    for (uint32_t i = 0; i < keys->slot_count; i++) {
        keys->slots[i].name_count = i < swarm->keys ? 1 : SIM_TAG_KEYS;
        slot_renew(keys, i, random);
    }
}

void sim_keys_deinit(struct sim_keys *keys)
{
    free(keys->all);
    memset(keys, 0, sizeof *keys);
}

void sim_keys_turn(struct sim_keys *keys, uint32_t number, const struct sim_swarm *swarm,
                   struct sim_random *random)
{
    const struct sim_key_slot *slot = &keys->slots[number];
    if (slot->ops >= swarm->key_ops_max || slot->risk >= swarm->key_risk_max)
        slot_renew(keys, number, random);
}

uint32_t sim_keys_choose(const struct sim_keys *keys, struct sim_random *random)
{
    for (uint32_t attempt = 0; attempt < 4; attempt++) {
        uint32_t number = (uint32_t)sim_random_below(random, keys->slot_count);
        if (keys->slots[number].open < SIM_KEY_OPEN_MAX)
            return number;
    }
    return SIM_KEY_SLOTS_MAX;
}

uint8_t sim_keys_kind(const struct sim_key_slot *slot, const struct sim_swarm *swarm,
                      uint32_t habit, struct sim_random *random)
{
    static const uint32_t habits[] = {
        [SIM_HABIT_ALL] = UINT32_MAX,
        [SIM_HABIT_READ] = 1u << JUDGE_GET | 1u << JUDGE_MGET,
        [SIM_HABIT_PROBE] = 1u << JUDGE_GET | 1u << JUDGE_SETNX | 1u << JUDGE_DEL,
        [SIM_HABIT_CLAIM] = 1u << JUDGE_SETNX,
        [SIM_HABIT_ERASE] = 1u << JUDGE_DEL | 1u << JUDGE_GETDEL,
    };
    static const uint32_t kinds[] = {
        [SIM_KEY_REGISTER] = 1u << JUDGE_GET | 1u << JUDGE_SET | 1u << JUDGE_SETNX |
                             1u << JUDGE_DEL | 1u << JUDGE_GETSET | 1u << JUDGE_GETDEL |
                             1u << JUDGE_SETPX | 1u << JUDGE_PERSIST,
        [SIM_KEY_COUNTER] =
            1u << JUDGE_GET | 1u << JUDGE_INCR | 1u << JUDGE_DEL | 1u << JUDGE_SETNX,
        [SIM_KEY_LIST] = 1u << JUDGE_GET | 1u << JUDGE_APPEND | 1u << JUDGE_SET | 1u << JUDGE_DEL,
        [SIM_KEY_ANY] = ((1u << JUDGE_MSET) - 1) | 1u << JUDGE_SETPX | 1u << JUDGE_PERSIST,
    };
    static_assert(JUDGE_KINDS == sizeof swarm->weights / sizeof swarm->weights[0],
                  "a weight a kind");
    uint32_t allowed = kinds[slot->character], total = 0;
    if (slot->name_count > 1)
        allowed |= 1u << JUDGE_MSET | 1u << JUDGE_MGET;
    allowed &= habits[habit];
    for (uint32_t i = 0; i < JUDGE_KINDS; i++)
        total += allowed >> i & 1 ? swarm->weights[i] : 0;
    if (total == 0)
        return SIM_KEY_KIND_NONE;
    uint32_t at = (uint32_t)sim_random_below(random, total);
    for (uint8_t i = 0; i < JUDGE_KINDS; i++) {
        uint32_t weight = allowed >> i & 1 ? swarm->weights[i] : 0;
        if (at < weight)
            return i;
        at -= weight;
    }
    return JUDGE_GET;
}

size_t sim_keys_value(struct sim *sim, uint32_t client, uint64_t unique, bool number,
                      char out[SIM_VALUE_SIZE_MAX])
{
    static const char *const fillers[] = {
        "0123456789abcdefghijklmnopqrstuvwxyz",  "{\"user\":\"Ada\",\"city\":\"London\",\"n\":7}",
        "<item colour='magenta' state='sold'/>", "GET /images/thumbnail.jpg HTTP/1.1 \\",
        "temperature=kelvin;sensor=rooftop;q.",  "From: support To: all Re: An invoice"};
    const char *filler = fillers[sim->now_us / FILLER_US % (sizeof fillers / sizeof fillers[0])];
    size_t filler_size = strlen(filler), length, wanted;

    if (number)
        return (size_t)snprintf(out, SIM_VALUE_SIZE_MAX, "%" PRIu64, unique * 1000);
    length = (size_t)snprintf(out, SIM_VALUE_SIZE_MAX, "c%u-%" PRIu64 ",", client, unique);
    wanted = sim_random_below(sim_stream(sim, SIM_STREAM_WORKLOAD), sim->swarm.value_size_max);
    while (length < wanted && length < SIM_VALUE_SIZE_MAX - 1) {
        out[length] = filler[(unique + length) % filler_size];
        length++;
    }
    return length;
}
