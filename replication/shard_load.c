#include "replication/shard_internal.h"
#include "ring/mix.h"
#include "ring/wire_load.h"

#define MEASURE_MS    500u
#define SMOOTH_MS     2000.0 /* time constant */
#define WRITE_LONG_MS 100u   /* one under way for so long counts as it is */
#define LEARN_MS      3000u  /* a new leader of the meta group sees by then whose disk is slow */
#define COUNTERS      512u
#define KEYS_TOLD     32u
#define KEYS_KEPT_MS  30000u /* behind the end of counting */
#define PERCENT_99    990000u

_Static_assert(TOPKEYS_KEY_SIZE == WIRE_TOP_KEY_SIZE_MAX, "what is kept of a key is told");

void shard_load_count(struct replica *replica, size_t bytes)
{
    replica->load.operations++;
    replica->load.bytes += bytes;
}

void shard_load_keys(struct shard *shard, const struct shard_request *request)
{
    struct shard_load *load = &shard->load;

    if (!load->counting || shard->now_ms >= load->count_until_ms)
        return;
    for (uint32_t i = 0; i < request->key_count; i++) {
        const struct wire_bytes *key = &request->args[i * request->stride];

        topkeys_count(
            &load->keys,
            (struct hash_digest){.high = request->digests[i].high, .low = request->digests[i].low},
            key->data, key->size, 1);
    }
}

void shard_load_write_begins(struct shard *shard)
{
    shard->load.write_since_ms = shard->now_ms;
}

void shard_load_write_ends(struct shard *shard, uint32_t us)
{
    shard->load.write_since_ms = 0;
    histogram_record(&shard->load.syncs, us);
}

/* What a replica did before it led, or while it did not, is nobody's load. */
static void measure(struct shard *shard, uint64_t passed_ms)
{
    double passed = (double)passed_ms, part = passed / (passed + SMOOTH_MS);

    for (size_t i = 0; i < shard->hosted_count; i++) {
        struct replica_load *load = &shard->hosted[i]->load;

        if (!replica_leads(shard->hosted[i])) {
            *load = (struct replica_load){0};
            continue;
        }
        load->operation_rate +=
            ((double)load->operations * 1000 / passed - load->operation_rate) * part;
        load->byte_rate += ((double)load->bytes * 1000 / passed - load->byte_rate) * part;
        load->operations = load->bytes = 0;
    }
}

void shard_load_init(struct shard *shard)
{
    histogram_init(&shard->load.syncs);
    shard->load.measured_ms = shard->now_ms;
}

void shard_load_free(struct shard *shard)
{
    if (shard->load.counting)
        topkeys_deinit(&shard->load.keys);
    shard->load.counting = false;
}

void shard_load_duty(struct shard *shard)
{
    struct shard_load *load = &shard->load;

    if (load->counting && shard->now_ms >= load->count_until_ms + KEYS_KEPT_MS)
        shard_load_free(shard);
    if (shard->now_ms < load->measured_ms + MEASURE_MS)
        return;
    measure(shard, shard->now_ms - load->measured_ms);
    load->measured_ms = shard->now_ms;
}

/* --- to routers ------------------------------------------------------------------------------ */

uint64_t shard_load_leaders_digest(const struct shard *shard)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < shard->hosted_count; i++) {
        const struct replica *replica = shard->hosted[i];

        if (replica_leads(replica) && replica != shard->meta)
            sum += mix_word((uint64_t)replica->partition << 32 | replica->raft.term);
    }
    return sum;
}

void shard_load_leaders(struct shard *shard, struct shard_address from,
                        const struct link_message *message)
{
    struct wire_buffer body = {0};

    for (size_t i = 0; i < shard->hosted_count; i++) {
        const struct replica *replica = shard->hosted[i];

        if (replica_leads(replica) && replica != shard->meta)
            wire_put_leader(&body, &(struct wire_leader){replica->partition, replica->raft.term});
    }
    shard_out(shard, from, WIRE_LEADERS, message->partition, message->correlation, &body);
    wire_buffer_deinit(&body);
}

