/* link_nng against peers that do not keep the rules, while an honest link goes on working. */
#include "link_nng_end.h"

#include "ring/link_frame.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CROWD 1000

static struct ticket ticket;
static struct end node;
static struct end router;
static struct link *honest;
static uint64_t echoes;
static uint16_t port;

static void begin(void)
{
    end_listen(&node, 0);
    port = fabric_port(node.fabric);
    end_open(&router);
    honest = end_dial(&router, port, node.identity.public_key);
    end_wait(&router, &router.ups, 1);
    end_wait(&node, &node.ups, 1);
}

static void setup(void)
{
    memset(&ticket, 0x42, sizeof ticket);
    end_init(&node, &ticket, LINK_ROLE_NODE);
    end_init(&router, &ticket, LINK_ROLE_ROUTER);
    node.echo = true;
    echoes = 0;
}

/* The honest link still serves, over the connection it always had. */
static void serve(void)
{
    cr_assert_eq(end_send(honest, WIRE_OPS, echoes, 1000), 0);
    echoes += 1;
    end_wait(&router, &router.messages, echoes);
    cr_assert_eq(end_read(&router, &router.downs), 0);
}

static void hold(bool on)
{
    pthread_mutex_lock(&node.lock);
    node.hold = on;
    pthread_mutex_unlock(&node.lock);
}

/* A new honest peer still gets in. */
static void newcomer(void)
{
    struct end other;
    end_init(&other, &ticket, LINK_ROLE_ADMIN);
    end_open(&other);
    end_dial(&other, port, node.identity.public_key);
    end_wait(&other, &other.ups, 1);
    end_close(&other);
}

static void end_all(void)
{
    end_close(&router);
    end_close(&node);
}
TestSuite(link_nng_attack, .init = setup, .timeout = 120);

static size_t count_fds(void)
{
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    cr_assert_not_null(directory);
    while (readdir(directory) != NULL)
        count += 1;
    closedir(directory);
    return count;
}

Test(link_nng_attack, garbage_is_refused)
{
    begin();
    for (unsigned i = 0; i < CROWD; i++) {
        uint8_t garbage[600];
        randombytes_buf(garbage, sizeof garbage);
        garbage[0] = i % 3 == 0 ? 48 : garbage[0]; /* the one length that is read further */
        garbage[1] = i % 3 == 0 ? 0 : garbage[1];
        int fd = raw_connect(port);
        cr_assert(fd >= 0);
        (void)raw_write(fd, garbage, 1 + i % sizeof garbage);
        if (i % 2 == 0)
            raw_reset(fd);
        else
            close(fd);
        if (i % 100 == 0)
            serve();
    }
    serve();
    newcomer();
    end_all();
}

Test(link_nng_attack, half_open_crowd_is_bounded_and_does_not_lock_anybody_out)
{
    static int fds[CROWD];
    node.options.pending_max = 50;
    node.options.handshake_ms = 60000; /* nobody goes by himself */
    begin();
    size_t before = count_fds(), most = before + CROWD + 2 * 50 + 10;
    for (unsigned i = 0; i < CROWD; i++) {
        fds[i] = raw_connect(port);
        cr_assert(fds[i] >= 0);
        if (i % 100 == 0)
            serve();
    }
    serve();
    newcomer();
    newcomer();
    /* The crowd's own ends are open; the node's are at most twice pending_max, as soon as nng has
     * closed those that it was told to. */
    for (unsigned tries = 0; tries < 10000 && count_fds() > most; tries++)
        usleep(1000);
    cr_assert(count_fds() <= most, "%zu", count_fds() - before);
    for (unsigned i = 0; i < CROWD; i++)
        close(fds[i]);
    serve();
    end_all();
}

/* They have a ticket, or recordings of one's use, and stop half way. */
Test(link_nng_attack, half_done_handshakes_lock_nobody_out)
{
    static int fds[100];
    node.options.pending_max = 20;
    node.options.handshake_ms = 60000; /* nobody goes by himself */
    begin();
    for (unsigned i = 0; i < 100; i++) {
        struct raw_client client;
        uint8_t reply[2];
        bool sent = raw_first(&client, port, &ticket);
        fds[i] = client.fd;
        cr_assert(fds[i] >= 0);
        if (i < 20) /* it is heard before the next one comes */
            cr_assert(sent && recv(fds[i], reply, sizeof reply, MSG_WAITALL) == 2);
    }
    newcomer();
    newcomer();
    serve();
    for (unsigned i = 0; i < 100; i++)
        close(fds[i]);
    end_all();
}

Test(link_nng_attack, half_close_and_reset_storm_leaves_the_listener_alive)
{
    begin();
    for (unsigned i = 0; i < CROWD; i++) {
        int fd = raw_connect(port);
        cr_assert(fd >= 0);
        raw_reset(fd);
        if (i % 100 == 0) {
            serve();
            newcomer();
        }
    }
    serve();
    newcomer();
    end_all();
}

