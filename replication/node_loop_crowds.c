/* Node loop: what its links count as, and whether there is a place for another. They are counted
 * where they are listed: a map may make of a stranger a joiner and of that a member, and nothing
 * has to be kept in step with it. */
#include "replication/node_loop_internal.h"

#include <string.h>

enum crowd loop_crowd_of_role(const struct host_link *host)
{
    if (host->role != LINK_ROLE_ADMIN)
        return CROWD_ROUTERS;
    return host->ticket == 0 ? CROWD_OWNERS : CROWD_ADMINS;
}

static enum crowd crowd_of(struct node_loop *loop, struct host_link *host)
{
    uint16_t member = loop_link_member(loop, host);

    if (host->role != LINK_ROLE_NODE)
        return loop_crowd_of_role(host);
    if (host->seed || !loop->map_known)
        return CROWD_MEMBERS;
    if (member == 0)
        return CROWD_STRANGERS;
    if (host->dialled)
        return CROWD_MEMBERS;
    /* Who has the secret may take part by a map that is still to come. */
    return loop_link_joining(loop, member) && host->ticket != 0 ? CROWD_JOINERS : CROWD_MEMBERS;
}

struct refusal loop_crowd_refuse(struct node_loop *loop, struct host_link *host)
{
    enum crowd crowd = crowd_of(loop, host);
    uint32_t places = crowd_places(crowd, loop->files_links), count = 0, own = 0;

    if (host->dialled)
        return (struct refusal){.kind = REFUSAL_NONE};
    for (struct host_link *link = loop->links; link; link = link->next) {
        if (link->dialled)
            continue;
        count += crowd != CROWD_MEMBERS && crowd_of(loop, link) == crowd;
        own += memcmp(link->public_key, host->public_key, sizeof link->public_key) == 0;
    }
    if (host->role == LINK_ROLE_NODE && own >= CROWD_NODE_LINKS_MAX)
        return (struct refusal){.kind = REFUSAL_CROWD, .number = CROWD_NODE_LINKS_MAX};
    if (count < places)
        return (struct refusal){.kind = REFUSAL_NONE};
    if (crowd == CROWD_STRANGERS)
        return (struct refusal){.kind = REFUSAL_STRANGERS};
    return (struct refusal){.kind = REFUSAL_CROWD, .number = places};
}

enum crowd loop_crowd_note(struct node_loop *loop, struct host_link *host)
{
    enum crowd crowd = crowd_of(loop, host);
    bool guest = crowd_is_guest(crowd);

    if (guest != atomic_exchange(&host->guest, guest)) {
        link_set_message_max(host->link, guest ? CROWD_GUEST_SIZE_MAX : LINK_MESSAGE_SIZE_MAX);
        link_set_queue_max(host->link, guest ? CROWD_GUEST_QUEUE : CROWD_QUEUE);
    }
    return crowd;
}
