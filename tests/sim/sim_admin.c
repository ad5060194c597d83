#include "tests/sim/sim_admin.h"

#include "ring/wire.h"
#include "tests/sim/sim_change.h"
#include "tests/sim/sim_cluster.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define STEP_US       (200 * SIM_MS)
#define MEND_US       (500 * SIM_MS)
#define CHANGE_NUMBER (UINT64_C(1) << 32) /* correlations of changes begin here */
#define CHANGE_US_MAX (11 * SIM_SECOND)   /* a node gives up before */

static struct sim_random *admin_random(const struct sim_admin *admin)
{
    return sim_stream(admin->cluster->sim, SIM_STREAM_ADMIN);
}

bool sim_admin_founded(const struct sim_admin *admin)
{
    return admin->step == 2;
}

void sim_admin_make_box(uint8_t *box, uint8_t id, const uint8_t key[VAULT_KEY_SIZE],
                        const uint8_t *public_key)
{
    memset(box, 0, RINGMAP_BOX_SIZE);
    memcpy(box, key, VAULT_KEY_SIZE);
    box[VAULT_KEY_SIZE] = id;
    box[VAULT_KEY_SIZE + 1] = public_key[0];
}

void sim_admin_add_key(struct ringmap *map, struct sim_random *random)
{
    uint8_t(*boxes)[RINGMAP_BOX_SIZE], key[VAULT_KEY_SIZE];
    uint8_t id = (uint8_t)(ringmap_key_current(map) + 1);
    int r = ringmap_add_key(map, id, &boxes);
    assert(r == 0);
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)sim_random_next(random);
    for (uint32_t i = 0; i < map->member_count; i++)
        if (ringmap_takes_part(map->members[i].state))
            sim_admin_make_box(boxes[i], id, key, map->members[i].public_key);
}

/* Those that the node which is asked makes: here they are the same whoever makes them. */
static void make_boxes(struct ringmap *map)
{
    for (uint32_t key = 0; key < map->key_count; key++) {
        uint8_t(*boxes)[RINGMAP_BOX_SIZE] = map->boxes + (size_t)key * map->member_count;
        const uint8_t *any = NULL;
        for (uint32_t i = 0; i < map->member_count && !any; i++)
            any = ringmap_box(map, key, map->members[i].id);
        for (uint32_t i = 0; i < map->member_count; i++)
            if (ringmap_takes_part(map->members[i].state) &&
                !ringmap_box(map, key, map->members[i].id))
                sim_admin_make_box(boxes[i], map->key_ids[key], any, map->members[i].public_key);
    }
}

bool sim_admin_open_box(const uint8_t *box, uint8_t endpoint, uint8_t id,
                        uint8_t key[VAULT_KEY_SIZE])
{
    memcpy(key, box, VAULT_KEY_SIZE);
    return box[VAULT_KEY_SIZE] == id && box[VAULT_KEY_SIZE + 1] == endpoint;
}

uint8_t sim_admin_kind(const struct sim_admin *admin, const uint8_t *hash)
{
    for (uint64_t number = 1; number <= admin->changes; number++)
        if (memcmp(admin->wanted[number].hash, hash, RINGMAP_HASH_SIZE) == 0)
            return admin->wanted[number].kind;
    return SIM_CHANGE_KINDS;
}

void sim_admin_map_seen(struct sim_admin *admin, uint64_t epoch, const uint8_t *hash,
                        const char *who)
{
    if (epoch >= SIM_EPOCHS_MAX)
        return;
    if (!admin->maps[epoch].known) {
        admin->maps[epoch].known = true;
        memcpy(admin->maps[epoch].hash, hash, RINGMAP_HASH_SIZE);
        sim_fold(admin->cluster->sim, 10, epoch, hash[0]);
        sim_trace(admin->cluster->sim, 1, "the ring map of epoch %" PRIu64 " is seen at %s", epoch,
                  who);
    } else if (memcmp(admin->maps[epoch].hash, hash, RINGMAP_HASH_SIZE) != 0) {
        sim_fail(admin->cluster->sim, "%s has another ring map of epoch %" PRIu64, who, epoch);
    }
}

static void send(struct sim_admin *admin, uint8_t node, uint8_t type, uint64_t correlation,
                 const void *bytes, size_t size)
{
    struct wire_buffer body = {0};
    if (bytes)
        wire_put_bin(&body, bytes, size);
    struct link_message message = {.type = type,
                                   .partition = WIRE_PARTITION_NODE,
                                   .correlation = correlation,
                                   .body = body.data,
                                   .body_size = body.size};
    sim_net_send(admin->cluster->net, 0, node, true, 0, &message);
    wire_buffer_deinit(&body);
}

