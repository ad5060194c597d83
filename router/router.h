/* Router: the stateless front's host. Clients' RESP bytes in, operations to the leaders out.
 *
 * A host like shard: router_step() takes what arrived, router_flush() ends the round and gives
 * what leaves. It holds nothing that could not be learned again: the ring map, who leads what
 * (hints), lanes with unanswered operations, and clients with unanswered commands.
 *
 * Lane: one a partition. Operations go out in the order in which they came, many in flight. When
 * one is refused or its link breaks, the lane stops, waits until every operation in flight is
 * answered or lost, and sends again from the first unanswered with the next lane_epoch and the
 * same request ids. So program order holds per client and partition, and nothing is applied twice.
 *
 * An operation ends with: its result; after its deadline with TRYAGAIN when no attempt can have
 * been proposed, CLUSTERDOWN when moreover nobody is known who would take it, UNKNOWNRESULT
 * otherwise; while no node lets this router in, with the same at once. Replies leave each client in
 * the order of its commands.
 *
 * Maps: any later one of the cluster takes the place of the one that is known; lanes, what is in
 * flight and request ids do not depend on it, so nothing is lost or done twice over a change. A
 * member that refuses and can name no leader with a link is asked for its map (MAP_GET), and so is
 * one that holds a newer one as LIVENESS tells. Who leads what is learned from who answers and
 * refuses, and for idle lanes by router/hints.h.
 *
 * Bounds: in-flight operations and bytes a lane, a member and in all; a client is not read from
 * (router_client_paused) while its unanswered commands are over their bound or its unsent output
 * over half of its bound. What was read from it before that waits inside, at most one command and
 * one read.
 *
 * A round: any number of router_step(), then router_flush() until it returns false.
 */
#ifndef ROUTER_ROUTER_H
#define ROUTER_ROUTER_H

#include "ring/link.h"
#include "ring/ringmap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct router;

struct router_options {
    uint64_t session;     /* random upper bits are the start time in ms << 20 | random */
    uint32_t deadline_ms; /* of an operation: 10,000 */
    uint32_t attempt_ms;  /* without an answer it is asked again: 1,500 */
    uint32_t retry_ms_min, retry_ms_max; /* pause before a lane's next attempt: 5, 200 */
    uint32_t map_ask_ms;                 /* between two questions for a newer map: 200 */
    uint32_t lane_operations_max;        /* in flight a lane: 512 */
    size_t lane_size_max;                /* 4 MiB, or one operation */
    size_t member_size_max;              /* in flight a member: 32 MiB, or one operation */
    uint32_t operations_max;      /* waiting and in flight, all lanes; over it TRYAGAIN: 262,144 */
    size_t operations_size_max;   /* 256 MiB */
    uint32_t clients_max;         /* 10,000 */
    uint32_t client_commands_max; /* unanswered commands before a client is paused: 1,024 */
    size_t client_output_max;     /* 64 MiB; over it the client is closed */
    size_t value_size_max;        /* 16 MiB */
    char password[128];           /* "" = no AUTH needed */
    char address[64];             /* for INFO */
};
#define ROUTER_LOCKED_OUT_SIZE 192u /* of the text, with its end; more is cut */
void router_options_default(struct router_options *options);

enum router_event_kind {
    ROUTER_EVENT_CLIENT_OPEN,  /* client: an id the host chose, from 1, never used before; bytes,
                                * size: its address for CLIENT LIST, may be empty */
    ROUTER_EVENT_CLIENT_BYTES, /* client, bytes, size: copied as needed */
    ROUTER_EVENT_CLIENT_END,   /* client will send nothing more: closed once all is answered */
    ROUTER_EVENT_CLIENT_CLOSE, /* client is gone; its unanswered operations go on unseen */
    ROUTER_EVENT_MESSAGE,      /* member, message: RESULTS, MAP, … */
    ROUTER_EVENT_LINK_UP,      /* member; shards */
    ROUTER_EVENT_LINK_DOWN,    /* member */
    ROUTER_EVENT_MAP,          /* map: borrowed, copied; older epochs are ignored */
    ROUTER_EVENT_LOCKED_OUT,   /* no node lets this router in: why, as text of bytes, size; size 0:
                                * it is so no longer */
    ROUTER_EVENT_TICK,
};

struct router_event {
    uint8_t kind;
    uint64_t now_ms;
    uint64_t wall_ms;
    uint64_t random;
    uint64_t client;
    const uint8_t *bytes;
    size_t size;
    uint16_t member;
    uint16_t shards;
    const struct link_message *message;
    const struct ringmap *map;
};

struct router_send {
    uint16_t member;
    struct link_message message;
};

/* Output for one client: bytes are borrowed until the next step or flush. */
struct router_output {
    uint64_t client;
    const uint8_t *bytes;
    size_t size;
    bool close; /* after these bytes */
};

#define ROUTER_SENDS_MAX   64u
#define ROUTER_OUTPUTS_MAX 256u
struct router_effects {
    struct router_send sends[ROUTER_SENDS_MAX];
    size_t send_count;
    struct router_output outputs[ROUTER_OUTPUTS_MAX];
    size_t output_count;
    uint64_t deadline_ms;
};

int router_new(struct router **router, const struct router_options *options);
struct router *router_free(struct router *router);
void router_step(struct router *router, const struct router_event *event);
bool router_flush(struct router *router, uint64_t now_ms, struct router_effects *effects);
/* The host has that many bytes of the client's output not yet written to its socket. Needs a
 * router_flush() to take effect. */
void router_client_backlog(struct router *router, uint64_t client, size_t bytes);
/* Operations that wait or are in flight, of all clients. */
uint32_t router_in_flight(const struct router *router);
bool router_client_paused(const struct router *router, uint64_t client);
const struct ringmap *router_map(const struct router *router); /* NULL before the first */
bool router_ready(
    const struct router *router); /* map known and every partition has a link to try */
void router_check(const struct router *router);

#endif
