#include "cli/admin.h"
#include "cli/clock.h"
#include "cli/top_ask.h"
#include "ring/hash.h"

#include <stdlib.h>

#define ROWS_DEFAULT    10u
#define ROWS_MAX        RINGMAP_PARTITIONS_MAX
#define SECONDS_DEFAULT 3u
#define SECONDS_MAX     (WIRE_TOP_SAMPLE_MS_MAX / 1000)

static const struct output_column member_columns[] = {
    {"id", "ID", OUTPUT_NUMBER},
    {"address", "ADDRESS", OUTPUT_TEXT},
    {"state", "STATE", OUTPUT_TEXT},
    {"leaders", "LEADERS", OUTPUT_NUMBER},
    {"operations", "OPS/S", OUTPUT_NUMBER},
    {"bytes", "BYTES/S", OUTPUT_SIZE},
    {"sync_p99_us", "SYNC P99 us", OUTPUT_NUMBER},
};
#define MEMBER_COLUMNS (sizeof member_columns / sizeof *member_columns)

static const struct output_column partition_columns[] = {
    {"partition", "PARTITION", OUTPUT_NUMBER},
    {"leader", "LEADER", OUTPUT_NUMBER},
    {"operations", "OPS/S", OUTPUT_NUMBER},
    {"bytes", "BYTES/S", OUTPUT_SIZE},
};
#define PARTITION_COLUMNS (sizeof partition_columns / sizeof *partition_columns)

static const struct output_column key_columns[] = {
    {"key", "KEY", OUTPUT_TEXT},
    {"partition", "PARTITION", OUTPUT_NUMBER},
    {"count_max", "AT MOST", OUTPUT_NUMBER},
    {"count_min", "AT LEAST", OUTPUT_NUMBER},
    {"percent", "PERCENT", OUTPUT_NUMBER},
};
#define KEY_COLUMNS (sizeof key_columns / sizeof *key_columns)

static const struct output_column field_counted = {"keys_counted", "keys counted", OUTPUT_NUMBER};

struct run {
    struct admin *admin;
    struct top_view top;
    struct top_member *members; /* as view->nodes */
    size_t rows;
};

static void put_members(struct run *run)
{
    const struct view *view = &run->admin->view;

    output_table(run->admin->output, "members", member_columns, MEMBER_COLUMNS);
    for (uint32_t i = 0; i < view->node_count; i++) {
        const struct top_member *member = &run->members[i];

        if (view_is_removed(view, &view->nodes[i]))
            continue;
        output_row(
            run->admin->output,
            (const struct output_value[MEMBER_COLUMNS]){
                {.number = member->id},
                {.text = view->nodes[i].address},
                {.text =
                     view_is_joining(view, &view->nodes[i]) ? "joining" : top_member_state(member)},
                {.number = member->leaders, .absent = !member->heard},
                {.number = member->operations, .absent = !member->heard},
                {.number = member->bytes, .absent = !member->heard},
                {.number = member->sync_us, .absent = !member->heard || member->sync_us == 0},
            });
    }
}

static void put_partitions(struct run *run)
{
    output_table(run->admin->output, "partitions", partition_columns, PARTITION_COLUMNS);
    for (size_t i = 0; i < run->top.partition_count && i < run->rows; i++) {
        const struct top_partition *partition = &run->top.partitions[i];

        output_row(run->admin->output, (const struct output_value[PARTITION_COLUMNS]){
                                           {.number = partition->partition},
                                           {.number = partition->leader},
                                           {.number = partition->operations},
                                           {.number = partition->bytes},
                                       });
    }
}

static void put_keys(struct run *run)
{
    const struct ringmap *map = &run->admin->view.map;

    output_field(run->admin->output, &field_counted,
                 (struct output_value){.number = run->top.seen});
    output_table(run->admin->output, "keys", key_columns, KEY_COLUMNS);
    for (size_t i = 0; i < run->top.key_count && i < run->rows; i++) {
        const struct top_key *key = &run->top.keys[i];
        bool whole = key->size == key->key_size;
        char text[TOP_KEY_TEXT_SIZE];

        top_key_text(key, text);
        output_row(run->admin->output,
                   (const struct output_value[KEY_COLUMNS]){
                       {.text = text},
                       {.number = whole ? hash_partition(map->hash_secret, map->partition_count,
                                                         key->bytes, key->size, NULL)
                                        : 0,
                        .absent = !whole},
                       {.number = key->count},
                       {.number = key->count - key->error},
                       {.number = run->top.seen ? key->count * 100 / run->top.seen : 0},
                   });
    }
}

static enum exit_code top(struct run *run, bool keys, uint64_t seconds)
{
    struct admin *admin = run->admin;
    enum exit_code code;
    int r = 0;

    if (keys) {
        r = top_ask(NULL, admin->cluster, &admin->view, (uint32_t)(seconds * 1000));
        clock_pause((uint32_t)seconds * 1000);
    }
    if (r == 0)
        r = top_ask(&run->top, admin->cluster, &admin->view, 0);
    if (r != 0) {
        arguments_error(admin->arguments, "out of memory");
        return EXIT_CODE_FAILED;
    }
    top_view_sort(&run->top);
    if (keys)
        put_keys(run);
    put_members(run);
    put_partitions(run);
    code = admin_print(admin);
    for (uint32_t i = 0; i < admin->view.node_count && code == EXIT_CODE_OK; i++)
        if (!run->members[i].heard && ringmap_takes_part(admin->view.map.members[i].state))
            code = EXIT_CODE_UNREACHABLE;
    return code;
}

int admin_top(const struct arguments *arguments)
{
    struct admin admin = {0};
    struct run run = {.admin = &admin};
    uint64_t rows = ROWS_DEFAULT, seconds = SECONDS_DEFAULT;
    enum exit_code code = EXIT_CODE_USAGE;

    if (!arguments_number(arguments, "rows", 1, ROWS_MAX, &rows) ||
        !arguments_number(arguments, "seconds", 1, SECONDS_MAX, &seconds))
        return EXIT_CODE_USAGE;
    run.rows = (size_t)rows;
    code = admin_open(&admin, arguments, true);
    if (code == EXIT_CODE_OK && !(run.members = top_members_of(&admin.view))) {
        arguments_error(arguments, "out of memory");
        code = EXIT_CODE_FAILED;
    } else if (code == EXIT_CODE_OK) {
        top_view_init(&run.top, run.members, admin.view.node_count);
        code = top(&run, arguments_text(arguments, "keys") != NULL, seconds);
    }
    top_view_deinit(&run.top);
    free(run.members);
    admin_close(&admin);
    return code;
}
