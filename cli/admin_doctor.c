#include "cli/admin.h"
#include "cli/findings.h"

static const struct output_column columns[] = {
    {"level", "LEVEL", OUTPUT_TEXT},
    {"check", "CHECK", OUTPUT_TEXT},
    {"text", "WHAT", OUTPUT_TEXT},
    {"mend", "MEND", OUTPUT_TEXT},
};
#define COLUMN_COUNT (sizeof columns / sizeof *columns)

static void put_finding(struct output *output, const struct finding *finding)
{
    output_row(output, (const struct output_value[COLUMN_COUNT]){
                           {.text = finding_level_name(finding->level)},
                           {.text = finding->check},
                           {.text = finding->text},
                           {.text = finding->mend, .absent = finding->mend[0] == 0},
                       });
}

int admin_doctor(const struct arguments *arguments)
{
    static struct findings findings;
    struct admin admin;
    enum exit_code code = admin_open(&admin, arguments, true);
    bool is_well = true;

    if (code == EXIT_CODE_OK) {
        findings_reach(&findings, &admin.view);
        output_table(admin.output, "findings", columns, COLUMN_COUNT);
        for (uint32_t i = 0; i < findings.count; i++) {
            put_finding(admin.output, &findings.items[i]);
            is_well &= findings.items[i].level == FINDING_OK;
        }
        code = admin_print(&admin);
        if (code == EXIT_CODE_OK && !is_well)
            code = EXIT_CODE_DEGRADED;
    }
    admin_close(&admin);
    return code;
}
