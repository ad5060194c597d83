#include "replication/shard_internal.h"
#include "ring/wire_load.h"

#include <errno.h>
#include <stdlib.h>

#define ASK_MS   300u
#define JUDGE_MS 100u  /* after the question: time for the answers */
#define AWAY_MS  1500u /* not heard of for so long */
#define LEARN_MS 2000u /* a new leader of the meta group listens first */

static bool leads_meta(const struct shard *shard)
{
    const struct replica *meta = shard->meta;

    return meta && shard->ring.map.members && replica_leads(meta) && meta->raft.term_start > 0 &&
           meta->raft.applied >= meta->raft.term_start;
}

void shard_balance_free(struct shard *shard)
{
    struct shard_balance *balance = &shard->balance;

    if (balance->term == 0)
        return;
    rebalance_deinit(&balance->rebalance);
    slow_disk_deinit(&balance->slow_disk);
    free(balance->members);
    free(balance->groups);
    free(balance->partitions);
    free(balance->list);
    free(balance->samples);
    balance->term = 0;
}

static void begin(struct shard *shard)
{
    struct shard_balance *balance = &shard->balance;
    uint32_t partitions = shard->partition_count;
    struct rebalance_options rebalance;
    struct slow_disk_options slow_disk;
    int r;

    rebalance_options_default(&rebalance);
    slow_disk_options_default(&slow_disk);
    rebalance.partitions = partitions;
    rebalance.members_max = slow_disk.members_max = RINGMAP_MEMBERS_MAX;
    *balance = (struct shard_balance){.term = shard->meta->raft.term, .since_ms = shard->now_ms};
    balance->members = calloc(RINGMAP_MEMBERS_MAX, sizeof *balance->members);
    balance->list = calloc(RINGMAP_MEMBERS_MAX, sizeof *balance->list);
    balance->samples = calloc(RINGMAP_MEMBERS_MAX, sizeof *balance->samples);
    balance->groups = calloc(partitions, sizeof *balance->groups);
    balance->partitions = calloc(partitions, sizeof *balance->partitions);
    r = rebalance_init(&balance->rebalance, &rebalance);
    if (r == 0)
        r = slow_disk_init(&balance->slow_disk, &slow_disk);
    if (r != 0 || !balance->members || !balance->list || !balance->samples || !balance->groups ||
        !balance->partitions) {
        shard_balance_free(shard);
        shard->fatal = -ENOMEM;
    }
}

/* --- what is heard --------------------------------------------------------------------------- */

static bool is_away(const struct shard *shard, uint64_t heard_ms)
{
    return heard_ms == 0 || shard->now_ms >= heard_ms + AWAY_MS;
}

static struct balance_member *member_at(struct shard *shard, uint16_t id)
{
    const struct ringmap *map = &shard->ring.map;
    const struct ringmap_member *member = ringmap_member(map, id);

    return member ? &shard->balance.members[member - map->members] : NULL;
}

/* Leaders are to be where the map wants replicas, which is not yet where they all are. */
static bool is_wanted(const struct ringmap *map, uint16_t partition, uint16_t member)
{
    const uint16_t *row = ringmap_wanted(map, partition);

    for (uint32_t i = 0; i < map->replica_count; i++)
        if (row[i] == member)
            return true;
    return false;
}

static void take_group(struct shard *shard, uint16_t member,
                       const struct wire_load_partition *heard)
{
    struct balance_group *group = &shard->balance.groups[heard->partition];
    struct rebalance_partition *partition = &shard->balance.partitions[heard->partition];

    if (heard->term < group->term && !is_away(shard, group->heard_ms))
        return;
    *group = (struct balance_group){heard->term, shard->now_ms};
    *partition = (struct rebalance_partition){
        .leader = member, .operations = heard->operations, .bytes = heard->bytes};
    for (uint8_t i = 0; i < heard->voter_count; i++)
        if (is_wanted(&shard->ring.map, heard->partition, heard->voters[i]))
            partition->voters[partition->voter_count++] = heard->voters[i];
}

