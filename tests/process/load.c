#include "tests/process/load.h"

#include "tests/process/fleet.h"
#include "tests/process/program.h"
#include "tests/process/resp_client.h"
#include "tests/sim/judge.h"
#include "tests/dice.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRING_KEYS   6u
#define NUMBER_KEYS   3u
#define TAGS          2u
#define TAG_KEYS      3u
#define GENERATION_NS 1000000000ull
/* With less thought, clients take all the processors there are, and sanitizers need more of them
 * for each command. One of HASTE_OF thinks for HASTE_MS_MAX only: what is killed is to find
 * commands in flight. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define THINK_MS_MAX 45u
#define HASTE_MS_MAX 6u
#else
#define THINK_MS_MAX 15u
#define HASTE_MS_MAX 2u
#endif
#define HASTE_OF     4u
#define CALL_MS_MAX  30000u
#define RECONNECT_MS 5u
#define KEY_SIZE     32u
#define WORDS_MAX    (1 + 2 * TAG_KEYS)
#define DEADLINE_MS  10000u /* of an operation, at the router */
#define ANSWER_MS    1000u  /* behind it */
#define WATCH_MS     50u
#define STILL_MS     400u /* a watch that comes so late: nothing has run, and there are elections */

struct load_client {
    struct load *load;
    pthread_t thread;
    struct resp_client resp;
    uint32_t identity; /* to the judge */
    struct dice dice;
    uint64_t sequence;
    _Atomic uint64_t success_ns; /* of the last one */
    _Atomic uint64_t gap_ns;     /* longest since the window began */
};

struct load {
    uint16_t ports[2]; /* of client i: i % 2 */
    uint32_t client_count;
    struct load_client clients[LOAD_CLIENTS_MAX];
    uint64_t begin_ns;
    pthread_t watch;
    _Atomic uint64_t still_ns; /* the machine stood, until then; 0: it never did */
    atomic_bool stopping;
    pthread_mutex_t mutex; /* the judge, and time as it sees it */
    struct judge *judge;
    uint32_t identities;
    struct load_result result;
};

/* One command with what the judge is told of it. Texts live in the arrays. */
struct command {
    struct judge_call call;
    struct resp_text words[WORDS_MAX];
    size_t word_count;
    char keys[TAG_KEYS][KEY_SIZE], values[TAG_KEYS][KEY_SIZE];
};

static void add_word(struct command *command, const char *text)
{
    command->words[command->word_count++] = (struct resp_text){text, strlen(text)};
}

static void add_key(struct command *command, uint8_t i)
{
    command->call.keys[i] = (struct judge_bytes){command->keys[i], strlen(command->keys[i])};
    command->call.key_count = (uint8_t)(i + 1);
    add_word(command, command->keys[i]);
}

static void add_value(struct load_client *client, struct command *command, uint8_t i)
{
    snprintf(command->values[i], KEY_SIZE, "%u.%llu.%u;", client->identity,
             (unsigned long long)client->sequence, i);
    command->call.values[i] = (struct judge_bytes){command->values[i], strlen(command->values[i])};
    add_word(command, command->values[i]);
}

static void name_string(char key[KEY_SIZE], uint64_t generation, uint32_t i)
{
    snprintf(key, KEY_SIZE, "s%llu:%u", (unsigned long long)generation, i);
}

static void name_number(char key[KEY_SIZE], uint64_t generation, uint32_t i)
{
    snprintf(key, KEY_SIZE, "n%llu:%u", (unsigned long long)generation, i);
}

static void name_tagged(char key[KEY_SIZE], uint64_t generation, uint32_t tag, uint32_t i)
{
    snprintf(key, KEY_SIZE, "{t%llu:%u}%u", (unsigned long long)generation, tag, i);
}

