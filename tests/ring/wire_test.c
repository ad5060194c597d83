#include "ring/wire.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <msgpack.h>

#include "tests/dice.h"
#include "tests/storage/alloc.h"
#include "wire_body.h"

#define CASES 100000u

static bool same_bytes(struct wire_bytes a, struct wire_bytes b)
{
    return !a.data == !b.data && a.size == b.size &&
           (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static bool same_op(const struct body *a, const struct body *b)
{
    bool same = a->op.id == b->op.id && a->op.operation == b->op.operation &&
                a->op.flags == b->op.flags && a->op.retry == b->op.retry &&
                a->op.partition == b->op.partition && a->op.lane_epoch == b->op.lane_epoch &&
                a->op.budget_ms == b->op.budget_ms && a->op.sequence == b->op.sequence &&
                a->op.floor == b->op.floor && a->op.arg_count == b->op.arg_count;

    for (uint32_t i = 0; i < a->op.arg_count; i++)
        same = same && same_bytes(a->bytes[i], b->bytes[i]);
    return same;
}

static bool same_result(const struct body *a, const struct body *b)
{
    const struct wire_result *x = &a->result;
    const struct wire_result *y = &b->result;
    bool same = x->id == y->id && x->status == y->status && x->is_int == y->is_int &&
                x->integer == y->integer && same_bytes(x->bytes, y->bytes) &&
                !x->values == !y->values && x->value_count == y->value_count;

    for (uint32_t i = 0; x->values && i < x->value_count; i++)
        same = same && same_bytes(x->values[i], y->values[i]);
    return same;
}

static bool same_raft(const struct wire_raft *a, const struct wire_raft *b)
{
    return a->kind == b->kind && a->flags == b->flags && a->group == b->group &&
           a->from_member == b->from_member && a->to_member == b->to_member &&
           a->from_life == b->from_life && a->to_life == b->to_life && a->term == b->term &&
           a->log_term == b->log_term && a->index == b->index && a->commit == b->commit &&
           a->entry_count == b->entry_count && same_bytes(a->entries, b->entries);
}

static bool same_snapshot(const struct wire_snapshot *a, const struct wire_snapshot *b)
{
    return a->group == b->group && a->from_member == b->from_member &&
           a->to_member == b->to_member && a->from_life == b->from_life &&
           a->to_life == b->to_life && a->term == b->term && a->log_term == b->log_term &&
           a->index == b->index && a->from == b->from && a->next == b->next &&
           a->settled == b->settled && a->checksum == b->checksum &&
           same_bytes(a->state, b->state) && same_bytes(a->records, b->records);
}

static bool same_snapshot_ack(const struct wire_snapshot_ack *a, const struct wire_snapshot_ack *b)
{
    return a->kind == b->kind && a->group == b->group && a->from_member == b->from_member &&
           a->to_member == b->to_member && a->from_life == b->from_life &&
           a->to_life == b->to_life && a->term == b->term && a->index == b->index &&
           a->next == b->next;
}

static bool same_partition(const struct wire_partition_status *a,
                           const struct wire_partition_status *b)
{
    return a->partition == b->partition && a->role == b->role && a->leader == b->leader &&
           a->term == b->term && a->first == b->first && a->last == b->last &&
           a->commit == b->commit && a->applied == b->applied && a->keys == b->keys &&
           a->fenced == b->fenced && a->lag_count == b->lag_count;
}

static bool same_liveness(const struct wire_liveness *a, const struct wire_liveness *b)
{
    return a->member == b->member && a->standing == b->standing && a->heard == b->heard &&
           a->age_ms == b->age_ms && a->incarnation == b->incarnation && a->epoch == b->epoch &&
           strcmp(a->address, b->address) == 0 && a->operations == b->operations &&
           a->leaders == b->leaders && a->bytes == b->bytes &&
           a->leaders_digest == b->leaders_digest;
}

static bool same_compare(const struct wire_compare *a, const struct wire_compare *b)
{
    return a->kind == b->kind && a->group == b->group && a->from_member == b->from_member &&
           a->to_member == b->to_member && a->from_life == b->from_life &&
           a->to_life == b->to_life && a->term == b->term && a->index == b->index &&
           a->from == b->from && a->to == b->to && a->count == b->count && a->sum == b->sum;
}

static bool same_flush(const struct wire_flush_state *a, const struct wire_flush_state *b)
{
    return a->accepted == b->accepted && a->flushing == b->flushing && a->demands == b->demands &&
           a->disk_bytes == b->disk_bytes && a->log_bytes == b->log_bytes &&
           a->left_files == b->left_files && a->left_bytes == b->left_bytes &&
           a->files == b->files && a->reclaimed == b->reclaimed && a->failed == b->failed;
}

static bool same_members(const struct wire_members *a, const struct wire_members *b)
{
    return a->count == b->count && memcmp(a->ids, b->ids, sizeof a->ids) == 0;
}

static bool same_move(const struct wire_move *a, const struct wire_move *b)
{
    return a->group == b->group && a->step == b->step && a->member == b->member &&
           a->config_index == b->config_index && a->config_epoch == b->config_epoch &&
           a->committed == b->committed && same_members(&a->voters, &b->voters) &&
           same_members(&a->voters_old, &b->voters_old) &&
           same_members(&a->learners, &b->learners) && a->bytes == b->bytes && a->sent == b->sent &&
           a->snapshots == b->snapshots;
}

static bool same_moved(const struct body *a, const struct body *b)
{
    return a->epoch == b->epoch && a->group_count == b->group_count &&
           memcmp(a->groups, b->groups, a->group_count * sizeof *a->groups) == 0;
}

static bool same_moves_head(const struct wire_moves_head *a, const struct wire_moves_head *b)
{
    return a->epoch == b->epoch && a->paused == b->paused && a->rate == b->rate;
}

static bool same_join_reply(const struct wire_join_reply *a, const struct wire_join_reply *b)
{
    return a->outcome == b->outcome && strcmp(a->why, b->why) == 0 &&
           same_bytes(a->genesis, b->genesis) && same_bytes(a->map, b->map);
}

static bool same_load(const struct body *a, const struct body *b)
{
    switch (a->type) {
    case BODY_BALANCE:
        return a->balance.term == b->balance.term && a->balance.ask == b->balance.ask &&
               a->balance.slow == b->balance.slow;
    case BODY_WISH:
        return a->wish.partition == b->wish.partition && a->wish.to == b->wish.to;
    case BODY_LEADER:
        return a->leader.partition == b->leader.partition && a->leader.term == b->leader.term;
    case BODY_LOAD:
        return a->load.term == b->load.term && a->load.may_lead == b->load.may_lead &&
               a->load.syncs == b->load.syncs && a->load.sync_us == b->load.sync_us;
    case BODY_LOAD_PARTITION:
        return a->load_partition.partition == b->load_partition.partition &&
               a->load_partition.term == b->load_partition.term &&
               a->load_partition.operations == b->load_partition.operations &&
               a->load_partition.bytes == b->load_partition.bytes &&
               a->load_partition.voter_count == b->load_partition.voter_count &&
               memcmp(a->load_partition.voters, b->load_partition.voters,
                      sizeof a->load_partition.voters) == 0;
    case BODY_PEER:
        return a->peer.role == b->peer.role && a->peer.ticket == b->peer.ticket &&
               strcmp(a->peer.address, b->peer.address) == 0 &&
               memcmp(a->peer.public_key, b->peer.public_key, sizeof a->peer.public_key) == 0;
    case BODY_TOP:
    case BODY_PEERS_GET:
    case BODY_PEERS_HEAD:
        return a->number == b->number;
    case BODY_TOP_REPLY:
        return a->top.may_lead == b->top.may_lead && a->top.drained == b->top.drained &&
               a->top.slow == b->top.slow && a->top.sync_us == b->top.sync_us &&
               a->top.sample_ms == b->top.sample_ms && a->top.seen == b->top.seen &&
               a->top.partition_count == b->top.partition_count;
    case BODY_TOP_PARTITION:
        return a->top_partition.partition == b->top_partition.partition &&
               a->top_partition.operations == b->top_partition.operations &&
               a->top_partition.bytes == b->top_partition.bytes;
    case BODY_TOP_KEY:
        return same_bytes(a->top_key.key, b->top_key.key) &&
               a->top_key.key_size == b->top_key.key_size && a->top_key.count == b->top_key.count &&
               a->top_key.error == b->top_key.error;
    case BODY_DRAIN:
        return a->begin == b->begin;
    default:
        return a->begin == b->begin && a->number == b->number;
    }
}

static bool same_scrub(const struct wire_scrub_state *a, const struct wire_scrub_state *b)
{
    return a->accepted == b->accepted && a->running == b->running && a->demands == b->demands &&
           a->left_bytes == b->left_bytes && a->files == b->files && a->bytes == b->bytes &&
           a->faults == b->faults && a->unread == b->unread && a->fenced == b->fenced;
}

static bool body_same(const struct body *a, const struct body *b)
{
    switch (a->type) {
    case BODY_HOLDS:
        return a->holds.group == b->holds.group && a->holds.member == b->holds.member &&
               a->holds.life == b->holds.life;
    case BODY_GONE:
        return a->gone.group == b->gone.group && a->gone.member == b->gone.member &&
               a->gone.life == b->gone.life && a->gone.config_index == b->gone.config_index;
    case BODY_MOVED:
        return same_moved(a, b);
    case BODY_MOVES_HEAD:
        return same_moves_head(&a->moves_head, &b->moves_head);
    case BODY_MOVE:
        return same_move(&a->move, &b->move);
    case BODY_OPS_HEAD:
        return a->session == b->session;
    case BODY_OP:
        return same_op(a, b);
    case BODY_RESULT:
        return same_result(a, b);
    case BODY_RAFT:
        return same_raft(&a->raft, &b->raft);
    case BODY_BEAT_HEAD:
        return a->head.from == b->head.from && a->head.round == b->head.round &&
               a->head.full == b->head.full;
    case BODY_BEAT:
        return a->beat.group == b->beat.group && a->beat.from_life == b->beat.from_life &&
               a->beat.to_life == b->beat.to_life && a->beat.term == b->beat.term &&
               a->beat.commit == b->beat.commit && a->beat.first == b->beat.first;
    case BODY_SNAPSHOT:
        return same_snapshot(&a->snapshot, &b->snapshot);
    case BODY_SNAPSHOT_ACK:
        return same_snapshot_ack(&a->snapshot_ack, &b->snapshot_ack);
    case BODY_HELLO:
        return a->hello.oldest == b->hello.oldest && a->hello.newest == b->hello.newest &&
               a->hello.role == b->hello.role && a->hello.member == b->hello.member &&
               a->hello.shards == b->hello.shards && a->hello.epoch == b->hello.epoch &&
               a->hello.instance == b->hello.instance && a->hello.counter == b->hello.counter &&
               a->hello.heard == b->hello.heard;
    case BODY_PARTITION:
        return same_partition(&a->partition, &b->partition);
    case BODY_FLUSH:
    case BODY_SCRUB:
        return a->begin == b->begin;
    case BODY_COMPARE:
        return same_compare(&a->compare, &b->compare);
    case BODY_FLUSH_STATE:
        return same_flush(&a->flush, &b->flush);
    case BODY_SCRUB_STATE:
        return same_scrub(&a->scrub, &b->scrub);
    case BODY_MAP_REPLY:
        return a->map_reply.outcome == b->map_reply.outcome &&
               a->map_reply.epoch == b->map_reply.epoch &&
               a->map_reply.leader == b->map_reply.leader &&
               strcmp(a->map_reply.why, b->map_reply.why) == 0;
    case BODY_LIVENESS:
        return same_liveness(&a->liveness, &b->liveness);
    case BODY_JOIN:
        return memcmp(&a->join, &b->join, sizeof a->join) == 0;
    case BODY_JOIN_REPLY:
        return same_join_reply(&a->join_reply, &b->join_reply);
    case BODY_NODE:
        return memcmp(&a->node, &b->node, sizeof a->node) == 0; /* both zeroed before filling */
    default:
        return same_load(a, b);
    }
}

/* Reads back what was put, and its bytes again from what was read. */
static void expect_read(const uint8_t *bytes, size_t size, const struct body *body)
{
    struct wire_buffer again = {0};
    struct wire_cursor cursor;
    struct body read;

    memset(&read, 0, sizeof read); /* padding too: it is compared */
    read.type = body->type;
    read.ack = body->ack;
    wire_cursor_init(&cursor, bytes, size);
    cr_assert(body_get(&cursor, &read));
    cr_assert(!cursor.failed && wire_cursor_done(&cursor));
    cr_assert(body_same(&read, body), "type %u", body->type);
    body_put(&again, &read);
    cr_assert_eq(again.size, size);
    cr_assert_eq(memcmp(again.data, bytes, size), 0);
    wire_buffer_deinit(&again);
}

static void expect_msgpack_c_reads(const uint8_t *bytes, size_t size)
{
    msgpack_unpacked unpacked;
    size_t offset = 0;

    msgpack_unpacked_init(&unpacked);
    cr_assert_eq(msgpack_unpack_next(&unpacked, (const char *)bytes, size, &offset),
                 MSGPACK_UNPACK_SUCCESS);
    cr_assert_eq(offset, size);
    cr_assert_eq(unpacked.data.type, MSGPACK_OBJECT_ARRAY);
    msgpack_unpacked_destroy(&unpacked);
}

Test(wire, every_body_is_read_as_it_was_written)
{
    struct wire_buffer buffer = {0};

    for (uint64_t seed = 0; seed < 2 * CASES; seed++) {
        struct dice dice = {seed};
        struct body body;

        body_any(&dice, &body);
        wire_buffer_clear(&buffer);
        body_put(&buffer, &body);
        cr_assert_not(buffer.failed);
        expect_read(buffer.data, buffer.size, &body);
        if (seed % 4 == 0)
            expect_msgpack_c_reads(buffer.data, buffer.size);
    }
    wire_buffer_deinit(&buffer);
}

/* The bytes end on the heap exactly where they are cut, so ASan sees one read too many. */
Test(wire, no_truncated_body_is_read)
{
    struct wire_buffer buffer = {0};

    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct dice dice = {seed};
        struct body body;

        body_any(&dice, &body);
        wire_buffer_clear(&buffer);
        body_put(&buffer, &body);
        for (size_t size = 0; size < buffer.size; size++) {
            struct body read = {.type = body.type, .ack = body.ack};
            uint8_t *part = malloc(size ? size : 1);
            struct wire_cursor cursor;

            memcpy(part, buffer.data, size);
            wire_cursor_init(&cursor, part, size);
            cr_assert_not(body_get(&cursor, &read), "seed %lu size %zu", (unsigned long)seed, size);
            cr_assert(cursor.failed);
            free(part);
        }
    }
    wire_buffer_deinit(&buffer);
}

/* Broken bytes are refused or read as some other body; nothing that is read points outside. */
Test(wire, flipped_bytes_never_lead_outside)
{
    struct wire_buffer buffer = {0};
    unsigned refused = 0;

    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct dice dice = {seed};
        struct body body;
        struct body read;
        struct wire_cursor cursor;
        uint8_t *bytes;

        body_any(&dice, &body);
        wire_buffer_clear(&buffer);
        body_put(&buffer, &body);
        bytes = malloc(buffer.size);
        memcpy(bytes, buffer.data, buffer.size);
        for (uint64_t flips = 1 + dice_below(&dice, 4); flips > 0; flips--)
            bytes[dice_below(&dice, buffer.size)] ^= (uint8_t)(1u << dice_below(&dice, 8));
        read = (struct body){.type = body.type, .ack = body.ack};
        wire_cursor_init(&cursor, bytes, buffer.size);
        if (body_get(&cursor, &read)) {
            struct wire_buffer again = {0};

            body_put(&again, &read); /* touches all that was read */
            wire_buffer_deinit(&again);
        } else {
            refused++;
        }
        free(bytes);
    }
    cr_assert_gt(refused, CASES / 10);
    cr_assert_lt(refused, CASES);
    wire_buffer_deinit(&buffer);
}

