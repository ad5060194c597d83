/* moves, pause, resume, abort: a plan that is under way. */
#include "cli/admin_change.h"
#include "cli/map_change.h"
#include "cli/progress.h"
#include "cli/remedy.h"

#include "replication/transfer.h"
#include "ring/next_map.h"

#include <stdlib.h>

#define RATE_MAX 100000u /* MiB a second */

static const struct output_column field_verdict = {"verdict", NULL, OUTPUT_TEXT};
static const struct output_column field_epoch = {"epoch", "epoch", OUTPUT_NUMBER};
static const struct output_column field_rate = {"rate_bytes", "rate of a node and second",
                                                OUTPUT_SIZE};
static const struct output_column field_groups = {"partitions", "partitions", OUTPUT_NUMBER};
static const struct output_column field_done = {"partitions_done", "done", OUTPUT_NUMBER};
static const struct output_column field_bytes = {"bytes", "bytes", OUTPUT_SIZE};
static const struct output_column field_sent = {"bytes_done", "copied", OUTPUT_SIZE};
static const struct output_column field_retries = {"retries", "retries", OUTPUT_NUMBER};
static const struct output_column field_waits = {"waits", "waits", OUTPUT_TEXT};
static const struct output_column field_follow = {"follow", "follow it", OUTPUT_TEXT};
static const struct output_column field_mend = {"mend", "missing", OUTPUT_TEXT};
/* Without a partition: the meta group. */
static const struct output_column columns[] = {
    {"partition", "PARTITION", OUTPUT_NUMBER},
    {"leader", "LEADER", OUTPUT_NUMBER},
    {"step", "STEP", OUTPUT_TEXT},
    {"waits_for", "FOR", OUTPUT_NUMBER},
    {"voters", "VOTERS", OUTPUT_LIST},
    {"learners", "LEARNERS", OUTPUT_LIST},
    {"wanted", "WANTED", OUTPUT_LIST},
    {"bytes", "BYTES", OUTPUT_SIZE},
    {"bytes_done", "COPIED", OUTPUT_SIZE},
    {"retries", "RETRIES", OUTPUT_NUMBER},
};
#define COLUMN_COUNT (sizeof columns / sizeof *columns)

static void put_number(struct output *output, const struct output_column *field, uint64_t number)
{
    output_field(output, field, (struct output_value){.number = number});
}

static struct output_value list_of(const uint16_t *ids, uint32_t count)
{
    struct output_value value = {.list_count = count};

    for (uint32_t i = 0; i < count; i++)
        value.list[i] = ids[i];
    return value;
}

static void put_group(struct output *output, const struct ringmap *map, const struct moves *moves,
                      uint16_t id)
{
    const struct moves_group *group = moves_group(moves, id);
    const struct wire_move *move = &group->move;
    uint32_t wanted_count;
    const uint16_t *wanted = moves_wanted(map, id, &wanted_count);
    struct output_value voters = list_of(move->voters.ids, move->voters.count);
    struct output_value learners = list_of(move->learners.ids, move->learners.count);
    bool gone = !group->known;
    uint64_t bytes, done;

    moves_bytes(moves, map, id, &bytes, &done);
    voters.absent = learners.absent = gone;
    output_row(output,
               (const struct output_value[COLUMN_COUNT]){
                   {.number = id, .absent = id == WIRE_PARTITION_META, .text = "meta"},
                   {.number = group->leader, .absent = gone},
                   {.text = gone ? "no leader answers" : transfer_step_name(move->step)},
                   {.number = move->member, .absent = gone || move->member == 0},
                   voters,
                   learners,
                   list_of(wanted, wanted_count),
                   {.number = bytes, .absent = gone},
                   {.number = done, .absent = gone},
                   {.number = move->snapshots > 1 ? move->snapshots - 1 : 0, .absent = gone},
               });
}

