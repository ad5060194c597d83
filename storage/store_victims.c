#include <stdlib.h>
#include <string.h>

#include "storage/mutant.h"
#include "storage/store_state.h"

/* Which files flush takes: retired segments and casks that are mostly dead, and casks of which a
 * partition has too many. */

#define UTILIZATION    70u /* per cent of the data files that shall be alive */
#define WORTH_MAX      90u /* per cent: a file that is more alive is no victim, but on demand */
#define DEMANDED_SCORE 1e200
#define CASKS_MERGE    16u /* casks of a partition: more are merged, the smallest first */

/* --- what there is ------------------------------------------------------------------------- */

/* Of a segment the upper bounds of what is alive: the rest, batches' heads and all, comes free. Of
 * a cask its share of records: head, index and footer would be there again. */
static uint64_t live_of(const struct data_file *file)
{
    const struct cask_file *cask = (const struct cask_file *)file;

    if (file->kind == DATA_FILE_CASK)
        return cask->info.count > 0 ? file->live_records * file->length / cask->info.count : 0;
    return file->live_bytes < file->length ? file->live_bytes : file->length;
}

/* A retired segment or a cask that counts, NULL for anything else. */
static struct data_file *candidate(const struct store *store, size_t slot)
{
    struct data_file *file = store->files.slots[slot];

    if (!file || file->damaged || file->hint_bad)
        return NULL;
    if (file->kind == DATA_FILE_SEGMENT)
        return ((struct journal_segment *)file)->state == JOURNAL_SEGMENT_RETIRED ? file : NULL;
    return ((struct cask_file *)file)->state == CASK_FILE_LIVE ? file : NULL;
}

static uint64_t born_of(const struct data_file *file)
{
    return file->kind == DATA_FILE_SEGMENT ? ((const struct journal_segment *)file)->born
                                           : ((const struct cask_file *)file)->born;
}

/* Bytes that are dead beyond what may be. */
uint64_t store_flush_backlog(const struct store *store, uint64_t *total)
{
    uint64_t live = 0, wanted;

    *total = 0;
    for (size_t i = 0; i < store->files.slot_count; i++) {
        const struct data_file *file = candidate(store, i);

        if (!file)
            continue;
        *total += file->length;
        live += live_of(file);
    }
    wanted = live * 100 / UTILIZATION;
    return *total > wanted ? *total - wanted : 0;
}

/* The journal has no room to grow: any retired segment is better off as casks. */
static bool journal_is_full_soon(const struct store *store)
{
    return journal_segments_bytes(&store->segments) + store->options.segment_size >
           store->options.journal_size_max;
}

bool store_flush_urgent(const struct store *store)
{
    return store->disk_full || journal_is_full_soon(store) || store_files_short_soon(store);
}

/* Something in it may be sealed with a data key that is not the newest. */
static bool has_old_key(const struct store *store, const struct data_file *file)
{
    return store->flush_key != 0 && file->live_records > 0 && file->key_id != store->flush_key;
}

static bool demanded(const struct store *store, const struct data_file *file)
{
    return store->flush_demanded && file->number < store->flush_until[file->kind] &&
           (live_of(file) < file->length - file->length / 16 || has_old_key(store, file));
}

uint64_t store_flush_left(const struct store *store, uint64_t *bytes)
{
    uint64_t count = 0;

    *bytes = 0;
    for (size_t i = 0; i < store->files.slot_count && store->flush_demanded; i++) {
        const struct data_file *file = candidate(store, i);

        if (!file || !demanded(store, file))
            continue;
        *bytes += file->length;
        count++;
    }
    return count;
}

/* --- choosing victims ---------------------------------------------------------------------- */

struct choice {
    struct data_file *file;
    double score;
    bool merge;      /* only for the sake of fewer files */
    uint32_t hosted; /* merges_make(): of its partition, */
    uint64_t live;   /* and bytes */
};

static int compare_choices(const void *a, const void *b)
{
    const struct choice *left = a, *right = b;

    return left->score > right->score ? -1 : left->score < right->score ? 1 : 0;
}

/* The fullest partition first, then partition by partition, the smallest casks first. */
static int compare_merges(const void *a, const void *b, void *context)
{
    const struct choice *left = a, *right = b;
    const uint32_t *counts = context;

    if (counts[left->hosted] != counts[right->hosted])
        return counts[left->hosted] > counts[right->hosted] ? -1 : 1;
    if (left->hosted != right->hosted)
        return left->hosted < right->hosted ? -1 : 1;
    return left->live < right->live ? -1 : left->live > right->live ? 1 : 0;
}

