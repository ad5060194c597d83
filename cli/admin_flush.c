#include "cli/admin_job.h"

#include <stdio.h>

static const struct output_column columns[] = {
    {"id", "ID", OUTPUT_NUMBER},
    {"address", "ADDRESS", OUTPUT_TEXT},
    {"state", "STATE", OUTPUT_TEXT},
    {"bytes_before", "BEFORE", OUTPUT_SIZE},
    {"bytes_reclaimed", "RECLAIMED", OUTPUT_SIZE},
    {"bytes_after", "AFTER", OUTPUT_SIZE},
    {"log_bytes", "LOG", OUTPUT_SIZE},
    {"files", "FILES", OUTPUT_NUMBER},
    {"elapsed_ms", "TIME", OUTPUT_TIME},
};
#define COLUMN_COUNT (sizeof columns / sizeof *columns)

/* What is counted. */
enum { DISK, LOG, LEFT_FILES, FILES, RECLAIMED };

static bool get(struct wire_cursor *cursor, struct job_watch_answer *answer)
{
    struct wire_flush_state state;

    if (!wire_get_flush_state(cursor, &state))
        return false;
    *answer = (struct job_watch_answer){
        .accepted = state.accepted,
        .running = state.flushing,
        .demands = state.demands,
        .failed = state.failed,
        .left_bytes = state.left_bytes,
        .counts = {[DISK] = state.disk_bytes,
                   [LOG] = state.log_bytes,
                   [LEFT_FILES] = state.left_files,
                   [FILES] = state.files,
                   /* Merging small files may cost more than it gives. */
                   [RECLAIMED] = state.reclaimed},
    };
    return true;
}

static void tell(const struct job_watch_sum *sum, char text[ADMIN_JOB_TEXT_SIZE])
{
    snprintf(text, ADMIN_JOB_TEXT_SIZE, "%.1f MiB reclaimed",
             (double)sum->grown[RECLAIMED] / (1 << 20));
}

static const char *done(const struct job_watch_sum *sum)
{
    return sum->grown[FILES] > 0 ? "done" : "nothing to reclaim";
}

static void row(const struct job_watch *watch, const struct job_watch_sum *sum, bool waited,
                struct output_value *values)
{
    values[0] = (struct output_value){.number = sum->first[DISK]};
    values[1] = (struct output_value){.number = sum->grown[RECLAIMED], .absent = !waited};
    values[2] = (struct output_value){.number = sum->now[DISK], .absent = !waited};
    values[3] = (struct output_value){.number = sum->now[LOG]};
    values[4] = (struct output_value){.number = waited ? sum->grown[FILES] : sum->now[LEFT_FILES]};
    values[5] = (struct output_value){.number = watch->end_ms - watch->begin_ms, .absent = !waited};
}

int admin_flush(const struct arguments *arguments)
{
    static const struct admin_job job = {.type = WIRE_FLUSH,
                                         .put = wire_put_flush,
                                         .get = get,
                                         .refusing = "does not flush",
                                         .tell = tell,
                                         .done = done,
                                         .columns = columns,
                                         .column_count = COLUMN_COUNT,
                                         .row = row};

    return admin_job_run(arguments, &job);
}
