#include "tests/dice.h"

#include "router/slab.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

Test(slab, blocks_of_all_sizes_keep_their_bytes)
{
    static struct {
        uint8_t *block;
        size_t size;
        uint8_t mark;
    } held[500];
    struct dice dice = {.state = 9};
    struct slab slab;

    slab_init(&slab);
    for (int round = 0; round < 100000; round++) {
        size_t i = dice_below(&dice, 500);

        if (held[i].block) {
            cr_assert_eq(held[i].block[0], held[i].mark);
            cr_assert_eq(held[i].block[held[i].size - 1], held[i].mark);
            slab_give(&slab, held[i].block, held[i].size);
        }
        held[i].size = 1 + dice_number(&dice, 15);
        held[i].block = slab_take(&slab, held[i].size);
        held[i].mark = (uint8_t)round;
        cr_assert(held[i].block);
        cr_assert_eq((uintptr_t)held[i].block % 16, 0);
        memset(held[i].block, held[i].mark, held[i].size);
    }
    for (size_t i = 0; i < 500; i++)
        slab_give(&slab, held[i].block, held[i].size);
    cr_assert_eq(slab.used, 0);
    slab_deinit(&slab);
}

Test(slab, a_block_given_back_is_taken_again)
{
    struct slab slab;
    void *block;

    slab_init(&slab);
    block = slab_take(&slab, 200);
    slab_give(&slab, block, 200);
    cr_assert_eq(slab_take(&slab, 250), block, "the same class");
    slab_give(&slab, block, 250);
    slab_give(&slab, NULL, 10);
    slab_deinit(&slab);
}

Test(slab, what_is_not_given_back_is_noticed, .signal = SIGABRT)
{
    struct slab slab;

    slab_init(&slab);
    slab_take(&slab, 1);
    slab_deinit(&slab);
}
