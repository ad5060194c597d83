#include "cli/command.h"
#include "cli/output.h"
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
    unsigned files;
};

static void inspect_one(struct inspection *inspection, const char *path)
{
    int r = inspect_path(path, stdout, inspection->json);
    enum exit_code code = EXIT_CODE_FAILED;

    inspection->files++;
    switch (r) {
    case INSPECT_E_OK:
        return;
    case INSPECT_E_DAMAGED:
        arguments_error(inspection->arguments, "%s is damaged", path);
        break;
    case INSPECT_E_UNKNOWN:
        arguments_error(inspection->arguments,
                        "%s: no journal or manifest, or its first bytes are "
                        "gone",
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

/* A data directory has shard-NN folders, a shard's folder has MANIFEST and journals. */
static int is_ours(const struct dirent *entry)
{
    return strcmp(entry->d_name, "MANIFEST") == 0 || strncmp(entry->d_name, "journal-", 8) == 0 ||
           strncmp(entry->d_name, "shard-", 6) == 0;
}

static void inspect_folder(struct inspection *inspection, const char *folder, unsigned depth)
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
        struct stat status;

        if (snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name) < PATH_MAX &&
            stat(path, &status) == 0) {
            if (!S_ISDIR(status.st_mode))
                inspect_one(inspection, path);
            else if (depth == 0)
                inspect_folder(inspection, path, depth + 1);
        }
        free(entries[i]);
    }
    free(entries);
}

int command_inspect(const struct arguments *arguments)
{
    struct inspection inspection = {.arguments = arguments};
    const char *path = arguments->operands[0];
    const char *format_text = arguments_text(arguments, "output");
    enum output_format format;
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
        inspect_one(&inspection, path);
        return inspection.code;
    }
    inspect_folder(&inspection, path, 0);
    if (inspection.files == 0 && inspection.code == EXIT_CODE_OK) {
        arguments_error(arguments, "%s: nothing of ours in this folder", path);
        return EXIT_CODE_FAILED;
    }
    return inspection.code;
}
