/* The ring map at a node's control plane: how it comes, who may bring it, what a crash leaves. */
#include "replication/node.h"

#include "storage/checksum.h"
#include "storage/codec.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MEMBERS 3u

static const struct node_options options = {
    .public_key = {1}, .cluster = {1, 2}, .shards = 1, .ask_ms = 500};
static const struct shard_address peer = {.role = LINK_ROLE_NODE, .member = 2};
static const struct shard_address admin = {.role = LINK_ROLE_ADMIN, .link = 9};

static struct vfs *vfs;
static struct node *node;
static struct node_effects effects;
static uint64_t now_ms = 1;

struct blob {
    uint8_t *data;
    size_t size;
};

static struct blob map_of(uint64_t epoch, uint8_t key)
{
    uint8_t(*boxes)[RINGMAP_BOX_SIZE];
    struct ringmap map;
    struct blob blob;

    cr_assert_eq(ringmap_init(&map, MEMBERS, 8, 1), 0);
    map.epoch = epoch;
    memcpy(map.cluster, options.cluster, sizeof map.cluster);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        map.members[i].public_key[0] = (uint8_t)(i + 1);
        map.members[i].id = (uint16_t)(i + 1);
        map.members[i].weight = 100;
        map.members[i].state = RINGMAP_STATE_ACTIVE;
        strcpy(map.members[i].address, "127.0.0.1:7000");
        map.meta_voters[i] = (uint16_t)(i + 1);
    }
    map.meta_voter_count = MEMBERS;
    for (int p = 0; p < 8; p++)
        map.replicas[p] = 1;
    for (uint8_t id = 1; id <= key; id++) {
        cr_assert_eq(ringmap_add_key(&map, id, &boxes), 0);
        memset(boxes, id, MEMBERS * sizeof *boxes);
    }
    blob.size = ringmap_encoded_size(&map);
    blob.data = malloc(blob.size);
    ringmap_encode(&map, blob.data);
    ringmap_deinit(&map);
    return blob;
}

static void step(uint8_t kind, struct shard_address from, const struct link_message *message)
{
    struct node_event event = {.kind = kind, .now_ms = now_ms, .from = from, .message = message};

    node_step(node, &event, &effects);
    node_check(node);
}

static void tick(uint64_t ms)
{
    now_ms += ms;
    step(NODE_EVENT_TICK, (struct shard_address){0}, NULL);
}

static void bring(struct shard_address from, uint8_t type, const void *bytes, size_t size,
                  uint64_t correlation)
{
    struct wire_buffer body = {0};
    struct link_message message = {
        .type = type, .partition = WIRE_PARTITION_NODE, .correlation = correlation};

    if (bytes)
        wire_put_bin(&body, bytes, size);
    message.body = body.data;
    message.body_size = body.size;
    step(NODE_EVENT_MESSAGE, from, &message);
    wire_buffer_deinit(&body);
}

static void bring_map(struct shard_address from, uint64_t epoch, uint8_t key)
{
    struct blob blob = map_of(epoch, key);

    bring(from, WIRE_MAP, blob.data, blob.size, 0);
    free(blob.data);
}

static void bring_epoch(struct shard_address from, uint64_t epoch)
{
    struct wire_buffer body = {0};
    struct link_message message = {.type = WIRE_MAP_EPOCH, .partition = WIRE_PARTITION_NODE};

    wire_put_map_epoch(&body, epoch);
    message.body = body.data;
    message.body_size = body.size;
    step(NODE_EVENT_MESSAGE, from, &message);
    wire_buffer_deinit(&body);
}

static void bring_reply(struct shard_address from, uint64_t correlation,
                        const struct wire_map_reply *reply)
{
    struct wire_buffer body = {0};
    struct link_message message = {.type = WIRE_MAP_CHANGE_REPLY,
                                   .partition = WIRE_PARTITION_NODE,
                                   .correlation = correlation};

    wire_put_map_reply(&body, reply);
    message.body = body.data;
    message.body_size = body.size;
    step(NODE_EVENT_MESSAGE, from, &message);
    wire_buffer_deinit(&body);
}

/* A member of a cluster that was founded with one data key, and with MEMBERS voters. */
static void begin(void)
{
    struct blob genesis = map_of(1, 1);
    uint8_t hash[RINGMAP_HASH_SIZE];

    vfs = vfs_mem_new();
    ringmap_hash(genesis.data, genesis.size, hash);
    cr_assert_eq(node_open(&node, vfs, &options), 0);
    bring(admin, WIRE_PREPARE, genesis.data, genesis.size, 0);
    bring(admin, WIRE_COMMIT, hash, sizeof hash, 0);
    cr_assert(effects.found);
    free(genesis.data);
}

