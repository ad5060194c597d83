/* Filename: the names of a shard's files, made and read in one place.
 *
 *   MANIFEST, MANIFEST.new        the list of files; its replacement while it is written
 *   journal-0000000001.log        a journal segment, by its number (at least 10 digits)
 *   journal-0000000001.hint       its hint, once it is retired
 *   p0041-0000000007.cask         a cask, by partition (at least 4 digits) and number
 *   p0041-0000000007.hint         its hint
 *
 * Paths are relative to the vfs; a path that would exceed VFS_PATH_SIZE_MAX is -ENAMETOOLONG. */
#ifndef STORAGE_FILENAME_H
#define STORAGE_FILENAME_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/vfs.h"

#define FILENAME_PATH_SIZE    (VFS_PATH_SIZE_MAX + 1u)
#define FILENAME_MANIFEST     "MANIFEST"
#define FILENAME_MANIFEST_NEW "MANIFEST.new"
#define FILENAME_OWNER        "OWNER" /* who has the folder writes it: replication/owners.h */
#define FILENAME_OWNER_NEW    "OWNER.tmp"

/* Writes "<folder>/<name>". Returns 0 or -ENAMETOOLONG. */
int filename_join(char out[FILENAME_PATH_SIZE], const char *folder, const char *name);
/* Writes "<folder>/journal-<number>.log". */
int filename_journal(char out[FILENAME_PATH_SIZE], const char *folder, uint64_t number);
/* True when name (no folder) is exactly what filename_journal() makes of *number. */
bool filename_is_journal(const char *name, uint64_t *number);

/* The same for the other kinds. */
int filename_journal_hint(char out[FILENAME_PATH_SIZE], const char *folder, uint64_t number);
bool filename_is_journal_hint(const char *name, uint64_t *number);
int filename_cask(char out[FILENAME_PATH_SIZE], const char *folder, uint16_t partition,
                  uint64_t number);
bool filename_is_cask(const char *name, uint16_t *partition, uint64_t *number);
int filename_cask_hint(char out[FILENAME_PATH_SIZE], const char *folder, uint16_t partition,
                       uint64_t number);
bool filename_is_cask_hint(const char *name, uint16_t *partition, uint64_t *number);

#endif
