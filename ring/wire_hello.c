#include "ring/wire_fields.h"

#include <stdio.h>

#define HELLO_FIELDS     5u
#define HELLO_FIELDS_NEW 4u /* that version 1 did not have */

void wire_put_hello(struct wire_buffer *buffer, const struct wire_hello *hello)
{
    /* What is as version 1 had it is said as version 1 did. */
    uint32_t more = hello->counter != 0              ? 4
                    : hello->instance != 0           ? 2
                    : hello->newest != hello->oldest ? 1
                                                     : 0;

    wire_put_array(buffer, HELLO_FIELDS + more);
    wire_put_uint(buffer, hello->oldest);
    wire_put_uint(buffer, hello->role);
    wire_put_uint(buffer, hello->shards);
    wire_put_uint(buffer, hello->member);
    wire_put_uint(buffer, hello->epoch);
    if (more > 0)
        wire_put_uint(buffer, hello->newest);
    if (more > 1)
        wire_put_uint(buffer, hello->instance);
    if (more > 2) {
        wire_put_uint(buffer, hello->counter);
        wire_put_uint(buffer, hello->heard);
    }
}

bool wire_get_hello(struct wire_cursor *cursor, struct wire_hello *hello)
{
    uint32_t unknown = wire_fields_open(cursor, HELLO_FIELDS);

    hello->oldest = wire_get_u32(cursor);
    hello->role = wire_get_u8(cursor);
    hello->shards = wire_get_u16(cursor);
    hello->member = wire_get_u16(cursor);
    hello->epoch = wire_get_u64(cursor);
    hello->newest = unknown > 0 ? wire_get_u32(cursor) : hello->oldest;
    hello->instance = unknown > 1 ? wire_get_u64(cursor) : 0;
    hello->counter = unknown > 2 ? wire_get_u64(cursor) : 0;
    hello->heard = unknown > 3 ? wire_get_u64(cursor) : 0;
    return wire_fields_close(cursor, unknown > HELLO_FIELDS_NEW ? unknown - HELLO_FIELDS_NEW : 0);
}

struct wire_hello wire_hello_own(uint8_t role)
{
    return (struct wire_hello){
        .oldest = WIRE_VERSION_OLDEST, .role = role, .newest = wire_version_newest()};
}

uint32_t wire_hello_version(const struct wire_hello *hello)
{
    uint32_t own = wire_version_newest(), version = hello->newest < own ? hello->newest : own;

    return version >= hello->oldest && version >= WIRE_VERSION_OLDEST ? version : 0;
}

void wire_hello_why(const struct wire_hello *hello, char why[WIRE_HELLO_WHY_SIZE])
{
    bool newer = hello->oldest > wire_version_newest();

    snprintf(why, WIRE_HELLO_WHY_SIZE,
             "it speaks versions %u to %u, this program %u to %u: upgrade %s", hello->oldest,
             hello->newest, WIRE_VERSION_OLDEST, wire_version_newest(),
             newer ? "this one" : "the other one");
}
