/* Folder view: what is in a data directory or a shard's folder, as one table or JSON document, and
 * whether all of it checks; with --repair makes hints again. Used by `ringcask inspect`. */
#ifndef CLI_FOLDER_VIEW_H
#define CLI_FOLDER_VIEW_H

#include "cli/options.h"
#include "cli/output.h"

/* True when the folder is a shard's: it has a MANIFEST or journals. */
bool folder_is_shard(const char *path);
/* True when the folder is a data directory: it has IDENTITY or folders of shards. */
bool folder_is_datadir(const char *path);
/* Surveys and prints either kind. Errors go to stderr. */
enum exit_code folder_view(const struct arguments *arguments, const char *path,
                           enum output_format format, bool repair);

#endif
