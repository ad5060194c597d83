#include "replication/shard_compare.h"

#include "replication/shard_internal.h"
#include "storage/checksum.h"
#include "storage/codec.h"

#include <stdlib.h>

#define ANSWER_MS    5000u  /* for all of them */
#define CAPTURE_MS   10000u /* until the index is reached */
#define RETRY_MS     200u
#define LOOK_MS      1000u
#define TRIES_MAX    5u
#define HAND_OVER_MS 5000u
#define STEP_ITEMS   256u /* read at an event, and */
#define STEP_SIZE    COMPARE_SIZE_MAX
#define WALK_MAX     8192u
#define RANGE_COST   8192u /* bytes that a range costs at least */
#define BUSY_SLOW    4u    /* times slower while clients wait for something */
#define HASHED_SIZE  32u

/* What a replica holds of a range at an index. */
struct shard_capture {
    struct shard_capture *next;
    struct replica *replica;
    struct wire_compare ask;
    uint64_t since_ms;
    bool reached; /* the index: items are what it held then */
    bool reading; /* a job is out */
    bool failed;
    uint32_t count, at; /* items, and how many of them are done with */
    uint64_t bytes, sum;
    struct keydir_item items[COMPARE_ITEMS + 1];
};

/* --- captures ------------------------------------------------------------------------------ */

static void capture_end(struct shard *shard, struct shard_capture *capture)
{
    struct shard_capture **at = &shard->compare.captures;

    while (*at != capture)
        at = &(*at)->next;
    *at = capture->next;
    shard->compare.capture_count--;
    if (!capture->reached && capture->replica->compare_at == capture->ask.index)
        capture->replica->compare_at = 0;
    for (; capture->at < capture->count; capture->at++)
        store_unpin(shard->store, capture->items[capture->at].entry.location);
    free(capture);
}

void shard_compare_free(struct shard *shard)
{
    while (shard->compare.captures)
        capture_end(shard, shard->compare.captures);
}

/* Takes what the keydir holds now. One item more than a range may have tells it from one that has
 * more keys than its leader's. */
static void capture_take(struct shard *shard, struct shard_capture *capture)
{
    struct keydir_slice slice = {
        .from = capture->ask.from, .filter = KEYDIR_LIVE, .walk_max = WALK_MAX, .next = 1};
    uint64_t to = capture->ask.to;

    capture->reached = true;
    while (slice.next != 0 && (to == 0 || slice.from < to) && capture->count <= COMPARE_ITEMS) {
        uint32_t kept = 0;

        slice.items = capture->items + capture->count;
        slice.items_max = COMPARE_ITEMS + 1 - capture->count;
        store_slice(shard->store, capture->replica->partition, &slice);
        while (kept < slice.count && (to == 0 || keydir_position(&slice.items[kept].digest) < to)) {
            store_pin(shard->store, slice.items[kept].entry.location);
            kept++;
        }
        capture->count += kept;
        slice.from = slice.next;
        if (kept < slice.count)
            break;
    }
}

static void answer(struct shard *shard, const struct wire_compare *ask, uint8_t kind,
                   uint32_t count, uint64_t sum);

static bool current(const struct replica *replica, const struct wire_compare *ask)
{
    const struct raft *raft = &replica->raft;

    return replica_serves(replica) && raft->term == ask->term && raft->leader == ask->from_member &&
           raft->options.self.life == ask->to_life;
}

/* False: not here, or not now. */
static bool capture_begin(struct shard *shard, struct replica *replica,
                          const struct wire_compare *ask)
{
    struct shard_capture *capture;

    if (!current(replica, ask) || replica->raft.applied > ask->index ||
        replica->settled > ask->index || replica->compare_at != 0 ||
        shard->compare.capture_count == COMPARE_CAPTURES_MAX)
        return false;
    capture = calloc(1, sizeof *capture);
    if (!capture)
        return false;
    capture->replica = replica;
    capture->ask = *ask;
    capture->since_ms = shard->now_ms;
    capture->next = shard->compare.captures;
    shard->compare.captures = capture;
    shard->compare.capture_count++;
    if (replica->raft.applied == ask->index || mutant(MUTANT_COMPARED_ANYWHERE))
        capture_take(shard, capture);
    else
        replica->compare_at = ask->index;
    return true;
}

