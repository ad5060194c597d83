#include "storage/filename.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define JOURNAL_PREFIX     "journal-"
#define JOURNAL_SUFFIX     ".log"
#define JOURNAL_DIGITS_MAX 20u

static int filename_fits(int length)
{
    return length < 0 || (size_t)length > VFS_PATH_SIZE_MAX ? -ENAMETOOLONG : 0;
}

int filename_join(char out[FILENAME_PATH_SIZE], const char *folder, const char *name)
{
    return filename_fits(snprintf(out, FILENAME_PATH_SIZE, "%s/%s", folder, name));
}

int filename_journal(char out[FILENAME_PATH_SIZE], const char *folder, uint64_t number)
{
    return filename_fits(snprintf(out, FILENAME_PATH_SIZE,
                                  "%s/" JOURNAL_PREFIX "%010" PRIu64 JOURNAL_SUFFIX, folder,
                                  number));
}

bool filename_is_journal(const char *name, uint64_t *number)
{
    char made[FILENAME_PATH_SIZE];
    uint64_t value = 0;
    const char *at = name;
    size_t digits = 0;

    if (strncmp(at, JOURNAL_PREFIX, strlen(JOURNAL_PREFIX)) != 0)
        return false;
    at += strlen(JOURNAL_PREFIX);
    for (; *at >= '0' && *at <= '9'; at++, digits++) {
        if (digits == JOURNAL_DIGITS_MAX || value > (UINT64_MAX - 9) / 10)
            return false;
        value = value * 10 + (uint64_t)(*at - '0');
    }
    /* Compared with what we would write: no second spelling of the same number is accepted. */
    if (filename_journal(made, "x", value) != 0 || strcmp(made + 2, name) != 0)
        return false;
    *number = value;
    return true;
}
