/* commit, and the commands that are one change. */
#include "cli/admin_change.h"

#include <string.h>

int admin_commit(const struct arguments *arguments)
{
    const char *hash = arguments_text(arguments, "plan");
    struct admin_change change = {0};
    struct admin admin;
    enum exit_code code;

    if (!hash == !arguments_text(arguments, "auto")) {
        arguments_error(arguments, "either --plan HASH, as `ring-admin plan` shows it, or --auto");
        return EXIT_CODE_USAGE;
    }
    if (hash && strlen(hash) < PLANNING_HASH_MIN) {
        arguments_error(arguments, "--plan %s: at least %u digits of it are needed", hash,
                        PLANNING_HASH_MIN);
        return EXIT_CODE_USAGE;
    }
    if (hash && hash[strspn(hash, "0123456789abcdefABCDEF")] != 0) {
        arguments_error(arguments, "--plan %s: this is no hash, as `ring-admin plan` shows it",
                        hash);
        return EXIT_CODE_USAGE;
    }
    code = admin_open(&admin, arguments, true);
    if (code == EXIT_CODE_OK)
        code = admin_change_plan(&change, &admin, arguments->operands, arguments->operand_count);
    if (code == EXIT_CODE_OK && hash && !planning_is(&change.planning, hash)) {
        arguments_error(arguments,
                        "the plan %s is stale: the ring map (now of epoch %llu) or what is asked "
                        "for is another; nothing was changed; look again: ring-admin plan%s%s",
                        hash, (unsigned long long)admin.view.map.epoch, change.words[0] ? " " : "",
                        change.words);
        code = EXIT_CODE_CONFLICT;
    }
    if (code == EXIT_CODE_OK)
        code = admin_change_finish(&change, arguments_text(arguments, "wait") != NULL);
    admin_change_close(&change);
    admin_close(&admin);
    return code;
}

/* The verb with the command's operands. */
static int run(const struct arguments *arguments, char *verb)
{
    char *words[3] = {verb};
    unsigned count = 1;

    while (count < 3 && count <= arguments->operand_count) {
        words[count] = arguments->operands[count - 1];
        count++;
    }
    return admin_change_run(arguments, words, count);
}

int admin_replace(const struct arguments *arguments)
{
    return run(arguments, (char[]){"replace"});
}

int admin_remove(const struct arguments *arguments)
{
    if (!arguments_text(arguments, "force")) {
        arguments_error(arguments, "--force is needed: the node is not asked to hand over, and "
                                   "never comes back; of one that runs it is `ring-admin leave`");
        return EXIT_CODE_USAGE;
    }
    return run(arguments, (char[]){"remove"});
}

int admin_weight(const struct arguments *arguments)
{
    return run(arguments, (char[]){"weight"});
}

int admin_zone(const struct arguments *arguments)
{
    return run(arguments, (char[]){"zone"});
}

int admin_set_replicas(const struct arguments *arguments)
{
    return run(arguments, (char[]){"replicas"});
}
