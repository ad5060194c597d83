#include "cli/admin_change.h"

#include "cli/bar.h"
#include "cli/clock.h"
#include "cli/look.h"
#include "cli/map_change.h"
#include "cli/plan_view.h"
#include "cli/progress.h"
#include "cli/proof.h"
#include "cli/remedy.h"
#include "cli/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define POLL_MS     25u /* how it is; where the answers take longer, as long as they take */
#define POLL_MS_MAX 500u
#define DRAW_MS     200u /* and how far each group is */
/* Times, JOINING_MS apart: longer nobody is waited for who runs and does not say so. */
#define JOINING_ASKS_MAX 8u
#define JOINING_MS       500u

static const struct output_column field_committed = {"committed_epoch", "committed, epoch",
                                                     OUTPUT_NUMBER};
static const struct output_column field_follow = {"follow", "follow it", OUTPUT_TEXT};
static const struct output_column field_settled = {"settled_epoch", "settled, epoch",
                                                   OUTPUT_NUMBER};

/* `why` begins with the change's word, which the command's name may end with: it is said once. */
static const char *without_word(const struct arguments *arguments, const char *why)
{
    const char *name = arguments->command->name;
    size_t size = strcspn(why, ": "), name_size = strlen(name);

    if (size == 0 || size > name_size || strncmp(name + name_size - size, why, size) != 0)
        return why;
    return why + size + strspn(why + size, ": ");
}

static void say_why(const struct arguments *arguments, const char *why)
{
    arguments_error(arguments, "%s", without_word(arguments, why));
}

/* Of which there is a proof when it ends; 0: nobody is leaving. */
static uint16_t leaving(const struct ringmap *map)
{
    for (uint32_t i = 0; i < map->member_count; i++)
        if (map->members[i].state == RINGMAP_STATE_LEAVING)
            return map->members[i].id;
    return 0;
}

static void say_under_way(const struct admin_change *change)
{
    const struct view *view = &change->admin->view;
    const struct view_node *missing = moves_missing(&change->moves, &view->map, view);
    uint16_t member = leaving(&view->map);
    char text[PROGRESS_TEXT_SIZE], wait[64] = "moves --watch";

    if (member != 0)
        snprintf(wait, sizeof wait, "leave %u --wait", member);

    if (missing) {
        progress_missing(view, &change->moves, missing, text, sizeof text);
        arguments_error(change->admin->arguments, "a plan is under way, and waits: %s", text);
    } else if (view->map.paused) {
        arguments_error(change->admin->arguments,
                        "a plan is under way, and paused: go on with it (`ring-admin resume`), or "
                        "end it where it is (`ring-admin abort`)");
    } else {
        arguments_error(change->admin->arguments,
                        "a plan is under way: wait for it (`ring-admin %s`), or end it where it is "
                        "(`ring-admin abort`)",
                        wait);
    }
}

/* Who is to leave does not answer: what would be accepted in its place. */
static enum exit_code say_down(const struct admin_change *change, const char *why)
{
    struct admin *admin = change->admin;
    const struct view_node *node = view_node(&admin->view, change->staged.changes[0].member);
    char mend[REMEDY_TEXT_SIZE];
    struct moves moves;
    int r = moves_ask_all(&moves, &admin->view, admin->cluster, CLUSTER_TIMEOUT_MS);

    if (r == 0) {
        remedy_text(&admin->view, &moves, node, mend, sizeof mend);
        arguments_error(admin->arguments, "%s; %s%s", without_word(admin->arguments, why),
                        view_is_alive(node) ? "in some seconds the others hold it dead: " : "",
                        mend);
    }
    moves_deinit(&moves);
    return r == 0 ? EXIT_CODE_FAILED : admin_fail(admin, r);
}

/* EXIT_CODE_CONFLICT: another plan is under way. What is refused is so for want of a majority when
 * there is none: then no advice would help that changes the map. */
static enum exit_code parse(struct admin_change *change, char *const *words, unsigned count)
{
    const struct admin *admin = change->admin;
    char why[CHANGES_WHY_SIZE], lacks[PLANNING_NOTE_SIZE];
    int r = changes_parse(&admin->view, words, count, &change->staged, why);

