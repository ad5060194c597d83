#include "cli/admin_job.h"

#include "cli/bar.h"
#include "cli/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define POLL_MS 200u

/* A question on its way: whose answer it gets. */
struct asked {
    size_t node;
    uint16_t shard;
};

struct run {
    struct admin *admin;
    const struct admin_job *job;
    const struct view_node **nodes; /* that are asked */
    struct job_watch *watches;      /* of each */
    bool *said;                     /* of each: that it is given up */
    size_t count;
    struct cluster_request *requests; /* a place for every shard */
    struct asked *asked;
    struct bar bar;
};

/* Says once of each node that is given up why. */
static void say_lost(struct run *run)
{
    for (size_t n = 0; n < run->count; n++) {
        const struct job_watch *watch = &run->watches[n];
        bool lost = watch->state == JOB_WATCH_LOST;

        if (run->said[n] || (!lost && watch->state != JOB_WATCH_FAILED))
            continue;
        run->said[n] = true;
        bar_clear(&run->bar);
        arguments_error(run->admin->arguments, "node %u (%s) %s: %s", run->nodes[n]->id,
                        run->nodes[n]->address, lost ? "is unreachable" : run->job->refusing,
                        watch->why);
    }
}

static uint16_t shards_of_node(const struct view *view, const struct view_node *node)
{
    return node->reachable && !view_is_joining(view, node) ? node->status.shards : 0;
}

static size_t shards_of(const struct view *view)
{
    size_t count = 0;

    for (uint32_t i = 0; i < view->node_count; i++)
        count += shards_of_node(view, &view->nodes[i]);
    return count;
}

/* only: of this node, or NULL. 0 or -ENOMEM. */
static int run_open(struct run *run, struct admin *admin, const struct admin_job *job,
                    const struct view_node *only)
{
    const struct view *view = &admin->view;
    size_t shards = shards_of(view) + 1;

    *run = (struct run){.admin = admin, .job = job};
    bar_init(&run->bar);
    run->nodes = calloc(view->node_count, sizeof *run->nodes);
    run->watches = calloc(view->node_count, sizeof *run->watches);
    run->said = calloc(view->node_count, sizeof *run->said);
    run->requests = calloc(shards, sizeof *run->requests);
    run->asked = calloc(shards, sizeof *run->asked);
    if (!run->nodes || !run->watches || !run->said || !run->requests || !run->asked)
        return -ENOMEM;
    for (uint32_t i = 0; i < view->node_count; i++) {
        const struct view_node *node = &view->nodes[i];
        struct job_watch *watch = &run->watches[run->count];

        if (only ? node != only : view_is_removed(view, node))
            continue;
        if (job_watch_init(watch, shards_of_node(view, node), clock_now_ms()) != 0)
            return -ENOMEM;
        if (view_is_joining(view, node))
            job_watch_spare(watch);
        else if (!node->reachable)
            job_watch_lose(watch, node->why, clock_now_ms());
        run->nodes[run->count++] = node;
    }
    return 0;
}

static void run_close(struct run *run)
{
    for (size_t n = 0; n < run->count; n++)
        job_watch_deinit(&run->watches[n]);
    free(run->nodes);
    free(run->watches);
    free(run->said);
    free(run->requests);
    free(run->asked);
}

static void take(struct run *run, const struct asked *asked, struct cluster_request *request)
{
    struct job_watch_answer answer;
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, request->reply, request->reply_size);
    job_watch_take(&run->watches[asked->node], asked->shard,
                   request->answered && run->job->get(&cursor, &answer) ? &answer : NULL,
                   clock_now_ms());
    cluster_request_deinit(request);
}

/* Asks every shard that is not done, once. */
static void ask(struct run *run)
{
    struct wire_buffer begin = {0}, look = {0};
    size_t count = 0;

    run->job->put(&begin, true);
    run->job->put(&look, false);
    for (size_t n = 0; n < run->count; n++)
        for (uint16_t shard = 0; shard < run->watches[n].shard_count; shard++) {
            bool begun = run->watches[n].shards[shard].begun;

            if (!job_watch_wants(&run->watches[n], shard))
                continue;
            run->asked[count] = (struct asked){n, shard};
            run->requests[count++] = (struct cluster_request){
                .node = cluster_dial(run->admin->cluster, run->nodes[n]->address, NULL),
                .type = run->job->type,
                .partition = shard,
                .body = begun ? look.data : begin.data,
                .body_size = begun ? look.size : begin.size};
        }
    cluster_ask(run->admin->cluster, run->requests, count, CLUSTER_TIMEOUT_MS);
    for (size_t i = 0; i < count; i++)
        take(run, &run->asked[i], &run->requests[i]);
    wire_buffer_deinit(&begin);
    wire_buffer_deinit(&look);
    say_lost(run);
}

