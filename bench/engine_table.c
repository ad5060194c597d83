#include "bench/engine_table.h"
#include "bench/machine.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct figure {
    const char *name, *text;
    size_t offset;
    int decimals;
    bool more; /* is better */
};

#define OF_RUN(field) offsetof(struct engine_run, field)
static const struct figure figures[] = {
    {"fill_rate", "fill, not synced, keys/s", OF_RUN(fill_rate), 0, true},
    {"fill_cpu_us", "  processor a key, us", OF_RUN(fill_cpu_us), 2, false},
    {"fill_p99_us", "  p99, us", OF_RUN(fill_p99_us), 1, false},
    {"read_rate", "random reads/s, one thread", OF_RUN(read_rate), 0, true},
    {"read_cpu_us", "  processor a read, us", OF_RUN(read_cpu_us), 2, false},
    {"read_p50_us", "  p50, us", OF_RUN(read_p50_us), 2, false},
    {"read_p99_us", "  p99, us", OF_RUN(read_p99_us), 2, false},
    {"memory_key", "memory a key, bytes", OF_RUN(memory_key), 1, false},
    {"synced_rate", "synced writes/s", OF_RUN(synced_rate), 0, true},
    {"synced_cpu_us", "  processor a write, us", OF_RUN(synced_cpu_us), 2, false},
    {"synced_p50_us", "  p50, us", OF_RUN(synced_p50_us), 0, false},
    {"synced_p99_us", "  p99, us", OF_RUN(synced_p99_us), 0, false},
    {"wear_rate", "overwrites, not synced, keys/s", OF_RUN(wear_rate), 0, true},
    {"wear_p99_us", "  p99, us", OF_RUN(wear_p99_us), 1, false},
    {"wear_read_p99_us", "  p99 of reads meanwhile, us", OF_RUN(wear_read_p99_us), 2, false},
    {"amplification", "bytes written a byte put", OF_RUN(amplification), 2, false},
    {"disk", "bytes on disk a live byte", OF_RUN(disk_key), 2, false},
    {"open_clean_ms", "open after a close, ms", OF_RUN(open_clean_ms), 0, false},
    {"open_killed_ms", "open after a kill, ms", OF_RUN(open_killed_ms), 0, false},
};
#define FIGURE_COUNT  (sizeof figures / sizeof *figures)

#define OF_OWN(field) offsetof(struct engine_own, field)
#define OF_VALUES(name, text, kind)                                                                \
    {name "_fill_rate", "JSON " text ", fill, not synced, keys/s", OF_OWN(values[kind].fill_rate), \
     0, true},                                                                                     \
        {name "_read_rate", "  random reads/s", OF_OWN(values[kind].read_rate), 0, true},          \
    {                                                                                              \
        name "_synced_rate", "  synced writes/s", OF_OWN(values[kind].synced_rate), 0, true        \
    }
static const struct figure own_figures[] = {
    {"write_p99_us", "synced writes, p99, us", OF_OWN(write_p99_us), 0, false},
    {"read_p99_us", "  reads between them, p99, us", OF_OWN(read_p99_us), 1, false},
    {"flush_write_p99_us", "the same while reclaiming, p99, us", OF_OWN(flush_write_p99_us), 0,
     false},
    {"flush_read_p99_us", "  reads, p99, us", OF_OWN(flush_read_p99_us), 1, false},
    {"flush_moved", "  bytes reclaimed a second", OF_OWN(flush_moved), 0, true},
    {"amplification", "steady: bytes written a byte put", OF_OWN(amplification), 2, false},
    {"use", "  live share of the files", OF_OWN(use), 2, true},
    {"value_size", "JSON values, bytes", OF_OWN(value_size), 0, false},
    {"compression", "  times smaller when compressed", OF_OWN(compression), 2, true},
    OF_VALUES("plain", "as it is", ENGINE_OWN_PLAIN),
    {"mapped_read_rate", "  random reads/s, mapped", OF_OWN(mapped_read_rate), 0, true},
    OF_VALUES("compressed", "compressed", ENGINE_OWN_COMPRESSED),
    OF_VALUES("encrypted", "encrypted", ENGINE_OWN_ENCRYPTED),
};
#define OWN_FIGURE_COUNT (sizeof own_figures / sizeof *own_figures)

static double value_of(const void *from, const struct figure *figure)
{
    double value;

    memcpy(&value, (const char *)from + figure->offset, sizeof value);
    return value;
}

