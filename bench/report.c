#include "bench/report.h"
#include "bench/machine.h"

#include <jansson.h>
#include <stdio.h>

static const struct {
    const char *name;
    uint32_t per_million;
} percentiles[] = {
    {"p50", 500000}, {"p90", 900000}, {"p99", 990000}, {"p99.9", 999000}, {"max", 1000000}};
#define PERCENTILE_COUNT (sizeof percentiles / sizeof *percentiles)

static double us(uint64_t ns)
{
    return (double)ns / 1000;
}

static double each(uint64_t amount, const struct load_result *result)
{
    return result->tally.completed ? (double)amount / (double)result->tally.completed : 0;
}

static uint64_t cpu_us(const struct usage *usage)
{
    return usage->user_us + usage->system_us;
}

static void print_row(const char *name, const struct histogram *histogram, double seconds)
{
    if (histogram->count == 0)
        return;
    printf("%-8s %10.0f", name, (double)histogram->count / seconds);
    for (size_t i = 0; i < PERCENTILE_COUNT; i++)
        printf(" %9.1f", us(histogram_percentile(histogram, percentiles[i].per_million)));
    printf(" %9.1f\n", us(histogram_mean(histogram)));
}

static void print_errors(const char *when, const struct tally *tally)
{
    for (uint32_t i = 0; i < tally->error_count; i++)
        printf("errors%s: %s %llu\n", when, tally->errors[i].prefix,
               (unsigned long long)tally->errors[i].count);
    if (tally->lost)
        printf("unanswered%s: %llu\n", when, (unsigned long long)tally->lost);
}

static void print_usage(const char *name, const struct usage *usage,
                        const struct load_result *result)
{
    printf("%-16s %8.2f %8.2f %8.2f %10.3f %10.3f\n", name, each(cpu_us(usage), result),
           each(usage->user_us, result), each(usage->system_us, result),
           each(usage->switches, result), each(usage->switches_forced, result));
}

void report_table(const struct load_options *options, const struct load_result *result)
{
    const struct tally *tally = &result->tally;

    printf("workload %s, %s, %u clients, pipeline %u, %llu keys of %u B, values of %u B, %u s\n",
           options->workload, workload_distribution_name(result->distribution), options->clients,
           options->pipeline, (unsigned long long)options->keys, options->key_size,
           options->value_size, options->seconds);
    if (options->rate)
        printf("open loop: %llu/s offered, %.0f/s answered%s\n", (unsigned long long)options->rate,
               result->achieved,
               result->saturated ? "; SATURATED: latencies say how long it queued" : "");
    else
        printf("closed loop: %.0f/s\n", result->achieved);
    printf("\n%-8s %10s", "", "op/s");
    for (size_t i = 0; i < PERCENTILE_COUNT; i++)
        printf(" %6s us", percentiles[i].name);
    printf("   mean us\n");
    for (uint8_t i = 0; i < WORKLOAD_KIND_COUNT; i++)
        print_row(workload_kind_name(i), &tally->kinds[i], options->seconds);
    print_row("all", &tally->all, options->seconds);
    if (result->processes.count > 0) {
        struct usage sum = usage_sum(&result->processes);

        printf("\n%-16s %8s %8s %8s %10s %10s\n", "each operation", "cpu us", "user us", "sys us",
               "sleeps", "preempted");
        for (size_t i = 0; i < result->processes.count; i++) {
            struct usage usage = usage_difference(&result->processes.list[i]);

            print_usage(result->processes.list[i].name, &usage, result);
        }
        print_usage("all", &sum, result);
    }
    if (tally->misses)
        printf("misses: %llu\n", (unsigned long long)tally->misses);
    print_errors("", tally);
    print_errors(" of the fill", &result->fill);
}

static json_t *latencies(const struct histogram *histogram, double seconds)
{
    json_t *object = json_object();

    json_object_set_new(object, "count", json_integer((json_int_t)histogram->count));
    json_object_set_new(object, "rate", json_real((double)histogram->count / seconds));
    for (size_t i = 0; i < PERCENTILE_COUNT; i++)
        json_object_set_new(
            object, percentiles[i].name,
            json_real(us(histogram_percentile(histogram, percentiles[i].per_million))));
    json_object_set_new(object, "mean", json_real(us(histogram_mean(histogram))));
    return object;
}

