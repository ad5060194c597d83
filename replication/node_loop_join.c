/* Node loop: how a node comes into a cluster that is there, and goes for ever. */
#include "replication/node_loop_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LEAVE_MS_MAX 1000u /* for replicas that are about to go; nobody answers to the others */
#define SURE_MS      5000u /* links whose other end is gone are broken after three seconds */

void loop_join_open(struct node_loop *loop)
{
    const struct node_loop_options *options = loop->options;

    if (node_map(loop->node) || options->join_count == 0)
        return;
    for (size_t i = 0; i < options->join_count && i < LOOP_SEEDS_MAX; i++) {
        int r = fabric_dial(loop->fabric, options->join[i], NULL, loop->seeds, &loop->seeds[i]);

        if (r != 0)
            loop_log("error", "dial_failed", "address=%s error=\"%s\"", options->join[i],
                     strerror(-r));
    }
}

void loop_join_close(struct node_loop *loop)
{
    for (size_t i = 0; i < LOOP_SEEDS_MAX; i++) {
        if (loop->seeds[i])
            link_close(loop->seeds[i]);
        loop->seeds[i] = NULL;
    }
}

int loop_join_tell(struct node_loop *loop, const struct node_effects *effects)
{
    if (!effects->join_why)
        return 0;
    if (effects->join_refused) {
        loop_log("error", "join_refused", "reason=\"%s\"", effects->join_why);
        return -EPERM;
    }
    if (strcmp(loop->join_told, effects->join_why) != 0)
        loop_log("warn", node_map(loop->node) ? "identity_taken" : "join_waits", "reason=\"%s\"",
                 effects->join_why);
    snprintf(loop->join_told, sizeof loop->join_told, "%s", effects->join_why);
    return 0;
}

static bool same_key(const struct host_link *a, const struct host_link *b)
{
    return memcmp(a->public_key, b->public_key, sizeof a->public_key) == 0;
}

/* One that is heard, of another process with the same key. */
static struct host_link *heard_link(struct node_loop *loop, const struct host_link *host)
{
    struct host_link *other = loop->links;

    while (other && (other->deaf_ms != 0 || other->counters.outdated || other->instance == 0 ||
                     other->instance == host->instance || !same_key(other, host)))
        other = other->next;
    return other;
}

/* The link stays, so that it is not dialled again at once. */
bool loop_identity_taken(struct node_loop *loop, struct host_link *host)
{
    bool taken = host->instance != 0 && heard_link(loop, host);

    if (taken)
        host->deaf_ms = loop_now_ms();
    return taken;
}

static void tell_taken(struct node_loop *loop, struct host_link *host, struct host_link *other)
{
    struct wire_join_reply reply = {.outcome = WIRE_JOIN_REFUSED};
    struct link_message message = {.type = WIRE_JOIN_REPLY, .partition = WIRE_PARTITION_NODE};
    struct wire_buffer body = {0};

    loop_log("error", "identity_taken",
             "member=%u address=%s other=%s next=\"two processes run with copies of one data "
             "directory: stop the one that is the copy, and delete it\"",
             loop_link_member(loop, other), host->address, other->address);
    snprintf(reply.why, sizeof reply.why,
             "member %u is linked to a process with a copy of this data directory", loop->member);
    wire_put_join_reply(&body, &reply);
    message.body = body.data;
    message.body_size = body.size;
    if (!body.failed)
        (void)link_send(host->link, &message, 1);
    wire_buffer_deinit(&body);
}

/* A process that was restarted is another one, too, to whom has not noticed yet that the one before
 * is gone: that is not worth a word. */
void loop_identity_tell(struct node_loop *loop)
{
    uint64_t now_ms = loop_now_ms();

    pthread_mutex_lock(&loop->links_mutex);
    for (struct host_link *host = loop->links; host; host = host->next) {
        struct host_link *other;

        if (host->deaf_ms == 0 || host->deaf_told || now_ms < host->deaf_ms + SURE_MS)
            continue;
        other = heard_link(loop, host);
        if (other)
            tell_taken(loop, host, other);
        host->deaf_told = true;
    }
    pthread_mutex_unlock(&loop->links_mutex);
}

uint16_t loop_identity_twin(struct node_loop *loop, char address[RINGMAP_ADDRESS_SIZE])
{
    uint16_t member = 0;

    pthread_mutex_lock(&loop->links_mutex);
    for (struct host_link *host = loop->links; host && member == 0; host = host->next) {
        struct host_link *other = host->deaf_told ? heard_link(loop, host) : NULL;

        if (!other)
            continue;
        member = loop_link_member(loop, other);
        snprintf(address, RINGMAP_ADDRESS_SIZE, "%s", host->address);
    }
    pthread_mutex_unlock(&loop->links_mutex);
    return member;
}

struct link *loop_identity_next(struct node_loop *loop, const struct host_link *gone)
{
    for (struct host_link *link = loop->links; link && gone->deaf_ms == 0; link = link->next)
        if (link->deaf_ms != 0 && same_key(link, gone))
            return link->link;
    return NULL;
}

void loop_leave_refuse(const struct node_loop *loop)
{
    loop_log("error", "removed",
             "member=%u next=\"a removed member never comes back: start with an empty data "
             "directory, and --join\"",
             node_member(loop->node));
}

void loop_leave_begin(struct node_loop *loop, bool left)
{
    if (loop->leave_ms != 0)
        return;
    loop->leave_ms = loop_now_ms() + LEAVE_MS_MAX;
    loop->left = left;
    if (left)
        loop_log("warn", "removed", "member=%u epoch=%llu next=\"this node ends by itself\"",
                 loop->member, (unsigned long long)node_map(loop->node)->epoch);
    else
        loop_leave_refuse(loop);
}

bool loop_leave_due(const struct node_loop *loop)
{
    return loop->leave_ms != 0 &&
           (loop_now_ms() >= loop->leave_ms || loop_shards_hosted(loop) == 0);
}
