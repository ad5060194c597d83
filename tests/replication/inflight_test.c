#include "replication/inflight.h"

#include "tests/replication/allocation.h"
#include "tests/dice.h"

#include <criterion/criterion.h>
#include <errno.h>

#define SESSIONS  4u
#define SEQUENCES 200u

Test(inflight, holds_what_a_plain_table_holds)
{
    static char operations[SESSIONS][SEQUENCES + 1];
    static bool model[SESSIONS][SEQUENCES + 1];
    struct dice dice = {.state = 5};
    struct inflight inflight;
    uint32_t count = 0;

    inflight_init(&inflight);
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t session = dice_pick(&dice, SESSIONS);
        uint32_t sequence = 1 + dice_pick(&dice, SEQUENCES);
        bool *there = &model[session][sequence];
        void *operation = &operations[session][sequence];
        void *found = NULL;
        bool adds = dice_pick(&dice, 1 + i / 4000 % 4) == 0;

        cr_assert_eq(inflight_find(&inflight, session, sequence, &found),
                     *there ? INFLIGHT_E_OK : INFLIGHT_E_ABSENT);
        cr_assert_eq(found, *there ? operation : NULL);
        if (adds)
            cr_assert_eq(inflight_add(&inflight, session, sequence, operation),
                         *there ? INFLIGHT_E_PRESENT : INFLIGHT_E_OK);
        else
            cr_assert_eq(inflight_remove(&inflight, session, sequence),
                         *there ? INFLIGHT_E_OK : INFLIGHT_E_ABSENT);
        count = count + adds - *there;
        *there = adds;
        cr_assert_eq(inflight.count, count);
        inflight_check(&inflight);
    }
    cr_assert_gt(count, 0);
    inflight_clear(&inflight);
    inflight_check(&inflight);
    cr_assert_eq(inflight.count, 0);
    inflight_deinit(&inflight);
}

Test(inflight, out_of_memory_changes_nothing)
{
    struct inflight inflight;
    void *operation;

    inflight_init(&inflight);
    allocation_fails_in = 0;
    cr_assert_eq(inflight_add(&inflight, 1, 1, NULL), -ENOMEM);
    for (uint64_t sequence = 1; sequence <= 8; sequence++)
        cr_assert_eq(inflight_add(&inflight, 1, sequence, NULL), 0);
    allocation_fails_in = 0;
    cr_assert_eq(inflight_add(&inflight, 1, 9, NULL), -ENOMEM);
    cr_assert_eq(inflight_find(&inflight, 1, 8, &operation), INFLIGHT_E_OK);
    inflight_check(&inflight);
    inflight_deinit(&inflight);
}
