/* Node loop: whether a data directory is an older copy: the counters of this process and its links.
 */
#include "replication/node_loop_internal.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "replication/node_file.h"

int loop_counters_open(struct node_loop *loop)
{
    int r = node_counters_read(loop->vfs, &loop->counters);

    if (r == -EBADMSG)
        loop_log("error", "counters_damaged",
                 "next=\"nothing, unless the other members have heard more of this node than it "
                 "can tell: then it ends, and is to be replaced\"");
    if (r == 0 || r == -EBADMSG)
        return NODE_LOOP_E_OK;
    if (r != -EPROTO) {
        loop_data_refused("counters_refused", node_file_counters.name, r);
        return NODE_LOOP_E_FAILED;
    }
    loop_log("error", "counters_refused",
             "file=%s next=\"it is of a newer version: start that one\"", node_file_counters.name);
    return NODE_LOOP_E_CONFLICT;
}

/* The disk may be slow: nobody waits for it. What could not be written is tried again. */
static void raise_own(struct node_loop *loop)
{
    struct node_counters raised = loop->counters;
    uint16_t self = loop->member;
    int r;

    if (raised.heard[self] > raised.own)
        loop_log("error", "identity_taken",
                 "member=%u counter=%llu heard=%llu next=\"a copy of this data directory was heard "
                 "while this node ran, or somebody has its key: delete the copy, or replace this "
                 "node and rotate the secret\"",
                 self, (unsigned long long)raised.own, (unsigned long long)raised.heard[self]);
    pthread_mutex_unlock(&loop->links_mutex);
    r = node_counters_raise(loop->vfs, &raised, self);
    pthread_mutex_lock(&loop->links_mutex);
    if (r != 0)
        loop_log("warn", "counters_unwritten", "error=\"%s\" next=\"nothing: it tries again\"",
                 strerror(-r));
    else
        node_counters_raised(&loop->counters, self, raised.own, &loop->map);
    for (struct host_link *link = loop->links; link; link = link->next)
        loop_links_tell(loop, link);
}

static void *raise_now_and_then(void *argument)
{
    struct node_loop *loop = argument;

    pthread_mutex_lock(&loop->links_mutex);
    while (!loop->raising_ends) {
        uint64_t due_ms = loop_now_ms() + NODE_COUNTERS_MS;
        struct timespec due = {.tv_sec = (time_t)(due_ms / 1000),
                               .tv_nsec = (long)(due_ms % 1000) * 1000000};

        while (!loop->raising_ends && loop_now_ms() < due_ms)
            pthread_cond_timedwait(&loop->raiser_wanted, &loop->links_mutex, &due);
        if (!loop->raising_ends && loop->map_known &&
            node_counters_may_raise(&loop->counters, loop->member))
            raise_own(loop);
    }
    pthread_mutex_unlock(&loop->links_mutex);
    return NULL;
}

int loop_counters_start(struct node_loop *loop)
{
    pthread_condattr_t monotonic;
    int r;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&loop->raiser_wanted, &monotonic);
    pthread_condattr_destroy(&monotonic);
    r = pthread_create(&loop->raiser, NULL, raise_now_and_then, loop);
    if (r != 0)
        pthread_cond_destroy(&loop->raiser_wanted);
    loop->raising = r == 0;
    return -r;
}

void loop_counters_stop(struct node_loop *loop)
{
    if (!loop->raising)
        return;
    pthread_mutex_lock(&loop->links_mutex);
    loop->raising_ends = true;
    pthread_cond_signal(&loop->raiser_wanted);
    pthread_mutex_unlock(&loop->links_mutex);
    pthread_join(loop->raiser, NULL);
    pthread_cond_destroy(&loop->raiser_wanted);
    loop->raising = false;
}

enum node_counters_verdict loop_counters_hello(struct node_loop *loop, struct host_link *host,
                                               const struct wire_hello *hello)
{
    uint16_t member = loop_link_member(loop, host);
    enum node_counters_verdict verdict =
        node_counters_hello(&loop->counters, &host->counters, loop->member, member,
                            loop->map_known ? &loop->map : NULL, hello);

    if (verdict == NODE_COUNTERS_OUT)
        loop_log("error", "member_outdated",
                 "member=%u address=%s counter=%llu heard=%llu next=\"it runs on an older copy of "
                 "its data directory and is not heard; its log says what to do\"",
                 member, host->address, (unsigned long long)hello->counter,
                 (unsigned long long)loop->counters.heard[member]);
    return verdict;
}

void loop_counters_heard(struct node_loop *loop, uint16_t member, uint64_t counter)
{
    pthread_mutex_lock(&loop->links_mutex);
    node_counters_hear(&loop->counters, member, counter);
    pthread_mutex_unlock(&loop->links_mutex);
}

uint64_t loop_counters_own(struct node_loop *loop)
{
    uint64_t own;

    pthread_mutex_lock(&loop->links_mutex);
    own = loop->counters.own;
    pthread_mutex_unlock(&loop->links_mutex);
    return own;
}

int loop_counters_check(struct node_loop *loop)
{
    uint16_t self = loop->member;
    uint64_t own, heard;
    bool outdated;

    pthread_mutex_lock(&loop->links_mutex);
    outdated = node_counters_own_outdated(&loop->counters, self);
    own = loop->counters.own;
    heard = loop->counters.heard[self];
    pthread_mutex_unlock(&loop->links_mutex);
    if (outdated)
        loop_log("error", "data_outdated",
                 "member=%u counter=%llu heard=%llu next=\"this data directory is older than what "
                 "the cluster has heard of node %u (copied or restored?): start the newest one; "
                 "if that is lost, start with an empty one and --join, then ring-admin replace %u "
                 "NEW, or remove --force %u\"",
                 self, (unsigned long long)own, (unsigned long long)heard, self, self, self);
    return outdated ? -EPERM : 0;
}
