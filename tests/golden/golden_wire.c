/* Messages: of each type one with its frame, and another where a body has several forms. */
#include "golden_ring.h"
#include "ring/link_frame.h"
#include "ring/link_sender.h"
#include "tests/ring/wire_body.h"

#include <string.h>

#define ITEM(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

static const struct wire_bytes values[] = {ITEM("one"), {NULL, 0}};

/* What a message is made of: bodies one behind the other, or bytes. */
struct message {
    uint8_t type;
    uint16_t partition;
    struct body bodies[4];
    uint8_t body_count;
    /* Else: [accepted, why, hash], [number], [number, hash], bin, nothing, or what these put and
     * check. */
    enum { BODIES, REPLY, NUMBER, STATE, BIN, EMPTY, RING } form;
    void (*put)(struct wire_buffer *out);
    const char *(*check)(const uint8_t *bytes, size_t size);
};

static const struct message messages[] = {
    {.type = WIRE_HELLO,
     .partition = WIRE_PARTITION_NODE,
     .bodies = {{.type = BODY_HELLO,
                 .hello = {.oldest = 1,
                           .role = LINK_ROLE_NODE,
                           .member = 3,
                           .shards = 2,
                           .epoch = 9,
                           .newest = 1}}},
     .body_count = 1},
    {.type = WIRE_OPS,
     .partition = 42,
     .bodies = {{.type = BODY_OPS_HEAD, .session = 0x01020304},
                {.type = BODY_OP,
                 .op = {.id = 7,
                        .operation = WIRE_OP_SET,
                        .flags = WIRE_SET_NX,
                        .retry = true,
                        .partition = 42,
                        .lane_epoch = 1,
                        .budget_ms = 1000,
                        .sequence = 5,
                        .floor = 3,
                        .arg_count = 2},
                 .bytes = {ITEM("k"), ITEM("one")}}},
     .body_count = 2},
    {.type = WIRE_RESULTS,
     .partition = 42,
     .bodies = {{.type = BODY_RESULT, .result = {.id = 7, .is_int = true, .integer = -1}},
                {.type = BODY_RESULT, .result = {.id = 8, .bytes = ITEM("one")}},
                {.type = BODY_RESULT, .result = {.id = 9, .values = values, .value_count = 2}},
                {.type = BODY_RESULT, .result = {.id = 10, .status = WIRE_STATUS_TRYAGAIN}}},
     .body_count = 4},
    {.type = WIRE_RAFT,
     .partition = 41,
     .bodies = {{.type = BODY_RAFT,
                 .raft = {.kind = 5,
                          .flags = 1,
                          .group = 41,
                          .from_member = 1,
                          .to_member = 2,
                          .from_life = 1,
                          .to_life = 940,
                          .term = 3,
                          .log_term = 2,
                          .index = 1000,
                          .commit = 999,
                          .entry_count = 1,
                          .entries = ITEM("a record")}}},
     .body_count = 1},
    {.type = WIRE_BEAT,
     .partition = 1,
     .bodies = {{.type = BODY_BEAT_HEAD, .head = {.from = 1, .round = 77, .full = true}},
                {.type = BODY_BEAT,
                 .beat = {.group = 41,
                          .from_life = 1,
                          .to_life = 940,
                          .term = 3,
                          .commit = 999,
                          .first = 500}}},
     .body_count = 2},
    {.type = WIRE_BEAT_ACK,
     .partition = 1,
     .bodies = {{.type = BODY_BEAT_HEAD,
                 .head = {.from = 2, .round = 77, .wall_ms = 1700000000123}},
                {.type = BODY_BEAT,
                 .ack = true,
                 .beat = {.group = 41, .from_life = 940, .to_life = 1, .term = 3}}},
     .body_count = 2},
    {.type = WIRE_SHARD_STATUS, .form = EMPTY},
    {.type = WIRE_SHARD_STATUS_REPLY,
     .bodies = {{.type = BODY_PARTITION,
                 .partition = {.partition = 41,
                               .role = 3,
                               .leader = 1,
                               .term = 3,
                               .first = 500,
                               .last = 1000,
                               .commit = 999,
                               .applied = 998,
                               .keys = 12345,
                               .fenced = true,
                               .lag_count = 2}}},
     .body_count = 1},
    {.type = WIRE_SNAPSHOT,
     .partition = 41,
     .bodies = {{.type = BODY_SNAPSHOT,
                 .snapshot = {.group = 41,
                              .from_member = 1,
                              .to_member = 2,
                              .from_life = 1,
                              .to_life = 940,
                              .term = 3,
                              .log_term = 2,
                              .index = 900,
                              .next = 0x123456789abc,
                              .settled = 930,
                              .checksum = 0x1122334455667788,
                              .state = ITEM("a state"),
                              .records = ITEM("records")}}},
     .body_count = 1},
    {.type = WIRE_SNAPSHOT_ACK,
     .partition = 41,
     .bodies = {{.type = BODY_SNAPSHOT_ACK,
                 .snapshot_ack = {.kind = WIRE_SNAPSHOT_TAKEN,
                                  .group = 41,
                                  .from_member = 2,
                                  .to_member = 1,
                                  .from_life = 940,
                                  .to_life = 1,
                                  .term = 3,
                                  .index = 900,
                                  .next = 0x123456789abc}}},
     .body_count = 1},
    {.type = WIRE_COMPARE,
     .partition = 41,
     .bodies = {{.type = BODY_COMPARE,
                 .compare = {.kind = WIRE_COMPARE_ASK,
                             .group = 41,
                             .from_member = 1,
                             .to_member = 2,
                             .from_life = 1,
                             .to_life = 940,
                             .term = 3,
                             .index = 900,
                             .from = 10,
                             .to = 20}}},
     .body_count = 1},
    {.type = WIRE_COMPARE_ACK,
     .partition = 41,
     .bodies = {{.type = BODY_COMPARE,
                 .compare = {.kind = WIRE_COMPARE_GIVEN,
                             .group = 41,
                             .from_member = 2,
                             .to_member = 1,
                             .from_life = 940,
                             .to_life = 1,
                             .term = 3,
                             .index = 900,
                             .from = 10,
                             .to = 20,
                             .count = 3,
                             .sum = 0x1122334455667788}}},
     .body_count = 1},
    {.type = WIRE_FLUSH, .bodies = {{.type = BODY_FLUSH, .begin = true}}, .body_count = 1},
    {.type = WIRE_FLUSH_REPLY,
     .bodies = {{.type = BODY_FLUSH_STATE, .flush = {true, true, 1, 2000, 300, 4, 500, 6, 700, 8}}},
     .body_count = 1},
    {.type = WIRE_MAP_GET, .form = EMPTY},
    {.type = WIRE_MAP, .form = BIN},
    {.type = WIRE_PREPARE, .form = BIN},
    {.type = WIRE_PREPARE_REPLY, .form = REPLY},
    {.type = WIRE_COMMIT, .form = BIN},
    {.type = WIRE_COMMIT_REPLY, .form = REPLY},
    {.type = WIRE_NODE_STATUS, .form = EMPTY},
    {.type = WIRE_NODE_STATUS_REPLY,
     .bodies = {{.type = BODY_NODE,
                 .node = {.member = 3,
                          .founded = 2,
                          .shards = 2,
                          .epoch = 9,
                          .uptime_ms = 1000,
                          .disk_bytes = 2000,
                          .disk_free = 3000,
                          .public_key = {1},
                          .genesis_hash = {2},
                          .address = "10.0.0.3:7001",
                          .zone = "rack-c",
                          .version = "0.1.0",
                          .weight = 100,
                          .links_up = 2,
                          .disk_full = true,
                          .cache_hits = 4,
                          .cache_misses = 5,
                          .cache_evictions = 6,
                          .cache_bytes = 7,
                          .key_id = 8,
                          .scrub = {9, 10, 11, 12, 13, 14, 15, 16, 17}}}},
     .body_count = 1},
    {.type = WIRE_GENESIS_GET, .form = EMPTY},
    {.type = WIRE_GENESIS, .form = STATE},
    {.type = WIRE_MAP_EPOCH, .form = NUMBER},
    {.type = WIRE_MAP_CHANGE, .form = BIN},
    {.type = WIRE_MAP_CHANGE_REPLY,
     .bodies = {{.type = BODY_MAP_REPLY,
                 .map_reply = {WIRE_MAP_REFUSED, 9, 1, "the epoch is taken"}}},
     .body_count = 1},
    {.type = WIRE_LIVENESS_GET, .form = EMPTY},
    {.type = WIRE_LIVENESS,
     .bodies = {{.type = BODY_LIVENESS,
                 .liveness = {.member = 3,
                              .standing = 1,
                              .heard = true,
                              .age_ms = 1500,
                              .incarnation = 2,
                              .epoch = 9,
                              .address = "10.0.0.3:7001",
                              .operations = 1000,
                              .leaders = 85}}},
     .body_count = 1},
};

