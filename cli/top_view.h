/* Top view: what leaders do, from what shards answer to TOP. Pure; the command asks and prints. */
#ifndef CLI_TOP_VIEW_H
#define CLI_TOP_VIEW_H

#include "cli/text.h"
#include "ring/wire_load.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct top_member {
    uint16_t id;
    bool heard; /* a shard of it has answered; the rest is of all that have */
    bool may_lead, drained, slow;
    uint32_t leaders;
    uint64_t operations, bytes; /* a second */
    uint32_t sync_us;           /* the worst of its shards' */
};

struct top_partition {
    uint16_t partition;
    uint16_t leader;
    uint32_t operations;
    uint64_t bytes;
};

#define TOP_KEY_TEXT_SIZE (TEXT_ESCAPED_MAX * WIRE_TOP_KEY_SIZE_MAX + 4) /* and "..." */
struct top_key {
    uint8_t bytes[WIRE_TOP_KEY_SIZE_MAX];
    size_t size;     /* of bytes */
    size_t key_size; /* of all of it */
    uint64_t count, error;
};

struct top_view {
    struct top_member *members; /* the caller's, heard or not */
    size_t member_count;
    struct top_partition *partitions; /* most operations first, after top_view_sort() */
    size_t partition_count;
    struct top_key *keys; /* most asked for first, too */
    size_t key_count;
    uint64_t seen; /* keys that were counted */
};

enum top_view_e { TOP_VIEW_E_OK, TOP_VIEW_E_MALFORMED };

/* members: borrowed for its life; their ids are set, the rest is zero. */
void top_view_init(struct top_view *view, struct top_member *members, size_t member_count);
void top_view_deinit(struct top_view *view);
/* One shard's answer, from that place in members. 0, TOP_VIEW_E_MALFORMED or -ENOMEM. */
int top_view_take(struct top_view *view, size_t member, const uint8_t *reply, size_t size);
void top_view_sort(struct top_view *view);
/* "leads", or why not; static. */
const char *top_member_state(const struct top_member *member);
/* Printable whatever it holds; "..." behind a part. */
void top_key_text(const struct top_key *key, char text[TOP_KEY_TEXT_SIZE]);

#endif
