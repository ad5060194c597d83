/* SCAN. */
#include "router/router_internal.h"
#include "router/scan.h"

#define SCAN_COUNT_DEFAULT 10

struct scan_options {
    const struct wire_bytes *pattern;
    int64_t count;
    bool none;
};

/* False: the client has got its error. */
static bool scan_options(struct router *router, struct client *client,
                         const struct wire_bytes *args, uint32_t count,
                         struct scan_options *options)
{
    *options = (struct scan_options){.count = SCAN_COUNT_DEFAULT};
    for (uint32_t i = 2; i < count; i += 2) {
        const char *error = "ERR syntax error";

        if (i + 1 < count && commands_is(&args[i], "match")) {
            options->pattern = &args[i + 1];
            continue;
        }
        if (i + 1 < count && commands_is(&args[i], "type")) {
            options->none = !commands_is(&args[i + 1], "string");
            continue;
        }
        if (i + 1 < count && commands_is(&args[i], "count")) {
            if (!resp_integer(args[i + 1].data, args[i + 1].size, &options->count))
                error = "ERR value is not an integer or out of range";
            else if (options->count >= 1)
                continue;
        }
        client_error(router, client, error);
        return false;
    }
    return true;
}

void scan_scan(struct router *router, struct client *client, const struct wire_bytes *args,
               uint32_t count)
{
    struct scan_options options;
    char text[ROUTER_DOWN_SIZE];
    struct scan *scan;
    const char *down;
    uint64_t cursor;

    if (!scan_cursor_parse(&args[1], &cursor)) {
        client_error(router, client, "ERR invalid cursor");
        return;
    }
    if (!scan_options(router, client, args, count, &options))
        return;
    down = router_down(router, text);
    if (down) {
        client_error(router, client, down);
        return;
    }
    if (cursor >> WIRE_SCAN_BITS >= router->lane_count) { /* none that was ever given */
        scan_reply(router, NULL, client_reply(router, client));
        client_reply_end(router, client);
        return;
    }
    scan = scan_new(router, cursor, (uint64_t)options.count, options.pattern);
    if (!scan) {
        client_error(router, client, "OOM out of memory: the command was not executed");
        return;
    }
    scan->none = options.none;
    scatter_scan(router, client, scan);
}