static void set_usage(json_t *object, const struct usage *usage, const struct load_result *result)
{
    json_object_set_new(object, "cpu_us", json_real(each(cpu_us(usage), result)));
    json_object_set_new(object, "user_us", json_real(each(usage->user_us, result)));
    json_object_set_new(object, "system_us", json_real(each(usage->system_us, result)));
    json_object_set_new(object, "sleeps", json_real(each(usage->switches, result)));
    json_object_set_new(object, "preempted", json_real(each(usage->switches_forced, result)));
}

static void set_machine(json_t *object)
{
    struct machine machine;

    machine_init(&machine);
    json_object_set_new(object, "date", json_string(machine.date));
    json_object_set_new(object, "commit", json_string(machine.commit));
    json_object_set_new(object, "kernel", json_string(machine.kernel));
    json_object_set_new(object, "cpu", json_string(machine.cpu));
    json_object_set_new(object, "cores", json_integer(machine.cores));
}

static json_t *errors(const struct tally *tally)
{
    json_t *object = json_object();

    for (uint32_t i = 0; i < tally->error_count; i++)
        json_object_set_new(object, tally->errors[i].prefix,
                            json_integer((json_int_t)tally->errors[i].count));
    if (tally->lost)
        json_object_set_new(object, "unanswered", json_integer((json_int_t)tally->lost));
    return object;
}

static json_t *usages(const struct load_result *result)
{
    json_t *list = json_array();

    for (size_t i = 0; i < result->processes.count; i++) {
        const struct usage_process *process = &result->processes.list[i];
        struct usage usage = usage_difference(process);
        json_t *object = json_object();

        json_object_set_new(object, "name", json_string(process->name));
        set_usage(object, &usage, result);
        json_array_append_new(list, object);
    }
    return list;
}

void report_json(const struct load_options *options, const struct load_result *result)
{
    const struct tally *tally = &result->tally;
    json_t *object = json_object(), *kinds = json_object();

    json_object_set_new(object, "bench", json_string("load"));
    json_object_set_new(object, "label", json_string(options->label ? options->label : ""));
    set_machine(object);
    json_object_set_new(object, "link", json_string(options->native ? "native" : "resp"));
    json_object_set_new(object, "workload", json_string(options->workload));
    json_object_set_new(object, "distribution",
                        json_string(workload_distribution_name(result->distribution)));
    json_object_set_new(object, "clients", json_integer(options->clients));
    json_object_set_new(object, "pipeline", json_integer(options->pipeline));
    json_object_set_new(object, "threads", json_integer(options->threads));
    json_object_set_new(object, "keys", json_integer((json_int_t)options->keys));
    json_object_set_new(object, "key_size", json_integer(options->key_size));
    json_object_set_new(object, "value_size", json_integer(options->value_size));
    json_object_set_new(object, "seconds", json_integer(options->seconds));
    json_object_set_new(object, "offered", json_integer((json_int_t)options->rate));
    json_object_set_new(object, "achieved", json_real(result->achieved));
    json_object_set_new(object, "saturated", json_boolean(result->saturated));
    json_object_set_new(object, "misses", json_integer((json_int_t)tally->misses));
    json_object_set_new(object, "errors", errors(tally));
    for (uint8_t i = 0; i < WORKLOAD_KIND_COUNT; i++)
        if (tally->kinds[i].count)
            json_object_set_new(kinds, workload_kind_name(i),
                                latencies(&tally->kinds[i], options->seconds));
    json_object_set_new(kinds, "all", latencies(&tally->all, options->seconds));
    json_object_set_new(object, "latency_us", kinds);
    if (result->processes.count > 0) {
        struct usage sum = usage_sum(&result->processes);

        set_usage(object, &sum, result);
        json_object_set_new(object, "processes", usages(result));
    }
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(7));
    putchar('\n');
    json_decref(object);
}
