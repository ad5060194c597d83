#include "wire_body.h"

#include <string.h>

/* What args, values and entries are cut from. */
static uint8_t pool[1024];

static uint8_t any8(struct dice *dice)
{
    return (uint8_t)dice_number(dice, 8);
}

static uint16_t any16(struct dice *dice)
{
    return (uint16_t)dice_number(dice, 16);
}

static uint32_t any32(struct dice *dice)
{
    return (uint32_t)dice_number(dice, 32);
}

static uint64_t any64(struct dice *dice)
{
    return dice_number(dice, 64);
}

static struct wire_bytes any_bytes(struct dice *dice)
{
    size_t size = (size_t)dice_number(dice, 9);

    return (struct wire_bytes){pool + dice_below(dice, sizeof pool - size), size};
}

static void any_text(struct dice *dice, char *out, size_t capacity)
{
    size_t size = dice_below(dice, capacity);

    memset(out, 0, capacity);
    for (size_t i = 0; i < size; i++)
        out[i] = (char)(' ' + dice_below(dice, '~' - ' ' + 1));
}

static void any_op(struct dice *dice, struct body *body)
{
    struct wire_op *op = &body->op;

    op->id = any32(dice);
    op->operation = any8(dice);
    op->flags = any8(dice) & (WIRE_OP_RETRY - 1);
    op->retry = any8(dice) & 1;
    op->partition = any16(dice);
    op->lane_epoch = any32(dice);
    op->budget_ms = any32(dice);
    op->sequence = any64(dice);
    op->floor = op->sequence -
                (op->sequence <= UINT32_MAX ? dice_below(dice, op->sequence + 1) : any32(dice));
    op->arg_count = (uint32_t)dice_below(dice, BODY_ARGS_MAX + 1);
    for (uint32_t i = 0; i < op->arg_count; i++)
        body->bytes[i] = any_bytes(dice);
}

static void any_result(struct dice *dice, struct body *body)
{
    struct wire_result *result = &body->result;

    result->id = any32(dice);
    result->status = any8(dice);
    switch (dice_below(dice, 4)) {
    case 0:
        result->is_int = true;
        result->integer = (int64_t)any64(dice);
        return;
    case 1:
        result->bytes = any_bytes(dice);
        return;
    case 2:
        result->values = body->bytes;
        result->value_count = (uint32_t)dice_below(dice, BODY_ARGS_MAX + 1);
        for (uint32_t i = 0; i < result->value_count; i++) {
            if (dice_below(dice, 3) > 0)
                body->bytes[i] = any_bytes(dice);
        }
        return;
    default:
        return; /* nil */
    }
}

static void any_raft(struct dice *dice, struct wire_raft *raft)
{
    raft->kind = any8(dice);
    raft->flags = any8(dice);
    raft->group = any16(dice);
    raft->from_member = any16(dice);
    raft->to_member = any16(dice);
    raft->from_life = any64(dice);
    raft->to_life = any64(dice);
    raft->term = any32(dice);
    raft->log_term = any32(dice);
    raft->index = any64(dice);
    raft->commit = any64(dice);
    raft->entry_count = any32(dice);
    raft->entries = any_bytes(dice);
}

static void any_snapshot(struct dice *dice, struct body *body)
{
    body->snapshot = (struct wire_snapshot){.group = any16(dice),
                                            .from_member = any16(dice),
                                            .to_member = any16(dice),
                                            .from_life = any64(dice),
                                            .to_life = any64(dice),
                                            .term = any32(dice),
                                            .log_term = any32(dice),
                                            .index = any64(dice),
                                            .from = any64(dice),
                                            .next = any64(dice),
                                            .settled = any64(dice),
                                            .checksum = any64(dice),
                                            .records = any_bytes(dice)};
    if (dice_below(dice, 2))
        body->snapshot.state = any_bytes(dice);
    body->snapshot_ack = (struct wire_snapshot_ack){.kind = any8(dice),
                                                    .group = any16(dice),
                                                    .from_member = any16(dice),
                                                    .to_member = any16(dice),
                                                    .from_life = any64(dice),
                                                    .to_life = any64(dice),
                                                    .term = any32(dice),
                                                    .index = any64(dice),
                                                    .next = any64(dice)};
}

