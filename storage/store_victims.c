#include <stdlib.h>
#include <string.h>

#include "storage/mutant.h"
#include "storage/store_state.h"

/* Which files flush takes: retired segments and casks that are mostly dead, and small casks of
 * which a partition has too many. */

#define UTILIZATION    70u   /* per cent of the data files that shall be alive */
#define WORTH_MAX      90u   /* per cent: a file that is more alive is no victim, but on demand */
#define SLACK_PART     16u   /* of the data files: gained beyond the backlog, or rounds are tiny */
#define DEMANDED_SCORE 1e200 /* on top: what is asked for goes first */
#define DOUBT          0.25  /* of a file's death rate: what counts as seen to die */
#define LIVE_TIMES     3u    /* what is alive: a store may take about so much */
#define IDLE_MS        1000u /* a look that found nothing is not repeated before */

/* --- is there anything --------------------------------------------------------------------- */

uint64_t store_flush_backlog(const struct store *store)
{
    uint64_t wanted = store->totals.data_live * 100 / UTILIZATION;

    return store->totals.data_bytes > wanted ? store->totals.data_bytes - wanted : 0;
}

/* The journal has no room to grow, or there are too many files: any retired segment is better off
 * as casks. */
static bool journal_is_full_soon(const struct store *store)
{
    return store->totals.capacity + store->options.segment_size > store->options.journal_size_max ||
           store_files_short_soon(store);
}

bool store_flush_lags(const struct store *store)
{
    uint64_t bytes = store_journal_bytes(store) + casks_bytes(&store->casks);

    if (store->options.slack_size == 0 || store->flush_stuck ||
        bytes <= LIVE_TIMES * store->totals.live + store->options.slack_size)
        return false;
    return store->flush.stage != FLUSH_IDLE || store_flush_backlog(store) > 0 ||
           store_retire_pending(store);
}

bool store_flush_urgent(const struct store *store)
{
    return store->disk_full || journal_is_full_soon(store) || store_flush_lags(store);
}

static bool too_many_casks(const struct store *store)
{
    return store->totals.small > store->hosted_count * store_casks_max(store);
}

/* From the totals alone, so that an idle shard does not look at its files. */
static bool may_gain(const struct store *store)
{
    const struct store_totals *totals = &store->totals;

    return totals->dead > 0 || totals->rewrite > 0 || totals->crowded > 0 ||
           store_flush_demanded(store) || store->disk_full || store_flush_backlog(store) > 0 ||
           (totals->retired > 0 && journal_is_full_soon(store));
}

/* --- what a file is worth ------------------------------------------------------------------ */

/* A retired segment or a cask that counts, NULL for anything else. */
static struct data_file *candidate(const struct store *store, size_t slot)
{
    struct data_file *file = store->files.slots[slot];

    return file && store_file_is_data(file) ? file : NULL;
}

/* Something in it may be sealed with a data key that is not the newest. */
static bool has_old_key(const struct store *store, const struct data_file *file)
{
    uint8_t key = store->flush_demand.key;

    return key != 0 && file->live_records > 0 && file->key_id != key;
}

static bool demanded(const struct store *store, const struct data_file *file)
{
    return store_flush_demanded(store) && file->number < store->flush_demand.until[file->kind] &&
           (store_file_live(file) < file->length - file->length / 16 || has_old_key(store, file));
}

bool store_flush_awaits(const struct store *store, const struct journal_segment *segment)
{
    bool entries = false;

    if (!store->flush_demand.all || !demanded(store, &segment->base) || segment->base.damaged ||
        segment->state == JOURNAL_SEGMENT_PREPARED || segment->state == JOURNAL_SEGMENT_RETIRED ||
        segment->state == JOURNAL_SEGMENT_DROPPING || store->disk_full)
        return false;
    for (size_t i = 0; i < store->part_count && !entries; i++)
        entries = segment->index_max[i] > 0;
    return entries; /* or it has nothing but checkpoints */
}

