#include "harness.h"

#include "ring/mix.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void harness_step(struct harness *h, struct router_event *event)
{
    event->now_ms = h->now_ms;
    event->wall_ms = HARNESS_EPOCH_MS + h->now_ms;
    event->random = mix_next(&h->random);
    router_step(h->router, event);
}

void harness_map(struct harness *h)
{
    struct router_event event = {.kind = ROUTER_EVENT_MAP, .map = &h->map};

    harness_step(h, &event);
}

void harness_up(struct harness *h, uint16_t member)
{
    struct router_event event = {
        .kind = ROUTER_EVENT_LINK_UP, .member = member, .shards = HARNESS_SHARDS};

    cr_assert(!h->up[member]);
    h->up[member] = true;
    h->link[member]++;
    wire_buffer_clear(&h->results[member]);
    wire_buffer_clear(&h->claims[member]);
    memset(h->refused[member], 0, sizeof h->refused[member]);
    memset(h->epoch_seen[member], 0, sizeof h->epoch_seen[member]);
    memset(h->lost[member], 0, sizeof h->lost[member]);
    harness_step(h, &event);
}

void harness_down(struct harness *h, uint16_t member)
{
    struct router_event event = {.kind = ROUTER_EVENT_LINK_DOWN, .member = member};

    cr_assert(h->up[member]);
    h->up[member] = false;
    h->link[member]++;
    wire_buffer_clear(&h->results[member]);
    wire_buffer_clear(&h->claims[member]);
    harness_step(h, &event);
}

static void harness_found(struct ringmap *map, uint64_t epoch, uint16_t members, uint32_t width)
{
    cr_assert_eq(ringmap_init(map, members, HARNESS_PARTITIONS, width), 0);
    map->epoch = epoch;
    memset(map->hash_secret, 7, sizeof map->hash_secret);
    for (uint16_t m = 0; m < members; m++) {
        map->members[m].id = (uint16_t)(m + 1);
        map->members[m].state = RINGMAP_STATE_ACTIVE;
        map->members[m].weight = RINGMAP_WEIGHT_DEFAULT;
        snprintf(map->members[m].address, RINGMAP_ADDRESS_SIZE, "127.0.0.1:%u", 7000u + m);
    }
}

void harness_move(struct harness *h, uint32_t width, const uint16_t *first, bool moving)
{
    uint32_t before = h->map.replica_count;
    uint32_t columns = moving && before > width ? before : width;
    struct ringmap next;
    uint16_t *wanted;

    harness_found(&next, h->map.epoch + 1, HARNESS_MEMBERS_MAX, columns);
    wanted = next.replicas;
    if (moving) {
        next.target = calloc((size_t)HARNESS_PARTITIONS * columns, sizeof *next.target);
        cr_assert(next.target);
        wanted = next.target;
        for (uint16_t p = 0; p < HARNESS_PARTITIONS; p++)
            memcpy(next.replicas + p * columns, ringmap_wanted(&h->map, p),
                   before * sizeof *next.replicas);
    }
    for (uint16_t p = 0; p < HARNESS_PARTITIONS; p++) {
        for (uint32_t i = 0; i < width; i++)
            wanted[p * columns + i] = (uint16_t)((first[p] - 1 + i) % HARNESS_MEMBERS_MAX + 1);
        h->leader[p] = first[p];
    }
    ringmap_deinit(&h->map);
    h->map = next;
}

/* Does it have a replica? While the map moves, both rows do. */
static bool harness_hosts(const struct harness *h, uint16_t member, uint16_t partition)
{
    const uint16_t *rows[] = {ringmap_wanted(&h->map, partition), ringmap_row(&h->map, partition)};

    for (uint32_t i = 0; i < 2 * h->map.replica_count; i++)
        if (rows[i % 2][i / 2] == member)
            return true;
    return false;
}

struct harness *harness_new(const struct router_options *options, bool bare)
{
    struct harness *h = calloc(1, sizeof *h);