    if (r == CHANGES_E_OK)
        return EXIT_CODE_OK;
    if (r == CHANGES_E_MOVING)
        return EXIT_CODE_CONFLICT;
    if (r != CHANGES_E_USAGE && !planning_can_commit(&admin->view, lacks, sizeof lacks)) {
        arguments_error(admin->arguments, "%s; and nothing can be changed: %s",
                        without_word(admin->arguments, why), lacks);
        return EXIT_CODE_UNREACHABLE;
    }
    if (r == CHANGES_E_DOWN)
        return say_down(change, why);
    say_why(admin->arguments, why);
    return r == CHANGES_E_USAGE ? EXIT_CODE_USAGE : EXIT_CODE_FAILED;
}

static bool joins_just_now(const struct view *view)
{
    for (uint32_t i = 0; i < view->node_count; i++)
        if (view->map.members[i].state == RINGMAP_STATE_JOINING && view_is_alive(&view->nodes[i]) &&
            !planning_can_take_part(&view->nodes[i], RINGMAP_STATE_JOINING))
            return true;
    return false;
}

/* Who has joined a moment ago may have to hear of it yet. 0 or -errno. */
static int await_joining(struct admin *admin)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < JOINING_ASKS_MAX && joins_just_now(&admin->view); i++) {
        clock_pause(JOINING_MS);
        r = view_refresh(&admin->view, admin->cluster, CLUSTER_TIMEOUT_MS);
    }
    return r < 0 ? r : 0; /* when nobody answers now, what was seen before has to do */
}

enum exit_code admin_change_plan(struct admin_change *change, struct admin *admin,
                                 char *const *words, unsigned count)
{
    enum exit_code code;
    int r;

    *change = (struct admin_change){.admin = admin};
    changes_words(words, count, change->words);
    r = await_joining(admin);
    if (r != 0)
        return admin_fail(admin, r);
    code = parse(change, words, count);
    if (code == EXIT_CODE_OK)
        changes_joined(&change->staged, change->words);
    if (code != EXIT_CODE_OK && code != EXIT_CODE_CONFLICT)
        return code;
    if (code == EXIT_CODE_OK)
        r = moves_ask_all(&change->moves, &admin->view, admin->cluster, CLUSTER_TIMEOUT_MS);
    else
        r = moves_ask(&change->moves, &admin->view, admin->cluster, CLUSTER_TIMEOUT_MS);
    if (r == 0 && code == EXIT_CODE_OK)
        r = planning_make(&change->planning, &admin->view, &change->moves, &change->staged);
    if (r != 0)
        return admin_fail(admin, r);
    if (code != EXIT_CODE_OK)
        say_under_way(change);
    return code;
}

void admin_change_close(struct admin_change *change)
{
    moves_deinit(&change->moves);
    planning_deinit(&change->planning);
}

/* The commands that the remedy finds, if it finds any. */
static void say_remedy(const struct admin_change *change, const char *when,
                       void (*remedy)(const struct view *view, const struct moves *moves,
                                      const struct staged *staged, const struct plan *plan,
                                      const char *words, char *text, size_t size))
{
    char commands[CHANGES_WORDS_SIZE + REMEDY_TEXT_SIZE];

    remedy(&change->admin->view, &change->moves, &change->staged, &change->planning.plan,
           change->words, commands, sizeof commands);
    if (commands[0])
        arguments_error(change->admin->arguments, "%s: %s", when, commands);
}

static void say_refusals(const struct admin_change *change)
{
    const struct plan *plan = &change->planning.plan;

    for (uint32_t i = 0; i < plan->note_count; i++) {
        char text[PLANNING_NOTE_SIZE];

        if (!plan_note_refuses(plan->notes[i].code))
            continue;
        planning_note_text(&change->admin->view, &change->planning, &plan->notes[i], text,
                           sizeof text);
        arguments_error(change->admin->arguments, "refused: %s", text);
        if (plan->notes[i].code == PLAN_NOTE_NODES)
            say_remedy(change, "with fewer replicas", remedy_with_fewer);
        if (plan->notes[i].code == PLAN_NOTE_ZONES_LOST &&
            remedy_can_share_zones(&change->admin->view, &change->moves, &change->staged))
            arguments_error(change->admin->arguments,
                            "if they may share one: ring-admin commit --auto%s%s share-zones",
                            change->words[0] ? " " : "", change->words);
    }
    say_remedy(change, "if it is lost", remedy_without_dead);
    say_remedy(change, "together with that", remedy_with_lost);
}

enum exit_code admin_change_refused(const struct admin_change *change)
{
    const struct plan *plan = &change->planning.plan;

    for (uint32_t i = 0; i < plan->note_count; i++)
        if (plan->notes[i].code == PLAN_NOTE_META)
            return EXIT_CODE_UNREACHABLE;
    return EXIT_CODE_FAILED;
}