/* The flush that is demanded has something to do with it, or to wait for. */
static bool is_left(const struct store *store, const struct data_file *file)
{
    /* Also one that has to wait for its hint to be made again. */
    if (store_file_is_data(file) || file->counts.hint_bad)
        return demanded(store, file);
    if (file->counts.dropping)
        return store->flush_demand.all && file->pins == 0 &&
               file->number < store->flush_demand.until[file->kind];
    return file->kind == DATA_FILE_SEGMENT &&
           store_flush_awaits(store, (const struct journal_segment *)file);
}

uint64_t store_flush_left(const struct store *store, uint64_t *bytes)
{
    uint64_t count = 0;

    *bytes = 0;
    for (size_t i = 0; i < store->files.slot_count && store_flush_demanded(store); i++) {
        const struct data_file *file = store->files.slots[i];

        if (!file || !is_left(store, file))
            continue;
        *bytes += file->length;
        count++;
    }
    return count;
}

/* It goes whatever is dead elsewhere. */
static bool must_go(const struct store *store, const struct data_file *file)
{
    return file->live_records == 0 || file->rewrite || demanded(store, file) ||
           (file->kind == DATA_FILE_SEGMENT && journal_is_full_soon(store));
}

/* It gains bytes where bytes are wanted. */
static bool is_spare(const struct store *store, const struct data_file *file, uint64_t over)
{
    return (over > 0 || store->disk_full) &&
           store_file_live(file) * 100 < (uint64_t)file->length * WORTH_MAX;
}

/* Of a partition that has too many small casks. */
static bool to_merge(const struct store *store, const struct data_file *file)
{
    const struct store_partition *part;

    if (!file->counts.small)
        return false;
    part = store_partition(store, ((const struct cask_file *)file)->info.partition);
    return part->casks_small > store_casks_max(store);
}

/* The share of what is alive in it that dies for each byte appended, as seen since flush first
 * looked at it. Where it was not seen for long it is taken to be that of all: as much dies as is
 * appended. */
static double death_rate(const struct store *store, struct data_file *file)
{
    uint64_t live = store_file_live(file), clock = store->stats.bytes_appended;
    double died;

    if (file->watched_live < live) {
        file->watched_live = live;
        file->watched_since = clock;
    }
    /* ln(before / now) */
    died = 2.0 * (double)(file->watched_live - live) / (double)(file->watched_live + live + 1);
    return (died + DOUBT) /
           ((double)(clock - file->watched_since) + DOUBT * (double)(store->totals.data_live + 1));
}

/* What is dead as a whole costs nothing; what is asked for goes before the rest, so that new work
 * does not keep it waiting. */
static double score_of(const struct store *store, struct data_file *file)
{
    double score;

    if (file->live_records == 0)
        return 1e300;
    score = flush_score(store_file_live(file), file->length, death_rate(store, file));
    return demanded(store, file) ? score + DEMANDED_SCORE : score;
}

/* --- choosing victims ---------------------------------------------------------------------- */

struct choice {
    struct data_file *file;
    double score;
    bool merge; /* only for the sake of fewer files */
    bool spare; /* only for the bytes that it gains */
};

static int compare_choices(const void *a, const void *b)
{
    const struct choice *left = a, *right = b;

    return left->score > right->score ? -1 : left->score < right->score ? 1 : 0;
}

static size_t choices_make(struct store *store, struct choice *choices, uint64_t over)
{
    size_t count = 0;

    for (size_t i = 0; i < store->files.slot_count; i++) {
        struct data_file *file = candidate(store, i);
        struct choice *choice = &choices[count];

        if (!file)
            continue;
        *choice = (struct choice){.file = file, .score = score_of(store, file)};
        if (!must_go(store, file)) {
            choice->spare = is_spare(store, file, over);
            choice->merge = !choice->spare && to_merge(store, file);
            if (!choice->spare && !choice->merge)
                continue;
        }
        count++;
    }
    if (count > 0)
        qsort(choices, count, sizeof(*choices), compare_choices);
    return count;
}

static void victim_take(struct store *store, struct data_file *file, bool merge)
{
    struct flush *flush = &store->flush;
    struct flush_victim *victim = &flush->victims[flush->victim_count++];

    *victim = (struct flush_victim){
        .file = file,
        .subject = store_hint_subject(file),
        .dead = file->live_records == 0,
        .merge = merge,
    };
    if (file->kind == DATA_FILE_CASK)
        victim->partition = ((struct cask_file *)file)->info.partition;
    file->pins++;
}

