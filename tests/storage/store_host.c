#include "store_host.h"

#include <assert.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/codec.h"

#define HOST_VALUE_SIZE_MAX 8192u

struct keydir_digest host_digest(uint32_t key)
{
    return (struct keydir_digest){.high = (key + 1) * 0x9E3779B97F4A7C15ull,
                                  .low = (key + 7) * 0xC2B2AE3D27D4EB4Full};
}

static void digest_of(const void *context, const uint8_t *key, size_t size,
                      struct keydir_digest *out)
{
    (void)context;
    assert(size == 4);
    *out = host_digest(codec_get_u32(key));
}

void host_options(struct store_options *options)
{
    *options = (struct store_options){
        .folder = "shard-00",
        .partitions = 8,
        .segment_size = 64u << 10,
        .batch_size_max = 8u << 10,
        .queue_size_max = 32u << 10,
        .memory_size_max = 16u << 10,
        .zero_ahead_size = 16u << 10,
        .journal_size_max = 64u << 20,
        .digest = digest_of,
        .flush_size_max = 64u << 10,
        .scrub_rate = 1u << 20,
    };
}

static struct host_partition *host_part(struct host *host, uint16_t partition)
{
    cr_assert_lt(partition, HOST_PARTITIONS);
    return &host->parts[partition];
}

/* --- applying ------------------------------------------------------------------------------ */

static void host_apply(struct host *host, uint16_t partition)
{
    struct host_partition *part = host_part(host, partition);

    while (part->applied < part->commit && part->applied < part->last) {
        const struct host_entry *entry = &part->log[++part->applied];
        struct keydir_digest digest = host_digest(entry->key);

        if (entry->key == HOST_KEYS || entry->size == 0)
            continue;
        cr_assert_eq(store_apply(host->store, partition, &digest, entry->location, entry->size,
                                 entry->value == 0, false),
                     0);
    }
}

/* --- the visitor --------------------------------------------------------------------------- */

static void on_checkpoint(void *context, uint16_t partition,
                          const struct store_checkpoint *checkpoint)
{
    struct host *host = context;
    struct host_partition *part = host_part(host, partition);

    part->term = checkpoint->term;
    part->vote = checkpoint->vote;
    if (part->checkpoint_seen_min == 0 || checkpoint->applied < part->checkpoint_seen_min)
        part->checkpoint_seen_min = checkpoint->applied;
    cr_assert_eq(checkpoint->state_size, 5 + partition * 100u);
    cr_assert_eq(checkpoint->state[0], (uint8_t)partition);
    if (checkpoint->applied > part->commit)
        part->commit = checkpoint->applied;
    host_apply(host, partition);
    /* What is missing in between was dropped: dead, and below the newest checkpoint's log. */
    if (part->applied < checkpoint->applied)
        part->applied = checkpoint->applied;
    while (part->last < checkpoint->applied) /* what lay there was truncated before */
        part->log[++part->last] = (struct host_entry){.key = HOST_KEYS};
    part->first = checkpoint->first_index;
}

static void on_hard_state(void *context, uint16_t partition, const struct store_hard_state *state)
{
    struct host_partition *part = host_part(context, partition);

    part->term = state->term;
    part->vote = state->vote;
}

static void entry_decode(const struct record *record, struct host_entry *entry)
{
    entry->term = record->term;
    entry->key = HOST_KEYS;
    entry->value = 0;
    if (record->kind == RECORD_KIND_NOOP)
        return;
    cr_assert_eq(record->key_size, 4);
    entry->key = codec_get_u32(record->key);
    if (record->kind == RECORD_KIND_PUT)
        entry->value = codec_get_u64(record->value);
}

static void on_entry(void *context, uint16_t partition, const struct record *records, size_t count,
                     store_location location, uint32_t size)
{
    struct host *host = context;
    struct host_partition *part = host_part(host, partition);
    uint64_t index = records[0].index;
    struct host_entry *entry = &part->log[index];

    cr_assert_eq(count, 1);
    cr_assert_lt(index, HOST_LOG_MAX);
    cr_assert_gt(index, 0);
    for (uint64_t i = part->last + 1; i < index; i++)
        part->log[i] = (struct host_entry){.key = HOST_KEYS};
    entry_decode(&records[0], entry);
    entry->location = location;
    entry->size = size;
    part->last = index;
    part->log_used = index > part->log_used ? index : part->log_used;
    host->entries_seen++;
}

static void on_commit(void *context, uint16_t partition, uint64_t commit)
{
    struct host *host = context;
    struct host_partition *part = host_part(host, partition);

    if (commit > part->commit)
        part->commit = commit;
    host->commits_seen++;
    host_apply(host, partition);
}

