#include "storage/journal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/codec.h"
#include "storage/grow.h"

#define ARENA_ALIGN       64u
#define BATCH_SIZE_MIN    4096u
#define OFFSET_SYNCED     24u /* of the synced-through number in a batch's header */
#define JOURNAL_RING_MASK (JOURNAL_BATCHES_MAX - 1u)

int journal_init(struct journal *journal, size_t arena_size, uint64_t next_number)
{
    assert(next_number > 0);
    *journal = (struct journal){
        .first = next_number,
        .synced = next_number - 1,
        .writing = next_number - 1,
        .open = next_number,
        .arena_size = arena_size & ~(size_t)(ARENA_ALIGN - 1),
    };
    journal->ring = calloc(JOURNAL_BATCHES_MAX, sizeof(*journal->ring));
    journal->arena = malloc(journal->arena_size > 0 ? journal->arena_size : 1);
    if (!journal->ring || !journal->arena || GROW(journal->runs, journal->run_capacity, 16) != 0) {
        journal_deinit(journal);
        return -ENOMEM;
    }
    return 0;
}

struct journal_batch *journal_batch_at(const struct journal *journal, uint64_t number)
{
    return &journal->ring[number & JOURNAL_RING_MASK];
}

void journal_deinit(struct journal *journal)
{
    if (journal->ring)
        for (uint64_t n = journal->first; n < journal->open + journal->begun; n++)
            if (journal_batch_at(journal, n)->heap)
                free(journal_batch_at(journal, n)->bytes);
    free(journal->ring);
    free(journal->runs);
    free(journal->arena);
    *journal = (struct journal){0};
}

void journal_start(struct journal *journal, uint64_t next_number)
{
    assert(journal->first == journal->open && !journal->begun);
    journal->first = next_number;
    journal->open = next_number;
    journal->synced = next_number - 1;
    journal->writing = next_number - 1;
}

int journal_set_reserve(struct journal *journal, size_t runs, size_t size)
{
    assert(!journal->begun);
    journal->run_reserve = runs;
    journal->size_reserve = size;
    return GROW(journal->runs, journal->run_capacity, runs + 1);
}

struct journal_batch *journal_open_batch(struct journal *journal)
{
    return journal->begun ? journal_batch_at(journal, journal->open) : NULL;
}

bool journal_is_full(const struct journal *journal)
{
    return journal->open - journal->synced >= JOURNAL_BATCHES_MAX - 1;
}

/* --- memory -------------------------------------------------------------------------------- */

static bool journal_evict(struct journal *journal)
{
    struct journal_batch *batch = journal_batch_at(journal, journal->first);

    if (journal->first > journal->synced)
        return false;
    if (batch->heap)
        free(batch->bytes);
    else
        journal->arena_count--;
    *batch = (struct journal_batch){0};
    journal->first++;
    return true;
}

/* Start of the oldest (newest) batch in the arena, the open one left out. */
static size_t arena_tail(const struct journal *journal)
{
    uint64_t n = journal->first;

    while (journal_batch_at(journal, n)->heap)
        n++;
    assert(n < journal->open);
    return (size_t)(journal_batch_at(journal, n)->bytes - journal->arena);
}

/* Where `size` bytes fit behind the newest batch, evicting old ones; SIZE_MAX: nowhere. Called
 * while no open batch lies in the arena. */
static size_t arena_take(struct journal *journal, size_t size)
{
    if (size > journal->arena_size)
        return SIZE_MAX;
    for (;;) {
        if (journal->arena_count == 0)
            return 0;
        size_t tail = arena_tail(journal);
        size_t head = journal->arena_head;

        if (head > tail) {
            if (size <= journal->arena_size - head)
                return head;
            if (size <= tail)
                return 0;
        } else if (size <= tail - head) {
            return head;
        }
        if (!journal_evict(journal))
            return SIZE_MAX;
    }
}

