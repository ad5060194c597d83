#include "shard_cluster_internal.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUTER_LINK 77
#define JOBS_MAX    256
/* As if each node had three shards more, which have nothing to send. */
#define BUDGET_PARTS 4

uint64_t cluster_random(struct cluster *cluster)
{
    return cluster->random = cluster->random * 6364136223846793005u + 1442695040888963407u;
}

void cluster_deliver(struct cluster *cluster, int node, struct shard_event *event)
{
    event->now_ms = cluster->now_ms;
    event->wall_ms = CLUSTER_EPOCH_MS + cluster->now_ms + (uint64_t)cluster->skew_ms[node];
    event->random = cluster_random(cluster);
    shard_step(cluster->shards[node], event);
}

/* Its disk was cut, and it cannot go on: jobs come back, undone. */
static void end_node(struct cluster *cluster, int node, struct store_job **jobs, size_t count)
{
    cr_assert(cluster->dying[node], "node %d ends: %d", node, cluster->effects.fatal);
    for (size_t i = 0; i < count; i++) {
        struct shard_event event = {.kind = SHARD_EVENT_JOB, .job = jobs[i], .job_result = -EIO};

        cluster_deliver(cluster, node, &event);
    }
    cluster_kill(cluster, node);
}

static enum store_job_class held_class(const struct cluster *cluster)
{
    return cluster->holds_background ? STORE_JOB_BACKGROUND : STORE_JOB_READ;
}

/* True: it was given some of what it wants. */
static bool give_budget(struct cluster *cluster, int node)
{
    struct shard_event event = {.kind = SHARD_EVENT_BUDGET};
    struct budget_event ask = {.now_ms = cluster->now_ms,
                               .rate = cluster->effects.budget_rate,
                               .wanted = cluster->effects.budget_wanted,
                               .left = cluster->effects.budget_left};

    if (ask.wanted > 0 || ask.left > 0)
        event.bytes = budget_take(&cluster->budgets[node], &ask);
    if (event.bytes > 0)
        cluster_deliver(cluster, node, &event);
    return event.bytes > 0;
}

static void drain(struct cluster *cluster, int node)
{
    struct store_job *jobs[JOBS_MAX];
    size_t job_count;
    bool more;

    do {
        job_count = 0;
        do {
            more = shard_flush(cluster->shards[node], cluster->now_ms, &cluster->effects);
            cluster->drained[node] = cluster->effects.drained;
            for (size_t i = 0; i < cluster->effects.job_count; i++)
                jobs[job_count++] = cluster->effects.jobs[i];
            if (cluster->effects.fatal) {
                end_node(cluster, node, jobs, job_count);
                return;
            }
            for (size_t i = 0; i < cluster->effects.send_count; i++)
                cluster_post(cluster, node, &cluster->effects.sends[i]);
        } while (more || give_budget(cluster, node));
        if (cluster->held_count > 0 && cluster->held_node == node &&
            !cluster->holds(cluster, node)) {
            memcpy(jobs + job_count, cluster->held, cluster->held_count * sizeof *jobs);
            job_count += cluster->held_count;
            cluster->held_count = 0;
        }
        for (size_t i = 0; i < job_count; i++) {
            struct shard_event event = {.kind = SHARD_EVENT_JOB, .job = jobs[i]};

            if (cluster->holds && store_job_class(jobs[i]) == held_class(cluster) &&
                cluster->holds(cluster, node)) {
                cr_assert_lt(cluster->held_count, 16);
                cluster->held_node = node;
                cluster->held[cluster->held_count++] = jobs[i];
                continue;
            }

            event.job_result = store_job_run(jobs[i]);
            event.job_us = cluster->sync_us[node];
            cluster_deliver(cluster, node, &event);
        }
        if (cluster->stepped)
            cluster->stepped(cluster, node);
    } while (job_count > 0);
}

