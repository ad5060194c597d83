/* Lockout: whether no node lets this router in, and none will with the ticket that it has.
 *
 * Judged by how the last attempt of each dialled link ended. While one is up or under way nothing
 * is said. Once locked out, it ends when a link comes up or nobody refuses any more: what is
 * dialled anew has let nobody in yet, but of nodes that are all down nobody knows what they would
 * say, and another ticket would not help. One refusal by a node that says why is enough: nodes that
 * are down besides go by the same tickets. Silence in the handshake is what another cluster's
 * ticket gets, but a node that is starting or dies is silent, too: it counts only when all are,
 * LOCKOUT_SILENCES times in a row. Pure, plain values.
 */
#ifndef ROUTER_LOCKOUT_H
#define ROUTER_LOCKOUT_H

#include <stdbool.h>
#include <stdint.h>

enum lockout_attempt {
    LOCKOUT_OPEN,       /* the link is up, or its first attempt since then is under way */
    LOCKOUT_FAILED,     /* for another reason, or one that passes */
    LOCKOUT_REFUSED,    /* the node has said why */
    LOCKOUT_UNANSWERED, /* it has said nothing, again and again */
};
#define LOCKOUT_ATTEMPTS 4
#define LOCKOUT_SILENCES 12 /* about 2 s at a fabric's own pace of dialling */

/* Of one link; zero when it is dialled and when it comes up. */
struct lockout_link {
    uint8_t attempt;  /* enum lockout_attempt */
    uint8_t silences; /* in a row, up to LOCKOUT_SILENCES */
};

struct lockout {
    uint32_t links[LOCKOUT_ATTEMPTS]; /* how many there are, by enum lockout_attempt */
    uint32_t up_count;                /* of those that are LOCKOUT_OPEN */
    bool reached;                     /* it was, when it was judged last */
};

/* An attempt of the link came to nothing. refusal: enum refusal_kind. */
void lockout_note(struct lockout_link *link, uint8_t refusal);
bool lockout_reached(const struct lockout *lockout);

#endif
