#include "cli/proof.h"

#include "cli/clock.h"
#include "cli/look.h"
#include "cli/standing.h"
#include "cli/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define POLL_MS   500u
#define ASKS_MAX  60u /* times that leaders are asked */
#define NAMES_MAX 16u /* more members are not named */

static const struct output_column field_proof = {"proof", NULL, OUTPUT_TEXT};
static const struct output_column field_groups = {"groups", "", OUTPUT_NUMBER};
static const struct output_column field_proven = {"groups_proven", "", OUTPUT_NUMBER};
static const struct output_column columns[] = {
    {"member", "NODE", OUTPUT_NUMBER},
    {"partition", "PARTITION", OUTPUT_NUMBER}, /* absent: the meta group */
    {"config_index", "COMMITTED WITHOUT IT", OUTPUT_NUMBER},
    {"config_epoch", "EPOCH", OUTPUT_NUMBER},
    {"leader", "LEADER", OUTPUT_NUMBER},
    {"voters", "HELD BY", OUTPUT_LIST},
    {"up_to_date", "UP TO DATE", OUTPUT_NUMBER}, /* of those */
};
#define COLUMN_COUNT (sizeof columns / sizeof *columns)

void proof_deinit(struct proof *proof)
{
    free(proof->members);
    free(proof->groups);
    *proof = (struct proof){0};
}

static void add_group(struct proof *proof, uint16_t member, uint16_t group)
{
    proof->groups[proof->count++] = (struct proof_group){member, group};
}

int proof_add(struct proof *proof, const struct ringmap *map, uint16_t member, bool all)
{
    bool any = all || ringmap_moving(map);
    size_t count = proof->count + map->partition_count + 1u;
    uint16_t *members =
        realloc(proof->members, (proof->member_count + 1u) * sizeof *proof->members);
    struct proof_group *groups;

    if (!members)
        return -ENOMEM;
    proof->members = members;
    groups = realloc(proof->groups, count * sizeof *groups);
    if (!groups)
        return -ENOMEM;
    proof->groups = groups;
    proof->members[proof->member_count++] = member;
    proof->all = proof->all || any;
    for (uint32_t p = 0; p < map->partition_count; p++)
        if (any || ringmap_holds(map, (uint16_t)p, member))
            add_group(proof, member, (uint16_t)p);
    if (any || ringmap_votes(map, member))
        add_group(proof, member, WIRE_PARTITION_META);
    return 0;
}

struct count {
    uint32_t proven; /* groups that can certainly do without their member */
    uint32_t weak;   /* that are without it, and with too few others that count */
};

/* view: of the same moment. */
static struct count count_groups(const struct proof *proof, const struct view *view,
                                 const struct moves *moves)
{
    struct count count = {0};

    for (uint32_t i = 0; i < proof->count; i++) {
        uint16_t group = proof->groups[i].group;

        if (!moves_is_without(moves, group, proof->groups[i].member))
            continue;
        if (standing_of_group(view, moves, group).spare >= 0)
            count.proven++; /* what it has given away is with a majority that could give it back */
        else
            count.weak++;
    }
    return count;
}

/* An election may be under way somewhere. The caller deinits *moves on EXIT_CODE_OK. */
static enum exit_code ask(const struct proof *proof, struct admin *admin, struct moves *moves)
{
    struct look looks = {0};
    char known[128];

    snprintf(known, sizeof known,
             "what is proven is not known; start nodes, then `ring-admin leave %u --wait`",
             proof->members[0]);
    for (unsigned i = 1;; i++) {
        enum exit_code code = EXIT_CODE_OK;
        bool seen = false;
        int r = moves_ask(moves, &admin->view, admin->cluster, CLUSTER_TIMEOUT_MS);

        if (r == 0 &&
            (i == ASKS_MAX || count_groups(proof, &admin->view, moves).proven == proof->count))
            return EXIT_CODE_OK;
        moves_deinit(moves);
        if (r < 0)
            return admin_fail(admin, r);
        clock_pause(POLL_MS);
        while (!seen && code == EXIT_CODE_OK) /* what was seen before they were gone is no proof */
            code = look_again(&looks, admin, known, &seen);
        if (code != EXIT_CODE_OK)
            return code;
    }
}

static void put_group(struct output *output, const struct proof_group *asked,
                      const struct view *view, const struct moves *moves)
{
    const struct moves_group *group = moves_group(moves, asked->group);
    bool without = moves_is_without(moves, asked->group, asked->member);
    struct output_value voters = {.list_count = group->move.voters.count, .absent = !group->known};

    for (uint32_t i = 0; i < group->move.voters.count; i++)
        voters.list[i] = group->move.voters.ids[i];
    output_row(
        output,
        (const struct output_value[COLUMN_COUNT]){
            {.number = asked->member},
            {.number = asked->group, .absent = asked->group == WIRE_PARTITION_META, .text = "meta"},
            {.number = group->move.config_index, .absent = !without},
            {.number = group->move.config_epoch, .absent = !without},
            {.number = group->leader, .absent = !group->known},
            voters,
            {.number = standing_of_group(view, moves, asked->group).good, .absent = !group->known},
        });
}

/* "node 8", "nodes 8, 9". */
static void add_members(struct text *text, const struct proof *proof)
{
    text_add(text, "node%s", proof->member_count > 1 ? "s" : "");
    for (uint32_t i = 0; i < proof->member_count && i < NAMES_MAX; i++)
        text_add(text, "%s %u", i > 0 ? "," : "", proof->members[i]);
    if (proof->member_count > NAMES_MAX)
        text_add(text, " and others");
}

static void put_verdict(struct output *output, const struct proof *proof, struct count count)
{
    char verdict[448];
    struct text text = {verdict, sizeof verdict, 0};

    text_add(&text, "%s: %" PRIu32 " of %" PRIu32 " groups ",
             count.proven == proof->count ? "SAFE TO REMOVE" : "NOT PROVEN", count.proven,
             proof->count);
    if (!proof->all) {
        text_add(&text, "that ");
        add_members(&text, proof);
        text_add(&text, " held ");
    }
    text_add(&text, "have committed a configuration without ");
    if (proof->all)
        add_members(&text, proof);
    else
        text_add(&text, "%s", proof->member_count > 1 ? "them" : "it");
    text_add(&text, " and have a majority that is up to date");
    if (count.weak > 0)
        text_add(&text, "; %" PRIu32 " lack that alone: see ring-admin status, and ask again",
                 count.weak);
    output_field(output, &field_proof, (struct output_value){.text = verdict});
    output_field(output, &field_groups, (struct output_value){.number = proof->count});
    output_field(output, &field_proven, (struct output_value){.number = count.proven});
}

enum exit_code proof_put(const struct proof *proof, struct admin *admin)
{
    struct moves moves;
    struct count count;
    enum exit_code code = ask(proof, admin, &moves);

    if (code != EXIT_CODE_OK)
        return code;
    count = count_groups(proof, &admin->view, &moves);
    put_verdict(admin->output, proof, count);
    output_table(admin->output, "held", columns, COLUMN_COUNT);
    for (uint32_t i = 0; i < proof->count; i++)
        put_group(admin->output, &proof->groups[i], &admin->view, &moves);
    moves_deinit(&moves);
    return count.proven == proof->count ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}
