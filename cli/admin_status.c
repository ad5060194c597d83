#include "cli/admin.h"

#include "cli/verdict.h"

#include <stdio.h>

static const struct output_column field_verdict = {"verdict", NULL, OUTPUT_TEXT};
/* What the verdict says, for programs. */
static const struct output_column field_state = {"state", "", OUTPUT_TEXT};
static const struct output_column field_tolerates = {"tolerates", "", OUTPUT_NUMBER};
static const struct output_column field_partitions = {"partitions", "", OUTPUT_NUMBER};
static const struct output_column field_led = {"partitions_led", "", OUTPUT_NUMBER};
static const struct output_column field_under = {"under_replicated", "", OUTPUT_NUMBER};
static const struct output_column field_mend = {"mend", "mend", OUTPUT_TEXT};
static const struct output_column field_epoch = {"epoch", "epoch", OUTPUT_NUMBER};
static const struct output_column field_leader = {"meta_leader", "meta leader", OUTPUT_NUMBER};
static const struct output_column field_voters = {"meta_voters", "meta voters", OUTPUT_LIST};
static const struct output_column field_keys = {"data_keys", "data keys", OUTPUT_LIST};
static const struct output_column columns[] = {
    {"id", "ID", OUTPUT_NUMBER},
    {"address", "ADDRESS", OUTPUT_TEXT},
    {"zone", "ZONE", OUTPUT_TEXT},
    {"state", "STATE", OUTPUT_TEXT},
    {"epoch", "EPOCH", OUTPUT_NUMBER},
    {"data_key", "KEY", OUTPUT_NUMBER},
    {"leaders", "LEADERS", OUTPUT_NUMBER},
    {"replicas", "REPLICAS", OUTPUT_NUMBER},
    {"lag", "LAG", OUTPUT_NUMBER},
    {"disk_bytes", "DISK", OUTPUT_SIZE},
    {"cache_bytes", "CACHE", OUTPUT_SIZE},
    {"cache_hits", "HITS", OUTPUT_NUMBER},
    {"cache_misses", "MISSES", OUTPUT_NUMBER},
    {"uptime_ms", "UPTIME", OUTPUT_TIME},
    {"version", "VERSION", OUTPUT_TEXT},
};
#define COLUMN_COUNT (sizeof columns / sizeof *columns)
static const struct output_column scrub_columns[] = {
    {"id", "ID", OUTPUT_NUMBER},
    {"age_ms", "SCRUBBED", OUTPUT_TIME}, /* ago */
    {"passes", "PASSES", OUTPUT_NUMBER},
    {"bytes", "READ", OUTPUT_SIZE},
    {"faults", "FAULTS", OUTPUT_NUMBER},
    {"unread", "UNREAD", OUTPUT_NUMBER},
    {"repaired", "REPAIRED", OUTPUT_NUMBER},
    {"compared", "COMPARED", OUTPUT_NUMBER},
    {"outvoted", "OUTVOTED", OUTPUT_NUMBER},
    {"undecided", "UNDECIDED", OUTPUT_NUMBER},
};
#define SCRUB_COLUMN_COUNT (sizeof scrub_columns / sizeof *scrub_columns)

static const char *node_state(const struct view_node *node, const struct ringmap_member *member)
{
    if (!node->reachable)
        return "unreachable";
    if (view_disk_is_full(node))
        return "disk full";
    if (member && member->state != RINGMAP_STATE_ACTIVE)
        return view_state_name(member->state);
    return node->status.founded == 2 ? "up" : node->status.founded == 1 ? "prepared" : "empty";
}

struct share {
    uint64_t leaders, replicas, lag;
};

static struct share share_of(const struct view *view, uint16_t member)
{
    struct share share = {0};

    for (uint32_t partition = 0; view->founded && partition < view->map.partition_count;
         partition++) {
        const struct view_replica *row = view_row(view, (uint16_t)partition);
        const struct view_replica *replica = view_replica(view, (uint16_t)partition, member);
        int leader = view_leader(view, (uint16_t)partition);

        if (!replica || (!replica->known && !replica->wanted))
            continue;
        share.replicas++;
        share.leaders += leader == (int)(replica - row);
        share.lag += view_lag(view, (uint16_t)partition, (uint32_t)(replica - row));
    }
    return share;
}

static void put_node(struct output *output, const struct view *view, const struct view_node *node)
{
    const struct ringmap_member *member =
        view->founded ? ringmap_member(&view->map, node->id) : NULL;
    struct share share = share_of(view, node->id);
    bool gone = !node->reachable;
    const struct output_value values[COLUMN_COUNT] = {
        {.number = node->id, .absent = node->id == 0},
        {.text = node->address},
        {.text = member ? member->zone : node->status.zone},
        {.text = node_state(node, member)},
        {.number = node->status.epoch, .absent = gone || !member},
        {.number = node->status.key_id, .absent = gone || node->status.key_id == 0},
        {.number = share.leaders, .absent = gone || !member},
        {.number = share.replicas, .absent = !member},
        {.number = share.lag, .absent = gone || !member},
        {.number = node->status.disk_bytes, .absent = gone},
        {.number = node->status.cache_bytes, .absent = gone},
        {.number = node->status.cache_hits, .absent = gone},
        {.number = node->status.cache_misses, .absent = gone},
        {.number = node->status.uptime_ms, .absent = gone},
        {.text = node->status.version, .absent = gone},
    };

    output_row(output, values);
}

