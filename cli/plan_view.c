#include "cli/plan_view.h"

#include "cli/changes.h"
#include "cli/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FOR_PROGRAMS(name, type)                                                                   \
    {                                                                                              \
        name, "", type                                                                             \
    }

static const struct output_column field_verdict = {"verdict", NULL, OUTPUT_TEXT};
static const struct output_column field_changes = {"changes", "changes", OUTPUT_TEXT};
static const struct output_column field_work = {NULL, "moves", OUTPUT_TEXT};
static const struct output_column field_safety = {NULL, "more failures tolerated", OUTPUT_TEXT};
static const struct output_column field_plan = {"plan", "plan", OUTPUT_TEXT};
static const struct output_column field_commit = {"commit", "commit", OUTPUT_TEXT};
static const struct output_column field_beyond = {"notes_beyond", "more notes like those listed",
                                                  OUTPUT_NUMBER};
static const struct output_column field_epoch = FOR_PROGRAMS("epoch", OUTPUT_NUMBER);
static const struct output_column field_moves = FOR_PROGRAMS("moves", OUTPUT_NUMBER);
static const struct output_column field_least = FOR_PROGRAMS("moves_least", OUTPUT_NUMBER);
static const struct output_column field_leaders = FOR_PROGRAMS("leaders", OUTPUT_NUMBER);
static const struct output_column field_waves = FOR_PROGRAMS("waves", OUTPUT_NUMBER);
static const struct output_column field_bytes = FOR_PROGRAMS("bytes", OUTPUT_SIZE);
static const struct output_column field_complete = FOR_PROGRAMS("bytes_complete", OUTPUT_BOOL);
static const struct output_column field_time = FOR_PROGRAMS("time_ms", OUTPUT_TIME);
static const struct output_column field_rate = FOR_PROGRAMS("rate_bytes", OUTPUT_SIZE);
static const struct output_column field_before = FOR_PROGRAMS("tolerates_before", OUTPUT_NUMBER);
static const struct output_column field_way = FOR_PROGRAMS("tolerates_least", OUTPUT_NUMBER);
static const struct output_column field_after = FOR_PROGRAMS("tolerates_after", OUTPUT_NUMBER);

static const struct output_column node_columns[] = {
    {"id", "ID", OUTPUT_NUMBER},
    {"address", "ADDRESS", OUTPUT_TEXT},
    {"zone", "ZONE", OUTPUT_TEXT},
    {"state", "STATE", OUTPUT_TEXT},
    {"state_after", "AFTER", OUTPUT_TEXT},
    {"weight", "WEIGHT", OUTPUT_NUMBER},
    {"weight_after", "AFTER", OUTPUT_NUMBER},
    {"holds", "HOLDS", OUTPUT_NUMBER},
    {"holds_after", "AFTER", OUTPUT_NUMBER},
    {"leads", "LEADS", OUTPUT_NUMBER},
    {"leads_after", "AFTER", OUTPUT_NUMBER},
    {"receives", "RECEIVES", OUTPUT_NUMBER},
    {"bytes_in", "IN", OUTPUT_SIZE},
    {"bytes_out", "OUT", OUTPUT_SIZE},
};
#define NODE_COLUMN_COUNT (sizeof node_columns / sizeof *node_columns)
static const struct output_column note_columns[] = {
    {"level", "LEVEL", OUTPUT_TEXT},
    {"partition", "PARTITION", OUTPUT_NUMBER},
    {"member", "NODE", OUTPUT_NUMBER},
    {"text", "WHAT", OUTPUT_TEXT},
};
#define NOTE_COLUMN_COUNT (sizeof note_columns / sizeof *note_columns)
static const struct output_column move_columns[] = {
    {"wave", "WAVE", OUTPUT_NUMBER}, {"partition", "PARTITION", OUTPUT_NUMBER},
    {"from", "FROM", OUTPUT_NUMBER}, {"to", "TO", OUTPUT_NUMBER},
    {"bytes", "BYTES", OUTPUT_SIZE},
};
#define MOVE_COLUMN_COUNT (sizeof move_columns / sizeof *move_columns)