static void draw_string(struct load_client *client, struct command *command, uint64_t generation)
{
    static const struct {
        uint8_t kind;
        bool has_value;
        const char *word;
    } commands[] = {{JUDGE_GET, false, "GET"},     {JUDGE_GET, false, "GET"},
                    {JUDGE_SET, true, "SET"},      {JUDGE_APPEND, true, "APPEND"},
                    {JUDGE_SETNX, true, "SETNX"},  {JUDGE_DEL, false, "DEL"},
                    {JUDGE_GETSET, true, "GETSET"}};
    uint32_t choice = dice_pick(&client->dice, sizeof commands / sizeof *commands);

    command->call.kind = commands[choice].kind;
    name_string(command->keys[0], generation, dice_pick(&client->dice, STRING_KEYS));
    add_word(command, commands[choice].word);
    add_key(command, 0);
    if (commands[choice].has_value)
        add_value(client, command, 0);
}

static void draw_number(struct load_client *client, struct command *command, uint64_t generation)
{
    uint32_t choice = dice_pick(&client->dice, 10);

    command->call.kind = choice == 0 ? JUDGE_DEL : choice < 3 ? JUDGE_GET : JUDGE_INCR;
    command->call.delta = 1;
    name_number(command->keys[0], generation, dice_pick(&client->dice, NUMBER_KEYS));
    add_word(command, choice == 0 ? "DEL" : choice < 3 ? "GET" : "INCR");
    add_key(command, 0);
}

static void draw_batch(struct load_client *client, struct command *command, uint64_t generation)
{
    uint32_t tag = dice_pick(&client->dice, TAGS);
    bool write = dice_pick(&client->dice, 2) == 0;

    command->call.kind = write ? JUDGE_MSET : JUDGE_MGET;
    add_word(command, write ? "MSET" : "MGET");
    for (uint8_t i = 0; i < TAG_KEYS; i++) {
        name_tagged(command->keys[i], generation, tag, i);
        add_key(command, i);
        if (write)
            add_value(client, command, i);
    }
}

static void draw_command(struct load_client *client, struct command *command)
{
    uint64_t generation = (now_ns() - client->load->begin_ns) / GENERATION_NS;
    uint32_t choice = dice_pick(&client->dice, 10);

    *command = (struct command){0};
    client->sequence++;
    if (choice < 6)
        draw_string(client, command, generation);
    else if (choice < 8)
        draw_number(client, command, generation);
    else
        draw_batch(client, command, generation);
}

static bool starts_with(const struct resp_value *value, const char *prefix)
{
    return value->kind == '-' && value->text.size >= strlen(prefix) &&
           memcmp(value->text.data, prefix, strlen(prefix)) == 0;
}

static void make_reply(const struct resp_value *value, struct judge_reply *reply)
{
    *reply = (struct judge_reply){.error = value->kind == '-', .integer = value->integer};
    reply->values[0] = (struct judge_bytes){value->text.data, value->text.size};
    for (size_t i = 0; value->kind == '*' && i < value->item_count; i++)
        reply->values[i] = (struct judge_bytes){value->items[i].data, value->items[i].size};
}

/* Whether it was while the operation was under way, or within a deadline before now. */
static bool may_explain(uint64_t cause_ns)
{
    return cause_ns != 0 && now_ns() - cause_ns <= (DEADLINE_MS + ANSWER_MS) * UINT64_C(1000000);
}

/* mutex held. */
static void note_unknown(struct load *load, const struct command *command, const char *why)
{
    load->result.unknown++;
    if (may_explain(fleet_killed_ns()) || may_explain(atomic_load(&load->still_ns)))
        return;
    load->result.unexplained++;
    fprintf(stderr, "%s %s, %llu ms after it was sent, %llu ms after the last kill: %s\n",
            command->words[0].data, command->keys[0],
            (unsigned long long)(now_ns() - command->call.time) / 1000000,
            (unsigned long long)(now_ns() - fleet_killed_ns()) / 1000000, why);
}

