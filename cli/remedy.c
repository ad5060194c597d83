#include "cli/remedy.h"

#include "cli/changes.h"
#include "cli/planning.h"
#include "cli/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool same_wanted(const struct ringmap *now, const struct ringmap *next, uint16_t group)
{
    uint32_t count, next_count;
    const uint16_t *row = moves_wanted(now, group, &count);
    const uint16_t *next_row = moves_wanted(next, group, &next_count);

    return count == next_count && memcmp(row, next_row, count * sizeof *row) == 0;
}

static bool has_wanted(const struct ringmap *map, uint16_t group, const struct next_map_held *held)
{
    uint32_t count, found = 0;
    const uint16_t *row = moves_wanted(map, group, &count);

    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < held->voter_count; j++)
            found += held->voters[j] == row[i];
    return found == count && held->voter_count == count;
}

/* Returns how many groups that the plan waits for go where they would go without the abort, too:
 * what they had is on a removed node, or they have come there and only commit that, or it is the
 * meta group, whose voters follow who is a member. */
static uint32_t count_kept(const struct view *view, const struct moves *moves,
                           const struct ringmap *next, const struct next_map_held *held,
                           struct remedy_abort *abort)
{
    const struct ringmap *now = &view->map;
    uint32_t same = 0;

    for (uint32_t i = 0; i <= now->partition_count; i++) {
        bool meta = i == now->partition_count;
        uint16_t group = meta ? WIRE_PARTITION_META : (uint16_t)i;

        if (!moves_is_waiting(moves, now, group))
            continue;
        abort->waiting++;
        if (!moves_is_waiting(moves, next, group) || !same_wanted(now, next, group))
            continue;
        same++;
        abort->kept += !meta && !has_wanted(next, group, &held[i]);
    }
    return same;
}

int remedy_abort(const struct view *view, const struct moves *moves, struct ringmap *next,
                 struct remedy_abort *abort)
{
    struct next_map_held *held;
    uint32_t same;
    int r;

    if (!ringmap_moving(&view->map))
        return REMEDY_E_SETTLED;
    if (moves_lack(moves))
        return REMEDY_E_UNKNOWN;
    held = calloc(view->map.partition_count + 1u, sizeof *held);
    if (!held)
        return -ENOMEM;
    moves_held(moves, held);
    r = next_map_abort(&view->map, held, next);
    if (r == 0) {
        next->paused = false; /* it would never end */
        *abort = (struct remedy_abort){.missing = moves_missing(moves, next, view)};
        same = count_kept(view, moves, next, held, abort);
        if (abort->waiting > 0 && same == abort->waiting) {
            ringmap_deinit(next);
            *next = (struct ringmap){0};
            r = REMEDY_E_NOTHING;
        }
    }
    free(held);
    return r;
}

bool remedy_can_abort(const struct view *view, const struct moves *moves)
{
    struct remedy_abort abort;
    struct ringmap next;

    if (remedy_abort(view, moves, &next, &abort) != 0)
        return false;
    ringmap_deinit(&next);
    return !abort.missing;
}

/* What a plan is refused for: bits of enum plan_note_code; 0: it would be accepted. */
static uint32_t refusals_of(const struct view *view, const struct moves *moves,
                            const struct staged *staged)
{
    struct planning planning;
    uint32_t refusals = 0;

    if (planning_make(&planning, view, moves, staged) != 0)
        refusals = UINT32_MAX;
    for (uint32_t i = 0; refusals != UINT32_MAX && i < planning.plan.note_count; i++)
        if (plan_note_refuses(planning.plan.notes[i].code))
            refusals |= 1u << planning.plan.notes[i].code;
    planning_deinit(&planning);
    return refusals;
}

/* The same of this change alone. Who is the only one that is active goes with another in its place,
 * or is started: nothing can be planned without it. */
static uint32_t refusals_of_one(const struct view *view, const struct moves *moves, uint8_t op,
                                uint16_t member)
{
    struct staged one = {.changes = {{.op = op, .member = member}}, .count = 1},
                  none = {.count = 0};

    if (staged_add(&none, &view->map, &one.changes[0]) == STAGED_E_NOBODY)
        return 1u << (op == STAGED_REMOVE ? PLAN_NOTE_QUORUM : PLAN_NOTE_NODES);
    return refusals_of(view, moves, &one);
}

