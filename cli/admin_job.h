/* Admin job: something that all nodes, or one, are asked to do on all their shards, and how far
 * they are with it: `flush`, `scrub`.
 *
 * Each shard is asked to begin; with --wait all are asked again until they are done, and a bar says
 * how far they are. Nodes that do not answer are named, and the others go on. Ending the command
 * ends nothing on the nodes. cli/job_watch.h has what follows from the answers.
 */
#ifndef CLI_ADMIN_JOB_H
#define CLI_ADMIN_JOB_H

#include "cli/admin.h"
#include "cli/job_watch.h"

#define ADMIN_JOB_TEXT_SIZE    96u
#define ADMIN_JOB_COLUMNS_MAX  12u
#define ADMIN_JOB_COLUMNS_HEAD 3u /* id, address, state */

struct admin_job {
    uint8_t type; /* of the message, with the shard as its partition */
    void (*put)(struct wire_buffer *buffer, bool begin);
    bool (*get)(struct wire_cursor *cursor, struct job_watch_answer *answer);
    const char *refusing; /* "node 2 (…) REFUSING: why" */
    /* What the bar says of all nodes together. */
    void (*tell)(const struct job_watch_sum *sum, char text[ADMIN_JOB_TEXT_SIZE]);
    /* The word for a node that is done. */
    const char *(*done)(const struct job_watch_sum *sum);
    /* The table: ADMIN_JOB_COLUMNS_HEAD columns that are filled in, then the job's own.
     * waited: what has been done is told; else what is to be. */
    const struct output_column *columns;
    size_t column_count;
    void (*row)(const struct job_watch *watch, const struct job_watch_sum *sum, bool waited,
                struct output_value *values);
    /* Of a node that is done; NULL: always EXIT_CODE_OK. */
    enum exit_code (*verdict)(const struct job_watch_sum *sum);
};

/* Runs it, with the operand NODE and the option --wait. An exit code. */
int admin_job_run(const struct arguments *arguments, const struct admin_job *job);

#endif