void cluster_settle(struct cluster *cluster)
{
    struct cluster_parcel *parcel;

    for (int node = 0; node < cluster->nodes; node++)
        if (cluster->shards[node])
            drain(cluster, node);
    while ((parcel = cluster_parcel_next(cluster))) {
        if (cluster->shards[parcel->to]) {
            parcel->event.message = &parcel->message;
            cluster_deliver(cluster, parcel->to, &parcel->event);
            drain(cluster, parcel->to);
        }
        free(parcel);
    }
}

void cluster_tick(struct cluster *cluster, int node)
{
    struct shard_event tick = {.kind = SHARD_EVENT_TICK};

    cluster_deliver(cluster, node, &tick);
    cluster_settle(cluster);
}

void cluster_run(struct cluster *cluster, uint64_t ms)
{
    for (uint64_t end = cluster->now_ms + ms; cluster->now_ms < end; cluster->now_ms += 10) {
        for (int node = 0; node < cluster->nodes; node++) {
            struct shard_event tick = {.kind = SHARD_EVENT_TICK};

            if (cluster->shards[node])
                cluster_deliver(cluster, node, &tick);
        }
        cluster_settle(cluster);
        for (int node = 0; node < cluster->nodes; node++)
            if (cluster->shards[node])
                shard_check(cluster->shards[node]);
    }
}

static void link_event(struct cluster *cluster, int node, uint8_t kind, int peer)
{
    struct shard_event event = {.kind = kind,
                                .from = {.role = LINK_ROLE_NODE, .member = (uint16_t)(peer + 1)},
                                .shards = 1};

    if (cluster->shards[node] && cluster->shards[peer] && node != peer)
        cluster_deliver(cluster, node, &event);
}

void cluster_open(struct cluster *cluster, int node, bool found)
{
    uint8_t hash[RINGMAP_HASH_SIZE] = {1};
    struct shard_event router = {.kind = SHARD_EVENT_LINK_UP,
                                 .from = {.role = LINK_ROLE_ROUTER, .link = ROUTER_LINK}};

    cr_assert_geq(cluster->now_ms, cluster->opening_ms);
    cluster->options.self = (uint16_t)(node + 1);
    cluster->options.store.compress_level =
        node == 0 || (cluster->compressing >> node & 1); /* what it leads: a part */
    cr_assert_eq(shard_open(&cluster->shards[node], cluster->disks[node], &cluster->options,
                            &cluster->map, hash, found, cluster->now_ms - cluster->opening_ms,
                            (uint64_t)node * 977),
                 cluster->opened);
    budget_init(&cluster->budgets[node], BUDGET_PARTS, cluster->now_ms);
    cluster->dying[node] = false;
    if (!cluster->deaf[node])
        cluster_map_tell_node(cluster, node);
    cluster_deliver(cluster, node, &router);
    for (int peer = 0; peer < cluster->nodes; peer++) {
        link_event(cluster, node, SHARD_EVENT_LINK_UP, peer);
        link_event(cluster, peer, SHARD_EVENT_LINK_UP, node);
    }
}

void cluster_start(struct cluster *cluster)
{
    cluster_start_sealed(cluster, NULL);
}

void cluster_start_sealed(struct cluster *cluster, const struct vault *vault)
{
    cluster_start_replicas(cluster, CLUSTER_NODES, vault);
}

static struct vfs *memory_make(uint64_t seed)
{
    (void)seed;
    return vfs_mem_new();
}

void cluster_start_replicas(struct cluster *cluster, uint32_t replicas, const struct vault *vault)
{
    static const struct cluster_disks memory = {memory_make, vfs_mem_free};

    cluster_start_on(cluster, replicas, vault, &memory);
}