/* What version 2 brought. */
static const struct message messages_2[] = {
    {.type = WIRE_HELLO,
     .partition = WIRE_PARTITION_NODE,
     .bodies = {{.type = BODY_HELLO,
                 .hello = {.oldest = 1,
                           .role = LINK_ROLE_NODE,
                           .member = 3,
                           .shards = 2,
                           .epoch = 9,
                           .newest = 2}}},
     .body_count = 1},
    {.type = WIRE_HOLDS,
     .bodies = {{.type = BODY_HOLDS, .holds = {.group = 41, .member = 3, .life = 940}}},
     .body_count = 1},
    {.type = WIRE_GONE,
     .bodies = {{.type = BODY_GONE,
                 .gone = {.group = 41, .member = 3, .life = 940, .config_index = 950}}},
     .body_count = 1},
    {.type = WIRE_MOVED,
     .bodies = {{.type = BODY_MOVED, .epoch = 9, .groups = {41, 42, 0xffff}, .group_count = 3}},
     .body_count = 1},
    {.type = WIRE_MOVES_GET, .form = EMPTY},
    {.type = WIRE_MOVES,
     .bodies = {{.type = BODY_MOVES_HEAD, .moves_head = {.epoch = 9, .paused = true}},
                {.type = BODY_MOVE,
                 .move = {.group = 41,
                          .step = 7,
                          .member = 5,
                          .config_index = 950,
                          .config_epoch = 9,
                          .committed = true,
                          .voters = {3, {1, 2, 5}},
                          .voters_old = {3, {1, 2, 3}},
                          .learners = {1, {7}},
                          .bytes = 123456,
                          .sent = 65536,
                          .snapshots = 2}}},
     .body_count = 2},
    {.type = WIRE_JOIN,
     .bodies = {{.type = BODY_JOIN,
                 .join = {.public_key = {1, 2, 3},
                          .address = "10.0.0.4:7001",
                          .zone = "rack-d",
                          .weight = 200}}},
     .body_count = 1},
    {.type = WIRE_JOIN_REPLY,
     .bodies = {{.type = BODY_JOIN_REPLY,
                 .join_reply = {.outcome = WIRE_JOIN_DONE,
                                .genesis = ITEM("a genesis"),
                                .map = ITEM("a ring map")}},
                {.type = BODY_JOIN_REPLY,
                 .join_reply = {.outcome = WIRE_JOIN_REFUSED, .why = "it was removed"}}},
     .body_count = 2},
};

