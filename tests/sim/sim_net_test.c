#include "tests/sim/sim_net.h"

#include <criterion/criterion.h>

#include "ring/wire.h"

#define LIFE  5u
#define TERM  7u
#define COUNT 200u

enum { SENDER = 1, RECEIVER = 2 };

struct heard {
    unsigned count;
    unsigned to_earlier;   /* for an earlier life of the receiver */
    unsigned from_earlier; /* of the sender */
    unsigned other;        /* what is neither of these, nor what was sent */
};

static void on_link(void *context, uint8_t peer, uint64_t link, bool by_us)
{
    (void)context;
    (void)peer;
    (void)link;
    (void)by_us;
}

static void on_message(void *context, struct sim_message *message, bool by_us)
{
    struct heard *heard = context;
    struct wire_cursor cursor;
    struct wire_raft raft;

    (void)by_us;
    wire_cursor_init(&cursor, message->message.body, message->message.body_size);
    while (!wire_cursor_done(&cursor)) {
        cr_assert(wire_get_raft(&cursor, &raft));
        heard->count++;
        if (raft.to_life < LIFE && raft.from_life == LIFE)
            heard->to_earlier++;
        else if (raft.from_life < LIFE && raft.to_life == LIFE)
            heard->from_earlier++;
        else if (raft.from_life != LIFE || raft.to_life != LIFE || raft.term != TERM)
            heard->other++;
    }
    sim_message_free(message);
}

static void send_one(struct sim_net *net, uint8_t kind)
{
    struct wire_raft raft = {.kind = kind,
                             .group = 3,
                             .from_member = SENDER,
                             .to_member = RECEIVER,
                             .from_life = LIFE,
                             .to_life = LIFE,
                             .term = TERM};
    struct link_message message = {.type = WIRE_RAFT};
    struct wire_buffer buffer = {0};

    wire_put_raft(&buffer, &raft);
    message.body = buffer.data;
    message.body_size = buffer.size;
    sim_net_send(net, SENDER, RECEIVER, true, 0, &message);
    wire_buffer_deinit(&buffer);
}

/* A later life is believed: it may be one that the receiver has yet to hear of. Made up, it would
 * lead in a term in which nobody was elected, or end a replica that nobody has removed. */
Test(sim_net, what_is_misrouted_is_of_an_earlier_life)
{
    struct heard heard = {0};
    struct sim_net_handler handler = {&heard, on_link, on_link, on_message};
    struct sim sim;
    struct sim_net *net;

    sim_init(&sim, 1, 0);
    sim.swarm = (struct sim_swarm){.delay_us = 100, .delay_us_max = 1000};
    net = sim_net_new(&sim);
    sim_net_start(net, SENDER, &handler);
    sim_net_start(net, RECEIVER, &handler);
    sim_net_dial(net, SENDER, RECEIVER);
    sim_run_until(&sim, SIM_SECOND);
    sim_net_misroute(net, SENDER, 1000000);
    for (unsigned i = 0; i < COUNT; i++)
        send_one(net, (uint8_t)(1 + i % 6));
    sim_run_until(&sim, 2 * SIM_SECOND);
    cr_assert_gt(heard.count, 2 * COUNT, "old ones come again");
    cr_assert_eq(heard.to_earlier + heard.from_earlier, COUNT);
    cr_assert_gt(heard.to_earlier, 0);
    cr_assert_gt(heard.from_earlier, 0);
    cr_assert_eq(heard.other, 0);
    sim_net_free(net);
    sim_deinit(&sim);
}

struct lives {
    unsigned first, again, other; /* the append that began LIFE - 1, and what else was sent to it */
};

static void on_message_of_lives(void *context, struct sim_message *message, bool by_us)
{
    struct lives *lives = context;
    struct wire_cursor cursor;
    struct wire_raft raft;

    (void)by_us;
    wire_cursor_init(&cursor, message->message.body, message->message.body_size);
    cr_assert(wire_get_raft(&cursor, &raft));
    if (raft.to_life == LIFE - 1 && raft.index == 0)
        *(lives->first == 0 ? &lives->first : &lives->again) += 1;
    else if (raft.to_life == LIFE - 1)
        lives->other++;
    sim_message_free(message);
}

static void send_append(struct sim_net *net, uint64_t life, uint64_t index)
{
    struct wire_raft raft = {.kind = 5,
                             .group = 3,
                             .from_member = SENDER,
                             .to_member = RECEIVER,
                             .from_life = LIFE,
                             .to_life = life,
                             .term = TERM,
                             .index = index};
    struct wire_buffer buffer = {0};

    wire_put_raft(&buffer, &raft);
    sim_net_send(
        net, SENDER, RECEIVER, true, 0,
        &(struct link_message){.type = WIRE_RAFT, .body = buffer.data, .body_size = buffer.size});
    wire_buffer_deinit(&buffer);
}

Test(sim_net, what_began_a_life_comes_again_when_that_is_over)
{
    struct lives lives = {0};
    struct sim_net_handler handler = {&lives, on_link, on_link, on_message_of_lives};
    struct sim sim;
    struct sim_net *net;

    sim_init(&sim, 1, 0);
    sim.swarm = (struct sim_swarm){.delay_us = 100, .delay_us_max = 1000, .kept_ppm = 200000};
    net = sim_net_new(&sim);
    sim_net_start(net, SENDER, &handler);
    sim_net_start(net, RECEIVER, &handler);
    sim_net_dial(net, SENDER, RECEIVER);
    sim_run_until(&sim, SIM_SECOND);
    for (unsigned i = 0; i < 3; i++)
        send_append(net, LIFE - 1, i);
    for (unsigned i = 0; i < COUNT; i++)
        send_append(net, LIFE, i);
    sim_run_until(&sim, 2 * SIM_SECOND);
    cr_assert_eq(lives.first, 1);
    cr_assert_gt(lives.again, COUNT / 20);
    cr_assert_eq(lives.other, 2, "it alone is kept");
    sim_net_free(net);
    sim_deinit(&sim);
}