static void put_number(struct output *output, const struct output_column *field, uint64_t number)
{
    output_field(output, field, (struct output_value){.number = number});
}

static void put_tolerance(struct output *output, const struct output_column *field, int8_t count)
{
    output_field(
        output, field,
        (struct output_value){.number = count < 0 ? 0 : (uint64_t)count, .absent = count < 0});
}

static uint64_t rate_of(const struct view *view)
{
    uint32_t rate = view->map.move_rate > 0 ? view->map.move_rate : RINGMAP_MOVE_RATE_DEFAULT;

    return (uint64_t)rate << 20;
}

static void put_numbers(struct output *output, const struct view *view,
                        const struct planning *planning)
{
    const struct plan *plan = &planning->plan;

    put_number(output, &field_epoch, plan->epoch);
    put_number(output, &field_moves, planning->cost.moves);
    put_number(output, &field_least, planning->cost.moves_min);
    put_number(output, &field_leaders, plan->lead_count);
    put_number(output, &field_waves, plan->wave_count);
    put_number(output, &field_bytes, plan->bytes);
    put_number(output, &field_complete, planning->sizes_known);
    put_number(output, &field_time, plan->seconds * 1000);
    put_number(output, &field_rate, rate_of(view));
    put_tolerance(output, &field_before, plan->tolerance_before);
    put_tolerance(output, &field_way, plan->tolerance_least);
    put_tolerance(output, &field_after, plan->tolerance_after);
}

static void add_tolerance(struct text *text, int8_t count, const char *when)
{
    if (count < 0)
        text_add(text, "no majority %s", when);
    else
        text_add(text, "%d %s", count, when);
}

static void put_sentences(struct output *output, const struct view *view,
                          const struct planning *planning)
{
    const struct plan *plan = &planning->plan;
    char work[256], safety[256], size[OUTPUT_CELL_SIZE], rate[OUTPUT_CELL_SIZE],
        time[OUTPUT_CELL_SIZE];
    struct text moves = {work, sizeof work, 0}, text = {safety, sizeof safety, 0};

    output_size(plan->bytes, size);
    output_size(rate_of(view), rate);
    output_time(plan->seconds * 1000, time);
    if (planning->cost.moves == 0)
        text_add(&moves, "none; %" PRIu32 " leaders", plan->lead_count);
    else
        text_add(&moves,
                 "%" PRIu32 " replicas (no way with fewer than %" PRIu32
                 "), %s%s, about %s at %s a "
                 "second and node, in %" PRIu32 " waves; %" PRIu32 " leaders",
                 planning->cost.moves, planning->cost.moves_min,
                 planning->sizes_known ? "" : "more than ", size, time, rate, plan->wave_count,
                 plan->lead_count);
    add_tolerance(&text, plan->tolerance_before, "now, ");
    add_tolerance(&text, plan->tolerance_least, "on the way, ");
    add_tolerance(&text, plan->tolerance_after, "after");
    if (!plan_refused(plan)) /* it is no plan of anything then */
        output_field(output, &field_work, (struct output_value){.text = work});
    output_field(output, &field_safety, (struct output_value){.text = safety});
}

static void put_node(struct output *output, const struct view *view,
                     const struct plan_member *member)
{
    output_row(output, (const struct output_value[NODE_COLUMN_COUNT]){
                           {.number = member->id},
                           {.text = view_node(view, member->id)->address},
                           {.text = member->zone},
                           {.text = view_state_name(member->state_before)},
                           {.text = view_state_name(member->state_after)},
                           {.number = member->weight_before},
                           {.number = member->weight_after},
                           {.number = member->holds_before},
                           {.number = member->holds_after},
                           {.number = member->leads_before},
                           {.number = member->leads_after},
                           {.number = member->moves_in},
                           {.number = member->bytes_in},
                           {.number = member->bytes_out},
                       });
}

