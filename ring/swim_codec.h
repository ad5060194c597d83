/* SWIM codec: the records members sign, and the packets they are carried in. docs/format-gossip.md.
 *
 * A record is what one member says of itself, as bytes that it has signed; others pass those bytes
 * on unchanged, with the fields of a later version that they do not know. A packet is the body of a
 * GOSSIP message: a head and items. Readers take untrusted bytes, never allocate, and believe no
 * count before it is held against what is left. Decoded records and items borrow from the packet's
 * bytes.
 *
 * Limits: a record ≤ 160 bytes, a packet ≤ 1,024 items, ≤ 4 accusers a statement.
 */
#ifndef RING_SWIM_CODEC_H
#define RING_SWIM_CODEC_H

#include "ring/ringmap.h"
#include "ring/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SWIM_RECORD_SIZE_MAX    160u
#define SWIM_SIGNATURE_SIZE     64u
#define SWIM_ACCUSERS_MAX       4u
#define SWIM_ITEMS_MAX          1024u               /* a packet */
#define SWIM_INCARNATION_MAX    (UINT64_C(1) << 32) /* none is that high */
#define SWIM_COUNTER_END        (UINT64_C(1) << 48)
#define SWIM_PACKET_OVERHEAD    64u /* bytes of a head, at most */
#define SWIM_SIGNED_PREFIX_SIZE 32u

enum swim_standing {
    SWIM_ALIVE,
    SWIM_SUSPECT,
    SWIM_DEAD,
    SWIM_LEFT, /* it said so itself, and may come back */
};

/* What a member tells of itself that changes. Load is for balancing and for people. */
struct swim_local {
    char address[RINGMAP_ADDRESS_SIZE];
    uint64_t epoch;          /* of the ring map it holds */
    uint32_t operations;     /* a second, lately */
    uint64_t bytes;          /* of those, requests and answers; a second, too */
    uint16_t leaders;        /* partitions it leads */
    uint64_t leaders_digest; /* another: it leads others, or anew; 0: none, or not told */
    uint64_t counter;        /* on its disk, below SWIM_COUNTER_END; 0: not told */
};

struct swim_record {
    uint16_t member;
    bool left;
    uint64_t incarnation; /* from 1, below the maximum; only the member itself raises it */
    uint64_t sequence;    /* within the incarnation */
    struct swim_local local;
};

enum swim_packet_kind {
    SWIM_PING = 1, /* subject: the receiver, as the sender knows it; ACK is due */
    SWIM_PING_REQ, /* ping `subject` for me: ACK or NACK is due */
    SWIM_ACK,      /* subject is alive; sent by itself or by whom it was asked through */
    SWIM_NACK,     /* I am here, but subject has not answered me yet */
    SWIM_SYNC,     /* items: DIGEST of all members; DIFF is due */
    SWIM_DIFF,     /* items: what the other lacks, and WANT what it has newer */
};

enum swim_item_kind {
    SWIM_ITEM_RECORD = 1, /* a signed record, whoever's it is */
    SWIM_ITEM_STATEMENT,  /* standing (SUSPECT or DEAD) of the member in that incarnation */
    SWIM_ITEM_DIGEST,     /* what the sender knows of the member: incarnation, sequence, standing */
    SWIM_ITEM_WANT,       /* send me the member's record */
};

struct swim_item {
    uint8_t kind;
    uint8_t standing;
    uint8_t accuser_count;
    uint16_t member; /* of a RECORD: 0 until the record is decoded */
    uint64_t incarnation;
    uint64_t sequence;
    uint16_t accusers[SWIM_ACCUSERS_MAX];
    const uint8_t *record; /* borrowed */
    const uint8_t *signature;
    uint16_t record_size;
};

struct swim_packet {
    uint8_t kind;
    uint8_t standing; /* PING: of the receiver, as the sender has it */
    bool more;        /* DIFF: there was more than fits */
    uint32_t nonce;   /* PING, PING_REQ: chosen by who asks, repeated in ACK and NACK */
    uint16_t subject;
    uint64_t incarnation, sequence; /* PING, PING_REQ: of the subject's record here; 0 none */
    const struct swim_item *items;
    uint32_t item_count;
};

enum swim_codec_e { SWIM_CODEC_E_OK, SWIM_CODEC_E_MALFORMED };

/* Returns the size. record->local.address must be printable, as in the ring map. */
size_t swim_record_encode(const struct swim_record *record, uint8_t out[SWIM_RECORD_SIZE_MAX]);
/* Untrusted bytes: 0 or SWIM_CODEC_E_MALFORMED. */
int swim_record_decode(const uint8_t *bytes, size_t size, struct swim_record *record);
/* The bytes before the record that its signature covers too: what it is, and of which cluster. */
void swim_signed_prefix(const uint8_t cluster[RINGMAP_CLUSTER_SIZE],
                        uint8_t out[SWIM_SIGNED_PREFIX_SIZE]);

/* Bytes of an item in a packet, at most. */
size_t swim_item_size(const struct swim_item *item);
void swim_put_packet(struct wire_buffer *buffer, const struct swim_packet *packet);
/* Untrusted bytes: 0 or SWIM_CODEC_E_MALFORMED. items: storage, SWIM_ITEMS_MAX places, to which
 * packet->items will point. Items of a kind we do not know are passed over. */
int swim_get_packet(const uint8_t *bytes, size_t size, struct swim_packet *packet,
                    struct swim_item *items);

#endif