static void end(void)
{
    node_close(node);
    vfs_mem_free(vfs);
}

static const struct shard_send *sent(uint8_t type)
{
    for (size_t i = 0; i < effects.send_count; i++)
        if (effects.sends[i].message.type == type)
            return &effects.sends[i];
    return NULL;
}

Test(node_map, a_later_map_of_a_member_is_on_the_disk_before_it_is_gone_by)
{
    uint64_t calls;

    begin();
    calls = vfs_mem_calls(vfs);
    bring_map(peer, 2, 2);
    cr_assert(effects.map_changed);
    cr_assert_eq(node_map(node)->epoch, 2);
    cr_assert_eq(node_genesis(node)->epoch, 1);
    calls = vfs_mem_calls(vfs) - calls;
    node_close(node);
    cr_assert_eq(node_open(&node, vfs, &options), 0);
    cr_assert_eq(node_map(node)->epoch, 2);
    cr_assert_eq(ringmap_key_current(node_map(node)), 2);
    for (uint64_t n = 1; n <= calls; n++) {
        vfs_mem_fail_after(vfs, n, EIO);
        bring_map(peer, 2 + n, 2);
        vfs_mem_fail_after(vfs, 0, 0);
        cr_assert_not(effects.map_changed, "call %lu failed", (unsigned long)n);
        cr_assert_eq(effects.fatal, -EIO);
        cr_assert_eq(node_map(node)->epoch, 2);
    }
    end();
}

static void meet_full_disk(int error)
{
    begin();
    vfs_mem_fail_after(vfs, 3, error);
    bring_epoch(peer, 2);
    bring_map(peer, 2, 2);
    cr_assert_not(effects.map_changed);
    cr_assert_eq(effects.fatal, 0);
    tick(500);
    cr_assert(sent(WIRE_MAP_GET));
    bring_map(peer, 2, 2);
    cr_assert(effects.map_changed);
    end();
}

Test(node_map, a_full_disk_is_asked_for_it_again)
{
    meet_full_disk(ENOSPC);
    meet_full_disk(EDQUOT);
}

Test(node_map, nobody_but_a_member_brings_one)
{
    begin();
    bring_map(admin, 2, 2);
    bring_map((struct shard_address){.role = LINK_ROLE_ROUTER, .link = 4}, 2, 2);
    bring_map((struct shard_address){.role = LINK_ROLE_NODE, .member = 0}, 2, 2);
    bring_epoch(admin, 2);
    cr_assert_null(sent(WIRE_MAP_GET));
    cr_assert_eq(node_map(node)->epoch, 1);
    end();
}

Test(node_map, what_does_not_follow_is_left)
{
    struct blob blob = map_of(3, 2);

    begin();
    bring_map(peer, 1, 2);
    cr_assert_eq(node_map(node)->epoch, 1, "not later");
    bring_map(peer, 2, 0);
    cr_assert_eq(node_map(node)->epoch, 1, "the data key is gone");
    blob.data[20] ^= 1;
    bring(peer, WIRE_MAP, blob.data, blob.size, 0);
    cr_assert_eq(node_map(node)->epoch, 1, "of another cluster");
    blob.data[20] ^= 1;
    bring(peer, WIRE_MAP, blob.data, blob.size - 1, 0);
    cr_assert_eq(node_map(node)->epoch, 1, "cut off");
    bring(peer, WIRE_MAP, blob.data, blob.size, 0);
    cr_assert_eq(node_map(node)->epoch, 3, "epoch 2 was missed");
    bring_map(peer, 2, 2);
    cr_assert_eq(node_map(node)->epoch, 3, "late");
    free(blob.data);
    end();
}

