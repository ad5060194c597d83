#include "cli/look.h"

#include "cli/clock.h"

#define SEEDS_EACH 5u /* misses */

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

static void miss(struct look *look, uint64_t begun_ms)
{
    uint64_t took_ms = clock_now_ms() - begun_ms;

    look->misses++;
    if (look->misses < LOOK_MISSES_MAX && took_ms < CLUSTER_TIMEOUT_MS)
        clock_pause((uint32_t)(CLUSTER_TIMEOUT_MS - took_ms));
}

enum exit_code look_again(struct look *look, struct admin *admin, const char *known, bool *seen)
{
    uint64_t begun_ms = clock_now_ms();
    int r = view_refresh(&admin->view, admin->cluster, CLUSTER_TIMEOUT_MS);

    if (r == VIEW_E_UNREACHABLE && look->misses % SEEDS_EACH == SEEDS_EACH - 1)
        r = ask_seeds(admin);
    *seen = r == 0;
    if (r < 0)
        return admin_fail(admin, r);
    if (*seen)
        look->misses = 0;
    else
        miss(look, begun_ms);
    if (look->misses < LOOK_MISSES_MAX)
        return EXIT_CODE_OK;
    arguments_error(admin->arguments, "no node answers any more, asked %u times: %s", look->misses,
                    known);
    return EXIT_CODE_UNREACHABLE;
}

void look_waits_for(struct look *look, const struct admin *admin, const struct view_node *node,
                    const char *lacks)
{
    const char *why = node->reachable ? lacks : node->why;

    if (!why || node->id == look->said)
        return;
    arguments_error(admin->arguments, "waiting for node %u at %s: %s", node->id, node->address,
                    why);
    look->said = node->id;
}
