#include "storage/install.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/grow.h"

void install_room_free(struct install_room *room)
{
    free(room->bytes);
    free(room->records);
    free(room->places);
    free(room->entries);
    *room = (struct install_room){0};
}

void install_reset(struct install *install)
{
    assert(!install->file && !install->writing);
    install->used = 0;
    install->count = 0;
    install->info = (struct manifest_cask){0};
    install->key_id = 0;
    install->sorted = false;
    install->place_count = 0;
    install->entry_count = 0;
    install->at = 0;
}

void install_free(struct install *install)
{
    if (install->writing)
        cask_writer_end(&install->writer);
    install->writing = false;
    vfs_close(install->file);
    install->file = NULL;
    install_room_free(&install->room);
    install->used = install->count = install->place_count = install->entry_count = 0;
}

int install_reserve(struct install *install, size_t size)
{
    return GROW(install->room.bytes, install->room.capacity, size);
}

int install_add(struct install *install, const uint8_t *bytes, size_t size,
                const struct keydir_digest *digests, size_t count)
{
    struct install_room *room = &install->room;
    size_t at = 0;
    int r;

    if (count == 0)
        return 0;
    r = install_reserve(install, install->used + size);
    if (r == 0)
        r = GROW(room->records, room->record_capacity, install->count + count);
    if (r == 0)
        r = GROW(room->places, room->place_capacity, install->count + count);
    if (r != 0)
        return r;
    memcpy(room->bytes + install->used, bytes, size);
    for (size_t i = 0; i < count; i++) {
        struct record record;

        r = record_decode_header(bytes + at, size - at, &record);
        assert(r == 0 && record.partition == install->partition);
        room->records[install->count + i] =
            (struct install_record){.entry = {.partition = record.partition,
                                              .expires = (record.flags & RECORD_FLAG_EXPIRES) != 0,
                                              .digest = digests[i],
                                              .index = record.index,
                                              .size = (uint32_t)record_size_padded(&record)},
                                    .at = install->used + at,
                                    .key_at = install->used + (size_t)(record.key - bytes),
                                    .key_size = record.key_size};
        if (install->count + i == 0)
            install->key_id = record.key_id;
        else if (install->key_id != record.key_id)
            install->key_id = 0;
        at += record_size_padded(&record);
    }
    assert(at == size);
    install->used += size;
    install->count += count;
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct install_place *left = a, *right = b;
    const struct install_record *one = left->record, *other = right->record;
    int order;

    if (left->head != right->head)
        return left->head < right->head ? -1 : 1;
    order = cask_key_compare(one->key, one->key_size, other->key, other->key_size);
    if (order != 0)
        return order;
    return one->entry.index > other->entry.index ? -1 : one->entry.index < other->entry.index;
}

/* Sets their keys, and tells how many bytes all of them begin with alike. */
static size_t keys_set(struct install *install)
{
    const struct install_record *first = install->room.records;
    size_t alike = install->count > 0 ? first->key_size : 0;

    for (size_t i = 0; i < install->count; i++) {
        struct install_record *record = &install->room.records[i];
        size_t same = 0;

        record->key = install->room.bytes + record->key_at;
        while (same < alike && same < record->key_size && record->key[same] == first->key[same])
            same++;
        alike = same;
    }
    return alike;
}

static uint64_t key_head(const struct install_record *record, size_t from)
{
    uint64_t head = 0;

    for (size_t i = from; i < from + sizeof head; i++)
        head = head << 8 | (i < record->key_size ? record->key[i] : 0);
    return head;
}

static void sort(struct install *install)
{
    struct install_place *places = install->room.places;
    size_t alike = keys_set(install), kept = 0;

    for (size_t i = 0; i < install->count; i++) {
        struct install_record *record = &install->room.records[i];

        places[i] = (struct install_place){.head = key_head(record, alike), .record = record};
    }
    if (install->count > 0)
        qsort(places, install->count, sizeof(*places), compare);
    for (size_t i = 0; i < install->count; i++) {
        struct install_record *one = places[i].record;
        const struct install_record *last = kept > 0 ? places[kept - 1].record : NULL;

        if (last && cask_key_compare(last->key, last->key_size, one->key, one->key_size) == 0)
            one->key = NULL;
        else
            places[kept++] = places[i];
    }
    install->place_count = kept;
    install->sorted = true;
}

int install_space_check(struct vfs *vfs, uint64_t bytes, uint64_t reserve)
{
    uint64_t bytes_free = 0;
    int r = vfs_space(vfs, &bytes_free);

    if (r < 0)
        return r;
    return bytes_free < reserve || bytes_free - reserve < bytes ? -ENOSPC : 0;
}