Test(wire, fields_of_a_later_version_are_passed_over)
{
    struct wire_buffer buffer = {0};
    struct wire_cursor cursor;
    struct wire_hello hello;

    wire_put_array(&buffer, 11);
    for (uint64_t i = 1; i <= 9; i++)
        wire_put_uint(&buffer, i);
    wire_put_array(&buffer, 1);
    wire_put_string(&buffer, "new");
    wire_put_map(&buffer, 0);
    wire_put_uint(&buffer, 99);
    wire_cursor_init(&cursor, buffer.data, buffer.size);
    cr_assert(wire_get_hello(&cursor, &hello));
    cr_assert_eq(hello.epoch, 5);
    cr_assert_eq(wire_get_uint(&cursor, 99), 99);
    wire_buffer_deinit(&buffer);
}

/* A HELLO as version 0.1.0 sent it, and what comes of versions that both sides name. */
Test(wire, the_newest_version_that_both_speak_is_spoken)
{
    static const uint8_t version_1[] = {0x95, 0x01, 0x01, 0x02, 0x03, 0x09};
    const uint32_t newest = wire_version_newest();
    struct wire_hello hello, own = wire_hello_own(LINK_ROLE_ROUTER);
    char why[WIRE_HELLO_WHY_SIZE];
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, version_1, sizeof version_1);
    cr_assert(wire_get_hello(&cursor, &hello));
    cr_assert(hello.oldest == 1 && hello.newest == 1 && hello.shards == 2 && hello.member == 3 &&
              hello.epoch == 9);
    cr_assert_eq(wire_hello_version(&hello), 1);
    cr_assert_eq(own.oldest, 1, "version 0.1.0 takes no other first field");
    cr_assert_eq(wire_hello_version(&own), newest);
    hello.newest = newest + 5;
    cr_assert_eq(wire_hello_version(&hello), newest);
    hello.oldest = newest + 1;
    cr_assert_eq(wire_hello_version(&hello), 0);
    wire_hello_why(&hello, why);
    cr_assert(strstr(why, "upgrade this one"), "%s", why);
    hello = (struct wire_hello){.oldest = 0, .newest = 0};
    cr_assert_eq(wire_hello_version(&hello), 0);
    wire_hello_why(&hello, why);
    cr_assert(strstr(why, "upgrade the other one"), "%s", why);
    hello = (struct wire_hello){.oldest = newest + 2, .newest = 1}; /* makes no sense */
    cr_assert_eq(wire_hello_version(&hello), 0);
}