    cr_assert(h);
    if (options)
        h->options = *options;
    else
        router_options_default(&h->options);
    h->options.session = 77;
    h->now_ms = 1000;
    h->random = 42;
    harness_found(&h->map, 1, HARNESS_MEMBERS, HARNESS_MEMBERS);
    for (uint16_t p = 0; p < HARNESS_PARTITIONS; p++) {
        for (uint16_t i = 0; i < HARNESS_MEMBERS; i++)
            h->map.replicas[p * HARNESS_MEMBERS + i] = (uint16_t)((p + i) % HARNESS_MEMBERS + 1);
        h->leader[p] = h->map.replicas[p * HARNESS_MEMBERS];
    }
    cr_assert_eq(router_new(&h->router, &h->options), 0);
    if (bare)
        return h;
    harness_map(h);
    for (uint16_t m = 1; m <= HARNESS_MEMBERS; m++)
        harness_up(h, m);
    return h;
}

struct harness *harness_free(struct harness *h)
{
    router_check(h->router);
    router_free(h->router);
    ringmap_deinit(&h->map);
    for (size_t i = 0; i < h->entry_count; i++) {
        free(h->entries[i].key);
        free(h->entries[i].value);
    }
    for (size_t i = 0; i < HARNESS_CLIENTS; i++)
        free(h->clients[i].output);
    for (size_t i = 0; i < h->kept_count; i++)
        wire_buffer_deinit(&h->kept[i].body);
    for (size_t i = 0; i <= HARNESS_MEMBERS_MAX; i++) {
        wire_buffer_deinit(&h->results[i]);
        wire_buffer_deinit(&h->claims[i]);
    }
    free(h);
    return NULL;
}

static struct harness_client *harness_find(struct harness *h, uint64_t id)
{
    cr_assert(id >= 1 && id <= h->clients_opened);
    return &h->clients[id - 1];
}

static struct harness_decision decide_first(struct harness *h, uint16_t member,
                                            const struct wire_op *op, const struct wire_bytes *args)
{
    (void)member;
    (void)op;
    (void)args;
    if (h->hook_count == 0)
        return (struct harness_decision){.fate = HARNESS_SERVE};
    h->hook_count--;
    return (struct harness_decision){.fate = h->first_fate, .status = WIRE_STATUS_TRYAGAIN};
}

void harness_first(struct harness *h, int count, enum harness_fate fate)
{
    h->hook = decide_first;
    h->hook_count = count;
    h->first_fate = fate;
}

uint64_t harness_client(struct harness *h)
{
    struct router_event event = {.kind = ROUTER_EVENT_CLIENT_OPEN};

    cr_assert(h->clients_opened < HARNESS_CLIENTS);
    event.client = ++h->clients_opened;
    event.bytes = (const uint8_t *)"127.0.0.1:5000";
    event.size = 14;
    harness_step(h, &event);
    return event.client;
}

void harness_close(struct harness *h, uint64_t client)
{
    struct router_event event = {.kind = ROUTER_EVENT_CLIENT_CLOSE, .client = client};

    harness_step(h, &event);
}

void harness_bytes(struct harness *h, uint64_t client, const void *bytes, size_t size)
{
    struct router_event event = {.kind = ROUTER_EVENT_CLIENT_BYTES, .client = client};
    uint8_t *copy = malloc(size + 1); /* so that nobody keeps a pointer to it unnoticed */

    cr_assert(copy);
    memcpy(copy, bytes, size);
    event.bytes = copy;
    event.size = size;
    harness_step(h, &event);
    free(copy);
}

void harness_type(struct harness *h, uint64_t client, const char *text)
{
    harness_bytes(h, client, text, strlen(text));
}

static void harness_keep(struct harness *h, uint16_t member, const struct wire_result *result)
{
    struct harness_kept *kept = &h->kept[h->kept_count++];

    cr_assert(h->kept_count <= 64);
    *kept = (struct harness_kept){.member = member, .link = h->link[member]};
    wire_put_result(&kept->body, result);
}

static void harness_reply(struct harness *h, uint16_t member, const struct wire_op *op,
                          uint8_t status, int64_t payload)
{
    struct wire_result result = {
        .id = op->id, .status = status, .is_int = true, .integer = payload};

    wire_put_result(&h->results[member], &result);
}

/* What every shard demands of a router: order within a lane, new ids, floors that make sense. */
static void harness_demand(struct harness *h, uint16_t member, const struct wire_op *op)
{
    uint32_t *epoch = &h->epoch_seen[member][op->partition];
    uint64_t *sequence = &h->sequence_seen[member][op->partition];

    cr_assert(op->partition < HARNESS_PARTITIONS);
    cr_assert(op->lane_epoch >= *epoch, "lane epochs go up");
    if (op->lane_epoch > *epoch)
        *sequence = 0;
    *epoch = op->lane_epoch;
    if (!wire_operation_writes(op->operation)) {
        cr_assert_eq(op->sequence, 0);
        return;
    }
    cr_assert(op->sequence > *sequence, "the sequences of one lane epoch go up");
    cr_assert(op->floor >= 1 && op->floor <= op->sequence);
    cr_assert(op->sequence - op->floor < 1024, "a session window would be full");
    *sequence = op->sequence;
}