void shard_compare_reached(struct shard *shard, struct replica *replica)
{
    for (struct shard_capture *capture = shard->compare.captures; capture; capture = capture->next)
        if (capture->replica == replica && !capture->reached &&
            capture->ask.index == replica->compare_at)
            capture_take(shard, capture);
    replica->compare_at = 0;
}

/* --- reading ------------------------------------------------------------------------------- */

/* Is it what the key has still? Of an older record the dictionary may have gone. */
static bool is_current(const struct shard *shard, const struct shard_capture *capture,
                       const struct keydir_item *item)
{
    struct keydir_entry entry;

    return store_find(shard->store, capture->replica->partition, &item->digest, &entry) == 0 &&
           entry.location == item->entry.location;
}

/* The next item's record, as it lies there. */
static void item_add(struct shard *shard, struct shard_capture *capture, const uint8_t *bytes,
                     size_t size)
{
    struct keydir_item *item = &capture->items[capture->at];
    uint8_t hashed[HASHED_SIZE];
    struct keydir_digest digest;
    struct record record;
    int r = record_decode(bytes, size, &record) == 0 &&
                    record.partition == capture->replica->partition &&
                    record.kind == RECORD_KIND_PUT
                ? 0
                : STORE_E_CORRUPT;

    if (r == 0) {
        digest = shard_record_digest(shard, &record);
        if (digest.low != item->digest.low || (digest.high & 0xffff) != item->digest.high)
            r = STORE_E_CORRUPT;
    }
    if (r == 0)
        r = store_expand(shard->store, &record);
    if (r == STORE_E_CORRUPT && is_current(shard, capture, item))
        shard_fence(shard, capture->replica, "a record that was synced does not check");
    capture->failed |= r != 0;
    if (r == 0) {
        codec_put_u64(hashed, item->digest.high);
        codec_put_u64(hashed + 8, item->digest.low);
        codec_put_u64(hashed + 16, record.index);
        codec_put_u64(hashed + 24, record.expiry_ms);
        capture->sum +=
            checksum_seeded(record.value, record.value_size, checksum(hashed, sizeof hashed));
        capture->bytes += record_size_padded(&record);
    }
    store_unpin(shard->store, item->entry.location);
    capture->at++;
}

void shard_compare_read(struct shard *shard, struct shard_read *read, const uint8_t *bytes,
                        size_t size)
{
    struct shard_capture *capture = read->owner;

    capture->reading = false;
    if (bytes)
        item_add(shard, capture, bytes, size);
    else
        capture->failed = true;
}

/* True: all of it has been read, or cannot be. */
static bool capture_step(struct shard *shard, struct shard_capture *capture)
{
    size_t size_left = STEP_SIZE;

    for (uint32_t n = 0; n < STEP_ITEMS && capture->at < capture->count && !capture->failed; n++) {
        const struct keydir_entry *entry = &capture->items[capture->at].entry;
        const uint8_t *bytes;
        size_t size;
        int r;

        if (n > 0 && entry->size_max > size_left)
            return false;
        size_left -= entry->size_max < size_left ? entry->size_max : size_left;
        r = store_peek(shard->store, entry->location, entry->size_max, &bytes, &size);
        if (r == STORE_E_AGAIN) {
            capture->reading = shard_read_start(shard, SHARD_READ_COMPARE, capture, 0,
                                                entry->location, entry->size_max);
            return false;
        }
        if (r == 0)
            item_add(shard, capture, bytes, size);
        else
            capture->failed = true;
    }
    return capture->failed || capture->at == capture->count;
}

static void answer_take(struct shard *shard, const struct wire_compare *ack);