/* The example of docs/format-wire.md, byte by byte. */
Test(wire, ops_body_is_the_documented_example)
{
    static const uint8_t expected[] = {0x92, 0x01, 0xce, 0x01, 0x02, 0x03, 0x04, 0x99, 0x07,
                                       0x10, 0x01, 0x2a, 0x01, 0xcd, 0x03, 0xe8, 0x05, 0x02,
                                       0x92, 0xc4, 0x01, 'k',  0xc4, 0x03, 'o',  'n',  'e'};
    struct wire_bytes args[] = {{(const uint8_t *)"k", 1}, {(const uint8_t *)"one", 3}};
    struct wire_op op = {.id = 7,
                         .operation = WIRE_OP_SET,
                         .flags = WIRE_SET_NX,
                         .partition = 42,
                         .lane_epoch = 1,
                         .budget_ms = 1000,
                         .sequence = 5,
                         .floor = 3,
                         .arg_count = 2};
    struct wire_buffer buffer = {0};

    wire_put_ops_head(&buffer, 0x01020304);
    wire_put_op(&buffer, &op, args);
    cr_assert_eq(buffer.size, sizeof expected);
    cr_assert_eq(memcmp(buffer.data, expected, sizeof expected), 0);
    wire_buffer_deinit(&buffer);
}

