#include "cli/clock.h"
#include "cli/data_key.h"
#include "cli/look.h"
#include "cli/map_change.h"

#include <stdio.h>

#define WAIT_STEP_MS 200u
#define SILENT_STEPS 25u /* in which nobody is named who is there and has yet to follow */

static const struct output_column field_key = {"data_key", "data key", OUTPUT_NUMBER};
static const struct output_column field_epoch = {"epoch", "epoch", OUTPUT_NUMBER};

/* The next map, with a new data key. */
static enum exit_code make(struct admin *admin, struct ringmap *next)
{
    const struct ringmap *map = &admin->view.map;
    const char *why = NULL;
    int r;

    if (map->key_count == 0)
        why = "this cluster was founded without --encrypt and has no data key";
    else if (map->key_count == RINGMAP_KEYS_MAX || ringmap_key_current(map) == UINT8_MAX)
        why = "the ring map holds as many data keys as it can: copy the data into a new cluster";
    if (why) {
        arguments_error(admin->arguments, "%s", why);
        return EXIT_CODE_FAILED;
    }
    r = ringmap_copy(next, map);
    if (r == 0) {
        next->epoch++;
        r = data_key_add(next, (uint8_t)(ringmap_key_current(map) + 1));
    }
    return r == 0 ? EXIT_CODE_OK : admin_fail(admin, r);
}

/* NULL: all who take part seal with it. */
static const struct view_node *who_lacks(const struct view *view, uint8_t id)
{
    for (uint32_t i = 0; i < view->node_count; i++)
        if (ringmap_takes_part(view->map.members[i].state) &&
            (!view->nodes[i].reachable || view->nodes[i].status.key_id < id))
            return &view->nodes[i];
    return NULL;
}

static enum exit_code wait_for_all(struct admin *admin, uint8_t id)
{
    const struct view_node *node;
    struct look looks = {0};
    enum exit_code code;
    char known[128];
    bool seen;

    snprintf(known, sizeof known,
             "data key %u was made, and who seals with it is not known; start nodes, then "
             "`ring-admin doctor`",
             id);
    for (unsigned step = 0;; step++) {
        code = look_again(&looks, admin, known, &seen);
        if (code != EXIT_CODE_OK)
            return code;
        node = who_lacks(&admin->view, id);
        if (seen && !node)
            return EXIT_CODE_OK;
        if (seen)
            look_waits_for(&looks, admin, node,
                           step < SILENT_STEPS ? NULL
                                               : "it does not seal with it yet, its log says why");
        clock_pause(WAIT_STEP_MS);
    }
}

/* The key that was made is told however the waiting ends. */
static enum exit_code end(struct admin *admin, uint8_t id, uint64_t epoch)
{
    enum exit_code code = EXIT_CODE_OK, printed;

    if (arguments_text(admin->arguments, "wait"))
        code = wait_for_all(admin, id);
    output_field(admin->output, &field_key, (struct output_value){.number = id});
    output_field(admin->output, &field_epoch, (struct output_value){.number = epoch});
    printed = admin_print(admin);
    return code != EXIT_CODE_OK ? code : printed;
}

int admin_rotate_key(const struct arguments *arguments)
{
    struct admin admin;
    struct ringmap next = {0};
    enum exit_code code = admin_open(&admin, arguments, true);
    uint8_t id = 0;

    if (code == EXIT_CODE_OK)
        code = make(&admin, &next);
    if (code == EXIT_CODE_OK) {
        id = ringmap_key_current(&next);
        code = map_change_send(&admin, &next);
    }
    if (code == EXIT_CODE_OK)
        code = end(&admin, id, next.epoch);
    if (next.members)
        ringmap_deinit(&next);
    admin_close(&admin);
    return code;
}
