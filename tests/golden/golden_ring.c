/* What members agree on and tell each other: ring map, tickets, gossip. */
#include "golden_ring.h"

#include "ring/swim_codec.h"
#include "ring/ticket.h"
#include "ring/tickets_command.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- ring map ------------------------------------------------------------------------------- */

static void set_member(struct ringmap *map, uint32_t slot, uint16_t id, uint8_t state)
{
    struct ringmap_member *member = &map->members[slot];

    member->id = id;
    member->state = state;
    member->weight = 100u * id;
    golden_fill(member->public_key, sizeof member->public_key, (uint8_t)(id * 16));
    snprintf(member->address, sizeof member->address, "10.0.0.%u:7001", id);
    snprintf(member->zone, sizeof member->zone, "rack-%c", 'a' + id);
}

struct ringmap golden_map(void)
{
    struct ringmap map;

    assert(ringmap_init(&map, 4, 8, 2) == 0);
    map.epoch = 9;
    golden_fill(map.cluster, sizeof map.cluster, 1);
    golden_fill(map.hash_secret, sizeof map.hash_secret, 0x80);
    set_member(&map, 0, 1, RINGMAP_STATE_ACTIVE);
    set_member(&map, 1, 2, RINGMAP_STATE_ACTIVE);
    set_member(&map, 2, 3, RINGMAP_STATE_REMOVED);
    set_member(&map, 3, 5, RINGMAP_STATE_JOINING);
    for (unsigned p = 0; p < 8; p++) {
        map.replicas[2 * p] = (uint16_t)(1 + p % 2);
        map.replicas[2 * p + 1] = (uint16_t)(2 - p % 2);
    }
    map.meta_voters[0] = 1;
    map.meta_voters[1] = 2;
    map.meta_voter_count = 2;
    return map;
}

/* On its way: member 5 is to take a place in every row from member 2, which leaves. */
static struct ringmap moving_map(void)
{
    struct ringmap map = golden_map();

    map.epoch = 10;
    map.members[1].state = RINGMAP_STATE_LEAVING;
    map.members[3].state = RINGMAP_STATE_ACTIVE;
    map.target = calloc(16, sizeof *map.target);
    assert(map.target);
    for (unsigned p = 0; p < 8; p++) {
        map.target[2 * p] = p % 2 ? 5 : 1;
        map.target[2 * p + 1] = p % 2 ? 1 : 5;
    }
    map.meta_voters[1] = 5;
    return map;
}

static void add_key(struct ringmap *map, uint8_t id)
{
    uint8_t(*boxes)[RINGMAP_BOX_SIZE];

    assert(ringmap_add_key(map, id, &boxes) == 0);
    for (uint32_t i = 0; i < map->member_count; i++)
        golden_fill(boxes[i], RINGMAP_BOX_SIZE, (uint8_t)(id + i));
}

static struct ringmap keys_map(void)
{
    struct ringmap map = golden_map();

    add_key(&map, 3);
    add_key(&map, 7);
    return map;
}

static struct ringmap settings_map(void)
{
    struct ringmap map = moving_map();

    add_key(&map, 3);
    map.paused = true;
    map.move_rate = 258;
    return map;
}

void golden_put_map(const struct ringmap *map, struct wire_buffer *out)
{
    size_t size = ringmap_encoded_size(map);
    uint8_t *bytes = malloc(size);

    assert(bytes);
    ringmap_encode(map, bytes);
    wire_put_raw(out, bytes, size);
    free(bytes);
}

static bool same_member(const struct ringmap_member *a, const struct ringmap_member *b)
{
    return a->id == b->id && a->state == b->state && a->weight == b->weight &&
           memcmp(a->public_key, b->public_key, sizeof a->public_key) == 0 &&
           strcmp(a->address, b->address) == 0 && strcmp(a->zone, b->zone) == 0;
}