/* One shard's part: its member may lead when all of them may, and has the worst of their disks. */
void shard_balance_load(struct shard *shard, uint16_t id, const struct link_message *message)
{
    struct wire_load_partition group;
    struct balance_member *member;
    struct wire_cursor cursor;
    struct wire_load load;

    wire_cursor_init(&cursor, message->body, message->body_size);
    if (shard->balance.term == 0 || !wire_get_load(&cursor, &load) ||
        load.term != shard->balance.term || !(member = member_at(shard, id)))
        return;
    member->heard_ms = shard->now_ms;
    member->may_lead = load.may_lead && (!member->answered || member->may_lead);
    member->answered = true;
    if (load.syncs > 0) {
        member->sync_us =
            member->fresh && member->sync_us > load.sync_us ? member->sync_us : load.sync_us;
        member->fresh = true;
    }
    while (!wire_cursor_done(&cursor) && wire_get_load_partition(&cursor, &group))
        if (group.partition < shard->partition_count)
            take_group(shard, id, &group);
}

/* --- what is said ---------------------------------------------------------------------------- */

static uint16_t shards_of(const struct shard *shard, uint16_t member)
{
    if (member == shard->options.self)
        return shard->options.shards;
    return member <= shard->member_count && shard->peers[member].up ? shard->peers[member].shards
                                                                    : 0;
}

static bool is_slow(const struct shard *shard, uint16_t id)
{
    const struct ringmap_member *member = ringmap_member(&shard->ring.map, id);

    return member &&
           slow_disk_is(&shard->balance.slow_disk, (uint32_t)(member - shard->ring.map.members));
}

static void put_head(const struct shard *shard, uint16_t member, bool ask, struct wire_buffer *body)
{
    wire_put_balance(body, &(struct wire_balance){.term = shard->balance.term,
                                                  .ask = ask,
                                                  .slow = is_slow(shard, member)});
}

/* number: of the member's shard. */
static void send(struct shard *shard, uint16_t member, uint16_t number, struct wire_buffer *body)
{
    if (member == shard->options.self && number == shard->options.number)
        shard_load_balance(shard, member,
                           &(struct link_message){
                               .type = WIRE_BALANCE, .body = body->data, .body_size = body->size});
    else
        shard_out(shard, shard_to_member(member), WIRE_BALANCE, number, 0, body);
}

static void ask(struct shard *shard)
{
    const struct ringmap *map = &shard->ring.map;
    struct wire_buffer body = {0};

    for (uint32_t i = 0; i < map->member_count; i++) {
        uint16_t member = map->members[i].id;

        if (map->members[i].state == RINGMAP_STATE_REMOVED)
            continue;
        shard->balance.members[i].answered = false;
        for (uint16_t number = 0; number < shards_of(shard, member); number++) {
            wire_buffer_clear(&body);
            put_head(shard, member, true, &body);
            send(shard, member, number, &body);
        }
    }
    wire_buffer_deinit(&body);
    shard->balance.ask_due_ms = shard->now_ms + ASK_MS;
    shard->balance.judge_due_ms = shard->now_ms + JUDGE_MS;
}

/* Number of the shard that serves the partition at its leader. */
static uint16_t number_of(const struct shard *shard, const struct rebalance_transfer *transfer)
{
    return (uint16_t)(transfer->partition % shards_of(shard, transfer->from));
}

/* What goes to one shard goes together. */
static void wish(struct shard *shard)
{
    struct rebalance_effects *effects = &shard->balance.effects;
    struct wire_buffer body = {0};

    for (uint32_t i = 0; i < effects->transfer_count; i++) {
        struct rebalance_transfer first = effects->transfers[i];
        uint16_t number;

        if (first.from == 0 || shards_of(shard, first.from) == 0)
            continue; /* said with an earlier one, or there is no link */
        number = number_of(shard, &first);
        wire_buffer_clear(&body);
        put_head(shard, first.from, false, &body);
        for (uint32_t j = i; j < effects->transfer_count; j++) {
            struct rebalance_transfer *transfer = &effects->transfers[j];

            if (transfer->from != first.from || number_of(shard, transfer) != number)
                continue;
            wire_put_wish(&body, &(struct wire_wish){transfer->partition, transfer->to});
            transfer->from = 0;
        }
        send(shard, first.from, number, &body);
    }
    wire_buffer_deinit(&body);
}

