#include "swim_net.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

static void check(bool right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "swim_net: %s\n", what);
    abort();
}

/* Stands for a signature where 1,000 nodes would make too many: whoever knows the public key can
 * make one, which no test with it tries. */
static void sign_cheaply(const void *context, const uint8_t *bytes, size_t size,
                         uint8_t signature[SWIM_SIGNATURE_SIZE])
{
    const struct identity *identity = context;

    memset(signature, 0, SWIM_SIGNATURE_SIZE);
    crypto_shorthash(signature, bytes, size, identity->public_key);
}

static bool verify_cheaply(const void *context, const uint8_t public_key[RINGMAP_KEY_SIZE],
                           const uint8_t *bytes, size_t size,
                           const uint8_t signature[SWIM_SIGNATURE_SIZE])
{
    uint8_t expected[crypto_shorthash_BYTES];

    (void)context;
    crypto_shorthash(expected, bytes, size, public_key);
    return memcmp(expected, signature, sizeof expected) == 0;
}

static void carry(struct swim_net *net, uint16_t from, const struct swim_send *send)
{
    struct swim_net_packet *packet;
    uint64_t delay_ms =
        net->delay_ms_min + dice_below(&net->dice, net->delay_ms_max - net->delay_ms_min + 1);
    struct swim_net_packet **bucket =
        &net->buckets[(net->now_ms + (delay_ms ? delay_ms : 1)) % SWIM_NET_BUCKETS];

    wire_buffer_clear(&net->buffer);
    swim_put_packet(&net->buffer, &send->packet);
    check(!net->buffer.failed && net->buffer.size <= send->size, "a packet is as large as said");
    net->packets++;
    net->bytes += net->buffer.size;
    if (send->packet.kind < SWIM_SYNC && net->buffer.size > net->packet_size_max)
        net->packet_size_max = (uint32_t)net->buffer.size;
    if (dice_below(&net->dice, 1000) < net->loss_permille ||
        (net->passes && !net->passes(net, from, send->to)))
        return;
    packet = malloc(sizeof *packet + net->buffer.size);
    check(packet, "there is memory");
    packet->from = from;
    packet->to = send->to;
    packet->size = (uint32_t)net->buffer.size;
    memcpy(packet->bytes, net->buffer.data, net->buffer.size);
    packet->next = *bucket;
    *bucket = packet;
}

static void step(struct swim_net *net, uint32_t index, struct swim_event *event)
{
    struct swim_net_node *node = &net->nodes[index];

    event->now_ms = net->now_ms;
    event->random = dice_next(&net->dice);
    swim_step(&node->swim, event, net->effects);
    for (uint32_t i = 0; i < net->effects->send_count; i++)
        carry(net, (uint16_t)(index + 1), &net->effects->sends[i]);
    for (uint32_t i = 0; i < net->effects->change_count; i++) {
        const struct swim_change *change = &net->effects->changes[i];

        if (!net->nodes[change->member - 1].up)
            continue;
        net->suspicions += change->standing == SWIM_SUSPECT;
        if (change->standing == SWIM_DEAD) {
            net->accusations++;
            net->accused = change->member;
            net->nodes[change->member - 1].accusations++;
        }
    }
    node->tick_ms = net->now_ms + swim_wait_ms(&node->swim);
}

static void give_map(struct swim_net *net, uint32_t index, uint16_t without)
{
    struct swim_map_member *members = calloc(net->count, sizeof *members);
    struct swim_event event = {.kind = SWIM_EVENT_MAP, .epoch = net->epoch, .members = members};

    check(members, "there is memory");
    for (uint32_t i = 0; i < net->members; i++)
        if (i + 1 != without)
            members[event.member_count++] = (struct swim_map_member){
                .id = (uint16_t)(i + 1), .public_key = net->nodes[i].identity.public_key};
    step(net, index, &event);
    free(members);
}

void swim_net_tell(struct swim_net *net, uint32_t index)
{
    struct swim_event event = {.kind = SWIM_EVENT_LOCAL, .local = &net->nodes[index].local};

    step(net, index, &event);
}