static void any_status(struct dice *dice, struct body *body)
{
    struct wire_partition_status *partition = &body->partition;
    struct wire_node_status *node = &body->node;

    *partition = (struct wire_partition_status){
        any16(dice), any8(dice),  any16(dice), any32(dice),    any64(dice), any64(dice),
        any64(dice), any64(dice), any64(dice), any8(dice) & 1, any32(dice)};
    body->begin = any8(dice) & 1;
    body->compare = (struct wire_compare){.kind = any8(dice),
                                          .group = any16(dice),
                                          .from_member = any16(dice),
                                          .to_member = any16(dice),
                                          .from_life = any64(dice),
                                          .to_life = any64(dice),
                                          .term = any32(dice),
                                          .index = any64(dice),
                                          .from = any64(dice),
                                          .to = any64(dice),
                                          .count = any32(dice),
                                          .sum = any64(dice)};
    body->flush = (struct wire_flush_state){
        any8(dice) & 1, any8(dice) & 1, any64(dice), any64(dice), any64(dice),
        any64(dice),    any64(dice),    any64(dice), any64(dice), any64(dice)};
    body->scrub = (struct wire_scrub_state){any8(dice) & 1, any8(dice) & 1, any64(dice),
                                            any64(dice),    any64(dice),    any64(dice),
                                            any64(dice),    any64(dice),    any32(dice)};
    node->member = any16(dice);
    node->founded = any8(dice);
    node->shards = any16(dice);
    node->epoch = any64(dice);
    node->uptime_ms = any64(dice);
    node->disk_bytes = any64(dice);
    node->disk_free = any64(dice);
    dice_fill(dice, node->public_key, sizeof node->public_key);
    dice_fill(dice, node->genesis_hash, sizeof node->genesis_hash);
    any_text(dice, node->address, sizeof node->address);
    any_text(dice, node->zone, sizeof node->zone);
    any_text(dice, node->version, sizeof node->version);
    node->weight = any32(dice);
    node->links_up = any32(dice);
    node->disk_full = any8(dice) & 1;
    node->cache_hits = any64(dice);
    node->cache_misses = any64(dice);
    node->cache_evictions = any64(dice);
    node->cache_bytes = any64(dice);
    node->key_id = any8(dice);
    body->map_reply =
        (struct wire_map_reply){.outcome = any8(dice), .epoch = any64(dice), .leader = any16(dice)};
    any_text(dice, body->map_reply.why, sizeof body->map_reply.why);
    node->scrub =
        (struct wire_scrub){any64(dice), any64(dice), any64(dice), any64(dice), any64(dice),
                            any64(dice), any64(dice), any64(dice), any64(dice)};
    node->wall_ms = any64(dice);
    node->memory_bytes = any64(dice);
    node->tickets = any64(dice);
    node->disk_reserve = any64(dice);
    node->disk_lacks = any64(dice);
    node->twin = any16(dice);
    if (node->twin != 0)
        any_text(dice, node->twin_address, sizeof node->twin_address);
    node->shards_lost = any16(dice);
}

static void any_liveness(struct dice *dice, struct wire_liveness *liveness)
{
    liveness->member = any16(dice);
    liveness->standing = any8(dice);
    liveness->heard = any8(dice) & 1;
    liveness->age_ms = any64(dice);
    liveness->incarnation = any64(dice);
    liveness->epoch = any64(dice);
    any_text(dice, liveness->address, sizeof liveness->address);
    liveness->operations = any32(dice);
    liveness->leaders = any16(dice);
    liveness->bytes = any64(dice);
    liveness->leaders_digest = any64(dice);
}

static void any_members(struct dice *dice, struct wire_members *members)
{
    members->count = (uint8_t)dice_below(dice, WIRE_MOVE_MEMBERS_MAX + 1);
    for (uint32_t i = 0; i < members->count; i++)
        members->ids[i] = any16(dice);
}

static void any_moves(struct dice *dice, struct body *body)
{
    struct wire_move *move = &body->move;

    body->holds = (struct wire_holds){any16(dice), any16(dice), any64(dice)};
    body->gone = (struct wire_gone){any16(dice), any16(dice), any64(dice), any64(dice)};
    body->epoch = any64(dice);
    body->group_count = (uint32_t)dice_below(dice, BODY_GROUPS_MAX + 1);
    for (uint32_t i = 0; i < body->group_count; i++)
        body->groups[i] = any16(dice);
    body->moves_head = (struct wire_moves_head){
        .epoch = any64(dice), .paused = any8(dice) & 1, .rate = any64(dice)};
    move->group = any16(dice);
    move->step = any8(dice);
    move->member = any16(dice);
    move->config_index = any64(dice);
    move->config_epoch = any64(dice);
    move->committed = any8(dice) & 1;
    any_members(dice, &move->voters);
    any_members(dice, &move->voters_old);
    any_members(dice, &move->learners);
    move->bytes = any64(dice);
    move->sent = any64(dice);
    move->snapshots = any32(dice);
}

