#include "storage/casks.h"

#include <errno.h>
#include <stdlib.h>

#include "storage/grow.h"

static void cask_file_free(struct cask_file *cask)
{
    if (cask->reader)
        cask_close(cask->reader);
    free(cask->reader);
    vfs_close(cask->base.file);
    free(cask);
}

void casks_deinit(struct casks *casks)
{
    for (size_t i = 0; i < casks->count; i++)
        cask_file_free(casks->items[i]);
    free(casks->items);
    *casks = (struct casks){0};
}

int casks_add(struct casks *casks, struct data_files *files, const struct manifest_cask *info,
              struct vfs_file *file, struct cask_file **out)
{
    struct cask_file *cask;
    int r;

    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
    r = GROW(casks->items, casks->capacity, casks->count + 1);
    if (r != 0)
        return r;
    cask = calloc(1, sizeof(*cask));
    if (!cask)
        return -ENOMEM;
    cask->base.kind = DATA_FILE_CASK;
    cask->base.number = info->number;
    cask->base.length = info->length;
    cask->base.key_id = info->key_id;
    cask->base.file = file;
    cask->info = *info;
    r = data_files_add(files, &cask->base);
    if (r != 0) {
        free(cask);
        return r;
    }
    casks->items[casks->count++] = cask;
    *out = cask;
    return 0;
}

void casks_remove(struct casks *casks, struct data_files *files, struct cask_file *cask)
{
    size_t i = 0;

    while (casks->items[i] != cask)
        i++;
    casks->items[i] = casks->items[--casks->count];
    data_files_remove(files, &cask->base);
    cask_file_free(cask);
}

uint64_t casks_bytes(const struct casks *casks)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < casks->count; i++)
        bytes += casks->items[i]->base.length;
    return bytes;
}