void cluster_start_on(struct cluster *cluster, uint32_t replicas, const struct vault *vault,
                      const struct cluster_disks *media)
{
    *cluster = (struct cluster){.now_ms = 1000, .nodes = CLUSTER_NODES, .media = media};
    cr_assert_eq(ringmap_init(&cluster->map, CLUSTER_NODES, CLUSTER_PARTITIONS, replicas), 0);
    cluster->map.epoch = 1;
    for (int node = 0; node < cluster->nodes; node++) {
        cluster->map.members[node].id = (uint16_t)(node + 1);
        cluster->map.members[node].state = RINGMAP_STATE_ACTIVE;
        cluster->map.members[node].weight = 100;
        cluster->map.members[node].public_key[0] = (uint8_t)(node + 1);
        snprintf(cluster->map.members[node].address, RINGMAP_ADDRESS_SIZE, "127.0.0.1:%d",
                 7001 + node);
        cluster->map.meta_voters[node] = (uint16_t)(node + 1);
        cluster->disks[node] = media->make((uint64_t)node + 1);
    }
    cluster->map.meta_voter_count = CLUSTER_NODES;
    for (int p = 0; p < CLUSTER_PARTITIONS; p++)
        for (uint32_t i = 0; i < replicas; i++)
            cluster->map.replicas[(uint32_t)p * replicas + i] =
                (uint16_t)(((uint32_t)p + i) % CLUSTER_NODES + 1);
    shard_options_default(&cluster->options);
    /* What is made at each start and walked by each check is not larger than tests need. */
    cluster->options.operations_max = 512;
    cluster->options.store.queue_size_max = 4u << 20;
    cluster->options.store.folder = "shard-00";
    cluster->options.store.segment_size = 256u << 10;
    cluster->options.store.zero_ahead_size = 64u << 10;
    cluster->options.store.memory_size_max = 64u << 10;
    cluster->options.store.cache_size = 64u << 10;
    cluster->options.store.compress_size_min = 0;
    cluster->options.store.space_reserve = 0;
    cluster->options.train_samples = 100;
    cluster->options.train_again_ms = 1000;
    cluster->options.store.vault = vault;
    cluster_map_begin(cluster);
    for (int node = 0; node < cluster->nodes; node++)
        cluster_open(cluster, node, true);
    cluster_settle(cluster);
}

void cluster_kill(struct cluster *cluster, int node)
{
    shard_close(cluster->shards[node]);
    cluster->shards[node] = NULL;
    for (int peer = 0; peer < cluster->nodes; peer++) {
        struct shard_event event = {
            .kind = SHARD_EVENT_LINK_DOWN,
            .from = {.role = LINK_ROLE_NODE, .member = (uint16_t)(node + 1)}};

        if (cluster->shards[peer])
            cluster_deliver(cluster, peer, &event);
    }
}

void cluster_restart(struct cluster *cluster, int node)
{
    cluster_open(cluster, node, false);
    cluster_settle(cluster);
}

void cluster_stop(struct cluster *cluster)
{
    cluster_settle(cluster);
    for (int node = 0; node < cluster->nodes; node++) {
        shard_close(cluster->shards[node]);
        cluster->disks[node] = cluster->media->unmake(cluster->disks[node]);
    }
    cluster_parcels_free();
    ringmap_deinit(&cluster->map);
    cluster_map_end(cluster);
}

int cluster_leader(const struct cluster *cluster, uint16_t partition)
{
    for (int node = 0; node < cluster->nodes; node++) {
        const struct raft *raft =
            cluster->shards[node] ? shard_raft(cluster->shards[node], partition) : NULL;

        if (raft && raft->role == RAFT_LEADER && raft->term_start > 0 &&
            raft->applied >= raft->term_start && !cluster->cut[node] &&
            !shard_fenced(cluster->shards[node], partition, NULL))
            return node;
    }
    return -1;
}

void cluster_await_leaders(struct cluster *cluster)
{
    for (int rounds = 0; rounds < 500; rounds++) {
        bool all = true;

        cluster_run(cluster, 10);
        for (uint16_t p = 0; p < CLUSTER_PARTITIONS; p++)
            all = all && cluster_leader(cluster, p) >= 0;
        if (all)
            return;
    }
    cr_assert_fail("no leader for some partition after 5 s");
}

int cluster_await_meta(struct cluster *cluster)
{
    for (int rounds = 0; rounds < 500; rounds++) {
        int leader = cluster_leader(cluster, STORE_PARTITION_META);

        if (leader >= 0)
            return leader;
        cluster_run(cluster, 10);
    }
    cr_assert_fail("no leader of the meta group after 5 s");
    return -1;
}