static void any_join(struct dice *dice, struct body *body)
{
    dice_fill(dice, body->join.public_key, sizeof body->join.public_key);
    any_text(dice, body->join.address, sizeof body->join.address);
    any_text(dice, body->join.zone, sizeof body->join.zone);
    body->join.weight = any32(dice);
    body->join_reply.outcome = any8(dice);
    any_text(dice, body->join_reply.why, sizeof body->join_reply.why);
    if (dice_below(dice, 2))
        body->join_reply.genesis = any_bytes(dice);
    if (dice_below(dice, 2))
        body->join_reply.map = any_bytes(dice);
}

static void put_load(struct wire_buffer *buffer, const struct body *body)
{
    switch (body->type) {
    case BODY_BALANCE:
        wire_put_balance(buffer, &body->balance);
        return;
    case BODY_WISH:
        wire_put_wish(buffer, &body->wish);
        return;
    case BODY_LEADER:
        wire_put_leader(buffer, &body->leader);
        return;
    case BODY_PEERS_GET:
        wire_put_peers_get(buffer, body->number);
        return;
    case BODY_PEERS_HEAD:
        wire_put_peers_head(buffer, body->number);
        return;
    case BODY_PEER:
        wire_put_peer(buffer, &body->peer);
        return;
    case BODY_LOAD:
        wire_put_load(buffer, &body->load);
        return;
    case BODY_LOAD_PARTITION:
        wire_put_load_partition(buffer, &body->load_partition);
        return;
    case BODY_TOP:
        wire_put_top(buffer, body->number);
        return;
    case BODY_TOP_REPLY:
        wire_put_top_reply(buffer, &body->top);
        return;
    case BODY_TOP_PARTITION:
        wire_put_top_partition(buffer, &body->top_partition);
        return;
    case BODY_TOP_KEY:
        wire_put_top_key(buffer, &body->top_key);
        return;
    case BODY_DRAIN:
        wire_put_drain(buffer, body->begin);
        return;
    default:
        wire_put_drain_reply(buffer, body->begin, body->number);
        return;
    }
}

static bool get_load(struct wire_cursor *cursor, struct body *body)
{
    switch (body->type) {
    case BODY_BALANCE:
        return wire_get_balance(cursor, &body->balance);
    case BODY_WISH:
        return wire_get_wish(cursor, &body->wish);
    case BODY_LEADER:
        return wire_get_leader(cursor, &body->leader);
    case BODY_PEERS_GET:
        return wire_get_peers_get(cursor, &body->number);
    case BODY_PEERS_HEAD:
        return wire_get_peers_head(cursor, &body->number);
    case BODY_PEER:
        return wire_get_peer(cursor, &body->peer);
    case BODY_LOAD:
        return wire_get_load(cursor, &body->load);
    case BODY_LOAD_PARTITION:
        return wire_get_load_partition(cursor, &body->load_partition);
    case BODY_TOP:
        return wire_get_top(cursor, &body->number);
    case BODY_TOP_REPLY:
        return wire_get_top_reply(cursor, &body->top);
    case BODY_TOP_PARTITION:
        return wire_get_top_partition(cursor, &body->top_partition);
    case BODY_TOP_KEY:
        return wire_get_top_key(cursor, &body->top_key);
    case BODY_DRAIN:
        return wire_get_drain(cursor, &body->begin);
    default:
        return wire_get_drain_reply(cursor, &body->begin, &body->number);
    }
}