static void on_fence(void *context, uint16_t partition, const char *why)
{
    struct host_partition *part = host_part(context, partition);

    cr_assert_not(part->fenced);
    part->fenced = true;
    part->why = why;
}

static void save_checkpoint(void *context, uint16_t partition, struct store_checkpoint *checkpoint)
{
    static uint8_t state[1024];
    struct host_partition *part = host_part(context, partition);

    memset(state, partition, sizeof(state));
    cr_assert_not(part->gone);
    part->checkpoint_count++;
    *checkpoint = (struct store_checkpoint){
        .term = part->term,
        .vote = part->vote,
        .applied = part->applied,
        .applied_term = part->log[part->applied].term,
        .first_index = part->first,
        .state = state,
        .state_size = 5 + partition * 100u,
    };
}

/* --- life ---------------------------------------------------------------------------------- */

void host_init(struct host *host, struct vfs *vfs)
{
    *host = (struct host){.vfs = vfs, .value_next = 1, .op_capacity = 1024};
    host->ops = malloc(host->op_capacity * sizeof(*host->ops));
    cr_assert(host->ops);
    for (size_t i = 0; i < HOST_PARTITIONS; i++) {
        host->parts[i].log = calloc(HOST_LOG_MAX, sizeof(struct host_entry));
        cr_assert(host->parts[i].log);
    }
    host_options(&host->options);
}

static void parts_reset(struct host *host)
{
    for (size_t i = 0; i < HOST_PARTITIONS; i++) {
        struct host_entry *log = host->parts[i].log;

        memset(log, 0, (host->parts[i].log_used + 1) * sizeof(*log));
        host->parts[i] = (struct host_partition){.first = 1, .log = log};
    }
}

int host_open(struct host *host)
{
    struct store_visitor visitor = {
        .context = host,
        .on_checkpoint = on_checkpoint,
        .on_hard_state = on_hard_state,
        .on_entry = on_entry,
        .on_commit = on_commit,
        .on_fence = on_fence,
        .save_checkpoint = save_checkpoint,
    };

    cr_assert_null(host->store);
    parts_reset(host);
    host->entries_seen = 0;
    host->commits_seen = 0;
    host->open_result = store_open(&host->store, host->vfs, &host->options, &visitor);
    return host->open_result;
}

void host_found(struct host *host)
{
    static const uint8_t hash[32] = {1, 2, 3};
    uint16_t partitions[HOST_PARTITIONS];

    for (uint16_t i = 0; i < HOST_PARTITIONS; i++)
        partitions[i] = i;
    cr_assert_eq(store_found(host->store, hash, partitions, HOST_PARTITIONS), 0);
    host->options.founded = true;
}

void host_close(struct host *host)
{
    if (host->write_job)
        store_done(host->store, host->write_job, -EIO);
    if (host->background_job)
        store_done(host->store, host->background_job, -EIO);
    host->write_job = NULL;
    host->background_job = NULL;
    store_close(host->store);
    host->store = NULL;
}

void host_deinit(struct host *host)
{
    if (host->store)
        host_close(host);
    for (size_t i = 0; i < HOST_PARTITIONS; i++)
        free(host->parts[i].log);
    free(host->ops);
}

/* --- operations ---------------------------------------------------------------------------- */

static struct host_op *op_new(struct host *host)
{
    if (host->op_count == host->op_capacity) {
        host->op_capacity = host->op_capacity ? host->op_capacity * 2 : 1024;
        host->ops = realloc(host->ops, host->op_capacity * sizeof(*host->ops));
        cr_assert(host->ops);
    }
    return &host->ops[host->op_count++];
}

int host_append(struct host *host, uint16_t partition, uint64_t index, uint32_t key, bool delete_it)
{
    struct host_partition *part = host_part(host, partition);
    uint8_t key_bytes[4], value[HOST_VALUE_SIZE_MAX] = {0};
    struct host_entry entry = {
        .term = part->term,
        .key = key,
        .value = delete_it ? 0 : host->value_next,
    };
    struct record record = {
        .partition = partition,
        .kind = delete_it ? RECORD_KIND_DELETE : RECORD_KIND_PUT,
        .term = part->term,
        .index = index,
        .key = key_bytes,
        .key_size = sizeof(key_bytes),
        .value = value,
        .value_size = delete_it ? 0 : 8 + host->padding,
    };
    int r;

    cr_assert_leq(8 + host->padding, HOST_VALUE_SIZE_MAX);
    cr_assert_leq(index, part->last + 1);
    codec_put_u32(key_bytes, key);
    codec_put_u64(value, entry.value);
    r = store_append(host->store, &record, 1, &entry.location, &entry.size);
    if (r != 0)
        return r;
    host->value_next++;
    part->log[index] = entry;
    part->last = index;
    part->log_used = index > part->log_used ? index : part->log_used;
    *op_new(host) = (struct host_op){
        .batch = store_batch(host->store),
        .kind = HOST_OP_ENTRY,
        .partition = partition,
        .index = index,
        .entry = entry,
    };
    return 0;
}

