#include "cli/admin.h"
#include "cli/ticket_ask.h"
#include "cli/ticket_peers.h"
#include "cli/ticket_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

/* Unless said otherwise, a node's ticket is for one node and one day. */
#define NODE_TTL_MS UINT64_C(86400000)
#define DAYS_MAX    36500u

static const struct output_column field_id = {"id", "", OUTPUT_NUMBER};
static const struct output_column field_role = {"role", "", OUTPUT_TEXT};
static const struct output_column field_uses = {"uses_max", "", OUTPUT_NUMBER};
static const struct output_column field_ttl = {"ttl_ms", "", OUTPUT_TIME};

static enum exit_code print_credential(const struct arguments *arguments)
{
    const char *format_text = arguments_text(arguments, "output");
    enum output_format format;
    struct output *output;
    struct ticket ticket;
    char text[TICKET_TEXT_SIZE];
    int r = -ENOMEM;

    if (!output_format_parse(format_text, &format)) {
        arguments_error(arguments, "--output %s: table or json is needed", format_text);
        return EXIT_CODE_USAGE;
    }
    ticket_generate(&ticket);
    ticket_encode(&ticket, text);
    ticket_wipe(&ticket);
    output = output_new(format);
    if (output) {
        ticket_line_put(output, text);
        r = output_print(output, stdout);
    }
    output_free(output);
    sodium_memzero(text, sizeof text);
    if (r != 0) {
        arguments_error(arguments, "%s", strerror(-r));
        return EXIT_CODE_FAILED;
    }
    fprintf(stderr,
            "Whoever holds this line may read and write the cluster. Keep it in a file that only "
            "its owner reads:\n    (umask 077; ring-admin ticket > cluster.ticket)\n");
    return EXIT_CODE_OK;
}

/* "90s", "30m", "24h", "7d"; 0 is for ever. False: it is none of these. */
static bool parse_ttl(const char *text, uint64_t *ttl_ms)
{
    static const struct {
        char letter;
        uint64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    unsigned long long count;
    char *end;

    errno = 0;
    count = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || errno != 0)
        return false;
    if (count == 0 && *end == 0) {
        *ttl_ms = 0;
        return true;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (*end != units[i].letter || end[1] != 0)
            continue;
        if (count == 0 || count > DAYS_MAX * units[3].ms / units[i].ms)
            return false;
        *ttl_ms = count * units[i].ms;
        return true;
    }
    return false;
}

static enum exit_code parse_new(const struct arguments *arguments, struct tickets_command *command)
{
    const char *role = arguments_text(arguments, "role");
    const char *ttl = arguments_text(arguments, "ttl");
    struct tickets_terms *terms = &command->terms;
    uint64_t uses;

    command->kind = TICKETS_NEW;
    terms->role = role ? ticket_role(role) : 0;
    if (terms->role == 0) {
        arguments_error(arguments, "--role %s: node, router or admin is needed", role ? role : "");
        return EXIT_CODE_USAGE;
    }
    uses = terms->role == LINK_ROLE_NODE ? 1 : 0;
    terms->ttl_ms = terms->role == LINK_ROLE_NODE ? NODE_TTL_MS : 0;
    if (ttl && !parse_ttl(ttl, &terms->ttl_ms)) {
        arguments_error(arguments, "--ttl %s: 90s, 30m, 24h, 7d or the like is needed, or 0", ttl);
        return EXIT_CODE_USAGE;
    }
    if (!arguments_number(arguments, "uses", 0, TICKETS_HOLDERS_MAX, &uses))
        return EXIT_CODE_USAGE;
    terms->uses_max = (uint32_t)uses;
    randombytes_buf(&terms->name, sizeof terms->name);
    return EXIT_CODE_OK;
}

static enum exit_code parse_revoke(const struct arguments *arguments,
                                   struct tickets_command *command)
{
    const char *text = arguments->operand_count == 2 ? arguments->operands[1] : "";
    char *end;