static uint32_t merge_limit(const struct store *store)
{
    /* Half of all files are casks at most, about. */
    size_t share = store->options.files_max / 2 / (store->hosted_count + 1);

    return share < 2 ? 2 : share < CASKS_MERGE ? (uint32_t)share : CASKS_MERGE;
}

/* Casks of partitions that have too many: what is small goes into one. */
static void merge_count(const struct store *store, uint32_t *counts)
{
    for (size_t i = 0; i < store->casks.count; i++) {
        const struct cask_file *cask = store->casks.items[i];

        if (cask->state == CASK_FILE_LIVE)
            counts[store_partition(store, cask->info.partition)->hosted]++;
    }
}

static bool worth(const struct store *store, const struct data_file *file, uint64_t over)
{
    if (file->live_records == 0 || file->rewrite || demanded(store, file))
        return true;
    if (file->kind == DATA_FILE_SEGMENT &&
        (journal_is_full_soon(store) || store_files_short_soon(store)))
        return true;
    return (over > 0 || store->disk_full) &&
           live_of(file) * 100 < (uint64_t)file->length * WORTH_MAX;
}

static bool to_merge(const struct store *store, const struct data_file *file,
                     const uint32_t *counts)
{
    uint16_t number;

    if (file->kind != DATA_FILE_CASK)
        return false;
    number = ((const struct cask_file *)file)->info.partition;
    return counts[store_partition(store, number)->hosted] > merge_limit(store);
}

/* What is dead as a whole costs nothing; what is asked for goes before the rest, so that new work
 * does not keep it waiting. */
static double score_of(const struct store *store, const struct data_file *file)
{
    double score = flush_score(live_of(file), file->length, store->retired - born_of(file) + 1) +
                   1.0 / (double)(file->length + 1);

    if (file->live_records == 0)
        return 1e300;
    return demanded(store, file) ? score + DEMANDED_SCORE : score;
}

