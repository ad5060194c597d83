#include "cli/data_key.h"

#include "ring/identity.h"
#include "storage/vault.h"

#include <errno.h>

#include <sodium.h>

_Static_assert(RINGMAP_BOX_SIZE == VAULT_WRAPPED_SIZE, "a member's box is a wrapped data key");

int data_key_add(struct ringmap *map, uint8_t id)
{
    uint8_t key[VAULT_KEY_SIZE], dh_public[IDENTITY_PUBLIC_SIZE];
    uint8_t(*boxes)[RINGMAP_BOX_SIZE];
    int r = ringmap_add_key(map, id, &boxes);

    randombytes_buf(key, sizeof key);
    for (uint32_t i = 0; r == 0 && i < map->member_count; i++)
        if (ringmap_takes_part(map->members[i].state) &&
            (identity_dh_public(dh_public, map->members[i].public_key) != 0 ||
             vault_wrap(id, key, dh_public, boxes[i]) != 0))
            r = -EBADMSG;
    sodium_memzero(key, sizeof key);
    return r;
}
