/* ring-bench: offers load to a RESP server or to a cluster's nodes, and times the parts of Ringcask
 * alone. */
#include "bench/engine_bench.h"
#include "bench/load.h"
#include "bench/micro.h"
#include "bench/placement_bench.h"
#include "bench/report.h"
#include "cli/address.h"
#include "cli/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct option_row load_rows[] = {
    {"resp", "HOST:PORT", NULL, "127.0.0.1:6379", "where the server listens", 0, false},
    {"native", NULL, NULL, NULL, "ask the nodes themselves, over sealed links, without a router", 0,
     false},
    {"seeds", "HOST:PORT[,...]", "RINGCASK_SEEDS", NULL, "nodes of the cluster (native)", 0, false},
    {"ticket", "FILE", "RINGCASK_TICKET", NULL, "the cluster's credential (native)", 0, false},
    {"workload", "NAME", NULL, "a", "a b c d f of YCSB, or get, set", 'w', false},
    {"distribution", "NAME", NULL, NULL, "uniform, zipfian or latest instead of the workload's", 0,
     false},
    {"clients", "COUNT", NULL, "50", "connections", 'c', false},
    {"pipeline", "COUNT", NULL, "1", "requests in flight a connection", 'P', false},
    {"rate", "COUNT", NULL, "0", "requests a second whatever comes back; 0: as many as answered",
     'r', false},
    {"keys", "COUNT", NULL, "100000", "keys there at the start", 'k', false},
    {"key-size", "BYTES", NULL, "16", "of a key, 16 to 1,024", 0, false},
    {"value-size", "BYTES", NULL, "100", "of a value", 'd', false},
    {"seconds", "COUNT", NULL, "10", "measured", 's', false},
    {"warmup", "COUNT", NULL, "2", "seconds before they count", 0, false},
    {"threads", "COUNT", NULL, "1", "of this program", 't', false},
    {"no-fill", NULL, NULL, NULL, "the keys are there already", 0, false},
    {"pids", "LIST", NULL, NULL, "server processes, by number or pid file: CPU an operation", 'p',
     false},
    {"label", "TEXT", NULL, NULL, "for the JSON line", 0, false},
    {"output", "table|json", NULL, "table", "how to print", 'o', false},
    {NULL, NULL, NULL, NULL, NULL, 0, false}};

static const struct option_row micro_rows[] = {
    {"seconds", "COUNT", NULL, "1", "at least, each case", 's', false},
    {"dir", "FOLDER", NULL, "/var/tmp", "where files are made and removed (journal)", 0, false},
    {"output", "table|json", NULL, "table", "how to print", 'o', false},
    {NULL, NULL, NULL, NULL, NULL, 0, false}};

static const struct option_row engine_rows[] = {
    {"keys", "COUNT", NULL, "5000000", "put by the fill", 'k', false},
    {"values", "SIZES", NULL, "100,1024", "bytes of a value; a run for each size", 'd', false},
    {"batch", "COUNT", NULL, "1", "puts of one atomic batch, up to 1,000 (synced: 16)", 'b', false},
    {"threads", "COUNT", NULL, "16", "that write when each write is synced", 't', false},
    {"seconds", "COUNT", NULL, "10", "of the reads and of the synced writes", 's', false},
    {"wear", "PERCENT", NULL, "100", "overwrites, of the keys", 'w', false},
    {"only", "NAMES", NULL, NULL, "of ringcask, rocksdb, leveldb, lmdb, own", 0, false},
    {"results", "FILE", NULL, NULL, "lines of JSON are added to it", 0, false},
    {"dir", "FOLDER", NULL, "/var/tmp", "where files are made and removed", 0, false},
    {"output", "table|json", NULL, "table", "how to print", 'o', false},
    {NULL, NULL, NULL, NULL, NULL, 0, false}};

static const struct option_row placement_rows[] = {
    {"nodes", "COUNT", NULL, "1000", "leave out larger clusters", 'n', false},
    {"output", "table|json", NULL, "table", "how to print", 'o', false},
    {NULL, NULL, NULL, NULL, NULL, 0, false}};

struct number_row {
    const char *name;
    uint64_t min, max;
    uint64_t value;
};

