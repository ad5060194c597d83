/* SWIM: who is alive, and where. The gossip core of one node.
 *
 * SWIM (Das, Gupta, Motivala 2002) with Lifeguard (Dadgar, Phillips, Currey 2018): each period one
 * member is pinged, in a random order that meets everyone once a round; when it does not answer, a
 * few others are asked to ping it; when none of them reaches it either it is suspected, and only
 * dead when it has not objected in time. News travel on the pings themselves, each a bounded number
 * of times and periods, the newest first. Once in a while two members compare all they know (SYNC,
 * DIFF): that is how a newcomer learns and how the sides of a healed partition find each other
 * again.
 *
 * It informs and decides nothing: membership is the ring map's, which comes in as event MAP. Who is
 * not in it is ignored; who has been removed from it does not come back.
 *
 * Records and statements:
 *   What a member says of itself (address, ring epoch, load) is a record that it has signed and
 *   that others pass on byte for byte. Of two records the one of the higher (incarnation, sequence)
 *   holds, so old ones change nothing when they are replayed. Only the member itself can raise its
 *   incarnation; one that jumps too far over the known one is refused, unless the member itself
 *   brings it.
 *   That a member is suspected or dead is stated by others, about one incarnation of it, naming who
 *   could not reach it. Statements are not signed: they are as good as the member whose sealed link
 *   they come over, and count only when they name the very incarnation that is known here. The
 *   member refutes them by a record of a higher incarnation.
 *
 * Joiners:
 *   Of a member that is joining nobody has decided yet that it is to be trusted. It is probed, and
 *   what members have signed counts whoever brings it; else it is not believed. Its statements
 *   and accusations, and what its pings hold of this node, change nothing, no ping is sent through
 *   it, its exchange makes nobody a member who knows all, and that it holds a newer ring map is no
 *   news. It has one ping through this node at a time. As nobody objects to it either, it takes
 *   who answers it for alive.
 *
 * Lifeguard:
 *   local health - a node that fails at what usually works (no acks, no nacks, refuting itself)
 *   takes its own probes less seriously and gives them more time;
 *   suspicion - it lasts long at first, and shorter the more members confirm it independently: from
 *   suspicion_stretch × the least down to the least, which is suspicion_factor × log10(members)
 *   periods;
 *   buddy - whoever suspects a member tells it so, first and in each ping.
 * Beyond the papers: who hears of a suspicion probes the suspect out of turn, so that it is soon
 * confirmed or refuted (a few members in a large cluster); a statement that a member is dead is no
 * more than a full confirmation, so each node gives the suspect the least time to object; time in
 * which this node was not stepped does not count (awake_ms_max), so that one that slept accuses
 * nobody; members held dead are pinged too, once in a round and at no other's cost.
 *
 * Invariants (swim_check): the table is the map's members, self included, by ascending id; self is
 * ALIVE or LEFT; the suspects listed are those with standing SUSPECT; what is queued was sent less
 * often than its limit.
 * Limits: 1,000 members; 350 bytes of memory for each, taken in swim_init; no step allocates.
 * Owner: one thread. Events are borrowed for the call. Effects are the caller's; their items point
 * into the core until the next step. Both may be large: keep them off the stack.
 */
#ifndef RING_SWIM_H
#define RING_SWIM_H

#include "ring/swim_codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SWIM_INDIRECT_MAX     8u
#define SWIM_RELAYS_MAX       32u /* pings under way for others */
#define SWIM_RETRANSMIT_MAX   40u
#define SWIM_PACKETS_MAX      64u   /* a step */
#define SWIM_EFFECT_ITEMS_MAX 3072u /* a step, all packets together */

/* Signatures over what swim_signed_prefix() gives and the record's bytes, in this order. */
struct swim_signer {
    void (*sign)(const void *context, const uint8_t *bytes, size_t size,
                 uint8_t signature[SWIM_SIGNATURE_SIZE]);
    bool (*verify)(const void *context, const uint8_t public_key[RINGMAP_KEY_SIZE],
                   const uint8_t *bytes, size_t size, const uint8_t signature[SWIM_SIGNATURE_SIZE]);
    const void *context;
};