Test(wire, raft_entries_may_be_filled_in_place)
{
    struct wire_raft message = {.kind = 5, .entries = {NULL, 300}};
    struct wire_buffer buffer = {0};
    struct wire_cursor cursor;
    struct wire_raft read;
    uint8_t *space = wire_put_raft(&buffer, &message);

    memset(space, 0xab, 300);
    wire_cursor_init(&cursor, buffer.data, buffer.size);
    cr_assert(wire_get_raft(&cursor, &read));
    cr_assert_eq(read.entries.size, 300);
    cr_assert_eq(read.entries.data, space);
    cr_assert_eq(read.entries.data[299], 0xab);
    wire_buffer_deinit(&buffer);
}

static bool op_is_read(uint32_t args_max, uint64_t sequence, uint64_t floor_back)
{
    static const uint64_t fields[] = {1, 1, 0, 0, 0, 0};
    struct wire_bytes args[4];
    struct wire_buffer buffer = {0};
    struct wire_cursor cursor;
    struct wire_op op;
    bool read;

    wire_put_array(&buffer, 9);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        wire_put_uint(&buffer, fields[i]);
    wire_put_uint(&buffer, sequence);
    wire_put_uint(&buffer, floor_back);
    wire_put_array(&buffer, 4);
    for (unsigned i = 0; i < 4; i++)
        wire_put_bin(&buffer, "x", 1);
    wire_cursor_init(&cursor, buffer.data, buffer.size);
    read = wire_get_op(&cursor, &op, args, args_max);
    cr_assert_neq(read, cursor.failed);
    wire_buffer_deinit(&buffer);
    return read;
}

