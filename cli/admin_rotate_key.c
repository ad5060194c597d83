#include "cli/admin.h"

#include "cli/data_key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHANGE_TIMEOUT_MS 12000u /* a node looks for the meta leader for 10 s */
#define WAIT_STEP_MS      200u

static const struct output_column field_key = {"data_key", "data key", OUTPUT_NUMBER};
static const struct output_column field_epoch = {"epoch", "epoch", OUTPUT_NUMBER};

/* The next map, as it is and as it is sent. */
struct rotation {
    struct ringmap map;
    struct wire_buffer body;
};

static void rotation_free(struct rotation *rotation)
{
    if (rotation->map.members)
        ringmap_deinit(&rotation->map);
    wire_buffer_deinit(&rotation->body);
}

static enum exit_code rotation_make(struct admin *admin, struct rotation *rotation)
{
    const struct ringmap *map = &admin->view.map;
    const char *why = NULL;
    uint8_t *out;
    int r;

    if (map->key_count == 0)
        why = "this cluster was founded without --encrypt and has no data key";
    else if (map->key_count == RINGMAP_KEYS_MAX || ringmap_key_current(map) == UINT8_MAX)
        why = "the ring map holds as many data keys as it can: copy the data into a new cluster";
    if (why) {
        arguments_error(admin->arguments, "%s", why);
        return EXIT_CODE_FAILED;
    }
    r = ringmap_copy(&rotation->map, map);
    if (r == 0) {
        rotation->map.epoch++;
        r = data_key_add(&rotation->map, (uint8_t)(ringmap_key_current(map) + 1));
    }
    if (r == 0) {
        out = wire_put_bin_space(&rotation->body, ringmap_encoded_size(&rotation->map));
        if (out)
            ringmap_encode(&rotation->map, out);
        r = out ? 0 : -ENOMEM;
    }
    if (r == 0)
        return EXIT_CODE_OK;
    arguments_error(admin->arguments, "%s", strerror(-r));
    return EXIT_CODE_FAILED;
}

/* Any node hands it to the meta group's leader. False: no answer from this one. */
static bool change(struct admin *admin, const struct rotation *rotation,
                   const struct view_node *node, struct wire_map_reply *reply)
{
    struct cluster_request request = {.node = cluster_dial(admin->cluster, node->address, NULL),
                                      .type = WIRE_MAP_CHANGE,
                                      .partition = WIRE_PARTITION_NODE,
                                      .body = rotation->body.data,
                                      .body_size = rotation->body.size};
    struct wire_cursor cursor;
    bool answered;

    cluster_ask(admin->cluster, &request, 1, CHANGE_TIMEOUT_MS);
    wire_cursor_init(&cursor, request.reply, request.reply_size);
    answered = request.answered && wire_get_map_reply(&cursor, reply);
    cluster_request_deinit(&request);
    return answered;
}

/* Whoever holds the key that we drew has the change. */
static bool is_there(struct admin *admin, const struct rotation *rotation)
{
    const struct ringmap *ours = &rotation->map, *now = &admin->view.map;
    uint32_t last = ours->key_count - 1;

    view_deinit(&admin->view);
    return view_gather(&admin->view, admin->cluster, &admin->seeds, CLUSTER_TIMEOUT_MS) == 0 &&
           admin->view.founded && now->key_count > last &&
           now->key_ids[last] == ours->key_ids[last] &&
           memcmp(ringmap_box(now, last, now->members[0].id),
                  ringmap_box(ours, last, ours->members[0].id), RINGMAP_BOX_SIZE) == 0;
}

/* The same bytes are committed at most once, however often they are sent. */
static enum exit_code commit(struct admin *admin, const struct rotation *rotation)
{
    struct wire_map_reply reply = {.outcome = WIRE_MAP_AGAIN, .why = "no node answers"};
    bool answered = false;

    for (uint32_t i = 0; i < admin->view.node_count && !answered; i++)
        if (admin->view.nodes[i].reachable)
            answered = change(admin, rotation, &admin->view.nodes[i], &reply);
    if (reply.outcome == WIRE_MAP_DONE)
        return EXIT_CODE_OK;
    if (reply.outcome == WIRE_MAP_REFUSED) {
        arguments_error(admin->arguments, "refused: %s", reply.why);
        return EXIT_CODE_FAILED;
    }
    /* An attempt whose answer was lost may have come first. */
    if (is_there(admin, rotation))
        return EXIT_CODE_OK;
    if (reply.outcome == WIRE_MAP_CONFLICT) {
        arguments_error(admin->arguments, "another change of the ring map came first: nothing was "
                                          "changed by this one");
        return EXIT_CODE_CONFLICT;
    }
    arguments_error(admin->arguments,
                    "%s; whether the change comes is unknown: see `ring-admin status`", reply.why);
    return EXIT_CODE_UNREACHABLE;
}

/* NULL: all seal with it. */
static const struct view_node *who_lacks(const struct view *view, uint8_t id)
{
    for (uint32_t i = 0; i < view->node_count; i++)
        if (view->map.members[i].state != RINGMAP_STATE_REMOVED &&
            (!view->nodes[i].reachable || view->nodes[i].status.key_id < id))
            return &view->nodes[i];
    return NULL;
}

static enum exit_code wait_for_all(struct admin *admin, uint8_t id)
{
    struct timespec pause = {.tv_nsec = WAIT_STEP_MS * 1000000l};
    const struct view_node *node, *said = NULL;

    for (;;) {
        int r = view_ask_nodes(&admin->view, admin->cluster, CLUSTER_TIMEOUT_MS);

        if (r != 0) {
            arguments_error(admin->arguments, "%s", strerror(-r));
            return EXIT_CODE_FAILED;
        }
        node = who_lacks(&admin->view, id);
        if (!node)
            return EXIT_CODE_OK;
        if (!node->reachable && node != said) {
            arguments_error(admin->arguments, "waiting for node %u at %s: %s", node->id,
                            node->address, node->why);
            said = node;
        }
        nanosleep(&pause, NULL);
    }
}

int admin_rotate_key(const struct arguments *arguments)
{
    struct admin admin;
    struct rotation rotation = {0};
    enum exit_code code = admin_open(&admin, arguments, true);
    uint8_t id = 0;

    if (code == EXIT_CODE_OK)
        code = rotation_make(&admin, &rotation);
    if (code == EXIT_CODE_OK) {
        id = ringmap_key_current(&rotation.map);
        code = commit(&admin, &rotation);
    }
    if (code == EXIT_CODE_OK && arguments_text(arguments, "wait"))
        code = wait_for_all(&admin, id);
    if (code == EXIT_CODE_OK) {
        output_field(admin.output, &field_key, (struct output_value){.number = id});
        output_field(admin.output, &field_epoch,
                     (struct output_value){.number = rotation.map.epoch});
        code = admin_print(&admin);
    }
    rotation_free(&rotation);
    admin_close(&admin);
    return code;
}