static void start(struct swim_net *net, uint32_t index)
{
    struct swim_net_node *node = &net->nodes[index];

    net->options.self = (uint16_t)(index + 1);
    net->options.signer.context = net->options.signer.verify == verify_cheaply
                                      ? (const void *)&node->identity
                                      : node->identity.secret_key;
    check(swim_init(&node->swim, &net->options) == 0, "the options are good");
    node->up = true;
    node->stalled_ms = 0;
    give_map(net, index, 0);
    swim_net_tell(net, index);
    node->tick_ms = net->now_ms + dice_below(&net->dice, net->options.period_ms);
}

void swim_net_init(struct swim_net *net, uint32_t count, uint64_t seed, bool real)
{
    check(sodium_init() >= 0, "libsodium works");
    *net = (struct swim_net){.count = count,
                             .members = count,
                             .epoch = 1,
                             .dice = {seed},
                             .now_ms = 1000,
                             .delay_ms_min = 1,
                             .delay_ms_max = 10};
    swim_options_default(&net->options);
    net->options.members_max = count;
    memset(net->options.cluster, 7, sizeof net->options.cluster);
    net->options.signer =
        real ? swim_signer_ed25519(NULL)
             : (struct swim_signer){.sign = sign_cheaply, .verify = verify_cheaply};
    net->nodes = calloc(count, sizeof *net->nodes);
    net->effects = calloc(1, sizeof *net->effects);
    net->items = calloc(SWIM_ITEMS_MAX, sizeof *net->items);
    check(net->nodes && net->effects && net->items, "there is memory");
    for (uint32_t i = 0; i < count; i++) {
        uint8_t key[IDENTITY_SEED_SIZE];

        dice_fill(&net->dice, key, sizeof key);
        if (real)
            identity_from_seed(&net->nodes[i].identity, key);
        else
            memcpy(net->nodes[i].identity.public_key, key, sizeof key);
        snprintf(net->nodes[i].local.address, RINGMAP_ADDRESS_SIZE, "10.0.%u.%u:7000", i / 250,
                 i % 250 + 1);
        net->nodes[i].local.epoch = 1;
    }
    for (uint32_t i = 0; i < count; i++)
        start(net, i);
}

static void drop_all(struct swim_net_packet *packet)
{
    while (packet) {
        struct swim_net_packet *next = packet->next;

        free(packet);
        packet = next;
    }
}

void swim_net_deinit(struct swim_net *net)
{
    for (uint32_t i = 0; i < net->count; i++) {
        if (net->nodes[i].up)
            swim_deinit(&net->nodes[i].swim);
        drop_all(net->nodes[i].held);
    }
    for (size_t i = 0; i < SWIM_NET_BUCKETS; i++)
        drop_all(net->buckets[i]);
    wire_buffer_deinit(&net->buffer);
    free(net->nodes);
    free(net->effects);
    free(net->items);
}

void swim_net_give(struct swim_net *net, uint32_t index, uint16_t from,
                   const struct swim_packet *packet)
{
    step(net, index,
         &(struct swim_event){.kind = SWIM_EVENT_PACKET, .from = from, .packet = packet});
}

static void deliver(struct swim_net *net, struct swim_net_packet *packet)
{
    struct swim_packet decoded;

    check(swim_get_packet(packet->bytes, packet->size, &decoded, net->items) == SWIM_CODEC_E_OK,
          "what is sent can be read");
    swim_net_give(net, packet->to - 1u, packet->from, &decoded);
    free(packet);
}

static void arrive(struct swim_net *net)
{
    struct swim_net_packet **bucket = &net->buckets[net->now_ms % SWIM_NET_BUCKETS];

    while (*bucket) {
        struct swim_net_packet *packet = *bucket;
        struct swim_net_node *node = &net->nodes[packet->to - 1];

        *bucket = packet->next;
        packet->next = NULL;
        if (!node->up) {
            free(packet);
        } else if (node->stalled_ms > net->now_ms) {
            *node->held_end = packet;
            node->held_end = &packet->next;
        } else {
            deliver(net, packet);
        }
    }
}

