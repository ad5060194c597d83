#include "replication/node_loop_internal.h"

#include <errno.h>
#include <sys/resource.h>

/* Descriptors: every segment and cask of the stores costs one, for as long as it is there. The
 * limit is raised to what the administrator allows, and shared out before anything is opened. */

#define RESERVED 64u /* links, listeners, the data directory, … besides an eighth of all */
#define SHARE    8u

void loop_files_raise(struct node_loop *loop)
{
    struct rlimit limit;
    uint64_t files = 1024;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            (void)getrlimit(RLIMIT_NOFILE, &limit);
        files = limit.rlim_cur;
    }
    loop->files_max = files < INT32_MAX ? (uint32_t)files : INT32_MAX;
    loop->files_links = RESERVED / 2 + loop->files_max / SHARE;
}

static size_t hosted(const struct node_loop *loop, uint16_t shard)
{
    const struct ringmap *map = node_map(loop->node);
    size_t count = 1; /* meta */

    for (uint32_t partition = shard; partition < map->partition_count;
         partition += loop->shard_count)
        count += ringmap_holds(map, (uint16_t)partition, loop->member) ||
                 ringmap_wants(map, (uint16_t)partition, loop->member);
    return count;
}

int loop_files_share(const struct node_loop *loop, uint16_t shard, uint32_t *files_max)
{
    uint32_t reserved = RESERVED + loop->files_max / SHARE;
    uint32_t needed = store_files_min(hosted(loop, shard));
    uint64_t limit = ((uint64_t)needed * loop->shard_count + RESERVED) * SHARE / (SHARE - 1) + 1;

    *files_max = loop->files_max > reserved ? (loop->files_max - reserved) / loop->shard_count : 0;
    if (*files_max >= needed)
        return 0;
    loop_log("error", "files_short",
             "limit=%u needed=%llu next=\"allow this many open files: LimitNOFILE= of its unit, or "
             "ulimit -Hn\"",
             loop->files_max, (unsigned long long)limit);
    return -EMFILE;
}
