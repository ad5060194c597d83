#include "cli/admin.h"

#include "ring/identity.h"
#include "ring/swim.h"

static const struct output_column columns[] = {
    {"id", "ID", OUTPUT_NUMBER},
    {"address", "ADDRESS", OUTPUT_TEXT},
    {"zone", "ZONE", OUTPUT_TEXT},
    {"weight", "WEIGHT", OUTPUT_NUMBER},
    {"state", "STATE", OUTPUT_TEXT},
    {"key", "KEY", OUTPUT_TEXT},
    {"meta_voter", "META", OUTPUT_BOOL},
    {"reachable", "REACHABLE", OUTPUT_BOOL},
    {"shards", "SHARDS", OUTPUT_NUMBER},
    {"peers_up", "PEERS", OUTPUT_NUMBER},
    {"liveness", "LIVENESS", OUTPUT_TEXT},
    {"liveness_ms", "FOR", OUTPUT_TIME},
    {"operations", "OPS/S", OUTPUT_NUMBER},
    {"bytes", "BYTES/S", OUTPUT_SIZE},
};
#define COLUMN_COUNT (sizeof columns / sizeof *columns)

/* Of one that is dead or has left it is what it did before. */
static bool told_load(const struct wire_liveness *heard)
{
    return heard->member != 0 && heard->heard &&
           (heard->standing == SWIM_ALIVE || heard->standing == SWIM_SUSPECT);
}

static void put_member(struct output *output, const struct view *view, uint32_t i)
{
    const struct ringmap_member *member = &view->map.members[i];
    const struct view_node *node = &view->nodes[i];
    const struct wire_liveness *heard = &node->liveness;
    char fingerprint[IDENTITY_FINGERPRINT_SIZE];

    identity_fingerprint(member->public_key, fingerprint);
    output_row(output,
               (const struct output_value[COLUMN_COUNT]){
                   {.number = member->id},
                   {.text = node->address},
                   {.text = member->zone},
                   {.number = member->weight},
                   {.text = view_state_name(member->state)},
                   {.text = fingerprint},
                   {.number = ringmap_votes(&view->map, member->id)},
                   {.number = node->reachable},
                   {.number = node->status.shards, .absent = !node->reachable || node->told},
                   {.number = node->status.links_up, .absent = !node->reachable},
                   {.text = swim_standing_name(heard->standing), .absent = heard->member == 0},
                   {.number = heard->age_ms, .absent = heard->member == 0},
                   {.number = heard->operations, .absent = !told_load(heard)},
                   {.number = heard->bytes, .absent = !told_load(heard)},
               });
}

int admin_members(const struct arguments *arguments)
{
    struct admin admin;
    enum exit_code code = admin_open(&admin, arguments, true);

    if (code == EXIT_CODE_OK) {
        output_table(admin.output, "members", columns, COLUMN_COUNT);
        for (uint32_t i = 0; i < admin.view.node_count; i++)
            put_member(admin.output, &admin.view, i);
        code = admin_print(&admin);
    }
    admin_close(&admin);
    return code;
}