uint64_t cluster_installed(const struct cluster *cluster, int node)
{
    struct shard_stats stats;

    shard_stats(cluster->shards[node], &stats);
    return stats.snapshots_installed;
}

void cluster_restart_all(struct cluster *cluster)
{
    for (int node = 0; node < CLUSTER_NODES; node++) {
        cluster_kill(cluster, node);
        cluster_restart(cluster, node);
    }
    cluster_await_leaders(cluster);
}

uint16_t cluster_partition(const struct cluster *cluster, const char *key)
{
    return hash_partition(cluster->map.hash_secret, CLUSTER_PARTITIONS, key, strlen(key), NULL);
}

static uint32_t send_op(struct cluster *cluster, int node, struct wire_op *op,
                        const char *const *args)
{
    struct wire_bytes bytes[16];
    struct wire_buffer body = {0};
    struct link_message message = {.type = WIRE_OPS};
    struct shard_event event = {.kind = SHARD_EVENT_MESSAGE,
                                .from = {.role = LINK_ROLE_ROUTER, .link = ROUTER_LINK},
                                .message = &message};

    for (uint32_t i = 0; i < op->arg_count; i++)
        bytes[i] = (struct wire_bytes){(const uint8_t *)args[i], strlen(args[i])};
    op->id = ++cluster->next_id;
    op->budget_ms = cluster->budget_ms ? cluster->budget_ms : 2000;
    op->retry = cluster->retry;
    op->lane_epoch = cluster->epochs[op->partition];
    wire_put_ops_head(&body, cluster->session ? cluster->session : 5);
    wire_put_op(&body, op, bytes);
    message.body = body.data;
    message.body_size = body.size;
    message.partition = op->partition;
    cluster_deliver(cluster, node, &event);
    wire_buffer_deinit(&body);
    return op->id;
}

uint32_t cluster_resend(struct cluster *cluster, int node, uint8_t operation, uint8_t flags,
                        const char *const *args, uint32_t arg_count, uint64_t sequence)
{
    struct wire_op op = {.operation = operation,
                         .flags = flags,
                         .partition = cluster_partition(cluster, args[0]),
                         .sequence = sequence,
                         .floor = sequence > 8 ? sequence - 8 : 1,
                         .arg_count = arg_count};

    return send_op(cluster, node, &op, args);
}

uint32_t cluster_send(struct cluster *cluster, int node, uint8_t operation, uint8_t flags,
                      const char *const *args, uint32_t arg_count)
{
    uint16_t partition = cluster_partition(cluster, args[0]);

    return cluster_resend(cluster, node, operation, flags, args, arg_count,
                          wire_operation_writes(operation) ? ++cluster->sequences[partition] : 0);
}

const struct cluster_result *cluster_result(const struct cluster *cluster, uint32_t id)
{
    for (size_t i = cluster->result_count; i > 0; i--)
        if (cluster->results[i - 1].id == id)
            return &cluster->results[i - 1];
    return NULL;
}

uint32_t cluster_send_at(struct cluster *cluster, int node, uint16_t partition, uint8_t operation,
                         const char *const *args, uint32_t arg_count)
{
    struct wire_op op = {.operation = operation, .partition = partition, .arg_count = arg_count};

    return send_op(cluster, node, &op, args);
}

static const struct cluster_result *await_result(struct cluster *cluster, uint32_t id,
                                                 uint8_t operation)
{
    for (int rounds = 0; rounds < 300 && !cluster_result(cluster, id); rounds++)
        cluster_run(cluster, 10);
    cr_assert(cluster_result(cluster, id), "operation %s was not answered in 3 s",
              wire_operation_name(operation));
    return cluster_result(cluster, id);
}

const struct cluster_result *cluster_do(struct cluster *cluster, uint8_t operation, uint8_t flags,
                                        const char *const *args, uint32_t arg_count)
{
    int leader = cluster_leader(cluster, cluster_partition(cluster, args[0]));

    cr_assert_geq(leader, 0);
    return await_result(cluster, cluster_send(cluster, leader, operation, flags, args, arg_count),
                        operation);
}