Test(link_nng_attack, slow_handshake_ends)
{
    node.options.handshake_ms = 300;
    begin();
    int silent = raw_connect(port);
    int slow = raw_connect(port);
    cr_assert(silent >= 0 && slow >= 0);
    /* 48 bytes of a first message, a byte every 20 ms: more than the time there is */
    static const uint8_t bytes[2 + 48] = {48};
    for (unsigned i = 0; i < sizeof bytes - 1; i++) {
        if (!raw_write(slow, bytes + i, 1))
            break;
        usleep(20000);
    }
    cr_assert(raw_wait_closed(slow));
    cr_assert(raw_wait_closed(silent));
    close(slow);
    close(silent);
    serve();
    end_all();
}

Test(link_nng_attack, first_message_with_a_wrong_length_is_closed_at_once)
{
    begin();
    static const uint8_t lengths[][2] = {{0xff, 0xff}, {0, 0}, {47, 0}, {49, 0}, {'G', 'E'}};
    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        int fd = raw_connect(port);
        cr_assert(raw_write(fd, lengths[i], 2));
        cr_assert(raw_wait_closed(fd));
        close(fd);
    }
    serve();
    end_all();
}

Test(link_nng_attack, replayed_first_message_gets_no_answer)
{
    struct raw_client client;
    char text[160];
    begin();
    cr_assert(raw_handshake(&client, port, &ticket));
    int fd = raw_connect(port);
    cr_assert(raw_write(fd, client.first, client.first_size));
    uint8_t byte;
    ssize_t got = read(fd, &byte, 1);
    cr_assert(got <= 0, "not a byte comes back");
    end_wait(&node, &node.refusals, 1);
    end_text(&node, node.refused, text);
    cr_assert_not_null(strstr(text, "seen before"), "%s", text);
    close(fd);
    close(client.fd);
    serve();
    end_all();
}

Test(link_nng_attack, outsider_gets_no_answer)
{
    struct raw_client client;
    begin();
    cr_assert_not(raw_handshake(&client, port, NULL));
    close(client.fd);
    serve();
    end_all();
}

static void expect_broken(struct raw_client *client, const char *why)
{
    char text[160];
    cr_assert(raw_wait_closed(client->fd));
    end_wait(&node, &node.downs, 1);
    end_text(&node, node.why, text);
    cr_assert_not_null(strstr(text, why), "%s", text);
    close(client->fd);
    serve();
    end_all();
}

Test(link_nng_attack, packet_of_an_impossible_length_ends_the_link)
{
    struct raw_client client;
    begin();
    cr_assert(raw_handshake(&client, port, &ticket));
    static const uint8_t length[4] = {0xff, 0xff, 0xff, 0x7f};
    cr_assert(raw_write(client.fd, length, sizeof length));
    expect_broken(&client, "impossible size");
}

Test(link_nng_attack, packet_that_was_not_sealed_ends_the_link)
{
    struct raw_client client;
    begin();
    cr_assert(raw_handshake(&client, port, &ticket));
    static const uint8_t packet[4 + 100] = {100};
    cr_assert(raw_write(client.fd, packet, sizeof packet));
    expect_broken(&client, "altered");
}

Test(link_nng_attack, frame_longer_than_its_packet_ends_the_link)
{
    struct raw_client client;
    begin();
    cr_assert(raw_handshake(&client, port, &ticket));
    static const uint8_t plain[16] = {0xff, 0xff, 3, 0, WIRE_OPS};
    cr_assert(raw_packet(&client, plain, sizeof plain));
    expect_broken(&client, "malformed");
}

Test(link_nng_attack, credit_for_what_was_never_sent_ends_the_link)
{
    struct raw_client client;
    begin();
    cr_assert(raw_handshake(&client, port, &ticket));
    static const uint8_t plain[32] = {16, 0, 0, 0, WIRE_CREDIT, [16] = 1};
    cr_assert(raw_packet(&client, plain, sizeof plain));
    expect_broken(&client, "impossible credit");
}

Test(link_nng_attack, data_beyond_the_credit_ends_the_link)
{
    struct raw_client client;
    node.options.credit_messages = 100;
    begin();
    cr_assert(raw_handshake(&client, port, &ticket));
    end_wait(&node, &node.ups, 2);
    hold(true);
    for (unsigned i = 0; i < 101; i++) {
        uint8_t plain[16] = {0, 0, 0, 0, WIRE_OPS, 0, 0, 0, (uint8_t)i};
        cr_assert(raw_packet(&client, plain, sizeof plain));
    }
    cr_assert(raw_wait_closed(client.fd));
    end_wait(&node, &node.downs, 1);
    cr_assert_eq(end_read(&node, &node.messages), 100);
    close(client.fd);
    end_all();
}