/* --- judgement ------------------------------------------------------------------------------- */

static void judge_disks(struct shard *shard)
{
    struct shard_balance *balance = &shard->balance;
    uint32_t count = shard->ring.map.member_count;

    for (uint32_t i = 0; i < count; i++) {
        balance->samples[i] = (struct slow_disk_sample){.fresh = balance->members[i].fresh,
                                                        .p99_us = balance->members[i].sync_us};
        balance->members[i].fresh = false;
    }
    slow_disk_step(&balance->slow_disk, &(struct slow_disk_event){.now_ms = shard->now_ms,
                                                                  .samples = balance->samples,
                                                                  .count = count});
}

static uint32_t list_members(struct shard *shard)
{
    struct shard_balance *balance = &shard->balance;
    const struct ringmap *map = &shard->ring.map;
    uint32_t count = 0;

    for (uint32_t i = 0; i < map->member_count; i++) {
        const struct ringmap_member *member = &map->members[i];

        if (is_away(shard, balance->members[i].heard_ms) ||
            (member->state != RINGMAP_STATE_ACTIVE && member->state != RINGMAP_STATE_LEAVING))
            continue;
        balance->list[count++] = (struct rebalance_member){
            .id = member->id,
            .weight = member->weight > 0 ? member->weight : 1,
            .may_lead = member->state == RINGMAP_STATE_ACTIVE && balance->members[i].may_lead &&
                        !slow_disk_is(&balance->slow_disk, i)};
    }
    return count;
}

static void list_partitions(struct shard *shard)
{
    struct shard_balance *balance = &shard->balance;

    for (uint32_t p = 0; p < shard->partition_count; p++) {
        if (is_away(shard, balance->groups[p].heard_ms))
            balance->partitions[p].leader = 0;
        balance->partitions[p].preferred = ringmap_wanted(&shard->ring.map, (uint16_t)p)[0];
    }
}

/* The meta group, which is what judges, stays here while this member may lead. */
static void leave_meta(struct shard *shard, uint32_t count)
{
    const struct rebalance_member *list = shard->balance.list;
    struct raft_event event = {.kind = RAFT_EVENT_TRANSFER};

    for (uint32_t i = 0; i < count; i++) {
        if (list[i].id == shard->options.self && list[i].may_lead)
            return;
        if (list[i].may_lead && shard_ready_to_lead(shard, shard->meta, list[i].id))
            event.from.member = list[i].id;
    }
    if (event.from.member && !shard->meta->raft.transfer_to)
        shard_raft_event(shard, shard->meta, &event);
}

static void judge(struct shard *shard)
{
    struct shard_balance *balance = &shard->balance;
    struct rebalance_event event = {
        .now_ms = shard->now_ms, .members = balance->list, .partitions = balance->partitions};

    balance->judge_due_ms = 0;
    judge_disks(shard);
    if (shard->now_ms < balance->since_ms + LEARN_MS)
        return;
    event.member_count = list_members(shard);
    list_partitions(shard);
    rebalance_step(&balance->rebalance, &event, &balance->effects);
    wish(shard);
    leave_meta(shard, event.member_count);
}

void shard_balance_duty(struct shard *shard)
{
    struct shard_balance *balance = &shard->balance;

    if (balance->term != 0 && (!leads_meta(shard) || shard->meta->raft.term != balance->term))
        shard_balance_free(shard);
    if (!leads_meta(shard))
        return;
    if (balance->term == 0)
        begin(shard);
    if (shard->fatal)
        return;
    if (balance->judge_due_ms && shard->now_ms >= balance->judge_due_ms)
        judge(shard);
    if (shard->now_ms >= balance->ask_due_ms)
        ask(shard);
}
