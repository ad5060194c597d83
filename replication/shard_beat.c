#include "replication/shard_internal.h"

#include <errno.h>

/* A follower has what the leader says every replica has: it need not keep it as log. */
static void retain(struct shard *shard, struct replica *replica, uint64_t first)
{
    struct raft_event event = {.kind = RAFT_EVENT_RETAIN};

    if (first > replica->raft.applied + 1)
        first = replica->raft.applied + 1;
    if (first <= replica->raft.log.first)
        return;
    event.index = first;
    shard_raft_event(shard, replica, &event);
    store_retain(shard->store, replica->partition, replica->raft.log.first);
}

void shard_beat_frame(struct shard *shard, uint16_t member, const struct link_message *message)
{
    struct wire_buffer acks = {0};
    struct wire_cursor cursor;
    struct wire_beat beat;
    struct wire_beat_head head;
    uint16_t group = 0;
    bool any = false;

    wire_cursor_init(&cursor, message->body, message->body_size);
    if (!wire_get_beat_head(&cursor, &head) || head.from != member)
        return;
    shard->peers[member].full = head.full;
    wire_put_beat_head(&acks, &(struct wire_beat_head){.from = shard->options.self,
                                                       .round = head.round,
                                                       .full = store_disk_full(shard->store)});
    while (!wire_cursor_done(&cursor) && wire_get_beat(&cursor, &beat, false)) {
        struct replica *replica = shard_replica(shard, beat.group);
        struct raft_event event = {.kind = RAFT_EVENT_BEAT,
                                   .from = {member, beat.from_life},
                                   .to_life = beat.to_life,
                                   .term = beat.term,
                                   .commit = beat.commit,
                                   .round = head.round};

        if (!replica || replica->fenced)
            continue;
        shard_raft_event(shard, replica, &event);
        if (!shard->beat_accepted)
            continue;
        retain(shard, replica, beat.first);
        wire_put_beat(&acks,
                      &(struct wire_beat){.group = beat.group,
                                          .from_life = beat.to_life,
                                          .to_life = beat.from_life,
                                          .term = beat.term},
                      true);
        group = beat.group;
        any = true;
    }
    if (any && shard->peers[member].up)
        shard_out(shard, shard_to_member(member), WIRE_BEAT_ACK,
                  shard_out_route(shard, member, group), 0, &acks);
    wire_buffer_deinit(&acks);
}

void shard_beat_ack_frame(struct shard *shard, uint16_t member, const struct link_message *message)
{
    struct wire_cursor cursor;
    struct wire_beat beat;
    struct wire_beat_head head;

    wire_cursor_init(&cursor, message->body, message->body_size);
    if (!wire_get_beat_head(&cursor, &head) || head.from != member)
        return;
    shard->peers[member].full = head.full;
    while (!wire_cursor_done(&cursor) && wire_get_beat(&cursor, &beat, true)) {
        struct replica *replica = shard_replica(shard, beat.group);
        struct raft_event event = {.kind = RAFT_EVENT_BEAT_ACK,
                                   .from = {member, beat.from_life},
                                   .to_life = beat.to_life,
                                   .term = beat.term,
                                   .round = head.round};

        if (replica)
            shard_raft_event(shard, replica, &event);
    }
}

static void beat_replica(struct shard *shard, struct replica *replica)
{
    const struct raft *raft = &replica->raft;

    replica->beat_wanted = false;
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct raft_progress *peer = &raft->peers[i];
        struct wire_buffer *buffer;

        if (peer->replica.member == shard->options.self)
            continue;
        buffer = shard_out_beat(shard, peer->replica.member, replica->partition);
        if (!buffer)
            continue;
        wire_put_beat(buffer,
                      &(struct wire_beat){
                          .group = replica->partition,
                          .from_life = raft->options.self.life,
                          .to_life = peer->replica.life,
                          .term = raft->term,
                          .commit = raft->commit < peer->match ? raft->commit : peer->match,
                          .first = replica->first_needed,
                      },
                      false);
    }
}

/* One frame a node pair for all groups that led here and have a read waiting - or all of them,
 * each heartbeat_ms. */
void shard_beats_build(struct shard *shard)
{
    bool due = shard->now_ms >= shard->beat_due_ms;
    bool any = false;

    for (size_t i = 0; i < shard->hosted_count; i++) {
        struct replica *replica = shard->hosted[i];

        if (replica->raft.role != RAFT_LEADER || replica->fenced || !(due || replica->beat_wanted))
            continue;
        if (!any)
            shard->round++;
        any = true;
        beat_replica(shard, replica);
    }
    if (due)
        shard->beat_due_ms = shard->now_ms + shard->options.heartbeat_ms;
}
