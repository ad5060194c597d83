#include "replication/shard_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void genesis_config(const uint16_t *members, uint32_t count, uint64_t epoch,
                           struct raft_config *config)
{
    *config = (struct raft_config){.index = 1, .epoch = epoch};
    for (uint32_t i = 0; i < count; i++)
        if (members[i] != 0)
            config->voters[config->voter_count++] =
                (struct raft_replica){.member = members[i], .life = 1};
}

int shard_replica_new(struct shard *shard, uint16_t partition, uint64_t life,
                      const struct raft_config *config, struct replica **out)
{
    const struct shard_options *options = &shard->options;
    struct raft_options raft = {.group = partition,
                                .self = {.member = options->self, .life = life},
                                .election_ms_min = options->election_ms_min,
                                .election_ms_max = options->election_ms_max,
                                .append_entries_max = options->append_entries_max,
                                .append_size_max = options->append_size_max,
                                .inflight_size_max = options->inflight_size_max,
                                .inflight_messages_max = options->inflight_messages_max,
                                .retry_ms = 2 * options->heartbeat_ms};
    struct sessions_options sessions = {.sessions_max = options->sessions_max,
                                        .window_max = options->session_window_max};
    struct replica *replica = calloc(1, sizeof *replica);
    int r;

    if (!replica)
        return -ENOMEM;
    r = raft_init(&replica->raft, &raft, config, shard->now_ms, shard_random(shard));
    if (r != 0) {
        free(replica);
        return r;
    }
    replica->partition = partition;
    replica->preferred = options->self;
    replica->waiters_end = &replica->waiters;
    replica->note = UINT64_MAX;
    sessions_init(&replica->sessions, &sessions);
    pending_init(&replica->pending);
    deadlines_init(&replica->expiry.deadlines);
    *out = replica;
    return 0;
}

static int replica_add(struct shard *shard, uint16_t partition, const uint16_t *members,
                       uint32_t count, uint64_t epoch, struct replica **out)
{
    struct raft_config config;
    int r;

    genesis_config(members, count, epoch, &config);
    r = shard_replica_new(shard, partition, 1, &config, out);
    if (r != 0)
        return r;
    (*out)->preferred = members[0];
    shard->hosted[shard->hosted_count++] = *out;
    return 0;
}

/* All groups share the one link to a peer, and what is on its way to one that is slow waits in that
 * link's queue, which breaks when it is full: each group gets its part of it. */
void shard_share_links(struct shard *shard)
{
    uint32_t share = (uint32_t)(SHARD_PEER_INFLIGHT_SIZE / (shard->hosted_count + 1));

    share = share > SHARD_APPEND_SIZE_MIN ? share : SHARD_APPEND_SIZE_MIN;
    for (size_t i = 0; i < shard->hosted_count; i++) {
        struct raft_options *options = &shard->hosted[i]->raft.options;

        if (options->append_size_max > share)
            options->append_size_max = share;
        if (options->inflight_size_max > share)
            options->inflight_size_max = share;
    }
}

static void digest_of(const void *context, const uint8_t *key, size_t size,
                      struct keydir_digest *out)
{
    const struct shard *shard = context;
    struct hash_digest digest = hash_key(shard->hash_secret, key, size);

    *out = (struct keydir_digest){.high = digest.high, .low = digest.low};
}

static bool serves(const struct shard *shard, const struct ringmap *map, uint16_t partition)
{
    return partition % shard->options.shards == shard->options.number &&
           ringmap_holds(map, partition, shard->options.self);
}

static int replicas_add(struct shard *shard, const struct ringmap *map)
{
    int r;

    shard->replicas = calloc(map->partition_count, sizeof *shard->replicas);
    shard->hosted = calloc(map->partition_count + 1, sizeof *shard->hosted);
    if (!shard->replicas || !shard->hosted)
        return -ENOMEM;
    for (uint32_t p = 0; p < map->partition_count; p++) {
        if (!serves(shard, map, (uint16_t)p))
            continue;
        r = replica_add(shard, (uint16_t)p, ringmap_row(map, (uint16_t)p), map->replica_count,
                        map->epoch, &shard->replicas[p]);
        if (r != 0)
            return r;
    }
    if (shard->options.number == 0 && ringmap_votes(map, shard->options.self)) {
        r = replica_add(shard, STORE_PARTITION_META, map->meta_voters, map->meta_voter_count,
                        map->epoch, &shard->meta);
        if (r != 0)
            return r;
    }
    shard_share_links(shard);
    return 0;
}

