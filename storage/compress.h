/* Compress: values as zstd frames, one a record, alone or with a dictionary of their partition.
 *
 * The idea: a small value has little in it that repeats, so by itself it hardly shrinks and costs a
 * frame's tables; what values of one partition have in common is put into a dictionary once. The
 * codec byte of a record says how its value is stored: 0 plain, 1 zstd, 1 + n zstd with dictionary
 * n of the partition, n = 1 … COMPRESS_DICTIONARIES_MAX. A frame carries the size of its content,
 * no checksum (the record has one) and no dictionary id (the codec says it).
 *
 * What does not shrink by a sixteenth, and by RECORD_ALIGN at least, stays plain. Bytes that come
 * in are not trusted: the size that a frame claims is checked before anything is allocated for it,
 * and no more than that is ever written.
 *
 * Owner: one thread a struct compress; dictionaries are read only and may be shared. The outcome
 * depends on the input, the level and the version of libzstd only.
 */
#ifndef STORAGE_COMPRESS_H
#define STORAGE_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMPRESS_LEVEL_MIN           1
#define COMPRESS_LEVEL_MAX           19
#define COMPRESS_DICTIONARIES_MAX    4u
#define COMPRESS_DICTIONARY_SIZE_MAX 2048u

enum compress_codec {
    COMPRESS_CODEC_PLAIN = 0,
    COMPRESS_CODEC_ZSTD = 1,
    COMPRESS_CODEC_MAX = COMPRESS_CODEC_ZSTD + COMPRESS_DICTIONARIES_MAX,
};

enum compress_e {
    COMPRESS_E_OK,
    COMPRESS_E_PLAIN,   /* it does not pay: store it as it is */
    COMPRESS_E_CORRUPT, /* no frame, or one that claims too much, or other bytes than it claims;
                         * or no dictionary */
    COMPRESS_E_NONE,    /* the samples have nothing in common */
};

struct compress;
struct compress_dictionary;

struct compress *compress_new(void);                      /* NULL: no memory */
struct compress *compress_free(struct compress *context); /* returns NULL */

/* bytes are copied. level: for compression with it; 0: only for decompression. Returns 0,
 * COMPRESS_E_CORRUPT when zstd takes the bytes for no dictionary, or -ENOMEM. */
int compress_dictionary_new(const uint8_t *bytes, size_t size, int level,
                            struct compress_dictionary **dictionary);
struct compress_dictionary *compress_dictionary_free(struct compress_dictionary *dictionary);
/* For decompression only from now on: most of its memory goes. */
void compress_dictionary_retire(struct compress_dictionary *dictionary);
/* As they were given; borrowed as long as the dictionary lives. */
const uint8_t *compress_dictionary_bytes(const struct compress_dictionary *dictionary,
                                         size_t *size);

/* Compresses bytes to out, which has room for `size` bytes. dictionary: NULL for none; else its
 * level counts. Returns 0, COMPRESS_E_PLAIN, or -ENOMEM. */
int compress_value(struct compress *context, const struct compress_dictionary *dictionary,
                   int level, const uint8_t *bytes, size_t size, uint8_t *out, size_t *out_size);
/* The size that the frame claims for its content: 1 … size_max. 0 or COMPRESS_E_CORRUPT. */
int compress_plain_size(const uint8_t *bytes, size_t size, size_t size_max, size_t *plain_size);
/* Writes exactly plain_size bytes, as compress_plain_size() gave it. 0 or COMPRESS_E_CORRUPT; what
 * out holds then is undefined. */
int compress_expand(struct compress *context, const struct compress_dictionary *dictionary,
                    const uint8_t *bytes, size_t size, uint8_t *out, size_t plain_size);

/* Makes a dictionary of samples that lie one behind the other. out has room for
 * COMPRESS_DICTIONARY_SIZE_MAX bytes. Takes milliseconds: for an I/O thread. Returns 0,
 * COMPRESS_E_NONE or -ENOMEM. */
int compress_train(const uint8_t *samples, const size_t *sizes, unsigned count, uint8_t *out,
                   size_t *out_size);

#endif