static size_t batch_room(const struct journal *journal, size_t size)
{
    size_t runs = journal->run_count + journal->run_reserve + 1;
    size_t room = size + journal->size_reserve + runs * JOURNAL_RUN_ITEM_SIZE + JOURNAL_BLOCK_SIZE;

    return (room + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
}

int journal_begin(struct journal *journal, size_t size)
{
    struct journal_batch *batch = journal_batch_at(journal, journal->open);
    size_t need, at;

    assert(!journal->begun);
    assert(!journal_is_full(journal));
    while (journal->open - journal->first >= JOURNAL_BATCHES_MAX) {
        bool evicted = journal_evict(journal);

        assert(evicted);
    }
    journal->run_count = 0;
    need = batch_room(journal, JOURNAL_BATCH_HEADER_SIZE + size);
    need = need > BATCH_SIZE_MIN ? need : BATCH_SIZE_MIN;
    at = arena_take(journal, need);
    *batch = (struct journal_batch){
        .number = journal->open,
        .length = JOURNAL_BATCH_HEADER_SIZE,
        .capacity = need,
        .heap = at == SIZE_MAX,
    };
    batch->bytes = batch->heap ? malloc(need) : journal->arena + at;
    if (!batch->bytes)
        return -ENOMEM;
    journal->begun = true;
    return 0;
}

void journal_abort(struct journal *journal)
{
    struct journal_batch *batch = journal_open_batch(journal);

    if (!batch)
        return;
    journal->queued_size -= batch->length - JOURNAL_BATCH_HEADER_SIZE;
    if (batch->heap)
        free(batch->bytes);
    *batch = (struct journal_batch){0};
    journal->run_count = 0;
    journal->begun = false;
}

void journal_place(struct journal *journal, uint64_t segment, uint64_t epoch, uint32_t offset)
{
    struct journal_batch *batch = journal_open_batch(journal);

    assert(batch && batch->segment == 0);
    assert(offset % JOURNAL_BLOCK_SIZE == 0);
    batch->segment = segment;
    batch->epoch = epoch;
    batch->offset = offset;
}

/* Lets the open batch have `need` bytes: where it lies, else at another place. */
static int batch_grow(struct journal *journal, struct journal_batch *batch, size_t need)
{
    size_t doubled = batch->capacity * 2;
    uint8_t *moved;
    size_t at;

    need = need > doubled ? need : doubled;
    if (batch->heap) {
        moved = realloc(batch->bytes, need);
        if (!moved)
            return -ENOMEM;
    } else {
        /* Taking again from where it began: what lies there now is its own. */
        at = arena_take(journal, need);
        moved = at == SIZE_MAX ? malloc(need) : journal->arena + at;
        if (!moved)
            return -ENOMEM;
        memmove(moved, batch->bytes, batch->length);
        batch->heap = at == SIZE_MAX;
    }
    batch->bytes = moved;
    batch->capacity = need;
    return 0;
}

uint8_t *journal_extend(struct journal *journal, size_t size)
{
    struct journal_batch *batch = journal_open_batch(journal);
    size_t need;

    assert(batch);
    if (GROW(journal->runs, journal->run_capacity, journal->run_count + journal->run_reserve + 1) !=
        0)
        return NULL;
    need = batch_room(journal, batch->length + size);
    if (need > batch->capacity && batch_grow(journal, batch, need) != 0)
        return NULL;
    return batch->bytes + batch->length;
}

/* --- the open batch ------------------------------------------------------------------------ */

void journal_run_add(struct journal *journal, uint16_t partition, uint32_t count, uint64_t first,
                     uint64_t last, size_t size)
{
    struct journal_batch *batch = journal_open_batch(journal);
    struct journal_run *run =
        journal->run_count > 0 ? &journal->runs[journal->run_count - 1] : NULL;

    assert(batch && count <= JOURNAL_RUN_COUNT_MAX);
    assert(size % RECORD_ALIGN == 0);
    if (run && run->partition == partition && count + run->count <= JOURNAL_RUN_COUNT_MAX &&
        run->last_index > 0 && first > run->last_index) {
        run->count = (uint16_t)(run->count + count);
        run->last_index = last;
    } else {
        assert(journal->runs && journal->run_count < journal->run_capacity);
        journal->runs[journal->run_count++] = (struct journal_run){
            .partition = partition,
            .count = (uint16_t)count,
            .offset = batch->length,
            .first_index = first,
            .last_index = last,
        };
    }
    batch->length += (uint32_t)size;
    journal->queued_size += size;
    assert(batch->length <= batch->capacity);
}

uint64_t journal_sealed_size(const struct journal *journal, size_t size, size_t runs)
{
    uint64_t length = JOURNAL_BATCH_HEADER_SIZE;

    if (journal->begun) {
        length = journal_batch_at(journal, journal->open)->length;
        runs += journal->run_count;
    }
    return journal_block_round(length + size + runs * JOURNAL_RUN_ITEM_SIZE);
}

void journal_seal(struct journal *journal)
{
    struct journal_batch *batch = journal_open_batch(journal);
    uint32_t directory;

    assert(batch && batch->segment != 0);
    directory = batch->length;
    for (size_t i = 0; i < journal->run_count; i++)
        journal_run_encode(&journal->runs[i], batch->bytes + directory + i * JOURNAL_RUN_ITEM_SIZE);
    size_t end = directory + journal->run_count * JOURNAL_RUN_ITEM_SIZE;

    batch->length = (uint32_t)journal_block_round(end);
    assert(batch->length <= batch->capacity);
    memset(batch->bytes + end, 0, batch->length - end);
    journal_batch_header_encode(
        &(struct journal_batch_header){
            .flags = batch->flags,
            .number = batch->number,
            .segment = batch->segment,
            .offset = batch->offset,
            .length = batch->length,
            .directory_offset = directory,
            .run_count = (uint32_t)journal->run_count,
        },
        batch->bytes);
    journal->queued_size += batch->length - directory;
    if (!batch->heap) {
        journal->arena_head = (size_t)(batch->bytes - journal->arena) +
                              ((batch->length + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1));
        journal->arena_count++;
    }
    journal->open++;
    journal->begun = false;
    journal->run_count = 0;
}

/* --- writing and reading ------------------------------------------------------------------- */

size_t journal_write_begin(struct journal *journal, const struct journal_batch **out, size_t max)
{
    size_t count = 0;

    assert(journal->writing == journal->synced);
    while (count < max && journal->writing + 1 < journal->open) {
        struct journal_batch *batch = journal_batch_at(journal, journal->writing + 1);

        if (count > 0 && (batch->segment != out[count - 1]->segment ||
                          batch->offset != out[count - 1]->offset + out[count - 1]->length))
            break;
        codec_put_u64(batch->bytes + OFFSET_SYNCED, journal->synced);
        out[count++] = batch;
        journal->writing++;
    }
    return count;
}

void journal_write_end(struct journal *journal, bool written)
{
    if (!written) {
        journal->writing = journal->synced;
        return;
    }
    for (uint64_t n = journal->synced + 1; n <= journal->writing; n++) {
        const struct journal_batch *batch = journal_batch_at(journal, n);

        /* The header was never counted: an empty open batch queues nothing. */
        journal->queued_size -= batch->length - JOURNAL_BATCH_HEADER_SIZE;
    }
    journal->synced = journal->writing;
}

const struct journal_batch *journal_find(const struct journal *journal, uint64_t segment,
                                         uint32_t offset)
{
    uint64_t low = journal->first;
    uint64_t high = journal->open + journal->begun;
    const struct journal_batch *batch;

    if (journal->begun && journal_batch_at(journal, journal->open)->segment == 0)
        high--;
    /* The last batch that does not lie behind (segment, offset). */
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        batch = journal_batch_at(journal, middle);
        if (batch->segment < segment || (batch->segment == segment && batch->offset <= offset))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == journal->first)
        return NULL;
    batch = journal_batch_at(journal, low - 1);
    if (batch->segment != segment || offset >= batch->offset + batch->length)
        return NULL;
    return batch;
}

void journal_check(const struct journal *journal)
{
    uint64_t queued = 0;
    uint64_t in_arena = 0;

    assert(journal->first <= journal->synced + 1);
    assert(journal->synced <= journal->writing);
    assert(journal->writing < journal->open);
    assert(journal->open - journal->first <= JOURNAL_BATCHES_MAX);
    for (uint64_t n = journal->first; n < journal->open + journal->begun; n++) {
        const struct journal_batch *batch = journal_batch_at(journal, n);

        assert(batch->number == n);
        assert(batch->length <= batch->capacity);
        assert(n == journal->open || batch->segment > 0);
        if (n > journal->synced)
            queued += batch->length - JOURNAL_BATCH_HEADER_SIZE;
        if (!batch->heap && n < journal->open)
            in_arena++;
    }
    assert(queued == journal->queued_size);
    assert(in_arena == journal->arena_count);
}