static void harness_refuse(struct harness *h, uint16_t member, const struct wire_op *op,
                           uint8_t status, int64_t payload)
{
    h->refused[member][op->partition] = op->lane_epoch;
    harness_reply(h, member, op, status, payload);
}

static void harness_operation(struct harness *h, uint16_t member, uint64_t session,
                              const struct wire_op *op)
{
    struct harness_decision decision = {.fate = HARNESS_SERVE};
    struct wire_result result;

    harness_demand(h, member, op);
    h->operations++;
    if (op->lane_epoch <= h->refused[member][op->partition]) {
        harness_reply(h, member, op, WIRE_STATUS_TRYAGAIN, 0);
        return;
    }
    if (h->hook)
        decision = h->hook(h, member, op, h->args);
    /* What a leader did not carry out, it carries out nothing after. */
    if (op->lane_epoch <= h->lost[member][op->partition] && decision.fate != HARNESS_REFUSE)
        decision.fate = HARNESS_SAY_LOST;
    if (decision.fate == HARNESS_REFUSE) {
        harness_refuse(h, member, op, decision.status, decision.payload);
        return;
    }
    if (decision.fate == HARNESS_SERVE && h->leader[op->partition] != member) {
        harness_refuse(h, member, op, WIRE_STATUS_NOT_LEADER,
                       harness_hosts(h, member, op->partition) ? h->leader[op->partition] : 0);
        return;
    }
    if (decision.fate == HARNESS_ANSWER)
        harness_reply(h, member, op, decision.status, decision.payload);
    else if (decision.fate == HARNESS_SAY_LOST)
        harness_reply(h, member, op, WIRE_STATUS_LOST, 0);
    if (decision.fate == HARNESS_SAY_LOST || decision.fate == HARNESS_LOSE)
        h->lost[member][op->partition] = op->lane_epoch;
    if (decision.fate == HARNESS_ANSWER || decision.fate == HARNESS_SAY_LOST ||
        decision.fate == HARNESS_LOSE)
        return;
    harness_apply(h, op, session, h->args, &result);
    if (decision.fate == HARNESS_KEEP)
        harness_keep(h, member, &result);
    else if (decision.fate == HARNESS_DO_SAY_LOST)
        harness_reply(h, member, op, WIRE_STATUS_LOST, 0);
    else if (decision.fate != HARNESS_LOSE_REPLY)
        wire_put_result(&h->results[member], &result);
    if (decision.fate == HARNESS_TWICE)
        wire_put_result(&h->results[member], &result);
}

static void harness_claim(struct harness *h, uint16_t member, uint16_t shard)
{
    h->leaders_asks++;
    for (uint16_t p = shard; p < HARNESS_PARTITIONS; p = (uint16_t)(p + HARNESS_SHARDS))
        if (h->leader[p] == member)
            wire_put_leader(&h->claims[member], &(struct wire_leader){p, h->term});
}

static void harness_frame(struct harness *h, const struct router_send *send)
{
    struct wire_cursor cursor;
    struct wire_op op;
    uint64_t session;
    uint16_t member = send->member;

    cr_assert(h->up[member], "a frame for a link that is down");
    if (send->message.type == WIRE_MAP_GET) {
        h->map_asks++;
        h->map_due = !h->deaf;
        return;
    }
    if (send->message.type == WIRE_LEADERS_GET) {
        cr_assert_lt(send->message.partition, HARNESS_SHARDS);
        harness_claim(h, member, send->message.partition);
        return;
    }
    cr_assert_eq(send->message.type, WIRE_OPS);
    h->frames++;
    if (h->deaf)
        return;
    wire_cursor_init(&cursor, send->message.body, send->message.body_size);
    cr_assert(wire_get_ops_head(&cursor, &session));
    while (!wire_cursor_done(&cursor)) {
        cr_assert(wire_get_op(&cursor, &op, h->args, WIRE_ARGS_MAX));
        cr_assert_eq(op.partition % HARNESS_SHARDS, send->message.partition % HARNESS_SHARDS);
        harness_operation(h, member, session, &op);
    }
    cr_assert(!cursor.failed);
}

