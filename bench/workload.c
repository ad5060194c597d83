#include "bench/workload.h"

#include "ring/mix.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define THETA 0.99

static const struct {
    const char *name;
    uint8_t shares[WORKLOAD_KIND_COUNT];
    uint8_t distribution;
} table[] = {
    {"a", {50, 50, 0, 0}, WORKLOAD_ZIPFIAN},   {"b", {95, 5, 0, 0}, WORKLOAD_ZIPFIAN},
    {"c", {100, 0, 0, 0}, WORKLOAD_ZIPFIAN},   {"d", {95, 0, 5, 0}, WORKLOAD_LATEST},
    {"f", {50, 0, 0, 50}, WORKLOAD_ZIPFIAN},   {"get", {100, 0, 0, 0}, WORKLOAD_UNIFORM},
    {"set", {0, 100, 0, 0}, WORKLOAD_UNIFORM},
};

uint64_t workload_chance(struct workload *workload)
{
    return mix_next(&workload->chance);
}

static double fraction(struct workload *workload)
{
    return (double)(workload_chance(workload) >> 11) * 0x1p-53;
}

/* The constants of Gray's generator; zeta is the sum that makes the shares add up to 1. */
static void zipf_init(struct workload *workload)
{
    double n = (double)workload->keys;

    workload->zeta = 0;
    for (uint64_t i = 1; i <= workload->keys; i++)
        workload->zeta += 1 / pow((double)i, THETA);
    workload->zeta_two = 1 + pow(0.5, THETA);
    workload->alpha = 1 / (1 - THETA);
    workload->eta = (1 - pow(2 / n, 1 - THETA)) / (1 - workload->zeta_two / workload->zeta);
}

/* A rank from 0, the most frequent first. */
static uint64_t zipf_next(struct workload *workload)
{
    double u = fraction(workload), uz = u * workload->zeta;
    uint64_t rank;

    if (uz < 1 || workload->keys == 1)
        return 0;
    if (uz < workload->zeta_two)
        return 1;
    rank = (uint64_t)((double)workload->keys *
                      pow(workload->eta * u - workload->eta + 1, workload->alpha));
    return rank < workload->keys ? rank : workload->keys - 1;
}

bool workload_init(struct workload *workload, const struct workload_options *options)
{
    assert(options->keys > 0);
    assert(options->thread < options->threads);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].name, options->name) != 0)
            continue;
        *workload = (struct workload){.distribution = table[i].distribution,
                                      .keys = options->keys,
                                      .thread = options->thread,
                                      .threads = options->threads,
                                      .chance = mix_word(options->seed + options->thread + 1)};
        memcpy(workload->shares, table[i].shares, sizeof workload->shares);
        if (options->distribution >= 0)
            workload->distribution = (uint8_t)options->distribution;
        if (workload->distribution != WORKLOAD_UNIFORM)
            zipf_init(workload);
        return true;
    }
    return false;
}

static uint64_t inserted_key(const struct workload *workload, uint64_t number)
{
    return workload->keys + number * workload->threads + workload->thread;
}

/* Counted back from the newest key that this thread knows of. */
static uint64_t latest_key(const struct workload *workload, uint64_t rank)
{
    if (rank < workload->acknowledged)
        return inserted_key(workload, workload->acknowledged - 1 - rank);
    rank -= workload->acknowledged;
    return workload->keys - 1 - rank % workload->keys;
}

static uint64_t choose_key(struct workload *workload)
{
    switch (workload->distribution) {
    case WORKLOAD_ZIPFIAN:
        return mix_of(zipf_next(workload)) % workload->keys;
    case WORKLOAD_LATEST:
        return latest_key(workload, zipf_next(workload));
    default:
        return workload_chance(workload) % workload->keys;
    }
}

struct workload_choice workload_next(struct workload *workload)
{
    struct workload_choice choice = {0};
    uint64_t percent = workload_chance(workload) % 100;

    while (percent >= workload->shares[choice.kind]) {
        percent -= workload->shares[choice.kind];
        choice.kind++;
        assert(choice.kind < WORKLOAD_KIND_COUNT);
    }
    choice.key = choice.kind == WORKLOAD_INSERT ? inserted_key(workload, workload->inserts++)
                                                : choose_key(workload);
    return choice;
}

void workload_inserted(struct workload *workload, uint64_t key)
{
    uint64_t number = (key - workload->keys) / workload->threads;
    uint64_t at = number % WORKLOAD_PENDING_MAX;

    assert(number < workload->inserts);
    if (number < workload->acknowledged || number - workload->acknowledged >= WORKLOAD_PENDING_MAX)
        return; /* too far ahead of the oldest: it stays unknown, and so do those after it */
    workload->pending[at / 8] |= (uint8_t)(1u << at % 8);
    for (;;) {
        at = workload->acknowledged % WORKLOAD_PENDING_MAX;
        if (!(workload->pending[at / 8] & 1u << at % 8))
            return;
        workload->pending[at / 8] &= (uint8_t) ~(1u << at % 8);
        workload->acknowledged++;
    }
}

const char *workload_kind_name(uint8_t kind)
{
    static const char *names[WORKLOAD_KIND_COUNT] = {"read", "update", "insert", "modify"};

    assert(kind < WORKLOAD_KIND_COUNT);
    return names[kind];
}

static const char *distributions[] = {"uniform", "zipfian", "latest"};

const char *workload_distribution_name(uint8_t distribution)
{
    assert(distribution <= WORKLOAD_LATEST);
    return distributions[distribution];
}

int workload_distribution_of(const char *name)
{
    for (int i = 0; i <= WORKLOAD_LATEST; i++)
        if (strcmp(distributions[i], name) == 0)
            return i;
    return -1;
}