struct swim_options {
    uint16_t self; /* member id */
    uint8_t cluster[RINGMAP_CLUSTER_SIZE];
    struct swim_signer signer;
    uint32_t members_max;
    uint32_t period_ms;            /* a probe each */
    uint32_t ping_timeout_ms;      /* then others are asked; below period_ms */
    uint32_t indirect_count;       /* how many others */
    uint32_t suspicion_factor;     /* the least time to object: × log10(members) periods */
    uint32_t suspicion_stretch;    /* the longest: × the least */
    uint32_t confirmations;        /* by so many others it shrinks to the least */
    uint32_t health_max;           /* local health multiplier goes up to this + 1 */
    uint32_t incarnation_jump_max; /* over the known one, by third parties */
    uint32_t retransmit_factor;    /* news are sent × log2(members + 1) times */
    uint32_t packet_size_max;      /* bytes, normal packets */
    uint32_t sync_size_max;        /* bytes, SYNC and DIFF */
    uint32_t sync_ms;              /* between full exchanges */
    uint32_t load_ms;      /* load is told once in so long, and less often in large clusters */
    uint32_t awake_ms_max; /* time that one step may count */
};

/* The defaults of the numbers: 150 ms periods; a dead node is found within 2 s among ten. */
void swim_options_default(struct swim_options *options);

struct swim_map_member {
    uint16_t id;  /* ascending */
    bool joining; /* nobody has committed it yet */
    const uint8_t *public_key;
};

enum swim_event_kind {
    SWIM_EVENT_TICK,   /* swim_wait_ms() after the last one, at the latest */
    SWIM_EVENT_PACKET, /* from the member whose link it came over */
    SWIM_EVENT_MAP,    /* members of the ring map, removed ones left out, self among them */
    SWIM_EVENT_LOCAL,  /* what this node says of itself */
    SWIM_EVENT_LEAVE,  /* this node is about to stop: tell others, so that nobody suspects it */
};

struct swim_event {
    uint8_t kind;
    uint64_t now_ms; /* never goes back */
    uint64_t random; /* fresh 64 bits with every event */
    uint16_t from;   /* PACKET */
    const struct swim_packet *packet;
    uint64_t epoch; /* MAP: of the map; one below the last is ignored */
    const struct swim_map_member *members;
    uint32_t member_count;
    const struct swim_local *local;
};

enum swim_reason {
    SWIM_REASON_UNREACHED, /* this node and those it asked could not reach it */
    SWIM_REASON_TOLD,      /* another member states it */
    SWIM_REASON_SILENT,    /* suspected for too long */
    SWIM_REASON_RECORD,    /* by its own record: alive again, left, or news of it */
    SWIM_REASON_ANSWERED,  /* this node is joining, and was answered by it: alive again */
};

/* Something about a member is another than before. */
struct swim_change {
    uint16_t member;
    uint8_t standing;
    uint8_t reason;
    bool moved;       /* its address is news: swim_record_of() */
    bool ahead;       /* it holds a newer ring map than this node */
    uint64_t counter; /* news, the highest of its own; of self: another process signs with the key
                         of this node. 0: no news */
};

struct swim_send {
    uint16_t to;
    uint32_t size; /* bytes, at most */
    struct swim_packet packet;
};

/* In the order in which they came about. */
struct swim_effects {
    struct swim_send sends[SWIM_PACKETS_MAX];
    uint32_t send_count;
    struct swim_change changes[SWIM_ITEMS_MAX];
    uint32_t change_count;
    struct swim_item items[SWIM_EFFECT_ITEMS_MAX]; /* the packets' */
    uint32_t item_count;
};

/* Statements, and records that say where a member is or that it lives, go before records of load.
 */
enum swim_queue { SWIM_STATEMENTS, SWIM_RECORDS, SWIM_ROUTINE, SWIM_QUEUES };

/* A place among the news that were sent so often: links are slots + 1, 0 none. */
struct swim_queued {
    uint64_t since_ms; /* awake clock */
    uint16_t next, previous;
    uint8_t sent;
    uint8_t queue;
    bool queued;
};

