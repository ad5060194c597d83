/* A router's links to nodes that come, die, refuse, and are somewhere else: what the router is told
 * of, and the counts that say whether it is locked out, agree at any time. Over loopback. */
#include "router/links_nng.h"

#include "ring/link_nng.h"
#include "ring/wire.h"
#include "router/lockout.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <criterion/criterion.h>
#include <sodium.h>

#define NODES      3u
#define PARTITIONS 8u
#define TIMEOUT_MS 30000u

/* A node of the cluster, from member 1. */
struct node {
    struct fabric *fabric; /* NULL: down */
    struct identity identity;
    uint16_t member;
    pthread_mutex_t lock;
    struct refusal refusal; /* kind 0: routers are let in */
    char address[LINKS_ADDRESS_SIZE];
};

static struct node nodes[NODES + 1];
static struct ticket ticket;
static struct ringmap map;
static pthread_mutex_t map_lock = PTHREAD_MUTEX_INITIALIZER;
static struct router *router;
static struct links *links;
static uint64_t now_ms;
/* What the router was told. */
static bool up[NODES + 1];
static uint32_t ups, downs, lockouts, let_ins;
static char locked_out[ROUTER_LOCKED_OUT_SIZE];
static char logged[64][LINKS_LOG_SIZE];
static uint32_t logged_count;

static void reply(struct link *link, uint8_t type, const struct wire_buffer *body)
{
    struct link_message message = {.type = type,
                                   .partition = WIRE_PARTITION_NODE,
                                   .body = body->data,
                                   .body_size = body->size};

    (void)link_send(link, &message, 1);
}

static bool on_up(void *context, struct link *link, const struct link_peer *peer)
{
    struct wire_hello hello = wire_hello_own(LINK_ROLE_NODE);
    struct node *node = context;
    struct wire_buffer body = {0};
    struct refusal refusal;

    (void)peer;
    pthread_mutex_lock(&node->lock);
    refusal = node->refusal;
    pthread_mutex_unlock(&node->lock);
    if (refusal.kind != REFUSAL_NONE) {
        link_refuse(link, &refusal);
        return false;
    }
    hello.member = node->member;
    hello.shards = 1;
    wire_put_hello(&body, &hello);
    reply(link, WIRE_HELLO, &body);
    wire_buffer_deinit(&body);
    return true;
}

static void on_message(void *context, struct link *link, const struct link_message *message)
{
    struct wire_buffer body = {0};

    (void)context;
    if (message->type == WIRE_MAP_GET) {
        pthread_mutex_lock(&map_lock);
        ringmap_encode(&map, wire_put_bin_space(&body, ringmap_encoded_size(&map)));
        pthread_mutex_unlock(&map_lock);
        reply(link, WIRE_MAP, &body);
    }
    link_consumed(link, message->body_size, 1);
    wire_buffer_deinit(&body);
}

static void node_start(struct node *node)
{
    struct fabric_options options = {.identity = &node->identity,
                                     .ticket = &ticket,
                                     .role = LINK_ROLE_NODE,
                                     .context = node,
                                     .on_up = on_up,
                                     .on_message = on_message};

    cr_assert_eq(fabric_open(&node->fabric, &options), 0);
    cr_assert_eq(fabric_listen(node->fabric, node->address), 0);
    snprintf(node->address, sizeof node->address, "127.0.0.1:%u", fabric_port(node->fabric));
}

static void node_stop(struct node *node)
{
    if (node->fabric)
        fabric_close(node->fabric);
    node->fabric = NULL;
}

static void node_refuse(struct node *node, uint8_t kind)
{
    pthread_mutex_lock(&node->lock);
    node->refusal = (struct refusal){.kind = kind, .number = 1700000000000u};
    pthread_mutex_unlock(&node->lock);
}

static void change_map(uint16_t member, uint8_t state)
{
    pthread_mutex_lock(&map_lock);
    map.epoch++;
    map.members[member - 1].state = state;
    snprintf(map.members[member - 1].address, RINGMAP_ADDRESS_SIZE, "%.*s",
             (int)RINGMAP_ADDRESS_SIZE - 1, nodes[member].address);
    pthread_mutex_unlock(&map_lock);
}

static void step(void *context, struct router_event *event)
{
    (void)context;
    event->now_ms = now_ms;
    event->wall_ms = 1700000000000u + now_ms;
    if (event->kind == ROUTER_EVENT_LINK_UP || event->kind == ROUTER_EVENT_LINK_DOWN) {
        bool comes = event->kind == ROUTER_EVENT_LINK_UP;

        cr_assert(event->member >= 1 && event->member <= NODES, "no seed is told of");
        cr_assert_neq(up[event->member], comes, "member %u: %d twice", event->member, comes);
        up[event->member] = comes;
        ups += comes;
        downs += !comes;
    } else if (event->kind == ROUTER_EVENT_LOCKED_OUT) {
        cr_assert_neq(event->size > 0, locked_out[0] != 0, "it is told when it changes");
        memcpy(locked_out, event->bytes ? (const char *)event->bytes : "", event->size);
        locked_out[event->size] = 0;
        lockouts += event->size > 0;
        let_ins += event->size == 0;
    }
    router_step(router, event);
}

