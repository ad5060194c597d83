#include "shard_cluster_internal.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LATE_MS_MAX 2000u

static void take_results(struct cluster *cluster, const struct link_message *message)
{
    struct wire_bytes values[CLUSTER_SCANNED];
    struct wire_result result;
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, message->body, message->body_size);
    while (!wire_cursor_done(&cursor) &&
           wire_get_result(&cursor, &result, values, CLUSTER_SCANNED)) {
        struct cluster_result *kept = &cluster->results[cluster->result_count++];
        struct wire_bytes bytes = result.value_count > 0 ? values[0] : result.bytes;

        cluster->scanned_count = result.value_count > 0 ? result.value_count - 1 : 0;
        for (uint32_t i = 0; i < cluster->scanned_count; i++)
            snprintf(cluster->scanned[i], sizeof cluster->scanned[i], "%.*s",
                     (int)values[i + 1].size, (const char *)values[i + 1].data);

        cr_assert_lt(cluster->result_count, CLUSTER_RESULTS);
        *kept = (struct cluster_result){.id = result.id,
                                        .status = result.status,
                                        .is_int = result.is_int,
                                        .integer = result.integer,
                                        .is_nil = !result.is_int && !bytes.data};
        if (bytes.data) {
            cr_assert_lt(bytes.size, sizeof kept->bytes);
            memcpy(kept->bytes, bytes.data, bytes.size);
            kept->size = bytes.size;
        }
    }
    cr_assert_not(cursor.failed);
}

static struct cluster_parcel *parcels, **parcels_end = &parcels;
static struct cluster_parcel *delayed;

static uint32_t draw(struct cluster *cluster, uint32_t below)
{
    return (uint32_t)(cluster_random(cluster) >> 33) % below;
}

static bool chance(struct cluster *cluster, uint32_t thousandths)
{
    return thousandths > 0 && draw(cluster, 1000) < thousandths;
}

static void take_control(struct cluster *cluster, int from, const struct shard_send *send)
{
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, send->message.body, send->message.body_size);
    if (send->message.type == WIRE_MAP_EPOCH) {
        cr_assert_eq(send->to.member, from + 1, "a shard tells its own node");
        cr_assert(wire_get_map_epoch(&cursor, &cluster->told[from]));
    } else if (send->message.type == WIRE_MAP_CHANGE_REPLY) {
        cr_assert(wire_get_map_reply(&cursor, &cluster->reply));
        cluster->reply_count++;
    } else if (send->message.type == WIRE_TICKETS_VERSION) {
        cr_assert_eq(send->to.member, from + 1, "a shard tells its own node");
        cr_assert(wire_get_map_epoch(&cursor, &cluster->told_tickets[from]));
    } else if (send->message.type == WIRE_TICKETS_CHANGE_REPLY) {
        cr_assert(wire_get_map_reply(&cursor, &cluster->tickets_reply));
    } else if (send->message.type == WIRE_TICKETS) {
        cr_assert_eq(send->to.role, LINK_ROLE_NODE);
        cluster->tickets_given += send->message.body_size;
    }
}

static void take_moves(struct cluster *cluster, const struct link_message *message)
{
    struct wire_cursor cursor;

    wire_cursor_init(&cursor, message->body, message->body_size);
    cr_assert(wire_get_moves_head(&cursor, &cluster->moves_head));
    for (cluster->move_count = 0; !wire_cursor_done(&cursor); cluster->move_count++) {
        cr_assert_lt(cluster->move_count, CLUSTER_PARTITIONS + 1);
        cr_assert(wire_get_move(&cursor, &cluster->moves[cluster->move_count]));
    }
    cr_assert_not(cursor.failed);
}

static void take_answer(struct cluster *cluster, const struct link_message *message)
{
    struct wire_top_partition partition;
    struct wire_top_key key;
    struct wire_cursor cursor;
    bool drained;

    wire_cursor_init(&cursor, message->body, message->body_size);
    if (message->type == WIRE_DRAIN_REPLY) {
        cr_assert(wire_get_drain_reply(&cursor, &drained, &cluster->drain_leaders));
        return;
    }
    if (message->type == WIRE_LEADERS) {
        struct wire_leader leader;

        memset(cluster->led, 0, sizeof cluster->led);
        while (!wire_cursor_done(&cursor)) {
            cr_assert(wire_get_leader(&cursor, &leader));
            cluster->led[leader.partition] = leader.term;
        }
        return;
    }
    if (message->type == WIRE_MOVES) {
        take_moves(cluster, message);
        return;
    }
    if (message->type != WIRE_TOP_REPLY)
        return;
    cr_assert(wire_get_top_reply(&cursor, &cluster->top));
    for (uint32_t i = 0; i < cluster->top.partition_count; i++)
        cr_assert(wire_get_top_partition(&cursor, &partition));
    cluster->top_keys = 0;
    while (!wire_cursor_done(&cursor)) {
        cr_assert(wire_get_top_key(&cursor, &key));
        if (cluster->top_keys++ == 0)
            snprintf(cluster->top_key, sizeof cluster->top_key, "%.*s", (int)key.key.size,
                     (const char *)key.key.data);
    }
}

