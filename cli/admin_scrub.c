#include "cli/admin_job.h"

#include <stdio.h>

static const struct output_column columns[] = {
    {"id", "ID", OUTPUT_NUMBER},         {"address", "ADDRESS", OUTPUT_TEXT},
    {"state", "STATE", OUTPUT_TEXT},     {"files", "FILES", OUTPUT_NUMBER},
    {"bytes", "READ", OUTPUT_SIZE},      {"faults", "FAULTS", OUTPUT_NUMBER},
    {"unread", "UNREAD", OUTPUT_NUMBER}, {"fenced", "FENCED", OUTPUT_NUMBER},
    {"elapsed_ms", "TIME", OUTPUT_TIME},
};
#define COLUMN_COUNT (sizeof columns / sizeof *columns)

/* What is counted. */
enum { FILES, BYTES, FAULTS, UNREAD, FENCED };

static bool get(struct wire_cursor *cursor, struct job_watch_answer *answer)
{
    struct wire_scrub_state state;

    if (!wire_get_scrub_state(cursor, &state))
        return false;
    *answer = (struct job_watch_answer){
        .accepted = state.accepted,
        .running = state.running,
        .demands = state.demands,
        .left_bytes = state.left_bytes,
        .counts = {[FILES] = state.files,
                   [BYTES] = state.bytes,
                   [FAULTS] = state.faults,
                   [UNREAD] = state.unread,
                   [FENCED] = state.fenced},
    };
    return true;
}

static bool is_sound(const struct job_watch_sum *sum)
{
    return sum->grown[FAULTS] == 0 && sum->grown[UNREAD] == 0;
}

static void tell(const struct job_watch_sum *sum, char text[ADMIN_JOB_TEXT_SIZE])
{
    snprintf(text, ADMIN_JOB_TEXT_SIZE, "%.1f MiB read, %llu faults",
             (double)sum->now[BYTES] / (1 << 20), (unsigned long long)sum->grown[FAULTS]);
}

static const char *done(const struct job_watch_sum *sum)
{
    return is_sound(sum) ? "sound" : "damaged";
}

/* Files and bytes are of the pass, faults of the time since it was asked for. */
static void row(const struct job_watch *watch, const struct job_watch_sum *sum, bool waited,
                struct output_value *values)
{
    values[0] = (struct output_value){.number = sum->now[FILES], .absent = !waited};
    values[1] = (struct output_value){.number = sum->now[BYTES], .absent = !waited};
    values[2] = (struct output_value){.number = sum->grown[FAULTS], .absent = !waited};
    values[3] = (struct output_value){.number = sum->grown[UNREAD], .absent = !waited};
    values[4] = (struct output_value){.number = sum->now[FENCED]};
    values[5] = (struct output_value){.number = watch->end_ms - watch->begin_ms, .absent = !waited};
}

static enum exit_code verdict(const struct job_watch_sum *sum)
{
    return is_sound(sum) ? EXIT_CODE_OK : EXIT_CODE_DEGRADED;
}

int admin_scrub(const struct arguments *arguments)
{
    static const struct admin_job job = {.type = WIRE_SCRUB,
                                         .put = wire_put_scrub,
                                         .get = get,
                                         .refusing = "does not scrub",
                                         .tell = tell,
                                         .done = done,
                                         .columns = columns,
                                         .column_count = COLUMN_COUNT,
                                         .row = row,
                                         .verdict = verdict};

    return admin_job_run(arguments, &job);
}