static int file_create(struct install *install, const char *path, struct vfs_file **file)
{
    int r = vfs_open(install->vfs, path, VFS_OPEN_WRITE | VFS_OPEN_CREATE, file);

    return r == 0 ? vfs_truncate(*file, 0) : r;
}

static int begin(struct install *install)
{
    char path[FILENAME_PATH_SIZE];
    int r = install_space_check(install->vfs, install->used, install->space_reserve);

    sort(install);
    if (r == 0)
        r = filename_cask(path, install->folder, install->partition, install->info.number);
    if (r == 0)
        r = file_create(install, path, &install->file);
    if (r == 0)
        r = cask_writer_begin(&install->writer, install->file, install->partition,
                              install->info.number);
    install->writing = r == 0;
    return r;
}

static int records_write(struct install *install)
{
    size_t done = 0;

    while (install->at < install->place_count && done < INSTALL_STEP_SIZE) {
        struct install_record *one = install->room.places[install->at].record;
        int r = cask_writer_add(&install->writer, install->room.bytes + one->at, one->entry.size,
                                &one->entry.offset);
        if (r == CASK_E_CORRUPT)
            return -EBADMSG;
        if (r != 0)
            return r < 0 ? r : -EFBIG; /* a run is far below what a cask takes */
        done += one->entry.size;
        install->at++;
    }
    vfs_sync_soon(install->file);
    return 0;
}

static int finish(struct install *install)
{
    struct manifest_cask *info = &install->info;
    struct cask_info cask;
    int r = cask_writer_finish(&install->writer, &cask);

    cask_writer_end(&install->writer);
    install->writing = false;
    if (r != 0)
        return r;
    vfs_sync_soon(install->file);
    *info = (struct manifest_cask){.partition = install->partition,
                                   .number = info->number,
                                   .stamp = cask.stamp,
                                   .length = cask.length,
                                   .count = cask.count,
                                   .tombstones = cask.tombstones,
                                   .index_min = cask.index_min,
                                   .index_max = cask.index_max,
                                   .key_id = install->key_id};
    return 0;
}

static int hint_fill(struct install *install, struct hint_writer *writer)
{
    struct install_room *room = &install->room;
    size_t count = 0;
    int r = GROW(room->entries, room->entry_capacity, install->place_count);

    if (r != 0)
        return r;
    for (size_t i = 0; i < install->count; i++)
        if (room->records[i].key)
            room->entries[count++] = room->records[i].entry;
    install->entry_count = count > 0 ? hint_entries_sort(room->entries, count) : 0;
    for (size_t i = 0; r == 0 && i < install->entry_count; i++)
        r = hint_writer_add(writer, &room->entries[i]);
    return r == 0 ? hint_writer_finish(writer) : r;
}

static int hint_write(struct install *install, struct vfs_file **file)
{
    struct hint_subject subject = {.kind = HINT_KIND_CASK,
                                   .number = install->info.number,
                                   .stamp = install->info.stamp,
                                   .length = install->info.length};
    char path[FILENAME_PATH_SIZE];
    struct hint_writer writer;
    int r = filename_cask_hint(path, install->folder, install->partition, install->info.number);

    if (r == 0)
        r = file_create(install, path, file);
    if (r == 0)
        r = hint_writer_begin(&writer, *file, &subject);
    if (r == 0) {
        r = hint_fill(install, &writer);
        hint_writer_end(&writer);
    }
    return r;
}

/* What is left of cask, hint and names, and then all of them durable. */
static int close_files(struct install *install)
{
    struct vfs_file *hint = NULL;
    int r = finish(install);

    if (r == 0)
        r = hint_write(install, &hint);
    if (r == 0)
        r = vfs_sync(install->file);
    if (r == 0)
        r = vfs_sync(hint);
    vfs_close(hint);
    return r == 0 ? vfs_sync_dir(install->vfs, install->folder) : r;
}

int install_step(struct install *install)
{
    int r = 0;

    assert(install->info.number > 0);
    if (!install->sorted)
        r = begin(install);
    if (r == 0)
        r = records_write(install);
    if (r != 0)
        return r;
    return install->at == install->place_count ? close_files(install) : INSTALL_E_MORE;
}

void install_remove(struct install *install)
{
    char path[FILENAME_PATH_SIZE];

    if (install->writing)
        cask_writer_end(&install->writer);
    install->writing = false;
    vfs_close(install->file);
    install->file = NULL;
    /* What stays after a failure goes when the store is opened next: nothing lists it. */
    if (filename_cask(path, install->folder, install->partition, install->info.number) == 0)
        (void)vfs_remove(install->vfs, path);
    if (filename_cask_hint(path, install->folder, install->partition, install->info.number) == 0)
        (void)vfs_remove(install->vfs, path);
}