bool remedy_can_commit(const struct view *view, const struct moves *moves,
                       const struct staged *staged)
{
    return refusals_of(view, moves, staged) == 0;
}

bool remedy_can_share_zones(const struct view *view, const struct moves *moves,
                            const struct staged *staged)
{
    struct staged sharing = *staged;

    sharing.shares_zones = true;
    return remedy_can_commit(view, moves, &sharing);
}

/* The list so far, "a, b" or "a". */
struct list {
    struct text text;
    uint32_t count;
};

/* Half a command would be another: what does not fit is left out. */
static void add(struct list *list, const char *command)
{
    const char *between = list->count == 0 ? "" : ", or ";

    if (list->text.size + strlen(between) + strlen(command) >= list->text.capacity)
        return;
    text_add(&list->text, "%s%s", between, command);
    list->count++;
}

static bool is_dead(const struct view *view, uint32_t i)
{
    return view->map.members[i].state != RINGMAP_STATE_REMOVED && !view_is_alive(&view->nodes[i]);
}

/* Of one that runs, and is to leave. Who is joining holds nothing: that is its removal. */
static bool has_lost(const struct view *view, uint32_t i)
{
    uint8_t state = view->map.members[i].state;

    return view_is_lost(&view->nodes[i]) &&
           (state == RINGMAP_STATE_ACTIVE || state == RINGMAP_STATE_JOINING);
}

/* Whether it is said already what becomes of it. */
static bool is_moved(const struct staged *staged, uint16_t member)
{
    for (uint32_t i = 0; i < staged->count; i++)
        if (staged->changes[i].member == member &&
            (staged->changes[i].op == STAGED_JOIN || staged->changes[i].op == STAGED_LEAVE ||
             staged->changes[i].op == STAGED_REMOVE))
            return true;
    return false;
}

/* The changes that the words name, beside the removal of all who are dead, and lost: the leaving of
 * all who have a shard beyond repair. Two of those would each be given what the other held, so they
 * go together, or not. */
static void add_with_broken(struct list *list, const struct view *view, const struct moves *moves,
                            const struct staged *staged, const char *words, bool lost)
{
    char command[CHANGES_WORDS_SIZE + REMEDY_TEXT_SIZE];
    struct text out = {command, sizeof command, 0};
    struct staged all = *staged;

    text_add(&out, "ring-admin commit --auto%s%s", words[0] ? " " : "", words);
    for (uint32_t i = 0; i < view->node_count; i++) {
        bool joining = view->map.members[i].state == RINGMAP_STATE_JOINING;
        bool leaves = lost && has_lost(view, i);
        struct staged_change change = {.op = leaves && !joining ? STAGED_LEAVE : STAGED_REMOVE,
                                       .member = view->nodes[i].id};

        if ((!leaves && !is_dead(view, i)) || is_moved(staged, change.member))
            continue;
        if (staged_add(&all, &view->map, &change) != 0)
            return;
        text_add(&out, " %s %u", leaves ? "leave" : "remove", change.member);
    }
    if (remedy_can_commit(view, moves, &all))
        add(list, command);
}

/* `ring-admin replace` lets who runs hand over. */
static uint8_t way_out(const struct view *view, uint16_t member)
{
    return view_is_alive(view_node(view, member)) ? STAGED_LEAVE : STAGED_REMOVE;
}

/* Who has joined, is alive and would be accepted in its place; 0: nobody. *other: who has joined
 * and would not be. */
static uint16_t successor_of(const struct view *view, const struct moves *moves, uint16_t member,
                             uint16_t *other)
{
    for (uint32_t i = 0; i < view->node_count; i++) {
        const struct view_node *node = &view->nodes[i];
        struct staged staged = {.changes = {{.op = STAGED_JOIN, .member = node->id},
                                            {.op = way_out(view, member), .member = member}},
                                .count = 2};

        if (view->map.members[i].state != RINGMAP_STATE_JOINING || !view_is_alive(node))
            continue;
        if (remedy_can_commit(view, moves, &staged))
            return node->id;
        *other = node->id;
    }
    return 0;
}