static void answer(struct shard *shard, const struct wire_compare *ask, uint8_t kind,
                   uint32_t count, uint64_t sum)
{
    struct wire_buffer body = {0};
    struct wire_compare ack = *ask;

    ack.kind = kind;
    ack.from_member = ask->to_member;
    ack.from_life = ask->to_life;
    ack.to_member = ask->from_member;
    ack.to_life = ask->from_life;
    ack.count = count;
    ack.sum = sum;
    if (ack.to_member == shard->options.self) {
        answer_take(shard, &ack);
    } else if (shard->peers[ack.to_member].up) {
        wire_put_compare(&body, &ack);
        shard_out(shard, shard_to_member(ack.to_member), WIRE_COMPARE_ACK,
                  shard_out_route(shard, ack.to_member, ack.group), 0, &body);
        wire_buffer_deinit(&body);
    }
}

static void captures_step(struct shard *shard)
{
    struct shard_capture *next;

    for (struct shard_capture *capture = shard->compare.captures; capture; capture = next) {
        bool past = capture->replica->raft.applied > capture->ask.index ||
                    shard->now_ms >= capture->since_ms + CAPTURE_MS;
        struct wire_compare ask = capture->ask;

        next = capture->next;
        if (capture->reading)
            continue;
        if (capture->reached ? !capture_step(shard, capture)
                             : !past && current(capture->replica, &ask))
            continue;
        if (capture->replica == shard->compare.replica)
            shard->compare.bytes += capture->bytes;
        if (capture->reached && !capture->failed)
            answer(shard, &ask, WIRE_COMPARE_GIVEN, capture->count, capture->sum);
        else
            answer(shard, &ask, WIRE_COMPARE_NOT, 0, 0);
        capture_end(shard, capture);
    }
}

/* --- the leader ---------------------------------------------------------------------------- */

static bool may_ask(const struct replica *replica)
{
    return replica_leads(replica) && !replica->raft.transfer_to && !replica->odd_until_ms;
}

static void ask_send(struct shard *shard, const struct raft_replica *to, uint8_t kind)
{
    struct wire_compare ask = shard->compare.ask;
    struct wire_buffer body = {0};

    ask.kind = kind;
    ask.to_member = to->member;
    ask.to_life = to->life;
    wire_put_compare(&body, &ask);
    shard_out(shard, shard_to_member(to->member), WIRE_COMPARE,
              shard_out_route(shard, to->member, ask.group), 0, &body);
    wire_buffer_deinit(&body);
}

/* How far a range from here goes: so many keys or bytes. */
static uint64_t range_end(struct shard *shard, const struct replica *replica, uint64_t from)
{
    struct keydir_item *items = shard->compare.items;
    struct keydir_slice slice = {.from = from,
                                 .filter = KEYDIR_LIVE,
                                 .items_max = COMPARE_ITEMS,
                                 .walk_max = WALK_MAX,
                                 .items = items};
    uint64_t size = 0;

    store_slice(shard->store, replica->partition, &slice);
    for (uint32_t i = 0; i < slice.count; i++) {
        size += items[i].entry.size_max;
        if (i > 0 && size > COMPARE_SIZE_MAX && keydir_position(&items[i].digest) > from)
            return keydir_position(&items[i].digest);
    }
    return slice.next;
}

static void range_ask(struct shard *shard)
{
    struct shard_compare *compare = &shard->compare;
    struct replica *replica = compare->replica;
    const struct raft *raft = &replica->raft;

    compare->ask = (struct wire_compare){.kind = WIRE_COMPARE_ASK,
                                         .group = replica->partition,
                                         .from_member = raft->options.self.member,
                                         .from_life = raft->options.self.life,
                                         .term = raft->term,
                                         .index = raft->applied,
                                         .from = replica->compare_from,
                                         .to = range_end(shard, replica, replica->compare_from)};
    compare->begun_ms = shard->now_ms;
    compare->bytes = 0;
    compare->answer_count = raft->config.voter_count;
    for (uint32_t i = 0; i < compare->answer_count; i++) {
        struct shard_answer *place = &compare->answers[i];

        *place = (struct shard_answer){.voter = raft->config.voters[i]};
        if (place->voter.member == shard->options.self) {
            struct wire_compare ask = compare->ask;

            ask.to_member = ask.from_member;
            ask.to_life = ask.from_life;
            place->come = !capture_begin(shard, replica, &ask);
        } else if (shard->peers[place->voter.member].up) {
            ask_send(shard, &place->voter, WIRE_COMPARE_ASK);
        } else {
            place->come = true;
        }
    }
}