/* --- the founding -------------------------------------------------------------------------- */

static void run_founding(void *context, uint64_t argument)
{
    struct sim_admin *admin = context;
    struct sim_cluster *cluster = admin->cluster;
    (void)argument;
    if (sim_admin_founded(admin))
        return;
    for (uint8_t i = 1; i <= cluster->sim->swarm.nodes; i++) {
        if (admin->replies >> i & 1)
            continue;
        if (admin->step == 0)
            send(admin, i, WIRE_PREPARE, 1, cluster->blob, cluster->blob_size);
        else
            send(admin, i, WIRE_COMMIT, 2, cluster->hash, sizeof cluster->hash);
    }
    sim_after(cluster->sim, STEP_US, run_founding, admin, 0);
}

static void run_change(void *context, uint64_t argument);

static void wait_for_change(struct sim_admin *admin)
{
    uint64_t mean_us = admin->cluster->sim->swarm.change_ms * SIM_MS;
    if (admin->cluster->healing)
        mean_us = MEND_US;
    sim_after(admin->cluster->sim,
              sim_random_between(admin_random(admin), mean_us / 2, 2 * mean_us), run_change, admin,
              0);
}

/* Once the cluster is founded. */
static bool is_idle(const struct sim_swarm *swarm)
{
    return swarm->change_ms == 0 && swarm->tickets_ms == 0;
}

static void on_founding_reply(struct sim_admin *admin, const struct sim_message *message)
{
    struct sim_cluster *cluster = admin->cluster;
    struct wire_cursor cursor;
    if (message->message.correlation != (uint64_t)admin->step + 1)
        return;
    wire_cursor_init(&cursor, message->message.body, message->message.body_size);
    bool ok = wire_get_array(&cursor, 3) == 3 && wire_get_bool(&cursor);
    size_t size = 0;
    const char *why = ok ? "" : wire_get_string(&cursor, 200, &size);
    if (!ok)
        sim_trace(cluster->sim, 1, "admin: node %u refuses: %.*s", message->from, (int)size,
                  why ? why : "");
    else
        admin->replies |= 1u << message->from;
    if (admin->replies != (1u << (cluster->sim->swarm.nodes + 1)) - 2)
        return;
    admin->replies = 0;
    admin->step++;
    sim_trace(cluster->sim, 1, "admin: all nodes have %s",
              admin->step == 1 ? "prepared" : "committed");
    if (!sim_admin_founded(admin))
        return;
    admin->founded_us = cluster->sim->now_us;
    const struct sim_swarm *swarm = &cluster->sim->swarm;
    if (is_idle(swarm))
        sim_net_stop(cluster->net, 0, false);
    if (swarm->change_ms)
        wait_for_change(admin);
    if (swarm->tickets_ms)
        sim_tickets_start(&cluster->tickets, cluster);
    if (swarm->drain_ms)
        sim_drain_start(&cluster->drain, cluster);
    if (swarm->copies)
        sim_copy_start(&cluster->copy, cluster);
}

/* --- changes of the ring map --------------------------------------------------------------- */

/* That was ever a member: it may be down, or removed meanwhile. */
static uint8_t any_node(struct sim_admin *admin)
{
    uint8_t node;
    do {
        uint64_t member = 1 + sim_random_below(admin_random(admin), SIM_NODES_MAX);
        node = admin->cluster->endpoints[member];
    } while (node == 0);
    return node;
}

static void run_change(void *context, uint64_t argument)
{
    struct sim_admin *admin = context;
    (void)argument;
    send(admin, any_node(admin), WIRE_MAP_GET, ++admin->asked, NULL, 0);
    wait_for_change(admin);
}

static void send_change(struct sim_admin *admin, uint64_t number, const uint8_t *blob, size_t size)
{
    admin->sent++;
    admin->sent_us = admin->cluster->sim->now_us;
    send(admin, any_node(admin), WIRE_MAP_CHANGE, CHANGE_NUMBER + number, blob, size);
}

bool sim_admin_quiet(const struct sim_admin *admin)
{
    return admin->answered == admin->sent ||
           admin->cluster->sim->now_us > admin->sent_us + CHANGE_US_MAX;
}

