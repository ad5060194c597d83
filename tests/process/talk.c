#include "tests/process/talk.h"

#include "ring/link_nng.h"
#include "ring/wire.h"
#include "ring/wire_load.h"
#include "tests/process/intruder.h"

#include <string.h>

#define IN_MS     5000u
#define SETTLE_MS 500u /* longer than an answer takes, or an election */
#define RATE      77u
#define TERM      1000000u /* far over any that there is */
#define PARTITION 0u

/* The highest term of all groups that the node's shard hosts, asked by an admin. */
static uint32_t ask_term(struct intruder *admin)
{
    uint32_t before = intruder_got(admin, WIRE_SHARD_STATUS_REPLY, NULL, NULL), term = 0;
    struct wire_partition_status status;
    static uint8_t body[16u << 10];
    size_t size = sizeof body;
    struct wire_cursor cursor;

    intruder_send(admin, WIRE_SHARD_STATUS, PARTITION, NULL, 0);
    REQUIRE(intruder_hears(admin, WIRE_SHARD_STATUS_REPLY, before + 1, IN_MS), "no status");
    (void)intruder_got(admin, WIRE_SHARD_STATUS_REPLY, body, &size);
    wire_cursor_init(&cursor, body, size);
    while (wire_get_partition_status(&cursor, &status))
        term = status.term > term ? status.term : term;
    REQUIRE(term > 0, "nothing is there");
    return term;
}

/* As a voter would of which a leader takes leave in its favour (no lease keeps that from being
 * heard), and then as a leader of a term later still. Whoever hears either of them has that term.
 */
static void send_terms(struct intruder *router, uint32_t partition_count)
{
    struct wire_raft message = {.from_member = 2, .to_member = 1, .from_life = 1, .to_life = 1};
    struct wire_buffer body = {0};

    for (uint16_t group = 0; group < partition_count; group++) {
        message.group = group;
        message.kind = 3;  /* RAFT_VOTE */
        message.flags = 2; /* transfer */
        message.term = message.log_term = TERM;
        message.index = TERM;
        (void)wire_put_raft(&body, &message);
        message.kind = 5; /* RAFT_APPEND */
        message.flags = 0;
        message.term++;
        (void)wire_put_raft(&body, &message);
        intruder_send(router, WIRE_RAFT, group, body.data, body.size);
        wire_buffer_clear(&body);
    }
    wire_buffer_deinit(&body);
}

/* What admins ask shards for, each with a body that does something. */
static void send_orders(struct intruder *router)
{
    struct wire_buffer body = {0};

    wire_put_flush(&body, true);
    intruder_send(router, WIRE_FLUSH, PARTITION, body.data, body.size);
    wire_buffer_clear(&body);
    wire_put_scrub(&body, true);
    intruder_send(router, WIRE_SCRUB, PARTITION, body.data, body.size);
    wire_buffer_clear(&body);
    wire_put_drain(&body, true);
    intruder_send(router, WIRE_DRAIN, PARTITION, body.data, body.size);
    wire_buffer_clear(&body);
    wire_put_top(&body, 1000);
    intruder_send(router, WIRE_TOP, PARTITION, body.data, body.size);
    intruder_send(router, WIRE_MOVES_GET, PARTITION, NULL, 0);
    intruder_send(router, WIRE_SHARD_STATUS, PARTITION, NULL, 0);
    wire_buffer_deinit(&body);
}

/* MAP_CHANGE with a map that may come next, and PREPARE. Both are answered: no. */
static void try_control(struct intruder *router, const struct ringmap *map)
{
    struct wire_map_reply reply;
    struct wire_buffer genesis = {0};
    struct wire_cursor cursor;
    uint8_t body[1024], *out;
    size_t size = sizeof body;

    intruder_change(router, map, RATE, WIRE_PARTITION_META); /* past the node: not answered */
    intruder_change(router, map, RATE, WIRE_PARTITION_NODE);
    REQUIRE(intruder_hears(router, WIRE_MAP_CHANGE_REPLY, 1, IN_MS), "no answer");
    (void)intruder_got(router, WIRE_MAP_CHANGE_REPLY, body, &size);
    wire_cursor_init(&cursor, body, size);
    REQUIRE(wire_get_map_reply(&cursor, &reply) && reply.outcome == WIRE_MAP_REFUSED &&
                strcmp(reply.why, "only an admin may change the ring map") == 0,
            "outcome %u: %s", reply.outcome, reply.why);
    out = wire_put_bin_space(&genesis, ringmap_encoded_size(map));
    REQUIRE(out, "no memory");
    ringmap_encode(map, out);
    intruder_send(router, WIRE_PREPARE, WIRE_PARTITION_NODE, genesis.data, genesis.size);
    wire_buffer_deinit(&genesis);
    REQUIRE(intruder_hears(router, WIRE_PREPARE_REPLY, 1, IN_MS), "no answer");
    size = sizeof body - 1;
    (void)intruder_got(router, WIRE_PREPARE_REPLY, body, &size);
    REQUIRE(size > 0 && memmem(body, size, "only an admin may found a cluster", 33),
            "PREPARE is refused for another reason");
}

void talk_of_router(struct fleet *fleet, const struct ticket *ticket)
{
    static const uint8_t unanswered[] = {
        WIRE_FLUSH_REPLY, WIRE_SCRUB_REPLY, WIRE_DRAIN_REPLY, WIRE_TOP_REPLY,         WIRE_MOVES,
        WIRE_GOSSIP,      WIRE_RAFT,        WIRE_MAP_EPOCH,   WIRE_SHARD_STATUS_REPLY};
    struct intruder *router = intruder_open(ticket, LINK_ROLE_ROUTER, fleet->addresses[0]), *admin;
    struct ringmap map, map_after;
    struct ticket founding;
    uint32_t term;

    REQUIRE(ticket_load(&founding, fleet->ticket) == 0, "%s", fleet->ticket);
    admin = intruder_open(&founding, LINK_ROLE_ADMIN, fleet->addresses[0]);
    REQUIRE(intruder_gets_in(router, IN_MS) && intruder_gets_in(admin, IN_MS), "kept out");
    intruder_map(router, &map);
    try_control(router, &map);
    send_terms(router, map.partition_count);
    send_orders(router);
    intruder_send(router, WIRE_GOSSIP, WIRE_PARTITION_NODE, (const uint8_t *)"gossip", 6);
    pause_ms(SETTLE_MS);
    for (size_t i = 0; i < sizeof unanswered; i++)
        REQUIRE(intruder_got(router, unanswered[i], NULL, NULL) == 0, "message %u is answered",
                unanswered[i]);
    term = ask_term(admin);
    REQUIRE(term < TERM, "a router has made it term %u", term);
    intruder_map(router, &map_after);
    REQUIRE(map_after.epoch == map.epoch && map_after.move_rate != RATE,
            "the ring map has changed");
    ringmap_deinit(&map);
    ringmap_deinit(&map_after);
    intruder_close(router);
    intruder_close(admin);
}
