/* Store scene: a small shard on a vfs_crash, and a map of whose harm each byte of its journal is.
 */
#ifndef TESTS_STORE_SCENE_H
#define TESTS_STORE_SCENE_H

#include "store_host.h"
#include "vfs_crash.h"

#define JOURNAL  "shard-00/journal-0000000001.log"
#define MANIFEST "shard-00/MANIFEST"

/* Where the batches of the scene lie, and whose each byte is. */
enum owner { OWNER_NOBODY = 100, OWNER_SHARD, OWNER_TAIL };
struct scene {
    struct vfs *vfs;
    struct host host;
    uint32_t end;    /* of the data */
    uint32_t tail;   /* where the last batch, the lone mark, begins */
    uint8_t *owners; /* of each byte up to end */
};

/* Three batches of entries and a mark behind them, all synced; closed. */
void scene_make(struct scene *scene);
void scene_free(struct scene *scene);

#endif