Test(wire, op_out_of_bounds_is_refused)
{
    cr_assert(op_is_read(4, 9, 9));
    cr_assert_not(op_is_read(3, 9, 9), "more args than places");
    cr_assert_not(op_is_read(4, 9, 10), "floor below zero");
    cr_assert_not(op_is_read(4, 9, (uint64_t)1 << 32), "floor_back over 32 bits");
}

Test(wire, ops_of_another_version_are_refused)
{
    struct wire_buffer buffer = {0};
    struct wire_cursor cursor;
    uint64_t session;

    wire_put_array(&buffer, 2);
    wire_put_uint(&buffer, WIRE_OPS_VERSION + 1);
    wire_put_uint(&buffer, 1);
    wire_cursor_init(&cursor, buffer.data, buffer.size);
    cr_assert_not(wire_get_ops_head(&cursor, &session));
    wire_buffer_deinit(&buffer);
}

Test(wire, status_text_that_would_steer_a_terminal_is_refused)
{
    struct wire_node_status status = {.address = "127.0.0.1:7000", .zone = "a\033[2J"};
    struct wire_buffer buffer = {0};
    struct wire_cursor cursor;

    wire_put_node_status(&buffer, &status);
    wire_cursor_init(&cursor, buffer.data, buffer.size);
    cr_assert_not(wire_get_node_status(&cursor, &status));
    wire_buffer_deinit(&buffer);
}

