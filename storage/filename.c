#include "storage/filename.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define JOURNAL_PREFIX "journal-"
#define JOURNAL_SUFFIX ".log"
#define CASK_PREFIX    "p"
#define CASK_SUFFIX    ".cask"
#define HINT_SUFFIX    ".hint"
#define DIGITS_MAX     20u

static int filename_fits(int length)
{
    return length < 0 || (size_t)length > VFS_PATH_SIZE_MAX ? -ENAMETOOLONG : 0;
}

int filename_join(char out[FILENAME_PATH_SIZE], const char *folder, const char *name)
{
    return filename_fits(snprintf(out, FILENAME_PATH_SIZE, "%s/%s", folder, name));
}

static int journal_name(char out[FILENAME_PATH_SIZE], const char *folder, uint64_t number,
                        const char *suffix)
{
    return filename_fits(snprintf(out, FILENAME_PATH_SIZE, "%s/" JOURNAL_PREFIX "%010" PRIu64 "%s",
                                  folder, number, suffix));
}

static int cask_name(char out[FILENAME_PATH_SIZE], const char *folder, uint16_t partition,
                     uint64_t number, const char *suffix)
{
    return filename_fits(snprintf(out, FILENAME_PATH_SIZE,
                                  "%s/" CASK_PREFIX "%04" PRIu16 "-%010" PRIu64 "%s", folder,
                                  partition, number, suffix));
}

int filename_journal(char out[FILENAME_PATH_SIZE], const char *folder, uint64_t number)
{
    return journal_name(out, folder, number, JOURNAL_SUFFIX);
}

int filename_journal_hint(char out[FILENAME_PATH_SIZE], const char *folder, uint64_t number)
{
    return journal_name(out, folder, number, HINT_SUFFIX);
}

int filename_cask(char out[FILENAME_PATH_SIZE], const char *folder, uint16_t partition,
                  uint64_t number)
{
    return cask_name(out, folder, partition, number, CASK_SUFFIX);
}

int filename_cask_hint(char out[FILENAME_PATH_SIZE], const char *folder, uint16_t partition,
                       uint64_t number)
{
    return cask_name(out, folder, partition, number, HINT_SUFFIX);
}

/* The digits at *at, which is moved behind them. False when they are too many. */
static bool digits_read(const char **at, uint64_t *value)
{
    size_t digits = 0;

    *value = 0;
    for (; **at >= '0' && **at <= '9'; (*at)++, digits++) {
        if (digits == DIGITS_MAX || *value > (UINT64_MAX - 9) / 10)
            return false;
        *value = *value * 10 + (uint64_t)(**at - '0');
    }
    return true;
}

/* The numbers that are read are made into a name again and compared: no second spelling of the same
 * number is accepted. */
static bool is_journal_name(const char *name, const char *suffix, uint64_t *number)
{
    char made[FILENAME_PATH_SIZE];
    const char *at = name + strlen(JOURNAL_PREFIX);
    uint64_t value;

    if (strncmp(name, JOURNAL_PREFIX, strlen(JOURNAL_PREFIX)) != 0 || !digits_read(&at, &value) ||
        journal_name(made, "x", value, suffix) != 0 || strcmp(made + 2, name) != 0)
        return false;
    *number = value;
    return true;
}

static bool is_cask_name(const char *name, const char *suffix, uint16_t *partition,
                         uint64_t *number)
{
    char made[FILENAME_PATH_SIZE];
    const char *at = name + strlen(CASK_PREFIX);
    uint64_t first, second;

    if (strncmp(name, CASK_PREFIX, strlen(CASK_PREFIX)) != 0 || !digits_read(&at, &first) ||
        first > UINT16_MAX || *at++ != '-' || !digits_read(&at, &second) ||
        cask_name(made, "x", (uint16_t)first, second, suffix) != 0 || strcmp(made + 2, name) != 0)
        return false;
    *partition = (uint16_t)first;
    *number = second;
    return true;
}

bool filename_is_journal(const char *name, uint64_t *number)
{
    return is_journal_name(name, JOURNAL_SUFFIX, number);
}

bool filename_is_journal_hint(const char *name, uint64_t *number)
{
    return is_journal_name(name, HINT_SUFFIX, number);
}

bool filename_is_cask(const char *name, uint16_t *partition, uint64_t *number)
{
    return is_cask_name(name, CASK_SUFFIX, partition, number);
}

bool filename_is_cask_hint(const char *name, uint16_t *partition, uint64_t *number)
{
    return is_cask_name(name, HINT_SUFFIX, partition, number);
}