static int scratch_new(struct shard *shard)
{
    uint32_t keys = WIRE_ARGS_MAX + 1;

    shard->records_max = RECORD_SUB_COUNT_MAX + shard->options.append_size_max / 48;
    shard->entries = calloc(shard->records_max, sizeof *shard->entries);
    shard->records = calloc(shard->records_max, sizeof *shard->records);
    shard->record_digests = calloc(shard->records_max, sizeof *shard->record_digests);
    shard->args = calloc(keys, sizeof *shard->args);
    shard->values = calloc(keys, sizeof *shard->values);
    shard->digests = calloc(keys, sizeof *shard->digests);
    shard->places = calloc(keys, sizeof *shard->places);
    shard->expiry.keys = malloc(SHARD_EXPIRY_KEYS_SIZE);
    command_outcome_init(&shard->outcome);
    shard->command_options = (struct command_options){.value_size_max = COMMAND_VALUE_SIZE_MAX,
                                                      .entry_size_max = COMMAND_ENTRY_SIZE_MAX};
    if (!shard->entries || !shard->records || !shard->record_digests || !shard->args ||
        !shard->values || !shard->digests || !shard->places || !shard->expiry.keys)
        return -ENOMEM;
    return 0;
}

static int memory_new(struct shard *shard, const struct ringmap *map)
{
    struct keyqueue_options queue = {.tickets_max = shard->options.operations_max,
                                     .nodes_max = 4 * shard->options.operations_max};
    int r;

    fifo_init(&shard->notes, sizeof(struct shard_note));
    fifo_init(&shard->deferred, sizeof(struct shard_deferred));
    fifo_init(&shard->outgoing, sizeof(struct shard_outgoing));
    fifo_init(&shard->held, sizeof(struct shard_held));
    fifo_init(&shard->reads, sizeof(struct store_job *));
    shard->partition_count = map->partition_count;
    memcpy(shard->hash_secret, map->hash_secret, sizeof shard->hash_secret);
    r = keyqueue_init(&shard->keyqueue, &queue);
    if (r != 0)
        return r;
    shard->peers = calloc(RINGMAP_MEMBERS_MAX + 1, sizeof *shard->peers);
    if (!shard->peers)
        return -ENOMEM;
    r = scratch_new(shard);
    if (r == 0)
        r = replicas_add(shard, map);
    if (r == 0)
        r = shard_tickets_init(shard);
    return r != 0 ? r : shard_map_init(shard, map);
}

/* The founding names every partition. Later the manifest tells which there are: what the genesis
 * had beyond those was given up, and nothing is taken for empty. */
static int check_founding(struct shard *shard, const uint8_t *hash, bool found)
{
    const uint16_t *partitions;
    size_t count;
    int r = 0;

    if (found) {
        uint16_t *hosted = calloc(shard->hosted_count + 1, sizeof *hosted);

        if (!hosted)
            return -ENOMEM;
        for (size_t i = 0; i < shard->hosted_count; i++)
            hosted[i] = shard->hosted[i]->partition;
        r = store_found(shard->store, hash, hosted, shard->hosted_count);
        free(hosted);
        if (r != 0)
            return r;
    }
    count = store_partitions(shard->store, &partitions);
    for (size_t i = shard->hosted_count; i-- > 0;) {
        struct replica *replica = shard->hosted[i];
        bool known = false;

        for (size_t j = 0; j < count && !known; j++)
            known = partitions[j] == replica->partition;
        if (!known)
            shard_host_gone(shard, replica);
    }
    return 0;
}

static void restore_done(struct shard *shard)
{
    for (size_t i = 0; i < shard->hosted_count; i++) {
        struct replica *replica = shard->hosted[i];
        struct raft_event event = {.kind = RAFT_EVENT_APPLIED, .index = replica->raft.commit};

        if (!replica_serves(replica))
            continue;
        if (replica->raft.commit > replica->raft.log.last) {
            shard_fence(shard, replica, "entries that it knew to be committed are missing");
            continue;
        }
        if (raft_restore_gap(&replica->raft)) {
            shard_fence(shard, replica, "entries before those of its log are missing");
            continue;
        }
        replica->placed = replica->raft.log.last;
        raft_restore_done(&replica->raft, shard->now_ms, shard_random(shard));
        if (replica->raft.applied < replica->raft.commit)
            shard_raft_event(shard, replica, &event);
    }
}

/* Nothing of the shard may be taken for what it was, and if not even the manifest can be read, none
 * of the genesis for empty. What it says to be over stays so. */
static void fence_all(struct shard *shard)
{
    for (size_t i = shard->hosted_count; i-- > 0;) {
        struct replica *replica = shard->hosted[i];

        if (replica->raft.options.self.life <= store_ended(shard->store, replica->partition))
            shard_host_gone(shard, replica);
    }
    for (size_t i = 0; i < shard->hosted_count; i++)
        shard_fence(shard, shard->hosted[i], SHARD_UNREADABLE);
    shard->unreadable = true;
}

