#include "cli/admin.h"
#include "cli/findings.h"
#include "cli/top_ask.h"

#include <stdio.h>
#include <stdlib.h>

static const struct output_column line = {NULL, NULL, OUTPUT_TEXT};
static const struct output_column columns[] = {
    {"level", "LEVEL", OUTPUT_TEXT},
    {"check", "CHECK", OUTPUT_TEXT},
    {"text", "WHAT", OUTPUT_TEXT},
    {"mend", "MEND", OUTPUT_TEXT},
};
#define COLUMN_COUNT (sizeof columns / sizeof *columns)

/* Sentences are too long for a table that people read. */
static void put_line(struct output *output, const struct finding *finding)
{
    char text[2 * FINDING_TEXT_SIZE + 64];

    snprintf(text, sizeof text, "%-5s  %s: %s%s%s", finding_level_name(finding->level),
             finding->check, finding->text, finding->mend[0] ? "\n       mend: " : "",
             finding->mend);
    output_field(output, &line, (struct output_value){.text = text});
}

static void put_row(struct output *output, const struct finding *finding)
{
    output_row(output, (const struct output_value[COLUMN_COUNT]){
                           {.text = finding_level_name(finding->level)},
                           {.text = finding->check},
                           {.text = finding->text},
                           {.text = finding->mend, .absent = finding->mend[0] == 0},
                       });
}

static bool put_findings(struct admin *admin, const struct findings *findings)
{
    bool is_well = true;

    if (admin->format == OUTPUT_JSON)
        output_table(admin->output, "findings", columns, COLUMN_COUNT);
    for (uint32_t i = 0; i < findings->count; i++) {
        if (admin->format == OUTPUT_JSON)
            put_row(admin->output, &findings->items[i]);
        else
            put_line(admin->output, &findings->items[i]);
        is_well &= findings->items[i].level <= FINDING_HINT;
    }
    return is_well;
}

static enum exit_code look(struct admin *admin, struct top_member *members)
{
    static struct findings findings;
    struct top_view top;
    enum exit_code code;
    struct moves moves;
    bool is_well;
    int r;

    top_view_init(&top, members, admin->view.node_count);
    r = top_ask(&top, admin->cluster, &admin->view, 0);
    top_view_deinit(&top);
    if (r == 0) {
        r = moves_ask(&moves, &admin->view, admin->cluster, CLUSTER_TIMEOUT_MS);
        if (r == 0)
            findings_reach(&findings, &admin->view, members, &moves);
        moves_deinit(&moves);
    }
    if (r != 0) {
        arguments_error(admin->arguments, "out of memory");
        return EXIT_CODE_FAILED;
    }
    is_well = put_findings(admin, &findings);
    code = admin_print(admin);
    return code == EXIT_CODE_OK && !is_well ? EXIT_CODE_DEGRADED : code;
}

int admin_doctor(const struct arguments *arguments)
{
    struct top_member *members = NULL;
    struct admin admin;
    enum exit_code code = admin_open(&admin, arguments, true);

    if (code == EXIT_CODE_OK && !(members = top_members_of(&admin.view))) {
        arguments_error(arguments, "out of memory");
        code = EXIT_CODE_FAILED;
    } else if (code == EXIT_CODE_OK) {
        code = look(&admin, members);
    }
    free(members);
    admin_close(&admin);
    return code;
}
