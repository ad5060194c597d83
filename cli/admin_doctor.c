#include "cli/admin.h"
#include "cli/findings.h"

#include <stdio.h>

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
        is_well &= findings->items[i].level == FINDING_OK;
    }
    return is_well;
}

int admin_doctor(const struct arguments *arguments)
{
    static struct findings findings;
    struct admin admin;
    enum exit_code code = admin_open(&admin, arguments, true);
    bool is_well = true;

    if (code == EXIT_CODE_OK) {
        findings_reach(&findings, &admin.view);
        is_well = put_findings(&admin, &findings);
        code = admin_print(&admin);
        if (code == EXIT_CODE_OK && !is_well)
            code = EXIT_CODE_DEGRADED;
    }
    admin_close(&admin);
    return code;
}