/* --- to the meta group's leader, and from it ------------------------------------------------ */

static bool may_lead(const struct shard *shard)
{
    bool drained = shard->load.drained && !mutant(MUTANT_DRAINED_LEADS);

    return !drained && !shard->drain_until_ms && !store_disk_full(shard->store);
}

static void put_group(const struct shard *shard, const struct replica *replica,
                      struct wire_buffer *body)
{
    const struct raft *raft = &replica->raft;
    struct wire_load_partition group = {.partition = replica->partition,
                                        .term = raft->term,
                                        .operations = (uint32_t)replica->load.operation_rate,
                                        .bytes = (uint64_t)replica->load.byte_rate};

    for (uint32_t i = 0; i < raft->peer_count && group.voter_count < WIRE_LOAD_VOTERS_MAX; i++) {
        uint16_t member = raft->peers[i].replica.member;

        if (member != shard->options.self && shard_ready_to_lead(shard, replica, member))
            group.voters[group.voter_count++] = member;
    }
    wire_put_load_partition(body, &group);
}

/* The newest syncs, and the one under way when it is worse. */
static void take_syncs(struct shard *shard, struct wire_load *out)
{
    struct shard_load *load = &shard->load;
    uint64_t age_ms = load->write_since_ms ? shard->now_ms - load->write_since_ms : 0;
    uint64_t p99_us = histogram_percentile(&load->syncs, PERCENT_99);

    out->syncs = (uint32_t)load->syncs.count;
    if (age_ms >= WRITE_LONG_MS) {
        out->syncs++;
        p99_us = age_ms * 1000 > p99_us ? age_ms * 1000 : p99_us;
    }
    out->sync_us = load->sync_us = p99_us < UINT32_MAX ? (uint32_t)p99_us : UINT32_MAX;
    histogram_init(&load->syncs);
}

static void tell(struct shard *shard, uint16_t member, uint32_t term)
{
    struct wire_load load = {.term = term, .may_lead = may_lead(shard)};
    struct wire_buffer body = {0};

    take_syncs(shard, &load);
    wire_put_load(&body, &load);
    for (size_t i = 0; i < shard->hosted_count; i++)
        if (replica_leads(shard->hosted[i]) && shard->hosted[i] != shard->meta)
            put_group(shard, shard->hosted[i], &body);
    if (member == shard->options.self && shard->options.number == 0)
        shard_balance_load(
            shard, member,
            &(struct link_message){.type = WIRE_LOAD, .body = body.data, .body_size = body.size});
    else
        shard_out(shard, shard_to_member(member), WIRE_LOAD, WIRE_PARTITION_META, 0, &body);
    wire_buffer_deinit(&body);
}

static void carry_out(struct shard *shard, const struct wire_wish *wish)
{
    struct replica *replica = shard_replica(shard, wish->partition);
    struct raft_event event = {.kind = RAFT_EVENT_TRANSFER, .from.member = wish->to};

    if (replica && replica_leads(replica) && !replica->raft.transfer_to &&
        wish->to != shard->options.self && wish->to <= shard->member_count &&
        shard_ready_to_lead(shard, replica, wish->to))
        shard_raft_event(shard, replica, &event);
}

void shard_load_balance(struct shard *shard, uint16_t member, const struct link_message *message)
{
    struct wire_cursor cursor;
    struct shard_load *load = &shard->load;
    struct wire_balance balance;
    struct wire_wish wish;

    wire_cursor_init(&cursor, message->body, message->body_size);
    if (!wire_get_balance(&cursor, &balance) || balance.term < load->asker_term)
        return;
    if (balance.term > load->asker_term)
        load->asker_since_ms = shard->now_ms;
    load->asker_term = balance.term;
    /* What the leader before has said stands until the new one can know. */
    load->slow = balance.slow || (load->slow && shard->now_ms < load->asker_since_ms + LEARN_MS);
    while (!wire_cursor_done(&cursor) && wire_get_wish(&cursor, &wish))
        carry_out(shard, &wish);
    if (balance.ask)
        tell(shard, member, balance.term);
}