static void any_load(struct dice *dice, struct body *body)
{
    body->balance = (struct wire_balance){any32(dice), any8(dice) & 1, any8(dice) & 1};
    body->wish = (struct wire_wish){any16(dice), any16(dice)};
    body->leader = (struct wire_leader){any16(dice), any32(dice)};
    body->peer = (struct wire_peer){.role = any8(dice), .ticket = any32(dice)};
    any_text(dice, body->peer.address, sizeof body->peer.address);
    dice_fill(dice, body->peer.public_key, sizeof body->peer.public_key);
    body->load = (struct wire_load){any32(dice), any8(dice) & 1, any32(dice), any32(dice)};
    body->load_partition.partition = any16(dice);
    body->load_partition.term = any32(dice);
    body->load_partition.operations = any32(dice);
    body->load_partition.bytes = any64(dice);
    body->load_partition.voter_count = (uint8_t)dice_below(dice, WIRE_LOAD_VOTERS_MAX + 1);
    for (uint8_t i = 0; i < body->load_partition.voter_count; i++)
        body->load_partition.voters[i] = any16(dice);
    body->number = (uint32_t)dice_below(dice, WIRE_TOP_SAMPLE_MS_MAX + 1);
    body->top = (struct wire_top){.may_lead = any8(dice) & 1,
                                  .drained = any8(dice) & 1,
                                  .slow = any8(dice) & 1,
                                  .sync_us = any32(dice),
                                  .sample_ms = any32(dice),
                                  .seen = any64(dice),
                                  .partition_count = any32(dice)};
    body->top_partition = (struct wire_top_partition){any16(dice), any32(dice), any64(dice)};
    body->top_key = (struct wire_top_key){any_bytes(dice), any32(dice), any64(dice), any64(dice)};
    body->top_key.key.size %= WIRE_TOP_KEY_SIZE_MAX + 1;
}

void body_any(struct dice *dice, struct body *body)
{
    struct dice fill = {7};

    if (pool[0] == 0)
        dice_fill(&fill, pool, sizeof pool);
    memset(body, 0, sizeof *body);
    body->type = (uint8_t)dice_below(dice, BODY_TYPES);
    body->ack = dice_below(dice, 2);
    body->session = any64(dice);
    body->head = (struct wire_beat_head){.from = any16(dice),
                                         .round = any64(dice),
                                         .full = dice_below(dice, 2),
                                         .wall_ms = any64(dice)};
    body->beat = (struct wire_beat){.group = any16(dice),
                                    .from_life = any64(dice),
                                    .to_life = any64(dice),
                                    .term = any32(dice),
                                    .commit = body->ack ? 0 : any64(dice),
                                    .first = body->ack ? 0 : any64(dice)};
    body->hello = (struct wire_hello){.oldest = any32(dice),
                                      .role = any8(dice),
                                      .member = any16(dice),
                                      .shards = any16(dice),
                                      .epoch = any64(dice),
                                      .newest = any32(dice),
                                      .instance = dice_below(dice, 2) ? any64(dice) : 0,
                                      .counter = dice_below(dice, 2) ? any64(dice) : 0};
    body->hello.heard = body->hello.counter != 0 ? any64(dice) : 0;
    any_raft(dice, &body->raft);
    any_snapshot(dice, body);
    any_status(dice, body);
    any_liveness(dice, &body->liveness);
    any_moves(dice, body);
    any_join(dice, body);
    body->begin = dice_below(dice, 2);
    any_load(dice, body);
    if (body->type == BODY_OP)
        any_op(dice, body);
    else
        any_result(dice, body);
}

/* Those of ring/wire_moves.c; false: it is none of them. */
static bool put_moves(struct wire_buffer *buffer, const struct body *body)
{
    switch (body->type) {
    case BODY_HOLDS:
        wire_put_holds(buffer, &body->holds);
        return true;
    case BODY_GONE:
        wire_put_gone(buffer, &body->gone);
        return true;
    case BODY_MOVED:
        wire_put_moved(buffer, body->epoch, body->groups, body->group_count);
        return true;
    case BODY_MOVES_HEAD:
        wire_put_moves_head(buffer, &body->moves_head);
        return true;
    case BODY_MOVE:
        wire_put_move(buffer, &body->move);
        return true;
    default:
        return false;
    }
}

