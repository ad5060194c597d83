#include "cli/admin.h"

#include "cli/credential.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static enum exit_code parse_seeds(struct admin *admin)
{
    char bad[ADDRESS_SIZE];
    const char *why;

    if (address_list_parse(&admin->seeds, arguments_text(admin->arguments, "seeds"), bad, &why) ==
        0)
        return EXIT_CODE_OK;
    arguments_error(admin->arguments, "--seeds %s: %s", bad, why);
    return EXIT_CODE_USAGE;
}

static enum exit_code gather(struct admin *admin, bool founded)
{
    int r = cluster_open(&admin->cluster, &admin->ticket);

    if (r == 0)
        r = view_gather(&admin->view, admin->cluster, &admin->seeds, CLUSTER_TIMEOUT_MS);
    if (r < 0)
        return admin_fail(admin, r);
    if (r == VIEW_E_UNREACHABLE) {
        for (uint32_t i = 0; i < admin->view.node_count; i++)
            arguments_error(admin->arguments, "%s is unreachable: %s", admin->view.nodes[i].address,
                            admin->view.nodes[i].why);
        arguments_error(admin->arguments,
                        "no seed answers; are the nodes running, and is this their ticket?");
        return EXIT_CODE_UNREACHABLE;
    }
    if (founded && !admin->view.founded) {
        arguments_error(admin->arguments,
                        "this cluster is not founded yet; run `ring-admin init HOST:PORT...`");
        return EXIT_CODE_FAILED;
    }
    return EXIT_CODE_OK;
}

enum exit_code admin_open(struct admin *admin, const struct arguments *arguments, bool founded)
{
    const char *format_text = arguments_text(arguments, "output");
    enum exit_code code;

    *admin = (struct admin){.arguments = arguments};
    if (!output_format_parse(format_text, &admin->format)) {
        arguments_error(arguments, "--output %s: table or json is needed", format_text);
        return EXIT_CODE_USAGE;
    }
    code = credential_load(arguments, LINK_ROLE_ADMIN, &admin->ticket);
    if (code == EXIT_CODE_OK)
        code = parse_seeds(admin);
    if (code == EXIT_CODE_OK)
        code = gather(admin, founded);
    if (code == EXIT_CODE_OK && !(admin->output = output_new(admin->format))) {
        arguments_error(arguments, "out of memory");
        code = EXIT_CODE_FAILED;
    }
    return code;
}

void admin_close(struct admin *admin)
{
    cluster_close(admin->cluster);
    view_deinit(&admin->view);
    output_free(admin->output);
    ticket_wipe(&admin->ticket);
}

enum exit_code admin_print(struct admin *admin)
{
    int r = output_print(admin->output, stdout);

    output_free(admin->output);
    admin->output = output_new(admin->format);
    if (r == 0 && fflush(stdout) != 0)
        r = -errno;
    if (r == 0 && !admin->output)
        r = -ENOMEM;
    if (r == 0)
        return EXIT_CODE_OK;
    arguments_error(admin->arguments, "writing the result: %s", strerror(-r));
    return EXIT_CODE_FAILED;
}

enum exit_code admin_node(const struct admin *admin, const char *operand,
                          const struct view_node **node)
{
    char text[VIEW_FOUND_TEXT_SIZE];
    struct view_found found;
    int r = view_find(&admin->view, operand, &found);

    *node = found.nodes[0];
    if (r == VIEW_FIND_E_OK)
        return EXIT_CODE_OK;
    if (r == VIEW_FIND_E_NONE) {
        arguments_error(admin->arguments,
                        "%s: no node has this id or address; see `ring-admin members`", operand);
        return EXIT_CODE_USAGE;
    }
    view_found_text(&admin->view, &found, text, sizeof text);
    arguments_error(admin->arguments,
                    "%s: %s have one address; say which by its id: ring-admin %s %u", operand, text,
                    admin->arguments->command->name, found.nodes[0]->id);
    return EXIT_CODE_USAGE;
}
