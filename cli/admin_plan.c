#include "cli/admin_change.h"
#include "cli/plan_view.h"

int admin_plan(const struct arguments *arguments)
{
    struct admin_change change = {0};
    struct admin admin;
    enum exit_code code = admin_open(&admin, arguments, true);

    if (code == EXIT_CODE_OK)
        code = admin_change_plan(&change, &admin, arguments->operands, arguments->operand_count);
    if (code == EXIT_CODE_OK) {
        plan_view(admin.output, &admin.view, &change.planning, change.words, PLAN_VIEW_ASKED,
                  admin.format == OUTPUT_JSON);
        code = admin_print(&admin);
    }
    if (code == EXIT_CODE_OK && !change.planning.is_empty && !change.planning.next.members)
        code = admin_change_refused(&change);
    admin_change_close(&change);
    admin_close(&admin);
    return code;
}