void store_flush_release(struct store *store)
{
    struct flush *flush = &store->flush;

    for (size_t i = 0; i < flush->victim_count; i++)
        flush->victims[i].file->pins--;
    flush->victim_count = 0;
}

static size_t victims_of(const struct flush *flush, uint16_t partition)
{
    size_t count = 0;

    for (size_t i = 0; i < flush->victim_count; i++)
        count += flush->victims[i].file->kind == DATA_FILE_CASK &&
                 flush->victims[i].partition == partition;
    return count;
}

/* A cask that would be merged with nothing is left alone. */
static void lone_merges_drop(struct store *store)
{
    struct flush *flush = &store->flush;
    bool lone[FLUSH_VICTIMS_MAX];
    size_t kept = 0;

    for (size_t i = 0; i < flush->victim_count; i++)
        lone[i] = flush->victims[i].merge && victims_of(flush, flush->victims[i].partition) == 1;
    for (size_t i = 0; i < flush->victim_count; i++) {
        if (lone[i])
            flush->victims[i].file->pins--;
        else
            flush->victims[kept++] = flush->victims[i];
    }
    flush->victim_count = kept;
}

static uint32_t small_of(const struct store *store, const struct data_file *file)
{
    return store_partition(store, ((const struct cask_file *)file)->info.partition)->casks_small;
}

/* The fullest partition first, then partition by partition, the smallest casks first. */
static int compare_merges(const void *a, const void *b, void *context)
{
    const struct data_file *left = ((const struct choice *)a)->file;
    const struct data_file *right = ((const struct choice *)b)->file;
    uint32_t left_small = small_of(context, left), right_small = small_of(context, right);
    uint16_t left_part = ((const struct cask_file *)left)->info.partition;
    uint16_t right_part = ((const struct cask_file *)right)->info.partition;
    uint64_t left_live = store_file_live(left), right_live = store_file_live(right);

    if (left_small != right_small)
        return left_small > right_small ? -1 : 1;
    if (left_part != right_part)
        return left_part < right_part ? -1 : 1;
    return left_live < right_live ? -1 : left_live > right_live ? 1 : 0;
}

/* A round writes a cask for each partition that its victims have something of, and takes no more
 * than FLUSH_VICTIMS_MAX: with many partitions it adds more files than it removes. So when there
 * are too many on average, a round only merges: of the fullest partitions the smallest casks, until
 * half of what each may have is left. */
static void merges_choose(struct store *store, struct choice *choices)
{
    struct flush *flush = &store->flush;
    uint32_t kept_max = store_casks_max(store) / 2, taken = 0;
    size_t count = 0;
    uint64_t live = 0;

    for (size_t i = 0; i < store->casks.count; i++)
        if (to_merge(store, &store->casks.items[i]->base))
            choices[count++] = (struct choice){.file = &store->casks.items[i]->base};
    if (count > 0)
        qsort_r(choices, count, sizeof(*choices), compare_merges, store);
    for (size_t i = 0; i < count && flush->victim_count < FLUSH_VICTIMS_MAX; i++) {
        struct data_file *file = choices[i].file;

        if (i > 0 && ((struct cask_file *)file)->info.partition !=
                         ((struct cask_file *)choices[i - 1].file)->info.partition)
            taken = 0;
        if (taken + kept_max >= small_of(store, file) ||
            (flush->victim_count > 1 &&
             live + store_file_live(file) > store->options.flush_size_max))
            continue;
        victim_take(store, file, true);
        live += store_file_live(file);
        taken++;
    }
    lone_merges_drop(store);
}

/* A round gains a little more than it must, or rounds would be tiny; but not by moving much. */
static bool is_enough(const struct store *store, const struct data_file *file, uint64_t gained,
                      uint64_t over)
{
    if (gained <= over || store->disk_full)
        return false;
    return gained > over + store->totals.data_bytes / SLACK_PART ||
           store_file_live(file) * 100 >= (uint64_t)file->length * UTILIZATION;
}

