#include "cli/demo_members.h"

#include "replication/node.h"
#include "ring/identity.h"
#include "storage/datadir.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

/* NULL: there is no such folder. */
static struct vfs *open_folder(const struct demo_dir *dir, uint32_t k)
{
    char name[16], path[PATH_MAX];
    struct vfs *vfs;

    snprintf(name, sizeof name, "node-%u", k + 1);
    demo_dir_path(dir, name, "", path);
    return vfs_posix_open(&vfs, path) == 0 ? vfs : NULL;
}

/* False: no folder holds any. */
static bool find_newest(const struct demo_dir *dir, int (*peek)(struct vfs *, struct ringmap *),
                        struct ringmap *newest)
{
    bool found = false;

    for (uint32_t k = 0; k < DEMO_NODES_MAX; k++) {
        struct vfs *vfs = open_folder(dir, k);
        struct ringmap map;

        if (vfs && peek(vfs, &map) == 0) {
            if (found && map.epoch <= newest->epoch) {
                ringmap_deinit(&map);
            } else {
                if (found)
                    ringmap_deinit(newest);
                *newest = map;
                found = true;
            }
        }
        if (vfs)
            vfs_posix_close(vfs);
    }
    return found;
}

static const struct ringmap_member *owner_of(struct vfs *vfs, const struct ringmap *map)
{
    const struct ringmap_member *member = NULL;
    struct datadir_identity identity;
    struct identity keys;

    if (datadir_peek(vfs, &identity) == 0 && !identity.locked &&
        identity_from_secret(&keys, identity.key) == 0) {
        member = ringmap_member_by_key(map, keys.public_key);
        identity_wipe(&keys);
    }
    sodium_memzero(&identity, sizeof identity);
    return member;
}

void demo_members_read(struct demo_members *members, const struct demo_dir *dir)
{
    struct ringmap map;
    uint32_t founded = 0, there = 0;

    *members = (struct demo_members){.founded = 0};
    if (find_newest(dir, node_peek_genesis, &map)) {
        founded = map.member_count;
        ringmap_deinit(&map);
    }
    members->founded = founded;
    if (founded == 0 || !find_newest(dir, node_peek_map, &map))
        return;
    members->partitions = map.partition_count;
    members->changed = map.member_count != founded;
    for (uint32_t i = 0; i < map.member_count; i++) {
        members->changed |= map.members[i].state == RINGMAP_STATE_REMOVED;
        members->elsewhere += map.members[i].state != RINGMAP_STATE_REMOVED;
    }
    for (uint32_t k = 0; members->changed && k < DEMO_NODES_MAX; k++) {
        struct vfs *vfs = open_folder(dir, k);
        const struct ringmap_member *member = vfs ? owner_of(vfs, &map) : NULL;

        if (member) {
            members->nodes[k].state = member->state;
            memcpy(members->nodes[k].address, member->address, sizeof member->address);
            there += member->state != RINGMAP_STATE_REMOVED;
        }
        if (vfs)
            vfs_posix_close(vfs);
    }
    members->elsewhere -= there;
    ringmap_deinit(&map);
    if (!members->changed)
        *members = (struct demo_members){.founded = founded};
}