void cluster_ask(struct cluster *cluster, int node, uint16_t member, uint8_t type,
                 const struct wire_buffer *body)
{
    struct link_message message = {.type = type, .body = body->data, .body_size = body->size};
    struct shard_event event = {.kind = SHARD_EVENT_MESSAGE,
                                .from = {.role = member ? LINK_ROLE_NODE : LINK_ROLE_ADMIN,
                                         .member = member,
                                         .link = ROUTER_LINK + 1},
                                .message = &message};

    cluster_deliver(cluster, node, &event);
    cluster_settle(cluster);
}

void cluster_drain(struct cluster *cluster, int node, bool drained)
{
    struct wire_buffer body = {0};

    wire_put_drain(&body, drained);
    cluster_ask(cluster, node, 0, WIRE_DRAIN, &body);
    wire_buffer_deinit(&body);
}

const struct cluster_result *cluster_do_at(struct cluster *cluster, uint16_t partition,
                                           uint8_t operation, const char *const *args,
                                           uint32_t arg_count)
{
    int leader = cluster_leader(cluster, partition);

    cr_assert_geq(leader, 0);
    return await_result(cluster,
                        cluster_send_at(cluster, leader, partition, operation, args, arg_count),
                        operation);
}

void cluster_begin(struct cluster *cluster)
{
    cluster_start(cluster);
    cluster_await_leaders(cluster);
}

const struct cluster_result *cluster_set(struct cluster *cluster, const char *key,
                                         const char *value)
{
    return cluster_do(cluster, WIRE_OP_SET, 0, (const char *const[]){key, value}, 2);
}

void cluster_set_of(struct cluster *cluster, uint16_t partition, const char *prefix, int count,
                    const char *value)
{
    char key[32];

    for (int i = 0; count > 0; i++) {
        snprintf(key, sizeof key, "%s%d", prefix, i);
        if (cluster_partition(cluster, key) != partition)
            continue;
        cluster->result_count = 0;
        cr_assert_eq(cluster_set(cluster, key, value)->status, WIRE_STATUS_OK);
        count--;
    }
}

void cluster_expect(struct cluster *cluster, const char *key, const char *value)
{
    const struct cluster_result *result =
        cluster_do(cluster, WIRE_OP_GET, 0, (const char *const[]){key}, 1);

    cr_assert_eq(result->status, WIRE_STATUS_OK);
    if (!value) {
        cr_assert(result->is_nil);
        return;
    }
    cr_assert_eq(result->size, strlen(value));
    cr_assert_eq(memcmp(result->bytes, value, result->size), 0);
}

static int note_file(void *context, const char *name)
{
    struct cluster_files *files = context;

    cr_assert_lt(files->count, CLUSTER_FILES_MAX);
    snprintf(files->paths[files->count++], sizeof files->paths[0], "shard-00/%s", name);
    return 0;
}

void cluster_files(struct cluster *cluster, int node, struct cluster_files *files)
{
    files->count = 0;
    cr_assert_eq(vfs_list(cluster->disks[node], "shard-00", note_file, files), 0);
    cr_assert_gt(files->count, 1);
}

static bool file_holds(struct vfs *disk, const char *path, const char *text)
{
    struct vfs_file *file;
    uint64_t size;
    uint8_t *bytes;
    bool holds;

    cr_assert_eq(vfs_open(disk, path, VFS_OPEN_READ, &file), 0);
    cr_assert_eq(vfs_size(file, &size), 0);
    bytes = malloc(size + 1);
    cr_assert(bytes);
    cr_assert_eq(vfs_pread(file, bytes, size, 0), (int64_t)size);
    holds = memmem(bytes, size, text, strlen(text)) != NULL;
    free(bytes);
    vfs_close(file);
    return holds;
}

uint32_t cluster_files_with(struct cluster *cluster, int node, const char *text)
{
    struct cluster_files files;
    uint32_t found = 0;

    cluster_files(cluster, node, &files);
    for (size_t i = 0; i < files.count; i++)
        found += file_holds(cluster->disks[node], files.paths[i], text);
    return found;
}
