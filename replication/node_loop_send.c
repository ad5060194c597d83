/* Node loop: what this node sends, over whichever link there is to the receiver. */
#include "replication/node_loop_internal.h"

#include "ring/wire.h"

#include <assert.h>
#include <errno.h>

/* A link that the member has dialled. */
static struct link *link_from(struct node_loop *loop, uint16_t member)
{
    struct link *found = NULL;

    pthread_mutex_lock(&loop->links_mutex);
    for (struct host_link *link = loop->links; link && !found; link = link->next)
        if (!link->dialled && link->role == LINK_ROLE_NODE &&
            loop_link_member(loop, link) == member)
            found = link->link;
    pthread_mutex_unlock(&loop->links_mutex);
    return found;
}

void loop_send_either(struct node_loop *loop, const struct shard_send *send)
{
    struct link *link = send->to.member <= RINGMAP_MEMBERS_MAX
                            ? atomic_load(&loop->dialled[send->to.member])
                            : NULL;

    assert(send->to.member != 0); /* any stranger's link would do */
    if (link && link_send(link, &send->message, 1) != -ENOTCONN)
        return;
    link = link_from(loop, send->to.member);
    if (link)
        (void)link_send(link, &send->message, 1);
}

/* A link that goes down meanwhile stays in memory for seconds: sending to it does nothing. */
static struct link *link_to(struct node_loop *loop, const struct shard_address *to)
{
    struct host_link *host;
    struct link *link;

    if (to->role == LINK_ROLE_NODE && to->member != 0) {
        if (to->member > RINGMAP_MEMBERS_MAX || to->member == loop->member)
            return NULL;
        link = atomic_load(&loop->dialled[to->member]);
        return link ? link : link_from(loop, to->member);
    }
    pthread_mutex_lock(&loop->links_mutex);
    host = loop_link_find(loop, to->link);
    link = host ? host->link : NULL;
    pthread_mutex_unlock(&loop->links_mutex);
    return link;
}

/* Control plane and shard 0 of one node talk like those of two. */
static void send_home(struct node_loop *loop, const struct shard_send *send)
{
    struct inbox *inbox = loop_route(loop, send->message.partition);
    struct inbox_item item = {.kind = INBOX_MESSAGE, .from = send->to, .message = send->message};

    if (inbox)
        inbox_put(inbox, &item);
}

static bool same_address(const struct shard_address *a, const struct shard_address *b)
{
    if (a->role != b->role)
        return false;
    if (a->role == LINK_ROLE_NODE && (a->member != 0 || b->member != 0))
        return a->member == b->member;
    return a->link == b->link;
}

void loop_send(struct node_loop *loop, const struct shard_send *sends, size_t count)
{
    struct link_message messages[SHARD_SENDS_MAX];
    bool sent[SHARD_SENDS_MAX] = {false};

    assert(count <= SHARD_SENDS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct link *link = sent[i] ? NULL : link_to(loop, &sends[i].to);
        size_t run = 0;

        if (sends[i].to.role == LINK_ROLE_NODE && sends[i].to.member != 0 &&
            sends[i].to.member == loop->member)
            send_home(loop, &sends[i]);
        if (!link)
            continue;
        for (size_t j = i; j < count; j++) {
            if (sent[j] || !same_address(&sends[i].to, &sends[j].to))
                continue;
            sent[j] = true;
            messages[run++] = sends[j].message;
        }
        if (link_send(link, messages, run) == -ENOTCONN && sends[i].to.role == LINK_ROLE_NODE &&
            sends[i].to.member != 0 && messages[0].partition == WIRE_PARTITION_NODE)
            link = link_from(loop, sends[i].to.member);
        else
            link = NULL;
        if (link) /* who has no tickets yet cannot be dialled, and is to get them */
            (void)link_send(link, messages, run);
    }
}

void loop_consumed(struct node_loop *loop, uint64_t id, size_t bytes, uint32_t messages)
{
    struct host_link *host;

    pthread_mutex_lock(&loop->links_mutex);
    host = loop_link_find(loop, id);
    if (host)
        link_consumed(host->link, bytes, messages);
    pthread_mutex_unlock(&loop->links_mutex);
}
