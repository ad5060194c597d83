/* Manifest items: what manifest.c, which makes them, and manifest_apply.c, which takes them, share.
 * Nothing else includes it. */
#ifndef STORAGE_MANIFEST_ITEMS_H
#define STORAGE_MANIFEST_ITEMS_H

#include "storage/manifest.h"

/* Bytes of payload. */
#define MANIFEST_COUNTERS_SIZE    32u
#define MANIFEST_COUNTERS_SIZE_1  24u /* of version 1, which knew no casks */
#define MANIFEST_CASK_ADD_SIZE    48u
#define MANIFEST_CASK_DROP_SIZE   16u
#define MANIFEST_FLOOR_SIZE       16u /* its state follows */
#define MANIFEST_HOST_SIZE        8u  /* UNHOST too */
#define MANIFEST_ENDED_SIZE       16u
#define MANIFEST_INSTALL_SIZE     8u /* its state follows; INSTALL_END has no more */
#define MANIFEST_INSTALL_ADD_SIZE (MANIFEST_CASK_ADD_SIZE + 8u)

/* Where the cask is among manifest->casks, or belongs. */
size_t manifest_cask_at(const struct manifest *manifest, uint16_t partition, uint64_t number);
/* The same for the floor of a partition. */
size_t manifest_floor_at(const struct manifest *manifest, uint16_t partition);
/* The same for what is over of it. */
size_t manifest_ended_at(const struct manifest *manifest, uint16_t partition);

#endif
