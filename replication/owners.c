#include "replication/owners.h"

#include "replication/node_file.h"
#include "storage/codec.h"
#include "storage/filename.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* GENERATIONS: u64 for each shard. OWNER: the key, u16 shard, u64 generation. */
#define ITEM_SIZE     8u
#define AT_SHARD      RINGMAP_KEY_SIZE
#define AT_GENERATION (AT_SHARD + 2u)
#define OWNER_SIZE    (AT_GENERATION + 8u)

struct owner_kind {
    struct node_file_kind kind;
    char folder[DATADIR_FOLDER_SIZE];
    char name[DATADIR_FOLDER_SIZE + sizeof FILENAME_OWNER];
    char temporary[DATADIR_FOLDER_SIZE + sizeof FILENAME_OWNER_NEW];
};

static const struct node_file_kind *owner_kind_of(struct owner_kind *owner, uint16_t shard)
{
    datadir_shard_folder(owner->folder, shard);
    (void)snprintf(owner->name, sizeof owner->name, "%s/" FILENAME_OWNER, owner->folder);
    (void)snprintf(owner->temporary, sizeof owner->temporary, "%s/" FILENAME_OWNER_NEW,
                   owner->folder);
    owner->kind = (struct node_file_kind){owner->name, owner->temporary, 0x4E574F52u /* ROWN */,
                                          owner->folder};
    return &owner->kind;
}

int owners_read(struct owners *owners, struct vfs *vfs, const uint8_t key[RINGMAP_KEY_SIZE],
                uint16_t shards)
{
    struct node_file file = {0};
    int r = node_file_read(vfs, &node_file_generations, &file);

    assert(shards >= 1);
    assert(shards <= DATADIR_SHARDS_MAX);
    *owners = (struct owners){.vfs = vfs, .shards = shards};
    memcpy(owners->public_key, key, sizeof owners->public_key);
    if (r != 0)
        return r == -ENOENT ? 0 : r;
    if (file.size != shards * ITEM_SIZE)
        r = -EBADMSG;
    for (uint16_t shard = 0; shard < shards && r == 0; shard++)
        owners->listed[shard] = owners->newest[shard] =
            codec_get_u64(file.blob + shard * ITEM_SIZE);
    free(file.blob);
    return r;
}

static int judge(struct owners *owners, uint16_t shard, const uint8_t *bytes)
{
    uint64_t generation = codec_get_u64(bytes + AT_GENERATION);

    if (memcmp(bytes, owners->public_key, RINGMAP_KEY_SIZE) != 0)
        return OWNERS_E_OTHER_NODE;
    if (codec_get_u16(bytes + AT_SHARD) != shard)
        return OWNERS_E_OTHER_SHARD;
    if (generation < owners->listed[shard])
        return OWNERS_E_OLDER;
    owners->newest[shard] = generation;
    return OWNERS_E_OK;
}

int owners_check(struct owners *owners, uint16_t shard)
{
    struct node_file file = {0};
    struct owner_kind owner;
    int r;

    assert(shard < owners->shards);
    r = node_file_read(owners->vfs, owner_kind_of(&owner, shard), &file);
    if (r == -ENOENT)
        return owners->listed[shard] == 0 ? OWNERS_E_OK : OWNERS_E_MISSING;
    if (r != 0)
        return r == -EBADMSG ? OWNERS_E_DAMAGED : vfs_is_unreadable(r) ? OWNERS_E_UNREADABLE : r;
    r = file.size == OWNER_SIZE ? judge(owners, shard, file.blob) : OWNERS_E_DAMAGED;
    free(file.blob);
    return r;
}

const char *owners_why(int code)
{
    static const char *const texts[] = {"",
#define OWNERS_CAUSE(name, text) text,
                                        OWNERS_CAUSES(OWNERS_CAUSE)
#undef OWNERS_CAUSE
    };

    assert(code > 0);
    assert((size_t)code < sizeof texts / sizeof texts[0]);
    return texts[code];
}

int owners_raise(struct owners *owners, uint16_t shard)
{
    uint8_t bytes[OWNER_SIZE];
    struct node_file file = {.blob = bytes, .size = sizeof bytes};
    struct owner_kind owner;
    int r;

    assert(shard < owners->shards);
    owners->newest[shard]++; /* also when it is not known whether it was written */
    memcpy(bytes, owners->public_key, RINGMAP_KEY_SIZE);
    codec_put_u16(bytes + AT_SHARD, shard);
    codec_put_u64(bytes + AT_GENERATION, owners->newest[shard]);
    r = node_file_write(owners->vfs, owner_kind_of(&owner, shard), &file);
    if (r == 0)
        owners->listed[shard] = owners->newest[shard];
    return r;
}

int owners_write(struct owners *owners)
{
    uint8_t bytes[DATADIR_SHARDS_MAX * ITEM_SIZE];
    struct node_file file = {.blob = bytes, .size = owners->shards * ITEM_SIZE};

    for (uint16_t shard = 0; shard < owners->shards; shard++)
        codec_put_u64(bytes + shard * ITEM_SIZE, owners->listed[shard]);
    return node_file_write(owners->vfs, &node_file_generations, &file);
}