static bool read_load(const struct arguments *arguments, struct load_options *options)
{
    struct number_row rows[] = {{"clients", 1, 20000, 0},
                                {"pipeline", 1, 10000, 0},
                                {"rate", 0, 100000000, 0},
                                {"keys", 1, 1000000000, 0},
                                {"key-size", 16, WORKER_KEY_SIZE_MAX, 0},
                                {"value-size", 0, 16u << 20, 0},
                                {"seconds", 1, 86400, 0},
                                {"warmup", 0, 3600, 0},
                                {"threads", 1, LOAD_THREADS_MAX, 0}};
    const char *distribution = arguments_text(arguments, "distribution");

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!arguments_number(arguments, rows[i].name, rows[i].min, rows[i].max, &rows[i].value))
            return false;
    *options = (struct load_options){.resp = arguments_text(arguments, "resp"),
                                     .workload = arguments_text(arguments, "workload"),
                                     .distribution = -1,
                                     .clients = (uint32_t)rows[0].value,
                                     .pipeline = (uint32_t)rows[1].value,
                                     .rate = rows[2].value,
                                     .keys = rows[3].value,
                                     .key_size = (uint32_t)rows[4].value,
                                     .value_size = (uint32_t)rows[5].value,
                                     .seconds = (uint32_t)rows[6].value,
                                     .warmup = (uint32_t)rows[7].value,
                                     .threads = (uint32_t)rows[8].value,
                                     .fill = !arguments_text(arguments, "no-fill"),
                                     .processes = arguments_text(arguments, "pids"),
                                     .label = arguments_text(arguments, "label")};
    if (distribution)
        options->distribution = workload_distribution_of(distribution);
    if (distribution && options->distribution < 0) {
        arguments_error(arguments, "--distribution %s: uniform, zipfian or latest is needed",
                        distribution);
        return false;
    }
    if (options->threads > options->clients) {
        arguments_error(arguments, "--threads %u: no more than --clients", options->threads);
        return false;
    }
    return true;
}

/* False: not one of the two. */
static bool read_output(const struct arguments *arguments, bool *json)
{
    const char *output = arguments_text(arguments, "output");

    *json = strcmp(output, "json") == 0;
    if (*json || strcmp(output, "table") == 0)
        return true;
    arguments_error(arguments, "--output %s: table or json is needed", output);
    return false;
}

/* What --native needs; ticket and list are the caller's memory. */
static enum exit_code read_native(const struct arguments *arguments, struct native_options *native,
                                  struct ticket *ticket, struct address_list *list,
                                  const char *seeds[ADDRESS_LIST_MAX])
{
    const char *path = arguments_text(arguments, "ticket");
    const char *text = arguments_text(arguments, "seeds");
    char bad[ADDRESS_SIZE], why_ticket[512];
    const char *why;
    int r;

    if (!path || !text) {
        arguments_error(arguments, "--native needs --ticket FILE and --seeds HOST:PORT");
        return EXIT_CODE_USAGE;
    }
    if (address_list_parse(list, text, bad, &why) != 0) {
        arguments_error(arguments, "--seeds %s: %s", bad, why);
        return EXIT_CODE_USAGE;
    }
    r = ticket_load(ticket, path);
    if (r != 0) {
        ticket_error_text(r, path, why_ticket, sizeof why_ticket);
        arguments_error(arguments, "%s", why_ticket);
        return EXIT_CODE_FAILED;
    }
    for (size_t i = 0; i < list->count; i++)
        seeds[i] = list->items[i];
    *native = (struct native_options){.ticket = ticket, .seeds = seeds, .seed_count = list->count};
    return EXIT_CODE_OK;
}

