#include "replication/shard_internal.h"
#include "ring/mix.h"

#include <assert.h>
#include <errno.h>

/* An entry larger than a message would never reach a follower, nor anything behind it. */
_Static_assert(COMMAND_ENTRY_SIZE_MAX + SHARD_FRAME_SIZE + (64u << 10) <= LINK_MESSAGE_SIZE_MAX,
               "a frame takes any entry");

struct shard_address shard_to_member(uint16_t member)
{
    return (struct shard_address){.role = LINK_ROLE_NODE, .member = member};
}

/* Over the bits that events bring: reproducible, and never drawn here. */
uint64_t shard_random(struct shard *shard)
{
    return mix_next(&shard->random);
}

static struct wire_buffer spare_take(struct shard *shard)
{
    if (shard->spare_count == 0)
        return (struct wire_buffer){0};
    return shard->spare[--shard->spare_count];
}

static void spare_give(struct shard *shard, struct wire_buffer *buffer)
{
    if (shard->spare_count == SHARD_SENDS_MAX || buffer->capacity > 4 * SHARD_FRAME_SIZE) {
        wire_buffer_deinit(buffer);
        return;
    }
    wire_buffer_clear(buffer);
    shard->spare[shard->spare_count++] = *buffer;
    *buffer = (struct wire_buffer){0};
}

void shard_out(struct shard *shard, struct shard_address to, uint8_t type, uint16_t partition,
               uint64_t correlation, struct wire_buffer *body)
{
    struct shard_outgoing *outgoing;

    if (body->failed || !(outgoing = fifo_push(&shard->outgoing))) {
        shard->fatal = -ENOMEM;
        wire_buffer_clear(body);
        return;
    }
    outgoing->to = to;
    outgoing->type = type;
    outgoing->partition = partition;
    outgoing->correlation = correlation;
    outgoing->body = *body;
    *body = spare_take(shard);
}

static uint16_t peer_shard(const struct shard_peer *peer, uint16_t group)
{
    return (uint16_t)(group == STORE_PARTITION_META ? 0 : group % peer->shards);
}

uint16_t shard_out_route(const struct shard *shard, uint16_t member, uint16_t group)
{
    return peer_shard(&shard->peers[member], group);
}

static void out_peer(struct shard *shard, uint16_t member, uint8_t type, uint16_t number,
                     struct wire_buffer *body)
{
    shard_out(shard, shard_to_member(member), type, number, 0, body);
}

struct wire_buffer *shard_out_raft(struct shard *shard, uint16_t member, uint16_t group)
{
    struct shard_peer *peer = &shard->peers[member];
    struct wire_buffer *buffer;

    if (!peer->up)
        return NULL;
    buffer = &peer->raft[peer_shard(peer, group)];
    if (buffer->size > SHARD_FRAME_SIZE)
        out_peer(shard, member, WIRE_RAFT, peer_shard(peer, group), buffer);
    return buffer;
}

struct wire_buffer *shard_out_beat(struct shard *shard, uint16_t member, uint16_t group)
{
    struct shard_peer *peer = &shard->peers[member];
    struct wire_buffer *buffer;

    if (!peer->up)
        return NULL;
    buffer = &peer->beat[peer_shard(peer, group)];
    if (buffer->size == 0)
        wire_put_beat_head(buffer, &(struct wire_beat_head){.from = shard->options.self,
                                                            .round = shard->round,
                                                            .full = store_disk_full(shard->store)});
    return buffer;
}

void shard_out_finish(struct shard *shard)
{
    for (uint16_t member = 1; member <= shard->member_count; member++) {
        struct shard_peer *peer = &shard->peers[member];

        for (uint16_t number = 0; peer->up && number < peer->shards; number++) {
            if (peer->beat[number].size > 0)
                out_peer(shard, member, WIRE_BEAT, number, &peer->beat[number]);
            if (peer->raft[number].size > 0)
                out_peer(shard, member, WIRE_RAFT, number, &peer->raft[number]);
        }
    }
    for (struct shard_client *client = shard->clients; client; client = client->next)
        if (client->results.size > 0)
            shard_out(shard, (struct shard_address){.role = client->role, .link = client->link},
                      WIRE_RESULTS, 0, 0, &client->results);
}

void shard_out_effects(struct shard *shard, struct shard_effects *effects)
{
    struct shard_outgoing *outgoing;

    assert(shard->sent_count == 0);
    while (effects->send_count < SHARD_SENDS_MAX && (outgoing = fifo_peek(&shard->outgoing))) {
        struct shard_send *send = &effects->sends[effects->send_count++];

        shard->sent[shard->sent_count++] = *outgoing;
        send->to = outgoing->to;
        send->message = (struct link_message){.type = outgoing->type,
                                              .partition = outgoing->partition,
                                              .correlation = outgoing->correlation,
                                              .body = outgoing->body.data,
                                              .body_size = outgoing->body.size};
        fifo_pop(&shard->outgoing);
    }
}

void shard_out_recycle(struct shard *shard)
{
    for (size_t i = 0; i < shard->sent_count; i++)
        spare_give(shard, &shard->sent[i].body);
    shard->sent_count = 0;
}

void shard_out_deinit(struct shard *shard)
{
    struct shard_outgoing *outgoing;

    shard_out_recycle(shard);
    while ((outgoing = fifo_peek(&shard->outgoing))) {
        wire_buffer_deinit(&outgoing->body);
        fifo_pop(&shard->outgoing);
    }
    fifo_deinit(&shard->outgoing);
    while (shard->spare_count > 0)
        wire_buffer_deinit(&shard->spare[--shard->spare_count]);
}