struct swim_member {
    uint16_t id;
    uint8_t standing;
    uint8_t accuser_count;
    uint16_t accusers[SWIM_ACCUSERS_MAX];
    bool joining;         /* believed in nothing but records */
    bool condemned;       /* SUSPECT: somebody states it is dead */
    bool tried;           /* SUSPECT: this node has probed it since, or is doing so */
    uint16_t record_size; /* 0: nothing heard of it yet */
    struct swim_queued record_news, statement_news;
    uint64_t incarnation, sequence;
    uint64_t epoch;
    uint64_t counter;      /* the highest that its records told; of self: those of others */
    uint64_t since_ms;     /* its standing */
    uint64_t suspected_ms; /* on the awake clock */
    uint8_t public_key[RINGMAP_KEY_SIZE];
    uint8_t signature[SWIM_SIGNATURE_SIZE];
    uint8_t record[SWIM_RECORD_SIZE_MAX];
};

enum swim_probe_phase { SWIM_PROBE_NONE, SWIM_PROBE_DIRECT, SWIM_PROBE_INDIRECT };

struct swim_probe {
    uint8_t phase;
    uint16_t target; /* member id */
    uint32_t nonce;
    uint16_t relays[SWIM_INDIRECT_MAX];
    uint8_t relay_count;
    uint8_t nacked; /* bit i: relays[i] */
    uint64_t ping_until_ms;
};

/* A ping for somebody else. */
struct swim_relay {
    uint16_t asker, target; /* asker 0: free */
    uint32_t asker_nonce, nonce;
    uint64_t until_ms;
    bool nacked;
};

/* What was refused or done, since the start. */
struct swim_stats {
    uint64_t probes;
    uint64_t strangers; /* packets and news of who is not in the map */
    uint64_t joiners;   /* statements that were not believed, of who is joining */
    uint64_t forged;    /* records whose signature is wrong, or that do not decode */
    uint64_t jumps;     /* records whose incarnation is too high */
    uint64_t stale;     /* records not newer than what is known */
    uint64_t verified;
    uint64_t syncs;
};

struct swim {
    struct swim_options options;
    uint64_t now_ms;   /* of the newest event */
    uint64_t clock_ms; /* time awake */
    uint64_t random;
    uint32_t nonce;
    uint32_t health; /* 0: well */
    uint64_t map_epoch;
    struct swim_local local;
    bool local_known, left;
    bool local_news;       /* of load: not in the own record yet */
    uint64_t published_ms; /* this and what follows: on the awake clock */
    uint64_t period_until_ms, tell_due_ms, sync_due_ms;
    uint32_t sync_nonce;
    bool synced; /* somebody told us all it knows */
    struct swim_probe probe;
    struct swim_relay relays[SWIM_RELAYS_MAX];
    struct swim_member *members; /* by slot: members_max places, stable */
    uint16_t *by_id;             /* slots by ascending id */
    uint16_t *order;             /* slots in the order of this round, without self */
    uint16_t *suspects;          /* slots */
    uint32_t member_count, order_count, suspect_count;
    uint32_t alive_count; /* ALIVE, and self or one that is not joining */
    uint32_t order_next;
    uint16_t self_slot; /* with member_count > 0 */
    uint16_t queues[SWIM_QUEUES]
                   [SWIM_RETRANSMIT_MAX]; /* by how often sent: slot + 1 of the newest */
    struct swim_stats stats;
};

/* Takes the memory. 0, -ENOMEM, or -EINVAL: options that contradict each other. Silent until MAP,
 * with self in it, and LOCAL have come. */
int swim_init(struct swim *swim, const struct swim_options *options);
void swim_deinit(struct swim *swim);
void swim_step(struct swim *swim, const struct swim_event *event, struct swim_effects *effects);
/* After how long, counted from the last event, the next TICK is due. */
uint64_t swim_wait_ms(const struct swim *swim);
/* NULL: not in the map. Borrowed until the next step. */
const struct swim_member *swim_find(const struct swim *swim, uint16_t id);
/* What the member says of itself; false: nothing heard yet. */
bool swim_record_of(const struct swim_member *member, struct swim_record *record);
const char *swim_standing_name(uint8_t standing);
void swim_check(const struct swim *swim);

/* The signer of nodes: Ed25519; context is the secret key, IDENTITY_SECRET_SIZE bytes. */
struct swim_signer swim_signer_ed25519(const uint8_t *secret_key);

#endif
