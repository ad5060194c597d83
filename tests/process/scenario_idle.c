/* What a cluster costs that does nothing. */
#include "tests/process/fleet.h"
#include "tests/process/scenario.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NODES 3u

static uint64_t cpu_ticks(pid_t pid)
{
    char path[64], line[1024], *at;
    unsigned long user = 0, kernel = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file_read(path, line, sizeof line);
    at = strrchr(line, ')');
    REQUIRE(at && sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                         &kernel) == 2,
            "%s", line);
    return user + kernel;
}

void scenario_idle(const struct scenario_options *options)
{
    uint32_t seconds = options->is_short ? 2 : 10;
    uint64_t before[NODES], most = 0, rss = 0;
    struct fleet fleet;

    fleet_open(&fleet, options->folder, NODES);
    pause_ms(1000);
    for (uint32_t k = 0; k < NODES; k++)
        before[k] = cpu_ticks(fleet.nodes[k].pid);
    pause_ms(seconds * 1000);
    for (uint32_t k = 0; k < NODES; k++) {
        uint64_t ticks = cpu_ticks(fleet.nodes[k].pid) - before[k];
        uint64_t kib = process_rss_kib(fleet.nodes[k].pid);

        most = ticks > most ? ticks : most;
        rss = kib > rss ? kib : rss;
    }
    uint64_t router = process_rss_kib(fleet.router.pid);

    fleet_close(&fleet);
    scenario_say(options,
                 "a node takes at most %.1f %% of a core and %llu KiB, the router %llu KiB",
                 100.0 * (double)most / (double)sysconf(_SC_CLK_TCK) / seconds,
                 (unsigned long long)rss, (unsigned long long)router);
}