/* Too: those by which leaders go where there is room for them. */
static const struct message messages_2_load[] = {
    {.type = WIRE_BALANCE,
     .bodies = {{.type = BODY_BALANCE, .balance = {.term = 7, .ask = true, .slow = true}},
                {.type = BODY_WISH, .wish = {.partition = 41, .to = 3}}},
     .body_count = 2},
    {.type = WIRE_LOAD,
     .partition = WIRE_PARTITION_META,
     .bodies = {{.type = BODY_LOAD,
                 .load = {.term = 7, .may_lead = true, .syncs = 40, .sync_us = 1500}},
                {.type = BODY_LOAD_PARTITION,
                 .load_partition = {.partition = 41,
                                    .term = 3,
                                    .operations = 1000,
                                    .bytes = 123456,
                                    .voter_count = 2,
                                    .voters = {2, 3}}}},
     .body_count = 2},
    {.type = WIRE_TOP, .bodies = {{.type = BODY_TOP, .number = 3000}}, .body_count = 1},
    {.type = WIRE_TOP_REPLY,
     .bodies = {{.type = BODY_TOP_REPLY,
                 .top = {.may_lead = true,
                         .sync_us = 1500,
                         .sample_ms = 2000,
                         .seen = 54321,
                         .partition_count = 1}},
                {.type = BODY_TOP_PARTITION,
                 .top_partition = {.partition = 41, .operations = 1000, .bytes = 123456}},
                {.type = BODY_TOP_KEY,
                 .top_key = {.key = ITEM("user:42"), .key_size = 7, .count = 900, .error = 20}}},
     .body_count = 3},
    {.type = WIRE_DRAIN, .bodies = {{.type = BODY_DRAIN, .begin = true}}, .body_count = 1},
    {.type = WIRE_DRAIN_REPLY,
     .bodies = {{.type = BODY_DRAIN_REPLY, .begin = true, .number = 85}},
     .body_count = 1},
};

