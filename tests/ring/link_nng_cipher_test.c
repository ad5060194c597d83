/* link_nng: what seals a link, by what both ends can do. */
#include "link_nng_end.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct ticket ticket;
static struct end node;
static struct end router;

static void setup(void)
{
    memset(&ticket, 0x42, sizeof ticket);
    end_init(&node, &ticket, LINK_ROLE_NODE);
    end_init(&router, &ticket, LINK_ROLE_ROUTER);
    node.echo = true;
}
TestSuite(link_nng_cipher, .init = setup, .timeout = 120);

/* Both ends say the same cipher, and what is sent comes back whole. */
static void carry(enum seal_cipher cipher)
{
    struct link *link = end_join(&node, &router);
    cr_assert_str_eq(node.peer.cipher, seal_cipher_name(cipher));
    cr_assert_str_eq(router.peer.cipher, seal_cipher_name(cipher));
    for (size_t i = 0; i < 100; i++)
        cr_assert_eq(end_send(link, WIRE_OPS, i, i * i * 97 % 600000), 0);
    end_wait(&router, &router.messages, 100);
    cr_assert_eq(router.disorders + node.disorders, 0);
    cr_assert_eq(router.damages + node.damages, 0);
    end_part(&node, &router);
    cr_assert_eq(router.downs, 1);
    cr_assert_eq(node.downs, 1);
}

/* What the processor of this machine has, no test can change. */
static enum seal_cipher best(void)
{
    return gcm_available() ? SEAL_CIPHER_GCM : SEAL_CIPHER_STREAM;
}

Test(link_nng_cipher, both_have_it)
{
    carry(best());
}

Test(link_nng_cipher, who_dials_has_not)
{
    router.options.without_gcm = true;
    carry(SEAL_CIPHER_STREAM);
}

Test(link_nng_cipher, who_accepts_has_not)
{
    node.options.without_gcm = true;
    carry(SEAL_CIPHER_STREAM);
}

Test(link_nng_cipher, neither_has_it)
{
    node.options.without_gcm = true;
    router.options.without_gcm = true;
    carry(SEAL_CIPHER_STREAM);
}

/* A program of its own, which is no part of what chooses in link_nng: the node opens what is sealed
 * with `cipher` by somebody who has named `ciphers`, or the link ends. */
static void expect(uint16_t ciphers, enum seal_cipher cipher, bool opens)
{
    static const uint8_t plain[32] = {16, 0, 0, 0, WIRE_OPS};
    struct raw_client client;
    end_listen(&node, 0);
    cr_assert(raw_handshake_ciphers(&client, fabric_port(node.fabric), &ticket, ciphers, cipher));
    cr_assert(raw_packet(&client, plain, sizeof plain));
    end_wait(&node, opens ? &node.messages : &node.downs, 1);
    cr_assert_eq(end_read(&node, opens ? &node.downs : &node.messages), 0);
    raw_end(&client);
    end_close(&node);
}

Test(link_nng_cipher, who_names_none_gets_what_all_can)
{
    expect(0, SEAL_CIPHER_STREAM, true);
}

Test(link_nng_cipher, who_names_it_gets_it)
{
    expect(1, best(), true);
}

Test(link_nng_cipher, unknown_ciphers_are_passed_over)
{
    expect(0xfffe, SEAL_CIPHER_STREAM, true);
}

Test(link_nng_cipher, unknown_ciphers_beside_it_are_passed_over)
{
    expect(0xffff, best(), true);
}

Test(link_nng_cipher, nobody_uses_it_unasked)
{
    expect(0, SEAL_CIPHER_GCM, false);
}

Test(link_nng_cipher, a_node_that_lacks_it_does_not_use_it)
{
    node.options.without_gcm = true;
    expect(1, SEAL_CIPHER_STREAM, true);
}

/* libcrypto's allocations: the one with this number fails. */
static atomic_uint fails_at, allocations;

static void *fail_malloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return ++allocations == fails_at ? NULL : malloc(size);
}

static void *fail_realloc(void *old, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return ++allocations == fails_at ? NULL : realloc(old, size);
}

static void fail_free(void *old, const char *file, int line)
{
    (void)file, (void)line;
    free(old);
}

/* Before main(): Criterion's own libraries use libcrypto. */
__attribute__((constructor)) static void count_allocations(void)
{
    if (!CRYPTO_set_mem_functions(fail_malloc, fail_realloc, fail_free))
        abort();
}

/* A context that cannot be had breaks the connection, which is dialled again. */
Test(link_nng_cipher, one_failed_allocation_of_the_library_heals)
{
    cr_assert(sodium_init() >= 0);
    if (!gcm_available())
        return;
    unsigned n = 0;
    do {
        n += 1;
        setup();
        end_listen(&node, 0);
        end_open(&router);
        allocations = 0;
        fails_at = n;
        struct link *link = end_dial(&router, fabric_port(node.fabric), NULL);
        while (end_read(&router, &router.messages) == 0) {
            int r = end_send(link, WIRE_OPS, 0, 10);
            cr_assert(r == 0 || r == -ENOTCONN);
            usleep(1000);
        }
        fails_at = 0;
        cr_assert_str_eq(router.peer.cipher, "aes-256-gcm");
        end_part(&node, &router);
    } while (allocations >= n && n < 100);
    cr_assert_geq(n, 8, "two contexts an end, and what is in them");
    cr_assert_lt(n, 100);
}