/* The successor of what the node gave. */
static void ask_change(struct sim_admin *admin, const struct ringmap *map)
{
    struct ringmap next;
    uint64_t number = admin->changes + 1;
    uint8_t kind;
    if (!(admin->cluster->healing ? sim_change_mend(admin, map, &next, &kind)
                                  : sim_change_next(admin, map, &next, &kind)))
        return;
    ringmap_check(&next);
    size_t size = ringmap_encoded_size(&next);
    uint8_t *blob = malloc(size), *whole = malloc(size);
    assert(blob && whole);
    ringmap_encode(&next, blob);
    make_boxes(&next);
    ringmap_encode(&next, whole);
    if (number < SIM_EPOCHS_MAX) {
        admin->changes = number;
        admin->wanted[number].epoch = next.epoch;
        admin->wanted[number].kind = kind;
        ringmap_hash(whole, size, admin->wanted[number].hash);
        send_change(admin, number, blob, size);
        if (sim_random_below(admin_random(admin), 3) == 0)
            send_change(admin, number, blob, size);
    }
    ringmap_deinit(&next);
    free(blob);
    free(whole);
}

static void on_map(struct sim_admin *admin, const struct link_message *message)
{
    struct wire_cursor cursor;
    struct ringmap map;
    size_t size;
    wire_cursor_init(&cursor, message->body, message->body_size);
    const uint8_t *blob = wire_get_bin(&cursor, RINGMAP_SIZE_MAX, &size);
    if (cursor.failed || message->correlation != admin->asked)
        return;
    int r = ringmap_decode(blob, size, &map);
    if (r != 0) {
        sim_fail(admin->cluster->sim, "a node gives a ring map that does not decode");
        return;
    }
    uint32_t rivals = sim_random_below(admin_random(admin), 4) == 0 ? 2 : 1;
    if (admin->cluster->healing)
        rivals = 1;
    for (uint32_t i = 0; i < rivals; i++)
        ask_change(admin, &map);
    ringmap_deinit(&map);
}

static void on_change_reply(struct sim_admin *admin, const struct link_message *message,
                            const struct sim_node *from)
{
    struct wire_cursor cursor;
    struct wire_map_reply reply;
    uint64_t number = message->correlation - CHANGE_NUMBER;
    wire_cursor_init(&cursor, message->body, message->body_size);
    if (!wire_get_map_reply(&cursor, &reply) || number == 0 || number > admin->changes) {
        sim_fail(admin->cluster->sim, "an answer to a change of the ring map is none");
        return;
    }
    admin->answered++;
    sim_trace(admin->cluster->sim, 1, "admin: change %" PRIu64 " ends with %u %s", number,
              reply.outcome, reply.why);
    /* One that has yet to learn that it has joined may refuse, and one that was removed. */
    if (reply.outcome == WIRE_MAP_REFUSED && from->node && node_map(from->node) &&
        !node_removed(from->node))
        sim_fail(admin->cluster->sim, "a change of the ring map is refused: %s", reply.why);
    if (reply.outcome != WIRE_MAP_DONE)
        return;
    admin->done++;
    uint64_t epoch = admin->wanted[number].epoch;
    sim_admin_map_seen(admin, epoch, admin->wanted[number].hash, "the admin");
    if (epoch > admin->epoch_done)
        admin->epoch_done = epoch;
}

static void on_link(void *context, uint8_t peer, uint64_t link, bool by_us)
{
    (void)context;
    (void)peer;
    (void)link;
    (void)by_us;
}

static void on_message(void *context, struct sim_message *message, bool by_us)
{
    struct sim_admin *admin = context;
    (void)by_us;
    switch (message->message.type) {
    case WIRE_MAP:
        on_map(admin, &message->message);
        break;
    case WIRE_MAP_CHANGE_REPLY:
        on_change_reply(admin, &message->message, sim_cluster_node(admin->cluster, message->from));
        break;
    case WIRE_TICKET_COMMAND_REPLY:
        sim_tickets_reply(&admin->cluster->tickets, &message->message);
        break;
    case WIRE_DRAIN_REPLY:
        sim_drain_reply(&admin->cluster->drain, &message->message);
        break;
    default:
        if (!sim_ask_reply(&admin->cluster->ask, message))
            on_founding_reply(admin, message);
    }
    sim_message_free(message);
}

static void dial_founders(struct sim_admin *admin)
{
    struct sim_net_handler handler = {admin, on_link, on_link, on_message};
    struct sim_cluster *cluster = admin->cluster;
    sim_net_start(cluster->net, 0, &handler);
    for (uint8_t i = 1; i <= cluster->sim->swarm.nodes; i++)
        sim_net_dial(cluster->net, 0, i);
}

void sim_admin_start(struct sim_admin *admin, struct sim_cluster *cluster)
{
    admin->cluster = cluster;
    dial_founders(admin);
    sim_after(cluster->sim, 10 * SIM_MS, run_founding, admin, 0);
}

/* Who was idle has all founders, and nobody else, to talk to. */
void sim_admin_return(struct sim_admin *admin)
{
    if (is_idle(&admin->cluster->sim->swarm))
        dial_founders(admin);
}
