/* Golden: a small file of every format that is on a disk or a wire, as it was when it was frozen.
 *
 * Each is read, its content compared with what was put into it, and written again from what was
 * read: the bytes must be the same. That is how a release shows that it reads what the one before
 * has written. golden_make writes the files of formats that have none; a file that is there is
 * never written again. When a format changes, its newest version gets a file of its own, and the
 * old file stays, with a check that reads it.
 */
#ifndef TESTS_GOLDEN_GOLDEN_H
#define TESTS_GOLDEN_GOLDEN_H

#include "ring/wire.h"

#include <stddef.h>
#include <stdint.h>

struct golden {
    const char *name; /* of the file: format and version */
    /* Appends what today's code writes; NULL: nothing writes it any more. */
    void (*make)(struct wire_buffer *out);
    /* NULL, or what is wrong with the bytes. */
    const char *(*check)(const uint8_t *bytes, size_t size);
};

/* The list of all, in the files named. X(NAME): golden_NAME.c */
#define GOLDEN_FILES(X) X(record) X(storage) X(data) X(ring) X(link) X(replication) X(wire)
#define GOLDEN_FILE(name)                                                                          \
    extern const struct golden golden_##name[];                                                    \
    extern const size_t golden_##name##_count;
GOLDEN_FILES(GOLDEN_FILE)
#undef GOLDEN_FILE

#define GOLDEN_TEXT_(x) #x
#define GOLDEN_TEXT(x)  GOLDEN_TEXT_(x)
/* In a check: says where and what unless it holds. */
#define GOLDEN_EXPECT(condition)                                                                   \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return __FILE__ ":" GOLDEN_TEXT(__LINE__) ": " #condition;                             \
    } while (0)

/* size bytes: from, from + 1, … */
void golden_fill(uint8_t *bytes, size_t size, uint8_t from);
/* True when the buffer holds those bytes; frees it. */
bool golden_same(struct wire_buffer *buffer, const uint8_t *bytes, size_t size);
/* The whole file of an in-memory vfs: appends it to out; and makes one of bytes. */
struct vfs;
void golden_take_file(struct vfs *vfs, const char *path, struct wire_buffer *out);
void golden_put_file(struct vfs *vfs, const char *path, const uint8_t *bytes, size_t size);

#endif