int host_append_next(struct host *host, uint16_t partition, uint32_t key)
{
    return host_append(host, partition, host->parts[partition].last + 1, key, false);
}

int host_hard(struct host *host, uint16_t partition, uint32_t term, uint32_t vote)
{
    struct host_partition *part = host_part(host, partition);
    struct store_hard_state state = {.term = term, .vote = vote, .commit = part->commit};
    int r = store_append_hard_state(host->store, partition, &state);

    if (r != 0)
        return r;
    part->term = term;
    part->vote = vote;
    *op_new(host) = (struct host_op){
        .batch = store_batch(host->store),
        .kind = HOST_OP_HARD,
        .partition = partition,
        .term = term,
        .vote = vote,
    };
    return 0;
}

void host_commit(struct host *host, uint16_t partition, uint64_t index)
{
    struct host_partition *part = host_part(host, partition);

    cr_assert_leq(index, part->last);
    if (index <= part->commit)
        return;
    part->commit = index;
    store_commit(host->store, partition, index);
    host_apply(host, partition);
}

void host_retain(struct host *host, uint16_t partition, uint64_t first)
{
    struct host_partition *part = host_part(host, partition);

    cr_assert_leq(first, part->applied + 1);
    if (first <= part->first)
        return;
    part->first = first;
    store_retain(host->store, partition, first);
}

static bool job_half(struct host *host, enum store_job_class class, struct store_job **held)
{
    struct store_job *job = *held;

    if (!job) {
        *held = store_next_job(host->store, class, host->now_ms);
        return true;
    }
    *held = NULL;
    return store_done(host->store, job, store_job_run(job)) == 0;
}

bool host_write_half(struct host *host)
{
    return job_half(host, STORE_JOB_WRITE, &host->write_job);
}

bool host_background_half(struct host *host)
{
    return job_half(host, STORE_JOB_BACKGROUND, &host->background_job);
}

bool host_write_one(struct host *host, int *result)
{
    struct store_job *job = store_next_job(host->store, STORE_JOB_WRITE, host->now_ms);

    if (!job)
        return false;
    *result = store_done(host->store, job, store_job_run(job));
    return true;
}

bool host_sync(struct host *host)
{
    int r = 0;

    if (host->write_job && !host_write_half(host))
        return false;
    while (host_write_one(host, &r))
        if (r < 0)
            return false;
    return true;
}

int host_background(struct host *host)
{
    struct store_job *job;
    int r = 0;

    if (host->background_job && !host_background_half(host))
        return -EIO;
    while (r == 0 && (job = store_next_job(host->store, STORE_JOB_BACKGROUND, host->now_ms)))
        r = store_done(host->store, job, store_job_run(job));
    return r;
}

void host_settle(struct host *host)
{
    for (int i = 0; i < 8; i++) {
        cr_assert(host_sync(host));
        cr_assert_eq(host_background(host), 0);
        host->now_ms += 60;
    }
}

/* --- judging ------------------------------------------------------------------------------- */

/* The value that the log up to `applied` gives a key: 0 for none. */
static uint64_t log_value(const struct host_partition *part, uint32_t key, uint64_t applied,
                          bool *found)
{
    *found = false;
    for (uint64_t i = applied; i > 0; i--)
        if (part->log[i].key == key && part->log[i].size > 0) {
            *found = true;
            return part->log[i].value;
        }
    return 0;
}

static void key_check(struct host *host, uint16_t partition, uint32_t key, uint64_t expected,
                      bool exists)
{
    struct keydir_digest digest = host_digest(key);
    struct keydir_entry entry;
    struct host_entry got;
    struct record record;
    const uint8_t *bytes;
    size_t size;

    if (store_find(host->store, partition, &digest, &entry) == STORE_E_ABSENT) {
        /* Flush forgets what was deleted when nothing older is left. */
        cr_assert(!exists || expected == 0, "partition %u key %u is missing", partition, key);
        return;
    }
    cr_assert(exists, "partition %u key %u came from nowhere", partition, key);
    cr_assert_eq(store_peek(host->store, entry.location, entry.size_max, &bytes, &size), 0);
    cr_assert_eq(record_decode(bytes, size, &record), 0);
    entry_decode(&record, &got);
    cr_assert_eq(got.key, key);
    cr_assert_eq(got.value, expected, "partition %u key %u has %lu, not %lu", partition, key,
                 (unsigned long)got.value, (unsigned long)expected);
    cr_assert_eq(entry.tombstone, expected == 0);
}

