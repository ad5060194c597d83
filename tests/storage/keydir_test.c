#include "storage/keydir.h"
#include "storage/record.h"
#include "ring/mix.h"

#include "alloc.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>

#define MILLION 1000000u

static struct keydir_digest digest_of(uint64_t id)
{
    return (struct keydir_digest){.high = mix_of(2 * id), .low = mix_of(2 * id + 1)};
}

static uint64_t chance_state;

static uint64_t chance(uint64_t below)
{
    return mix_of(chance_state++) % below;
}

static void put(struct keydir *keydir, uint64_t id, uint64_t location)
{
    struct keydir_digest digest = digest_of(id);
    cr_assert_eq(keydir_put(keydir, &digest, location, 100, false, false, NULL), KEYDIR_E_ABSENT);
}

Test(keydir, new_one_is_empty)
{
    struct keydir *keydir = keydir_new();
    struct keydir_digest digest = digest_of(1);
    struct keydir_entry entry;
    keydir_check(keydir);
    cr_assert_eq(keydir_count(keydir), 0);
    cr_assert_eq(keydir_get(keydir, &digest, &entry), KEYDIR_E_ABSENT);
    cr_assert_eq(keydir_remove(keydir, &digest), KEYDIR_E_ABSENT);
    cr_assert_eq(keydir_move(keydir, &digest, 0, 1), KEYDIR_E_ABSENT);
    cr_assert_null(keydir_free(keydir));
    cr_assert_null(keydir_free(NULL));
}

Test(keydir, put_gives_back_what_was_there)
{
    struct keydir *keydir = keydir_new();
    struct keydir_digest digest = digest_of(1);
    struct keydir_entry entry = {.location = 77};
    cr_assert_eq(keydir_put(keydir, &digest, 5, 100, false, true, &entry), KEYDIR_E_ABSENT);
    cr_assert_eq(entry.location, 77, "an absent key must leave *old alone");
    cr_assert_eq(keydir_put(keydir, &digest, KEYDIR_LOCATION_MAX, 1000, true, false, &entry),
                 KEYDIR_E_OK);
    cr_assert_eq(entry.location, 5);
    cr_assert_eq(entry.size_max, keydir_size_class_max(100));
    cr_assert(!entry.tombstone && entry.expires);
    keydir_check(keydir);
    cr_assert_eq(keydir_get(keydir, &digest, &entry), KEYDIR_E_OK);
    cr_assert_eq(entry.location, KEYDIR_LOCATION_MAX);
    cr_assert_eq(entry.size_max, keydir_size_class_max(1000));
    cr_assert(entry.tombstone && !entry.expires);
    cr_assert_eq(keydir_count(keydir), 1);
    cr_assert_eq(keydir_tombstones(keydir), 1);
    keydir_free(keydir);
}

Test(keydir, move_is_compare_and_swap)
{
    struct keydir *keydir = keydir_new();
    struct keydir_digest digest = digest_of(9);
    struct keydir_entry entry;
    keydir_put(keydir, &digest, 5, 300, true, true, NULL);
    cr_assert_eq(keydir_move(keydir, &digest, 4, 6), KEYDIR_E_ABSENT);
    keydir_get(keydir, &digest, &entry);
    cr_assert_eq(entry.location, 5);
    cr_assert_eq(keydir_move(keydir, &digest, 5, 6), 0);
    keydir_get(keydir, &digest, &entry);
    cr_assert_eq(entry.location, 6);
    cr_assert_eq(entry.size_max, keydir_size_class_max(300));
    cr_assert(entry.tombstone && entry.expires);
    keydir_check(keydir);
    keydir_free(keydir);
}

