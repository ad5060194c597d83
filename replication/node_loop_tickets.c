/* Node loop: whom the tickets let in. */
#include "replication/node_loop_internal.h"

#include "replication/hearing.h"
#include "ring/tickets_command.h"
#include "ring/wire_peers.h"

#include <string.h>

#include <sodium.h>

#define CLOSE_MAX 64u /* links a round; the others come in the next */

/* Whether a secret of that generation still opens the cluster. */
static bool is_secret(const struct tickets *tickets, uint32_t generation)
{
    return generation != 0 &&
           (generation == tickets->offered.generation || generation == tickets->other.generation);
}

/* Why the key may not be linked in that role with this ticket, if it may not. links_mutex is held.
 */
static struct refusal problem(const struct node_loop *loop, uint32_t ticket, uint32_t generation,
                              uint8_t role, const uint8_t *public_key)
{
    const struct tickets_record *record = tickets_find(&loop->tickets, ticket);

    if (!loop->tickets_known)
        return (struct refusal){.kind = REFUSAL_EARLY};
    if (ticket == 0)
        return (struct refusal){.kind = is_secret(&loop->tickets, generation) ? REFUSAL_NONE
                                                                              : REFUSAL_RETIRED};
    switch (tickets_may(&loop->tickets, ticket, role, public_key, loop_wall_ms())) {
    case TICKETS_E_OK:
        return (struct refusal){.kind = REFUSAL_NONE};
    case TICKETS_E_REVOKED:
        return (struct refusal){.kind = REFUSAL_REVOKED, .number = record->revoked_ms};
    case TICKETS_E_EXPIRED:
        return (struct refusal){.kind = REFUSAL_EXPIRED, .number = record->expires_ms};
    case TICKETS_E_SPENT:
        return (struct refusal){.kind = REFUSAL_SPENT, .number = record->uses_max};
    case TICKETS_E_ROLE:
        return (struct refusal){.kind = REFUSAL_ROLE, .number = record->role};
    case TICKETS_E_FULL:
        return (struct refusal){.kind = REFUSAL_FULL};
    default:
        return (struct refusal){.kind = REFUSAL_UNKNOWN};
    }
}

static void begin_redeem(struct node_loop *loop, const struct link_peer *peer)
{
    struct tickets_command command = {
        .kind = TICKETS_REDEEM, .id = peer->ticket, .role = (uint8_t)peer->role};
    struct inbox_item item = {.kind = INBOX_REDEEM};
    struct wire_buffer body = {0};

    memcpy(command.public_key, peer->public_key, sizeof command.public_key);
    tickets_command_put(&body, &command);
    item.message.body = body.data;
    item.message.body_size = body.size;
    if (!body.failed)
        inbox_put(&loop->inbox, &item);
    wire_buffer_deinit(&body);
}

int loop_tickets_redeem(struct node_loop *loop, const struct inbox_item *item)
{
    struct node_event event = {
        .kind = NODE_EVENT_REDEEM, .now_ms = loop_now_ms(), .wall_ms = loop_wall_ms()};
    struct tickets_command command;
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, item->message.body, item->message.body_size);
    if (!tickets_command_get(&cursor, &command))
        return 0;
    event.command = &command;
    return loop_step_node(loop, &event);
}

struct refusal loop_tickets_refuse(struct node_loop *loop, const struct link_peer *peer)
{
    struct refusal refusal = {.kind = REFUSAL_NONE};

    if (peer->dialled) { /* nothing that we dial may give us an admin's orders */
        refusal.kind = peer->role == LINK_ROLE_NODE ? REFUSAL_NONE : REFUSAL_NO_NODE;
        return refusal;
    }
    refusal = problem(loop, peer->ticket, peer->generation, (uint8_t)peer->role, peer->public_key);
    if (refusal.kind != REFUSAL_NONE || peer->ticket == 0 ||
        tickets_redeemed(&loop->tickets, peer->ticket, peer->public_key))
        return refusal;
    begin_redeem(loop, peer);
    return (struct refusal){.kind = REFUSAL_NOTING};
}

