#include "router/hints.h"

#include "ring/wire_load.h"
#include "router/router_internal.h"

#define SENDS_MAX (ROUTER_SENDS_MAX / 2u) /* of one flush; operations want to leave, too */

void hints_told(struct router *router, uint16_t member, uint64_t digest)
{
    struct peer *peer = pool_up(&router->pool, member) ? pool_peer(&router->pool, member) : NULL;

    if (!peer || digest == 0 || digest == peer->leaders_digest)
        return;
    peer->leaders_digest = digest;
    peer->leaders_unasked = peer->shards;
    router->hints_due = true;
}

void hints_ask(struct router *router, struct router_effects *effects)
{
    for (uint16_t member = 1; router->hints_due && member < router->pool.peer_count; member++) {
        struct peer *peer = &router->pool.peers[member];

        for (; peer->up && peer->leaders_unasked > 0; peer->leaders_unasked--) {
            if (effects->send_count >= SENDS_MAX)
                return;
            effects->sends[effects->send_count++] = (struct router_send){
                .member = member,
                .message = {.type = WIRE_LEADERS_GET,
                            .partition = (uint16_t)(peer->leaders_unasked - 1)}};
        }
    }
    router->hints_due = false;
}

void hints_take(struct router *router, uint16_t member, const struct link_message *message)
{
    struct wire_leader leader;
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, message->body, message->body_size);
    while (!wire_cursor_done(&cursor) && wire_get_leader(&cursor, &leader))
        if (leader.partition < router->lane_count)
            lane_led(router, &router->lanes[leader.partition], member, leader.term);
}
