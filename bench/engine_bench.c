#include "bench/engine_bench.h"
#include "bench/engine_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* True when the list, separated by commas, names it; NULL names all. */
static bool is_wanted(const char *list, const char *name)
{
    size_t size = strlen(name);

    for (const char *at = list; at && (at = strstr(at, name)); at += size)
        if ((at == list || at[-1] == ',') && (at[size] == ',' || at[size] == '\0'))
            return true;
    return !list;
}

static int bench_size(const struct engine_bench_options *options,
                      const struct engine_run_options *run_options, FILE *results)
{
    struct engine_table table = {.options = *run_options};
    int failed = 0;

    if (getloadavg(&table.load, 1) != 1)
        table.load = 0;
    for (size_t i = 0; peers[i] && table.count < ENGINE_TABLE_PEERS_MAX; i++) {
        if (!is_wanted(options->only, peers[i]->name))
            continue;
        if (engine_run(peers[i], run_options, &table.runs[table.count]) != 0) {
            fprintf(stderr, "%s: failed\n", peers[i]->name);
            failed = 1;
            continue;
        }
        table.peers[table.count++] = peers[i];
    }
    if (is_wanted(options->only, "own")) {
        table.has_own = engine_own(run_options, &table.own) == 0;
        failed = failed || !table.has_own;
    }
    if (options->json)
        engine_table_json(&table, stdout);
    else
        engine_table_print(&table, stdout);
    if (results)
        engine_table_json(&table, results);
    return failed;
}

/* Each size of the list in turn. */
static int bench_sizes(const struct engine_bench_options *options, struct engine_run_options *run,
                       FILE *results)
{
    const char *at = options->values;
    int r = 0;

    while (*at) {
        char *end;
        unsigned long size = strtoul(at, &end, 10);

        if (end == at || size > 65536 || (*end != ',' && *end != '\0'))
            return -EINVAL;
        run->value_size = (uint32_t)size;
        if (bench_size(options, run, results) != 0)
            r = 1;
        at = *end == ',' ? end + 1 : end;
    }
    return r;
}

int engine_bench(const struct engine_bench_options *options)
{
    struct engine_run_options run = options->run;
    FILE *results = NULL;
    char folder[512];
    int r = 0;

    if (*peers_missing)
        fprintf(stderr, "built without: %s\n", peers_missing);
    snprintf(folder, sizeof folder, "%.400s/ring-bench-XXXXXX", options->folder);
    if (options->results && !(results = fopen(options->results, "a")))
        return -errno;
    if (!mkdtemp(folder))
        r = -errno;
    run.folder = folder;
    if (r == 0)
        r = bench_sizes(options, &run, results);
    if (results && fclose(results) != 0 && r == 0)
        r = -errno;
    if (rmdir(folder) != 0)
        fprintf(stderr, "cannot remove %s\n", folder);
    return r;
}
