/* Node file: the files of the control plane: GENESIS and MAP, each of which holds an encoded ring
 * map, TICKETS, COUNTERS, GENERATIONS, and OWNER of a shard's folder (owners.h). Each is written
 * whole, synced and renamed; docs/format-datadir.md.
 */
#ifndef REPLICATION_NODE_FILE_H
#define REPLICATION_NODE_FILE_H

#include "storage/vfs.h"

#include <stddef.h>
#include <stdint.h>

struct node_file_kind {
    const char *name, *temporary;
    uint32_t magic;
    const char *folder; /* that both names are in; ".": the data directory itself */
};
extern const struct node_file_kind node_file_genesis, node_file_map, node_file_tickets,
    node_file_counters, node_file_generations;

struct node_file {
    uint16_t state; /* GENESIS: how far the founding is */
    uint8_t *blob;
    size_t size;
};

/* Durable when it returns 0; otherwise what was there is there, or this. -errno. */
int node_file_write(struct vfs *vfs, const struct node_file_kind *kind,
                    const struct node_file *file);
/* file->blob is to be freed by the caller. 0, -ENOENT, -EBADMSG: damaged, -EPROTO: newer, or
 * -errno. */
int node_file_read(struct vfs *vfs, const struct node_file_kind *kind, struct node_file *file);
/* The one of these files, or what is to become one or was one, that cannot be opened for this
 * -errno: what reading or writing them ended with. NULL: none. */
const char *node_file_culprit(struct vfs *vfs, int error);

#endif
