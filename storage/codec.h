/* Codec: little-endian integers to and from bytes. Everything on disk and wire goes through here;
 * no struct is ever cast onto bytes. The callers check that the bytes are there. */
#ifndef STORAGE_CODEC_H
#define STORAGE_CODEC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define CODEC_LE16(v) (v)
#define CODEC_LE32(v) (v)
#define CODEC_LE64(v) (v)
#else
#define CODEC_LE16(v) __builtin_bswap16(v)
#define CODEC_LE32(v) __builtin_bswap32(v)
#define CODEC_LE64(v) __builtin_bswap64(v)
#endif

static inline void codec_put_u8(uint8_t *out, uint8_t v)
{
    *out = v;
}
static inline void codec_put_u16(uint8_t *out, uint16_t v)
{
    const uint16_t bytes = CODEC_LE16(v);

    memcpy(out, &bytes, sizeof(bytes));
}
static inline void codec_put_u32(uint8_t *out, uint32_t v)
{
    const uint32_t bytes = CODEC_LE32(v);

    memcpy(out, &bytes, sizeof(bytes));
}
static inline void codec_put_u64(uint8_t *out, uint64_t v)
{
    const uint64_t bytes = CODEC_LE64(v);

    memcpy(out, &bytes, sizeof(bytes));
}
static inline uint8_t codec_get_u8(const uint8_t *in)
{
    return *in;
}
static inline uint16_t codec_get_u16(const uint8_t *in)
{
    uint16_t v;

    memcpy(&v, in, sizeof(v));
    return CODEC_LE16(v);
}
static inline uint32_t codec_get_u32(const uint8_t *in)
{
    uint32_t v;

    memcpy(&v, in, sizeof(v));
    return CODEC_LE32(v);
}
static inline uint64_t codec_get_u64(const uint8_t *in)
{
    uint64_t v;

    memcpy(&v, in, sizeof(v));
    return CODEC_LE64(v);
}

#endif
