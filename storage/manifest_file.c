#include "storage/manifest.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/checksum.h"
#include "storage/codec.h"

#define MANIFEST_MAGIC       0x4E414D4B53414352ull /* "RCASKMAN" */
#define MANIFEST_GROUP_MAGIC 0x54494445u           /* "EDIT" */

/* --- formats ------------------------------------------------------------------------------- */

static void header_encode(uint8_t *out)
{
    memset(out, 0, MANIFEST_HEADER_SIZE);
    codec_put_u64(out, MANIFEST_MAGIC);
    codec_put_u32(out + 8, MANIFEST_VERSION);
    codec_put_u64(out + 24, checksum(out, 24));
}

int manifest_header_decode(const uint8_t *bytes, size_t size)
{
    uint32_t version;

    if (size < MANIFEST_HEADER_SIZE || codec_get_u64(bytes) != MANIFEST_MAGIC)
        return MANIFEST_E_CORRUPT;
    if (codec_get_u64(bytes + 24) != checksum(bytes, 24))
        return MANIFEST_E_CORRUPT;
    version = codec_get_u32(bytes + 8);
    if (version < MANIFEST_VERSION_MIN)
        return MANIFEST_E_CORRUPT;
    return version <= MANIFEST_VERSION ? MANIFEST_E_OK : MANIFEST_E_NEWER;
}

static size_t group_size(size_t items_size)
{
    return (MANIFEST_GROUP_HEAD_SIZE + items_size + MANIFEST_ALIGN - 1) &
           ~(size_t)(MANIFEST_ALIGN - 1);
}

static uint64_t group_checksum(const uint8_t *bytes, size_t size)
{
    return checksum_pair(bytes, 16, bytes + 24, size - 24, 0);
}

/* The items lie already behind the head. */
static void group_encode(uint8_t *out, size_t size, uint64_t sequence, uint32_t count,
                         size_t items_size)
{
    codec_put_u32(out, MANIFEST_GROUP_MAGIC);
    codec_put_u32(out + 4, (uint32_t)size);
    codec_put_u64(out + 8, sequence);
    codec_put_u32(out + 24, count);
    codec_put_u32(out + 28, (uint32_t)items_size);
    codec_put_u64(out + 16, group_checksum(out, size));
}

int manifest_group_decode(const uint8_t *bytes, size_t size, struct manifest_group *group)
{
    size_t whole, items_size;

    if (size < MANIFEST_GROUP_HEAD_SIZE || codec_get_u32(bytes) != MANIFEST_GROUP_MAGIC)
        return MANIFEST_E_CORRUPT;
    whole = codec_get_u32(bytes + 4);
    items_size = codec_get_u32(bytes + 28);
    if (whole > size || whole > MANIFEST_GROUP_SIZE_MAX || whole != group_size(items_size))
        return MANIFEST_E_CORRUPT;
    if (codec_get_u64(bytes + 16) != group_checksum(bytes, whole))
        return MANIFEST_E_CORRUPT;
    *group = (struct manifest_group){
        .sequence = codec_get_u64(bytes + 8),
        .item_count = codec_get_u32(bytes + 24),
        .items = bytes + MANIFEST_GROUP_HEAD_SIZE,
        .items_size = items_size,
        .size = whole,
    };
    return 0;
}

int manifest_item_decode(const uint8_t *bytes, size_t size, struct manifest_item *item)
{
    size_t payload_size, whole;

    if (size < MANIFEST_ITEM_HEAD_SIZE)
        return MANIFEST_E_CORRUPT;
    payload_size = codec_get_u32(bytes + 4);
    whole = (MANIFEST_ITEM_HEAD_SIZE + payload_size + 7) & ~(size_t)7;
    if (whole > size)
        return MANIFEST_E_CORRUPT;
    *item = (struct manifest_item){
        .kind = codec_get_u16(bytes),
        .payload = bytes + MANIFEST_ITEM_HEAD_SIZE,
        .payload_size = payload_size,
        .size = whole,
    };
    return 0;
}

/* --- reading ------------------------------------------------------------------------------- */

static int file_read(struct vfs *vfs, const char *path, uint8_t **bytes, size_t *size)
{
    struct vfs_file *file = NULL;
    uint64_t length = 0;
    int64_t got = 0;
    int r = vfs_open(vfs, path, VFS_OPEN_READ, &file);

    if (r < 0)
        return r;
    r = vfs_size(file, &length);
    *bytes = r == 0 ? malloc(length > 0 ? (size_t)length : 1) : NULL;
    if (r == 0 && !*bytes)
        r = -ENOMEM;
    if (r == 0)
        got = vfs_pread(file, *bytes, (size_t)length, 0);
    vfs_close(file);
    if (r == 0 && got < 0)
        r = (int)got;
    if (r < 0) {
        free(*bytes);
        *bytes = NULL;
        return r;
    }
    *size = (size_t)got;
    return 0;
}

