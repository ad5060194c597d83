#include "ring/wire_peers.h"

#include "ring/wire_fields.h"

#include <string.h>

#define NUMBER_FIELDS 1u
#define PEER_FIELDS   4u

static void put_number(struct wire_buffer *buffer, uint32_t number)
{
    wire_put_array(buffer, NUMBER_FIELDS);
    wire_put_uint(buffer, number);
}

static bool get_number(struct wire_cursor *cursor, uint32_t *number)
{
    uint32_t unknown = wire_fields_open(cursor, NUMBER_FIELDS);

    *number = wire_get_u32(cursor);
    return wire_fields_close(cursor, unknown);
}

void wire_put_peers_get(struct wire_buffer *buffer, uint32_t generation)
{
    put_number(buffer, generation);
}

bool wire_get_peers_get(struct wire_cursor *cursor, uint32_t *generation)
{
    return get_number(cursor, generation);
}

void wire_put_peers_head(struct wire_buffer *buffer, uint32_t count)
{
    put_number(buffer, count);
}

bool wire_get_peers_head(struct wire_cursor *cursor, uint32_t *count)
{
    return get_number(cursor, count);
}

void wire_put_peer(struct wire_buffer *buffer, const struct wire_peer *peer)
{
    wire_put_array(buffer, PEER_FIELDS);
    wire_put_uint(buffer, peer->role);
    wire_put_uint(buffer, peer->ticket);
    wire_put_string(buffer, peer->address);
    wire_put_bin(buffer, peer->public_key, sizeof peer->public_key);
}

bool wire_get_peer(struct wire_cursor *cursor, struct wire_peer *peer)
{
    uint32_t unknown = wire_fields_open(cursor, PEER_FIELDS);

    memset(peer, 0, sizeof *peer);
    peer->role = wire_get_u8(cursor);
    peer->ticket = wire_get_u32(cursor);
    wire_get_text(cursor, peer->address, sizeof peer->address);
    wire_get_bytes(cursor, peer->public_key, sizeof peer->public_key);
    return wire_fields_close(cursor, unknown);
}
