/* Crowd: how many links of each kind a node accepts at once, and how much of a guest's may wait.
 *
 * Each kind has places of its own, so that those of one, however many come, never take those of
 * another: routers that are too many lock out neither members nor the admin who would revoke their
 * ticket, and admins by ticket not the one who has the secret and may revoke theirs. Members always
 * find a place; there are only as many as the ring map names, and each has some links at most.
 * Links cost descriptors, which stores want too: where few are allowed, places are fewer.
 *
 * Guests are nodes that nobody has committed: strangers, and members that are JOINING by a ticket.
 * They have little to say, and so have routers and admins to the control plane. What they say waits
 * in its inbox, which is emptied in rounds; of each link so much waits in a round, and the rest is
 * dropped (they ask again). It is counted by the round, so there is nothing to give back when a
 * link dies. Of members as much waits as links take ahead.
 *
 * Pure, plain values; owner and locks are the caller's.
 */
#ifndef REPLICATION_CROWD_H
#define REPLICATION_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(NAME, places at most, of 16 parts of the places that descriptors leave,
 *   messages and bytes of one link that wait in a round) */
#define CROWDS(X)                                                                                  \
    X(MEMBERS, UINT32_MAX, 0, UINT32_MAX, SIZE_MAX) /* 0: whatever is left */                      \
    X(JOINERS, 256, 2, 16, 512u << 10)                                                             \
    X(STRANGERS, 64, 1, 16, 512u << 10)                                                            \
    X(ROUTERS, 1024, 8, 64, 512u << 10)                                                            \
    X(ADMINS, 64, 1, 1024, 32u << 20) /* by a ticket of their own: a change of the map, */         \
    X(OWNERS, 64, 1, 1024, 32u << 20) /* or a question for each joiner; with the secret */

enum crowd {
#define X(name, places, parts, messages, bytes) CROWD_##name,
    CROWDS(X)
#undef X
};

#define CROWD_PLACES_MIN        4u /* of each kind, however few descriptors there are */
#define CROWD_NODE_LINKS_MAX    8u /* accepted from one node: of this process and of those before */
#define CROWD_GUEST_SIZE_MAX    (256u << 10) /* bytes of a message; GOSSIP is half of it, */
#define CROWD_STRANGER_SIZE_MAX 4096u        /* and a stranger may only ask to join */
#define CROWD_GUEST_QUEUE       (8u << 20)   /* of answers that it does not read: some ring maps */
#define CROWD_QUEUE             (64u << 20)  /* of whoever is no guest */

/* descriptors: how many links may use. */
uint32_t crowd_places(enum crowd crowd, uint32_t descriptors);
bool crowd_is_guest(enum crowd crowd);

/* Of one link; zeros at first. */
struct crowd_waiting {
    uint64_t round;
    size_t bytes;
    uint32_t messages;
};

/* Whether another message may wait; counts it. round: another number whenever all that waited has
 * been taken. */
bool crowd_may_wait(enum crowd crowd, struct crowd_waiting *waiting, uint64_t round, size_t bytes);

#endif