static int group_apply(struct manifest *manifest, const struct manifest_group *group)
{
    size_t at = 0;

    for (uint32_t i = 0; i < group->item_count; i++) {
        struct manifest_item item;
        int r = manifest_item_decode(group->items + at, group->items_size - at, &item);

        if (r == 0)
            r = manifest_apply(manifest, &item);
        if (r != 0)
            return r;
        at += item.size;
    }
    return at == group->items_size ? 0 : MANIFEST_E_CORRUPT;
}

/* A good, later group at or behind a bad place: what is missing had been durable once. */
static bool group_follows(const uint8_t *bytes, size_t size, size_t at, uint64_t sequence)
{
    for (; at + MANIFEST_GROUP_HEAD_SIZE <= size; at += MANIFEST_ALIGN) {
        struct manifest_group group;

        if (manifest_group_decode(bytes + at, size - at, &group) == 0 && group.sequence > sequence)
            return true;
    }
    return false;
}

static int groups_apply(struct manifest *manifest, const uint8_t *bytes, size_t size)
{
    size_t at = MANIFEST_HEADER_SIZE;

    while (at + MANIFEST_GROUP_HEAD_SIZE <= size) {
        struct manifest_group group;
        int r = manifest_group_decode(bytes + at, size - at, &group);

        if (r == 0 && manifest->sequence > 0 && group.sequence != manifest->sequence + 1)
            r = MANIFEST_E_CORRUPT;
        if (r != 0)
            break;
        r = group_apply(manifest, &group);
        if (r != 0)
            return r;
        manifest->sequence = group.sequence;
        at += group.size;
    }
    /* The state that the file begins with came whole with the rename. */
    if (!manifest->whole || group_follows(bytes, size, at, manifest->sequence))
        return MANIFEST_E_CORRUPT;
    return 0;
}

int manifest_load(struct manifest *manifest, struct vfs *vfs, const char *folder)
{
    char path[FILENAME_PATH_SIZE];
    uint8_t *bytes = NULL;
    size_t size = 0;
    int r = filename_join(path, folder, FILENAME_MANIFEST);

    assert(manifest->sequence == 0);
    if (r == 0)
        r = file_read(vfs, path, &bytes, &size);
    if (r == -ENOENT)
        return MANIFEST_E_ABSENT;
    if (r < 0)
        return r;
    r = manifest_header_decode(bytes, size);
    if (r == 0)
        r = groups_apply(manifest, bytes, size);
    free(bytes);
    manifest->rewrite = true; /* always written anew before it grows: no torn tail stays behind */
    return r;
}

int manifest_settle(struct vfs *vfs, const char *folder)
{
    char path[FILENAME_PATH_SIZE];
    struct vfs_file *file = NULL;
    uint8_t *bytes = NULL;
    size_t size = 0;
    int r = filename_join(path, folder, FILENAME_MANIFEST);

    if (r == 0)
        r = file_read(vfs, path, &bytes, &size);
    if (r == 0)
        r = vfs_open(vfs, path, VFS_OPEN_WRITE, &file);
    if (r == 0)
        r = vfs_pwritev(file, &(struct iovec){.iov_base = bytes, .iov_len = size}, 1, 0);
    if (r == 0)
        r = vfs_sync(file);
    vfs_close(file);
    free(bytes);
    return r == 0 ? vfs_sync_dir(vfs, folder) : r;
}

/* --- writing ------------------------------------------------------------------------------- */

bool manifest_pending(const struct manifest *manifest)
{
    return !manifest->writing && (manifest->queued_size > 0 || manifest->rewrite);
}

/* Bytes of the queued items from `at` on that go into one group, and how many items these are. */
static size_t group_take(const struct manifest *manifest, size_t at, uint32_t *count)
{
    size_t size = 0;

    for (*count = 0; at + size < manifest->queued_size; ++*count) {
        struct manifest_item item;
        int r = manifest_item_decode(manifest->queued + at + size,
                                     manifest->queued_size - at - size, &item);

        assert(r == 0);
        if (group_size(size + item.size) > MANIFEST_GROUP_SIZE_MAX)
            break;
        size += item.size;
    }
    assert(size > 0);
    return size;
}

static size_t groups_size(const struct manifest *manifest)
{
    size_t size = 0, taken;
    uint32_t count;

    for (size_t at = 0; at < manifest->queued_size; at += taken) {
        taken = group_take(manifest, at, &count);
        size += group_size(taken);
    }
    return size;
}

