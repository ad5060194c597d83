#include "bench/machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "ring/stamp.h"

static void first_line(FILE *file, char *text)
{
    char line[MACHINE_TEXT_SIZE];

    if (!file || !fgets(line, sizeof line, file))
        return;
    line[strcspn(line, "\n")] = 0;
    if (*line)
        snprintf(text, MACHINE_TEXT_SIZE, "%s", line);
}

static void read_commit(char *text)
{
    FILE *pipe = popen("git -C '" RINGCASK_SOURCE_DIR
                       "' describe --always --dirty --abbrev=12 --exclude '*' 2>/dev/null",
                       "r");

    first_line(pipe, text);
    if (pipe)
        pclose(pipe);
}

static void read_cpu(char *text)
{
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256];

    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');

        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(text, MACHINE_TEXT_SIZE, "%.100s", colon + 2);
        break;
    }
    if (file)
        fclose(file);
}

void machine_init(struct machine *machine)
{
    struct utsname name;

    snprintf(machine->commit, sizeof machine->commit, "unknown");
    snprintf(machine->kernel, sizeof machine->kernel, "unknown");
    snprintf(machine->cpu, sizeof machine->cpu, "unknown");
    read_commit(machine->commit);
    read_cpu(machine->cpu);
    if (uname(&name) == 0)
        snprintf(machine->kernel, sizeof machine->kernel, "%.100s", name.release);
    stamp_seconds((uint64_t)time(NULL) * 1000, machine->date);
    machine->cores = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
}
