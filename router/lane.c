#include "router/lane.h"

#include "router/route.h"
#include "router/router_internal.h"

#include <assert.h>

#define LANE_TIMEOUT_SHIFT_MAX 3u
#define LANE_LATELY_PART       4u /* of an attempt's time: a member that serves is heard in it */

void lane_init(struct lane *lane, uint16_t partition, uint64_t session)
{
    *lane =
        (struct lane){.partition = partition, .epoch = 1, .window = 1, .session = {.id = session}};
}

void lane_add(struct router *router, struct lane *lane, struct op *op)
{
    op->lane = lane;
    op->previous = lane->last;
    if (lane->last)
        lane->last->next = op;
    else
        lane->first = op;
    lane->last = op;
    if (op->writes) {
        op->sequence = session_next(&lane->session);
        op->write_previous = lane->write_last;
        if (lane->write_last)
            lane->write_last->write_next = op;
        else
            lane->write_first = op;
        lane->write_last = op;
    }
    if (!lane->next_unsent)
        lane->next_unsent = op;
    lane->count++;
    if (!lane->active) {
        router_lane_active(router, lane, true);
        router_due(router, op->deadline_ms);
        if (lane->state == LANE_WAITING)
            router_due(router, lane->resume_ms);
    }
    if (lane->state == LANE_RUNNING)
        router_lane_ready(router, lane);
}

/* The newest attempt is over: refused, lost or not waited for any longer. */
static void lane_landed(struct router *router, struct op *op)
{
    struct lane *lane = op->lane;
    struct peer *peer = pool_peer(&router->pool, op->member);

    assert(op->in_flight);
    assert(lane->in_flight > 0);
    assert(peer);
    op->in_flight = false;
    lane->in_flight--;
    lane->in_flight_size -= op->size;
    peer->in_flight_size -= op->size;
}

static void lane_remove(struct router *router, struct op *op)
{
    struct lane *lane = op->lane;

    if (op->in_flight)
        lane_landed(router, op);
    for (uint32_t i = 0; i < OP_IDS_MAX; i++)
        if (op->ids[i])
            attempts_remove(&router->attempts, op->ids[i]);
    if (lane->next_unsent == op)
        lane->next_unsent = op->next;
    *(op->previous ? &op->previous->next : &lane->first) = op->next;
    *(op->next ? &op->next->previous : &lane->last) = op->previous;
    if (op->writes) {
        *(op->write_previous ? &op->write_previous->write_next : &lane->write_first) =
            op->write_next;
        *(op->write_next ? &op->write_next->write_previous : &lane->write_last) =
            op->write_previous;
    }
    lane->count--;
    op->lane = NULL;
    op_end(router, op);
    if (!lane->first)
        router_lane_active(router, lane, false);
}

static void lane_finish(struct router *router, struct op *op, uint8_t outcome,
                        const struct wire_result *result)
{
    struct lane *lane = op->lane;

    lane_remove(router, op);
    request_part_done(router, op->request, op, outcome, result);
    op_free(router, op);
    if (lane->state == LANE_RUNNING && lane->next_unsent)
        router_lane_ready(router, lane);
}

/* Without an answer: what is certain decides what the client is told. */
static void lane_abandon(struct router *router, struct op *op)
{
    uint8_t outcome = pool_up(&router->pool, op->lane->leader) ? REQUEST_OUTCOME_TRYAGAIN
                                                               : REQUEST_OUTCOME_CLUSTERDOWN;

    if (op_doubtful(op))
        outcome = REQUEST_OUTCOME_UNKNOWN;
    lane_finish(router, op, outcome, NULL);
}

static void lane_wait(struct router *router, struct lane *lane, uint64_t pause_ms)
{
    lane->state = LANE_WAITING;
    lane->resume_ms = router->now_ms + pause_ms;
    router_due(router, lane->resume_ms);
}