static void put_notes(struct output *output, const struct view *view,
                      const struct planning *planning)
{
    const struct plan *plan = &planning->plan;

    output_table(output, "notes", note_columns, NOTE_COLUMN_COUNT);
    for (uint32_t i = 0; i < plan->note_count; i++) {
        const struct plan_note *note = &plan->notes[i];
        char text[PLANNING_NOTE_SIZE];

        planning_note_text(view, planning, note, text, sizeof text);
        output_row(output,
                   (const struct output_value[NOTE_COLUMN_COUNT]){
                       {.text = plan_note_refuses(note->code) ? "refused" : "warning"},
                       {.number = note->partition, .absent = note->partition == PLAN_PARTITION_ANY},
                       {.number = note->member, .absent = note->member == 0},
                       {.text = text},
                   });
    }
}

static void put_moves(struct output *output, const struct plan *plan)
{
    output_table(output, "move_list", move_columns, MOVE_COLUMN_COUNT);
    for (uint32_t i = 0; i < plan->move_count; i++)
        output_row(output, (const struct output_value[MOVE_COLUMN_COUNT]){
                               {.number = plan->moves[i].wave + 1u},
                               {.number = plan->moves[i].partition},
                               {.number = plan->moves[i].from, .absent = plan->moves[i].from == 0},
                               {.number = plan->moves[i].to, .absent = plan->moves[i].to == 0},
                               {.number = plan->moves[i].bytes},
                           });
}

static void put_commit(struct output *output, const struct planning *planning, const char *words,
                       enum plan_view_stage stage)
{
    char hash[PLANNING_HASH_SHOWN + 1], commit[CHANGES_WORDS_SIZE + 64];
    bool ready = planning->next.members != NULL;

    memcpy(hash, planning->hash, PLANNING_HASH_SHOWN);
    hash[PLANNING_HASH_SHOWN] = 0;
    snprintf(commit, sizeof commit, "ring-admin commit --plan %s%s%s", hash, words[0] ? " " : "",
             words);
    output_field(output, &field_plan, (struct output_value){.text = hash, .absent = !ready});
    if (stage != PLAN_VIEW_GOES)
        output_field(
            output, &field_commit,
            (struct output_value){.text = commit, .absent = !ready || stage != PLAN_VIEW_ASKED});
}

static const char *verdict_of(const struct planning *planning, enum plan_view_stage stage)
{
    if (stage == PLAN_VIEW_COMMITTED)
        return "committed";
    if (stage == PLAN_VIEW_GOES)
        return "this is committed now";
    if (planning->is_empty)
        return "nothing to do: the cluster is as it is asked for";
    return plan_refused(&planning->plan) ? "refused: nothing was changed"
                                         : "can be committed: nothing has been changed yet";
}

void plan_view(struct output *output, const struct view *view, const struct planning *planning,
               const char *words, enum plan_view_stage stage, bool moves)
{
    const struct plan *plan = &planning->plan;

    output_field(output, &field_verdict,
                 (struct output_value){.text = verdict_of(planning, stage)});
    output_field(output, &field_changes,
                 (struct output_value){.text = words, .absent = words[0] == 0});
    put_numbers(output, view, planning);
    put_sentences(output, view, planning);
    put_commit(output, planning, words, stage);
    if (plan->notes_beyond > 0)
        put_number(output, &field_beyond, plan->notes_beyond);
    output_table(output, "nodes", node_columns, NODE_COLUMN_COUNT);
    for (uint32_t i = 0; i < plan->member_count; i++)
        put_node(output, view, &plan->members[i]);
    if (plan->note_count > 0)
        put_notes(output, view, planning);
    if (moves)
        put_moves(output, plan);
}