/* Too: the scrub that is asked for, gossip, and tickets. */
static const struct message messages_2_rest[] = {
    {.type = WIRE_SCRUB, .bodies = {{.type = BODY_SCRUB, .begin = true}}, .body_count = 1},
    {.type = WIRE_SCRUB_REPLY,
     .bodies = {{.type = BODY_SCRUB_STATE,
                 .scrub = {.accepted = true,
                           .running = true,
                           .demands = 1,
                           .left_bytes = 2000,
                           .files = 3,
                           .bytes = 4000,
                           .faults = 5,
                           .unread = 6,
                           .fenced = 7}}},
     .body_count = 1},
    {.type = WIRE_GOSSIP, .form = RING, .put = golden_put_gossip, .check = golden_check_gossip},
    {.type = WIRE_TICKETS_VERSION, .form = NUMBER},
    {.type = WIRE_TICKETS_GET, .form = EMPTY},
    {.type = WIRE_TICKETS, .form = BIN},
    {.type = WIRE_TICKETS_CHANGE, .partition = WIRE_PARTITION_META, .form = BIN},
    {.type = WIRE_TICKETS_CHANGE_REPLY,
     .bodies = {{.type = BODY_MAP_REPLY, .map_reply = {WIRE_MAP_DONE, 6, 1, ""}}},
     .body_count = 1},
    {.type = WIRE_TICKET_COMMAND,
     .form = RING,
     .put = golden_put_command,
     .check = golden_check_command},
    {.type = WIRE_TICKET_COMMAND_REPLY,
     .form = RING,
     .put = golden_put_command_reply,
     .check = golden_check_command_reply},
};

/* And what a HELLO tells of counters. */
static const struct message messages_2_counters[] = {
    {.type = WIRE_HELLO,
     .partition = WIRE_PARTITION_NODE,
     .bodies = {{.type = BODY_HELLO,
                 .hello = {.oldest = 1,
                           .role = LINK_ROLE_NODE,
                           .member = 3,
                           .shards = 2,
                           .epoch = 9,
                           .newest = 2,
                           .instance = 0x0102030405060708,
                           .counter = 4242,
                           .heard = 17}}},
     .body_count = 1},
};

