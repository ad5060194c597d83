/* Links: a router's links to the members of the cluster, whoever hosts the router.
 *
 * Seeds are dialled until one of them gives the ring map; from then on the map's members are, each
 * with its pinned key, those of a later map as soon as it is there, and who is removed in it is
 * let go. The seeds are needed again only when no member can be reached for some seconds. Messages
 * go to the router as events, in order a link; what the router sends goes out on the member's link.
 *
 * Callbacks of links that come up run on nng's threads: what they bring is put into an inbox under
 * a lock, and the host is woken once for all of it. Owner: one thread, the host's. The host waits
 * for links_descriptor() to be readable and then calls links_receive(); when woken,
 * links_drain().
 */
#ifndef ROUTER_LINKS_NNG_H
#define ROUTER_LINKS_NNG_H

#include "ring/ticket.h"
#include "router/router.h"

#include <stddef.h>
#include <stdint.h>

#define LINKS_ADDRESS_SIZE 64u
#define LINKS_LOG_SIZE     512u

struct links;

struct links_options {
    const struct ticket *ticket; /* these three are borrowed for the links' life */
    const char *const *seeds;    /* "HOST:PORT", numeric */
    struct router *router;
    size_t seed_count;
    void *context;
    /* Steps the router; the event lacks only time and random bits. */
    void (*step)(void *context, struct router_event *event);
    /* From any thread: call links_drain() soon. */
    void (*wake)(void *context);
    /* A line of logfmt without stamp and level; may be NULL. The host's thread only. */
    void (*log)(void *context, const char *level, const char *line);
};

/* 0 or -errno; after a failure there is nothing to close. */
int links_open(struct links **links, const struct links_options *options, uint64_t now_ms);
/* No callback comes after it. NULL is allowed. */
void links_close(struct links *links);
int links_descriptor(const struct links *links);
/* Takes what has come, waiting at most timeout_ms for something, and drains the inbox. */
void links_receive(struct links *links, int timeout_ms);
void links_drain(struct links *links);
void links_send(struct links *links, const struct router_send *sends, size_t count);
/* Asks one link for a newer map and for the members' addresses, all of them while there is no map;
 * goes back to the seeds when no member's link has been up for a while. To be called every
 * LINKS_REFRESH_MS, LINKS_ASK_MS without a map. */
void links_refresh(struct links *links, uint64_t now_ms);

struct lockout;
/* How the links stand that are dialled now. For checks and tests, too. */
void links_count(const struct links *links, struct lockout *lockout);

#define LINKS_ASK_MS     200u
#define LINKS_REFRESH_MS 2000u

#endif