/* --- JSON ---------------------------------------------------------------------------------- */

static void json_head(const struct engine_table *table, const struct machine *machine,
                      const char *peer, FILE *out)
{
    const struct engine_run_options *options = &table->options;

    fprintf(out,
            "{\"bench\":\"engine\",\"peer\":\"%s\",\"date\":\"%s\",\"commit\":\"%s\","
            "\"kernel\":\"%s\",\"cpu\":\"%s\",\"cores\":%u,\"keys\":%llu,\"value_size\":%u,"
            "\"batch\":%u,\"threads\":%u,\"wear\":%.2f,\"load\":%.1f",
            peer, machine->date, machine->commit, machine->kernel, machine->cpu, machine->cores,
            (unsigned long long)options->keys, options->value_size, options->batch,
            options->threads, options->wear, table->load);
}

void engine_table_json(const struct engine_table *table, FILE *out)
{
    struct machine machine;

    machine_init(&machine);
    for (size_t p = 0; p < table->count; p++) {
        json_head(table, &machine, table->peers[p]->name, out);
        for (size_t i = 0; i < FIGURE_COUNT; i++)
            fprintf(out, ",\"%s\":%.3f", figures[i].name, value_of(&table->runs[p], &figures[i]));
        fprintf(out, "}\n");
    }
    if (table->has_own) {
        json_head(table, &machine, "ringcask alone", out);
        for (size_t i = 0; i < OWN_FIGURE_COUNT; i++)
            fprintf(out, ",\"%s\":%.3f", own_figures[i].name,
                    value_of(&table->own, &own_figures[i]));
        fprintf(out, "}\n");
    }
    fflush(out);
}

/* --- the table ----------------------------------------------------------------------------- */

static const struct engine_run *run_of(const struct engine_table *table, const char *name)
{
    for (size_t p = 0; p < table->count; p++)
        if (strcmp(table->peers[p]->name, name) == 0)
            return &table->runs[p];
    return NULL;
}

/* How many times better `ours` is. */
static double times(const struct figure *figure, double ours, double other)
{
    double more = figure->more ? ours : other, less = figure->more ? other : ours;

    return less > 0 ? more / less : more > 0 ? 1e9 : 1;
}

/* The peer that is best in it; NULL: there is none. */
static const struct peer *best(const struct engine_table *table, const struct figure *figure,
                               double *value)
{
    const struct peer *found = NULL;

    for (size_t p = 0; p < table->count; p++) {
        double of = value_of(&table->runs[p], figure);

        if (strcmp(table->peers[p]->name, "ringcask") == 0 ||
            (found && times(figure, *value, of) >= 1))
            continue;
        found = table->peers[p];
        *value = of;
    }
    return found;
}

static void print_runs(const struct engine_table *table, FILE *out)
{
    fprintf(out, "%-36s", "");
    for (size_t p = 0; p < table->count; p++)
        fprintf(out, " %11s", table->peers[p]->name);
    fprintf(out, "\n");
    for (size_t i = 0; i < FIGURE_COUNT; i++) {
        fprintf(out, "%-36s", figures[i].text);
        for (size_t p = 0; p < table->count; p++)
            fprintf(out, " %11.*f", figures[i].decimals, value_of(&table->runs[p], &figures[i]));
        fprintf(out, "\n");
    }
}

static void print_own(const struct engine_table *table, FILE *out)
{
    fprintf(out, "\nours alone\n");
    for (size_t i = 0; i < OWN_FIGURE_COUNT; i++)
        fprintf(out, "%-36s %11.*f\n", own_figures[i].text, own_figures[i].decimals,
                value_of(&table->own, &own_figures[i]));
}

static void bound(FILE *out, const char *text, double measured, bool at_most, double wanted)
{
    bool met = at_most ? measured <= wanted : measured >= wanted;

    fprintf(out, "%-60s %9.2f  %s %7.2f  %s\n", text, measured, at_most ? "at most " : "at least",
            wanted, met ? "met" : "missed");
}