static size_t choices_make(const struct store *store, struct choice *choices, uint64_t over,
                           const uint32_t *counts)
{
    size_t count = 0;

    for (size_t i = 0; i < store->files.slot_count; i++) {
        struct data_file *file = candidate(store, i);

        if (!file)
            continue;
        choices[count].merge = !worth(store, file, over);
        if (choices[count].merge && !to_merge(store, file, counts))
            continue;
        choices[count].file = file;
        choices[count].score = score_of(store, file);
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
    if (born_of(file) > flush->born)
        flush->born = born_of(file);
}

void store_flush_release(struct store *store)
{
    struct flush *flush = &store->flush;

    for (size_t i = 0; i < flush->victim_count; i++)
        flush->victims[i].file->pins--;
    flush->victim_count = 0;
}

static size_t merges_make(const struct store *store, struct choice *choices, uint32_t *counts)
{
    size_t count = 0;

    for (size_t i = 0; i < store->casks.count; i++) {
        const struct cask_file *cask = store->casks.items[i];
        struct data_file *file = candidate(store, cask->base.slot);

        if (!file || !to_merge(store, file, counts))
            continue;
        choices[count++] =
            (struct choice){.file = file,
                            .hosted = store_partition(store, cask->info.partition)->hosted,
                            .live = live_of(file)};
    }
    if (count > 0)
        qsort_r(choices, count, sizeof(*choices), compare_merges, counts);
    return count;
}

/* A round writes a cask for each partition that its victims have something of, and takes no more
 * than FLUSH_VICTIMS_MAX: with many partitions it adds more files than it removes. So when there
 * are too many on average, a round only merges: of the fullest partitions the smallest casks, until
 * half of what each may have is left. */
static void merges_choose(struct store *store, struct choice *choices, uint32_t *counts)
{
    struct flush *flush = &store->flush;
    uint32_t kept_max = merge_limit(store) / 2, taken = 0;
    size_t count = merges_make(store, choices, counts);
    uint64_t live = 0;

    for (size_t i = 0; i < count && flush->victim_count < FLUSH_VICTIMS_MAX; i++) {
        const struct choice *choice = &choices[i];

        if (i > 0 && choice->hosted != choices[i - 1].hosted)
            taken = 0;
        if (taken + kept_max >= counts[choice->hosted] ||
            (flush->victim_count > 1 && live + choice->live > store->options.flush_size_max))
            continue;
        victim_take(store, choice->file, true);
        live += choice->live;
        taken++;
    }
}

static bool too_many_casks(const struct store *store)
{
    return store->casks.count > store->hosted_count * merge_limit(store);
}

/* A cask that would be merged with nothing is left alone. */
static void lone_merges_drop(struct store *store, uint32_t *counts)
{
    struct flush *flush = &store->flush;
    size_t kept = 0;

    memset(counts, 0, store->hosted_count * sizeof(*counts));
    for (size_t i = 0; i < flush->victim_count; i++)
        if (flush->victims[i].file->kind == DATA_FILE_CASK)
            counts[store_partition(store, flush->victims[i].partition)->hosted]++;
    for (size_t i = 0; i < flush->victim_count; i++) {
        struct flush_victim *victim = &flush->victims[i];

        if (victim->merge && counts[store_partition(store, victim->partition)->hosted] == 1)
            victim->file->pins--;
        else
            flush->victims[kept++] = *victim;
    }
    flush->victim_count = kept;
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

    for (size_t i = 0; i < store->hosted_count; i++)
        flush->safe_index[i] = store_partition(store, store->hosted[i])->fenced ? 0 : UINT64_MAX;
    if (mutant(MUTANT_TOMBSTONE_EARLY))
        return;
    for (size_t i = 0; i < store->segments.count; i++) {
        const struct journal_segment *segment = store->segments.items[i];

        for (size_t p = 0; p < store->hosted_count && !is_victim(flush, &segment->base); p++)
            safe_note(&flush->safe_index[p], segment->index_min[p]);
    }
    for (size_t i = 0; i < store->casks.count; i++) {
        const struct cask_file *cask = store->casks.items[i];

        if (!is_victim(flush, &cask->base))
            safe_note(&flush->safe_index[store_partition(store, cask->info.partition)->hosted],
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
    flush->safe_index = calloc(store->hosted_count + 1, sizeof(*flush->safe_index));
    flush->generations = calloc(store->hosted_count + 1, sizeof(*flush->generations));
    if (!flush->safe_index || !flush->generations)
        return false;
    for (size_t i = 0; i < store->hosted_count; i++)
        flush->generations[i] = store_partition(store, store->hosted[i])->generation;
    safe_indexes(store);
    flush->stage = FLUSH_SCAN;
    store->stats.flushes++;
    return true;
}

/* Begins a round when there is something to gain. */
bool store_flush_choose(struct store *store)
{
    struct flush *flush = &store->flush;
    uint64_t total, over = store_flush_backlog(store, &total), live = 0, gained = 0, left_bytes;
    uint64_t live_max = store->options.flush_size_max;
    struct choice *choices = calloc(store->files.slot_count + 1, sizeof(*choices));
    uint32_t *counts = calloc(store->hosted_count + 1, sizeof(*counts));
    size_t count = 0;

    store->flush_demanded = store_flush_left(store, &left_bytes) > 0;
    if (choices && counts) {
        merge_count(store, counts);
        if (too_many_casks(store)) {
            merges_choose(store, choices, counts);
            lone_merges_drop(store, counts);
            memset(counts, 0, store->hosted_count * sizeof(*counts));
            merge_count(store, counts);
        }
        if (flush->victim_count == 0)
            count = choices_make(store, choices, over, counts);
    }
    store->stats.flush_victims = count > 0 ? count : flush->victim_count;
    store->stats.flush_backlog = over;
    for (size_t i = 0; i < count && flush->victim_count < FLUSH_VICTIMS_MAX; i++) {
        struct data_file *file = choices[i].file;

        if (live > 0 && live + live_of(file) > live_max)
            continue;
        if (file->live_records > 0 && gained > over && over > 0 && !store->flush_demanded &&
            file->kind == DATA_FILE_SEGMENT && !file->rewrite)
            continue;
        victim_take(store, file, choices[i].merge);
        live += live_of(file);
        gained += file->length - live_of(file);
    }
    if (counts)
        lone_merges_drop(store, counts);
    free(choices);
    free(counts);
    if (flush->victim_count == 0)
        return false;
    if (round_begin(store))
        return true;
    store_flush_release(store);
    flush_end(flush);
    return false;
}