Test(node_map, who_hears_of_a_later_epoch_asks_until_it_has_it)
{
    begin();
    bring_epoch(peer, 2);
    cr_assert(sent(WIRE_MAP_GET));
    cr_assert_eq(sent(WIRE_MAP_GET)->to.member, 2);
    cr_assert_eq(sent(WIRE_MAP_GET)->message.partition, WIRE_PARTITION_NODE);
    tick(100);
    cr_assert_null(sent(WIRE_MAP_GET), "an answer may be on its way");
    tick(400);
    cr_assert(sent(WIRE_MAP_GET));
    bring_map(peer, 2, 2);
    tick(500);
    cr_assert_null(sent(WIRE_MAP_GET));
    bring_epoch((struct shard_address){.role = LINK_ROLE_NODE, .member = 1}, 3);
    cr_assert_eq(sent(WIRE_MAP_GET)->to.member, 1);
    cr_assert_eq(sent(WIRE_MAP_GET)->message.partition, WIRE_PARTITION_META, "our own shard");
    end();
}

static void bring_gossip(uint16_t member, uint64_t epoch)
{
    struct node_event event = {.kind = NODE_EVENT_EPOCH,
                               .now_ms = now_ms,
                               .from = {.role = LINK_ROLE_NODE, .member = member},
                               .epoch = epoch};

    node_step(node, &event, &effects);
    node_check(node);
}

Test(node_map, who_learns_by_gossip_of_a_later_epoch_asks_at_once)
{
    begin();
    bring_gossip(2, 1);
    cr_assert_null(sent(WIRE_MAP_GET), "it has that");
    step(NODE_EVENT_LINK_UP, peer, NULL);
    bring_gossip(2, 2);
    cr_assert(sent(WIRE_MAP_GET));
    cr_assert_eq(sent(WIRE_MAP_GET)->to.member, 2);
    tick(500);
    bring_gossip(3, 2);
    cr_assert_null(sent(WIRE_MAP_GET), "an answer may be on its way");
    bring_gossip(3, 3);
    cr_assert_eq(sent(WIRE_MAP_GET)->to.member, 2, "that is another; there is no link to 3");
    bring_gossip(2, 3);
    cr_assert_null(sent(WIRE_MAP_GET));
    tick(500);
    cr_assert_eq(sent(WIRE_MAP_GET)->to.member, 2, "it may have been lost");
    bring_map(peer, 3, 2);
    tick(500);
    cr_assert_null(sent(WIRE_MAP_GET));
    end();
}

Test(node_map, who_is_behind_is_told_so_at_once)
{
    const struct shard_address own = {.role = LINK_ROLE_NODE, .member = 1};

    begin();
    bring_map(peer, 2, 2);
    bring_epoch(peer, 2);
    cr_assert_null(sent(WIRE_MAP_EPOCH));
    bring_epoch(peer, 1);
    cr_assert_eq(sent(WIRE_MAP_EPOCH)->to.member, 2, "also without a link of ours to it");
    bring_epoch(own, 1);
    cr_assert_null(sent(WIRE_MAP_EPOCH), "our own shard gets there by itself");
    end();
}

Test(node_map, members_are_told_of_it_when_they_come_and_when_it_changes)
{
    struct wire_cursor cursor;
    uint64_t epoch;

    begin();
    step(NODE_EVENT_LINK_UP, peer, NULL);
    cr_assert(sent(WIRE_MAP_EPOCH));
    tick(10);
    cr_assert_null(sent(WIRE_MAP_EPOCH), "once");
    bring_map((struct shard_address){.role = LINK_ROLE_NODE, .member = 3}, 2, 2);
    cr_assert(sent(WIRE_MAP_EPOCH));
    cr_assert_eq(sent(WIRE_MAP_EPOCH)->to.member, 2, "3 is not there");
    wire_cursor_init(&cursor, sent(WIRE_MAP_EPOCH)->message.body,
                     sent(WIRE_MAP_EPOCH)->message.body_size);
    cr_assert(wire_get_map_epoch(&cursor, &epoch));
    cr_assert_eq(epoch, 2);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        tick(1000);
        if (sent(WIRE_MAP_EPOCH))
            break;
    }
    cr_assert(sent(WIRE_MAP_EPOCH), "again: what it was told may have been lost");
    end();
}

Test(node_map, whoever_asks_gets_the_newest)
{
    struct blob blob = map_of(2, 2);
    struct wire_cursor cursor;
    const uint8_t *bytes;
    size_t size;

    begin();
    bring_map(peer, 2, 2);
    bring((struct shard_address){.role = LINK_ROLE_ROUTER, .link = 4}, WIRE_MAP_GET, NULL, 0, 0);
    wire_cursor_init(&cursor, sent(WIRE_MAP)->message.body, sent(WIRE_MAP)->message.body_size);
    bytes = wire_get_bin(&cursor, RINGMAP_SIZE_MAX, &size);
    cr_assert_eq(size, blob.size);
    cr_assert_eq(memcmp(bytes, blob.data, size), 0);
    free(blob.data);
    end();
}