static const char *compare_maps(const struct ringmap *read, const struct ringmap *want)
{
    size_t rows = (size_t)want->partition_count * want->replica_count * sizeof *want->replicas;

    GOLDEN_EXPECT(read->epoch == want->epoch);
    GOLDEN_EXPECT(memcmp(read->cluster, want->cluster, sizeof read->cluster) == 0);
    GOLDEN_EXPECT(memcmp(read->hash_secret, want->hash_secret, sizeof read->hash_secret) == 0);
    GOLDEN_EXPECT(read->partition_count == want->partition_count &&
                  read->replica_count == want->replica_count &&
                  read->member_count == want->member_count);
    for (uint32_t i = 0; i < want->member_count; i++)
        GOLDEN_EXPECT(same_member(&read->members[i], &want->members[i]));
    GOLDEN_EXPECT(memcmp(read->replicas, want->replicas, rows) == 0);
    GOLDEN_EXPECT(!read->target == !want->target);
    GOLDEN_EXPECT(!want->target || memcmp(read->target, want->target, rows) == 0);
    GOLDEN_EXPECT(read->meta_voter_count == 2 && read->meta_voters[1] == want->meta_voters[1]);
    GOLDEN_EXPECT(read->paused == want->paused && read->move_rate == want->move_rate);
    GOLDEN_EXPECT(read->key_count == want->key_count);
    for (uint32_t k = 0; k < want->key_count; k++) {
        GOLDEN_EXPECT(read->key_ids[k] == want->key_ids[k]);
        GOLDEN_EXPECT(memcmp(ringmap_box(read, k, 5), ringmap_box(want, k, 5), RINGMAP_BOX_SIZE) ==
                      0);
    }
    return NULL;
}

const char *golden_check_map(struct ringmap *want, const uint8_t *bytes, size_t size)
{
    struct wire_buffer again = {0};
    struct ringmap read;
    const char *wrong;

    GOLDEN_EXPECT(ringmap_decode(bytes, size, &read) == 0);
    wrong = compare_maps(&read, want);
    golden_put_map(&read, &again);
    ringmap_deinit(&read);
    ringmap_deinit(want);
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    return wrong;
}

#define MAP_GOLDEN(name)                                                                           \
    static void make_##name(struct wire_buffer *out)                                               \
    {                                                                                              \
        struct ringmap map = name();                                                               \
                                                                                                   \
        golden_put_map(&map, out);                                                                 \
        ringmap_deinit(&map);                                                                      \
    }                                                                                              \
    static const char *check_##name(const uint8_t *bytes, size_t size)                             \
    {                                                                                              \
        struct ringmap want = name();                                                              \
                                                                                                   \
        return golden_check_map(&want, bytes, size);                                               \
    }
MAP_GOLDEN(golden_map)
MAP_GOLDEN(moving_map)
MAP_GOLDEN(keys_map)
MAP_GOLDEN(settings_map)

/* --- tickets -------------------------------------------------------------------------------- */

static void put_ticket(uint32_t id, uint8_t role, struct wire_buffer *out)
{
    char text[TICKET_TEXT_SIZE];
    struct ticket ticket = {.id = id, .role = role};

    golden_fill(ticket.cluster, sizeof ticket.cluster, 1);
    golden_fill(ticket.psk, sizeof ticket.psk, 17);
    ticket_encode(&ticket, text);
    wire_put_raw(out, text, strlen(text));
}

static void make_ticket(struct wire_buffer *out)
{
    put_ticket(0, 0, out);
}

static void make_role_ticket(struct wire_buffer *out)
{
    put_ticket(7, LINK_ROLE_ROUTER, out);
}

static const char *compare_ticket(const uint8_t *bytes, size_t size, uint32_t id, uint8_t role)
{
    char again[TICKET_TEXT_SIZE];
    struct ticket ticket;

    GOLDEN_EXPECT(ticket_decode(&ticket, (const char *)bytes, size) == 0);
    GOLDEN_EXPECT(ticket.id == id && ticket.role == role);
    GOLDEN_EXPECT(ticket.cluster[0] == 1 && ticket.cluster[15] == 16);
    GOLDEN_EXPECT(ticket.psk[0] == 17 && ticket.psk[31] == 48);
    ticket_encode(&ticket, again);
    GOLDEN_EXPECT(strlen(again) == size && memcmp(again, bytes, size) == 0);
    return NULL;
}