/* Prints the plan and, unless it is empty, commits it. A refused plan is EXIT_CODE_FAILED. */
static enum exit_code commit(struct admin_change *change)
{
    struct admin *admin = change->admin;
    bool is_table = admin->format == OUTPUT_TABLE;
    enum exit_code code = EXIT_CODE_OK;

    if (!change->planning.next.members) {
        plan_view(admin->output, &admin->view, &change->planning, change->words, PLAN_VIEW_ASKED,
                  !is_table);
        if (change->planning.is_empty)
            return EXIT_CODE_OK;
        code = admin_print(admin);
        say_refusals(change);
        return code == EXIT_CODE_OK ? admin_change_refused(change) : code;
    }
    /* People see what is about to be done; programs get one document, of what was done. */
    if (is_table) {
        plan_view(admin->output, &admin->view, &change->planning, change->words, PLAN_VIEW_GOES,
                  false);
        code = admin_print(admin);
    }
    if (code == EXIT_CODE_OK)
        code = map_change_send(admin, &change->planning.next);
    if (code == EXIT_CODE_OK && !is_table)
        plan_view(admin->output, &admin->view, &change->planning, change->words,
                  PLAN_VIEW_COMMITTED, true);
    if (code == EXIT_CODE_OK)
        output_field(admin->output, &field_committed,
                     (struct output_value){.number = change->planning.next.epoch});
    return code;
}

/* --- the way to its end -------------------------------------------------------------------- */

/* Who waits: what is on the screen, and what has been said above it. */
struct watch {
    struct bar bar;
    struct progress progress;
    bool paused;
    uint16_t missing;
};

/* Of a plan that is paused or needs a node that is dead nobody sees the end by waiting alone: said
 * once each. */
static void say_held_up(const struct admin *admin, const struct moves *moves, struct watch *watch)
{
    const struct view *view = &admin->view;
    const struct view_node *missing = moves_missing(moves, &view->map, view);
    char text[PROGRESS_TEXT_SIZE];

    if (view->map.paused && !watch->paused) {
        bar_clear(&watch->bar);
        arguments_error(admin->arguments,
                        "the plan is paused: `ring-admin resume` goes on with it, `ring-admin "
                        "abort` ends it where it is");
    }
    if (missing && missing->id != watch->missing) {
        progress_missing(view, moves, missing, text, sizeof text);
        bar_clear(&watch->bar);
        arguments_error(admin->arguments, "the plan waits: %s", text);
    }
    watch->paused = view->map.paused;
    watch->missing = missing ? missing->id : 0;
}

/* 0 or -errno. */
static int draw(struct admin *admin, struct watch *watch)
{
    char text[PROGRESS_TEXT_SIZE], waits[PROGRESS_TEXT_SIZE / 2], both[2 * PROGRESS_TEXT_SIZE];
    struct moves_sum sum;
    struct moves moves;
    int r = moves_ask(&moves, &admin->view, admin->cluster, CLUSTER_TIMEOUT_MS);

    if (r == 0) {
        say_held_up(admin, &moves, watch);
        moves_sum(&moves, &admin->view.map, &sum);
        progress_take(&watch->progress, &sum, clock_now_ms());
        progress_text(&watch->progress, text, sizeof text);
        progress_waits(&moves, &admin->view.map, waits, sizeof waits);
        snprintf(both, sizeof both, "%s%s%s%s", text, waits[0] ? "; " : "", waits,
                 admin->view.map.paused ? "; paused" : "");
        bar_draw(&watch->bar, progress_percent(&watch->progress), both);
    }
    moves_deinit(&moves);
    return r;
}

/* What ends is seen to end at once, and a large cluster is not asked all the time. */
static void poll_pause(uint64_t took_ms)
{
    uint64_t pause_ms = took_ms < POLL_MS_MAX ? took_ms : POLL_MS_MAX;

    clock_pause(pause_ms > POLL_MS ? (uint32_t)pause_ms : POLL_MS);
}

/* When nobody answers any more. */
static void say_known(const struct admin *admin, const struct ringmap *next, char text[256])
{
    const struct ringmap *map = &admin->view.map;
    uint16_t member = leaving(next ? next : map);
    char wait[64] = "moves --watch";

    if (member != 0)
        snprintf(wait, sizeof wait, "leave %u --wait", member);
    snprintf(text, 256,
             "%s, epoch %" PRIu64 ", and how far it is is not known; nothing is lost by waiting: "
             "start nodes, then `ring-admin %s`",
             next ? "the change was committed" : "a plan was under way",
             next ? next->epoch : map->epoch, wait);
}

