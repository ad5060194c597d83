/* Leaders go where there is room for them: skewed load is spread and nothing flaps, a drained node
 * leads nothing, and `ring-admin top` says who does what. */
#include "tests/process/fleet.h"
#include "tests/process/load.h"
#include "tests/process/resp_client.h"
#include "tests/process/scenario.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define NODES      3u
#define PARTITIONS "--partitions=16" /* few: what is written outweighs them, however slowly */
#define HOT        3u
#define KEYS_MAX   200u
#define HEALTHY_MS 60000u
#define CALL_MS    30000u
#define WAIT_MS    120000u /* for what takes seconds */
#define CALM_MS    15000u
#define TOP_TRIES  5u
#define TEXT_SIZE  262144u

static char out[TEXT_SIZE], err[TEXT_SIZE];

/* A client that writes the hot keys all the time. */
struct writer {
    pthread_t thread;
    uint16_t port;
    char keys[HOT][32];
    json_int_t partitions[HOT];
    atomic_bool stop;
    uint32_t written;
};

static void run(struct fleet *fleet, int want, const char *const *words)
{
    int code = fleet_admin_both(fleet, out, err, TEXT_SIZE, words);

    REQUIRE(code == want, "%s %s: exit code %d, not %d: %s%s", words[0], words[1] ? words[1] : "",
            code, want, out, err);
}

/* The answer as JSON, to be given back. */
static json_t *ask(struct fleet *fleet, const char *const *words)
{
    json_error_t error;
    json_t *root;

    run(fleet, 0, words);
    root = json_loads(out, 0, &error);
    REQUIRE(root, "%s: %s", error.text, out);
    return root;
}

static json_int_t number(json_t *row, const char *name)
{
    return json_integer_value(json_object_get(row, name));
}

/* Of `ring`: who leads it; 0: nobody. */
static json_int_t leader_of(json_t *ring, json_int_t partition)
{
    json_t *row;
    size_t i;

    json_array_foreach(json_object_get(ring, "partitions"), i, row)
    {
        if (number(row, "partition") == partition)
            return number(row, "leader");
    }
    return 0;
}

static uint32_t led_by(struct fleet *fleet, json_int_t member)
{
    json_t *ring = ask(fleet, (const char *[]){"ring", "-o", "json", NULL}), *row;
    uint32_t count = 0;
    size_t i;

    json_array_foreach(json_object_get(ring, "partitions"), i, row)
    {
        count += number(row, "leader") == member;
    }
    json_decref(ring);
    return count;
}

static void *write_all_the_time(void *argument)
{
    struct writer *writer = argument;
    struct resp_client client;

    resp_client_open(&client, writer->port, CALL_MS);
    for (uint32_t n = 0; !atomic_load(&writer->stop); n++) {
        resp_client_set(&client, writer->keys[n % HOT], "value");
        writer->written++;
    }
    resp_client_deinit(&client);
    return NULL;
}

/* Keys of different partitions that one member leads. */
static json_int_t choose_keys(struct fleet *fleet, struct writer *writer)
{
    json_int_t partitions[KEYS_MAX], leaders[KEYS_MAX];

    for (uint32_t k = 0; k < KEYS_MAX; k++) {
        uint32_t chosen = 0;
        char key[32];
        json_t *root;

        snprintf(key, sizeof key, "hot:%u", k);
        root = ask(fleet, (const char *[]){"explain", "-o", "json", key, NULL});
        partitions[k] = number(root, "partition");
        leaders[k] = number(root, "leader");
        json_decref(root);
        for (uint32_t i = 0; i <= k && chosen < HOT; i++) {
            bool known = leaders[i] != leaders[k];

            for (uint32_t j = 0; j < chosen; j++)
                known = known || writer->partitions[j] == partitions[i];
            if (known)
                continue;
            writer->partitions[chosen] = partitions[i];
            snprintf(writer->keys[chosen++], sizeof key, "hot:%u", i);
        }
        if (chosen == HOT)
            return leaders[k];
    }
    REQUIRE(false, "no %u of %u keys have one leader", HOT, KEYS_MAX);
    return 0;
}

static void leaders_of_hot(struct fleet *fleet, const struct writer *writer,
                           json_int_t leaders[HOT])
{
    json_t *ring = ask(fleet, (const char *[]){"ring", "-o", "json", NULL});

    for (uint32_t i = 0; i < HOT; i++)
        leaders[i] = leader_of(ring, writer->partitions[i]);
    json_decref(ring);
}

static bool is_spread(const json_int_t leaders[HOT])
{
    return leaders[0] && leaders[1] && leaders[2] && leaders[0] != leaders[1] &&
           leaders[1] != leaders[2] && leaders[0] != leaders[2];
}

/* And stays so: who leads moves on for load, or where the machine stood still and there was an
 * election, but not for ever. */
static void load_is_spread(struct fleet *fleet, struct writer *writer)
{
    uint64_t until_ns = now_ns() + (uint64_t)WAIT_MS * 1000000, calm_ns = now_ns();
    json_int_t leaders[HOT] = {0}, before[HOT];

    while (!is_spread(leaders) || now_ns() < calm_ns + (uint64_t)CALM_MS * 1000000) {
        REQUIRE(now_ns() < until_ns, "members %lld %lld %lld lead the hot partitions",
                (long long)leaders[0], (long long)leaders[1], (long long)leaders[2]);
        memcpy(before, leaders, sizeof before);
        pause_ms(500);
        leaders_of_hot(fleet, writer, leaders);
        if (memcmp(before, leaders, sizeof before) != 0)
            calm_ns = now_ns();
    }
}