Test(keydir, digests_equal_in_80_bits_are_one_key)
{
    struct keydir *keydir = keydir_new();
    struct keydir_digest digest = digest_of(3);
    struct keydir_digest twin = {.high = digest.high ^ (UINT64_C(1) << 16), .low = digest.low};
    struct keydir_entry entry;
    keydir_put(keydir, &digest, 1, 100, false, false, NULL);
    cr_assert_eq(keydir_put(keydir, &twin, 2, 100, false, false, &entry), KEYDIR_E_OK);
    cr_assert_eq(entry.location, 1);
    cr_assert_eq(keydir_count(keydir), 1);
    /* One bit of the 80 is enough to be another key. */
    for (int bit = 0; bit < 80; bit++) {
        struct keydir_digest other = digest;
        if (bit < 64)
            other.low ^= UINT64_C(1) << bit;
        else
            other.high ^= UINT64_C(1) << (bit - 64);
        cr_assert_eq(keydir_get(keydir, &other, &entry), KEYDIR_E_ABSENT);
    }
    keydir_free(keydir);
}

Test(keydir, size_class_holds_its_sizes_and_is_its_own_class)
{
    uint32_t before = 0;
    unsigned classes = 0;
    for (uint32_t size = 1; size <= KEYDIR_SIZE_MAX; size += size < 4096 ? 1 : size / 97) {
        uint32_t size_max = keydir_size_class_max(size);
        cr_assert_geq(size_max, size);
        cr_assert_geq(size_max, before);
        cr_assert_eq(size_max % 16, 0);
        cr_assert_eq(keydir_size_class_max(size_max), size_max);
        if (size_max < KEYDIR_SIZE_MAX)
            cr_assert_gt(keydir_size_class_max(size_max + 1), size_max);
        classes += size_max != before;
        before = size_max;
    }
    cr_assert_eq(classes, 64);
    /* The largest record: header, expiry, request id, key, value, value checksum. */
    cr_assert_geq(KEYDIR_SIZE_MAX, RECORD_HEADER_SIZE + 8 + 32 + RECORD_KEY_SIZE_MAX +
                                       RECORD_VALUE_SIZE_MAX + 8 + RECORD_ALIGN);
}

Test(keydir, size_over_the_limit_asserts, .signal = SIGABRT)
{
    keydir_size_class_max(KEYDIR_SIZE_MAX + 1);
}

Test(keydir, location_of_an_empty_slot_asserts, .signal = SIGABRT)
{
    struct keydir *keydir = keydir_new();
    struct keydir_digest digest = digest_of(3);
    keydir_put(keydir, &digest, KEYDIR_LOCATION_MAX + 1, 100, false, false, NULL);
}

struct model {
    uint64_t location;
    uint32_t size;
    bool present;
    bool tombstone;
    bool expires;
};

static void expect_entry(const struct keydir_entry *entry, const struct model *model)
{
    cr_assert_eq(entry->location, model->location);
    cr_assert_eq(entry->size_max, keydir_size_class_max(model->size));
    cr_assert_eq(entry->tombstone, model->tombstone);
    cr_assert_eq(entry->expires, model->expires);
}

static void model_put(struct keydir *keydir, const struct keydir_digest *digest,
                      struct model *model)
{
    struct keydir_entry old;
    struct model next = {.location = chance(KEYDIR_LOCATION_MAX + 1),
                         .size = (uint32_t)(chance(KEYDIR_SIZE_MAX) >> chance(20)),
                         .present = true,
                         .tombstone = chance(4) == 0,
                         .expires = chance(3) == 0};
    int r =
        keydir_put(keydir, digest, next.location, next.size, next.tombstone, next.expires, &old);
    cr_assert_eq(r, model->present ? KEYDIR_E_OK : KEYDIR_E_ABSENT);
    if (model->present)
        expect_entry(&old, model);
    *model = next;
}

static void model_move(struct keydir *keydir, const struct keydir_digest *digest,
                       struct model *model)
{
    uint64_t expected = chance(2) == 0 ? model->location : chance(KEYDIR_LOCATION_MAX);
    uint64_t location = chance(KEYDIR_LOCATION_MAX + 1);
    int r = keydir_move(keydir, digest, expected, location);
    bool moves = model->present && model->location == expected;
    cr_assert_eq(r, moves ? KEYDIR_E_OK : KEYDIR_E_ABSENT);
    if (moves)
        model->location = location;
}