/* --- to an admin ----------------------------------------------------------------------------- */

/* Groups; the meta group is one of them. */
static uint32_t count_led(const struct shard *shard)
{
    uint32_t count = 0;

    for (size_t i = 0; i < shard->hosted_count; i++)
        count += replica_leads(shard->hosted[i]);
    return count;
}

/* Whoever asks while keys are counted makes it last longer. Without memory none are. */
static void count_keys(struct shard *shard, uint32_t sample_ms)
{
    struct shard_load *load = &shard->load;
    uint64_t until_ms = shard->now_ms + sample_ms;

    if (load->counting && shard->now_ms >= load->count_until_ms)
        shard_load_free(shard);
    if (!load->counting) {
        if (topkeys_init(&load->keys, COUNTERS) != 0)
            return;
        load->counting = true;
        load->count_until_ms = until_ms;
    }
    load->count_until_ms = until_ms > load->count_until_ms ? until_ms : load->count_until_ms;
}

static void put_keys(const struct shard_load *load, struct wire_buffer *body)
{
    const struct topkeys_counter *counters[KEYS_TOLD];
    uint32_t count = load->counting ? topkeys_list(&load->keys, counters, KEYS_TOLD) : 0;

    for (uint32_t i = 0; i < count; i++) {
        size_t size =
            counters[i]->key_size < TOPKEYS_KEY_SIZE ? counters[i]->key_size : TOPKEYS_KEY_SIZE;

        wire_put_top_key(body, &(struct wire_top_key){.key = {counters[i]->key, size},
                                                      .key_size = counters[i]->key_size,
                                                      .count = counters[i]->count,
                                                      .error = counters[i]->error});
    }
}

void shard_load_top(struct shard *shard, struct shard_address from,
                    const struct link_message *message)
{
    const struct shard_load *load = &shard->load;
    struct wire_top top = {.may_lead = may_lead(shard),
                           .drained = load->drained,
                           .slow = load->slow,
                           .sync_us = load->sync_us,
                           .partition_count =
                               count_led(shard) - (shard->meta && replica_leads(shard->meta))};
    struct wire_buffer body = {0};
    struct wire_cursor cursor;
    uint32_t sample_ms;

    wire_cursor_init(&cursor, message->body, message->body_size);
    if (!wire_get_top(&cursor, &sample_ms))
        return;
    if (sample_ms > 0)
        count_keys(shard, sample_ms);
    if (load->counting) {
        top.seen = load->keys.seen;
        if (shard->now_ms < load->count_until_ms)
            top.sample_ms = (uint32_t)(load->count_until_ms - shard->now_ms);
    }
    wire_put_top_reply(&body, &top);
    for (size_t i = 0; i < shard->hosted_count; i++) {
        const struct replica *replica = shard->hosted[i];

        if (replica_leads(replica) && replica != shard->meta)
            wire_put_top_partition(&body, &(struct wire_top_partition){
                                              .partition = replica->partition,
                                              .operations = (uint32_t)replica->load.operation_rate,
                                              .bytes = (uint64_t)replica->load.byte_rate});
    }
    put_keys(load, &body);
    shard_out(shard, from, WIRE_TOP_REPLY, message->partition, message->correlation, &body);
    wire_buffer_deinit(&body);
}

void shard_load_drain(struct shard *shard, struct shard_address from,
                      const struct link_message *message)
{
    struct wire_buffer body = {0};
    struct wire_cursor cursor;
    bool drained;

    wire_cursor_init(&cursor, message->body, message->body_size);
    if (!wire_get_drain(&cursor, &drained))
        return;
    shard->load.drained = drained;
    wire_put_drain_reply(&body, drained, count_led(shard));
    shard_out(shard, from, WIRE_DRAIN_REPLY, message->partition, message->correlation, &body);
    wire_buffer_deinit(&body);
}