/* What an answer means to the judge. mutex held. True when the command succeeded. */
static bool note_answer(struct load *load, uint32_t op, const struct command *command,
                        const struct resp_value *value)
{
    struct judge_reply reply;

    if (starts_with(value, "UNKNOWNRESULT")) {
        note_unknown(load, command, "UNKNOWNRESULT");
        return false;
    }
    if (starts_with(value, "TRYAGAIN") || starts_with(value, "CLUSTERDOWN") ||
        starts_with(value, "NOSPACE")) {
        judge_fail(load->judge, op, now_ns());
        load->result.refused +=
            command->call.time >= fleet_ready_ns() && !may_explain(atomic_load(&load->still_ns));
        return false;
    }
    REQUIRE(value->kind != '-' || starts_with(value, "ERR value is not an integer"), "%.*s",
            (int)value->text.size, value->text.data);
    make_reply(value, &reply);
    REQUIRE(judge_return(load->judge, op, now_ns(), &reply) == 0, "no memory");
    load->result.operations++;
    return true;
}

static void note_success(struct load_client *client)
{
    uint64_t now = now_ns(), gap = now - atomic_load(&client->success_ns);

    if (gap > atomic_load(&client->gap_ns))
        atomic_store(&client->gap_ns, gap);
    atomic_store(&client->success_ns, now);
}

/* One command, recorded. Returns 0 when it was answered, < 0 when the connection is lost. */
static int call(struct load_client *client, struct command *command)
{
    struct load *load = client->load;
    struct resp_value value;
    bool good = false;
    uint32_t op;
    int r;

    pthread_mutex_lock(&load->mutex);
    command->call.client = client->identity;
    command->call.time = now_ns();
    r = judge_call(load->judge, &command->call, &op);
    pthread_mutex_unlock(&load->mutex);
    REQUIRE(r == 0, "%s", strerror(-r));
    r = resp_client_call(&client->resp, command->words, command->word_count, &value);
    pthread_mutex_lock(&load->mutex);
    if (r == 0)
        good = note_answer(load, op, command, &value);
    else
        note_unknown(load, command, strerror(-r));
    if (r != 0 || (!good && starts_with(&value, "UNKNOWNRESULT")))
        client->identity = load->identities++;
    pthread_mutex_unlock(&load->mutex);
    if (good)
        note_success(client);
    return r;
}

static void *run(void *argument)
{
    struct load_client *client = argument;
    struct load *load = client->load;
    bool hasty = (client - load->clients) % HASTE_OF == 0;
    uint16_t port = load->ports[(client - load->clients) % 2];
    uint32_t think_ms_max = hasty ? HASTE_MS_MAX : THINK_MS_MAX;
    struct command command;

    while (!atomic_load(&load->stopping)) {
        if (client->resp.fd < 0 && resp_client_connect(&client->resp, port, CALL_MS_MAX) != 0) {
            pause_ms(RECONNECT_MS);
            continue;
        }
        draw_command(client, &command);
        (void)call(client, &command);
        pause_ms(dice_pick(&client->dice, think_ms_max + 1));
    }
    return NULL;
}

/* Whoever stops the machine stops this, too. */
static void *watch(void *argument)
{
    struct load *load = argument;

    while (!atomic_load(&load->stopping)) {
        uint64_t begin_ns = now_ns();

        pause_ms(WATCH_MS);
        if (now_ns() - begin_ns >= STILL_MS * UINT64_C(1000000))
            atomic_store(&load->still_ns, now_ns());
    }
    return NULL;
}

struct load *load_start(uint16_t resp_port, uint32_t clients)
{
    return load_start_two(resp_port, resp_port, clients);
}

struct load *load_start_two(uint16_t resp_port, uint16_t other_port, uint32_t clients)
{
    struct load *load = calloc(1, sizeof *load);
    struct judge_options options;