static void answer_take(struct shard *shard, const struct wire_compare *ack)
{
    struct shard_compare *compare = &shard->compare;
    const struct wire_compare *ask = &compare->ask;

    if (!compare->replica || ack->group != ask->group || ack->term != ask->term ||
        ack->index != ask->index || ack->from != ask->from || ack->to != ask->to)
        return;
    for (uint32_t i = 0; i < compare->answer_count; i++) {
        struct shard_answer *place = &compare->answers[i];

        if (place->voter.member != ack->from_member || place->voter.life != ack->from_life)
            continue;
        place->come = true;
        place->given = ack->kind == WIRE_COMPARE_GIVEN;
        place->count = ack->count;
        place->sum = ack->sum;
    }
}

static bool same(const struct shard_answer *a, const struct shard_answer *b)
{
    return a->count == b->count && a->sum == b->sum;
}

/* More than half of the voters gave this answer. */
static bool is_majority(const struct shard_compare *compare,
                        const struct shard_answer *answer_given)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < compare->answer_count; i++)
        count += compare->answers[i].given && same(&compare->answers[i], answer_given);
    return answer_given->given && count > compare->answer_count / 2;
}

static void range_next(struct shard *shard)
{
    struct shard_compare *compare = &shard->compare;
    struct replica *replica = compare->replica;
    uint64_t bytes = compare->bytes > RANGE_COST ? compare->bytes : RANGE_COST;
    uint64_t ms = bytes * compare->answer_count * 1000 / shard->options.store.scrub_rate;

    compare->due_ms = shard->now_ms + (shard->in_flight > 0 ? BUSY_SLOW * ms : ms);
    compare->replica = NULL;
    compare->tries = 0;
    compare->differed = false;
    replica->compare_from = compare->ask.to;
    if (compare->ask.to == 0) {
        replica->compare_due_ms = replica->compare_begun_ms + shard->options.store.scrub_every_ms;
        shard->stats.compared++;
    }
}

static void outvoted(struct shard *shard, struct replica *replica)
{
    replica->odd_until_ms = shard->now_ms + HAND_OVER_MS;
    shard->compare.odd = replica;
}

/* Those whom the majority outvotes are repaired; a leader among them once another one leads. */
static void judge_difference(struct shard *shard)
{
    struct shard_compare *compare = &shard->compare;
    const struct shard_answer *right = NULL;

    for (uint32_t i = 0; i < compare->answer_count && !right; i++)
        right = is_majority(compare, &compare->answers[i]) ? &compare->answers[i] : NULL;
    if (!right) {
        shard->stats.undecided++;
        return;
    }
    for (uint32_t i = 0; i < compare->answer_count; i++) {
        struct shard_answer *other = &compare->answers[i];

        if (!other->given || same(other, right))
            continue;
        shard->stats.differences++;
        if (other->voter.member == shard->options.self)
            outvoted(shard, compare->replica);
        else
            ask_send(shard, &other->voter, WIRE_COMPARE_ODD);
    }
}

/* Every answer has come, or will not. */
static void judge(struct shard *shard)
{
    struct shard_compare *compare = &shard->compare;
    const struct shard_answer *first = NULL;
    bool differ = false, more = false;

    for (uint32_t i = 0; i < compare->answer_count; i++) {
        const struct shard_answer *other = &compare->answers[i];

        more |= !other->given && shard->peers[other->voter.member].up;
        first = first || !other->given ? first : other;
        differ |= other->given && !same(first, other);
    }
    /* Somebody who could not answer may have been past the index: at another it will. */
    if ((more && ++compare->tries < TRIES_MAX) || (differ && !compare->differed)) {
        compare->differed |= differ;
        compare->due_ms = shard->now_ms + RETRY_MS;
        compare->answer_count = 0;
        return;
    }
    if (differ)
        judge_difference(shard);
    range_next(shard);
}

