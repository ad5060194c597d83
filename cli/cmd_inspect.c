#include "cli/command.h"
#include "cli/folder_view.h"
#include "cli/map_view.h"
#include "cli/output.h"
#include "cli/ticket_table.h"
#include "storage/filename.h"
#include "storage/inspect.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct inspection {
    const struct arguments *arguments;
    bool json;
    enum exit_code code; /* of the worst file */
};

static void inspect_one(struct inspection *inspection, const char *path)
{
    int r = inspect_path(path, stdout, inspection->json);
    enum exit_code code = EXIT_CODE_FAILED;

    switch (r) {
    case INSPECT_E_OK:
        return;
    case INSPECT_E_DAMAGED:
        arguments_error(inspection->arguments, "%s is damaged", path);
        break;
    case INSPECT_E_UNKNOWN:
        arguments_error(inspection->arguments,
                        "%s: no journal, cask, hint or manifest, or its first bytes are gone",
                        path);
        break;
    case INSPECT_E_NEWER:
        arguments_error(inspection->arguments, "%s: of a newer format; use the newer version",
                        path);
        code = EXIT_CODE_CONFLICT;
        break;
    default:
        arguments_error(inspection->arguments, "%s: %s", path, strerror(-r));
    }
    inspection->code = code;
}

static int is_ours(const struct dirent *entry)
{
    const char *name = entry->d_name;
    uint16_t partition;
    uint64_t number;

    return strcmp(name, FILENAME_MANIFEST) == 0 || filename_is_journal(name, &number) ||
           filename_is_journal_hint(name, &number) || filename_is_cask(name, &partition, &number) ||
           filename_is_cask_hint(name, &partition, &number);
}

/* Every file of a shard. */
static void inspect_folder(struct inspection *inspection, const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_ours, alphasort);

    if (count < 0) {
        arguments_error(inspection->arguments, "%s: %s", folder, strerror(errno));
        inspection->code = EXIT_CODE_FAILED;
        return;
    }
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX];

        if (snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name) < PATH_MAX)
            inspect_one(inspection, path);
        free(entries[i]);
    }
    free(entries);
}

int command_inspect(const struct arguments *arguments)
{
    struct inspection inspection = {.arguments = arguments};
    const char *path = arguments->operands[0];
    const char *format_text = arguments_text(arguments, "output");
    bool repair = arguments_text(arguments, "repair") != NULL;
    enum output_format format;
    enum exit_code code;
    struct stat status;

    if (!output_format_parse(format_text, &format)) {
        arguments_error(arguments, "--output %s: table or json is needed", format_text);
        return EXIT_CODE_USAGE;
    }
    inspection.json = format == OUTPUT_JSON;
    if (stat(path, &status) != 0) {
        arguments_error(arguments, "%s: %s", path, strerror(errno));
        return EXIT_CODE_FAILED;
    }
    if (!S_ISDIR(status.st_mode)) {
        if (repair) {
            arguments_error(arguments, "--repair needs a data directory or a shard's folder");
            return EXIT_CODE_USAGE;
        }
        if (map_view_is_for(path))
            return map_view(arguments, path, format);
        if (ticket_view_is_for(path))
            return ticket_view(arguments, path, format);
        inspect_one(&inspection, path);
        return inspection.code;
    }
    if (!folder_is_shard(path) && !folder_is_datadir(path)) {
        arguments_error(arguments, "%s: nothing of ours in this folder", path);
        return EXIT_CODE_FAILED;
    }
    if (folder_is_shard(path) && !repair)
        inspect_folder(&inspection, path);
    code = folder_view(arguments, path, format, repair);
    return code != EXIT_CODE_OK ? (int)code : (int)inspection.code;
}
