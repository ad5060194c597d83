#include "harness.h"

#include "router/commands.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

struct row {
    const char *line;
    const char *reply;
};

static void ask_rows(struct harness *h, uint64_t client, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cr_assert_str_eq(harness_ask(h, client, rows[i].line), rows[i].reply, "%s", rows[i].line);
}

#define ROWS(rows) rows, sizeof(rows) / sizeof(rows)[0]

Test(commands, errors_have_the_words_of_redis)
{
    static const struct row rows[] = {
        {"foo", "-ERR unknown command 'foo', with args beginning with: \r\n"},
        {"foo a \"b c\"", "-ERR unknown command 'foo', with args beginning with: 'a' 'b c' \r\n"},
        {"foo \"a\\r\\nb\"", "-ERR unknown command 'foo', with args beginning with: 'a  b' \r\n"},
        {"GET", "-ERR wrong number of arguments for 'get' command\r\n"},
        {"gEt a b", "-ERR wrong number of arguments for 'get' command\r\n"},
        {"SET a", "-ERR wrong number of arguments for 'set' command\r\n"},
        {"SET a b c", "-ERR syntax error\r\n"},
        {"SET a b NX XX", "-ERR syntax error\r\n"},
        {"SET a b XX NX", "-ERR syntax error\r\n"},
        {"MSET a", "-ERR wrong number of arguments for 'mset' command\r\n"},
        {"MSET a b c", "-ERR wrong number of arguments for 'mset' command\r\n"},
        {"INCRBY a x", "-ERR value is not an integer or out of range\r\n"},
        {"INCRBY a 9223372036854775808", "-ERR value is not an integer or out of range\r\n"},
        {"DECRBY a -9223372036854775808", "-ERR decrement would overflow\r\n"},
        {"SELECT 1", "-ERR DB index is out of range\r\n"},
        {"SELECT -1", "-ERR DB index is out of range\r\n"},
        {"SELECT x", "-ERR value is not an integer or out of range\r\n"},
        {"HELLO 4", "-NOPROTO unsupported protocol version\r\n"},
        {"HELLO x", "-ERR Protocol version is not an integer or out of range\r\n"},
        {"HELLO 3 FOO", "-ERR Syntax error in HELLO option 'FOO'\r\n"},
        {"HELLO 3 AUTH x", "-ERR Syntax error in HELLO option 'AUTH'\r\n"},
        {"HELLO 3 SETNAME \"a b\"",
         "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
        {"PING a b", "-ERR wrong number of arguments for 'ping' command\r\n"},
        {"CLIENT", "-ERR wrong number of arguments for 'client' command\r\n"},
        {"CLIENT FOO", "-ERR unknown subcommand 'FOO'. Try CLIENT HELP.\r\n"},
        {"CLIENT SETNAME", "-ERR wrong number of arguments for 'client|setname' command\r\n"},
        {"CLIENT SETNAME \"a b\"",
         "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
        {"CLIENT SETINFO foo bar", "-ERR Unrecognized option 'foo'\r\n"},
        {"CLIENT SETINFO lib-name \"a b\"",
         "-ERR lib-name cannot contain spaces, newlines or special characters.\r\n"},
        {"CLIENT LIST TYPE", "-ERR syntax error\r\n"},
        {"CLIENT LIST ID x", "-ERR Invalid client ID\r\n"},
        {"CLUSTER SLOTS", "-ERR This instance has cluster support disabled\r\n"},
        {"COMMAND FOO", "-ERR unknown subcommand 'FOO'. Try COMMAND HELP.\r\n"},
        {"COMMAND GETKEYS foo a", "-ERR Invalid command specified\r\n"},
        {"COMMAND GETKEYS PING a", "-ERR The command has no key arguments\r\n"},
        {"COMMAND GETKEYS GET a b", "-ERR Invalid number of arguments specified for command\r\n"},
        {"AUTH a", "-ERR AUTH <password> called without any password configured for the default "
                   "user. Are you sure your configuration is correct?\r\n"},
        {"AUTH a b c", "-ERR syntax error\r\n"},
        {"PING", "+PONG\r\n"}, /* after all of that the connection is usable */
    };
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    ask_rows(h, client, ROWS(rows));
    harness_free(h);
}

Test(commands, strings_behave_as_in_redis)
{
    static const struct row rows[] = {
        {"GET a", "$-1\r\n"},
        {"SET a 1", "+OK\r\n"},
        {"SET a 2 NX", "$-1\r\n"},
        {"SET b 2 XX", "$-1\r\n"},
        {"SET a 3 XX", "+OK\r\n"},
        {"SET a 4 GET", "$1\r\n3\r\n"},
        {"SET a 5 NX GET", "$1\r\n4\r\n"},
        {"SET c 1 NX GET", "$-1\r\n"},
        {"GET c", "$1\r\n1\r\n"},
        {"SET a 6 XX GET", "$1\r\n4\r\n"},
        {"GETSET a 7", "$1\r\n6\r\n"},
        {"GETSET d 7", "$-1\r\n"},
        {"SETNX a 1", ":0\r\n"},
        {"SETNX e 1", ":1\r\n"},
        {"GETDEL e", "$1\r\n1\r\n"},
        {"GETDEL e", "$-1\r\n"},
        {"INCR a", ":8\r\n"},
        {"DECR a", ":7\r\n"},
        {"INCRBY a -10", ":-3\r\n"},
        {"DECRBY a 3", ":-6\r\n"},
        {"DECRBY a -6", ":0\r\n"},
        {"APPEND a x", ":2\r\n"},
        {"INCR a", "-ERR value is not an integer or out of range\r\n"},
        {"STRLEN a", ":2\r\n"},
        {"STRLEN none", ":0\r\n"},
        {"SET a 9223372036854775807", "+OK\r\n"},
        {"INCR a", "-ERR increment or decrement would overflow\r\n"},
        {"MGET a none", "*2\r\n$19\r\n9223372036854775807\r\n$-1\r\n"},
        {"MGET none", "*1\r\n$-1\r\n"},
        {"SET a \"\"", "+OK\r\n"},
        {"GET a", "$0\r\n\r\n"},
        {"MGET a a", "*2\r\n$0\r\n\r\n$0\r\n\r\n"},
    };
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    ask_rows(h, client, ROWS(rows));
    harness_free(h);
}

Test(commands, connection_commands_behave_as_in_redis)
{
    static const struct row rows[] = {
        {"PING", "+PONG\r\n"},
        {"PING hi", "$2\r\nhi\r\n"},
        {"ECHO \"a b\"", "$3\r\na b\r\n"},
        {"SELECT 0", "+OK\r\n"},
        {"CLIENT ID", ":1\r\n"},
        {"CLIENT GETNAME", "$-1\r\n"},
        {"CLIENT SETNAME me", "+OK\r\n"},
        {"CLIENT GETNAME", "$2\r\nme\r\n"},
        {"CLIENT SETINFO LIB-NAME redis-py", "+OK\r\n"},
        {"CLIENT SETINFO lib-ver 8.0", "+OK\r\n"},
        {"CLIENT NO-EVICT ON", "+OK\r\n"},
        {"HELLO", "*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\n"
                  "proto\r\n:2\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\n"
                  "role\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"},
        {"HELLO 3 SETNAME you",
         "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n"
         ":3\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster"
         "\r\n$7\r\nmodules\r\n*0\r\n"},
        {"CLIENT GETNAME", "$3\r\nyou\r\n"},
        {"GET none", "_\r\n"},
        {"MGET none", "*1\r\n_\r\n"},
        {"CONFIG GET save appendonly", "%2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n$4\r\nsave\r\n$0"
                                       "\r\n\r\n"},
        {"RESET", "+RESET\r\n"},
        {"CLIENT GETNAME", "$-1\r\n"},
        {"GET none", "$-1\r\n"},
    };
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    const char *list;

    ask_rows(h, client, ROWS(rows));
    list = harness_ask(h, client, "CLIENT LIST");
    cr_assert(strstr(list, "id=1 addr=127.0.0.1:5000 "));
    cr_assert(strstr(list, "lib-name=redis-py lib-ver=8.0"));
    list = harness_ask(h, client, "CLIENT INFO");
    cr_assert(strstr(list, "cmd=client"));
    harness_free(h);
}

Test(commands, what_tools_ask_for_is_answered)
{
    static const struct row rows[] = {
        {"CONFIG GET save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n"},
        {"CONFIG GET appendonly", "*2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n"},
        {"CONFIG GET MAXMEM*",
         "*4\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n"},
        {"CONFIG GET nothing", "*0\r\n"},
        {"CONFIG RESETSTAT", "+OK\r\n"},
        {"MODULE LIST", "*0\r\n"},
        {"SLOWLOG GET", "*0\r\n"},
        {"SLOWLOG GET 10", "*0\r\n"},
        {"SLOWLOG LEN", ":0\r\n"},
        {"SLOWLOG RESET", "+OK\r\n"},
        {"LATENCY LATEST", "*0\r\n"},
        {"LATENCY HISTOGRAM", "*0\r\n"},
        {"LATENCY RESET", ":0\r\n"},
        {"TIME", "*2\r\n$10\r\n1700000001\r\n$1\r\n0\r\n"},
        {"COMMAND GETKEYS MSET a 1 b 2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
        {"COMMAND GETKEYS DEL a b c", "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"},
        {"COMMAND INFO get nothing",
         "*2\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n*0\r\n*0"
         "\r\n*0\r\n*0\r\n*-1\r\n"},
        {"COMMAND LIST FILTERBY PATTERN s?t", "*1\r\n$3\r\nset\r\n"},
        {"COMMAND DOCS nothing", "*0\r\n"},
    };
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    char expected[32];

    ask_rows(h, client, ROWS(rows));
    sprintf(expected, ":%u\r\n", commands_count());
    cr_assert_str_eq(harness_ask(h, client, "COMMAND COUNT"), expected);
    sprintf(expected, "*%u\r\n*10\r\n$6\r\nappend\r\n", commands_count());
    cr_assert_eq(strncmp(harness_ask(h, client, "COMMAND"), expected, strlen(expected)), 0);
    sprintf(expected, "*%u\r\n$6\r\nappend\r\n", 2 * commands_count());
    cr_assert_eq(strncmp(harness_ask(h, client, "COMMAND DOCS"), expected, strlen(expected)), 0);
    cr_assert(strstr(harness_ask(h, client, "CLIENT HELP"), "+setname\r\n"));
    harness_free(h);
}

Test(commands, info_tells_the_truth)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);
    const char *info;

    cr_assert(strstr(harness_ask(h, client, "INFO keyspace"), "# Keyspace\r\n\r\n"));
    harness_ask(h, client, "MSET a 1 b 2 c 3");
    info = harness_ask(h, client, "INFO");
    cr_assert(strstr(info, "redis_version:7.0.15\r\n"));
    cr_assert(strstr(info, "redis_mode:standalone\r\n"));
    cr_assert(strstr(info, "role:master\r\n"));
    cr_assert(strstr(info, "cluster_enabled:0\r\n"));
    cr_assert(strstr(info, "connected_clients:1\r\n"));
    cr_assert(strstr(info,
                     "epoch:1\r\nnodes:3\r\nnodes_up:3\r\npartitions:8\r\nreplicas:3\r\n"
                     "partitions_with_leader:8\r\nlanes_stalled:0\r\noperations_in_flight:0\r\n"
                     "locked_out:\r\n"));
    cr_assert(strstr(info, "db0:keys=3,expires=0,avg_ttl=0\r\n"));
    cr_assert_null(strstr(harness_ask(h, client, "INFO server"), "# Clients"));
    harness_down(h, 2);
    h->deaf = true;
    cr_assert_str_eq(harness_ask(h, client, "INFO"), "");
    harness_advance(h, 505);
    info = harness_output(h, client);
    cr_assert(strstr(info, "nodes_up:2\r\n"));
    cr_assert_null(strstr(info, "db0:"), "what is not known is not told");
    h->deaf = false;
    harness_advance(h, 3000);
    cr_assert_str_eq(harness_ask(h, client, "PING"), "+PONG\r\n");
    harness_free(h);
}

Test(commands, without_the_password_only_the_door_is_open)
{
    static const struct row rows[] = {
        {"GET a", "-NOAUTH Authentication required.\r\n"},
        {"PING", "-NOAUTH Authentication required.\r\n"},
        {"INFO", "-NOAUTH Authentication required.\r\n"},
        {"COMMAND", "-NOAUTH Authentication required.\r\n"},
        {"foo", "-ERR unknown command 'foo', with args beginning with: \r\n"},
        {"GET", "-ERR wrong number of arguments for 'get' command\r\n"},
        {"HELLO 3",
         "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
         "<proto> AUTH <user> <pass> option can be used to authenticate the client and select the "
         "RESP protocol version at the same time\r\n"},
        {"AUTH wrong", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
        {"AUTH secretx", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
        {"AUTH \"\"", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
        {"AUTH \"secret\\x00\"",
         "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
        {"AUTH other secret", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
        {"HELLO 2 AUTH default wrong",
         "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
        {"GET a", "-NOAUTH Authentication required.\r\n"},
        {"AUTH secret", "+OK\r\n"},
        {"GET a", "$-1\r\n"},
        {"AUTH wrong", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
        {"GET a", "$-1\r\n"},
        {"RESET", "+RESET\r\n"},
        {"GET a", "-NOAUTH Authentication required.\r\n"},
        {"AUTH default secret", "+OK\r\n"},
        {"GET a", "$-1\r\n"},
        {"RESET", "+RESET\r\n"},
        {"*1024\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n"},
    };
    struct router_options options;
    struct harness *h;
    uint64_t client;

    router_options_default(&options);
    strcpy(options.password, "secret");
    h = harness_new(&options, false);
    client = harness_client(h);
    ask_rows(h, client, ROWS(rows));
    cr_assert(harness_closed(h, client));
    client = harness_client(h);
    cr_assert_eq(
        strncmp(harness_ask(h, client, "HELLO 3 AUTH default secret SETNAME me"), "%7\r\n", 4), 0);
    cr_assert_str_eq(harness_ask(h, client, "CLIENT GETNAME"), "$2\r\nme\r\n");
    harness_free(h);
}

Test(commands, without_a_password_any_is_taken_for_the_default_user)
{
    struct harness *h = harness_new(NULL, false);
    uint64_t client = harness_client(h);

    cr_assert_str_eq(harness_ask(h, client, "AUTH default anything"), "+OK\r\n");
    cr_assert_str_eq(harness_ask(h, client, "AUTH other anything"),
                     "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    harness_free(h);
}

Test(commands, the_table_is_sorted_and_every_flag_has_a_name)
{
    struct commands commands;

    commands_init(&commands);
    for (uint32_t i = 0; i < commands_count(); i++) {
        const struct command_spec *spec = commands_at(i);
        struct wire_bytes name = {(const uint8_t *)spec->name, strlen(spec->name)};

        cr_assert(i == 0 || strcmp(commands_at(i - 1)->name, spec->name) < 0);
        cr_assert_eq(commands_find(&commands, &name), spec);
        for (const char *flag = spec->flags; *flag; flag++) {
            bool known = false;
#define X(letter, text) known |= *flag == letter;
            COMMAND_FLAGS(X)
#undef X
            cr_assert(known, "%s has the flag %c", spec->name, *flag);
        }
    }
}

/* docs/commands.md has one row a command, in order: "| `NAME` | arity |". */
Test(commands, the_document_lists_exactly_the_table)
{
    FILE *file = fopen(RINGCASK_SOURCE_DIR "/docs/commands.md", "r");
    char line[1024];
    uint32_t next = 0;

    cr_assert(file);
    while (fgets(line, sizeof line, file)) {
        const struct command_spec *spec = commands_at(next);
        char name[32];
        int arity;

        if (sscanf(line, "| `%31[A-Z]` | %d |", name, &arity) != 2)
            continue;
        cr_assert(spec, "more than there are: %s", line);
        for (char *c = name; *c; c++)
            *c = (char)(*c | 0x20);
        cr_assert_str_eq(name, spec->name);
        cr_assert_eq(arity, spec->arity, "%s", name);
        next++;
    }
    fclose(file);
    cr_assert_eq(next, commands_count());
}