    command->kind = TICKETS_REVOKE;
    command->id = (uint32_t)strtoul(text, &end, 10);
    if (*text >= '1' && *text <= '9' && *end == 0 && strlen(text) <= 9)
        return EXIT_CODE_OK;
    arguments_error(arguments, "revoke %s: a ticket's id is needed, see `ring-admin ticket list`",
                    text);
    return EXIT_CODE_USAGE;
}

static void say_terms(const struct tickets_terms *terms, uint32_t id)
{
    char uses[32] = "as many as come", time[OUTPUT_CELL_SIZE], how_long[OUTPUT_CELL_SIZE + 8];

    if (terms->uses_max > 0)
        snprintf(uses, sizeof uses, "%u", terms->uses_max);
    output_time(terms->ttl_ms, time);
    snprintf(how_long, sizeof how_long, "for %s", terms->ttl_ms > 0 ? time : "ever");
    fprintf(stderr,
            "Ticket %u: role %s, keys that may use it: %s, %s. Keep the line in a file that only "
            "its owner reads (umask 077); `ring-admin ticket revoke %u` ends it.\n",
            id, ticket_role_name(terms->role), uses, how_long, id);
}

static void put_terms(struct output *output, const struct tickets_terms *terms, uint32_t id)
{
    output_field(output, &field_id, (struct output_value){.number = id});
    output_field(output, &field_role, (struct output_value){.text = ticket_role_name(terms->role)});
    output_field(output, &field_uses,
                 (struct output_value){.number = terms->uses_max, .absent = terms->uses_max == 0});
    output_field(output, &field_ttl,
                 (struct output_value){.number = terms->ttl_ms, .absent = terms->ttl_ms == 0});
}

static void say_lacking(struct admin *admin, const struct view_node *node)
{
    if (node)
        arguments_error(admin->arguments, "node %u at %s has not heard of it yet%s%s", node->id,
                        node->address, node->reachable ? "" : ": ",
                        node->reachable ? "" : node->why);
}

static enum exit_code run_new(struct admin *admin, const struct tickets_command *command)
{
    struct ticket ticket;
    struct tickets_reply reply;
    char text[TICKET_TEXT_SIZE];
    enum exit_code code = ticket_ask(admin, command, &reply);

    if (code != EXIT_CODE_OK)
        return code;
    if (!reply.has_psk) {
        arguments_error(admin->arguments,
                        "the secret was changed meanwhile, and ticket %u has "
                        "ended with the old one: make another",
                        reply.id);
        return EXIT_CODE_FAILED;
    }
    memset(&ticket, 0, sizeof ticket);
    memcpy(ticket.cluster, admin->ticket.cluster, sizeof ticket.cluster);
    memcpy(ticket.psk, reply.psk, sizeof ticket.psk);
    ticket.id = reply.id;
    ticket.role = command->terms.role;
    ticket_encode(&ticket, text);
    say_lacking(admin, ticket_spread(admin, reply.version, false));
    ticket_line_put(admin->output, text);
    put_terms(admin->output, &command->terms, reply.id);
    code = admin_print(admin);
    if (code == EXIT_CODE_OK)
        say_terms(&command->terms, reply.id);
    sodium_memzero(text, sizeof text);
    sodium_memzero(&reply, sizeof reply);
    ticket_wipe(&ticket);
    return code;
}

/* While the old secret opens still: who goes by it. */
static enum exit_code list_peers(struct admin *admin, const struct tickets_reply *reply)
{
    struct ticket_peers peers;
    int r = ticket_peers_ask(&peers, admin, reply->other);

    if (r == 0)
        ticket_peers_put(admin->output, &peers);
    if (r == 0 && peers.silent)
        arguments_error(admin->arguments,
                        "node %u at %s does not say who is connected by the old secret",
                        peers.silent->id, peers.silent->address);
    ticket_peers_deinit(&peers);
    return r == 0 ? EXIT_CODE_OK : admin_fail(admin, r);
}

