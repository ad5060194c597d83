/* Usage: processor time and switches of processes, from /proc.
 *
 * The time is that of the whole process, threads that have ended included, in the kernel's ticks
 * of 10 ms; the switches are the sums over the threads that are there. A process that has gone
 * counts as 0 from then on.
 */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define USAGE_PROCESSES_MAX 16u
#define USAGE_NAME_SIZE     32u

struct usage {
    uint64_t user_us;
    uint64_t system_us;
    uint64_t switches;        /* voluntary: it went to sleep, and was woken */
    uint64_t switches_forced; /* its time slice ended */
};

struct usage_process {
    pid_t pid;
    char name[USAGE_NAME_SIZE]; /* the folder or file name that tells it from its brothers */
    struct usage begin, end;
};

struct usage_processes {
    struct usage_process list[USAGE_PROCESSES_MAX];
    size_t count;
};

/* list: process numbers, and files that hold one each, separated by commas. Returns false with a
 * text in *why: too many, no such file or process. */
bool usage_init(struct usage_processes *processes, const char *list, const char **why);
/* Reads all of them into begin or into end. */
void usage_read(struct usage_processes *processes, bool end);
struct usage usage_difference(const struct usage_process *process);
/* Sum of the differences. */
struct usage usage_sum(const struct usage_processes *processes);

#endif
