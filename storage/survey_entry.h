/* Survey entry: what survey.c and survey_read.c, which reads the data files, share. Nothing else
 * includes it. */
#ifndef STORAGE_SURVEY_ENTRY_H
#define STORAGE_SURVEY_ENTRY_H

#include "storage/record.h"
#include "storage/survey.h"

/* One put or delete. */
struct survey_entry {
    uint32_t file; /* of survey->files */
    struct hint_entry entry;
};

/* Adds a row named by the last part of path. NULL: no memory. */
struct survey_file *survey_file_add(struct survey *survey, const char *path, enum survey_kind kind);
/* Notes a record of files[file]. 0 or -ENOMEM. */
int survey_entry_add(struct survey *survey, size_t file, const struct record *record,
                     uint32_t offset);
/* What the disk does not give of files[at] is damage of it, and 0; else r. */
int survey_unreadable(struct survey *survey, size_t at, int r);
/* Adds and reads all segments and casks that the manifest lists. 0 or -errno. */
int survey_read_data(struct survey *survey);

#endif
