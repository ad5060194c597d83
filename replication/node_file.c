#include "replication/node_file.h"

#include "replication/node.h"
#include "ring/ringmap.h"
#include "storage/checksum.h"
#include "storage/codec.h"
#include "storage/culprit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* u32 magic, u16 version, u16 state, u32 blob size, u32 zero, blob, u64 checksum of all before.
 * Magic, version and checksum stand there in every version: damage is not taken for a newer one. */
#define FILE_VERSION   1u
#define FILE_HEAD_SIZE 16u
#define FILE_SIZE_MAX  (FILE_HEAD_SIZE + RINGMAP_SIZE_MAX + 8)

const struct node_file_kind node_file_genesis = {"GENESIS", "GENESIS.tmp", 0x4E454752u /* RGEN */,
                                                 "."};
const struct node_file_kind node_file_map = {"MAP", "MAP.tmp", 0x504D4E52u /* RNMP */, "."};
const struct node_file_kind node_file_tickets = {"TICKETS", "TICKETS.tmp", 0x4B434952u /* RICK */,
                                                 "."};
const struct node_file_kind node_file_counters = {"COUNTERS", "COUNTERS.tmp",
                                                  0x54434E52u /* RNCT */, "."};
const struct node_file_kind node_file_generations = {"GENERATIONS", "GENERATIONS.tmp",
                                                     0x534E4752u /* RGNS */, "."};

int node_file_write(struct vfs *vfs, const struct node_file_kind *kind,
                    const struct node_file *file)
{
    size_t total = FILE_HEAD_SIZE + file->size + 8;
    uint8_t *bytes = calloc(1, total);
    struct vfs_file *temporary = NULL;
    struct iovec iov = {bytes, total};
    int r;

    if (!bytes)
        return -ENOMEM;
    codec_put_u32(bytes, kind->magic);
    codec_put_u16(bytes + 4, FILE_VERSION);
    codec_put_u16(bytes + 6, file->state);
    codec_put_u32(bytes + 8, (uint32_t)file->size);
    memcpy(bytes + FILE_HEAD_SIZE, file->blob, file->size);
    codec_put_u64(bytes + total - 8, checksum(bytes, total - 8));
    r = vfs_open(vfs, kind->temporary, VFS_OPEN_WRITE | VFS_OPEN_CREATE, &temporary);
    if (r == 0)
        r = vfs_truncate(temporary, 0);
    if (r == 0)
        r = vfs_pwritev(temporary, &iov, 1, 0);
    if (r == 0)
        r = vfs_sync(temporary);
    vfs_close(temporary);
    if (r == 0)
        r = vfs_rename(vfs, kind->temporary, kind->name);
    if (r == 0)
        r = vfs_sync_dir(vfs, kind->folder);
    free(bytes);
    return r;
}

/* Leaves the blob alone in its bytes. */
static int parse(const struct node_file_kind *kind, uint8_t *bytes, size_t size,
                 struct node_file *file)
{
    if (size < FILE_HEAD_SIZE + 8 || codec_get_u32(bytes) != kind->magic)
        return -EBADMSG;
    if (codec_get_u64(bytes + size - 8) != checksum(bytes, size - 8))
        return -EBADMSG;
    if (codec_get_u16(bytes + 4) > FILE_VERSION)
        return -EPROTO;
    if (size != FILE_HEAD_SIZE + (size_t)codec_get_u32(bytes + 8) + 8)
        return -EBADMSG;
    *file = (struct node_file){
        .state = codec_get_u16(bytes + 6), .blob = bytes, .size = codec_get_u32(bytes + 8)};
    memmove(bytes, bytes + FILE_HEAD_SIZE, file->size);
    return 0;
}

int node_file_read(struct vfs *vfs, const struct node_file_kind *kind, struct node_file *out)
{
    struct vfs_file *file;
    uint8_t *bytes;
    uint64_t size = 0;
    int64_t got;
    int r = vfs_open(vfs, kind->name, VFS_OPEN_READ, &file);

    if (r != 0)
        return r;
    r = vfs_size(file, &size);
    if (r == 0 && size > FILE_SIZE_MAX)
        r = -EBADMSG;
    bytes = r == 0 ? malloc(size ? size : 1) : NULL;
    if (r == 0 && !bytes)
        r = -ENOMEM;
    if (r == 0) {
        got = vfs_pread(file, bytes, size, 0);
        r = got < 0 ? (int)got : (uint64_t)got == size ? 0 : -EIO;
    }
    vfs_close(file);
    if (r == 0)
        r = parse(kind, bytes, size, out);
    if (r != 0)
        free(bytes);
    return r;
}

const char *node_file_culprit(struct vfs *vfs, int error)
{
    const char *const names[] = {node_file_genesis.name,
                                 node_file_map.name,
                                 node_file_tickets.name,
                                 node_file_counters.name,
                                 node_file_generations.name,
                                 NODE_MAP_BAD,
                                 NODE_TICKETS_BAD,
                                 node_file_genesis.temporary,
                                 node_file_map.temporary,
                                 node_file_tickets.temporary,
                                 node_file_counters.temporary,
                                 node_file_generations.temporary};

    return culprit_named(vfs, names, sizeof names / sizeof *names, error);
}