/* The best ones, until enough is gained or the round is full. */
static void best_choose(struct store *store, struct choice *choices)
{
    struct flush *flush = &store->flush;
    uint64_t over = store_flush_backlog(store), live = 0, gained = 0;
    size_t count = choices_make(store, choices, over);

    store->stats.flush_victims = count;
    for (size_t i = 0; i < count && flush->victim_count < FLUSH_VICTIMS_MAX; i++) {
        struct data_file *file = choices[i].file;
        uint64_t file_live = store_file_live(file);

        if ((live > 0 && live + file_live > store->options.flush_size_max) ||
            (choices[i].spare && is_enough(store, file, gained, over)))
            continue;
        victim_take(store, file, choices[i].merge);
        live += file_live;
        gained += file->length - file_live;
    }
    lone_merges_drop(store);
}

static bool is_victim(const struct flush *flush, const struct data_file *file)
{
    for (size_t i = 0; i < flush->victim_count; i++)
        if (flush->victims[i].file == file)
            return true;
    return false;
}

static void safe_note(uint64_t *safe, uint64_t index)
{
    if (index > 0 && index < *safe)
        *safe = index;
}

/* Below which index a tombstone in the victims has nothing older of its key left anywhere. */
static void safe_indexes(struct store *store)
{
    struct flush *flush = &store->flush;

    for (size_t i = 0; i < store->part_count; i++)
        flush->safe_index[i] = store->parts[i].fenced ? 0 : UINT64_MAX;
    if (mutant(MUTANT_TOMBSTONE_EARLY))
        return;
    for (size_t i = 0; i < store->segments.count; i++) {
        const struct journal_segment *segment = store->segments.items[i];

        for (size_t p = 0; p < store->part_count && !is_victim(flush, &segment->base); p++)
            safe_note(&flush->safe_index[p], segment->index_min[p]);
    }
    for (size_t i = 0; i < store->casks.count; i++) {
        const struct cask_file *cask = store->casks.items[i];

        if (!is_victim(flush, &cask->base))
            safe_note(&flush->safe_index[store_partition(store, cask->info.partition)->slot],
                      cask->info.index_min);
    }
}

static bool round_begin(struct store *store)
{
    struct flush *flush = &store->flush;

    flush->vfs = store->vfs;
    memcpy(flush->folder, store->folder, sizeof(flush->folder));
    flush->step_size = FLUSH_STEP_SIZE;
    flush->vault = store->options.vault;
    flush->key_id = flush->vault ? flush->vault->current : 0;
    flush->safe_index = calloc(store->part_count, sizeof(*flush->safe_index));
    flush->generations = calloc(store->part_count, sizeof(*flush->generations));
    if (!flush->safe_index || !flush->generations)
        return false;
    for (size_t i = 0; i < store->part_count; i++)
        flush->generations[i] = store->parts[i].generation;
    safe_indexes(store);
    flush->stage = FLUSH_SCAN;
    store->stats.flushes++;
    return true;
}

/* What was asked for and has nothing left to do is done with. */
static void demands_serve(struct store *store)
{
    uint64_t bytes;

    while (store_flush_demanded(store) && store_flush_left(store, &bytes) == 0) {
        store->stats.flushes_served = store->flush_demand.number;
        store->flush_demand = store->flush_demand_next;
        store->flush_demand_next = (struct store_demand){0};
    }
}

bool store_flush_choose(struct store *store)
{
    struct flush *flush = &store->flush;
    struct choice *choices;

    demands_serve(store);
    if (!may_gain(store))
        return false;
    choices = calloc(store->files.slot_count + 1, sizeof(*choices));
    if (choices && too_many_casks(store))
        merges_choose(store, choices);
    store->stats.flush_victims = flush->victim_count;
    if (choices && flush->victim_count == 0)
        best_choose(store, choices);
    free(choices);
    if (flush->victim_count == 0) {
        if (!store_flush_demanded(store))
            store->flush_due_ms = store->flush_now_ms + IDLE_MS;
        return false;
    }
    if (round_begin(store))
        return true;
    store_flush_release(store);
    flush_end(flush);
    return false;
}