static void run_step(struct shard *shard)
{
    struct shard_compare *compare = &shard->compare;
    bool all = true;

    if (!may_ask(compare->replica) ||
        (compare->answer_count > 0 && compare->replica->raft.term != compare->ask.term)) {
        compare->replica = NULL;
        compare->tries = 0;
        compare->differed = false;
        return;
    }
    if (compare->answer_count == 0) {
        if (shard->now_ms >= compare->due_ms)
            range_ask(shard);
        return;
    }
    for (uint32_t i = 0; i < compare->answer_count; i++)
        all &= compare->answers[i].come;
    if (all || shard->now_ms >= compare->begun_ms + ANSWER_MS)
        judge(shard);
}

/* The next of the replicas that lead and are due. */
static void run_begin(struct shard *shard)
{
    struct shard_compare *compare = &shard->compare;

    for (size_t i = 0; i < shard->hosted_count && !compare->replica; i++) {
        struct replica *replica = shard->hosted[compare->turn++ % shard->hosted_count];
        const struct raft *raft = &replica->raft;

        if (!may_ask(replica) || raft->config.voter_count < 2 || raft->config.voter_old_count > 0 ||
            raft->applied < raft->term_start || replica->settled > raft->applied ||
            shard->now_ms < replica->compare_due_ms)
            continue;
        if (replica->compare_from == 0)
            replica->compare_begun_ms = shard->now_ms;
        compare->replica = replica;
        compare->answer_count = 0;
    }
    if (!compare->replica)
        compare->due_ms = shard->now_ms + LOOK_MS;
}

/* Nothing on its disk tells, and who restarts nodes to have a majority again would have its content
 * in it. */
static void fence(struct shard *shard, struct replica *replica)
{
    shard_fence(shard, replica, "its content is not that of most replicas");
    store_checkpoint_soon(shard->store);
}

/* A leader that is outvoted lets another one lead, and is repaired by that one. */
static void odd_step(struct shard *shard, struct replica *replica)
{
    struct raft_event event = {.kind = RAFT_EVENT_TRANSFER};

    if (replica_leads(replica) && shard->now_ms < replica->odd_until_ms) {
        if (!replica->raft.transfer_to) /* to the best voter */
            shard_raft_event(shard, replica, &event);
        return;
    }
    replica->odd_until_ms = 0;
    shard->compare.odd = NULL;
    fence(shard, replica);
}

void shard_compare_pump(struct shard *shard)
{
    struct shard_compare *compare = &shard->compare;

    captures_step(shard);
    if (shard->options.store.scrub_rate == 0 || shard->hosted_count == 0)
        return;
    if (compare->replica)
        run_step(shard);
    else if (shard->now_ms >= compare->due_ms)
        run_begin(shard);
    if (compare->odd)
        odd_step(shard, compare->odd);
}

/* --- frames -------------------------------------------------------------------------------- */

void shard_compare_frame(struct shard *shard, uint16_t member, const struct link_message *message)
{
    struct wire_cursor cursor;
    struct wire_compare ask;

    wire_cursor_init(&cursor, message->body, message->body_size);
    while (!wire_cursor_done(&cursor) && wire_get_compare(&cursor, &ask)) {
        struct replica *replica = shard_replica(shard, ask.group);

        if (!replica || ask.from_member != member || ask.to_member != shard->options.self ||
            (ask.to != 0 && ask.to <= ask.from))
            continue;
        if (ask.kind == WIRE_COMPARE_ASK && !capture_begin(shard, replica, &ask))
            answer(shard, &ask, WIRE_COMPARE_NOT, 0, 0);
        else if (ask.kind == WIRE_COMPARE_ODD && current(replica, &ask))
            fence(shard, replica);
    }
}

void shard_compare_ack_frame(struct shard *shard, uint16_t member,
                             const struct link_message *message)
{
    struct wire_cursor cursor;
    struct wire_compare ack;

    wire_cursor_init(&cursor, message->body, message->body_size);
    while (!wire_cursor_done(&cursor) && wire_get_compare(&cursor, &ack))
        if (ack.from_member == member && ack.to_member == shard->options.self)
            answer_take(shard, &ack);
}

bool shard_compare_of(const struct shard *shard, const struct replica *replica)
{
    const struct shard_capture *capture = shard->compare.captures;

    while (capture && capture->replica != replica)
        capture = capture->next;
    return capture || shard->compare.replica == replica || shard->compare.odd == replica;
}
