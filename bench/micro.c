#include "bench/micro.h"
#include "bench/machine.h"
#include "bench/worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RUNS     3
#define GROW_MAX 8u

static uint64_t allocations;
static const char *group_name;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *bytes, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *bytes, size_t size);

void *__wrap_malloc(size_t size)
{
    __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *bytes, size_t size)
{
    __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
    return __real_realloc(bytes, size);
}

void micro_keep(const void *value)
{
    __asm__ volatile("" : : "r"(value) : "memory");
}

static void print_json_head(const char *name)
{
    struct machine machine;

    machine_init(&machine);
    printf("{\"bench\":\"%s\",\"case\":\"%s\",\"date\":\"%s\",\"commit\":\"%s\",\"kernel\":\"%s\","
           "\"cpu\":\"%s\",\"cores\":%u",
           group_name, name, machine.date, machine.commit, machine.kernel, machine.cpu,
           machine.cores);
}

static uint64_t run_once(const struct micro_case *row, void *context, uint64_t count,
                         uint64_t *allocated)
{
    uint64_t begin_ns, before;

    if (row->prepare)
        row->prepare(context, count);
    before = allocations;
    begin_ns = worker_clock_ns();
    row->run(context, count);
    begin_ns = worker_clock_ns() - begin_ns;
    *allocated = allocations - before;
    return begin_ns ? begin_ns : 1;
}

void micro_time(const struct micro_options *options, const struct micro_case *row, void *context)
{
    uint64_t goal_ns = options->seconds * UINT64_C(1000000000) / RUNS, count = 1, allocated = 0;
    uint64_t best_ns = run_once(row, context, count, &allocated);
    double each_ns, each_allocated;

    while (best_ns < goal_ns && (row->count_max == 0 || count < row->count_max)) {
        uint64_t factor = goal_ns / best_ns + 1;

        count *= factor < 2 ? 2 : factor > GROW_MAX ? GROW_MAX : factor;
        if (row->count_max && count > row->count_max)
            count = row->count_max;
        best_ns = run_once(row, context, count, &allocated);
    }
    for (int i = 1; i < RUNS; i++) {
        uint64_t ns = run_once(row, context, count, &allocated);

        best_ns = ns < best_ns ? ns : best_ns;
    }
    each_ns = (double)best_ns / (double)count;
    each_allocated = (double)allocated / (double)count;
    if (options->json) {
        print_json_head(row->name);
        printf(",\"rate\":%.0f,\"ns\":%.1f,\"allocations\":%.4f,\"bytes\":%llu}\n", 1e9 / each_ns,
               each_ns, each_allocated, (unsigned long long)row->bytes);
        return;
    }
    printf("%-36s %12.0f op/s %11.1f ns %8.3f allocations", row->name, 1e9 / each_ns, each_ns,
           each_allocated);
    if (row->bytes)
        printf(" %8.0f MB/s", (double)row->bytes * 1e3 / each_ns);
    printf("\n");
}

void micro_figure(const struct micro_options *options, const char *name, double value,
                  const char *unit)
{
    if (options->json) {
        print_json_head(name);
        printf(",\"value\":%.3f,\"unit\":\"%s\"}\n", value, unit);
        return;
    }
    printf("%-36s %12.2f %s\n", name, value, unit);
}

int micro_run(const char *name, const struct micro_options *options)
{
    static const struct {
        const char *name;
        int (*run)(const struct micro_options *options);
    } groups[] = {{"keydir", micro_keydir},   {"value", micro_value}, {"copy", micro_copy},
                  {"journal", micro_journal}, {"wire", micro_wire},   {"raft", micro_raft}};

    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        if (strcmp(groups[i].name, name) == 0) {
            group_name = groups[i].name;
            return groups[i].run(options);
        }
    return -EINVAL;
}
