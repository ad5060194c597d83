#include "replication/node.h"
#include "replication/node_file.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct node_options options = {.public_key = {7}, .cluster = {1, 2}, .shards = 1};

struct genesis {
    uint8_t *blob;
    size_t size;
    uint8_t hash[RINGMAP_HASH_SIZE];
};

static void genesis_make(struct genesis *genesis)
{
    struct ringmap map;

    cr_assert_eq(ringmap_init(&map, 1, 8, 1), 0);
    map.epoch = 1;
    memcpy(map.cluster, options.cluster, sizeof map.cluster);
    memcpy(map.members[0].public_key, options.public_key, sizeof options.public_key);
    map.members[0].id = 1;
    map.members[0].weight = 100;
    map.members[0].state = RINGMAP_STATE_ACTIVE;
    strcpy(map.members[0].address, "127.0.0.1:7000");
    map.meta_voters[0] = 1;
    map.meta_voter_count = 1;
    for (int p = 0; p < 8; p++)
        map.replicas[p] = 1;
    genesis->size = ringmap_encoded_size(&map);
    genesis->blob = malloc(genesis->size);
    ringmap_encode(&map, genesis->blob);
    ringmap_hash(genesis->blob, genesis->size, genesis->hash);
    ringmap_deinit(&map);
}

static void step(struct node *node, uint8_t type, const uint8_t *bytes, size_t size,
                 struct node_effects *effects)
{
    struct wire_buffer body = {0};
    struct link_message message = {.type = type, .partition = WIRE_PARTITION_NODE};
    struct node_event event = {.kind = NODE_EVENT_MESSAGE,
                               .now_ms = 1,
                               .from = {.role = LINK_ROLE_ADMIN, .link = 1},
                               .message = &message};

    wire_put_bin(&body, bytes, size);
    message.body = body.data;
    message.body_size = body.size;
    node_step(node, &event, effects);
    node_check(node);
    wire_buffer_deinit(&body);
}

Test(node, a_founding_is_prepared_then_committed_and_each_may_be_repeated)
{
    struct vfs *vfs = vfs_mem_new();
    struct node_effects effects;
    struct genesis genesis;
    struct node *node;

    genesis_make(&genesis);
    cr_assert_eq(node_open(&node, vfs, &options), 0);
    cr_assert_null(node_map(node));
    step(node, WIRE_COMMIT, genesis.hash, sizeof genesis.hash, &effects);
    cr_assert_not(effects.found, "nothing was prepared");
    for (int i = 0; i < 2; i++) {
        step(node, WIRE_PREPARE, genesis.blob, genesis.size, &effects);
        cr_assert_not(effects.found);
        cr_assert_not_null(node_map_prepared(node));
    }
    step(node, WIRE_COMMIT, genesis.hash, sizeof genesis.hash, &effects);
    cr_assert(effects.found);
    cr_assert_eq(node_member(node), 1);
    step(node, WIRE_COMMIT, genesis.hash, sizeof genesis.hash, &effects);
    cr_assert_not(effects.found, "stores are founded once");
    node_close(node);
    free(genesis.blob);
    vfs_mem_free(vfs);
}

/* Whoever dies between the commit and the stores' founding must found them at the next start, and
 * whoever died later must never again: an empty store would then be a lost one. */
Test(node, the_stores_founding_is_owed_until_it_is_noted)
{
    struct vfs *vfs = vfs_mem_new();
    struct node_effects effects;
    struct genesis genesis;
    struct node *node;

    genesis_make(&genesis);
    cr_assert_eq(node_open(&node, vfs, &options), 0);
    step(node, WIRE_PREPARE, genesis.blob, genesis.size, &effects);
    cr_assert_not(node_founding_owed(node));
    node_close(node);
    cr_assert_eq(node_open(&node, vfs, &options), 0);
    cr_assert_not(node_founding_owed(node), "prepared is not committed");
    step(node, WIRE_COMMIT, genesis.hash, sizeof genesis.hash, &effects);
    cr_assert(effects.found);
    node_close(node);
    cr_assert_eq(node_open(&node, vfs, &options), 0);
    cr_assert_not_null(node_map(node));
    cr_assert(node_founding_owed(node));
    cr_assert_eq(node_founded(node), 0);
    cr_assert_not(node_founding_owed(node));
    node_close(node);
    cr_assert_eq(node_open(&node, vfs, &options), 0);
    cr_assert_not_null(node_map(node));
    cr_assert_not(node_founding_owed(node));
    node_close(node);
    free(genesis.blob);
    vfs_mem_free(vfs);
}

Test(node, a_genesis_can_be_read_without_a_node)
{
    struct vfs *vfs = vfs_mem_new();
    struct node_effects effects;
    struct genesis genesis;
    struct ringmap map;
    struct vfs_file *file;
    struct node *node;
    uint64_t size;

    genesis_make(&genesis);
    cr_assert_eq(node_open(&node, vfs, &options), 0);
    cr_assert_eq(node_peek_map(vfs, &map), -ENOENT);
    cr_assert_eq(node_peek_genesis(vfs, &map), -ENOENT);
    step(node, WIRE_PREPARE, genesis.blob, genesis.size, &effects);
    node_close(node);
    cr_assert_eq(node_peek_map(vfs, &map), 0);
    cr_assert_eq(memcmp(map.cluster, options.cluster, sizeof map.cluster), 0);
    ringmap_deinit(&map);
    cr_assert_eq(node_peek_genesis(vfs, &map), 0);
    cr_assert_eq(map.epoch, 1);
    ringmap_deinit(&map);
    cr_assert_eq(vfs_open(vfs, "GENESIS", VFS_OPEN_WRITE, &file), 0);
    cr_assert_eq(vfs_size(file, &size), 0);
    for (uint64_t at = 0; at < size; at++) {
        uint8_t byte;
        struct iovec iov = {&byte, 1};

        cr_assert_eq(vfs_pread(file, &byte, 1, at), 1);
        byte ^= 0x10;
        cr_assert_eq(vfs_pwritev(file, &iov, 1, at), 0);
        cr_assert(node_peek_map(vfs, &map) < 0, "byte %lu", (unsigned long)at);
        cr_assert(node_peek_genesis(vfs, &map) < 0, "byte %lu", (unsigned long)at);
        byte ^= 0x10;
        cr_assert_eq(vfs_pwritev(file, &iov, 1, at), 0);
    }
    vfs_close(file);
    free(genesis.blob);
    vfs_mem_free(vfs);
}

