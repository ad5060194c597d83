/* A fabric that opens to several tickets. */
#include "link_nng_end.h"

#include <criterion/criterion.h>

#include <string.h>

#define LINKS 25u /* more than a log hears of in a second or two */

static struct ticket ticket;
static struct end node;
static struct end router;

static void setup(void)
{
    memset(&ticket, 0x42, sizeof ticket);
    end_init(&node, &ticket, LINK_ROLE_NODE);
    end_init(&router, &ticket, LINK_ROLE_ROUTER);
}
TestSuite(link_nng_tickets, .init = setup, .timeout = 120);

/* The node opens to a secret and to tickets 1 … count, and offers the secret. */
static void open_to(struct tickets_candidate *candidates, uint32_t count)
{
    memset(candidates, 0, (count + 1) * sizeof *candidates);
    memcpy(candidates[0].psk, ticket.psk, TICKET_PSK_SIZE);
    candidates[0].generation = 9;
    for (uint32_t i = 1; i <= count; i++) {
        candidates[i].id = i;
        candidates[i].generation = 8;
        memset(candidates[i].psk, (int)i, TICKET_PSK_SIZE);
    }
    fabric_set_tickets(node.fabric, ticket.psk, candidates, count + 1);
}

Test(link_nng_tickets, the_host_learns_which_ticket_opened_the_link)
{
    struct tickets_candidate candidates[TICKETS_CANDIDATES_MAX];
    struct ticket own = ticket;
    end_listen(&node, 0);
    open_to(candidates, TICKETS_CANDIDATES_MAX - 1);
    for (uint32_t id = 0; id < TICKETS_CANDIDATES_MAX; id += 13) {
        struct end other;
        memcpy(own.psk, candidates[id].psk, TICKET_PSK_SIZE);
        end_init(&other, &own, LINK_ROLE_ROUTER);
        end_open(&other);
        end_dial(&other, fabric_port(node.fabric), node.identity.public_key);
        end_wait(&other, &other.ups, 1);
        end_wait(&node, &node.ups, 1 + id / 13);
        cr_assert_eq(node.peer.ticket, id);
        cr_assert_eq(node.peer.generation, id == 0 ? 9 : 8);
        cr_assert_eq(other.peer.ticket, 0, "dialled");
        end_close(&other);
    }
    end_close(&node);
}

Test(link_nng_tickets, a_ticket_that_was_taken_away_opens_no_more_and_its_link_stays_up)
{
    struct tickets_candidate candidates[4];
    struct ticket own = ticket;
    struct end late;
    memset(own.psk, 3, TICKET_PSK_SIZE);
    router.options.ticket = &own;
    end_listen(&node, 0);
    open_to(candidates, 3);
    end_open(&router);
    struct link *link = end_dial(&router, fabric_port(node.fabric), NULL);
    end_wait(&router, &router.ups, 1);
    end_wait(&node, &node.ups, 1);
    open_to(candidates, 2);
    end_init(&late, &own, LINK_ROLE_ROUTER);
    end_open(&late);
    end_dial(&late, fabric_port(node.fabric), NULL);
    end_wait(&late, &late.refusals, 1);
    end_wait(&node, &node.refusals, 2);
    cr_assert_eq(late.ups, 0);
    node.echo = true;
    cr_assert_eq(end_send(link, WIRE_OPS, 0, 100), 0);
    end_wait(&router, &router.messages, 1);
    end_close(&late);
    end_part(&node, &router);
}

Test(link_nng_tickets, with_no_tickets_nobody_comes_in_and_the_secret_is_offered_to_others)
{
    static const uint8_t offered[TICKET_PSK_SIZE] = {5};
    struct ticket own = ticket;
    end_listen(&node, 0);
    fabric_set_tickets(node.fabric, offered, NULL, 0);
    end_open(&router);
    end_dial(&router, fabric_port(node.fabric), NULL);
    end_wait(&node, &node.refusals, 2);
    cr_assert_eq(node.ups, 0);
    end_close(&router);
    memcpy(own.psk, offered, sizeof offered);
    end_init(&router, &own, LINK_ROLE_NODE);
    end_listen(&router, 0);
    end_dial(&node, fabric_port(router.fabric), NULL);
    end_wait(&node, &node.ups, 1);
    end_part(&node, &router);
}

Test(link_nng_tickets, who_is_refused_hears_why)
{
    char text[160];
    node.refuse = true;
    node.refusal = (struct refusal){.kind = REFUSAL_SPENT, .number = 3};
    end_listen(&node, 0);
    end_open(&router);
    end_dial(&router, fabric_port(node.fabric), NULL);
    end_wait(&router, &router.refusals, 1);
    end_text(&router, router.refused, text);
    cr_assert_not_null(strstr(text, "spent: used 3 of 3 times"), "%s", text);
    cr_assert_not_null(strstr(text, "--role router"), "%s", text);
    end_wait(&router, &router.refusals, 5); /* it dials again, and is told each time */
    cr_assert_geq(end_read(&router, &router.repeated), 4, "a log hears it once for a while");
    pthread_mutex_lock(&node.lock);
    node.refusal = (struct refusal){.kind = REFUSAL_STRANGERS};
    pthread_mutex_unlock(&node.lock);
    end_wait(&router, &router.refusals, end_read(&router, &router.refusals) + 2);
    end_text(&router, router.refused, text);
    cr_assert_not_null(strstr(text, "no members"), "%s", text);
    cr_assert_eq(end_read(&router, &router.ups) + end_read(&node, &node.downs), 0);
    pthread_mutex_lock(&node.lock);
    node.refuse = false;
    pthread_mutex_unlock(&node.lock);
    end_wait(&router, &router.ups, 1);
    end_part(&node, &router);
}

Test(link_nng_tickets, every_link_that_is_refused_hears_of_it)
{
    char text[160];
    struct link *links[LINKS];
    node.refuse = true;
    node.refusal = (struct refusal){.kind = REFUSAL_SPENT, .number = 3};
    end_listen(&node, 0);
    router.options.reconnect_ms_min = router.options.reconnect_ms_max = 60000;
    end_open(&router);
    for (unsigned i = 0; i < LINKS; i++)
        links[i] = end_dial(&router, fabric_port(node.fabric), NULL);
    end_wait(&router, &router.refusals, LINKS);
    end_text(&router, router.refused, text);
    cr_assert_null(strstr(text, "more like it"), "%s", text);
    for (unsigned i = 0; i < LINKS; i++)
        link_close(links[i]);
    end_part(&node, &router);
}