/* MAP with one byte changed, or only its first bytes. */
static void damage_map(uint64_t at, uint8_t with, bool cut)
{
    struct iovec iov;
    struct vfs_file *file;
    uint8_t byte;

    cr_assert_eq(vfs_open(vfs, "MAP", VFS_OPEN_WRITE, &file), 0);
    if (cut) {
        cr_assert_eq(vfs_truncate(file, at), 0);
    } else {
        cr_assert_eq(vfs_pread(file, &byte, 1, at), 1);
        byte ^= with;
        iov = (struct iovec){&byte, 1};
        cr_assert_eq(vfs_pwritev(file, &iov, 1, at), 0);
    }
    vfs_close(file);
}

static bool there(const char *name)
{
    struct vfs_file *file;
    int r = vfs_open(vfs, name, VFS_OPEN_READ, &file);

    if (r == 0)
        vfs_close(file);
    return r == 0;
}

/* It starts as it was founded, and a peer brings what it had. */
static void expect_mended(uint64_t at)
{
    node_close(node);
    cr_assert_eq(node_open(&node, vfs, &options), 0, "byte %lu", (unsigned long)at);
    node_check(node);
    cr_assert(node_map_damaged(node), "byte %lu", (unsigned long)at);
    cr_assert_eq(node_map(node)->epoch, 1);
    cr_assert(there(NODE_MAP_BAD) && !there("MAP"));
    bring_epoch(peer, 2);
    cr_assert(sent(WIRE_MAP_GET));
    bring_map(peer, 2, 2);
    cr_assert(effects.map_changed);
    cr_assert_eq(ringmap_key_current(node_map(node)), 2);
    node_close(node);
    cr_assert_eq(node_open(&node, vfs, &options), 0);
    cr_assert_not(node_map_damaged(node), "byte %lu", (unsigned long)at);
    cr_assert_eq(node_map(node)->epoch, 2);
}

Test(node_map, a_damaged_map_is_set_aside_and_comes_again_from_a_member)
{
    struct vfs_file *file;
    uint64_t size;

    begin();
    bring_map(peer, 2, 2);
    cr_assert_eq(vfs_open(vfs, "MAP", VFS_OPEN_READ, &file), 0);
    cr_assert_eq(vfs_size(file, &size), 0);
    vfs_close(file);
    for (uint64_t at = 0; at < size; at++) {
        damage_map(at, (uint8_t)(1u << at % 8), false);
        expect_mended(at);
    }
    for (uint64_t at = 0; at < size; at += 7) {
        damage_map(at, 0, true);
        expect_mended(at);
    }
    end();
}

/* Setting it aside may fail; the next start tries again. */
Test(node_map, a_damaged_map_that_cannot_be_set_aside_ends_the_start)
{
    bool opened = false;

    begin();
    bring_map(peer, 2, 2);
    node_close(node);
    damage_map(40, 4, false);
    for (uint64_t n = 1; !opened; n++) {
        vfs_mem_fail_after(vfs, n, EIO);
        opened = node_open(&node, vfs, &options) == 0;
        vfs_mem_fail_after(vfs, 0, 0);
        cr_assert(!opened || node_map(node)->epoch == 1);
        cr_assert(there("MAP") || there(NODE_MAP_BAD));
        cr_assert_lt(n, 40);
    }
    end();
}

/* As a newer release would write it: whoever does not know its format leaves it alone. */
Test(node_map, a_map_of_a_newer_format_is_refused)
{
    uint8_t bytes[4096];
    struct iovec iov = {bytes, 0};
    struct vfs_file *file;
    uint64_t size;

    begin();
    bring_map(peer, 2, 2);
    node_close(node);
    cr_assert_eq(vfs_open(vfs, "MAP", VFS_OPEN_WRITE, &file), 0);
    cr_assert_eq(vfs_size(file, &size), 0);
    cr_assert_leq(size, sizeof bytes);
    cr_assert_eq(vfs_pread(file, bytes, size, 0), (int64_t)size);
    codec_put_u16(bytes + 4, codec_get_u16(bytes + 4) + 1);
    codec_put_u64(bytes + size - 8, checksum(bytes, size - 8));
    iov.iov_len = size;
    cr_assert_eq(vfs_pwritev(file, &iov, 1, 0), 0);
    vfs_close(file);
    cr_assert_eq(node_open(&node, vfs, &options), -EPROTO);
    cr_assert(there("MAP") && !there(NODE_MAP_BAD));
    vfs_mem_free(vfs);
}

