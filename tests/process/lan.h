/* Lan: a network of the scenario's own, in which what one host sends another can be dropped.
 *
 * A host is a network namespace with one address, joined by a pair of virtual interfaces to a hub;
 * the hub is a namespace too. It forwards between them, and drops what a rule of its routing
 * names, without a word to anybody, as a broken cable would. So a cut is one way: packets the other
 * way still pass (TCP notices all the same, as its acknowledgements are packets too).
 *
 * Nothing of it has a name on the machine, nothing outside reaches it, and it ends with the
 * processes in it. Host 0 is where the scenario itself is, its clients and its router.
 * Needs: `ip` of iproute2, a kernel with veth and policy routing, and either root or user
 * namespaces. Owner: the scenario's first thread.
 */
#ifndef TESTS_PROCESS_LAN_H
#define TESTS_PROCESS_LAN_H

#include <stdbool.h>
#include <stdint.h>

#define LAN_HOSTS_MAX 8u
#define LAN_ALL       UINT32_MAX
#define LAN_HOST_SIZE 16u /* "10.0.K.2" with its zero */

struct lan {
    int hub;
    int hosts[LAN_HOSTS_MAX]; /* namespaces */
    uint32_t host_count;
    uint32_t cuts;
};

/* The process has one thread, and is at host 0 from here on. NULL, or why it cannot be had here: a
 * text that lives until the next call. */
const char *lan_open(struct lan *lan, uint32_t hosts);
void lan_close(struct lan *lan);
const char *lan_host(uint32_t host, char text[LAN_HOST_SIZE]);
/* What the calling thread opens and starts from here on is at that host. */
void lan_enter(const struct lan *lan, uint32_t host);
/* What `from` sends `to` is dropped from here on; LAN_ALL: any. */
void lan_cut(struct lan *lan, uint32_t from, uint32_t to);
void lan_heal(struct lan *lan);
/* Whether a packet gets there now. */
bool lan_passes(const struct lan *lan, uint32_t from, uint32_t to);

#endif
