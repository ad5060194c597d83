#include "bench/usage.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct usage_processes processes;

Test(usage, counts_what_a_process_burns)
{
    char list[32];
    const char *why = NULL;
    struct usage usage;
    clock_t begin;

    snprintf(list, sizeof list, "%d", (int)getpid());
    cr_assert(usage_init(&processes, list, &why), "%s", why);
    usage_read(&processes, false);
    begin = clock();
    while (clock() - begin < CLOCKS_PER_SEC / 10)
        ;
    usleep(1000);
    usage_read(&processes, true);
    usage = usage_difference(&processes.list[0]);
    cr_assert_geq(usage.user_us + usage.system_us, 80000);
    cr_assert_geq(usage.switches, 1);
    cr_assert_eq(usage_sum(&processes).user_us, usage.user_us);
}

Test(usage, reads_pid_files_and_names_them)
{
    char path[] = "/tmp/usage-test-XXXXXX.pid", list[64];
    int fd = mkstemps(path, 4);
    const char *why = NULL;

    cr_assert_geq(fd, 0);
    dprintf(fd, "%d\n", (int)getpid());
    close(fd);
    snprintf(list, sizeof list, "%s,%d", path, (int)getppid());
    cr_assert(usage_init(&processes, list, &why), "%s", why);
    unlink(path);
    cr_assert_eq(processes.count, 2);
    cr_assert_eq(processes.list[0].pid, getpid());
    cr_assert_null(strstr(processes.list[0].name, ".pid"));
    cr_assert_null(strchr(processes.list[0].name, '/'));
}

Test(usage, what_is_not_there_is_said)
{
    const char *why = NULL;

    cr_assert_not(usage_init(&processes, "/nowhere/at-all.pid", &why));
    cr_assert_str_eq(why, "no such file");
    cr_assert_not(usage_init(&processes, "999999999", &why));
    cr_assert_str_eq(why, "no such process");
    cr_assert_not(usage_init(&processes, "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", &why));
}

Test(usage, no_list_is_no_process)
{
    const char *why = NULL;

    cr_assert(usage_init(&processes, NULL, &why));
    cr_assert_eq(processes.count, 0);
    cr_assert_eq(usage_sum(&processes).user_us, 0);
}
