/* Link: what carries frames between two processes of the cluster.
 *
 * A frame is {type, flags, partition, correlation, body}. Links keep order within a lane, lose
 * everything in flight when they break, and come back by themselves. They promise no more; what
 * runs above repeats and deduplicates. The implementation for processes is link_nng (sealed nng
 * streams); the simulator has its own that keeps the same contract and is far less kind.
 *
 * Frame on the wire (inside the sealed packet), little endian:
 *   0 u32 body_size   ≤ LINK_BODY_SIZE_MAX
 *   4 u8  type        ring/wire_table.h
 *   5 u8  flags       LINK_FLAG_MORE: the body goes on in the next frame of this lane
 *   6 u16 partition   routes to the receiver's shard; WIRE_PARTITION_NODE = control plane
 *   8 u64 correlation chosen by whoever asks, repeated in the reply; 0 when none
 *  16 body            msgpack
 * A message larger than a frame is cut into frames with MORE and handed up whole; the largest
 * message is LINK_MESSAGE_SIZE_MAX.
 */
#ifndef RING_LINK_H
#define RING_LINK_H

#include <stddef.h>
#include <stdint.h>

#define LINK_FRAME_HEADER_SIZE 16u
#define LINK_FRAME_SIZE_MAX    (256u << 10)
#define LINK_BODY_SIZE_MAX     (LINK_FRAME_SIZE_MAX - LINK_FRAME_HEADER_SIZE)
#define LINK_MESSAGE_SIZE_MAX  (20u << 20)
#define LINK_FLAG_MORE         1u
#define WIRE_PARTITION_NODE    0xFFFEu
#define WIRE_PARTITION_META    0xFFFFu

enum link_role { LINK_ROLE_NODE = 1, LINK_ROLE_ROUTER = 2, LINK_ROLE_ADMIN = 3 };

/* One whole message. body is borrowed for the call it appears in. */
struct link_message {
    uint8_t type;
    uint16_t partition;
    uint64_t correlation;
    const uint8_t *body;
    size_t body_size;
};

#endif
