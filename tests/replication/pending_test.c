#include "replication/pending.h"

#include "tests/replication/allocation.h"
#include "tests/dice.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>

#define KEYS        24u
#define MODEL_MAX   4096u
#define WRITES_EACH 6u

/* The model: all writes in order, searched from the end. */
struct model_write {
    uint64_t index;
    uint32_t key;
    uint64_t location;
    bool tombstone;
};

struct model {
    struct model_write writes[MODEL_MAX];
    uint32_t count;
    uint64_t first, last; /* entries; last < first: none */
};

/* Few different low words, so that the table's places collide. */
static struct keydir_digest digest_of(uint32_t key)
{
    return (struct keydir_digest){.high = key, .low = key % 5};
}

static void add_write(struct pending *pending, uint32_t key, uint64_t location, bool tombstone)
{
    struct pending_write write = {
        .digest = digest_of(key), .location = location, .size = 48, .tombstone = tombstone};

    pending_add_write(pending, &write);
}

static void add_entry(struct pending *pending, uint64_t index, uint32_t writes)
{
    struct pending_entry entry = {.index = index, .kind = RECORD_KIND_PUT, .term = 3};

    cr_assert_eq(pending_reserve(pending, writes), 0);
    pending_add(pending, &entry);
}

static void compare(const struct pending *pending, const struct model *model)
{
    pending_check(pending);
    cr_assert_eq(pending_count(pending), model->last + 1 - model->first);
    cr_assert_eq(pending_last(pending), model->last >= model->first ? model->last : 0);
    for (uint32_t key = 0; key < KEYS; key++) {
        struct keydir_digest digest = digest_of(key);
        const struct pending_write *found = NULL;
        const struct model_write *expected = NULL;
        int r = pending_find(pending, &digest, &found);

        for (uint32_t i = 0; i < model->count; i++) {
            if (model->writes[i].key == key)
                expected = &model->writes[i];
        }
        cr_assert_eq(r, expected ? PENDING_E_OK : PENDING_E_ABSENT);
        if (!expected)
            continue;
        cr_assert_eq(found->index, expected->index);
        cr_assert_eq(found->location, expected->location);
        cr_assert_eq(found->tombstone, expected->tombstone);
    }
}

static void step_add(struct pending *pending, struct model *model, struct dice *dice)
{
    uint32_t writes = dice_pick(dice, WRITES_EACH);

    if (model->count + writes > MODEL_MAX)
        return;
    add_entry(pending, ++model->last, writes);
    for (uint32_t i = 0; i < writes; i++) {
        struct model_write *write = &model->writes[model->count++];

        *write = (struct model_write){.index = model->last,
                                      .key = dice_pick(dice, KEYS),
                                      .location = dice_next(dice) >> 24,
                                      .tombstone = dice_pick(dice, 4) == 0};
        add_write(pending, write->key, write->location, write->tombstone);
    }
}

static void step_pop(struct pending *pending, struct model *model)
{
    struct pending_entry *entry = pending_first(pending);
    uint32_t gone = 0;

    cr_assert_eq(entry == NULL, model->last < model->first);
    if (!entry)
        return;
    cr_assert_eq(entry->index, model->first);
    while (gone < model->count && model->writes[gone].index == model->first) {
        const struct pending_write *write = pending_write_at(pending, entry, gone);

        cr_assert_eq(write->location, model->writes[gone].location);
        gone++;
    }
    cr_assert_eq(entry->write_count, gone);
    pending_pop(pending);
    model->first++;
    model->count -= gone;
    for (uint32_t i = 0; i < model->count; i++)
        model->writes[i] = model->writes[i + gone];
}

static void step_truncate(struct pending *pending, struct model *model, struct dice *dice)
{
    uint64_t from = model->first + dice_pick(dice, (uint32_t)(model->last + 2 - model->first));

    pending_truncate(pending, from);
    if (from <= model->last)
        model->last = from - 1;
    while (model->count > 0 && model->writes[model->count - 1].index > model->last)
        model->count--;
}

Test(pending, finds_the_newest_write_through_adds_pops_and_truncations)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct dice dice = {.state = seed};
        static struct model model;
        struct pending pending;

        model = (struct model){.first = 7, .last = 6};
        pending_init(&pending);
        for (uint32_t i = 0; i < 600; i++) {
            uint32_t what = dice_pick(&dice, 100);

            if (what < 55 - seed % 3 * 8)
                step_add(&pending, &model, &dice);
            else if (what < 92)
                step_pop(&pending, &model);
            else
                step_truncate(&pending, &model, &dice);
            compare(&pending, &model);
        }
        pending_deinit(&pending);
    }
}

Test(pending, truncation_shows_the_older_write_again)
{
    struct keydir_digest digest = digest_of(1);
    const struct pending_write *found;
    struct pending pending;

    pending_init(&pending);
    add_entry(&pending, 10, 1);
    add_write(&pending, 1, 100, false);
    add_entry(&pending, 11, 2);
    add_write(&pending, 1, 200, false);
    add_write(&pending, 1, 201, true);
    cr_assert_eq(pending_find(&pending, &digest, &found), PENDING_E_OK);
    cr_assert_eq(found->location, 201);
    cr_assert(found->tombstone);
    pending_truncate(&pending, 11);
    cr_assert_eq(pending_find(&pending, &digest, &found), PENDING_E_OK);
    cr_assert_eq(found->location, 100);
    cr_assert_eq(found->index, 10);
    pending_truncate(&pending, 0);
    cr_assert_eq(pending_find(&pending, &digest, &found), PENDING_E_ABSENT);
    pending_check(&pending);
    pending_deinit(&pending);
}

