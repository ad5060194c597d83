#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "storage/filename.h"

Test(filename, a_journal_name_comes_back_as_its_number)
{
    static const uint64_t numbers[] = {0, 1, 42, 9999999999, 10000000000, UINT64_MAX / 10};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char path[FILENAME_PATH_SIZE];
        uint64_t number = 7;

        cr_assert_eq(filename_journal(path, "shard-00", numbers[i]), 0);
        cr_assert_eq(strncmp(path, "shard-00/", 9), 0);
        cr_assert(filename_is_journal(path + 9, &number), "%s", path);
        cr_assert_eq(number, numbers[i]);
    }
}

Test(filename, other_names_are_no_journals)
{
    static const char *const names[] = {
        "",
        "MANIFEST",
        "journal-.log",
        "journal-1.log",           /* too few digits: a second spelling */
        "journal-00000000001.log", /* too many */
        "journal-000000000a.log",
        "journal-0000000001.logs",
        "journal-0000000001",
        "journal-99999999999999999999999.log",
        "Journal-0000000001.log",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        uint64_t number;

        cr_assert_not(filename_is_journal(names[i], &number), "%s", names[i]);
    }
}

Test(filename, too_long_a_path_is_refused)
{
    char path[FILENAME_PATH_SIZE], folder[VFS_PATH_SIZE_MAX + 1];

    memset(folder, 'f', sizeof(folder));
    folder[VFS_PATH_SIZE_MAX - strlen("/MANIFEST")] = '\0';
    cr_assert_eq(filename_join(path, folder, FILENAME_MANIFEST), 0);
    cr_assert_eq(filename_journal(path, folder, 1), -ENAMETOOLONG);
}