/* Too: who leads what, asked for when gossip tells that it is another. */
static const struct message messages_2_leaders[] = {
    {.type = WIRE_LIVENESS,
     .bodies = {{.type = BODY_LIVENESS,
                 .liveness = {.member = 3,
                              .heard = true,
                              .age_ms = 1500,
                              .incarnation = 2,
                              .epoch = 9,
                              .address = "10.0.0.3:7001",
                              .operations = 1000,
                              .leaders = 85,
                              .bytes = 123456,
                              .leaders_digest = 0x0102030405060708}}},
     .body_count = 1},
    {.type = WIRE_LEADERS_GET, .form = EMPTY},
    {.type = WIRE_LEADERS,
     .bodies = {{.type = BODY_LEADER, .leader = {.partition = 41, .term = 7}}},
     .body_count = 1},
};

/* Too: who has come by a secret. */
static const struct message messages_2_peers[] = {
    {.type = WIRE_PEERS_GET,
     .partition = WIRE_PARTITION_NODE,
     .bodies = {{.type = BODY_PEERS_GET, .number = 3}},
     .body_count = 1},
    {.type = WIRE_PEERS,
     .partition = WIRE_PARTITION_NODE,
     .bodies = {{.type = BODY_PEERS_HEAD, .number = 1},
                {.type = BODY_PEER,
                 .peer = {.role = LINK_ROLE_ROUTER,
                          .ticket = 7,
                          .address = "10.0.0.9:43122",
                          .public_key = {1, 2, 3}}}},
     .body_count = 2},
};
#define COUNT(table) (sizeof(table) / sizeof *(table))

static const uint8_t bin[] = "bytes of a map";

static void put_body(const struct message *message, struct wire_buffer *out)
{
    switch (message->form) {
    case REPLY:
        wire_put_array(out, 3);
        wire_put_bool(out, true);
        wire_put_string(out, "why");
        wire_put_bin(out, bin, 14);
        return;
    case NUMBER:
        wire_put_map_epoch(out, 9);
        return;
    case STATE:
        wire_put_array(out, 2);
        wire_put_uint(out, 2);
        wire_put_bin(out, bin, 14);
        return;
    case BIN:
        wire_put_bin(out, bin, 14);
        return;
    case EMPTY:
        return;
    case RING:
        message->put(out);
        return;
    default:
        for (uint8_t i = 0; i < message->body_count; i++)
            body_put(out, &message->bodies[i]);
        return;
    }
}

static void put_message(const struct message *message, struct wire_buffer *out)
{
    uint8_t head[LINK_FRAME_HEADER_SIZE];
    struct wire_buffer body = {0};

    put_body(message, &body);
    link_frame_put(&(struct link_frame){.body_size = (uint32_t)body.size,
                                        .type = message->type,
                                        .partition = message->partition,
                                        .correlation = 0x0102030405060708},
                   head);
    wire_put_raw(out, head, sizeof head);
    if (body.size > 0)
        wire_put_raw(out, body.data, body.size);
    wire_buffer_deinit(&body);
}

/* Every body is read, and what was read gives the same bytes; so does what it was made of. */
static const char *check_body(const struct message *message, const uint8_t *bytes, size_t size)
{
    struct wire_buffer made = {0}, again = {0};
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, bytes, size);
    for (uint8_t i = 0; i < message->body_count; i++) {
        struct body read;

        memset(&read, 0, sizeof read);
        read.type = message->bodies[i].type;
        read.ack = message->bodies[i].ack;
        GOLDEN_EXPECT(body_get(&cursor, &read));
        body_put(&again, &read);
    }
    if (message->form == BODIES) {
        GOLDEN_EXPECT(wire_cursor_done(&cursor));
        GOLDEN_EXPECT(golden_same(&again, bytes, size));
    }
    put_body(message, &made);
    GOLDEN_EXPECT(golden_same(&made, bytes, size));
    return message->form == RING ? message->check(bytes, size) : NULL;
}

