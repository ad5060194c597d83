/* Inspect: prints what is in a storage file, and says whether it is whole.
 *
 * Knows journal segments, manifests, casks and hints, by their first bytes. Straight-line over a
 * vfs, writes nothing but `out`. A journal segment is judged by itself: what lies behind its last
 * synced mark is a torn tail and no damage, as in recovery; what lies before it must check. */
#ifndef STORAGE_INSPECT_H
#define STORAGE_INSPECT_H

#include <stdbool.h>
#include <stdio.h>

#include "storage/record.h"
#include "storage/vfs.h"

enum inspect_e {
    INSPECT_E_OK,
    INSPECT_E_DAMAGED, /* printed as far as it goes, with what is wrong */
    INSPECT_E_UNKNOWN, /* no file of ours, or its first bytes are gone; nothing was printed */
    INSPECT_E_NEWER,   /* of a newer format; nothing was printed */
};

/* Prints the file, as text or as one JSON object. An enum inspect_e or -errno. */
int inspect_file(struct vfs *vfs, const char *path, FILE *out, bool json);
/* The same for a path of the operating system. */
int inspect_path(const char *path, FILE *out, bool json);

/* For the files inspect*.c: a value in quotes, what is not printable escaped. */
void inspect_bytes(FILE *out, bool json, const uint8_t *bytes, size_t size);
/* One record at `offset` of its file; count: printed before it in the same list; good: its value
 * checks, too. */
void inspect_record(FILE *out, bool json, const struct record *record, uint32_t offset,
                    uint64_t count, bool good);
int inspect_journal(struct vfs_file *file, FILE *out, bool json);
int inspect_cask(struct vfs_file *file, FILE *out, bool json);
int inspect_hint(struct vfs_file *file, FILE *out, bool json);
int inspect_manifest(struct vfs_file *file, FILE *out, bool json);

#endif