Test(wire, a_reason_that_would_steer_a_terminal_is_refused)
{
    struct wire_map_reply reply = {.outcome = WIRE_MAP_REFUSED, .why = "no\033]0;x\007"};
    struct wire_buffer buffer = {0};
    struct wire_cursor cursor;

    wire_put_map_reply(&buffer, &reply);
    wire_cursor_init(&cursor, buffer.data, buffer.size);
    cr_assert_not(wire_get_map_reply(&cursor, &reply));
    wire_buffer_deinit(&buffer);
}

/* Whichever growth fails: the buffer says so, keeps saying so, and works again once cleared. */
Test(wire, out_of_memory_is_sticky_and_harmless)
{
    for (uint64_t n = 1; n < 4; n++) {
        struct wire_buffer buffer = {0};
        struct body body = {.type = BODY_NODE};

        alloc_fail_after(n);
        for (unsigned i = 0; i < 20; i++)
            body_put(&buffer, &body);
        cr_assert(alloc_failed());
        cr_assert(buffer.failed);
        wire_put_uint(&buffer, 1);
        cr_assert_null(wire_put_bin_space(&buffer, 10));
        cr_assert_null(wire_put_raft(&buffer, &body.raft));
        cr_assert(buffer.failed);
        wire_buffer_clear(&buffer);
        body_put(&buffer, &body);
        cr_assert_not(buffer.failed);
        expect_read(buffer.data, buffer.size, &body);
        wire_buffer_deinit(&buffer);
    }
}

Test(wire, names_and_kinds_follow_the_tables)
{
    cr_assert_str_eq(wire_type_name(WIRE_RAFT), "RAFT");
    cr_assert_str_eq(wire_type_name(0), "?");
    cr_assert_str_eq(wire_operation_name(WIRE_OP_INCRBY), "INCRBY");
    cr_assert_str_eq(wire_operation_name(0), "?");
    cr_assert_str_eq(wire_status_name(WIRE_STATUS_OK), "OK");
    cr_assert_str_eq(wire_status_name(200), "?");
    cr_assert(wire_operation_known(WIRE_OP_GET));
    cr_assert_not(wire_operation_known(15));
    cr_assert(wire_operation_writes(WIRE_OP_SET));
    cr_assert_not(wire_operation_writes(WIRE_OP_GET));
    cr_assert_not(wire_operation_writes(15));
    cr_assert_eq(wire_type_lane(WIRE_BEAT), WIRE_LANE_CONTROL);
    cr_assert_eq(wire_type_lane(WIRE_RAFT), WIRE_LANE_DATA);
    cr_assert_eq(wire_type_lane(WIRE_SNAPSHOT), WIRE_LANE_BULK);
    cr_assert(wire_status_unproposed(WIRE_STATUS_TRYAGAIN));
    cr_assert_not(wire_status_unproposed(WIRE_STATUS_UNKNOWN));
    cr_assert_not(wire_status_unproposed(200), "what is not known may have been proposed");
}