static void put_number(struct output *output, const struct output_column *field, uint32_t number,
                       bool founded)
{
    output_field(output, field, (struct output_value){.number = number, .absent = !founded});
}

static void put_verdict(struct output *output, const struct verdict *verdict)
{
    bool founded = verdict->state != VERDICT_UNFOUNDED;
    char mend[VERDICT_TEXT_MAX + 64];

    output_field(output, &field_verdict, (struct output_value){.text = verdict->sentence});
    output_field(output, &field_state,
                 (struct output_value){.text = verdict_state_name(verdict->state)});
    put_number(output, &field_tolerates, verdict->tolerates, founded);
    put_number(output, &field_partitions, verdict->partitions, founded);
    put_number(output, &field_led, verdict->leaders, founded);
    put_number(output, &field_under, verdict->under_replicated, founded);
    snprintf(mend, sizeof mend, "%s%s%s", verdict->mend, verdict->then ? "; " : "",
             verdict->then ? verdict->then : "");
    if (mend[0])
        output_field(output, &field_mend, (struct output_value){.text = mend});
}

/* The ring map, who keeps it, and the data keys that it has. */
static void put_meta(struct output *output, const struct view *view)
{
    const struct ringmap *map = &view->map;
    struct output_value voters = {.list_count = map->meta_voter_count};
    struct output_value keys = {.list_count = map->key_count};
    uint16_t leader = view_meta_leader(view);

    for (uint32_t i = 0; i < map->meta_voter_count; i++)
        voters.list[i] = map->meta_voters[i];
    for (uint32_t i = 0; i < map->key_count; i++)
        keys.list[i] = map->key_ids[i];
    output_field(output, &field_epoch, (struct output_value){.number = map->epoch});
    output_field(output, &field_leader,
                 (struct output_value){.number = leader, .absent = leader == 0});
    output_field(output, &field_voters, voters);
    if (map->key_count > 0)
        output_field(output, &field_keys, keys);
}

static void put_scrub(struct output *output, const struct view_node *node)
{
    const struct wire_scrub *scrub = &node->status.scrub;
    const struct output_value values[SCRUB_COLUMN_COUNT] = {
        {.number = node->id, .absent = node->id == 0},
        {.number = scrub->age_ms, .absent = scrub->passes == 0},
        {.number = scrub->passes},
        {.number = scrub->bytes},
        {.number = scrub->faults},
        {.number = scrub->unread},
        {.number = scrub->repaired},
        {.number = scrub->compared},
        {.number = scrub->outvoted},
        {.number = scrub->undecided},
    };

    output_row(output, values);
}

/* While a plan is under way who votes is not what the map says, but what the groups' leaders say.
 */
static enum exit_code reach(struct admin *admin, struct verdict *verdict)
{
    bool moving = admin->view.founded && ringmap_moving(&admin->view.map);
    struct moves moves = {0};
    int r = moving ? moves_ask(&moves, &admin->view, admin->cluster, CLUSTER_TIMEOUT_MS) : 0;

    if (r == 0)
        verdict_reach(verdict, &admin->view, moving ? &moves : NULL);
    moves_deinit(&moves);
    return r == 0 ? EXIT_CODE_OK : admin_fail(admin, r);
}

int admin_status(const struct arguments *arguments)
{
    struct admin admin;
    struct verdict verdict;
    enum exit_code code = admin_open(&admin, arguments, false);

    if (code == EXIT_CODE_OK)
        code = reach(&admin, &verdict);
    if (code == EXIT_CODE_OK) {
        put_verdict(admin.output, &verdict);
        if (admin.view.founded)
            put_meta(admin.output, &admin.view);
        output_table(admin.output, "nodes", columns, COLUMN_COUNT);
        for (uint32_t i = 0; i < admin.view.node_count; i++)
            if (!view_is_removed(&admin.view, &admin.view.nodes[i])) /* `members` lists them */
                put_node(admin.output, &admin.view, &admin.view.nodes[i]);
        output_table(admin.output, "scrub", scrub_columns, SCRUB_COLUMN_COUNT);
        for (uint32_t i = 0; i < admin.view.node_count; i++)
            if (admin.view.nodes[i].reachable)
                put_scrub(admin.output, &admin.view.nodes[i]);
        code = admin_print(&admin);
        if (code == EXIT_CODE_OK && arguments_text(arguments, "check") &&
            verdict.state != VERDICT_HEALTHY)
            code = EXIT_CODE_DEGRADED;
    }
    admin_close(&admin);
    return code;
}