static const char *check(const struct message *table, size_t count, const uint8_t *bytes,
                         size_t size)
{
    size_t at = 0;

    for (size_t i = 0; i < count; i++) {
        uint8_t head[LINK_FRAME_HEADER_SIZE];
        struct link_frame frame;
        const char *wrong;

        GOLDEN_EXPECT(size - at >= LINK_FRAME_HEADER_SIZE);
        link_frame_get(bytes + at, &frame);
        link_frame_put(&frame, head);
        GOLDEN_EXPECT(memcmp(head, bytes + at, sizeof head) == 0);
        at += LINK_FRAME_HEADER_SIZE;
        GOLDEN_EXPECT(frame.type == table[i].type && frame.partition == table[i].partition);
        GOLDEN_EXPECT(frame.correlation == 0x0102030405060708);
        GOLDEN_EXPECT(frame.body_size <= size - at);
        wrong = check_body(&table[i], bytes + at, frame.body_size);
        if (wrong)
            return wrong;
        at += frame.body_size;
    }
    GOLDEN_EXPECT(at == size);
    return NULL;
}

#define WIRE_GOLDEN(table)                                                                         \
    static void make_##table(struct wire_buffer *out)                                              \
    {                                                                                              \
        for (size_t i = 0; i < COUNT(table); i++)                                                  \
            put_message(&(table)[i], out);                                                         \
    }                                                                                              \
    static const char *check_##table(const uint8_t *bytes, size_t size)                            \
    {                                                                                              \
        return check(table, COUNT(table), bytes, size);                                            \
    }
WIRE_GOLDEN(messages)
WIRE_GOLDEN(messages_2)
WIRE_GOLDEN(messages_2_load)
WIRE_GOLDEN(messages_2_rest)
WIRE_GOLDEN(messages_2_leaders)
WIRE_GOLDEN(messages_2_peers)
WIRE_GOLDEN(messages_2_counters)

/* --- the link layer's own ------------------------------------------------------------------- */

static const struct link_credit consumed = {.bytes = 0x0102030405060708, .messages = 9};

static void make_own(struct wire_buffer *out)
{
    uint8_t bytes[LINK_SENDER_OWN_MAX];
    struct link_sender sender;

    link_sender_init(&sender, 0, consumed, (struct link_credit){4, 4});
    link_sender_consumed(&sender, consumed, consumed);
    sender.ping_due = sender.pong_due = true;
    wire_put_raw(out, bytes, link_sender_gather(&sender, bytes, sizeof bytes));
    link_sender_deinit(&sender);
}

static const char *check_own(const uint8_t *bytes, size_t size)
{
    static const uint8_t types[] = {WIRE_CREDIT, WIRE_PING, WIRE_PONG};
    struct link_message message;
    struct wire_buffer again = {0};
    struct link_sender sender;
    struct link_reader reader;

    link_sender_init(&sender, 0, consumed, consumed);
    sender.sent = consumed;
    link_reader_init(&reader);
    link_reader_feed(&reader, bytes, size);
    for (size_t i = 0; i < sizeof types; i++) {
        GOLDEN_EXPECT(link_reader_next(&reader, &message) == 0 && message.type == types[i]);
        GOLDEN_EXPECT(message.type == WIRE_CREDIT ? link_sender_release(&sender, &message)
                                                  : message.body_size == 0);
    }
    GOLDEN_EXPECT(link_reader_next(&reader, &message) == LINK_FRAME_E_END);
    link_reader_deinit(&reader);
    GOLDEN_EXPECT(sender.released.bytes == consumed.bytes &&
                  sender.released.messages == consumed.messages);
    make_own(&again);
    GOLDEN_EXPECT(golden_same(&again, bytes, size));
    return NULL;
}

/* All of them messages with their frames, one behind the other. */
const struct golden golden_wire[] = {
    {"link-1", make_own, check_own},
    {"wire-1", make_messages, check_messages},
    {"wire-2", make_messages_2, check_messages_2},
    {"wire-2-counters", make_messages_2_counters, check_messages_2_counters},
    {"wire-2-leaders", make_messages_2_leaders, check_messages_2_leaders},
    {"wire-2-peers", make_messages_2_peers, check_messages_2_peers},
    {"wire-2-load", make_messages_2_load, check_messages_2_load},
    {"wire-2-rest", make_messages_2_rest, check_messages_2_rest},
};
const size_t golden_wire_count = sizeof golden_wire / sizeof *golden_wire;