static void wake(void *context)
{
    (void)context; /* the test drains by itself */
}

static void note_log(void *context, const char *level, const char *line)
{
    (void)context;
    (void)level;
    if (logged_count < sizeof logged / sizeof *logged)
        snprintf(logged[logged_count++], sizeof logged[0], "%s", line);
}

static bool has_logged(const char *text)
{
    for (uint32_t i = 0; i < logged_count; i++)
        if (strstr(logged[i], text))
            return true;
    return false;
}

/* The counts are those of what the router was told. */
static struct lockout count(void)
{
    struct lockout lockout;
    uint32_t told = 0, all = 0;

    links_count(links, &lockout);
    for (uint16_t member = 1; member <= NODES; member++)
        told += up[member];
    for (int attempt = 0; attempt < LOCKOUT_ATTEMPTS; attempt++)
        all += lockout.links[attempt];
    cr_assert_leq(told, lockout.up_count);
    cr_assert_leq(lockout.up_count, lockout.links[LOCKOUT_OPEN]);
    cr_assert_leq(all, 2 * NODES, "each is counted once");
    cr_assert_eq(lockout.reached, locked_out[0] != 0);
    cr_assert(!lockout.reached || told == 0);
    cr_assert_leq(downs, ups);
    cr_assert_eq(ups - downs, told);
    return lockout;
}

static uint64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Hosts the links until it is so. */
static void await(bool (*is_so)(void))
{
    uint64_t until_ms = clock_ms() + TIMEOUT_MS, refresh_ms = 0;

    for (;;) {
        now_ms = clock_ms();
        links_receive(links, 10);
        links_drain(links); /* what nng's threads have brought: refusals, links that come up */
        (void)count();
        if (is_so())
            return;
        cr_assert(now_ms < until_ms, "waited in vain");
        if (now_ms < refresh_ms)
            continue;
        refresh_ms = now_ms + LINKS_ASK_MS;
        links_refresh(links, now_ms);
    }
}

static void setup(void)
{
    cr_assert_geq(sodium_init(), 0);
    memset(&ticket, 0x42, sizeof ticket);
    cr_assert_eq(ringmap_init(&map, NODES, PARTITIONS, 1), 0);
    map.epoch = 1;
    memcpy(map.cluster, ticket.cluster, sizeof map.cluster);
    for (uint16_t member = 1; member <= NODES; member++) {
        struct node *node = &nodes[member];

        node->member = member;
        pthread_mutex_init(&node->lock, NULL);
        identity_generate(&node->identity);
        snprintf(node->address, sizeof node->address, "127.0.0.1:0");
        node_start(node);
        map.members[member - 1].id = member;
        map.members[member - 1].state = RINGMAP_STATE_ACTIVE;
        map.members[member - 1].weight = RINGMAP_WEIGHT_DEFAULT;
        memcpy(map.members[member - 1].public_key, node->identity.public_key, RINGMAP_KEY_SIZE);
        snprintf(map.members[member - 1].address, RINGMAP_ADDRESS_SIZE, "%s", node->address);
    }
    for (uint32_t p = 0; p < PARTITIONS; p++)
        map.replicas[p] = 1; /* the others may come and go */
    map.meta_voters[0] = 1;
    map.meta_voter_count = 1;
}

static void open_links(void)
{
    static const char *seeds[1];
    struct router_options router_options;
    struct links_options options = {
        .ticket = &ticket, .seeds = seeds, .seed_count = 1, .step = step, .wake = wake};

    seeds[0] = nodes[1].address;
    options.log = note_log;
    router_options_default(&router_options);
    router_options.session = 1;
    cr_assert_eq(router_new(&router, &router_options), 0);
    options.router = router;
    cr_assert_eq(links_open(&links, &options, clock_ms()), 0);
}

static void teardown(void)
{
    links_close(links);
    router_free(router);
    for (uint16_t member = 1; member <= NODES; member++)
        node_stop(&nodes[member]);
    ringmap_deinit(&map);
}
TestSuite(links_nng, .init = setup, .fini = teardown, .timeout = 120);

static bool all_up(void)
{
    return up[1] && up[2] && up[3];
}

/* Every link is one to a member, and up: the seed's was let go. */
static bool all_is_well(void)
{
    struct lockout lockout = count();

    return all_up() && lockout.up_count == NODES && lockout.links[LOCKOUT_OPEN] == NODES;
}

static bool second_is_down(void)
{
    return !up[2];
}

static bool none_is_up(void)
{
    return count().up_count == 0;
}

static bool is_locked_out(void)
{
    return locked_out[0] != 0;
}

static bool is_let_in(void)
{
    return locked_out[0] == 0;
}