/* Again from the first unanswered operation, under the next epoch. */
static void lane_restart(struct router *router, struct lane *lane)
{
    if (!pool_up(&router->pool, lane->target))
        lane->target = route_first(router, lane);
    lane->routeless = lane->target == 0;
    if (lane->routeless) {
        lane_wait(router, lane, router->options.retry_ms_max);
        return;
    }
    lane->epoch++;
    lane->window = 1;
    lane->next_unsent = lane->first;
    lane->state = LANE_RUNNING;
    if (lane->first)
        router_lane_ready(router, lane);
}

/* The partition has forgotten the session: what may have been proposed under it can never be
 * asked again; the rest gets new numbers. */
static void lane_renew_session(struct router *router, struct lane *lane)
{
    struct op *next;

    for (struct op *op = lane->write_first; op; op = next) {
        next = op->write_next;
        if (op_doubtful(op))
            lane_finish(router, op, REQUEST_OUTCOME_UNKNOWN, NULL);
    }
    session_renew(&lane->session, lane->session_min, router->wall_ms, router_random(router));
    for (struct op *op = lane->write_first; op; op = op->write_next)
        op->sequence = session_next(&lane->session);
    lane->session_min = 0;
}

static void lane_settle(struct router *router, struct lane *lane)
{
    uint64_t pause_ms;

    if (lane->state != LANE_DRAINING || lane->in_flight > 0)
        return;
    if (lane->session_min)
        lane_renew_session(router, lane);
    pause_ms = route_after_stall(router, lane);
    if (pause_ms > 0)
        lane_wait(router, lane, pause_ms);
    else
        lane_restart(router, lane);
}

static void lane_stop(struct router *router, struct lane *lane, uint8_t next)
{
    assert(lane->state != LANE_WAITING);
    if (lane->state == LANE_RUNNING) {
        lane->state = LANE_DRAINING;
        lane->next = next;
        router->stats.stalls++;
    } else if (next > lane->next) {
        lane->next = next;
    }
}

/* A new id for one more attempt; the oldest of many is forgotten. */
static bool lane_new_id(struct router *router, struct op *op)
{
    uint32_t id = attempts_add(&router->attempts, op);
    uint32_t place = 0;

    if (id == 0)
        return false;
    while (place < OP_IDS_MAX && op->ids[place])
        place++;
    if (place == OP_IDS_MAX) {
        attempts_remove(&router->attempts, op->ids[0]);
        for (place = 0; place + 1 < OP_IDS_MAX; place++)
            op->ids[place] = op->ids[place + 1];
    }
    op->ids[place] = id;
    if (op->id_newest)
        router->stats.retries++;
    op->id_newest = id;
    return true;
}

static bool lane_send(struct router *router, struct lane *lane, struct op *op)
{
    struct frame *frame =
        pool_frame(&router->pool, lane->target, lane->partition, lane->session.id, op->size);
    const struct router_options *options = &router->options;
    uint64_t left_ms = op->deadline_ms - router->now_ms;
    /* Less than an attempt: the member's refusal is to come before the attempt is given up. */
    uint64_t budget_ms = options->attempt_ms - options->attempt_ms / 4;
    struct wire_op wire = {
        .operation = op->operation,
        .flags = op->flags,
        .retry = op->writes && op_doubtful(op),
        .partition = lane->partition,
        .lane_epoch = lane->epoch,
        .budget_ms = (uint32_t)(left_ms < budget_ms ? left_ms : budget_ms),
        .sequence = op->sequence,
        .floor = op->writes ? lane->write_first->sequence : 0,
        .arg_count = op->arg_count,
    };

    if (!frame || !lane_new_id(router, op))
        return false;
    wire.id = op->id_newest;
    wire_put_op(&frame->body, &wire, op->args);
    frame->operations++;
    op->member = lane->target;
    op->in_flight = true;
    op->unresolved++;
    op->sent_ms = router->now_ms;
    lane->in_flight++;
    lane->in_flight_size += op->size;
    pool_peer(&router->pool, op->member)->in_flight_size += op->size;
    router->stats.attempts++;
    return true;
}

static bool lane_window_open(const struct router *router, const struct lane *lane,
                             const struct op *op)
{
    const struct router_options *options = &router->options;

    if (lane->in_flight >= lane->window || lane->in_flight >= options->lane_operations_max)
        return false;
    if (lane->in_flight > 0 && lane->in_flight_size + op->size > options->lane_size_max)
        return false;
    return !op->writes || op->sequence - lane->write_first->sequence < options->lane_operations_max;
}