static const char *check_ticket(const uint8_t *bytes, size_t size)
{
    return compare_ticket(bytes, size, 0, 0);
}

static const char *check_role_ticket(const uint8_t *bytes, size_t size)
{
    return compare_ticket(bytes, size, 7, LINK_ROLE_ROUTER);
}

#define TICKETS_NOW 1700000000123u

static void put_tickets(const struct tickets *tickets, struct wire_buffer *out)
{
    uint8_t *bytes = malloc(TICKETS_ENCODED_MAX);

    assert(bytes);
    tickets_encode(tickets, bytes);
    wire_put_raw(out, bytes, tickets_encoded_size(tickets));
    free(bytes);
}

static void make_tickets(struct wire_buffer *out)
{
    struct tickets *tickets = malloc(sizeof *tickets);
    uint8_t psk[TICKET_PSK_SIZE], key[TICKETS_KEY_SIZE];
    uint32_t id;

    assert(tickets);
    golden_fill(psk, sizeof psk, 17);
    golden_fill(key, sizeof key, 0x60);
    tickets_init(tickets, psk);
    assert(tickets_new(tickets, &(struct tickets_terms){77, LINK_ROLE_NODE, 3600000, 1},
                       TICKETS_NOW, &id) == 0);
    assert(tickets_redeem(tickets, id, LINK_ROLE_NODE, key, TICKETS_NOW + 5) == 0);
    assert(tickets_new(tickets, &(struct tickets_terms){78, LINK_ROLE_ROUTER, 0, 0},
                       TICKETS_NOW + 10, &id) == 0);
    assert(tickets_revoke(tickets, id, TICKETS_NOW + 20) == 0);
    golden_fill(psk, sizeof psk, 99);
    assert(tickets_prepare(tickets, psk) == 0);
    tickets->version = 6;
    put_tickets(tickets, out);
    tickets_wipe(tickets);
    free(tickets);
}

static const char *compare_tickets(const struct tickets *tickets)
{
    const struct tickets_record *node = tickets_find(tickets, 1),
                                *router = tickets_find(tickets, 2);

    GOLDEN_EXPECT(tickets->version == 6 && node && node->name == 77);
    GOLDEN_EXPECT(tickets->phase == TICKETS_PREPARED && tickets->next_id == 3);
    GOLDEN_EXPECT(tickets->offered.generation == 1 && tickets->offered.psk[0] == 17);
    GOLDEN_EXPECT(tickets->other.generation == 2 && tickets->other.psk[0] == 99);
    GOLDEN_EXPECT(node && node->role == LINK_ROLE_NODE && node->uses == 1 && node->uses_max == 1 &&
                  node->created_ms == TICKETS_NOW && node->expires_ms == TICKETS_NOW + 3600000);
    GOLDEN_EXPECT(router && router->role == LINK_ROLE_ROUTER && router->expires_ms == 0 &&
                  router->revoked_ms == TICKETS_NOW + 20);
    GOLDEN_EXPECT(tickets->holder_count == 1 && tickets->holders[0].public_key[0] == 0x60);
    return NULL;
}

static const char *check_tickets(const uint8_t *bytes, size_t size)
{
    struct tickets *tickets = malloc(sizeof *tickets);
    struct wire_buffer again = {0};
    const char *wrong;

    GOLDEN_EXPECT(tickets && tickets_decode(bytes, size, tickets) == 0);
    wrong = compare_tickets(tickets);
    put_tickets(tickets, &again);
    tickets_wipe(tickets);
    free(tickets);
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    return wrong;
}

static const struct tickets_command ticket_command = {
    .kind = TICKETS_NEW,
    .terms = {.name = 0x1122334455667788, .role = LINK_ROLE_NODE, .ttl_ms = 1000, .uses_max = 2},
    .id = 3,
    .generation = 4,
    .role = LINK_ROLE_ROUTER,
    .public_key = {5},
    .psk = {6}};