Test(links_nng, a_seed_leads_to_all_members_and_is_let_go)
{
    open_links();
    await(all_is_well);
    cr_assert_eq(ups, NODES);
    cr_assert_eq(lockouts, 0);
}

Test(links_nng, links_that_die_and_come_back_leave_the_counts_as_they_were)
{
    open_links();
    await(all_is_well);
    for (unsigned i = 1; i <= 5; i++) {
        node_stop(&nodes[2]);
        await(second_is_down);
        cr_assert_eq(count().up_count, NODES - 1);
        node_start(&nodes[2]);
        await(all_is_well);
        cr_assert_eq(ups, NODES + i);
        cr_assert_eq(downs, i);
    }
    cr_assert_eq(lockouts, 0);
}

Test(links_nng, a_node_that_refuses_beside_others_locks_nobody_out)
{
    open_links();
    await(all_is_well);
    node_refuse(&nodes[2], REFUSAL_REVOKED);
    node_stop(&nodes[2]);
    await(second_is_down);
    node_start(&nodes[2]);
    for (unsigned i = 0; i < 100; i++)
        await(second_is_down);
    cr_assert_eq(lockouts, 0);
    node_refuse(&nodes[2], REFUSAL_NONE);
    await(all_is_well);
}

Test(links_nng, a_router_that_is_refused_says_why_at_once_and_recovers_by_itself)
{
    for (uint16_t member = 1; member <= NODES; member++)
        node_refuse(&nodes[member], REFUSAL_SPENT);
    open_links();
    await(is_locked_out);
    cr_assert(strstr(locked_out, "the ticket is spent"), "%s", locked_out);
    cr_assert(strstr(locked_out, "ring-admin ticket new --role router"), "%s", locked_out);
    cr_assert(has_logged("event=locked_out why=\"the ticket is spent"));
    for (uint16_t member = 1; member <= NODES; member++)
        node_refuse(&nodes[member], REFUSAL_NONE);
    await(is_let_in);
    cr_assert(has_logged("event=let_in"));
    await(all_is_well);
    cr_assert_eq(lockouts, 1);
    cr_assert_eq(let_ins, 1);
}

/* Of nodes that are down nobody knows whether they would refuse. */
Test(links_nng, a_lockout_ends_when_nobody_is_there_to_refuse)
{
    for (uint16_t member = 1; member <= NODES; member++)
        node_refuse(&nodes[member], REFUSAL_REVOKED);
    open_links();
    await(is_locked_out);
    for (uint16_t member = 1; member <= NODES; member++)
        node_stop(&nodes[member]);
    await(is_let_in);
    cr_assert(none_is_up());
    cr_assert(has_logged("event=refused_no_more"));
    for (uint16_t member = 1; member <= NODES; member++)
        node_start(&nodes[member]);
    await(is_locked_out);
    cr_assert_eq(lockouts, 2);
}

Test(links_nng, refusals_that_pass_lock_nobody_out)
{
    for (uint16_t member = 1; member <= NODES; member++)
        node_refuse(&nodes[member], REFUSAL_CROWD);
    open_links();
    for (unsigned i = 0; i < 50; i++)
        await(none_is_up);
    cr_assert_eq(lockouts, 0);
    for (uint16_t member = 1; member <= NODES; member++)
        node_refuse(&nodes[member], REFUSAL_NONE);
    await(all_is_well);
}

static bool second_is_let_go(void)
{
    struct lockout lockout = count();

    return !up[2] && lockout.links[LOCKOUT_OPEN] == NODES - 1 && lockout.up_count == NODES - 1;
}

Test(links_nng, a_member_that_is_removed_is_no_link_any_more)
{
    open_links();
    await(all_is_well);
    change_map(2, RINGMAP_STATE_REMOVED);
    await(second_is_let_go);
    cr_assert_eq(downs, 1);
    node_stop(&nodes[2]);
    for (unsigned i = 0; i < 30; i++)
        await(second_is_let_go);
    cr_assert_eq(downs, 1, "its end is no news");
}

Test(links_nng, who_is_joining_is_not_dialled_before_it_takes_part)
{
    map.members[1].state = RINGMAP_STATE_JOINING;
    open_links();
    await(second_is_let_go);
    for (unsigned i = 0; i < 30; i++)
        await(second_is_let_go);
    change_map(2, RINGMAP_STATE_ACTIVE);
    await(all_is_well);
    cr_assert_eq(ups, NODES);
}

Test(links_nng, a_member_at_another_address_is_dialled_there)
{
    open_links();
    await(all_is_well);
    node_stop(&nodes[2]);
    await(second_is_down);
    snprintf(nodes[2].address, sizeof nodes[2].address, "127.0.0.1:0");
    node_start(&nodes[2]);
    change_map(2, RINGMAP_STATE_ACTIVE);
    await(all_is_well);
    cr_assert_eq(ups, NODES + 1);
}