/* The hot partitions and keys come first in `top`. Of two seconds in which the machine stands still
 * nothing is to be told. */
static bool top_names_them(struct fleet *fleet, const struct writer *writer)
{
    json_t *root =
        ask(fleet, (const char *[]){"top", "--keys", "--seconds", "2", "-o", "json", NULL});
    json_t *partitions = json_object_get(root, "partitions"), *keys = json_object_get(root, "keys");
    bool all = json_array_size(partitions) >= HOT && json_array_size(keys) == HOT &&
               number(root, "keys_counted") > 0;

    REQUIRE(json_array_size(json_object_get(root, "members")) == NODES, "%s", out);
    for (size_t i = 0; all && i < HOT; i++) {
        const char *key = json_string_value(json_object_get(json_array_get(keys, i), "key"));
        bool hot_partition = false, hot_key = false;

        for (uint32_t k = 0; k < HOT; k++) {
            hot_partition |=
                number(json_array_get(partitions, i), "partition") == writer->partitions[k];
            hot_key |= strcmp(key, writer->keys[k]) == 0;
        }
        all = hot_partition && hot_key;
    }
    json_decref(root);
    return all;
}

static void wait_until_it_leads(struct fleet *fleet, json_int_t member)
{
    uint64_t until_ns = now_ns() + (uint64_t)WAIT_MS * 1000000;

    while (led_by(fleet, member) == 0) {
        REQUIRE(now_ns() < until_ns, "member %lld leads nothing", (long long)member);
        pause_ms(500);
    }
}

static const char *state_of(struct fleet *fleet, size_t k)
{
    static char state[32];
    json_t *root = ask(fleet, (const char *[]){"top", "-o", "json", NULL});

    snprintf(state, sizeof state, "%s",
             json_string_value(
                 json_object_get(json_array_get(json_object_get(root, "members"), k), "state")));
    json_decref(root);
    return state;
}

/* Whatever else it finds: the disk of a test's machine may be nearly full. */
static void doctor_says(struct fleet *fleet, const char *words)
{
    int code = fleet_admin_both(fleet, out, err, TEXT_SIZE, (const char *[]){"doctor", NULL});

    REQUIRE((code == 0 || code == 4) && strstr(out, words),
            "doctor: exit code %d, no \"%s\" in %s%s", code, words, out, err);
}

/* Under load that is judged; a start ends it as `undrain` does. */
static void drained_leads_nothing(struct fleet *fleet, struct load_result *result)
{
    struct load *load = load_start(fleet->resp_port, 4);
    json_t *root = ask(fleet, (const char *[]){"drain", "--wait", "-o", "json", "2", NULL});

    REQUIRE(number(json_array_get(json_object_get(root, "nodes"), 0), "leaders") == 0, "%s", out);
    json_decref(root);
    pause_ms(3000);
    REQUIRE(led_by(fleet, 2) == 0, "a drained node leads");
    REQUIRE(strcmp(state_of(fleet, 1), "drained") == 0, "%s", out);
    doctor_says(fleet, "ring-admin undrain 2");
    run(fleet, 0, (const char *[]){"undrain", fleet->addresses[1], NULL});
    wait_until_it_leads(fleet, 2);
    doctor_says(fleet, "no node is drained");
    run(fleet, 0, (const char *[]){"drain", "--wait", "2", NULL});
    fleet_stop(fleet, &fleet->nodes[1]);
    run(fleet, 3, (const char *[]){"drain", "2", NULL});
    fleet_start_node(fleet, 1);
    wait_until_it_leads(fleet, 2);
    REQUIRE(strcmp(state_of(fleet, 1), "leads") == 0, "%s", out);
    load_finish(load, result);
}

static void refuses(struct fleet *fleet)
{
    run(fleet, 2, (const char *[]){"drain", "9", NULL});
    run(fleet, 2, (const char *[]){"drain", NULL});
    run(fleet, 2, (const char *[]){"top", "--seconds", "61", NULL});
    run(fleet, 2, (const char *[]){"top", "--rows", "0", NULL});
}

void scenario_balance(const struct scenario_options *options)
{
    static struct writer writer;
    struct load_result result;
    struct fleet fleet;
    json_int_t leader;

    fleet_open_with(&fleet, options->folder, NODES, PARTITIONS, NULL);
    refuses(&fleet);
    leader = choose_keys(&fleet, &writer);
    writer.port = fleet.resp_port;
    REQUIRE(pthread_create(&writer.thread, NULL, write_all_the_time, &writer) == 0, "no thread");
    load_is_spread(&fleet, &writer);
    for (uint32_t tries = 1; !top_names_them(&fleet, &writer); tries++)
        REQUIRE(tries < TOP_TRIES, "%s", out);
    atomic_store(&writer.stop, true);
    pthread_join(writer.thread, NULL);
    drained_leads_nothing(&fleet, &result);
    fleet_wait_healthy(&fleet, HEALTHY_MS);
    fleet_close(&fleet);
    scenario_say(options,
                 "three hot partitions of member %lld were spread, and stayed over %u writes; a "
                 "drained member led nothing under %u judged operations, %u unknown",
                 (long long)leader, writer.written, result.operations, result.unknown);
}