/* Who takes part is known by its key, and may have the secret. Who is only joining has no more than
 * its ticket. */
static bool takes_part(struct node_loop *loop, struct host_link *host)
{
    uint16_t member = loop_link_member(loop, host);

    return member != 0 && !loop_link_joining(loop, member);
}

/* It was let in, and stays as long as the tickets say. Members that take part stay. */
static bool is_guest(struct node_loop *loop, struct host_link *host)
{
    return !host->dialled && !host->ended && !takes_part(loop, host);
}

/* Links that may not stay. */
static size_t find_ended(struct node_loop *loop, struct link *ended[CLOSE_MAX])
{
    size_t count = 0;

    for (struct host_link *host = loop->links; host && count < CLOSE_MAX; host = host->next) {
        char text[REFUSAL_TEXT_SIZE];
        struct refusal refusal;

        if (!is_guest(loop, host))
            continue;
        refusal = problem(loop, host->ticket, host->generation, host->role, host->public_key);
        if (refusal.kind == REFUSAL_NONE)
            continue;
        refusal_text(&refusal, 0, text);
        loop_log("info", "link_ended", "ticket=%u role=%s reason=\"%s\"", host->ticket,
                 ticket_role_name(host->role), text);
        host->ended = true;
        ended[count++] = host->link;
    }
    return count;
}

/* Those that find_ended() would find if the secret of that generation opened no more. Returns how
 * many, of which WIRE_PEERS_MAX are put into the buffer. */
static uint32_t put_peers(struct node_loop *loop, uint32_t generation, struct wire_buffer *out)
{
    uint32_t count = 0;

    pthread_mutex_lock(&loop->links_mutex);
    for (struct host_link *host = loop->links; host; host = host->next) {
        struct wire_peer peer = {.role = host->role, .ticket = host->ticket};

        if (host->generation != generation || !is_guest(loop, host))
            continue;
        memcpy(peer.address, host->address, sizeof peer.address);
        memcpy(peer.public_key, host->public_key, sizeof peer.public_key);
        if (count++ < WIRE_PEERS_MAX)
            wire_put_peer(out, &peer);
    }
    pthread_mutex_unlock(&loop->links_mutex);
    return count;
}

void loop_tickets_peers(struct node_loop *loop, const struct inbox_item *item)
{
    struct shard_send send = {.to = item->from,
                              .message = {.type = WIRE_PEERS,
                                          .partition = item->message.partition,
                                          .correlation = item->message.correlation}};
    struct wire_buffer peers = {0}, body = {0};
    struct wire_cursor cursor;
    uint32_t generation;

    wire_cursor_init(&cursor, item->message.body, item->message.body_size);
    if (!hearing_node(item->from.role, 0, WIRE_PEERS_GET) ||
        !wire_get_peers_get(&cursor, &generation))
        return;
    wire_put_peers_head(&body, put_peers(loop, generation, &peers));
    wire_put_raw(&body, peers.data, peers.size);
    send.message.body = body.data;
    send.message.body_size = body.size;
    if (!peers.failed && !body.failed)
        loop_send(loop, &send, 1);
    wire_buffer_deinit(&peers);
    wire_buffer_deinit(&body);
}

void loop_tickets_apply(struct node_loop *loop)
{
    const struct tickets *tickets = node_tickets(loop->node);
    struct tickets_candidate candidates[TICKETS_CANDIDATES_MAX];
    struct link *ended[CLOSE_MAX];
    size_t ended_count;
    uint32_t count;

    if (!tickets) /* nobody but members can come, and they have to tell us the tickets first */
        return;
    count = tickets_candidates(tickets, candidates);
    fabric_set_tickets(loop->fabric, tickets->offered.psk, candidates, count);
    sodium_memzero(candidates, sizeof candidates);
    pthread_mutex_lock(&loop->links_mutex);
    loop->tickets = *tickets;
    loop->tickets_known = true;
    ended_count = find_ended(loop, ended);
    pthread_mutex_unlock(&loop->links_mutex);
    for (size_t i = 0; i < ended_count; i++)
        link_close(ended[i]);
}
