#include "shard_writer.h"

#include "replication/raft.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

#define GIVE_UP_MS 2500u

void writer_init(struct writer *writer, struct cluster *cluster)
{
    uint32_t count = 0;

    *writer = (struct writer){.cluster = cluster, .acked_ms = cluster->now_ms};
    writer->partition = cluster_partition(cluster, "key-0");
    for (unsigned i = 0; count < WRITER_KEYS; i++) {
        snprintf(writer->keys[count], sizeof *writer->keys, "key-%u", i);
        count += cluster_partition(cluster, writer->keys[count]) == writer->partition;
    }
}

/* The leader; where there is none, one after the other. */
static int choose(const struct writer *writer)
{
    const struct cluster *cluster = writer->cluster;
    int node = cluster_leader(cluster, writer->partition);

    for (int i = 1; node < 0 && i <= cluster->nodes; i++) {
        int other = (writer->node + i) % cluster->nodes;

        if (cluster->shards[other] && !cluster->cut[other])
            node = other;
    }
    return node;
}

/* The write that is due, in its first attempt or another: under the same sequence. */
static void send(struct writer *writer)
{
    struct cluster *cluster = writer->cluster;
    uint64_t sequence = cluster->sequences[writer->partition];
    const char *args[2] = {writer->keys[writer->next]};
    char value[16];
    int node = choose(writer);

    if (node < 0)
        return;
    snprintf(value, sizeof value, "%u", writer->sent[writer->next]);
    args[1] = value;
    cluster->retry = writer->retry;
    cluster->epochs[writer->partition]++;
    writer->id = cluster_resend(cluster, node, WIRE_OP_SET, 0, args, 2, sequence);
    cluster->retry = false;
    writer->node = node;
    writer->since_ms = cluster->now_ms;
}

static void take_ack(struct writer *writer)
{
    uint64_t now_ms = writer->cluster->now_ms;

    writer->acked[writer->next] = writer->sent[writer->next];
    writer->next = (writer->next + 1) % WRITER_KEYS;
    writer->id = 0;
    writer->retry = false;
    writer->acks++;
    if (now_ms - writer->acked_ms > writer->pause_ms)
        writer->pause_ms = now_ms - writer->acked_ms;
    writer->acked_ms = now_ms;
}

/* True: it is answered for good. */
static bool look(struct writer *writer)
{
    struct cluster *cluster = writer->cluster;
    const struct cluster_result *result = cluster_result(cluster, writer->id);
    uint8_t status = result ? result->status : 0;

    if (result) /* nobody waits for another */
        cluster->result_count = 0;
    if (result && status == WIRE_STATUS_OK) {
        take_ack(writer);
    } else if (result) {
        writer->retry = writer->retry || !wire_status_unproposed(status);
        send(writer);
    } else if (!cluster->shards[writer->node] || cluster->now_ms >= writer->since_ms + GIVE_UP_MS) {
        writer->retry = true;
        send(writer);
    }
    return !writer->id;
}

static void step(struct writer *writer)
{
    if (writer->id && !look(writer))
        return;
    writer->cluster->sequences[writer->partition]++;
    writer->sent[writer->next]++;
    send(writer);
}

void writer_run(struct writer *writer, uint64_t ms)
{
    for (uint64_t end = writer->cluster->now_ms + ms; writer->cluster->now_ms < end;) {
        step(writer);
        cluster_run(writer->cluster, 10);
    }
}

void writer_await(struct writer *writer, uint32_t acks)
{
    uint32_t end = writer->acks + acks;

    for (int i = 0; i < 2000 && writer->acks < end; i++)
        writer_run(writer, 10);
    cr_assert_geq(writer->acks, end);
}

bool writer_await_moved(struct writer *writer, uint64_t ms)
{
    for (uint64_t end = writer->cluster->now_ms + ms; writer->cluster->now_ms < end;) {
        if (cluster_await_moved(writer->cluster, writer->partition, 0))
            return true;
        writer_run(writer, 10);
    }
    return false;
}

static void check_replicas(struct writer *writer, int leader)
{
    struct cluster *cluster = writer->cluster;
    const struct raft *raft = shard_raft(cluster->shards[leader], writer->partition);
    uint64_t digest = 0, other = 0;

    cr_assert_eq(store_digest(shard_store(cluster->shards[leader]), writer->partition, &digest), 0);
    for (uint8_t i = 0; i < raft->config.voter_count; i++) {
        struct shard *shard = cluster->shards[raft->config.voters[i].member - 1];

        if (!shard || cluster->cut[raft->config.voters[i].member - 1])
            continue;
        for (int n = 0; n < 1000 && (!shard_raft(shard, writer->partition) ||
                                     shard_raft(shard, writer->partition)->applied < raft->applied);
             n++)
            cluster_run(cluster, 10);
        cr_assert_eq(store_digest(shard_store(shard), writer->partition, &other), 0);
        cr_assert_eq(digest, other, "voter %u", raft->config.voters[i].member);
    }
}

void writer_check(struct writer *writer)
{
    struct cluster *cluster = writer->cluster;

    for (int i = 0; i < 2000 && writer->id && !look(writer); i++)
        cluster_run(cluster, 10);
    cr_assert_eq(writer->id, 0, "the last write is answered");
    for (int i = 0; i < 500 && cluster_leader(cluster, writer->partition) < 0; i++)
        cluster_run(cluster, 10);
    for (int i = 0; i < WRITER_KEYS; i++) {
        const char *args[] = {writer->keys[i]};
        const struct cluster_result *result;
        long value;

        cluster->epochs[writer->partition]++;
        result = cluster_do(cluster, WIRE_OP_GET, 0, args, 1);
        cr_assert_eq(result->status, WIRE_STATUS_OK, "status %u", result->status);
        value = result->is_nil ? 0 : strtol(result->bytes, NULL, 10);
        cr_assert(value >= (long)writer->acked[i] && value <= (long)writer->sent[i],
                  "%s is %ld; %u was acknowledged, %u sent", writer->keys[i], value,
                  writer->acked[i], writer->sent[i]);
        cluster->result_count = 0;
    }
    check_replicas(writer, cluster_leader(cluster, writer->partition));
}