static void note_moved(struct cluster *cluster, const struct link_message *message)
{
    uint16_t groups[CLUSTER_PARTITIONS + 1];
    struct wire_cursor cursor;
    uint32_t count;
    uint64_t epoch;

    wire_cursor_init(&cursor, message->body, message->body_size);
    cr_assert(wire_get_moved(&cursor, &epoch, groups, CLUSTER_PARTITIONS + 1, &count));
    for (uint32_t i = 0; i < count; i++)
        cluster->moved[groups[i] < CLUSTER_PARTITIONS ? groups[i] : CLUSTER_PARTITIONS] = epoch;
}

/* Some bits or bytes are others, or what is behind them is missing. */
static void garble(struct cluster *cluster, struct cluster_parcel *parcel)
{
    size_t size = parcel->message.body_size;

    for (uint32_t i = 0; i <= draw(cluster, 3) && size > 0; i++) {
        size_t at = draw(cluster, (uint32_t)size), count = 1 + draw(cluster, 8);

        if (chance(cluster, 20))
            size = at;
        else if (chance(cluster, 500))
            parcel->body[at] ^= (uint8_t)(1u << draw(cluster, 8));
        else
            memset(parcel->body + at, chance(cluster, 500) ? 0xff : 0,
                   count < size - at ? count : size - at);
    }
    parcel->message.body_size = size;
}

static void send_parcel(struct cluster *cluster, int from, const struct shard_send *send,
                        bool garbled)
{
    struct cluster_parcel *parcel;

    parcel = calloc(1, sizeof *parcel + send->message.body_size);
    parcel->to = send->to.member - 1;
    parcel->message = send->message;
    memcpy(parcel->body, send->message.body, send->message.body_size);
    parcel->message.body = parcel->body;
    if (garbled)
        garble(cluster, parcel);
    parcel->event =
        (struct shard_event){.kind = SHARD_EVENT_MESSAGE,
                             .from = {.role = LINK_ROLE_NODE, .member = (uint16_t)(from + 1)}};
    if (chance(cluster, cluster->late)) {
        parcel->due_ms = cluster->now_ms + 1 + draw(cluster, LATE_MS_MAX);
        parcel->next = delayed;
        delayed = parcel;
        return;
    }
    if (cluster->way_ms > 0) {
        struct cluster_parcel **at = &delayed;

        while (*at)
            at = &(*at)->next;
        parcel->due_ms = cluster->now_ms + cluster->way_ms;
        *at = parcel;
        return;
    }
    *parcels_end = parcel;
    parcels_end = &parcel->next;
}

void cluster_post(struct cluster *cluster, int from, const struct shard_send *send)
{
    cluster->statuses += send->message.type == WIRE_SHARD_STATUS_REPLY;
    cluster->snapshot_pieces += send->message.type == WIRE_SNAPSHOT;
    if (send->message.partition == WIRE_PARTITION_NODE) {
        take_control(cluster, from, send);
        return;
    }
    if (send->to.role == LINK_ROLE_ROUTER) {
        take_results(cluster, &send->message);
        return;
    }
    if (send->to.role == LINK_ROLE_ADMIN) {
        take_answer(cluster, &send->message);
        return;
    }
    if (cluster->cut[from] || cluster->cut[send->to.member - 1] ||
        !cluster->shards[send->to.member - 1] || chance(cluster, cluster->loss))
        return;
    if (send->message.type == WIRE_MOVED)
        note_moved(cluster, &send->message);
    send_parcel(cluster, from, send, false);
    if (chance(cluster, cluster->twice))
        send_parcel(cluster, from, send, false);
    if (chance(cluster, cluster->garbled))
        send_parcel(cluster, from, send, true);
}

/* What was late and is due. */
static void post_delayed(struct cluster *cluster)
{
    struct cluster_parcel **at = &delayed;

    while (*at) {
        struct cluster_parcel *parcel = *at;

        if (parcel->due_ms > cluster->now_ms) {
            at = &parcel->next;
            continue;
        }
        *at = parcel->next;
        parcel->next = NULL;
        *parcels_end = parcel;
        parcels_end = &parcel->next;
    }
}

struct cluster_parcel *cluster_parcel_next(struct cluster *cluster)
{
    struct cluster_parcel *parcel;

    post_delayed(cluster);
    parcel = parcels;
    if (parcel)
        parcels = parcel->next;
    if (!parcels)
        parcels_end = &parcels;
    return parcel;
}

void cluster_parcels_free(void)
{
    while (delayed) {
        struct cluster_parcel *parcel = delayed;

        delayed = parcel->next;
        free(parcel);
    }
}
