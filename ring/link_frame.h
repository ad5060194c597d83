/* Link frame: the frame header (ring/link.h), and the reader that makes messages of frames again.
 *
 * A reader walks the plain bytes of one packet at a time. A message that came in one frame is
 * handed up where it lies; one that was cut is put together in the lane's own buffer, which grows
 * only by bytes that have arrived and never over LINK_MESSAGE_SIZE_MAX. A lane carries one message
 * at a time, but frames of the lanes may alternate, and the link's own frames (CREDIT, PING,
 * PONG) may stand anywhere.
 *
 * The reader counts what it got, frame by frame, and refuses a DATA or BULK message that begins
 * without credit: that is a peer which does not keep the rules. CONTROL waits for no credit, but is
 * bounded as well: what one peer sends and nobody here gets round to is memory. Any error is final
 * for the connection.
 */
#ifndef RING_LINK_FRAME_H
#define RING_LINK_FRAME_H

#include "ring/link.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_FRAME_KEEP_SIZE (1u << 20) /* a larger buffer is given back after its message */

enum link_lane { LINK_LANE_CONTROL, LINK_LANE_DATA, LINK_LANE_BULK, LINK_LANES };

struct link_frame {
    uint32_t body_size;
    uint8_t type;
    uint8_t flags;
    uint16_t partition;
    uint64_t correlation;
};

/* Bytes and messages since the connection began; a message counts with its first frame, bytes are
 * those of the bodies. The link's own frames are not counted. */
struct link_credit {
    uint64_t bytes;
    uint64_t messages;
};

enum link_frame_e {
    LINK_FRAME_E_OK,
    LINK_FRAME_E_END,       /* not an error: nothing more in this packet */
    LINK_FRAME_E_MALFORMED, /* lengths, flags, or a continuation that does not fit */
    LINK_FRAME_E_TOO_LARGE, /* the message would be over message_size_max */
    LINK_FRAME_E_CREDIT,    /* DATA or BULK without credit */
    LINK_FRAME_E_FLOOD,     /* CONTROL beyond what is taken ahead */
};

struct link_assembly {
    uint8_t *data;
    size_t size;
    size_t capacity;
    bool open; /* between its first frame and its last */
    uint8_t type;
    uint16_t partition;
    uint64_t correlation;
};

struct link_reader {
    struct link_assembly lanes[LINK_LANES];
    struct link_credit received;
    /* Set by the owner before each packet: */
    struct link_credit limit;         /* DATA and BULK may begin below both */
    struct link_credit control_limit; /* CONTROL may */
    size_t message_size_max;          /* at most LINK_MESSAGE_SIZE_MAX */
    const uint8_t *at;
    const uint8_t *end;
};

bool link_frame_own(uint8_t type); /* CREDIT, PING or PONG */
enum link_lane link_frame_lane(uint8_t type);
void link_frame_put(const struct link_frame *frame, uint8_t bytes[LINK_FRAME_HEADER_SIZE]);
void link_frame_get(const uint8_t bytes[LINK_FRAME_HEADER_SIZE], struct link_frame *frame);

void link_reader_init(struct link_reader *reader);
void link_reader_deinit(struct link_reader *reader);
/* bytes: the plain bytes of a packet, borrowed until link_reader_next() says END. */
void link_reader_feed(struct link_reader *reader, const uint8_t *bytes, size_t size);
/* The next whole message; its body is valid until the next call. The link's own frames come up as
 * messages, too. Returns 0, an enum above, or -ENOMEM. */
int link_reader_next(struct link_reader *reader, struct link_message *message);

#endif