void host_check(struct host *host)
{
    for (uint16_t p = 0; p < HOST_PARTITIONS; p++)
        for (uint32_t key = 0; key < HOST_KEYS && !host->parts[p].fenced && !host->parts[p].gone;
             key++) {
            bool exists;
            uint64_t value = log_value(&host->parts[p], key, host->parts[p].applied, &exists);

            key_check(host, p, key, value, exists);
        }
    store_check(host->store);
}

/* Replays the operations of the batches up to `batch`. */
static void ops_replay(const struct host *before, uint16_t partition, uint64_t batch,
                       struct host_partition *out)
{
    for (size_t i = 0; i < before->op_count; i++) {
        const struct host_op *op = &before->ops[i];

        if (op->partition != partition || op->batch > batch)
            continue;
        if (op->kind == HOST_OP_HARD) {
            out->term = op->term;
            out->vote = op->vote;
        } else {
            out->log[op->index] = op->entry;
            out->last = op->index;
        }
    }
}

static uint64_t ops_index_max(const struct host *host)
{
    uint64_t index = 0;

    for (size_t i = 0; i < host->op_count; i++)
        index = host->ops[i].index > index ? host->ops[i].index : index;
    return index;
}

void host_compare(struct host *host, const struct host *before, uint64_t synced)
{
    uint64_t survived = store_batch(host->store) - 1;

    cr_assert_geq(survived, synced, "batch %lu was synced, %lu is the last recovered",
                  (unsigned long)synced, (unsigned long)survived);
    for (uint16_t p = 0; p < HOST_PARTITIONS; p++) {
        struct host_partition *part = &host->parts[p];
        struct host_partition model = {0};

        if (part->gone)
            continue;

        cr_assert_not(part->fenced, "partition %u is fenced: %s", p, part->why);
        model.log = calloc(ops_index_max(before) + 2, sizeof(*model.log));
        ops_replay(before, p, survived, &model);
        cr_assert_eq(part->last, model.last, "partition %u ends at %lu, not %lu", p,
                     (unsigned long)part->last, (unsigned long)model.last);
        cr_assert_eq(part->term, model.term, "partition %u is in term %u, not %u (batch %lu)", p,
                     part->term, model.term, (unsigned long)survived);
        cr_assert_eq(part->vote, model.vote);
        cr_assert_leq(part->commit, before->parts[p].commit);
        for (uint64_t i = part->first; i <= part->last; i++) {
            cr_assert_eq(part->log[i].term, model.log[i].term, "partition %u index %lu", p,
                         (unsigned long)i);
            cr_assert_eq(part->log[i].key, model.log[i].key,
                         "partition %u index %lu of %lu to %lu has key %u, not %u", p,
                         (unsigned long)i, (unsigned long)part->first, (unsigned long)part->last,
                         part->log[i].key, model.log[i].key);
            cr_assert_eq(part->log[i].value, model.log[i].value);
        }
        for (uint32_t key = 0; key < HOST_KEYS; key++) {
            bool exists;
            uint64_t value = log_value(&model, key, part->applied, &exists);

            key_check(host, p, key, value, exists);
        }
        /* What the log no longer has, for host_check(). */
        for (uint64_t i = 1; i <= part->applied; i++)
            if (part->log[i].size == 0) {
                part->log[i] = model.log[i];
                part->log_used = i > part->log_used ? i : part->log_used;
            }
        free(model.log);
    }
    store_check(host->store);
}

/* --- what most tests begin and end with ------------------------------------------------- */

void host_start(struct host *host)
{
    host_init(host, vfs_mem_new());
    cr_assert_eq(host_open(host), 0);
    host_found(host);
}

void host_stop(struct host *host)
{
    struct vfs *vfs = host->vfs;

    host_deinit(host);
    vfs_mem_free(vfs);
}

void host_reopen(struct host *host, struct host *again)
{
    uint64_t synced = store_synced(host->store);

    host_close(host);
    host_init(again, host->vfs);
    again->options = host->options;
    cr_assert_eq(host_open(again), 0);
    host_compare(again, host, synced);
}

void host_reopen_and_compare(struct host *host)
{
    struct host again;

    host_reopen(host, &again);
    host_deinit(&again);
}

void host_fill(struct host *host, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        for (uint16_t p = 0; p < HOST_PARTITIONS; p++) {
            int r = host_append_next(host, p, i % HOST_KEYS);

            if (r == STORE_E_FULL) {
                host_settle(host);
                r = host_append_next(host, p, i % HOST_KEYS);
            }
            cr_assert_eq(r, 0);
        }
}