static void add_replacement(struct list *list, const struct view *view, const struct moves *moves,
                            uint16_t member)
{
    uint16_t other = 0, successor = successor_of(view, moves, member, &other);
    char command[128];
    struct text out = {command, sizeof command, 0};

    if (successor != 0)
        text_add(&out, "ring-admin replace %u %u", member, successor);
    else if (other != 0)
        text_add(&out, "ring-admin plan replace %u %u, which says what that one lacks", member,
                 other);
    else
        text_add(&out, "ring-admin replace %u NEW with a node that has joined", member);
    add(list, command);
}

static const uint32_t no_majority =
    1u << PLAN_NOTE_META | 1u << PLAN_NOTE_QUORUM | 1u << PLAN_NOTE_UNKNOWN;
static const uint32_t broken_targets = 1u << PLAN_NOTE_TARGET_DEAD | 1u << PLAN_NOTE_TARGET_LOST;

void remedy_text(const struct view *view, const struct moves *moves, const struct view_node *node,
                 char *text, size_t size)
{
    char commands[REMEDY_TEXT_SIZE] = "", command[64];
    struct list list = {.text = {commands, sizeof commands, 0}};
    struct text one = {command, sizeof command, 0}, out = {text, size, 0};
    uint32_t refusals = refusals_of_one(view, moves, STAGED_REMOVE, node->id);
    bool holds = ringmap_member(&view->map, node->id)->state != RINGMAP_STATE_JOINING;

    if (moves_need(moves, &view->map, node->id) && remedy_can_abort(view, moves))
        add(&list, "ring-admin abort");
    text_add(&one, "ring-admin remove --force %u", node->id);
    if (refusals == 1u << PLAN_NOTE_ZONES_LOST) {
        one.size = 0;
        text_add(&one, "ring-admin commit --auto remove %u share-zones", node->id);
    }
    if (refusals == 0 || refusals == 1u << PLAN_NOTE_ZONES_LOST)
        add(&list, command);
    else if ((refusals & broken_targets) && !(refusals & no_majority))
        add_with_broken(&list, view, moves, &(struct staged){.count = 0}, "", true);
    if (holds && !(refusals & no_majority))
        add_replacement(&list, view, moves, node->id);
    if (list.count > 0)
        text_add(&out, "start it; if it is lost: %s", commands);
    else if (refusals & 1u << PLAN_NOTE_UNKNOWN)
        text_add(&out, "start it, or ask again: a group has no leader that answers now");
    else
        text_add(&out, "start it: without it there is no majority that could change anything");
}

void remedy_lost_text(const struct view *view, const struct moves *moves,
                      const struct view_node *node, char *text, size_t size)
{
    uint8_t state = ringmap_member(&view->map, node->id)->state;
    uint8_t op = state == RINGMAP_STATE_JOINING ? STAGED_REMOVE : STAGED_LEAVE;
    struct list list = {.text = {text, size, 0}};
    uint32_t refusals;
    char command[64];

    text[0] = 0;
    if (state == RINGMAP_STATE_LEAVING) {
        add(&list, "wait: it leaves; watch with ring-admin moves");
        return;
    }
    if (moves_need(moves, &view->map, node->id) && remedy_can_abort(view, moves))
        add(&list, "ring-admin abort");
    snprintf(command, sizeof command, "ring-admin leave %u", node->id);
    refusals = refusals_of_one(view, moves, op, node->id);
    if (refusals == 0)
        add(&list, command);
    else if ((refusals & broken_targets) && !(refusals & no_majority))
        add_with_broken(&list, view, moves, &(struct staged){.count = 0}, "", true);
    if (state != RINGMAP_STATE_JOINING && !(refusals & no_majority))
        add_replacement(&list, view, moves, node->id);
    if (list.count == 0 && refusals & 1u << PLAN_NOTE_UNKNOWN)
        add(&list, "ask again: a group has no leader that answers now");
    else if (list.count == 0)
        add(&list, "start who is down: there is no majority that could change anything");
}

