/* Hint build: makes the hint of a journal segment or of a cask out of the file itself.
 *
 * A segment is read batch by batch. What a later append truncated is left out: appends in the same
 * segment are seen on the way, those in later ones are given as spans. Work comes in steps of about
 * `step_size` bytes of I/O, so that each can be one background job; recovery takes them in a row.
 * The hint goes to its final name at once: it counts only when the manifest says so, or, when it
 * does already, as soon as it checks.
 *
 * Damage does not end the build: all that a file has is found at once, not the next bit of it when
 * the first has been repaired.
 *
 * Owner: one thread at a time, whichever; the data file is borrowed and only read.
 */
#ifndef STORAGE_HINT_BUILD_H
#define STORAGE_HINT_BUILD_H

#include "storage/cask.h"
#include "storage/filename.h"
#include "storage/hint.h"
#include "storage/journal_reader.h"
#include "storage/manifest.h"

enum hint_build_e {
    HINT_BUILD_E_OK,      /* the hint is written and synced, its name too */
    HINT_BUILD_E_MORE,    /* take the next step */
    HINT_BUILD_E_DAMAGED, /* the data file does not check; `bad` says whom that may have hit. No
                             hint was written, the entries of the rest stay with the build */
};

enum hint_build_stage { HINT_BUILD_SCAN, HINT_BUILD_SORT, HINT_BUILD_WRITE, HINT_BUILD_DONE };

struct hint_build_options {
    struct vfs *vfs;
    const char *folder;    /* borrowed as long as the build */
    struct vfs_file *file; /* the data file */
    struct hint_subject subject;
    uint16_t partition; /* of a cask */
    void (*digest)(const void *context, const uint8_t *key, size_t size, struct keydir_digest *out);
    const void *digest_context;
    size_t step_size; /* bytes, > 0 */
};

struct hint_build {
    struct hint_build_options options;
    enum hint_build_stage stage;
    struct hint_entry *entries;
    size_t count, capacity;
    struct manifest_span *spans;
    size_t span_count, span_capacity;
    struct manifest_floor *floors; /* what lies before them is void, and may be damaged */
    size_t floor_count, floor_capacity;
    uint64_t *last; /* by partition number: index of the newest entry read */
    struct journal_reader reader;
    uint32_t offset; /* of the next batch */
    struct cask cask;
    struct cask_cursor cursor;
    struct vfs_file *out;
    struct hint_writer writer;
    size_t written; /* entries */
    uint64_t bytes_done;
    bool cask_opened, writer_begun;
    /* Damage; the whole file is read all the same, so that all of it is found at once. */
    uint32_t *bad; /* by partition number: where the last damage that may hit it ends; 0 and NULL:
                      none */
    bool bad_all;  /* bytes that may be any partition's: they stay bad whatever is repaired */
};

/* 0 or -errno; on failure there is nothing to end. */
int hint_build_begin(struct hint_build *build, const struct hint_build_options *options);
/* What appends elsewhere truncated, and what a snapshot made void; before the first step. 0 or
 * -ENOMEM. */
int hint_build_span(struct hint_build *build, const struct manifest_span *span);
int hint_build_floor(struct hint_build *build, const struct manifest_floor *floor);
/* An enum hint_build_e or -errno; after a failure only hint_build_end() may follow. A hint that was
 * half written is removed. */
int hint_build_step(struct hint_build *build);
/* What has not been scanned, and the disk does not give, counts as damaged: the next steps go on
 * with the rest. HINT_BUILD_E_MORE or -ENOMEM. */
int hint_build_give_up(struct hint_build *build);
void hint_build_end(struct hint_build *build);

#endif
