#include "replication/shard_internal.h"

#include "storage/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A partition's state in a checkpoint or snapshot, behind what the store itself keeps:
 *   u8 version (2), u8 fenced, u16 configuration size, u64 logged time (ms, 0: none),
 *   u64 settled (since version 2): the index up to which a snapshot's content may lag behind,
 *   configuration (raft_config_encode), sessions (sessions_save) to the end. */
#define STATE_VERSION     2u
#define STATE_HEAD_SIZE   20u
#define STATE_HEAD_SIZE_1 12u
#define STATE_FENCED_AT   1u
#define STATE_TIME_AT     4u
#define STATE_SETTLED_AT  12u

static bool state_room(struct shard *shard, size_t size)
{
    uint8_t *grown;

    if (size <= shard->state_capacity)
        return true;
    grown = realloc(shard->state, size);
    if (!grown) {
        shard->fatal = -ENOMEM;
        return false;
    }
    shard->state = grown;
    shard->state_capacity = size;
    return true;
}

bool shard_state_save(struct shard *shard, const struct replica *replica, size_t *size)
{
    uint8_t config[RAFT_CONFIG_SIZE_MAX];
    size_t config_size = raft_config_encode(raft_config_stable(&replica->raft), config);
    size_t sessions_size = sessions_save_size(&replica->sessions);
    /* A switch that is under way may not come to be. */
    const char *fenced = replica->installing ? replica->fenced_before : replica->fenced;

    *size = STATE_HEAD_SIZE + config_size + sessions_size;
    if (!state_room(shard, *size))
        return false;
    shard->state[0] = STATE_VERSION;
    shard->state[STATE_FENCED_AT] = fenced != NULL;
    codec_put_u16(shard->state + 2, (uint16_t)config_size);
    codec_put_u64(shard->state + STATE_TIME_AT, replica->logged_ms);
    codec_put_u64(shard->state + STATE_SETTLED_AT, replica->settled);
    memcpy(shard->state + STATE_HEAD_SIZE, config, config_size);
    sessions_save(&replica->sessions, shard->state + STATE_HEAD_SIZE + config_size);
    return true;
}

void shard_state_settle(uint8_t *state, uint64_t settled)
{
    state[STATE_FENCED_AT] = 0;
    codec_put_u64(state + STATE_SETTLED_AT, settled);
}

static bool open_state(const uint8_t *state, size_t size, struct raft_config *config, size_t *end)
{
    size_t head, config_size;

    if (size < STATE_HEAD_SIZE_1 || state[0] < 1 || state[0] > STATE_VERSION)
        return false;
    head = state[0] == 1 ? STATE_HEAD_SIZE_1 : STATE_HEAD_SIZE;
    config_size = codec_get_u16(state + 2);
    *end = head + config_size;
    return *end <= size && raft_config_decode(state + head, config_size, config) == 0;
}

bool shard_state_sound(const uint8_t *state, size_t size)
{
    struct raft_config config;
    size_t end;

    return open_state(state, size, &config, &end) && state[0] == STATE_VERSION;
}

int shard_state_load(struct shard *shard, struct replica *replica, const uint8_t *state,
                     size_t size, struct raft_config *config, bool *fenced)
{
    size_t end;
    int r;

    if (!open_state(state, size, config, &end))
        return -EBADMSG;
    *fenced = state[STATE_FENCED_AT];
    if (codec_get_u64(state + STATE_TIME_AT) > replica->logged_ms)
        replica->logged_ms = codec_get_u64(state + STATE_TIME_AT);
    replica->settled = state[0] == 1 ? 0 : codec_get_u64(state + STATE_SETTLED_AT);
    r = sessions_load(&replica->sessions, state + end, size - end);
    if (r < 0)
        shard->fatal = r;
    return r == 0 ? 0 : -EBADMSG;
}
