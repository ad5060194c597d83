#include "storage/inspect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/cask.h"
#include "storage/hint.h"
#include "storage/journal_format.h"
#include "storage/manifest.h"

void inspect_bytes(FILE *out, bool json, const uint8_t *bytes, size_t size)
{
    fputc('"', out);
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '"' || bytes[i] == '\\')
            fprintf(out, "\\%c", bytes[i]);
        else if (bytes[i] >= 0x20 && bytes[i] < 0x7F)
            fputc(bytes[i], out);
        else
            fprintf(out, json ? "\\u%04x" : "\\x%02x", bytes[i]);
    }
    fputc('"', out);
}

/* Which reader the first bytes ask for. */
static int file_print(struct vfs_file *file, FILE *out, bool json)
{
    uint8_t head[JOURNAL_BLOCK_SIZE];
    struct journal_segment_header header;
    struct hint_subject subject;
    struct cask_info cask;
    int64_t got = vfs_pread(file, head, sizeof(head), 0);
    int r;

    if (got < 0)
        return (int)got;
    r = journal_segment_header_decode(head, (size_t)got, &header);
    if (r == JOURNAL_FORMAT_E_NEWER)
        return INSPECT_E_NEWER;
    if (r == 0)
        return inspect_journal(file, out, json);
    r = cask_header_decode(head, (size_t)got, &cask);
    if (r == CASK_E_NEWER)
        return INSPECT_E_NEWER;
    if (r == 0)
        return inspect_cask(file, out, json);
    r = hint_header_decode(head, (size_t)got, &subject);
    if (r == HINT_E_NEWER)
        return INSPECT_E_NEWER;
    if (r == 0)
        return inspect_hint(file, out, json);
    r = manifest_header_decode(head, (size_t)got);
    if (r == MANIFEST_E_NEWER)
        return INSPECT_E_NEWER;
    return r == 0 ? inspect_manifest(file, out, json) : INSPECT_E_UNKNOWN;
}

int inspect_file(struct vfs *vfs, const char *path, FILE *out, bool json)
{
    struct vfs_file *file = NULL;
    int r = vfs_open(vfs, path, VFS_OPEN_READ, &file);

    if (r < 0)
        return r;
    r = file_print(file, out, json);
    vfs_close(file);
    return r;
}

int inspect_path(const char *path, FILE *out, bool json)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    struct vfs *vfs = NULL;
    int r;

    if (!folder)
        return -ENOMEM;
    r = vfs_posix_open(&vfs, folder);
    free(folder);
    if (r < 0)
        return r;
    r = inspect_file(vfs, name, out, json);
    vfs_posix_close(vfs);
    return r;
}
