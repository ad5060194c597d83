#include "cli/admin.h"
#include "ring/wire_load.h"

#include <stdlib.h>
#include <time.h>

#define POLL_MS     200u
#define WAIT_MS_MAX 30000u

static const struct output_column columns[] = {
    {"id", "ID", OUTPUT_NUMBER},
    {"address", "ADDRESS", OUTPUT_TEXT},
    {"drained", "DRAINED", OUTPUT_BOOL},
    {"leaders", "LEADERS", OUTPUT_NUMBER},
};
#define COLUMN_COUNT (sizeof columns / sizeof *columns)

/* Tells all shards of the node, any number of times; false: one did not answer. */
static bool tell(struct admin *admin, const struct view_node *node, bool drained, uint32_t *leaders)
{
    uint16_t shards = node->status.shards;
    struct cluster_request *requests = calloc(shards + 1u, sizeof *requests);
    struct wire_buffer body = {0};
    bool ok = requests != NULL;

    *leaders = 0;
    wire_put_drain(&body, drained);
    for (uint16_t shard = 0; ok && shard < shards; shard++)
        requests[shard] =
            (struct cluster_request){.node = cluster_dial(admin->cluster, node->address, NULL),
                                     .type = WIRE_DRAIN,
                                     .partition = shard,
                                     .body = body.data,
                                     .body_size = body.size};
    if (ok)
        cluster_ask(admin->cluster, requests, shards, CLUSTER_TIMEOUT_MS);
    for (uint16_t shard = 0; requests && shard < shards; shard++) {
        struct wire_cursor cursor;
        uint32_t led;
        bool now;

        wire_cursor_init(&cursor, requests[shard].reply, requests[shard].reply_size);
        ok = ok && requests[shard].answered && wire_get_drain_reply(&cursor, &now, &led) &&
             now == drained;
        *leaders += ok ? led : 0;
        cluster_request_deinit(&requests[shard]);
    }
    wire_buffer_deinit(&body);
    free(requests);
    return ok;
}

static enum exit_code unreachable(struct admin *admin, const struct view_node *node)
{
    arguments_error(admin->arguments, "node %u (%s) does not answer", node->id, node->address);
    return EXIT_CODE_UNREACHABLE;
}

/* Until it leads nothing: others have to be there to take over. */
static enum exit_code wait_for(struct admin *admin, const struct view_node *node, uint32_t *leaders)
{
    struct timespec pause = {.tv_nsec = POLL_MS * 1000000l};

    for (uint32_t waited = 0; *leaders > 0; waited += POLL_MS) {
        if (waited >= WAIT_MS_MAX) {
            arguments_error(admin->arguments,
                            "node %u still leads %u groups: no other member is ready to; see "
                            "`ring-admin status`",
                            node->id, *leaders);
            return EXIT_CODE_FAILED;
        }
        nanosleep(&pause, NULL);
        if (!tell(admin, node, true, leaders))
            return unreachable(admin, node);
    }
    return EXIT_CODE_OK;
}

static enum exit_code drain(struct admin *admin, const struct view_node *node, bool drained)
{
    bool wait = drained && arguments_text(admin->arguments, "wait") != NULL;
    enum exit_code code = EXIT_CODE_OK, printed;
    uint32_t leaders;

    if (!tell(admin, node, drained, &leaders))
        return unreachable(admin, node);
    if (wait)
        code = wait_for(admin, node, &leaders);
    output_table(admin->output, "nodes", columns, COLUMN_COUNT);
    output_row(admin->output, (const struct output_value[COLUMN_COUNT]){{.number = node->id},
                                                                        {.text = node->address},
                                                                        {.number = drained},
                                                                        {.number = leaders}});
    printed = admin_print(admin);
    return code != EXIT_CODE_OK ? code : printed;
}

static enum exit_code run(const struct arguments *arguments, bool drained)
{
    const struct view_node *node = NULL;
    struct admin admin;
    enum exit_code code = admin_open(&admin, arguments, true);

    if (code == EXIT_CODE_OK)
        code = admin_node(&admin, arguments->operands[0], &node);
    if (code == EXIT_CODE_OK)
        code = node->reachable ? drain(&admin, node, drained) : unreachable(&admin, node);
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