static int write_encode(struct manifest *manifest, struct manifest_write *write)
{
    size_t groups = groups_size(manifest), room = MANIFEST_ROOM_SIZE + groups / 2, taken;
    uint8_t *out;

    /* A new file is written to its full size, so that appends find their space taken already. */
    write->size = groups;
    if (write->rewrite)
        write->size += MANIFEST_HEADER_SIZE + (room & ~(size_t)(MANIFEST_ALIGN - 1));
    write->bytes = calloc(1, write->size);
    if (!write->bytes)
        return -ENOMEM;
    if (write->rewrite)
        header_encode(write->bytes);
    out = write->bytes + (write->rewrite ? MANIFEST_HEADER_SIZE : 0);
    write->sequence = manifest->sequence;
    for (size_t at = 0; at < manifest->queued_size; at += taken) {
        uint32_t count;

        taken = group_take(manifest, at, &count);
        memcpy(out + MANIFEST_GROUP_HEAD_SIZE, manifest->queued + at, taken);
        group_encode(out, group_size(taken), ++write->sequence, count, taken);
        out += group_size(taken);
    }
    write->position_end = write->offset + (size_t)(out - write->bytes);
    return 0;
}

int manifest_write_begin(struct manifest *manifest, struct vfs *vfs, const char *folder,
                         struct manifest_write *write)
{
    size_t group = group_size(manifest->queued_size);
    bool full = manifest->position + group > manifest->capacity || group > MANIFEST_GROUP_SIZE_MAX;
    int r;

    assert(!manifest->writing);
    *write = (struct manifest_write){.vfs = vfs, .edits = manifest->edits};
    strncpy(write->folder, folder, sizeof(write->folder) - 1);
    write->rewrite = manifest->rewrite || full || !manifest->file;
    if (write->rewrite) {
        manifest_spans_prune(manifest);
        r = manifest_queue_state(manifest);
        if (r != 0)
            return r;
    } else {
        write->file = manifest->file;
        write->offset = manifest->position;
    }
    r = write_encode(manifest, write);
    if (r != 0)
        return r;
    manifest->queued_size = 0;
    manifest->queued_count = 0;
    manifest->writing = true;
    return 0;
}

static int write_run_new(struct manifest_write *write)
{
    struct iovec iov = {.iov_base = write->bytes, .iov_len = write->size};
    char path[FILENAME_PATH_SIZE], path_new[FILENAME_PATH_SIZE];
    int r = filename_join(path, write->folder, FILENAME_MANIFEST);

    if (r == 0)
        r = filename_join(path_new, write->folder, FILENAME_MANIFEST_NEW);
    if (r == 0)
        r = vfs_open(write->vfs, path_new, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &write->file);
    if (r < 0)
        return r;
    r = vfs_truncate(write->file, 0);
    if (r == 0)
        r = vfs_pwritev(write->file, &iov, 1, 0);
    if (r == 0)
        r = vfs_sync(write->file);
    if (vfs_is_full(r))
        vfs_remove(write->vfs, path_new); /* gives back what it took; found again at open if not */
    if (r == 0)
        r = vfs_rename(write->vfs, path_new, path);
    if (r == 0)
        r = vfs_sync_dir(write->vfs, write->folder);
    return r;
}

int manifest_write_run(struct manifest_write *write)
{
    struct iovec iov = {.iov_base = write->bytes, .iov_len = write->size};
    int r;

    if (write->rewrite)
        return write_run_new(write);
    r = vfs_pwritev(write->file, &iov, 1, write->offset);
    return r == 0 ? vfs_sync(write->file) : r;
}

void manifest_write_end(struct manifest *manifest, struct manifest_write *write, int result)
{
    assert(manifest->writing);
    manifest->writing = false;
    if (write->rewrite && result == 0) {
        vfs_close(manifest->file);
        manifest->file = write->file;
        manifest->capacity = write->size;
    } else if (write->rewrite) {
        vfs_close(write->file);
    }
    manifest->rewrite = result != 0;
    if (result == 0) {
        manifest->position = write->position_end;
        manifest->sequence = write->sequence;
        manifest->edits_durable = write->edits;
    }
    free(write->bytes);
    *write = (struct manifest_write){0};
}

int manifest_rewrite(struct manifest *manifest, struct vfs *vfs, const char *folder)
{
    struct manifest_write write;
    int r;

    manifest->rewrite = true;
    r = manifest_write_begin(manifest, vfs, folder, &write);
    if (r < 0)
        return r;
    r = manifest_write_run(&write);
    manifest_write_end(manifest, &write, r);
    return r;
}