static void model_step(struct keydir *keydir, uint64_t id, struct model *model, bool shrinking)
{
    struct keydir_digest digest = digest_of(id);
    struct keydir_entry entry;
    uint64_t which = chance(10);
    if (which < (shrinking ? 2u : 5u)) {
        model_put(keydir, &digest, model);
    } else if (which < 6) {
        cr_assert_eq(keydir_remove(keydir, &digest),
                     model->present ? KEYDIR_E_OK : KEYDIR_E_ABSENT);
        model->present = false;
    } else if (which < 8) {
        model_move(keydir, &digest, model);
    } else {
        int r = keydir_get(keydir, &digest, &entry);
        cr_assert_eq(r, model->present ? KEYDIR_E_OK : KEYDIR_E_ABSENT);
        if (r == 0)
            expect_entry(&entry, model);
    }
}

static int count_visit(void *context, const struct keydir_digest *digest,
                       const struct keydir_entry *entry)
{
    uint64_t *sum = context;
    *sum += mix_of((digest->high & 0xffff) ^ digest->low) ^ entry->location;
    return 0;
}

static void expect_all(struct keydir *keydir, const struct model *models, uint64_t ids)
{
    uint64_t present = 0;
    uint64_t tombstones = 0;
    uint64_t live_bytes = 0;
    uint64_t sum = 0;
    uint64_t walked = 0;
    keydir_check(keydir);
    for (uint64_t id = 0; id < ids; id++) {
        struct keydir_digest digest = digest_of(id);
        struct keydir_entry entry;
        int r = keydir_get(keydir, &digest, &entry);
        cr_assert_eq(r, models[id].present ? KEYDIR_E_OK : KEYDIR_E_ABSENT);
        if (r != 0)
            continue;
        expect_entry(&entry, &models[id]);
        present++;
        tombstones += entry.tombstone;
        live_bytes += entry.tombstone ? 0 : entry.size_max;
        digest.high &= 0xffff;
        count_visit(&sum, &digest, &entry);
    }
    cr_assert_eq(keydir_count(keydir), present);
    cr_assert_eq(keydir_tombstones(keydir), tombstones);
    cr_assert_eq(keydir_live_bytes(keydir), live_bytes);
    cr_assert_eq(keydir_walk(keydir, count_visit, &walked), 0);
    cr_assert_eq(walked, sum, "the walk must see every entry once");
}

Test(keydir, agrees_with_a_model)
{
    enum { IDS = 40000, OPERATIONS = 1600000, ROUND = 100000 };
    struct model *models = calloc(IDS, sizeof *models);
    struct keydir *keydir = keydir_new();
    chance_state = 42;
    for (uint64_t i = 0; i < OPERATIONS; i++) {
        /* Narrow and wide ranges of keys, growing and shrinking phases by turns. */
        uint64_t ids = (i / ROUND) % 3 == 0 ? 100 : IDS;
        uint64_t id = chance(ids);
        model_step(keydir, id, &models[id], (i / ROUND) % 4 == 3);
        if (i % (ROUND / 4) == 0)
            expect_all(keydir, models, IDS);
    }
    expect_all(keydir, models, IDS);
    keydir_free(keydir);
    free(models);
}

Test(keydir, removal_of_all_keys_gives_memory_back)
{
    enum { KEYS = 100000 };
    struct keydir *keydir = keydir_new();
    for (uint64_t id = 0; id < KEYS; id++)
        put(keydir, id, id);
    size_t full = keydir_memory(keydir);
    for (uint64_t id = 0; id < KEYS; id++) {
        struct keydir_digest digest = digest_of(id);
        cr_assert_eq(keydir_remove(keydir, &digest), 0);
        if (id % 5000 == 0)
            keydir_check(keydir);
    }
    keydir_check(keydir);
    cr_assert_eq(keydir_count(keydir), 0);
    cr_assert_lt(keydir_memory(keydir), full / 20);
    keydir_free(keydir);
}