/* Without a word but this, who is joining is taken in; a removal beside it would be all. */
static void add_joins(struct text *text, const struct staged *staged, const char *words)
{
    if (words[0] != 0 && strcmp(words, "share-zones") != 0)
        return;
    for (uint32_t i = 0; i < staged->count; i++)
        text_add(text, " join %u", staged->changes[i].member);
}

static bool has_note(const struct plan *plan, uint8_t code)
{
    for (uint32_t i = 0; i < plan->note_count; i++)
        if (plan->notes[i].code == code)
            return true;
    return false;
}

/* Two of the dead would each be given what the other held, so they go together. */
void remedy_without_dead(const struct view *view, const struct moves *moves,
                         const struct staged *staged, const struct plan *plan, const char *words,
                         char *text, size_t size)
{
    char removals[PLAN_NOTES_ALIKE_MAX * 16] = "", joins[STAGED_MAX * 16] = "", command[64];
    struct text out = {removals, sizeof removals, 0}, joined = {joins, sizeof joins, 0};
    struct list list = {.text = {text, size, 0}};
    struct staged all = *staged;
    bool fits = true;

    text[0] = 0;
    add_joins(&joined, staged, words);
    for (uint32_t i = 0; i < plan->note_count; i++) {
        struct staged_change removal = {.op = STAGED_REMOVE, .member = plan->notes[i].member};
        struct staged one = {.changes = {removal}, .count = 1};

        if (plan->notes[i].code != PLAN_NOTE_TARGET_DEAD)
            continue;
        if (ringmap_member(&view->map, removal.member)->state != RINGMAP_STATE_JOINING) {
            text_add(&out, " remove %u", removal.member);
            fits &= staged_add(&all, &view->map, &removal) == 0;
        } else if (remedy_can_commit(view, moves, &one)) {
            snprintf(command, sizeof command, "ring-admin remove --force %u", removal.member);
            add(&list, command);
        }
    }
    if (out.size > 0 && fits && remedy_can_commit(view, moves, &all))
        text_add(&list.text, "%sring-admin commit --auto%s%s%s%s", list.count > 0 ? ", or " : "",
                 words[0] ? " " : "", words, joins, removals);
    else if (out.size == 0 && words[0] != 0 && has_note(plan, PLAN_NOTE_QUORUM))
        /* Rows that are to be shorter may keep too few that are alive. */
        add_with_broken(&list, view, moves, staged, words, false);
}

void remedy_with_lost(const struct view *view, const struct moves *moves,
                      const struct staged *staged, const struct plan *plan, const char *words,
                      char *text, size_t size)
{
    struct list list = {.text = {text, size, 0}};
    char joins[STAGED_MAX * 16] = "", all[CHANGES_WORDS_SIZE];
    struct text joined = {joins, sizeof joins, 0}, out = {all, sizeof all, 0};

    text[0] = 0;
    if (!has_note(plan, PLAN_NOTE_TARGET_LOST))
        return;
    add_joins(&joined, staged, words);
    text_add(&out, "%s%s", words, words[0] ? joins : joins + (joins[0] != 0));
    add_with_broken(&list, view, moves, staged, all, true);
}

/* words: there are some, for the removal of who is dead is among them. */
void remedy_with_fewer(const struct view *view, const struct moves *moves,
                       const struct staged *staged, const struct plan *plan, const char *words,
                       char *text, size_t size)
{
    struct staged_change fewer = {.op = STAGED_REPLICAS};
    struct text out = {text, size, 0};
    struct staged all = *staged;

    text[0] = 0;
    if (!ringmap_moving(&view->map) || plan->replicas_after > ringmap_copies(&view->map))
        return;
    for (uint32_t i = 0; i < plan->note_count; i++)
        if (plan->notes[i].code == PLAN_NOTE_NODES)
            fewer.value = (uint32_t)plan->notes[i].have;
    if (staged_add(&all, &view->map, &fewer) == 0 && remedy_can_commit(view, moves, &all))
        text_add(&out, "ring-admin commit --auto %s replicas %u", words, fewer.value);
}