Test(node_map, a_later_map_is_no_genesis)
{
    struct blob blob = map_of(2, 1);

    vfs = vfs_mem_new();
    cr_assert_eq(node_open(&node, vfs, &options), 0);
    bring(admin, WIRE_PREPARE, blob.data, blob.size, 0);
    cr_assert_null(node_map_prepared(node));
    free(blob.data);
    end();
}

/* --- changes ------------------------------------------------------------------------------- */

static void change(struct shard_address from, uint64_t epoch, uint64_t correlation)
{
    struct blob blob = map_of(epoch, 2);

    bring(from, WIRE_MAP_CHANGE, blob.data, blob.size, correlation);
    free(blob.data);
}

static uint8_t answered(void)
{
    const struct shard_send *send = sent(WIRE_MAP_CHANGE_REPLY);
    struct wire_map_reply reply;
    struct wire_cursor cursor;

    if (!send)
        return 0;
    cr_assert_eq(send->to.role, LINK_ROLE_ADMIN);
    cr_assert_eq(send->message.correlation, 77);
    wire_cursor_init(&cursor, send->message.body, send->message.body_size);
    cr_assert(wire_get_map_reply(&cursor, &reply));
    return reply.outcome;
}

Test(node_map, a_change_goes_to_the_meta_leader_and_its_answer_back)
{
    struct wire_map_reply again = {.outcome = WIRE_MAP_AGAIN, .leader = 3};
    struct wire_map_reply done = {.outcome = WIRE_MAP_DONE};
    uint64_t name;

    begin();
    change(admin, 2, 77);
    cr_assert_eq(sent(WIRE_MAP_CHANGE)->message.partition, WIRE_PARTITION_META);
    cr_assert_eq(sent(WIRE_MAP_CHANGE)->to.member, 1, "some voter");
    name = sent(WIRE_MAP_CHANGE)->message.correlation;
    tick(500);
    cr_assert_eq(sent(WIRE_MAP_CHANGE)->to.member, 2, "no answer: another");
    bring_reply(peer, name, &again);
    tick(100);
    cr_assert_eq(sent(WIRE_MAP_CHANGE)->to.member, 3, "who is said to lead");
    bring_reply(peer, name + 1, &done);
    cr_assert_eq(answered(), 0, "of another change");
    bring_reply((struct shard_address){.role = LINK_ROLE_ROUTER, .link = 5}, name, &done);
    cr_assert_eq(answered(), 0, "of no member");
    bring_reply(peer, name, &done);
    cr_assert_eq(answered(), WIRE_MAP_DONE);
    tick(500);
    cr_assert_null(sent(WIRE_MAP_CHANGE));
    cr_assert_eq(node_map(node)->epoch, 2, "whoever asks here next finds it");
    end();
}

Test(node_map, only_an_admin_may_ask_for_a_change)
{
    const struct shard_address others[] = {{.role = LINK_ROLE_ROUTER, .link = 4},
                                           {.role = LINK_ROLE_NODE, .member = 2}};

    begin();
    for (size_t i = 0; i < 2; i++) {
        change(others[i], 2, 77);
        cr_assert_null(sent(WIRE_MAP_CHANGE));
        cr_assert(sent(WIRE_MAP_CHANGE_REPLY));
    }
    end();
}

Test(node_map, without_a_leader_the_admin_is_told_so_after_a_while)
{
    uint64_t begun;

    begin();
    begun = now_ms;
    change(admin, 2, 77);
    while (!sent(WIRE_MAP_CHANGE_REPLY)) {
        cr_assert_leq(now_ms, begun + 11000);
        tick(100);
    }
    cr_assert_eq(answered(), WIRE_MAP_AGAIN);
    cr_assert_geq(now_ms, begun + 10000);
    end();
}

Test(node_map, changes_at_a_time_are_bounded)
{
    begin();
    for (int i = 0; i < 4; i++)
        change(admin, (uint64_t)(2 + i), 77);
    cr_assert_eq(answered(), 0);
    change(admin, 6, 77);
    cr_assert_eq(answered(), WIRE_MAP_UNSENT);
    end();
}
