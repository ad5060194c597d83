#include "replication/raft_internal.h"

#include <assert.h>
#include <string.h>

#include "storage/codec.h"

#define CONFIG_VERSION   1u
#define CONFIG_HEAD_SIZE 20u
#define REPLICA_SIZE     10u

struct raft_progress *raft_find(struct raft *raft, struct raft_replica replica)
{
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        if (raft_same(raft->peers[i].replica, replica))
            return &raft->peers[i];
    }
    return NULL;
}

static bool config_votes(const struct raft_config *config, struct raft_replica replica)
{
    for (uint32_t i = 0; i < config->voter_count; i++) {
        if (raft_same(config->voters[i], replica))
            return true;
    }
    for (uint32_t i = 0; i < config->voter_old_count; i++) {
        if (raft_same(config->voters_old[i], replica))
            return true;
    }
    return false;
}

static bool config_names(const struct raft_config *config, struct raft_replica replica)
{
    for (uint32_t i = 0; i < config->learner_count; i++) {
        if (raft_same(config->learners[i], replica))
            return true;
    }
    return config_votes(config, replica);
}

const struct raft_config *raft_config_stable(const struct raft *raft)
{
    return raft->config.index <= raft->applied ? &raft->config : &raft->config_previous;
}

bool raft_knows(const struct raft *raft, struct raft_replica from)
{
    /* A life is the index of the entry that began it: above what is settled here, it may be one
     * that this replica has yet to hear of, from this very sender. */
    return from.life > raft_config_stable(raft)->index || config_names(&raft->config, from) ||
           config_names(&raft->config_previous, from);
}

uint64_t raft_config_without(const struct raft *raft, struct raft_replica replica)
{
    bool early = mutant(MUTANT_DESTROYED_EARLY);
    const struct raft_config *config =
        raft->config.index <= raft->commit || early ? &raft->config : &raft->config_previous;

    if (config->index == 0 || (config->index > raft->commit && !early) ||
        replica.life > raft->commit || config_names(config, replica))
        return 0;
    return config->index;
}

bool raft_self_votes(const struct raft *raft)
{
    return config_votes(&raft->config, raft->options.self);
}

bool raft_may_campaign(const struct raft *raft)
{
    /* One that is about to lose its vote may hold the only log that can win: it goes on until the
     * change is committed, without counting itself (thesis 4.2.2). */
    return raft_self_votes(raft) || (raft->config.index > raft->commit &&
                                     config_votes(&raft->config_previous, raft->options.self));
}

/* Mutants: who does not vote stands in for the voter that is furthest behind. */
static void count_others(const struct raft *raft,
                         uint64_t (*value)(const struct raft *raft,
                                           const struct raft_progress *peer),
                         uint64_t *values, uint32_t count)
{
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct raft_progress *peer = &raft->peers[i];
        uint32_t last = 0;

        if (peer->voter || peer->voter_old ||
            config_names(&raft->config, peer->replica) != mutant(MUTANT_LEARNER_COUNTS))
            continue;
        for (uint32_t j = 1; j < count; j++)
            last = values[j] < values[last] ? j : last;
        if (count > 0 && values[last] < value(raft, peer))
            values[last] = value(raft, peer);
    }
}

/* Mutant. */
static uint64_t quorum_as_one(const struct raft *raft,
                              uint64_t (*value)(const struct raft *raft,
                                                const struct raft_progress *peer))
{
    uint64_t values[2 * RAFT_VOTERS_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; i < raft->peer_count; i++)
        if (raft->peers[i].voter || raft->peers[i].voter_old)
            values[count++] = value(raft, &raft->peers[i]);
    return quorum_value(values, count);
}

uint64_t raft_quorum(const struct raft *raft,
                     uint64_t (*value)(const struct raft *raft, const struct raft_progress *peer))
{
    uint64_t values[RAFT_VOTERS_MAX], values_old[RAFT_VOTERS_MAX];
    uint32_t count = 0, count_old = 0;
    uint64_t one, other;

    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct raft_progress *peer = &raft->peers[i];

        if (peer->voter)
            values[count++] = value(raft, peer);
        if (peer->voter_old)
            values_old[count_old++] = value(raft, peer);
    }
    assert(count == raft->config.voter_count);
    assert(count_old == raft->config.voter_old_count);
    if (mutant(MUTANT_LEARNER_COUNTS) || mutant(MUTANT_REMOVED_COUNTS))
        count_others(raft, value, values, count);
    if (mutant(MUTANT_JOINT_AS_ONE))
        return quorum_as_one(raft, value);
    one = quorum_value(values, count);
    other = quorum_value(values_old, count_old);
    return one < other ? one : other;
}