static void harness_take(struct harness *h, const struct router_output *output)
{
    struct harness_client *client = harness_find(h, output->client);

    client->output = realloc(client->output, client->output_size + output->size + 1);
    cr_assert(client->output);
    if (output->size > 0)
        memcpy(client->output + client->output_size, output->bytes, output->size);
    client->output_size += output->size;
    client->output[client->output_size] = '\0';
    cr_assert(!client->closed, "output after the close");
    client->closed = output->close;
}

void harness_flush(struct harness *h)
{
    struct router_effects effects;
    bool more = true;

    while (more) {
        more = router_flush(h->router, h->now_ms, &effects);
        for (size_t i = 0; i < effects.send_count; i++)
            harness_frame(h, &effects.sends[i]);
        for (size_t i = 0; i < effects.output_count; i++)
            harness_take(h, &effects.outputs[i]);
        h->deadline_ms = effects.deadline_ms;
    }
    router_check(h->router);
}

static void harness_message(struct harness *h, uint16_t member, uint8_t type,
                            struct wire_buffer *body)
{
    struct link_message message = {.type = type, .body = body->data, .body_size = body->size};
    struct router_event event = {
        .kind = ROUTER_EVENT_MESSAGE, .member = member, .message = &message};

    harness_step(h, &event);
    wire_buffer_clear(body);
}

void harness_liveness(struct harness *h, uint16_t member, const struct wire_liveness *heard)
{
    struct wire_buffer body = {0};

    wire_put_liveness(&body, heard);
    harness_message(h, member, WIRE_LIVENESS, &body);
    wire_buffer_deinit(&body);
}

bool harness_deliver(struct harness *h)
{
    bool any = h->map_due;

    if (h->map_due)
        harness_map(h);
    h->map_due = false;
    for (uint16_t m = 1; m <= HARNESS_MEMBERS_MAX; m++) {
        if (h->claims[m].size > 0) {
            harness_message(h, m, WIRE_LEADERS, &h->claims[m]);
            any = true;
        }
        if (h->results[m].size == 0)
            continue;
        harness_message(h, m, WIRE_RESULTS, &h->results[m]);
        any = true;
    }
    return any;
}

void harness_run(struct harness *h)
{
    do
        harness_flush(h);
    while (harness_deliver(h));
}

void harness_advance(struct harness *h, uint64_t ms)
{
    uint64_t end = h->now_ms + ms;

    while (h->now_ms < end) {
        struct router_event tick = {.kind = ROUTER_EVENT_TICK};

        h->now_ms += end - h->now_ms < 5 ? end - h->now_ms : 5;
        harness_step(h, &tick);
        harness_run(h);
    }
}

void harness_release(struct harness *h)
{
    for (size_t i = 0; i < h->kept_count; i++) {
        struct harness_kept *kept = &h->kept[i];

        if (h->up[kept->member] && kept->link == h->link[kept->member])
            harness_message(h, kept->member, WIRE_RESULTS, &kept->body);
        wire_buffer_deinit(&kept->body);
    }
    h->kept_count = 0;
    harness_run(h);
}

const char *harness_output(struct harness *h, uint64_t id)
{
    struct harness_client *client = harness_find(h, id);

    if (client->output_size == 0)
        return "";
    client->output_size = 0;
    return client->output;
}

const char *harness_ask(struct harness *h, uint64_t client, const char *line)
{
    harness_output(h, client);
    harness_type(h, client, line);
    harness_type(h, client, "\r\n");
    harness_run(h);
    return harness_output(h, client);
}

bool harness_closed(const struct harness *h, uint64_t client)
{
    return h->clients[client - 1].closed;
}

uint16_t harness_partition(const struct harness *h, const char *key)
{
    return hash_partition(h->map.hash_secret, HARNESS_PARTITIONS, key, strlen(key), NULL);
}

const char *harness_key(const struct harness *h, uint16_t partition, unsigned i, char *text)
{
    for (unsigned n = 0;; n++) {
        sprintf(text, "k%u", n);
        if (harness_partition(h, text) == partition && i-- == 0)
            return text;
    }
}

const struct harness_entry *harness_entry(const struct harness *h, const char *key)
{
    for (size_t i = 0; i < h->entry_count; i++)
        if (strcmp(h->entries[i].key, key) == 0)
            return &h->entries[i];
    return NULL;
}