static void put_file(struct vfs *vfs, const char *path)
{
    struct vfs_file *file;

    cr_assert_eq(vfs_open(vfs, path, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file), 0);
    vfs_close(file);
}

Test(node, a_folder_in_the_place_of_one_of_its_files_is_named)
{
    static const char *const files[] = {"GENESIS",  "MAP",         "TICKETS",
                                        "COUNTERS", "GENERATIONS", "MAP.tmp"};

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct vfs *vfs = vfs_mem_new();

        cr_assert_eq(vfs_mkdir(vfs, files[i]), 0);
        cr_assert_str_eq(node_file_culprit(vfs, -EISDIR), files[i]);
        cr_assert_null(node_file_culprit(vfs, -EACCES));
        vfs_mem_free(vfs);
    }
}

/* Its stores hold votes, or have held them. Founded again it would be as if it had none. */
Test(node, one_that_has_lost_its_genesis_is_not_founded_again)
{
    static const char *const left[] = {"TICKETS",           "COUNTERS",
                                       "shard-01/MANIFEST", "shard-00/journal-0000000001.log",
                                       "GENERATIONS",       "shard-00/OWNER"};
    struct node_options two = options;
    struct node *node;

    two.shards = 2;
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        struct vfs *vfs = vfs_mem_new();

        cr_assert_eq(vfs_mkdir(vfs, "shard-00"), 0); /* as a link to another disk */
        cr_assert_eq(vfs_mkdir(vfs, "shard-01"), 0);
        cr_assert_eq(node_open(&node, vfs, &two), 0);
        node_close(node);
        put_file(vfs, left[i]);
        cr_assert_eq(node_open(&node, vfs, &two), NODE_OPEN_E_GENESIS_LOST, "%s", left[i]);
        vfs_mem_free(vfs);
    }
}

static struct wire_node_status status_of(struct node *node, uint64_t now_ms)
{
    struct link_message message = {.type = WIRE_NODE_STATUS, .partition = WIRE_PARTITION_NODE};
    struct node_event event = {.kind = NODE_EVENT_MESSAGE,
                               .now_ms = now_ms,
                               .disk_reserve = 1000,
                               .twin = 7,
                               .twin_address = "10.0.0.9:40001",
                               .shards_lost = 1,
                               .from = {.role = LINK_ROLE_ADMIN, .link = 1},
                               .message = &message};
    struct wire_node_status status;
    struct node_effects effects;
    struct wire_cursor cursor;

    node_step(node, &event, &effects);
    cr_assert_eq(effects.send_count, 1);
    wire_cursor_init(&cursor, effects.sends[0].message.body, effects.sends[0].message.body_size);
    cr_assert(wire_get_node_status(&cursor, &status));
    return status;
}

static uint64_t disk_bytes(struct node *node, uint64_t now_ms)
{
    return status_of(node, now_ms).disk_bytes;
}

Test(node, the_room_that_it_tells_is_less_by_what_it_keeps_free)
{
    struct vfs *vfs = vfs_mem_new();
    struct wire_node_status status;
    struct node *node;

    cr_assert_eq(node_open(&node, vfs, &options), 0);
    vfs_mem_set_capacity(vfs, 1500);
    status = status_of(node, 10);
    cr_assert_eq(status.disk_free, 1500, "as it is");
    cr_assert_eq(status.disk_reserve, 1000);
    cr_assert_eq(status.twin, 7);
    cr_assert_str_eq(status.twin_address, "10.0.0.9:40001");
    cr_assert_eq(status.shards_lost, 1);
    cr_assert_eq(wire_node_disk_room(&status), 500);
    vfs_mem_set_capacity(vfs, 900);
    status = status_of(node, 20);
    cr_assert_eq(wire_node_disk_room(&status), 0);
    node_close(node);
    vfs_mem_free(vfs);
}

Test(node, its_files_are_looked_at_once_a_second_however_often_it_is_asked)
{
    char folder[] = "/tmp/ringcask-node-XXXXXX", command[64];
    struct vfs_file *file;
    struct node *node;
    struct vfs *vfs;

    cr_assert(mkdtemp(folder));
    cr_assert_eq(vfs_posix_open(&vfs, folder), 0);
    cr_assert_eq(node_open(&node, vfs, &options), 0);
    cr_assert_eq(vfs_mkdir(vfs, "shard-00"), 0);
    cr_assert_eq(vfs_open(vfs, "shard-00/file", VFS_OPEN_WRITE | VFS_OPEN_CREATE, &file), 0);
    cr_assert_eq(vfs_truncate(file, 100), 0);
    cr_assert_eq(disk_bytes(node, 10), 100);
    cr_assert_eq(vfs_truncate(file, 300), 0);
    cr_assert_eq(disk_bytes(node, 1009), 100);
    cr_assert_eq(disk_bytes(node, 1010), 300);
    vfs_close(file);
    node_close(node);
    vfs_posix_close(vfs);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}
