/* leave: drains a node, and proves for every group that it held that it can be missed. Said again
 * it goes on where it was: it waits for the leaving that is under way, and proves what is done. */
#include "cli/admin_change.h"
#include "cli/proof.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct output_column field_verdict = {"verdict", NULL, OUTPUT_TEXT};
static const struct output_column field_follow = {"follow", "follow it", OUTPUT_TEXT};

static uint8_t state_of(const struct admin *admin, uint16_t member)
{
    return ringmap_member(&admin->view.map, member)->state;
}

static void put_text(struct admin *admin, const struct output_column *field, const char *text)
{
    output_field(admin->output, field, (struct output_value){.text = text});
}

/* The node is leaving. */
static enum exit_code join_waiting(struct admin *admin, uint16_t member)
{
    char command[64];
    enum exit_code code;

    if (!arguments_text(admin->arguments, "wait")) {
        snprintf(command, sizeof command, "ring-admin leave %u --wait", member);
        put_text(admin, &field_verdict, "it is leaving already: nothing was changed by this");
        put_text(admin, &field_follow, command);
        return EXIT_CODE_OK;
    }
    code = admin_change_wait(admin, NULL);
    if (code != EXIT_CODE_OK || state_of(admin, member) == RINGMAP_STATE_REMOVED)
        return code;
    arguments_error(admin->arguments,
                    "the plan was ended before node %u had left, and it is a member still: see "
                    "`ring-admin members`",
                    member);
    return EXIT_CODE_CONFLICT;
}

/* The node is removed. What it held the map does not tell any more. */
static enum exit_code prove(struct admin *admin, uint16_t member)
{
    struct proof proof = {0};
    enum exit_code code;

    if (proof_add(&proof, &admin->view.map, member, true) == 0) {
        code = proof_put(&proof, admin);
    } else {
        arguments_error(admin->arguments, "%s", strerror(ENOMEM));
        code = EXIT_CODE_FAILED;
    }
    proof_deinit(&proof);
    return code;
}

/* Of a node that is leaving or removed. */
static enum exit_code leave_again(struct admin *admin, uint16_t member)
{
    enum exit_code code = EXIT_CODE_OK, printed;

    if (state_of(admin, member) == RINGMAP_STATE_LEAVING)
        code = join_waiting(admin, member);
    else
        put_text(admin, &field_verdict,
                 "it is removed already, by leave or by force: the ring map does not keep which");
    if (code == EXIT_CODE_OK && state_of(admin, member) == RINGMAP_STATE_REMOVED)
        code = prove(admin, member);
    printed = admin_print(admin);
    return code != EXIT_CODE_OK ? code : printed;
}

int admin_leave(const struct arguments *arguments)
{
    char *words[] = {(char[]){"leave"}, arguments->operands[0]};
    const struct view_node *node = NULL;
    struct admin_change change = {0};
    struct admin admin;
    enum exit_code code;
    bool again = false;

    code = admin_open(&admin, arguments, true);
    if (code == EXIT_CODE_OK)
        code = admin_node(&admin, words[1], &node);
    if (code == EXIT_CODE_OK)
        again = state_of(&admin, node->id) == RINGMAP_STATE_LEAVING ||
                state_of(&admin, node->id) == RINGMAP_STATE_REMOVED;
    if (code == EXIT_CODE_OK && again)
        code = leave_again(&admin, node->id);
    if (code == EXIT_CODE_OK && !again)
        code = admin_change_plan(&change, &admin, words, 2);
    if (code == EXIT_CODE_OK && !again)
        code = admin_change_finish(&change, arguments_text(arguments, "wait") != NULL);
    admin_change_close(&change);
    admin_close(&admin);
    return code;
}
