#include "cli/founding.h"
#include "cluster_fake.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>

#define NODE "127.0.0.1:7000"

static const char *refused; /* why the node does not prepare; NULL: it does all */
static unsigned prepared, committed;

static void answer(struct cluster_request *requests, size_t count, uint32_t timeout_ms)
{
    struct wire_node_status status = {.shards = 1, .public_key = {1}, .weight = 100};
    struct wire_buffer body = {0};

    (void)timeout_ms;
    cr_assert_eq(count, 1);
    if (requests->type == WIRE_NODE_STATUS) {
        wire_put_node_status(&body, &status);
    } else {
        prepared += requests->type == WIRE_PREPARE;
        committed += requests->type == WIRE_COMMIT;
        wire_put_array(&body, 3);
        wire_put_bool(&body, !refused);
        wire_put_string(&body, refused ? refused : "");
        wire_put_bin(&body, "", 0);
    }
    cluster_fake_answer(requests, &body);
}

static enum exit_code found(struct founding_result *result)
{
    struct address_list nodes = {.items = {NODE}, .count = 1};
    struct founding_options options = {.partitions = 8, .timeout_ms = 1};
    struct ticket ticket = {.id = 0};

    cluster_fake_ask = answer;
    return founding_run(NULL, &nodes, &options, &ticket, "test", result);
}

Test(founding, a_node_prepares_and_then_commits)
{
    struct founding_result result;

    cr_assert_eq(found(&result), EXIT_CODE_OK);
    cr_assert_eq(prepared, 1);
    cr_assert_eq(committed, 1);
    cr_assert(result.nodes == 1 && result.replicas == 1 && result.partitions == 8);
    cr_assert_not(result.already || result.encrypted);
}

Test(founding, a_refusal_is_shown_and_does_not_steer_the_terminal)
{
    struct founding_result result;

    refused = "no\033[2J";
    cr_redirect_stderr();
    cr_assert_eq(found(&result), EXIT_CODE_CONFLICT);
    fflush(stderr);
    cr_assert_stderr_eq_str("test: " NODE " refuses: no\\x1b[2J\n");
    cr_assert_eq(committed, 0);
}