struct order {
    uint64_t most; /* of the digests' first 16 bits so far */
};

static int order_visit(void *context, const struct keydir_digest *digest,
                       const struct keydir_entry *entry)
{
    struct order *order = context;
    (void)entry;
    cr_assert_eq(digest->high >> 16, 0, "bits that are not known must be zero");
    /* A segment of 400,000 keys spans less than a 600th of all digests. */
    cr_assert_geq(digest->high + 65536 / 600, order->most);
    order->most = digest->high > order->most ? digest->high : order->most;
    return 0;
}

Test(keydir, walk_goes_up_the_digests_by_segment)
{
    struct keydir *keydir = keydir_new();
    struct order order = {0};
    for (uint64_t id = 0; id < 400000; id++)
        put(keydir, id, id);
    cr_assert_eq(keydir_walk(keydir, order_visit, &order), 0);
    cr_assert_geq(order.most, 65000);
    keydir_free(keydir);
}

static int stop_visit(void *context, const struct keydir_digest *digest,
                      const struct keydir_entry *entry)
{
    int *left = context;
    (void)digest;
    (void)entry;
    return --*left == 0 ? -EINTR : 0;
}

Test(keydir, walk_ends_with_what_the_visit_returns)
{
    struct keydir *keydir = keydir_new();
    int left = 3;
    for (uint64_t id = 0; id < 10; id++)
        put(keydir, id, id);
    cr_assert_eq(keydir_walk(keydir, stop_visit, &left), -EINTR);
    cr_assert_eq(left, 0);
    keydir_free(keydir);
}

/* Bytes that the C library's heap has handed out, or with `holes` all that it has taken from the
 * system; 0 where a sanitizer took its place. */
static size_t heap_size(bool holes)
{
#ifdef __SANITIZE_ADDRESS__
    (void)holes;
    return 0;
#else
    struct mallinfo2 info = mallinfo2();
    return (holes ? info.arena : info.uordblks) + info.hblkhd;
#endif
}

/* Puts a million keys into `count` keydirs; the figure must hold all along the way, not only
 * where the steps of growth happen to be kind. */
static void expect_million_keys_within_24_bytes(size_t count)
{
    struct keydir **keydirs = calloc(count, sizeof(struct keydir *));
    size_t heap_before = heap_size(false);
    size_t held_before = heap_size(true);
    double worst = 0;
    for (size_t i = 0; i < count; i++)
        keydirs[i] = keydir_new();
    for (uint64_t id = 0; id < MILLION; id++) {
        put(keydirs[id % count], id, id);
        if (id % 10000 != 9999 || id < MILLION / 4)
            continue;
        size_t memory = 0;
        for (size_t i = 0; i < count; i++)
            memory += keydir_memory(keydirs[i]);
        double each = (double)memory / (double)(id + 1);
        worst = each > worst ? each : worst;
    }
    size_t memory = 0;
    for (size_t i = 0; i < count; i++)
        memory += keydir_memory(keydirs[i]);
    size_t heap = heap_size(false) - heap_before;
    size_t held = heap_size(true) - held_before;
    cr_log_info("%zu keydirs: %.2f B a key at a million, %.2f at most from 250,000 on, heap %.2f, "
                "%.2f with its holes",
                count, (double)memory / MILLION, worst, (double)heap / MILLION,
                (double)held / MILLION);
    cr_assert_leq((double)memory / MILLION, 24.0);
    cr_assert_leq(worst, 24.0);
    cr_assert_leq((double)heap / MILLION, 24.0);
    cr_assert_leq((double)held / MILLION, 21.8, "what segments leave must fit the next ones");
    if (heap > 0)
        cr_assert_leq(llabs((long long)heap - (long long)memory), (long long)memory / 100,
                      "the estimate must be within 1 %% of the heap's own count");
    for (size_t i = 0; i < count; i++) {
        keydir_check(keydirs[i]);
        keydir_free(keydirs[i]);
    }
    free(keydirs);
}