static void wake(struct swim_net *net, uint32_t index)
{
    struct swim_net_node *node = &net->nodes[index];

    while (node->held) {
        struct swim_net_packet *packet = node->held;

        node->held = packet->next;
        deliver(net, packet);
    }
}

static void pass_ms(struct swim_net *net)
{
    net->now_ms++;
    arrive(net);
    for (uint32_t i = 0; i < net->count; i++) {
        struct swim_net_node *node = &net->nodes[i];

        if (!node->up || node->stalled_ms > net->now_ms || node->tick_ms > net->now_ms)
            continue;
        step(net, i, &(struct swim_event){.kind = SWIM_EVENT_TICK});
        if (node->held)
            wake(net, i);
    }
}

void swim_net_run(struct swim_net *net, uint64_t ms)
{
    for (uint64_t i = 0; i < ms; i++)
        pass_ms(net);
    if (net->nodes[net->now_ms % net->count].up)
        swim_check(&net->nodes[net->now_ms % net->count].swim);
}

uint64_t swim_net_until(struct swim_net *net, uint64_t ms_max,
                        bool (*done)(const struct swim_net *net))
{
    uint64_t start_ms = net->now_ms;
    uint64_t step_ms = net->count > 100 ? net->options.period_ms / 3 : 1;

    while (!done(net)) {
        if (net->now_ms - start_ms >= ms_max)
            return ms_max + 1;
        swim_net_run(net, step_ms);
    }
    return net->now_ms - start_ms;
}

void swim_net_crash(struct swim_net *net, uint32_t index)
{
    struct swim_net_node *node = &net->nodes[index];

    node->up = false;
    swim_deinit(&node->swim);
    drop_all(node->held);
    node->held = NULL;
}

void swim_net_restart(struct swim_net *net, uint32_t index)
{
    start(net, index);
}

void swim_net_stall(struct swim_net *net, uint32_t index, uint64_t ms)
{
    struct swim_net_node *node = &net->nodes[index];

    node->stalled_ms = net->now_ms + ms;
    node->tick_ms = node->stalled_ms;
    if (!node->held)
        node->held_end = &node->held;
}

void swim_net_remove(struct swim_net *net, uint16_t member)
{
    net->epoch++;
    for (uint32_t i = 0; i < net->members; i++)
        if (net->nodes[i].up && i + 1 != member)
            give_map(net, i, member);
}

/* Searching by id costs too much when all look at all. */
static const struct swim_member *view_of(const struct swim_net *net, uint32_t viewer,
                                         uint32_t index)
{
    const struct swim *swim = &net->nodes[viewer].swim;

    if (index < swim->member_count && swim->members[swim->by_id[index]].id == index + 1)
        return &swim->members[swim->by_id[index]];
    return swim_find(swim, (uint16_t)(index + 1));
}

uint8_t swim_net_standing(const struct swim_net *net, uint32_t viewer, uint32_t index)
{
    const struct swim_member *member = view_of(net, viewer, index);

    check(member, "it is in the map");
    return member->standing;
}

uint32_t swim_net_holders(const struct swim_net *net, uint32_t index, uint8_t standing)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < net->count; i++)
        count += i != index && net->nodes[i].up && swim_net_standing(net, i, index) == standing;
    return count;
}

static bool has_newest(const struct swim_net *net, uint32_t viewer, uint32_t index)
{
    const struct swim_member *self = view_of(net, index, index);
    const struct swim_member *seen = view_of(net, viewer, index);

    return seen && seen->record_size > 0 && seen->incarnation == self->incarnation &&
           seen->sequence == self->sequence && seen->standing == self->standing;
}

bool swim_net_converged(const struct swim_net *net)
{
    for (uint32_t i = 0; i < net->count; i++)
        for (uint32_t j = 0; net->nodes[i].up && j < net->count; j++)
            if (net->nodes[j].up && !has_newest(net, i, j))
                return false;
    return true;
}
