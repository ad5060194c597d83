#include "storage/key_index.h"
#include "ring/mix.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

#define IDS      3000u
#define KEY_SIZE 9000u

/* Keys of all sizes, some with a common head, some the head of others. */
static size_t key_of(uint32_t id, uint8_t *key)
{
    uint32_t mixed = id * 2654435761u;
    size_t size = 4 + mixed % 40;

    if (id % 97 == 0)
        size = 500 + mixed % 8000;
    memset(key, 'a' + (int)(id % 3), size);
    memcpy(key + (id % 2 ? 0 : size - 4), &mixed, 4);
    return size;
}

static uint8_t keys[IDS][KEY_SIZE];
static size_t sizes[IDS];
static uint32_t order[IDS];

static int by_key(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return key_index_compare(keys[x], sizes[x], keys[y], sizes[y]);
}

static void keys_init(void)
{
    for (uint32_t id = 0; id < IDS; id++) {
        sizes[id] = key_of(id, keys[id]);
        order[id] = id;
    }
    qsort(order, IDS, sizeof *order, by_key);
}

/* A walk from `from` on gives just the keys that are there, in order. */
static void check_from(const struct key_index *index, const bool *there, const uint8_t *from,
                       size_t from_size)
{
    struct key_index_cursor cursor = key_index_seek(index, from, from_size);
    const uint8_t *key;
    size_t size;

    for (uint32_t i = 0; i < IDS; i++) {
        uint32_t id = order[i];

        if (!there[id] || key_index_compare(keys[id], sizes[id], from, from_size) < 0)
            continue;
        cr_assert(key_index_next(index, &cursor, &key, &size));
        cr_assert_eq(key_index_compare(key, size, keys[id], sizes[id]), 0);
    }
    cr_assert_not(key_index_next(index, &cursor, &key, &size));
}

Test(key_index, agrees_with_a_sorted_array)
{
    keys_init();
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct key_index *index = key_index_new();
        static bool there[IDS];
        uint64_t state = seed, count = 0;

        memset(there, 0, sizeof there);
        for (uint32_t step = 0; step < 30000; step++) {
            uint32_t id = (uint32_t)(mix_next(&state) % IDS);
            bool insert = mix_next(&state) % 10 < (step / 5000 % 2 ? 2 : 8);

            if (insert) {
                cr_assert_eq(key_index_insert(index, keys[id], sizes[id]), 0);
                count += !there[id];
            } else {
                key_index_remove(index, keys[id], sizes[id]);
                count -= there[id];
            }
            there[id] = insert;
            cr_assert_eq(key_index_has(index, keys[id], sizes[id]), insert);
            cr_assert_eq(key_index_count(index), count);
            if (step % 3000 == 0) {
                key_index_check(index);
                id = (uint32_t)(mix_next(&state) % IDS);
                check_from(index, there, keys[id], sizes[id]);
                check_from(index, there, keys[id], 1 + mix_next(&state) % sizes[id]);
                check_from(index, there, keys[id], 0);
            }
        }
        for (uint32_t id = 0; id < IDS; id++)
            key_index_remove(index, keys[id], sizes[id]);
        key_index_check(index);
        cr_assert_eq(key_index_count(index), 0);
        index = key_index_free(index);
        cr_assert_null(index);
    }
}

Test(key_index, is_full_to_the_brim_when_keys_ascend)
{
    struct key_index *index = key_index_new();
    char key[32];

    for (unsigned i = 0; i < 100000; i++) {
        snprintf(key, sizeof key, "%016u", i);
        cr_assert_eq(key_index_insert(index, (const uint8_t *)key, 16), 0);
    }
    key_index_check(index);
    cr_assert_lt(key_index_memory(index), 100000 * 21);
    key_index_free(index);
}

Test(key_index, costs_little_more_than_its_keys)
{
    struct key_index *index = key_index_new();
    uint64_t state = 7;

    for (unsigned i = 0; i < 100000; i++) {
        uint64_t key[2] = {mix_next(&state) * 0x9E3779B97F4A7C15ull, i};

        cr_assert_eq(key_index_insert(index, (const uint8_t *)key, sizeof key), 0);
    }
    key_index_check(index);
    cr_assert_lt(key_index_memory(index), 100000 * 31);
    key_index_free(index);
}

Test(key_index, changes_nothing_without_memory)
{
    struct key_index *index = key_index_new();
    uint64_t refused = 0;

    keys_init();
    for (uint32_t id = 0; id < 600; id++) {
        for (unsigned nth = 1; nth < 8; nth++) {
            uint64_t before = key_index_count(index);
            int r;

            alloc_fail_after(nth);
            r = key_index_insert(index, keys[id], sizes[id]);
            alloc_fail_after(0);
            if (r == 0)
                break;
            cr_assert_eq(r, -ENOMEM);
            cr_assert_eq(key_index_count(index), before);
            cr_assert_not(key_index_has(index, keys[id], sizes[id]));
            key_index_check(index);
            refused++;
        }
        cr_assert(key_index_has(index, keys[id], sizes[id]));
    }
    cr_assert_gt(refused, 20);
    key_index_free(index);
}