Test(keydir, million_keys_in_one_keydir_take_24_bytes_each)
{
    expect_million_keys_within_24_bytes(1);
}

Test(keydir, million_keys_in_256_keydirs_take_24_bytes_each)
{
    expect_million_keys_within_24_bytes(256);
}

/* Digests that no keyed hash gives: the table must stay right and small. */
static void expect_poor_digests_to_work(struct keydir_digest first, struct keydir_digest step,
                                        uint64_t keys)
{
    struct keydir *keydir = keydir_new();
    struct keydir_entry entry;
    for (uint64_t i = 0; i < keys; i++) {
        struct keydir_digest digest = {first.high + i * step.high, first.low + i * step.low};
        cr_assert_eq(keydir_put(keydir, &digest, i, 100, false, false, NULL), KEYDIR_E_ABSENT);
    }
    keydir_check(keydir);
    cr_assert_lt((double)keydir_memory(keydir) / (double)keys, 32.0);
    for (uint64_t i = 0; i < keys; i++) {
        struct keydir_digest digest = {first.high + i * step.high, first.low + i * step.low};
        cr_assert_eq(keydir_get(keydir, &digest, &entry), 0);
        cr_assert_eq(entry.location, i);
        if (i % 2 == 0)
            cr_assert_eq(keydir_remove(keydir, &digest), 0);
    }
    keydir_check(keydir);
    cr_assert_eq(keydir_count(keydir), keys / 2);
    keydir_free(keydir);
}

Test(keydir, poor_digests_make_it_neither_wrong_nor_large)
{
    expect_poor_digests_to_work((struct keydir_digest){0}, (struct keydir_digest){0, 1}, 100000);
    expect_poor_digests_to_work((struct keydir_digest){7, 7}, (struct keydir_digest){0, 256},
                                50000);
    expect_poor_digests_to_work((struct keydir_digest){0}, (struct keydir_digest){1, 1}, 20000);
    expect_poor_digests_to_work((struct keydir_digest){0}, (struct keydir_digest){1, 0}, 4000);
}

Test(keydir, put_without_memory_changes_nothing)
{
    struct keydir *keydir = keydir_new();
    struct keydir_entry entry;
    uint64_t refused = 0;
    for (uint64_t id = 0; id < 20000; id++) {
        struct keydir_digest digest = digest_of(id);
        for (uint64_t n = 1; n <= 4; n++) {
            alloc_fail_after(n);
            int r = keydir_put(keydir, &digest, id, 100, false, false, NULL);
            bool failed = alloc_failed();
            alloc_fail_after(0);
            cr_assert_eq(r, failed ? -ENOMEM : KEYDIR_E_ABSENT);
            if (!failed)
                break;
            refused++;
            cr_assert_eq(keydir_get(keydir, &digest, &entry), KEYDIR_E_ABSENT);
            cr_assert_eq(keydir_count(keydir), id);
            keydir_check(keydir);
        }
    }
    cr_assert_gt(refused, 500, "growing, doubling and splitting must all have been tried");
    alloc_fail_after(1);
    struct keydir_digest digest = digest_of(0);
    cr_assert_eq(keydir_put(keydir, &digest, 1, 100, false, false, &entry), KEYDIR_E_OK,
                 "replacing needs no memory");
    for (uint64_t id = 0; id < 20000; id++) {
        digest = digest_of(id);
        alloc_fail_after(1);
        cr_assert_eq(keydir_remove(keydir, &digest), 0, "removing needs no memory");
    }
    alloc_fail_after(0);
    keydir_check(keydir);
    keydir_free(keydir);
}

Test(keydir, new_without_memory_is_null)
{
    for (uint64_t n = 1; n <= 3; n++) {
        alloc_fail_after(n);
        cr_assert_null(keydir_new());
        cr_assert(alloc_failed());
    }
    alloc_fail_after(0);
}
