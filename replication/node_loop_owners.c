/* Node loop: whose the shards' folders are (replication/owners.h), and what they do not give. */
#include "replication/node_loop_internal.h"

#include "replication/node_file.h"

#include <errno.h>
#include <string.h>

int loop_owners_open(struct node_loop *loop)
{
    int r = owners_read(&loop->owners, loop->vfs, loop->identity.public_key, loop->shard_count);

    if (r == -EBADMSG) {
        loop_log("error", "generations_damaged",
                 "next=\"nothing, unless the folder of a shard was put back from a copy: that is "
                 "not noticed at this start\"");
        return 0;
    }
    if (r == -EPROTO)
        loop_log("error", "generations_refused",
                 "file=%s next=\"it is of a newer version: start that one\"",
                 node_file_generations.name);
    return r;
}

void loop_owners_tell(const struct loop_shard *shard, int r, int misfit)
{
    const char *file = NULL;
    int error = 0;

    if (shard->shard)
        file = store_unreadable(shard_store(shard->shard), &error);
    if (r == STORE_E_NEWER || misfit == -EPROTO)
        loop_log("error", "newer_format", "shard=%u next=\"start the newer version\"",
                 shard->number);
    else if (shard->lost && misfit > 0)
        loop_log(
            "error", "shard_lost",
            "shard=%u error=\"%s\" next=\"%s and start this "
            "node once more; if that is lost, the other replicas serve: ring-admin doctor says "
            "how to replace it\"",
            shard->number, owners_why(misfit),
            misfit == OWNERS_E_UNREADABLE ? "see to the disk"
                                          : "put the right folder in its place");
    else if (shard->lost && file)
        loop_log("error", "shard_lost",
                 "shard=%u file=%s error=\"%s\" next=\"the disk does not give it, and nothing of "
                 "the shard counts without: the other replicas serve; if the disk gives it again, "
                 "start this node once more, else ring-admin doctor says how to replace it\"",
                 shard->number, file, strerror(-error));
    else if (shard->lost)
        loop_log("error", "shard_lost",
                 "shard=%u next=\"its journal or manifest is missing, damaged beyond repair or of "
                 "another shard or node: the other replicas serve; ring-admin doctor says how to "
                 "replace this node\"",
                 shard->number);
    else if (file)
        loop_log("error", "file_unreadable",
                 "shard=%u file=%s error=\"%s\" next=\"the other replicas serve what may be in it, "
                 "and give it: replace the disk\"",
                 shard->number, file, strerror(-error));
}

static void tell_unwritten(int r)
{
    loop_log("warn", "generation_unwritten",
             "error=\"%s\" next=\"see to the disk: until the next start a copy of a shard's folder "
             "that is put back is not noticed\"",
             strerror(-r));
}

/* Without room it stays as it was: a full disk keeps no node from starting. */
static int written(int r)
{
    if (!vfs_is_full(r))
        return r;
    tell_unwritten(r);
    return 0;
}

int loop_owners_raise(struct loop_shard *shard)
{
    return written(owners_raise(&shard->loop->owners, shard->number));
}

int loop_owners_write(struct node_loop *loop)
{
    return written(owners_write(&loop->owners));
}

void loop_owners_close(struct node_loop *loop)
{
    bool any = false;
    int r = 0;

    for (uint16_t number = 0; loop->shards && number < loop->shard_count && r == 0; number++) {
        struct loop_shard *shard = &loop->shards[number];

        if (!shard->running || shard->lost)
            continue;
        r = loop_owners_raise(shard);
        any = true;
    }
    if (any && r == 0)
        r = loop_owners_write(loop);
    if (r != 0)
        tell_unwritten(r);
}
