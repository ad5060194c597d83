#include "storage/data_file.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "storage/grow.h"

void data_files_deinit(struct data_files *files)
{
    free(files->slots);
    *files = (struct data_files){0};
}

int data_files_add(struct data_files *files, struct data_file *file)
{
    size_t i = files->slot_next;

    while (i < files->slot_count && files->slots[i])
        i++;
    if (i == DATA_FILES_MAX)
        return -ENFILE;
    if (i == files->slot_count) {
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
        if (GROW(files->slots, files->slot_capacity, i + 1) != 0)
            return -ENOMEM;
        files->slot_count++;
    }
    files->slots[i] = file;
    files->slot_next = i + 1;
    files->used++;
    file->slot = (uint16_t)i;
    return 0;
}

void data_files_remove(struct data_files *files, struct data_file *file)
{
    assert(files->slots[file->slot] == file);
    assert(file->pins == 0);
    assert(file->live_records == 0);
    files->slots[file->slot] = NULL;
    files->used--;
    if (file->slot < files->slot_next)
        files->slot_next = file->slot;
}

struct data_file *data_files_at(const struct data_files *files, store_location location)
{
    uint64_t slot = location >> DATA_FILE_LOCATION_BITS;

    return slot < files->slot_count ? files->slots[slot] : NULL;
}
