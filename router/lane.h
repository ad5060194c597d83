/* Lane: the operations for one partition, in order, with go-back-N.
 *
 *   RUNNING   sends from next_unsent on while its window allows
 *   DRAINING  something was refused, lost or not answered in time: sends nothing, waits until
 *             nothing is in flight
 *   WAITING   until resume_ms; then everything unanswered is sent again, in order, with the next
 *             lane_epoch and the same request ids, to the leader that a hint named or to the next
 *             replica of the row
 *
 * After a stall the window starts at one operation and doubles with each answer, so that a lane
 * asks the wrong member little and a busy one gently.
 *
 * What a late answer of an earlier attempt is worth: a write that evidently took effect is
 * recorded under its request id, so any later attempt finds it: the answer counts. An answer that
 * logged nothing (DEL of nothing, a failed NX, NOT_INTEGER) is recorded nowhere, and a later
 * attempt may still be evaluated to another end: it counts only when it answers the newest attempt
 * or when no other attempt is left. Reads may be answered by any attempt.
 *
 * Sequences: a lane's writes are numbered in its session; the floor is the lowest unanswered. An
 * operation that is given up at its deadline leaves the lane, and the floor moves past it.
 *
 * Limits: lane_operations_max and lane_size_max in flight (or one operation), and a span of
 * lane_operations_max sequences, which keeps it inside the partition's session window.
 * Owner: one router. */
#ifndef ROUTER_LANE_H
#define ROUTER_LANE_H

#include "router/op.h"
#include "router/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct router;

enum lane_state { LANE_RUNNING, LANE_DRAINING, LANE_WAITING };

/* Where to go after a stall; the greater wins. */
enum lane_next {
    LANE_NEXT_SAME,    /* the same member, after a pause */
    LANE_NEXT_AGAIN,   /* the same member, at once: only the lane_epoch is used up */
    LANE_NEXT_REPLICA, /* the next in the row */
    LANE_NEXT_HINT,    /* the leader that was named */
};

struct lane {
    struct lane *active_next, *active_previous;
    struct lane *ready_next;
    struct op *first, *last;
    struct op *next_unsent; /* NULL: all are sent */
    struct op *write_first, *write_last;
    struct session session;
    uint64_t session_min; /* != 0: the session expired; the new one's lowest id */
    uint64_t resume_ms;   /* WAITING */
    size_t in_flight_size;
    uint32_t in_flight;
    uint32_t count;
    uint32_t epoch;
    uint32_t window;
    uint16_t partition;
    uint16_t target; /* member, 0: to be chosen */
    uint16_t leader; /* who last answered as leader, 0 */
    uint32_t term;   /* the highest that lane_led() has heard of */
    uint16_t hint;
    uint8_t place; /* in the row: whom to try next */
    uint8_t state;
    uint8_t next;     /* enum lane_next */
    uint8_t stalls;   /* in a row; they set the pause */
    uint8_t follows;  /* hints followed in a row */
    uint8_t timeouts; /* in a row */
    bool active;      /* on the router's list: has operations */
    bool ready;       /* on the list of lanes to send from */
    bool routeless;   /* WAITING for any link */
};

void lane_init(struct lane *lane, uint16_t partition, uint64_t session);
void lane_add(struct router *router, struct lane *lane, struct op *op);
/* Fills frames while the windows allow. */
void lane_pump(struct router *router, struct lane *lane);
/* A result that came from `member`. values of result are borrowed. */
void lane_result(struct router *router, uint16_t member, const struct wire_result *result);
void lane_link_down(struct router *router, struct lane *lane, uint16_t member);
void lane_link_up(struct router *router, struct lane *lane);
/* The member says that it leads the partition in that term: a lane without operations goes there
 * with the next one. */
void lane_led(struct router *router, struct lane *lane, uint16_t member, uint32_t term);
/* There is another map: what waits goes where that says, unless a leader is known. */
void lane_rows_changed(struct lane *lane);
/* Deadlines, attempt timeouts, the end of a pause. Returns when it is due next. */
uint64_t lane_timer(struct router *router, struct lane *lane);
/* No node lets this router in: ends all its operations. */
void lane_give_up(struct router *router, struct lane *lane);
/* Gives up everything; for the router's end. */
void lane_clear(struct router *router, struct lane *lane);
void lane_check(const struct lane *lane);

#endif
