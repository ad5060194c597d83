/* Survey: what a shard's folder holds, whether every byte of it checks, and what of it is alive.
 *
 * The manifest says which files there must be. Every listed one is read whole: batches, runs and
 * records of segments, blocks and records of casks, hints against what their data files hold. Of
 * the records of a key the newest is alive, by index, over all files; what was truncated or lies
 * before a floor is dead. Entries that are not committed yet count like the others. A file that the
 * disk does not give is damaged, and the others are read; what was read of it before counts.
 *
 * Straight-line over a vfs, reads only (survey_repair() aside); of a running node's files the ends
 * may look unfinished. Memory: 48 B a record. Owner: one thread.
 */
#ifndef STORAGE_SURVEY_H
#define STORAGE_SURVEY_H

#include "storage/filename.h"
#include "storage/hint.h"
#include "storage/manifest.h"

#define SURVEY_NAME_SIZE 64u

enum survey_kind { SURVEY_MANIFEST, SURVEY_SEGMENT, SURVEY_CASK, SURVEY_HINT };

enum survey_state {
    SURVEY_OK,
    SURVEY_UNLISTED, /* no edit names it: removed at the next start, no damage */
    SURVEY_MISSING,
    SURVEY_DAMAGED,
    SURVEY_NEWER, /* of a newer format */
};

struct survey_file {
    char name[SURVEY_NAME_SIZE];
    enum survey_kind kind;
    enum survey_state state;
    const char *note;   /* static text: what is wrong, or what it is */
    uint16_t partition; /* casks and their hints */
    uint64_t number;    /* not of the manifest */
    uint64_t size;      /* of the file */
    /* Segments and casks: */
    uint64_t records; /* puts and deletes */
    uint64_t tombstones;
    uint64_t live_records;
    uint64_t live_bytes; /* padded records */
    uint64_t dead_bytes;
    /* For hints, to compare: */
    struct hint_subject subject; /* of the data file */
    uint64_t newest_count;       /* keys of the data file */
    uint64_t newest_fold;        /* over the newest record of each key in it */
    bool hint_wanted;
    bool arriving; /* a cask of a snapshot on its way in: nothing in it is alive yet */
};

struct survey_entry;
/* Writes the digest that the store's keydir knows a key by. */
typedef void (*survey_digest)(const void *context, const uint8_t *key, size_t size,
                              struct keydir_digest *out);

struct survey {
    struct vfs *vfs;
    char folder[FILENAME_PATH_SIZE];
    survey_digest digest; /* NULL: unknown; then digests in hints are not compared */
    const void *digest_context;
    struct manifest manifest;
    struct survey_file *files; /* manifest, segments, casks, hints, unlisted ones */
    size_t file_count;
    size_t file_capacity;
    /* While it works: */
    struct survey_entry *entries;
    size_t entry_count;
    size_t entry_capacity;
    struct manifest_span *spans; /* that segments show; the manifest has more */
    size_t span_count;
    size_t span_capacity;
};

/* Surveys the folder. A manifest that cannot be read is its only row. 0 or -errno; to be followed
 * by survey_deinit() in any case. */
int survey_shard(struct survey *survey, struct vfs *vfs, const char *folder, survey_digest digest,
                 const void *digest_context);
/* Makes every hint again that is missing or damaged and whose data file is whole; needs a digest
 * (asserted), and that nobody else writes in the folder. *count: how many were made. The survey
 * still shows what was found. 0 or -errno. */
int survey_repair(struct survey *survey, size_t *count);
/* True when a row is missing, damaged or newer. */
bool survey_is_damaged(const struct survey *survey);
void survey_deinit(struct survey *survey);

const char *survey_kind_name(enum survey_kind kind);
const char *survey_state_name(enum survey_state state);

#endif