Test(pending, an_entry_that_moves_takes_its_writes_along)
{
    struct keydir_digest digest = digest_of(2);
    const struct pending_write *found;
    struct pending pending;

    pending_init(&pending);
    add_entry(&pending, 10, 1);
    add_write(&pending, 1, 100, false);
    add_entry(&pending, 11, 2);
    add_write(&pending, 1, 200, false);
    add_write(&pending, 2, 203, false);
    pending_at(&pending, 11)->location = 200;
    pending_move(&pending, 11, 900);
    cr_assert_eq(pending_at(&pending, 11)->location, 900);
    cr_assert_eq(pending_find(&pending, &digest, &found), PENDING_E_OK);
    cr_assert_eq(found->location, 903);
    digest = digest_of(1);
    cr_assert_eq(pending_find(&pending, &digest, &found), PENDING_E_OK);
    cr_assert_eq(found->location, 900);
    pending_truncate(&pending, 11);
    cr_assert_eq(pending_find(&pending, &digest, &found), PENDING_E_OK);
    cr_assert_eq(found->location, 100, "the entry before it stays where it is");
    pending_check(&pending);
    pending_deinit(&pending);
}

/* The older write was applied before its newer one is truncated: it must not come back. */
Test(pending, truncation_does_not_show_an_applied_write)
{
    struct keydir_digest digest = digest_of(1);
    const struct pending_write *found;
    struct pending pending;

    pending_init(&pending);
    add_entry(&pending, 10, 1);
    add_write(&pending, 1, 100, false);
    add_entry(&pending, 11, 1);
    add_write(&pending, 1, 200, false);
    pending_pop(&pending);
    pending_truncate(&pending, 11);
    cr_assert_eq(pending_find(&pending, &digest, &found), PENDING_E_ABSENT);
    pending_check(&pending);
    pending_deinit(&pending);
}

Test(pending, keeps_what_an_entry_carries)
{
    struct pending_entry entry = {.index = 5,
                                  .term = 2,
                                  .kind = RECORD_KIND_NOOP,
                                  .location = 77,
                                  .size = 48,
                                  .has_request = true,
                                  .request = {.session = 1, .sequence = 2, .result = -3},
                                  .write_count = 99};
    struct pending pending;

    pending_init(&pending);
    cr_assert_null(pending_first(&pending));
    cr_assert_null(pending_at(&pending, 5));
    cr_assert_eq(pending_reserve(&pending, 0), 0);
    pending_add(&pending, &entry);
    cr_assert_eq(pending_at(&pending, 5), pending_first(&pending));
    cr_assert_null(pending_at(&pending, 4));
    cr_assert_null(pending_at(&pending, 6));
    cr_assert_eq(pending_first(&pending)->write_count, 0);
    cr_assert_eq(pending_first(&pending)->request.result, -3);
    cr_assert_eq(pending_first(&pending)->location, 77);
    cr_assert(pending_first(&pending)->has_request);
    pending_deinit(&pending);
}

/* An entry or two at a time, whatever their indexes, stay in the rings' first places. */
Test(pending, starts_anew_when_it_is_empty)
{
    struct pending pending;

    pending_init(&pending);
    pending_prefetch(&pending);
    for (uint64_t round = 1; round <= 40; round++) {
        uint64_t index = round * 7;

        for (uint32_t i = 0; i < 2; i++) {
            add_entry(&pending, index + i, 1);
            add_write(&pending, i, round, false);
        }
        pending_prefetch(&pending);
        cr_assert_eq(pending_first(&pending), pending.entries);
        cr_assert_eq(pending_at(&pending, index + 1), pending.entries + 1);
        cr_assert_eq(pending_write_at(&pending, pending_first(&pending), 0), pending.writes);
        pending_check(&pending);
        if (round % 2 == 0)
            pending_truncate(&pending, index);
        while (pending_first(&pending))
            pending_pop(&pending);
        pending_check(&pending);
    }
    pending_deinit(&pending);
}

Test(pending, a_steady_stream_stops_allocating)
{
    struct pending pending;
    size_t memory;

    pending_init(&pending);
    for (uint64_t index = 1; index <= 100; index++) {
        add_entry(&pending, index, 1);
        add_write(&pending, (uint32_t)index, index, false);
    }
    memory = pending_memory(&pending);
    allocation_fails_in = 0;
    for (uint64_t index = 101; index <= 10000; index++) {
        pending_pop(&pending);
        add_entry(&pending, index, 1);
        add_write(&pending, (uint32_t)index, index, false);
    }
    allocation_fails_in = -1;
    pending_check(&pending);
    cr_assert_eq(pending_memory(&pending), memory);
    pending_deinit(&pending);
}

Test(pending, out_of_memory_changes_nothing)
{
    for (long fails_in = 0; fails_in < 3; fails_in++) {
        struct keydir_digest digest = digest_of(3);
        const struct pending_write *found;
        struct pending pending;

        pending_init(&pending);
        for (uint64_t index = 1; index <= 16; index++) {
            add_entry(&pending, index, 1);
            add_write(&pending, (uint32_t)index, index, false);
        }
        allocation_fails_in = fails_in;
        cr_assert_eq(pending_reserve(&pending, 1), -ENOMEM);
        allocation_fails_in = -1;
        pending_check(&pending);
        cr_assert_eq(pending_find(&pending, &digest, &found), PENDING_E_OK);
        cr_assert_eq(found->location, 3);
        add_entry(&pending, 17, 1);
        add_write(&pending, 3, 1000, false);
        pending_check(&pending);
        pending_deinit(&pending);
    }
}

Test(pending, a_gap_in_the_indexes_asserts, .signal = SIGABRT)
{
    struct pending pending;

    pending_init(&pending);
    add_entry(&pending, 1, 0);
    add_entry(&pending, 3, 0);
}