    REQUIRE(load && clients <= LOAD_CLIENTS_MAX, "no memory");
    judge_options_default(&options);
    load->judge = judge_new(&options);
    REQUIRE(load->judge, "no memory");
    load->ports[0] = resp_port;
    load->ports[1] = other_port;
    load->client_count = clients;
    load->begin_ns = now_ns();
    pthread_mutex_init(&load->mutex, NULL);
    for (uint32_t i = 0; i < clients; i++) {
        struct load_client *client = &load->clients[i];

        client->load = load;
        client->identity = load->identities++;
        client->dice.state = draw(UINT32_MAX);
        client->success_ns = load->begin_ns;
        resp_client_init(&client->resp);
        REQUIRE(pthread_create(&client->thread, NULL, run, client) == 0, "no thread");
    }
    REQUIRE(pthread_create(&load->watch, NULL, watch, load) == 0, "no thread");
    return load;
}

void load_window_begin(struct load *load)
{
    for (uint32_t i = 0; i < load->client_count; i++)
        atomic_store(&load->clients[i].gap_ns, 0);
}

uint32_t load_window_end(struct load *load)
{
    uint64_t longest_ns = 0;

    for (uint32_t i = 0; i < load->client_count; i++) {
        uint64_t gap = atomic_load(&load->clients[i].gap_ns);
        uint64_t since = now_ns() - atomic_load(&load->clients[i].success_ns);

        if (since > gap)
            gap = since;
        if (gap > longest_ns)
            longest_ns = gap;
    }
    return (uint32_t)(longest_ns / 1000000);
}

bool load_all_served(struct load *load, uint64_t since_ns)
{
    bool all = true;

    for (uint32_t i = 0; i < load->client_count; i++)
        all = all && atomic_load(&load->clients[i].success_ns) >= since_ns;
    return all;
}

void load_count(struct load *load, struct load_result *result)
{
    pthread_mutex_lock(&load->mutex);
    *result = load->result;
    pthread_mutex_unlock(&load->mutex);
}

/* A GET that must be answered: the last word on what is there. */
static void read_key(struct load_client *client, const char *key)
{
    for (uint32_t tries = 0;; tries++) {
        struct command command = {.call = {.kind = JUDGE_GET}};
        uint32_t before = client->load->result.operations;

        snprintf(command.keys[0], KEY_SIZE, "%s", key);
        add_word(&command, "GET");
        add_key(&command, 0);
        if (client->resp.fd < 0)
            (void)resp_client_connect(&client->resp, client->load->ports[0], CALL_MS_MAX);
        if (call(client, &command) == 0 && client->load->result.operations > before)
            return;
        REQUIRE(tries < 100, "GET %s is not answered", key);
        pause_ms(100);
    }
}

static void read_all(struct load *load, uint64_t generations)
{
    struct load_client *client = &load->clients[0];
    char key[KEY_SIZE];

    for (uint64_t g = 0; g <= generations; g++) {
        for (uint32_t i = 0; i < STRING_KEYS; i++) {
            name_string(key, g, i);
            read_key(client, key);
        }
        for (uint32_t i = 0; i < NUMBER_KEYS; i++) {
            name_number(key, g, i);
            read_key(client, key);
        }
        for (uint32_t i = 0; i < TAGS * TAG_KEYS; i++) {
            name_tagged(key, g, i / TAG_KEYS, i % TAG_KEYS);
            read_key(client, key);
        }
    }
}

void load_finish(struct load *load, struct load_result *result)
{
    struct judge_verdict verdict;
    uint64_t generations;
    int r;

    atomic_store(&load->stopping, true);
    for (uint32_t i = 0; i < load->client_count; i++)
        pthread_join(load->clients[i].thread, NULL);
    pthread_join(load->watch, NULL);
    generations = (now_ns() - load->begin_ns) / GENERATION_NS;
    read_all(load, generations);
    r = judge_run(load->judge, &verdict);
    if (r != JUDGE_E_OK)
        judge_explain(load->judge, &verdict, stderr);
    REQUIRE(r == JUDGE_E_OK, "the history is not linearizable: %s", verdict.why);
    *result = load->result;
    judge_free(load->judge);
    for (uint32_t i = 0; i < load->client_count; i++)
        resp_client_deinit(&load->clients[i].resp);
    pthread_mutex_destroy(&load->mutex);
    free(load);
}