static enum exit_code follow(struct admin *admin, const struct ringmap *next, struct watch *watch)
{
    uint64_t epoch = next ? next->epoch : 0, drawn_ms = 0;
    struct look looks = {0};
    char known[256];

    for (;;) {
        uint64_t begun_ms = clock_now_ms();
        const struct ringmap *map = &admin->view.map;
        enum exit_code code;
        bool seen;
        int r = 0;

        say_known(admin, next, known);
        code = look_again(&looks, admin, known, &seen);
        if (code != EXIT_CODE_OK) {
            bar_clear(&watch->bar);
            return code;
        }
        if (seen && (next ? map_change_ended(map, next) : !ringmap_moving(map))) {
            bar_clear(&watch->bar);
            return EXIT_CODE_OK;
        }
        if (seen && map->epoch >= epoch && !ringmap_moving(map)) {
            bar_clear(&watch->bar);
            arguments_error(admin->arguments,
                            "another change took the place of this one, or came so soon behind it "
                            "that nobody can tell: see `ring-admin members`");
            return EXIT_CODE_CONFLICT;
        }
        if (seen && map->epoch >= epoch && begun_ms >= drawn_ms + DRAW_MS) {
            r = draw(admin, watch);
            drawn_ms = clock_now_ms();
        }
        if (r < 0)
            return admin_fail(admin, r);
        poll_pause(seen ? clock_now_ms() - begun_ms : POLL_MS_MAX);
    }
}

enum exit_code admin_change_wait(struct admin *admin, const struct ringmap *next)
{
    struct watch watch = {.missing = 0};
    enum exit_code code;

    bar_init(&watch.bar);
    code = follow(admin, next, &watch);
    if (code == EXIT_CODE_OK)
        output_field(admin->output, &field_settled,
                     (struct output_value){.number = admin->view.map.epoch});
    return code;
}

/* Of the groups that those hold who leave by this change. One that is joining holds none. 0 or
 * -ENOMEM. */
static int prove_leaving(const struct admin_change *change, struct proof *proof)
{
    const struct ringmap *map = &change->admin->view.map;
    int r = 0;

    for (uint32_t i = 0; i < change->staged.count && r == 0; i++) {
        const struct staged_change *staged = &change->staged.changes[i];
        bool leaves = staged->op == STAGED_LEAVE ||
                      (staged->op == STAGED_REMOVE &&
                       ringmap_member(map, staged->member)->state == RINGMAP_STATE_JOINING);

        if (leaves)
            r = proof_add(proof, map, staged->member, false);
    }
    return r;
}

/* Until all is done, and proven of those who left. What was committed is told however that ends. */
static enum exit_code end(struct admin_change *change, const struct proof *proof)
{
    struct admin *admin = change->admin;
    enum exit_code code = admin_change_wait(admin, &change->planning.next), printed;

    if (code == EXIT_CODE_OK && proof->member_count > 0)
        code = proof_put(proof, admin);
    printed = admin_print(admin);
    return code != EXIT_CODE_OK ? code : printed;
}

enum exit_code admin_change_finish(struct admin_change *change, bool wait)
{
    struct admin *admin = change->admin;
    struct proof proof = {0};
    int r = prove_leaving(change, &proof); /* afterwards the map does not tell */
    enum exit_code code = r == 0 ? commit(change) : admin_fail(admin, r);

    if (code == EXIT_CODE_OK && change->planning.next.members && wait) {
        code = end(change, &proof);
    } else if (code == EXIT_CODE_OK) {
        if (change->planning.next.target)
            output_field(admin->output, &field_follow,
                         (struct output_value){.text = "ring-admin moves --watch"});
        code = admin_print(admin);
    }
    proof_deinit(&proof);
    return code;
}

int admin_change_run(const struct arguments *arguments, char *const *words, unsigned count)
{
    struct admin_change change = {0};
    struct admin admin;
    enum exit_code code = admin_open(&admin, arguments, true);

    if (code == EXIT_CODE_OK)
        code = admin_change_plan(&change, &admin, words, count);
    if (code == EXIT_CODE_OK)
        code = admin_change_finish(&change, arguments_text(arguments, "wait") != NULL);
    admin_change_close(&change);
    admin_close(&admin);
    return code;
}