static void put_moves(struct output *output, const struct view *view, const struct moves *moves)
{
    char waits[PROGRESS_TEXT_SIZE], mend[PROGRESS_TEXT_SIZE];
    const struct ringmap *map = &view->map;
    const struct view_node *missing = moves_missing(moves, map, view);
    struct moves_sum sum;

    moves_sum(moves, map, &sum);
    progress_waits(moves, map, waits, sizeof waits);
    put_number(output, &field_groups, sum.groups);
    put_number(output, &field_done, sum.groups_done);
    put_number(output, &field_bytes, sum.bytes);
    put_number(output, &field_sent, sum.bytes_done);
    put_number(output, &field_retries, sum.retries);
    output_field(output, &field_waits, (struct output_value){.text = waits, .absent = !waits[0]});
    if (missing) {
        progress_missing(view, moves, missing, mend, sizeof mend);
        output_field(output, &field_mend, (struct output_value){.text = mend});
    }
    output_table(output, "moves", columns, COLUMN_COUNT);
    for (uint32_t i = 0; i <= map->partition_count; i++) {
        uint16_t group = i < map->partition_count ? (uint16_t)i : WIRE_PARTITION_META;

        if (moves_is_waiting(moves, map, group))
            put_group(output, map, moves, group);
    }
}

static enum exit_code show(struct admin *admin)
{
    const struct ringmap *map = &admin->view.map;
    uint32_t rate = map->move_rate > 0 ? map->move_rate : RINGMAP_MOVE_RATE_DEFAULT;
    struct moves moves;
    int r;

    output_field(admin->output, &field_verdict,
                 (struct output_value){.text = !ringmap_moving(map) ? "settled: nothing moves"
                                               : map->paused        ? "a plan is paused"
                                                                    : "a plan is under way"});
    put_number(admin->output, &field_epoch, map->epoch);
    put_number(admin->output, &field_rate, (uint64_t)rate << 20);
    r = moves_ask(&moves, &admin->view, admin->cluster, CLUSTER_TIMEOUT_MS);
    if (r == 0)
        put_moves(admin->output, &admin->view, &moves);
    moves_deinit(&moves);
    return r == 0 ? admin_print(admin) : admin_fail(admin, r);
}

/* Sends the map with other settings, unless they are those. */
static enum exit_code set(struct admin *admin, bool paused, uint32_t rate)
{
    struct ringmap next;
    enum exit_code code;
    int r;

    if (admin->view.map.paused == paused && admin->view.map.move_rate == rate)
        return EXIT_CODE_OK;
    r = ringmap_copy(&next, &admin->view.map);
    if (r < 0)
        return admin_fail(admin, r);
    next.epoch++;
    next.paused = paused;
    next.move_rate = rate;
    code = map_change_send(admin, &next);
    if (code == EXIT_CODE_OK && admin->view.map.epoch < next.epoch) {
        ringmap_deinit(&admin->view.map);
        admin->view.map = next;
    } else {
        ringmap_deinit(&next);
    }
    return code;
}

int admin_moves(const struct arguments *arguments)
{
    struct admin admin;
    enum exit_code code;
    uint64_t rate = 0;

    if (!arguments_number(arguments, "rate", 1, RATE_MAX, &rate))
        return EXIT_CODE_USAGE;
    code = admin_open(&admin, arguments, true);
    if (code == EXIT_CODE_OK && rate > 0)
        code = set(&admin, admin.view.map.paused, (uint32_t)rate);
    if (code == EXIT_CODE_OK && arguments_text(arguments, "watch"))
        code = admin_change_wait(&admin, NULL);
    if (code == EXIT_CODE_OK)
        code = show(&admin);
    admin_close(&admin);
    return code;
}

static enum exit_code need_plan(const struct admin *admin)
{
    if (ringmap_moving(&admin->view.map))
        return EXIT_CODE_OK;
    arguments_error(admin->arguments,
                    "no plan is under way: there is nothing to %s; see `ring-admin moves`",
                    admin->arguments->command->name);
    return EXIT_CODE_FAILED;
}

int admin_pause(const struct arguments *arguments)
{
    struct admin admin;
    enum exit_code code = admin_open(&admin, arguments, true);

    if (code == EXIT_CODE_OK)
        code = need_plan(&admin);
    if (code == EXIT_CODE_OK)
        code = set(&admin, true, admin.view.map.move_rate);
    if (code == EXIT_CODE_OK)
        code = show(&admin);
    admin_close(&admin);
    return code;
}

