/* leave: drains a node, and proves for every group that it held that it can be missed. */
#include "cli/admin_change.h"
#include "cli/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLL_MS   500u
#define PROOF_MAX 60u /* times that leaders are asked */

static const struct output_column field_proof = {"proof", NULL, OUTPUT_TEXT};
static const struct output_column columns[] = {
    {"partition", "PARTITION", OUTPUT_NUMBER}, /* absent: the meta group */
    {"config_index", "COMMITTED WITHOUT IT", OUTPUT_NUMBER},
    {"config_epoch", "EPOCH", OUTPUT_NUMBER},
    {"leader", "LEADER", OUTPUT_NUMBER},
    {"voters", "HELD BY", OUTPUT_LIST},
};
#define COLUMN_COUNT (sizeof columns / sizeof *columns)

/* The groups that a member holds by the map; the meta group counts as one. */
struct held {
    uint16_t member;
    uint16_t *groups;
    uint32_t count;
};

/* 0 or -ENOMEM. */
static int held_by(struct held *held, const struct ringmap *map, uint16_t member)
{
    *held = (struct held){.member = member};
    held->groups = calloc(map->partition_count + 1u, sizeof *held->groups);
    if (!held->groups)
        return -ENOMEM;
    for (uint32_t p = 0; p < map->partition_count; p++)
        if (ringmap_holds(map, (uint16_t)p, member))
            held->groups[held->count++] = (uint16_t)p;
    for (uint32_t i = 0; i < map->meta_voter_count; i++)
        if (map->meta_voters[i] == member)
            held->groups[held->count++] = WIRE_PARTITION_META;
    return 0;
}

static uint32_t proven(const struct held *held, const struct moves *moves)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < held->count; i++)
        count += moves_is_without(moves, held->groups[i], held->member);
    return count;
}

/* Asks until all is proven or patience ends; an election may be under way somewhere. The caller
 * deinits *moves on 0. */
static int ask_proof(struct admin *admin, const struct held *held, struct moves *moves)
{

    for (unsigned i = 0;; i++) {
        int r = moves_ask(moves, &admin->view, admin->cluster, CLUSTER_TIMEOUT_MS);

        if (r == 0 && (proven(held, moves) == held->count || i == PROOF_MAX))
            return 0;
        moves_deinit(moves);
        if (r == 0)
            r = view_refresh(&admin->view, admin->cluster, CLUSTER_TIMEOUT_MS);
        if (r < 0)
            return r;
        clock_pause(POLL_MS);
    }
}

static void put_group(struct output *output, const struct held *held, const struct moves *moves,
                      uint16_t id)
{
    const struct moves_group *group = moves_group(moves, id);
    bool without = moves_is_without(moves, id, held->member);
    struct output_value voters = {.list_count = group->move.voters.count, .absent = !group->known};

    for (uint32_t i = 0; i < group->move.voters.count; i++)
        voters.list[i] = group->move.voters.ids[i];
    output_row(output, (const struct output_value[COLUMN_COUNT]){
                           {.number = id, .absent = id == WIRE_PARTITION_META, .text = "meta"},
                           {.number = group->move.config_index, .absent = !without},
                           {.number = group->move.config_epoch, .absent = !without},
                           {.number = group->leader, .absent = !group->known},
                           voters,
                       });
}

static enum exit_code prove(struct admin *admin, const struct held *held)
{
    struct moves moves;
    uint32_t count;
    char text[160];
    int r = ask_proof(admin, held, &moves);

    if (r < 0) {
        arguments_error(admin->arguments, "%s", strerror(-r));
        return EXIT_CODE_FAILED;
    }
    count = proven(held, &moves);
    snprintf(text, sizeof text,
             "%s: %" PRIu32 " of %" PRIu32
             " groups that node %u held have committed a configuration without it",
             count == held->count ? "SAFE TO REMOVE" : "NOT PROVEN", count, held->count,
             held->member);
    output_field(admin->output, &field_proof, (struct output_value){.text = text});
    output_table(admin->output, "held", columns, COLUMN_COUNT);
    for (uint32_t i = 0; i < held->count; i++)
        put_group(admin->output, held, &moves, held->groups[i]);
    moves_deinit(&moves);
    return count == held->count ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

/* Commits and waits; then the proof. */
static enum exit_code leave(struct admin_change *change, uint16_t member)
{
    struct admin *admin = change->admin;
    struct held held;
    enum exit_code code, printed;

    if (held_by(&held, &admin->view.map, member) != 0) {
        arguments_error(admin->arguments, "%s", strerror(ENOMEM));
        return EXIT_CODE_FAILED;
    }
    code = admin_change_commit(change);
    if (code == EXIT_CODE_OK)
        code = admin_change_wait(admin, &change->planning.next);
    if (code == EXIT_CODE_OK) {
        code = prove(admin, &held);
        printed = admin_print(admin);
        code = printed == EXIT_CODE_OK ? code : printed;
    }
    free(held.groups);
    return code;
}

int admin_leave(const struct arguments *arguments)
{
    char *words[] = {(char[]){"leave"}, arguments->operands[0]};
    const struct view_node *node = NULL;
    struct admin_change change = {0};
    struct admin admin;
    enum exit_code code;

    code = admin_open(&admin, arguments, true);
    if (code == EXIT_CODE_OK)
        code = admin_node(&admin, words[1], &node);
    if (code == EXIT_CODE_OK)
        code = admin_change_plan(&change, &admin, words, 2);
    if (code == EXIT_CODE_OK && arguments_text(arguments, "wait"))
        code = leave(&change, node->id);
    else if (code == EXIT_CODE_OK)
        code = admin_change_finish(&change, false);
    admin_change_close(&change);
    admin_close(&admin);
    return code;
}
