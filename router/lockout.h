/* Lockout: whether no node lets this router in, and none will with the ticket that it has.
 *
 * Judged by how the last attempt of each dialled link ended. While one is up or under way nothing
 * is said; once locked out, only a link that comes up ends it: what is dialled anew has let nobody
 * in yet, and who is down meanwhile has not either. One refusal by a node that says why is enough:
 * nodes that are down besides go by the same tickets. Silence in the handshake is what another
 * cluster's ticket gets, but a node that dies meanwhile is silent, too: it counts only when all
 * are. Pure, plain values.
 */
#ifndef ROUTER_LOCKOUT_H
#define ROUTER_LOCKOUT_H

#include <stdbool.h>
#include <stdint.h>

enum lockout_attempt {
    LOCKOUT_OPEN,       /* the link is up, or its first attempt since then is under way */
    LOCKOUT_FAILED,     /* for another reason, or one that passes */
    LOCKOUT_REFUSED,    /* the node has said why */
    LOCKOUT_UNANSWERED, /* it has said nothing */
};
#define LOCKOUT_ATTEMPTS 4

struct lockout {
    uint32_t links[LOCKOUT_ATTEMPTS]; /* how many there are, by enum lockout_attempt */
    uint32_t up_count;                /* of those that are LOCKOUT_OPEN */
    bool reached;                     /* it was, when it was judged last */
};

/* Of an attempt that came to nothing. refusal: enum refusal_kind. */
enum lockout_attempt lockout_attempt(uint8_t refusal);
bool lockout_reached(const struct lockout *lockout);

#endif