/* The place of a replica in the new list; what was known of it is kept. */
static struct raft_progress *carry_over(struct raft *raft, const struct raft_progress *before,
                                        uint32_t before_count, struct raft_replica replica,
                                        uint64_t now_ms)
{
    struct raft_progress *peer = raft_find(raft, replica);

    if (peer)
        return peer;
    assert(raft->peer_count < RAFT_PEERS_MAX);
    peer = &raft->peers[raft->peer_count++];
    memset(peer, 0, sizeof(*peer));
    /* A new one is probed with the entry that added it: there may be no other to send. */
    progress_reset(peer, raft->config.index <= raft->log.last ? raft->config.index - 1 : 0, now_ms);
    for (uint32_t i = 0; i < before_count; i++) {
        if (raft_same(before[i].replica, replica))
            *peer = before[i];
    }
    peer->replica = replica;
    peer->voter = false;
    peer->voter_old = false;
    return peer;
}

void raft_config_set(struct raft *raft, const struct raft_config *config, uint64_t now_ms)
{
    struct raft_progress before[RAFT_PEERS_MAX];
    uint32_t before_count = raft->peer_count;

    memcpy(before, raft->peers, before_count * sizeof(before[0]));
    if (config != &raft->config)
        raft->config = *config;
    config = &raft->config;
    raft->peer_count = 0;
    for (uint32_t i = 0; i < config->voter_count; i++)
        carry_over(raft, before, before_count, config->voters[i], now_ms)->voter = true;
    for (uint32_t i = 0; i < config->voter_old_count; i++)
        carry_over(raft, before, before_count, config->voters_old[i], now_ms)->voter_old = true;
    for (uint32_t i = 0; i < config->learner_count; i++)
        carry_over(raft, before, before_count, config->learners[i], now_ms);
    for (uint32_t i = 0; mutant(MUTANT_REMOVED_COUNTS) && i < before_count; i++)
        if (raft->peer_count < RAFT_PEERS_MAX)
            carry_over(raft, before, before_count, before[i].replica, now_ms);
}

static void begin_lives(struct raft_replica *replicas, uint32_t count, uint64_t index)
{
    for (uint32_t i = 0; i < count; i++) {
        if (replicas[i].life == 0)
            replicas[i].life = index;
    }
}

void raft_config_append(struct raft *raft, uint64_t index, const struct raft_config *config,
                        uint64_t now_ms)
{
    struct raft_config next = *config;

    next.index = index;
    begin_lives(next.voters, next.voter_count, index);
    begin_lives(next.voters_old, next.voter_old_count, index);
    begin_lives(next.learners, next.learner_count, index);
    raft->config_previous = raft->config;
    raft_config_set(raft, &next, now_ms);
}

bool raft_config_truncate(struct raft *raft, uint64_t index)
{
    if (raft->config.index < index || raft->config_previous.index == raft->config.index ||
        mutant(MUTANT_CONFIG_KEPT))
        return false;
    /* One step back is enough: a change is proposed only when the one before it is committed. */
    assert(raft->config_previous.index < index);
    raft_config_set(raft, &raft->config_previous, 0);
    return true;
}

static bool same_voters(const struct raft_replica *one, uint32_t one_count,
                        const struct raft_replica *other, uint32_t other_count)
{
    if (one_count != other_count)
        return false;
    for (uint32_t i = 0; i < one_count; i++) {
        if (one[i].member != other[i].member || one[i].life != other[i].life)
            return false;
    }
    return true;
}

bool raft_config_follows(const struct raft *raft, const struct raft_config *next)
{
    const struct raft_config *now = &raft->config;

    if (raft_config_valid(next) != RAFT_CONFIG_E_OK ||
        (next->epoch < now->epoch && !mutant(MUTANT_EPOCH_IGNORED)))
        return false;
    /* Neither beside another change, nor before this term has committed something: the latter is
     * the bug of the first single-server changes (Ongaro 2015). */
    if ((now->index > raft->commit && !mutant(MUTANT_TWO_CHANGES)) ||
        (raft->commit < raft->term_start && !mutant(MUTANT_CHANGE_BEFORE_OWN_TERM)))
        return false;
    if (now->voter_old_count == 0 && next->voter_old_count > 0)
        return same_voters(next->voters_old, next->voter_old_count, now->voters, now->voter_count);
    return next->voter_old_count == 0 &&
           same_voters(next->voters, next->voter_count, now->voters, now->voter_count);
}

