/* Map view: what GENESIS or MAP of a data directory holds. */
#ifndef CLI_MAP_VIEW_H
#define CLI_MAP_VIEW_H

#include "cli/exit_code.h"
#include "cli/options.h"
#include "cli/output.h"

/* By its name. */
bool map_view_is_for(const char *path);
/* Prints and verifies the file; says what is wrong. */
enum exit_code map_view(const struct arguments *arguments, const char *path,
                        enum output_format format);

#endif