static const struct tickets_reply ticket_reply = {.outcome = WIRE_MAP_REFUSED,
                                                  .code = TICKETS_E_SPENT,
                                                  .version = 7,
                                                  .phase = TICKETS_RETIRING,
                                                  .offered = 9,
                                                  .other = 8,
                                                  .id = 10,
                                                  .has_psk = true,
                                                  .psk = {11},
                                                  .why = "spent",
                                                  .count = 1,
                                                  .records = {{.id = 12,
                                                               .role = LINK_ROLE_ADMIN,
                                                               .generation = 9,
                                                               .uses_max = 14,
                                                               .uses = 13,
                                                               .created_ms = TICKETS_NOW,
                                                               .expires_ms = TICKETS_NOW + 1,
                                                               .revoked_ms = TICKETS_NOW + 2}}};

void golden_put_command(struct wire_buffer *out)
{
    tickets_command_put(out, &ticket_command);
}

const char *golden_check_command(const uint8_t *bytes, size_t size)
{
    struct wire_buffer again = {0};
    struct tickets_command command;
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, bytes, size);
    GOLDEN_EXPECT(tickets_command_get(&cursor, &command) && wire_cursor_done(&cursor));
    GOLDEN_EXPECT(command.terms.uses_max == 2 && command.psk[0] == 6);
    tickets_command_put(&again, &command);
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    golden_put_command(&again);
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    return NULL;
}

void golden_put_command_reply(struct wire_buffer *out)
{
    tickets_reply_put(out, &ticket_reply);
}

const char *golden_check_command_reply(const uint8_t *bytes, size_t size)
{
    struct wire_buffer again = {0};
    struct tickets_reply reply;
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, bytes, size);
    GOLDEN_EXPECT(tickets_reply_get(&cursor, &reply) && wire_cursor_done(&cursor));
    GOLDEN_EXPECT(reply.psk[0] == 11 && reply.records[0].revoked_ms == TICKETS_NOW + 2);
    tickets_reply_put(&again, &reply);
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    golden_put_command_reply(&again);
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    return NULL;
}

/* Both, one behind the other. */
static void make_commands(struct wire_buffer *out)
{
    golden_put_command(out);
    golden_put_command_reply(out);
}

static const char *check_commands(const uint8_t *bytes, size_t size)
{
    struct wire_buffer first = {0};
    const char *wrong;
    size_t at;

    golden_put_command(&first);
    at = first.size;
    wire_buffer_deinit(&first);
    GOLDEN_EXPECT(at <= size);
    wrong = golden_check_command(bytes, at);
    return wrong ? wrong : golden_check_command_reply(bytes + at, size - at);
}

/* --- gossip --------------------------------------------------------------------------------- */

static const struct swim_record gossip_record = {.member = 3,
                                                 .incarnation = 2,
                                                 .sequence = 7,
                                                 .local = {.address = "127.0.0.1:7003",
                                                           .epoch = 9,
                                                           .operations = 1000,
                                                           .bytes = 1u << 20,
                                                           .leaders = 85,
                                                           .leaders_digest = 255}};

/* The same with what came later. */
static struct swim_record gossip_record_2(void)
{
    struct swim_record record = gossip_record;

    record.local.counter = 4242;
    return record;
}

static void sign(const uint8_t *record, size_t size, uint8_t signature[SWIM_SIGNATURE_SIZE],
                 uint8_t public_key[32])
{
    uint8_t seed[32], secret[64], bytes[SWIM_SIGNED_PREFIX_SIZE + SWIM_RECORD_SIZE_MAX],
        cluster[RINGMAP_CLUSTER_SIZE];

    golden_fill(seed, sizeof seed, 5);
    golden_fill(cluster, sizeof cluster, 1);
    swim_signed_prefix(cluster, bytes);
    memcpy(bytes + SWIM_SIGNED_PREFIX_SIZE, record, size);
    assert(crypto_sign_seed_keypair(public_key, secret, seed) == 0);
    assert(crypto_sign_detached(signature, NULL, bytes, SWIM_SIGNED_PREFIX_SIZE + size, secret) ==
           0);
}

