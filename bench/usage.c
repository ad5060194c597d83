#include "bench/usage.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Text behind the last ')' of /proc/PID/stat: the name in it may hold anything. */
static bool read_stat(pid_t pid, struct usage *usage)
{
    unsigned long user = 0, system = 0;
    char path[64], text[1024];
    const char *rest;
    size_t size;
    FILE *file;
    uint64_t tick_us = 1000000u / (uint64_t)sysconf(_SC_CLK_TCK);

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (!file)
        return false;
    size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = 0;
    rest = strrchr(text, ')');
    if (!rest || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                        &system) != 2)
        return false;
    usage->user_us = user * tick_us;
    usage->system_us = system * tick_us;
    return true;
}

static void read_switches(pid_t pid, const char *thread, struct usage *usage)
{
    char path[128], line[256];
    unsigned long count;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/task/%.20s/status", (int)pid, thread);
    file = fopen(path, "r");
    if (!file)
        return;
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "voluntary_ctxt_switches: %lu", &count) == 1)
            usage->switches += count;
        if (sscanf(line, "nonvoluntary_ctxt_switches: %lu", &count) == 1)
            usage->switches_forced += count;
    }
    fclose(file);
}

static struct usage read_process(pid_t pid)
{
    struct usage usage = {0};
    struct dirent *entry;
    char path[64];
    DIR *folder;

    if (!read_stat(pid, &usage))
        return usage;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    folder = opendir(path);
    if (!folder)
        return usage;
    while ((entry = readdir(folder)))
        if (entry->d_name[0] != '.')
            read_switches(pid, entry->d_name, &usage);
    closedir(folder);
    return usage;
}

static bool add(struct usage_processes *processes, const char *word, const char **why)
{
    struct usage_process *process = &processes->list[processes->count];
    const char *slash;
    struct usage usage;
    char *end, *dot;
    long pid = strtol(word, &end, 10);

    if (*end) {
        FILE *file = fopen(word, "r");

        *why = "no such file";
        if (!file)
            return false;
        *why = "the file holds no process number";
        if (fscanf(file, "%ld", &pid) != 1)
            pid = 0;
        fclose(file);
    }
    if (pid <= 0)
        return false;
    *why = "no such process";
    if (!read_stat((pid_t)pid, &usage))
        return false;
    slash = strrchr(word, '/');
    process->pid = (pid_t)pid;
    snprintf(process->name, sizeof process->name, "%.30s", slash ? slash + 1 : word);
    dot = strrchr(process->name, '.');
    if (dot && strcmp(dot, ".pid") == 0)
        *dot = 0;
    processes->count++;
    return true;
}

bool usage_init(struct usage_processes *processes, const char *list, const char **why)
{
    char word[512];

    memset(processes, 0, sizeof *processes);
    while (list && *list) {
        size_t size = strcspn(list, ",");

        *why = "too many processes or too long a name";
        if (processes->count == USAGE_PROCESSES_MAX || size >= sizeof word)
            return false;
        memcpy(word, list, size);
        word[size] = 0;
        if (size > 0 && !add(processes, word, why))
            return false;
        list += size + (list[size] == ',');
    }
    return true;
}

void usage_read(struct usage_processes *processes, bool end)
{
    for (size_t i = 0; i < processes->count; i++) {
        struct usage_process *process = &processes->list[i];
        struct usage *usage = end ? &process->end : &process->begin;

        *usage = read_process(process->pid);
    }
}

static uint64_t grown(uint64_t from, uint64_t to)
{
    return to > from ? to - from : 0;
}

struct usage usage_difference(const struct usage_process *process)
{
    const struct usage *from = &process->begin, *to = &process->end;

    return (struct usage){.user_us = grown(from->user_us, to->user_us),
                          .system_us = grown(from->system_us, to->system_us),
                          .switches = grown(from->switches, to->switches),
                          .switches_forced = grown(from->switches_forced, to->switches_forced)};
}

struct usage usage_sum(const struct usage_processes *processes)
{
    struct usage sum = {0};

    for (size_t i = 0; i < processes->count; i++) {
        struct usage usage = usage_difference(&processes->list[i]);

        sum.user_us += usage.user_us;
        sum.system_us += usage.system_us;
        sum.switches += usage.switches;
        sum.switches_forced += usage.switches_forced;
    }
    return sum;
}