void lane_pump(struct router *router, struct lane *lane)
{
    if (lane->state != LANE_RUNNING || !lane->next_unsent)
        return;
    if (!pool_up(&router->pool, lane->target) ||
        (lane->in_flight == 0 && !route_answers(router, lane->target))) {
        assert(lane->in_flight == 0);
        lane->target = 0;
        lane_restart(router, lane);
        if (lane->state != LANE_RUNNING)
            return;
    }
    while (lane->next_unsent && lane_window_open(router, lane, lane->next_unsent)) {
        struct op *op = lane->next_unsent;
        const struct peer *peer = pool_peer(&router->pool, lane->target);

        if (op->deadline_ms <= router->now_ms)
            break; /* the timer ends it */
        if (peer->in_flight_size > 0 &&
            peer->in_flight_size + op->size > router->options.member_size_max) {
            router_lane_ready(router, lane); /* goes on when others were answered */
            break;
        }
        if (!lane_send(router, lane, op)) {
            lane_stop(router, lane, LANE_NEXT_SAME); /* no memory: a pause may help */
            lane_settle(router, lane);
            break;
        }
        lane->next_unsent = op->next;
    }
    if (lane->in_flight > 0)
        router_due(router, router->now_ms + router->options.attempt_ms);
}

/* Whether an answer with this payload means that the write was logged under its request id. */
static bool lane_evident(const struct op *op, const struct wire_result *result)
{
    if (result->status != WIRE_STATUS_OK)
        return false;
    switch (op->operation) {
    case WIRE_OP_PUT:
    case WIRE_OP_INCRBY:
        return true;
    case WIRE_OP_APPEND:
        return op->args[1].size > 0;
    case WIRE_OP_SET:
        if (!(op->flags & (WIRE_SET_NX | WIRE_SET_XX)))
            return true;
        if (!(op->flags & WIRE_SET_GET))
            return result->is_int && result->integer == 1;
        return result->values && result->value_count == 2 && result->values[1].size == 1 &&
               result->values[1].data[0] == '1';
    case WIRE_OP_DEL:
    case WIRE_OP_EXPIRE:
    case WIRE_OP_PERSIST:
        return result->is_int && result->integer > 0;
    case WIRE_OP_GETDEL:
        return result->bytes.data != NULL;
    case WIRE_OP_GETEX: /* a deadline is always written, PERSIST may find none */
        return result->bytes.data != NULL && op->arg_count == 2;
    default:
        return false;
    }
}

/* Someone who leads has answered: full speed again, step by step. */
static void lane_progress(struct router *router, struct lane *lane, uint16_t member)
{
    lane->leader = member;
    lane->stalls = 0;
    lane->follows = 0;
    lane->timeouts = 0;
    if (lane->window < router->options.lane_operations_max) {
        lane->window *= 2;
        if (lane->window > router->options.lane_operations_max)
            lane->window = router->options.lane_operations_max;
    }
}

static void lane_answered(struct router *router, struct op *op, uint16_t member, bool newest,
                          const struct wire_result *result)
{
    struct lane *lane = op->lane;
    uint8_t outcome =
        result->status == WIRE_STATUS_OK ? REQUEST_OUTCOME_OK : REQUEST_OUTCOME_STATUS;

    if (op->unresolved > 0)
        op->unresolved--;
    if (op->writes && !newest && op_doubtful(op) && !lane_evident(op, result))
        return;
    if (newest && lane->state == LANE_RUNNING)
        lane_progress(router, lane, member);
    if (result->status == WIRE_STATUS_NOSPACE && op_doubtful(op))
        outcome = REQUEST_OUTCOME_UNKNOWN; /* of this attempt only: another may take effect yet */
    lane_finish(router, op, outcome, result);
    /* These may have been refusals, which close the lane_epoch at the partition. */
    if (newest &&
        (result->status == WIRE_STATUS_NOSPACE || result->status == WIRE_STATUS_TOO_LARGE))
        lane_stop(router, lane, LANE_NEXT_AGAIN);
}

