#include "cli/ticket_ask.h"

#include "cli/clock.h"
#include "cli/look.h"

#include <sodium.h>

#define SPREAD_STEP_MS 100u
#define SPREAD_STEPS   50u

static bool ask_node(struct admin *admin, const struct wire_buffer *body,
                     const struct view_node *node, struct tickets_reply *reply)
{
    struct cluster_request request = {.node = cluster_dial(admin->cluster, node->address, NULL),
                                      .type = WIRE_TICKET_COMMAND,
                                      .partition = WIRE_PARTITION_NODE,
                                      .body = body->data,
                                      .body_size = body->size};
    struct wire_cursor cursor;
    bool answered;

    cluster_ask(admin->cluster, &request, 1, CLUSTER_CHANGE_TIMEOUT_MS);
    wire_cursor_init(&cursor, request.reply, request.reply_size);
    answered = request.answered && tickets_reply_get(&cursor, reply);
    cluster_request_deinit(&request);
    return answered;
}

enum exit_code ticket_ask(struct admin *admin, const struct tickets_command *command,
                          struct tickets_reply *reply)
{
    struct wire_buffer body = {0};
    bool answered = false;

    *reply = (struct tickets_reply){.outcome = WIRE_MAP_AGAIN, .why = "no node answers"};
    tickets_command_put(&body, command);
    for (uint32_t i = 0; i < admin->view.node_count && !answered && !body.failed; i++)
        if (admin->view.nodes[i].reachable && !admin->view.nodes[i].told)
            answered = ask_node(admin, &body, &admin->view.nodes[i], reply);
    if (body.data)
        sodium_memzero(body.data, body.size);
    wire_buffer_deinit(&body);
    if (reply->outcome == WIRE_MAP_DONE)
        return EXIT_CODE_OK;
    if (reply->outcome == WIRE_MAP_REFUSED && command->kind == TICKETS_REVOKE &&
        reply->code == TICKETS_E_UNKNOWN) {
        arguments_error(admin->arguments,
                        "there is no ticket %u, or none any more: see `ring-admin ticket list`",
                        command->id);
        return EXIT_CODE_FAILED;
    }
    if (reply->outcome == WIRE_MAP_REFUSED) {
        arguments_error(admin->arguments, "refused: %s", reply->why);
        return EXIT_CODE_FAILED;
    }
    arguments_error(admin->arguments,
                    "%s; whether it comes to be is unknown: see `ring-admin ticket list`",
                    reply->why);
    return EXIT_CODE_UNREACHABLE;
}

/* Those that cannot be reached count when all are waited for; who is joining gets them when it
 * takes part. NULL: all have it. */
static const struct view_node *who_lacks(const struct view *view, uint64_t version, bool all)
{
    for (uint32_t i = 0; i < view->node_count; i++) {
        const struct view_node *node = &view->nodes[i];

        if (!ringmap_takes_part(view->map.members[i].state) || (!node->reachable && !all))
            continue;
        if (!node->reachable || node->status.tickets < version)
            return node;
    }
    return NULL;
}

const struct view_node *ticket_spread(struct admin *admin, uint64_t version, bool wait)
{
    const struct view_node *node = NULL;
    struct look looks = {0};
    bool seen;

    for (unsigned step = 0; wait || step < SPREAD_STEPS; step++) {
        if (look_again(&looks, admin,
                       "who goes by the tickets as they are now is not known; start nodes, and say "
                       "it again",
                       &seen) != EXIT_CODE_OK)
            break;
        node = who_lacks(&admin->view, version, wait);
        if (seen && !node)
            break;
        if (seen && wait)
            look_waits_for(&looks, admin, node,
                           step < SPREAD_STEPS ? NULL : "it has not followed yet");
        clock_pause(SPREAD_STEP_MS);
    }
    return who_lacks(&admin->view, version, true);
}
