#include "bench/engine_bench.h"
#include "bench/machine.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name, *text;
    size_t offset;
    int decimals;
} figures[] = {
    {"fill_rate", "fill, not synced, keys/s", offsetof(struct engine_run, fill_rate), 0},
    {"fill_cpu_us", "  processor a key, us", offsetof(struct engine_run, fill_cpu_us), 2},
    {"fill_p99_us", "  p99, us", offsetof(struct engine_run, fill_p99_us), 1},
    {"read_rate", "random reads/s, one thread", offsetof(struct engine_run, read_rate), 0},
    {"read_cpu_us", "  processor a read, us", offsetof(struct engine_run, read_cpu_us), 2},
    {"read_p50_us", "  p50, us", offsetof(struct engine_run, read_p50_us), 2},
    {"read_p99_us", "  p99, us", offsetof(struct engine_run, read_p99_us), 2},
    {"memory_key", "memory a key, bytes", offsetof(struct engine_run, memory_key), 1},
    {"synced_rate", "synced writes/s", offsetof(struct engine_run, synced_rate), 0},
    {"synced_cpu_us", "  processor a write, us", offsetof(struct engine_run, synced_cpu_us), 2},
    {"synced_p50_us", "  p50, us", offsetof(struct engine_run, synced_p50_us), 0},
    {"synced_p99_us", "  p99, us", offsetof(struct engine_run, synced_p99_us), 0},
    {"wear_rate", "overwrites, not synced, keys/s", offsetof(struct engine_run, wear_rate), 0},
    {"wear_p99_us", "  p99, us", offsetof(struct engine_run, wear_p99_us), 1},
    {"wear_read_p99_us", "  p99 of reads meanwhile, us",
     offsetof(struct engine_run, wear_read_p99_us), 2},
    {"amplification", "bytes written a byte put", offsetof(struct engine_run, amplification), 2},
    {"disk", "bytes on disk a live byte", offsetof(struct engine_run, disk_key), 2},
    {"open_clean_ms", "open after a close, ms", offsetof(struct engine_run, open_clean_ms), 0},
    {"open_killed_ms", "open after a kill, ms", offsetof(struct engine_run, open_killed_ms), 0},
};
#define FIGURE_COUNT (sizeof figures / sizeof *figures)
#define PEERS_MAX    8u

static double figure_of(const struct engine_run *run, size_t i)
{
    double value;

    memcpy(&value, (const char *)run + figures[i].offset, sizeof value);
    return value;
}

/* True when the list, separated by commas, names it; NULL names all. */
static bool is_wanted(const char *list, const char *name)
{
    size_t size = strlen(name);

    for (const char *at = list; at && (at = strstr(at, name)); at += size)
        if ((at == list || at[-1] == ',') && (at[size] == ',' || at[size] == '\0'))
            return true;
    return !list;
}

static void print_json(const struct engine_run_options *options, const struct peer *peer,
                       const struct engine_run *run)
{
    struct machine machine;

    machine_init(&machine);
    printf("{\"bench\":\"engine\",\"peer\":\"%s\",\"date\":\"%s\",\"commit\":\"%s\","
           "\"kernel\":\"%s\",\"cpu\":\"%s\",\"cores\":%u,\"keys\":%llu,\"value_size\":%u,"
           "\"batch\":%u,\"threads\":%u,\"wear\":%.2f",
           peer->name, machine.date, machine.commit, machine.kernel, machine.cpu, machine.cores,
           (unsigned long long)options->keys, options->value_size, options->batch, options->threads,
           options->wear);
    for (size_t i = 0; i < FIGURE_COUNT; i++)
        printf(",\"%s\":%.3f", figures[i].name, figure_of(run, i));
    printf("}\n");
    fflush(stdout);
}

static void print_table(const struct engine_run_options *options, const struct peer *const *done,
                        const struct engine_run *runs, size_t count)
{
    printf("\n%llu keys of %u B, values of %u B, batches of %u, %u threads when synced\n%-32s",
           (unsigned long long)options->keys, PEER_KEY_SIZE, options->value_size, options->batch,
           options->threads, "");
    for (size_t p = 0; p < count; p++)
        printf(" %12s", done[p]->name);
    printf("\n");
    for (size_t i = 0; i < FIGURE_COUNT; i++) {
        printf("%-32s", figures[i].text);
        for (size_t p = 0; p < count; p++)
            printf(" %12.*f", figures[i].decimals, figure_of(&runs[p], i));
        printf("\n");
    }
    fflush(stdout);
}

static int bench_size(const struct engine_bench_options *options,
                      const struct engine_run_options *run_options)
{
    const struct peer *done[PEERS_MAX];
    struct engine_run runs[PEERS_MAX];
    size_t count = 0;
    int failed = 0;

    for (size_t i = 0; peers[i] && count < PEERS_MAX; i++) {
        if (!is_wanted(options->only, peers[i]->name))
            continue;
        memset(&runs[count], 0, sizeof runs[count]);
        if (engine_run(peers[i], run_options, &runs[count]) != 0) {
            fprintf(stderr, "%s: failed\n", peers[i]->name);
            failed = 1;
            continue;
        }
        if (options->json)
            print_json(run_options, peers[i], &runs[count]);
        done[count++] = peers[i];
    }
    if (!options->json)
        print_table(run_options, done, runs, count);
    return failed;
}

int engine_bench(const struct engine_bench_options *options)
{
    struct engine_run_options run = options->run;
    const char *at = options->values;
    char folder[512];
    int r = 0;

    if (*peers_missing)
        fprintf(stderr, "built without: %s\n", peers_missing);
    snprintf(folder, sizeof folder, "%.400s/ring-bench-XXXXXX", options->folder);
    if (!mkdtemp(folder))
        return -errno;
    run.folder = folder;
    while (*at) {
        char *end;
        unsigned long size = strtoul(at, &end, 10);

        if (end == at || size > 65536 || (*end != ',' && *end != '\0')) {
            r = -EINVAL;
            break;
        }
        run.value_size = (uint32_t)size;
        if (bench_size(options, &run) != 0)
            r = 1;
        at = *end == ',' ? end + 1 : end;
    }
    if (rmdir(folder) != 0)
        fprintf(stderr, "cannot remove %s\n", folder);
    return r;
}