Test(link_nng_attack, control_that_nobody_gets_round_to_is_bounded)
{
    struct raw_client client;
    node.options.credit_messages = 1000;
    node.options.control_messages = 500;
    begin();
    cr_assert(raw_handshake(&client, port, &ticket));
    end_wait(&node, &node.ups, 2);
    hold(true);
    static uint8_t plain[16 * 100];
    for (unsigned i = 0; i < 100; i++)
        plain[16 * i + 4] = WIRE_BEAT;
    for (unsigned i = 0; i < 15; i++)
        cr_assert(raw_packet(&client, plain, sizeof plain));
    end_wait(&node, &node.controls, 1500);
    cr_assert_eq(end_read(&node, &node.downs), 0, "so many may wait");
    (void)raw_packet(&client, plain, sizeof plain);
    cr_assert(raw_wait_closed(client.fd));
    end_wait(&node, &node.downs, 1);
    cr_assert_eq(end_read(&node, &node.controls), 1500);
    hold(false);
    close(client.fd);
    serve();
    end_all();
}

Test(link_nng_attack, control_that_is_worked_off_has_no_end)
{
    struct raw_client client;
    node.options.credit_messages = 1000;
    node.options.control_messages = 500;
    node.echo = false;
    begin();
    cr_assert(raw_handshake(&client, port, &ticket));
    static uint8_t plain[16 * 1000];
    for (unsigned i = 0; i < 1000; i++)
        plain[16 * i + 4] = WIRE_BEAT;
    for (unsigned i = 0; i < 20; i++)
        cr_assert(raw_packet(&client, plain, sizeof plain));
    end_wait(&node, &node.controls, 20000);
    cr_assert_eq(end_read(&node, &node.downs), 0);
    close(client.fd);
    end_all();
}

Test(link_nng_attack, message_over_what_the_host_takes_of_this_peer_ends_the_link)
{
    struct raw_client client;
    begin();
    cr_assert(raw_handshake(&client, port, &ticket));
    end_wait(&node, &node.ups, 2);
    link_set_message_max(end_link(&node), 1000);
    static uint8_t plain[16 + 1001] = {0xe9, 3, 0, 0, WIRE_BEAT};
    cr_assert(raw_packet(&client, plain, sizeof plain));
    expect_broken(&client, "over the limit");
}

Test(link_nng_attack, message_that_never_ends_ends_the_link)
{
    struct raw_client client;
    begin();
    cr_assert(raw_handshake(&client, port, &ticket));
    uint8_t *plain = calloc(1, LINK_FRAME_SIZE_MAX);
    struct link_frame frame = {
        .body_size = LINK_BODY_SIZE_MAX, .type = WIRE_MAP, .flags = LINK_FLAG_MORE};
    link_frame_put(&frame, plain);
    bool alive = true;
    for (unsigned i = 0; i < 200 && alive; i++)
        alive = raw_packet(&client, plain, LINK_FRAME_SIZE_MAX);
    cr_assert_not(alive, "it was cut off before 50 MiB");
    free(plain);
    expect_broken(&client, "over the limit");
}

Test(link_nng_attack, ping_flood_without_reading_stays_small)
{
    struct raw_client client;
    begin();
    cr_assert(raw_handshake(&client, port, &ticket));
    static uint8_t plain[16 * 1000];
    for (unsigned i = 0; i < 1000; i++)
        plain[16 * i + 4] = WIRE_PING;
    for (unsigned i = 0; i < 1000; i++)
        cr_assert(raw_packet(&client, plain, sizeof plain));
    serve();
    close(client.fd);
    end_all();
}

Test(link_nng_attack, links_over_the_limit_are_refused_and_a_place_gets_free_again)
{
    struct raw_client clients[4];
    node.options.links_max = 3;
    begin();
    cr_assert(raw_handshake(&clients[0], port, &ticket));
    cr_assert(raw_handshake(&clients[1], port, &ticket));
    cr_assert_not(raw_handshake(&clients[2], port, &ticket));
    end_wait(&node, &node.refusals, 1);
    close(clients[0].fd);
    close(clients[2].fd);
    end_wait(&node, &node.downs, 1);
    newcomer();
    close(clients[1].fd);
    serve();
    end_all();
}

Test(link_nng_attack, running_out_of_descriptors_pauses_accepting_and_no_more)
{
    struct rlimit limit, tight;
    static int fds[64];
    begin();
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    tight = limit;
    tight.rlim_cur = count_fds() + 8;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    unsigned count = 0;
    while (count < 64 && (fds[count] = raw_connect(port)) >= 0)
        count += 1;
    cr_assert(count < 64);
    serve();
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    newcomer();
    serve();
    end_all();
}