static bool member_in(const struct raft_replica *replicas, uint32_t count, uint16_t member)
{
    for (uint32_t i = 0; i < count; i++) {
        if (replicas[i].member == member)
            return true;
    }
    return false;
}

static bool distinct(const struct raft_replica *replicas, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (replicas[i].member == 0 || replicas[i].member > RAFT_MEMBER_MAX ||
            member_in(replicas, i, replicas[i].member))
            return false;
    }
    return true;
}

int raft_config_valid(const struct raft_config *config)
{
    if (config->voter_count == 0 || config->voter_count > RAFT_VOTERS_MAX ||
        config->voter_old_count > RAFT_VOTERS_MAX || config->learner_count > RAFT_LEARNERS_MAX)
        return RAFT_CONFIG_E_INVALID;
    if (!distinct(config->voters, config->voter_count) ||
        !distinct(config->voters_old, config->voter_old_count) ||
        !distinct(config->learners, config->learner_count))
        return RAFT_CONFIG_E_INVALID;
    for (uint32_t i = 0; i < config->learner_count; i++) {
        uint16_t member = config->learners[i].member;

        if (member_in(config->voters, config->voter_count, member) ||
            member_in(config->voters_old, config->voter_old_count, member))
            return RAFT_CONFIG_E_INVALID;
    }
    return RAFT_CONFIG_E_OK;
}

static uint8_t *put_replicas(uint8_t *out, const struct raft_replica *replicas, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        codec_put_u16(out, replicas[i].member);
        codec_put_u64(out + 2, replicas[i].life);
        out += REPLICA_SIZE;
    }
    return out;
}

static const uint8_t *get_replicas(const uint8_t *in, struct raft_replica *replicas, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        replicas[i] =
            (struct raft_replica){.member = codec_get_u16(in), .life = codec_get_u64(in + 2)};
        in += REPLICA_SIZE;
    }
    return in;
}

size_t raft_config_encode(const struct raft_config *config, uint8_t out[RAFT_CONFIG_SIZE_MAX])
{
    uint8_t *end;

    assert(raft_config_valid(config) == RAFT_CONFIG_E_OK);
    codec_put_u8(out, CONFIG_VERSION);
    codec_put_u8(out + 1, config->voter_count);
    codec_put_u8(out + 2, config->voter_old_count);
    codec_put_u8(out + 3, config->learner_count);
    codec_put_u64(out + 4, config->index);
    codec_put_u64(out + 12, config->epoch);
    end = put_replicas(out + CONFIG_HEAD_SIZE, config->voters, config->voter_count);
    end = put_replicas(end, config->voters_old, config->voter_old_count);
    end = put_replicas(end, config->learners, config->learner_count);
    return (size_t)(end - out);
}

int raft_config_decode(const uint8_t *bytes, size_t size, struct raft_config *config)
{
    size_t count;

    memset(config, 0, sizeof(*config));
    if (size < CONFIG_HEAD_SIZE || codec_get_u8(bytes) != CONFIG_VERSION)
        return RAFT_CONFIG_E_INVALID;
    config->voter_count = codec_get_u8(bytes + 1);
    config->voter_old_count = codec_get_u8(bytes + 2);
    config->learner_count = codec_get_u8(bytes + 3);
    config->index = codec_get_u64(bytes + 4);
    config->epoch = codec_get_u64(bytes + 12);
    count = (size_t)config->voter_count + config->voter_old_count + config->learner_count;
    if (config->voter_count > RAFT_VOTERS_MAX || config->voter_old_count > RAFT_VOTERS_MAX ||
        config->learner_count > RAFT_LEARNERS_MAX ||
        size != CONFIG_HEAD_SIZE + REPLICA_SIZE * count)
        return RAFT_CONFIG_E_INVALID;
    bytes = get_replicas(bytes + CONFIG_HEAD_SIZE, config->voters, config->voter_count);
    bytes = get_replicas(bytes, config->voters_old, config->voter_old_count);
    get_replicas(bytes, config->learners, config->learner_count);
    return raft_config_valid(config);
}
