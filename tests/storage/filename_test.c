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

Test(filename, casks_and_hints_come_back_as_their_numbers)
{
    static const struct {
        uint16_t partition;
        uint64_t number;
    } names[] = {{0, 1}, {41, 7}, {4095, 9999999999}, {65535, 10000000000}};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char cask[FILENAME_PATH_SIZE], hint[FILENAME_PATH_SIZE], journal[FILENAME_PATH_SIZE];
        uint64_t number = 0;
        uint16_t partition = 7;

        cr_assert_eq(filename_cask(cask, "s", names[i].partition, names[i].number), 0);
        cr_assert(filename_is_cask(cask + 2, &partition, &number), "%s", cask);
        cr_assert(partition == names[i].partition && number == names[i].number);
        cr_assert_eq(filename_cask_hint(hint, "s", names[i].partition, names[i].number), 0);
        partition = 7;
        number = 0;
        cr_assert(filename_is_cask_hint(hint + 2, &partition, &number), "%s", hint);
        cr_assert(partition == names[i].partition && number == names[i].number);
        cr_assert_eq(filename_journal_hint(journal, "s", names[i].number), 0);
        number = 0;
        cr_assert(filename_is_journal_hint(journal + 2, &number), "%s", journal);
        cr_assert_eq(number, names[i].number);
        /* None is taken for another. */
        cr_assert_not(filename_is_cask(hint + 2, &partition, &number));
        cr_assert_not(filename_is_cask_hint(cask + 2, &partition, &number));
        cr_assert_not(filename_is_cask_hint(journal + 2, &partition, &number));
        cr_assert_not(filename_is_journal_hint(hint + 2, &number));
        cr_assert_not(filename_is_journal(journal + 2, &number));
    }
}

Test(filename, second_spellings_of_casks_are_refused)
{
    static const char *const names[] = {
        "p41-0000000007.cask",    "p00041-0000000007.cask", "p0041-7.cask",
        "p0041-0000000007",       "p0041-0000000007.casks", "p0041-0000000007.hint",
        "p65536-0000000007.cask", "p-1-0000000007.cask",    "p0041 0000000007.cask",
        "0041-0000000007.cask",   "p+041-0000000007.cask",  "p0041-0000000007.cask.tmp",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        uint64_t number;
        uint16_t partition;

        cr_assert_not(filename_is_cask(names[i], &partition, &number), "%s", names[i]);
    }
}
