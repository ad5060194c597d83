/* Node loop: gossip's part of the control plane. */
#include "replication/node_loop_internal.h"

#include <string.h>

int loop_gossip_open(struct node_loop *loop)
{
    struct node_gossip_options options = {.signer = swim_signer_ed25519(loop->identity.secret_key)};

    memcpy(options.cluster, loop->options->ticket->cluster, sizeof options.cluster);
    memcpy(options.address, loop->address, sizeof options.address);
    return node_gossip_open(&loop->gossip, &options);
}

static void tell(const struct swim_change *change, uint8_t before)
{
    static const char *const reasons[] = {[SWIM_REASON_UNREACHED] = "unreached",
                                          [SWIM_REASON_TOLD] = "told",
                                          [SWIM_REASON_SILENT] = "silent",
                                          [SWIM_REASON_RECORD] = "record",
                                          [SWIM_REASON_ANSWERED] = "answered"};

    if (change->standing != before)
        loop_log(change->standing == SWIM_DEAD ? "warn" : "info", "member",
                 "member=%u is=%s why=%s", change->member, swim_standing_name(change->standing),
                 reasons[change->reason]);
}

static int step(struct node_loop *loop, struct node_gossip_event *event)
{
    struct node_gossip_effects effects;

    event->now_ms = loop_now_ms();
    event->random = loop_random();
    node_gossip_step(loop->gossip, event, &effects);
    for (size_t i = 0; i < effects.send_count; i++) {
        if (effects.sends[i].to.role == LINK_ROLE_NODE)
            loop_send_either(loop, &effects.sends[i]);
        else
            loop_send(loop, &effects.sends[i], 1);
    }
    for (size_t i = 0; i < effects.move_count; i++)
        loop_links_move(loop, &effects.moves[i]);
    for (size_t i = 0; i < effects.change_count; i++) {
        const struct swim_change *change = &effects.changes[i];

        if (change->counter != 0)
            loop_counters_heard(loop, change->member, change->counter);
        tell(change, loop->standings[change->member]);
        loop->standings[change->member] = change->standing;
    }
    if (effects.fatal)
        loop_log("error", "out_of_memory", "what=gossip");
    if (effects.fatal || effects.ahead_epoch == 0)
        return effects.fatal;
    return loop_step_node(
        loop, &(struct node_event){.kind = NODE_EVENT_EPOCH,
                                   .now_ms = event->now_ms,
                                   .from = {.role = LINK_ROLE_NODE, .member = effects.ahead},
                                   .epoch = effects.ahead_epoch});
}

int loop_gossip_map(struct node_loop *loop, const struct ringmap *map)
{
    return step(loop, &(struct node_gossip_event){
                          .kind = NODE_GOSSIP_MAP, .map = map, .self = node_member(loop->node)});
}

bool loop_gossip_takes(uint8_t type)
{
    return type == WIRE_GOSSIP || type == WIRE_LIVENESS_GET;
}

int loop_gossip_message(struct node_loop *loop, const struct inbox_item *item)
{
    return step(loop, &(struct node_gossip_event){.kind = NODE_GOSSIP_MESSAGE,
                                                  .from = item->from,
                                                  .message = &item->message});
}

int loop_gossip_tick(struct node_loop *loop)
{
    struct node_gossip_event event = {.kind = NODE_GOSSIP_TICK, .counter = loop_counters_own(loop)};

    loop_shards_load(loop, &event);
    return step(loop, &event);
}

void loop_gossip_leave(struct node_loop *loop)
{
    (void)step(loop, &(struct node_gossip_event){.kind = NODE_GOSSIP_LEAVE});
}

uint64_t loop_gossip_due_ms(const struct node_loop *loop)
{
    return loop_now_ms() + node_gossip_wait_ms(loop->gossip);
}