static void say_progress(struct run *run)
{
    char told[ADMIN_JOB_TEXT_SIZE], text[2 * ADMIN_JOB_TEXT_SIZE];
    struct job_watch_sum all = {0};
    unsigned ended = 0, asked = 0;

    for (size_t n = 0; n < run->count; n++) {
        struct job_watch_sum sum;

        job_watch_sum(&run->watches[n], &sum);
        for (size_t i = 0; i < JOB_WATCH_COUNTS_MAX; i++) {
            all.now[i] += sum.now[i];
            all.grown[i] += sum.grown[i];
        }
        if (run->watches[n].state == JOB_WATCH_SPARED)
            continue;
        asked++;
        ended += run->watches[n].state != JOB_WATCH_RUNNING;
    }
    run->job->tell(&all, told);
    snprintf(text, sizeof text, "%s, %u of %u nodes done", told, ended, asked);
    bar_draw(&run->bar, job_watch_percent(run->watches, run->count), text);
}

static void wait_for_all(struct run *run)
{

    for (;;) {
        say_progress(run);
        if (job_watch_percent(run->watches, run->count) == 100)
            break;
        clock_pause(POLL_MS);
        ask(run);
    }
    bar_clear(&run->bar);
}

static const char *state_text(const struct run *run, size_t n, const struct job_watch_sum *sum)
{
    switch (run->watches[n].state) {
    case JOB_WATCH_DONE:
        return run->job->done(sum);
    case JOB_WATCH_FAILED:
        return "failed";
    case JOB_WATCH_LOST:
        return "unreachable";
    case JOB_WATCH_SPARED:
        return "joining";
    default:
        return sum->begun ? "accepted" : "no answer";
    }
}

static void put_node(struct run *run, size_t n, bool waited)
{
    struct output_value values[ADMIN_JOB_COLUMNS_MAX] = {{.number = run->nodes[n]->id},
                                                         {.text = run->nodes[n]->address}};
    struct job_watch_sum sum;

    job_watch_sum(&run->watches[n], &sum);
    values[2].text = state_text(run, n, &sum);
    for (size_t i = ADMIN_JOB_COLUMNS_HEAD; i < run->job->column_count; i++)
        values[i].absent = true;
    if (sum.begun)
        run->job->row(&run->watches[n], &sum, waited, values + ADMIN_JOB_COLUMNS_HEAD);
    output_row(run->admin->output, values);
}

/* What failed weighs more than what could not be asked, and that more than what was found. */
static enum exit_code verdict(const struct run *run, bool waited)
{
    enum exit_code code = EXIT_CODE_OK;

    for (size_t n = 0; n < run->count; n++) {
        struct job_watch_sum sum;

        job_watch_sum(&run->watches[n], &sum);
        if (run->watches[n].state == JOB_WATCH_FAILED)
            return EXIT_CODE_FAILED;
        if (run->watches[n].state == JOB_WATCH_SPARED)
            continue;
        if (run->watches[n].state == JOB_WATCH_LOST || (!waited && !sum.begun))
            code = EXIT_CODE_UNREACHABLE;
        else if (run->watches[n].state == JOB_WATCH_DONE && run->job->verdict &&
                 code == EXIT_CODE_OK)
            code = run->job->verdict(&sum);
    }
    return code;
}

static enum exit_code go(struct run *run, bool wait)
{
    enum exit_code code;

    say_lost(run);
    ask(run);
    if (wait)
        wait_for_all(run);
    output_table(run->admin->output, "nodes", run->job->columns, run->job->column_count);
    for (size_t n = 0; n < run->count; n++)
        put_node(run, n, wait);
    code = admin_print(run->admin);
    return code == EXIT_CODE_OK ? verdict(run, wait) : code;
}

int admin_job_run(const struct arguments *arguments, const struct admin_job *job)
{
    const char *operand = arguments->operand_count > 0 ? arguments->operands[0] : NULL;
    const struct view_node *only = NULL;
    char why[VIEW_IDLE_TEXT_SIZE];
    struct admin admin;
    struct run run = {0};
    enum exit_code code = admin_open(&admin, arguments, true);

    if (code == EXIT_CODE_OK && operand)
        code = admin_node(&admin, operand, &only);
    if (code == EXIT_CODE_OK && only && view_is_idle(&admin.view, only, why)) {
        arguments_error(arguments, "%s", why);
        code = EXIT_CODE_FAILED;
    }
    if (code == EXIT_CODE_OK && run_open(&run, &admin, job, only) != 0) {
        arguments_error(arguments, "out of memory");
        code = EXIT_CODE_FAILED;
    } else if (code == EXIT_CODE_OK) {
        code = go(&run, arguments_text(arguments, "wait") != NULL);
    }
    run_close(&run);
    admin_close(&admin);
    return code;
}
