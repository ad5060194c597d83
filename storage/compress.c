#include "storage/compress.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zdict.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "storage/codec.h"
#include "storage/record.h"

#define SAVING_SHARE          16u /* a sixteenth at least must be saved */
#define DICTIONARY_MAGIC_SIZE 4u

struct compress {
    ZSTD_CCtx *encoder;
    ZSTD_DCtx *decoder;
};

struct compress_dictionary {
    ZSTD_CDict *encoder; /* NULL: for decompression only */
    ZSTD_DDict *decoder;
    size_t size;
    uint8_t bytes[];
};

struct compress *compress_new(void)
{
    struct compress *context = calloc(1, sizeof *context);

    if (!context)
        return NULL;
    context->encoder = ZSTD_createCCtx();
    context->decoder = ZSTD_createDCtx();
    if (!context->encoder || !context->decoder)
        return compress_free(context);
    return context;
}

struct compress *compress_free(struct compress *context)
{
    if (context) {
        ZSTD_freeCCtx(context->encoder);
        ZSTD_freeDCtx(context->decoder);
    }
    free(context);
    return NULL;
}

/* What zstd makes of a dictionary has one answer for bad bytes and for no memory, so bad bytes are
 * looked for first: both what an encoder and what a decoder reads of them. */
static int dictionary_check(const uint8_t *bytes, size_t size)
{
    static const uint8_t empty[] = {0x28, 0xB5, 0x2F, 0xFD, 0x20, 0x00, 0x01, 0x00, 0x00};
    ZSTD_DCtx *decoder;
    uint8_t nothing;
    size_t r;

    if (size < DICTIONARY_MAGIC_SIZE || codec_get_u32(bytes) != ZSTD_MAGIC_DICTIONARY)
        return COMPRESS_E_CORRUPT;
    r = ZDICT_getDictHeaderSize(bytes, size);
    if (ZDICT_isError(r))
        return ZSTD_getErrorCode(r) == ZSTD_error_memory_allocation ? -ENOMEM : COMPRESS_E_CORRUPT;
    decoder = ZSTD_createDCtx();
    if (!decoder)
        return -ENOMEM;
    r = ZSTD_decompress_usingDict(decoder, &nothing, 0, empty, sizeof empty, bytes, size);
    ZSTD_freeDCtx(decoder);
    return ZSTD_isError(r) ? COMPRESS_E_CORRUPT : 0;
}

int compress_dictionary_new(const uint8_t *bytes, size_t size, int level,
                            struct compress_dictionary **out)
{
    struct compress_dictionary *dictionary;
    int r;

    assert(level >= 0 && level <= COMPRESS_LEVEL_MAX);
    *out = NULL;
    r = dictionary_check(bytes, size);
    if (r != 0)
        return r;
    dictionary = calloc(1, sizeof *dictionary + size);
    if (!dictionary)
        return -ENOMEM;
    memcpy(dictionary->bytes, bytes, size);
    dictionary->size = size;
    dictionary->decoder = ZSTD_createDDict(bytes, size);
    if (level > 0)
        dictionary->encoder = ZSTD_createCDict(bytes, size, level);
    if (!dictionary->decoder || (level > 0 && !dictionary->encoder)) {
        compress_dictionary_free(dictionary);
        return -ENOMEM;
    }
    *out = dictionary;
    return 0;
}

struct compress_dictionary *compress_dictionary_free(struct compress_dictionary *dictionary)
{
    if (dictionary) {
        ZSTD_freeCDict(dictionary->encoder);
        ZSTD_freeDDict(dictionary->decoder);
    }
    free(dictionary);
    return NULL;
}

void compress_dictionary_retire(struct compress_dictionary *dictionary)
{
    ZSTD_freeCDict(dictionary->encoder);
    dictionary->encoder = NULL;
}

const uint8_t *compress_dictionary_bytes(const struct compress_dictionary *dictionary, size_t *size)
{
    *size = dictionary->size;
    return dictionary->bytes;
}

/* Parameters of a frame; errors come out of the compression. */
static void encoder_set(ZSTD_CCtx *encoder, const struct compress_dictionary *dictionary, int level)
{
    ZSTD_CCtx_reset(encoder, ZSTD_reset_session_and_parameters);
    ZSTD_CCtx_setParameter(encoder, ZSTD_c_dictIDFlag, 0);
    if (dictionary)
        ZSTD_CCtx_refCDict(encoder, dictionary->encoder);
    else
        ZSTD_CCtx_setParameter(encoder, ZSTD_c_compressionLevel, level);
}

int compress_value(struct compress *context, const struct compress_dictionary *dictionary,
                   int level, const uint8_t *bytes, size_t size, uint8_t *out, size_t *out_size)
{
    size_t saving = size / SAVING_SHARE > RECORD_ALIGN ? size / SAVING_SHARE : RECORD_ALIGN;
    size_t r;

    assert(dictionary || (level >= COMPRESS_LEVEL_MIN && level <= COMPRESS_LEVEL_MAX));
    assert(!dictionary || dictionary->encoder);
    if (size <= saving)
        return COMPRESS_E_PLAIN;
    encoder_set(context->encoder, dictionary, level);
    r = ZSTD_compress2(context->encoder, out, size - saving, bytes, size);
    if (!ZSTD_isError(r)) {
        *out_size = r;
        return 0;
    }
    return ZSTD_getErrorCode(r) == ZSTD_error_memory_allocation ? -ENOMEM : COMPRESS_E_PLAIN;
}

int compress_plain_size(const uint8_t *bytes, size_t size, size_t size_max, size_t *plain_size)
{
    unsigned long long claimed = ZSTD_getFrameContentSize(bytes, size);

    /* Unknown and error are the two largest numbers. */
    if (claimed == 0 || claimed > size_max)
        return COMPRESS_E_CORRUPT;
    *plain_size = (size_t)claimed;
    return 0;
}

int compress_expand(struct compress *context, const struct compress_dictionary *dictionary,
                    const uint8_t *bytes, size_t size, uint8_t *out, size_t plain_size)
{
    size_t r;

    if (dictionary)
        r = ZSTD_decompress_usingDDict(context->decoder, out, plain_size, bytes, size,
                                       dictionary->decoder);
    else
        r = ZSTD_decompressDCtx(context->decoder, out, plain_size, bytes, size);
    return r == plain_size ? 0 : COMPRESS_E_CORRUPT;
}

int compress_train(const uint8_t *samples, const size_t *sizes, unsigned count, uint8_t *out,
                   size_t *out_size)
{
    size_t r = ZDICT_trainFromBuffer(out, COMPRESS_DICTIONARY_SIZE_MAX, samples, sizes, count);

    if (!ZDICT_isError(r)) {
        *out_size = r;
        return 0;
    }
    return ZSTD_getErrorCode(r) == ZSTD_error_memory_allocation ? -ENOMEM : COMPRESS_E_NONE;
}
