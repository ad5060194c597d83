/* Tickets: which credentials open the cluster, for whom, how often and until when. A part of the
 * meta group's state: every change is a logged command whose time is in the log, so all replicas
 * come to the same answers.
 *
 * The cluster's *secret* is the psk of ticket files as `ring-admin ticket` makes them
 * (ring/ticket.h); members have it. A ticket for one role has a psk of its own, BLAKE2b-256 of (id,
 * role) under the secret, so that nothing but the secret need be kept, and what it opens ends with
 * its record. Who answers a connection tries the psks of tickets_candidates(), the secrets first;
 * each try costs a few microseconds, which is why there are few tickets at a time.
 *
 * A ticket is good until it expires, is revoked, or was used as often as it may be. A use is one
 * public key: that key may come again, another one is another use. Tickets without a limit of uses
 * keep no keys. What has ended is forgotten when its place is needed; unknown is refused like
 * ended. Ids are never given twice.
 *
 * Rotation, without a moment in which somebody cannot connect: PREPARED, all accept the next secret
 * beside the one they offer; then RETIRING, all offer the new one and still accept the old; then
 * the old one is gone, and with it the tickets that were made under it. Each step is taken when all
 * active members have the one before, which the caller knows.
 *
 * Every change makes the next version, so that members can tell which of two registries is newer
 * and a change is made to the one it was worked out from: ring/tickets_command.h.
 *
 * Limits: below. No memory, clock or randomness of its own. libsodium must be initialised.
 * Encoding: docs/format-tickets.md.
 */
#ifndef RING_TICKETS_H
#define RING_TICKETS_H

#include "ring/link.h"
#include "ring/ticket.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TICKETS_MAX            64u
#define TICKETS_HOLDERS_MAX    1024u /* public keys, of all tickets together */
#define TICKETS_KEY_SIZE       32u   /* Ed25519 public key */
#define TICKETS_CANDIDATES_MAX (TICKETS_MAX + 2u)
#define TICKETS_ENCODED_MAX    35868u

enum tickets_e {
    TICKETS_E_OK,
    TICKETS_E_FULL,    /* no room for another ticket or holder */
    TICKETS_E_UNKNOWN, /* there is no such ticket (any more) */
    TICKETS_E_REVOKED,
    TICKETS_E_EXPIRED,
    TICKETS_E_SPENT, /* used as often as it may be */
    TICKETS_E_ROLE,  /* it is for another role */
    TICKETS_E_PHASE, /* the rotation is at another step */
    TICKETS_E_MALFORMED,
};

enum tickets_phase { TICKETS_STEADY, TICKETS_PREPARED, TICKETS_RETIRING };

struct tickets_record {
    uint32_t id;         /* from 1 */
    uint64_t name;       /* of the command that made it: a random number */
    uint8_t role;        /* enum link_role */
    uint32_t generation; /* of the secret it was made under */
    uint32_t uses_max;   /* 0: no limit */
    uint32_t uses;       /* of a limited one: its holders */
    uint64_t created_ms; /* of the log */
    uint64_t expires_ms; /* 0: never */
    uint64_t revoked_ms; /* 0: it is not */
};

struct tickets_holder {
    uint32_t id; /* of the ticket */
    uint8_t public_key[TICKETS_KEY_SIZE];
};

struct tickets_secret {
    uint32_t generation; /* from 1 */
    uint8_t psk[TICKET_PSK_SIZE];
};

struct tickets {
    uint64_t version; /* from 1 */
    uint8_t phase;
    struct tickets_secret offered;
    struct tickets_secret other; /* the next one or the one before; zero when STEADY */
    uint32_t next_id;
    uint32_t count;
    uint32_t holder_count;
    struct tickets_record records[TICKETS_MAX];         /* by ascending id */
    struct tickets_holder holders[TICKETS_HOLDERS_MAX]; /* by ascending id, then key */
};

struct tickets_terms {
    uint64_t name; /* see tickets_record */
    uint8_t role;
    uint64_t ttl_ms;   /* 0: for ever */
    uint32_t uses_max; /* 0: no limit */
};

struct tickets_candidate {
    uint32_t id;         /* 0: a secret of the cluster, good for any role */
    uint32_t generation; /* of the secret that it is, or was made under */
    uint8_t psk[TICKET_PSK_SIZE];
};

/* No tickets; generation 1 is the founding's psk, which is copied. */
void tickets_init(struct tickets *tickets, const uint8_t psk[TICKET_PSK_SIZE]);
/* Wipes the secrets. */
void tickets_wipe(struct tickets *tickets);

/* Commands. now_ms is the log's. */

/* 0 and *id, TICKETS_E_ROLE (there is no such role) or TICKETS_E_FULL. */
int tickets_new(struct tickets *tickets, const struct tickets_terms *terms, uint64_t now_ms,
                uint32_t *id);
/* 0 (also when it is revoked already) or TICKETS_E_UNKNOWN. */
int tickets_revoke(struct tickets *tickets, uint32_t id, uint64_t now_ms);
/* One use by the key; again by the same key is no other use. 0 or why it may not. */
int tickets_redeem(struct tickets *tickets, uint32_t id, uint8_t role,
                   const uint8_t public_key[TICKETS_KEY_SIZE], uint64_t now_ms);
/* Steps of the rotation: 0 or TICKETS_E_PHASE. */
int tickets_prepare(struct tickets *tickets, const uint8_t psk[TICKET_PSK_SIZE]);
int tickets_cancel(struct tickets *tickets); /* forgets the secret that was prepared */
int tickets_switch(struct tickets *tickets);
int tickets_retire(struct tickets *tickets, uint64_t now_ms);

/* Questions. */

/* NULL: there is none. */
const struct tickets_record *tickets_find(const struct tickets *tickets, uint32_t id);
/* Whether a redeem would succeed: 0 or why not. */
int tickets_may(const struct tickets *tickets, uint32_t id, uint8_t role,
                const uint8_t public_key[TICKETS_KEY_SIZE], uint64_t now_ms);
/* Whether the key may come without a redeem: the ticket has no limit, or has the key already. */
bool tickets_redeemed(const struct tickets *tickets, uint32_t id,
                      const uint8_t public_key[TICKETS_KEY_SIZE]);
/* The psk that goes into the ticket's file. 0 or TICKETS_E_UNKNOWN. */
int tickets_psk(const struct tickets *tickets, uint32_t id, uint8_t psk[TICKET_PSK_SIZE]);
/* Whose psks to try on a connection, the likeliest first; also of tickets that have ended, so that
 * it can be told which one was refused and why: only tickets_may() lets anybody in. Returns how
 * many; the caller wipes. */
uint32_t tickets_candidates(const struct tickets *tickets,
                            struct tickets_candidate out[TICKETS_CANDIDATES_MAX]);
/* For people: "spent" and the like; never NULL. */
const char *tickets_error_name(int code);

size_t tickets_encoded_size(const struct tickets *tickets);
void tickets_encode(const struct tickets *tickets, uint8_t *out);
/* NULL: `tickets` may take the place of `before`, however many versions are between them. */
const char *tickets_follows_problem(const struct tickets *tickets, const struct tickets *before);
/* Untrusted input: 0 or TICKETS_E_MALFORMED; *tickets is written on 0 only. */
int tickets_decode(const uint8_t *bytes, size_t size, struct tickets *tickets);
void tickets_check(const struct tickets *tickets);

#endif