static uint8_t lane_refused_next(struct router *router, struct lane *lane, uint16_t member,
                                 const struct wire_result *result)
{
    switch (result->status) {
    case WIRE_STATUS_NOT_LEADER:
        lane->hint = result->is_int && result->integer > 0 && result->integer <= UINT16_MAX
                         ? (uint16_t)result->integer
                         : 0;
        lane->leader = lane->hint;
        if (!pool_up(&router->pool, lane->hint))
            router_doubt_map(router, member);
        return lane->hint && lane->hint != member ? LANE_NEXT_HINT : LANE_NEXT_REPLICA;
    case WIRE_STATUS_FENCED:
        lane->leader = 0;
        router_doubt_map(router, member);
        return LANE_NEXT_REPLICA;
    case WIRE_STATUS_SESSION_EXPIRED:
        if (result->is_int && (uint64_t)result->integer > lane->session_min)
            lane->session_min = (uint64_t)result->integer;
        if (lane->session_min == 0)
            lane->session_min = SESSION_ID_ANY;
        return LANE_NEXT_SAME;
    default:
        return LANE_NEXT_SAME;
    }
}

static void lane_refused(struct router *router, struct op *op, uint16_t member, bool newest,
                         const struct wire_result *result)
{
    struct lane *lane = op->lane;

    if (!wire_status_unproposed(result->status))
        op->tainted = true; /* LOST: it may have been proposed, and that does not change */
    if (op->unresolved > 0)
        op->unresolved--;
    if (!newest)
        return;
    lane_landed(router, op);
    lane_stop(router, lane, lane_refused_next(router, lane, member, result));
}

void lane_result(struct router *router, uint16_t member, const struct wire_result *result)
{
    struct op *op = attempts_find(&router->attempts, result->id);
    struct lane *lane;
    bool newest;

    if (!op)
        return;
    lane = op->lane;
    newest = op->in_flight && op->id_newest == result->id;
    for (uint32_t i = 0; i < OP_IDS_MAX; i++)
        if (op->ids[i] == result->id)
            op->ids[i] = 0;
    attempts_remove(&router->attempts, result->id);
    switch (result->status) {
    case WIRE_STATUS_OK:
    case WIRE_STATUS_NOSPACE:
    case WIRE_STATUS_NOT_INTEGER:
    case WIRE_STATUS_OVERFLOW:
    case WIRE_STATUS_TOO_LARGE:
    case WIRE_STATUS_MALFORMED:
        lane_answered(router, op, member, newest, result);
        break;
    case WIRE_STATUS_NOT_LEADER:
    case WIRE_STATUS_TRYAGAIN:
    case WIRE_STATUS_FENCED:
    case WIRE_STATUS_SESSION_EXPIRED:
    case WIRE_STATUS_LOST:
        lane_refused(router, op, member, newest, result);
        break;
    default: /* UNKNOWN, and what a later version may say */
        if (op->writes)
            lane_finish(router, op, REQUEST_OUTCOME_UNKNOWN, NULL);
        else
            lane_refused(router, op, member, newest, result);
        break;
    }
    lane_settle(router, lane);
}

/* All attempts in flight are given up: together, so that order holds when they are sent again. */
static void lane_lose(struct router *router, struct lane *lane)
{
    for (struct op *op = lane->first; op && lane->in_flight > 0; op = op->next)
        if (op->in_flight)
            lane_landed(router, op);
    assert(lane->in_flight == 0);
}

void lane_link_down(struct router *router, struct lane *lane, uint16_t member)
{
    if (lane->leader == member)
        lane->leader = 0;
    if (lane->target != member)
        return;
    lane_lose(router, lane);
    lane->target = 0;
    if (lane->state == LANE_WAITING)
        return;
    lane_stop(router, lane, LANE_NEXT_REPLICA);
    lane_settle(router, lane);
}

void lane_link_up(struct router *router, struct lane *lane)
{
    if (lane->state != LANE_WAITING || !lane->routeless)
        return;
    lane->resume_ms = router->now_ms;
    router_due(router, lane->resume_ms);
}

