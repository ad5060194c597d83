#include "replication/shard_internal.h"

#include "storage/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A partition's state in a checkpoint or snapshot, behind what the store itself keeps:
 *   u8 version (5), u8 fenced, u16 configuration size, u64 logged time (ms, 0: none),
 *   u64 settled (since version 2): the index up to which a snapshot's content may lag behind,
 *   u64 0 (version 3: index of the dictionary), u64 size of all dictionaries (since version 3),
 *   u64 life of the replica that saved it (since version 5; before it was 1),
 *   configuration (raft_config_encode; nothing while none is known), dictionaries (u16 size, record
 *   as it was logged or sealed again; version 3: the bytes of the only one), sessions
 *   (sessions_save) to the end. */
#define STATE_VERSION         5u
#define STATE_HEAD_SIZE       44u
#define STATE_HEAD_SIZE_4     36u
#define STATE_HEAD_SIZE_2     20u
#define STATE_HEAD_SIZE_1     12u
#define STATE_DICTIONARY_AT   20u
#define STATE_DICTIONARIES_AT 28u
#define STATE_LIFE_AT         36u
#define STATE_FENCED_AT       1u
#define STATE_TIME_AT         4u
#define STATE_SETTLED_AT      12u

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
    const struct raft_config *stable = raft_config_stable(&replica->raft);
    size_t config_size = stable->index > 0 ? raft_config_encode(stable, config) : 0;
    size_t sessions_size = sessions_save_size(&replica->sessions);
    /* A switch that is under way may not come to be. */
    bool fenced = replica_fenced(replica) && (!replica->fence.sound || replica->fence.log_gone);
    size_t dictionaries_size = store_dictionaries_save(shard->store, replica->partition, NULL);
    uint8_t *at;

    *size = STATE_HEAD_SIZE + config_size + dictionaries_size + sessions_size;
    if (!state_room(shard, *size))
        return false;
    shard->state[0] = STATE_VERSION;
    shard->state[STATE_FENCED_AT] = fenced;
    codec_put_u16(shard->state + 2, (uint16_t)config_size);
    codec_put_u64(shard->state + STATE_TIME_AT, replica->logged_ms);
    codec_put_u64(shard->state + STATE_SETTLED_AT, replica->settled);
    codec_put_u64(shard->state + STATE_DICTIONARY_AT, 0);
    codec_put_u64(shard->state + STATE_DICTIONARIES_AT, dictionaries_size);
    codec_put_u64(shard->state + STATE_LIFE_AT, replica->raft.options.self.life);
    at = shard->state + STATE_HEAD_SIZE;
    memcpy(at, config, config_size);
    store_dictionaries_save(shard->store, replica->partition, at + config_size);
    sessions_save(&replica->sessions, at + config_size + dictionaries_size);
    return true;
}

void shard_state_settle(uint8_t *state, uint64_t life, uint64_t settled)
{
    codec_put_u64(state + STATE_LIFE_AT, life);
    state[STATE_FENCED_AT] = 0;
    codec_put_u64(state + STATE_SETTLED_AT, settled);
}

struct opened {
    struct raft_config config;
    const uint8_t *dictionaries, *sessions;
    size_t dictionaries_size, sessions_size;
    uint64_t dictionary_index; /* version 3; else 0 */
};

static bool open_state(const uint8_t *state, size_t size, struct opened *opened)
{
    static const size_t heads[] = {0,
                                   STATE_HEAD_SIZE_1,
                                   STATE_HEAD_SIZE_2,
                                   STATE_HEAD_SIZE_4,
                                   STATE_HEAD_SIZE_4,
                                   STATE_HEAD_SIZE};
    size_t head, config_size;
    uint64_t dictionaries_size;

    *opened = (struct opened){.dictionary_index = 0};
    if (size < STATE_HEAD_SIZE_1 || state[0] < 1 || state[0] > STATE_VERSION)
        return false;
    head = heads[state[0]];
    config_size = codec_get_u16(state + 2);
    if (head + config_size > size ||
        (config_size > 0 && raft_config_decode(state + head, config_size, &opened->config) != 0))
        return false;
    opened->dictionaries = state + head + config_size;
    if (state[0] >= 3) {
        opened->dictionary_index = state[0] == 3 ? codec_get_u64(state + STATE_DICTIONARY_AT) : 0;
        dictionaries_size = codec_get_u64(state + STATE_DICTIONARIES_AT);
        if (dictionaries_size > size - head - config_size ||
            !store_dictionaries_sound(opened->dictionaries, (size_t)dictionaries_size))
            return false;
        opened->dictionaries_size = (size_t)dictionaries_size;
    }
    opened->sessions = opened->dictionaries + opened->dictionaries_size;
    opened->sessions_size = size - (size_t)(opened->sessions - state);
    return true;
}

/* Version 3 kept no record of the one there may be. */
static int load_dictionary_3(struct shard *shard, const struct replica *replica,
                             const struct opened *opened)
{
    struct record record = {.kind = RECORD_KIND_DICTIONARY,
                            .partition = replica->partition,
                            .index = opened->dictionary_index,
                            .sub_count = 1,
                            .value = opened->dictionaries + 2};

    store_dictionaries_clear(shard->store, replica->partition);
    if (opened->dictionaries_size == 0)
        return 0;
    record.value_size = codec_get_u16(opened->dictionaries);
    return store_dictionary_add(shard->store, replica->partition, &record);
}

static int load_dictionaries(struct shard *shard, const struct replica *replica,
                             const struct opened *opened)
{
    if (opened->dictionary_index)
        return load_dictionary_3(shard, replica, opened);
    return store_dictionaries_load(shard->store, replica->partition, opened->dictionaries,
                                   opened->dictionaries_size);
}

bool shard_state_sound(const uint8_t *state, size_t size)
{
    struct opened opened;

    return open_state(state, size, &opened) && state[0] == STATE_VERSION && opened.config.index > 0;
}

uint64_t shard_state_life(const uint8_t *state, size_t size)
{
    struct opened opened;

    if (!open_state(state, size, &opened))
        return 0;
    return state[0] == STATE_VERSION ? codec_get_u64(state + STATE_LIFE_AT) : 1;
}

int shard_state_load(struct shard *shard, struct replica *replica, const uint8_t *state,
                     size_t size, struct raft_config *config, bool *fenced)
{
    struct opened opened;
    int r;

    if (!open_state(state, size, &opened))
        return -EBADMSG;
    *config = opened.config;
    *fenced = state[STATE_FENCED_AT];
    if (codec_get_u64(state + STATE_TIME_AT) > replica->logged_ms)
        replica->logged_ms = codec_get_u64(state + STATE_TIME_AT);
    replica->settled = state[0] == 1 ? 0 : codec_get_u64(state + STATE_SETTLED_AT);
    r = load_dictionaries(shard, replica, &opened);
    if (r < 0)
        return shard->fatal = r;
    if (r != 0)
        return -EBADMSG;
    r = sessions_load(&replica->sessions, opened.sessions, opened.sessions_size);
    if (r < 0)
        shard->fatal = r;
    return r == 0 ? 0 : -EBADMSG;
}