static int run_load(const struct arguments *arguments)
{
    const char *seeds[ADDRESS_LIST_MAX];
    struct native_options native;
    struct address_list list;
    struct ticket ticket;
    struct load_result *result;
    struct load_options options;
    const char *why = "";
    bool json;
    int r;

    if (!read_output(arguments, &json) || !read_load(arguments, &options))
        return EXIT_CODE_USAGE;
    if (arguments_text(arguments, "native")) {
        r = read_native(arguments, &native, &ticket, &list, seeds);
        if (r != EXIT_CODE_OK)
            return r;
        options.native = &native;
    }
    result = malloc(sizeof *result);
    if (!result)
        return EXIT_CODE_FAILED;
    r = load_run(&options, result, &why);
    if (r == 0)
        json ? report_json(&options, result) : report_table(&options, result);
    else
        arguments_error(arguments, "%s: %s", why, strerror(-r));
    free(result);
    if (options.native)
        ticket_wipe(&ticket);
    if (r == -EINVAL)
        return EXIT_CODE_USAGE;
    if (r == -ECONNREFUSED || r == -ETIMEDOUT)
        return EXIT_CODE_UNREACHABLE;
    return r == 0 ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

static int run_micro(const struct arguments *arguments)
{
    struct micro_options options = {.folder = arguments_text(arguments, "dir")};
    uint64_t seconds = 1;
    int r;

    if (!read_output(arguments, &options.json) ||
        !arguments_number(arguments, "seconds", 1, 3600, &seconds))
        return EXIT_CODE_USAGE;
    options.seconds = (uint32_t)seconds;
    r = micro_run(arguments->command->name, &options);
    if (r < 0)
        arguments_error(arguments, "%s", strerror(-r));
    return r < 0 ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}

static int run_engine(const struct arguments *arguments)
{
    struct number_row rows[] = {{"keys", 1, 1000000000, 0},
                                {"batch", 1, 1000, 0},
                                {"threads", 1, 256, 0},
                                {"seconds", 1, 3600, 0},
                                {"wear", 0, 10000, 0}};
    struct engine_bench_options options = {.values = arguments_text(arguments, "values"),
                                           .only = arguments_text(arguments, "only"),
                                           .results = arguments_text(arguments, "results"),
                                           .folder = arguments_text(arguments, "dir")};
    int r;

    if (!read_output(arguments, &options.json))
        return EXIT_CODE_USAGE;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!arguments_number(arguments, rows[i].name, rows[i].min, rows[i].max, &rows[i].value))
            return EXIT_CODE_USAGE;
    options.run = (struct engine_run_options){.keys = rows[0].value,
                                              .batch = (uint32_t)rows[1].value,
                                              .threads = (uint32_t)rows[2].value,
                                              .seconds = (uint32_t)rows[3].value,
                                              .wear = (double)rows[4].value / 100};
    r = engine_bench(&options);
    if (r < 0)
        arguments_error(arguments, "%s", strerror(-r));
    return r == 0 ? EXIT_CODE_OK : r == -EINVAL ? EXIT_CODE_USAGE : EXIT_CODE_FAILED;
}

static int run_placement(const struct arguments *arguments)
{
    uint64_t nodes = 0;
    bool json;
    int r;

    if (!read_output(arguments, &json) || !arguments_number(arguments, "nodes", 3, 1000, &nodes))
        return EXIT_CODE_USAGE;
    r = placement_bench((uint32_t)nodes, json);
    if (r < 0)
        arguments_error(arguments, "%s", strerror(-r));
    return r < 0 ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}

static const struct command_row commands[] = {
    {"load", "", 0, 0, "Offers a RESP server load (the command when none is named).",
     "ring-bench load --workload b --clients 50 --rate 20000 --pids DIR/node-1.pid,DIR/router.pid",
     load_rows, run_load},
    {"keydir", "", 0, 0, "Times the index in memory.", NULL, micro_rows, run_micro},
    {"value", "", 0, 0, "Times the cache and the compression of values.", NULL, micro_rows,
     run_micro},
    {"copy", "", 0, 0, "Times a file that is copied through a socket, on a real disk.", NULL,
     micro_rows, run_micro},
    {"journal", "", 0, 0, "Times the store's write path on a real disk.", NULL, micro_rows,
     run_micro},
    {"wire", "", 0, 0, "Times hashing, encoding, decoding and sealing.", NULL, micro_rows,
     run_micro},
    {"raft", "", 0, 0, "Times the consensus core, three replicas in one thread.", NULL, micro_rows,
     run_micro},
    {"engine", "", 0, 0, "Compares the engine with RocksDB, LevelDB and LMDB.",
     "ring-bench engine --keys 1000000 --values 100 --only ringcask,rocksdb", engine_rows,
     run_engine},
    {"placement", "", 0, 0, "Compares the placement of partitions with hashing schemes.",
     "ring-bench placement --nodes 100", placement_rows, run_placement},
    {NULL, NULL, 0, 0, NULL, NULL, NULL, NULL}};

static const struct program program = {
    .name = "ring-bench",
    .text = "Offers load to a RESP server and measures it; times the parts of Ringcask alone.",
    .commands = commands};

static bool asks_program(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "--version") == 0;
}

int main(int argc, char **argv)
{
    static char load[] = "load";
    char **words;
    int code;

    if (argc >= 2 && (argv[1][0] != '-' || asks_program(argv[1])))
        return program_run(&program, argc, argv);
    /* `load` is the command when none is named. */
    words = calloc((size_t)argc + 2, sizeof *words);
    if (!words)
        return EXIT_CODE_FAILED;
    words[0] = argv[0];
    words[1] = load;
    for (int i = 1; i < argc; i++)
        words[i + 1] = argv[i];
    code = program_run(&program, argc + 1, words);
    free(words);
    return code;
}
