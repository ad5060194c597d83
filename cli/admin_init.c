#include "cli/admin.h"

#include "cli/clock.h"
#include "cli/credential.h"
#include "cli/founding.h"
#include "cli/verdict.h"

#include <stdio.h>

#define LEADERS_MS_MAX  10000u
#define LEADERS_STEP_MS 200u

static enum exit_code parse(const struct arguments *arguments, struct address_list *nodes,
                            struct founding_options *options)
{
    uint64_t partitions = 0, replicas = 0;

    if (!arguments_number(arguments, "partitions", RINGMAP_PARTITIONS_MIN, RINGMAP_PARTITIONS_MAX,
                          &partitions) ||
        !arguments_number(arguments, "replicas", 1, RINGMAP_REPLICAS_MAX, &replicas))
        return EXIT_CODE_USAGE;
    if ((partitions & (partitions - 1)) != 0) {
        arguments_error(arguments, "--partitions %s: a power of two is needed",
                        arguments_text(arguments, "partitions"));
        return EXIT_CODE_USAGE;
    }
    options->partitions = (uint32_t)partitions;
    options->replicas = (uint32_t)replicas;
    options->encrypt = arguments_text(arguments, "encrypt") != NULL;
    for (unsigned i = 0; i < arguments->operand_count; i++) {
        const char *why;

        if (address_resolve(arguments->operands[i], false, nodes->items[nodes->count], &why) != 0) {
            arguments_error(arguments, "%s: %s", arguments->operands[i], why);
            return EXIT_CODE_USAGE;
        }
        nodes->count++;
    }
    return EXIT_CODE_OK;
}

/* Elections take a moment; a script's next command should find a healthy cluster. */
static void wait_for_leaders(struct cluster *cluster, const struct address_list *nodes)
{

    for (uint32_t waited_ms = 0; waited_ms < LEADERS_MS_MAX; waited_ms += LEADERS_STEP_MS) {
        struct verdict verdict = {.state = VERDICT_UNAVAILABLE};
        struct view view;

        if (view_gather(&view, cluster, nodes, CLUSTER_TIMEOUT_MS) == VIEW_E_OK)
            verdict_reach(&verdict, &view, NULL);
        view_deinit(&view);
        if (verdict.state == VERDICT_HEALTHY)
            return;
        clock_pause(LEADERS_STEP_MS);
    }
    fprintf(stderr,
            "ring-admin init: not all partitions have a leader yet; see ring-admin status\n");
}

int admin_init(const struct arguments *arguments)
{
    struct founding_options options = {.timeout_ms = CLUSTER_TIMEOUT_MS};
    struct founding_result result;
    struct address_list nodes = {0};
    struct cluster *cluster = NULL;
    struct ticket ticket;
    enum exit_code code = parse(arguments, &nodes, &options);

    if (code == EXIT_CODE_OK)
        code = credential_load(arguments, LINK_ROLE_ADMIN, &ticket);
    if (code != EXIT_CODE_OK)
        return code;
    if (cluster_open(&cluster, &ticket) != 0) {
        arguments_error(arguments, "out of memory");
        code = EXIT_CODE_FAILED;
    }
    if (code == EXIT_CODE_OK)
        code = founding_run(cluster, &nodes, &options, &ticket, "ring-admin init", &result);
    if (code == EXIT_CODE_OK) {
        wait_for_leaders(cluster, &nodes);
        printf("%s: %u node%s, %u partitions, %u replica%s%s\n",
               result.already ? "founded before" : "founded", result.nodes,
               result.nodes == 1 ? "" : "s", result.partitions, result.replicas,
               result.replicas == 1 ? "" : "s", result.encrypted ? ", encrypted" : "");
    }
    cluster_close(cluster);
    ticket_wipe(&ticket);
    return code;
}