int shard_open(struct shard **out, struct vfs *vfs, const struct shard_options *options,
               const struct ringmap *map, const uint8_t hash[RINGMAP_HASH_SIZE], bool found,
               uint64_t now_ms, uint64_t random)
{
    struct shard *shard = calloc(1, sizeof *shard);
    struct store_visitor visitor;
    int opened, r;

    if (!shard)
        return -ENOMEM;
    shard->options = *options;
    shard->options.store.partitions = map->partition_count;
    shard->options.store.founded = !found || options->foreign;
    shard->options.store.digest = digest_of;
    shard->options.store.digest_context = shard;
    shard->genesis_hash = hash;
    shard->now_ms = now_ms;
    shard->random = random;
    shard_load_init(shard);
    pace_init(&shard->budget.pace, shard->now_ms);
    r = memory_new(shard, map);
    if (r == 0) {
        shard_visitor(shard, &visitor);
        shard->recovering = true;
        r = store_open(&shard->store, vfs, &shard->options.store, &visitor);
    }
    opened = r;
    shard->genesis_hash = NULL;
    if (r == 0 || r == STORE_E_FENCED)
        shard_recover_end(shard);
    if (r == STORE_E_FENCED) {
        fence_all(shard);
        r = 0;
    }
    if (r == 0 && opened == 0)
        r = check_founding(shard, hash, found);
    if (r == 0 && shard->fatal)
        r = shard->fatal;
    if (r != 0) {
        shard_close(shard);
        return r;
    }
    restore_done(shard);
    shard_fence_finish(shard);
    for (size_t i = 0; i < shard->hosted_count; i++)
        shard_target_resume(shard, shard->hosted[i]);
    *out = shard;
    return opened;
}

void shard_replica_free(struct shard *shard, struct replica *replica)
{
    while (replica->waiters) {
        struct shard_waiter *waiter = replica->waiters;

        replica->waiters = waiter->next;
        shard_waiter_free(shard, waiter);
    }
    shard_target_free(replica);
    raft_deinit(&replica->raft);
    sessions_deinit(&replica->sessions);
    pending_deinit(&replica->pending);
    deadlines_deinit(&replica->expiry.deadlines);
    free(replica);
}

void shard_peer_down(struct shard_peer *peer)
{
    for (uint16_t i = 0; i < peer->shards; i++) {
        wire_buffer_deinit(&peer->raft[i]);
        wire_buffer_deinit(&peer->beat[i]);
    }
    free(peer->raft);
    free(peer->beat);
    *peer = (struct shard_peer){0};
}

void shard_close(struct shard *shard)
{
    struct store_job **job;

    if (!shard)
        return;
    while ((job = fifo_peek(&shard->reads))) { /* never handed out */
        shard_job_discard(shard, *job, -ECANCELED);
        fifo_pop(&shard->reads);
    }
    shard_operations_free(shard);
    shard_sources_free(shard);
    shard_compare_free(shard);
    free(shard->relocation.bytes);
    while (shard->fetches) {
        struct shard_fetch *fetch = shard->fetches;

        shard->fetches = fetch->next;
        free(fetch->bytes);
        free(fetch);
    }
    for (size_t i = 0; i < shard->hosted_count; i++)
        shard_replica_free(shard, shard->hosted[i]);
    shard_hosting_free(shard);
    while (shard->clients)
        shard_client_close(shard, shard->clients->link);
    for (uint32_t member = 0; shard->peers && member <= shard->member_count; member++)
        shard_peer_down(&shard->peers[member]);
    shard_waiters_free(shard);
    shard_map_deinit(shard);
    shard_record_deinit(&shard->tickets);
    shard_load_free(shard);
    shard_balance_free(shard);
    shard_trainer_free(shard);
    shard_out_deinit(shard);
    keyqueue_deinit(&shard->keyqueue);
    shard_held_deinit(shard);
    fifo_deinit(&shard->notes);
    fifo_deinit(&shard->deferred);
    fifo_deinit(&shard->reads);
    command_outcome_deinit(&shard->outcome);
    if (shard->store)
        store_close(shard->store);
    free(shard->intent.wanted);
    free(shard->replicas);
    free(shard->hosted);
    free(shard->peers);
    free(shard->entries);
    free(shard->records);
    free(shard->configs);
    free(shard->record_digests);
    free(shard->args);
    free(shard->values);
    free(shard->digests);
    free(shard->places);
    free(shard->state);
    free(shard->scratch);
    free(shard->expiry.keys);
    free(shard);
}