static enum exit_code run_list(struct admin *admin, const struct tickets_command *command)
{
    struct tickets_reply reply;
    enum exit_code code = ticket_ask(admin, command, &reply);

    if (code != EXIT_CODE_OK)
        return code;
    ticket_secret_put(admin->output, reply.offered, reply.phase);
    if (reply.phase == TICKETS_RETIRING)
        code = list_peers(admin, &reply);
    if (code != EXIT_CODE_OK)
        return code;
    ticket_table_put(admin->output, reply.records, reply.count);
    return admin_print(admin);
}

static enum exit_code run_revoke(struct admin *admin, const struct tickets_command *command)
{
    struct tickets_reply reply;
    char text[64];
    enum exit_code code = ticket_ask(admin, command, &reply);

    if (code != EXIT_CODE_OK)
        return code;
    say_lacking(admin, ticket_spread(admin, reply.version, false));
    snprintf(text, sizeof text, "ticket %u is revoked", command->id);
    ticket_sentence_put(admin->output, text);
    output_field(admin->output, &field_id, (struct output_value){.number = command->id});
    return admin_print(admin);
}

struct subcommand {
    const char *name;
    unsigned operands; /* with the name */
    /* NULL: it begins with the list. */
    enum exit_code (*parse)(const struct arguments *arguments, struct tickets_command *command);
    enum exit_code (*run)(struct admin *admin, const struct tickets_command *command);
};

static const struct subcommand subcommands[] = {{"new", 1, parse_new, run_new},
                                                {"list", 1, NULL, run_list},
                                                {"revoke", 2, parse_revoke, run_revoke},
                                                {"rotate", 1, NULL, ticket_rotate},
                                                {"retire", 1, NULL, ticket_retire}};
#define SUBCOMMAND_COUNT (sizeof subcommands / sizeof *subcommands)

/* Before anybody is asked. */
static enum exit_code check(const struct arguments *arguments, const struct subcommand *subcommand,
                            struct tickets_command *command)
{
    static const char *const needed[] = {"ticket", "seeds"};

    if (arguments->operand_count > subcommand->operands) {
        arguments_error(arguments, "what is %s for?",
                        arguments->operands[arguments->operand_count - 1]);
        return EXIT_CODE_USAGE;
    }
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (arguments_text(arguments, needed[i]))
            continue;
        arguments_error(arguments, "%s: --%s is needed", subcommand->name, needed[i]);
        return EXIT_CODE_USAGE;
    }
    return subcommand->parse ? subcommand->parse(arguments, command) : EXIT_CODE_OK;
}

static enum exit_code run(const struct arguments *arguments, const struct subcommand *subcommand)
{
    struct tickets_command command = {.kind = TICKETS_LIST};
    struct admin admin;
    enum exit_code code = check(arguments, subcommand, &command);

    if (code != EXIT_CODE_OK)
        return code;
    code = admin_open(&admin, arguments, true);
    if (code == EXIT_CODE_OK)
        code = subcommand->run(&admin, &command);
    admin_close(&admin);
    return code;
}

int admin_ticket(const struct arguments *arguments)
{
    const char *names[SUBCOMMAND_COUNT];
    const char *near;

    if (arguments->operand_count == 0)
        return print_credential(arguments);
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
        if (strcmp(arguments->operands[0], subcommands[i].name) == 0)
            return run(arguments, &subcommands[i]);
        names[i] = subcommands[i].name;
    }
    near = options_nearest(arguments->operands[0], names, SUBCOMMAND_COUNT);
    arguments_error(arguments, "%s: new, list, revoke, rotate or retire is needed%s%s%s",
                    arguments->operands[0], near ? "; did you mean " : "", near ? near : "",
                    near ? "?" : "");
    return EXIT_CODE_USAGE;
}