void body_put(struct wire_buffer *buffer, const struct body *body)
{
    if (put_moves(buffer, body))
        return;
    switch (body->type) {
    case BODY_OPS_HEAD:
        wire_put_ops_head(buffer, body->session);
        return;
    case BODY_OP:
        wire_put_op(buffer, &body->op, body->bytes);
        return;
    case BODY_RESULT:
        wire_put_result(buffer, &body->result);
        return;
    case BODY_RAFT:
        wire_put_raft(buffer, &body->raft);
        return;
    case BODY_BEAT_HEAD:
        wire_put_beat_head(buffer, &body->head);
        return;
    case BODY_BEAT:
        wire_put_beat(buffer, &body->beat, body->ack);
        return;
    case BODY_SNAPSHOT:
        wire_put_snapshot(buffer, &body->snapshot);
        return;
    case BODY_SNAPSHOT_ACK:
        wire_put_snapshot_ack(buffer, &body->snapshot_ack);
        return;
    case BODY_HELLO:
        wire_put_hello(buffer, &body->hello);
        return;
    case BODY_PARTITION:
        wire_put_partition_status(buffer, &body->partition);
        return;
    case BODY_COMPARE:
        wire_put_compare(buffer, &body->compare);
        return;
    case BODY_FLUSH:
        wire_put_flush(buffer, body->begin);
        return;
    case BODY_FLUSH_STATE:
        wire_put_flush_state(buffer, &body->flush);
        return;
    case BODY_SCRUB:
        wire_put_scrub(buffer, body->begin);
        return;
    case BODY_SCRUB_STATE:
        wire_put_scrub_state(buffer, &body->scrub);
        return;
    case BODY_MAP_REPLY:
        wire_put_map_reply(buffer, &body->map_reply);
        return;
    case BODY_LIVENESS:
        wire_put_liveness(buffer, &body->liveness);
        return;
    case BODY_JOIN:
        wire_put_join(buffer, &body->join);
        return;
    case BODY_JOIN_REPLY:
        wire_put_join_reply(buffer, &body->join_reply);
        return;
    case BODY_NODE:
        wire_put_node_status(buffer, &body->node);
        return;
    default:
        put_load(buffer, body);
        return;
    }
}

bool body_get(struct wire_cursor *cursor, struct body *body)
{
    switch (body->type) {
    case BODY_OPS_HEAD:
        return wire_get_ops_head(cursor, &body->session);
    case BODY_OP:
        return wire_get_op(cursor, &body->op, body->bytes, BODY_ARGS_MAX);
    case BODY_RESULT:
        return wire_get_result(cursor, &body->result, body->bytes, BODY_ARGS_MAX);
    case BODY_RAFT:
        return wire_get_raft(cursor, &body->raft);
    case BODY_BEAT_HEAD:
        return wire_get_beat_head(cursor, &body->head);
    case BODY_BEAT:
        return wire_get_beat(cursor, &body->beat, body->ack);
    case BODY_SNAPSHOT:
        return wire_get_snapshot(cursor, &body->snapshot);
    case BODY_SNAPSHOT_ACK:
        return wire_get_snapshot_ack(cursor, &body->snapshot_ack);
    case BODY_HELLO:
        return wire_get_hello(cursor, &body->hello);
    case BODY_PARTITION:
        return wire_get_partition_status(cursor, &body->partition);
    case BODY_COMPARE:
        return wire_get_compare(cursor, &body->compare);
    case BODY_FLUSH:
        return wire_get_flush(cursor, &body->begin);
    case BODY_FLUSH_STATE:
        return wire_get_flush_state(cursor, &body->flush);
    case BODY_SCRUB:
        return wire_get_scrub(cursor, &body->begin);
    case BODY_SCRUB_STATE:
        return wire_get_scrub_state(cursor, &body->scrub);
    case BODY_MAP_REPLY:
        return wire_get_map_reply(cursor, &body->map_reply);
    case BODY_LIVENESS:
        return wire_get_liveness(cursor, &body->liveness);
    case BODY_HOLDS:
        return wire_get_holds(cursor, &body->holds);
    case BODY_GONE:
        return wire_get_gone(cursor, &body->gone);
    case BODY_MOVED:
        return wire_get_moved(cursor, &body->epoch, body->groups, BODY_GROUPS_MAX,
                              &body->group_count);
    case BODY_MOVES_HEAD:
        return wire_get_moves_head(cursor, &body->moves_head);
    case BODY_MOVE:
        return wire_get_move(cursor, &body->move);
    case BODY_JOIN:
        return wire_get_join(cursor, &body->join);
    case BODY_JOIN_REPLY:
        return wire_get_join_reply(cursor, &body->join_reply);
    case BODY_NODE:
        return wire_get_node_status(cursor, &body->node);
    default:
        return get_load(cursor, body);
    }
}