void lane_led(struct router *router, struct lane *lane, uint16_t member, uint32_t term)
{
    if (term < lane->term || lane->first || !pool_up(&router->pool, member))
        return;
    lane->term = term;
    lane->leader = member;
    if (lane->target != member)
        lane->target = 0; /* the next operation begins a lane_epoch there */
}

void lane_rows_changed(struct lane *lane)
{
    lane->place = 0;
    if (lane->state == LANE_WAITING)
        lane->target = 0;
}

/* What was on its way to a member before it turned out to be mute is not waited for. */
static bool lane_mute(struct router *router, const struct op *op)
{
    return pool_peer(&router->pool, op->member)->mute_ms > op->sent_ms;
}

/* No answer to this for the time of an attempt, nor to anything else lately. */
static void lane_unheard(struct router *router, const struct op *op)
{
    struct peer *peer = pool_peer(&router->pool, op->member);
    uint64_t lately_ms = router->options.attempt_ms / LANE_LATELY_PART;

    if (router->now_ms < peer->heard_ms + lately_ms || lane_mute(router, op))
        return;
    peer->mute_ms = router->now_ms;
    router_due(router, router->now_ms); /* other lanes wait for it too */
}

uint64_t lane_timer(struct router *router, struct lane *lane)
{
    uint64_t timeout_ms = (uint64_t)router->options.attempt_ms << lane->timeouts;
    uint64_t due_ms = UINT64_MAX;
    const struct op *oldest;

    while (lane->first && lane->first->deadline_ms <= router->now_ms)
        lane_abandon(router, lane->first);
    oldest = lane->in_flight > 0 ? lane->first : NULL;
    while (oldest && !oldest->in_flight)
        oldest = oldest->next;
    if (oldest) {
        due_ms = oldest->sent_ms + timeout_ms;
        if (due_ms <= router->now_ms || lane_mute(router, oldest)) {
            lane_unheard(router, oldest);
            lane_lose(router, lane);
            if (lane->timeouts < LANE_TIMEOUT_SHIFT_MAX)
                lane->timeouts++;
            lane_stop(router, lane, LANE_NEXT_REPLICA);
            due_ms = UINT64_MAX;
        }
    }
    lane_settle(router, lane);
    if (lane->state == LANE_WAITING && lane->resume_ms <= router->now_ms && lane->first)
        lane_restart(router, lane);
    if (lane->state == LANE_WAITING && lane->resume_ms < due_ms)
        due_ms = lane->resume_ms;
    if (lane->first && lane->first->deadline_ms < due_ms)
        due_ms = lane->first->deadline_ms;
    return lane->first ? due_ms : UINT64_MAX;
}

void lane_give_up(struct router *router, struct lane *lane)
{
    while (lane->first)
        lane_abandon(router, lane->first);
    lane_settle(router, lane);
}

void lane_clear(struct router *router, struct lane *lane)
{
    while (lane->first) {
        struct op *op = lane->first;

        lane_remove(router, op);
        request_part_done(router, op->request, op, REQUEST_OUTCOME_UNKNOWN, NULL);
        op_free(router, op);
    }
}

void lane_check(const struct lane *lane)
{
    uint32_t count = 0, in_flight = 0;
    uint64_t sequence = 0;
    bool unsent = false;

    for (const struct op *op = lane->first; op; op = op->next) {
        assert(op->lane == lane);
        assert(op->next ? op->next->previous == op : lane->last == op);
        unsent |= op == lane->next_unsent;
        assert(!unsent || !op->in_flight);
        if (op->writes) {
            assert(op->sequence > sequence);
            sequence = op->sequence;
        }
        count++;
        in_flight += op->in_flight ? 1 : 0;
    }
    assert(unsent == (lane->next_unsent != NULL));
    assert(count == lane->count);
    assert(in_flight == lane->in_flight);
    assert(lane->state != LANE_WAITING || in_flight == 0);
    assert(sequence <= lane->session.sequence_last);
    assert((lane->first != NULL) == lane->active);
}