int admin_resume(const struct arguments *arguments)
{
    struct admin admin;
    enum exit_code code = admin_open(&admin, arguments, true);

    if (code == EXIT_CODE_OK && !admin.view.map.paused)
        code = need_plan(&admin);
    if (code == EXIT_CODE_OK)
        code = set(&admin, false, admin.view.map.move_rate);
    if (code == EXIT_CODE_OK)
        code = show(&admin);
    admin_close(&admin);
    return code;
}

/* Why it is not done, or not in full; what must go on has nowhere to go back to. */
static enum exit_code tell_abort(const struct admin *admin, int r, const struct remedy_abort *abort,
                                 const char *missing)
{
    const char *resume = admin->view.map.paused ? ": ring-admin resume" : "";

    if (r == REMEDY_E_UNKNOWN) {
        arguments_error(admin->arguments, "no leader of a group says which nodes have it "
                                          "now: try again, or start nodes that are down "
                                          "(`ring-admin doctor`)");
        return EXIT_CODE_FAILED;
    }
    if (abort->missing) {
        arguments_error(
            admin->arguments,
            "an abort would not end either: partitions that cannot go back need a node: %s",
            missing);
        return EXIT_CODE_FAILED;
    }
    if (r == REMEDY_E_NOTHING) {
        arguments_error(admin->arguments, "nothing was changed, as nothing can be taken back: %s%s",
                        abort->kept > 0
                            ? "what the plan still moves was on a node that was removed, and has "
                              "to go somewhere; only its end ends it"
                            : "all that the plan moves has come where it goes, and it ends soon",
                        resume);
        return EXIT_CODE_CONFLICT;
    }
    return EXIT_CODE_OK;
}

/* *kept: so many partitions of the plan go on all the same. */
static enum exit_code abort_plan(struct admin *admin, struct ringmap *next, uint32_t *kept)
{
    struct remedy_abort abort = {0};
    char text[PROGRESS_TEXT_SIZE] = "";
    enum exit_code code;
    struct moves moves;
    int r = moves_ask_all(&moves, &admin->view, admin->cluster, CLUSTER_TIMEOUT_MS);

    if (r == 0)
        r = remedy_abort(&admin->view, &moves, next, &abort);
    if (abort.missing)
        progress_missing(&admin->view, &moves, abort.missing, text, sizeof text);
    moves_deinit(&moves);
    if (r < 0)
        return admin_fail(admin, r);
    code = tell_abort(admin, r, &abort, text);
    if (code == EXIT_CODE_OK)
        code = map_change_send(admin, next);
    *kept = abort.kept;
    return code;
}

/* What was committed is told however the waiting ends. */
static enum exit_code abort_end(struct admin *admin, const struct ringmap *next)
{
    enum exit_code code = EXIT_CODE_OK, printed;

    output_field(admin->output, &field_verdict,
                 (struct output_value){
                     .text = "the plan is given up: each partition stays where it is now"});
    put_number(admin->output, &field_epoch, next->epoch);
    if (arguments_text(admin->arguments, "wait"))
        code = admin_change_wait(admin, next);
    else
        output_field(admin->output, &field_follow,
                     (struct output_value){.text = "ring-admin moves --watch"});
    printed = admin_print(admin);
    return code != EXIT_CODE_OK ? code : printed;
}

int admin_abort(const struct arguments *arguments)
{
    struct admin admin;
    struct ringmap next = {0};
    uint32_t kept = 0;
    enum exit_code code = admin_open(&admin, arguments, true);

    if (code == EXIT_CODE_OK)
        code = need_plan(&admin);
    if (code == EXIT_CODE_OK)
        code = abort_plan(&admin, &next, &kept);
    if (code == EXIT_CODE_OK)
        code = abort_end(&admin, &next);
    if (code == EXIT_CODE_OK && kept > 0) {
        arguments_error(arguments,
                        "%u partition%s not taken back: what %s on a node that was removed has "
                        "to go somewhere; all others stay where they are",
                        kept, kept == 1 ? " was" : "s were", kept == 1 ? "it had" : "they had");
        code = EXIT_CODE_CONFLICT;
    }
    if (next.members)
        ringmap_deinit(&next);
    admin_close(&admin);
    return code;
}