static void bounds_peers(const struct engine_table *table, FILE *out)
{
    const struct engine_run *ours = run_of(table, "ringcask"), *rocksdb = run_of(table, "rocksdb"),
                            *lmdb = run_of(table, "lmdb");
    static const struct {
        const char *name, *text;
    } rates[] = {{"synced_rate", "synced writes, to the best peer"},
                 {"fill_rate", "fill, not synced, to the best peer"},
                 {"wear_rate", "overwrites, not synced, to the best peer"}};

    if (!ours)
        return;
    for (size_t n = 0; n < sizeof rates / sizeof *rates; n++)
        for (size_t i = 0; i < FIGURE_COUNT; i++) {
            double peer;

            if (strcmp(figures[i].name, rates[n].name) == 0 && best(table, &figures[i], &peer))
                bound(out, rates[n].text, value_of(ours, &figures[i]) / peer, false, 2);
        }
    if (rocksdb)
        bound(out, "random reads, to RocksDB", ours->read_rate / rocksdb->read_rate, false, 1.5);
    if (lmdb)
        bound(out, "random reads, to LMDB", ours->read_rate / lmdb->read_rate, false, 1);
    bound(out, "memory a key, bytes", ours->memory_key, true, 24);
    bound(out, "open after a close, ms (5 million keys)", ours->open_clean_ms, true, 1000);
    bound(out, "open after a kill, ms (5 million keys)", ours->open_killed_ms, true, 2000);
}

static void bounds_own(const struct engine_own *own, FILE *out)
{
    static const struct {
        enum engine_own_kind kind;
        double less_max;
        const char *fill, *read, *synced;
    } packed[] = {{ENGINE_OWN_COMPRESSED, 0.25, "compression: fewer writes, not synced, share",
                   "compression: fewer reads, share", "compression: fewer synced writes, share"},
                  {ENGINE_OWN_ENCRYPTED, 0.2, "encryption: fewer writes, not synced, share",
                   "encryption: fewer reads, share", "encryption: fewer synced writes, share"}};
    const struct engine_own_values *plain = &own->values[ENGINE_OWN_PLAIN];

    bound(out, "bytes written a byte put, steady", own->amplification, true, 2);
    bound(out, "p99 of synced writes while reclaiming, times",
          own->flush_write_p99_us / own->write_p99_us, true, 2);
    bound(out, "p99 of reads while reclaiming, times", own->flush_read_p99_us / own->read_p99_us,
          true, 2);
    bound(out, "JSON values compressed, times smaller", own->compression, false, 2.5);
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
        const struct engine_own_values *values = &own->values[packed[i].kind];

        bound(out, packed[i].synced, 1 - values->synced_rate / plain->synced_rate, true,
              packed[i].less_max);
        bound(out, packed[i].fill, 1 - values->fill_rate / plain->fill_rate, true,
              packed[i].less_max);
        bound(out, packed[i].read, 1 - values->read_rate / plain->read_rate, true,
              packed[i].less_max);
    }
}

static void print_winners(const struct engine_table *table, FILE *out)
{
    const struct engine_run *ours = run_of(table, "ringcask");
    const char *group = "";

    for (size_t i = 0; ours && i < FIGURE_COUNT; i++) {
        const struct figure *figure = &figures[i];
        double peer = 0, mine = value_of(ours, figure);
        const struct peer *winner = best(table, figure, &peer);

        bool is_part = figure->text[0] == ' ';

        if (!is_part)
            group = figure->text;
        if (!winner || times(figure, mine, peer) >= 1)
            continue;
        fprintf(out, "a peer wins: %s, %s%s%s: %.*f, ours %.*f\n", winner->name, group,
                is_part ? ", " : "", is_part ? figure->text + 2 : "", figure->decimals, peer,
                figure->decimals, mine);
    }
}

void engine_table_print(const struct engine_table *table, FILE *out)
{
    const struct engine_run_options *options = &table->options;
    struct machine machine;

    machine_init(&machine);
    fprintf(
        out,
        "%s, commit %s, %u cores of %s, Linux %s\n%llu keys of %u B, values of %u B, batches of "
        "%u, %u threads when synced, overwrites %.1f times the keys\n"
        "load average before: %.1f%s\n\n",
        machine.date, machine.commit, machine.cores, machine.cpu, machine.kernel,
        (unsigned long long)options->keys, PEER_KEY_SIZE, options->value_size, options->batch,
        options->threads, options->wear, table->load,
        table->load >= 1 ? " - the machine had other work, rates are lower than they could be"
                         : "");
    print_runs(table, out);
    if (table->has_own)
        print_own(table, out);
    fprintf(out, "\n");
    bounds_peers(table, out);
    if (table->has_own)
        bounds_own(&table->own, out);
    fprintf(out, "\n");
    print_winners(table, out);
    fflush(out);
}
