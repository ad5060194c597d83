/* Machine: what a result has to say of where and of what it was measured. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#define MACHINE_TEXT_SIZE 128u

struct machine {
    char commit[MACHINE_TEXT_SIZE]; /* of the sources; "-dirty" behind it when they were changed */
    char kernel[MACHINE_TEXT_SIZE];
    char cpu[MACHINE_TEXT_SIZE];
    char date[MACHINE_TEXT_SIZE]; /* UTC, ISO 8601 */
    unsigned cores;
};

/* What cannot be found out is "unknown". Runs git. */
void machine_init(struct machine *machine);

#endif
