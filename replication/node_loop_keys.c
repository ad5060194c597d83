/* Node loop: the data keys of an encrypted cluster. They come in boxes of the ring map. */
#include "replication/node_loop_internal.h"

#include <errno.h>

/* Of data key number i; NULL: none. */
static const uint8_t *own_box(const struct node_loop *loop, const struct ringmap *map, uint32_t i)
{
    return ringmap_box(map, i, node_member(loop->node));
}

static bool takes_part(const struct node_loop *loop, const struct ringmap *map)
{
    return ringmap_takes_part(ringmap_member(map, node_member(loop->node))->state);
}

/* A key that this node has not got is told: records under it are read by others. */
void loop_keys_take(struct node_loop *loop, const struct ringmap *map)
{
    uint8_t before = loop->vault.current, newest = before;

    for (uint32_t i = 0; i < map->key_count; i++) {
        const uint8_t *box = own_box(loop, map, i);
        uint8_t id = map->key_ids[i];

        if (loop->vault.known[id])
            continue;
        if (box && vault_unwrap(&loop->vault, id, loop->identity.dh_public,
                                loop->identity.dh_secret, box) == 0)
            newest = id > newest ? id : newest;
        else if (box || takes_part(loop, map))
            loop_log("error", "data_key_refused",
                     "key_id=%u next=\"the ring map holds no box of it that this node's IDENTITY "
                     "opens: ring-admin rotate-key makes another\"",
                     id);
    }
    if (newest == before)
        return;
    vault_use(&loop->vault, newest);
    if (before)
        loop_log("info", "data_key", "key_id=%u epoch=%llu", newest,
                 (unsigned long long)map->epoch);
}

static bool has_box(const struct node_loop *loop, const struct ringmap *map)
{
    for (uint32_t i = 0; i < map->key_count; i++)
        if (own_box(loop, map, i))
            return true;
    return false;
}

int loop_keys_open(struct node_loop *loop, const struct ringmap *map)
{
    loop_keys_take(loop, map);
    if (map->key_count == 0 || loop->vault.current)
        return LOOP_KEYS_E_OK;
    if (has_box(loop, map)) {
        loop_log("error", "data_key_missing",
                 "next=\"GENESIS and MAP hold no data key that this node's IDENTITY opens: restore "
                 "all from the same copy\"");
        return -EACCES;
    }
    if (takes_part(loop, map))
        loop_log("error", "data_key_missing",
                 "member=%u next=\"the ring map holds no data key for this node, which hosts "
                 "nothing: ring-admin rotate-key gives it all of them\"",
                 loop->member);
    else
        loop_log("info", "data_key_awaited",
                 "member=%u next=\"the data keys come with the plan that takes this node in: "
                 "ring-admin plan join %u\"",
                 loop->member, loop->member);
    return LOOP_KEYS_E_NONE;
}

int loop_keys_wrap(void *context, uint8_t key_id, const uint8_t public_key[RINGMAP_KEY_SIZE],
                   uint8_t box[RINGMAP_BOX_SIZE])
{
    const struct node_loop *loop = context;
    uint8_t exchange[IDENTITY_PUBLIC_SIZE];

    if (!atomic_load(&loop->vault.known[key_id]) || identity_dh_public(exchange, public_key) != 0 ||
        vault_wrap(key_id, loop->vault.keys[key_id], exchange, box) != 0)
        return -EBADMSG;
    return 0;
}
