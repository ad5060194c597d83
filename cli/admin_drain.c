#include "cli/admin.h"
#include "cli/clock.h"
#include "ring/wire_load.h"

#include <errno.h>
#include <stdlib.h>

#define POLL_MS     200u
#define WAIT_MS_MAX 30000u

static const struct output_column columns[] = {
    {"id", "ID", OUTPUT_NUMBER},
    {"address", "ADDRESS", OUTPUT_TEXT},
    {"drained", "DRAINED", OUTPUT_BOOL},
    {"leaders", "LEADERS", OUTPUT_NUMBER},
};
#define COLUMN_COUNT (sizeof columns / sizeof *columns)

/* What the shards of a node answered. */
struct told {
    uint32_t shards;
    uint32_t answered;
    uint32_t leaders; /* of those */
};

/* Tells all shards of the node, any number of times. 0 or -ENOMEM. */
static int tell(struct admin *admin, const struct view_node *node, bool drained, struct told *told)
{
    uint16_t shards = node->status.shards;
    struct cluster_request *requests = calloc(shards + 1u, sizeof *requests);
    struct wire_buffer body = {0};

    *told = (struct told){.shards = shards};
    wire_put_drain(&body, drained);
    if (!requests || body.failed) {
        wire_buffer_deinit(&body);
        free(requests);
        return -ENOMEM;
    }
    for (uint16_t shard = 0; shard < shards; shard++)
        requests[shard] =
            (struct cluster_request){.node = cluster_dial(admin->cluster, node->address, NULL),
                                     .type = WIRE_DRAIN,
                                     .partition = shard,
                                     .body = body.data,
                                     .body_size = body.size};
    cluster_ask(admin->cluster, requests, shards, CLUSTER_TIMEOUT_MS);
    for (uint16_t shard = 0; shard < shards; shard++) {
        struct wire_cursor cursor;
        uint32_t led;
        bool now;

        wire_cursor_init(&cursor, requests[shard].reply, requests[shard].reply_size);
        if (requests[shard].answered && wire_get_drain_reply(&cursor, &now, &led) &&
            now == drained) {
            told->answered++;
            told->leaders += led;
        }
        cluster_request_deinit(&requests[shard]);
    }
    wire_buffer_deinit(&body);
    free(requests);
    return 0;
}

static enum exit_code unreachable(struct admin *admin, const struct view_node *node)
{
    arguments_error(admin->arguments, "node %u (%s) does not answer", node->id, node->address);
    return EXIT_CODE_UNREACHABLE;
}

static enum exit_code unfinished(struct admin *admin, const struct view_node *node,
                                 const struct told *told)
{
    if (told->answered == 0)
        return unreachable(admin, node);
    arguments_error(admin->arguments,
                    "%u of %u shards of node %u (%s) have not answered in time: say it again, "
                    "ring-admin %s %u",
                    told->shards - told->answered, told->shards, node->id, node->address,
                    admin->arguments->command->name, node->id);
    return EXIT_CODE_UNREACHABLE;
}

/* Until it leads nothing: others have to be there to take over. A shard that is late is asked
 * again. */
static enum exit_code wait_for(struct admin *admin, const struct view_node *node, struct told *told)
{
    uint32_t waited = 0;

    while (told->answered < told->shards || told->leaders > 0) {
        int r;

        if (waited >= WAIT_MS_MAX && told->answered < told->shards)
            return unfinished(admin, node, told);
        if (waited >= WAIT_MS_MAX) {
            arguments_error(admin->arguments,
                            "node %u still leads %u groups: no other member is ready to; see "
                            "`ring-admin status`",
                            node->id, told->leaders);
            return EXIT_CODE_FAILED;
        }
        waited += POLL_MS + (told->answered < told->shards ? CLUSTER_TIMEOUT_MS : 0);
        clock_pause(POLL_MS);
        r = tell(admin, node, true, told);
        if (r < 0)
            return admin_fail(admin, r);
        if (told->answered == 0)
            return unreachable(admin, node);
    }
    return EXIT_CODE_OK;
}

static enum exit_code drain(struct admin *admin, const struct view_node *node, bool drained)
{
    bool wait = drained && arguments_text(admin->arguments, "wait") != NULL;
    enum exit_code code = EXIT_CODE_OK, printed;
    struct told told;
    int r = tell(admin, node, drained, &told);

    if (r < 0)
        return admin_fail(admin, r);
    if (told.answered == 0 || (!wait && told.answered < told.shards))
        return unfinished(admin, node, &told);
    if (wait)
        code = wait_for(admin, node, &told);
    if (told.answered < told.shards)
        return code;
    output_table(admin->output, "nodes", columns, COLUMN_COUNT);
    output_row(admin->output, (const struct output_value[COLUMN_COUNT]){{.number = node->id},
                                                                        {.text = node->address},
                                                                        {.number = drained},
                                                                        {.number = told.leaders}});
    printed = admin_print(admin);
    return code != EXIT_CODE_OK ? code : printed;
}

static enum exit_code run(const struct arguments *arguments, bool drained)
{
    const struct view_node *node = NULL;
    char why[VIEW_IDLE_TEXT_SIZE];
    struct admin admin;
    enum exit_code code = admin_open(&admin, arguments, true);

    if (code == EXIT_CODE_OK)
        code = admin_node(&admin, arguments->operands[0], &node);
    if (code == EXIT_CODE_OK && view_is_idle(&admin.view, node, why)) {
        arguments_error(arguments, "%s", why);
        code = EXIT_CODE_FAILED;
    } else if (code == EXIT_CODE_OK) {
        code = node->reachable ? drain(&admin, node, drained) : unreachable(&admin, node);
    }
    admin_close(&admin);
    return code;
}

int admin_drain(const struct arguments *arguments)
{
    return run(arguments, true);
}

int admin_undrain(const struct arguments *arguments)
{
    return run(arguments, false);
}
