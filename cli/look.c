#include "cli/look.h"

#include <string.h>

#define SEEDS_EACH 5u /* misses: a look at who is not there takes some seconds */

/* 0, VIEW_E_UNREACHABLE or -errno. */
static int ask_seeds(struct admin *admin)
{
    struct view now;
    int r;

    if (admin->seeds.count == 0)
        return VIEW_E_UNREACHABLE;
    r = view_gather(&now, admin->cluster, &admin->seeds, CLUSTER_TIMEOUT_MS);
    if (r == 0 && (!now.founded || now.map.epoch < admin->view.map.epoch))
        r = VIEW_E_UNREACHABLE; /* who lags behind what was seen says nothing */
    if (r != 0) {
        view_deinit(&now);
        return r;
    }
    view_deinit(&admin->view);
    admin->view = now;
    return 0;
}

enum exit_code look_again(struct look *look, struct admin *admin, const char *known, bool *seen)
{
    int r = view_refresh(&admin->view, admin->cluster, CLUSTER_TIMEOUT_MS);

    if (r == VIEW_E_UNREACHABLE && look->misses % SEEDS_EACH == SEEDS_EACH - 1)
        r = ask_seeds(admin);
    *seen = r == 0;
    if (r < 0) {
        arguments_error(admin->arguments, "%s", strerror(-r));
        return EXIT_CODE_FAILED;
    }
    look->misses = *seen ? 0 : look->misses + 1;
    if (look->misses < LOOK_MISSES_MAX)
        return EXIT_CODE_OK;
    arguments_error(admin->arguments, "no node answers any more, asked %u times: %s", look->misses,
                    known);
    return EXIT_CODE_UNREACHABLE;
}
