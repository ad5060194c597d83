/* flush and top: what all nodes are asked, while one of them is joining. */
#include "admin_fake.h"

#include <criterion/criterion.h>
#include <string.h>

Test(admin_job, who_is_joining_is_listed_and_neither_asked_nor_waited_for)
{
    admin_fake_open(3, 1, 3);
    cr_assert_eq(admin_fake_command("flush --wait"), EXIT_CODE_OK, "%s", admin_fake.said);
    cr_assert(strstr(admin_fake.printed, "127.0.0.1:7004 joining"), "%s", admin_fake.printed);
    cr_assert_eq(admin_fake_command("flush"), EXIT_CODE_OK, "%s", admin_fake.said);
    admin_fake_close();
}

Test(admin_job, top_tells_that_it_is_joining)
{
    admin_fake_open(3, 1, 3);
    cr_assert_eq(admin_fake_command("top"), EXIT_CODE_OK, "%s", admin_fake.said);
    cr_assert(strstr(admin_fake.printed, "127.0.0.1:7004 joining"), "%s", admin_fake.printed);
    admin_fake_close();
}

Test(admin_job, asked_of_it_alone_it_says_what_takes_it_in)
{
    admin_fake_open(3, 1, 3);
    cr_assert_eq(admin_fake_command("flush 4"), EXIT_CODE_FAILED);
    cr_assert(strstr(admin_fake.said, "ring-admin plan join 4"), "%s", admin_fake.said);
    admin_fake_close();
}

Test(admin_job, who_is_down_is_a_fault)
{
    admin_fake_open(3, 1, 3);
    scene_lose(&admin_fake.view, 2);
    cr_assert_eq(admin_fake_command("flush"), EXIT_CODE_UNREACHABLE);
    cr_assert_eq(admin_fake_command("top"), EXIT_CODE_UNREACHABLE);
    admin_fake_close();
}

Test(admin_job, asked_of_one_that_was_removed_it_says_so)
{
    admin_fake_open(3, 1, 3);
    admin_fake.view.map.members[3].state = RINGMAP_STATE_REMOVED;
    cr_assert_eq(admin_fake_command("flush 4"), EXIT_CODE_FAILED);
    cr_assert(strstr(admin_fake.said, "node 4 (127.0.0.1:7004) was removed"), "%s",
              admin_fake.said);
    admin_fake_close();
}