/* One packet with an item of each kind. */
static void put_gossip(const struct swim_record *of, struct wire_buffer *out)
{
    uint8_t record[SWIM_RECORD_SIZE_MAX], signature[SWIM_SIGNATURE_SIZE], key[32];
    size_t size = swim_record_encode(of, record);
    struct swim_item items[] = {
        {.kind = SWIM_ITEM_RECORD,
         .record = record,
         .record_size = (uint16_t)size,
         .signature = signature},
        {.kind = SWIM_ITEM_STATEMENT,
         .member = 4,
         .standing = SWIM_SUSPECT,
         .incarnation = 2,
         .accusers = {1, 2},
         .accuser_count = 2},
        {.kind = SWIM_ITEM_DIGEST,
         .member = 5,
         .standing = SWIM_LEFT,
         .incarnation = 8,
         .sequence = 9},
        {.kind = SWIM_ITEM_WANT, .member = 6},
    };
    struct swim_packet packet = {.kind = SWIM_DIFF,
                                 .more = true,
                                 .nonce = 5,
                                 .subject = 2,
                                 .incarnation = 4,
                                 .sequence = 6,
                                 .items = items,
                                 .item_count = 4};

    sign(record, size, signature, key);
    swim_put_packet(out, &packet);
}

void golden_put_gossip(struct wire_buffer *out)
{
    put_gossip(&gossip_record, out);
}

static const char *check_gossip(const struct swim_record *of, const uint8_t *bytes, size_t size)
{
    static struct swim_item items[SWIM_ITEMS_MAX];
    uint8_t signature[SWIM_SIGNATURE_SIZE], key[32], record[SWIM_RECORD_SIZE_MAX];
    struct wire_buffer again = {0};
    struct swim_packet packet;
    struct swim_record read;

    GOLDEN_EXPECT(swim_get_packet(bytes, size, &packet, items) == 0);
    GOLDEN_EXPECT(packet.kind == SWIM_DIFF && packet.more && packet.item_count == 4);
    GOLDEN_EXPECT(swim_record_decode(items[0].record, items[0].record_size, &read) == 0);
    GOLDEN_EXPECT(read.member == 3 && read.incarnation == 2 && read.local.leaders == 85 &&
                  strcmp(read.local.address, "127.0.0.1:7003") == 0 &&
                  read.local.counter == of->local.counter);
    GOLDEN_EXPECT(swim_record_encode(&read, record) == items[0].record_size);
    GOLDEN_EXPECT(memcmp(record, items[0].record, items[0].record_size) == 0);
    sign(record, items[0].record_size, signature, key);
    GOLDEN_EXPECT(memcmp(signature, items[0].signature, sizeof signature) == 0);
    GOLDEN_EXPECT(items[1].standing == SWIM_SUSPECT && items[1].accusers[1] == 2);
    GOLDEN_EXPECT(items[2].standing == SWIM_LEFT && items[2].sequence == 9);
    GOLDEN_EXPECT(items[3].kind == SWIM_ITEM_WANT && items[3].member == 6);
    swim_put_packet(&again, &packet);
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    return NULL;
}

const char *golden_check_gossip(const uint8_t *bytes, size_t size)
{
    return check_gossip(&gossip_record, bytes, size);
}

static void make_gossip_2(struct wire_buffer *out)
{
    struct swim_record record = gossip_record_2();

    put_gossip(&record, out);
}

static const char *check_gossip_2(const uint8_t *bytes, size_t size)
{
    struct swim_record record = gossip_record_2();

    return check_gossip(&record, bytes, size);
}

const struct golden golden_ring[] = {
    {"ringmap-1", make_golden_map, check_golden_map},
    {"ringmap-1-target", make_moving_map, check_moving_map},
    {"ringmap-2", make_keys_map, check_keys_map},
    {"ringmap-3", make_settings_map, check_settings_map},
    {"ticket-1", make_ticket, check_ticket},
    {"ticket-2", make_role_ticket, check_role_ticket},
    {"tickets-1", make_tickets, check_tickets},
    {"tickets-command-1", make_commands, check_commands},
    {"gossip-1", golden_put_gossip, golden_check_gossip},
    {"gossip-2", make_gossip_2, check_gossip_2},
};
const size_t golden_ring_count = sizeof golden_ring / sizeof *golden_ring;
